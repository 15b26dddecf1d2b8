"""Negative controls of notebooks/liu2020/scattered_gradients."""

import math

import sympy as sp
import torch
import z3
from negative_controls import control

from advsmooth import checks, claims, settings
from advsmooth.attacks import ball
from advsmooth.attacks.gradient import PGD
from advsmooth.theory import gradient_scattering as gs
from advsmooth.theory import linear

DEF, ASSUMP1, PROP2, ABRUPT = "liu2020-def-adv-loss", "liu2020-assump1", "liu2020-prop2", "liu2020-obs-abrupt"
FIG5, ASSUMP2, COR1 = "liu2020-fig5", "liu2020-assump2", "liu2020-cor1"
WILD = gs.Domain(units=4, a=3, b=6, c=4, d=1, x=1)
WIDE = gs.Domain(units=3, a=1, b=1, c=1, d=1, x=1)
LINEAR = gs.Domain(units=2, a=1, b=0.02, c=0.02, d=1, x=1)
ZERO = torch.zeros(1, dtype=torch.float64)
PUBLISHED = claims.claim(FIG5)


def nets(m=40, domain=WILD, seed=0):
    theta = domain.draw(m, settings.generator(seed))
    return theta, torch.zeros(m, dtype=torch.float64), torch.ones(m, dtype=torch.float64)


def lines(activation="tanh", m=8):
    both, _, y = nets(2 * m, seed=1)
    return gs.Lines(both[:m], both[m:], y[:m], 1.0, activation)


# ---------------------------------------------------------------- the definition


@control(DEF, "listing")
def listing_of_a_smaller_ball():
    theta, x, y = nets()
    listed = gs.loss(theta, 0.9 * torch.linspace(-1, 1, 2001, dtype=torch.float64).expand(40, -1), y).amax(1)
    return checks.equal(
        "listing", "", measured=gs.worst_case(theta, x, y, 1.0).loss, expected=listed, atol=2e-3, sample=""
    )


@control(DEF, "grows")
def budgets_in_falling_order():
    theta, x, y = nets()
    losses = [gs.worst_case(theta, x, y, eps).loss for eps in (1.0, 0.3)]
    return checks.at_most("grows", "", measured=losses[0], bound=losses[1], sample="")


@control(DEF, "clean")
def a_small_budget_instead_of_none():
    theta, x, y = nets()
    clean = gs.loss(theta, x[:, None], y)[:, 0]
    return checks.equal(
        "clean", "", measured=gs.worst_case(theta, x, y, 1e-3).loss, expected=clean, atol=1e-12, sample=""
    )


def attacked(eps):
    """Losses that PGD reaches on one-input networks."""
    theta, x, y = nets()

    def model(inputs):
        f = gs.output(theta, inputs)
        return torch.cat([torch.zeros_like(f), f], 1)

    attack = PGD(eps=eps, steps=20, box=ball.UNBOUNDED)
    found = attack(model, x[:, None], y.long(), generator=settings.generator(0))
    return gs.loss(theta, found, y)[:, 0]


@control(DEF, "pgd-line")
def attack_with_a_larger_budget():
    theta, x, y = nets()
    return checks.at_most("pgd-line", "", measured=attacked(1.5), bound=gs.worst_case(theta, x, y, 1.0).loss, sample="")


@control(DEF, "pgd-square")
def attack_that_leaves_the_square():
    """PGD with a wrong projection, against the maximum over the square and what its grid can miss."""
    w = torch.tensor([1.0, -2.0], dtype=torch.float64)
    square = 0.5 * torch.cartesian_prod(*[torch.linspace(-1, 1, 101, dtype=torch.float64)] * 2)

    def model(x):
        return torch.stack([torch.zeros_like(x[:, 0]), x @ w], 1)

    found = PGD(eps=0.6, steps=20, box=ball.UNBOUNDED)(
        model, torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, dtype=torch.int64), generator=settings.generator(0)
    )
    loss, grid = (torch.nn.functional.softplus(-model(x)[:, 1]) for x in (found, square))
    return checks.at_most("pgd-square", "", measured=loss, bound=grid.max() + 0.005 * 3, sample="")


# ---------------------------------------------------------------- assumption 1


@control(ASSUMP1, "growth-unit")
def quadratic_instead_of_cubic():
    t = sp.Symbol("tau", positive=True)
    return checks.identity("growth-unit", "", left=t**4 * (t**2 + 1) / 16 + t**2 / 2, right=t**4 / 16 + t**2 / 2)


