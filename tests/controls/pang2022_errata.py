"""Negative controls of notebooks/pang2022/errata."""

import math

import sympy as sp
import torch
import z3
from bare_checks import at_most, equal, identity
from negative_controls import control

from advsmooth import checks, settings
from advsmooth.theory import weight_input as wi

P1 = "pang2022-P1"
N = 3072
W = sp.Matrix(2, 2, sp.symbols("w11 w12 w21 w22"))
V = sp.Matrix(2, 2, sp.symbols("v11 v12 v21 v22"))
X, U = (sp.Matrix(sp.symbols(f"{letter}1 {letter}2")) for letter in "xu")
z1, z2, t, lam = sp.symbols("z1 z2 t lambda")


def square_of_first(z):
    return z[0] ** 2 / 2 + z[0] * z[1]


@control(P1, "one-unit", "one-unit-norm-1")
def weights_that_meet_the_condition(name):
    """|w|^2 = |x|^2 / sqrt(n)."""
    size = N if name == "one-unit" else 1.0
    return at_most(name, size / math.sqrt(N), size / math.sqrt(N))


@control(P1, "mean-loss")
def the_constant_of_one_input():
    """L = |x|^2 = 64 for each input by itself; the bound is 8 and the truth 1."""
    return at_most("mean-loss", 1.0, 64 / 8)


@control(P1, "shared")
def a_linear_loss():
    pixels = torch.ones(2, dtype=torch.float64)
    return at_most("shared", wi.symmetric_norm(wi.dense_hessian(lambda u: u.sum() + 0 * u.square().sum(), pixels)), 0.0)


@control(P1, "hessian-in-weights")
def the_other_order_of_the_product():
    found = sp.diff(square_of_first((W + t * V) * X), t, 2).subs(t, 0)
    hessian, rows = sp.Matrix([[1, 1], [1, 0]]), sp.Matrix(list(V))
    return identity(
        "hessian-in-weights",
        sp.expand(found),
        sp.expand((rows.T * sp.kronecker_product(X * X.T, hessian) * rows)[0]),
    )


@control(P1, "hessian-in-input")
def the_transpose():
    found = sp.diff(square_of_first(W * (X + t * U)), t, 2).subs(t, 0)
    hessian = sp.Matrix([[1, 1], [1, 0]])
    return identity("hessian-in-input", sp.expand(found), sp.expand((U.T * W * hessian * W.T * U)[0]))


@control(P1, "spectrum")
def the_norm_in_place_of_its_square():
    S = sp.Matrix([[z1, t], [t, z2]])  # noqa: N806
    left = sp.kronecker_product(S, X * X.T).charpoly(lam).as_expr()
    return identity("spectrum", sp.expand(left), sp.expand(lam**2 * S.charpoly(lam).as_expr()))


@control(P1, "combine")
def the_norm_of_the_weights_to_the_first_power():
    form, w, x, h = z3.Reals("form W x H")
    return checks.implies(
        "combine",
        "",
        assumptions=[x > 0, w >= 0, h >= 0, form <= w * w * h],
        conclusion=form * x * x <= w * (x * x * h),
    )


@control(P1, "linear-in-the-weight")
def another_power():
    w, a, b = sp.symbols("w a b", nonzero=True)
    return identity("linear-in-the-weight", sp.diff((w * a) ** 4 / ((w * a) ** 2 + (w * b) ** 2), w, 2), 0)


def network():
    net = wi.random_mlp((6, 4, 3), seeds=[0], bias_std=0.5)[0]
    points = torch.randn(4, 6, generator=settings.generator(0), dtype=torch.float64)
    return net, points, torch.tensor([0, 1, 2, 0])


@control(P1, "stretched")
def without_the_bias():
    """Stretched about another point than the input at hand."""
    net, points, labels = network()
    before = wi.local_smoothness(net, points[:1], labels[:1])
    after = wi.local_smoothness(net.stretched(10.0, points[1]), points[:1], labels[:1])
    return equal(
        "stretched",
        [*(after.layers / before.layers)[0], after.input[0] / before.input[0] / 100],
        1.0,
        1e-9,
        role="derivation",
    )


@control(P1, "mended")
def the_smallest_singular_value():
    found = wi.local_smoothness(*network())
    return at_most("mended", found.input / found.floor, 1.0)


@control(P1, "tight")
def four_units():
    found = wi.local_smoothness(*network())
    return equal("tight", found.input / found.repaired, 1.0, 1e-9, role="derivation")


@control(P1, "any-step")
def half_of_the_bound():
    """A step along the weights of a first layer of one unit, where the bound is attained."""
    net = wi.random_mlp((6, 1, 4, 3), seeds=[0], bias_std=0.5)[0]
    x = torch.randn(6, generator=settings.generator(0), dtype=torch.float64)
    moved = wi.displacement(net, x, torch.tensor(0), 0.1 * net.weights[0][0])
    return at_most("any-step", 2 * moved.input_change / moved.bound, 1.0)
