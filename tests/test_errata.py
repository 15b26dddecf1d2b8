"""The errata: their file, the rule by which one is shown, and ledger, pages and file in step."""

import pytest

from advsmooth import checks, claims, errata, pages

ENTRY = {
    "code": "L1",
    "title": "a step",
    "place": "Theorem 2",
    "claims": ["liu2020-thm2"],
    "severity": "proof",
    "printed": "p",
    "wrong": "w",
    "corrected": "c",
}


def check(role, held, name="a"):
    return checks.every(name, "", cases=[held], sample="", role=role)


@pytest.mark.parametrize(
    ("severity", "made", "outcome"),
    [
        ("proof", [("printed", False), ("derivation", True)], "shown"),
        ("proof", [("printed", False), ("corrected", True)], "shown"),
        ("proof", [("printed", True), ("corrected", True)], "not shown"),
        ("proof", [("printed", False), ("corrected", True), ("derivation", False)], "not shown"),
        ("proof", [("printed", False)], "not shown"),
        ("none", [("printed", True), ("derivation", True)], "shown"),
        ("none", [("printed", False), ("derivation", True)], "not shown"),
        ("none", [("derivation", True)], "shown"),
        ("typo", [("printed", True), ("printed", False), ("corrected", True), ("observed", False)], "shown"),
    ],
)
def test_whether_an_erratum_is_shown_follows_from_its_checks(severity, made, outcome):
    assert errata.outcome(severity, [check(role, held) for role, held in made]) == outcome


def test_a_judged_erratum_says_its_outcome(monkeypatch):
    monkeypatch.setattr(errata, "_by_code", lambda: {"L1": errata.Erratum(**ENTRY)})
    shown = errata.judge("L1", [check("printed", False), check("corrected", True, "b")])
    assert shown.outcome == "shown"
    assert shown.name == "liu2020-L1"
    assert "shown (the proof has a gap" in repr(shown)
    assert ">shown</span>" in shown._repr_html_()
    assert claims.Report((shown,))._repr_mimebundle_()[claims.VERDICT_MIME]["findings"][0]["outcome"] == "shown"
    with pytest.raises(errata.ErratumError, match="is trend; allowed is printed"):
        errata.judge("L1", [check("trend", True)])
    with pytest.raises(claims.ClaimError, match="two checks are called 'a'"):
        errata.judge("L1", [check("printed", True), check("corrected", True)])
    with pytest.raises(errata.ErratumError, match="did you mean 'L1'"):
        errata.judge("L11", [check("printed", True)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {code: L1", "not valid YAML"),
        ("code: L1", "allowed is a list"),
        ("- {code: L1}", "entry 1: title: Field required"),
        ("- [1]", "entry 1"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "liu2020.yml"
    path.write_text(text)
    with pytest.raises(errata.ErratumError, match=message) as refused:
        errata.read(path)
    assert "\n" not in str(refused.value)


def test_errata_and_ledger_name_each_other():
    by_code = {entry.code: entry for entry in errata.every()}
    known = {claim.id: claim for claim in claims.all_claims()}
    for entry in by_code.values():
        assert set(entry.claims) <= set(known), entry.code
        assert any(entry.code in known[claim].errata for claim in entry.claims), f"{entry.code} is in no claim's errata"
    for claim in known.values():
        assert set(claim.errata) <= set(by_code), f"{claim.id} names an erratum that data/errata does not have"


def test_every_erratum_is_judged_on_the_page_of_its_paper_and_shown():
    judged = {
        part["name"]: part["outcome"]
        for page in pages.every()
        if page.key.endswith("/errata")
        for part in page.findings()
    }
    assert judged == {entry.name: "shown" for entry in errata.every()}


WORDS = [entry for entry in errata.every() if entry.paper in ("liu2020", "zhu2022", "pang2022")]


@pytest.mark.parametrize("entry", WORDS, ids=lambda entry: entry.code)
def test_a_section_states_the_erratum_in_the_words_of_the_file(entry):
    """The file feeds the chapter's first page, the section is what a reader objects to: they must not part."""
    script = pages.find(f"{entry.paper}/errata").script.read_text()
    statement = script.split(f"# :label: {entry.name}\n")[1].split("\n# :::\n")[0]
    said = " ".join(line.removeprefix("#").strip() for line in statement.splitlines())
    for part in (entry.printed, entry.wrong, entry.corrected, f"*Severity: {entry.severity}*"):
        assert " ".join(part.split()) in " ".join(said.split())
    assert f"# ## {entry.code}. {entry.title}\n" in script


def test_the_first_page_lists_every_erratum(tmp_path):
    said = errata.write(tmp_path / "errata.md")
    text = (tmp_path / "errata.md").read_text()
    assert all(f"`{entry.code} <{entry.name}>`" in text for entry in errata.every())
    assert said.startswith("errata: ")
