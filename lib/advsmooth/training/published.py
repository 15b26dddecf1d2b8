"""Recipes as the papers state them, with what a smaller run must change as arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import pandas as pd
import torch

from advsmooth import data as data_sets
from advsmooth.attacks.evaluation import Attack
from advsmooth.attacks.gradient import PGD, fgsm
from advsmooth.data import Dataset
from advsmooth.training import loop
from advsmooth.training.augment import Augmentation
from advsmooth.training.entropysgd import EntropySGD, SecondOrderEntropySGD
from advsmooth.training.objectives import TRADES, AdversarialTraining, GradientRegularised, Objective, Standard
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.runs import Run
from advsmooth.training.schedules import Constant, CosineBudget, Delayed, Drops, LinearBudget, Schedule, Warmup

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


@dataclass(frozen=True)
class Phases:
    """One schedule after another on one clock: each from its start, a fraction of the total, until the next one's."""

    schedules: tuple[Schedule, ...]
    starts: tuple[float, ...]

    def __call__(self, t: float, total: float) -> float:
        """The value at ``t`` of the schedule in force."""
        begun = [schedule for schedule, start in zip(self.schedules, self.starts, strict=True) if t >= start * total]
        return begun[-1](t, total)


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


_SGD = torch.optim.SGD

KANAI_METHODS: dict[str, tuple[type[torch.optim.Optimizer], float | None]] = {
    "AT": (_SGD, None),
    "AT+EnSGD": (EntropySGD, None),
    "AT+2ndEnSGD": (SecondOrderEntropySGD, None),
    "AWP": (_SGD, 0.01),
    "AWP(0.005)": (_SGD, 0.005),
    "AWP+EnSGD": (EntropySGD, 0.005),
    "AWP+2ndEnSGD": (SecondOrderEntropySGD, 0.005),
}
"""What Kanai et al. 2021 compare, by the names of their tables: optimiser and ``gamma_A`` on CIFAR-10 (appendix E)."""


def kanai(
    method: str,
    objective: Objective,
    *,
    epochs: int = 200,
    rate: float = 0.1,
    outer_rate: float = 0.1,
    batch: int = 128,
    langevin: int = 20,
    averaging: float = 0.75,
    variant: str = "reference",
    switch: float | None = None,
    delay: float = 0.0,
    augment: Augmentation | None = None,
    held_out: int = 0,
    validation: Attack | None = None,
    keep: bool = False,
    channels_last: bool = False,
) -> Recipe:
    """Training as in Kanai et al. 2021 (section 5.2, appendices E and F.2): momentum 0.9, weight decay 5e-4.

    The rate is divided by 10 after one half and three quarters of the epochs. EntropySGD has a scope of 0.03, noise of
    1e-4 and an inner rate of 0.1. Epochs and batch size, not in the paper, are those of the code it builds on. Each
    Langevin step takes a mini-batch of the epoch, so that all methods see equally many.

    Args:
        method: a name of :data:`KANAI_METHODS`.
        objective: :func:`kanai_at` or :func:`kanai_trades`.
        epochs: passes over the data.
        rate: first learning rate of SGD.
        outer_rate: that of the outer steps of EntropySGD.
        batch: examples of a mini-batch.
        langevin: ``L``; published are 20, and 30 with AWP.
        averaging: ``alpha``.
        variant: of EntropySGD, ``reference`` or ``paper``.
        switch: share of the training after which SGD takes over from EntropySGD.
        delay: share of the training before which there is neither EntropySGD nor AWP; 5 of 200 epochs on SVHN, 10 in
            the runs of table 2 with AWP.
        augment: of the images; on CIFAR-10 crops and mirror images.
        held_out: examples set aside for selection.
        validation: attack on them.
        keep: keep the weights after every epoch.
        channels_last: a faster memory layout; changes results by rounding.

    Raises:
        ValueError: for an unknown method or variant, or a switch of a method without EntropySGD.
    """
    if method not in KANAI_METHODS:
        raise ValueError(f"method={method!r}: allowed is {', '.join(KANAI_METHODS)}")
    kind, gamma = KANAI_METHODS[method]
    sgd = Optimiser(_SGD, {"momentum": 0.9, "weight_decay": 5e-4})
    phases = [(sgd, rate)] if kind is _SGD or delay else []
    if kind is not _SGD:
        momentum = {"momentum": 0.9} if variant == "reference" else {}
        walk = {"langevin": langevin, "averaging": averaging, "variant": variant}
        phases.append((Optimiser(kind, {"weight_decay": 5e-4, **momentum, **walk}, start=delay), outer_rate))
        phases += [] if switch is None else [(replace(sgd, start=switch), rate)]
    elif switch is not None:
        raise ValueError(f"switch={switch!r}: {method} trains with SGD from the start; leave switch out")
    optimisers = tuple(optimiser for optimiser, _ in phases)
    rates = tuple(Drops(first) for _, first in phases)
    perturbed = None if gamma is None else Constant(gamma)
    return Recipe(
        objective,
        epochs=epochs,
        batch=batch,
        rate=rates[0] if len(rates) == 1 else Phases(rates, tuple(optimiser.start for optimiser in optimisers)),
        optimisers=optimisers,
        awp=Delayed(perturbed, delay) if perturbed and delay else perturbed,
        augment=augment,
        held_out=held_out,
        validation=validation,
        keep=tuple(k / epochs for k in range(1, epochs + 1)) if keep else (),
        channels_last=channels_last,
    )


