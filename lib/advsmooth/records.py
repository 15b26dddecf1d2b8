"""Recorded results of larger runs: a CSV of measurements and a JSON of how they came about.

A record is two small files, ``data/recorded/<paper>/<topic>.<label>.csv`` and ``.json``; the one holds the hash of the
other, so that two that do not belong together are never read as one. Its provenance names the code (hashes of the
modules of this library that it ran), parameters, data, device, versions and cost, and a
*replay*: the first steps of the run as a function that can be called again in seconds. When the code
has changed since, :func:`status` replays, and only a record whose replay gives other numbers is stale.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import datetime as dt
import functools
import hashlib
import importlib
import inspect
import io
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advsmooth import devices
from advsmooth.atomic import write_atomically
from advsmooth.data import Dataset
from advsmooth.places import LOCK, RECORDED, ROOT, records_written
from advsmooth.refusals import Refusal, one_line, quoted
from advsmooth.settings import SCALES, Settings

REPLAY_RTOL = 1e-4
"""Relative difference a replay may show on another device or processor, with other versions or threads; else none."""

REPLAYS = re.compile(r"advsmooth(\.[a-z]\w*)*\.(replays:[a-z]\w*|[a-z]\w*:replay\w*)", re.ASCII)
"""What a record may have us call: what stands in :mod:`advsmooth.replays`, and functions called ``replay…``.

A record may come from anyone, and the rest of the library writes files, downloads, and runs pages."""


class RecordError(Refusal):
    """A record was refused; the message is one line."""


def require_replay(function: str) -> None:
    """Refuse the name of a function that a record may not have us call, without importing anything.

    Raises:
        RecordError: naming it.
    """
    if not REPLAYS.fullmatch(function) or _path(function.partition(":")[0]) is None:
        raise RecordError(f"replay {quoted(function)}: allowed are functions of advsmooth that are replays")


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
        """Call the function again.

        Raises:
            RecordError: if it is no replay of this library, or takes other arguments.
        """
        require_replay(self.function)
        module, _, name = self.function.partition(":")
        function = getattr(importlib.import_module(module), name, None)
        if not inspect.isfunction(function) or function.__module__ != module:
            raise RecordError(f"replay {self.function!r}: {module} has no such function; record it again")
        try:
            inspect.signature(function).bind(**self.arguments)
        except TypeError as error:
            raise RecordError(f"replay {self.function!r}: {error}; record it again") from None
        return function(**self.arguments)


class _Data(BaseModel):
    """What a record keeps of the data it used (see :meth:`advsmooth.data.Dataset.describe`)."""

    model_config = ConfigDict(strict=True)

    name: str
    split: str
    n: int = Field(ge=0)
    sha256: str
    source: str


class _Replay(BaseModel):
    """The fields of :class:`Replay`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    function: str
    arguments: dict[str, Any]
    metrics: dict[str, float]


class _Provenance(BaseModel):
    """What the JSON of a record must hold; more is allowed."""

    model_config = ConfigDict(strict=True)

    page: str
    label: str
    scale: Literal["quick", "cpu", "gpu", "paper"]
    date: str = Field(pattern=r"^\d{4}-\d\d-\d\dT")
    commit: str
    parameters: dict[str, Any]
    data: list[_Data]
    code: dict[str, str]
    lock: str
    versions: dict[str, str]
    device: str
    threads: int = Field(default=1, ge=1)
    cost: dict[str, float]
    columns: list[str] = Field(min_length=1)
    table_sha256: str
    replay: _Replay


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
        return f"{p['scale']} scale; {data}; {p['device']}; {cost.get('wall_s', 0):.0f} s; recorded {p['date'][:10]}"


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
    """Write a record; its two files appear whole, or not at all.

    The table is first kept in ``<topic>.<label>.csv.pending`` beside the record, so that the hours behind it are not
    lost if the replay fails or the process dies. Whoever reads between the renames of the two files, or after a kill
    there, is refused by :func:`read`; the next save mends it.

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

    Raises:
        RecordError: if the replay fails; the message says where the table is.
    """
    label = label or cfg.scale
    path = (folder or records_written()) / page.split("/")[0] / f"{page.split('/')[1]}.{label}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(index=False, float_format="%.10g")
    waiting = {suffix: path.with_suffix(f"{suffix}.pending") for suffix in (".csv", ".json")}
    write_atomically(waiting[".csv"], text)
    try:
        metrics = Replay(function, dict(arguments), {}).run()
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise RecordError(
            f"record {path.stem!r}: its replay {function} failed ({why}); the measurements are kept in "
            f"{path.parent.name}/{waiting['.csv'].name}; mend the replay and save them again"
        ) from error
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
        "accelerated_by": devices.of_kind(cfg.device).options(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "cost": dict(cost),
        "columns": list(table.columns),
        "table_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "replay": {"function": function, "arguments": dict(arguments), "metrics": metrics},
    }
    write_atomically(waiting[".json"], json.dumps(provenance, indent=1) + "\n")
    for suffix, pending in waiting.items():
        pending.replace(path.with_suffix(suffix))
    return path


