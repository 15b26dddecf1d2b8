r"""How the curvature of a binary linear model's adversarial loss changes with the budget (Liu et al., appendix A.1).

With the worst-case margin ``z = y w.x - eps |w|`` of :mod:`advsmooth.theory.linear` (``|w|`` the dual norm, ``u`` its
gradient, ``v = y x - eps u`` and ``s(z)`` the product of the two sigmoids of ``z`` and ``-z``) the Hessian of the loss,
equation (6) of the paper, is the mean over the examples of

    H = s(z) v v^T + eps sigmoid(-z) D2|w|

and its derivative in the budget, by the chain rule with ``dz / d eps = -|w|`` and ``dv / d eps = -u``, that of

    R = |w| s(z) tanh(z/2) v v^T - s(z) (u v^T + v u^T) + (sigmoid(-z) + eps |w| s(z)) D2|w| .

The paper differentiates equation (7) instead, which holds ``eps |w|`` fixed; this leaves ``s(z) x x^T``, its (29),
and the rate ``|w| s(z) tanh(z/2) x x^T``.

Shapes, types and refusals are those of :mod:`advsmooth.theory.linear`: parameters ``(m, d)``, inputs ``(n, d)``, labels
``(n,)``; one matrix ``(d, d)`` for each row of parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from advsmooth import settings
from advsmooth.theory import linear

TURN = 2.3993572805154
"""The positive root of ``z tanh(z / 2) = 2``, where ``z^2 s(z)`` is largest."""


def slope(z: Tensor) -> Tensor:
    """``s(z) = sigmoid(z) sigmoid(-z)``, the second derivative of ``log(1 + exp(-z))``."""
    return torch.sigmoid(z) * torch.sigmoid(-z)


def along_weights(z: Tensor) -> Tensor:
    """``z^2 s(z)``: one example's part of ``w^T H w``, for every norm (Euler: ``v.w = z`` and ``D2|w| w = 0``)."""
    return z**2 * slope(z)


def along_weights_rate(z: Tensor) -> Tensor:
    """``s(z) z (z tanh(z/2) - 2)``: one example's part of ``w^T R w / |w|``; positive beyond :data:`TURN`."""
    return slope(z) * z * (z * torch.tanh(z / 2) - 2)


