r"""The objective of EntropySGD by quadrature, in one and two dimensions (Kanai et al., section 4, theorem 3).

    -F(theta) = -log int exp(-L(theta') - gamma/2 |theta - theta'|^2) dtheta'                                  (10)

With ``p_theta`` the density proportional to the integrand, ``m`` its mean and ``Sigma`` its covariance::

    -grad F = gamma (theta - m)                                                                                (11)
    -Hess F = gamma I - gamma^2 Sigma                                                                          (53)

Since ``Sigma >= 0``, the eigenvalues of ``-Hess F`` lie between ``gamma - gamma^2 sigma_1`` and ``gamma``, where
``sigma_1`` is the largest eigenvalue of ``Sigma``. The smoothness constant at ``theta`` is therefore at most
``max(gamma, gamma^2 sigma_1 - gamma)`` (:func:`sharp_bound`), and the paper's ``gamma + gamma^2 |Sigma|_F`` (54-55)
loses ``2 gamma`` or more where the second term is the larger one. Everything is float64, on the device of ``theta``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

Function = Callable[[Tensor], Tensor]
"""A loss: points ``(m, d)`` to values ``(m,)``."""

EDGE = 1e-10
"""A density at the edge of the grid above this share of its maximum means that the grid cuts it off."""

# --- quadrature -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Nodes and weights of a quadrature rule on a box.

    Attributes:
        nodes: ``(q, d)``, float64.
        weights: ``(q,)``, positive; they add up to the volume of the box.
        edge: which nodes belong to an outermost panel, ``(q,)``.
    """

    nodes: Tensor
    weights: Tensor
    edge: Tensor


def grid(
    low: float, high: float, *, d: int = 1, width: float = 0.5, order: int = 8, breaks: Sequence[float] = (0.0,)
) -> Grid:
    """Composite Gauss-Legendre quadrature on ``[low, high]^d``.

    Args:
        low: lower end on every axis.
        high: upper end.
        d: 1 or 2.
        width: of a panel, at most; a panel should not be much wider than ``1 / sqrt(gamma)``.
        order: nodes of a panel on each axis; exact for polynomials of degree ``2 order - 1``.
        breaks: where panels must end on every axis, such as the kinks of the loss.

    Raises:
        ValueError: for another dimension, or an empty interval, width or order.
    """
    if d not in (1, 2) or not low < high or not width > 0 or order < 1:
        raise ValueError(
            f"[{low!r}, {high!r}]^{d!r}, width={width!r}, order={order!r}: allowed is low < high, d 1 or 2"
        )
    marks = sorted({low, high, *(b for b in breaks if low < b < high)})
    ends = [np.linspace(a, b, math.ceil((b - a) / width - 1e-9) + 1) for a, b in itertools.pairwise(marks)]
    starts, stops = (np.concatenate([side(e) for e in ends]) for side in (lambda e: e[:-1], lambda e: e[1:]))
    unit, mass = np.polynomial.legendre.leggauss(order)
    half, middle = (stops - starts)[:, None] / 2, (stops + starts)[:, None] / 2
    nodes, weights = torch.from_numpy(middle + half * unit).flatten(), torch.from_numpy(half * mass).flatten()
    edge = torch.zeros(len(nodes), dtype=torch.bool)
    edge[:order] = edge[-order:] = True
    if d == 1:
        return Grid(nodes[:, None], weights, edge)
    both = torch.outer(weights, weights).flatten()
    return Grid(torch.cartesian_prod(nodes, nodes), both, (edge[:, None] | edge[None]).flatten())


