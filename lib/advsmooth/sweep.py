"""Grids of runs: one function and many settings, spread over processes or a Ray cluster, each result kept.

:func:`run` is what an experiment calls: it makes a table, and a setting that was done once is not done again.
:func:`spread` below it only spreads calls and returns their results. Neither depends on which call ends first: results
stand in the order of the settings, and a call runs in one torch thread, which fixes the order of its sums.

Calls run in this process by default, in ``jobs`` local processes if asked, and on a Ray cluster if ``address`` or Ray's
own environment variable ``RAY_ADDRESS`` names one (``"local"`` makes one of all cores of this machine; ``pip install
-e '.[cluster]'`` installs Ray). If a process dies, the call that was in it is made again, a few times.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import itertools
import json
import logging
import math
import os
import pickle
import random
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, TextIO

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import torch
from joblib.externals.loky.process_executor import BrokenProcessPool
from torch import Tensor

from advsmooth import lifeline, records
from advsmooth.atomic import write_atomically
from advsmooth.data import Dataset, content
from advsmooth.places import CACHE
from advsmooth.refusals import Refusal

FOLDER = CACHE / "sweeps"

REACH_S = 10
"""Seconds in which a cluster must answer."""

ATTEMPTS = 3
"""How often a call is made again whose process died. Local processes are renewed for as long as calls end in them."""

Setting = Mapping[str, Any]
"""Keyword arguments of one call."""

_inside = False  # whether this process is making a call of a sweep


class SweepError(Refusal):
    """A sweep was refused, or calls of it failed; the message is one line.

    Attributes:
        details: the traceback of the first call that failed, as text; empty for a refusal.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class _Failure:
    """What a call raised, in words: not every exception survives the way from another process."""

    what: str
    details: str = ""


