"""Surfaces that can be turned: one self-contained, accessible piece of HTML whose heights can be read back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from advsmooth import turning
from advsmooth.interactive import LIMIT, InteractiveError
from advsmooth.turning import Surface

AT = np.linspace(-2, 2, 9)
BOWL = AT[:, None] ** 2 + 0.3 * AT
CROSS = [np.array([[-2, 0], [2, 0]]), np.array([[0, -2], [0, 2]])]


def make(n=3, **changes):
    surfaces = [
        Surface(f"({k}) bowl & cross", f"Number {k} </script>", (k + 1) * BOWL, (-2, 2), CROSS[:k], [0.5, 0])
        for k in range(n)
    ]
    given_ = {"title": "A <title>", "alt": "Bowls.", "axes": ("p", "q"), "unit": "metres", "surfaces": surfaces}
    return turning.turning("a-figure", **(given_ | changes))


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] == "script" and data.strip():
            self.scripts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def test_nothing_is_loaded_from_anywhere():
    text = make().html
    assert not re.search(r"https?:|url\(|@import|<link|<img|\bfetch\(|XMLHttp|\bimport\b|WebSocket|\beval\b", text)
    assert all(not {"src", "href"} & set(attrs) for _, attrs in Elements(text).found)


def test_the_heights_can_be_read_back():
    data = json.loads(Elements(make().html).scripts[0])
    assert data["n"] == len(AT)
    for k, stored in enumerate(data["surfaces"]):
        heights = (k + 1) * BOWL
        low, high = heights.min(), heights.max()
        assert np.abs(turning.decode(stored["z"], low, high) - heights).max() <= (high - low) / 8190 * 1.001
        assert stored["low"] == f"{low:.3g}".replace("-", "\N{MINUS SIGN}")


@given(arrays(np.float64, (5, 5), elements=st.floats(-1e6, 1e6)))
def test_encoding_loses_at_most_half_a_level(heights):
    text, low, high = turning.encode(heights)
    assert len(text) == 50
    assert np.abs(turning.decode(text, low, high) - heights).max() <= (high - low) / turning.LEVELS * 0.501


def test_rounding_noise_does_not_change_the_text():
    for k in range(50):
        nearly = (k + 0.5) / turning.LEVELS  # a tie
        flat = np.array([[0.0, 1.0], [nearly, 0.2]])
        assert turning.encode(flat)[0] == turning.encode(flat * (1 + 1e-14))[0]


def test_a_flat_surface_has_one_height():
    assert set(turning.encode(np.full((3, 3), 7.0))[0]) == {"A"}


def test_everything_is_labelled_and_native():
    page = Elements(make(start=(1, 2)).html)
    labelled = {attrs["for"] for attrs in page.all("label") if "for" in attrs}
    assert {attrs["id"] for attrs in page.all("select")} == labelled
    chosen = [attrs["value"] for attrs in page.all("option") if "selected" in attrs]
    assert chosen == ["1", "2"]
    assert [attrs["type"] for attrs in page.all("input")] == ["range", "range"]
    for canvas in page.all("canvas"):
        assert (canvas["role"], canvas["tabindex"]) == ("img", "0")
        assert canvas["aria-label"]
    ids = {attrs["id"] for _, attrs in page.found if "id" in attrs}
    named = {attrs[k] for _, attrs in page.found for k in ("aria-describedby", "aria-labelledby") if k in attrs}
    assert named <= ids
    assert all(name.startswith("a-figure") for name in ids)
    assert sum(attrs.get("aria-live") == "polite" for attrs in page.all("p")) == 2
    assert "ArrowLeft" in page.scripts[1]


def test_without_script_the_first_surface_is_drawn_and_the_controls_are_hidden():
    text = make(start=(1, 0)).html
    page = Elements(text)
    (live,) = [attrs for attrs in page.all("div") if attrs.get("class") == "live"]
    assert "hidden" in live
    drawn = [attrs["d"] for attrs in page.all("path") if "fill" in attrs]
    assert len(drawn) == 16  # every second line of a grid of 8 by 8 cells
    assert sum(attrs.get("class") == "kink" for attrs in page.all("path")) == 1
    assert "(1) bowl &amp; cross. Number 1" in text
    assert "<noscript>" in text


def test_data_cannot_leave_its_script_and_words_are_escaped():
    text = make().html
    assert text.count("</script>") == 2
    assert "A &lt;title&gt;" in text
    assert json.loads(Elements(text).scripts[0])["surfaces"][1]["text"].endswith("</script>")


def test_every_theme_has_its_colours():
    text = make().html
    assert 'html[data-theme="dark"] #a-figure' in text
    assert "prefers-color-scheme:dark" in text
    assert ":focus-visible" in text
    assert "{{" not in text.split("<script")[0]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here")
def test_the_script_is_javascript(tmp_path):
    path = tmp_path / "script.js"
    path.write_text(Elements(make().html).scripts[1])
    done = subprocess.run(["node", "--check", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_shows_itself_and_its_words_are_stable():
    figure = make()
    assert figure._repr_html_() == figure.html == make().html
    assert repr(figure) == "interactive figure: Bowls."


# --- geometry ---------------------------------------------------------------------------------------------------------


def test_from_above_the_view_is_the_plan():
    view = turning.scene(Surface("s", "", BOWL, (-2, 2), CROSS, [1, -1]), turn=0, tilt=90)
    assert np.allclose(view.base, [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    assert np.allclose(view.least, [0.5, -0.5])
    assert np.allclose(view.lines[0][[0, -1]], [[-1, 0], [1, 0]])
    corners = view.faces.reshape(-1, 2)
    assert np.allclose(corners.min(0), -1)
    assert np.allclose(corners.max(0), 1)


def test_a_quarter_turn_exchanges_the_axes():
    surface = Surface("s", "", BOWL, (-2, 2))
    turned = Surface("s", "", BOWL[:, ::-1].T, (-2, 2))  # what was at (x, y) is at (-y, x)
    a, b = turning.scene(surface, turn=90, tilt=30), turning.scene(turned, turn=0, tilt=30)

    def rows(view):
        middles = np.concatenate([view.faces.mean(1), view.colours], 1).round(6) + 0.0
        return middles[np.lexsort(middles.T)]

    assert np.allclose(rows(a), rows(b), atol=1e-5)


def test_a_nearer_face_is_drawn_later():
    view = turning.scene(Surface("s", "", np.zeros((5, 5)), (-2, 2)), turn=20, tilt=40)
    heights = view.faces.mean(1)[:, 1]
    assert (np.diff(heights) <= 1e-9).all()  # on flat ground, what is further is higher on the screen


def test_a_slope_towards_the_light_is_brighter():
    ramp = np.broadcast_to(AT[:, None], (9, 9))  # rises to the right, so it faces left
    faces_left = turning.scene(Surface("s", "", ramp, (-2, 2)), turn=0, tilt=90).colours.mean()
    faces_right = turning.scene(Surface("s", "", ramp[::-1], (-2, 2)), turn=0, tilt=90).colours.mean()
    assert faces_left > faces_right + 20


def test_drawing_into_axes_shows_faces_lines_and_marks():
    fig, ax = plt.subplots()
    turning.draw(ax, Surface("s", "", BOWL, (-2, 2), CROSS, [0, 0]), colour="red", names=("p", "q"))
    assert len(ax.collections[0].get_paths()) == 64
    assert len(ax.lines) == 1 + 2 + 1
    assert {t.get_text() for t in ax.texts} == {"p", "q"}
    plt.close(fig)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"surfaces": [Surface("s", "", BOWL, (-2, 2))]}, "two or more"),
        ({"start": (0, 7)}, "start"),
        ({"surfaces": [Surface("s", "", BOWL, (-2, 2)), Surface("t", "", BOWL, (-1, 1))]}, "2 sizes or ranges"),
        ({"surfaces": [Surface("s", "", BOWL[:, :5], (-2, 2))] * 2}, "squares"),
        ({"surfaces": [Surface("s", "", BOWL * np.nan, (-2, 2))] * 2}, "finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes, words):
    with pytest.raises(InteractiveError, match=words):
        make(**changes)


def test_a_bad_name_or_size_is_refused():
    with pytest.raises(InteractiveError, match="name="):
        turning.turning("Bad Name", title="", alt="", axes=("", ""), unit="", surfaces=[])
    large = Surface("s", "", np.random.default_rng(0).random((129, 129)), (-2, 2))
    with pytest.raises(InteractiveError, match=f"{LIMIT:,}"):
        make(surfaces=[large, large])
