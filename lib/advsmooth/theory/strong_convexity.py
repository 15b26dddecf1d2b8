r"""Strong convexity of losses and of the regularised objective (Finlay et al., section 4.2).

Equation (4.5) calls a loss strongly convex with parameter ``theta`` if

    l(t y_1 + (1 - t) y_2, y_0) + theta / 2 t (1 - t) |y_1 - y_2|^2  <=  t l(y_1, y_0) + (1 - t) l(y_2, y_0).

The first half of this module does it for the loss of remark 4.5 on the probability simplex, the second for
``J[u] = int (u - y)^2 rho + lambda Lip(u)`` of piecewise linear functions on the line, without quadrature error.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from advsmooth import settings

# --- the regularised cross-entropy on the simplex -----------------------------------------------------------------


def regularised_cross_entropy(y: Tensor, z: Tensor, eps: float) -> Tensor:
    """``-sum_i (z_i + eps) log((y_i + eps) / (z_i + eps))``, equation (4.6).

    Args:
        y: predictions ``(..., D)``, on the simplex.
        z: labels ``(..., D)``, on the simplex.
        eps: positive.

    Returns:
        Shape ``(...)``, at least 0.
    """
    return -((z + eps) * ((y + eps) / (z + eps)).log()).sum(-1)


def slope(y: Tensor, z: Tensor, eps: float) -> Tensor:
    """The gradient of :func:`regularised_cross_entropy` in ``y``: ``-(z_i + eps) / (y_i + eps)``, ``(..., D)``."""
    return -(z + eps) / (y + eps)


def curvature(y: Tensor, z: Tensor, eps: float) -> Tensor:
    """The least second derivative in ``y`` along the simplex, per unit of Euclidean length squared.

    The smallest eigenvalue of ``diag((z_i + eps) / (y_i + eps)^2)`` on the directions whose entries sum to 0. With
    ``eps = 0`` it is that of the cross-entropy; ``y`` must then be positive.

    Returns:
        Shape ``(...)``.
    """
    weights = (z + eps) / (y + eps).square()
    basis = tangent_basis(y.shape[-1]).to(y.dtype)
    return torch.linalg.eigvalsh(basis.T @ (weights[..., None] * basis))[..., 0]


def tangent_basis(classes: int) -> Tensor:
    """Orthonormal directions whose entries sum to 0, ``(D, D - 1)``, float64."""
    steps = torch.eye(classes, dtype=torch.float64)[:, 1:] - 1 / classes
    return torch.linalg.qr(steps).Q


def modulus(classes: int, eps: float) -> float:
    """The largest ``theta`` for which the regularised cross-entropy is strongly convex on the simplex of ``D`` classes.

    Two classes: ``((1 + eps)^(1/3) + eps^(1/3))^3 / (2 (1 + 2 eps)^2)``. More: ``4 eps / (1 + 2 eps)^2``.

    Raises:
        ValueError: if ``eps`` is not positive, there are fewer than two classes, or more than
            ``2 + (1 + 4 eps) / (3 eps^2)``, beyond which the derivation does not reach.
    """
    if classes < 2 or not 0 < eps < math.inf:
        raise ValueError(f"classes={classes!r}, eps={eps!r}: allowed is at least 2 classes and a positive eps")
    if classes == 2:
        return ((1 + eps) ** (1 / 3) + eps ** (1 / 3)) ** 3 / (2 * (1 + 2 * eps) ** 2)
    if 3 * (classes - 2) * eps**2 > 1 + 4 * eps:
        raise ValueError(f"classes={classes}, eps={eps:g}: allowed is 3 (classes - 2) eps^2 <= 1 + 4 eps")
    return 4 * eps / (1 + 2 * eps) ** 2


def lipschitz(eps: float) -> float:
    """The Lipschitz constant of the regularised cross-entropy on the simplex, in the 1-norm, for every ``D``.

    ``((1 + eps) / eps - eps / (1 + eps)) / 2``: half the largest difference of two entries of :func:`slope`.
    """
    return ((1 + eps) / eps - eps / (1 + eps)) / 2


def simplex_points(n: int, classes: int, seed: int) -> Tensor:
    """Points of the simplex ``(n, D)``: a third near the corners, a third near the edges, a third inside; float64."""
    g = settings.generator(seed)
    power = torch.tensor([8.0, 2.0, 1.0], dtype=torch.float64)[torch.arange(n) % 3]
    cuts = -torch.rand(n, classes, generator=g, dtype=torch.float64).clamp(min=1e-300).log()
    raw = cuts ** power[:, None]
    return raw / raw.sum(1, keepdim=True)


def surplus(
    loss: Callable[[Tensor], Tensor], first: Tensor, second: Tensor, t: Tensor, square: Tensor, theta: float
) -> Tensor:
    """Right side minus left side of (4.5), or of (4.15): not negative where it holds.

    Args:
        loss: of one argument, predictions or functions ``(n, ...)``; returns ``(n,)``.
        first: ``(n, ...)``.
        second: ``(n, ...)``.
        t: ``(n,)``, in [0, 1].
        square: the squared distance of each pair, ``(n,)``.
        theta: the parameter.
    """
    share = t.reshape(-1, *[1] * (first.ndim - 1))
    left = loss(share * first + (1 - share) * second) + theta / 2 * t * (1 - t) * square
    return t * loss(first) + (1 - t) * loss(second) - left


# --- piecewise linear functions on the line -----------------------------------------------------------------------


def integral(knots: Tensor, values: Tensor, density: Tensor | None = None) -> Tensor:
    """``int values^2 rho`` of functions that are linear between the knots; exact, for Simpson's rule is.

    Args:
        knots: increasing, ``(k,)``.
        values: at the knots, ``(..., k)``.
        density: ``rho`` between the knots, ``(k - 1,)``; 1 if not given.

    Returns:
        Shape ``(...)``.
    """
    a, b = values[..., :-1], values[..., 1:]
    weight = knots.diff() if density is None else knots.diff() * density
    return (weight * (a * a + a * b + b * b) / 3).sum(-1)


def lipschitz_constant(knots: Tensor, values: Tensor) -> Tensor:
    """The largest slope of functions that are linear between the knots, ``(..., k)`` to ``(...)``."""
    return (values.diff(dim=-1) / knots.diff()).abs().amax(-1)


def objective(knots: Tensor, values: Tensor, labels: Tensor, price: float, density: Tensor | None = None) -> Tensor:
    """``J[u] = int (u - y)^2 rho + price Lip(u)``, with labels ``y`` linear between the knots, too."""
    return integral(knots, values - labels, density) + price * lipschitz_constant(knots, values)


def minimiser_for_linear_labels(knots: Tensor, price: float) -> Tensor:
    """The minimiser of :func:`objective` on [0, 1] for ``y(x) = x`` and ``rho = 1``, at the knots.

    It is ``1/2 + max(1 - 6 price, 0) (x - 1/2)``: the labels turned towards their mean.
    """
    return 0.5 + max(1 - 6 * price, 0.0) * (knots - 0.5)


def random_functions(n: int, knots: Tensor, seed: int) -> Tensor:
    """Values at the knots of ``n`` piecewise linear functions, smooth and rough, small and large; ``(n, k)``."""
    g = settings.generator(seed)
    noise = torch.randn(n, len(knots), generator=g, dtype=torch.float64)
    rough = torch.rand(n, 1, generator=g, dtype=torch.float64)
    line = torch.randn(n, 2, generator=g, dtype=torch.float64)
    size = 10 ** (2 * torch.rand(n, 1, generator=g, dtype=torch.float64) - 1.5)
    return size * (line[:, :1] + line[:, 1:] * knots + rough**3 * noise)
