"""Verification: what confirms, what differs, what is not checked; and nothing that is stored is touched."""

import dataclasses
import json
import os

import pandas as pd
import pytest

from advsmooth import __main__ as command
from advsmooth import certificate, data, execution, pages, records, settings, verify
from advsmooth.pages import PageError, RefusalError
from advsmooth.verify import VerifyError

KEY = "finlay2018/dataset_lipschitz"
CLAIM = "finlay2018-tab4"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Certificates go there, and the pages have no records."""
    monkeypatch.setattr(verify, "RECORDED", tmp_path / "recorded")
    return tmp_path / "certificates"


@pytest.fixture
def say(monkeypatch):
    """Let executions say what the stored page says, changed by a function; no kernel is started."""
    calls = []

    def prepare(change=lambda said: said, error=None):
        def execute(page, folder, parameters=None, threads=1, offered=None):
            calls.append(page.key)
            if error:
                raise error
            return change(execution.stored(page))

        monkeypatch.setattr(execution, "execute", execute)
        return calls

    return prepare


def of_check(name, change):
    """A change of one check of the sample page."""

    def changed(said):
        sections = json.loads(json.dumps(said.sections))
        check = next(c for c in sections[0]["checks"] if c["name"] == name)
        check.update(change(check))
        return dataclasses.replace(said, sections=sections)

    return changed


def verdict(said):
    sections = [section | {"verdict": "contradicted"} for section in said.sections]
    return dataclasses.replace(said, sections=sections)


def number(old, new):
    return of_check("mnist", lambda check: {"evidence": check["evidence"].replace(old, new)})


def vanished(said):
    sections = [section | {"checks": section["checks"][1:]} for section in said.sections]
    return dataclasses.replace(said, sections=sections)


def printed(old, new):
    return lambda said: dataclasses.replace(said, cells=[cell.replace(old, new) for cell in said.cells])


def test_a_page_that_says_the_same_is_confirmed(folder, say):
    say()
    made, path = verify.verify(KEY, folder=folder, signed_off="A. Referee <referee@example.org>")
    assert made.outcome == "confirmed"
    assert made.pages[0].reasons == []
    assert certificate.read(path) == made
    assert path.with_suffix(".html").exists()
    assert not (folder / ".work").exists() or not list((folder / ".work").iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (verdict, "verdict reproduced stored, contradicted here"),
        (of_check("mnist", lambda _: {"outcome": "failed"}), "check mnist: held stored, failed here"),
        (number("measured 0.417", "measured 0.427"), "check mnist: 0.417 stored, 0.427 here"),
        (number("measured 0.417", "measured nan"), "check mnist: 0.417 stored, nan here"),
        (number("cpu scale", "gpu scale"), "the evidence reads otherwise"),
        (vanished, "check mnist: held stored, absent here"),
        (printed("1,437", "1,438"), "prints otherwise"),
        (lambda said: dataclasses.replace(said, cells=said.cells[:-1]), "prints otherwise"),
        (lambda said: dataclasses.replace(said, sections=[]), "verdict reproduced stored, absent here"),
    ],
    ids=["verdict", "outcome", "number", "nan", "words", "vanished", "text", "cells", "all"],
)
def test_what_differs_is_found_and_named(folder, say, change, words):
    say(change)
    made, _ = verify.verify(KEY, folder=folder)
    assert made.outcome == "differs"
    assert any(words in reason for reason in made.pages[0].reasons), made.pages[0].reasons


def test_rounding_at_the_edge_is_no_difference(folder, say):
    say(number("measured 0.417", "measured 0.416"))
    made, _ = verify.verify(KEY, folder=folder)
    assert made.outcome == "confirmed"
    check = made.pages[0].claims[0].checks[0]
    assert not check.same_text
    assert max(n.relative for n in check.numbers) == pytest.approx(0.001 / 0.417)


def test_numbers_of_other_parameters_are_shown_and_decide_nothing_but_outcomes_do(folder, say):
    say(number("measured 0.417", "measured 0.517"))
    made, _ = verify.verify(KEY, folder=folder, parameters={"seed": "3"})
    assert made.outcome == "confirmed"
    assert not made.pages[0].text.compared
    assert any(not n.within for n in made.pages[0].claims[0].checks[0].numbers)
    say(verdict)
    assert verify.verify(KEY, folder=folder, parameters={"seed": "3"})[0].outcome == "differs"


def test_a_page_that_fails_differs_and_one_that_refuses_is_not_checked(folder, say):
    say(error=PageError("traceback\nZeroDivisionError: division by zero"))
    made, _ = verify.verify(KEY, folder=folder)
    assert made.outcome == "differs"
    assert "ZeroDivisionError" in made.pages[0].reasons[0]
    say(error=RuntimeError("Kernel died before replying to kernel_info"))
    assert "Kernel died" in verify.verify(KEY, folder=folder)[0].pages[0].reasons[0]
    say(error=RefusalError(f"{KEY}: SettingsError: scale='gpu': allowed is one of quick, cpu"))
    with pytest.raises(VerifyError, match="nothing was executed: .*allowed is one of quick, cpu"):
        verify.verify(KEY, folder=folder, scale="gpu")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scale": "fast"}, "scale='fast': allowed is quick, cpu, gpu, paper"),
        ({"threads": 0}, "threads=0: allowed is an integer, at least 1"),
        ({"jobs": -1}, "jobs=-1"),
        ({"signed_off": "me"}, "write it as 'Name <address>'"),
        ({"signed_off": "<a@b>"}, "write it as"),
        ({"parameters": {"scale": "cpu"}}, "give the scale as --scale"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_one_line(folder, say, given, words):
    calls = say()
    with pytest.raises(VerifyError, match=words) as refused:
        verify.verify(KEY, folder=folder, **given)
    assert "\n" not in str(refused.value)
    assert calls == []


def test_the_command_says_by_its_status_what_came_out(folder, say, capsys):
    say()
    assert command.main(["verify", KEY, "--output", str(folder)]) == 0
    assert "confirmed: written to" in capsys.readouterr().out
    say(verdict)
    assert command.main(["verify", KEY, "--output", str(folder)]) == 1
    assert "contradicted here" in capsys.readouterr().out
    assert command.main(["verify", "finlay2018/dataset_lipshitz", "--output", str(folder)]) == 2
    assert "did you mean 'finlay2018/dataset_lipschitz'?" in capsys.readouterr().err
    assert len(list(folder.glob("*.json"))) == 2, "an earlier certificate of the day stays"


def test_parameters_may_stand_before_and_behind_options(folder, say, monkeypatch):
    say()
    given = []
    whole = verify.verify
    monkeypatch.setattr(verify, "verify", lambda *a, **k: given.append(k["parameters"]) or whole(*a, **k))
    assert command.main(["verify", KEY, "seed=3", "--output", str(folder), "subsets=50"]) == 0
    assert given == [{"seed": "3", "subsets": "50"}]
    with pytest.raises(SystemExit) as refused:
        command.main(["verify", KEY, "--outptu", str(folder)])
    assert refused.value.code == 2
    assert command.main(["verify", KEY, "--output", str(folder), "seed"]) == 2


def test_a_name_is_a_page_a_paper_or_all():
    assert [page.key for page in verify.chosen(f"notebooks/{KEY}.ipynb")] == [KEY]
    assert {page.key.split("/")[0] for page in verify.chosen("zhu2022")} == {"zhu2022"}
    assert verify.chosen("all") == pages.every()


def test_an_interrupted_verification_goes_on_where_it_stopped(folder, say, monkeypatch):
    some = [pages.find(KEY), pages.find("finlay2018/two_numbers")]
    monkeypatch.setattr(verify, "chosen", lambda _: some)
    calls = say()
    whole = execution.execute
    monkeypatch.setattr(execution, "execute", lambda page, *rest: whole(page, *rest) if page == some[0] else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        verify.verify("all", folder=folder)
    assert calls == [KEY]
    monkeypatch.setattr(execution, "execute", whole)
    made, _ = verify.verify("all", folder=folder)
    assert calls == [KEY, some[1].key], "the first page was not executed again"
    assert [page.page for page in made.pages] == calls
    verify.verify("all", folder=folder)
    assert len(calls) == 4, "a verification that has ended measures again"


def test_what_was_kept_is_not_taken_for_another_stored_page(folder, say, monkeypatch, tmp_path):
    calls = say()
    page = pages.find(KEY)
    verify._kept(page, folder, {}, 1)
    verify._kept(page, folder, {}, 1)
    assert len(calls) == 1
    verify._kept(page, folder, {}, 2)
    monkeypatch.setattr(pages, "code_hashes", lambda *_: {"advsmooth.checks": "changed"})
    verify._kept(page, folder, {}, 2)
    (folder / "result.json").write_text('{"key": ')
    verify._kept(page, folder, {}, 2)
    assert len(calls) == 4


@pytest.fixture
def record(folder, tmp_path):
    cfg = settings.resolve({"scale": "cpu", "seed": 0, "n": None}, n=settings.count(quick=1, cpu=2))

    def make(where=tmp_path / "recorded", **changes):
        table = pd.DataFrame({"seed": [0, 1, 2], "loss": [1.5, 1.6, 1.7]}).assign(**changes)
        return records.save(
            KEY,
            table,
            cfg=cfg,
            data=[data.load("digits")],
            cost={"wall_s": 1.0, "peak_extra_mib": 0.0},
            function="advsmooth.analysis.lipschitz:replay",
            arguments={"name": "digits", "n": 60, "seed": 0},
            folder=where,
        )

    return make


def edit(path, change):
    provenance = json.loads(path.read_text())
    change(provenance)
    path.write_text(json.dumps(provenance))


def test_a_record_is_replayed_even_if_its_code_has_not_changed(say, record, folder):
    say()
    path = record()
    (found,) = verify.verify(KEY, folder=folder)[0].pages[0].records
    assert found.state == "confirmed"
    assert {number.label for number in found.replay} == {"distance", "mean_nearest"}
    edit(path, lambda p: p["replay"]["metrics"].update(distance=p["replay"]["metrics"]["distance"] * 1.001))
    made, _ = verify.verify(KEY, folder=folder)
    assert made.outcome == "differs"
    assert "its replay gives distance" in made.pages[0].reasons[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["replay"]["metrics"].update(more=1.0), "gives more = nan, recorded 1.0"),
        (lambda p: p["replay"].update(function="os:getcwd"), "allowed are functions of advsmooth"),
        (lambda p: p["replay"]["arguments"].update(unknown=1), "did not run .RecordError"),
        (lambda p: p.pop("versions"), "provenance lacks 'versions'"),
    ],
    ids=["metric", "foreign", "arguments", "harmed"],
)
def test_a_record_that_cannot_be_confirmed_differs(say, record, folder, change, words):
    import re

    say()
    edit(record(), change)
    made, _ = verify.verify(KEY, folder=folder)
    assert made.outcome == "differs"
    assert re.search(words, made.pages[0].records[0].why)


def test_a_record_whose_data_is_not_here_is_said_to_be_unknown(say, record, folder):
    say()
    edit(record(), lambda p: p["replay"]["arguments"].update(name="imagefolder:nowhere"))
    made, _ = verify.verify(KEY, folder=folder)
    assert made.outcome == "confirmed"
    assert made.pages[0].records[0].state == "unknown"
    assert "not checked: the replay needs data that is not here" in made.pages[0].reasons[0]


def test_a_table_that_was_measured_again_is_compared_with_the_recorded_one(record, tmp_path):
    path = record()
    assert verify._record(path, tmp_path / "made").table is None
    record(tmp_path / "made")
    assert verify._record(path, tmp_path / "made").table.equal == 3
    record(tmp_path / "made", loss=[1.5, 1.6, 9.0])
    moved = verify._record(path, tmp_path / "made")
    assert moved.state == "confirmed", "one of three seeds far away makes the interval as wide"
    assert moved.table.within_interval == 1
    record(tmp_path / "made", loss=[2.5, 2.6, 2.7])
    moved = verify._record(path, tmp_path / "made")
    assert (moved.state, moved.table.outside) == ("differs", 3)
    assert "3 numbers outside" in moved.why


# A page at cpu: it trains nothing, saves a record, and judges by the newest record it sees.
SCRIPT = """# %% [markdown]
# # A page