def grid(**axes: Sequence[Any]) -> list[dict[str, Any]]:
    """Every combination of the values of each name, the last name varying fastest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def run(
    function: Callable[..., Any],
    settings: Sequence[Setting],
    *,
    data: Mapping[str, Dataset | Tensor] | None = None,
    folder: Path | None = FOLDER,
    jobs: int | None = None,
    address: str | None = None,
    gpus: float = 0.0,
    work: Sequence[float] | None = None,
    progress: TextIO | None = None,
) -> pd.DataFrame:
    """The table of ``function(**setting, **data)`` over all settings, from the cache where it is there.

    The cache knows a result by the function's name, its setting, the content of the data, the versions, and the code:
    the function's file and the modules of this library that it imports, without comments and docstrings. (Other modules
    of one's own that it imports are not seen.) Each result is written as soon as its call ends, and read only if whole.
    Global generators (torch, numpy, ``random``) are seeded by the setting before each call.

    Args:
        function: at the top of a module or script; gives one row (a mapping), several (a list of mappings) or a data
            frame, of plain values.
        settings: of plain values: numbers, texts, ``None``, lists and mappings of them, and dataclasses.
        data: large arguments, the same for all; sent once to each process, or to the cluster.
        folder: of the cache; ``None`` for none.
        jobs: local processes; 1 is this process. Not given: 1, or with ``gpus`` as many as fit on the visible GPUs.
        address: of a Ray cluster, such as ``"auto"`` or ``"10.0.0.1:6379"``; ``$RAY_ADDRESS`` if not given.
        gpus: of each call, a fraction up to 1 or a whole number; several calls share a GPU by fractions.
        work: how much each setting costs, in any unit: the largest begin first, and the time left is told from it.
        progress: stream for a line with the time left after each call.

    Returns:
        The rows in the order of the settings: their plain values as columns, then what the function gave (which wins).
        Read or computed, locally or on a cluster, it is the same table bit for bit.

    Raises:
        SweepError: at the start, for arguments that are not allowed; at the end, if calls failed. What ended is kept.
    """
    data = dict(data or {})
    work = [1.0] * len(settings) if work is None else list(work)
    if len(work) != len(settings):
        raise SweepError(f"work: {len(work)} numbers for {len(settings)} settings; give one for each")
    plain = [_plain_setting(function, setting, data) for setting in settings]
    code = _code(function)
    about = [records.plain(function), code, {name: _identity(name, value) for name, value in data.items()}]
    keys = [_key(function, text, about) for text in plain]
    kept = {} if folder is None else {key: found for key in set(keys) if (found := _read(folder, key)) is not None}
    missing = {key: k for k, key in enumerate(keys) if key not in kept}  # equal settings are done once
    order = sorted(missing.values(), key=lambda k: -work[k])
    calls = [{"function": function, "code": code, "setting": settings[k], "text": plain[k]} for k in order]
    failures: dict[int, _Failure] = {}
    done, total, started = 0.0, sum(work[k] for k in order), time.perf_counter()
    with contextlib.closing(_completed(_rows, calls, {"data": data}, jobs, address, gpus)) as ended:
        for number, (place, outcome) in enumerate(ended, start=1):
            k = order[place]
            if isinstance(outcome, _Failure):
                failures[k] = outcome
            else:
                kept[keys[k]] = json.loads(outcome)
                if folder is not None:
                    _keep(folder, keys[k], plain[k], outcome)
            done += work[k]
            if progress is not None:
                left = (time.perf_counter() - started) * (total / done - 1) if done else 0.0
                state = f"FAILED, {failures[k].what}" if k in failures else "done"
                print(
                    f"[{number}/{len(order)}] {_show(settings[k])}: {state}; about {left:.0f} s left",
                    file=progress,
                    flush=True,
                )
    if failures:
        first = min(failures)
        rest = "the others are kept; mend it and call again" if folder is not None else "mend it and call again"
        raise SweepError(
            f"{len(failures)} of {len(settings)} calls of {function.__name__} failed; "
            f"{_show(settings[first])}: {failures[first].what}; {rest}",
            failures[first].details,
        )
    columns = [{name: v for name, v in json.loads(text).items() if not isinstance(v, list | dict)} for text in plain]
    return pd.DataFrame([own | row for own, key in zip(columns, keys, strict=True) for row in kept[key]])


def spread(
    function: Callable[..., Any],
    settings: Sequence[Setting],
    *,
    shared: Setting | None = None,
    jobs: int | None = None,
    address: str | None = None,
    gpus: float = 0.0,
) -> list[Any]:
    """``function(**setting, **shared)`` for each setting, in their order; nothing is kept (see :func:`run`).

    All calls are made before an error is raised. What the function draws must come from generators of its own.

    Args:
        function: any that joblib or Ray can send.
        settings: arguments that differ.
        shared: arguments that do not; sent once to each process, or to the cluster.
        jobs: see :func:`run`, as the others.
        address: of a Ray cluster.
        gpus: of each call.

    Raises:
        SweepError: for arguments that are not allowed, or the first setting whose call failed.
    """
    results: list[Any] = [None] * len(settings)
    for k, outcome in _completed(function, settings, dict(shared or {}), jobs, address, gpus):
        results[k] = outcome
    for setting, result in zip(settings, results, strict=True):
        if isinstance(result, _Failure):
            raise SweepError(f"{function.__name__}, {_show(setting)}: {result.what}", result.details)
    return results


def on_cluster(address: str | None = None) -> bool:
    """Whether calls would go to a Ray cluster; those made within a call of a sweep stay in its process."""
    return bool(address or os.environ.get("RAY_ADDRESS")) and not _inside


# --- where calls run ----------------------------------------------------------------------------------------------


def _completed(
    function: Callable[..., Any],
    settings: Sequence[Setting],
    shared: Mapping[str, Any],
    jobs: int | None,
    address: str | None,
    gpus: float,
) -> Generator[tuple[int, Any], None, None]:
    """Place and result, or :class:`_Failure`, of each call as it ends."""
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise SweepError(f"jobs={jobs!r}: allowed is an integer, at least 1")
    if not (0 <= gpus <= 1 or (gpus > 1 and float(gpus).is_integer())):
        raise SweepError(f"gpus={gpus!r}: allowed is a fraction from 0 to 1, or a whole number")
    if not settings:
        return
    if on_cluster(address):
        yield from _by_ray(function, settings, shared, address or os.environ["RAY_ADDRESS"], gpus)
        return
    processes = min(_side_by_side(jobs, gpus), len(settings))
    if processes > 1 and not _inside:
        yield from _by_processes(function, settings, shared, processes, gpus > 0)
    else:
        for k, setting in enumerate(settings):
            yield k, _attempt(function, setting, shared)


def _side_by_side(jobs: int | None, gpus: float) -> int:
    if gpus == 0:
        return jobs or 1
    visible = torch.cuda.device_count()
    if gpus > visible:
        raise SweepError(f"gpus={gpus:g}: {visible or 'no'} GPU visible here; use gpus=0, or address=… of a cluster")
    fit = math.floor(visible / gpus + 1e-9)
    return min(jobs or fit, fit)


def _attempt(function: Callable[..., Any], setting: Setting, shared: Mapping[str, Any]) -> Any:
    """One call, in one torch thread: its result, or how it failed."""
    global _inside
    before = torch.get_num_threads(), _inside
    torch.set_num_threads(1)
    _inside = True
    try:
        return function(**setting, **shared)
    except Exception as error:
        return _Failure(_in_words(error), traceback.format_exc())
    finally:
        torch.set_num_threads(before[0])
        _inside = before[1]


def _by_processes(
    function: Callable[..., Any],
    settings: Sequence[Setting],
    shared: Mapping[str, Any],
    processes: int,
    on_gpus: bool,
) -> Generator[tuple[int, Any], None, None]:
    left, deaths = set(range(len(settings))), 0
    while left:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "shared").write_bytes(cloudpickle.dumps(dict(shared)))
            one = joblib.delayed(_in_a_process)
            calls = (one(k, function, settings[k], folder, on_gpus, os.getpid()) for k in sorted(left))
            try:
                for k, outcome in joblib.Parallel(n_jobs=processes, return_as="generator_unordered")(calls):
                    left.remove(k)
                    deaths = 0
                    yield k, outcome
            except BrokenProcessPool as error:  # one was killed, or could not import what it was sent
                deaths += 1
                if deaths > ATTEMPTS:
                    yield from (
                        (k, _Failure(f"its process died {deaths} times: {_in_words(error.__cause__ or error)}"))
                        for k in left
                    )
                    return


def _in_a_process(
    k: int, function: Callable[..., Any], setting: Setting, folder: str, on_gpus: bool, parent: int
) -> tuple[int, Any]:
    lifeline.end_with(parent)
    return k, _attempt(function, setting, _entered(folder, on_gpus))


@functools.lru_cache(maxsize=1)
def _entered(folder: str, on_gpus: bool) -> Mapping[str, Any]:
    """What calls share, read once in each process; which then takes the next GPU for its own."""
    if on_gpus:
        for slot in itertools.count():
            with contextlib.suppress(FileExistsError):
                (Path(folder) / f"slot-{slot}").touch(exist_ok=False)
                torch.cuda.set_device(slot % torch.cuda.device_count())
                break
    # A pickle that this process's parent wrote a moment ago, as for every argument of a local process.
    return pickle.loads((Path(folder) / "shared").read_bytes())  # noqa: S301


def _by_ray(
    function: Callable[..., Any], settings: Sequence[Setting], shared: Mapping[str, Any], address: str, gpus: float
) -> Generator[tuple[int, Any], None, None]:
    with _connected(address) as ray:
        there = ray.cluster_resources().get("GPU", 0)
        if gpus > there:
            raise SweepError(f"gpus={gpus:g}: the cluster at {address} has {there:g} GPUs; use gpus=0 or add a node")
        # If the process of a call dies, Ray makes the call again in another one, on another machine if need be.
        call = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=ATTEMPTS)(_on_a_worker)
        paths = [str(Path(path).resolve()) for path in sys.path]
        once = [ray.put(cloudpickle.dumps(dict(shared)))]
        sent = (cloudpickle.dumps((function, setting)) for setting in settings)
        running = {call.remote(each, paths, once): k for k, each in enumerate(sent)}
        while running:
            ray.wait(list(running), num_returns=1)
            ended, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            for reference in ended:
                k = running.pop(reference)
                try:
                    yield k, ray.get(reference)
                except ray.exceptions.RayError as error:
                    yield k, _Failure(_in_words(error))


def _on_a_worker(sent: bytes, paths: Sequence[str], once: Sequence[Any]) -> Any:
    """One call there. Modules of one's own are looked for where they lay for the process that asked."""
    sys.path.extend(path for path in paths if path not in sys.path)
    try:
        function, setting = cloudpickle.loads(sent)
        shared = _received(once[0])
    except Exception as error:
        return _Failure(_in_words(error), traceback.format_exc())
    return _attempt(function, setting, shared)


