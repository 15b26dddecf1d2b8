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

from advsmooth.analysis import clustered
from advsmooth.analysis.clustered import Estimate


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
    """Spearman's correlations of the columns of ``(..., architectures, columns)``; 0 where a column does not vary."""
    ranks = stats.rankdata(rows, axis=-2)
    centred = ranks - ranks.mean(-2, keepdims=True)
    length = np.sqrt((centred**2).sum(-2, keepdims=True))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return np.swapaxes(unit, -1, -2) @ unit


@dataclass(frozen=True)
class Correlations:
    """Rank correlations over architectures, and the same for resampled architectures.

    Attributes:
        columns: their names.
        value: ``(columns, columns)``.
        drawn: ``(draws, columns, columns)``.
    """

    columns: tuple[str, ...]
    value: np.ndarray
    drawn: np.ndarray

    def mean(self, first: Sequence[str], second: Sequence[str]) -> Estimate:
        """The mean correlation of each column of ``first`` with each *other* column of ``second``.

        With ``first`` equal to ``second`` it is the mean over the pairs; with one name each, that of the two.
        The interval holds the central 95 % of the resamples.

        Raises:
            ValueError: if there is no such pair.
        """
        pairs = [(self.columns.index(a), self.columns.index(b)) for a in first for b in second if a != b]
        if not pairs:
            raise ValueError(f"first={first!r}, second={second!r}: allowed are columns that differ")
        i, j = np.array(pairs).T
        low, high = np.quantile(self.drawn[:, i, j].mean(1), [0.025, 0.975])
        return Estimate(float(self.value[i, j].mean()), float(low), float(high))


def rank_correlations(table: pd.DataFrame, columns: Sequence[str], *, draws: int = 2000, seed: int = 0) -> Correlations:
    """The rank correlations of columns over architectures, resampled.

    Args:
        table: one row a network, with its ``architecture``.
        columns: names.
        draws: resamples of the architectures with replacement; those of fewer than three different ones, which have
            hardly an order, are drawn anew.
        seed: of the resampling.
    """
    values = means(table, columns).to_numpy()
    chosen = clustered.resamples(len(values), draws, seed, fewest=3)
    return Correlations(tuple(columns), correlations(values), correlations(values[chosen]))


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
    dealt = np.random.default_rng(seed).permuted(np.broadcast_to(values, (draws, *values.shape)), axis=1)
    null = np.sort(np.linalg.eigvalsh(correlations(dealt))[:, -1]) / len(columns)
    return Factor(float(sizes[-1]) / len(columns), dict(zip(columns, direction.tolist(), strict=True)), null)