@control(ASSUMP1, "growth-logistic")
def singular_value_without_the_identity():
    p = sp.Symbol("p", positive=True)
    square = sp.Matrix([[sp.Rational(1, 4), -p / 8], [-p / 8, sp.Rational(1, 4) + p**2 / 16]])
    return checks.identity("growth-logistic", "", left=sp.expand((square - p**2 / 16 * sp.eye(2)).det()), right=0)


@control(ASSUMP1, "everywhere")
def weights_that_stay_bounded():
    size = torch.tensor([1.0, 5.0, 10.0], dtype=torch.float64)
    zero = torch.zeros_like(size)
    growth = gs.cross_derivative(torch.stack([size, size, zero, zero], 1), zero[:, None], zero + 1).norm(dim=2)
    return checks.at_most("everywhere", "", measured=growth, bound=1e6, sample="")


def logistic_quotients(reach, bound):
    """Ratios of difference quotients in theta and x, at norms up to ``reach``, to the constants for ``bound``."""
    x = torch.tensor([[0.6, 0.8], [0.6 * (1 - 1e-6), 0.8 * (1 - 1e-6)]], dtype=torch.float64)
    theta = -reach * x
    c = linear.constants(x[:1], 0.0, "l2", bound)
    value, slope = (f(theta, x, torch.ones(2).double(), 0.0, "l2") for f in (linear.losses, linear.gradients))
    apart = (theta[0] - theta[1]).norm()
    return torch.stack(
        [
            (value[0, 0] - value[1, 0]).abs() / apart / c.theta[0],
            (slope[0, 0] - slope[0, 1]).norm() / (x[0] - x[1]).norm() / c.theta_x[0],
        ]
    )


@control(ASSUMP1, "logistic-bounded")
def parameters_outside_the_set():
    return checks.at_most(
        "logistic-bounded", "", measured=logistic_quotients(1.5, 1.0), bound=1.0, rtol=1e-7, sample=""
    )


@control(ASSUMP1, "logistic-reached")
def parameters_well_inside_the_set():
    return checks.equal(
        "logistic-reached", "", measured=logistic_quotients(1.0, 1.5), expected=1.0, atol=1e-5, sample=""
    )


@control(ASSUMP1, "tanh-bounded")
def tanh_networks_outside_the_set():
    theta, x, y = nets()
    ratio = gs.cross_derivative(theta, x[:, None], y).norm(dim=2) / gs.constants(WIDE).theta_x
    return checks.at_most("tanh-bounded", "", measured=ratio, bound=1.0, sample="")


# ---------------------------------------------------------------- proposition 2


@control(PROP2, "first-line")
@control(COR1, "first-line")
def inputs_that_are_not_worst():
    g11, g12, g21, g22, r = z3.Reals("g11 g12 g21 g22 r")
    near = [g11 - g12 <= r, g12 - g11 <= r, g21 - g22 <= r, g22 - g21 <= r]
    return checks.implies(
        "first-line", "", assumptions=[g11 >= g21, *near], conclusion=z3.And(g11 - g22 <= r, g22 - g11 <= r)
    )


def triangle(name, jumps, factor):
    n, n1, n2, apart, moved, eps, tt, tx, d_tt, d_tx = z3.Reals("n n1 n2 apart moved eps Ltt Ltx Dtt Dtx")
    known = [n <= n1 + n2, moved <= 2 * eps, tx >= 0, tt >= 0, apart >= 0, eps >= 0]
    extra = (d_tt, d_tx) if jumps else (0, 0)
    return checks.implies(
        name,
        "",
        assumptions=[*known, n1 <= tt * apart + extra[0], n2 <= tx * moved + extra[1], eps == 1, tx == 1],
        conclusion=n <= tt * apart + factor * eps * tx + extra[0],
    )


@control(PROP2, "second-line")
def radius_instead_of_diameter():
    return triangle("second-line", jumps=False, factor=1)


@control(COR1, "four-terms")
def one_constant_forgotten():
    return triangle("four-terms", jumps=True, factor=2)


@control(PROP2, "subgradients")
def weights_that_do_not_sum_to_one():
    v1, v2, w, lam, mu = sp.symbols("v1 v2 w lambda mu")
    return checks.identity("subgradients", "", left=lam * v1 + mu * v2 - w, right=lam * (v1 - w) + mu * (v2 - w))


@control(PROP2, "mean")
def sum_instead_of_mean():
    n, a, b, r = z3.Reals("n a b r")
    return checks.implies("mean", "", assumptions=[a <= r, b <= r, n <= a + b], conclusion=n <= r)


