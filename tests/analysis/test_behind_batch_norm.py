"""The scale of a weight behind batch norm: a learning rate, and nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from advsmooth import data
from advsmooth.analysis import behind_batch_norm as bbn
from advsmooth.models import registry

DIGITS = data.load("digits").take(20, seed=0)
X, Y = DIGITS.x.double(), DIGITS.y


def fresh(kind="resnet", c=1.0, **sizes):
    network = registry.build(kind, in_shape=DIGITS.shape, classes=10, seed=1, **sizes)
    return bbn.scaled(bbn.exact(network), c)


@settings(max_examples=5, deadline=None)
@given(st.floats(1e-3, 1e3), st.sampled_from(["basic", "bottleneck"]))
def test_a_scaled_start_at_the_squared_rate_is_the_same_training(c, block):
    sizes = {"depth": 8, "width": 2, "block": block, "shortcut": "projection"}
    runs = [bbn.descend(fresh(c=k, **sizes), X, Y, (k**2 * 0.02, 0.02), steps=4) for k in (1.0, c)]
    assert torch.allclose(*runs, atol=1e-8)
    wrong = bbn.descend(fresh(c=10 * c, **sizes), X, Y, (c**2 * 0.02, 0.02), steps=4)
    assert torch.allclose(wrong[0], runs[0][0], atol=1e-8)
    assert not torch.allclose(wrong[-1], runs[0][-1], atol=1e-5)


def test_the_weights_themselves_stay_multiples():
    first, second = fresh(depth=8, width=2), fresh(c=0.1, depth=8, width=2)
    bbn.descend(first, X, Y, (0.05, 0.05), steps=5)
    bbn.descend(second, X, Y, (0.05 * 0.01, 0.05), steps=5)
    for w, v in zip(bbn.convolutions(first), bbn.convolutions(second), strict=True):
        assert torch.allclose(0.1 * w, v, atol=1e-10)


def test_a_gradient_is_orthogonal_to_its_convolution_only_behind_batch_norm():
    assert bbn.along_weights(fresh(depth=8, width=2), X, Y).abs().max() < 1e-10
    assert bbn.along_weights(fresh("cnn", m=4, L=3), X, Y).abs().max() > 1e-4


def test_without_batch_norm_the_scale_matters():
    outputs = [bbn.descend(fresh("cnn", c, m=4, L=3), X, Y, (0.0, 0.0), steps=1)[0] for c in (1.0, 0.5)]
    assert torch.allclose(outputs[0] * 0.25, outputs[1])  # two convolutions, each half as large


def test_which_weights_are_scaled():
    network = registry.build("resnet", in_shape=(1, 8, 8), classes=10, seed=0, depth=8, width=2)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    bbn.scaled(network, 0.5, last_too=True)
    changed = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name, p in before.items() if p.ndim >= 2}
    assert len(bbn.convolutions(network)) == len(changed) - 1
    assert len(bbn.convolutions(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)))) == 1


def test_a_factor_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="c=0: allowed is a positive number"):
        bbn.scaled(nn.Linear(2, 2), 0)
