"""Wide residual networks: published parameter counts, depth, and initialisation."""

import math

import pytest
import torch

from advsmooth.models import registry
from advsmooth.models.wideresnet import wideresnet


@pytest.mark.parametrize(
    ("depth", "width", "published"), [(34, 10, 46_160_474), (28, 10, 36_479_194), (34, 5, 11_554_074)]
)
def test_published_parameter_counts(depth, width, published):
    count = registry.parameter_count("wideresnet", in_shape=(3, 32, 32), classes=10, depth=depth, width=width)
    assert count == published


@pytest.mark.parametrize("depth", [10, 16, 34])
def test_depth_counts_the_convolutions_with_those_of_the_shortcuts(depth):
    with torch.device("meta"):
        layers = registry.describe(wideresnet((3, 32, 32), 10, depth=depth, width=2)).layers
    assert sum(len(shape) == 4 for shape in layers.values()) == depth


def test_convolutions_have_he_initialisation():
    model = registry.build("wideresnet", in_shape=(3, 8, 8), classes=10, seed=0, depth=10, width=1)
    for name, weight in model.named_parameters():
        if weight.ndim == 4:
            area_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
            z = (weight.square().mean().item() * area_out / 2 - 1) / math.sqrt(2 / weight.numel())
            assert abs(z) < 4, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wideresnet((3, 32, 32), 10, depth=35), r"depth=35: allowed is 6n \+ 4, such as 34"),
        (lambda: wideresnet((3, 32, 32), 10, depth=4), "depth=4: allowed is an integer, at least 10"),
        (lambda: wideresnet((3, 32, 32), 10, width=0), "width=0: allowed"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
