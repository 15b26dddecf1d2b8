"""Curves around trained networks: against plain computation, and the summaries on curves whose answer is known."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from advsmooth import data
from advsmooth.analysis import flatness
from advsmooth.analysis.connectivity import reestimate_batch_norm
from advsmooth.analysis.empirical import adversarial_examples, mean_loss
from advsmooth.analysis.parameter_space import flat, point
from advsmooth.attacks.gradient import PGD

DIGITS = data.load("digits").take(40, seed=0)
X, Y = DIGITS.x, DIGITS.y
ATTACK = PGD(eps=0.1, steps=3)
OFFSETS = [-1.0, -0.5, 0.0, 0.5, 1.0]
NAME = ("AT", 0)


def network(norm=False, seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3) if norm else nn.Identity(), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(108, 10))
    if norm:
        reestimate_batch_norm(model, X)
    return model.eval()


def study(curves, learned=True, paths=None):
    """A study of made-up curves: method -> seed -> its training curve over OFFSETS, the test curve one higher."""
    parts = []
    for method, seeds in curves.items():
        for seed, values in seeds.items():
            name = (method, seed)
            parts += [flatness.rows(*name, "train", values, at=OFFSETS)]
            parts += [flatness.rows(*name, "test", np.add(values, 1), at=OFFSETS)]
            parts += [flatness.rows(*name, "majority", [0.2])]
            for at in (0.0, 1.0):
                parts += [flatness.rows(*name, "loss", [values[2] - at / 10], at=[at])]
                parts += [flatness.rows(*name, "accuracy", [0.9 if learned else 0.25], at=[at])]
    return pd.concat(parts)


def test_equal_seeds_draw_equal_gaussians_and_biases_stay():
    one, two = network(seed=0), network(seed=1)
    (first,), (second,) = flatness.directions(one, 3, 1), flatness.directions(two, 3, 1)
    for name in ("0.weight", "4.weight"):
        rows = len(first[name])
        a, b = (nn.functional.normalize(d[name].reshape(rows, -1), dim=1) for d in (first, second))
        assert torch.allclose(a, b, atol=1e-6)
        norms = point(one)[name].reshape(rows, -1).norm(dim=1)
        assert torch.allclose(first[name].reshape(rows, -1).norm(dim=1), norms, rtol=1e-5)
    assert not any(first[name].any() for name in first if name.endswith("bias"))
    again, other = flatness.directions(one, 3, 2)
    assert torch.equal(again["0.weight"], first["0.weight"])
    assert not torch.equal(other["0.weight"], first["0.weight"])


def test_curves_are_the_losses_of_moved_networks_under_attack():
    model = network()
    before = flat(point(model)).clone()
    found = flatness.around(model, NAME, {"train": (X, Y), "test": (X[:20], Y[:20])}, ATTACK, offsets=OFFSETS, n=2)
    assert torch.equal(before, flat(point(model)))
    assert len(found) == 2 * 2 * len(OFFSETS)
    other = copy.deepcopy(model)
    direction = flatness.directions(model, 0, 2)[1]
    with torch.no_grad():
        for name, p in other.named_parameters():
            p += 0.5 * direction[name]
    chosen = found[(found["quantity"] == "train") & (found["index"] == 1) & (found["at"] == 0.5)]
    assert chosen["value"].item() == pytest.approx(mean_loss(other, X, Y, attack=ATTACK), rel=1e-6)
    centres = found[(found["quantity"] == "train") & (found["at"] == 0.0)]["value"]
    assert centres.nunique() == 1


def test_frozen_examples_are_equal_at_the_centre_and_below_elsewhere():
    model = network()
    strong = PGD(eps=0.1, steps=30)
    found = flatness.contrast(model, NAME, X, Y, strong, OFFSETS)
    still = found[found["quantity"] == "frozen"].set_index("at")["value"]
    anew = pd.Series(flatness.line(model, X, Y, flatness.directions(model, 0, 1)[0], OFFSETS, attack=strong), OFFSETS)
    assert still[0.0] == pytest.approx(anew[0.0], rel=1e-6)
    assert (still <= anew * (1 + 1e-4)).all()
    assert still[0.5] < anew[0.5]


def test_statistics_estimated_anew_change_a_network_with_norm_layers_only():
    (plain, normed) = (network(norm) for norm in (False, True))
    for model in (plain, normed):
        (direction,) = flatness.directions(model, 0, 1)
        kept = flatness.line(model, X, Y, direction, OFFSETS, attack=ATTACK)
        anew = flatness.with_statistics_anew(model, X, Y, direction, OFFSETS, attack=ATTACK)
        assert np.allclose(kept, anew, rtol=1e-6) == (model is plain)
    moved = adversarial_examples(normed, ATTACK, X, Y)
    reestimate_batch_norm(normed, moved)
    centre = flatness.with_statistics_anew(normed, X, Y, direction, [0.0], attack=ATTACK)[0]
    assert centre == pytest.approx(anew[2], rel=0.2)


def test_a_history_ends_at_the_best_weights():
    model = network()
    first, last = ({k: v.clone() for k, v in network(seed=s).state_dict().items()} for s in (1, 2))
    found = flatness.history(model, NAME, [first, last], first, X, Y, ATTACK, [1, 2])
    assert torch.equal(flat(point(model)), torch.cat([v.reshape(-1) for v in first.values()]))
    loss = found[found["quantity"] == "loss"].set_index("at")["value"]
    epochs = found[found["quantity"] == "epoch loss"].set_index("at")["value"]
    assert loss[0.0] == pytest.approx(epochs[1.0], rel=1e-6)
    assert loss[1.0] == pytest.approx(epochs[2.0], rel=1e-6)


def test_both_sides_of_definition_2_at_a_network():
    model = network()
    radii = [1e-3, 0.1]
    found = flatness.second_order(model, NAME, X, Y, ATTACK, radii, steps=5)
    ratios = flatness.ratios(found)
    assert list(ratios["radius"]) == radii
    crossing = ratios["crossover"].iloc[0]
    # Far below the crossover the gradient decides, and the ratio is 1 + crossover / radius.
    assert ratios["ratio"].iloc[0] == pytest.approx(crossing / 1e-3, rel=0.05)
    single = found.groupby("quantity")["value"].first()
    assert single["residual"] <= 1e-2 * abs(single["top"])
    assert single["length"] == pytest.approx(flat(point(model)).norm().item(), rel=1e-6)


def test_the_rise_is_the_even_part_at_the_reach():
    curve = pd.Series([9.0, 2.0, 1.0, 4.0, 9.0], OFFSETS)
    assert flatness.rise(curve) == 2.0
    with pytest.raises(ValueError, match="a rise needs"):
        flatness.rise(curve.drop(0.5))


def test_networks_gaps_and_those_that_learned_nothing():
    made = {"AT": {0: [3, 2, 1, 2, 3], 1: [4, 3, 1, 3, 4]}, "AT+EnSGD": {0: [3, 2, 0.5, 2, 3], 1: [3, 2, 0.8, 2, 3]}}
    table = flatness.networks(study(made))
    assert flatness.gap(table, "train loss", "AT", "AT+EnSGD") == pytest.approx([0.5, 0.2])
    assert flatness.gap(table, "train rise", "AT", "AT+EnSGD") == pytest.approx([-0.5, 0.8])
    assert flatness.gap(table, "test loss", "AT", "AT+EnSGD") == pytest.approx([0.5, 0.2])
    assert len(flatness.kept(table)) == 4
    nothing = pd.concat([study(made), study({"AWP": {1: [2.3] * 5}}, learned=False)])
    assert list(flatness.kept(flatness.networks(nothing))["seed"]) == [0, 0]


def test_a_grid_step_is_a_share_of_the_way_to_a_constant():
    level = np.log(10)
    made = study({"AT": {0: [level, 1 + (level - 1) / 4, 1.0, 1.0, level]}})
    found = flatness.grid_step(pd.concat([made, flatness.rows("", 0, "constant", [level])]))
    assert found.item() == pytest.approx(0.25)


def test_rises_are_compared_at_equal_loss():
    def path(method, losses, rises):
        parts = [
            flatness.rows(method, 0, "epoch loss", losses, at=range(len(losses))),
            flatness.rows(method, 0, "epoch rise", rises, at=range(len(losses))),
        ]
        return pd.concat(parts)

    # The same line, followed further by one of them: no difference at equal loss, a large one at the end.
    one, two = path("AT", [2, 1, 0.5], [1, 2, 2.5]), path("AWP", [2, 1.5, 1.2], [1, 1.5, 1.8])
    paths = flatness.trajectories(pd.concat([one, two]))
    assert flatness.gap_at_equal_loss(paths, "AT", "AWP").tolist() == pytest.approx([0.0])
    assert flatness.rank_correlation(paths).item() == pytest.approx(-1)
    flatter = flatness.trajectories(pd.concat([one, path("AWP", [2, 1.5, 1.2], [1, 1.0, 1.0])]))
    assert flatness.gap_at_equal_loss(flatter, "AT", "AWP").tolist() == pytest.approx([0.8])


def test_how_much_of_a_network_a_direction_moves():
    model = network()
    (direction,) = flatness.directions(model, 0, 1)
    moved, size = 27 + 1080, 27 + 3 + 1080 + 10
    assert flatness.parameters_moved(direction) == pytest.approx(moved / size)
