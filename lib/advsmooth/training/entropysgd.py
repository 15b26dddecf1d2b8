"""EntropySGD and its second-order form (Kanai et al., section 2.2 and algorithm 1; Chaudhari et al. 2017).

EntropySGD descends ``-F(theta) = -log int exp(-L(t) - gamma/2 ||theta - t||^2) dt``, whose gradient is
``gamma (theta - E t)``. One step of the optimiser takes several Langevin steps on mini-batch losses, averages their
iterates, and moves ``theta`` towards the average.

The published algorithm and the code that the experiments followed differ. ``variant`` says which one runs:

===============  ======================================  ===============================================
.                ``"paper"``                             ``"reference"``
===============  ======================================  ===============================================
inner direction  ``grad L(t) + gamma (t - theta)``       the same, Nesterov momentum on ``grad L``
noise of a step  ``sqrt(inner_lr) noise N(0, I)``        ``sqrt(2 inner_lr) noise N(0, I)``
average          ``mean <- (1 - a) mean + a t``          ``mean <- a mean + (1 - a) t``
scope ``gamma``  ``gamma (1 + scoping)^(steps so far)``  never changes
outer step       ``theta - lr gamma (theta - mean)``     ``theta - lr (theta - mean)``, momentum, decay
===============  ======================================  ===============================================

Line 10 of algorithm 1 as printed has the loss gradient with the wrong sign and would ascend; the variant ``"paper"``
mends it. Weight decay is part of the loss, ``weight_decay/2 ||t||^2``. With the published scope of 0.03 the outer step
of the paper is some thirty times shorter than that of the code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

VARIANTS = ("paper", "reference")


class EntropySGD(Optimizer):
    """EntropySGD as an optimiser; :meth:`step` needs a closure that draws a fresh mini-batch at every call.

    The settings are Kanai et al.'s for CIFAR-10 where they state them, with Chaudhari et al.'s averaging weight.

    Args:
        params: parameters, or groups of them.
        lr: outer step size ``eta``.
        inner_lr: step size ``eta'`` of the Langevin steps; learning-rate schedules leave it alone.
        scope: ``gamma`` at the start.
        noise: ``eps_E``. The published 1e-4 is far from ``sqrt(2)``, with which the Langevin steps would sample the
            density of the objective.
        averaging: ``alpha``.
        langevin: ``L``, Langevin steps (and mini-batches) of one step.
        momentum: of the variant ``"reference"``: Nesterov, inside (restarted at every step, on the loss gradient only)
            and outside. Algorithm 1 has none.
        weight_decay: of the loss; the variant ``"reference"`` applies it in the outer step once more.
        scoping: growth of the scope per step (Chaudhari et al.'s annealing; 0 in Kanai et al.).
        variant: ``"paper"`` or ``"reference"``.
        generator: for the noise, on the device of the parameters.

    Raises:
        ValueError: for a setting out of range, or one that the variant does not have.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        *,
        inner_lr: float = 0.1,
        scope: float = 0.03,
        noise: float = 1e-4,
        averaging: float = 0.75,
        langevin: int = 20,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        scoping: float = 0.0,
        variant: str = "paper",
        generator: torch.Generator,
    ) -> None:
        if variant not in VARIANTS:
            raise ValueError(f"variant={variant!r}: allowed is paper or reference")
        positive = {"inner_lr": inner_lr, "scope": scope, "averaging": averaging, "langevin": langevin}
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name}={value!r}: allowed is a positive number")
        for name, value in {"lr": lr, "noise": noise, "momentum": momentum, "weight_decay": weight_decay}.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}={value!r}: allowed is a number, at least 0")
        if averaging > 1:
            raise ValueError(f"averaging={averaging!r}: allowed is a weight above 0, at most 1")
        if variant == "paper" and momentum:
            raise ValueError(f"momentum={momentum!r}: algorithm 1 has none; use momentum=0 or variant='reference'")
        if variant == "reference" and scoping:
            raise ValueError(f"scoping={scoping!r}: the reference code never anneals; use scoping=0 or variant='paper'")
        settings = {
            "lr": lr,
            "inner_lr": inner_lr,
            "scope": scope,
            "noise": noise,
            "averaging": averaging,
            "langevin": langevin,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "scoping": scoping,
            "variant": variant,
            "steps": 0,
        }
        super().__init__(params, settings)
        self.generator = generator

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """One outer step, with ``langevin`` calls of ``closure``.

        Args:
            closure: draws a mini-batch, zeroes the gradients, computes the loss and its gradients, returns the loss.

        Returns:
            What the closure returned first, at the current parameters.
        """
        groups = [(group, _Walk(group)) for group in self.param_groups]
        first = None
        for inner in range(self.defaults["langevin"]):
            with torch.enable_grad():
                loss = closure()
            first = loss if inner == 0 else first
            for group, walk in groups:
                walk.advance(group, self.generator)
        for group, walk in groups:
            walk.back_to_start(group)
            for p, mean, square in zip(group["params"], walk.mean, walk.square, strict=True):
                self._outer(group, p, self._towards(group, mean, square))
            group["steps"] += 1
        return first

    def _towards(self, group: dict[str, Any], mean: Tensor, square: Tensor) -> Tensor:  # noqa: ARG002 - one signature
        """The outer direction without the learning rate; ``mean`` and ``square`` are averages of ``t - theta``."""
        return mean if group["variant"] == "reference" else _scope(group) * mean

    def _outer(self, group: dict[str, Any], p: Tensor, towards: Tensor) -> None:
        if group["variant"] == "paper":
            p.add_(towards, alpha=group["lr"])
            return
        direction = group["weight_decay"] * p - towards
        if group["momentum"]:
            state = self.state[p]
            buffer = state.setdefault("momentum_buffer", torch.zeros_like(p))
            buffer.mul_(group["momentum"]).add_(direction)
            direction = direction + group["momentum"] * buffer
        p.sub_(direction, alpha=group["lr"])


