"""Checks: a sentence, the evidence as numbers, and whether it held, computed from the data.

Each function takes measured numbers and decides by a stated rule; none takes the decision as an
argument. Empty input is refused and a NaN never passes, so a check cannot hold for want of data.
What the verdict makes of the checks stands in :mod:`advsmooth.claims`.

The ``role`` of a check says what it speaks for:

==============  ===================================================================================
``printed``     the statement as the paper prints it
``corrected``   the corrected statement, when the printed one fails
``derivation``  an algebraic step of the derivation on the page, checked by machine
``published``   a published number, at the published setting
``trend``       a published direction or ordering, at a reduced setting
``method``      our own measurement, against an independent way to get the same number; it decides
                nothing by itself, and a page whose method check fails gets no verdict at all
``observed``    something of ours beyond the claim; shown with its outcome, held or not, and decides
                nothing
==============  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from scipy import stats

Role = Literal["printed", "corrected", "derivation", "published", "trend", "method", "observed"]
ALPHA = 1e-4
"""Chance of rejecting a true statement that the statistical checks below accept, per check."""


@dataclass(frozen=True)
class Check:
    """One sentence about a claim, and what the numbers say of it.

    Attributes:
        name: a short slug, unique among the checks of its claim.
        sentence: what was tested, in one sentence.
        held: the outcome; ``None`` when it was not run.
        evidence: label -> number or text, in the order shown.
        sample: sample size, seeds and anything else that says how much evidence this is.
        rule: the function that decided.
        role: what the check speaks for (see the module).
        scale: the scale at which the evidence was made; empty for algebra, which has none.
        unresolved: the sentence is not shown, but its opposite is not either; only where ``held`` is false.
    """

    name: str
    sentence: str
    held: bool | None
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)
    sample: str = ""
    rule: str = ""
    role: Role = "printed"
    scale: str = "quick"
    unresolved: bool = False

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise ValueError(f"role={self.role!r}: allowed is {', '.join(get_args(Role))}")
        if self.unresolved and self.held is not False:
            raise ValueError(f"check {self.name!r}: unresolved, but held={self.held!r}")

    def outcome(self) -> str:
        """``held``, ``failed``, ``unresolved`` or ``not run``."""
        if self.unresolved:
            return "unresolved"
        return {True: "held", False: "failed", None: "not run"}[self.held]

    def evidence_text(self) -> str:
        """The evidence on one line, numbers rounded to three significant digits."""
        parts = [f"{label} {show(value)}" for label, value in self.evidence.items()]
        return "; ".join(parts + [part for part in (self.sample, self.scale) if part])


def show(value: Any) -> str:
    """A number as the pages print it: three significant digits, so that stored outputs compare equal."""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return str(int(value))
    return f"{float(value):.3g}"


def _array(name: str, values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size == 0:
        raise ValueError(f"check {name!r}: no data; a check needs at least one measured number")
    return array


def at_most(
    name: str,
    sentence: str,
    *,
    measured: Any,
    bound: Any,
    sample: str,
    rtol: float = 1e-9,
    role: Role = "printed",
    scale: str = "quick",
) -> Check:
    """An inequality ``measured <= bound`` in every case, up to rounding ``rtol * max|bound|``.

    Reports the number of violations, the smallest margin ``bound - measured`` and how close the
    tightest case comes, ``max(measured / bound)``.
    """
    x = _array(name, measured)
    b = np.broadcast_to(_array(name, bound), x.shape)
    margin = b - x
    slack = rtol * np.abs(b).max()
    broken = int(np.count_nonzero(~(margin >= -slack)))  # ~(>=) also counts NaN
    positive = b > 0
    smallest = float(np.min(margin))
    # A margin of rounding size differs from one CPU to the next; what is stored and compared must not.
    shown: float | str = smallest if not abs(smallest) <= slack else "0 to rounding"
    evidence: dict[str, float | int | str] = {"violations": f"{broken} of {x.size}", "smallest margin": shown}
    if positive.any():
        with np.errstate(over="ignore"):  # a bound may be as small as a denormal number
            evidence["largest ratio to the bound"] = float(np.max(x[positive] / b[positive]))
    return Check(name, sentence, broken == 0, evidence, sample, "at_most", role, scale)


def equal(
    name: str,
    sentence: str,
    *,
    measured: Any,
    expected: Any,
    atol: float,
    sample: str,
    role: Role = "printed",
    scale: str = "quick",
) -> Check:
    """An identity up to the stated absolute tolerance, in every case."""
    x = _array(name, measured)
    difference = float(np.max(np.abs(x - np.broadcast_to(_array(name, expected), x.shape))))
    # Rounding noise differs from one CPU to the next; what is stored and compared must not.
    shown = difference if not difference <= atol or difference > 0.1 * atol else f"below {show(0.1 * atol)}"
    evidence = {"largest difference": shown, "allowed": atol, "cases": x.size}
    return Check(name, sentence, bool(difference <= atol), evidence, sample, "equal", role, scale)


def every(
    name: str,
    sentence: str,
    *,
    cases: Any,
    sample: str,
    evidence: Mapping[str, float | int | str] | None = None,
    role: Role = "printed",
    scale: str = "quick",
) -> Check:
    """A yes-or-no property, in every case; ``evidence`` adds numbers that show how clear it was."""
    x = _array(name, cases)
    passed = int(np.count_nonzero(x == 1))
    shown = {"cases that hold": f"{passed} of {x.size}", **(evidence or {})}
    return Check(name, sentence, passed == x.size, shown, sample, "every", role, scale)


def agrees(
    name: str,
    sentence: str,
    *,
    estimate: Any,
    standard_error: Any,
    exact: Any,
    sample: str,
    role: Role = "printed",
    scale: str = "quick",
) -> Check:
    """Monte Carlo estimates against exact values: the largest ``|z|`` over all cells stays below the
    two-sided normal quantile at level :data:`ALPHA`, Bonferroni-corrected for the number of cells.
    """
    x, se = _array(name, estimate), _array(name, standard_error)
    z = np.abs(x - np.broadcast_to(_array(name, exact), x.shape)) / np.broadcast_to(se, x.shape)
    limit = float(stats.norm.isf(ALPHA / (2 * x.size)))
    worst = float(np.max(z))
    evidence = {"largest |z|": worst, "allowed": limit, "cells": x.size}
    return Check(name, sentence, bool(worst <= limit), evidence, sample, "agrees", role, scale)


def same_law(
    name: str,
    sentence: str,
    *,
    p_values: Any,
    sample: str,
    role: Role = "printed",
    scale: str = "quick",
) -> Check:
    """Goodness-of-fit p-values: the smallest stays above :data:`ALPHA` divided by their number."""
    p = _array(name, p_values)
    worst = float(np.min(p))
    evidence = {"smallest p": worst, "needed": ALPHA / p.size, "tests": p.size}
    return Check(name, sentence, bool(worst >= ALPHA / p.size), evidence, sample, "same_law", role, scale)


def within(
    name: str,
    sentence: str,
    *,
    measured: float,
    published: float,
    tolerance: Mapping[str, float],
    sample: str,
    scale: str,
    role: Role = "published",
) -> Check:
    """One published number: ``|measured - published|`` within ``{"abs": …}`` or ``{"rel": …}``."""
    allowed = tolerance["abs"] if "abs" in tolerance else tolerance["rel"] * abs(published)
    evidence = {"measured": float(measured), "published": float(published), "allowed difference": float(allowed)}
    held = bool(abs(float(measured) - published) <= allowed)
    return Check(name, sentence, held, evidence, sample, "within", role, scale)


def mean_interval(differences: Any, confidence: float = 0.95) -> tuple[float, float]:
    """The ends of the two-sided t-interval of a mean, from independent numbers such as one a seed (at least two).

    It is what :func:`positive` judges and what figures draw.
    """
    d = np.asarray(differences, dtype=float)
    half = stats.t.ppf((1 + confidence) / 2, d.size - 1) * d.std(ddof=1) / np.sqrt(d.size)
    return float(d.mean() - half), float(d.mean() + half)


def positive(
    name: str,
    sentence: str,
    *,
    differences: Any,
    sample: str,
    confidence: float = 0.95,
    role: Role = "trend",
    scale: str = "quick",
) -> Check:
    """A direction: the two-sided t-interval of the mean of ``differences``, one number per seed (at
    least three), lies above zero. Give ``b - a`` to say that ``b`` is larger.

    An interval that holds zero leaves the direction *unresolved*; one below zero is a failure.
    """
    d = _array(name, differences)
    if d.size < 3:
        raise ValueError(f"check {name!r}: {d.size} seeds; a trend needs at least 3")
    low, high = mean_interval(d, confidence)
    evidence: dict[str, float | int | str] = {
        "mean difference": float(d.mean()),
        f"{confidence:.0%} interval": f"[{show(low)}, {show(high)}]",
        "seeds": d.size,
    }
    return Check(name, sentence, low > 0, evidence, sample, "positive", role, scale, unresolved=low <= 0 <= high)


def difference_interval(these: Any, those: Any, confidence: float = 0.95) -> tuple[float, float]:
    """The ends of Welch's interval of ``mean(these) - mean(those)``, for independent numbers, at least two of each.

    It is for two groups without pairs, such as architectures of two kinds, whose spreads may differ.
    """
    found = stats.ttest_ind(np.asarray(these, dtype=float), np.asarray(those, dtype=float), equal_var=False)
    low, high = found.confidence_interval(confidence)
    return float(low), float(high)


def above_zero(
    name: str,
    sentence: str,
    *,
    estimate: float,
    interval: tuple[float, float],
    sample: str,
    role: Role = "trend",
    scale: str = "quick",
) -> Check:
    """A direction judged by a 95 % interval other than that of a mean of seeds; ``sample`` says which.

    It may come from :func:`difference_interval`, or from a bootstrap over clusters. As in :func:`positive`, an interval
    that holds zero leaves the direction open. Give minus the numbers to say that something is below.

    Raises:
        ValueError: for an interval that does not run from low to high.
    """
    low, high = (float(end) for end in interval)
    if low > high:  # false for a NaN, which then fails as everywhere
        raise ValueError(f"check {name!r}: interval from {show(low)} to {show(high)}; give the lower end first")
    evidence: dict[str, float | int | str] = {
        "estimate": float(estimate),
        "95% interval": f"[{show(low)}, {show(high)}]",
    }
    return Check(name, sentence, low > 0, evidence, sample, "above_zero", role, scale, unresolved=low <= 0 <= high)


def identity(name: str, sentence: str, *, left: Any, right: Any, role: Role = "derivation") -> Check:
    """An algebraic identity of two sympy expressions: their difference simplifies to zero."""
    import sympy

    rest = sympy.simplify(sympy.sympify(left) - sympy.sympify(right))
    return Check(name, sentence, bool(rest == 0), {"left - right =": str(rest)}, "", "identity", role, scale="")


def implies(
    name: str, sentence: str, *, assumptions: Sequence[Any], conclusion: Any, role: Role = "derivation"
) -> Check:
    """An implication between z3 formulas: the assumptions are satisfiable, and no model of them
    breaks the conclusion. A timeout counts as failure.
    """
    import z3

    if not assumptions:
        raise ValueError(f"check {name!r}: no assumptions; give at least the ranges of the variables")
    solver = z3.Solver()
    solver.set("timeout", 20_000)
    solver.add(*assumptions)
    if solver.check() != z3.sat:
        raise ValueError(f"check {name!r}: the assumptions contradict each other, so anything would follow")
    solver.add(z3.Not(conclusion))
    answer = solver.check()
    found = "found: " + " ".join(str(solver.model()).split()) if answer == z3.sat else "undecided in 20 s"
    evidence = {"counterexample": "none exists" if answer == z3.unsat else found}
    return Check(name, sentence, bool(answer == z3.unsat), evidence, "", "implies", role, scale="")


def not_run(name: str, sentence: str, *, needs: str, role: Role = "published", scale: str = "") -> Check:
    """A check that needs data or hardware this run does not have; ``needs`` says what and how to get it."""
    return Check(name, sentence, None, {"needs": needs}, "", "not_run", role, scale)
