"""Difference quotients: how large ``|f(a) - f(b)| / |a - b|`` gets over pairs of points (Kanai et al., definition 1).

Random pairs give a lower bound on a Lipschitz constant that is far from it in high dimension; :func:`climb` moves
pairs uphill, so that an inequality is tested where it is tight.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def quotients(f: Map, a: Tensor, b: Tensor) -> Tensor:
    """``|f(a) - f(b)| / |a - b|`` of each pair, in Euclidean norms, shape ``(m,)``.

    Args:
        f: maps ``(m, d)`` to ``(m, ...)`` row by row; all but the first dimension of its value are flattened.
        a: one point of each pair, shape ``(m, d)``.
        b: the other.

    Raises:
        ValueError: if the two points of a pair coincide.
    """
    apart = (a - b).norm(dim=1)
    if not bool((apart > 0).all()):
        raise ValueError(f"pair {int((apart <= 0).nonzero()[0])}: its two points coincide; a quotient needs two")
    return (f(a) - f(b)).flatten(1).norm(dim=1) / apart


def climb(
    f: Map, a: Tensor, b: Tensor, project: Map, *, steps: int = 200, rate: float = 0.03, apart: float = 1e-4
) -> tuple[Tensor, Tensor]:
    """Move pairs so that their difference quotients grow, by projected Adam ascent on their logarithms.

    Args:
        f: as in :func:`quotients`, differentiable by autograd.
        a: one point of each starting pair, shape ``(m, d)``.
        b: the other.
        project: maps points back into the set on which the constant is claimed.
        steps: of Adam.
        rate: of Adam, relative to the length of the starting points.
        apart: a pair closer than this is stretched back to it, to keep rounding out of the quotient.

    Returns:
        The best pairs seen, at least ``apart / 2`` apart; never worse than the (projected) starting pairs.
    """
    scale = rate * float(torch.cat([a, b]).norm(dim=1).mean())
    pair = _admissible(torch.stack([a, b]).detach(), project, apart).requires_grad_(True)
    optimiser = torch.optim.Adam([pair], lr=scale)
    best, highest = pair.detach().clone(), torch.full_like(a[:, 0], -torch.inf)
    for _ in range(steps + 1):
        with torch.enable_grad():
            height = quotients(f, pair[0], pair[1]).log()
            (slope,) = torch.autograd.grad(height.sum(), pair)
        now = height.detach()
        better = (now > highest) & ((pair[0] - pair[1]).detach().norm(dim=1) >= apart / 2)
        best[:, better], highest[better] = pair.detach()[:, better], now[better]
        pair.grad = -torch.nan_to_num(slope)
        optimiser.step()
        with torch.no_grad():
            pair.copy_(_admissible(pair.detach(), project, apart))
    return best[0], best[1]


def _admissible(pair: Tensor, project: Map, apart: float) -> Tensor:
    """Stretch pairs that are too close, then project both points."""
    middle, half = pair.mean(0), (pair[0] - pair[1]) / 2
    length = half.norm(dim=1, keepdim=True).clamp(min=1e-30)
    half = half * torch.clamp(apart / (2 * length), min=1.0)
    return torch.stack([project(middle + half), project(middle - half)])


def annulus(m: int, d: int, least: float, most: float, generator: torch.Generator) -> Tensor:
    """``m`` points of ``R^d`` (float64) with Euclidean norm from ``least`` to ``most``.

    Directions are uniform and norms log-uniform, so that every scale is visited.
    """
    _check_range(least, most)
    direction = torch.nn.functional.normalize(torch.randn(m, d, generator=generator, dtype=torch.float64), dim=1)
    return direction * _log_uniform((m, 1), least, most, generator)


def off_axes(m: int, d: int, least: float, most: float, generator: torch.Generator) -> Tensor:
    """``m`` points of ``R^d`` (float64): every ``|theta_i|`` log-uniform from ``least`` to ``most``, random signs."""
    _check_range(least, most)
    sign = torch.randint(0, 2, (m, d), generator=generator).double() * 2 - 1
    return sign * _log_uniform((m, d), least, most, generator)


def tangents(points: Tensor, generator: torch.Generator) -> Tensor:
    """A random unit vector orthogonal to each row of ``points (m, d)``; needs ``d >= 2``."""
    if points.shape[1] < 2:
        raise ValueError(f"d={points.shape[1]}: a tangent needs at least 2 dimensions")
    outward = torch.nn.functional.normalize(points, dim=1)
    drawn = torch.randn(points.shape, generator=generator, dtype=points.dtype)
    return torch.nn.functional.normalize(drawn - (drawn * outward).sum(1, keepdim=True) * outward, dim=1)


def into_annulus(points: Tensor, least: float, most: float) -> Tensor:
    """Move each row to the nearest point with norm from ``least`` to ``most`` (along its ray)."""
    length = points.norm(dim=1, keepdim=True).clamp(min=1e-30)
    return points * (length.clamp(least, most) / length)


def off_the_axes(points: Tensor, least: float, most: float, sign: Tensor | None = None) -> Tensor:
    """Move each component to the nearest value with ``least <= |theta_i| <= most`` (within ``sign`` if given)."""
    side = torch.where(points >= 0, 1.0, -1.0).to(points) if sign is None else sign
    return side * (side * points).clamp(least, most)


def _check_range(least: float, most: float) -> None:
    if not 0 < least <= most < float("inf"):
        raise ValueError(f"least={least!r}, most={most!r}: allowed is 0 < least <= most, finite")


def _log_uniform(shape: tuple[int, int], least: float, most: float, generator: torch.Generator) -> Tensor:
    exponent = torch.rand(shape, generator=generator, dtype=torch.float64)
    return least * (most / least) ** exponent


def central_differences(f: Map, points: Tensor, step: float) -> Tensor:
    """Derivatives of ``f`` along every axis by central differences of fourth order, ``(m, ..., d)`` for ``(m, d)``."""
    if not 0 < step < float("inf"):
        raise ValueError(f"step={step!r}: allowed is a positive number")
    moves = step * torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    slopes = [
        (8 * (f(points + move) - f(points - move)) - (f(points + 2 * move) - f(points - 2 * move))) / (12 * step)
        for move in moves
    ]
    return torch.stack(slopes, -1)


def pairwise_quotients(points: Tensor, values: Tensor) -> Tensor:
    """:func:`quotients` of all pairs among ``points (m, d)``, given ``values (m, ...)`` there.

    Raises:
        ValueError: if two points coincide.
    """
    apart = torch.pdist(points)
    if not bool((apart > 0).all()):
        raise ValueError("two points coincide; a quotient needs two")
    return torch.pdist(values.flatten(1)) / apart