@control(PROP2, "cross-derivative")
def hyperbolic_tangent_of_the_wrong_argument():
    m = sp.Symbol("m", real=True)
    s = sp.exp(m) / (1 + sp.exp(m)) ** 2
    return checks.identity(
        "cross-derivative", "", left=sp.diff(1 / (1 + sp.exp(-m)) + m * s, m), right=s * (2 - m * sp.tanh(m))
    )


def across(domain, activation, b=1e-8):
    """Both sides of a switch, and the constants: two networks of opposite slope, label -1, budget 1/2."""
    theta = domain.draw(300, settings.generator(2))
    h = domain.units
    theta[:, h : 2 * h] *= b
    other = theta.clone()
    other[:, h : 2 * h] *= -1
    x, y = torch.zeros(300, dtype=torch.float64), -torch.ones(300, dtype=torch.float64)
    p, q = (gs.worst_case(t, x, y, 0.5, activation) for t in (theta, other))
    return p, q, (theta - other).norm(dim=1), gs.constants(domain, activation)


@control(PROP2, "first-pairs")
def constant_of_nearly_linear_networks():
    """Pairs of ordinary networks, against the constant of a smaller set."""
    theta, x, y = nets()
    other = theta + 1e-6 * gs.gradient(theta, x[:, None], y)[:, 0]
    p, q = (gs.worst_case(t, x, y, 0.5).loss for t in (theta, other))
    ratio = (p - q).abs() / (gs.constants(LINEAR).theta * (theta - other).norm(dim=1))
    return checks.at_most("first-pairs", "", measured=ratio, bound=1.0, rtol=1e-6, sample="")


@control(PROP2, "second-pairs")
def bound_without_the_budget():
    """The bound of clean training fails across a switch."""
    p, q, apart, c = across(LINEAR, "tanh")
    ratio = (p.gradient - q.gradient).norm(dim=1) / (c.theta_theta * apart)
    return checks.at_most("second-pairs", "", measured=ratio, bound=1.0, sample="")


@control(PROP2, "at-switches")
def constant_at_one_end_only():
    """The cross derivative at one of the two inputs does not bound its mean between them."""
    family = lines()
    scan = family.scan(100)
    k = scan.leaps()
    rows, time = scan.rows[k], scan.by_input.before[k]
    x = family.worst(rows, time).x
    here = gs.cross_derivative(family.at(rows, time), x[:, None], family.y[rows])[:, 0].norm(dim=1)
    ratio = scan.by_input.jump[k] / (here * scan.by_input.leap[k])
    return checks.at_most("at-switches", "", measured=ratio, bound=1.0, sample="")


@control(PROP2, "equality")
def parameters_at_a_right_angle():
    one = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    two = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    slopes = [0.7 * linear.steepest(v, "l2") + 0.4 * v for v in (one, two)]
    ratio = (slopes[0] - slopes[1]).norm(dim=1) / (0.4 * (one - two).norm(dim=1) + 1.4)
    return checks.equal("equality", "", measured=ratio, expected=1.0, atol=1e-12, sample="")


@control(PROP2, "sketch-approaches")
def sketch_with_the_global_constant():
    ratio = [b / (2 * b * gs.scalar_cross_constant(torch.tensor(9.0)).item()) for b in PUBLISHED.published["eps"]]
    return checks.equal("sketch-approaches", "", measured=ratio, expected=1.0, atol=1e-4, sample="")


# ---------------------------------------------------------------- abrupt changes


@control(ABRUPT, "jump-makes-kink")
def one_sided_slopes_alone():
    p, q, plus, minus = z3.Reals("p q plus minus")
    known = [plus >= p, plus >= q, minus >= -p, minus >= -q]
    return checks.implies("jump-makes-kink", "", assumptions=known, conclusion=p == q)


@control(ABRUPT, "kink-needs-jump")
def a_smooth_point():
    p, q, plus, minus = z3.Reals("p q plus minus")
    known = [plus + minus == 0, p >= plus, -q >= minus]
    return checks.implies("kink-needs-jump", "", assumptions=known, conclusion=p > q)


@control(ABRUPT, "bias-tells-the-input")
def a_gradient_that_vanishes():
    d, a, b = z3.Reals("delta x1 x2")
    return checks.implies("bias-tells-the-input", "", assumptions=[d * a == d * b], conclusion=a == b)


def cubic(quantity):
    """The loss theta^3 x at x = 0: its worst input leaps at 0, its gradient 3 eps theta |theta| is continuous."""
    edge = torch.linspace(-1, 1, 8, dtype=torch.float64)
    functions = {"leap": lambda _, t: t.sign(), "jump": lambda _, t: 3 * t * t.abs()}
    a, b, _ = gs.closing_in(functions[quantity], torch.zeros(7, dtype=torch.int64), edge[:-1], edge[1:])
    leap, jump = ((f(None, b) - f(None, a)).abs() for f in functions.values())
    place = gs.Place(a, b, leap, jump)
    return gs.Scan(torch.zeros(7, dtype=torch.int64), place, place)


