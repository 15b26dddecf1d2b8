"""Build the site beside the one that is read, look it over, and put it in its place when it is whole.

``_build/html`` is a link to the newest whole site in ``_build/sites``. A link is replaced in one step: a reader finds
the old site or the new one, also if a build fails or is killed. What such a build leaves is removed by a later one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import site_check
from jupyter_book.cli.main import main as jupyter_book

ROOT = Path(__file__).resolve().parents[1]
LEFT_BEHIND = 3600.0
"""Age in seconds from which a folder is what a killed build left; a build takes minutes."""


def main(source: Path, build: Path) -> int:
    """Build the book in `source` and let `build`/html lead to it; the exit status."""
    sites = build / "sites"
    sites.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="site-", suffix=".partial", dir=sites))
    status = run_jupyter_book(source, work)
    made = work / "_build" / "html"
    status = status or site_check.main(made)
    if status:
        print(f"no new site: what there is of it lies in {made}; {build / 'html'} is as before", file=sys.stderr)
        return status
    put_in_place(made, sites / work.stem, build / "html")
    shutil.rmtree(work)
    remove_left_behind(sites, keep=sites / work.stem)
    return 0


def run_jupyter_book(source: Path, output: Path) -> int:
    """Run it in this process, so that a killed build has no child that goes on; its exit status."""
    try:
        jupyter_book(["build", str(source), "--path-output", str(output), "--quiet", "-W", "-n", "--keep-going"])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def put_in_place(made: Path, site: Path, link: Path) -> None:
    """Move a whole site to its place and lead the link there; the site that was there goes."""
    made.rename(site)
    if link.is_dir() and not link.is_symlink():  # as older versions of this repository left it
        link.rename(site.with_name(f"{site.name}.before"))
    before = link.resolve()
    fresh = link.with_name(f".html.{site.name}")
    fresh.symlink_to(os.path.relpath(site, link.parent))
    fresh.replace(link)
    if before != link and before != site:
        shutil.rmtree(before, ignore_errors=True)


def remove_left_behind(sites: Path, keep: Path) -> None:
    """Remove what builds left that were killed or have failed."""
    for found in sites.iterdir():
        with contextlib.suppress(OSError):  # another build was faster
            if found != keep and time.time() - found.stat().st_mtime > LEFT_BEHIND:
                shutil.rmtree(found)


if __name__ == "__main__":
    sys.exit(main(ROOT, ROOT / "_build"))
