"""Training of both layers: gradients by automatic differentiation, one neuron in closed form, conserved quantities."""

# ruff: noqa: N803, N806 - W is the paper's own symbol

import math

import numpy as np
import pytest
import torch

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.training import two_layers


def setting(m=8, d=5, n=4):
    x = torch.nn.functional.normalize(torch.randn(n, d, generator=settings.generator(3), dtype=torch.float64), dim=1)
    y = torch.tensor([1.0, -1, 1, 1], dtype=torch.float64)[:n]
    return x, y, *two_layers.draw(d, m, 0.7, 0.4, 5)


def test_it_is_the_network_of_equation_2():
    x, _, W, a = setting()
    torch.testing.assert_close(
        two_layers.predictions(W, a, x, 2.0), fcn.forward([W, a[None]], x, 2.0)[:, 0], rtol=1e-12, atol=0
    )
    torch.testing.assert_close(two_layers.input_gradients(W, a, x, 2.0), fcn.jacobian([W, a[None]], x, 2.0)[:, 0])


@pytest.mark.parametrize("kind", ["squared", "logistic"])
def test_the_velocity_is_minus_the_gradient_of_the_loss(kind):
    x, y, W, a = setting()

    def loss(W, a):
        f = two_layers.predictions(W, a, x, 2.0)
        return (f - y).square().sum() / 2 if kind == "squared" else torch.log1p(torch.exp(-y * f)).mean()

    expected = torch.func.grad(loss, argnums=(0, 1))(W, a)
    found = two_layers.velocity(W, a, x, getattr(two_layers, kind)(y), 2.0)
    for moved, slope in zip(found, expected, strict=True):
        torch.testing.assert_close(moved, -slope)


def test_networks_side_by_side_are_networks_one_by_one():
    x, y, _, _ = setting()
    W, a = two_layers.draw(5, 6, 1.0, 1.0, 0, networks=3)
    many = two_layers.velocity(W, a, x, two_layers.squared(y))
    for i in range(3):
        for together, alone in zip(many, two_layers.velocity(W[i], a[i], x, two_layers.squared(y)), strict=True):
            torch.testing.assert_close(together[i], alone)


def test_a_single_neuron_on_a_frozen_residual_grows_like_a_hyperbolic_cosine():
    x, y = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    W, a = torch.tensor([[0.3, 0.5]], dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64)
    times = np.linspace(0, 1, 5)
    Ws, outs = two_layers.flow(W, a, x, two_layers.frozen(y), 1.0, times, substeps=50)
    along = 0.3 * np.cosh(2 * times) + 0.1 * np.sinh(2 * times)
    np.testing.assert_allclose(Ws[:, 0, 0], along, rtol=1e-7)
    np.testing.assert_allclose(Ws[:, 0, 1], 0.5, rtol=1e-12)
    np.testing.assert_allclose(outs[:, 0], 0.1 * np.cosh(2 * times) + 0.3 * np.sinh(2 * times), rtol=1e-7)


def test_flow_keeps_the_balance_of_each_neuron():
    x, y, W, a = setting()
    Ws, outs = two_layers.flow(W, a, x, two_layers.squared(y), 1.0, np.linspace(0, 5, 11), substeps=40)
    balance = Ws.square().sum(2) - outs.square()
    torch.testing.assert_close(balance, balance[:1].expand(11, -1), rtol=0, atol=1e-3)


def test_small_steps_of_descent_follow_the_flow():
    x, y, W, a = setting()
    Ws, outs = two_layers.flow(W, a, x, two_layers.squared(y), 1.0, [0, 0.5], substeps=1000)
    errors = []
    for steps in (100, 200):
        *_, (done, W1, a1) = two_layers.descend(W, a, x, two_layers.squared(y), 1.0, 0.5 / steps, [0, steps])
        assert done == steps
        errors.append(math.hypot((W1 - Ws[1]).norm(), (a1 - outs[1]).norm()))
    assert errors[1] < 0.6 * errors[0] < 0.01


def test_both_integrators_find_the_same_flow():
    x, y, W, a = setting(n=2)
    times = [0, 0.25, 0.5]
    ours = two_layers.flow(W, a, x, two_layers.squared(y), 1.0, times, substeps=500)
    theirs = two_layers.adaptive_flow(W, a, x, two_layers.squared(y), 1.0, times, rtol=1e-5)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-3)
