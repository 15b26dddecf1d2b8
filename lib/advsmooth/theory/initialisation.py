"""Exact laws of a ReLU network at initialisation (Zhu et al. 2022, lemmas 1, 2 and 5).

For the network of :mod:`advsmooth.models.fcn` with fresh Gaussian weights, any input ``x != 0`` and any
fixed vector ``v``, the squared response ``||grad f(x)^T v||^2 / ||v||^2`` has the law of a product of
independent factors,

    (beta_L / alpha)^2 chi2_o  *  beta_1^2 chi2_{omega_1}  *  prod_{l=2}^{L-1} beta^2 chi2_{omega_l},

where ``chi2_k`` is chi-square with ``k`` degrees of freedom and ``omega_l`` is binomial, ``Bin(m, 1/2)``
(:class:`GatedChiSquare`). It depends neither on ``x`` nor on the direction of ``v``. The moments below follow.
All numbers are Python floats computed in float64; samples are float64 tensors.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from advsmooth.models.fcn import Initialisation


def _positive_integer(name: str, value: int, least: int = 1) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r}: allowed is an integer, at least {least}")


def chi_mean(k: int) -> float:
    """``B(k) = E chi_k = sqrt(2) Gamma((k+1)/2) / Gamma(k/2)``, the mean norm of ``k`` normals; ``B(0) = 0``."""
    _positive_integer("k", k, 0)
    return 0.0 if k == 0 else math.sqrt(2) * math.exp(math.lgamma((k + 1) / 2) - math.lgamma(k / 2))


@functools.cache
def _binomial_half(m: int) -> Tensor:
    """Probabilities of ``Bin(m, 1/2)`` at ``0 ... m``, float64."""
    k = torch.arange(m + 1, dtype=torch.float64)
    top = torch.tensor(float(m + 1), dtype=torch.float64)
    return (torch.lgamma(top) - torch.lgamma(k + 1) - torch.lgamma(m - k + 1) - m * math.log(2)).exp()


@dataclass(frozen=True)
class GatedChiSquare:
    """The law of ``chi2_omega``, ``omega ~ Bin(m, 1/2)``: the energy that ``m`` gated normal units let through.

    Lemma 2: ``||D W h||^2 / ||h||^2`` is ``beta^2`` times a variable of this law. It has an atom at 0, of
    mass ``2^-m``: all gates closed.

    Attributes:
        m: number of units, the width of the layer.
    """

    m: int

    def __post_init__(self) -> None:
        _positive_integer("m", self.m)

    @property
    def mean(self) -> float:
        """``m / 2``."""
        return self.m / 2

    @property
    def variance(self) -> float:
        """``5 m / 4``."""
        return 5 * self.m / 4

    @property
    def root_mean(self) -> float:
        """``A(m) = E sqrt(chi2_omega)``."""
        return _gated_moment(self.m, 0.5)

    def moment(self, p: float) -> float:
        """``E (chi2_omega)^p`` for ``p > 0``, by ``E (chi2_k)^p = 2^p Gamma(k/2 + p) / Gamma(k/2)``."""
        return _gated_moment(self.m, p)

    def cdf(self, s: Tensor) -> Tensor:
        """``P(chi2_omega <= s)`` for a tensor ``s`` of any shape; float64. It jumps by ``2^-m`` at 0."""
        s = s.to(torch.float64)
        weights = _binomial_half(self.m).to(s.device)
        half = torch.arange(1, self.m + 1, dtype=torch.float64, device=s.device) / 2
        positive = torch.special.gammainc(half, (s.clamp_min(0) / 2)[..., None]) @ weights[1:]
        return torch.where(s < 0, torch.zeros_like(s), weights[0] + positive)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` draws ``(n,)`` by the definition: first ``omega``, then the sum of ``omega`` squared normals."""
        half = torch.full((n,), 0.5, dtype=torch.float64, device=generator.device)
        omega = torch.binomial(half.new_full((n,), float(self.m)), half, generator=generator)
        squares = torch.randn(n, self.m, generator=generator, dtype=torch.float64, device=generator.device).square()
        return (squares * (torch.arange(self.m, device=generator.device) < omega[:, None])).sum(1)

    def uniformised(self, s: Tensor, generator: torch.Generator) -> Tensor:
        """Randomised probability integral transform of a sample ``(n,)``.

        Independent uniform variables on [0, 1] if and only if ``s`` has this law: a value at the atom is
        spread evenly over ``[0, 2^-m]``. Tests that assume a continuous law (Kolmogorov-Smirnov) apply to it.
        """
        u = self.cdf(s)
        spread = torch.rand(s.shape, generator=generator, dtype=torch.float64, device=generator.device).to(u.device)
        return torch.where(s == 0, spread * 0.5**self.m, u)


@functools.cache
def _gated_moment(m: int, p: float) -> float:
    if not p > 0:
        raise ValueError(f"p={p!r}: allowed is a positive number")
    half = torch.arange(1, m + 1, dtype=torch.float64) / 2
    chi_squares = (torch.lgamma(half + p) - torch.lgamma(half) + p * math.log(2)).exp()
    return (_binomial_half(m)[1:] * chi_squares).sum().item()


def contraction(m: int) -> float:
    """``c(m) = A(m) / sqrt(m/2)``: what a ReLU layer does to the mean norm, relative to the root mean square.

    Strictly increasing in ``m`` with limit 1, and ``c(m) = 1 - 5/(8m) - 23/(128 m^2) + O(m^-3)``.
    """
    return GatedChiSquare(m).root_mean / math.sqrt(m / 2)


def output_contraction(o: int) -> float:
    """``B(o) / sqrt(o)``: the same for the output layer, which has no gates."""
    _positive_integer("o", o)
    return chi_mean(o) / math.sqrt(o)


