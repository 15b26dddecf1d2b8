"""Stability of two-layer networks in closed form, slopes, intervals and movements."""

# ruff: noqa: N806 - W is the paper's own symbol

import numpy as np
import pytest
import torch
from scipy import stats

from advsmooth import settings
from advsmooth.analysis import early_training, stability
from advsmooth.models import fcn
from advsmooth.theory import initialisation


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


def test_the_closed_form_is_the_estimator():
    x, W, a = normal(300, 6), normal(20, 6, seed=1), normal(20, seed=2)
    exact = early_training.stability(fcn.jacobian([W, a[None]], x)[:, 0])
    found = stability.perturbation_stability(
        lambda s: fcn.forward([W, a[None]], s), x, 0.5, generator=settings.generator(4), perturbations=200
    )
    assert found.mean / 0.5 == pytest.approx(exact.item(), rel=0.02)


def test_its_mean_over_weights_is_definition_1():
    law = initialisation.Response(fcn.Initialisation(0.5, 0.0, 0.2), 30, 1, 2)
    x = normal(1, 6)
    networks = [[0.5 * normal(30, 6, seed=s), 0.2 * normal(1, 30, seed=s + 5000)] for s in range(2000)]
    found = early_training.stability(torch.stack([fcn.jacobian(weights, x)[:, 0] for weights in networks]))
    assert found.mean().item() == pytest.approx(law.stability(6), abs=5 * found.std().item() / 2000**0.5)


def test_exponents_of_powers():
    values = torch.tensor([[8.0, 1.0], [1.0, 2.0], [0.125, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(
        early_training.exponents([1, 2, 4], values), torch.tensor([-3.0, 1.0], dtype=torch.float64)
    )
    with pytest.raises(ValueError, match="two widths"):
        early_training.exponents([4], values[:1])


@pytest.mark.parametrize("count", [0, 3, 40])
def test_the_interval_is_where_the_tails_are_half_of_the_rest(count):
    low, high = early_training.failure_interval(count, 40)
    assert low == 0 if count == 0 else stats.binom.sf(count - 1, 40, low) == pytest.approx(0.005)
    assert high == 1 if count == 40 else stats.binom.cdf(count, 40, high) == pytest.approx(0.005)
    with pytest.raises(ValueError, match="number of trials"):
        early_training.failure_interval(41, 40)


def test_pushes_have_the_length_they_should():
    x = torch.nn.functional.normalize(normal(3, 6), dim=1)
    W, a = normal(20, 6, seed=1), normal(20, seed=2)
    for (moved, smaller), point in zip(early_training.pushed(W, a, x, 0.3, 0.2), x, strict=True):
        torch.testing.assert_close((moved - W).norm(dim=1), torch.full((20,), 0.3, dtype=torch.float64))
        assert ((smaller - a).abs() <= 0.2 + 1e-12).all()
        turned = (moved @ point >= 0) != (W @ point >= 0)
        assert turned.equal((W @ point).abs() < 0.3)


def test_crossing_and_integral():
    times = np.linspace(0, 1, 101)
    values = torch.from_numpy(times**2)
    assert early_training.crossing(times, values, 0.25) == pytest.approx(0.51)
    assert early_training.crossing(times, values, 2.0) == float("inf")
    found = early_training.running_integral(times, torch.stack([values, 2 * values], 1))
    assert found[-1].tolist() == pytest.approx([1 / 3, 2 / 3], abs=1e-4)
