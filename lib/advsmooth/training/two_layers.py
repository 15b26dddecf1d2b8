r"""Training both layers of a two-layer ReLU network on all points at once (Zhu et al. 2022, appendix D).

``f(x) = 1/alpha sum_r a_r relu(w_r . x)``, weights ``W`` ``(..., m, d)`` and ``a`` ``(..., m)``, where
leading dimensions count networks that are trained side by side. :func:`flow` integrates gradient flow,
:func:`descend` takes steps of gradient descent; time is the step size times the number of steps.
"""

# ruff: noqa: N803, N806 - W is the paper's own symbol

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from advsmooth.models import fcn

Slope = Callable[[Tensor], Tensor]
"""Predictions ``(..., n)`` to the derivative of the loss in each of them."""


def draw(
    d: int,
    m: int,
    beta_1: float,
    beta_2: float,
    generator: torch.Generator | int,
    networks: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Fresh Gaussian weights ``W``, ``a`` in float64, of one network or of many."""
    init = fcn.Initialisation(beta_1, 0.0, beta_2)
    W, a = fcn.draw_weights(d, m, 1, 2, init, generator, networks=networks, dtype=torch.float64)
    return W, a[..., 0, :]


def predictions(W: Tensor, a: Tensor, x: Tensor, alpha: float = 1.0) -> Tensor:
    """``f`` at points ``(n, d)``; the result is ``(..., n)``."""
    return (torch.relu(x @ W.mT) @ a[..., None])[..., 0] / alpha


def input_gradients(W: Tensor, a: Tensor, x: Tensor, alpha: float = 1.0) -> Tensor:
    """``grad_x f`` at points ``(n, d)``; the result is ``(..., n, d)``."""
    return ((x @ W.mT >= 0).to(x.dtype) * a[..., None, :]) @ W / alpha


def squared(y: Tensor) -> Slope:
    """The residual ``f - y``: derivative of ``1/2 |f - y|^2``."""
    return lambda f: f - y


def frozen(y: Tensor) -> Slope:
    """The residual of a network that still predicts nothing, ``-y``, for all time."""
    return lambda f: (-y).expand_as(f)


def logistic(y: Tensor) -> Slope:
    """Derivative of the *mean* cross-entropy ``log(1 + exp(-y f))`` for labels of plus or minus 1."""
    return lambda f: -y * torch.sigmoid(-y * f) / y.shape[-1]


def velocity(W: Tensor, a: Tensor, x: Tensor, slope: Slope, alpha: float = 1.0) -> tuple[Tensor, Tensor]:
    """Minus the gradient of the loss in ``W`` and in ``a``; the slope of the ReLU at 0 is 0."""
    before = x @ W.mT
    hidden = torch.relu(before)
    e = slope((hidden @ a[..., None])[..., 0] / alpha) / alpha
    back = torch.where(before > 0, e[..., :, None] * a[..., None, :], torch.zeros((), dtype=x.dtype))
    return -(back.mT @ x), -(e[..., None, :] @ hidden)[..., 0, :]


def flow(
    W: Tensor,
    a: Tensor,
    x: Tensor,
    slope: Slope,
    alpha: float,
    times: Sequence[float] | np.ndarray,
    *,
    substeps: int = 4,
) -> tuple[Tensor, Tensor]:
    """Gradient flow by the classical Runge-Kutta method with a fixed number of steps between the times.

    The steps are fixed on purpose: a weight may arrive at the border of a gate and be pushed back from both sides. Then
    it slides along the border, which stops an integrator that controls its error (:func:`adaptive_flow`).

    Args:
        W: initial weights ``(..., m, d)``.
        a: initial output weights ``(..., m)``.
        x: points ``(n, d)``.
        slope: of the loss.
        alpha: output scale.
        times: increasing, the first is the start.
        substeps: steps from one time to the next.

    Returns:
        ``(times, ..., m, d)`` and ``(times, ..., m)``.
    """
    path = [(W, a)]
    for length in np.diff(np.asarray(times)):
        h = float(length) / substeps
        for _ in range(substeps):
            k1 = velocity(W, a, x, slope, alpha)
            k2 = velocity(W + h / 2 * k1[0], a + h / 2 * k1[1], x, slope, alpha)
            k3 = velocity(W + h / 2 * k2[0], a + h / 2 * k2[1], x, slope, alpha)
            k4 = velocity(W + h * k3[0], a + h * k3[1], x, slope, alpha)
            W = W + h / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
            a = a + h / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
        path.append((W, a))
    return torch.stack([w for w, _ in path]), torch.stack([b for _, b in path])


def adaptive_flow(
    W: Tensor, a: Tensor, x: Tensor, slope: Slope, alpha: float, times: Sequence[float] | np.ndarray, rtol: float = 1e-4
) -> tuple[Tensor, Tensor]:
    """The same flow of *one* small network by scipy's Runge-Kutta pair of order 5(4), an independent integrator.

    Raises:
        RuntimeError: if the integrator gives up.
    """
    shape, cut = W.shape, W.numel()

    def right(_: float, state: np.ndarray) -> np.ndarray:
        s = torch.from_numpy(state)
        moved = velocity(s[:cut].view(shape), s[cut:], x, slope, alpha)
        return torch.cat([part.flatten() for part in moved]).numpy()

    start = torch.cat([W.flatten(), a]).numpy()
    size = float(np.sqrt(np.mean(start**2)))
    found = solve_ivp(right, (times[0], times[-1]), start, t_eval=np.asarray(times), rtol=rtol, atol=rtol * size)
    if not found.success:
        raise RuntimeError(f"gradient flow: {found.message}")
    states = torch.from_numpy(np.ascontiguousarray(found.y.T))
    return states[:, :cut].reshape(-1, *shape), states[:, cut:]


def descend(
    W: Tensor, a: Tensor, x: Tensor, slope: Slope, alpha: float, step: float, at: Iterable[int]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Gradient descent; yields the number of steps and the weights at the step numbers ``at``, which increase."""
    done = 0
    for stop in at:
        for _ in range(stop - done):
            moved_w, moved_a = velocity(W, a, x, slope, alpha)
            W, a = W + step * moved_w, a + step * moved_a
        done = stop
        yield done, W, a
