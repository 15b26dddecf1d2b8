"""Negative controls of notebooks/finlay2018/errata: wrong steps that must fail, printed statements where they hold."""

import math

import numpy as np
import sympy
import torch
import z3
from negative_controls import control
from scipy import stats

from advsmooth import checks, claims, settings
from advsmooth.analysis import defences, input_gradient, one_step
from advsmooth.theory import discrepancy, generalisation, interpolation, wasserstein
from advsmooth.theory import strong_convexity as sc

F64 = torch.float64
F1, F2, F3, F4, F5, F6 = (f"finlay2018-F{number}" for number in range(1, 7))
F7, F8, F9, F10, F11, F12 = (f"finlay2018-F{number}" for number in range(7, 13))
LOG2 = math.log(2)


def algebra(rule, wrong):
    """Register the controls of one rule, ``identity`` or ``implies``: each a wrong step, given by its two parts."""
    parts = {"identity": ("left", "right"), "implies": ("assumptions", "conclusion")}[rule]
    for (claim, name), sides in wrong.items():
        given = dict(zip(parts, sides, strict=True))
        control(claim, name)(lambda name=name, given=given: getattr(checks, rule)(name, "", **given))


# --- identities with one slip each --------------------------------------------------------------------------------

g, k, m, n, p, r, t, v, w, x, y, z = sympy.symbols("g k m n p r t v w x y z", positive=True)
D, M, T = sympy.symbols("Delta M T", positive=True)
LOSS = sympy.log(1 + sympy.exp(-m))
SIG = 1 / (1 + sympy.exp(-x))
ROOT = D / (g + sympy.sqrt(g**2 + 2 * M * D))  # without the 2
PART = sympy.sqrt(p * t / n), 4 * t / (3 * n)  # the variance halved
AREA = r**m * (k**2 - 2 * k * r * m / (m + 1) + m * r**2 / (m + 1))
AT_HALF = {w: 1, x: sympy.log(1)}  # where the slope of the logistic loss is 1/2 ...
STEP = sympy.log(1 + sympy.exp(-w * (x - v))).diff(v).subs(v, 0)

algebra(
    "identity",
    {
        (F3, "square"): (
            (2 * STEP).subs(AT_HALF),
            (4 * STEP**2).subs(AT_HALF),
        ),  # ... and twice it is 1, its own square
        (F3, "first-power"): (STEP, STEP**2),
        (F4, "near"): (sympy.limit((sympy.log(3) - LOSS) * (1 + sympy.exp(m)) / m, m, 1), 1),
        (F4, "log-odds"): (sympy.exp(LOSS) - 1, sympy.exp(m)),
        (F4, "chain"): (-LOSS.diff(m), 1 - LOSS),
        (F4, "root"): (g * ROOT + M * ROOT**2 / 2, D),
        (F6, "invert"): (
            n * sum(PART) ** 2 - t * (2 * p + sympy.Rational(4, 3) * sum(PART)),
            n * PART[0] * PART[1],
        ),
        (F7, "integral"): (sympy.simplify(AREA.diff(r) / r ** (m - 1)), m * (k - r) ** 2),
        (F10, "temperature"): ((m / T) / g, m / g),
        (F10, "two-models"): ((m / g) / (t / v), v / g),  # the margins left out
        (F11, "slope"): (SIG.diff(x), SIG),
        (F12, "second-derivative"): (
            (-z * sympy.log(x + v) - (1 - z) * sympy.log(y + v)).diff(v, 2).subs(v, 0),
            z / x**2 - (1 - z) / y**2,
        ),
        (F12, "three"): ((-sympy.log(x)).diff(x), 0),
    },
)

# --- implications with one assumption less, or a conclusion too strong ------------------------------------------------

mz, rz, ez, dz, least, gz, p0, p1, p2 = z3.Reals("m r e d least g p0 p1 p2")
lam, K, F, A, B, Fn, u0, v0, Lv, Ly, th, Lam, dif, q1, q2, W = z3.Reals("lam K F A B Fn u0 v0 Lv Ly th Lam dif q1 q2 W")
Z, P, wz, R, root, share, side, kz, power, cz, mu, rest, a, b = z3.Reals(
    "Z P w R root share side k power c mu rest a b"
)
GAP = z3.If(Z >= P, Z - P, P - Z)
SIZE = z3.If(gz >= 0, gz, -gz)

