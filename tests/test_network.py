"""Nothing leaves the machine but a download that was asked for: pages, commands and the site, every socket watched.

The watch is an audit hook (``offline/sitecustomize.py``) in every Python process, children and kernels as well. What is
not Python cannot be seen by it: the browser tests look at what the built site loads.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from advsmooth import pages
from advsmooth.places import BOOK, ROOT

OFFLINE = Path(__file__).parent / "offline"


@pytest.fixture
def watched(tmp_path):
    """Run a command in a process that cannot leave; returns what it did and whom it tried to reach."""

    def run(*command, cwd=ROOT):
        log = tmp_path / "tried"
        paths = [str(OFFLINE), str(ROOT / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = os.environ | {"OFFLINE_LOG": str(log), "PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)
        return done, log.read_text().splitlines() if log.exists() else []

    return run


EVERYTHING = """
import importlib, pkgutil, advsmooth
for module in pkgutil.walk_packages(advsmooth.__path__, "advsmooth."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import foolbox, pyautoattack, ray  # others the library imports only when they are asked for
from advsmooth import records
from advsmooth.__main__ import main
assert len(records.every()) > 9
for command in ("list", "scoreboard", "errata", "reference"):
    assert main([command]) == 0
"""


def test_the_library_and_its_commands_reach_nobody(watched):
    done, tried = watched(sys.executable, "-c", EVERYTHING)
    assert done.returncode == 0, done.stderr[-2000:]
    assert tried == []


def test_a_page_in_a_kernel_reaches_nobody(watched, tmp_path):
    page = pages.find("finlay2018/dataset_lipschitz")
    papermill = [
        sys.executable,
        "-m",
        "papermill",
        str(page.notebook),
        str(tmp_path / "out.ipynb"),
        "--no-progress-bar",
    ]
    done, tried = watched(*papermill, "-p", "sizes", "30, 60", "-p", "subsets", "3")
    assert done.returncode == 0, done.stderr[-2000:]
    assert tried == []


def test_a_site_is_built_without_reaching_anybody(watched, tmp_path):
    """With the book's own settings and extensions, one page of prose and one executed page."""
    for name in ("_config.yml", "tools", "book", "lib", "data", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/notation\nchapters:\n- file: book/verdicts\n")
    shutil.copyfile(ROOT / "_config.yml", tmp_path / "config.yml")
    build = ["jupyter-book", "build", str(tmp_path), "--quiet", "--path-output", str(tmp_path / "out")]
    done, tried = watched(
        sys.executable, "-c", f"import sys; sys.argv = {build!r}; from jupyter_book.cli.main import main; main()"
    )
    assert (tmp_path / "out" / "_build" / "html" / "book" / "verdicts.html").exists(), done.stderr[-2000:]
    assert tried == []
    assert BOOK.exists()


REACHES = 'import urllib.request\nurllib.request.urlopen("http://example.org/", timeout=2)\n'


def test_who_reaches_out_is_refused_and_noticed(watched, tmp_path):
    """The controls: a script, a child of a script, a page in a kernel, a name that is looked up, a bare address."""
    done, tried = watched(sys.executable, "-c", REACHES)
    assert done.returncode != 0
    assert [line.split(":")[0] for line in tried] == ["socket.getaddrinfo example.org"]
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {REACHES!r}])"
    assert len(watched(sys.executable, "-c", child)[1]) == 2
    address = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 53))"
    assert watched(sys.executable, "-c", address)[1][-1].startswith("socket.connect 192.0.2.1")


def test_a_page_that_reaches_out_is_noticed(watched, tmp_path):
    import nbformat

    page = tmp_path / "page.ipynb"
    cells = [nbformat.v4.new_code_cell(REACHES)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), page)
    done, tried = watched(
        sys.executable, "-m", "papermill", str(page), str(tmp_path / "out.ipynb"), "--no-progress-bar"
    )
    assert done.returncode != 0
    assert "Network is unreachable" in done.stderr
    assert any(line.startswith("socket.getaddrinfo example.org") for line in tried)
    assert all("example.org" in line for line in tried)
