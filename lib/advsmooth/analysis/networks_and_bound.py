r"""Trained networks of the sweep over width, depth and initialisation, held against theorem 1 of Zhu et al. 2022.

The rows are those of :mod:`advsmooth.analysis.width_and_depth`: one a network, with ``scheme``, ``L``, ``m``, ``n``,
``seed`` and ``log``, the logarithm of its perturbation stability.
"""

# ruff: noqa: N806 - L is the paper's own symbol

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import nn

from advsmooth.analysis import width_and_depth
from advsmooth.data import Dataset
from advsmooth.theory.lazy_bound import LazyBound
from advsmooth.training import runs
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Constant


def exponents(rows: pd.DataFrame, along: str) -> pd.Series:
    """By seed: the exponent of the width (``along="m"``) or of the depth (``"L"``), averaged over the curves."""
    if along == "m":
        return width_and_depth.slopes(rows, "m") / math.log(2)
    return width_and_depth.slopes(rows.assign(L=2 * np.log(rows.L)), "L")


def polynomial_or_exponential(rows: pd.DataFrame) -> pd.Series:
    """By seed: what ``e^(bL)`` leaves over, minus what ``L^b`` does, summed over the curves along the depth.

    Squared residuals of ``log``, each law with a constant of its own for each curve; positive where the power law is
    the better one. Curves of fewer than three depths say nothing and are left out.
    """
    found: dict[int, float] = {}
    for _, curve in rows.groupby(["seed", "scheme", "n", "m"]):
        own = int(curve.seed.iloc[0])
        if curve.L.nunique() >= 3:
            rest = {name: _rest(x, curve.log) for name, x in (("power", np.log(curve.L)), ("exponential", curve.L))}
            found[own] = found.get(own, 0.0) + rest["exponential"] - rest["power"]
    return pd.Series(found, dtype=float)


def _rest(x: pd.Series, y: pd.Series) -> float:
    line = np.polynomial.Polynomial.fit(x, y, 1)
    return float(((y - line(x)) ** 2).sum())


def beyond(rows: pd.DataFrame) -> pd.DataFrame:
    """The networks at least as wide as ``L^3``, where the bound no longer grows."""
    return rows[rows.m >= rows.L**3]


def worst_widths(rows: pd.DataFrame, *, draws: int, seed: int) -> pd.DataFrame:
    """The least stable width of each depth, with what 95 % of simulated curves say of it.

    Args:
        rows: of one initialisation; each depth needs three widths with two networks each.
        draws: simulated curves.
        seed: of the simulations.

    Returns:
        One row a depth ``L``: the width ``m`` of the best up-then-down fit, its interval ``low`` to ``high``, and
        ``narrowest``, the first width of the curve. A worst width at either end of the curve may lie beyond it.
    """
    found = []
    for L, shape in width_and_depth.shapes(rows, "m", draws=draws, seed=seed).items():
        curve = rows[rows["L"] == L].groupby("m").filter(lambda c: len(c) >= 2)
        widths = sorted({int(m) for m in curve.m})
        low, high = (widths[k] for k in shape.peak_interval)
        found.append({"L": L, "m": widths[shape.peak], "low": low, "high": high, "narrowest": widths[0]})
    return pd.DataFrame(found, columns=["L", "m", "low", "high", "narrowest"])


def against_bound(rows: pd.DataFrame, *, d: int, o: int, constant: float) -> pd.DataFrame:
    """Each cell: its stability (mean of the logarithm), and the bound over it.

    Args:
        rows: networks that count, of schemes with a name.
        d: inputs.
        o: outputs.
        constant: in front of the bound.

    Returns:
        One row a cell with ``stability``, ``ratio`` (the bound over it) and ``limit_ratio`` (it over the second term
        alone, which is what the bound becomes at infinite width).
    """
    found = []
    for _, cell in rows.groupby(["scheme", "L", "m"], sort=False):
        scheme, L, m = (cell[k].iloc[0] for k in ("scheme", "L", "m"))
        bound = LazyBound(width_and_depth.Cell(scheme, L, m, 1, 1, (0,)).initialisation(d, o), m, L)
        stability = math.exp(cell.log.mean())
        ratios = {"ratio": constant * bound.value / stability, "limit_ratio": stability / (constant * bound.initial)}
        found.append({"scheme": scheme, "L": L, "m": m, "stability": stability} | ratios)
    return pd.DataFrame(found, columns=["scheme", "L", "m", "stability", "ratio", "limit_ratio"])


def networks(cell: width_and_depth.Cell, train: Dataset) -> tuple[Dataset, list[nn.Module]]:
    """The trained networks of a cell of the sweep themselves, and the images they were trained on.

    The sweep keeps numbers only; for what it did not measure the networks are needed.
    """
    images = width_and_depth.normalised(train.take(cell.n, seed=0), cell.norm)
    d, o = images.x.shape[1], len(images.class_names)
    sgd = Optimiser(torch.optim.SGD, {"momentum": width_and_depth.MOMENTUM, "weight_decay": 0.0})
    recipe = Recipe(
        epochs=cell.epochs, batch=min(cell.batch, cell.n), rate=Constant(cell.rate(d, o)), optimisers=(sgd,)
    )
    arguments = {"m": cell.m, "L": cell.L, "scheme": cell.initialisation(d, o)}
    planned = [runs.Run("fcn", arguments, images, recipe, seed) for seed in cell.seeds]
    return images, [result.model for result in runs.trained_together(planned)]
