"""The two balls of the attacks, ``"linf"`` and ``"l2"``, and the box of the pixels.

Norms are per example: over all axes but the first, in the units of ``x`` (pixel scale). With ``B`` the ball of
radius ``eps`` around ``x`` and ``box = (low, high)``, an attack may go anywhere in ``B`` within the box.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from advsmooth.attacks.isolation import required

Norm = Literal["linf", "l2"]
Box = tuple[float, float]
NORMS: tuple[Norm, ...] = get_args(Norm)
PIXELS: Box = (0.0, 1.0)
UNBOUNDED: Box = (-math.inf, math.inf)
"""No box, for toy data that is no image."""


def check_budget(eps: float, norm: str, box: Box) -> None:
    """Refuse a radius, a norm or a box that cannot be meant.

    Raises:
        ValueError: for an unknown norm, a radius that is negative or not finite, an empty box, or a linf radius
            wider than the box, which was probably given in units of 0 to 255.
    """
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r}: allowed is {' or '.join(NORMS)}")
    if not box[0] < box[1]:
        raise ValueError(f"box={box!r}: allowed is (low, high) with low < high")
    if not (math.isfinite(eps) and eps >= 0):
        raise ValueError(f"eps={eps!r}: allowed is a finite radius in pixel scale, at least 0")
    if norm == "linf" and eps > box[1] - box[0]:
        raise ValueError(f"eps={eps!r}: wider than the box {box}; radii are in pixel scale, so write 8/255, not 8")


def check_inputs(x: Tensor, y: Tensor, box: Box) -> None:
    """Refuse inputs that are no batch of examples in the box.

    Raises:
        ValueError: for inputs that are not floating point, have no batch axis, lie outside the box, or do not
            match the labels in number.
    """
    if x.ndim < 2 or not x.is_floating_point() or len(y) != len(x):
        raise ValueError(
            f"x {tuple(x.shape)} {x.dtype}, y {tuple(y.shape)}: need floating-point x (n, ...) and one label each"
        )
    # While a CUDA graph is recorded no value can be read; the passes that warm it up have been checked.
    recording = x.is_cuda and torch.cuda.is_current_stream_capturing()
    if len(x) and box != UNBOUNDED and not recording:
        low, high = (bound.item() for bound in torch.aminmax(x.detach()))
        if not (low >= box[0] and high <= box[1]):
            raise ValueError(
                f"x from {low:.4g} to {high:.4g}: allowed is {box[0]:g} to {box[1]:g}; normalise inside the model"
            )


def norms(delta: Tensor, norm: Norm) -> Tensor:
    """``|delta|`` of each example, shape ``(n,)``; l2 norms are summed in float64, so tiny gradients do not vanish."""
    if norm == "linf":
        return delta.abs().flatten(1).amax(1)
    return _length(delta).flatten().to(delta.dtype)


def dual_norms(gradient: Tensor, norm: Norm) -> Tensor:
    """``|gradient|_* = max <d, gradient>`` over ``|d| <= 1``, shape ``(n,)``: l1 for ``"linf"``, l2 for ``"l2"``."""
    return gradient.abs().flatten(1).sum(1) if norm == "linf" else norms(gradient, "l2")


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The direction ``d``, ``|d| <= 1``, with the largest ``<d, gradient>`` (Finlay et al., equations 3.2 and 3.4).

    The sign, or the gradient divided by its l2 norm; 0 where the gradient is 0, and shorter than 1 where it is so
    small (denormal) that the quotient has no meaning.
    """
    if norm == "linf":
        return gradient.sign()
    return gradient * (1 / _length(gradient)).clamp_(max=torch.finfo(gradient.dtype).max).to(gradient.dtype)


def projection(x: Tensor, eps: float, norm: Norm, box: Box = PIXELS) -> Callable[[Tensor], Tensor]:
    """The map of points into the ball around ``x``, then into the box; what does not change is computed once.

    Clipping to the box moves every coordinate towards ``x``, which lies in it, so the result is in both. For
    ``"linf"`` it is the nearest point of the intersection; for ``"l2"`` it need not be, which is what attacks do.
    """
    if norm == "linf":
        low, high = (x - eps).clamp_(*box), (x + eps).clamp_(*box)
        return lambda points: torch.clamp(points, low, high)

    def shrink(points: Tensor) -> Tensor:
        delta = points - x
        factor = (eps / _length(delta).clamp_(min=1e-300)).clamp_(max=1)
        return (x + delta * factor.to(x.dtype)).clamp_(*box)

    return shrink


def project(points: Tensor, x: Tensor, eps: float, norm: Norm, box: Box = PIXELS) -> Tensor:
    """``points`` moved into the ball around ``x``, then into the box; see :func:`projection`."""
    return projection(x, eps, norm, box)(points)


def uniform(x: Tensor, eps: float, norm: Norm, generator: torch.Generator | None, box: Box = PIXELS) -> Tensor:
    """Independent points, uniform in the whole ball around each ``x``, then clipped to the box.

    For ``"l2"``: a normal vector gives the direction and ``eps U^(1/d)`` the radius, with ``U`` uniform in [0, 1].

    Args:
        x: centres ``(n, ...)``; the result has their shape, dtype and device.
        eps: radius.
        norm: of the ball.
        generator: drawn from on its own device.
        box: clipped to.
    """
    g = required(generator)
    if norm == "linf":
        noise = torch.rand(x.shape, generator=g, dtype=x.dtype, device=g.device).to(x.device)
        return (x + (2 * noise - 1) * eps).clamp_(*box)
    direction = torch.randn(x.shape, generator=g, dtype=x.dtype, device=g.device).to(x.device)
    level = torch.rand(len(x), generator=g, dtype=torch.float64, device=g.device).to(x.device)
    radius = eps * level ** (1 / math.prod(x.shape[1:]))
    scale = radius.reshape(-1, *[1] * (x.ndim - 1)) / _length(direction)
    return (x + direction * scale.to(x.dtype)).clamp_(*box)


def contains(points: Tensor, x: Tensor, eps: float, norm: Norm, box: Box = PIXELS) -> Tensor:
    """Whether each point lies in the ball and in the box, up to the rounding of its dtype, shape ``(n,)``."""
    delta = points - x
    size = math.sqrt(math.prod(x.shape[1:])) if norm == "l2" else 1.0
    slack = 16 * torch.finfo(x.dtype).eps * max(1.0, eps) * size
    flat = points.flatten(1)
    inside = (flat >= box[0]).all(1) & (flat <= box[1]).all(1)
    return inside & (norms(delta, norm) <= eps + slack)


def _length(delta: Tensor) -> Tensor:
    """l2 norms in float64, shape ``(n, 1, ...)``: squares of float32 underflow below 1e-23."""
    return torch.linalg.vector_norm(delta, dim=tuple(range(1, delta.ndim)), keepdim=True, dtype=torch.float64)
