"""Training objectives: standard, adversarial training, TRADES, and input-gradient regularisation.

An objective has two stages. The *inner* stage finds inputs, the worst case of a budget or a step along the gradient,
and builds no graph. The *outer* stage is the loss at these inputs, held fixed, with a graph to the parameters. Calling
the objective does one after the other; weight perturbation (:mod:`advsmooth.training.awp`) needs the outer stage twice.

Attacks run in eval mode and leave every flag as found. Batch norm updates its running statistics once per pass over
different inputs: a second pass over the same inputs leaves them alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from advsmooth.attacks import ball
from advsmooth.attacks.ball import Norm
from advsmooth.attacks.evaluation import BudgetAttack
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.isolation import frozen, required
from advsmooth.attacks.losses import Loss, cross_entropy
from advsmooth.training.batchnorm import statistics_kept


class Outcome(NamedTuple):
    """What the outer stage returns.

    Attributes:
        loss: scalar, with a graph to the parameters.
        logits: ``(n, K)`` at the inputs the model is trained to get right: those of the inner stage for adversarial
            objectives, else the clean ones.
    """

    loss: Tensor
    logits: Tensor


class Objective(ABC):
    """A loss of a mini-batch; the subclasses are frozen dataclasses."""

    def inner(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG002
        """The inputs ``moved`` of :meth:`outer`, same shape as ``x``, without a graph."""
        return x

    @abstractmethod
    def outer(self, model: nn.Module, x: Tensor, moved: Tensor, y: Tensor) -> Outcome:
        """The loss at inputs ``x`` and ``moved``, the result of :meth:`inner`; both are constants."""

    def at_budget(self, eps: float) -> Self:
        """The same objective with another budget ``eps``, pixel scale.

        Raises:
            ValueError: if the objective has no budget.
        """
        raise ValueError(f"budget={eps!r}: {type(self).__name__} has no budget to schedule; leave the budget out")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The loss of a mini-batch.

        Args:
            model: maps inputs ``(n, ...)`` to logits ``(n, K)``; used in the mode it is in, apart from attacks.
            x: inputs ``(n, ...)``, pixel scale, on the device of the model.
            y: labels ``(n,)``, int64.
            generator: for random starts.

        Returns:
            A scalar with a graph to the parameters.
        """
        return self.outer(model, x, self.inner(model, x, y, generator), y).loss


@dataclass(frozen=True)
class Standard(Objective):
    """The mean loss of the clean inputs."""

    loss: Loss = cross_entropy

    def outer(self, model: nn.Module, x: Tensor, moved: Tensor, y: Tensor) -> Outcome:  # noqa: ARG002
        """See :meth:`Objective.outer`."""
        logits = model(x)
        return Outcome(self.loss(logits, y).mean(), logits)


