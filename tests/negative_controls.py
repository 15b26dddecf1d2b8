"""The registry of negative controls.

A control is a function that makes the same check as a page (same name, same rule) from an input on which it
must come out the other way: a broken hypothesis, a wrong projection, a flipped sign. It shows that the
check can fail (or, where the page shows a printed statement failing, that it can hold).
`tests/controls/test_every_control.py` runs them all, and fails for a check of a page that has none.
"""

from collections.abc import Callable

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
