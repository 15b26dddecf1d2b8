"""Records: written whole, read with care, and stale only if their replay says so."""

import hashlib
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from advsmooth import data, places, records, settings

PAGE = "finlay2018/dataset_lipschitz"
FUNCTION = "advsmooth.analysis.lipschitz:replay"
ARGUMENTS = {"name": "digits", "n": 60, "seed": 0}


@pytest.fixture
def cfg():
    return settings.resolve({"scale": "cpu", "seed": 0, "n": None}, n=settings.count(quick=1, cpu=2))


@pytest.fixture
def saved(tmp_path, cfg):
    table = pd.DataFrame({"epoch": [0, 1], "loss": [1.5, 0.123456789012]})
    return records.save(
        PAGE,
        table,
        cfg=cfg,
        data=[data.load("digits")],
        cost=records.Stopwatch().read(),
        function=FUNCTION,
        arguments=ARGUMENTS,
        folder=tmp_path,
    )


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_record_is_read_back_with_its_provenance(saved):
    record = records.read(saved)
    p = record.provenance
    assert record.table.loss.tolist() == [1.5, 0.123456789]
    assert (p["page"], p["scale"], p["parameters"]["n"]) == (PAGE, "cpu", 2)
    assert p["data"][0]["sha256"] == data.load("digits").checksum
    assert set(p["versions"]) == {"python", "numpy", "scipy", "torch", "torchvision"}
    assert "advsmooth.analysis.lipschitz" in p["code"]
    assert "advsmooth.data" in p["code"], "modules it imports count too"
    assert "advsmooth.plotting" not in p["code"], "modules it does not run do not"
    assert "cpu scale; digits train (n = 1,437)" in record.summary()


def test_nothing_else_is_left_in_the_folder(saved):
    assert sorted(p.name for p in saved.parent.iterdir()) == ["dataset_lipschitz.cpu.csv", "dataset_lipschitz.cpu.json"]


def test_measurements_survive_a_replay_that_fails(tmp_path, cfg):
    def save(name):
        return records.save(
            PAGE, pd.DataFrame({"a": [1]}), cfg=cfg, data=[], cost={}, function=FUNCTION,
            arguments=ARGUMENTS | {"name": name}, folder=tmp_path,
        )  # fmt: skip

    with pytest.raises(records.RecordError) as refusal:
        save("nothing")
    words = [
        "replay advsmooth.analysis.lipschitz:replay failed (DataError",
        "finlay2018/dataset_lipschitz.cpu.csv.pending",
    ]
    assert all(word in str(refusal.value) for word in words)
    assert "\n" not in str(refusal.value)
    (kept,) = records.unfinished(tmp_path)
    assert kept.read_text() == "a\n1\n"
    assert records.every(folder=tmp_path) == []
    assert records.read(save("digits")).table.a.tolist() == [1]
    assert records.unfinished(tmp_path) == []


def test_the_record_before_stands_while_a_replay_fails(saved, tmp_path, cfg):
    with pytest.raises(records.RecordError, match="replay"):
        records.save(
            PAGE, pd.DataFrame({"a": [1]}), cfg=cfg, data=[], cost={}, function="advsmooth.data:nothing",
            arguments={}, folder=tmp_path,
        )  # fmt: skip
    assert records.read(saved).table.epoch.tolist() == [0, 1]


def test_a_table_of_another_save_is_refused(saved):
    saved.with_suffix(".csv").write_text("epoch,loss\n0,1.5\n1,0.1234567891\n")
    with pytest.raises(records.RecordError, match="its table is not the one of its provenance.*restore both files"):
        records.read(saved)


def test_a_record_is_current_while_its_code_is(saved):
    assert records.status(records.read(saved))[0] == "current"


def test_changed_code_with_the_same_numbers_is_current(saved):
    edit(saved, code={"advsmooth.analysis.lipschitz": "an older hash"})
    state, why = records.status(records.read(saved))
    assert (state, "replay gives the recorded numbers" in why) == ("current", True)


def test_changed_code_with_other_numbers_is_stale(saved):
    replay = json.loads(saved.read_text())["replay"]
    replay["metrics"]["distance"] *= 1 + 1e-12
    edit(saved, code={}, replay=replay)
    state, why = records.status(records.read(saved))
    assert (state, "replay gives distance" in why) == ("stale", True)


@pytest.mark.parametrize(
    "elsewhere",
    [{"device": "another device"}, {"processor": "another"}, {"threads": 96}],
    ids=["device", "processor", "threads"],
)
def test_elsewhere_the_replay_may_differ_in_the_last_digits(saved, elsewhere):
    replay = json.loads(saved.read_text())["replay"]
    for factor, state in ((1 + 1e-6, "current"), (1.01, "stale")):
        metrics = {name: value * factor for name, value in replay["metrics"].items()}
        edit(saved, code={}, replay=replay | {"metrics": metrics}, **elsewhere)
        assert records.status(records.read(saved))[0] == state


