"""How sharp are the minima that adversarial training finds? (Liu et al., section 4.2 and appendix C.2.2.)

A *study* is a tidy table, one number a row: ``eps, seed, quantity, index, value``. What is measured of one network:

===================  ================================================================================================
``loss``             its adversarial loss on the subset, at the examples that are frozen below
``accuracy``         its robust accuracy there
``majority``         share of the most frequent class
``eigenvalue``       top eigenvalues of the Hessian with frozen examples, by magnitude; ``index`` is the rank, from 1
``residual``         their residuals
``converged``        1 if the solver met its tolerance
``rayleigh``         ``v . H v`` of the first eigenvector by differentiating twice backwards, an independent way
``gauss_newton``     top eigenvalue of the part of the Hessian that comes from the softmax
``sensitivity``      the same with all classes equally likely: how strongly the parameters move the logits
``unsureness``       mean of ``1 - sum_k p_k^2``
``second_frozen``    second difference of the loss along eigenvector ``index`` (1 or 2), examples frozen
``second_anew``      the same with examples found anew at each of the points
===================  ================================================================================================

With frozen examples the loss lies below the adversarial loss everywhere and touches it at the centre, so its second
differences are at most those of the adversarial loss, if the attack finds the maxima.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis import curvature, landscape
from advsmooth.analysis.curvature import Eigenpairs
from advsmooth.analysis.early_and_late import MARGIN, majority
from advsmooth.analysis.empirical import Attack, adversarial_examples, batches, mean_loss, zero_one
from advsmooth.analysis.parameter_space import point, unflat
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import cross_entropy

COLUMNS = ["eps", "seed", "quantity", "index", "value"]

# --- one network --------------------------------------------------------------------------------------------------


def rows(eps: float, seed: int, quantities: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of a study; a quantity is one number (index 0), or several with the index from 1, or a dict by index."""
    found: list[tuple[float, int, str, int, float]] = []
    for name, value in quantities.items():
        if not isinstance(value, Mapping):
            value = dict(enumerate(value, 1)) if np.ndim(value) else {0: value}
        found += [(eps, seed, name, int(index), float(number)) for index, number in value.items()]
    return pd.DataFrame(found, columns=COLUMNS)


def spectrum(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack | None,
    *,
    k: int,
    seed: int = 0,
    batch: int = 1024,
    linearised: bool = False,
) -> tuple[dict[str, Any], Eigenpairs, Tensor]:
    """Loss, accuracy and the top of the Hessian of the mean adversarial loss, with its controls (see the module).

    Args:
        model: maps ``(n, ...)`` to logits; eval mode is used throughout.
        x: inputs.
        y: labels.
        attack: makes the examples, once; ``None`` for the clean loss.
        k: number of eigenvalues.
        seed: of the attack and of the solver's starting vector.
        batch: examples at a time.
        linearised: see :func:`advsmooth.analysis.curvature.hessian`.

    Returns:
        The quantities by name, the eigenpairs, and the frozen examples.
    """
    moved = x if attack is None else adversarial_examples(model, attack, x, y, seed=seed, batch=batch)
    hessian = curvature.model_hessian(model, moved, y, batch=batch, linearised=linearised)
    device = str(x.device)
    pairs = curvature.top_eigenpairs(hessian, k, generator=settings.generator(seed, device))

    def top(operator: curvature.Operator) -> float:
        g = settings.generator(seed, device)
        found = curvature.top_eigenpairs(operator, 1, guard=1, tolerance=1e-2, generator=g)
        return float(found.values[0])

    with frozen(model), torch.no_grad():
        p = torch.cat([model(some).softmax(1) for some, _ in batches(moved, y, batch)]).double()
    quantities = {
        "loss": mean_loss(model, moved, y, batch=batch),
        "accuracy": 1 - mean_loss(model, moved, y, loss=zero_one, batch=batch),
        "majority": majority(y),
        "eigenvalue": pairs.values.tolist(),
        "residual": pairs.residuals.tolist(),
        "converged": float(pairs.converged),
        "rayleigh": rayleigh(model, moved, y, pairs.vectors[0], batch=batch),
        "gauss_newton": top(curvature.gauss_newton(model, moved, batch=batch)),
        "sensitivity": top(curvature.gauss_newton(model, moved, undecided=True, batch=batch)),
        "unsureness": float(1 - p.square().sum(1).mean()),
    }
    return quantities, pairs, moved


