"""Negative controls of notebooks/kanai2021/entropy_smooths."""

import math

import sympy
import torch
import z3
from negative_controls import control

from advsmooth import checks, settings
from advsmooth.theory import entropy, langevin, linear, smoothness
from advsmooth.training.entropysgd import EntropySGD

DEF, SMOOTHER, SPECTRAL = "kanai2021-def-ensgd", "kanai2021-obs-sgd-smoother", "kanai2021-prop-hessian"
HESSIAN, THM3 = "kanai2021-prop-hess-ensgd", "kanai2021-thm3"
KINKED = entropy.hill_with_a_kink(0.5, 0.6)
ZERO = torch.zeros(1, 1, dtype=torch.float64)
SOME = torch.tensor([[0.0], [0.7], [1.9]], dtype=torch.float64)


def along(loss, gamma=1.0, theta=ZERO, reach=14.0, breaks=(0.0,)):
    over = entropy.grid(-reach, reach, width=0.4 / math.sqrt(gamma), order=10, breaks=breaks)
    return entropy.local_entropy(loss, theta, gamma, over)


def chains(noise, theta=0.7, gamma=1.0):
    """Moments of adjusted Langevin draws for the kinked loss."""
    g = settings.generator(11)
    start = theta + torch.randn(4000, 1, generator=g, dtype=torch.float64)
    drawn, _ = langevin.adjusted(
        lambda t: KINKED(t) + gamma / 2 * (t[:, 0] - theta).square(),
        start,
        rate=0.4,
        steps=150,
        generator=g,
        noise=noise,
    )
    return langevin.moments(drawn)


# --- the objective ------------------------------------------------------------------------------------------------

THETA, T, GAMMA, BETA = sympy.symbols("theta t gamma beta", positive=True)


@control(DEF, "weight-derivative")
def derivative_that_forgets_beta():
    weight = sympy.exp(-BETA * sympy.Function("L")(T) - BETA * GAMMA / 2 * (THETA - T) ** 2)
    right = GAMMA * (T - THETA) * weight
    return checks.identity("weight-derivative", "", left=weight.diff(THETA), right=right)


@control(DEF, "gradient")
def gradient_with_the_gaussian_as_printed():
    """N(theta, gamma I) instead of N(theta, I / gamma) (K6)."""
    gamma = 4.0
    right, wrong = along(KINKED, gamma, SOME), along(KINKED, 1 / gamma, SOME, reach=40)
    measured = gamma * (SOME - wrong.mean)
    return checks.equal("gradient", "", measured=measured, expected=right.gradient, atol=1e-8, sample="")


@control(DEF, "langevin-mean")
def mean_at_another_parameter():
    found, exact = chains(math.sqrt(2)), along(KINKED, 1.0, SOME[2:])
    return checks.agrees(
        "langevin-mean", "", estimate=found.mean, standard_error=found.mean_error, exact=exact.mean[0], sample=""
    )


@control(DEF, "temperature")
def noise_one_taken_for_beta_one():
    found, exact = chains(1.0), along(KINKED, 1.0, SOME[1:2])
    return checks.agrees(
        "temperature",
        "",
        estimate=torch.cat([found.mean, found.covariance[0]]),
        standard_error=torch.cat([found.mean_error, found.covariance_error[0]]),
        exact=torch.cat([exact.mean[0], exact.covariance[0, 0]]),
        sample="",
    )


# --- the Hessian --------------------------------------------------------------------------------------------------


@control(HESSIAN, "quotient-rule")
@control(THM3, "quotient-rule")
def one_gamma_too_few():
    z, mi, mj, sij, tj = sympy.symbols("Z M_i M_j S_ij t_j")
    d_z, d_m = GAMMA * (mj - tj * z), GAMMA * (sij - tj * mi)
    left, right = -GAMMA * (d_m * z - mi * d_z) / z**2, -GAMMA * (sij / z - mi / z * mj / z)
    return checks.identity("quotient-rule", "", left=left, right=right)


S, GZ, N, V, W, Q, K, A, C = z3.Reals("sigma gamma norm v w q K a C")


