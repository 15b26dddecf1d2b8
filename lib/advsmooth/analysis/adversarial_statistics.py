"""What a table of defences says of one network: tables 2 and 3 of Finlay et al., and what they leave out.

:func:`statistics` measures all columns of a row. Distances are in pixel scale (inputs in [0, 1]), errors are shares of
the images, gradient norms are per unit of distance. ``f`` is the map to class probabilities unless ``outputs="logits"``
is asked for; the paper does not say which it means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis import input_gradient
from advsmooth.analysis.input_gradient import Outputs
from advsmooth.attacks import ball, evaluation
from advsmooth.attacks.ball import Norm
from advsmooth.attacks.evaluation import Attack
from advsmooth.attacks.gradient import PGD, iterative_fgsm
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy, succeeded
from advsmooth.attacks.minimal import DeepFool

BISECTIONS = 6
"""Halvings of the way back from an adversarial point, which make distances finer than the grid of radii."""


def radii(low: float, high: float, n: int) -> list[float]:
    """``n`` radii from ``low`` to ``high``, each the same multiple of the one before.

    Raises:
        ValueError: for fewer than two, or limits that are not positive and ascending.
    """
    if n < 2 or not 0 < low < high < math.inf:
        raise ValueError(f"low={low!r}, high={high!r}, n={n!r}: allowed is 0 < low < high and at least 2 radii")
    return [low * (high / low) ** (k / (n - 1)) for k in range(n)]


RADII: Mapping[Norm, Sequence[float]] = {"l2": radii(0.05, 5.0, 17), "linf": radii(0.002, 0.4, 17)}
"""Radii at which the attacks of :func:`statistics` run; what the smallest one breaks is moved back by bisection."""


def attack(norm: Norm, steps: int = 20) -> PGD:
    """The attack behind the median of a norm: PGD from a random start (l2), iterated FGSM from the image (linf)."""
    return PGD(eps=1.0, norm="l2", steps=steps) if norm == "l2" else iterative_fgsm(1.0, steps=steps)


def by_attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: Norm,
    *,
    steps: int = 20,
    seed: int = 0,
    measured: Norm | None = None,
    loss: Loss = cross_entropy,
) -> Tensor:
    """Smallest distances ``(n,)`` that :func:`attack` finds over :data:`RADII`.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs in [0, 1], ``(n, ...)``.
        y: labels ``(n,)``.
        norm: of the attack.
        steps: gradient steps at each radius.
        seed: of the random starts.
        measured: norm of the distances; that of the attack if not given.
        loss: that is climbed.
    """
    generator = settings.generator(seed, str(x.device))
    climbing = replace(attack(norm, steps), loss=loss)
    return evaluation.distances(
        model, x, y, climbing, eps=RADII[norm], norm=measured, bisections=BISECTIONS, generator=generator
    )


def in_both_norms(model: nn.Module, x: Tensor, y: Tensor, minimal: Attack, *, seed: int = 0) -> dict[Norm, Tensor]:
    """Distances ``(n,)`` of the points of a minimal-norm attack, run once, in either norm: 0 where the image is
    misclassified as it stands, infinity where nothing was found.
    """
    found = evaluation.robust_error(model, x, y, minimal, generator=settings.generator(seed, str(x.device)))
    moved = found.x_adv.double() - x.double()
    never = ~found.broken
    return {norm: ball.norms(moved, norm).masked_fill(never, torch.inf) for norm in ball.NORMS}


@dataclass(frozen=True)
class Walk:
    """How long an attack took that knows no radius.

    Attributes:
        steps: gradient steps until each image was misclassified, ``(n,)`` int64: 0 if it was from the start, -1 if it
            never was.
        distance: Euclidean, ``(n,)`` float64; infinity if it never was.
    """

    steps: Tensor
    distance: Tensor

    @property
    def calls(self) -> Tensor:
        """Calls of the model, ``(n,)`` float64: a forward and a backward pass a step, and the pass that sees success.

        Infinite without success.
        """
        return torch.where(self.steps < 0, torch.inf, 2.0 * self.steps.double() + 1)

    def median_calls(self) -> float:
        """Over the images that are classified correctly as they stand; the lower of two middle values.

        Raises:
            ValueError: if there are none.
        """
        counted = self.calls[self.steps != 0]
        if len(counted) == 0:
            raise ValueError("no image is classified correctly; there is nothing to attack")
        return counted.sort().values[(len(counted) - 1) // 2].item()


def walk(model: nn.Module, x: Tensor, y: Tensor, *, step: float, steps: int, loss: Loss = cross_entropy) -> Walk:
    """Climb the loss by normalised gradients of one fixed length until the label changes, inside the box only.

    Finlay et al. (section 5) report the "median time to successful attack" in calls of the model, but not how their
    attack chooses its steps. This is PGD in the 2-norm without a ball, from the image, with early stopping.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs in [0, 1], ``(n, ...)``.
        y: labels ``(n,)``.
        step: length of a step, pixel scale.
        steps: at most.
        loss: that is climbed.

    Raises:
        ValueError: for a step that is not positive, or no step.
    """
    if not 0 < step < math.inf or steps < 1:
        raise ValueError(f"step={step!r}, steps={steps!r}: allowed is a positive length and at least 1 step")
    taken = torch.full((len(x),), -1, dtype=torch.int64, device=x.device)
    at = x.detach().clone()
    left = torch.arange(len(x), device=x.device)
    with frozen(model):
        for k in range(steps + 1):
            here = at[left].requires_grad_(True)
            with torch.enable_grad():
                logits = model(here)
                going = ~succeeded(logits, y[left])
                taken[left[~going]] = k
                if not going.any() or k == steps:
                    break
                (gradient,) = torch.autograd.grad(loss(logits, y[left]).sum(), here)
            left, moved = left[going], (here.detach() + step * ball.steepest(gradient, "l2"))[going]
            at[left] = moved.clamp(*ball.PIXELS)
    distance = ball.norms(at.double() - x.double(), "l2").masked_fill(taken < 0, torch.inf)
    return Walk(taken, torch.where(taken == 0, 0.0, distance))


def share_within(found: Tensor, radius: float) -> float:
    """The error at a radius: share of images broken within it."""
    return float((found <= radius).double().mean())


@dataclass(frozen=True)
class Found:
    """Smallest distances ``(n,)`` by norm: of the attack of the tables, and of DeepFool, which climbs no loss."""

    climbing: Mapping[Norm, Tensor]
    deepfool: Mapping[Norm, Tensor]

    def any(self, norm: Norm) -> Tensor:
        """The smaller of the two for each image."""
        return torch.minimum(self.climbing[norm], self.deepfool[norm])


def found(model: nn.Module, x: Tensor, y: Tensor, *, steps: int = 20, seed: int = 0) -> Found:
    """Distances of :func:`by_attack` and DeepFool in both norms."""
    climbing = {norm: by_attack(model, x, y, norm, steps=steps, seed=seed) for norm in ball.NORMS}
    deepfool = {norm: in_both_norms(model, x, y, DeepFool(norm=norm))[norm] for norm in ball.NORMS}
    return Found(climbing, deepfool)


def statistics(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    steps: int = 20,
    l2_at: float = 0.1,
    linf_at: float = 8 / 255,
    step: float = 0.01,
    most_steps: int = 500,
    outputs: Outputs = "probabilities",
    seed: int = 0,
    distances: Found | None = None,
) -> dict[str, float]:
    """One row of table 2 for one network.

    Args:
        model: maps ``(n, ...)`` to logits; in eval mode inside, its flags are left as found.
        x: inputs in [0, 1], ``(n, ...)``.
        y: labels ``(n,)``.
        steps: of PGD and iterated FGSM at each radius of :data:`RADII`.
        l2_at: radius of ``l2_error``.
        linf_at: radius of ``linf_error``.
        step: of :func:`walk`, which ``l2_calls`` is about.
        most_steps: of it.
        outputs: what ``f`` is, ``probabilities`` or ``logits`` (see
            :func:`advsmooth.analysis.input_gradient.jacobian_norms`).
        seed: of the random starts.
        distances: what :func:`found` returned, if it is there already.

    Returns:
        ``clean_error``; ``l2_median`` (PGD), ``l2_calls`` (median over the images classified correctly; infinite if
        most attacks fail, NaN if there are none), ``l2_error``; ``linf_median`` (iterated FGSM), ``linf_error``;
        ``max_grad_loss``, ``mean_grad_loss`` (Euclidean norm of the loss gradient), ``max_grad_model``,
        ``mean_grad_model`` (2-infinity norm of the Jacobian of ``outputs``). Beyond the table: ``l2_deepfool`` and
        ``linf_deepfool``, medians of DeepFool; ``l2_any`` and ``linf_any``, medians of the smaller distance of the two
        attacks for each image.
    """
    measured = found(model, x, y, steps=steps, seed=seed) if distances is None else distances
    pgd, ifgsm = measured.climbing["l2"], measured.climbing["linf"]
    gradients = input_gradient.statistics(model, x, y, outputs=outputs)
    median = evaluation.median_distance
    walked = walk(model, x, y, step=step, steps=most_steps)
    return {
        "clean_error": share_within(pgd, 0.0),
        "l2_median": median(pgd),
        "l2_calls": walked.median_calls() if (walked.steps != 0).any() else math.nan,
        "l2_error": share_within(pgd, l2_at),
        "linf_median": median(ifgsm),
        "linf_error": share_within(ifgsm, linf_at),
        "max_grad_loss": gradients.loss_lipschitz,
        "max_grad_model": gradients.model_lipschitz,
        "mean_grad_loss": gradients.loss_variation,
        "mean_grad_model": gradients.model_variation,
        **{f"{norm}_deepfool": median(measured.deepfool[norm]) for norm in ball.NORMS},
        **{f"{norm}_any": median(measured.any(norm)) for norm in ball.NORMS},
    }


def paired(table: pd.DataFrame, column: str, more: str, less: str) -> list[float]:
    """``column`` of model ``more`` less that of ``less``, seed by seed, for seeds that have both.

    Args:
        table: a row a network, with ``model``, ``seed`` and the column.
        column: what is compared.
        more: name of the model whose value is expected to be larger.
        less: name of the other.

    Raises:
        ValueError: for a model that is not there.
    """
    wide = table.pivot(index="seed", columns="model", values=column)
    for name in (more, less):
        if name not in wide:
            raise ValueError(f"model {name!r}: not in the table; there are {', '.join(wide.columns)}")
    return (wide[more] - wide[less]).dropna().tolist()
