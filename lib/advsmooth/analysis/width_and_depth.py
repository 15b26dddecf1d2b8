r"""Trained perturbation stability against width, depth and initialisation (Zhu et al. 2022, sections 5.3 and 5.4).

A *cell* is one kind of network (initialisation, depth, width) trained on ``n`` images, with all its seeds stacked and
trained in one pass (:mod:`advsmooth.training.ensembles`). It is measured before training and after chosen epochs of
that one training. Cells are the settings of a grid (:mod:`advsmooth.sweep`): each is kept when it is done, and on a
cluster they are trained side by side.

The learning rate follows one rule for all cells, from numbers known before training::

    rate = min(CAP, SPEED / K),    K = E sum over l of |d f_k / d W_l|^2   (tangent_kernel, in closed form),

the same rate for all where that is stable, and a lower one where the tangent kernel ``K`` of a wide network would make
gradient descent diverge. SPEED and CAP were piloted on a seed that no page uses.
"""

# ruff: noqa: N803, N806 - L is the paper's own symbol

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from advsmooth import data as data_sets
from advsmooth import records, settings
from advsmooth import sweep as grids
from advsmooth.analysis import laziness, phase_transition, stability
from advsmooth.attacks.isolation import frozen
from advsmooth.data import Dataset
from advsmooth.models import fcn
from advsmooth.theory.initialisation import tangent_kernel
from advsmooth.training import runs
from advsmooth.training.loop import Measure, Trained
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Constant

FOLDER = grids.FOLDER
EPOCHS = (0, 1, 2, 5, 10, 20, 50)
"""When a cell is measured, and after its last epoch."""

SPEED, CAP = 4.0, 0.04
"""Of the rule for the learning rate."""

MOMENTUM, NON_LAZY = 0.9, 2.0
"""Of SGD; and the power of the width in the standard deviation ``m^-2`` of the non-lazy initialisation (theorem 2 asks
for more than 3/2)."""

MEASURED = ("stability", "kappa", "loss", "accuracy", "test_accuracy")
"""Columns of a cell's table."""

TEST = 500
"""Images at which the stability is measured."""

LEARNED = 0.9
"""Training accuracy from which on a network counts as trained."""

CELL = ["scheme", "L", "m", "n"]
"""Columns that tell cells of one sweep apart."""

_PERTURBATIONS = 20_220_907
"""Seed of the perturbations. It must be no network's: a generator of one seed draws the first weights and the
perturbations as the same numbers, and then each perturbation points along a row of the first layer."""

_AT_ONCE = 16_384
"""Images that go through a network at a time when it is measured, for the memory of a GPU."""


@dataclass(frozen=True)
class Cell:
    """One kind of network and how it is trained.

    Attributes:
        scheme: ``lecun``, ``he``, ``ntk`` or ``non-lazy``.
        L: depth.
        m: width.
        n: training images.
        epochs: passes over them.
        seeds: of the networks.
        norm: Euclidean norm of every input.
        batch: examples of a mini-batch.
    """

    scheme: str
    L: int
    m: int
    n: int
    epochs: int
    seeds: tuple[int, ...]
    norm: float = 10.0
    batch: int = 100

    def initialisation(self, d: int, o: int) -> fcn.Initialisation:
        """The standard deviations of the first weights."""
        if self.scheme == "non-lazy":
            deviation = float(self.m) ** -NON_LAZY
            return fcn.Initialisation(deviation, deviation, deviation)
        return fcn.initialisation(self.scheme, d, self.m, o)

    def rate(self, d: int, o: int) -> float:
        """The learning rate, by the rule of this module."""
        kernel = tangent_kernel(self.initialisation(d, o), self.m, self.L, square_norm=self.norm**2)
        return min(CAP, SPEED / kernel)

    def weights(self, d: int, o: int) -> int:
        """How many weights the network has."""
        return sum(rows * columns for rows, columns in fcn.shapes(d, self.m, o, self.L))

    def work(self, d: int, o: int) -> float:
        """Floating-point operations of the training, about: 6 for each weight, image, pass and seed."""
        return 6.0 * self.weights(d, o) * self.n * self.epochs * len(self.seeds)


def normalised(images: Dataset, norm: float) -> Dataset:
    """The data with each input flat and of norm ``norm`` (assumption 1 has 1); inputs of norm 0 stay."""
    return replace(images, x=norm * functional.normalize(images.x.flatten(1), dim=1))


