"""Negative controls of notebooks/finlay2018/one_step_total_variation."""

import functools
import math

import numpy as np
import sympy as sp
import torch
import z3
from negative_controls import control
from scipy import stats

from advsmooth import checks, data, settings
from advsmooth.analysis import input_gradient, one_step
from advsmooth.attacks import ball, evaluation, minimal
from advsmooth.attacks.gradient import fgsm
from advsmooth.models.shallow import Shallow
from advsmooth.theory import convex_domains, regularised
from advsmooth.theory import version_space as vs
from advsmooth.training.objectives import AdversarialTraining, GradientRegularised, Standard

LIP, OBJECTIVE, DIRECTIONS, TAYLOR, TRAINING, DIFFERENCE, DISTANCE, L0 = (
    f"finlay2018-{name}"
    for name in (
        "def-lip",
        "def-objective",
        "prop-attack-directions",
        "prop-taylor",
        "prop-tv-training",
        "alg-fd",
        "def-min-distance",
        "prop-l0",
    )
)
LOG2 = math.log(2)
DIGITS = data.load("digits").take(120, seed=0).to("cpu", torch.float64)
SMALL = 10.0 ** np.arange(-5, -3.9, 0.5)


@functools.cache
def network(activation="softplus", scale=3.0):
    made = Shallow(DIGITS.shape, 10, units=16, activation=activation, generator=1).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(scale)
    return made


def normal(seed, *shape):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


def steepness(sizes, values):
    return float(np.polyfit(np.log(sizes), np.log(np.abs(np.asarray(values))), 1)[0])


# ---------------------------------------------------------------- the penalty itself


@control(LIP, "ring-distance")
def half_the_sine():
    r, s, a = sp.symbols("r s a", positive=True)
    right = (r - s) ** 2 + 2 * r * s * sp.sin(a / 2) ** 2
    return checks.identity("ring-distance", "", left=r**2 + s**2 - 2 * r * s * sp.cos(a), right=right)


def plane_network():
    b, c, a = normal(0, 5, 2), normal(1, 5), normal(2, 3, 5)
    found = convex_domains.pieces(b, c, a)
    pairs = torch.rand(2, 500, 2, generator=settings.generator(3), dtype=torch.float64)
    pairs = torch.cat([pairs, torch.stack(convex_domains.steepest_pair(found))[:, None]], 1)
    values = torch.relu(pairs @ b.T + c) @ a.T
    return found, values, pairs


@control(LIP, "quotients")
def the_mean_piece_in_place_of_the_steepest():
    found, values, pairs = plane_network()
    quotient = (values[0] - values[1]).abs().amax(1) / (pairs[0] - pairs[1]).norm(dim=1)
    return checks.at_most("quotients", "", measured=quotient / found.gradient_norms.mean(), bound=1.0, sample="")


@control(LIP, "steepest-piece")
def the_norm_of_the_whole_jacobian():
    """The Frobenius norm is no operator norm to the maximum norm; no pair attains it."""
    found, values, pairs = plane_network()
    quotient = (values[0] - values[1]).abs().amax(1) / (pairs[0] - pairs[1]).norm(dim=1)
    top = found.jacobians.flatten(1).norm(dim=1)[found.gradient_norms.argmax()]
    return checks.equal("steepest-piece", "", measured=quotient[-1] / top, expected=1.0, atol=1e-9, sample="")


def ring(opening):
    ends = torch.tensor([[1.0, 0.0], [math.cos(opening), math.sin(opening)]], dtype=torch.float64)
    angle = convex_domains.polar_angle(ends)
    return (angle[0] - angle[1]).abs() / (ends[0] - ends[1]).norm()


@control(LIP, "not-convex")
def a_coordinate_in_place_of_the_angle():
    """A linear function keeps to its gradient norm on any domain."""
    points = normal(0, 50, 2)
    quotient = (points[:25, 0] - points[25:, 0]).abs() / (points[:25] - points[25:]).norm(dim=1)
    return checks.at_most("not-convex", "", measured=quotient, bound=1.0, sample="")


