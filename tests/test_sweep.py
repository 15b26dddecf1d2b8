"""Grids of runs: order, cache, failures and refusals, in this process and in two."""

import dataclasses
import functools
import importlib.util
import io
import json
import math
import os
import socket
import sys

import numpy as np
import pandas as pd
import pytest
import sweep_calls as calls
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from advsmooth import data, records, sweep

DIGITS = data.load("digits").take(40, seed=0)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def same(a, b):
    pd.testing.assert_frame_equal(a, b, check_exact=True)


# --- order ------------------------------------------------------------------------------------------------------------


@given(st.permutations(range(5)))
@hypothesis_settings(max_examples=25)
def test_a_row_does_not_depend_on_the_calls_before_it(order):
    torch.rand(3)
    alone = sweep.run(calls.draws, sweep.grid(k=range(5)), folder=None)
    mixed = sweep.run(calls.draws, [{"k": k} for k in order], folder=None)
    same(mixed, alone.iloc[list(order)].reset_index(drop=True))
    assert alone.torch.nunique() == alone.numpy.nunique() == alone.random.nunique() == 5


def test_global_generators_and_threads_are_left_as_they_were():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        table = sweep.run(calls.draws, [{"k": 0}], folder=None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert table.threads.tolist() == [1]
    after = torch.rand(1).item(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert after == (torch.rand(1).item(), np.random.rand())  # noqa: NPY002


def test_who_ends_first_changes_nothing(tmp_path):
    waits = [{"k": k, "wait": wait} for k, wait in enumerate((0.6, 0.0, 0.1, 0.0))]
    log = str(tmp_path / "log")
    beside = sweep.run(calls.draws, [w | {"log": log} for w in waits], folder=None, jobs=2)
    alone = sweep.run(calls.draws, waits, folder=None)
    assert calls.noted(log)[0] != "0", "the control: the first call did not end first"
    assert beside.k.tolist() == [0, 1, 2, 3]
    same(
        beside.drop(columns="log").drop(columns=["torch", "numpy", "random"]),
        alone.drop(columns=["torch", "numpy", "random"]),
    )
    same(sweep.run(calls.draws, waits, folder=None, jobs=2), alone)


def test_results_of_spread_stand_in_the_order_of_the_settings_and_what_is_shared_is_sent_once(tmp_path):
    shared = {"thing": calls.Counted(tmp_path / "sent")}
    found = sweep.spread(calls.of_shared, [{"k": k} for k in (3, 1, 2, 0, 5, 4)], shared=shared, jobs=2)
    assert found == [(k, "Counted") for k in (3, 1, 2, 0, 5, 4)]
    assert calls.noted(tmp_path / "sent") == ["sent"]


def test_the_largest_begin_first_and_the_table_keeps_its_order(tmp_path):
    log = str(tmp_path / "log")
    table = sweep.run(calls.draws, sweep.grid(k=range(4), log=[log]), folder=None, work=[2.0, 1.0, 4.0, 3.0])
    assert calls.noted(log) == ["2", "3", "0", "1"]
    assert table.k.tolist() == [0, 1, 2, 3]


def test_a_sweep_within_a_call_stays_in_its_process(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # would be refused if it were asked
    monkeypatch.setattr(sweep, "_inside", True)
    assert len(set(sweep.spread(calls.process, [{"k": 0}] * 3, jobs=2))) == 1
    monkeypatch.setattr(sweep, "_inside", False)
    with pytest.raises(sweep.SweepError):
        sweep.spread(calls.process, [{"k": 0}], jobs=2)
    monkeypatch.delenv("RAY_ADDRESS")
    assert sweep.run(calls.within, [{"k": 0}], folder=None).alone.all()


# --- cache ------------------------------------------------------------------------------------------------------------


def test_what_was_done_is_read_and_only_the_rest_is_done(tmp_path):
    log, folder = str(tmp_path / "log"), tmp_path / "cache"
    some = sweep.run(calls.draws, sweep.grid(k=[2, 0], log=[log]), folder=folder)
    whole = sweep.run(calls.draws, sweep.grid(k=range(4), log=[log]), folder=folder, jobs=1)
    again = sweep.run(calls.draws, sweep.grid(k=range(4), log=[log]), folder=folder)
    assert calls.noted(log) == ["2", "0", "1", "3"]
    same(whole, again)
    same(some.iloc[[0]].reset_index(drop=True), whole.iloc[[2]].reset_index(drop=True))
    assert not [path for path in folder.iterdir() if path.suffix != ".json"], "no partial files"
    same(sweep.run(calls.draws, [], folder=folder), pd.DataFrame())
    assert len(sweep.run(calls.draws, sweep.grid(k=[7, 7], log=[log]), folder=folder)) == 2
    assert calls.noted(log).count("7") == 1, "equal settings are done once"


def test_other_data_are_not_taken_for_these(tmp_path):
    log, folder = str(tmp_path / "log"), tmp_path / "cache"
    half = dataclasses.replace(DIGITS, x=DIGITS.x / 2)  # of the same name, size and checksum
    for images in (DIGITS, half, DIGITS, half):
        table = sweep.run(calls.with_data, [{"k": 1, "log": log}], data={"images": images}, folder=folder)
        assert table["sum"].tolist() == [images.x.double().sum().item()]
    assert calls.noted(log) == ["1", "1"]


@dataclasses.dataclass(frozen=True)
class Plan:
    width: int
    seeds: tuple[int, ...]


def key(setting, *, function=calls.with_data, **more):
    text = sweep._plain_setting(function, setting, more)
    identities = {name: sweep._identity(name, value) for name, value in more.items()}
    return sweep._key(function, text, [records.plain(function), sweep._code(function), identities])


def test_all_that_decides_a_result_is_in_its_key(monkeypatch):
    keys = [
        key({"k": 1}),
        key({"k": 1.0}),
        key({"k": True}),
        key({"k": "1"}),
        key({"k": None}),
        key({"l": 1}),
        key({"k": Plan(1, (2,))}),
        key({"k": Plan(1, (2, 3))}),
        key({"k": 1}, function=calls.draws),
        key({"k": 1}, images=DIGITS),
        key({"k": 1}, other=DIGITS),
        key({"k": 1}, images=DIGITS.take(20)),
        key({"k": 1}, images=data.load("digits").take(40, seed=1)),
        key({"k": 1}, images=DIGITS.to("cpu", torch.float64)),
        key({"k": 1}, images=DIGITS.x),
        key({"k": 1}, images=DIGITS.x.flatten(1)),
    ]
    assert key({"k": np.float64(1)}) == keys[1]
    assert key({"k": np.int64(1)}) == keys[0]
    versions = records.versions()
    with monkeypatch.context() as patch:
        patch.setattr(records, "versions", lambda: versions | {"torch": "0"})
        keys.append(key({"k": 1}))
    with monkeypatch.context() as patch:
        patch.setattr(records, "code_version", lambda *_: "other")
        keys.append(key({"k": 1}))
    assert key({"k": 1}) == keys[0]
    assert len(set(keys)) == len(keys)


def module_of(path, source):
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("experiment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_changed_code_is_run_and_changed_words_are_not(tmp_path):
    path, log = tmp_path / "experiment.py", str(tmp_path / "log")
    source = "from sweep_calls import note\n\ndef f(k, log):\n    note(log, k)\n    return {'f': k + 1}\n"

    def run(text):
        return sweep.run(module_of(path, text).f, [{"k": 1, "log": log}], folder=tmp_path / "cache").f.tolist()

    assert run(source) == run('"""Words."""\n' + source.replace("1}", "1}  # more")) == [2]
    assert calls.noted(log) == ["1"]
    assert run(source.replace("k + 1", "k + 2")) == [3]
    assert run("from advsmooth.theory import newton\n" + source) == [2], "a module of the library more"
    assert calls.noted(log) == ["1"] * 3


def test_the_code_of_the_library_behind_a_function_counts(tmp_path):
    mine = module_of(tmp_path / "a.py", "def f():\n    return {}\n").f
    theirs = module_of(tmp_path / "b.py", "from advsmooth.theory import newton\ndef f():\n    return {}\n").f
    assert sweep._code(mine)["modules"] == []
    assert "advsmooth.theory" in sweep._code(theirs)["modules"]
    assert sweep._code(theirs)["library"] == records.code_version("advsmooth.theory.newton", "advsmooth.theory")


def test_a_worker_with_other_code_is_refused(monkeypatch):
    code = sweep._code(calls.draws)
    ask = functools.partial(sweep._rows, function=calls.draws, setting={"k": 1}, text="{}", data={})
    assert "own" in json.loads(ask(code=code))[0]
    for name, other in (("own", "0"), ("library", "0"), ("versions", {})):
        with pytest.raises(sweep.SweepError, match="other code or versions"):
            ask(code=code | {name: other})
    monkeypatch.setattr(sweep, "_source", lambda _: None)  # a script that was sent and does not lie there
    sweep._own_code.cache_clear()
    assert ask(code=code)
    sweep._own_code.cache_clear()


DAMAGES = {
    "truncated": lambda text: text[: len(text) // 2],
    "empty": lambda _: "",
    "a digit": lambda text: text.replace('"half": 1', '"half": 7'),
    "not an object": lambda _: "[1, 2]",
    "no rows": lambda _: "{}",
    "no text": lambda _: "\udcff",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_done_again_and_not_read(damage, tmp_path):
    log, folder = str(tmp_path / "log"), tmp_path / "cache"
    first = sweep.run(calls.odd, sweep.grid(k=[2, 4], log=[log]), folder=folder)
    (path,) = (path for path in folder.iterdir() if '"half": 1' in path.read_text())
    whole = path.read_text()
    broken = DAMAGES[damage](whole)
    assert broken != whole
    path.write_bytes(broken.encode(errors="surrogateescape"))
    same(sweep.run(calls.odd, sweep.grid(k=[2, 4], log=[log]), folder=folder), first)
    assert calls.noted(log) == ["2", "4", "2"]
    assert path.read_text() == whole


def test_a_file_under_the_name_of_another_is_not_read(tmp_path):
    log, folder = str(tmp_path / "log"), tmp_path / "cache"
    sweep.run(calls.odd, sweep.grid(k=[2, 4], log=[log]), folder=folder)
    a, b = folder.iterdir()
    a.write_text(b.read_text())
    assert sorted(sweep.run(calls.odd, sweep.grid(k=[2, 4], log=[log]), folder=folder).half) == [1, 2]
    assert len(calls.noted(log)) == 3


@given(st.lists(st.floats() | st.integers(-(2**62), 2**62) | st.text() | st.none() | st.booleans(), min_size=1))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_every_value_comes_back_bit_for_bit(tmp_path, values):
    def bits(value):
        return value.hex() if isinstance(value, float) else repr(value)

    calls.ECHOED[:] = values
    settings = [{"where": k, "value": value} for k, value in enumerate(values)]
    for path in tmp_path.iterdir():
        path.unlink()
    made, read = (sweep.run(calls.echo, settings, folder=tmp_path) for _ in range(2))
    same(made, read)
    stored = [json.loads(path.read_text())["rows"][0] for path in tmp_path.iterdir()]
    assert sorted(map(bits, (row["value"] for row in stored))) == sorted(map(bits, values))


def test_rows_of_all_kinds_become_columns():
    table = sweep.run(calls.several, sweep.grid(k=[2, 0, 1]), folder=None)
    assert table.to_dict("list") == {"k": [2, 2, 1], "part": [0, 1, 0]}
    table = sweep.run(calls.with_tensor, [{}], data={"images": DIGITS.x}, folder=None)
    assert table.to_dict("list") == {
        "shape": ["(40, 1, 8, 8)"], "dtype": ["torch.float32"], "sum": [DIGITS.x.sum().item()]
    }  # fmt: skip


def test_data_reach_every_process(tmp_path):
    grid = sweep.grid(k=range(4), log=[str(tmp_path / "log")])
    table = sweep.run(calls.with_data, grid, data={"images": DIGITS}, folder=None, jobs=2)
    assert table["sum"].tolist() == [k * DIGITS.x.double().sum().item() for k in range(4)]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_call_that_fails_loses_no_other(tmp_path, jobs):
    log, folder = str(tmp_path / "log"), tmp_path / "cache"
    with pytest.raises(sweep.SweepError) as caught:
        sweep.run(calls.odd, sweep.grid(k=[3, 2, 1, 4], log=[log]), folder=folder, jobs=jobs)
    message = str(caught.value)
    assert message.startswith(f"2 of 4 calls of odd failed; k=3, log={log[:100]!r}"[:40])
    assert "ValueError: 3 is odd; the others are kept" in message
    assert "\n" not in message
    assert 'raise ValueError(f"{k} is\\nodd")' in caught.value.details
    assert sorted(calls.noted(log)) == ["1", "2", "3", "4"]
    assert sweep.run(calls.odd, sweep.grid(k=[2, 4], log=[log]), folder=folder).half.tolist() == [1, 2]
    assert sorted(calls.noted(log)) == ["1", "2", "3", "4"], "what ended was kept"
    with pytest.raises(sweep.SweepError, match="odd, k=3.*3 is odd"):
        sweep.spread(calls.odd, sweep.grid(k=[2, 3, 1], log=[log]), jobs=jobs)


def test_calls_whose_process_was_killed_are_made_again(tmp_path, monkeypatch):
    log = str(tmp_path / "log")
    table = sweep.run(calls.dies, sweep.grid(k=range(4), log=[log], times=[1]), folder=tmp_path / "cache", jobs=2)
    assert table.square.tolist() == [0, 1, 4, 9]
    assert calls.noted(log).count("1") == 2
    monkeypatch.setattr(sweep, "ATTEMPTS", 0)
    with pytest.raises(sweep.SweepError, match=r"\d of 2 calls of dies failed; k=1.*its process died"):
        sweep.run(calls.dies, sweep.grid(k=(1, 5), log=[log], times=[99]), folder=tmp_path / "cache", jobs=2)


def test_a_function_that_processes_cannot_import_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "ATTEMPTS", 0)
    module = module_of(tmp_path / "elsewhere.py", "def f(k):\n    return {}\n")
    monkeypatch.setitem(sys.modules, "experiment", module)  # imported here, and found nowhere there
    with pytest.raises(sweep.SweepError, match="2 of 2 calls of f failed; k=0: its process died.*experiment") as caught:
        sweep.run(module.f, sweep.grid(k=range(2)), folder=None, jobs=2)
    assert "\n" not in str(caught.value)


def test_progress_says_what_is_left_and_is_silent_unless_asked(tmp_path, capsys):
    said, log = io.StringIO(), str(tmp_path / "log")
    with pytest.raises(sweep.SweepError):
        sweep.run(calls.odd, sweep.grid(k=[0, 1, 2], log=[log]), folder=tmp_path / "cache", progress=said)
    lines = said.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]
    assert "k=1" in lines[1]
    assert "FAILED, ValueError: 1 is odd" in lines[1]
    assert lines[2].endswith("done; about 0 s left")
    assert capsys.readouterr() == ("", "")


# --- refusals ---------------------------------------------------------------------------------------------------------


def held(k):
    return lambda: {"k": k}


REFUSED = {
    "jobs=0: allowed is an integer": lambda f: sweep.run(calls.several, [{"k": 1}], folder=f, jobs=0),
    "gpus=1.5: allowed is a fraction": lambda f: sweep.run(calls.several, [{"k": 1}], folder=f, gpus=1.5),
    "gpus=nan: allowed is a fraction": lambda f: sweep.run(calls.several, [{"k": 1}], folder=f, gpus=math.nan),
    "gpus=-1: allowed is a fraction": lambda f: sweep.run(calls.several, [{"k": 1}], folder=f, gpus=-1),
    "work: 1 numbers for 2 settings": lambda f: sweep.run(calls.several, [{"k": 1}, {"k": 2}], folder=f, work=[1]),
    "<lambda>: allowed is a function at the top": lambda f: sweep.run(lambda: {}, [{}], folder=f),
    "function held.<locals>.<lambda>: allowed": lambda f: sweep.run(held(1), [{}], folder=f),
    "allowed is a function at the top": lambda f: sweep.run(functools.partial(calls.several, k=1), [{}], folder=f),
    "function Plan: allowed": lambda f: sweep.run(Plan, [{}], folder=f),
    "function test: allowed": lambda f: sweep.run(typed_into_a_notebook(), [{}], folder=f),
    "setting k=<object.*larger things go into data=": lambda f: sweep.run(calls.several, [{"k": object()}], folder=f),
    "setting k=tensor.*larger things": lambda f: sweep.run(calls.several, [{"k": DIGITS.x}], folder=f),
    "data 'k': a list; allowed is a Dataset": lambda f: sweep.run(calls.several, [{}], data={"k": [1]}, folder=f),
    "k: both a setting of several and its data": lambda f: sweep.run(
        calls.several, [{"k": 1}], data={"k": DIGITS}, folder=f
    ),
    "it gave a str; allowed is a mapping": lambda f: sweep.run(calls.bad_result, [{"kind": "text"}], folder=f),
    "TypeError: object .* is not allowed": lambda f: sweep.run(calls.bad_result, [{"kind": "object"}], folder=f),
    "a Tensor with 2 elements": lambda f: sweep.run(calls.bad_result, [{"kind": "big"}], folder=f),
    "cannot be kept there": lambda f: sweep.run(calls.several, [{"k": 1}], folder=f / "file" / "below"),
    "auto.*no connection to Ray": lambda f: sweep.run(calls.several, [{"k": 1}], folder=f, address="auto"),
    "nonsense.*no connection to Ray": lambda f: sweep.run(calls.several, [{"k": 1}], folder=f, address="nonsense"),
    "127.0.0.1:1'.*no Ray cluster answered": lambda f: sweep.run(
        calls.several, [{"k": 1}], folder=f, address="127.0.0.1:1"
    ),
    "99999'.*no Ray cluster answered": lambda f: sweep.run(
        calls.several, [{"k": 1}], folder=f, address="127.0.0.1:99999"
    ),
}


def typed_into_a_notebook():
    namespace = {}
    exec(compile("def test():\n    return {}\n", "/a/cell.py", "exec"), {"__name__": "__main__"}, namespace)
    return namespace["test"]


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_not_allowed_is_refused_in_one_line(message, tmp_path):
    if "Ray" in message:
        pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[cluster]'")
    (tmp_path / "file").write_text("")
    with pytest.raises(sweep.SweepError, match=message) as caught:
        REFUSED[message](tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value._render_traceback_() == [f"SweepError: {caught.value}"]


def test_a_server_that_is_no_cluster_is_told_apart_at_once(monkeypatch):
    """Ray itself would ask it for minutes."""
    monkeypatch.setattr(sweep, "REACH_S", 0.2)
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[cluster]'")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(sweep.SweepError, match=rf"{address}.*no Ray cluster answered there within 0.2 s"):
            sweep.spread(calls.several, [{"k": 1}], address=address)


def test_without_ray_an_address_is_refused_and_nothing_else(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(sweep.SweepError, match="Ray is not installed; pip install -e '.\\[cluster\\]'"):
        sweep.run(calls.several, [{"k": 1}], folder=tmp_path)
    monkeypatch.delenv("RAY_ADDRESS")
    assert len(sweep.run(calls.several, [{"k": 1}], folder=tmp_path)) == 1
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


# --- GPUs -------------------------------------------------------------------------------------------------------------


def test_a_gpu_is_shared_by_the_fraction_of_each_call(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(sweep.SweepError, match="gpus=0.25: no GPU visible here; use gpus=0, or address"):
        sweep.spread(calls.several, [{"k": 1}], gpus=0.25)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    fits = {(None, 0.0): 1, (3, 0.0): 3, (None, 0.25): 8, (3, 0.25): 3, (9, 0.25): 8, (None, 0.3): 6, (None, 2): 1}
    assert {case: sweep._side_by_side(*case) for case in fits} == fits
    with pytest.raises(sweep.SweepError, match="gpus=3: 2 GPU visible here"):
        sweep._side_by_side(None, 3)


def test_processes_take_the_gpus_in_turn(monkeypatch, tmp_path):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    (tmp_path / "shared").write_bytes(sweep.pickle.dumps({"a": 1}))
    for _ in range(3):  # each as in a process of its own
        sweep._entered.cache_clear()
        assert sweep._entered(str(tmp_path), True) == sweep._entered(str(tmp_path), True) == {"a": 1}
    sweep._entered.cache_clear()
    assert taken == [0, 1, 0]
