"""The ledger of claims, and the verdict that follows from a page's checks by rule.

``data/claims/<paper>.yml`` states every claim of the papers, in our words, with the published numbers;
nothing else repeats those. A page makes checks (:mod:`advsmooth.checks`) and calls :func:`verdict` once
per claim; nobody writes a verdict by hand.
"""

from __future__ import annotations

import difflib
import functools
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advsmooth import plain_yaml
from advsmooth.checks import Check
from advsmooth.places import CLAIMS, evidence_file
from advsmooth.refusals import Refusal, quoted

Kind = Literal["theorem", "lemma", "proposition", "corollary", "algorithm", "figure", "table", "definition"]
VERDICTS: Mapping[str, str] = {
    "proved": "the derivation is on the page, its algebra is machine-checked, and the numerical checks held",
    "holds": "no violation in the stated random and exact cases, and tight where it should be; not a proof",
    "reproduced": "our number is within the stated tolerance of the published one, at the published setting",
    "trend": "the published direction or ordering holds with statistical support, at a reduced setting",
    "corrected": "the statement as printed fails a check, and the corrected statement passes",
    "contradicted": "the checks fail and no correction is offered",
    "unresolved": "the runs show neither the published direction nor its opposite",
    "not run": "needs hardware or data this scale does not have",
    "defined": "a definition, an assumption or a sketch: nothing to refute, but used and linked on its page",
}
"""Every verdict and what it means, in the order of the scoreboard."""

_ASIDE = ("method", "observed")
"""Roles that speak for something else than the claim."""

VERDICT_MIME = "application/vnd.advsmooth.verdicts+json"
"""The output from which the scoreboard reads what an executed page says."""


class ClaimError(Refusal):
    """A claim or the ledger was refused; the message is one line."""


class Claim(BaseModel):
    """One claim of a paper, as the ledger states it.

    Attributes:
        title: what is claimed, in a few words.
        place: the paper's own numbering.
        statement: the claim in our words, MyST markdown.
        setting: data, model and hyperparameters at which it is claimed.
        published: the published numbers, nested by name.
        tolerance: how close counts as reproduced, ``{"abs": …}`` or ``{"rel": …}``.
        refuted_by: the measurement that would refute it.
        decided_at: the smallest scale at which it can be decided.
        errata: codes of the errata that touch it.
        doubt: what is doubtful in the text as printed.
        reconstructed: what was lost in the text at hand and how it was rebuilt; empty if nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z]+\d{4}-[A-Za-z0-9-]+$")
    kind: Kind
    title: str = Field(min_length=1, max_length=90)
    place: str = Field(min_length=1)
    statement: str = Field(min_length=1)
    setting: str = ""
    published: Any = None
    published_words: str = ""
    tolerance: dict[Literal["abs", "rel"], Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, max_length=1
    )
    refuted_by: str = Field(min_length=1)
    decided_at: Literal["quick", "cpu", "gpu", "paper"]
    errata: list[str] = []
    doubt: str = ""
    reconstructed: str = ""

    @property
    def paper(self) -> str:
        """The key of the paper, such as ``liu2020``."""
        return self.id.split("-")[0]


class Paper(BaseModel):
    """The ledger of one paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper: str
    authors: str
    year: int
    title: str
    claims: list[Claim]


def read_paper(path: Path) -> Paper:
    """Read one ledger file.

    Raises:
        ClaimError: if it is not YAML, misses a field, has an unknown one, or repeats an id.
    """
    try:
        paper = Paper.model_validate(plain_yaml.read(path))
    except plain_yaml.YamlError as error:
        raise ClaimError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ClaimError(f"{path.name}: {place}: {first['msg']} (value {quoted(first['input'], 60)})") from None
    ids = [claim.id for claim in paper.claims]
    for claim_id in ids:
        if ids.count(claim_id) > 1:
            raise ClaimError(f"{path.name}: {claim_id!r} is there twice; give each claim one entry")
        if not claim_id.startswith(f"{paper.paper}-"):
            raise ClaimError(f"{path.name}: {claim_id!r} should begin with {paper.paper!r}")
    return paper


