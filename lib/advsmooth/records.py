"""Recorded results of larger runs: a CSV of measurements and a JSON of how they came about.

A record is two small files, ``data/recorded/<paper>/<topic>.<label>.csv`` and ``.json``. Its provenance
names the code (hashes of the modules of this library that it ran), parameters, data, device, versions and cost, and a
*replay*: the first steps of the run as a function that can be called again in seconds. When the code
has changed since, :func:`status` replays, and only a record whose replay gives other numbers is stale.
"""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import functools
import hashlib
import importlib
import io
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from advsmooth.data import Dataset
from advsmooth.places import LOCK, RECORDED, ROOT, records_written
from advsmooth.settings import SCALES, Settings

REPLAY_RTOL = 1e-4
"""Relative difference a replay may show on another device or processor, with other versions or threads; else none."""

_REQUIRED = (
    "page",
    "label",
    "scale",
    "date",
    "commit",
    "parameters",
    "data",
    "code",
    "lock",
    "versions",
    "device",
    "cost",
    "columns",
    "replay",
)


class RecordError(ValueError):
    """A record was refused; the message is one line."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Replay:
    """The first steps of a run, to be run again.

    Attributes:
        function: ``"module:name"`` of a function of this library that returns numbers by name.
        arguments: its keyword arguments, plain data.
        metrics: what it returned when the record was made.
    """

    function: str
    arguments: Mapping[str, Any]
    metrics: Mapping[str, float]

    def run(self) -> dict[str, float]:
        """Call the function again."""
        module, _, name = self.function.partition(":")
        if not module.startswith("advsmooth."):
            raise RecordError(f"replay {self.function!r}: allowed are functions of advsmooth")
        return getattr(importlib.import_module(module), name)(**self.arguments)


@dataclass(frozen=True)
class Record:
    """One recorded result: its measurements (tidy, one row each) and its provenance."""

    table: pd.DataFrame
    provenance: Mapping[str, Any]

    @property
    def scale(self) -> str:
        """The scale at which it was made."""
        return self.provenance["scale"]

    @property
    def replay(self) -> Replay:
        """The first steps of its run."""
        return Replay(**self.provenance["replay"])

    def summary(self) -> str:
        """Scale, data, device, time and date on one line, for the caption under a number or a figure."""
        p = self.provenance
        data = ", ".join(f"{d['name']} {d['split']} (n = {d['n']:,})" for d in p["data"]) or "no data set"
        cost = p["cost"]
        return f"{p['scale']} scale; {data}; {p['device']}; {cost['wall_s']:.0f} s; recorded {p['date'][:10]}"


class Stopwatch:
    """Wall time, and the peak memory of this process above what it held at the start.

    On Linux the kernel's high-water mark is reset at the start, so that neither an earlier peak nor, in a
    subprocess, that of the parent counts. Elsewhere the peak of the whole process is all there is.
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # 5: reset the high-water mark, see proc(5)
        self._start, self._before = time.perf_counter(), _memory("VmRSS")

    def read(self) -> dict[str, float]:
        """Seconds so far and extra peak memory in MiB."""
        return {
            "wall_s": round(time.perf_counter() - self._start, 2),
            "peak_extra_mib": round(max(0.0, _memory("VmHWM") - self._before), 1),
        }


