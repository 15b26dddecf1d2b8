"""The universal perturbation: ball and box, one for all, closed form on a linear model, what it leaves untouched."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from advsmooth import settings
from advsmooth.attacks import ball, losses
from advsmooth.attacks.evaluation import BudgetAttack, robust_error
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.universal import Universal

G = settings.generator


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    eps=st.floats(0, 0.9),
    norm=st.sampled_from(ball.NORMS),
    batch=st.integers(1, 40),
    step=st.one_of(st.none(), st.floats(0, 3)),
    seed=st.integers(0, 1000),
)
def test_it_stays_in_the_ball_and_the_box_and_is_one_for_all(eps, norm, batch, step, seed):
    g = G(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x = torch.rand(17, 3, 4, generator=g, dtype=torch.float64)
    y = torch.randint(0, 3, (17,), generator=g)
    attack = Universal(eps=eps, norm=norm, epochs=2, batch=batch, step_size=step)
    delta = attack.perturbation(model, x, y, generator=G(seed))
    found = attack(model, x, y, generator=G(seed))
    assert delta.shape == (1, 3, 4)
    assert ball.norms(delta, norm).item() <= eps * (1 + 1e-12)
    assert ball.contains(found, x, eps, norm).all()
    assert torch.equal(found, (x + delta).clamp(0, 1))
    before, after = (int(losses.succeeded(model(inputs), y).sum()) for inputs in (x, found))
    assert after >= before  # the zero perturbation is among those compared


def binary(theta):
    """Two logits of equal and opposite sign."""
    model = nn.Linear(len(theta), 2, bias=False).to(theta.dtype)
    with torch.no_grad():
        model.weight.copy_(torch.stack([-theta / 2, theta / 2]))
    return model


@pytest.mark.parametrize("norm", ball.NORMS)
def test_on_images_of_one_class_of_a_linear_model_it_is_the_best_perturbation_of_each(norm):
    """The direction that lowers one logit difference does so for every input."""
    theta = torch.randn(9, generator=G(1), dtype=torch.float64)
    x = torch.randn(20, 9, generator=G(2), dtype=torch.float64) + theta / theta.norm()
    y = torch.ones(20, dtype=torch.int64)
    attack = Universal(eps=0.7, norm=norm, epochs=30, batch=7, cap=math.inf, box=ball.UNBOUNDED)
    delta = attack.perturbation(binary(theta), x, y, generator=G(0))
    best = -0.7 * (theta.sign() if norm == "linf" else theta / theta.norm())
    broken = losses.succeeded(binary(theta)(x + best), y)
    assert 5 < broken.sum() < 20
    assert torch.equal(losses.succeeded(binary(theta)(x + delta), y), broken)


@pytest.mark.parametrize("norm", ball.NORMS)
def test_it_breaks_no_image_that_the_best_attack_on_each_leaves(norm, linear):
    """Of two classes of a linear model PGD is the best attack; images of both classes pull one perturbation apart."""
    model, x, y = linear(classes=2, n=60)
    eps = model.distance(x, y, norm).median().item()
    own = robust_error(model, x, y, PGD(eps=eps, norm=norm, steps=20, random_start=False))
    universal = robust_error(model, x, y, Universal(eps=eps, norm=norm, batch=20), batch_size=60, generator=G(0))
    assert not (universal.broken & ~own.broken).any()
    assert 0 < universal.error < own.error
    assert not (universal.broken & (model.distance(x, y, norm) > eps * (1 + 1e-9))).any()


def test_on_a_trained_network_it_breaks_far_more_than_noise_and_serves_new_images(trained, digits):
    x, y = digits
    attack = Universal(eps=0.3, epochs=10, batch=16)
    delta = attack.perturbation(trained, x[:32], y[:32], generator=G(0))
    clean, noise, moved = (
        losses.succeeded(trained(inputs), y[32:]).double().mean().item()
        for inputs in (x[32:], ball.uniform(x[32:], 0.3, "linf", G(0)), attack.apply(x[32:], delta))
    )
    assert moved > 2 * max(clean, noise)


def test_the_cap_keeps_lost_images_from_drawing_the_perturbation():
    """Two images are far on the wrong side; the two that can still be broken need the other direction."""
    theta = torch.tensor([1.0], dtype=torch.float64)
    x = torch.tensor([[-9.0], [-8.0], [-0.1], [-0.1]], dtype=torch.float64)
    y = torch.tensor([1, 1, 0, 0])
    nowhere = torch.zeros(1, 1, dtype=torch.float64)
    free, capped = (
        Universal(eps=0.3, cap=cap, box=ball.UNBOUNDED)._slope(binary(theta), x, y, nowhere)
        for cap in (math.inf, math.log(10))
    )
    assert free < 0 < capped


@pytest.mark.parametrize("norm", ball.NORMS)
def test_flags_weights_and_the_global_random_state_are_left_alone(unchanged, digits, norm):
    x, y = digits
    unchanged(lambda model: Universal(eps=0.1, norm=norm, epochs=2)(model, x, y, generator=G(0)))


def test_the_same_generator_gives_the_same_perturbation(trained, digits):
    first, again = (Universal(eps=0.1, batch=8)(trained, *digits, generator=G(3)) for _ in range(2))
    assert torch.equal(first, again)


def test_it_is_an_attack_with_a_budget():
    attack = Universal(eps=0.1, step_size=0.02)
    assert isinstance(attack, BudgetAttack)
    assert attack.at(0.2) == Universal(eps=0.2, step_size=0.04)
    assert Universal(eps=0.1).at(0.2) == Universal(eps=0.2)


def test_no_image_needs_no_perturbation(trained, digits):
    x, y = digits
    assert Universal(eps=0.1)(trained, x[:0], y[:0], generator=G(0)).shape == x[:0].shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda *_: Universal(eps=8), "eps=8: wider than the box"),
        (lambda *_: Universal(eps=0.1, norm="l1"), "norm='l1': allowed is linf or l2"),
        (lambda *_: Universal(eps=0.1, epochs=0), "epochs=0, batch=50: allowed are integers, at least 1"),
        (lambda *_: Universal(eps=0.1, batch=0), "epochs=5, batch=0: allowed are integers, at least 1"),
        (lambda *_: Universal(eps=0.1, step_size=-1), "step_size=-1: allowed is a finite length"),
        (lambda *_: Universal(eps=0.1, cap=0), "cap=0: allowed is a positive loss"),
        (lambda m, x, y: Universal(eps=0.1)(m, x, y), "generator=None: this attack draws random numbers"),
        (lambda m, x, y: Universal(eps=0.1)(m, x + 1, y, generator=G(0)), "normalise inside the model"),
        (
            lambda m, x, y: Universal(eps=0.1, loss=lambda f, t: losses.margin(f, t).sum())(m, x, y, generator=G(0)),
            "loss of shape",
        ),
    ],
)
def test_refusals_say_what_is_allowed(trained, digits, call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call(trained, *digits)
    assert "\n" not in str(refused.value)
