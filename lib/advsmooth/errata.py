"""The errata: what this book believes to be wrong, loose or unstated in the papers, and whether a page shows it.

``data/errata/<paper>.yml`` states each one in our words. The page ``notebooks/<paper>/errata`` derives the correction,
has the algebra checked by machine, and calls :func:`judge`; whether the erratum is *shown* follows by rule:

- the statement as printed fails a check of the role ``printed`` (unless the entry's severity is ``none``: then we
  looked because we doubted, and it holds);
- every ``derivation`` and ``corrected`` check holds, and there is at least one.
"""

from __future__ import annotations

import difflib
import functools
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advsmooth import claims, pages, plain_yaml
from advsmooth.atomic import write_atomically
from advsmooth.checks import Check
from advsmooth.places import BOOK, ROOT
from advsmooth.refusals import Refusal

FOLDER = ROOT / "data" / "errata"

Severity = Literal["none", "typo", "wording", "constant", "condition", "proof", "interpretation", "statement"]
SEVERITIES: Mapping[str, str] = {
    "none": "doubted, and found to be right",
    "typo": "a slip of the pen; a reader can mend it alone",
    "wording": "the words say something else than what is meant or shown",
    "constant": "a constant is wrong or needlessly weak; the statement stands",
    "condition": "true only under a condition that is not stated",
    "proof": "the proof has a gap or a wrong step; the statement can be saved",
    "interpretation": "a true formula is said to mean what it does not",
    "statement": "the statement as printed is false, and no added condition of its kind saves it",
}
"""What the severities mean, from the mildest to the gravest."""


class ErratumError(Refusal):
    """An erratum or the file of errata was refused; the message is one line."""


class Erratum(BaseModel):
    """One entry.

    Attributes:
        code: letter of the paper and number, such as ``L1``.
        title: what is wrong, in a few words.
        place: the paper's own numbering.
        claims: ids of the ledger that it touches, the most important first.
        severity: see :data:`SEVERITIES`.
        printed: the statement as printed, in our words.
        wrong: what is wrong with it.
        corrected: the corrected statement.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern=r"^[LKFPZ]\d+$")
    title: str = Field(min_length=1, max_length=100)
    place: str = Field(min_length=1)
    claims: list[str] = Field(min_length=1)
    severity: Severity
    printed: str = Field(min_length=1)
    wrong: str = Field(min_length=1)
    corrected: str = Field(min_length=1)

    @property
    def paper(self) -> str:
        """The key of the paper."""
        return self.claims[0].split("-")[0]

    @property
    def name(self) -> str:
        """The label of its section and of its negative controls, such as ``liu2020-L1``."""
        return f"{self.paper}-{self.code}"


def read(path: Path) -> list[Erratum]:
    """The errata of one file.

    Raises:
        ErratumError: if it is not YAML or an entry is not an erratum; the message names it.
    """
    try:
        content = plain_yaml.read(path)
    except plain_yaml.YamlError as error:
        raise ErratumError(str(error)) from None
    if not isinstance(content, list):
        raise ErratumError(f"{path.name}: allowed is a list of errata")
    found = []
    for number, entry in enumerate(content):
        try:
            found.append(Erratum.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ErratumError(f"{path.name}: entry {number + 1}: {place}: {first['msg']}") from None
    return found


@functools.cache
def _by_code() -> dict[str, Erratum]:
    found: dict[str, Erratum] = {}
    for key in claims.papers():
        path = FOLDER / f"{key}.yml"
        for entry in read(path) if path.exists() else []:
            if entry.code in found:
                raise ErratumError(f"{path.name}: {entry.code} is there twice; give each erratum its own code")
            found[entry.code] = entry
    return found


def every() -> Iterator[Erratum]:
    """All errata, paper by paper."""
    yield from _by_code().values()


def erratum(code: str) -> Erratum:
    """Look up one erratum.

    Raises:
        ErratumError: if there is none of this code; the message names the nearest one.
    """
    if code not in _by_code():
        near = difflib.get_close_matches(str(code), _by_code(), n=1, cutoff=0)
        raise ErratumError(
            f"erratum {code!r}: unknown; did you mean {near[0]!r}?" if near else f"erratum {code!r}: none"
        )
    return _by_code()[code]


def outcome(severity: str, checks: Sequence[Check]) -> str:
    """``shown`` or ``not shown``, by the rule of this module."""
    printed = [check.held for check in checks if check.role == "printed"]
    repair = [check.held for check in checks if check.role in ("corrected", "derivation")]
    as_said = all(printed) if severity == "none" else any(held is False for held in printed)
    return "shown" if as_said and repair and all(repair) else "not shown"


@dataclass(frozen=True, repr=False)
class Shown(claims.Findings):
    """An erratum and the checks that speak for it; :func:`judge` makes them."""

    severity: str = "none"

    @property
    def outcome(self) -> str:
        """What :func:`outcome` makes of the checks."""
        return outcome(self.severity, self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the outcome."""
        return super().to_dict() | {"outcome": self.outcome, "severity": self.severity}

    def _headline(self) -> str:
        return f"{self.title} · {self.outcome} ({SEVERITIES[self.severity]})"

    def _badge(self) -> str:
        return f'<span class="badge" title="{html.escape(SEVERITIES[self.severity])}">{self.outcome}</span>'


