"""What the published settings would take: operations counted, throughput measured, hours of a GPU planned.

``data/paper_scale.yml`` lists the trainings and evaluations. One training step of each is run on random images, and
its floating-point operations are counted by torch. Divided by a measured throughput they give hours: that of a GPU from
the training log of others (Wu et al. 2020, see ``data/reference``), whose step is counted in the same way, and that of
one core of the machine at hand. The log says nothing of the GPU, so the hours are an order of magnitude.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from advsmooth import data, plain_yaml, plotting, records, settings
from advsmooth.atomic import write_atomically
from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset
from advsmooth.models import registry
from advsmooth.places import BOOK, ROOT
from advsmooth.training import convergence, loop
from advsmooth.training.objectives import TRADES, AdversarialTraining, GradientRegularised
from advsmooth.training.recipe import Recipe
from advsmooth.training.schedules import Constant

LISTED = ROOT / "data" / "paper_scale.yml"
PLANNED = ROOT / "data" / "gpu_hours.csv"
MEASURED = ROOT / "data" / "gpu_hours.json"
PICTURE = BOOK / "_static" / "gpu_hours.svg"

_TEN = AdversarialTraining(PGD(eps=8 / 255, steps=10))
_ONE = Recipe(steps=1, batch=2, rate=Constant(0.01))

OBJECTIVES: Mapping[str, Recipe] = {
    "standard": _ONE,
    "PGD-10": replace(_ONE, objective=_TEN),
    "PGD-10 with AWP": replace(_ONE, objective=_TEN, awp=Constant(0.01)),
    "PGD-50": replace(_ONE, objective=AdversarialTraining(PGD(eps=0.4, steps=50, step_size=0.01))),
    "TRADES with AWP": replace(_ONE, objective=TRADES(), awp=Constant(0.005)),
    "gradient penalty": replace(_ONE, objective=GradientRegularised(tv=0.01, lipschitz=0.1)),
}
"""By the names of the list: one step of each way to train. EntropySGD costs what its mini-batches cost."""


class Operations(TorchDispatchMode):
    """Counts operations of matrix products and convolutions, forwards and backwards, by torch's formulas.

    torch's own ``FlopCounterMode`` also keeps track of modules, and so refuses gradients with respect to an input.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


@dataclass(frozen=True)
class Cost:
    """Floating-point operations (a multiplication and an addition are two) of one image, and the speed of one core.

    Attributes:
        step: of a training step.
        forward: of a forward pass.
        per_second: operations a second of the training step, one thread of this machine.
    """

    step: float
    forward: float
    per_second: float


def cost(network: str, arguments: Mapping[str, Any], shape: tuple[int, ...], classes: int, recipe: Recipe) -> Cost:
    """Count one training step on two random images, and time it."""
    images = noise(shape, classes, recipe.batch)

    def fresh() -> torch.nn.Module:
        return registry.build(network, in_shape=shape, classes=classes, seed=0, **arguments)

    with Operations() as step:
        loop.train(fresh(), images, recipe)
    with Operations() as forward, torch.no_grad():
        fresh()(images.x)
    model, threads = fresh(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        started = time.perf_counter()
        loop.train(model, images, recipe)
        seconds = time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
    n, operations = recipe.batch, step.total
    return Cost(operations / n, forward.total / n, operations / seconds)


def noise(shape: tuple[int, ...], classes: int, n: int) -> Dataset:
    """Random images with random labels, where only the size matters."""
    g = settings.generator(0)
    x, y = torch.rand(n, *shape, generator=g), torch.randint(classes, (n,), generator=g)
    return data.from_arrays("noise", "train", x, y, [str(k) for k in range(classes)], "random numbers")


def reference_throughput(at: Cost, images: int = 50_000) -> float:
    """Operations a second of the GPU of Wu et al.'s log: those of an epoch over its median time.

    Args:
        at: of one PGD-10 step of a pre-activation ResNet-18 on CIFAR-10.
        images: of an epoch.
    """
    log = convergence.outside_yardstick()
    return at.step * images / float(log[log.method == "AT"].seconds.median())


def plan() -> tuple[pd.DataFrame, dict[str, Any]]:
    """A row for each experiment of the list, in hours, and what was measured.

    Returns:
        Columns ``experiment``, ``trainings``, ``GFLOP an image`` (of a training step), ``PFLOP training`` and ``PFLOP
        evaluation`` of one network, ``GPU hours`` of all, ``claims``; and the throughputs with their provenance.
    """
    colour = (3, 32, 32)
    plain, awp = (
        cost("resnet18", {"w": 16, "block": "preactivation"}, colour, 10, OBJECTIVES[name])
        for name in ("PGD-10", "PGD-10 with AWP")
    )
    per_second = reference_throughput(plain)
    rows, cores = [], {}
    for entry in plain_yaml.read(LISTED):
        about = entry["data"]
        recipe = OBJECTIVES[entry["objective"]]
        one = cost(entry["network"], entry["arguments"], tuple(about["shape"]), about["classes"], recipe)
        training = one.step * about["images"] * entry["epochs"]
        evaluation = one.forward * entry["evaluation"]["passes"] * entry["evaluation"]["images"]
        cores[entry["experiment"]] = one.per_second / 1e9
        rows.append(
            {
                "experiment": entry["experiment"],
                "trainings": entry["trainings"],
                "GFLOP an image": one.step / 1e9,
                "PFLOP training": training / 1e15,
                "PFLOP evaluation": evaluation / 1e15,
                "GPU hours": entry["trainings"] * (training + evaluation) / per_second / 3600,
                "claims": ", ".join(entry["claims"]),
            }
        )
    log = convergence.outside_yardstick()
    seconds = log.groupby("method").seconds.median()
    measured = {
        "reference_tflops": per_second / 1e12,
        "awp_over_at": {"counted": awp.step / plain.step, "timed_in_the_log": float(seconds["AWP"] / seconds["AT"])},
        "core_gflops": cores,
        "device": records.device_name("cpu"),
        "versions": records.versions(),
    }
    return pd.DataFrame(rows), measured


def picture(table: pd.DataFrame, tflops: float) -> str:
    """Hours of each experiment as an SVG, the longest first."""
    plotting.use_theme()
    table = table.sort_values("GPU hours")
    figure, ax = plt.subplots(figsize=(plotting.WIDTH, 0.3 * len(table) + 1.1))
    bars = ax.barh(table.experiment, table["GPU hours"], color=plotting.BLUE, height=0.65)
    ax.bar_label(bars, [f" {hours:,.0f}" for hours in table["GPU hours"]], fontsize=9)
    ax.set_xscale("log")
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.12)
    plotting.label(ax, "What the published settings would take", f"hours of one GPU at {tflops:.1f} TFLOP/s", "")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return buffer.getvalue()


def write() -> str:
    """Write the plan, its picture and what it rests on; a line that says how much it is."""
    table, measured = plan()
    tflops = measured["reference_tflops"]
    write_atomically(PLANNED, table.to_csv(index=False, float_format=lambda v: f"{float(f'{v:.3g}'):g}"))
    write_atomically(MEASURED, json.dumps(measured, indent=1) + "\n")
    write_atomically(PICTURE, picture(table, tflops))
    return f"{len(table)} experiments, {table['GPU hours'].sum():,.0f} GPU hours at {tflops:.2g} TFLOP/s"
