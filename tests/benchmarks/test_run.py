"""The harness of the benchmarks: order, medians, refusals, results kept; and that each benchmark runs. No times."""

import functools
import importlib
import io
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import adversarial
import measure
import memory
import pandas as pd
import pgd
import pytest
import robust
import run
import steps
import subjects
import torch

from advsmooth import settings
from advsmooth.attacks.gradient import PGD

TINY = replace(measure.TOY, repetitions=1)


def row(name, ratio=2.0):
    return measure.compare(name, f"{name} (s)", "a peer", [ratio], [1.0], at_most=1)


# --- measuring ----------------------------------------------------------------------------------------------------


def test_candidates_take_turns_after_a_warm_up():
    calls = []
    names = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    found = measure.interleaved(names, repetitions=5, device="cpu", shortest_s=0)
    assert "".join(calls) == "abc" * 6
    assert all(len(seconds) == 5 for seconds in found.values())


def test_a_timed_section_calls_a_fast_candidate_more_often_and_gives_the_time_of_one_call():
    now, calls = 0.0, dict.fromkeys("ab", 0)

    def candidate(name, seconds):
        def call():
            nonlocal now
            now += seconds
            calls[name] += 1

        return call

    found = measure.interleaved(
        {"a": candidate("a", 0.25), "b": candidate("b", 2.0)},
        repetitions=3, device="cpu", shortest_s=1.0, clock=lambda: now,
    )  # fmt: skip
    assert calls == {"a": 1 + 3 * 4, "b": 1 + 3}
    assert found == {"a": [0.25] * 3, "b": [2.0] * 3}


def test_the_ratio_is_the_median_over_rounds_so_one_disturbed_round_does_not_count():
    ours, theirs = [1.0, 100.0, 1.0, 1.1, 1.0], [2.0, 2.0, 2.0, 2.0, 4.0]
    found = measure.compare("pgd", "w (s)", "p", ours, theirs, at_most=0.5)
    assert (found.ratio, found.low, found.high, found.met) == (0.5, 0.25, 50.0, "yes")
    assert (found.ours, found.theirs) == (1.0, 2.0)
    faster = measure.compare("pgd", "w (s)", "p", ours, theirs, at_least=2.5)
    assert (faster.ratio, faster.low, faster.high, faster.met) == (2.0, 0.02, 4.0, "no")
    reported = measure.compare("pgd", "w (s)", "p", ours, theirs)
    assert (reported.ratio, reported.met) == (0.5, "")


def test_a_result_has_at_least_five_repetitions():
    assert measure.FULL.repetitions >= 5


# --- running ------------------------------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch):
    """Benchmarks that cost nothing; ``sweep`` is interrupted."""

    def rows(name, device, sizes):
        if name == "sweep":
            raise KeyboardInterrupt
        if name == "memory":
            raise RuntimeError("no\nroom")
        return [row(name)]

    for name in run.NAMES:
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(rows=functools.partial(rows, name)))
    monkeypatch.setattr(run.torch.cuda, "is_available", lambda: False)


def test_an_unknown_name_is_refused_in_one_line(capsys):
    assert run.main(["pgdd"]) == 2
    error = capsys.readouterr().err
    assert error == "benchmark 'pgdd': unknown; did you mean 'pgd'? Allowed: " + ", ".join(run.NAMES) + "\n"


def test_toy_sizes_never_replace_results(capsys):
    assert run.main(["--toy", "pgd"]) == 2
    assert "--out" in capsys.readouterr().err


