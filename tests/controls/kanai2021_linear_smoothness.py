"""Negative controls of notebooks/kanai2021/linear_smoothness."""

import numpy as np
import sympy
import torch
import z3
from negative_controls import control

from advsmooth import checks, data, settings
from advsmooth.theory import linear, smoothness

LEM1, LEM2, THM1 = "kanai2021-lem1", "kanai2021-lem2", "kanai2021-thm1"
LEM3, THM2, FIG1 = "kanai2021-lem3", "kanai2021-thm2", "kanai2021-fig1"
EPS, MU = 0.5, 0.1
G = settings.generator(7)
X = torch.randn(12, 6, generator=G, dtype=torch.float64) / 6**0.5
Y = torch.where(torch.rand(12, generator=G) < 0.5, 1.0, -1.0).double()
THETA = smoothness.annulus(40, 6, 0.3, 2.0, G)
DIGITS = linear.two_classes(data.load("digits", n=400), [3, 8])
DEGREES = torch.arange(0.25, 360, 0.5, dtype=torch.float64)
TURNING = torch.stack([DEGREES.deg2rad().cos(), DEGREES.deg2rad().sin()], 1)
TURN = torch.deg2rad(torch.tensor(0.5, dtype=torch.float64))


def attack(theta, norm):
    return linear.adversarial_examples(theta, X[:1], Y[:1], EPS, norm)[:, 0]


def slopes(norm):
    return lambda theta: linear.gradient(theta, X, Y, EPS, norm)


def moves(track):
    return (track.roll(-1, 0) - track).norm(dim=1)


# --- Lemma 1 ------------------------------------------------------------------------------------------------------


@control(LEM1, "gradient")
def gradient_that_forgets_the_attack():
    clean = linear.gradient(THETA, X, Y, 0.0, "l2")
    attacked = linear.gradient(THETA, X, Y, EPS, "l2")
    return checks.equal("gradient", "", measured=clean, expected=attacked, atol=1e-12, sample="")


@control(LEM1, "sandwich")
def loss_whose_attack_is_not_lipschitz():
    """Without the assumption on the step of the attack, its gradient is not that at the maximiser."""
    a, b, c, t, step, rise, slope, shifted = z3.Reals("a b c t step rise slope shifted")
    known = [a >= 0, b >= 0, c >= 0, t >= 0, rise >= slope - a * t**2 / 2, rise <= shifted + a * t**2 / 2]
    conclusion = z3.And(rise - slope >= -a * t**2 / 2, rise - slope <= (a / 2 + b * c) * t**2)
    return checks.implies("sandwich", "", assumptions=[*known, shifted <= slope + b * step * t], conclusion=conclusion)


@control(LEM1, "triangle")
@control(THM1, "triangle")
@control(THM2, "triangle")
def constant_of_an_attack_that_is_not_lipschitz():
    a, b, c, t, step, gap, first, second = z3.Reals("a b c t step gap first second")
    known = [a >= 0, b >= 0, c >= 0, t >= 0, gap <= first + second, first <= a * t, second <= b * step]
    return checks.implies("triangle", "", assumptions=known, conclusion=gap <= (a + c * b) * t)


@control(LEM1, "curved-loss")
def half_the_lipschitz_constant_of_the_attack():
    a, b, c = 0.3, 1.0, 0.05
    pair = [smoothness.annulus(500, 6, 1e-4, 0.2, G) for _ in "ab"]
    found = smoothness.quotients(lambda theta: a * theta + b * linear.project(b / c * theta, EPS, "l2"), *pair)
    return checks.at_most("curved-loss", "", measured=found / (a + b * (b / c) / 2), bound=1.0, sample="")


# --- Lemma 2 ------------------------------------------------------------------------------------------------------


@control(LEM2, "l2-attack")
def margin_of_the_maximum_norm():
    found, wrong = linear.searched_margins(THETA, X, Y, EPS, "l2"), linear.margins(THETA, X, Y, EPS, "linf")
    return checks.equal("l2-attack", "", measured=found, expected=wrong, atol=1e-12, sample="")


