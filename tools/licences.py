"""The licences of everything the lock names, written to data/licences.csv, and the rule they must keep.

pip-licenses reads what the installed packages say of themselves; here it is put into SPDX expressions. What is not
installed on this machine (for another system or Python) or says nothing was looked up by hand; the table says how each
is known.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "data" / "licences.csv"

PERMISSIVE = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC",
    "LicenseRef-Public-Domain", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib",
}  # fmt: skip
"""Allowed anywhere."""

NAMED = {
    "MPL-2.0": {"certifi", "hypothesis", "pathspec", "tqdm", "axe-playwright-python"},
    "LicenseRef-NVIDIA-Proprietary": {"cuda-toolkit"},  # and nvidia-*, see `refused`
}
"""Allowed only to the packages named: weak copyleft, which binds changes to their own files, and NVIDIA's CUDA."""

LOOKED_UP: Mapping[str, tuple[str, str]] = {
    "aiohappyeyeballs": ("PSF-2.0", "its wheel; not installed here"),
    "aiohttp": ("Apache-2.0 AND MIT", "its wheel; not installed here"),
    "aiosignal": ("Apache-2.0", "its wheel; not installed here"),
    "appnope": ("BSD-2-Clause", "its wheel; not installed here"),
    "atheris": ("Apache-2.0", "its LICENSE; the metadata are silent"),
    "axe-playwright-python": ("MIT AND MPL-2.0", "its LICENSE; the axe-core in it is MPL-2.0"),
    "colorama": ("BSD-3-Clause", "its wheel; not installed here"),
    "cuda-toolkit": ("LicenseRef-NVIDIA-Proprietary", "judged: it says nothing, and only requires NVIDIA's packages"),
    "docutils": ("LicenseRef-Public-Domain AND BSD-2-Clause AND PSF-2.0", "its COPYING; the GPL file is not installed"),
    "frozenlist": ("Apache-2.0", "its wheel; not installed here"),
    "multidict": ("Apache-2.0", "its wheel; not installed here"),
    "propcache": ("Apache-2.0", "its wheel; not installed here"),
    "sphinx-mathjax-offline": ("MIT AND Apache-2.0", "its metadata; the MathJax in it is Apache-2.0"),
    "sphinx-proof": ("MIT", "its LICENSE; the metadata say BSD"),
    **dict.fromkeys(
        [f"sphinxcontrib-{name}" for name in ("applehelp", "devhelp", "htmlhelp", "qthelp", "serializinghtml")],
        ("BSD-2-Clause", "it says BSD and holds no text; which BSD is that of sphinxcontrib-jsmath, by the same team"),
    ),
    "yarl": ("Apache-2.0", "its wheel; not installed here"),
}
"""Package -> its licence and how that is known."""

_SPELT: Mapping[str, str] = {
    "3-Clause BSD License": "BSD-3-Clause", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "ISC License (ISCL)": "ISC", "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Row:
    """One package of the lock."""

    package: str
    version: str
    licence: str
    needed_for: str
    known_from: str


def normalised(name: str) -> str:
    """A package's name as the lock spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> list[tuple[str, str, set[str]]]:
    """Name, version and what asked for it (by name), for each entry of a lock file."""
    found: list[tuple[str, str, set[str]]] = []
    for line in lock.splitlines():
        if match := re.match(r"([A-Za-z0-9_.-]+)(?:\[.*\])?==([^\s;\\]+)", line):
            found.append((normalised(match[1]), match[2], set()))
        elif match := re.match(r"    #   (?:via )?(.+)|    # via (.+)", line):
            asked = (match[1] or match[2]).split(" (")[0]
            found[-1][2].add(normalised(asked))
    return found


def purposes(lock: str, project: Mapping[str, Any]) -> dict[str, list[str]]:
    """What each package is needed for: the extras of pyproject.toml that reach it, ``run`` for the library itself."""
    wanted = {"run": project["dependencies"], **project["optional-dependencies"]}
    roots = {
        extra: {normalised(re.split(r"[\s\[<>=!;~]", requirement)[0]) for requirement in requirements}
        for extra, requirements in wanted.items()
    }
    parents: dict[str, set[str]] = {}
    for name, _, asked in locked(lock):
        parents.setdefault(name, set()).update(asked)
    found: dict[str, list[str]] = {name: [] for name in parents}
    for extra, reached in roots.items():
        before = 0
        while len(reached) > before:
            before = len(reached)
            reached |= {name for name, asked in parents.items() if asked & reached}
        for name in reached & set(parents):
            found[name].append(extra)
    return found


def installed() -> dict[str, str]:
    """What pip-licenses finds, as SPDX expressions; empty where a package does not say enough."""
    command = [sys.executable, "-m", "piplicenses", "--format=json", "--with-system", "--with-license-file"]
    made = subprocess.run([*command, "--no-license-path"], capture_output=True, text=True, check=True).stdout
    return {normalised(row["Name"]): spdx(row["License"], row["LicenseText"]) for row in json.loads(made)}


def spdx(said: str, text: str) -> str:
    """A licence as packages write it as an SPDX expression. "BSD" leaves open which one: the text decides."""
    said = _SPELT.get(said.strip(), said.strip())
    if said in ("BSD", "BSD License"):
        flat = " ".join(text.split()).lower()
        three = re.search(r"neither the names? of|may not be used to endorse|names? of .{1,80} may not be used", flat)
        return "BSD-3-Clause" if three else "BSD-2-Clause" if "redistributions in binary form" in flat else ""
    return "" if said == "UNKNOWN" else said


def parts(expression: str) -> list[str]:
    """The licences in an SPDX expression."""
    return [part.strip("() ") for part in re.split(r"\s(?:AND|OR)\s", expression)]


def refused(rows: Iterable[Row]) -> list[str]:
    """What breaks the rule, one line each; nothing if all is well."""
    found = []
    for row in rows:
        if not row.licence:
            found.append(f"{row.package} {row.version}: licence unknown; look it up and add it to LOOKED_UP")
        for part in parts(row.licence) if row.licence else []:
            nvidia = part == "LicenseRef-NVIDIA-Proprietary" and row.package.startswith("nvidia-")
            if part not in PERMISSIVE and row.package not in NAMED.get(part, set()) and not nvidia:
                found.append(f"{row.package} {row.version}: {part} is not on the list; needed for {row.needed_for}")
    return found


def audit() -> list[Row]:
    """The table, from the lock and from what is installed."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed, says = purposes(lock, project), installed()
    rows = []
    for name, version, _ in locked(lock):
        licence, how = LOOKED_UP.get(name, (says.get(name, ""), "what the package says"))
        rows.append(Row(name, version, licence, " ".join(needed[name]), how))
    return sorted(rows)


def read(path: Path = TABLE) -> list[Row]:
    """The table as committed."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(**row) for row in csv.DictReader(file)]


def main() -> int:
    """Write the table; 1 if a licence breaks the rule."""
    rows = audit()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(row) for row in rows)
    TABLE.write_text(text.getvalue(), encoding="utf-8")
    for line in refused(rows):
        print(line, file=sys.stderr)
    print(f"{len(rows)} packages, {len({row.licence for row in rows})} licences: {TABLE.relative_to(ROOT)}")
    return 1 if refused(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
