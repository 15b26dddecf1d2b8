r"""Gram matrices of a two-layer ReLU network, their means, and how far they can stray (Zhu et al. 2022, appendix D).

The network is ``f(x) = 1/alpha sum_r a_r relu(w_r . x)`` with ``w_r ~ N(0, beta_1^2 I)`` in the rows of ``W``,
shape ``(..., m, d)``, and ``a_r ~ N(0, beta_2^2)`` in ``a``, shape ``(..., m)``; leading dimensions count networks.
On the loss ``1/2 |f - y|^2`` over points ``x``, shape ``(n, d)``, its predictions obey ``f' = -(H + G)(f - y)`` with

    H_ij = x_i . x_j / alpha^2  sum_r a_r^2 1{w_r . x_i >= 0, w_r . x_j >= 0}     (first layer)
    G_ij = 1 / alpha^2  sum_r relu(w_r . x_i) relu(w_r . x_j)                     (second layer).

*Per neuron* means divided by ``m beta_2^2 / alpha^2`` (``H``) or ``m beta_1^2 / alpha^2`` (``G``). Then the means
depend on the points alone; they are the arc-cosine kernels of orders 0 and 1 of Cho and Saul (2009). The formulas
of the paper are lost; the constants of the bounds are ours. Everything is float64 if the arguments are.
"""

# ruff: noqa: N803 - W is the paper's own symbol

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

FLIP = math.sqrt(2 / math.pi)
"""Twice the density of a standard normal variable at 0: ``P(|z| < rho) <= FLIP * rho``; also ``E |z|``."""


def first_layer(W: Tensor, a: Tensor, x: Tensor, alpha: float = 1.0) -> Tensor:
    """``H`` of weights ``(..., m, d)``, ``(..., m)`` at points ``(n, d)``; the result is ``(..., n, n)``."""
    return gated((x @ W.mT >= 0).to(x.dtype), a, x, alpha)


def gated(gates: Tensor, a: Tensor, x: Tensor, alpha: float = 1.0) -> Tensor:
    """``H`` for gates ``(..., n, m)`` given as numbers from 0 to 1, fractional where a weight slides along a border."""
    return (x @ x.T) * ((gates * a.square()[..., None, :]) @ gates.mT) / alpha**2


def second_layer(W: Tensor, x: Tensor, alpha: float = 1.0) -> Tensor:
    """``G`` of weights ``(..., m, d)`` at points ``(n, d)``; the result is ``(..., n, n)``."""
    hidden = torch.relu(x @ W.mT)
    return hidden @ hidden.mT / alpha**2


def angles(x: Tensor, z: Tensor | None = None) -> Tensor:
    """Angles between the rows of ``x`` and those of ``z`` (of ``x``), accurate near 0 and pi; exactly 0 for equal rows.

    Raises:
        ValueError: if a row is zero.
    """
    u, v = (s / s.norm(dim=1, keepdim=True) for s in (x, x if z is None else z))
    if not bool(torch.isfinite(u).all() and torch.isfinite(v).all()):
        raise ValueError("an input is zero, so it has no angle; leave it out")
    apart, together = (u[:, None] - v[None]).norm(dim=2), (u[:, None] + v[None]).norm(dim=2)
    return 2 * torch.atan2(apart, together)


def both_open(x: Tensor, z: Tensor | None = None) -> Tensor:
    """``P(w . x_i >= 0, w . z_j >= 0) = (pi - theta) / (2 pi)`` for Gaussian ``w``."""
    return (math.pi - angles(x, z)) / (2 * math.pi)


def mean_first_layer(x: Tensor, z: Tensor | None = None) -> Tensor:
    """``H`` infinity per neuron: ``x_i . z_j (pi - theta_ij) / (2 pi)``."""
    return (x @ (x if z is None else z).T) * both_open(x, z)


def mean_second_layer(x: Tensor, z: Tensor | None = None) -> Tensor:
    """``G`` infinity per neuron: ``|x_i| |z_j| (sin theta + (pi - theta) cos theta) / (2 pi)``."""
    other = x if z is None else z
    theta = angles(x, z)
    shape = (theta.sin() + (math.pi - theta) * theta.cos()) / (2 * math.pi)
    return x.norm(dim=1)[:, None] * other.norm(dim=1) * shape


