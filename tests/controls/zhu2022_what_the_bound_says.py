"""Negative controls of notebooks/zhu2022/what_the_bound_says.

Where the outcome of a check may turn with the record of a larger run, its control has an input on which it holds and
one on which it fails; both are tried, and the one whose outcome is not the page's is returned.
"""

# ruff: noqa: N803, N806 - the paper's own symbols

import math

import numpy as np
import pandas as pd
import sympy as sp
import torch
import z3
from negative_controls import control, other_way
from scipy import stats

from advsmooth import checks, claims, settings
from advsmooth.analysis import homogeneity, networks_and_bound, stability, width_and_depth
from advsmooth.models import fcn
from advsmooth.theory import lazy_bound
from advsmooth.theory.initialisation import Response, ball_mean_square

THM1, TAB1, TAB2, FIG1, TAB3 = (claims.claim(f"zhu2022-{k}").id for k in ("thm1", "tab1", "tab2", "fig1", "tab3"))
D, OUT, M = 16, 10, 16
m, L, d, o, K = sp.symbols("m L d o K", positive=True)


def g(seed=0):
    return settings.generator(seed)


# ---------------------------------------------------------------- before training


def fresh(scheme, m, L, n=2000, inputs=None):
    x = torch.nn.functional.normalize(torch.randn(50, D, generator=g(1)), dim=1) if inputs is None else inputs
    return stability.estimate(stability.initial_fcn(x, m, OUT, L, scheme, initialisations=n, generator=g()))


@control(THM1, "start-slopes")
def the_slope_of_another_depth():
    """Networks of depth 4 double sixteenfold with four times the width; depth 3 would have another slope."""
    init = fcn.Initialisation(0.25, 0.2, 0.3)
    one, two = fresh(init, 32, 4), fresh(init, 128, 4)
    slope = 0.5 * math.log(two.square / one.square) / math.log(4)
    error = 0.5 * math.hypot(one.square_error / one.square, two.square_error / two.square) / math.log(4)
    return checks.agrees("start-slopes", "", estimate=slope, standard_error=error, exact=1.0, sample="")


@control(TAB1, "start-exact")
def without_the_contraction_in_table_1(name="start-exact"):
    """The root mean square in place of the mean: 1/c(m) too large for each layer."""
    found = fresh("he", M, 8)
    law = Response(fcn.he(D, M, OUT), M, OUT, 8)
    return checks.agrees(
        name, "", estimate=found.mean, standard_error=found.mean_error, exact=law.wide_limit(D), sample=""
    )


@control(THM1, "start-exact")
def without_the_contraction():
    return without_the_contraction_in_table_1()


@control(TAB1, "limits")
def he_held_against_the_limit_of_half_the_output_variance():
    """He with output variance 1/m would have the limit √(o/d)."""
    net = fcn.FCN(D, 256, OUT, 3, scheme="he", generator=0)
    x = torch.randn(300, D, generator=g(2))
    square = stability.perturbation_stability(net, x, 1.0, generator=g(3)).square / ball_mean_square(D)
    return checks.at_most("limits", "", measured=abs(square**0.5 / (OUT / D) ** 0.5 - 1), bound=0.05, sample="")


@control(THM1, "first-term-vanishes")
def an_exponential_that_grows():
    return checks.identity(
        "first-term-vanishes", "", left=1 / sp.limit(sp.sqrt(L**3 * m**2) * sp.exp(m / L**3), m, sp.oo) + 1, right=0
    )


@control(THM1, "peak")
def another_power_of_the_depth():
    left = sp.solve(sp.diff(K * sp.log(m) - m / L**2, m), m)[0]
    return checks.identity("peak", "", left=left, right=K * L**3)


@control(THM1, "lecun-limit")
def he_does_not_tend_to_zero():
    return checks.identity(
        "lecun-limit", "", left=sp.limit(K / sp.sqrt(d) * sp.Integer(1) ** (L - 2), L, sp.oo), right=0
    )


def second(first, between, last):
    return sp.sqrt(o / 2) * sp.sqrt(m * last) * sp.sqrt(first) * sp.sqrt(between * m / 2) ** (L - 2)


@control(TAB1, "lecun-limit")
def lecun_without_the_loss_of_energy():
    left = sp.simplify(second(1 / d, 1 / m, 1 / m))
    return checks.identity("lecun-limit", "", left=left, right=sp.sqrt(o / (2 * d)))


@control(TAB1, "he-limit")
def he_with_the_output_variance_of_lecun():
    left = sp.simplify(second(2 / d, 2 / m, 1 / m))
    return checks.identity("he-limit", "", left=left, right=sp.sqrt(2 * o / d))


@control(TAB1, "ntk-limit")
def ntk_with_the_output_variance_of_he():
    return checks.identity("ntk-limit", "", left=sp.simplify(second(2 / m, 2 / m, 2 / m)), right=sp.Integer(1))


