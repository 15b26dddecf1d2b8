"""The network of equation 2: its gradient against automatic differentiation, its initial variances, its refusals."""

# ruff: noqa: N803 - L is the paper's own symbol

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.models.fcn import FCN, Initialisation

ATOL = 1e-12  # float64, entries of order one


def draw(seed=0, d=5, m=7, o=3, L=4, scheme="he", **options):
    g = settings.generator(seed)
    weights = fcn.draw_weights(d, m, o, L, scheme, g, dtype=torch.float64, **options)
    return weights, torch.randn(6, d, generator=g, dtype=torch.float64)


@given(seed=st.integers(0, 10**6), L=st.integers(2, 6), m=st.integers(1, 9), alpha=st.floats(0.1, 10))
@hypothesis_settings(max_examples=40, deadline=None)
def test_product_of_sign_matrices_is_the_jacobian(seed, L, m, alpha):
    weights, x = draw(seed, m=m, L=L)
    expected = torch.func.vmap(torch.func.jacrev(lambda single: fcn.forward(weights, single, alpha)))(x)
    torch.testing.assert_close(fcn.jacobian(weights, x, alpha), expected, atol=ATOL, rtol=1e-12)


@given(seed=st.integers(0, 10**6), L=st.integers(2, 6), c=st.floats(0.01, 100))
@hypothesis_settings(max_examples=30, deadline=None)
def test_network_is_positively_homogeneous(seed, L, c):
    weights, x = draw(seed, L=L)
    torch.testing.assert_close(fcn.forward(weights, c * x), c * fcn.forward(weights, x), atol=1e-12, rtol=1e-9)
    through = (fcn.jacobian(weights, x) @ x[..., None])[..., 0]
    torch.testing.assert_close(through, fcn.forward(weights, x), atol=ATOL, rtol=1e-12)


def test_hidden_states_are_gated_products():
    weights, x = draw()
    before = [x, *fcn.hidden_states(weights, x)]
    for h, following, weight, sign in zip(before, before[1:], weights, fcn.sign_matrices(weights, x), strict=False):
        torch.testing.assert_close(following, sign * (h @ weight.T), atol=ATOL, rtol=0)
    torch.testing.assert_close(fcn.forward(weights, x, 2.0), before[-1] @ weights[-1].T / 2)


def test_a_dead_layer_makes_both_gradients_zero():
    weights, _ = draw(L=4)
    x = torch.ones(1, 5, dtype=torch.float64)
    weights[0] = -weights[0].abs()
    assert (fcn.hidden_states(weights, x)[0] == 0).all()
    signs = fcn.sign_matrices(weights, x)
    assert (signs[0] == 0).all()
    assert (signs[1] == 1).all()  # definition 2 counts a pre-activation of 0 as open
    assert (fcn.jacobian(weights, x) == 0).all()
    assert (torch.func.jacrev(lambda s: fcn.forward(weights, s))(x[0]) == 0).all()


def test_at_the_origin_the_product_is_linear_and_autograd_is_zero():
    weights, _ = draw(L=3)
    origin = torch.zeros(5, dtype=torch.float64)
    torch.testing.assert_close(fcn.jacobian(weights, origin), weights[2] @ weights[1] @ weights[0])
    assert (torch.func.jacrev(lambda s: fcn.forward(weights, s))(origin) == 0).all()


@pytest.mark.parametrize(
    ("scheme", "variances"),
    [
        ("lecun", (1 / 40, 1 / 30, 1 / 30)),
        ("he", (2 / 40, 2 / 30, 2 / 30)),
        ("ntk", (2 / 30, 2 / 30, 1 / 20)),
        (Initialisation.from_variances(0.5, 0.01, 3.0), (0.5, 0.01, 3.0)),
    ],
)
def test_weights_have_the_variances_of_their_scheme(scheme, variances):
    weights = fcn.draw_weights(40, 30, 20, 3, scheme, settings.generator(1), networks=40)
    assert [tuple(w.shape) for w in weights] == [(40, 30, 40), (40, 30, 30), (40, 20, 30)]
    for weight, variance in zip(weights, variances, strict=True):
        z = (weight.square().mean().item() / variance - 1) / math.sqrt(2 / weight.numel())
        assert abs(z) < 4  # the mean square of n normals has relative standard deviation sqrt(2/n)


def test_gamma_of_the_three_schemes():
    gammas = {name: fcn.SCHEMES[name](12, 34, 5).gamma(34) for name in fcn.SCHEMES}
    assert gammas == pytest.approx({"lecun": math.sqrt(0.5), "he": 1.0, "ntk": 1.0})


def test_ensemble_sends_each_input_through_its_own_network():
    g = settings.generator(3)
    stacked = fcn.draw_weights(5, 6, 2, 3, "ntk", g, networks=4, dtype=torch.float64)
    x = torch.randn(4, 5, generator=g, dtype=torch.float64)
    one_by_one = torch.stack([fcn.forward([w[i] for w in stacked], x[i], 0.5) for i in range(4)])
    torch.testing.assert_close(fcn.ensemble(stacked, 0.5)(x), one_by_one)
    several = torch.randn(4, 3, 5, generator=g, dtype=torch.float64)
    assert fcn.ensemble(stacked)(several).shape == (4, 3, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_module_is_the_function(dtype):
    net = FCN(8, 6, 3, 4, alpha=2.0, scheme="lecun", generator=5, dtype=dtype)
    images = torch.rand(7, 1, 2, 4, generator=settings.generator(0), dtype=dtype)
    assert [tuple(w.shape) for w in net.weights] == [(6, 8), (6, 6), (6, 6), (3, 6)]
    assert net(images).dtype == dtype
    assert net(images).shape == (7, 3)
    torch.testing.assert_close(net(images), fcn.forward(list(net.weights), images.flatten(1), 2.0))
    assert len(net.hidden_states(images)) == 3
    assert net.jacobian(images).shape == (7, 3, 8)
    net(images).sum().backward()
    assert all(w.grad is not None for w in net.weights)


def test_a_seed_fixes_the_network_and_the_global_generator_is_not_read():
    state = torch.random.get_rng_state()
    first, same, other = (FCN(4, 3, 2, 3, generator=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.weights, same.weights, strict=True))
    assert not torch.equal(first.weights[0], other.weights[0])


def test_two_layers_have_no_hidden_matrix():
    assert fcn.shapes(5, 4, 3, 2) == [(4, 5), (3, 4)]
    assert len(FCN(5, 4, 3, 2).weights) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FCN(4, 3, 2, 1), "L=1: allowed is an integer, at least 2"),
        (lambda: FCN(0, 3, 2, 2), "d=0: allowed"),
        (lambda: FCN(4, 3, 2, 2, alpha=0.0), "alpha=0.0: allowed is a positive number"),
        (lambda: FCN(4, 3, 2, 2, scheme="hee"), "did you mean 'he'"),
        (lambda: FCN(4, 3, 2, 2)(torch.ones(1, 5)), "takes 4 numbers, not 5"),
        (lambda: Initialisation(-1.0, 1.0, 1.0), "beta_1=-1.0: a standard deviation"),
        (lambda: Initialisation.from_variances(1.0, math.inf, 1.0), "beta\\^2=inf: a variance"),
        (lambda: fcn.draw_weights(4, 3, 2, 2, "he", 0, networks=0), "networks=0: allowed"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
