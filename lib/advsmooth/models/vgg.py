"""VGG networks for 32x32 images: that of Liu et al. 2020 (table 2), and VGG-13 with batch norm (Pang et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from advsmooth.models.arguments import image, integer


class VGG(nn.Module):
    """Blocks of 3x3 convolutions, each with batch norm and ReLU; a max-pooling of size 2 after each block.

    The mean over what area is left (one pixel of 32x32 inputs after five blocks) goes to one linear layer.

    Args:
        in_shape: (channels, height, width), at least 32x32 for five blocks.
        classes: number of outputs.
        blocks: channels of the convolutions of each block.

    Raises:
        ValueError: for a bad size.
    """

    def __init__(self, in_shape: Sequence[int], classes: int, blocks: Sequence[Sequence[int]]) -> None:
        super().__init__()
        channels, _, _ = image("vgg", in_shape, at_least=2 ** len(blocks))
        layers: list[nn.Module] = []
        for block in blocks:
            for out in block:
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
                channels = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, integer("classes", classes))

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, channels, height, width)`` to logits ``(n, classes)``."""
        return self.classifier(self.features(x).mean((-2, -1)))


def liu_vgg(in_shape: Sequence[int], classes: int, *, w: int = 8) -> VGG:
    """The VGG of table 2 with width factor ``w``: blocks of 2, 2, 3, 3, 3 convolutions, ``4w`` to ``32w`` channels.

    The table cannot be right as printed. Its five max-poolings leave one pixel of a 32x32 image, and an average
    pooling of size 2 follows. Its linear layer, ``32w -> 10``, needs one pixel. Two repairs meet that: average over
    the single pixel, which changes nothing, or leave out the last max-pooling. They have the same parameters, so no
    count decides between them; the authors' repository has the first (an average of size 1), and so have we. The
    batch norm after each convolution, which the table does not print either, and the biases beside it are also
    theirs. No parameter count is published. With these, ``w = 16`` is the usual VGG-16 for CIFAR-10 of 14,728,266
    parameters; the paper takes 8.

    Args:
        in_shape: (channels, height, width), at least 32x32.
        classes: number of outputs.
        w: width factor.

    Raises:
        ValueError: for a bad size.
    """
    w = integer("w", w)
    return VGG(in_shape, classes, [[4 * w] * 2, [8 * w] * 2, [16 * w] * 3, [32 * w] * 3, [32 * w] * 3])


def vgg13(in_shape: Sequence[int], classes: int, *, width: int = 64, blocks: int = 5) -> VGG:
    """VGG-13 with batch norm: five blocks of two convolutions, from ``width`` to ``8 width`` channels.

    One of the hand-made networks of Pang et al., whose sizes are adapted in a way that our fragment does not state.
    Ours has one linear layer behind the convolutions, as usual for 32x32 images (9,416,010 parameters at width 64).

    Args:
        in_shape: (channels, height, width), at least 32x32; half of that for each block left out.
        classes: number of outputs.
        width: channels of the first block.
        blocks: how many of the five blocks, at most 5; fewer for smaller images.

    Raises:
        ValueError: for a bad size or number of blocks.
    """
    width, blocks = integer("width", width), integer("blocks", blocks)
    if blocks > 5:
        raise ValueError(f"blocks={blocks}: allowed is 1 to 5")
    return VGG(in_shape, classes, [[factor * width] * 2 for factor in (1, 2, 4, 8, 8)[:blocks]])
