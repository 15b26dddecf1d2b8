r"""The loss surfaces that Kanai et al. draw (figures 2, 4 and 5): exact where the worst case has a closed form.

*One swish unit.* With label +1 the loss of an input is ``g(u) = log(1 + exp(-swish(u)))`` with ``u = theta . x`` and
``swish(u) = u s(u)``, ``s`` the sigmoid. It sees the input through ``u`` alone, and within a budget ``u`` takes every
value from ``theta . x - eps |theta|_*`` to ``theta . x + eps |theta|_*`` (:func:`reach`), where ``|theta|_*`` is the
dual norm of :mod:`advsmooth.theory.linear`. The swish falls up to ``u* = -1 - W(1/e)`` and rises after it, so the worst
``u`` is the value of that interval nearest to ``u*``. ``W`` is Lambert's function, ``W(t) e^W(t) = t``.

*Minimisers.* The losses of the linear model are convex in ``theta``, and so is the objective ``-F`` of EntropySGD made
from them (Prekopa's theorem); :func:`minimiser` and :func:`smoothed_minimiser` find their minima by Newton's method.

Shapes as in :mod:`advsmooth.theory.linear`: parameters ``theta (m, d)``; one input ``x (d,)`` here. Everything is
float64. Bad input is refused with a one-line ``ValueError``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.special import lambertw
from torch import Tensor
from torch.nn.functional import softplus

from advsmooth.theory import entropy, linear

SWISH_LEAST = -1.0 - float(lambertw(math.exp(-1)).real)
"""``u*``, where the swish is least: ``1 + u s(-u) = 0`` means ``-(1 + u) = e^u``, so ``-(1 + u) = W(1/e)``."""

PLATEAU = math.log1p(math.exp(-1.0 - SWISH_LEAST))
"""The loss where the worst case reaches ``u*``: ``swish(u*) = 1 + u*``, hence ``log(1 + exp(W(1/e)))``."""

# --- one swish unit, label +1 -----------------------------------------------------------------------------------------


def swish(u: Tensor) -> Tensor:
    """``u s(u)``."""
    return u * torch.sigmoid(u)


def height(u: Tensor) -> Tensor:
    """``g(u) = log(1 + exp(-swish(u)))``."""
    return softplus(-swish(u))


def slope(u: Tensor) -> Tensor:
    """``g'(u) = -s(-swish) swish'``; zero at ``u*``, positive below it, negative above."""
    s = torch.sigmoid(u)
    return -torch.sigmoid(-swish(u)) * s * (1 + u * (1 - s))


def bend(u: Tensor) -> Tensor:
    """``g''(u) = s(z) s(-z) swish'^2 - s(-z) swish''`` with ``z = swish(u)``."""
    s, z = torch.sigmoid(u), swish(u)
    first, second = s * (1 + u * (1 - s)), s * (1 - s) * (2 + u * (1 - 2 * s))
    return torch.sigmoid(-z) * (torch.sigmoid(z) * first.square() - second)


def reach(theta: Tensor, x: Tensor, eps: float, norm: str) -> tuple[Tensor, Tensor]:
    """The least and the largest ``theta . (x + delta)`` within the budget, both ``(m,)``."""
    if theta.ndim != 2 or x.shape != theta.shape[1:] or not 0 <= eps < math.inf:
        raise ValueError(f"theta {tuple(theta.shape)}, x {tuple(x.shape)}, eps={eps!r}: need (m, d), (d,), eps >= 0")
    middle, half = theta @ x, eps * linear.dual_norm(theta, norm)
    return middle - half, middle + half


def worst_u(theta: Tensor, x: Tensor, eps: float, norm: str) -> Tensor:
    """The worst ``u`` within the budget, ``(m,)``: the reachable value nearest to ``u*``."""
    low, high = reach(theta, x, eps, norm)
    return torch.maximum(low, torch.clamp(high, max=SWISH_LEAST))


