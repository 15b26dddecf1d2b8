"""Gradient attacks within a budget: projected gradient descent (PGD) and the fast gradient sign method."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advsmooth.attacks import ball
from advsmooth.attacks.ball import Box, Norm
from advsmooth.attacks.isolation import Model, frozen
from advsmooth.attacks.losses import Loss, cross_entropy, succeeded


@dataclass(frozen=True, kw_only=True)
class PGD:
    """Projected gradient descent (Madry et al. 2018; Kanai et al. 2021, section 2.1): it ascends the loss.

    ``x' <- P(x' + step_size d)``, where ``d`` is the steepest direction of the loss at ``x'`` in the norm
    (:func:`advsmooth.attacks.ball.steepest`) and ``P`` projects onto the ball, then clips to the box. One restart
    without early stopping costs exactly ``steps`` forward and backward passes, and none for the parameters.

    Attributes:
        eps: radius, pixel scale.
        steps: gradient steps; 0 leaves the start.
        step_size: length of a step in the norm, pixel scale; ``2.5 eps / steps`` if not given.
        norm: of the ball, ``"linf"`` or ``"l2"``.
        random_start: start uniform in the ball, clipped to the box; at ``x`` otherwise.
        restarts: independent random starts; the worst result of each example is kept, success first, then by loss.
            Every restart is judged by one more forward pass, unless there is only one.
        early_stop: an example that is broken stays where it is and leaves the batch, so that it costs nothing more;
            the loss must then take any subset of the examples.
        loss: of each example, ``loss(logits, y) -> (n,)``.
        targeted: ``y`` holds target classes and the loss is descended.
        box: range of the inputs; ``ball.UNBOUNDED`` for toy data.

    Raises:
        ValueError: for a value that is not allowed, when made; for inputs that are not, when called.
    """

    eps: float
    steps: int = 10
    step_size: float | None = None
    norm: Norm = "linf"
    random_start: bool = True
    restarts: int = 1
    early_stop: bool = False
    loss: Loss = cross_entropy
    targeted: bool = False
    box: Box = ball.PIXELS

    def __post_init__(self) -> None:
        ball.check_budget(self.eps, self.norm, self.box)
        if self.steps < 0 or self.restarts < 1:
            raise ValueError(f"steps={self.steps!r}, restarts={self.restarts!r}: allowed is at least 0 and at least 1")
        if self.step_size is not None and not 0 <= self.step_size < float("inf"):
            raise ValueError(f"step_size={self.step_size!r}: allowed is a finite length in pixel scale, at least 0")
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"restarts={self.restarts}: without a random start they would all be the same")

    @property
    def step(self) -> float:
        """Length of a step, given or ``2.5 eps / steps``."""
        return 2.5 * self.eps / max(1, self.steps) if self.step_size is None else self.step_size

    def at(self, eps: float) -> PGD:
        """The same attack at another radius, a given step size scaled with it."""
        scaled = None if self.step_size is None or self.eps == 0 else self.step_size * eps / self.eps
        return replace(self, eps=eps, step_size=scaled)

    def start(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Where a restart begins, shape of ``x``: drawn from the ball, or a copy of ``x``."""
        if self.random_start:
            return ball.uniform(x.detach(), self.eps, self.norm, generator, self.box)
        return x.detach().clone()

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        *,
        generator: torch.Generator | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        """Attack a batch.

        Args:
            model: maps ``(n, ...)`` to logits ``(n, classes)``; its flags are left as found.
            x: inputs in the box, shape ``(n, ...)``.
            y: labels ``(n,)``, int64, or whatever the loss takes, one row each, for a single restart.
            generator: for the random starts.
            start: where to begin instead, shape of ``x``; needs ``restarts=1``.

        Returns:
            Adversarial inputs, shape, dtype and device of ``x``, detached.
        """
        ball.check_inputs(x, y, self.box)
        if start is not None and (self.restarts > 1 or start.shape != x.shape):
            raise ValueError(f"start {tuple(start.shape)}: allowed is the shape of x, {tuple(x.shape)}, and restarts=1")
        x = x.detach()
        with frozen(model):
            if self.restarts == 1:
                return self._climb(model, x, y, self.start(x, generator) if start is None else start.detach().clone())
            return self._worst_restart(model, x, y, generator)

    def _worst_restart(self, model: Model, x: Tensor, y: Tensor, generator: torch.Generator | None) -> Tensor:
        worst = x.clone()
        height = x.new_full((len(x),), -torch.inf)
        broken = torch.zeros_like(height, dtype=torch.bool)
        for _ in range(self.restarts):
            start = self.start(x, generator)  # for all examples: what is drawn does not depend on who is left
            left = (~broken if self.early_stop else torch.ones_like(broken)).nonzero()[:, 0]
            if len(left) == 0:
                break
            candidate = self._climb(model, x[left], y[left], start[left])
            with torch.no_grad():
                logits = model(candidate)
                loss = self._heights(logits, y[left])
            hit = succeeded(logits, y[left], targeted=self.targeted)
            better = (hit & ~broken[left]) | ((hit == broken[left]) & (loss > height[left]))
            chosen = left[better]
            worst[chosen], broken[chosen] = candidate[better], hit[better]
            height[chosen] = loss[better].to(height.dtype)
        return worst

    def _climb(self, model: Model, x: Tensor, y: Tensor, x_adv: Tensor) -> Tensor:
        if self.early_stop:
            return self._climb_until_broken(model, x, y, x_adv)
        into_ball = ball.projection(x, self.eps, self.norm, self.box)
        for _ in range(self.steps):
            x_adv.requires_grad_(True)
            with torch.enable_grad():
                loss = self._heights(model(x_adv), y)
                (gradient,) = torch.autograd.grad(loss, x_adv, torch.ones_like(loss))
            x_adv = into_ball(x_adv.detach().add(ball.steepest(gradient, self.norm), alpha=self.step))
        return x_adv

    def _climb_until_broken(self, model: Model, x: Tensor, y: Tensor, x_adv: Tensor) -> Tensor:
        result = x_adv.clone()
        left = torch.arange(len(x), device=x.device)
        for _ in range(self.steps):
            x_adv = x_adv.detach().requires_grad_(True)
            with torch.enable_grad():
                logits = model(x_adv)
                going = ~succeeded(logits, y, targeted=self.targeted)
                result[left] = x_adv.detach()
                if not going.any():
                    return result
                loss = self._heights(logits, y)
                (gradient,) = torch.autograd.grad(loss, x_adv, torch.ones_like(loss))
            left, x, y, x_adv, gradient = (t[going] for t in (left, x, y, x_adv.detach(), gradient))
            moved = x_adv.add(ball.steepest(gradient, self.norm), alpha=self.step)
            x_adv = ball.project(moved, x, self.eps, self.norm, self.box)
        result[left] = x_adv.detach()
        return result

    def _heights(self, logits: Tensor, y: Tensor) -> Tensor:
        """What is ascended, shape ``(n,)``: the loss, or its negative towards a target."""
        loss = self.loss(logits, y)
        if loss.shape != y.shape[:1]:
            raise ValueError(f"loss of shape {tuple(loss.shape)}: allowed is one value per example, ({len(y)},)")
        return -loss if self.targeted else loss


def fgsm(
    eps: float,
    *,
    norm: Norm = "linf",
    loss: Loss = cross_entropy,
    targeted: bool = False,
    box: Box = ball.PIXELS,
) -> PGD:
    """The fast gradient sign method (Finlay et al., equation 3.2) or its l2 form (3.4): one full step from ``x``."""
    return PGD(eps=eps, steps=1, step_size=eps, norm=norm, random_start=False, loss=loss, targeted=targeted, box=box)


def iterative_fgsm(
    eps: float,
    *,
    steps: int = 10,
    step_size: float | None = None,
    norm: Norm = "linf",
    loss: Loss = cross_entropy,
    targeted: bool = False,
    box: Box = ball.PIXELS,
) -> PGD:
    """Iterated FGSM (Kurakin et al. 2017): PGD from ``x`` itself, without a random start."""
    return PGD(
        eps=eps, steps=steps, step_size=step_size, norm=norm, random_start=False, loss=loss, targeted=targeted, box=box
    )
