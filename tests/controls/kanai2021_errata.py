"""Negative controls of notebooks/kanai2021/errata: wrong steps that must fail, printed statements where they hold."""

import math

import sympy
import torch
import z3
from negative_controls import control

from advsmooth import checks, settings
from advsmooth.theory import entropy, linear, newton, smoothness
from advsmooth.theory import loss_surfaces as surfaces
from advsmooth.theory import optimal_attack as oa
from advsmooth.training import second_order

F64 = torch.float64
K1, K2, K3, K4, K5, K6 = (f"kanai2021-K{number}" for number in range(1, 7))
K7, K8, K9, K10, K11 = (f"kanai2021-K{number}" for number in range(7, 12))
ZERO = torch.zeros(1, 1, dtype=F64)
EDGE = torch.tensor([[1.0, 0.0]], dtype=F64)


def algebra(rule, wrong):
    """Register the controls of one rule, ``identity`` or ``implies``: each a wrong step, given by its two parts."""
    parts = {"identity": ("left", "right"), "implies": ("assumptions", "conclusion")}[rule]
    for (claim, name), sides in wrong.items():
        given = dict(zip(parts, sides, strict=True))
        control(claim, name)(lambda name=name, given=given: getattr(checks, rule)(name, "", **given))


# --- identities with one slip each --------------------------------------------------------------------------------

S, K = oa.symbolic_bordered(1)
a, b, c, d, e, g, h, m, r, s, t, v, w, x, y, z = sympy.symbols("a b c d e g h m r s t v w x y z", positive=True)
Z, M_I, M_J, S_IJ, T_I, T_J, DELTA = sympy.symbols("Z M_i M_j S_ij t_i t_j delta", positive=True)
D_Z, D_M = g * (M_J - T_J * Z), g * (S_IJ - T_J * M_I)
TERM = {sign: sympy.log(1 + sympy.exp(-(sign * t * w - e * t))) for sign in (1, -1)}
STATIONARY = e**2 / (s * 2)  # the limit of small steps, taken for the variance at any step
U = sympy.Function("U")
FLAT = sympy.diag(sympy.Matrix([[0, 1], [1, 0]]), -m / e, -m / e)
LEAVING = sympy.Matrix([[0, 1, 0], [1, -h, 0], [0, 0, -1]])

algebra(
    "identity",
    {
        (K1, "determinant"): (sympy.expand(K.det() - S.det()) ** 2, 0),
        (K2, "flat-spectrum"): (sympy.expand((z * sympy.eye(4) - FLAT).det()), sympy.expand((z**2 - 1) * z**2)),
        (K2, "inside-hessian"): (a + b**2 / c, a + b / c),
        (K2, "sphere-hessian"): ((e * sympy.sqrt(t**2 + x**2)).diff(x, 2).subs(x, 0), e / t**2),
        (K2, "in-proportion"): ((s * b) ** 2 / c, s * b**2 / c),  # the curvature left as it was
        (K3, "projection-identity"): ((a - b) * (c - d) - (c - d) ** 2, (a - c) * (d - c) - (b - d) * (c - d)),
        (K4, "jump-formula"): ((y * x + e - (y * x - e)) / (1 + sympy.exp(z)), e / (1 + sympy.exp(z))),
        (K5, "loss-limits"): (sympy.limit(TERM[1] + TERM[-1], t, 0, "+"), sympy.log(2)),
        (K5, "slope-limits"): (TERM[1].diff(t).subs(t, 0) + TERM[-1].diff(t).subs(t, 0), 2 * e),
        (K6, "hessian"): (
            g * (DELTA - (D_M * Z + M_I * D_Z) / Z**2),
            g * DELTA - g**2 * (S_IJ / Z - M_I / Z * M_J / Z),
        ),
        (K6, "tail"): (sympy.integrate(sympy.exp(-r / 2), (r, v, sympy.oo)), sympy.exp(-v / 2)),
        (K6, "covariance-as-printed"): (
            (a / (1 + a * g)).subs(g, 1),
            (g - g**2 / (a + g)).subs(g, 1),
        ),  # where they agree
        (K6, "covariance"): (a / (1 + a * g), g - g**2 / (a + g)),
        (K7, "runs-away"): (sympy.diff(x - r * (-a * (x - c) - g * (t - x)), x), 1 - r * (a + g)),
        (K7, "stationary"): ((1 - r * s) ** 2 * STATIONARY + r * e**2, STATIONARY),
        (K7, "newton"): (t - g / (g - g / (a + g)) * (t - (g * t + a * c) / (a + g)), c),
        (K8, "spectrum"): (
            sympy.expand((z * sympy.eye(3) - LEAVING).det()),
            sympy.expand((z + 1) * (z**2 - h * z - 1)),
        ),
        (K8, "inverse-block"): (K.inv()[2, 2] + 1 / S[0, 0], 0),
        (K9, "square-completed"): (
            g / 2 * (x - t) ** 2 - a / 2 * t**2,
            (g - a) / 2 * (t - g * x / (g - a)) ** 2 + g * a / (2 * (g - a)) * x**2,
        ),
        (K10, "rank-one"): (sympy.hessian(sympy.Function("g")(a * x + b * y) - x**2 - y**2, (x, y)).doit().det(), 0),
        (K10, "least"): ((t / (1 + sympy.exp(-t))).diff(t), (1 + t / (1 + sympy.exp(-t))) / (1 + sympy.exp(-t))),
        (K10, "u-star"): (w * sympy.exp(w) * sympy.exp(w), w),
        (K11, "by-parts"): (((t - a) * sympy.exp(-U(t))).diff(t), (1 + (t - a) * U(t).diff(t)) * sympy.exp(-U(t))),
    },
)

