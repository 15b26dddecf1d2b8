"""Verify pages: execute them again, compare with what is stored, recorded and published, and write a certificate.

A page runs in a fresh kernel whose records and cache lie in a folder of their own, so the stored notebooks and records
stay as they are. At the scale of a record the page judges by the record it has just made, not by the stored one.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from advsmooth import certificate, claims, comparison, execution, pages, records, settings
from advsmooth.atomic import write_atomically
from advsmooth.certificate import (
    CheckResult,
    ClaimResult,
    Number,
    PageResult,
    PageValues,
    RecordResult,
    TableResult,
    TextResult,
)
from advsmooth.data import DataError
from advsmooth.execution import Execution
from advsmooth.pages import Page
from advsmooth.places import CLAIMS, LOCK, NOTEBOOKS, RECORDED, ROOT
from advsmooth.refusals import Refusal

CERTIFICATES = ROOT / "_build" / "certificates"
"""Where certificates go; what an interrupted verification goes on from lies in ``.work`` there."""

_NOTHING: dict[str, Any] = {"verdict": "", "checks": [], "claim": "", "title": ""}


class VerifyError(Refusal):
    """A verification was asked for wrongly; the message is one line."""


def chosen(what: str) -> list[Page]:
    """The pages of a name: ``all``, a paper, or a page.

    Raises:
        PageError: if there is none.
    """
    every = pages.every()
    of_paper = [page for page in every if page.key.split("/")[0] == what]
    return every if what == "all" else of_paper or [pages.find(what)]


def verify(
    what: str = "all",
    *,
    scale: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    threads: int = 1,
    jobs: int = 1,
    signed_off: str = "",
    folder: Path = CERTIFICATES,
) -> tuple[certificate.Certificate, Path]:
    """Verify pages and write a certificate; a call that was interrupted goes on where it stopped.

    Args:
        what: see :func:`chosen`.
        scale: one of :data:`advsmooth.settings.SCALES`.
        parameters: other parameters of the pages.
        threads: of the processor, for each page.
        jobs: pages at the same time.
        signed_off: ``Name <address>`` of who answers for it; empty if nobody does.
        folder: where the certificate goes.

    Returns:
        The certificate and the path of its JSON file; the readable page lies beside it.

    Raises:
        VerifyError: if something is not allowed, or no page could be executed as asked.
        PageError: if there is no such page.
    """
    from joblib import Parallel, delayed

    from advsmooth import certificate_page

    if scale not in settings.SCALES:
        raise VerifyError(f"scale={scale!r}: allowed is {', '.join(settings.SCALES)}")
    for name, value in (("threads", threads), ("jobs", jobs)):
        if value < 1:
            raise VerifyError(f"{name}={value}: allowed is an integer, at least 1")
    if signed_off and not re.fullmatch(r"[^<>\n]*[^<>\s] <[^<>\s]+@[^<>\s]+>", signed_off):
        raise VerifyError(
            f"signed-off {signed_off!r}: write it as 'Name <address>', such as 'Ada L. <ada@example.org>'"
        )
    if "scale" in (parameters or {}):
        raise VerifyError("scale=…: give the scale as --scale")
    some, asked = chosen(what), dict(parameters or {})
    given = asked if scale == "quick" else {"scale": scale, **asked}
    load, started = os.getloadavg()[0], time.perf_counter()
    work = folder / ".work" / hashlib.sha256(repr((what, sorted(given.items()), threads)).encode()).hexdigest()[:12]
    results: dict[str, PageResult] = {}
    run = Parallel(n_jobs=jobs, return_as="generator_unordered")
    for done, result in enumerate(run(delayed(_kept)(page, work / page.key, given, threads) for page in some), start=1):
        results[result.page] = result
        left = (time.perf_counter() - started) / done * (len(some) - done)
        print(
            f"[{done}/{len(some)}] {result.page}: {result.outcome} in {result.seconds:.0f} s; about {left:.0f} s left",
            flush=True,
        )
    if all(result.ran == "refused" for result in results.values()):
        raise VerifyError(f"nothing was executed: {results[some[0].key].message}")
    now = dt.datetime.now(dt.UTC)
    made = certificate.Certificate(
        format=certificate.FORMAT,
        what=what if what == "all" or len(some) > 1 else some[0].key,
        scale=scale,
        parameters={name: str(value) for name, value in asked.items()},
        signed_off=signed_off,
        date=now.isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - started, 1),
        here=here(scale, threads, jobs, load),
        pages=[results[page.key] for page in some],
    )
    path = _free(folder, f"{now.date().isoformat()}-{made.what.replace('/', '-')}-{scale}")
    certificate.write(made, path)
    write_atomically(path.with_suffix(".html"), certificate_page.html_of(made))
    shutil.rmtree(work, ignore_errors=True)  # only now: the next call measures again
    return made, path


def _free(folder: Path, stem: str) -> Path:
    """A path that holds no certificate yet."""
    path, number = folder / f"{stem}.json", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.json"
    return path


def here(scale: str, threads: int | None, jobs: int, load_before: float) -> certificate.Here:
    """Where and from what a certificate is made."""
    on_gpu = settings.SCALES.index(scale) >= settings.SCALES.index("gpu") and torch.cuda.is_available()
    return certificate.Here(
        commit=records.commit(),
        code=_sha256(*(ROOT / "lib").rglob("*.py"), *NOTEBOOKS.glob("*/*.py")),
        lock=_sha256(LOCK),
        ledger=_sha256(*CLAIMS.glob("*.yml")),
        versions=records.versions(),
        device=records.device_name("cuda" if on_gpu else "cpu"),
        processor=records.processor(),
        system=f"{platform.system()} {platform.machine()}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}".rstrip(
            ", "
        ),
        threads=threads,
        jobs=jobs,
        load_before=round(load_before, 2),
        load_after=round(os.getloadavg()[0], 2),
    )


def _sha256(*paths: Path) -> str:
    """Of the names and contents of files; one that is not there counts as empty."""
    found = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes() if path.exists() else b""
        found.update(f"{path.relative_to(ROOT).as_posix()} {hashlib.sha256(content).hexdigest()}\n".encode())
    return found.hexdigest()


def _kept(page: Page, folder: Path, parameters: Mapping[str, Any], threads: int) -> PageResult:
    inputs = [page.notebook, *sorted(RECORDED.glob(f"{page.key}.*"))]
    seen = [hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs if path.exists()]
    key = execution.key_of(page, dict(parameters), threads, records.commit(), seen)
    result = functools.partial(page_result, page, folder, parameters, threads)
    # pydantic's own JSON, in which a NaN is a word.
    return PageResult.model_validate_json(
        execution.kept(folder / "result.json", key, lambda: {"result": result().model_dump_json()})["result"]
    )


def page_result(page: Page, folder: Path, parameters: Mapping[str, Any], threads: int) -> PageResult:
    """Execute one page in a folder and compare it with all it can be compared with."""
    started = time.perf_counter()
    ran: Literal["yes", "refused", "failed"] = "yes"
    message, said, judged = "", None, not parameters
    try:
        before = execution.stored(page)
        said = execution.execute(page, folder, parameters, threads)
    except pages.RefusalError as error:
        ran, message = "refused", str(error)
    except RuntimeError as error:  # a page that failed, or a kernel that died
        ran, message = "failed", str(error).strip().splitlines()[-1]
    compared, text, held = [], _no_text("the page did not run"), []
    if said:
        compared = [_claim(*pair, said) for pair in _sections(before, said)]
        text = _text(before, said) if judged else _no_text("other parameters than those of the stored page")
        with execution.computing_threads(threads):
            held = [_record(path, folder / "recorded") for path in sorted(RECORDED.glob(f"{page.key}.*.json"))]
    values = PageValues(
        page=page.key,
        title=page.title(),
        seconds=round(time.perf_counter() - started, 1),
        code=hashlib.sha256(repr(sorted(page.code().items())).encode()).hexdigest(),
        judged=judged,
        ran=ran,
        message=message,
        claims=compared,
        text=text,
        records=held,
    )
    outcome, reasons = certificate.decide(values)
    return PageResult(**values.model_dump(), outcome=outcome, reasons=reasons)


def _sections(stored: Execution, made: Execution) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The verdicts and findings of both, in pairs by name."""
    a, b = ({_name(section): section for section in e.sections} for e in (stored, made))
    return [(a.get(name, _NOTHING), b.get(name, _NOTHING)) for name in {**a, **b}]


