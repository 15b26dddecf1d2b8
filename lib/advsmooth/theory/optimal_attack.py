r"""The optimal attack as a function of the parameters (Kanai et al., section 3.2: lemmas 4 and 5, and their limits).

A local maximum ``x'`` of the loss ``l(., theta)`` within ``|x' - x|_2 <= eps`` lies inside the ball or on the sphere.
With the Hessian ``H`` of the loss in the input and the cross derivative ``B = d(grad_x l) / d theta``, the maximum
moves at the rate ``Dx' = R B`` and the adversarial loss has the Hessian ``l_theta_theta + B^T R B``, where::

    inside          R = (-H)^-1
    on the sphere   R = T (-T^T H_L T)^-1 T^T        H_L = H - (mu / eps) (I - n n^T)

``n = (x' - x) / eps`` is the normal, ``mu = n . grad_x l`` the multiplier, ``H_L`` the Hessian of the Lagrangian
``l - mu (|x' - x| - eps)`` and ``T`` an orthonormal basis of the tangent space.

A loss is a function ``loss(x, theta)`` of tensors ``(..., d)`` and ``(..., m)`` that broadcasts, differentiable by
autograd; ``d >= 2``. Everything is meant for float64. Bad input is refused with a one-line ``ValueError``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from advsmooth.theory import gradient_scattering, linear

Loss = Callable[[Tensor, Tensor], Tensor]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "softplus": torch.nn.functional.softplus}


def network(d: int, units: int, activation: str = "tanh") -> Loss:
    """Loss ``log(1 + exp(-f))`` of ``f(x) = sum_j a_j h(w_j . x + b_j)`` for the label +1.

    The parameters are one row ``theta = (a, b, w_1, ..., w_units)`` of ``units (d + 2)`` numbers.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r}: allowed is {', '.join(ACTIVATIONS)}")
    h = ACTIVATIONS[activation]

    def loss(x: Tensor, theta: Tensor) -> Tensor:
        a, b, w = theta[..., :units], theta[..., units : 2 * units], theta[..., 2 * units :]
        z = b
        for i in range(d):  # input by input: no (..., units, d) temporary
            z = z + w[..., i::d] * x[..., i, None]
        return torch.nn.functional.softplus(-(a * h(z)).sum(-1))

    return loss


def draw_networks(m: int, d: int, units: int, generator: torch.Generator, *, slope: float = 2.0) -> Tensor:
    """Parameters of ``m`` networks of :func:`network`: standard normal, the input weights times ``slope``."""
    theta = torch.randn(m, units * (d + 2), generator=generator, dtype=torch.float64)
    theta[:, 2 * units :] *= slope
    return theta


def two_bumps(x: Tensor, theta: Tensor) -> Tensor:
    """``theta . x - (x_1^2 - 1)^2 / 4 - |x_rest|^2 / 2``: at ``theta_1 = 0`` two equal bumps, at ``x_1 = +1, -1``.

    Its constants of Assumption 1 are ``C_theta_theta = 0`` and ``C_theta_x = 1``. At ``theta = 0`` the maxima over
    the ball of radius ``eps`` are ``+-min(1, eps) e_1``, and the gradient of the adversarial loss is ``x'`` itself.
    """
    return (theta * x).sum(-1) - (x[..., 0] ** 2 - 1) ** 2 / 4 - x[..., 1:].square().sum(-1) / 2


def bowl(a: float, b: float, s: float) -> Loss:
    """The loss ``a |theta|^2 / 2 + b theta . x - s |x|^2 / 2``, with the curvature ``-s`` in the input."""

    def loss(x: Tensor, theta: Tensor) -> Tensor:
        return a / 2 * theta.square().sum(-1) + b * (theta * x).sum(-1) - s / 2 * x.square().sum(-1)

    return loss


# --- the second derivatives at one point ----------------------------------------------------------------------


@dataclass(frozen=True)
class Expansion:
    """Derivatives of the loss at ``n`` pairs of an input and parameters.

    Attributes:
        x: gradient in the input, ``(n, d)``.
        theta: gradient in the parameters, ``(n, m)``.
        xx: Hessian in the input, ``(n, d, d)``.
        x_theta: cross derivative ``B``, ``(n, d, m)``.
        theta_theta: Hessian in the parameters, ``(n, m, m)``.
    """

    x: Tensor
    theta: Tensor
    xx: Tensor
    x_theta: Tensor
    theta_theta: Tensor


