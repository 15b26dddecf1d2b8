"""The certificate: what a verification found, signed off by a person, as a file that another lab can send.

Its JSON is read by :func:`read` and compared by :func:`compare`; a readable page of the same name is written by
:mod:`advsmooth.certificate_page`. A SHA-256 over the content shows that a file was altered or cut off. It is no
signature: whoever alters the content can compute a new one. Sign the file itself with a key of yours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from advsmooth import comparison
from advsmooth.atomic import write_atomically
from advsmooth.refusals import Refusal

Outcome = Literal["confirmed", "differs", "not checked"]
FORMAT: Literal["advsmooth certificate 1"] = "advsmooth certificate 1"


class CertificateError(Refusal):
    """A certificate was refused; the message is one line."""


def _read_evidence(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are written as words."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


Evidence = Annotated[float | int | str, BeforeValidator(_read_evidence)]


class _Part(BaseModel):
    """A part of a certificate: nothing unknown in it, and numbers that JSON does not have as words."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class Number(_Part):
    """One number, stored and here, and whether the two agree by the rule that applies."""

    label: str
    stored: float
    here: float
    absolute: float
    relative: float
    within: bool

    @classmethod
    def of(cls, pair: comparison.Pair, label: str = "") -> Number:
        """From a pair of the comparison."""
        return cls(
            label=label or pair.label,
            stored=pair.stored,
            here=pair.here,
            absolute=pair.absolute,
            relative=pair.relative,
            within=pair.within,
        )


class CheckResult(_Part):
    """One check: its outcome and its evidence, stored and here; an empty outcome where there is no such check.

    ``numbers`` are those of the evidence, as printed; ``exact`` is the unrounded evidence of this run.
    """

    name: str
    role: str
    stored: str
    here: str
    evidence_stored: str
    evidence_here: str
    same_text: bool
    numbers: list[Number]
    exact: dict[str, Evidence]


class ClaimResult(_Part):
    """One claim and its verdict, stored and here; or, with empty verdicts, findings that no claim states."""

    name: str
    title: str
    place: str
    stored: str
    here: str
    checks: list[CheckResult]


class TextResult(_Part):
    """The printed text of a page against the stored one, cell by cell; ``why`` says why it was not compared."""

    compared: bool
    why: str
    cells: int
    same: int
    rounding: int
    differing: list[tuple[int, str, str]]


class TableResult(_Part):
    """The table of a record against the same measurement made here (:class:`advsmooth.comparison.TableComparison`)."""

    numbers: int
    equal: int
    within_tolerance: int
    within_interval: int
    outside: int
    missing: int
    extra: int
    differing: list[Number]


class RecordResult(_Part):
    """A record: its replay against the recorded metrics, and its table if it was measured again.

    ``state`` is ``confirmed``, ``differs`` or ``unknown``.
    """

    label: str
    state: Literal["confirmed", "differs", "unknown"]
    why: str
    date: str = ""
    device: str = ""
    replay: list[Number] = []
    table: TableResult | None = None


class PageValues(_Part):
    """What was found on one page.

    ``judged`` says whether the numbers of the evidence and the printed text decide: only where the stored page was made
    by the same request.
    """

    page: str
    title: str
    seconds: float
    code: str
    judged: bool
    ran: Literal["yes", "refused", "failed"]
    message: str
    claims: list[ClaimResult]
    text: TextResult
    records: list[RecordResult]


class PageResult(PageValues):
    """What was found on one page, and the outcome that follows from it by :func:`decide`."""

    outcome: Outcome
    reasons: list[str]


class Here(_Part):
    """Where and from what a certificate was made."""

    commit: str
    code: str
    lock: str
    ledger: str
    versions: dict[str, str]
    device: str
    processor: str
    system: str
    threads: int | None
    jobs: int
    load_before: float
    load_after: float


