r"""How far the weights move in training, relative to where they started (Zhu et al. 2022, section 5.2).

The lazy training ratio is small in lazy training and not in non-lazy training::

    kappa = 1/L  sum over l of |W_l(t) - W_l(0)|_F / |W_l(0)|_F          form "mean"
    kappa = sum over l of |W_l(t) - W_l(0)|_F / sum over l of |W_l(0)|_F    form "ratio"

Reconstructed: the formula is lost in the text at hand. The ratio of one layer is certain from theorem 2; whether the
paper averages the ratios or divides the sums cannot be decided, so pages report both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Form = Literal["mean", "ratio"]


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights of a model: its parameters with two dimensions or more, not biases and norm layers.

    Raises:
        ValueError: if it has none.
    """
    found = {name: p.detach().clone() for name, p in model.named_parameters() if p.ndim >= 2}
    if not found:
        raise ValueError(f"{type(model).__name__}: no parameter with two dimensions or more")
    return found


def relative_movement(
    start: Mapping[str, Tensor], now: Mapping[str, Tensor], *, stacked: bool = False
) -> dict[str, Tensor]:
    """``|W_l(t) - W_l(0)|_F / |W_l(0)|_F`` of each layer; see :func:`layer_norms` for the arguments."""
    moved, size = layer_norms(start, now, stacked=stacked)
    return {name: moved[name] / size[name] for name in moved}


def kappa(
    start: Mapping[str, Tensor], now: Mapping[str, Tensor], *, form: Form = "mean", stacked: bool = False
) -> Tensor:
    """The lazy training ratio, one of the two forms above; see :func:`layer_norms` for the arguments.

    Returns:
        A number, or ``(networks,)`` for stacked weights; float64.
    """
    moved, size = layer_norms(start, now, stacked=stacked)
    if form == "mean":
        return torch.stack([moved[name] / size[name] for name in moved]).mean(0)
    if form == "ratio":
        return torch.stack(list(moved.values())).sum(0) / torch.stack(list(size.values())).sum(0)
    raise ValueError(f"form={form!r}: allowed is mean or ratio")


def layer_norms(
    start: Mapping[str, Tensor], now: Mapping[str, Tensor], *, stacked: bool = False
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """``|W_l(t) - W_l(0)|_F`` and ``|W_l(0)|_F`` of each layer, in float64.

    Args:
        start: initial weights by name, as :func:`weights` copies them.
        now: weights of the same names and shapes; other entries, such as biases, are not looked at.
        stacked: whether the first dimension counts networks that are trained together.

    Returns:
        Numbers, or ``(networks,)`` for stacked weights.

    Raises:
        ValueError: if a layer is missing, has another shape, or starts at zero.
    """
    if not start:
        raise ValueError("start={}: allowed is at least one layer")
    moved, size = {}, {}
    for name, first in start.items():
        if name not in now or now[name].shape != first.shape:
            raise ValueError(f"layer {name!r}: missing or of another shape than at the start, {tuple(first.shape)}")
        axes = tuple(range(1 if stacked else 0, first.ndim))
        before = first.detach().double()
        moved[name] = torch.linalg.vector_norm(now[name].detach().double() - before, dim=axes)
        size[name] = torch.linalg.vector_norm(before, dim=axes)
        if not bool((size[name] > 0).all()):
            raise ValueError(f"layer {name!r}: starts at zero, so no movement is relative to it")
    return moved, size