@control(LIP, "ring-constant")
def the_constant_of_a_smaller_opening():
    bound = convex_domains.slit_annulus_constant(1.4 * math.pi)
    return checks.at_most("ring-constant", "", measured=ring(1.5 * math.pi), bound=bound, sample="")


@control(OBJECTIVE, "exchange")
def without_the_second_optimality():
    low, high, first, second, la, lb = z3.Reals("L1 L2 R1 R2 la lb")
    return checks.implies(
        "exchange",
        "",
        assumptions=[la >= 0, la < lb, low + la * first <= high + la * second],
        conclusion=z3.And(second <= first, high >= low),
    )


@functools.cache
def path():
    x = torch.rand(20, 2, generator=settings.generator(0), dtype=torch.float64)
    prices = [2.0**k for k in range(-8, -1, 2)]
    found = [regularised.minimise(x, (x[:, 0] > 0.5).double(), price) for price in prices]
    steep = np.array([m.lipschitz for m in found])
    return steep, np.array([m.objective - p * m.lipschitz for m, p in zip(found, prices, strict=True)])


@control(OBJECTIVE, "penalty-falls")
def prices_backwards():
    steep = path()[0][::-1]
    return checks.at_most("penalty-falls", "", measured=steep[1:], bound=steep[:-1], rtol=1e-5, sample="")


@control(OBJECTIVE, "fit-worsens")
def fits_backwards():
    fit = path()[1][::-1]
    return checks.at_most("fit-worsens", "", measured=fit[:-1], bound=fit[1:], rtol=1e-5, sample="")


@control(OBJECTIVE, "same-variation")
def weighted_by_the_probability_of_the_label():
    """With two labels, |grad u| = p_y |grad l| at the same points, so with that weight the two means are one."""
    model = Shallow(DIGITS.shape, 2, units=16, generator=1).double()
    y = DIGITS.y % 2
    p = model(DIGITS.x).softmax(1).gather(1, y[:, None])[:, 0].detach()
    of_loss = p * input_gradient.loss_gradient_norms(model, DIGITS.x, y)
    ratio = of_loss.mean() / input_gradient.jacobian_norms(model, DIGITS.x).mean()
    return checks.equal("same-variation", "", measured=ratio, expected=1.0, atol=0.1, sample="")


def objective_gap(power, model=None):
    model = network() if model is None else model
    sizes = input_gradient.loss_gradient_norms(model, DIGITS.x, DIGITS.y)
    d = one_step.attack_directions(model, DIGITS.x, DIGITS.y, "l2")
    losses = one_step.losses_along(model, DIGITS.x, DIGITS.y, d, [0.0, *SMALL]).mean(1)
    return (losses[1:] - losses[0]).numpy() - SMALL * float((sizes**power).mean())


@control(OBJECTIVE, "square")
def the_first_power():
    slope = steepness(SMALL, objective_gap(1))
    return checks.equal("square", "", measured=slope, expected=2.0, atol=0.1, sample="")


# ---------------------------------------------------------------- directions


@control(DIRECTIONS, "coordinate")
def a_box_twice_as_wide():
    d, g = z3.Reals("d g")
    return checks.implies("coordinate", "", assumptions=[d <= 2, d >= -2], conclusion=d * g <= z3.If(g >= 0, g, -g))


@control(DIRECTIONS, "lagrange")
def two_of_three_pairs():
    d, g = sp.symbols("d1:4", real=True), sp.symbols("g1:4", real=True)
    left = sum(a * a for a in d) * sum(b * b for b in g) - sum(a * b for a, b in zip(d, g, strict=True)) ** 2
    right = sum((d[0] * g[j] - d[j] * g[0]) ** 2 for j in (1, 2))
    return checks.identity("lagrange", "", left=left, right=right)


@control(DIRECTIONS, "not-beaten")
def the_norm_itself_in_place_of_its_dual():
    g = input_gradient.loss_gradients(network(), DIGITS.x, DIGITS.y)
    value = (g.sign() * g).flatten(1).sum(1) / ball.dual_norms(g, "l2")
    return checks.at_most("not-beaten", "", measured=value, bound=1.0, sample="")


