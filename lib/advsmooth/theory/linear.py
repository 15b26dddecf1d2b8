r"""The binary linear model under attack, in closed form (Kanai et al., section 3.1).

The logistic loss of the model ``theta . x`` with label ``y`` in {-1, +1} is ``log(1 + exp(-y theta . x))``. It
decreases in ``y theta . x``, so within ``|delta| <= eps`` the worst perturbation is ``delta = -y eps u(theta)``,
where ``u`` is the steepest direction of the norm: ``theta / |theta|_2`` for ``"l2"``, ``sign(theta)`` for
``"linf"``. With the dual norm ``|theta|_* = u . theta`` (Euclidean for ``"l2"``, sum of absolute values for
``"linf"``) and the worst-case margin ``z = y theta . x - eps |theta|_*``::

    loss      log(1 + exp(-z))
    gradient  -s(-z) (y x - eps u)                                  s(t) = 1 / (1 + exp(-t)), the sigmoid
    Hessian   s(z) s(-z) v v^T + s(-z) eps Du,   v = y x - eps u    Du = (I - u u^T) / |theta| for l2, 0 for linf

The loss is convex in ``theta``. Its gradient jumps where ``u`` does: at ``theta = 0`` for ``"l2"``, wherever a
component of ``theta`` vanishes for ``"linf"`` (:func:`gradient_jump`). At such points the functions below take
``u = 0`` (the component of ``u`` that is undefined), which gives a subgradient.

Shapes and types everywhere: parameters ``theta (m, d)``, inputs ``x (n, d)``, labels ``y (n,)``, one floating type
and one device (float64 for theory); ``eps`` is a radius in the units of ``x``. Every function is differentiable by
autograd away from the kinks. Bad input is refused with a one-line ``ValueError``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from advsmooth.data import DataError, Dataset

NORMS = ("l2", "linf")


def _check(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> None:
    if theta.ndim != 2 or x.ndim != 2 or theta.shape[1] != x.shape[1] or y.shape != x.shape[:1] or len(x) == 0:
        shapes = f"theta {tuple(theta.shape)}, x {tuple(x.shape)}, y {tuple(y.shape)}"
        raise ValueError(f"{shapes}: allowed is theta (m, d), x (n, d), y (n,) with n >= 1")
    if not bool(((y == 1) | (y == -1)).all()):
        raise ValueError(f"y holds {y.unique().tolist()[:4]}: allowed labels are -1 and +1")
    _check_budget(eps, norm)


def _check_budget(eps: float, norm: str) -> None:
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps={eps!r}: allowed is a finite radius, at least 0")
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r}: allowed is l2 or linf")


def steepest(theta: Tensor, norm: str) -> Tensor:
    """``u(theta)``, shape of ``theta``: of norm 1 and with the largest inner product with ``theta``.

    ``theta / |theta|`` for ``"l2"``, ``sign(theta)`` for ``"linf"``; 0 where that is not defined.
    """
    _check_budget(0.0, norm)
    if norm == "linf":
        return theta.sign()
    length = theta.norm(dim=-1, keepdim=True)
    return theta / torch.where(length > 0, length, torch.ones_like(length))


def dual_norm(theta: Tensor, norm: str) -> Tensor:
    """``|theta|_* = max u . theta`` over the unit ball of the attack's norm: l2 for ``"l2"``, l1 for ``"linf"``."""
    _check_budget(0.0, norm)
    return theta.norm(dim=-1) if norm == "l2" else theta.abs().sum(-1)


def project(points: Tensor, radius: float, norm: str) -> Tensor:
    """Euclidean projection of each row onto the ball of this radius: rescaling for ``"l2"``, clipping for ``"linf"``.

    Where ``|theta|_2 >= radius`` (l2) or every ``|theta_i| >= radius`` (linf), ``project(theta, radius)`` is
    ``radius u(theta)``: the attack is a projection of the parameters, hence Lipschitz there.
    """
    _check_budget(radius, norm)
    if norm == "linf":
        return points.clamp(-radius, radius)
    length = points.norm(dim=-1, keepdim=True)
    return torch.where(length > radius, radius * steepest(points, norm), points)


