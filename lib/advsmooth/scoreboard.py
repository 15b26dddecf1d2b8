"""The scoreboard: every claim of the ledger with the verdict that an executed page gives it.

It is written as a page of the book, and as CSV and JSON for other tools. Nothing here judges. The rows come from the
ledger and from the outputs stored in the pages, so the scoreboard cannot say anything that a page does not.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from advsmooth import claims, pages
from advsmooth.atomic import write_atomically
from advsmooth.places import BOOK
from advsmooth.refusals import Refusal

NO_PAGE = "no page yet"
STATIC = BOOK / "_static"
"""Where the exports go: the site copies this folder as it is."""
EXPORTS = ("scoreboard.csv", "scoreboard.json")
KINDS: Mapping[str, tuple[str, ...]] = {
    "theorems and lemmas": ("theorem", "lemma", "proposition", "corollary"),
    "algorithms": ("algorithm",),
    "figures": ("figure",),
    "tables": ("table",),
    "definitions": ("definition",),
}
"""The groups of kinds that the small pictures show."""
_EMPTY = "—"


class ScoreboardError(Refusal):
    """The pages and the ledger disagree; the message is one line."""


@dataclass(frozen=True)
class Row:
    """One claim on the scoreboard.

    Attributes:
        claim: the ledger's entry.
        verdict: a verdict, or :data:`NO_PAGE`.
        coverage: how many of its checks could be run, when not all could.
        page: the key of its page; empty if there is none.
        scales: the scales of the evidence.
        date: when the page was executed.
    """

    claim: claims.Claim
    verdict: str
    coverage: str
    page: str
    scales: tuple[str, ...]
    date: str


def rows(chosen: Sequence[pages.Page] | None = None) -> list[Row]:
    """One row per claim of the ledger, in its order, those with a page first.

    Raises:
        ScoreboardError: if two pages claim the same claim, or a page claims one the ledger does not have.
    """
    said: dict[str, Row] = {}
    for page in pages.every() if chosen is None else chosen:
        executed = page.stored().metadata["advsmooth"]["executed"]
        for found in page.verdicts():
            claim_id = found["claim"]
            if claim_id in said:
                raise ScoreboardError(
                    f"claim {claim_id!r}: claimed by {said[claim_id].page} and by {page.key}; keep one"
                )
            entry = claims.claim(claim_id)
            said[claim_id] = Row(entry, found["verdict"], found["coverage"], page.key, tuple(found["scales"]), executed)
    table = [said.get(entry.id, Row(entry, NO_PAGE, "", "", (), "")) for entry in claims.all_claims()]
    return sorted(table, key=lambda row: row.verdict == NO_PAGE)


def render(table: Sequence[Row]) -> str:
    """The scoreboard as a MyST page."""
    counts = Counter(row.verdict for row in table)
    totals = "\n".join(
        f"| {_badge(name)} | {counts[name]} | {meaning} |"
        for name, meaning in [*claims.VERDICTS.items(), (NO_PAGE, "the claim is in the ledger and waits for its page")]
    )
    return f"""# Scoreboard

Every claim of the five papers, and what this book says of it. The table is generated from the outputs stored in the
executed pages; {{doc}}`verdicts` says how a verdict follows from the checks of a page.

| verdict | claims | meaning |
|---|---:|---|
{totals}

The same as data: {{download}}`CSV <_static/scoreboard.csv>`, {{download}}`JSON <_static/scoreboard.json>`. A row's
place in the paper is a permanent link to it, `scoreboard.html#` and the claim's id. A click on a heading sorts by it,
a second one turns the order round.

