"""A training killed again and again gives the weights and tables of one that was left alone, bit for bit."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killed import train_network
from killed.harness import SOAK, read_all_the_time, started, wait_until_gone
from training.small import same

from advsmooth.training import checkpoints, runs


@pytest.fixture(scope="module")
def program():
    with started(Path(__file__).with_name("train_network.py")) as program:
        yield program


@pytest.mark.parametrize("name", ["plain", "adversarial with AWP", "EntropySGD"])
def test_a_training_that_is_killed_ends_with_the_same_bits(program, tmp_path, name):
    alone = tmp_path / "alone"
    alone.mkdir()
    seconds = program.called_once(name, alone, 1)
    expected = json.loads((alone / "result.json").read_text())
    total = 0
    for seed in range(2 * SOAK):
        folder = tmp_path / f"killed{seed}"
        folder.mkdir()
        path = folder / "run.safetensors"
        seen = []

        def look(path=path, seen=seen):
            if path.exists():
                seen.append(checkpoints.read(path)[1]["epochs"])

        with read_all_the_time(look) as troubles:
            total += program.killed_until_it_ends(name, folder, 1 + seed % 2, seed=seed, within=seconds / 4)
        assert troubles == []
        assert seen == sorted(seen), "a run never goes back behind a checkpoint"
        assert len(set(seen)) > 3
        assert json.loads((folder / "result.json").read_text()) == expected
    print(f"{name}: {total} kills")
    assert total >= 4 * SOAK, "too few kills to say anything"


SIDE_BY_SIDE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from killed import train_network
from advsmooth.training import runs
runs.trained_all(train_network.two_runs(), folder=Path(sys.argv[1]), jobs=2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_workers_of_a_training_end_with_the_process_that_is_killed(tmp_path):
    folder, alone = tmp_path / "killed", tmp_path / "alone"
    command = [sys.executable, "-c", SIDE_BY_SIDE, str(folder), str(Path(__file__).parents[1])]
    parent = subprocess.Popen(command, env=os.environ)
    while not list(folder.glob("*.safetensors")):
        assert parent.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.kill()
    parent.wait()
    assert len(children) >= 2
    wait_until_gone(list(map(int, children)))
    epochs = [checkpoints.read(path)[1]["epochs"] for path in folder.glob("*.safetensors")]
    assert max(epochs) < train_network.LONG, "the workers went on to the end"
    first = train_network.two_runs()[0]
    continued, uninterrupted = runs.trained(first, folder=folder), runs.trained(first, folder=alone)
    assert same(continued.model.state_dict(), uninterrupted.model.state_dict())
    assert continued.steps.equals(uninterrupted.steps)
