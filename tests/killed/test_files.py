"""One file, written, killed and read all the time; and that half a file would be noticed."""

from pathlib import Path

import pytest
from killed import write_file
from killed.harness import SOAK, read_all_the_time, started


@pytest.fixture(scope="module")
def program():
    with started(Path(__file__).with_name("write_file.py")) as program:
        yield program


@pytest.mark.parametrize("how", ["atomically", "plainly"])
def test_a_reader_sees_whole_files_only_if_they_are_written_so(program, tmp_path, how):
    path = tmp_path / "file"
    write_file.main(path, "atomically", 1)
    with read_all_the_time(lambda: write_file.whole(path)) as troubles:
        kills = program.killed_until_it_ends(path, how, 200, seed=1, within=0.1, kills=30 * SOAK)
    print(f"files, {how}: {kills} kills")
    assert bool(troubles) == (how == "plainly"), troubles[:3]


def test_the_part_that_a_kill_leaves_is_not_read_and_ignored_by_git(program, tmp_path):
    import subprocess

    from advsmooth.places import ROOT

    path = tmp_path / "file.json"
    for seed in range(100):
        program.killed_until_it_ends(path, "atomically", 3, seed=seed, within=0.01, kills=5)
        left = [other for other in tmp_path.iterdir() if other != path]
        if left:
            break
    names = [f"data/recorded/{other.name}" for other in left]
    assert names, "no kill fell into a write"
    assert not list(tmp_path.glob("*.json")) or list(tmp_path.glob("*.json")) == [path]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout.split() == names
