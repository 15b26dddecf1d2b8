"""Negative controls of notebooks/liu2020/constant_classifier."""

import math

import numpy as np
import sympy as sp
import torch
import z3
from negative_controls import control

from advsmooth import checks, data, settings
from advsmooth.theory import constant_classifier as cc
from advsmooth.theory import version_space as vs
from advsmooth.theory import worst_case_training as wt

SETS, PROP1, THM1, EPS_BAR = (
    "liu2020-def-version-space",
    "liu2020-prop1",
    "liu2020-thm1",
    "liu2020-thm1-eps-bar",
)
INF = math.inf
X = torch.tensor([1.0, -0.6], dtype=torch.float64)


def normal(seed, *shape):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


def pool(classes=3, count=600, seed=1, p=2.0):
    return vs.random_models(count, classes, 2, seed, towards=vs.separating_weights(X, 0, classes, p))


def digits(per_class=25):
    return cc.balanced(data.load("digits"), [0, 7, 9], per_class)


def clouds(sizes=(60, 30, 10)):
    y = torch.arange(3).repeat_interleave(torch.tensor(sizes))
    return normal(0, 3, 2)[y] + 0.5 * normal(1, len(y), 2), y


# ---------------------------------------------------------------- the two sets


@control(SETS, "complement")
def models_that_are_not_wrong_on_the_whole_ball():
    """Without the models whose negative is in the version space, the two sets are complements."""
    weights, half = pool(2), vs.norm(X, 2.0) / 2
    weights = weights[~vs.in_version_space(X, 0, -weights, half, 2.0)]
    in_v, in_t = (test(X, 0, weights, half, 2.0) for test in (vs.in_version_space, vs.in_origin_set))
    return checks.every("complement", "", cases=in_v ^ in_t, sample="")


@control(SETS, "complement-one-sign")
def complement_with_both_signs():
    weights, half = vs.random_models(600, 2, 2, 1), vs.norm(X, 2.0) / 2
    in_v, in_t = (test(X, 0, weights, half, 2.0) for test in (vs.in_version_space, vs.in_origin_set))
    return checks.every("complement-one-sign", "", cases=in_v ^ in_t, sample="")


@control(SETS, "missing-third")
def third_region_at_another_budget():
    weights, half = vs.random_models(600, 2, 2, 1), vs.norm(X, 2.0) / 2
    in_v, in_t = (test(X, 0, weights, half, 2.0) for test in (vs.in_version_space, vs.in_origin_set))
    mirrored = vs.in_version_space(X, 0, -weights, 0.5 * half, 2.0)
    return checks.every("missing-third", "", cases=(~in_v & ~in_t) == mirrored, sample="")


@control(SETS, "three-classes")
def two_classes_in_place_of_three():
    weights, half = vs.random_models(600, 2, 2, 1), vs.norm(X, 2.0) / 2
    outside = ~vs.in_version_space(X, 0, weights, half, 2.0)
    outside &= ~vs.in_origin_set(X, 0, weights, half, 2.0, both_signs=False)
    share = 1 - outside.double().mean()
    return checks.at_most("three-classes", "", measured=share, bound=0.99, sample="")


@control(SETS, "complement-algebra")
def both_signs_in_the_algebra():
    m, n, eps = z3.Reals("m n eps")
    inside = z3.And(m <= eps * n, -m <= eps * n)
    return checks.implies(
        "complement-algebra", "", assumptions=[n >= 0, eps >= 0], conclusion=z3.Or(m + eps * n <= 0, inside)
    )


@control(SETS, "slope")
@control(THM1, "slope")
def slope_at_one():
    gamma, *z = sp.symbols("gamma z1:4", real=True)
    along = sp.log(sum(sp.exp(gamma * part) for part in z)) - gamma * z[0]
    return checks.identity("slope", "", left=sp.diff(along, gamma).subs(gamma, 1), right=sum(z) / 3 - z[0])


@control(SETS, "convex")
@control(THM1, "convex")
def squares_without_their_weights():
    gamma, *z = sp.symbols("gamma z1:4", real=True)
    total = sum(sp.exp(gamma * part) for part in z)
    left = sp.expand(sp.simplify(sp.diff(sp.log(total), gamma, 2) * total**2))
    right = sum((z[j] - z[k]) ** 2 for j in range(3) for k in range(j + 1, 3))
    return checks.identity("convex", "", left=left, right=sp.expand(right))


