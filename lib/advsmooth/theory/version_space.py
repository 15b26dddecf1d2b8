r"""Linear models of several classes under attack: exact worst cases, version spaces, and what the paper prints.

Liu et al., section 3.1 and appendix B.1. A linear model has one row of weights a class, ``W`` of shape
``(K, d)``, and logits ``W x``. Its softmax loss at an input with label ``y`` is

    g(x, W) = log(1 + sum over j != y of exp((w_j - w_y).x)),

and ``g_eps`` is its maximum over the ball ``|x' - x|_p <= eps``. Everything here is float64 and on the CPU.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from advsmooth import settings

NORMS = (1.0, 2.0, math.inf)
"""Exponents ``p`` of the ball for which the worst-case loss is computed exactly."""

MOST_VERTICES = 2**12
"""Vertices of a cube that are listed one by one; beyond, three classes have a method of their own."""

WIDTH = 1e-10
"""What the search in :func:`worst_case_loss` leaves open where it is not a list of vertices (p = 2)."""


def dual_exponent(p: float) -> float:
    """``q`` with ``1/p + 1/q = 1``, for ``1 <= p <= inf``.

    Raises:
        ValueError: for ``p`` below 1.
    """
    if not p >= 1:
        raise ValueError(f"p={p}: allowed is an exponent from 1 to infinity")
    return math.inf if p == 1 else 1.0 if math.isinf(p) else p / (p - 1)


def norm(v: Tensor, p: float) -> Tensor:
    """``|v|_p`` along the last axis."""
    return torch.linalg.vector_norm(v, p, dim=-1)


def differences(weights: Tensor, y: int | Tensor) -> Tensor:
    """Rows ``w_j - w_y`` for the classes ``j != y``, in the cyclic order ``y + 1, y + 2, ...``

    Args:
        weights: shape ``(..., K, d)``.
        y: label, an integer or a tensor that broadcasts against the leading axes of ``weights``.

    Returns:
        Shape ``(..., K - 1, d)``.
    """
    labels = torch.as_tensor(y)
    classes = weights.shape[-2]
    batch = torch.broadcast_shapes(weights.shape[:-2], labels.shape)
    index = (labels[..., None] + torch.arange(classes)) % classes
    index = index.broadcast_to(*batch, classes)[..., None].expand(*batch, classes, weights.shape[-1])
    rows = weights.broadcast_to(*batch, *weights.shape[-2:]).gather(-2, index)
    return rows[..., 1:, :] - rows[..., :1, :]


def worst_differences(x: Tensor, y: int | Tensor, weights: Tensor, eps: float | Tensor, p: float) -> Tensor:
    """The largest value of each logit difference over the ball: ``(w_j - w_y).x + eps |w_j - w_y|_q``.

    Args:
        x: inputs, shape ``(..., d)``.
        y: labels, broadcasting against the leading axes.
        weights: shape ``(..., K, d)``.
        eps: radius in the norm ``p``, in the units of ``x``; a number or broadcasting against the leading axes.
        p: exponent of the ball, 1 to infinity.

    Returns:
        Shape ``(..., K - 1)``, in the order of :func:`differences`.
    """
    rows = differences(weights, y)
    gain = norm(rows, dual_exponent(p))
    return (rows * x[..., None, :]).sum(-1) + torch.as_tensor(eps, dtype=rows.dtype)[..., None] * gain


def in_version_space(x: Tensor, y: int | Tensor, weights: Tensor, eps: float | Tensor, p: float) -> Tensor:
    """Whether no point of the ball gives another class a larger logit than ``y``: ``W`` in ``V_eps``."""
    return (worst_differences(x, y, weights, eps, p) <= 0).all(-1)


def version_margin(x: Tensor, y: int | Tensor, weights: Tensor, p: float) -> Tensor:
    """The largest ``eps`` with ``W`` in ``V_eps``; negative outside ``V_0``, infinite if all rows are equal."""
    rows = differences(weights, y)
    ratio = -(rows * x[..., None, :]).sum(-1) / norm(rows, dual_exponent(p))
    return torch.where(ratio.isnan(), torch.inf, ratio).amin(-1)


def slope_at_origin(x: Tensor, y: int | Tensor, weights: Tensor, eps: float | Tensor, p: float) -> Tensor:
    """Derivative of ``gamma -> g_eps(x, gamma W)`` at ``gamma = 0+``.

    With ``a = mean(w) - w_y`` it is ``a.x + eps |a|_q``: at ``W = 0`` the loss of every input is ``log K``,
    its derivative along ``W`` at ``x'`` is ``a.x'``, and a maximum over ``x'`` has the largest of the derivatives.
    """
    a = differences(weights, y).sum(-2) / weights.shape[-2]
    return (a * x).sum(-1) + torch.as_tensor(eps, dtype=a.dtype) * norm(a, dual_exponent(p))


def in_origin_set(
    x: Tensor, y: int | Tensor, weights: Tensor, eps: float | Tensor, p: float, *, both_signs: bool = True
) -> Tensor:
    """Whether ``gamma = 0`` minimises ``g_eps(x, gamma W)``: ``W`` in ``T_eps``.

    The function is convex in ``gamma``, so the one-sided derivatives at 0 decide. With
    ``a = mean(w) - w_y``: ``|a.x| <= eps |a|_q`` if ``gamma`` may have both signs, as in equation (11) of the
    paper, and ``a.x + eps |a|_q >= 0`` if only ``gamma >= 0`` counts.
    """
    rises = slope_at_origin(x, y, weights, eps, p) >= 0
    return rises & (slope_at_origin(x, y, -weights, eps, p) >= 0) if both_signs else rises


def origin_set_by_search(x: Tensor, y: int, weights: Tensor, eps: float | Tensor, p: float) -> Tensor:
    """:func:`in_origin_set` by its definition: no ``gamma`` of 82, up to 100 in size and of both signs, gives a loss
    below ``log K`` (by more than 1e-9). ``weights`` may have leading axes; slopes below about 1e-3 escape it.
    """
    gammas = torch.logspace(-6, 2, 41, dtype=weights.dtype)
    gammas = torch.cat([gammas, -gammas]).reshape(-1, *(1,) * weights.ndim)
    values = worst_case_loss(x, y, gammas * weights, eps, p)
    return values.amin(0) >= math.log(weights.shape[-2]) - 1e-9


def worst_case_loss(x: Tensor, y: int | Tensor, weights: Tensor, eps: float | Tensor, p: float) -> Tensor:
    """``g_eps(x, W)``, the exact maximum of the softmax loss over the ball.

    The loss is convex in the input, so it is largest at an extreme point of the ball, and it sees the input
    only through the ``K - 1`` logit differences, in each of which it increases:

    * two classes: one difference, in closed form for every ``p`` of :data:`NORMS`;
    * ``p = 1``: the ``2 d`` vertices;
    * ``p = inf``: all ``2^d`` vertices if there are at most :data:`MOST_VERTICES`; for three classes in any
      dimension the at most ``d + 1`` vertices that maximise a non-negative combination of the two differences;
    * ``p = 2``, three classes: with ``q = (1 - s, s (1 - t), s t)`` in the identity
      ``log sum exp = max over q of q.logits + entropy(q)``, the maximum over ``s`` is a formula and the one over
      ``t`` in [0, 1] is found by branch and bound; what it leaves open is at most :data:`WIDTH`.

    Args:
        x: inputs, shape ``(..., d)``.
        y: labels, broadcasting against the leading axes.
        weights: shape ``(..., K, d)``.
        eps: radius, a number or broadcasting against the leading axes.
        p: 1, 2 or infinity.

    Returns:
        The loss, shape of the leading axes.

    Raises:
        ValueError: if there is no exact method for this ``p``, number of classes and dimension.
    """
    rows = differences(weights, y)
    return worst_loss(rows, (rows * x[..., None, :]).sum(-1), eps, p)


def worst_loss(rows: Tensor, clean: Tensor, eps: float | Tensor, p: float) -> Tensor:
    """:func:`worst_case_loss` from the rows ``w_j - w_y``, ``(..., K - 1, d)``, and the clean differences
    ``(..., K - 1)``; a bias enters through the latter.
    """
    radius = torch.as_tensor(eps, dtype=rows.dtype)
    classes, d = rows.shape[-2] + 1, rows.shape[-1]
    if p not in NORMS:
        raise ValueError(f"p={p}: the worst-case loss is exact for p = 1, 2 and infinity")
    if classes == 2:
        gains = norm(rows, dual_exponent(p))[..., None, :]
    elif p == 1:
        gains = torch.cat([rows, -rows], -1).transpose(-2, -1)
    elif math.isinf(p) and 2**d <= MOST_VERTICES:
        gains = _cube(d) @ rows.transpose(-2, -1)
    elif math.isinf(p) and classes == 3:
        gains = zonotope_signs(rows) @ rows.transpose(-2, -1)
    elif p == 2 and classes == 3:
        return _largest_on_ellipse(clean, rows @ rows.transpose(-2, -1), radius)
    else:
        raise ValueError(f"p={p}, {classes} classes, dimension {d}: no exact worst case; use 3 classes, or p = 1")
    logits = clean[..., None, :] + radius[..., None, None] * gains
    return soft_plus_sum(logits).amax(-1)


def soft_plus_sum(logits: Tensor) -> Tensor:
    """``log(1 + sum of exp)`` along the last axis: the loss as a function of the logit differences."""
    return torch.nn.functional.pad(logits, (1, 0)).logsumexp(-1)


def _cube(d: int) -> Tensor:
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=d)), dtype=torch.float64)


def zonotope_signs(rows: Tensor) -> Tensor:
    """The sign vectors ``sign(cos(u) v_1 + sin(u) v_2)`` for all angles ``u`` in [0, pi].

    They are the vertices of the cube that a linear function of ``(v_1.delta, v_2.delta)`` with those
    coefficients picks out; between two neighbouring angles at which an entry changes sign nothing changes.

    Args:
        rows: two of them, ``v_1`` and ``v_2``, shape ``(..., 2, d)``.

    Returns:
        Shape ``(..., d + 1, d)``.
    """
    turn = torch.atan2(-rows[..., 0, :], rows[..., 1, :]).remainder(math.pi).sort(-1).values
    turn = torch.cat([turn[..., -1:] - math.pi, turn, turn[..., :1] + math.pi], -1)
    middle = (turn[..., :-1] + turn[..., 1:]) / 2
    return (middle.cos()[..., None] * rows[..., None, 0, :] + middle.sin()[..., None] * rows[..., None, 1, :]).sign()


def _largest_on_ellipse(clean: Tensor, gram: Tensor, eps: Tensor) -> Tensor:
    """``max over t of log(1 + exp(psi(t)))``, ``psi = h + (1-t) c_1 + t c_2 + eps |(1-t) v_1 + t v_2|``, ``h`` the
    entropy of ``(1 - t, t)``.

    On a cell, the linear and the convex part lie below their chords and ``h`` exceeds its chord by a known
    amount, so ``psi`` is at most its larger end value plus that amount. Cells that could hold more than the
    best end value are divided until none does.
    """
    batch = torch.broadcast_shapes(clean.shape[:-1], gram.shape[:-2], eps.shape)
    problem = torch.stack(
        torch.broadcast_tensors(clean[..., 0], clean[..., 1], gram[..., 0, 0], gram[..., 0, 1], gram[..., 1, 1], eps),
        -1,
    ).reshape(-1, 6)

    def cells(nodes: Tensor, problem: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Best value at the nodes ``(n, ..., T)``; left end, right end and upper bound of the cells between them."""
        c1, c2, g11, g12, g22, radius = problem.reshape(-1, *(1,) * (nodes.ndim - 1), 6).unbind(-1)
        t, s, entropy = nodes, 1 - nodes, _entropy(nodes)
        size = (s**2 * g11 + 2 * s * t * g12 + t**2 * g22).clamp_min(0).sqrt()
        value = entropy + s * c1 + t * c2 + radius * size
        left, right = nodes[..., :-1], nodes[..., 1:]
        above = _entropy_above_chord(left, right, entropy[..., :-1], entropy[..., 1:])
        return value.amax(-1), left, right, torch.maximum(value[..., :-1], value[..., 1:]) + above

    odds = torch.linspace(-16, 16, 49, dtype=torch.float64)
    nodes = torch.cat([odds.new_zeros(1), odds.sigmoid(), odds.new_ones(1)])[None]
    best, left, right, bound = cells(nodes, problem)
    left, right = left.expand_as(bound), right.expand_as(bound)
    active, parts = torch.arange(len(problem)), torch.linspace(0, 1, 9, dtype=torch.float64)
    for _ in range(100):
        top, cell = bound.topk(4, -1)
        still = top[:, 0] > best[active] + WIDTH
        if not bool(still.any()):
            return torch.nn.functional.softplus(best).reshape(batch)
        active, cell, left, right, bound = active[still], cell[still], left[still], right[still], bound[still]
        a, b = left.gather(-1, cell)[..., None], right.gather(-1, cell)[..., None]
        value, *new = cells(a + (b - a) * parts, problem[active])
        best[active] = torch.maximum(best[active], value.amax(-1))
        old = (left, right, bound.scatter(-1, cell, -torch.inf))
        left, right, bound = (torch.cat([o, n.flatten(-2)], -1) for o, n in zip(old, new, strict=True))
    raise ArithmeticError(f"worst-case loss, p=2: not certified to {WIDTH:g}; are the weights finite and moderate?")


