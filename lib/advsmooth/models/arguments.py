"""What the arguments of a network may be: the refusals that the families share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Integral
from typing import Any


def integer(name: str, value: Any, *, at_least: int = 1) -> int:
    """``value`` as an int.

    Raises:
        ValueError: unless it is an integer of at least ``at_least``; ``True`` is not the number 1.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name}={value!r}: allowed is an integer, at least {at_least}")
    return int(value)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """``value`` if it is one of the allowed names.

    Raises:
        ValueError: if it is not; the message names the nearest one and lists all.
    """
    options = list(allowed)
    if value in options:
        return str(value)
    near = difflib.get_close_matches(str(value), options, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{name}={value!r}: unknown; {hint}Allowed: {', '.join(options) or 'none'}")


def image(network: str, in_shape: Any, *, at_least: int = 1, multiple_of: int = 1) -> tuple[int, int, int]:
    """``in_shape`` as (channels, height, width) of one input image.

    Raises:
        ValueError: for another number of dimensions, or a side that the poolings of the network cannot halve.
    """
    shape = tuple(in_shape)
    if len(shape) != 3:
        raise ValueError(f"in_shape={shape}: {network} takes images, (channels, height, width)")
    channels, height, width = (integer("in_shape", size) for size in shape)
    if min(height, width) < at_least or height % multiple_of or width % multiple_of:
        multiple = f", a multiple of {multiple_of}" if multiple_of > 1 else ""
        raise ValueError(f"in_shape={shape}: {network} needs height and width of at least {at_least}{multiple}")
    return channels, height, width
