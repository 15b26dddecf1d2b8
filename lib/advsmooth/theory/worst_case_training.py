r"""Adversarial training of a linear model against the exact worst case, to an optimum that is certified.

The problem of Liu et al., section 3.1: minimise the mean of ``g_eps(x_i, W)``, which is convex in ``W`` and not
smooth. Two and three classes, because there the inner maximum is exact in any dimension
(:func:`advsmooth.theory.version_space.worst_case_loss`). Everything is float64 and on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from advsmooth.theory.constant_classifier import adversarial_loss, class_means, collapse_radius, least_along
from advsmooth.theory.version_space import NORMS, WIDTH

REACH = (100.0, 10.0)
"""The lower bound of :func:`minimise` speaks of all models whose entries sum in absolute value to at most the first
number plus the second times that of the model found."""


@dataclass(frozen=True)
class Minimum:
    """The least adversarial loss of a linear model, between two bounds.

    Attributes:
        weights: the model found, shape ``(K, d)``, of sum zero over the classes.
        bias: its logit offsets, shape ``(K,)``; zero if the model has none.
        upper: its exact loss. The best constant model stands in unless the one found beats it.
        lower: no model in reach (:data:`REACH`) has a smaller loss.
    """

    weights: Tensor
    bias: Tensor
    upper: float
    lower: float

    @property
    def gap(self) -> float:
        """What the two bounds leave open."""
        return self.upper - self.lower


def minimise(
    x: Tensor,
    y: Tensor,
    eps: float,
    p: float,
    *,
    bias: bool = False,
    start: Minimum | None = None,
    relative_gap: float = 0.01,
    absolute_gap: float = 1e-7,
) -> Minimum:
    """Train a linear model of two or three classes against the exact worst case.

    With ``u_t = (1 - t) v_1 + t v_2`` and ``h`` the entropy of ``(1 - t, t)``, the worst-case loss of an input is
    ``max over t in [0, 1] of log(1 + exp(h(t) + u_t.x + eps |u_t|_q))``. The maximum over ``t`` (on a grid) and
    the norm are smoothed with a temperature that falls tenfold until the bounds meet. The smoothed adversary
    mixes perturbations that are all allowed; the least loss against this fixed mixture, an ordinary weighted
    softmax regression, is the lower bound. The upper bound does not depend on any of this: it is the exact loss.

    Args:
        x: inputs, shape ``(n, d)``, float64.
        y: labels ``0 ... K - 1``, ``K`` 2 or 3, shape ``(n,)``.
        eps: radius.
        p: 1, 2 or infinity.
        bias: whether the model has a bias.
        start: where to begin, such as the minimum at a neighbouring budget.
        relative_gap: stop when the bounds differ by at most this share of what is gained over the constant model,
        absolute_gap: or by at most this.

    Raises:
        ValueError: for another number of classes or another ``p``.
    """
    means, shares = class_means(x, y)
    if len(means) not in (2, 3) or p not in NORMS:
        raise ValueError(f"{len(means)} classes, p={p}: allowed are 2 or 3 classes and p = 1, 2 or infinity")
    problem = _Smoothed.of(x, y, float(eps), p, bias)
    log_shares = shares.log() - shares.log().mean()
    constant = -float((shares * shares.log()).sum()) if bias else math.log(len(means))
    best = Minimum(torch.zeros_like(means), log_shares * bias, constant, 0.0)
    flat = problem.join(best if start is None else start)
    for step in range(2, 15):
        mu = 10.0 ** (-step / 2)
        problem = problem.focused(flat, nodes=17 if step < 8 else 49)
        flat = problem.newton(flat, mu)
        if step % 2 and step < 14:
            continue  # half a decade is a better step for Newton's method, and a whole one often enough to look
        best = replace(best, lower=max(best.lower, problem.certificate(flat, mu)))
        weights, offset = problem.split(flat)
        used = weights.abs().amax(0)
        # Smoothing leaves a little of every weight; the minimum in the maximum norm has exact zeros.
        for candidate in (weights, weights * (used > 1e-3 * used.max())):
            upper = adversarial_loss(x, y, candidate, eps, p, bias=offset)
            if upper < best.upper - WIDTH:
                best = Minimum(candidate, offset, upper, best.lower)
        if best.gap <= max(relative_gap * (constant - best.lower), absolute_gap):
            break
    radius = collapse_radius(means, p, shares=shares, bias=bias)
    if best.upper == constant and eps < radius.lower:
        # So close to the radius that the gain is below the tolerance: follow the direction of the proof.
        upper, size = least_along(x, y, radius.direction, eps, p, bias=best.bias)
        if upper < constant:
            best = Minimum(size * (radius.direction - radius.direction.mean(0)), best.bias, upper, best.lower)
    return best


@dataclass(frozen=True)
class _Smoothed:
    """The smoothed loss. Its parameters are the entries of a ``(K, d + 1)`` matrix, the bias in the last column.

    Attributes:
        groups: inputs of each class with the constant input appended, ``(n_k, d + 1)``.
        mixing: for each class, the ``(T, K)`` coefficients that turn the rows of the matrix into the ``u_t``.
        entropy: for each class, ``h`` at its grid of ``t``, ``(T,)``.
    """

    groups: tuple[np.ndarray, ...]
    mixing: tuple[np.ndarray, ...]
    entropy: tuple[np.ndarray, ...]
    eps: float
    p: float
    bias: bool

    @classmethod
    def of(cls, x: Tensor, y: Tensor, eps: float, p: float, bias: bool) -> _Smoothed:
        """The problem for inputs, labels, radius and norm, with no grid of ``t`` yet."""
        extended = torch.cat([x, x.new_full((len(x), 1), float(bias))], 1)
        groups = tuple(extended[y == k].numpy() for k in range(int(y.max()) + 1))
        return cls(groups, (), (), eps, p, bias)

    def focused(self, flat: np.ndarray, nodes: int) -> _Smoothed:
        """The same problem with grids of ``t`` that cover the log-odds of the wrong classes at these parameters."""
        classes, mixing, entropies = len(self.groups), [], []
        matrix = flat.reshape(classes, -1)
        for k, x in enumerate(self.groups):
            t = np.zeros(1)
            if classes == 3:
                between = matrix[(k + 2) % 3] - matrix[(k + 1) % 3]
                gain = self.eps * np.linalg.norm(between[:-1], {math.inf: 1, 2.0: 2, 1.0: np.inf}[self.p])
                widest = float(np.abs(x[:, :-1] @ between[:-1]).max() + gain)
                # Nothing is known at the start; and 12 away from an even chance, t is as good as 0 or 1.
                widest = 12.0 if widest == 0 else min(12.0, max(1e-3, 1.2 * widest))
                odds = between[-1] * self.bias + widest * np.sinh(3 * np.linspace(-1, 1, nodes)) / np.sinh(3)
                t = np.concatenate([[0.0], 1 / (1 + np.exp(-odds)), [1.0]])
            rows = np.zeros((len(t), classes))
            rows[:, (k + 1) % classes] += 1 - t
            rows[:, (k + 2) % classes] += t
            rows[:, k] -= 1
            mixing.append(rows)
            entropies.append(-(t * np.log(np.maximum(t, 1e-300)) + (1 - t) * np.log(np.maximum(1 - t, 1e-300))))
        return replace(self, mixing=tuple(mixing), entropy=tuple(entropies))

    def join(self, model: Minimum) -> np.ndarray:
        return torch.cat([model.weights, model.bias[:, None]], 1).numpy().ravel().copy()

    def split(self, flat: np.ndarray) -> tuple[Tensor, Tensor]:
        both = torch.from_numpy(flat.reshape(len(self.groups), -1).copy())
        both = both - both.mean(0)
        return both[:, :-1].contiguous(), both[:, -1] * self.bias

    def adversary(self, matrix: np.ndarray, k: int, mu: float) -> tuple[np.ndarray, ...]:
        """Smoothed losses of class ``k``, ``(n_k,)``; the mixture over ``t``, ``(n_k, T)``; the probability of a wrong
        class at each, ``(n_k, T)``; and the steps that the adversary mixes, ``(T, d + 1)``.
        """
        u = self.mixing[k] @ matrix
        size, step = _smooth_norm(u[:, :-1], self.p, mu)
        step = np.concatenate([step, np.zeros((len(u), 1))], 1)
        margin = self.entropy[k] + self.groups[k] @ u.T + self.eps * size
        loss = np.logaddexp(0, margin)
        top = loss.max(1, keepdims=True)
        mass = np.exp((loss - top) / mu)
        total = mass.sum(1, keepdims=True)
        return (top + mu * np.log(total))[:, 0], mass / total, np.exp(margin - loss), step

    def newton(self, flat: np.ndarray, mu: float) -> np.ndarray:
        """Minimise the smoothed loss, which is convex, by Newton's method with a line search."""
        rows = len(self.groups)
        flat = (flat.reshape(rows, -1) - flat.reshape(rows, -1)[-1]).ravel()
        free = len(flat) - len(flat) // rows  # one vector added to all rows changes nothing: the last row stays zero
        loss, gradient = self.value(flat, mu)
        for _ in range(60):
            hessian = self.hessian(flat, mu)[:free, :free]
            hessian[np.diag_indices(free)] += 1e-12 * hessian.diagonal().max() + 1e-300
            move = np.zeros_like(flat)
            move[:free] = linalg.solve(hessian, -gradient[:free], assume_a="pos", check_finite=False)
            length, fall = 1.0, -float(gradient @ move)
            if not fall > 1e-17:
                break
            while length > 1e-6:
                trial = self.value(flat + length * move, mu)
                if trial[0] <= loss - 1e-4 * length * fall:
                    break
                length /= 2
            if length <= 1e-6:
                break
            flat = flat + length * move
            loss, gradient = trial
        return flat

    def hessian(self, flat: np.ndarray, mu: float) -> np.ndarray:
        """Second derivative of the smoothed loss, a matrix over the flat parameters.

        For one input with margins ``P_t`` (linear in the parameters but for the smoothed norm ``N``), probabilities of
        a wrong class ``w_t`` and mixture ``m_t``, it is the sum over ``t`` of ``m_t (w_t (1 - w_t) + w_t^2 / mu) dP_t
        dP_t^T + m_t w_t eps d2N``, minus ``gg^T / mu`` with ``g = sum m_t w_t dP_t``.
        """
        matrix = flat.reshape(len(self.groups), -1)
        rows, d = matrix.shape
        out = np.zeros((rows, d, rows, d))
        for k, x in enumerate(self.groups):
            _, mixture, wrong, step = self.adversary(matrix, k, mu)
            mix, step = self.mixing[k], self.eps * step
            pull, weight = mixture * wrong, mixture * (wrong * (1 - wrong) + wrong**2 / mu)
            bent = _norm_curvature((mix @ matrix)[:, :-1], self.p, mu)
            mean = (pull @ mix)[:, :, None] * x[:, None, :] + np.einsum("it,ta,td->iad", pull, mix, step, optimize=True)
            flat_mean = mean.reshape(len(x), -1)
            out -= (flat_mean.T @ flat_mean / mu).reshape(out.shape)
            for a in range(rows):
                for b in range(rows):
                    pair = mix[:, a] * mix[:, b]
                    cross = ((weight * pair).T @ x).T @ step
                    block = (x * (weight @ pair)[:, None]).T @ x + cross + cross.T
                    block += (step * (weight.sum(0) * pair)[:, None]).T @ step
                    block[:-1, :-1] += self.eps * bent(pull.sum(0) * pair)
                    out[a, :, b, :] += block
        return out.reshape(rows * d, rows * d) / sum(len(x) for x in self.groups)

    def value(self, flat: np.ndarray, mu: float) -> tuple[float, np.ndarray]:
        """The smoothed loss and its gradient."""
        matrix = flat.reshape(len(self.groups), -1)
        total, gradient = 0.0, np.zeros_like(matrix)
        for k, x in enumerate(self.groups):
            loss, mixture, wrong, step = self.adversary(matrix, k, mu)
            pull = mixture * wrong
            total += loss.sum()
            gradient += self.mixing[k].T @ (pull.T @ x + self.eps * pull.sum(0)[:, None] * step)
        n = sum(len(x) for x in self.groups)
        return total / n, gradient.ravel() / n

    def certificate(self, flat: np.ndarray, mu: float) -> float:
        """The least loss against the adversary's present mixture: a lower bound, by weak duality.

        The mixture is made of allowed inputs, so the ordinary softmax loss on it is at most the adversarial loss.
        """
        matrix = flat.reshape(len(self.groups), -1)
        inputs, masses, labels = [], [], []
        for k, x in enumerate(self.groups):
            _, mixture, _, step = self.adversary(matrix, k, mu)
            mixture = np.where(mixture > 1e-4, mixture, 0.0)
            i, t = mixture.nonzero()
            inputs.append(x[i] + self.eps * step[t])
            masses.append((mixture / mixture.sum(1, keepdims=True))[i, t])
            labels.append(np.full(len(i), k))
        mass = np.concatenate(masses)
        return _regression_bound(np.concatenate(inputs), np.concatenate(labels), mass / mass.sum(), matrix)