def listing(p, weights):
    points = X + 0.7 * vs.ball_points(p, 2, 4096, 0)
    return points @ weights.transpose(-2, -1)


@control(SETS, "difference-listing")
def the_norm_of_the_ball_in_place_of_its_dual():
    weights = normal(3, 40, 3, 2)
    logits = listing(INF, weights)
    rows = vs.differences(weights, 0)
    wrong = (rows * X).sum(-1) + 0.7 * vs.norm(rows, INF)
    listed = (logits[..., 1:] - logits[..., :1]).amax(-2)
    return checks.equal("difference-listing", "", measured=wrong, expected=listed, atol=1e-5, sample="")


@control(SETS, "loss-listing")
def each_exponent_at_its_own_worst_point():
    """Adding the largest value of each logit difference gives an upper bound of the loss, not the loss."""
    weights = normal(3, 40, 3, 2)
    logits = listing(2.0, weights)
    wrong = vs.soft_plus_sum(vs.worst_differences(X, 0, weights, 0.7, 2.0))
    listed = (logits.logsumexp(-1) - logits[..., 0]).amax(-1)
    return checks.equal("loss-listing", "", measured=wrong, expected=listed, atol=1e-5, sample="")


def by_definition(weights, eps, p=2.0, least=-6):
    gammas = torch.logspace(least, 2, 41, dtype=torch.float64)
    gammas = torch.cat([gammas, -gammas])[:, None, None, None]
    return vs.worst_case_loss(X, 0, gammas * weights, eps, p).amin(0) >= math.log(3) - 1e-9


@control(SETS, "origin-set-by-definition")
def formula_for_one_sign():
    weights = vs.random_models(60, 3, 2, 4)
    formula = vs.in_origin_set(X, 0, weights, 0.5, 2.0, both_signs=False)
    return checks.every("origin-set-by-definition", "", cases=formula == by_definition(weights, 0.5), sample="")


@control(SETS, "radius-duality")
def centre_at_the_mean_of_the_means():
    means = normal(5, 4, 3)
    found = cc.collapse_radius(means, 2.0)
    upper = vs.norm(means - means.mean(0), 2.0).max()
    return checks.equal("radius-duality", "", measured=found.lower, expected=upper, atol=1e-7, sample="")


@control(SETS, "minimum-duality")
def a_model_that_is_not_the_minimum():
    x, y = digits()
    radius = cc.collapse_radius(cc.class_means(x, y)[0], INF).upper
    found = wt.minimise(x, y, 0.6 * radius, INF)
    upper = np.array([cc.adversarial_loss(x, y, 0.5 * found.weights, 0.6 * radius, INF)])
    lower = np.array([found.lower])
    close = upper - lower <= np.maximum(0.02 * (math.log(3) - lower), 1e-6)
    return checks.every("minimum-duality", "", cases=(upper - lower >= -1e-9) & close, sample="")


# ---------------------------------------------------------------- proposition 1


def points_within(shares):
    """As on the page, for given shares of |x| as budgets of the version space and of the listing."""
    size, weights = vs.norm(X, 2.0), pool()
    member = vs.in_version_space(X, 0, weights, shares[1] * size, 2.0)
    points = X + shares[0] * size * vs.ball_points(2.0, 2, 64, 0)
    return weights[member], torch.einsum("nkd,id->nik", vs.differences(weights[member], 0), points)


@control(PROP1, "inclusion")
def budgets_exchanged():
    _, gaps = points_within((0.8, 0.4))
    return checks.every("inclusion", "", cases=(gaps <= 1e-9 * gaps.abs().amax()).all(-1).all(-1), sample="")


@control(PROP1, "log-K")
def loss_at_a_larger_budget():
    inside, _ = points_within((0.1, 0.4))
    ratio = vs.worst_case_loss(X, 0, inside, 0.9 * vs.norm(X, 2.0), 2.0) / math.log(3)
    return checks.at_most("log-K", "", measured=ratio, bound=1.0, sample="")