@control(DIRECTIONS, "attained")
def the_signed_gradient_scaled_into_the_euclidean_ball():
    g = input_gradient.loss_gradients(network(), DIGITS.x, DIGITS.y)
    d = g.sign() / ball.norms(g.sign(), "l2").view(-1, 1, 1, 1)
    value = (d * g).flatten(1).sum(1) / ball.dual_norms(g, "l2")
    return checks.equal("attained", "", measured=value, expected=1.0, atol=1e-12, sample="")


@control(DIRECTIONS, "general-norm")
def one_exponent_for_all_norms():
    v = normal(0, 6)
    value = [vs.dual_step(v, 3.0) @ v / vs.norm(v, vs.dual_exponent(p)) for p in (1.5, 2.0, 3.0)]
    return checks.equal("general-norm", "", measured=torch.stack(value), expected=1.0, atol=1e-12, sample="")


@control(DIRECTIONS, "minimiser")
def the_negative_direction():
    g = input_gradient.loss_gradients(network(), DIGITS.x, DIGITS.y)
    rival = normal(1, *g.shape)
    rival = rival / ball.norms(rival, "l2").view(-1, 1, 1, 1)
    value = ((-ball.steepest(g, "l2") - rival) * g).flatten(1).sum(1)
    return checks.at_most("minimiser", "", measured=value, bound=0.0, sample="")


# ---------------------------------------------------------------- the expansion


@control(TAYLOR, "integral")
@control(TRAINING, "integral")
@control(DIFFERENCE, "integral")
def the_weight_forgotten():
    t, e = sp.symbols("t epsilon", real=True)
    phi = sp.Function("phi")
    left = sp.diff(phi(t * e) + (1 - t) * sp.diff(phi(t * e), t), t)
    return checks.identity("integral", "", left=left, right=sp.diff(phi(t * e), t, 2))


@control(TAYLOR, "variance")
def the_second_moment():
    e = sp.Symbol("epsilon", real=True)
    z, v = sp.symbols("z1:4", real=True), sp.symbols("v1:4", real=True)
    total = sum(sp.exp(a + e * b) for a, b in zip(z, v, strict=True))
    second = sum(sp.exp(a + e * b) * b**2 for a, b in zip(z, v, strict=True)) / total
    return checks.identity("variance", "", left=sp.simplify(sp.diff(sp.log(total), e, 2)), right=second)


@control(TAYLOR, "popoviciu")
def half_the_squared_range():
    a, b, v1, v2, p = sp.symbols("a b v1 v2 p", real=True)
    mean = p * v1 + (1 - p) * v2
    rest = p * (b - v1) * (v1 - a) + (1 - p) * (b - v2) * (v2 - a)
    variance = p * v1**2 + (1 - p) * v2**2 - mean**2
    right = (b - a) ** 2 / 2 - (mean - (a + b) / 2) ** 2 - rest
    return checks.identity("popoviciu", "", left=sp.expand(variance), right=sp.expand(right))


@control(TAYLOR, "slope")
def the_wrong_dual_norm():
    d = one_step.attack_directions(network(), DIGITS.x, DIGITS.y, "linf")
    wrong = input_gradient.loss_gradient_norms(network(), DIGITS.x, DIGITS.y, norm="l2").mean()
    losses = one_step.losses_along(network(), DIGITS.x, DIGITS.y, d, [0.0, *SMALL]).mean(1)
    left_over = (losses[1:] - losses[0]).numpy() - SMALL * float(wrong)
    return checks.equal("slope", "", measured=steepness(SMALL, left_over), expected=2.0, atol=0.1, sample="")


@control(TAYLOR, "constant")
def the_whole_curvature():
    d = one_step.attack_directions(network(), DIGITS.x, DIGITS.y, "l2")
    found = one_step.remainders(network(), DIGITS.x, DIGITS.y, "l2", [1e-5]).mean() / 1e-5**2
    whole = one_step.second_derivatives(network(), DIGITS.x, DIGITS.y, d).mean()
    return checks.equal("constant", "", measured=found / whole, expected=1.0, atol=0.01, sample="")


