"""A figure with a slider: curves computed beforehand, one set for each position of the slider.

The result is one self-contained piece of HTML: an inline SVG, a range input and a few lines of JavaScript that exchange
the paths. It loads nothing, works in the built book, in a notebook and in a saved file, in light and dark, and
with the keyboard. Without JavaScript it shows the starting position, and the slider stays hidden; a page that uses it
shows the same content in an ordinary figure beside it.

    slider(
        "budget",
        title="...", alt="...", control="attack budget",
        positions=["0.0", "0.1", "0.2"], texts=["At budget 0 ...", ...],
        x=Axis("weight", (-2, 2), (-2, 0, 2)),
        panels=[Panel("loss", Axis("nats", (0, 3), (0, 1, 2, 3)), [Curve("worst case", frames)])],
    )
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from advsmooth.refusals import Refusal

LIMIT = 60_000
"""A figure larger than this, in bytes, is refused: thin the curves or take fewer positions."""

WIDTH, LEFT, RIGHT = 480, 62, 14
"""Units of the drawing; on a screen it is scaled to the column, so the type stays readable on a phone."""

Style = Literal["solid", "dashed", "dotted", "band"]


class InteractiveError(Refusal):
    """A figure that cannot be drawn as asked; the message is one line."""


@dataclass(frozen=True)
class Axis:
    """One axis: its label with units, the range that is drawn, and the ticks."""

    label: str
    range: tuple[float, float]
    ticks: Sequence[float]

    def __post_init__(self) -> None:
        low, high = self.range
        if not -np.inf < low < high < np.inf or not all(low <= tick <= high for tick in self.ticks):
            raise InteractiveError(f"axis {self.label!r}: allowed are a finite range, low < high, and ticks within it")


@dataclass(frozen=True)
class Curve:
    """One curve of a panel.

    Attributes:
        name: for the legend, which a panel with several curves has.
        frames: for each position of the slider an array ``(n, 2)`` of points; a row of NaN breaks the line. One
            frame alone stands still. For a band, the points go round it.
        style: lines are told apart by it as well as by colour.
        colour: number of the colour, from 0 to 2.
    """

    name: str
    frames: Sequence[Any]
    style: Style = "solid"
    colour: int = 0


@dataclass(frozen=True)
class Panel:
    """One of the drawings, which stand below one another and share the horizontal axis."""

    title: str
    y: Axis
    curves: Sequence[Curve]
    height: int = 130


@dataclass(frozen=True)
class Embedded:
    """The figure; as the last value of a cell it shows itself. Its plain text is the text alternative."""

    html: str
    alt: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"interactive figure: {self.alt}"


def slider(
    name: str,
    *,
    title: str,
    alt: str,
    control: str,
    positions: Sequence[str],
    texts: Sequence[str],
    x: Axis,
    panels: Sequence[Panel],
    start: int = 0,
    marks: Sequence[float] = (),
) -> Embedded:
    """Draw the figure.

    Args:
        name: lower-case letters, digits and hyphens; unique on the page, for it is the root of all ids.
        title: what is shown, in a few words; the heading of the figure.
        alt: the text alternative, a few sentences.
        control: what the slider changes; its label.
        positions: the value at each position of the slider, as text; at least two.
        texts: one sentence a position, read out when the slider moves.
        x: the shared axis.
        panels: from top to bottom.
        start: the position shown first.
        marks: places on the shared axis at which a thin line crosses all panels.

    Raises:
        InteractiveError: for a name that is no id, numbers of positions, texts and frames that differ, a start that is
            no position, or a figure above :data:`LIMIT`.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise InteractiveError(f"name={name!r}: allowed are lower-case letters, digits and hyphens, a letter first")
    n = len(positions)
    if n < 2 or len(texts) != n or not 0 <= start < n:
        raise InteractiveError(f"{n} positions, {len(texts)} texts, start={start}: allowed are equal numbers above 1")
    moving: list[list[str]] = []
    drawing, top = [], 4
    for panel in panels:
        drawing += _panel(panel, x, top, n, start, moving, marks)
        top += panel.height + 42 + 18 * (len(panel.curves) > 1)
    foot = top - 6
    drawing += [_text(_across(tick, x), foot, _number(tick), "middle") for tick in x.ticks] + [
        _text((LEFT + WIDTH - RIGHT) / 2, foot + 20, x.label, "middle")
    ]
    data = json.dumps({"paths": moving, "positions": list(positions), "texts": list(texts)}, separators=(",", ":"))
    words = {k: html.escape(v) for k, v in {"title": title, "alt": alt, "control": control}.items()}
    result = _PAGE.format(
        id=name,
        style=_STYLE.replace("#ID", f"#{name}"),
        height=foot + 28,
        drawing="".join(drawing),
        last=n - 1,
        start=start,
        position=html.escape(positions[start]),
        text=html.escape(texts[start]),
        data=data.replace("<", "\\u003c"),  # nothing in the data can close the script
        script=_SCRIPT.replace("ID", json.dumps(name)),
        **words,
    )
    if len(result.encode()) > LIMIT:
        raise InteractiveError(f"{len(result.encode()):,} bytes: allowed are {LIMIT:,}; thin the curves")
    return Embedded(result, alt)


