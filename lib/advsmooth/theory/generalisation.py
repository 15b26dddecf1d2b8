r"""Lipschitz-regularised minimisers of a sample against that of the distribution (Finlay et al., section 4.2).

Problems whose minimiser ``u^lambda`` of ``J[u] = int (u - y)^2 rho + lambda Lip(u)`` is known in closed form, with
``rho`` uniform on [0, 1] or on the unit square, and the distances of a sample's minimisers to it. Off the data the
latter are not unique: every distance is the larger one of the smallest and the largest extension, both cut to the label
space [0, 1]. On the line all functions are linear between known knots, and the integrals are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from advsmooth import settings
from advsmooth.theory import regularised, uniqueness
from advsmooth.theory import strong_convexity as sc


@dataclass(frozen=True)
class Problem:
    """Labels of [0, 1], or of the first coordinate of the square, and what is known of their minimiser.

    Attributes:
        name: in words.
        labels: ``y`` at inputs ``(n,)``.
        minimiser: ``u^lambda`` at inputs ``(n,)``, for a price.
        objective: ``J[u^lambda]`` for a price.
        steepness: ``Lip(y)``; infinite if the labels jump.
        kinks: where ``y`` or ``u^lambda`` bends, for a price.
    """

    name: str
    labels: Callable[[Tensor], Tensor]
    minimiser: Callable[[Tensor, float], Tensor]
    objective: Callable[[float], float]
    steepness: float
    kinks: Callable[[float], list[float]]


def zigzag(pieces: int) -> Problem:
    """Labels that rise from 0 to 1 and fall back, ``pieces`` straight lines of slope ``pieces``; 1: ``y(x) = x``.

    ``u^lambda = 1/2 + s (y - 1/2)`` with ``s = max(1 - 6 pieces lambda, 0)``.
    """

    def labels(x: Tensor) -> Tensor:
        return 1 - ((pieces * x) % 2 - 1).abs()

    def share(price: float) -> float:
        return max(1 - 6 * pieces * price, 0.0)

    return Problem(
        "straight labels" if pieces == 1 else f"zigzag of {pieces}",
        labels,
        lambda x, price: 0.5 + share(price) * (labels(x) - 0.5),
        lambda price: (1 - share(price)) ** 2 / 12 + price * share(price) * pieces,
        float(pieces),
        lambda _: [k / pieces for k in range(1, pieces)],
    )


def _step_slope(price: float) -> float:
    return (12 * price) ** -0.5 if price <= 1 / 12 else max(1.5 - 6 * price, 0.0)


def _step_objective(price: float) -> float:
    k = _step_slope(price)
    return price * k + (1 / (12 * k) if k >= 1 else 0.25 - k / 4 + k**2 / 12)


STEP = Problem(
    "step",
    lambda x: (x > 0.5).double(),
    lambda x, price: 0.5 + (_step_slope(price) * (x - 0.5)).clamp(-0.5, 0.5),
    _step_objective,
    math.inf,
    lambda price: [0.5 - 0.5 / max(_step_slope(price), 1.0), 0.5, 0.5 + 0.5 / max(_step_slope(price), 1.0)],
)
"""Labels 0 up to 1/2 and 1 beyond. ``u^lambda`` is a ramp through the middle, of slope ``(12 lambda)^(-1/2)`` up to
``lambda = 1/12``, then ``3/2 - 6 lambda``; flat from ``lambda = 1/4`` on."""


@dataclass(frozen=True)
class Distance:
    """How far a sample's minimisers are from ``u^lambda``.

    Attributes:
        n: size of the sample.
        square: ``int (u_n - u^lambda)^2 rho``, the larger one of both extreme extensions.
        sup: ``max |u_n - u^lambda|``, likewise.
        slope: ``Lip(u_n)``.
        difference: ``Lip(u_n - u^lambda)``, or the bound ``Lip(u_n) + Lip(u^lambda)`` in the square.
        on_data: ``1/n sum (u_n - u^lambda)^2``.
        exchange: ``(rho - rho_n)[l(u_n, y) - l(u^lambda, y)]`` of the extension that gives ``square``.
        gap: how far from optimal the computed values can be.
    """

    n: int
    square: float
    sup: float
    slope: float
    difference: float
    on_data: float
    exchange: float
    gap: float


def sample(n: int, m: int, seed: int) -> Tensor:
    """``n`` uniform points of the unit cube, ``(n, m)``, float64; a prefix of longer samples of the same seed."""
    return torch.rand(n, m, generator=settings.generator(seed), dtype=torch.float64)


def solve(x: Tensor, problem: Problem, price: float) -> regularised.Minimiser:
    """The exact minimiser of the sample ``x (n, m)``, labelled by its first coordinate."""
    return regularised.minimise(x, problem.labels(x[:, 0]), price)


def straight(x: Tensor, price: float) -> regularised.Minimiser:
    """The minimiser of :func:`solve` for data ``(n, 1)`` and ``y(x) = x``, in closed form.

    The labels turned towards their mean, by ``s = max(1 - price / (2 V), 0)``, ``V`` the variance of the data.
    """
    mean, variance = x[:, 0].mean(), x[:, 0].var(correction=0).item()
    share = max(1 - price / (2 * variance), 0.0) if variance > 0 else 0.0
    least = (1 - share) ** 2 * variance + price * share
    return regularised.Minimiser(x, mean + share * (x[:, 0] - mean), share, least, least)


def extremes(found: regularised.Minimiser, at: Tensor) -> list[Tensor]:
    """The smallest and the largest minimiser with values in [0, 1], at points ``(k, d)``."""
    return [end.clamp(0, 1) for end in uniqueness.extensions(found, at)]


def on_the_line(found: regularised.Minimiser, problem: Problem, price: float) -> Distance:
    """:class:`Distance` for data ``(n, 1)``; every integral is exact, for labels that do not jump."""
    x, values = (part[found.x[:, 0].argsort(stable=True)] for part in (found.x[:, 0], found.values))
    knots = _knots(x, values, found.lipschitz, problem.kinks(price))
    y, best = problem.labels(knots), problem.minimiser(knots, price)
    ends = extremes(found, knots[:, None])
    square, u = max(((sc.integral(knots, u - best).item(), u) for u in ends), key=lambda pair: pair[0])
    there, labels = problem.minimiser(x, price), problem.labels(x)
    in_sample = ((values - labels).square() - (there - labels).square()).mean()
    exchange = sc.integral(knots, u - y) - sc.integral(knots, best - y) - in_sample
    steps = knots.diff() > 1e-9
    return Distance(
        len(x),
        square,
        max((u - best).abs().max().item() for u in ends),
        found.lipschitz,
        max(((u - best).diff()[steps] / knots.diff()[steps]).abs().max().item() for u in ends),
        (values - there).square().mean().item(),
        exchange.item(),
        found.gap,
    )


def _knots(x: Tensor, values: Tensor, slope: float, more: list[float]) -> Tensor:
    """Where the extremes, the labels or the minimiser bend, and both ends of [0, 1]; sorted, none twice."""
    parts = [x, torch.tensor([0.0, 1.0, *more], dtype=torch.float64)]
    if slope > 0:
        middle, tilt = (x[1:] + x[:-1]) / 2, (values[1:] - values[:-1]) / (2 * slope)
        parts += [middle + tilt, middle - tilt]
        left, right = torch.cat([x.new_zeros(1), x]), torch.cat([x, x.new_ones(1)])
        for reach in (values / slope, (1 - values) / slope):  # where a branch meets 0 or 1
            after, before = x + reach, x - reach
            parts += [after[after < right[1:]], before[before > left[:-1]]]
    return torch.cat(parts).clamp(0, 1).unique()


def in_the_square(found: regularised.Minimiser, price: float, cells: int) -> Distance:
    """:class:`Distance` for data ``(n, 2)`` of the unit square and labels ``y(x) = x_1``, on a grid of midpoints."""
    side = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    grid = torch.cartesian_prod(side, side)
    problem = zigzag(1)
    best, there = problem.minimiser(grid[:, 0], price), problem.minimiser(found.x[:, 0], price)
    ends = extremes(found, grid)
    square, u = max((((u - best).square().mean().item(), u) for u in ends), key=lambda pair: pair[0])
    labels = found.x[:, 0]
    in_sample = ((found.values - labels).square() - (there - labels).square()).mean()
    exchange = ((u - grid[:, 0]).square() - (best - grid[:, 0]).square()).mean() - in_sample
    return Distance(
        len(found.x),
        square,
        max((u - best).abs().max().item() for u in ends),
        found.lipschitz,
        found.lipschitz + max(1 - 6 * price, 0.0),
        (found.values - there).square().mean().item(),
        exchange.item(),
        found.gap,
    )


def slope_in_n(sizes: list[int], errors: list[float]) -> float:
    """The exponent ``a`` of the fit ``error = constant * n^(-a)``, by least squares on logarithms."""
    n, e = torch.tensor(sizes).double().log(), torch.tensor(errors).double().log()
    n = n - n.mean()
    return -((n * e).sum() / n.square().sum()).item()