@dataclass(frozen=True)
class AdversarialTraining(Objective):
    """The mean loss at attacked inputs (Madry et al. 2018): ``1/n sum_i max_{||delta|| <= eps} l(x_i + delta, y_i)``.

    Attributes:
        attack: finds the inputs; it maximises its own loss.
        loss: minimised at these inputs.
        scale_step: whether the step size of the attack follows a scheduled budget in proportion (as for CIFAR-10 in Liu
            et al., a quarter of the budget) or stays (as on MNIST there). The number of steps stays either way.
    """

    attack: BudgetAttack
    loss: Loss = cross_entropy
    scale_step: bool = True

    def inner(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Attacked inputs; ``x`` itself, at no cost, if the budget is 0."""
        return self.attack(model, x, y, generator=generator) if self.attack.eps > 0 else x

    def outer(self, model: nn.Module, x: Tensor, moved: Tensor, y: Tensor) -> Outcome:  # noqa: ARG002
        """See :meth:`Objective.outer`."""
        logits = model(moved)
        return Outcome(self.loss(logits, y).mean(), logits)

    def at_budget(self, eps: float) -> Self:
        """See :meth:`Objective.at_budget`."""
        attack: Any = self.attack
        return replace(self, attack=attack.at(eps) if self.scale_step else replace(attack, eps=eps))


@dataclass(frozen=True)
class TRADES(Objective):
    """``mean l(x) + beta mean KL(p(x) || p(x'))`` with ``x'`` the worst case of the divergence (Zhang et al. 2019).

    The inner maximisation starts at ``x`` plus 0.001 times standard normal noise: at ``x`` itself the divergence has
    gradient zero. In the outer loss both arguments of the divergence keep their gradient. There is one pass over the
    clean and one over the moved inputs, each updating batch norm once.

    Attributes:
        eps: the budget, pixel scale.
        step_size: of the inner maximisation; it follows a scheduled budget in proportion.
        steps: of the inner maximisation.
        beta: weight of the divergence.
        norm: ``"linf"`` or ``"l2"``.
        loss: the loss of the clean inputs.

    Raises:
        ValueError: for a budget, step size or norm that :class:`~advsmooth.attacks.gradient.PGD` refuses, for no steps,
            or for a negative ``beta``.
    """

    eps: float = 0.031
    step_size: float = 0.007
    steps: int = 10
    beta: float = 6.0
    norm: Norm = "linf"
    loss: Loss = cross_entropy

    NOISE = 0.001
    """Standard deviation of the start, pixel scale."""

    def __post_init__(self) -> None:
        _ = self.attack
        if self.steps < 1 or not 0 <= self.beta < math.inf:
            raise ValueError(f"steps={self.steps!r}, beta={self.beta!r}: allowed are steps >= 1 and beta >= 0")

    @property
    def attack(self) -> PGD:
        """The inner maximisation; its labels are log probabilities ``(n, K)``."""
        return PGD(
            eps=self.eps,
            steps=self.steps,
            step_size=self.step_size,
            norm=self.norm,
            random_start=False,
            loss=divergence,
        )

    def inner(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG002
        """The worst case of the divergence within the budget and [0, 1], in eval mode; ``x`` if the budget is 0."""
        if self.eps == 0:
            return x
        g = required(generator)
        noise = torch.randn(x.shape, generator=g, dtype=x.dtype, device=g.device).to(x.device)
        with frozen(model), torch.no_grad():
            clean = functional.log_softmax(model(x), dim=1)
        return self.attack(model, x, clean, start=x + self.NOISE * noise)

    def outer(self, model: nn.Module, x: Tensor, moved: Tensor, y: Tensor) -> Outcome:
        """See :meth:`Objective.outer`."""
        clean, worst = model(x), model(moved)
        apart = divergence(worst, functional.log_softmax(clean, dim=1))
        return Outcome(self.loss(clean, y).mean() + self.beta * apart.mean(), worst)

    def at_budget(self, eps: float) -> Self:
        """See :meth:`Objective.at_budget`."""
        return replace(self, eps=eps, step_size=self.step_size * eps / self.eps if self.eps > 0 else self.step_size)


def divergence(logits: Tensor, log_p: Tensor) -> Tensor:
    """``KL(p || softmax(logits))`` of each row, shape ``(n,)``; both arguments ``(n, K)`` and differentiable."""
    return (log_p.exp() * (log_p - functional.log_softmax(logits, dim=1))).sum(dim=1)


@dataclass(frozen=True)
class GradientRegularised(Objective):
    """``mean l + tv mean ||grad_x l|| + lipschitz max ||grad_x l||`` over the batch (Finlay et al., eqs. 2.6, 2.9).

    The norm of the gradient is dual to that of the attack. By finite differences (the last display of section 2.2) it
    is ``(l(x + h d) - l(x)) / h`` with ``d`` the attack direction, a constant. Next to standard training that costs one
    pass for the direction and one for the difference; all of it is computed without autocast. Exact norms take a second
    back-propagation through the input gradient.

    With batch norm in train mode the gradient of an input is that of the summed loss, including what the input does to
    the others through the batch statistics. The means of both ways then still agree as ``h`` falls, while single norms,
    and so the maximum, may differ: a difference assigns these effects to the other inputs. Only the pass over the clean
    inputs updates the running statistics.

    Attributes:
        tv: weight of the total variation; the paper's ``epsilon``.
        lipschitz: weight of the Lipschitz term; the paper's ``lambda``.
        norm: of the attack, ``"l2"`` (the gradient is measured in the 2-norm) or ``"linf"`` (in the 1-norm).
        h: step of the finite difference, in units of the attack norm. In float32 both 1e-2 and 1e-4 are worse, unless
            the network is nearly linear.
        exact: differentiate twice instead.
        loss: the loss.
    """

    tv: float = 0.01
    lipschitz: float = 0.0
    norm: Norm = "l2"
    h: float = 1e-3
    exact: bool = False
    loss: Loss = cross_entropy

    def __post_init__(self) -> None:
        ball.check_budget(0.0, self.norm, ball.PIXELS)
        for name, value in (("tv", self.tv), ("lipschitz", self.lipschitz)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}={value!r}: the weight of a penalty is a number, at least 0")
        if not 0 < self.h < 1:
            raise ValueError(f"h={self.h!r}: the step of a finite difference is a number between 0 and 1, such as 1e-3")

    def inner(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG002
        """``x + h d``, off the box [0, 1] by at most ``h``; ``x`` for exact norms."""
        return x if self.exact else x + self.h * direction(model, x, y, self.norm, self.loss)

    def outer(self, model: nn.Module, x: Tensor, moved: Tensor, y: Tensor) -> Outcome:
        """See :meth:`Objective.outer`."""
        if self.exact:
            x = x.detach().requires_grad_()
            logits = model(x)
            each = self.loss(logits, y)
            (gradient,) = torch.autograd.grad(each.sum(), x, create_graph=True)
            norms = ball.dual_norms(gradient, self.norm)
        else:
            with _full_precision(x):
                logits = model(x)
                each = self.loss(logits, y)
                norms = _difference(model, each, moved, y, self.h, self.loss)
        return Outcome(each.mean() + self.tv * norms.mean() + self.lipschitz * norms.max(), logits)


def gradient_norms(model: nn.Module, x: Tensor, y: Tensor, norm: Norm = "l2", loss: Loss = cross_entropy) -> Tensor:
    """Exact norms ``||grad_x l||`` of each example, dual to the attack norm, shape ``(n,)``, detached."""
    return ball.dual_norms(_input_gradient(model, x, y, loss), norm)


def difference_norms(
    model: nn.Module, x: Tensor, y: Tensor, norm: Norm = "l2", *, h: float = 1e-3, loss: Loss = cross_entropy
) -> Tensor:
    """The same norms as ``(l(x + h d) - l(x)) / h``; shape ``(n,)``, with a graph to the parameters."""
    moved = x + h * direction(model, x, y, norm, loss)
    with _full_precision(x):
        each = loss(model(x), y)
        return _difference(model, each, moved, y, h, loss)


def direction(model: nn.Module, x: Tensor, y: Tensor, norm: Norm, loss: Loss = cross_entropy) -> Tensor:
    """The attack direction ``d`` of Finlay et al., equations 3.2 and 3.4, without a graph; 0 where the gradient is 0.

    The network runs in the mode it is in (a difference in another mode would have another gradient), without updating
    running statistics.
    """
    return ball.steepest(_input_gradient(model, x, y, loss), norm)


def _input_gradient(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
    x = x.detach().requires_grad_()
    with _full_precision(x), statistics_kept(model), torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(model(x), y).sum(), x)
    return gradient


def _difference(model: nn.Module, each: Tensor, moved: Tensor, y: Tensor, h: float, loss: Loss) -> Tensor:
    with statistics_kept(model):
        return (loss(model(moved), y) - each) / h


def _full_precision(x: Tensor) -> torch.autocast:
    """A context without autocast: a difference over h = 1e-3 needs the digits of float32.

    Raises:
        ValueError: if ``x`` itself has fewer.
    """
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x of dtype {x.dtype}: finite differences of a loss need float32 or float64")
    return torch.autocast(x.device.type, enabled=False)
