"""Projections, directions, norms and random starts: properties that must hold for all inputs, and laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from advsmooth import settings
from advsmooth.attacks import ball

NORM = st.sampled_from(ball.NORMS)
SEED = st.integers(0, 10_000)
EPS = st.floats(0, 1)
DTYPE = st.sampled_from([torch.float32, torch.float64])


def batch(seed, n=5, shape=(2, 3), dtype=torch.float64):
    """Inputs in the box, some pixels at its ends, and arbitrary points far around them."""
    g = settings.generator(seed)
    x = torch.rand(n, *shape, generator=g, dtype=dtype)
    x[torch.rand(x.shape, generator=g) < 0.2] = 0.0
    x[torch.rand(x.shape, generator=g) < 0.2] = 1.0
    points = x + 10 ** (4 * torch.rand(n, 1, 1, generator=g, dtype=dtype) - 3) * torch.randn(
        x.shape, generator=g, dtype=dtype
    )
    return x, points


@given(SEED, EPS, NORM, DTYPE)
def test_projected_points_are_in_the_ball_and_in_the_box(seed, eps, norm, dtype):
    x, points = batch(seed, dtype=dtype)
    p = ball.project(points, x, eps, norm)
    assert p.dtype == dtype
    assert ball.contains(p, x, eps, norm).all()
    assert (ball.norms(p - x, norm) <= eps + 1e-6).all()
    assert ((p >= 0) & (p <= 1)).all()


@given(SEED, EPS, NORM)
def test_points_that_are_inside_stay_and_a_second_projection_changes_nothing(seed, eps, norm):
    x, points = batch(seed)
    p = ball.project(points, x, eps, norm)
    torch.testing.assert_close(ball.project(p, x, eps, norm), p, atol=1e-14, rtol=0)
    torch.testing.assert_close(ball.project(x, x, eps, norm), x, atol=0, rtol=0)


@given(SEED, st.floats(0.01, 1), NORM)
def test_without_a_box_it_is_the_nearest_point_of_the_ball(seed, eps, norm):
    x, points = batch(seed)
    p = ball.project(points, x, eps, norm, ball.UNBOUNDED)
    # The nearest point p of a convex set makes an obtuse angle at p between the point and all others of the set.
    others = ball.uniform(x, eps, norm, settings.generator(seed), ball.UNBOUNDED)
    scale = (points - p).flatten(1).norm(dim=1)
    assert (((points - p) * (others - p)).flatten(1).sum(1) <= 1e-9 * (1 + scale)).all()


@given(SEED, EPS)
def test_in_the_box_the_linf_projection_is_the_nearest_point_of_both(seed, eps):
    x, points = batch(seed)
    low, high = torch.maximum(x - eps, torch.zeros_like(x)), torch.minimum(x + eps, torch.ones_like(x))
    expected = torch.where(points < low, low, torch.where(points > high, high, points))
    assert torch.equal(ball.project(points, x, eps, "linf"), expected)


def test_the_ball_comes_before_the_box():
    """Clipping first gives another point: the order is the convention of the field, and Foolbox's."""
    x = torch.tensor([[0.0, 0.5]], dtype=torch.float64)
    point = torch.tensor([[-3.0, 4.5]], dtype=torch.float64)
    found = ball.project(point, x, 0.25, "l2")
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.7]], dtype=torch.float64))  # 0.25 * (-3, 4) / 5, clipped
    clipped_first = ball.project(point.clamp(0, 1), x, 0.25, "l2")
    assert abs(clipped_first[0, 1] - 0.75) < 1e-12


@given(SEED, NORM)
def test_the_steepest_direction_attains_the_dual_norm(seed, norm):
    _, g = batch(seed)
    direction = ball.steepest(g, norm)
    torch.testing.assert_close(ball.norms(direction, norm), torch.ones(len(g), dtype=g.dtype))
    torch.testing.assert_close((direction * g).flatten(1).sum(1), ball.dual_norms(g, norm))
    _, others = batch(seed + 1)
    inner = (others * g).flatten(1).sum(1)
    assert (inner <= ball.norms(others, norm) * ball.dual_norms(g, norm) * (1 + 1e-12)).all(), "Hölder"


def test_norms_are_those_of_numpy():
    x, points = batch(3)
    flat = (points - x).flatten(1).numpy()
    for norm, order, dual in (("linf", np.inf, 1), ("l2", 2, 2)):
        np.testing.assert_allclose(ball.norms(points - x, norm), np.linalg.norm(flat, order, axis=1))
        np.testing.assert_allclose(ball.dual_norms(points - x, norm), np.linalg.norm(flat, dual, axis=1))


@pytest.mark.parametrize("norm", ball.NORMS)
def test_a_gradient_of_zero_gives_no_direction_and_no_nan(norm):
    g = torch.zeros(3, 4)
    g[1, 2] = 5
    direction = ball.steepest(g, norm)
    assert torch.equal(direction, g / 5)


@pytest.mark.parametrize("size", [1e-6, 1e-20, 1e-30, 1e-37])
def test_a_tiny_gradient_in_single_precision_still_has_its_direction(size):
    """A confident network has such gradients; their squares underflow and a guard at 1e-12 makes them vanish."""
    unit = torch.nn.functional.normalize(torch.arange(1.0, 13).reshape(1, 12))
    torch.testing.assert_close(ball.steepest(unit * size, "l2"), unit, rtol=1e-5, atol=0)
    if size < 1e-13:
        guarded = unit * size / (unit * size).norm(dim=1, keepdim=True).clamp(min=1e-12)
        assert guarded.norm() < 0.1, "the usual guard would not move"


