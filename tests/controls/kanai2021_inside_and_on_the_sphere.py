"""Negative controls of notebooks/kanai2021/inside_and_on_the_sphere."""

import functools

import sympy as sp
import torch
import z3
from negative_controls import control

from advsmooth import checks, settings
from advsmooth.attacks import ball
from advsmooth.attacks.gradient import PGD
from advsmooth.theory import linear, smoothness
from advsmooth.theory import optimal_attack as oa

DEF1, ASSUMP1, PROP1 = "kanai2021-def1", "kanai2021-assump1", "kanai2021-prop1"
LEM4, LEM5 = "kanai2021-lem4", "kanai2021-lem5"
FLAT, LIMITS = "kanai2021-obs-flatness-tradeoff", "kanai2021-limits"
PLANE = oa.network(2, 6)
ZERO, AWAY = torch.zeros(1, 3, dtype=torch.float64), 0.5 * torch.eye(3, dtype=torch.float64)[:1]


def fresh(seed=0):
    return settings.generator(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=fresh(seed), dtype=torch.float64)


# --- Definition 1, Assumption 1, Proposition 1 -----------------------------------------------------------------


@functools.cache
def quadratic(d):
    q = normal(d, d)
    return q + q.T


@control(DEF1, "quadratic")
def the_second_largest_eigenvalue():
    q = quadratic(6)
    second = torch.linalg.eigvalsh(q).abs().sort().values[-2]
    pair = smoothness.climb(lambda v: v @ q, normal(20, 6, seed=1), normal(20, 6, seed=2), lambda v: v)
    measured = smoothness.quotients(lambda v: v @ q, *pair) / second
    return checks.at_most("quadratic", "", measured=measured, bound=1.0, sample="")


@control(DEF1, "quadratic-reached")
def random_pairs_that_are_not_moved_uphill():
    q = quadratic(30)
    measured = smoothness.quotients(lambda v: v @ q, normal(30, 30, seed=1), normal(30, 30, seed=2))
    reached = (measured / torch.linalg.eigvalsh(q).abs().max()).max()
    return checks.equal("quadratic-reached", "", measured=reached, expected=1.0, atol=1e-3, sample="")


@control(DEF1, "sublevel")
def steps_ten_times_too_long():
    at, losses, pace = torch.tensor([1.0, 2.0, -2.0], dtype=torch.float64), [], []
    for _ in range(3):
        slope = at.square().sum() * at
        losses.append(at.square().sum() ** 2 / 4)
        pace.append(slope.square().sum() / (2 * 3 * 9.0))
        at = at - 10 * slope / (3 * 9.0)
    return checks.at_most("sublevel", "", measured=torch.stack(pace)[:-1], bound=-torch.stack(losses).diff(), sample="")


@control(ASSUMP1, "cross")
def second_term_with_the_wrong_sign():
    t, x = sp.symbols("t x", real=True)
    sigma = 1 / (1 + sp.exp(-t * x))
    found = sp.diff(sp.log(1 + sp.exp(-t * x)), x, t)
    return checks.identity(
        "cross", "", left=sp.simplify(found + (1 - sigma) + sigma * (1 - sigma) * t * x) ** 2, right=0
    )


def logistic(x, theta):
    return torch.nn.functional.softplus(-(x * theta).sum(-1))


@control(ASSUMP1, "everywhere")
def parameters_that_stay_bounded():
    """The printed line fails on the page; for |theta| <= 1000 it holds."""
    tau = torch.logspace(0, 3, 4, dtype=torch.float64)
    axes = torch.eye(2, dtype=torch.float64)
    crossing = oa.expand(logistic, axes[1:].repeat(4, 1), tau[:, None] * axes[:1]).x_theta
    return checks.at_most("everywhere", "", measured=torch.linalg.matrix_norm(crossing, 2), bound=1e6, sample="")


