"""Sweeps on a real Ray cluster on this machine: two nodes of one worker process each, one of which is killed."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import sweep_calls as calls
import torch

from advsmooth import data, sweep
from advsmooth.training import runs
from advsmooth.training.recipe import Recipe
from advsmooth.training.schedules import Constant

pytest.importorskip("ray.cluster_utils", reason="Ray is not installed: pip install -e '.[cluster]'")

LONG_S = 60  # for things that take a second; a test that waits longer has failed


@pytest.fixture(scope="module")
def cluster():
    """Its address. No dashboard, no token files, a small store, nothing left behind; shut down whatever happens."""
    # Not tmp_path: the names of its sockets would be too long for the system.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray") as folder:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "temp_dir": folder}
        try:
            started = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
        except Exception as error:  # a container may forbid what its servers need; none of that is ours
            pytest.skip(f"Ray itself does not start here: {' '.join(str(error).split())[:200]}")
        try:
            started.add_node(**small)
            yield started.address
        finally:
            started.shutdown()


@pytest.fixture(scope="module")
def connected(cluster):
    """The same, with one connection for several sweeps, so that its workers start once."""
    import ray

    ray.init(cluster, log_to_driver=False, logging_level="critical")
    try:
        yield cluster
    finally:
        ray.shutdown()


def until(what):
    end = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def same(a, b):
    pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_the_driver_is_killed_and_called_again(cluster, tmp_path, monkeypatch):
    """What had ended is kept; what had begun is begun again. Each driver makes its own connection here."""
    hold, log, folder = tmp_path / "hold", str(tmp_path / "log"), tmp_path / "cache"
    hold.touch()
    grid = sweep.grid(k=[0, 4, 1, 2], log=[log], hold=[str(hold)])
    driver = f"""
        import sweep_calls, pathlib
        from advsmooth import sweep
        sweep.run(sweep_calls.stays, {grid!r}, folder=pathlib.Path({str(folder)!r}))
    """
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"RAY_ADDRESS": cluster, "PYTHONPATH": path}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(driver)], env=environment)
    try:
        until(lambda: len(list(folder.glob("*.json"))) == 3 and (tmp_path / "pid-4").exists())
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL, "it had not ended by itself"
    hold.unlink()
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    found = sweep.run(calls.stays, grid, folder=folder)
    assert sorted(calls.noted(log)) == ["0", "1", "2", "4", "4"]
    monkeypatch.delenv("RAY_ADDRESS")
    same(found, sweep.run(calls.stays, grid, folder=None))


def test_a_page_on_the_cluster_prints_nothing_more(cluster, monkeypatch):
    """What Ray would write under a cell would be an output that differs from the stored one."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    source = "from advsmooth import sweep\nprint(sweep.spread(pow, [{'base': 2, 'exp': 3}]))"
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(page, timeout=LONG_S).execute()
    assert page.cells[0].outputs == [{"output_type": "stream", "name": "stdout", "text": "[8]\n"}]


def test_a_worker_is_killed_and_nothing_is_lost_or_done_twice(connected, tmp_path):
    hold, log, folder = tmp_path / "hold", str(tmp_path / "log"), tmp_path / "cache"
    hold.touch()
    grid = sweep.grid(k=[0, 1, 5, 2, 3], log=[log], hold=[str(hold)])
    killed = []

    def kill():
        """The process of setting 5 writes its number and waits. It is killed when all the others have ended."""
        until(lambda: (tmp_path / "pid-5").exists() and len(list(folder.glob("*.json"))) == 4)
        killed.append(int((tmp_path / "pid-5").read_text()))
        os.kill(killed[0], signal.SIGKILL)
        hold.unlink()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    found = sweep.run(calls.stays, grid, folder=folder, address=connected)
    killer.join()
    assert calls.noted(log).count("5") == 2, "begun, killed, and made again once"
    assert sorted(calls.noted(log)) == ["0", "1", "2", "3", "5", "5"]
    assert int((tmp_path / "pid-5").read_text()) not in killed, "in another process"
    same(found, sweep.run(calls.stays, grid, folder=None))
    same(found, sweep.run(calls.stays, grid, folder=folder))
    assert len(calls.noted(log)) == 6 + 5, "read the last time"


def test_a_call_that_always_kills_its_process_fails_alone(connected, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "ATTEMPTS", 0)
    log = str(tmp_path / "log")
    with pytest.raises(sweep.SweepError, match="1 of 3 calls of dies failed; k=1.*WorkerCrashedError") as caught:
        sweep.run(calls.dies, sweep.grid(k=range(3), log=[log], times=[9]), folder=tmp_path / "c", address=connected)
    assert "\n" not in str(caught.value)
    assert len(list((tmp_path / "c").iterdir())) == 2


def test_errors_in_workers_come_back_in_one_line_and_what_is_shared_is_sent_once(connected, tmp_path):
    with pytest.raises(sweep.SweepError, match="1 of 3 calls of odd failed; k=1.*ValueError: 1 is odd") as caught:
        sweep.run(calls.odd, sweep.grid(k=[0, 1, 2], log=[str(tmp_path / "log")]), folder=None, address=connected)
    assert 'raise ValueError(f"{k} is\\nodd")' in caught.value.details
    shared = {"thing": calls.Counted(tmp_path / "sent")}
    found = sweep.spread(calls.of_shared, sweep.grid(k=range(6)), shared=shared, address=connected)
    assert found == [(k, "Counted") for k in range(6)]
    assert calls.noted(tmp_path / "sent") == ["sent"]


def test_gpus_that_the_cluster_does_not_have_are_refused(connected):
    with pytest.raises(sweep.SweepError, match=f"gpus=0.5: the cluster at {connected} has 0 GPUs"):
        sweep.spread(calls.process, [{"k": 0}], address=connected, gpus=0.5)


def test_networks_trained_on_the_cluster_are_those_trained_here(connected, tmp_path, monkeypatch):
    digits = data.load("digits").take(64, seed=0)
    recipe = Recipe(epochs=1, batch=32, rate=Constant(0.1))
    planned = [runs.Run("lenet", {"w": 1}, digits, recipe, seed) for seed in (1, 0)]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    here = runs.trained_all(planned, folder=tmp_path / "here")
    monkeypatch.setenv("RAY_ADDRESS", connected)
    kept = runs.loop.train
    monkeypatch.setattr(
        runs.loop, "train", lambda *a, **k: (drivers.append(k["checkpoint"].exists()), kept(*a, **k))[1]
    )
    drivers = []
    there = runs.trained_all(planned, folder=tmp_path / "there")
    assert drivers == [True, True], "the driver only read"
    for a, b in zip(here, there, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.model.parameters(), b.model.parameters(), strict=True))
        assert a.steps.equals(b.steps)
    assert {p.name for p in (tmp_path / "here").iterdir()} == {p.name for p in (tmp_path / "there").iterdir()}