@control(TAYLOR, "proved-bound")
def the_curvature_at_the_start():
    """The curvature at x itself bounds nothing: it grows along the way."""
    d = one_step.attack_directions(network(), DIGITS.x, DIGITS.y, "l2")
    here = one_step.second_derivatives(network(), DIGITS.x, DIGITS.y, d).abs() / 2
    found = one_step.remainders(network(), DIGITS.x, DIGITS.y, "l2", [0.1])[0].abs() / 0.1**2
    return checks.at_most("proved-bound", "", measured=found / here, bound=1.0, sample="")


@control(TAYLOR, "cumulant")
def beyond_the_first_kink():
    model = network("relu")
    d = one_step.attack_directions(model, DIGITS.x, DIGITS.y, "l2")
    found = one_step.remainders(model, DIGITS.x, DIGITS.y, "l2", [0.5])[0]
    exact = one_step.cumulants(*one_step.logit_slopes(model, DIGITS.x, d), 0.5)
    return checks.equal("cumulant", "", measured=found - exact, expected=0.0, atol=1e-12, sample="")


@control(TAYLOR, "hoeffding")
def slopes_that_are_not_centred():
    v, log_p = normal(0, 50, 4), normal(1, 50, 4).log_softmax(1)
    raw = (log_p + 0.1 * v).logsumexp(1) / one_step.hoeffding_bound(v, 0.1)
    return checks.at_most("hoeffding", "", measured=(raw - 0.5).abs(), bound=0.5, sample="")


@control(TAYLOR, "hoeffding-tight")
def unequal_probabilities():
    log_p = torch.tensor([[0.6, 0.4]], dtype=torch.float64).log()
    v = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    found = one_step.cumulants(log_p, v, 0.01) / one_step.hoeffding_bound(v, 0.01)
    return checks.equal("hoeffding-tight", "", measured=found, expected=1.0, atol=1e-4, sample="")


@control(TAYLOR, "kink")
def away_from_the_kink():
    model = network("relu")
    d = one_step.attack_directions(model, DIGITS.x, DIGITS.y, "l2")
    gap = one_step.first_kinks(model, DIGITS.x, d)
    keep = (gap < 1) & (gap > 1e-4)
    inside = (DIGITS.x + 0.5 * gap[:, None, None, None] * d)[keep]
    found = one_step.remainders(model, inside, DIGITS.y[keep], "l2", [1e-6, 1e-5]).abs().mean(1)
    return checks.equal("kink", "", measured=steepness([1e-6, 1e-5], found), expected=2.0, atol=0.1, sample="")


def shuffled_correlations(k):
    """Rank correlations of gradient norms with distances that belong to other images."""
    distance, slope = normal(0, 60).abs(), normal(1, 60).abs()
    return [stats.spearmanr(slope[torch.randperm(60, generator=settings.generator(s))], distance)[0] for s in range(k)]


@control(TAYLOR, "rank-l2", "rank-linf")
def distances_of_other_images(name):
    return checks.positive(name, "", differences=[-r for r in shuffled_correlations(4)], sample="")


@control(TAYLOR, "across-networks")
def a_network_that_is_flatter_in_truth():
    """A network whose inputs are halved has half the gradients and twice the distances (no box)."""
    weights = normal(0, 3, 5)
    x = normal(1, 30, 5)
    y = (x @ weights.T).argmax(1)
    steep = one_step.linear_distances(weights, torch.zeros(3).double(), x, y, "l2").median()
    flat = one_step.linear_distances(weights / 2, (x[:1] @ weights.T / 2)[0], x - x[:1], y, "l2").median()
    assert torch.isclose(flat, steep)  # scaling the logits alone does nothing
    flat = one_step.linear_distances(weights / 2, torch.zeros(3).double(), 2 * x, y, "l2").median()
    return checks.at_most("across-networks", "", measured=1.05 * steep, bound=flat, sample="")


# ---------------------------------------------------------------- training


@control(TRAINING, "chord")
def a_step_that_is_not_the_radius():
    e, h, here, there = sp.symbols("epsilon h l l_moved", real=True)
    return checks.identity("chord", "", left=here + e * (there - here) / h, right=there)


