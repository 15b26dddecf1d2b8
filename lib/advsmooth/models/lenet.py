"""LeNet with width factor ``w`` (Liu et al. 2020, table 2): the paper's network for MNIST."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from advsmooth.models.arguments import image, integer


class LeNet(nn.Module):
    """Two convolutions of ``2w`` and ``4w`` channels, then fully connected layers ``196w -> 64w -> classes``.

    The table leaves out kernels, padding and the two poolings; kernel 5 with padding 2 and a max-pooling of size 2
    after each convolution are the authors' (their repository), and leave the ``4w * 7 * 7 = 196w`` features of the
    table on 28x28 images. On other sizes the first fully connected layer has ``4w`` times the area that is left:
    ``16w`` features on the 8x8 digits. All layers have biases and PyTorch's default initialisation.

    Args:
        in_shape: (channels, height, width), at least 4x4.
        classes: number of outputs.
        w: width factor; 16 in the paper unless it says otherwise.

    Raises:
        ValueError: for a bad size.
    """

    def __init__(self, in_shape: Sequence[int], classes: int, *, w: int = 16) -> None:
        super().__init__()
        channels, height, width = image("lenet", in_shape, at_least=4)
        w = integer("w", w)
        self.conv1 = nn.Conv2d(channels, 2 * w, 5, padding=2)
        self.conv2 = nn.Conv2d(2 * w, 4 * w, 5, padding=2)
        self.fc1 = nn.Linear(4 * w * (height // 4) * (width // 4), 64 * w)
        self.fc2 = nn.Linear(64 * w, integer("classes", classes))

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, channels, height, width)`` to logits ``(n, classes)``."""
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.fc2(functional.relu(self.fc1(x.flatten(1))))