@control(PROP1, "shrinks")
def a_smaller_budget_implies_the_larger():
    c, n, small, large = z3.Reals("c n small large")
    return checks.implies(
        "shrinks",
        "",
        assumptions=[n >= 0, small >= 0, small <= large, c + small * n <= 0],
        conclusion=c + large * n <= 0,
    )


@control(PROP1, "sum-at-most-K")
def one_exponent_positive():
    e1, e2 = z3.Reals("e1 e2")
    return checks.implies("sum-at-most-K", "", assumptions=[e1 > 0, e2 > 0, e1 <= 1], conclusion=1 + e1 + e2 <= 3)


# ---------------------------------------------------------------- theorem 1


@control(THM1, "T-grows")
def a_smaller_budget():
    """With the budgets exchanged, models leave T_eps."""
    weights = vs.random_models(60, 3, 2, 4)
    before, after = by_definition(weights, 0.7), by_definition(weights, 0.3)
    return checks.every("T-grows", "", cases=after | ~before, sample="")


@control(THM1, "constant-optimal")
def a_budget_just_below_the_norm():
    loss = vs.worst_case_loss(X, 0, pool(), 0.98 * vs.norm(X, 2.0), 2.0)
    return checks.at_most("constant-optimal", "", measured=math.log(3) / loss, bound=1.0, sample="")


@control(THM1, "slope-bound")
def slope_bound_with_a_smaller_radius():
    """Were the radius a tenth smaller, the loss along D would lie below the bound."""
    x, y = digits()
    radius = cc.collapse_radius(cc.class_means(x, y)[0], INF)
    eps, pi = 0.95 * radius.upper, torch.full((3,), 1 / 3, dtype=torch.float64)
    weights = 1e-4 * radius.direction
    bound = math.log(3) + float(cc.slope_bound(weights, pi, eps, INF, 0.9 * radius.upper))
    ratio = bound / cc.adversarial_loss(x, y, weights, eps, INF)
    return checks.at_most("slope-bound", "", measured=ratio, bound=1.0, sample="")


@control(THM1, "data-above")
def a_budget_below_the_radius():
    x, y = digits()
    radius = cc.collapse_radius(cc.class_means(x, y)[0], INF).upper
    lower = wt.minimise(x, y, 0.95 * radius, INF).lower
    return checks.equal("data-above", "", measured=lower, expected=math.log(3), atol=2e-6, sample="")


@control(THM1, "shifted")
def images_shifted_nine_tenths_of_the_way():
    x, y = digits()
    moved = 0.1 * x + 0.9 * cc.shifted_towards(x, y, cc.collapse_radius(cc.class_means(x, y)[0], INF))
    residual = (1 / 3 - torch.nn.functional.one_hot(y).double()).T @ moved / len(y)
    return checks.equal("shifted", "", measured=residual, expected=0.0, atol=1e-12, sample="")


@control(THM1, "formula-grows")
def formula_with_one_side():
    m, n, small, large = z3.Reals("m n small large")
    return checks.implies(
        "formula-grows",
        "",
        assumptions=[n >= 0, large >= small, small >= 0, m <= small * n],
        conclusion=z3.And(m <= large * n, -m <= large * n),
    )


@control(THM1, "centre-cancels")
def centre_without_the_scale():
    """With s_k = 1 and unequal shares the centre does not cancel, unless the model has a bias."""
    shares, rows, c = sp.symbols("pi1:4", positive=True), sp.symbols("w1:4", real=True), sp.Symbol("c", real=True)
    left = sum(share * (sum(rows) / 3 - row) * c for share, row in zip(shares, rows, strict=True))
    return checks.identity("centre-cancels", "", left=left, right=0)


@control(THM1, "bias-cancels")
def plain_mean_with_shares():
    shares, rows = sp.symbols("pi1:4", positive=True), sp.symbols("w1:4", real=True)
    total = sum(share * (sum(rows) / 3 - row) for share, row in zip(shares, rows, strict=True))
    return checks.identity(
        "bias-cancels", "", left=sp.expand(total.subs(shares[2], 1 - shares[0] - shares[1])), right=0
    )


