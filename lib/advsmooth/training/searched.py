"""Searched and hand-made networks of one size, and the recipe they share (Pang et al. 2022).

Pang et al. compare networks found by an architecture search with networks designed by hand, "adapted to be comparable"
in size (artifact). Here every architecture is scaled to about the same number of parameters, small enough for a CPU.
The genotypes, and the remedies DARTS-i to DARTS-iii, are those of :mod:`advsmooth.models.cells`. The hand-made side has
relatives of the artifact's networks that can be made so small, and one without batch norm.

The recipe is the artifact's in kind: SGD, a rate that falls (here to zero along a cosine), gradients clipped to norm 5.
Momentum and weight decay are DARTS's (Liu et al. 2019). The artifact trains for 200 epochs on CIFAR-10 at a rate of
0.025 and mini-batches of 96; with a few hundred steps that leaves half of these networks at their start. Here the rate
is 0.1 and a mini-batch has 48 examples, for all alike, chosen on a seed that no page uses. Cutout is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from advsmooth.data import Dataset
from advsmooth.models import registry
from advsmooth.models.arguments import one_of
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.runs import Run
from advsmooth.training.schedules import Cosine

Kind = Literal["searched", "random", "remedy", "manual"]

BATCH, RATE, CLIP, MOMENTUM, WEIGHT_DECAY = 48, 0.1, 5.0, 0.9, 3e-4
CELLS = 5
"""Cells of a searched network: normal, reduction, normal, reduction, normal."""
KEPT = (0.125, 0.25, 0.5)
"""Fractions of the training at whose ends the weights are kept, beside those of the last step."""
TOLERANCE = 0.2
"""Allowed difference in size. The widths of networks this small are whole numbers far apart."""


@dataclass(frozen=True)
class Architecture:
    """One architecture of the comparison.

    Attributes:
        name: as figures show it.
        kind: ``searched``, ``random`` (cells drawn at random), ``remedy`` (DARTS, changed) or ``manual``.
        network: a name of :mod:`advsmooth.models.registry`.
        scaled: the argument that sets its size.
        arguments: the other arguments.
    """

    name: str
    kind: Kind
    network: str
    scaled: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def sized(self, shape: Sequence[int], classes: int, parameters: int) -> dict[str, Any]:
        """Its arguments at a size of about ``parameters``.

        Raises:
            ValueError: if no width comes within :data:`TOLERANCE` of it.
        """
        width = registry.width_of_size(
            self.network,
            parameters,
            argument=self.scaled,
            in_shape=shape,
            classes=classes,
            tolerance=TOLERANCE,
            at_least=2 if self.network == "cells" else 1,
            at_most=256,
            **self.arguments,
        )
        return {**self.arguments, self.scaled: width}


def _cells(name: str, kind: Kind, genotype: str) -> Architecture:
    return Architecture(name, kind, "cells", "width", {"genotype": genotype, "cells": CELLS})


FAMILY: Mapping[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        _cells("DARTS", "searched", "DARTS_V2"),
        _cells("DARTS (1st order)", "searched", "DARTS_V1"),
        _cells("PC-DARTS", "searched", "PC_DARTS_cifar"),
        _cells("NASNet", "searched", "NASNet"),
        _cells("AmoebaNet", "searched", "AmoebaNet"),
        _cells("random cell 0", "random", "random:0"),
        _cells("random cell 1", "random", "random:1"),
        _cells("DARTS-i (deeper)", "remedy", "DARTS-i"),
        _cells("DARTS-ii (no skips)", "remedy", "DARTS-ii"),
        _cells("DARTS-iii (both)", "remedy", "DARTS-iii"),
        Architecture("ResNet-20", "manual", "resnet", "width", {"depth": 20}),
        Architecture(
            "PreActResNet-14",
            "manual",
            "resnet",
            "width",
            {"depth": 14, "block": "preactivation", "shortcut": "projection"},
        ),
        Architecture("VGG-7", "manual", "vgg13", "width", {"blocks": 3}),
        Architecture("ResNeXt-16", "manual", "resnext", "width", {"blocks": 2}),
        Architecture("LeNet", "manual", "lenet", "w"),
    )
}
"""The architectures by name. LeNet has no batch norm."""


def names(*kinds: Kind) -> list[str]:
    """The names of :data:`FAMILY` of some kinds, in its order; all without arguments."""
    return [name for name, architecture in FAMILY.items() if not kinds or architecture.kind in kinds]


def kind(name: str) -> Kind:
    """The kind of an architecture.

    Raises:
        ValueError: for an unknown name; the message has the nearest one.
    """
    return FAMILY[one_of("architecture", name, FAMILY)].kind


def recipe(epochs: int, *, rate: float = RATE) -> Recipe:
    """The recipe they share; see the head of this module. The weights after :data:`KEPT` of the time are kept."""
    sgd = Optimiser(torch.optim.SGD, {"momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY})
    return Recipe(epochs=epochs, batch=BATCH, rate=Cosine(rate), optimisers=(sgd,), clip=CLIP, per_step=True, keep=KEPT)


def run(name: str, images: Dataset, *, epochs: int, parameters: int, seed: int) -> Run:
    """The training of one architecture at a size, for :func:`advsmooth.training.runs.trained`.

    Args:
        name: one of :data:`FAMILY`.
        images: training data.
        epochs: passes over them.
        parameters: size wanted.
        seed: of the first weights and of the training.

    Raises:
        ValueError: for an unknown name, or a size that the architecture cannot have.
    """
    architecture = FAMILY[one_of("architecture", name, FAMILY)]
    arguments = architecture.sized(images.shape, len(images.class_names), parameters)
    return Run(architecture.network, arguments, images, recipe(epochs), seed)
