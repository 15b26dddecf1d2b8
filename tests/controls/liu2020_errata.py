"""Negative controls of notebooks/liu2020/errata."""

import itertools
import math

import numpy as np
import sympy as sp
import torch
import z3
from bare_checks import at_most, equal, every, identity, implies
from negative_controls import control

from advsmooth import claims, settings
from advsmooth.models import table2
from advsmooth.theory import budget_curvature as bc
from advsmooth.theory import gradient_scattering as gs
from advsmooth.theory import large_gradients as lg
from advsmooth.theory import linear
from advsmooth.theory import version_space as vs

INF = math.inf
P, gamma, b, A, S, L, drop, r, U = z3.Reals("P gamma b A S L Delta r U")
alpha, new, old, best, p, G2, xi, d, g = z3.Reals("alpha new old best p G2 xi d g")
SHARE = [P >= 0, P <= 1]
GAMMAS = np.array([2.5, 3.0, 4.5, 6.0])
z = sp.Symbol("z", real=True)
S_OF = sp.exp(z) / (1 + sp.exp(z)) ** 2
X = torch.tensor([1.0, -0.6], dtype=torch.float64)


def L_(number):  # noqa: N802
    return f"liu2020-L{number}"


def sgd(wave, steps=1024, *, start=0.0, noise=0.0, runs=16):
    generator = settings.generator(0)
    return lg.on_wave(lg.Wave(*wave), start=start, noise=noise, steps=steps, runs=runs, generator=generator)


def premise(centre):
    return (gamma**2 / 2 - centre * gamma) * P - centre**2 / 2 * (1 - P) <= 0


# ---------------------------------------------------------------- L1


@control(L_(1), "step-26")
def step_26_from_the_repaired_premise():
    return implies("step-26", [*SHARE, gamma > 2, premise(1)], P * (gamma**2 - 2 * gamma + 4) <= 4, "printed")


@control(L_(1), "law")
def a_law_of_the_repaired_premise():
    norms, share = lg.worst_law(6.0, 1)
    return at_most(
        "law", [share @ (norms**2 / 2 - 2 * norms), share[norms > 5.99].sum()], [0.0, lg.printed_bound(5.99)]
    )


@control(L_(1), "true-step")
def a_threshold_lower_by_one():
    return implies("true-step", [*SHARE, gamma > 2, premise(2)], P * (gamma - 1) ** 2 <= 4)


@control(L_(1), "repair")
def the_premise_of_24():
    return implies("repair", [*SHARE, gamma > 1, premise(2)], P * (gamma - 1) ** 2 <= 1)


@control(L_(1), "saved")
def saved_below_two():
    return implies("saved", [P >= 0, gamma > 1, P * (gamma - 1) ** 2 <= 1], P * (gamma**2 - 2 * gamma + 4) <= 4)


@control(L_(1), "attained")
def the_two_premises_exchanged():
    found = [[lg.largest_share(c, centre) for c in GAMMAS] for centre in (1, 2)]
    return equal("attained", found, [lg.tail_bound(GAMMAS, centre) for centre in (2, 1)], 1e-6)


# ---------------------------------------------------------------- L2


@control(L_(2), "step-21")
def little_noise():
    return at_most("step-21", *lg.one_step_from_the_kink(0.3, 400, 100_000, settings.generator(0)))


@control(L_(2), "angle")
def angle_without_the_half():
    u1, v1 = sp.symbols("u1 v1", real=True)
    return identity("angle", u1 * v1, u1**2 + v1**2 - (u1 - v1) ** 2)


@control(L_(2), "moment")
def moment_without_the_half_of_descent():
    return implies(
        "moment",
        [r > 0, U >= 0, (A + U - b**2) / 2 <= L * drop * r + r * (A + S) / 2],
        (1 - r) * A <= b**2 + r * (L * drop + S),
    )


@control(L_(2), "large-enough")
def half_of_the_root_of_t0():
    return implies(
        "large-enough",
        [r > 0, r < 1, b > 0, r * (S + 4 * b**2) < 6 * b**2, (1 - r) * A <= b**2 + r * S],
        4 * b**2 > A,
    )


@control(L_(2), "all-gamma")
def a_second_moment_of_five():
    return implies(
        "all-gamma",
        [*SHARE, b > 0, gamma >= 2, 5 * b**2 > A, P * gamma**2 * b**2 <= A],
        P * (gamma**2 - 2 * gamma + 4) < 4,
    )


