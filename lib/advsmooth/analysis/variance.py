"""Variance of the gradient of a loss in the parameters, over examples or over mini-batches (Pang et al., section 4.1).

Two quantities go by the name. The plain one is ``E |g_B - g|^2`` over mini-batches ``B``. The authors' artifact of Pang
et al. takes the gradients of 512 single examples, each clipped to norm 5, and adds up over the parameters the standard
deviations of their entries (:meth:`Spread.sum_of_deviations`). Both come from one pass of Welford's recurrence, in
float64, through which the gradients stream.

In eval mode an example's gradient does not depend on the others, and everything follows from the gradients of single
examples (:func:`per_example`): random mini-batches of size ``b`` out of ``n``, without replacement, have
``E |g_B - g|^2 = (n - b) / ((n - 1) b) * E |g_i - g|^2`` (:meth:`Spread.of_batches`). In training, batch norms couple
the examples of a batch, and mini-batches must be drawn (:func:`over_batches`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from advsmooth.analysis.empirical import batches
from advsmooth.analysis.parameter_space import Point, buffers, flat, point
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy

ARTIFACT_CLIP = 5.0
"""Norm to which the artifact of Pang et al. clips the gradient of each example."""


class Welford:
    """Running mean and sum of squared deviations of vectors, in float64 (Welford 1962; Chan et al. 1983 for blocks).

    Attributes:
        count: how many vectors have been seen.
        mean: their mean, ``(P,)``.
        deviations: sum of the squared deviations from it, ``(P,)``.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        self.count = 0
        self.mean = torch.zeros(size, dtype=torch.float64, device=device)
        self.deviations = torch.zeros_like(self.mean)

    def update(self, block: Tensor) -> None:
        """Add the rows of ``block (k, P)``."""
        block = block.double()
        mean = block.mean(0)
        together = self.count + len(block)
        shift = mean - self.mean
        self.deviations += (block - mean).square().sum(0) + shift.square() * (self.count * len(block) / together)
        self.mean += shift * (len(block) / together)
        self.count = together

    def spread(self) -> Spread:
        """What has been seen so far."""
        return Spread(self.count, self.mean.clone(), self.deviations / max(self.count, 1))


@dataclass(frozen=True)
class Spread:
    """Mean and variance of gradients, entry by entry.

    Attributes:
        count: number of gradients.
        mean: ``(P,)``, float64.
        variance: mean squared deviation from it (divided by ``count``), ``(P,)``, float64.
    """

    count: int
    mean: Tensor
    variance: Tensor

    def total(self) -> float:
        """``E |g_i - g|^2`` over the gradients seen, ``g`` their mean: the variance of a finite population."""
        return self.variance.sum().item()

    def unbiased_total(self) -> float:
        """:meth:`total` with division by ``count - 1``: unbiased if the gradients are independent draws."""
        return self.total() * self._bessel()

    def of_batches(self, size: int) -> float:
        """``E |g_B - g|^2`` over all mini-batches of ``size`` without replacement, if all examples were seen singly.

        Raises:
            ValueError: for a size below 1 or above the number of examples.
        """
        if not 1 <= size <= self.count:
            raise ValueError(f"size={size!r}: allowed is 1 to the number of examples, {self.count}")
        return self.total() * (self.count - size) / (max(self.count - 1, 1) * size)

    def sum_of_deviations(self) -> float:
        """The artifact's estimator: the standard deviations (divided by ``count - 1``) added up over the entries."""
        return (self.variance * self._bessel()).sqrt().sum().item()

    def _bessel(self) -> float:
        if self.count < 2:
            raise ValueError(f"count={self.count}: an unbiased variance needs at least 2 gradients")
        return self.count / (self.count - 1)


