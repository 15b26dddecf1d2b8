"""A training killed again and again gives the weights and tables of one that was left alone, bit for bit."""

import json
from pathlib import Path

import pytest
from killed.harness import SOAK, called_once, killed_until_it_ends, read_all_the_time

from advsmooth.training import checkpoints

PROGRAM = Path(__file__).with_name("training.py")
NAMES = ("plain", "adversarial with AWP", "EntropySGD")


@pytest.mark.parametrize("name", NAMES)
def test_a_training_that_is_killed_ends_with_the_same_bits(tmp_path, name, record_property):
    alone = tmp_path / "alone"
    alone.mkdir()
    seconds = called_once(PROGRAM, name, alone, 1)
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
            total += killed_until_it_ends(PROGRAM, name, folder, 1 + seed % 2, seed=seed, within=seconds / 4)
        assert troubles == []
        assert seen == sorted(seen), "a run never goes back behind a checkpoint"
        assert len(set(seen)) > 3
        assert json.loads((folder / "result.json").read_text()) == expected
    record_property("kills", total)
    assert total >= 8 * SOAK, "too few kills to say anything"
    print(f"{name}: {total} kills")
