r"""The discrepancy result of Finlay et al. (lemma 4.10 and appendix B) with every constant written out.

A sample of ``n`` points of a set of dimension ``m`` is compared with the measure it was drawn from. The lemma of the
page reads: for every probability measure on ``[0, 1]^m``, every ``t > 0`` and ``n >= 3``,

    P( W_1 > 17/6 sqrt(m) (t log n / n)^(1/(m+2)) )  <=  2 t^(-m/(m+2)) n^(-(t/2 - 1)).

It is proved by counting the points in cubes, with Bernstein's inequality (B.1) for the counts.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor

CONSTANT = 17 / 6
"""``C / sqrt(m)`` of the lemma above."""

RATE = 1 / 2
"""``c`` of the lemma above."""


def bernstein(n: int, variance: float, bound: float, eps: np.ndarray) -> np.ndarray:
    """The logarithm of the right side of (B.1), ``log 2 - n eps^2 / (2 variance + 4 bound eps / 3)``."""
    return math.log(2) - n * eps**2 / (2 * variance + 4 * bound * eps / 3)


def binomial_tails(n: int, p: float) -> tuple[np.ndarray, np.ndarray]:
    """Every distance ``eps > 0`` of an atom of ``Z / n`` from ``p``, ``Z`` binomial, and ``log P(|Z/n - p| >= eps)``.

    Between two of these distances the probability that ``|Z/n - p|`` *exceeds* ``eps`` is that at the next one, so a
    bound that falls with ``eps`` holds everywhere if it holds here.
    """
    k = np.arange(n + 1)
    eps = np.abs(k / n - p)
    mirrored = 2 * n * p - k
    low = np.where(k < n * p, k, np.floor(mirrored + 1e-9))
    high = np.where(k < n * p, np.ceil(mirrored - 1e-9), k)
    law = stats.binom(n, p)
    with np.errstate(divide="ignore"):
        tail = np.logaddexp(np.log(law.cdf(low)), np.log(law.sf(high - 1)))
    apart = eps > 1e-12
    return eps[apart], tail[apart]


def expected_to_uniform(n: int) -> float:
    """The mean Wasserstein-1 distance of ``n`` uniform points of [0, 1] to the uniform measure; exact.

    ``E|Z/n - p|`` has de Moivre's closed form, with ``k = floor(n p) + 1``, and its integral over ``p`` is a sum of
    incomplete beta functions.
    """
    k = np.arange(1, n + 1)
    a, b = k + 1, n - k + 2
    parts = special.betainc(a, b, k / n) - special.betainc(a, b, (k - 1) / n)
    return float(2 / n * (k * (n - k + 1) / ((n + 1) * (n + 2)) * parts).sum())


def to_power(x: Tensor, a: float) -> float:
    """The distance of the empirical measure of ``x (n,)`` and the law of ``U^a``, ``U`` uniform on [0, 1]; exact.

    The density is ``q^(1/a - 1) / a``: not bounded for ``a > 1``, zero at 0 for ``a < 1``.

    Raises:
        ValueError: if a point lies outside [0, 1], or ``a`` is not positive.
    """
    if not a > 0 or len(x) == 0 or not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError(f"{len(x)} points, a={a!r}: allowed is at least one point, all in [0, 1], and a positive a")
    t = x.double().sort().values
    edges = torch.cat([t.new_zeros(1), t, t.new_ones(1)])
    height = torch.arange(len(t) + 1, dtype=torch.float64) / len(t)
    low, high = edges[:-1], edges[1:]
    crossing = torch.maximum(low, torch.minimum(high, height**a))

    def signed(q: Tensor) -> Tensor:  # the integral of height - q^(1/a) from 0 to q
        return height * q - q ** (1 + 1 / a) / (1 + 1 / a)

    return (2 * signed(crossing) - signed(low) - signed(high)).sum().item()


def counts(x: Tensor, cells: int) -> Tensor:
    """Share of the points ``x (n, m)`` of the unit cube in each of ``cells^m`` equal cubes, ``(cells^m,)``, float64."""
    place = (x * cells).long().clamp(max=cells - 1)
    index = torch.zeros(len(x), dtype=torch.long)
    for column in place.T:
        index = index * cells + column
    return torch.bincount(index, minlength=cells ** x.shape[1]).double() / len(x)


def counting_bound(cells: int, n: int, tau: float) -> float:
    """``sqrt(2 N tau/n) + 4 N tau/(3n)``; ``sum_j |Z_j/n - p_j|`` exceeds it with probability ``2 N exp(-tau)``.

    Args:
        cells: their number ``N``.
        n: number of points.
        tau: positive.
    """
    return math.sqrt(2 * cells * tau / n) + 4 * cells * tau / (3 * n)


def radius(n: int, t: float, m: int) -> float:
    """``17/6 sqrt(m) (t log n / n)^(1/(m+2))``, the bound of the lemma."""
    return CONSTANT * math.sqrt(m) * rate(n, t, m)


def rate(n: int, t: float, m: int) -> float:
    """``(t log n / n)^(1/(m+2))``."""
    return (t * math.log(n) / n) ** (1 / (m + 2))


def failure(n: int, t: float, m: int, c: float = RATE) -> float:
    """``2 t^(-m/(m+2)) n^(-(c t - 1))``, the probability that the lemma allows for a failure; may exceed 1."""
    return 2 * t ** (-m / (m + 2)) * n ** (1 - c * t)
