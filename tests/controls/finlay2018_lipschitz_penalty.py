"""Negative controls of notebooks/finlay2018/lipschitz_penalty."""

import functools

import numpy as np
import sympy as sp
import torch
import z3
from negative_controls import control

from advsmooth import checks, settings
from advsmooth.theory import corrupted_labels, regularised, uniqueness, wasserstein
from advsmooth.theory import strong_convexity as sc

DEF41, DEF43, LEM44 = "finlay2018-def41", "finlay2018-def43", "finlay2018-lem44"
TRIVIAL, STRONG, REM45 = "finlay2018-obs-trivial-regularizer", "finlay2018-def-strong-convexity", "finlay2018-rem45"
LEM46, PROP411, LEM412, FIG1 = "finlay2018-lem46", "finlay2018-prop411", "finlay2018-lem412", "finlay2018-fig1"
KNOTS = torch.linspace(0, 1, 17, dtype=torch.float64)


def normal(seed, *shape):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


def reals(names):
    return z3.Reals(names)


# ---------------------------------------------------------------- figure 1


@functools.cache
def outcome(price, share=0.1, clump=False, seed=0):
    sample = corrupted_labels.draw(60, 1, share, seed, gap=0.15, clump=clump)
    return corrupted_labels.judge(regularised.minimise(sample.x, sample.given, price, loss="absolute"), sample)


@control(FIG1, "clean-met")
def a_price_that_silences():
    return checks.every("clean-met", "", cases=[outcome(0.09, share=0.0).matched >= 0.5], sample="")


@control(FIG1, "corrected")
def a_price_that_fits_everything():
    return checks.every("corrected", "", cases=[outcome(1e-6).corrected >= 0.9], sample="")


@control(FIG1, "kept")
def a_price_that_leaves_one_class():
    return checks.every("kept", "", cases=[outcome(1.0).kept >= 0.95], sample="")


@control(FIG1, "price-corrects")
def two_prices_that_both_fit():
    cheap = [outcome(p, seed=s).corrected for s in range(3) for p in (1e-6, 2e-6)]
    return checks.positive("price-corrects", "", differences=np.subtract(cheap[::2], cheap[1::2]), sample="")


@control(FIG1, "clump-stays")
def clump_against_clump():
    kept = [outcome(0.03, clump=True, seed=s).corrected for s in range(3)]
    return checks.positive("clump-stays", "", differences=np.subtract(kept, kept), sample="")


@control(FIG1, "certificates")
@control(LEM44, "certificates")
@control(LEM46, "certificates")
@control(LEM412, "certificates")
def values_of_another_price():
    x, y = torch.linspace(0, 1, 9).double()[:, None], normal(0, 9)
    right, wrong = (regularised.minimise(x, y, p) for p in (0.02, 0.03))
    objective = (wrong.values - y).square().mean().item() + 0.02 * wrong.lipschitz
    return checks.at_most("certificates", "", measured=objective - right.bound, bound=1e-6, sample="")


# ---------------------------------------------------------------- lemma 4.4


@functools.cache
def problem(loss="squared", price=0.05):
    x, y = torch.linspace(0, 1, 12).double()[:, None], normal(1, 12)
    return x, y, regularised.minimise(x, y, price, loss=loss)


@control(LEM44, "loss-grows-linearly")
def a_function_that_does_not_minimise():
    x, y, _ = problem(price=1e-3)
    steep = regularised.lipschitz_constant(x, y)
    return checks.at_most(
        "loss-grows-linearly", "", measured=y.var(correction=0), bound=1e-3 * steep, rtol=1e-10, sample=""
    )


@control(LEM44, "slope-falls")
def the_labels_themselves_at_a_high_price():
    x, y, _ = problem()
    steep = regularised.lipschitz_constant(x, y)
    return checks.at_most("slope-falls", "", measured=5 * steep, bound=y.var(correction=0), rtol=1e-6, sample="")


@control(LEM44, "tight")
def the_squared_loss_bends_the_segment():
    d = 0.7
    two = [((1 - gain) / 2) ** 2 + d / 2 * gain / d for gain in np.linspace(0, 1, 11)]
    return checks.equal("tight", "", measured=two, expected=0.5, atol=1e-7, sample="")