# ---------------------------------------------------------------- the floor

Z, GATE, W1, W2, U1, U2 = z3.Reals("z gate w1 w2 u1 u2")


@control(THM1, "gate")
def a_gate_that_is_open_on_the_wrong_side():
    assumptions = [z3.Or(GATE == 0, GATE == 1), z3.Implies(Z > 0, GATE == 1)]
    return checks.implies("gate", "", assumptions=assumptions, conclusion=z3.If(Z > 0, Z, 0) == GATE * Z)


@control(THM1, "component")
def a_vector_longer_than_one():
    inner = U1 * W1 + U2 * W2
    return checks.implies(
        "component", "", assumptions=[U1 * U1 + U2 * U2 <= 2], conclusion=inner * inner <= W1 * W1 + W2 * W2
    )


@control(THM1, "ball")
def the_sphere_in_place_of_the_ball():
    dim, t = sp.symbols("d t", positive=True)
    ratio = sp.sqrt(2 / sp.pi) * sp.gamma(dim / 2) / (sp.sqrt(2) * sp.gamma((dim + 1) / 2))
    beta = sp.gamma(dim / 2 + 1) / (sp.sqrt(sp.pi) * sp.gamma((dim + 1) / 2))
    left = 2 * sp.integrate(t * (1 - t**2) ** ((dim - 1) / 2), (t, 0, 1)) * beta
    return checks.identity("ball", "", left=left, right=ratio)


@control(THM1, "mean-gap")
def a_mean_that_is_none():
    """The largest gap in place of the mean gap is on the other side."""
    tilt, top, E, gaps = z3.Real("tilt"), z3.Real("top"), z3.Reals("E1 E2 E3"), z3.Reals("g1 g2 g3")
    assumptions = [tilt > 0, 3 * top <= sum(gaps)] + [tilt * (1 - (x - top)) <= e for e, x in zip(E, gaps, strict=True)]
    return checks.implies("mean-gap", "", assumptions=assumptions, conclusion=sum(E) >= 3 * tilt)


@control(THM1, "unit-vector")
def a_vector_of_another_norm():
    out, fy, mean = sp.symbols("o f_y f_mean", positive=True)
    right = sp.sqrt((out - 1) / out) * (out * fy - out * mean) / (out - 1)
    return checks.identity("unit-vector", "", left=(fy - mean) / sp.sqrt(1 - 1 / out**2), right=right)


@control(THM1, "convex")
def a_logarithm_without_the_one():
    out, ell = sp.symbols("o l", positive=True)
    left = sp.diff(sp.log((out - 1) / sp.exp(ell)), ell, 2)
    return checks.identity("convex", "", left=left, right=sp.exp(ell) / (sp.exp(ell) - 1) ** 2)


@control(THM1, "no-room")
def a_bound_that_leaves_room():
    F, P, q, k = z3.Reals("F P q k")
    return checks.implies("no-room", "", assumptions=[F > 0, k > 0, q > 0, k * q > F, P >= F], conclusion=k * q < P)


class Biased(torch.nn.Module):
    """A large output without a gradient: what biases would allow."""

    def __init__(self, size):
        super().__init__()
        self.net, self.size = fcn.FCN(D, 16, OUT, 3, generator=0), size

    def forward(self, x):
        return self.net(x) + self.size


X = torch.nn.functional.normalize(torch.randn(100, D, generator=g(4)), dim=1)


def floor_with_biases(name):
    net = Biased(100.0)
    measured = stability.perturbation_stability(net, X, 1.0, generator=g()).mean
    return checks.at_most(name, "", measured=homogeneity.floor(net(X).detach(), X).mean(), bound=measured, sample="")


control(THM1, "floor")(lambda: floor_with_biases("floor"))
control(TAB1, "floor")(lambda: floor_with_biases("floor"))


def floor_of_a_wrong_loss(name="floor-of-the-loss"):
    """A fresh network whose loss is not small, credited with one that is."""
    outputs = fcn.FCN(D, 16, OUT, 3, generator=0)(X).detach()
    return checks.at_most(
        name,
        "",
        measured=homogeneity.floor_at_loss(1e-3, d=D, o=OUT, norm=1.0),
        bound=homogeneity.floor(outputs, X).mean(),
        sample="",
    )


control(THM1, "floor-of-the-loss")(floor_of_a_wrong_loss)
control(TAB1, "floor-of-the-loss")(floor_of_a_wrong_loss)


