"""Closed forms at initialisation: against quadrature, scipy, simulation and known limits."""

# ruff: noqa: N803, N806 - L is the paper's own symbol

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import integrate, stats

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.models.fcn import Initialisation
from advsmooth.theory import initialisation as theory
from advsmooth.theory.initialisation import GatedChiSquare, Response

Z = 4.5  # standard errors; a true statement fails with probability 7e-6


@pytest.mark.parametrize("k", [1, 2, 3, 10, 1000])
def test_chi_mean_is_scipys(k):
    assert theory.chi_mean(k) == pytest.approx(stats.chi(k).mean(), rel=1e-12)


def test_chi_mean_of_nothing_is_zero():
    assert theory.chi_mean(0) == 0


@pytest.mark.parametrize("m", [1, 2, 5, 64, 1000])
def test_moments_of_the_gated_law(m):
    law = GatedChiSquare(m)
    assert law.moment(1) == pytest.approx(law.mean, rel=1e-11)
    assert law.moment(2) - law.mean**2 == pytest.approx(law.variance, rel=1e-8)
    # Third central moment m (E Y^3 - 3 E Y E Y^2 + 2 (E Y)^3) of a sum of m terms Y = b z^2; times 8 it is m 44.
    central = law.moment(3) - 3 * law.mean * law.moment(2) + 2 * law.mean**3
    assert central == pytest.approx(m * 44 / 8, rel=1e-5)


def test_root_mean_of_narrow_layers_by_hand():
    assert GatedChiSquare(1).root_mean == pytest.approx(0.5 * math.sqrt(2 / math.pi), rel=1e-13)
    assert GatedChiSquare(2).root_mean == pytest.approx(
        0.5 * math.sqrt(2 / math.pi) + 0.25 * math.sqrt(math.pi / 2), rel=1e-13
    )


@pytest.mark.parametrize("m", [1, 3, 20])
def test_distribution_function_is_the_mixture(m):
    s = torch.tensor([-1.0, 0.0, 0.3, 2.0, 11.0])
    by_hand = [
        sum(math.comb(m, k) * 0.5**m * (stats.chi2(k).cdf(v) if k else v >= 0) for k in range(m + 1))
        for v in s.tolist()
    ]
    assert GatedChiSquare(m).cdf(s).tolist() == pytest.approx(by_hand, abs=1e-12)


def test_distribution_function_gives_the_root_mean():
    """E sqrt(X) is the integral of P(sqrt(X) > s)."""
    law = GatedChiSquare(6)
    tail = integrate.quad(lambda s: 1 - law.cdf(torch.tensor([s * s])).item(), 0, 20)[0]
    assert law.root_mean == pytest.approx(tail, rel=1e-7)


def test_erratum_value():
    assert 1 - GatedChiSquare(8).cdf(torch.tensor([4.0])).item() == pytest.approx(0.4063, abs=5e-5)


def test_sample_has_the_law_and_uniformised_values_are_uniform():
    for m in (1, 3, 40):
        law, g = GatedChiSquare(m), settings.generator(m)
        s = law.sample(20_000, g)
        u = law.uniformised(s, g)
        assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-4
        assert abs((s == 0).double().mean().item() - 0.5**m) < Z * math.sqrt(0.5**m / 20_000) + 1e-12
        other = GatedChiSquare(m + 2).uniformised(s, g)
        assert stats.kstest(other.numpy(), "uniform").pvalue < 1e-4  # the test can fail


def test_contraction_increases_to_one_and_has_its_expansion():
    values = [theory.contraction(m) for m in range(1, 400)]
    assert all(a < b < 1 for a, b in itertools.pairwise(values))
    for m in (100, 400, 1600):
        rest = theory.contraction(m) - (1 - 5 / (8 * m) - 23 / (128 * m**2))
        assert abs(rest) < 5 / m**3
    assert all(1 - 5 / (2 * m) <= c for m, c in enumerate(values, start=1))


@pytest.mark.parametrize("d", [1, 2, 64])
def test_ball_moments(d):
    for p, found in ((1, theory.ball_mean(d)), (2, theory.ball_mean_square(d))):
        assert found == pytest.approx(integrate.quad(lambda s: s**p * d * s ** (d - 1), 0, 1)[0], rel=1e-9)  # noqa: B023


