"""One measurement of every network of a family, before, during and after its training (Pang et al. 2022).

A *study* is a tidy table, one number a row: ``architecture, kind, seed, time, quantity, value``. ``time`` is the share
of the training that is over: 0 before it, those of :data:`advsmooth.training.searched.KEPT`, and 1.

Searched and hand-made networks are compared over *architectures*. Three networks of one architecture that differ by
their seed tell how much a seed matters, not how the next architecture would come out; so each architecture counts once,
with the mean over its seeds, and the interval is Welch's for two groups.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis import clustered
from advsmooth.analysis.clustered import Estimate
from advsmooth.data import Dataset
from advsmooth.training import runs, searched
from advsmooth.training.loop import Trained
from advsmooth.training.runs import Run

COLUMNS = ["architecture", "kind", "seed", "time", "quantity", "value"]
NETWORK = ["architecture", "kind", "seed"]

Measure = Callable[[nn.Module, float, int], Mapping[str, float]]
"""Numbers by name of a network at some weights, given also the time and the seed. It may change the network."""


def check_family(architectures: Sequence[str]) -> None:
    """Refuse a choice of architectures that no comparison can be made of.

    Raises:
        SettingsError: for an unknown name, or fewer than two searched or two manual ones.
    """
    try:
        kinds = [searched.kind(name) for name in architectures]
    except ValueError as error:
        raise settings.SettingsError(str(error)) from None
    if min(kinds.count("searched"), kinds.count("manual")) < 2:
        raise settings.SettingsError(
            f"architectures={list(architectures)!r}: allowed are at least two searched "
            f"({', '.join(searched.names('searched'))}) and two manual ones ({', '.join(searched.names('manual'))})"
        )


def states(run: Run, trained: Trained) -> dict[float, Mapping[str, Tensor]]:
    """The state dicts of a training by time, from before it to its end."""
    found: dict[float, Mapping[str, Tensor]] = {0.0: run.fresh().state_dict()}
    found |= zip(run.recipe.keep, trained.kept, strict=True)
    return found | {1.0: trained.model.state_dict()}


def trained_network(
    name: str, images: Dataset, *, epochs: int, parameters: int, seed: int, folder: Path = runs.FOLDER
) -> nn.Module:
    """One network of a study after its training; arguments as of :func:`study`."""
    run = searched.run(name, images, epochs=epochs, parameters=parameters, seed=seed)
    return runs.trained(run, folder=folder).model


def study(
    architectures: Sequence[str],
    seeds: Sequence[int],
    images: Dataset,
    measure: Measure,
    *,
    epochs: int,
    parameters: int,
    times: Sequence[float] = (0.0, 1.0),
    folder: Path = runs.FOLDER,
) -> pd.DataFrame:
    """Train the networks, or read them from the cache, and measure each at some times.

    Besides the measured numbers each network has rows ``epoch loss``: the mean training loss over each epoch, at the
    time of its end.

    Args:
        architectures: names of :data:`advsmooth.training.searched.FAMILY`.
        seeds: of the networks.
        images: training data.
        measure: called at each time with a network of its own.
        epochs: of the training.
        parameters: size wanted.
        times: 0, one of ``searched.KEPT``, or 1.
        folder: of the cache.

    Raises:
        ValueError: for a time at which no weights were kept, or an unknown architecture.
    """
    known = (0.0, *searched.KEPT, 1.0)
    if not set(times) <= set(known):
        raise ValueError(f"times={list(times)!r}: allowed are {', '.join(f'{t:g}' for t in known)}")
    rows: list[tuple[object, ...]] = []
    for seed in seeds:
        for name in architectures:
            run = searched.run(name, images, epochs=epochs, parameters=parameters, seed=seed)
            trained = runs.trained(run, folder=folder)
            about, at = (name, searched.kind(name), seed), states(run, trained)
            for epoch, loss in zip(trained.epochs["epoch"], trained.epochs["loss"], strict=True):
                rows.append((*about, epoch / epochs, "epoch loss", float(loss)))
            for time in times:
                network = run.fresh()
                network.load_state_dict(dict(at[time]))
                rows += [(*about, time, key, float(value)) for key, value in measure(network, time, seed).items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def replayed(
    measure: Measure, images: Dataset, seed: int, architectures: Sequence[str] = ("PC-DARTS", "LeNet")
) -> dict[str, float]:
    """What a record of a study stores of itself: the numbers of one epoch's training of two networks, by name."""
    with tempfile.TemporaryDirectory() as folder:
        table = study(architectures, [seed], images, measure, epochs=1, parameters=15_000, folder=Path(folder))
    names = table["architecture"] + ", time " + table["time"].astype(str) + ": " + table["quantity"]
    return dict(zip(names, table["value"], strict=True))


