"""Points in parameter space: reading, moving and putting back, bit for bit."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth.analysis import parameter_space as space


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


def test_a_point_is_a_copy_in_the_order_of_the_model():
    model = network()
    place = space.point(model)
    assert list(place) == [name for name, _ in model.named_parameters()]
    place["4.bias"] += 1
    assert not torch.equal(place["4.bias"], model[4].bias)
    assert list(space.point(model, ["4.bias", "0.weight"])) == ["0.weight", "4.bias"]
    assert set(space.buffers(model)) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


@given(st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=4))
def test_flat_and_unflat_are_inverse(shapes):
    g = torch.Generator().manual_seed(0)
    like = {str(k): torch.randn(shape, generator=g) for k, shape in enumerate(shapes)}
    vector = space.flat(like)
    assert vector.shape == (sum(math.prod(shape) for shape in shapes),)
    assert all(torch.equal(space.unflat(vector, like)[name], like[name]) for name in like)


def test_lengths_unit_directions_and_shifts():
    direction = {"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}
    assert space.length(direction) == 5
    assert space.flat(space.unit(direction)).tolist() == pytest.approx([0.6, 0.8])
    moved = space.shifted(direction, (2.0, direction), (-1.0, {"b": torch.tensor([[1.0]])}))
    assert (moved["a"].item(), moved["b"].item()) == (9, 11)
    assert direction["a"].item() == 3


def test_standing_elsewhere_and_back_bit_for_bit():
    model = network()
    model[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    place = {"0.weight": torch.full_like(model[0].weight, 1 / 3), "4.bias": torch.zeros(3)}
    with space.standing_at(model, place) as there:
        assert there is model
        assert torch.equal(model[0].weight, place["0.weight"])
        assert torch.equal(model[4].weight, before["4.weight"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(RuntimeError), space.standing_at(model, place):
        raise RuntimeError
    with pytest.raises(RuntimeError), space.standing_at(model, {"4.bias": torch.zeros(7)}):
        pass
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()][:2] == [False, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: space.point(m, ["nothing"]), "parameter 'nothing': not in the model"),
        (lambda _: space.point(nn.ReLU()), "allowed: none"),
        (lambda m: space.unflat(torch.zeros(3), space.point(m)), r"vector of shape \(3,\)"),
        (lambda _: space.unit({"a": torch.zeros(2)}), "length 0.0"),
        (lambda _: space.shifted({"a": torch.zeros(2)}, (1.0, {"b": torch.zeros(2)})), "'b'"),
        (lambda _: space.shifted({"a": torch.zeros(2)}, (1.0, {"a": torch.zeros(2, 1)})), "'a'"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(network())
    assert "\n" not in str(refusal.value)


def test_distance_from_where_a_model_stood():
    model = torch.nn.Linear(3, 2)
    distance = space.distance_from(model)
    assert distance(model) == 0
    with torch.no_grad():
        model.weight[0, 1] += 3
        model.bias[1] -= 4
    assert distance(model) == pytest.approx(5, rel=1e-6)