algebra(
    "implies",
    {
        (F1, "median"): ([mz > 0, rz > 0, z3.Implies(rz < mz, ez < 0.5), ez >= 0.4], mz <= rz),
        (F2, "reciprocal"): ([least > 0, dz > 0], 1 / dz <= 1 / least),
        (F3, "coordinate"): ([dz <= 2, dz >= -1], z3.And(dz * gz <= SIZE, dz * gz >= -SIZE)),
        (F4, "half"): ([p0 >= 0, p1 >= 0, p2 >= 0, p0 + p1 + p2 == 1], 2 * p0 <= 1),
        (F5, "labels-compete"): ([lam > 0, F + lam * K <= lam * Ly], Ly >= K),  # a loss that may be negative
        (F5, "exchange"): (
            [
                lam > 0,
                th > 0,
                th / 2 * A <= (F + lam * K) - (u0 + lam * Lv),
                th / 2 * B <= (v0 + 2 * lam * Lv) - (Fn + lam * K),  # another price: the penalties stay
            ],
            th / 2 * (A + B) <= (F - Fn) - (u0 - v0),
        ),
        (F5, "loss-slope"): (  # the labels forgotten, as in (4.17)
            [Lam >= 0, rz >= 0, q1 <= K * rz, q2 <= Ly * rz, dif <= Lam * (q1 + q2)],
            dif <= Lam * K * rz,
        ),
        (F5, "sum-up"): (
            [q1 == Lam * W, q1 >= 0, Ly >= K, Lv <= Ly, F - Fn <= q1 * (K + Ly), v0 - u0 <= q1 * (Lv + Ly)],
            (F - Fn) - (u0 - v0) <= 2 * q1 * Ly,
        ),
        (F6, "mended-line"): ([Z >= 0, P >= 0, ez >= 0, ez >= GAP], Z * wz <= P * wz),
        (F6, "choice"): (
            [R > 0, root >= 0, share >= 0, share <= R * R / 2, root * root == 2 * share, side <= 2 * R],  # R above 1
            z3.And(3 * (root + 4 * share / 3) <= 5 * R, 6 * (side + (root + 4 * share / 3) / 2) <= 17 * R),
        ),
        (F6, "printed-line"): (
            [Z >= 0, P >= 0, ez >= 0, ez >= GAP, wz >= 0],
            Z * wz <= (P + ez) * wz,
        ),  # where it holds
        (F7, "worst"): (
            [mz > 0, kz >= 0],  # cones that end within the ball
            (mz + 1) * (mz + 2) - 2 * mz * kz * (mz + 2) + mz * kz * kz * (mz + 1) >= 3,
        ),
        (F7, "printed-true"): ([mz >= 1, power >= mz], z3.And(2 * power >= mz + 3, 4 >= 3)),
        (F8, "coefficients"): (
            [p0 >= 0, p1 >= 0, p2 >= 0, p0 + p1 + p2 == 1],
            z3.And((1 - p0) + p1 + p2 == 2 * (1 - p0), (1 - p0) + p1 + p2 <= 1),
        ),
        (F8, "markov"): ([cz > 0, share >= 0, mu >= cz * share + rest], share * cz <= mu),  # a quantity below 0
        (F9, "one-curve"): ([a >= b], z3.Not(p0 < p1)),  # two curves
        (F11, "quarter"): (
            [p0 >= 0, p0 <= 1],
            z3.And(5 * p0 * (1 - p0) <= 1, z3.Implies(4 * p0 * (1 - p0) == 1, 2 * p0 == 1)),
        ),
        (F12, "two"): ([p0 >= 0, p0 <= 1, a >= 0, b >= 1], p0 * a + (1 - p0) * b >= 1),  # weights of three classes
    },
)

# --- F1, F8, F9: the tables -------------------------------------------------------------------------------------------

TABLES = [claims.claim(f"finlay2018-tab{k}").published for k in (2, 3)]
ROWS = [np.array([row for name, row in table.items() if name != "columns"]) for table in TABLES]
COLUMN = {name: k for k, name in enumerate(TABLES[0]["columns"])}


def wrong_side(rows):
    return defences.medians_against_errors(rows[:, 4], rows[:, 5], 8 / 255)


@control(F1, "printed")
def all_rows_but_the_last():
    return checks.at_most("printed", "", measured=wrong_side(ROWS[0][:-1]), bound=0.0, sample="", scale="")


@control(F1, "mended")
def as_printed():
    return checks.at_most("mended", "", measured=wrong_side(ROWS[0]), bound=0.0, sample="", scale="")


@control(F1, "ratio")
def the_printed_ratio():
    ratios = ROWS[0][:, 4] / ROWS[0][:, 1]
    return checks.equal("ratio", "", measured=ratios, expected=float(np.median(ratios)), atol=0.002, sample="")


