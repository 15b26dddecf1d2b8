"""Whether a curve rises and then falls: monotone fits against up-then-down fits, and where the maximum is.

A curve is a few points (widths, or depths) with several independent numbers each (seeds). Two questions are put to it:
does it rise anywhere, and does it fall anywhere? Each is a test of a monotone law against none: the least-squares
monotone fit (pool adjacent violators, weighted by the precision of each mean) against what it leaves over, with the
distribution of the rest simulated from that fit. A curve that does both has a maximum or a minimum inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import isotonic_regression

LEVEL = 0.05
"""Of each of the two tests."""

UP_DOWN, DOWN_UP, RISES, FALLS, UNDECIDED = "rises, then falls", "falls, then rises", "rises", "falls", "undecided"


@dataclass(frozen=True)
class Shape:
    """What the points say of their curve.

    Attributes:
        rise_p: how probable so much rise is, if the curve only falls.
        fall_p: how probable so much fall is, if the curve only rises.
        peak: index of the maximum of the best up-then-down fit.
        peak_interval: the smallest and largest index of 95 % of the maxima of simulated curves.
        humped: whether the best up-then-down fit leaves less over than the best down-then-up fit.
        points: how many.
    """

    rise_p: float
    fall_p: float
    peak: int
    peak_interval: tuple[int, int]
    humped: bool
    points: int

    @property
    def outcome(self) -> str:
        """One of the five words of this module."""
        rises, falls = self.rise_p < LEVEL, self.fall_p < LEVEL
        if rises and falls:
            return UP_DOWN if self.humped else DOWN_UP
        return RISES if rises else FALLS if falls else UNDECIDED


def shape(
    values: Sequence[Sequence[float]], *, spread: str = "falling", draws: int = 400, generator: np.random.Generator
) -> Shape:
    """The shape of a curve from independent numbers at each of its points.

    Args:
        values: for each point in order its numbers, at least two; three points or more.
        spread: ``falling`` or ``rising``: how the variance of the numbers changes along the points. It is estimated by
            a monotone fit, so that a point with three seeds borrows from its neighbours.
        draws: simulated curves for each test.
        generator: of the simulations.

    Raises:
        ValueError: for fewer than three points or two numbers, or another spread.
    """
    if len(values) < 3 or any(len(v) < 2 for v in values):
        raise ValueError(f"{len(values)} points with {[len(v) for v in values]} numbers: need 3 points, 2 numbers each")
    if spread not in ("falling", "rising"):
        raise ValueError(f"spread={spread!r}: allowed is falling or rising")
    y = np.array([np.mean(v) for v in values])
    counts = np.array([len(v) for v in values], dtype=float)
    variances = np.array([np.var(v, ddof=1) for v in values])
    pooled = isotonic_regression(variances, sample_weight=counts - 1, increasing=spread == "rising")
    errors = np.sqrt(np.maximum(pooled, 1e-12) / counts)
    weights = errors**-2
    noise = generator.standard_normal((draws, len(y))) * errors
    p = {}
    for increasing in (True, False):
        fit = isotonic_regression(y, sample_weight=weights, increasing=increasing)
        rest = [_rest(fit + e, weights, increasing) for e in noise]
        p[increasing] = (1 + np.count_nonzero(np.array(rest) >= _rest(y, weights, increasing))) / (1 + draws)
    peaks = [int(np.argmax(up_then_down(y + e, weights))) for e in noise]
    low, high = np.quantile(peaks, [0.025, 0.975], method="nearest")
    best, valley = up_then_down(y, weights), -up_then_down(-y, weights)
    humped = bool((weights * (y - best) ** 2).sum() < (weights * (y - valley) ** 2).sum())
    return Shape(float(p[False]), float(p[True]), int(np.argmax(best)), (int(low), int(high)), humped, len(y))


def up_then_down(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The least-squares fit that rises up to some point and falls from it on: the best over all such points."""
    best, least = y, np.inf
    for cut in range(len(y) + 1):  # rising before the cut, falling after it: the maximum is at one of the two ends
        up = isotonic_regression(y[:cut], sample_weight=weights[:cut]) if cut else y[:0]
        down = isotonic_regression(y[cut:], sample_weight=weights[cut:], increasing=False) if cut < len(y) else y[:0]
        fit = np.concatenate([up, down])
        rest = float((weights * (y - fit) ** 2).sum())
        if rest < least:
            best, least = fit, rest
    return best


def _rest(y: np.ndarray, weights: np.ndarray, increasing: bool) -> float:
    fit = isotonic_regression(y, sample_weight=weights, increasing=increasing)
    return float((weights * (y - fit) ** 2).sum())
