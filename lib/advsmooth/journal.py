"""The journal of a pass over the pages: which are done, so that a pass that was killed continues where it was.

A page is done while nothing that decides its outputs has changed: its source, the library, everything under ``data/``,
the lock, what is installed, the data sets, and the file that was stored. The journal goes when its pass ends; so a pass
that was not interrupted executes every page.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from advsmooth import data
from advsmooth.atomic import write_atomically
from advsmooth.places import CACHE, LOCK, ROOT, data_folder

if TYPE_CHECKING:
    from advsmooth.pages import Page

FOLDER = ROOT / "_build" / "passes"


class Journal:
    """What is known of a pass over these pages.

    Args:
        chosen: the pages of the pass; another choice is another pass.
    """

    def __init__(self, chosen: Sequence[Page]) -> None:
        self._path = FOLDER / f"{_sha256(json.dumps(sorted(page.key for page in chosen)).encode())[:16]}.json"
        world = _world()
        self._decides = {page.key: _fingerprint(page, world) for page in chosen}
        earlier = _read(self._path)
        self._done = {page.key: earlier[page.key] for page in chosen if earlier.get(page.key) == self._state(page)}

    @property
    def done(self) -> frozenset[str]:
        """Keys of the pages that need not be executed again."""
        return frozenset(self._done)

    def note(self, page: Page) -> None:
        """A page was executed and stored; noted unless something it depends on has changed since the pass began."""
        if _fingerprint(page, _world()) == self._decides[page.key]:
            self._done[page.key] = self._state(page)
            FOLDER.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps(self._done, indent=1) + "\n")

    def close(self) -> None:
        """The pass has ended."""
        self._path.unlink(missing_ok=True)

    def _state(self, page: Page) -> list[str]:
        stored = page.notebook.read_bytes() if page.notebook.exists() else b""
        return [self._decides[page.key], _sha256(stored)]


def _fingerprint(page: Page, world: str) -> str:
    """A hash of all that decides what a page says."""
    return _sha256(f"{world} {page.key} {_sha256(page.script.read_bytes())}".encode())


def _world() -> str:
    """A hash of all that decides what the pages say, but for their own sources."""
    return _sha256(json.dumps([_files(), sys.version, _installed(), _datasets(), _threads()]).encode())


def _read(path: Path) -> dict[str, list[str]]:
    """An earlier journal; nothing if there is none. It is written whole, so anything else is not ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _files() -> list[list[str]]:
    """The library, the ledger, the records and the other files of ``data/``, and the lock: names and hashes."""
    return [[path.relative_to(ROOT).as_posix(), _sha256(path.read_bytes())] for path in sorted(_read_by_pages())]


def _read_by_pages() -> Iterator[Path]:
    yield from (ROOT / "lib").rglob("*.py")
    for top in (ROOT / "data").iterdir():
        if top != CACHE:
            yield from (path for path in (top, *top.rglob("*")) if path.is_file() and not path.name.startswith("."))
    yield LOCK


@functools.cache
def _installed() -> list[str]:
    return sorted(f"{each.name} {each.version}" for each in importlib.metadata.distributions())


def _datasets() -> list[list[str]]:
    """The folder of the data sets, and the files of each with their size and time."""
    root = data_folder()
    found = [[str(root), "", ""]]
    for entry in data.catalogue().values():
        top = root / entry["folder"]
        for path in sorted((top, *top.rglob("*"))) if entry["folder"] else ():
            if path.is_file():
                found.append([str(path), str(path.stat().st_size), str(path.stat().st_mtime_ns)])
    return found


def _threads() -> list[str | None]:
    """Sums are taken in another order by another number of threads."""
    return [os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
