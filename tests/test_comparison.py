"""Comparing numbers, printed texts and tables: symmetric, strict where it must be, and open to rounding and chance."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import comparison
from advsmooth.checks import show

ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(ANY, ANY)
def test_a_difference_is_the_same_whichever_comes_first(a, b):
    assert comparison.apart(a, b) == comparison.apart(b, a)
    assert comparison.round_alike(a, b) == comparison.round_alike(b, a)
    absolute, relative = comparison.apart(a, b)
    assert absolute >= 0
    assert 0 <= relative <= 2 or relative == math.inf
    assert (relative == 0) == (a == b or (math.isnan(a) and math.isnan(b)) or relative == 0 == absolute)


@given(ANY)
def test_a_number_differs_in_nothing_from_itself(a):
    assert comparison.apart(a, a) == (0.0, 0.0)
    assert comparison.round_alike(a, a)


def test_zeros_infinities_and_signs():
    assert comparison.apart(-0.0, 0.0) == (0.0, 0.0)
    assert comparison.apart(math.inf, math.inf) == (0.0, 0.0)
    assert comparison.apart(math.inf, -math.inf) == (math.inf, math.inf)
    assert comparison.apart(math.nan, 1.0) == (math.inf, math.inf)
    assert comparison.apart(1.0, -1.0) == (2.0, 2.0)
    assert comparison.apart(1e308, -1e308)[1] == 2.0, "no overflow in the relative difference"
    assert not any(comparison.round_alike(*pair) for pair in [(math.nan, 1.0), (math.inf, 1e300), (1.0, -1.0)])


@given(st.floats(min_value=1e-12, max_value=1e12), st.floats(min_value=-1e-4, max_value=1e-4))
def test_numbers_that_round_to_neighbours_are_alike_and_others_are_not(x, noise):
    assert comparison.round_alike(float(show(x)), float(show(x * (1 + noise))))
    assert not comparison.round_alike(float(show(x)), float(show(x * 1.03)))


def within(stored, here, evidence=None):
    pairs = comparison.texts(stored, here, evidence)
    return pairs is not None and all(pair.within for pair in pairs)


@pytest.mark.parametrize(
    ("stored", "here", "same"),
    [
        ("mean 0.123; seeds 3", "mean 0.124; seeds 3", True),
        ("mean 0.123; seeds 3", "mean 0.126; seeds 3", False),
        ("mean 0.123; seeds 3", "mean 0.123; seeds 4", False),
        ("violations 3 of 40", "violations 4 of 40", False),
        ("images 1437", "images 1438", False),
        ("95% interval [0.999, 1.2]", "95% interval [1, 1.2]", True),
        ("95% interval [-0.01, 1.2]", "95% interval [0.01, 1.2]", False),
        ("margin 1e-12", "margin 2e-12", False),
        ("ratio nan", "ratio nan", True),
        ("ratio nan", "ratio 1.5", False),
        ("ratio inf", "ratio -inf", False),
        ("change -0", "change 0", True),
        ("no counterexample", "a counterexample", False),
        ("seeds 0-3", "seeds 0-4", False),
        ("information 1.5", "information 1.5", True),
    ],
)
def test_printed_texts(stored, here, same):
    assert within(stored, here) is same
    assert within(here, stored) is same


def test_a_float_that_is_printed_as_a_whole_number_may_round_to_its_neighbour():
    evidence = {"mean, of 124": 123.5, "seeds": 3}
    assert within("mean, of 124 123; seeds 3; n = 124", "mean, of 124 124; seeds 3; n = 124", evidence)
    assert not within("mean, of 124 123; seeds 3; n = 123", "mean, of 124 124; seeds 3; n = 124", evidence)
    assert not within("mean, of 124 123; seeds 2; n = 124", "mean, of 124 124; seeds 3; n = 124", evidence)


STATED = "mean difference {}; 95% interval [{}, {}]; seeds 3"


@pytest.mark.parametrize(
    ("stored", "here", "same"),
    [
        ((-3.11, -3.51, -2.71), (-3.16, -3.85, -2.47), True),
        ((0.5, 0.4, 0.6), (0.61, 0.5, 0.7), False),  # the estimate here lies outside the stored interval
        ((0.5, 0.4, 0.6), (0.59, 0.55, 0.63), False),  # the stored one outside the interval here
        ((0.5, 0.4, 0.6), ("nan", "nan", "nan"), False),
    ],
)
def test_estimates_agree_if_each_lies_in_the_interval_of_the_other(stored, here, same):
    assert within(STATED.format(*stored), STATED.format(*here)) is same
    assert within(STATED.format(*here), STATED.format(*stored)) is same
    short = "slope and 95 % interval {} [{}, {}]; models 17"
    assert within(short.format(*stored), short.format(*here)) is same
    assert not within(STATED.format(*stored), STATED.format(*stored).replace("seeds 3", "seeds 4"))
    assert not within("mean " + STATED.format(*stored)[16:], "mean 9" + STATED.format(*stored)[17:])


def table(noise=0.0, seeds=5, shift=0.0):
    rng = np.random.default_rng(0)
    rows = [(m, s, e, m * 1.0 + rng.normal() * 0.1) for m in (1, 2) for s in range(seeds) for e in (0, 1)]
    made = pd.DataFrame(rows, columns=["width", "seed", "epoch", "value"])
    made["value"] += noise * np.random.default_rng(1).normal(size=len(made)) + shift
    made.insert(0, "method", "AT")
    return made


def test_a_table_is_equal_to_itself_in_any_order_of_its_rows():
    found = comparison.tables(table(), table().sample(frac=1, random_state=0))
    assert (found.numbers, found.equal, found.outside, found.missing, found.extra) == (20, 20, 0, 0, 0)


def test_other_runs_of_one_law_agree_by_their_means_and_shifted_ones_do_not():
    other = comparison.tables(table(), table(noise=0.1))
    assert other.within_interval == 20
    assert other.outside == 0
    moved = comparison.tables(table(), table(shift=3.0))
    assert moved.outside == 20
    assert comparison.tables(table(seeds=2), table(seeds=2, noise=0.1)).outside == 8, "two seeds say nothing of chance"


def test_one_number_that_is_far_away_is_found_and_named():
    changed = table()
    changed.loc[(changed.width == 2) & (changed.epoch == 1), "value"] += 5
    found = comparison.tables(table(), changed)
    assert found.outside == 5
    assert found.differing[0].label.startswith("value at method AT, ")
    assert not found.differing[0].within


def test_last_digits_are_within_the_tolerance_and_a_nan_is_equal_to_a_nan_only():
    nearly, holes = table(), table()
    nearly["value"] *= 1 + 1e-6
    assert comparison.tables(table(), nearly).within_tolerance == 20
    holes.loc[0, "value"] = np.nan
    assert comparison.tables(holes, holes).equal == 20
    assert comparison.tables(table(), holes).outside == 1


def test_rows_and_columns_that_appear_or_vanish_are_counted():
    found = comparison.tables(table(), table().iloc[1:])
    assert (found.missing, found.extra) == (1, 0)
    assert comparison.tables(table().iloc[1:], table()).extra == 1
    assert comparison.tables(table(), table().rename(columns={"value": "loss"})).missing == 20


def test_times_are_not_compared():
    one, two = (pd.DataFrame({"quantity": ["loss", "seconds"], "value": [1.0, t]}) for t in (3.0, 9.0))
    assert comparison.tables(one, two).numbers == 1


def test_rows_without_a_key_are_taken_in_their_order():
    one = pd.DataFrame({"t": [0.0, 0.5], "loss": [1.0, 2.0]})
    assert comparison.tables(one, one).equal == 4
    assert comparison.tables(one, one[::-1]).outside == 4