def frozen_hessian(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Hessian (29): the mean of ``s(z) x x^T``, which treats ``eps |w|`` as a constant; shape ``(m, d, d)``."""
    weight = slope(linear.margins(theta, x, y, eps, norm))
    return torch.einsum("mn,nd,ne->mde", weight, x, x) / len(x)


def frozen_rate(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Derivative of :func:`frozen_hessian` in the budget, shape ``(m, d, d)``."""
    z = linear.margins(theta, x, y, eps, norm)
    weight = linear.dual_norm(theta, norm)[:, None] * slope(z) * torch.tanh(z / 2)
    return torch.einsum("mn,nd,ne->mde", weight, x, x) / len(x)


def rate_parts(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> tuple[Tensor, Tensor, Tensor]:
    """The rate as ``B - u g^T - g u^T``: ``B (m, d, d)``, ``g`` and ``u``, both ``(m, d)``.

    ``B`` is the mean of ``|w| s tanh(z/2) v v^T + (sigmoid(-z) + eps |w| s) D2|w|``, positive semidefinite where no
    worst-case margin is negative; ``g`` is the mean of ``s(z) v``.

    Raises:
        ValueError: at a kink, where there is no Hessian (also at budget 0, where the rate still sees the norm).
    """
    linear._refuse_kinks(theta, max(eps, 1.0), norm)
    z = linear.margins(theta, x, y, eps, norm)
    u, size = linear.steepest(theta, norm), linear.dual_norm(theta, norm)
    weight = slope(z)
    v = y[None, :, None] * x[None] - eps * u[:, None, :]
    base = torch.einsum("mn,mnd,mne->mde", size[:, None] * weight * torch.tanh(z / 2), v, v) / len(x)
    if norm == "l2":
        projector = torch.eye(theta.shape[1], dtype=theta.dtype) - u[:, :, None] * u[:, None, :]
        bend = (torch.sigmoid(-z) + eps * size[:, None] * weight).mean(1) / size
        base = base + bend[:, None, None] * projector
    return base, torch.einsum("mn,mnd->md", weight, v) / len(x), u


def rate(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Derivative in the budget of :func:`advsmooth.theory.linear.hessian`, exact, shape ``(m, d, d)``.

    Curvature grows in every direction, as Theorem 3 says, exactly where this matrix is positive semidefinite.
    """
    base, g, u = rate_parts(theta, x, y, eps, norm)
    mixed = u[:, :, None] * g[:, None, :]
    return base - mixed - mixed.transpose(1, 2)


def criterion(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """``u.C g + sqrt(u.C u  g.C g)`` with ``C`` the inverse of ``B``, shape ``(m,)``.

    Where ``B`` is positive definite, :func:`rate` is positive semidefinite exactly if this is at most 1: after a change
    of basis that turns ``B`` into the identity, it is the largest eigenvalue of a matrix ``a b^T + b a^T``,
    ``a.b + |a| |b|``.
    Not a number where ``B`` is not positive definite.
    """
    base, g, u = rate_parts(theta, x, y, eps, norm)
    factor, info = torch.linalg.cholesky_ex(base)
    a, b = (torch.linalg.solve_triangular(factor, part[:, :, None], upper=False)[:, :, 0] for part in (u, g))
    value = (a * b).sum(1) + a.norm(dim=1) * b.norm(dim=1)
    return torch.where(info == 0, value, torch.nan)


def one_input_room(z: Tensor, eps: Tensor | float, size: Tensor | float, across: Tensor | float) -> Tensor:
    """``(1 + e^-z + eps |w|) z (z tanh(z/2) - 2) - |w|^2 xi^2``: one input, Euclidean norm, two or more weights.

    Curvature grows in every direction exactly where this is at least 0. ``across`` is ``xi``, the length of the part of
    ``x`` that is orthogonal to ``w``.
    """
    size = torch.as_tensor(size, dtype=z.dtype)
    return (1 + torch.exp(-z) + eps * size) * z * (z * torch.tanh(z / 2) - 2) - (size * across) ** 2


def on_the_sphere(theta: Tensor, direction: Tensor, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Second derivative along the great circle ``|w|_2 = |theta|`` in a unit ``direction`` orthogonal to ``theta``.

    The path ``cos(t) w + sin(t) |w| m`` has length ``|w|`` throughout, so losses (6) and (7) are the same function of
    ``t``. Per example ``s(z) |w|^2 (x.m)^2 + sigmoid(-z) y w.x``, divided by ``|w|^2`` (unit speed); shape ``(m,)``.
    """
    z = linear.margins(theta, x, y, eps, "l2")
    clean, length = y * (theta @ x.T), theta.norm(dim=1)
    return (slope(z) * (direction @ x.T) ** 2).mean(1) + (torch.sigmoid(-z) * clean).mean(1) / length**2


def with_margins(margins: Tensor, d: int, norm: str, seed: int, size: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Random data and a model with these clean margins: ``theta (1, d)``, ``x (n, d)``, ``y (n,)``.

    The dual norm of ``theta`` is ``size``. Normal inputs, labels by a fair coin; each input is moved along ``theta``
    until ``y theta.x`` is its margin.
    """
    theta, x, y = _random(len(margins), d, norm, seed, size)
    return theta, _moved(theta, x, y, margins), y


def separated(n: int, d: int, least: float, norm: str, seed: int, size: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Random data and a model that separates them by ``least``; shapes as :func:`with_margins`.

    An input is moved along ``theta`` only if its clean margin, over ``size``, is below ``least``. The first has exactly
    that margin, where the statements about separable data are tight.
    """
    theta, x, y = _random(n, d, norm, seed, size)
    wanted = (y * (x @ theta[0])).clamp_min(least * size)
    wanted[0] = least * size
    return theta, _moved(theta, x, y, wanted), y


def _random(n: int, d: int, norm: str, seed: int, size: float) -> tuple[Tensor, Tensor, Tensor]:
    g = settings.generator(seed)
    theta = torch.randn(1, d, generator=g, dtype=torch.float64)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    y = torch.where(torch.rand(n, generator=g) < 0.5, 1.0, -1.0).double()
    return size * theta / linear.dual_norm(theta, norm), x, y


def _moved(theta: Tensor, x: Tensor, y: Tensor, margins: Tensor) -> Tensor:
    lack = margins - y * (x @ theta[0])
    return x + (y * lack)[:, None] * theta / theta.square().sum()


def not_smaller(a: Tensor, b: Tensor) -> bool:
    """Whether ``a - b`` has no negative eigenvalue, up to rounding: 1e-12 of the largest entry of ``a`` and ``b``."""
    slack = 1e-12 * max(float(a.abs().max()), float(b.abs().max()))
    return bool(torch.linalg.eigvalsh(a - b)[0] >= -slack)


def statements(
    theta: Tensor, x: Tensor, y: Tensor, norm: str, budgets: Sequence[float], stray: Tensor
) -> dict[str, bool]:
    """What Theorem 3 says, in its several readings, for one model ``theta (1, d)`` along increasing budgets.

    Args:
        theta: a model whose clean margins, over its dual norm, are all at least the last budget.
        x: inputs ``(n, d)``.
        y: labels ``(n,)``.
        norm: the adversary's norm.
        budgets: at least two, increasing.
        stray: another model ``(1, d)``, with or without the margin.

    Returns:
        ``"frozen"``: Hessian (29) grows in every direction; ``"stray"``: the same at the other model; ``"true"``: that
        of loss (6) does; ``"largest"``, ``"smallest"``: its eigenvalue does not fall; ``"tangent"``: it grows in the
        directions with ``u.m = 0``.
    """
    full = [linear.hessian(theta, x, y, eps, norm)[0] for eps in budgets]
    tangent = torch.linalg.svd(linear.steepest(theta, norm))[2][1:]
    values = torch.stack([torch.linalg.eigvalsh(matrix) for matrix in full])
    rounding = 1e-12 * values.abs().max()

    def grow(matrices: Sequence[Tensor]) -> bool:
        return all(not_smaller(after, before) for before, after in pairwise(matrices))

    return {
        "frozen": grow([frozen_hessian(theta, x, y, eps, norm)[0] for eps in budgets]),
        "stray": grow([frozen_hessian(stray, x, y, eps, norm)[0] for eps in budgets]),
        "true": grow(full),
        "largest": bool((values[:, -1].diff() >= -rounding).all()),
        "smallest": bool((values[:, 0].diff() >= -rounding).all()),
        "tangent": grow([tangent @ matrix @ tangent.T for matrix in full]),
    }


def growth_map(
    direction: Tensor, x: Tensor, y: Tensor, norm: str, sizes: Sequence[float], budgets: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Where the curvature of loss (6) grows, for the multiples of one model; both ``(sizes, budgets)``.

    Returns:
        The rate along ``w``, over the sum of the examples' absolute parts, and the least eigenvalue of the rate,
        over the largest absolute one.
    """
    along, least = (np.zeros((len(sizes), len(budgets))) for _ in range(2))
    for i, size in enumerate(sizes):
        theta = float(size) * direction
        for j, eps in enumerate(budgets):
            part = along_weights_rate(linear.margins(theta, x, y, float(eps), norm)[0])
            along[i, j] = float(part.sum() / part.abs().sum().clamp_min(1e-300))
            values = torch.linalg.eigvalsh(rate(theta, x, y, float(eps), norm)[0])
            least[i, j] = float(values[0] / values.abs().max().clamp_min(1e-300))
    return along, least
