"""``_build/html`` is a whole site, the old or the new one, whenever a build is killed; and no child of it goes on."""

import os
from pathlib import Path

import pytest
import site_check
from killed import build_site
from killed.harness import SOAK, read_all_the_time, started


@pytest.fixture(scope="module")
def program():
    with started(Path(__file__).with_name("build_site.py")) as program:
        yield program


@pytest.fixture
def book(program, tmp_path):
    build_site.write_source(tmp_path / "book", "old")
    program.called_once("build", tmp_path / "book")
    return tmp_path / "book"


def files(book):
    site = book / "_build" / "html"
    return {path.relative_to(site).as_posix() for path in site.rglob("*")}


def test_a_site_that_is_being_built_is_not_seen_before_it_is_whole(program, book):
    assert build_site.words(book) == ["old", "old"]
    expected = files(book)
    build_site.write_source(book, "new")
    seen = []

    def look():
        seen.append(build_site.words(book))

    total = 0
    with read_all_the_time(look) as troubles:
        seconds = program.called_once("build", book)
        for seed in range(SOAK):
            word = f"new{seed}"
            build_site.write_source(book, word)
            total += program.killed_until_it_ends("build", book, seed=seed, within=0.8 * seconds, kills=5)
            assert build_site.words(book) == [word, word]
    assert troubles == []
    print(f"site: {total} kills, {len(seen)} readings")
    assert total > 0
    assert files(book) == expected
    assert site_check.problems((book / "_build" / "html").resolve()) == []
    left = list((book / "_build" / "sites").iterdir())
    assert len(left) <= 1 + total
    for path in left:
        os.utime(path, (0, 0))
    program.called_once("build", book)
    assert len(list((book / "_build" / "sites").iterdir())) == 1


def test_a_build_that_fails_leaves_the_site_as_it_was(program, book, capfd):
    build_site.write_source(book, "new")
    (book / "second.md").write_text("# second\n\n[a link](nowhere.md)\n")
    with pytest.raises(AssertionError, match="no new site: what there is of it lies in"):
        program.called_once("build", book)
    assert build_site.words(book) == ["old", "old"]


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_killed_before_any_of_its_changes_the_swap_leaves_a_whole_site(tmp_path, kind):
    book = tmp_path / "book"
    (book / "_build" / "sites").mkdir(parents=True)
    with started(Path(build_site.__file__)) as program:
        if kind == "folder":  # as older versions left it: one moment without a site, once
            build_site.write_site(book / "_build" / "html", "old")
            program.called_once("swap", book, "new")
        else:
            program.called_once("swap", book, "old")
            assert program.killed_before_every_change("swap", book, "new", folder=book) >= 6
    build_site.after_end("swap", book, "new")
