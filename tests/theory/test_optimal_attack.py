"""Local maxima on the ball and how they move: closed forms, dense listings and differences."""

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.theory import linear, smoothness
from advsmooth.theory import optimal_attack as oa


def plain(x, theta):
    return (x * theta).sum(-1)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_a_network_is_what_its_formula_says_and_broadcasts(activation):
    theta, x = oa.draw_networks(3, 2, 4, settings.generator(0)), draw(3, 7, 2)
    a, b, w = theta[:, :4], theta[:, 4:8], theta[:, 8:].reshape(3, 4, 2)
    hidden = oa.ACTIVATIONS[activation](torch.einsum("njd,nkd->nkj", w, x) + b[:, None])
    expected = torch.nn.functional.softplus(-(a[:, None] * hidden).sum(-1))
    loss = oa.network(2, 4, activation)
    assert torch.allclose(loss(x, theta[:, None]), expected, atol=1e-12)
    assert torch.allclose(loss(x[0, 0], theta[0]), expected[0, 0], atol=1e-12)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="relu"):
        oa.network(2, 4, "relu")


def test_the_expansion_is_that_of_a_quadratic():
    q = draw(5, 5)
    q = q + q.T

    def loss(x, theta):
        z = torch.cat([x, theta], -1)
        return z @ q @ z / 2

    x, theta = draw(4, 2, seed=1), draw(4, 3, seed=2)
    e = oa.expand(loss, x, theta)
    slope = torch.cat([x, theta], 1) @ q
    assert torch.allclose(torch.cat([e.x, e.theta], 1), slope)
    assert torch.allclose(e.xx, q[:2, :2].expand(4, 2, 2))
    assert torch.allclose(e.x_theta, q[:2, 2:].expand(4, 2, 3))
    assert torch.allclose(e.theta_theta, q[2:, 2:].expand(4, 3, 3))


@given(st.integers(2, 6), st.integers(0, 1000))
def test_a_tangent_basis_is_orthonormal_and_tangent(d, seed):
    normal = torch.nn.functional.normalize(draw(3, d, seed=seed), dim=1)
    t = oa.tangent_basis(normal)
    assert torch.allclose(t.mT @ t, torch.eye(d - 1, dtype=torch.float64).expand(3, -1, -1), atol=1e-12)
    assert (normal[:, None] @ t).abs().max() < 1e-12


def test_a_tangent_basis_at_the_axes_and_in_one_dimension():
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    assert (axes[:, None] @ oa.tangent_basis(axes)).abs().max() < 1e-12
    with pytest.raises(ValueError, match="at least 2"):
        oa.tangent_basis(torch.ones(1, 1))


@given(st.integers(2, 6), st.integers(0, 1000))
def test_the_bordered_determinant_is_minus_that_on_the_tangent_space(d, seed):
    points = oa.draw_critical(5, d, 0.7, settings.generator(seed))
    h = oa.lagrangian_hessian(points.xx, points.multiplier, points.normal, 0.7)
    tangent = oa.tangent_eigenvalues(h, points.normal).prod(1)
    assert torch.allclose(torch.linalg.det(points.bordered), -tangent, rtol=1e-8, atol=1e-10)
    flipped = points.bordered.clone()
    flipped[:, 0], flipped[:, :, 0] = -flipped[:, 0], -flipped[:, :, 0]
    assert torch.allclose(torch.linalg.det(flipped), -tangent, rtol=1e-8, atol=1e-10)


def test_the_linear_model_on_the_sphere_has_the_jacobian_of_lemma_2():
    theta = smoothness.annulus(20, 4, 0.2, 3.0, settings.generator(0))
    x = 0.5 * theta / theta.norm(dim=1, keepdim=True)
    o = oa.optimum(plain, x, theta, 0.5, on_sphere=True)
    assert torch.allclose(o.jacobian, -linear.attack_jacobian(theta, 0.5, "l2"), atol=1e-12)
    length = theta.norm(dim=1)
    assert torch.allclose(o.multiplier, length)
    assert torch.allclose(o.curvature, length / 0.5)
    assert torch.allclose(o.printed_c, (length / 0.5).clamp(max=1))
    assert torch.allclose(torch.linalg.matrix_norm(o.hessian, 2), 0.5 / length)


