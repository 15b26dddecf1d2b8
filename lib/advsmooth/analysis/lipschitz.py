"""Lipschitz constants of data sets: the smallest distance between inputs of different classes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from advsmooth import data
from advsmooth.data import Dataset


@dataclass(frozen=True)
class Separation:
    """How far apart the classes of a data set lie, in the Euclidean norm of the inputs.

    Attributes:
        distance: the smallest distance between two inputs of different classes, exact to float64 rounding.
        pair: indices of two inputs at that distance.
        nearest: for each input, the distance to its nearest input of another class, shape ``(n,)``, float64;
            exact unless two neighbours are closer to a tie than float32 can tell, and then off by no more.
        between: the smallest distance between each two classes, shape ``(classes, classes)``, float64;
            infinite on the diagonal.
        duplicates: how many pairs of equal inputs with different labels were set aside.
    """

    distance: float
    pair: tuple[int, int]
    nearest: Tensor
    between: Tensor
    duplicates: int

    @property
    def lipschitz(self) -> float:
        """Lipschitz constant of the labels in the (2, infinity) norm: ``1 / distance``.

        Labels are unit vectors, so two different ones lie 1 apart in the infinity norm, and
        ``max |y_i - y_j| / |x_i - x_j|`` is attained by the closest pair (Finlay et al., table 4).
        """
        return 1.0 / self.distance


def separation(dataset: Dataset, *, block: int = 4096) -> Separation:
    """Exact nearest neighbours of other classes, blockwise in bounded memory.

    Squared distances of a block come from one float32 matrix product, ``|a|^2 + |b|^2 - 2 a.b``. Its
    rounding error is bounded (Higham, Accuracy and Stability, section 3.1: an inner product of length d
    errs by at most ``gamma_d |a||b|``), so every pair that could be the closest survives the screening
    and is measured again in float64 from the difference of the two inputs.

    Args:
        dataset: inputs of any shape, float32 (flattened here), and labels.
        block: rows of a block. Extra memory is one sorted copy of the inputs and a few float32 tables of ``block^2``;
            it does not grow with the number of pairs. On MNIST it stays under 512 MiB.

    Raises:
        ValueError: if there are fewer than two classes, or all inputs of different classes coincide.
    """
    order = torch.argsort(dataset.y, stable=True)
    x = dataset.x.reshape(len(dataset), -1)[order].to(torch.float32)
    classes, sizes = torch.unique_consecutive(dataset.y[order], return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"{dataset.name}: {len(classes)} class; a distance between classes needs at least 2")
    starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]).tolist()
    squared = torch.einsum("nd,nd->n", x, x)  # x.square() would be a second copy of the inputs
    error = _screening_error(squared.max().item(), x.shape[1])

    nearest = torch.full((len(dataset),), torch.inf, dtype=torch.float64)
    between = torch.full((len(classes), len(classes)), torch.inf, dtype=torch.float64)
    best, pair, duplicates = torch.inf, (-1, -1), 0
    for a, b in itertools.combinations(range(len(classes)), 2):
        rows, columns = slice(starts[a], starts[a + 1]), slice(starts[b], starts[b + 1])
        for i, j in _blocks(rows, columns, block):
            closest, equal = _search(x, squared, nearest, i, j, between[a, b].item(), error)
            duplicates += equal
            if closest is None:
                continue
            distance, row, column = closest
            between[a, b] = between[b, a] = min(between[a, b].item(), distance)
            if distance < best:
                best, pair = distance, (int(order[i.start + row]), int(order[j.start + column]))
    if not best < torch.inf:
        raise ValueError(f"{dataset.name}: all inputs of different classes coincide; there is no distance to report")
    unsorted = torch.empty_like(nearest)
    unsorted[order] = nearest
    return Separation(best, pair, unsorted, between, duplicates)


def _screening_error(largest_square: float, d: int) -> float:
    """Bound on the float32 error of a screened squared distance, ``|a|, |b|`` at most ``sqrt(largest_square)``."""
    unit = torch.finfo(torch.float32).eps / 2
    gamma = (d + 4) * unit / (1 - (d + 4) * unit)
    return 4 * gamma * largest_square


def _blocks(rows: slice, columns: slice, size: int) -> Iterator[tuple[slice, slice]]:
    for start in range(rows.start, rows.stop, size):
        for other in range(columns.start, columns.stop, size):
            yield slice(start, min(start + size, rows.stop)), slice(other, min(other + size, columns.stop))


def _search(
    x: Tensor, squared: Tensor, nearest: Tensor, i: slice, j: slice, best: float, error: float
) -> tuple[tuple[float, int, int] | None, int]:
    """The closest pair of a block if it may be closer than ``best``, and how many are equal; lowers ``nearest``."""
    screened = torch.addmm(squared[i, None], x[i], x[j].T, alpha=-2).add_(squared[None, j])
    equal = _equal_pairs(x, i, j, screened, error)
    screened[equal[:, 0], equal[:, 1]] = torch.inf
    _update_nearest(nearest, x, i, j, screened)
    return _remeasured(x, i, j, screened, best, error), len(equal)


def _equal_pairs(x: Tensor, i: slice, j: slice, screened: Tensor, error: float) -> Tensor:
    """Index pairs ``(k, 2)`` within the block of inputs that are equal in every coordinate."""
    suspects = (screened <= error).nonzero()
    return suspects[(x[i][suspects[:, 0]] == x[j][suspects[:, 1]]).all(1)]


def _remeasured(
    x: Tensor, i: slice, j: slice, screened: Tensor, best: float, error: float
) -> tuple[float, int, int] | None:
    """The closest pair of a block in float64, or ``None`` if no pair can be closer than ``best``."""
    limit = min(screened.min().item() + 2 * error, best**2 + error)
    candidates = (screened <= min(limit, torch.finfo(screened.dtype).max)).nonzero()
    if len(candidates) == 0:
        return None
    difference = x[i][candidates[:, 0]].double().sub_(x[j][candidates[:, 1]])
    distance, first = difference.norm(dim=1).min(0)
    row, column = candidates[first].tolist()
    return distance.item(), row, column


def _update_nearest(nearest: Tensor, x: Tensor, i: slice, j: slice, screened: Tensor) -> None:
    """Lower the entries of both sides of a block; the distance to the screened neighbour is measured in float64."""
    for own, other, (least, index) in ((i, j, screened.min(1)), (j, i, screened.min(0))):
        distance = x[own].double().sub_(x[other][index]).norm(dim=1)
        distance[least == torch.inf] = torch.inf
        nearest[own] = torch.minimum(nearest[own], distance)


def mcshane(x: Tensor, y: Tensor, constant: float, at: Tensor) -> Tensor:
    """Extend one-hot labels to a Lipschitz map (McShane 1934): ``u_k(z) = min_i (1[y_i = k] + L |z - x_i|)``.

    With ``L`` at least the Lipschitz constant of the labels, ``u`` equals the labels on the data and is
    ``L``-Lipschitz everywhere, Euclidean norm to infinity norm.

    Args:
        x: data, shape ``(n, d)``, floating point.
        y: labels, shape ``(n,)``.
        constant: ``L``, per unit of distance.
        at: points ``z``, shape ``(m, d)``, same dtype as ``x``.

    Returns:
        Shape ``(m, classes)``.
    """
    distance = torch.cdist(at, x, compute_mode="donot_use_mm_for_euclid_dist")
    one_hot = torch.nn.functional.one_hot(y).to(x.dtype)
    return torch.stack([(column + constant * distance).min(1).values for column in one_hot.T], dim=1)


def tidy(dataset: Dataset, found: Separation, *, quantiles: int = 100) -> pd.DataFrame:
    """A separation as a tidy table, one row per number, columns ``quantity, i, j, value``.

    ``images``, ``distance``, ``duplicates``: one row each. ``between``: one row per pair of classes ``i < j``.
    ``nearest_quantile``: the ``i``-quantile of the distances to the nearest image of another class. ``label``: the
    label of the closest pair's first (``i = 0``) and second image. ``pixel``: the pair's grey values, pixel ``j`` of
    image ``i``, zeros left out; only for grey images. ``width``: pixels in a row of such an image.
    """
    rows: list[tuple[str, float, float, float]] = [
        ("images", 0, 0, len(dataset)),
        ("distance", 0, 0, found.distance),
        ("duplicates", 0, 0, found.duplicates),
    ]
    classes = len(found.between)
    rows += [("between", a, b, found.between[a, b].item()) for a, b in itertools.combinations(range(classes), 2)]
    levels = torch.linspace(0, 1, quantiles + 1, dtype=torch.float64)
    rows += [
        ("nearest_quantile", q.item(), 0, v.item()) for q, v in zip(levels, found.nearest.quantile(levels), strict=True)
    ]
    rows += [("label", k, 0, dataset.y[index].item()) for k, index in enumerate(found.pair)]
    if len(dataset.shape) == 3 and dataset.shape[0] == 1:
        rows.append(("width", 0, 0, dataset.shape[-1]))
        for k, index in enumerate(found.pair):
            image = dataset.x[index].flatten()
            rows += [("pixel", k, p, round(image[p].item(), 6)) for p in image.nonzero().flatten().tolist()]
    return pd.DataFrame(rows, columns=["quantity", "i", "j", "value"])


def pair_images(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """The closest pair of a :func:`tidy` table as two square grey images, and their labels."""
    width = int(table.loc[table.quantity == "width", "value"].item())
    images = np.zeros((2, width * width))
    pixels = table[table.quantity == "pixel"]
    images[pixels["i"].astype(int), pixels["j"].astype(int)] = pixels["value"]
    labels = table.loc[table.quantity == "label", "value"].astype(int).tolist()
    first, second = images.reshape(2, width, width)
    return first, second, (labels[0], labels[1])


def between_classes(table: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """The distances between classes of a :func:`tidy` table: class numbers as texts, and a symmetric matrix
    with NaN on the diagonal.
    """
    pairs = table[table.quantity == "between"]
    size = int(pairs["j"].max()) + 1
    grid = np.full((size, size), np.nan)
    i, j = pairs["i"].astype(int), pairs["j"].astype(int)
    grid[i, j] = grid[j, i] = pairs["value"]
    return [str(k) for k in range(size)], grid


def replay(name: str, n: int, seed: int) -> dict[str, float]:
    """The replay of a record: the separation of a random subset of the training examples of a data set."""
    found = separation(data.load(name).take(n, seed=seed))
    return {"distance": found.distance, "mean_nearest": found.nearest.mean().item()}
