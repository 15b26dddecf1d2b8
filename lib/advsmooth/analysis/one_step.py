r"""One step of attack against the total variation of the loss (Finlay et al., sections 2.2 and 3).

With ``d`` the attack direction of an example (:func:`advsmooth.attacks.ball.steepest`), the *remainder* of (3.6) is

    R(eps) = l(x + eps d) - l(x) - eps |grad l(x)|_* = eps^2 int_0^1 (1 - t) l''(x + t eps d) dt,

where ``l''`` is the second derivative along ``d``. As long as the logits are affine along the way, with slopes
``v = J d``, the remainder is the cumulant generating function of the centred slopes under the predicted probabilities
``p``, whatever the label:

    R(eps) = log sum_k p_k exp(eps (v_k - p.v)),      0 <= R(eps) <= eps^2 (max v - min v)^2 / 8,

the lower bound by Jensen's and the upper by Hoeffding's lemma. For one hidden layer (:class:`Shallow`) the second
derivative has a proved bound, and with a bound ``M`` for every direction of the unit ball an input with loss ``l`` and
gradient norm ``g`` is at least ``r = 2 D / (g + sqrt(g^2 + 2 M D))`` away from any point of loss ``l + D``.

Norms are those of :mod:`advsmooth.attacks.ball`; losses are cross-entropy; models run in eval mode, flags as found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from advsmooth.analysis.input_gradient import loss_gradients
from advsmooth.attacks import ball
from advsmooth.attacks.ball import Norm
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import cross_entropy
from advsmooth.models.shallow import STEEPEST_BEND, Shallow

# --- along the attack direction -------------------------------------------------------------------------------------


def attack_directions(model: nn.Module, x: Tensor, y: Tensor, norm: Norm) -> Tensor:
    """``d`` of each example (equations 3.2 and 3.4), the shape of ``x``; 0 where the gradient is 0."""
    return ball.steepest(loss_gradients(model, x, y), norm)


def losses_along(model: nn.Module, x: Tensor, y: Tensor, d: Tensor, eps: Sequence[float] | Tensor) -> Tensor:
    """``l(x_i + eps_j d_i)``, shape ``(len(eps), n)``; no box."""
    with frozen(model), torch.no_grad():
        return torch.stack([cross_entropy(model(x + float(e) * d), y) for e in eps])


def remainders(model: nn.Module, x: Tensor, y: Tensor, norm: Norm, eps: Sequence[float] | Tensor) -> Tensor:
    """``R(eps_j)`` of each example, shape ``(len(eps), n)``; in float64 meaningful down to ``eps`` of about 1e-6."""
    gradients = loss_gradients(model, x, y)
    moved = losses_along(model, x, y, ball.steepest(gradients, norm), [0.0, *map(float, eps)])
    sizes = torch.as_tensor(eps, dtype=x.dtype)[:, None]
    return moved[1:] - moved[:1] - sizes * ball.dual_norms(gradients, norm)


def second_derivatives(model: nn.Module, x: Tensor, y: Tensor, d: Tensor) -> Tensor:
    """``d^T H d`` with ``H`` the Hessian of the loss in the input, of each example, ``(n,)``; by autograd."""
    with frozen(model), torch.enable_grad():
        t = torch.zeros(len(x), *[1] * (x.ndim - 1), dtype=x.dtype, requires_grad=True)
        losses = cross_entropy(model(x + t * d), y)
        (first,) = torch.autograd.grad(losses.sum(), t, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), t, allow_unused=True)
    return second.flatten().detach() if second is not None else torch.zeros(len(x), dtype=x.dtype)


def logit_slopes(model: nn.Module, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Log probabilities and slopes ``v = J d`` of the logits along ``d``, each ``(n, K)``."""
    with frozen(model), torch.enable_grad():
        t = torch.zeros(len(x), *[1] * (x.ndim - 1), dtype=x.dtype, requires_grad=True)
        logits = model(x + t * d)
        slopes = [torch.autograd.grad(column.sum(), t, retain_graph=True)[0] for column in logits.unbind(1)]
    return logits.log_softmax(1).detach(), torch.stack([slope.flatten() for slope in slopes], 1)


def cumulants(log_p: Tensor, v: Tensor, eps: float | Tensor) -> Tensor:
    """``log sum_k p_k exp(eps (v_k - p.v))`` of each row, ``(n,)``: the remainder where logits are affine."""
    centred = v - (log_p.exp() * v).sum(1, keepdim=True)
    return (log_p + eps * centred).logsumexp(1)


def hoeffding_bound(v: Tensor, eps: float | Tensor) -> Tensor:
    """``eps^2 (max v - min v)^2 / 8`` of each row; above :func:`cumulants` for any probabilities."""
    return eps**2 * (v.amax(1) - v.amin(1)) ** 2 / 8


# --- one hidden layer -----------------------------------------------------------------------------------------------


def first_kinks(network: Shallow, x: Tensor, d: Tensor) -> Tensor:
    """How far from ``x`` along ``d`` the first ReLU changes its side, ``(n,)``; infinity if none does."""
    with torch.no_grad():
        before = network.hidden(x.flatten(1))
        rate = d.flatten(1) @ network.hidden.weight.T
        where = -before / rate
    return where.masked_fill(~(where > 0), torch.inf).amin(1)


