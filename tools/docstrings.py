"""A Sphinx extension: an indented formula in a docstring is shown as it stands.

Our docstrings set formulas as indented blocks. To docutils such a block is a quotation, in which ``|x|`` would name a
substitution and ``*`` start emphasis; here it becomes a literal block.
"""

from __future__ import annotations

import re
from typing import Any

_LIST = re.compile(r"([-*+]|\d+\.|\.\.|:)(\s|$|\w)")


def literal_blocks(lines: list[str]) -> list[str]:
    """The lines with ``::`` before each indented block that stands between blank lines and is not a list's."""
    made: list[str] = []
    before = ""  # the last line of text
    for number, line in enumerate(lines):
        starts = line.startswith("    ") and number > 0 and not lines[number - 1].strip()
        if starts and before and not before.startswith(" ") and not before.endswith("::") and not _LIST.match(before):
            made += ["::", ""]
        before = line.rstrip() or before
        made.append(line)
    return made


def process(*event: Any) -> None:
    """Called by autodoc for each docstring, before napoleon reads its sections; its lines are the last argument."""
    lines = event[-1]
    lines[:] = literal_blocks(lines)


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", process, priority=100)
    return {"version": "1", "parallel_read_safe": True}