def swish_loss(theta: Tensor, x: Tensor, eps: float, norm: str) -> Tensor:
    """The adversarial loss of the swish unit, exact, ``(m,)``."""
    return height(worst_u(theta, x, eps, norm))


def _gradient(theta: Tensor, x: Tensor, eps: float, norm: str, direction: Tensor) -> Tensor:
    low, high = reach(theta, x, eps, norm)
    side = torch.where(low >= SWISH_LEAST, -1.0, 1.0).to(x)  # which end; between the two g' is 0 and it is all the same
    steepness = torch.where((low < SWISH_LEAST) & (high > SWISH_LEAST), 0.0, slope(worst_u(theta, x, eps, norm)))
    return steepness[:, None] * (x + eps * side[:, None] * direction)


def swish_gradient(theta: Tensor, x: Tensor, eps: float, norm: str) -> Tensor:
    """Its gradient ``g'(u) (x + delta)`` at the worst ``u``, ``(m, d)``; zero where ``u*`` is reachable.

    At a kink the component of ``delta`` that is undefined is taken as 0, as in :mod:`advsmooth.theory.linear`.
    """
    return _gradient(theta, x, eps, norm, linear.steepest(theta, norm))


def swish_jump(theta: Tensor, direction: Tensor, x: Tensor, eps: float, norm: str) -> Tensor:
    """Exact jump of the gradient on crossing ``theta`` in a direction, ``(m, d)``: ``-+eps g'(u) (u_+ - u_-)``."""
    sides = [linear.one_sided_steepest(theta, sign * direction, norm) for sign in (1, -1)]
    return _gradient(theta, x, eps, norm, sides[0]) - _gradient(theta, x, eps, norm, sides[1])


# --- kinks, found without knowing where they are ----------------------------------------------------------------------


def kink_heights(gradient: Callable[[Tensor], Tensor], theta: Tensor, step: float = 1e-8) -> Tensor:
    """How much the gradient changes across each point, ``(m,)``: the largest change over four directions.

    The directions are the two axes and the two diagonals, from ``step`` on one side to ``step`` on the other. Where the
    gradient is Lipschitz with constant ``C`` the result is at most ``3 C step``; a jump is there at every step.

    Args:
        gradient: maps ``(m, 2)`` to ``(m, 2)``.
        theta: ``(m, 2)``.
        step: along each axis.
    """
    ways = step * torch.tensor([[1, 0], [0, 1], [1, 1], [1, -1]]).to(theta)
    changes = [(gradient(theta + way) - gradient(theta - way)).norm(dim=1) for way in ways]
    return torch.stack(changes).amax(0)


