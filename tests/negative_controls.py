"""The registry of negative controls.

A control is a function that makes the same check as a page (same name, same rule) from an input on which it
must come out the other way: a broken hypothesis, a wrong projection, a flipped sign. It shows that the
check can fail (or, where the page shows a printed statement failing, that it can hold).
`tests/controls/test_every_control.py` runs them all, and fails for a check of a page that has none.
"""

import functools
from collections.abc import Callable
from typing import Any

from advsmooth import pages
from advsmooth.checks import Check

CONTROLS: dict[tuple[str, str], Callable[[], Check]] = {}


def control(claim_id: str, *check_names: str) -> Callable[[Callable[..., Check]], Callable[..., Check]]:
    """Register a control for one check, or for several of one kind (the function then takes the name)."""

    def register(function: Callable[..., Check]) -> Callable[..., Check]:
        for name in check_names:
            if (claim_id, name) in CONTROLS:
                raise ValueError(f"{claim_id}/{name} has two controls")
            CONTROLS[claim_id, name] = function if len(check_names) == 1 else lambda name=name: function(name)
        return function

    return register


@functools.cache
def stored_outcomes() -> dict[tuple[str, str], str]:
    """Outcome of each check as the pages have it stored, by claim (or name of findings) and by page."""
    found = {}
    for page in pages.every():
        for part in [*page.verdicts(), *page.findings()] if page.notebook.exists() else []:
            for check in part["checks"]:
                for owner in (part.get("claim") or part["name"], page.key):
                    found[owner, check["name"]] = check["outcome"]
    return found


def other_way(owner: str, name: str, make: Callable[[Any], Check], holds: Any, fails: Any) -> Check:
    """The check from the input on which it comes out otherwise than on the page.

    For checks of trends, which a record may turn: both inputs are tried, and must come out as they are named.

    Args:
        owner: the claim, the name of the findings, or the page.
        name: of the check.
        make: from an input to the check.
        holds: an input on which it holds.
        fails: an input on which it fails, or stays unresolved.
    """
    good, bad = make(holds), make(fails)
    assert good.held
    assert not bad.held
    return bad if stored_outcomes().get((owner, name)) == "held" else good
