"""Which examples a run trains on, and in which order; and the generators of everything that is random in it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from advsmooth import settings
from advsmooth.data import Dataset


def hold_out(data: Dataset, n: int, generator: torch.Generator) -> tuple[Dataset, Dataset | None]:
    """A random split into training data and ``n`` held-out examples (``None`` for 0).

    Raises:
        ValueError: if nothing is left to train on.
    """
    if not 0 <= n < len(data):
        raise ValueError(f"held_out={n!r}: {data.name} has {len(data)} examples; allowed is 0 to {len(data) - 1}")
    if n == 0:
        return data, None
    order = torch.randperm(len(data), generator=generator).to(data.y.device)
    held, rest = order[:n], order[n:].sort().values
    return replace(data, x=data.x[rest], y=data.y[rest]), replace(data, x=data.x[held], y=data.y[held])


class Order:
    """The endless stream of mini-batches: a fresh permutation for each pass over ``n`` examples.

    Args:
        n: examples.
        batch: of a mini-batch.
        drop_last: leave out the smaller last one of each pass.
        generator: on the CPU, so that the order does not depend on the device.

    Raises:
        ValueError: if a pass would have no batch.
    """

    def __init__(self, n: int, batch: int, drop_last: bool, generator: torch.Generator) -> None:
        self.n, self.batch, self.generator = n, batch, generator
        self.batches = n // batch if drop_last else math.ceil(n / batch)
        if self.batches < 1:
            raise ValueError(f"batch={batch}: larger than the {n} training examples; use a smaller one")
        self.start_pass()

    def start_pass(self, position: int = 0) -> None:
        """Draw a permutation, from the generator as it is, and go to a position in it."""
        self.state = self.generator.get_state()
        self.permutation = torch.randperm(self.n, generator=self.generator)
        self.position = position

    def draw(self) -> Tensor:
        """Indices of the next mini-batch, on the CPU."""
        if self.position == self.batches:
            self.start_pass()
        first = self.position * self.batch
        self.position += 1
        return self.permutation[first : first + self.batch]

    def restore(self, state: Tensor, position: int) -> None:
        """Continue where another stream stood."""
        self.generator.set_state(state)
        self.start_pass(position)


def generators(seed: int, device: torch.device | str) -> dict[str, torch.Generator]:
    """Independent generators for what is random in a run: ``split`` and ``order`` on the CPU, ``augment``, ``attack``,
    ``noise`` on the device.
    """
    names = ("split", "order", "augment", "attack", "noise")
    seeds = torch.randint(2**62, (len(names),), generator=settings.generator(seed)).tolist()
    place = {"split": "cpu", "order": "cpu"}
    return {n: torch.Generator(place.get(n, device)).manual_seed(s) for n, s in zip(names, seeds, strict=True)}
