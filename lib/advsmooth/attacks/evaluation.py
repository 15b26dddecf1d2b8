"""What attacks say of a model: robust error, error curves, median distances, and what a success costs.

Every function runs the model in eval mode and leaves its flags as found. Labels ``y`` are the true ones: a targeted
attack is refused here. An example that is misclassified as it stands counts as broken at distance 0 and is attacked
no more; one that an attack, a restart or a smaller radius has broken is not attacked by the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth.attacks import ball
from advsmooth.attacks.ball import Norm
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.isolation import Model, frozen
from advsmooth.attacks.losses import succeeded


class Attack(Protocol):
    """Anything that moves inputs: see the modules of this package."""

    @property
    def norm(self) -> Norm:
        """The norm in which it keeps perturbations small."""

    def __call__(self, model: Model, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Adversarial inputs, shape, dtype and device of ``x``."""


@runtime_checkable
class BudgetAttack(Attack, Protocol):
    """An attack within a ball, as against one for the closest adversarial point."""

    @property
    def eps(self) -> float:
        """The radius, pixel scale."""

    def at(self, eps: float) -> Self:
        """The same attack at another radius."""


@dataclass(frozen=True)
class RobustError:
    """How many examples attacks break, and which.

    Attributes:
        stages: the attacks in order, one stage for each restart of a PGD.
        broken_by: for each example, 0 if it is misclassified as it stands, ``k`` if stage ``k`` (from 1) broke it, -1
            if none did, shape ``(n,)``, int64.
        x_adv: the adversarial inputs found; the inputs themselves elsewhere.
    """

    stages: tuple[str, ...]
    broken_by: Tensor
    x_adv: Tensor

    @property
    def broken(self) -> Tensor:
        """Boolean ``(n,)``."""
        return self.broken_by >= 0

    @property
    def error(self) -> float:
        """Share of examples that are broken."""
        return self.broken.double().mean().item()

    @property
    def clean_error(self) -> float:
        """Share that is misclassified without an attack."""
        return (self.broken_by == 0).double().mean().item()

    def table(self) -> pd.DataFrame:
        """One row per stage: ``stage, attack, attacked`` (examples), ``broken`` (examples), ``error`` (so far)."""
        n = len(self.broken_by)
        counts = [int((self.broken_by == k).sum()) for k in range(len(self.stages) + 1)]
        rows = [
            (k, name, n - sum(counts[:k]), counts[k], sum(counts[: k + 1]) / n)
            for k, name in enumerate(("none", *self.stages))
        ]
        return pd.DataFrame(rows, columns=["stage", "attack", "attacked", "broken", "error"])


def robust_error(
    model: Model,
    x: Tensor,
    y: Tensor,
    attacks: Attack | Sequence[Attack],
    *,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
) -> RobustError:
    """Attack after attack, restart after restart, each on the examples that are left, in full batches.

    The random starts of a PGD are drawn for all examples at once: its result depends neither on ``batch_size`` (up to
    rounding) nor on what other attacks broke. For other attacks it does, as far as they say so themselves.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs ``(n, ...)``, at least one.
        y: true labels ``(n,)``, int64.
        attacks: one or several, with or without a budget.
        batch_size: examples at a time.
        generator: for the attacks.

    Raises:
        ValueError: for a targeted attack, no attack, no example, or an attack that leaves its own ball.
    """
    listed = list(attacks) if isinstance(attacks, Sequence) else [attacks]
    _check(x, y, listed, batch_size)
    broken_by = torch.where(_misclassified(model, x, y, batch_size), 0, -1)
    x_adv = x.detach().clone()
    stages = [(name, single) for attack in listed for name, single in _restarts(attack)]
    for k, (_, attack) in enumerate(stages, 1):
        left = (broken_by < 0).nonzero()[:, 0]
        found, hit = _attacked(model, x, y, left, attack, batch_size, generator)
        x_adv[left[hit]] = found[hit]
        broken_by[left[hit]] = k
    return RobustError(tuple(name for name, _ in stages), broken_by, x_adv)


