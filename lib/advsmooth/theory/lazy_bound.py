r"""The upper bound of theorem 1 of Zhu et al. 2022 (equation 3), reconstructed, term by term.

For a ReLU network of depth ``L`` and width ``m`` with standard deviations ``beta_1``, ``beta`` and ``beta_L`` of its
first, hidden and last weights, up to a constant::

    P(f, eps) / eps <= ( sqrt(L^3 m^2) e^(-m / L^3)  +  sqrt(m) beta_L ) beta_1 gamma^(L-2),   gamma = beta sqrt(m / 2).

The first term pays for the movement of the weights in training, the second is the value at initialisation. The formula
is lost in the text at hand; the ledger says how it was rebuilt. Sizes may be real numbers, so that a plane of them can
be drawn.
"""

# ruff: noqa: N803 - L is the paper's own symbol

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from advsmooth.models.fcn import Initialisation
from advsmooth.theory import initialisation

EARLIER: dict[str, Callable[[float, float], float]] = {
    "Wu et al. 2021": lambda m, L: math.sqrt(m) * L**2,
    "Huang et al. 2021": lambda m, L: math.sqrt(m) * math.exp(L),
}
"""Orders of the earlier bounds of table 2 in width and depth (reconstructed from the sentences beside the table)."""


@dataclass(frozen=True)
class LazyBound:
    """The right side of theorem 1, with constant 1.

    Attributes:
        init: the standard deviations of the first weights.
        m: width, positive.
        L: depth, at least 2.
    """

    init: Initialisation
    m: float
    L: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.m) and self.m > 0):
            raise ValueError(f"m={self.m!r}: allowed is a positive number")
        if not (math.isfinite(self.L) and self.L >= 2):
            raise ValueError(f"L={self.L!r}: allowed is a number, at least 2")

    @property
    def _path(self) -> float:
        return self.init.beta_1 * (self.init.beta * math.sqrt(self.m / 2)) ** (self.L - 2)

    @property
    def training(self) -> float:
        """The first term: ``L^(3/2) m e^(-m / L^3) beta_1 gamma^(L-2)``."""
        return self.L**1.5 * self.m * math.exp(-self.m / self.L**3) * self._path

    @property
    def initial(self) -> float:
        """The second term: ``sqrt(m) beta_L beta_1 gamma^(L-2)``, the order of lemma 5."""
        return math.sqrt(self.m) * self.init.beta_L * self._path

    @property
    def value(self) -> float:
        """Both terms."""
        return self.training + self.initial


def least_constant(d: int, o: int) -> float:
    """The constant with which the second term is the stability of fresh, infinitely wide networks.

    ``sqrt(o / 2) B(o) / sqrt(o) d / (d + 1)``: with a smaller one the theorem would be false before training.
    """
    return math.sqrt(o / 2) * initialisation.output_contraction(o) * initialisation.ball_mean(d)


def worst_width(L: float, power: float = 1.0) -> float:
    """Where ``m^power e^(-m / L^3)`` is largest: ``power L^3``.

    ``power`` is 1 for LeCun and He, whose ``beta_1`` and ``gamma`` are free of ``m``, and 1/2 for NTK.
    """
    if not power > 0:
        raise ValueError(f"power={power!r}: allowed is a positive number")
    return power * L**3


def impossible_depth(limit: float, floor: float, *, factor: float = 2**-0.5) -> float:
    """The depth from which on a bound that shrinks with every layer lies below a floor that does not.

    Args:
        limit: the bound at depth 2, its constant included.
        floor: what the quantity cannot fall below.
        factor: of one more layer, between 0 and 1; ``gamma`` under LeCun.

    Returns:
        ``L`` with ``limit factor^(L-2) = floor``, at least 2.

    Raises:
        ValueError: for a number that is not positive, or a factor of 1 or more.
    """
    if not (limit > 0 and floor > 0 and 0 < factor < 1):
        raise ValueError(
            f"limit={limit!r}, floor={floor!r}, factor={factor!r}: allowed are positives, a factor below 1"
        )
    return max(2.0, 2 + math.log(floor / limit) / math.log(factor))
