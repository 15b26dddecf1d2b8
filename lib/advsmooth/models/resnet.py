"""Residual networks for small images: ResNet-18 and ResNet-110 of He et al. 2016, with and without pre-activation.

All start with one 3x3 convolution of stride 1, halve the image between stages, average over the pixels and end in one
linear layer, so that they take images of any size.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from advsmooth.models.arguments import image, integer, one_of


def _conv3x3(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)


class Padding(nn.Module):
    """The parameter-free shortcut (He et al.'s option A): every ``stride``-th pixel, new channels filled with zeros."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride, self.new = stride, out - channels

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to ``(n, out, h / stride, w / stride)``, sizes rounded up."""
        return functional.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))


def _projection(channels: int, out: int, stride: int) -> nn.Module:
    """He et al.'s option B."""
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))


SHORTCUTS = {"projection": _projection, "padding": Padding}
"""The shortcut where the shape changes, by name; each maps (channels, out, stride) to a module."""


class BasicBlock(nn.Module):
    """``relu(shortcut(x) + bn(conv(relu(bn(conv(x))))))``, two 3x3 convolutions."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3x3(channels, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3x3(width, width), nn.BatchNorm2d(width)
        changed = stride != 1 or channels != width
        self.shortcut = SHORTCUTS[shortcut](channels, width, stride) if changed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to ``(n, width, h / stride, w / stride)``."""
        inner = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """As :class:`BasicBlock`, with convolutions 1x1 (to ``width`` channels), 3x3 and 1x1 (to four times as many)."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        out = self.expansion * width
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3x3(width, width, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        changed = stride != 1 or channels != out
        self.shortcut = SHORTCUTS[shortcut](channels, out, stride) if changed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to ``(n, 4 width, h / stride, w / stride)``."""
        inner = functional.relu(self.bn1(self.conv1(x)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        return functional.relu(self.bn3(self.conv3(inner)) + self.shortcut(x))


class PreActivationBlock(nn.Module):
    """``shortcut + conv(relu(bn(conv(a))))`` with ``a = relu(bn(x))`` (He et al. 2016b).

    The shortcut is ``x``, or a 1x1 convolution of ``a`` where the shape changes.
    """

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        one_of("shortcut", shortcut, ["projection"])
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), _conv3x3(channels, width, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), _conv3x3(width, width)
        changed = stride != 1 or channels != width
        self.projection = nn.Conv2d(channels, width, 1, stride=stride, bias=False) if changed else None

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to ``(n, width, h / stride, w / stride)``."""
        activated = functional.relu(self.bn1(x))
        shortcut = x if self.projection is None else self.projection(activated)
        return self.conv2(functional.relu(self.bn2(self.conv1(activated)))) + shortcut


BLOCKS: dict[str, type[BasicBlock | Bottleneck | PreActivationBlock]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
    "preactivation": PreActivationBlock,
}
"""The residual blocks by name."""


class ResNet(nn.Module):
    """Stem, stages of residual blocks, mean over the pixels, linear layer.

    Each stage but the first halves the image. With pre-activation, batch norm and ReLU stand behind the last block
    instead of behind the stem.

    Args:
        in_shape: (channels, height, width), any size.
        classes: number of outputs.
        stem: channels of the first convolution.
        widths: width of each stage.
        blocks: blocks of each stage.
        block: ``basic``, ``bottleneck`` or ``preactivation``.
        shortcut: ``projection`` or ``padding``, where the shape changes.

    Raises:
        ValueError: for a bad size or an unknown name.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        classes: int,
        *,
        stem: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        block: str = "basic",
        shortcut: str = "projection",
    ) -> None:
        super().__init__()
        channels, _, _ = image("resnet", in_shape)
        kind = BLOCKS[one_of("block", block, BLOCKS)]
        one_of("shortcut", shortcut, SHORTCUTS)
        preactivation = block == "preactivation"
        stages = []
        into = stem
        for number, (width, n) in enumerate(zip(widths, blocks, strict=True)):
            stage = []
            for position in range(n):
                stage.append(kind(into, width, 2 if number > 0 and position == 0 else 1, shortcut))
                into = kind.expansion * width
            stages.append(nn.Sequential(*stage))
        self.conv = _conv3x3(channels, stem)
        self.bn = nn.BatchNorm2d(into if preactivation else stem)
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(into, integer("classes", classes))
        self.preactivation = preactivation

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, channels, height, width)`` to logits ``(n, classes)``."""
        if self.preactivation:
            x = functional.relu(self.bn(self.stages(self.conv(x))))
        else:
            x = self.stages(functional.relu(self.bn(self.conv(x))))
        return self.classifier(x.mean((-2, -1)))


def resnet18(in_shape: Sequence[int], classes: int, *, w: int = 16, block: str = "basic") -> ResNet:
    """ResNet-18 for 32x32 images: four stages of two blocks with ``4w, 8w, 16w, 32w`` channels.

    ``w = 16`` is the usual network, 64 to 512 channels, 11,173,962 parameters for 10 classes; table 2 of Liu et al.
    says so, and their experiments take ``w = 8``. The table cites He et al. for it, whose ResNet-18 is for 224x224
    images (a 7x7 convolution of stride 2 and a pooling before the blocks); the one meant is its variant for CIFAR-10,
    as in the authors' repository. ``block="preactivation"`` is the PreActResNet-18 of the code that Kanai et al.
    build on, 11,172,170 parameters.

    Args:
        in_shape: (channels, height, width), any size.
        classes: number of outputs.
        w: width factor.
        block: ``basic`` or ``preactivation``.

    Raises:
        ValueError: for a bad size or an unknown block.
    """
    w = integer("w", w)
    one_of("block", block, ["basic", "preactivation"])
    widths = [4 * w, 8 * w, 16 * w, 32 * w]
    return ResNet(in_shape, classes, stem=4 * w, widths=widths, blocks=[2] * 4, block=block)


def resnet(
    in_shape: Sequence[int],
    classes: int,
    *,
    depth: int = 20,
    width: int = 16,
    block: str = "basic",
    shortcut: str = "padding",
) -> ResNet:
    """The family of He et al. 2016 for small images: three stages of ``n`` blocks, depth ``6 n + 2``.

    The convolutions have He initialisation (normal, fan-out).

    Args:
        in_shape: (channels, height, width), any size.
        classes: number of outputs.
        depth: 8, 14, 20, ..., 110: layers with weights, if the blocks are basic and the shortcuts have no parameters.
        width: channels of the first stage; the others have twice and four times as many.
        block: ``basic``, ``bottleneck`` or ``preactivation``.
        shortcut: ``padding`` or ``projection`` (the only one with pre-activation).

    Raises:
        ValueError: for a bad size or an unknown name, or a depth that is not ``6 n + 2``.
    """
    depth, width = integer("depth", depth, at_least=8), integer("width", width)
    if depth % 6 != 2:
        raise ValueError(f"depth={depth}: allowed is 6n + 2, such as {6 * ((depth - 2) // 6) + 2}")
    widths, blocks = [width, 2 * width, 4 * width], [(depth - 2) // 6] * 3
    network = ResNet(in_shape, classes, stem=width, widths=widths, blocks=blocks, block=block, shortcut=shortcut)
    he_normal(network)
    return network


def resnet110(
    in_shape: Sequence[int], classes: int, *, width: int = 16, block: str = "basic", shortcut: str = "padding"
) -> ResNet:
    """:func:`resnet` of depth 110, for 32x32 images: three stages of 18 blocks.

    The default is the network of He et al. 2016: basic blocks, parameter-free shortcuts, 1,727,962 parameters for 10
    classes (1.7 M in their table 6). Zhu et al. (appendix E.1) make it narrower without saying by how much, and refer
    to an implementation which, in the versions we could read, builds bottlenecks with projections from depth 44 on.
    Its "ResNet-110" is 164 layers deep and has 1.70 M parameters: ``block="bottleneck", shortcut="projection"``.

    Raises:
        ValueError: see :func:`resnet`.
    """
    return resnet(in_shape, classes, depth=110, width=width, block=block, shortcut=shortcut)


def he_normal(network: nn.Module) -> None:
    """Draw the weights of all convolutions again, normal with variance ``2 / (kernel area * out channels)``."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
