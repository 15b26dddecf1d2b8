"""Recipes as the papers state them, with what a smaller run must change as arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset
from advsmooth.training.objectives import AdversarialTraining
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.runs import Run
from advsmooth.training.schedules import Constant, CosineBudget, LinearBudget, Schedule

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


def liu_budgets(
    data: Dataset,
    budgets: Sequence[float],
    seeds: Sequence[int],
    *,
    w: int,
    steps: int,
    rate: float = 1e-3,
    pgd_steps: int = 6,
    batch: int = 128,
) -> list[Run]:
    """One network for each budget and seed, in this order: what figures 8 to 12 and 15 of Liu et al. look at.

    LeNet of width ``w`` trained at a constant budget. Shorter than the published runs: ``steps`` mini-batches at a
    higher rate, and attacks of fewer and longer steps, each a third of the budget.
    """
    return [
        Run("lenet", {"w": w}, data, recipe, seed)
        for recipe in (
            liu_mnist(
                eps,
                rate=rate,
                steps=steps,
                pgd_steps=pgd_steps,
                step_size=eps / 3,
                batch=batch,
                channels_last=True,
            )
            for eps in budgets
        )
        for seed in seeds
    ]
