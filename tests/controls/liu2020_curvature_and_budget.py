"""Negative controls of notebooks/liu2020/curvature_and_budget."""

import functools
import math
from itertools import pairwise

import numpy as np
import sympy as sp
import torch
import z3
from bare_checks import equal, every
from negative_controls import control

from advsmooth import checks, data, settings
from advsmooth.theory import budget_curvature as bc
from advsmooth.theory import constant_classifier as cc
from advsmooth.theory import linear
from advsmooth.theory import version_space as vs
from advsmooth.theory import worst_case_training as wt
from advsmooth.theory.weight_input import dense_hessian

BINARY, LEM1, THM3 = "liu2020-prop-binary", "liu2020-lem1", "liu2020-thm3"
SEEDS = range(12)
BUDGETS = (0.0, 0.4, 1.0)


def normal(seed, *shape):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


# --- the closed form ------------------------------------------------------------------------------------------------


@control(BINARY, "closed-form")
def norm_of_the_ball_in_place_of_its_dual():
    w, x = normal(0, 5, 2), normal(1, 8, 2)
    attacked = x[:, None] + 0.4 * vs.ball_points(math.inf, 2, 64, 0)
    brute = torch.log1p(torch.exp(-(attacked @ w[:, None, :, None])[..., 0])).amax(-1)
    formula = torch.log1p(torch.exp(-(w @ x.T) + 0.4 * vs.norm(w, math.inf)[:, None]))
    return equal("closed-form", formula, brute, 1e-8)


def softmax(logits):
    return torch.nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none")


@control(BINARY, "logits")
def logits_of_half_the_size():
    t = normal(2, 40)
    return equal("logits", softmax(torch.stack([t, -t], 1) / 2), torch.log1p(torch.exp(-t)), 1e-12)


@control(BINARY, "half-logits")
def logits_of_a_quarter_of_the_size():
    t = normal(2, 40)
    return equal("half-logits", softmax(torch.stack([t, -t], 1) / 4), torch.log1p(torch.exp(-t)), 1e-12)


@control(BINARY, "no-loss-of-generality")
def no_budget():
    """Without a budget the two losses are the same function."""
    w, x, y = bc.separated(12, 4, 1.0, "l2", 0)
    expected = bc.frozen_hessian(w, x, y, 0.0, "l2")
    return equal("no-loss-of-generality", linear.hessian(w, x, y, 0.0, "l2"), expected, 1e-9)


@control(BINARY, "great-circles")
def straight_lines_in_place_of_circles():
    w, x, y = bc.separated(12, 4, 1.0, "l2", 0)
    m = normal(3, 1, 4)
    m = linear.steepest(m - (m @ w.T) * w, "l2")
    six, seven = linear.hessian(w, x, y, 0.5, "l2")[0], bc.frozen_hessian(w, x, y, 0.5, "l2")[0]
    return equal("great-circles", m @ six @ m.T, m @ seven @ m.T, 1e-12)


@control(BINARY, "decreasing")
def derivative_with_the_other_sign():
    t = sp.Symbol("t", real=True)
    return checks.identity("decreasing", "", left=sp.diff(sp.log(1 + sp.exp(-t)), t), right=1 / (1 + sp.exp(t)))


W1, W2, D1, D2, EPS = z3.Reals("w1 w2 d1 d2 eps")
NOT_NEGATIVE = [W1 >= 0, W2 >= 0, EPS >= 0]


@control(BINARY, "hoelder-inf")
def largest_weight_for_the_cube():
    inside = [D1 >= -EPS, D2 >= -EPS, D1 <= EPS, D2 <= EPS]
    conclusion = -EPS * z3.If(W1 > W2, W1, W2) <= W1 * D1 + W2 * D2
    return checks.implies("hoelder-inf", "", assumptions=[*NOT_NEGATIVE, *inside], conclusion=conclusion)


@control(BINARY, "hoelder-1")
def smallest_weight_for_the_diamond():
    inside = z3.And(*[s * D1 + t * D2 <= EPS for s in (1, -1) for t in (1, -1)])
    conclusion = -EPS * z3.If(W1 > W2, W2, W1) <= W1 * D1 + W2 * D2
    return checks.implies("hoelder-1", "", assumptions=[*NOT_NEGATIVE, inside], conclusion=conclusion)


@control(BINARY, "hoelder-2")
def square_with_a_plus():
    a, b, c, d = sp.symbols("w1 w2 d1 d2", real=True)
    left = (a**2 + b**2) * (c**2 + d**2) - (a * c + b * d) ** 2
    return checks.identity("hoelder-2", "", left=left, right=(a * d + b * c) ** 2)


# --- Lemma 1 --------------------------------------------------------------------------------------------------------


