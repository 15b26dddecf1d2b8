"""What adversarial training does to perturbations, units and the size of the loss (Liu et al., sections 4.1 and 4.2).

Cosine similarity of the perturbations found at two opposite points around a model (figures 3 and 10); dead ReLU units;
the scale of the adversarial loss at random parameters (appendix C.2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from advsmooth.analysis.empirical import Attack, adversarial_examples, mean_loss, zero_one
from advsmooth.analysis.parameter_space import point, shifted, standing_at, unit
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy

# --- similarity of perturbations ----------------------------------------------------------------------------------


def cosine_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of the angle between the perturbations of each example, ``(n,)``, float64.

    Args:
        first: perturbations ``(n, ...)``; all but the first dimension are flattened.
        second: of the same shape.

    Returns:
        Two perturbations that are both zero are the same and have similarity 1; if only one is zero, it is 0.

    Raises:
        ValueError: if the shapes differ.
    """
    if first.shape != second.shape or first.ndim < 2:
        raise ValueError(f"shapes {tuple(first.shape)} and {tuple(second.shape)}: allowed is (n, ...) twice")
    a, b = first.flatten(1).double(), second.flatten(1).double()
    both_zero = (a == 0).all(1) & (b == 0).all(1)
    cosine = (functional.normalize(a, dim=1) * functional.normalize(b, dim=1)).sum(1)
    return torch.where(both_zero, 1.0, cosine)


def similarity_along(
    model: nn.Module,
    attack: Attack,
    x: Tensor,
    y: Tensor,
    direction: Mapping[str, Tensor],
    offsets: Sequence[float],
    *,
    seeds: Sequence[int],
    common_start: bool = False,
    batch: int = 1024,
) -> pd.DataFrame:
    """Similarity of the perturbations found at ``theta + a v`` and ``theta - a v`` (Liu et al., figures 3 and 10).

    Args:
        model: at ``theta``; left as found, bit for bit.
        attack: run anew at every point.
        x: inputs.
        y: labels.
        direction: ``v``; only its direction counts, it is made a unit vector here.
        offsets: the distances ``a``.
        seeds: one run of the experiment each (the paper averages over 4).
        common_start: whether the attacks at the two points draw the same random start. The paper does not say; two
            different starts lower the similarity even at ``a = 0``.
        batch: examples at a time.

    Returns:
        One row per offset and seed: ``offset, seed, cosine`` (mean over the examples), and the robust errors
        ``error_plus, error_minus`` under the same attack at the two points. Figure 10 leaves out the offsets at which
        the robust accuracy falls to 70 percent.
    """
    v, start = unit(direction), point(model)
    rows = []
    for offset in offsets:
        for seed in seeds:
            found, errors = [], []
            for side, own_seed in ((1, 2 * seed), (-1, 2 * seed if common_start else 2 * seed + 1)):
                with standing_at(model, shifted(start, (side * offset, v))):
                    perturbed = adversarial_examples(model, attack, x, y, seed=own_seed, batch=batch)
                    errors.append(mean_loss(model, perturbed, y, loss=zero_one, batch=batch))
                found.append(perturbed - x)
            rows.append((offset, seed, cosine_similarity(*found).mean().item(), *errors))
    return pd.DataFrame(rows, columns=["offset", "seed", "cosine", "error_plus", "error_minus"])


# --- dead units -----------------------------------------------------------------------------------------------------


class _ReLUs(TorchFunctionMode):
    """Remembers, for each ReLU a forward pass meets, in order, which units have ever been positive."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[Tensor] = []
        self.met = 0

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function in (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_):
            positive = (result.detach() > 0).any(0)
            if self.met == len(self.alive):
                self.alive.append(positive)
            else:
                self.alive[self.met] = self.alive[self.met] | positive
            self.met += 1
        return result


def dead_units(model: nn.Module, x: Tensor, *, batch: int = 1024) -> pd.DataFrame:
    """ReLU units that are zero on every input, layer by layer, in eval mode.

    A unit is one entry of the activation of one input; in a convolution each channel has one at each position, and a
    channel is dead if all of them are. Where a whole layer is dead the output does not depend on the input, and the
    layers before it have no gradient. ReLUs are found as the forward pass meets them, modules or not.

    Args:
        model: with a forward pass that meets the same ReLUs for every batch.
        x: inputs ``(n, ...)``.
        batch: inputs at a time.

    Returns:
        One row per ReLU: ``layer`` (from 1), ``units, dead, channels, dead_channels``.

    Raises:
        ValueError: if the forward pass meets no ReLU.
    """
    relus = _ReLUs()
    with frozen(model), torch.no_grad(), relus:
        for some in x.split(batch):
            relus.met = 0
            model(some)
    if not relus.alive:
        raise ValueError(f"{type(model).__name__}: its forward pass meets no ReLU, so no unit can be dead")
    rows = []
    for layer, alive in enumerate(relus.alive, start=1):
        channels = alive.reshape(len(alive), -1).any(1)
        rows.append((layer, alive.numel(), int((~alive).sum()), len(channels), int((~channels).sum())))
    return pd.DataFrame(rows, columns=["layer", "units", "dead", "channels", "dead_channels"])


# --- the scale of the loss ------------------------------------------------------------------------------------------


def loss_scale(
    draw: Callable[[int], nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    seeds: Sequence[int],
    attack: Attack | None = None,
    loss: Loss = cross_entropy,
    batch: int = 1024,
) -> Tensor:
    """The loss of freshly initialised models; its mean is the scale that normalises curvature in Liu et al.

    Appendix C.2.2: the adversarial loss over the training set at 10 random parameters.

    Args:
        draw: a seed to a freshly initialised model, on the device of ``x``.
        x: inputs.
        y: labels.
        seeds: one model each; also the seeds of the attack.
        attack: if given, the adversarial loss; each model is attacked for itself.
        loss: per example.
        batch: examples at a time.

    Returns:
        Mean losses ``(len(seeds),)``, float64.

    Raises:
        ValueError: without seeds.
    """
    if not seeds:
        raise ValueError("seeds=[]: allowed is at least one; the paper takes 10")
    found = [mean_loss(draw(s), x, y, loss=loss, attack=attack, seed=s, batch=batch) for s in seeds]
    return torch.tensor(found, dtype=torch.float64)
