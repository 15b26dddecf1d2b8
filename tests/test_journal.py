"""An interrupted pass is continued, and only with what has not changed; one that was not executes everything."""

import pytest

from advsmooth import journal, pages, places
from advsmooth.pages import Page, PageError

NAMES = ("x2020/a", "x2020/b", "x2020/c")


class Interrupted(BaseException):
    """As by control-C or a kill."""


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A small checkout; executing a page there writes its notebook, and stops at the page named in ``stop``."""
    for folder in ("lib", "data/claims", "data/cache", "notebooks/x2020", "sets/MNIST/raw"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib" / "a.py").write_text("x = 1\n")
    (tmp_path / "data" / "claims" / "x2020.yml").write_text("[]\n")
    (tmp_path / "requirements.lock").write_text("a==1\n")
    monkeypatch.setattr(pages, "NOTEBOOKS", tmp_path / "notebooks")
    for name, value in (("ROOT", tmp_path), ("CACHE", tmp_path / "data" / "cache"), ("FOLDER", tmp_path / "passes")):
        monkeypatch.setattr(journal, name, value)
    monkeypatch.setattr(journal, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path / "sets"))
    for name in NAMES:
        Page(name).script.write_text("# # A page\n")
    return tmp_path


@pytest.fixture
def executed(monkeypatch):
    """Executing is writing; at ``stop`` it is interrupted, at ``fail`` it fails, ``keys`` is what was executed."""

    class Pages:
        keys, stop, fail, during = [], None, None, None

    def update(page):
        if page.key == Pages.stop:
            raise Interrupted
        if page.key == Pages.fail:
            raise PageError("failed")
        if Pages.during:
            Pages.during()
        Pages.keys.append(page.key)
        page.notebook.write_text(f"executed {page.key}")
        return page.key, True, 1.0

    monkeypatch.setattr(pages, "update", update)
    return Pages


def a_pass(executed, names=NAMES, stop=None, fail=None):
    """The pages that a pass executed; a failure or the interruption is left out."""
    executed.keys, executed.stop, executed.fail = [], stop, fail
    try:
        pages.update_all([Page(name) for name in names], jobs=1)
    except Interrupted:
        assert stop
    return [key.removeprefix("x2020/") for key in executed.keys]


def test_an_interrupted_pass_is_continued_and_says_so(world, executed, capsys):
    assert a_pass(executed, stop="x2020/c") == ["a", "b"]
    capsys.readouterr()
    assert a_pass(executed) == ["c"]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "continuing an interrupted pass: 2 of 3 pages were done"
    assert said[1].startswith("[3/3] x2020/c: stored")
    assert a_pass(executed) == ["a", "b", "c"]
    assert "continuing" not in capsys.readouterr().out


def test_it_may_be_interrupted_again(world, executed):
    assert a_pass(executed, stop="x2020/b") == ["a"]
    assert a_pass(executed, stop="x2020/c") == ["b"]
    assert a_pass(executed) == ["c"]


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("notebooks/x2020/a.py", ["a", "c"]),
        ("notebooks/x2020/b.ipynb", ["b", "c"]),
        ("lib/a.py", ["a", "b", "c"]),
        ("lib/deep/new.py", ["a", "b", "c"]),
        ("data/claims/x2020.yml", ["a", "b", "c"]),
        ("data/recorded/x2020/a.cpu.json", ["a", "b", "c"]),
        ("requirements.lock", ["a", "b", "c"]),
        ("sets/MNIST/raw/train", ["a", "b", "c"]),
        ("data/cache/networks/a.safetensors", ["c"]),
        ("data/recorded/x2020/.a.csv.01234567.partial", ["c"]),
        ("README.md", ["c"]),
    ],
)
def test_a_page_is_executed_again_if_what_decides_it_has_changed(world, executed, file, again):
    assert a_pass(executed, stop="x2020/c") == ["a", "b"]
    (world / file).parent.mkdir(parents=True, exist_ok=True)
    (world / file).write_text("changed\n")
    assert a_pass(executed) == again


def test_other_threads_data_or_versions_are_another_pass(world, executed, monkeypatch):
    for change in (
        lambda: monkeypatch.setenv("OMP_NUM_THREADS", "7"),
        lambda: monkeypatch.setenv("ADVSMOOTH_DATA", str(world / "other")),
        lambda: monkeypatch.setattr(journal, "_installed", lambda: ["numpy 99"]),
        lambda: monkeypatch.setattr("sys.version", "4.0"),
    ):
        a_pass(executed, stop="x2020/c")
        change()
        assert a_pass(executed) == ["a", "b", "c"]


def test_a_page_that_was_executed_while_its_source_changed_is_not_done(world, executed):
    executed.during = lambda: (world / "lib" / "a.py").write_text("x = 2\n")
    assert a_pass(executed, stop="x2020/c") == ["a", "b"]
    executed.during = None
    (world / "lib" / "a.py").write_text("x = 1\n")
    assert a_pass(executed) == ["a", "b", "c"]


def test_a_failure_is_not_done_and_ends_like_the_others(world, executed):
    assert a_pass(executed, fail="x2020/a", stop="x2020/c") == ["b"]
    assert a_pass(executed, stop="x2020/c") == ["a"]
    assert a_pass(executed, fail="x2020/c") == []
    assert list((world / "passes").iterdir()) == []
    assert a_pass(executed) == ["a", "b", "c"]


def test_another_choice_of_pages_is_another_pass(world, executed):
    assert a_pass(executed, stop="x2020/c") == ["a", "b"]
    assert a_pass(executed, names=["x2020/a"]) == ["a"]
    assert a_pass(executed) == ["c"], "the first one is still continued"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x2020/a": 1}', "\x00"])
def test_a_journal_that_is_not_ours_is_no_journal(world, executed, content):
    a_pass(executed, stop="x2020/c")
    (path,) = (world / "passes").iterdir()
    path.write_text(content)
    assert a_pass(executed) == ["a", "b", "c"]


def test_the_journal_lies_where_make_clean_removes_it():
    assert journal.FOLDER.is_relative_to(places.ROOT / "_build")
