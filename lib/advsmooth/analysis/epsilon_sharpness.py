r"""The epsilon-sharpness of a minimum, and its approximation by the Hessian (Kanai et al., definition 2, appendix B).

For a loss ``L`` that is not negative, at a minimum ``theta`` and for a radius ``r``::

    sharpness        max over |v| <= r of (L(theta + v) - L(theta)) / (1 + L(theta))            equation 73
    approximation    ||Hess L(theta)||_2 r^2 / (2 (1 + L(theta)))                               equation 74

With gradient ``g``, top eigenvalue ``lambda > 0`` (the spectral norm, where no eigenvalue is more negative than that)
and a Hessian that is ``rho``-Lipschitz, Taylor's theorem bounds the ratio of the two::

    1 - rho r / (3 lambda)  <=  ratio  <=  1 + 2 |g| / (lambda r) + rho r / (3 lambda)

The second term is there at a point that is no exact minimum and dominates below the radius ``2 |g| / lambda``
(:func:`crossover`). At a kink, where the loss rises with slope ``s > 0`` to both sides, the ratio grows like
``2 s / (lambda r)`` with any number put for ``lambda``.

Points are flat vectors. A *landscape* maps a displacement ``v`` from the centre to the loss and its gradient there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize
from torch import Tensor, nn

from advsmooth.analysis.empirical import Attack, adversarial_examples, mean_loss
from advsmooth.analysis.landscape import gradient_direction
from advsmooth.analysis.parameter_space import flat, point, shifted, standing_at, unflat
from advsmooth.theory import linear

Landscape = Callable[[Tensor], tuple[float, Tensor]]
"""A displacement ``(P,)`` -> the loss there and its gradient ``(P,)``."""

LONG = 10.0
"""Length of a step of the ascent in radii: long steps that are projected back approach a maximum on the sphere fast."""


def sharpness(rise: float, loss: float) -> float:
    """Equation 73 from the largest rise of the loss in the ball and the loss at its centre."""
    return rise / (1 + loss)


def approximation(norm: float, radius: float, loss: float) -> float:
    """Equation 74 from the spectral norm of the Hessian, the radius and the loss at the centre."""
    return norm * radius**2 / (2 * (1 + loss))


def crossover(slope: float, top: float) -> float:
    """The radius ``2 |g| / lambda`` at which the gradient and the Hessian contribute equally to the rise."""
    return 2 * slope / top


# --- the largest rise in a ball -----------------------------------------------------------------------------------


def quadratic_rise(hessian: Tensor, gradient: Tensor, radius: float) -> float:
    """The largest ``g . v + v . H v / 2`` over ``|v| <= radius``, exactly: the trust-region problem.

    The maximiser solves ``(mu I - H) v = g`` with ``mu >= max(lambda, 0)``; ``mu`` is found by bisection in the basis
    of eigenvectors. If ``g`` has no share in the top eigenspace, what is left of the radius goes there.

    Args:
        hessian: symmetric ``(d, d)``, float64.
        gradient: ``(d,)``.
        radius: positive.
    """
    values, vectors = torch.linalg.eigh(hessian)
    along = vectors.T @ gradient
    low = max(values[-1].item(), 0.0)
    high = low + gradient.norm().item() / radius

    def solution(mu: float) -> Tensor:
        gap = mu - values
        flat_there = gap <= 1e-14 * max(1.0, abs(mu))
        return torch.where(flat_there, torch.zeros_like(along), along / torch.where(flat_there, 1.0, gap))

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if solution(middle).norm() > radius else (low, middle)
    v = solution(high)
    left = radius**2 - v.square().sum().item()
    if values[-1] > 0 and left > 0:
        v[-1] += math.copysign(math.sqrt(left), along[-1].item())
    return (along @ v + (values * v.square()).sum() / 2).item()


def ascend(landscape: Landscape, radius: float, starts: Iterable[Tensor], *, steps: int) -> float:
    """The largest rise that projected gradient ascent finds in the ball: a lower bound of the true one.

    Every step has the length of ten radii and is projected back onto the ball. At an exact minimum the gradient
    vanishes, so an ascent needs starts away from the centre: random directions, or the top eigenvector both ways.

    Args:
        landscape: loss and gradient at a displacement.
        radius: of the ball.
        starts: directions; each is scaled to the radius.
        steps: from each start.

    Raises:
        ValueError: for a radius or a number of steps that is not positive, or no start.
    """
    if not 0 < radius < math.inf or steps < 1:
        raise ValueError(f"radius={radius!r}, steps={steps!r}: allowed is a positive radius and at least 1 step")
    best, base = -math.inf, None
    for start in starts:
        base = landscape(torch.zeros_like(start))[0] if base is None else base
        v = start * (radius / start.norm())
        for k in range(steps + 1):
            loss, slope = landscape(v)
            best = max(best, loss - base)
            size = slope.norm()
            if k == steps or size == 0:
                break
            v = v + LONG * radius / size * slope
            v = v * (radius / v.norm()).clamp(max=1)
    if base is None:
        raise ValueError("starts=[]: allowed is at least one direction")
    return max(best, 0.0)


def of_model(
    model: nn.Module, x: Tensor, y: Tensor, *, attack: Attack | None = None, seed: int = 0, batch: int = 1024
) -> Landscape:
    """The mean loss of a model around where it stands, eval mode; the model is left as found.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs; with frozen adversarial examples, those.
        y: labels.
        attack: if given, finds the examples anew at every displacement; the gradient is then that of Danskin's theorem.
        seed: of the attack, the same at every displacement.
        batch: examples at a time.
    """
    start = point(model)

    def at(displacement: Tensor) -> tuple[float, Tensor]:
        with standing_at(model, shifted(start, (1.0, unflat(displacement, start)))):
            moved = x if attack is None else adversarial_examples(model, attack, x, y, seed=seed, batch=batch)
            slope = flat(gradient_direction(model, moved, y, batch=batch))
            return mean_loss(model, moved, y, batch=batch), slope

    return at


def circle_rise(loss: Callable[[Tensor], Tensor], centre: Tensor, radius: float, *, angles: int = 720) -> float:
    """The largest rise of a convex loss of two parameters in a disc: on its rim, searched angle by angle and refined.

    Args:
        loss: maps points ``(m, 2)`` to losses ``(m,)``, float64.
        centre: ``(2,)``.
        radius: of the disc.
        angles: of the first search; the best is refined between its neighbours.
    """

    def rim(angle: np.ndarray | float) -> np.ndarray:
        phi = torch.as_tensor(np.atleast_1d(angle), dtype=centre.dtype)
        points = centre + radius * torch.stack([phi.cos(), phi.sin()], 1)
        return (loss(points) - loss(centre[None])).numpy()

    step = 2 * np.pi / angles
    tried = step * np.arange(angles)
    found = rim(tried)
    best = tried[found.argmax()]
    refined = optimize.minimize_scalar(
        lambda a: -rim(a)[0], bounds=(best - step, best + step), method="bounded", options={"xatol": 1e-9}
    )
    return float(max(found.max(), -refined.fun))


# --- exact cases --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Minimum:
    """A minimum of the adversarial loss of a binary linear model, and what the loss does around it.

    Attributes:
        x: inputs ``(n, 2)``.
        y: labels ``(n,)``.
        eps: the budget of the attack.
        norm: of the attack.
        theta: the minimum ``(2,)``.
        top: spectral norm of the Hessian; at a kink that of the limit from inside an orthant.
        slope: of the loss across the kink, the same to both sides; 0 without a kink.
    """

    x: Tensor
    y: Tensor
    eps: float
    norm: str
    theta: Tensor
    top: float
    slope: float

    def loss(self, theta: Tensor) -> Tensor:
        """The adversarial loss at points ``(m, 2)``."""
        return linear.loss(theta, self.x, self.y, self.eps, self.norm)

    def ratio(self, radius: float) -> float:
        """Equation 73 over equation 74; ``1 + L`` cancels."""
        return 2 * circle_rise(self.loss, self.theta, radius) / (self.top * radius**2)


def noisy_pair(norm: str, *, eps: float = 0.25, spread: float = 0.5, right: int = 7, of: int = 8) -> Minimum:
    """The exact minimum of the adversarial logistic loss where one feature says nothing about the label.

    Inputs ``(1, spread)`` and ``(1, -spread)``, of which ``right`` of ``of`` have the label +1 and the others -1. By
    symmetry the second weight is 0 at the minimum (appendix C of the paper has such a case), and the first one solves
    ``q (1-eps) s(-(1-eps) t) = (1-q) (1+eps) s((1+eps) t)``, ``q = right / of``, ``s`` the sigmoid. Under ``linf`` the
    minimum is a kink of slope ``eps (q s(-(1-eps) t) + (1-q) s((1+eps) t))``; under ``l2`` the loss is smooth there.

    Raises:
        ValueError: if the label is too noisy for a positive first weight.
    """
    q = right / of
    if not q * (1 - eps) > (1 - q) * (1 + eps):
        raise ValueError(f"right={right!r} of {of!r}, eps={eps!r}: the first weight would be 0; allowed is less noise")
    x = torch.tensor([[1.0, spread], [1.0, -spread]], dtype=torch.float64).repeat(of, 1)
    y = torch.tensor([1.0] * 2 * right + [-1.0] * 2 * (of - right), dtype=torch.float64)

    def s(t: float) -> float:
        return 1 / (1 + math.exp(-t))

    def slope_along(t: float) -> float:
        return (1 - q) * (1 + eps) * s((1 + eps) * t) - q * (1 - eps) * s(-(1 - eps) * t)

    t = float(optimize.brentq(slope_along, 0, 50, xtol=1e-15))
    inside = torch.tensor([[t, 1e-300 if norm == "linf" else 0.0]], dtype=torch.float64)  # just inside an orthant
    top = float(torch.linalg.matrix_norm(linear.hessian(inside, x, y, eps, norm)[0], 2))
    kink = eps * (q * s(-(1 - eps) * t) + (1 - q) * s((1 + eps) * t)) if norm == "linf" else 0.0
    return Minimum(x, y, eps, norm, torch.tensor([t, 0.0], dtype=torch.float64), top, kink)


@dataclass(frozen=True)
class Ridge:
    """Logistic regression in two dimensions with a ridge, at its minimum.

    Attributes:
        x: inputs times labels ``(n, 2)``.
        ridge: ``mu`` in ``mu/2 |theta|^2``.
        theta: the minimum.
        top: spectral norm of the Hessian there.
        rho: a Lipschitz constant of the Hessian: ``mean |x|^3 / (6 sqrt 3)``, since the third derivative of
            ``log(1 + exp(-t))`` is at most ``1 / (6 sqrt 3)`` in size.
    """

    x: Tensor
    ridge: float
    theta: Tensor
    top: float
    rho: float

    def loss(self, theta: Tensor) -> Tensor:
        """The loss at points ``(m, 2)``."""
        return -torch.nn.functional.logsigmoid(theta @ self.x.T).mean(1) + self.ridge / 2 * theta.square().sum(1)

    def ratio(self, radius: float) -> float:
        """Equation 73 over equation 74; ``1 + L`` cancels."""
        return 2 * circle_rise(self.loss, self.theta, radius) / (self.top * radius**2)

    def bound(self, radius: float) -> float:
        """What Taylor's theorem allows the ratio to differ from 1: ``rho r / (3 lambda)``."""
        return self.rho * radius / (3 * self.top)


