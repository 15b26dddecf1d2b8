"""Attacks on a network moved in opposite directions, ``theta + a v`` and ``theta - a v`` (Liu et al., section 4.2).

The paper compares a random unit vector with the top eigenvector of the Hessian at the same distance ``a``. The two
differ by much more than their sharpness: to second order the loss rises by ``a^2 v.Hv / 2``, and a random ``v`` has
``v.Hv`` near ``trace(H) / P`` for ``P`` parameters, hundreds of times less than the top eigenvalue. So the same curves
are also compared where the loss has risen by the same amount::

    table = study(model, attack, x, y, offsets=[0, 0.1, 0.2], runs=4, cut=0.7, randoms=2, seed=0)
    compare(table)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from advsmooth import data, settings
from advsmooth.analysis import curvature, perturbations
from advsmooth.analysis.empirical import Attack, adversarial_examples, example_losses, zero_one
from advsmooth.analysis.parameter_space import Point, point, shifted, standing_at, unflat, unit
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import cross_entropy
from advsmooth.models import registry

EIGENVECTOR = "eigenvector"
COMPARED = (
    "eigenvector",
    "random",
    "gap",
    "spread",
    "common_gap",
    "fell",
    "fell_random",
    "error",
    "error_random",
    "start",
    "equal_rise",
    "equal_rise_common",
    "curvature_ratio",
    "largest_variance",
)
"""What :func:`compare` gives beside ``offset`` and ``accuracy``; not numbers where there is nothing to compare."""


def directions(
    model: nn.Module, moved: Tensor, y: Tensor, *, randoms: int, seed: int, batch: int = 1024
) -> list[tuple[str, Point, float, float]]:
    """The top eigenvector of the Hessian and random unit vectors, with the curvature along each.

    Args:
        model: at ``theta``.
        moved: adversarial examples, constants here; the Hessian is that of the mean loss at all of them.
        y: labels.
        randoms: random vectors, uniform on the sphere.
        seed: of these and of the eigenvector's starting vector.
        batch: examples at a time.

    Returns:
        Name (``eigenvector``, ``random 1``, ...), unit direction ``v``, ``v.Hv`` and, for the eigenvector, the residual
        ``|Hv - lambda v|`` (zero for the others, which solve nothing).
    """
    hessian = curvature.model_hessian(model, moved, y, batch=batch, linearised=True)
    generator = settings.generator(seed, str(moved.device))
    pairs = curvature.top_eigenpairs(hessian, 1, generator=generator)
    here = point(model)
    found = [(EIGENVECTOR, unflat(pairs.vectors[0], here), pairs.values[0].item(), pairs.residuals[0].item())]
    for number in range(1, randoms + 1):
        vector = torch.randn(hessian.size, generator=generator, dtype=hessian.dtype, device=hessian.device)
        vector = vector / vector.norm()
        found.append((f"random {number}", unflat(vector, here), torch.dot(vector, hessian @ vector).item(), 0.0))
    return found


def curvature_in_double(model: nn.Module, moved: Tensor, y: Tensor, direction: Point) -> float:
    """``v.Hv`` of a copy in double precision, by differentiating the product of the gradient with ``v`` backwards.

    Another route than that of :mod:`advsmooth.analysis.curvature` (forward over reverse, in the model's precision). A
    finite difference would be no judge: ReLUs that change sign on the way add jumps of the gradient to it.
    """
    double = copy.deepcopy(model).double()
    v = {name: tensor.double() for name, tensor in unit(direction).items()}
    place = {name: value.requires_grad_() for name, value in point(double).items()}
    with frozen(double):
        loss = functional.cross_entropy(torch.func.functional_call(double, place, (moved.double(),)), y)
        slope = torch.autograd.grad(loss, list(place.values()), create_graph=True)
        along = torch.stack([(g * v[name]).sum() for name, g in zip(place, slope, strict=True)]).sum()
        bend = torch.autograd.grad(along, list(place.values()), allow_unused=True)
    found = zip(place, bend, strict=True)
    return sum(float((h * v[name]).sum()) for name, h in found if h is not None)


def study(
    model: nn.Module,
    attack: Attack,
    x: Tensor,
    y: Tensor,
    *,
    offsets: Sequence[float],
    runs: int,
    cut: float,
    randoms: int,
    seed: int,
    batch: int = 1024,
) -> pd.DataFrame:
    """Similarity of the perturbations at ``theta + a v`` and ``theta - a v``, error and loss there (figures 3 and 10).

    A direction is followed while the robust accuracy, at the worse of the two points, stays above the cut.

    Args:
        model: at ``theta``; left as found.
        attack: run anew at each point.
        x: training inputs.
        y: labels.
        offsets: distances ``a``, ascending, the first 0.
        runs: repetitions with other random starts of the attack.
        cut: smallest robust accuracy; the row at ``a = 0`` is always there.
        randoms: random directions.
        seed: of the directions and the attacks.
        batch: examples at a time.

    Returns:
        One row per direction and offset: ``direction``, ``curvature`` (``v.Hv``), ``double`` (the same by
        :func:`curvature_in_double`), ``residual``, ``offset``; ``cosine``
        (mean over examples and runs, the two attacks starting at points of their own), ``variance`` and ``spread``
        (over the runs; largest minus smallest), ``common`` (the cosine if the two attacks start at the same random
        point; one run); ``error`` (robust, mean of the two points), ``accuracy`` (robust, at the worse
        point), ``rise`` (mean adversarial loss of the two points above that at ``theta``), ``loss`` (that mean itself).
        A network that is not above the cut at ``a = 0`` has these rows only, and no curvature.

    Raises:
        ValueError: for offsets that do not ascend from 0, or fewer than two runs.
    """
    if list(offsets) != sorted(set(offsets)) or offsets[0] != 0 or len(offsets) < 2:
        raise ValueError(f"offsets={list(offsets)!r}: allowed is an ascending list that begins with 0")
    if runs < 2:
        raise ValueError(f"runs={runs!r}: a spread needs at least 2")
    start, seeds = point(model), settings.seeds(runs * seed, runs)
    moved = adversarial_examples(model, attack, x, y, seed=seed, batch=batch)

    def both(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([cross_entropy(logits, labels), zero_one(logits, labels)], dim=1)

    def height(side: float, v: Point) -> Tensor:
        with standing_at(model, shifted(start, (side, v))):
            found = example_losses(model, x, y, loss=both, attack=attack, seed=seed, batch=batch)
        return found.double().mean(0)

    def at(a: float, v: Point) -> dict[str, Any] | None:
        sides = torch.stack([height(a, v), height(-a, v)]) if a else height(0.0, v).expand(2, 2)
        accuracy = 1 - sides[:, 1].max().item()
        if a > 0 and not accuracy > cut:
            return None
        own = perturbations.similarity_along(model, attack, x, y, v, [a], seeds=seeds, batch=batch)["cosine"]
        common = perturbations.similarity_along(
            model, attack, x, y, v, [a], seeds=seeds[:1], common_start=True, batch=batch
        )["cosine"]
        return {
            "cosine": own.mean(),
            "variance": own.var(),
            "spread": np.ptp(own),
            "common": common.item(),
            "error": sides[:, 1].mean().item(),
            "accuracy": accuracy,
            "loss": sides[:, 0].mean().item(),
        }

    zero = at(0.0, start)
    assert zero is not None
    if not zero["accuracy"] > cut:
        nowhere = {"curvature": math.nan, "double": math.nan, "residual": math.nan, "offset": 0.0, "rise": 0.0}
        names = [EIGENVECTOR, *(f"random {number}" for number in range(1, randoms + 1))]
        return pd.DataFrame([{"direction": name} | nowhere | zero for name in names])
    rows: list[dict[str, Any]] = []
    for name, v, curved, residual in directions(model, moved, y, randoms=randoms, seed=seed, batch=batch):
        again = curvature_in_double(model, moved, y, v)
        about: dict[str, Any] = {"direction": name, "curvature": curved, "double": again, "residual": residual}
        for a in offsets:
            found = at(a, v) if a else zero
            if found is None:
                break
            rows.append(about | {"offset": a, "rise": found["loss"] - zero["loss"]} | found)
    return pd.DataFrame(rows)


def curve(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The curve of one network along the eigenvector or, for ``kind="random"``, the mean over its random directions.

    Returns:
        A row per offset that all directions of the kind reach, indexed by it.
    """
    chosen = table[table["direction"].str.startswith(kind)]
    numbers = chosen.drop(columns="direction").groupby("offset").mean()
    reached = chosen.groupby("offset")["direction"].nunique() == chosen["direction"].nunique()
    return numbers[reached]


def gap_at_equal_rise(eigenvector: pd.DataFrame, random: pd.DataFrame, column: str = "cosine") -> float:
    """How far the eigenvector's curve lies below the random one where the loss has risen by the same amount.

    The rises compared are those of the eigenvector's points that the random curve reaches too; there the random curve
    is interpolated between its points. NaN if there is none.

    Args:
        eigenvector: of :func:`curve`.
        random: of :func:`curve`.
        column: ``cosine`` or ``common``.
    """
    rises = np.maximum.accumulate(random["rise"].to_numpy())
    reached = eigenvector[(eigenvector.index > 0) & (eigenvector["rise"] > 0) & (eigenvector["rise"] <= rises[-1])]
    if reached.empty:
        return float("nan")
    other = np.interp(reached["rise"], rises, random[column])
    return float((other - reached[column]).mean())


def compare(table: pd.DataFrame) -> dict[str, float]:
    """Eigenvector against random directions, for one network.

    Args:
        table: of :func:`study`.

    Returns:
        ``offset``: the largest distance at which both kinds are still above the cut (0 if there is none; then all
        else but ``accuracy`` is NaN). There, ``eigenvector`` and ``random``: the cosines; ``gap``: random minus
        eigenvector; ``spread``: the largest over the runs of any point; ``common_gap``: the gap with common starts;
        ``fell`` and ``fell_random``: how much the cosine has fallen since ``a = 0``; ``error`` and ``error_random``:
        how much the robust error has risen. At ``a = 0``: ``accuracy``, ``start`` (the cosine lost to the random
        starts alone). ``equal_rise`` and ``equal_rise_common``: :func:`gap_at_equal_rise`. ``curvature_ratio``: top
        eigenvalue over the mean curvature along the random directions. ``largest_variance``, of any point.
    """
    sharp, random = curve(table, EIGENVECTOR), curve(table, "random")
    shared = [a for a in sharp.index if a in random.index]
    of, of_random = sharp.to_dict("index"), random.to_dict("index")
    last, zero = shared[-1], of[0]
    found = {"offset": float(last), "accuracy": float(zero["accuracy"])}
    if last == 0:
        return dict.fromkeys(COMPARED, float("nan")) | found
    at, other = of[last], of_random[last]
    numbers = {
        "eigenvector": at["cosine"],
        "random": other["cosine"],
        "gap": other["cosine"] - at["cosine"],
        "spread": table["spread"].max(),
        "common_gap": other["common"] - at["common"],
        "fell": zero["cosine"] - at["cosine"],
        "fell_random": zero["cosine"] - other["cosine"],
        "error": at["error"] - zero["error"],
        "error_random": other["error"] - zero["error"],
        "start": 1 - zero["cosine"],
        "equal_rise": gap_at_equal_rise(sharp, random),
        "equal_rise_common": gap_at_equal_rise(sharp, random, "common"),
        "curvature_ratio": at["curvature"] / other["curvature"],
        "largest_variance": table["variance"].max(),
    }
    return found | {name: float(value) for name, value in numbers.items()}


def networks(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`compare` for each network of a table with the columns ``eps`` and ``seed``, a row each."""
    return pd.DataFrame(
        {"eps": eps, "seed": seed} | compare(part) for (eps, seed), part in table.groupby(["eps", "seed"])
    )


def by_seed(compared: pd.DataFrame) -> pd.DataFrame:
    """What a trend asks to be positive, one row per seed: means over the budgets of the networks that have any room.

    Networks of one seed share their first weights and the order of their data, so they are not independent.

    Args:
        compared: of :func:`networks`.

    Returns:
        By seed: ``lower`` (how much the gap at the same distance exceeds the spread over the runs), ``error`` (how much
        more the robust error rises along the eigenvector), ``stays`` (a quarter of the similarity lost along the
        eigenvector, less what is lost along random directions), ``random-start`` (similarity lost at ``a = 0``),
        ``common-start`` (as ``lower``, with common starts), ``equal-rise`` and ``equal-rise-common``.
    """
    counted = compared[compared["offset"] > 0]
    quantities = pd.DataFrame(
        {
            "seed": counted["seed"],
            "lower": counted["gap"] - counted["spread"],
            "error": counted["error"] - counted["error_random"],
            "stays": 0.25 * counted["fell"] - counted["fell_random"],
            "random-start": counted["start"],
            "common-start": counted["common_gap"] - counted["spread"],
            "equal-rise": counted["equal_rise"],
            "equal-rise-common": counted["equal_rise_common"],
        }
    )
    return quantities.groupby("seed").mean()


def opposite_perturbations(
    model: nn.Module, attack: Attack, x: Tensor, y: Tensor, direction: Point, offset: float, *, seed: int
) -> tuple[Tensor, Tensor]:
    """The perturbations found at ``theta + a v`` and ``theta - a v`` from the same random start, shape of ``x``."""
    start, v, found = point(model), unit(direction), []
    for side in (offset, -offset):
        with standing_at(model, shifted(start, (side, v))):
            found.append(adversarial_examples(model, attack, x, y, seed=seed) - x)
    return found[0], found[1]


def chance(x: Tensor, eps: float, *, seed: int) -> float:
    """Mean cosine of two perturbations that have nothing to do with each other: random signs times ``eps``, clipped.

    In the middle of the pixel range it is 0. A pixel that is 0 or 1 can move one way only, so two such perturbations
    agree on half of what they change, and where all pixels are like this the cosine is near a half.
    """
    generator = settings.generator(seed, str(x.device))

    def signs() -> Tensor:
        drawn = torch.randint(0, 2, x.shape, generator=generator, device=x.device).to(x.dtype) * 2 - 1
        return (x + eps * drawn).clamp(0, 1) - x

    return perturbations.cosine_similarity(signs(), signs()).mean().item()


def replay(dataset: str, n: int, eps: float, w: int, seed: int) -> dict[str, float]:
    """The study of an untrained LeNet, small: what a record stores to be run again.

    Args:
        dataset: name of the data set.
        n: of its images, drawn with seed 0.
        eps: budget, pixel scale.
        w: width factor.
        seed: of network, directions and attacks.
    """
    images = data.load(dataset).take(n, seed=0)
    model = registry.build("lenet", in_shape=images.shape, classes=len(images.class_names), seed=seed, w=w)
    attack = PGD(eps=eps, steps=3)
    table = study(model, attack, images.x, images.y, offsets=[0.0, 0.5], runs=2, cut=-1.0, randoms=1, seed=seed)
    last = table[table["offset"] == 0.5].set_index("direction")[["cosine", "rise"]].to_dict("index")
    return {f"{name} {kind}": float(value) for kind, row in last.items() for name, value in row.items()}