# --- implications with one assumption less, or a conclusion too strong ------------------------------------------------

l1, l2, l3, size, gap, inner, mz, rz, wz, dot = z3.Reals("l1 l2 l3 size gap inner m r w dot")
ez, v1, v2, v3, nz, n1, n2, root, moved, apart, ctt, ctx = z3.Reals("e v1 v2 v3 n n1 n2 root moved apart ctt ctx")
kz, jz, smooth, tz, change, pz, qz, gz, sz, lz, vz = z3.Reals("k j smooth t change p q g s l v")
whole, half1, half2, cz, hz, speed, push, az, convex, var, low = z3.Reals(
    "whole half1 half2 c h speed push a C var low"
)
uz, ex, cert, tr, dz = z3.Reals("u ex cert tr d")
SIGN = {point: z3.If(point > 0, 1.0, -1.0) for point in (pz, qz)}

algebra(
    "implies",
    {
        (K1, "sign"): ([l1 < 0, l2 < 0, l3 > 0], z3.And(-l1 > 0, -l1 * l2 < 0, -l1 * l2 * l3 > 0)),
        (K3, "nonexpansive"): ([size >= 0, gap >= 0, inner <= size * gap], size <= gap),
        (K3, "rescaling"): (
            [mz > 0, rz > 0, wz >= 0, wz <= mz, dot <= rz * wz],  # theta may be inside the ball
            (1 - mz / rz) * (dot - mz * rz) <= 0,
        ),
        (K4, "diameter"): (
            [ez > 0, *(v <= 2 * ez for v in (v1, v2, v3)), *(v >= -2 * ez for v in (v1, v2, v3))],
            v1 * v1 + v2 * v2 + v3 * v3 <= 4 * ez * ez,
        ),
        (K4, "chain"): (
            [ez >= 0, root >= 1, ctx >= 0, nz <= n1 + n2, n1 <= ctt * apart, n2 <= ctx * moved, moved <= 2 * ez * root],
            nz <= ctt * apart + 2 * ez * ctx,
        ),
        (K4, "no-constant"): (
            [kz > 0, jz > 0, smooth >= 0, tz > 0, change >= jz - smooth * tz],  # at any distance
            change > kz * tz,
        ),
        (K4, "upper-bound-shows"): (  # a lower bound does show it
            [ez > 0, kz > 0, tz > 0, kz * tz < 2 * ez, moved >= 2 * ez],
            moved > kz * tz,
        ),
        (K5, "clip-lipschitz"): ([ez > 0], SIGN[pz] - SIGN[qz] <= z3.If(pz > qz, pz - qz, qz - pz)),
        (K6, "range"): (
            [gz > 0, kz == z3.If(gz * sz >= 2, gz**2 * sz - gz, gz)],
            z3.And(gz - gz**2 * sz <= kz, gz**2 * sz - gz <= kz),
        ),
        (K6, "positive-part"): (
            [wz >= 0, wz <= 2, vz >= 0, sz >= 0],
            (sz - vz) * wz <= z3.If(sz > vz, sz - vz, 0),
        ),
        (K6, "objective-bound"): (
            [gz > 0, lz >= 0, sz >= 0, gz * sz <= 2 * lz + 3],
            z3.And(gz <= gz * (1 + 2 * lz), gz**2 * sz - gz <= gz * (1 + 2 * lz)),
        ),
        (K6, "bisection"): (
            [tz > 0, kz >= 0, whole <= half1 + half2, whole > kz * tz],
            z3.Or(half1 > kz * tz, half2 > kz * tz),
        ),
        (K8, "threshold"): ([hz > 0, cz > 0, cz * cz + hz * cz == 1], cz > hz),
        (K8, "speed"): (
            [cz > 0, speed >= 0, push >= 0, cz * speed * speed <= inner, inner <= 2 * speed * push],
            cz * speed <= push,
        ),
        (K9, "upper-end"): (
            [gz > 0, convex >= 0, low > 0, var > 0, low <= gz + convex],
            (gz - gz**2 * var) * (gz + convex) <= gz * convex,
        ),
        (K9, "threshold"): (
            [gz > 0, convex > 0, az >= 0, az <= convex],
            z3.And(az < gz, gz * az <= convex * (gz - az)),
        ),
        (K10, "band"): (
            [ez > 0, sz > 0, uz < 0],  # a budget above 1 reaches both signs
            z3.And(-(1 + ez) * sz < uz, uz < -(1 - ez) * sz) == z3.And(-uz / (1 + ez) < sz, sz < -uz / (1 - ez)),
        ),
        (K11, "rate"): (
            [
                convex >= 0,
                dz > 0,
                gz > 0,
                tr >= 0,
                root >= 0,
                root * root == tr,
                cert >= 0,
                ex <= cert,
                cert <= convex * root,
            ],
            z3.And(cert * cert * gz <= convex * convex * dz, ex <= convex * root),
        ),
    },
)