def distances(
    model: Model,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    *,
    eps: Sequence[float] | None = None,
    norm: Norm | None = None,
    bisections: int = 0,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Distance of the closest adversarial point that an attack finds for each example.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs ``(n, ...)``.
        y: true labels ``(n,)``, int64.
        attack: a minimal-norm attack; or one within a budget, which is run at each radius of ``eps`` in turn, from
            the smallest, on the examples that no smaller one broke.
        eps: radii, for an attack within a budget only.
        norm: in which to measure; the attack's own if not given.
        bisections: a point found is moved back towards its input, as far as it stays adversarial, by so many halvings
            of the way between them; so the distances are finer than a coarse grid of radii, for a forward pass each.
        batch_size: examples at a time.
        generator: for the attack.

    Returns:
        Shape ``(n,)``, float64, pixel scale: 0 where misclassified as it stands, infinity where nothing was found.

    Raises:
        ValueError: for radii without a budget, or a budget without radii; see :func:`robust_error` for the rest.
    """
    budget = isinstance(attack, BudgetAttack)
    if budget != (eps is not None):
        needed = "needs radii, eps=[...]" if budget else "has no budget; leave eps out"
        raise ValueError(f"{type(attack).__name__}: this attack {needed}")
    runs: list[tuple[float, Attack]] = [(math.inf, attack)]
    if isinstance(attack, BudgetAttack) and eps is not None:
        runs = [(radius, single) for radius in sorted(eps) for _, single in _restarts(attack.at(radius))]
    _check(x, y, [single for _, single in runs], batch_size)
    measure: Norm = attack.norm if norm is None else norm
    result = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    result[_misclassified(model, x, y, batch_size)] = 0
    for radius, single in runs:
        left = result.isinf().nonzero()[:, 0]
        found, hit = _attacked(model, x, y, left, single, batch_size, generator)
        left, found = left[hit], found[hit]
        if len(left) > 0:
            found = _moved_back(model, x[left], y[left], found, bisections, batch_size)
        moved = ball.norms(found.double() - x[left].double(), measure)
        # A sign step of 0.1 in float32 is 0.1 + 1e-9 long, and must not miss its own radius.
        result[left] = moved.clamp(max=radius) if measure == attack.norm else moved
    return result


def error_curve(found: Tensor, eps: Sequence[float]) -> pd.DataFrame:
    """The probability of a successful attack against its distance (Finlay et al., figures 2 and 3).

    Args:
        found: what :func:`distances` returned, shape ``(n,)``.
        eps: distances at which to read the curve; radii between those that were attacked say too little.

    Returns:
        One row per distance, in ascending order: ``distance``, ``error`` (share of examples broken within it, never
        decreasing), ``broken`` and ``n`` (examples).
    """
    _check_distances(found)
    rows = [(float(e), int((found <= e).sum()), len(found)) for e in sorted(eps)]
    table = pd.DataFrame(rows, columns=["distance", "broken", "n"])
    return table.assign(error=table.broken / table.n)[["distance", "error", "broken", "n"]]


def median_distance(found: Tensor) -> float:
    """Where the error curve reaches one half (Finlay et al., section 5): infinity if it does not, 0 if clean error is.

    The smallest distance within which at least half of the examples are broken; no averaging of two middle values,
    which would make nonsense of an infinite one.
    """
    _check_distances(found)
    return found.sort().values[(len(found) - 1) // 2].item()


class CountingModel(nn.Module):
    """A model that counts examples going forward and gradients coming back.

    Attributes:
        forwards: examples passed through the model.
        backwards: examples for which a gradient was passed back, once per backward pass.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model, self.forwards, self.backwards = model, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        """The logits of the model."""
        self.forwards += len(x)
        logits = self.model(x)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


def model_calls(
    model: Model, x: Tensor, y: Tensor, attack: Attack, *, generator: torch.Generator | None = None
) -> pd.DataFrame:
    """What an attack costs on each correctly classified example, attacked one at a time.

    Finlay et al. (section 5) report the median over examples as the cost of an attack, in calls of the model. Give a
    PGD ``early_stop=True``, or it runs on after it has succeeded.

    Returns:
        One row per example attacked: ``example`` (its index), ``success``, ``distance`` (the attack's norm, pixel
        scale; infinity without success), ``forwards``, ``backwards`` and their sum ``calls``.
    """
    _check(x, y, [attack], 1)
    rows = []
    for i in (~_misclassified(model, x, y, 256)).nonzero()[:, 0].tolist():
        counted = CountingModel(model)
        one = slice(i, i + 1)
        found = attack(counted, x[one], y[one], generator=generator)
        success = bool(_misclassified(model, found, y[one], 1))
        distance = ball.norms(found - x[one], attack.norm).item() if success else math.inf
        rows.append((i, success, distance, counted.forwards, counted.backwards, counted.forwards + counted.backwards))
    return pd.DataFrame(rows, columns=["example", "success", "distance", "forwards", "backwards", "calls"])


def _restarts(attack: Attack) -> Iterator[tuple[str, Attack]]:
    name = type(attack).__name__
    if isinstance(attack, PGD) and attack.restarts > 1:
        for r in range(attack.restarts):
            yield f"{name} restart {r + 1}", replace(attack, restarts=1)
    else:
        yield name, attack


def _attacked(
    model: Model, x: Tensor, y: Tensor, left: Tensor, attack: Attack, batch_size: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Points found for the examples ``left``, and which of them are misclassified, boolean."""
    start = attack.start(x, generator) if isinstance(attack, PGD) else None
    found = x[left].detach().clone()
    hit = torch.zeros(len(left), dtype=torch.bool, device=x.device)
    for rows in torch.arange(len(left), device=x.device).split(batch_size):
        examples = left[rows]
        if isinstance(attack, PGD) and start is not None:
            found[rows] = attack(model, x[examples], y[examples], start=start[examples])
        else:
            found[rows] = attack(model, x[examples], y[examples], generator=generator)
        hit[rows] = _misclassified(model, found[rows], y[examples], batch_size)
    if isinstance(attack, BudgetAttack):
        outside = ~ball.contains(found, x[left], attack.eps, attack.norm, getattr(attack, "box", ball.PIXELS))
        if outside.any():
            furthest = ball.norms(found - x[left], attack.norm).max().item()
            raise ValueError(f"{attack!r}: {int(outside.sum())} points left the ball or the box (up to {furthest:.4g})")
    return found, hit


def _moved_back(model: Model, x: Tensor, y: Tensor, found: Tensor, bisections: int, batch_size: int) -> Tensor:
    """The points nearest to ``x`` that bisection finds misclassified on the way from ``found``."""
    share = x.new_ones(len(x), *[1] * (x.ndim - 1))  # of the way from x
    for halving in range(1, bisections + 1):
        nearer = share - 0.5**halving
        hit = _misclassified(model, torch.lerp(x, found, nearer), y, batch_size)
        share = torch.where(hit.reshape(share.shape), nearer, share)
    return torch.where(share < 1, torch.lerp(x, found, share), found)


def _misclassified(model: Model, x: Tensor, y: Tensor, batch_size: int) -> Tensor:
    with frozen(model), torch.no_grad():
        parts = zip(x.split(batch_size), y.split(batch_size), strict=True)
        return torch.cat([succeeded(model(xs), ys) for xs, ys in parts])


def _check(x: Tensor, y: Tensor, attacks: Sequence[Any], batch_size: int) -> None:
    if len(x) == 0 or len(attacks) == 0 or len(y) != len(x) or batch_size < 1:
        raise ValueError(
            f"{len(x)} examples, {len(y)} labels, {len(attacks)} attacks, batch_size={batch_size}: allowed is 1 or more"
        )
    for attack in attacks:
        if getattr(attack, "targeted", False):
            raise ValueError(f"{type(attack).__name__}: targeted=True; an evaluation needs the true labels, untargeted")


def _check_distances(found: Tensor) -> None:
    if found.ndim != 1 or len(found) == 0 or not bool((found >= 0).all()):
        raise ValueError(f"distances of shape {tuple(found.shape)}: allowed is (n,), n >= 1, none negative or NaN")