# --- local entropy --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LocalEntropy:
    """The objective ``-F`` of EntropySGD and its first two derivatives at ``m`` points.

    Attributes:
        theta: the points, ``(m, d)``.
        gamma: the scope.
        value: ``-F``, ``(m,)``.
        mean: of ``p_theta``, ``(m, d)``.
        covariance: of ``p_theta``, ``(m, d, d)``.
        edge: the largest density on the outermost panels of the grid, relative to the maximum, ``(m,)``.
    """

    theta: Tensor
    gamma: float
    value: Tensor
    mean: Tensor
    covariance: Tensor
    edge: Tensor

    @property
    def gradient(self) -> Tensor:
        """``-grad F = gamma (theta - m)``, ``(m, d)``."""
        return self.gamma * (self.theta - self.mean)

    @property
    def hessian(self) -> Tensor:
        """``-Hess F = gamma I - gamma^2 Sigma``, ``(m, d, d)``."""
        identity = torch.eye(self.theta.shape[1], dtype=self.theta.dtype, device=self.theta.device)
        return self.gamma * identity - self.gamma**2 * self.covariance

    @property
    def curvature(self) -> Tensor:
        """The spectral norm of ``-Hess F``, ``(m,)``; its supremum is the smoothness constant."""
        return torch.linalg.eigvalsh(self.hessian).abs().amax(1)


