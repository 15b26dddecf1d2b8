"""The parsers on seeds that are cut, mixed and overwritten: what is not read is refused in one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advsmooth.settings import SettingsError

SEEDS = {name: list(seeds()) for name, (_, seeds) in targets.TARGETS.items()}
# fmt: off
TOKENS = [b"\0", b"\xff", b"\n", b"\t", b"'", b'"', b"{", b"[" * 40, b": ", b"- ", b"&a [", b"*a", b"!!python/a:os ",
          b"<<: ", b"NaN", b"Infinity", b"null", b"true", b"-1", b"1e999", b"9" * 5000, b"0/0", b"=",
          b",", b"os:system",
          b"advsmooth.__main__:main", b"\xed\xa0\x80", b"2020-13-45", b"\xef\xbb\xbf", b"\x1b[2J", b"../" * 5]
# fmt: on
BUDGET = {"parameters": 400, "ledger": 60, "record": 120, "idx": 300, "image": 150, "checkpoint": 150}


@st.composite
def harmed(draw, name):
    """A seed after a few changes of the kinds that files and typists make."""
    content = bytearray(draw(st.sampled_from(SEEDS[name])))
    for _ in range(draw(st.integers(1, 4))):
        here = draw(st.integers(0, len(content)))
        there = draw(st.integers(here, min(len(content), here + 60)))
        how = draw(st.sampled_from(["cut", "drop", "insert", "overwrite", "repeat", "flip"]))
        if how == "cut":
            del content[here:]
        elif how == "drop":
            del content[here:there]
        elif how == "insert":
            content[here:here] = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
        elif how == "overwrite":
            content[here:there] = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
        elif how == "repeat":
            content[here:here] = content[here:there] * 3
        elif here < len(content):
            content[here] ^= 1 << draw(st.integers(0, 7))
    return bytes(content)


def quick(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", BUDGET)
def test_a_harmed_file_is_read_or_refused_in_one_line(name):
    function = targets.TARGETS[name][0]
    for seed in SEEDS[name]:
        function(seed)

    @quick(BUDGET[name])
    @given(harmed(name) | st.binary(max_size=200))
    def on(content):
        function(content)

    on()


@pytest.mark.parametrize("name", ["idx", "checkpoint", "record", "image"])
def test_a_file_cut_off_anywhere_is_not_taken_for_a_whole_one(name):
    """Every length of the smallest seed; the target itself checks that a refusal is of one line."""
    seed = min(SEEDS[name], key=len)
    step = max(1, len(seed) // 250)
    for end in range(0, len(seed), step):
        targets.TARGETS[name][0](seed[:end])


def test_the_targets_would_notice(monkeypatch):
    """The controls: a parser that lets an error of another kind through, one of two lines, and a value out of range."""
    monkeypatch.setattr(targets.data, "read_idx", lambda *_, **__: [][1])
    with pytest.raises(IndexError):
        targets.idx(b"")
    refusal = SettingsError("a")
    refusal.args = ("a\nb",)
    with pytest.raises(AssertionError):
        targets.of_one_line(refusal)
    monkeypatch.setitem(targets.PARAMETERS, "count", (targets.PARAMETERS["any_count"][0], lambda v: v <= 99))
    with pytest.raises(AssertionError):
        targets.parameters(b"count=100")
    with pytest.raises(ZeroDivisionError):
        targets.planted(b"SMOO")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just(10**999),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("name", targets.PARAMETERS)
def test_a_parameter_takes_any_value_or_refuses_it(name):
    @quick(80)
    @given(PLAIN)
    def on(value):
        if value is not None:  # the preset
            try:
                targets.resolve(name, value)
            except SettingsError as refusal:
                targets.of_one_line(refusal)

    on()


# fmt: off
FIELDS = [(), ("page",), ("scale",), ("date",), ("data",), ("data", 0), ("data", 0, "n"), ("cost",), ("cost", "wall_s"),
          ("columns",), ("columns", 0), ("replay",), ("replay", "function"), ("replay", "arguments"),
          ("replay", "metrics"), ("versions",), ("code",), ("parameters",), ("threads",)]
# fmt: on


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: ".".join(map(str, field)) or "all")
def test_a_record_with_a_field_of_another_kind_is_read_or_refused(field):
    @quick(12)
    @given(PLAIN)
    def on(value):
        about, _, table = SEEDS["record"][0].partition(targets.BETWEEN)
        whole = {"whole": json.loads(about)}
        *way, last = ("whole", *field)
        place = whole
        for step in way:
            place = place[step]
        place[last] = value
        targets.record(json.dumps(whole["whole"]).encode() + targets.BETWEEN + table)

    on()


LAUGHS = "\n".join(["a0: &a0 [x]", *(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 40))])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LAUGHS, "anchors and aliases are not allowed"),
        ("[" * 20_000, "nested too deeply"),
        ("{a: " * 20_000, "nested too deeply"),
        ("x" * (2**20 + 1), "allowed are 1,048,576"),
        ("paper: x\npaper: y\n", "key 'paper' is given twice"),
        ("paper: !!python/object/apply:os.system [true]", "tags are not allowed"),
        ("year: 2020-13-45", "month must be in 1..12"),
        ("year: " + "9" * 5000, "not valid YAML"),
        ("? [a]\n: b", "a key is a name or a number"),
        ("\tpaper: x", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        ("tolerance: {abs: 1}\n", "Field required"),
    ],
    ids=["laughs", "lists", "maps", "long", "twice", "tag", "date", "digits", "key", "tab", "bytes", "field"],
)
def test_yaml_that_is_more_than_plain_data_is_refused(tmp_path, content, words):
    path = tmp_path / "x2020.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(targets.claims.ClaimError, match=words) as refusal:
        targets.claims.read_paper(path)
    targets.of_one_line(refusal.value)


@pytest.mark.parametrize("name", ["count", "number", "radius", "text", "counts", "seed"])
def test_a_number_of_more_digits_than_python_prints_is_refused(name):
    with pytest.raises(SettingsError, match="too large to show") as refusal:
        targets.resolve(name, 10**5000)
    targets.of_one_line(refusal.value)


def test_the_fuzzer_runs_every_target_and_finds_the_planted_bug(tmp_path):
    """A smoke of a second each, the bug being the control; ``make fuzz`` goes on for longer."""
    pytest.importorskip("atheris")
    run = [sys.executable, str(Path(__file__).with_name("run.py")), *targets.TARGETS, "--seconds", "1"]
    done = subprocess.run([*run, "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("fuzz: planted broke"), done.stderr[-3000:]
    assert done.returncode == 1
    assert done.stderr.count("DONE") == len(targets.TARGETS) - 1
    (found,) = tmp_path.glob("*/crash-*")
    assert found.read_bytes().startswith(b"SMOO")