@control(LEM44, "two-comparisons")
def a_loss_that_may_be_negative():
    lam, l1, l0, r1, r0, lc = reals("lam l1 l0 r1 r0 lc")
    given = [lam > 0, r1 >= 0, l1 + lam * r1 <= l0 + lam * r0, l1 + lam * r1 <= lc]
    return checks.implies(
        "two-comparisons", "", assumptions=given, conclusion=z3.And(l0 + lam * r0 >= l1, lam * r1 <= lc)
    )


@control(LEM44, "halved-loss")
def halving_for_the_absolute_loss():
    """Two points at the tight price: the constant minimises, and its loss is all of lambda Lip(f0)."""
    d = 0.7
    return checks.at_most("halved-loss", "", measured=0.5, bound=d / 2 / 2 / d, sample="")


@control(LEM44, "halved-slope")
def halving_the_slope_for_the_absolute_loss():
    d = 0.7
    return checks.at_most("halved-slope", "", measured=2 * (d / 2) / d, bound=0.5, rtol=1e-6, sample="")


@control(LEM44, "halving")
def without_the_half():
    a, b = reals("a b")
    claim = a * a + b * b >= (a - b) * (a - b)
    return checks.implies("halving", "", assumptions=[a >= -100, a <= 100], conclusion=claim)


@control(LEM44, "silence")
def the_variance_in_place_of_the_distance():
    """4p(1-p) alone, the threshold of the 0/1 regulariser."""
    sample = corrupted_labels.draw(30, 1, 0.0, 0, gap=0.15)
    p = (sample.clean > 0).double().mean().item()
    found = {at: regularised.minimise(sample.x, sample.clean, at * 4 * p * (1 - p)) for at in (0.98, 1.02)}
    cases = [(f.lipschitz < 1e-6) == (at > 1) for at, f in found.items()]
    return checks.every("silence", "", cases=cases, sample="")


# ---------------------------------------------------------------- regularisers


@control(DEF41, "regularisers")
def the_slope_at_one_place():
    """The first slope alone is zero for functions that vary elsewhere."""
    functions = torch.stack([torch.ones(17).double(), KNOTS, (KNOTS - 0.5).clamp(min=0)])
    values = (functions[:, 1] - functions[:, 0]).abs().numpy()
    return checks.every("regularisers", "", cases=(values == 0) == np.array([True, False, False]), sample="")


@control(DEF41, "not-a-regulariser")
def training_points_at_every_knot():
    functions = torch.stack([KNOTS, (KNOTS - 0.5).clamp(min=0)])
    values = functions.diff(dim=1).abs().mean(1).numpy()
    return checks.every("not-a-regulariser", "", cases=[(values == 0).any()], sample="")


@control(DEF43, "realisable")
def two_labels_at_one_point():
    x, y = torch.tensor([[0.0], [0.0], [1.0]]).double(), torch.tensor([0.0, 1.0, 1.0]).double()
    found = regularised.minimise(x, y, 1e-6)
    return checks.equal("realisable", "", measured=found(x) - y, expected=0.0, atol=1e-12, sample="")


@control(DEF43, "mean-label")
def the_median_label():
    y = torch.tensor([0.0, 0.0, 0.0, 1.0, 5.0]).double()
    loss = (y.median() - y).square().mean()
    return checks.equal("mean-label", "", measured=loss, expected=y.var(correction=0), atol=1e-12, sample="")


@control(TRIVIAL, "switch")
def the_loss_of_zero_in_place_of_the_best_constant():
    """Labels 0, 0, 0, 1: the best constant is the mean, not 0."""
    return checks.equal("switch", "", measured=0.25, expected=0.1875, atol=1e-15, sample="")


@control(TRIVIAL, "undisturbed")
def a_penalty_that_grows_with_the_slope():
    _, y, found = problem()
    return checks.every("undisturbed", "", cases=[(found.values - y).square().mean().item() == 0.0], sample="")


@control(TRIVIAL, "threshold")
def threshold_without_the_unregularised_loss():
    lam, l0, lh, lc = reals("lam l0 lh lc")
    claim = z3.And(z3.Implies(lam < lc, l0 + lam < lc), z3.Implies(lam > lc, lh + lam > lc))
    return checks.implies("threshold", "", assumptions=[lam > 0, l0 >= 0, lc >= l0, lh >= l0], conclusion=claim)


