"""The bound of theorem 1: its terms, its limits, and where it is largest."""

# ruff: noqa: N803 - L is the paper's own symbol

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from advsmooth.models import fcn
from advsmooth.theory import lazy_bound
from advsmooth.theory.initialisation import Response
from advsmooth.theory.lazy_bound import LazyBound


@given(m=st.integers(2, 4096), L=st.integers(2, 12), scheme=st.sampled_from(sorted(fcn.SCHEMES)))
def test_the_second_term_is_the_order_of_lemma_5(m, L, scheme):
    init = fcn.initialisation(scheme, 20, m, 10)
    bound = LazyBound(init, m, L)
    assert bound.initial == pytest.approx(Response(init, m, 10, L).order, rel=1e-12)
    assert bound.value == bound.training + bound.initial
    by_hand = math.sqrt(L**3 * m**2) * math.exp(-m / L**3) * init.beta_1 * init.gamma(m) ** (L - 2)
    assert bound.training == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize(("scheme", "factor"), [("lecun", 2**-0.5), ("he", 1.0), ("ntk", 1.0)])
def test_at_infinite_width_a_layer_multiplies_the_bound_by_gamma(scheme, factor):
    three, four = (LazyBound(fcn.initialisation(scheme, 20, 1e7, 10), 1e7, L).value for L in (3, 4))
    assert four / three == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("scheme", ["lecun", "he", "ntk"])
def test_the_least_constant_makes_the_second_term_exact_for_wide_fresh_networks(scheme):
    init = fcn.initialisation(scheme, 20, 1024, 10)
    limit = Response(init, 1024, 10, 3).wide_limit(20)
    assert lazy_bound.least_constant(20, 10) * LazyBound(init, 1024, 3).initial == pytest.approx(limit, rel=1e-12)


@pytest.mark.parametrize(("scheme", "power"), [("lecun", 1.0), ("he", 1.0), ("ntk", 0.5)])
def test_the_training_term_is_largest_at_the_worst_width(scheme, power):
    found = optimize.minimize_scalar(
        lambda log_m: (
            -math.log(LazyBound(fcn.initialisation(scheme, 20, math.exp(log_m), 10), math.exp(log_m), 4).training)
        ),
        bounds=(1, 8),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert math.exp(found.x) == pytest.approx(lazy_bound.worst_width(4, power), rel=1e-4)


def test_the_earlier_bounds_double_with_four_times_the_width():
    for grows in lazy_bound.EARLIER.values():
        assert grows(64, 3) == pytest.approx(2 * grows(16, 3))
    wu, huang = lazy_bound.EARLIER.values()
    assert (wu(1, 6) / wu(1, 3), huang(1, 6) / huang(1, 3)) == (4, pytest.approx(math.exp(3)))


def test_the_impossible_depth_is_where_the_lines_cross():
    depth = lazy_bound.impossible_depth(0.08, 0.01)
    assert pytest.approx(0.01) == 0.08 * 2 ** (-(depth - 2) / 2)
    assert lazy_bound.impossible_depth(0.01, 0.08) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: LazyBound(fcn.Initialisation(1, 1, 1), 0, 2), "m=0"),
        (lambda: LazyBound(fcn.Initialisation(1, 1, 1), 4, 1), "L=1"),
        (lambda: LazyBound(fcn.Initialisation(1, 1, 1), math.nan, 2), "m=nan"),
        (lambda: lazy_bound.worst_width(4, 0.0), "power=0.0"),
        (lambda: lazy_bound.impossible_depth(1.0, 0.0), "floor=0.0"),
        (lambda: lazy_bound.impossible_depth(1.0, 0.1, factor=1.0), "factor=1.0"),
    ],
)
def test_bad_numbers_are_refused_in_one_line(call, said):
    with pytest.raises(ValueError, match=said) as error:
        call()
    assert "\n" not in str(error.value)
    assert "allowed" in str(error.value)
