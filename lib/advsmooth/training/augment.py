"""Augmentation of a batch on its device: random crop after padding, horizontal flip, cutout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Each image is moved, mirrored and covered on its own; by default as Liu et al. and Kanai et al. do on CIFAR-10.

    Attributes:
        padding: zeros added on every side before a crop of the old size, in pixels.
        flip: whether to mirror left and right with probability 1/2.
        cutout: side of a square set to 0 around a uniformly drawn pixel (cut off at the border), in pixels; 0 for none.
    """

    padding: int = 4
    flip: bool = True
    cutout: int = 0

    def __post_init__(self) -> None:
        for name, value in (("padding", self.padding), ("cutout", self.cutout)):
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}={value!r}: allowed is a number of pixels, at least 0")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Augment images ``(n, channels, height, width)``; same shape, dtype, device and memory layout.

        Raises:
            ValueError: if ``x`` is not a batch of images.
        """
        if x.ndim != 4:
            raise ValueError(f"x of shape {tuple(x.shape)}: augmentation takes images (n, channels, height, width)")
        n, _, height, width = x.shape
        rows = torch.arange(height, device=x.device).expand(n, -1)
        columns = torch.arange(width, device=x.device).expand(n, -1)
        if self.flip:
            columns = torch.where(
                torch.rand(n, 1, generator=generator, device=x.device) < 0.5, columns.flip(1), columns
            )
        if self.padding:
            shift = torch.randint(2 * self.padding + 1, (2, n, 1), generator=generator, device=x.device) - self.padding
            rows, columns = rows + shift[0], columns + shift[1]
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        if self.cutout:
            inside = inside & ~self._square(n, (height, width), generator, x.device)
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        # One gather does flip and crop; advanced indices apart put the image axes first: (n, height, width, channels).
        moved = x[torch.arange(n, device=x.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        moved = (moved * inside[..., None]).permute(0, 3, 1, 2)
        layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        return moved.contiguous(memory_format=layout)

    def _square(self, n: int, sides: tuple[int, int], generator: torch.Generator, device: torch.device) -> Tensor:
        """Masks ``(n, height, width)`` of the covered squares."""
        covered = []
        for side in sides:
            first = torch.randint(side, (n, 1), generator=generator, device=device) - self.cutout // 2
            place = torch.arange(side, device=device)
            covered.append((place >= first) & (place < first + self.cutout))
        return covered[0][:, :, None] & covered[1][:, None, :]
