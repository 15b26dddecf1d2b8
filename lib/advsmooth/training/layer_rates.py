"""Training the ReLU network of Zhu et al. 2022 with its own learning rate in every layer (lemma 3).

The steps are those of torch's own SGD and Adam, one parameter group a layer. The weights may be stacked along a first
axis: then many networks are trained side by side, and a loss that sums over them keeps them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

Loss = Callable[[list[Tensor], int], Tensor]
"""Weights and number of the step to the loss, a scalar; a mini-batch loss picks its examples by the step."""


def outputs(weights: Sequence[Tensor], x: Tensor, alpha: float = 1.0) -> Tensor:
    """``f(x)`` for weights ``(..., rows, columns)`` and points ``(n, d)`` or ``(..., n, d)``; ``(..., n, o)``."""
    for weight in weights[:-1]:
        x = torch.relu(x @ weight.mT)
    return x @ weights[-1].mT / alpha


def gradients(weights: Sequence[Tensor], x: Tensor, alpha: float = 1.0) -> Tensor:
    """``grad_x f`` of one-output networks ``(networks, rows, columns)`` at points ``(n, d)``: ``(networks, n, d)``.

    Raises:
        ValueError: if the networks have more than one output.
    """
    if weights[-1].shape[-2] != 1:
        raise ValueError(f"{weights[-1].shape[-2]} outputs: allowed is 1; for more see advsmooth.models.fcn.jacobian")
    points = x.expand(weights[0].shape[0], *x.shape).clone().requires_grad_()
    return torch.autograd.grad(outputs(weights, points, alpha).sum(), points)[0]


def descend(
    weights: Sequence[Tensor],
    loss: Loss,
    rates: Sequence[float],
    at: Iterable[int],
    *,
    optimiser: str = "sgd",
    momentum: float = 0.0,
    decays: Sequence[float] | None = None,
    guards: Sequence[float] | None = None,
) -> Iterator[tuple[int, list[Tensor]]]:
    """Train copies of the weights and yield them after so many steps.

    Args:
        weights: the first weights, not changed.
        loss: see :data:`Loss`.
        rates: learning rate of each layer.
        at: numbers of steps, increasing, 0 for the start.
        optimiser: ``sgd`` or ``adam``.
        momentum: of SGD.
        decays: weight decay of each layer, added to the gradient.
        guards: ``eps`` of Adam of each layer, 1e-8 if not given.

    Yields:
        The number of steps, and copies of the weights.

    Raises:
        ValueError: for an unknown optimiser, or a number of rates that is not that of the layers.
    """
    if optimiser not in ("sgd", "adam"):
        raise ValueError(f"optimiser={optimiser!r}: allowed is 'sgd' or 'adam'")
    if len(rates) != len(weights):
        raise ValueError(f"rates={list(rates)!r}: allowed is one for each of the {len(weights)} layers")
    own = [weight.detach().clone().requires_grad_() for weight in weights]
    zero, guard = [0.0] * len(own), [1e-8] * len(own)
    groups = [
        {"params": [w], "lr": rate, "weight_decay": decay} | ({"eps": eps} if optimiser == "adam" else {})
        for w, rate, decay, eps in zip(own, rates, decays or zero, guards or guard, strict=True)
    ]
    steps = torch.optim.Adam(groups) if optimiser == "adam" else torch.optim.SGD(groups, lr=0.0, momentum=momentum)
    done = 0
    for stop in at:
        for step in range(done, stop):
            steps.zero_grad()
            loss(own, step).backward()
            steps.step()
        done = stop
        yield done, [weight.detach().clone() for weight in own]
