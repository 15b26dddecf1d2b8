"""The two files of a record are of one save, whenever a save is killed and whenever they are read."""

from pathlib import Path

import pytest
from killed import save_record
from killed.harness import SOAK, read_all_the_time, started

from advsmooth import records


@pytest.fixture(scope="module")
def program():
    with started(Path(__file__).with_name("save_record.py")) as program:
        yield program


def looking_at(folder, seen):
    def look():
        try:
            seen.append(save_record.whole(folder))
        except records.RecordError as refusal:
            if "table_sha256" not in str(refusal):  # between the two renames it may refuse, never mix
                raise

    return look


def test_a_save_that_is_killed_never_mixes_two_records(program, tmp_path):
    alone, folder = tmp_path / "alone", tmp_path / "killed"
    seconds = min(program.called_once(alone, 0), program.called_once(folder, 0))  # the first one is slower
    total, seen = 0, []
    with read_all_the_time(looking_at(folder, seen)) as troubles:
        for seed in range(1, 1 + 2 * SOAK):
            # A save starts anew each time: with the shorter time all are killed but the last, with the longer some end.
            within = (0.5 if seed % 2 else 1.1) * seconds
            total += program.killed_until_it_ends(folder, seed, seed=seed, within=within, kills=8)
            assert save_record.whole(folder) == seed
    assert troubles == []
    assert seen == sorted(seen)
    print(f"records: {total} kills, {len(seen)} readings")
    assert total > 2 * SOAK
    assert records.unfinished(folder) == []
    program.called_once(folder, 0)
    assert save_record.without_circumstances(folder) == save_record.without_circumstances(alone)


def test_killed_before_any_of_its_changes_a_save_is_mended_by_the_next(program, tmp_path):
    folder = tmp_path / "record"
    program.called_once(folder, 0)
    # Two files that wait, each opened and renamed, and two renames to their place.
    assert program.killed_before_every_change(folder, 1, folder=folder) >= 6


def test_a_reader_would_notice_a_plain_write(program, tmp_path):
    """The negative control of the reader."""
    folder = tmp_path / "record"
    program.called_once(folder, 0)
    troubles = []
    while not troubles:  # as often as it takes
        with read_all_the_time(looking_at(folder, [])) as seen:
            program.called_once(folder, 0, "plainly")
        troubles += seen
