"""What Gaussian weights and ReLU gates do to a vector: the left sides of lemmas 1, 2 and 5 of Zhu et al. 2022.

The laws that the lemmas name are in :mod:`advsmooth.theory.initialisation`; nothing here uses them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from advsmooth.models import fcn


def vectors_at(cosine: float, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two random unit vectors ``(d,)``, float64, with the given cosine of the angle between them.

    Raises:
        ValueError: for a cosine outside [-1, 1], or ``d < 2``.
    """
    if not -1 <= cosine <= 1 or d < 2:
        raise ValueError(f"cosine={cosine!r}, d={d!r}: allowed are a cosine from -1 to 1 and d at least 2")
    raw = torch.randn(d, 2, generator=generator, dtype=torch.float64, device=generator.device)
    u, other = torch.linalg.qr(raw).Q.T
    return u, cosine * u + math.sqrt(1 - cosine**2) * other


def gated_square(w: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """``<w, u>^2 1{<w, v> >= 0}`` of lemma 1 for rows ``w`` of shape ``(n, d)``; the result is ``(n,)``."""
    return torch.where(w @ v >= 0, (w @ u).square(), 0.0)


def coin_square(w: Tensor, u: Tensor, generator: torch.Generator) -> Tensor:
    """``b <w, u>^2`` of lemma 1 with an independent fair coin ``b`` for each row of ``w``; the result is ``(n,)``."""
    coin = torch.rand(len(w), generator=generator, dtype=torch.float64, device=generator.device).to(w.device) < 0.5
    return torch.where(coin, (w @ u).square(), 0.0)


def layer_energies(
    h: Tensor, v: Tensor, m: int, beta: float, draws: int, generator: torch.Generator, *, batch: int = 512
) -> Tensor:
    """``||D W h||^2 / ||h||^2`` of lemma 2 over fresh matrices ``W`` with ``m`` rows of ``N(0, beta^2)`` entries.

    Args:
        h: the vector whose energy is followed, ``(p,)``.
        v: the vector that sets the gates, ``(p,)``: ``D = diag(1{W v >= 0})``.
        m: rows of ``W``, the width of the layer.
        beta: standard deviation of its entries.
        draws: how many matrices.
        generator: for the matrices.
        batch: matrices at a time.

    Returns:
        Energy ratios ``(draws,)``, in the dtype of ``h``.
    """
    ratios = []
    for start in range(0, draws, batch):
        n = min(batch, draws - start)
        w = torch.randn(n, m, len(h), generator=generator, dtype=h.dtype, device=generator.device)
        w = w.mul_(beta).to(h.device)
        ratios.append(torch.where(w @ v >= 0, (w @ h).square(), 0.0).sum(1) / h.square().sum())
    return torch.cat(ratios)


def propagated(weights: Sequence[Tensor], x: Tensor, r: Tensor | None = None) -> Tensor:
    """Energy behind each hidden layer, of the input or of a perturbation, in many networks at once.

    Args:
        weights: stacked weights of ``n`` networks (:func:`advsmooth.models.fcn.draw_weights`).
        x: one input per network, ``(n, d)``.
        r: one perturbation per network, ``(n, d)``; if none is given, the input itself is followed.

    Returns:
        ``||h_l||^2``, or ``||D_l W_l ... D_1 W_1 r||^2``, for ``l = 0 ... L-1``: shape ``(n, L)``, float64.
    """
    states = torch.func.vmap(fcn.hidden_states)

    def follow(inputs: Tensor) -> list[Tensor]:
        return states(list(weights), inputs)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated")  # torch's own, on first use
        behind = follow(x) if r is None else torch.func.jvp(follow, (x,), (r,))[1]
    return torch.stack([layer.double().square().sum(1) for layer in (x if r is None else r, *behind)], dim=1)


def step_ratios(energies: Tensor, step: int) -> Tensor:
    """Energy behind layer ``step + 1`` over that behind layer ``step``, for the networks where it is not 0 yet."""
    alive = energies[:, step] > 0
    return energies[alive, step + 1] / energies[alive, step]


def step_means(energies: Tensor) -> pd.DataFrame:
    """Mean energy ratio of each hidden-to-hidden step.

    Args:
        energies: as :func:`propagated` returns them, ``(n, L)`` with ``L`` at least 3.

    Returns:
        One row a step: ``layer`` (the lower one), ``mean`` and ``error``, over the networks alive there.
    """
    rows = []
    for step in range(1, energies.shape[1] - 1):
        ratios = step_ratios(energies, step)
        rows.append({"layer": step, "mean": ratios.mean().item(), "error": ratios.std().item() / len(ratios) ** 0.5})
    return pd.DataFrame(rows)


def step_correlations(energies: Tensor) -> pd.DataFrame:
    """Correlation between the energy ratios of each two successive steps, over networks alive between them.

    Args:
        energies: as :func:`propagated` returns them, ``(n, L)`` with ``L`` at least 3.

    Returns:
        One row a pair of steps: ``layer`` (between them), ``correlation`` and ``error``, its standard error
        ``n^-1/2`` if the ratios are independent.
    """
    rows = []
    for step in range(energies.shape[1] - 2):
        alive = energies[energies[:, step + 1] > 0]
        pair = torch.stack([step_ratios(alive, step), step_ratios(alive, step + 1)])
        rows.append(
            {"layer": step + 1, "correlation": torch.corrcoef(pair)[0, 1].item(), "error": pair.shape[1] ** -0.5}
        )
    return pd.DataFrame(rows)
