"""Schedules of the learning rate and of the adversarial budget, as pure functions of the time and its total.

A schedule is called as ``schedule(t, total)`` with ``0 <= t``, both in epochs or both in steps; the result depends on
nothing else. Places in time are fractions of the total, so that one schedule serves a run of 200 epochs and one of 10.
Budgets are fractions of the pixel range, never units of 0-255: 0.39/255 is a valid budget and is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[float, float], float]
"""``schedule(t, total)`` is the value at time ``t`` of a training that takes ``total``."""


@dataclass(frozen=True)
class Constant:
    """The same value at all times."""

    value: float

    def __call__(self, t: float, total: float) -> float:
        """The value."""
        _check_time(t, total)
        return self.value


@dataclass(frozen=True)
class Drops:
    """``value``, multiplied by ``factor`` at each of the times ``at`` (fractions of the total).

    The default is that of Kanai et al. and of Liu et al.'s ResNet18: divided by 10 after epochs 100 and 150 of 200.
    """

    value: float
    at: tuple[float, ...] = (100 / 200, 150 / 200)
    factor: float = 0.1

    def __post_init__(self) -> None:
        _check_fractions("at", self.at)

    def __call__(self, t: float, total: float) -> float:
        """The value at ``t``; a drop takes effect at its time."""
        _check_time(t, total)
        return self.value * self.factor ** sum(t >= _moment(fraction, total) for fraction in self.at)


@dataclass(frozen=True)
class Decay:
    """Exponential decay from ``first`` to ``last`` between two times, constant before and after.

    The default times are those of Liu et al.'s VGG: between epochs 100 and 150 of 200.
    """

    first: float
    last: float
    between: tuple[float, float] = (100 / 200, 150 / 200)

    def __post_init__(self) -> None:
        _check_fractions("between", self.between)
        if not (self.first > 0 and self.last > 0):
            raise ValueError(f"first={self.first!r}, last={self.last!r}: an exponential decay needs positive values")

    def __call__(self, t: float, total: float) -> float:
        """The value at ``t``."""
        _check_time(t, total)
        start, stop = (_moment(fraction, total) for fraction in self.between)
        return self.first * (self.last / self.first) ** min(1.0, max(0.0, (t - start) / (stop - start)))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from ``value`` at time 0 to ``final`` at the end."""

    value: float
    final: float = 0.0

    def __call__(self, t: float, total: float) -> float:
        """The value at ``t``."""
        _check_time(t, total)
        return self.final + (self.value - self.final) * (1 + math.cos(math.pi * min(1.0, t / total))) / 2


@dataclass(frozen=True)
class Warmup:
    """Another schedule times a factor that rises linearly from 0 to 1 over the first ``length`` of the time."""

    schedule: Schedule
    length: float

    def __post_init__(self) -> None:
        _check_fractions("length", (self.length,))
        if self.length == 0:
            raise ValueError("length=0: a warm-up takes some time; allowed is a fraction of the total above 0")

    def __call__(self, t: float, total: float) -> float:
        """The value at ``t``."""
        return min(1.0, t / (self.length * total)) * self.schedule(t, total)


@dataclass(frozen=True)
class Delayed:
    """0 before the time ``start`` (a fraction of the total), another schedule from then on.

    Kanai et al. train SVHN without weight perturbation for 5 of 200 epochs: ``Delayed(Constant(0.01), 5 / 200)``.
    """

    schedule: Schedule
    start: float

    def __post_init__(self) -> None:
        _check_fractions("start", (self.start,))

    def __call__(self, t: float, total: float) -> float:
        """The value at ``t``; the other schedule's clock runs from 0."""
        return self.schedule(t, total) if t >= _moment(self.start, total) else 0.0


@dataclass(frozen=True)
class CosineBudget:
    """``(1 - cos(pi d / D)) / 2 * (largest - smallest) + smallest``, clipped to ``[0, target]`` (Liu et al., eq. 5).

    The length ``D`` of the warm-up is the total time. Afterwards the value is held; the formula would come down again.

    Attributes:
        target: the budget in the end, pixel scale.
        largest: ``eps_max``; above the target, so that the target is reached before the end.
        smallest: ``eps_min``.
    """

    target: float
    largest: float
    smallest: float = 0.0

    def __post_init__(self) -> None:
        _check_budget(self.target, self.largest, self.smallest)

    def __call__(self, t: float, total: float) -> float:
        """The budget at ``t``, pixel scale."""
        _check_time(t, total)
        rise = (1 - math.cos(math.pi * min(1.0, t / total))) / 2
        return _clip(rise * (self.largest - self.smallest) + self.smallest, self.target)


@dataclass(frozen=True)
class LinearBudget:
    """``(largest - smallest) d / D + smallest``, clipped to ``[0, target]`` (Liu et al., eq. 5)."""

    target: float
    largest: float
    smallest: float = 0.0

    def __post_init__(self) -> None:
        _check_budget(self.target, self.largest, self.smallest)

    def __call__(self, t: float, total: float) -> float:
        """The budget at ``t``, pixel scale."""
        _check_time(t, total)
        return _clip((self.largest - self.smallest) * min(1.0, t / total) + self.smallest, self.target)


@dataclass(frozen=True)
class Periodic:
    """A schedule that starts again in every period, scaled to its length.

    Periodic adversarial scheduling (PAS, Liu et al., section 5) makes the budget periodic, and with "learning rate
    resets" the learning rate too. The models at the ends of the periods form the ensemble of
    :mod:`advsmooth.training.snapshots`.

    Attributes:
        schedule: what is repeated.
        ends: ends of the periods, increasing fractions of the total; the last is 1. The default is Liu et al.'s for
            CIFAR-10: after epochs 100, 150 and 200.
    """

    schedule: Schedule
    ends: tuple[float, ...] = (100 / 200, 150 / 200, 1.0)

    def __post_init__(self) -> None:
        _check_fractions("ends", self.ends)
        if not self.ends or self.ends[0] <= 0 or self.ends[-1] != 1 or list(self.ends) != sorted(set(self.ends)):
            raise ValueError(f"ends={self.ends!r}: allowed are increasing fractions of the total, the last one 1")

    def __call__(self, t: float, total: float) -> float:
        """The value at ``t``; a new period starts at the end of the one before."""
        _check_time(t, total)
        moments = [0.0, *(_moment(fraction, total) for fraction in self.ends)]
        k = max(i for i, start in enumerate(moments[:-1]) if t >= start)
        return self.schedule(t - moments[k], moments[k + 1] - moments[k])


def _moment(fraction: float, total: float) -> float:
    """The time of a fraction; rounded, so that 0.07 of 100 epochs is epoch 7 and not just after it."""
    return round(fraction * total, 9)


def _clip(budget: float, target: float) -> float:
    return min(max(budget, 0.0), target)


def _check_time(t: float, total: float) -> None:
    if not (t >= 0 and 0 < total < math.inf):
        raise ValueError(f"t={t!r}, total={total!r}: a time is at least 0 and the total positive")


def _check_fractions(name: str, fractions: tuple[float, ...]) -> None:
    if not all(0 <= fraction <= 1 for fraction in fractions):
        raise ValueError(
            f"{name}={fractions!r}: allowed are fractions of the total time, 0 to 1 (epoch 100 of 200 is 0.5)"
        )


def _check_budget(target: float, largest: float, smallest: float) -> None:
    if not (0 <= target <= 1 and -1 <= smallest <= largest <= 1):
        raise ValueError(
            f"target={target!r}, largest={largest!r}, smallest={smallest!r}: budgets are fractions of the pixel range "
            "(8/255, not 8), smallest <= largest"
        )
