"""The refusals that the families share."""

import numpy as np
import pytest

from advsmooth.models import arguments


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_integers_of_any_kind_pass_as_int(value):
    assert type(arguments.integer("w", value)) is int
    assert arguments.integer("w", value) == value


def test_images_of_allowed_sizes_pass():
    assert arguments.image("net", [3, 32, 28], at_least=4, multiple_of=4) == (3, 32, 28)
    assert arguments.one_of("block", "basic", {"basic": 1, "wide": 2}) == "basic"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: arguments.integer("w", 0), r"w=0: allowed is an integer, at least 1"),
        (lambda: arguments.integer("w", True), r"w=True: allowed"),
        (lambda: arguments.integer("w", 2.0), r"w=2.0: allowed"),
        (lambda: arguments.integer("w", "2"), r"w='2': allowed"),
        (lambda: arguments.integer("depth", 9, at_least=10), r"depth=9: allowed is an integer, at least 10"),
        (lambda: arguments.one_of("block", "basik", ["basic", "wide"]), r"'basik': unknown; did you mean 'basic'\? Al"),
        (lambda: arguments.one_of("block", "xyzzy", ["basic", "wide"]), r"unknown; Allowed: basic, wide"),
        (lambda: arguments.one_of("block", ["basic"], ["basic"]), r"unknown"),
        (lambda: arguments.one_of("f: argument", "w", []), r"Allowed: none"),
        (lambda: arguments.image("net", (64,)), r"in_shape=\(64,\): net takes images"),
        (lambda: arguments.image("net", (1, 8, 8), at_least=32), r"net needs height and width of at least 32$"),
        (lambda: arguments.image("net", (1, 8, 10), at_least=4, multiple_of=4), r"at least 4, a multiple of 4"),
        (lambda: arguments.image("net", (1, 0, 8)), r"in_shape=0: allowed"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