def jumps_along(start: Tensor, end: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> tuple[Tensor, Tensor]:
    """The sum of all jumps of the linear model's gradient along a segment, as found and as explained, both ``(d,)``.

    Found is the change of the gradient between the ends less the integral of the Hessian; it does not use where the
    jumps are. Explained are the crossings of the axes (``"linf"``) or of the origin (``"l2"``, only for ``end`` equal
    to ``-start``, which passes through it).
    """
    change = linear.gradient(torch.stack([start, end]), x, y, eps, norm).diff(dim=0)[0]
    if norm == "l2" and eps > 0 and torch.equal(start, -end):
        # No Hessian at the origin: leave out 1e-12 of the way, and go outwards, where rounding is harmless.
        inwards, outwards = (linear.smooth_change(1e-12 * p, p, x, y, eps, norm) for p in (start, end))
        explained = linear.gradient_jump(torch.zeros_like(start)[None], (end - start)[None], x, y, eps, norm)[0]
        return change - (outwards - inwards), explained
    path = torch.stack([start, end])
    explained = linear.path_jumps(path, x, y, eps)[0] if norm == "linf" else torch.zeros_like(start)
    return change - linear.smooth_change(start, end, x, y, eps, norm), explained


# --- minimisers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Minimum:
    """A minimiser of the adversarial loss of the linear model, with what shows that it is one.

    Attributes:
        theta: the minimiser, ``(d,)``; components at a kink are exactly 0.
        slack: how far inside its set of allowed slopes the kink holds, 1 minus the slope of the rest over the height of
            the kink, the smallest over the components held at 0; 1 if there are none. Positive: exactly 0, robustly.
        residual: the largest slope in a direction that is not held.
    """

    theta: Tensor
    slack: float
    residual: float


def minimiser(x: Tensor, y: Tensor, eps: float, norm: str) -> Minimum:
    """Minimise ``L_eps`` of the linear model over the plane (any dimension for ``"l2"``), to rounding.

    The loss is convex, so a point with 0 among its subgradients is a minimum. For ``"linf"`` the loss on one orthant
    with signs ``s`` is the clean loss of the data ``x - y eps s``; candidates are the origin, the half-axes and the
    orthants, in this order, and the first that satisfies the condition is the answer.

    Args:
        x: inputs ``(n, d)``, with ``d = 2`` for ``"linf"``.
        y: labels ``(n,)``, -1 or +1.
        eps: radius, positive: without an attack separable data have no minimiser.
        norm: ``"l2"`` or ``"linf"``.

    Raises:
        ValueError: if no candidate is a minimum to 1e-9, which separable data with a small radius may cause.
    """
    if not eps > 0 or norm not in linear.NORMS:
        raise ValueError(f"eps={eps!r}, norm={norm!r}: allowed is a positive radius, l2 or linf")
    d = x.shape[1]
    pull = (y[:, None] * x).mean(0) / 2  # minus the slope at 0 of what is not the kink
    size = pull.norm() if norm == "l2" else pull.abs().max()  # in the norm of the attack: the kink is a ball of slopes
    at_zero = 1 - size.item() / (eps / 2)
    if at_zero >= 0:
        return Minimum(torch.zeros_like(pull), at_zero, 0.0)
    if norm == "l2":
        start = pull / pull.norm()
        theta = _newton(lambda t: (linear.gradient(t, x, y, eps, "l2"), linear.hessian(t, x, y, eps, "l2")), start)
        return _checked(theta, x, y, eps, norm)
    if d != 2:
        raise ValueError(f"d={d}: allowed is 2 for linf")
    signs = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [1, -1], [-1, 1], [-1, -1]]
    for sign in torch.tensor(signs).to(x):
        on = sign != 0
        moved = (x - eps * y[:, None] * sign)[:, on]
        theta = torch.zeros_like(sign)
        theta[on] = _newton(functools.partial(_clean, x=moved, y=y), torch.zeros_like(moved[0]))
        if bool((theta * sign > 0)[on].all()):
            found = _condition(theta, x, y, eps, norm)
            if found.slack >= 0 and found.residual < 1e-9:
                return found
    raise ValueError(f"eps={eps!r}: no minimum found; the data may be separable within the radius")


