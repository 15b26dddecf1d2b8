"""Executing pages: other parameters, refusals, what is stored, and the command line."""

import json
import subprocess
import sys

import nbformat
import pytest

from advsmooth import __main__ as command
from advsmooth import journal, pages
from advsmooth.pages import Page, PageError

SAMPLE = "finlay2018/dataset_lipschitz"

SCRIPT = """# %% [markdown]
# # A page
#
# text

# %% tags=["parameters"]
scale: str = "quick"  # scale
seed: int = 0  # seed
n: int = None  # how many

# %%
from advsmooth import settings

cfg = settings.resolve(globals(), n=settings.count(quick=2, cpu=3))

# %%
print(cfg.scale, cfg.seed, cfg.n)
"""


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(pages, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(journal, "FOLDER", tmp_path / "passes")
    (tmp_path / "x2020").mkdir()
    made = Page("x2020/topic")
    made.script.write_text(SCRIPT)
    return made


def text(notebook):
    return "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))


def test_a_page_is_stored_once_and_left_alone_while_nothing_changes(page):
    assert pages.update(page)[1] is True
    first = page.notebook.read_bytes()
    assert pages.update(page)[1] is False
    assert page.notebook.read_bytes() == first
    assert text(page.stored()) == "quick 0 2\n"
    assert list(pages.differences(page)) == []
    assert page.title() == "A page"


def test_text_printed_in_several_messages_is_stored_as_one():
    def said(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    shown = nbformat.v4.new_output("display_data", {"text/plain": "x"})
    outputs = [said("a\n"), said("b\n"), shown, said("c\n"), said("d\n", "stderr")]
    joined = pages._joined(outputs)
    assert joined == [said("a\nb\n"), shown, said("c\n"), said("d\n", "stderr")]
    assert pages._joined(joined) == joined
    assert outputs[0]["text"] == "a\n"


def test_a_time_over_the_budget_is_measured_again(page):
    pages.update(page)
    stored = page.stored()
    stored.metadata["advsmooth"]["seconds"] = pages.BUDGET + 1
    nbformat.write(stored, page.notebook)
    assert pages.update(page)[1] is True
    assert page.stored().metadata["advsmooth"]["seconds"] < pages.BUDGET


def test_a_changed_source_is_noticed_and_executed_again(page):
    pages.update(page)
    page.script.write_text(SCRIPT.replace("quick=2", "quick=4"))
    assert any("cell 2 differs in its source" in line for line in pages.differences(page))
    assert pages.update(page)[1] is True
    assert text(page.stored()) == "quick 0 4\n"


def test_a_stored_page_has_no_times_paths_or_random_ids(page, tmp_path):
    pages.update(page)
    stored = page.notebook.read_text()
    assert str(tmp_path) not in stored
    assert [cell["id"] for cell in page.stored().cells] == ["cell-00", "cell-01", "cell-02", "cell-03"]
    assert "papermill" not in stored
    assert set(page.stored().metadata) == {"kernelspec", "language_info", "jupytext", "advsmooth"}


def test_parameters_are_injected_and_refusals_are_one_line(page, tmp_path):
    run = pages.run(page, tmp_path / "out.ipynb", {"n": "7", "seed": 3})
    assert text(run) == "quick 3 7\n"
    with pytest.raises(PageError) as refusal:
        pages.run(page, tmp_path / "out.ipynb", {"m": 7})
    assert str(refusal.value) == "x2020/topic: SettingsError: m=7: unknown parameter; Allowed: scale, seed, n"


def test_a_page_that_breaks_is_reported_and_not_stored(page):
    page.script.write_text(SCRIPT + "\n# %%\n1 / 0\n")
    failures = pages.update_all([page], jobs=1)
    assert len(failures) == 1
    assert "ZeroDivisionError" in failures[0]
    assert not page.notebook.exists()


def test_one_broken_page_does_not_stop_the_others(page, tmp_path):
    other = Page("x2020/other")
    other.script.write_text(SCRIPT + "\n# %%\n1 / 0\n")
    assert len(pages.update_all([other, page], jobs=1)) == 1
    assert page.notebook.exists()


def test_a_page_that_was_not_executed_or_is_broken_says_so(page):
    with pytest.raises(PageError, match="not executed yet; run `make book`"):
        page.stored()
    page.notebook.write_text("{")
    with pytest.raises(PageError, match="is not a notebook"):
        page.stored()


def test_pictures_are_not_compared_and_text_is(page):
    def notebook(png, words):
        output = nbformat.v4.new_output("display_data", {"image/png": png, "text/plain": words})
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output], id="cell-00")])

    assert pages.comparable(notebook("a", "t")) == pages.comparable(notebook("b", "t"))
    assert pages.comparable(notebook("a", "t")) != pages.comparable(notebook("a", "u"))


