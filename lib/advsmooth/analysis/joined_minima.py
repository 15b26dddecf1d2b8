"""Are two minima of the adversarial loss joined by a path of low loss? Figure 15 of Liu et al., with its controls.

The curves are those of :mod:`advsmooth.analysis.connectivity`. Here are the two networks of a pair, measured along a
trained curve and along the straight line; a pair that is one network twice, its hidden units permuted; and the room a
barrier has. The last layer of a network can be scaled down to zero and another one scaled up from there: along this
path the adversarial loss is convex on both legs, so it stays below the larger of its ends and ``log K``, the loss of
the constant classifier over ``K`` classes. No barrier between two networks need be higher than :func:`room`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth import data
from advsmooth.analysis import connectivity
from advsmooth.analysis.connectivity import Curve, CurveFit
from advsmooth.analysis.empirical import Attack
from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset
from advsmooth.models import registry


def permuted(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """The same function by other parameters: the hidden units of every layer in another order.

    Args:
        model: a chain of fully connected and convolutional layers, in the order they are registered, with nothing
            between them but what treats all units or channels alike (ReLU, pooling, flattening by channel).
        generator: of the order.

    Raises:
        ValueError: for fewer than two such layers, other parameters, or widths that do not fit as a chain.
    """
    model = copy.deepcopy(model)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    theirs = sum(p.numel() for layer in layers for p in layer.parameters())
    if len(layers) < 2 or theirs != sum(p.numel() for p in model.parameters()):
        raise ValueError(f"{type(model).__name__}: allowed is a chain of at least 2 Linear or Conv2d layers, no more")
    before: Tensor | None = None
    with torch.no_grad():
        for number, layer in enumerate(layers):
            weight = layer.weight
            if before is not None:
                each, left = divmod(weight.shape[1], len(before))  # inputs of each unit; several after flattening
                if left or each == 0:
                    raise ValueError(f"{weight.shape[1]} inputs behind {len(before)} units: not a chain of layers")
                inputs = (before[:, None] * each + torch.arange(each)).flatten()
                weight.copy_(weight[:, inputs])
            if number < len(layers) - 1:
                before = torch.randperm(weight.shape[0], generator=generator)
                weight.copy_(weight[before])
                if layer.bias is not None:
                    layer.bias.copy_(layer.bias[before])
    return model


def backwards(curve: Curve) -> Curve:
    """The same curve from its other end: ``t`` becomes ``1 - t``."""
    return Curve(curve.model, curve.controls[::-1])


def room(classes: int, *ends: float) -> float:
    """``max(log K - end, 0)`` for the larger end: a barrier of this height can always be had (see the module)."""
    return max(math.log(classes) - max(ends), 0.0)


def over_the_constant(first: nn.Module, last: nn.Module, share: float, layer: str) -> nn.Module:
    """A place on the path over the constant classifier, from ``first`` (share -1) to ``last`` (share 1).

    Args:
        first: where the path begins.
        last: where it ends.
        share: up to 0 the first network, its last layer times ``-share``; beyond, the last one, times ``share``.
        layer: name of the last layer, such as ``fc2``.
    """
    model = copy.deepcopy(first if share <= 0 else last)
    with torch.no_grad():
        for parameter in model.get_submodule(layer).parameters():
            parameter.mul_(abs(share))
    return model


def measure(
    curve: Curve,
    places: int,
    *,
    attack: Attack | None,
    train: Dataset,
    test: Dataset,
    seed: int,
    clean: bool = True,
) -> pd.DataFrame:
    """Training and test loss and error along a curve.

    Args:
        curve: of :func:`advsmooth.analysis.connectivity.fit`.
        places: number of ``t``, evenly spread, ends included.
        attack: of the adversarial loss; none for vanilla training.
        train: training images.
        test: test images.
        seed: of the attack.
        clean: whether to measure the clean loss and error as well.

    Returns:
        One row per place: ``t``, ``train_loss``, ``train_error``, ``test_loss``, ``test_error``, under the attack, and
        the same behind ``clean_`` without it.
    """
    spots = [i / (places - 1) for i in range(places)]
    found = pd.DataFrame({"t": spots})
    for prefix, own in (("", attack), *((("clean_", None),) if clean else ())):
        for name, images in (("train", train), ("test", test)):
            table = connectivity.losses_along(
                curve, spots, statistics=train.x, x=images.x, y=images.y, attack=own, seed=seed
            )
            found[f"{prefix}{name}_loss"], found[f"{prefix}{name}_error"] = table["loss"], table["error"]
    if not clean:
        found["clean_train_loss"] = math.nan
    return found


def barrier(table: pd.DataFrame, column: str = "train_loss") -> float:
    """:func:`advsmooth.analysis.connectivity.barrier` of one loss of :func:`measure`."""
    return connectivity.barrier(table[["t", column]].rename(columns={column: "loss"}))


def pairs_of(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Disjoint pairs if there are six seeds or more, else each with the next, the last with the first."""
    if len(seeds) >= 6:
        return list(zip(seeds[0 : len(seeds) // 2 * 2 : 2], seeds[1::2], strict=True))
    return [(seed, seeds[(k + 1) % len(seeds)]) for k, seed in enumerate(seeds)]


def study(
    first: nn.Module,
    last: nn.Module,
    efforts: Sequence[CurveFit],
    *,
    fitted: Dataset,
    fit_attack: Attack | None,
    attack: Attack | None,
    train: Dataset,
    test: Dataset,
    places: int,
    seed: int,
    clean: bool = True,
) -> pd.DataFrame:
    """The straight line between two networks and curves of several efforts, measured.

    Args:
        first: network at ``t = 0``.
        last: network at ``t = 1``.
        efforts: how to train a curve, shortest first; every curve starts anew on the straight line.
        fitted: images it is trained on.
        fit_attack: for the adversarial loss meanwhile; none for vanilla training.
        attack: for the measurement.
        train: training images to measure on.
        test: test images to measure on.
        places: see :func:`measure`.
        seed: of fit and attacks.
        clean: see :func:`measure`.

    Returns:
        The rows of :func:`measure` for each path: ``path`` is ``line`` or ``curve``, ``epochs`` 0 for the line.
    """
    parts = []
    for how in (CurveFit(order=1, epochs=0), *efforts):
        curve = connectivity.fit(first, last, fitted.x, fitted.y, how, attack=fit_attack, seed=seed)
        table = measure(curve, places, attack=attack, train=train, test=test, seed=seed, clean=clean)
        parts.append(table.assign(path="line" if how.order == 1 else "curve", epochs=how.epochs))
    return pd.concat(parts, ignore_index=True)


def barriers(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each path of a table of :func:`study` with the columns ``eps``, ``kind`` and ``pair``.

    Returns:
        ``eps, kind, pair, path, epochs``; ``end`` (the larger adversarial training loss of the two ends), ``barrier``
        (of that loss), ``clean_barrier`` where it was measured, ``error`` (the largest adversarial test error on the
        path above the larger of its ends, not below 0).
    """
    rows = []
    for key, part in table.groupby(["eps", "kind", "pair", "path", "epochs"]):
        ends = part[part["t"].isin([0.0, 1.0])]
        found = {
            "end": ends["train_loss"].max(),
            "barrier": barrier(part),
            "clean_barrier": barrier(part, "clean_train_loss") if part["clean_train_loss"].notna().all() else math.nan,
            "error": part["test_error"].max() - ends["test_error"].max(),
        }
        rows.append(dict(zip(("eps", "kind", "pair", "path", "epochs"), key, strict=True)) | found)
    return pd.DataFrame(rows)


def by_pair(heights: pd.DataFrame) -> pd.DataFrame:
    """The barriers of each pair at the smallest and at the largest budget.

    Args:
        heights: of :func:`barriers`. The largest budget is the largest that any independent pair has.

    Returns:
        A row per pair that both budgets have: ``low``, ``high`` (curve trained longest), ``low_short``, ``high_short``
        (shortest), ``low_end`` (loss of the worse end, smallest budget), ``line`` (straight line, largest budget);
        where they were measured, NaN elsewhere: ``permuted``, ``permuted_line`` (network and its permuted copy, at the
        largest budget). No rows without two budgets.
    """
    own = heights[heights["kind"] == "independent"]
    if own["eps"].nunique() < 2:
        return pd.DataFrame()
    curves = own[own["path"] == "curve"]
    least, most = own["eps"].min(), own["eps"].max()
    copies = heights[(heights["kind"] == "permuted") & (heights["eps"] == most)]

    def of(table: pd.DataFrame, column: str = "barrier", **wanted: object) -> pd.Series:
        for name, value in wanted.items():
            table = table[table[name] == value]
        return table.set_index("pair")[column]

    longest, shortest = curves["epochs"].max(), curves["epochs"].min()
    found = pd.DataFrame(
        {
            "low": of(curves, eps=least, epochs=longest),
            "high": of(curves, eps=most, epochs=longest),
            "low_short": of(curves, eps=least, epochs=shortest),
            "high_short": of(curves, eps=most, epochs=shortest),
            "low_end": of(curves, "end", eps=least, epochs=longest),
            "line": of(own, eps=most, path="line"),
            "permuted": of(copies, path="curve"),
            "permuted_line": of(copies, path="line"),
        }
    )
    return found.dropna(subset=["low", "high"])


def replay(dataset: str, n: int, eps: float, w: int, seed: int) -> dict[str, float]:
    """A curve between two untrained LeNets, one epoch: what a record stores to be run again.

    Args:
        dataset: name of the data set.
        n: of its images, drawn with seed 0.
        eps: budget, pixel scale.
        w: width factor.
        seed: of the first network and of the fit.
    """
    images = data.load(dataset).take(n, seed=0)
    classes = len(images.class_names)
    first, last = (
        registry.build("lenet", in_shape=images.shape, classes=classes, seed=s, w=w) for s in (seed, seed + 1)
    )
    attack = PGD(eps=eps, steps=3)
    how = CurveFit(epochs=1, learning_rate=0.05)
    curve = connectivity.fit(first, last, images.x, images.y, how, attack=attack, seed=seed)
    table = measure(curve, 3, attack=attack, train=images, test=images, seed=seed, clean=False)
    return {f"loss at {t:g}": float(v) for t, v in zip(table["t"], table["train_loss"], strict=True)} | {
        "bow": bow(curve)
    }


def bow(curve: Curve) -> float:
    """How far the middle of the curve lies from the middle of the straight line, Euclidean."""
    middle, ends = curve.at(0.5), (curve.controls[0], curve.controls[-1])
    square = sum(
        float((value - (ends[0][name] + ends[1][name]) / 2).double().square().sum()) for name, value in middle.items()
    )
    return math.sqrt(square)