def _name(section: Mapping[str, Any]) -> str:
    return section.get("claim") or section["name"]


def _claim(stored: dict[str, Any], made: dict[str, Any], said: Execution) -> ClaimResult:
    one = made if made is not _NOTHING else stored
    name = _name(one)
    entry = {c.id: c for c in claims.all_claims()}.get(name)
    a, b = ({check["name"]: check for check in section["checks"]} for section in (stored, made))
    return ClaimResult(
        name=name,
        title=entry.title if entry else one.get("title", ""),
        place=entry.place if entry else "",
        stored=stored.get("verdict", ""),
        here=made.get("verdict", ""),
        checks=[_check(a.get(k), b.get(k), said.evidence.get(name, {}).get(k, {})) for k in {**a, **b}],
    )


def _check(stored: dict[str, Any] | None, made: dict[str, Any] | None, exact: dict[str, Any]) -> CheckResult:
    one = made or stored or {}
    before, now = ((check or {}).get("evidence", "") for check in (stored, made))
    pairs = comparison.texts(before, now, exact) or []
    return CheckResult(
        name=one["name"],
        role=one["role"],
        stored=(stored or {}).get("outcome", ""),
        here=(made or {}).get("outcome", ""),
        evidence_stored=before,
        evidence_here=now,
        same_text=before == now,
        numbers=[Number.of(pair) for pair in pairs],
        exact=exact,
    )


