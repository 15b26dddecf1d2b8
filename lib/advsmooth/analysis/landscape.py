"""The loss along lines and planes, in parameter space and in input space.

A contour is the loss as a function of offsets from a reference point along chosen directions::

    parameters   L(theta + a_1 d_1 + a_2 d_2)           Liu et al., figure 12; Kanai et al., figure 7
    inputs       mean over i of l(x_i + a_1 d_1 + a_2 d_2)      Pang et al., section 4.1

The directions are random and filter-normalised (Li et al. 2018), random signs (the contour of the authors' artifact of
Pang et al.), Hessian eigenvectors (``parameter_space.unflat`` of a row of the ``vectors`` that
:func:`advsmooth.analysis.curvature.top_eigenpairs` returns), or gradients (:func:`gradient_direction`,
:func:`advsmooth.analysis.input_gradient.loss_gradients`). Every point is computed from the reference point itself, in
eval mode; the model is left as found, bit for bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth.analysis.empirical import Attack, batches, mean_loss
from advsmooth.analysis.parameter_space import Point, buffers, point, shifted, standing_at
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy

PARAMETER_REACH = 0.5
"""The artifact of Pang et al. evaluates the loss on the square from minus this to this, in parameter space ..."""
INPUT_REACH = 0.2
"""... and from minus this to this in input space (pixel scale)."""

# --- directions -------------------------------------------------------------------------------------------------


def random_direction(start: Point, generator: torch.Generator, *, normalise: str = "filter") -> Point:
    """A Gaussian direction in parameter space.

    ``filter``: each filter, the slice of a weight that makes one output, gets the norm of the filter it belongs to,
    and biases and norm layers (tensors with one dimension) stay where they are (Li et al. 2018). ``layer``: the same
    with whole weights. ``none``: independent standard normal entries everywhere.

    Args:
        start: the reference point.
        generator: drawn from on its own device, in float64, in the order of ``start``.
        normalise: see above.

    Raises:
        ValueError: for another ``normalise``.
    """
    if normalise not in ("filter", "layer", "none"):
        raise ValueError(f"normalise={normalise!r}: allowed is filter, layer or none")
    direction = {}
    for name, weight in start.items():
        drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64, device=generator.device).to(weight)
        if normalise != "none":
            drawn = _scaled(drawn, weight, by_filter=normalise == "filter")
        direction[name] = drawn
    return direction


def _scaled(drawn: Tensor, weight: Tensor, by_filter: bool) -> Tensor:
    if weight.ndim < 2:
        return torch.zeros_like(weight)
    rows = len(weight) if by_filter else 1
    size = weight.reshape(rows, -1).norm(dim=1, keepdim=True)
    return (torch.nn.functional.normalize(drawn.reshape(rows, -1), dim=1) * size).reshape(weight.shape)


def gradient_direction(
    model: nn.Module, x: Tensor, y: Tensor, *, loss: Loss = cross_entropy, batch: int = 1024
) -> Point:
    """The gradient of the mean loss in the parameters, in eval mode; not normalised."""
    start, fixed = point(model), buffers(model)

    def share(place: Point, some: Tensor, labels: Tensor) -> Tensor:
        return loss(torch.func.functional_call(model, {**fixed, **place}, (some,)), labels).sum() / len(x)

    result = {name: torch.zeros_like(value) for name, value in start.items()}
    with frozen(model):
        for some, labels in batches(x, y, batch):
            result = shifted(result, (1.0, torch.func.grad(share)(start, some, labels)))
    return result


def first_convolution(model: nn.Module) -> list[str]:
    """Names of the parameters of the first convolution that the model lists.

    Raises:
        ValueError: if it has none.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return [f"{name}.{own}".lstrip(".") for own, _ in module.named_parameters()]
    raise ValueError(f"{type(model).__name__}: no convolution; name the parameters to move yourself")


