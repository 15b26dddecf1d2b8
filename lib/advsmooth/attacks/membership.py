"""Membership inference: was this example among those that the network was trained on?

The attacker has a score for each example, larger where membership is likelier, and says "member" above a threshold. The
plainest score is minus the loss (Yeom et al. 2018): a network has a smaller loss where it was trained. Over all
thresholds the attack is summed up by the area under the ROC curve, the probability that a random member scores higher
than a random non-member, ties counting half (Mann and Whitney 1947). 0.5 is guessing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Area:
    """An area under the ROC curve.

    Attributes:
        value: from 0 to 1.
        standard_error: by the formula of DeLong et al.
    """

    value: float
    standard_error: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """A normal interval."""
        half = float(stats.norm.ppf((1 + confidence) / 2)) * self.standard_error
        return self.value - half, self.value + half


def area(members: Any, others: Any) -> Area:
    """The area under the ROC curve of scores, with the standard error of DeLong, DeLong and Clarke-Pearson (1988).

    The area is the mean over members of the share of others they beat (their *placement*), and equally the mean over
    others of the share of members that beat them. Its variance is ``var(placements of members) / m + var(placements of
    others) / n``. Placements come from midranks (Sun and Xu 2014), in ``O(N log N)``.

    Args:
        members: scores of ``m`` members, at least 2, without NaN.
        others: scores of ``n`` non-members, likewise.

    Raises:
        ValueError: for too few scores, or NaN.
    """
    a, b = (np.asarray(scores, dtype=np.float64).ravel() for scores in (members, others))
    if min(len(a), len(b)) < 2 or np.isnan(a).any() or np.isnan(b).any():
        raise ValueError(f"{len(a)} and {len(b)} scores: allowed are at least 2 of each, none of them NaN")
    together = stats.rankdata(np.concatenate([a, b]))
    beaten = (together[: len(a)] - stats.rankdata(a)) / len(b)  # the share of the others below each member
    beaters = 1 - (together[len(a) :] - stats.rankdata(b)) / len(a)
    variance = beaten.var(ddof=1) / len(a) + beaters.var(ddof=1) / len(b)
    return Area(float(beaten.mean()), float(np.sqrt(variance)))


def area_within_classes(members: Any, others: Any, member_classes: Any, other_classes: Any) -> float:
    """The area for an attacker with a threshold of its own for each class: the mean of the areas within the classes.

    Classes weigh as many as they have members. A class with fewer than two members or non-members is left out.

    Raises:
        ValueError: if no class is left.
    """
    a, b, of_a, of_b = (np.asarray(values).ravel() for values in (members, others, member_classes, other_classes))
    found = []
    for label in np.unique(of_a):
        inside, outside = a[of_a == label], b[of_b == label]
        if min(len(inside), len(outside)) >= 2:
            found.append((area(inside, outside).value, len(inside)))
    if not found:
        raise ValueError("no class has two members and two non-members")
    values, weights = zip(*found, strict=True)
    return float(np.average(values, weights=weights))
