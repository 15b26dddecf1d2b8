"""Wide residual networks (Zagoruyko and Komodakis 2016): WideResNet-34-10 of Kanai et al. 2021."""

from __future__ import annotations

from collections.abc import Sequence

from advsmooth.models.arguments import integer
from advsmooth.models.resnet import ResNet, he_normal


def wideresnet(in_shape: Sequence[int], classes: int, *, depth: int = 34, width: int = 10) -> ResNet:
    """A pre-activation network of three stages with ``16 width``, ``32 width`` and ``64 width`` channels, no dropout.

    ``depth = 6 n + 4`` makes stages of ``n`` blocks; the 4 are the stem and three shortcuts that change the shape.
    WideResNet-34-10 has 46,160,474 parameters for 10 classes. The convolutions have He initialisation (normal,
    fan-out).

    Args:
        in_shape: (channels, height, width), any size.
        classes: number of outputs.
        depth: 10, 16, 22, 28, 34, ...
        width: widening factor.

    Raises:
        ValueError: for a bad size, or a depth that is not ``6 n + 4``.
    """
    depth, width = integer("depth", depth, at_least=10), integer("width", width)
    if depth % 6 != 4:
        raise ValueError(f"depth={depth}: allowed is 6n + 4, such as {6 * ((depth - 4) // 6) + 4}")
    widths = [16 * width, 32 * width, 64 * width]
    blocks = [(depth - 4) // 6] * 3
    network = ResNet(in_shape, classes, stem=16, widths=widths, blocks=blocks, block="preactivation")
    he_normal(network)
    return network
