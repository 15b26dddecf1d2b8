"""A universal perturbation: one for all images (Moosavi-Dezfooli et al. 2017), by ascent of the mean loss.

Shafahi et al. 2020 ("Universal adversarial training") find it as projected gradient descent finds that of one image::

    d <- P(d + step_size s),   s = steepest direction of the mean over a mini-batch of min(loss(clip(x_i + d)), cap)

with ``P`` the projection onto the ball around 0. The cap matters: without it a few images that are long misclassified
would go on drawing the perturbation towards themselves, since the cross-entropy has no largest value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advsmooth.attacks import ball
from advsmooth.attacks.ball import Box, Norm
from advsmooth.attacks.isolation import Model, frozen, required
from advsmooth.attacks.losses import Loss, cross_entropy, succeeded


@dataclass(frozen=True, kw_only=True)
class Universal:
    """One perturbation for all images of a batch, ``|d| <= eps``, each moved image clipped to the box.

    It is a feasible point of the attack on every single image, so no universal perturbation breaks an image that the
    best perturbation of its own would leave.

    Attributes:
        eps: radius, pixel scale.
        norm: of the ball, ``"linf"`` or ``"l2"``.
        epochs: passes over the images.
        batch: images behind one step.
        step_size: length of a step, pixel scale; ``eps / 4`` if not given.
        loss: of each example, ``loss(logits, y) -> (n,)``.
        cap: value above which the loss of an image counts no more; infinity for none. The default is a cross-entropy
            at which the label has a probability of one in ten.
        box: range of the inputs.

    Raises:
        ValueError: for a value that is not allowed, when made; for inputs that are not, when called.
    """

    eps: float
    norm: Norm = "linf"
    epochs: int = 5
    batch: int = 50
    step_size: float | None = None
    loss: Loss = cross_entropy
    cap: float = math.log(10)
    box: Box = ball.PIXELS

    def __post_init__(self) -> None:
        ball.check_budget(self.eps, self.norm, self.box)
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"epochs={self.epochs!r}, batch={self.batch!r}: allowed are integers, at least 1")
        if self.step_size is not None and not 0 <= self.step_size < math.inf:
            raise ValueError(f"step_size={self.step_size!r}: allowed is a finite length in pixel scale, at least 0")
        if not self.cap > 0:
            raise ValueError(f"cap={self.cap!r}: allowed is a positive loss, or infinity for none")

    def at(self, eps: float) -> Universal:
        """The same attack at another radius, a given step size scaled with it."""
        scaled = None if self.step_size is None or self.eps == 0 else self.step_size * eps / self.eps
        return replace(self, eps=eps, step_size=scaled)

    def perturbation(self, model: Model, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The perturbation ``(1, ...)`` that breaks most of the images, among those after each epoch and none.

        Args:
            model: maps ``(n, ...)`` to logits; its flags are left as found.
            x: images in the box, ``(n, ...)``.
            y: labels ``(n,)``, int64.
            generator: for the order of the images.
        """
        ball.check_inputs(x, y, self.box)
        g, x = required(generator), x.detach()
        delta = torch.zeros_like(x[:1])
        if len(x) == 0:
            return delta
        centre = torch.zeros_like(delta)
        into_ball = ball.projection(centre, self.eps, self.norm, ball.UNBOUNDED)
        step = self.eps / 4 if self.step_size is None else self.step_size
        with frozen(model):
            best, most = delta, self._broken(model, x, y, delta)
            for _ in range(self.epochs):
                order = torch.randperm(len(x), generator=g, device=g.device).to(x.device)
                for some in order.split(self.batch):
                    slope = self._slope(model, x[some], y[some], delta)
                    delta = into_ball(delta + step * ball.steepest(slope, self.norm))
                broken = self._broken(model, x, y, delta)
                if broken > most:
                    best, most = delta, broken
        return best

    def apply(self, x: Tensor, perturbation: Tensor) -> Tensor:
        """Images moved by a perturbation ``(1, ...)`` and clipped to the box; also images it was not found on."""
        return (x.detach() + perturbation).clamp(*self.box)

    def __call__(self, model: Model, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The images moved by the perturbation found on them; shape, dtype and device of ``x``."""
        return self.apply(x, self.perturbation(model, x, y, generator=generator))

    def _slope(self, model: Model, x: Tensor, y: Tensor, delta: Tensor) -> Tensor:
        moving = delta.detach().clone().requires_grad_(True)
        with torch.enable_grad():
            losses = self.loss(model((x + moving).clamp(*self.box)), y)
            if losses.shape != y.shape[:1]:
                raise ValueError(f"loss of shape {tuple(losses.shape)}: allowed is one value per example, ({len(y)},)")
            (slope,) = torch.autograd.grad(losses.clamp(max=self.cap).mean(), moving)
        return slope

    def _broken(self, model: Model, x: Tensor, y: Tensor, delta: Tensor) -> int:
        with torch.no_grad():
            return int(succeeded(model(self.apply(x, delta)), y).sum())
