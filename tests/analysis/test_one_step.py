"""Remainders, their exact form and their bounds; distances in closed form and against a search."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch.nn import functional

from advsmooth import settings
from advsmooth.analysis import one_step
from advsmooth.models.shallow import Shallow

NORMS = ("l2", "linf")
LOG2 = math.log(2)


def normal(seed, *shape):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


def network(activation, seed=0, scale=3.0):
    made = Shallow((1, 2, 3), 4, units=8, activation=activation, generator=seed).double()
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(scale)
    return made


def batch(seed=1, n=40):
    return normal(seed, n, 1, 2, 3), torch.arange(n) % 4


def dense_hessians(model, x, y):
    def loss(s, label):
        return functional.cross_entropy(model(s.view(1, 1, 2, 3)), label[None])

    return torch.stack([torch.func.hessian(loss)(s.flatten(), label) for s, label in zip(x, y, strict=True)])


# --- along the direction --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ["softplus", "tanh", "relu"])
def test_remainders_are_the_losses_less_their_tangent(activation, norm):
    model = network(activation)
    x, y = batch()
    grads = []
    for s, label in zip(x, y, strict=True):
        s = s[None].clone().requires_grad_()
        grads.append(torch.autograd.grad(functional.cross_entropy(model(s), label[None]), s)[0])
    g = torch.cat(grads).flatten(1)
    d = g.sign() if norm == "linf" else g / g.norm(dim=1, keepdim=True)
    size = g.abs().sum(1) if norm == "linf" else g.norm(dim=1)
    for eps in (0.1, 1.0):
        there = functional.cross_entropy(model(x + eps * d.view_as(x)), y, reduction="none")
        here = functional.cross_entropy(model(x), y, reduction="none")
        found = one_step.remainders(model, x, y, norm, [eps])[0]
        torch.testing.assert_close(found, (there - here - eps * size).detach())


@pytest.mark.parametrize("activation", ["softplus", "tanh", "relu"])
def test_second_derivatives_are_those_of_the_dense_hessian(activation):
    model, (x, y) = network(activation), batch()
    d = normal(2, *x.shape)
    flat = d.flatten(1)
    expected = torch.einsum("ni,nij,nj->n", flat, dense_hessians(model, x, y), flat)
    torch.testing.assert_close(one_step.second_derivatives(model, x, y, d), expected.detach())


def test_logit_slopes_are_the_jacobian_times_the_direction():
    model, (x, _) = network("tanh"), batch()
    d = normal(2, *x.shape)
    log_p, v = one_step.logit_slopes(model, x, d)
    torch.testing.assert_close(log_p, model(x).log_softmax(1).detach())
    h = 1e-6
    torch.testing.assert_close(v, ((model(x + h * d) - model(x - h * d)) / (2 * h)).detach(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("norm", NORMS)
def test_a_relu_network_has_the_cumulant_as_its_remainder_up_to_its_first_kink_and_not_beyond(norm):
    model, (x, y) = network("relu"), batch(n=200)
    d = one_step.attack_directions(model, x, y, norm)
    near = one_step.first_kinks(model, x, d).clamp(max=5)
    log_p, v = one_step.logit_slopes(model, x, d)
    for share in (0.5, 0.999):
        some = [(x[i : i + 1], y[i : i + 1], [share * near[i].item()]) for i in range(200)]
        found = torch.stack([one_step.remainders(model, s, label, norm, eps)[0, 0] for s, label, eps in some])
        torch.testing.assert_close(found, one_step.cumulants(log_p, v, share * near[:, None]), atol=1e-12, rtol=1e-9)
    beyond = one_step.remainders(model, x, y, norm, [3.0])[0] - one_step.cumulants(log_p, v, 3.0)
    assert (beyond[near < 1].abs() > 1e-6).double().mean() > 0.8


def test_first_kinks_are_where_a_sign_changes():
    model, (x, _) = network("relu"), batch()
    d = normal(5, *x.shape)
    near = one_step.first_kinks(model, x, d)

    def signs(at):
        return model.hidden(at.flatten(1)) > 0

    inside = (near * (1 - 1e-9))[:, None, None, None]
    outside = (near * (1 + 1e-9))[:, None, None, None]
    finite = near.isfinite()
    assert finite.any()
    assert torch.equal(signs(x + inside.nan_to_num(posinf=0) * d)[finite], signs(x)[finite])
    assert (signs(x + outside * d) != signs(x))[finite].any(1).all()
    assert one_step.first_kinks(model, x, 0 * d).isinf().all()


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=6),
    st.lists(st.floats(-30, 30), min_size=6, max_size=6),
    st.floats(1e-3, 20),
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_cumulants_lie_between_0_and_hoeffdings_bound(slopes, logits, eps):
    v = torch.tensor([slopes], dtype=torch.float64)
    log_p = torch.tensor([logits[: len(slopes)]], dtype=torch.float64).log_softmax(1)
    found = one_step.cumulants(log_p, v, eps).item()
    bound = one_step.hoeffding_bound(v, eps).item()
    assert -1e-12 <= found <= bound + 1e-12 * (1 + eps)


# --- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ["softplus", "tanh"])
def test_curvature_bounds_hold_everywhere_and_are_of_the_right_size(activation, norm):
    top = 0.0
    for seed in range(5):
        model, (x, y) = network(activation, seed), batch(n=400)
        for reach in (0.1, 1.0, 5.0):
            d = one_step.attack_directions(model, reach * x, y, norm)
            found = one_step.second_derivatives(model, reach * x, y, d).abs()
            bound = one_step.curvature_bounds(model, y, d)
            top = max(top, float((found / bound).max()))
            assert (bound <= one_step.largest_curvatures(model, y, norm) * (1 + 1e-12)).all()
    assert 0.2 < top <= 1


def test_the_bound_on_the_range_is_attained_for_two_labels_without_bend():
    """A network that is affine with slope 1 (softplus far to the right) and p = 1/2: variance a quarter of range^2."""
    model = Shallow((2,), 2, units=2, activation="softplus").double()
    with torch.no_grad():
        model.hidden.weight.copy_(torch.eye(2))
        model.hidden.bias.fill_(50.0)
        model.outer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        model.outer.bias.zero_()
    d = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    y = torch.zeros(1, dtype=torch.int64)
    found = one_step.second_derivatives(model, torch.zeros(1, 2, dtype=torch.float64), y, d)
    assert found.item() == pytest.approx(1.0)
    # The variance is met exactly; the bend of two units, 1/4 each, is there in the bound and not at this point.
    assert one_step.curvature_bounds(model, y, d).item() == pytest.approx(1.5)


@pytest.mark.parametrize("norm", NORMS)
def test_no_direction_of_the_ball_exceeds_the_largest_curvature(norm):
    model, (x, y) = network("softplus"), batch(n=200)
    d = normal(9, *x.shape)
    size = d.flatten(1).norm(dim=1) if norm == "l2" else d.flatten(1).abs().amax(1)
    d = d / size.view(-1, 1, 1, 1)
    found = one_step.second_derivatives(model, 0.3 * x, y, d).abs()
    assert (found <= one_step.largest_curvatures(model, y, norm)).all()


def test_a_relu_has_no_largest_curvature():
    with pytest.raises(ValueError, match="relu"):
        one_step.largest_curvatures(network("relu"), batch()[1], "l2")


# --- distances ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_linear_distances_are_where_the_label_changes(norm):
    weights, bias, x = normal(0, 4, 3), normal(1, 4), normal(2, 30, 3)
    y = (x @ weights.T + bias).argmax(1)
    far = one_step.linear_distances(weights, bias, x, y, norm)
    steps = normal(3, 4000, 3)
    corners = torch.tensor([[a, b, c] for a in (-1.0, 1) for b in (-1.0, 1) for c in (-1.0, 1)]).double()
    unit = torch.cat([corners, steps / steps.abs().amax(1, keepdim=True)]) if norm == "linf" else (
        steps / steps.norm(dim=1, keepdim=True)
    )  # fmt: skip
    for k in range(30):
        inside = ((x[k] + 0.999 * far[k] * unit) @ weights.T + bias).argmax(1)
        outside = ((x[k] + 1.05 * far[k] * unit) @ weights.T + bias).argmax(1)
        assert (inside == y[k]).all()
        assert (outside != y[k]).any()
    wrong = (y + 1) % 4
    assert (one_step.linear_distances(weights, bias, x, wrong, norm) == 0).all()


@given(st.floats(1e-3, 30), st.floats(0.1, 10))
@hypothesis_settings(max_examples=100, deadline=None)
def test_log_odds_distances_are_exact_for_logistic_regression(margin, length):
    m = torch.tensor([margin], dtype=torch.float64)
    found = one_step.log_odds_distances(functional.softplus(-m), torch.sigmoid(-m) * length)
    assert found.item() == pytest.approx(margin / length, rel=1e-8)


def test_beyond_log_2_all_estimates_are_0():
    loss, slope = torch.tensor([0.7, 5.0]), torch.ones(2)
    assert (one_step.log_odds_distances(loss, slope) == 0).all()
    assert (one_step.certified_distances(loss, slope, 1.0, LOG2) == 0).all()


def test_certified_distances_solve_the_quadratic_and_are_the_estimate_without_curvature():
    loss, slope = torch.tensor([0.01, 0.3, 0.6]).double(), torch.tensor([0.05, 0.5, 2.0]).double()
    for curvature in (0.0, 0.1, 10.0):
        r = one_step.certified_distances(loss, slope, curvature, LOG2)
        torch.testing.assert_close(loss + slope * r + curvature * r**2 / 2, torch.full_like(r, LOG2))


def test_nothing_inside_the_certified_radius_is_misclassified():
    model = network("softplus", scale=2.0)
    x = normal(3, 60, 1, 2, 3)
    y = model(x).argmax(1)
    loss = one_step.losses_along(model, x, y, torch.zeros_like(x), [0.0])[0]
    slope = one_step.loss_gradients(model, x, y).flatten(1).norm(dim=1)
    r = one_step.certified_distances(loss, slope, one_step.largest_curvatures(model, y, "l2"), LOG2)
    assert (r > 0).sum() > 10
    tight = 0.0
    for seed in range(50):
        d = normal(seed + 10, *x.shape)
        if seed == 0:
            d = one_step.attack_directions(model, x, y, "l2")
        d = d / d.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        there = functional.cross_entropy(model(x + r.view(-1, 1, 1, 1) * d), y, reduction="none").detach()
        assert (there[r > 0] <= LOG2 + 1e-12).all()
        tight = max(tight, float(((there - loss) / (LOG2 - loss))[r > 0].max()))
    assert tight > 0.4  # the bound is of the right size