def expand(loss: Loss, x: Tensor, theta: Tensor) -> Expansion:
    """First and second derivatives at ``x (n, d)`` and ``theta (n, m)``, by autograd."""
    d = x.shape[1]

    def joint(z: Tensor) -> Tensor:
        return loss(z[:d], z[d:])

    z = torch.cat([x, theta], 1)
    slope, curve = vmap(grad(joint))(z), vmap(jacrev(grad(joint)))(z)
    return Expansion(slope[:, :d], slope[:, d:], curve[:, :d, :d], curve[:, :d, d:], curve[:, d:, d:])


def input_slope(loss: Loss, x: Tensor, theta: Tensor) -> Tensor:
    """Gradient in the input of each row, ``(n, d)``."""
    moving = x.detach().requires_grad_(True)
    with torch.enable_grad():
        return torch.autograd.grad(loss(moving, theta).sum(), moving)[0]


def input_hessian(loss: Loss, x: Tensor, theta: Tensor) -> Tensor:
    """Hessian in the input of each row, ``(n, d, d)``."""
    return vmap(jacrev(grad(loss)))(x, theta)


def tangent_basis(normal: Tensor) -> Tensor:
    """Orthonormal columns orthogonal to each unit vector of ``normal (n, d)``, shape ``(n, d, d - 1)``.

    The last columns of a Householder reflection that takes the first axis to the normal, up to its sign.
    """
    d = normal.shape[1]
    if d < 2:
        raise ValueError(f"d={d}: a sphere with a tangent needs at least 2 dimensions")
    v = normal.clone()
    v[:, 0] += torch.where(v[:, 0] >= 0, 1.0, -1.0)
    v = torch.nn.functional.normalize(v, dim=1)
    return (torch.eye(d, dtype=normal.dtype) - 2 * v[:, :, None] * v[:, None, :])[:, :, 1:]


def symbolic_bordered(size: int) -> tuple[sympy.Matrix, sympy.Matrix]:
    """Lemma 5's matrices with symbols for entries, in the basis of the normal and the tangent space.

    Args:
        size: dimension of the tangent space, ``d - 1``.

    Returns:
        The Hessian ``S`` on the tangent space and the bordered Hessian ``K``, which has two rows more.
    """
    s = sympy.Matrix(size, size, lambda i, j: sympy.Symbol(f"s{min(i, j)}{max(i, j)}", real=True))
    k = sympy.zeros(size + 2, size + 2)
    k[0, 1] = k[1, 0] = 1
    k[1, 1:] = sympy.Matrix([sympy.symbols(f"h p1:{size + 1}", real=True)])
    k[2:, 1], k[2:, 2:] = k[1, 2:].T, s
    return s, k


def lagrangian_hessian(xx: Tensor, multiplier: Tensor, normal: Tensor, eps: float) -> Tensor:
    """``H_L = H - (mu / eps) (I - n n^T)``: equation 43 of the paper without the border, ``(n, d, d)``."""
    projector = torch.eye(normal.shape[1], dtype=xx.dtype) - normal[:, :, None] * normal[:, None, :]
    return xx - (multiplier / eps)[:, None, None] * projector


def bordered(h_lagrangian: Tensor, normal: Tensor) -> Tensor:
    """The bordered Hessian of equation 22, ``(n, d + 1, d + 1)``.

    The sign of the border (minus in the derivative of the Lagrangian, plus in print) changes neither the determinant
    nor the singular values.
    """
    n, d = normal.shape
    k = h_lagrangian.new_zeros(n, d + 1, d + 1)
    k[:, 0, 1:] = k[:, 1:, 0] = normal
    k[:, 1:, 1:] = h_lagrangian
    return k


def tangent_eigenvalues(h_lagrangian: Tensor, normal: Tensor) -> Tensor:
    """Eigenvalues of ``T^T H_L T`` in ascending order, ``(n, d - 1)``."""
    t = tangent_basis(normal)
    return torch.linalg.eigvalsh(t.mT @ h_lagrangian @ t)