@control(ABRUPT, "leap-then-jump")
def a_leap_where_all_gradients_vanish():
    return checks.every("leap-then-jump", "", cases=~cubic("leap").leaps_without_jump(), sample="")


@control(ABRUPT, "jump-then-leap")
def relu_networks_jump_without_a_leap():
    return checks.every("jump-then-leap", "", cases=~lines("relu").scan(60).jumps_without_leap(), sample="")


def switches():
    family = lines()
    scan = family.scan(100)
    k = scan.leaps()
    rows, before, after = scan.rows[k], scan.by_input.before[k], scan.by_input.after[k]
    jump = family.worst(rows, after).gradient - family.worst(rows, before).gradient
    return family, rows, before, after, (jump * family.direction(rows)).sum(1)


@control(ABRUPT, "height")
def slopes_from_the_same_side():
    family, rows, before, _, heights = switches()
    slopes = [gs.one_sided_slope(lambda t: family.worst(rows, t).loss, before, -step) for step in (1e-9, 2e-9)]
    return checks.equal("height", "", measured=slopes[1] - slopes[0], expected=heights, atol=1e-5, sample="")


@control(ABRUPT, "upwards")
def a_best_case_instead_of_a_worst_case():
    """A minimum over inputs has kinks that point upwards: the signs are exchanged."""
    return checks.every("upwards", "", cases=-switches()[-1] > 0, sample="")


@control(ABRUPT, "jump-without-kink")
def one_layer_instead_of_two():
    """For the network theta x the gradient does not vanish at 0."""
    theta = torch.tensor([1e-2, 1e-4, -1e-6], dtype=torch.float64)
    worst = 1 + theta.sign()
    slope = worst * torch.sigmoid(theta * worst)
    return checks.at_most("jump-without-kink", "", measured=slope.abs() / theta.abs(), bound=2.0, sample="")


# ---------------------------------------------------------------- figure 5


def listed(theta, eps, x=1.0):
    inputs = x + eps * torch.linspace(-1, 1, 1001, dtype=torch.float64)
    loss = torch.nn.functional.softplus(theta[:, None] * inputs).max(1)
    return inputs[loss.indices], loss.values


@control(FIG5, "slope-right")
def slope_without_the_half():
    t, e = sp.symbols("t epsilon", real=True)
    left = sp.diff(sp.log(1 + sp.exp(t + e * t)), t).subs(t, 0)
    return checks.identity("slope-right", "", left=left, right=1 + e)


@control(FIG5, "minimum")
def minimum_from_another_budget():
    e, low, high = z3.Reals("eps low high")
    known = [e >= 0, low == (1 - e) / 2, high == (1 + e) / 2]
    return checks.implies("minimum", "", assumptions=known, conclusion=z3.And(low <= 0, high >= 0) == (e >= 2))


@control(FIG5, *[f"kink-{eps:g}" for eps in PUBLISHED.published["eps"]])
def kink_of_a_shifted_loss(name):
    """A bias moves the tie: log(1 + exp((theta - 0.1) x))."""
    edge = torch.linspace(-2, 2, 42, dtype=torch.float64)

    def slope(_, t):
        x, _ = listed(t - 0.1, float(name.removeprefix("kink-")))
        return x * torch.sigmoid((t - 0.1) * x)

    left, _, change = gs.closing_in(slope, torch.zeros(41, dtype=torch.int64), edge[:-1], edge[1:])
    place = float(left[change.argmax()])
    published = PUBLISHED.published["kink_at_theta"]
    return checks.within(
        name, "", measured=place, published=published, tolerance=PUBLISHED.tolerance, sample="", scale="quick"
    )


@control(FIG5, "slopes")
def slopes_at_another_input():
    eps = 0.5
    found = [gs.one_sided_slope(lambda t: listed(t, eps, x=1.1)[1], ZERO, s * 1e-4) for s in (-1, 1)]
    expected = [(1 - eps) / 2, (1 + eps) / 2]
    return checks.equal("slopes", "", measured=torch.cat(found), expected=expected, atol=1e-6, sample="")


