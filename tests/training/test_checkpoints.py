"""Checkpoints: whole or not at all, and refused in one line when they are not ours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from advsmooth import settings
from advsmooth.training import checkpoints
from advsmooth.training.checkpoints import CheckpointError

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3).T,  # not contiguous
    "b": torch.tensor([1, 2], dtype=torch.int64),
    "state": torch.Generator().manual_seed(3).get_state(),
    "empty": torch.zeros(0, dtype=torch.float64),
}


def test_numbers_and_plain_data_come_back(tmp_path):
    path = tmp_path / "deep" / "run.safetensors"
    about = {"rate": 0.1, "lowest": float("-inf"), "list": [1, None, "x"]}
    checkpoints.write(path, TENSORS | {"tied": TENSORS["a"]}, about)
    tensors, found = checkpoints.read(path)
    assert found == about
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert torch.equal(tensors["tied"], TENSORS["a"])
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -8])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "run.safetensors"
    checkpoints.write(path, TENSORS, {})
    content = path.read_bytes()
    path.write_bytes(content[:keep])
    with pytest.raises(CheckpointError, match=r"checkpoint run.safetensors: truncated or corrupt") as refusal:
        checkpoints.read(path)
    assert "\n" not in str(refusal.value)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of 'advsmooth training 1'") as refusal:
        checkpoints.read(path)
    assert refusal.value._render_traceback_() == [f"CheckpointError: {refusal.value}"]
    path.write_text("something else altogether, and long enough to hold a header")
    with pytest.raises(CheckpointError, match="truncated or corrupt"):
        checkpoints.read(path)
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="truncated or corrupt"):
        checkpoints.read(path)


@pytest.mark.parametrize("about", ["", "{", "[]", "null", "[" * 100_000, "9" * 5000])
def test_a_header_that_is_not_an_object_is_refused(tmp_path, about):
    path = tmp_path / "run.safetensors"
    save_file({"a": torch.zeros(2)}, path, metadata={"format": checkpoints.FORMAT, "about": about})
    with pytest.raises(CheckpointError, match="its header is not JSON.*delete it"):
        checkpoints.read(path)


KILLED_WHILE_WRITING = """
import os, signal, sys, torch
from pathlib import Path
from advsmooth.training import checkpoints
path = Path(sys.argv[1])
checkpoints.write(path, {"a": torch.zeros(3)}, {"n": 1})
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
checkpoints.write(path, {"a": torch.ones(3)}, {"n": 2})
"""


def test_killed_while_writing_the_old_file_is_whole(tmp_path):
    path = tmp_path / "run.safetensors"
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], check=False, env=os.environ)
    assert done.returncode == -9
    tensors, about = checkpoints.read(path)
    assert about == {"n": 1}
    assert torch.equal(tensors["a"], torch.zeros(3))
    assert len(list(tmp_path.iterdir())) == 2  # the part that was written lies beside it
    (part,) = tmp_path.glob(".*")
    os.utime(part, (0, 0))
    checkpoints.write(path, {"a": torch.ones(3)}, {"n": 3})
    assert len(list(tmp_path.iterdir())) == 1  # and goes with a later write


def test_differences_are_named():
    ours = {"recipe": {"batch": 64, "awp": None}, "seed": 0}
    assert checkpoints.difference(ours, {"recipe": {"batch": 64, "awp": None}, "seed": 0}) is None
    found = checkpoints.difference(ours, {"recipe": {"batch": 128, "awp": None}, "seed": 0})
    assert found == "recipe.batch is 128 there and 64 here"
    assert checkpoints.difference(ours, {"seed": 0}) == "recipe is 'absent' there and {'batch': 64, 'awp': None} here"
    assert checkpoints.difference({}, {"more": 1}) == "more is 1 there and 'absent' here"


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_an_optimiser_continues_bit_for_bit(tmp_path, kind):
    def run(optimiser, theta, steps, seed):
        for step in range(steps):
            theta.grad = torch.randn(5, generator=settings.generator(seed + step))
            optimiser.step()

    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    whole = torch.nn.Parameter(torch.ones(5))
    run(kind([whole], lr=0.1, **options), whole, 6, 0)
    half = torch.nn.Parameter(torch.ones(5))
    first = kind([half], lr=0.1, **options)
    run(first, half, 3, 0)
    tensors, about = checkpoints.optimiser_state(first)
    checkpoints.write(tmp_path / "o", tensors, about)
    second = kind([half], lr=0.7, **options)
    checkpoints.restore_optimiser(second, *checkpoints.read(tmp_path / "o"))
    run(second, half, 3, 3)
    assert torch.equal(whole, half)