def rayleigh(model: nn.Module, x: Tensor, y: Tensor, vector: Tensor, *, batch: int = 1024) -> float:
    """``v . H v`` of the mean loss by two backward passes (not the forward-over-reverse of the operators)."""
    parameters, result = list(model.parameters()), 0.0
    direction = [part.to(p) for part, p in zip(unflat(vector, point(model)).values(), parameters, strict=True)]
    flags = [p.requires_grad for p in parameters]
    training = {module: module.training for module in model.modules()}
    try:
        model.eval()
        for p in parameters:
            p.requires_grad_(True)
        for some, labels in batches(x, y, batch):
            loss = cross_entropy(model(some), labels).sum() / len(x)
            slope = torch.autograd.grad(loss, parameters, create_graph=True)
            along = torch.stack([(g * v).sum() for g, v in zip(slope, direction, strict=True)]).sum()
            second = torch.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True)
            result += sum(float((g * v).sum()) for g, v in zip(second, direction, strict=True))
    finally:
        for module, flag in training.items():
            module.training = flag
        for p, flag in zip(parameters, flags, strict=True):
            p.requires_grad_(flag)
    return result


def even_parts(
    model: nn.Module,
    vector: Tensor,
    x: Tensor,
    y: Tensor,
    moved: Tensor,
    attack: Attack | None,
    *,
    offsets: Sequence[float],
    seed: int = 0,
) -> dict[str, list[float]]:
    """The even part of the loss along a direction: ``(L(a v) + L(-a v)) / 2 - L(0)`` at the offsets ``a``.

    Twice the even part over ``a^2`` is the second difference with spacing ``a``. Where the loss has two derivatives it
    tends to ``v . H v``; a kink at the centre adds a term that grows like ``1 / a``.

    Args:
        model: at the centre; left as found.
        vector: ``v``, flat.
        x: inputs.
        y: labels.
        moved: the frozen adversarial examples.
        attack: finds the examples anew at each point; with ``None`` there is nothing to find.
        offsets: positive.
        seed: of the attack, the one that made the frozen examples: so both losses agree at the centre.

    Returns:
        By ``frozen`` and ``anew`` the even parts in the order of the offsets.
    """
    line = [unflat(vector, point(model))]
    grid = [[sign * a for a in offsets for sign in (-1, 1)]]
    centre = mean_loss(model, moved, y)

    def even(inputs: Tensor, attacked: Attack | None) -> list[float]:
        loss = landscape.contour(model, inputs, y, line, grid, attack=attacked, seed=seed)["loss"].to_numpy()
        return (loss.reshape(-1, 2).mean(1) - centre).tolist()

    frozen_part = even(moved, None)
    return {"frozen": frozen_part, "anew": frozen_part if attack is None else even(x, attack)}


