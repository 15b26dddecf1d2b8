"""The closed forms of the attacked linear model against brute force, autograd and finite differences."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import data, settings
from advsmooth.theory import linear

NORMS = ("l2", "linf")
EPS = 0.3


def problem(m: int = 5, n: int = 7, d: int = 4, seed: int = 0):
    g = settings.generator(seed)
    theta, x = torch.randn(m, d, generator=g, dtype=torch.float64), torch.randn(n, d, generator=g, dtype=torch.float64)
    y = torch.where(torch.rand(n, generator=g) < 0.5, 1.0, -1.0).double()
    return theta, x, y


def logistic(theta, inputs, y):
    """The clean loss, written without the library: ``theta (m, d)``, ``inputs (m, n, d)``."""
    return torch.log1p(torch.exp(-y * torch.einsum("md,mnd->mn", theta, inputs)))


def test_the_maximum_norm_attack_is_the_best_corner():
    theta, x, y = problem()
    corners = torch.tensor(list(itertools.product((-EPS, EPS), repeat=4)), dtype=torch.float64)
    best = torch.stack([logistic(theta, (x + c).expand(5, -1, -1), y) for c in corners]).amax(0)
    torch.testing.assert_close(linear.losses(theta, x, y, EPS, "linf"), best, rtol=0, atol=1e-14)


@pytest.mark.parametrize("norm", NORMS)
def test_the_search_agrees_with_the_closed_form(norm):
    theta, x, y = problem()
    found = linear.searched_margins(theta, x, y, EPS, norm)
    torch.testing.assert_close(found, linear.margins(theta, x, y, EPS, norm), rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match="at most 12"):
        linear.searched_margins(*problem(d=13), EPS, "linf")


@pytest.mark.parametrize("norm", NORMS)
def test_no_feasible_perturbation_is_worse_than_the_closed_form(norm):
    theta, x, y = problem(n=1)
    g = settings.generator(1)
    delta = linear.project(torch.randn(20_000, 4, generator=g, dtype=torch.float64), EPS, norm)
    found = logistic(theta, (x + delta).expand(5, -1, -1), y)  # every perturbation as one "example"
    worst = linear.losses(theta, x, y, EPS, norm)
    assert (found <= worst + 1e-14).all()
    assert (found.amax(1) > 0.98 * worst[:, 0]).all()


@pytest.mark.parametrize("norm", NORMS)
def test_the_attack_is_feasible_and_reaches_the_loss(norm):
    theta, x, y = problem()
    attack = linear.adversarial_examples(theta, x, y, EPS, norm)
    size = (attack - x).norm(dim=2) if norm == "l2" else (attack - x).abs().amax(2)
    torch.testing.assert_close(size, torch.full_like(size, EPS), rtol=0, atol=1e-15)
    torch.testing.assert_close(logistic(theta, attack, y), linear.losses(theta, x, y, EPS, norm), rtol=0, atol=1e-14)


@pytest.mark.parametrize("norm", NORMS)
def test_gradient_and_hessian_are_autograds(norm):
    theta, x, y = problem()
    for row in theta:

        def f(t):
            return linear.loss(t[None], x, y, EPS, norm)[0]

        t = row[None]
        torch.testing.assert_close(linear.gradient(t, x, y, EPS, norm)[0], torch.func.grad(f)(row), rtol=0, atol=1e-14)
        torch.testing.assert_close(
            linear.hessian(t, x, y, EPS, norm)[0], torch.func.hessian(f)(row), rtol=0, atol=1e-13
        )
    torch.testing.assert_close(
        linear.gradients(theta, x, y, EPS, norm).mean(1), linear.gradient(theta, x, y, EPS, norm)
    )


@pytest.mark.parametrize("norm", NORMS)
def test_the_gradient_of_the_maximum_is_taken_at_the_maximiser(norm):
    theta, x, y = problem()
    attack = linear.adversarial_examples(theta, x, y, EPS, norm)
    theta.requires_grad_(True)
    (at_the_maximiser,) = torch.autograd.grad(logistic(theta, attack, y).mean(1).sum(), theta)
    torch.testing.assert_close(linear.gradient(theta.detach(), x, y, EPS, norm), at_the_maximiser, rtol=0, atol=1e-14)


@pytest.mark.parametrize("norm", NORMS)
def test_hessian_products_and_jacobians(norm):
    theta, x, y = problem()
    vector = torch.randn(5, 4, generator=settings.generator(3), dtype=torch.float64)
    dense = (linear.hessian(theta, x, y, EPS, norm) @ vector[:, :, None])[:, :, 0]
    torch.testing.assert_close(linear.hessian_product(theta, vector, x, y, EPS, norm), dense, rtol=0, atol=1e-14)
    for k in (0, 1):
        label = y[k : k + 1]
        jacobian = torch.func.jacrev(lambda t: linear.adversarial_examples(t[None], x[:1], label, EPS, norm)[0, 0])  # noqa: B023
        expected = label * linear.attack_jacobian(theta[k : k + 1], EPS, norm)[0]
        torch.testing.assert_close(jacobian(theta[k]), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("norm", NORMS)
def test_a_budget_of_zero_is_the_clean_model(norm):
    theta, x, y = problem()
    theta[0] = 0
    clean = logistic(theta, x.expand(5, -1, -1), y)
    torch.testing.assert_close(linear.losses(theta, x, y, 0.0, norm), clean, rtol=0, atol=1e-14)
    assert linear.hessian(theta, x, y, 0.0, norm).isfinite().all()
    assert (linear.gradient_jump(theta, torch.ones_like(theta), x, y, 0.0, norm) == 0).all()


def test_large_margins_neither_overflow_nor_lose_digits():
    x, y = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    theta = torch.tensor([[30.0, 0.0], [-800.0, 0.0]], dtype=torch.float64)
    found = linear.losses(theta, x, y, 0.0, "l2")[:, 0]
    assert found[0].item() == pytest.approx(9.3576229688393e-14, rel=1e-12)
    assert found[1].item() == 800.0


# --- kinks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flipped", [[1], [0, 3], [0, 1, 2, 3]])
def test_the_maximum_norm_gradient_jumps_as_the_formula_says(flipped):
    theta, x, y = problem(m=1)
    theta[:, flipped] = 0
    direction = torch.zeros_like(theta)
    direction[:, flipped] = torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64)[: len(flipped)]
    h = 1e-9
    after, before = (linear.gradient(theta + s * h * direction, x, y, EPS, "linf") for s in (1, -1))
    jump = linear.gradient_jump(theta, direction, x, y, EPS, "linf")
    torch.testing.assert_close(after - before, jump, rtol=0, atol=20 * h)
    torch.testing.assert_close(
        after, linear.one_sided_gradient(theta, direction, x, y, EPS, "linf"), rtol=0, atol=20 * h
    )
    weight = torch.sigmoid(-linear.margins(theta, x, y, EPS, "linf")).mean()
    assert jump.norm().item() == pytest.approx(2 * EPS * len(flipped) ** 0.5 * weight.item(), rel=1e-14)


def test_the_l2_gradient_jumps_by_eps_at_the_origin_and_nowhere_else():
    theta, x, y = problem()
    direction = torch.randn_like(theta)
    origin = torch.zeros_like(theta)
    jump = linear.gradient_jump(origin, direction, x, y, EPS, "l2")
    torch.testing.assert_close(jump.norm(dim=1), torch.full((5,), EPS, dtype=torch.float64), rtol=0, atol=1e-15)
    h = 1e-9
    measured = linear.gradient(h * direction, x, y, EPS, "l2") - linear.gradient(-h * direction, x, y, EPS, "l2")
    torch.testing.assert_close(measured, jump, rtol=0, atol=1e-7)
    theta[:, 1] = 0  # a kink of the other budget only
    assert (linear.gradient_jump(theta, direction, x, y, EPS, "l2") == 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_second_derivatives_are_refused_at_a_kink(norm):
    theta, x, y = problem()
    theta[2] = 0
    for call in (
        lambda: linear.hessian(theta, x, y, EPS, norm),
        lambda: linear.hessian_product(theta, theta, x, y, EPS, norm),
        lambda: linear.attack_jacobian(theta, EPS, norm),
    ):
        with pytest.raises(ValueError, match="jumps there"):
            call()
    assert linear.gradient(theta, x, y, EPS, norm).isfinite().all()


# --- the attack as a projection -----------------------------------------------------------------------------------

finite = st.floats(-3, 3, allow_nan=False)
vectors = st.lists(finite, min_size=3, max_size=3).map(lambda v: torch.tensor([v], dtype=torch.float64))


@pytest.mark.parametrize("norm", NORMS)
@given(a=vectors, b=vectors)
def test_projection_is_nonexpansive_and_idempotent(norm, a, b):
    p, q = linear.project(a, 0.7, norm), linear.project(b, 0.7, norm)
    assert (p - q).norm() <= (a - b).norm() + 1e-12
    torch.testing.assert_close(linear.project(p, 0.7, norm), p, rtol=0, atol=1e-15)


@pytest.mark.parametrize("norm", NORMS)
def test_the_attack_is_a_projection_of_the_parameters(norm):
    theta, x, y = problem()
    least = theta.norm(dim=1).min().item() if norm == "l2" else theta.abs().min().item()
    shift = EPS / least * linear.project(theta, least, norm)
    torch.testing.assert_close(
        linear.adversarial_examples(theta, x, y, EPS, norm), x - y[None, :, None] * shift[:, None], rtol=0, atol=1e-14
    )


# --- constants ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_the_perturbed_radius_is_attained(norm):
    _, x, _ = problem()
    delta = EPS * (x / x.norm(dim=1, keepdim=True) if norm == "l2" else x.sign())
    torch.testing.assert_close(linear.perturbed_radius(x, EPS, norm), (x + delta).norm(dim=1))


def cross_derivative(theta, x):
    """Of one example with label +1, by autograd."""

    def slope(inputs):
        return torch.func.grad(lambda t: -torch.nn.functional.logsigmoid(t @ inputs))(theta)

    return torch.func.jacrev(slope)(x)


@pytest.mark.parametrize("p", [0.1, 1.0, 1.5, 1.6, 4.0, 40.0])
def test_the_cross_constant_bounds_the_cross_derivative_and_is_close_to_it(p):
    bound = linear.cross_constant(torch.tensor(p, dtype=torch.float64)).item()
    angles = torch.linspace(0, torch.pi, 2001, dtype=torch.float64)
    theta = p * torch.stack([angles.cos(), angles.sin()], 1)
    found = torch.func.vmap(cross_derivative, (0, None))(theta, torch.tensor([1.0, 0.0], dtype=torch.float64))
    largest = torch.linalg.matrix_norm(found, 2).max().item()
    assert largest <= bound * (1 + 1e-12)
    assert (
        largest == pytest.approx(bound, rel=1e-12) if p * torch.tanh(torch.tensor(p / 2)) < 1 else bound < largest + 0.5
    )
    assert bound <= 1 + p / 4


def test_the_cross_constant_is_continuous_and_grows():
    p = torch.linspace(1e-3, 20, 4001, dtype=torch.float64)
    c = linear.cross_constant(p)
    assert (c.diff() > 0).all()
    assert c.diff().max() < 3e-3  # slope at most 1/2, step 5e-3: no jump where the formula changes


@pytest.mark.parametrize("norm", NORMS)
def test_constants_bound_difference_quotients_and_need_bounded_parameters(norm):
    _, x, y = problem(n=40)
    g = settings.generator(5)
    found = linear.constants(x, EPS, norm, theta_max=2.0)
    t1, t2 = (
        2 * torch.nn.functional.normalize(torch.randn(300, 4, generator=g, dtype=torch.float64), dim=1) for _ in "ab"
    )
    gap = (linear.gradients(t1, x, y, 0.0, norm) - linear.gradients(t2, x, y, 0.0, norm)).norm(dim=2)
    assert (gap <= found.theta_theta * (t1 - t2).norm(dim=1, keepdim=True)).all()
    assert (linear.gradients(t1, x, y, 0.0, norm).norm(dim=2) <= found.theta).all()
    moved = x + linear.project(torch.randn(40, 4, generator=g, dtype=torch.float64), EPS, norm)
    gap = (linear.gradients(t1, x, y, 0.0, norm) - linear.gradients(t1, moved, y, 0.0, norm)).norm(dim=2)
    assert (gap <= found.theta_x * (x - moved).norm(dim=1)).all()
    assert linear.constants(x, EPS, norm, 100.0).theta_x.min() > 10 * found.theta_x.min()
    assert found.mean().smoothness(2.0).item() == pytest.approx((found.theta_theta + 2 * found.theta_x).mean().item())
    assert found.largest().theta.item() == found.theta.max().item()


# --- paths --------------------------------------------------------------------------------------------------------


def test_crossings_of_a_segment():
    start, end = torch.tensor([1.0, -1.0, 2.0, 0.0]).double(), torch.tensor([-3.0, -2.0, -2.0, 1.0]).double()
    found = linear.crossings(start, end)
    assert found.time.tolist() == [0.0, 0.25, 0.5]
    assert found.coordinate.tolist() == [3, 0, 2]
    assert found.change.tolist() == [1, -2, -2]
    points = found.points(start, end)
    assert (points[torch.arange(3), found.coordinate] == 0).all()
    nothing = linear.crossings(start[:2], start[:2])
    assert len(nothing.time) == 0
    assert len(nothing.jumps(start[:2], start[:2], *problem(d=2)[1:], EPS)) == 0


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(4))
def test_the_change_of_the_gradient_is_jumps_plus_the_integral_of_the_hessian(norm, seed):
    (start, end), x, y = problem(m=2, d=6, seed=seed)
    change = linear.gradient(end[None], x, y, EPS, norm) - linear.gradient(start[None], x, y, EPS, norm)
    jumps = torch.zeros(6, dtype=torch.float64)
    if norm == "linf":
        found = linear.crossings(start, end)
        assert len(found.time) > 0
        jumps.index_add_(0, found.coordinate, found.jumps(start, end, x, y, EPS))
    smooth = linear.smooth_change(start, end, x, y, EPS, norm)
    torch.testing.assert_close(change[0], jumps + smooth, rtol=0, atol=1e-13)


@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-9])
def test_the_integral_stays_exact_for_long_segments_that_graze_the_origin(gap):
    _, x, y = problem(m=1, d=3)
    start, end = torch.tensor([-9.0, gap, 0.0]).double(), torch.tensor([14.0, gap, 0.1 * gap]).double()
    change = linear.gradient(end[None], x, y, EPS, "l2") - linear.gradient(start[None], x, y, EPS, "l2")
    rounding = 1e-16 / gap  # of theta near the origin, relative to its length: nothing can undo that
    found = linear.smooth_change(start, end, x, y, EPS, "l2")
    torch.testing.assert_close(change[0], found, rtol=0, atol=1e-12 + rounding)


def test_jumps_of_a_path_are_those_of_its_segments():
    path, x, y = problem(m=6)
    found = linear.path_jumps(path, x, y, EPS)
    assert found.shape == (5, 4)
    assert torch.equal(found.sign(), (path[1:].sign() - path[:-1].sign()).sign())
    one = linear.crossings(path[2], path[3])
    assert found[2, one.coordinate].tolist() == one.jumps(path[2], path[3], x, y, EPS).tolist()


def test_descent_lowers_the_smooth_loss():
    theta, x, y = problem()
    path = linear.descent_path(theta[0], x, y, 0.05, "l2", rate=0.2, steps=30)
    assert path.shape == (31, 4)
    assert (linear.loss(path, x, y, 0.05, "l2").diff() <= 0).all()


# --- input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -0.1}, "eps=-0.1: allowed is a finite radius"),
        ({"eps": float("nan")}, "eps=nan"),
        ({"norm": "l1"}, "norm='l1': allowed is l2 or linf"),
        ({"y": torch.tensor([0.0, 1.0]).double()}, "allowed labels are -1 and"),
        ({"x": torch.ones(3, 2).double()}, r"allowed is theta \(m, d\)"),
        ({"theta": torch.ones(2).double()}, r"allowed is theta \(m, d\)"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    theta, x, y = problem(n=2, d=2)
    with pytest.raises(ValueError, match=message) as refusal:
        linear.loss(**({"theta": theta, "x": x, "y": y, "eps": EPS, "norm": "l2"} | change))
    assert "\n" not in str(refusal.value)


def test_unbounded_parameters_have_no_constants():
    with pytest.raises(ValueError, match="theta_max=inf"):
        linear.constants(torch.ones(2, 2).double(), EPS, "l2", float("inf"))


def test_two_classes_of_a_data_set():
    digits = data.load("digits")
    x, y = linear.two_classes(digits, [3, 8])
    assert x.shape == (len(y), 64)
    assert x.dtype == y.dtype == torch.float64
    assert int((y == 1).sum()) == int((digits.y == 3).sum())
    for wrong in ([3], [3, 3], [3, 10], [-1, 2]):
        with pytest.raises(data.DataError, match="two different labels"):
            linear.two_classes(digits, wrong)