def unfinished(folder: Path = RECORDED) -> list[Path]:
    """What runs left that were stopped before their record was whole (see :func:`save`)."""
    return sorted(folder.glob("*/*.pending"))


def as_written(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """The table as it would be read from a CSV in which its numbers have so many significant digits."""
    return pd.read_csv(io.StringIO(_csv(table, digits)))


def kept_table(path: Path, make: Callable[[], pd.DataFrame], *, digits: int) -> pd.DataFrame:
    """The table in a file of the cache; made, and written whole, if it is not there.

    Args:
        path: of the file.
        make: called only if there is none.
        digits: significant digits of its numbers, which are the same whether it was read or made.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found before the work
        write_atomically(path, _csv(make(), digits))
    return pd.read_csv(path)


def _csv(table: pd.DataFrame, digits: int) -> str:
    return table.to_csv(index=False, float_format=f"%.{digits}g")


def read(path: Path) -> Record:
    """Read one record.

    Raises:
        RecordError: if a file is missing, truncated or changed, a column or a field of the provenance is not there or
            of another kind, or the table is not the one that the provenance describes.
    """
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
        content = path.with_suffix(".csv").read_bytes()
    except FileNotFoundError as error:
        raise _refused(path, f"{Path(str(error.filename)).name} is missing") from None
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, a number or a nesting without end
        raise _refused(path, f"not readable ({one_line(error, 200)})") from None
    if not isinstance(provenance, dict):
        raise _refused(path, "the provenance is not an object")
    try:
        _Provenance.model_validate(provenance)
    except ValidationError as error:
        first = error.errors()[0]
        place = one_line(".".join(str(part) for part in first["loc"]), 100)
        missing = f"provenance lacks {place!r}"
        raise _refused(path, missing if first["type"] == "missing" else f"{place}: {first['msg']}") from None
    require_replay(provenance["replay"]["function"])
    if hashlib.sha256(content).hexdigest() != provenance["table_sha256"]:
        pending = path.with_suffix(".json.pending").name
        remedy = (
            f"a save was stopped between its two files: rename {pending} to {path.name}"
            if path.with_name(pending).exists()
            else "restore both files, or record it again"
        )
        raise RecordError(f"record {path.stem!r}: its table is not the one of its provenance (table_sha256); {remedy}")
    return Record(_table(path, content, provenance["columns"]), provenance)


def _table(path: Path, content: bytes, columns: Sequence[str]) -> pd.DataFrame:
    """The measurements: the columns named, rows of one length. The hash is right, but anyone can write a hash."""
    try:
        text = content.decode("utf-8")
        rows = list(csv.reader(io.StringIO(text, newline="")))
        header, widths = rows[0] if rows else [], {len(row) for row in rows}
        for column in columns:
            if rows and column not in header:
                raise _refused(path, f"column {quoted(column)} is missing from the CSV")
        if header != list(columns) or len(widths) != 1 or not text.endswith("\n"):
            raise _refused(path, "not readable (the CSV is cut off, or has other columns than the provenance names)")
        return pd.read_csv(io.StringIO(text))
    except (csv.Error, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError, OverflowError) as error:
        raise _refused(path, f"not readable ({one_line(error, 200)})") from None


def _refused(path: Path, why: str) -> RecordError:
    return RecordError(f"record {path.stem!r}: {why}; record it again")


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
    return {name: hashlib.sha256(source.encode()).hexdigest() for name, source in _sources(modules).items()}


@functools.cache
def code_version(*modules: str) -> str:
    """A hash of modules of this library and of those they import, read once; comments and docstrings do not count."""
    return hashlib.sha256("\n".join(map(without_words, _sources(modules).values())).encode()).hexdigest()


def _sources(modules: Sequence[str]) -> dict[str, str]:
    """The text of modules of this library and of those of the library they import, sorted by name."""
    found: dict[str, str] = {}
    pending = list(modules)
    while pending:
        name = pending.pop()
        path = _path(name)
        if name in found or path is None:
            continue
        found[name] = path.read_text(encoding="utf-8")
        pending += imports(found[name])
    return dict(sorted(found.items()))


def _path(module: str) -> Path | None:
    base = ROOT / "lib" / Path(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


def imports(source: str) -> list[str]:
    """The modules of this library that a source text imports; names of what they hold among them."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.startswith("advsmooth")]


def without_words(source: str) -> str:
    """What a source text does: its syntax tree without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


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