@dataclass(frozen=True)
class Optimum:
    """A local maximum of each row and how it depends on the parameters.

    Attributes:
        multiplier: ``mu``, ``(n,)``; 0 inside.
        jacobian: ``Dx'(theta)`` by the implicit function theorem, ``(n, d, m)``.
        curvature: smallest curvature that matters, ``(n,)``: the smallest eigenvalue of ``-H`` inside, of
            ``-T^T H_L T`` on the sphere; positive at a strict maximum.
        printed_c: the paper's ``c``, ``(n,)``: the same inside, the smallest singular value of the bordered Hessian
            on the sphere.
        coupling: spectral norm of the cross derivative ``B``, ``(n,)``.
        tangent_coupling: of ``T^T B`` on the sphere, ``(n,)``; of ``B`` inside.
        gradient: of the adversarial loss, ``(n, m)``.
        frozen_hessian: ``l_theta_theta`` with the attack held fixed, ``(n, m, m)``.
        hessian: of the adversarial loss, ``(n, m, m)``.
    """

    multiplier: Tensor
    jacobian: Tensor
    curvature: Tensor
    printed_c: Tensor
    coupling: Tensor
    tangent_coupling: Tensor
    gradient: Tensor
    frozen_hessian: Tensor
    hessian: Tensor


def optimum(loss: Loss, x: Tensor, theta: Tensor, eps: float, *, on_sphere: bool) -> Optimum:
    """Everything of :class:`Optimum` at the critical points ``x (n, d)`` of a ball around the origin.

    Args:
        loss: of an input and parameters.
        x: critical points, inside or all on the sphere.
        theta: parameters, ``(n, m)``.
        eps: radius.
        on_sphere: which of the two.
    """
    e = expand(loss, x, theta)
    coupling = torch.linalg.matrix_norm(e.x_theta, 2)
    if on_sphere:
        normal = x / x.norm(dim=1, keepdim=True)
        multiplier = (normal * e.x).sum(1)
        h = lagrangian_hessian(e.xx, multiplier, normal, eps)
        t = tangent_basis(normal)
        tangent = t.mT @ h @ t
        response = -t @ torch.linalg.pinv(tangent, hermitian=True) @ t.mT
        curvature = -torch.linalg.eigvalsh(tangent)[:, -1]
        printed = torch.linalg.svdvals(bordered(h, normal))[:, -1]
        felt = torch.linalg.matrix_norm(t.mT @ e.x_theta, 2)
    else:
        multiplier, response = torch.zeros_like(coupling), -torch.linalg.pinv(e.xx, hermitian=True)
        curvature = printed = -torch.linalg.eigvalsh(e.xx)[:, -1]
        felt = coupling
    moved = response @ e.x_theta
    return Optimum(
        multiplier, moved, curvature, printed, coupling, felt, e.theta, e.theta_theta,
        e.theta_theta + e.x_theta.mT @ moved,
    )  # fmt: skip


# --- finding and following maxima -----------------------------------------------------------------------------


def ascend(loss: Loss, x: Tensor, theta: Tensor, eps: float, norm: str = "l2", *, steps: int = 150) -> Tensor:
    """Projected gradient ascent from ``x (n, d)`` within the ball of this norm around the origin.

    Every row has its own step size, which starts at 0.1: a step that does not climb is taken back and halved, one
    that does is lengthened by a fifth. So no row ever ends lower than it began.
    """
    rate = torch.full_like(x[:, :1], 0.1)
    height, slope = loss(x, theta), input_slope(loss, x, theta)
    for _ in range(steps):
        tried = linear.project(x + rate * slope, eps, norm)
        reached = loss(tried, theta)
        climbs = (reached >= height)[:, None]
        x, height = torch.where(climbs, tried, x), torch.maximum(reached, height)
        slope = torch.where(climbs, input_slope(loss, x, theta), slope)
        rate = torch.where(climbs, 1.2 * rate, 0.5 * rate)
    return x


