"""Four attacks on networks of several architectures (Pang et al. 2022): stealing, membership, poisoning, back doors.

Evasion, the fifth of the authors' artifact, has a page of its own. Every network of one architecture and seed gives one
row of numbers. The clean network is the victim of the theft, the one whose members are sought, and the one beside which
the poisoned networks are judged; all are trained alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
from torch import Tensor, nn

from advsmooth import data, settings
from advsmooth.analysis import stealing, step_smoothness, variance
from advsmooth.attacks import membership
from advsmooth.attacks.poisoning import Trigger, backdoored, mislabelled, sent_to
from advsmooth.data import Dataset
from advsmooth.training import loop, runs, searched
from advsmooth.training.objectives import Standard
from advsmooth.training.progress import ProgressLine
from advsmooth.training.runs import Run

COMMON_THIEF: tuple[str, Mapping[str, Any]] = ("vgg13", {"blocks": 2, "width": 12})
"""The thief that is the same for all victims, and none of them."""
TARGET = 0
"""Class to which the back door leads."""
BATCHES = 8
"""Mini-batches behind the gradient variance of a fresh network."""
EASE: Mapping[str, int] = {"theft": -1, "membership": 1, "backdoor": 1, "drop": -1}
"""One number for each attack, and the sign that makes it larger where the artifact says searched networks lie: a copy
closer to its victim, a larger area, a trigger that works more often, and a smaller loss of accuracy to wrong labels."""
CAUSES: Mapping[str, int] = {"early_loss": -1, "gradient_variance": -1, "change": -1, "test_accuracy": 1}
"""Suspected causes, and the sign that makes them larger for the network that is fast, of low variance, or smooth; and a
rival that needs no theory, how well the clean network has learnt."""


@dataclass(frozen=True)
class Setting:
    """What the attacks have in common.

    Attributes:
        dataset: a name of :func:`advsmooth.data.load`, of images.
        side: of the images, in pixels; larger ones are cropped and averaged.
        images: training images of every network, and queries of every thief.
        epochs: passes over them.
        parameters: size of the networks.
        wrong: share of wrong labels.
        marked: share of images with the trigger.
        trigger: its side, in pixels.
        tests: test images, at most.
    """

    dataset: str
    side: int
    images: int
    epochs: int
    parameters: int
    wrong: float
    marked: float
    trigger: int
    tests: int


@dataclass(frozen=True)
class Images:
    """The parts of the data; no image is in two of them.

    Attributes:
        train: what victims are trained on, and what is poisoned; the members.
        others: as many of the same set that no victim has seen; the non-members, and the queries of the thieves.
        test: for accuracies, for comparing thief and victim, and to carry the trigger.
    """

    train: Dataset
    others: Dataset
    test: Dataset


def images(setting: Setting) -> Images:
    """The parts of the data, the same for every network.

    Raises:
        DataError: if there are too few images, or they are smaller than wanted.
    """
    loaded, test = (data.load(setting.dataset, split) for split in ("train", "test"))
    n = setting.images
    drawn, test = loaded.take(2 * n, seed=0), test.take(min(setting.tests, len(test)), seed=0)
    # The first n of a permutation are what take(n) draws: with whole images, the networks of the other pages.
    others = data.from_arrays(
        loaded.name, loaded.split, drawn.x[n:], drawn.y[n:], loaded.class_names, f"{loaded.source}; not trained on"
    )
    parts = (replace(drawn, x=drawn.x[:n], y=drawn.y[:n]), others, test)
    return Images(*(data.shrunk(part, setting.side) for part in parts))


def measure(
    name: str, seed: int, setting: Setting, *, parts: Images | None = None, folder: Path | None = runs.FOLDER
) -> dict[str, float | int | str]:
    """All attacks on one architecture, from one seed; the row of the table.

    Args:
        name: of :data:`advsmooth.training.searched.FAMILY`.
        seed: of first weights and training, for victim, thief and poisoned networks alike, and of the poison.
        setting: what is common.
        parts: the images, to read them once.
        folder: of the cache of networks; ``None`` for none.
    """
    parts = parts or images(setting)
    planned = searched.run(name, parts.train, epochs=setting.epochs, parameters=setting.parameters, seed=seed)
    victim = _trained(planned, folder)
    early = victim.steps.loss.iloc[: max(1, round(len(victim.steps) * searched.KEPT[0]))]
    row: dict[str, float | int | str] = {"architecture": name, "kind": searched.kind(name), "seed": seed}
    told = {part: stealing.log_answers(victim.model, some.x) for part, some in vars(parts).items()}
    row |= _fresh(planned) | {"early_loss": float(early.mean())} | _membership(told, parts)
    row |= _stolen(planned, victim.model, told["test"], parts, folder)
    row |= _poisoned(planned, victim.model, told["test"], parts, setting, folder)
    return row


def _fresh(planned: Run) -> dict[str, float]:
    """Gradient variance and relative change of the gradient over one step, before training, batch norms as in training.

    The step has the rate of the recipe. Mini-batches are as large as in training, for the change eight together.
    """
    model, x, y = planned.fresh(), planned.data.x, planned.data.y
    g, size = settings.generator(planned.seed), min(searched.BATCH, len(x))
    spread = variance.over_batches(model, x, y, size=size, draws=BATCHES, generator=g, batch_statistics=True)
    some = slice(0, BATCHES * size)
    change = step_smoothness.changes(model, Standard(), x[some], y[some], [searched.RATE])
    return {"gradient_variance": spread.unbiased_total(), "change": float(change["frozen"].iloc[0])}


def _membership(told: Mapping[str, Tensor], parts: Images) -> dict[str, float]:
    """A threshold on the loss, one for all and one for each class; accuracies on the three parts of the data."""
    scores = {part: told[part].gather(1, some.y[:, None])[:, 0] for part, some in vars(parts).items()}
    found = membership.area(scores["train"], scores["others"])
    within = membership.area_within_classes(scores["train"], scores["others"], parts.train.y, parts.others.y)
    areas = {"membership": found.value, "membership_se": found.standard_error, "membership_within": within}
    return areas | {f"{part}_accuracy": _accuracy(told[part], some) for part, some in vars(parts).items()}


def _stolen(planned: Run, victim: nn.Module, told: Tensor, parts: Images, folder: Path | None) -> dict[str, float]:
    """A thief of the victim's own architecture, and the common one."""
    own = replace(planned, data=parts.others)
    common = replace(own, network=COMMON_THIEF[0], arguments=COMMON_THIEF[1])
    row: dict[str, float] = {}
    for column, thief in (("theft", own), ("theft_common", common)):
        copy = _trained(stealing.theft(thief, victim), folder).model
        found = stealing.compare(told, stealing.log_answers(copy, parts.test.x))
        row |= {column: found.cross_entropy, f"{column}_agreement": found.agreement, "entropy": found.entropy}
    return row


