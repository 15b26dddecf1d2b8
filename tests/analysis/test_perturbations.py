"""Similarity of perturbations, dead units and the scale of the loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from advsmooth import data, settings
from advsmooth.analysis import empirical, landscape, perturbations
from advsmooth.analysis import parameter_space as space
from advsmooth.attacks.gradient import PGD
from advsmooth.models.fcn import FCN
from advsmooth.models.lenet import LeNet


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=40).to("cpu", torch.float64)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).double()


# --- similarity -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.floats(-1, 1))
def test_cosine_of_known_angles(seed, scale, cosine):
    g = settings.generator(seed)
    u, v = torch.linalg.qr(torch.randn(12, 2, generator=g, dtype=torch.float64)).Q.T.reshape(2, 1, 3, 4)
    other = cosine * u + math.sqrt(1 - cosine**2) * v
    assert perturbations.cosine_similarity(u, scale * other).item() == pytest.approx(cosine, abs=1e-9)


def test_cosine_of_zero_perturbations():
    zero, one = torch.zeros(1, 4), torch.ones(1, 4)
    stacked = perturbations.cosine_similarity(torch.cat([zero, zero, one, one]), torch.cat([zero, one, zero, -one]))
    assert stacked.tolist() == pytest.approx([1, 0, 0, -1])
    with pytest.raises(ValueError, match="shapes"):
        perturbations.cosine_similarity(zero, torch.ones(2, 4))


def test_similarity_falls_with_the_distance_and_counts_both_errors(digits):
    model, attack = network(), PGD(eps=0.1, step_size=0.02, steps=5, random_start=False)
    direction = landscape.random_direction(space.point(model), settings.generator(0), normalise="none")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    table = perturbations.similarity_along(
        model, attack, digits.x, digits.y, direction, [0.0, 1.0, 8.0], seeds=[0, 1], batch=16
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert list(table.columns) == ["offset", "seed", "cosine", "error_plus", "error_minus"]
    mean = table.groupby("offset")["cosine"].mean()
    assert mean[0.0] == pytest.approx(1.0)
    assert mean[0.0] > mean[1.0] > mean[8.0]
    for sign, column in ((1, "error_plus"), (-1, "error_minus")):
        moved = space.shifted(space.point(model), (sign * 8.0, space.unit(direction)))
        with space.standing_at(model, moved):
            found = empirical.mean_loss(model, digits.x, digits.y, loss=empirical.zero_one, attack=attack)
        assert (table.loc[table["offset"] == 8.0, column] == found).all()


def test_only_the_direction_of_the_direction_counts(digits):
    model, attack = network(), PGD(eps=0.1, steps=2, random_start=False)
    direction = landscape.random_direction(space.point(model), settings.generator(0))
    tenfold = {name: 10 * value for name, value in direction.items()}
    found = [
        perturbations.similarity_along(model, attack, digits.x, digits.y, d, [0.5], seeds=[0])["cosine"].item()
        for d in (direction, tenfold)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_two_random_starts_lower_the_similarity_even_in_place(digits):
    model, attack = network(), PGD(eps=0.1, step_size=0.01, steps=1)
    direction = landscape.random_direction(space.point(model), settings.generator(0))
    common, own = (
        perturbations.similarity_along(
            model, attack, digits.x, digits.y, direction, [0.0], seeds=[0], common_start=common
        )["cosine"].item()
        for common in (True, False)
    )
    assert common == pytest.approx(1.0)
    assert own < 0.6


# --- dead units -----------------------------------------------------------------------------------------------------


class Functional(nn.Module):
    """ReLUs of several kinds, none of them a module; one function used twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.linear = nn.Conv2d(1, 4, 3), nn.Linear(4 * 36, 5)

    def forward(self, x):
        x = functional.relu(self.conv(x), inplace=True)
        x = torch.relu(self.linear(x.flatten(1)))
        return (x - 0.1).relu_()


def test_dead_units_are_counted_by_layer_and_channel(digits):
    model = Functional().double().train()
    with torch.no_grad():
        model.conv.bias[:] = torch.tensor([100.0, -100.0, 100.0, -100.0])
        model.linear.bias.fill_(-1e6)
    table = perturbations.dead_units(model, digits.x, batch=7)
    assert table.to_dict("list") == {
        "layer": [1, 2, 3],
        "units": [4 * 36, 5, 5],
        "dead": [2 * 36, 5, 5],
        "channels": [4, 5, 5],
        "dead_channels": [2, 5, 5],
    }
    assert model.training


@pytest.mark.parametrize("inplace", [False, True])
def test_modules_are_counted_once_and_agree_with_the_activations(digits, inplace):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 30), nn.ReLU(inplace=inplace), nn.Linear(30, 10)).double()
    with torch.no_grad():
        model[1].bias.copy_(torch.linspace(-3, 0, 30))
    dead = int((model[:3](digits.x) == 0).all(0).sum())
    assert 0 < dead < 30
    table = perturbations.dead_units(model, digits.x, batch=3)
    assert (len(table), table["dead"].item()) == (1, dead)
    lively = perturbations.dead_units(model, digits.x[:1], batch=3)["dead"].item()
    assert lively > dead, "units that wake up on a later input are not dead"


def test_a_dead_layer_makes_a_constant_without_gradient(digits):
    """What the paper says of it: earlier layers get zero gradient, the output does not depend on the input."""
    model = LeNet((1, 8, 8), 10, w=1).double()
    with torch.no_grad():
        model.conv2.bias.fill_(-100.0)
    table = perturbations.dead_units(model, digits.x)
    assert (table["dead"] == table["units"]).tolist() == [False, True, False]
    logits = model(digits.x)
    assert torch.equal(logits, logits[:1].expand_as(logits))
    functional.cross_entropy(logits, digits.y).backward()
    assert not model.conv1.weight.grad.any()
    assert model.fc2.bias.grad.any()


def test_functional_networks_of_the_library_are_seen(digits):
    table = perturbations.dead_units(FCN(64, 6, 10, 4, dtype=torch.float64), digits.x)
    assert table["units"].tolist() == [6, 6, 6]
    with pytest.raises(ValueError, match="no ReLU"):
        perturbations.dead_units(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).double(), digits.x)


# --- the scale of the loss ------------------------------------------------------------------------------------------


def test_the_scale_is_the_mean_loss_of_fresh_models(digits):
    attack = PGD(eps=0.1, step_size=0.05, steps=3)
    clean = perturbations.loss_scale(network, digits.x, digits.y, seeds=range(4))
    attacked = perturbations.loss_scale(network, digits.x, digits.y, seeds=range(4), attack=attack)
    assert clean.tolist() == [empirical.mean_loss(network(s), digits.x, digits.y) for s in range(4)]
    assert clean.dtype == torch.float64
    assert (attacked > clean).all()
    assert clean.mean().item() == pytest.approx(math.log(10), rel=0.1)
    with pytest.raises(ValueError, match="seeds"):
        perturbations.loss_scale(network, digits.x, digits.y, seeds=[])
