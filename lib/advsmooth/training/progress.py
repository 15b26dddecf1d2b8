"""A progress line on a stream of one's choice; notebooks keep stderr clean."""

from __future__ import annotations

import time
from typing import TextIO


class ProgressLine:
    """One line on a stream, written again and again, with the time left."""

    def __init__(self, stream: TextIO | None, done: int, total: int) -> None:
        self.stream, self.first, self.total = stream, done, total
        self.started = self.written = time.perf_counter()
        self.width = 0

    def show(self, done: int, text: str, *, now: bool = False) -> None:
        """Say how far the run is, at most once a second unless ``now``."""
        clock = time.perf_counter()
        if self.stream is None or (clock - self.written < 1 and not now):
            return
        self.written = clock
        left = (clock - self.started) / max(1, done - self.first) * max(0, self.total - done)
        line = f"{text}, step {min(done, self.total)}/{self.total}, {_duration(left)} left"
        self.stream.write("\r" + line.ljust(self.width))
        self.stream.flush()
        self.width = len(line)

    def close(self) -> None:
        """End the line."""
        if self.stream is not None and self.width:
            self.stream.write("\n")


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"