@control(LEM2, "inequality")
def parameters_closer_to_the_origin_than_theta_min():
    ring = smoothness.annulus(200, 6, MU / 2, MU / 2, G)
    near = ring + 1e-3 * MU * smoothness.tangents(ring, G)
    ratio = smoothness.quotients(lambda theta: attack(theta, "l2"), ring, near) * MU / EPS
    return checks.at_most("inequality", "", measured=ratio, bound=1.0, sample="")


AXIS = torch.eye(6, dtype=torch.float64)[:1]
BOUNDED_AWAY = 10.0 ** -torch.arange(5, dtype=torch.float64)[:, None] * AXIS


@control(LEM2, "origin-left-out")
def attack_on_a_set_bounded_away_from_the_origin():
    """The printed sentence fails on the page; with |theta| >= 1e-4 it holds."""
    found = smoothness.quotients(lambda theta: attack(theta, "l2"), BOUNDED_AWAY, -BOUNDED_AWAY)
    return checks.at_most("origin-left-out", "", measured=found, bound=1e6, sample="")


@control(LEM2, "bounded-away")
def pairs_on_one_ray_are_not_the_worst():
    found = smoothness.quotients(lambda theta: attack(theta, "l2"), BOUNDED_AWAY, 2 * BOUNDED_AWAY)
    measured = found * BOUNDED_AWAY[:, 0] / EPS
    return checks.equal("bounded-away", "", measured=measured, expected=1.0, atol=1e-9, sample="")


@control(LEM2, "rescaling")
def rescaling_a_point_inside_the_ball():
    mu, r, w, dot = z3.Reals("mu r w dot")
    known = [mu > 0, r > 0, w >= 0, w <= mu, dot <= r * w]
    return checks.implies("rescaling", "", assumptions=known, conclusion=(1 - mu / r) * (dot - mu * r) <= 0)


@control(LEM2, "projection-identity")
@control(LEM3, "projection-identity")
def identity_with_a_flipped_sign():
    a, b, p, q = sympy.symbols("a b p q", real=True)
    left, right = (a - b) * (p - q) - (p - q) ** 2, (a - p) * (q - p) - (b - q) * (p - q)
    return checks.identity("projection-identity", "", left=left, right=right)


@control(LEM2, "nonexpansive")
@control(LEM3, "nonexpansive")
def projection_without_cauchy_schwarz():
    size, inner, gap = z3.Reals("size inner gap")
    known = [size >= 0, gap >= 0, size * size <= inner]
    return checks.implies("nonexpansive", "", assumptions=known, conclusion=size <= gap)


Y_, EPS_, T_, X_, Z_ = sympy.symbols("y epsilon t x z", real=True)
VECTOR, INPUT = (sympy.Matrix(sympy.symbols(f"{name}1:4", real=True)) for name in ("theta", "x"))
LENGTH = sympy.sqrt(VECTOR.dot(VECTOR))


def squared(matrix):
    return sum(entry**2 for entry in matrix.applyfunc(sympy.simplify))


def sigma(t):
    return 1 / (1 + sympy.exp(-t))


@control(LEM2, "jacobian")
def jacobian_without_the_projector():
    jacobian = (-Y_ * EPS_ * VECTOR / LENGTH).jacobian(VECTOR)
    return checks.identity("jacobian", "", left=squared(jacobian + Y_ * EPS_ / LENGTH * sympy.eye(3)), right=0)


@control(LEM2, "chord")
def chord_with_the_sum_of_the_norms():
    r, s, c = sympy.symbols("r s c", positive=True)
    right = (r**2 + s**2 - 2 * r * s * c) - (r + s) ** 2
    return checks.identity("chord", "", left=r * s * (2 - 2 * c), right=right)


# --- Lemma 3 ------------------------------------------------------------------------------------------------------


@control(LEM3, "linf-attack")
def margin_of_the_l2_budget():
    found, wrong = linear.searched_margins(THETA, X, Y, EPS, "linf"), linear.margins(THETA, X, Y, EPS, "l2")
    return checks.equal("linf-attack", "", measured=found, expected=wrong, atol=1e-12, sample="")


