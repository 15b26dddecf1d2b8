"""Theorem A.1: cones by quadrature, constants, random functions."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate

from advsmooth.theory import interpolation


def test_volumes():
    assert [interpolation.ball_volume(m) for m in (1, 2, 3)] == pytest.approx([2, math.pi, 4 * math.pi / 3])


@pytest.mark.parametrize("m", [1, 2, 3, 5])
@pytest.mark.parametrize(("height", "slope", "r"), [(1.0, 2.0, 0.8), (1.0, 0.5, 0.8), (0.3, 0.0, 0.5)])
def test_cone_integral_against_quadrature(m, height, slope, r):
    def shell(s):
        return m * interpolation.ball_volume(m) * s ** (m - 1) * max(height - slope * s, 0) ** 2

    expected = integrate.quad(shell, 0, r, points=[min(r, height / slope if slope else r)])[0]
    assert interpolation.cone_integral(height, slope, m, r) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("m", [1, 2, 4, 10])
def test_the_constants_against_cones(m):
    """With Jacobian 1/2 a small cone attains (A.1), the cone of height L r the sharp (A.2), and none the printed."""
    small = 0.5 * interpolation.cone_integral(0.3, 1.0, m, 0.5)
    assert interpolation.small_constant(m) * small == pytest.approx(0.3 ** (m + 2))
    for height in (0.5, 0.7, 2.0):
        square = 0.5 * interpolation.cone_integral(height, 1.0, m, 0.5)
        sharp = interpolation.sharp_large_constant(m, 0.5) * square
        assert sharp >= height**2 * (1 - 1e-12)
        assert (sharp == pytest.approx(height**2)) is (height == 0.5)
        assert interpolation.large_constant(m, 0.5) * square >= 1.2 * height**2
    ratio = interpolation.large_constant(m, 0.5) / interpolation.sharp_large_constant(m, 0.5)
    assert ratio == pytest.approx(2 ** (m + 1) / (m + 2))


def test_bound_takes_the_case_that_applies():
    square = 0.5 * interpolation.cone_integral(0.3, 1.0, 2, 0.5)
    assert interpolation.bound(square, 1.0, 0.3, 2, 0.5) == pytest.approx(0.3)
    square = 0.5 * interpolation.cone_integral(2.0, 1.0, 2, 0.5)
    assert interpolation.bound(square, 1.0, 2.0, 2, 0.5) > interpolation.bound(square, 1.0, 2.0, 2, 0.5, sharp=True) > 2


def test_the_torus_wraps():
    x, y = torch.tensor([[0.1, 0.5]]).double(), torch.tensor([[0.9, 0.5], [0.1, 0.1]]).double()
    assert interpolation.torus_distance(x, y)[0].tolist() == pytest.approx([0.2, 0.4])
    assert interpolation.torus_grid(2, 4).shape == (16, 2)


@pytest.mark.parametrize("m", [1, 2])
def test_random_functions_have_their_constant(m):
    at = interpolation.torus_grid(m, 40 if m == 1 else 12)
    values, slopes = interpolation.random_on_torus(30, at, 1)
    distance = interpolation.torus_distance(at, at)
    rise = (values[:, :, None] - values[:, None, :]).abs()
    assert bool((rise <= slopes[:, None, None] * distance + 1e-12).all())
    large = values.abs().amax(1) > slopes / 2
    assert 3 < int(large.sum()) < 27, "both cases of the theorem occur"