def test_a_replay_without_its_data_is_unknown_not_current(saved, monkeypatch, tmp_path):
    monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path / "empty"))
    replay = json.loads(saved.read_text())["replay"]
    edit(saved, code={}, replay=replay | {"arguments": ARGUMENTS | {"name": "mnist"}})
    assert records.status(records.read(saved))[0] == "unknown"


def test_a_csv_cut_off_anywhere_is_noticed(saved):
    path = saved.with_suffix(".csv")
    whole = path.read_text()
    for end in range(len(whole)):
        path.write_text(whole[:end])
        with pytest.raises(records.RecordError):
            records.read(saved)
    path.write_text(whole)
    assert len(records.read(saved).table) == 2


def rewrite(path, table):
    """Another table with its right hash: what someone writes who means to."""
    path.with_suffix(".csv").write_text(table)
    edit(path, table_sha256=hashlib.sha256(table.encode()).hexdigest())


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.write_text(path.read_text()[:50]), "not readable"),
        (lambda path: path.write_text("[]"), "not an object"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not readable"),
        (lambda path: path.with_suffix(".csv").unlink(), "dataset_lipschitz.cpu.csv is missing"),
        (lambda path: path.with_suffix(".csv").write_text(""), "its table is not the one"),
        (lambda path: path.with_suffix(".csv").write_text("epoch\n1\n"), "its table is not the one"),
        (lambda path: edit(path, columns=["epoch", "time"]), "column 'time' is missing"),
        (lambda path: edit(path, replay=None), "replay"),
        (lambda path: rewrite(path, "epoch,loss,loss\n1,2,3\n"), "other columns"),
        (lambda path: rewrite(path, "loss,epoch\n1,2\n"), "other columns"),
        (lambda path: rewrite(path, "epoch,loss\n1,2\n1\n"), "cut off"),
        (lambda path: rewrite(path, "epoch,loss\n1,2,3\n"), "cut off"),
        (lambda path: path.with_suffix(".csv").write_text("epoch,loss\n1,2\n"), "its table is not the one"),
        (lambda path: path.write_text("[" * 100_000), "not readable"),
        (lambda path: path.write_text("9" * 5000), "not readable"),
        (lambda path: edit(path, columns=3), "columns: Input should be a valid list"),
        (lambda path: edit(path, scale="huge"), "scale: Input should be"),
        (lambda path: edit(path, cost={"wall_s": "long"}), "cost.wall_s"),
        (lambda path: edit(path, data=[{"name": "x"}]), "provenance lacks 'data.0.split'"),
        (lambda path: path.write_text(json.dumps({"page": "x"})), "provenance lacks 'label'"),
    ],
)
def test_a_harmed_record_is_refused_in_one_line(saved, harm, words):
    harm(saved)
    with pytest.raises(records.RecordError) as refusal:
        records.read(saved)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "function",
    [
        "advsmooth.__main__:main",
        "advsmooth.pages:run",
        "advsmooth.records:write_atomically",
        "advsmooth.data:load",
        "advsmooth.records:subprocess.run",
        "advsmooth.replays:data",  # a module it imports
        "advsmooth.replays:__builtins__",
        "advsmooth.nowhere:replay",
        "advsmooth.analysis.lipschitz:replay_of_nothing",
        "advsmooth../../tmp/evil:replay",
        "advsmooth_evil:replay",
        "os:replay",
        "advsmooth.analysis.lipschitz:replay\n",
        "",
    ],
)
def test_a_record_cannot_name_another_function(saved, function):
    """A record may come from anyone: it must not have us write, download or execute."""
    edit(saved, code={}, replay={"function": function, "arguments": {}, "metrics": {}})
    with pytest.raises(records.RecordError) as refusal:
        records.status(records.read(saved))
    assert str(refusal.value).isprintable()


def test_a_replay_takes_only_its_own_arguments(saved):
    edit(saved, code={}, replay={"function": FUNCTION, "arguments": {"path": "/etc/passwd"}, "metrics": {}})
    with pytest.raises(records.RecordError, match="argument"):
        records.status(records.read(saved))


def test_every_replay_of_the_book_may_be_called():
    for record in records.every():
        records.require_replay(record.replay.function)


def test_a_replay_outside_the_library_is_not_called(saved):
    edit(
        saved, code={"os": "a hash"}, replay={"function": "os:system", "arguments": {"command": "true"}, "metrics": {}}
    )
    with pytest.raises(records.RecordError, match="allowed are functions of advsmooth"):
        records.status(records.read(saved))


