"""Indented formulas of docstrings become literal blocks, lists and sections stay what they are."""

import docstrings


def test_a_formula_between_blank_lines_is_shown_as_it_stands():
    lines = ["The bound is", "", "    |x| <= y,", "", "    |y| <= z", "", "with x.", ""]
    made = ["The bound is", "", "::", "", "    |x| <= y,", "", "    |y| <= z", "", "with x.", ""]
    assert docstrings.literal_blocks(lines) == made


def test_what_is_marked_already_stays():
    for lines in (
        ["Like this::", "", "    x = 1", ""],
        ["- an item", "", "    its second paragraph", ""],
        [".. note::", "", "    words", ""],
        ["Args:", "    x: a number.", "", "Returns:", "    another."],
        ["    indented from the start", ""],
        ["Attributes:", "    passed: for each test:", "", "        - gradients;", "        - steps.", ""],
    ):
        assert docstrings.literal_blocks(lines) == lines
