"""Flat, or well trained? The adversarial loss around trained networks (Kanai et al., figure 7 and appendix F.1).

A *study* is a tidy table, one number a row: ``method, seed, quantity, index, at, value``. Of one network:

====================  ===============================================================================================
``train``, ``test``   adversarial loss at the offset ``at`` along filter-normalised direction ``index``, examples found
                      anew at every offset; direction 0 to ... share the offset 0
``accuracy``          robust accuracy on the training images at the best epoch (``at`` 0) and the last one (1)
``loss``              adversarial loss there, likewise
``epoch loss``        adversarial training loss after epoch ``at``
``epoch rise``        its rise to the offsets plus and minus :data:`REACH` along direction 0 after that epoch, mean
``constant``          loss of a constant classifier, once
``majority``          share of the most frequent class among the training images
``frozen``            as ``train`` along direction 0, with the adversarial examples of offset 0
``re-estimated``      as ``train``, with batch-norm statistics estimated anew at every offset
``gradient``          norm of the gradient of the training loss with frozen examples; ``top``, ``residual``, ``length``:
                      the Hessian eigenvalue of largest size, its residual, the norm of the parameters
``sharpness``         largest rise found in the ball of radius ``at``, frozen examples; ``sharpness anew``: found anew
====================  ===============================================================================================

The *rise* of a curve is half the sum of its values at plus and minus :data:`REACH` less its value at 0.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis import curvature, epsilon_sharpness, landscape
from advsmooth.analysis.connectivity import reestimate_batch_norm
from advsmooth.analysis.early_and_late import MARGIN, majority
from advsmooth.analysis.empirical import Attack, adversarial_examples, mean_loss, zero_one
from advsmooth.analysis.parameter_space import Point, flat, length, point, shifted, standing_at

COLUMNS = ["method", "seed", "quantity", "index", "at", "value"]
REACH = 0.5
"""Half the published range of offsets: where the rise is read off."""

State = Mapping[str, Tensor]

# --- one network ----------------------------------------------------------------------------------------------------


def rows(
    method: str, seed: int, quantity: str, values: Sequence[float], *, at: Sequence[float] = (0.0,), index: int = 0
) -> pd.DataFrame:
    """Rows of a study: one value for each ``at``."""
    found = [(method, seed, quantity, index, float(a), float(v)) for a, v in zip(at, values, strict=True)]
    return pd.DataFrame(found, columns=COLUMNS)


def directions(model: nn.Module, seed: int, n: int) -> list[Point]:
    """``n`` filter-normalised directions. Equal seeds draw equal Gaussians, whatever the weights of the network."""
    generator = settings.generator(seed, str(next(model.parameters()).device))
    return [landscape.random_direction(point(model), generator) for _ in range(n)]


def line(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    direction: Point,
    offsets: Sequence[float],
    *,
    attack: Attack | None = None,
    seed: int = 0,
) -> list[float]:
    """The mean loss at each offset along a direction; under an attack, of examples found anew at each."""
    return landscape.contour(model, x, y, [direction], [offsets], attack=attack, seed=seed)["loss"].tolist()


def with_statistics_anew(
    model: nn.Module, x: Tensor, y: Tensor, direction: Point, offsets: Sequence[float], *, attack: Attack, seed: int = 0
) -> list[float]:
    """As :func:`line`, with the statistics of the batch norms estimated anew at each offset.

    They are estimated on the adversarial examples of the unmoved network: in training they saw adversarial examples.
    """
    moved = adversarial_examples(model, attack, x, y, seed=seed)
    found = []
    for a in offsets:
        other = copy.deepcopy(model)
        with standing_at(other, shifted(point(other), (a, direction))):
            reestimate_batch_norm(other, moved)
            found.append(mean_loss(other, x, y, attack=attack, seed=seed))
    return found


def around(
    model: nn.Module,
    name: tuple[str, int],
    parts: Mapping[str, tuple[Tensor, Tensor]],
    attack: Attack,
    *,
    offsets: Sequence[float],
    n: int,
) -> pd.DataFrame:
    """Figure 7 of one network: the adversarial loss along ``n`` directions on each part of the data.

    Args:
        model: with the weights of the best epoch.
        name: method and seed; the seed draws the directions.
        parts: ``train`` and ``test``: inputs and labels.
        attack: recomputed at every offset.
        offsets: along the directions; 0 is computed once.
        n: directions.
    """
    found = []
    for part, (x, y) in parts.items():
        centre = mean_loss(model, x, y, attack=attack)
        away = [a for a in offsets if a != 0]
        for k, direction in enumerate(directions(model, name[1], n)):
            values = dict(zip(away, line(model, x, y, direction, away, attack=attack), strict=True)) | {0.0: centre}
            found.append(rows(*name, part, [values[a] for a in offsets], at=offsets, index=k))
    return pd.concat(found)


def history(
    model: nn.Module,
    name: tuple[str, int],
    kept: Sequence[State],
    best: State,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    epochs: Sequence[int],
) -> pd.DataFrame:
    """Loss and rise after some epochs, and loss and accuracy of the best and of the last; the model ends at the best.

    Args:
        model: the network.
        name: method and seed.
        kept: weights after each epoch.
        best: the selected weights.
        x: training inputs.
        y: labels.
        attack: recomputed at every offset.
        epochs: which, counted from 1.
    """
    found = [rows(*name, "majority", [majority(y)])]
    for epoch in epochs:
        model.load_state_dict(kept[epoch - 1])
        (direction,) = directions(model, name[1], 1)
        low, centre, high = line(model, x, y, direction, [-REACH, 0.0, REACH], attack=attack)
        found.append(rows(*name, "epoch loss", [centre], at=[epoch]))
        found.append(rows(*name, "epoch rise", [(low + high) / 2 - centre], at=[epoch]))
    for at, weights in ((1.0, kept[-1]), (0.0, best)):
        model.load_state_dict(weights)
        moved = adversarial_examples(model, attack, x, y)
        found.append(rows(*name, "loss", [mean_loss(model, moved, y)], at=[at]))
        found.append(rows(*name, "accuracy", [1 - mean_loss(model, moved, y, loss=zero_one)], at=[at]))
    return pd.concat(found)


def contrast(
    model: nn.Module, name: tuple[str, int], x: Tensor, y: Tensor, attack: Attack, offsets: Sequence[float]
) -> pd.DataFrame:
    """What the choices of the method do to one curve: examples frozen, and batch-norm statistics estimated anew."""
    (direction,) = directions(model, name[1], 1)
    moved = adversarial_examples(model, attack, x, y)
    still = line(model, moved, y, direction, offsets)
    anew = with_statistics_anew(model, x, y, direction, offsets, attack=attack)
    return pd.concat([rows(*name, "frozen", still, at=offsets), rows(*name, "re-estimated", anew, at=offsets)])


def second_order(
    model: nn.Module,
    name: tuple[str, int],
    x: Tensor,
    y: Tensor,
    attack: Attack,
    radii: Sequence[float],
    *,
    steps: int,
    tolerance: float = 1e-2,
) -> pd.DataFrame:
    """Definition 2 at one network: both sides, and the norm of the gradient that the right side leaves out.

    The largest rise is searched from the gradient and from the top eigenvector both ways.

    Args:
        model: the network.
        name: method and seed; the seed is also the solver's.
        x: inputs.
        y: labels.
        attack: makes the frozen examples; recomputed at every point for ``sharpness anew``.
        radii: absolute, in the norm of all parameters.
        steps: of each ascent.
        tolerance: of the eigenvalue's residual.
    """
    moved = adversarial_examples(model, attack, x, y)
    generator = settings.generator(name[1], str(x.device))
    hessian = curvature.model_hessian(model, moved, y)
    pairs = curvature.top_eigenpairs(hessian, 1, guard=1, tolerance=tolerance, generator=generator)
    slope = flat(landscape.gradient_direction(model, moved, y))
    v = pairs.vectors[0]
    found = [
        rows(*name, "gradient", [slope.double().norm().item()]),
        rows(*name, "top", [pairs.values[0].item()]),
        rows(*name, "residual", [pairs.residuals[0].item()]),
        rows(*name, "length", [length(point(model))]),
    ]
    for quantity, around_here in (
        ("sharpness", epsilon_sharpness.of_model(model, moved, y)),
        ("sharpness anew", epsilon_sharpness.of_model(model, x, y, attack=attack)),
    ):
        starts = [slope, v, -v] if quantity == "sharpness" else [slope]
        rises = [epsilon_sharpness.ascend(around_here, r, starts, steps=steps) for r in radii]
        found.append(rows(*name, quantity, rises, at=radii))
    return pd.concat(found)


# --- many networks --------------------------------------------------------------------------------------------------


def curves(study: pd.DataFrame, part: str) -> pd.DataFrame:
    """Curves of one part of the data: a column for each method, seed and direction, a row for each offset."""
    own = study[study["quantity"] == part]
    return own.pivot_table(index="at", columns=["method", "seed", "index"], values="value", sort=True)


def rise(curve: pd.DataFrame | pd.Series) -> Any:
    """The mean of the values at plus and minus :data:`REACH` less the value at 0.

    Raises:
        ValueError: if the curve has no such offsets.
    """
    if not {-REACH, 0.0, REACH} <= set(curve.index):
        raise ValueError(f"offsets {list(curve.index)[:3]} ...: a rise needs {-REACH}, 0 and {REACH}")
    return (curve.loc[-REACH] + curve.loc[REACH]) / 2 - curve.loc[0.0]


def networks(study: pd.DataFrame) -> pd.DataFrame:
    """One row for each method and seed: losses, rises (means over the directions), accuracies, whether it learned."""
    found: dict[str, pd.Series] = {}
    for part in ("train", "test"):
        wide = curves(study, part)
        found[f"{part} loss"] = pd.Series(wide.loc[0.0].groupby(["method", "seed"]).mean())
        found[f"{part} rise"] = rise(wide).groupby(["method", "seed"]).mean()
    for quantity in ("loss", "accuracy"):
        for at, when in ((0.0, "best"), (1.0, "last")):
            own = study[(study["quantity"] == quantity) & (study["at"] == at)]
            found[f"{when} {quantity}"] = own.set_index(["method", "seed"])["value"]
    table = pd.DataFrame(found)
    share = study[study["quantity"] == "majority"].set_index(["method", "seed"])["value"]
    table["learned"] = table["best accuracy"] > share.reindex(table.index) + MARGIN
    return table.reset_index()


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """The networks of those seeds at which every method learned: one that learned nothing is flat, and ends no race."""
    return table[table.groupby("seed")["learned"].transform("all")]


def gap(table: pd.DataFrame, column: str, more: str, less: str) -> np.ndarray:
    """A column of one method less that of another, seed by seed."""
    by_seed = table.pivot(index="seed", columns="method", values=column)
    return (by_seed[more] - by_seed[less]).to_numpy()


def grid_step(study: pd.DataFrame) -> pd.Series:
    """How much of the way to a constant classifier one step of the grid goes: the largest over the curves of a network.

    The rise from offset 0 to the first offset on either side, over the distance of the loss from the one number of the
    quantity ``constant``, the loss of a constant classifier; for each method and seed, on the training images.
    """
    level = float(study.loc[study["quantity"] == "constant", "value"].iloc[0])
    wide = curves(study, "train")
    nearest = wide.index[wide.index > 0].min()
    steps = np.maximum(wide.loc[nearest], wide.loc[-nearest]) - wide.loc[0.0]
    return (steps / (level - wide.loc[0.0])).groupby(["method", "seed"]).max()


def trajectories(study: pd.DataFrame) -> pd.DataFrame:
    """Loss and rise through training: columns ``method, seed, epoch, loss, rise``."""
    own = study[study["quantity"].isin(["epoch loss", "epoch rise"])]
    wide = own.pivot_table(index=["method", "seed", "at"], columns="quantity", values="value").reset_index()
    names = {"at": "epoch", "epoch loss": "loss", "epoch rise": "rise"}
    return wide.rename(columns=names).rename_axis(columns=None)


def gap_at_equal_loss(paths: pd.DataFrame, more: str, less: str) -> pd.Series:
    """The rise of one method less that of another where their training losses are equal, seed by seed.

    The level is the larger of the smallest losses that the two reach: the rise of the less trained one there, and that
    of the other when it passed there, between epochs by linear interpolation in the loss.
    """
    found = {}
    for seed, own in paths.groupby("seed"):
        first, second = (own[own["method"] == name].sort_values("loss") for name in (more, less))
        level = max(first["loss"].min(), second["loss"].min())
        one, two = (np.interp(level, path["loss"], path["rise"]) for path in (first, second))
        found[seed] = one - two
    return pd.Series(found)


def rank_correlation(paths: pd.DataFrame) -> pd.Series:
    """Spearman's correlation of loss and rise over all methods and epochs, for each seed."""
    return pd.Series({seed: own["loss"].corr(own["rise"], method="spearman") for seed, own in paths.groupby("seed")})


def ratios(study: pd.DataFrame, quantity: str = "sharpness") -> pd.DataFrame:
    """Equation 73 over equation 74 at trained networks: a row for each method, seed and radius, with the crossover.

    Columns ``method, seed, radius, ratio, crossover``; ``crossover`` is ``2 |g| / |lambda|``.
    """
    own = study[study["quantity"] == quantity].rename(columns={"at": "radius"})
    single = study.pivot_table(index=["method", "seed"], columns="quantity", values="value")
    own = own.join(single[["top", "gradient"]], on=["method", "seed"])
    approximate = own["top"].abs() * own["radius"] ** 2 / 2
    pairs = zip(own["gradient"], own["top"].abs(), strict=True)
    crossing = [epsilon_sharpness.crossover(slope, top) for slope, top in pairs]
    found = own.assign(ratio=own["value"] / approximate, crossover=crossing)
    return found[["method", "seed", "radius", "ratio", "crossover"]]


@torch.no_grad()
def parameters_moved(direction: Point) -> float:
    """The share of the parameters that a direction moves at all: biases and norm layers stay where they are."""
    return float(sum((d != 0).sum() for d in direction.values()) / sum(d.numel() for d in direction.values()))
