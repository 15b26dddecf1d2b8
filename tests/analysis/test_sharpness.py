import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import settings
from advsmooth.analysis import sharpness
from advsmooth.analysis.parameter_space import flat, point
from advsmooth.attacks.gradient import PGD


def small(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Softplus(), nn.Linear(5, 3)).to(dtype)
    g = settings.generator(seed)
    return model, torch.rand(20, 1, 2, 3, generator=g, dtype=dtype), torch.randint(0, 3, (20,), generator=g)


def hessian_of(model, x, y):
    start = point(model)
    sizes = [p.numel() for p in start.values()]

    def loss(vector):
        place = {n: part.view(p.shape) for (n, p), part in zip(start.items(), vector.split(sizes), strict=True)}
        return nn.functional.cross_entropy(torch.func.functional_call(model, place, (x,)), y)

    return torch.autograd.functional.hessian(loss, flat(start))


def test_the_spectrum_is_that_of_the_dense_hessian_at_the_frozen_examples():
    model, x, y = small()
    found, pairs, moved = sharpness.spectrum(model, x, y, PGD(eps=0.1, steps=5), k=4, seed=3)
    dense = hessian_of(model, moved, y)
    values = torch.linalg.eigvalsh(dense)
    expected = values[values.abs().argsort(descending=True)][:4]
    assert found["eigenvalue"] == pytest.approx(expected.tolist(), rel=1e-4)
    assert found["rayleigh"] == pytest.approx(float(expected[0]), rel=1e-4)
    assert found["converged"] == 1
    assert (moved - x).abs().max() <= 0.1 + 1e-12
    assert not torch.equal(moved, x)
    assert found["loss"] == pytest.approx(nn.functional.cross_entropy(model(moved), y).item(), rel=1e-9)
    assert len(pairs.vectors) == 4


