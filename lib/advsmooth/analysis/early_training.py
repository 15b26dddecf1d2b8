r"""Stability of two-layer networks early in training, and the failure rates of high-probability statements.

With one output the average over perturbations in definition 3 of Zhu et al. 2022 is known in closed form: for ``r``
uniform in the ball of radius ``eps``, ``E |g . r| = eps direction_mean(d) |g|``.
"""

# ruff: noqa: N803 - W is the paper's own symbol

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from advsmooth.theory import initialisation


def direction_mean(d: int) -> float:
    """``E |g . r|`` for a unit vector ``g`` and ``r`` uniform in the unit ball of dimension ``d``."""
    return initialisation.ball_mean(d) * initialisation.chi_mean(1) / initialisation.chi_mean(d)


def stability(gradients: Tensor) -> Tensor:
    """``P(f, eps) / eps`` from input gradients ``(..., n, d)`` of single-output networks; the result is ``(...)``."""
    return direction_mean(gradients.shape[-1]) * gradients.norm(dim=-1).mean(-1)


def exponents(widths: Sequence[int], values: Tensor) -> Tensor:
    """Least-squares slope of ``log value`` in ``log width``.

    Args:
        widths: at least two different ones.
        values: positive, ``(widths, ...)``.

    Raises:
        ValueError: for one width only, or values that are not positive.
    """
    if len(set(widths)) < 2 or not bool((values > 0).all()):
        raise ValueError(f"widths={list(widths)}: a slope needs two widths or more and positive values")
    t = torch.tensor(widths, dtype=torch.float64).log()
    t = t - t.mean()
    return torch.tensordot(t / t.square().sum(), values.log(), dims=1)


def failure_interval(failures: int, trials: int, confidence: float = 0.99) -> tuple[float, float]:
    """Exact (Clopper-Pearson) two-sided interval of a probability from independent trials.

    Raises:
        ValueError: for no trials or a count that is not possible.
    """
    if not 0 <= failures <= trials or trials < 1:
        raise ValueError(
            f"failures={failures!r} of {trials!r}: allowed is 0 to the number of trials, which is at least 1"
        )
    tail = (1 - confidence) / 2
    low = 0.0 if failures == 0 else float(stats.beta.ppf(tail, failures, trials - failures + 1))
    high = 1.0 if failures == trials else float(stats.beta.ppf(1 - tail, failures + 1, trials - failures))
    return low, high


def pushed(W: Tensor, a: Tensor, x: Tensor, r_w: float, r_a: float) -> list[tuple[Tensor, Tensor]]:
    """Movements of length ``r_w`` and ``r_a`` that try to make the Gram matrix of the first layer small.

    Every ``a_r`` moves towards 0, and every ``w_r`` straight towards the border of the gate of one point, across it if
    it is near enough; one movement per point (a row of ``x``, of norm 1).
    """
    smaller = a.sign() * (a.abs() - r_a).clamp_min(0)
    moved = []
    for point in x:
        side = torch.where(W @ point >= 0, 1.0, -1.0).to(W.dtype)
        moved.append((W - r_w * side[..., None] * point, smaller))
    return moved


def crossing(times: Sequence[float] | np.ndarray, values: Tensor, limit: float) -> float:
    """First of ``times`` at which ``values`` ``(times,)`` exceed the limit; infinite if they never do."""
    over = np.flatnonzero(values.numpy() > limit)
    return float(np.asarray(times)[over[0]]) if over.size else float("inf")


def running_integral(times: Sequence[float] | np.ndarray, values: Tensor) -> Tensor:
    """Integral from the first time to each time, by the trapezoidal rule; ``values`` is ``(times, ...)``."""
    t = torch.as_tensor(np.asarray(times), dtype=values.dtype)
    steps = (t[1:] - t[:-1]).reshape(-1, *[1] * (values.ndim - 1))
    parts = steps * (values[1:] + values[:-1]) / 2
    return torch.cat([torch.zeros_like(values[:1]), parts.cumsum(0)])