@control(LEM3, "same-signs")
def one_sign_differs():
    mirrored = THETA.clone()
    mirrored[:, 0] *= -1
    cases = (attack(THETA, "linf") == attack(mirrored, "linf")).all(1)
    return checks.every("same-signs", "", cases=cases, sample="")


@control(LEM3, "flips")
def distance_named_in_the_text():
    """2 eps, the side of the square, for every number of flipped signs (erratum K4)."""
    theta, apart = THETA[:1], []
    for k in range(1, 7):
        mirrored = theta.clone()
        mirrored[:, :k] *= -1
        apart.append((attack(theta, "linf") - attack(mirrored, "linf")).norm())
    return checks.equal("flips", "", measured=torch.stack(apart), expected=2 * EPS, atol=1e-12, sample="")


@control(LEM3, "off-the-axes")
def weights_smaller_than_mu():
    near = smoothness.off_axes(200, 6, MU / 3, MU / 2, G)
    ratio = smoothness.quotients(lambda theta: attack(theta, "linf"), near, -near) * MU / EPS
    return checks.at_most("off-the-axes", "", measured=ratio, bound=1.0, sample="")


@control(LEM3, "clipping")
def clipping_a_component_inside_the_interval():
    mu, s, t, w = z3.Reals("mu s t w")
    known = [mu > 0, z3.Or(s == 1, s == -1), s * t > 0, w >= -mu, w <= mu]
    return checks.implies("clipping", "", assumptions=known, conclusion=(t - mu * s) * (w - mu * s) <= 0)


@control(LEM3, "no-constant")
@control(THM2, "no-constant")
def jump_seen_from_far_away():
    """Over a large distance a jump needs no large constant."""
    constant, change, t, height, w = z3.Reals("K change t J w")
    known = [constant > 0, height > 0, w >= 0, t > 0, change >= height - w * t]
    return checks.implies("no-constant", "", assumptions=known, conclusion=change > constant * t)


# --- Theorem 1 ----------------------------------------------------------------------------------------------------

MARGIN = Y_ * VECTOR.dot(INPUT)
SLOPE = sympy.Matrix([sympy.log(1 + sympy.exp(-MARGIN)).diff(v) for v in VECTOR])
CURVATURE = Y_**2 * sigma(MARGIN) * sigma(-MARGIN)


@control(THM1, "second-derivative")
def second_derivative_without_sigma():
    wrong = Y_**2 * sigma(MARGIN) * INPUT * INPUT.T
    return checks.identity("second-derivative", "", left=squared(SLOPE.jacobian(VECTOR) - wrong), right=0)


@control(THM1, "cross-derivative")
def cross_derivative_without_the_identity():
    wrong = CURVATURE * INPUT * VECTOR.T
    return checks.identity("cross-derivative", "", left=squared(SLOPE.jacobian(INPUT) - wrong), right=0)


@control(THM1, "quarter")
def a_fifth_instead_of_a_quarter():
    q = z3.Real("q")
    return checks.implies("quarter", "", assumptions=[q >= 0, q <= 1], conclusion=5 * q * (1 - q) <= 1)


@control(THM1, "square-completed")
def square_with_a_flipped_sign():
    p, q = sympy.symbols("p q", positive=True)
    right = (p + 1) ** 2 / (4 * p) - (p - 1 - 2 * p * q) ** 2 / (4 * p)
    return checks.identity("square-completed", "", left=q + p * q * (1 - q), right=right)


@control(THM1, "slope-at-zero")
def slope_of_an_attack_that_helps():
    loss = sympy.log(1 + sympy.exp(-(Y_ * X_ * T_ + EPS_ * T_)))
    return checks.identity("slope-at-zero", "", left=loss.diff(T_).subs(T_, 0), right=-(Y_ * X_ - EPS_) / 2)


