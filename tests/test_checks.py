"""Each rule of a check: an input on which it holds and one on which it must fail."""

import numpy as np
import pytest
import sympy
import z3
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import checks

S = {"sample": "a sample"}
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("holds", "fails"),
    [
        (
            lambda: checks.at_most("c", "s", measured=[1, 2], bound=2, **S),
            lambda: checks.at_most("c", "s", measured=[1, 2.001], bound=2, **S),
        ),
        (
            lambda: checks.equal("c", "s", measured=[1, 2], expected=[1, 2], atol=1e-12, **S),
            lambda: checks.equal("c", "s", measured=[1, 2], expected=[1, 2.1], atol=1e-2, **S),
        ),
        (
            lambda: checks.every("c", "s", cases=[True, True], **S),
            lambda: checks.every("c", "s", cases=[True, False], **S),
        ),
        (
            lambda: checks.agrees("c", "s", estimate=[1.0, 2.1], standard_error=[0.1, 0.1], exact=[1.1, 2.0], **S),
            lambda: checks.agrees("c", "s", estimate=[1.0, 2.7], standard_error=[0.1, 0.1], exact=[1.1, 2.0], **S),
        ),
        (
            lambda: checks.same_law("c", "s", p_values=[0.3, 0.01], **S),
            lambda: checks.same_law("c", "s", p_values=[0.3, 1e-5], **S),
        ),
        (
            lambda: checks.within(
                "c", "s", measured=0.4169, published=0.417, tolerance={"abs": 0.002}, scale="cpu", **S
            ),
            lambda: checks.within(
                "c", "s", measured=2.3987, published=0.417, tolerance={"abs": 0.002}, scale="cpu", **S
            ),
        ),
        (
            lambda: checks.within("c", "s", measured=11, published=10, tolerance={"rel": 0.11}, scale="cpu", **S),
            lambda: checks.within("c", "s", measured=11, published=10, tolerance={"rel": 0.09}, scale="cpu", **S),
        ),
        (
            lambda: checks.positive("c", "s", differences=[1, 1.1, 0.9], **S),
            lambda: checks.positive("c", "s", differences=[1, -1.1, 0.9], **S),
        ),
        (
            lambda: checks.above_zero("c", "s", estimate=0.5, interval=(0.1, 0.9), **S),
            lambda: checks.above_zero("c", "s", estimate=0.5, interval=(-0.1, 0.9), **S),
        ),
        (
            lambda: checks.identity("c", "s", left="(a + b)**2", right="a**2 + 2*a*b + b**2"),
            lambda: checks.identity("c", "s", left="(a + b)**2", right="a**2 + b**2"),
        ),
        (
            lambda: checks.implies("c", "s", assumptions=[z3.Real("x") > 1], conclusion=z3.Real("x") ** 2 > 1),
            lambda: checks.implies("c", "s", assumptions=[z3.Real("x") < 1], conclusion=z3.Real("x") ** 2 < 1),
        ),
    ],
)
def test_a_rule_holds_where_it_should_and_fails_where_it_must(holds, fails):
    assert holds().held is True
    assert fails().held is False


@pytest.mark.parametrize(
    "made",
    [
        lambda bad: checks.at_most("c", "s", measured=bad, bound=2, **S),
        lambda bad: checks.equal("c", "s", measured=bad, expected=1, atol=9.0, **S),
        lambda bad: checks.every("c", "s", cases=bad, **S),
        lambda bad: checks.agrees("c", "s", estimate=bad, standard_error=1.0, exact=1.0, **S),
        lambda bad: checks.same_law("c", "s", p_values=bad, **S),
        lambda bad: checks.positive("c", "s", differences=bad, **S),
    ],
)
def test_a_check_never_holds_for_want_of_data(made):
    assert made([1.0, float("nan"), 1.0]).held is False
    with pytest.raises(ValueError, match="no data"):
        made([])


def test_a_trend_needs_three_seeds():
    with pytest.raises(ValueError, match="2 seeds; a trend needs at least 3"):
        checks.positive("c", "s", differences=[1, 2], **S)


def test_contradictory_assumptions_prove_nothing():
    x = z3.Real("x")
    with pytest.raises(ValueError, match="contradict each other"):
        checks.implies("c", "s", assumptions=[x > 1, x < 0], conclusion=x > 5)
    with pytest.raises(ValueError, match="no assumptions"):
        checks.implies("c", "s", assumptions=[], conclusion=x * x >= 0)


def test_a_counterexample_is_shown():
    x = z3.Real("x")
    check = checks.implies("c", "s", assumptions=[x > 0], conclusion=x > 1)
    assert check.evidence["counterexample"].startswith("found: [x = ")


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="role='proof'.*printed, corrected"):
        checks.Check("c", "s", True, role="proof")


