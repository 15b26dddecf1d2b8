"""A Sphinx extension: the site loads nothing of Thebe, which Jupyter Book adds to every page.

Its script comes from another host, and no page has a live kernel: to run a page one takes the notebook.
"""

from __future__ import annotations

from typing import Any


def without_thebe(files: list[Any]) -> list[Any]:
    """The scripts or style sheets of a page but for Thebe's."""
    return [f for f in files if "thebe" not in f"{getattr(f, 'filename', f)} {getattr(f, 'attributes', '')}".lower()]


def drop(*event: Any) -> None:
    """Called by Sphinx for each page; its context is the last but one argument."""
    context = event[-2]
    for key in ("script_files", "css_files"):
        context[key] = without_thebe(context.get(key, []))


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("html-page-context", drop, priority=900)  # after Thebe has added its own
    return {"version": "1", "parallel_read_safe": True}
