r"""The convolutional ReLU network of Zhu et al. 2022, appendix E.3 (figure 7).

The paper calls it "CNN" and says no more than that it is a convolutional ReLU network whose width and depth vary.
Everything else here is a reconstruction: the network of equation 2 (:mod:`advsmooth.models.fcn`) with its matrices
replaced by convolutions and nothing added that could act as a third size::

    h_0 = x,   h_l = relu(W_l * h_{l-1}) for l < L,   f(x) = W_L mean(h_{L-1}) / alpha,

where ``W_l * h`` is a 3x3 convolution of stride 1 that keeps the image size, with ``m`` channels, and the mean runs
over the pixels. There are no biases. The entries are independent normal. The standard deviations are those that the
scheme gives to a fully connected network with as many inputs to a unit: ``9 channels`` in the first layer, ``9 m`` in
the hidden ones, ``m`` in the last. Hence He initialisation has variances ``2/(9 channels)``, ``2/(9 m)`` and ``2/m``.
"""

# ruff: noqa: N803 - L is the paper's own symbol

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.models.arguments import image, integer

KERNEL = 3


class CNN(nn.Module):
    """The network above as a module; depth counts the layers with weights, the output layer among them.

    Args:
        in_shape: (channels, height, width) of an input; any image size.
        classes: number of outputs.
        m: width: channels of every hidden layer.
        L: depth, at least 2.
        alpha: output scale.
        scheme: a name of :data:`advsmooth.models.fcn.SCHEMES`, or standard deviations.
        generator: for the initial weights, or a seed.

    Raises:
        ValueError: for a bad size, depth or scheme, or an ``alpha`` that is not positive.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        classes: int,
        *,
        m: int = 32,
        L: int = 4,
        alpha: float = 1.0,
        scheme: str | fcn.Initialisation = "he",
        generator: torch.Generator | int = 0,
    ) -> None:
        super().__init__()
        channels, _, _ = image("cnn", in_shape)
        m, L, classes = integer("m", m), integer("L", L, at_least=2), integer("classes", classes)  # noqa: N806
        if not (math.isfinite(alpha) and alpha > 0):
            raise ValueError(f"alpha={alpha!r}: allowed is a positive number")
        g = settings.generator(generator) if isinstance(generator, int) else generator
        area = KERNEL**2
        hidden = fcn.initialisation(scheme, area * channels, area * m, classes)
        last = fcn.initialisation(scheme, area * channels, m, classes)
        shapes = [(m, c, KERNEL, KERNEL) for c in [channels, *[m] * (L - 2)]]
        deviations = [hidden.beta_1, *[hidden.beta] * (L - 2), last.beta_L]
        drawn = [
            torch.randn(shape, generator=g, device=g.device).mul_(deviation)
            for shape, deviation in zip([*shapes, (classes, m)], deviations, strict=True)
        ]
        self.m, self.L, self.alpha = m, L, alpha
        self.weights = nn.ParameterList([nn.Parameter(weight) for weight in drawn])

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, channels, height, width)`` to outputs ``(n, classes)``."""
        *convolutions, last = self.weights
        for weight in convolutions:
            x = functional.relu(functional.conv2d(x, weight, padding=KERNEL // 2))
        return functional.linear(x.mean((-2, -1)), last) / self.alpha

    def extra_repr(self) -> str:
        """The sizes, for ``print``."""
        return f"m={self.m}, L={self.L}, alpha={self.alpha:g}"
