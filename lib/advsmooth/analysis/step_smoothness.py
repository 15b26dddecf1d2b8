"""The smoothness of a training loss at the scale of its own steps (Kanai et al., appendix F.2.2).

A gradient step of rate ``h`` goes from ``w`` to ``w - h g`` with ``g`` the gradient of the loss at ``w``. The *change*
``||grad L(w - h g) - grad L(w)|| / ||g||`` says how much of the gradient is news after one step; it is ``h`` times the
difference quotient of the gradient along the step, of which a ``C``-smooth loss has at most ``C``. Over a range of
rates it grows in proportion to ``h`` where the loss is smooth, and stays where the gradient jumps within the step.

An adversarial loss is differentiated at examples that are found for the parameters: after the step they are either
found *anew*, as in training, or *frozen*, left as they were. What the two differ by comes from the adversary.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from advsmooth import settings
from advsmooth.analysis.parameter_space import Point, length, point, shifted, standing_at


class Objective(Protocol):
    """A loss in two stages, as those of training are."""

    def inner(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The inputs of the second stage, constants."""

    def outer(self, model: nn.Module, x: Tensor, moved: Tensor, y: Tensor) -> Any:
        """Something with a scalar ``loss``."""


def gradient(model: nn.Module, objective: Objective, x: Tensor, moved: Tensor, y: Tensor) -> Point:
    """The gradient of the outer loss in the parameters, in the mode the model is in; none is stored in them."""
    named = dict(model.named_parameters())
    with torch.enable_grad():
        loss = objective.outer(model, x, moved, y).loss
        found = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(named, found, strict=True))


def changes(
    model: nn.Module, objective: Objective, x: Tensor, y: Tensor, rates: Sequence[float], *, seed: int = 0
) -> pd.DataFrame:
    """How much the gradient of one mini-batch changes over one gradient step, for several rates (see the module).

    As in training: the outer stage in train mode, with the statistics of the mini-batch in batch norms, the inner one
    in whatever mode the objective chooses; random starts are the same before and after the step. The model is copied.

    Args:
        model: at the parameters to start from.
        objective: the loss.
        x: inputs of the mini-batch.
        y: its labels.
        rates: lengths of the step, as multiples of the gradient.
        seed: of the inner stage.

    Returns:
        One row per rate: ``rate``, ``gradient_norm`` (before the step), ``frozen`` and ``anew``.

    Raises:
        ValueError: if the gradient is zero or not finite, or a rate is not positive.
    """
    if not rates or not all(rate > 0 for rate in rates):
        raise ValueError(f"rates={list(rates)!r}: allowed are positive numbers, at least one")
    model = _as_in_training(model)

    def worst() -> Tensor:
        return objective.inner(model, x, y, settings.generator(seed, str(x.device)))

    moved = worst()
    here, start = gradient(model, objective, x, moved, y), point(model)
    size = length(here)
    if not 0 < size < float("inf"):
        raise ValueError(f"gradient of norm {size}: there is no step to take")

    def change(examples: Tensor) -> float:
        there = gradient(model, objective, x, examples, y)
        return length({name: there[name] - here[name] for name in here}) / size

    rows = []
    for rate in rates:
        with standing_at(model, shifted(start, (-rate, here))):
            rows.append((rate, size, change(moved), change(worst())))
    return pd.DataFrame(rows, columns=["rate", "gradient_norm", "frozen", "anew"])


def along(
    model: nn.Module,
    states: Mapping[int, Mapping[str, Tensor]],
    objective: Objective,
    x: Tensor,
    y: Tensor,
    rates: Sequence[float],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """:func:`changes` at several weights of one training.

    Args:
        model: of the right shape; not touched.
        states: state dicts, buffers included, by epoch.
        objective: as of :func:`changes`, like all further arguments.
        x: inputs.
        y: labels.
        rates: lengths of the step.
        seed: of the inner stage.

    Returns:
        The rows of :func:`changes` with a column ``epoch``.
    """
    moving, parts = copy.deepcopy(model), []
    for epoch, state in states.items():
        moving.load_state_dict(dict(state))
        parts.append(changes(moving, objective, x, y, rates, seed=seed).assign(epoch=epoch))
    return pd.concat(parts, ignore_index=True)


def exponent(rates: Sequence[float], values: Sequence[float]) -> float:
    """The least-squares slope of ``log value`` against ``log rate``: 1 where the change is in proportion to the step.

    Raises:
        ValueError: for fewer than two rates, or a value that is not positive.
    """
    if len(set(rates)) < 2 or len(rates) != len(values) or not min(*rates, *values) > 0:
        raise ValueError(f"rates={list(rates)!r}, values={list(values)!r}: allowed are two or more, all positive")
    return float(np.polyfit(np.log(rates), np.log(values), 1)[0])


def distance(model: nn.Module, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """The Euclidean distance between two state dicts of a model, over its parameters; buffers do not count."""
    names = [name for name, _ in model.named_parameters()]
    return length({name: second[name].double() - first[name].double() for name in names})


def _as_in_training(model: nn.Module) -> nn.Module:
    """A copy in train mode whose batch norms use the statistics of the batch and leave the running ones alone."""
    model = copy.deepcopy(model).train()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 0.0
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model