# ---------------------------------------------------------------- strong convexity of losses


def squares(theta, loss=lambda u: u.square().sum(1)):
    a, b = normal(2, 2, 200, 3)
    t = 0.1 + 0.8 * torch.rand(200, generator=settings.generator(3), dtype=torch.float64)
    return sc.surplus(loss, a, b, t, (a - b).square().sum(1), theta)


@control(STRONG, "squared-equality")
def half_of_theta():
    return checks.equal("squared-equality", "", measured=squares(1.0), expected=0.0, atol=1e-12, sample="")


@control(STRONG, "larger-rejected")
def theta_of_another_loss():
    """For twice the squared loss 2.01 is not too large."""
    surplus = squares(2.01, lambda u: 2 * u.square().sum(1))
    return checks.every("larger-rejected", "", cases=surplus < 0, sample="")


@control(STRONG, "squared-identity")
def a_lost_factor():
    t, a, b, c = sp.symbols("t a b c", real=True)
    left = t * (a - c) ** 2 + (1 - t) * (b - c) ** 2 - (t * a + (1 - t) * b - c) ** 2
    return checks.identity("squared-identity", "", left=left, right=t * (a - b) ** 2)


@control(REM45, "simple-theta")
def four_times_the_simple_bound():
    """Half of the exact parameter more is too much."""
    y, z = torch.tensor([[0.5, 0.5, 0.0]]).double(), torch.tensor([[0.0, 0.0, 1.0]]).double()
    return checks.at_most("simple-theta", "", measured=6 * 0.1 / 1.21, bound=sc.curvature(y, z, 0.1), sample="")


@control(REM45, "gradient-entries")
def a_smaller_epsilon():
    y, z = sc.simplex_points(300, 3, 0), sc.simplex_points(300, 3, 1)
    return checks.at_most("gradient-entries", "", measured=sc.slope(y, z, 0.001).abs(), bound=11.0, sample="")


@control(REM45, "not-negative")
def labels_that_are_not_shifted():
    """-sum z log((y + eps) / z), with eps in one place only, can be negative."""
    y, z = sc.simplex_points(300, 3, 0), sc.simplex_points(300, 3, 0).clamp(min=1e-9)
    values = -(z * ((y + 0.1) / z).log()).sum(1)
    square = (y - z).square().sum(1)
    return checks.at_most("not-negative", "", measured=sc.modulus(3, 0.1) / 2 * square, bound=values, sample="")


@control(REM45, "cross-entropy-not-lipschitz")
def the_regularised_loss_is():
    s = torch.tensor([10.0**-k for k in range(2, 12)], dtype=torch.float64)
    quotient = ((s + 0.1).log() - (2 * s + 0.1).log()).abs() / (2 * s)
    return checks.at_most("cross-entropy-not-lipschitz", "", measured=0.34 / s, bound=quotient, sample="")


def crossed(classes, eps=0.0):
    cloud = (sc.simplex_points(300, classes, 0) + 1e-3) / (1 + 1e-3 * classes)
    labels = torch.eye(classes).double()
    return [sc.curvature(cloud, one.expand_as(cloud), eps).min().item() for one in labels]


@control(REM45, "cross-entropy-not-strongly-convex")
def without_two_classes():
    """The printed sentence fails for two classes only."""
    least = [min(crossed(d)) for d in (3, 4)]
    return checks.equal("cross-entropy-not-strongly-convex", "", measured=least, expected=0.0, atol=1e-8, sample="")


@control(REM45, "three-classes")
def three_classes_of_the_regularised_loss():
    return checks.equal("three-classes", "", measured=crossed(3, 0.1), expected=0.0, atol=1e-8, sample="")


@control(REM45, "two-classes")
def three_classes_in_place_of_two():
    return checks.at_most("two-classes", "", measured=[0.5] * 3, bound=crossed(3), sample="")


@control(REM45, "exact-theta")
def the_parameter_of_two_classes_for_three():
    least = sc.curvature(sc.simplex_points(3000, 3, 0), sc.simplex_points(3000, 3, 1), 0.1).min()
    return checks.at_most("exact-theta", "", measured=sc.modulus(2, 0.1), bound=least, sample="")


