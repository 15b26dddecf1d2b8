"""Adversarial weight perturbation (AWP) in closed form (Kanai et al., equation 76; Wu et al. 2020).

The worst perturbation of the weights to first order, with ``||v_l|| = gamma ||w_l||`` for every weight tensor, is
``v_l = gamma ||w_l|| / ||g_l|| g_l``, ``g_l`` the gradient of the loss: no proxy network is needed. Norms are Frobenius
norms; only tensors with more than one dimension are perturbed, so biases and normalisation layers stay.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from advsmooth.training.batchnorm import statistics_kept


def perturbation(weights: Sequence[Tensor], gradients: Sequence[Tensor], gamma: float) -> list[Tensor]:
    """``gamma ||w|| / ||g|| g`` for each pair of a weight and its gradient; 0 where the gradient is 0.

    Args:
        weights: tensors of any shapes.
        gradients: of the loss, same shapes.
        gamma: relative size, at least 0.

    Raises:
        ValueError: if ``gamma`` is negative or not finite.
    """
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma={gamma!r}: the relative size of a weight perturbation is a number, at least 0")
    found = []
    for weight, gradient in zip(weights, gradients, strict=True):
        length = gradient.norm()
        scale = torch.where(length > 0, gamma * weight.norm() / length, torch.zeros_like(length))
        found.append(scale * gradient)
    return found


@contextlib.contextmanager
def worst_weights(model: nn.Module, loss: Tensor, gamma: float) -> Iterator[None]:
    """Inside, the weights stand at ``w + v``; afterwards at ``w`` again, bit for bit, also after an error.

    Batch norm keeps its running statistics inside: they come from the pass that made ``loss``. Gradients collected
    inside remain, and the optimiser's step then starts from ``w``: the update of AWP, ``w - lr grad L(w + v)``. Weight
    decay acts on ``w``; in Wu et al.'s code, which steps before it restores, it acts on ``w + v``.

    Args:
        model: its trainable parameters with more than one dimension are perturbed in place.
        loss: scalar with a graph to these parameters; the graph is used up.
        gamma: ``gamma_A`` of Kanai et al., 0.01 or 0.005 there.
    """
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    kept = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight, v in zip(weights, perturbation(kept, found, gamma), strict=True):
                weight.add_(v)
        with statistics_kept(model):
            yield
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)
