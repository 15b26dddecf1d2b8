"""The second-order step on quadratics: against the exact local entropy, simulation, and its own fixed points."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.theory import entropy, newton


@given(a=st.floats(0.01, 100), c=st.floats(-3, 3), theta=st.floats(-3, 3), gamma=st.floats(0.01, 10))
def test_one_step_lands_on_the_minimiser(a, c, theta, gamma):
    at = torch.tensor([[theta]], dtype=torch.float64)
    local = entropy.quadratic(torch.tensor([[a]]).double(), torch.tensor([-a * c]).double(), at, gamma)
    end = newton.newton_step(at, local.mean, local.covariance[:, 0], gamma)
    assert end.item() == pytest.approx(c, abs=1e-6)


def test_the_step_is_newton_on_the_objective_also_where_that_is_no_quadratic():
    """-gradient / second derivative, both by quadrature, for a loss with a kink."""
    gamma, theta = 0.8, torch.tensor([[0.6]], dtype=torch.float64)
    over = entropy.grid(-14.0, 14.0, width=0.4, order=10, breaks=(0.0,))
    local = entropy.local_entropy(entropy.hill_with_a_kink(0.3, 0.5), theta, gamma, over)
    variance = local.covariance[:, 0]
    second = gamma - gamma**2 * variance
    expected = theta - 0.3 * local.gradient / second
    torch.testing.assert_close(newton.newton_step(theta, local.mean, variance, gamma, rate=0.3), expected)


@pytest.mark.parametrize(("curvature", "sign"), [(0.5, 1), (-0.01, -1)])
def test_the_factor_has_the_sign_of_the_curvature(curvature, sign):
    variance = newton.quadratic_variance(torch.tensor([curvature]), 0.03)
    assert newton.newton_factor(variance, 0.03).sign().item() == sign
    assert (variance < 1 / 0.03).item() is (sign == 1)


def test_the_factor_is_infinite_on_flat_ground():
    assert newton.newton_factor(newton.quadratic_variance(torch.zeros(1), 0.5), 0.5).isinf().all()


@pytest.mark.parametrize(("stiffness", "rate", "noise"), [(1.0, 0.1, 1.0), (2.5, 0.3, 0.2), (0.7, 1.5, 1.4)])
def test_stationary_variance_by_simulation(stiffness, rate, noise):
    g, n = settings.generator(1), 40_000
    t = torch.zeros(n, dtype=torch.float64)
    for _ in range(400):
        t = (1 - rate * stiffness) * t + rate**0.5 * noise * torch.randn(n, generator=g, dtype=torch.float64)
    exact = newton.stationary_variance(stiffness, rate, noise)
    assert (t.var().item() / exact - 1) / (2 / n) ** 0.5 == pytest.approx(0, abs=4)


def test_stationary_variance_at_small_rates_is_that_of_the_temperature():
    assert newton.stationary_variance(2.0, 1e-9, 0.6) == pytest.approx(0.6**2 / 4)
    assert newton.stationary_variance(2.0, 1e-9, 2**0.5) == pytest.approx(1 / 2)  # p_theta


@pytest.mark.parametrize("sign", [1, -1])
def test_growth_is_the_factor_of_the_recursion(sign):
    a, gamma, rate, theta, c = 0.7, 0.2, 0.15, 0.4, 1.5
    t = [theta]
    for _ in range(4):
        t.append(t[-1] - rate * (sign * a * (t[-1] - c) - gamma * (theta - t[-1])))
    assert (t[4] - t[3]) / (t[3] - t[2]) == pytest.approx(newton.growth(a, gamma, rate, sign))


def test_as_printed_it_runs_away_only_where_the_loss_is_steeper_than_the_scope():
    assert newton.growth(0.02, 0.03, 0.1, -1) < 1 < newton.growth(0.04, 0.03, 0.1, -1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: newton.newton_factor(torch.ones(1), 0.0), "gamma=0.0"),
        (lambda: newton.stationary_variance(3.0, 1.0, 1.0), "between 0 and 2"),
        (lambda: newton.growth(1.0, 1.0, 0.1, 0), "sign=0"),
        (lambda: newton.quadratic_variance(torch.tensor([-0.5]), 0.5), "more than -gamma"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