@given(
    m=st.integers(1, 40),
    o=st.integers(1, 12),
    L=st.integers(2, 12),
    alpha=st.floats(0.1, 10),
    variances=st.tuples(*[st.floats(0.01, 10)] * 3),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_moments_are_consistent(m, o, L, alpha, variances):
    law = Response(Initialisation.from_variances(*variances), m, o, L, alpha)
    first, hidden, last = variances
    exact = o * last / alpha**2 * m * first / 2 * (hidden * m / 2) ** (L - 2)
    assert law.second_moment == pytest.approx(exact, rel=1e-9)
    by_factors = math.sqrt(last) * theory.chi_mean(o) / alpha * math.sqrt(first) * GatedChiSquare(m).root_mean
    by_factors *= (math.sqrt(hidden) * GatedChiSquare(m).root_mean) ** (L - 2)
    assert law.first_moment == pytest.approx(by_factors, rel=1e-9)
    assert law.relative_moment(2) == pytest.approx(1, rel=1e-9)
    assert law.relative_moment(1) * law.rms == pytest.approx(law.first_moment, rel=1e-9)
    assert law.variance_ratio(2) == pytest.approx((1 + 2 / o) * (1 + 5 / m) ** (L - 1) - 1, rel=1e-6)
    assert 0 < law.first_moment < law.rms
    deeper = Response(law.init, m, o, L + 1, alpha)
    assert deeper.first_moment / law.first_moment == pytest.approx(law.growth, rel=1e-9)
    assert deeper.second_moment / law.second_moment == pytest.approx(law.gamma**2, rel=1e-9)


def test_skewness_is_that_of_the_samples():
    law = Response(fcn.he(10, 30, 5), 30, 5, 3)
    sample = law.sample(400_000, settings.generator(0)).numpy()
    assert stats.skew(sample) == pytest.approx(law.skewness(1), rel=0.05)
    assert stats.skew(sample**2) == pytest.approx(law.skewness(2), rel=0.1)


def test_sample_has_the_moments():
    law = Response(Initialisation.from_variances(0.3, 0.2, 0.7), 12, 3, 4, alpha=1.5)
    sample = law.sample(50_000, settings.generator(1))
    for power, exact in ((1, law.first_moment), (2, law.second_moment)):
        draws = sample**power
        assert abs(draws.mean().item() - exact) < Z * draws.std().item() / math.sqrt(50_000)


def test_infinite_width_limits_of_the_three_schemes():
    d, m, o = 20, 100_000, 7
    for L in (2, 5):
        exact = {name: Response(fcn.SCHEMES[name](d, m, o), m, o, L).rms for name in fcn.SCHEMES}
        limits = {"lecun": math.sqrt(o / (2 * d)) * 2 ** (-(L - 2) / 2), "he": math.sqrt(2 * o / d), "ntk": 1}
        assert exact == pytest.approx(limits)
        for name, scheme in fcn.SCHEMES.items():
            law = Response(scheme(d, m, o), m, o, L)
            assert law.wide_limit(d) == pytest.approx(limits[name] * theory.chi_mean(o) / math.sqrt(o) * d / (d + 1))
            assert law.stability(d) == pytest.approx(law.wide_limit(d), rel=1e-4)


def test_dead_networks():
    law = Response(fcn.he(3, 2, 1), 2, 1, 3)
    assert law.dead == pytest.approx(float(1 - Fraction(3, 4) ** 2))
    share = (law.sample(100_000, settings.generator(2)) == 0).double().mean().item()
    assert abs(share - law.dead) < Z * math.sqrt(0.25 / 100_000)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GatedChiSquare(0), "m=0: allowed is an integer, at least 1"),
        (lambda: GatedChiSquare(3).moment(0), "p=0: allowed is a positive number"),
        (lambda: theory.chi_mean(-1), "k=-1"),
        (lambda: theory.ball_mean(0), "d=0"),
        (lambda: Response(fcn.he(2, 2, 2), 2, 2, 1), "L=1: allowed is an integer, at least 2"),
        (lambda: Response(fcn.he(2, 2, 2), 2, 2, 2, alpha=0), "alpha=0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("scheme", "m", "L"), [("he", 16, 2), ("lecun", 16, 4), ("ntk", 8, 3)])
def test_the_tangent_kernel_is_that_of_random_networks(scheme, m, L):
    g = settings.generator(5)
    x, d, o = torch.randn(6, generator=g, dtype=torch.float64), 6, 4
    squares = []
    for _ in range(1500):
        network = fcn.FCN(d, m, o, L, 2.0, scheme=scheme, generator=g, dtype=torch.float64)
        gradients = torch.autograd.grad(network(x[None])[0, 1], list(network.weights))
        squares.append(sum(float(gradient.square().sum()) for gradient in gradients))
    init = fcn.initialisation(scheme, d, m, o)
    exact = theory.tangent_kernel(init, m, L, square_norm=float(x.square().sum()), alpha=2.0)
    found = torch.tensor(squares)
    assert abs(found.mean() - exact) < Z * found.std() / 1500**0.5
