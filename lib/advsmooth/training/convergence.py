"""How fast a training converges, what it costs, and where it is stopped (Kanai et al., sections 5.2 and 5.3).

Everything measured of a set of runs lies in one tidy table: ``quantity``, ``method``, ``seed``, ``epoch``, ``value``.
Accuracies are shares; ``test`` and ``train`` under an attack, ``held out`` as validated in training, ``iterates`` the
accuracy on the mini-batches trained on, at the weights at which their gradient was taken.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
import torch

from advsmooth import data as data_sets
from advsmooth import settings
from advsmooth.attacks.autoattack import AutoAttack
from advsmooth.attacks.evaluation import Attack, CountingModel, robust_error
from advsmooth.data import Dataset
from advsmooth.places import ROOT
from advsmooth.training import loop, published
from advsmooth.training.loop import Trained
from advsmooth.training.recipe import Recipe
from advsmooth.training.runs import Run

COLUMNS = ["quantity", "method", "seed", "epoch", "value"]


def judged(
    method: str,
    run: Run,
    result: Trained,
    test: Dataset,
    attack: Attack,
    *,
    trained_on: int,
    final: AutoAttack | None,
    final_n: int,
) -> pd.DataFrame:
    """The rows of one network.

    Args:
        method: its name in the table.
        run: as it was trained, with ``keep`` for every epoch and a held-out split.
        result: what came of it.
        test: images for the accuracy of every epoch.
        attack: on them; the same random starts every time.
        trained_on: training images for the accuracy after the last epoch.
        final: attack on the weights of the epoch chosen by held-out accuracy; ``None`` for none.
        final_n: test images for it, the first ones.

    Raises:
        ValueError: if the weights of some epoch were not kept.
    """
    epochs = len(result.epochs)
    if len(result.kept) < epochs:
        raise ValueError(f"{method}: weights of {len(result.kept)} of {epochs} epochs were kept; use keep=True")
    model = run.fresh()

    def accuracy(on: Dataset, by: Attack) -> tuple[float, float]:
        found = robust_error(model, on.x, on.y, by, generator=settings.generator(0, str(on.x.device)))
        return 1 - found.error, 1 - found.clean_error

    rows = []
    # More are kept than epochs if a last step of EntropySGD took the rest of the training; these equal the last one.
    for epoch, state in enumerate(result.kept[:epochs], 1):
        model.load_state_dict(state)
        rows.append(("test", epoch, accuracy(test, attack)[0]))
    rows.append(("train", epochs, accuracy(run.data.take(min(trained_on, len(run.data))), attack)[0]))
    rows += [("held out", *pair) for pair in enumerate(result.epochs.held_out_robust_accuracy, 1)]
    rows += [("iterates", *pair) for pair in enumerate(result.epochs.accuracy, 1)]
    if final is not None:
        epoch = int(result.epochs.held_out_robust_accuracy.argmax()) + 1
        model.load_state_dict(result.kept[epoch - 1])
        robust, clean = accuracy(test.take(min(final_n, len(test))), final)
        rows += [("AutoAttack", epoch, robust), ("clean", epoch, clean)]
    table = pd.DataFrame(rows, columns=["quantity", "epoch", "value"])
    return table.assign(method=method, seed=run.seed)[COLUMNS]


def wide(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """One quantity: a row per method and seed, a column per epoch."""
    return table[table.quantity == quantity].pivot(index=["method", "seed"], columns="epoch", values="value")


def areas(table: pd.DataFrame, quantity: str, cost: Mapping[str, float]) -> pd.Series:
    """The mean of a curve over compute, from when every method has had an epoch to when the first is through.

    Args:
        table: with the columns of this module.
        quantity: whose curves, such as ``test``.
        cost: of an epoch, by method, in any unit; equal costs give the area over epochs. Only these methods.

    Returns:
        By method and seed.
    """
    curves = wide(table[table.method.isin(list(cost))], quantity).dropna(axis=1)
    epochs = np.asarray(curves.columns, dtype=float)
    grid = np.linspace(epochs[0] * max(cost.values()), epochs[-1] * min(cost.values()), 201)
    found = {
        key: np.interp(grid, epochs * cost[key[0]], row).mean()
        for key, row in zip(curves.index, curves.to_numpy(), strict=True)
    }
    return pd.Series(found).rename_axis(["method", "seed"])


def ends(table: pd.DataFrame, quantity: str) -> pd.Series:
    """The value of the last epoch, by method and seed."""
    last = table[table.quantity == quantity].sort_values("epoch").groupby(["method", "seed"]).tail(1)
    return last.set_index(["method", "seed"])["value"]


def gain(values: pd.Series, better: str, worse: str) -> np.ndarray:
    """``better - worse`` seed by seed: networks of one seed share their first weights and their mini-batches."""
    return (values[better] - values[worse]).sort_index().to_numpy()


def pooled_deviation(values: pd.Series, one: str, other: str) -> float:
    """The root of the mean of both variances over the seeds."""
    return float(np.sqrt((values[one].var() + values[other].var()) / 2))


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Which epoch is chosen, by held-out or by test accuracy (the first of equals), and the test accuracy there.

    Returns:
        One row per method and seed: ``by held out`` and ``by test``, epochs; ``test at held out`` and ``test at test``,
        accuracies; ``last``, the test accuracy without a choice; ``added``, their difference: what a choice on the
        test set adds. It is never negative.
    """
    test, held = wide(table, "test"), wide(table, "held out")
    held = held.loc[test.index]
    places = {"held out": held.idxmax(axis=1), "test": test.idxmax(axis=1)}
    columns: dict[str, pd.Series] = {f"by {name}": epochs for name, epochs in places.items()}
    for name, epochs in places.items():
        columns[f"test at {name}"] = pd.Series([test.at[key, e] for key, e in epochs.items()], index=test.index)
    added = columns["test at test"] - columns["test at held out"]
    return pd.DataFrame(columns).assign(last=test.ffill(axis=1).iloc[:, -1], added=added)


