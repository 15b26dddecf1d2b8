"""The benchmarks: ``make bench``, or some of them, ``python tests/benchmarks/run.py pgd sweep``.

Results go to ``data/benchmarks/<device>.csv`` after each benchmark, and how they came about to ``<device>.json``; the
rows of benchmarks that are not run now stay. Nothing passes or fails here: a target that is missed is a row that says
so. (Not in ``data/recorded``, whose every JSON file is the record of a page.)
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import difflib
import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measure
import pandas as pd
import subjects
import torch
from measure import Row, Sizes

from advsmooth import records
from advsmooth.atomic import write_atomically
from advsmooth.places import ROOT

NAMES = ("pgd", "robust", "sweep", "grids", "cells", "curvature", "steps", "adversarial", "memory")
FOLDER = ROOT / "data" / "benchmarks"
COLUMNS = [field.name for field in dataclasses.fields(Row)]
PEERS = ("foolbox", "pyhessian", "joblib", "ray")
APART = ("grids",)
"""Benchmarks whose rows fill tables and pictures of their own."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="run.py", description="Measure against floors and peers.")
    parser.add_argument("names", nargs="*", help=", ".join(NAMES))
    parser.add_argument("--toy", action="store_true", help="sizes that show that it runs, and nothing else")
    parser.add_argument("--out", type=Path, help="folder of the results")
    given = parser.parse_args(arguments)
    for name in given.names:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            print(f"benchmark {name!r}: unknown; {hint}Allowed: {', '.join(NAMES)}", file=sys.stderr)
            return 2
    if given.toy and given.out is None:
        print("--toy: needs --out FOLDER, so that it does not replace results", file=sys.stderr)
        return 2
    chosen = [name for name in NAMES if name in (given.names or NAMES)]
    sizes, folder = measure.TOY if given.toy else measure.FULL, given.out or FOLDER
    failed = 0
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        own = [name for name in chosen if device == "cpu" or name not in APART]  # processes of the CPU
        for number, name in enumerate(own, 1):
            failed += not _one(name, f"{device} {number}/{len(own)}", device, sizes, folder)
    return 1 if failed else 0


def _one(name: str, place: str, device: str, sizes: Sizes, folder: Path) -> bool:
    """Run one benchmark and store its rows; whether it ran."""
    print(f"{place} {name} ...", flush=True)
    load, started = os.getloadavg()[0], time.perf_counter()
    try:
        benchmark = importlib.import_module(name)
        rows = benchmark.rows(device, sizes)
    except Exception as error:  # the others may still run, minutes lie behind
        print(f"  {name}: did not run: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return False
    for row in rows:
        print(f"  {row.what} | {row.peer}: {ratio_text(row)} ({row.target}) {row.met}")
    store(folder, device, rows, provenance(device, sizes, load, time.perf_counter() - started))
    if name in APART:
        for suffix, content in benchmark.files(rows).items():
            records.write_atomically(folder / f"{device}{suffix}", content)
    return True


def provenance(device: str, sizes: Sizes, load: float, seconds: float) -> dict[str, Any]:
    """How the rows of one benchmark came about; it names no path and no host."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": records.commit(),
        "device": records.device_name(device),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "load_before": round(load, 2),
        "seconds": round(seconds, 1),
        "data": subjects.source(),
        "sizes": dataclasses.asdict(sizes),
        "versions": {**records.versions(), **{name: _version(name) for name in PEERS}},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def store(folder: Path, device: str, rows: Sequence[Row], about: dict[str, Any]) -> None:
    """Replace the rows of one benchmark, and write the tables of the page; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    name = rows[0].benchmark
    table, described = stored(folder, device)
    new = pd.DataFrame([dataclasses.asdict(row) for row in rows], columns=COLUMNS)
    table = pd.concat([table[table.benchmark != name], new]) if len(table) else new
    table = table.sort_values("benchmark", key=lambda column: column.map(NAMES.index), kind="stable")
    described = {key: about if key == name else described[key] for key in NAMES if key == name or key in described}
    common = table[~table.benchmark.isin(APART)]
    files = {"": table, ".ratios": ratios(common), ".details": details(common), ".machine": machine(described)}
    for suffix, content in files.items():
        path = folder / f"{device}{suffix}.csv"
        write_atomically(path, content.to_csv(index=False, float_format="%.6g"))
    write_atomically(folder / f"{device}.json", json.dumps(described, indent=1) + "\n")


def stored(folder: Path, device: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The results so far, of benchmarks that have both their rows and their provenance."""
    paths = folder / f"{device}.csv", folder / f"{device}.json"
    if not all(path.exists() for path in paths):
        return pd.DataFrame(columns=COLUMNS), {}
    described = json.loads(paths[1].read_text(encoding="utf-8"))
    table = pd.read_csv(paths[0], keep_default_na=False)
    return table[table.benchmark.isin(described)], described


# --- the tables of the page -------------------------------------------------------------------------------------


def ratio_text(row: Any) -> str:
    """The median ratio and its spread."""
    return f"{row.ratio:.3g} ({row.low:.3g} to {row.high:.3g})" if row.low < row.high else f"{row.ratio:.3g}"


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """What a reader wants first."""
    rows = [(r.what.rsplit(" (", 1)[0], r.peer, ratio_text(r), r.target, r.met or "none") for r in table.itertuples()]
    return pd.DataFrame(rows, columns=["measured", "against", "ratio (range)", "target", "met"])


def details(table: pd.DataFrame) -> pd.DataFrame:
    """The two sides of each ratio, and the notes."""
    rows = [(r.what, r.peer, f"{r.ours:.3g}", f"{r.theirs:.3g}", r.note) for r in table.itertuples()]
    return pd.DataFrame(rows, columns=["measured (unit)", "against", "ours", "theirs", "note"])


def machine(described: dict[str, Any]) -> pd.DataFrame:
    """Where and when each benchmark ran."""
    rows = [
        (name, f"{d['device']}, {d['cpu_capability']}", d["threads"], f"{d['load_before']:.1f}", f"{d['seconds']:.0f}",
         d["versions"]["torch"], d["date"][:10], d["commit"][:8])
        for name, d in described.items()
    ]  # fmt: skip
    return pd.DataFrame(
        rows, columns=["benchmark", "device", "threads", "load before", "seconds", "torch", "date", "commit"]
    )


if __name__ == "__main__":
    torch.set_num_threads(2)
    sys.exit(main(sys.argv[1:]))
