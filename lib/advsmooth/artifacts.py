"""What the authors' own artifacts say their runs should show: numbers beside the claims of a paper.

``data/artifacts/<paper>.yml`` holds them. The ledger (:mod:`advsmooth.claims`) is for what a paper's text claims; an
artifact's description is another source, and what a page compares with it yields findings and no verdict.
"""

from __future__ import annotations

import functools

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advsmooth import plain_yaml
from advsmooth.places import ROOT
from advsmooth.refusals import Refusal

FOLDER = ROOT / "data" / "artifacts"


class ArtifactError(Refusal):
    """A file of expectations was refused, or has no such entry; the message is one line."""


class Expectation(BaseModel):
    """One expected difference.

    Attributes:
        quantity: what differs, as the table of the page calls it.
        between: what is compared with what, ``"a - b"``.
        words: the quantity in words.
        unit: such as points (hundredths of an accuracy) or nats.
        difference: of ``a`` less ``b``.
        tolerance: stated with it; ``None`` if there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantity: str = Field(min_length=1)
    between: str = Field(pattern=r"^.+ - .+$")
    words: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    difference: float
    tolerance: float | None = Field(default=None, gt=0)

    @property
    def sign(self) -> int:
        """The direction: 1 if ``a`` is expected to be the larger, else -1."""
        return 1 if self.difference > 0 else -1

    def text(self) -> str:
        """The number as a table shows it."""
        return f"{self.difference:+g}" + (f" ± {self.tolerance:g}" if self.tolerance else "")


class Artifact(BaseModel):
    """The expectations of one paper's artifact, where they are from, and the setting they hold in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper: str
    source: str
    setting: str
    expectations: list[Expectation]

    def of(self, quantity: str, between: str) -> Expectation:
        """One entry.

        Raises:
            ArtifactError: if it is not there.
        """
        for entry in self.expectations:
            if (entry.quantity, entry.between) == (quantity, between):
                return entry
        known = ", ".join(f"{entry.quantity} ({entry.between})" for entry in self.expectations)
        raise ArtifactError(f"{self.paper}: {quantity} ({between}): not there; it has {known}")


@functools.cache
def read(paper: str) -> Artifact:
    """The expectations of a paper's artifact.

    Raises:
        ArtifactError: if there is no file, or it misses a field or has an unknown one.
    """
    path = FOLDER / f"{paper}.yml"
    if not path.exists():
        raise ArtifactError(
            f"{paper}: no artifact; there are {', '.join(sorted(p.stem for p in FOLDER.glob('*.yml')))}"
        )
    try:
        return Artifact.model_validate(plain_yaml.read(path))
    except plain_yaml.YamlError as error:
        raise ArtifactError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ArtifactError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