@functools.lru_cache(maxsize=1)
def _received(reference: Any) -> Mapping[str, Any]:
    """What calls share, read once in each process."""
    import ray

    return cloudpickle.loads(ray.get(reference))


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected for the time of a sweep; a connection that is there already is used, and stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before the import: nothing is sent to Ray's makers
    logging.getLogger("ray.widgets").setLevel(logging.CRITICAL)  # in a notebook it asks for packages that draw widgets
    try:
        with warnings.catch_warnings(action="ignore"):  # and its progress bars do
            import ray
    except ImportError:
        raise SweepError(
            f"address={address!r}: Ray is not installed; pip install -e '.[cluster]', or give no address "
            "and unset RAY_ADDRESS"
        ) from None
    if ray.is_initialized():
        yield ray
        return
    _reach(address)
    try:
        more: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **more)
    except Exception as error:  # Ray raises many kinds
        raise SweepError(f"address={address!r}: no connection to Ray ({_in_words(error)})") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Refuse an address where no gRPC server answers: Ray itself would try for minutes, then end this process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or os.environ.get("RAY_USE_TLS", "0") == "1":
        return  # a word such as "auto", which Ray refuses at once if it is wrong
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    try:
        with socket.create_connection((host, int(port)), timeout=REACH_S) as server:
            server.settimeout(REACH_S)
            server.sendall(hello)
            answered = server.recv(9)[3:4] == b"\x04"  # the kind of frame with which every HTTP/2 server begins
    except (OSError, OverflowError):
        answered = False
    if not answered:
        raise SweepError(
            f"address={address!r}: no Ray cluster answered there within {REACH_S} s; see `ray status`, or start one "
            "with `ray start --head`"
        )


