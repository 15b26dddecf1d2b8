"""What a grid of runs costs beside the runs: tiny ones, 1 to 1000 of them, and a grid that keeps the cores busy.

Besides its rows it has a table and a picture of its own, for one ratio says too little of a curve.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import measure
import pandas as pd
import torch
from joblib.externals.loky import get_reusable_executor
from measure import Row, Sizes

from advsmooth import plotting, sweep

LOOP, FIRST, CACHED, TWO, RAY = "a plain loop", "first time", "all cached", "2 processes", "Ray, 2 workers"
WAYS = (FIRST, CACHED, TWO, RAY)


def tiny(k: int) -> dict[str, int]:
    """A run that costs nothing."""
    return {"square": k * k}


def who(k: int) -> int:
    """The process that a run is in, after a moment in which others can take one too."""
    time.sleep(0.05)
    return os.getpid()


def busy(k: int, products: int) -> dict[str, float]:
    """A run that keeps one core busy, with matrices that fit into its cache."""
    x = torch.eye(128) * (1 + k / 1000)
    for _ in range(products):
        x = (x @ x).clamp(-1, 1)
    return {"trace": float(x.trace())}


def rows(device: str, sizes: Sizes) -> list[Row]:
    """Overhead of each way for each number of runs, the start of workers, and how a fixed grid scales."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = (Path(folder) / str(number) for number in itertools.count())
        with _two_workers():
            found = [row for n in sizes.runs for row in _overhead(n, fresh, device, sizes)]
        return found + _starts(fresh, sizes) + _scaling(fresh, device, sizes)


