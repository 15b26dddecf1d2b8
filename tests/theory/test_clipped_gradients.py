"""The artifact's estimator for Gaussian gradients: limits, simulation, bounds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.analysis import variance
from advsmooth.theory import clipped_gradients as theory


def test_the_bias_of_a_standard_deviation_is_the_known_one():
    assert theory.deviation_bias(2) == pytest.approx(math.sqrt(2 / math.pi))
    assert theory.deviation_bias(10) == pytest.approx(0.9727, abs=5e-5)  # tables of control charts
    assert theory.deviation_bias(10_000) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("size", "scale"), [(1, 2.0), (7, 0.3), (300, 0.5)])
def test_clipping_interpolates_between_no_clipping_and_a_sphere(size, scale):
    assert theory.sum_of_deviations(size, scale, 1e6) == pytest.approx(theory.sum_of_deviations(size, scale))
    tight = 1e-3 * scale
    assert theory.sum_of_deviations(size, scale, tight) == pytest.approx(tight * math.sqrt(size), rel=1e-3)


def test_the_clipped_closed_form_is_what_a_simulation_gives():
    rows = 2 * torch.randn(200_000, 5, generator=settings.generator(0), dtype=torch.float64)
    squares = variance.clipped(rows, 4.0).square().sum(1)
    expected = theory.sum_of_deviations(5, 2.0, 4.0) ** 2 / 5
    assert squares.mean().item() == pytest.approx(expected, abs=5 * (squares.std() / len(rows) ** 0.5).item())


@given(st.integers(2, 6), st.integers(1, 8), st.integers(0, 1000), st.floats(0.1, 20))
def test_no_clipped_gradients_exceed_the_bound_and_it_is_reached(n, size, seed, clip):
    rows = 10 * torch.randn(n, size, generator=settings.generator(seed), dtype=torch.float64)
    seen = variance.Welford(size)
    seen.update(variance.clipped(rows, clip))
    bound = theory.largest_sum_of_deviations(size, clip, n)
    assert seen.spread().sum_of_deviations() <= bound * (1 + 1e-12)
    opposite = torch.full((1, size), clip / math.sqrt(size), dtype=torch.float64)
    both = variance.Welford(size)
    both.update(torch.cat([opposite, -opposite]))
    assert both.spread().sum_of_deviations() == pytest.approx(theory.largest_sum_of_deviations(size, clip, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.deviation_bias(1), "at least 2"),
        (lambda: theory.largest_sum_of_deviations(3, 5.0, 1), "at least 2"),
        (lambda: theory.sum_of_deviations(0, 1.0), "positive"),
        (lambda: theory.sum_of_deviations(3, -1.0), "scale=-1.0"),
        (lambda: theory.sum_of_deviations(3, 1.0, 0.0), "clip=0.0"),
    ],
)
def test_refusals_say_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