def test_the_statistical_rules_reject_a_true_statement_as_rarely_as_they_say():
    z = RNG.standard_normal((4000, 10))
    rejected = sum(not checks.agrees("c", "s", estimate=row, standard_error=1.0, exact=0.0, **S).held for row in z)
    assert rejected <= 4  # expected 0.4 at a level of 1e-4


def test_a_trend_without_an_effect_is_found_in_one_run_of_forty():
    found = sum(checks.positive("c", "s", differences=RNG.standard_normal(8), **S).held for _ in range(2000))
    assert 25 <= found <= 80  # expected 50: one side of a two-sided 95 % interval


def test_rounding_noise_does_not_reach_the_stored_text():
    a = checks.equal("c", "s", measured=[1 + 1e-16], expected=1, atol=1e-9, **S).evidence_text()
    b = checks.equal("c", "s", measured=[1 + 3e-15], expected=1, atol=1e-9, **S).evidence_text()
    assert a == b
    assert "0 to rounding" in checks.at_most("c", "s", measured=[1 + 1e-15], bound=1, **S).evidence_text()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(0, 1e6))
def test_at_most_is_the_inequality(measured, bound):
    held = checks.at_most("c", "s", measured=measured, bound=bound, **S).held
    assert held == all(value <= bound * (1 + 1e-9) for value in measured)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=10))
def test_identities_of_numbers_are_exact(numbers):
    x = sympy.Symbol("x")
    polynomial = sum(sympy.Rational(round(10 * c)) * x**k for k, c in enumerate(numbers))
    assert checks.identity("c", "s", left=sympy.expand(polynomial * (x + 1)), right=polynomial * (x + 1)).held
    assert not checks.identity("c", "s", left=polynomial * (x + 1), right=polynomial * (x + 1) + 1).held


def test_torch_tensors_are_read():
    import torch

    assert checks.at_most("c", "s", measured=torch.ones(2, requires_grad=True), bound=torch.tensor(1.0), **S).held


def test_not_run_says_what_it_needs():
    check = checks.not_run("c", "s", needs="a GPU")
    assert (check.held, check.outcome(), check.evidence_text()) == (None, "not run", "needs a GPU")


@pytest.mark.parametrize(
    ("differences", "outcome"),
    [([1, 1.1, 0.9], "held"), ([-1, -1.1, -0.9], "failed"), ([1, -1, 0.2], "unresolved"), ([0, 0, 0], "unresolved")],
)
def test_an_interval_that_holds_zero_leaves_a_direction_unresolved(differences, outcome):
    assert checks.positive("c", "s", differences=differences, **S).outcome() == outcome


@pytest.mark.parametrize("held", [True, None])
def test_only_a_check_that_did_not_hold_can_be_unresolved(held):
    with pytest.raises(ValueError, match=f"check 'c': unresolved, but held={held}"):
        checks.Check("c", "s", held, unresolved=True)


def test_the_interval_of_a_mean_is_that_of_the_t_distribution_and_the_one_that_is_judged():
    low, high = checks.mean_interval([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2)
    assert high - 2 == pytest.approx(4.302652729911275 / 3**0.5)
    shown = checks.positive("c", "s", differences=[1.0, 2.0, 3.0], **S).evidence["95% interval"]
    assert shown == f"[{checks.show(low)}, {checks.show(high)}]"


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [((0.1, 1), "held"), ((-0.1, 1), "unresolved"), ((-1, -0.1), "failed"), ((np.nan, np.nan), "failed")],
)
def test_a_direction_with_an_interval_of_another_kind_is_judged_alike(interval, outcome):
    assert checks.above_zero("c", "s", estimate=sum(interval) / 2, interval=interval, **S).outcome() == outcome


def test_an_interval_the_wrong_way_round_is_refused():
    with pytest.raises(ValueError, match="interval from 0.3 to 0.2; give the lower end first"):
        checks.above_zero("c", "s", estimate=0.25, interval=(0.3, 0.2), **S)


def test_the_interval_of_a_difference_is_welchs_and_turns_round():
    g = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        a, b = g.normal(1, 3, 5), g.normal(0, 1, 4)
        low, high = checks.difference_interval(a, b)
        covered += low <= 1 <= high
        assert checks.difference_interval(b, a) == pytest.approx((-high, -low))
    assert covered / 400 == pytest.approx(0.95, abs=0.035)
    # Equal sizes and spreads: the t-interval with n + n - 2 degrees of freedom.
    low, high = checks.difference_interval([0, 1, 2], [3, 4, 5])
    assert (low, high) == pytest.approx((-3 - 2.7764 * (2 / 3) ** 0.5, -3 + 2.7764 * (2 / 3) ** 0.5), abs=1e-3)
