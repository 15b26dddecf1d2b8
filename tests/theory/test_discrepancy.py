"""Lemma 4.10 with constants: counts, exact tails and means, against brute force and other formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from advsmooth import settings
from advsmooth.theory import discrepancy, wasserstein


def points(seed, n, m):
    return torch.rand(n, m, generator=settings.generator(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (7, 0.3), (10, 0.1), (12, 0.5), (25, 0.04)])
def test_binomial_tails_against_enumeration(n, p):
    law = stats.binom(n, p)
    eps, tail = discrepancy.binomial_tails(n, p)
    for e, t in zip(eps, tail, strict=True):
        plain = sum(law.pmf(k) for k in range(n + 1) if abs(k / n - p) >= e - 1e-12)
        assert math.exp(t) == pytest.approx(plain, rel=1e-9)


def test_bernstein_by_hand():
    """n = 100, variance 1/4, bound 1, eps 0.3: 9 / (0.5 + 0.4) = 10."""
    assert discrepancy.bernstein(100, 0.25, 1.0, np.array(0.3)) == pytest.approx(math.log(2) - 10)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_expected_distance_against_quadrature(n):
    """The mean of |Z/n - p| by enumeration, integrated between its kinks."""

    def mean(p):
        return sum(stats.binom.pmf(k, n, p) * abs(k / n - p) for k in range(n + 1))

    parts = [integrate.quad(mean, (k - 1) / n, k / n)[0] for k in range(1, n + 1)]
    assert discrepancy.expected_to_uniform(n) == pytest.approx(sum(parts), rel=1e-9)


def test_expected_distance_of_one_and_of_many_points():
    assert discrepancy.expected_to_uniform(1) == pytest.approx(1 / 3)
    assert math.sqrt(1e5) * discrepancy.expected_to_uniform(100_000) == pytest.approx(math.sqrt(2 * math.pi) / 8, 1e-4)


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_the_first_power_is_the_uniform_law(seed, n):
    x = points(seed, n, 1)[:, 0]
    assert discrepancy.to_power(x, 1.0) == pytest.approx(wasserstein.to_uniform(x), abs=1e-12)


@pytest.mark.parametrize("a", [0.5, 2.0, 5.0])
def test_powers_against_many_quantiles(a):
    x = points(3, 15, 1)[:, 0]
    quantiles = ((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000) ** a
    assert discrepancy.to_power(x, a) == pytest.approx(wasserstein.on_the_line(x, quantiles), abs=1e-5)


def test_powers_refuse_points_outside():
    with pytest.raises(ValueError, match="all in"):
        discrepancy.to_power(torch.tensor([1.5]), 1.0)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_counts_by_hand(m):
    x = points(m, 40, m)
    shares = discrepancy.counts(x, 3)
    cubes = itertools.product(range(3), repeat=m)
    plain = [np.mean([[int(c * 3) for c in row] == list(cube) for row in x.tolist()]) for cube in cubes]
    assert shares.tolist() == pytest.approx(plain)
    assert discrepancy.counts(torch.ones(2, m).double(), 4)[-1] == 1


def test_the_pieces_of_the_lemma_fit_together():
    """With tau = t/2 log n and N <= R^(-m) the counting bound is at most 5R/3, and the failure that of the lemma."""
    for n, t, m in itertools.product((3, 30, 1000), (0.5, 2.0, 7.0), (1, 2, 3)):
        radius = discrepancy.rate(n, t, m)
        if radius > 1:
            continue
        cubes = math.floor(1 / radius) ** m
        tau = discrepancy.RATE * t * math.log(n)
        assert discrepancy.counting_bound(cubes, n, tau) <= 5 / 3 * radius + 1e-12
        assert 2 * cubes * math.exp(-tau) <= discrepancy.failure(n, t, m) + 1e-12
        side = 1 / math.floor(1 / radius)
        assert math.sqrt(m) * (side + 5 / 6 * radius) <= discrepancy.radius(n, t, m) + 1e-12
