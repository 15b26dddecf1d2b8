"""Certified minima against other optimisers, and where they leave the constant classifier."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import optimize

from advsmooth import data
from advsmooth.settings import generator
from advsmooth.theory import constant_classifier as cc
from advsmooth.theory import version_space as vs
from advsmooth.theory import worst_case_training as wt

INF = math.inf
LOG3 = math.log(3)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def clouds(seed: int, sizes: tuple[int, ...], d: int = 2, std: float = 0.7) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return draw(seed, len(sizes), d)[y] + std * draw(seed + 1, len(y), d), y


@pytest.mark.parametrize("p", vs.NORMS)
def test_the_certified_minimum_against_another_optimiser(p: float) -> None:
    x, y = clouds(10, (15, 15, 15))
    radius = cc.collapse_radius(cc.class_means(x, y)[0], p).upper
    for share in (0.5, 0.8):
        found = wt.minimise(x, y, share * radius, p, relative_gap=1e-3)
        assert 0 <= found.gap <= 1e-3 * (LOG3 - found.lower) + 1e-7

        def objective(flat: np.ndarray, eps: float = share * radius) -> float:
            return cc.adversarial_loss(x, y, torch.from_numpy(flat.reshape(3, 2)), eps, p)

        other = optimize.minimize(
            objective,
            found.weights.numpy().ravel() * 0.9,
            method="Nelder-Mead",
            options={"maxfev": 1500, "xatol": 1e-7},
        )
        assert other.fun >= found.lower - 1e-9
        assert other.fun <= found.upper + 5e-3


@pytest.mark.parametrize(("sizes", "bias"), [((20, 20, 20), False), ((32, 18, 10), False), ((32, 18, 10), True)])
@pytest.mark.parametrize("p", vs.NORMS)
def test_the_minimum_leaves_the_constant_exactly_at_the_radius(p: float, sizes: tuple[int, ...], bias: bool) -> None:
    x, y = clouds(12, sizes)
    means, pi = cc.class_means(x, y)
    radius = cc.collapse_radius(means, p, shares=pi, bias=bias).upper
    constant = -float((pi * pi.log()).sum()) if bias else LOG3
    below = wt.minimise(x, y, 0.9 * radius, p, bias=bias)
    above = wt.minimise(x, y, 1.02 * radius, p, bias=bias)
    assert below.upper < constant - 1e-4
    assert above.upper == pytest.approx(constant, abs=1e-12)
    assert above.lower == pytest.approx(constant, abs=2e-6)
    assert above.weights.abs().max() == 0


@pytest.mark.parametrize("p", vs.NORMS)
def test_two_classes_have_half_the_distance_of_their_means(p: float) -> None:
    x, y = clouds(13, (25, 25), d=5)
    means, _ = cc.class_means(x, y)
    half = float(vs.norm(means[0] - means[1], p)) / 2
    assert wt.minimise(x, y, 0.95 * half, p).upper < math.log(2) - 1e-5
    assert wt.minimise(x, y, 1.01 * half, p).lower == pytest.approx(math.log(2), abs=2e-6)


def test_digits_in_64_dimensions() -> None:
    loaded = data.load("digits")
    x = torch.cat([loaded.x[loaded.y == k][:40].flatten(1) for k in (0, 7, 9)]).double()
    y = torch.arange(3).repeat_interleave(40)
    means, _ = cc.class_means(x, y)
    radius = cc.collapse_radius(means, INF)
    assert radius.upper == pytest.approx(float((means.amax(0) - means.amin(0)).max()) / 2)
    close = wt.minimise(x, y, 0.97 * radius.upper, INF)
    assert close.upper < LOG3 - 1e-5
    used = close.weights.abs().amax(0)
    assert int((used > 1e-3 * used.max()).sum()) < 6  # of 64 pixels


def test_more_than_three_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="allowed are 2 or 3 classes"):
        wt.minimise(*clouds(0, (3, 3, 3, 3)), 0.1, INF)


def test_separable_data_have_a_loss_near_zero() -> None:
    """The weights would grow for ever; the box stops them, and the trivial lower bound closes the gap."""
    y = torch.arange(3).repeat_interleave(5)
    x = 4 * torch.eye(3, dtype=torch.float64)[y] + 0.1 * draw(20, 15, 3)
    found = wt.minimise(x, y, 0.3, INF)
    assert 0 <= found.lower <= found.upper < 0.02


@pytest.mark.parametrize("p", vs.NORMS)
def test_the_smooth_norm_is_below_the_norm_and_its_gradient_is_an_allowed_step(p: float) -> None:
    u = draw(21, 30, 4).numpy()
    size, step = wt._smooth_norm(u, p, 0.1)
    exact = vs.norm(torch.from_numpy(u), vs.dual_exponent(p)).numpy()
    assert (size <= exact + 1e-12).all()
    assert (exact - size <= 0.1 * max(4, math.log(8)) + 1e-12).all()
    assert (vs.norm(torch.from_numpy(step), p) <= 1 + 1e-12).all()
    moved = wt._smooth_norm(u + 1e-6 * draw(22, 4).numpy(), p, 0.1)[0]
    expected = 1e-6 * (step * draw(22, 4).numpy()).sum(1)
    np.testing.assert_allclose(moved - size, expected, atol=1e-10)


@pytest.mark.parametrize("share", [0.999, 0.9999, 1.0001])
def test_a_gain_below_the_tolerance_is_still_found(share: float) -> None:
    x, y = clouds(23, (20, 20, 20))
    radius = cc.collapse_radius(cc.class_means(x, y)[0], INF).upper
    found = wt.minimise(x, y, share * radius, INF)
    assert (found.upper < LOG3) == (share < 1)
    assert cc.adversarial_loss(x, y, found.weights, share * radius, INF) == pytest.approx(found.upper, abs=1e-14)


@pytest.mark.parametrize("p", vs.NORMS)
@pytest.mark.parametrize("bias", [False, True])
def test_the_derivatives_of_the_smoothed_loss(p: float, bias: bool) -> None:
    x, y = clouds(24, (7, 6, 5), d=4)
    flat = draw(25, 15).numpy()
    problem = wt._Smoothed.of(x, y, 0.3, p, bias).focused(flat, nodes=9)
    steps = 1e-6 * np.eye(15)
    up, down = ([problem.value(flat + sign * step, 0.3) for step in steps] for sign in (1, -1))
    gradient = [(a[0] - b[0]) / 2e-6 for a, b in zip(up, down, strict=True)]
    hessian = [(a[1] - b[1]) / 2e-6 for a, b in zip(up, down, strict=True)]
    np.testing.assert_allclose(problem.value(flat, 0.3)[1], gradient, atol=1e-8)
    np.testing.assert_allclose(problem.hessian(flat, 0.3), hessian, atol=1e-8)
    found = problem.newton(flat, 0.3)
    assert np.abs(problem.value(found, 0.3)[1]).max() < 1e-8


@pytest.mark.parametrize("p", vs.NORMS)
def test_few_images_in_many_dimensions(p: float) -> None:
    """Fewer inputs than dimensions: everything hangs on the adversary's mixture being exactly right."""
    loaded = data.load("digits")
    x = torch.cat([loaded.x[loaded.y == k][:20].flatten(1) for k in (3, 9)]).double()
    y = torch.arange(2).repeat_interleave(20)
    radius = cc.collapse_radius(cc.class_means(x, y)[0], p).upper
    for share in (0.97, 1.0):
        found = wt.minimise(x, y, share * radius, p)
        assert found.gap <= max(0.02 * (math.log(2) - found.lower), 1e-6)
