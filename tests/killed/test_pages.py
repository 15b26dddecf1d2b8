"""Executing pages in a checkout of their own: killed at any moment, continued by the next call, nobody left behind."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from killed.harness import SOAK, read_all_the_time, started, wait_until_gone

from advsmooth import pages
from advsmooth.places import ROOT

PAGE = """# %% [markdown]
# # A page

# %% tags=["parameters"]
scale: str = "quick"  # scale
seed: int = 0  # seed

# %%
import os
import time
from pathlib import Path

with Path(os.environ["PAGE_LOG"]).open("a") as log:
    log.write(f"NAME {os.getpid()} {os.getppid()}\\n")
while "PAGE_WAITS" in os.environ:
    time.sleep(0.1)
print("NAME", seed)
"""
NAMES = ("one", "two", "three")


@pytest.fixture
def checkout(tmp_path):
    """The library and its data with three small pages."""
    made = tmp_path / "checkout"
    for folder in ("lib", "data"):
        shutil.copytree(ROOT / folder, made / folder, ignore=shutil.ignore_patterns("cache", "__pycache__"))
    shutil.copy(ROOT / "requirements.lock", made)
    (made / "notebooks" / "x2020").mkdir(parents=True)
    for name in NAMES:
        (made / "notebooks" / "x2020" / f"{name}.py").write_text(PAGE.replace("NAME", name))
    return made


def stored(checkout):
    """The notebooks that are there, read whole."""
    paths = sorted(checkout.glob("notebooks/*/*.ipynb")) + sorted(checkout.glob("_build/runs/x2020/two.seed=3.ipynb"))
    return {path.stem: pages.comparable(nbformat.read(path, as_version=4)) for path in paths}


def started_pages(checkout):
    lines = (checkout / "log").read_text().split("\n")[:-1] if (checkout / "log").exists() else []
    return [line.split() for line in lines]


def environment(checkout, **more):
    return {"PYTHONPATH": str(checkout / "lib"), "PAGE_LOG": str(checkout / "log")} | more


def test_a_pass_that_is_killed_is_continued(checkout):
    with started(Path(__file__).with_name("command.py"), **environment(checkout)) as program:
        seconds = program.called_once("execute", "--jobs", "1")
        expected = stored(checkout)
        assert set(expected) == set(NAMES)
        (checkout / "log").unlink()
        total = 0
        for seed in range(SOAK):
            for path in checkout.glob("notebooks/*/*.ipynb"):
                path.unlink()
            with read_all_the_time(lambda: stored(checkout)) as troubles:
                total += program.killed_until_it_ends(
                    "execute", "--jobs", "1", seed=seed, within=0.6 * seconds, kills=12
                )
            assert troubles == []
            assert stored(checkout) == expected
            assert not list(checkout.glob("_build/passes/*")), "the journal goes with its pass"
        print(f"pages: {total} kills")
        assert total >= SOAK
        # A call begins at most one page of those that were done before it: the one whose note the kill prevented.
        assert len(started_pages(checkout)) <= len(NAMES) * SOAK + total

        with read_all_the_time(lambda: stored(checkout)) as troubles:
            for seed in range(3 * SOAK):
                total += program.killed_until_it_ends(
                    "run", "x2020/two", "seed=3", seed=seed, within=seconds / 3, kills=1
                )
        assert troubles == []
        assert stored(checkout)["two.seed=3"][-1][-1][0]["text"] == "two 3\n"
        assert [path.name for path in (checkout / "_build" / "runs" / "x2020").iterdir()] == ["two.seed=3.ipynb"]
    wait_until_gone([int(pid) for _, pid, _ in started_pages(checkout)])


def test_workers_and_kernels_end_with_the_process_that_is_killed(checkout):
    command = [sys.executable, "-m", "advsmooth", "execute", "--jobs", "2"]
    parent = subprocess.Popen(
        command, env=os.environ | environment(checkout, PAGE_WAITS="1"), cwd=checkout, stdout=subprocess.DEVNULL
    )
    while len(started_pages(checkout)) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    others = [int(pid) for _, kernel, worker in started_pages(checkout) for pid in (kernel, worker)]
    assert len(set(others)) == 4
    wait_until_gone(others)
    assert len(started_pages(checkout)) == 2, "what waited in the queue was not begun"
