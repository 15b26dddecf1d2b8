r"""Lipschitz-regularised minimisers on finite sets, exact up to a certified gap (Finlay et al., equation 2.7).

    minimise   1/n sum over i of l(u_i, y_i) + lambda max(L - L_0, 0)
    subject to |u_i - u_j| <= L |x_i - x_j|   for all pairs,

over values ``u_i`` at the data (numbers, or points of the probability simplex in the maximum norm) and ``L >= 0``. Any
``u`` on the whole space restricts to such values, and any such values extend to the whole space with the same constant
(McShane 1934), so this finite convex problem is the problem of the paper, for which ``L_0 = 0``. On the line only
neighbours need a constraint.

The certificate does not trust the solver. With multipliers ``mu_ij >= 0`` of the ordered pairs, component by component,
and ``r_i = sum over j of (mu_ij - mu_ji)``, every choice with ``sum mu_ij |x_i - x_j| <= lambda`` gives a lower bound,

    sum over i of  inf over u of (1/n l(u, y_i) + r_i . u)  -  L_0 sum mu_ij |x_i - x_j|,

by weak duality. Its infima are in closed form (for the simplex after one more multiplier), and are evaluated here at
the solver's multipliers, cut to ``mu >= 0`` and scaled into the constraint. The objective is evaluated at the values
themselves, with their own Lipschitz constant.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

SHIFT = 0.1
"""The ``epsilon`` of the shifted Kullback-Leibler loss of remark 4.5 that ``kl`` uses."""

TOLERANCES = (1e-11, 1e-8, 1e-6)
"""What the solver is asked for, in this order, until it succeeds; the gap says what came of it."""


@dataclass(frozen=True)
class Minimiser:
    """Values at the data that minimise the regularised loss, and what certifies them.

    Attributes:
        x: data ``(n, d)``, float64.
        values: ``u_i``, ``(n,)`` or ``(n, K)``, float64; equal at equal ``x``.
        lipschitz: their Lipschitz constant, Euclidean norm to maximum norm.
        objective: the objective at these values.
        bound: no values have a smaller objective than this.
    """

    x: Tensor
    values: Tensor
    lipschitz: float
    objective: float
    bound: float

    @property
    def gap(self) -> float:
        """How far from optimal the values can be: ``objective - bound``."""
        return self.objective - self.bound

    def __call__(self, at: Tensor) -> Tensor:
        """McShane's extension to points ``(m, d)``: ``min_i (u_i + L |z - x_i|)``, each component for itself.

        It has the same Lipschitz constant. Values in the simplex may leave it between the data.
        """
        distance = torch.cdist(at, self.x, compute_mode="donot_use_mm_for_euclid_dist")
        columns = self.values.reshape(len(self.x), -1).T
        extended = torch.stack([(c + self.lipschitz * distance).amin(1) for c in columns], dim=1)
        return extended.reshape(len(at), *self.values.shape[1:])


def lipschitz_constant(x: Tensor, values: Tensor) -> float:
    """``max |u_i - u_j|_inf / |x_i - x_j|_2`` over all pairs of data; 0 for one point.

    Args:
        x: points ``(n, d)``.
        values: ``(n,)`` or ``(n, K)``.

    Returns:
        Infinity if equal points have different values.
    """
    if len(x) < 2:
        return 0.0
    i, j = _pairs(x)
    rise = (values[i] - values[j]).abs().reshape(len(i), -1).amax(1)
    run = (x[i] - x[j]).norm(dim=1)
    return torch.where(rise > 0, rise / run, 0.0).max().item()


def minimise(
    x: Tensor, y: Tensor, price: float, *, free: float = 0.0, loss: str = "squared", simplex: bool = False
) -> Minimiser:
    """Solve the problem of this module.

    Args:
        x: data ``(n, d)``, float64, on the CPU. Thousands on the line (``d = 1``) or 200 in the plane take a second.
        y: labels ``(n,)``, or ``(n, K)`` with ``simplex``.
        price: ``lambda``.
        free: ``L_0``, a Lipschitz constant that costs nothing.
        loss: ``squared``, ``|u - y|_2^2``; ``absolute``, ``|u - y|_1``; or, in the simplex, ``kl``, the shifted
            Kullback-Leibler divergence ``-sum_k (y_k + e) log((u_k + e) / (y_k + e))`` (4.6), ``e`` :data:`SHIFT`.
        simplex: whether the values are probability vectors.

    Raises:
        ValueError: for shapes, labels, prices or losses that are not allowed, or if the solver fails.
    """
    _check(x, y, price, free, loss, simplex)
    i, j = _pairs(x)
    labels = y.numpy().reshape(len(x), -1)
    rises = _differences(i.numpy(), j.numpy(), len(x))
    problem = _Problem(labels, rises, (x[i] - x[j]).norm(dim=1).numpy(), price, free, _LOSSES[loss], simplex)
    solved, multipliers = problem.solve()
    values = torch.from_numpy(solved)
    if simplex:
        values = values.clamp(min=0) / values.clamp(min=0).sum(1, keepdim=True)
    values = _equal_at_equal(x, values)
    lipschitz = lipschitz_constant(x, values)
    objective = problem.fit(values.numpy()) + price * max(lipschitz - free, 0.0)
    return Minimiser(x, values.reshape(y.shape), lipschitz, objective, problem.bound(multipliers))


def _check(x: Tensor, y: Tensor, price: float, free: float, loss: str, simplex: bool) -> None:
    if x.ndim != 2 or len(x) == 0 or x.dtype != torch.float64 or y.dtype != torch.float64 or len(y) != len(x):
        raise ValueError(
            f"x {tuple(x.shape)} {x.dtype}, y {tuple(y.shape)} {y.dtype}: allowed is float64 (n, d), (n, ...)"
        )
    if y.ndim != 1 + simplex or (simplex and not _are_probabilities(y)):
        raise ValueError(f"y of shape {tuple(y.shape)}, simplex={simplex}: allowed is (n,), or probabilities (n, K)")
    if not 0 < price < math.inf or not 0 <= free < math.inf:
        raise ValueError(f"price={price!r}, free={free!r}: allowed is a positive price and a constant of at least 0")
    if loss not in _LOSSES or (loss == "kl" and not simplex):
        raise ValueError(f"loss={loss!r}, simplex={simplex}: allowed is squared, absolute, and kl in the simplex")


def _are_probabilities(y: Tensor) -> bool:
    return bool((y >= 0).all()) and bool(((y.sum(1) - 1).abs() < 1e-9).all())


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the pairs that need a constraint: neighbours on the line, else all."""
    if x.shape[1] == 1:
        order = x[:, 0].argsort(stable=True)
        return order[:-1], order[1:]
    i, j = torch.triu_indices(len(x), len(x), offset=1)
    return i, j


