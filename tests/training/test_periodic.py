"""Periodic adversarial scheduling: rates and recipes against the ledger, members, and costs counted."""

from __future__ import annotations

import math

import pytest
import torch
from training.small import smooth_net

from advsmooth import claims, data, settings
from advsmooth.attacks.gradient import PGD
from advsmooth.training import loop, periodic
from advsmooth.training.snapshots import SnapshotEnsemble, from_states

SETUP = claims.claim("liu2020-setup").published
DIGITS = data.load("digits").take(150, seed=0)
SHORT = {"w": 1, "epochs": 4, "rate": 3e-3, "pgd_steps": 2, "batch": 30}


@pytest.mark.parametrize(
    ("network", "values"),
    [
        ("vgg", [1e-3, 1e-3, math.sqrt(1e-7), 1e-4, 1e-4]),
        ("resnet18", [0.1, 0.01, 0.01, 1e-3, 1e-3]),
        ("lenet", [1e-4] * 5),
    ],
)
def test_rates_at_their_corners_and_in_every_period(network, values):
    shape = periodic.liu_rate(network)
    fractions = (0, 100 / 200, 125 / 200, 150 / 200, 199 / 200)
    assert [shape(200 * f, 200) for f in fractions] == pytest.approx(values)
    again = periodic.liu_rate(network, periodic=True)
    for start, length in ((0, 100), (100, 50), (150, 50)):
        assert [again(start + length * f, 200) for f in fractions] == pytest.approx(values)


@pytest.mark.parametrize("network", ["vgg", "resnet18"])
@pytest.mark.parametrize("again", [False, True])
def test_the_recipes_are_the_ledgers(network, again):
    recipe = periodic.liu_cifar10(network, budget="linear", periodic=again)
    attack = recipe.objective.attack
    assert recipe.epochs == SETUP["epochs"]["CIFAR10"]
    assert (attack.steps, attack.step / attack.eps) == (SETUP["pgd_iterations"]["CIFAR10"], 0.25)
    assert recipe.objective.at_budget(attack.eps / 2).attack.step == pytest.approx(attack.eps / 8)
    assert recipe.optimisers[0].options["weight_decay"] == SETUP["weight_decay_table1"]
    assert recipe.keep == ((0.5, 0.75, 1.0) if again else ())
    assert recipe.budget(150, 200) == (0 if again else pytest.approx(8 / 255))
    if network == "resnet18":
        assert recipe.optimisers[0].options["momentum"] == SETUP["momentum"]["ResNet18"]
        assert periodic.liu_cifar10(network, nesterov=True).optimisers[0].options["nesterov"]


@pytest.mark.parametrize("call", [lambda: periodic.liu_rate("alexnet"), lambda: periodic.liu_cifar10("lenet")])
def test_an_unknown_network_is_refused_in_one_line(call):
    with pytest.raises(ValueError, match="allowed is .*vgg, resnet18") as refusal:
        call()
    assert "\n" not in str(refusal.value)


def test_a_short_run_keeps_the_models_at_the_ends_of_its_periods():
    (run,) = periodic.short_periodic(DIGITS, 0.1, [3], budget="linear", **SHORT)
    found = loop.train(run.fresh(), DIGITS, run.recipe, seed=3)
    assert len(found.kept) == 3
    last, model = found.kept[-1], found.model.state_dict()
    assert all(torch.equal(last[name], model[name]) for name in model)
    restarts = found.steps.step[found.steps.budget == 0].tolist()
    assert restarts == [1, 11, 16]
    assert found.steps.rate[found.steps.budget == 0].tolist() == [3e-3] * 3
    (long,) = periodic.short_periodic(DIGITS, 0.1, [3], budget="linear", ends=(1.0,), **SHORT)
    assert len(loop.train(long.fresh(), DIGITS, long.recipe, seed=3).kept) == 1


def test_networks_trained_together_are_those_of_the_loop():
    planned = [
        *periodic.short_periodic(DIGITS, 0.1, [3, 4], budget="cosine", **SHORT),
        *periodic.short_periodic(DIGITS, 0.1, [3], budget="constant", ends=(1.0,), **SHORT),
    ]
    together = periodic.train_snapshots(planned)
    assert [len(ensemble.models) for ensemble in together] == [3, 3, 1]
    for run, ensemble in zip(planned, together, strict=True):
        alone = loop.train(run.fresh(), DIGITS, run.recipe, seed=run.seed)
        for member, state in zip(ensemble.models, alone.kept, strict=True):
            for name, value in member.state_dict().items():
                torch.testing.assert_close(value, state[name], atol=2e-4, rtol=1e-3)
    early, late = (ensemble.models[0].fc1.weight for ensemble in (together[0], together[2]))
    assert (early - late).abs().max() > 1e-2  # the tolerance above tells models of different times apart


def test_a_period_that_ends_within_an_epoch_is_refused():
    (run,) = periodic.short_periodic(DIGITS, 0.1, [3], budget="cosine", **(SHORT | {"epochs": 5}))
    with pytest.raises(ValueError, match="keep=0.5: not the end of one of 5 epochs"):
        periodic.train_snapshots([run])


def test_passes_are_those_of_the_attack_and_the_update():
    (run,) = periodic.short_periodic(DIGITS, 0.1, [3], budget="constant", **SHORT)
    assert periodic.training_passes(run) == {"forwards": 20 * 30 * 3, "backwards": 20 * 30 * 3}
    (warm,) = periodic.short_periodic(DIGITS, 0.1, [3], budget="cosine", **SHORT)
    spared = 3 * 30 * 2  # the first mini-batch of a period has budget 0, so nothing is attacked
    assert periodic.training_passes(warm) == {"forwards": 1800 - spared, "backwards": 1800 - spared}


def test_errors_of_members_and_ensemble():
    members = [smooth_net(seed=s) for s in range(3)]
    x = torch.rand(40, 6, generator=settings.generator(0), dtype=torch.float64)
    y = torch.randint(3, (40,), generator=settings.generator(1))
    ensemble = SnapshotEnsemble(members)
    table = periodic.snapshot_errors(ensemble, x, y, PGD(eps=0.3, steps=5), seed=4)
    assert list(table.model) == ["period 1", "period 2", "period 3", "ensemble"]
    mean = torch.stack([m(x).softmax(1) for m in members]).mean(0)
    assert table.clean_error.iloc[-1] == pytest.approx((mean.argmax(1) != y).double().mean().item())
    assert (table.robust_error >= table.clean_error).all()
    same = from_states(members[0], [members[0].state_dict()] * 2)
    twice = periodic.snapshot_errors(same, x, y, PGD(eps=0.3, steps=5), seed=4)
    assert twice.robust_error.nunique() == 1  # an ensemble of one model is that model
