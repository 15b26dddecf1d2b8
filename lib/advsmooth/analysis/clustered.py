"""Correlations and regressions over networks, with intervals that resample whole groups of them.

Networks that differ only in their seed are not independent observations of what an *architecture* (or a defence) does.
So the bootstrap draws groups with all their members (a cluster bootstrap): each row of :func:`weights` says how often
every network counts. Three seeds of fifteen architectures are fifteen observations, not forty-five.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 per cent interval, such as from resampling groups."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def ratio(self) -> str:
        """Of a difference of natural logarithms: the ratio of geometric means, as text."""
        numbers = [math.exp(min(v, 700.0)) for v in (self.value, self.low, self.high)]
        return "{} [{}, {}]".format(*(f"{v:.2g}" if v < 100 else f"{v:.0f}" for v in numbers))

    def __str__(self) -> str:
        return "-" if math.isnan(self.value) else f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def summary(found: np.ndarray) -> Estimate:
    """The first value, with the central 95 per cent of the others; those that are NaN do not count."""
    low, high = np.nanquantile(found[1:], [0.025, 0.975])
    return Estimate(float(found[0]), float(low), float(high))


def weights(groups: Sequence[Any] | pd.Series, draws: int, seed: int) -> np.ndarray:
    """How often each network counts, ``(1 + draws, n)``: once in the first row, then as often as its group is drawn.

    Args:
        groups: of each network, ``(n,)``.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: for fewer than four groups.
    """
    codes, names = pd.factorize(np.asarray(groups))
    if len(names) < 4:
        raise ValueError(f"{len(names)} groups: an interval over groups needs at least 4")
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
    return np.concatenate([np.ones((1, len(codes))), drawn[:, codes]])


def resamples(groups: int, draws: int, seed: int, *, fewest: int) -> np.ndarray:
    """Places of groups drawn with replacement, ``(draws, groups)``.

    Args:
        groups: how many there are.
        draws: resamples.
        seed: of them.
        fewest: different groups that a resample must hold, or it is drawn anew: fewer have hardly an order.

    Raises:
        ValueError: for fewer groups than ``fewest``.
    """
    if groups < fewest:
        raise ValueError(f"{groups} groups: allowed are at least {fewest}")
    g, chosen = np.random.default_rng(seed), np.empty((0, groups), dtype=int)
    while len(chosen) < draws:
        more = g.integers(groups, size=(draws, groups))
        different = (np.diff(np.sort(more), axis=1) > 0).sum(1) + 1
        chosen = np.concatenate([chosen, more[different >= fewest]])
    return chosen[:draws]


def covariance(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each row of weights; ``x`` and ``y`` are ``(n,)`` or a row for each. NaN where it is 0 but for rounding."""
    total = counts.sum(1)
    mean = [(counts * v).sum(1) / total for v in (x, y)]
    found = (counts * (x - mean[0][:, None]) * (y - mean[1][:, None])).sum(1) / total
    return np.where(np.abs(found) < 1e-12, np.nan, found)


def ranks(counts: np.ndarray, values: Any) -> np.ndarray:
    """The ranks with each row of weights, ``(rows, n)``; a network that counts twice is two with equal ranks."""
    v = np.asarray(values, dtype=float)
    below = counts @ (v[:, None] < v).astype(float)
    return below + (counts @ (v[:, None] == v).astype(float) + 1) / 2


def spearman(counts: np.ndarray, x: Any, y: Any) -> np.ndarray:
    """Spearman's correlation with each row of weights."""
    ranked = [ranks(counts, values) for values in (x, y)]
    spreads = [np.sqrt(covariance(counts, r, r)) for r in ranked]
    return np.nan_to_num(covariance(counts, *ranked)) / (spreads[0] * spreads[1])


def _solve(counts: np.ndarray, design: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weighted least squares, a row of coefficients for each row of weights; NaN where they are not determined."""
    moments = np.einsum("bn,bni,bnj->bij", counts, design, design)
    right = np.einsum("bn,bni,bn->bi", counts, design, y)
    found = np.full(right.shape, np.nan)
    fine = np.linalg.cond(moments) < 1e10
    found[fine] = np.linalg.solve(moments[fine], right[fine][..., None])[..., 0]
    return found


def _design(columns: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """A constant and the columns, ``(rows, n, 1 + k)``."""
    n = columns[0].shape[-1]
    full = [np.broadcast_to(c, (rows, n)) for c in (np.ones(n), *columns)]
    return np.stack(full, -1).astype(float)


def rank_correlation(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    group: str,
    given: Sequence[str] = (),
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Spearman's correlation of two columns; with ``given``, the partial one, of what other ranks do not explain.

    Args:
        table: one row per network.
        x: a column.
        y: another.
        group: column of the groups that are resampled.
        given: columns whose ranks are regressed out of both.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: for fewer than four groups.
    """
    counts = weights(table[group], draws, seed)
    if not given:
        return summary(spearman(counts, table[x], table[y]))
    design = _design([ranks(counts, table[name]) for name in given], len(counts))
    left = []
    for name in (x, y):
        ranked = ranks(counts, table[name])
        left.append(ranked - np.einsum("bni,bi->bn", design, _solve(counts, design, ranked)))
    spreads = [np.sqrt(covariance(counts, r, r)) for r in left]
    return summary(covariance(counts, *left) / (spreads[0] * spreads[1]))


def regression(
    table: pd.DataFrame, y: str, on: Sequence[str], *, group: str, draws: int = 2000, seed: int = 0
) -> Mapping[str, Estimate]:
    """Least squares of one column on several: by column, the change of ``y`` for one standard deviation of it.

    The standard deviations are those of the whole table in every resample, so that all mean the same step.

    Args:
        table: one row per network.
        y: what is explained, in its own units.
        on: explanatory columns, all in one model with a constant.
        group: column of the groups that are resampled.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: for fewer than four groups, or a column that does not vary.
    """
    own = table[list(on)].to_numpy(dtype=float)
    spread = own.std(0)
    if not (spread > 0).all():
        raise ValueError(f"{list(on)[int(np.argmin(spread > 0))]!r}: does not vary, or is not finite")
    counts = weights(table[group], draws, seed)
    design = _design(list(((own - own.mean(0)) / spread).T), len(counts))
    target = np.broadcast_to(table[y].to_numpy(dtype=float), counts.shape)
    found = _solve(counts, design, target)
    return {name: summary(found[:, k]) for k, name in enumerate(on, 1)}


def adjusted(table: pd.DataFrame, column: str, for_: Sequence[str]) -> pd.Series:
    """A column at the mean of others: what its least-squares fit on them leaves, plus its own mean."""
    design = _design([table[name].to_numpy(dtype=float) for name in for_], 1)
    y = table[column].to_numpy(dtype=float)[None]
    fit = np.einsum("bni,bi->bn", design, _solve(np.ones_like(y), design, y))[0]
    return table[column] - fit + y.mean()


def line(
    x: Any, y: Any, groups: Sequence[Any] | pd.Series, at: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least-squares line of ``y`` on ``x`` at the points ``at``, and the ends of its pointwise interval."""
    counts = weights(groups, draws, seed)
    rows = [np.broadcast_to(np.asarray(v, dtype=float), counts.shape) for v in (x, y)]
    found = _solve(counts, _design([rows[0]], len(counts)), rows[1])
    values = found[:, :1] + found[:, 1:] * at[None]
    low, high = np.nanquantile(values[1:], [0.025, 0.975], axis=0)
    return values[0], low, high
