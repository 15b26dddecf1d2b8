"""Attacks on a network and its detector at once: adversarial, close, and not rejected.

A detector rejects inputs whose score is at least ``c``. Finlay et al. (section 7) evade theirs by a penalty on another
quantity, the gradient of the loss. Here the score itself enters the objective, as Carlini and Wagner 2017 ("Adversarial
examples are not easily detected") ask for: an attack counts only if the class is wrong *and* the score below ``c``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from advsmooth.attacks import ball
from advsmooth.attacks.ball import Box, Norm
from advsmooth.attacks.evasive import EvasiveCW
from advsmooth.attacks.isolation import Model, frozen
from advsmooth.attacks.losses import best_other, margin

_TINY = 1e-30  # squared: where a gradient underflows, its logarithm shall stay finite


def log_jacobian_norm(model: Model, x: Tensor) -> Tensor:
    """``log |grad p(x)|_{2,inf}`` of each example, ``(n,)``, with a graph: the score of the detector, to be descended.

    ``p`` are the softmax probabilities. The same number as :func:`advsmooth.analysis.input_gradient.jacobian_norms`
    gives, which keeps no graph. All rows of the Jacobian come from one backward pass over ``n K`` copies.

    Args:
        model: maps ``(n, ...)`` to logits ``(n, K)``, each row depending on its own input.
        x: inputs, with or without a graph of their own.
    """
    with torch.no_grad():
        classes = model(x[:1]).shape[1]
    copies = x.repeat_interleave(classes, 0)
    if not copies.requires_grad:
        copies.requires_grad_(True)
    p = model(copies).softmax(1).view(len(x), classes, classes)
    (rows,) = torch.autograd.grad(p.diagonal(dim1=1, dim2=2).sum(), copies, create_graph=True)
    squares = rows.flatten(1).square().sum(1).view(len(x), classes)
    return squares.amax(1).clamp_min(_TINY).log() / 2


@dataclass(frozen=True)
class Guarded:
    """A network and its detector as the attacker sees them: logits whose margin is positive only if both are fooled.

    With the margin ``m`` of the logits and the room ``t = log c - log score``, the logit of ``y`` is set so that the
    new margin is ``min(m, w t)`` where both are positive, else ``-([-m]_+ + w [-t]_+)``. The rest stays.

    Attributes:
        model: maps ``(n, ...)`` to logits.
        y: true labels of the batch it will be called with, always whole and in this order.
        c: the threshold.
        weight: ``w``, logits per unit of the logarithm of the score.
    """

    model: Model
    y: Tensor
    c: float
    weight: float

    def __call__(self, x: Tensor) -> Tensor:
        """Logits, shape ``(n, K)``."""
        logits = self.model(x)
        m = margin(logits, self.y)
        t = self.weight * (math.log(self.c) - log_jacobian_norm(self.model, x))
        lacking = (-m).clamp(min=0) + (-t).clamp(min=0)
        joint = torch.where(lacking > 0, -lacking, torch.minimum(m, t))
        raised = best_other(logits, self.y).values - joint
        return logits.scatter(1, self.y[:, None], raised[:, None])


@dataclass(frozen=True, kw_only=True)
class UndetectedCW:
    """The closest misclassified input with ``|grad p|_{2,inf} < c``: Carlini-Wagner on :class:`Guarded`.

    Attributes:
        c: the detector's threshold.
        weight: of the detector against the margin; run several and keep the closest.
        steps: of Adam, for each constant of the search.
        step_size: of Adam, pixel scale.
        search_steps: constants tried.
        box: range of the inputs.

    Raises:
        ValueError: for a threshold or a weight that is not a positive number; see also
            :class:`advsmooth.attacks.evasive.EvasiveCW`.
    """

    c: float
    weight: float = 1.0
    steps: int = 100
    step_size: float = 0.05
    search_steps: int = 5
    box: Box = ball.PIXELS
    norm: ClassVar[Norm] = "l2"

    def __post_init__(self) -> None:
        for name, value in (("c", self.c), ("weight", self.weight)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name}={value!r}: allowed is a positive number")

    def __call__(self, model: Model, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Attack a batch; an example for which nothing was found comes back unchanged."""
        attack = EvasiveCW(
            penalty=0.0, steps=self.steps, step_size=self.step_size, search_steps=self.search_steps, box=self.box
        )
        with frozen(model):
            return attack(Guarded(model, y, self.c, self.weight), x, y, generator=generator)
