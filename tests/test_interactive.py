"""The figure with a slider: one self-contained piece of accessible HTML."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from advsmooth.interactive import LIMIT, Axis, Curve, Embedded, InteractiveError, Panel, slider

X = Axis("weight", (-1, 1), (-1, 0, 1))
T = np.linspace(-1, 1, 11)


def make(frames=3, **changes):
    values = [np.c_[T, k * T**2] for k in range(frames)]
    given = {
        "title": "A <title>",
        "alt": "A parabola that opens as the slider moves.",
        "control": "opening",
        "positions": [str(k) for k in range(frames)],
        "texts": [f"The opening is {k} </script>" for k in range(frames)],
        "x": X,
        "panels": [
            Panel(
                "value",
                Axis("metres", (0, 2), (0, 1, 2)),
                [
                    Curve("area", [np.r_[v, v[::-1] * 0.5] for v in values], "band"),
                    Curve("moving", values),
                    Curve("still", values[:1], "dashed", 1),
                ],
            )
        ],
        "marks": [0.0],
    }
    return slider("a-figure", **(given | changes))


class Elements(HTMLParser):
    """Every element with its attributes, and the text within scripts."""

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
    assert not re.search(r"https?:|url\(|@import|<link|<img|\bfetch\(|XMLHttp|\bimport\b", text)
    assert all(not {"src", "href"} & set(attrs) for _, attrs in Elements(text).found)


def test_the_slider_is_labelled_and_native():
    page = Elements(make(start=1).html)
    (control,) = page.all("input")
    assert control["type"] == "range"
    assert (control["min"], control["max"], control["value"], control["step"]) == ("0", "2", "1", "1")
    assert page.all("label")[0]["for"] == control["id"]
    assert control["aria-valuetext"] == "1"
    ids = {attrs["id"] for _, attrs in page.found if "id" in attrs}
    (drawing,) = page.all("svg")
    assert drawing["role"] == "img"
    assert {control["aria-describedby"], drawing["aria-labelledby"], drawing["aria-describedby"]} <= ids
    assert all(name.startswith("a-figure") for name in ids)
    assert any(attrs.get("aria-live") == "polite" for attrs in page.all("p"))


def test_without_script_the_start_is_drawn_and_the_control_hidden():
    text = make(start=2).html
    page = Elements(text)
    data = json.loads(page.scripts[0])
    moving = {attrs["data-curve"]: attrs["d"] for attrs in page.all("path") if "data-curve" in attrs}
    assert moving == {str(k): paths[2] for k, paths in enumerate(data["paths"])}
    assert "hidden" in next(attrs for attrs in page.all("div") if attrs.get("class") == "control")
    assert "<noscript>" in text
    assert "The opening is 2" in text.split("<script")[0]


def test_data_cannot_leave_its_script_and_words_are_escaped():
    text = make().html
    assert text.count("</script>") == 2
    assert "A &lt;title&gt;" in text
    assert json.loads(Elements(text).scripts[0])["texts"][0].endswith("</script>")


def test_points_land_where_the_axes_say():
    page = Elements(make().html)
    still = next(attrs["d"] for attrs in page.all("path") if attrs["class"] == "k1 dashed" and len(attrs["d"]) > 60)
    points = [tuple(map(float, pair.split())) for pair in re.split("[ML]", still)[1:]]
    assert points[0][0] == 62
    assert points[-1][0] == 466
    assert points[0][1] == 4 + 38 + 130  # value 0 at the foot of the first panel


def test_a_row_of_nan_breaks_a_line_and_values_outside_stay_at_the_edge():
    frame = np.array([[-1, 0.0], [np.nan, np.nan], [0, 5.0], [1, 1.0]])
    panel = Panel("v", Axis("m", (0, 2), ()), [Curve("c", [frame], "solid")])
    drawn = [attrs["d"] for attrs in Elements(make(panels=[panel]).html).all("path") if attrs["class"] == "k0 solid"]
    assert drawn[-1].count("M") == 2
    assert "264 26" in drawn[-1]  # clipped to the top of the panel


def test_every_theme_has_its_colours_and_lines_differ_by_more_than_colour():
    text = make().html
    assert 'html[data-theme="dark"] #a-figure' in text
    assert "prefers-color-scheme:dark" in text
    assert "stroke-dasharray" in text
    assert ":focus-visible" in text


def test_it_shows_itself_and_its_words_are_stable():
    figure = make()
    assert isinstance(figure, Embedded)
    assert figure._repr_html_() == figure.html == make().html
    assert repr(figure) == "interactive figure: A parabola that opens as the slider moves."
    noisy = [np.c_[T, k * T**2 * (1 + 1e-15)] for k in range(3)]
    panels = [Panel("value", Axis("m", (0, 2), ()), [Curve("c", frames)]) for frames in (noisy,)]
    plain = [np.c_[T, k * T**2] for k in range(3)]
    assert make(panels=panels).html == make(panels=[Panel("value", Axis("m", (0, 2), ()), [Curve("c", plain)])]).html


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"texts": ["one"]}, "equal numbers"),
        ({"positions": ["0"], "texts": ["0"]}, "above 1"),
        ({"start": 3}, "start=3"),
        ({"panels": [Panel("v", Axis("m", (0, 1), ()), [Curve("c", [np.c_[T, T]] * 2)])]}, "2 frames"),
        ({"panels": [Panel("v", Axis("m", (0, 1), ()), [Curve("c", [np.c_[T, T]], colour=7)])]}, "colour 7"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes, words):
    with pytest.raises(InteractiveError, match=words):
        make(**changes)


def test_a_bad_name_axis_or_size_is_refused():
    with pytest.raises(InteractiveError, match="name="):
        slider("Bad Name", title="", alt="", control="", positions=["0", "1"], texts=["", ""], x=X, panels=[])
    with pytest.raises(InteractiveError, match="axis"):
        Axis("m", (1, 0), ())
    with pytest.raises(InteractiveError, match="axis"):
        Axis("m", (0, 1), (2,))
    long = np.c_[np.linspace(-1, 1, 4000), np.linspace(0, 1, 4000)]
    with pytest.raises(InteractiveError, match=f"{LIMIT:,}"):
        make(panels=[Panel("v", Axis("m", (0, 1), ()), [Curve("c", [long] * 3)])])
