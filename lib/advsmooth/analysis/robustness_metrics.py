"""Do gradients at images predict how far an attack has to go? (Finlay et al., section 6, "Robustness metrics".)

For each network, :func:`measure` takes the mean and the largest input gradient (total variation and Lipschitz constant)
in every reading of the paper, a first-order estimate of the distance, and the distance an attack finds.
:func:`improvements` sets them against the undefended network of the same seed, as table 5 does; :func:`power_law` and
:func:`rank_correlation` judge a predictor over models. :func:`climb` looks for larger gradients than those at images.

Distances are Euclidean, in pixel scale; a *study* is a table with one row per number, columns :data:`COLUMNS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis import adversarial_statistics, clustered, input_gradient
from advsmooth.analysis.clustered import Estimate
from advsmooth.analysis.input_gradient import GradientStatistics
from advsmooth.attacks import ball, evaluation
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import cross_entropy, margin
from advsmooth.attacks.minimal import CarliniWagner, DeepFool

COLUMNS = ["model", "seed", "quantity", "images", "at", "value"]

UNDEFENDED = "undefended"

SOFTMAX_ROW = math.sqrt(2) / 4
"""The largest Euclidean norm of a row of the softmax's Jacobian: ``p_k |e_k - p| <= sqrt(2) p_k (1 - p_k)``."""


def rows(
    model: str, seed: int, values: Mapping[str, float], *, images: str = "all", at: float = math.nan
) -> pd.DataFrame:
    """Rows of a study: the named values of one network.

    Args:
        model: how it was trained.
        seed: of it.
        values: by the name of the quantity.
        images: what it was measured on.
        at: a radius, a temperature or a depth, where there is one.
    """
    found = [(model, seed, name, images, float(at), float(value)) for name, value in values.items()]
    return pd.DataFrame(found, columns=COLUMNS)


# --- one network ----------------------------------------------------------------------------------------------------


def distances(model: nn.Module, x: Tensor, y: Tensor, *, steps: int = 5) -> Tensor:
    """Euclidean distances ``(n,)`` of the adversarial points found: 0 where misclassified, infinity where none was.

    The smaller distance of DeepFool and of PGD on the margin of the logits, from the image over the radii of
    :mod:`.adversarial_statistics`, both moved back by bisection. Neither saturates: dividing the logits by a constant
    changes nothing, where the attack of the paper, PGD on the cross-entropy, can lose its gradient or its way.
    """
    attack = PGD(eps=1.0, norm="l2", steps=steps, random_start=False, loss=margin)
    radii, halvings = adversarial_statistics.RADII["l2"], adversarial_statistics.BISECTIONS
    climbed = evaluation.distances(model, x, y, attack, eps=radii, bisections=halvings)
    return torch.minimum(climbed, evaluation.distances(model, x, y, DeepFool(norm="l2"), bisections=halvings))


def first_order_distances(model: nn.Module, x: Tensor, y: Tensor, *, batch: int = 1024) -> Tensor:
    """Distance to the nearest class boundary if logits were linear, ``(n,)`` float64; 0 where misclassified.

    ``min_k (f_y - f_k) / |grad f_y - grad f_k|`` over the other classes: the first step of DeepFool. It does not change
    when all logits are multiplied by a constant.
    """
    found = []
    with frozen(model), torch.enable_grad():
        for some, labels in zip(x.split(batch), y.split(batch), strict=True):
            inputs = some.detach().clone().requires_grad_()
            logits = model(inputs)
            gaps = logits.gather(1, labels[:, None]) - logits
            steps = []
            for column in gaps.unbind(1):
                (slope,) = torch.autograd.grad(column.sum(), inputs, retain_graph=True)
                steps.append(column.detach().double() / ball.norms(slope.double(), "l2"))
            ways = torch.stack(steps, 1).scatter(1, labels[:, None], torch.inf)  # 0 / 0 for the label itself
            found.append(ways.amin(1).clamp(min=0))
    return torch.cat(found)