def crossed(seed):
    """Weights of which one pair is the wrong way round."""
    vectors, low = normal(seed, 3, 6), normal(seed + 100, 3)
    high = low + torch.tensor([1.0, 1.0, -2.0]).double()
    return [(weight[:, None] * vectors).T @ vectors for weight in (high, low)]


@control(LEM1, "forms-ordered")
def one_pair_of_weights_the_wrong_way_round():
    return every("forms-ordered", [torch.linalg.eigvalsh(a - b)[0] >= -1e-12 for a, b in map(crossed, SEEDS)])


@control(LEM1, "eigenvalues-ordered", "every-eigenvalue")
def eigenvalues_of_crossed_weights(name):
    gaps = [torch.linalg.eigvalsh(a) - torch.linalg.eigvalsh(b) for a, b in map(crossed, SEEDS)]
    return every(name, [(gap >= -1e-12).all() for gap in gaps])


@control(LEM1, "difference-of-forms")
def forms_without_the_square():
    a, b, x, m = sp.symbols("a b x m", real=True)
    return checks.identity("difference-of-forms", "", left=(a - b) * (x * m) ** 2, right=(a - b) * x * m)


KA, KB, KC, KD, S1, S2 = z3.Reals("a1 a2 b1 b2 s1 s2")
LA, LB, ATA, ATB = z3.Reals("lam_a lam_b at_a at_b")


@control(LEM1, "terms-not-negative")
def one_weight_smaller():
    assumptions = [KA >= KC, KB <= KD, S1 >= 0, S2 >= 0]
    return checks.implies(
        "terms-not-negative", "", assumptions=assumptions, conclusion=(KA - KC) * S1 + (KB - KD) * S2 >= 0
    )


@control(LEM1, "largest")
def largest_at_a_vector_that_is_no_eigenvector():
    return checks.implies("largest", "", assumptions=[LB >= ATB, ATB <= ATA, ATA <= LA], conclusion=LB <= LA)


@control(LEM1, "smallest")
def smallest_at_a_vector_that_is_no_eigenvector():
    return checks.implies("smallest", "", assumptions=[LA <= ATA, ATA >= ATB, ATB >= LB], conclusion=LA >= LB)


# --- Theorem 3: data ------------------------------------------------------------------------------------------------


def readings(seed, norm, least=1.0, size=1.0, stray=None, budgets=BUDGETS):
    w, x, y = bc.separated(12, 4, least, norm, seed, size)
    return bc.statements(w, x, y, norm, budgets, w if stray is None else stray)


@control(THM3, "any-separable-data")
def models_that_do_have_the_margin():
    return every("any-separable-data", [readings(s, n)["stray"] for s in SEEDS for n in linear.NORMS])


@control(THM3, "true-loss")
def large_weights_far_from_the_margin():
    """With size 30 and budgets up to a tenth of the margin the true loss obeys the theorem (p = 2)."""
    return every("true-loss", [readings(s, "l2", size=30.0, budgets=(0.0, 0.05, 0.1))["true"] for s in SEEDS])


@control(THM3, "true-largest", "true-smallest")
def eigenvalues_of_large_weights_far_from_the_margin(name):
    key = name.removeprefix("true-")
    return every(name, [readings(s, "l2", size=30.0, budgets=(0.0, 0.05, 0.1))[key] for s in SEEDS])


@control(THM3, "one-weight")
def weight_far_beyond_the_turn():
    """For w = 10 the worst-case margin stays above 2.40 up to budget 0.7."""
    ten, one = torch.full((1, 1), 10.0).double(), torch.ones(1, 1).double()
    values = [linear.hessian(ten, one, torch.ones(1).double(), e, "l2").ravel() for e in (0.0, 0.35, 0.7)]
    return every("one-weight", torch.cat(values).diff() >= 0)


@control(THM3, "frozen-with-margin")
def budgets_beyond_the_margin():
    return every("frozen-with-margin", [readings(s, "l2", budgets=(0.0, 2.0, 4.0))["frozen"] for s in SEEDS])


@control(THM3, "tangent")
def tangent_directions_beyond_the_margin():
    """A large w with budgets beyond the margin: the inputs leave the curved part of the loss."""
    return every("tangent", [readings(s, "linf", size=5.0, budgets=(1.0, 4.0, 9.0))["tangent"] for s in SEEDS])


@control(THM3, "along-w-p-1")
def curvature_with_the_clean_margin():
    x, w = torch.rand(12, 4, generator=settings.generator(0)).double(), normal(1, 4)
    loss = lambda v: torch.nn.functional.softplus(0.3 * vs.norm(v, math.inf) - x @ v).mean()  # noqa: E731
    return equal("along-w-p-1", w @ dense_hessian(loss, w) @ w, bc.along_weights(x @ w).mean(), 1e-10)


