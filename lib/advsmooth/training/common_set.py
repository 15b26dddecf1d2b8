"""One set of networks for all five papers: what each of them would change, everything else left alone.

A *training* is the standard one (a fully connected ReLU network, SGD, clean images) with one thing changed that one of
the papers studies. Objectives, optimisers and weights of penalties are the published ones of
:mod:`advsmooth.training.published`; recipes share length, rate, momentum and weight decay.

All budgets are in units of one ``eps``, that at which the networks are later judged, in the maximum norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from advsmooth.data import Dataset
from advsmooth.models.arguments import one_of
from advsmooth.training import published
from advsmooth.training.objectives import AdversarialTraining, Objective, Standard
from advsmooth.training.recipe import Recipe
from advsmooth.training.runs import Run

STANDARD = "standard"
SHIFT = 8.0
"""By what the output of the non-lazy start is divided: ``alpha`` of Zhu et al., equation 2."""
PGD_STEPS = 5


@dataclass(frozen=True)
class Training:
    """One way to train.

    Attributes:
        paper: key of the paper for which it stands; empty for the standard training.
        budget: of its adversary, in units of ``eps``; 0 without one.
        method: a name of :data:`advsmooth.training.published.KANAI_SHORT`; empty for the recipe of Finlay et al.
        penalty: a model of Finlay et al., by its name in :data:`~advsmooth.training.published.FINLAY_MODELS` or beyond.
        gradual: whether the budget grows to its target, as Liu et al. propose (equation 5, cosine); a constant one
            of twice ``eps`` left the network where it was (seed 100, MNIST).
        trades: whether the adversarial loss is that of TRADES.
        network: a name of :mod:`advsmooth.models.registry`.
        changes: arguments of the network that differ from the standard ones.
    """

    paper: str = ""
    budget: float = 0.0
    method: str = "AT"
    penalty: str = ""
    gradual: bool = False
    trades: bool = False
    network: str = "fcn"
    changes: Mapping[str, Any] = field(default_factory=dict)


def trainings(m: int, L: int) -> dict[str, Training]:  # noqa: N803 - the symbol of Zhu et al.
    """All trainings by name, around a fully connected network of width ``m`` and depth ``L``."""
    return {
        STANDARD: Training(),
        "AT ε/2": Training("liu2020", 0.5),
        "AT ε": Training("liu2020", 1.0),
        "AT 2ε": Training("liu2020", 2.0, gradual=True),
        "AT ε, EntropySGD": Training("kanai2021", 1.0, "AT+EnSGD"),
        "AT ε, AWP": Training("kanai2021", 1.0, "AWP(0.005)"),
        "TRADES ε": Training("kanai2021", 1.0, trades=True),
        "TV 0.01": Training("finlay2018", penalty="l2-TV 0.01"),
        "TV 0.3": Training("finlay2018", penalty="l2-TV 0.3 + Lip 0"),
        "TV 0.1 + Lip 0.1": Training("finlay2018", penalty="l2-TV 0.1 + Lip 0.1"),
        "narrow": Training("zhu2022", changes={"m": max(2, m // 4)}),
        "wide": Training("zhu2022", changes={"m": 4 * m}),
        "deep": Training("zhu2022", changes={"L": 2 * L}),
        "LeCun start": Training("zhu2022", changes={"scheme": "lecun"}),
        "non-lazy start": Training("zhu2022", changes={"alpha": SHIFT}),
        "LeNet": Training("pang2022", network="lenet"),
        "ResNet, batch norm": Training("pang2022", network="resnet"),
    }


QUICK = (STANDARD, "AT ε", "AT 2ε", "AT ε, EntropySGD", "TV 0.1 + Lip 0.1", "narrow", "wide", "non-lazy start")
"""Those of a page that has seconds."""
CONVOLUTIONAL_SEEDS = 3
"""At most so many networks of a convolutional training: one takes the time of ten fully connected ones."""

_CONVOLUTIONAL: Mapping[str, Mapping[str, Any]] = {
    "lenet": {"w": 2},
    "resnet": {"depth": 8, "width": 4},
}


def objective(training: Training, eps: float) -> Objective:
    """The loss that a training minimises.

    Args:
        training: what to do.
        eps: the unit of its budget, maximum norm, pixel scale.
    """
    if training.penalty:
        return (published.FINLAY_MODELS | published.FINLAY_STRENGTHS)[training.penalty]
    if training.budget == 0:
        return Standard()
    own = training.budget * eps
    if training.trades:
        return published.kanai_trades(own, steps=PGD_STEPS, step_size=own / 4)
    return published.kanai_at(own, steps=PGD_STEPS)


def recipe(training: Training, eps: float, *, epochs: int, rate: float, batch: int) -> Recipe:
    """How a training is run; see :func:`objective` for its first two arguments.

    Args:
        training: what to do.
        eps: the unit of its budget.
        epochs: passes over the data.
        rate: first learning rate.
        batch: examples of a mini-batch.
    """
    shared: dict[str, Any] = {"epochs": epochs, "rate": rate, "batch": batch}
    if training.penalty:
        return published.finlay(objective(training, eps), **shared)
    method, options = published.KANAI_SHORT[training.method]
    made = published.kanai(method, objective(training, eps), **shared, **options)
    if not training.gradual:
        return made
    return replace(made, budget=published.liu_budget("cosine", training.budget * eps), per_step=True)


def runs(
    data: Dataset,
    chosen: Sequence[str],
    seeds: Sequence[int],
    *,
    eps: float,
    epochs: int,
    rate: float,
    batch: int,
    m: int,
    L: int,  # noqa: N803
) -> pd.DataFrame:
    """A network for each training and seed; equal seeds share the order of the data, and equal networks their start.

    Args:
        data: training data.
        chosen: names of :func:`trainings`.
        seeds: networks of each, :data:`CONVOLUTIONAL_SEEDS` at most of a convolutional one.
        eps: the unit of the budgets.
        epochs: as of :func:`recipe`, like ``rate`` and ``batch``.
        rate: first learning rate.
        batch: examples of a mini-batch.
        m: width of the standard network.
        L: its depth.

    Returns:
        Columns ``training``, ``paper``, ``seed`` and ``run``, training by training.

    Raises:
        ValueError: for an unknown training; the message has the nearest one.
    """
    known = trainings(m, L)
    rows = []
    for name in chosen:
        training = known[one_of("training", name, known)]
        arguments = {"m": m, "L": L, **training.changes}
        own = seeds
        if training.network != "fcn":
            arguments, own = {**_CONVOLUTIONAL[training.network]}, seeds[:CONVOLUTIONAL_SEEDS]
        how = recipe(training, eps, epochs=epochs, rate=rate, batch=batch)
        rows += [(name, training.paper, s, Run(training.network, arguments, data, how, s)) for s in own]
    return pd.DataFrame(rows, columns=["training", "paper", "seed", "run"])


def budget(run: Run) -> float:
    """The budget of the adversary in a run, pixel scale; 0 without one."""
    made = run.recipe.objective
    attack = made.attack if isinstance(made, AdversarialTraining) else made
    return float(getattr(attack, "eps", 0.0))