def grid(
    widths: Sequence[int],
    depths: Sequence[int],
    seeds: Sequence[int],
    *,
    n: int,
    epochs: int,
    long: int,
    d: int,
    o: int,
    norm: float,
) -> list[Cell]:
    """He, LeCun and NTK at all widths and depths, and the non-lazy start at depth 2.

    Large networks cost more than the grid can pay for, so they get fewer seeds, never fewer images, and less time after
    the common one: all seeds up to 250,000 weights, half of them up to a million, three beyond; ``long`` instead of
    ``epochs`` passes up to 100,000 weights, and at depth 2 where figure 4b compares He with non-lazy.
    """
    kinds = [(scheme, L) for scheme in ("he", "lecun", "ntk") for L in depths] + [("non-lazy", 2)]
    cells = []
    for scheme, L in kinds:
        for m in widths:
            weights = sum(rows * columns for rows, columns in fcn.shapes(d, m, o, L))
            most = len(seeds) if weights <= 250_000 else max(3, len(seeds) // 2) if weights <= 1_000_000 else 3
            stays = weights <= 100_000 or (L == 2 and scheme in ("he", "non-lazy"))
            cells.append(Cell(scheme, L, m, n, long if stays else epochs, tuple(seeds[:most]), norm))
    return cells


def other_sizes(
    widths: Sequence[int],
    depths: Sequence[int],
    seeds: Sequence[int],
    *,
    sizes: Mapping[int, int],
    n: int,
    norm: float,
    widest: int = 128,
) -> list[Cell]:
    """He on other numbers of images: where does the maximum move? Widths up to ``widest``; half the seeds above ``n``.

    ``sizes`` gives the passes of each number of images.
    """
    return [
        Cell("he", L, m, images, epochs, tuple(seeds if images <= n else seeds[: max(3, len(seeds) // 2)]), norm)
        for images, epochs in sizes.items()
        for L in depths
        for m in widths
        if m <= widest
    ]


def measured(cell: Cell, train: Dataset, test: Dataset) -> pd.DataFrame:
    """A cell, trained and measured.

    Args:
        cell: what.
        train: at least ``cell.n`` images; they are drawn from it with seed 0.
        test: inputs at which the stability is measured, the same for all cells.

    Returns:
        One row for each seed and measured epoch: the cell's own columns, ``stability`` (``P/eps``, one
        perturbation an input, the same for all), ``kappa``, ``loss`` and ``accuracy`` on the training images,
        ``test_accuracy``, ``rate``, the learning rate, and ``weights``, how many the network has.
    """
    table = records.as_written(_trained(cell, train, test), digits=8)
    return table.assign(weights=cell.weights(train.x[0].numel(), len(train.class_names)))


def sweep(
    cells: Sequence[Cell],
    train: Dataset,
    test: Dataset,
    *,
    folder: Path | None = FOLDER,
    progress: TextIO | None = None,
) -> pd.DataFrame:
    """All cells in one table in their order, each from the cache if it is there (see :func:`advsmooth.sweep.run`)."""
    return grids.run(
        measured,
        [{"cell": cell} for cell in cells],
        data={"train": train, "test": test},
        folder=folder,
        gpus=float(train.x.is_cuda),
        work=[cell.work(train.x[0].numel(), len(train.class_names)) for cell in cells],
        progress=progress,
    )


def _trained(cell: Cell, train: Dataset, test: Dataset) -> pd.DataFrame:
    images, probe = normalised(train.take(cell.n, seed=0), cell.norm), normalised(test, cell.norm)
    d, o = images.x.shape[1], len(images.class_names)
    recipe = Recipe(
        epochs=cell.epochs,
        batch=min(cell.batch, cell.n),
        rate=Constant(cell.rate(d, o)),
        optimisers=(Optimiser(torch.optim.SGD, {"momentum": MOMENTUM, "weight_decay": 0.0}),),
    )
    arguments = {"m": cell.m, "L": cell.L, "scheme": cell.initialisation(d, o)}
    planned = [runs.Run("fcn", arguments, images, recipe, seed) for seed in cell.seeds]
    own: dict[str, Any] = {"scheme": cell.scheme, "L": cell.L, "m": cell.m, "n": cell.n, "norm": cell.norm}
    table = probed(planned, probe, {*EPOCHS, cell.epochs}).assign(**own, rate=cell.rate(d, o))
    return table[["scheme", "L", "m", "n", "norm", "seed", "epoch", *MEASURED, "rate"]]


def probed(
    planned: Sequence[runs.Run],
    test: Dataset,
    epochs: set[int],
    *,
    kind: type[Probe] | None = None,
    train: Callable[..., list[Trained]] = runs.trained_together,
) -> pd.DataFrame:
    """Networks trained, and measured before training and after the chosen epochs of that one training.

    Args:
        planned: the trainings; all on the same images.
        test: inputs at which the stability is measured.
        epochs: when; 0 is always among them.
        kind: what is measured; a :class:`Probe` if none is given.
        train: how; as :func:`~advsmooth.training.runs.trained_together`.

    Returns:
        One row for each run and epoch: ``seed``, ``epoch`` and the measures.
    """
    kind = kind or Probe
    probes: dict[int, Probe] = {}

    def make(name: str) -> Callable[[nn.Module], Measure]:
        def of_model(model: nn.Module) -> Measure:
            if id(model) not in probes:
                probes[id(model)] = kind(model, planned[0].data, test, epochs)
            return probes[id(model)].measure(name)

        return of_model

    results = train(planned, measures={name: make(name) for name in kind.names})
    return pd.DataFrame(
        [
            {"seed": run.seed, "epoch": epoch} | values
            for run, result in zip(planned, results, strict=True)
            for epoch, values in probes[id(result.model)].taken.items()
        ]
    )


class Probe:
    """What is measured of one network: before training, and at the end of the chosen epochs.

    Attributes:
        names: of the measures.
        taken: epoch -> the measures by name.
    """

    names: tuple[str, ...] = MEASURED

    def __init__(self, model: nn.Module, train: Dataset, test: Dataset, epochs: set[int]) -> None:
        self.train, self.test, self.epochs = train, test, epochs
        self.start = laziness.weights(model)
        self.taken = {0: self.take(model)}

    def take(self, model: nn.Module) -> dict[str, float]:
        """All measures now; the perturbations are the same for all networks and epochs."""
        with torch.no_grad(), frozen(model):
            logits, test_logits = (torch.cat([model(x) for x in s.x.split(_AT_ONCE)]) for s in (self.train, self.test))
        movement = laziness.kappa(self.start, laziness.weights(model))
        generator = settings.generator(_PERTURBATIONS, self.test.x.device.type)
        found = stability.perturbation_stability(model, self.test.x, 1.0, generator=generator)
        return {
            "stability": found.mean,
            "kappa": float(movement),
            "loss": float(functional.cross_entropy(logits, self.train.y)),
            "accuracy": float((logits.argmax(1) == self.train.y).float().mean()),
            "test_accuracy": float((test_logits.argmax(1) == self.test.y).float().mean()),
        }

    def measure(self, name: str) -> Measure:
        """One of them as the training loop asks for it: once an epoch."""
        asked = 0

        def ask(model: nn.Module) -> float:
            nonlocal asked
            asked += 1
            if asked not in self.epochs:
                return math.nan
            if asked not in self.taken:
                self.taken[asked] = self.take(model)
            return self.taken[asked][name]

        return ask


def at_epoch(table: pd.DataFrame, epoch: int) -> pd.DataFrame:
    """The rows of one epoch, with ``learned``: whether the network's training accuracy then is at least LEARNED."""
    rows = table[table.epoch == epoch]
    return rows.assign(learned=rows.accuracy >= LEARNED)


def counted(table: pd.DataFrame, epoch: int) -> pd.DataFrame:
    """The networks that count: those that have learned, in cells of which at least half, and at least three, have.

    ``log`` is the logarithm of the stability.
    """
    rows = at_epoch(table, epoch)
    enough = rows.groupby(CELL).learned.transform(lambda c: c.sum() >= max(3, len(c) / 2))
    kept = rows[rows.learned & enough]
    return kept.assign(log=kept.stability.map(math.log))


def curves(rows: pd.DataFrame, along: str) -> dict[int, list[list[float]]]:
    """``log`` of each seed at each value of ``along`` (``m`` or ``L``), for each value of the other."""
    other = "L" if along == "m" else "m"
    return {
        int(value): [list(cell.log) for _, cell in rows[rows[other] == value].groupby(along)]
        for value in sorted(rows[other].unique())
        if rows[rows[other] == value][along].nunique() >= 3
    }


def slopes(rows: pd.DataFrame, along: str) -> pd.Series:
    """By seed: what a doubling of the width (``along="m"``), or two more layers (``"L"``), adds to ``log``.

    Least squares within each seed and each curve (networks that differ in ``along`` only), then the mean over curves.
    The result has no entry for a seed without a curve of two points.
    """
    other = "L" if along == "m" else "m"
    x = rows.m.map(math.log2) if along == "m" else rows.L / 2
    rows = rows.assign(x=x)
    found = {}
    for own, curve in rows.groupby(["seed", "scheme", "n", other]):
        if len(curve) >= 2:
            dx = curve.x - curve.x.mean()
            found[own] = float((dx * curve.log).sum() / (dx**2).sum())
    return pd.Series(found, dtype=float).groupby(level=0).mean() if found else pd.Series(dtype=float)


def at_loss(table: pd.DataFrame, loss: float) -> pd.DataFrame:
    """Each network where its training loss first falls to ``loss``: ``log`` interpolated between measured epochs.

    Networks that never come there are left out; all that is returned counts.
    """
    found = []
    for own, run in table.sort_values("epoch").groupby([*CELL, "seed"]):
        below = (run.loss <= loss).to_numpy()
        if not below.any() or below[0]:
            continue
        k = int(below.argmax())
        after, before = run.iloc[k], run.iloc[k - 1]
        share = math.log(before.loss / loss) / math.log(before.loss / after.loss)
        log = (1 - share) * math.log(before.stability) + share * math.log(after.stability)
        found.append(dict(zip([*CELL, "seed"], own, strict=True)) | {"log": log})
    return pd.DataFrame(found, columns=[*CELL, "seed", "log"])


def steps(rows: pd.DataFrame, below: bool) -> pd.Series:
    """By seed: the mean change of ``log`` from one width to the next.

    Only where the narrower network has fewer weights than there are images (``below``, under-parameterised), or not.
    """
    found = []
    for _, curve in rows.sort_values("m").groupby(["scheme", "L", "n", "seed"]):
        step = curve.log.diff().shift(-1)
        found.append(curve.assign(step=step)[(curve.weights < curve.n) == below][["seed", "step"]].dropna())
    return pd.concat(found).groupby("seed").step.mean() if found else pd.Series(dtype=float)


def shapes(rows: pd.DataFrame, along: str, *, draws: int, seed: int) -> dict[int, phase_transition.Shape]:
    """The shape of each curve of :func:`curves`, where every point has two seeds or more."""
    made = {}
    for value, curve in curves(rows, along).items():
        enough = [point for point in curve if len(point) >= 2]
        if len(enough) >= 3:
            spread = "falling" if along == "m" else "rising"
            generator = np.random.default_rng([seed, value])
            made[value] = phase_transition.shape(enough, spread=spread, draws=draws, generator=generator)
    return made


def before_training(cell: Cell, test: Dataset, o: int) -> pd.Series:
    """The stability of fresh networks, one for each seed, measured as a cell's networks are."""
    probe = normalised(test, cell.norm)
    init = cell.initialisation(probe.x.shape[1], o)
    found = {}
    for seed in cell.seeds:
        network = runs.Run("fcn", {"m": cell.m, "L": cell.L, "scheme": init}, probe, Recipe(epochs=1), seed).fresh()
        found[seed] = Probe(network, probe, probe, set()).taken[0]["stability"]
    return pd.Series(found)


def replay(
    scheme: str, L: int, m: int, n: int, seed: int, norm: float, dataset: str, epochs: int = 1
) -> dict[str, float]:
    """The first epoch of one network of the grid: what a record stores to be run again."""
    train, test = (data_sets.load(dataset, split) for split in ("train", "test"))
    cell = Cell(scheme, L, m, n, epochs, (seed,), norm)
    table = measured(cell, train, test.take(min(TEST, len(test)), seed=0))
    return {f"{name} {e}": float(table[table.epoch == e][name].iloc[0]) for name in MEASURED[:3] for e in (0, epochs)}
