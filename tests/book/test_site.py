"""The look over the built site notices what a reader would."""

import pytest
import site_check

GOOD = """<html><body><h1 id="top">A</h1><a href="b/c.html#there">to c</a><a href="#top">up</a>
<a href="https://example.org/x">elsewhere</a><img src="p.svg" alt="a picture of p"></body></html>"""


@pytest.fixture
def built(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b" / "c.html").write_text('<p id="there">c</p><a href="../a.html">back</a>')
    (tmp_path / "p.svg").write_text("<svg/>")
    return tmp_path


def test_a_sound_site_has_no_problems(built):
    assert site_check.problems(built) == []
    assert site_check.main(built) == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("b/c.html#there", "b/d.html", "a.html: b/d.html leads nowhere"),
        ("#there", "#nowhere", "names an anchor that c.html does not have"),
        ('src="p.svg"', 'src="q.svg"', "q.svg leads nowhere"),
        (' alt="a picture of p"', "", "p.svg has no text alternative"),
        ("a picture of p", "p.svg", "p.svg has no text alternative"),
        ("#top", "#bottom", "names an anchor"),
    ],
)
def test_what_a_reader_would_stumble_over_is_named(built, old, new, words, capsys):
    (built / "a.html").write_text(GOOD.replace(old, new))
    assert site_check.main(built) == 1
    assert words in capsys.readouterr().err


def test_an_empty_site_is_a_problem(tmp_path):
    assert site_check.main(tmp_path) == 1