def along(z, spent, norm="l2", seed=0):
    w, x, y = bc.with_margins(z, 4, norm, seed)
    return [w[0] @ linear.hessian(w, x, y, e, norm)[0] @ w[0] for e in (0.0, spent)]


@control(THM3, "along-w-falls")
def margins_just_above_the_turn():
    first, second = along(torch.full((12,), 1.01 * bc.TURN).double(), 0.005)
    return every("along-w-falls", [second < first])


@control(THM3, "along-w-rises")
def margins_just_below_the_turn():
    first, second = along(torch.full((12,), 0.99 * bc.TURN).double(), 0.005)
    return every("along-w-rises", [second > first])


@control(THM3, "papers-normalisation")
def weights_of_size_forty():
    x, w = torch.rand(12, 4, generator=settings.generator(0)).double(), normal(1, 1, 4)
    w = 40 * w / linear.dual_norm(w, "linf")
    y = (x @ w[0]).sign()
    hat = float(linear.margins(w, x, y, 0.0, "linf").min()) / 40
    values = [w[0] @ linear.hessian(w, x, y, s * hat, "linf")[0] @ w[0] for s in np.linspace(0, 1, 11)]
    return every("papers-normalisation", torch.stack(values).diff() < 0)


@control(THM3, "criterion")
def criterion_without_the_root():
    """Only u.C g <= 1: the condition along one direction, not in all."""
    agree = []
    for seed in range(48):
        w, x, y = bc.separated(12, 4, 1.0, "l2", seed, 3.0 + seed / 4)
        base, g, u = bc.rate_parts(w, x, y, 0.5, "l2")
        rate = bc.rate(w, x, y, 0.5, "l2")[0]
        agree.append(bool(u[0] @ torch.linalg.solve(base[0], g[0]) <= 1) == bc.not_smaller(rate, 0 * rate))
    return every("criterion", agree)


@control(THM3, "one-input")
def condition_along_w_only():
    """Without the part of x across w, the condition is that of the direction w."""
    agree = []
    for size in (3.0, 6.0, 12.0, 24.0):
        one = (torch.tensor([[size, 0.0]]).double(), torch.tensor([[1.0, 0.8]]).double(), torch.ones(1).double())
        room = bc.one_input_room(torch.tensor(0.9 * size).double(), 0.1, size, 0.0)
        rate = bc.rate(*one, 0.1, "l2")[0]
        agree.append(bool(room >= 0) == bc.not_smaller(rate, 0 * rate))
    return every("one-input", agree)


@control(THM3, "fewer-inputs")
def many_inputs_and_large_weights():
    found = []
    for seed in SEEDS:
        rate = bc.rate(*bc.separated(400, 2, 1.0, "linf", seed, 4.0), 0.0, "linf")[0]
        found.append(not bc.not_smaller(rate, 0 * rate))
    return every("fewer-inputs", found)


@control(THM3, "sphere-grows")
def circles_beyond_the_margin():
    cases = []
    for seed in SEEDS:
        w, x, y = bc.separated(12, 4, 1.0, "l2", seed)
        m = normal(seed, 1, 4)
        m = linear.steepest(m - (m @ w.T) * w, "l2")
        x = x - (y[:, None] * 1.5) * w  # margins of -0.5 and more
        curve = torch.cat([bc.on_the_sphere(w, m, x, y, e) for e in np.linspace(0, 1, 6)])
        cases.append((curve.diff() > 0).all())
    return every("sphere-grows", cases)


# --- Theorem 3: algebra ---------------------------------------------------------------------------------------------

M, E, N, A, B, C, X, ZETA, T = sp.symbols("M epsilon n a b c xi zeta T", positive=True)
Z, TIME = sp.Symbol("z", real=True), sp.Symbol("t", real=True)
TANH = (sp.exp(Z) - 1) / (sp.exp(Z) + 1)
AT = {Z: M - E * N}


def sig(t):
    return 1 / (1 + sp.exp(-t))


def s_of(t):
    return sig(t) * sig(-t)


@control(THM3, "slope-of-s")
def slope_without_the_half():
    wrong = -s_of(Z) * (sp.exp(2 * Z) - 1) / (sp.exp(2 * Z) + 1)
    return checks.identity("slope-of-s", "", left=sp.diff(s_of(Z), Z), right=wrong)


@control(THM3, "rate-of-growth")
def rate_that_forgets_the_norm():
    """The paper's step: eps |w| as a constant."""
    left = sp.diff((s_of(Z) * (A - E * B) ** 2).subs(AT), E)
    return checks.identity("rate-of-growth", "", left=left, right=(s_of(Z) * N * TANH * A**2).subs(AT))