def judge(code: str, checks: Sequence[Check], note: str = "") -> Shown:
    """An erratum with the checks of its section.

    Args:
        code: such as ``L1``.
        checks: ``printed`` ones are expected to fail (to hold, for the severity ``none``), ``derivation`` and
            ``corrected`` ones to hold; ``method`` and ``observed`` decide nothing.
        note: one sentence for the reader.

    Raises:
        ErratumError: for an unknown code, or a check of another role.
        ClaimError: for two checks of one name, or a failed check of the method.
    """
    entry = erratum(code)
    allowed = ("printed", "corrected", "derivation", "method", "observed")
    for check in checks:
        if check.role not in allowed:
            raise ErratumError(f"{code}: check {check.name!r} is {check.role}; allowed is {', '.join(allowed)}")
    claims.require_sound(code, checks)
    return Shown(entry.name, f"{entry.code}: {entry.title}", tuple(checks), note, entry.severity)


def outcomes() -> dict[str, str]:
    """By code, what the executed pages say."""
    found: dict[str, str] = {}
    for page in pages.every():
        if page.key.endswith("/errata") and page.notebook.exists():
            found |= {part["name"].split("-")[1]: part["outcome"] for part in page.findings() if "outcome" in part}
    return found


def render() -> str:
    """The chapter's first page: what there is, how grave, and how to object."""
    said = outcomes()
    rows = "\n".join(
        f"| {{prf:ref}}`{entry.code} <{entry.name}>` | {entry.title}<br><small>{entry.place}</small> "
        f"| {entry.severity} | {said.get(entry.code, 'no section yet')} | {_pages_of(entry)} |"
        for entry in every()
    )
    meanings = "\n".join(f"| {name} | {meaning} |" for name, meaning in SEVERITIES.items())
    return f"""# Errata

What we believe to be wrong, loose or unstated in the five papers as printed. Each code leads to a section with the
statement as printed, what is wrong with it, the corrected statement and a derivation whose algebra is checked by
machine. *Shown* follows from the checks by rule: the printed statement fails one, and all steps and checks of the
repair hold. Most are slips that leave the conclusions of their paper intact. The texts of Zhu et al. and Pang et al.
that we worked from are incomplete; what we say of them is about a reconstruction.

| code | what, and where | severity | outcome | on the page |
|---|---|---|---|---|
{rows}

| severity | meaning |
|---|---|
{meanings}

## How to object

If we are wrong, a number can say so. Each section is part of a notebook: run it with another seed or another case
({{doc}}`rerun`), or change the step of the derivation that you doubt and see what the machine says. Then open an issue
with the code of the erratum, the command, and what came out. If the *printed* statement can be read in a way in which
it is true, say which; we add the reading to the section and change the severity.
"""


def _pages_of(entry: Erratum) -> str:
    """Links to the pages that judge the claims it touches."""
    found: dict[str, str] = {}
    for page in pages.every():
        if page.notebook.exists() and {verdict["claim"] for verdict in page.verdicts()} & set(entry.claims):
            found[page.key] = f"{{doc}}`{page.title()} </notebooks/{page.key}>`"
    return ", ".join(found.values()) or "—"


def write(path: Path = BOOK / "errata.md") -> str:
    """Write the chapter's first page; returns one line that says what is on it."""
    write_atomically(path, render())
    shown = sum(said == "shown" for said in outcomes().values())
    return f"errata: {shown} of {len(_by_code())} shown"