@control(THM1, "hoelder-sum")
def hoelder_with_a_flipped_sign():
    a, h, n, r, eps = z3.Reals("pi1 h1 n1 r eps")
    return checks.implies(
        "hoelder-sum",
        "",
        assumptions=[a > 0, n >= 0, r >= 0, eps >= 0, h >= -r * n],
        conclusion=a * (h + eps * n) >= (eps + r) * a * n,
    )


# ---------------------------------------------------------------- the budget of the appendix


def steps_of(vectors, signed):
    held = []
    for p in (1.5, 2.0, 3.0, INF):
        for v in vectors:
            step = vs.dual_step(v, p, signed=signed)
            held.append([float(vs.norm(step, p)), float(step @ v / vs.norm(v, vs.dual_exponent(p)))])
    return torch.tensor(held)


@control(EPS_BAR, "step-printed")
def vectors_without_negative_entries():
    """There the printed step is right."""
    right = (steps_of(normal(6, 50, 4).abs(), signed=False) - 1).abs() <= 1e-9
    return checks.every("step-printed", "", cases=right.all(-1), sample="")


@control(EPS_BAR, "step-signed")
def step_without_signs():
    return checks.equal(
        "step-signed", "", measured=steps_of(normal(6, 50, 4), signed=False), expected=1.0, atol=1e-9, sample=""
    )


@control(EPS_BAR, "sufficient")
def the_printed_step_at_its_budget():
    """Without the signs the loss at x' stays below log K for some models (p = infinity)."""
    ratios = []
    for weights in pool(p=INF)[:200]:
        budget = vs.printed_budget(X, 0, weights, INF).clamp_min(0)
        step = vs.dual_step(vs.largest_difference(0, weights, INF), INF, signed=False)
        logits = weights @ (X + budget * step)
        ratios.append(math.log(3) / max(float(logits.logsumexp(0) - logits[0]), 1e-12))
    return checks.at_most("sufficient", "", measured=ratios, bound=1.0, sample="")


@control(EPS_BAR, "uniform")
def two_classes_have_one_budget_for_all_multiples():
    """log(K - 1) vanishes for K = 2, and with it the divergence."""
    budgets = [[float(vs.printed_budget(X, 0, size * one, 2.0)) for one in pool(2)[:200]] for size in (0.01, 1.0)]
    return checks.equal("uniform", "", measured=budgets[0], expected=budgets[1], atol=1e-9, sample="")


@control(EPS_BAR, "least-loss")
def a_model_of_another_direction():
    """The Euclidean separating direction is not the best one in the maximum norm."""
    eps = 0.5 * vs.norm(X, INF)
    weights = vs.separating_weights(X, 0, 3, 2.0)
    weights = 3 * weights / vs.norm(weights[0], 1.0)
    least = vs.least_loss(X, eps, INF, classes=3, size=3.0)
    attained = vs.worst_case_loss(X, 0, weights, eps, INF)
    return checks.equal("least-loss", "", measured=attained, expected=least, atol=1e-9, sample="")


@control(EPS_BAR, "least-loss-not-beaten")
def models_twice_the_stated_size():
    eps = 0.5 * vs.norm(X, 2.0)
    weights = pool()
    weights = 6 * weights / vs.norm(vs.differences(weights, 0), 2.0).amax(-1)[:, None, None]
    ratio = vs.least_loss(X, eps, 2.0, classes=3, size=3.0) / vs.worst_case_loss(X, 0, weights, eps, 2.0)
    return checks.at_most("least-loss-not-beaten", "", measured=ratio, bound=1.0, sample="")


@control(EPS_BAR, "needed-budget")
def an_input_moved_away_from_the_origin():
    """The needed budgets of an input, compared with the norm of one that is a tenth closer to the origin."""
    ratio = vs.needed_budget(X, 0, pool()[-50:], 2.0) / vs.norm(0.9 * X, 2.0)
    return checks.at_most("needed-budget", "", measured=ratio, bound=1.0, sample="")


@control(EPS_BAR, "data-below")
def budgets_above_the_radius():
    x, y = digits()
    radius = cc.collapse_radius(cc.class_means(x, y)[0], INF).upper
    upper = [wt.minimise(x, y, share * radius, INF).upper for share in (0.9, 1.05)]
    return checks.every("data-below", "", cases=np.array(upper) < math.log(3), sample="")


