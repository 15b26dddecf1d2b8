"""The readable page of a certificate: one HTML file that needs nothing else, for the screen, the phone and paper."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from advsmooth import certificate
from advsmooth.certificate import Certificate, CheckResult, ClaimResult, Number, PageResult, RecordResult
from advsmooth.checks import show

MARKS = {"confirmed": "✓", "differs": "✗", "not checked": "○", "unknown": "○"}
"""An outcome is told by its word and its mark; colour only repeats it."""

# The colours of the site, in light only: a certificate is printed. Each is at least 4.5:1 against its background.
_STYLE = """
:root { --ink: #1f2328; --line: #c9ced4; --soft: #f5f6f8; --small: #4b5560;
  --good: #005f46; --bad: #a01020; --open: #4b5560; }
* { box-sizing: border-box; }
body { color: var(--ink); background: #fff; font: 16px/1.5 system-ui, "Segoe UI", Verdana, "DejaVu Sans", sans-serif;
  margin: 0 auto; max-width: 58rem; padding: 1.5rem 1rem 3rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
p { margin: .4rem 0; }
.result, section.page { border: 1px solid var(--line); border-left-width: 6px; border-radius: 4px;
  padding: .6rem 1rem; margin: .8rem 0; }
.result strong { font-size: 1.15rem; }
.confirmed { border-left-color: var(--good); } .differs { border-left-color: var(--bad); }
.not-checked, .unknown { border-left-color: var(--open); }
.badge { display: inline-block; border: 1.5px solid currentColor; border-radius: 3px; padding: 0 .4em;
  font-weight: 700; font-size: .85em; white-space: nowrap; }
.badge.confirmed { color: var(--good); } .badge.differs { color: var(--bad); }
.badge.not-checked, .badge.unknown { color: var(--open); }
small, .small { color: var(--small); font-size: .86rem; }
code, pre { font: .86em/1.45 "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 4px; padding: .5rem .7rem;
  white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); }
th, td:first-child { overflow-wrap: normal; } td.n, th.n { text-align: right; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; margin: .5rem 0; }
dt { color: var(--small); } dd { margin: 0; min-width: 0; }
details { margin: .35rem 0; } summary { cursor: pointer; }
section.page > h3 { margin: 0; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; }
:focus-visible { outline: 3px solid #0b4f87; outline-offset: 2px; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; }
  table.pages thead { display: none; }
  table.pages tr { display: block; border-bottom: 1px solid var(--line); padding: .3rem 0; }
  table.pages td { display: block; border: 0; padding: 0; text-align: left; }
  table.pages td[data-name]::before { content: attr(data-name) ": "; color: var(--small); }
}
@media print {
  body { font-size: 10pt; max-width: none; padding: 0; } @page { margin: 18mm 16mm; }
  .result, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } a { color: inherit; text-decoration: none; }
}
"""


_RULES = """
<h2>How it was judged</h2>
<p>A page that refused what was asked, because data, a GPU or the scale is not there, is not checked; one that failed
differs. Else it differs if a verdict or the outcome of a check is another, if a check appeared or vanished, if a record
differs, or, where the stored page was made by the same request, if a number of the evidence or a printed text is
further away than rounding. What is left is confirmed; records whose data is not here are named as not checked.</p>
<p>A printed number agrees if it differs by no more than one unit of the third significant digit, as rounding can do;
whole numbers must be equal. Where a check states an estimate with its interval, two also agree if each estimate lies in
the interval of the other. A number of a replay agrees if it is the recorded one bit for bit with the processor,
versions and threads of the record, else within one part in ten thousand. A number of a table that is further away
agrees if there are at least three seeds and the means over them do, by Welch's interval at a level at which one table
in twenty would have any number outside by chance alone.</p>
<h2>Is this what was signed off?</h2>
<p>The SHA-256 in the JSON file beside this page shows that it was damaged or carelessly altered. It is no cryptographic
signature: whoever alters the content can compute a new one. To sign the file, use a key of yours, with one of</p>
<pre>gpg --detach-sign --armor CERTIFICATE.json
ssh-keygen -Y sign -n advsmooth -f ~/.ssh/id_ed25519 CERTIFICATE.json</pre>
<p>and send the signature along. Two certificates are compared by <code>advsmooth compare A.json B.json</code>.</p>
"""


def html_of(made: Certificate) -> str:
    """The whole page."""
    title = f"Certificate: {made.what} at {made.scale}"
    body = "".join(
        [
            f"<h1>{_e(title)}</h1><p class='small'>advsmooth, an executable companion to five papers on the "
            "smoothness of a loss and the robustness of a network</p>",
            _result(made),
            _signed(made),
            "<h2>Pages</h2>" + _pages(made.pages),
            _published(made.pages),
            _records(made.pages),
            "<h2>Everything compared</h2><p class='small'>What is equal is folded; what is not stands open.</p>",
            *(_page(page) for page in made.pages),
            _RULES,
        ]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_e(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _e(text: object) -> str:
    return html.escape(str(text))


def _badge(outcome: str) -> str:
    return f'<span class="badge {outcome.replace(" ", "-")}">{MARKS[outcome]} {_e(outcome)}</span>'


def _result(made: Certificate) -> str:
    checks = [check for page in made.pages for claim in page.claims for check in claim.checks]
    numbers = [number for check in checks for number in check.numbers]
    verdicts = [claim for page in made.pages for claim in page.claims if claim.stored or claim.here]
    held = [record for page in made.pages for record in page.records]
    asked = "".join(f", {name} = {value}" for name, value in made.parameters.items())
    facts = [
        f"{made.count('confirmed')} of {len(made.pages)} pages confirmed, {made.count('differs')} differ, "
        f"{made.count('not checked')} not checked",
        f"{sum(c.stored == c.here for c in verdicts)} of {len(verdicts)} verdicts the same",
        f"{sum(c.stored == c.here for c in checks)} of {len(checks)} checks with the same outcome",
        f"{sum(n.relative == 0 for n in numbers)} of {len(numbers)} printed numbers of the evidence equal"
        + (
            ""
            if all(page.judged for page in made.pages)
            else " (not decisive: other parameters than those of the book)"
        ),
        f"{sum(r.state == 'confirmed' for r in held)} of {len(held)} recorded results confirmed, "
        f"{sum(r.state == 'differs' for r in held)} differ, {sum(r.state == 'unknown' for r in held)} not checked",
    ]
    return (
        f'<div class="result {made.outcome.replace(" ", "-")}">'
        f"<strong>{MARKS[made.outcome]} {_e(made.outcome)}</strong>"
        f" <span class='small'>{_e(made.what)} at scale {_e(made.scale)}{_e(asked)}</span>"
        f"<ul>{''.join(f'<li>{_e(fact)}</li>' for fact in facts)}</ul></div>"
    )


def _signed(made: Certificate) -> str:
    h = made.here
    commit = h.commit or "not known (no git checkout)"
    rows = [
        ("signed off by", made.signed_off or "nobody"),
        ("date", made.date.replace("T", " ").replace("+00:00", " UTC")),
        ("commit", commit + (" (the + says: with changes that are not committed)" if commit.endswith("+") else "")),
        ("device", f"{h.device} ({h.processor})"),
        ("system", h.system),
        ("versions", ", ".join(f"{name} {version}" for name, version in h.versions.items())),
        ("threads", f"{h.threads or 'as the libraries choose'} a page, {h.jobs} page{'s' * (h.jobs > 1)} at a time"),
        ("load", f"{h.load_before:g} before, {h.load_after:g} after (processes that wanted a core)"),
        ("time", f"{sum(page.seconds for page in made.pages):.0f} s of pages"),
        ("content", f"SHA-256 {certificate.digest(made)}"),
    ]
    hashes = [("code", h.code), ("lock file", h.lock), ("ledger", h.ledger)]
    return _list(rows) + f"<details><summary>SHA-256 of what was executed</summary>{_list(hashes)}</details>"


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{_e(name)}</dt><dd>{_e(value)}</dd>" for name, value in rows) + "</dl>"


def _pages(some: Sequence[PageResult]) -> str:
    rows = "".join(
        f'<tr><td>{_badge(page.outcome)}</td><td><a href="#{_anchor(page)}">{_e(page.page)}</a></td>'
        f'<td data-name="verdicts">{sum(c.stored == c.here for c in page.claims if c.here)} of '
        f"{sum(bool(c.stored or c.here) for c in page.claims)} the same</td>"
        f'<td data-name="largest difference">{_largest(page)}</td>'
        f'<td class="n" data-name="time">{page.seconds:.0f} s</td></tr>'
        for page in some
    )
    head = "<th>outcome</th><th>page</th><th>verdicts</th><th>largest relative difference</th><th class='n'>time</th>"
    return f'<table class="pages"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _anchor(page: PageResult) -> str:
    return page.page.replace("/", "-")


def _largest(page: PageResult) -> str:
    numbers = [number for claim in page.claims for check in claim.checks for number in check.numbers]
    if not numbers:
        return "nothing compared"
    largest = max(number.relative for number in numbers)
    return "none" if largest == 0 else f"{largest:.1g}"


def _published(some: Sequence[PageResult]) -> str:
    rows = [
        f'<tr><td>{_e(check.here)}</td><td data-name="claim">{_e(claim.place)}, {_e(claim.title)}</td>'
        f'<td data-name="evidence">{_e(check.evidence_here)}</td></tr>'
        for page in some
        for claim in page.claims
        for check in claim.checks
        if check.role in ("published", "trend") and check.here
    ]
    if not rows:
        return ""
    head = "<th>outcome</th><th>claim</th><th>evidence</th>"
    return (
        "<h2>Against the published numbers and directions</h2>"
        f"<details{' open' if len(rows) <= 20 else ''}><summary>{len(rows)} checks of what the papers print</summary>"
        f'<table class="pages"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></details>'
    )


def _records(some: Sequence[PageResult]) -> str:
    rows = "".join(
        f"<tr><td>{_badge(record.state)}</td><td>{_e(page.page)} ({_e(record.label)})</td>"
        f'<td data-name="why">{_e(record.why)}{_table_words(record)}</td></tr>'
        for page in some
        for record in page.records
    )
    if not rows:
        return ""
    head = "<th>outcome</th><th>record</th><th>why</th>"
    return (
        "<h2>Recorded results of larger runs</h2>"
        f'<table class="pages"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _table_words(record: RecordResult) -> str:
    t = record.table
    if t is None:
        return ""
    return (
        f"; measured again: {t.numbers} numbers, {t.equal} equal, {t.within_tolerance} within the tolerance, "
        f"{t.within_interval} within the interval over seeds, {t.outside} outside, {t.missing} rows missing, "
        f"{t.extra} more"
    )


def _page(page: PageResult) -> str:
    reasons = "".join(f"<li>{_e(reason)}</li>" for reason in page.reasons[:50])
    more = f"<li>and {len(page.reasons) - 50} more</li>" if len(page.reasons) > 50 else ""
    text = page.text
    said = (
        f"Printed text: {text.same} of {text.cells} code cells the same, {text.rounding} within rounding, "
        f"{len(text.differing)} other."
        if text.compared
        else f"Printed text not compared: {text.why}."
    )
    lines = "".join(f"<li>code cell {n}<pre>stored: {_e(a)}\nhere:   {_e(b)}</pre></li>" for n, a, b in text.differing)
    return (
        f'<section class="page {page.outcome.replace(" ", "-")}" id="{_anchor(page)}">'
        f"<h3>{_badge(page.outcome)} {_e(page.title)} <small>{_e(page.page)}</small></h3>"
        + (f"<ul>{reasons}{more}</ul>" if reasons else "")
        + "".join(_claim(claim) for claim in page.claims)
        + (f"<p class='small'>{_e(said)}</p>" + (f"<ul>{lines}</ul>" if lines else ""))
        + "".join(_record(record) for record in page.records)
        + "</section>"
    )


def _claim(claim: ClaimResult) -> str:
    same = all(check.stored == check.here and check.same_text for check in claim.checks) and claim.stored == claim.here
    verdict = (
        claim.here
        if claim.stored == claim.here
        else f"{claim.stored or 'absent'} stored, {claim.here or 'absent'} here"
    )
    head = f"{_e(claim.title)} <small>{_e(claim.place)} <code>{_e(claim.name)}</code></small>"
    said = f": <strong>{_e(verdict)}</strong>" if verdict else ""
    return (
        f"<details{'' if same else ' open'}>"
        f"<summary>{'' if same else '≠ '}{head}{said}, {len(claim.checks)} checks</summary>"
        + "".join(_check(check) for check in claim.checks)
        + "</details>"
    )


def _check(check: CheckResult) -> str:
    outcome = (
        check.here
        if check.stored == check.here
        else f"{check.stored or 'absent'} stored, {check.here or 'absent'} here"
    )
    text = (
        _e(check.evidence_here)
        if check.same_text
        else f"stored: {_e(check.evidence_stored)}<br>here: {_e(check.evidence_here)}"
    )
    exact = "; ".join(f"{k} {v!r}" for k, v in check.exact.items() if isinstance(v, float))
    return (
        f"<p><strong>{_e(outcome)}</strong> {_e(check.name)} <small>({_e(check.role)})</small><br>"
        f"<span class='small'>{text}</span>"
        + (f"<br><span class='small'>unrounded: {_e(exact)}</span>" if exact else "")
        + "</p>"
        + _numbers([n for n in check.numbers if n.relative], check.name)
    )


def _numbers(some: Sequence[Number], caption: str) -> str:
    if not some:
        return ""
    rows = "".join(
        f"<tr><td>{_e(n.label or caption)}</td><td class='n'>{n.stored:.10g}</td><td class='n'>{n.here:.10g}</td>"
        f"<td class='n'>{show(n.absolute)}</td><td class='n'>{n.relative:.1e}</td>"
        f"<td>{'yes' if n.within else 'no'}</td></tr>"
        for n in some
    )
    right = "".join(f"<th class='n'>{name}</th>" for name in ("stored", "here", "difference", "relative"))
    head = f"<th>number</th>{right}<th>agrees</th>"
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _record(record: RecordResult) -> str:
    different = [number for number in record.replay if number.relative]
    table = record.table
    shown = table.differing if table else []
    total = table.within_interval + table.outside if table else 0
    return (
        f"<details{' open' if record.state == 'differs' else ''}>"
        f"<summary>record {_e(record.label)}: {_badge(record.state)}</summary>"
        f"<p class='small'>{_e(record.why)}{_table_words(record)}. Recorded {_e(record.date[:10])} on "
        f"{_e(record.device)}; {len(record.replay) - len(different)} of {len(record.replay)} numbers of the replay are "
        "equal in every digit.</p>"
        + _numbers(different, record.label)
        + (f"<p class='small'>{len(shown)} of {total} numbers of the table that differ:</p>" if shown else "")
        + _numbers(shown, record.label)
        + "</details>"
    )