@control(THM3, "along-w")
def curvature_with_one_z():
    right = Z * s_of(Z) * (2 - Z * TANH)
    return checks.identity("along-w", "", left=sp.diff(Z * s_of(Z), Z), right=right)


RN, RS, RT, RC, RK, RQ, RZ = z3.Reals("n s T c k q z")


@control(THM3, "one-turn")
def negative_margins():
    conclusion = RT + RZ * (1 - RT * RT) / 2 > 0
    return checks.implies("one-turn", "", assumptions=[RZ < 0, RT < 0, RT > -1], conclusion=conclusion)


@control(THM3, "tangent-growth")
def misclassified_input():
    assumptions = [RN > 0, RS > 0, RT < 0, RQ >= 0, RC >= 0, RK >= 0]
    conclusion = RN * RS * RT * RQ + RC * RK >= 0
    return checks.implies("tangent-growth", "", assumptions=assumptions, conclusion=conclusion)


CIRCLE = (s_of(Z) * A**2 + sig(-Z) * M / N**2).subs(AT)


@control(THM3, "circle-curvature")
def straight_line():
    line = sp.log(1 + sp.exp(-(M + N * A * TIME - E * N)))
    return checks.identity("circle-curvature", "", left=sp.diff(line, TIME, 2).subs(TIME, 0) / N**2, right=CIRCLE)


@control(THM3, "circle-growth")
def growth_without_the_second_term():
    right = (N * s_of(Z) * TANH * A**2).subs(AT)
    return checks.identity("circle-growth", "", left=sp.diff(CIRCLE, E), right=right)


@control(THM3, "rank-two")
def smaller_eigenvalue():
    a, b, dot = sp.symbols("A B dot", positive=True)
    return checks.identity("rank-two", "", left=b * dot + a * b**2, right=(dot - a * b) * b)


@control(THM3, "one-input-determinant")
def condition_without_the_bend_of_the_norm():
    uu, ue = s_of(Z) * (N * T * ZETA**2 - 2 * ZETA), s_of(Z) * (N * T * ZETA * X - X)
    determinant = uu * s_of(Z) * N * T * X**2 - ue**2
    room = (1 + sp.exp(-Z) + E * N) * Z * (Z * T - 2) - N**2 * X**2
    left = (determinant / s_of(Z) ** 2 * N**2).subs(ZETA, Z / N)
    return checks.identity("one-input-determinant", "", left=left, right=room)


# --- Theorem 3: method and images -----------------------------------------------------------------------------------


@control(THM3, "hessian-by-autograd")
def frozen_norm_against_autograd():
    w, x, y = bc.separated(12, 4, 1.0, "l2", 0)
    automatic = dense_hessian(lambda v: linear.loss(v[None], x, y, 0.5, "l2")[0], w[0])
    return equal("hessian-by-autograd", bc.frozen_hessian(w, x, y, 0.5, "l2")[0], automatic, 1e-11)


@control(THM3, "rate-by-differences")
def frozen_rate_against_differences():
    w, x, y = bc.separated(12, 4, 1.0, "l2", 0)
    low, high = (linear.hessian(w, x, y, 0.5 + h, "l2") for h in (-1e-5, 1e-5))
    return equal("rate-by-differences", bc.frozen_rate(w, x, y, 0.5, "l2"), (high - low) / 2e-5, 1e-5)


@functools.cache
def trained():
    x, label = cc.balanced(data.load("digits"), [3, 8], 140)
    found = wt.minimise(x, label, 0.28, 2.0)
    return (found.weights[0] - found.weights[1])[None], x, 1.0 - 2.0 * label.double()


@control(THM3, "images-top-grows")
def budgets_far_beyond_training():
    w, x, y = trained()
    tops = [torch.linalg.eigvalsh(linear.hessian(w, x, y, e, "l2")[0])[-1] for e in (0.28, 0.6, 1.0)]
    return every("images-top-grows", [bool((torch.stack(tops).diff() > 0).all())])


@control(THM3, "images-along-falls")
def the_trained_size():
    w, x, y = trained()
    values = [bc.along_weights(linear.margins(w, x, y, e, "l2")[0]).mean() for e in (0.0, 0.1, 0.2)]
    return every("images-along-falls", [bool(b < a) for a, b in pairwise(values)])


@control(THM3, "overwhelming-majority")
def budgets_within_the_margin():
    w, x, y = trained()
    rates = [bc.frozen_rate(w, x, y, e, "l2")[0] for e in (0.05, 0.1, 0.2)]
    return every("overwhelming-majority", [bc.not_smaller(rate, 0 * rate) for rate in rates])
