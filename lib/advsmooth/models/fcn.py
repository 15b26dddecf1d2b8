"""The fully connected ReLU network of Zhu et al. 2022 (equation 2) and its Gaussian initialisations.

The network has depth ``L``, width ``m``, no biases, and an output scale ``alpha``::

    h_0 = x,   h_l = relu(W_l h_{l-1}) for l < L,   f(x) = W_L h_{L-1} / alpha,

with ``W_1`` of shape ``(m, d)``, hidden ``W_l`` of shape ``(m, m)`` and ``W_L`` of shape ``(o, m)``. The
entries are independent normal with standard deviations ``beta_1``, ``beta`` and ``beta_L``. The formulas
of the paper are lost in the text at hand; this is the reconstruction of the ledger.

The functions of this module take the weights as a list, so that ``torch.func.vmap`` can run many networks
at once (:func:`ensemble`); :class:`FCN` is the same network as a module that can be trained.
"""

# ruff: noqa: N803, N815 - L and beta_L are the paper's own symbols

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from advsmooth import settings


@dataclass(frozen=True)
class Initialisation:
    """Standard deviations of the Gaussian weights, named as in the paper.

    Attributes:
        beta_1: of the entries of the first layer.
        beta: of the entries of the hidden layers (unused by a network of depth 2).
        beta_L: of the entries of the output layer.
    """

    beta_1: float
    beta: float
    beta_L: float

    def __post_init__(self) -> None:
        for name, value in (("beta_1", self.beta_1), ("beta", self.beta), ("beta_L", self.beta_L)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}={value!r}: a standard deviation is a finite number, at least 0")

    @classmethod
    def from_variances(cls, first: float, hidden: float, last: float) -> Initialisation:
        """From the variances ``(beta_1^2, beta^2, beta_L^2)``, such as small powers of ``m`` for non-lazy training."""
        for name, value in (("beta_1^2", first), ("beta^2", hidden), ("beta_L^2", last)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}={value!r}: a variance is a finite number, at least 0")
        return cls(math.sqrt(first), math.sqrt(hidden), math.sqrt(last))

    def gamma(self, m: int) -> float:
        """``gamma = beta sqrt(m / 2)``: what one hidden ReLU layer does to the root mean square of a vector."""
        return self.beta * math.sqrt(m / 2)


def lecun(d: int, m: int, o: int) -> Initialisation:  # noqa: ARG001 - the three schemes share one signature
    """LeCun et al. 2012: variances ``(1/d, 1/m, 1/m)``."""
    return Initialisation.from_variances(1 / d, 1 / m, 1 / m)


def he(d: int, m: int, o: int) -> Initialisation:  # noqa: ARG001
    """He et al. 2015: variances ``(2/d, 2/m, 2/m)``; the last may be 1/m in the paper, where it is lost."""
    return Initialisation.from_variances(2 / d, 2 / m, 2 / m)


def ntk(d: int, m: int, o: int) -> Initialisation:  # noqa: ARG001
    """Allen-Zhu et al. 2019 ("NTK initialisation" in the paper): variances ``(2/m, 2/m, 1/o)``."""
    return Initialisation.from_variances(2 / m, 2 / m, 1 / o)


SCHEMES: dict[str, Callable[[int, int, int], Initialisation]] = {"lecun": lecun, "he": he, "ntk": ntk}
"""The three schemes of table 1 by name; each maps ``(d, m, o)`` to an :class:`Initialisation`."""


def initialisation(scheme: str | Initialisation, d: int, m: int, o: int) -> Initialisation:
    """The standard deviations of a scheme of :data:`SCHEMES`, or those given.

    Raises:
        ValueError: for an unknown name.
    """
    if isinstance(scheme, Initialisation):
        return scheme
    if scheme not in SCHEMES:
        near = difflib.get_close_matches(scheme, SCHEMES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"initialisation {scheme!r}: unknown; {hint}allowed: {', '.join(SCHEMES)}, an Initialisation")
    return SCHEMES[scheme](d, m, o)


def shapes(d: int, m: int, o: int, L: int) -> list[tuple[int, int]]:
    """Shapes of ``W_1 ... W_L``.

    Raises:
        ValueError: for a size below 1 or a depth below 2 (input and output layer).
    """
    for name, value, least in (("d", d, 1), ("m", m, 1), ("o", o, 1), ("L", L, 2)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r}: allowed is an integer, at least {least}")
    return [(m, d), *[(m, m)] * (L - 2), (o, m)]


def draw_weights(
    d: int,
    m: int,
    o: int,
    L: int,
    scheme: str | Initialisation,
    generator: torch.Generator | int,
    *,
    networks: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
) -> list[Tensor]:
    """Independent Gaussian weights of one network, or of many.

    Args:
        d: input dimension.
        m: width.
        o: output dimension.
        L: depth.
        scheme: a name of :data:`SCHEMES` or an :class:`Initialisation`.
        generator: drawn from, on its own device; or a seed.
        networks: how many networks; their weights are stacked along a new first dimension.
        dtype: of the weights.
        device: where they shall lie; on the generator's if none is given.

    Returns:
        ``[W_1, ..., W_L]``, each ``(rows, columns)`` or ``(networks, rows, columns)``.

    Raises:
        ValueError: for a bad size, depth, scheme or number of networks.
    """
    if networks is not None and networks < 1:
        raise ValueError(f"networks={networks!r}: allowed is an integer, at least 1")
    g = settings.generator(generator) if isinstance(generator, int) else generator
    layers = shapes(d, m, o, L)
    init = initialisation(scheme, d, m, o)
    deviations = [init.beta_1, *[init.beta] * (L - 2), init.beta_L]
    lead = () if networks is None else (networks,)
    return [
        torch.randn(*lead, *shape, generator=g, dtype=dtype, device=g.device).mul_(deviation).to(device or g.device)
        for shape, deviation in zip(layers, deviations, strict=True)
    ]


