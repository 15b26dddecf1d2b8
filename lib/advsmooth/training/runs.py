"""Trained networks by description: trained when first asked for, then read from the cache.

A :class:`Run` names everything that decides the weights. Several pages ask for the same networks, and a page that was
stopped asks again for those it had: neither trains twice. A run that was killed continues at its last epoch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from torch import nn

from advsmooth import devices, records, sweep
from advsmooth.data import Dataset
from advsmooth.models import registry
from advsmooth.places import CACHE
from advsmooth.training import loop
from advsmooth.training.acceleration import accelerated
from advsmooth.training.ensembles import train_together
from advsmooth.training.loop import Measure, Trained
from advsmooth.training.recipe import Recipe, describe

FOLDER = CACHE / "networks"

Measures = Mapping[str, Callable[[nn.Module], Measure]]
"""By column name: a function of the fresh network to what is measured of it after each epoch, such as the distance
from where it started. What a name measures must not change, for the cache knows the name only."""


@dataclass(frozen=True)
class Run:
    """One training, from the first weights on.

    Attributes:
        network: a name of :mod:`advsmooth.models.registry`.
        arguments: the network's own, such as ``{"w": 2}``.
        data: training data, on the device of the training.
        recipe: how.
        seed: of the first weights and of the training.
    """

    network: str
    arguments: Mapping[str, Any]
    data: Dataset
    recipe: Recipe
    seed: int = 0

    def fresh(self) -> nn.Module:
        """The network before training, on the device of the data."""
        shape, classes = self.data.shape, len(self.data.class_names)
        network = registry.build(self.network, in_shape=shape, classes=classes, seed=self.seed, **self.arguments)
        return network.to(self.data.x.device)

    def on_its_device(self) -> Run:
        """The run with what its device offers and its results allow (see :mod:`.acceleration`); on a CPU itself."""
        device = devices.of_kind(self.data.x.device.type)
        return replace(self, recipe=accelerated(self.recipe, self.data, device).recipe)

    def key(self, measures: Sequence[str] = ()) -> str:
        """A name for the result: network, seed, and a hash of all that decides it, code and versions included."""
        decides = {
            "network": [self.network, dict(self.arguments)],
            "data": self.data.identity(),
            "recipe": describe(self.recipe),
            "seed": self.seed,
            "measures": sorted(measures),
            "code": records.code_version(registry.__name__, loop.__name__),
            "versions": records.versions(),
        }
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return f"{self.network}-{self.data.name.replace(':', '-').replace('/', '-')}-seed{self.seed}-{digest[:20]}"


def trained(
    run: Run,
    *,
    measures: Measures | None = None,
    folder: Path = FOLDER,
    progress: TextIO | None = None,
    every: int = 10,
) -> Trained:
    """The network of a run, and the tables of its training; from the cache if it is there.

    On a GPU it trains as :meth:`Run.on_its_device` says.

    Args:
        run: what to train.
        measures: further numbers to take after each epoch.
        folder: of the cache.
        progress: stream for a line with the time left.
        every: epochs between checkpoints.

    Raises:
        ValueError: for a network, recipe or data that do not go together.
    """
    run = run.on_its_device()
    model = run.fresh()
    made = {name: make(model) for name, make in (measures or {}).items()}
    path = _checkpoint(run, list(made), folder)
    return loop.train(
        model, run.data, run.recipe, seed=run.seed, measures=made, checkpoint=path, every=every, progress=progress
    )


def _checkpoint(run: Run, measures: Sequence[str], folder: Path) -> Path:
    return folder / f"{run.key(measures)}.safetensors"


def trained_all(
    runs: Sequence[Run], *, measures: Measures | None = None, folder: Path = FOLDER, jobs: int = 1, gpus: float = 1.0
) -> list[Trained]:
    """The networks of several runs, in their order; ``jobs`` of them at a time, or on a cluster (see :mod:`.sweep`).

    Which run ends first changes nothing: each has generators of its own. Processes hand their networks over as
    checkpoints, so on a cluster the folder must be the same for all machines.

    Args:
        runs: what to train.
        measures: see :func:`trained`.
        folder: of the cache.
        jobs: processes of one thread each; 1 for this one, unless ``RAY_ADDRESS`` names a cluster.
        gpus: of each run whose data lie on a GPU, in such a process.

    Raises:
        ValueError: see :func:`trained`; and if the cluster did not leave its checkpoints in the folder.
    """
    if jobs > 1 or sweep.on_cluster():
        datasets = list({id(run.data): run.data for run in runs}.values())
        which = {id(dataset): k for k, dataset in enumerate(datasets)}
        sweep.spread(
            _kept,
            [{"run": replace(run, data=run.data.take(1, seed=0)), "which": which[id(run.data)]} for run in runs],
            shared={"datasets": datasets, "measures": measures, "folder": folder},
            jobs=jobs,
            gpus=gpus if any(dataset.x.is_cuda for dataset in datasets) else 0.0,
        )
        for run in runs:
            path = _checkpoint(run.on_its_device(), list(measures or {}), folder)
            if not path.exists():
                raise sweep.SweepError(
                    f"{path.name}: trained elsewhere, but it is not in {str(folder)!r} here; all machines of a cluster "
                    "need the same folder, checkout and environment"
                )
    return [trained(run, measures=measures, folder=folder) for run in runs]


def trained_together(runs: Sequence[Run], *, measures: Measures | None = None) -> list[Trained]:
    """The same in one vectorised pass for all runs of one length, without the cache (see :mod:`.ensembles`).

    The memory layout of a recipe does not apply here; it changes results by rounding only.

    Raises:
        ValueError: for networks or recipes that cannot be trained together, or runs on different data.
    """
    if any(run.data is not runs[0].data for run in runs):
        raise ValueError("runs on different data cannot be trained together; use trained_all")
    models = [run.fresh() for run in runs]
    made = {name: {id(model): make(model) for model in models} for name, make in (measures or {}).items()}
    found: dict[int, Trained] = {}
    for length in {(run.recipe.epochs, run.recipe.steps) for run in runs}:
        group = [k for k, run in enumerate(runs) if (run.recipe.epochs, run.recipe.steps) == length]
        results = train_together(
            [models[k] for k in group],
            runs[0].data,
            [replace(runs[k].recipe, channels_last=False) for k in group],
            seeds=[runs[k].seed for k in group],
            measures={name: _of_its_own(each) for name, each in made.items()},
        )
        found |= zip(group, results, strict=True)
    return [found[k] for k in range(len(runs))]


def _of_its_own(each: Mapping[int, Measure]) -> Measure:
    return lambda model: each[id(model)](model)


def _kept(run: Run, which: int, datasets: Sequence[Dataset], measures: Measures | None, folder: Path) -> None:
    """Train a run that was sent without its data."""
    trained(replace(run, data=datasets[which]), measures=measures, folder=folder)
