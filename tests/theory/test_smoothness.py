"""Difference quotients and their ascent, on maps whose Lipschitz constants are known."""

from __future__ import annotations

import pytest
import torch

from advsmooth import settings
from advsmooth.theory import smoothness

MATRIX = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))


def linear_map(points):
    return points @ MATRIX


def test_quotients_of_a_linear_map():
    a = torch.zeros(3, 3, dtype=torch.float64)
    found = smoothness.quotients(linear_map, a, torch.eye(3, dtype=torch.float64))
    assert found.tolist() == [1.0, 2.0, 5.0]
    with pytest.raises(ValueError, match="pair 0"):
        smoothness.quotients(linear_map, a, a)


def test_climbing_reaches_the_spectral_norm_and_never_loses_ground():
    g = settings.generator(0)
    a, b = (smoothness.annulus(20, 3, 0.5, 2.0, g) for _ in "ab")
    start = smoothness.quotients(linear_map, a, b)
    best = smoothness.climb(linear_map, a, b, lambda p: smoothness.into_annulus(p, 0.5, 2.0), steps=150)
    found = smoothness.quotients(linear_map, *best)
    assert (found >= start - 1e-12).all()
    assert (found <= 5 + 1e-12).all()
    assert found.max() > 4.99
    for side in best:
        assert (side.norm(dim=1) >= 0.5 - 1e-12).all()
        assert (side.norm(dim=1) <= 2 + 1e-12).all()


def test_climbing_keeps_pairs_apart():
    def root(points):  # not Lipschitz at 0: ascent would let the pair collapse there
        return points.abs().sqrt()

    a = torch.full((4, 1), 0.3, dtype=torch.float64)
    best = smoothness.climb(root, a, -a, lambda p: p, steps=300, rate=0.1, apart=1e-2)
    assert ((best[0] - best[1]).norm(dim=1) >= 0.5e-2).all()


def test_samples_lie_where_they_should():
    g = settings.generator(0)
    points = smoothness.annulus(500, 4, 0.1, 3.0, g)
    assert points.dtype == torch.float64
    length = points.norm(dim=1)
    assert 0.1 - 1e-12 <= length.min() < 0.12
    assert 2.7 < length.max() <= 3 + 1e-12
    sizes = smoothness.off_axes(500, 4, 0.1, 3.0, g).abs()
    assert 0.1 - 1e-12 <= sizes.min() < sizes.max() <= 3 + 1e-12
    for least, most in ((0.0, 1.0), (2.0, 1.0), (1.0, float("inf"))):
        with pytest.raises(ValueError, match="0 < least <= most"):
            smoothness.annulus(1, 2, least, most, g)


def test_tangents_are_unit_and_orthogonal():
    g = settings.generator(0)
    points = smoothness.annulus(50, 3, 0.1, 3.0, g)
    found = smoothness.tangents(points, g)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(50, dtype=torch.float64))
    assert (found * points).sum(1).abs().max() < 1e-14
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        smoothness.tangents(points[:, :1], g)


def test_moving_points_into_a_set():
    points = torch.tensor([[3.0, 4.0], [0.03, -0.04], [0.6, 0.8]], dtype=torch.float64)
    assert smoothness.into_annulus(points, 0.5, 2.0).norm(dim=1).tolist() == pytest.approx([2.0, 0.5, 1.0])
    moved = smoothness.off_the_axes(points, 0.1, 3.5)
    assert moved.tolist() == [[3.0, 3.5], [0.1, -0.1], [0.6, 0.8]]
    sign = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    assert smoothness.off_the_axes(points, 0.1, 3.5, sign).tolist() == [[-0.1, 3.5], [-0.1, 0.1], [-0.1, 0.8]]


def test_central_differences_are_exact_for_quartics():
    points = torch.randn(5, 2, generator=settings.generator(4), dtype=torch.float64)
    found = smoothness.central_differences(lambda t: t**4 + t.flip(1) ** 2, points, 0.1)
    assert found.shape == (5, 2, 2)
    own, other = 4 * points**3, 2 * points.flip(1)
    torch.testing.assert_close(found.diagonal(dim1=1, dim2=2), own, rtol=0, atol=1e-11)
    torch.testing.assert_close(torch.stack([found[:, 0, 1], found[:, 1, 0]], 1), other, rtol=0, atol=1e-11)
    with pytest.raises(ValueError, match=r"step=0\.0"):
        smoothness.central_differences(lambda t: t, points, 0.0)


def test_pairwise_quotients_are_those_of_all_pairs():
    points = torch.randn(7, 3, generator=settings.generator(5), dtype=torch.float64)
    i, j = torch.combinations(torch.arange(7)).T
    expected = smoothness.quotients(torch.sin, points[i], points[j])
    torch.testing.assert_close(smoothness.pairwise_quotients(points, points.sin()), expected)
    with pytest.raises(ValueError, match="coincide"):
        smoothness.pairwise_quotients(points[[0, 0]], points[[0, 0]])
