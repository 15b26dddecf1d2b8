"""The reference of the library: one page of the book a folder, written for Sphinx's autodoc.

What stands on these pages comes from the docstrings; here is only which modules there are, in which order.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from advsmooth.atomic import write_atomically
from advsmooth.places import BOOK, ROOT

LIBRARY = ROOT / "lib" / "advsmooth"
FOLDER = BOOK / "api"
PAGES: Mapping[str, tuple[str, str]] = {
    "attacks": ("Attacks", "Callables `(model, x, y, generator=g) -> x_adv`, and what judges their results."),
    "models": ("Networks", "One file a family; the registry builds any of them by name, with a seed."),
    "training": ("Training", "The loop, objectives, schedules, optimisers, and networks by description."),
    "analysis": ("Analysis", "What is measured of networks: curvature, landscapes, stability, gradients, detection."),
    "theory": ("Theory", "Closed forms, bounds and exact solvers that the theorem pages test against."),
    "house": ("The house", "Checks and verdicts, records, pages, settings, data sets and drawing."),
}
"""Folder (``house`` for the modules at the top) to heading and one sentence."""


def modules(folder: str) -> list[str]:
    """The dotted names of the modules of a folder."""
    where = LIBRARY if folder == "house" else LIBRARY / folder
    prefix = "advsmooth" if folder == "house" else f"advsmooth.{folder}"
    return [f"{prefix}.{path.stem}" for path in sorted(where.glob("*.py")) if not path.stem.startswith("__")]


def render(folder: str) -> str:
    """The page of one folder."""
    title, sentence = PAGES[folder]
    parts = [f"# {title}", sentence]
    for name in modules(folder):
        parts += [
            f"## {name.removeprefix('advsmooth.')}",
            f"```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```",
        ]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """The page that lists the modules with the first sentence of each."""
    parts = [
        "# The library",
        "`lib/advsmooth` is what the pages are made of. `import advsmooth` works in any program of yours after "
        "`pip install -e .`; the pages show how each part is used. Nothing here knows about the pages.",
    ]
    for folder, (title, sentence) in PAGES.items():
        rows = [f"| {{py:mod}}`{name}` | {_first_sentence(name)} |" for name in modules(folder)]
        parts += [f"## {{doc}}`{title} <{folder}>`", sentence, "\n".join(["| module | |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def _first_sentence(name: str) -> str:
    path = ROOT / "lib" / Path(*name.split(".")).with_suffix(".py")
    words = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
    return " ".join(words.replace("``", "`").replace("|", "\\|").split())


def write(folder: Path = FOLDER) -> str:
    """Write all pages; returns one line that says how many modules are on them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "index.md", index())
    for name in PAGES:
        write_atomically(folder / f"{name}.md", render(name))
    return f"reference: {sum(len(modules(name)) for name in PAGES)} modules"
