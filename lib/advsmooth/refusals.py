"""Refusals: errors whose message is one line for the user, and the one place that decides what is shown of an error.

Every error class of this library that answers bad input is a :class:`Refusal`. Whoever ends a program, the command
line or a plain script, asks :func:`in_one_line` what to print.
"""

from __future__ import annotations

import os


class Refusal(ValueError):  # noqa: N818 - what the design calls it
    """Input was refused; the message is one line: the value, what is allowed, what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this: a reader who mistypes a parameter sees the line, not our call stack.
        return [f"{type(self).__name__}: {self}"]


def one_line(text: object, longest: int = 1000) -> str:
    """The text on one line that any terminal can show; of a longer one the beginning and the end.

    File names and values of users may hold anything: line breaks, control characters, halves of a surrogate pair.
    """
    flat = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(str(text).split()))
    return flat if len(flat) <= longest else f"{flat[: longest // 2]} … {flat[-longest // 4 :]}"


def quoted(value: object, longest: int = 120) -> str:
    """The value as Python writes it, for a message, however long or odd it is."""
    try:
        return one_line(repr(value), longest)
    except (ValueError, RecursionError):  # an integer of more than 4300 digits, or lists without end
        return f"<{type(value).__name__} too large to show>"


def in_one_line(error: BaseException) -> str | None:
    """What the user is told of an error that is not a mistake of ours; ``None`` for one that is."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped; what was finished is kept"
    if isinstance(error, Refusal):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.errno is not None:
        place = f" {quoted(os.fspath(error.filename))}" if error.filename else ""
        return f"{one_line(os.strerror(error.errno))}:{place} cannot be read or written; mend that and run it again"
    if isinstance(error, MemoryError):
        return "out of memory; give smaller numbers, or use a larger machine"
    return None