def _no_text(why: str) -> TextResult:
    return TextResult(compared=False, why=why, cells=0, same=0, rounding=0, differing=[])


def _text(stored: Execution, made: Execution) -> TextResult:
    """The printed text, cell by cell; one that differs by rounding only counts as such."""
    same, rounding, differing = 0, 0, []
    for number, (a, b) in enumerate(zip(stored.cells, made.cells, strict=False)):
        if a == b:
            same += 1
            continue
        pairs = comparison.texts(a, b)
        if pairs is not None and all(pair.within for pair in pairs):
            rounding += 1
            continue
        differing.append((number, *comparison.lines_that_differ(a, b)[0]))
    if len(stored.cells) != len(made.cells):
        differing.append(
            (min(len(stored.cells), len(made.cells)), f"{len(stored.cells)} cells", f"{len(made.cells)} cells")
        )
    return TextResult(compared=True, why="", cells=len(made.cells), same=same, rounding=rounding, differing=differing)


def _record(path: Path, made: Path) -> RecordResult:
    """Replay a stored record, and compare its table if it was measured again into the folder ``made``."""
    label = path.stem.partition(".")[2]
    try:
        record = records.read(path)
    except records.RecordError as error:
        return RecordResult(label=label, state="differs", why=str(error))
    table = _measured_again(record, made / path.parent.name / path.name)
    about = {"label": label, "date": record.provenance["date"], "device": record.provenance["device"], "table": table}
    rows = table is not None and bool(table.outside or table.missing or table.extra)
    words = f"{table.outside} numbers outside, {table.missing} rows missing, {table.extra} more" if table else ""
    tolerance = records.replay_tolerance(record)
    try:
        found = record.replay.run()
    except DataError as error:
        why = f"the replay needs data that is not here ({error})"
        return RecordResult(**about, state="differs" if rows else "unknown", why=words if rows else why)
    except (ArithmeticError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError) as error:
        why = f"its replay did not run ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        return RecordResult(**about, state="differs", why=why)
    metrics = record.replay.metrics
    numbers = [_replayed(name, metrics.get(name), found.get(name), tolerance) for name in {**metrics, **found}]
    wrong = [number for number in numbers if not number.within]
    if wrong:
        why = f"its replay gives {wrong[0].label} = {wrong[0].here!r}, recorded {wrong[0].stored!r}"
    elif rows:
        why = words
    else:
        equal = all(number.relative == 0 for number in numbers)
        why = f"its replay gives the recorded numbers {'in every digit' if equal else f'within {tolerance:g}'}"
    return RecordResult(**about, state="differs" if wrong or rows else "confirmed", why=why, replay=numbers)


def _replayed(name: str, recorded: float | None, found: float | None, tolerance: float) -> Number:
    """One number of a replay; a NaN stands for one that is not there, and agrees with nothing but a recorded NaN."""
    a, b = (float("nan") if value is None else float(value) for value in (recorded, found))
    near = bool(np.isclose(a, b, rtol=tolerance, atol=0.0, equal_nan=True)) and None not in (recorded, found)
    return Number.of(comparison.Pair(a, b, near, name))


def _measured_again(record: records.Record, path: Path) -> TableResult | None:
    """The comparison with the table at ``path``, if there is one that was made with the same parameters."""
    if not path.exists():
        return None
    again = records.read(path)
    if again.provenance["parameters"] != record.provenance["parameters"]:
        return None
    found = comparison.tables(record.table, again.table)
    return TableResult(**asdict(found) | {"differing": [Number.of(pair) for pair in found.differing]})