# --- cost ---------------------------------------------------------------------------------------------------------


def _some_batches(recipe: Recipe, batches: int) -> Recipe:
    return replace(
        recipe, epochs=None, steps=batches, held_out=0, validation=None, keep=(), drop_last=True, per_step=False
    )


def passes(run: Run, batches: int) -> tuple[float, float]:
    """Forward and backward passes per example and mini-batch, counted in a training of so many mini-batches.

    With ``K`` attack steps: ``K + 1`` of either, and ``K + 2`` with AWP, whatever the optimiser.
    """
    counted = CountingModel(run.fresh())
    recipe = _some_batches(run.recipe, batches)
    result = loop.train(counted, run.data, recipe, seed=run.seed)
    examples = len(result.steps) * recipe.batch
    return counted.forwards / examples, counted.backwards / examples


def seconds(runs: Mapping[str, Run], batches: int, repeats: int) -> pd.DataFrame:
    """Time of a mini-batch: the methods in turn, ``repeats`` times. Time of the processor on a CPU, else of the wall.

    Returns:
        Rows of this module, quantity ``seconds``; ``seed`` is that of the run, ``epoch`` the repetition.
    """
    rows = []
    for repeat in range(1, repeats + 1):
        for method, run in runs.items():
            cuda = run.data.x.device.type == "cuda"
            model, recipe = run.fresh(), _some_batches(run.recipe, batches)
            clock = time.perf_counter if cuda else time.process_time
            begun = clock()
            loop.train(model, run.data, recipe, seed=run.seed)
            if cuda:
                torch.cuda.synchronize()
            rows.append(("seconds", method, run.seed, repeat, (clock() - begun) / batches))
    return pd.DataFrame(rows, columns=COLUMNS)


# --- what is published --------------------------------------------------------------------------------------------


def published_gaps(
    cells: Mapping[str, Mapping[str, Sequence[float]]], pairs: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Differences of printed means against printed spreads.

    Args:
        cells: of a table, row by row: method to mean and standard deviation.
        pairs: methods whose difference, second minus first, is taken.

    Returns:
        One row per pair and row of the table: ``row``, ``pair``, ``gap``, ``pooled`` (the root of the mean variance),
        and ``ratio``, their quotient, rounded to nine digits since the cells are decimal fractions.
    """
    rows = []
    for row, methods in cells.items():
        for first, second in pairs:
            (mean, spread), (other, other_spread) = methods[first], methods[second]
            rows.append((row, f"{second} - {first}", other - mean, np.hypot(spread, other_spread) / np.sqrt(2)))
    table = pd.DataFrame(rows, columns=["row", "pair", "gap", "pooled"])
    return table.assign(ratio=(table.gap / table.pooled).round(9))


def equal_cells(cells: Mapping[str, Mapping[str, Sequence[float]]]) -> list[tuple[str, str, str]]:
    """Pairs of methods whose printed cells agree in mean and spread: row, one method, the other."""
    return [
        (row, one, other)
        for row, methods in cells.items()
        for k, one in enumerate(methods)
        for other in list(methods)[k + 1 :]
        if tuple(methods[one]) == tuple(methods[other])
    ]


def outside_yardstick() -> pd.DataFrame:
    """AT and AWP on CIFAR-10 at full length, from the training logs of Wu, Xia and Wang (2020).

    Pre-activation ResNet-18, 200 epochs, 10 attack steps in training and 20 in the test. One run each.

    Returns:
        ``method``, ``epoch`` from 1, ``train`` and ``test`` (robust accuracies), ``seconds`` of training in the epoch.
    """
    return pd.read_csv(ROOT / "data" / "reference" / "wu2020_cifar10.csv")


def replay(
    dataset: str, n: int, held_out: int, eps: float, attack_steps: int, seed: int, steps: int = 10
) -> dict[str, float]:
    """The first mini-batches of AT with EntropySGD: what a record stores to be run again.

    Args:
        dataset: name of the data set.
        n: of its training images, drawn with seed 0.
        held_out: of these.
        eps: the budget, pixel scale.
        attack_steps: of the attack in training.
        seed: of the run.
        steps: mini-batches, a multiple of five.
    """
    images = data_sets.load(dataset).take(n, seed=0)
    method = {"EnSGD": published.KANAI_SHORT["AT+EnSGD"]}
    objective = published.kanai_at(eps, steps=attack_steps)
    run = cast(Run, published.kanai_runs(images, method, objective, [seed], w=1, epochs=1, held_out=held_out).run[0])
    found = loop.train(run.fresh(), images, replace(_some_batches(run.recipe, steps), held_out=held_out), seed=seed)
    return {
        f"{name} {k}": float(found.steps[name].iloc[k - 1]) for name in ("loss", "gradient_norm") for k in (1, steps)
    }
