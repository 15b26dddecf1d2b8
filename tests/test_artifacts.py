"""What the authors' artifacts expect."""

import pytest

from advsmooth import artifacts, claims


@pytest.mark.parametrize("path", sorted(artifacts.FOLDER.glob("*.yml")), ids=lambda p: p.stem)
def test_every_file_is_of_a_paper_of_the_ledger_and_has_no_entry_twice(path):
    found = artifacts.read(path.stem)
    assert found.paper == path.stem
    assert found.paper in claims.papers()
    entries = [(entry.quantity, entry.between) for entry in found.expectations]
    assert len(set(entries)) == len(entries)
    assert all(found.of(*key).difference != 0 for key in entries)


def test_an_entry_says_its_direction_and_its_number():
    entry = artifacts.Expectation(quantity="q", between="a - b", words="w", unit="nats", difference=-0.3, tolerance=0.1)
    assert entry.sign == -1
    assert entry.text() == "-0.3 ± 0.1"
    assert entry.model_copy(update={"difference": 2.0, "tolerance": None}).text() == "+2"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: artifacts.read("nobody2020"), "no artifact; there are pang2022"),
        (lambda: artifacts.read("pang2022").of("evasion", "a - b"), "not there; it has theft"),
    ],
)
def test_refusals_say_what_there_is(call, message):
    with pytest.raises(artifacts.ArtifactError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_a_broken_file_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path)
    (tmp_path / "broken.yml").write_text("paper: broken\nsource: s\nsetting: t\nexpectations: [{quantity: q}]\n")
    with pytest.raises(artifacts.ArtifactError, match=r"broken\.yml: expectations\.0\.between") as refused:
        artifacts.read("broken")
    assert "\n" not in str(refused.value)
