"""Save a record with a table of 4,000 rows that all say which save it was."""

import json
from pathlib import Path

import pandas as pd

from advsmooth import data, records, settings

PAGE = "finlay2018/dataset_lipschitz"
ROWS = 4000
DIGITS = data.load("digits")


def plainly(path, content):
    """What a write must not be: it empties the file first."""
    with path.open("w") as file:
        for start in range(0, len(content), 1000):
            file.write(content[start : start + 1000])
            file.flush()


def path_in(folder):
    return Path(folder) / f"{PAGE}.cpu.json"


def main(folder, save, how="atomically"):
    if how == "plainly":
        records.write_atomically = lambda path, content: plainly(path.with_suffix(""), content)
        Path.replace = lambda *_: None
    cfg = settings.resolve({"scale": "cpu", "seed": int(save), "n": None}, n=settings.count(quick=1, cpu=2))
    records.save(
        PAGE, pd.DataFrame({"save": [int(save)] * ROWS}), cfg=cfg, data=[DIGITS], cost={}, folder=Path(folder),
        function="advsmooth.analysis.lipschitz:replay", arguments={"name": "digits", "n": 20, "seed": 0},
    )  # fmt: skip


def whole(folder):
    """Which save a record is of; both files are of the same, and complete."""
    record = records.read(path_in(folder))
    assert record.table["save"].tolist() == [record.provenance["parameters"]["seed"]] * ROWS, "of two saves, or cut"
    return int(record.table["save"][0])


def after_kill(folder, save):
    """The old one, the new one, or a refusal that says how to finish the new one."""
    left = {path.suffixes[-2]: path for path in records.unfinished(Path(folder))}
    try:
        found = whole(folder)
    except records.RecordError as error:
        refusal, found = str(error), None
    if found is None:
        assert f"rename {left['.json'].name} to {path_in(folder).name}" in refusal
        left[".json"].replace(path_in(folder))
        assert whole(folder) == int(save), "what was computed is not lost"
    elif found == 0:
        assert ".csv" not in left or pd.read_csv(left[".csv"])["save"].tolist() == [int(save)] * ROWS
        assert ".csv" in left or ".json" not in left
    else:
        assert found == int(save)
        assert not left


def after_end(folder, save):
    assert whole(folder) == int(save)
    assert records.unfinished(Path(folder)) == []


def without_circumstances(folder):
    """A record but for when, on which commit and how long it was made."""
    provenance = json.loads(path_in(folder).read_text())
    kept = {name: value for name, value in provenance.items() if name not in ("date", "commit", "cost")}
    return kept, path_in(folder).with_suffix(".csv").read_bytes()
