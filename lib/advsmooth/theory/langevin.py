"""Langevin sampling of the density ``p_theta`` of EntropySGD, by many independent chains (Kanai et al., section 2.2).

Line 11 of algorithm 1 is ``t <- t - eta' grad U(t) + sqrt(eta') eps_E N(0, I)``, with
``U(t) = L(t) + gamma/2 |theta - t|^2``.
For small ``eta'`` it samples the density proportional to ``exp(-2 U / eps_E^2)``; that is ``p_theta`` for
``eps_E = sqrt(2)`` and for no other noise. At finite ``eta'`` the law is biased; :func:`adjusted` removes the bias with
Metropolis and Hastings' test, also where ``grad U`` jumps. The unadjusted steps are those of
:class:`advsmooth.training.entropysgd.EntropySGD`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def adjusted(
    potential: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    rate: float,
    steps: int,
    generator: torch.Generator,
    noise: float = math.sqrt(2),
) -> tuple[Tensor, float]:
    """Metropolis-adjusted Langevin steps of independent chains, for the density of ``exp(-2 U / noise^2)``.

    Args:
        potential: ``U``, points ``(m, d)`` to ``(m,)``; its gradient is taken by autograd and may jump.
        start: one state per chain, ``(m, d)``, float64.
        rate: ``eta'``.
        steps: of each chain.
        generator: for the noise, on the device of ``start``.
        noise: ``eps_E``.

    Returns:
        The last state of every chain, ``(m, d)``, and the share of accepted steps.

    Raises:
        ValueError: unless ``rate``, ``noise`` and ``steps`` are positive.
    """
    if not (0 < rate < math.inf and 0 < noise < math.inf and steps > 0):
        raise ValueError(f"rate={rate!r}, noise={noise!r}, steps={steps!r}: allowed are positive numbers")
    state, spread = start.clone(), noise * math.sqrt(rate)
    height, slope = _with_gradient(potential, state)
    accepted = 0.0
    for _ in range(steps):
        kick = torch.randn(state.shape, generator=generator, dtype=state.dtype, device=state.device)
        proposal = state - rate * slope + spread * kick
        new_height, new_slope = _with_gradient(potential, proposal)
        back = (state - proposal + rate * new_slope) / spread
        log_ratio = 2 / noise**2 * (height - new_height) + (kick.square() - back.square()).sum(1) / 2
        chance = torch.rand(len(state), generator=generator, dtype=state.dtype, device=state.device)
        move = chance.log() < log_ratio
        state = torch.where(move[:, None], proposal, state)
        height, slope = torch.where(move, new_height, height), torch.where(move[:, None], new_slope, slope)
        accepted += move.double().mean().item() / steps
    return state, accepted


def _with_gradient(potential: Callable[[Tensor], Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        moving = state.detach().requires_grad_(True)
        height = potential(moving)
        (slope,) = torch.autograd.grad(height.sum(), moving)
    return height.detach(), slope


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of independent draws, with standard errors.

    Attributes:
        mean: ``(d,)``.
        mean_error: ``(d,)``.
        covariance: ``(d, d)``.
        covariance_error: ``(d, d)``, from the spread of the products; it needs no assumption on the law.
    """

    mean: Tensor
    mean_error: Tensor
    covariance: Tensor
    covariance_error: Tensor


def moments(sample: Tensor) -> Moments:
    """Mean, covariance and their standard errors from independent draws ``(m, d)``.

    Raises:
        ValueError: for fewer than two draws.
    """
    m = len(sample)
    if m < 2:
        raise ValueError(f"{m} draws: allowed are at least 2")
    apart = sample - sample.mean(0)
    products = apart[:, :, None] * apart[:, None, :]
    covariance = products.sum(0) / (m - 1)
    return Moments(
        sample.mean(0), apart.square().mean(0).sqrt() / math.sqrt(m), covariance, products.std(0) / math.sqrt(m)
    )
