"""Local entropy by quadrature against Gaussians, finite differences and scipy; the bounds on its smoothness."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from advsmooth import settings
from advsmooth.theory import entropy, linear


def points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def kinked(theta):
    """The adversarial loss of one example under linf: kinks where a component of theta vanishes."""
    x, y = torch.tensor([[1.0, 0.6]], dtype=torch.float64)[:, : theta.shape[1]], torch.ones(1, dtype=torch.float64)
    return linear.loss(theta, x, y, 0.4, "linf")


# --- quadrature -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.floats(0.1, 3.0), st.sampled_from([1, 2]))
def test_the_rule_is_exact_for_polynomials(order, width, d):
    rule = entropy.grid(-1.0, 2.0, d=d, width=width, order=order)
    assert rule.weights.min() > 0
    for k in range(2 * order):
        exact = ((2.0 ** (k + 1) - (-1.0) ** (k + 1)) / (k + 1)) ** d
        assert (rule.weights * rule.nodes.prod(1) ** k).sum().item() == pytest.approx(exact, abs=1e-9)


def test_panels_end_at_the_breaks():
    rule = entropy.grid(-1.0, 1.0, width=0.6, order=4, breaks=(0.3, 5.0))
    kink = (rule.weights * (rule.nodes[:, 0] - 0.3).abs()).sum().item()
    assert kink == pytest.approx((1.3**2 + 0.7**2) / 2, abs=1e-13)
    without = entropy.grid(-1.0, 1.0, width=0.6, order=4, breaks=())
    assert abs((without.weights * (without.nodes[:, 0] - 0.3).abs()).sum().item() - (1.3**2 + 0.7**2) / 2) > 1e-4
    assert int(rule.edge.sum()) == 8
    assert int(entropy.grid(-1.0, 1.0, d=2, width=0.5, order=2).edge.sum()) == 64 - 16


# --- the objective and its derivatives ------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("gamma", [0.5, 4.0])
def test_quadratic_losses_are_gaussian(d, gamma):
    matrix = torch.tensor([[1.5, 0.4], [0.4, 0.2]], dtype=torch.float64)[:d, :d]
    slope = torch.tensor([0.3, -1.0], dtype=torch.float64)[:d]
    theta = torch.randn(7, d, generator=settings.generator(0), dtype=torch.float64)

    def loss(t):
        return ((t @ matrix) * t).sum(1) / 2 + t @ slope

    found = entropy.local_entropy(loss, theta, gamma, entropy.grid(-14, 14, d=d, width=0.7, order=10))
    exact = entropy.quadratic(matrix, slope, theta, gamma)
    for name in ("value", "mean", "covariance", "gradient", "hessian", "curvature"):
        torch.testing.assert_close(getattr(found, name), getattr(exact, name), rtol=1e-9, atol=1e-9)


def test_the_closed_form_of_the_quadratic_itself():
    """By scipy in one dimension, and L = 0, whose entropy is constant."""
    gamma, a, b, theta = 1.3, 0.7, -0.4, 0.9

    def integrand(t):
        return math.exp(-a * t**2 / 2 - b * t - gamma / 2 * (theta - t) ** 2)

    exact = entropy.quadratic(points([a]), points(b)[0:1].reshape(1), points([theta]), gamma)
    assert exact.value.item() == pytest.approx(-math.log(integrate.quad(integrand, -20, 20)[0]), abs=1e-10)
    flat = entropy.quadratic(torch.zeros(2, 2).double(), torch.zeros(2).double(), points([0.0, 0.0], [3.0, 1.0]), gamma)
    torch.testing.assert_close(flat.value, torch.full((2,), -math.log(2 * math.pi / gamma)).double())
    assert flat.curvature.abs().max() < 1e-12
    assert entropy.published_bound(flat.covariance, gamma)[0].item() == pytest.approx(gamma * (1 + math.sqrt(2)))


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("gamma", [0.5, 3.0])
def test_gradient_and_hessian_are_those_of_finite_differences(d, gamma):
    """Equations 11 and 53 for a loss with kinks; the claim asks for 1e-6 and 1e-5."""
    over = entropy.grid(-14, 14, d=d, width=0.5, order=10)
    theta = points([0.3, -0.2], [0.0, 0.0], [-1.5, 0.7])[:, :d]
    here = entropy.local_entropy(kinked, theta, gamma, over)
    h = 1e-3
    for k in range(d):
        step = torch.zeros(d, dtype=torch.float64)
        step[k] = h
        sides = [entropy.local_entropy(kinked, theta + s * step, gamma, over) for s in (-2, -1, 1, 2)]
        slope = (sides[0].value - 8 * sides[1].value + 8 * sides[2].value - sides[3].value) / (12 * h)
        torch.testing.assert_close(here.gradient[:, k], slope, rtol=0, atol=1e-9)
        turn = (sides[0].gradient - 8 * sides[1].gradient + 8 * sides[2].gradient - sides[3].gradient) / (12 * h)
        torch.testing.assert_close(here.hessian[:, k], turn, rtol=0, atol=1e-9)


def test_the_kink_of_the_loss_is_gone():
    """Second differences of the loss blow up at the kink as the step shrinks; those of -F do not."""
    over = entropy.grid(-12, 12, width=0.4, order=10)
    for h in (1e-1, 1e-2, 1e-3):
        line = points([-h], [0.0], [h])
        loss, smooth = kinked(line), entropy.local_entropy(kinked, line, 2.0, over).value
        assert (loss[0] - 2 * loss[1] + loss[2]).item() / h**2 > 0.3 / h
        assert abs(smooth[0] - 2 * smooth[1] + smooth[2]).item() / h**2 < 2.0


def test_printed_gradient_with_the_wrong_density_would_be_noticed():
    """Errata K6 (ii): a Gaussian of covariance gamma I instead of I / gamma is another function."""
    theta, gamma = points([0.8]), 4.0
    right = entropy.local_entropy(kinked, theta, gamma, entropy.grid(-12, 12, width=0.4))
    wrong = entropy.local_entropy(kinked, theta, 1 / gamma, entropy.grid(-30, 30, width=0.4))
    assert abs(gamma * (theta - wrong.mean) - right.gradient).item() > 0.05


@pytest.mark.parametrize("block", [1, 5000])
def test_blocks_change_nothing(block):
    theta = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    over = entropy.grid(-12, 12)
    whole, parts = (entropy.local_entropy(kinked, theta, 1.0, over, block=b) for b in (10**9, block))
    torch.testing.assert_close(whole.value, parts.value)
    torch.testing.assert_close(whole.covariance, parts.covariance)


def test_a_grid_that_cuts_the_integral_off_is_refused_or_reported():
    theta = points([0.0], [3.0])
    over = entropy.grid(-4, 4)
    with pytest.raises(ValueError, match=r"theta=\[3.0\].*wider grid"):
        entropy.local_entropy(kinked, theta, 1.0, over)
    cut = entropy.local_entropy(kinked, theta, 1.0, over, cut_off=True)
    assert cut.edge[1] > 0.1
    assert cut.mean[1].item() < 3.0
    wide = entropy.local_entropy(kinked, theta, 1.0, entropy.grid(-12, 12))
    assert wide.edge.max() < entropy.EDGE
    assert abs(wide.value[1] - cut.value[1]).item() > 0.01


# --- smoothness -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "variance"), [(2.0, 2.10), (5.0, 9.02), (10.0, 34.0), (20.0, 134.0)])
def test_bumps_have_the_variances_of_the_errata(radius, variance):
    """K6 (i) and (iii): no common bound, about R^2 / 3."""
    gamma = 1.0
    exact = entropy.bump_variance(radius, gamma)
    over = entropy.grid(-radius - 12, radius + 12, width=0.5, breaks=(-radius, 0.0, radius))
    found = entropy.local_entropy(entropy.bump(radius, gamma), points([0.0]), gamma, over)
    assert found.covariance.item() == pytest.approx(exact, rel=1e-10)
    assert exact == pytest.approx(variance, rel=2e-3)
    assert found.curvature.item() == pytest.approx(exact - 1, rel=1e-9)
    assert entropy.sharp_bound(found.covariance, gamma).item() == pytest.approx(found.curvature.item())
    published = entropy.published_bound(found.covariance, gamma).item()
    assert published == pytest.approx(found.curvature.item() + 2 * gamma)  # 3.10 against 1.10 at R = 2


def test_bumps_at_other_scopes_and_places():
    """The variance scales with gamma: t -> t sqrt(gamma)."""
    assert entropy.bump_variance(3.0, 4.0) == pytest.approx(entropy.bump_variance(6.0, 1.0) / 4)
    over = entropy.grid(-6, 9, width=0.25, breaks=(-1.0, 1.5, 4.0))
    found = entropy.local_entropy(entropy.bump(2.5, 4.0, centre=1.5), points([1.5]), 4.0, over)
    assert found.covariance.item() == pytest.approx(entropy.bump_variance(2.5, 4.0), rel=1e-9)
    assert found.mean.item() == pytest.approx(1.5)


def curvatures(loss, gamma, d=1, reach=3.0):
    side = torch.linspace(-reach, reach, 41 if d == 1 else 9, dtype=torch.float64)
    theta = side[:, None] if d == 1 else torch.cartesian_prod(side, side)
    over = entropy.grid(-reach - 13, reach + 13, d=d, width=0.5 if d == 1 else 1.0, order=8)
    found = entropy.local_entropy(loss, theta, gamma, over)
    return torch.linalg.eigvalsh(found.hessian), found


@pytest.mark.parametrize("d", [1, 2])
def test_both_bounds_hold_and_ours_is_never_the_larger(d):
    eigenvalues, found = curvatures(lambda t: 2 * t.sin().sum(1) ** 2 + t[:, 0].abs(), 1.0, d)
    sharp, published = (bound(found.covariance, 1.0) for bound in (entropy.sharp_bound, entropy.published_bound))
    assert (found.curvature <= sharp + 1e-9).all()
    assert (sharp <= published + 1e-9).all()
    assert eigenvalues.max() <= 1.0 + 1e-9


def test_weakly_convex_losses_keep_within_their_range():
    """C cos t is C-weakly convex; K6 (iv) with C = 0.6, gamma = 1: from -1.5 to 1."""
    low, high = entropy.weakly_convex_range(0.6, 1.0)
    assert (low, high) == pytest.approx((-1.5, 1.0))
    eigenvalues, _ = curvatures(lambda t: 0.6 * t[:, 0].cos(), 1.0)
    assert low <= eigenvalues.min() < -0.1
    assert eigenvalues.max() <= high
    convex, _ = curvatures(lambda t: 0.6 * t[:, 0].cos() + 0.3 * t[:, 0].square(), 1.0)
    assert convex.min() >= -1e-9, "of a convex loss, -F is convex"
    tight = entropy.quadratic(points([-0.6]), torch.zeros(1).double(), points([0.0]), 1.0)
    assert tight.hessian.item() == pytest.approx(low), "attained by the concave parabola"
    flipped, _ = curvatures(lambda t: -1.2 * t[:, 0].abs(), 1.0)
    assert flipped.min() < low, "a concave kink is not weakly convex, and leaves the range"


def test_bounded_losses_have_a_constant_everywhere():
    for largest in (0.5, 2.0):
        bound = entropy.bounded_loss(largest, 1.0)
        wells = curvatures(lambda t, m=largest: m * (t[:, 0].abs() < 1.5).double(), 1.0)[1]
        assert wells.curvature.max().item() <= bound
    assert entropy.bounded_loss(0.0, 2.0) == 2.0
    unbounded = entropy.bump_variance(5.0, 1.0) - 1
    assert unbounded > entropy.bounded_loss(2.0, 1.0), "a bump of height 12.5 breaks the constant for height 2"


@pytest.mark.parametrize("gamma", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("constant", [0.0, 1.0, 5.0])
def test_lipschitz_losses_have_a_constant_everywhere(constant, gamma):
    """L = -C |t| comes within a factor: variance 1 / gamma + C^2 / gamma^2 and a little more."""
    reach = 12 / math.sqrt(gamma) + constant / gamma
    over = entropy.grid(-reach, reach, width=0.5 / math.sqrt(gamma), order=10)
    found = entropy.local_entropy(lambda t: -constant * t[:, 0].abs(), points([0.0]), gamma, over)
    variance, bound = found.covariance.item(), (1 / math.sqrt(gamma) + constant / gamma) ** 2
    assert 1 / gamma + (constant / gamma) ** 2 - 1e-9 <= variance <= bound + 1e-9
    assert variance > 0.5 * bound
    assert found.curvature.item() <= entropy.lipschitz_loss(constant, gamma) + 1e-9
    if (constant, gamma) == (5.0, 1.0):
        assert variance == pytest.approx(26.0, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda *_: entropy.grid(1.0, 1.0), "low < high"),
        (lambda *_: entropy.grid(0.0, 1.0, d=3), r"\^3"),
        (lambda g, t: entropy.local_entropy(kinked, t, 0.0, g), "gamma=0.0"),
        (lambda g, t: entropy.local_entropy(kinked, t[:, 0], 1.0, g), "allowed is gamma > 0"),
        (lambda *_: entropy.bounded_loss(-1.0, 1.0), "largest=-1.0"),
        (lambda *_: entropy.lipschitz_loss(math.inf, 1.0), "constant=inf"),
        (lambda *_: entropy.weakly_convex_range(1.0, 1.0), "0 <= constant < gamma"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(entropy.grid(-9, 9), points([0.0]))
    assert "\n" not in str(refusal.value)


# --- the normaliser, and constants that cannot be improved ------------------------------------------------------------


def on_line(loss, theta, gamma, reach, breaks=(0.0,)):
    over = entropy.grid(-reach, reach, width=0.4 / math.sqrt(gamma), order=10, breaks=breaks)
    return entropy.local_entropy(loss, points(*[[t] for t in theta]), gamma, over)


def test_the_excess_is_zero_without_a_loss_and_at_most_the_mean_loss():
    theta = torch.randn(5, 2, generator=settings.generator(0), dtype=torch.float64)
    flat = entropy.quadratic(torch.zeros(2, 2).double(), torch.zeros(2).double(), theta, 3.0)
    torch.testing.assert_close(entropy.excess(flat), torch.zeros(5).double(), rtol=0, atol=1e-12)
    gamma, here = 2.0, 0.8
    found = on_line(kinked, [here], gamma, 12)
    draws = here + torch.randn(200_000, 1, generator=settings.generator(1), dtype=torch.float64) / math.sqrt(gamma)
    losses = kinked(draws)
    assert math.exp(-entropy.excess(found).item()) == pytest.approx((-losses).exp().mean().item(), abs=5e-3)
    assert 0 < entropy.excess(found).item() < losses.mean().item()


@given(st.floats(0.0, 30.0), st.floats(0.1, 10.0))
def test_bounded_losses_of_any_height(largest, gamma):
    """The sharp variance lies between that of no loss and both simple bounds, and scales with gamma."""
    sharp = entropy.bounded_variance(largest, gamma) * gamma
    assert 1 - 1e-12 <= sharp <= 1 + 2 * largest + 1e-9
    assert sharp <= math.exp(largest) * (1 + 1e-9)
    assert sharp == pytest.approx(entropy.bounded_variance(largest, 1.0), rel=1e-9)


@pytest.mark.parametrize("gamma", [0.5, 4.0])
@pytest.mark.parametrize("largest", [0.3, 2.0, 6.0])
def test_the_plateau_attains_the_bound_and_no_other_radius_does_better(largest, gamma):
    sharp = entropy.bounded_variance(largest, gamma)
    worst, rim = entropy.plateau(largest, gamma)
    reach = rim + 12 / math.sqrt(gamma)
    assert on_line(worst, [0.0], gamma, reach, (-rim, rim)).covariance.item() == pytest.approx(sharp, rel=1e-9)
    for other in (0.8 * rim, 1.2 * rim):
        found = on_line(lambda t, r=other: largest * (t[:, 0].abs() < r).double(), [0.0], gamma, reach, (-other, other))
        assert found.covariance.item() < sharp * (1 - 1e-4)


def test_random_step_losses_stay_below_the_bound():
    """Brute force over weights on a grid: no vector of values in [0, M] beats the plateau."""
    g = settings.generator(3)
    edges = torch.linspace(-5, 5, 41, dtype=torch.float64)
    for largest in (1.0, 4.0):
        sharp = entropy.bounded_variance(largest, 1.0)
        for _ in range(20):
            values = largest * torch.randint(0, 2, (43,), generator=g).double()
            found = on_line(lambda t, v=values: v[torch.bucketize(t[:, 0], edges)], [0.0, 0.4], 1.0, 12, edges.tolist())
            assert found.covariance.max().item() <= sharp + 1e-12


@pytest.mark.parametrize("gamma", [0.5, 4.0])
@pytest.mark.parametrize("constant", [0.0, 1.0, 5.0])
def test_tents_attain_the_bound_of_lipschitz_losses(constant, gamma):
    sharp, half = entropy.lipschitz_variance(constant, gamma), (constant + 12 * math.sqrt(gamma)) / gamma
    tent = on_line(entropy.tent(constant, half), [0.0], gamma, half + 6, (-half, 0.0, half))
    assert tent.covariance.item() == pytest.approx(sharp, rel=1e-9)
    assert sharp <= (1 / math.sqrt(gamma) + constant / gamma) ** 2 + 1e-12, "the transport bound is the larger"
    shifted = on_line(entropy.tent(constant, half), [0.3, 1.0], gamma, half + 6, (-half, 0.0, half))
    assert shifted.covariance.max().item() <= sharp + 1e-12
    if (constant, gamma) == (5.0, 4.0):
        assert entropy.lipschitz_variance(5.0, 1.0) == pytest.approx(26.0, abs=1e-4)  # the value of the errata


def test_the_objective_bounds_its_curvature_and_walls_come_close():
    for half, least in ((1.0, 0.4), (5.0, 0.8), (20.0, 0.97)):
        wall = on_line(lambda t, h=half: 5e3 * (t[:, 0].abs() < h).double(), [0.0], 1.0, half + 12, (-half, half))
        ratio = (wall.curvature / entropy.objective_bound(wall)).item()
        assert least < ratio <= 1
    for radius in (1.0, 5.0, 20.0):
        top = on_line(entropy.bump(radius, 1.0), [0.0, 0.3], 1.0, radius + 12, (-radius, 0.0, radius))
        assert (top.curvature <= entropy.objective_bound(top)).all()
    negative = on_line(lambda t: -3 * (t[:, 0].abs() > 2).double(), [0.0], 1.0, 14, (-2.0, 2.0))
    assert negative.curvature.item() > entropy.objective_bound(negative).item(), "it needs L >= 0"


def test_smooth_losses_keep_within_their_range_and_quadratics_attain_it():
    low, high = entropy.smooth_range(0.5, 2.0, 1.5)
    assert (low, high) == pytest.approx((-0.75, 1.5 * 2 / 3.5))
    matrix = torch.diag(torch.tensor([-0.5, 2.0], dtype=torch.float64))
    exact = entropy.quadratic(matrix, torch.zeros(2).double(), points([0.3, 0.1]), 1.5)
    assert torch.linalg.eigvalsh(exact.hessian)[0].tolist() == pytest.approx([low, high])
    eigenvalues, _ = curvatures(entropy.hills(0.5, 3.0), 0.9)
    low, high = entropy.smooth_range(0.5, 0.5, 0.9)
    assert low <= eigenvalues.min() < -0.5 < eigenvalues.max() <= high
    with pytest.raises(ValueError, match="convex=-1.0"):
        entropy.smooth_range(0.0, -1.0, 1.0)


def test_the_examples_are_what_they_say():
    t = torch.linspace(-9, 9, 721, dtype=torch.float64)[:, None].requires_grad_(True)
    hills = entropy.hills(0.7, 2.0)(t)
    (slope,) = torch.autograd.grad(hills.sum(), t, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), t)
    assert hills.min() >= -1e-12
    assert bend.abs().max().item() == pytest.approx(0.7)
    line = torch.linspace(-9, 9, 721, dtype=torch.float64)[:, None]
    tall, centres = entropy.tower([1.0, 2.0, 0.5], 3.0, gap=1.5)
    assert centres == pytest.approx([1.0, 5.5, 9.5])
    values = tall(points([1.0], [5.5], [9.5], [2.5], [-4.0]))
    torch.testing.assert_close(values, points([1.5, 6.0, 0.375, 0.0, 0.0])[0])
    attack = torch.linspace(-0.4, 0.4, 3, dtype=torch.float64)
    listed = (0.6 * (1 + line.cos()) + attack * line).amax(1)
    torch.testing.assert_close(entropy.hill_with_a_kink(0.6, 0.4)(line), listed)
    assert entropy.tent(2.0, 3.0)(points([0.0], [1.0], [5.0])).tolist() == [6.0, 4.0, 0.0]


@pytest.mark.parametrize("call", [entropy.bounded_variance, entropy.lipschitz_variance])
def test_bad_constants_are_refused(call):
    with pytest.raises(ValueError, match="at least 0"):
        call(-1.0, 1.0)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("gamma", [0.5, 16.0])
def test_a_grid_that_fits_gives_the_same_and_one_too_narrow_is_refused(d, gamma):
    theta = points([0.3, -0.2], [-1.5, 0.7])[:, :d]
    wide = entropy.local_entropy(kinked, theta, gamma, entropy.grid(-20, 20, d=d, width=0.25 if d == 1 else 0.5))
    found = entropy.around(kinked, theta, gamma, steepness=2.0)
    torch.testing.assert_close(found.value, wide.value, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.covariance, wide.covariance, rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="wider grid"):
        entropy.around(lambda t: -30 * math.sqrt(gamma) * t[:, 0], theta, gamma)
