r"""When adversarial training of a linear model ends at a constant classifier: the exact budget for a data set.

Liu et al., theorem 1, say that a finite budget exists. For a data set it is a property of the class means
``mu_k`` and class shares ``pi_k`` alone (derivation on the page of the theorem):

    eps* = min over c of max over k of |mu_k - s_k c|_p,

with ``s_k = 1`` if the classes are balanced or the model has a bias, and ``s_k = 1 / (K pi_k)`` otherwise. For
``s_k = 1`` this is the Chebyshev radius of the class means. Everything here is float64 and on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize, sparse
from torch import Tensor

from advsmooth.data import DataError, Dataset
from advsmooth.theory import version_space
from advsmooth.theory.version_space import NORMS, dual_exponent, norm


@dataclass(frozen=True)
class Radius:
    """The budget ``eps*`` between two bounds that a reader can recompute.

    Attributes:
        upper: ``max over k of |mu_k - s_k centre|_p``.
        lower: ``-sum over k of b_k.mu_k``; a bound because the ``b_k`` satisfy ``sum s_k b_k = 0`` and
            ``sum |b_k|_q = 1`` (Hoelder's inequality).
        centre: the point ``c``, shape ``(d,)``.
        multipliers: the ``b_k``, shape ``(K, d)``.
        direction: weights along which the loss falls from the constant classifier at the rate ``eps* - eps``,
            ``-b_k / pi_k``, shape ``(K, d)``.
    """

    upper: float
    lower: float
    centre: Tensor
    multipliers: Tensor
    direction: Tensor

    @property
    def gap(self) -> float:
        """What the two bounds leave open."""
        return self.upper - self.lower


def class_means(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean input of each class, ``(K, d)``, and its share of the data, ``(K,)``; labels are ``0 ... K - 1``.

    Raises:
        ValueError: if a class between 0 and the largest label has no input.
    """
    counts = torch.bincount(y)
    if len(counts) < 2 or bool((counts == 0).any()):
        raise ValueError(f"class sizes {counts.tolist()}: allowed are at least two classes, each with an input")
    means = torch.stack([x[y == k].mean(0) for k in range(len(counts))])
    return means, counts.to(x.dtype) / len(y)


def balanced(
    dataset: Dataset, classes: Sequence[int], per_class: int, *, side: int | None = None
) -> tuple[Tensor, Tensor]:
    """The first inputs of some classes, as many of each: float64 ``(n, d)``, and labels in the order of ``classes``.

    Args:
        dataset: images; they are flattened.
        classes: the labels wanted, at least two and all different.
        per_class: inputs of each; fewer if a class has fewer.
        side: average the pixels to images of this side first; the images' own size if not given.

    Raises:
        DataError: if a class has no input or is named twice.
    """
    sizes = [int((dataset.y == k).sum()) for k in classes]
    if len(set(classes)) < max(2, len(classes)) or min(sizes) == 0:
        known = ", ".join(str(k) for k in torch.unique(dataset.y).tolist())
        raise DataError(f"classes={list(classes)}: allowed are at least two different ones of {dataset.name}: {known}")
    n = min(per_class, *sizes)
    x = torch.cat([dataset.x[dataset.y == k][:n] for k in classes]).double()
    if side is not None and dataset.shape[-1] != side:
        x = torch.nn.functional.adaptive_avg_pool2d(x, side)
    return x.flatten(1), torch.arange(len(classes)).repeat_interleave(n)


def collapse_radius(means: Tensor, p: float, *, shares: Tensor | None = None, bias: bool = False) -> Radius:
    """The exact budget from which on no linear model beats the best constant one.

    ``p = inf`` is a formula, coordinate by coordinate: ``max |s_l mu_k - s_k mu_l| / (s_k + s_l)`` over pairs of
    classes, half the largest range of a coordinate if all ``s_k = 1``. ``p = 1`` is a linear program, ``p = 2``
    the smallest enclosing ball (a concave maximisation over the simplex of classes).

    Args:
        means: class means, shape ``(K, d)``.
        p: 1, 2 or infinity.
        shares: share of each class, shape ``(K,)``, positive, sum 1; equal shares if not given.
        bias: whether the model has a bias (the adversary cannot touch it).

    Raises:
        ValueError: for another ``p``, or shares that are not positive and of sum 1.
    """
    classes = len(means)
    pi = torch.full((classes,), 1 / classes, dtype=torch.float64) if shares is None else shares.double()
    if p not in NORMS:
        raise ValueError(f"p={p}: the radius is solved for p = 1, 2 and infinity")
    if pi.shape != (classes,) or bool((pi <= 0).any()) or abs(float(pi.sum()) - 1) > 1e-9:
        raise ValueError(f"shares={pi.tolist()}: allowed are {classes} positive numbers of sum 1")
    scale = torch.ones_like(pi) if bias else 1 / (classes * pi)
    solve = {1.0: _by_linear_program, 2.0: _by_enclosing_ball, math.inf: _by_coordinates}[float(p)]
    centre, b = solve(means.double(), scale)
    # Whatever the solver left: make the multipliers feasible, so that the lower bound is one.
    b = b - scale[:, None] * (scale @ b) / scale.square().sum()
    total = norm(b, dual_exponent(p)).sum()
    b = b / total if total > 0 else b
    upper = float(norm(means - scale[:, None] * centre, p).max())
    return Radius(upper, max(0.0, -float((b * means).sum())), centre, b, -b / pi[:, None])


def _by_coordinates(means: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    pairs = scale[None, :, None] * means[:, None, :] - scale[:, None, None] * means[None, :, :]
    heights = pairs / (scale[:, None, None] + scale[None, :, None])  # (k, l, coordinate)
    radius = heights.max()
    k, ell, i = np.unravel_index(int(heights.argmax()), heights.shape)
    b = torch.zeros_like(means)
    b[k, i], b[ell, i] = -scale[ell] / (scale[k] + scale[ell]), scale[k] / (scale[k] + scale[ell])
    # Every coordinate allows the interval [max (mu_k - r) / s_k, min (mu_k + r) / s_k]; take its middle.
    low = ((means - radius) / scale[:, None]).amax(0)
    high = ((means + radius) / scale[:, None]).amin(0)
    return (low + high) / 2, b


def _by_linear_program(means: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Least ``r`` with ``|mu_k - s_k c| <= t_k`` entry by entry and ``sum t_k <= r``; the variables are ``c, t, r``."""
    classes, d = means.shape
    one, minus = sparse.identity(d, format="csr"), -sparse.identity(classes * d, format="csr")
    centre = sparse.kron(sparse.csr_matrix(scale.numpy()[:, None]), one)
    none = sparse.csr_matrix((classes * d, 1))
    sums = sparse.hstack(
        [
            sparse.csr_matrix((classes, d)),
            sparse.kron(sparse.identity(classes), sparse.csr_matrix(np.ones((1, d)))),
            sparse.csr_matrix(-np.ones((classes, 1))),
        ]
    )
    table = sparse.vstack([sparse.hstack([-centre, minus, none]), sparse.hstack([centre, minus, none]), sums])
    flat = means.numpy().ravel()
    cost = np.zeros(table.shape[1])
    cost[-1] = 1.0
    right = np.concatenate([-flat, flat, np.zeros(classes)])
    solution = optimize.linprog(cost, A_ub=table.tocsr(), b_ub=right, bounds=(None, None), method="highs")
    above, below = np.split(solution.ineqlin.marginals[: 2 * classes * d], 2)
    return torch.from_numpy(solution.x[:d].copy()), torch.from_numpy((above - below).reshape(classes, d))


def _by_enclosing_ball(means: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The dual: ``sum l_k |mu_k|^2 - |sum l_k s_k mu_k|^2 / sum l_k s_k^2``, largest over the simplex of ``l``.

    With ``c = sum l_k s_k mu_k / sum l_k s_k^2`` it equals ``sum l_k |mu_k - s_k c|^2``; the squares are its gradient.
    """
    points, s = means.numpy(), scale.numpy()

    def centre(weights: np.ndarray) -> np.ndarray:
        return (weights * s) @ points / (weights @ s**2)

    def squares(weights: np.ndarray) -> np.ndarray:
        return ((points - s[:, None] * centre(weights)) ** 2).sum(1)

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        return -float(weights @ squares(weights)), -squares(weights)

    one = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like}
    start = np.full(len(points), 1 / len(points))
    options = {"maxiter": 1000, "ftol": 1e-16}
    found = optimize.minimize(
        objective, start, jac=True, method="SLSQP", bounds=[(0, 1)] * len(points), constraints=one, options=options
    )
    weights = np.clip(found.x, 0, None)
    # Polish: the classes that touch the ball lie at one distance from the centre.
    touching = weights > 1e-5

    def equations(unknown: np.ndarray) -> np.ndarray:
        trial = np.zeros_like(weights)
        trial[touching] = unknown[:-1]
        return np.append(squares(trial)[touching] - unknown[-1], trial.sum() - 1)

    solved = optimize.root(equations, np.append(weights[touching], squares(weights).max()), tol=1e-15).x
    if (solved[:-1] >= 0).all() and np.abs(equations(solved)).max() < 1e-9:
        weights = np.zeros_like(weights)
        weights[touching] = solved[:-1]
    c = centre(weights)
    return torch.from_numpy(c), torch.from_numpy(-weights[:, None] * (points - s[:, None] * c))


def shifted_towards(x: Tensor, y: Tensor, radius: Radius, *, scale: Tensor | None = None) -> Tensor:
    """Inputs moved class by class so that the mean of class ``k`` becomes ``s_k centre``; every step has at most
    norm ``radius.upper``. No linear model beats the best constant one on them (the proof on the page).
    """
    means, _ = class_means(x, y)
    s = torch.ones(len(means), dtype=x.dtype) if scale is None else scale
    return x + (s[:, None] * radius.centre - means)[y]


def adversarial_loss(
    x: Tensor, y: Tensor, weights: Tensor, eps: float, p: float, *, bias: Tensor | None = None
) -> float:
    """``L_eps(W)``, the mean of the exact worst-case losses of a data set.

    Args:
        x: inputs, shape ``(n, d)``, float64.
        y: labels, shape ``(n,)``.
        weights: shape ``(K, d)``.
        eps: radius, the same for all inputs.
        p: 1, 2 or infinity.
        bias: logit offsets, shape ``(K,)``.
    """
    offset = torch.zeros(len(weights), dtype=weights.dtype) if bias is None else bias
    total = 0.0
    for k in torch.unique(y).tolist():
        rows = version_space.differences(weights, k)
        clean = x[y == k] @ rows.T + version_space.differences(offset[:, None], k)[:, 0]
        total += float(version_space.worst_loss(rows, clean, eps, p).sum())
    return total / len(y)


def guaranteed_drop(x: Tensor, eps: float, p: float, radius: Radius) -> float:
    """A number by which some linear model without bias beats ``log K`` when ``eps`` is below the radius.

    Along ``radius.direction`` (rows ``d_j``), Hoeffding's lemma bounds every loss:
    ``g(x', t D) <= log K + t (mean(d) - d_y).x' + t^2 R^2 / 8``, ``R`` the range of the logits ``d_j.x'``. With
    ``m`` the mean over the data of the largest ``R^2`` on each ball, the best ``t`` gives
    ``L_eps <= log K - 2 (radius - eps)^2 / m``. No inner maximum is needed, so it serves any number of classes.
    """
    room = radius.lower - eps
    if room <= 0:
        return 0.0
    direction = radius.direction
    spread = direction[:, None, :] - direction[None, :, :]
    ranges = torch.einsum("kjd,nd->nkj", spread, x).abs() + eps * norm(spread, dual_exponent(p))
    return 2 * room**2 / float(ranges.amax((1, 2)).square().mean())


def least_along(
    x: Tensor, y: Tensor, direction: Tensor, eps: float, p: float, *, bias: Tensor | None = None
) -> tuple[float, float]:
    """The least ``L_eps(t D)`` over 91 sizes ``t`` from 1e-6 to 1000, and its ``t``; a bias is added as it is."""
    sizes = torch.logspace(-6, 3, 91, dtype=torch.float64).tolist()
    return min((adversarial_loss(x, y, t * direction, eps, p, bias=bias), t) for t in sizes)


def slope_bound(weights: Tensor, shares: Tensor, eps: float, p: float, radius: float) -> Tensor:
    """``(eps - radius) sum pi_k |mean(w) - w_k|_q``: at least this much ``L_eps(W)`` exceeds ``log K``."""
    a = weights.mean(-2, keepdim=True) - weights
    return (eps - radius) * (shares * norm(a, dual_exponent(p))).sum(-1)


def robust_accuracy(
    x: Tensor, y: Tensor, weights: Tensor, eps: float, p: float, *, bias: Tensor | None = None
) -> float:
    """Share of the inputs that no allowed perturbation makes the model misclassify, in closed form for any ``K``."""
    robust = 0
    offset = torch.zeros(len(weights), dtype=weights.dtype) if bias is None else bias
    for k in torch.unique(y).tolist():
        worst = version_space.worst_differences(x[y == k], k, weights, eps, p)
        robust += int(((worst + version_space.differences(offset[:, None], k)[:, 0]) < 0).all(-1).sum())
    return robust / len(y)


def accuracy(x: Tensor, y: Tensor, weights: Tensor) -> float:
    """Share of the inputs classified correctly; where ``m`` classes tie for the largest logit, ``1/m`` of it counts."""
    logits = x @ weights.T
    tied = logits >= logits.amax(1, keepdim=True) - 1e-12 * weights.abs().amax()
    return float((tied.gather(1, y[:, None])[:, 0] / tied.sum(1)).mean())
