"""Bezier curves: the formula, what training does to them, and batch norm along them."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import data
from advsmooth.analysis import connectivity, empirical
from advsmooth.analysis import parameter_space as space
from advsmooth.analysis.connectivity import CurveFit
from advsmooth.attacks.gradient import PGD


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=64).to("cpu", torch.float64)


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10)).double()


class Plane(nn.Module):
    """Two parameters and a loss with a circular valley: ``(|theta|^2 - 1)^2`` whatever the input."""

    def __init__(self, x: float, y: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([x, y], dtype=torch.float64))

    def forward(self, x):
        return ((self.theta.square().sum() - 1) ** 2).expand(len(x))[:, None]


def valley(logits, _):
    return logits[:, 0]


# --- the curve ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 8), st.floats(0, 1))
def test_bernstein_weights_are_a_binomial_law(order, t):
    weights = connectivity.bernstein(order, t)
    assert sum(weights) == pytest.approx(1)
    assert min(weights) >= 0
    assert sum(i * w for i, w in enumerate(weights)) == pytest.approx(order * t)


@given(st.integers(1, 5), st.floats(0, 1))
def test_the_curve_is_de_casteljaus(order, t):
    g = torch.Generator().manual_seed(order)
    controls = torch.randn(order + 1, 3, generator=g, dtype=torch.float64)
    curve = connectivity.Curve(nn.Identity(), tuple({"theta": c} for c in controls))
    points = controls
    while len(points) > 1:
        points = (1 - t) * points[:-1] + t * points[1:]
    torch.testing.assert_close(curve.at(t)["theta"], points[0])


def test_the_ends_are_the_models_bit_for_bit():
    first, last = network(0), network(1)
    x, y = torch.rand(8, 64, dtype=torch.float64), torch.zeros(8, dtype=torch.int64)
    curve = connectivity.fit(first, last, x, y, CurveFit(order=3, epochs=0))
    for t, model in ((0.0, first), (1.0, last)):
        assert all(torch.equal(value, dict(model.named_parameters())[name]) for name, value in curve.at(t).items())
    third = {
        name: (2 * a + b) / 3
        for (name, a), b in zip(space.point(first).items(), space.point(last).values(), strict=True)
    }
    torch.testing.assert_close(curve.at(1 / 3), third)  # untrained: the straight line, at uniform speed


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [2, 4])
def test_training_goes_around_a_hill_that_the_line_crosses(order):
    x, y = torch.zeros(4, 1, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
    ends = Plane(-1.0, 0.0), Plane(0.6, 0.8)
    how = CurveFit(order=order, epochs=300, batch=4, learning_rate=0.02, drops=(200,))
    places = [i / 20 for i in range(21)]

    def height(curve):
        return connectivity.barrier(connectivity.losses_along(curve, places, statistics=x, x=x, y=y, loss=valley))

    straight = connectivity.fit(*ends, x, y, CurveFit(order=1), loss=valley)
    bent = connectivity.fit(*ends, x, y, how, loss=valley)
    assert height(straight) == pytest.approx(0.64, abs=0.01)  # nearest point to 0: |theta|^2 = 0.2
    assert height(bent) < 0.1
    assert len(bent.controls) == order + 1


def test_the_expected_loss_falls_and_the_seed_decides(digits):
    models = network(0), network(1)
    before = [{name: value.clone() for name, value in m.state_dict().items()} for m in models]
    how = CurveFit(order=2, epochs=6, batch=16, learning_rate=0.1, drops=(4,))
    curves = [connectivity.fit(*models, digits.x, digits.y, how, seed=s) for s in (0, 0, 1)]
    inner = [space.flat(curve.controls[1]) for curve in curves]
    assert torch.equal(inner[0], inner[1])
    assert not torch.equal(inner[0], inner[2])
    line = connectivity.fit(*models, digits.x, digits.y, CurveFit(order=2, epochs=0))
    places = [0.25, 0.5, 0.75]
    losses = [
        connectivity.losses_along(c, places, statistics=digits.x, x=digits.x, y=digits.y)["loss"].mean()
        for c in (line, curves[0])
    ]
    assert losses[1] < 0.8 * losses[0]
    for model, state in zip(models, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert model.training
        assert all(p.grad is None and p.requires_grad for p in model.parameters())


class Watching:
    """An attack that remembers the parameters and the batch norms it meets."""

    def __init__(self) -> None:
        self.met, self.statistics = [], []

    def __call__(self, model, x, y, *, generator=None):  # noqa: ARG002
        assert not model.training
        self.met.append(space.point(model))
        self.statistics.append(model[2].running_mean)
        return x + 0.01 * torch.rand(x.shape, generator=generator, dtype=x.dtype)


def test_the_attack_meets_the_model_on_the_curve_with_the_statistics_of_the_batch(digits):
    attack = Watching()
    how = CurveFit(order=2, epochs=1, batch=32, learning_rate=1e-9, momentum=0.0, weight_decay=0.0, drops=())
    first, last = network(0), network(1)
    connectivity.fit(first, last, digits.x, digits.y, how, attack=attack, seed=3)
    assert len(attack.met) == 2
    ends = space.flat(space.point(first)), space.flat(space.point(last))
    for place in attack.met:  # the learning rate is tiny, so the curve is still the line
        along = space.flat(place) - ends[0]
        t = (along @ (ends[1] - ends[0]) / (ends[1] - ends[0]).square().sum()).item()
        assert 0 < t < 1
        torch.testing.assert_close(space.flat(place), (1 - t) * ends[0] + t * ends[1], atol=1e-6, rtol=0)
    assert attack.statistics == [None, None]


def test_augmentation_is_used_and_seeded(digits):
    seen = []

    def augment(x, generator):
        seen.append(torch.rand((), generator=generator).item())
        return x + 0.0

    how = CurveFit(order=2, epochs=2, batch=64)
    for _ in range(2):
        connectivity.fit(network(0), network(1), digits.x, digits.y, how, augment=augment, seed=4)
    assert len(seen) == 4
    assert seen[:2] == seen[2:]


# --- batch norm and losses along the curve --------------------------------------------------------------------------


def test_statistics_are_those_of_the_inputs(digits):
    model = network(0).train()
    model[0].eval()
    flags = [m.training for m in model.modules()]
    connectivity.reestimate_batch_norm(model, digits.x)
    hidden = model[1](digits.x.flatten(1))
    torch.testing.assert_close(model[2].running_mean, hidden.mean(0))
    torch.testing.assert_close(model[2].running_var, hidden.var(0))
    assert [m.training for m in model.modules()] == flags
    assert model[2].momentum == 0.1
    connectivity.reestimate_batch_norm(model, digits.x[:33], batch=16)  # 16 + 17, not 16 + 16 + 1
    halves = [model[1](part.flatten(1)).mean(0) for part in (digits.x[:16], digits.x[16:33])]
    torch.testing.assert_close(model[2].running_mean, sum(halves) / 2)


def test_batch_norm_is_estimated_anew_at_each_point(digits):
    first, last = network(0), network(1)
    curve = connectivity.fit(first, last, digits.x, digits.y, CurveFit(order=1))
    model = curve.model_at(0.5, digits.x)
    hidden = model[1](digits.x.flatten(1))
    torch.testing.assert_close(model[2].running_mean, hidden.mean(0))
    assert not model.training
    stale = network(0).eval()
    stale.load_state_dict({**first.state_dict(), **curve.at(0.5)})
    fresh_loss, stale_loss = (empirical.mean_loss(m, digits.x, digits.y) for m in (model, stale))
    assert abs(fresh_loss - stale_loss) > 0.01, "old statistics would give another loss"
    table = connectivity.losses_along(curve, [0.5], statistics=digits.x, x=digits.x, y=digits.y, batch=1000)
    assert table["loss"].item() == pytest.approx(fresh_loss)
    with pytest.raises(ValueError, match="statistics=None"):
        curve.model_at(0.5)


def test_losses_along_the_curve_are_losses_and_errors(digits):
    curve = connectivity.fit(network(0), network(1), digits.x, digits.y, CurveFit(order=1))
    attack = PGD(eps=0.1, step_size=0.05, steps=2)
    clean, attacked = (
        connectivity.losses_along(curve, [0.0, 0.3, 1.0], statistics=digits.x, x=digits.x, y=digits.y, attack=a, seed=2)
        for a in (None, attack)
    )
    assert list(clean.columns) == ["t", "loss", "error"]
    assert (attacked["loss"] > clean["loss"]).all()
    model = curve.model_at(0.3, digits.x)
    for table, a in ((clean, None), (attacked, attack)):
        assert table["loss"][1] == empirical.mean_loss(model, digits.x, digits.y, attack=a, seed=2)
        error = empirical.mean_loss(model, digits.x, digits.y, loss=empirical.zero_one, attack=a, seed=2)
        assert table["error"][1] == error


def test_the_barrier_is_above_the_larger_end():
    table = pd.DataFrame({"t": [0.0, 0.5, 1.0], "loss": [1.0, 5.0, 2.0]})
    assert connectivity.barrier(table) == 3.0
    assert connectivity.barrier(table.assign(loss=[1.0, 0.5, 2.0])) == 0.0
    with pytest.raises(ValueError, match="needs the two ends"):
        connectivity.barrier(table[:2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CurveFit(order=0), "order >= 1"),
        (lambda: CurveFit(learning_rate=math.inf), "learning_rate > 0"),
        (lambda: connectivity.bernstein(2, 1.1), "t=1.1"),
        (
            lambda: connectivity.fit(nn.Linear(2, 2), nn.Linear(2, 3), torch.ones(1, 2), torch.zeros(1), CurveFit()),
            "parameter 'weight' differs",
        ),
        (
            lambda: connectivity.fit(
                nn.Linear(2, 2), nn.Linear(2, 2, bias=False), torch.ones(1, 2), torch.zeros(1), CurveFit()
            ),
            "parameter 'bias' differs",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
