"""Recipes as the papers state them, with what a smaller run must change as arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset
from advsmooth.training.objectives import AdversarialTraining
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.runs import Run
from advsmooth.training.schedules import Constant, CosineBudget, Delayed, LinearBudget, Schedule

LiuBudget = Literal["constant", "cosine", "linear"]
LIU_BUDGETS: tuple[LiuBudget, ...] = get_args(LiuBudget)

_MNIST_OVERSHOOT = {"cosine": 0.6 / 0.4, "linear": 0.8 / 0.4}
_CIFAR10_OVERSHOOT = {"cosine": 2.0, "linear": 2.0}


def liu_budget(name: str, eps: float, *, cifar10: bool = False) -> Schedule:
    """The budget of Liu et al. 2020 (equation 5, appendix C.1) that ends at ``eps``, pixel scale.

    ``eps_min`` is 0. ``eps_max`` lies above the target, so that it is reached before the end: 0.6 (cosine) and 0.8
    (linear) for a target of 0.4 on MNIST, 16/255 for 8/255 on CIFAR-10. Other targets keep these ratios.

    Args:
        name: ``constant``, ``cosine`` or ``linear``.
        eps: the target.
        cifar10: the ratios of CIFAR-10 instead of those of MNIST.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in LIU_BUDGETS:
        raise ValueError(f"schedule={name!r}: allowed is {', '.join(LIU_BUDGETS)}")
    if name == "constant" or eps == 0:
        return Constant(eps)
    largest = min(1.0, (_CIFAR10_OVERSHOOT if cifar10 else _MNIST_OVERSHOOT)[name] * eps)
    return CosineBudget(eps, largest) if name == "cosine" else LinearBudget(eps, largest)


@dataclass(frozen=True)
class Reversed:
    """A schedule run backwards: the same mean, the end first. No schedule of the papers; a control."""

    schedule: Schedule

    def __call__(self, t: float, total: float) -> float:
        """The value at ``total - t``."""
        return self.schedule(max(0.0, total - t), total)


def mean_share(name: str) -> float:
    """The mean of :func:`liu_budget` over a training, as a share of its target (MNIST).

    With ``r = eps_max / eps`` the linear budget has mean ``1 - 1 / (2 r)``. The cosine budget reaches its target at
    ``u = arccos(1 - 2 / r) / pi`` and has mean ``r / 2 (u - sin(pi u) / pi) + 1 - u``.
    """
    if name == "constant":
        return 1.0
    r = _MNIST_OVERSHOOT[name]
    if name == "linear":
        return 1 - 1 / (2 * r)
    u = math.acos(1 - 2 / r) / math.pi
    return r / 2 * (u - math.sin(math.pi * u) / math.pi) + 1 - u


def warmup_controls(eps: float) -> dict[str, Schedule]:
    """Budgets with the mean of the cosine warm-up that are not one: does the mean explain its effect, or the order?

    ``weaker``: constant at the mean. ``late``: no attack at first, then the full budget. ``backwards``: the full budget
    first, falling in the end.
    """
    share = mean_share("cosine")
    return {
        "weaker": Constant(share * eps),
        "late": Delayed(Constant(eps), 1 - share),
        "backwards": Reversed(liu_budget("cosine", eps)),
    }


def liu_mnist(
    eps: float,
    *,
    budget: Schedule | None = None,
    rate: Schedule | float = 1e-4,
    steps: int | None = None,
    pgd_steps: int = 50,
    step_size: float = 0.01,
    batch: int = 128,
    channels_last: bool = False,
) -> Recipe:
    """Adversarial training of a LeNet on MNIST as in Liu et al. 2020, appendix C.1: Adam, a constant rate of 1e-4.

    Published are 100 epochs (``steps`` not given) with ``eps / 0.01 + 10`` attack steps of 0.01. Batch size 128 is that
    of the authors' repository. Number and length of the attack steps do not follow a scheduled budget. Schedules run by
    mini-batch, not by epoch, so that short runs have them too.

    Args:
        eps: the budget, pixel scale.
        budget: its schedule; constant if not given.
        rate: learning rate.
        steps: mini-batches instead of 100 epochs.
        pgd_steps: of the attack, from a random start.
        step_size: of the attack, pixel scale.
        batch: examples of a mini-batch.
        channels_last: a faster memory layout; changes results by rounding.
    """
    attack = PGD(eps=eps, steps=pgd_steps, step_size=step_size)
    return Recipe(
        AdversarialTraining(attack, scale_step=False),
        epochs=100 if steps is None else None,
        steps=steps,
        batch=batch,
        rate=Constant(rate) if isinstance(rate, int | float) else rate,
        budget=budget or Constant(eps),
        per_step=True,
        optimisers=(Optimiser(torch.optim.Adam, {}),),
        channels_last=channels_last,
    )


def liu_short(
    data: Dataset,
    eps: float,
    seeds: Sequence[int],
    *,
    w: int,
    steps: int,
    budget: Schedule | None = None,
    rate: Schedule | float = 1e-3,
    pgd_steps: int = 6,
    batch: int = 128,
) -> list[Run]:
    """A LeNet of width ``w`` for each seed, trained as in :func:`liu_mnist` but shorter.

    ``steps`` mini-batches at a higher rate, and attacks of fewer and longer steps, each a third of the budget.
    """
    recipe = liu_mnist(
        eps,
        budget=budget,
        rate=rate,
        steps=steps,
        pgd_steps=pgd_steps,
        step_size=eps / 3,
        batch=batch,
        channels_last=True,
    )
    return [Run("lenet", {"w": w}, data, recipe, seed) for seed in seeds]


def liu_budgets(
    data: Dataset, budgets: Sequence[float], seeds: Sequence[int], *, w: int, steps: int, **options: Any
) -> list[Run]:
    """:func:`liu_short` at each constant budget: what figures 8 to 12 and 15 of Liu et al. look at."""
    return [run for eps in budgets for run in liu_short(data, eps, seeds, w=w, steps=steps, **options)]
