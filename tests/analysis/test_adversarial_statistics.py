"""Columns of a table of defences against exact distances of linear models, and against attacks one image at a time."""

import itertools
import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from advsmooth import data, settings
from advsmooth.analysis import adversarial_statistics as statistics
from advsmooth.analysis import input_gradient
from advsmooth.attacks import ball, evaluation
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.minimal import DeepFool


class TwoClasses(nn.Module):
    """Logits ``+-(a.x - b) / 2``: the distance to the boundary is ``|a.x - b|`` over the dual norm of ``a``."""

    def __init__(self, d=16):
        super().__init__()
        self.a = nn.Parameter(torch.randn(d, generator=settings.generator(1)))
        self.b = float(self.a.detach().sum()) / 2

    def forward(self, x):
        gap = (functional.linear(x.flatten(1), self.a[None]) - self.b) / 2
        return torch.cat([gap, -gap], 1)


@pytest.fixture(scope="module")
def linear():
    """A model and 24 images near the middle of the box, so that no attack meets its walls; a quarter mislabelled."""
    model = TwoClasses()
    x = 0.5 + 0.1 * (torch.rand(24, 1, 4, 4, generator=settings.generator(0)) - 0.5)
    y = model(x).argmax(1)
    y[::4] = 1 - y[::4]
    gap = (functional.linear(x.flatten(1), model.a[None])[:, 0] - model.b).abs().detach().double()
    exact = {"l2": gap / model.a.norm().item(), "linf": gap / model.a.abs().sum().item()}
    wrong = torch.arange(len(x)) % 4 == 0
    return model, x, y, {norm: d.masked_fill(wrong, 0) for norm, d in exact.items()}


@pytest.fixture(scope="module")
def digits():
    part = data.load("digits", "test", n=24)
    return part.x, part.y


@pytest.fixture(scope="module")
def trained():
    """A small network with batch norm and kinks, trained on digits for a moment; in eval mode."""
    whole = data.load("digits")
    torch.manual_seed(0)  # torch's own layers draw from the global generator
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        functional.cross_entropy(model(whole.x), whole.y).backward()
        optimiser.step()
    optimiser.zero_grad()
    return model.eval()


@pytest.mark.parametrize("norm", ball.NORMS)
def test_the_distances_of_a_linear_model_are_exact(linear, norm):
    """With two classes every gradient points straight to the boundary."""
    model, x, y, exact = linear
    found = statistics.by_attack(model, x, y, norm)
    assert (found >= exact[norm] * (1 - 1e-4)).all()
    # the walk back of 6 halvings from a radius a third too far, and for l2 a random start that may end off the normal
    assert (found <= exact[norm] * 1.1 + 0.05 / 2**6).all()


def test_the_row_of_a_linear_model(linear):
    model, x, y, exact = linear
    row = statistics.statistics(model, x, y, l2_at=0.02, linf_at=0.005, step=0.001)
    assert row["clean_error"] == 0.25
    for norm in ball.NORMS:
        true = exact[norm].sort().values[11].item()
        assert row[f"{norm}_median"] == pytest.approx(true, rel=0.05, abs=1e-3)
        assert row[f"{norm}_any"] <= min(row[f"{norm}_median"], row[f"{norm}_deepfool"])
    assert row["l2_error"] == pytest.approx((exact["l2"] <= 0.02).double().mean().item(), abs=1 / 24)
    assert row["l2_calls"] == pytest.approx(1 + 2 * exact["l2"][exact["l2"] > 0].median().item() / 0.001, abs=4)
    p = model(x).softmax(1)
    own = p.gather(1, y[:, None])[:, 0]
    length = model.a.norm()
    assert row["mean_grad_loss"] == pytest.approx(((1 - own) * length).mean().item(), rel=1e-5)
    assert row["max_grad_model"] == pytest.approx((p.prod(1) * length).max().item(), rel=1e-5)


def test_gradients_of_logits_on_request(linear):
    model, x, y, _ = linear
    row = statistics.statistics(model, x, y, outputs="logits", most_steps=1)
    assert row["mean_grad_model"] == pytest.approx(model.a.norm().item() / 2, rel=1e-5)
    with pytest.raises(ValueError, match="probabilities or logits"):
        statistics.statistics(model, x, y, outputs="labels")


def test_columns_agree_with_the_functions_behind_them(linear):
    model, x, y, _ = linear
    measured = statistics.found(model, x, y, seed=3)
    row = statistics.statistics(model, x, y, seed=3)
    assert row == statistics.statistics(model, x, y, seed=3, distances=measured)
    own = input_gradient.statistics(model, x, y)
    assert (row["max_grad_loss"], row["mean_grad_model"]) == (own.loss_lipschitz, own.model_variation)
    both = torch.minimum(measured.climbing["l2"], measured.deepfool["l2"])
    assert row["l2_any"] == evaluation.median_distance(both)