def _in_words(error: BaseException) -> str:
    """The kind and the message of an error, on one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words if len(words) <= 300 else f'{words[:150]} … {words[-150:]}'}"


def _show(setting: Setting, most: int = 160) -> str:
    text = ", ".join(f"{name}={' '.join(repr(value)[:most].split())}" for name, value in setting.items())
    return text if len(text) <= most else f"{text[: most - 1]}…"


# --- what is kept -------------------------------------------------------------------------------------------------


def _rows(*, function: Callable[..., Any], code: Any, setting: Setting, text: str, data: Mapping[str, Any]) -> str:
    """One call of a cached sweep, where it runs: its rows as JSON, in which floats are exact."""
    if not _is_same(function, code):
        raise SweepError(
            "the process that made this call has other code or versions than the one that asked; use the same checkout "
            "and environment on all machines, and restart after changing the code"
        )
    with _seeded(text):
        found = function(**setting, **data)
    if isinstance(found, pd.DataFrame):
        found = found.to_dict("records")
    rows = [found] if isinstance(found, Mapping) else found
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise SweepError(f"it gave a {type(found).__name__}; allowed is a mapping, a list of mappings, or a data frame")
    return json.dumps([dict(row) for row in rows], default=_number)


@contextlib.contextmanager
def _seeded(text: str) -> Iterator[None]:
    """Global generators that depend on the setting alone, and are as before when the call is over."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one is meant
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


