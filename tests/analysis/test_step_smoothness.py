"""The change of a gradient over one step: closed forms, a kink, batch norm, and what is left untouched."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import settings
from advsmooth.analysis import step_smoothness as ss

NO_DATA = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)


class Vector(nn.Module):
    """A point in R^d."""

    def __init__(self, start):
        super().__init__()
        self.t = nn.Parameter(torch.tensor(start, dtype=torch.float64))


@dataclass(frozen=True)
class Quadratic:
    """``t A t / 2``: the gradient changes by ``h A g`` over a step."""

    a: torch.Tensor

    def inner(self, model, x, y, generator=None):  # noqa: ARG002 - one signature
        return x

    def outer(self, model, x, moved, y):  # noqa: ARG002
        return SimpleNamespace(loss=model.t @ self.a @ model.t / 2)


class WorstSide:
    """``max_s s t`` over signs ``s``: the absolute value, whose gradient is the sign found for ``t``."""

    def inner(self, model, x, y, generator=None):  # noqa: ARG002
        return torch.sign(model.t.detach())

    def outer(self, model, x, moved, y):  # noqa: ARG002
        return SimpleNamespace(loss=(moved * model.t).sum())


class ClassScores:
    """A network's loss at inputs moved by noise: not an attack, but random like one."""

    def inner(self, model, x, y, generator=None):  # noqa: ARG002
        return x + 0.1 * torch.randn(x.shape, generator=generator, dtype=x.dtype)

    def outer(self, model, x, moved, y):  # noqa: ARG002
        return SimpleNamespace(loss=nn.functional.cross_entropy(model(moved), y))


@given(st.integers(0, 20), st.floats(1e-3, 1.0))
def test_a_quadratic_loss_changes_in_proportion_to_the_step(seed, rate):
    g = settings.generator(seed)
    root = torch.randn(4, 4, generator=g, dtype=torch.float64)
    a, start = root @ root.T, torch.randn(4, generator=g, dtype=torch.float64)
    table = ss.changes(Vector(start.tolist()), Quadratic(a), *NO_DATA, [rate, 2 * rate])
    slope = a @ start
    expected = rate * (a @ slope).norm() / slope.norm()
    assert table["frozen"].tolist() == pytest.approx([float(expected), 2 * float(expected)])
    assert table["anew"].tolist() == table["frozen"].tolist()  # nothing to find
    assert table["gradient_norm"][0] == pytest.approx(float(slope.norm()))
    assert ss.exponent(table["rate"], table["frozen"]) == pytest.approx(1)


def test_a_kink_within_the_step_is_seen_with_examples_found_anew_only():
    table = ss.changes(Vector([0.05]), WorstSide(), *NO_DATA, [0.01, 0.1, 1.0])
    assert table["anew"].tolist() == [0, 2, 2]  # the sign turns once the step is longer than 0.05, and stays turned
    assert table["frozen"].tolist() == [0, 0, 0]
    assert ss.exponent([0.1, 1.0], table["anew"][1:].tolist()) == pytest.approx(0)


def norm_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Softplus(), nn.Linear(6, 2)).double()


def test_batch_norms_use_the_batch_and_the_model_is_left_alone():
    net, g = norm_net(), settings.generator(1)
    x, y = torch.randn(12, 3, generator=g, dtype=torch.float64), torch.randint(2, (12,), generator=g)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    table = ss.changes(net.eval(), ClassScores(), x, y, [0.1, 0.5], seed=3)
    assert not net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    # Plainly, with hooks for nothing: a copy in train mode, its gradient before and after the step.
    plain = norm_net().train()
    moved = ClassScores().inner(plain, x, y, settings.generator(3))

    def slope():
        loss = nn.functional.cross_entropy(plain(moved), y)
        return nn.utils.parameters_to_vector(torch.autograd.grad(loss, list(plain.parameters())))

    first = slope()
    start = nn.utils.parameters_to_vector(plain.parameters()).detach()
    for k, rate in enumerate([0.1, 0.5]):
        nn.utils.vector_to_parameters(start - rate * first, plain.parameters())
        expected = float((slope() - first).norm() / first.norm())
        assert table["frozen"][k] == pytest.approx(expected)
        assert table["anew"][k] == pytest.approx(expected)  # the same noise before and after


def test_along_a_training_the_states_are_those_given():
    states = {1: {"t": torch.tensor([1.0, 0.0])}, 5: {"t": torch.tensor([0.0, 1.0])}}
    a = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64))
    model = Vector([9.0, 9.0])
    table = ss.along(model, states, Quadratic(a), *NO_DATA, [0.1])
    assert table["epoch"].tolist() == [1, 5]
    assert table["anew"].tolist() == pytest.approx([0.1, 0.3])
    assert model.t.tolist() == [9, 9]


def test_distance_counts_parameters_only():
    net = norm_net()
    first = {name: value.clone() for name, value in net.state_dict().items()}
    second = {name: value.clone() for name, value in first.items()}
    second["1.running_mean"] += 7
    assert ss.distance(net, first, second) == 0
    second["3.bias"] += torch.tensor([3.0, 4.0])
    assert ss.distance(net, first, second) == pytest.approx(5)


@pytest.mark.parametrize("rates", [[], [0.1, 0.0]])
def test_refused_rates(rates):
    with pytest.raises(ValueError, match="allowed are positive numbers"):
        ss.changes(Vector([1.0]), WorstSide(), *NO_DATA, rates)


def test_no_step_without_a_gradient():
    with pytest.raises(ValueError, match="no step to take"):
        ss.changes(Vector([0.0]), WorstSide(), *NO_DATA, [0.1])


@pytest.mark.parametrize(("rates", "values"), [([0.1], [1.0]), ([0.1, 0.1], [1.0, 2.0]), ([0.1, 1.0], [0.0, 1.0])])
def test_refused_exponents(rates, values):
    with pytest.raises(ValueError, match="two or more"):
        ss.exponent(rates, values)