@control(HESSIAN, "range")
@control(THM3, "range")
def covariance_that_may_be_negative():
    known = [GZ > 0, z3.If(GZ * S >= 2, GZ**2 * S - GZ, GZ) == N]
    conclusion = z3.And(GZ - GZ**2 * S <= N, GZ**2 * S - GZ <= N, N <= GZ + GZ**2 * S)
    return checks.implies("range", "", assumptions=known, conclusion=conclusion)


@control(HESSIAN, "hessian")
def hessian_with_the_second_moment():
    """About theta instead of about the mean."""
    found = along(KINKED, 1.0, SOME)
    second = found.covariance[:, 0, 0] + (found.mean - SOME)[:, 0].square()
    return checks.equal("hessian", "", measured=1 - second, expected=found.hessian[:, 0, 0], atol=1e-7, sample="")


@control(HESSIAN, "langevin-covariance")
def covariance_of_the_published_line():
    """Line 11 with noise 1 has about half the variance."""
    found, exact = chains(1.0), along(KINKED, 1.0, SOME[1:2])
    return checks.agrees(
        "langevin-covariance",
        "",
        estimate=found.covariance,
        standard_error=found.covariance_error,
        exact=exact.covariance[0],
        sample="",
    )


@control(HESSIAN, "norm-bound")
def bound_without_the_first_term():
    steep = along(lambda t: 20 * t[:, 0].square(), 1.0)
    return checks.at_most("norm-bound", "", measured=steep.curvature, bound=steep.covariance[:, 0, 0], sample="")


@control(HESSIAN, "sharp-attained")
def bump_that_is_too_small():
    """Its variance is below 2 / gamma: gamma is the larger of the two, and neither is attained."""
    found = along(entropy.bump(1.0, 1.0), 1.0, breaks=(-1.0, 0.0, 1.0))
    expected = entropy.bump_variance(1.0, 1.0) - 1  # the statement for large bumps
    measured = entropy.sharp_bound(found.covariance, 1.0)
    return checks.equal("sharp-attained", "", measured=measured, expected=expected, atol=1e-6, sample="")


@control(HESSIAN, "published-noise")
def inner_loop_with_the_right_noise():
    """On the page the check fails; with the noise sqrt(2) it holds."""
    chain = torch.full((4000, 1), 0.7, dtype=torch.float64, requires_grad=True)
    generator, seen = settings.generator(3), []
    inner = EntropySGD([chain], inner_lr=0.05, scope=1.0, noise=math.sqrt(2), langevin=200, generator=generator)

    def closure():
        seen[:] = [chain.detach().clone()]
        inner.zero_grad()
        total = KINKED(chain).sum()
        total.backward()
        return total

    inner.step(closure)
    ratio = seen[0].var() / along(KINKED, 1.0, SOME[1:2]).covariance.item()
    return checks.equal("published-noise", "", measured=ratio, expected=1.0, atol=0.2, sample="")


# --- equation 13 --------------------------------------------------------------------------------------------------


@control(SPECTRAL, "limit")
def limit_known_up_to_a_fixed_error():
    return checks.implies("limit", "", assumptions=[C >= 0, A <= C + K, K == 1], conclusion=A <= C)


@control(SPECTRAL, "norm-at-most-constant")
def constant_of_another_curvature():
    t = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(entropy.hills(0.7, 2.0)(t).sum(), t, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), t)
    return checks.at_most("norm-at-most-constant", "", measured=bend.abs() / 0.6, bound=1.0, sample="")


@control(SPECTRAL, "quadratics")
def second_singular_value():
    matrix = torch.diag(torch.tensor([3.0, 2.0], dtype=torch.float64))
    found = matrix[:1].norm() / torch.linalg.svdvals(matrix)[1]
    return checks.at_most("quadratics", "", measured=found, bound=1.0, sample="")


@control(SPECTRAL, "convex-equality")
def interval_with_a_gap():
    """Quotients across the gap of |theta| >= 1/2 see a slope that no Hessian there does."""
    theta = torch.cat([torch.linspace(-3, -0.5, 200), torch.linspace(0.5, 3, 200)]).double()
    found = along(KINKED, 64.0, theta[:, None], reach=6.0)
    largest = smoothness.pairwise_quotients(theta[:, None], found.gradient).max() / found.curvature.max()
    return checks.equal("convex-equality", "", measured=largest, expected=1.0, atol=1e-3, sample="")