def gradient_norms(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Euclidean gradient norms ``(n,)`` of ``probabilities``, ``logits`` (largest row of the Jacobian) and ``loss``."""
    return {
        "probabilities": input_gradient.jacobian_norms(model, x, outputs="probabilities").double(),
        "logits": input_gradient.jacobian_norms(model, x, outputs="logits").double(),
        "loss": input_gradient.loss_gradient_norms(model, x, y).double(),
    }


def measure(model: nn.Module, x: Tensor, y: Tensor, *, name: str, seed: int, steps: int = 5) -> pd.DataFrame:
    """Everything about one network, as rows of a study.

    ``images`` is ``all`` or ``correct`` (those classified correctly). Quantities: ``distance`` (median), ``first
    order`` (median of :func:`first_order_distances`), ``loss estimate`` (median of equation 3.7 with the exact
    threshold ``log 2``), ``margin`` (median difference of the logits of the label and of the best other class), ``TV``
    and ``Lip`` (mean and maximum) of ``probabilities``, ``logits`` and ``loss``; for all images also ``accuracy``.
    """
    found = distances(model, x, y, steps=steps).cpu()
    with frozen(model), torch.no_grad():
        logits = model(x)
        losses = cross_entropy(logits, y).double()
        margins = -margin(logits, y).double()
    norms = gradient_norms(model, x, y)
    estimates = {
        "first order": first_order_distances(model, x, y).cpu(),
        "loss estimate": input_gradient.estimated_distances(losses, norms["loss"], math.log(2)).cpu(),
    }
    right = found > 0
    parts = [rows(name, seed, {"accuracy": right.double().mean().item()})]
    for images, chosen in (("all", torch.ones_like(right)), ("correct", right)):
        if not chosen.any():
            continue
        values = {"distance": evaluation.median_distance(found[chosen])}
        values |= {key: evaluation.median_distance(each[chosen]) for key, each in estimates.items()}
        values["margin"] = margins.cpu()[chosen].median().item()
        for key, each in norms.items():
            own = each.cpu()[chosen]
            values |= {f"TV {key}": own.mean().item(), f"Lip {key}": own.max().item()}
        parts.append(rows(name, seed, values, images=images))
    return pd.concat(parts, ignore_index=True)


def audit(model: nn.Module, x: Tensor, y: Tensor, *, name: str, seed: int) -> pd.DataFrame:
    """Median distances by attack, as rows of a study: ours, PGD on the loss as in the paper, Carlini-Wagner."""
    found = {
        "ours": distances(model, x, y),
        "PGD on the loss": adversarial_statistics.by_attack(model, x, y, "l2", seed=seed),
        "Carlini-Wagner": evaluation.distances(model, x, y, CarliniWagner(steps=100, search_steps=5)),
    }
    return rows(name, seed, {key: evaluation.median_distance(each) for key, each in found.items()}, images="audit")


class Tempered(nn.Module):
    """A network whose logits are divided by a temperature: the same predictions, other gradients."""

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature={temperature!r}: allowed is a positive number")
        self.model, self.temperature = model, temperature

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(n, classes)`` over the temperature."""
        return self.model(x) / self.temperature


def over_temperatures(
    model: nn.Module, x: Tensor, y: Tensor, temperatures: Sequence[float], *, name: str, seed: int
) -> pd.DataFrame:
    """Median distance and total variations of a :class:`Tempered` network, as rows of a study (``at``: temperature)."""
    parts = []
    for temperature in temperatures:
        tempered = Tempered(model, temperature)
        values = {"distance": evaluation.median_distance(distances(tempered, x, y))}
        values |= {f"TV {key}": each.mean().item() for key, each in gradient_norms(tempered, x, y).items()}
        parts.append(rows(name, seed, values, images="temperature", at=temperature))
    return pd.concat(parts, ignore_index=True)


# --- over models ----------------------------------------------------------------------------------------------------


def networks(study: pd.DataFrame, images: str = "all") -> pd.DataFrame:
    """One row per network, one column per quantity, for those that learned.

    A network whose accuracy is below one half has the median distance 0 and says nothing; it is left out.
    """
    accuracy = study[study["quantity"] == "accuracy"].set_index(["model", "seed"])["value"]
    own = study[(study["images"] == images) & study["at"].isna()]
    wide = own.pivot_table(index=["model", "seed"], columns="quantity", values="value", sort=False)
    return wide[accuracy.reindex(wide.index) > 0.5].reset_index()


def larger_is_better(quantity: str) -> bool:
    """Whether a quantity predicts a distance in proportion (an estimated distance) or inversely (a gradient norm)."""
    return not quantity.startswith(("TV", "Lip"))


def improvements(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Predicted and actual improvement over the undefended network of the same seed.

    Args:
        table: of :func:`networks`.
        quantity: the predictor; a gradient norm predicts the inverse ratio.

    Returns:
        Columns ``model``, ``seed``, ``predicted``, ``actual`` (ratio of median distances), without the undefended.
    """
    base = table[table["model"] == UNDEFENDED].set_index("seed")
    own = table[(table["model"] != UNDEFENDED) & table["seed"].isin(base.index)]
    ratio = {c: own[c].to_numpy() / base[c].reindex(own["seed"]).to_numpy() for c in (quantity, "distance")}
    predicted = ratio[quantity] if larger_is_better(quantity) else 1 / ratio[quantity]
    return pd.DataFrame(
        {"model": own["model"], "seed": own["seed"], "predicted": predicted, "actual": ratio["distance"]}
    ).reset_index(drop=True)


def worst_factor(compared: pd.DataFrame) -> pd.Series:
    """By seed: the largest factor, up or down, between predicted and actual improvement."""
    off = (np.log(compared["predicted"]) - np.log(compared["actual"])).abs()
    return np.exp(off.groupby(compared["seed"]).max())


def power_law(table: pd.DataFrame, quantity: str, *, draws: int = 2000, seed: int = 0) -> Estimate:
    """The slope of log median distance on log ``quantity``, by least squares over the networks.

    The interval resamples *models* with all their seeds: networks of one model are not independent of each other.

    Args:
        table: of :func:`networks`.
        quantity: its column.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        NaN where the quantity is 0 for a network, such as an estimate that gives up.

    Raises:
        ValueError: for fewer than four models.
    """
    own = table[[quantity, "distance"]].to_numpy(dtype=float)
    if (own <= 0).any():
        return Estimate(math.nan, math.nan, math.nan)
    weights = clustered.weights(table["model"], draws, seed)
    x, y = np.log(own.T)
    return clustered.summary(clustered.covariance(weights, x, y) / clustered.covariance(weights, x, x))


def rank_correlation(table: pd.DataFrame, quantity: str, *, draws: int = 2000, seed: int = 0) -> Estimate:
    """Spearman's correlation of ``quantity`` with the median distance; interval and arguments of :func:`power_law`."""
    return clustered.rank_correlation(table, quantity, "distance", group="model", draws=draws, seed=seed)


def rank_gain(table: pd.DataFrame, better: str, worse: str, *, draws: int = 2000, seed: int = 0) -> Estimate:
    """How much larger the size of the rank correlation of ``better`` is; interval as of :func:`power_law`."""
    weights = clustered.weights(table["model"], draws, seed)
    first, second = (np.abs(clustered.spearman(weights, table[q], table["distance"])) for q in (better, worse))
    return clustered.summary(first - second)


# --- published tables -----------------------------------------------------------------------------------------------


def published_improvements(published: Mapping[str, Any], decimals: Mapping[str, int] | None = None) -> pd.DataFrame:
    """Table 5 computed again from the rows of table 2 or 3; its own body is lost.

    Args:
        published: of the ledger: ``columns``, then the rows by model.
        decimals: digits after the point in print, by column, for the range that rounding leaves; 2 if not given.

    Returns:
        One row per regularised model: ``model``, ``total variation``, ``Lipschitz constant``, ``median distance`` (see
        :func:`advsmooth.analysis.input_gradient.improvement`), and ``rounding``: the factor by which the quotient of
        total-variation and distance ratio can be off because the four numbers are rounded.
    """
    columns = published["columns"]
    table = {name: dict(zip(columns, row, strict=True)) for name, row in published.items() if name != "columns"}
    before = table[UNDEFENDED]
    found = []
    for name, row in table.items():
        if name == UNDEFENDED:
            continue
        ratios = input_gradient.improvement(
            _statistics(before), _statistics(row), before["l2_median_distance"], row["l2_median_distance"]
        )
        slack = 1.0
        for column in ("l2_median_distance", "mean_grad_f_2inf"):
            half = 0.5 * 10.0 ** -(decimals or {}).get(column, 2)
            slack *= math.prod(1 / (1 - half / each[column]) for each in (before, row))
        found.append({"model": name, **ratios.set_index("measure")["improvement"].to_dict(), "rounding": slack})
    return pd.DataFrame(found)


def _statistics(row: Mapping[str, float]) -> GradientStatistics:
    return GradientStatistics(
        row["mean_grad_loss_2"], row["max_grad_loss_2"], row["mean_grad_f_2inf"], row["max_grad_f_2inf"], 0
    )


def published_column(published: Mapping[str, Any], name: str) -> dict[str, float]:
    """One column of table 2 or 3 by model."""
    place = published["columns"].index(name)
    return {model: row[place] for model, row in published.items() if model != "columns"}


def rank(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Spearman's correlation of two columns of a table, by model."""
    values = [first[name] for name in second], list(second.values())
    return float(clustered.spearman(np.ones((1, len(second))), *values)[0])


# --- larger gradients than at the images ----------------------------------------------------------------------------


def climb(
    model: nn.Module, x: Tensor, radius: float, *, start: Tensor | None = None, steps: int = 20
) -> tuple[Tensor, Tensor]:
    """Gradient ascent on the norm of the probabilities' Jacobian, in the Euclidean ball around each input and the box.

    Each value found is attained at a point of the box, hence a lower bound on the Lipschitz constant there. In a ReLU
    network the Jacobian of the logits is constant on each linear piece; what the ascent follows is the softmax.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: centres in [0, 1], ``(n, ...)``.
        radius: of the balls.
        start: where to begin, in the balls; at the centres if not given.
        steps: of the ascent, of length ``2.5 radius / steps``, normalised gradients.

    Returns:
        The largest norm met from each start, ``(n,)``, and where, the shape of ``x``.

    Raises:
        ValueError: for a radius that is negative or not finite, or fewer than 1 step.
    """
    if not 0 <= radius < math.inf or steps < 1:
        raise ValueError(f"radius={radius!r}, steps={steps!r}: allowed is a finite radius and at least 1 step")
    into_ball = ball.projection(x, radius, "l2")
    at = (x if start is None else start).detach().clone()
    best, where = at.new_full((len(at),), -torch.inf), at.clone()
    with frozen(model), torch.enable_grad():
        for step in range(steps + 1):
            at = at.detach().requires_grad_(True)
            norms, gradient = _steeper(model, at, last=step == steps)
            higher = norms > best
            best, where[higher] = torch.where(higher, norms, best), at.detach()[higher]
            if gradient is not None:
                at = into_ball(at.detach() + 2.5 * radius / steps * ball.steepest(gradient, "l2"))
    return best, where


def _steeper(model: nn.Module, x: Tensor, *, last: bool) -> tuple[Tensor, Tensor | None]:
    """Norm of the largest row of the probabilities' Jacobian, and its gradient in the input."""
    with torch.no_grad():
        order = _rows(model, x).argmax(1)
    chosen = model(x).softmax(1).gather(1, order[:, None]).sum()
    (row,) = torch.autograd.grad(chosen, x, create_graph=not last)
    norms = row.flatten(1).norm(dim=1)
    if last:
        return norms.detach(), None
    (gradient,) = torch.autograd.grad(norms.sum(), x)
    return norms.detach(), gradient


def _rows(model: nn.Module, x: Tensor) -> Tensor:
    """Euclidean norms of all rows of the probabilities' Jacobian, ``(n, K)``."""
    with torch.enable_grad():
        inputs = x.detach().clone().requires_grad_()
        columns = model(inputs).softmax(1).unbind(1)
        found = [torch.autograd.grad(column.sum(), inputs, retain_graph=True)[0] for column in columns]
    return torch.stack([ball.norms(row, "l2") for row in found], 1)


def steepest_around(
    model: nn.Module,
    x: Tensor,
    radii: Sequence[float],
    *,
    name: str,
    seed: int,
    starts: int = 32,
    steps: int = 20,
) -> pd.DataFrame:
    """The largest norm of the probabilities' Jacobian found within growing distances of images, as rows of a study.

    It starts from the steepest images (half of the starts) and from others, and at each radius from the best points of
    the radius before; so values never fall. A last row (``images`` is ``box``) is for the whole box: from there, from
    grey noise and from black-and-white noise, which look like no image.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: the images; the largest norm at them is the row at radius 0.
        radii: ascending, positive.
        name: of the model.
        seed: of the network, and of the choice of starts.
        starts: images from which it climbs.
        steps: of each ascent.
    """
    generator = settings.generator(seed, str(x.device))
    norms = input_gradient.jacobian_norms(model, x)
    first = norms.argsort(descending=True)
    others = first[starts // 2 :][torch.randperm(max(0, len(x) - starts // 2), generator=generator, device=x.device)]
    centres = x[torch.cat([first[: starts // 2], others])[:starts]]
    top, at = norms.max().item(), centres
    found = [rows(name, seed, {"steepest": top}, images="near", at=0.0)]
    for radius in radii:
        values, at = climb(model, centres, radius, start=at, steps=steps)
        top = max(top, values.max().item())
        found.append(rows(name, seed, {"steepest": top}, images="near", at=radius))
    noise = torch.rand(at.shape, generator=generator, dtype=x.dtype, device=x.device)
    everywhere = torch.cat([at, noise, noise.round()])
    for step in (0.05, 0.02, 0.01):  # shorter steps on from the best points of the longer ones
        values, everywhere = climb(model, everywhere, steps * step / 2.5, steps=steps)
    found.append(rows(name, seed, {"steepest": max(top, values.max().item())}, images="box"))
    return pd.concat(found, ignore_index=True)


def products(model: nn.Module, x: Tensor, *, name: str, seed: int, depth: float = math.nan) -> pd.DataFrame:
    """The product of the layers' operator norms, and the sampled maxima, as rows of a study.

    Quantities: ``product``, ``sampled probabilities`` and ``sampled logits``. In a network with branches the product
    bounds nothing; Finlay et al. report it all the same.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: images.
        name: of the model.
        seed: of the network.
        depth: number of layers with weights, in a study of depths.
    """
    norms = input_gradient.operator_norms(model, x[:1])
    values = {
        "product": math.prod(norms["norm"].tolist()),
        "sampled probabilities": input_gradient.jacobian_norms(model, x).max().item(),
        "sampled logits": input_gradient.jacobian_norms(model, x, outputs="logits").max().item(),
    }
    return rows(name, seed, values, images="product", at=depth)


def by_depth(study: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`products` with a depth, as one row per network, and ``ratio``: product over sampled maximum.

    The maximum is that of the probabilities; their bound is :data:`SOFTMAX_ROW` times the product.
    """
    own = study[(study["images"] == "product") & study["at"].notna()]
    wide = own.pivot_table(index=["at", "seed"], columns="quantity", values="value").reset_index()
    return wide.assign(ratio=wide["product"] / wide["sampled probabilities"])


def growth(table: pd.DataFrame) -> pd.Series:
    """By seed: the slope of log10 ``ratio`` per layer, from :func:`by_depth`."""
    return pd.Series(
        {seed: stats.linregress(own["at"], np.log10(own["ratio"])).slope for seed, own in table.groupby("seed")}
    )
