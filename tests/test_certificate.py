"""Certificates: read back as written, refused when harmed or altered, compared with each other, and readable."""

import json
import math
import re

import pytest

from advsmooth import __main__ as command
from advsmooth import certificate, certificate_page
from advsmooth.certificate import CertificateError, CheckResult, ClaimResult, Here, Number, PageResult, RecordResult
from advsmooth.comparison import Pair

PAGE = "x2020/topic"


def check(**changes):
    plain = {
        "name": "mean",
        "role": "published",
        "stored": "held",
        "here": "held",
        "evidence_stored": "measured 0.333",
        "evidence_here": "measured 0.333",
        "same_text": True,
        "numbers": [Number.of(Pair(0.333, 0.333, True))],
        "exact": {"measured": 1 / 3, "cases": "3 of 40", "seeds": 3},
    }
    return CheckResult(**plain | changes)


def page(checks=None, verdict=("trend", "trend"), **changes):
    claim = ClaimResult(
        name="x2020-tab1",
        title="A <table>",
        place="Table 1",
        stored=verdict[0],
        here=verdict[1],
        checks=checks or [check()],
    )
    plain = {
        "page": PAGE,
        "title": "A page",
        "seconds": 3.0,
        "code": "c" * 64,
        "judged": True,
        "ran": "yes",
        "message": "",
        "claims": [claim],
        "text": {"compared": True, "why": "", "cells": 4, "same": 4, "rounding": 0, "differing": []},
        "records": [RecordResult(label="cpu", state="confirmed", why="its replay gives the recorded numbers")],
    }
    values = certificate.PageValues(**plain | changes)
    outcome, reasons = certificate.decide(values)
    return PageResult(**values.model_dump(), outcome=outcome, reasons=reasons)


def make(*some, here=None, **changes):
    plain = {
        "commit": "a" * 40,
        "code": "b" * 64,
        "lock": "d" * 64,
        "ledger": "e" * 64,
        "versions": {"torch": "2.15"},
        "device": "x86_64 CPU, 2 cores",
        "processor": "a processor",
        "system": "Linux",
        "threads": 1,
        "jobs": 1,
        "load_before": 0.1,
        "load_after": 0.2,
    }
    about = {
        "format": certificate.FORMAT,
        "what": PAGE,
        "scale": "quick",
        "parameters": {},
        "signed_off": "A. Referee <referee@example.org>",
        "date": "2030-01-02T03:04:05+00:00",
        "seconds": 3.5,
    }
    return certificate.Certificate(here=Here(**plain | (here or {})), pages=list(some or [page()]), **about | changes)


@pytest.fixture
def path(tmp_path):
    certificate.write(make(), tmp_path / "a.json")
    return tmp_path / "a.json"


def test_a_certificate_is_read_back_as_it_was_written(path):
    assert certificate.read(path) == make()
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_numbers_that_json_does_not_have_survive(tmp_path):
    odd = [Number.of(Pair(math.nan, math.inf, False)), Number.of(Pair(-math.inf, -0.0, False))]
    made = make(page([check(numbers=odd, exact={"measured": math.nan, "bound": -math.inf})]))
    certificate.write(made, tmp_path / "odd.json")
    strict = json.loads((tmp_path / "odd.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert strict["sha256"] == certificate.digest(made)
    found = certificate.read(tmp_path / "odd.json").pages[0].claims[0].checks[0]
    assert math.isnan(found.numbers[0].stored)
    assert found.numbers[0].here == math.inf
    assert math.copysign(1, found.numbers[1].here) == -1
    assert certificate.compare(made, certificate.read(tmp_path / "odd.json"))[1] == []


def altered(change):
    def harm(path):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return harm


def forged(path):
    """An outcome that does not follow, with a digest that fits."""
    made = certificate.read(path)
    lie = page(verdict=("trend", "contradicted")).model_copy(update={"outcome": "confirmed", "reasons": []})
    certificate.write(made.model_copy(update={"pages": [lie]}), path)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(p.read_bytes()[:-200]), "not readable"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00"), "not readable"),
        (lambda p: p.write_text("[" * 100_000), "not readable"),
        (lambda p: p.write_text("[]"), "not a certificate"),
        (altered(lambda c: c.update(format="another 2")), "not a certificate"),
        (altered(lambda c: c.pop("here")), "here: Field required"),
        (altered(lambda c: c.update(more=1)), "more: Extra inputs"),
        (altered(lambda c: c.update(pages=[])), "pages: List should have at least 1 item"),
        (altered(lambda c: c["pages"][0].update(outcome="fine")), "pages.0.outcome"),
        (altered(lambda c: c.pop("sha256")), "altered"),
        (altered(lambda c: c.update(signed_off="Someone Else <else@example.org>")), "altered"),
        (altered(lambda c: c["pages"][0]["claims"][0].update(here="holds")), "altered"),
        (altered(lambda c: c["here"].update(load_after=0.3)), "altered"),
        (forged, "the outcome of x2020/topic does not follow from its values"),
    ],
)
def test_a_harmed_certificate_is_refused_in_one_line(path, harm, words, capsys):
    harm(path)
    with pytest.raises(CertificateError, match=words) as refused:
        certificate.read(path)
    assert "\n" not in str(refused.value)
    assert command.main(["compare", str(path), str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_layout_and_order_of_the_file_do_not_matter(path):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items())), indent=7))
    assert certificate.read(path) == make()


