"""Periodic adversarial scheduling (PAS) of Liu et al. 2020: learning rates, CIFAR-10 recipes, period-end models.

What starts again in each period and what does not: budget and learning rate are functions of the fraction of the
period that has passed; weights and the optimiser's moments go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.attacks.evaluation import BudgetAttack, CountingModel, robust_error
from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset
from advsmooth.training import loop
from advsmooth.training.augment import Augmentation
from advsmooth.training.loop import Measure
from advsmooth.training.objectives import AdversarialTraining
from advsmooth.training.published import LiuBudget, liu_budget, liu_mnist
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.runs import Run, trained_together
from advsmooth.training.schedules import Constant, Decay, Drops, Periodic, Schedule
from advsmooth.training.snapshots import SnapshotEnsemble, from_states

LiuNetwork = Literal["lenet", "vgg", "resnet18"]

ENDS: tuple[float, ...] = Periodic(Constant(0.0)).ends
"""Ends of Liu et al.'s three periods: after epochs 100, 150 and 200 of 200."""

_RATES: dict[str, Schedule] = {"lenet": Constant(1e-4), "vgg": Decay(1e-3, 1e-4), "resnet18": Drops(0.1)}
_OPTIMISERS: dict[str, type[torch.optim.Optimizer]] = {"vgg": torch.optim.Adam, "resnet18": torch.optim.SGD}


def _known(network: str, allowed: Sequence[str]) -> str:
    if network not in allowed:
        raise ValueError(f"network={network!r}: allowed is {', '.join(allowed)}")
    return network


def liu_rate(network: str, *, periodic: bool = False) -> Schedule:
    """The learning rate of appendix C.1 (figure 6), a function of the epoch and the number of epochs.

    LeNet (MNIST): constant, 1e-4. VGG: 1e-3, falling exponentially to 1e-4 between half and three quarters of the
    time, epochs 100 and 150 of 200. ResNet18: 0.1, divided by 10 at each of these two times.

    Args:
        network: ``lenet``, ``vgg`` or ``resnet18``.
        periodic: the same shape in each of the three periods, scaled to its length.

    Raises:
        ValueError: for an unknown network.
    """
    rate = _RATES[_known(network, list(_RATES))]
    return Periodic(rate) if periodic else rate


def periodic_budget(name: str, eps: float, *, cifar10: bool = True) -> Schedule:
    """:func:`~advsmooth.training.published.liu_budget`, started again in each of the three periods."""
    return Periodic(liu_budget(name, eps, cifar10=cifar10))


def liu_cifar10(
    network: str,
    *,
    eps: float = 8 / 255,
    budget: LiuBudget = "constant",
    periodic: bool = False,
    weight_decay: float = 1e-3,
    nesterov: bool = False,
) -> Recipe:
    """Adversarial training on CIFAR-10 for table 1 of Liu et al. (appendix C.1); width factor 8 goes to the network.

    200 epochs; PGD of 10 steps of a quarter of the budget. Batches of 128 with crops and flips are from the authors'
    repository, and so is a step that follows the current budget, not the target. "Accelerated SGD" is heavy-ball
    momentum there; ``nesterov`` gives the other reading.

    Args:
        network: ``vgg`` (Adam) or ``resnet18`` (SGD with momentum 0.9).
        eps: the target of the budget, pixel scale.
        budget: ``constant``, ``cosine`` or ``linear``.
        periodic: learning rate and budget start again after epochs 100 and 150, and the weights at the end of each
            period are kept.
        weight_decay: 1e-3 for table 1; not given for the other experiments.
        nesterov: for SGD.

    Raises:
        ValueError: for an unknown network or budget.
    """
    kind = _OPTIMISERS[_known(network, list(_OPTIMISERS))]
    options: dict[str, float | bool] = {"weight_decay": weight_decay}
    if kind is torch.optim.SGD:
        options |= {"momentum": 0.9, "nesterov": nesterov}
    return Recipe(
        AdversarialTraining(PGD(eps=eps, steps=10, step_size=eps / 4)),
        epochs=200,
        rate=liu_rate(network, periodic=periodic),
        budget=periodic_budget(budget, eps) if periodic else liu_budget(budget, eps, cifar10=True),
        optimisers=(Optimiser(kind, options),),
        augment=Augmentation(),
        keep=ENDS if periodic else (),
    )


