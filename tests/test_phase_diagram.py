"""The phase diagram: one self-contained piece of HTML that shows what it was given."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from advsmooth.interactive import InteractiveError
from advsmooth.phase_diagram import SHADES, Table, phase_diagram, shown

VALUES = np.array([[0.1, 0.25, 1.0], [0.4, np.nan, 10.0]])
ASIDE = np.array([[False, False, True], [False, False, False]])


def make(**changes):
    tables = {
        "He": [Table(VALUES, ASIDE, "start <b>"), Table(2 * VALUES, ASIDE, "end")],
        "NTK": [Table(VALUES, ~ASIDE, "t")] * 2,
    }
    given = {"title": "A & b", "alt": "Numbers.", "rows": [2, 4], "columns": [8, 16, 32], "tables": tables}
    given |= {"control": "epoch", "positions": ["0", "9"], "axes": ("width", "depth")}
    return phase_diagram("a-figure", **(given | changes))


def data_of(figure):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', figure.html, re.S)[1])


def test_every_cell_shows_its_number_and_larger_is_lighter():
    found = data_of(make())
    first = found["tables"]["He"][0]
    assert first["v"] == ["0.10", "0.25", "1.0", "0.40", "–", "10"]
    assert first["k"][2] == first["k"][4] == -1  # set aside, and no number
    shades = [first["k"][i] for i in (0, 1, 3, 5)]
    assert shades == sorted(shades)
    assert 0 <= min(shades) < max(shades) < SHADES
    assert found["tables"]["He"][1]["k"][5] == SHADES - 1  # one scale for all tables


def test_it_is_one_well_formed_figure_that_starts_at_the_last_position():
    figure = make()
    assert repr(figure) == "interactive figure: Numbers."
    assert "https" not in figure.html
    assert figure.html.count("<rect") == figure.html.count('class="cell') == 6
    assert "<b>0</b>" not in figure.html
    assert "<b>9</b>" in figure.html
    assert "start <b>" not in figure.html  # nothing of the data is read as HTML
    opened = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag, attrs):  # noqa: ARG002 - the parser's signature
            if tag not in ("input",):
                opened.append(tag)

        def handle_endtag(self, tag):
            while opened and opened[-1] in ("path", "rect"):
                opened.pop()
            assert opened.pop() == tag

    Balanced().feed(figure.html.replace("/>", ">"))
    assert not opened


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [2]}, "allowed are 2 tables"),
        ({"positions": ["0"]}, "allowed are 1 tables"),
        ({"tables": {"He": [Table(0 * VALUES, ASIDE, "")] * 2}}, "no number above zero"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(InteractiveError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.0"), (0.0123, "0.012"), (12.3, "12"), (3e-5, "3.0e−5"), (1234, "1200")]
)
def test_two_digits_are_shown(value, text):
    assert shown(value) == text