def local_entropy(
    loss: Function, theta: Tensor, gamma: float, over: Grid, *, cut_off: bool = False, block: int = 2**22
) -> LocalEntropy:
    """Evaluate ``-F``, its gradient and its Hessian at every point.

    Args:
        loss: ``L``, evaluated once at all nodes; it may have kinks, best on the edges of panels.
        theta: ``(m, d)``, float64.
        gamma: the scope, positive.
        over: the grid, wide enough for the tails: a few ``1 / sqrt(gamma)`` beyond the points, and more where the loss
            pushes the mass away from them.
        cut_off: whether the integral is meant to stop at the edge of the grid. If not, a density there is refused.
        block: numbers held in memory at a time, about.

    Raises:
        ValueError: for a bad ``gamma``, shapes that do not match, or a grid that cuts the integral off.
    """
    if not 0 < gamma < math.inf or theta.ndim != 2 or theta.shape[1] != over.nodes.shape[1]:
        raise ValueError(
            f"gamma={gamma!r}, theta {tuple(theta.shape)}: allowed is gamma > 0, (m, {over.nodes.shape[1]})"
        )
    nodes, weights, edge = (t.to(theta.device) for t in (over.nodes, over.weights, over.edge))
    height = -loss(nodes)
    parts = [_moments(height, nodes, weights, edge, some, gamma) for some in theta.split(max(1, block // len(nodes)))]
    value, mean, covariance, at_edge = (torch.cat(column) for column in zip(*parts, strict=True))
    if not cut_off and bool((at_edge > EDGE).any()):
        worst = int(at_edge.argmax())
        raise ValueError(
            f"theta={theta[worst].tolist()}: the density at the edge of the grid is {at_edge[worst].item():.1e} of its "
            "maximum; take a wider grid, or cut_off=True if the integral is meant to stop there"
        )
    return LocalEntropy(theta, gamma, value, mean, covariance, at_edge)


def around(
    loss: Function, theta: Tensor, gamma: float, *, steepness: float = 0.0, breaks: Sequence[float] = (0.0,)
) -> LocalEntropy:
    """:func:`local_entropy` on a grid that fits: it reaches ``10 / sqrt(gamma) + steepness / gamma`` beyond the points.

    Args:
        loss: ``L``.
        theta: ``(m, d)`` with ``d`` 1 or 2, float64.
        gamma: the scope.
        steepness: how far the loss can push the mass, such as its Lipschitz constant; a grid too narrow is refused.
        breaks: where panels must end on every axis, such as the kinks of the loss.
    """
    d, reach = theta.shape[1], 10 / math.sqrt(gamma) + steepness / gamma
    low, high, width = (
        float(theta.min()) - reach,
        float(theta.max()) + reach,
        (0.5 if d == 1 else 1.2) / math.sqrt(gamma),
    )
    over = grid(low, high, d=d, width=width, order=10 if d == 1 else 8, breaks=breaks)
    return local_entropy(loss, theta, gamma, over)


def _moments(
    height: Tensor, nodes: Tensor, weights: Tensor, edge: Tensor, theta: Tensor, gamma: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    exponent = height - gamma / 2 * (theta[:, None] - nodes).square().sum(2)
    top = exponent.amax(1, keepdim=True)
    density = (exponent - top).exp()
    at_edge = density[:, edge].amax(1)
    mass = density * weights
    total = mass.sum(1, keepdim=True)
    share = mass / total
    mean = share @ nodes
    apart = nodes - mean[:, None]
    covariance = torch.einsum("mq,mqi,mqj->mij", share, apart, apart)
    return -(top + total.log())[:, 0], mean, covariance, at_edge


# --- bounds on the smoothness constant ------------------------------------------------------------------------------


def published_bound(covariance: Tensor, gamma: float) -> Tensor:
    """``gamma + gamma^2 |Sigma|_F`` (theorem 3, equation 23, at each point), ``(m,)`` for ``(m, d, d)``."""
    return gamma + gamma**2 * torch.linalg.matrix_norm(covariance)


def sharp_bound(covariance: Tensor, gamma: float) -> Tensor:
    """``max(gamma, gamma^2 sigma_1 - gamma)``, since ``0 <= Sigma``: ``(m,)`` for ``(m, d, d)``. Ours."""
    return torch.clamp(gamma**2 * torch.linalg.eigvalsh(covariance)[:, -1] - gamma, min=gamma)


def _smoothness(variance: float, gamma: float) -> float:
    """The smoothness constant that a bound on every variance of ``p_theta`` implies."""
    return max(gamma, gamma**2 * variance - gamma)


def bounded_loss(largest: float, gamma: float) -> float:
    """A smoothness constant on all of ``R^m`` for ``0 <= L <= M``: ``max(gamma, gamma (e^M - 1))``. Ours.

    The density of ``p_theta`` is at most ``e^M`` times that of ``N(theta, I / gamma)``, and the variance along a unit
    vector is at most the second moment about ``theta``, hence at most ``e^M / gamma``.
    """
    if not 0 <= largest < math.inf:
        raise ValueError(f"largest={largest!r}: allowed is a finite bound of at least 0")
    return _smoothness(math.exp(largest) / gamma, gamma)


def lipschitz_loss(constant: float, gamma: float) -> float:
    """A smoothness constant on all of ``R^m`` for a ``C``-Lipschitz loss, in any dimension. Ours.

    ``p_theta`` has density ``exp(-L)`` with respect to a Gaussian of precision ``gamma``, up to a factor. The
    logarithmic Sobolev inequality gives relative entropy at most ``C^2 / (2 gamma)`` and Talagrand's inequality turns
    it into a Wasserstein-2 distance of at most ``C / gamma``. So the standard deviation along a unit vector is at
    most ``1 / sqrt(gamma) + C / gamma``, and ``L = -C |theta|`` reaches ``sqrt(1 / gamma + C^2 / gamma^2)``.
    """
    if not 0 <= constant < math.inf:
        raise ValueError(f"constant={constant!r}: allowed is a finite constant of at least 0")
    return _smoothness((1 / math.sqrt(gamma) + constant / gamma) ** 2, gamma)


def weakly_convex_range(constant: float, gamma: float) -> tuple[float, float]:
    """The range of the eigenvalues of ``-Hess F`` if ``L + C/2 |theta|^2`` is convex and ``gamma > C``. Ours.

    The exponent of ``p_theta`` is then ``gamma - C`` strongly convex, and Brascamp and Lieb give
    ``Sigma <= I / (gamma - C)``: eigenvalues from ``-gamma C / (gamma - C)`` to ``gamma``, in any dimension.

    Raises:
        ValueError: unless ``0 <= C < gamma``.
    """
    if not 0 <= constant < gamma:
        raise ValueError(f"constant={constant!r}, gamma={gamma!r}: allowed is 0 <= constant < gamma")
    return -gamma * constant / (gamma - constant), gamma


# --- examples -------------------------------------------------------------------------------------------------------


def bump(radius: float, gamma: float, centre: float = 0.0) -> Function:
    """``L(t) = gamma/2 (R^2 - (t - c)^2)_+`` on the line: it undoes the Gaussian within ``R`` of ``c``.

    There ``p_c`` is flat, so its variance is about ``R^2 / 3``: non-negative losses have no common bound on it.
    """

    def loss(theta: Tensor) -> Tensor:
        return gamma / 2 * (radius**2 - (theta[:, 0] - centre).square()).clamp(min=0)

    return loss


def bump_variance(radius: float, gamma: float) -> float:
    """The variance of ``p_c`` for :func:`bump`, in closed form.

    The density is ``exp(-gamma R^2 / 2)`` within ``R`` and Gaussian outside.
    """
    a = radius * math.sqrt(gamma)
    inside = math.exp(-(a**2) / 2)
    tail = math.sqrt(math.pi / 2) * math.erfc(a / math.sqrt(2))  # int from a of exp(-s^2 / 2)
    second = a**3 / 3 * inside + a * inside + tail  # int from a of s^2 exp(-s^2 / 2) = a inside + tail
    return second / (a * inside + tail) / gamma


def quadratic(matrix: Tensor, slope: Tensor, theta: Tensor, gamma: float) -> LocalEntropy:
    """The local entropy of ``L = theta.A theta / 2 + b.theta`` in closed form, for ``A + gamma I`` positive definite.

    ``p_theta`` is Gaussian with covariance ``(A + gamma I)^{-1}`` and mean ``(A + gamma I)^{-1} (gamma theta - b)``.

    Args:
        matrix: ``A``, symmetric ``(d, d)``.
        slope: ``b``, ``(d,)``.
        theta: ``(m, d)``.
        gamma: the scope.
    """
    d = len(slope)
    precision = matrix + gamma * torch.eye(d, dtype=matrix.dtype, device=matrix.device)
    covariance = torch.linalg.inv(precision)
    pull = gamma * theta - slope
    mean = pull @ covariance
    log_integral = d / 2 * math.log(2 * math.pi) - torch.logdet(precision) / 2 + (pull * mean).sum(1) / 2
    value = gamma / 2 * theta.square().sum(1) - log_integral
    return LocalEntropy(theta, gamma, value, mean, covariance.expand(len(theta), d, d), theta.new_zeros(len(theta)))


# --- the normaliser, and constants that cannot be improved ------------------------------------------------------------


def excess(found: LocalEntropy) -> Tensor:
    """``l(theta) = -log E exp(-L(theta + xi / sqrt(gamma)))``, ``xi`` standard normal, ``(m,)``.

    The objective ``-F``, counted from its value for ``L = 0``. If ``L >= 0`` it lies between 0 and the mean of ``L``
    around ``theta`` (Jensen), and ``exp(-l)`` is the share of draws from ``N(theta, I / gamma)`` that rejection
    sampling of ``p_theta`` would keep.
    """
    return found.value + found.theta.shape[1] / 2 * math.log(2 * math.pi / found.gamma)


def objective_bound(found: LocalEntropy) -> Tensor:
    """``gamma (1 + 2 l)`` with :func:`excess` ``l``: at least the spectral norm of ``-Hess F`` if ``L >= 0``. Ours.

    With ``w = E[exp(-L) | s]`` in ``[0, 1]``, ``s`` standard normal along a unit vector, and ``v = 2 l``:
    ``E[(s^2 - v) w] <= E (s^2 - v)_+ <= 2 exp(-v / 2) = 2 E w``, so the variance of ``p_theta`` along it is at most
    ``(v + 2) / gamma``. In any dimension, and without a bound on ``theta``.
    """
    return found.gamma * (1 + 2 * excess(found))


def bounded_variance(largest: float, gamma: float) -> float:
    r"""The largest variance of ``p_theta`` along a unit vector over all losses ``0 <= L <= M``, in any dimension. Ours.

    With ``s`` standard normal, ``w = E[exp(-L) | s]`` lies in ``[a, 1]``, ``a = exp(-M)``, and the second moment about
    ``theta`` is ``E[w s^2] / (gamma E w)``. It is at most ``v / gamma``, where ``v >= 1`` solves

        a (1 - v) + (1 - a) E (s^2 - v)_+ = 0,

    because ``(s^2 - v)(w - w*) <= 0`` for the weight ``w* = 1`` where ``s^2 > v``, else ``a``; that weight
    (:func:`plateau`) attains it. ``v`` is at most ``1 + 2 M``, where the bound of :func:`bounded_loss` has ``e^M``.
    """
    if not 0 <= largest < math.inf:
        raise ValueError(f"largest={largest!r}: allowed is a finite bound of at least 0")
    low = math.exp(-largest)

    def surplus(v: float) -> float:
        c = math.sqrt(v)
        tail = math.erfc(c / math.sqrt(2)) / 2
        return low * (1 - v) + (1 - low) * 2 * (c * math.exp(-v / 2) / math.sqrt(2 * math.pi) + (1 - v) * tail)

    top = 2.0
    while surplus(top) > 0:
        top *= 2
    return float(optimize.brentq(surplus, 1.0, top, xtol=1e-13, rtol=1e-14)) / gamma if largest else 1 / gamma


def lipschitz_variance(constant: float, gamma: float) -> float:
    """The largest variance of ``p_theta`` along a unit vector over all ``C``-Lipschitz losses, in any dimension. Ours.

    Along a unit vector ``p_theta`` has density ``exp(-l(s) - gamma s^2 / 2)`` with a ``C``-Lipschitz ``l``. On either
    side of ``theta`` its ratio to the density for ``l = -C |s|`` falls with ``|s|``, so its second moment is the
    smaller one. That of ``-C |s|`` is ``(1 + a^2 + a phi(a) / Phi(a)) / gamma``, ``a = C / sqrt(gamma)``.
    """
    if not 0 <= constant < math.inf:
        raise ValueError(f"constant={constant!r}: allowed is a finite constant of at least 0")
    a = constant / math.sqrt(gamma)
    density, below = math.exp(-(a**2) / 2) / math.sqrt(2 * math.pi), math.erfc(-a / math.sqrt(2)) / 2
    return (1 + a**2 + a * density / below) / gamma


def smooth_range(concave: float, convex: float, gamma: float) -> tuple[float, float]:
    """The range of the eigenvalues of ``-Hess F`` if those of ``Hess L`` lie in ``[-a, C]`` and ``gamma > a``. Ours.

    From ``-gamma a / (gamma - a)`` (:func:`weakly_convex_range`) to ``gamma C / (gamma + C)``: integration by parts and
    Cauchy-Schwarz give ``Sigma >= I / (gamma + C)``. A quadratic attains both.

    Raises:
        ValueError: unless ``0 <= a < gamma`` and ``C >= 0``.
    """
    low, _ = weakly_convex_range(concave, gamma)
    if not 0 <= convex < math.inf:
        raise ValueError(f"convex={convex!r}: allowed is a finite constant of at least 0")
    return low, gamma * convex / (gamma + convex)


def plateau(largest: float, gamma: float) -> tuple[Function, float]:
    """The loss on the line that is ``M`` up to some distance of 0 and 0 beyond, and that distance.

    It attains :func:`bounded_variance` at ``theta = 0``.
    """
    rim = math.sqrt(bounded_variance(largest, gamma))
    return lambda theta: largest * (theta[:, 0].abs() < rim).to(theta), rim


def tent(constant: float, reach: float) -> Function:
    """``L(t) = C (R - |t|)_+`` on the line: non-negative, ``C``-Lipschitz, near 0 a constant less ``C |t|``."""
    return lambda theta: constant * (reach - theta[:, 0].abs()).clamp(min=0)


def tower(radii: Sequence[float], gamma: float, gap: float) -> tuple[Function, list[float]]:
    """Disjoint bumps of growing radius side by side, ``gap`` apart, as one loss on the line; and their centres."""
    centres, edge = [], 0.0
    for radius in radii:
        centres.append(edge + radius)
        edge += 2 * radius + gap
    bumps = [bump(radius, gamma, centre) for radius, centre in zip(radii, centres, strict=True)]
    return lambda theta: torch.stack([one(theta) for one in bumps]).sum(0), centres


def hills(curvature: float, width: float) -> Function:
    """``L(t) = C w^2 (1 + cos(t / w))`` on the line: non-negative, second derivative from ``-C`` to ``C``."""
    return lambda theta: curvature * width**2 * (1 + (theta[:, 0] / width).cos())


def hill_with_a_kink(curvature: float, eps: float) -> Function:
    """``C (1 + cos t) + eps |t|``, the maximum over ``|delta| <= eps`` of ``C (1 + cos t) + delta t``.

    An adversarial loss that is neither smooth nor convex: under assumption 1 with ``C_theta = C + eps``,
    ``C_theta_theta = C`` and ``C_theta_x = 1``.
    """
    smooth = hills(curvature, 1.0)
    return lambda theta: smooth(theta) + eps * theta[:, 0].abs()
