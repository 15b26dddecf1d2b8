"""The variance of the gradient of one network, by the readings that the text allows (Pang et al., section 4.1).

No definition survives in the text at hand. :func:`measure` gives, by name:

======================  ============================================================================================
``batches``             ``E |g_B - g|^2`` over mini-batches, batch norms with the statistics of each, as in training
``batches, signal``     ``|g|^2``, unbiased (it may come out below zero)
``batches, square``     ``E |g_B|^2``
``reliability``         the share of ``E |g_B|^2`` that is ``|g|^2``, from 0 to 1
``examples``            ``E |g_i - g|^2`` over single held-out examples, eval mode
``examples, signal``    ``|g|^2``
``artifact``            the authors' artifact: standard deviations of the entries of clipped gradients, added up
``artifact, free``      the same without clipping
``clipped``             share of the examples whose gradient is clipped
``bound``               what clipping allows ``artifact`` at most (:mod:`advsmooth.theory.clipped_gradients`)
``raw ...``             those of single examples with the running statistics a fresh network starts with, 0 and 1
``he ...``              the raw ones after all convolutions are drawn anew by He's rule; ``default ...``: by PyTorch's
``parameters``          how many there are
======================  ============================================================================================

A fresh network's running statistics are estimated on the images at hand, but for ``raw``.

As in the artifact, single examples are held-out ones; mini-batches are of training images, those of the stochastic
gradient. The reliability is 1 where every mini-batch has the gradient of all examples, 0 where they have nothing in
common. Unlike a variance it is the same for a loss in another unit.
"""

from __future__ import annotations

import copy
import math

from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import searched_study
from advsmooth.analysis.connectivity import reestimate_batch_norm
from advsmooth.analysis.variance import ARTIFACT_CLIP, Welford, clipped, example_gradients, over_batches
from advsmooth.data import Dataset
from advsmooth.theory.clipped_gradients import largest_sum_of_deviations

RULES = ("he", "default")
"""Rules by which :func:`reinitialised` draws convolutions."""


def measure(
    model: nn.Module,
    images: Dataset,
    held_out: Dataset,
    *,
    fresh: bool,
    batch: int,
    draws: int,
    seed: int = 0,
) -> dict[str, float]:
    """The numbers in the head of this module.

    Args:
        model: the network; its running statistics are estimated anew if it is ``fresh``.
        images: training images, from all of which mini-batches are drawn.
        held_out: images that are differentiated singly.
        fresh: whether it is not trained yet; only then is there a ``raw`` reading.
        batch: images of a mini-batch.
        draws: mini-batches.
        seed: of the draws.
    """
    found: dict[str, float] = {}
    if fresh:
        drawn = {rule: reinitialised(model, rule, seed) for rule in RULES}
        for name, network in {"raw": model, **drawn}.items():
            found |= {f"{name} {key}": value for key, value in by_example(network, held_out).items()}
        reestimate_batch_norm(model, images.x)
    found |= by_example(model, held_out)
    generator = settings.generator(seed, str(images.x.device))
    spread = over_batches(
        model, images.x, images.y, size=batch, draws=draws, generator=generator, batch_statistics=True
    )
    noise = spread.unbiased_total()
    square = spread.mean.square().sum().item() + spread.total()
    return found | {
        "batches": noise,
        "batches, signal": square - noise,
        "batches, square": square,
        "reliability": min(max(1 - noise / square, 0.0), 1.0),
        "parameters": float(len(spread.mean)),
    }


def by_example(model: nn.Module, images: Dataset) -> dict[str, float]:
    """The readings of single examples, all from one pass over their gradients."""
    free: Welford | None = None
    held: Welford | None = None
    binding = 0
    for block in example_gradients(model, images.x, images.y):
        free, held = free or Welford(block.shape[1], block.device), held or Welford(block.shape[1], block.device)
        free.update(block)
        held.update(clipped(block, ARTIFACT_CLIP))
        binding += int((block.norm(dim=1) > ARTIFACT_CLIP).sum())
    assert free is not None  # a set without images is refused
    assert held is not None
    spread = free.spread()
    return {
        "examples": spread.total(),
        "examples, signal": spread.mean.square().sum().item(),
        "artifact": held.spread().sum_of_deviations(),
        "artifact, free": spread.sum_of_deviations(),
        "clipped": binding / len(images),
        "bound": largest_sum_of_deviations(len(spread.mean), ARTIFACT_CLIP, len(images)),
    }


def reinitialised(model: nn.Module, rule: str, seed: int) -> nn.Module:
    """A copy with its convolutions drawn anew: ``he`` (normal, fan-out) or ``default`` (PyTorch's uniform rule).

    Raises:
        ValueError: for another rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}: allowed is {' or '.join(RULES)}")
    model, generator = copy.deepcopy(model), settings.generator(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            if rule == "he":
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            else:
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
    return model


def replay(seed: int = 0, images: int = 96) -> dict[str, float]:
    """Two small trainings on digits, measured before and after; a record runs it again when the code has changed.

    Args:
        seed: of the networks and the draws.
        images: of the digits.
    """
    digits = data.load("digits", "train").take(images, seed=0)

    def measured(model: nn.Module, time: float, seed: int) -> dict[str, float]:
        return measure(model, digits, digits.take(16), fresh=time == 0, batch=16, draws=3, seed=seed)

    return searched_study.replayed(measured, digits, seed)
