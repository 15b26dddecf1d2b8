"""The pages: find them, execute them with papermill, and read what they say.

A page is a jupytext pair. Its truth is the ``.py``; the ``.ipynb`` is always produced from it by
execution, never synchronised. Stored notebooks carry no execution times, paths or random cell ids, so
that executing a page again changes the file only if an output did.
"""

from __future__ import annotations

import ast
import builtins
import copy
import datetime as dt
import difflib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from advsmooth import claims, lifeline
from advsmooth.atomic import write_atomically
from advsmooth.journal import Journal
from advsmooth.places import NOTEBOOKS, ROOT
from advsmooth.records import code_hashes, imports
from advsmooth.refusals import in_one_line, one_line, quoted

RUNS = ROOT / "_build" / "runs"
"""Where runs with other parameters go; the stored notebooks are always at ``quick``."""

BUDGET = 60.0
"""Seconds a page may take at ``quick``. Half of it is what a page is written for; the rest is for slower machines."""

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


class PageError(RuntimeError):
    """A page does not exist, or did not run; the message is one line for a refusal, else the traceback."""


class RefusalError(PageError):
    """A page refused what it was asked for: a parameter, a scale, a data set or a GPU that is not here; one line."""


@dataclass(frozen=True)
class Page:
    """One page of the book.

    Attributes:
        key: ``<paper>/<topic>``.
    """

    key: str

    @property
    def script(self) -> Path:
        """The ``.py``: the truth of the pair."""
        return NOTEBOOKS / f"{self.key}.py"

    @property
    def notebook(self) -> Path:
        """The executed ``.ipynb``."""
        return NOTEBOOKS / f"{self.key}.ipynb"

    def source(self) -> NotebookNode:
        """The notebook that the ``.py`` describes, without outputs."""
        import jupytext

        notebook = jupytext.reads(self.script.read_text(encoding="utf-8"), fmt="py:percent")
        notebook.metadata["kernelspec"] = dict(_KERNEL)
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{number:02d}"  # jupytext's are random, and would change the file every time
        return notebook

    def stored(self) -> NotebookNode:
        """The executed notebook as stored.

        Raises:
            PageError: if it has not been executed yet, or the file is not a notebook.
        """
        try:
            return nbformat.read(self.notebook, as_version=4)
        except FileNotFoundError:
            raise PageError(
                f"{self.key}: not executed yet; run `make book` or `advsmooth execute {self.key}`"
            ) from None
        except (ValueError, nbformat.ValidationError) as error:
            raise PageError(f"{self.key}: {self.notebook.name} is not a notebook ({error}); execute it again") from None

    def title(self) -> str:
        """The first heading of the page."""
        lines = self.script.read_text(encoding="utf-8").splitlines()
        return next((line.removeprefix("# # ") for line in lines if line.startswith("# # ")), self.key)

    def library(self) -> list[str]:
        """The functions and classes of this library that the page names, dotted, in the order of their modules.

        Those of the house (checks, settings, plotting and the like, which every page has) are left out.
        """
        return sorted(_used(ast.parse(self.script.read_text(encoding="utf-8"))))

    def code(self) -> dict[str, str]:
        """SHA-256 of the ``.py`` and of every module of this library that it needs."""
        source = self.script.read_text(encoding="utf-8")
        return {self.key: hashlib.sha256(source.encode()).hexdigest(), **code_hashes(*imports(source))}

    def verdicts(self) -> list[dict[str, Any]]:
        """What the executed page says of each of its claims (see :meth:`advsmooth.claims.Verdict.to_dict`)."""
        return [found for cell in self.stored().cells for found in claims.read_report(cell.get("outputs", []))]

    def findings(self) -> list[dict[str, Any]]:
        """What it reports beyond the claims of the ledger (see :class:`advsmooth.claims.Findings`)."""
        return [found for cell in self.stored().cells for found in claims.read_findings(cell.get("outputs", []))]


_SCIENCE = ("analysis", "attacks", "models", "theory", "training")


