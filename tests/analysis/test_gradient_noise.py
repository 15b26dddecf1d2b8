"""The readings of a gradient variance, against the streaming estimators and closed forms."""

import copy

import pytest
import torch
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import gradient_noise, variance
from advsmooth.analysis.connectivity import reestimate_batch_norm

DIGITS = data.load("digits", "train").take(40, seed=0)


def network(scale=1.0):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 10)]
    model = nn.Sequential(*layers)
    with torch.no_grad():
        model[4].weight.mul_(scale)
    return model


def test_single_examples_are_those_of_the_streaming_estimators():
    model = network(30.0)
    found = gradient_noise.by_example(model, DIGITS)
    free = variance.per_example(model, DIGITS.x, DIGITS.y)
    held = variance.per_example(model, DIGITS.x, DIGITS.y, clip=variance.ARTIFACT_CLIP)
    assert found["examples"] == pytest.approx(free.total())
    assert found["artifact, free"] == pytest.approx(free.sum_of_deviations())
    assert found["artifact"] == pytest.approx(held.sum_of_deviations())
    assert 0 < found["clipped"] <= 1
    assert found["artifact"] <= found["bound"]


def test_only_a_fresh_network_has_its_statistics_estimated():
    fresh, trained = network(), network()
    before = copy.deepcopy(trained.state_dict())
    first = gradient_noise.measure(fresh, DIGITS, DIGITS.take(8), fresh=True, batch=10, draws=3)
    second = gradient_noise.measure(trained, DIGITS, DIGITS.take(8), fresh=False, batch=10, draws=3)
    assert [k for k in first if k.startswith("raw")]
    assert not [k for k in second if k.startswith("raw")]
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert first["raw examples"] == pytest.approx(second["examples"])  # 0 and 1, the same network
    reestimate_batch_norm(trained, DIGITS.x)
    assert first["examples"] == pytest.approx(variance.per_example(trained, DIGITS.x[:8], DIGITS.y[:8]).total())


def test_mini_batches_are_those_of_training():
    found = gradient_noise.measure(network(), DIGITS, DIGITS.take(8), fresh=False, batch=10, draws=4, seed=3)
    oracle = variance.over_batches(
        network(), DIGITS.x, DIGITS.y, size=10, draws=4, generator=settings.generator(3), batch_statistics=True
    )
    assert found["batches"] == pytest.approx(oracle.unbiased_total())
    assert found["batches, square"] == pytest.approx(found["batches"] + found["batches, signal"])
    assert found["batches, signal"] == pytest.approx(oracle.mean.square().sum().item() - oracle.unbiased_total() / 4)
    assert 0 <= found["reliability"] <= 1


def test_the_whole_set_as_a_mini_batch_is_perfectly_reliable():
    found = gradient_noise.measure(network(), DIGITS, DIGITS.take(8), fresh=False, batch=40, draws=3)
    assert found["reliability"] == pytest.approx(1, abs=1e-6)


def test_the_replay_is_deterministic():
    first = gradient_noise.replay(images=32)
    assert first == gradient_noise.replay(images=32)
    assert "PC-DARTS, time 0.0: raw artifact" in first


def test_the_rules_of_initialisation_have_their_variances():
    model = nn.Sequential(nn.Conv2d(4, 64, 3), nn.Conv2d(64, 64, 3))
    before = copy.deepcopy(model.state_dict())
    he, default = (gradient_noise.reinitialised(model, rule, 0) for rule in gradient_noise.RULES)
    assert he[1].weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)
    assert default[1].weight.var().item() == pytest.approx(1 / (3 * 64 * 9), rel=0.05)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="allowed is he or default"):
        gradient_noise.reinitialised(model, "xavier", 0)