def test_denormal_gradients_give_a_finite_direction():
    g = torch.full((1, 3), 1e-44)
    direction = ball.steepest(g, "l2")
    assert direction.isfinite().all()
    assert 0 < direction.norm() <= 1


@pytest.mark.parametrize("d", [1, 2, 30])
def test_l2_starts_are_uniform_in_the_whole_ball(d):
    x = torch.full((20_000, d), 0.5, dtype=torch.float64)
    delta = ball.uniform(x, 0.4, "l2", settings.generator(d)) - x
    radius = delta.norm(dim=1) / 0.4
    assert stats.kstest((radius**d).numpy(), "uniform").pvalue > 1e-4  # P(|delta| <= s eps) = s^d
    assert radius.min() < 0.9 if d == 30 else radius.min() < 0.05, "not on the sphere"
    first = delta[:, 0] / delta.norm(dim=1)
    assert abs(first.mean()) < 5 / math.sqrt(20_000 * d)
    assert abs(first.square().mean() * d - 1) < 5 * math.sqrt(2 / 20_000)


def test_linf_starts_are_uniform_in_the_whole_ball():
    x = torch.full((5_000, 3), 0.5, dtype=torch.float64)
    delta = (ball.uniform(x, 0.4, "linf", settings.generator(0)) - x) / 0.4
    for column in delta.T:
        assert stats.kstest(column.numpy(), "uniform", args=(-1, 2)).pvalue > 1e-4
    assert abs(np.corrcoef(delta.T.numpy())[0, 1]) < 5 / math.sqrt(5_000)


@given(SEED, EPS, NORM, DTYPE)
def test_starts_are_in_the_ball_and_clipped_to_the_box(seed, eps, norm, dtype):
    x, _ = batch(seed, dtype=dtype)
    start = ball.uniform(x, eps, norm, settings.generator(seed))
    assert start.shape == x.shape
    assert start.dtype == dtype
    assert ball.contains(start, x, eps, norm).all()
    assert torch.equal(start, ball.uniform(x, eps, norm, settings.generator(seed)))


def test_starts_at_a_corner_are_clipped_not_folded_back():
    """Half of the mass of a coordinate lands on the wall, as in every implementation that clips."""
    start = ball.uniform(torch.zeros(4_000, 1), 0.3, "linf", settings.generator(0))
    assert abs((start == 0).double().mean() - 0.5) < 5 * 0.5 / math.sqrt(4_000)


@given(SEED, st.floats(0.01, 0.5), NORM)
def test_points_outside_are_noticed(seed, eps, norm):
    x = torch.full((2, 4), 0.5, dtype=torch.float64)
    direction = ball.steepest(torch.randn(2, 4, generator=settings.generator(seed), dtype=torch.float64), norm)
    assert ball.contains(x + eps * direction, x, eps, norm, ball.UNBOUNDED).all()
    assert not ball.contains(x + 1.001 * eps * direction, x, eps, norm, ball.UNBOUNDED).any()


def test_a_point_outside_the_box_or_not_a_number_is_noticed():
    x = torch.full((3, 2), 0.5)
    points = torch.tensor([[1.1, 0.5], [torch.nan, 0.5], [0.9, 0.5]])
    assert ball.contains(points, x, 1.0, "linf").tolist() == [False, False, True]


def test_project_minimises_the_distance_against_a_solver():
    x, points = batch(5, n=1)
    eps = 0.3
    ours = ball.project(points, x, eps, "l2", ball.UNBOUNDED).numpy().ravel()
    target, centre = points.numpy().ravel(), x.numpy().ravel()
    solved = optimize.minimize(
        lambda p: ((p - target) ** 2).sum(), centre, jac=lambda p: 2 * (p - target), method="SLSQP",
        constraints={"type": "ineq", "fun": lambda p: eps**2 - ((p - centre) ** 2).sum()},
        options={"ftol": 1e-14},
    )  # fmt: skip
    np.testing.assert_allclose(ours, solved.x, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, "linf", ball.PIXELS), r"eps=8.*8/255, not 8"),
        ((-0.1, "l2", ball.PIXELS), r"eps=-0\.1.*at least 0"),
        ((math.nan, "l2", ball.PIXELS), r"eps=nan"),
        ((0.1, "l1", ball.PIXELS), r"norm='l1'.*linf or l2"),
        ((0.1, "l2", (1.0, 0.0)), r"box=\(1\.0, 0\.0\).*low < high"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ball.check_budget(*arguments)


def test_a_budget_that_can_be_meant_is_accepted():
    for eps, norm, box in ((0, "linf", ball.PIXELS), (1, "linf", ball.PIXELS), (30, "l2", ball.PIXELS)):
        ball.check_budget(eps, norm, box)
    ball.check_budget(7, "linf", ball.UNBOUNDED)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (255 * torch.ones(2, 3), torch.zeros(2), r"x from 255 to 255.*normalise inside the model"),
        (torch.full((2, 3), torch.nan), torch.zeros(2), r"x from nan"),
        (torch.ones(2, 3, dtype=torch.int64), torch.zeros(2), r"int64.*floating-point"),
        (torch.ones(3), torch.zeros(3), r"x \(3,\)"),
        (torch.ones(2, 3), torch.zeros(3), r"y \(3,\).*one label each"),
    ],
)
def test_inputs_that_are_no_batch_in_the_box_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        ball.check_inputs(x, y, ball.PIXELS)
