"""Growth of curvature with the budget: rates against autograd and differences, conditions against eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from advsmooth import settings
from advsmooth.theory import budget_curvature as bc
from advsmooth.theory import linear
from advsmooth.theory.weight_input import dense_hessian

NORMS = ("l2", "linf")
sizes = st.floats(0.1, 40)
seeds = st.integers(0, 10_000)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


def test_the_turn_is_the_root_and_the_peak():
    root = brentq(lambda z: z * np.tanh(z / 2) - 2, 1, 4, xtol=1e-14)
    assert pytest.approx(root, abs=1e-12) == bc.TURN
    z = torch.linspace(0, 10, 100_001, dtype=torch.float64)
    assert abs(float(z[bc.along_weights(z).argmax()]) - bc.TURN) < 1e-4


def test_the_rate_along_w_is_the_negative_derivative():
    z = draw(0, 50).requires_grad_(True)
    (derivative,) = torch.autograd.grad(bc.along_weights(5 * z).sum(), z)
    torch.testing.assert_close(bc.along_weights_rate(5 * z), -derivative / 5, rtol=0, atol=1e-13)


@pytest.mark.parametrize("norm", NORMS)
def test_the_frozen_hessian_is_that_of_loss_7(norm):
    w, x, y = bc.separated(9, 4, 0.5, norm, 1, 3.0)
    held = 0.3 * linear.dual_norm(w, norm)[0]
    loss = lambda v: torch.nn.functional.softplus(held - y * (x @ v)).mean()  # noqa: E731
    torch.testing.assert_close(bc.frozen_hessian(w, x, y, 0.3, norm)[0], dense_hessian(loss, w[0]))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("of", [(linear.hessian, bc.rate), (bc.frozen_hessian, bc.frozen_rate)], ids=["6", "29"])
def test_rates_are_derivatives_in_the_budget(norm, of):
    hessian, rate = of
    theta, x = draw(2, 3, 5), draw(3, 7, 5)
    y = torch.where(draw(4, 7) > 0, 1.0, -1.0).double()
    for eps in (0.01, 0.4, 2.0):
        difference = (hessian(theta, x, y, eps + 1e-5, norm) - hessian(theta, x, y, eps - 1e-5, norm)) / 2e-5
        torch.testing.assert_close(rate(theta, x, y, eps, norm), difference, rtol=0, atol=1e-8)


@pytest.mark.parametrize("norm", NORMS)
def test_rates_are_refused_at_kinks(norm):
    with pytest.raises(ValueError, match="jumps there"):
        bc.rate(torch.zeros(1, 3).double(), draw(0, 4, 3), torch.ones(4).double(), 0.0, norm)


@given(seeds, sizes, st.floats(0, 0.99), st.sampled_from(NORMS))
def test_the_criterion_decides_like_the_eigenvalues(seed, size, eps, norm):
    w, x, y = bc.separated(12, 3, 1.0, norm, seed, size)
    value = float(bc.criterion(w, x, y, eps, norm)[0])
    rate = bc.rate(w, x, y, eps, norm)[0]
    if not np.isnan(value) and abs(value - 1) > 1e-4:
        assert (value <= 1) == bc.not_smaller(rate, torch.zeros_like(rate))


def test_the_criterion_is_not_a_number_without_a_definite_matrix():
    w, x, y = bc.separated(2, 4, 1.0, "linf", 0)
    assert bc.criterion(w, x - 3 * y[:, None] * w, y, 0.5, "linf").isnan().all()


@given(st.floats(0.2, 40), st.floats(0, 0.98), st.floats(0, 2))
def test_one_input_has_a_formula(size, eps, across):
    w, x = torch.tensor([[size, 0.0, 0.0]]).double(), torch.tensor([[1.0, across, 0.0]]).double()
    room = float(bc.one_input_room(torch.tensor(size * (1 - eps)).double(), eps, size, across))
    rate = bc.rate(w, x, torch.ones(1).double(), eps, "l2")[0]
    if abs(room) > 1e-4:
        assert (room >= 0) == bc.not_smaller(rate, torch.zeros_like(rate))


@given(seeds, sizes, st.sampled_from(NORMS))
def test_what_is_proved_holds_on_separated_data(seed, size, norm):
    w, x, y = bc.separated(8, 4, 1.0, norm, seed, size)
    found = bc.statements(w, x, y, norm, (0.0, 0.3, 0.999), draw(seed, 1, 4))
    assert found["frozen"]
    assert found["tangent"]
    assert not found["true"] or (found["largest"] and found["smallest"])


def test_great_circles_against_autograd():
    w, x, y = bc.separated(9, 3, 1.0, "l2", 5, 2.0)
    m = draw(6, 1, 3)
    m = linear.steepest(m - (m @ w.T) * w / 4, "l2")
    path = lambda t: linear.loss(torch.cos(t / 2) * w + torch.sin(t / 2) * 2 * m, x, y, 0.4, "l2")[0]  # noqa: E731
    found = dense_hessian(lambda t: path(t[0]), torch.zeros(1).double())
    torch.testing.assert_close(bc.on_the_sphere(w, m, x, y, 0.4), found[0])


@pytest.mark.parametrize("norm", NORMS)
def test_random_data_have_the_margins_asked_for(norm):
    wanted = torch.tensor([0.5, 3.0, -1.0, 7.0]).double()
    w, x, y = bc.with_margins(wanted, 3, norm, 0, 2.5)
    torch.testing.assert_close(linear.margins(w, x, y, 0.0, norm)[0], wanted)
    torch.testing.assert_close(linear.dual_norm(w, norm), torch.tensor([2.5]).double())
    w, x, y = bc.separated(30, 3, 0.8, norm, 1, 2.5)
    margins = linear.margins(w, x, y, 0.0, norm)[0] / 2.5
    assert margins.min() >= 0.8 - 1e-12
    assert margins[0] == pytest.approx(0.8)
    assert (margins > 0.81).any()


def test_the_growth_map_knows_both_regimes():
    w, x, y = bc.separated(60, 3, 1.0, "l2", 3)
    along, least = bc.growth_map(w, x, y, "l2", [0.2, 20.0], [0.0, 0.3])
    assert along.shape == least.shape == (2, 2)
    assert (along[0] < 0).all()
    assert (along[1] > 0).all()
    rate = bc.rate(20 * w, x, y, 0.3, "l2")[0]
    values = torch.linalg.eigvalsh(rate)
    assert least[1, 1] == pytest.approx(float(values[0] / values.abs().max()))


def test_not_smaller_sees_one_negative_eigenvalue():
    a = torch.diag(torch.tensor([2.0, 1.0]).double())
    assert bc.not_smaller(a, a)
    assert bc.not_smaller(a, a - torch.diag(torch.tensor([0.0, 1.0]).double()))
    assert not bc.not_smaller(a, a + torch.diag(torch.tensor([-1.0, 1e-9]).double()))
