"""Files that are whole or not there: a reader, and the next call after a kill, sees the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.partial")
_LEFT_BEHIND = 3600.0
"""Age in seconds from which a part is what a killed process left; nobody takes so long to write one file."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; the content is on the disk before the name is.

    Each write has a part of its own, ``.<name>.<random>.partial`` beside the file, so that two processes may write one
    file: the last one wins. Parts that others left when they were killed are removed after an hour.

    Args:
        path: of the file; its folder must be there.
        content: text is written as UTF-8.

    Raises:
        OSError: if it cannot be written; the old file stays, and no part.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _remove_left_behind(path.parent)


def _remove_left_behind(folder: Path) -> None:
    for found in os.scandir(folder):
        if _PARTIAL.fullmatch(found.name):
            with contextlib.suppress(OSError):  # another process was faster
                if time.time() - found.stat().st_mtime > _LEFT_BEHIND:
                    Path(found.path).unlink()
