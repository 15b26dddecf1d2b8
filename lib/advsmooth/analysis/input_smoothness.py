r"""How slowly the gradient of a loss changes in the input, kept apart from how large it is.

Measures for one example each:

- :func:`changes`: over a step ``r``, along the gradient or in a given direction, the *roughness*
  ``|grad l(x+r) - grad l(x)| / |r|``, the difference quotient of which a loss with Lipschitz gradient (constant ``L``)
  has at most ``L``; the *turn*, one minus the cosine between the two gradients; and the *kept gain*, what the step
  gains over what the gradient promised, ``(l(x+r) - l(x)) / (r . grad l(x))``, 1 where the loss is linear.
- :func:`hessian_norms`: the norm of the input Hessian, which for a network of ReLUs is ``J^T (diag p - p p^T) J``
  wherever it exists, ``J`` the Jacobian of the logits and ``p`` their softmax: the logits are linear on each piece, and
  all curvature is that of the softmax. The kinks between the pieces have none, so steps see more than Hessians do.
- :func:`reach`: to first order, the distance to the boundary; large gradients make it small.

Roughness and Hessian of the cross-entropy change with the scale of the logits; turn and kept gain of the margin do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advsmooth.analysis import input_gradient
from advsmooth.attacks import ball
from advsmooth.attacks.ball import Box, Norm
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy


@dataclass(frozen=True)
class Change:
    """What a step along the gradient does, each ``(n,)``, float64; NaN where the gradient or the step is zero.

    Attributes:
        roughness: change of the gradient over the length of the step, both Euclidean, per squared unit of distance.
        turn: one minus the cosine of the gradients before and after, 0 to 2.
        kept: gain over promised gain, without unit.
    """

    roughness: Tensor
    turn: Tensor
    kept: Tensor


def changes(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    radius: float,
    norm: Norm = "linf",
    loss: Loss = cross_entropy,
    directions: Tensor | None = None,
    box: Box = ball.PIXELS,
    batch: int = 256,
) -> Change:
    """The change of the loss and of its input gradient over one step of an attack, in eval mode.

    At the end of an attack's own step the gradient of the cross-entropy is large just where the attack has succeeded,
    so that this roughness is tied to the success by more than smoothness. Directions that do not know the gradient,
    such as :func:`random_signs`, are free of that.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs in the box.
        y: labels.
        radius: length of the step in ``norm``, before clipping to the box.
        norm: in which the step is the steepest: the sign of the gradient, or the gradient itself.
        loss: of each example.
        directions: of the steps, the shape of ``x``, of length 1 in ``norm``; the steepest if not given.
        box: range of the inputs; ``ball.UNBOUNDED`` for toy data.
        batch: examples at a time.

    Raises:
        ValueError: for a radius that is not positive and finite, another norm, or directions of another shape.
    """
    if not 0 < radius < math.inf or norm not in ball.NORMS:
        raise ValueError(f"radius={radius!r}, norm={norm!r}: allowed is a positive radius, and linf or l2")
    if directions is not None and directions.shape != x.shape:
        raise ValueError(f"directions {tuple(directions.shape)}: allowed is the shape of x, {tuple(x.shape)}")
    parts = []
    with frozen(model):
        for rows in torch.arange(len(x), device=x.device).split(batch):
            some, labels = x[rows], y[rows]
            low, before = _slope(model, some, labels, loss)
            way = ball.steepest(before, norm) if directions is None else directions[rows]
            moved = (some + radius * way.to(some.dtype)).clamp(*box)
            high, after = _slope(model, moved, labels, loss)
            step, before, after = ((t.double().flatten(1)) for t in (moved - some, before, after))
            length, sizes = step.norm(dim=1), before.norm(dim=1) * after.norm(dim=1)
            values = (
                (after - before).norm(dim=1) / length,
                1 - (before * after).sum(1) / sizes,
                (high - low) / (step * before).sum(1),
            )
            nowhere = (before.norm(dim=1) == 0) | (length == 0)
            parts.append(torch.stack([v.masked_fill(nowhere | ~v.isfinite(), torch.nan) for v in values]))
    return Change(*torch.cat(parts, 1))


def random_signs(x: Tensor, generator: torch.Generator) -> Tensor:
    """Directions of random entries 1 or -1, the shape of ``x``, as the contours in the artifact of Pang et al. have."""
    bits = torch.randint(0, 2, x.shape, generator=generator, device=generator.device)
    return (2 * bits - 1).to(x)


def _slope(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)``, float64, and their gradients."""
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        losses = loss(model(inputs), y)
        (gradient,) = torch.autograd.grad(losses.sum(), inputs)
    return losses.detach().double(), gradient


def hessian_norms(model: nn.Module, x: Tensor, *, batch: int = 64) -> Tensor:
    """``|J^T (diag p - p p^T) J|`` of each example, ``(n,)``, float64: the input Hessian's norm of a ReLU network.

    Labels do not enter. It has the eigenvalues of ``R J J^T R``, with ``R`` the root of the softmax's matrix, so one
    backward pass for each class gives it exactly. For a network with other activations it is the Gauss-Newton part.

    Args:
        model: piecewise linear up to its logits ``(n, K)``, eval mode.
        x: inputs.
        batch: examples at a time.
    """
    found = []
    with frozen(model), torch.enable_grad():
        for some in x.split(batch):
            inputs = some.detach().clone().requires_grad_()
            logits = model(inputs)
            rows = [torch.autograd.grad(c.sum(), inputs, retain_graph=True)[0] for c in logits.unbind(1)]
            jacobian = torch.stack([r.double().flatten(1) for r in rows], 1)
            p = logits.detach().double().softmax(1)
            softmax = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
            values, vectors = torch.linalg.eigh(softmax)
            root = vectors * values.clamp(min=0).sqrt()[:, None, :]
            inner = root.mT @ (jacobian @ jacobian.mT) @ root
            found.append(torch.linalg.eigvalsh(inner)[:, -1].clamp(min=0))
    return torch.cat(found)


def reach(model: nn.Module, x: Tensor, y: Tensor, loss: Loss, *, norm: Norm = "linf", batch: int = 256) -> Tensor:
    """``-l(x) / |grad l(x)|_*``, ``(n,)``: the distance at which a linear loss would be zero; 0 where it is not below.

    For ``loss=margin`` it is the first-order distance to the best other class, and dividing all logits by a constant
    does not change it. See :func:`advsmooth.analysis.robustness_metrics.first_order_distances` for all classes, in l2.
    """
    with frozen(model), torch.no_grad():
        losses = torch.cat([loss(model(s), t) for s, t in zip(x.split(batch), y.split(batch), strict=True)])
    sizes = input_gradient.loss_gradient_norms(model, x, y, norm=norm, loss=loss, batch=batch)
    return (-losses.double() / sizes.double()).clamp(min=0)
