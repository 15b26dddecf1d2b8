r"""How far training moves the weights of two-layer networks, by width and first weights (Zhu et al. 2022, section 5.2).

Two experiments. The *plane* (theorem 2): one output, labels of plus or minus 1 for two classes, full-batch gradient
descent on the squared loss down to the risk of assumption 2, from standard deviations ``m^-c`` in both layers or from a
named scheme. The *curves* (figures 2 and 3): all classes, cross-entropy, SGD with mini-batches, measured after every
epoch.
"""

# ruff: noqa: N806 - Q is the usual name of an orthonormal basis

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from advsmooth import data as data_sets
from advsmooth import records, settings, sweep
from advsmooth.analysis import laziness, width_and_depth
from advsmooth.data import Dataset
from advsmooth.models import fcn
from advsmooth.places import CACHE
from advsmooth.theory import leaving_lazy
from advsmooth.training import full_batch, runs
from advsmooth.training.loop import Measure
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Drops

FOLDER = CACHE / "movement"
SCHEMES = ("he", "lecun", "ntk")
LABEL = 1.0
"""``C`` of assumption 2: the labels are plus and minus 1."""

DROP = (0.5, 0.1)
"""Fraction of the epochs after which the learning rate falls, and the factor; both lost in the text, our choice."""


def level(n: int) -> float:
    """The risk of assumption 2, ``C^2 / (8n)``: then every one of ``n`` outputs is within ``C/2`` of its label."""
    return LABEL**2 / (8 * n)