@control(TRAINING, "frozen")
def a_gradient_that_is_not_normalised():
    t = sp.Symbol("t", real=True)
    g1, g2 = (sp.Function(name)(t) for name in ("g1", "g2"))
    return checks.identity("frozen", "", left=sp.diff(g1, t) * g1 + sp.diff(g2, t) * g2, right=0)


def gradient(objective, model):
    value = objective(model, DIGITS.x, DIGITS.y)
    parts = torch.autograd.grad(value, list(model.parameters()))
    return torch.cat([value.detach()[None], *(part.flatten() for part in parts)])


def attack_step(eps, norm="l2", box=ball.UNBOUNDED):
    return AdversarialTraining(fgsm(float(eps), norm=norm, box=box))


@control(TRAINING, "chord-in-code")
def a_chord_of_half_the_length():
    apart = gradient(attack_step(0.1), network()) - gradient(GradientRegularised(tv=0.1, norm="l2", h=0.05), network())
    return checks.equal("chord-in-code", "", measured=apart, expected=0.0, atol=1e-12, sample="")


@control(TRAINING, "objective-slope")
def the_squared_norm():
    slope = steepness(SMALL, objective_gap(2))
    return checks.equal("objective-slope", "", measured=slope, expected=2.0, atol=0.1, sample="")


def gradient_slope(model, factor=1.0):
    clean = gradient(Standard(), model)
    tv = gradient(GradientRegularised(tv=1.0, norm="l2", exact=True), model) - clean
    off = [gradient(attack_step(eps), model) - clean - factor * eps * tv for eps in SMALL]
    return steepness(SMALL, [float(o[1:].norm()) for o in off])


@control(TRAINING, "gradient-slope")
def another_price():
    return checks.equal(
        "gradient-slope", "", measured=gradient_slope(network(), 1.01), expected=2.0, atol=0.1, sample=""
    )


@control(TRAINING, "relu-gradient")
def a_smooth_network_in_place_of_relu():
    return checks.equal("relu-gradient", "", measured=gradient_slope(network()), expected=2.0, atol=0.1, sample="")


@control(TRAINING, "box")
def a_box_that_is_never_met():
    base = gradient(Standard(), network())
    inside, outside = (gradient(attack_step(0.1, box=box), network()) for box in ((-9.0, 9.0), ball.UNBOUNDED))
    gain = float((inside - base)[0] / (outside - base)[0])
    return checks.at_most("box", "", measured=1 - gain, bound=0.1, sample="")


@control(TRAINING, "trained-alike")
def ratios_that_do_not_depend_on_the_radius():
    """What is left then is noise around 0."""
    return checks.positive("trained-alike", "", differences=normal(3, 5) / 10, sample="")


# ---------------------------------------------------------------- the finite difference


def chord_errors(model, steps, norm="l2", dtype=torch.float64):
    exact = input_gradient.loss_gradient_norms(model, DIGITS.x, DIGITS.y, norm=norm)
    cast = Shallow(DIGITS.shape, 10, units=16, activation=model.activation).to(dtype)
    cast.load_state_dict(model.state_dict())
    found = [
        input_gradient.finite_difference_norms(cast, DIGITS.x.to(dtype), DIGITS.y, norm=norm, step=float(h)).double()
        for h in steps
    ]
    return [float((f - exact).abs().sum() / exact.sum()) for f in found]


@control(DIFFERENCE, "linear-error")
def single_precision():
    steps = 10.0 ** np.arange(-5, -3.4, 0.5)
    slope = steepness(steps, chord_errors(network(), steps, dtype=torch.float32))
    return checks.equal("linear-error", "", measured=slope, expected=1.0, atol=0.1, sample="")


@control(DIFFERENCE, "one-percent")
def a_step_a_hundred_times_longer():
    return checks.at_most("one-percent", "", measured=chord_errors(network(), [0.1]), bound=0.01, sample="")


def penalty_gap(model, h, norm="l2"):
    clean = gradient(Standard(), model)
    exact, chord = (
        gradient(GradientRegularised(tv=1.0, norm=norm, h=h, exact=e), model) - clean for e in (True, False)
    )
    return float((exact - chord)[1:].norm() / exact[1:].norm())