def _entropy(t: Tensor) -> Tensor:
    return -(torch.xlogy(t, t) + torch.xlogy(1 - t, 1 - t))


def _entropy_above_chord(a: Tensor, b: Tensor, at_a: Tensor, at_b: Tensor) -> Tensor:
    """Largest height of the entropy above its chord on ``[a, b]``; it is where the derivative equals the slope."""
    slope = (at_b - at_a) / (b - a)
    # There the entropy is softplus(-slope) + slope * top, top = sigmoid(-slope).
    return (torch.nn.functional.softplus(-slope) - at_a + slope * a).clamp_min(0)


def largest_difference(y: int, weights: Tensor, p: float) -> Tensor:
    """``v = w_m - w_y`` with ``m`` the class that maximises ``|w_j - w_y|_q``; shape ``(d,)``."""
    rows = differences(weights, y)
    return rows[int(norm(rows, dual_exponent(p)).argmax())]


def dual_step(v: Tensor, p: float, *, signed: bool = True) -> Tensor:
    """The unit step of appendix B.1: ``sign(v) |v|^(q/p) / |v|_q^(q/p)``, or as printed without the signs.

    With the signs it has ``p``-norm 1 and inner product ``|v|_q`` with ``v``. For ``p = 1`` the power is the
    limit ``q/p = inf``: the whole step goes along one largest entry.

    Args:
        v: shape ``(d,)``, not zero.
        p: exponent of the ball, 1 to infinity.
        signed: ``False`` for the power of the raw entries; not a number where a negative entry has no such power.

    Raises:
        ValueError: for ``p = 1`` without signs, where the printed power has no meaning.
    """
    q = dual_exponent(p)
    if p == 1:
        if not signed:
            raise ValueError("p=1: the printed power v^(q/p) is v^inf; allowed without signs is p > 1")
        step = torch.zeros_like(v)
        step[v.abs().argmax()] = v[v.abs().argmax()].sign()
        return step
    power = q / p if math.isfinite(p) else 0.0
    raised = v.sign() * v.abs() ** power if signed else v**power
    return raised / norm(v, q) ** power


