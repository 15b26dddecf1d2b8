r"""Gradient descent on all points at once, for many ReLU networks of one shape, each until its risk is small enough.

The network is ``f(x) = 1/alpha W_L relu(... relu(W_1 x))`` with one output, the risk
``R = 1/(2n) sum_i (f(x_i) - y_i)^2``. The step is ``min(largest, 1/K)`` with the *current* tangent kernel ``K``, the
mean over the points of ``sum_l |d f(x_i) / d W_l|_F^2``: it bounds the largest eigenvalue of the Gauss-Newton matrix.
Gradients are written out, not left to autograd: a step is then a handful of batched products. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fitted:
    """Networks after training.

    Attributes:
        weights: of each layer, ``(k, rows, columns)``.
        steps: taken by each network, ``(k,)``.
        risk: at the end, ``(k,)``.
        outputs: at the training points, ``(k, n)``.
        explained: for each layer ``sum over steps of step^2 |g_l|_F^2``, ``(k, L)``: its differences are the drift
            of the balance between layers, exactly.
        descent: ``sum over steps of step |g|^2`` over the fall of the risk, ``(k,)``; below 2 for short steps.
    """

    weights: list[Tensor]
    steps: Tensor
    risk: Tensor
    outputs: Tensor
    explained: Tensor
    descent: Tensor


def gradients(
    weights: Sequence[Tensor], x: Tensor, y: Tensor, alpha: float = 1.0
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Gradients of the risk, outputs and tangent kernel of stacked networks.

    Args:
        weights: ``(k, rows, columns)`` for each layer; the last has one row.
        x: points ``(n, d)``.
        y: labels ``(n,)``.
        alpha: output scale.

    Returns:
        The gradient of each layer, the outputs ``(k, n)``, and the mean tangent kernel ``(k,)``.
    """
    states = [x.T.expand(len(weights[0]), -1, -1)]  # examples last: the layout of the fast products
    for weight in weights[:-1]:
        states.append(torch.bmm(weight, states[-1]).relu_())
    outputs = torch.bmm(weights[-1], states[-1])[:, 0] / alpha
    residual = (outputs - y)[:, None, :] / len(y)
    back = torch.full_like(residual, 1 / alpha)
    found: list[Tensor] = []
    kernel = torch.zeros(len(outputs), dtype=x.dtype)
    for layer in range(len(weights) - 1, -1, -1):
        kernel = kernel + (states[layer].square().sum(1) * back.square().sum(1)).mean(1)
        found.insert(0, torch.bmm(back * residual, states[layer].mT))
        if layer:
            back = torch.bmm(weights[layer].mT, back) * (states[layer] > 0)
    return found, outputs, kernel


def fit(
    weights: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    *,
    level: float,
    alpha: float = 1.0,
    largest: float = 0.5,
    slower: float = 1.0,
    most: int = 20_000,
) -> Fitted:
    """Train each network until its risk is at most ``level``; a network that is there leaves the stack.

    Args:
        weights: see :func:`gradients`; they are not changed.
        x: points ``(n, d)``.
        y: labels ``(n,)``.
        level: of the risk.
        alpha: output scale.
        largest: step that is never exceeded: from small weights the tangent kernel says nothing of what comes.
        slower: divides every step, to see what the step size does.
        most: steps after which a network stops wherever it is.

    Raises:
        ValueError: for a level, step or number of steps that is not positive.
    """
    if not (level > 0 and largest > 0 and slower > 0 and most > 0):
        raise ValueError(
            f"level={level!r}, largest={largest!r}, slower={slower!r}, most={most!r}: allowed are positive numbers"
        )
    k, depth = len(weights[0]), len(weights)
    now, left = [w.clone() for w in weights], torch.arange(k)
    explained, fallen = torch.zeros(k, depth, dtype=x.dtype), torch.zeros(k, dtype=x.dtype)
    end = [torch.empty_like(w) for w in weights]
    steps, risk, outputs = torch.zeros(k, dtype=torch.long), torch.zeros(k, dtype=x.dtype), x.new_zeros(k, len(y))
    first = torch.zeros(k, dtype=x.dtype)
    for step in range(most + 1):
        slope, f, kernel = gradients(now, x, y, alpha)
        level_now = (f - y).square().mean(1) / 2
        if step == 0:
            first = level_now
        done = (level_now <= level) | torch.full_like(level_now, step == most, dtype=torch.bool)
        if bool(done.any()):
            out = left[done]
            steps[out], risk[out], outputs[out] = step, level_now[done], f[done]
            for layer in range(depth):
                end[layer][out] = now[layer][done]
            left, now, slope, kernel = left[~done], [w[~done] for w in now], [g[~done] for g in slope], kernel[~done]
            if not len(left):
                break
        rate = (1 / kernel).clamp_max(largest) / slower
        squares = torch.stack([g.square().sum((1, 2)) for g in slope], 1)
        explained[left] += rate[:, None] ** 2 * squares
        fallen[left] += rate * squares.sum(1)
        now = [w - rate[:, None, None] * g for w, g in zip(now, slope, strict=True)]
    gone = (first - risk).clamp_min(torch.finfo(x.dtype).tiny)
    return Fitted(end, steps, risk, outputs, explained, fallen / gone)


def span(x: Tensor) -> Tensor:
    """An orthonormal basis ``Q`` ``(d, r)`` of the span of the points ``(n, d)``.

    The first layer moves only there, so ``W_1 Q`` and the points ``x Q`` train as ``W_1`` and ``x`` do, in ``r <= n``
    dimensions instead of ``d``.
    """
    left, sizes, _ = torch.linalg.svd(x.T, full_matrices=False)
    return left[:, sizes > 1e-10 * sizes[0]]