class Certificate(_Part):
    """A whole certificate."""

    format: Literal["advsmooth certificate 1"]
    what: str
    scale: str
    parameters: dict[str, str]
    signed_off: str
    date: str
    seconds: float
    here: Here
    pages: list[PageResult] = Field(min_length=1)

    def count(self, outcome: Outcome) -> int:
        """How many pages have this outcome."""
        return sum(page.outcome == outcome for page in self.pages)

    @property
    def outcome(self) -> Outcome:
        """Of the whole: ``differs`` if any page does, ``confirmed`` if all are."""
        found = {page.outcome for page in self.pages}
        return "differs" if "differs" in found else "confirmed" if found == {"confirmed"} else "not checked"


def decide(page: PageValues) -> tuple[Outcome, list[str]]:
    """The outcome of a page and its reasons; the one place where outcomes are made.

    A page that refused what was asked (data, a GPU or a scale that is not here) is *not checked*; one that failed
    *differs*. Else it differs if a verdict or the outcome of a check is another, if a check appeared or vanished, if a
    record differs, or, where the stored page was made by the same request, if a number of the evidence or a printed
    text is further away than rounding. What is left is *confirmed*; records whose data is not here are named in the
    reasons.
    """
    if page.ran == "refused":
        return "not checked", [page.message]
    if page.ran == "failed":
        return "differs", [f"the page did not run: {page.message}"]
    reasons = [reason for claim in page.claims for reason in _of_claim(claim, page.judged)]
    if page.judged:
        reasons += [
            f"code cell {cell} prints otherwise: {stored[:60]!r} stored, {here[:60]!r} here"
            for cell, stored, here in page.text.differing
        ]
    reasons += [f"record {record.label}: {record.why}" for record in page.records if record.state == "differs"]
    unknown = [
        f"record {record.label} not checked: {record.why}" for record in page.records if record.state == "unknown"
    ]
    return ("differs" if reasons else "confirmed"), reasons + unknown


def _of_claim(claim: ClaimResult, judged: bool) -> Iterator[str]:
    if claim.stored != claim.here:
        yield f"{claim.name}: verdict {claim.stored or 'absent'} stored, {claim.here or 'absent'} here"
    for check in claim.checks:
        name = f"{claim.name}, check {check.name}"
        if check.stored != check.here:
            yield f"{name}: {check.stored or 'absent'} stored, {check.here or 'absent'} here"
        elif judged and not check.same_text and not check.numbers:
            yield f"{name}: the evidence reads otherwise: {check.evidence_here}"
        elif judged:
            for number in check.numbers:
                if not number.within:
                    yield f"{name}: {number.stored:g} stored, {number.here:g} here"


def canonical(certificate: Certificate) -> str:
    """The content as the digest is taken of: sorted keys, no spaces."""
    content = json.loads(certificate.model_dump_json())
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(certificate: Certificate) -> str:
    """SHA-256 of the canonical content."""
    return hashlib.sha256(canonical(certificate).encode()).hexdigest()


