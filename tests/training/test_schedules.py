"""Schedules at their corner points, against the formulas of Liu et al., and as pure functions."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import claims
from advsmooth.training.schedules import (
    Constant,
    Cosine,
    CosineBudget,
    Decay,
    Delayed,
    Drops,
    LinearBudget,
    Periodic,
    Warmup,
)


def test_drops_take_effect_at_their_epochs():
    rate = Drops(0.1)
    assert [rate(t, 200) for t in (0, 99, 100, 149, 150, 199)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert 0.07 * 100 > 7  # a fraction of the total need not be a round number
    assert [Drops(1.0, at=(0.07,), factor=0.5)(t, 100) for t in (6, 7)] == [1.0, 0.5]


def test_decay_is_exponential_between_its_times_and_constant_outside():
    rate = Decay(1e-3, 1e-4)
    assert [rate(t, 200) for t in (0, 100, 125, 150, 199)] == pytest.approx(
        [1e-3, 1e-3, math.sqrt(1e-3 * 1e-4), 1e-4, 1e-4]
    )


def test_cosine_from_start_to_end():
    assert [Cosine(0.2, 0.1)(t, 8) for t in (0, 4, 8, 100)] == pytest.approx([0.2, 0.15, 0.1, 0.1])


def test_warmup_rises_linearly_and_hands_over():
    rate = Warmup(Drops(1.0), 10 / 200)
    assert [rate(t, 200) for t in (0, 5, 10, 50, 100)] == pytest.approx([0, 0.5, 1, 1, 0.1])


def test_delayed_is_zero_before_its_time():
    gamma = Delayed(Constant(0.01), 5 / 200)
    assert [gamma(t, 200) for t in (0, 4, 5, 199)] == [0, 0, 0.01, 0.01]


SETUP = claims.claim("liu2020-setup").published


@pytest.mark.parametrize(
    ("schedule", "target", "reached"),
    [
        (CosineBudget(0.4, SETUP["eps_max"]["MNIST_cosine"]), 0.4, math.acos(1 - 2 * 0.4 / 0.6) / math.pi),
        (LinearBudget(0.4, SETUP["eps_max"]["MNIST_linear"]), 0.4, 0.5),
        (CosineBudget(8 / 255, SETUP["eps_max_255ths"]["CIFAR10_cosine"] / 255), 8 / 255, 0.5),
        (LinearBudget(8 / 255, SETUP["eps_max_255ths"]["CIFAR10_linear"] / 255), 8 / 255, 0.5),
    ],
)
def test_budgets_start_at_zero_and_reach_the_target_where_the_ledger_says(schedule, target, reached):
    values = [schedule(t, 1000) for t in range(1001)]
    assert values[0] == 0
    assert all(a <= b for a, b in itertools.pairwise(values))
    assert max(values) == target
    first = next(t for t, v in enumerate(values) if v == target) / 1000
    assert first == pytest.approx(reached, abs=0.002)
    assert round(reached, 3) in (0.608, 0.5)
    assert schedule(2000, 1000) == target  # held, where the printed cosine would come down again


def test_budgets_follow_the_formulas_before_they_are_clipped():
    cosine, linear = CosineBudget(0.5, 0.3, -0.1), LinearBudget(0.5, 0.3, -0.1)
    for t in (3, 5, 8):
        assert cosine(t, 10) == pytest.approx(max(0, 0.5 * (1 - math.cos(t / 10 * math.pi)) * 0.4 - 0.1))
        assert linear(t, 10) == pytest.approx(max(0, 0.4 * t / 10 - 0.1))
    assert cosine(1, 10) == 0  # below eps_min = 0 it is clipped


@given(start=st.floats(0.01, 0.99), t=st.integers(0, 199), total=st.sampled_from([10, 50, 200]))
def test_budgets_stay_between_zero_and_target(start, t, total):
    for kind in (CosineBudget, LinearBudget):
        assert 0 <= kind(start / 2, start)(t, total) <= start / 2


def test_a_small_budget_is_not_mistaken_for_units_of_255():
    # DESIGN section 12: code that guessed the units turned a warm-up of 0.39/255 into 99.8/255.
    warm = LinearBudget(8 / 255, 16 / 255)
    assert warm(5, 200) == pytest.approx(16 / 255 * 5 / 200)
    assert warm(5, 200) * 255 == pytest.approx(0.4)
    assert LinearBudget(0.39 / 255, 0.39 / 255)(1, 1) == 0.39 / 255


def test_periodic_schedules_start_again_and_scale_with_their_period():
    budget = Periodic(LinearBudget(8 / 255, 16 / 255))
    assert [budget(t, 200) for t in (0, 100, 150)] == [0, 0, 0]
    assert budget(25, 200) == budget(112.5, 200) == budget(162.5, 200) == pytest.approx(4 / 255)
    assert [budget(t, 200) for t in (50, 99, 125, 149, 175, 199, 200, 300)] == [8 / 255] * 8
    rate = Periodic(Drops(0.1, at=(0.5,)))  # a learning-rate reset
    assert [rate(t, 200) for t in (0, 50, 100, 125, 150, 175)] == pytest.approx([0.1, 0.01] * 3)


def test_periodic_with_a_period_that_is_no_round_number_of_epochs():
    assert [Periodic(LinearBudget(1.0, 1.0), ends=(1 / 3, 1.0))(t, 9) for t in (0, 2, 3, 6)] == pytest.approx(
        [0, 2 / 3, 0, 0.5]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Drops(0.1, at=(100, 150)), "at=.100, 150.: allowed are fractions of the total time"),
        (lambda: CosineBudget(8, 16), "target=8, largest=16, smallest=0.0: budgets are fractions of the pixel range"),
        (lambda: LinearBudget(0.1, 0.1, 0.2), "smallest <= largest"),
        (lambda: Periodic(Constant(1.0), ends=(0.5,)), "the last one 1"),
        (lambda: Periodic(Constant(1.0), ends=(0.5, 0.5, 1.0)), "increasing fractions"),
        (lambda: Warmup(Constant(1.0), 0), "a warm-up takes some time"),
        (lambda: Decay(0.0, 1.0), "needs positive values"),
        (lambda: Constant(1.0)(-1, 10), "t=-1, total=10: a time is at least 0"),
        (lambda: Cosine(1.0)(1, 0), "the total positive"),
    ],
)
def test_bad_input_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)