def per_example(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    loss: Loss = cross_entropy,
    only: Collection[str] | None = None,
    clip: float = math.inf,
    at_once: int = 64,
) -> Spread:
    """The spread of the gradients of single examples, in eval mode.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs.
        y: labels.
        loss: per example.
        only: names of the parameters to differentiate in; all if not given.
        clip: a gradient with a larger norm (over all parameters together) is scaled down to this one;
            :data:`ARTIFACT_CLIP` for the artifact's estimator.
        at_once: gradients in memory at a time, each as large as the parameters; it changes only rounding.

    Raises:
        ValueError: if ``clip`` is not positive.
    """
    seen: Welford | None = None
    for block in example_gradients(model, x, y, loss=loss, only=only, at_once=at_once):
        seen = seen or Welford(block.shape[1], x.device)
        seen.update(clipped(block, clip))
    assert seen is not None  # no examples are refused
    return seen.spread()


def example_gradients(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    loss: Loss = cross_entropy,
    only: Collection[str] | None = None,
    at_once: int = 64,
) -> Iterator[Tensor]:
    """The gradients of single examples, in eval mode: blocks ``(k, P)``, float64. Arguments: :func:`per_example`."""
    place, fixed = point(model, only), {**point(model), **buffers(model)}

    def single(moving: Point, example: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(model, {**fixed, **moving}, (example[None],))
        return loss(logits, label[None])[0]

    gradients = torch.func.vmap(torch.func.grad(single), in_dims=(None, 0, 0))
    for some, labels in batches(x, y, at_once):
        with frozen(model):
            found = gradients(place, some, labels)
        yield torch.cat([g.flatten(1) for g in found.values()], dim=1).double()


def clipped(rows: Tensor, clip: float) -> Tensor:
    """The rows of ``(k, P)``, those of a norm above ``clip`` scaled down to it.

    Raises:
        ValueError: if ``clip`` is not positive.
    """
    if not clip > 0:
        raise ValueError(f"clip={clip!r}: allowed is a positive norm, or infinity for none")
    norm = rows.norm(dim=1, keepdim=True)
    return torch.where(norm > clip, rows * (clip / norm), rows)


def over_batches(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    size: int,
    draws: int,
    generator: torch.Generator,
    loss: Loss = cross_entropy,
    only: Collection[str] | None = None,
    batch_statistics: bool = False,
) -> Spread:
    """The spread of mini-batch gradients; its :meth:`Spread.unbiased_total` estimates ``E |g_B - g|^2``.

    Args:
        model: maps ``(n, ...)`` to logits; left as found, running statistics included.
        x: inputs; each mini-batch is drawn from all of them without replacement.
        y: labels.
        size: examples of a mini-batch.
        draws: how many mini-batches, each drawn anew.
        generator: for the draws.
        loss: per example.
        only: names of the parameters to differentiate in; all if not given.
        batch_statistics: whether batch norms take the statistics of the mini-batch, as in training. Everything else
            is in eval mode in any case.

    Raises:
        ValueError: for a ``size`` or number of ``draws`` that is not allowed.
    """
    if draws < 2 or not 1 <= size <= len(x):
        raise ValueError(f"size={size!r}, draws={draws!r}: allowed is 1 <= size <= {len(x)} and at least 2 draws")
    place, everything = point(model, only), point(model)

    def mean(moving: Point, some: Tensor, labels: Tensor) -> Tensor:
        # Fresh copies of the running statistics: a forward pass in train mode writes into them.
        logits = torch.func.functional_call(model, {**everything, **buffers(model), **moving}, (some,))
        return loss(logits, labels).mean()

    gradient = torch.func.grad(mean)
    seen = Welford(sum(value.numel() for value in place.values()), x.device)
    with frozen(model):
        for norm in model.modules():
            norm.training = batch_statistics and isinstance(norm, _BatchNorm)
        for _ in range(draws):
            drawn = torch.randperm(len(x), generator=generator, device=generator.device)[:size].to(x.device)
            seen.update(flat(gradient(place, x[drawn], y[drawn]))[None])
    return seen.spread()
