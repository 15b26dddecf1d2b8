r"""Interpolation inequalities (Finlay et al., theorem A.1): the sup norm of a Lipschitz function by its mean square.

An ``L``-Lipschitz function of maximum ``K`` lies above the cone ``(K - L |v|)_+``, so the integral of its square is at
least that of the cone's over a ball of radius ``r``, which is :func:`cone_integral`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from advsmooth import settings


def ball_volume(m: int) -> float:
    """``alpha(m)``, the volume of the unit ball in ``m`` dimensions."""
    return math.pi ** (m / 2) / math.gamma(m / 2 + 1)


def cone_integral(height: float, slope: float, m: int, r: float) -> float:
    """``int over |v| <= r of (K - L |v|)_+^2 dv`` in ``m`` dimensions, in closed form."""
    if slope > 0:
        r = min(r, height / slope)
    inner = height**2 - 2 * m / (m + 1) * height * slope * r + m / (m + 2) * (slope * r) ** 2
    return ball_volume(m) * r**m * inner


def small_constant(m: int) -> float:
    """``(m + 2)(m + 1) / alpha(m)`` of (A.1)."""
    return (m + 2) * (m + 1) / ball_volume(m)


def large_constant(m: int, r: float) -> float:
    """``2^(m+1) (m + 1) / (alpha(m) r^m)`` of (A.2)."""
    return 2 ** (m + 1) * (m + 1) / (ball_volume(m) * r**m)


def sharp_large_constant(m: int, r: float) -> float:
    """``(m + 2)(m + 1) / (alpha(m) r^m)``, which does in (A.2)."""
    return small_constant(m) / r**m


def bound(square: float, slope: float, sup: float, m: int, r: float, *, sharp: bool = False) -> float:
    """What theorem A.1 makes of ``int u^2`` and ``Lip(u)``: an upper bound of ``sup |u|``, in the case that applies.

    Args:
        square: ``int over M of u^2``.
        slope: a Lipschitz constant of ``u``.
        sup: ``sup |u|``, to choose the case.
        m: dimension.
        r: radius.
        sharp: use :func:`sharp_large_constant` in the second case.
    """
    if sup <= slope * r:
        return (small_constant(m) * slope**m * square) ** (1 / (m + 2))
    return math.sqrt((sharp_large_constant if sharp else large_constant)(m, r) * square)


def torus_grid(m: int, side: int) -> Tensor:
    """``side^m`` points of the flat torus ``[0, 1)^m``, the corners of equal cubes, ``(side^m, m)``, float64."""
    axis = torch.arange(side, dtype=torch.float64) / side
    return torch.cartesian_prod(*[axis] * m).reshape(-1, m)


def torus_distance(x: Tensor, y: Tensor) -> Tensor:
    """Distances on the flat torus ``[0, 1)^m`` between ``x (n, m)`` and ``y (k, m)``, ``(n, k)``."""
    apart = (x[:, None] - y[None]).abs()
    return torch.minimum(apart, 1 - apart).norm(dim=2)


def random_on_torus(n: int, at: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """``n`` random Lipschitz functions on the flat torus: cones up and down, narrow and wide, shifted.

    Each is the difference of a minimum and a maximum of cones with one slope ``L / 2``.

    Args:
        n: how many.
        at: points ``(k, m)``.
        seed: of the draw.

    Returns:
        Values ``(n, k)``, and Lipschitz constants ``L``, ``(n,)``.
    """
    g = settings.generator(seed)
    values, slopes = [], []
    for _ in range(n):
        peaks = int(torch.randint(1, 7, (1,), generator=g))
        slope = 10 ** (2 * torch.rand(1, generator=g, dtype=torch.float64) - 1)
        parts = []
        for _ in range(2):
            centres = torch.rand(peaks, at.shape[1], generator=g, dtype=torch.float64)
            heights = torch.rand(peaks, generator=g, dtype=torch.float64)
            parts.append((heights + slope / 2 * torus_distance(at, centres)).amin(1))
        u = parts[0] - parts[1]
        shift, lift = torch.rand(2, generator=g, dtype=torch.float64)
        u = u - shift * u.mean() - (1 - shift) * u.amin()
        values.append(u + slope * (2 * lift - 1).clamp(min=0))  # half of them lifted, by up to L
        slopes.append(slope)
    return torch.stack(values), torch.cat(slopes)
