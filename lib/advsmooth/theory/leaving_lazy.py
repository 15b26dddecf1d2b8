r"""How far training must move the weights of a ReLU network that starts small (Zhu et al. 2022, theorem 2).

For ``f(x) = 1/alpha W_L relu(... relu(W_1 x))`` with ``|x| <= 1`` write ``N_l = |W_l(0)|_F^2``. Two facts
give everything:

- an output ``f(x)`` needs large weights: ``prod_l |W_l|_F >= alpha |f(x)| =: p`` (equation 14);
- gradient flow adds the *same* number ``s`` to the squared norm of each layer, ``|W_l(t)|_F^2 = N_l + s``
  (equation 15), because the network is homogeneous in each layer; gradient descent does so up to a drift ``D``.

So ``s >= s*`` with ``prod_l (N_l + s*) = p^2``, and the relative movement of layer ``l`` is at least
``sqrt(1 + (s* - D) / N_l) - 1`` (:func:`least_movement`). In particular it is at least
``p^(1/L) / max_l |W_l(0)|_F - 1`` (:func:`simple_bound`). All tensors are float64.
"""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor

_HALVINGS = 200


def common_growth(squares: Tensor, product: Tensor | float) -> Tensor:
    """The number ``s*`` above ``-min_l N_l`` with ``prod_l (N_l + s*) = p^2``, by bisection.

    Args:
        squares: ``N_l``, ``(..., L)``, positive.
        product: ``p``, positive, ``(...)`` or a number.

    Returns:
        ``(...)``; it lies between ``p^(2/L) - max N_l`` and ``p^(2/L) - min N_l``.

    Raises:
        ValueError: for a square or a product that is not positive.
    """
    n = squares.double()
    p = torch.as_tensor(product, dtype=torch.float64)
    if n.ndim == 0 or not bool((n > 0).all()) or not bool((p > 0).all()):
        raise ValueError("squares, product: allowed are positive numbers, one square for each layer")
    log_p = 2 * p.log()
    mean = (log_p / n.shape[-1]).exp()
    least = n.min(-1).values
    low, high = torch.maximum(mean - n.max(-1).values, -least), mean - least
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = (n + middle[..., None]).log().sum(-1) < log_p
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def least_movement(squares: Tensor, product: Tensor | float, drift: Tensor | float = 0.0) -> Tensor:
    """The lower bound of ``|W_l(T) - W_l(0)|_F / |W_l(0)|_F`` for each layer, 0 where it says nothing.

    Args:
        squares: ``N_l``, ``(..., L)``.
        product: ``p = alpha |f_T(x)|`` at some input of norm at most 1.
        drift: ``D``, how far the growths of two layers may differ at ``T``; 0 for gradient flow.

    Returns:
        ``(..., L)``.
    """
    grown = common_growth(squares, product) - torch.as_tensor(drift, dtype=torch.float64)
    return (1 + grown[..., None].clamp_min(0) / squares.double()).sqrt() - 1


def simple_bound(squares: Tensor, product: Tensor | float) -> Tensor:
    """``p^(1/L) / max_l |W_l(0)|_F - 1``, below every entry of :func:`least_movement`; ``(...)``, 0 if negative."""
    n = squares.double()
    p = torch.as_tensor(product, dtype=torch.float64)
    return (p ** (1 / n.shape[-1]) / n.max(-1).values.sqrt() - 1).clamp_min(0)


def typical_squares(m: Tensor | float, c: Tensor | float, d: int) -> Tensor:
    """``E |W_l(0)|_F^2`` of the two layers for standard deviations ``m^-c`` and one output: ``m^(1-2c) (d, 1)``."""
    size = torch.as_tensor(m, dtype=torch.float64) ** (1 - 2 * torch.as_tensor(c, dtype=torch.float64))
    return torch.stack([d * size, size], -1)


def start_norm(entries: int, deviation: float, delta: float) -> float:
    """What ``|W(0)|_F`` exceeds with probability ``delta``, exactly: ``deviation`` times the root of a quantile.

    Raises:
        ValueError: for a probability outside (0, 1).
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta={delta!r}: allowed is a probability between 0 and 1")
    return deviation * math.sqrt(stats.chi2.isf(delta, entries))


def start_norm_bound(entries: int, deviation: float, delta: float) -> float:
    """``deviation (sqrt(entries) + sqrt(2 log(1/delta)))``, above :func:`start_norm` (Laurent and Massart 2000)."""
    return deviation * (math.sqrt(entries) + math.sqrt(-2 * math.log(delta)))


def reconstructed_exponent(m: float) -> float:
    """The ``c`` at which ``m^(3/2) (beta_1 + beta_2) = 1``: two layers, deviations ``m^-c``, output scale 1."""
    return 1.5 + math.log(2) / math.log(m)


def width_exponent(c: float) -> float:
    r"""The power of ``m`` with which the relative movement goes, two layers, deviations ``m^-c``, output scale 1.

    Beyond ``c = 1/2`` it is that of the bound, ``c - 1/2``. Before, a heuristic: the network is lazy, moves by the
    change of its outputs ``1 + m^(1/2 - 2c)`` over the root ``m^(1/2 - c)`` of its tangent kernel, and starts at norm
    ``m^(1/2 - c)``: together ``max(2c - 1, -1/2)``.
    """
    return c - 0.5 if c >= 0.5 else max(2 * c - 1, -0.5)