@control(THM1, "limit-at-zero")
def limit_without_an_attack():
    def along(side):
        return -sigma(-Y_ * side * T_ * X_) * Y_ * X_

    left = sympy.limit((along(1) - along(-1)) / 2, T_, 0, "+")
    return checks.identity("limit-at-zero", "", left=left, right=EPS_ / 2)


@control(THM1, "constants")
def constants_of_the_clean_inputs():
    radius, assumed = linear.perturbed_radius(X[:1], EPS, "l2"), linear.constants(X[:1], 0.0, "l2", 1.0)
    unit = linear.steepest(THETA, "l2")

    def clean_gradient(theta):
        return -torch.sigmoid(-(theta * radius * unit).sum(1, keepdim=True)) * radius * unit

    found = smoothness.quotients(clean_gradient, 1e-3 * unit, -1e-3 * unit) / assumed.theta_theta
    return checks.at_most("constants", "", measured=found, bound=1.0, sample="")


@control(THM1, "inequality")
def bound_that_ignores_the_attack():
    """The constant of the clean loss, at the perturbed inputs: too small near the origin."""
    rim = smoothness.annulus(50, 6, MU, MU, G)
    bound = linear.constants(X, EPS, "l2", MU).mean().theta_theta
    ratio = smoothness.quotients(slopes("l2"), rim, -rim) / bound
    return checks.at_most("inequality", "", measured=ratio, bound=1.0, sample="")


@control(THM1, "zero-left-out")
def gradient_on_a_set_bounded_away_from_zero():
    found = smoothness.quotients(slopes("l2"), BOUNDED_AWAY, -BOUNDED_AWAY)
    return checks.at_most("zero-left-out", "", measured=found, bound=1e6, sample="")


@control(THM1, "blow-up")
def clean_gradient_does_not_blow_up():
    rim = smoothness.annulus(50, 6, 1e-4, 1e-4, G)
    found = smoothness.quotients(lambda theta: linear.gradient(theta, X, Y, 0.0, "l2"), rim, -rim)
    return checks.equal("blow-up", "", measured=found.max() * 1e-4 / EPS, expected=0.5, atol=0.01, sample="")


@control(THM1, "jump-at-zero")
def jump_of_the_maximum_norm():
    unit = linear.steepest(THETA, "l2")
    jump = linear.gradient(1e-9 * unit, X, Y, EPS, "linf") - linear.gradient(-1e-9 * unit, X, Y, EPS, "linf")
    return checks.equal("jump-at-zero", "", measured=jump.norm(dim=1), expected=EPS, atol=1e-7, sample="")


@control(THM1, "loss-continuous")
def slope_bound_of_the_clean_loss():
    t, outward = 1e-3, linear.steepest(X, "l2")
    rise = linear.losses(-t * Y[:, None] * outward, X, Y, EPS, "l2").diagonal() - np.log(2)
    ratio = rise / (linear.constants(X, 0.0, "l2", t).theta * t)
    return checks.at_most("loss-continuous", "", measured=ratio, bound=1.0, sample="")


@control(THM1, "sublevel-set")
def slope_of_a_larger_radius():
    """The loss of a smaller budget falls faster than the bound of a larger one allows."""
    x, y = DIGITS
    mean = (y[:, None] * x).mean(0)
    theta = 1e-3 * mean[None] / mean.norm()
    descent = (np.log(2) - linear.loss(theta, x, y, 0.1, "l2")) / theta.norm(dim=1)
    return checks.at_most("sublevel-set", "", measured=descent, bound=(mean.norm() - 0.5) / 2, sample="")


def training_step():
    """Two neighbouring parameters of a maximum-norm run on the digits, after 30 steps."""
    x, y = DIGITS
    path = linear.descent_path(
        0.1 * torch.randn(64, generator=settings.generator(0), dtype=torch.float64),
        x,
        y,
        0.1,
        "linf",
        rate=0.3,
        steps=31,
    )
    change = linear.gradient(path[-2:], x, y, 0.1, "linf").diff(dim=0)
    smooth = linear.smooth_change(path[-2], path[-1], x, y, 0.1, "linf")
    return change[0], smooth, linear.path_jumps(path[-2:], x, y, 0.1)[0]