class SecondOrderEntropySGD(EntropySGD):
    """The Newton form with a diagonal covariance (algorithm 1, equation 77): ``theta - lr gamma h (theta - mean)``.

    ``h = 1 / (gamma - gamma^2 variance)`` component by component, with the variance of the Langevin iterates under the
    same averaging weights. It is computed from displacements ``t - theta``: ``mean(t^2) - mean(t)^2`` as printed loses
    all digits in float32 at the published noise. Where ``gamma variance`` approaches 1, ``h`` as printed is infinite
    and then negative; here ``1 - gamma variance`` is at least ``floor``, so that no component moves further than
    ``lr / floor`` times its displacement.

    ``gamma h`` tends to 1 as the variance vanishes. No reference code of this form is known to us; with
    ``variant="reference"`` it is the inner loop of the code for the first-order form and the outer step above.

    Args:
        params: as for :class:`EntropySGD`, like all further arguments.
        lr: outer step size.
        floor: see above, in (0, 1].
        settings: those of :class:`EntropySGD`.
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.1, *, floor: float = 0.1, **settings: Any) -> None:
        if not 0 < floor <= 1:
            raise ValueError(f"floor={floor!r}: allowed is a number above 0, at most 1")
        self.floor = floor
        super().__init__(params, lr, **settings)

    def _towards(self, group: dict[str, Any], mean: Tensor, square: Tensor) -> Tensor:
        variance = (square - mean.square()).clamp_min(0)
        return mean / (1 - _scope(group) * variance).clamp_min(self.floor)


class _Walk:
    """The Langevin iterates of one group during one step, as displacements from where they started."""

    def __init__(self, group: dict[str, Any]) -> None:
        self.start = [p.clone() for p in group["params"]]
        self.mean = [torch.zeros_like(p) for p in group["params"]]
        self.square = [torch.zeros_like(p) for p in group["params"]]
        self.momentum = [torch.zeros_like(p) for p in group["params"]] if group["momentum"] else []

    def advance(self, group: dict[str, Any], generator: torch.Generator) -> None:
        """One Langevin step of every parameter that has a gradient, and the running averages."""
        reference, rate = group["variant"] == "reference", group["inner_lr"]
        spread = group["noise"] * math.sqrt(2 * rate if reference else rate)
        weight = 1 - group["averaging"] if reference else group["averaging"]
        for i, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            direction = p.grad + group["weight_decay"] * p
            if group["momentum"]:
                self.momentum[i].mul_(group["momentum"]).add_(direction)
                direction = direction + group["momentum"] * self.momentum[i]
            direction = direction + _scope(group) * (p - self.start[i])
            p.sub_(direction, alpha=rate)
            p.add_(torch.randn(p.shape, generator=generator, dtype=p.dtype, device=p.device), alpha=spread)
            moved = p - self.start[i]
            self.mean[i].lerp_(moved, weight)
            self.square[i].lerp_(moved.square(), weight)

    def back_to_start(self, group: dict[str, Any]) -> None:
        for p, start in zip(group["params"], self.start, strict=True):
            p.copy_(start)


def _scope(group: dict[str, Any]) -> float:
    """``gamma`` of this step."""
    return group["scope"] * (1 + group["scoping"]) ** group["steps"]