@control(L_(2), "second-moment")
def a_budget_taken_too_small():
    kink = sgd((0.0, 1.0, 0.0), start=1e-9)
    return at_most("second-moment", kink.moment()[1], lg.Constants(0.9, 1.0, 0.0, 0.0).moment(1024))


@control(L_(2), "second-moment-limit")
def a_loss_without_a_kink():
    return equal("second-moment-limit", sgd((0.9, 1.0, 4.0), start=2.5).moment()[0], 1.0, 1e-3)


# ---------------------------------------------------------------- L3


@control(L_(3), "quadratic-growth")
def shares_that_grow_with_the_square():
    above = [0.01, 0.04, 0.16]
    return every("quadratic-growth", [2 * s <= t <= 8 * s for s, t in itertools.pairwise(above)])


@control(L_(3), "exponent")
def an_exponent_of_two():
    e = sp.Symbol("e", positive=True)
    bound = 4 * e**2 / (1 - 2 * e + 4 * e**2)
    return identity("exponent", e * sp.diff(bound, e) / bound, 2)


@control(L_(3), "envelope")
def strong_convexity_forgotten():
    return implies("envelope", [L > 0, best >= old + p - L * d**2 / 2, old >= best + L * d**2], p <= -L * d**2)


@control(L_(3), "envelope-step")
def a_fall_of_the_whole_square():
    step = [L > 0, alpha > 0, p <= -L * d**2, old == best + L * d**2, xi == 2 * L * d]
    moved = new <= best + L * (d**2 + 2 * alpha * p + alpha**2 * G2)
    return implies("envelope-step", [*step, moved], new <= old - alpha * xi**2 + L * alpha**2 * G2)


@control(L_(3), "envelope-norm")
def a_jump_of_one_b():
    return implies("envelope-norm", [L > 0, d >= 0, xi == 2 * L * d, g <= xi + L * d + 2 * b], g <= 3 * xi / 2 + b)


@control(L_(3), "tail")
def the_threshold_one_half():
    """At the kink every gradient has norm b; with the threshold moved from 2 to 1/2 the bound fails."""
    one = sgd((0.0, 1.0, 0.0), 65_536, start=1e-9, runs=2)
    return at_most("tail", one.shares(0.95)[2], one.constants.envelope_tail(2.45, 65_536))


@control(L_(3), "threshold")
def other_slopes():
    return equal("threshold", sgd((0.9, 1.0, 0.0), 4096, start=1e-9, runs=2).shares(1.8)[0], 0.005, 5e-4)


# ---------------------------------------------------------------- L4


@control(L_(4), "one-for-all")
def models_and_the_same_models():
    W = vs.random_models(20, 3, 2, 0)  # noqa: N806
    offered = [float(vs.printed_budget(X, 0, one, 2.0)) for one in W]
    return equal("one-for-all", offered, offered, 1e-9)


@control(L_(4), "lower-bound")
def only_models_that_err():
    W = -vs.random_models(200, 3, 2, 0, towards=20 * vs.separating_weights(X, 0, 3, 2.0))[100:]  # noqa: N806
    return at_most("lower-bound", [float(vs.printed_budget(X, 0, 50 * one, 2.0) / X.norm()) for one in W], 1.0)


@control(L_(4), "diverges")
def a_budget_that_scales_away():
    t, log_k, n, c = sp.symbols("t L n c", positive=True)
    return identity("diverges", (log_k - t * c) / (t * n), (log_k - c) / n)


@control(L_(4), "one-exponential")
def one_exponential_of_k_minus_two():
    E, R, K = z3.Reals("E R K")  # noqa: N806
    return implies("one-exponential", [E >= K - 2, R >= 0, K >= 3], 1 + E + R >= K)


@control(L_(4), "norm-suffices")
def nine_tenths_of_the_norm():
    W = vs.separating_weights(X, 0, 3, 2.0)[None]  # noqa: N806
    return at_most("norm-suffices", vs.needed_budget(X, 0, W, 2.0) / X.norm(), 0.9)


@control(L_(4), "norm-needed")
def weights_that_do_not_separate_best():
    W = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]], dtype=torch.float64)  # noqa: N806
    return equal("norm-needed", vs.needed_budget(X, 0, W, 2.0) / X.norm(), 1.0, 1e-5)


# ---------------------------------------------------------------- L5

V = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)


@control(L_(5), "as-printed")
def a_vector_without_a_sign():
    v = V.abs()
    return equal("as-printed", vs.dual_step(v, INF, signed=False) @ v, vs.norm(v, 1.0), 1e-9)


