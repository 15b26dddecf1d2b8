"""A matrix of correlations as a picture: a number in each cell, shaded by its size; what is not settled is left white.

Below the diagonal stand the networks as trained, above it those at a common temperature. The sign is in the number and
in the colour; in greyscale the number remains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from advsmooth import plotting
from advsmooth.analysis.rank_matrix import RankMatrix


def two_digits(value: float) -> str:
    """``.45`` or ``−.45``, and ``1`` or ``−1``: what fits into a cell."""
    text = f"{abs(value):.2f}"
    return ("−" if value < 0 and text != "0.00" else "") + ("1" if text == "1.00" else text[1:])


def shade(value: float) -> tuple[float, float, float]:
    """White at 0; towards blue (positive) and orange (negative), equally dark at equal size."""
    end = to_rgb(plotting.BLUE if value > 0 else plotting.ORANGE)
    share = min(1.0, abs(value)) ** 1.3
    return (1 + share * (end[0] - 1), 1 + share * (end[1] - 1), 1 + share * (end[2] - 1))


def triangles(ax: Axes, matrix: RankMatrix, columns: Sequence[str], labels: Mapping[str, str]) -> None:
    """Draw both triangles of the correlations of some columns.

    Args:
        ax: to draw on.
        matrix: with the columns, and again with ``*`` behind their name where a temperature changes them.
        columns: in the order of the rows.
        labels: their names as shown.
    """
    k = len(columns)
    for i, row in enumerate(columns):
        for j, column in enumerate(columns):
            pair = [f"{name}*" if i < j and f"{name}*" in matrix.columns else name for name in (row, column)]
            fixed = i < j and "margin" in pair
            if i == j or fixed:
                ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="#eceff1", edgecolor="white"))
                continue
            value, settled = matrix.of(*pair).value, matrix.settled(*pair)
            colour = shade(value) if settled else (1.0, 1.0, 1.0)
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, edgecolor="#d9dde1", linewidth=0.4))
            ink = ("white" if abs(value) > 0.72 else plotting.INK) if settled else plotting.GREY
            style = "normal" if settled else "italic"
            weight = "bold" if settled else "normal"
            ax.text(
                j, i, two_digits(value), ha="center", va="center", fontsize=6.5, color=ink, style=style, weight=weight
            )
    ax.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), aspect="equal")
    ax.set_xticks(range(k), [labels[name] for name in columns], rotation=90, fontsize=8)
    ax.set_yticks(range(k), [labels[name] for name in columns], fontsize=8)
    ax.tick_params(length=0)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
