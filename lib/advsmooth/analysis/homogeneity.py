r"""What homogeneity forces: a network without biases that gives large outputs responds to small perturbations.

Without biases, ``f(c x) = c f(x)`` for ``c > 0``, so the Jacobian ``J`` of ``f`` at ``x`` has ``J x = f(x)`` (Euler).
For ``v`` uniform in the unit ball and ``u`` the direction of ``f(x)``::

    E |J v| >= E |u . J v| = c_d |J^T u| >= c_d (J^T u) . x / |x| = c_d |f(x)| / |x|,    c_d = E |u . v|,

for any weights, trained or not. The perturbation stability has this *floor* (:func:`floor`). A small cross-entropy
needs large outputs (:func:`logit_norm`), hence a floor that depends on the loss only (:func:`floor_at_loss`).
"""

from __future__ import annotations

import math

from torch import Tensor

from advsmooth.analysis.early_training import direction_mean


def floor(outputs: Tensor, x: Tensor) -> Tensor:
    """``c_d |f(x)| / |x|``, below which ``P(f, eps) / eps`` at one input cannot lie.

    Args:
        outputs: ``(n, o)``, of a network without biases.
        x: inputs ``(n, ...)``, none of them 0.

    Returns:
        ``(n,)``, in units of output per unit of input; its mean is a floor of the mean over the inputs.

    Raises:
        ValueError: for other shapes, or an input of norm 0.
    """
    flat = x.flatten(1)
    if outputs.ndim != 2 or len(outputs) != len(flat):
        raise ValueError(f"outputs {tuple(outputs.shape)} of inputs {tuple(x.shape)}: need (n, o) and (n, ...)")
    norms = flat.norm(dim=1)
    if not bool((norms > 0).all()):
        raise ValueError("an input of norm 0: the floor needs a direction")
    return direction_mean(flat.shape[1]) * outputs.norm(dim=1) / norms


def logit_norm(loss: float, o: int) -> float:
    r"""What the norm of ``o`` outputs must exceed, on average, for a mean cross-entropy of ``loss``.

    ``sqrt((o - 1) / o) log((o - 1) / (e^loss - 1))``: the exponentials of the negative gaps ``f_y - f_k`` sum to
    ``e^loss - 1``, so by Jensen the mean gap is at least the logarithm, and it is the product of ``f`` with a vector of
    norm ``sqrt(o / (o - 1))``. Convex in the loss, so that a mean loss will do. Negative above the loss ``log o`` of
    guessing.

    Raises:
        ValueError: for a loss that is not positive and finite, or fewer than two outputs.
    """
    if not (math.isfinite(loss) and loss > 0):
        raise ValueError(f"loss={loss!r}: allowed is a positive number")
    if o < 2:
        raise ValueError(f"o={o!r}: allowed is an integer, at least 2")
    return math.sqrt((o - 1) / o) * math.log((o - 1) / math.expm1(loss))


def floor_at_loss(loss: float, *, d: int, o: int, norm: float) -> float:
    """``c_d logit_norm(loss, o) / norm``: the floor of any network without biases on inputs with that mean loss.

    Args:
        loss: mean cross-entropy on these inputs, in nats.
        d: their dimension.
        o: outputs.
        norm: Euclidean norm of every input.
    """
    if not norm > 0:
        raise ValueError(f"norm={norm!r}: allowed is a positive number")
    return direction_mean(d) * logit_norm(loss, o) / norm