def mean_gradient(x: Tensor, z: Tensor, weight: Tensor, first: float = 1.0, second: float = 1.0) -> Tensor:
    r"""``sum_j weight_j grad_x K(x_i, z_j)`` for ``K = first * H + second * G``, both infinite and per neuron.

    With unit vectors, ``2 pi grad_x H = (pi - theta) z + cos(theta) (z - cos(theta) x) / sin(theta)`` and
    ``2 pi grad_x G = sin(theta) x + (pi - theta) z``. At ``x = z`` the second term of the first is taken as 0, the mean
    of its values around.

    Args:
        x: ``(k, d)``, unit vectors.
        z: ``(n, d)``, unit vectors.
        weight: ``(n,)``.
        first: weight of the first layer's kernel, ``beta_2^2`` up to a factor.
        second: that of the second layer's, ``beta_1^2`` up to the same factor.

    Returns:
        Vectors ``(k, d)``.
    """
    theta = angles(x, z)
    sine, cosine, rest = theta.sin(), theta.cos(), math.pi - theta
    cot = torch.where(sine > 1e-7, cosine / sine.clamp_min(1e-7), torch.zeros_like(sine))
    along_z = first * (rest + cot) + second * rest
    along_x = -first * cot * cosine + second * sine
    return ((along_z * weight) @ z + (along_x * weight).sum(1, keepdim=True) * x) / (2 * math.pi)


def least(matrix: Tensor) -> Tensor:
    """Least eigenvalue of symmetric matrices ``(..., n, n)``."""
    return torch.linalg.eigvalsh(matrix)[..., 0]


def deviation(gram: Tensor, mean: Tensor) -> Tensor:
    """Spectral norm of the difference of symmetric matrices ``(..., n, n)``."""
    return torch.linalg.eigvalsh(gram - mean).abs().amax(-1)


# -- lemma 7: how far H(0) lies from its mean


def entry_bound(x: Tensor, m: float, delta: float) -> float:
    """With probability at least ``1 - delta``, ``|H(0) - H_inf|_F`` per neuron is at most this (the paper's route).

    Each entry is ``x_i . x_j`` times an average of ``m`` copies of ``b z^2``, ``z`` normal, ``b`` a gate open with
    probability ``p``. From ``E (b z^2)^k = p (2k-1)!! <= 3p/2 k! 2^(k-2)``, Bernstein's inequality gives
    ``|average - p| <= sqrt(6 p s / m) + 2 s / m`` but for a probability ``2 exp(-s)``; the union is over the
    ``n (n + 1) / 2`` different entries.
    """
    s = _log("delta", delta, len(x) * (len(x) + 1))
    entries = (x @ x.T).abs() * ((6 * both_open(x) * s / m).sqrt() + 2 * s / m)
    return entries.norm().item()


def matrix_bound(x: Tensor, m: float, delta: float) -> float:
    """With probability at least ``1 - delta``, ``|H(0) - H_inf|_2`` per neuron is at most this (matrix Bernstein).

    ``H(0)`` is an average of ``m`` copies of ``z^2 M``, ``M = D x x^T D`` with random gates ``D``. From
    ``E (z^2 M)^k <= k!/2 (2K)^(k-2) 3 E M^2`` with ``K = |x x^T|_2``, Tropp's (2012) method gives
    ``sqrt(6 |E M^2| s / m) + 2 K s / m`` but for a probability ``2 n exp(-s)``.
    """
    s = _log("delta", delta, 2 * len(x))
    size = torch.linalg.matrix_norm(x @ x.T, 2).item()
    return math.sqrt(6 * torch.linalg.matrix_norm(mean_square(x), 2).item() * s / m) + 2 * size * s / m


def mean_square(x: Tensor) -> Tensor:
    """``E M^2`` for ``M = D x x^T D`` with the gates of a Gaussian vector, from the probability of three open gates."""
    theta, product = angles(x), x @ x.T
    three = (1 - (theta[:, :, None] + theta[:, None, :] + theta[None]) / (2 * math.pi)) / 2  # i, j, k
    return torch.einsum("ijk,ik,kj->ij", three, product, product)