def _memory(field: str) -> float:
    """A line of the kernel's account of this process, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field)) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def save(
    page: str,
    table: pd.DataFrame,
    *,
    cfg: Settings,
    data: Sequence[Dataset],
    cost: Mapping[str, float],
    function: str,
    arguments: Mapping[str, Any],
    label: str | None = None,
    folder: Path | None = None,
) -> Path:
    """Write a record; both files appear whole or not at all.

    Args:
        page: ``<paper>/<topic>``.
        table: one row per measurement, columns named with their units.
        cfg: the resolved parameters of the run.
        data: the data sets it read.
        cost: what :class:`Stopwatch` read.
        function: the replay, ``"module:name"``; it is run here once more to store what it gives.
        arguments: keyword arguments of the replay.
        label: tells records of one page and scale apart; the scale if not given.
        folder: where to write; :func:`advsmooth.places.records_written` if not given.

    Returns:
        The path of the JSON file.
    """
    label = label or cfg.scale
    path = (folder or records_written()) / page.split("/")[0] / f"{page.split('/')[1]}.{label}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The measurements first: if the replay fails, the hours behind them are not lost.
    write_atomically(path.with_suffix(".csv"), table.to_csv(index=False, float_format="%.10g"))
    replay = Replay(function, dict(arguments), {})
    provenance = {
        "page": page,
        "label": label,
        "scale": cfg.scale,
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "parameters": dict(cfg.values),
        "data": [dataset.describe() for dataset in data],
        "code": code_hashes(function.partition(":")[0]),
        "lock": _sha256(LOCK),
        "versions": versions(),
        "device": device_name(cfg.device),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "cost": dict(cost),
        "columns": list(table.columns),
        "replay": {"function": function, "arguments": dict(arguments), "metrics": replay.run()},
    }
    write_atomically(path, json.dumps(provenance, indent=1) + "\n")
    return path


def kept_table(path: Path | None, make: Callable[[], pd.DataFrame], *, digits: int) -> pd.DataFrame:
    """The table in a file of the cache; made, and written whole, if it is not there.

    Args:
        path: of the file; ``None`` for no cache.
        make: called only if there is none.
        digits: significant digits of its numbers, which are the same whether it was read or made.
    """
    if path is not None and path.exists():
        return pd.read_csv(path)
    text = make().to_csv(index=False, float_format=f"%.{digits}g")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    return pd.read_csv(io.StringIO(text))


def read(path: Path) -> Record:
    """Read one record.

    Raises:
        RecordError: if a file is missing or truncated, or a column or a field of the provenance is not there.
    """
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
        table = pd.read_csv(io.StringIO(path.with_suffix(".csv").read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise RecordError(
            f"record {path.stem!r}: {Path(str(error.filename)).name} is missing; record it again"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise RecordError(f"record {path.stem!r}: not readable ({error}); record it again") from None
    if not isinstance(provenance, dict):
        raise RecordError(f"record {path.stem!r}: the provenance is not an object; record it again")
    for name in _REQUIRED:
        if name not in provenance:
            raise RecordError(f"record {path.stem!r}: provenance lacks {name!r}; record it again")
    if not isinstance(provenance["replay"], dict) or set(provenance["replay"]) != {"function", "arguments", "metrics"}:
        raise RecordError(f"record {path.stem!r}: its replay is not a function, arguments and metrics; record it again")
    for column in provenance["columns"]:
        if column not in table:
            raise RecordError(f"record {path.stem!r}: column {column!r} is missing from the CSV; record it again")
    return Record(table, provenance)


def newest(page: str, scale: str | None = None, *, folder: Path | None = None) -> Record | None:
    """The newest record of a page, at one scale or at any; ``None`` if there is none."""
    if scale is not None and scale not in SCALES:
        raise RecordError(f"scale={scale!r}: allowed is {', '.join(SCALES)}")
    found = [record for record in every(page, folder=folder) if scale in (None, record.scale)]
    return max(found, key=lambda record: record.provenance["date"], default=None)


def every(page: str | None = None, *, folder: Path | None = None) -> list[Record]:
    """All records, or all of one page: those of one folder, or as a run sees them.

    A run sees the stored records, and in place of them those it has written elsewhere under the same name, so that a
    page judges by what it has just measured wherever that is kept.
    """
    pattern = "*/*.json" if page is None else f"{page}.*.json"
    folders = [folder] if folder else [RECORDED, records_written()]
    found = {path.relative_to(base): path for base in folders for path in base.glob(pattern)}
    return [read(found[name]) for name in sorted(found)]


def status(record: Record) -> tuple[str, str]:
    """Whether a record still stands, and why.

    Returns:
        ``("current", …)`` if the code behind it is unchanged or its replay gave the recorded numbers,
        ``("stale", …)`` if the replay gave others, ``("unknown", …)`` if its data is not here.
    """
    from advsmooth.data import DataError

    replay = record.replay
    if code_hashes(replay.function.partition(":")[0]) == record.provenance["code"]:
        return "current", "the code behind it has not changed"
    try:
        again = replay.run()
    except DataError as error:
        return "unknown", f"the code has changed and the replay needs data that is not here ({error})"
    rtol = replay_tolerance(record)
    for name, recorded in replay.metrics.items():
        if name not in again or not np.isclose(again[name], recorded, rtol=rtol, atol=0.0):
            return "stale", f"replay gives {name} = {again.get(name)}, recorded {recorded}"
    return "current", "the code has changed and the replay gives the recorded numbers"


def replay_tolerance(record: Record) -> float:
    """The relative difference that a replay here may show: none with the processor, versions and threads recorded."""
    # Another number of threads adds up in another order, as another device does, and another kind of processor, which
    # older records do not name.
    here = {"versions": versions(), "device": device_name("cpu"), "threads": torch.get_num_threads()}
    same = all(record.provenance.get(name) == value for name, value in {**here, "processor": processor()}.items())
    return 0.0 if same else REPLAY_RTOL


def code_hashes(*modules: str) -> dict[str, str]:
    """SHA-256 of modules of this library and of those of the library they import, comments included."""
    found: dict[str, str] = {}
    pending = list(modules)
    while pending:
        name = pending.pop()
        path = _source(name)
        if name in found or path is None:
            continue
        source = path.read_text(encoding="utf-8")
        found[name] = hashlib.sha256(source.encode()).hexdigest()
        pending += imports(source)
    return dict(sorted(found.items()))


def _source(module: str) -> Path | None:
    base = ROOT / "lib" / Path(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


def imports(source: str) -> list[str]:
    """The modules of this library that a source imports, and what it takes from them."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.startswith("advsmooth")]


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "python": platform.python_version(),
        **{
            module: importlib.import_module(module).__version__ for module in ("numpy", "scipy", "torch", "torchvision")
        },
    }


def device_name(device: str) -> str:
    """The device in words: the GPU's name, or the kind of CPU and the number of cores."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"


def processor() -> str:
    """The processor's own name, and the vector instructions that PyTorch uses on it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(named or [platform.processor() or platform.machine()])[0]}, {torch.backends.cpu.get_cpu_capability()}"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


@functools.cache
def commit() -> str:
    """The commit the code was at, with ``+`` if the checkout held changes; empty outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", "lib", "notebooks") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def plain(function: Callable[..., Any]) -> str:
    """``"module:name"`` of a function, as :func:`save` wants it."""
    return f"{function.__module__}:{function.__qualname__}"
