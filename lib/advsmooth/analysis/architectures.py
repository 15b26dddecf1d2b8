r"""Perturbation stability beyond fully connected networks (Zhu et al. 2022, appendix E, figures 6 to 8, table 4).

As :mod:`advsmooth.analysis.width_and_depth`, whose tables, cache and comparisons are used here, with a kind of network
as one more coordinate: ``fcn`` and ``cnn`` (He initialisation, no biases), ``resnet`` (batch norm). In its tables the
column ``scheme`` names the kind, so that its functions of a table serve here as they are.

Rates, piloted on seed 100, which no page uses: fully connected networks have that module's rule, convolutional ones
0.04, residual ones 0.1, divided by 10 after half and after three quarters of the time (``drops``). The paper's own
schedule is known in words only: a first phase, then one factor again and again (``halving``: after a tenth of the
time, and from then on after each twentieth, the rate is halved).
"""

# ruff: noqa: N803 - L is the paper's own symbol

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from advsmooth import data as data_sets
from advsmooth import records
from advsmooth import sweep as grids
from advsmooth.analysis import width_and_depth
from advsmooth.analysis.behind_batch_norm import scaled
from advsmooth.analysis.width_and_depth import FOLDER, MOMENTUM, TEST, Probe
from advsmooth.attacks.isolation import frozen
from advsmooth.data import Dataset
from advsmooth.training import loop, runs
from advsmooth.training.loop import Measure, Trained
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Constant, Drops, Schedule

EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100, 150, 200)
"""When networks are measured, and after their last epoch."""

CNN_RATE, RESNET_RATE = 0.04, 0.1
"""See the module."""

MEASURED = (*width_and_depth.MEASURED, "test_loss", "output")
"""Columns of a table; ``output`` is the mean of ``|f(x)| / |x|`` over the test images."""

COLUMNS = ("schedule", "start", "passes", "batch", "d")
"""Further columns that tell cells apart (``passes``: epochs of the whole training), and ``d``, numbers of an input."""

KINDS = ("fcn", "cnn", "resnet")
SCHEDULES: Mapping[str, Callable[[float], Schedule]] = {
    "constant": Constant,
    "drops": lambda rate: Drops(rate, (0.5, 0.75)),
    "halving": lambda rate: Drops(rate, tuple(k / 20 for k in range(2, 20)), 0.5),
}
"""By name, from the first rate."""


@dataclass(frozen=True)
class Cell:
    """Networks of one kind, depth and width, and how they are trained.

    Attributes:
        kind: one of :data:`KINDS`.
        L: depth, layers with weights.
        m: width: units, channels, or channels of the first stage.
        n: training images.
        epochs: passes over them.
        seeds: of the networks.
        schedule: a name of :data:`SCHEDULES`.
        start: multiplies every weight matrix of the He start.
        norm: Euclidean norm of every input.
        batch: examples of a mini-batch.
    """

    kind: str
    L: int
    m: int
    n: int
    epochs: int
    seeds: tuple[int, ...]
    schedule: str = "constant"
    start: float = 1.0
    norm: float = 10.0
    batch: int = 50

    def __post_init__(self) -> None:
        for name, value, allowed in (("kind", self.kind, KINDS), ("schedule", self.schedule, tuple(SCHEDULES))):
            if value not in allowed:
                raise ValueError(f"{name}={value!r}: allowed is {', '.join(allowed)}")
        if not self.start > 0:
            raise ValueError(f"start={self.start!r}: allowed is a positive number")

    def rate(self, d: int, o: int) -> float:
        """The first learning rate."""
        if self.kind == "fcn":
            cell = width_and_depth.Cell("he", self.L, self.m, self.n, self.epochs, self.seeds, self.norm)
            return cell.rate(d, o)
        return CNN_RATE if self.kind == "cnn" else RESNET_RATE

    def recipe(self, d: int, o: int) -> Recipe:
        """SGD with momentum on the cross-entropy."""
        return Recipe(
            epochs=self.epochs,
            batch=min(self.batch, self.n),
            rate=SCHEDULES[self.schedule](self.rate(d, o)),
            optimisers=(Optimiser(torch.optim.SGD, {"momentum": MOMENTUM, "weight_decay": 0.0}),),
        )

    def planned(self, train: Dataset) -> list[runs.Run]:
        """The trainings, one a seed, on the first ``n`` images of a shuffle with seed 0."""
        images = of_norm(train.take(self.n, seed=0), self.norm)
        arguments: dict[str, Any] = {"m": self.m, "L": self.L}
        if self.kind == "resnet":
            arguments = {"width": self.m, "depth": self.L}
        recipe = self.recipe(images.x[0].numel(), len(images.class_names))
        kind = runs.Run if self.start == 1 else SmallStart
        more = {} if self.start == 1 else {"start": self.start}
        return [kind(self.kind, arguments, images, recipe, seed, **more) for seed in self.seeds]


