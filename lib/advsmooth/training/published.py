"""Recipes as the papers state them, with what a smaller run must change as arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd
import torch

from advsmooth import data as data_sets
from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset
from advsmooth.training import loop
from advsmooth.training.objectives import AdversarialTraining
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.runs import Run
from advsmooth.training.schedules import Constant, CosineBudget, Delayed, LinearBudget, Schedule, Warmup

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


def warmup_runs(
    data: Dataset,
    eps: float,
    seeds: Sequence[int],
    *,
    rates: Sequence[float],
    rate: float,
    widths: Sequence[int],
    w: int,
    steps: int,
    **options: Any,
) -> pd.DataFrame:
    """The runs behind figures 4, 13 and 14 of Liu et al., and controls: one row each.

    Args:
        data: training data.
        eps: the budget at the end, pixel scale.
        seeds: networks of each kind.
        rates: learning rates of figures 4 and 13; width ``w``.
        rate: the learning rate of everything else.
        widths: of figure 14.
        w: the width of everything else.
        steps: mini-batches.
        options: of :func:`liu_short`.

    Returns:
        Columns ``part`` (``rate``, ``rate warm-up``, ``width`` or ``control``), ``schedule``, ``rate``, ``w``, ``seed``
        and ``run``. The control ``twice`` is the constant budget for twice the mini-batches.
    """
    rows: list[tuple[str, str, float, int, Run]] = []

    def add(part: str, name: str, rate: float, w: int, budget: Schedule, of_rate: Schedule | None, steps: int) -> None:
        made = liu_short(data, eps, seeds, w=w, steps=steps, budget=budget, rate=of_rate or Constant(rate), **options)
        rows.extend((part, name, rate, w, run) for run in made)

    for name in LIU_BUDGETS:
        for each in rates:
            add("rate", name, each, w, liu_budget(name, eps), None, steps)
        for width in widths:
            add("width", name, rate, width, liu_budget(name, eps), None, steps)
        add("control", name, rate, w, liu_budget(name, eps), None, steps)
    for each in rates:
        add("rate warm-up", "constant", each, w, Constant(eps), Warmup(Constant(each), 0.1), steps)
    for control, budget in warmup_controls(eps).items():
        add("control", control, rate, w, budget, None, steps)
    add("control", "twice", rate, w, Constant(eps), None, 2 * steps)
    table = pd.DataFrame(rows, columns=["part", "schedule", "rate", "w", "run"])
    return table.assign(seed=[run.seed for run in table.run])


def replay(dataset: str, n: int, eps: float, w: int, seed: int, steps: int = 3) -> dict[str, float]:
    """The first mini-batches of a run of :func:`liu_short` at a constant budget: what a record stores to be run again.

    Args:
        dataset: name of the data set.
        n: of its images, drawn with seed 0.
        eps: the budget, pixel scale.
        w: width factor.
        seed: of the run.
        steps: mini-batches.
    """
    images = data_sets.load(dataset).take(n, seed=0)
    (run,) = liu_short(images, eps, [seed], w=w, steps=steps)
    found = loop.train(run.fresh(), images, run.recipe, seed=seed).steps
    return {f"{name} {k}": float(found[name].iloc[k - 1]) for name in ("loss", "gradient_norm") for k in (1, steps)}