def short_periodic(
    data: Dataset,
    eps: float,
    seeds: Sequence[int],
    *,
    budget: str,
    w: int,
    epochs: int,
    rate: float,
    pgd_steps: int,
    batch: int,
    ends: tuple[float, ...] = ENDS,
) -> list[Run]:
    """LeNets of width ``w`` on small data with the three periods of PAS: a demonstration, no setting of the paper.

    Adam; in each period the learning rate follows the shape of VGG (a tenth at the end). The warm-up is MNIST's. The
    weights at the end of each period are kept. ``ends=(1.0,)`` is one long period, no resets, the same length.

    Args:
        data: training data.
        eps: the target of the budget, pixel scale.
        seeds: one network each.
        budget: ``constant``, ``cosine`` or ``linear``.
        w: width factor.
        epochs: all periods together.
        rate: learning rate at the start of a period.
        pgd_steps: of the attack, each 2.5 / ``pgd_steps`` of the current budget long.
        batch: examples of a mini-batch.
        ends: of the periods, fractions of the training.
    """
    recipe = replace(
        liu_mnist(eps, batch=batch),
        epochs=epochs,
        objective=AdversarialTraining(PGD(eps=eps, steps=pgd_steps)),
        budget=Periodic(liu_budget(budget, eps), ends),
        rate=Periodic(Decay(rate, rate / 10), ends),
        keep=ends,
    )
    return [Run("lenet", {"w": w}, data, recipe, seed) for seed in seeds]


def train_snapshots(runs: Sequence[Run]) -> list[SnapshotEnsemble]:
    """The ensembles of several runs, trained in one vectorised pass; the result of the loop up to rounding.

    Args:
        runs: of equal length on the same data, with ``Recipe.keep`` at ends of epochs.

    Raises:
        ValueError: for a period that does not end with an epoch, and see
            :func:`~advsmooth.training.runs.trained_together`.
    """
    copies: list[list[dict[str, Tensor]]] = []

    def copying(model: nn.Module) -> Measure:  # noqa: ARG001 - one list for each network, in the order of the runs
        states: list[dict[str, Tensor]] = []
        copies.append(states)

        def copy(model: nn.Module) -> float:
            states.append({name: value.detach().clone() for name, value in model.state_dict().items()})
            return 0.0

        return copy

    for run in runs:
        for end in run.recipe.keep:
            if abs(end * (run.recipe.epochs or 0) % 1) > 1e-9:
                raise ValueError(f"keep={end!r}: not the end of one of {run.recipe.epochs} epochs")
    plain = [replace(run, recipe=replace(run.recipe, keep=())) for run in runs]
    trained = trained_together(plain, measures={"copied": copying})
    return [
        from_states(found.model, [states[round(end * len(states)) - 1] for end in run.recipe.keep])
        for run, found, states in zip(runs, trained, copies, strict=True)
    ]


def training_passes(run: Run) -> dict[str, int]:
    """What a training costs, counted: examples sent forward through the network, and gradients sent back."""
    counted = CountingModel(run.fresh())
    loop.train(counted, run.data, run.recipe, seed=run.seed)
    return {"forwards": counted.forwards, "backwards": counted.backwards}


def snapshot_errors(
    ensemble: SnapshotEnsemble, x: Tensor, y: Tensor, attack: BudgetAttack, *, seed: int = 0
) -> pd.DataFrame:
    """Clean and robust error of each member and of the ensemble, each attacked through itself, from the same starts.

    Args:
        ensemble: of period-end models, in their order.
        x: inputs ``(n, ...)``.
        y: labels ``(n,)``.
        attack: goes through the mean of the softmax outputs of the ensemble.
        seed: of the random starts.

    Returns:
        One row per model: ``model`` (``period 1``, ..., ``ensemble``), ``clean_error`` and ``robust_error``, shares.
    """
    models = {f"period {k}": member for k, member in enumerate(ensemble.models, 1)} | {"ensemble": ensemble}
    rows = []
    for name, model in models.items():
        model.eval()
        found = robust_error(model, x, y, attack, generator=settings.generator(seed, str(x.device)))
        rows.append((name, found.clean_error, found.error))
    return pd.DataFrame(rows, columns=["model", "clean_error", "robust_error"])
