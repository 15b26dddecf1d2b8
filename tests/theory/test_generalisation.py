"""Minimisers of samples and of the distribution: closed forms against fine grids, integrals against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from advsmooth.theory import generalisation, regularised

PROBLEMS = [generalisation.zigzag(1), generalisation.zigzag(3), generalisation.STEP]


def midpoints(n):
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
@pytest.mark.parametrize("price", [1e-3, 0.01, 0.04, 0.12, 0.5])
def test_the_minimiser_of_the_distribution_against_a_fine_grid(problem, price):
    x = midpoints(600)
    found = regularised.minimise(x[:, None], problem.labels(x), price)
    assert found.objective == pytest.approx(problem.objective(price), abs=2e-5)
    assert (found.values - problem.minimiser(x, price)).abs().max() < 0.02
    values = problem.minimiser(x, price)
    own = (values - problem.labels(x)).square().mean() + price * regularised.lipschitz_constant(x[:, None], values)
    assert own.item() == pytest.approx(problem.objective(price), abs=2e-5)


@pytest.mark.parametrize("price", [1e-3, 0.05, 0.3, 100.0])
def test_straight_labels_against_the_solver(price):
    x = generalisation.sample(30, 1, 4)
    closed, found = (generalisation.straight(x, price), generalisation.solve(x, PROBLEMS[0], price))
    torch.testing.assert_close(closed.values, found.values, atol=1e-7, rtol=0)
    assert closed.objective == pytest.approx(found.objective, abs=1e-8)
    assert generalisation.straight(x[:1], price).lipschitz == 0


@pytest.mark.parametrize("problem", PROBLEMS[:2], ids=lambda p: p.name)
@pytest.mark.parametrize("price", [1e-3, 0.02, 0.5])
def test_distances_on_the_line_against_quadrature(problem, price):
    found = generalisation.solve(generalisation.sample(9, 1, 2), problem, price)
    exact = generalisation.on_the_line(found, problem, price)
    x = midpoints(100_000)
    best, y = problem.minimiser(x, price), problem.labels(x)
    ends = generalisation.extremes(found, x[:, None])
    squares = [(u - best).square().mean().item() for u in ends]
    assert exact.square == pytest.approx(max(squares), abs=1e-7)
    assert exact.sup == pytest.approx(max((u - best).abs().max().item() for u in ends), abs=1e-4)
    steep = max((u - best).diff().abs().max().item() * len(x) for u in ends)
    assert exact.difference == pytest.approx(steep, abs=1e-4)
    u = ends[int(np.argmax(squares))]
    there, labels = problem.minimiser(found.x[:, 0], price), problem.labels(found.x[:, 0])
    on_data = ((found.values - labels).square() - (there - labels).square()).mean()
    assert exact.on_data == pytest.approx((found.values - there).square().mean().item())
    expected = ((u - y).square() - (best - y).square()).mean() - on_data
    assert exact.exchange == pytest.approx(expected.item(), abs=1e-7)


def test_two_constants_attain_the_exchange():
    """Above the last price both minimisers are constants, 1/2 and the mean."""
    x = generalisation.sample(20, 1, 0)
    found = generalisation.on_the_line(generalisation.straight(x, 5.0), PROBLEMS[0], 5.0)
    square = (x.mean().item() - 0.5) ** 2
    assert (found.square, found.on_data, found.slope, found.difference) == pytest.approx((square, square, 0, 0))
    assert found.exchange == pytest.approx(2 * square)


def test_the_square_agrees_with_the_line():
    """Data on a line across the square, straight labels."""
    x = generalisation.sample(12, 1, 1)
    flat = torch.cat([x, torch.full_like(x, 0.5)], dim=1)
    found = generalisation.solve(flat, PROBLEMS[0], 0.02)
    torch.testing.assert_close(found.values, generalisation.straight(x, 0.02).values, atol=1e-6, rtol=0)
    distance = generalisation.in_the_square(found, 0.02, 30)
    assert distance.on_data == pytest.approx(
        generalisation.on_the_line(generalisation.straight(x, 0.02), PROBLEMS[0], 0.02).on_data, abs=1e-6
    )
    assert distance.difference == pytest.approx(found.lipschitz + 0.88)
    grid = torch.cartesian_prod(midpoints(30), midpoints(30))
    squares = [(u - (0.5 + 0.88 * (grid[:, 0] - 0.5))).square().mean() for u in generalisation.extremes(found, grid)]
    assert distance.square == pytest.approx(max(squares).item())


def test_samples_grow():
    long, short = generalisation.sample(50, 1, 3), generalisation.sample(20, 1, 3)
    assert long.shape == (50, 1)
    assert torch.equal(long[:20], short)


def test_slope_in_n():
    assert generalisation.slope_in_n([10, 100, 1000], [3.0 * n**-0.7 for n in (10, 100, 1000)]) == pytest.approx(0.7)
    assert math.isinf(generalisation.STEP.steepness)