def second_differences(
    model: nn.Module,
    pairs: Eigenpairs,
    x: Tensor,
    y: Tensor,
    moved: Tensor,
    attack: Attack | None,
    *,
    spacing: float,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Second differences at the centre along the first two eigenvectors: ``second_frozen`` and ``second_anew``."""
    found: dict[str, list[float]] = {"second_frozen": [], "second_anew": []}
    for vector in pairs.vectors[:2]:
        parts = even_parts(model, vector, x, y, moved, attack, offsets=[spacing], seed=seed)
        for name, values in parts.items():
            found[f"second_{name}"].append(2 * values[0] / spacing**2)
    return found


def surface(
    model: nn.Module,
    pairs: Eigenpairs,
    x: Tensor,
    y: Tensor,
    *,
    reach: float,
    points: int,
    attack: Attack | None = None,
    seed: int = 0,
) -> list[float]:
    """The loss on a square along the first two eigenvectors, ``points**2`` values, the second direction fastest."""
    at = point(model)
    plane = [unflat(vector, at) for vector in pairs.vectors[:2]]
    grid = [landscape.offsets(reach, points)] * 2
    return landscape.contour(model, x, y, plane, grid, attack=attack, seed=seed)["loss"].tolist()


# --- training losses ------------------------------------------------------------------------------------------------


def running(loss: Sequence[float], window: int) -> np.ndarray:
    """Means over ``window`` consecutive mini-batches; the first one ends at mini-batch ``window``.

    Raises:
        ValueError: for a window longer than the training.
    """
    if not 1 <= window <= len(loss):
        raise ValueError(f"window={window!r}: allowed is 1 to {len(loss)}, the number of mini-batches")
    return np.convolve(np.asarray(loss, dtype=np.float64), np.full(window, 1 / window), mode="valid")


def first_at(loss: Sequence[float], level: float, window: int) -> int | None:
    """The mini-batch in the middle of the first window whose mean is at most ``level``; ``None`` if there is none."""
    reached = np.flatnonzero(running(loss, window) <= level)
    return int(reached[0]) + (window + 1) // 2 if len(reached) else None


def curve(loss: Sequence[float], window: int, points: int) -> dict[str, Any]:
    """Quantities of a training curve: ``curve`` (the running mean at some steps), its range, largest and last value.

    At the start the mean is over fewer mini-batches, so that the curve begins with the loss at random parameters.
    """
    start = np.cumsum(loss[: window - 1]) / np.arange(1, window)
    means = np.concatenate([start, running(loss, window)])
    chosen = np.unique(np.geomspace(1, len(means), points).round().astype(int))
    return {
        "curve": {int(step): float(means[step - 1]) for step in chosen},
        "curve_range": float(np.ptp(means)),
        "curve_largest": float(means.max()),
        "curve_last": float(means[-1]),
    }


# --- many networks ----------------------------------------------------------------------------------------------------


def networks(study: pd.DataFrame) -> pd.DataFrame:
    """One row a network: its single quantities, and what the paper plots, before and after normalisation.

    ``top`` and ``sum`` are the first eigenvalue and the sum of those measured, ``top_normalised`` and
    ``sum_normalised`` the same over ``scale``, the mean loss at random parameters at that budget; ``learned`` says
    whether the network is better than a constant (:data:`~advsmooth.analysis.early_and_late.MARGIN`).
    """
    own = study[~study["quantity"].str.startswith("scale")]
    single = own[own["index"] == 0].pivot_table(index=["eps", "seed"], columns="quantity", values="value")
    values = own[own["quantity"] == "eigenvalue"].groupby(["eps", "seed"])["value"]
    table = single.assign(top=values.first(), sum=values.sum())
    for name in ("second_frozen", "second_anew"):
        for index in (1, 2):
            chosen = own[(own["quantity"] == name) & (own["index"] == index)]
            table[f"{name}_{index}"] = chosen.set_index(["eps", "seed"])["value"]
    table["scale"] = study[study["quantity"] == "scale"].groupby("eps")["value"].mean().reindex(table.index, level=0)
    for name in ("top", "sum"):
        table[f"{name}_normalised"] = table[name] / table["scale"]
    table["learned"] = table["accuracy"] > table["majority"] + MARGIN
    return table.reset_index()


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """The networks of those budgets at which every seed learned: a budget that only some survive would be a choice."""
    return table[table.groupby("eps")["learned"].transform("all")]


def slopes(table: pd.DataFrame, name: str) -> pd.Series:
    """For each seed the least-squares slope of ``log10`` of a column against the budget.

    Raises:
        ValueError: for fewer than two budgets, or a value that is not positive.
    """
    if table["eps"].nunique() < 2 or not (table[name] > 0).all():
        raise ValueError(f"{name}: a slope needs at least two budgets and positive values")
    return pd.Series({s: np.polyfit(t["eps"], np.log10(t[name]), 1)[0] for s, t in table.groupby("seed")})


def gains(table: pd.DataFrame, name: str) -> pd.Series:
    """For each seed the ratio of a column at its largest budget to that at its smallest, as ``log10``."""
    ordered = table.sort_values("eps").groupby("seed")[name]
    return pd.Series(np.log10(ordered.last() / ordered.first()))


def against_smallest(table: pd.DataFrame, name: str, other: str | None = None) -> pd.DataFrame:
    """A column relative to its value at the smallest budget, seed by seed: rows are seeds, columns budgets.

    With ``other`` it is that column at the smallest budget which is divided by ``name`` there.
    """
    base = table[table["eps"] == table["eps"].min()].set_index("seed")
    if other is not None:
        return (base[other] / base[name]).to_frame()
    return table.pivot(index="seed", columns="eps", values=name).div(base[name], axis=0)


def of_seed(study: pd.DataFrame, quantity: str, eps: float, seed: int) -> np.ndarray:
    """The values of one quantity of one network, in the order of their index."""
    chosen = study[(study["quantity"] == quantity) & (study["eps"] == eps) & (study["seed"] == seed)]
    return chosen.sort_values("index")["value"].to_numpy()


def overview(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds of each budget, as texts of three digits, and how many networks learned."""
    shown = {
        "robust accuracy": "accuracy",
        "loss": "loss",
        "top eigenvalue": "top",
        "its softmax part": "gauss_newton",
        "sum of the top": "sum",
        "unsureness": "unsureness",
        "sensitivity": "sensitivity",
    }
    by_budget = table.groupby("eps")
    found = {words: by_budget[name].mean().map(lambda v: f"{v:.3g}") for words, name in shown.items()}
    learned = by_budget["learned"].agg(lambda each: f"{int(each.sum())} of {len(each)}")
    return pd.DataFrame({"learned": learned, **found}).rename_axis("budget")


def share_at_first(means: pd.Series) -> float:
    """How much of the rise from the smallest budget to the largest is there at the second smallest.

    Args:
        means: the mean loss by budget, in rising order.
    """
    return float((means.iloc[1] - means.iloc[0]) / (means.iloc[-1] - means.iloc[0]))