@control(REM45, "exact-theta-attained")
def a_prediction_off_the_middle():
    y, z = torch.tensor([[0.6, 0.4, 0.0]]).double(), torch.tensor([[0.0, 0.0, 1.0]]).double()
    least = sc.curvature(y, z, 0.1)
    return checks.equal("exact-theta-attained", "", measured=least, expected=sc.modulus(3, 0.1), atol=1e-10, sample="")


@control(REM45, "inequality")
def a_tenth_more():
    y1, y2 = torch.tensor([[0.51, 0.49, 0.0]]).double(), torch.tensor([[0.49, 0.51, 0.0]]).double()
    z = torch.tensor([[0.0, 0.0, 1.0]]).double()
    surplus = sc.surplus(
        lambda u: sc.regularised_cross_entropy(u, z, 0.1),
        y1,
        y2,
        torch.tensor([0.5]).double(),
        (y1 - y2).square().sum(1),
        1.1 * sc.modulus(3, 0.1),
    )
    return checks.every("inequality", "", cases=surplus >= -1e-12, sample="")


@control(REM45, "exact-lipschitz")
def two_entries_that_vary_less():
    corners = torch.eye(3).double()
    slope = sc.slope(corners[:1], corners[1:2], 0.1)
    half = (slope.max() - slope.min()) / 2
    return checks.at_most("exact-lipschitz", "", measured=half, bound=sc.lipschitz(0.11), sample="")


@control(REM45, "two-classes-minimum")
def equal_parts():
    a, b, n = sp.symbols("a b n", positive=True)
    return checks.identity(
        "two-classes-minimum", "", left=a**3 / (n / 2) ** 2 + b**3 / (n / 2) ** 2, right=(a + b) ** 3 / n**2
    )


@control(REM45, "two-classes-stationary")
def parts_by_square_roots():
    a, b = sp.symbols("a b", positive=True)
    return checks.identity("two-classes-stationary", "", left=a**2 / a**3, right=b**2 / b**3)


@control(REM45, "cauchy-schwarz")
def a_sign_turned():
    c2, c3, v2, v3 = sp.symbols("c2 c3 v2 v3", positive=True)
    left = (c2 * v2**2 + c3 * v3**2) * (1 / c2 + 1 / c3) - (v2 + v3) ** 2
    return checks.identity("cauchy-schwarz", "", left=left, right=(c2 * v2 + c3 * v3) ** 2 / (c2 * c3))


@control(REM45, "convex-terms")
def without_the_third_power():
    m, mu = sp.symbols("m mu", positive=True)
    left = sp.diff(m**2 / (1 - mu * m**2), m, 2)
    return checks.identity("convex-terms", "", left=left, right=(2 + 6 * mu * m**2) / (1 - mu * m**2) ** 2)


@control(REM45, "large-pair")
def the_sum_of_the_pair():
    tau = sp.Symbol("tau", positive=True)
    left = (1 + tau) ** 2 / (2 * tau + tau**2) + (1 - tau) ** 2 / (2 * tau - tau**2)
    return checks.identity("large-pair", "", left=left, right=(6 - 2 * tau**2) / (4 - tau**2))


@control(REM45, "condition")
def without_the_condition():
    eps, tau, d = reals("eps tau d")
    given = [eps > 0, tau > 0, tau <= 1, d >= 3]
    claim = z3.And(3 * (6 - 2 * tau * tau) >= 4 * (4 - tau * tau), 4 * (eps + z3.Q(1, 4)) >= 3 * (d - 2) * eps * eps)
    return checks.implies("condition", "", assumptions=given, conclusion=claim)


@control(REM45, "slope-entries")
def predictions_that_leave_the_simplex():
    y, z, eps = reals("y z eps")
    claim = z3.And((z + eps) * (1 + eps) >= eps * (y + eps), (z + eps) * eps <= (1 + eps) * (y + eps))
    return checks.implies("slope-entries", "", assumptions=[eps > 0, y >= 0, y <= 2, z >= 0, z <= 1], conclusion=claim)


@control(REM45, "two-class-cross-entropy")
def a_larger_parameter_for_two_classes():
    a, b, z = reals("a b z")
    claim = z * a + (1 - z) * b >= z3.Q(11, 10)
    return checks.implies("two-class-cross-entropy", "", assumptions=[a >= 1, b >= 1, z >= 0, z <= 1], conclusion=claim)


# ---------------------------------------------------------------- proposition 4.11 and lemma 4.12


