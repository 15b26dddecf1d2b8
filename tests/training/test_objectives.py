"""Objectives against their formulas written out, double back-propagation, and the rules for batch norm."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch.nn import functional
from training.small import flags, images, norm_net, points, same, smooth_net, snapshot

from advsmooth import settings
from advsmooth.attacks import ball
from advsmooth.attacks.gradient import PGD, fgsm
from advsmooth.training import objectives
from advsmooth.training.batchnorm import statistics_kept
from advsmooth.training.objectives import TRADES, AdversarialTraining, GradientRegularised, Standard

ATTACK = PGD(eps=0.1, steps=3, step_size=0.04)
ALL = [
    Standard(),
    AdversarialTraining(ATTACK),
    TRADES(eps=0.1, step_size=0.04, steps=3),
    TRADES(eps=0.4, step_size=0.1, steps=3, norm="l2"),
    GradientRegularised(tv=0.1, lipschitz=0.2),
    GradientRegularised(tv=0.1, lipschitz=0.2, norm="linf"),
    GradientRegularised(tv=0.1, lipschitz=0.2, exact=True),
]
IDS = ["standard", "at", "trades", "trades-l2", "fd-l2", "fd-linf", "exact"]


def gradients(loss, model):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


# --- values --------------------------------------------------------------------------------------------------------


def test_standard_is_the_mean_cross_entropy():
    model, (x, y) = smooth_net(), points()
    torch.testing.assert_close(Standard()(model, x, y), functional.cross_entropy(model(x), y))


def test_adversarial_training_is_the_loss_at_attacked_inputs():
    model, (x, y) = smooth_net(), points()
    moved = ATTACK(model, x, y, generator=settings.generator(3))
    loss = AdversarialTraining(ATTACK)(model, x, y, generator=settings.generator(3))
    torch.testing.assert_close(loss, functional.cross_entropy(model(moved), y))
    torch.testing.assert_close(gradients(loss, model), gradients(functional.cross_entropy(model(moved), y), model))
    assert loss > Standard()(model, x, y)


def test_adversarial_training_without_a_budget_is_standard_and_draws_nothing():
    model, (x, y) = smooth_net(), points()
    at = AdversarialTraining(ATTACK).at_budget(0.0)
    g = settings.generator(0)
    before = g.get_state()
    assert at(model, x, y, generator=g) == Standard()(model, x, y)
    assert torch.equal(g.get_state(), before)


@pytest.mark.parametrize(("scale", "step"), [(True, 0.02), (False, 0.04)])
def test_a_scheduled_budget_takes_the_step_along_or_leaves_it(scale, step):
    attack = AdversarialTraining(ATTACK, scale_step=scale).at_budget(0.05).attack
    assert (attack.eps, attack.step, attack.steps) == (0.05, pytest.approx(step), 3)


def test_trades_is_the_clean_loss_plus_the_divergence():
    model, (x, y) = smooth_net(), points()
    objective = TRADES(eps=0.1, step_size=0.04, steps=3, beta=6.0)
    moved = objective.inner(model, x, y, settings.generator(1))
    p, q = functional.softmax(model(x), 1), functional.softmax(model(moved), 1)
    direct = -p[torch.arange(10), y].log().mean() + 6 * (p * (p / q).log()).sum(1).mean()
    outcome = objective.outer(model, x, moved, y)
    torch.testing.assert_close(outcome.loss, direct)
    torch.testing.assert_close(outcome.logits, model(moved))
    torch.testing.assert_close(gradients(outcome.loss, model), gradients(direct, model))
    # Negative control: with the natural branch detached the gradient is another one.
    p = p.detach()
    detached = (
        functional.cross_entropy(model(x), y) + 6 * (p * (p / functional.softmax(model(moved), 1)).log()).sum(1).mean()
    )
    assert not torch.allclose(gradients(objective.outer(model, x, moved, y).loss, model), gradients(detached, model))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_trades_maximises_the_divergence_from_a_small_gaussian_start(norm):
    model, (x, y) = smooth_net(), points()
    eps, step, steps = 0.3, 0.1, 4
    objective = TRADES(eps=eps, step_size=step, steps=steps, norm=norm)
    found = objective.inner(model, x, y, settings.generator(5))
    p = functional.softmax(model(x), 1).detach()
    z = x + 0.001 * torch.randn(x.shape, generator=settings.generator(5), dtype=x.dtype)
    for _ in range(steps):
        z.requires_grad_()
        kl = (p * (p.log() - functional.log_softmax(model(z), 1))).sum()
        (gradient,) = torch.autograd.grad(kl, z)
        d = gradient.sign() if norm == "linf" else gradient / gradient.norm(dim=1, keepdim=True)
        z = ball.project(z.detach() + step * d, x, eps, norm)
    torch.testing.assert_close(found, z, atol=1e-10, rtol=0)
    assert ball.contains(found, x, eps, norm).all()
    apart = objectives.divergence(model(found), p.log()).mean()
    assert apart > 10 * objectives.divergence(model(x + 0.001), p.log()).mean()


def test_trades_does_not_need_the_labels_inside_and_needs_a_generator():
    model, (x, y) = smooth_net(), points()
    objective = TRADES(eps=0.1, step_size=0.04, steps=2)
    one, other = (objective.inner(model, x, labels, settings.generator(0)) for labels in (y, (y + 1) % 3))
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match="generator=None"):
        objective(model, x, y)
    assert torch.equal(objective.at_budget(0.0).inner(model, x, y), x)
    assert objective.at_budget(0.05).step_size == pytest.approx(0.02)


def test_a_start_at_the_input_itself_has_no_gradient():
    """Why TRADES starts with noise: the divergence has a minimum at the input."""
    model, (x, _) = smooth_net(), points()
    z = x.clone().requires_grad_()
    p = functional.log_softmax(model(x), 1).detach()
    (gradient,) = torch.autograd.grad(objectives.divergence(model(z), p).sum(), z)
    assert gradient.abs().max() < 1e-15


# --- gradient norms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_difference_approaches_the_exact_norm_linearly_in_h(norm):
    model, (x, y) = smooth_net(), points(20)
    exact = objectives.gradient_norms(model, x, y, norm)
    by_hand = torch.func.vmap(torch.func.grad(lambda z, k: functional.cross_entropy(model(z[None]), k[None])))(x, y)
    torch.testing.assert_close(exact, by_hand.abs().sum(1) if norm == "linf" else by_hand.norm(dim=1))
    steps = [1e-2, 1e-3, 1e-4]
    errors = [(objectives.difference_norms(model, x, y, norm, h=h) - exact).abs().max().item() for h in steps]
    slopes = [math.log10(a / b) for a, b in itertools.pairwise(errors)]
    assert slopes == pytest.approx([1, 1], abs=0.05)
    relative = (objectives.difference_norms(model, x, y, norm) / exact - 1).abs().max()
    assert relative < 0.01  # the ledger's bound at h = 1e-3 on a smooth network


def test_in_float32_the_published_step_is_better_than_ten_times_more_or_less():
    x, y = points(200, d=64)
    model, single = (sharp(smooth_net(d=64, dtype=dtype)) for dtype in (torch.float64, torch.float32))
    exact = objectives.gradient_norms(model, x, y)
    errors = {
        h: (objectives.difference_norms(single, x.float(), y, h=h).double() / exact - 1).abs().median().item()
        for h in (1e-2, 1e-3, 1e-4)
    }
    assert 3 * errors[1e-3] < min(errors[1e-2], errors[1e-4])


def sharp(model):
    """More curvature: on a nearly linear network a larger step would be better still."""
    with torch.no_grad():
        model[1].weight.mul_(2)
        model[3].weight.mul_(2)
    return model


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("weights", [(0.3, 0.0), (0.0, 0.3), (0.2, 0.1)])
def test_both_ways_give_the_objective_of_the_paper_and_its_parameter_gradient(norm, weights):
    model, (x, y) = smooth_net(), points(12)
    tv, lipschitz = weights
    inputs = x.clone().requires_grad_()
    each = functional.cross_entropy(model(inputs), y, reduction="none")
    (g,) = torch.autograd.grad(each.sum(), inputs, create_graph=True)
    norms = g.abs().sum(1) if norm == "linf" else g.square().sum(1).sqrt()
    direct = each.mean() + tv * norms.mean() + lipschitz * norms.max()
    exact = GradientRegularised(tv, lipschitz, norm, exact=True)(model, x, y)
    by_difference = GradientRegularised(tv, lipschitz, norm, h=1e-6)(model, x, y)
    torch.testing.assert_close(exact, direct)
    torch.testing.assert_close(by_difference, direct, atol=1e-5, rtol=0)
    wanted = gradients(direct, model)
    torch.testing.assert_close(gradients(exact, model), wanted)
    torch.testing.assert_close(gradients(by_difference, model), wanted, atol=1e-4, rtol=0)


def test_the_direction_is_a_constant():
    """The parameter gradient of the difference is that of two losses, not of the direction."""
    model, (x, y) = smooth_net(), points()
    h = 0.1  # large, so that a gradient through the direction would show
    moved = x + h * objectives.direction(model, x, y, "l2")
    assert not moved.requires_grad
    found = gradients(objectives.difference_norms(model, x, y, h=h).sum(), model)
    losses = [functional.cross_entropy(model(z), y, reduction="sum") for z in (moved, x)]
    torch.testing.assert_close(found, gradients((losses[0] - losses[1]) / h, model))


def test_total_variation_is_one_step_of_adversarial_training_to_first_order():
    """Finlay et al., section 3: FGSM training at radius eps adds eps times the mean dual norm."""
    model, (x, y) = smooth_net(), points()
    x, eps = 0.5 + 0.01 * x, 1e-5
    adversarial = AdversarialTraining(fgsm(eps))(model, x, y)
    regularised = GradientRegularised(tv=eps, norm="linf", exact=True)(model, x, y)
    plain = Standard()(model, x, y)
    torch.testing.assert_close(adversarial - plain, regularised - plain, rtol=1e-3, atol=0)


def test_zero_gradients_give_zero_norms_and_no_nan():
    model, (x, y) = smooth_net(), points()
    with torch.no_grad():
        model[3].weight.zero_()
    for exact in (True, False):
        for norm in ("l2", "linf"):
            loss = GradientRegularised(1.0, 1.0, norm, exact=exact)(model, x, y)
            torch.testing.assert_close(loss, Standard()(model, x, y))
            assert gradients(loss, model).isfinite().all()


def test_differences_are_taken_in_float32_under_autocast():
    model, (x, y) = smooth_net(dtype=torch.float32), points(dtype=torch.float32)
    plain = objectives.difference_norms(model, x, y)
    objective = GradientRegularised()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(x).dtype == torch.bfloat16
        assert torch.equal(objectives.difference_norms(model, x, y), plain)
        assert torch.equal(objective(model, x, y), objective(model, x, y))
        assert objective.outer(model, x, objective.inner(model, x, y), y).logits.dtype == torch.float32


# --- batch norm and flags ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ALL, ids=IDS)
def test_flags_and_parameters_are_left_as_found(objective):
    model, (x, y) = norm_net(), images()
    model[0].weight.requires_grad_(False)
    before = flags(model), snapshot(model)
    loss = objective(model, x, y, generator=settings.generator(0))
    assert flags(model) == before[0]
    parameters = dict(model.named_parameters())
    assert all(torch.equal(before[1][name], parameters[name]) for name in parameters)
    assert all(p.grad is None for p in model.parameters())
    assert all(m.track_running_stats for m in (model[1], model[4]))
    assert loss.ndim == 0
    assert loss.requires_grad


@pytest.mark.parametrize(("objective", "passes"), list(zip(ALL, [1, 1, 2, 2, 1, 1, 1], strict=True)), ids=IDS)
def test_running_statistics_move_once_for_each_pass_over_other_inputs(objective, passes):
    model, (x, y) = norm_net(), images()
    frozen_layer = snapshot(model[4])
    objective(model, x, y, generator=settings.generator(0))
    assert model[1].num_batches_tracked == passes
    assert same(snapshot(model[4]), frozen_layer)


def test_only_the_clean_pass_of_a_difference_moves_the_statistics():
    model, twin, (x, y) = norm_net(), norm_net(), images()
    GradientRegularised(0.1, 0.1)(model, x, y)
    twin(x)
    assert same(snapshot(model[1]), snapshot(twin[1]))


@pytest.mark.parametrize("objective", ALL[1:4], ids=IDS[1:4])
def test_the_inner_maximisation_sees_eval_mode(objective):
    model, (x, y) = norm_net(), images()
    seen = []
    hook = model[1].register_forward_hook(lambda module, *_: seen.append(module.training))
    moved = objective.inner(model, x, y, settings.generator(0))
    hook.remove()
    assert seen
    assert not any(seen)
    assert model[1].num_batches_tracked == 0
    # An example's attack does not depend on the others of the batch, as it would with batch statistics.
    if isinstance(objective, AdversarialTraining):
        start = objective.attack.start(x, settings.generator(0))
        alone = objective.attack(model, x[:1], y[:1], start=start[:1])
        torch.testing.assert_close(moved[:1], alone)


def test_statistics_kept_still_normalises_by_the_batch():
    model, (x, _) = norm_net(), images()
    expected = model(x)
    before = snapshot(model)
    with statistics_kept(model):
        torch.testing.assert_close(model(x), expected)
    assert same(snapshot(model), before)
    model(x)
    assert model[1].num_batches_tracked == 2  # and counts again afterwards
    with pytest.raises(RuntimeError), statistics_kept(model):
        raise RuntimeError
    assert model[1].track_running_stats


def test_differences_with_batch_norm_are_those_of_the_summed_loss():
    model, (x, y) = norm_net(), images()
    inputs = x.clone().requires_grad_()
    with statistics_kept(model):
        (g,) = torch.autograd.grad(functional.cross_entropy(model(inputs), y, reduction="sum"), inputs)
    wanted = g.flatten(1).norm(dim=1).mean()
    torch.testing.assert_close(objectives.difference_norms(model, x, y, h=1e-6).mean(), wanted, atol=1e-5, rtol=0)


@given(seed=st.integers(0, 10**6))
@hypothesis_settings(max_examples=10, deadline=None)
def test_a_generator_fixes_the_loss_and_the_global_one_is_not_read(seed):
    model, (x, y) = smooth_net(), points()
    state = torch.random.get_rng_state()
    for objective in ALL[1:4]:
        one, again = (objective(model, x, y, generator=settings.generator(seed)) for _ in range(2))
        assert torch.equal(one, again)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda *_: TRADES(eps=8), "eps=8: wider than the box"),
        (lambda *_: TRADES(steps=0), "allowed are steps >= 1"),
        (lambda *_: TRADES(norm="l1"), "norm='l1': allowed is linf or l2"),
        (lambda *_: GradientRegularised(norm="l1"), "norm='l1': allowed is"),
        (lambda *_: GradientRegularised(tv=-1), "tv=-1: the weight of a penalty"),
        (lambda *_: GradientRegularised(h=0), "h=0: the step of a finite difference"),
        (lambda *_: Standard().at_budget(0.1), "budget=0.1: Standard has no budget"),
        (lambda *_: AdversarialTraining(ATTACK).at_budget(8), "write 8/255, not 8"),
        (lambda m, x, y: GradientRegularised()(m, x.half(), y), "dtype torch.float16: finite differences"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    model, (x, y) = smooth_net(), points()
    with pytest.raises(ValueError, match=message) as refusal:
        call(model, x, y)
    assert "\n" not in str(refusal.value)
