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

LEVEL = 0.02
"""Nominal, of each of the two tests. Simulating from a fit is a little too bold: a flat curve is said to rise, or to
fall, in up to 5 % of experiments (``tests/analysis/test_phase_transition.py``)."""

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
    counts = np.array([len(v) for v in values])
    variances = np.array([np.var(v, ddof=1) for v in values])
    pooled = _pooled(variances, counts, spread)
    weights = counts / pooled
    # A simulated experiment draws means and variances, and estimates its weights anew: they are as uncertain as ours.
    noise = generator.standard_normal((draws, len(y))) * np.sqrt(pooled / counts)
    again = _pooled(pooled * generator.chisquare(counts - 1, (draws, len(y))) / (counts - 1), counts, spread)
    p = {}
    for rising in (True, False):
        fit = monotone(y, weights, rising=rising)
        simulated = fit + noise
        rest = _rest(simulated, monotone(simulated, counts / again, rising=rising), counts / again)
        seen = _rest(y, fit, weights)
        p[rising] = float((1 + np.count_nonzero(rest >= seen)) / (1 + draws))
    peaks = up_then_down(y + noise, weights).argmax(-1)
    low, high = np.quantile(peaks, [0.025, 0.975], method="nearest")
    best, valley = up_then_down(y, weights), -up_then_down(-y, weights)
    humped = bool(_rest(y, best, weights) < _rest(y, valley, weights))
    return Shape(p[False], p[True], int(best.argmax()), (int(low), int(high)), humped, len(y))


def _pooled(variances: np.ndarray, counts: np.ndarray, spread: str) -> np.ndarray:
    """A monotone fit to the variances, so that a point with few seeds borrows from its neighbours."""
    return np.maximum(monotone(variances, counts - 1.0, rising=spread == "rising"), 1e-12)


def monotone(y: np.ndarray, weights: np.ndarray, *, rising: bool) -> np.ndarray:
    """The least-squares fit that never falls (or never rises) along the last axis, for many curves at once.

    By the minimax formula of isotonic regression: ``max over j <= i of min over k >= i of mean(y_j ... y_k)``.

    Args:
        y: curves ``(..., n)``.
        weights: of the points, ``(n,)`` or as ``y``, positive.
        rising: whether the fit may not fall, or may not rise.
    """
    if not rising:
        return -monotone(-y, weights, rising=True)
    n = y.shape[-1]
    sums = np.concatenate([np.zeros((*y.shape[:-1], 1)), np.cumsum(y * weights, -1)], -1)
    weights = np.broadcast_to(weights, y.shape)
    sizes = np.concatenate([np.zeros((*y.shape[:-1], 1)), np.cumsum(weights, -1)], -1)
    fit = np.full(y.shape, -np.inf)
    for j in range(n):
        means = (sums[..., j + 1 :] - sums[..., j, None]) / (sizes[..., j + 1 :] - sizes[..., j, None])  # of j ... k
        least = np.minimum.accumulate(means[..., ::-1], -1)[..., ::-1]  # over k from i on, for i from j on
        fit[..., j:] = np.maximum(fit[..., j:], least)
    return fit


def up_then_down(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The least-squares fit that rises up to some point and falls from it on, for many curves ``(..., n)`` at once."""
    best, least = y, np.full((*y.shape[:-1], 1), np.inf)
    for cut in range(y.shape[-1] + 1):  # rising before the cut, falling after it: the maximum is at one of its sides
        parts = [(y[..., :cut], weights[:cut], True), (y[..., cut:], weights[cut:], False)]
        fit = np.concatenate([monotone(v, w, rising=r) for v, w, r in parts if len(w)], -1)
        rest = _rest(y, fit, weights)[..., None]
        best, least = np.where(rest < least, fit, best), np.minimum(rest, least)
    return best


def _rest(y: np.ndarray, fit: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (weights * (y - fit) ** 2).sum(-1)