def _used(tree: ast.Module) -> set[str]:
    """Dotted names of what a script uses of the scientific part of this library."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "advsmooth":
            bound |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
            found.add(f"{bound[node.value.id]}.{node.attr}")
        elif isinstance(node, ast.Name) and node.id in bound:
            found.add(bound[node.id])
    modules = {name.rpartition(".")[0] for name in found}
    return {
        name
        for name in found - modules  # a module is named whenever something in it is
        if name.split(".")[1] in _SCIENCE and name.count(".") > 2 and not name.rpartition(".")[2].isupper()
    }


def every() -> list[Page]:
    """All pages, in the order of their keys."""
    return [Page(path.relative_to(NOTEBOOKS).with_suffix("").as_posix()) for path in sorted(NOTEBOOKS.glob("*/*.py"))]


def find(name: str) -> Page:
    """The page of this name: a key, or a path to its ``.py`` or ``.ipynb``.

    Raises:
        PageError: if there is none; the message names the nearest.
    """
    key = name.removeprefix("notebooks/").removesuffix(".ipynb").removesuffix(".py")
    known = {page.key: page for page in every()}
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"pages: {', '.join(known)}"
        raise PageError(one_line(f"page {quoted(name)}: not found; {hint}", 4000))
    return known[key]


def run(page: Page, output: Path, parameters: Mapping[str, Any] | None = None) -> NotebookNode:
    """Execute a page with papermill and return the cleaned notebook.

    Args:
        page: the page; its ``.py`` is what runs.
        output: where papermill writes while it runs; on failure it holds the traceback.
        parameters: injected after the parameters cell; none for the presets of ``quick``.

    Raises:
        PageError: if a cell raised or the kernel died; one line if it could not read or write a file. A
            :class:`RefusalError`, in one line, if the page refused a parameter or a data set.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.ipynb"
        nbformat.write(page.source(), source)
        started = time.perf_counter()
        try:
            executed = papermill.execute_notebook(
                str(source),
                str(output),
                dict(parameters or {}),
                kernel_name=_KERNEL["name"],
                progress_bar=False,
                cwd=str(ROOT),
                # Else every kernel warns that loopback is not encrypted, and some report the interrupt that ends them;
                # what goes wrong in a cell is in the notebook and raised here.
                extra_arguments=["--log-level=CRITICAL"],
            )
        except PapermillExecutionError as error:
            if len(error.traceback) == 1:  # a refusal renders itself as one line
                raise RefusalError(one_line(f"{page.key}: {error.ename}: {error.evalue}")) from None
            if _from_outside(error.ename):
                raise PageError(one_line(f"{page.key}: {error.ename}: {error.evalue}")) from None
            raise PageError(f"{page.key}: {error}") from None
        except DeadKernelError:
            raise PageError(
                f"{page.key}: its process was killed, perhaps for want of memory; give smaller numbers and run it again"
            ) from None
        seconds = time.perf_counter() - started
    return _clean(executed, page, seconds)


def _from_outside(name: str) -> bool:
    """Whether an error of this name is about files, memory or the user's Ctrl-C rather than about our code."""
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, OSError | MemoryError | KeyboardInterrupt)


def _clean(executed: NotebookNode, page: Page, seconds: float) -> NotebookNode:
    """Drop what differs from run to run, and note when the page was executed, from what, and how long it took."""
    notebook = copy.deepcopy(executed)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        for key in ("papermill", "execution"):
            cell["metadata"].pop(key, None)
        if not cell["metadata"].get("tags", True):
            del cell["metadata"]["tags"]  # papermill gives every cell an empty list
        if "outputs" in cell:
            cell["outputs"] = _joined(cell["outputs"])
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": dict(_KERNEL),
            "language_info": {"name": "python"},
            "jupytext": {"formats": "ipynb,py:percent"},
            "advsmooth": {
                "page": page.key,
                "executed": dt.datetime.now(dt.UTC).date().isoformat(),
                "seconds": round(seconds, 1),
                "source_sha256": hashlib.sha256(page.script.read_bytes()).hexdigest(),
            },
        }
    )
    return notebook