def _across(value: float, x: Axis) -> float:
    return LEFT + (value - x.range[0]) / (x.range[1] - x.range[0]) * (WIDTH - LEFT - RIGHT)


def _place(value: float) -> str:
    """One decimal; the nudge settles ties, which rounding noise would settle differently on another machine."""
    text = f"{float(value) + 1e-6:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    about = f' class="{kind}"' if kind else ""
    return f'<text x="{_place(x)}" y="{_place(y)}" text-anchor="{anchor}"{about}>{html.escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{_place(x1)} {_place(y1)}L{_place(x2)} {_place(y2)}"/>'


def _path(points: Any, x: Axis, panel: Panel, top: float, closed: bool) -> str:
    """The points as an SVG path, those outside the panel moved to its edge."""
    array = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    low, high = panel.y.range
    across = [_across(value, x) for value in array[:, 0]]
    down = top + panel.height * (high - array[:, 1].clip(low, high)) / (high - low)
    parts, pen = [], "M"
    for a, b in zip(across, down, strict=True):
        if np.isnan(a) or np.isnan(b):
            pen = "M"
            continue
        parts.append(f"{pen}{_place(a)} {_place(b)}")
        pen = "L"
    return "".join(parts) + ("Z" if closed else "")


def _panel(
    panel: Panel, x: Axis, top: float, n: int, start: int, moving: list[list[str]], marks: Iterable[float]
) -> list[str]:
    out = [_text(LEFT, top + 14, panel.title, kind="head")]
    entry = float(LEFT)
    legend = len(panel.curves) > 1
    for curve in panel.curves if legend else ():
        sample = f"k{curve.colour} {curve.style}"
        out.append(_line(entry, top + 26, entry + 22, top + 26, sample.replace("band", "band swatch")))
        out.append(_text(entry + 27, top + 30, curve.name))
        entry += 46 + 6.6 * len(curve.name)
    top += 38 if legend else 22
    low, high = panel.y.range
    for tick in panel.y.ticks:
        y = top + panel.height * (high - tick) / (high - low)
        out += [_line(LEFT, y, WIDTH - RIGHT, y, "grid"), _text(LEFT - 6, y + 4, _number(tick), "end")]
    out.append(_line(LEFT, top + panel.height, WIDTH - RIGHT, top + panel.height, "axis"))
    out += [_line(_across(mark, x), top, _across(mark, x), top + panel.height, "mark") for mark in marks]
    middle = top + panel.height / 2
    label = _text(0, 0, panel.y.label, "middle")
    out.append(f'<g transform="translate(13 {_place(middle)}) rotate(-90)">{label}</g>')
    for curve in panel.curves:
        if not 0 <= curve.colour <= 2 or len(curve.frames) not in (1, n):
            raise InteractiveError(
                f"curve {curve.name!r}: {len(curve.frames)} frames, colour {curve.colour}; "
                f"allowed are 1 or {n} frames and colours 0 to 2"
            )
        paths = [_path(frame, x, panel, top, curve.style == "band") for frame in curve.frames]
        number = ""
        if len(paths) > 1:
            number = f' data-curve="{len(moving)}"'
            moving.append(paths)
        shown = paths[start] if len(paths) > 1 else paths[0]
        out.append(f'<path class="k{curve.colour} {curve.style}"{number} d="{shown}"/>')
    return out


