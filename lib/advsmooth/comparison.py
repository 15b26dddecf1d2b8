"""What two measurements of the same thing have in common: numbers, printed texts, and tables of a record.

The rules, all of them:

* Two numbers are equal if they are, and also if both are NaN; their relative difference is taken from the larger of the
  two magnitudes, so that it is the same whichever comes first and never more than two.
* A printed number stands for every number that rounds to it. Two of them agree if they differ by no more than one unit
  of the third significant digit; whole numbers, such as those of "3 of 40", must be equal. Where a check states an
  estimate with its interval, two of them also agree if each estimate lies in the interval of the other.
* Two tables are compared cell by cell. A cell agrees within :data:`advsmooth.records.REPLAY_RTOL`. Training on another
  processor ends elsewhere, so where a table has at least three seeds a number that does not agree is judged by the mean
  over the seeds: Welch's interval of the difference of the two means holds zero, at a level at which one table in
  twenty would have any number outside by chance alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd

from advsmooth.checks import difference_interval, show
from advsmooth.records import REPLAY_RTOL

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|inf|nan)(?!\w|\.\d)")
_ESTIMATE = re.compile(
    rf"(?:(?:mean difference|estimate) (?={_NUMBER.pattern}; \d+% interval)|interval )"
    rf"({_NUMBER.pattern})(?:; \d+% interval)? \[([^,\]]+), ([^,\]]+)\]"
)
"""An estimate with its interval: ``mean difference 1.2; 95% interval [1, 1.4]`` or ``interval 1.2 [1, 1.4]``."""
_CHANCE = 0.05
_SHOWN = 100
"""Differing cells of a table that are listed, the largest first; all are counted."""


@dataclass(frozen=True)
class Pair:
    """One number, measured twice.

    Attributes:
        stored: as it was.
        here: as it is now.
        within: whether the two agree, by the rule that applies to them.
        label: what it is.
    """

    stored: float
    here: float
    within: bool
    label: str = ""

    @property
    def absolute(self) -> float:
        """The absolute difference."""
        return apart(self.stored, self.here)[0]

    @property
    def relative(self) -> float:
        """The relative difference."""
        return apart(self.stored, self.here)[1]


def apart(a: float, b: float) -> tuple[float, float]:
    """Absolute and relative difference; zero for equal numbers, among which count two NaN and two equal infinities.

    A NaN or an infinity beside anything else is infinitely far.
    """
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0, 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf, math.inf
    larger = max(abs(a), abs(b))
    return abs(a - b), abs(a / larger - b / larger)


def round_alike(a: float, b: float) -> bool:
    """Whether two printed numbers may stand for one: within a unit of the third significant digit of the larger."""
    absolute, relative = apart(a, b)
    if not 0 < relative < math.inf:
        return relative == 0
    unit = 10.0 ** (math.floor(math.log10(max(abs(a), abs(b)))) - 2)
    return absolute <= unit * (1 + 1e-9)


def texts(stored: str, here: str, evidence: Mapping[str, float | int | str] | None = None) -> list[Pair] | None:
    """The numbers of two printed texts in pairs; ``None`` if the texts differ in more than their numbers.

    Args:
        stored: as it was.
        here: as it is now.
        evidence: the unrounded evidence that ``here`` begins with, if it is known: what is a float there is no whole
            number, though it may be printed as one.
    """
    if _NUMBER.sub("#", stored) != _NUMBER.sub("#", here):
        return None
    floats = set(_float_places(here, evidence or {}))
    by_interval = set(_agreeing_estimates(stored, here))
    pairs = []
    for a, b in zip(_NUMBER.finditer(stored), _NUMBER.finditer(here), strict=True):
        x, y = float(a[0]), float(b[0])
        whole = a[0].isdigit() and b[0].isdigit() and b.start() not in floats
        near = apart(x, y)[0] == 0 if whole else round_alike(x, y)
        pairs.append(Pair(x, y, near or b.start() in by_interval))
    return pairs


def _agreeing_estimates(stored: str, here: str) -> Iterator[int]:
    """Where in ``here`` the three numbers of an estimate begin that agrees with the stored one by the intervals."""
    for a, b in zip(_ESTIMATE.finditer(stored), _ESTIMATE.finditer(here), strict=False):
        (x, low_x, high_x), (y, low_y, high_y) = (map(float, found.groups()) for found in (a, b))
        if low_y <= x <= high_y and low_x <= y <= high_x:
            yield from (b.start(group) for group in (1, 2, 3))


def _float_places(text: str, evidence: Mapping[str, float | int | str]) -> Iterator[int]:
    """Where in a check's evidence text a float begins (see :meth:`advsmooth.checks.Check.evidence_text`)."""
    start = 0
    for label, value in evidence.items():
        part = f"{label} {show(value)}"
        if not text.startswith(part, start):
            return
        if isinstance(value, float):
            yield start + len(label) + 1
        start += len(part) + len("; ")


