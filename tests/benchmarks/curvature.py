"""The top eigenvalues of a Hessian against PyHessian's power iteration with deflation."""

from __future__ import annotations

import importlib
import itertools
import warnings
from typing import Any

import measure
import pyhessian
import subjects
import torch
from measure import Row, Sizes
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis.curvature import model_hessian, top_eigenpairs
from advsmooth.data import Dataset
from advsmooth.models import registry

TOLERANCE = 1e-3


def rows(device: str, sizes: Sizes) -> list[Row]:
    """Products with the Hessian, and time, at the same tolerance and a fresh start in every repetition."""
    part = subjects.images("train", sizes.examples, device)
    w = registry.width_of_size("lenet", 50_000, argument="w", in_shape=part.shape, classes=10, tolerance=0.15)
    model = subjects.trained(w, sizes.training, sizes.epochs, device, robust=False)
    k = sizes.eigenvalues
    exact = model_hessian(model.double(), part.x.double(), part.y, linearised=True)
    truth = top_eigenpairs(exact, k, generator=settings.generator(0, device), tolerance=1e-6).values
    model.float()

    products: dict[str, list[float]] = {"ours": [], "theirs": []}
    errors: dict[str, list[float]] = {"ours": [], "theirs": []}
    seeds = {name: itertools.count() for name in products}

    def ours() -> None:
        operator = model_hessian(model, part.x, part.y, linearised=True)
        g = settings.generator(next(seeds["ours"]), device)
        pairs = top_eigenpairs(operator, k, generator=g, tolerance=TOLERANCE)
        _note("ours", pairs.values, pairs.products)

    def theirs() -> None:
        _note("theirs", *power_iteration(model, part, k, sizes.products, next(seeds["theirs"])))

    def _note(name: str, values: Tensor, spent: int) -> None:
        products[name].append(spent)
        apart = (values - truth).abs() / truth.abs()
        errors[name].append(apart.max().item())

    times = measure.interleaved(
        {"ours": ours, "theirs": theirs}, repetitions=sizes.repetitions, device=device, shortest_s=0.0
    )
    size = registry.describe(model).parameters
    what = f"top {k} eigenvalues, LeNet of {size:,} parameters, {len(part)} {part.name}"
    worst = {name: f"{max(found):.1e}" for name, found in errors.items()}
    note = (
        f"tolerance {TOLERANCE:g} each; largest relative error against float64: ours {worst['ours']}, "
        f"theirs {worst['theirs']}; PyHessian stops after {sizes.products} products for an eigenvalue"
    )
    spent = {name: found[-sizes.repetitions :] for name, found in products.items()}  # without the warm-up
    return [
        measure.compare(
            "curvature", f"{what} (products)", "PyHessian", spent["ours"], spent["theirs"], at_least=5, note=note
        ),
        measure.compare("curvature", f"{what} (s)", "PyHessian", times["ours"], times["theirs"], at_least=5, note=note),
    ]


def power_iteration(model: nn.Module, part: Dataset, k: int, most: int, seed: int) -> tuple[Tensor, int]:
    """PyHessian's eigenvalues, the largest magnitude first, and how many products it spent."""
    module: Any = importlib.import_module("pyhessian.hessian")  # the package has a class of the same name
    product, spent = module.hessian_vector_product, 0

    def counted(*arguments: Any) -> Any:
        nonlocal spent
        spent += 1
        return product(*arguments)

    device = part.x.device.type
    module.hessian_vector_product = counted
    try:
        with torch.random.fork_rng(devices=[part.x.device] if device == "cuda" else []), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Using backward\\(\\) with create_graph")
            torch.manual_seed(seed)
            theirs = pyhessian.hessian(model, nn.CrossEntropyLoss(), data=(part.x, part.y), cuda=device == "cuda")
            values, _ = theirs.eigenvalues(maxIter=most, tol=TOLERANCE, top_n=k)
    finally:
        module.hessian_vector_product = product
        model.zero_grad(set_to_none=True)
    found = torch.tensor(values, dtype=torch.float64)
    return found[found.abs().argsort(descending=True)], spent