def polish(loss: Loss, x: Tensor, theta: Tensor, eps: float, *, on_sphere: bool, steps: int = 8) -> Tensor:
    """Newton's method for a critical point, in the input space or along the sphere; converges quadratically.

    Returns:
        The points after ``steps`` steps, ``(n, d)``; look at :func:`residual` to see whether they converged.
    """
    for _ in range(steps):
        slope, xx = input_slope(loss, x, theta), input_hessian(loss, x, theta)
        if not on_sphere:
            x = x - (torch.linalg.pinv(xx, hermitian=True) @ slope[:, :, None])[:, :, 0]
            continue
        normal = x / x.norm(dim=1, keepdim=True)
        t = tangent_basis(normal)
        h = lagrangian_hessian(xx, (normal * slope).sum(1), normal, eps)
        step = torch.linalg.pinv(t.mT @ h @ t, hermitian=True) @ t.mT @ slope[:, :, None]
        x = eps * torch.nn.functional.normalize(eps * normal - (t @ step)[:, :, 0], dim=1)
    return x


def residual(loss: Loss, x: Tensor, theta: Tensor, *, on_sphere: bool) -> Tensor:
    """How far ``x`` is from critical: norm of the gradient in the input, or of its tangent part, ``(n,)``."""
    slope = input_slope(loss, x, theta)
    if on_sphere:
        normal = x / x.norm(dim=1, keepdim=True)
        slope = slope - (slope * normal).sum(1, keepdim=True) * normal
    return slope.norm(dim=1)


@dataclass(frozen=True)
class Maxima:
    """Strict local maxima, all inside or all on the sphere: ``x (n, d)`` and their parameters ``theta (n, m)``."""

    x: Tensor
    theta: Tensor
    on_sphere: bool


def find_maxima(
    loss: Loss, theta: Tensor, d: int, eps: float, generator: torch.Generator, *, clear: float = 0.02
) -> tuple[Maxima, Maxima]:
    """Local maxima inside and on the sphere, one random start for each row of ``theta``.

    Ascent, then Newton. Kept are those that converged (residual below ``1e-11``), whose curvature is at least
    ``clear``, and which lie inside by 5% of the radius or on the sphere with a multiplier of at least ``clear``.
    """
    start = linear.project(torch.randn(len(theta), d, generator=generator, dtype=theta.dtype), eps, "l2")
    rough = ascend(loss, start, theta, eps)
    outside = rough.norm(dim=1) > eps * (1 - 1e-9)
    found = []
    for on_sphere in (False, True):
        x, own = rough[outside == on_sphere], theta[outside == on_sphere]
        if len(x) == 0:
            found.append(Maxima(x, own, on_sphere))
            continue
        x = polish(loss, x, own, eps, on_sphere=on_sphere)
        at = optimum(loss, x, own, eps, on_sphere=on_sphere)
        good = (residual(loss, x, own, on_sphere=on_sphere) < 1e-11) & (at.curvature >= clear)
        good &= at.multiplier >= clear if on_sphere else x.norm(dim=1) <= 0.95 * eps
        found.append(Maxima(x[good], own[good], on_sphere))
    return found[0], found[1]


def follow(loss: Loss, at: Maxima, theta: Tensor, eps: float, *, steps: int = 6) -> Tensor:
    """The same local maxima at neighbouring parameters ``theta (n, m)``: Newton from where they were."""
    return polish(loss, at.x, theta, eps, on_sphere=at.on_sphere, steps=steps)