@control(ASSUMP1, "bounded")
def parameters_outside_the_set():
    x, near = torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[1e-4, 1.0]]).double()
    theta, one = torch.tensor([[100.0, 0.0]]).double(), torch.ones(1, dtype=torch.float64)
    moved = linear.gradients(theta, x, one, 0.0, "l2") - linear.gradients(theta, near, one, 0.0, "l2")
    return checks.at_most("bounded", "", measured=moved.norm() / 1e-4 / (1 + 1.5 / 4), bound=1.0, rtol=1e-7, sample="")


@control(PROP1, "diameter")
def entries_bounded_on_one_side():
    eps, v1, v2, v3 = z3.Reals("eps v1 v2 v3")
    known = [eps > 0, *(v <= 2 * eps for v in (v1, v2, v3))]
    return checks.implies(
        "diameter", "", assumptions=known, conclusion=v1 * v1 + v2 * v2 + v3 * v3 <= 3 * (2 * eps) * (2 * eps)
    )


@control(PROP1, "chain")
def attacks_twice_as_far_apart():
    total, one, two, a, m, c, k, eps, r = z3.Reals("n n1 n2 a m c k eps r")
    known = [total <= one + two, one <= c * a, two <= k * m, k >= 0, eps >= 0, r >= 1, m <= 4 * eps * r]
    return checks.implies("chain", "", assumptions=known, conclusion=total <= c * a + 2 * eps * r * k)