@control(THM1, "no-jumps-in-training")
def maximum_norm_run_without_its_jumps():
    change, smooth, _ = training_step()
    return checks.equal("no-jumps-in-training", "", measured=smooth, expected=change, atol=1e-9, sample="")


# --- Theorem 2 ----------------------------------------------------------------------------------------------------


@control(THM2, "jump-formula")
def jump_of_half_the_height():
    def beside(side):
        return -sigma(-Z_) * (Y_ * X_ - EPS_ * side)

    return checks.identity("jump-formula", "", left=beside(1) - beside(-1), right=EPS_ * sigma(-Z_))


@control(THM2, "orthant")
def constant_of_the_clean_inputs():
    v = Y[:, None] * (X + EPS * X.sign())
    found = smoothness.quotients(
        lambda theta: linear.gradients(theta, X, Y, EPS, "linf").diagonal().T, -1e-3 * v, -2e-3 * v
    )
    return checks.at_most("orthant", "", measured=found / (X.square().sum(1) / 4), bound=1.0, sample="")


@control(THM2, "jump")
def crossing_a_hyperplane_under_l2():
    """The L2 gradient does not jump where one weight vanishes."""
    theta = THETA.clone()
    theta[:, 0] = 0
    h = 1e-9 * AXIS
    jump = linear.gradient(theta + h, X, Y, EPS, "l2") - linear.gradient(theta - h, X, Y, EPS, "l2")
    formula = linear.gradient_jump(theta, AXIS.expand_as(theta), X, Y, EPS, "linf")
    return checks.equal("jump", "", measured=jump, expected=formula, atol=1e-8, sample="")


@control(THM2, "jumps-in-training")
def jumps_of_half_the_height():
    change, smooth, jumps = training_step()
    return checks.equal("jumps-in-training", "", measured=smooth + jumps / 2, expected=change, atol=1e-9, sample="")


@control(THM2, "off-the-axes")
def gradient_at_weights_smaller_than_mu():
    rim = smoothness.off_axes(50, 6, MU / 10, MU / 10, G)
    bound = linear.constants(X, EPS, "linf", 6**0.5 * MU).mean().smoothness(EPS / MU)
    ratio = smoothness.quotients(slopes("linf"), rim, -rim) / bound
    return checks.at_most("off-the-axes", "", measured=ratio, bound=1.0, sample="")


# --- Figure 1 -----------------------------------------------------------------------------------------------------


@control(FIG1, "circle")
def corners_do_not_slide():
    return checks.at_most("circle", "", measured=moves(-TURNING.sign()), bound=TURN, sample="")


@control(FIG1, "square")
def the_circle_has_no_corners():
    expected = [0.0] * 716 + [2.0] * 4
    found = moves(TURNING).sort().values
    return checks.equal("square", "", measured=found, expected=expected, atol=1e-12, sample="")


@control(FIG1, "inside")
def maximum_outside_both_sets():
    found = torch.cat([linear.project(1.7 * TURNING, 1.0, norm) for norm in linear.NORMS])
    return checks.equal("inside", "", measured=found, expected=torch.cat([1.7 * TURNING] * 2), atol=1e-12, sample="")


SQUARE = torch.cartesian_prod(*[torch.linspace(-1, 1, 81, dtype=torch.float64)] * 2)


@control(FIG1, "boundary")
def rescaling_onto_the_square():
    """A projection towards the centre is not the nearest point of the square."""
    target = 1.7 * TURNING
    wrong = target / target.abs().amax(1, keepdim=True)
    nearest = torch.cdist(target, SQUARE).amin(1)
    return checks.at_most("boundary", "", measured=(wrong - target).norm(dim=1), bound=nearest, sample="")


@control(FIG1, "curved-slides")
def without_curvature_it_jumps():
    return checks.at_most("curved-slides", "", measured=moves(-TURNING.sign()), bound=1.7 * TURN, sample="")