@control(FIG5, "nowhere-else")
def an_adversary_of_three_inputs_with_a_kink_elsewhere():
    """The loss (theta x - x^2) / 2 over three inputs switches twice."""
    inputs = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    edge = torch.linspace(-2, 2, 42, dtype=torch.float64)

    def slope(_, t):
        return inputs[(t[:, None] * inputs - inputs**2).argmax(1)]

    _, _, change = gs.closing_in(slope, torch.zeros(41, dtype=torch.int64), edge[:-1], edge[1:])
    others = change[torch.arange(41) != change.argmax()]
    return checks.equal("nowhere-else", "", measured=others, expected=0.0, atol=1e-9, sample="")


@control(FIG5, "minimum-listed")
def minimum_at_another_threshold():
    span = torch.linspace(-2, 2, 401, dtype=torch.float64)
    cases = [bool(listed(span, b)[1].min() >= math.log(2) - 1e-12) == (b >= 0.8) for b in (0.5, 0.9, 1.1)]
    return checks.every("minimum-listed", "", cases=cases, sample="")


# ---------------------------------------------------------------- ReLU networks


@control(ASSUMP2, "asks-nothing")
def half_the_constant():
    n, a, b, lip = z3.Reals("n a b L")
    return checks.implies(
        "asks-nothing", "", assumptions=[a <= lip, b <= lip, n <= a + b, lip > 0], conclusion=n <= lip
    )


@control(ASSUMP2, "relu-everywhere")
def relu_weights_that_stay_bounded():
    size = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    unit = torch.stack([size, size, torch.ones_like(size), -size], 1)
    ends = torch.stack([-(size**-2), size**-2], 1)
    change = gs.gradient(unit, ends, torch.ones_like(size), "relu").diff(dim=1)[:, 0].norm(dim=1)
    return checks.at_most("relu-everywhere", "", measured=change, bound=1e6 * 2 / size**2 + 1e6, sample="")


def switching():
    """Networks whose first unit switches at their input, and the measured jumps of their gradients."""
    theta, _, _ = nets(50, WIDE)
    x, y = torch.full((50,), 0.7, dtype=torch.float64), -torch.ones(50, dtype=torch.float64)
    theta[:, 6] = -theta[:, 3] * x
    push = torch.zeros_like(theta)
    push[:, 6] = 1e-9
    ends = [gs.gradient(theta + s * push, x[:, None], y, "relu")[:, 0] for s in (1, -1)]
    return theta, x, y, (ends[0] - ends[1]).norm(dim=1)


@control(ASSUMP2, "jump-formula")
def another_unit_than_the_one_that_switches():
    theta, x, y, jumps = switching()
    wrong = torch.tensor([False, True, False]).expand(50, -1)
    expected = gs.switch_jumps(theta, x, y, wrong)
    return checks.equal("jump-formula", "", measured=jumps, expected=expected, atol=1e-7, sample="")


@control(ASSUMP2, "jump-bounded")
def constant_of_smaller_weights():
    small = gs.Domain(units=3, a=0.1, b=1, c=1, d=1, x=1)
    bound = gs.constants(small, "relu").jump_theta
    return checks.at_most("jump-bounded", "", measured=switching()[-1], bound=bound, sample="")


@control(ASSUMP2, "relu-bounded")
def assumption_1_for_a_relu_network():
    """Without the constants D the second line fails across a switch."""
    c = gs.constants(WIDE, "relu")
    ratio = switching()[-1] / (c.theta_theta * 2e-9)
    return checks.at_most("relu-bounded", "", measured=ratio, bound=1.0, sample="")


@control(COR1, "slope-of-a-kink")
def a_slope_that_does_not_fall_below_zero():
    k, outer, lam = z3.Reals("k outer lambda")
    known = [outer >= 0, k < 0, lam * k == -outer]
    return checks.implies("slope-of-a-kink", "", assumptions=known, conclusion=z3.And(lam >= 0, lam <= 1))


@control(COR1, "relu-first")
def relu_networks_outside_the_set():
    theta, x, y = nets()
    other = theta + 1e-6 * gs.worst_case(theta, x, y, 0.5, "relu").gradient
    p, q = (gs.worst_case(t, x, y, 0.5, "relu").loss for t in (theta, other))
    ratio = (p - q).abs() / (gs.constants(LINEAR, "relu").theta * (theta - other).norm(dim=1))
    return checks.at_most("relu-first", "", measured=ratio, bound=1.0, sample="")


@control(COR1, "relu-second")
def relu_bound_of_clean_smooth_training():
    p, q, apart, c = across(WIDE, "relu")
    ratio = (p.gradient - q.gradient).norm(dim=1) / (c.theta_theta * apart)
    return checks.at_most("relu-second", "", measured=ratio, bound=1.0, sample="")


@control(COR1, "relu-coincide")
def tanh_networks():
    return checks.every("relu-coincide", "", cases=~lines("tanh").scan(60).jumps_without_leap(), sample="")
