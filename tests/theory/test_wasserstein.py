"""Wasserstein-1 distances against scipy, brute force and closed forms; potentials as certificates."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.optimize import linear_sum_assignment

from advsmooth import settings
from advsmooth.theory import regularised, wasserstein


def cloud(seed, n, d):
    return torch.rand(n, d, generator=settings.generator(seed), dtype=torch.float64)


def masses(seed, n):
    drawn = torch.rand(n, generator=settings.generator(seed), dtype=torch.float64)
    return drawn / drawn.sum()


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_on_the_line_as_scipy(seed, m, n, weighted):
    x, y = cloud(seed, m, 1)[:, 0], cloud(seed + 1, n, 1)[:, 0] + 0.2
    p, q = (masses(seed, m), masses(seed + 2, n)) if weighted else (None, None)
    expected = stats.wasserstein_distance(x.numpy(), y.numpy(), *((p.numpy(), q.numpy()) if weighted else ()))
    assert wasserstein.on_the_line(x, y, p, q) == pytest.approx(expected, abs=1e-12)
    assert wasserstein.on_the_line(x, x, p, p) == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), st.integers(1, 3), st.booleans())
@hypothesis_settings(deadline=None, max_examples=40)
def test_the_programme_is_certified_by_a_lipschitz_potential(seed, m, n, d, weighted):
    x, y = cloud(seed, m, d), cloud(seed + 1, n, d) + 0.1
    p, q = (masses(seed, m), masses(seed + 2, n)) if weighted else (None, None)
    found = wasserstein.transport(x, y, p, q)
    assert abs(found.gap) < 1e-9
    torch.testing.assert_close(found.plan.sum(1), torch.full((m,), 1 / m).double() if p is None else p)
    torch.testing.assert_close(found.plan.sum(0), torch.full((n,), 1 / n).double() if q is None else q)
    both, potential = torch.cat([x, y]), torch.cat([found.first, found.second])
    assert regularised.lipschitz_constant(both, potential) <= 1 + 1e-9
    if d == 1:
        assert found.distance == pytest.approx(wasserstein.on_the_line(x[:, 0], y[:, 0], p, q), abs=1e-9)


def test_equal_masses_are_an_assignment():
    x, y = cloud(0, 40, 2), cloud(1, 40, 2)
    cost = torch.cdist(x, y).numpy()
    rows, columns = linear_sum_assignment(cost)
    assert wasserstein.transport(x, y).distance == pytest.approx(cost[rows, columns].mean(), abs=1e-10)
    few = cost[:4, :4]
    best = min(few[range(4), list(order)].mean() for order in itertools.permutations(range(4)))
    assert wasserstein.transport(x[:4], y[:4]).distance == pytest.approx(best, abs=1e-10)


def test_no_lipschitz_function_sees_a_larger_discrepancy():
    """Lemma 4.10: the supremum over L-Lipschitz functions is L times the distance; the potential attains it."""
    x, y = cloud(3, 15, 2), cloud(4, 25, 2)
    found = wasserstein.transport(x, y)
    g = settings.generator(5)
    largest = 0.0
    for _ in range(300):
        anchors, heights = cloud(int(torch.randint(10_000, (), generator=g)), 6, 2), torch.rand(6, generator=g).double()

        def w(points, anchors=anchors, heights=heights):
            return 3 * (torch.cdist(points, anchors) + 0.3 * heights).amin(1)  # 3-Lipschitz

        largest = max(largest, abs((w(x).mean() - w(y).mean()).item()))
    assert 0.3 * found.distance < largest <= 3 * found.distance
    assert 3 * (found.first.mean() - found.second.mean()).item() == pytest.approx(3 * found.distance, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_to_uniform_is_the_area_between_the_distribution_functions(points):
    x = torch.tensor(points, dtype=torch.float64)

    # Between the points and the levels k / n the gap is linear: the trapezium rule is exact.
    breaks = sorted({0.0, 1.0, *points, *(k / len(points) for k in range(len(points)))})
    area = 0.0
    for a, b in itertools.pairwise(breaks):
        height = (x <= (a + b) / 2).double().mean().item()
        area += (b - a) * (abs(height - a) + abs(height - b)) / 2
    assert wasserstein.to_uniform(x) == pytest.approx(area, abs=1e-12)
    assert wasserstein.to_uniform(4 * x - 1, -1, 3) == pytest.approx(4 * wasserstein.to_uniform(x), abs=1e-12)


def test_to_uniform_in_closed_cases():
    assert wasserstein.to_uniform(torch.tensor([0.5])) == 0.25
    assert wasserstein.to_uniform(torch.tensor([0.0])) == 0.5
    n = 8
    middles = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    assert wasserstein.to_uniform(middles) == pytest.approx(1 / (4 * n))  # the best n points


def test_the_mean_discrepancy_on_the_line_falls_like_the_root_of_n():
    """The law behind it is known: E |F_n(t) - t| integrated; sqrt(2 t (1 - t) / (pi n)) at large n."""
    n = 400
    found = [wasserstein.to_uniform(cloud(s, n, 1)[:, 0]) for s in range(300)]
    expected = integrate.quad(lambda t: math.sqrt(2 * t * (1 - t) / (math.pi * n)), 0, 1)[0]
    assert abs(np.mean(found) - expected) < 4.5 * np.std(found) / math.sqrt(300)


@pytest.mark.parametrize("d", [1, 2])
def test_the_bracket_in_the_cube(d):
    x = cloud(7, 12, d)
    coarse, fine = (wasserstein.to_uniform_cube(x, cells) for cells in (4, 12))
    assert coarse.low <= fine.high
    assert fine.low <= coarse.high
    assert fine.high - fine.low == pytest.approx(2 * wasserstein.mean_distance_to_centre(d) / 12, abs=1e-9)
    if d == 1:
        for bracket in (coarse, fine):
            assert bracket.low <= wasserstein.to_uniform(x[:, 0]) <= bracket.high


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_mean_distance_to_the_centre(d):
    closed = {1: 1 / 4, 2: (math.sqrt(2) + math.asinh(1)) / 6}
    found = wasserstein.mean_distance_to_centre(d)
    assert found == pytest.approx(closed.get(d, found), abs=1e-12)
    drawn = (cloud(d, 200_000, d) - 0.5).norm(dim=1)
    assert abs(found - drawn.mean().item()) < 4.5 * drawn.std().item() / math.sqrt(200_000)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: wasserstein.transport(x, x[:0]), "atoms of shape"),
        (lambda x: wasserstein.transport(x, x, torch.ones(4)), "of sum 4"),
        (lambda x: wasserstein.transport(x, x, torch.tensor([2.0, -1, 0, 0])), "sum 1"),
        (lambda x: wasserstein.on_the_line(x, x), "atoms of shape"),
        (lambda x: wasserstein.to_uniform(x[:, 0] + 1), "all in"),
        (lambda x: wasserstein.to_uniform_cube(x + 1, 3), "unit cube"),
        (lambda x: wasserstein.to_uniform_cube(x, 0), "cells=0"),
        (lambda _: wasserstein.mean_distance_to_centre(5), "d=5"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(cloud(0, 4, 2) + 0.01)
    assert "\n" not in str(refusal.value)