def jacobian_by_differences(loss: Loss, at: Maxima, eps: float, *, step: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Central differences of the followed maximum and of the gradient there, ``(n, d, m)`` and ``(n, m, m)``.

    Uses neither the implicit function theorem nor second derivatives in the parameters.
    """
    columns, slopes = [], []
    for j in range(at.theta.shape[1]):
        ends = []
        for sign in (1, -1):
            theta = at.theta.clone()
            theta[:, j] += sign * step
            x = follow(loss, at, theta, eps, steps=3)
            ends.append((x, vmap(grad(loss, argnums=1))(x, theta)))
        columns.append((ends[0][0] - ends[1][0]) / (2 * step))
        slopes.append((ends[0][1] - ends[1][1]) / (2 * step))
    return torch.stack(columns, 2), torch.stack(slopes, 2)


def quotient_and_bounds(loss: Loss, at: Maxima, theta: Tensor, eps: float, *, stops: int = 9) -> tuple[Tensor, ...]:
    """How far the maximum moves from ``at.theta`` to ``theta``, and what the lemmas allow.

    Returns:
        ``|x'(theta_1) - x'(theta_2)| / |theta_1 - theta_2|``, the paper's ``C_theta_x / c`` and the constant without
        the border, ``max |T^T B| / min curvature``; constants over ``stops`` points of the segment. Each ``(n,)``.
    """
    couplings, printed, felt, curvature = [], [], [], []
    x, before = at.x, at.theta
    for share in torch.linspace(0, 1, stops).tolist():
        here = at.theta + share * (theta - at.theta)
        x = follow(loss, Maxima(x, before, at.on_sphere), here, eps)
        o = optimum(loss, x, here, eps, on_sphere=at.on_sphere)
        couplings.append(o.coupling)
        printed.append(o.printed_c)
        felt.append(o.tangent_coupling)
        curvature.append(o.curvature)
        before = here
    quotient = (x - at.x).norm(dim=1) / (theta - at.theta).norm(dim=1)
    wide = torch.stack(couplings).amax(0) / torch.stack(printed).amin(0)
    return quotient, wide, torch.stack(felt).amax(0) / torch.stack(curvature).amin(0)


@dataclass(frozen=True)
class Followed:
    """Local maxima of one place, with everything that the lemmas say about them and everything measured.

    Attributes:
        maxima: the maxima that were followed.
        of: how many were found.
        formula: by the implicit function theorem.
        jacobian: by differences of the followed maximum.
        hessian: by differences of the gradient there.
        speed: difference quotients for two steps of length about ``1e-3 sqrt(m)`` and ``1e-3``: a random one and one
            along the fastest direction, ``(2 n,)``.
        printed: the paper's bound for these pairs.
        borderless: the bound without the border.
        higher: by how much the highest of many feasible points nearby exceeds the maximum, ``(n,)``.
    """

    maxima: Maxima
    of: int
    formula: Optimum
    jacobian: Tensor
    hessian: Tensor
    speed: Tensor
    printed: Tensor
    borderless: Tensor
    higher: Tensor

    @property
    def jacobian_error(self) -> Tensor:
        """Relative difference of the two Jacobians, ``(n,)``."""
        return _relative(self.jacobian, self.formula.jacobian)

    @property
    def hessian_error(self) -> Tensor:
        """Relative difference of the two Hessians of the adversarial loss, ``(n,)``."""
        return _relative(self.hessian, self.formula.hessian)


def _relative(found: Tensor, expected: Tensor) -> Tensor:
    return (found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)


def follow_some(loss: Loss, maxima: Maxima, eps: float, keep: int, generator: torch.Generator) -> Followed:
    """Follow the first ``keep`` of some local maxima and compare with the lemmas."""
    few = Maxima(maxima.x[:keep], maxima.theta[:keep], maxima.on_sphere)
    o = optimum(loss, few.x, few.theta, eps, on_sphere=few.on_sphere)
    drawn = torch.randn(few.theta.shape, generator=generator, dtype=few.theta.dtype)
    fastest = torch.linalg.svd(o.jacobian).Vh[:, 0]
    pairs = [quotient_and_bounds(loss, few, few.theta + 1e-3 * step, eps) for step in (drawn, fastest)]
    speed, printed, borderless = (torch.cat(both) for both in zip(*pairs, strict=True))
    shape = (len(few.x), 300, few.x.shape[1])
    near = few.x[:, None] + 0.02 * torch.randn(shape, generator=generator, dtype=few.x.dtype)
    higher = loss(linear.project(near, eps, "l2"), few.theta[:, None]).amax(1) - loss(few.x, few.theta)
    return Followed(few, len(maxima.x), o, *jacobian_by_differences(loss, few, eps), speed, printed, borderless, higher)


@dataclass(frozen=True)
class Flattened:
    """Smoothness constants of the adversarial losses of some networks whose inputs are scaled by ``s``.

    Every attribute is ``(networks, factors)``.

    Attributes:
        measured: difference quotient of the gradient along the direction in which it changes fastest.
        exact: spectral norm of the Hessian.
        bound: the paper's ``|l_theta_theta| + |B|^2 / c`` at the point.
        c: the paper's ``c``.
    """

    measured: Tensor
    exact: Tensor
    bound: Tensor
    c: Tensor


def scale_inputs(loss: Loss, theta: Tensor, eps: float, factors: Tensor, *, apart: float = 1e-4) -> Flattened:
    """The losses ``loss(s x, theta)`` at their global maxima over the disc, for each ``s`` of ``factors``.

    Left out are networks that come near a degenerate maximum at some factor (curvature below ``0.02 s``, or Newton's
    method not converging): there the constant of a finite difference and that of the Hessian differ.
    """
    columns, usable = [], torch.ones(len(theta), dtype=torch.bool)
    for s in factors.tolist():

        def shrunk(x: Tensor, th: Tensor, s: float = s) -> Tensor:
            return loss(s * x, th)

        def lifted(x: Tensor, th: Tensor, s: float = s) -> Tensor:
            return loss(s * x, th) / s

        best = global_maximum(lifted, theta, eps)
        edge = best.norm(dim=1) > eps * (1 - 1e-6)
        column = theta.new_full((4, len(theta)), torch.nan)
        for on_sphere in (False, True):
            part = (edge == on_sphere).nonzero()[:, 0]
            if len(part) == 0:
                continue
            x = polish(shrunk, best[part], theta[part], eps, on_sphere=on_sphere)
            at = Maxima(x, theta[part], on_sphere)
            o = optimum(shrunk, at.x, at.theta, eps, on_sphere=on_sphere)
            usable[part] &= (residual(shrunk, x, at.theta, on_sphere=on_sphere) < 1e-9) & (o.curvature > 0.02 * s)
            usable[part] &= (x - best[part]).norm(dim=1) < 0.01 * eps
            spectrum = torch.linalg.eigh(o.hessian)
            size, which = spectrum.eigenvalues.abs().max(1)
            step = apart / 2 * spectrum.eigenvectors[torch.arange(len(part)), :, which]
            ends = [
                vmap(grad(shrunk, argnums=1))(follow(shrunk, at, th, eps), th)
                for th in (at.theta + step, at.theta - step)
            ]
            frozen = torch.linalg.matrix_norm(o.frozen_hessian, 2)
            rows = ((ends[0] - ends[1]).norm(dim=1) / apart, size, frozen + o.coupling**2 / o.printed_c, o.printed_c)
            column[:, part] = torch.stack(rows)
        columns.append(column)
    return Flattened(*torch.stack(columns, 2)[:, usable])


# --- which critical points of the sphere are maxima -----------------------------------------------------------


@dataclass(frozen=True)
class Critical:
    """Critical points ``eps n`` of quadratic losses on the sphere, with gradient ``mu n`` and Hessian ``xx`` there."""

    normal: Tensor
    multiplier: Tensor
    xx: Tensor
    eps: float

    @property
    def bordered(self) -> Tensor:
        """Bordered Hessians, ``(n, d + 1, d + 1)``."""
        return bordered(lagrangian_hessian(self.xx, self.multiplier, self.normal, self.eps), self.normal)

    @property
    def largest_tangent_eigenvalue(self) -> Tensor:
        """Of ``T^T H_L T``, ``(n,)``."""
        h = lagrangian_hessian(self.xx, self.multiplier, self.normal, self.eps)
        return tangent_eigenvalues(h, self.normal)[:, -1]

    def is_strict_maximum(self) -> Tensor:
        """The second-order condition: negative definite on the tangent space, and a positive multiplier."""
        return (self.multiplier > 0) & (self.largest_tangent_eigenvalue < 0)

    def climbs_back(self, generator: torch.Generator, *, steps: int = 1500) -> Tensor:
        """Whether ascent from a random feasible point nearby returns, ``(n,)``; uses no second-order condition."""
        at = self.eps * self.normal
        drawn = torch.nn.functional.normalize(torch.randn(at.shape, generator=generator, dtype=at.dtype), dim=1)
        x = linear.project(at + 1e-3 * self.eps * drawn, self.eps, "l2")
        pull = self.multiplier[:, None] * self.normal
        rate = 0.5 / (torch.linalg.matrix_norm(self.xx, 2) + self.multiplier.abs() / self.eps)[:, None]
        for _ in range(steps):
            x = linear.project(x + rate * (pull + (self.xx @ (x - at)[:, :, None])[:, :, 0]), self.eps, "l2")
        return (x - at).norm(dim=1) < 1e-4 * self.eps

    def __getitem__(self, chosen: Tensor) -> Critical:
        return Critical(self.normal[chosen], self.multiplier[chosen], self.xx[chosen], self.eps)


def draw_critical(m: int, d: int, eps: float, generator: torch.Generator, *, clear: float = 0.05) -> Critical:
    """``m`` random critical points, many of them maxima.

    None lies within ``clear`` of the border of the second-order condition, so that a search of finite length can tell.
    """
    n = 3 * m
    normal = torch.nn.functional.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1)
    xx = torch.randn(n, d, d, generator=generator, dtype=torch.float64)
    lean = torch.rand(n, generator=generator, dtype=torch.float64) * 2 * math.sqrt(d)
    xx = (xx + xx.mT) / 2 - lean[:, None, None] * torch.eye(d, dtype=torch.float64)
    multiplier = 2 * torch.rand(n, generator=generator, dtype=torch.float64) - 0.5
    drawn = Critical(normal, multiplier, xx, eps)
    h = lagrangian_hessian(xx, multiplier, normal, eps)
    far = (tangent_eigenvalues(h, normal).abs().amin(1) > clear) & (multiplier.abs() > clear)
    return drawn[far.nonzero()[:m, 0]]


# --- global maxima in two dimensions --------------------------------------------------------------------------


def candidates(eps: float, norm: str, rings: int) -> Tensor:
    """A grid of the disc (``"l2"``: rings and spokes) or the square (``"linf"``) with its edge, ``(k, 2)``."""
    linear.dual_norm(torch.zeros(1, 1), norm)  # refuses an unknown norm
    if norm == "linf":
        side = eps * torch.linspace(-1, 1, 2 * rings + 1, dtype=torch.float64)
        return torch.cartesian_prod(side, side)
    points = [torch.zeros(1, 2, dtype=torch.float64)]
    for k in range(1, rings + 1):
        angle = torch.arange(6 * k, dtype=torch.float64) * (2 * math.pi / (6 * k))
        points.append(eps * k / rings * torch.stack([angle.cos(), angle.sin()], 1))
    return torch.cat(points)


def best_candidate(loss: Loss, theta: Tensor, points: Tensor, away_from: Tensor | None = None) -> Tensor:
    """The highest of the listed points for each row of ``theta (n, m)``, ``(n, d)``.

    Args:
        loss: of an input and parameters.
        theta: parameters.
        points: candidates, ``(k, d)``.
        away_from: ``(n, j, d)``; a candidate within a fifth of the radius of the list of one of these is passed over.
    """
    block, near = max(1, 2**18 // len(points)), 0.2 * points.norm(dim=1).max()
    found = []
    for rows in torch.arange(len(theta)).split(block):
        height = loss(points[None], theta[rows, None])
        if away_from is not None:
            height[torch.cdist(away_from[rows], points[None]).amin(1) < near] = -torch.inf
        found.append(points[height.argmax(1)])
    return torch.cat(found)


def global_maximum(loss: Loss, theta: Tensor, eps: float, norm: str = "l2", *, rings: int = 16) -> Tensor:
    """The highest point of the disc or square for each row of ``theta``, ``(n, 2)``.

    Ascent from the best point of a grid and from the best two that are well apart from it and from each other: when
    two maxima nearly tie, the grid alone can take the wrong one.
    """
    points = candidates(eps, norm, rings)
    starts = best_candidate(loss, theta, points)[:, None]
    for _ in range(2):
        starts = torch.cat([starts, best_candidate(loss, theta, points, starts)[:, None]], 1)
    thrice = theta[:, None].expand(-1, starts.shape[1], -1)
    ends = ascend(loss, starts.flatten(0, 1), thrice.flatten(0, 1), eps, norm).reshape(starts.shape)
    highest = loss(ends, theta[:, None]).argmax(1)
    return ends[torch.arange(len(theta)), highest]


@dataclass(frozen=True)
class Stretch:
    """A stretch of a loop: times, the global maximum ``(n, 2)``, its speed, the two bounds on it, and the slope.

    Speeds are per unit of time, so the bounds contain the speed of the parameters; the slope is that of the
    adversarial loss along the loop.
    """

    t: Tensor
    x: Tensor
    speed: Tensor
    printed: Tensor
    borderless: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Loops:
    """Closed curves ``centre + cos(2 pi t) u + sin(2 pi t) v`` in parameter space, one a row, ``t`` from 0 to 1."""

    centre: Tensor
    u: Tensor
    v: Tensor

    def at(self, rows: Tensor, t: Tensor) -> Tensor:
        """Parameters on loop ``rows[i]`` at ``t[i]``, ``(n, m)``."""
        angle = 2 * math.pi * t[:, None]
        return self.centre[rows] + angle.cos() * self.u[rows] + angle.sin() * self.v[rows]

    def velocity(self, rows: Tensor, t: Tensor) -> Tensor:
        """Their derivative in ``t``, ``(n, m)``."""
        angle = 2 * math.pi * t[:, None]
        return 2 * math.pi * (angle.cos() * self.v[rows] - angle.sin() * self.u[rows])

    def course(self, loss: Loss, row: int, start: float, stop: float, eps: float, *, points: int = 240) -> Stretch:
        """The global maximum over the disc on a stretch of one loop that is free of leaps."""
        t = torch.linspace(start + 1e-6, stop - 1e-6, max(4, round(points * (stop - start))), dtype=torch.float64)
        rows = torch.full((len(t),), row)
        theta, velocity = self.at(rows, t), self.velocity(rows, t)
        x = global_maximum(loss, theta, eps)
        edge = x.norm(dim=1) > eps * (1 - 1e-6)
        speed, printed, borderless, slope = torch.full((4, len(t)), torch.nan, dtype=torch.float64)
        for on_sphere in (False, True):
            part = edge == on_sphere
            if not part.any():
                continue
            x[part] = polish(loss, x[part], theta[part], eps, on_sphere=on_sphere)
            o, v = optimum(loss, x[part], theta[part], eps, on_sphere=on_sphere), velocity[part]
            speed[part] = (o.jacobian @ v[:, :, None])[:, :, 0].norm(dim=1)
            printed[part] = o.coupling / o.printed_c * v.norm(dim=1)
            borderless[part] = o.tangent_coupling / o.curvature * v.norm(dim=1)
            slope[part] = (o.gradient * v).sum(1)
        return Stretch(t, x, speed, printed, borderless, slope)

    def leaps(
        self, loss: Loss, eps: float, norm: str, *, edges: int, rings: int = 16, wide: float = 0.2
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where the global maximiser leaps.

        On every loop the best of a grid is compared between ``edges`` times. Where it moves by more than ``wide``
        budgets the time is closed in on, by halving; the two points are then moved uphill, the time to where they
        are equally high, and a leap is counted if they stay ``wide`` budgets apart.

        Returns:
            Loop, time, maximum before and maximum after; ``(k,)``, ``(k,)``, ``(k, 2)``, ``(k, 2)``.
        """
        points = candidates(eps, norm, rings)
        times = torch.linspace(0, 1, edges + 1, dtype=torch.float64)
        n = len(self.centre)

        def where(rows: Tensor, t: Tensor) -> Tensor:
            return best_candidate(loss, self.at(rows, t), points)

        track = where(torch.arange(n).repeat_interleave(edges + 1), times.repeat(n)).reshape(n, edges + 1, 2)
        rows, first = ((track[:, 1:] - track[:, :-1]).norm(dim=2) > wide * eps).nonzero().unbind(1)
        left, right = times[first], times[first + 1]
        if len(rows) == 0:
            return rows, left, left.new_zeros(0, 2), left.new_zeros(0, 2)
        left, right, _ = gradient_scattering.closing_in(where, rows, left, right, halvings=30)
        time = (left + right) / 2
        sides = [where(rows, t) for t in (left, right)]
        for _ in range(6):  # the tie of the grid, then that of the two maxima, by Newton's method in the time
            theta, velocity = self.at(rows, time), self.velocity(rows, time)
            sides = list(ascend(loss, torch.cat(sides), theta.repeat(2, 1), eps, norm).chunk(2))
            gap = loss(sides[1], theta) - loss(sides[0], theta)
            slopes = [(vmap(grad(loss, argnums=1))(x, theta) * velocity).sum(1) for x in sides]
            apart = (sides[0] - sides[1]).norm(dim=1) > wide * eps
            step = gap / (slopes[1] - slopes[0])
            time = time - torch.where(apart, step.clamp(-1 / edges, 1 / edges), torch.zeros_like(step))
        return rows[apart], time[apart], sides[0][apart], sides[1][apart]