def test_results_are_written_after_each_benchmark(fake, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run.main(["--out", str(tmp_path)])
    assert pd.read_csv(tmp_path / "cpu.csv").benchmark.tolist() == ["pgd", "robust"]
    assert list(json.loads((tmp_path / "cpu.json").read_text())) == ["pgd", "robust"]


def test_a_benchmark_that_cannot_run_is_named_and_the_others_run(fake, tmp_path, capsys):
    assert run.main(["memory", "pgd", "steps", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "  memory: did not run: RuntimeError: no room\n"
    assert pd.read_csv(tmp_path / "cpu.csv").benchmark.tolist() == ["pgd", "steps"]


def test_running_one_again_replaces_its_rows_and_keeps_the_others(tmp_path):
    for name, ratio in (("steps", 2.0), ("pgd", 2.0), ("steps", 0.5)):
        run.store(tmp_path, "cpu", [row(name, ratio)], run.provenance("cpu", TINY, 0.0, 1.0))
    table = pd.read_csv(tmp_path / "cpu.csv")
    assert table.columns.tolist() == run.COLUMNS
    assert list(zip(table.benchmark, table.ratio, table.met, strict=True)) == [("pgd", 2, "no"), ("steps", 0.5, "yes")]
    for name in ("ratios", "details", "machine"):
        assert len(pd.read_csv(tmp_path / f"cpu.{name}.csv")) == 2


def test_provenance_names_machine_and_versions_but_no_host_and_no_path():
    about = run.provenance("cpu", TINY, 0.0, 1.0)
    assert {"date", "commit", "device", "threads", "load_before", "sizes"} <= set(about)
    assert {"torch", "foolbox", "pyhessian"} <= set(about["versions"])
    text = json.dumps(about)
    assert run.os.uname().nodename not in text
    assert str(run.ROOT) not in text


# --- the benchmarks -----------------------------------------------------------------------------------------------


def _skip_unless_ray_starts():
    try:
        with importlib.import_module("grids")._two_workers():
            pass
    except Exception as error:  # a container may forbid what its servers need; none of that is ours
        pytest.skip(f"Ray itself does not start here: {' '.join(str(error).split())[:200]}")


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("pgd", 4),
        ("robust", 4),
        ("sweep", 4),
        ("grids", 12),
        ("cells", 2),
        ("curvature", 2),
        ("steps", 3),
        ("adversarial", 1),
    ],
)
def test_a_benchmark_gives_its_rows(name, n):
    if name == "grids":
        _skip_unless_ray_starts()
    found = importlib.import_module(name).rows("cpu", TINY)
    assert len(found) == n
    assert {r.benchmark for r in found} == {name}
    assert all(r.ours > 0 and r.theirs > 0 and r.low <= r.ratio <= r.high for r in found)
    if name in run.APART:
        files = importlib.import_module(name).files(found)
        assert len(pd.read_csv(io.StringIO(files[".grids.csv"]))) == len(TINY.runs)
        assert "<svg" in files[".grids.svg"]
    assert {r.met for r in found} <= ({""} if name in ("steps", "cells", "grids", "adversarial") else {"yes", "no"})


def test_memory_is_read_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(memory, "fresh_process", lambda *_: {"peak_extra_mib": 100.0, "wall_s": 1.0})
    found = memory.rows("cpu", TINY)
    assert [r.met for r in found] == ["yes"] * 3
    monkeypatch.undo()
    hog = torch.ones(2**26)  # 256 MiB here must not count there
    assert 0 <= memory.fresh_process("evaluation", 8)["peak_extra_mib"] < hog.nbytes / 2**20


def test_a_peer_is_given_the_same_starts_and_finds_the_same():
    """With other starts the answers would differ: the control shows that the comparison would notice."""
    test = subjects.images("test", 64, "cpu")
    model = subjects.trained(4, 256, 2, "cpu", robust=False)
    attack = PGD(eps=0.02, steps=3, restarts=2)
    g = settings.generator
    ours = robust.robust_error(model, test.x, test.y, attack, batch_size=64, generator=g(0)).broken
    assert torch.equal(ours, robust.foolbox_broken(model, test, attack, g(0)))
    start = attack.start(test.x, g(0))
    peer = pgd.from_starts(attack, [start])
    wrapped = pgd.foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    theirs = peer.run(wrapped, test.x, pgd.foolbox.criteria.Misclassification(test.y), epsilon=attack.eps)
    single = replace(attack, restarts=1)
    assert torch.isclose(single(model, test.x, test.y, start=start), theirs, atol=1e-6).double().mean() > 0.999
    other = single(model, test.x, test.y, start=attack.start(test.x, g(1)))
    assert torch.isclose(other, theirs, atol=1e-6).double().mean() < 0.9


def test_both_forms_of_a_step_do_the_same():
    x, y = subjects.noise(8, "cpu")
    found = steps.rows("cpu", TINY)
    assert float(found[0].note.rsplit(" ", 1)[1]) < 1e-6
    for note in (found[1].note, found[2].note):
        ours, theirs = (float(word) for word in note.removeprefix("losses ").split(" and "))
        assert ours == pytest.approx(theirs, rel=1e-4)
    model = subjects.lenet((1, 28, 28), 2, "cpu")
    added = steps.Proxy(model).perturbation(x, y)
    sizes = [(added[k].norm() / w.norm()).item() for k, w in model.named_parameters() if k in added]
    assert sizes == pytest.approx([steps.GAMMA] * len(sizes), rel=1e-4)


def test_the_plain_loop_of_adversarial_training_learns_and_stays_in_its_ball():
    x, y = torch.rand(24, 3, 8, 8, generator=settings.generator(0)), torch.arange(24) % 3
    model, seen, losses = subjects.lenet((3, 8, 8), 2, "cpu"), [], []
    model.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    for _ in range(25):
        losses.append(adversarial.reference_epoch(model, x, y, 24, 2))
    assert losses[-1] < 0.9 * losses[0]
    assert all(each.min() >= 0 and each.max() <= 1 for each in seen)
    start, trained_on = seen[0], seen[2]
    assert 0 < (trained_on - start).abs().max() <= 2 * adversarial.EPS + 1e-6
