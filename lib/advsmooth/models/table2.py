"""The rows of table 2 of Liu et al. 2020, read as sizes: does each layer fit the one before it?

A row is followed from the side of a square image through its layers, with nothing built. Widths may be sympy
expressions, so that the number of parameters comes out as a polynomial of the width factor ``w``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import nn

from advsmooth.models.registry import describe


@dataclass(frozen=True)
class Conv:
    """A convolution of stride 1, and the batch norm behind it if there is one."""

    channels: Any
    kernel: int = 3
    padding: int = 1
    bias: bool = True
    batch_norm: bool = False

    def __str__(self) -> str:
        return f"Conv({self.channels})"


@dataclass(frozen=True)
class Pool:
    """``M`` or ``A``: a pooling whose stride is its size."""

    kind: str
    size: int = 2

    def __str__(self) -> str:
        return f"{self.kind}({self.size})"


@dataclass(frozen=True)
class FC:
    """A fully connected layer, with the numbers of inputs and outputs that the table prints."""

    inputs: Any
    outputs: Any

    def __str__(self) -> str:
        return f"FC({self.inputs}, {self.outputs})"


Layer = Conv | Pool | FC


def follow(row: Sequence[Layer], *, side: int, channels: int) -> pd.DataFrame:
    """Sizes behind each layer, up to the first that does not fit.

    Args:
        row: the layers.
        side: of the square image.
        channels: of the image.

    Returns:
        One row per layer: ``layer``, ``features`` (channels, or outputs of a fully connected layer), ``side`` (of what
        is left of the image; 1 behind a fully connected layer), ``parameters`` and ``fits``. A layer does not fit if
        nothing is left of the image, or if a fully connected layer takes another number of inputs than there are.
    """
    rows: list[tuple[str, Any, int, Any, bool]] = []
    features: Any = channels
    for layer in row:
        parameters: Any = 0
        fits = True
        if isinstance(layer, Conv):
            extra = (1 if layer.bias else 0) + (2 if layer.batch_norm else 0)
            parameters = layer.kernel**2 * features * layer.channels + extra * layer.channels
            features, side = layer.channels, side + 2 * layer.padding - layer.kernel + 1
            fits = side >= 1
        elif isinstance(layer, Pool):
            side = side // layer.size
            fits = side >= 1
        else:
            fits = bool(features * side**2 == layer.inputs)
            parameters = (layer.inputs + 1) * layer.outputs
            features, side = layer.outputs, 1
        rows.append((str(layer), features, side, parameters, fits))
        if not fits:
            break
    return pd.DataFrame(rows, columns=["layer", "features", "side", "parameters", "fits"])


def fits(row: Sequence[Layer], *, side: int, channels: int) -> bool:
    """Whether every layer of a row fits."""
    return bool(follow(row, side=side, channels=channels).fits.all())


def lenet_row(
    table: Mapping[str, Any], w: Any, *, kernel: int = 5, padding: int = 2, poolings: Sequence[int] = (2, 2)
) -> list[Layer]:
    """The row "MNIST, LeNet".

    Args:
        table: the row of the ledger, factors of ``w``.
        w: width factor.
        kernel: of the convolutions; the table has none.
        padding: likewise.
        poolings: size of the max-pooling behind each convolution; empty as printed.
    """
    row: list[Layer] = []
    for k, factor in enumerate(table["conv_channels_over_w"]):
        row.append(Conv(factor * w, kernel, padding))
        row += [Pool("M", size) for size in poolings[k : k + 1]]
    hidden = table["hidden_over_w"] * w
    return [*row, FC(table["flattened_over_w"] * w, hidden), FC(hidden, table["classes"])]


def vgg_row(
    table: Mapping[str, Any],
    w: Any,
    *,
    max_poolings: int = 5,
    average: int | None = 2,
    bias: bool = True,
    batch_norm: bool = True,
) -> list[Layer]:
    """The row "CIFAR, VGG", with 3x3 convolutions that keep the size.

    Args:
        table: the row of the ledger, factors of ``w``.
        w: width factor.
        max_poolings: behind the first so many blocks; 5 as printed.
        average: size of the average pooling; 2 as printed, ``None`` for none.
        bias: of the convolutions.
        batch_norm: behind each convolution; the table prints none.
    """
    row: list[Layer] = []
    blocks = zip(table["conv_channels_over_w"], table["convolutions_per_block"], strict=True)
    for k, (factor, convolutions) in enumerate(blocks):
        row += [Conv(factor * w, bias=bias, batch_norm=batch_norm)] * convolutions
        row += [Pool("M")] if k < max_poolings else []
    row += [] if average is None else [Pool("A", average)]
    return [*row, FC(table["flattened_over_w"] * w, table["classes"])]


def layers(model: nn.Module) -> list[str]:
    """The convolutions and linear layers of a network as the table writes them, shortcuts left out."""
    found = []
    for name, shape in describe(model).layers.items():
        if "shortcut" not in name and "downsample" not in name:
            found.append(f"Conv({shape[0]})" if len(shape) == 4 else f"FC({shape[1]}, {shape[0]})")
    return found
