"""Langevin sampling against Gaussians, quadrature and the optimiser; moments and their standard errors."""

from __future__ import annotations

import math

import pytest
import torch

from advsmooth import checks, settings
from advsmooth.theory import entropy, langevin


def draws(potential, d, noise=2**0.5, chains=20_000, rate=0.4, steps=80, seed=0):
    g = settings.generator(seed)
    start = torch.randn(chains, d, generator=g, dtype=torch.float64)
    return langevin.adjusted(potential, start, rate=rate, steps=steps, generator=g, noise=noise)


def agrees(found, mean, covariance):
    for estimate, error, exact in (
        (found.mean, found.mean_error, mean),
        (found.covariance, found.covariance_error, covariance),
    ):
        assert checks.agrees("", "", estimate=estimate, standard_error=error, exact=exact, sample="").held


@pytest.mark.parametrize("noise", [0.3, 1.0, math.sqrt(2)])
def test_a_gaussian_of_the_stated_temperature(noise):
    """exp(-2 U / noise^2) for a quadratic U has covariance noise^2 / 2 times the inverse Hessian, at any step size."""
    matrix = torch.tensor([[1.5, 0.4], [0.4, 0.8]], dtype=torch.float64)
    sample, accepted = draws(lambda t: ((t - 1) @ matrix * (t - 1)).sum(1) / 2, 2, noise)
    agrees(langevin.moments(sample), torch.ones(2).double(), noise**2 / 2 * torch.linalg.inv(matrix))
    assert 0.5 < accepted < 1.0


def test_a_loss_with_a_kink_against_quadrature():
    theta, gamma, loss = torch.tensor([[0.7]], dtype=torch.float64), 1.0, entropy.hill_with_a_kink(0.5, 0.6)
    exact = entropy.local_entropy(loss, theta, gamma, entropy.grid(-12, 12))
    sample, _ = draws(lambda t: loss(t) + gamma / 2 * (t - theta).square().sum(1), 1, rate=0.6)
    agrees(langevin.moments(sample), exact.mean[0], exact.covariance[0])


def test_without_the_test_of_metropolis_a_large_step_is_biased():
    """The unadjusted law of a Gaussian has variance 1 / (1 - rate / 2); the adjusted one does not."""
    g, rate = settings.generator(1), 0.8
    state = torch.randn(20_000, 1, generator=g, dtype=torch.float64)
    for _ in range(40):
        state = state - rate * state + math.sqrt(2 * rate) * torch.randn(state.shape, generator=g, dtype=torch.float64)
    assert state.var().item() == pytest.approx(1 / (1 - rate / 2), rel=0.06)
    adjusted, _ = draws(lambda t: t.square().sum(1) / 2, 1, rate=rate)
    assert adjusted.var().item() == pytest.approx(1.0, rel=0.06)


def test_standard_errors_are_the_spread_of_repeated_estimates():
    g = settings.generator(2)
    mix = torch.tensor([[1.0, 0.0], [0.7, 0.5]], dtype=torch.float64)
    found = [langevin.moments(torch.randn(400, 2, generator=g, dtype=torch.float64) @ mix.T) for _ in range(400)]
    for name in ("mean", "covariance"):
        spread = torch.stack([getattr(one, name) for one in found]).std(0)
        stated = torch.stack([getattr(one, f"{name}_error") for one in found]).mean(0)
        torch.testing.assert_close(stated, spread, rtol=0.15, atol=0)
    one = found[0]
    assert one.covariance.shape == one.covariance_error.shape == (2, 2)


def test_bad_input_is_refused_in_one_line():
    start = torch.zeros(3, 1, dtype=torch.float64)
    for settings_ in ({"rate": 0.0, "steps": 3}, {"rate": 0.1, "steps": 0}, {"rate": 0.1, "steps": 1, "noise": 0.0}):
        with pytest.raises(ValueError, match="allowed are positive"):
            langevin.adjusted(lambda t: t.square().sum(1), start, generator=settings.generator(0), **settings_)
    with pytest.raises(ValueError, match="at least 2"):
        langevin.moments(start[:1])
