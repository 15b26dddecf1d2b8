"""A model as a point in parameter space: its parameters read, moved, and put back exactly.

Points and directions are dictionaries from the names of ``model.named_parameters()`` to tensors of their shapes,
detached, in the dtype and on the device of the model. Nothing here changes a parameter, a buffer or a flag for
longer than a ``with`` block.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor, nn

Point = dict[str, Tensor]
"""Parameter name -> tensor; also a direction."""


def point(model: nn.Module, only: Collection[str] | None = None) -> Point:
    """A copy of the parameters of a model, or of those named in ``only``, in the model's order.

    Raises:
        ValueError: for a name that is not a parameter, or a model without parameters.
    """
    found = {name: p.detach().clone() for name, p in model.named_parameters() if only is None or name in only}
    missing = sorted(set(only or ()) - set(found))
    if missing or not found:
        known = ", ".join(name for name, _ in model.named_parameters())
        raise ValueError(f"parameter {missing[0] if missing else only!r}: not in the model; allowed: {known or 'none'}")
    return found


def buffers(model: nn.Module) -> Point:
    """A copy of the buffers of a model, such as the running statistics of its norm layers."""
    return {name: b.detach().clone() for name, b in model.named_buffers()}


def flat(direction: Mapping[str, Tensor]) -> Tensor:
    """All entries as one vector ``(P,)``, in the order of the dictionary."""
    return torch.cat([tensor.reshape(-1) for tensor in direction.values()])


def unflat(vector: Tensor, like: Mapping[str, Tensor]) -> Point:
    """The dictionary of a vector ``(P,)``, its entries views of it; the inverse of :func:`flat`.

    Raises:
        ValueError: if ``P`` is not the number of entries of ``like``.
    """
    sizes = [tensor.numel() for tensor in like.values()]
    if vector.shape != (sum(sizes),):
        raise ValueError(f"vector of shape {tuple(vector.shape)}: allowed is ({sum(sizes)},)")
    parts = vector.split(sizes)
    return {name: part.view(like[name].shape) for name, part in zip(like, parts, strict=True)}


def length(direction: Mapping[str, Tensor]) -> float:
    """Euclidean norm of all entries together, added up in float64."""
    return math.sqrt(sum(tensor.double().square().sum().item() for tensor in direction.values()))


def unit(direction: Mapping[str, Tensor]) -> Point:
    """The direction divided by its :func:`length`.

    Raises:
        ValueError: if it is zero or not finite.
    """
    size = length(direction)
    if not 0 < size < math.inf:
        raise ValueError(f"direction of length {size}: allowed is a finite one that is not zero")
    return {name: tensor / size for name, tensor in direction.items()}


def shifted(start: Mapping[str, Tensor], *terms: tuple[float, Mapping[str, Tensor]]) -> Point:
    """``start + a_1 d_1 + a_2 d_2 + ...`` for terms ``(a_k, d_k)``; a direction may leave out parameters.

    Raises:
        ValueError: if a direction has a parameter that ``start`` does not have, or another shape.
    """
    moved = dict(start)
    for offset, direction in terms:
        for name, tensor in direction.items():
            if name not in moved or moved[name].shape != tensor.shape:
                raise ValueError(f"direction {name!r} of shape {tuple(tensor.shape)}: no such parameter to move")
            moved[name] = moved[name] + offset * tensor
    return moved


@contextlib.contextmanager
def standing_at(model: nn.Module, place: Mapping[str, Tensor]) -> Iterator[nn.Module]:
    """The model with its parameters at ``place`` inside, and exactly the old ones afterwards, bit for bit.

    Parameters that ``place`` leaves out stay where they are.
    """
    before = point(model, list(place))
    parameters = dict(model.named_parameters())

    def put(values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                parameters[name].copy_(value)

    try:
        put(place)
        yield model
    finally:
        put(before)


def distance_from(model: nn.Module) -> Callable[[nn.Module], float]:
    """The Euclidean distance of a network's parameters from where ``model`` stands now, as a function of that network.

    For the ``measures`` of :mod:`advsmooth.training.runs`: figure 1c of Liu et al. shows it along the training.
    """
    start = point(model)
    return lambda moved: length({name: value - start[name] for name, value in point(moved).items()})