@control(DIFFERENCE, "penalty-gradients")
def a_long_chord():
    return checks.at_most("penalty-gradients", "", measured=penalty_gap(network(), 0.1), bound=0.01, sample="")


@control(DIFFERENCE, "same-in-both-norms")
def steps_of_the_same_euclidean_length():
    short = chord_errors(network(), [1e-3 / 16], norm="linf")
    return checks.at_most("same-in-both-norms", "", measured=short, bound=chord_errors(network(), [1e-3]), sample="")


@control(DIFFERENCE, "relu-penalty-gradients")
def a_chord_shorter_than_the_first_kink():
    gap = penalty_gap(network("relu"), 1e-7)
    return checks.at_most("relu-penalty-gradients", "", measured=gap, bound=0.01, sample="")


@control(DIFFERENCE, "best-step")
def steps_of_which_only_one_is_reasonable():
    steps = np.array([1e-6, 1e-3, 1.0])
    best = steps[int(np.argmin(chord_errors(network(), steps, dtype=torch.float32)))]
    return checks.every("best-step", "", cases=[np.isclose(best, 1e-3)], sample="")


# ---------------------------------------------------------------- distances


@control(DISTANCE, "log-odds")
def log_odds_without_the_one():
    m = sp.Symbol("m", positive=True)
    return checks.identity("log-odds", "", left=sp.exp(-m), right=sp.exp(sp.log(1 + sp.exp(-m))))


@control(DISTANCE, "log-odds-slope")
def the_slope_of_the_loss():
    m = sp.Symbol("m", positive=True)
    return checks.identity("log-odds-slope", "", left=-sp.diff(sp.log(1 + sp.exp(-m)), m), right=1)


@control(DISTANCE, "near-limit")
def log_three_in_place_of_log_two():
    m = sp.Symbol("m", positive=True)
    ratio = (sp.log(3) - sp.log(1 + sp.exp(-m))) * (1 + sp.exp(m)) / m
    return checks.identity("near-limit", "", left=sp.limit(ratio, m, sp.oo), right=1)


@control(DISTANCE, "certified-root")
def a_root_without_the_two():
    g, m, d = sp.symbols("G M D", positive=True)
    root = 2 * d / (g + sp.sqrt(g**2 + m * d))
    return checks.identity("certified-root", "", left=sp.simplify(g * root + m * root**2 / 2), right=d)


def logistic(margins, length=2.0):
    return torch.nn.functional.softplus(-margins), torch.sigmoid(-margins) * length, margins / length


@control(DISTANCE, "near-boundary")
def far_from_the_boundary():
    loss, slope, distance = logistic(torch.ones(5, dtype=torch.float64))
    ratio = input_gradient.estimated_distances(loss, slope, LOG2) / distance
    return checks.equal("near-boundary", "", measured=ratio, expected=1.0, atol=1e-3, sample="")


@control(DISTANCE, "predictor-l2", "predictor-linf")
def estimates_of_other_images(name):
    return checks.positive(name, "", differences=[r - 0.5 for r in shuffled_correlations(4)], sample="")


@control(DISTANCE, "lower-bound")
def the_repaired_formula_with_a_margin():
    """The formula in the log odds, a little shortened, is a lower bound for the same models."""
    loss, slope, distance = logistic(torch.linspace(0.1, 10, 50, dtype=torch.float64))
    ratio = 0.999 * one_step.log_odds_distances(loss, slope) / distance
    return checks.at_most("lower-bound", "", measured=ratio, bound=1.0, sample="")


@control(DISTANCE, "upper-bound")
def two_labels():
    loss, slope, distance = logistic(torch.linspace(0.1, 10, 50, dtype=torch.float64))
    bound = input_gradient.estimated_distances(loss, slope, LOG2)
    return checks.at_most("upper-bound", "", measured=distance, bound=bound, sample="")


@control(DISTANCE, "repaired-exact")
def the_printed_formula():
    loss, slope, distance = logistic(torch.linspace(0.1, 10, 50, dtype=torch.float64))
    ratio = input_gradient.estimated_distances(loss, slope, LOG2) / distance
    return checks.equal("repaired-exact", "", measured=ratio, expected=1.0, atol=1e-8, sample="")


