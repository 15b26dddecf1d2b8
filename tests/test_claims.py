"""The ledger, and the rule from checks to verdicts."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import checks, claims
from advsmooth.checks import Check

THEOREM, TABLE, DEFINITION = "liu2020-thm1", "finlay2018-tab4", "liu2020-def-version-space"


def check(role, held, name=None, scale="cpu"):
    return Check(name or f"{role}-{held}", "a sentence", held, {"number": 1.23456}, "n = 3", "equal", role, scale)


P, C, D, N, T, M, A = "printed", "corrected", "derivation", "published", "trend", "method", "observed"


@pytest.mark.parametrize(
    ("kind", "made", "verdict"),
    [
        ("theorem", [(P, True)], "holds"),
        ("theorem", [(P, True), (D, True)], "proved"),
        ("theorem", [(D, True)], "holds"),  # algebra alone, with no number behind it, proves nothing here
        ("theorem", [(P, False)], "contradicted"),
        ("theorem", [(P, False), (C, True)], "corrected"),
        ("theorem", [(P, False), (C, True), (D, True)], "corrected"),
        ("theorem", [(P, False), (C, False)], "contradicted"),
        ("theorem", [(P, False), (C, True), (D, False)], "contradicted"),
        ("theorem", [(P, True), (C, False)], "contradicted"),
        ("theorem", [(P, True), (D, False)], "contradicted"),
        ("theorem", [(P, None)], "not run"),
        ("theorem", [(P, None), (M, True)], "not run"),
        ("table", [(N, True)], "reproduced"),
        ("table", [(N, True), (N, None)], "reproduced"),
        ("table", [(N, True), (N, False)], "contradicted"),
        ("table", [(N, None), (N, None)], "not run"),
        ("table", [(T, True), (N, None)], "trend"),
        ("table", [(T, True), (N, True)], "reproduced"),
        ("figure", [(T, False)], "contradicted"),
        ("figure", [(T, True)], "trend"),
        ("definition", [], "defined"),
        ("theorem", [(P, True), (A, False)], "holds"),
        ("theorem", [(P, False), (A, True)], "contradicted"),
        ("definition", [(M, True)], "defined"),
        ("definition", [(P, True)], "defined"),
        ("definition", [(P, True), (D, True)], "defined"),
        ("definition", [(T, True)], "trend"),
        ("definition", [(P, False), (C, True)], "corrected"),
        ("definition", [(P, False)], "contradicted"),
    ],
)
def test_the_verdict_follows_from_the_checks(kind, made, verdict):
    assert claims.decide(kind, [check(role, held, f"c{k}") for k, (role, held) in enumerate(made)]) == verdict


def direction(role, differences, name):
    return checks.positive(name, "", differences=differences, sample="", role=role)


UP, DOWN, OPEN = [1.0, 1.1, 0.9], [-1.0, -1.1, -0.9], [1.0, -1.0, 0.2]


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        ([(T, UP)], "trend"),
        ([(T, DOWN)], "contradicted"),
        ([(T, OPEN)], "unresolved"),
        ([(T, UP), (T, OPEN)], "unresolved"),
        ([(T, DOWN), (T, OPEN)], "contradicted"),
        ([(T, DOWN), (C, UP)], "corrected"),
        ([(T, OPEN), (C, UP)], "unresolved"),  # what has not failed needs no correction
        ([(T, DOWN), (C, OPEN)], "contradicted"),
        ([(T, UP), (C, OPEN)], "unresolved"),
        ([(T, UP), (A, OPEN)], "trend"),
        ([(T, [0.0, 0.0, 0.0])], "unresolved"),
    ],
)
def test_a_direction_that_the_runs_leave_open_is_neither_shown_nor_contradicted(made, verdict):
    found = [direction(role, differences, f"c{k}") for k, (role, differences) in enumerate(made)]
    assert claims.decide("figure", found) == verdict


def test_an_open_method_check_stops_the_page():
    with pytest.raises(claims.ClaimError, match="the measurement is wrong"):
        claims.verdict(THEOREM, [direction(M, OPEN, "c"), check(P, True, "d")])


@pytest.mark.parametrize("kind", ["theorem", "table", "algorithm"])
def test_no_verdict_without_checks_unless_it_is_a_definition(kind):
    with pytest.raises(claims.ClaimError, match="needs at least one check"):
        claims.decide(kind, [])
    with pytest.raises(claims.ClaimError, match="needs at least one check"):
        claims.decide(kind, [check(M, True)])


def test_a_failed_method_check_stops_the_page():
    with pytest.raises(claims.ClaimError, match="method check 'c' failed.*the measurement is wrong"):
        claims.verdict(THEOREM, [check(M, False, "c"), check(P, True, "d")])


ROLES = st.sampled_from([P, C, D, N, T])


@given(st.lists(st.tuples(ROLES, st.sampled_from([True, False, None])), min_size=1, max_size=6))
def test_a_failed_check_never_leads_to_a_favourable_verdict(made):
    some = [check(role, held, f"c{k}") for k, (role, held) in enumerate(made)]
    verdict = claims.decide("theorem", some)
    if any(held is False for _, held in made):
        assert verdict in ("corrected", "contradicted")
    if any(held is False and role in (C, D) for role, held in made):
        assert verdict == "contradicted"


@given(st.lists(st.tuples(ROLES, st.booleans()), min_size=1, max_size=5), st.randoms())
def test_the_order_of_the_checks_does_not_matter(made, random):
    some = [check(role, held, f"c{k}") for k, (role, held) in enumerate(made)]
    shuffled = random.sample(some, len(some))
    assert claims.decide("table", some) == claims.decide("table", shuffled)


def test_a_quick_result_is_not_offered_for_a_published_number():
    with pytest.raises(claims.ClaimError, match="offers a quick result for a published number decided at cpu"):
        claims.verdict(TABLE, [check(N, True, "mnist", scale="quick")])
    assert claims.verdict(TABLE, [check(N, True, "mnist", scale="cpu")]).verdict == "reproduced"


def test_two_checks_of_one_name_are_refused():
    with pytest.raises(claims.ClaimError, match="two checks are called 'c'"):
        claims.verdict(THEOREM, [check(P, True, "c"), check(C, True, "c")])


def test_the_text_of_a_verdict_is_deterministic_and_rounded():
    made = claims.verdict(
        TABLE, [check(N, True, "mnist"), check(N, None, "svhn"), check(M, True, "plain")], note="A note."
    )
    assert repr(made).splitlines() == [
        f"{TABLE} · {made.claim.place} · verdict: reproduced (1 of 2 run)",
        "  [held] mnist (published): a sentence",
        "      number 1.23; n = 3; cpu",
        "  [not run] svhn (published): a sentence",
        "      number 1.23; n = 3; cpu",
        "  [held] plain (method): a sentence",
        "      number 1.23; n = 3; cpu",
        "  A note.",
    ]


def test_the_report_can_be_read_back_from_the_outputs_of_a_notebook():
    made = claims.report(claims.verdict(TABLE, [check(N, True, "mnist")]), claims.verdict(DEFINITION))
    bundle = json.loads(json.dumps(made._repr_mimebundle_()))
    read = claims.read_report([{"data": bundle}, {"name": "stdout"}])
    assert [(v["claim"], v["verdict"], v["scales"]) for v in read] == [
        (TABLE, "reproduced", ["cpu"]),
        (DEFINITION, "defined", []),
    ]
    assert "verdict-reproduced" in bundle["text/html"]


def test_the_unrounded_evidence_goes_to_the_file_that_is_named_and_changes_nothing_shown(tmp_path, monkeypatch):
    one = Check("a", "a sentence", True, {"third": 1 / 3, "seeds": np.int64(3), "shown": "3 of 4"}, "n = 3", "equal")
    parts = (
        claims.verdict(THEOREM, [one]),
        claims.findings("liu2020-elsewhere", "Another source", [check(A, True, "b")]),
    )
    plain = claims.report(*parts)._repr_mimebundle_()
    monkeypatch.setenv("ADVSMOOTH_EVIDENCE", str(tmp_path / "evidence.json"))
    assert claims.report(*parts)._repr_mimebundle_() == plain
    assert json.loads((tmp_path / "evidence.json").read_text()) == {
        THEOREM: {"a": {"third": 1 / 3, "seeds": 3, "shown": "3 of 4"}},
        "liu2020-elsewhere": {"b": {"number": 1.23456}},
    }


def test_findings_are_reported_beside_verdicts_and_are_none():
    found = claims.findings("liu2020-elsewhere", "Another source", [check(A, False, "a"), check(M, True, "m")], "Why.")
    made = claims.report(claims.verdict(DEFINITION), found)
    bundle = json.loads(json.dumps(made._repr_mimebundle_()))
    assert [v["claim"] for v in claims.read_report([{"data": bundle}])] == [DEFINITION]
    (read,) = claims.read_findings([{"data": bundle}, {"name": "stdout"}])
    assert (read["name"], [c["outcome"] for c in read["checks"]]) == ("liu2020-elsewhere", ["failed", "held"])
    assert "verdict" not in read
    assert "findings" in bundle["text/html"]
    assert "[failed] a (observed)" in bundle["text/plain"]
    assert "verdict:" not in repr(found)


def test_a_page_without_findings_stores_what_it_always_did():
    bundle = claims.report(claims.verdict(DEFINITION))._repr_mimebundle_()
    assert set(bundle[claims.VERDICT_MIME]) == {"verdicts"}
    assert claims.read_findings([{"data": bundle}]) == []


@pytest.mark.parametrize(
    ("name", "made", "words"),
    [
        (DEFINITION, [(A, True)], "has a claim of this name"),
        ("x", [], "no checks"),
        ("x", [(A, True), (A, True)], "two checks"),
        *(("x", [(role, True)], "allowed is method or observed") for role in (P, C, D, N, T)),
        ("x", [(A, True), (M, False)], "the measurement is wrong"),
    ],
)
def test_findings_that_would_pass_for_a_verdict_are_refused(name, made, words):
    with pytest.raises(claims.ClaimError, match=words) as refused:
        claims.findings(name, "title", [check(*one) for one in made])
    assert "\n" not in str(refused.value)


def test_html_of_findings_is_escaped():
    evil = Check("c", "<script>alert(1)</script>", True, {"a<b": "x>y"}, "", "equal", A, "quick")
    assert "<script>" not in claims.findings("x", "<script>", [evil], note="<b>")._repr_html_()


def test_html_of_a_verdict_is_escaped():
    evil = Check("c", "<script>alert(1)</script>", True, {"a<b": "x>y"}, "", "equal", P, "quick")
    assert "<script>" not in claims.verdict(THEOREM, [evil], note="<b>")._repr_html_()


def test_an_unknown_claim_is_refused_with_the_nearest_id():
    with pytest.raises(
        claims.ClaimError, match="claim 'liu2020-thm-1': not in the ledger; did you mean 'liu2020-thm1'"
    ):
        claims.verdict("liu2020-thm-1", [check(P, True)])


def test_the_ledger_holds_every_claim_once():
    ids = [c.id for c in claims.all_claims()]
    assert len(ids) == len(set(ids)) == 160
    counts = {key: len(paper.claims) for key, paper in claims.papers().items()}
    assert counts == {"finlay2018": 38, "liu2020": 41, "kanai2021": 35, "pang2022": 5, "zhu2022": 41}


def numbers(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "columns":
                assert all(isinstance(name, str) for name in inner)
            else:
                yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    else:
        yield value


@pytest.mark.parametrize("claim", list(claims.all_claims()), ids=lambda c: c.id)
def test_an_entry_of_the_ledger_is_complete(claim):
    assert all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers(claim.published or {}))
    assert claim.statement.count("$") % 2 == 0
    assert not (claim.tolerance and claim.published is None), "a tolerance without a published number"
    assert claim.paper == claim.id.split("-")[0] in claims.papers()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("paper: [", ["not valid YAML"]),
        ("paper: x2020\nauthors: X\nyear: 2020\ntitle: T\n", ["claims", "required"]),
        ("- a\n- b\n", ["valid dictionary"]),
        ("", ["valid dictionary"]),
    ],
)
def test_a_broken_ledger_is_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "x2020.yml"
    path.write_text(text)
    with pytest.raises(claims.ClaimError) as refusal:
        claims.read_paper(path)
    assert "\n" not in str(refusal.value)
    assert all(word in str(refusal.value) for word in ["x2020.yml", *words]), str(refusal.value)


ENTRY = """paper: x2020
authors: X
year: 2020
title: T
claims:
- {id: x2020-a, kind: KIND, title: t, place: p, statement: s, refuted_by: r, decided_at: quick}
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("KIND", "guess"), ["claims.0.kind"]),
        (("x2020-a", "y2020-a"), ["'y2020-a' should begin with 'x2020'"]),
        (("title: t,", "title: t, colour: red,"), ["claims.0.colour", "Extra"]),
        (("decided_at: quick", "decided_at: soon"), ["decided_at"]),
    ],
)
def test_a_broken_entry_is_refused_in_one_line(tmp_path, change, words):
    path = tmp_path / "x2020.yml"
    path.write_text(ENTRY.replace(*change).replace("KIND", "theorem"))
    with pytest.raises(claims.ClaimError) as refusal:
        claims.read_paper(path)
    assert "\n" not in str(refusal.value)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)
    path.write_text(ENTRY.replace("KIND", "theorem") + ENTRY.splitlines()[-1].replace("KIND", "lemma") + "\n")
    with pytest.raises(claims.ClaimError, match="'x2020-a' is there twice"):
        claims.read_paper(path)


def test_negative_evidence_is_kept_in_the_text():
    failed = checks.equal("c", "s", measured=2.0, expected=1.0, atol=0.5, sample="one case")
    assert "largest difference 1" in claims.verdict(THEOREM, [failed]).__repr__()