def curvature_bounds(network: Shallow, y: Tensor, d: Tensor) -> Tensor:
    """A number that ``|d^T H d|`` exceeds at no input, for each label and direction, ``(n,)`` (ReLU: off its kinks).

    ``d^T H d`` is the variance of the slopes ``v`` under ``p``, at most a quarter of their squared range (Popoviciu),
    plus ``sum_k p_k sum_j (A_kj - A_yj) h_j'' (B_j d)^2``. With ``0 <= h' <= 1`` the range of ``v`` is at most the
    largest ``sum_j ((A_kj - A_lj) B_j d)_+``.
    """
    with torch.no_grad():
        rates = d.flatten(1) @ network.hidden.weight.T
        rows = network.outer.weight
        pairs = (rows[:, None] - rows[None]).flatten(0, 1)
        range_ = (pairs.clamp(min=0) @ rates.clamp(min=0).T + pairs.clamp(max=0) @ rates.clamp(max=0).T).amax(0)
        apart = (rows[None] - rows[y][:, None]).abs()  # (n, K, units)
        bend = STEEPEST_BEND[network.activation] * (apart @ (rates**2)[..., None])[..., 0].amax(1)
    return range_**2 / 4 + bend


def largest_curvatures(network: Shallow, y: Tensor, norm: Norm) -> Tensor:
    """A number that ``|d^T H d|`` exceeds for no ``|d| <= 1`` at any input, by label, ``(n,)``; for smooth activations.

    As :func:`curvature_bounds` with ``|B_j d| <= |B_j|_*``; for ``l2`` also by spectral norms, and the smaller counts.

    Raises:
        ValueError: for ReLU, whose loss has kinks.
    """
    if network.activation == "relu":
        raise ValueError("activation 'relu': the loss has kinks and no bound on its curvature; use softplus or tanh")
    with torch.no_grad():
        weight, rows = network.hidden.weight, network.outer.weight
        lengths = ball.dual_norms(weight, norm)
        apart = (rows[None] - rows[:, None]).abs()  # (K, K, units)
        ranges = apart @ lengths
        bends = apart @ lengths**2
        if norm == "l2":
            ranges = torch.minimum(ranges, apart.norm(dim=2) * torch.linalg.matrix_norm(weight, 2))
            roots = apart.sqrt()  # B^T diag(a) B has the eigenvalues of sqrt(a) B B^T sqrt(a)
            grams = roots[..., None] * (weight @ weight.T) * roots[..., None, :]
            bends = torch.minimum(bends, torch.linalg.eigvalsh(grams)[..., -1])
    bound = ranges.max() ** 2 / 4 + STEEPEST_BEND[network.activation] * bends.amax(1)
    return bound[y]


# --- distances ------------------------------------------------------------------------------------------------------


def certified_distances(losses: Tensor, gradient_norms: Tensor, curvature: Tensor | float, threshold: float) -> Tensor:
    """The radius within which the loss stays below ``threshold`` if ``d^T H d <= curvature`` for all ``|d| <= 1``.

    The root of ``l + g r + M r^2 / 2 = threshold``, ``2 D / (g + sqrt(g^2 + 2 M D))`` with ``D = threshold - l``; it is
    (3.7) where ``M = 0``. With ``log 2`` as the threshold no point nearer is misclassified. 0 where ``l > threshold``.
    """
    room = (threshold - losses).clamp(min=0)
    root = (gradient_norms**2 + 2 * torch.as_tensor(curvature) * room).sqrt()
    return torch.where(room > 0, 2 * room / (gradient_norms + root), 0.0)


def log_odds_distances(losses: Tensor, gradient_norms: Tensor) -> Tensor:
    """``-log(e^l - 1) (1 - e^-l) / |grad l|_*``: the first-order distance to ``p_y = 1/2`` by the log odds.

    The log odds ``m = log p_y / (1 - p_y) = -log(e^l - 1)`` have ``|grad m| = |grad l| / (1 - e^-l)``. Where they are
    affine, as in binary logistic regression, this is the distance itself. 0 where ``l > log 2``.
    """
    odds = -(losses.expm1().log())
    return torch.where(losses > math.log(2), 0.0, odds * -(-losses).expm1() / gradient_norms)


def linear_distances(weights: Tensor, bias: Tensor, x: Tensor, y: Tensor, norm: Norm) -> Tensor:
    """Exact distances of inputs ``(n, d)`` to misclassification by logits ``W x + b``, no box; 0 where wrong already.

    The nearest of the half-spaces ``(w_k - w_y).x' + b_k - b_y >= 0``, each at its margin over ``|w_k - w_y|_*``.
    """
    logits = x @ weights.T + bias
    margins = logits.gather(1, y[:, None]) - logits
    lengths = ball.dual_norms((weights[None] - weights[y][:, None]).flatten(0, 1), norm).view(len(x), -1)
    return (margins / lengths).scatter(1, y[:, None], torch.inf).clamp(min=0).amin(1)