@control(SPECTRAL, "not-convex")
def one_side_only():
    """On the convex half-line the gradient of |theta| is constant, and the check holds."""
    a = torch.tensor([[0.1]], dtype=torch.float64)
    found = smoothness.quotients(torch.sign, a, 2 * a)
    return checks.equal("not-convex", "", measured=found, expected=0.0, atol=1e-9, sample="")


@control(SPECTRAL, "bisection")
@control(THM3, "bisection")
def bisection_without_the_middle():
    """The two halves need not meet: nothing links the whole to them."""
    whole, first, second, t = z3.Reals("whole first second t")
    known = [t > 0, K >= 0, first >= 0, second >= 0, whole > K * 2 * t]
    return checks.implies("bisection", "", assumptions=known, conclusion=z3.Or(first > K * t, second > K * t))


# --- smoother? ----------------------------------------------------------------------------------------------------


@control(SMOOTHER, "smaller")
def convex_losses_become_smoother():
    """The printed statement fails on the page; for a convex loss it holds."""
    found = along(lambda t: t[:, 0].cosh().log(), 2.0, SOME)
    return checks.at_most("smaller", "", measured=found.curvature, bound=1.0, sample="")


@control(SMOOTHER, "convex")
def concave_parabola():
    found = entropy.quadratic(torch.tensor([[-1.0]]).double(), torch.zeros(1).double(), ZERO, 2.0)
    return checks.at_most("convex", "", measured=found.curvature * 3 / 2, bound=1.0, sample="")


@control(SMOOTHER, "slightly-concave")
def just_beyond_the_threshold():
    gamma = 2.0
    matrix = torch.diag(torch.tensor([1.0, -1.01 * gamma / (gamma + 1)], dtype=torch.float64))
    found = entropy.quadratic(matrix, torch.zeros(2).double(), torch.zeros(1, 2).double(), gamma)
    return checks.at_most("slightly-concave", "", measured=found.curvature, bound=1.0, sample="")


@control(SMOOTHER, "upper-end")
def loss_of_twice_the_curvature():
    found = along(entropy.hills(2.0, 5.0), 2.0, ZERO + 5 * math.pi, reach=60)
    bound = entropy.smooth_range(0, 1, 2.0)[1]
    return checks.at_most("upper-end", "", measured=found.hessian, bound=bound, sample="")


@control(SMOOTHER, "square-completed")
@control(THM3, "square-completed")
def square_with_the_wrong_rest():
    a = sympy.Symbol("a", positive=True)
    left = GAMMA / 2 * (THETA - T) ** 2 - a / 2 * T**2
    right = (GAMMA - a) / 2 * (T - GAMMA * THETA / (GAMMA - a)) ** 2 - GAMMA * a / (2 * (GAMMA + a)) * THETA**2
    return checks.identity("square-completed", "", left=left, right=right)


@control(SMOOTHER, "cramer-rao")
def information_without_the_scope():
    v, j = z3.Reals("v J")
    known = [GZ > 0, C >= 0, j > 0, v > 0, j <= GZ + C]  # without 1 <= v J
    return checks.implies("cramer-rao", "", assumptions=known, conclusion=(GZ - GZ**2 * v) * (GZ + C) <= GZ * C)


@control(SMOOTHER, "threshold")
def threshold_at_c_itself():
    return checks.implies(
        "threshold", "", assumptions=[GZ > C, C > 0, A >= 0, A <= C], conclusion=GZ * A <= C * (GZ - A)
    )


# --- theorem 3 ----------------------------------------------------------------------------------------------------


@control(THM3, "positive-part")
def weight_above_one():
    """A loss that may be negative."""
    conclusion = z3.If(Q > V, Q - V, 0) >= (Q - V) * W
    return checks.implies("positive-part", "", assumptions=[W >= 0, V >= 0, Q >= 0], conclusion=conclusion)


@control(THM3, "tail")
def tail_without_the_half():
    r, v = sympy.symbols("r v", positive=True)
    left = sympy.integrate(sympy.exp(-r), (r, v, sympy.oo))
    return checks.identity("tail", "", left=left, right=2 * sympy.exp(-v / 2))


