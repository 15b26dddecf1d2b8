"""Rescaled networks: constants of the schemes, the twin's settings, and the best common rate."""

# ruff: noqa: N803, N806 - W and L are the paper's own symbols

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.theory import rescaling

CONSTANT = st.floats(0.05, 20)


@pytest.mark.parametrize("L", [2, 3, 6])
@pytest.mark.parametrize(("start", "target"), [("lecun", "he"), ("lecun", "ntk"), ("he", "ntk"), ("ntk", "lecun")])
def test_schemes_are_one_draw_up_to_the_constants(start, target, L):
    first, second = (fcn.draw_weights(7, 9, 3, L, s, 5, dtype=torch.float64) for s in (start, target))
    for a, b in zip(rescaling.rescaled(first, rescaling.between(start, target, 7, 9, 3, L)), second, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("L", [2, 3, 8])
@pytest.mark.parametrize("m", [5, 50])
def test_output_scales_in_closed_form(L, m):
    d, o = 20, 3
    assert math.prod(rescaling.between("lecun", "he", d, m, o, L)) == pytest.approx(2 ** (L / 2))
    assert math.prod(rescaling.between("lecun", "ntk", d, m, o, L)) == pytest.approx(
        2 ** ((L - 1) / 2) * (d / o) ** 0.5
    )
    assert math.prod(rescaling.between("he", "ntk", d, m, o, L)) == pytest.approx((d / (2 * o)) ** 0.5)
    c = rescaling.between("lecun", "ntk", d, m, o, L)
    assert c[0] ** -2 == pytest.approx(m / (2 * d))
    assert c[-1] ** -2 == pytest.approx(o / m)


@given(st.lists(CONSTANT, min_size=3, max_size=3), st.integers(0, 100))
def test_the_twin_is_the_same_function_with_gradients_over_c(c, seed):
    W = [w.requires_grad_() for w in fcn.draw_weights(4, 6, 2, 3, "he", seed, dtype=torch.float64)]
    twin = [w.detach().requires_grad_() for w in rescaling.rescaled(W, c)]
    x = torch.randn(5, 4, generator=settings.generator(seed), dtype=torch.float64)
    f, g = fcn.forward(W, x), fcn.forward(twin, x, rescaling.twin(c).alpha)
    torch.testing.assert_close(f, g)
    for a, b, s in zip(torch.autograd.grad(f.exp().sum(), W), torch.autograd.grad(g.exp().sum(), twin), c, strict=True):
        torch.testing.assert_close(b * s, a)


def test_settings_of_the_twin():
    of = rescaling.twin((2.0, 4.0))
    assert (of.alpha, of.rates, of.decays, of.guards) == (8.0, (4.0, 16.0), (0.25, 0.0625), (0.5, 0.25))
    assert rescaling.twin((2.0, 4.0), "adam").rates == (2.0, 4.0)


@given(st.lists(CONSTANT, min_size=2, max_size=5), st.data())
def test_the_best_common_rate_is_the_best(c, draw):
    squares = draw.draw(st.lists(st.floats(0.01, 10), min_size=len(c), max_size=len(c)))

    def missed(r):
        return math.sqrt(sum((r / k**2 - 1) ** 2 * s for k, s in zip(c, squares, strict=True)) / sum(squares))

    best, least = rescaling.best_common_rate(c, squares)
    assert missed(best) == pytest.approx(least, abs=1e-6)
    assert all(missed(best * r) >= least - 1e-9 for r in np.geomspace(0.1, 10, 21))


def test_equal_constants_or_a_layer_without_gradient_miss_nothing():
    assert rescaling.best_common_rate((3.0, 3.0), (1.0, 5.0)) == (pytest.approx(9.0), 0.0)
    assert rescaling.best_common_rate((3.0, 1.0), (1.0, 0.0)) == (pytest.approx(9.0), 0.0)
    assert rescaling.best_common_rate((3.0, 1.0), (1.0, 1.0))[1] > 0.1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rescaling.twin((1.0, -2.0)), "positive"),
        (lambda: rescaling.twin((1.0, float("nan"))), "positive"),
        (lambda: rescaling.twin((1.0,), "lion"), "'sgd' or 'adam'"),
        (lambda: rescaling.rescaled([torch.ones(1, 1)], (1.0, 2.0)), "one constant for each of the 1"),
        (lambda: rescaling.best_common_rate((1.0, 2.0), (0.0, 0.0)), "not all 0"),
        (lambda: rescaling.best_common_rate((1.0, 2.0), (1.0,)), "2 numbers"),
        (lambda: rescaling.between("lecun", "hee", 3, 4, 2, 2), "did you mean 'he'"),
        (lambda: rescaling.between("lecun", "he", 3, 4, 2, 1), "at least 2"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
