"""Negative controls of notebooks/zhu2022/errata."""

# ruff: noqa: N803, N806 - the paper's own symbols
import math

import numpy as np
import sympy as sp
import torch
import z3
from bare_checks import agrees, at_most, equal, every, identity, implies
from negative_controls import control

from advsmooth import settings
from advsmooth.analysis import gradient_change, homogeneity, stability
from advsmooth.models import fcn
from advsmooth.theory import gram, lazy_bound, rescaling
from advsmooth.theory import initialisation as theory
from advsmooth.training import layer_rates, two_layers

D, OUT = 16, 4
INPUTS = torch.nn.functional.normalize(torch.randn(50, D, generator=settings.generator(0)), dim=1)


def response(scheme, m, L):
    return theory.Response(fcn.initialisation(scheme, D, m, OUT), m, OUT, L)


# ---------------------------------------------------------------- Z1


@control("zhu2022-Z1", "any-angle")
def gates_that_know_the_size():
    """A gate that opens for large products is no coin."""
    W = torch.randn(20_000, 8, generator=settings.generator(0), dtype=torch.float64)
    energy = (W.square() * (W.abs() >= 0.6745)).sum(1)  # open half of the time
    return agrees("any-angle", energy.mean().item(), energy.std().item() / 20_000**0.5, 4.0)


@control("zhu2022-Z1", "reflection")
def a_law_without_symmetry():
    opened, closed, event, open_all, closed_all = z3.Reals("opened closed event open_all closed_all")
    return implies(
        "reflection",
        [opened >= 0, closed >= 0, event == opened + closed, open_all == closed_all, open_all + closed_all == 1],
        closed_all + opened == z3.RealVal(1) / 2 + event / 2,
    )


@control("zhu2022-Z1", "half-circle")
def a_gate_that_is_open_for_a_third():
    theta, phi, p = sp.symbols("theta phi p", real=True)
    square = sp.expand(sp.expand_trig(sp.cos(phi - theta)) ** 2)
    left = p * sp.integrate(square, (phi, -sp.pi / 3, sp.pi / 3))
    return identity("half-circle", left, p * sp.integrate(square, (phi, 0, 2 * sp.pi)) / 3)


@control("zhu2022-Z1", "variance")
def a_sign_in_place_of_the_normal():
    return identity("variance", sp.Rational(1, 2) - sp.Rational(1, 2) ** 2, sp.Rational(5, 4))


# ---------------------------------------------------------------- Z2


@control("zhu2022-Z2", "one-rate")
def equal_constants():
    return equal("one-rate", rescaling.best_common_rate((2.0, 2.0), (1.0, 1.0))[1], 0.0, 1e-12)


@control("zhu2022-Z2", "step")
def a_rate_of_c():
    c, w, g, eta = sp.symbols("c w g eta", positive=True)
    return identity("step", c * w - c * eta * (g / c), c * (w - eta * g))


@control("zhu2022-Z2", "one-rate-only-if")
def a_layer_without_a_gradient():
    c1, c2, r, eta, g1, g2 = z3.Reals("c1 c2 r eta g1 g2")
    rates = [r * g1 == c1 * c1 * eta * g1, r * g2 == c2 * c2 * eta * g2]
    return implies("one-rate-only-if", [c1 > 0, c2 > 0, eta > 0, g1 != 0, *rates], c1 == c2)


@control("zhu2022-Z2", "best-rate")
def the_mean_of_the_rates():
    s1, s2, u1, u2 = sp.symbols("s1 s2 u1 u2", positive=True)
    rate = (1 / u1 + 1 / u2) / 2
    right = s1 * s2 * (u1 - u2) ** 2 / (s1 * u1**2 + s2 * u2**2)
    return identity("best-rate", (rate * u1 - 1) ** 2 * s1 + (rate * u2 - 1) ** 2 * s2, right)


@control("zhu2022-Z2", "rate-per-layer")
def a_common_rate():
    W = fcn.draw_weights(3, 8, 1, 2, "he", settings.generator(0), dtype=torch.float64)
    x, c = INPUTS[:10, :3].double(), (2.0, 0.5)
    ends = []
    for factors in ((1.0, 1.0), c):
        alpha = math.prod(factors)
        loss = lambda w, _, a=alpha: (layer_rates.outputs(w, x, a)[:, 0] - 1).square().sum() / 2  # noqa: E731
        ((_, end),) = layer_rates.descend(rescaling.rescaled(W, factors), loss, [0.05, 0.05], [5])
        ends.append(torch.cat([(part / s).flatten() for part, s in zip(end, factors, strict=True)]))
    return every("rate-per-layer", ends[1] == ends[0])


