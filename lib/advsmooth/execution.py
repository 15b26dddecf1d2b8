"""One execution of a page to compare with another: all it says, rounded as printed and unrounded.

The page runs in a fresh kernel. Nothing that is stored is touched: its records and its cache go to folders of their
own, so that a network trained before is trained again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nbformat import NotebookNode

from advsmooth import claims, pages, settings
from advsmooth.atomic import write_atomically
from advsmooth.pages import Page
from advsmooth.records import versions

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Execution:
    """What a page says, once.

    Attributes:
        page: its key.
        threads: it computed in; ``None`` where that is not known.
        seconds: wall time.
        sections: the verdicts and the findings, as :meth:`advsmooth.claims.Verdict.to_dict` writes them.
        evidence: claim or name of the findings -> check -> label -> the unrounded number; empty if it is not known,
            as for a stored page.
        cells: the printed text of each code cell, pictures left out.
    """

    page: str
    threads: int | None
    seconds: float
    sections: list[dict[str, Any]]
    evidence: dict[str, dict[str, dict[str, float | int | str]]]
    cells: list[str]


def execute(
    page: Page, folder: Path, parameters: Mapping[str, Any] | None = None, threads: int = 1, offered: int | None = None
) -> Execution:
    """Execute a page and keep what it says; its records go to ``folder/recorded``, what it caches to ``folder/cache``.

    Args:
        page: the page.
        folder: of this execution alone.
        parameters: of the page.
        threads: in which it computes.
        offered: threads that the libraries would use if the page did not decide; ``threads`` if not given.

    Raises:
        PageError: if it did not run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    evidence = folder / "evidence.json"
    evidence.unlink(missing_ok=True)
    variables = {
        "ADVSMOOTH_RECORDED": str(folder / "recorded"),
        "ADVSMOOTH_CACHE": str(folder / "cache"),
        "ADVSMOOTH_EVIDENCE": str(evidence),
        "ADVSMOOTH_THREADS": str(threads),
        **{name: str(offered or threads) for name in _THREADS},
    }
    started = time.perf_counter()
    with environment(variables):
        notebook = pages.run(page, folder / "page.ipynb", parameters)
    return said(notebook, page.key, threads, time.perf_counter() - started, evidence)


def stored(page: Page) -> Execution:
    """What the stored page says, its numbers rounded."""
    notebook = page.stored()
    return said(notebook, page.key, None, notebook.metadata["advsmooth"]["seconds"], None)


def said(notebook: NotebookNode, key: str, threads: int | None, seconds: float, evidence: Path | None) -> Execution:
    """Read an executed notebook, and the file of its unrounded evidence if there is one."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return Execution(
        page=key,
        threads=threads,
        seconds=round(seconds, 1),
        sections=[
            section
            for cell in code
            for section in claims.read_report(cell["outputs"]) + claims.read_findings(cell["outputs"])
        ],
        evidence=json.loads(evidence.read_text(encoding="utf-8")) if evidence and evidence.exists() else {},
        cells=[printed(cell) for cell in code],
    )


def printed(cell: NotebookNode) -> str:
    """The text a cell prints, as nbval compares it: streams, plain text and tables; pictures left out."""
    parts = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        parts += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return "\n".join(part for part in parts if part)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for what is started inside, put back afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def computing_threads(threads: int) -> Iterator[None]:
    """Compute in so many threads in this process, and in as many as before afterwards."""
    before = torch.get_num_threads()
    settings.use_threads(threads)
    try:
        yield
    finally:
        settings.use_threads(before)


def kept(path: Path, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is kept in a file under this key; made, and kept there whole, if there is nothing or under another key.

    So an interrupted series goes on where it stopped. A file that cannot be read counts as nothing.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("key") == key:
            return found
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"key": key, **made}))
    return made


def key_of(page: Page, *more: Any) -> str:
    """A hash of the code of a page, the versions it runs with and whatever else (plain data) decides what it says."""
    text = json.dumps([page.code(), *more, versions()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
