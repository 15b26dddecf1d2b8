"""The floor of networks without biases: against Jacobians, Monte Carlo and optimisation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from advsmooth import settings
from advsmooth.analysis import homogeneity, stability
from advsmooth.analysis.early_training import direction_mean
from advsmooth.models import fcn


@pytest.mark.parametrize(("d", "m", "L"), [(1, 8, 2), (5, 8, 3), (20, 16, 6)])
def test_no_network_lies_below_the_floor(d, m, L):  # noqa: N803
    net = fcn.FCN(d, m, 7, L, generator=3, dtype=torch.float64)
    x = torch.randn(30, d, generator=settings.generator(0), dtype=torch.float64)
    with torch.no_grad():
        floor, jacobian = homogeneity.floor(net(x), x), net.jacobian(x)
    spectral = torch.linalg.matrix_norm(jacobian, 2)  # E|J v| is at least c_d times it
    assert bool((floor <= direction_mean(d) * spectral * (1 + 1e-12)).all())
    measured = stability.perturbation_stability(net, x, 1.0, generator=settings.generator(1), perturbations=200)
    assert floor.mean() <= measured.mean * 1.03  # Monte Carlo; with d = 1 both are equal


def test_the_floor_is_attained_by_a_jacobian_of_rank_one_along_the_input():
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    weights = fcn.draw_weights(2, 8, 3, 3, "he", 0, dtype=torch.float64)
    weights[0] = weights[0] @ x.T @ x
    jacobian = fcn.jacobian(weights, x)[0]
    assert torch.linalg.svdvals(jacobian)[1] < 1e-10
    floor = homogeneity.floor(fcn.forward(weights, x), x).item()
    assert floor == pytest.approx(direction_mean(2) * torch.linalg.matrix_norm(jacobian, 2).item(), rel=1e-12)


@given(loss=st.floats(1e-6, 2.0), o=st.integers(2, 100), seed=st.integers(0, 1000))
def test_outputs_of_a_small_loss_are_large(loss, o, seed):
    """Random outputs moved along their label until they have the loss; then their norm is compared."""
    f = np.random.default_rng(seed).standard_normal(o)

    def of(shift):
        return special.logsumexp(f + shift * (np.arange(o) == 0)) - (f[0] + shift)

    shift = optimize.brentq(lambda s: of(s) - loss, -60, 60)
    assert np.linalg.norm(f + shift * (np.arange(o) == 0)) >= homogeneity.logit_norm(loss, o) - 1e-6


@pytest.mark.parametrize("o", [2, 3, 10])
def test_equal_gaps_attain_it(o):
    gap = 2.5
    f = np.full(o, -gap / o)
    f[0] = gap * (o - 1) / o  # the shortest vector with these gaps
    loss = special.logsumexp(f) - f[0]
    assert np.linalg.norm(f) == pytest.approx(homogeneity.logit_norm(loss, o), rel=1e-12)


def test_a_mean_loss_will_do():
    losses = np.array([1e-3, 0.1, 0.7, 2.5])
    mean = np.mean([homogeneity.logit_norm(v, 10) for v in losses])
    assert mean > homogeneity.logit_norm(losses.mean(), 10)


def test_guessing_needs_no_outputs():
    assert homogeneity.logit_norm(math.log(10), 10) == pytest.approx(0, abs=1e-12)
    assert homogeneity.floor_at_loss(0.1, d=9, o=10, norm=2.0) == pytest.approx(
        direction_mean(9) * homogeneity.logit_norm(0.1, 10) / 2
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: homogeneity.floor(torch.ones(3), torch.ones(3, 2)), "need"),
        (lambda: homogeneity.floor(torch.ones(2, 3), torch.ones(3, 2)), "need"),
        (lambda: homogeneity.floor(torch.ones(2, 3), torch.zeros(2, 2)), "norm 0"),
        (lambda: homogeneity.logit_norm(0.0, 10), "loss=0.0"),
        (lambda: homogeneity.logit_norm(0.1, 1), "o=1"),
        (lambda: homogeneity.floor_at_loss(0.1, d=4, o=3, norm=0.0), "norm=0.0"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, said):
    with pytest.raises(ValueError, match=said) as error:
        call()
    assert "\n" not in str(error.value)