def printed_budget(x: Tensor, y: int, weights: Tensor, p: float) -> Tensor:
    """``(log(K - 1) - v.x) / |v|_q``, what appendix B.1 offers as the budget beyond which ``g_eps >= log K``."""
    v = largest_difference(y, weights, p)
    return (math.log(weights.shape[-2] - 1) - v @ x) / norm(v, dual_exponent(p))


def needed_budget(x: Tensor, y: int, weights: Tensor, p: float, *, steps: int = 40) -> Tensor:
    """The smallest ``eps >= 0`` with ``g_eps(x, W) >= log K`` (to :data:`WIDTH`), by bisection of the exact worst case.

    The search goes up to ``3 |x|_p``, far beyond the ``|x|_p`` at which the ball holds the origin; infinite if the
    loss has not reached ``log K`` by then. ``weights`` may have leading axes; ``g_eps`` does not decrease in ``eps``.
    """
    target = math.log(weights.shape[-2]) - WIDTH
    low = torch.zeros(weights.shape[:-2], dtype=weights.dtype)
    high = 3 * norm(x, p).expand_as(low)
    at_once = worst_case_loss(x, y, weights, low, p) >= target
    never = worst_case_loss(x, y, weights, high, p) < target
    for _ in range(steps):
        middle = (low + high) / 2
        reached = worst_case_loss(x, y, weights, middle, p) >= target
        low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
    return torch.where(at_once, 0.0, torch.where(never, torch.inf, high))