# --- K1 and K8: Lemma 5 --------------------------------------------------------------------------------------------


def census(d):
    draw = settings.generator(21)
    points = oa.draw_critical(60, d, 1.0, draw)
    return points, points.climbs_back(draw), torch.linalg.det(points.bordered) > 0


@control(K1, "necessary")
def even_dimensions_only():
    points = [
        oa.Critical(torch.eye(d, dtype=F64)[:1], torch.ones(1, dtype=F64), torch.zeros(1, d, d, dtype=F64), 1.0)
        for d in (2, 4, 6)
    ]
    return checks.every("necessary", "", cases=[bool(torch.linalg.det(p.bordered) > 0) for p in points], sample="")


@control(K1, "sufficient")
def two_dimensions_only():
    points, back, positive = census(2)
    return checks.every("sufficient", "", cases=back[positive & (points.multiplier > 0)], sample="")


@control(K1, "condition")
def condition_without_the_multiplier():
    points, back, _ = census(3)
    return checks.every("condition", "", cases=back == (points.largest_tangent_eigenvalue < 0), sample="")


@control(K1, "parity")
def positive_in_three_dimensions():
    _, back, positive = census(3)
    return checks.every("parity", "", cases=positive[back], sample="")


def uneven(h):
    return lambda x, theta: (theta * x).sum(-1) - h / 2 * x[..., 0] ** 2 - x[..., 1] ** 2 / 2


def leaving(h):
    """Speed with which the maximum leaves the circle, and the printed bound."""
    at = oa.optimum(uneven(h), EDGE, h * EDGE, 1.0, on_sphere=True)
    inside = oa.polish(uneven(h), EDGE, 0.9 * h * EDGE, 1.0, on_sphere=False)
    return ((inside - EDGE).norm() / (0.1 * h)).item(), (at.coupling / at.printed_c).item()


@control(K8, "no-push")
def a_strongly_curved_loss():
    speed, bound = leaving(1.0)
    return checks.at_most("no-push", "", measured=speed, bound=bound, sample="")


@control(K8, "pushed")
def no_push_after_all():
    speed, bound = leaving(0.1)
    return checks.at_most("pushed", "", measured=speed, bound=bound, rtol=1e-6, sample="")


@control(K8, "attained")
def the_printed_bound_is_not_attained():
    at = oa.optimum(uneven(0.1), EDGE, 1.1 * EDGE, 1.0, on_sphere=True)
    speed = torch.linalg.matrix_norm(at.jacobian, 2)
    return checks.equal("attained", "", measured=speed * at.printed_c / at.coupling, expected=1.0, atol=1e-6, sample="")


# --- K2 ------------------------------------------------------------------------------------------------------------


def near_zero(s):
    axes = 1e-3 * s * torch.eye(3, dtype=F64)
    return smoothness.quotients(lambda t: 0.3 * t + linear.project(t / s, 1.0, "l2"), axes, -axes).max().item()