def _differences(i: np.ndarray, j: np.ndarray, n: int) -> sparse.csr_array:
    """The matrix that maps values ``(n, K)`` to ``u_i - u_j`` of the pairs."""
    rows = np.arange(len(i))
    entries = np.concatenate([np.ones(len(i)), -np.ones(len(i))])
    return sparse.csr_array((entries, (np.concatenate([rows, rows]), np.concatenate([i, j]))), shape=(len(i), n))


def _equal_at_equal(x: Tensor, values: Tensor) -> Tensor:
    """The mean of the values at equal points, which the solver leaves equal only to its tolerance."""
    _, group, size = torch.unique(x, dim=0, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(size), values.shape[1], dtype=values.dtype).index_add_(0, group, values)
    return (sums / size[:, None])[group]


# --- losses ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Loss:
    """A loss that is a sum over components.

    Attributes:
        value: losses of each component, for values and labels of one shape.
        expression: the total in the language of cvxpy, which is its first argument.
        lowest: where ``w l(u, y) + s u`` is least over all numbers ``u``, infinite where it falls for ever.
        steepest: the largest ``|w l'|`` that values in [0, 1] can have, for weight ``w``.
    """

    value: Callable[[np.ndarray, np.ndarray], np.ndarray]
    expression: Callable[[Any, Any, np.ndarray], Any]
    lowest: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    steepest: Callable[[float], float]


def _lowest_absolute(y: np.ndarray, s: np.ndarray, w: float) -> np.ndarray:
    return np.where(s > w, -np.inf, np.where(s < -w, np.inf, y))


def _lowest_kl(y: np.ndarray, s: np.ndarray, w: float) -> np.ndarray:
    return np.where(s > 0, w * (y + SHIFT) / np.where(s > 0, s, 1.0) - SHIFT, np.inf)