def lines_that_differ(stored: str, here: str) -> list[tuple[str, str]]:
    """The lines of two texts that are not the same, side by side."""
    return [
        (a, b) for a, b in zip_longest(stored.splitlines(), here.splitlines(), fillvalue="(no such line)") if a != b
    ]


@dataclass(frozen=True)
class TableComparison:
    """A recorded table and the same table measured again.

    Attributes:
        numbers: cells compared.
        equal: of those, equal in every digit that is written.
        within_tolerance: not equal, but within :data:`advsmooth.records.REPLAY_RTOL`.
        within_interval: further apart, but the means over the seeds agree.
        outside: further apart, and the means do not agree or there are too few seeds.
        missing: rows recorded and not measured here.
        extra: rows measured here and not recorded.
        differing: cells within the interval or outside, at most a hundred, those outside and the furthest first.
    """

    numbers: int
    equal: int
    within_tolerance: int
    within_interval: int
    outside: int
    missing: int
    extra: int
    differing: list[Pair] = field(default_factory=list)


def tables(recorded: pd.DataFrame, here: pd.DataFrame) -> TableComparison:
    """Compare a table with the recorded one, row by row on its key columns; times are left out.

    Key are the columns of text, the seed, and as many columns of whole numbers, from the left, as tell rows apart. Rows
    that are still alike are taken in their order. Tables with other columns have no row in common.
    """
    if set(recorded) != set(here):
        return TableComparison(0, 0, 0, 0, 0, missing=len(recorded), extra=len(here))
    keys = _keys(recorded)
    numbers = [str(c) for c in recorded if c not in keys and pd.api.types.is_numeric_dtype(recorded[c])]
    a, b = (_keyed(table, keys, numbers) for table in (recorded, here))
    shared = a.index.intersection(b.index)
    x, y = (table.loc[shared].to_numpy(float) for table in (a, b))
    equal = (x == y) | (np.isnan(x) & np.isnan(y))
    near = np.isclose(x, y, rtol=REPLAY_RTOL, atol=0.0) & ~equal
    means_agree = _means_agree(shared, x, y, ~(equal | near)) if "seed" in keys else np.zeros_like(equal)
    outside = ~(equal | near | means_agree)
    found = [
        Pair(x[i, j], y[i, j], not outside[i, j], _where(shared[i], list(map(str, shared.names)), numbers[j]))
        for i, j in np.argwhere(~(equal | near))
    ]
    return TableComparison(
        numbers=int(equal.size),
        equal=int(equal.sum()),
        within_tolerance=int(near.sum()),
        within_interval=int(means_agree.sum()),
        outside=int(outside.sum()),
        missing=len(a) - len(shared),
        extra=len(b) - len(shared),
        differing=sorted(found, key=lambda pair: (pair.within, -pair.relative))[:_SHOWN],
    )


def _keys(table: pd.DataFrame) -> list[str]:
    keys = [str(c) for c in table if c == "seed" or not pd.api.types.is_numeric_dtype(table[c])]
    for column in map(str, table):
        if column in keys or column == "value" or not pd.api.types.is_integer_dtype(table[column]):
            continue
        if table.duplicated([*keys, column]).sum() < (table.duplicated(keys).sum() if keys else len(table)):
            keys.append(column)
    return keys


def _keyed(table: pd.DataFrame, keys: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """The numbers of a table under its keys, and under the count of the rows that are alike in them."""
    named = table[list(keys)].astype(str)
    kept = table[~named.isin(["seconds"]).any(axis=1)]
    named = named.loc[kept.index]
    order = named.groupby(list(keys)).cumcount() if keys else pd.Series(range(len(kept)), index=kept.index)
    index = pd.MultiIndex.from_frame(named.assign(row=order))
    return kept[list(numbers)].set_index(index)


def _means_agree(index: Any, x: np.ndarray, y: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of the wanted cells belong to a number whose means over the seeds agree."""
    group = index.droplevel("seed")
    members = pd.Series(np.arange(len(group)), index=group).groupby(level=list(range(group.nlevels))).indices
    confidence = 1 - _CHANCE / max(1, len(members) * x.shape[1])
    agree = np.zeros_like(wanted)
    for rows in members.values():
        for column in np.flatnonzero(wanted[rows].any(axis=0)):
            these, those = x[rows, column], y[rows, column]
            if len(rows) >= 3 and np.isfinite(these).all() and np.isfinite(those).all():
                with np.errstate(all="ignore"):
                    low, high = difference_interval(those, these, confidence)
                agree[rows, column] = wanted[rows, column] & bool(low <= 0 <= high)  # a NaN does not agree
    return agree


def _where(key: Any, names: Sequence[str], column: str) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    at = ", ".join(f"{name} {part}" for name, part in zip(names, parts, strict=True) if name != "row" or part)
    return f"{column} at {at}" if at else column
