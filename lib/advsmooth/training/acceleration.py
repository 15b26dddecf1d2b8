"""What a device may do to a recipe without changing what the recipe means.

On a GPU three things make training faster. Channels-last images change results by rounding. A recorded graph changes
nothing, but records only what stays the same. Bfloat16 changes the gradient, so it is used only where its error stays
far below the noise of the mini-batches: for losses that are differentiated once and optimisers that add no noise of
their own. :func:`accelerated` applies them by these rules and says, for each it leaves out, why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from advsmooth.data import Dataset
from advsmooth.devices import Device
from advsmooth.training.objectives import TRADES, AdversarialTraining, Standard
from advsmooth.training.recipe import Recipe
from advsmooth.training.schedules import Constant

DIFFERENTIATED_ONCE = (Standard, AdversarialTraining, TRADES)
"""Objectives whose gradients bfloat16 makes noisier by at most :data:`BF16_NOISE`."""

WITHOUT_NOISE = (torch.optim.SGD, torch.optim.Adam)
"""Optimisers that only follow the gradient; EntropySGD's Langevin noise is as small as bfloat16's error."""

BF16_NOISE = 0.05
"""How much larger bfloat16 may make the noise of a mini-batch gradient: its error, independent from batch to batch,
adds to the distance between the gradients of two batches in squares. Measured on the digits: under 1 % for LeNets and
fully connected networks; for a ResNet-18 up to 6 % in its first mini-batch, which is above what is allowed, 2 % after
four and under 1 % after thirty."""


@dataclass(frozen=True)
class Accelerated:
    """A recipe with the options of a device.

    Attributes:
        recipe: to train by.
        left_out: why, for each option that the device has and the recipe does not get.
    """

    recipe: Recipe
    left_out: dict[str, str]


def accelerated(recipe: Recipe, data: Dataset, device: Device) -> Accelerated:
    """The recipe with every option of the device that leaves its results alone, as far as the module says.

    Args:
        recipe: how to train; options that it sets itself stay.
        data: what it trains on.
        device: where.
    """
    reasons = {
        "channels_last": "" if data.x.ndim == 4 else "the inputs are no images",
        "bf16": _against_bf16(recipe),
        "capture": _against_capture(recipe, len(data) - recipe.held_out),
    }
    offered = {name: reasons[name] for name in device.options()}
    on: dict[str, Any] = {name: True for name, reason in offered.items() if not reason}
    if "capture" in on:
        on["drop_last"] = True  # there is no smaller last batch, so this drops nothing
    return Accelerated(replace(recipe, **on), {name: reason for name, reason in offered.items() if reason})


def _against_bf16(recipe: Recipe) -> str:
    if not isinstance(recipe.objective, DIFFERENTIATED_ONCE):
        return f"{type(recipe.objective).__name__} is differentiated twice"
    noisy = [spec.kind.__name__ for spec in recipe.optimisers if not issubclass(spec.kind, WITHOUT_NOISE)]
    return f"the noise of {noisy[0]} is as small as its error" if noisy else ""


def _against_capture(recipe: Recipe, examples: int) -> str:
    if not isinstance(recipe.objective, DIFFERENTIATED_ONCE):
        return f"{type(recipe.objective).__name__} has not been recorded yet"
    if getattr(getattr(recipe.objective, "attack", None), "early_stop", False):
        return "the attack looks at each step which examples are broken"
    if not recipe.drop_last and examples % recipe.batch:
        return f"the last of {examples:,} examples are a smaller batch than {recipe.batch}"
    schedules = {"budget": recipe.budget, "awp": recipe.awp}
    moving = [name for name, s in schedules.items() if s is not None and not isinstance(s, Constant)]
    return f"the {moving[0]} changes with every batch" if moving and recipe.per_step else ""
