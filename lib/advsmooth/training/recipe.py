"""What a training run does: everything that decides its numbers apart from model, data and seed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from advsmooth.attacks.evaluation import Attack
from advsmooth.training.objectives import Objective, Standard
from advsmooth.training.schedules import Drops, Schedule


@dataclass(frozen=True)
class Optimiser:
    """Which optimiser takes the steps, from which time on.

    Attributes:
        kind: an optimiser class of torch or of :mod:`advsmooth.training.entropysgd`.
        options: its arguments apart from the parameters, the learning rate and a generator.
        start: fraction of the total time at which it takes over, with no state. Kanai et al. train SVHN with SGD for 5
            of 200 epochs before EntropySGD: two optimisers, starting at 0 and at 5/200.
    """

    kind: type[Optimizer] = torch.optim.SGD
    options: Mapping[str, Any] = field(default_factory=lambda: {"momentum": 0.9, "weight_decay": 5e-4})
    start: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are Kanai et al.'s, apart from the objective.

    Attributes:
        objective: the loss of a mini-batch.
        epochs: passes over the training split; or ``None`` if ``steps`` is given.
        steps: mini-batches; or ``None`` if ``epochs`` is given.
        batch: examples of a mini-batch; the last of a pass may be smaller.
        drop_last: leave a smaller last mini-batch of each pass out.
        rate: learning rate.
        budget: adversarial budget, pixel scale; ``None`` keeps the objective's own.
        per_step: call the schedules with mini-batches instead of whole epochs.
        optimisers: in order of their start; the first starts at 0. Each Langevin step of EntropySGD takes a mini-batch
            and counts as one.
        awp: relative size of the adversarial weight perturbation, a schedule; ``None`` for none.
        clip: largest norm of the gradient; ``None`` for no clipping.
        augment: from a batch and a generator to a batch, such as :class:`~advsmooth.training.augment.Augmentation`.
        held_out: number of examples set aside for selection.
        validation: attack on the held-out examples. The best model is the one with the highest robust accuracy there,
            or clean accuracy without an attack.
        validate_every: epochs between validations; the last epoch is always validated.
        keep: fractions of the total time at whose ends the weights are kept, such as the ends of
            :class:`~advsmooth.training.schedules.Periodic`.
        bf16: run the network under bfloat16 autocast. Changes results.
        channels_last: use this memory layout for images. Faster on GPUs; changes results by rounding.
        capture: record a training pass as a CUDA graph and replay it; needs ``drop_last``.
        compiled: run the network through ``torch.compile`` in training; on a CPU that needs a C++ compiler, and half a
            minute to begin with. Changes results by rounding.
    """

    objective: Objective = field(default_factory=Standard)
    epochs: int | None = None
    steps: int | None = None
    batch: int = 128
    drop_last: bool = False
    rate: Schedule = field(default_factory=lambda: Drops(0.1))
    budget: Schedule | None = None
    per_step: bool = False
    optimisers: tuple[Optimiser, ...] = (Optimiser(),)
    awp: Schedule | None = None
    clip: float | None = None
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    held_out: int = 0
    validation: Attack | None = None
    validate_every: int = 1
    keep: tuple[float, ...] = ()
    bf16: bool = False
    channels_last: bool = False
    capture: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"epochs={self.epochs!r}, steps={self.steps!r}: give exactly one of the two")
        length = self.epochs if self.epochs is not None else self.steps
        counts = {"epochs or steps": length, "batch": self.batch, "validate_every": self.validate_every}
        for name, value in counts.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}: allowed is an integer, at least 1")
        if not all(0 < fraction <= 1 for fraction in self.keep):
            raise ValueError(f"keep={self.keep!r}: allowed are fractions of the total time, above 0 and at most 1")
        starts = [optimiser.start for optimiser in self.optimisers]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1:
            raise ValueError(f"optimisers starting at {starts}: allowed are increasing fractions below 1, the first 0")
        if self.validation is not None and self.held_out == 0:
            raise ValueError("validation: nothing is held out to attack; give held_out, or leave validation out")
        if self.capture and not self.drop_last:
            raise ValueError("capture=True: a CUDA graph needs batches of one size; use drop_last=True")


def describe(value: Any) -> Any:
    """A recipe, or a part of one, as plain data: what a checkpoint compares."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__qualname__} | {f.name: describe(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, functools.partial):
        return {"type": "partial", "of": describe(value.func), "with": describe([*value.args, value.keywords])}
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return f"{value.__module__}:{value.__qualname__}" if hasattr(value, "__qualname__") else type(value).__qualname__
