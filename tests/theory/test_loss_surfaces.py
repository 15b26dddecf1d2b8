"""The surfaces of Kanai et al.: exact worst cases, kinks, minima, and the certificate of the smoothed minimum."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize

from advsmooth import settings
from advsmooth.theory import entropy, linear
from advsmooth.theory import loss_surfaces as surfaces

X = torch.tensor([-1.0, 1.0], dtype=torch.float64)
EPS = 0.6
PLANE = torch.cartesian_prod(*[torch.linspace(-2, 2, 21, dtype=torch.float64)] * 2)


def sample(seed, n=100):
    x = torch.randn(n, 2, generator=settings.generator(seed), dtype=torch.float64)
    return x, torch.where(x[:, 0] > 0, 1.0, -1.0).double()


def ball(norm, n=201):
    at = torch.linspace(-1, 1, n, dtype=torch.float64)
    if norm == "linf":
        return EPS * torch.cartesian_prod(at, at)
    angle = math.pi * torch.linspace(0, 2, 2 * n, dtype=torch.float64)
    unit = torch.stack([angle.cos(), angle.sin()], 1)
    return EPS * (torch.linspace(0, 1, n, dtype=torch.float64)[:, None, None] * unit).reshape(-1, 2)


# --- swish ------------------------------------------------------------------------------------------------------------


def test_the_swish_is_least_where_lamberts_function_says():
    found = optimize.minimize_scalar(lambda u: u / (1 + math.exp(-u)), bounds=(-3, 0), method="bounded")
    assert pytest.approx(found.x, abs=1e-4) == surfaces.SWISH_LEAST
    at = torch.tensor(surfaces.SWISH_LEAST, dtype=torch.float64)
    assert surfaces.slope(at).abs() < 1e-15
    assert surfaces.swish(at).item() == pytest.approx(1 + surfaces.SWISH_LEAST, abs=1e-15)
    assert surfaces.height(at).item() == pytest.approx(surfaces.PLATEAU, abs=1e-15)


@given(st.floats(-30, 30))
def test_slope_and_bend_are_the_derivatives(u):
    at = torch.tensor(u, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(surfaces.height(at), at, create_graph=True)
    (second,) = torch.autograd.grad(first, at)
    assert surfaces.slope(at).item() == pytest.approx(first.item(), abs=1e-12)
    assert surfaces.bend(at).item() == pytest.approx(second.item(), abs=1e-12)


@pytest.mark.parametrize("norm", linear.NORMS)
def test_no_point_of_the_ball_is_worse(norm):
    exact = surfaces.swish_loss(PLANE, X, EPS, norm)
    listed = surfaces.height(PLANE @ (X + ball(norm)).T).amax(1)
    assert (listed <= exact + 1e-12).all()
    assert (exact - listed).max() < 1e-3  # the listing is fine, but not infinitely so


@pytest.mark.parametrize("norm", linear.NORMS)
@pytest.mark.parametrize("eps", [0.0, 0.3, 0.6])
def test_the_gradient_is_that_of_the_loss(norm, eps):
    at = smooth_points().requires_grad_(True)
    (auto,) = torch.autograd.grad(surfaces.swish_loss(at, X, eps, norm).sum(), at)
    assert torch.allclose(surfaces.swish_gradient(at.detach(), X, eps, norm), auto, atol=1e-12)


def smooth_points():
    return 2 * torch.rand(200, 2, generator=settings.generator(1), dtype=torch.float64) + torch.tensor([[0.01, -2.01]])


@pytest.mark.parametrize(("norm", "along"), [("linf", [0.0, 1.0]), ("l2", [0.6, 0.8])])
def test_the_jump_is_what_one_sided_gradients_show(norm, along):
    way = torch.tensor([along], dtype=torch.float64)
    base = {"linf": [[-1.5, 0], [0.3, 0], [0.9, 0], [1.9, 0]], "l2": [[0.0, 0.0]]}[norm]
    theta = torch.tensor(base, dtype=torch.float64)
    h = 1e-9 * way
    seen = surfaces.swish_gradient(theta + h, X, EPS, norm) - surfaces.swish_gradient(theta - h, X, EPS, norm)
    jump = surfaces.swish_jump(theta, way.expand_as(theta), X, EPS, norm)
    assert torch.allclose(jump, seen, atol=1e-7)
    if norm == "linf":
        assert (jump[:2].norm(dim=1) > 0.1).all()
        assert (jump[2:] == 0).all()  # the plateau
    else:
        assert jump.norm().item() == pytest.approx(EPS / 2, abs=1e-12)  # 2 eps |g'(0)|, g'(0) = -1/4


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match="theta"):
        surfaces.reach(PLANE, X[:1], EPS, "l2")


# --- kinks ------------------------------------------------------------------------------------------------------------


def test_kinks_of_known_functions():
    at = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]], dtype=torch.float64)
    first = surfaces.kink_heights(lambda t: t.sign() * torch.tensor([1.0, 0.0]), at)  # |theta_1|
    assert first.tolist() == [2, 0, 2, 0]
    ridge = surfaces.kink_heights(lambda t: (t.sum(1, keepdim=True) - 1).sign().expand(-1, 2), at)  # |t1 + t2 - 1|
    assert ridge.tolist() == pytest.approx([0, 0, 0, 2 * 2**0.5])
    assert surfaces.kink_heights(lambda t: 5 * t, at).max() < 3e-7


@pytest.mark.parametrize(("norm", "eps"), [("l2", 0.0), ("l2", EPS), ("linf", EPS)])
def test_jumps_along_segments_are_explained(norm, eps):
    x, y = sample(3, 20)
    ends = torch.randn(20, 2, 2, generator=settings.generator(2), dtype=torch.float64)
    ends[:5, 1] = -ends[:5, 0]
    for a, b in ends:
        found, explained = surfaces.jumps_along(a, b, x, y, eps, norm)
        assert torch.allclose(found, explained, atol=1e-10)
    assert (surfaces.jumps_along(*ends[0], x, y, eps, norm)[1].norm() > 0.1) == (eps > 0)


# --- minimisers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", linear.NORMS)
@pytest.mark.parametrize("seed", range(6))
def test_minimisers_agree_with_a_derivative_free_search(norm, seed):
    x, y = sample(seed, 40)
    x = x @ torch.tensor([[1.0, 0.6 * (seed % 3)], [0.0, 1.0]], dtype=torch.float64)  # at times off the axes

    def height(t):
        return linear.loss(torch.tensor(t, dtype=torch.float64)[None], x, y, 0.4, norm).item()

    found = surfaces.minimiser(x, y, 0.4, norm)
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000}
    search = optimize.minimize(height, found.theta.numpy() + 0.05, method="Nelder-Mead", options=options)
    assert height(found.theta.tolist()) <= search.fun + 1e-12
    assert found.residual < 1e-9
    assert found.slack >= 0


def test_off_the_axes_both_components_are_found():
    x, y = sample(0)
    turned = x @ torch.tensor([[0.8, 0.6], [-0.6, 0.8]], dtype=torch.float64)
    found = surfaces.minimiser(turned, y, 0.3, "linf")
    assert (found.theta != 0).all()
    assert linear.gradient(found.theta[None], turned, y, 0.3, "linf").abs().max() < 1e-9


@pytest.mark.parametrize("norm", linear.NORMS)
def test_a_large_radius_leaves_the_origin(norm):
    x, y = sample(0)
    found = surfaces.minimiser(x, y, 2.0, norm)
    assert found.theta.tolist() == [0, 0]
    assert found.slack > 0
    assert (linear.loss(PLANE, x, y, 2.0, norm) >= math.log(2) - 1e-12).all()


def test_the_slack_is_the_margin_of_the_condition():
    """Moving the data in the second feature until the kink no longer holds: slack reaches 0 there."""
    x, y = sample(1)
    held = surfaces.minimiser(x, y, EPS, "linf")
    assert held.theta[1] == 0
    weight = torch.sigmoid(-linear.margins(held.theta[None], x, y, EPS, "linf"))[0]
    rest = (weight * y * x[:, 1]).mean()
    need = rest.sign() * held.slack * EPS * weight.mean() / weight.mean()  # an extra y-weighted shift of this size
    for factor, zero in ((0.99, True), (1.01, False)):
        moved = x.clone()
        moved[:, 1] += y * need * factor
        assert bool(surfaces.minimiser(moved, y, EPS, "linf").theta[1] == 0) is zero


@pytest.mark.parametrize(("eps", "norm"), [(0.0, "l2"), (-1.0, "linf"), (0.5, "l1")])
def test_bad_radius_or_norm_is_refused(eps, norm):
    with pytest.raises(ValueError, match="allowed"):
        surfaces.minimiser(*sample(0), eps, norm)


def test_separable_data_and_three_dimensions_are_refused():
    x = torch.tensor([[2.0, 0.1], [-2.0, 0.1]], dtype=torch.float64)
    y = torch.tensor([1.0, -1.0], dtype=torch.float64)
    for norm in linear.NORMS:
        with pytest.raises(ValueError, match="no minimum found"):
            surfaces.minimiser(x, y, 0.1, norm)
    with pytest.raises(ValueError, match="d=3"):
        surfaces.minimiser(torch.eye(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64), 0.1, "linf")


# --- EntropySGD -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.5, 4.0, 50.0])
@pytest.mark.parametrize("norm", linear.NORMS)
def test_the_grids_are_fine_and_wide_enough(gamma, norm):
    x, y = X[None], torch.ones(1, dtype=torch.float64)
    at = torch.tensor([[2.0, -2.0], [0.0, 0.0]], dtype=torch.float64)

    def loss(t):
        return linear.loss(t, x, y, EPS, norm)

    rough = entropy.local_entropy(loss, at, gamma, surfaces.plane(gamma, 2.3))
    fine = entropy.local_entropy(loss, at, gamma, surfaces.plane(gamma, 2.3, order=12))
    assert torch.allclose(rough.value, fine.value, atol=1e-6)
    assert torch.allclose(rough.hessian, fine.hessian, atol=1e-4 * gamma)


@pytest.mark.parametrize("gamma", [0.5, 20.0])
def test_the_fast_way_over_a_square_gives_the_same(gamma):
    x, y = sample(4, 10)
    side = torch.linspace(-2, 2, 5, dtype=torch.float64)
    over = surfaces.plane(gamma, 3.0)

    def loss(t):
        return linear.loss(t, x, y, EPS, "linf")

    slow = entropy.local_entropy(loss, torch.cartesian_prod(side, side), gamma, over)
    assert torch.allclose(surfaces.smoothed_square(loss, side, gamma, over).ravel(), slow.value, atol=1e-11)


def test_the_box_against_scipy():
    x, y = X[None], torch.ones(1, dtype=torch.float64)

    def integrand(b, a):
        t = torch.tensor([[a, b]], dtype=torch.float64)
        return math.exp(-linear.loss(t, x, y, EPS, "linf").item() - 0.5 * ((a - 1) ** 2 + b**2))

    parts = [
        integrate.dblquad(integrand, a, a + 2, b, b + 2, epsabs=1e-5, epsrel=1e-5)[0]
        for a in (-2.0, 0.0)
        for b in (-2.0, 0.0)
    ]
    at = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    ours = entropy.local_entropy(lambda t: linear.loss(t, x, y, EPS, "linf"), at, 1.0, surfaces.box(1.0), cut_off=True)
    assert ours.value.item() == pytest.approx(-math.log(sum(parts)), abs=1e-5)


@pytest.mark.parametrize("cut", [False, True])
def test_the_smoothed_minimum_is_one(cut):
    x, y = sample(2)

    def loss(t):
        return linear.loss(t, x, y, EPS, "linf")

    over = surfaces.box(2.0) if cut else surfaces.plane(2.0, 2.3, 3.0)
    found = surfaces.smoothed_minimiser(loss, 2.0, over, torch.tensor([1.0, 0.0], dtype=torch.float64), cut_off=cut)
    around = found.theta + 0.01 * torch.randn(20, 2, generator=settings.generator(0), dtype=torch.float64)
    assert (entropy.local_entropy(loss, around, 2.0, over, cut_off=cut).value > found.value).all()
    assert torch.allclose(found.theta, found.mean, atol=1e-9)


def test_a_quadratic_keeps_its_minimum_and_meets_the_certificate():
    """L = a |theta - c|^2 / 2: symmetric, so the minimum stays; d - gamma tr Sigma = d a / (a + gamma)."""
    c, a, gamma = torch.tensor([0.3, -0.2], dtype=torch.float64), 1.5, 2.0
    found = surfaces.smoothed_minimiser(
        lambda t: a / 2 * (t - c).square().sum(1), gamma, surfaces.plane(gamma, 6.0), torch.zeros_like(c)
    )
    assert torch.allclose(found.theta[0], c, atol=1e-8)
    assert surfaces.certificate(found).item() == pytest.approx(2 * a / (a + gamma), abs=1e-6)


def test_on_a_cone_the_certificate_is_the_mean_excess_exactly():
    """For L = |theta|, grad L . theta = L, so step 3 of the derivation loses nothing but Jensen."""
    gamma = 3.0
    over = surfaces.plane(gamma, 1.0, order=16)
    found = surfaces.smoothed_minimiser(
        lambda t: t.norm(dim=1), gamma, over, torch.full((2,), 0.1, dtype=torch.float64)
    )
    weight = (-over.nodes.norm(dim=1) - gamma / 2 * over.nodes.square().sum(1)).exp() * over.weights
    mean_excess = (weight * over.nodes.norm(dim=1)).sum() / weight.sum()
    assert surfaces.certificate(found).item() == pytest.approx(mean_excess.item(), abs=1e-5)


def test_no_minimum_is_refused():
    with pytest.raises(ValueError, match="no minimiser|edge of the grid"):
        surfaces.smoothed_minimiser(
            lambda t: 3 * t[:, 0], 1.0, surfaces.plane(1.0, 3.0), torch.zeros(2, dtype=torch.float64)
        )