@control(K2, "grows")
def the_family_that_does_grow():
    return checks.every("grows", "", cases=[near_zero(0.01) > near_zero(1.0)], sample="")


@control(K2, "formula")
def one_over_s_squared():
    measured = [near_zero(s) / (0.3 + 1 / s**2) for s in (1.0, 0.1)]
    return checks.equal("formula", "", measured=measured, expected=1.0, atol=1e-6, sample="")


# --- K3 ------------------------------------------------------------------------------------------------------------

AXIS = 10.0 ** -torch.arange(5, dtype=F64)[:, None] * torch.eye(4, dtype=F64)[:1]


def attack(theta):
    return linear.adversarial_examples(theta, torch.zeros(1, 4, dtype=F64), torch.ones(1, dtype=F64), 1.0, "l2")[:, 0]


@control(K3, "origin-left-out")
def bounded_away_from_the_origin():
    found = smoothness.quotients(attack, AXIS, -AXIS)
    return checks.at_most("origin-left-out", "", measured=found, bound=1e6, sample="")


@control(K3, "derivative-suffices")
def a_convex_set():
    pair = torch.tensor([[0.1]], dtype=F64), torch.tensor([[0.2]], dtype=F64)
    return checks.at_most(
        "derivative-suffices", "", measured=smoothness.quotients(torch.sign, *pair), bound=0.0, sample=""
    )


@control(K3, "bounded-away")
def closer_than_theta_min():
    found = smoothness.quotients(attack, 0.5 * AXIS, -0.5 * AXIS) * AXIS[:, 0]
    return checks.at_most("bounded-away", "", measured=found, bound=1.0, rtol=1e-7, sample="")


@control(K3, "attained")
def pairs_on_one_ray():
    found = smoothness.quotients(attack, AXIS, 2 * AXIS) * AXIS[:, 0]
    return checks.equal("attained", "", measured=found, expected=1.0, atol=1e-9, sample="")


# --- K4 and K5 -----------------------------------------------------------------------------------------------------


def over_printed(d):
    tiny, nowhere, plus = torch.full((1, d), 1e-11, dtype=F64), torch.zeros(1, d, dtype=F64), torch.ones(1, dtype=F64)
    change = linear.gradient(tiny, nowhere, plus, 0.1, "linf") - linear.gradient(-tiny, nowhere, plus, 0.1, "linf")
    assumed = linear.constants(nowhere, 0.1, "linf", tiny.norm().item())
    return float(change.norm() / (assumed.theta_theta * 2 * tiny.norm() + 2 * 0.1 * assumed.theta_x))


@control(K4, "printed-bound")
def one_dimension():
    return checks.at_most("printed-bound", "", measured=over_printed(1), bound=1.0, sample="")


@control(K4, "root-d")
def d_instead_of_its_root():
    return checks.equal("root-d", "", measured=over_printed(16) / 16, expected=1.0, atol=1e-5, sample="")


@control(K4, "jump")
def half_the_jump():
    at, way = torch.tensor([[0.0, -1.0]], dtype=F64), torch.tensor([[1.0, 0.0]], dtype=F64)
    x, plus = torch.tensor([[-1.0, 1.0]], dtype=F64), torch.ones(1, dtype=F64)
    found = linear.gradient(at + 1e-9 * way, x, plus, 0.5, "linf") - linear.gradient(
        at - 1e-9 * way, x, plus, 0.5, "linf"
    )
    wrong = 0.5 * torch.sigmoid(-linear.margins(at, x, plus, 0.5, "linf")) * way
    return checks.equal("jump", "", measured=found, expected=wrong, atol=1e-7, sample="")


TINY = 10.0 ** -torch.arange(1, 13, dtype=F64)
WAY = TINY[:, None] * torch.tensor([[0.6, -0.8]], dtype=F64)
POINT, PLUS = torch.tensor([[-1.0, 1.0]], dtype=F64), torch.ones(1, dtype=F64)
GRADIENT_CHANGE = (linear.gradient(WAY, POINT, PLUS, 0.6, "l2") - linear.gradient(-WAY, POINT, PLUS, 0.6, "l2")).norm(
    dim=1
)


@control(K5, "loss-jumps")
def the_gradient_does_jump():
    return checks.at_most("loss-jumps", "", measured=torch.full((12,), 1e-6), bound=GRADIENT_CHANGE, sample="")


