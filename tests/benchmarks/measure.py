"""Times side by side, and the row that comes of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the times of different sizes do not compare.

    Attributes:
        repetitions: of each measurement, at least 5 for a result.
        shortest_s: a timed section repeats its call until it takes about so long.
        batch: examples of a batch of the attacks and training steps.
        steps: of those attacks.
        networks: in a sweep.
        sweep_steps: mini-batches that a sweep trains for.
        training: examples to train those networks on whose robust error and Hessian are measured.
        epochs: for which they are trained.
        examples: whose robust error is measured, and whose loss has the Hessian.
        eigenvalues: how many.
        products: at most, for each eigenvalue of the peer.
        images: whose distances are searched and that the large Hessian takes, of MNIST's size.
        evaluated: images of the large evaluation.
        training_batch: examples of a batch of CIFAR's size on a CPU; 128 on a GPU.
        width: width factor of the ResNet-18 trained on them; 16 is the usual one.
        runs: in grids of tiny ones.
        workers: processes that share a grid.
        products_of_a_run: of matrices, in a run of that grid.
    """

    repetitions: int = 5
    shortest_s: float = 0.2
    batch: int = 64
    steps: int = 10
    networks: int = 20
    sweep_steps: int = 24
    training: int = 2048
    epochs: int = 10
    examples: int = 512
    eigenvalues: int = 20
    products: int = 100
    images: int = 60_000
    evaluated: int = 10_000
    training_batch: int = 16
    width: int = 16
    runs: tuple[int, ...] = (1, 10, 100, 1000)
    workers: tuple[int, ...] = (1, 2, 4)
    products_of_a_run: int = 4000


FULL = Sizes()
TOY = Sizes(2, 0.0, 8, 2, 3, 2, 64, 1, 24, 2, 5, 200, 64, 2, 1, (1, 3), (1, 2), 2)


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        benchmark: its name.
        what: what is measured, with the unit of ``ours`` and ``theirs``.
        peer: what it is measured against.
        ours: median over the repetitions.
        theirs: the same of the peer.
        ratio: median of the ratios of the repetitions, which way round ``target`` says.
        low: the smallest of these ratios.
        high: the largest.
        target: the ratio and the bound on it.
        met: whether ``ratio`` keeps the bound: yes or no, or empty where there is none.
        note: what else a reader must know.
    """

    benchmark: str
    what: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    low: float
    high: float
    target: str
    met: str
    note: str


def compare(
    benchmark: str,
    what: str,
    peer: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    note: str = "",
) -> Row:
    """The row of two series measured in turn: ``ours / theirs`` at most, or ``theirs / ours`` at least, a bound."""
    pairs = list(zip(ours, theirs, strict=True))
    ratios = [a / b for a, b in pairs] if at_least is None else [b / a for a, b in pairs]
    ratio = statistics.median(ratios)
    target, met = "ours / theirs, reported", ""
    if at_most is not None:
        target, met = f"ours / theirs at most {at_most:g}", "yes" if ratio <= at_most else "no"
    if at_least is not None:
        target, met = f"theirs / ours at least {at_least:g}", "yes" if ratio >= at_least else "no"
    medians = statistics.median(ours), statistics.median(theirs)
    return Row(benchmark, what, peer, *medians, ratio, min(ratios), max(ratios), target, met, note)


def interleaved(
    candidates: Mapping[str, Callable[[], Any]],
    *,
    repetitions: int,
    device: str,
    shortest_s: float,
    clock: Callable[[], float] = time.perf_counter,
    before: Mapping[str, Callable[[], Any]] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each candidate, measured in turn: A B C A B C ...

    What disturbs the machine for longer than a round disturbs them all. Every candidate runs once before the first
    round, to warm up and to see how many calls a timed section needs; what is given as ``before`` is called before each
    timed section of its candidate and not timed.
    """

    def timed(name: str, calls: int) -> float:
        call = candidates[name]
        if before:
            before[name]()
        _wait(device)
        started = clock()
        for _ in range(calls):
            call()
        _wait(device)
        return (clock() - started) / calls

    calls = {name: _calls(timed(name, 1), shortest_s) for name in candidates}
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repetitions):
        for name in candidates:
            found[name].append(timed(name, calls[name]))
    return found


def _calls(one_s: float, shortest_s: float) -> int:
    return max(1, math.ceil(shortest_s / max(one_s, 1e-6)))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