@control(F8, "logits")
def loss_gradients_a_third_as_large():
    ratio = ROWS[0][:, COLUMN["mean_grad_loss_2"]] / 3 / (2 * ROWS[0][:, COLUMN["mean_grad_f_2inf"]])
    return checks.at_most("logits", "", measured=ratio, bound=1.0, sample="")


@control(F8, "table-6")
def the_rows_of_strong_regularisation():
    most = ROWS[0][-2:, COLUMN["mean_grad_f_2inf"]] / 2.445
    return checks.at_most("table-6", "", measured=np.full(2, 0.055), bound=most, sample="")


@control(F8, "logits-bound")
def probabilities_in_place_of_logits():
    w, x = torch.tensor([[-5.0, 0.0], [5.0, 0.0]], dtype=F64), torch.ones(2, dtype=F64)
    p = (w @ x).softmax(0)
    jacobian = (torch.diag(p) - torch.outer(p, p)) @ w
    loss = (w.T @ (p - torch.tensor([1.0, 0.0], dtype=F64))).norm()
    return checks.at_most("logits-bound", "", measured=loss / (2 * jacobian.norm(dim=1).max()), bound=1.0, sample="")


def order(radius):
    ratios = np.append(np.full(5, 8 / 255) / ROWS[0][:-1, 4], radius / 255 / ROWS[1][:, 4])
    return float(stats.spearmanr(ratios, np.append(ROWS[0][:-1, 5], ROWS[1][:, 5])).statistic)


@control(F9, "text")
def the_two_radii_exchanged():
    return checks.at_most("text", "", measured=order(8), bound=order(1), sample="")


@control(F9, "grow")
def errors_that_fall():
    p = stats.spearmanr(range(10), range(10, 0, -1), alternative="greater").pvalue
    return checks.at_most("grow", "", measured=p, bound=0.05, sample="")


@control(F9, "nine-tenths")
def a_single_table():
    """Within Table 3 the order is perfect."""
    found = float(stats.spearmanr(1 / ROWS[1][:, 4], ROWS[1][:, 5]).statistic)
    return checks.at_most("nine-tenths", "", measured=0.9, bound=found, sample="")


# --- F2 ------------------------------------------------------------------------------------------------------------


def entry(name, measured):
    return checks.within(name, "", measured=measured, published=0.417, tolerance={"abs": 0.002}, sample="", scale="")


@control(F2, "caption")
def the_reciprocal_for_the_distance():
    return entry("caption", 1 / 2.3987)


@control(F2, "text")
def the_distance_for_the_reciprocal():
    return entry("text", 2.3987)


@control(F2, "digits")
def pairs_of_one_class_included():
    x, y = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    largest, smallest = 1 / (x[y == 1] - x[y == 0]).abs().min(), (x[0] - x[1]).abs()
    return checks.equal("digits", "", measured=largest * smallest, expected=1.0, atol=1e-6, sample="")


# --- F3 ------------------------------------------------------------------------------------------------------------

DRAW = settings.generator(3)
SLOPES = torch.randn(50, 6, generator=DRAW, dtype=F64)
RIVALS = 2 * torch.rand(50, 6, generator=DRAW, dtype=F64) - 1


def gain(d):
    return (d * SLOPES).sum(1) / SLOPES.abs().sum(1)


@control(F3, "minimiser")
def the_negative_minimises():
    return checks.at_most("minimiser", "", measured=gain(-SLOPES.sign()), bound=gain(RIVALS), sample="")


@control(F3, "maximiser")
def rivals_outside_the_cube():
    return checks.at_most("maximiser", "", measured=gain(2 * SLOPES.sign()), bound=gain(SLOPES.sign()), sample="")


@control(F3, "attained")
def the_normalised_gradient():
    d = SLOPES / SLOPES.norm(dim=1, keepdim=True)
    return checks.equal("attained", "", measured=gain(d), expected=1.0, atol=1e-12, sample="")


# --- F4 ------------------------------------------------------------------------------------------------------------


def logistic(m):
    return torch.nn.functional.softplus(-m, threshold=500), torch.sigmoid(-m)


def ratio(m):
    return input_gradient.estimated_distances(*logistic(m), LOG2) / m


FAR, NEAR = torch.tensor([3.0, 10.0], dtype=F64), torch.tensor([1e-3, 1e-2], dtype=F64)


@control(F4, "estimate")
def close_to_the_boundary():
    return checks.equal("estimate", "", measured=ratio(NEAR), expected=1.0, atol=0.25, sample="")