def ball_mean(d: int) -> float:
    """``E ||r||`` for ``r`` uniform in the unit ball of dimension ``d``: ``d / (d + 1)``."""
    _positive_integer("d", d)
    return d / (d + 1)


def ball_mean_square(d: int) -> float:
    """``E ||r||^2`` for ``r`` uniform in the unit ball of dimension ``d``: ``d / (d + 2)``."""
    _positive_integer("d", d)
    return d / (d + 2)


@dataclass(frozen=True)
class Response:
    """The law of ``||grad f(x)^T v|| / ||v||`` over the initial weights, for fixed ``x != 0`` and ``v != 0``.

    Attributes:
        init: the standard deviations of the weights.
        m, o, L: width, output dimension, depth of the network.
        alpha: output scale.
    """

    init: Initialisation
    m: int
    o: int
    L: int
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _positive_integer("m", self.m)
        _positive_integer("o", self.o)
        _positive_integer("L", self.L, 2)
        if not self.alpha > 0:
            raise ValueError(f"alpha={self.alpha!r}: allowed is a positive number")

    @property
    def gamma(self) -> float:
        """``beta sqrt(m/2)``."""
        return self.init.gamma(self.m)

    @property
    def order(self) -> float:
        """``sqrt(m) beta_L beta_1 gamma^(L-2)``, the order of lemma 5 (reconstructed)."""
        return math.sqrt(self.m) * self.init.beta_L * self.init.beta_1 * self.gamma ** (self.L - 2)

    @property
    def second_moment(self) -> float:
        """``E ||grad f v||^2 / ||v||^2 = (o beta_L^2 / alpha^2) (m beta_1^2 / 2) gamma^(2(L-2))``, exact."""
        return self.o / 2 * (self.order / self.alpha) ** 2

    @property
    def rms(self) -> float:
        """Root of :attr:`second_moment`."""
        return math.sqrt(self.second_moment)

    @property
    def first_moment(self) -> float:
        """``E ||grad f v|| / ||v|| = (beta_L B(o) / alpha) beta_1 A(m) (beta A(m))^(L-2)``, exact."""
        return self.rms * output_contraction(self.o) * contraction(self.m) ** (self.L - 1)

    @property
    def growth(self) -> float:
        """``gamma c(m) = beta A(m)``: what one more layer does to :attr:`first_moment`."""
        return self.gamma * contraction(self.m)

    def wide_limit(self, d: int) -> float:
        """:meth:`stability` with 1 for ``c(m)``: the limit of infinite width if :attr:`rms` is free of ``m``."""
        return self.rms * output_contraction(self.o) * ball_mean(d)

    def relative_moment(self, p: float) -> float:
        """``E R^p / (E R^2)^(p/2)`` for the response ``R``, exact; 1 for ``p = 2``."""
        gates = GatedChiSquare(self.m)
        output = math.exp(math.lgamma((self.o + p) / 2) - math.lgamma(self.o / 2)) * (2 / self.o) ** (p / 2)
        return output * (gates.moment(p / 2) / gates.mean ** (p / 2)) ** (self.L - 1)

    def variance_ratio(self, power: float) -> float:
        """Variance of ``R^power`` over its squared mean; ``(1 + 2/o)(1 + 5/m)^(L-1) - 1`` for ``power = 2``."""
        return self.relative_moment(2 * power) / self.relative_moment(power) ** 2 - 1

    def skewness(self, power: float) -> float:
        """Skewness of ``R^power``; a mean of ``n`` has it over ``sqrt(n)``, which normal intervals need small."""
        first = self.relative_moment(power)
        second, third = self.relative_moment(2 * power) / first**2, self.relative_moment(3 * power) / first**3
        return (third - 3 * second + 2) / (second - 1) ** 1.5

    @property
    def dead(self) -> float:
        """Probability that some hidden layer is all zero at ``x``, and the response too: ``1 - (1 - 2^-m)^(L-1)``."""
        return -math.expm1((self.L - 1) * math.log1p(-(0.5**self.m)))

    def stability(self, d: int) -> float:
        """``P(f, eps) / eps`` of definition 1, exact: :attr:`first_moment` times ``d / (d + 1)``."""
        return self.first_moment * ball_mean(d)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` independent draws ``(n,)`` from the product law; no network is built."""
        gates = GatedChiSquare(self.m)
        shape = (n, self.o)
        total = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device).square().sum(1)
        for _ in range(self.L - 1):
            total = total * gates.sample(n, generator)
        init = self.init
        return total.sqrt() * (init.beta_L * init.beta_1 * init.beta ** (self.L - 2) / self.alpha)


def tangent_kernel(init: Initialisation, m: int, L: int, *, square_norm: float = 1.0, alpha: float = 1.0) -> float:  # noqa: N803
    """``E sum over l of |grad of f_k(x) to W_l|_F^2`` at initialisation, for one output and ``|x|^2 = square_norm``.

    The gradient to ``W_l`` is an outer product: ``h_{l-1}``, whose energy is that of ``x`` times one factor per
    layer below, and the row of the output weights carried back, with one factor per layer above (lemmas 1 and 2).
    It does not depend on ``x`` beyond its norm.

    Raises:
        ValueError: for a width below 1 or a depth below 2.
    """
    _positive_integer("m", m)
    _positive_integer("L", L, 2)
    first, last, energy = init.beta_1**2 * m / 2, init.beta_L**2 * m / 2, init.gamma(m) ** 2
    layers = last * energy ** (L - 2) + (L - 2) * first * last * energy ** max(L - 3, 0) + first * energy ** (L - 2)
    return square_norm * layers / alpha**2
