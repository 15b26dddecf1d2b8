"""A table of numbers as colours, with a list to choose a table from and a slider through it (a phase diagram).

The result is one self-contained piece of HTML, as in :mod:`advsmooth.interactive`: it loads nothing, works with the
keyboard, in light and dark, and shows the starting table without JavaScript. Every cell carries its number, so nothing
is said by colour alone; a cell without a number, or one set aside, is hatched.

    phase_diagram("trained", title="...", alt="...", rows=[2, 4], columns=[8, 16], tables={"He": [Table(...), ...]},
                  control="epochs of training", positions=["0", "20"], axes=("width m", "depth L"))
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np

from advsmooth.interactive import LIMIT, Embedded, InteractiveError

SHADES = 48
"""Colours of the scale, from dark (small) to light (large): cividis, whose lightness alone tells them apart."""

_WIDTH, _LEFT, _TOP, _HIGH = 480, 56, 6, 34


@dataclass(frozen=True)
class Table:
    """The numbers of one choice and one position.

    Attributes:
        values: ``(rows, columns)``, positive or NaN.
        aside: of the same shape, true where a number is shown but does not count.
        text: one sentence, read out when the table is chosen.
    """

    values: Any
    aside: Any
    text: str


def phase_diagram(
    name: str,
    *,
    title: str,
    alt: str,
    rows: Sequence[int],
    columns: Sequence[int],
    tables: Mapping[str, Sequence[Table]],
    control: str,
    positions: Sequence[str],
    axes: tuple[str, str],
    choice: str = "initialisation",
    start: int = -1,
) -> Embedded:
    """Draw the figure.

    Args:
        name: lower-case letters, digits and hyphens; unique on the page, for it is the root of all ids.
        title: the heading of the figure.
        alt: the text alternative, a few sentences.
        rows: what the rows are, from bottom to top.
        columns: what the columns are.
        tables: for each choice of the list one table a position. All share one logarithmic colour scale.
        control: what the slider changes.
        positions: its positions, as text; at least two.
        axes: labels of the columns and of the rows.
        choice: label of the list.
        start: index of the position shown first; the last if negative.

    Raises:
        InteractiveError: for a name that is no id, tables that do not fit, no number above zero, or a figure above
            :data:`advsmooth.interactive.LIMIT`.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise InteractiveError(f"name={name!r}: allowed are lower-case letters, digits and hyphens, a letter first")
    n, start = len(positions), start % max(1, len(positions))
    shape = (len(rows), len(columns))
    for key, series in tables.items():
        if n < 2 or len(series) != n or any(np.shape(t.values) != shape or np.shape(t.aside) != shape for t in series):
            raise InteractiveError(f"{key!r}: allowed are {n} tables (at least 2), each {shape}")
    every = np.concatenate([np.ravel(t.values) for series in tables.values() for t in series])
    every = every[np.isfinite(every) & (every > 0)]
    if every.size == 0:
        raise InteractiveError("no number above zero: a logarithmic scale needs one")
    low, high = math.log(every.min()), math.log(every.max())
    packed = {key: [_packed(t, low, high) for t in series] for key, series in tables.items()}
    colours = [mpl.colors.to_hex(mpl.colormaps["cividis"](k / (SHADES - 1))) for k in range(SHADES)]
    first = next(iter(tables))
    wide = (_WIDTH - _LEFT - 6) / len(columns)
    height = _TOP + _HIGH * len(rows) + 44
    data = {"tables": packed, "colours": colours, "positions": list(positions)}
    words = {k: html.escape(v) for k, v in {"title": title, "alt": alt, "control": control, "choice": choice}.items()}
    result = _PAGE.format(
        id=name,
        style=_STYLE.replace("#ID", f"#{name}"),
        options="".join(f"<option>{html.escape(key)}</option>" for key in tables),
        height=height,
        drawing="".join(_drawing(packed[first][start], colours, rows, columns, wide, axes, name)),
        last=n - 1,
        start=start,
        position=html.escape(positions[start]),
        text=html.escape(tables[first][start].text),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        script=_SCRIPT.replace("ID", json.dumps(name)),
        **words,
    )
    if len(result.encode()) > LIMIT:
        raise InteractiveError(f"{len(result.encode()):,} bytes: allowed are {LIMIT:,}; take fewer positions")
    return Embedded(result, alt)