_LOSSES = {
    "squared": _Loss(
        lambda u, y: (u - y) ** 2,
        lambda cp, u, y: cp.sum_squares(u - y),
        lambda y, s, w: y - s / (2 * w),
        lambda w: 2 * w,
    ),
    "absolute": _Loss(
        lambda u, y: np.abs(u - y),
        lambda cp, u, y: cp.sum(cp.abs(u - y)),
        _lowest_absolute,
        lambda w: w,
    ),
    "kl": _Loss(
        lambda u, y: -(y + SHIFT) * np.log((u + SHIFT) / (y + SHIFT)),
        lambda cp, u, y: cp.sum(cp.multiply(y + SHIFT, np.log(y + SHIFT) - cp.log(u + SHIFT))),
        _lowest_kl,
        lambda w: w * (1 + SHIFT) / SHIFT,
    ),
}


# --- the problem and its dual ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    """The finite problem: labels ``(n, K)``, the matrix of the pairs' differences, their distances, and the rest."""

    labels: np.ndarray
    differences: sparse.csr_array
    distance: np.ndarray
    price: float
    free: float
    loss: _Loss
    simplex: bool

    def fit(self, values: np.ndarray) -> float:
        """``1/n sum l(u_i, y_i)``."""
        return float(self.loss.value(values, self.labels).sum()) / len(self.labels)

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """Values ``(n, K)`` and multipliers ``(2, pairs, K)`` of ``u_i - u_j <= L d`` and ``u_j - u_i <= L d``."""
        import cvxpy  # takes a second, and only this function needs it

        cp: Any = cvxpy
        n, components = self.labels.shape
        values, paid = cp.Variable((n, components)), cp.Variable(nonneg=True)  # L = L_0 + what is paid for
        room = (self.free + paid) * np.repeat(self.distance[:, None], components, axis=1)
        rises = self.differences @ values
        limits = [rises <= room, -rises <= room] if len(self.distance) else []
        within = [values >= 0, cp.sum(values, axis=1) == 1] if self.simplex else []
        fit = self.loss.expression(cp, values, self.labels) / n
        problem = cp.Problem(cp.Minimize(fit + self.price * paid), limits + within)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")  # the bound says how inaccurate
            for tolerance in TOLERANCES:
                aims = {"tol_gap_abs": tolerance, "tol_gap_rel": tolerance, "tol_feas": tolerance}
                with contextlib.suppress(cp.SolverError):
                    problem.solve(solver="CLARABEL", **aims)
                    break
            else:
                raise ValueError(f"{n} points: the solver failed; rescale x or the price")
        found = [limit.dual_value for limit in limits] or [np.zeros((0, components))] * 2
        return values.value, np.maximum(np.array(found), 0.0)

    def bound(self, multipliers: np.ndarray) -> float:
        """The lower bound of weak duality at these multipliers, scaled down until they are allowed."""
        w = 1 / len(self.labels)
        pull = self.differences.T @ (multipliers[0] - multipliers[1])
        spent = float((multipliers.sum(0) * self.distance[:, None]).sum())
        scale = min(1.0, self.price / spent) if spent > 0 else 1.0
        unbounded = not self.simplex and self.loss is _LOSSES["absolute"]
        if unbounded and np.abs(pull).max() > 0:
            scale = min(scale, w / np.abs(pull).max())  # beyond it the infimum is minus infinity
        pull, spent = scale * pull, scale * spent
        if self.simplex:
            return self._infimum_in_the_simplex(pull, w) - self.free * spent
        lowest = self.labels if unbounded else self.loss.lowest(self.labels, pull, w)
        return float((w * self.loss.value(lowest, self.labels) + pull * lowest).sum()) - self.free * spent

    def _infimum_in_the_simplex(self, pull: np.ndarray, w: float) -> float:
        """The sum of the infima: ``sum_k u_k = 1`` of each point gets a multiplier ``nu``, and every one gives a bound.

        The best solves ``sum_k u_k(nu) = 1``; the left side falls with ``nu``, so it is bisected.
        """
        low, high = -pull.max(1) - self.loss.steepest(w), -pull.min(1) + self.loss.steepest(w)
        for _ in range(100):
            middle = (low + high) / 2
            mass = np.maximum(self.loss.lowest(self.labels, pull + middle[:, None], w), 0).sum(1)
            low, high = np.where(mass > 1, middle, low), np.where(mass > 1, high, middle)
        slope = pull + high[:, None]
        lowest = np.maximum(self.loss.lowest(self.labels, slope, w), 0)
        return float((w * self.loss.value(lowest, self.labels) + slope * lowest).sum() - high.sum())