def _joined(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """The outputs, text printed in several messages as one: how many there are is chance."""
    found: list[NotebookNode] = []
    for output in outputs:
        before = found[-1] if found else None
        if before and output["output_type"] == before["output_type"] == "stream" and output["name"] == before["name"]:
            before["text"] += output["text"]
        else:
            found.append(copy.deepcopy(output))
    return found


def update(page: Page) -> tuple[str, bool, float]:
    """Execute a page at ``quick`` and store it if anything a reader sees has changed, or if it was too slow before.

    Returns:
        The key, whether the stored file changed, and the seconds it took.
    """
    with tempfile.TemporaryDirectory() as folder:
        fresh = run(page, Path(folder) / "out.ipynb")
    changed = (
        not page.notebook.exists()
        or comparable(page.stored()) != comparable(fresh)
        or page.stored().metadata["advsmooth"]["seconds"] > max(BUDGET, fresh.metadata["advsmooth"]["seconds"])
    )
    if changed:
        write_atomically(page.notebook, nbformat.writes(fresh) + "\n")
    return page.key, changed, fresh.metadata["advsmooth"]["seconds"]


def comparable(notebook: NotebookNode) -> list[Any]:
    """Cells and outputs without pictures, which differ in their bytes where they look the same."""
    cells = []
    for cell in notebook.cells:
        outputs = [
            {k: v for k, v in output.items() if k not in ("data", "metadata")}
            | {"data": {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}}
            for output in cell.get("outputs", [])
        ]
        cells.append((cell.cell_type, cell.source, dict(cell.metadata), outputs))
    return cells


def update_all(chosen: Sequence[Page], jobs: int) -> list[str]:
    """Execute pages in parallel, with a progress line, and store what changed.

    A pass that was killed is continued (see :mod:`advsmooth.journal`).

    Returns:
        The failures, one text each; the other pages were stored all the same.
    """
    from joblib import Parallel, delayed

    failures: list[str] = []
    taken: dict[str, float] = {}
    journal = Journal(chosen)
    before = len(journal.done)
    if before:
        print(f"continuing an interrupted pass: {before} of {len(chosen)} pages were done", flush=True)
    started = time.perf_counter()
    in_parallel = Parallel(n_jobs=jobs, backend="loky", return_as="generator_unordered")
    results = in_parallel(delayed(_attempt)(page, os.getpid()) for page in chosen if page.key not in journal.done)
    for done, (key, outcome, seconds) in enumerate(results, start=before + 1):
        elapsed = time.perf_counter() - started
        left = elapsed / (done - before) * (len(chosen) - done)
        failed = outcome not in ("stored", "unchanged")
        taken[key] = seconds
        state = "FAILED" if failed else outcome
        print(f"[{done}/{len(chosen)}] {key}: {state} in {seconds:.0f} s; about {left:.0f} s left", flush=True)
        if failed:
            failures.append(outcome)
        else:
            journal.note(Page(key))
    journal.close()
    if len(taken) > 5:
        print(
            "slowest: "
            + ", ".join(f"{key} {taken[key]:.0f} s" for key in sorted(taken, key=lambda key: -taken[key])[:5])
        )
    return failures


def _attempt(page: Page, parent: int) -> tuple[str, str, float]:
    lifeline.end_with(parent)
    started = time.perf_counter()
    try:
        key, changed, seconds = update(page)
    except PageError as error:
        return page.key, str(error), time.perf_counter() - started
    except OSError as error:  # such as a full disk: the other pages go on
        return page.key, f"{page.key}: {in_one_line(error) or error}", time.perf_counter() - started
    return key, "stored" if changed else "unchanged", seconds


def differences(page: Page) -> Iterator[str]:
    """How the stored notebook's cells differ from the ``.py``: count, type, source or metadata. Nothing if in step."""
    source, stored = page.source().cells, page.stored().cells
    if len(source) != len(stored):
        yield f"{page.key}: {len(source)} cells in the .py, {len(stored)} in the .ipynb"
    for number, (a, b) in enumerate(zip(source, stored, strict=False)):
        for part in ("cell_type", "source", "metadata"):
            if a[part] != b[part]:
                yield f"{page.key}: cell {number} differs in its {part}; execute the page again"


def main_error(error: Exception) -> int:
    """Print an error of this library as one line on stderr; the exit status for it."""
    print(str(error), file=sys.stderr)
    return 2