@control(THM3, "objective-bound")
def half_of_the_objective():
    known = [GZ > 0, V >= 0, S >= 0, GZ * S <= 2 * V + 2]
    conclusion = z3.And(GZ <= GZ * (1 + V), GZ**2 * S - GZ <= GZ * (1 + V))
    return checks.implies("objective-bound", "", assumptions=known, conclusion=conclusion)


G = settings.generator(5)
X = torch.randn(12, 2, generator=G, dtype=torch.float64)
Y = X[:, 0].sign()


@control(THM3, "quotients")
def quotients_of_the_loss_itself():
    """Close to the kink the gradient of L beats any bound of this size."""
    pair = [torch.tensor([[0.5, sign * 1e-3]], dtype=torch.float64) for sign in (-1, 1)]
    found = smoothness.quotients(lambda t: linear.gradient(t, X, Y, 0.6, "linf"), *pair)
    flat = torch.eye(2, dtype=torch.float64)[None]
    bound = entropy.published_bound(flat, 1.0)  # the covariance is at most I / gamma for a convex loss
    return checks.at_most("quotients", "", measured=found, bound=bound, sample="")


@control(THM3, "no-kink")
def kink_of_the_loss_itself():
    pair = [torch.tensor([[0.5, sign * 1e-6]], dtype=torch.float64) for sign in (-1, 1)]
    found = smoothness.quotients(lambda t: linear.gradient(t, X, Y, 0.6, "linf"), *pair)
    bound = entropy.published_bound(torch.eye(2, dtype=torch.float64)[None], 1.0)
    return checks.at_most("no-kink", "", measured=found, bound=bound, sample="")


@control(THM3, "finite")
def loss_that_is_negative():
    deep = along(lambda t: -3 * (t[:, 0].abs() > 2).double(), breaks=(-2.0, 2.0))
    return checks.at_most("finite", "", measured=deep.curvature, bound=entropy.objective_bound(deep), sample="")


@control(THM3, "everywhere")
def bounded_tower():
    """On the page the check fails; with bumps of radius 20 at most, it holds."""
    found = [along(entropy.bump(r, 1.0), reach=r + 12, breaks=(-r, 0.0, r)).curvature.item() for r in (5.0, 10.0, 20.0)]
    return checks.at_most("everywhere", "", measured=found, bound=200.0, sample="")


@control(THM3, "bounded")
def plateau_above_the_stated_height():
    worst, rim = entropy.plateau(4.0, 1.0)
    found = along(worst, breaks=(-rim, rim))
    bound = entropy.bounded_variance(2.0, 1.0)
    return checks.at_most("bounded", "", measured=found.covariance, bound=bound, sample="")


@control(THM3, "lipschitz")
def steeper_tent():
    found = along(entropy.tent(2.0, 12.0), reach=24, breaks=(-12.0, 0.0, 12.0))
    return checks.at_most(
        "lipschitz", "", measured=found.covariance, bound=entropy.lipschitz_variance(1.0, 1.0), sample=""
    )


@control(THM3, "weakly-convex")
def concave_kink():
    """A downward kink is not weakly convex for any constant."""
    found = along(lambda t: 3 * (6 - t[:, 0].abs()).clamp(min=0), 1.5, breaks=(-6.0, 0.0, 6.0))
    bound = -entropy.weakly_convex_range(1.0, 1.5)[0]
    return checks.at_most("weakly-convex", "", measured=-found.hessian, bound=bound, sample="")


@control(THM3, "bang-bang")
def weights_below_the_floor():
    star, b = z3.Reals("star b")
    known = [b > 0, W <= 1, W >= 0, star == z3.If(Q > V, 1.0, b)]
    return checks.implies("bang-bang", "", assumptions=known, conclusion=(Q - V) * (W - star) <= 0)


@control(THM3, "antiderivative")
def moment_without_the_one():
    r, a = sympy.symbols("r alpha", positive=True)
    density = sympy.exp(a * r - r**2 / 2)
    return checks.identity("antiderivative", "", left=sympy.diff(-(r + a) * density, r), right=(r**2 - a**2) * density)


@control(THM3, "falling-weight")
def weight_that_rises():
    c1, c2, m1, m2 = z3.Reals("c1 c2 m1 m2")
    known = [c1 > 0, c2 > 0, m1 <= m2, c1 <= c2]
    return checks.implies("falling-weight", "", assumptions=known, conclusion=(c1 - c2) * (m1 - m2) <= 0)
