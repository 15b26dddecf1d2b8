"""Normalisation inside the model, so that an attack's radius stays a fraction of the pixel range."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))
"""Mean and standard deviation of the channels of CIFAR-10's training images, as used by the code of adversarial weight
perturbation that Kanai et al. build on (Wu et al. 2020, after Rice et al. 2020). Liu et al. do not normalise."""


class Normalise(nn.Module):
    """``(x - mean) / std`` per channel; the identity by default.

    The statistics are buffers: they move, change precision and are saved with the model, and nothing trains them.

    Args:
        mean: one number per channel, or one for all channels; pixel scale.
        std: likewise, positive.

    Raises:
        ValueError: if the two have different lengths, or a number is not finite, or an ``std`` is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean:
            raise ValueError(f"mean of {len(mean)} and std of {len(std)} channels: give one number of each per channel")
        if not all(math.isfinite(number) for number in (*mean, *std)) or min(std) <= 0:
            raise ValueError(f"mean={tuple(mean)}, std={tuple(std)}: allowed are finite numbers, std positive")
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.get_default_dtype())[:, None, None])
        self.register_buffer("std", torch.tensor(std, dtype=torch.get_default_dtype())[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, channels, height, width)`` to the same shape.

        Raises:
            ValueError: for images with another number of channels.
        """
        if x.ndim < 3 or len(self.mean) not in (1, x.shape[-3]):
            raise ValueError(f"input of shape {tuple(x.shape)}: the normalisation has {len(self.mean)} channels")
        return (x - self.mean) / self.std

    def extra_repr(self) -> str:
        """The statistics, for ``print``."""
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


def channel_statistics(x: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation of each channel of images ``(n, channels, height, width)``.

    Sums run in float64. The result is what :class:`Normalise` takes.
    """
    if x.ndim != 4:
        raise ValueError(f"input of shape {tuple(x.shape)}: allowed are images, (n, channels, height, width)")
    values = x.double()
    mean = values.mean((0, 2, 3))
    std = (values - mean[:, None, None]).square().mean((0, 2, 3)).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())