@control(L_(5), "exponent-gain", "exponent-norm")
def the_exponent_of_the_ball_itself(name):
    q = sp.Symbol("p", positive=True)
    return identity(name, q / q + 1, q) if name == "exponent-gain" else identity(name, q - q / q, 1)


@control(L_(5), "with-signs")
def without_signs():
    step = vs.dual_step(V, INF, signed=False)
    return equal("with-signs", [float(vs.norm(step, INF)), float(step @ V / vs.norm(V, 1.0))], 1.0, 1e-9)


# ---------------------------------------------------------------- L6


def sets(both, wrong=True):
    x, pairs = torch.tensor([2.0, 0.0], dtype=torch.float64), vs.random_models(400, 2, 2, 0)
    if not wrong:
        pairs = pairs[~vs.in_version_space(x, 0, -pairs, 0.5, 2.0)]
    inside = vs.in_version_space(x, 0, pairs, 0.5, 2.0)
    return x, pairs, inside, vs.in_origin_set(x, 0, pairs, 0.5, 2.0, both_signs=both)


@control(L_(6), "complement")
def without_the_models_that_are_wrong_everywhere():
    _, _, in_v, in_t = sets(True, wrong=False)
    return every("complement", in_v ^ in_t)


@control(L_(6), "slope")
def a_slope_without_the_half():
    m, c = sp.symbols("m gamma", real=True)
    return identity("slope", sp.diff(sp.log(1 + sp.exp(c * m)), c).subs(c, 0), m)


@control(L_(6), "convex")
def a_curvature_without_the_second_probability():
    m, c = sp.symbols("m gamma", real=True)
    curve = sp.diff(sp.log(1 + sp.exp(c * m)), c, 2)
    return identity("convex", curve, m**2 * sp.exp(c * m) / (1 + sp.exp(c * m)))


@control(L_(6), "one-or-the-other")
def both_signs_of_the_product():
    m, n, eps = z3.Reals("m n eps")
    return implies("one-or-the-other", [n >= 0, eps >= 0], z3.Or(m + eps * n <= 0, m - eps * n >= 0))


@control(L_(6), "one-sign")
def one_sign_with_both_signs():
    _, _, in_v, in_t = sets(True)
    return every("one-sign", in_v ^ in_t)


@control(L_(6), "left-out")
def left_out_at_another_budget():
    x, pairs, in_v, in_t = sets(True)
    return every("left-out", (~in_v & ~in_t) == vs.in_version_space(x, 0, -pairs, 0.25, 2.0))


# ---------------------------------------------------------------- L7


@control(L_(7), "one-weight")
def a_margin_beyond_the_turn():
    return every("one-weight", bc.along_weights(torch.tensor([5.0, 4.0, 3.0])).diff() >= 0)


@control(L_(7), "margin-of-w")
def a_w_that_has_the_margin():
    return every("margin-of-w", bc.slope(torch.tensor([1.0, 0.5, 0.0])).diff() >= 0)


@control(L_(7), "slope-of-s")
def a_slope_of_the_other_sign():
    return identity("slope-of-s", sp.diff(S_OF, z), S_OF * (sp.exp(z) - 1) / (sp.exp(z) + 1))


@control(L_(7), "along-w")
def a_turn_at_one():
    tanh_half = (sp.exp(z) - 1) / (sp.exp(z) + 1)
    return identity("along-w", sp.diff(z**2 * S_OF, z), z * S_OF * (1 - z * tanh_half))


@control(L_(7), "one-turn")
def negative_arguments():
    k, T = z3.Reals("k T")  # noqa: N806
    return implies("one-turn", [k < 0, T > -1, T < 0], T + k * (1 - T * T) / 2 > 0)


@control(L_(7), "tangent")
def a_negative_margin():
    n, s, T, q, c, k = z3.Reals("n s T q c k")  # noqa: N806
    return implies("tangent", [n > 0, s > 0, q >= 0, c >= 0, k >= 0], n * s * T * q + c * k >= 0)


@control(L_(7), "frozen-grows")
def a_budget_far_beyond_the_margin():
    w, x, y = bc.separated(8, 3, 1.0, "l2", 0)
    one, five = (bc.frozen_hessian(w, x, y, eps, "l2")[0] for eps in (1.0, 8.0))
    return every("frozen-grows", [bc.not_smaller(five, one)])


@control(L_(7), "tangent-grows")
def every_direction():
    w, x, y = bc.separated(8, 3, 1.0, "l2", 0)
    return every("tangent-grows", [bc.not_smaller(bc.rate(w, x, y, 0.5, "l2")[0], torch.zeros(3, 3).double())])