def shown(value: float) -> str:
    """Two significant digits, as the cells show them; a dash for no number."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    text = f"{value:#.2g}".removesuffix(".")
    return f"{float(text):g}" if "e+" in text else re.sub(r"e-0?(\d)", "e\N{MINUS SIGN}\\1", text)


def _packed(table: Table, low: float, high: float) -> dict[str, Any]:
    """Bottom row first: the text of each cell, its shade, and whether it is set aside (-1: nothing to shade)."""
    values, aside = np.asarray(table.values, dtype=float).ravel(), np.asarray(table.aside, dtype=bool).ravel()
    shades = [_shade(v, low, high) for v in values]
    return {
        "v": [shown(v) for v in values],
        "k": [-1 if a else k for k, a in zip(shades, aside, strict=True)],
        "t": table.text,
    }


def _shade(value: float, low: float, high: float) -> int:
    if not (math.isfinite(value) and value > 0):
        return -1
    share = (math.log(float(f"{value:.2g}")) - low) / (high - low) if high > low else 0.5
    return int(min(max(share, 0), 1) * (SHADES - 1) + 0.5)


def _drawing(
    table: Mapping[str, Any],
    colours: Sequence[str],
    rows: Sequence[int],
    columns: Sequence[int],
    wide: float,
    axes: tuple[str, str],
    name: str,
) -> list[str]:
    out = [
        f'<defs><pattern id="{name}-off" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path class="hatch" d="M0 0V7"/></pattern></defs>'
    ]
    foot = _TOP + _HIGH * len(rows)
    for i, row in enumerate(rows):
        y = foot - _HIGH * (i + 1)
        out.append(f'<text x="{_LEFT - 8}" y="{y + _HIGH / 2 + 5:g}" text-anchor="end">{row}</text>')
        for j in range(len(columns)):
            k = i * len(columns) + j
            shade = table["k"][k]
            fill = f"url(#{name}-off)" if shade < 0 else colours[shade]
            tone = "off" if shade < 0 else "pale" if shade < SHADES // 2 else "deep"
            x = _LEFT + j * wide
            out.append(
                f'<rect x="{x:.1f}" y="{y + 1}" width="{wide - 2:.1f}" height="{_HIGH - 2}" fill="{fill}"/>'
                f'<text class="cell {tone}" x="{x + wide / 2 - 1:.1f}" y="{y + _HIGH / 2 + 5:g}" '
                f'text-anchor="middle">{html.escape(table["v"][k])}</text>'
            )
    for j, column in enumerate(columns):
        out.append(f'<text x="{_LEFT + (j + 0.5) * wide - 1:.1f}" y="{foot + 16}" text-anchor="middle">{column}</text>')
    middle = (_LEFT + _WIDTH - 6) / 2
    out.append(f'<text x="{middle:g}" y="{foot + 36}" text-anchor="middle">{html.escape(axes[0])}</text>')
    out.append(
        f'<g transform="translate(13 {(_TOP + foot) / 2:g}) rotate(-90)"><text text-anchor="middle">'
        f"{html.escape(axes[1])}</text></g>"
    )
    return out


_STYLE = """
#ID{--ink:#22262a;--paper:#fff;--soft:#c3c9cf;--ring:#c14f00;margin:1rem 0;padding:.7rem .8rem;max-width:44rem;
color:var(--ink);background:var(--paper);border:1px solid var(--soft);border-radius:4px}
html[data-theme="dark"] #ID,body[data-jp-theme-light="false"] #ID{--ink:#e6e8ea;--paper:#14181e;--soft:#5a646e;
--ring:#ff9d4d}
@media (prefers-color-scheme:dark){html:not([data-theme]) body:not([data-jp-theme-light]) #ID{--ink:#e6e8ea;
--paper:#14181e;--soft:#5a646e;--ring:#ff9d4d}}
#ID [hidden]{display:none}
#ID figcaption{color:var(--ink);font-weight:700;margin:0 0 .3rem;text-align:left}
#ID .control{display:flex;flex-wrap:wrap;gap:.3rem 1rem}
#ID .control label{flex:1 1 12rem;color:var(--ink)}
#ID select{display:block;width:100%;min-height:2rem;font:inherit;color:var(--ink);background:var(--paper);
border:1px solid var(--soft);border-radius:3px}
#ID input{display:block;width:100%;min-height:2rem;accent-color:#0072b2;cursor:pointer}
#ID :focus-visible{outline:3px solid var(--ring);outline-offset:2px}
#ID svg{display:block;width:100%;height:auto}
#ID text{fill:var(--ink);font:13px "DejaVu Sans",Verdana,sans-serif}
#ID .pale{fill:#fff}#ID .deep{fill:#14181e}#ID .off{fill:var(--ink);font-style:italic}
#ID .hatch{stroke:var(--soft);stroke-width:2}
#ID .said{margin:.3rem 0 0;min-height:3.2em;color:var(--ink)}
"""

_SCRIPT = """(()=>{const root=document.getElementById(ID);if(!root)return;
const data=JSON.parse(root.querySelector('script[type="application/json"]').textContent);
const list=root.querySelector("select"),input=root.querySelector("input"),value=root.querySelector("label b"),
said=root.querySelector(".said"),rects=[...root.querySelectorAll("rect")],cells=[...root.querySelectorAll("text.cell")];
const show=()=>{const t=data.tables[list.value][+input.value];
rects.forEach((r,k)=>{const s=t.k[k],c=cells[k];
r.setAttribute("fill",s<0?`url(#${root.id}-off)`:data.colours[s]);
c.textContent=t.v[k];c.setAttribute("class","cell "+(s<0?"off":s<data.colours.length/2?"pale":"deep"));});
value.textContent=data.positions[input.value];said.textContent=t.t;
input.setAttribute("aria-valuetext",data.positions[input.value]);};
list.addEventListener("change",show);input.addEventListener("input",show);
root.querySelector(".control").hidden=false;show();})();"""

_PAGE = """<figure class="interactive" id="{id}"><style>{style}</style>
<figcaption id="{id}-title">{title}</figcaption>
<div class="control" hidden><label for="{id}-list">{choice}<select id="{id}-list">{options}</select></label>
<label for="{id}-input">{control}: <b>{position}</b>
<input type="range" id="{id}-input" min="0" max="{last}" step="1" value="{start}"
 aria-valuetext="{position}" aria-describedby="{id}-said"></label></div>
<p class="said" id="{id}-said" role="status" aria-live="polite">{text}</p>
<svg viewBox="0 0 480 {height}" role="img" aria-labelledby="{id}-title" aria-describedby="{id}-alt">
<desc id="{id}-alt">{alt}</desc>{drawing}</svg>
<noscript><p>The list and the slider need JavaScript; without it this is one of the tables, and the
figure beside it shows more.</p></noscript>
<script type="application/json">{data}</script>
<script>{script}</script></figure>"""