def write(certificate: Certificate, path: Path) -> None:
    """Write a certificate whole or not at all."""
    content = {"sha256": digest(certificate), **json.loads(certificate.model_dump_json())}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> Certificate:
    """Read a certificate.

    Raises:
        CertificateError: if it is not there, cut off, of another form, altered, or its outcomes do not follow from
            what it says.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CertificateError(f"certificate {path.name!r}: no such file; give the .json that verify wrote") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CertificateError(f"certificate {path.name!r}: not readable ({error}); ask for the file again") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CertificateError(f"certificate {path.name!r}: not a certificate of the form {FORMAT!r}")
    stated = content.pop("sha256", None)
    try:
        certificate = Certificate.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CertificateError(f"certificate {path.name!r}: {place}: {first['msg']}; ask for the file again") from None
    if stated != digest(certificate):
        raise CertificateError(
            f"certificate {path.name!r}: altered, its SHA-256 is not that of its content; ask for the file again"
        )
    for page in certificate.pages:
        if (page.outcome, page.reasons) != decide(page):
            raise CertificateError(
                f"certificate {path.name!r}: the outcome of {page.page} does not follow from its values; ask again"
            )
    return certificate


def compare(a: Certificate, b: Certificate) -> tuple[list[str], list[str]]:
    """What two certificates say of the pages they share.

    Returns:
        What they have in common or differ in by circumstance, a line each; and what they disagree on: verdicts, the
        outcomes of checks and records, and numbers of the evidence, by the rule for printed numbers of
        :mod:`advsmooth.comparison`.
    """
    ours, theirs = ({page.page: page for page in c.pages if page.ran == "yes"} for c in (a, b))
    shared = [name for name in ours if name in theirs]
    disagree = [] if shared else ["no page is in both"]
    if (a.scale, a.parameters) != (b.scale, b.parameters):
        disagree.append(f"asked for: {_asked(a)} in A, {_asked(b)} in B")
    far: list[float] = []
    for name in shared:
        for place, x, y in _facts(ours[name], theirs[name]):
            if x != y:
                disagree.append(f"{name}: {place}: {x or 'absent'} in A, {y or 'absent'} in B")
        for place, one, other in _checks(ours[name], theirs[name]):
            pairs = comparison.texts(one.evidence_here, other.evidence_here, other.exact)
            if pairs is None:
                disagree.append(f"{name}: {place}: {one.evidence_here!r} in A, {other.evidence_here!r} in B")
            disagree += [
                f"{name}: {place}: {pair.stored:g} in A, {pair.here:g} in B" for pair in pairs or () if not pair.within
            ]
            far += [
                comparison.apart(value, float(other.exact[label]))[1]
                for label, value in one.exact.items()
                if isinstance(value, float) and isinstance(other.exact.get(label), float)
            ]
    said = [
        f"{len(shared)} pages in both"
        + "".join(f"; only in {side}: {', '.join(only)}" for side, only in _only(ours, theirs) if only),
        f"{len(far)} unrounded numbers: {far.count(0.0)} equal in every digit, "
        f"largest relative difference {max(far, default=0.0):.1g}",
        *_circumstances(a.here, b.here),
    ]
    return said, disagree


def _asked(c: Certificate) -> str:
    return " ".join([f"scale={c.scale}", *(f"{name}={value}" for name, value in c.parameters.items())])


def _only(a: dict[str, PageResult], b: dict[str, PageResult]) -> list[tuple[str, list[str]]]:
    return [("A", [name for name in a if name not in b]), ("B", [name for name in b if name not in a])]


def _circumstances(a: Here, b: Here) -> Iterator[str]:
    for name, x, y in [
        *((field, getattr(a, field), getattr(b, field)) for field in ("commit", "code", "lock", "ledger")),
        *((field, getattr(a, field), getattr(b, field)) for field in ("device", "processor", "system", "threads")),
        *((f"version of {name}", a.versions.get(name), b.versions.get(name)) for name in {**a.versions, **b.versions}),
    ]:
        yield f"{name}: {_short(x)}" + (" in both" if x == y else f" in A, {_short(y)} in B")


def _short(value: Any) -> str:
    text = str(value if value not in (None, "") else "not known")
    return text[:12] if len(text) >= 40 and " " not in text else text


def _facts(a: PageResult, b: PageResult) -> Iterator[tuple[str, str, str]]:
    """Verdicts and outcomes of a page in two certificates."""
    x, y = ({(c.name, k.name if k else ""): (k or c).here for c in p.claims for k in (None, *c.checks)} for p in (a, b))
    for claim, check in {**x, **y}:
        place = f"check {check} of {claim}" if check else f"verdict on {claim}"
        yield place, x.get((claim, check), ""), y.get((claim, check), "")
    u, v = ({r.label: r.state for r in p.records} for p in (a, b))
    for label in {**u, **v}:
        if "unknown" not in (u.get(label), v.get(label)):
            yield f"record {label}", u.get(label, ""), v.get(label, "")


def _checks(a: PageResult, b: PageResult) -> Iterator[tuple[str, CheckResult, CheckResult]]:
    """The checks that a page has in both."""
    x, y = ({(c.name, k.name): k for c in p.claims for k in c.checks} for p in (a, b))
    for claim, check in x:
        if (claim, check) in y:
            yield f"check {check} of {claim}", x[claim, check], y[claim, check]
