"""A Sphinx extension: under the question of each executed page, its verdicts and how to run it oneself.

All of it is read from the page: verdicts and running time from the stored notebook, the scales and the functions of the
library from the script. Both files are offered for download.
"""

from __future__ import annotations

import html
import importlib
import inspect
import re
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes

from advsmooth import claims, pages, records
from advsmooth.places import NOTEBOOKS, RECORDED

DOWNLOADS = "_downloads/pages"
RECORDS = "_downloads/recorded"
_SCALES = re.compile(r"^scale: str = .*#\s*(.+)$", re.MULTILINE)


def render(page: pages.Page, root: str) -> str:
    """The box of a page as HTML; ``root`` leads from the page to the top of the site."""
    stored = page.stored()
    made = stored.metadata["advsmooth"]
    verdicts = "".join([*map(_verdict, page.verdicts()), *map(_finding, page.findings())])
    scales = html.escape(_words(page, _SCALES))
    files = " and ".join(
        f'<a href="{root}{DOWNLOADS}/{page.key}{suffix}" download>{suffix}</a>' for suffix in (".ipynb", ".py")
    )
    return (
        '<aside class="page-box" aria-label="Verdicts and how to run this page">'
        f'<ul class="page-verdicts">{verdicts}</ul>'
        "<details><summary>Run this page</summary>"
        f"<pre>make run NB={page.key} P=&quot;seed=3&quot;\n"
        f"papermill notebooks/{page.key}.ipynb out.ipynb -p seed 3</pre>"
        f"<p>The stored outputs were made at <code>quick</code> on {made['executed']}, in {made['seconds']:.0f} "
        f"seconds on one core. Scales: {scales}. Parameters: the first cell. Download {files}.</p></details>"
        f"{_recorded(page, root)}"
        f"<details><summary>What it uses of the library</summary>{_library(page, root)}</details></aside>"
    )


def _verdict(found: dict[str, Any]) -> str:
    entry = claims.claim(found["claim"])
    name = found["verdict"]
    return (
        f'<li><a href="#verdict-{entry.id}"><span class="badge verdict-{name.replace(" ", "-")}">{name}</span> '
        f"{html.escape(entry.title)}</a></li>"
    )


def _finding(found: dict[str, Any]) -> str:
    return (
        f'<li><a href="#findings-{found["name"]}"><span class="badge">{found.get("outcome", "findings")}</span> '
        f"{html.escape(found['title'])}</a></li>"
    )


def _recorded(page: pages.Page, root: str) -> str:
    """The larger runs that the page shows: on what, on which device, how long, from which commit; and their files."""
    rows = []
    for record in sorted(records.every(page.key), key=lambda r: str(r.provenance["date"]), reverse=True):
        made = record.provenance
        place = f"{root}{RECORDS}/{page.key}.{made['label']}"
        files = " and ".join(f'<a href="{place}{suffix}" download>{suffix}</a>' for suffix in (".csv", ".json"))
        words = html.escape(f"{record.summary()}; {made.get('threads', 1)} thread(s); commit {made['commit'][:8]}")
        rows.append(f"<li>{words}: {files}</li>")
    return f"<details><summary>Recorded runs</summary><ul>{''.join(rows)}</ul></details>" if rows else ""


def _words(page: pages.Page, pattern: re.Pattern[str]) -> str:
    match = pattern.search(page.script.read_text(encoding="utf-8"))
    return match[1] if match else "quick"


def _library(page: pages.Page, root: str) -> str:
    homes = sorted({home for name in page.library() if (home := _home(name))})
    rows = []
    for module, names in groupby(homes, key=lambda name: name.rpartition(".")[0]):
        folder = module.split(".")[1]
        links = ", ".join(
            f'<a href="{root}book/api/{folder}.html#{name}"><code>{name.rpartition(".")[2]}</code></a>'
            for name in names
        )
        rows.append(f'<li><span class="module">{module.removeprefix("advsmooth.")}</span>: {links}</li>')
    return f"<ul>{''.join(rows)}</ul>" if rows else "<p>Nothing but the checks.</p>"


def _home(name: str) -> str:
    """The dotted name under which the reference has a function or class; empty for anything else."""
    module, _, own = name.rpartition(".")
    thing = getattr(importlib.import_module(module), own, None)
    if not (inspect.isfunction(thing) or inspect.isclass(thing)) or not thing.__module__.startswith("advsmooth."):
        return ""
    return f"{thing.__module__}.{thing.__qualname__}"


def insert(app: Any, tree: nodes.document) -> None:
    """Put the box behind the first paragraph of a page, which is its question."""
    key = app.env.docname.removeprefix("notebooks/")
    if key == app.env.docname or not pages.Page(key).notebook.exists():
        return
    question = next(iter(tree.findall(nodes.paragraph)), None)
    if question is None:
        return
    box = nodes.raw("", render(pages.Page(key), "../" * app.env.docname.count("/")), format="html")
    question.parent.insert(question.parent.index(question) + 1, box)


def copy_files(app: Any, error: Exception | None) -> None:
    """Offer both files of every page, and the records."""
    if error is not None or app.builder.format != "html":
        return
    found = [(NOTEBOOKS, DOWNLOADS, path) for page in pages.every() for path in (page.script, page.notebook)]
    found += [(RECORDED, RECORDS, path) for kind in ("csv", "json") for path in RECORDED.glob(f"*/[!.]*.{kind}")]
    for folder, offered, path in found:
        if path.exists():
            target = Path(app.outdir) / offered / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("doctree-read", insert)
    app.connect("build-finished", copy_files)
    return {"version": "1", "parallel_read_safe": True}
