"""Exact inner maxima of tiny networks, their constants, and the search for jumps."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.theory import gradient_scattering as gs

DOMAIN = gs.Domain(units=3, a=1.5, b=3.0, c=1.5, d=1.0, x=1.0)
ACTIVATIONS = ("tanh", "relu")


def draw(m, seed=0, domain=DOMAIN):
    g = settings.generator(seed)
    theta = domain.draw(m, g)
    x = domain.x * (2 * torch.rand(m, generator=g, dtype=torch.float64) - 1)
    y = torch.where(torch.rand(m, generator=g) < 0.5, 1.0, -1.0).double()
    return theta, x, y


def plain_loss(theta, x, y, activation):
    """One network and one input, written out."""
    h = (len(theta) - 1) // 3
    a, b, c, d = theta[:h], theta[h : 2 * h], theta[2 * h : 3 * h], theta[-1]
    hidden = getattr(torch, activation)(b * x + c)
    return torch.log1p(torch.exp(-y * ((a * hidden).sum() + d)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_loss_gradient_and_cross_derivative_are_those_of_autograd(activation):
    theta, x, y = draw(20)
    loss = gs.loss(theta, x[:, None], y, activation)[:, 0]
    slope = gs.gradient(theta, x[:, None], y, activation)[:, 0]
    cross = gs.cross_derivative(theta, x[:, None], y, activation)[:, 0]
    for i in range(20):
        assert loss[i] == pytest.approx(float(plain_loss(theta[i], x[i], y[i], activation)), abs=1e-12)
        by_theta = torch.func.grad(plain_loss)
        assert torch.allclose(by_theta(theta[i], x[i], y[i], activation), slope[i], atol=1e-12)
        mixed = torch.func.jacfwd(by_theta, argnums=1)(theta[i], x[i], y[i], activation)
        assert torch.allclose(mixed, cross[i], atol=1e-11)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@budget(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), eps=st.floats(0, 1.5))
def test_the_worst_case_is_that_of_a_fine_listing(activation, seed, eps):
    theta, x, y = draw(8, seed)
    found = gs.worst_case(theta, x, y, eps, activation)
    share = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    listed = gs.loss(theta, x[:, None] + eps * share, y, activation).amax(1)
    assert (found.loss >= listed - 1e-12).all()
    assert (found.loss - listed).max() <= 2e-3 * eps + 1e-12  # a ReLU peak between two listed inputs
    assert (found.x - x).abs().max() <= eps + 1e-12
    assert torch.allclose(gs.loss(theta, found.x[:, None], y, activation)[:, 0], found.loss)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_of_the_worst_case_is_that_of_its_values(activation):
    theta, x, y = draw(1500, 3)
    v = torch.randn(theta.shape, generator=settings.generator(4), dtype=torch.float64)
    h = 1e-6
    up, here, down = (gs.worst_case(theta + s * h * v, x, y, 0.7, activation) for s in (1, 0, -1))
    smooth = (up.gradient - down.gradient).norm(dim=1) < 1e-2  # not at a kink of g_eps
    measured = (up.loss - down.loss) / (2 * h)
    assert smooth.double().mean() > 0.99
    assert (measured - (here.gradient * v).sum(1))[smooth].abs().max() < 1e-4
    if activation == "relu":
        at_a_kink = ((here.x - x).abs() < 0.7 - 1e-9) & smooth
        assert at_a_kink.sum() > 100  # the case with the balanced slope is there


def test_a_unit_without_a_kink_does_no_harm():
    theta = torch.tensor([[1.0, 0.0, 0.5, 0.0]], dtype=torch.float64)  # f = relu(0.5), everywhere
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    found = gs.worst_case(theta, zero, one, 1.0, "relu")
    assert found.loss.item() == pytest.approx(math.log1p(math.exp(-0.5)))
    assert torch.isfinite(found.gradient).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_stay_below_the_constants(activation):
    c = gs.constants(DOMAIN, activation)
    theta, x, y = draw(300, 5)
    assert gs.gradient(theta, x[:, None], y, activation).norm(dim=2).max() <= c.theta
    assert gs.cross_derivative(theta, x[:, None], y, activation).norm(dim=2).max() <= c.theta_x
    hessian = torch.func.hessian(plain_loss)
    largest = max(
        torch.linalg.matrix_norm(hessian(t, a, b, activation), 2) for t, a, b in zip(theta, x, y, strict=True)
    )
    assert 0.2 * c.theta_theta < largest <= c.theta_theta


def test_draws_lie_in_the_domain_and_touch_its_boundary():
    theta, _, _ = draw(2000, 6)
    a, b, c, d = theta[:, :3], theta[:, 3:6], theta[:, 6:9], theta[:, 9]
    for values, bound in ((a.norm(dim=1), 1.5), (b.abs(), 3.0), (c.abs(), 1.5), (d.abs(), 1.0)):
        assert values.max() == pytest.approx(bound)
        assert values.max() <= bound + 1e-12


def test_the_jump_where_units_switch():
    theta, x, y = draw(200, 7)
    theta[:, 6] = -theta[:, 3] * x  # unit 0 switches at x
    units = torch.zeros(200, 3)
    units[:, 0] = 1
    step = torch.zeros_like(theta)
    step[:, 6] = 1e-9
    ends = [gs.gradient(theta + s * step, x[:, None], y, "relu")[:, 0] for s in (1, -1)]
    measured = (ends[0] - ends[1]).norm(dim=1)
    assert torch.allclose(measured, gs.switch_jumps(theta, x, y, units), atol=1e-7)
    assert measured.max() <= gs.constants(DOMAIN, "relu").jump_theta


def test_closing_in_tells_a_jump_from_a_steep_place():
    def f(rows, t):
        step = (t > 0.3712).double()
        return torch.where(rows == 0, 0.01 * step, torch.tanh(1e4 * (t - 0.3712)))

    left, right, change = gs.closing_in(
        f, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64), halvings=40
    )
    assert change[0] == pytest.approx(0.01)
    assert change[1] < 1e-7
    assert left[0] < 0.3712 <= right[0] + 1e-12
    assert (right - left).max() < 1e-11


def test_a_scan_finds_the_switch_of_a_linear_network():
    """f = t x with one nearly linear unit: the worst input flips at t = 0, that is in the middle of the line."""
    small = 1e-3
    ends = torch.tensor([[-1.0, small, 0, 0], [1.0, small, 0, 0]], dtype=torch.float64)
    lines = gs.Lines(ends[:1], ends[1:], torch.ones(1, dtype=torch.float64), eps=0.5)
    scan = lines.scan(7)
    k = scan.leaps()
    assert k.sum() == 1
    assert scan.by_input.before[k].item() == pytest.approx(0.5, abs=1e-9)
    assert scan.by_input.leap[k].item() == pytest.approx(1.0)
    assert scan.by_input.jump[k].item() == pytest.approx(
        0.5 * small, rel=1e-3
    )  # half of 2 eps b, in the component of a
    assert not scan.leaps_without_jump().any()
    assert not scan.jumps_without_leap().any()
    assert (scan.by_input.after - scan.by_input.before).max() < 1e-11


def test_a_relu_unit_that_switches_under_a_resting_input_jumps_without_a_leap():
    """f = 5 relu(x) + relu(x / 2 + c): for the label -1 the worst input is 1 while c passes -1/2."""
    ends = torch.tensor([[5.0, 1, 1, 0.5, 0, -1, 0], [5.0, 1, 1, 0.5, 0, 0.1, 0]], dtype=torch.float64)
    lines = gs.Lines(ends[:1], ends[1:], -torch.ones(1, dtype=torch.float64), 1.0, "relu")
    scan = lines.scan(7)
    assert scan.jumps().sum() == 1
    assert scan.jumps_without_leap().sum() == 1
    assert scan.leaps().sum() == 0


def test_one_sided_slopes():
    at = torch.zeros(1, dtype=torch.float64)
    assert gs.one_sided_slope(lambda t: t.abs() + t**2, at, 1e-3).item() == pytest.approx(1)
    assert gs.one_sided_slope(lambda t: t.abs() + t**2, at, -1e-3).item() == pytest.approx(-1)


@pytest.mark.parametrize("p", [0.1, 1.0, 2.0, 3.2, 20.0])
def test_the_scalar_cross_constant_is_the_largest_cross_derivative(p):
    m = torch.linspace(-p, p, 200_001, dtype=torch.float64)
    listed = (torch.sigmoid(m) * (1 + m * torch.sigmoid(-m))).abs().max()
    assert gs.scalar_cross_constant(torch.tensor(p, dtype=torch.float64)).item() == pytest.approx(
        float(listed), abs=1e-8
    )


def test_bad_input_is_refused():
    theta, x, y = draw(2)
    for call, words in (
        (lambda: gs.output(theta[:, :5], x[:, None]), "3 H"),
        (lambda: gs.worst_case(theta, x, y, -1.0), "eps"),
        (lambda: gs.worst_case(theta, x[:1], y, 1.0), "one of each"),
        (lambda: gs.loss(theta, x[:, None], y, "elu"), "elu"),
        (lambda: gs.constants(DOMAIN, "elu"), "elu"),
        (lambda: gs.Domain(0, 1, 1, 1, 1, 1), "unit"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
