"""Every check of every page has a negative control, and it comes out the other way."""

import importlib
from pathlib import Path

import pytest
from negative_controls import CONTROLS

from advsmooth import pages

for path in sorted(Path(__file__).parent.glob("*_*.py")):
    if not path.name.startswith("test_"):
        importlib.import_module(f"controls.{path.stem}")

MADE = {
    (part.get("claim") or part["name"], check["name"]): check
    for page in pages.every()
    if page.notebook.exists()  # tests/test_repository.py names the pages that were not executed
    for part in [*page.verdicts(), *page.findings()]
    for check in part["checks"]
}
RUN = sorted(key for key, check in MADE.items() if check["outcome"] != "not run")


@pytest.mark.parametrize("key", RUN, ids="/".join)
def test_a_check_of_a_page_can_come_out_the_other_way(key):
    assert key in CONTROLS, f"no negative control for the check {key[1]!r} of {key[0]}; add one to tests/controls/"
    check = CONTROLS[key]()
    opposite = {"held": False, "failed": True, "unresolved": True}[MADE[key]["outcome"]]
    assert (check.name, check.rule) == (key[1], MADE[key]["rule"])
    assert check.held is opposite


def test_no_control_is_left_over():
    assert set(CONTROLS) <= set(MADE)
