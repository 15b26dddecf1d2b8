"""The evasive Carlini-Wagner attack of Finlay et al., section 7: adversarial, close, and with a small loss gradient.

A detector rejects inputs at which a gradient of the model is large. The attack solves::

    minimise  |delta|^2 + mu |grad l(x + delta)|_*^2   subject to   x + delta in the box, margin >= confidence

by a penalty ``c [confidence - margin]_+`` with the smallest ``c`` that a binary search finds, as Carlini and Wagner do
for ``mu = 0``. The paper gives neither ``mu`` nor the label in ``l``; the choices are attributes here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from advsmooth.attacks import ball
from advsmooth.attacks.ball import Box, Norm
from advsmooth.attacks.isolation import Model, frozen
from advsmooth.attacks.losses import Loss, best_other, cross_entropy, margin, succeeded

_BETA_1, _BETA_2, _TINY = 0.9, 0.999, 1e-8  # Adam's own (Kingma and Ba 2015)


def squared_gradient_norm(losses: Tensor, x: Tensor) -> Tensor:
    """``|grad_x l|_2^2`` of each example, shape ``(n,)``, itself with a graph: its gradient takes a second backward.

    Args:
        losses: of each example, shape ``(n,)``, computed from ``x``.
        x: inputs ``(n, ...)`` that require a gradient.
    """
    (gradient,) = torch.autograd.grad(losses, x, torch.ones_like(losses), create_graph=True)
    return gradient.flatten(1).square().sum(1)


@dataclass(frozen=True, kw_only=True)
class EvasiveCW:
    """Carlini-Wagner with a penalty on the squared l2 norm of the loss gradient, the dual norm of l2.

    Adam on the pixels themselves, clipped to the box after each step, so that a pixel at exactly 0 or 1 is free to
    leave (no ``tanh``). Examples do not influence each other. Of all points that succeed, the one with the smallest
    ``|delta|^2 + mu |grad l|^2`` is kept. ``penalty=0`` is plain Carlini-Wagner.

    Attributes:
        penalty: ``mu``, in squared pixel scale per squared gradient.
        loss: ``l``, of each example.
        label: the label in ``l``: ``"adversarial"``, the class that the attack drives to (the target, or the best class
            other than ``y``), or ``"given"``, ``y`` itself. They differ for an untargeted attack only.
        steps: of Adam, for each ``c``.
        step_size: of Adam, pixel scale; it falls to 0 linearly, which finds closer points than a constant one.
        search_steps: values of ``c`` tried.
        initial_const: the first ``c``.
        confidence: margin (logits) that is asked for, at least 0.
        detected: ``detected(x) -> bool (n,)``; if given, a point succeeds only where it is not detected. It is asked
            about points that are misclassified only.
        targeted: ``y`` holds target classes.
        box: range of the inputs.
    """

    penalty: float
    loss: Loss = cross_entropy
    label: Literal["adversarial", "given"] = "adversarial"
    steps: int = 100
    step_size: float = 0.05
    search_steps: int = 9
    initial_const: float = 1.0
    confidence: float = 0.0
    detected: Callable[[Tensor], Tensor] | None = None
    targeted: bool = False
    box: Box = ball.PIXELS
    norm: ClassVar[Norm] = "l2"

    def __post_init__(self) -> None:
        ball.check_budget(0.0, self.norm, self.box)
        for name, value in (("penalty", self.penalty), ("confidence", self.confidence)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name}={value!r}: allowed is a finite number, at least 0")
        if self.label not in ("adversarial", "given"):
            raise ValueError(f"label={self.label!r}: allowed is adversarial or given")
        for name, value in (("steps", self.steps), ("search_steps", self.search_steps)):
            if value < 1:
                raise ValueError(f"{name}={value!r}: allowed is an integer, at least 1")
        for name, value in (("step_size", self.step_size), ("initial_const", self.initial_const)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{name}={value!r}: allowed is a positive number")

    def __call__(self, model: Model, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG002
        """Attack a batch: ``x (n, ...)`` in the box, ``y (n,)`` int64; no random numbers are drawn.

        Returns:
            Shape, dtype and device of ``x``; an example for which nothing was found comes back unchanged.
        """
        ball.check_inputs(x, y, self.box)
        search = _Search(x.detach(), self.initial_const)
        with frozen(model), torch.enable_grad():
            for _ in range(self.search_steps):
                self._descend(model, x.detach(), y, search)
                search.next_const()
        return search.best

    def _descend(self, model: Model, x: Tensor, y: Tensor, search: _Search) -> None:
        """Adam from ``x`` with the present constants; every point on the way is offered to the search."""
        point, mean, square = x.clone(), torch.zeros_like(x), torch.zeros_like(x)
        for step in range(1, self.steps + 1):
            point.requires_grad_(True)
            logits = model(point)
            cost = self._cost(logits, x, point, y)
            lacking = self.confidence - margin(logits, y) * (-1 if self.targeted else 1)
            (gradient,) = torch.autograd.grad((cost + search.const * lacking.clamp(min=0)).sum(), point)
            point = point.detach()
            adversarial = succeeded(logits, y, targeted=self.targeted) & (lacking <= 0)
            search.offer(point, cost.detach(), self._undetected(point, adversarial))
            mean.lerp_(gradient, 1 - _BETA_1)
            square.lerp_(gradient.square(), 1 - _BETA_2)
            scale = (square / (1 - _BETA_2**step)).sqrt_().add_(_TINY)
            length = self.step_size * (1 - (step - 1) / self.steps)
            point = (point - length * (mean / (1 - _BETA_1**step)) / scale).clamp_(*self.box)

    def _cost(self, logits: Tensor, x: Tensor, point: Tensor, y: Tensor) -> Tensor:
        """``|delta|^2 + mu |grad l|^2``, shape ``(n,)``, with a graph."""
        distance = (point - x).flatten(1).square().sum(1)
        if self.penalty == 0:
            return distance
        label = y if self.targeted or self.label == "given" else best_other(logits, y).indices
        return distance + self.penalty * squared_gradient_norm(self.loss(logits, label), point)

    def _undetected(self, point: Tensor, adversarial: Tensor) -> Tensor:
        if self.detected is None or not adversarial.any():
            return adversarial
        undetected = adversarial.clone()
        undetected[adversarial] = ~self.detected(point[adversarial])
        return undetected


class _Search:
    """The best points so far, and the binary search over ``c`` of each example, all ``(n,)``."""

    def __init__(self, x: Tensor, initial_const: float) -> None:
        self.best = x.clone()
        self.cost = x.new_full((len(x),), torch.inf)
        self.const = torch.full_like(self.cost, initial_const)
        self.low, self.high = torch.zeros_like(self.cost), self.cost.clone()
        self.found = torch.zeros_like(self.cost, dtype=torch.bool)

    def offer(self, points: Tensor, cost: Tensor, success: Tensor) -> None:
        better = success & (cost < self.cost)
        self.best[better], self.cost[better] = points[better], cost[better]
        self.found |= success

    def next_const(self) -> None:
        """Smaller where the present one sufficed, larger where not: tenfold until one has."""
        self.high = torch.where(self.found, self.const, self.high)
        self.low = torch.where(self.found, self.low, self.const)
        self.const = torch.where(self.high.isinf(), 10 * self.const, (self.low + self.high) / 2)
        self.found.zero_()
