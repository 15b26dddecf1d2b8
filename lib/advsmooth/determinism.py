"""Every page executed twice, in two processes, and with another number of threads: what differs.

The result is a small table, ``data/determinism.csv``, one row a page and comparison, with the machine in
``data/determinism.json`` beside it; :func:`figure` draws it for the book.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from advsmooth import comparison, execution, pages, plotting, verify
from advsmooth.atomic import write_atomically
from advsmooth.execution import Execution
from advsmooth.pages import Page
from advsmooth.places import BOOK, ROOT

TABLE = ROOT / "data" / "determinism.csv"
FIGURE = BOOK / "_static" / "determinism.svg"
WORK = ROOT / "_build" / "determinism"
RUNS = ((1, 1), (1, 2), (2, 1))
"""Threads and number of each execution; each is compared with the first.

Pages compute in one thread at ``quick``, so the last is what they would say if they did not.
"""

_ABSENT = float("nan")
_LEFT = 2e-17
_MARKS = ((2.0**-53, ":", "double precision"), (2.0**-24, "--", "single precision"), (5e-3, "-.", "as printed"))


def write(jobs: int = 1, table: Path = TABLE, work: Path = WORK) -> str:
    """Execute every page as often as it takes, write table, machine and figure; a line that says what was found.

    An interrupted study goes on where it stopped, and one that is complete is only written again until the code of a
    page changes; remove ``_build/determinism`` to measure afresh.
    """
    from joblib import Parallel, delayed

    chosen, started = pages.every(), time.perf_counter()
    found: dict[str, list[dict[str, Any]]] = {}
    run = Parallel(n_jobs=jobs, return_as="generator_unordered")
    for done, (key, rows) in enumerate(run(delayed(_rows)(page, work) for page in chosen), start=1):
        found[key] = rows
        left = (time.perf_counter() - started) / done * (len(chosen) - done)
        print(f"[{done}/{len(chosen)}] {key}; about {left:.0f} s left", flush=True)
    measured = pd.DataFrame([row for page in chosen for row in found[page.key]])
    write_atomically(table, measured.to_csv(index=False, float_format="%.3g"))
    here = verify.here("quick", None, jobs, 0.0).model_dump(exclude={"threads", "jobs", "load_before", "load_after"})
    about = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "threads": sorted({t for t, _ in RUNS}),
        **here,
    }
    write_atomically(table.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
    figure(table, FIGURE if table == TABLE else table.with_suffix(".svg"))
    one = measured[measured["threads"] == 1]
    differ = one[~(one["same verdicts"] & one["same text"])]
    return f"{len(chosen)} pages; in one thread {len(differ)} say something else again; written to {table.name}"


def _rows(page: Page, work: Path) -> tuple[str, list[dict[str, Any]]]:
    """The rows of a page. One that depends on the threads is executed once more, in one of the two it is offered."""
    first, *others = [_execution(page, work, threads, number) for threads, number in RUNS]
    rows = [compare(first, other, offered=other.threads or 1) for other in others]
    if not rows[-1]["same text"] or rows[-1]["differ"]:
        rows.append(compare(first, _execution(page, work, 1, 3, offered=2), offered=2))
    return page.key, rows


def _execution(page: Page, work: Path, threads: int, number: int, offered: int | None = None) -> Execution:
    folder = work / page.key / f"{threads}.{number}"
    run = functools.partial(execution.execute, page, folder, threads=threads, offered=offered)
    key = execution.key_of(page, {}, threads)
    return Execution(**execution.kept(folder / "execution.json", key, lambda: asdict(run())))


def compare(first: Execution, other: Execution, offered: int = 1) -> dict[str, Any]:
    """One row of the table: what two executions of a page have in common.

    Verdicts are the same if those and the outcomes of all checks are; the text, if every cell prints the same. Numbers
    are the unrounded ones of the evidence.
    """
    a, b = dict(_numbers(first)), dict(_numbers(other))
    apart = {place: comparison.apart(a.get(place, _ABSENT), b.get(place, _ABSENT))[1] for place in {**a, **b}}
    differing = {place: far for place, far in apart.items() if far > 0}
    worst = max(differing, key=lambda place: differing[place], default="")
    return {
        "page": first.page,
        "threads": other.threads,
        "offered": offered,
        "same verdicts": _verdicts(first) == _verdicts(other),
        "same text": first.cells == other.cells,
        "checks": sum(len(section["checks"]) for section in first.sections),
        "checks apart": sum(_checks_apart(first, other)),
        "numbers": len(apart),
        "differ": len(differing),
        "largest relative difference": differing.get(worst, 0.0),
        "where": worst,
    }


def _checks_apart(first: Execution, other: Execution) -> Iterator[bool]:
    """Of each check, whether its evidence disagrees by the rule for printed numbers of :mod:`.comparison`."""
    a, b = (
        {(_name(s), check["name"]): check["evidence"] for s in e.sections for check in s["checks"]}
        for e in (first, other)
    )
    for (name, check), evidence in a.items():
        exact = other.evidence.get(name, {}).get(check, {})
        pairs = comparison.texts(evidence, b.get((name, check), ""), exact)
        yield pairs is None or not all(pair.within for pair in pairs)


def _name(section: dict[str, Any]) -> str:
    return section.get("claim") or section["name"]


def _verdicts(said: Execution) -> list[Any]:
    return [(_name(s), s.get("verdict", ""), [(c["name"], c["outcome"]) for c in s["checks"]]) for s in said.sections]


def _numbers(said: Execution) -> Iterator[tuple[str, float]]:
    """Place and value of every unrounded number of the evidence."""
    for name, some in said.evidence.items():
        for check, evidence in some.items():
            for label, value in evidence.items():
                if isinstance(value, float):
                    yield f"{name}, {check}: {label}", value


def figure(table: Path = TABLE, output: Path = FIGURE) -> None:
    """Draw the largest relative difference of each page that has one, two threads against one, on a log axis."""
    measured = pd.read_csv(table)
    two = measured[measured["threads"] == 2]
    rows = two[two["differ"] > 0].sort_values("largest relative difference")
    others = two[two["differ"] == 0]
    with plt.rc_context():
        plotting.use_theme()
        fig, ax = plt.subplots(figsize=(plotting.WIDTH, 1.4 + 0.24 * len(rows)))
        ax.hlines(range(len(rows)), _LEFT, rows["largest relative difference"], color=plotting.GREY, linewidth=1)
        for same, face, words in ((True, "white", "the same text"), (False, plotting.BLUE, "another text")):
            at = np.flatnonzero(rows["same text"] == same)
            far = rows["largest relative difference"].iloc[at]
            ax.plot(far, at, "o", color=plotting.BLUE, mfc=face, label=f"prints {words}")
        ax.set_yticks(range(len(rows)), rows["page"])
        for x, style, words in _MARKS:
            ax.axvline(x, color=plotting.INK, linestyle=style, linewidth=1)
            ax.annotate(words, (x, len(rows) - 0.4), xytext=(3, 0), textcoords="offset points", fontsize=8)
        ax.set(xscale="log", xlim=(_LEFT, 1), ylim=(-0.7, len(rows) + 0.5))
        plotting.label(ax, "", "largest relative difference, two threads against one", "")
        ax.legend(loc="lower right", frameon=True, framealpha=1)
        tables = int((~others["same text"]).sum())
        note = f"{len(others)} more pages: no number of a check differs ({tables} print other tables); quick scale"
        fig.supxlabel(note, x=0.995, ha="right", fontsize=8, color=plotting.GREY)
        fig.savefig(output, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(fig)
