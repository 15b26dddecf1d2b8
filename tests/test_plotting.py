"""The theme and how figures leave a cell."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from advsmooth import plotting


@pytest.fixture
def figure():
    plotting.use_theme()
    made, ax = plt.subplots()
    ax.plot([0, 1, 2], [1 / 3, 2 / 3, 3.0])
    ax.imshow(np.eye(7), extent=(0, 2, 0, 3))
    plotting.label(ax, "title", "radius (pixel scale)", "error (%)")
    return made


def luminance(colour):
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_curve_is_told_apart_by_line_and_marker_and_seen_on_white():
    styles = list(plotting.styles())
    assert len({str(s["linestyle"]) for s in styles}) == len({s["marker"] for s in styles}) == len(styles)
    assert all(1.05 / (luminance(s["color"]) + 0.05) >= 3 for s in styles)


def test_a_figure_is_closed_and_prints_nothing_in_a_script(figure, capsys):
    plotting.finish(figure, "a note")
    assert plt.get_fignums() == []
    assert capsys.readouterr() == ("", "")


def test_svg_is_deterministic_and_keeps_text_as_text(figure):
    first = plotting._rendered(figure)["image/svg+xml"]
    assert plotting._rendered(figure)["image/svg+xml"] == first
    assert ">radius (pixel scale)</text>" in first
    assert "<dc:date>" not in first


def test_cut_coordinates_move_nothing_by_more_than_a_hundredth_of_a_point(figure, monkeypatch):
    cut = plotting._rendered(figure)["image/svg+xml"]
    monkeypatch.setattr("re.sub", lambda _, __, text: text)
    whole = plotting._rendered(figure)["image/svg+xml"]
    numbers = [[float(n) for n in re.findall(r"-?\d+\.\d+", t)] for t in (cut, whole)]
    assert len(cut) < len(whole)
    assert len(numbers[0]) == len(numbers[1])
    assert all(abs(a - b) < 0.01 and (abs(b) >= 10 or a == b) for a, b in zip(*numbers, strict=True))


def test_png_when_asked_for(figure):
    plotting.use_theme("png")
    assert list(plotting._rendered(figure)) == ["image/png"]
    plotting.use_theme()


def test_bands_and_pictures(figure):
    ax = figure.axes[0]
    plotting.band(ax, [0, 1], [0, 0], [1, 1], plotting.BLUE)
    plotting.picture(ax)
    assert list(ax.get_xticks()) == []
