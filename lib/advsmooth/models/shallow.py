"""One hidden layer, smooth or not: ``f(x) = A h(B x + c) + b`` with ``h`` softplus, tanh or ReLU.

Small enough that its curvature in the input has a proved bound (:mod:`advsmooth.analysis.one_step`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from advsmooth import settings
from advsmooth.models.arguments import integer, one_of

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "relu": torch.relu,
}
STEEPEST_BEND = {"softplus": 0.25, "tanh": 4 / math.sqrt(27), "relu": 0.0}
"""``max |h''|``: at 0 for softplus, at ``tanh^2 = 1/3`` for tanh, off its kink for ReLU; all have ``0 <= h' <= 1``."""


class Shallow(nn.Module):
    """The network above; weights and biases uniform within ``1 / sqrt(inputs of the layer)``.

    Args:
        in_shape: shape of one input.
        classes: number of outputs.
        units: hidden units.
        activation: a name of :data:`ACTIVATIONS`.
        generator: for the initial weights, or a seed.

    Raises:
        ValueError: for a bad size or an unknown activation.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        classes: int,
        *,
        units: int = 32,
        activation: str = "softplus",
        generator: torch.Generator | int = 0,
    ) -> None:
        super().__init__()
        self.activation = one_of("activation", activation, tuple(ACTIVATIONS))
        self.hidden = nn.Linear(math.prod(in_shape), integer("units", units))
        self.outer = nn.Linear(units, integer("classes", classes))
        g = settings.generator(generator) if isinstance(generator, int) else generator
        with torch.no_grad():
            for layer in (self.hidden, self.outer):
                reach = 1 / math.sqrt(layer.in_features)
                for parameter in (layer.weight, layer.bias):
                    parameter.copy_((2 * torch.rand(parameter.shape, generator=g) - 1) * reach)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``(n, ...)`` to logits ``(n, classes)``."""
        return self.outer(ACTIVATIONS[self.activation](self.hidden(x.flatten(1))))
