"""The attack audit: is a robust accuracy the model's merit, or the attack's failure?

A model can be hard to attack by gradients without being robust: rounding, saturation or noise in the forward pass
hide the gradient (Athalye et al. 2018). Beside every robust accuracy stands this audit, which looks for the symptoms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor

from advsmooth.attacks import ball
from advsmooth.attacks.autoattack import AutoAttack
from advsmooth.attacks.evaluation import Attack, RobustError, robust_error
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.isolation import Model, frozen
from advsmooth.attacks.losses import margin, succeeded

TESTS = ("gradients", "steps", "restarts", "large_budget", "stronger")


@dataclass(frozen=True)
class Audit:
    """What an audit measured, and what it concludes.

    Attributes:
        table: one row per measurement: ``test`` (one of :data:`TESTS`), ``setting`` (what was varied), ``measure``
            (``loss``, the mean over the examples; ``accuracy``; ``zero gradients``, a share) and ``value``.
        passed: for each test, whether there is no symptom:

            - ``gradients``: no correctly classified example has a loss gradient that is zero or not finite;
            - ``steps``: neither fewer steps nor up to four times as many break more examples, beyond the margin;
            - ``restarts``: nor do at least twice as many random starts;
            - ``large_budget``: no example is left at a radius that lets any image become any other;
            - ``stronger``: a stronger attack breaks no more of what is left, beyond the margin.
        allowed: the margin, a share of the examples.
    """

    table: pd.DataFrame
    passed: Mapping[str, bool]
    allowed: float

    @property
    def all_passed(self) -> bool:
        """Whether there is no symptom at all."""
        return all(self.passed.values())


def audit(
    model: Model,
    x: Tensor,
    y: Tensor,
    attack: PGD,
    *,
    generator: torch.Generator,
    stronger: Attack | Sequence[Attack] | None = None,
    large_eps: float | None = None,
    allowed: float = 0.01,
    batch_size: int = 256,
) -> Audit:
    """Audit the attack behind a robust accuracy.

    It costs some twenty times what the attack does, less where that succeeds. A model that predicts one class
    whatever the input fails ``large_budget``, though it hides nothing.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs ``(n, ...)``; a few hundred will do.
        y: true labels ``(n,)``, int64.
        attack: the one whose robust accuracy is reported.
        generator: for all attacks.
        stronger: one or several attacks to run on what ``attack`` leaves; :func:`stronger_attacks` if not given.
        large_eps: the large radius; the width of the box (linf), or that times the root of the dimension (l2), if not
            given.
        allowed: the margin, a share of the examples.
        batch_size: examples at a time.

    Raises:
        ValueError: for a margin that is no share, or an attack that is targeted.
    """
    if not 0 <= allowed < 1:
        raise ValueError(f"allowed={allowed!r}: allowed is a share of the examples, from 0 to below 1")
    case = _Case(model, x, y, attack, generator, allowed, batch_size)
    width = attack.box[1] - attack.box[0]
    full = width if attack.norm == "linf" else width * math.sqrt(math.prod(x.shape[1:]))
    findings = (
        case.gradients(),
        case.steps(),
        case.restarts(),
        case.large_budget(full if large_eps is None else large_eps),
        case.stronger(stronger_attacks(attack, x) if stronger is None else stronger),
    )
    rows = [(name, *row) for name, (measured, _) in zip(TESTS, findings, strict=True) for row in measured]
    table = pd.DataFrame(rows, columns=["test", "setting", "measure", "value"])
    return Audit(table, {name: passed for name, (_, passed) in zip(TESTS, findings, strict=True)}, allowed)


def stronger_attacks(attack: PGD, x: Tensor) -> list[Attack]:
    """What an attack is compared with: PGD on the margin, which does not saturate, with five random starts of twice
    the steps; and, for images of 5x5 or more in [0, 1], 1000 queries of Square, which needs no gradient.
    """
    by_margin = replace(attack, loss=margin, steps=2 * attack.steps, restarts=5, random_start=True, early_stop=True)
    if x.ndim != 4 or min(x.shape[2:]) < 5 or attack.box != ball.PIXELS:
        return [by_margin]
    return [by_margin, AutoAttack(eps=attack.eps, norm=attack.norm, components=("square",), queries=1000)]


_Finding = tuple[list[tuple[str, str, float]], bool]
"""Rows of setting, measure and value; and whether the test was passed."""


@dataclass(frozen=True)
class _Case:
    """What is audited; one method for each test."""

    model: Model
    x: Tensor
    y: Tensor
    attack: PGD
    generator: torch.Generator
    allowed: float
    batch_size: int

    def gradients(self) -> _Finding:
        hidden = 0
        for xs, ys in zip(self.x.split(self.batch_size), self.y.split(self.batch_size), strict=True):
            at = xs.detach().clone().requires_grad_(True)
            with frozen(self.model), torch.enable_grad():
                logits = self.model(at)
                losses = self.attack.loss(logits, ys)
                (gradient,) = torch.autograd.grad(losses, at, torch.ones_like(losses))
            size = ball.norms(gradient, "linf")
            hidden += int((~succeeded(logits, ys) & ~((size > 0) & size.isfinite())).sum())
        return [("at the inputs", "zero gradients", hidden / len(self.x))], hidden == 0

    def steps(self) -> _Finding:
        """From the same start, so that only the steps differ."""
        own, accuracy, rows = self.attack.steps, {}, []
        single = replace(self.attack, restarts=1, early_stop=False)
        start = single.start(self.x, self.generator)
        for steps in sorted({1, max(1, own // 4), own, 2 * own, 4 * own}):
            loss, standing = self._results(replace(single, steps=steps), start)
            accuracy[steps] = _mean(standing)
            rows += [(str(steps), "loss", _mean(loss)), (str(steps), "accuracy", accuracy[steps])]
        return rows, accuracy[own] <= min(accuracy.values()) + self.allowed

    def restarts(self) -> _Finding:
        accuracy, rows = [], []
        single = replace(self.attack, restarts=1, early_stop=False, random_start=True)
        worst, left = torch.full((), -torch.inf), torch.ones((), dtype=torch.bool)
        for k in range(1, max(4, 2 * self.attack.restarts) + 1):
            loss, standing = self._results(single, single.start(self.x, self.generator))
            worst, left = torch.maximum(worst.to(loss), loss), left.to(standing) & standing
            accuracy.append(_mean(left))
            rows += [(str(k), "loss", _mean(worst)), (str(k), "accuracy", accuracy[-1])]
        return rows, accuracy[self.attack.restarts - 1] <= accuracy[-1] + self.allowed

    def large_budget(self, eps: float) -> _Finding:
        long = replace(self.attack, eps=eps, step_size=None, steps=max(50, self.attack.steps))
        left = 1 - self._broken_by(replace(long, restarts=5, random_start=True, early_stop=True)).error
        return [(f"eps = {eps:.4g}", "accuracy", left)], left == 0

    def stronger(self, rivals: Attack | Sequence[Attack]) -> _Finding:
        left = ~self._broken_by(self.attack).broken
        before = _mean(left)
        if left.any():
            left[left.clone()] = ~self._broken_by(rivals, left).broken
        rows = [("the attack", "accuracy", before), ("and more", "accuracy", _mean(left))]
        return rows, before <= _mean(left) + self.allowed

    def _broken_by(self, attacks: Attack | Sequence[Attack], among: Tensor | slice = slice(None)) -> RobustError:
        x, y = self.x[among], self.y[among]
        return robust_error(self.model, x, y, attacks, batch_size=self.batch_size, generator=self.generator)

    def _results(self, attack: PGD, start: Tensor) -> tuple[Tensor, Tensor]:
        """Loss at the end of an attack, and which examples are right both before and after it, both ``(n,)``."""
        losses, standing = [], []
        for xs, ys, begin in zip(*(t.split(self.batch_size) for t in (self.x, self.y, start)), strict=True):
            found = attack(self.model, xs, ys, start=begin)
            with frozen(self.model), torch.no_grad():
                logits = self.model(found)
                losses.append(attack.loss(logits, ys).double())
                standing.append(~succeeded(logits, ys) & ~succeeded(self.model(xs), ys))
        return torch.cat(losses), torch.cat(standing)


def _mean(values: Tensor) -> float:
    return values.double().mean().item()
