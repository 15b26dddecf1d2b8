r"""How much training changes the input gradient (Zhu et al. 2022, lemma 4), and the least that it must.

A ReLU network without biases is homogeneous, so its gradient ``J(x)``, ``(o, d)``, obeys ``J(x) x = f(x)``. Hence the
change ``A = J_t(x) - J_0(x)`` obeys ``A x = f_t(x) - f_0(x)``, and with ``v`` uniform in the unit ball and ``u`` the
unit vector along ``A x``,

    E |A v| >= E |u . A v| = kappa_d |A^T u| >= kappa_d |f_t(x) - f_0(x)| / |x|                            (erratum Z5)

where ``kappa_d`` is :func:`~advsmooth.analysis.early_training.direction_mean`. It is tight if ``A`` has rank one and
acts along ``x``, as for a network that looks at one direction only (:func:`one_direction`).
"""

# ruff: noqa: N803, N806 - A and L are the paper's own symbols

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from advsmooth import settings
from advsmooth.analysis import early_training
from advsmooth.models import fcn
from advsmooth.theory import kernel_limit
from advsmooth.training import layer_rates


def least_change(after: Tensor, before: Tensor, x: Tensor) -> Tensor:
    """The right side of erratum Z5, in units of the radius of the perturbation.

    Args:
        after: outputs of the trained networks ``(..., n, o)``.
        before: outputs of the same networks at the start.
        x: the points ``(n, d)``, none of them zero.

    Returns:
        ``(..., n)``.
    """
    return early_training.direction_mean(x.shape[-1]) * (after - before).norm(dim=-1) / x.norm(dim=-1)


def mean_change(A: Tensor, v: Tensor) -> Tensor:
    """``E |A v|`` over perturbations ``(k, d)`` for changes ``(..., o, d)``; the result is ``(...)``."""
    return (A @ v.T).norm(dim=-2).mean(-1)


def exact_change(A: Tensor) -> Tensor:
    """The same, exactly, for changes ``(..., o, d)`` of rank one (always so with one output); ``(...)``."""
    return early_training.direction_mean(A.shape[-1]) * torch.linalg.matrix_norm(A)


def claimed_order(m: float, L: int, scheme: str = "ntk", d: int = 1, o: int = 1) -> float:
    """``sqrt(L^3 m^2) exp(-m / L^3) beta_1 gamma^(L-2)``, the bound of lemma 4 (reconstructed) without its constant."""
    init = fcn.initialisation(scheme, d, round(m), o)
    return math.sqrt(L**3) * m * math.exp(-m / L**3) * init.beta_1 * init.gamma(round(m)) ** (L - 2)


def one_direction(d: int, m: int, o: int, L: int, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """He weights of a network whose first layer looks along one random unit vector only; that vector comes second.

    Trained on points of that line it stays so, and every change of its gradient has rank one.
    """
    weights = fcn.draw_weights(d, m, o, L, "he", generator, dtype=torch.float64)
    line = torch.nn.functional.normalize(torch.randn(d, generator=generator, dtype=torch.float64), dim=0)
    return [torch.outer(weights[0] @ line, line), *weights[1:]], line


def mirrored(weights: Sequence[Tensor]) -> list[Tensor]:
    """Each network of a stack, and after them each again with the signs of its last layer turned: ``f`` and ``-f``."""
    return [torch.cat([w, w]) for w in weights[:-1]] + [torch.cat([weights[-1], -weights[-1]])]


def lazy_sweep(
    sizes: Sequence[tuple[int, int]],
    seeds: Sequence[int],
    x: Tensor,
    y: Tensor,
    held_out: Tensor,
    *,
    steps: int,
    momentum: float = 0.9,
) -> pd.DataFrame:
    """Train NTK networks of one output, by full-batch descent on ``1/2 |f - y|^2``, beside their infinitely wide limit.

    Each seed draws one network and its mirror image, which start from ``f`` and ``-f``. The step is ``1 / lambda_max``
    of the limiting kernel. Networks run in float32, the limit in float64.

    Args:
        sizes: ``(L, m)`` of each kind.
        seeds: one for each pair.
        x: training points ``(n, d)``, float64, none parallel to a held-out one.
        y: labels ``(n,)``.
        held_out: points ``(k, d)`` at which the gradient is followed.
        steps: of training.
        momentum: of the heavy ball.

    Returns:
        One row a network: ``L, m, seed, mirror``; at the held-out points the means of ``change`` (``E |A v|``), of its
        lower bound ``least``, of the change in the ``limit``, the ``distance`` of the changes of
        network and limit (root mean square, relative to the limit), and ``closest``, the largest ratio of the
        lower bound to the change at one point; at the training points ``train_change``, ``train_closest`` and the mean
        error ``|f - y|`` left, ``error``.
    """
    kappa, rows = early_training.direction_mean(x.shape[1]), []
    single_x, single_y, single_out = (t.float() for t in (x, y, held_out))
    for L, m in sizes:
        kernel = kernel_limit.tangent_kernel(x, x, L)
        step = 1 / torch.linalg.eigvalsh(kernel)[-1].item()
        drawn = [
            fcn.draw_weights(x.shape[1], m, 1, L, "ntk", settings.generator(1000 * s + m), dtype=torch.float32)
            for s in seeds
        ]
        first = mirrored([torch.stack(layer) for layer in zip(*drawn, strict=True)])

        def loss(weights: list[Tensor], _: int) -> Tensor:
            return (layer_rates.outputs(weights, single_x)[..., 0] - single_y).square().sum() / 2

        ((_, last),) = layer_rates.descend(first, loss, [step * 2 / m] * L, [steps], momentum=momentum)
        at = {
            name: [(layer_rates.outputs(w, p).double(), layer_rates.gradients(w, p).double()) for w in (first, last)]
            for name, p in (("train", single_x), ("out", single_out))
        }
        residual = y - at["train"][0][0][..., 0]
        c = kernel_limit.descend(kernel, residual, step, steps, momentum)
        limit = kernel_limit.gradient_change(held_out, x, c, L)
        change = {name: kappa * (g1 - g0).norm(dim=2) for name, ((_, g0), (_, g1)) in at.items()}
        least = {
            name: least_change(f1, f0, p)
            for (name, ((f0, _), (f1, _))), p in zip(at.items(), (x, held_out), strict=True)
        }
        away = (at["out"][1][1] - at["out"][0][1] - limit).square().sum(2).mean(1).sqrt()
        columns = {
            "change": change["out"].mean(1),
            "least": least["out"].mean(1),
            "limit": kappa * limit.norm(dim=2).mean(1),
            "distance": away / limit.square().sum(2).mean(1).sqrt(),
            "closest": (least["out"] / change["out"]).amax(1),
            "train_change": change["train"].mean(1),
            "train_closest": (least["train"] / change["train"]).amax(1),
            "error": (at["train"][1][0][..., 0] - y).abs().mean(1),
        }
        kinds = {"L": L, "m": m, "seed": [*seeds, *seeds], "mirror": [0] * len(seeds) + [1] * len(seeds)}
        rows.append(pd.DataFrame(kinds | {k: v.numpy() for k, v in columns.items()}))
    return pd.concat(rows, ignore_index=True)