_SHORT = {"outer_rate": 1.0, "langevin": 5}

KANAI_SHORT: dict[str, tuple[str, Mapping[str, Any]]] = {
    "AT": ("AT", {}),
    "AT+EnSGD": ("AT+EnSGD", _SHORT),
    "AT+2ndEnSGD": ("AT+2ndEnSGD", _SHORT),
    "AWP": ("AWP", {}),
    "AWP(0.005)": ("AWP(0.005)", {}),
    "AWP+EnSGD": ("AWP+EnSGD", _SHORT),
    "AWP+2ndEnSGD": ("AWP+2ndEnSGD", _SHORT),
    "AT+EnSGD, published": ("AT+EnSGD", {}),
    "AT+EnSGD, Algorithm 1": ("AT+EnSGD", {**_SHORT, "variant": "paper"}),
}
"""What a short training compares: name to method and options of :func:`kanai`.

An outer step of EntropySGD moves a tenth of the way to the mean of 20 iterates. In 200 epochs there are thousands of
them, in a short training too few: ours move all the way, after 5 iterates. We chose that for rate and ``L`` among
(0.1, 20), (1, 20) and (1, 5), on digits also (0.1, 5), (0.3, 5) and (0.3, 20), by the robust accuracy of one network
(seed 100, used for nothing else) on digits and on CIFAR-10. The rate of SGD is the published one; 0.03 was worse on
both, and 0.3 learned nothing on digits.
"""


KANAI_PUBLISHED: dict[str, tuple[str, Mapping[str, Any]]] = {
    name: (name, {"langevin": 30} if name.startswith("AWP+") else {}) for name in KANAI_METHODS
}
"""The same at the published settings of CIFAR-10 with ResNet-18: ``L`` is 20, and 30 with AWP (appendix E.1)."""


_SGD_FIRST = {"delay": 10 / 200}

KANAI_TRADES_SHORT: dict[str, tuple[str, Mapping[str, Any]]] = {
    "TRADES": ("AT", {}),
    "+EnSGD": ("AT+EnSGD", _SHORT),
    "+AWP": ("AWP(0.005)", _SGD_FIRST),
    "+AWP+EnSGD": ("AWP+EnSGD", {**_SHORT, **_SGD_FIRST, "averaging": 0.3}),
    "+AWP+EnSGD(tuned)": ("AWP+EnSGD", {**_SHORT, **_SGD_FIRST, "switch": 150 / 200}),
    "+AWP+EnSGD, no switch": ("AWP+EnSGD", {**_SHORT, **_SGD_FIRST}),
    "+AWP+EnSGD, switch at 1/2": ("AWP+EnSGD", {**_SHORT, **_SGD_FIRST, "switch": 1 / 2}),
    "+AWP+EnSGD, switch at 1/4": ("AWP+EnSGD", {**_SHORT, **_SGD_FIRST, "switch": 1 / 4}),
}
"""Table 2 in a short training, as :data:`KANAI_SHORT`. The published "tuned" changes ``alpha`` from 0.3 to 0.75 as well
as the optimiser after three quarters; the last three change the time of the switch only."""