def two_classes(images: Dataset, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``n`` images of the first two classes, flat and of norm 1, and labels of plus and minus 1; float64."""
    chosen = images.y < 2
    x, y = images.x[chosen].flatten(1).double(), 1 - 2.0 * images.y[chosen].double()
    some = torch.randperm(len(y), generator=settings.generator(seed))[:n]
    return functional.normalize(x[some], dim=1), y[some]


def plane(
    x: Tensor,
    y: Tensor,
    widths: Sequence[int],
    exponents: Sequence[float],
    seeds: Sequence[int],
    *,
    schemes: Sequence[str] = SCHEMES,
    wide: Sequence[int] = (),
) -> pd.DataFrame:
    """Relative movement of both layers at the end of training, and the bound of theorem 2.

    A seed has the same standard normal numbers for every start, only scaled. The first layer is trained in the span of
    the points, outside of which it never moves; its norm is that of the whole layer.

    Args:
        x: points ``(n, d)`` of norm at most 1.
        y: labels ``(n,)``.
        widths: ``m``.
        exponents: ``c`` of the starts ``m^-c``, with output scale 1.
        seeds: of the first weights.
        schemes: further starts by name.
        wide: further widths for these.

    Returns:
        One row a network: ``start``, ``c`` (NaN for a scheme), ``m``, ``d``, ``n``, ``seed`` and the columns of
        :func:`against_bound`.
    """
    n, d = x.shape
    Q = full_batch.span(x)
    powers = {f"m^-{c:g}": float(c) for c in exponents} | dict.fromkeys(schemes, math.nan)
    tables = []
    for m in sorted({*widths, *wide}):
        names = [name for name in powers if m in widths or name in schemes]
        inits = [
            fcn.SCHEMES[name](d, m, 1) if name in schemes else fcn.Initialisation(*[float(m) ** -powers[name]] * 3)
            for name in names
        ]
        deviations = [(init.beta_1, init.beta_L) for init in inits]
        betas = torch.tensor(deviations, dtype=torch.float64).repeat_interleave(len(seeds), 0)
        first, squares, last = [], [], []
        for seed in seeds:
            W, a = fcn.draw_weights(d, m, 1, 2, fcn.Initialisation(1.0, 0.0, 1.0), seed, dtype=torch.float64)
            first.append(W @ Q)
            last.append(a)
            squares.append(torch.stack([W.square().sum(), a.square().sum()]))
        starts = len(names)
        N = betas**2 * torch.stack(squares).repeat(starts, 1)
        begin = [
            betas[:, layer, None, None] * torch.stack(w).repeat(starts, 1, 1) for layer, w in enumerate((first, last))
        ]
        rows = against_bound(begin, x @ Q, y, risk=level(n), squares=N)
        tables.append(rows.assign(m=m, d=d, n=n, start=np.repeat(names, len(seeds)), seed=list(seeds) * starts))
    found = pd.concat(tables, ignore_index=True)
    found.insert(0, "c", found.start.map(powers))
    return found


def against_bound(
    weights: Sequence[Tensor], x: Tensor, y: Tensor, *, risk: float, squares: Tensor | None = None, **how: float
) -> pd.DataFrame:
    """Train stacked networks and hold the movement of each layer against theorem 2.

    Args:
        weights: first weights ``(k, rows, columns)`` of each of ``L`` layers.
        x: points ``(n, d)`` of norm at most 1.
        y: labels ``(n,)``.
        risk: at which training stops.
        squares: ``|W_l(0)|_F^2`` ``(k, L)`` if ``weights`` show a part of the layers only.
        how: more arguments of :func:`advsmooth.training.full_batch.fit`.

    Returns:
        One row a network: ``movement_l``, ``sure_l`` (the bound from an output of C/2), ``bound_l`` (from the largest
        output); ``smallest`` and ``largest`` output in absolute value; ``drift``, how far the growths of the squared
        norms differ, and ``explained``, the same from the steps and gradients; ``descent``, ``loss`` and ``steps``.
    """
    end = full_batch.fit(weights, x, y, level=risk, **how)  # type: ignore[arg-type]
    pairs = list(zip(weights, end.weights, strict=True))
    start = torch.stack([w.square().sum((1, 2)) for w in weights], 1)
    N = start if squares is None else squares
    moved = torch.stack([(v - w).square().sum((1, 2)) for w, v in pairs], 1).sqrt()
    grown = torch.stack([(v.square() - w.square()).sum((1, 2)) for w, v in pairs], 1)
    drift, explained = ((t.max(1).values - t.min(1).values) for t in (grown, end.explained))
    outputs, alpha = end.outputs.abs(), float(how.get("alpha", 1.0))
    sure = leaving_lazy.least_movement(N, alpha * LABEL / 2, drift)
    bound = leaving_lazy.least_movement(N, alpha * outputs.max(1).values, drift)
    columns: dict[str, Tensor] = {}
    for layer in range(N.shape[1]):
        columns |= {
            f"movement_{layer + 1}": moved[:, layer] / N[:, layer].sqrt(),
            f"sure_{layer + 1}": sure[:, layer],
            f"bound_{layer + 1}": bound[:, layer],
        }
    columns |= {"smallest": outputs.min(1).values, "largest": outputs.max(1).values, "drift": drift}
    columns |= {"explained": explained, "descent": end.descent, "loss": end.risk, "steps": end.steps}
    return pd.DataFrame({name: values.numpy() for name, values in columns.items()})


@dataclass(frozen=True)
class Start(width_and_depth.Cell):
    """A cell of two-layer networks whose start is a named scheme, or deviations ``m^-c`` for scheme ``m^-c``."""

    def initialisation(self, d: int, o: int) -> fcn.Initialisation:
        """The standard deviations of the first weights."""
        if self.scheme.startswith("m^-"):
            deviation = float(self.m) ** -float(self.scheme[3:])
            return fcn.Initialisation(deviation, deviation, deviation)
        return fcn.initialisation(self.scheme, d, self.m, o)


def curves(
    cells: Iterable[Start], train: Dataset, *, slower: float = 1.0, folder: Path | None = FOLDER
) -> pd.DataFrame:
    """Movement in training after every epoch; cells from the cache if they are there (:func:`advsmooth.sweep.run`).

    Args:
        cells: what to train, with the rate of :class:`~advsmooth.analysis.width_and_depth.Cell` and one drop of it.
        train: at least ``n`` images of each cell; they are drawn from it with seed 0.
        slower: divides the learning rates.
        folder: of the cache; ``None`` for none.

    Returns:
        One row for each seed and epoch, 0 for the start: ``start``, ``m``, ``n``, ``seed``, ``epoch``; ``movement_1``
        and ``movement_2`` of the layers, ``kappa`` (mean of the ratios), ``kappa_ratio`` (ratio of the sums); ``loss``
        and ``accuracy`` (means over the mini-batches of the epoch).
    """
    return sweep.run(
        measured,
        [{"cell": cell, "slower": slower} for cell in cells],
        data={"train": train},
        folder=folder,
        gpus=float(train.x.is_cuda),
    ).drop(columns="slower")


MEASURED = ("movement_1", "movement_2", "kappa", "kappa_ratio")
"""Columns that are measured of the weights."""


def measured(cell: Start, train: Dataset, slower: float) -> pd.DataFrame:
    """The rows of one cell of :func:`curves`."""
    return records.as_written(_trained(cell, train, slower), digits=5)


def _trained(cell: Start, train: Dataset, slower: float) -> pd.DataFrame:
    images = width_and_depth.normalised(train.take(cell.n, seed=0), cell.norm)
    d, o = images.x.shape[1], len(images.class_names)
    at, factor = DROP
    recipe = Recipe(
        epochs=cell.epochs,
        batch=min(cell.batch, cell.n),
        rate=Drops(cell.rate(d, o) / slower, (at,), factor),
        optimisers=(Optimiser(torch.optim.SGD, {"momentum": width_and_depth.MOMENTUM, "weight_decay": 0.0}),),
    )
    arguments = {"m": cell.m, "L": cell.L, "scheme": cell.initialisation(d, o)}
    planned = [runs.Run("fcn", arguments, images, recipe, seed) for seed in cell.seeds]
    sizes: dict[int, list[float]] = {}

    def of_layer(layer: int) -> Callable[[nn.Module], Measure]:
        def of_model(model: nn.Module) -> Measure:
            start = laziness.weights(model)
            sizes[id(model)] = [float(size) for size in laziness.layer_norms(start, start)[1].values()]
            name = list(start)[layer]
            first = {name: start[name]}  # one layer: comparing costs as much as a step of training does
            return lambda now: float(laziness.relative_movement(first, dict(now.named_parameters()))[name])

        return of_model

    measures = {f"movement_{layer + 1}": of_layer(layer) for layer in range(cell.L)}
    results = runs.trained_together(planned, measures=measures)
    rows = []
    for run, result in zip(planned, results, strict=True):
        zero = pd.DataFrame([dict.fromkeys(["epoch", *measures], 0.0)])
        taken = pd.concat([zero, result.epochs[["epoch", *measures, "loss", "accuracy"]]], ignore_index=True)
        moved, size = taken[list(measures)], np.array(sizes[id(result.model)])
        rows.append(taken.assign(seed=run.seed, kappa=moved.mean(axis=1), kappa_ratio=moved @ size / size.sum()))
    table = pd.concat(rows, ignore_index=True).astype({"epoch": int})
    table = table.assign(start=cell.scheme, m=cell.m, n=cell.n)
    return table[["start", "m", "n", "seed", "epoch", *MEASURED, "loss", "accuracy"]]


def slopes(table: pd.DataFrame, column: str) -> np.ndarray:
    """The slope of ``log column`` in ``log m`` by least squares, one a seed, in the order of the seeds."""
    return np.array([np.polyfit(np.log(t.m), np.log(t[column]), 1)[0] for _, t in table.groupby("seed")])


def straightness(table: pd.DataFrame, until: int) -> pd.DataFrame:
    """Is ``kappa`` linear in time? One row for each network of :func:`curves`.

    Args:
        table: rows of one or more networks.
        until: the last epoch before the drop of the learning rate.

    Returns:
        ``start``, ``m``, ``seed``; ``r2`` of a line through the epochs 0 to ``until``; ``before`` and ``after``, the
        slope over the five epochs before the drop, and after it, in kappa an epoch.
    """
    found = []
    for own, run in table.sort_values("epoch").groupby(["start", "m", "seed"], sort=False):
        kappa = run.set_index("epoch").kappa
        early = kappa[:until]
        r2 = float(np.corrcoef(early.index, early)[0, 1] ** 2)
        five = min(5, until, int(kappa.index.max()) - until)
        before, after = ((kappa[b] - kappa[a]) / (b - a) for a, b in ((until - five, until), (until, until + five)))
        found.append(dict(zip(("start", "m", "seed"), own, strict=True)) | {"r2": r2, "before": before, "after": after})
    return pd.DataFrame(found)


def replay(dataset: str, n: int, m: int, seed: int, norm: float, points: int) -> dict[str, float]:
    """Two epochs of a He network of the curves, and one network of the plane: what a record stores to be run again."""
    train = data_sets.load(dataset)
    table = curves([Start("he", 2, m, n, 2, (seed,), norm)], train, folder=None)
    again = {f"{name} {e}": float(table[table.epoch == e][name].iloc[0]) for name in MEASURED for e in (1, 2)}
    row = plane(*two_classes(train, points), [m], [1.0], [seed], schemes=()).iloc[0]
    return again | {f"plane {name}": float(row[name]) for name in ("movement_1", "movement_2", "bound_1")}


def he_shape(m: np.ndarray, d: int, layer: int) -> np.ndarray:
    """How the movement of one layer of a lazy He network goes with the width, up to a constant.

    ``sqrt(K_l) / (K_1 + K_2) / |W_l(0)|_F`` with the tangent kernels ``K_1 = 1`` and ``K_2 = m/d`` and the norms
    ``sqrt(2m)`` and ``sqrt(2)``.
    """
    kernels = {1: np.ones_like(m, dtype=float), 2: m / d}
    norm = {1: np.sqrt(2 * m), 2: np.sqrt(2.0)}
    return np.sqrt(kernels[layer]) / (1 + m / d) / norm[layer]