def test_two_certificates_that_say_the_same_agree_whatever_they_were_made_with(tmp_path, capsys):
    other = make(here={"device": "arm64 CPU, 8 cores", "versions": {"torch": "2.16"}, "threads": 8}, signed_off="")
    certificate.write(make(), tmp_path / "a.json")
    certificate.write(other, tmp_path / "b.json")
    assert command.main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    said = capsys.readouterr().out
    assert "they agree" in said
    assert "device: x86_64 CPU, 2 cores in A, arm64 CPU, 8 cores in B" in said
    assert "version of torch: 2.15 in A, 2.16 in B" in said
    assert "1 unrounded numbers: 1 equal in every digit" in said


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (make(page(verdict=("trend", "contradicted"))), "verdict on x2020-tab1: trend in A, contradicted in B"),
        (make(page([check(here="failed")])), "check mean of x2020-tab1: held in A, failed in B"),
        (make(page([check(evidence_here="measured 0.336")])), "check mean of x2020-tab1: 0.333 in A, 0.336 in B"),
        (make(page([check(evidence_here="measured nan")])), "check mean of x2020-tab1: 0.333 in A, nan in B"),
        (make(page([check(evidence_here="not measured")])), "'measured 0.333' in A, 'not measured' in B"),
        (make(page([check(name="other")])), "check other of x2020-tab1: absent in A, held in B"),
        (make(scale="cpu"), "asked for: scale=quick in A, scale=cpu in B"),
        (
            make(page(records=[RecordResult(label="cpu", state="differs", why="x")])),
            "record cpu: confirmed in A, differs",
        ),
    ],
)
def test_what_two_certificates_disagree_on_is_named(tmp_path, other, words, capsys):
    for name, made in (("a", make()), ("b", other)):
        certificate.write(made, tmp_path / f"{name}.json")
    for first, second in ("ab", "ba"):
        assert command.main(["compare", str(tmp_path / f"{first}.json"), str(tmp_path / f"{second}.json")]) == 1
    _, disagree = certificate.compare(make(), other)
    assert any(words in line for line in disagree), disagree


def test_last_digits_do_not_part_two_certificates_and_are_counted():
    said, disagree = certificate.compare(make(), make(page([check(exact={"measured": 1 / 3 + 1e-12})])))
    assert disagree == []
    assert "1 unrounded numbers: 0 equal in every digit, largest relative difference 3e-12" in said[1]


def test_certificates_without_a_page_in_common_do_not_agree():
    said, disagree = certificate.compare(make(), make(page(page="x2020/other")))
    assert "0 pages in both; only in A: x2020/topic; only in B: x2020/other" in said[0]
    assert disagree


def test_an_unknown_record_parts_nobody():
    other = make(page(records=[RecordResult(label="cpu", state="unknown", why="no data")]))
    assert certificate.compare(make(), other)[1] == []
    assert other.outcome == "confirmed"
    assert other.pages[0].reasons == ["record cpu not checked: no data"]


def test_the_whole_differs_if_any_page_does_and_is_confirmed_only_if_all_are():
    wrong, refused = page(verdict=("trend", "holds")), page(ran="refused", message="no GPU")
    assert make(page(), wrong, refused).outcome == "differs"
    assert make(page(), refused).outcome == "not checked"
    assert make(page(), page()).outcome == "confirmed"


def test_the_readable_page_needs_nothing_else_and_escapes_what_it_shows():
    wrong = page(
        [check(here="failed", same_text=False, evidence_here="measured <b>", exact={"<i>": 1.5})], message="<script>"
    )
    made = make(page(), wrong, page(ran="refused", message="<img>"), signed_off="A <a@b.c>")
    shown = certificate_page.html_of(made)
    assert shown.count("<h1>") == 1
    assert not re.search(r"(src|href)=.(http|//)|<script|<img|url\(", shown)
    assert "measured &lt;b&gt;" in shown
    assert "A &lt;a@b.c&gt;" in shown
    assert certificate.digest(made) in shown
    for word in (
        "✓ confirmed",
        "✗ differs",
        "○ not checked",
        "A &lt;table&gt;",
        "gpg --detach-sign",
        "no cryptographic",
    ):
        assert word in shown
    assert shown.count("<details") == shown.count("</details>")
    assert shown.count("<section") == shown.count("</section>") == 3