@control(EPS_BAR, "guaranteed-gain")
def gain_with_a_radius_that_is_too_large():
    """With a radius a third larger than it is, the promise near the true one is not kept."""
    x, y = digits()
    radius = cc.collapse_radius(cc.class_means(x, y)[0], INF)
    eps = 0.99 * radius.upper
    larger = cc.Radius(1.3 * radius.upper, 1.3 * radius.lower, radius.centre, radius.multipliers, radius.direction)
    gain = math.log(3) - wt.minimise(x, y, eps, INF).upper
    return checks.every("guaranteed-gain", "", cases=gain >= cc.guaranteed_drop(x, eps, INF, larger), sample="")


@control(EPS_BAR, "rate-at-zero")
def rate_along_another_direction():
    x, y = digits()
    radius = cc.collapse_radius(cc.class_means(x, y)[0], INF)
    eps, other = 0.5 * radius.upper, radius.direction.roll(1, 0)
    rate = (cc.adversarial_loss(x, y, 1e-6 * other, eps, INF) - math.log(3)) / 1e-6
    return checks.equal("rate-at-zero", "", measured=rate, expected=eps - radius.upper, atol=1e-3, sample="")


@control(EPS_BAR, "all-classes-below")
def gain_at_the_radius():
    x, y = digits()
    radius = cc.collapse_radius(cc.class_means(x, y)[0], INF)
    drops = [cc.guaranteed_drop(x, share * radius.upper, INF, radius) for share in (0.9, 1.0)]
    return checks.every("all-classes-below", "", cases=np.array(drops) > 0, sample="")


def exchanged():
    """Norm, bias, loss of the best constant model, and the radius with the roles of bias and no bias exchanged."""
    means, pi = cc.class_means(*clouds())
    for p in vs.NORMS:
        for bias in (False, True):
            constant = -float((pi * pi.log()).sum()) if bias else math.log(3)
            yield p, bias, constant, cc.collapse_radius(means, p, shares=pi, bias=not bias)


@control(EPS_BAR, "unequal-below")
def roles_of_the_bias_exchanged_below():
    x, y = clouds()
    log_shares = cc.class_means(x, y)[1].log()
    cases = []
    for p, bias, constant, radius in exchanged():
        offset = log_shares if bias else None
        least, _ = cc.least_along(x, y, radius.direction, 0.97 * radius.upper, p, bias=offset)
        cases.append(least < constant - 1e-9)
    return checks.every("unequal-below", "", cases=cases, sample="")


@control(EPS_BAR, "unequal-above")
def roles_of_the_bias_exchanged_above():
    x, y = clouds()
    differences = [
        wt.minimise(x, y, 1.01 * radius.upper, p, bias=bias).lower - constant
        for p, bias, constant, radius in exchanged()
    ]
    return checks.equal("unequal-above", "", measured=differences, expected=0.0, atol=2e-6, sample="")


@control(EPS_BAR, "exponent-gain")
def exponent_without_the_one():
    p = sp.Symbol("p", positive=True)
    q = p / (p - 1)
    return checks.identity("exponent-gain", "", left=q / p, right=q)


@control(EPS_BAR, "exponent-norm")
def exponents_not_dual():
    p = sp.Symbol("p", positive=True)
    return checks.identity("exponent-norm", "", left=2 * p / (p - 1) - 2 / (p - 1), right=1)


@control(EPS_BAR, "one-exponential")
def exponential_below_the_threshold():
    e, r, k = z3.Reals("e r k")
    return checks.implies("one-exponential", "", assumptions=[e >= k - 2, r >= 0, k >= 3], conclusion=1 + e + r >= k)


@control(EPS_BAR, "diverges")
def budget_that_does_not_change():
    t, big, n, c = sp.symbols("t L n c", positive=True)
    return checks.identity("diverges", "", left=(big - t * c) / (t * n), right=(big - c) / n)


@control(EPS_BAR, "best-step")
def square_with_half_the_gain():
    t, rho, m = sp.symbols("t rho M", positive=True)
    right = m / 8 * (t - 4 * rho / m) ** 2 - rho**2 / m
    return checks.identity("best-step", "", left=-rho * t + m * t**2 / 8, right=right)