def test_without_attack_nothing_moves_and_the_model_stays_as_it_was():
    model, x, y = small()
    model.train()
    before = [p.clone() for p in model.parameters()]
    model[1].weight.requires_grad_(False)
    found, _, moved = sharpness.spectrum(model, x, y, None, k=1)
    assert moved is x
    assert model.training
    assert not model[1].weight.requires_grad
    assert all(p.grad is None and torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    p = model(x).softmax(1)
    assert found["unsureness"] == pytest.approx((1 - p.square().sum(1).mean()).item(), rel=1e-9)


def test_even_parts_of_a_parabola_and_of_a_kink():
    """Loss of one parameter: -log sigmoid is smooth, and max(t, -t) adds a kink to it."""

    class Kink(nn.Module):
        def __init__(self):
            super().__init__()
            self.t = nn.Parameter(torch.zeros(1, dtype=torch.float64))

        def forward(self, x):
            return torch.stack([torch.zeros_like(x[:, 0]), -x[:, 0] * self.t.abs()], 1)

    x, y = torch.ones(4, 1, dtype=torch.float64), torch.ones(4, dtype=torch.int64)
    parts = sharpness.even_parts(Kink(), torch.ones(1, dtype=torch.float64), x, y, x, None, offsets=[0.1, 0.2])
    expected = [math.log1p(math.exp(a)) - math.log(2) for a in (0.1, 0.2)]
    assert parts["frozen"] == pytest.approx(expected)
    assert parts["anew"] == parts["frozen"]


def test_second_differences_are_eigenvalues_where_the_loss_is_smooth():
    model, x, y = small()
    found, pairs, moved = sharpness.spectrum(model, x, y, None, k=3)
    second = sharpness.second_differences(model, pairs, x, y, moved, None, spacing=1e-3)
    assert second["second_frozen"] == pytest.approx(found["eigenvalue"][:2], rel=1e-3)


def test_examples_found_anew_raise_the_loss_around_the_centre():
    model, x, y = small()
    attack = PGD(eps=0.2, steps=20)
    _, pairs, moved = sharpness.spectrum(model, x, y, attack, k=2, seed=1)
    parts = sharpness.even_parts(model, pairs.vectors[0], x, y, moved, attack, offsets=[0.5, 2.0], seed=1)
    assert all(a >= f - 1e-9 for a, f in zip(parts["anew"], parts["frozen"], strict=True))
    assert parts["anew"][1] > parts["frozen"][1]


def test_a_surface_holds_the_loss_at_its_centre():
    model, x, y = small()
    found, pairs, _ = sharpness.spectrum(model, x, y, None, k=2)
    heights = sharpness.surface(model, pairs, x, y, reach=0.3, points=3)
    assert len(heights) == 9
    assert heights[4] == pytest.approx(found["loss"])


@given(st.lists(st.floats(0, 10), min_size=3, max_size=30), st.integers(1, 3))
def test_running_means_are_means(loss, window):
    means = sharpness.running(loss, window)
    assert len(means) == len(loss) - window + 1
    assert means[-1] == pytest.approx(np.mean(loss[-window:]))
    with pytest.raises(ValueError, match="allowed is 1 to"):
        sharpness.running(loss, len(loss) + 1)


def test_the_first_window_at_a_level():
    falling = [5.0, 4.0, 3.0, 2.0, 1.0]
    assert sharpness.first_at(falling, 2.0, 1) == 4
    assert sharpness.first_at(falling, 3.0, 3) == 3  # the window 4, 3, 2, whose middle is the third
    assert sharpness.first_at(falling, 0.5, 3) is None


def test_a_curve_begins_with_the_first_mini_batch_and_keeps_its_ends():
    found = sharpness.curve([3.0, 2.0, 1.0, 2.0], 1, 3)
    assert (found["curve_range"], found["curve_largest"], found["curve_last"]) == (2.0, 3.0, 2.0)
    found = sharpness.curve([3.0, 1.0, 2.0, 0.0], 3, 4)
    assert found["curve"] == {1: 3.0, 2: 2.0, 3: 2.0, 4: 1.0}
    assert found["curve_range"] == 2.0


def study(tops, accuracies, scales=(2.0, 4.0)):
    """Two budgets, two seeds."""
    parts = []
    for eps, scale in zip((0.0, 0.5), scales, strict=True):
        parts.append(sharpness.rows(eps, 0, {"scale": [scale - 1, scale + 1]}))
        for seed in (0, 1):
            values = {"accuracy": accuracies[eps], "majority": 0.2, "eigenvalue": [tops[eps, seed], -1.0]}
            values |= dict.fromkeys(("loss", "unsureness", "sensitivity", "gauss_newton"), 1.0)
            parts.append(sharpness.rows(eps, seed, values))
    return pd.concat(parts)


TOPS = {(0.0, 0): 1.0, (0.0, 1): 2.0, (0.5, 0): 10.0, (0.5, 1): 200.0}


def test_networks_slopes_and_ratios_by_hand():
    table = sharpness.networks(study(TOPS, {0.0: 0.9, 0.5: 0.7}))
    assert table["top"].tolist() == [1, 2, 10, 200]
    assert table["sum"].tolist() == [0, 1, 9, 199]  # signed, as measured
    assert table["top_normalised"].tolist() == [0.5, 1, 2.5, 50]
    assert sharpness.slopes(table, "top").tolist() == pytest.approx([2, 4])  # a factor of 10 and 100 over half a unit
    assert sharpness.against_smallest(table, "top")[0.5].tolist() == [10, 100]
    with pytest.raises(ValueError, match="positive"):
        sharpness.slopes(table, "sum")


def test_a_budget_at_which_a_network_learned_nothing_is_set_aside():
    table = sharpness.networks(study(TOPS, {0.0: 0.9, 0.5: 0.25}))
    assert table["learned"].tolist() == [True, True, False, False]
    assert sharpness.kept(table)["eps"].unique().tolist() == [0.0]
    with pytest.raises(ValueError, match="two budgets"):
        sharpness.slopes(sharpness.kept(table), "top")
    assert sharpness.overview(table)["learned"].tolist() == ["2 of 2", "0 of 2"]


def test_shares_and_rows():
    assert sharpness.share_at_first(pd.Series({0.0: 1.0, 0.1: 1.5, 0.2: 3.0})) == 0.25
    rows = sharpness.rows(0.1, 2, {"a": [5.0, 6.0], "b": 7.0, "c": {30: 8.0}})
    assert rows[["quantity", "index", "value"]].to_numpy().tolist() == [
        ["a", 1, 5],
        ["a", 2, 6],
        ["b", 0, 7],
        ["c", 30, 8],
    ]
    assert sharpness.of_seed(rows, "a", 0.1, 2).tolist() == [5, 6]