def _poisoned(
    planned: Run, victim: nn.Module, told: Tensor, parts: Images, setting: Setting, folder: Path | None
) -> dict[str, float]:
    """Mislabelled and back-doored training, beside the clean one."""
    trigger, test, seed = Trigger(setting.trigger), parts.test, planned.seed
    wrong, _ = mislabelled(parts.train, setting.wrong, seed)
    marked, _ = backdoored(parts.train, setting.marked, trigger, target=TARGET, seed=seed)
    misled, opened = (_trained(replace(planned, data=some), folder).model for some in (wrong, marked))
    clean, stamped = _accuracy(told, test), trigger.stamp(test.x)

    def success(model: nn.Module) -> float:
        return sent_to(stealing.log_answers(model, stamped).argmax(1), test.y, TARGET)

    return {
        "drop": clean - _accuracy(stealing.log_answers(misled, test.x), test),
        "backdoor": success(opened),
        "backdoor_by_chance": success(victim),
        "backdoor_drop": clean - _accuracy(stealing.log_answers(opened, test.x), test),
    }


def _trained(planned: Run, folder: Path | None) -> loop.Trained:
    if folder is None:
        return loop.train(planned.fresh(), planned.data, planned.recipe, seed=planned.seed)
    return runs.trained(planned, folder=folder)


def _accuracy(told: Tensor, some: Dataset) -> float:
    return float((told.argmax(1) == some.y).double().mean())


def study(
    names: Sequence[str],
    seeds: Sequence[int],
    setting: Setting,
    *,
    folder: Path | None = runs.FOLDER,
    progress: TextIO | None = None,
) -> pd.DataFrame:
    """One row for each architecture and seed (see :func:`measure`); stopped and asked again, it finds what it had."""
    parts, total = images(setting), len(names) * len(seeds)
    rows, line = [], ProgressLine(progress, 0, total)
    for seed in seeds:
        for name in names:
            rows.append(measure(name, seed, setting, parts=parts, folder=folder))
            line.show(len(rows), name)
    line.close()
    return pd.DataFrame(rows)


def oriented(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns of :data:`EASE` and :data:`CAUSES` turned so that larger is what they suspect."""
    return table.assign(**{column: sign * table[column] for column, sign in {**EASE, **CAUSES}.items()})


def groups(table: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Means over the seeds of a column, one for each searched and one for each hand-made architecture."""
    mean = table.groupby(["kind", "architecture"], sort=False)[column].mean()
    searched_ones, manual = (mean[mean.index.get_level_values("kind") == kind] for kind in ("searched", "manual"))
    return searched_ones.to_numpy(), manual.to_numpy()


def against_darts(table: pd.DataFrame, name: str, column: str) -> np.ndarray:
    """A remedy less DARTS, seed by seed."""
    wide = table.pivot_table(column, "seed", "architecture")
    return (wide[name] - wide["DARTS"]).dropna().to_numpy()


def replay(name: str = "VGG-7", seed: int = 0, dataset: str = "digits") -> dict[str, float]:
    """All attacks on one small network, trained for a few steps: what a record stores to be run again."""
    setting = Setting(dataset, 8, images=240, epochs=2, parameters=15_000, wrong=0.3, marked=0.05, trigger=1, tests=120)
    row = measure(name, seed, setting, folder=None)
    return {column: float(value) for column, value in row.items() if isinstance(value, float)}