def _clean(theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return linear.gradient(theta, x, y, 0.0, "linf"), linear.hessian(theta, x, y, 0.0, "linf")


def _newton(derivatives: Callable[[Tensor], tuple[Tensor, Tensor]], theta: Tensor, tries: int = 200) -> Tensor:
    """Damped Newton steps ``theta - step / (1 + |step|)`` from ``theta (d,)``, until they are of rounding size.

    NaN if they never are: on separable data every step has a length of about 1, and the slopes vanish all the same.
    """
    for _ in range(tries):
        gradient, hessian = derivatives(theta[None])
        step, failed = torch.linalg.solve_ex(hessian[0], gradient[0])
        if bool(failed) or not bool(step.isfinite().all()):
            break
        theta = theta - step / (1 + step.norm())
        if step.norm() < 1e-11:
            return theta
    return torch.full_like(theta, torch.nan)


def _condition(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Minimum:
    weight = torch.sigmoid(-linear.margins(theta[None], x, y, eps, norm))[0]
    rest = -(weight * y) @ x / len(x)
    slopes = rest + eps * weight.mean() * linear.steepest(theta[None], norm)[0]
    held = theta == 0 if norm == "linf" else torch.zeros_like(theta, dtype=torch.bool)
    slack = 1.0 if not bool(held.any()) else 1 - (rest[held].abs().max() / (eps * weight.mean())).item()
    return Minimum(theta, slack, 0.0 if bool(held.all()) else slopes[~held].abs().max().item())


def _checked(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Minimum:
    found = _condition(theta, x, y, eps, norm)
    if not found.residual < 1e-9:
        raise ValueError(f"eps={eps!r}: no minimum found; the data may be separable within the radius")
    return found


# --- the objective of EntropySGD --------------------------------------------------------------------------------------


def plane(gamma: float, lipschitz: float, furthest: float = 2.0, *, order: int = 6) -> entropy.Grid:
    """A quadrature grid for the integral over the whole plane, for points within ``furthest`` on each axis.

    ``lipschitz`` is a Lipschitz constant ``C`` of the loss: it moves the mass by at most ``C / gamma``, and nine
    standard deviations of the Gaussian factor leave less than :data:`advsmooth.theory.entropy.EDGE` outside.
    """
    half = furthest + lipschitz / gamma + 9 / math.sqrt(gamma)
    return entropy.grid(-half, half, d=2, width=min(1.0, 1.2 / math.sqrt(gamma)), order=order)


def box(gamma: float, half: float = 2.0, *, order: int = 6) -> entropy.Grid:
    """A quadrature grid for the integral cut off at ``[-half, half]^2``."""
    return entropy.grid(-half, half, d=2, width=min(0.5, 1.2 / math.sqrt(gamma)), order=order)


def smoothed_square(loss: entropy.Function, side: Tensor, gamma: float, over: entropy.Grid) -> Tensor:
    """``-F`` at all ``(side_i, side_j)``, shape ``(n, n)``; the values of :func:`entropy.local_entropy`, much faster.

    The Gaussian factor is a product over the axes, so the double sum is two products of matrices. For ``over`` in two
    dimensions.
    """
    k = math.isqrt(len(over.nodes))
    nodes = over.nodes[:k, 1]
    kernel = torch.exp(-gamma / 2 * (side[:, None] - nodes).square())
    height = loss(over.nodes)
    least = height.min()
    density = (torch.exp(least - height) * over.weights).reshape(k, k)
    return least - torch.log(kernel @ density @ kernel.T)


def smoothed_minimiser(
    loss: entropy.Function, gamma: float, over: entropy.Grid, start: Tensor, *, cut_off: bool = False
) -> entropy.LocalEntropy:
    """Minimise ``-F`` for a convex loss by Newton's method from ``start (d,)``; the objective at its minimiser.

    Raises:
        ValueError: if 100 steps do not reach a gradient of 1e-9, or the grid cuts the integral off unasked.
    """
    heights = loss(over.nodes)
    theta = start[None]
    for _ in range(100):
        here = entropy.local_entropy(lambda _: heights, theta, gamma, over, cut_off=cut_off)
        step = torch.linalg.solve(here.hessian, here.gradient[..., None])[..., 0]
        if not here.gradient.norm() > 1e-10:
            return here
        theta = theta - step / (1 + step.norm())
    raise ValueError(f"gamma={gamma!r}: no minimiser of -F found in 100 steps")


def certificate(at: entropy.LocalEntropy) -> Tensor:
    """``d - gamma tr Sigma``, the trace of ``-Hess F`` over ``gamma``, ``(m,)``. Ours.

    At a minimiser of ``-F`` it bounds ``L(theta_F) - min L`` if ``L`` is convex; see the page on loss surfaces.
    """
    return torch.diagonal(at.hessian, dim1=1, dim2=2).sum(1) / at.gamma
