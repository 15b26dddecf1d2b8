"""Networks trained together against each trained alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn
from training.small import blobs, fcn, norm_net, smooth_net, snapshot

from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.losses import margin
from advsmooth.models.fcn import FCN
from advsmooth.training import ensembles
from advsmooth.training.ensembles import stacked_forward, train_together
from advsmooth.training.loop import train
from advsmooth.training.objectives import TRADES, AdversarialTraining, Standard
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Constant, Drops, LinearBudget

SGD = Optimiser(torch.optim.SGD, {"momentum": 0.9, "weight_decay": 1e-3})
PLAIN = Recipe(epochs=4, batch=32, rate=Constant(0.05), optimisers=(SGD,))


def attacked(eps, norm="linf", **options):
    return AdversarialTraining(PGD(eps=eps, steps=3, norm=norm, **options))


def convolutional(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(9, 3)
        ).double()


def with_budgets(*budgets, **options):
    return [replace(PLAIN, objective=attacked(eps, **options)) for eps in budgets]


def with_rates(*rates):
    return [replace(PLAIN, rate=rate) for rate in rates]


SCHEDULED = replace(PLAIN, objective=attacked(0.1))
FIXED_STEP = replace(PLAIN, objective=attacked(0.1, step_size=0.01), budget=Constant(0.05))
SWEEPS = {
    "seeds": ([fcn] * 3, [PLAIN] * 3),
    "widths": ([lambda seed, m=m: fcn(m=m, seed=seed) for m in (4, 9, 4, 9)], [PLAIN] * 4),
    "rates": ([fcn] * 3, with_rates(Constant(0.01), Drops(0.1, at=(0.5,)), Constant(0.0))),
    "budgets": ([fcn] * 4, with_budgets(0.0, 0.02, 0.05, 0.1)),
    "budgets in l2": ([fcn] * 3, with_budgets(0.0, 0.1, 0.4, norm="l2")),
    "scheduled": (
        [fcn] * 3,
        [SCHEDULED, *(replace(SCHEDULED, budget=b) for b in (LinearBudget(0.1, 0.2), Constant(0.05)))],
    ),
    "step": ([fcn] * 2, [FIXED_STEP, replace(FIXED_STEP, objective=replace(FIXED_STEP.objective, scale_step=False))]),
    "another loss": ([fcn] * 2, with_budgets(0.05, 0.1, loss=margin)),
    "no random start": ([fcn] * 2, with_budgets(0.05, 0.1, random_start=False)),
    "other networks": ([lambda seed: smooth_net(d=5, seed=seed)] * 3, with_budgets(0.05, 0.05, 0.1)),
    "convolutions": ([convolutional] * 2, with_budgets(0.05, 0.1)),
    "counted in steps": (
        [fcn] * 2,
        [replace(PLAIN, epochs=None, steps=7, per_step=True, rate=Drops(0.1, at=(0.5,)))] * 2,
    ),
    "Adam": (
        [fcn] * 3,
        [replace(r, optimisers=(Optimiser(torch.optim.Adam, {}),)) for r in with_budgets(0.0, 0.02, 0.05)],
    ),
    "Adam with decay": (
        [fcn] * 2,
        [replace(PLAIN, optimisers=(Optimiser(torch.optim.Adam, {"betas": (0.8, 0.9), "weight_decay": 1e-2}),))] * 2,
    ),
    "plain descent": ([fcn] * 2, [replace(PLAIN, drop_last=True, optimisers=(Optimiser(torch.optim.SGD, {}),))] * 2),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_together_is_each_alone(name):
    makers, recipes = SWEEPS[name]
    dataset = blobs()
    seeds = [3 + k for k in range(len(makers))]
    measures = {"size": lambda m: next(m.parameters()).norm().item()}
    together = [make(seed=seed) for make, seed in zip(makers, seeds, strict=True)]
    runs = train_together(together, dataset, recipes, seeds=seeds, measures=measures)
    for k, (make, recipe, seed) in enumerate(zip(makers, recipes, seeds, strict=True)):
        alone = make(seed=seed)
        start = snapshot(alone)
        run = train(alone, dataset, recipe, seed=seed, measures=measures)
        assert runs[k].model is together[k]
        for (parameter, value), other in zip(snapshot(alone).items(), snapshot(together[k]).values(), strict=True):
            torch.testing.assert_close(other, value, rtol=1e-9, atol=1e-11)
            assert recipe.rate == Constant(0.0) or not torch.equal(value, start[parameter])
        pd.testing.assert_frame_equal(runs[k].steps, run.steps, rtol=1e-8)
        pd.testing.assert_frame_equal(
            runs[k].epochs.drop(columns="seconds"), run.epochs.drop(columns="seconds"), rtol=1e-8
        )


def test_members_do_not_mix():
    """A member comes out the same whoever is trained beside it."""
    companies = [[0, 1, 2], [2, 0], [0]]
    found = []
    for company in companies:
        models = [fcn(seed=k) for k in company]
        recipes = [replace(PLAIN, objective=attacked(0.05 + 0.05 * k), rate=Constant(0.1 / (1 + k))) for k in company]
        train_together(models, blobs(), recipes, seeds=company)
        found.append(models[company.index(0)].weights[0].detach())
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-9, atol=1e-12)


def test_a_wrong_data_order_would_show():
    """Negative control for the comparison above: another seed gives another network."""
    runs = [fcn(), fcn()]
    train_together(runs, blobs(), [PLAIN] * 2, seeds=[0, 1])
    assert not torch.allclose(runs[0].weights[0], runs[1].weights[0], rtol=1e-3)


@pytest.mark.parametrize("make", [fcn, lambda seed: smooth_net(d=5, seed=seed), convolutional])
def test_stacked_forward_is_each_network(make):
    models = [make(seed=k) for k in range(3)]
    weights = [torch.stack(p).detach() for p in zip(*(list(m.parameters()) for m in models), strict=True)]
    x = torch.rand(3, 7, 5, dtype=torch.float64)
    found = stacked_forward(models)(weights, x)
    torch.testing.assert_close(found, torch.stack([m(xs).T for m, xs in zip(models, x, strict=True)]))


def test_networks_that_differ_in_a_number_only_are_not_stacked():
    a, b = FCN(5, 4, 3, 2, alpha=1.0, dtype=torch.float64), FCN(5, 4, 3, 2, alpha=1.0000001, dtype=torch.float64)
    assert repr(a) == repr(b)
    assert ensembles._architecture(a) != ensembles._architecture(b)
    runs = train_together([a, b], blobs(), [PLAIN] * 2, seeds=[0, 0])
    alone = FCN(5, 4, 3, 2, alpha=1.0000001, dtype=torch.float64)
    assert runs[1].steps.loss.tolist() == pytest.approx(train(alone, blobs(), PLAIN).steps.loss.tolist(), rel=1e-12)
    assert runs[0].steps.loss[0] != runs[1].steps.loss[0]


def test_the_global_generator_is_not_read_and_no_gradient_is_left():
    state, models = torch.random.get_rng_state(), [fcn(seed=k) for k in range(2)]
    runs = train_together(models, blobs(), [replace(PLAIN, objective=attacked(0.1))] * 2, seeds=[0, 1])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(p.grad is None and p.requires_grad for m in models for p in m.parameters())
    assert all(run.best is None and run.kept == () for run in runs)
    assert math.isnan(runs[0].steps.budget[0])


@pytest.mark.parametrize(
    ("models", "recipes", "message"),
    [
        ([fcn()], [], "1 models, 0 recipes, 1 seeds"),
        ([fcn().eval()], [PLAIN], "must be in train mode"),
        ([norm_net()], [PLAIN], "BatchNorm2d: networks that keep statistics"),
        ([nn.Sequential(nn.Linear(5, 3).double(), nn.Dropout())], [PLAIN], "Dropout: networks that"),
        ([fcn(), fcn()], [PLAIN, replace(PLAIN, batch=8)], "batch=8: must be the same for all, here also 32"),
        ([fcn()], [replace(PLAIN, held_out=5)], "held_out=5: not available for networks trained together"),
        ([fcn()], [replace(PLAIN, awp=Constant(0.1))], "not available for networks trained together"),
        ([fcn()], [replace(PLAIN, optimisers=(Optimiser(torch.optim.RMSprop, {}),))], "together only SGD"),
        ([fcn()], [replace(PLAIN, optimisers=(Optimiser(torch.optim.SGD, {"nesterov": True}),))], "together only SGD"),
        ([fcn()], [replace(PLAIN, objective=TRADES())], "together only Standard"),
        ([fcn()], [replace(PLAIN, objective=attacked(0.1, restarts=2))], "together only Standard"),
        ([fcn(), fcn()], [PLAIN, replace(PLAIN, objective=attacked(0.1))], "must be the same for all, apart from"),
        ([fcn()], [replace(PLAIN, budget=Constant(0.1))], "Standard has no budget"),
    ],
)
def test_bad_input_is_refused_in_one_line(models, recipes, message):
    with pytest.raises(ValueError, match=message) as refusal:
        train_together(models, blobs(), recipes, seeds=list(range(len(models))))
    assert "\n" not in str(refusal.value)


def test_standard_objectives_with_another_loss_are_another_template():
    double = replace(
        PLAIN, objective=Standard(lambda logits, y: 2 * nn.functional.cross_entropy(logits, y, reduction="none"))
    )
    with pytest.raises(ValueError, match="must be the same for all"):
        train_together([fcn(), fcn()], blobs(), [PLAIN, double], seeds=[0, 1])