@control(L_(7), "along-w-formula")
def the_frozen_hessian_along_w():
    w, x, y = bc.separated(8, 3, 1.0, "l2", 0)
    expected = bc.along_weights(linear.margins(w, x, y, 0.5, "l2")).mean()
    return equal("along-w-formula", w[0] @ bc.frozen_hessian(w, x, y, 0.5, "l2")[0] @ w[0], expected, 1e-12)


@control(L_(7), "along-w-falls")
def margins_beyond_the_turn():
    margins = bc.TURN + 1 + torch.rand(40, 8, generator=settings.generator(0), dtype=torch.float64)
    return every("along-w-falls", bc.along_weights(0.9 * margins).mean(1) < bc.along_weights(margins).mean(1))


# ---------------------------------------------------------------- L8


@control(L_(8), "as-printed", "half-logits")
def the_other_logits(name):
    logit = torch.linspace(-3, 3, 13, dtype=torch.float64)
    c = 0.5 if name == "as-printed" else 1.0
    label = torch.zeros(13, dtype=torch.int64)
    found = torch.nn.functional.cross_entropy(c * torch.stack([logit, -logit], 1), label, reduction="none")
    return equal(name, found, torch.log1p(torch.exp(-logit)), 1e-12)


@control(L_(8), "two")
def without_the_two():
    return identity("two", (sp.exp(z) + sp.exp(-z)) / sp.exp(z), 1 + sp.exp(-z))


# ---------------------------------------------------------------- L9


@control(L_(9), "one-constant")
def bounded_parameters():
    tau = torch.tensor([1.0, 10.0, 100.0])
    return at_most("one-constant", tau / 8 + (tau**2 / 64 + 0.25).sqrt(), 25.1)


@control(L_(9), "logistic-growth")
def at_another_angle():
    """A unit x along theta instead of orthogonal to it."""
    tau = sp.Symbol("tau", positive=True)
    gram = sp.diag((tau / 4 - sp.Rational(1, 2)) ** 2, sp.Rational(1, 4))
    value = tau / 8 + sp.sqrt(tau**2 / 64 + sp.Rational(1, 4))
    return identity("logistic-growth", (gram - value**2 * sp.eye(2)).det(), 0)


@control(L_(9), "unit-growth")
def growth_of_the_square():
    tau = sp.Symbol("tau", positive=True)
    return identity("unit-growth", tau**2 * (tau**2 + 1) / 16 + tau**2 / 2, tau**4 * (tau**2 + 1) / 16 + tau**2 / 2)


@control(L_(9), "largest-q")
def the_largest_at_one_half():
    rho = sp.Symbol("rho", positive=True)
    return identity("largest-q", sp.diff(z + rho * z * (1 - z), z).subs(z, sp.Rational(1, 2)), 0)


@control(L_(9), "bounded", "reached")
def a_constant_for_smaller_weights(name):
    one = torch.ones(1, dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0], [1 - 1e-4, 0.0]], dtype=torch.float64)
    slopes = linear.gradients(torch.tensor([[-1.5, 0.0]], dtype=torch.float64), x, torch.ones(2).double(), 0.0, "l2")
    ratio = slopes.diff(dim=1).norm() / 1e-4 / linear.cross_constant(1.0 * one)
    return at_most(name, ratio, 1.0) if name == "bounded" else equal(name, ratio, 1.0, 1e-4)


# ---------------------------------------------------------------- L10


@control(L_(10), "zero-threshold")
def a_positive_threshold():
    clean = sgd((0.0, 0.0, 4.0), noise=0.5)
    return at_most(
        "zero-threshold", [clean.runs.shares(np.array([1.0])).mean()] * 3, lg.printed_bound(np.array([3.0, 4.0, 8.0]))
    )


@control(L_(10), "goes-to-zero")
def without_noise():
    """From 1, without noise, the mean square falls at every step."""
    q = (1 - 1 / 32) ** (2 * np.arange(11 * 1024))
    return at_most("goes-to-zero", q[-1], 0.5 * q[:1024].mean())


@control(L_(10), "clean-moment")
def only_one_of_the_two_squares():
    return implies(
        "clean-moment",
        [r > 0, L > 0, drop >= 0, A >= 0, L * drop * r + r * (A + S) / 2 >= A / 2],
        (2 - r) * A <= r * (2 * L * drop + S),
    )


