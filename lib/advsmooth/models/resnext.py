"""The ResNeXt-34 of Finlay et al. 2018 (tables 1 to 3): 2x32 on CIFAR-10, 4x32 on CIFAR-100.

The paper gives the name, the numbers and the citation of Xie et al. 2017, and this does not fix a network. Xie et al.
write ``8x64d`` for 8 branches (the cardinality) of width 64, but their CIFAR networks are stacks of bottlenecks with
depth ``9 n + 2`` (29, 38, ...), never 34; and a 34-layer network of theirs in the manner of ResNet-34 would be for
224x224 images. A later repository of the first author (github.com/cfinlay/tulip) names a network ``ResNeXt34_2x32``,
and we follow its description:

- 34 layers with weights: a 3x3 convolution, three stages of five blocks with two 3x3 convolutions each, a 1x1
  convolution between stages, the linear layer;
- 2x32: two branches in every block, 32 channels in the first stage (64 and 128 in the others); hence 4x32 is four
  branches;
- a block adds to ``x`` the *mean* of the branches, each conv - batch norm - ReLU - conv - batch norm at the full
  number of channels, where Xie et al. sum narrow ones;
- a 1x1 convolution (with batch norm and ReLU) and an average pooling of size 2 between stages.

Our choices: batch norm with scale and shift everywhere (there without the scale outside the blocks), and a plain linear
output (there batch norm and a ReLU follow it, which would make all logits non-negative).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from advsmooth.models.arguments import image, integer


class BranchBlock(nn.Module):
    """``relu(x + mean of the branches)``; the number of channels and the image size stay."""

    def __init__(self, channels: int, branches: int) -> None:
        super().__init__()
        wide = branches * channels
        # The first convolutions of all branches are one wide convolution; the second ones are its groups.
        self.conv1, self.bn1 = nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, groups=branches, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to the same shape."""
        inner = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(x + inner.unflatten(1, (self.branches, -1)).mean(1))


def _conv_bn_relu(channels: int, out: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU()]


class ResNeXt(nn.Module):
    """Three stages of branch blocks; depth ``6 blocks + 4``.

    Args:
        in_shape: (channels, height, width), at least 4x4.
        classes: number of outputs.
        branches: branches of each block, 2 (CIFAR-10) or 4 (CIFAR-100) in the paper.
        width: channels of the first stage.
        blocks: blocks of each stage; 5 make 34 layers.

    Raises:
        ValueError: for a bad size.
    """

    def __init__(
        self, in_shape: Sequence[int], classes: int, *, branches: int = 2, width: int = 32, blocks: int = 5
    ) -> None:
        super().__init__()
        channels, _, _ = image("resnext", in_shape, at_least=4)
        branches, width, blocks = integer("branches", branches), integer("width", width), integer("blocks", blocks)
        layers = _conv_bn_relu(channels, width, 3)
        for stage in range(3):
            if stage > 0:
                layers += [*_conv_bn_relu(width, 2 * width, 1), nn.AvgPool2d(2)]
                width = 2 * width
            layers += [BranchBlock(width, branches) for _ in range(blocks)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, integer("classes", classes))

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, channels, height, width)`` to logits ``(n, classes)``."""
        return self.classifier(self.features(x).mean((-2, -1)))