def smallest_wrong_loss(classes, clear=0.0):
    """Of an output in which label 0 loses to label 1 by the margin ``clear`` and a hair."""
    logits = torch.full((1, classes), -1e3, dtype=F64)
    logits[0, :2] = torch.tensor([0.0, 1e-9 + clear], dtype=F64)
    return -logits.log_softmax(1)[0, 0].item()


@control(F4, "log-k")
def two_classes():
    return checks.equal("log-k", "", measured=smallest_wrong_loss(2), expected=math.log(2), atol=0.01, sample="")


@control(F4, "log-2")
def outputs_that_are_clearly_wrong():
    return checks.equal("log-2", "", measured=smallest_wrong_loss(10, 0.1), expected=LOG2, atol=1e-8, sample="")


@control(F4, "near-boundary")
def far_from_the_boundary():
    return checks.equal("near-boundary", "", measured=ratio(FAR), expected=1.0, atol=0.01, sample="")


@control(F4, "repaired")
def the_gradient_of_the_loss_for_that_of_the_odds():
    loss, slope = logistic(FAR)
    found = one_step.log_odds_distances(loss, slope / (-(-loss).expm1())) / FAR
    return checks.equal("repaired", "", measured=found, expected=1.0, atol=1e-8, sample="")


@control(F4, "certified")
def no_curvature():
    found = one_step.certified_distances(*logistic(FAR), 0.0, LOG2) / FAR
    return checks.at_most("certified", "", measured=found, bound=1.0, sample="")


# --- F5 ------------------------------------------------------------------------------------------------------------

LINE = generalisation.zigzag(1)
SAMPLES = [generalisation.sample(100, 1, seed) for seed in range(10)]


def solved(sample, price):
    return generalisation.on_the_line(generalisation.straight(sample, price), LINE, price)


@control(F5, "high-price")
def a_moderate_price():
    rate = 1000 * LINE.objective(1.0) * discrepancy.rate(100, 30.0, 1)
    broken = np.mean([solved(sample, 1.0).square > rate for sample in SAMPLES])
    return checks.at_most("high-price", "", measured=broken, bound=0.5, sample="")


@control(F5, "constant-w")
def labels_that_are_constant():
    found = [abs(((0.5 - 0.5 * torch.ones_like(sample)) ** 2).mean().item()) for sample in SAMPLES]
    return checks.at_most("constant-w", "", measured=found, bound=0.0, sample="")


@control(F5, "exchange-measured")
def another_function_in_place_of_the_minimiser():
    found = [solved(sample, 1e-2) for sample in SAMPLES]
    measured = [(2 * (one.square + one.on_data)) / one.exchange for one in found]
    return checks.at_most("exchange-measured", "", measured=measured, bound=1.0, rtol=1e-5, sample="")


@control(F5, "repaired")
def a_tenth_of_the_distance_squared():
    measured = [solved(sample, 1.0).square for sample in SAMPLES]
    bound = [0.1 * wasserstein.to_uniform(sample[:, 0]) ** 2 for sample in SAMPLES]
    return checks.at_most("repaired", "", measured=measured, bound=bound, sample="")


# --- F6 and F7 -----------------------------------------------------------------------------------------------------


def largest_c(probability, side):
    """The largest c for which (B.2) holds at eps = h, for a cube of this probability."""
    n = round(probability * (1 - probability) / (9 * side**2))
    law = stats.binom(n, probability)
    beyond = law.sf(math.floor(n * (probability + side))) + law.cdf(math.ceil(n * (probability - side)) - 1)
    return math.log(2 / beyond) / (n * side), beyond, n


@control(F6, "b2")
def a_density_bounded_above():
    found = [largest_c(h, h)[0] for h in (1e-2, 1e-3)]
    return checks.at_most("b2", "", measured=np.full(2, 0.01), bound=found, sample="")


@control(F6, "b1")
def a_variance_of_the_side():
    """What (B.2) would need: h in place of the probability sqrt(h)."""
    _, beyond, n = largest_c(1e-3, 1e-6)
    bound = math.exp(discrepancy.bernstein(n, 1e-6, 1.0, np.array(1e-6)))
    return checks.at_most("b1", "", measured=beyond / bound, bound=1.0, sample="")


@control(F6, "lemma")
def data_at_one_end():
    found = discrepancy.to_power(torch.zeros(10**5, dtype=F64), 1.0) / discrepancy.radius(10**5, 3.0, 1)
    return checks.at_most("lemma", "", measured=found, bound=1.0, sample="")


def over_needed(constant, height=1.0):
    return [constant(m, 1.0) * 0.5 * interpolation.cone_integral(height, 1.0, m, 1.0) / height**2 for m in (2, 5)]