@dataclass(frozen=True)
class SmallStart(runs.Run):
    """A run whose first weight matrices, convolutions among them, are multiplied by ``start``."""

    start: float = 1.0

    def fresh(self) -> nn.Module:
        """The network before training."""
        return scaled(super().fresh(), self.start, last_too=True)


def of_norm(images: Dataset, norm: float) -> Dataset:
    """The data with each input of Euclidean norm ``norm``, in its shape."""
    flat = width_and_depth.normalised(images, norm)
    return replace(flat, x=flat.x.reshape(images.x.shape))


def averaged(images: Dataset, block: int) -> Dataset:
    """Images averaged over blocks of ``block`` by ``block`` pixels; 28x28 become 14x14 with 2."""
    return data_sets.shrunk(images, min(images.x.shape[2:]) // block)


class FurtherProbe(Probe):
    """The measures of :class:`~advsmooth.analysis.width_and_depth.Probe`, the loss on test images, and the output."""

    names = MEASURED

    def take(self, model: nn.Module) -> dict[str, float]:
        """All measures now."""
        with torch.no_grad(), frozen(model):
            logits = model(self.test.x)
        own = {
            "test_loss": float(functional.cross_entropy(logits, self.test.y)),
            "output": float((logits.norm(dim=1) / self.test.x.flatten(1).norm(dim=1)).mean()),
        }
        return super().take(model) | own


def measured(cell: Cell, train: Dataset, test: Dataset) -> pd.DataFrame:
    """A cell, trained and measured.

    Args:
        cell: what.
        train: at least ``cell.n`` images.
        test: images at which is measured, the same for all cells.

    Returns:
        One row for each seed and measured epoch: ``scheme`` (the kind), ``L``, ``m``, ``n``, :data:`COLUMNS`, ``seed``,
        ``epoch``, the measures (:data:`MEASURED`; networks in eval mode), ``rate``, the first learning rate.
    """
    return records.as_written(_trained(cell, train, test), digits=8)


def sweep(cells: Sequence[Cell], train: Dataset, test: Dataset, *, folder: Path | None = FOLDER) -> pd.DataFrame:
    """All cells in one table in their order, each from the cache if it is there (see :func:`advsmooth.sweep.run`)."""
    return grids.run(
        measured,
        [{"cell": cell} for cell in cells],
        data={"train": train, "test": test},
        folder=folder,
        gpus=float(train.x.is_cuda),
    )


def _trained(cell: Cell, train: Dataset, test: Dataset) -> pd.DataFrame:
    planned, probe = cell.planned(train), of_norm(test, cell.norm)
    # Stacked convolutions are slower on a CPU than one network after the other, and batch norm cannot be stacked.
    how = runs.trained_together if cell.kind == "fcn" else _one_by_one
    table = width_and_depth.probed(planned, probe, {*EPOCHS, cell.epochs}, kind=FurtherProbe, train=how)
    d, o = probe.x[0].numel(), len(probe.class_names)
    own: dict[str, Any] = {"scheme": cell.kind, "L": cell.L, "m": cell.m, "n": cell.n, "d": d, "rate": cell.rate(d, o)}
    own |= {"schedule": cell.schedule, "start": cell.start, "passes": cell.epochs, "batch": cell.batch}
    return table.assign(**own)[[*width_and_depth.CELL, *COLUMNS, "seed", "epoch", *MEASURED, "rate"]]


def _one_by_one(
    planned: Sequence[runs.Run], *, measures: Mapping[str, Callable[[nn.Module], Measure]]
) -> list[Trained]:
    trained = []
    for run in planned:
        model = run.fresh()
        made = {name: make(model) for name, make in measures.items()}
        trained.append(loop.train(model, run.data, run.recipe, seed=run.seed, measures=made))
    return trained


def ratios(rows: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """How far depth changes the stability, kind by kind: by seed, the mean over the widths of a difference of ``log``.

    At each width, between the smallest and the largest depth that *all* the kinds have there, so that kinds are
    compared at equal sizes.

    Args:
        rows: networks that count, with ``log``.
        kinds: names in the column ``scheme``.

    Returns:
        One row a seed (those that have both networks of all kinds at one width or more), one column a kind.
    """
    found = []
    for m, at_width in rows[rows.scheme.isin(kinds)].groupby("m"):
        common = set.intersection(*(set(at_width[at_width.scheme == kind].L) for kind in kinds))
        if len(common) < 2:
            continue
        log = at_width.set_index(["seed", "scheme", "L"]).log.unstack(["scheme", "L"])
        change = {kind: log[kind][max(common)] - log[kind][min(common)] for kind in kinds}
        found.append(pd.DataFrame(change).dropna().assign(m=m))
    if not found:
        return pd.DataFrame(columns=list(kinds), dtype=float)
    return pd.concat(found).groupby(level=0)[list(kinds)].mean()


def cells(
    seeds: Sequence[int],
    *,
    n: int,
    epochs: int,
    residual_epochs: int,
    long: int,
    settle: Sequence[tuple[int, int]],
    widths: Sequence[int],
    depths: Sequence[int],
    residual_widths: Sequence[int],
    residual_depths: Sequence[int],
    lazy: tuple[int, int],
    starts: Sequence[float],
    batch: int,
    long_batch: int,
) -> list[Cell]:
    """Everything that the page trains.

    Args:
        seeds: of the networks.
        n: training images.
        epochs: passes over them, of fully connected and convolutional networks.
        residual_epochs: passes of the residual networks.
        long: passes of the networks of figure 6.
        settle: their (width, depth).
        widths: of figure 7, fully connected and convolutional.
        depths: of figure 7.
        residual_widths: of figure 8.
        residual_depths: of figure 8.
        lazy: width and depth of the residual network of table 4.
        starts: its small starts, beside that of He.
        batch: images of a mini-batch.
        long_batch: the same of the networks of figure 6.

    Raises:
        ValueError: if the networks of figure 6 are not trained for longer than the others; they would be the same.
    """
    if long <= max(epochs, residual_epochs):
        raise ValueError(f"long={long}: allowed is more than the {max(epochs, residual_epochs)} epochs of the others")
    made = [
        Cell("fcn", L, m, n, long, tuple(seeds), schedule, batch=long_batch)
        for m, L in settle
        for schedule in ("halving", "constant")
    ]
    made += [
        Cell(kind, L, m, n, epochs, tuple(seeds), batch=batch)
        for kind in ("fcn", "cnn")
        for m in widths
        for L in depths
    ]
    residual = {(m, L, 1.0) for m in residual_widths for L in residual_depths}
    residual |= {(*lazy, start) for start in (1.0, *starts)}
    made += [
        Cell("resnet", L, m, n, residual_epochs, tuple(seeds), "drops", start, batch=batch)
        for m, L, start in sorted(residual, key=lambda r: (-r[2], r[0], r[1]))
    ]
    return made


def multiplications(network: nn.Module, in_shape: Sequence[int]) -> int:
    """Multiplications of the convolutions and linear layers among a network's modules, for one input.

    A training takes six operations for each: one multiplication and one addition forward, and twice that backward.
    """
    found = 0

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal found
        found += int(module.weight.numel() * output[0].numel() // module.weight.shape[0])  # type: ignore[operator, index, union-attr]

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad(), frozen(network):
        network(torch.zeros(1, *in_shape))
    for hook in hooks:
        hook.remove()
    return found


def jacobians(network: nn.Module, x: Tensor) -> Tensor:
    """The Jacobian at each input, ``(n, o, d)``, in eval mode."""
    with frozen(network):
        each = torch.func.vmap(torch.func.jacrev(lambda one: network(one[None])[0]))(x)
    return each.flatten(2)


def replay(
    kind: str, L: int, m: int, n: int, seed: int, norm: float, dataset: str, block: int, batch: int, epochs: int = 1
) -> dict[str, float]:
    """The first epoch of one network: what a record stores to be run again."""
    train, test = (averaged(data_sets.load(dataset, split), block) for split in ("train", "test"))
    cell = Cell(kind, L, m, n, epochs, (seed,), norm=norm, batch=batch)
    table = measured(cell, train, test.take(min(TEST, len(test)), seed=0))
    names = ("stability", "kappa", "loss", "output")
    return {f"{name} {e}": float(table[table.epoch == e][name].iloc[0]) for name in names for e in (0, epochs)}
