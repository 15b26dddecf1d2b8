"""Negative controls of notebooks/kanai2021/loss_surfaces."""

import math

import sympy
import torch
import z3
from negative_controls import control

from advsmooth import checks, settings
from advsmooth.attacks import ball
from advsmooth.attacks.gradient import PGD
from advsmooth.theory import entropy, linear
from advsmooth.theory import loss_surfaces as surfaces

ALG, FIG2ABC, FIG2DEF, FIG2GH, FIG4, FIG5 = (
    f"kanai2021-{name}" for name in ("alg-pgd", "fig2abc", "fig2def", "fig2gh", "fig4", "fig5")
)
EPS, EPS8 = 0.6, 8 / 255
X1, Y1 = torch.tensor([[-1.0, 1.0]], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
SEARCH = torch.linspace(-2, 2, 21, dtype=torch.float64)
SEARCH[10] = 0
POINTS = torch.cartesian_prod(SEARCH, SEARCH)
ON_AXES, AT_ORIGIN = (POINTS == 0).any(1), (POINTS == 0).all(1)
AXES = torch.eye(2, dtype=torch.float64)
NAMED = (POINTS[:, 0] > 1) & (POINTS[:, 1] < -1)


def sample(seed):
    x = torch.randn(100, 2, generator=settings.generator(seed), dtype=torch.float64)
    return x, torch.where(x[:, 0] > 0, 1.0, -1.0).double()


def kinked(gradient, at=POINTS):
    return surfaces.kink_heights(gradient, at) > 1e-4


def slopes(norm, eps=EPS, x=X1, y=Y1):
    return lambda theta: linear.gradient(theta, x, y, eps, norm)


def within(eps=EPS, at=POINTS):
    low, high = surfaces.reach(at, X1[0], eps, "linf")
    return (low < surfaces.SWISH_LEAST) & (high > surfaces.SWISH_LEAST)


# --- PGD ----------------------------------------------------------------------------------------------------------

G = settings.generator(5)
WEIGHTS, INPUTS = (torch.randn(8, 500, generator=G, dtype=torch.float64) for _ in "ab")
LABELS = torch.ones(8, dtype=torch.float64)


def logistic(z, y):
    return torch.nn.functional.softplus(-y * z[:, 0])


def attacked(steps, step, box=ball.UNBOUNDED):
    attack = PGD(eps=EPS8, steps=steps, step_size=step / 255, loss=logistic, box=box)
    return attack(lambda at: (WEIGHTS * at).sum(1, keepdim=True), INPUTS, LABELS, generator=settings.generator(6))


def lacking(steps, step):
    fall = ((INPUTS - attacked(steps, step)) * WEIGHTS).sum(1)
    return 1 - fall / (EPS8 * linear.dual_norm(WEIGHTS, "linf"))


@control(ALG, "in-the-ball")
def steps_without_the_projection():
    start = ball.uniform(INPUTS, EPS8, "linf", settings.generator(6), ball.UNBOUNDED)
    cases = ball.contains(start - 10 * 2 / 255 * WEIGHTS.sign(), INPUTS, EPS8, "linf", ball.UNBOUNDED)
    return checks.every("in-the-ball", "", cases=cases, sample="")


@control(ALG, "reaches-maximum")
def settings_with_enough_steps():
    """The page's printed check fails for one setting; without it, it holds."""
    found = torch.cat([lacking(10, 2), lacking(20, 2), lacking(20, 1)])
    return checks.equal("reaches-maximum", "", measured=found, expected=0.0, atol=1e-12, sample="")


@control(ALG, "reaches-if-it-can")
def one_step_too_few():
    return checks.equal("reaches-if-it-can", "", measured=lacking(15, 1), expected=0.0, atol=1e-12, sample="")


@control(ALG, "shortfall")
def shortfall_without_the_square():
    found = lacking(10, 1)
    se = found.std() / 8**0.5
    return checks.agrees("shortfall", "", estimate=found.mean(), standard_error=se, exact=1 - 10 / 16, sample="")


def clip(value, bound):
    return z3.If(value > bound, bound, z3.If(value < -bound, -bound, value))


@control(ALG, "enough-steps")
def a_move_of_one_radius():
    start, eps, move = z3.Reals("start eps move")
    known = [eps > 0, start >= -eps, start <= eps, move >= eps]
    return checks.implies("enough-steps", "", assumptions=known, conclusion=clip(start + move, eps) == eps)


@control(ALG, "too-few-steps")
def a_short_move_from_anywhere():
    start, eps, move = z3.Reals("start eps move")
    known = [eps > 0, start >= -eps, start <= eps, move >= 0, move < 2 * eps]
    return checks.implies("too-few-steps", "", assumptions=known, conclusion=clip(start + move, eps) < eps)


@control(ALG, "mean-shortfall")
def mean_over_half_the_interval():
    r, e, t = sympy.symbols("r epsilon t", positive=True)
    left = sympy.integrate(2 * e * (1 - t) - r, (r, 0, 2 * e * (1 - t))) / e / e
    return checks.identity("mean-shortfall", "", left=left, right=(1 - t) ** 2)


@control(ALG, "clip-lipschitz")
def the_sign_is_not_lipschitz():
    p, q, eps = z3.Reals("p q eps")
    conclusion = z3.If(p > 0, eps, -eps) - z3.If(q > 0, eps, -eps) <= z3.If(p > q, p - q, q - p)
    return checks.implies("clip-lipschitz", "", assumptions=[eps > 0], conclusion=conclusion)


@control(ALG, "clip-measured")
def distances_after_the_sign():
    pairs = torch.randn(2, 500, 8, generator=settings.generator(0), dtype=torch.float64) * EPS8
    stretch = EPS8 * (pairs[0].sign() - pairs[1].sign()).norm(dim=1) / (pairs[0] - pairs[1]).norm(dim=1)
    return checks.at_most("clip-measured", "", measured=stretch, bound=1.0, sample="")


@control(ALG, "sign-jumps")
def a_step_along_the_gradient_itself():
    """Without the sign the step is continuous: it vanishes with the weight."""
    tiny = 10.0 ** -torch.arange(1, 13, dtype=torch.float64)
    measured = 2 * EPS8 / 4 * tiny / 2
    return checks.equal("sign-jumps", "", measured=measured, expected=EPS8 / 2, atol=1e-15, sample="")


# --- figure 2(a)-(c) ----------------------------------------------------------------------------------------------


@control(FIG2ABC, "clean")
def an_attack_in_place_of_none():
    return checks.every("clean", "", cases=~kinked(slopes("l2")), sample="")


@control(FIG2ABC, "origin")
def the_other_norm():
    return checks.every("origin", "", cases=kinked(slopes("linf")) == AT_ORIGIN, sample="")


@control(FIG2ABC, "axes")
def kinks_of_a_turned_budget():
    """A square turned by 45 degrees has its kinks on the diagonals."""
    turn = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5

    def turned(theta):
        return linear.gradient(theta @ turn, X1 @ turn, Y1, EPS, "linf") @ turn.T

    return checks.every("axes", "", cases=kinked(turned) == ON_AXES, sample="")


def segment_balance(claim, x, y):
    ends = torch.randn(20, 2, 2, generator=settings.generator(8), dtype=torch.float64)
    found = [surfaces.jumps_along(a, b, x, y, EPS, "linf")[0] for a, b in ends]
    wrong = [surfaces.jumps_along(a, b, x, y, EPS, "l2")[1] for a, b in ends]  # no kink on the axes
    measured, expected = torch.cat(found), torch.cat(wrong)
    return checks.equal("segments", "", measured=measured, expected=expected, atol=1e-9, sample="")


@control(FIG2ABC, "segments")
def jumps_that_are_not_explained():
    return segment_balance(FIG2ABC, X1, Y1)


T1, T2, A1, A2, Y_, E_ = sympy.symbols("theta1 theta2 x1 x2 y epsilon", real=True)


def mismatch(dual, direction):
    z = Y_ * (T1 * A1 + T2 * A2) - E_ * dual
    height = sympy.log(1 + sympy.exp(-z))
    pieces = zip((T1, T2), (A1, A2), direction, strict=True)
    return sum(sympy.simplify(height.diff(v) + (Y_ * x - E_ * u) / (1 + sympy.exp(z))) ** 2 for v, x, u in pieces)


@control(FIG2ABC, "gradient-l2")
def direction_that_is_not_normed():
    return checks.identity("gradient-l2", "", left=mismatch(sympy.sqrt(T1**2 + T2**2), (T1, T2)), right=0)


@control(FIG2ABC, "gradient-linf")
def one_sign_for_both():
    s1, s2 = sympy.symbols("s1 s2", real=True)
    return checks.identity("gradient-linf", "", left=mismatch(s1 * T1 + s2 * T2, (s1, s1)), right=0)


@control(FIG2ABC, "jump-positive")
def no_budget_no_jump():
    eps, sigma = z3.Reals("eps sigma")
    known = [eps >= 0, sigma > 0, sigma < 1]
    return checks.implies("jump-positive", "", assumptions=known, conclusion=2 * eps * sigma > 0)


@control(FIG2ABC, "loss-continuous")
def a_loss_that_is_not_continuous():
    """The printed words taken literally: a step of the height of the jump."""
    across = 10.0 ** -torch.arange(1, 13, dtype=torch.float64)
    return checks.at_most("loss-continuous", "", measured=EPS / (2 * across), bound=2.3, sample="")


# --- figure 2(d)-(f) ----------------------------------------------------------------------------------------------


def swish(norm, eps=EPS):
    return lambda theta: surfaces.swish_gradient(theta, X1[0], eps, norm)


@control(FIG2DEF, "u-star")
def where_the_swish_bends_most():
    """The zero of g'' below u* is outside the interval."""
    at = torch.linspace(-6, surfaces.SWISH_LEAST, 1001, dtype=torch.float64)
    other = at[surfaces.bend(at).abs().argmin()].item()
    return checks.every("u-star", "", cases=[-2 < other < -1], sample="")


@control(FIG2DEF, "larger-set")
def norms_exchanged():
    bent = {norm: kinked(swish(norm)) for norm in linear.NORMS}
    return checks.every("larger-set", "", cases=~bent["linf"] | bent["l2"], sample="")


@control(FIG2DEF, "region-smooth")
def region_that_meets_an_axis():
    at = POINTS[(POINTS[:, 0] <= 0) & (POINTS[:, 1] == 0)]
    step = 1e-5 * AXES[1:]
    near = (swish("linf")(at + step) - swish("linf")(at - step)).norm(dim=1) / (2 * step.norm())
    bound = surfaces.bend(torch.linspace(-20, 20, 4001, dtype=torch.float64)).abs().max() * 2 * (1 + EPS) ** 2
    return checks.at_most("region-smooth", "", measured=near, bound=bound, sample="")


@control(FIG2DEF, "attack-inside")
def region_without_its_corner():
    named = NAMED & (POINTS.abs().sum(1) < -surfaces.SWISH_LEAST / (1 - EPS) - 1e-9)
    return checks.every("attack-inside", "", cases=within()[named], sample="")


@control(FIG2DEF, "lemma-4")
def a_loss_strictly_concave_in_the_input():
    hessians = -torch.eye(2, dtype=torch.float64).expand(5, 2, 2)
    return checks.every("lemma-4", "", cases=torch.linalg.eigvalsh(hessians)[:, -1] < -1e-9, sample="")


@control(FIG2DEF, "plateau")
def thresholds_of_another_radius():
    quadrant, s = (POINTS[:, 0] >= 0) & (POINTS[:, 1] <= 0), POINTS.abs().sum(1)
    band = (s > -surfaces.SWISH_LEAST / 1.3) & (s < -surfaces.SWISH_LEAST / 0.7)
    return checks.every("plateau", "", cases=(within() == band)[quadrant], sample="")


@control(FIG2DEF, "plateau-constant")
def loss_off_the_plateau():
    found = surfaces.swish_loss(POINTS[~within()], X1[0], EPS, "linf")
    return checks.equal("plateau-constant", "", measured=found, expected=surfaces.PLATEAU, atol=1e-14, sample="")


@control(FIG2DEF, "jump-formula")
def jumps_of_the_linear_model():
    at = SEARCH[SEARCH != 0][:, None] * AXES[:1]
    step = 1e-8 * AXES[1:]
    measured = (swish("linf")(at + step) - swish("linf")(at - step)).norm(dim=1)
    expected = linear.gradient_jump(at, AXES[1:].expand_as(at), X1, Y1, EPS, "linf").norm(dim=1)
    return checks.equal("jump-formula", "", measured=measured, expected=expected, atol=1e-6, sample="")


@control(FIG2DEF, "cut-cross")
def a_cross_that_is_not_cut():
    return checks.every("cut-cross", "", cases=kinked(swish("linf")) == ON_AXES, sample="")


@control(FIG2DEF, "linear-kinked-there")
def region_with_its_axes():
    reaches = (POINTS[:, 0] >= 0) & (POINTS[:, 1] <= 0)
    return checks.every("linear-kinked-there", "", cases=[bool(kinked(slopes("linf"))[reaches].any())], sample="")


@control(FIG2DEF, "pgd")
def one_long_step():
    attack = PGD(eps=EPS, steps=3, step_size=EPS, random_start=False, loss=logistic, box=ball.UNBOUNDED)
    at = attack(
        lambda x: surfaces.swish((POINTS * x).sum(1, keepdim=True)),
        X1.expand(len(POINTS), -1),
        Y1.expand(len(POINTS)),
    )
    exact = surfaces.swish_loss(POINTS, X1[0], EPS, "linf")
    found = surfaces.height((POINTS * at).sum(1))
    return checks.equal("pgd", "", measured=found, expected=exact, atol=1e-5, sample="")


@control(FIG2DEF, "u-star-root")
def the_other_sign():
    lam = sympy.LambertW(sympy.exp(-1))
    return checks.identity("u-star-root", "", left=1 + (1 - lam) / (1 + lam), right=0)


@control(FIG2DEF, "swish-slope")
def derivative_without_the_product_rule():
    u = sympy.Symbol("u", real=True)
    swish_ = u / (1 + sympy.exp(-u))
    return checks.identity("swish-slope", "", left=swish_.diff(u), right=1 / (1 + sympy.exp(-u)))


# --- EntropySGD ---------------------------------------------------------------------------------------------------


def loss(x, y, norm, eps=EPS):
    return lambda theta: linear.loss(theta, x, y, eps, norm)


def smooth(function, theta, gamma):
    return entropy.local_entropy(function, theta, gamma, surfaces.plane(gamma, 3.0))


COARSE = torch.cartesian_prod(*[torch.linspace(-2, 2, 5, dtype=torch.float64)] * 2)


def differences_of_the_loss_itself(name, x, y):
    """A kink shows: the second difference of the loss is not that of its smoothed version."""
    h, at = 1e-3 * AXES[:1], torch.zeros(1, 2, dtype=torch.float64)
    f = loss(x, y, "linf")
    found = (f(at + h) + f(at - h) - 2 * f(at)) / 1e-6
    exact = smooth(f, at, 1.0).hessian[:, 0, 0]
    return checks.equal(name, "", measured=found, expected=exact, atol=1e-5, sample="")


@control(FIG2GH, "second-differences")
def second_differences_of_a_kink():
    return differences_of_the_loss_itself("second-differences", X1, Y1)


@control(FIG2GH, "range")
def a_loss_that_is_not_convex():
    bump = entropy.bump(2.0, 1.0)
    here = entropy.local_entropy(
        bump, torch.zeros(1, 1, dtype=torch.float64), 1.0, entropy.grid(-10, 10, breaks=(-2, 2))
    )
    off_middle = (torch.linalg.eigvalsh(here.hessian) - 0.5).abs().amax(1)
    return checks.at_most("range", "", measured=off_middle, bound=0.5, sample="")


def curvature_ratio(gamma):
    top = {norm: smooth(loss(X1, Y1, norm), COARSE, gamma).curvature.max() for norm in linear.NORMS}
    return (top["linf"] / top["l2"]).item()


@control(FIG2GH, "alike")
@control(FIG5, "alike")
def a_large_scope():
    return checks.at_most("alike", "", measured=[curvature_ratio(100.0)], bound=1.5, sample="")


@control(FIG2GH, "alike-at-every-scope")
def scopes_of_the_ledger_only():
    ratios = [curvature_ratio(gamma) for gamma in (0.5, 4.0)]
    return checks.at_most("alike-at-every-scope", "", measured=ratios, bound=1.5, sample="")


@control(FIG2GH, "kinks-before")
def a_loss_without_attack():
    f, at = loss(X1, Y1, "l2", 0.0), torch.zeros(1, 2, dtype=torch.float64)
    found = [(f(at + h * AXES[:1]) + f(at - h * AXES[:1]) - 2 * f(at)) / h**2 for h in (0.1, 0.01, 0.001)]
    return checks.at_most("kinks-before", "", measured=torch.cat(found), bound=5.0, sample="")


# --- figure 4 -----------------------------------------------------------------------------------------------------

X4, Y4 = sample(0)


@control(FIG4, "jumps")
def norms_exchanged_on_the_data_set():
    found = kinked(slopes("linf", x=X4, y=Y4)) == AT_ORIGIN
    return checks.every("jumps", "", cases=found, sample="")


@control(FIG4, "segments")
def jumps_that_are_not_explained_either():
    return segment_balance(FIG4, X4, Y4)


@control(FIG4, "optimum-on-kink")
def labels_that_depend_on_both_features():
    """With y = sign(x_1 + x_2) the second feature helps, and the kink does not hold it at 0."""
    y = torch.where(X4.sum(1) > 0, 1.0, -1.0).double()
    found = surfaces.minimiser(X4, y, 0.3, "linf")
    return checks.every("optimum-on-kink", "", cases=[found.theta[1] == 0 and found.slack > 0], sample="")


@control(FIG4, "optimum-l2")
def l2_minimiser_of_a_symmetric_sample():
    """Every input with its mirror image: no sampling error in the second feature is left."""
    mirror = X4 * torch.tensor([1.0, -1.0], dtype=torch.float64)
    found = surfaces.minimiser(torch.cat([X4, mirror]), torch.cat([Y4, Y4]), EPS, "l2")
    return checks.every("optimum-l2", "", cases=[abs(found.theta[1].item()) < 1e-9], sample="")


@control(FIG4, "l2-on-average")
def second_feature_that_helps():
    theta = []
    for seed in range(20):
        x, _ = sample(seed)
        y = torch.where(x[:, 0] + 0.5 * x[:, 1] > 0, 1.0, -1.0).double()
        theta.append(surfaces.minimiser(x, y, 0.4, "l2").theta[1])
    theta = torch.stack(theta)
    se = theta.std() / 20**0.5
    return checks.agrees("l2-on-average", "", estimate=theta.mean(), standard_error=se, exact=0.0, sample="")


@control(FIG4, "minimisers")
def minimiser_of_another_radius():
    wrong = surfaces.minimiser(X4, Y4, 0.4, "l2").theta[None]
    grid = torch.cartesian_prod(*[torch.linspace(-4, 4, 81, dtype=torch.float64)] * 2)
    f = loss(X4, Y4, "l2")
    return checks.at_most("minimisers", "", measured=f(wrong) - f(grid).min(), bound=0.0, sample="")


# --- figure 5 -----------------------------------------------------------------------------------------------------


@control(FIG5, "smooth")
def second_differences_of_kinks():
    return differences_of_the_loss_itself("smooth", X4, Y4)


def smoothed(gamma, norm="linf", cut=False, function=None, start=None):
    found = surfaces.minimiser(X4, Y4, EPS, norm).theta if start is None else start
    over = surfaces.box(gamma) if cut else surfaces.plane(gamma, 3.0)
    return surfaces.smoothed_minimiser(function or loss(X4, Y4, norm), gamma, over, found, cut_off=cut), found


@control(FIG5, "same-minimum")
def a_symmetric_loss_keeps_its_minimum():
    centre = torch.tensor([0.7, 0.0], dtype=torch.float64)
    at, _ = smoothed(0.5, function=lambda t: (t - centre).norm(dim=1), start=centre + 0.1)
    distance = (at.theta[0] - centre).norm()
    return checks.at_most("same-minimum", "", measured=distance, bound=0.1, sample="")


@control(FIG5, "same-minimum-square")
def a_very_large_scope():
    at, least = smoothed(100.0, cut=True)
    distance = (at.theta[0] - least).norm()
    return checks.at_most("same-minimum-square", "", measured=distance, bound=0.1, sample="")


@control(FIG5, "excess")
def a_loss_with_two_valleys():
    """Not convex: smoothing fills a narrow deep valley and prefers a wide shallow one."""

    def valleys(t):
        deep = 3 * torch.exp(-60 * (t - 1.2).square().sum(1))
        return 2 - deep - torch.exp(-0.6 * (t + 1).square().sum(1))

    at, _ = smoothed(2.0, function=valleys, start=torch.tensor([-0.9, -0.9], dtype=torch.float64))
    excess = valleys(at.theta) - valleys(torch.full((1, 2), 1.2, dtype=torch.float64))
    ratio = excess / surfaces.certificate(at)
    return checks.at_most("excess", "", measured=ratio, bound=1.0, sample="")


@control(FIG5, "rate")
def constant_of_a_flatter_loss():
    at, _ = smoothed(20.0)
    ratio = surfaces.certificate(at) / (0.05 * math.sqrt(2 / 20.0))
    return checks.at_most("rate", "", measured=ratio, bound=1.0, sample="")


@control(FIG5, "chain")
def without_convexity():
    drop, rise, pull, trace, gamma = z3.Reals("drop rise pull trace gamma")
    known = [drop <= rise, pull == 2 - gamma * trace, gamma > 0, trace > 0]
    return checks.implies("chain", "", assumptions=known, conclusion=drop <= 2 - gamma * trace)


@control(FIG5, "chain-rate")
def without_the_bound_on_the_trace():
    c, spread, trace, gamma, pull = z3.Reals("C spread trace gamma pull")
    known = [c >= 0, spread >= 0, gamma > 0, pull >= 0, pull <= c * spread, spread * spread <= trace]
    return checks.implies("chain-rate", "", assumptions=known, conclusion=pull * pull * gamma <= 2 * c * c)


@control(FIG5, "outwards")
def cut_off_at_the_square():
    shifts = []
    for gamma in (0.5, 1.0):
        at, least = smoothed(gamma, cut=True)
        shifts.append((at.theta[0] - least)[0] > 0)
    return checks.every("outwards", "", cases=torch.stack(shifts), sample="")


@control(FIG5, "leaves-the-kink")
def data_without_sampling_error():
    """Every input with its mirror image: by symmetry the smoothed minimum stays on the axis."""
    mirror = X4 * torch.tensor([1.0, -1.0], dtype=torch.float64)
    x, y = torch.cat([X4, mirror]), torch.cat([Y4, Y4])
    start = surfaces.minimiser(x, y, EPS, "linf").theta
    at, _ = smoothed(1.0, function=loss(x, y, "linf"), start=start)
    return checks.every("leaves-the-kink", "", cases=at.theta[0, 1].abs()[None] < 1e-6, sample="")