def _smooth_norm(u: np.ndarray, p: float, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """A smooth function just below ``|u|_q`` along the last axis, and its gradient, which has ``p``-norm at most 1."""
    if math.isinf(p):
        root = np.sqrt(u**2 + mu**2)
        return (root - mu).sum(1), u / root
    if p == 2:
        root = np.sqrt((u**2).sum(1) + mu**2)
        return root - mu, u / root[:, None]
    top = np.abs(u).max(1, keepdims=True)
    up, down = np.exp((u - top) / mu), np.exp((-u - top) / mu)
    total = (up + down).sum(1, keepdims=True)
    return (top + mu * np.log(total / (2 * u.shape[1])))[:, 0], (up - down) / total


def _norm_curvature(u: np.ndarray, p: float, mu: float) -> Callable[[np.ndarray], np.ndarray]:
    """Adds up the second derivatives of :func:`_smooth_norm` at the rows of ``u``, given a weight for each."""
    _, step = _smooth_norm(u, p, mu)
    if math.isinf(p):
        return lambda weight: np.diag(weight @ ((1 - step**2) / np.sqrt(u**2 + mu**2)))
    if p == 2:
        root = np.sqrt((u**2).sum(1) + mu**2)
        return lambda weight: (weight / root).sum() * np.eye(u.shape[1]) - (step * (weight / root)[:, None]).T @ step
    top = np.abs(u).max(1, keepdims=True)
    both = np.exp((u - top) / mu) + np.exp((-u - top) / mu)
    both /= both.sum(1, keepdims=True)
    return lambda weight: (np.diag(weight @ both) - (step * weight[:, None]).T @ step) / mu


def _regression_bound(x: np.ndarray, y: np.ndarray, mass: np.ndarray, start: np.ndarray) -> float:
    """A lower bound of a weighted softmax loss over all models in reach (:data:`REACH`), improved by Newton's method.

    For any target probabilities ``q``, with ``R = sum mass (q - onehot) x``, every model ``V`` has
    ``loss(V) >= sum mass entropy(q) + <R, V>``; at the optimum ``R`` vanishes. The best bound on the way is returned.
    """
    onehot = np.eye(len(start))[y]
    free, d = len(start) - 1, x.shape[1]  # adding one vector to all rows changes nothing: hold the last row at zero
    matrix, best = start - start[-1], 0.0

    def state(matrix: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        logits = x @ matrix.T
        logits -= logits.max(1, keepdims=True)
        total = np.exp(logits).sum(1, keepdims=True)
        q = np.exp(logits) / total
        loss = mass @ (np.log(total)[:, 0] - (logits * onehot).sum(1))
        return float(loss), q, ((q - onehot) * mass[:, None]).T @ x

    reach = REACH[0] + REACH[1] * float(np.abs(start - start.mean(0)).sum())
    loss, q, gradient = state(matrix)
    stale = 0
    for _ in range(30):
        entropy = -(q * np.log(np.maximum(q, 1e-300))).sum(1) @ mass
        left = float(np.abs(gradient).max())
        bound = float(entropy) - left * reach
        stale = 0 if bound > best else stale + 1
        best = max(best, bound)
        if left < 1e-15 or (stale > 1 and best > 0):
            break
        hessian = np.empty((free, d, free, d))
        for j in range(free):
            for k in range(j + 1):
                block = (x * (mass * q[:, j] * ((j == k) - q[:, k]))[:, None]).T @ x
                hessian[j, :, k, :] = hessian[k, :, j, :] = block
        square = hessian.reshape(free * d, free * d)
        square = square + (1e-10 * square.diagonal().max() + 1e-300) * np.eye(free * d)
        step = np.zeros_like(matrix)
        step[:free] = np.linalg.solve(square, -gradient[:free].ravel()).reshape(free, d)
        length, fall = 1.0, -float((gradient * step).sum())
        while length > 1e-3 and state(matrix + length * step)[0] > loss - 1e-4 * length * fall + 1e-15:
            length /= 2
        if length <= 1e-3:
            break
        matrix = matrix + length * step
        loss, q, gradient = state(matrix)
    return best
