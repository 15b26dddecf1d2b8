"""A training run at its start and at its end (Liu et al. 2020, figures 1 and 8), and the networks that never start."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth.analysis.empirical import batches
from advsmooth.analysis.parameter_space import length, point
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy

MARGIN = 0.1
"""By how much a network must beat a constant classifier to count as one that has learned something."""


def phases(steps: pd.DataFrame, first: int, bins: int) -> pd.DataFrame:
    """The first and the last ``first`` mini-batches of a run, averaged in bins.

    Args:
        steps: a row per mini-batch with ``accuracy`` (at the inputs trained on) and ``gradient_norm``, as of
            :class:`advsmooth.training.loop.Trained`.
        first: mini-batches of each phase.
        bins: of each phase, of equal size.

    Returns:
        A row per phase and bin: ``phase`` (``first`` or ``last``), ``step`` (the middle of the bin, counted from the
        start of the phase), ``gradient_norm`` and ``robust_error``.

    Raises:
        ValueError: if the run is shorter than a phase, or the bins are not of equal size.
    """
    if not 1 <= bins <= first <= len(steps) or first % bins:
        raise ValueError(
            f"first={first}, bins={bins}: allowed is at most {len(steps)} mini-batches, in bins of equal size"
        )
    size = first // bins
    parts = []
    for phase, part in (("first", steps.iloc[:first]), ("last", steps.iloc[-first:])):
        means = part[["gradient_norm", "accuracy"]].to_numpy().reshape(bins, size, 2).mean(1)
        middle = [(k + 0.5) * size for k in range(bins)]
        parts.append(
            pd.DataFrame(
                {"phase": phase, "step": middle, "gradient_norm": means[:, 0], "robust_error": 1 - means[:, 1]}
            )
        )
    return pd.concat(parts, ignore_index=True)


def gradient_norm(model: nn.Module, x: Tensor, y: Tensor, *, loss: Loss = cross_entropy, batch: int = 1024) -> float:
    """The norm of the gradient of the mean loss over all of ``x``, in the parameters, eval mode.

    The norm of a mini-batch gradient never vanishes, for the examples of a batch do not cancel; this one is zero at a
    minimum. No parameter receives a gradient.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs, clean or adversarial; constants.
        y: labels.
        loss: per example.
        batch: examples at a time.
    """
    here = {name: value.requires_grad_() for name, value in point(model).items()}
    summed = {name: torch.zeros_like(value) for name, value in here.items()}
    with frozen(model):
        for some, labels in batches(x, y, batch):
            value = loss(torch.func.functional_call(model, here, (some,)), labels).sum() / len(x)
            found = torch.autograd.grad(value, list(here.values()))
            summed = {name: total + part for (name, total), part in zip(summed.items(), found, strict=True)}
    return length(summed)


def majority(y: Tensor) -> float:
    """Share of the most frequent label: the accuracy of the best constant classifier."""
    return float(torch.bincount(y).max()) / len(y)


def left_the_start(accuracy: float, y: Tensor) -> bool:
    """Whether a network is better than a constant classifier: accuracy above :func:`majority` by :data:`MARGIN`."""
    return accuracy > majority(y) + MARGIN


def silence(model: nn.Module, layer: str, *, bias: float = -1e3) -> None:
    """Kill all ReLU units behind a layer, in place: its weights become 0 and its biases negative.

    Raises:
        ValueError: if there is no layer of this name with a bias.
    """
    modules = dict(model.named_modules())
    if layer not in modules or getattr(modules[layer], "bias", None) is None:
        raise ValueError(f"layer={layer!r}: allowed is a layer with a bias, such as fc1; found {', '.join(modules)}")
    with torch.no_grad():
        modules[layer].weight.zero_()  # type: ignore[operator, union-attr]
        modules[layer].bias.fill_(bias)  # type: ignore[operator, union-attr]
