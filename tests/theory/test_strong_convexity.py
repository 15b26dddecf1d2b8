"""Strong convexity against autograd, dense Hessians, brute force and quadrature."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import integrate

from advsmooth import settings
from advsmooth.theory import strong_convexity as sc


def normal(seed, *shape):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


# --- the regularised cross-entropy --------------------------------------------------------------------------------


def test_points_lie_in_the_simplex_and_come_close_to_corners():
    points = sc.simplex_points(300, 4, 0)
    torch.testing.assert_close(points.sum(1), torch.ones(300, dtype=torch.float64))
    assert (points >= 0).all()
    assert points.amax() > 0.999
    assert torch.equal(points, sc.simplex_points(300, 4, 0))


def test_loss_by_hand():
    y, z = torch.tensor([0.25, 0.75]).double(), torch.tensor([1.0, 0.0]).double()
    by_hand = -1.5 * torch.log(torch.tensor(0.75 / 1.5).double()) - 0.5 * torch.log(torch.tensor(1.25 / 0.5).double())
    assert sc.regularised_cross_entropy(y, z, 0.5).item() == pytest.approx(by_hand.item())
    assert sc.regularised_cross_entropy(z, z, 0.5).item() == 0.0


def test_slope_and_curvature_are_those_of_autograd():
    y, z = sc.simplex_points(2, 4, 1).unbind()
    gradient = torch.func.grad(lambda u: sc.regularised_cross_entropy(u, z, 0.2))(y)
    torch.testing.assert_close(sc.slope(y, z, 0.2), gradient)
    hessian = torch.func.hessian(lambda u: sc.regularised_cross_entropy(u, z, 0.2))(y)
    project = torch.eye(4).double() - 0.25
    dense = torch.linalg.eigvalsh(project @ hessian @ project + 1e6 * torch.full((4, 4), 0.25).double())[0]
    assert sc.curvature(y, z, 0.2).item() == pytest.approx(dense.item(), rel=1e-8)


def test_tangent_basis():
    basis = sc.tangent_basis(5)
    torch.testing.assert_close(basis.T @ basis, torch.eye(4, dtype=torch.float64))
    assert basis.sum(0).abs().max() < 1e-14


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("eps", [0.01, 0.1, 0.3])
def test_the_modulus_is_the_least_curvature(classes, eps):
    """Random predictions, labels on the corners: never below, and a projected descent comes down to it."""
    exact = sc.modulus(classes, eps)
    labels = torch.eye(classes, dtype=torch.float64)[-1:]
    cloud = sc.simplex_points(4000, classes, 2)
    found = sc.curvature(cloud, labels, eps)
    assert found.min() >= exact - 1e-12
    best = cloud[found.argmin()]
    for scale in torch.logspace(-1, -6, 60).tolist():
        nearby = (best + scale * normal(int(1e7 * scale), 300, classes)).clamp(min=0)
        nearby = nearby / nearby.sum(1, keepdim=True)
        values = sc.curvature(nearby, labels, eps)
        if values.min() < sc.curvature(best, labels[0], eps):
            best = nearby[values.argmin()]
    assert sc.curvature(best, labels[0], eps).item() == pytest.approx(exact, rel=1e-3)


def test_two_classes_have_a_curved_cross_entropy():
    assert sc.modulus(2, 1e-12) == pytest.approx(0.5, abs=1e-3)
    assert sc.modulus(3, 1e-12) < 1e-10


@pytest.mark.parametrize(("classes", "eps"), [(1, 0.1), (3, 0.0), (3, -1.0), (100, 0.3), (4, 1.2)])
def test_a_modulus_that_is_not_derived_is_refused(classes, eps):
    with pytest.raises(ValueError, match="allowed is"):
        sc.modulus(classes, eps)


def test_beyond_the_condition_the_formula_is_wrong():
    """So the refusal is not timid: six classes at eps = 1 have a smaller curvature."""
    found = sc.curvature(sc.simplex_points(4000, 6, 0), sc.simplex_points(4000, 6, 1), 1.0)
    assert found.min() < 4 / 9 - 0.02


@given(st.integers(0, 1000), st.integers(2, 8), st.floats(0.01, 1.0))
@hypothesis_settings(deadline=None, max_examples=40)
def test_the_lipschitz_constant_bounds_quotients_in_the_1_norm(seed, classes, eps):
    y1, y2, z = (sc.simplex_points(60, classes, seed + k) for k in (0, 5000, 9000))
    rise = (sc.regularised_cross_entropy(y1, z, eps) - sc.regularised_cross_entropy(y2, z, eps)).abs()
    assert (rise <= sc.lipschitz(eps) * (y1 - y2).abs().sum(1) + 1e-12).all()


def test_the_lipschitz_constant_is_approached_between_two_corners():
    corners = torch.eye(3, dtype=torch.float64)
    close = corners[0] + 1e-6 * (corners[1] - corners[0])
    rise = sc.regularised_cross_entropy(corners[0], corners[1], 0.1) - sc.regularised_cross_entropy(
        close, corners[1], 0.1
    )
    assert (rise / 2e-6).item() == pytest.approx(sc.lipschitz(0.1), rel=1e-4)


def test_the_surplus_is_an_equality_for_squares():
    a, b, centre = normal(3, 3, 50, 2)
    t = torch.rand(50, generator=settings.generator(4), dtype=torch.float64)
    square = (a - b).square().sum(1)

    def loss(u):
        return (u - centre).square().sum(1)

    assert sc.surplus(loss, a, b, t, square, 2.0).abs().max() < 1e-13
    expected = 0.05 * t * (1 - t) * square
    torch.testing.assert_close(sc.surplus(loss, a, b, t, square, 1.9), expected)


# --- piecewise linear functions -----------------------------------------------------------------------------------


def test_integrals_are_those_of_a_quadrature():
    knots = torch.tensor([0.0, 0.1, 0.5, 1.0]).double()
    values, density = normal(5, 4), torch.tensor([0.5, 2.0, 0.1]).double()
    inner = knots[1:-1].tolist()

    def integrand(x):
        cell = min(int(torch.searchsorted(knots, torch.tensor(x).double(), right=True)) - 1, 2)
        share = (x - knots[cell]) / (knots[cell + 1] - knots[cell])
        return float(((1 - share) * values[cell] + share * values[cell + 1]) ** 2 * density[cell])

    assert sc.integral(knots, values, density).item() == pytest.approx(integrate.quad(integrand, 0, 1, points=inner)[0])
    assert sc.integral(knots, torch.ones(2, 4).double()).tolist() == pytest.approx([1.0, 1.0])


def test_the_lipschitz_constant_is_the_largest_quotient_of_all_pairs():
    knots, values = torch.linspace(0, 1, 9).double(), normal(6, 5, 9)
    run = (knots[:, None] - knots).abs().fill_diagonal_(torch.inf)
    brute = ((values[:, :, None] - values[:, None]).abs() / run).amax((1, 2))
    torch.testing.assert_close(sc.lipschitz_constant(knots, values), brute)


@pytest.mark.parametrize("price", [0.0, 0.05, 1 / 6, 1.0])
def test_no_function_beats_the_closed_form(price):
    knots = torch.linspace(0, 1, 17).double()
    best = sc.minimiser_for_linear_labels(knots, price)
    height = sc.objective(knots, best, knots, price)
    tried = torch.cat([sc.random_functions(2000, knots, 7), best + 1e-2 * sc.random_functions(2000, knots, 8)])
    assert (sc.objective(knots, tried, knots, price) >= height - 1e-14).all()
    s = max(1 - 6 * price, 0.0)
    assert height.item() == pytest.approx((1 - s) ** 2 / 12 + price * s)


def test_random_functions_vary_in_size_and_repeat():
    knots = torch.linspace(0, 1, 9).double()
    drawn = sc.random_functions(500, knots, 9)
    size = drawn.abs().amax(1)
    assert size.max() / size.min() > 50
    assert torch.equal(drawn, sc.random_functions(500, knots, 9))
