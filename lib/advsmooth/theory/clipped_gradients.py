"""Two readings of "the variance of the gradient", for Gaussian gradients of single examples (Pang et al., section 4.1).

Let the gradients of single examples be normal with the standard deviations ``s_1, ..., s_P`` of their ``P`` entries.
The plain variance of a mini-batch of ``b`` of them is ``E |g_B - g|^2 = sum s_j^2 / b``. The authors' artifact reports
``A = sum s_j``. They are related by

    V <= A^2 <= P V,      V = sum s_j^2,

on the right with equality where all entries vary alike: at a given ``V`` the number ``A`` grows like the square root of
the number of parameters. (On the left: if one entry alone varies.)

Clipping to the norm ``c`` bounds everything: no gradient then varies by more than ``c``, so ``A <= c sqrt(P)``,
whatever the network and however its loss or its weights are scaled.
"""

from __future__ import annotations

import math

from scipy import stats


def deviation_bias(n: int) -> float:
    """``c_4(n)``: the mean of the standard deviation of ``n`` normal numbers (divided by ``n - 1``), over the true one.

    Raises:
        ValueError: for fewer than two.
    """
    if n < 2:
        raise ValueError(f"n={n!r}: a standard deviation needs at least 2 numbers")
    return math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))


def sum_of_deviations(size: int, scale: float, clip: float = math.inf) -> float:
    """``A`` for gradients ``N(0, scale^2 I)`` of ``size`` entries, each clipped to the norm ``clip``.

    By symmetry all entries have the same variance, the mean square ``E min(|g|^2, c^2) / P``, and with ``|g|^2 / s^2``
    chi-squared this is ``s^2 F_{P+2}(c^2/s^2) + (c^2/P) (1 - F_P(c^2/s^2))``.

    Raises:
        ValueError: for a size below 1, or a scale or clip that is not positive.
    """
    if size < 1 or not 0 < scale < math.inf or not clip > 0:
        raise ValueError(f"size={size!r}, scale={scale!r}, clip={clip!r}: allowed are positive numbers")
    if clip == math.inf:
        return size * scale
    at = (clip / scale) ** 2
    square = scale**2 * stats.chi2.cdf(at, size + 2) + clip**2 / size * stats.chi2.sf(at, size)
    return size * math.sqrt(square)


def largest_sum_of_deviations(size: int, clip: float, n: int) -> float:
    """What ``A`` cannot exceed, from ``n`` clipped gradients with division by ``n - 1``: ``c sqrt(P n / (n - 1))``."""
    if n < 2:
        raise ValueError(f"n={n!r}: a standard deviation needs at least 2 numbers")
    return clip * math.sqrt(size * n / (n - 1))