@control(THM1, "tight")
def a_network_that_knows_all_directions():
    weights = fcn.draw_weights(D, 32, OUT, 3, "he", g(), dtype=torch.float64)
    x = X[:1].double()
    kicks = stability.uniform_ball(2000, (D,), 1.0, g(1), dtype=torch.float64)
    norms = stability.responses(lambda s: fcn.forward(weights, s), x.expand(2000, D), kicks)
    floor = homogeneity.floor(fcn.forward(weights, x), x).item()
    error = norms.std() / 2000**0.5
    return checks.agrees("tight", "", estimate=norms.mean(), standard_error=error, exact=floor, sample="")


@control(THM1, "euler")
def a_jacobian_with_a_bias_beside_it():
    net = fcn.FCN(D, 16, OUT, 3, generator=0)
    with torch.no_grad():
        outputs = net(X) + 0.1
        rest = (net.jacobian(X) @ X[..., None])[..., 0] - outputs
    return checks.at_most("euler", "", measured=rest.norm() / outputs.norm(), bound=1e-4, sample="")


@control(THM1, "limit-for-trained-networks")
def a_scheme_that_loses_no_energy():
    def make(gamma):
        return checks.at_most(
            "limit-for-trained-networks",
            "",
            measured=np.full(63, 0.012),
            bound=0.5 * gamma ** np.arange(63.0),
            sample="",
        )

    return other_way(THM1, "limit-for-trained-networks", make, 1.0, 2**-0.5)


# ---------------------------------------------------------------- the trained networks


def networks(width=0.0, depth=0.0):
    """Three seeds of a small grid whose logarithm grows by so much with a doubling of the width and with two layers."""
    rows = [
        {"scheme": "he", "n": 100, "seed": s, "m": m, "L": L}
        for s in range(3)
        for L in (2, 4, 6)
        for m in (8, 16, 32, 64, 128, 256)
    ]
    t = pd.DataFrame(rows)
    noise = 0.003 * np.random.default_rng(0).standard_normal(len(t))
    return t.assign(log=width * np.log2(t.m) + depth * t["L"] / 2 + noise)


def along(claim_id, name, direction, holds, fails, number=lambda v: v):
    def make(slope):
        rows = networks(**{direction: slope})
        by_seed = number(width_and_depth.slopes(rows, "m" if direction == "width" else "L"))
        return checks.positive(name, "", differences=by_seed.to_numpy(), sample="")

    return other_way(claim_id, name, make, holds, fails)


HALF = math.log(2) / 2
for claim_, name_, direction_, holds_, fails_, number_ in (
    (THM1, "he-stops-growing", "width", -0.1, 0.2, lambda v: math.log(1.05) - v),
    (THM1, "lecun-lazy", "width", -0.2, 0.2, lambda v: -v),
    (TAB1, "lecun-falls", "depth", -0.2, 0.2, lambda v: -v),
    (TAB1, "lecun-rate", "depth", -0.6, 0.2, lambda v: -v - HALF),
    (TAB1, "he-rises", "depth", 0.2, -0.2, lambda v: v),
    (TAB1, "ntk-rises", "depth", 0.2, -0.2, lambda v: v),
    (TAB1, "lecun-equal-loss", "depth", 0.2, -0.2, lambda v: v),
    (TAB1, "here-he", "depth", 0.2, -0.2, lambda v: v),
    (TAB1, "here-lecun", "depth", -0.2, 0.2, lambda v: -v),
    (TAB1, "here-ntk", "depth", 0.2, -0.2, lambda v: v),
):
    control(claim_, name_)(lambda a=(claim_, name_, direction_, holds_, fails_, number_): along(*a))


def power(name, direction, limit, holds, fails):
    def make(exponent):
        t = networks()
        t = t.assign(log=t.log + exponent * np.log(t.m if direction == "m" else t["L"]))
        by_seed = limit - networks_and_bound.exponents(t, direction)
        return checks.positive(name, "", differences=by_seed.to_numpy(), sample="")

    return other_way(TAB2, name, make, holds, fails)


for name_ in ("width", "here-width"):
    control(TAB2, name_)(lambda n=name_: power(n, "m", 0.5, 0.1, 0.6))
for name_ in ("depth", "here-depth"):
    control(TAB2, name_)(lambda n=name_: power(n, "L", 2.0, 0.5, 2.5))


def better_law(name):
    def make(law):
        t = networks()
        return checks.positive(
            name,
            "",
            differences=networks_and_bound.polynomial_or_exponential(t.assign(log=t.log + law(t["L"]))).to_numpy(),
            sample="",
        )

    return other_way(TAB1, name, make, np.log, lambda depth: 0.5 * depth)


control(TAB1, "he-polynomial")(lambda: better_law("he-polynomial"))
control(TAB1, "ntk-polynomial")(lambda: better_law("ntk-polynomial"))


def humps(tops):
    """He networks of three depths whose stability is largest at given widths."""
    t = networks()
    top = t["L"].map(dict(zip((2, 4, 6), tops, strict=True)))
    found = t.assign(log=t.log - 0.2 * (np.log2(t.m) - np.log2(top)).abs())
    return networks_and_bound.worst_widths(found, draws=200, seed=0)