def test_points_of_a_minimal_attack_in_both_norms(linear):
    model, x, y, _ = linear
    found = statistics.in_both_norms(model, x, y, DeepFool())
    again = evaluation.distances(model, x, y, DeepFool())
    assert torch.allclose(found["l2"], again)
    assert (found["linf"] <= found["l2"]).all()
    assert (found["l2"] <= 4 * found["linf"] + 1e-9).all()  # the root of 16 pixels


def test_an_attack_that_finds_nothing_has_infinite_distances(linear):
    _, x, y, _ = linear

    def constant(z):
        return torch.tensor([[1.0, 0.0]]).expand(len(z), 2) + 0 * z.flatten(1).sum(1, keepdim=True)

    found = statistics.in_both_norms(constant, x, y, DeepFool())
    assert torch.equal(found["l2"].isinf(), y == 0)
    walked = statistics.walk(constant, x, y, step=0.1, steps=3)
    assert torch.equal(walked.calls.isinf(), y == 0)
    assert walked.median_calls() == math.inf


def test_a_walk_costs_what_a_counting_attack_costs_on_each_image(trained, digits):
    x, y = digits[0][:24], digits[1][:24]
    walked = statistics.walk(trained, x, y, step=0.05, steps=100)
    attack = PGD(eps=8.0, norm="l2", steps=100, step_size=0.05, random_start=False, early_stop=True)
    counted = evaluation.model_calls(trained, x, y, attack)
    kept = counted.example.tolist()
    assert walked.calls[kept].tolist() == counted.calls.tolist()
    assert walked.distance[kept].tolist() == pytest.approx(counted.distance.tolist(), rel=1e-5)
    assert (walked.steps[[k for k in range(24) if k not in kept]] == 0).all()
    assert walked.median_calls() == counted.calls.sort_values().iloc[(len(kept) - 1) // 2]


def test_a_walk_stays_in_the_box_and_leaves_the_flags(trained, digits):
    x, y = digits[0][:8], digits[1][:8]
    trained.train()
    try:
        short = statistics.walk(trained, x, y, step=3.0, steps=2)
        assert trained.training
    finally:
        trained.eval()
    assert (short.distance[short.distance.isfinite()] <= 8).all()  # the diagonal of the box
    assert all(p.grad is None for p in trained.parameters())


@pytest.mark.parametrize(("step", "steps"), [(0.0, 5), (math.inf, 5), (0.1, 0)])
def test_a_walk_without_steps_is_refused(linear, step, steps):
    model, x, y, _ = linear
    with pytest.raises(ValueError, match="positive length and at least 1 step"):
        statistics.walk(model, x, y, step=step, steps=steps)


def test_no_time_to_attack_without_a_correct_image(linear):
    model, x, _, _ = linear
    with pytest.raises(ValueError, match="nothing to attack"):
        statistics.walk(model, x, 1 - model(x).argmax(1), step=0.1, steps=5).median_calls()
    row = statistics.statistics(model, x, 1 - model(x).argmax(1))
    assert (row["clean_error"], row["l2_median"]) == (1.0, 0.0)
    assert math.isnan(row["l2_calls"])


@given(low=st.floats(1e-3, 1.0), ratio=st.floats(1.01, 100.0), n=st.integers(2, 30))
def test_radii_are_evenly_spaced_on_a_logarithmic_scale(low, ratio, n):
    found = statistics.radii(low, low * ratio, n)
    assert len(found) == n
    assert found[0] == low
    assert found[-1] == pytest.approx(low * ratio)
    steps = [b / a for a, b in itertools.pairwise(found)]
    assert max(steps) == pytest.approx(min(steps))
    assert statistics.radii(low, low * ratio, n) == found


@pytest.mark.parametrize(("low", "high", "n"), [(0.0, 1.0, 3), (1.0, 1.0, 3), (0.1, 1.0, 1), (0.1, math.inf, 3)])
def test_bad_radii_are_refused(low, high, n):
    with pytest.raises(ValueError, match="low < high"):
        statistics.radii(low, high, n)


def test_differences_are_taken_seed_by_seed():
    table = pd.DataFrame({"model": ["a", "b", "a", "b", "a"], "seed": [0, 0, 1, 1, 2], "v": [1.0, 3.0, 2.0, 7.0, 9.0]})
    assert statistics.paired(table, "v", "b", "a") == [2.0, 5.0]
    with pytest.raises(ValueError, match="model 'c'"):
        statistics.paired(table, "v", "c", "a")
