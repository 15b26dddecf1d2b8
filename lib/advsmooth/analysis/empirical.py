"""The empirical loss of a model: its mean over data, clean or under attack, batch by batch.

Losses are those of :mod:`advsmooth.attacks.losses`: functions of logits ``(n, K)`` and labels ``(n,)`` with one value
per example, ``(n,)``. Models are evaluated in eval mode; their flags are left as found and their parameters receive no
gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy, succeeded


class Attack(Protocol):
    """Inputs in, perturbed inputs of the same shape out, as in :mod:`advsmooth.attacks`."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Perturbed inputs, detached."""
        ...


def zero_one(logits: Tensor, y: Tensor) -> Tensor:
    """1 where the largest logit is not the label's, else 0; its mean is the error. Shape ``(n,)``."""
    return succeeded(logits, y).to(logits.dtype)


def batches(x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels, ``size`` at a time, in order.

    Raises:
        ValueError: for no examples, different numbers of inputs and labels, or a size below 1.
    """
    if len(x) == 0 or len(x) != len(y) or size < 1:
        raise ValueError(f"{len(x)} inputs, {len(y)} labels, batch={size}: allowed is equally many, at least 1 of each")
    return zip(x.split(size), y.split(size), strict=True)


def adversarial_examples(
    model: nn.Module, attack: Attack, x: Tensor, y: Tensor, *, seed: int = 0, batch: int = 1024
) -> Tensor:
    """What an attack makes of inputs ``(n, ...)``, in batches; the same for the same seed and batch size.

    The attack's random numbers come from a fresh generator on the device of ``x``.
    """
    generator = settings.generator(seed, str(x.device))
    with frozen(model):
        parts = [attack(model, some, labels, generator=generator) for some, labels in batches(x, y, batch)]
    return torch.cat(parts).detach()


def example_losses(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    loss: Loss = cross_entropy,
    attack: Attack | None = None,
    seed: int = 0,
    batch: int = 1024,
) -> Tensor:
    """The loss of each example, ``(n,)`` in the dtype of the logits.

    Args:
        model: maps ``(n, ...)`` to logits ``(n, K)``.
        x: inputs, on the device of the model.
        y: labels, int64.
        loss: per example.
        attack: if given, the loss at the adversarial examples it finds for this very model.
        seed: of the attack.
        batch: examples at a time.
    """
    x = x if attack is None else adversarial_examples(model, attack, x, y, seed=seed, batch=batch)
    with frozen(model), torch.no_grad():
        return torch.cat([loss(model(some), labels) for some, labels in batches(x, y, batch)])


def mean_loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    loss: Loss = cross_entropy,
    attack: Attack | None = None,
    seed: int = 0,
    batch: int = 1024,
) -> float:
    """The mean of :func:`example_losses`, added up in float64."""
    return example_losses(model, x, y, loss=loss, attack=attack, seed=seed, batch=batch).double().mean().item()
