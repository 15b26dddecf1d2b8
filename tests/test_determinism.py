"""Determinism: what counts as the same, and the table of the book, in which every page is."""

import json

import pandas as pd
import pytest

from advsmooth import determinism, execution, pages
from advsmooth.execution import Execution

STUDY = pd.read_csv(determinism.TABLE) if determinism.TABLE.exists() else None


def said(threads=1, outcome="held", cells=("a", "b"), words="mean 0.333", **evidence):
    numbers = {"mean": 1 / 3, "cases": 7, "shown": "3 of 4"} | evidence
    sections = [
        {"claim": "x2020-tab1", "verdict": "trend", "checks": [{"name": "a", "outcome": outcome, "evidence": words}]}
    ]
    return Execution("x2020/topic", threads, 1.0, sections, {"x2020-tab1": {"a": numbers}}, list(cells))


def test_two_executions_that_say_the_same():
    row = determinism.compare(said(), said(2))
    assert (row["same verdicts"], row["same text"], row["numbers"], row["differ"]) == (True, True, 1, 0)
    assert (row["threads"], row["largest relative difference"], row["where"]) == (2, 0.0, "")


def test_last_digits_are_counted_and_placed():
    row = determinism.compare(said(other=2.0), said(2, mean=1 / 3 + 1e-16, other=2.002))
    assert (row["numbers"], row["differ"]) == (2, 2)
    assert row["largest relative difference"] == pytest.approx(1e-3, rel=1e-2)
    assert row["where"] == "x2020-tab1, a: other"


@pytest.mark.parametrize(
    ("other", "verdicts", "text"),
    [(said(outcome="failed"), False, True), (said(cells=("a", "c")), True, False), (said(cells=("a",)), True, False)],
)
def test_another_outcome_or_text_is_not_the_same(other, verdicts, text):
    row = determinism.compare(said(), other)
    assert (row["same verdicts"], row["same text"]) == (verdicts, text)


def test_a_check_whose_evidence_is_further_than_rounding_is_counted():
    for words, apart in (("mean 0.334", 0), ("mean 0.336", 1), ("median 0.333", 1)):
        row = determinism.compare(said(), said(words=words))
        assert (row["checks"], row["checks apart"]) == (1, apart)


def test_a_number_that_vanishes_is_infinitely_far():
    row = determinism.compare(said(), Execution(**{**vars(said()), "evidence": {}}))
    assert (row["numbers"], row["differ"], row["largest relative difference"]) == (1, 1, float("inf"))


def test_the_study_executes_each_page_three_times_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    calls = []

    def execute(page, folder, parameters=None, threads=1, offered=None):
        calls.append((page.key, threads, offered))
        noise = threads * 1e-15 if page == some[1] else 0.0
        return Execution(**{**vars(said(threads, mean=1 / 3 + noise)), "page": page.key})

    some = pages.every()[:2]
    monkeypatch.setattr(pages, "every", lambda: some)
    monkeypatch.setattr(execution, "execute", execute)
    table = tmp_path / "determinism.csv"
    line = determinism.write(table=table, work=tmp_path / "work")
    assert "2 pages; in one thread 0 say something else again" in line
    thrice = [(page.key, threads, None) for page in some for threads in (1, 1, 2)]
    assert calls == [*thrice, (some[1].key, 1, 2)], "the page that depends on the threads is executed once more, in one"
    found = pd.read_csv(table)
    assert found["threads"].tolist() == [1, 2, 1, 2, 1]
    assert found["offered"].tolist() == [1, 2, 1, 2, 2]
    assert found["differ"].tolist() == [0, 0, 0, 1, 0]
    assert "<svg" in table.with_suffix(".svg").read_text()
    assert json.loads(table.with_suffix(".json").read_text())["threads"] == [1, 2]
    (tmp_path / "work" / some[1].key / "2.1" / "execution.json").unlink()
    determinism.write(table=table, work=tmp_path / "work")
    assert calls[7:] == [(some[1].key, 2, None)], "only what is not there is executed"


@pytest.mark.skipif(STUDY is None, reason="no study is stored; run advsmooth determinism")
def test_every_page_says_the_same_twice_and_when_it_is_offered_two_threads():
    again, two = STUDY[(STUDY["threads"] == 1) & (STUDY["offered"] == 1)], STUDY[STUDY["threads"] == 2]
    offered = STUDY[(STUDY["threads"] == 1) & (STUDY["offered"] == 2)]
    keys = [page.key for page in pages.every()]
    assert list(again["page"]) == list(two["page"]) == keys
    assert STUDY["same verdicts"].all(), STUDY[~STUDY["same verdicts"]].to_string()
    depends = two[~two["same text"] | (two["differ"] > 0)]
    assert list(offered["page"]) == list(depends["page"]), "a page that depends on the threads was tried in one of two"
    for one in (again, offered):
        assert one["same text"].all(), one[~one["same text"]].to_string()
        assert (one["differ"] == 0).all(), "in one thread every number is equal in every digit"


@pytest.mark.skipif(STUDY is None, reason="no study is stored")
def test_the_numbers_in_the_words_of_the_chapter_are_those_of_the_table():
    words = " ".join((determinism.BOOK / "determinism.md").read_text().split())
    two = STUDY[STUDY["threads"] == 2]
    same, digits = two["same text"], two["differ"] > 0
    for sentence in (
        f"All {len(two)} pages give, in two processes,",
        f"every digit of {two['numbers'].sum()} numbers",
        f"{(same & ~digits).sum()} pages are the same in text and in every digit. {(same & digits).sum()} differ",
        f"by at most {two[same]['largest relative difference'].max():.1e} of the number",
        f"{(~same).sum()} print other tables, and on {(~same & digits).sum()} of them numbers",
        f"the furthest by {two['largest relative difference'].max():.0%}".replace("%", " %"),
        f"Of all {two['checks'].sum()} checks {two['checks apart'].sum()} is further apart",
    ):
        assert sentence in words


@pytest.mark.skipif(STUDY is None, reason="no study is stored")
def test_the_figure_of_the_book_is_drawn_from_the_table(tmp_path):
    determinism.figure(determinism.TABLE, tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_text() == determinism.FIGURE.read_text()


def test_each_page_reports_once_since_the_evidence_goes_to_one_file():
    for page in pages.every():
        assert page.script.read_text().count("claims.report(") == 1, page.key
