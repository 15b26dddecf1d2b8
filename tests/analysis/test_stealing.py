"""Thieves: Gibbs' inequality, a thief that is its victim, and what the cache knows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from advsmooth import data
from advsmooth.analysis.stealing import Imitation, compare, log_answers, theft
from advsmooth.training import runs
from advsmooth.training.recipe import Recipe
from advsmooth.training.runs import Run
from advsmooth.training.schedules import Drops

DIGITS = data.load("digits").take(60, seed=0)


def answers(seed, n=7, scale=3.0):
    g = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(n, 10, generator=g, dtype=torch.float64)).log_softmax(1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.01, 30))
def test_no_thief_comes_below_the_entropy_of_its_victim(one, other, scale):
    victim, thief = answers(one, scale=scale), answers(other, scale=scale)
    found, itself = compare(victim, thief), compare(victim, victim)
    assert found.divergence >= -1e-12
    assert itself.cross_entropy == pytest.approx(itself.entropy, abs=1e-12)
    assert itself.agreement == 1
    assert found.entropy == itself.entropy
    assert 0 <= found.entropy <= torch.log(torch.tensor(10.0)) + 1e-9


def test_closed_forms():
    certain = torch.full((2, 4), -torch.inf, dtype=torch.float64)
    certain[:, 1] = 0
    even = torch.full((2, 4), 0.25, dtype=torch.float64).log()
    assert compare(certain, certain) == compare(certain, certain.clone())
    assert compare(certain, certain).cross_entropy == 0
    assert compare(certain, even).cross_entropy == pytest.approx(1.3862943611)
    assert compare(even, certain).cross_entropy == torch.inf


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def test_answers_are_probabilities_and_leave_the_network_as_it_was():
    model = network().train()
    told = log_answers(model, DIGITS.x, batch=7)
    assert model.training
    assert told.exp().sum(1).allclose(torch.ones(60, dtype=torch.float64))
    assert told.allclose(model(DIGITS.x).double().log_softmax(1), atol=1e-6)


def test_the_loss_looks_up_the_answer_of_each_query():
    told = answers(0, n=60).exp().float()
    y = torch.tensor([5, 2, 40])
    model = network()
    found = Imitation(told, "sum")(model, DIGITS.x[y], y)
    expected = -(told[y] * model(DIGITS.x[y]).log_softmax(1)).sum(1).mean()
    assert torch.allclose(found, expected)


def planned(victim, epochs=40):
    recipe = Recipe(epochs=epochs, batch=20, rate=Drops(0.5))
    return theft(Run("lenet", {"w": 1}, DIGITS, recipe, seed=0), victim)


def test_a_thief_never_sees_the_labels_and_another_victim_is_another_run():
    run = planned(network())
    assert run.data.y.tolist() == list(range(60))
    other = network()
    with torch.no_grad():
        other[1].weight.mul_(1.001)
    keys = {
        run.key(),
        planned(network()).key(),
        planned(other).key(),
        Run("lenet", {"w": 1}, DIGITS, Recipe(epochs=40)).key(),
    }
    assert len(keys) == 3


def test_a_thief_learns_its_victim_and_a_resumed_one_is_the_same(tmp_path):
    """The victim sharpens its answers, so that there is something to copy; the cache is resumed after half."""
    victim = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    with torch.no_grad():
        victim[1].weight.copy_(torch.randn(10, 64, generator=torch.Generator().manual_seed(0)))
    told = log_answers(victim, DIGITS.x)
    run = planned(victim)
    before = compare(told, log_answers(run.fresh(), DIGITS.x)).cross_entropy
    whole = runs.trained(run, folder=tmp_path / "whole")
    assert compare(told, log_answers(whole.model, DIGITS.x)).cross_entropy < before

    class StoppedError(RuntimeError):
        pass

    seen = []

    def stop(_):
        seen.append(1)
        if len(seen) == 25:
            raise StoppedError
        return 0.0

    with pytest.raises(StoppedError):
        runs.trained(run, measures={"stop": lambda _: stop}, folder=tmp_path / "parts", every=10)
    again = runs.trained(run, measures={"stop": lambda _: lambda _: 0.0}, folder=tmp_path / "parts")
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_tables_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="two equal"):
        compare(answers(0, n=3), answers(0, n=4))
