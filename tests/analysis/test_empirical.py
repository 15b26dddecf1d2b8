"""The mean loss over data, clean and under attack."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from advsmooth import data
from advsmooth.analysis import empirical
from advsmooth.attacks.gradient import PGD


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=50).to("cpu", torch.float64)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10)).double()


def test_batches_change_nothing(digits):
    model = network()
    expected = nn.functional.cross_entropy(model.eval()(digits.x), digits.y).item()
    for batch in (7, 25, 1000):
        assert empirical.mean_loss(model, digits.x, digits.y, batch=batch) == pytest.approx(expected, rel=1e-14)
    each = empirical.example_losses(model, digits.x, digits.y, loss=empirical.zero_one, batch=8)
    assert each.shape == (50,)
    assert set(each.tolist()) <= {0.0, 1.0}
    assert each.mean().item() == (model(digits.x).argmax(1) != digits.y).double().mean().item()


def test_an_attack_is_repeated_by_its_seed_and_raises_the_loss(digits):
    model, attack = network(), PGD(eps=0.1, step_size=0.03, steps=4)
    first, again, other = (empirical.mean_loss(model, digits.x, digits.y, attack=attack, seed=s) for s in (1, 1, 2))
    assert first == again != other
    assert first > empirical.mean_loss(model, digits.x, digits.y)
    perturbed = empirical.adversarial_examples(model, attack, digits.x, digits.y, seed=1)
    assert empirical.mean_loss(model, perturbed, digits.y) == first
    assert not perturbed.requires_grad


def test_the_model_is_left_as_found(digits):
    model = network().train()
    model[2].eval()
    flags, before = [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    empirical.mean_loss(model, digits.x, digits.y, attack=PGD(eps=0.1, steps=2))
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("change", [{"y": slice(0, 3)}, {"x": slice(0, 0), "y": slice(0, 0)}, {"batch": 0}])
def test_bad_input_is_refused_in_one_line(digits, change):
    x, y = digits.x[change.get("x", slice(None))], digits.y[change.get("y", slice(None))]
    with pytest.raises(ValueError, match="allowed is equally many"):
        empirical.mean_loss(network(), x, y, batch=change.get("batch", 10))