@pytest.mark.parametrize("name", [SAMPLE, f"notebooks/{SAMPLE}.ipynb", f"{SAMPLE}.py"])
def test_a_page_is_found_by_key_or_path(name):
    assert pages.find(name).key == SAMPLE


def test_an_unknown_page_is_refused_with_the_nearest():
    with pytest.raises(
        PageError, match="page 'finlay2018/dataset_lipshitz': not found; did you mean 'finlay2018/dataset_lipschitz'"
    ):
        pages.find("finlay2018/dataset_lipshitz")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["run", "nowhere"], 2, "page 'nowhere': not found"),
        (["run", SAMPLE, "seed"], 2, "arguments are written name=value"),
        (["run", SAMPLE, "subset=3"], 2, "did you mean 'subsets'"),
        (["download", "mnits"], 2, "did you mean 'mnist'"),
    ],
)
def test_the_command_line_refuses_in_one_line(arguments, status, words, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(pages, "RUNS", tmp_path)
    assert command.main(arguments) == status
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert said.err.count("\n") <= 1


def test_list_and_records_name_every_page_and_record(capsys):
    assert command.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(page.key in listed for page in pages.every())
    command.main(["records"])
    assert "finlay2018/dataset_lipschitz (cpu-mnist)" in capsys.readouterr().out


@pytest.mark.slow
def test_plain_papermill_from_another_folder_with_odd_parameters(tmp_path):
    """What a re-runner does: no command of ours, another working folder, text that looks like numbers."""
    out = tmp_path / "out.ipynb"
    done = subprocess.run(
        [sys.executable, "-m", "papermill", str(pages.find(SAMPLE).notebook), str(out), "--no-progress-bar",
         "-p", "seed", "11", "-p", "subsets", "3", "-p", "sizes", "30, 60"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(out.read_text())["metadata"]["papermill"]["exception"] is None


@pytest.mark.slow
def test_plain_papermill_with_a_wrong_parameter_ends_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "papermill", str(pages.find(SAMPLE).notebook), str(tmp_path / "out.ipynb"),
         "--no-progress-bar", "-p", "subsets", "2"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last == "SettingsError: subsets=2: allowed is an integer, at least 3"


def test_papermill_shows_what_the_parameters_mean():
    from papermill import inspect_notebook

    for page in pages.every():
        for name, about in inspect_notebook(str(page.notebook)).items():
            assert about["inferred_type_name"] != "None", f"{page.key}: give {name} a type"
            assert about["help"], f"{page.key}: say what {name} means"


@pytest.mark.slow
def test_a_verdict_that_no_longer_follows_turns_the_validation_red(page, tmp_path):
    """The negative control of nbval: the stored verdict is changed by one word."""
    page.script.write_text(
        SCRIPT
        + """
# %%
from advsmooth import checks, claims

claims.report(claims.verdict("liu2020-thm1", [checks.every("c", "s", cases=[True], sample="one")]))
"""
    )
    pages.update(page)
    command = [sys.executable, "-m", "pytest", "--nbval", str(page.notebook), "-q", "-p", "no:cacheprovider"]
    command += ["--override-ini=addopts=", f"--rootdir={tmp_path}"]
    assert subprocess.run(command, capture_output=True, cwd=tmp_path, check=False).returncode == 0
    page.notebook.write_text(page.notebook.read_text().replace("verdict: holds", "verdict: proved"))
    assert subprocess.run(command, capture_output=True, cwd=tmp_path, check=False).returncode == 1
