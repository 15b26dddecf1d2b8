r"""Fully connected networks on [0, 1] trained on the Lipschitz-regularised loss of a sample, many at once.

The loss is that of the exact problem of :mod:`advsmooth.theory.regularised` on the line: the mean of ``(u_i - y_i)^2``
plus ``price`` times the largest difference quotient between neighbouring data. (Equation 2.9 of Finlay et al. takes
gradients of the *loss* at the data instead, which vanish wherever the fit is exact.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from advsmooth.models import fcn


@dataclass(frozen=True)
class Trained:
    """Networks after training.

    Attributes:
        weights: stacked, as :func:`advsmooth.models.fcn.draw_weights` makes them.
        objective: the regularised loss of each on its own sample, ``(networks,)``, float64.
    """

    weights: list[Tensor]
    objective: Tensor

    def __call__(self, at: Tensor) -> Tensor:
        """Values at points ``(k,)``, float64; ``(networks, k)``."""
        with torch.no_grad():
            return _values(self.weights, at.expand(len(self.weights[0]), -1))


def _values(weights: list[Tensor], x: Tensor) -> Tensor:
    """Network ``i`` at ``x[i]``: the input is ``(x, 1)``, since the network has no biases."""
    inputs = torch.stack([2 * x - 1, torch.ones_like(x)], dim=-1)
    state = inputs
    for weight in weights[:-1]:
        state = torch.baddbmm(state.new_zeros(1), state, weight.transpose(1, 2)).relu()
    return (state @ weights[-1].transpose(1, 2))[..., 0]


def regularised_loss(u: Tensor, x: Tensor, y: Tensor, count: Tensor, price: float) -> Tensor:
    """The regularised loss of values ``u`` of each network, ``(networks,)``.

    Args:
        u: values ``(networks, k)``.
        x: sorted data ``(networks, k)``; those from ``count`` on are padding.
        y: labels ``(networks, k)``.
        count: sizes of the samples ``(networks,)``.
        price: ``lambda``.
    """
    place = torch.arange(x.shape[1])
    used = (place < count[:, None]).to(u.dtype)
    fit = (used * (u - y).square()).sum(1) / count
    run = x.diff(dim=1)
    apart = (place[1:] < count[:, None]) & (run > 0)
    quotient = torch.where(apart, u.diff(dim=1) / torch.where(apart, run, 1.0), 0.0)
    return fit + price * quotient.abs().amax(1)


def train(
    samples: list[tuple[Tensor, Tensor]], price: float, *, depth: int, width: int, steps: int, rate: float, seed: int
) -> Trained:
    """Train one network a sample by Adam on the full sample; the rate falls to zero along a cosine.

    In double precision, so that rounding, which differs between machines, does not grow into another result.

    Args:
        samples: data and labels, ``(n,)`` each, float64; sizes may differ.
        price: ``lambda``.
        depth: layers with weights, at least 2.
        width: of the hidden layers.
        steps: of Adam.
        rate: its first learning rate.
        seed: of the initial weights.
    """
    longest = max(len(x) for x, _ in samples)
    data = torch.zeros(2, len(samples), longest, dtype=torch.float64)
    for row, (x, y) in enumerate(samples):
        order = x.argsort()
        data[0, row], data[1, row] = x.max(), 0.0
        data[0, row, : len(x)], data[1, row, : len(x)] = x[order], y[order]
    x, y = data
    count = torch.tensor([len(one) for one, _ in samples])
    drawn = fcn.draw_weights(2, width, 1, depth, "he", seed, networks=len(samples), dtype=torch.float64)
    weights = [weight.requires_grad_() for weight in drawn]
    adam = torch.optim.Adam(weights, lr=rate)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        adam.zero_grad(set_to_none=True)
        regularised_loss(_values(weights, x), x, y, count, price).sum().backward()
        adam.step()
        plan.step()
    with torch.no_grad():
        reached = regularised_loss(_values(weights, x), x, y, count, price)
    return Trained([weight.detach() for weight in weights], reached)