def kanai_runs(
    data: Dataset,
    methods: Mapping[str, tuple[str, Mapping[str, Any]]],
    objective: AdversarialTraining | TRADES,
    seeds: Sequence[int],
    *,
    w: int,
    epochs: int,
    held_out: int,
    batch: int = 128,
    network: str = "resnet18",
) -> pd.DataFrame:
    """A network of width ``w`` for each method and seed, with everything needed to judge its every epoch.

    Selection is by the objective's own attack on held-out images; images in colour are cropped and mirrored.

    Args:
        data: training data.
        methods: by the name to show: a method of :data:`KANAI_METHODS` and its options for :func:`kanai`.
        objective: as of :func:`kanai`.
        seeds: networks of each method; equal seeds share the first weights, the split and the order of the data.
        w: width factor.
        epochs: passes over the data.
        held_out: examples set aside for selection.
        batch: examples of a mini-batch.
        network: a name of :mod:`advsmooth.models.registry` with a width factor.

    Returns:
        Columns ``method``, ``seed`` and ``run``, seed by seed.
    """
    inner = cast(PGD, objective.attack)
    attack = PGD(eps=inner.eps, steps=inner.steps, step_size=inner.step_size)
    shared: dict[str, Any] = {
        "epochs": epochs,
        "batch": batch,
        "held_out": held_out,
        "validation": attack,
        "keep": True,
        "augment": Augmentation() if data.shape[0] == 3 else None,
        "channels_last": True,
    }
    rows = [
        (name, seed, Run(network, {"w": w}, data, kanai(method, objective, **shared, **options), seed))
        for seed in seeds
        for name, (method, options) in methods.items()
    ]
    return pd.DataFrame(rows, columns=["method", "seed", "run"])


def kanai_trades_runs(
    data: Dataset, objective: AdversarialTraining | TRADES, seeds: Sequence[int], **options: Any
) -> pd.DataFrame:
    """:func:`kanai_runs` of :data:`KANAI_TRADES_SHORT`, every schedule by mini-batch instead of by epoch.

    Optimisers take over at a mini-batch. A switch after a quarter of 10 epochs falls into the third of them; by epoch
    the rate would stay until the fourth, and SGD would run at that of EntropySGD, ten times its own, for half an epoch.

    Args:
        data: training data.
        objective: as of :func:`kanai_runs`.
        seeds: networks of each method.
        options: of :func:`kanai_runs`.
    """
    table = kanai_runs(data, KANAI_TRADES_SHORT, objective, seeds, **options)
    return table.assign(run=[replace(run, recipe=replace(run.recipe, per_step=True)) for run in table.run])


def kanai_at(eps: float = 8 / 255, *, steps: int = 10, step_size: float | None = None) -> AdversarialTraining:
    """Adversarial training with PGD from a random start; a step is a quarter of the budget, as 2/255 is of 8/255."""
    return AdversarialTraining(PGD(eps=eps, steps=steps, step_size=eps / 4 if step_size is None else step_size))


def kanai_trades(eps: float = 0.031, *, steps: int = 10, step_size: float = 0.003) -> TRADES:
    """TRADES with the published step size, which is less than half of its authors' 0.007."""
    return TRADES(eps=eps, steps=steps, step_size=step_size)


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


def replay_trades(
    dataset: str,
    n: int,
    objective: Mapping[str, Any],
    network: str,
    w: int,
    batch: int,
    seed: int,
    steps: int = 3,
) -> dict[str, float]:
    """The first mini-batches of a run of :func:`kanai_trades_runs`: what a record stores to be run again.

    Args:
        dataset: name of the data set.
        n: of its images, drawn with seed 0.
        objective: arguments of :func:`kanai_trades`.
        network: a name of :mod:`advsmooth.models.registry`.
        w: width factor.
        batch: examples of a mini-batch.
        seed: of the run.
        steps: mini-batches.
    """
    images = data_sets.load(dataset).take(n, seed=0)
    made = kanai_trades_runs(
        images, kanai_trades(**objective), [seed], w=w, epochs=1, held_out=1, batch=batch, network=network
    )
    run = made[made.method == "TRADES"].run.iloc[0]
    recipe = replace(run.recipe, epochs=None, steps=steps, validation=None, held_out=0, keep=())
    found = loop.train(run.fresh(), images, recipe, seed=seed).steps
    return {f"{name} {k}": float(found[name].iloc[k - 1]) for name in ("loss", "gradient_norm") for k in (1, steps)}