def at_time(table: pd.DataFrame, time: float) -> pd.DataFrame:
    """One row for each network, one column for each quantity measured at that time."""
    own = table[np.isclose(table["time"], time)]
    return own.pivot_table(index=NETWORK, columns="quantity", values="value", sort=False).rename_axis(columns=None)


def by_architecture(values: pd.Series) -> pd.Series:
    """The mean over the seeds of each architecture; ``values`` is indexed by :data:`NETWORK`."""
    return values.groupby(["architecture", "kind"], sort=False).mean()


def difference(values: pd.Series, more: str = "manual", less: str = "searched") -> Estimate:
    """The mean of one kind less that of another, with Welch's interval over architectures.

    Args:
        values: a number for each network, indexed by :data:`NETWORK`; logarithms, for a ratio.
        more: the kind that comes with a plus.
        less: the kind that comes with a minus.

    Raises:
        ValueError: for fewer than two architectures of a kind.
    """
    mean = by_architecture(values.dropna()).reset_index(name="value")
    groups = [mean.loc[mean["kind"] == kind, "value"].to_numpy(dtype=float) for kind in (more, less)]
    if min(len(group) for group in groups) < 2:
        counts = f"{len(groups[0])} {more}, {len(groups[1])} {less}"
        raise ValueError(f"{counts} architectures: an interval needs two of each kind")
    value = float(groups[0].mean() - groups[1].mean())
    if max(np.ptp(group) for group in groups) == 0:
        return Estimate(value, value, value)
    low, high = stats.ttest_ind(*groups, equal_var=False).confidence_interval(0.95)
    return Estimate(value, float(low), float(high))


def rank_correlation(networks: pd.DataFrame, x: str, y: str, *, draws: int = 2000, seed: int = 0) -> Estimate:
    """Spearman's correlation of two columns over networks, with a bootstrap interval that resamples architectures.

    All seeds of an architecture are drawn together: they are not independent of each other.

    Args:
        networks: indexed by :data:`NETWORK`, such as :func:`at_time`.
        x: a column.
        y: a column.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: for fewer than four architectures.
    """
    own = networks[[x, y]].dropna().reset_index()
    return clustered.rank_correlation(own, x, y, group="architecture", draws=draws, seed=seed)


def changes(table: pd.DataFrame, quantity: str, kind: str, *, first: float = 0.0, last: float = 1.0) -> pd.Series:
    """The change of the natural logarithm of a quantity in training, for each network of a kind."""
    start, end = (np.log(at_time(table, time)[quantity]) for time in (first, last))
    change = (end - start).dropna()
    return change[change.index.get_level_values("kind") == kind]


def mean_over_architectures(values: pd.Series) -> Estimate:
    """The mean over architectures, each with the mean of its seeds, and its t-interval.

    Raises:
        ValueError: for fewer than two architectures.
    """
    mean = by_architecture(values.dropna()).to_numpy(dtype=float)
    if len(mean) < 2:
        raise ValueError(f"{len(mean)} architectures: an interval needs two")
    half = float(stats.t.ppf(0.975, len(mean) - 1)) * mean.std(ddof=1) / math.sqrt(len(mean))
    return Estimate(float(mean.mean()), float(mean.mean() - half), float(mean.mean() + half))
