"""One outer step of EntropySGD on its own, to see what its ingredients do (Kanai et al., section 2.2, algorithm 1)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.training.entropysgd import EntropySGD
from advsmooth.training.objectives import Objective


def outer_step(
    model: nn.Module,
    objective: Objective,
    x: Tensor,
    y: Tensor,
    *,
    batch: int = 128,
    seed: int = 0,
    **options: Any,
) -> Tensor:
    """Where one outer step goes from the weights of a model.

    Mini-batches are taken from ``x`` in order, from the start again when it ends; the model is copied.

    Args:
        model: at the weights to start from; used in train mode.
        objective: the loss.
        x: inputs ``(n, ...)``.
        y: labels ``(n,)``.
        batch: examples of a mini-batch.
        seed: of the attacks and of the noise, a generator each.
        options: of :class:`~advsmooth.training.entropysgd.EntropySGD`.

    Returns:
        The change of all parameters as one vector ``(P,)``.
    """
    model = copy.deepcopy(model).train()
    attack, noise = settings.generator(seed, str(x.device)), settings.generator(seed + 1, str(x.device))
    optimiser = EntropySGD(model.parameters(), generator=noise, **options)
    pairs = list(zip(x.split(batch), y.split(batch), strict=True))
    drawn = 0

    def closure() -> Tensor:
        nonlocal drawn
        images, labels = pairs[drawn % len(pairs)]
        drawn += 1
        optimiser.zero_grad()
        loss = objective(model, images, labels, generator=attack)
        loss.backward()
        return loss.detach()

    before = flat(model)
    optimiser.step(closure)
    return flat(model) - before


def flat(model: nn.Module) -> Tensor:
    """A copy of all parameters in one vector, whatever their memory layout."""
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])