```{{raw}} html
{_pictures(table)}
<style>
.bd-main .bd-content .bd-article-container {{ max-width: 100%; }}
.bd-sidebar-secondary {{ display: none; }}
</style>
{_filters(table)}
<div class="scoreboard-wrap"><table class="scoreboard"><caption class="sr-only">Claims and verdicts</caption>
<thead><tr>{"".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)}</tr></thead>
<tbody>
{chr(10).join(_html_row(row) for row in table)}
</tbody></table></div>
<script src="../_static/scoreboard.js"></script>
```
"""


_COLUMNS = ("claim", "paper", "kind", "verdict", "evidence", "page", "executed")


def _pictures(table: Sequence[Row]) -> str:
    """Small multiples: how many claims have which verdict, by paper and by kind; all panels on one scale."""
    papers = {key: f"{paper.authors} {paper.year}" for key, paper in claims.papers().items()}
    panels = [(title, [r.verdict for r in table if r.claim.paper == key]) for key, title in papers.items()]
    panels += [(title, [r.verdict for r in table if r.claim.kind in some]) for title, some in KINDS.items()]
    longest = max((count for _, found in panels for count in Counter(found).values()), default=1)
    return f'<div class="tallies">{"".join(_panel(title, Counter(found), longest) for title, found in panels)}</div>'


def _panel(title: str, counts: Mapping[str, int], longest: int) -> str:
    """One picture: a bar for each verdict that occurs, its name and number in words."""
    names = [name for name in [*claims.VERDICTS, NO_PAGE] if counts.get(name)]
    words = ", ".join(f"{name} {counts[name]}" for name in names) or "no claim"
    bars = "".join(
        f'<li>{_badge(name)}<span class="bar" style="width:{6 * counts[name] / longest:.2f}em"></span> {counts[name]}'
        "</li>"
        for name in names
    )
    total = sum(counts.values())
    return (
        f'<section class="tally" aria-label="{html.escape(f"{title}: {words}")}"><h3>{html.escape(title)} '
        f"<small>{total}</small></h3><ul>{bars}</ul></section>"
    )


def _badge(verdict: str) -> str:
    return f'<span class="badge {_css(verdict)}">{verdict}</span>'


def _css(verdict: str) -> str:
    return f"verdict-{verdict.replace(' ', '-')}"


def _filters(table: Sequence[Row]) -> str:
    def select(name: str, label: str, options: list[str]) -> str:
        items = "".join(f'<option value="{html.escape(o.lower())}">{html.escape(o)}</option>' for o in options)
        return f'<label>{label}<select name="{name}"><option value="">all</option>{items}</select></label>'

    verdicts = [name for name in [*claims.VERDICTS, NO_PAGE] if any(row.verdict == name for row in table)]
    return (
        '<form class="scoreboard-filters" role="search" onsubmit="return false">'
        + select("paper", "paper", list(dict.fromkeys(row.claim.paper for row in table)))
        + select("kind", "kind", sorted({row.claim.kind for row in table}))
        + select("verdict", "verdict", verdicts)
        + '<label>words<input name="text" type="search" placeholder="Theorem 2, landscape, …"></label>'
        + f'<output id="scoreboard-count" aria-live="polite">{len(table)} claims</output></form>'
    )


def _html_row(row: Row) -> str:
    entry = row.claim
    link = f"../notebooks/{row.page}.html"
    page = f'<a href="{link}">{html.escape(pages.Page(row.page).title())}</a>' if row.page else _EMPTY
    title = html.escape(entry.title)
    title = f'<a href="{link}#verdict-{entry.id}">{title}</a>' if row.page else title
    coverage = f"<br><small>{html.escape(row.coverage)}</small>" if row.coverage else ""
    cells = (
        ("", f'{title}<a class="claim-id" href="#{entry.id}">{html.escape(entry.place)} · {entry.id}</a>'),
        ("paper", entry.paper),
        ("kind", entry.kind),
        ("verdict", _badge(row.verdict) + coverage),
        ("evidence", ", ".join(row.scales) or _EMPTY),
        ("page", page),
        ("executed", row.date or _EMPTY),
    )
    body = "".join(f"<td{f' data-label={label!r}' if label else ''}>{cell}</td>" for label, cell in cells)
    return (
        f'<tr id="{entry.id}" data-paper="{entry.paper}" data-kind="{entry.kind}" '
        f'data-verdict="{row.verdict}">{body}</tr>'
    )


def as_data(table: Sequence[Row]) -> list[dict[str, object]]:
    """One flat object per claim, for the exports."""
    return [
        {
            "id": row.claim.id,
            "paper": row.claim.paper,
            "kind": row.claim.kind,
            "place": row.claim.place,
            "title": row.claim.title,
            "verdict": row.verdict,
            "coverage": row.coverage,
            "scales": " ".join(row.scales),
            "errata": " ".join(row.claim.errata),
            "page": row.page,
            "executed": row.date,
        }
        for row in table
    ]


def badge(table: Sequence[Row]) -> str:
    """A small picture for the README: how many claims have a verdict. A test keeps the stored one in step."""
    words = f"claims with a verdict: {sum(row.verdict != NO_PAGE for row in table)} of {len(table)}"
    width = 8 * len(words) - 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{words}">'
        f'<rect width="{width}" height="20" rx="3" fill="#0b4f87"/><text x="{width // 2}" y="14" fill="#fff" '
        f'font-family="DejaVu Sans, Verdana, sans-serif" font-size="11" text-anchor="middle">{words}</text></svg>\n'
    )


def totals(table: Sequence[Row]) -> str:
    """One line for the home page: how many claims have which verdict."""
    counts = Counter(row.verdict for row in table)
    said = [f"{_badge(name)} {counts[name]}" for name in [*claims.VERDICTS, NO_PAGE] if counts[name]]
    return f"{{doc}}`{len(table)} claims <scoreboard>`: {' · '.join(said)}\n"


def write(path: Path = BOOK / "scoreboard.md", static: Path = STATIC) -> str:
    """Write the page, the line for the home page and the exports; returns one line that says what is on them."""
    table = rows()
    found = as_data(table)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    for name, content in zip(EXPORTS, (text.getvalue(), json.dumps(found, indent=1) + "\n"), strict=True):
        write_atomically(static / name, content)
    write_atomically(path, render(table))
    write_atomically(path.with_name("totals.md"), totals(table))
    done = sum(row.verdict != NO_PAGE for row in table)
    return f"scoreboard: {done} of {len(table)} claims have a page"