def adversarial_examples(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """The worst inputs ``x'(theta) = x - y eps u(theta)``, shape ``(m, n, d)`` (Kanai et al., lemmas 2 and 3)."""
    _check(theta, x, y, eps, norm)
    return x[None] - eps * y[None, :, None] * steepest(theta, norm)[:, None, :]


def attack_jacobian(theta: Tensor, eps: float, norm: str) -> Tensor:
    """Jacobian of ``x'(theta)`` for label +1 (its negative for -1), shape ``(m, d, d)`` (Kanai et al., eq. 32).

    ``-(eps / |theta|) (I - u u^T)`` for ``"l2"``, 0 for ``"linf"``.

    Raises:
        ValueError: at a kink, where there is none.
    """
    _check_budget(eps, norm)
    _refuse_kinks(theta, eps, norm)
    d = theta.shape[-1]
    if norm == "linf" or eps == 0:
        return theta.new_zeros(*theta.shape, d)
    u = steepest(theta, norm)
    projector = torch.eye(d, dtype=theta.dtype, device=theta.device) - u[:, :, None] * u[:, None, :]
    return -eps / theta.norm(dim=1)[:, None, None] * projector


def margins(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Worst-case margins ``z = y theta . x - eps |theta|_*``, shape ``(m, n)``."""
    _check(theta, x, y, eps, norm)
    return y * (theta @ x.T) - eps * dual_norm(theta, norm)[:, None]


def searched_margins(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Worst-case margins without the closed form, shape ``(m, n)``; slow, for checks of :func:`margins`.

    ``"linf"``: the smallest over all ``2^d`` corners of the cube. ``"l2"``: projected gradient ascent of the loss
    by autograd, from ``delta = eps x / |x|``, with steps of ``10 eps``: each divides the distance to the limit by
    about 10.

    Raises:
        ValueError: for more than 12 dimensions with ``"linf"``.
    """
    _check(theta, x, y, eps, norm)
    d = theta.shape[1]
    if norm == "linf":
        if d > 12:
            raise ValueError(f"d={d}: the search visits 2^d corners; allowed is at most 12")
        corners = torch.cartesian_prod(*[torch.tensor([-eps, eps], dtype=x.dtype)] * d).reshape(-1, d).to(x.device)
        clean, best = y * (theta @ x.T), (theta @ corners.T).amin(1)  # the corners are symmetric: y does not matter
        return clean + best[:, None]
    fixed, delta = theta.detach()[:, None], project(x[None].expand(len(theta), -1, -1), eps, "l2")
    for _ in range(40):
        moving = delta.detach().requires_grad_(True)
        with torch.enable_grad():
            height = -logsigmoid(y * ((x + moving) * fixed).sum(2)).sum()
            (slope,) = torch.autograd.grad(height, moving)
        delta = project(moving.detach() + 10 * eps * steepest(slope, "l2"), eps, "l2")
    return y * ((x + delta) * fixed).sum(2)


def losses(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Adversarial loss of each example, ``max log(1 + exp(-y theta . (x + delta)))``, shape ``(m, n)``."""
    return -logsigmoid(margins(theta, x, y, eps, norm))


def loss(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Adversarial loss ``L_eps(theta)``: the mean over the examples, shape ``(m,)``."""
    return losses(theta, x, y, eps, norm).mean(1)


def gradients(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Gradient in ``theta`` of each example's adversarial loss, shape ``(m, n, d)``."""
    weight = torch.sigmoid(-margins(theta, x, y, eps, norm))
    return weight[:, :, None] * (eps * steepest(theta, norm)[:, None, :] - y[None, :, None] * x[None])


def gradient(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Gradient of ``L_eps``, shape ``(m, d)``; memory ``m n``, not ``m n d``."""
    return _gradient(theta, steepest(theta, norm), x, y, eps, norm)


def _gradient(theta: Tensor, u: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    weight = torch.sigmoid(-margins(theta, x, y, eps, norm))
    return eps * weight.mean(1, keepdim=True) * u - (weight * y) @ x / len(x)


def hessian(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Hessian of ``L_eps``, shape ``(m, d, d)``; positive semidefinite.

    Raises:
        ValueError: at a kink, where there is none.
    """
    weight, curvature, u = _second_order(theta, x, y, eps, norm)
    d, mean = theta.shape[1], curvature.mean(1)[:, None, None]
    towards = (curvature * y) @ x / len(x)  # mean of s(z) s(-z) y x
    outer = torch.einsum("mn,nd,ne->mde", curvature, x, x) / len(x)
    mixed = towards[:, :, None] * u[:, None, :]
    result = outer - eps * (mixed + mixed.transpose(1, 2)) + eps**2 * mean * u[:, :, None] * u[:, None, :]
    if norm == "l2" and eps > 0:
        projector = torch.eye(d, dtype=theta.dtype, device=theta.device) - u[:, :, None] * u[:, None, :]
        result = result + (eps * weight.mean(1) / theta.norm(dim=1))[:, None, None] * projector
    return result


def hessian_product(theta: Tensor, vector: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """``hessian(theta) @ vector`` row by row for ``vector (m, d)`` or ``(1, d)``, shape ``(m, d)``; memory ``m n``.

    Raises:
        ValueError: at a kink, where there is no Hessian.
    """
    weight, curvature, u = _second_order(theta, x, y, eps, norm)
    along = y * (vector @ x.T) - eps * (u * vector).sum(1, keepdim=True)  # v . vector of each example
    product = (curvature * along * y) @ x / len(x) - eps * (curvature * along).mean(1, keepdim=True) * u
    if norm == "l2" and eps > 0:
        across = vector - (u * vector).sum(1, keepdim=True) * u
        product = product + eps * weight.mean(1, keepdim=True) / theta.norm(dim=1, keepdim=True) * across
    return product


def _second_order(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> tuple[Tensor, Tensor, Tensor]:
    _refuse_kinks(theta, eps, norm)
    z = margins(theta, x, y, eps, norm)
    weight = torch.sigmoid(-z)
    return weight, weight * torch.sigmoid(z), steepest(theta, norm)


def _refuse_kinks(theta: Tensor, eps: float, norm: str) -> None:
    least = theta.norm(dim=1).min() if norm == "l2" else theta.abs().min()
    if eps > 0 and not least > 0:
        where = "theta = 0" if norm == "l2" else "a component of theta is 0"
        raise ValueError(f"{where}: the {norm} adversarial gradient jumps there; see gradient_jump")


def one_sided_steepest(theta: Tensor, direction: Tensor, norm: str) -> Tensor:
    """The limit of ``u(theta + t direction)`` as ``t`` falls to 0; both ``(m, d)``."""
    u = steepest(theta, norm)
    coming = steepest(direction, norm)
    undecided = theta == 0 if norm == "linf" else (theta == 0).all(-1, keepdim=True)
    return torch.where(undecided, coming, u)


def one_sided_gradient(theta: Tensor, direction: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """The limit of the gradient of ``L_eps`` at ``theta + t direction`` as ``t`` falls to 0, shape ``(m, d)``."""
    return _gradient(theta, one_sided_steepest(theta, direction, norm), x, y, eps, norm)


def gradient_jump(theta: Tensor, direction: Tensor, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Exact jump of the gradient of ``L_eps`` on crossing ``theta`` in a direction, shape ``(m, d)``.

    The margins are continuous in ``theta``, only ``u`` jumps, from ``u_-`` to ``u_+``. Hence the jump is
    ``eps (u_+ - u_-)`` times the mean of ``s(-z)``: for ``"linf"`` it has size ``2 eps s(-z)`` in every component
    that vanishes at ``theta`` and does not in ``direction``, for ``"l2"`` it is 0 except at the origin, where
    ``s(-z) = 1/2`` and straight through it has the Euclidean norm ``eps``.
    """
    weight = torch.sigmoid(-margins(theta, x, y, eps, norm)).mean(1, keepdim=True)
    change = one_sided_steepest(theta, direction, norm) - one_sided_steepest(theta, -direction, norm)
    return eps * weight * change


# --- the constants of Assumption 1 ----------------------------------------------------------------------------


def perturbed_radius(x: Tensor, eps: float, norm: str) -> Tensor:
    """The largest Euclidean norm of ``x + delta`` over the budget, shape ``(n,)``; attained, hence exact."""
    _check_budget(eps, norm)
    return x.norm(dim=1) + eps if norm == "l2" else (x.abs() + eps).norm(dim=1)


def cross_constant(p: Tensor) -> Tensor:
    r"""Bound on the spectral norm of the cross derivative over ``|x| |theta| <= p``, elementwise.

    The derivative in ``x`` of the gradient in ``theta`` is ``-y s(-m) I + s(m) s(-m) x theta^T`` with
    ``m = y theta . x``, so with ``q = s(-m)`` its norm is at most ``q + p q (1 - q)``. The maximum over
    ``|m| <= p`` is ``(p + 1)^2 / (4 p)``, at ``q = (p + 1) / (2 p)``, if that lies in the range, that is if
    ``p tanh(p / 2) >= 1`` (``p >= 1.543...``); else it sits at ``m = -p``. There ``x`` and ``theta`` are
    parallel and the bound is attained; for larger ``p`` it is an upper bound, off by less than 1/2.
    """
    edge = torch.sigmoid(p) * (1 + p * torch.sigmoid(-p))
    return torch.where(p * torch.tanh(p / 2) < 1, edge, (p + 1) ** 2 / (4 * p.clamp(min=1.0)))


@dataclass(frozen=True)
class Constants:
    """The constants of Assumption 1 of Kanai et al. for the logistic loss, per example, each of shape ``(n,)``.

    They hold for ``|theta| <= theta_max`` and every input within the budget around ``x`` (Euclidean norms), and
    do not exist without these two bounds. A statement about all examples takes the largest
    (:meth:`largest`); for the mean loss the mean of each is enough (:meth:`mean`), by the triangle inequality.

    Attributes:
        theta: the loss is ``C_theta``-Lipschitz in ``theta``.
        theta_theta: its gradient in ``theta`` is ``C_theta_theta``-Lipschitz in ``theta``.
        theta_x: its gradient in ``theta`` is ``C_theta_x``-Lipschitz in ``x``.
    """

    theta: Tensor
    theta_theta: Tensor
    theta_x: Tensor

    def largest(self) -> Constants:
        """The constants that hold for every example, each of shape ``(1,)``."""
        return Constants(*(c.max().reshape(1) for c in (self.theta, self.theta_theta, self.theta_x)))

    def mean(self) -> Constants:
        """Constants of the mean loss, each of shape ``(1,)``."""
        return Constants(*(c.mean().reshape(1) for c in (self.theta, self.theta_theta, self.theta_x)))

    def smoothness(self, attack_lipschitz: float) -> Tensor:
        """``C_theta_theta + C C_theta_x`` for a ``C``-Lipschitz attack (Kanai et al., lemma 1)."""
        return self.theta_theta + attack_lipschitz * self.theta_x


def constants(x: Tensor, eps: float, norm: str, theta_max: float) -> Constants:
    """Assumption 1 of Kanai et al. on ``|theta| <= theta_max`` and the budget around each example of ``x (n, d)``.

    With ``R`` the largest ``|x + delta|`` (:func:`perturbed_radius`) and ``p = R theta_max``: ``C_theta = R s(p)``,
    ``C_theta_theta = R^2 / 4`` and ``C_theta_x`` as in :func:`cross_constant`.
    """
    if not 0 < theta_max < float("inf"):
        raise ValueError(f"theta_max={theta_max!r}: allowed is a positive finite bound on |theta|")
    radius = perturbed_radius(x, eps, norm)
    product = radius * theta_max
    return Constants(radius * torch.sigmoid(product), radius**2 / 4, cross_constant(product))


# --- paths ----------------------------------------------------------------------------------------------------


def descent_path(theta: Tensor, x: Tensor, y: Tensor, eps: float, norm: str, *, rate: float, steps: int) -> Tensor:
    """Adversarial training by gradient descent with exact gradients, from ``theta (d,)``; ``(steps + 1, d)``."""
    path = [theta]
    for _ in range(steps):
        path.append(path[-1] - rate * gradient(path[-1][None], x, y, eps, norm)[0])
    return torch.stack(path)


@dataclass(frozen=True)
class Crossings:
    """Where a segment crosses the hyperplanes ``theta_i = 0``, in the order of travel.

    Attributes:
        time: position on the segment, from 0 at its start to 1 at its end, shape ``(k,)``.
        coordinate: which component vanishes, shape ``(k,)``, int64.
        change: by how much its sign changes: +2 or -2; +1 or -1 if the segment starts or ends on the hyperplane.
    """

    time: Tensor
    coordinate: Tensor
    change: Tensor

    def points(self, start: Tensor, end: Tensor) -> Tensor:
        """The parameters at the crossings, shape ``(k, d)``; the vanishing component is exactly 0."""
        points = start + self.time[:, None] * (end - start)
        points[torch.arange(len(self.time)), self.coordinate] = 0
        return points

    def jumps(self, start: Tensor, end: Tensor, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Exact jump of component ``coordinate`` of the linf gradient at each crossing, shape ``(k,)``."""
        if len(self.time) == 0:
            return self.time.clone()
        weight = torch.sigmoid(-margins(self.points(start, end), x, y, eps, "linf")).mean(1)
        return eps * weight * self.change


def crossings(start: Tensor, end: Tensor) -> Crossings:
    """The crossings of the segment from ``start (d,)`` to ``end (d,)``."""
    change = end.sign() - start.sign()
    coordinate = change.nonzero()[:, 0]
    time = (start / (start - end))[coordinate]
    order = torch.argsort(time, stable=True)
    return Crossings(time[order], coordinate[order], change[coordinate][order])


def path_jumps(path: Tensor, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Exact jumps of the linf gradient along a piecewise linear path.

    Args:
        path: its vertices, shape ``(T + 1, d)``.
        x: inputs ``(n, d)``.
        y: labels ``(n,)``.
        eps: the radius.

    Returns:
        The jump of each component in each segment, shape ``(T, d)``; 0 where the component keeps its sign. Within
        a segment a component crosses 0 at most once, so nothing is summed.
    """
    jumps = torch.zeros_like(path[1:])
    for row, start, end in zip(jumps, path[:-1], path[1:], strict=True):
        found = crossings(start, end)
        row[found.coordinate] = found.jumps(start, end, x, y, eps)
    return jumps


def smooth_change(
    start: Tensor, end: Tensor, x: Tensor, y: Tensor, eps: float, norm: str, *, nodes: int = 12
) -> Tensor:
    """The part of the change of the gradient along a segment that is not jumps, shape ``(d,)``.

    The integral of the Hessian by Gauss-Legendre quadrature between neighbouring kinks. Panels are short enough
    for the sigmoid, and for ``"l2"`` they shrink towards the point closest to the origin, so that the error
    stays near that of rounding ``theta``, however close the segment passes.
    """
    direction = (end - start)[None]
    reach = float(perturbed_radius(x, eps, norm).max() * direction.norm())  # bounds the change of every margin
    ends = [torch.linspace(0, 1, 1 + max(1, math.ceil(reach)), dtype=start.dtype, device=start.device)]
    if norm == "linf":
        ends.append(crossings(start, end).time)
    elif eps > 0 and bool(direction.norm() > 0):
        closest = (-(start * direction[0]).sum() / direction.square().sum()).clamp(0, 1)
        gap = float((start + closest * direction[0]).norm() / direction.norm())
        levels = min(50, max(0, math.ceil(-math.log2(max(gap, 1e-15)))))
        grading = 0.5 ** torch.arange(levels + 1, dtype=start.dtype, device=start.device)
        ends.append(torch.cat([closest[None], closest - grading, closest + grading]))
    breaks = torch.cat(ends).clamp(0, 1).unique()  # sorted
    points, weights = (torch.from_numpy(a).to(start) for a in np.polynomial.legendre.leggauss(nodes))
    width = breaks[1:] - breaks[:-1]
    time = (breaks[:-1, None] + width[:, None] * (points + 1) / 2).reshape(-1)
    weight = (width[:, None] * weights / 2).reshape(-1)
    result, block = torch.zeros_like(start), max(1, 2**24 // len(x))  # rows at a time: about 128 MiB a temporary
    for part, share in zip(time.split(block), weight.split(block), strict=True):
        result += share @ hessian_product(start + part[:, None] * direction, direction, x, y, eps, norm)
    return result


def two_classes(dataset: Dataset, classes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Two classes of a data set as a binary problem: ``x (n, d)`` float64 and labels, +1 for the first class.

    Raises:
        DataError: unless ``classes`` names two different classes of the data set.
    """
    known = len(dataset.class_names)
    if len(classes) != 2 or classes[0] == classes[1] or not all(0 <= c < known for c in classes):
        raise DataError(
            f"classes={list(classes)}: allowed are two different labels of {dataset.name}, 0 to {known - 1}"
        )
    chosen = (dataset.y == classes[0]) | (dataset.y == classes[1])
    x = dataset.x[chosen].reshape(int(chosen.sum()), -1).double()
    return x, torch.where(dataset.y[chosen] == classes[0], 1.0, -1.0).double()