def opposite(norm, d, size, moved):
    """Loss and gradient of one example at x = 0, between opposite parameters whose first entries differ in sign."""
    one = torch.full((1, d), size / d**0.5, dtype=torch.float64)
    two = one.clone()
    two[:, :moved] *= -1
    x, y = torch.zeros(1, d, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    c, apart = linear.constants(x, 0.5, norm, size), (one - two).norm()
    gap = (linear.gradient(one, x, y, 0.5, norm) - linear.gradient(two, x, y, 0.5, norm)).norm()
    return gap, c, apart


@control(PROP1, "first")
def lipschitz_constant_of_inputs_that_are_not_attacked():
    one, two = torch.tensor([[1.0, 1]]).double(), torch.tensor([[0.9, 0.9]]).double()
    x, y = -torch.ones(1, 2, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    c = linear.constants(x, 0.0, "linf", 1.5)
    change = (linear.losses(one, x, y, 0.5, "linf") - linear.losses(two, x, y, 0.5, "linf")).abs()
    return checks.at_most(
        "first", "", measured=change / (c.theta * (one - two).norm()), bound=1.0, rtol=1e-6, sample=""
    )


@control(PROP1, "second-l2")
def bound_without_its_constant_term():
    gap, c, apart = opposite("l2", 3, 1e-6, 3)
    return checks.at_most("second-l2", "", measured=gap / (c.theta_theta * apart), bound=1.0, sample="")


@control(PROP1, "second-linf")
def a_single_dimension():
    """The printed bound fails on the page; for d = 1 the two norms agree and it holds."""
    gap, c, apart = opposite("linf", 1, 1e-6, 1)
    measured = gap / (c.theta_theta * apart + 2 * 0.5 * c.theta_x)
    return checks.at_most("second-linf", "", measured=measured, bound=1.0, sample="")


@control(PROP1, "second-corrected")
def half_of_root_d():
    gap, c, apart = opposite("linf", 3, 1e-6, 3)
    measured = gap / (c.theta_theta * apart + 2 * 0.5 * (3**0.5 / 2) * c.theta_x)
    return checks.at_most("second-corrected", "", measured=measured, bound=1.0, sample="")


@control(PROP1, "root-d")
def a_single_flipped_sign():
    gap, c, apart = opposite("linf", 16, 1e-9, 1)
    measured = gap / (c.theta_theta * apart + 2 * 0.5 * c.theta_x) / 4
    return checks.equal("root-d", "", measured=measured, expected=1.0, atol=1e-5, sample="")


# --- Lemmas 4 and 5 --------------------------------------------------------------------------------------------


@functools.cache
def maxima():
    """Followed maxima of a few networks: inside, on the sphere."""
    g = fresh()
    theta = oa.draw_networks(200, 2, 6, g)
    return tuple(oa.follow_some(PLANE, m, 1.5, 4, g) for m in oa.find_maxima(PLANE, theta, 2, 1.5, g))


def place(claim):
    return maxima()[0 if claim == LEM4 else 1]


def unpolished(claim):
    at = place(claim).maxima
    moved = linear.project(0.9 * at.x + 0.1, 1.5, "l2")
    higher = PLANE(at.x, at.theta) - PLANE(moved, at.theta)
    return checks.at_most("maxima", "", measured=higher, bound=1e-12, sample="")


def jacobian_with_the_wrong_sign(claim):
    found = place(claim)
    error = (found.jacobian + found.formula.jacobian).flatten(1).norm(dim=1)
    return checks.equal(
        "jacobian", "", measured=error / found.jacobian.flatten(1).norm(dim=1), expected=0.0, atol=1e-4, sample=""
    )


def attack_held_fixed(claim):
    found = place(claim)
    error = (found.hessian - found.formula.frozen_hessian).flatten(1).norm(dim=1)
    return checks.equal(
        "hessian", "", measured=error / found.hessian.flatten(1).norm(dim=1), expected=0.0, atol=1e-4, sample=""
    )


for one in (LEM4, LEM5):
    control(one, "maxima")(functools.partial(unpolished, one))
    control(one, "jacobian")(functools.partial(jacobian_with_the_wrong_sign, one))
    control(one, "hessian")(functools.partial(attack_held_fixed, one))


@control(LEM4, "speed")
@control(LEM5, "speed")
def without_cauchy_schwarz():
    v, c, inner, push, h = z3.Reals("v c vHv C h")
    known = [v >= 0, c > 0, push >= 0, h >= 0, c * v * v <= inner]
    return checks.implies("speed", "", assumptions=known, conclusion=c * v <= push * h)


@control(LEM4, "schur")
def curvature_that_is_taken_away():
    a, b, c, t = sp.symbols("a b c t")
    best = b * t / c
    value = a * t**2 / 2 + b * t * best - c * best**2 / 2
    return checks.identity("schur", "", left=(sp.diff(value, t, 2) - a + b**2 / c) ** 2, right=0)


THETA = smoothness.annulus(50, 4, 0.01, 0.5, fresh(3))
BOWL = oa.optimum(oa.bowl(0.3, 1.0, 0.8), THETA / 0.8, THETA, 1.0, on_sphere=False)


def plain(x, theta):
    return (x * theta).sum(-1)


STEADY = oa.optimum(plain, THETA / THETA.norm(dim=1, keepdim=True), THETA, 1.0, on_sphere=True)
LONG = 40 * THETA
LOOSE = oa.optimum(plain, LONG / LONG.norm(dim=1, keepdim=True), LONG, 1.0, on_sphere=True)


@control(LEM4, "lipschitz")
def twice_the_curvature():
    speed = torch.linalg.matrix_norm(BOWL.jacobian, 2)
    measured = speed / (BOWL.coupling / (2 * BOWL.printed_c))
    return checks.at_most("lipschitz", "", measured=measured, bound=1.0, sample="")


@control(LEM5, "lipschitz")
def curvature_of_a_sphere_of_half_the_radius():
    speed = torch.linalg.matrix_norm(STEADY.jacobian, 2)
    measured = speed / (STEADY.coupling / (2 * STEADY.printed_c))
    return checks.at_most("lipschitz", "", measured=measured, bound=1.0, sample="")


@control(LEM4, "attained")
def bowl_of_another_curvature():
    measured = torch.linalg.matrix_norm(BOWL.jacobian, 2) * 0.7
    return checks.equal("attained", "", measured=measured, expected=1.0, atol=1e-9, sample="")


@control(LEM4, "adds")
def adversary_that_lowers_the_loss():
    found = maxima()[0].formula
    drop = torch.linalg.eigvalsh(found.frozen_hessian - found.hessian)[:, 0]
    return checks.every("adds", "", cases=drop > -1e-9, sample="")


@control(LEM5, "determinant")
def determinant_with_the_sign_of_the_paper():
    s, k = oa.symbolic_bordered(2)
    return checks.identity("determinant", "", left=sp.expand(k.det() - s.det()) ** 2, right=0)


@control(LEM5, "inverse-block")
def matrix_without_its_border():
    s, k = oa.symbolic_bordered(2)
    difference = k[1:, 1:].inv()[1:, 1:] - s.inv()
    return checks.identity("inverse-block", "", left=sum(sp.simplify(e) ** 2 for e in difference), right=0)


@control(LEM5, "maximum")
def multiplier_of_either_sign():
    mu, c, w, q, s, e, eta = z3.Reals("mu c w q s E eta")
    known = [c > 0, w >= 0, q >= 0, w + q > 0, s <= -c * q, e <= eta * (w + q), eta <= c / 4, eta >= 0]
    return checks.implies("maximum", "", assumptions=known, conclusion=-mu * w + s / 2 + e < 0)


@functools.cache
def census(d):
    points = oa.draw_critical(200, d, 1.0, fresh(d))
    return points, points.climbs_back(fresh(9)), torch.linalg.det(points.bordered) > 0


@control(LEM5, "determinant-necessary")
def two_dimensions_only():
    """Fails on the page over d = 2 to 6; in the plane every maximum has a positive determinant."""
    _, back, positive = census(2)
    return checks.every("determinant-necessary", "", cases=positive[back], sample="")


@control(LEM5, "determinant-sufficient")
def two_dimensions_and_a_positive_multiplier():
    points, back, positive = census(2)
    return checks.every("determinant-sufficient", "", cases=back[positive & (points.multiplier > 0)], sample="")


@control(LEM5, "without-push")
def maximum_that_is_pushed_against_the_sphere():
    """Fails on the page at mu = 0; at mu = 1 the bound holds."""
    h, x = 0.1, torch.tensor([[1.0, 0]], dtype=torch.float64)
    theta = torch.tensor([[1 + h, 0]], dtype=torch.float64)

    def loss(x, theta):
        return theta[..., 0] * x[..., 0] - h / 2 * x[..., 0] ** 2 - x[..., 1] ** 2 / 2

    o = oa.optimum(loss, x, theta, 1.0, on_sphere=True)
    moved = oa.polish(loss, x, 0.9 * theta, 1.0, on_sphere=True)
    measured = (moved - x).norm() / (0.1 * theta).norm()
    return checks.at_most("without-push", "", measured=measured, bound=float(o.coupling / o.printed_c), sample="")


@control(LEM5, "saddle")
def tangent_hessian_that_is_negative():
    xx = torch.diag(torch.tensor([-1.0, 0, 0, 0], dtype=torch.float64)).repeat(20, 1, 1)
    first = torch.eye(4, dtype=torch.float64)[:1].repeat(20, 1)
    point = oa.Critical(first, torch.ones(20, dtype=torch.float64), xx, 1.0)
    cases = ((torch.linalg.det(point.bordered) - 1).abs() < 1e-12) & ~point.climbs_back(fresh())
    return checks.every("saddle", "", cases=cases, sample="")


@control(LEM5, "condition")
def curvature_without_the_multiplier():
    points, back, _ = census(4)
    cases = back == (points.largest_tangent_eigenvalue < 0)
    return checks.every("condition", "", cases=cases, sample="")


@control(LEM5, "parity")
def points_that_are_no_maxima():
    _, back, positive = census(5)
    return checks.every("parity", "", cases=~positive[~back], sample="")


@control(LEM5, "no-border")
def half_the_bound_without_border():
    speed = torch.linalg.matrix_norm(STEADY.jacobian, 2)
    measured = 2 * speed * STEADY.curvature / STEADY.tangent_coupling
    return checks.at_most("no-border", "", measured=measured, bound=1.0, sample="")


@control(LEM5, "c-below")
def the_two_constants_exchanged():
    return checks.at_most("c-below", "", measured=LOOSE.curvature / LOOSE.printed_c, bound=1.0, sample="")


@control(LEM5, "no-border-attained")
def bound_with_its_border():
    measured = torch.linalg.matrix_norm(LOOSE.jacobian, 2) * LOOSE.printed_c / LOOSE.coupling
    return checks.equal("no-border-attained", "", measured=measured, expected=1.0, atol=1e-9, sample="")


@control(LEM5, "rescaling")
def printed_bound_of_a_larger_loss():
    x = THETA / THETA.norm(dim=1, keepdim=True)
    hundred = oa.optimum(lambda x, th: 100 * plain(x, th), x, THETA, 1.0, on_sphere=True)
    measured = (hundred.coupling / hundred.printed_c) / (STEADY.coupling / STEADY.printed_c)
    return checks.equal("rescaling", "", measured=measured, expected=1.0, atol=1e-9, sample="")


# --- the trade-off ---------------------------------------------------------------------------------------------


@control(FLAT, "flat-spectrum")
def sphere_of_radius_one():
    mu, eps, lam = sp.symbols("mu epsilon lambda")
    k = sp.Matrix([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -mu, 0], [0, 0, 0, -mu]])
    right = (lam - 1) * (lam + 1) * (lam + mu / eps) ** 2
    return checks.identity("flat-spectrum", "", left=sp.expand((lam * sp.eye(4) - k).det()), right=sp.expand(right))


def steepest(slope, centre, size):
    drawn = torch.nn.functional.normalize(normal(200, 3), dim=1)
    drawn[100:] = smoothness.tangents(centre.expand(100, -1) + (centre.norm() == 0), fresh(1))
    return float(smoothness.quotients(slope, centre + size * drawn, centre - size * drawn).max())


def bowl_slope(s):
    return lambda th: 0.3 * th + linear.project(th / s, 1.0, "l2")


@control(FLAT, "grows")
def the_one_family_that_the_paper_has_in_mind():
    """Fails on the page over five families; for the bowl with its attack inside it holds."""
    growth = steepest(bowl_slope(0.01), ZERO, 1e-5) / steepest(bowl_slope(1.0), ZERO, 1e-3)
    return checks.every("grows", "", cases=[growth > 1], sample="")


@control(FLAT, "formula")
def hessian_of_a_fixed_attack():
    o = oa.optimum(oa.bowl(0.3, 1.0, 0.1), ZERO, ZERO, 1.0, on_sphere=False)
    measured = steepest(bowl_slope(0.1), ZERO, 1e-4) / torch.linalg.matrix_norm(o.frozen_hessian, 2)
    return checks.equal("formula", "", measured=measured, expected=1.0, atol=1e-2, sample="")


@control(FLAT, "flat-c")
def loss_that_is_not_flat():
    direction = torch.nn.functional.normalize(normal(20, 4), dim=1)
    mu = torch.logspace(-2, 1, 20, dtype=torch.float64)
    curved = oa.Critical(direction, mu, -torch.eye(4, dtype=torch.float64).repeat(20, 1, 1), 0.5)
    found = torch.linalg.svdvals(curved.bordered)[:, -1]
    return checks.equal("flat-c", "", measured=found, expected=(mu / 0.5).clamp(max=1), atol=1e-9, sample="")


@control(FLAT, "inside")
def attack_that_is_on_the_sphere():
    measured = steepest(bowl_slope(0.1), AWAY, 1e-4) / (0.3 + 1 / 0.1)
    return checks.equal("inside", "", measured=measured, expected=1.0, atol=1e-6, sample="")


@control(FLAT, "held-by-the-sphere")
def attack_that_is_inside():
    measured = steepest(bowl_slope(0.1), ZERO, 1e-4)
    return checks.equal("held-by-the-sphere", "", measured=measured, expected=0.3 + 1 / 0.5, atol=1e-4, sample="")


@control(FLAT, "in-proportion")
def curvature_alone_times_s():
    measured = steepest(bowl_slope(0.1), ZERO, 1e-4) / (0.1 * 1.3)
    return checks.equal("in-proportion", "", measured=measured, expected=1.0, atol=1e-6, sample="")


@control(FLAT, "networks-smoother")
def inputs_scaled_up():
    theta = oa.draw_networks(12, 2, 6, fresh())
    found = oa.scale_inputs(PLANE, theta, 0.3, torch.tensor([1.0, 3.0])).measured
    return checks.positive("networks-smoother", "", differences=(found[:, 0] / found[:, 1]).log(), sample="")


# --- the limits ------------------------------------------------------------------------------------------------


def loops(n, spread):
    g = fresh()
    return oa.Loops(*(size * oa.draw_networks(n, 2, 6, g) for size in (1.0, spread, spread)))


@functools.cache
def leaps(spread, eps, norm):
    return loops(10, spread).leaps(PLANE, eps, norm, edges=60, rings=8)


@control(LIMITS, "leaps-are-ties")
def a_little_after_the_leap():
    row, time, before, after = leaps(0.7, 1.0, "l2")
    theta = loops(10, 0.7).at(row, time + 0.01)
    drop = PLANE(after, theta) - PLANE(before, theta)
    return checks.equal("leaps-are-ties", "", measured=drop, expected=0.0, atol=1e-9, sample="")


@control(LIMITS, "jump")
def one_bump_that_is_followed():
    theta = torch.tensor([[-1e-9, 0], [1e-9, 0]], dtype=torch.float64)
    start = torch.tensor([[0.9, 0], [0.9, 0]], dtype=torch.float64)
    x = oa.polish(oa.two_bumps, start, theta, 1.5, on_sphere=False)
    return checks.equal("jump", "", measured=x.diff(dim=0).norm(), expected=2.0, atol=1e-6, sample="")


@control(LIMITS, "pgd-jump")
def start_in_the_same_basin():
    theta = torch.tensor([[-0.1 - 1e-6, 0], [-0.1 + 1e-6, 0]], dtype=torch.float64)
    attack = PGD(eps=1.5, steps=300, step_size=0.01, norm="l2", loss=lambda z, _: z[:, 0], box=ball.UNBOUNDED)
    start, centre = torch.tensor([[0.2, 0]] * 2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    x = attack(lambda x: oa.two_bumps(x, theta)[:, None], centre, torch.zeros(2, dtype=torch.int64), start=start)
    measured = -oa.two_bumps(x, theta).diff()
    return checks.equal("pgd-jump", "", measured=measured, expected=0.38, atol=1e-3, sample="")


@control(LIMITS, "leaps")
def loops_that_do_not_move():
    counts = torch.bincount(leaps(1e-6, 1.0, "l2")[0], minlength=10).double()
    return checks.positive("leaps", "", differences=counts, sample="")


@control(LIMITS, "more-in-the-square")
def a_much_smaller_square():
    square, disc = (torch.bincount(leaps(0.7, *of)[0], minlength=10) for of in ((0.1, "linf"), (1.0, "l2")))
    return checks.positive("more-in-the-square", "", differences=(square - disc).double(), sample="")


@control(LIMITS, "projection")
def the_sign_instead():
    found = smoothness.quotients(torch.sign, 1e-3 * normal(50, 5, seed=1), 1e-3 * normal(50, 5, seed=2))
    return checks.at_most("projection", "", measured=found, bound=1.0, sample="")