@control(L_(10), "fixed-point")
def a_fixed_point_without_the_two():
    step, sigma = sp.symbols("r sigma", positive=True)
    value = step * sigma**2 / (1 - step)
    return identity("fixed-point", (1 - step) ** 2 * value + step**2 * sigma**2, value)


@control(L_(10), "rate")
def the_rate_of_half_the_noise():
    step = 1 / 32
    rate = 0.25 * step / (2 - step)
    over_run = (rate * (1 - (1 - step) ** (2 * np.arange(1024)))).mean()
    return at_most("rate", over_run, rate / 4)


# ---------------------------------------------------------------- L11


def climbs(jump):
    """Shares of the worst runs made for this b, counted in units of 1."""
    made = {c: lg.Spiked.of(lg.climb_then_fall(c, jump, 1.0, 4000), jump, 1.0, 4000) for c in (2.5, 4.0, 6.0)}
    return [float((one.norms >= c * (1 - 1e-12)).mean()) for c, one in made.items()]


@control(L_(11), "gamma-two")
def a_climb_and_fall():
    made = lg.Spiked.of(lg.climb_then_fall(2.5, 1.0, 1.0, 4000), 1.0, 1.0, 4000)
    return every("gamma-two", [(made.norms > 2).mean() < lg.printed_bound(2.0)])


@control(L_(11), "block")
def half_of_the_jump():
    return implies("block", [g >= 0, d <= 2 * b + xi, d >= 0, p <= g * d], g**2 - p >= g**2 - (b + xi) * g)


@control(L_(11), "strictly-below")
def at_two_itself():
    return implies(
        "strictly-below", [*SHARE, gamma >= 2, P * (gamma - 1) ** 2 <= 1], P * (gamma**2 - 2 * gamma + 4) < 4
    )


@control(L_(11), "mended")
def a_loss_without_a_lower_bound():
    made = lg.Spiked.of(lambda _: 3.0, 1.0, 1.0, 1000)
    return at_most("mended", float((made.norms >= 3.0).mean()), lg.tail_bound(3.0, 1))


@control(L_(11), "attained")
def worst_runs_for_a_smaller_jump():
    return equal("attained", climbs(0.5), lg.tail_bound(np.array([2.5, 4.0, 6.0]), 1), math.log(6) / 100)


# ---------------------------------------------------------------- L12


def network(c):
    return torch.tensor([[2.0, -1.0, 1.0, 1.0, c, 2.0, 2.0]], dtype=torch.float64)


ZERO, ONE = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)


@control(L_(12), "gradient-at-worst-input")
def beside_the_kink():
    x = torch.full((1, 1), 0.2, dtype=torch.float64)
    low, middle, high = (gs.loss(network(c), x, ONE, "relu")[0, 0] for c in (-1e-6, 0.0, 1e-6))
    return equal("gradient-at-worst-input", (middle - low) / 1e-6, (high - middle) / 1e-6, 1e-4)


@control(L_(12), "gradient-of-maximum")
def the_side_where_the_unit_is_on():
    low, high = (gs.worst_case(network(c), ZERO, ONE, 0.5, "relu").loss[0] for c in (-1e-6, 1e-6))
    return equal("gradient-of-maximum", (high - low) / 2e-6, -1.0, 1e-4)


@control(L_(12), "average-of-sides")
def one_side_only():
    worst = gs.worst_case(network(0.0), ZERO, ONE, 0.5, "relu")
    return equal(
        "average-of-sides", worst.gradient[0], gs.gradient(network(1e-6), worst.x[:, None], ONE, "relu")[0, 0], 1e-4
    )


@control(L_(12), "slope-of-a-kink")
def no_peak():
    outer, jump, lam = z3.Reals("outer k lambda")
    return implies("slope-of-a-kink", [outer >= 0, jump < 0, lam * jump == -outer], z3.And(lam >= 0, lam <= 1))


@control(L_(12), "average-keeps-bound")
def not_an_average():
    lam, first, second, most = z3.Reals("lambda first second B")
    return implies(
        "average-keeps-bound", [lam >= 0, first <= most, second <= most], lam * first + (1 - lam) * second <= most
    )


# ---------------------------------------------------------------- L13

VGG, IMAGE = claims.claim("liu2020-tab2").published["VGG"], {"side": 32, "channels": 3}


@control(L_(13), "as-printed")
def a_larger_image():
    return every("as-printed", table2.follow(table2.vgg_row(VGG, 8), side=64, channels=3).fits.tolist())


@control(L_(13), "mended")
def all_poolings():
    return every("mended", [table2.fits(table2.vgg_row(VGG, 8), **IMAGE)])
