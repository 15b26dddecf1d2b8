"""Monotone and up-then-down fits against independent ones, and the decisions made of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from advsmooth.analysis import phase_transition as pt

CURVES = st.integers(0, 10_000).map(np.random.default_rng)


@given(CURVES, st.integers(1, 8), st.booleans())
def test_the_monotone_fit_is_isotonic_regression(g, n, rising):
    y, weights = g.standard_normal((3, n)), g.uniform(0.1, 5, n)
    expected = [isotonic_regression(row, sample_weight=weights, increasing=rising) for row in y]
    assert np.allclose(pt.monotone(y, weights, rising=rising), expected)


@given(CURVES, st.integers(2, 6))
def test_the_up_then_down_fit_is_the_best_over_all_places_of_the_maximum(g, n):
    y, weights = g.standard_normal(n), g.uniform(0.1, 5, n)
    fit = pt.up_then_down(y, weights)
    signs = np.sign(np.diff(fit)[np.abs(np.diff(fit)) > 1e-12])
    assert all(not (a < 0 < b) for a, b in itertools.pairwise(signs))  # never up after down
    every = []
    for k in range(n):  # the fit with its maximum at k, by quadratic programming over the cone it spans
        from scipy.optimize import nnls

        steps = [np.where(np.arange(n) >= j, 1.0, 0.0) for j in range(1, k + 1)]
        steps += [np.where(np.arange(n) > j, -1.0, 0.0) for j in range(k, n - 1)]
        design = np.stack([np.ones(n), -np.ones(n), *steps], 1) * np.sqrt(weights)[:, None]
        every.append(nnls(design, y * np.sqrt(weights))[1] ** 2)
    assert (weights * (y - fit) ** 2).sum() == pytest.approx(min(every), abs=1e-8)


def sampled(levels, spread=0.02, n=6):
    g = np.random.default_rng(3)
    return [level + spread * g.standard_normal(n) for level in levels]


@pytest.mark.parametrize(
    ("levels", "outcome"),
    [
        ([0, 1, 2, 3], pt.RISES),
        ([3, 2, 1, 0.5], pt.FALLS),
        ([0, 2, 3, 1], pt.UP_DOWN),
        ([3, 0, 0, 2], pt.DOWN_UP),
    ],
)
def test_clear_curves_are_named(levels, outcome):
    found = pt.shape(sampled(levels), draws=200, generator=np.random.default_rng(0))
    assert found.outcome == outcome
    if outcome == pt.UP_DOWN:
        assert found.peak == 2
        assert found.peak_interval == (2, 2)


@pytest.mark.parametrize("counts", [(5,) * 5, (10, 10, 10, 5, 3, 3)], ids=str)
def test_a_flat_curve_is_said_to_rise_or_to_fall_in_one_of_twenty_experiments_at_most(counts):
    rises = falls = 0
    for k in range(300):
        g = np.random.default_rng(k)
        found = pt.shape([g.standard_normal(n) for n in counts], draws=200, generator=g)
        rises, falls = rises + (found.rise_p < pt.LEVEL), falls + (found.fall_p < pt.LEVEL)
    # 300 experiments at 5 % give more than 27 with probability 0.001.
    assert max(rises, falls) <= 27


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="need 3 points"):
        pt.shape([[1.0, 2.0], [1.0, 2.0]], generator=np.random.default_rng(0))
    with pytest.raises(ValueError, match="allowed is falling or rising"):
        pt.shape([[1.0, 2.0]] * 3, spread="flat", generator=np.random.default_rng(0))