def test_the_newest_record_wins_and_scales_are_kept_apart(saved, tmp_path):
    assert records.newest(PAGE, "cpu", folder=tmp_path).scale == "cpu"
    assert records.newest(PAGE, "gpu", folder=tmp_path) is None
    assert records.newest("liu2020/nothing", folder=tmp_path) is None
    other = saved.with_name("dataset_lipschitz.cpu-mnist.json")
    other.write_text(saved.read_text())
    other.with_suffix(".csv").write_text(saved.with_suffix(".csv").read_text())
    edit(other, date="2099-01-01T00:00:00+00:00", label="cpu-mnist")
    assert records.newest(PAGE, folder=tmp_path).provenance["label"] == "cpu-mnist"
    with pytest.raises(records.RecordError, match="scale='fast'"):
        records.newest(PAGE, "fast", folder=tmp_path)


def test_the_stopwatch_sees_memory():
    import numpy as np

    watch = records.Stopwatch()
    block = np.ones(2**25)  # 256 MiB
    assert 200 < watch.read()["peak_extra_mib"] < 320
    del block


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets the high-water mark be reset")
def test_the_stopwatch_does_not_see_an_earlier_peak():
    import numpy as np

    block = np.ones(2**25)
    del block
    assert records.Stopwatch().read()["peak_extra_mib"] < 50


@pytest.mark.parametrize("record", records.every(), ids=lambda r: f"{r.provenance['page']}.{r.provenance['label']}")
def test_no_record_of_the_book_is_stale(record):
    state, why = records.status(record)
    if state == "unknown":
        pytest.skip(why)
    assert state == "current", why
    assert record.provenance["commit"], "a record names its commit"
    assert not any(str(value).startswith(("/", "~")) for value in record.provenance["parameters"].values())


def test_a_table_of_the_cache_is_made_once_and_reads_as_it_was_made(tmp_path):
    made = []

    def make():
        made.append(1)
        return pd.DataFrame({"a": [1 / 3, 2.0], "b": ["x", "y"]})

    path = tmp_path / "new" / "table.csv"
    first = records.kept_table(path, make, digits=4)
    assert records.kept_table(path, make, digits=4).equals(first)
    assert len(made) == 1
    assert first["a"].tolist() == [0.3333, 2.0]
    assert records.as_written(make(), digits=4).equals(first)


def test_comments_and_docstrings_do_not_change_what_code_does():
    plain = "def f(x):\n    return x + 1\n"
    worded = '"""Words."""\n\n\ndef f(x):\n    """More."""\n    return x + 1  # one\n'
    assert records.without_words(worded) == records.without_words(plain)
    assert records.without_words(plain.replace("1", "2")) != records.without_words(plain)


def test_the_version_of_code_is_that_of_all_it_imports(monkeypatch):
    before = records.code_version("advsmooth.theory.newton")
    assert before != records.code_version("advsmooth.settings")
    path, read = records._path("advsmooth.settings"), Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda p, **more: read(p, **more) + ("\nZ = 1\n" if p == path else ""))
    records.code_version.cache_clear()
    theirs, mine = records.code_version("advsmooth.data"), records.code_version("advsmooth.places")
    monkeypatch.undo()
    records.code_version.cache_clear()
    assert theirs != records.code_version("advsmooth.data")  # it imports settings
    assert mine == records.code_version("advsmooth.places")


def test_a_run_that_writes_elsewhere_sees_its_own_record_in_place_of_the_stored_one(saved, cfg, tmp_path, monkeypatch):
    stored, own = saved.parents[1], tmp_path / "own"
    monkeypatch.setattr(records, "RECORDED", stored)
    monkeypatch.setattr(places, "RECORDED", stored)
    monkeypatch.setenv("ADVSMOOTH_RECORDED", str(own))
    before = saved.read_bytes()
    assert [record.table.loss.tolist() for record in records.every(PAGE)] == [[1.5, 0.123456789]]
    for label in (None, "cpu-more"):
        records.save(
            PAGE, pd.DataFrame({"loss": [7.0]}), cfg=cfg, data=[], cost={}, function=FUNCTION, arguments=ARGUMENTS,
            label=label,
        )  # fmt: skip
    assert [record.table.loss.tolist() for record in records.every(PAGE)] == [[7.0], [7.0]], "one replaced, one added"
    assert records.newest(PAGE).table.loss.tolist() == [7.0]
    assert saved.read_bytes() == before
    monkeypatch.delenv("ADVSMOOTH_RECORDED")
    assert [record.table.loss.tolist() for record in records.every(PAGE)] == [[1.5, 0.123456789]]