_STYLE = """
#ID{--ink:#22262a;--paper:#fff;--soft:#d9dde1;--small:#4b5560;--k0:#0072b2;--k1:#c14f00;--k2:#00795a;
margin:1rem 0;padding:.7rem .8rem;max-width:40rem;color:var(--ink);background:var(--paper);
border:1px solid var(--soft);border-radius:4px}
html[data-theme="dark"] #ID,body[data-jp-theme-light="false"] #ID{--ink:#e6e8ea;--paper:#14181e;--soft:#3c444d;
--small:#b3bcc6;--k0:#6cb8f0;--k1:#ffa25e;--k2:#5fd3ac}
@media (prefers-color-scheme:dark){html:not([data-theme]) body:not([data-jp-theme-light]) #ID{--ink:#e6e8ea;
--paper:#14181e;--soft:#3c444d;--small:#b3bcc6;--k0:#6cb8f0;--k1:#ffa25e;--k2:#5fd3ac}}
#ID figcaption{color:var(--ink);font-weight:700;margin:0 0 .3rem;text-align:left}
#ID svg{display:block;width:100%;height:auto}
#ID text{fill:var(--ink);font:13px "DejaVu Sans",Verdana,sans-serif}
#ID text.head{font-weight:700}
#ID path{fill:none;stroke-linejoin:round}
#ID .k0{stroke:var(--k0)}#ID .k1{stroke:var(--k1)}#ID .k2{stroke:var(--k2)}
#ID .solid{stroke-width:2.4}#ID .dashed{stroke-width:2;stroke-dasharray:7 4}
#ID .dotted{stroke-width:2.4;stroke-dasharray:1.5 4}
#ID .band{stroke:none;fill:var(--k0);fill-opacity:.2}
#ID .band.swatch{stroke:var(--k0);stroke-opacity:.25;stroke-width:9}
#ID .grid{stroke:var(--soft);stroke-width:1}#ID .axis{stroke:var(--ink);stroke-width:1}
#ID .mark{stroke:var(--small);stroke-width:1;stroke-dasharray:2 3}
#ID label{display:block;margin:.2rem 0;color:var(--ink)}
#ID input{width:100%;min-height:1.8rem;accent-color:var(--k0);cursor:pointer}
#ID input:focus-visible{outline:3px solid var(--k1);outline-offset:2px}
#ID .said{margin:.2rem 0 0;min-height:3em;color:var(--ink)}
"""

_SCRIPT = """(()=>{const root=document.getElementById(ID);
if(!root)return;
const data=JSON.parse(root.querySelector('script[type="application/json"]').textContent);
const input=root.querySelector("input"),value=root.querySelector("label b"),said=root.querySelector(".said");
const curves=[...root.querySelectorAll("[data-curve]")];
const show=()=>{const i=+input.value;
for(const c of curves)c.setAttribute("d",data.paths[c.dataset.curve][i]);
value.textContent=data.positions[i];said.textContent=data.texts[i];
input.setAttribute("aria-valuetext",data.positions[i]);};
input.addEventListener("input",show);
root.querySelector(".control").hidden=false;
show();})();"""

_PAGE = """<figure class="interactive" id="{id}"><style>{style}</style>
<figcaption id="{id}-title">{title}</figcaption>
<div class="control" hidden><label for="{id}-input">{control}: <b>{position}</b></label>
<input type="range" id="{id}-input" min="0" max="{last}" step="1" value="{start}"
 aria-valuetext="{position}" aria-describedby="{id}-said"></div>
<p class="said" id="{id}-said" role="status" aria-live="polite">{text}</p>
<svg viewBox="0 0 480 {height}" role="img" aria-labelledby="{id}-title" aria-describedby="{id}-alt">
<desc id="{id}-alt">{alt}</desc>{drawing}</svg>
<noscript><p>The slider needs JavaScript; without it this is one position, and the
figure beside it shows more.</p></noscript>
<script type="application/json">{data}</script>
<script>{script}</script></figure>"""