def test_the_bowl_inside_has_its_closed_form():
    theta = smoothness.annulus(20, 3, 0.01, 0.4, settings.generator(0))
    o = oa.optimum(oa.bowl(0.3, 2.0, 0.8), 2 / 0.8 * theta, theta, 1.0, on_sphere=False)
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(o.jacobian, (2 / 0.8 * eye).expand(20, 3, 3))
    assert torch.allclose(o.hessian, ((0.3 + 4 / 0.8) * eye).expand(20, 3, 3))
    assert torch.allclose(o.printed_c, torch.full((20,), 0.8, dtype=torch.float64))


@pytest.mark.parametrize("norm", linear.NORMS)
def test_ascent_never_ends_lower_and_stays_feasible(norm):
    loss, theta = oa.network(2, 6), oa.draw_networks(30, 2, 6, settings.generator(0)) * 3
    start = linear.project(draw(30, 2), 0.8, norm)
    end = oa.ascend(loss, start, theta, 0.8, norm)
    assert (loss(end, theta) >= loss(start, theta)).all()
    size = end.norm(dim=1) if norm == "l2" else end.abs().amax(1)
    assert size.max() <= 0.8 + 1e-12


def test_found_maxima_are_maxima_and_move_as_the_formula_says():
    loss, g = oa.network(2, 4), settings.generator(0)
    inside, sphere = oa.find_maxima(loss, oa.draw_networks(150, 2, 4, g), 2, 1.5, g)
    assert len(inside.x) >= 3
    assert len(sphere.x) >= 50
    for maxima in (inside, sphere):
        found = oa.follow_some(loss, maxima, 1.5, 4, g)
        assert oa.residual(loss, maxima.x, maxima.theta, on_sphere=maxima.on_sphere).max() < 1e-11
        assert found.higher.max() <= 1e-12
        assert found.jacobian_error.max() < 1e-5
        assert found.hessian_error.max() < 1e-5
        assert (found.speed <= found.borderless * (1 + 1e-9)).all()
        assert (found.borderless <= found.printed * (1 + 1e-9)).all()


