"""Rank correlations of everything with everything, over networks that come in groups.

Networks of one training differ by their seed only and are not independent of each other. So intervals resample whole
*trainings*, and every correlation is also taken with each training left out. One bootstrap serves all pairs: what is
derived from it, partial correlations and differences, uses the same resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from advsmooth.analysis import clustered
from advsmooth.analysis.clustered import Estimate
from advsmooth.analysis.common_factor import correlations

FEWEST = 4
"""Different trainings that a resample must hold; fewer say nothing about an order of trainings."""


@dataclass(frozen=True)
class RankMatrix:
    """Spearman's correlations of some columns.

    Attributes:
        columns: their names.
        value: over all networks, ``(k, k)``.
        samples: over resampled trainings, ``(draws, k, k)``.
        left_out: with each training left out, ``(trainings, k, k)``.
        trainings: their names.
        networks: how many there are.
    """

    columns: tuple[str, ...]
    value: np.ndarray
    samples: np.ndarray
    left_out: np.ndarray
    trainings: tuple[str, ...]
    networks: int

    def of(self, first: str, second: str) -> Estimate:
        """The correlation of two columns."""
        i, j = self._places(first, second)
        return _summary(self.value[i, j], self.samples[:, i, j])

    def partial(self, first: str, second: str, given: Sequence[str]) -> Estimate:
        """The correlation of what is left of the ranks of two columns once those of ``given`` are accounted for.

        It is the partial correlation of the ranks, linear in them.
        """
        places = self._places(first, second, *given)
        if len(set(places)) < len(places):
            raise ValueError(f"{first!r}, {second!r} given {list(given)!r}: allowed are columns that all differ")
        every = np.concatenate([self.value[None], self.samples])[:, places][:, :, places]
        precision = np.linalg.pinv(every, hermitian=True)
        scale = np.sqrt(precision[:, 0, 0] * precision[:, 1, 1])
        found = np.divide(-precision[:, 0, 1], scale, out=np.zeros_like(scale), where=scale > 0).clip(-1, 1)
        return _summary(found[0], found[1:])

    def gain(self, better: str, worse: str, target: str) -> Estimate:
        """How much larger the size of the correlation of ``better`` with ``target`` is than that of ``worse``."""
        i, j, t = self._places(better, worse, target)
        return _summary(
            abs(self.value[i, t]) - abs(self.value[j, t]), abs(self.samples[:, i, t]) - abs(self.samples[:, j, t])
        )

    def without_one(self, first: str, second: str) -> tuple[float, float]:
        """The smallest and the largest correlation of two columns with one training left out."""
        i, j = self._places(first, second)
        return float(self.left_out[:, i, j].min()), float(self.left_out[:, i, j].max())

    def settled(self, first: str, second: str) -> bool:
        """Whether the interval of two columns leaves zero out."""
        low, high = self.of(first, second).interval
        return low > 0 or high < 0

    def _places(self, *names: str) -> list[int]:
        for name in names:
            if name not in self.columns:
                raise ValueError(f"column {name!r}: not in the matrix; allowed: {', '.join(self.columns)}")
        return [self.columns.index(name) for name in names]


def rank_matrix(table: pd.DataFrame, columns: Sequence[str], *, draws: int = 2000, seed: int = 0) -> RankMatrix:
    """Correlations of the columns over the networks of a table.

    Args:
        table: one row a network, with its ``training``.
        columns: numbers.
        draws: resamples of the trainings; those with fewer than :data:`FEWEST` different ones are drawn anew.
        seed: of the resampling.

    Raises:
        ValueError: for fewer than five trainings, or a missing number.
    """
    names = list(dict.fromkeys(table["training"]))
    missing = [name for name in columns if table[name].isna().any()]
    if len(names) <= FEWEST or missing:
        raise ValueError(
            f"{len(names)} trainings, numbers missing in {missing}: allowed are at least {FEWEST + 1}, none"
        )
    groups = [table.loc[table["training"] == name, list(columns)].to_numpy(dtype=float) for name in names]
    chosen = clustered.resamples(len(groups), draws, seed, fewest=FEWEST)
    samples = np.array([correlations(np.concatenate([groups[k] for k in places])) for places in chosen])
    left = [correlations(np.concatenate([own for i, own in enumerate(groups) if i != k])) for k in range(len(groups))]
    whole = correlations(np.concatenate(groups))
    return RankMatrix(tuple(columns), whole, samples, np.array(left), tuple(names), len(table))


def _summary(value: float, samples: np.ndarray) -> Estimate:
    """The value with the central 95 % of the samples, and never outside of them: a bootstrap may be off centre."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return Estimate(float(value), float(min(low, value)), float(max(high, value)))