@control(K5, "projection-jumps")
def the_sign_does_jump():
    change = (TINY.sign() - (-TINY).sign()).abs()
    return checks.at_most("projection-jumps", "", measured=torch.full((12,), 1e-6), bound=change, sample="")


@control(K5, "loss-lipschitz")
def the_gradient_is_not_lipschitz():
    bound = linear.constants(POINT, 0.6, "l2", 2.0).theta.expand(12)
    return checks.at_most("loss-lipschitz", "", measured=GRADIENT_CHANGE / (2 * TINY), bound=bound, sample="")


@control(K5, "gradient-jumps")
def twice_the_budget():
    return checks.equal("gradient-jumps", "", measured=GRADIENT_CHANGE[4:], expected=1.2, atol=1e-4, sample="")


@control(K5, "sign-jumps")
def one_step_length_only():
    change = 0.1 * TINY.sign() - 0.1 * (-TINY).sign()
    return checks.equal("sign-jumps", "", measured=change, expected=0.1, atol=1e-12, sample="")


# --- K6, K7, K9 and K11: EntropySGD ----------------------------------------------------------------------------------


def summit(radius):
    return entropy.around(entropy.bump(radius, 1.0), ZERO, 1.0, steepness=radius, breaks=(-radius, 0.0, radius))


@control(K6, "everywhere")
def bumps_of_bounded_radius():
    measured = [summit(r).curvature.item() for r in (2.5, 5.0, 10.0)]
    return checks.at_most("everywhere", "", measured=measured, bound=100.0, sample="")


@control(K6, "finite")
def the_scope_alone():
    return checks.at_most("finite", "", measured=summit(10.0).curvature, bound=1.0, sample="")


@control(K6, "attained")
def nothing_subtracted():
    expected = entropy.bump_variance(10.0, 1.0)
    return checks.equal("attained", "", measured=summit(10.0).curvature, expected=expected, atol=1e-6, sample="")


def ends(sign):
    loss = lambda t: sign * 0.5 * (t - 1.5).square()  # noqa: E731
    found = second_order.walk(loss, torch.zeros(1, dtype=F64), steps=20, scope=0.03, inner_lr=0.1, noise=0.0)
    return [abs(found[-1].item() - 1.5) < 1.5]


@control(K7, "line-10-printed")
def the_mended_sign():
    return checks.every("line-10-printed", "", cases=ends(1), sample="")


@control(K7, "line-10-mended")
def the_printed_sign():
    return checks.every("line-10-mended", "", cases=ends(-1), sample="")


@control(K7, "line-11-printed")
def noise_of_root_two_and_small_steps():
    ratio = newton.stationary_variance(1.03, 1e-3, math.sqrt(2)) * 1.03
    return checks.agrees(
        "line-11-printed", "", estimate=ratio, standard_error=math.sqrt(2 / 3000), exact=1.0, sample=""
    )


@control(K7, "line-11-law")
def a_law_without_its_half():
    ratio = newton.stationary_variance(1.03, 0.1, 1.0) * 1.03
    return checks.agrees("line-11-law", "", estimate=ratio, standard_error=math.sqrt(2 / 3000), exact=1.0, sample="")


def stepped(curvature, rate=1.0):
    """-F before and after a Newton step on a quadratic around 1.5, and where the step ends."""
    matrix, slope = curvature * torch.eye(1, dtype=F64), torch.full((1,), -1.5 * curvature, dtype=F64)
    before = entropy.quadratic(matrix, slope, ZERO, 1.0)
    end = newton.newton_step(ZERO, before.mean, before.covariance[:, 0], 1.0, rate)
    return before.value, entropy.quadratic(matrix, slope, end, 1.0).value, end


@control(K7, "newton-printed")
def a_loss_that_curves_upwards():
    before, after, _ = stepped(0.5)
    return checks.at_most("newton-printed", "", measured=after - before, bound=0.0, sample="")


@control(K7, "newton-lands")
def half_a_step():
    return checks.equal("newton-lands", "", measured=stepped(0.5, 0.5)[2], expected=1.5, atol=1e-8, sample="")


SOFT = torch.linspace(-3, 3, 13, dtype=F64)[:, None]
COSH = entropy.around(lambda t: t[:, 0].cosh().log(), SOFT, 2.0, steepness=1).curvature.max().item()
HILL = entropy.around(entropy.hills(1.0, 5.0), ZERO, 2.0, steepness=5).curvature.max().item()


