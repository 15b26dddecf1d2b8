"""Where things lie: the checkout and its folders, found from this file and not from the working folder."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout. The package is installed editable; the pages, the ledger and the records lie beside it."""

NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
CLAIMS = ROOT / "data" / "claims"
RECORDED = ROOT / "data" / "recorded"
DATASETS = ROOT / "data" / "datasets.yml"
LOCK = ROOT / "requirements.lock"


def _given(variable: str) -> Path | None:
    """The path in an environment variable; ``None`` if it is not set or empty."""
    return Path(os.environ[variable]).expanduser() if os.environ.get(variable) else None


CACHE = _given("ADVSMOOTH_CACHE") or ROOT / "data" / "cache"
"""What runs keep to go on from or to read again: ``$ADVSMOOTH_CACHE`` if set, else ``data/cache`` of the checkout.

``advsmooth verify`` sets it: a network that was trained before, read from here, would be no second measurement.
"""


def data_folder() -> Path:
    """The folder of the data sets: ``$ADVSMOOTH_DATA`` if set, else ``data/cache`` of the checkout."""
    return _given("ADVSMOOTH_DATA") or ROOT / "data" / "cache"


def records_written() -> Path:
    """The folder where records are written: ``$ADVSMOOTH_RECORDED`` if set, else where they are read.

    A record written there takes the place of the stored one of the same name for the run that wrote it, and for no
    other.
    """
    return _given("ADVSMOOTH_RECORDED") or RECORDED


def evidence_file() -> Path | None:
    """The file for the unrounded evidence of a page: ``$ADVSMOOTH_EVIDENCE``; ``None`` if it is not set."""
    return _given("ADVSMOOTH_EVIDENCE")