FINLAY_MODELS: dict[str, Objective] = {
    "undefended": Standard(),
    "l1-TV (FGSM)": AdversarialTraining(fgsm(0.01)),
    "l2-TV 0.01": GradientRegularised(tv=0.01),
    "l2-TV 0.01 + Lip 0.1": GradientRegularised(tv=0.01, lipschitz=0.1),
    "l2-TV 0.1 + Lip 0.1": GradientRegularised(tv=0.1, lipschitz=0.1),
    "l2-TV 0.1 + Lip 1": GradientRegularised(tv=0.1, lipschitz=1.0),
}
"""The models of table 2 of Finlay et al. 2018, in its order, at the published ``epsilon`` and ``lambda``. The budget of
FGSM is not in the paper; 0.01 is that of the model beside it."""

FINLAY_STRENGTHS: dict[str, Objective] = {
    f"l2-TV {tv:g} + Lip {lipschitz:g}": GradientRegularised(tv=tv, lipschitz=lipschitz)
    for tv in (0.0, 0.03, 0.3, 1.0)
    for lipschitz in (0.0, 0.03, 0.3)
    if tv or lipschitz
}
"""Further strengths between and beyond the published ones, for what is said of "a model" and not of a table's row."""


def finlay(
    objective: Objective,
    *,
    epochs: int = 200,
    rate: float = 0.1,
    batch: int = 128,
    augment: Augmentation | None = None,
    channels_last: bool = False,
) -> Recipe:
    """Training as in Finlay et al. 2018, whose "standard hyper-parameters" are not given; these are Kanai et al.'s.

    SGD with momentum 0.9 and weight decay 5e-4, the rate divided by 10 after one half and three quarters of the epochs.
    Gradients longer than 1 are shortened to 1: the Lipschitz term is the gradient of a single image, and without the
    limit it threw short trainings of a LeNet on MNIST back to a constant network.

    Args:
        objective: such as one of :data:`FINLAY_MODELS`.
        epochs: passes over the data.
        rate: first learning rate.
        batch: examples of a mini-batch; the Lipschitz term is the maximum over it.
        augment: of the images; published are crops, mirror images and cutout.
        channels_last: a faster memory layout; changes results by rounding.
    """
    return Recipe(
        objective,
        epochs=epochs,
        batch=batch,
        rate=Drops(rate),
        optimisers=(Optimiser(_SGD, {"momentum": 0.9, "weight_decay": 5e-4}),),
        clip=1.0,
        augment=augment,
        channels_last=channels_last,
    )


def finlay_runs(
    data: Dataset,
    models: Mapping[str, Objective],
    seeds: Sequence[int],
    *,
    network: str,
    arguments: Mapping[str, Any],
    epochs: int,
    rate: float = 0.1,
    batch: int = 128,
) -> pd.DataFrame:
    """A network for each model and seed; images in colour are cropped, mirrored and partly covered.

    Args:
        data: training data.
        models: by the name to show, such as :data:`FINLAY_MODELS`.
        seeds: networks of each model; equal seeds share the first weights and the order of the data.
        network: a name of :mod:`advsmooth.models.registry`.
        arguments: the network's own, such as ``{"w": 2}``.
        epochs: as of :func:`finlay`.
        rate: as of :func:`finlay`.
        batch: as of :func:`finlay`.

    Returns:
        Columns ``model``, ``seed`` and ``run``, seed by seed.
    """
    augment = Augmentation(cutout=data.shape[-1] // 2) if data.shape[0] == 3 else None
    recipe: dict[str, Any] = {"epochs": epochs, "rate": rate, "batch": batch, "augment": augment, "channels_last": True}
    rows = [
        (name, seed, Run(network, arguments, data, finlay(objective, **recipe), seed))
        for seed in seeds
        for name, objective in models.items()
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "run"])
