"""Do several effects have one cause? Rank correlations over architectures, and how much one factor would explain.

Architectures are the sample: the seeds of one architecture are averaged, for two networks of one architecture say
little about architectures. All intervals resample architectures. If one property of an architecture drove all effects,
and no other mattered, all orders would be the same: every rank correlation 1, and the first principal component of the
ranks would hold the whole variance. If the effects had nothing to do with each other, it would hold what it holds after
each effect's values have been dealt out anew to the architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A number and its bootstrap interval over architectures."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high


def means(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """One row an architecture, the mean over its seeds of each column, in the order of the table.

    Raises:
        ValueError: for fewer than four architectures, or a missing number.
    """
    found = table.groupby("architecture", sort=False)[list(columns)].mean()
    if len(found) < 4 or found.isna().any(axis=None):
        raise ValueError(f"{len(found)} architectures, {int(found.isna().sum().sum())} numbers missing: allowed are at "
                         "least 4 architectures and no missing number")  # fmt: skip
    return found


def correlations(rows: np.ndarray) -> np.ndarray:
    """Spearman's correlations of the columns of ``(architectures, columns)``; 0 where a column does not vary."""
    ranks = stats.rankdata(rows, axis=0)
    centred = ranks - ranks.mean(0)
    length = np.sqrt((centred**2).sum(0))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return unit.T @ unit


def mean_correlation(
    table: pd.DataFrame, first: Sequence[str], second: Sequence[str], *, draws: int = 2000, seed: int = 0
) -> Estimate:
    """The mean rank correlation of each column of ``first`` with each *other* column of ``second``.

    With ``first`` equal to ``second`` it is the mean over the pairs; with one name each, the correlation of the two.

    Args:
        table: one row a network, with its ``architecture``.
        first: columns.
        second: columns.
        draws: resamples of the architectures; the interval holds the central 95 % of them. Draws of fewer than three
            different architectures are drawn anew.
        seed: of the resampling.
    """
    names = list(dict.fromkeys([*first, *second]))
    values = means(table, names).to_numpy()
    pairs = [(names.index(a), names.index(b)) for a in first for b in second if a != b]
    if not pairs:
        raise ValueError(f"first={first!r}, second={second!r}: allowed are columns that differ")
    rows, columns = np.array(pairs).T

    def mean(some: np.ndarray) -> float:
        return float(correlations(some)[rows, columns].mean())

    g = np.random.default_rng(seed)
    drawn: list[float] = []
    while len(drawn) < draws:
        chosen = g.integers(len(values), size=len(values))
        if len(set(chosen.tolist())) >= 3:
            drawn.append(mean(values[chosen]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(mean(values), float(low), float(high))


@dataclass(frozen=True)
class Factor:
    """The first principal component of ranks.

    Attributes:
        share: of the variance that it holds, from 1 over the number of columns to 1.
        loadings: of each column, of length 1, the sum not negative.
        null: the shares after dealing out each column anew, sorted.
    """

    share: float
    loadings: dict[str, float]
    null: np.ndarray

    @property
    def p_value(self) -> float:
        """The share of the deals, this one included, that hold as much."""
        return float((1 + np.count_nonzero(self.null >= self.share - 1e-12)) / (1 + len(self.null)))


def first_component(table: pd.DataFrame, columns: Sequence[str], *, draws: int = 2000, seed: int = 0) -> Factor:
    """The first principal component of the ranks of the architectures, against columns dealt out independently.

    Args:
        table: one row a network, with its ``architecture``.
        columns: at least two.
        draws: deals.
        seed: of the deals.
    """
    if len(columns) < 2:
        raise ValueError(f"columns={columns!r}: allowed are at least two")
    values = means(table, columns).to_numpy()
    sizes, vectors = np.linalg.eigh(correlations(values))
    direction = vectors[:, -1] * (1.0 if vectors[:, -1].sum() >= 0 else -1.0)
    g = np.random.default_rng(seed)
    dealt = [np.linalg.eigvalsh(correlations(g.permuted(values, axis=0)))[-1] for _ in range(draws)]
    null = np.sort(dealt) / len(columns)
    return Factor(float(sizes[-1]) / len(columns), dict(zip(columns, direction.tolist(), strict=True)), null)
