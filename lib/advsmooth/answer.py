"""The answer so far, as one small picture for the home page, drawn from the record of ``synthesis/one_table``.

Each quantity that one of the five papers looks at, and its rank correlation with the error under attack over the common
set of networks. The picture is text made from numbers, with nothing of a drawing library in it: the same record gives
the same file, and a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

from advsmooth import records
from advsmooth.analysis import common_table
from advsmooth.analysis.rank_matrix import RankMatrix, rank_matrix
from advsmooth.atomic import write_atomically
from advsmooth.places import BOOK

PAGE = "synthesis/one_table"
PICTURE = BOOK / "_static" / "answer.svg"
DRAWS = 2000

GROUPS = {
    "The loss in the weights": {
        "step": ("change of the gradient over a step", "Kanai"),
        "jump": ("what the moving attack adds to it", "Liu"),
        "curved": ("curvature", "Pang"),
        "curved adv": ("curvature under attack", "Liu"),
        "noise": ("variance of the gradient", "Pang"),
        "kappa": ("how far the weights moved", "Zhu"),
    },
    "The loss and the network in the inputs": {
        "slope": ("mean input gradient", "Finlay"),
        "slope max": ("largest input gradient", "Finlay"),
        "bend": ("how fast that gradient changes", "Pang"),
        "stability": ("response to random noise", "Zhu"),
    },
}
"""The quantities shown, what they are called here, and whose question they are."""

_INK, _GREY, _LINE, _BLUE = "#22262a", "#5c646b", "#d9dde1", "#0072b2"
_LEFT, _WIDTH, _ROW = 452, 340, 28


def matrix(record: records.Record) -> RankMatrix:
    """The correlations behind the picture."""
    columns = [*common_table.COLUMNS, *(f"{name}*" for name in common_table.TEMPERED)]
    return rank_matrix(common_table.joined(record.table), columns, draws=DRAWS)


def render(found: RankMatrix, note: str) -> str:
    """The picture as SVG.

    Args:
        found: correlations, of the columns at a common temperature too.
        note: the evidence, on one line.
    """
    lines, y = [], 92
    for heading, quantities in GROUPS.items():
        lines.append(_text(24, y, heading, weight=700))
        y += _ROW
        for column, (words, paper) in quantities.items():
            shown = f"{column}*" if f"{column}*" in found.columns else column
            lines += _row(y, words, paper, found, column, shown)
            y += _ROW
        y += 8
    bottom = y - 24
    axis = [
        f'<line x1="{_x(v)}" y1="76" x2="{_x(v)}" y2="{bottom}" stroke="{_INK if v == 0 else _LINE}"/>'
        + _text(_x(v), bottom + 18, f"{v:g}".replace("-", "−"), size=13, anchor="middle", fill=_GREY)
        for v in (-1, -0.5, 0, 0.5, 1)
    ]
    said = (
        "A chart of rank correlations with the error under attack, one line a quantity, with 95 percent intervals: "
        + "; ".join(
            f"{words} {_signed(found.of(f'{column}*' if f'{column}*' in found.columns else column, 'robust').value)}"
            for quantities in GROUPS.values()
            for column, (words, _) in quantities.items()
        )
        + "."
    )
    ends = [
        _text(_x(-0.5), 64, "larger, more robust", size=13, anchor="middle", fill=_GREY),
        _text(_x(0.5), 64, "larger, less robust", size=13, anchor="middle", fill=_GREY),
        _text(_x(0), bottom + 38, "rank correlation with the error under attack", size=13, anchor="middle", fill=_GREY),
        f'<circle cx="30" cy="{bottom + 62}" r="5" fill="{_BLUE}"/>',
        _text(42, bottom + 67, "95 % interval leaves zero out", size=13),
        f'<circle cx="254" cy="{bottom + 62}" r="5" fill="#ffffff" stroke="{_GREY}" stroke-width="2"/>',
        _text(266, bottom + 67, "it does not: open", size=13),
        f'<path d="M402 {bottom + 57} l10 10 m0 -10 l-10 10" stroke="{_INK}" stroke-width="1.6"/>',
        _text(420, bottom + 67, "before all logits are brought to one scale", size=13),
        _text(24, bottom + 92, note, size=12, fill=_GREY),
    ]
    height = bottom + 106
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" role="img" aria-labelledby="at ad" '
            "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">",
            '<title id="at">What goes with robustness, over one common set of networks</title>',
            f'<desc id="ad">{said}</desc>',
            f'<rect width="860" height="{height}" fill="#ffffff"/>',
            _text(24, 34, "What goes with a larger error under attack?", size=20, weight=700),
            *axis,
            *ends,
            *lines,
            "</svg>",
            "",
        ]
    )


def _row(y: int, words: str, paper: str, found: RankMatrix, column: str, shown: str) -> list[str]:
    estimate, settled = found.of(shown, "robust"), found.settled(shown, "robust")
    before = found.of(column, "robust").value
    colour = _BLUE if settled else _GREY
    cross = [f'<path d="M{_x(before) - 4} {y - 9} l8 8 m0 -8 l-8 8" stroke="{_INK}" stroke-width="1.4"/>']
    return [
        _text(36, y, words),
        _text(_LEFT - 40, y, paper, size=13, anchor="end", fill=_GREY),
        f'<line x1="{_x(estimate.low)}" y1="{y - 5}" x2="{_x(estimate.high)}" y2="{y - 5}" stroke="{colour}" '
        f'stroke-width="{3 if settled else 1.5}"/>',
        f'<circle cx="{_x(estimate.value)}" cy="{y - 5}" r="5.5" fill="{colour if settled else "#ffffff"}" '
        f'stroke="{colour}" stroke-width="2"/>',
        *(cross if shown != column else []),
    ]


def _x(value: float) -> float:
    return round(_LEFT + _WIDTH * (value + 1) / 2, 1)


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "minus ").replace("+", "")


def _text(
    x: float, y: float, words: str, *, size: int = 15, weight: int = 400, anchor: str = "start", fill: str = _INK
) -> str:
    heavy = f' font-weight="{weight}"' if weight != 400 else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x}" y="{y}" font-size="{size}"{heavy}{place} fill="{fill}">{words}</text>'


def picture() -> str:
    """The picture of the newest record.

    Raises:
        RecordError: if there is none.
    """
    record = records.newest(PAGE)
    if record is None:
        raise records.RecordError(f"{PAGE}: no record to draw the answer from; run the page at scale=cpu")
    found = matrix(record)
    name = record.provenance["data"][0]["name"].replace("mnist", "MNIST")
    note = (
        f"{found.networks} small networks on {name}, {len(found.trainings)} ways to train; intervals over these ways."
    )
    return render(found, note)


def write(path: Path = PICTURE) -> str:
    """Write the picture; returns one line that says where."""
    write_atomically(path, picture())
    return f"answer: written to {path.name}"