def separating_weights(x: Tensor, y: int, classes: int, p: float) -> Tensor:
    """Weights that separate ``y`` from the rest best: ``w_y`` with ``|w_y|_q = 1`` and ``w_y.x = |x|_p``, others 0."""
    weights = torch.zeros(classes, len(x), dtype=x.dtype)
    weights[y] = dual_step(x, dual_exponent(p))
    return weights


def least_loss(x: Tensor, eps: float | Tensor, p: float, *, classes: int, size: float | Tensor) -> Tensor:
    """The least ``g_eps(x, W)`` over the ``W`` with ``|w_j - w_y|_q <= size``: with ``r = |x|_p``,
    ``log(1 + (K - 1) exp(-size max(r - eps, 0)))``. It is attained by ``size`` times :func:`separating_weights`.
    """
    room = (norm(x, p) - torch.as_tensor(eps, dtype=x.dtype)).clamp_min(0)
    return torch.log1p((classes - 1) * torch.exp(-torch.as_tensor(size, dtype=x.dtype) * room))


def random_models(count: int, classes: int, d: int, seed: int, *, towards: Tensor | None = None) -> Tensor:
    """Models of sizes from 0.01 to 30, shape ``(count, classes, d)``; normal entries, log-uniform size.

    Args:
        count: how many.
        classes: rows of each.
        d: dimension.
        seed: of the generator.
        towards: weights ``(classes, d)`` of which each model also gets a share, up to 5 for the last ones, so that
            some of them classify robustly.
    """
    g = settings.generator(seed)
    models = torch.randn(count, classes, d, generator=g, dtype=torch.float64)
    if towards is not None:
        models = models + torch.linspace(0, 5, count, dtype=torch.float64)[:, None, None] * towards
    size = 10 ** (3.5 * torch.rand(count, generator=g, dtype=torch.float64) - 2)
    return size[:, None, None] * models


def ball_points(p: float, d: int, count: int, seed: int) -> Tensor:
    """Points of the unit ball, shape ``(n, d)``: extreme points and random points inside.

    The extreme points are all vertices for ``p`` 1 and infinity, ``count`` equal angles in the plane and ``count``
    random directions elsewhere for ``p = 2``; ``count`` more points lie inside.
    """
    g = settings.generator(seed)
    inside = torch.randn(count, d, generator=g, dtype=torch.float64)
    inside = inside / norm(inside, p)[:, None] * torch.rand(count, 1, generator=g, dtype=torch.float64)
    if p == 1:
        extreme = torch.cat([torch.eye(d), -torch.eye(d)]).double()
    elif math.isinf(p):
        extreme = _cube(d)
    elif d == 2:
        angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
        extreme = torch.stack([angle.cos(), angle.sin()], 1)
    else:
        extreme = torch.randn(count, d, generator=g, dtype=torch.float64)
        extreme = extreme / norm(extreme, p)[:, None]
    return torch.cat([extreme, inside])
