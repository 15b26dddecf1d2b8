"""Worker processes that end with the process that started them.

A process that is killed (SIGKILL) cannot tell its workers. Without this they would finish what they have begun, and
what waits in their queue, while the next call does the same work beside them.
"""

from __future__ import annotations

import functools
import os
import threading
import time


def end_with(parent: int) -> None:
    """Let this process end within a second of the one that started it; does nothing in that process itself.

    Args:
        parent: process id of the one that started this one directly, as joblib's loky does.
    """
    if os.getpid() != parent:
        _watch(parent)


@functools.cache
def _watch(parent: int) -> None:
    threading.Thread(target=_wait, args=(parent,), daemon=True, name="lifeline").start()


def _wait(parent: int) -> None:
    while os.getppid() == parent:  # an orphan has another parent at once
        time.sleep(0.5)
    os._exit(1)
