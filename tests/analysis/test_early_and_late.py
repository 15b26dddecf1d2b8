import math

import pandas as pd
import pytest
import torch
from torch import nn

from advsmooth.analysis import early_and_late as el
from advsmooth.analysis.perturbations import dead_units
from advsmooth.models import registry


def test_phases_are_means_of_bins_at_both_ends():
    steps = pd.DataFrame({"gradient_norm": range(10), "accuracy": [0.1 * k for k in range(10)]})
    table = el.phases(steps, first=4, bins=2)
    assert list(table.phase) == ["first", "first", "last", "last"]
    assert list(table.step) == [1, 3, 1, 3]
    assert list(table.gradient_norm) == [0.5, 2.5, 6.5, 8.5]
    assert list(table.robust_error) == pytest.approx([0.95, 0.75, 0.35, 0.15])


@pytest.mark.parametrize(("first", "bins"), [(11, 1), (4, 3), (2, 4), (4, 0)])
def test_phases_refuse_what_does_not_fit(first, bins):
    with pytest.raises(ValueError, match=r"allowed is at most 10 mini-batches"):
        el.phases(pd.DataFrame({"gradient_norm": range(10), "accuracy": range(10)}), first, bins)


@pytest.mark.parametrize("batch", [3, 100])
def test_the_gradient_norm_is_that_of_one_backward_pass(batch):
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(10, 1, 8, 8, generator=g), torch.randint(0, 10, (10,), generator=g)
    model = registry.build("lenet", in_shape=(1, 8, 8), classes=10, seed=0, w=1)
    found = el.gradient_norm(model, x, y, batch=batch)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert model.training
    nn.functional.cross_entropy(model(x), y).backward()
    expected = math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_gradient_vanishes_at_a_minimum():
    model = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        model.weight.zero_()
    x, y = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double(), torch.tensor([0, 1])
    assert el.gradient_norm(model, x, y) < 1e-15 < el.gradient_norm(model, x, torch.tensor([0, 0]))


def test_better_than_constant():
    y = torch.tensor([0, 0, 0, 1])
    assert el.majority(y) == 0.75
    assert el.left_the_start(0.86, y)
    assert not el.left_the_start(0.84, y)


@pytest.mark.parametrize("layer", ["conv2", "fc1"])
def test_a_silenced_layer_is_dead_and_blocks_the_gradient(layer):
    model = registry.build("lenet", in_shape=(1, 8, 8), classes=10, seed=0, w=1)
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = model(x).std(0).max()
    el.silence(model, layer)
    assert before > 0 == model(x).std(0).max()
    dead = dead_units(model, x).set_index("layer")
    assert dead.dead[{"conv2": 2, "fc1": 3}[layer]] == dead.units[{"conv2": 2, "fc1": 3}[layer]]
    model(x).square().sum().backward()
    assert model.conv1.weight.grad.abs().max() == 0
    with pytest.raises(ValueError, match="layer='fc9': allowed is a layer with a bias"):
        el.silence(model, "fc9")
