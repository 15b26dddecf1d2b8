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
CACHE = ROOT / "data" / "cache"
LOCK = ROOT / "requirements.lock"


def data_folder() -> Path:
    """The folder of the data sets: ``$ADVSMOOTH_DATA`` if set, else ``data/cache`` of the checkout."""
    return Path(os.environ["ADVSMOOTH_DATA"]).expanduser() if os.environ.get("ADVSMOOTH_DATA") else CACHE