def hidden_states(weights: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """``[h_1, ..., h_{L-1}]`` of one network at inputs ``x`` of shape ``(..., d)``; each is ``(..., m)``."""
    states = []
    for weight in weights[:-1]:
        x = functional.relu(functional.linear(x, weight))
        states.append(x)
    return states


def forward(weights: Sequence[Tensor], x: Tensor, alpha: float = 1.0) -> Tensor:
    """``f(x)`` of equation 2 for inputs of shape ``(..., d)``; the result is ``(..., o)``."""
    return functional.linear(hidden_states(weights, x)[-1], weights[-1]) / alpha


def sign_matrices(weights: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """Diagonals of ``D_1 ... D_{L-1}`` of definition 2, ``1{W_l h_{l-1} >= 0}``; each is ``(..., m)``.

    A layer whose input is zero has ``D = I`` here, while automatic differentiation takes the slope 0 of
    the ReLU at 0. The two products of a network agree all the same, see :func:`jacobian`.
    """
    signs = []
    for weight in weights[:-1]:
        before = functional.linear(x, weight)
        signs.append((before >= 0).to(before.dtype))
        x = functional.relu(before)
    return signs


def jacobian(weights: Sequence[Tensor], x: Tensor, alpha: float = 1.0) -> Tensor:
    """``W_L D_{L-1} W_{L-1} ... D_1 W_1 / alpha``, the gradient of ``f`` at ``x``, of shape ``(..., o, d)``.

    It equals the Jacobian by automatic differentiation wherever no unit sits exactly at zero; and also
    where a hidden layer ``l`` is all zero, since ``D_l = 0`` then makes both products zero. At ``x = 0``
    they differ: the product is that of a linear network, automatic differentiation gives 0.
    """
    product = weights[0].expand(*x.shape[:-1], *weights[0].shape)
    for weight, sign in zip(weights[1:], sign_matrices(weights, x), strict=True):
        product = weight @ (sign[..., None] * product)
    return product / alpha


def ensemble(weights: Sequence[Tensor], alpha: float = 1.0) -> Callable[[Tensor], Tensor]:
    """Many networks as one function: input ``i`` goes through network ``i``.

    Args:
        weights: stacked, as :func:`draw_weights` makes them with ``networks=n``.
        alpha: output scale.

    Returns:
        A function from ``(n, d)`` (or ``(n, k, d)``: ``k`` inputs each) to ``(n, o)`` (``(n, k, o)``).
    """
    stacked = list(weights)

    def apply(x: Tensor) -> Tensor:
        return torch.func.vmap(lambda w, single: forward(w, single, alpha))(stacked, x)

    return apply


class FCN(nn.Module):
    """The network of equation 2 as a module; inputs of any shape are flattened.

    Args:
        d: input dimension.
        m: width.
        o: output dimension.
        L: depth, at least 2.
        alpha: output scale.
        scheme: a name of :data:`SCHEMES` or an :class:`Initialisation`.
        generator: for the initial weights, or a seed.
        dtype: of the weights.
        device: where they shall lie; on the generator's if none is given.

    Raises:
        ValueError: for a bad size, depth, scheme, or an ``alpha`` that is not positive.
    """

    def __init__(
        self,
        d: int,
        m: int,
        o: int,
        L: int,
        alpha: float = 1.0,
        *,
        scheme: str | Initialisation = "he",
        generator: torch.Generator | int = 0,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__()
        if not (math.isfinite(alpha) and alpha > 0):
            raise ValueError(f"alpha={alpha!r}: allowed is a positive number")
        drawn = draw_weights(d, m, o, L, scheme, generator, dtype=dtype, device=device)
        self.d, self.m, self.o, self.L, self.alpha = d, m, o, L, alpha
        self.weights = nn.ParameterList([nn.Parameter(weight) for weight in drawn])

    def forward(self, x: Tensor) -> Tensor:
        """``(n, ...)`` inputs with ``d`` numbers each to ``(n, o)`` outputs."""
        return forward(list(self.weights), self._flat(x), self.alpha)

    def hidden_states(self, x: Tensor) -> list[Tensor]:
        """``[h_1, ..., h_{L-1}]``, each ``(n, m)``."""
        return hidden_states(list(self.weights), self._flat(x))

    def jacobian(self, x: Tensor) -> Tensor:
        """The gradient by the product formula, ``(n, o, d)``; see :func:`jacobian`."""
        return jacobian(list(self.weights), self._flat(x), self.alpha)

    def extra_repr(self) -> str:
        """The sizes, for ``print``."""
        return f"d={self.d}, m={self.m}, o={self.o}, L={self.L}, alpha={self.alpha:g}"

    def _flat(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        if flat.shape[1] != self.d:
            raise ValueError(
                f"input of shape {tuple(x.shape)}: the network takes {self.d} numbers, not {flat.shape[1]}"
            )
        return flat