@control(DISTANCE, "repaired-better")
def images_next_to_the_boundary():
    """There both formulas are right, and neither is better."""
    shares = []
    for seed in range(3):
        loss, slope, distance = logistic(0.01 * normal(seed, 40).abs() + 1e-4)
        both = (input_gradient.estimated_distances(loss, slope, LOG2), one_step.log_odds_distances(loss, slope))
        shares.append([float(((e / distance - 1).abs() < 0.25).double().mean()) for e in both])
    return checks.positive("repaired-better", "", differences=[b - a for a, b in shares], sample="")


def found_distances(attack=None, n=40):
    model = network(scale=6.0)
    x = DIGITS.x[:n]
    with torch.no_grad():
        y = model(x).argmax(1)
    attack = attack or minimal.DeepFool(norm="l2")
    far = evaluation.distances(model, x, y, attack)
    loss = one_step.losses_along(model, x, y, torch.zeros_like(x), [0.0])[0]
    slope = input_gradient.loss_gradient_norms(model, x, y)
    keep = (loss < LOG2) & far.isfinite() & (far > 0)
    return far[keep], loss[keep], slope[keep]


@control(DISTANCE, "certified")
def no_curvature():
    far, loss, slope = found_distances()
    ratio = one_step.certified_distances(loss, slope, 0.0, LOG2) / far
    return checks.at_most("certified", "", measured=ratio, bound=1.0, sample="")


@control(DISTANCE, "attack-audit")
def a_weak_attack_under_audit():
    """One step of attack in radii a factor of 1.5 apart is far from minimal."""
    weak = found_distances(fgsm_radii)[0].median()
    strong = found_distances()[0].median()
    return checks.at_most("attack-audit", "", measured=0.9 * weak, bound=strong, sample="")


def fgsm_radii(model, x, y, *, generator=None):
    """The first of growing noise directions that changes the label: an attack that does not look at the model."""
    moved = x.clone()
    noise = normal(7, *x.shape)
    open_ = torch.ones(len(x), dtype=torch.bool)
    for size in 1.5 ** np.arange(-8, 12):
        there = (x + float(size) * noise / ball.norms(noise, "l2").view(-1, 1, 1, 1)).clamp(0, 1)
        with torch.no_grad():
            hit = open_ & (model(there).argmax(1) != y)
        moved[hit], open_ = there[hit], open_ & ~hit
    return moved


fgsm_radii.norm = "l2"


# ---------------------------------------------------------------- the smallest wrong loss

P = z3.Reals("p_y p_1 p_2 p_3")
SIMPLEX = [*(q >= 0 for q in P), sum(P) == 1]


@control(L0, "half")
def without_misclassification():
    return checks.implies("half", "", assumptions=SIMPLEX, conclusion=2 * P[0] <= 1)


@control(L0, "one-in-k")
def more_than_one_rival():
    return checks.implies("one-in-k", "", assumptions=[*SIMPLEX, P[0] >= P[1]], conclusion=4 * P[0] >= 1)


def outputs(k=10):
    logits = 3 * normal(0, 2000, k)
    return -logits.log_softmax(1)[:, 0], logits.argmax(1) != 0


@control(L0, "log-k")
def the_mean_wrong_loss():
    losses, wrong = outputs()
    return checks.at_most("log-k", "", measured=losses[wrong].mean(), bound=math.log(10), sample="")


@control(L0, "right-below-log-k")
def all_outputs():
    return checks.at_most("right-below-log-k", "", measured=outputs()[0].max(), bound=math.log(10), sample="")


@control(L0, "above-log-2")
def right_and_wrong_alike():
    losses = outputs()[0]
    return checks.at_most("above-log-2", "", measured=torch.full_like(losses, LOG2), bound=losses, sample="")


@control(L0, "log-2")
def the_smallest_of_a_few_random_outputs():
    losses, wrong = outputs()
    return checks.equal("log-2", "", measured=losses[wrong].min(), expected=LOG2, atol=1e-8, sample="")