def _number(value: Any) -> Any:
    """For JSON: a number of numpy, or a tensor of one element."""
    if isinstance(value, np.generic | Tensor):
        return value.item()
    raise TypeError(f"{type(value).__name__} {str(value)[:60]!r} is not allowed; give numbers, texts, None, or lists")


def _plain_setting(function: Callable[..., Any], setting: Setting, data: Mapping[str, Any]) -> str:
    """A setting as JSON, sorted by name.

    Raises:
        SweepError: for a value that has none, or a name that the data has too.
    """

    def plain(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return {type(value).__name__: asdict(value)}
        return _number(value)

    for name in setting:
        if name in data:
            raise SweepError(f"{name}: both a setting of {function.__name__} and its data; rename one")
    try:
        return json.dumps(dict(setting), sort_keys=True, default=plain)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SweepError(f"setting {_show(setting)}: {_in_words(error)}; larger things go into data=") from None


def _identity(name: str, value: Any) -> Any:
    if not isinstance(value, Dataset | Tensor):
        raise SweepError(f"data {name!r}: a {type(value).__name__}; allowed is a Dataset or a tensor, else a setting")
    if isinstance(value, Tensor):
        return [list(value.shape), str(value.dtype), value.device.type, content(value)]
    return value.identity()


def _code(function: Callable[..., Any]) -> dict[str, Any]:
    """What decides a function's numbers beside its arguments: its own file, modules of this library, and versions.

    Raises:
        SweepError: if its code does not lie in a file, or is not all of it.
    """
    own, module = _own_code(function), getattr(function, "__module__", "")
    if own is None or not inspect.isfunction(function) or not function.__qualname__.isidentifier():
        name = getattr(function, "__qualname__", repr(function))
        raise SweepError(
            f"function {name}: allowed is a function at the top of a module or script, whose code can be read; put it "
            "into a file, and the values that it closes over into the settings"
        )
    library = [module] if module.startswith("advsmooth.") else records.imports(_source(function) or "")
    return {"own": own, "modules": library, "library": records.code_version(*library), "versions": records.versions()}


def _is_same(function: Callable[..., Any], code: Mapping[str, Any]) -> bool:
    """Whether this process has the code and versions of the one that asked; a script need not lie here, it was sent."""
    own, library = _own_code(function), records.code_version(*code["modules"])
    return own in (code["own"], None) and library == code["library"] and records.versions() == code["versions"]


@functools.lru_cache
def _own_code(function: Callable[..., Any]) -> str | None:
    """A hash of the file of a function, read once; ``None`` if it has none here."""
    source = _source(function)
    return None if source is None else hashlib.sha256(records.without_words(source).encode()).hexdigest()


def _source(function: Callable[..., Any]) -> str | None:
    try:
        return Path(inspect.getfile(inspect.unwrap(function))).read_text(encoding="utf-8")
    except (OSError, TypeError):
        return None


def _key(function: Callable[..., Any], text: str, about: Any) -> str:
    digest = hashlib.sha256(json.dumps([text, about], sort_keys=True).encode()).hexdigest()
    return f"{function.__module__.rpartition('.')[2]}-{function.__name__}-{digest[:24]}"


def _keep(folder: Path, key: str, text: str, rows: str) -> None:
    kept = {"setting": json.loads(text), "rows": json.loads(rows), "sha256": _checksum(key, rows)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{key}.json", json.dumps(kept) + "\n")
    except OSError as error:
        raise SweepError(f"folder={str(folder)!r}: a result cannot be kept there ({_in_words(error)})") from None


def _read(folder: Path, key: str) -> list[dict[str, Any]] | None:
    """The rows of a file of the cache; ``None`` if there is none, or if it is not as it was written."""
    try:
        kept = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        return kept["rows"] if kept["sha256"] == _checksum(key, json.dumps(kept["rows"])) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checksum(key: str, rows: str) -> str:
    return hashlib.sha256(f"{key} {rows}".encode()).hexdigest()