def width_needed(bound: Callable[[Tensor, float, float], float], x: Tensor, delta: float, target: float) -> int:
    """Smallest width at which ``bound(x, m, delta) <= target``; the bound must decrease in the width.

    Raises:
        ValueError: if the target is not positive.
    """
    if not target > 0:
        raise ValueError(f"target={target!r}: allowed is a positive number; are two points parallel?")
    high = 1
    while bound(x, high, delta) > target:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bound(x, middle, delta) > target else (low, middle)
    return high


# -- lemma 8: how far H can move when the weights do


def flip_probability(rho: Tensor) -> Tensor:
    """``P(|w . x| < rho beta_1)`` for ``|x| = 1``: the chance that a movement of that length can turn a gate; exact."""
    return torch.erf(rho / math.sqrt(2))


def movement_bound(W: Tensor, a: Tensor, x: Tensor, rho: float, sigma: float, beta_1: float, beta_2: float) -> Tensor:
    """Largest change of ``H`` per neuron, summed over its entries, when all weights move at most as said.

    Args:
        W: initial weights ``(..., m, d)``.
        a: initial output weights ``(..., m)``.
        x: points ``(n, d)``.
        rho: ``|w_r - w_r(0)| <= rho beta_1``.
        sigma: ``|a_r - a_r(0)| <= sigma beta_2``.
        beta_1: standard deviation of ``W``.
        beta_2: standard deviation of ``a``.

    Returns:
        ``(...)``, at least ``|H - H(0)|_2`` for *every* such movement.
    """
    loose = ((x @ W.mT).abs() < rho * beta_1 * x.norm(dim=1)[:, None]).to(x.dtype)
    fixed = 1 - loose
    scaled = (a / beta_2).abs()
    turned = scaled.square().sum(-1)[..., None, None] - (fixed * scaled.square()[..., None, :]) @ fixed.mT
    grown = (2 * sigma * scaled + sigma**2).sum(-1)[..., None, None]
    return ((x @ x.T).abs() * (turned + grown)).sum((-2, -1)) / a.shape[-1]


def mean_movement_bound(x: Tensor, rho: float, sigma: float) -> float:
    """Bound on the mean of :func:`movement_bound`: ``sum_ij |x_i . x_j| (2 FLIP (rho + sigma) + sigma^2)``."""
    return (x @ x.T).abs().sum().item() * (2 * FLIP * (rho + sigma) + sigma**2)


def radius(x: Tensor, delta: float, lambda_0: float) -> float:
    """The ``rho = sigma`` at which :func:`mean_movement_bound` is ``delta lambda_0 / 4`` (then Markov's inequality)."""
    _log("delta", delta, 1)
    target = delta * lambda_0 / (4 * (x @ x.T).abs().sum().item())
    return math.sqrt(4 * FLIP**2 + target) - 2 * FLIP


# -- lemmas 9 to 11: how long the weights stay near


def largest_normal(count: int, delta: float) -> float:
    """``sqrt(2 log(2 count / delta))``: ``count`` standard normal variables all stay below it, but for ``delta``."""
    return math.sqrt(2 * _log("delta", delta, 2 * count))


def early_time(
    *, n: int, alpha: float, residual: float, r_w: float, r_a: float, a_max: float, u_max: float
) -> tuple[float, float]:
    """Times before which no ``w_r`` can have moved by ``r_w``, and no ``a_r`` by ``r_a`` (both hold up to the smaller).

    Args:
        n: number of points, of norm 1.
        alpha: output scale.
        residual: ``|f(0) - y|``.
        r_w: radius of the first layer.
        r_a: radius of the output weights.
        a_max: at least ``|a_r(0)|`` for all neurons.
        u_max: at least ``|w_r(0) . x_i|`` for all neurons and points.
    """
    speed = math.sqrt(n) * residual / alpha
    return r_w / (speed * (a_max + r_a)), r_a / (speed * (u_max + r_w))


def _log(name: str, delta: float, factor: float) -> float:
    if not 0 < delta < 1:
        raise ValueError(f"{name}={delta!r}: allowed is a probability, between 0 and 1")
    return math.log(factor / delta)