@control(K9, "smaller")
def a_convex_loss():
    return checks.at_most("smaller", "", measured=COSH, bound=1.0, sample="")


@control(K9, "convex")
def a_hill():
    return checks.at_most("convex", "", measured=HILL * 3 / 2, bound=1.0, sample="")


@control(K9, "slightly-concave")
def as_concave_as_convex():
    matrix = torch.diag(torch.tensor([-1.0, 1.0], dtype=F64))
    found = entropy.quadratic(matrix, torch.ones(2, dtype=F64), torch.ones(1, 2, dtype=F64), 2.0)
    return checks.at_most("slightly-concave", "", measured=found.curvature, bound=1.0, sample="")


@control(K11, "same-minimum")
def a_symmetric_loss():
    """A parabola keeps its minimum: a Newton step ends on both."""
    return checks.at_most("same-minimum", "", measured=(stepped(0.5)[2] - 1.5).abs(), bound=0.1, sample="")


def figure_4():
    """Excess of the loss at the new minimum, gamma tr Sigma there, and the Lipschitz constant; gamma = 1."""
    draw = settings.generator(11)
    x = torch.randn(100, 2, generator=draw, dtype=F64)
    y = torch.where(x[:, 0] > 0, 1.0, -1.0).double()
    height = lambda t: linear.loss(t, x, y, 0.6, "l2")  # noqa: E731
    least, steep = surfaces.minimiser(x, y, 0.6, "l2").theta, linear.perturbed_radius(x, 0.6, "linf").mean().item()
    at = surfaces.smoothed_minimiser(height, 1.0, surfaces.plane(1.0, steep, float(least.abs().max()) + 2), least)
    return (height(at.theta) - height(least[None])).item(), at.covariance.diagonal(dim1=1, dim2=2).sum().item(), steep


@control(K11, "certificate")
def the_covariance_counted_twice():
    excess, trace, _ = figure_4()
    return checks.at_most("certificate", "", measured=excess, bound=2 - 2 * trace, sample="")


@control(K11, "rate-measured")
def a_tenth_of_the_lipschitz_constant():
    _, trace, steep = figure_4()
    return checks.at_most("rate-measured", "", measured=2 - trace, bound=0.02 * steep, sample="")


# --- K10 -----------------------------------------------------------------------------------------------------------

X = torch.tensor([-1.0, 1.0], dtype=F64)
SIDE = torch.linspace(-2, 2, 41, dtype=F64)
SIDE[20] = 0.0
PLANE = torch.cartesian_prod(SIDE, SIDE)
LOW, HIGH = surfaces.reach(PLANE, X, 0.6, "linf")
WITHIN = (LOW < surfaces.SWISH_LEAST) & (HIGH > surfaces.SWISH_LEAST)
SIZE, NAMED = PLANE.abs().sum(1), (PLANE[:, 0] > 1) & (PLANE[:, 1] < -1)


@control(K10, "unlike-linear")
def a_region_with_an_axis():
    heights = surfaces.kink_heights(lambda t: linear.gradient(t, X[None], PLUS, 0.6, "linf"), PLANE[PLANE[:, 0] > 1])
    return checks.every("unlike-linear", "", cases=[bool((heights > 1e-4).any())], sample="")


@control(K10, "attack-inside")
def the_near_part_of_the_region():
    return checks.every("attack-inside", "", cases=WITHIN[NAMED & (SIZE < 3.19)], sample="")


@control(K10, "lemma-4")
def a_bowl():
    return checks.every("lemma-4", "", cases=torch.linalg.eigvalsh(-torch.eye(2, dtype=F64))[-1:] < -1e-9, sample="")


@control(K10, "band-measured")
def the_band_in_another_quadrant():
    band = (SIZE > -surfaces.SWISH_LEAST / 1.6) & (SIZE < -surfaces.SWISH_LEAST / 0.4)
    return checks.every("band-measured", "", cases=(band == WITHIN)[(PLANE > 0).all(1)], sample="")


@control(K10, "constant")
def the_loss_outside_the_band():
    found = surfaces.swish_loss(PLANE[~WITHIN], X, 0.6, "linf")
    return checks.equal("constant", "", measured=found, expected=surfaces.PLATEAU, atol=1e-13, sample="")


@control(K10, "kinks")
def kinks_on_all_of_the_axes():
    found = surfaces.kink_heights(lambda t: surfaces.swish_gradient(t, X, 0.6, "linf"), PLANE) > 1e-4
    return checks.every("kinks", "", cases=found == (PLANE == 0).any(1), sample="")