def test_one_dimension_less_leaves_no_maximum_to_find():
    """A loss that increases outwards has no maximum inside."""
    theta = smoothness.annulus(10, 2, 1.0, 2.0, settings.generator(0))
    inside, sphere = oa.find_maxima(plain, theta, 2, 1.0, settings.generator(1))
    assert len(inside.x) == 0
    assert torch.allclose(sphere.x, sphere.theta / sphere.theta.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("d", [2, 3, 4])
def test_the_second_order_condition_agrees_with_a_search(d):
    points = oa.draw_critical(150, d, 1.3, settings.generator(d))
    assert len(points.normal) == 150
    assert (points.climbs_back(settings.generator(7)) == points.is_strict_maximum()).all()
    assert 20 < int(points.is_strict_maximum().sum()) < 140


@pytest.mark.parametrize("norm", linear.NORMS)
def test_global_maxima_are_those_of_a_fine_listing(norm):
    loss, theta = oa.network(2, 6), oa.draw_networks(12, 2, 6, settings.generator(3))
    best = loss(oa.global_maximum(loss, theta, 1.0, norm), theta)
    listed = loss(oa.candidates(1.0, norm, 120)[None], theta[:, None]).amax(1)
    assert (best >= listed - 1e-9).all()
    assert (best <= listed + 1e-2).all()


def test_candidates_cover_the_set_and_refuse_an_unknown_norm():
    disc, square = oa.candidates(0.5, "l2", 4), oa.candidates(0.5, "linf", 4)
    assert disc.norm(dim=1).max() == pytest.approx(0.5)
    assert len(disc) == 1 + 6 * (1 + 2 + 3 + 4)
    assert square.abs().max() == 0.5
    assert len(square) == 81
    with pytest.raises(ValueError, match="l3"):
        oa.candidates(0.5, "l3", 4)


def test_a_candidate_can_be_kept_away_from_another():
    theta = torch.tensor([[0.01, 0.0]], dtype=torch.float64)
    points = oa.candidates(1.5, "l2", 12)
    first = oa.best_candidate(oa.two_bumps, theta, points)
    second = oa.best_candidate(oa.two_bumps, theta, points, first[:, None])
    assert first[0, 0] > 0.8
    assert (second - first).norm() >= 0.3


def test_the_loops_are_closed_and_their_velocity_is_their_derivative():
    loop, rows = oa.Loops(*(draw(2, 5, seed=s) for s in range(3))), torch.tensor([0, 1])
    t, h = torch.tensor([0.2, 0.7], dtype=torch.float64), 1e-6
    difference = (loop.at(rows, t + h) - loop.at(rows, t - h)) / (2 * h)
    assert torch.allclose(loop.velocity(rows, t), difference, atol=1e-7)
    assert torch.allclose(loop.at(rows, t), loop.at(rows, t + 1))


@pytest.mark.parametrize("norm", linear.NORMS)
def test_two_bumps_leap_twice_on_a_loop_around_the_tie(norm):
    zero, e1, e2 = torch.zeros(1, 2).double(), torch.tensor([[0.3, 0]]).double(), torch.tensor([[0, 0.3]]).double()
    loop = oa.Loops(zero, e1, e2)
    rows, time, before, after = loop.leaps(oa.two_bumps, 1.5, norm, edges=41, rings=12)
    assert rows.tolist() == [0, 0]
    assert time.tolist() == pytest.approx([0.25, 0.75], abs=1e-9)
    assert torch.allclose(before[:, 0], -after[:, 0], atol=1e-6)
    assert torch.allclose(before[:, 0].abs(), torch.ones(2, dtype=torch.float64), atol=1e-6)


def test_a_loop_without_leaps_gives_none_and_its_course_obeys_the_bounds():
    centre, e2 = torch.tensor([[2.0, 0]]).double(), torch.tensor([[0, 0.3]]).double()
    loop = oa.Loops(centre, 0.5 * centre, e2)
    assert all(len(part) == 0 for part in loop.leaps(oa.two_bumps, 0.8, "l2", edges=31, rings=10))
    course = loop.course(oa.two_bumps, 0, 0.0, 1.0, 0.8, points=801)
    speed = course.x.diff(dim=0).norm(dim=1) / course.t.diff()
    assert torch.allclose(speed, (course.speed[1:] + course.speed[:-1]) / 2, atol=1e-3)
    assert (course.speed <= course.borderless + 1e-9).all()
    assert (course.borderless <= course.printed + 1e-9).all()
    velocity = loop.velocity(torch.zeros(len(course.t), dtype=torch.int64), course.t)
    assert torch.allclose(course.slope, (course.x * velocity).sum(1))


@pytest.mark.parametrize(("eps", "jump"), [(0.4, 0.8), (2.0, 2.0)])
def test_the_two_bumps_jump_by_their_closed_form(eps, jump):
    theta = torch.tensor([[-1e-9, 0], [1e-9, 0]], dtype=torch.float64)
    x = oa.global_maximum(oa.two_bumps, theta, eps)
    assert float(x.diff(dim=0).norm()) == pytest.approx(jump, abs=1e-5)


def test_scaled_inputs_have_the_constant_of_a_smaller_budget():
    loss, theta = oa.network(2, 6), oa.draw_networks(8, 2, 6, settings.generator(0))
    scaled = oa.scale_inputs(loss, theta, 1.0, torch.tensor([0.2]))
    small = oa.scale_inputs(loss, theta, 0.2, torch.tensor([1.0]))
    assert scaled.exact.shape == (8, 1)
    assert torch.allclose(scaled.exact, small.exact, rtol=1e-6)
    assert torch.allclose(scaled.measured, scaled.exact, rtol=1e-4)
    assert (scaled.exact <= scaled.bound * (1 + 1e-9)).all()


def test_the_symbolic_border_has_the_entries_of_the_numeric_one():
    """The entries of a random critical point, put into the symbols, give its bordered Hessian back."""
    g = settings.generator(3)
    for size in (1, 2, 3):
        s, k = oa.symbolic_bordered(size)
        assert s.is_symmetric()
        assert k.is_symmetric()
        assert (k[0, 0], k[0, 1], k[0, 2:]) == (0, 1, sympy.zeros(1, size))
        point = oa.draw_critical(1, size + 1, 1.0, g)
        basis = torch.cat([point.normal[0][:, None], oa.tangent_basis(point.normal)[0]], 1)
        turned = torch.block_diag(torch.ones(1, 1, dtype=basis.dtype), basis)
        numeric = (turned.T @ point.bordered[0] @ turned).numpy()
        values = {k[i, j]: numeric[i, j] for i in range(1, size + 2) for j in range(i, size + 2)}
        assert np.abs(np.array(k.subs(values), dtype=float) - numeric).max() < 1e-12