# ---------------------------------------------------------------- Z3


@control("zhu2022-Z3", "bound")
def half_of_the_constant():
    one = response("he", 1024, 2)
    return at_most("bound", one.first_moment, math.sqrt(OUT / 2) / 2 * one.order)


@control("zhu2022-Z3", "second-moment")
def layers_without_gates():
    o, m, b1, b, bl = sp.symbols("o m beta_1 beta beta_L", positive=True)
    order = sp.sqrt(m) * bl * b1 * (b * sp.sqrt(m / 2)) ** 3
    return identity("second-moment", o * bl**2 * (m * b1**2) * (m * b**2) ** 3, o / 2 * order**2)


@control("zhu2022-Z3", "mean-below-root")
def a_negative_variance():
    mean, square, spread, root = z3.Reals("mean square variance root")
    return implies("mean-below-root", [square == mean * mean + spread, root >= 0, root * root == square], mean <= root)


@control("zhu2022-Z3", "mean-square", "mean-norm")
def without_the_gates(name):
    """The moments of a network whose gates are all open."""
    one = stability.estimate(
        stability.initial_fcn(INPUTS, 8, OUT, 3, "he", initialisations=6000, generator=settings.generator(0))
    )
    there = response("he", 8, 3)
    if name == "mean-square":
        return agrees(name, one.square, one.square_error, 4 * there.second_moment * theory.ball_mean_square(D))
    return agrees(name, one.mean, one.mean_error, there.wide_limit(D))


# ---------------------------------------------------------------- Z4


@control("zhu2022-Z4", "depth-harms")
def the_bound_and_the_depth():
    values = [lazy_bound.LazyBound(fcn.initialisation("he", D, 16, OUT), 16, L).value for L in (2, 4, 8)]
    return every("depth-harms", np.diff(values) > 0)


@control("zhu2022-Z4", "rise-and-fall")
def the_bound_and_the_width():
    values = [lazy_bound.LazyBound(fcn.initialisation("he", D, m, OUT), m, 3).value for m in (2, 8, 32, 128, 512)]
    return every("rise-and-fall", [(np.diff(values) < 0).any()])


@control("zhu2022-Z4", "root")
def a_smaller_square():
    s = z3.Real("s")
    return implies("root", [s >= 0], s >= 1 + (s * s - 1) / 2 - (s * s - 1) * (s * s - 1) / 10)


@control("zhu2022-Z4", "leave-one-out")
def one_left_out_always():
    a, b, c = sp.symbols("a b c", positive=True)
    return identity("leave-one-out", (a + b) / 2, (a + b + c) / 3)


@control("zhu2022-Z4", "contraction")
def a_closer_lower_end():
    """5/(8m) is the leading term, and no bound."""
    return every("contraction", [theory.contraction(m) >= 1 - 0.625 / m for m in range(1, 20)])


@control("zhu2022-Z4", "factor")
def the_root_mean_square():
    ratio = response("he", 16, 6).rms / response("he", 16, 5).rms
    return equal("factor", ratio / theory.contraction(16), 1.0, 1e-12)


@control("zhu2022-Z4", "free-of-width")
def with_the_factor():
    return equal("free-of-width", response("he", 16, 8).stability(D) / response("he", 2, 8).stability(D), 1.0, 1e-12)


# ---------------------------------------------------------------- Z5


@control("zhu2022-Z5", "exponential")
def a_change_that_does_vanish():
    order = np.array([gradient_change.claimed_order(m, 2) for m in (64, 128)])
    return at_most("exponential", 0.5 * order, order)


@control("zhu2022-Z5", "vanishing-bound")
def he_in_place_of_lecun():
    floor = homogeneity.floor_at_loss(0.1, d=784, o=10, norm=1.0)
    factor = 10 * lazy_bound.least_constant(784, 10)
    bounds = [factor * lazy_bound.LazyBound(fcn.he(784, 10**9, 10), 1e9, L).initial for L in (2, 8, 32)]
    return at_most("vanishing-bound", [floor] * 3, bounds)