@functools.cache
def papers() -> dict[str, Paper]:
    """Every paper of the ledger by its key, oldest first."""
    read = [read_paper(path) for path in sorted(CLAIMS.glob("*.yml"))]
    return {paper.paper: paper for paper in sorted(read, key=lambda p: (p.year, p.paper))}


def all_claims() -> Iterator[Claim]:
    """Every claim of the ledger, paper by paper, in the ledger's order."""
    for paper in papers().values():
        yield from paper.claims


def claim(claim_id: str) -> Claim:
    """Look up one claim.

    Raises:
        ClaimError: if the ledger has no such id; the message names the nearest one.
    """
    ledger = {c.id: c for c in all_claims()}
    if claim_id not in ledger:
        near = difflib.get_close_matches(claim_id, ledger, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"see {CLAIMS.name}/ for the ids"
        raise ClaimError(f"claim {claim_id!r}: not in the ledger; {hint}")
    return ledger[claim_id]


def decide(kind: str, checks: Sequence[Check]) -> str:
    """The verdict on a claim of this kind from its checks; the one place where verdicts are made.

    Observations decide nothing. Nor do checks of the method; but they must hold before anything is decided.
    A failed check of the printed, published or trend role makes the verdict *corrected* if corrected
    checks were made and held with every derivation, else *contradicted*; but a direction whose interval
    holds zero has not failed, and where nothing else has, the claim is *unresolved*. If all held, the strongest
    evidence decides: published numbers, then trends, then a derivation backed by numerical checks, then
    numerical checks alone. Correct formulas do not turn a definition into a theorem: it stays *defined*.
    """
    _require_method(checks)
    tested = [check for check in checks if check.role not in _ASIDE]
    run = [check for check in tested if check.held is not None]
    if not tested:
        if kind != "definition":
            raise ClaimError(f"a {kind} needs at least one check; use checks.not_run to say what it takes to run it")
        return "defined"
    if not run:
        return "not run"

    def made(*roles: str) -> list[Check]:
        return [check for check in run if check.role in roles]

    def hold(some: Sequence[Check]) -> bool:
        return all(check.held for check in some)

    if not hold(made("derivation")):
        return "contradicted"
    missed = [check for check in made("printed", "published", "trend") if not check.held]
    wrong = [check for check in made("corrected") if not check.held]
    if not all(check.unresolved for check in missed):
        return "corrected" if made("corrected") and not wrong else "contradicted"
    if not all(check.unresolved for check in wrong):
        return "contradicted"
    if missed or wrong:
        return "unresolved"
    if made("published"):
        return "reproduced"
    if made("trend"):
        return "trend"
    if kind == "definition":
        return "defined"
    if made("derivation") and made("printed", "corrected"):
        return "proved"
    return "holds"


@dataclass(frozen=True)
class Verdict:
    """What a page says of one claim: the verdict and the checks it follows from."""

    claim: Claim
    checks: tuple[Check, ...]
    note: str = ""

    @property
    def verdict(self) -> str:
        """What :func:`decide` makes of the checks."""
        return decide(self.claim.kind, self.checks)

    @property
    def coverage(self) -> str:
        """How many of the checks could be run, when not all could; else empty."""
        tested = [check for check in self.checks if check.role not in _ASIDE]
        run = sum(check.held is not None for check in tested)
        return "" if run in (0, len(tested)) else f"{run} of {len(tested)} run"

    @property
    def scales(self) -> list[str]:
        """The scales of the evidence."""
        found = {check.scale for check in self.checks if check.held is not None and check.scale}
        return [scale for scale in ("quick", "cpu", "gpu", "paper") if scale in found]

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data; numbers as printed, so that two runs compare equal."""
        return {
            "claim": self.claim.id,
            "verdict": self.verdict,
            "coverage": self.coverage,
            "scales": self.scales,
            "note": self.note,
            "checks": _as_data(self.checks),
        }

    def __repr__(self) -> str:
        headline = f"{self.claim.id} · {self.claim.place} · {self._headline()}"
        return "\n".join([headline, *_as_lines(self.checks, self.note)])

    def _headline(self) -> str:
        return f"verdict: {self.verdict}" + (f" ({self.coverage})" if self.coverage else "")

    def _repr_html_(self) -> str:
        name = html.escape(self.verdict)
        coverage = f' <span class="coverage">{html.escape(self.coverage)}</span>' if self.coverage else ""
        return (
            f'<section class="verdict verdict-{name.replace(" ", "-")}" id="verdict-{self.claim.id}">'
            f'<p class="headline"><span class="badge" title="{html.escape(VERDICTS[self.verdict])}">{name}</span>'
            f"{coverage} <strong>{html.escape(self.claim.title)}</strong> "
            f'<span class="place">{html.escape(self.claim.place)} · <code>{self.claim.id}</code></span></p>'
            f"{_as_html(self.checks, self.note)}</section>"
        )


def _as_data(checks: Sequence[Check]) -> list[dict[str, Any]]:
    return [
        {
            "name": c.name,
            "sentence": c.sentence,
            "outcome": c.outcome(),
            "rule": c.rule,
            "role": c.role,
            "evidence": c.evidence_text(),
        }
        for c in checks
    ]


def _as_lines(checks: Sequence[Check], note: str) -> list[str]:
    lines = []
    for check in checks:
        lines += [f"  [{check.outcome()}] {check.name} ({check.role}): {check.sentence}"]
        lines += [f"      {check.evidence_text()}"] if check.evidence_text() else []
    return lines + ([f"  {note}"] if note else [])


def _as_html(checks: Sequence[Check], note: str) -> str:
    items = "".join(
        f'<li class="{c.outcome().replace(" ", "-")}"><strong>{c.outcome()}</strong> '
        f'<span class="role">{c.role}</span> {html.escape(c.sentence)}'
        f"<br><small>{html.escape(c.evidence_text())}</small></li>"
        for c in checks
    )
    return (f"<ul>{items}</ul>" if items else "") + (f"<p>{html.escape(note)}</p>" if note else "")


def require_sound(owner: str, checks: Sequence[Check]) -> None:
    """Refuse checks of which two have one name, or one of the method failed.

    Raises:
        ClaimError: with the name of ``owner``.
    """
    names = [check.name for check in checks]
    for name in names:
        if names.count(name) > 1:
            raise ClaimError(f"{owner}: two checks are called {name!r}; give each its own name")
    _require_method(checks)


def _require_method(checks: Sequence[Check]) -> None:
    for check in checks:
        if check.role == "method" and not check.held:
            raise ClaimError(f"method check {check.name!r} failed ({check.evidence_text()}): the measurement is wrong")


def verdict(claim_id: str, checks: Sequence[Check] = (), note: str = "") -> Verdict:
    """The verdict on a claim.

    Args:
        claim_id: an id of the ledger.
        checks: what was tested; none for a definition that is only used.
        note: one sentence for the reader, such as what the correction says.

    Raises:
        ClaimError: for an unknown claim, two checks of one name, no checks where the kind needs them,
            or a quick result offered for a published number that needs a larger scale.
    """
    entry = claim(claim_id)
    require_sound(claim_id, checks)
    for check in checks:
        if check.role == "published" and check.scale == "quick" and entry.decided_at != "quick":
            raise ClaimError(
                f"{claim_id}: check {check.name!r} offers a quick result for a published number "
                f"decided at {entry.decided_at}; make it a trend or read a record"
            )
    decide(entry.kind, checks)
    return Verdict(entry, tuple(checks), note)


@dataclass(frozen=True)
class Findings:
    """Checks of a page that speak to no claim of the ledger: shown like those of a verdict, with no verdict."""

    name: str
    title: str
    checks: tuple[Check, ...]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The findings as plain data; numbers as printed, so that two runs compare equal."""
        return {"name": self.name, "title": self.title, "note": self.note, "checks": _as_data(self.checks)}

    def __repr__(self) -> str:
        return "\n".join([self._headline(), *_as_lines(self.checks, self.note)])

    def _headline(self) -> str:
        return f"{self.title} · findings, no claim of the ledger"

    def _badge(self) -> str:
        return '<span class="badge" title="checks that speak to no claim of the ledger">findings</span>'

    def _repr_html_(self) -> str:
        return (
            f'<section class="verdict verdict-observed" id="findings-{self.name}"><p class="headline">{self._badge()} '
            f"<strong>{html.escape(self.title)}</strong></p>{_as_html(self.checks, self.note)}</section>"
        )


def findings(name: str, title: str, checks: Sequence[Check], note: str = "") -> Findings:
    """What a page found that no claim of the ledger states, such as what the authors say elsewhere.

    Args:
        name: a slug that no claim has; negative controls are registered under it.
        title: what was asked, in a few words.
        checks: of the roles ``observed`` and ``method``, for the others speak for a claim.
        note: one sentence for the reader.

    Raises:
        ClaimError: for a name that is a claim's, no checks, two of one name, a check that speaks for a claim, or a
            failed check of the method.
    """
    if name in {entry.id for entry in all_claims()}:
        raise ClaimError(f"findings {name!r}: the ledger has a claim of this name; give it a verdict")
    if not checks:
        raise ClaimError(f"findings {name!r}: no checks; leave them out if there is nothing to report")
    for check in checks:
        if check.role not in _ASIDE:
            raise ClaimError(
                f"findings {name!r}: check {check.name!r} is {check.role}; allowed is {' or '.join(_ASIDE)}"
            )
    require_sound(f"findings {name!r}", checks)
    return Findings(name, title, tuple(checks), note)


@dataclass(frozen=True)
class Report:
    """The verdicts of one page, and its findings beyond the ledger, shown together as its last output."""

    parts: tuple[Verdict | Findings, ...]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        found = {"verdicts": [part.to_dict() for part in self.parts if isinstance(part, Verdict)]}
        beyond = [part.to_dict() for part in self.parts if isinstance(part, Findings)]
        return {
            "text/plain": repr(self),
            "text/html": '<div class="verdicts">' + "".join(part._repr_html_() for part in self.parts) + "</div>",
            VERDICT_MIME: found | ({"findings": beyond} if beyond else {}),
        }

    def __repr__(self) -> str:
        return "\n\n".join(repr(part) for part in self.parts)

    def evidence(self) -> dict[str, dict[str, dict[str, float | int | str]]]:
        """The evidence, unrounded: claim or name of the findings -> check -> label -> number or text."""
        return {
            part.claim.id if isinstance(part, Verdict) else part.name: {
                check.name: {label: _plain(value) for label, value in check.evidence.items()} for check in part.checks
            }
            for part in self.parts
        }


def _plain(value: Any) -> float | int | str:
    if isinstance(value, bool | str):
        return str(value)
    return int(value) if isinstance(value, int | np.integer) else float(value)


def report(*parts: Verdict | Findings) -> Report:
    """Show the verdicts and findings of a page, as cards and as text. The plain script prints the text.

    What is shown is rounded, so that a stored page is the same on other processors. Whoever compares the last digits
    names a file in ``$ADVSMOOTH_EVIDENCE``, and the unrounded evidence is written there.
    """
    shown = Report(parts)
    if path := evidence_file():
        path.write_text(json.dumps(shown.evidence()), encoding="utf-8")
    try:
        get_ipython  # type: ignore[name-defined]  # noqa: B018
    except NameError:
        print(repr(shown))
    return shown


def read_report(outputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts stored in the outputs of a notebook cell, as :meth:`Verdict.to_dict` wrote them."""
    return _stored(outputs, "verdicts")


def read_findings(outputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The findings stored there, as :meth:`Findings.to_dict` wrote them."""
    return _stored(outputs, "findings")


def _stored(outputs: Sequence[Mapping[str, Any]], what: str) -> list[dict[str, Any]]:
    found = []
    for output in outputs:
        data = output.get("data", {}).get(VERDICT_MIME)
        if data is not None:
            found += (json.loads(data) if isinstance(data, str) else data).get(what, [])
    return found