def mixtures(second, theta=2.0):
    first, labels = sc.random_functions(200, KNOTS, 4), normal(5, 17)
    t = torch.full((200,), 0.5, dtype=torch.float64)
    return sc.surplus(
        lambda u: sc.objective(KNOTS, u, labels, 0.3), first, second, t, sc.integral(KNOTS, first - second), theta
    )


@control(PROP411, "inherits")
def a_larger_theta_on_the_tight_pairs():
    second = 0.5 * sc.random_functions(200, KNOTS, 4) + 1
    return checks.at_most("inherits", "", measured=1 - mixtures(second, 2.1), bound=1.0, sample="")


@control(PROP411, "inherits-tight")
def slopes_that_point_the_other_way():
    second = -0.5 * sc.random_functions(200, KNOTS, 4) + 1
    return checks.equal("inherits-tight", "", measured=mixtures(second), expected=0.0, atol=1e-11, sample="")


@control(PROP411, "inherits-kl")
def the_parameter_of_two_classes():
    y1, y2 = torch.tensor([[0.51, 0.49, 0.0]]).double(), torch.tensor([[0.49, 0.51, 0.0]]).double()
    z = torch.tensor([[0.0, 0.0, 1.0]]).double()  # one point: the Lipschitz constants are 0
    half = torch.tensor([0.5]).double()
    surplus = sc.surplus(
        lambda u: sc.regularised_cross_entropy(u, z, 0.1), y1, y2, half, (y1 - y2).square().sum(1), sc.modulus(2, 0.1)
    )
    return checks.every("inherits-kl", "", cases=surplus >= -1e-12, sample="")


@control(PROP411, "lip-convex")
def a_mixture_beyond_the_ends():
    r, a, b, k1, k2, t = reals("r a b k1 k2 t")
    given = [r >= 0, t >= 0, t <= 2, k1 >= 0, k2 >= 0, a <= k1 * r, -a <= k1 * r, b <= k2 * r, -b <= k2 * r]
    mixed, bound = t * a + (1 - t) * b, (t * k1 + (1 - t) * k2) * r
    return checks.implies("lip-convex", "", assumptions=given, conclusion=z3.And(mixed <= bound, -mixed <= bound))


@control(PROP411, "sum-up")
def a_negative_price():
    r, jt, th, t, a, b, k, k1, k2 = reals("r jt theta t a b k k1 k2")
    given = [r <= 0, jt + th <= t * a + (1 - t) * b, k <= t * k1 + (1 - t) * k2]
    claim = jt + r * k + th <= t * (a + r * k1) + (1 - t) * (b + r * k2)
    return checks.implies("sum-up", "", assumptions=given, conclusion=claim)


def excess_and_distance(u, about):
    best = sc.minimiser_for_linear_labels(KNOTS, about)
    excess = sc.objective(KNOTS, u, KNOTS, 0.08) - sc.objective(KNOTS, best, KNOTS, 0.08)
    return excess, sc.integral(KNOTS, u - best)


@control(LEM412, "excess")
def a_function_that_is_no_minimiser():
    """Around the minimiser for another price, nearby functions have a smaller objective."""
    nearby = sc.minimiser_for_linear_labels(KNOTS, 0.04) + 1e-2 * sc.random_functions(500, KNOTS, 6)
    excess, distance = excess_and_distance(nearby, 0.04)
    return checks.at_most("excess", "", measured=distance, bound=excess, sample="")


@control(LEM412, "excess-tight")
def falling_lines():
    excess, distance = excess_and_distance(torch.stack([-KNOTS, 1 - 2 * KNOTS]), 0.08)
    return checks.equal("excess-tight", "", measured=excess - distance, expected=0.0, atol=1e-12, sample="")


@control(LEM412, "excess-kl")
def a_parameter_that_is_too_large():
    """One point: J is the loss; from the minimiser z = e_3 towards ties of the other two classes."""
    z = torch.tensor([[0.0, 0.0, 1.0]]).double()
    u = torch.tensor([[0.01, 0.01, 0.98]]).double()
    excess = sc.regularised_cross_entropy(u, z, 0.1)
    square = (u - z).square().sum(1)
    return checks.at_most("excess-kl", "", measured=30 / 2 * square, bound=excess + 1e-6, sample="")