@control("zhu2022-Z5", "cauchy")
def the_other_product():
    a1, a2, x1, x2 = sp.symbols("a1 a2 x1 x2", real=True)
    left = (a1**2 + a2**2) * (x1**2 + x2**2) - (a1 * x1 - a2 * x2) ** 2
    return identity("cauchy", left, (a1 * x2 - a2 * x1) ** 2)


@control("zhu2022-Z5", "mirror")
def the_same_sign_twice():
    S, y, f = z3.Reals("S y f")
    size = lambda t: z3.If(t >= 0, t, -t)  # noqa: E731
    return implies("mirror", [size(y) == S], size(y - f) + size(y - f) >= 2 * S)


@control("zhu2022-Z5", "jensen")
def a_smaller_product():
    p, q, S = z3.Reals("p q S")
    return implies("jensen", [p > 0, q > 0, p + q == S], 5 * p * q <= S * S)


@control("zhu2022-Z5", "mean-gap")
def the_largest_gap():
    f1, f2, f3 = sp.symbols("f1 f2 f3", real=True)
    return identity("mean-gap", f1 - f2, sp.Rational(3, 2) * (sp.Rational(2, 3) * f1 - f2 / 3 - f3 / 3))


@control("zhu2022-Z5", "its-norm")
def the_norm_of_e_y():
    return identity("its-norm", 1, sp.Rational(2, 3))


def along_a_line():
    start, line = gradient_change.one_direction(D, 16, 1, 2, settings.generator(0))
    x = line[None]
    loss = lambda w, _: (layer_rates.outputs(w, x)[0, 0] - 1).square() / 2  # noqa: E731
    ((_, end),) = layer_rates.descend(start, loss, [0.02] * 2, [50])
    change = gradient_change.exact_change(fcn.jacobian(end, x) - fcn.jacobian(start, x))
    return gradient_change.least_change(layer_rates.outputs(end, x), layer_rates.outputs(start, x), x), change, x


@control("zhu2022-Z5", "least-change")
def twice_the_lower_bound():
    least, change, _ = along_a_line()
    return at_most("least-change", 2 * least / change, 1.0)


@control("zhu2022-Z5", "tight")
def a_network_that_looks_everywhere():
    W = fcn.draw_weights(D, 16, 1, 2, "he", settings.generator(0), dtype=torch.float64)
    x = INPUTS[:1].double()
    change = gradient_change.exact_change(fcn.jacobian(W, x))
    return equal("tight", homogeneity.floor(fcn.forward(W, x), x) / change, 1.0, 1e-9)


@control("zhu2022-Z5", "floor")
def a_network_with_a_bias():
    """A constant is added to the output, and the floor is no longer one."""
    W = fcn.draw_weights(D, 16, 1, 2, "he", settings.generator(0), dtype=torch.float64)
    x = INPUTS[:1].double()
    floor = homogeneity.floor(fcn.forward(W, x) + 10, x)
    return at_most("floor", floor / gradient_change.exact_change(fcn.jacobian(W, x)), 1.0)


@control("zhu2022-Z5", "outputs-for-a-loss")
def half_of_the_loss():
    logits = torch.tensor([[4.0] + [0.0] * 9], dtype=torch.float64)
    logits = logits - logits.mean(1, keepdim=True)
    entropy = torch.nn.functional.cross_entropy(logits, torch.zeros(1, dtype=torch.int64))
    return at_most("outputs-for-a-loss", homogeneity.logit_norm(float(entropy) / 2, 10) / logits.norm(), 1.0)


# ---------------------------------------------------------------- Z6

PAIR = torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
SIGNS, A0 = torch.tensor([1.0, -1.0], dtype=torch.float64), torch.ones(1, dtype=torch.float64)


