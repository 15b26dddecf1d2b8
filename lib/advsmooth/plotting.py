"""One theme for every figure: colour-blind safe, readable in greyscale, labelled.

A curve is told apart by colour *and* line style *and* marker, never by colour alone; :func:`styles` hands
out the triples. Figures are SVG by default (small, sharp); call ``use_theme(format="png")`` on a page
with images or thousands of points.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#22262a"
BLUE, ORANGE, GREEN, PURPLE, BROWN, GREY = "#0072b2", "#d55e00", "#009e73", "#8a5aa8", "#7a4e1d", "#6c757d"
"""After Okabe and Ito, darkened where needed to stay at least 3:1 against white."""

WIDTH = 7.2
"""Width of a figure in inches: the text column of the book."""

_THEME: Any = {
    "figure.figsize": (WIDTH, 3.6),
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "svg.hashsalt": "advsmooth",
    # Text stays text: half the size, sharp, selectable. Verdana has the same metrics where DejaVu is not installed.
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9dde1",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "image.cmap": "cividis",
}


def use_theme(format: Literal["svg", "png"] = "svg") -> None:
    """Use the book's theme for every figure drawn after this call, in a notebook or a plain script."""
    plt.rcParams.update(mpl.rcParamsDefault | {"backend": mpl.rcParams["backend"]})
    plt.rcParams.update(_THEME | {"savefig.format": format})
    if not _in_notebook():
        mpl.use("Agg")


def _in_notebook() -> bool:
    try:
        get_ipython  # type: ignore[name-defined]  # noqa: B018
    except NameError:
        return False
    return True


def styles() -> Iterator[dict[str, Any]]:
    """Keyword arguments of ``Axes.plot`` for one curve after another."""
    colours = (BLUE, ORANGE, GREEN, PURPLE, BROWN, GREY)
    lines = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
    markers = ("o", "s", "^", "D", "v", "x")
    for colour, line, marker in zip(colours, lines, markers, strict=True):
        yield {"color": colour, "linestyle": line, "marker": marker}


def band(ax: Axes, x: Any, low: Any, high: Any, colour: str) -> None:
    """Draw an interval around a curve; say in the caption what it is (seeds, confidence)."""
    ax.fill_between(np.asarray(x), np.asarray(low), np.asarray(high), color=colour, alpha=0.18, linewidth=0)


def label(ax: Axes, title: str, x: str, y: str) -> None:
    """Title, and axes labelled with their units."""
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def picture(ax: Axes) -> None:
    """Axes that hold an image: a thin frame, no ticks, no grid."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.6)


def finish(figure: Figure, note: str) -> None:
    """Show the figure and close it, so that the cell's only output is the picture.

    Args:
        figure: what was drawn.
        note: the evidence behind it, printed small underneath: scale, sample size, seeds.
    """
    figure.supxlabel(note, x=0.995, ha="right", fontsize=8, color=GREY)
    picture = _rendered(figure)
    plt.close(figure)
    if _in_notebook():
        from IPython.display import display

        display(picture | {"text/plain": f"figure: {note}"}, raw=True)


def _rendered(figure: Figure) -> dict[str, str]:
    """The picture by its type. SVG coordinates are cut to a hundredth of a point; scales, below 10, are kept."""
    buffer = io.BytesIO()
    if plt.rcParams["savefig.format"] == "svg":
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return {"image/svg+xml": re.sub(r"(\d\d\.\d\d)\d+", r"\1", buffer.getvalue().decode())}
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return {"image/png": base64.b64encode(buffer.getvalue()).decode()}
