"""Tables of the cache are whole or not there."""

from pathlib import Path

import pandas as pd
from killed.harness import SOAK, read_all_the_time, started


def test_tables_of_the_cache_are_whole_whenever_their_making_is_killed(tmp_path):
    (tmp_path / "alone").mkdir()
    with started(Path(__file__).with_name("keep_table.py")) as program:
        seconds = program.called_once(tmp_path / "alone")
        expected = {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}
        assert len(expected) == 3
        total = 0
        for seed in range(4 * SOAK):
            folder = tmp_path / f"killed{seed}"
            folder.mkdir()

            def look(folder=folder):
                for path in folder.glob("*.csv"):
                    assert len(pd.read_csv(path)) == 20

            with read_all_the_time(look) as troubles:
                total += program.killed_until_it_ends(folder, seed=seed, within=0.7 * seconds)
            assert troubles == []
            assert {path.name: path.read_bytes() for path in folder.glob("*.csv")} == expected
    print(f"tables: {total} kills")
    assert total >= 4 * SOAK
