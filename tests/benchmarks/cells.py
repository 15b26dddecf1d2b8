"""Cells of the sweep over width, depth and initialisation: all seeds in one pass, and one network after the other."""

from __future__ import annotations

from dataclasses import replace

import measure
from measure import Row, Sizes

from advsmooth import data
from advsmooth.analysis import width_and_depth
from advsmooth.analysis.width_and_depth import Cell


def rows(device: str, sizes: Sizes) -> list[Row]:
    """A narrow and a wide cell of the page on width, depth and initialisation, its measurements included."""
    train, test = data.load("digits", device=device), data.load("digits", "test", device=device)
    found = []
    for m in (16, 128):
        cell = Cell("he", 4, m, 1000, 3, tuple(range(max(2, sizes.networks // 2))))
        alone = [replace(cell, seeds=(seed,)) for seed in cell.seeds]

        def together(cell: Cell = cell) -> None:
            width_and_depth.measured(cell, train, test)

        def in_turn(alone: list[Cell] = alone) -> None:
            for one in alone:
                width_and_depth.measured(one, train, test)

        times = measure.interleaved(
            {"ours": together, "theirs": in_turn},
            repetitions=sizes.repetitions,
            device=device,
            shortest_s=sizes.shortest_s,
        )
        found.append(
            measure.compare(
                "cells",
                f"{len(alone)} networks FCN(m={m}, L=4), {cell.n} images, {cell.epochs} epochs, measured (s)",
                "one after the other",
                times["ours"],
                times["theirs"],
            )
        )
    return found