# %% tags=["parameters"]
scale: str = "quick"  # scale
seed: int = 0  # seed

# %%
import pandas as pd

from advsmooth import checks, claims, data, records, settings
from advsmooth.places import CACHE

cfg = settings.resolve(globals())

# %%
(CACHE / "kept").parent.mkdir(parents=True, exist_ok=True)
assert not (CACHE / "kept").exists(), "what another run cached is read"
(CACHE / "kept").write_text("a network")
records.save(
    "finlay2018/topic", pd.DataFrame({"value": [2.0]}), cfg=cfg, data=[data.load("digits")],
    cost={"wall_s": 1.0, "peak_extra_mib": 0.0}, function="advsmooth.analysis.lipschitz:replay",
    arguments={"name": "digits", "n": 60, "seed": 0}, label="cpu",
)
found = records.newest("finlay2018/topic")
claims.report(
    claims.findings(
        "own", "What the page finds",
        [checks.equal("two", "the number is two", measured=found.table.value + 1e-13, expected=2.0, atol=1e-3,
                      sample="one number", role="observed"),
         checks.positive("above", "above zero", differences=[1 / 3, 1 / 3 + 1e-9, 1 / 3 + 2e-9], sample="three",
                         role="observed")],
    )
)
"""


def test_a_page_end_to_end_leaves_everything_stored_as_it_was(tmp_path, monkeypatch, record):
    """One real kernel: the page judges by the record it makes, which replaces nothing."""
    monkeypatch.setattr(pages, "NOTEBOOKS", tmp_path / "notebooks")
    (tmp_path / "notebooks" / "finlay2018").mkdir(parents=True)
    page = pages.Page("finlay2018/topic")
    page.script.write_text(SCRIPT)
    before = {path: path.read_bytes() for path in (verify.ROOT / "data" / "recorded").rglob("*.*")}
    said = execution.execute(page, tmp_path / "work", {"seed": 1}, threads=2)
    assert [check["outcome"] for check in said.sections[0]["checks"]] == ["held", "held"]
    assert said.evidence["own"]["above"]["mean difference"] == pytest.approx(1 / 3 + 1e-9, rel=1e-15)
    assert said.threads == 2
    assert "mean difference 0.333" in said.cells[-1]
    written = records.read(tmp_path / "work" / "recorded" / "finlay2018" / "topic.cpu.json")
    assert written.provenance["threads"] == 2
    assert written.provenance["parameters"]["seed"] == 1
    assert {path: path.read_bytes() for path in before} == before
    assert not list((verify.ROOT / "data" / "recorded").glob("finlay2018/topic*"))
    assert (tmp_path / "work" / "cache" / "kept").exists(), "what it caches goes to a folder of its own"
    assert not page.notebook.exists()
    assert "ADVSMOOTH_EVIDENCE" not in os.environ


def test_a_page_of_the_book_is_confirmed(tmp_path, capsys):
    stored = pages.find("zhu2022/errata").notebook.read_bytes()
    assert command.main(["verify", "zhu2022/errata", "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    made = certificate.read(path)
    assert made.pages[0].text.same == made.pages[0].text.cells
    assert sum(len(check.exact) for claim in made.pages[0].claims for check in claim.checks) > 0
    assert pages.find("zhu2022/errata").notebook.read_bytes() == stored
