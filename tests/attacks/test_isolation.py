"""Flags and the global random state are given back, whatever happens."""

import pytest
import torch
from torch import nn

from advsmooth import settings
from advsmooth.attacks.isolation import frozen, seeded


def flags(model):
    return [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]


def test_inside_everything_is_frozen_and_outside_each_flag_is_its_own(spoiled):
    model, _ = spoiled
    before = flags(model)
    assert len(set(before[0])) == len(set(before[1])) == 2, "the test needs mixed flags"
    with frozen(model):
        inside = flags(model)
        assert not any(inside[0])
        assert not any(inside[1])
    assert flags(model) == before


def test_flags_come_back_after_an_error(spoiled):
    model, _ = spoiled
    before = flags(model)
    with pytest.raises(RuntimeError, match="on purpose"), frozen(model):
        raise RuntimeError("on purpose")
    assert flags(model) == before


def test_a_module_that_overrides_train_is_not_called_and_is_restored():
    class Stubborn(nn.Linear):
        def train(self, mode=True):  # noqa: ARG002
            raise AssertionError("a model's own train() may do anything")

    model = nn.Sequential(Stubborn(2, 2))
    model.training = False  # the child stays in train mode
    with frozen(model):
        assert not model[0].training
    assert model[0].training
    assert not model.training


def test_no_backward_inside_reaches_a_parameter():
    model = nn.Linear(3, 2)
    x = torch.rand(4, 3, requires_grad=True)
    model(x).sum().backward()
    assert model.weight.grad is not None, "outside it does"
    model.zero_grad(set_to_none=True)
    with frozen(model):
        model(x).sum().backward()
    assert model.weight.grad is None


def test_a_graph_that_was_made_before_still_reaches_the_parameters():
    model = nn.Linear(3, 2)
    loss = model(torch.rand(4, 3)).sum()
    with frozen(model):
        pass
    loss.backward()
    assert model.weight.grad is not None


def test_functions_and_weights_that_are_no_leaves_are_left_alone():
    with frozen(torch.sin):
        pass
    model = nn.Linear(3, 2)
    model._parameters["weight"] = 2 * torch.ones(2, 3, requires_grad=True)  # as torch.func.functional_call puts it
    with frozen(model):
        assert model.weight.requires_grad
        assert not model.bias.requires_grad
    assert model.bias.requires_grad


def test_the_global_random_state_follows_the_generator_and_comes_back():
    before = torch.random.get_rng_state()
    draws = []
    for seed in (1, 1, 2):
        with seeded(settings.generator(seed)) as s:
            draws.append((s, torch.rand(3).tolist()))
    assert draws[0] == draws[1] != draws[2]
    with pytest.raises(RuntimeError, match="on purpose"), seeded(settings.generator(1)):
        raise RuntimeError(f"on purpose, after {torch.rand(1)}")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_second_use_of_a_generator_gives_another_seed():
    g = settings.generator(0)
    with seeded(g) as first, seeded(g) as second:
        assert first != second


def test_random_numbers_need_a_generator():
    with pytest.raises(ValueError, match=r"generator=None.*settings\.generator"), seeded(None):
        pass