@contextlib.contextmanager
def _two_workers() -> Iterator[None]:
    """A Ray of this machine with two workers, for as long as it is measured."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    import ray

    small: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    ray.init("local", log_to_driver=False, logging_level=logging.CRITICAL, **small)
    try:
        yield
    finally:
        ray.shutdown()


def _overhead(n: int, fresh: Iterator[Path], device: str, sizes: Sizes) -> list[Row]:
    settings = sweep.grid(k=range(n))
    full = next(fresh)
    sweep.run(tiny, settings, folder=full)
    ways: dict[str, Callable[[], Any]] = {
        LOOP: lambda: [tiny(**setting) for setting in settings],
        FIRST: lambda: sweep.run(tiny, settings, folder=next(fresh)),
        CACHED: lambda: sweep.run(tiny, settings, folder=full),
        TWO: lambda: sweep.run(tiny, settings, folder=next(fresh), jobs=2),
        RAY: lambda: sweep.run(tiny, settings, folder=next(fresh), address="auto"),
    }
    times = measure.interleaved(ways, repetitions=sizes.repetitions, device=device, shortest_s=sizes.shortest_s)
    each = {way: [1e3 * t / n for t in taken] for way, taken in times.items()}
    return [
        measure.compare("grids", f"{n} tiny, {way} (ms a run)", LOOP, each[way], each[LOOP], note=_range(each[way]))
        for way in WAYS
    ]


def _starts(fresh: Iterator[Path], sizes: Sizes) -> list[Row]:
    """Two tiny runs when no process has been started yet: with Ray, its servers among them."""
    two = sweep.grid(k=range(2))
    ways: dict[str, Callable[[], Any]] = {
        TWO: lambda: sweep.run(tiny, two, folder=next(fresh), jobs=2),
        RAY: lambda: sweep.run(tiny, two, folder=next(fresh), address="local"),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(sizes.repetitions):
        get_reusable_executor().shutdown(wait=True)
        for way, run in ways.items():
            started = time.perf_counter()
            run()
            taken[way].append(time.perf_counter() - started)
    return [
        measure.compare(
            "grids", f"2 tiny runs, {way}, none of them started yet (s)", TWO, times, taken[TWO], note=_range(times)
        )
        for way, times in taken.items()
    ]


def _scaling(fresh: Iterator[Path], device: str, sizes: Sizes) -> list[Row]:
    """A fixed grid on more and more processes; the pool is resized, and warm, before each is timed."""
    runs = 4 * max(sizes.workers)
    grid = sweep.grid(k=range(runs), products=[sizes.products_of_a_run])

    def run(workers: int) -> Callable[[], Any]:
        return lambda: sweep.run(busy, grid, folder=next(fresh), jobs=workers)

    def warm(workers: int) -> Callable[[], Any]:
        def until_all_are_there() -> None:
            while len(set(sweep.spread(who, sweep.grid(k=range(4 * workers)), jobs=workers))) < workers:
                pass

        return until_all_are_there

    times = measure.interleaved(
        {str(workers): run(workers) for workers in sizes.workers},
        repetitions=sizes.repetitions,
        device=device,
        shortest_s=0,
        before={str(workers): warm(workers) for workers in sizes.workers},
    )
    one = times[str(sizes.workers[0])]
    return [
        measure.compare(
            "grids", f"{runs} equal runs, {workers} at a time (s)", "1 at a time", taken, one, note=_range(taken)
        )
        for workers, taken in times.items()
    ]


def _range(times: Sequence[float]) -> str:
    return f"{min(times):.3g} to {max(times):.3g}"


# --- the table and the picture of the page --------------------------------------------------------------------------


def files(rows: Sequence[Row]) -> dict[str, str]:
    """What is written beside the common tables, by suffix: overhead by runs and ways, the rest, and the picture."""
    small, rest = _small(rows), [row for row in rows if _unit(row) != "ms a run"]
    overhead = pd.DataFrame({"runs": list(small)} | {way: [_median(small[n][way]) for n in small] for way in WAYS})
    other = pd.DataFrame([(row.what, _median(row)) for row in rest], columns=["measured", "median (range)"])
    return {
        ".grids.csv": overhead.to_csv(index=False),
        ".workers.csv": other.to_csv(index=False),
        ".grids.svg": _picture(small, rest),
    }


def _small(rows: Sequence[Row]) -> dict[int, dict[str, Row]]:
    """The rows of the overhead, by the number of runs and the way."""
    found: dict[int, dict[str, Row]] = {}
    for row in rows:
        if _unit(row) == "ms a run":
            n, _, way = row.what.rsplit(" (", 1)[0].partition(" tiny, ")
            found.setdefault(int(n), {})[way] = row
    return found


def _median(row: Row) -> str:
    return f"{row.ours:.3g} ({row.note})"


def _unit(row: Row) -> str:
    return row.what.rsplit(" (", 1)[1].removesuffix(")")


def _picture(small: Mapping[int, Mapping[str, Row]], rest: Sequence[Row]) -> str:
    plotting.use_theme()
    figure, (left, right) = plt.subplots(1, 2, width_ratios=(3, 2))
    for way, style in zip(WAYS, plotting.styles(), strict=False):
        left.loglog(list(small), [own[way].ours for own in small.values()], label=way, **style)
    plotting.label(left, "What the grid adds to a run", "number of runs", "ms a run")
    left.legend()
    scaled = [row for row in rest if " at a time (" in row.what]
    workers = [int(row.what.rsplit(", ", 1)[1].split()[0]) for row in scaled]
    times = [1 / row.ratio for row in scaled], [1 / row.high for row in scaled], [1 / row.low for row in scaled]
    right.plot(workers, workers, color=plotting.GREY, linestyle=":", label="as many times faster")
    right.plot(workers, times[0], label="measured (range)", **next(plotting.styles()))
    plotting.band(right, workers, times[1], times[2], plotting.BLUE)
    right.axvline(os.cpu_count() or 1, color=plotting.INK, linestyle="--", linewidth=0.8, label="cores of the machine")
    right.set_xticks(workers)
    plotting.label(right, "A grid that keeps cores busy", "runs at a time", "times faster")
    right.legend()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return buffer.getvalue()