@control(LEM412, "divide")
def dividing_at_one():
    """With t = 1 allowed nothing follows: both sides were multiplied by zero."""
    t, ja, jb, jt, th, d = reals("t ja jb jt theta d")
    given = [t == 1, th > 0, d > 0, ja <= jt, jt + th * t * (1 - t) * d <= t * ja + (1 - t) * jb]
    return checks.implies("divide", "", assumptions=given, conclusion=th * t * d <= jb - ja)


@control(LEM412, "limit")
def a_bound_that_is_not_broken():
    k, e, t = reals("k e t")
    given = [e >= 0, k <= e, k > 0, 2 * k * t == k + e]
    return checks.implies("limit", "", assumptions=given, conclusion=z3.And(t >= 0, t < 1, k * t > e))


def moments():
    x, lam, *q = sp.symbols("x lambda q0:4", real=True)
    u = q[0] + q[1] * x + q[2] * x**2 + q[3] * x**3
    return x, lam, u, lambda f: sp.integrate(sp.expand(f), (x, 0, 1))


@control(LEM412, "line-excess")
def the_wrong_slope():
    x, lam, u, over = moments()
    own = sp.Rational(1, 2) + (1 - 3 * lam) * (x - sp.Rational(1, 2))
    left = over((u - x) ** 2) - over((own - x) ** 2) - lam * (1 - 3 * lam) - over((u - own) ** 2)
    return checks.identity("line-excess", "", left=left, right=-12 * lam * over((x - sp.Rational(1, 2)) * u))


@control(LEM412, "average-slope")
def equal_weights():
    x, _, u, over = moments()
    return checks.identity("average-slope", "", left=12 * over((x - sp.Rational(1, 2)) * u), right=over(sp.diff(u, x)))


# ---------------------------------------------------------------- lemma 4.6


@functools.cache
def spread(loss, slack=1e-4, size=8):
    """The width of the mean for half the labels 1, half -1, above the price that silences either loss."""
    x = torch.rand(size, 1, generator=settings.generator(7), dtype=torch.float64)
    y = torch.cat([torch.ones(size // 2), -torch.ones(size // 2)]).double()
    price = 1.1 * wasserstein.on_the_line(x[: size // 2, 0], x[size // 2 :, 0])
    return uniqueness.width(x, y, price, 1.0 + slack, torch.ones(size).double(), loss=loss)


@control(LEM46, "unique")
def the_absolute_loss():
    return checks.at_most("unique", "", measured=spread("absolute"), bound=2 * 1e-4**0.5, rtol=1e-4, sample="")


@control(LEM46, "unique-tight")
def a_direction_that_is_not_constant():
    x, y, best = problem(price=5.0)  # the minimiser is constant, and stays so at this price
    direction = torch.tensor([1.0, -1.0]).double().repeat(6)
    width = uniqueness.width(x, y, 5.0, best.objective + 1e-4, direction)
    return checks.equal("unique-tight", "", measured=width / (2 * 1e-2), expected=1.0, atol=2e-2, sample="")


@control(LEM46, "midpoint")
def a_penalty_that_is_not_convex():
    lam, lu, lv, lw, ru, rv, rw = reals("lam lu lv lw ru rv rw")
    given = [lam > 0, lu + lam * ru == lv + lam * rv, lw + lam * rw >= lu + lam * ru]
    return checks.implies("midpoint", "", assumptions=given, conclusion=2 * lw >= lu + lv)


@control(LEM46, "same-constant")
def a_price_of_zero():
    lam, lu, lv, ru, rv = reals("lam lu lv ru rv")
    given = [lam >= 0, lu == lv, lu + lam * ru == lv + lam * rv]
    return checks.implies("same-constant", "", assumptions=given, conclusion=ru == rv)


@control(LEM46, "absolute-not-unique")
def the_squared_loss():
    return checks.equal("absolute-not-unique", "", measured=spread("squared"), expected=2.0, atol=1e-2, sample="")


@control(LEM46, "hole-not-unique")
def a_value_at_a_data_point():
    """At the data the two extensions agree."""
    x, _, found = problem()
    low, high = (e.item() for e in uniqueness.extensions(found, x[3:4]))
    return checks.at_most(
        "hole-not-unique", "", measured=found.lipschitz + 0.1, bound=found.lipschitz + high - low, sample=""
    )
