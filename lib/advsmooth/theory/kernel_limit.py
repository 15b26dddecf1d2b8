r"""What training does to a very wide ReLU network: the limit of its tangent kernel (Zhu et al. 2022, lemma 4).

For the network of :mod:`advsmooth.models.fcn` with ``beta_1^2 = beta^2 = 2/m`` and one output of ``beta_L^2 = 1`` (the
"NTK initialisation" of the paper), the tangent kernel ``sum_l <df(x)/dW_l, df(z)/dW_l>``, over ``m / 2``, tends to

    K(x, z) = sum_{l=1}^{L-1}  S_{l-1}(x, z)  prod_{k=l}^{L-1} (pi - theta_{k-1}) / pi       (Jacot et al. 2018)

where ``S_0 = x . z``, ``theta_k`` is the angle that belongs to ``S_k = |x| |z| cos theta_k``, and
``cos theta_k = (sin theta_{k-1} + (pi - theta_{k-1}) cos theta_{k-1}) / pi`` (Cho and Saul 2009). The last layer adds
only ``2/m`` of ``S_{L-1}``: with one learning rate for all layers it stands still. For ``L = 2`` it is twice the first
layer's mean Gram matrix of :mod:`advsmooth.theory.gram`. Gradient descent on ``1/2 |f - y|^2`` then changes the network
by ``sum_j K(x, x_j) c_j`` and its gradient by ``sum_j c_j grad_x K(x, x_j)``, with the ``c`` of :func:`descend`.
"""

# ruff: noqa: N803 - L, K and S are the symbols of the literature

from __future__ import annotations

import math

import torch
from torch import Tensor

from advsmooth.theory import gram


def tangent_kernel(x: Tensor, z: Tensor, L: int) -> Tensor:
    """``K`` above between points ``(k, d)`` and ``(n, d)``, none of them zero; the result is ``(k, n)``.

    Differentiable in ``x`` wherever no two points are parallel.

    Raises:
        ValueError: for a depth below 2.
    """
    if not isinstance(L, int) or L < 2:
        raise ValueError(f"L={L!r}: allowed is an integer, at least 2")
    sizes = x.norm(dim=1)[:, None] * z.norm(dim=1)
    theta = gram.angles(x, z)
    total = torch.zeros_like(theta)
    for _ in range(L - 1):
        total = (total + sizes * theta.cos()) * (math.pi - theta) / math.pi
        theta = torch.arccos(((theta.sin() + (math.pi - theta) * theta.cos()) / math.pi).clamp(-1, 1))
    return total


def descend(K: Tensor, residual: Tensor, step: float, steps: int, momentum: float = 0.0) -> Tensor:
    """Coefficients ``c`` after steps of descent ``v <- momentum v + r - K c``, ``c <- c + step v``.

    The very recursion by which SGD with momentum moves a network whose kernel stands still.

    Args:
        K: kernel between the training points, ``(n, n)``, symmetric.
        residual: ``r = y - f_0`` at the training points, ``(..., n)``.
        step: the learning rate, times ``m / 2`` for :func:`tangent_kernel`.
        steps: how many.
        momentum: of the heavy ball, from 0 to less than 1.

    Returns:
        ``(..., n)``.
    """
    c, v = torch.zeros_like(residual), torch.zeros_like(residual)
    for _ in range(steps):
        v = momentum * v + residual - c @ K
        c = c + step * v
    return c


def gradient_change(x: Tensor, z: Tensor, c: Tensor, L: int) -> Tensor:
    """``sum_j c_j grad_x K(x, z_j)`` for points ``x`` ``(k, d)`` not parallel to any ``z_j``; ``(..., k, d)``.

    Args:
        x: where the gradient is taken.
        z: training points ``(n, d)``.
        c: coefficients ``(..., n)``.
        L: depth.
    """
    moved = x.detach().clone().requires_grad_()
    values = tangent_kernel(moved, z, L) @ c.reshape(-1, c.shape[-1]).T
    rows = [torch.autograd.grad(column.sum(), moved, retain_graph=True)[0] for column in values.T]
    return torch.stack(rows).reshape(*c.shape[:-1], *x.shape)
