"""The bounds of theorem 2: closed forms, brackets, limits, and a brute-force search for a violation."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from advsmooth import settings
from advsmooth.theory import leaving_lazy as ll

POSITIVE = st.floats(1e-6, 1e6)


@given(POSITIVE, POSITIVE, POSITIVE)
def test_two_layers_have_a_closed_form(first, second, product):
    found = ll.common_growth(torch.tensor([first, second]).double(), product).item()
    n1, n2 = (float(torch.tensor(v).float().double()) for v in (first, second))
    closed = 2 * (product**2 - n1 * n2) / (n1 + n2 + math.hypot(n1 - n2, 2 * product))  # stable form of the root
    assert found == pytest.approx(closed, rel=1e-6, abs=1e-9 * max(n1, n2, product))


@given(st.lists(POSITIVE, min_size=1, max_size=6), POSITIVE)
def test_the_growth_solves_its_equation_and_lies_in_its_bracket(squares, product):
    n = torch.tensor(squares, dtype=torch.float64)
    s = ll.common_growth(n, product)
    mean = product ** (2 / len(squares))
    slack = 1e-9 * (n.max().item() + mean)
    assert max(mean - n.max(), -n.min()) - slack <= s <= mean - n.min() + slack
    if s > -0.9 * n.min():  # near the pole at -min the product is too steep to compare
        assert (n + s).log().sum().item() == pytest.approx(2 * math.log(product), abs=1e-4)


@given(st.lists(POSITIVE, min_size=1, max_size=6), POSITIVE)
def test_the_simple_bound_is_the_weaker_one(squares, product):
    n = torch.tensor(squares, dtype=torch.float64)
    assert bool((ll.simple_bound(n, product) <= ll.least_movement(n, product) * (1 + 1e-9) + 1e-7).all())


def test_equal_layers_make_the_two_bounds_equal():
    n = torch.full((3,), 0.25, dtype=torch.float64)
    torch.testing.assert_close(ll.least_movement(n, 8.0), torch.full((3,), 3.0, dtype=torch.float64))
    assert ll.simple_bound(n, 8.0).item() == pytest.approx(3.0)


def test_no_network_that_keeps_the_balance_and_reaches_the_product_moves_less():
    """Random norms after training: those that keep the balance and reach p never fall below the bound."""
    g = settings.generator(0)
    n = torch.rand(5000, 3, generator=g, dtype=torch.float64) + 0.01
    s = 3 * torch.rand(5000, 1, generator=g, dtype=torch.float64) - 0.01
    after = n + s
    product = after.prod(1).sqrt()
    moved = (after / n).sqrt() - 1
    bound = ll.least_movement(n, product)
    assert bool((moved >= bound - 1e-9).all() | (s < 0).any())
    grown = s[:, 0] > 0
    torch.testing.assert_close(bound[grown], moved[grown])  # tight: the growth is recovered


def test_a_drift_weakens_the_bound_and_stacks_broadcast():
    n = torch.tensor([[0.1, 0.2], [0.3, 0.1]], dtype=torch.float64)
    free, drifting = ll.least_movement(n, 2.0), ll.least_movement(n, 2.0, torch.tensor([0.5, 100.0]))
    assert bool((drifting[0] < free[0]).all())
    assert drifting[1].tolist() == [0, 0]


def test_start_norms_are_chi_quantiles_below_their_bound():
    assert ll.start_norm(1, 2.0, 0.05) == pytest.approx(2 * stats.norm.isf(0.025))
    for entries in (1, 10, 1000):
        for delta in (0.3, 1e-8):
            assert ll.start_norm(entries, 0.5, delta) <= ll.start_norm_bound(entries, 0.5, delta)


def test_typical_squares_are_the_mean_squares():
    g = settings.generator(1)
    draws = [torch.randn(2000, size, generator=g).mul(8**-0.75).square().sum(1).mean() for size in (8 * 5, 8)]
    torch.testing.assert_close(ll.typical_squares(8, 0.75, 5), torch.stack(draws).double(), rtol=0.03, atol=0)
    assert ll.typical_squares(torch.ones(4, 1), torch.ones(3), 5).shape == (4, 3, 2)


def test_exponents():
    m = 37.0
    c = ll.reconstructed_exponent(m)
    assert m**1.5 * 2 * m**-c == pytest.approx(1)
    assert [ll.width_exponent(c) for c in (0, 0.25, 0.4, 0.5, 2)] == pytest.approx([-0.5, -0.5, -0.2, 0, 1.5])


@pytest.mark.parametrize(
    "call",
    [
        lambda: ll.common_growth(torch.tensor([1.0, 0.0]), 1.0),
        lambda: ll.common_growth(torch.tensor([1.0, 1.0]), -1.0),
        lambda: ll.start_norm(3, 1.0, 1.5),
    ],
)
def test_bad_input_is_refused_in_one_line(call):
    with pytest.raises(ValueError, match="allowed") as refusal:
        call()
    assert "\n" not in str(refusal.value)
