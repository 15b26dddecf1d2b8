"""Bounds on the share of large gradients against linear programming, exact losses against search and autograd."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from advsmooth.settings import generator
from advsmooth.theory import large_gradients as lg

F64 = torch.float64


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=F64)


# --- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [1.0, 2.0])
@pytest.mark.parametrize("gamma", [1.5, 3.0, 4.0, 5.0, 8.0])
def test_the_tail_bound_is_the_value_of_the_linear_programme(gamma, centre):
    assert lg.largest_share(gamma, centre) == pytest.approx(float(lg.tail_bound(gamma, centre)), abs=1e-6)


@given(st.floats(1.0, 50.0), st.sampled_from([0.5, 1.0, 2.0]))
def test_the_worst_law_meets_the_premise_and_attains_the_bound(gamma, centre):
    norms, p = lg.worst_law(gamma, centre)
    assert p.sum() == pytest.approx(1)
    assert (p * (norms**2 - 2 * centre * norms)).sum() == pytest.approx(0, abs=1e-9 * gamma**2)
    assert p[norms >= min(gamma, 2 * centre)].sum() == pytest.approx(float(lg.tail_bound(gamma, centre)))


@given(st.floats(2.0, 1e3))
def test_the_bounds_in_their_order(gamma):
    ordered = [lg.moment_bound(gamma), lg.tail_bound(gamma, 1), lg.printed_bound(gamma), lg.tail_bound(gamma, 2)]
    assert np.all(np.diff(ordered) >= -1e-12)


def test_the_iterations_needed_are_exactly_enough():
    for noise, drop in ((0.0, 0.0), (1.0, 2.0), (7.0, 0.3)):
        c = lg.Constants(0.7, 1.3, noise, drop)
        t = c.iterations_needed()
        assert c.moment(t) < 4 * c.jump**2
        assert t <= 2 or c.moment(t - 1) >= 4 * c.jump**2 * (1 - 1e-9)
        assert c.envelope_tail(3.0, t - 1) == 1


def test_the_envelope_tail_vanishes_above_two_only():
    c = lg.Constants(1.0, 1.0, 1.0, 1.0)
    assert c.envelope_tail(2.01, 10**16) < 0.01
    assert c.envelope_tail(2.0, 10**16) == 1
    assert c.envelope_tail(3.0, 40_000) == pytest.approx(4.5 * 6 / 200)


def test_the_descent_moment_without_noise_and_its_limit():
    c = lg.Constants(1.0, 2.0, 0.0, 3.0, 5.0)
    assert c.descent_moment(100, 1) == pytest.approx((6 + 25) / 10)
    noisy = lg.Constants(1.0, 2.0, 4.0, 3.0, 5.0)
    found = [noisy.descent_moment(t, round(t ** (1 / 3))) for t in (10**3, 10**6, 10**12, 10**18)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.1


# --- losses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dent", [0.0, 0.3])
def test_the_wave_is_the_exact_maximum_and_has_its_gradient(dent):
    wave = lg.Wave(0.4, 0.7, 2.0, dent)
    theta = 2 * normal(0, 40, 1)
    theta.requires_grad_(True)
    inputs = torch.linspace(-0.3, 1.1, 2001, dtype=F64)
    clean = inputs * theta.sin() + 2.0 * (1 - theta.cos()) - dent * (theta - 1).sin().abs()
    searched = clean.amax(1)
    torch.testing.assert_close(wave.losses(theta)[:, 0], searched, atol=1e-12, rtol=0)
    (slope,) = torch.autograd.grad(wave.losses(theta).sum(), theta)
    torch.testing.assert_close(wave.gradients(theta.detach())[:, 0], slope, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dent", [0.0, 0.6])
@pytest.mark.parametrize(("x", "eps", "kappa"), [(0.0, 1.0, 0.0), (0.9, 1.0, 4.0), (-0.2, 0.5, 1.0)])
def test_the_constants_of_the_wave(x, eps, kappa, dent):
    wave = lg.Wave(x, eps, kappa, dent)
    c = wave.constants(2.5)
    a, b = 4 * normal(1, 4000, 1), 4 * normal(2, 4000, 1)
    change = (wave.gradients(a) - wave.gradients(b)).abs()[:, 0, 0]
    assert (change <= c.curvature * (a - b).abs()[:, 0] + 2 * c.jump + 1e-12).all()
    assert wave.gradients(a).abs().max() <= c.lipschitz
    tiny = torch.tensor([[1e-12], [-1e-12]], dtype=F64)
    assert (wave.gradients(tiny)[0] - wave.gradients(tiny)[1]).item() == pytest.approx(2 * eps)
    grid = torch.linspace(-7, 7, 20001, dtype=F64)[:, None]
    if dent == 0:
        assert wave.losses(grid).min() == pytest.approx(0, abs=1e-3)
    first = torch.tensor([[2.5]], dtype=F64)
    assert c.drop >= (wave.losses(first) - wave.losses(grid).min()).item() - 1e-9
    clean = x * grid.sin() + kappa * (1 - grid.cos()) - dent * (grid - 1).sin().abs()
    start = x * math.sin(2.5) + kappa * (1 - math.cos(2.5)) - dent * abs(math.sin(1.5))
    assert c.drop >= start - clean.min().item() - 1e-9
    with pytest.raises(ValueError, match="allowed is at most"):
        lg.Wave(2.0, 1.0, 1.0).constants(0.0)


def relu() -> lg.ReluNetwork:
    x = torch.linspace(-2, 2, 9, dtype=F64)
    return lg.ReluNetwork(
        torch.tensor([1.0, -1.0, 0.5, -2.0], dtype=F64), x, torch.where(x > 0.3, 1.0, -1.0).double(), 0.4
    )


def test_the_worst_input_of_a_relu_network_is_that_of_a_search():
    net, theta = relu(), normal(3, 30, 8)
    grid = net.x[:, None] + torch.linspace(-0.4, 0.4, 4001, dtype=F64)
    searched = net.margins_at(theta, grid.expand(30, -1, -1)).amin(2)
    exact = net.margins(theta)
    assert (exact <= searched + 1e-12).all()
    torch.testing.assert_close(exact, searched, atol=5e-3, rtol=0)
    assert ((net.worst_inputs(theta) - net.x).abs() <= 0.4 + 1e-12).all()


def test_the_gradient_of_a_relu_network_by_differences():
    net, theta = relu(), normal(4, 20, 8)

    def value(t: torch.Tensor) -> torch.Tensor:
        return -torch.nn.functional.logsigmoid(net.margins(t))

    h, found = 1e-6, net.gradients(theta)
    steps = h * torch.eye(8, dtype=F64)
    numeric = torch.stack([(value(theta + e) - value(theta - e)) / (2 * h) for e in steps], 2)
    near = (numeric - found).abs().amax(2) < 1e-5
    assert near.all()
    assert (found.norm(dim=2) <= net.out.norm() * math.sqrt(1 + 2.4**2)).all()


@pytest.mark.parametrize("gamma", [2.5, 4.0])
def test_a_climb_and_fall_ends_no_lower_than_it_began(gamma):
    pace = lg.climb_then_fall(gamma, 0.5, 2.0, 4000)
    made = lg.Spiked.of(pace, 0.5, 2.0, 4000)
    assert made.losses[-1] >= 0
    assert made.losses[-1] < 0.2
    assert made.losses.min() >= 0
    share = (made.norms >= gamma * 0.5 * (1 - 1e-12)).mean()
    assert share == pytest.approx(float(lg.tail_bound(gamma, 1)), abs=0.02)
    s = made.positions
    slopes = np.diff([pace(v) for v in s]) / np.diff(s)
    assert np.abs(slopes).max() <= 2.0 + 1e-9
    nodes = np.linspace(s[0], s[-1], 400_001)
    total = np.trapezoid([1.0 - pace(v) for v in nodes], nodes)
    assert made.losses[-1] == pytest.approx(total, abs=1e-3)


def test_a_gradient_always_above_two():
    pace = lg.always_above_two(0.5, 2.0)
    for steps in (64, 4096):
        made = lg.Spiked.of(pace, 0.5, 2.0, steps)
        assert made.norms.min() > 1.0
        assert made.losses.min() > -4 * 0.25 / 2
    s = np.linspace(0, 20, 5001)
    assert np.abs(np.diff([pace(v) for v in s]) / np.diff(s)).max() <= 2.0


# --- runs -----------------------------------------------------------------------------------------------------------


def test_descent_is_gradient_descent():
    wave = lg.Wave(0.3, 0.5, 2.0)
    made = lg.descend(
        wave.gradients,
        torch.tensor([[1.0], [-2.0]], dtype=F64),
        steps=25,
        curvature=2.5,
        generator=generator(0),
        batch=0,
    )
    theta, norms = torch.tensor([[1.0], [-2.0]], dtype=F64), []
    for _ in range(25):
        slope = wave.gradients(theta)[:, 0]
        norms.append(slope.abs()[:, 0])
        theta = theta - slope / (2.5 * 5)
    torch.testing.assert_close(made.norms, torch.stack(norms))
    torch.testing.assert_close(made.last, theta)
    assert made.noise == 0
    limits = np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(made.shares(limits), [(made.norms > c).double().mean(0).numpy() for c in limits])


def test_one_example_a_step_is_unbiased_and_its_variance_is_reported():
    values = torch.tensor([-1.0, 0.0, 4.0], dtype=F64)
    made = lg.descend(
        lambda theta: values[None, :, None].expand(len(theta), -1, -1),
        torch.zeros(20_000, 1, dtype=F64),
        steps=1,
        curvature=1.0,
        generator=generator(1),
    )
    assert made.noise == pytest.approx(values.std(unbiased=False).item())
    assert -made.last.mean().item() == pytest.approx(1.0, abs=0.08)


def test_the_jump_seen_by_a_run_is_at_most_the_true_one_and_close_to_it():
    made = lg.on_wave(lg.Wave(0.0, 0.8, 2.0), start=0.5, noise=0.0, steps=2000, runs=2, generator=generator(0))
    assert 0.75 < made.runs.jump <= 0.8 + 1e-9


def test_the_interval_covers():
    draws = stats.bernoulli(0.3).rvs((2000, 40), random_state=0).astype(float)
    _, low, high = lg.confidence(draws, 0.9)
    assert 0.86 < ((low <= 0.3) & (high >= 0.3)).mean() < 0.94
    assert lg.confidence(np.zeros((1, 10)))[2][0] == 0


def test_the_theorem_on_a_linear_model():
    x, y = normal(5, 30, 3), torch.tensor([1.0, -1.0] * 15, dtype=F64)
    for norm in ("l2", "linf"):
        made = lg.on_linear_model(x, y, 0.2, norm, steps=600, runs=8, generator=generator(6))
        assert made.moment()[1] <= made.constants.moment(600) / made.constants.jump**2
        assert made.runs.jump <= made.constants.jump


def test_principal_directions_keep_what_they_can():
    x = normal(7, 50, 5) * torch.tensor([3.0, 2.0, 0.01, 0.01, 0.01], dtype=F64)
    found = lg.digits_in_few_dimensions(x, 40, 2)
    assert found.shape == (40, 2)
    centred = x[:40] - x[:40].mean(0)
    assert found.square().sum() == pytest.approx(centred.square().sum().item(), rel=1e-3)


def test_the_step_from_the_kink_against_the_folded_normal():
    mean, right = lg.one_step_from_the_kink(10.0, 400, 400_000, generator(8))
    assert mean == pytest.approx(stats.foldnorm(0.1, scale=10).mean(), abs=0.04)
    assert right == pytest.approx(4.0)