def away(side, gate):
    """Rates of f when w starts off the border of the second point, and the formula with this gate."""
    W0 = torch.tensor([[0.2, (side - 0.1) / 0.75**0.5]], dtype=torch.float64)  # w.x_1 = 0.2, w.x_2 = side
    f0 = two_layers.predictions(W0, A0, PAIR)
    ((_, W1, a1),) = two_layers.descend(W0, A0, PAIR, two_layers.squared(SIGNS), 1.0, 5e-6, [2000])
    moved = (two_layers.predictions(W1, a1, PAIR) - f0) / 0.01
    gates = torch.tensor([[1.0], [gate]], dtype=torch.float64)
    return moved, -(gram.gated(gates, A0, PAIR) + gram.second_layer(W0, PAIR)) @ (f0 - SIGNS), W1


@control("zhu2022-Z6", "gate-open")
def a_weight_inside_the_gate():
    moved, formula, _ = away(0.1, 1.0)
    return equal("gate-open", moved, formula, 0.02)


@control("zhu2022-Z6", "gate-closed")
def a_weight_outside_the_gate():
    moved, formula, _ = away(-0.1, 0.0)
    return equal("gate-closed", moved, formula, 0.02)


@control("zhu2022-Z6", "gate-fractional")
def a_fraction_where_nothing_slides():
    moved, formula, _ = away(0.1, 0.4)
    return equal("gate-fractional", moved, formula, 0.02)


@control("zhu2022-Z6", "stays")
def a_weight_that_comes_from_inside():
    return equal("stays", (away(0.1, 1.0)[2] @ PAIR[1]).abs(), 0.0, 1e-4)


@control("zhu2022-Z6", "chain-rule-1", "chain-rule-2")
def without_the_second_layer(name):
    a, e1, e2, c, h1, h2, s1, s2 = sp.symbols("a e1 e2 c h1 h2 s1 s2", real=True)
    moved = {
        "chain-rule-1": a * s1 * -a * (e1 * s1 + e2 * s2 * c) - (e1 * h1 + e2 * h2) * h1,
        "chain-rule-2": a * s2 * -a * (e1 * s1 * c + e2 * s2) - (e1 * h1 + e2 * h2) * h2,
    }
    only_first = {
        "chain-rule-1": -(a**2 * s1 * s1 * e1 + a**2 * s1 * s2 * c * e2),
        "chain-rule-2": -(a**2 * s1 * s2 * c * e1 + a**2 * s2 * s2 * e2),
    }
    return identity(name, moved[name], only_first[name])


@control("zhu2022-Z6", "slide")
def the_other_sign():
    a, e1, e2, c, s1 = sp.symbols("a e1 e2 c s1", real=True)
    return identity("slide", -a * (e1 * s1 * c + e2 * (c * s1 * e1 / e2)), 0)


# ---------------------------------------------------------------- Z7


@control("zhu2022-Z7", "moves-far")
def movements_that_shrink():
    return every("moves-far", [3.0 > 1, 2.0 > 1, 2.0 > 3.0])


@control("zhu2022-Z7", "balance")
def a_bias_in_the_first_layer():
    w, a, r, x, b = sp.symbols("w a r x b", real=True)
    return identity("balance", 2 * w * (-r * a * x) - 2 * a * (-r * (w * x + b)), 0)


@control("zhu2022-Z7", "common-growth")
def the_smaller_norm():
    n1, n2, least, s, X = z3.Reals("N1 N2 A s X")
    return implies(
        "common-growth",
        [n1 > 0, n2 > 0, n1 >= least, n2 >= least, n1 + s >= 0, n2 + s >= 0, X >= 0, (n1 + s) * (n2 + s) >= X * X],
        least + s >= X,
    )


@control("zhu2022-Z7", "every-layer")
def outputs_too_small():
    n, top, s, X = z3.Reals("N A s X")
    return implies("every-layer", [n > 0, top >= n, X >= 0, top + s >= X], (n + s) * top >= X * n)


@control("zhu2022-Z7", "bound")
def a_start_called_smaller():
    """Two equal scalar layers from 0.1 to f = 0.9, with the bound for a start at 0.05."""
    return at_most("bound", 0.9**0.5 / 0.05 - 1, 0.9**0.5 / 0.1 - 1)


@control("zhu2022-Z7", "equality")
def unequal_scalar_layers():
    w, a = 0.01, 0.3
    while w * a < 0.9:
        w, a = w + 0.001 * (1 - w * a) * a, a + 0.001 * (1 - w * a) * w
    return equal("equality", (a - 0.3) / 0.3, (w * a) ** 0.5 / 0.3 - 1, 1e-9)
