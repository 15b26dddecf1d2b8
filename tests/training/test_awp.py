"""Adversarial weight perturbation: the closed form, exact restoration, batch norm."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from training.small import images, norm_net, points, same, smooth_net, snapshot

from advsmooth import settings
from advsmooth.training.awp import perturbation, worst_weights


@given(seed=st.integers(0, 10**6), gamma=st.floats(1e-6, 0.1), scale=st.floats(1e-20, 1e20))
def test_each_tensor_moves_by_its_share_along_its_gradient(seed, gamma, scale):
    g = settings.generator(seed)
    weights = [torch.randn(shape, generator=g, dtype=torch.float64) for shape in ((3, 4), (2, 3, 3, 3))]
    found = [scale * torch.randn(w.shape, generator=g, dtype=torch.float64) for w in weights]
    for w, gradient, v in zip(weights, found, perturbation(weights, found, gamma), strict=True):
        torch.testing.assert_close(v.norm(), gamma * w.norm(), rtol=1e-9, atol=0)
        inner = (v * gradient).sum()
        torch.testing.assert_close(inner, v.norm() * gradient.norm(), rtol=1e-9, atol=0)  # parallel: the best direction


def test_a_zero_gradient_leaves_the_tensor_alone():
    w = torch.ones(2, 2)
    assert perturbation([w], [torch.zeros(2, 2)], 0.1)[0].abs().max() == 0


def loss_of(model, x, y):
    return functional.cross_entropy(model(x), y)


def test_inside_the_weights_are_the_worst_and_afterwards_the_old_ones_bit_for_bit():
    model, (x, y) = smooth_net(dtype=torch.float32), points(dtype=torch.float32)
    before = snapshot(model)
    loss = loss_of(model, x, y)
    wanted = torch.autograd.grad(loss_of(model, x, y), [model[1].weight, model[3].weight])
    with worst_weights(model, loss, 0.05):
        for layer, gradient in ((model[1], wanted[0]), (model[3], wanted[1])):
            old = before[f"{1 if layer is model[1] else 3}.weight"]
            torch.testing.assert_close(layer.weight, old + 0.05 * old.norm() / gradient.norm() * gradient)
        assert torch.equal(model[1].bias, before["1.bias"])  # one dimension: not perturbed
        worse = loss_of(model, x, y)
        worse.backward()
    assert worse > loss
    assert same(snapshot(model), before)
    assert model[1].weight.grad is not None
    # Negative control: subtracting the perturbation again does not restore the weights.
    w, v = before["1.weight"], 0.05 * before["1.weight"].norm() / wanted[0].norm() * wanted[0]
    assert not torch.equal((w + v) - v, w)


def test_the_gradient_left_is_that_at_the_worst_weights():
    model, twin, (x, y) = smooth_net(), smooth_net(), points()
    with worst_weights(model, loss_of(model, x, y), 0.05):
        loss_of(model, x, y).backward()
    found = torch.autograd.grad(loss_of(twin, x, y), [twin[1].weight, twin[3].weight])
    with torch.no_grad():
        for layer, v in zip(
            (twin[1], twin[3]), perturbation([twin[1].weight, twin[3].weight], found, 0.05), strict=True
        ):
            layer.weight += v
    loss_of(twin, x, y).backward()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_no_step_of_the_same_length_raises_the_linearised_loss_more():
    model, (x, y) = smooth_net(), points()
    before = snapshot(model)
    small, g = 1e-4, settings.generator(0)
    base = loss_of(model, x, y)
    with worst_weights(model, loss_of(model, x, y), small):
        best = loss_of(model, x, y).item() - base.item()
    for _ in range(50):
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.ndim > 1:
                    d = torch.randn(p.shape, generator=g, dtype=p.dtype)
                    p.copy_(before[name] + small * before[name].norm() / d.norm() * d)
        assert loss_of(model, x, y).item() - base.item() < best


def test_statistics_come_from_the_unperturbed_pass_only():
    model, twin, (x, y) = norm_net(), norm_net(), images()
    loss = loss_of(model, x, y)
    with worst_weights(model, loss, 0.05):
        loss_of(model, x, y).backward()
    twin(x)
    assert same(snapshot(model), snapshot(twin))
    assert model[1].num_batches_tracked == 1


def stop_inside(model, before, x, y):
    with worst_weights(model, loss_of(model, x, y), 0.1):
        assert torch.equal(model[1].weight, before["1.weight"])
        assert not torch.equal(model[3].weight, before["3.weight"])
        raise RuntimeError("inside")


def test_weights_are_restored_after_an_error_and_frozen_ones_never_move():
    model, (x, y) = smooth_net(), points()
    model[1].weight.requires_grad_(False)
    before = snapshot(model)
    with pytest.raises(RuntimeError, match="inside"):
        stop_inside(model, before, x, y)
    assert same(snapshot(model), before)


@pytest.mark.parametrize("gamma", [-0.1, float("nan"), float("inf")])
def test_a_size_that_cannot_be_is_refused_and_nothing_moves(gamma):
    model, (x, y) = smooth_net(), points()
    before = snapshot(model)
    with (
        pytest.raises(ValueError, match="the relative size of a weight perturbation"),
        worst_weights(model, loss_of(model, x, y), gamma),
    ):
        pass
    assert same(snapshot(model), before)
