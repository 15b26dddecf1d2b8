"""A study of defences: what is measured, and comparisons of studies whose answer is known."""

import numpy as np
import pytest
import torch
from defence_studies import made
from torch import nn

from advsmooth import data
from advsmooth.analysis import adversarial_statistics, defences
from advsmooth.attacks import evaluation
from advsmooth.attacks.minimal import Boundary, CarliniWagner
from advsmooth.training import published

GRIDS = {"l2": [0.0, 0.5, 1.0, 2.0], "linf": [0.0, 0.1, 0.2]}
NAME = (defences.UNDEFENDED, 0)


@pytest.fixture(scope="module")
def digits():
    part = data.load("digits", "test", n=40)
    return part.x, part.y


@pytest.fixture(scope="module")
def network(digits):
    """Nearest class mean, a linear model that is right on most digits."""
    whole = data.load("digits")
    means = torch.stack([whole.x[whole.y == k].mean(0).flatten() for k in range(10)])
    layer = nn.Linear(64, 10)
    with torch.no_grad():
        layer.weight.copy_(means)
        layer.bias.copy_(-means.square().sum(1) / 2)
    return nn.Sequential(nn.Flatten(), layer)


def test_the_names_are_those_of_the_trained_models():
    assert list(published.FINLAY_MODELS) == list(defences.MODELS)
    assert defences.LARGE_TV in published.FINLAY_STRENGTHS
    assert list(defences.SHORT) == list(defences.MODELS[1:])


def test_the_row_of_a_network_is_that_of_the_statistics(network, digits):
    x, y = digits
    study = defences.of_tables(network, NAME, x, y, GRIDS, steps=5, step=0.05, most_steps=100)
    row = defences.networks(study).iloc[0]
    for column, value in adversarial_statistics.statistics(network, x, y, steps=5, step=0.05, most_steps=100).items():
        assert row[column] == value
    curve = study[study.quantity == "error l2"].set_index("at").value
    found = adversarial_statistics.by_attack(network, x, y, "l2", steps=5)
    assert [curve[at] for at in GRIDS["l2"]] == [float((found <= at).double().mean()) for at in GRIDS["l2"]]
    assert curve[0.0] == row.clean_error
    p = network(x).softmax(1)
    right = p.argmax(1) == y
    assert row.confidence == pytest.approx(p.max(1).values[right].mean().item(), rel=1e-5)


def test_four_attacks_on_the_same_images(network, digits):
    x, y = digits[0][:12], digits[1][:12]
    cw, walker = CarliniWagner(steps=40, step_size=0.1, search_steps=4), Boundary(steps=30)
    study = defences.four_attacks(network, NAME, x, y, GRIDS, steps=5, carlini_wagner=cw, boundary=walker)
    row = defences.networks(study).iloc[0]
    for norm in ("l2", "linf"):
        for attack in defences.ATTACKS:
            curve = study[study.quantity == f"{norm} of {attack}"]
            assert curve["at"].tolist() == GRIDS[norm]
            assert curve.value.is_monotonic_increasing
            assert row[f"{norm} median {attack}"] > 0
    alone = defences.four_attacks(network, NAME, x, y, GRIDS, carlini_wagner=cw, boundary=None)
    assert set(alone.quantity) == {"l2 of CW", "linf of CW", "l2 median CW", "linf median CW"}
    found = evaluation.distances(network, x, y, cw)
    assert alone.loc[alone.quantity == "l2 median CW", "value"].item() == pytest.approx(
        evaluation.median_distance(found)
    )


def test_autoattack_comes_on_top(network, digits):
    x, y = digits
    study = defences.under_autoattack(network, NAME, x, y, {"l2": 0.6, "linf": 0.1}, steps=1, judge_steps=5, queries=20)
    row = defences.networks(study).iloc[0]
    for norm in ("l2", "linf"):
        assert row[f"climbing {norm}"] <= row[f"AutoAttack {norm}"] < 1
    gap = defences.blindness(study)
    assert gap.loc[NAME, "l2"] == pytest.approx(row["AutoAttack l2"] - row["climbing l2"])


def test_the_audit_of_a_network_says_what_the_audit_says(network, digits):
    x, y = digits[0][:10], digits[1][:10]
    study = defences.audited(network, NAME, x, y, {"linf": 0.1}, steps=4)
    passed = study[study.quantity.str.startswith("passed linf, ")].set_index("quantity").value
    assert passed["passed linf, gradients"] == 1
    assert set(passed.unique()) <= {0.0, 1.0}
    assert len(passed) == 5
    assert study.quantity.str.startswith("audit linf, ").sum() > 5


def test_every_comparison_has_the_sign_of_the_effect():
    up, down = defences.comparisons(made(1.0)), defences.comparisons(made(-1.0))
    assert set(up) == set(down)
    reversed_sense = {"little-cost-tv", "little-cost-mild", "jacobian-halved", "gain-tv"}
    for name in set(up) - reversed_sense:
        assert len(up[name]) == 3
        assert min(up[name]) > 0 > max(down[name]), name
    assert up["little-cost-tv"] == pytest.approx([0.02 - 0.002 * (1 + 0.1 * s) for s in range(3)])
    assert up["gain-tv"] == pytest.approx([-0.002 * (1 + 0.1 * s) for s in range(3)])
    assert up["jacobian-halved"] == pytest.approx([3 * (1 + 0.1 * s) - 1 for s in range(3)])


def test_without_the_large_weight_there_is_no_comparison_with_it():
    study = made()
    assert "cost-large" in defences.comparisons(study)
    assert "cost-large" not in defences.comparisons(study[study.model != defences.LARGE_TV])


def test_the_order_of_the_rows_is_a_rank_correlation():
    assert defences.order(defences.networks(made(1.0)), "l2_calls") == pytest.approx([1.0, 1.0, 1.0])
    assert defences.order(defences.networks(made(-1.0)), "l2_calls") == pytest.approx([-1.0, -1.0, -1.0])


def test_the_error_between_two_distances_is_interpolated():
    found = defences.error_within(made(), "l2", 10.0).set_index(["model", "seed"]).error
    assert found[NAME] == pytest.approx(0.5)


def test_a_median_and_an_error_may_contradict_each_other():
    wrong = defences.medians_against_errors([0.1, 0.3, 0.3, 0.1], [60, 40, 60, 40], 0.2)
    assert wrong == pytest.approx([-0.1, -0.1, 0.1, 0.1])


def test_medians_and_errors_of_one_sample_never_contradict_each_other():
    g = np.random.default_rng(0)
    for _ in range(50):
        distances = torch.from_numpy(g.exponential(size=int(g.integers(1, 30))))
        radius = float(g.exponential())
        error = 100 * adversarial_statistics.share_within(distances, radius)
        median = evaluation.median_distance(distances)
        assert defences.medians_against_errors([median], [error], radius)[0] <= 0