def random_ridge(generator: torch.Generator, *, n: int = 12, ridge: float = 0.05) -> Ridge:
    """A :class:`Ridge` on normal inputs of random labels, its minimum found by Newton's method."""
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    theta = torch.zeros(2, dtype=torch.float64)
    for _ in range(50):
        s = torch.sigmoid(-(x @ theta))
        hessian = (x.T * (s * (1 - s))) @ x / n + ridge * torch.eye(2, dtype=torch.float64)
        theta = theta - torch.linalg.solve(hessian, ridge * theta - (s[:, None] * x).mean(0))
    rho = float(x.norm(dim=1).pow(3).mean()) / (6 * math.sqrt(3))
    return Ridge(x, ridge, theta, float(torch.linalg.matrix_norm(hessian, 2)), rho)


def cubic_ratio(top: float, rho: float, radius: float) -> float:
    """The ratio for ``lambda t^2 / 2 + rho max(t, 0)^3 / 6`` at 0, found by ascent: the bound is attained there."""

    def landscape(v: Tensor) -> tuple[float, Tensor]:
        up = v.clamp_min(0)
        return (top * v.square() / 2 + rho * up**3 / 6).item(), top * v + rho * up.square() / 2

    starts = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    return 2 * ascend(landscape, radius, starts, steps=2) / (top * radius**2)