def orthogonal_signs(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two random vectors ``(size,)`` of entries +1 and -1, float64, orthogonal, and otherwise uniform.

    Raises:
        ValueError: for an odd size, for which no two such vectors are orthogonal.
    """
    if size < 2 or size % 2:
        raise ValueError(f"size={size!r}: two sign vectors are orthogonal only if they have an even number of entries")
    device = generator.device
    first = torch.randint(0, 2, (size,), generator=generator, device=device).double() * 2 - 1
    agree = torch.ones(size, dtype=torch.float64, device=device)
    agree[torch.randperm(size, generator=generator, device=device)[: size // 2]] = -1  # they differ in exactly half
    return first, first * agree


def offsets(reach: float, points: int) -> list[float]:
    """``points`` equally spaced numbers from ``-reach`` to ``reach``; 0 is one of them if their number is odd."""
    if points < 2 or not 0 < reach < float("inf"):
        raise ValueError(f"reach={reach!r}, points={points!r}: allowed is a positive reach and at least 2 points")
    return [round(float(a), 12) for a in np.linspace(-reach, reach, points)]


# --- contours ---------------------------------------------------------------------------------------------------


def contour(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    directions: Sequence[Point],
    grid: Sequence[Sequence[float]],
    *,
    loss: Loss = cross_entropy,
    attack: Attack | None = None,
    seed: int = 0,
    batch: int = 1024,
    at_once: int = 1,
) -> pd.DataFrame:
    """The mean loss at ``theta + a_1 d_1 + ...`` for every combination of offsets.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs.
        y: labels.
        directions: one for a line, two for a plane; a direction may leave out parameters.
        grid: for each direction its offsets.
        loss: per example.
        attack: if given, the adversarial loss: examples are found anew at every point, each time from the same seed,
            so that two points differ by their parameters and not by the random start.
        seed: of the attack.
        batch: examples at a time.
        at_once: points evaluated in one vectorised pass (clean loss only). It is for small networks on few examples,
            where the overhead of a pass counts; on a CPU 16 points were 1.0 to 1.5 times as fast with 128 digits,
            and up to 4 times slower with 1024.

    Returns:
        One row per point: ``a1, a2, ..., loss``, the last direction running fastest.

    Raises:
        ValueError: if directions and grid do not match, or an attack is to be vectorised.
    """
    combinations = _combinations(directions, grid)
    if at_once < 1 or (attack is not None and at_once > 1):
        raise ValueError(f"at_once={at_once!r}: allowed is at least 1, and only 1 with an attack")
    start = point(model, {name for direction in directions for name in direction})
    found: list[float] = []
    for first in range(0, len(combinations), at_once):
        group = combinations[first : first + at_once]
        places = [shifted(start, *zip(a, directions, strict=True)) for a in group]
        if at_once > 1:
            found += _vectorised(model, places, x, y, loss, batch)
            continue
        with standing_at(model, places[0]):
            found.append(mean_loss(model, x, y, loss=loss, attack=attack, seed=seed, batch=batch))
    return _table(combinations, found)


def _vectorised(model: nn.Module, places: Sequence[Point], x: Tensor, y: Tensor, loss: Loss, batch: int) -> list[float]:
    """The mean loss at each place, all places in one pass."""
    stacked = {name: torch.stack([place[name] for place in places]) for name in places[0]}

    def losses(place: Point, some: Tensor, labels: Tensor) -> Tensor:
        return loss(torch.func.functional_call(model, place, (some,)), labels).double().sum()

    sums = torch.zeros(len(places), dtype=torch.float64, device=x.device)
    with frozen(model), torch.no_grad():
        for some, labels in batches(x, y, batch):
            sums += torch.func.vmap(losses, in_dims=(0, None, None))(stacked, some, labels)
    return (sums / len(x)).tolist()


def input_contour(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    directions: Sequence[Tensor],
    grid: Sequence[Sequence[float]],
    *,
    loss: Loss = cross_entropy,
    batch: int = 1024,
) -> pd.DataFrame:
    """The mean loss at ``x + a_1 d_1 + ...``: as :func:`contour`, with the parameters fixed.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs ``(n, ...)``. The shifted ones are not clipped to [0, 1]: the contour is that of the function.
        y: labels.
        directions: each of the shape of one input, or of ``x`` for a direction of each input's own.
        grid: offsets in the units of ``x``.
        loss: per example.
        batch: examples at a time.
    """
    combinations = _combinations(directions, grid)
    found = []
    for a in combinations:
        moved = x
        for offset, direction in zip(a, directions, strict=True):
            moved = moved + offset * direction
        if moved.shape != x.shape:
            raise ValueError(f"directions of shape {[tuple(d.shape) for d in directions]}: inputs are {tuple(x.shape)}")
        found.append(mean_loss(model, moved, y, loss=loss, batch=batch))
    return _table(combinations, found)


def pang_contour(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    generator: torch.Generator,
    *,
    space: str = "parameters",
    points: int = 21,
    only: Collection[str] | None = None,
    loss: Loss = cross_entropy,
    batch: int = 1024,
) -> pd.DataFrame:
    """The loss contour of Pang et al. 2022, with the settings of the authors' artifact.

    Two random orthogonal directions of entries +1 and -1. In parameter space they move the first convolution (its
    weights and biases together), on the grid [-0.5, 0.5]^2; in input space all inputs alike, on [-0.2, 0.2]^2. The
    paper's own formula is cut off in the text at hand; how many points, and one pair of directions for all inputs, are
    ours.

    Args:
        model: maps ``(n, ...)`` to logits.
        x: inputs.
        y: labels.
        generator: for the directions.
        space: ``parameters`` or ``inputs``.
        points: along each side of the grid.
        only: names of the parameters to move instead of the first convolution's.
        loss: per example.
        batch: examples at a time.
    """
    if space not in ("parameters", "inputs"):
        raise ValueError(f"space={space!r}: allowed is parameters or inputs")
    if space == "inputs":
        signs = orthogonal_signs(x[0].numel(), generator)
        grid = [offsets(INPUT_REACH, points)] * 2
        return input_contour(model, x, y, [s.to(x).view(x.shape[1:]) for s in signs], grid, loss=loss, batch=batch)
    moved = point(model, first_convolution(model) if only is None else only)
    sizes = [value.numel() for value in moved.values()]
    directions = [
        {
            name: part.to(value).view(value.shape)
            for (name, value), part in zip(moved.items(), s.split(sizes), strict=True)
        }
        for s in orthogonal_signs(sum(sizes), generator)
    ]
    return contour(model, x, y, directions, [offsets(PARAMETER_REACH, points)] * 2, loss=loss, batch=batch)


def second_differences(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Central second differences of the loss over the squared spacing, along each direction of a contour.

    At the centre of a plane of unit Hessian eigenvectors they are the eigenvalues, up to the square of the spacing.

    Returns:
        ``{"a1": ..., "a2": ...}``: arrays over the grid, without the two outermost points of that direction.

    Raises:
        ValueError: if the offsets of a direction are fewer than three, or not equally spaced.
    """
    names = [column for column in table.columns if column != "loss"]
    axes = [np.unique(table[name]) for name in names]
    values = table.sort_values(names)["loss"].to_numpy().reshape([len(axis) for axis in axes])
    result = {}
    for k, (name, axis) in enumerate(zip(names, axes, strict=True)):
        if len(axis) < 3 or not np.allclose(np.diff(axis), axis[1] - axis[0], rtol=1e-6):
            raise ValueError(f"{name}: {len(axis)} offsets; a second difference needs at least 3, equally spaced")
        result[name] = np.diff(values, n=2, axis=k) / (axis[1] - axis[0]) ** 2
    return result


def _combinations(directions: Sequence[object], grid: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    if not directions or len(directions) != len(grid) or not all(len(axis) for axis in grid):
        raise ValueError(f"{len(directions)} directions, {len(grid)} lists of offsets: allowed is one list for each")
    return list(itertools.product(*grid))


def _table(combinations: Sequence[tuple[float, ...]], found: Sequence[float]) -> pd.DataFrame:
    names = [f"a{k + 1}" for k in range(len(combinations[0]))]
    return pd.DataFrame(combinations, columns=names).assign(loss=found)
