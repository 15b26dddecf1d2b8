"""What a GPU may do to a recipe: the rules, and what they rest on, bf16 and compiled against float32 on the CPU."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import combinations

import pandas as pd
import pytest
import torch
from training.small import blobs, fcn, images, norm_net, same, snapshot

from advsmooth import data, settings
from advsmooth.attacks.gradient import PGD
from advsmooth.devices import Device
from advsmooth.models import registry
from advsmooth.training.acceleration import BF16_NOISE, accelerated
from advsmooth.training.entropysgd import EntropySGD
from advsmooth.training.loop import train
from advsmooth.training.objectives import TRADES, AdversarialTraining, GradientRegularised, Standard
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Constant, LinearBudget

GPU = Device("cuda", channels_last=True, bf16=True, capture=True)
AT = AdversarialTraining(PGD(eps=0.1, steps=3))
BASE = Recipe(AT, epochs=2, batch=20, rate=Constant(0.05))
OBJECTIVES = [Standard(), AT, TRADES(eps=0.1, step_size=0.03, steps=3)]


def pictures(n=40):
    x, y = images(n, dtype=torch.float32)
    return data.from_arrays("pictures", "train", x, y, list("abc"), "a test")


# --- the rules --------------------------------------------------------------------------------------------------


def test_on_a_cpu_a_recipe_stays_as_it_is():
    assert accelerated(BASE, pictures(), Device("cpu")).recipe == BASE


def test_on_a_gpu_it_gets_everything_where_nothing_speaks_against_it():
    found = accelerated(BASE, pictures(), GPU)
    assert found.left_out == {}
    assert found.recipe == replace(BASE, channels_last=True, bf16=True, capture=True, drop_last=True)


def test_a_gpu_without_bfloat16_keeps_float32():
    found = accelerated(BASE, pictures(), replace(GPU, bf16=False)).recipe
    assert not found.bf16
    assert found.capture


@pytest.mark.parametrize(
    ("change", "option", "reason"),
    [
        ({"objective": GradientRegularised()}, "bf16", "GradientRegularised is differentiated twice"),
        ({"objective": GradientRegularised()}, "capture", "GradientRegularised has not been recorded"),
        ({"optimisers": (Optimiser(EntropySGD, {"langevin": 3}),)}, "bf16", "the noise of EntropySGD"),
        ({"batch": 16}, "capture", "the last of 40 examples are a smaller batch than 16"),
        ({"held_out": 5}, "capture", "the last of 35 examples"),
        ({"budget": LinearBudget(0.1, 0.2), "per_step": True}, "capture", "the budget changes with every batch"),
        (
            {"objective": replace(AT, attack=replace(AT.attack, early_stop=True))},
            "capture",
            "which examples are broken",
        ),
    ],
)
def test_what_is_left_out_says_why(change, option, reason):
    found = accelerated(replace(BASE, **change), pictures(), GPU)
    assert reason in found.left_out[option]
    assert not getattr(found.recipe, option)


def test_a_budget_that_changes_once_an_epoch_is_recorded_once_an_epoch():
    assert accelerated(replace(BASE, budget=LinearBudget(0.1, 0.2)), pictures(), GPU).recipe.capture


def test_inputs_that_are_no_images_keep_their_layout():
    assert accelerated(replace(BASE, batch=24), blobs(), GPU).left_out == {"channels_last": "the inputs are no images"}


def test_dropping_the_last_batch_drops_nothing_where_it_is_done_for_capture():
    whole = pictures()
    recipe = replace(accelerated(BASE, whole, GPU).recipe, bf16=False, capture=False, channels_last=False)
    runs = [train(norm_net(dtype=torch.float32), whole, each) for each in (BASE, recipe)]
    assert same(snapshot(runs[0].model), snapshot(runs[1].model))


# --- bfloat16 against float32 -------------------------------------------------------------------------------------


def gradient(model, objective, x, moved, y, *, bf16=False):
    """Of one mini-batch, at given inputs."""
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss, _ = objective.outer(model, x, moved, y)
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def added_noise(model, objective, digits, batch=128, batches=4):
    """Relative growth, through bfloat16, of the distance between the gradients of two mini-batches."""
    exact, rounded = [], []
    for x, y in list(zip(digits.x.split(batch), digits.y.split(batch), strict=True))[:batches]:
        # Once: a pass moves the running statistics that the attack sees, and it would find other inputs.
        moved = objective.inner(model, x, y, settings.generator(0))
        exact.append(gradient(model, objective, x, moved, y))
        rounded.append(gradient(model, objective, x, moved, y, bf16=True))
    return growth(exact, rounded)


def growth(exact, rounded):
    """Relative growth of the distance between two gradients, if each has an independent error."""
    noise = torch.stack([(a - b).norm() for a, b in combinations(exact, 2)]).mean()
    error = (
        torch.stack([(a - b).norm() for a, b in zip(exact, rounded, strict=True)]).mean() * 2**0.5
    )  # in a difference
    return float((1 + (error / noise) ** 2) ** 0.5 - 1)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize(("network", "own"), [("fcn", {"m": 64, "L": 4}), ("lenet", {"w": 2}), ("resnet18", {"w": 1})])
def test_bf16_adds_less_noise_to_a_gradient_than_is_allowed(network, own, objective):
    digits = data.load("digits")
    model = registry.build(network, in_shape=digits.shape, classes=10, seed=0, **own)
    for steps in (4, 30):  # in its first mini-batches a fresh ResNet is above it, by up to a percent
        train(model, digits, Recipe(steps=steps, batch=128, rate=Constant(0.05)))
        assert 0 < added_noise(model, objective, digits) < BF16_NOISE


def test_three_bits_would_not_pass():
    """The negative control: weights rounded to three bits make gradients that the tolerance refuses."""
    digits = data.load("digits")
    model = registry.build("lenet", in_shape=digits.shape, classes=10, seed=0, w=2)
    rounded = registry.build("lenet", in_shape=digits.shape, classes=10, seed=0, w=2)
    with torch.no_grad():
        for p in rounded.parameters():
            mantissa, exponent = torch.frexp(p)
            p.copy_(torch.ldexp((mantissa * 8).round() / 8, exponent))
    parts = list(zip(digits.x.split(128), digits.y.split(128), strict=True))[:4]
    exact, poor = ([gradient(m, Standard(), x, x, y) for x, y in parts] for m in (model, rounded))
    assert growth(exact, poor) > BF16_NOISE


@pytest.mark.parametrize("objective", OBJECTIVES[:2], ids=lambda o: type(o).__name__)
def test_trained_in_bf16_a_network_ends_as_near_to_float32_as_another_seed_does(objective):
    digits = data.load("digits", n=600)
    recipe = Recipe(objective, epochs=4, batch=50, rate=Constant(0.05))
    ends = {}
    for bf16 in (False, True):
        for seed in range(4):
            model = registry.build("lenet", in_shape=digits.shape, classes=10, seed=seed, w=2)
            ends[bf16, seed] = train(model, digits, replace(recipe, bf16=bf16), seed=seed).epochs.loss.iloc[-1]
    losses = pd.Series(ends)
    of_seeds, of_rounding = losses[False].std(), (losses[True] - losses[False]).abs()
    assert of_rounding.max() > 0
    assert of_rounding.mean() < of_seeds


# --- compiled against eager -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES[:2], ids=lambda o: type(o).__name__)
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="needs a C++ compiler")
def test_compiled_it_trains_as_it_does_eagerly(objective):
    """In float64, where rounding cannot flip the sign of a gradient that is zero up to it."""
    x, y = images(40, dtype=torch.float64)
    whole = data.from_arrays("pictures", "train", x, y, list("abc"), "a test")
    recipe = replace(BASE, objective=objective, awp=Constant(0.01) if objective is AT else None, epochs=2)
    eager, compiled = (norm_net(), norm_net())
    runs = [train(eager, whole, recipe), train(compiled, whole, replace(recipe, compiled=True))]
    assert runs[0].steps.loss.tolist() == pytest.approx(runs[1].steps.loss.tolist(), rel=1e-9)
    for p, q in zip(eager.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-8, atol=1e-10)
    assert runs[1].model is compiled
    assert list(snapshot(compiled)) == list(snapshot(eager))  # no names of the wrapper in a checkpoint


def test_a_flag_that_is_not_compiled_is_the_model_itself():
    model = fcn()
    assert train(model, blobs(), replace(BASE, objective=Standard(), batch=16)).model is model