@control(THM1, "he-worst-width")
def a_worst_width_that_goes_the_other_way():
    def make(tops):
        found = humps(tops)
        return checks.every(
            "he-worst-width", "", cases=[found.iloc[-1].low > found.iloc[0].high], role="trend", sample=""
        )

    return other_way(THM1, "he-worst-width", make, (8, 16, 64), (64, 32, 16))


@control(THM1, "worst-width-at-equal-loss")
def a_hump_inside():
    def make(tops):
        found = humps(tops)
        return checks.every("worst-width-at-equal-loss", "", cases=found.low == found.narrowest, sample="")

    return other_way(THM1, "worst-width-at-equal-loss", make, (8, 8, 8), (8, 16, 64))


@control(THM1, "record-above-floor")
def networks_with_a_smaller_gradient_than_their_outputs_allow():
    def make(P):
        floor = homogeneity.floor_at_loss(0.01, d=784, o=OUT, norm=10.0)
        return checks.at_most("record-above-floor", "", measured=floor, bound=P, sample="")

    return other_way(THM1, "record-above-floor", make, [0.5], [0.01])


# ---------------------------------------------------------------- table 2


@control(TAB2, "wu-order")
def a_bound_that_grows_like_the_older_one():
    left = sp.limit(sp.sqrt(m) / (sp.sqrt(m) * L**2), m, sp.oo)
    return checks.identity("wu-order", "", left=left, right=0)


@control(TAB2, "huang-order")
def and_like_the_other_one():
    left = sp.limit(sp.sqrt(m) / (sp.sqrt(m) * sp.exp(L)), m, sp.oo)
    return checks.identity("huang-order", "", left=left, right=0)


@control(TAB2, "earlier-bounds")
def networks_that_grow_faster():
    def make(exponent):
        cases = [
            exponent * math.log(w / 8) <= math.log(grows(w, 2) / grows(8, 2)) + 1e-9
            for grows in lazy_bound.EARLIER.values()
            for w in (8, 16, 32)
        ]
        return checks.every("earlier-bounds", "", cases=cases, sample="")

    return other_way(TAB2, "earlier-bounds", make, 0.1, 0.7)


# ---------------------------------------------------------------- figure 1 and table 3


@control(FIG1, "shapes")
def a_network_with_biases():
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
    cases = [[tuple(p.shape) for p in net.parameters()] == [(7, 5), (3, 7)]]
    return checks.every("shapes", "", cases=cases, sample="")


@control(FIG1, "layers")
def a_layer_too_many():
    net = fcn.FCN(5, 7, 3, 4, generator=0)
    cases = [[h.shape[1] for h in net.hidden_states(torch.ones(2, 5))] == [7] * 2]
    return checks.every("layers", "", cases=cases, sample="")


@control(TAB3, "deviations")
def he_in_place_of_lecun():
    W = fcn.draw_weights(64, 128, 10, 3, "he", g())[1]
    beta = fcn.lecun(64, 128, 10).beta
    estimate, error = W.square().mean().sqrt(), beta / (2 * W.numel()) ** 0.5
    return checks.agrees("deviations", "", estimate=estimate, standard_error=error, exact=beta, sample="")


@control(TAB3, "gates-and-scale")
def the_scale_forgotten():
    net = fcn.FCN(8, 16, 10, 3, alpha=2.0, generator=0, dtype=torch.float64)
    x = torch.randn(5, 8, generator=g(), dtype=torch.float64)
    with torch.no_grad():
        rest = (net(x) - net.hidden_states(x)[-1] @ net.weights[-1].T).abs().max().item()
    return checks.equal("gates-and-scale", "", measured=[rest], expected=0.0, atol=1e-12, sample="")


@control(TAB3, "laws")
def a_chi_square_of_the_width():
    draws = torch.randn(3000, 10, generator=g()).square().sum(1).numpy()
    return checks.same_law("laws", "", p_values=[stats.kstest(draws, stats.chi2(16).cdf).pvalue], sample="")


@control(TAB3, "norms")
def spectral_and_frobenius_norm_exchanged():
    a = torch.randn(5, 4, generator=g(), dtype=torch.float64)
    singular = torch.linalg.svdvals(a)
    measured = [torch.linalg.matrix_norm(a, k) for k in ("fro", 2)]
    expected = [singular.max(), a.square().sum().sqrt()]
    return checks.equal("norms", "", measured=measured, expected=expected, atol=1e-12, sample="")


@control(TAB3, "notation-page")
def a_symbol_of_no_paper():
    return checks.every("notation-page", "", cases=["$\\aleph$" in "$x_i$"], sample="")
