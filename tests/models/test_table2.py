"""Table 2 of Liu et al. followed on paper, against networks that are built."""

from __future__ import annotations

import itertools

import pytest
import sympy as sp
import torch
from torch import nn

from advsmooth import claims
from advsmooth.models import registry, table2
from advsmooth.models.table2 import FC, Conv, Pool

TABLE = claims.claim("liu2020-tab2").published
LENET, VGG = TABLE["LeNet"], TABLE["VGG"]
IMAGE = {"side": 32, "channels": 3}


def built(row, channels):
    """The same row in torch."""
    found: list[nn.Module] = []
    for layer in row:
        if isinstance(layer, Conv):
            found.append(nn.Conv2d(channels, layer.channels, layer.kernel, padding=layer.padding, bias=layer.bias))
            found += [nn.BatchNorm2d(layer.channels)] if layer.batch_norm else []
            channels = layer.channels
        elif isinstance(layer, Pool):
            found.append({"M": nn.MaxPool2d, "A": nn.AvgPool2d}[layer.kind](layer.size))
        else:
            found += [*([] if any(isinstance(m, nn.Flatten) for m in found) else [nn.Flatten()])]
            found.append(nn.Linear(layer.inputs, layer.outputs))
    return nn.Sequential(*found).eval()


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("padding", range(4))
def test_a_row_fits_exactly_if_torch_can_run_it(kernel, padding):
    row = table2.lenet_row(LENET, 1, kernel=kernel, padding=padding)
    model, x = built(row, 1), torch.zeros(1, 1, 28, 28)
    try:
        runs = model(x).shape == (1, 10)
    except RuntimeError:
        runs = False
    assert table2.fits(row, side=28, channels=1) is runs
    assert runs is (kernel in (2 * padding, 2 * padding + 1))
    if runs:
        parameters = table2.follow(row, side=28, channels=1).parameters.sum()
        assert parameters == registry.describe(model).parameters


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"average": 1}, True),
        ({"average": None}, True),
        ({"max_poolings": 4}, True),
        ({"max_poolings": 4, "average": None}, False),
    ],
)
def test_the_vgg_row(change, expected):
    row = table2.vgg_row(VGG, 1, **change)
    assert table2.fits(row, **IMAGE) is expected
    try:
        runs = built(row, 3)(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    except RuntimeError:
        runs = False
    assert runs is expected


def test_where_the_printed_row_stops():
    found = table2.follow(table2.vgg_row(VGG, 8), **IMAGE)
    assert found.layer.iloc[-1] == "A(2)"
    assert found.side.iloc[-2:].tolist() == [1, 0]
    assert found.fits.tolist() == [True] * 18 + [False]


def test_a_polynomial_of_the_width_counts_the_networks():
    w = sp.Symbol("w", positive=True)
    for row, side, channels, name in (
        (table2.vgg_row(VGG, w, average=1), 32, 3, "vgg"),
        (table2.lenet_row(LENET, w), 28, 1, "lenet"),
    ):
        count = sum(table2.follow(row, side=side, channels=channels).parameters)
        for width in (1, 3, 8):
            built_in = registry.parameter_count(name, in_shape=(channels, side, side), classes=10, w=width)
            assert sp.expand(count).subs(w, width) == built_in


def test_layers_of_a_network_are_written_as_in_the_table():
    with torch.device("meta"):
        vgg = registry.build("vgg", in_shape=(3, 32, 32), classes=10, seed=0, w=2)
        resnet = registry.build("resnet18", in_shape=(3, 32, 32), classes=10, seed=0, w=1)
    printed = [str(layer) for layer in table2.vgg_row(VGG, 2) if not isinstance(layer, Pool)]
    assert table2.layers(vgg) == printed
    assert table2.layers(resnet) == [
        *(f"Conv({c})" for c, n in zip((4, 8, 16, 32), (5, 4, 4, 4), strict=True) for _ in range(n)),
        "FC(32, 10)",
    ]
    assert [str(FC(2, 3)), str(Conv(4)), str(Pool("M"))] == ["FC(2, 3)", "Conv(4)", "M(2)"]


def test_batch_norm_and_biases_are_counted():
    for bias, norm in itertools.product((False, True), repeat=2):
        row = table2.vgg_row(VGG, 1, average=1, bias=bias, batch_norm=norm)
        assert table2.follow(row, **IMAGE).parameters.sum() == registry.describe(built(row, 3)).parameters
