r"""Rescaled weights: the same network, trained alike with another rate per layer (Zhu et al. 2022, lemma 3).

With ``W~_l = c_l W_l`` for positive ``c_l`` and the output divided by ``prod_l c_l``, a ReLU network without biases is
the same function, and the gradient of any loss in ``W~_l`` is ``1/c_l`` times that in ``W_l``. So ``W~_l(t) = c_l
W_l(t)`` for all times if layer ``l`` gets ``c_l^2`` times the learning rate of ``W_l``; see :func:`twin` for
momentum, weight decay and Adam. The formulas of the paper are lost; the exponents follow from the chain rule.
"""

# ruff: noqa: N803 - L is the paper's own symbol

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from advsmooth.models import fcn


@dataclass(frozen=True)
class Twin:
    """What the rescaled network needs to be trained alike, each relative to the network it is a twin of.

    Attributes:
        alpha: output scale, by which the output is divided.
        rates: learning rate of each layer.
        decays: weight decay of each layer.
        guards: ``eps`` of Adam of each layer.
    """

    alpha: float
    rates: tuple[float, ...]
    decays: tuple[float, ...]
    guards: tuple[float, ...]


def _positive(c: Sequence[float]) -> None:
    for value in c:
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"c={tuple(c)!r}: allowed are positive numbers; a ReLU does not commute with others")


def twin(c: Sequence[float], optimiser: Literal["sgd", "adam"] = "sgd") -> Twin:
    """The settings of the network with weights ``c_l W_l``.

    SGD, with or without momentum: rates ``c_l^2``. Adam divides the gradient by its own size, so its rates are ``c_l``
    and its guard against zero ``1/c_l``. Weight decay that is added to the gradient: ``1/c_l^2`` under both.

    Raises:
        ValueError: for a constant that is not positive or an unknown optimiser.
    """
    _positive(c)
    if optimiser not in ("sgd", "adam"):
        raise ValueError(f"optimiser={optimiser!r}: allowed is 'sgd' or 'adam'")
    power = 2 if optimiser == "sgd" else 1
    return Twin(
        math.prod(c), tuple(s**power for s in c), tuple(1 / s**2 for s in c), tuple(1 / s for s in c)
    )  # fmt: skip


def rescaled(weights: Sequence[Tensor], c: Sequence[float]) -> list[Tensor]:
    """``[c_1 W_1, ..., c_L W_L]``.

    Raises:
        ValueError: for a constant that is not positive, or not one for each layer.
    """
    _positive(c)
    if len(weights) != len(c):
        raise ValueError(f"c={tuple(c)!r}: allowed is one constant for each of the {len(weights)} layers")
    return [s * weight for s, weight in zip(c, weights, strict=True)]


def between(start: str, target: str, d: int, m: int, o: int, L: int) -> tuple[float, ...]:
    """The constants ``c_l`` that turn weights drawn by one scheme into those of another, the same Gaussian draw.

    Args:
        start: a name of :data:`advsmooth.models.fcn.SCHEMES`.
        target: another.
        d: input dimension.
        m: width.
        o: output dimension.
        L: depth.

    Returns:
        Ratios of standard deviations. So training ``target`` with learning rate ``eta`` is training ``start`` with its
        output *multiplied* by their product and learning rates ``eta / c_l^2``.
    """
    fcn.shapes(d, m, o, L)
    first, second = (fcn.initialisation(name, d, m, o) for name in (start, target))
    hidden = second.beta / first.beta
    return (second.beta_1 / first.beta_1, *[hidden] * (L - 2), second.beta_L / first.beta_L)


def best_common_rate(c: Sequence[float], squares: Sequence[float]) -> tuple[float, float]:
    r"""How near one common learning rate ``r eta`` of the twin comes, after one step, to the network it is a twin of.

    Divided by ``c_l``, the twin's step is ``r / c_l^2`` times the right one, so it misses by a share
    ``sum_l (r / c_l^2 - 1)^2 s_l / sum_l s_l`` of the squared step, with ``s_l`` the squared norm of the gradient in
    ``W_l``. This is least at ``r = (sum s_l / c_l^2) / (sum s_l / c_l^4)``, and by Lagrange's identity its least value
    is ``sum_{k<l} s_k s_l (c_k^-2 - c_l^-2)^2 / (sum s_l  sum s_l / c_l^4)``: zero if and only if all layers with a
    gradient have the same ``c_l``.

    Returns:
        The best ``r``, and the *root* of the share that is missed even then.

    Raises:
        ValueError: for bad constants, or if there is no gradient at all.
    """
    _positive(c)
    if len(c) != len(squares) or min(squares) < 0 or not sum(squares) > 0:
        raise ValueError(f"squares={tuple(squares)!r}: allowed are {len(c)} numbers, at least 0 and not all 0")
    u = [1 / s**2 for s in c]
    second, fourth = (sum(s * v**k for s, v in zip(squares, u, strict=True)) for k in (1, 2))
    pairs = sum(squares[k] * squares[j] * (u[k] - u[j]) ** 2 for k in range(len(c)) for j in range(k))
    return second / fourth, math.sqrt(pairs / (sum(squares) * fourth))