@control(F7, "printed-attained")
def the_sharp_constant():
    measured = over_needed(interpolation.sharp_large_constant)
    return checks.equal("printed-attained", "", measured=measured, expected=1.0, atol=1e-9, sample="")


@control(F7, "attained")
def the_printed_constant():
    measured = over_needed(interpolation.large_constant)
    return checks.equal("attained", "", measured=measured, expected=1.0, atol=1e-9, sample="")


@control(F7, "higher")
def a_cone_of_half_the_height():
    """Below L r the case is that of (A.1)."""
    measured = [1 / c for c in over_needed(interpolation.sharp_large_constant, 0.5)]
    return checks.at_most("higher", "", measured=measured, bound=1.0, sample="")


# --- F10, F11 and F12 ----------------------------------------------------------------------------------------------

PRODUCT = ROWS[0][:, COLUMN["mean_grad_f_2inf"]] * ROWS[0][:, COLUMN["l2_median_distance"]]


@control(F10, "inverse")
def the_first_four_rows():
    return checks.at_most("inverse", "", measured=PRODUCT[:4].max() / PRODUCT[:4].min(), bound=1.5, sample="")


@control(F10, "temperature-inverse")
def models_whose_margins_stay():
    """Weights times s, inputs over s: the margins stay, and gradient and distance are inverse to each other."""
    found = []
    for s in (0.125, 1.0, 8.0):
        w, x = s * SLOPES[:3], RIVALS / s
        top = (x @ w.T).sort(dim=1, descending=True)
        gap = (w[top.indices[:, 0]] - w[top.indices[:, 1]]).norm(dim=1)
        distance = ((top.values[:, 0] - top.values[:, 1]) / gap).median()
        found.append((w.norm(dim=1).max() * distance).item())
    return checks.at_most("temperature-inverse", "", measured=max(found) / min(found), bound=1.5, sample="")


@control(F10, "margin")
def the_margin_alone():
    margin, slope = torch.tensor([1.0, 2.0], dtype=F64), torch.tensor([2.0, 2.0], dtype=F64)
    return checks.equal("margin", "", measured=margin, expected=margin / slope, atol=1e-9, sample="")


@control(F11, "close")
def the_undefended_network_of_table_3():
    largest, constant = ROWS[1][0, COLUMN["max_grad_f_2inf"]], claims.claim("finlay2018-tab4").published["CIFAR100"]
    return checks.at_most("close", "", measured=largest / constant, bound=2.0, sample="")


MARGINS = torch.tensor([0.0, 1.0], dtype=F64)


@control(F11, "accurate")
def data_near_the_boundary():
    measured = 1 / (4 * torch.sigmoid(MARGINS) * torch.sigmoid(-MARGINS))
    return checks.at_most("accurate", "", measured=measured, bound=2.0, sample="")


@control(F11, "lower-bound")
def logits_in_place_of_probabilities():
    """Their constant is |w|, not a quarter of it."""
    return checks.at_most("lower-bound", "", measured=4.0, bound=1.0, sample="")


@control(F11, "upper-bound")
def one_row_of_zeros():
    w = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=F64)
    found = 4 * torch.linalg.matrix_norm(w, 2) * math.sqrt(2) / 4 / w[0].norm()
    return checks.equal("upper-bound", "", measured=found, expected=1.0, atol=1e-9, sample="")


@control(F11, "between")
def a_step_between_the_points():
    return checks.at_most("between", "", measured=1 / (2 * MARGINS[1:]), bound=0.25, sample="")


CORNER = torch.tensor([[1.0, 0.0]], dtype=F64)


@control(F12, "none")
def three_classes_only():
    y = torch.tensor([[0.2, 0.3, 0.5]], dtype=F64)
    found = sc.curvature(y, torch.tensor([[1.0, 0.0, 0.0]], dtype=F64), 0.0)
    return checks.equal("none", "", measured=found, expected=0.0, atol=1e-8, sample="")


@control(F12, "three-or-more")
def two_classes_among_them():
    found = sc.curvature(torch.tensor([[0.5, 0.5]], dtype=F64), CORNER, 0.0)
    return checks.equal("three-or-more", "", measured=found, expected=0.0, atol=1e-8, sample="")


@control(F12, "half")
def a_larger_theta():
    found = sc.curvature(torch.tensor([[0.999, 0.001]], dtype=F64), CORNER, 0.0)
    return checks.at_most("half", "", measured=0.6, bound=found, sample="")


@control(F12, "attained")
def an_undecided_prediction():
    found = sc.curvature(torch.tensor([[0.5, 0.5]], dtype=F64), CORNER, 0.0)
    return checks.equal("attained", "", measured=found, expected=0.5, atol=1e-5, sample="")
