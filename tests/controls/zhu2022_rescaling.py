"""Negative controls of notebooks/zhu2022/rescaling."""

# ruff: noqa: N806 - W, A and L are the paper's own symbols

import math

import sympy as sp
import torch
import z3
from negative_controls import control

from advsmooth import checks, claims, settings
from advsmooth.analysis import early_training, gradient_change
from advsmooth.models import fcn
from advsmooth.theory import gram, kernel_limit, rescaling
from advsmooth.training import layer_rates

LEM3, LEM4 = (claims.claim(f"zhu2022-{name}").id for name in ("lem3", "lem4"))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


X, Z = (torch.nn.functional.normalize(normal(5, 8, seed=s), dim=1) for s in (0, 1))
Y = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
C = (3.7, 0.21, 1.9)


def apart(rates, alpha=None, guards=None, steps=100, dtype=torch.float64, c=C, decays=None, **options):
    """How far a twin trained with these settings ends from the network it is a twin of."""
    W = fcn.draw_weights(8, 16, 1, 3, "he", 3, dtype=dtype)
    x, y = X.to(dtype), Y.to(dtype)

    def train(weights, scale, by, **more):
        def loss(w, _):
            return (layer_rates.outputs(w, x, scale)[:, 0] - y).square().mean()

        ((_, end),) = layer_rates.descend(weights, loss, [0.01 * r for r in by], [steps], **more, **options)
        return end

    end = train(W, 1.0, [1.0] * 3, **({"decays": [0.01] * 3} if decays else {}))
    twin = train(
        rescaling.rescaled(W, c),
        rescaling.twin(c).alpha if alpha is None else alpha,
        rates,
        **({"decays": decays} if decays else {}),
    )
    return max(((b / s - a).abs().max() / a.abs().max()).item() for a, b, s in zip(end, twin, c, strict=True))


# ---------------------------------------------------------------- lemma 3: algebra


@control(LEM3, "relu")
def a_negative_constant():
    c, z = z3.Reals("c1 z")
    relu = lambda t: z3.If(t >= 0, t, 0)  # noqa: E731
    return checks.implies("relu", "", assumptions=[c < 0], conclusion=relu(c * z) == c * relu(z))


@control(LEM3, "gradient-1", "gradient-2", "gradient-3")
def the_output_not_divided(name):
    w, x, c1, c2, c3 = sp.symbols("w x c1 c2 c3", positive=True)
    c = {"gradient-1": c1, "gradient-2": c2, "gradient-3": c3}[name]
    return checks.identity(name, "", left=sp.diff(c1 * c2 * c3 * w * x, w) / c, right=sp.diff(w * x, w) / c)


@control(LEM3, "step")
def the_decay_not_divided():
    w, g, eta, lam, c = sp.symbols("w g eta lambda c", positive=True)
    twin = c * w - c**2 * eta * (g / c + lam * c * w)
    return checks.identity("step", "", left=twin, right=c * (w - eta * (g + lam * w)))


@control(LEM3, "velocity")
def a_velocity_that_is_not_scaled():
    v, g, mu, c = sp.symbols("v g mu c", positive=True)
    return checks.identity("velocity", "", left=mu * v + g / c, right=(mu * v + g) / c)


@control(LEM3, "adam")
def the_rate_of_sgd_for_adam():
    w, m, q, eta, c = sp.symbols("w m q eta c", positive=True)
    return checks.identity("adam", "", left=c * w - c**2 * eta * (m / c) / (q / c), right=c * (w - eta * m / q))


@control(LEM3, "one-rate-only-if")
def a_layer_without_gradient():
    c1, c2, r, eta, g1, g2 = z3.Reals("c1 c2 r eta g1 g2")
    assumptions = [c1 > 0, c2 > 0, eta > 0, g1 != 0, r * g1 == c1 * c1 * eta * g1, r * g2 == c2 * c2 * eta * g2]
    return checks.implies("one-rate-only-if", "", assumptions=assumptions, conclusion=c1 == c2)


@control(LEM3, "best-rate")
def a_pair_left_out():
    s, u = sp.symbols("s1:4", positive=True), sp.symbols("u1:4", positive=True)
    second, fourth = (sum(a * b**k for a, b in zip(s, u, strict=True)) for k in (1, 2))
    left = sum((second / fourth * b - 1) ** 2 * a for a, b in zip(s, u, strict=True))
    return checks.identity("best-rate", "", left=left, right=s[0] * s[1] * (u[0] - u[1]) ** 2 / fourth)


# ---------------------------------------------------------------- lemma 3: training


@control(LEM3, "same-function")
def the_output_scale_forgotten():
    W = fcn.draw_weights(8, 16, 2, 3, "he", 1, dtype=torch.float64)
    f, g = fcn.forward(W, X), fcn.forward(rescaling.rescaled(W, C), X)
    return checks.equal("same-function", "", measured=(g - f).norm() / f.norm(), expected=0.0, atol=1e-12, sample="")


@control(LEM3, "trajectories")
def the_same_rate_in_every_layer():
    found = apart([1.0] * 3)
    return checks.equal("trajectories", "", measured=[found], expected=0.0, atol=1e-10, sample="")


@control(LEM3, "optimisers")
def the_decay_of_the_other_network():
    found = apart(rescaling.twin(C).rates, decays=[0.01] * 3)
    return checks.equal("optimisers", "", measured=[found], expected=0.0, atol=1e-10, sample="")


@control(LEM3, "bit-for-bit")
def constants_that_are_not_powers_of_two():
    found = apart(rescaling.twin(C).rates)
    assert found < 1e-10
    return checks.every("bit-for-bit", "", cases=[found == 0], sample="")


@control(LEM3, "schemes")
def he_as_lecun_without_the_factor():
    found = apart(rescaling.twin(C).rates, alpha=2 * rescaling.twin(C).alpha)
    return checks.equal("schemes", "", measured=[found], expected=0.0, atol=1e-9, sample="")


@control(LEM3, "naive")
def with_the_rates_of_the_lemma():
    differences = [apart(rescaling.twin(C).rates, steps=k) - 0.1 for k in (50, 60, 70)]
    return checks.positive("naive", "", differences=differences, sample="")


@control(LEM3, "no-single-rate")
def equal_constants_and_the_right_rate():
    found = [min(apart([r] * 3, c=(2.0, 2.0, 2.0), steps=k) for r in (1.0, 4.0)) - 1e-3 for k in (10, 20, 30)]
    return checks.positive("no-single-rate", "", differences=found, sample="")


@control(LEM3, "after-one-step")
def a_rate_beside_the_best():
    squares = (1.0, 2.0, 0.5)
    best, missed = rescaling.best_common_rate(C, squares)
    other = math.sqrt(sum((1.1 * best / c**2 - 1) ** 2 * s for c, s in zip(C, squares, strict=True)) / sum(squares))
    return checks.equal("after-one-step", "", measured=[other - missed], expected=0.0, atol=1e-9, sample="")


@control(LEM3, "equal-constants")
def one_rate_for_unequal_constants():
    found = apart([rescaling.twin((1.7, 1.7, 1.6)).rates[0]] * 3, c=(1.7, 1.7, 1.6))
    return checks.equal("equal-constants", "", measured=[found], expected=0.0, atol=1e-10, sample="")


# ---------------------------------------------------------------- lemma 4: algebra


@control(LEM4, "euler")
def a_network_with_a_bias():
    w, x, b = sp.symbols("w x b")
    f = w * x + b
    return checks.identity("euler", "", left=sp.diff(f, x) * x, right=f)


@control(LEM4, "cauchy-schwarz")
def without_the_second_coordinate_of_x():
    a1, a2, x1, x2 = z3.Reals("a1 a2 x1 x2")
    return checks.implies(
        "cauchy-schwarz",
        "",
        assumptions=[x1 * x1 + x2 * x2 > 0],
        conclusion=(a1 * x1 + a2 * x2) ** 2 <= (a1 * a1 + a2 * a2) * (x1 * x1),
    )


@control(LEM4, "kappa")
def the_sphere_instead_of_the_ball():
    t = sp.Symbol("t", real=True)
    on_sphere = 2 * sp.integrate(t / 2, (t, 0, 1))
    right = sp.nsimplify(round(early_training.direction_mean(3), 12))
    return checks.identity("kappa", "", left=on_sphere, right=right)


@control(LEM4, "mirror")
def one_network_without_its_mirror_image():
    a, f, y, delta = z3.Reals("a1 f y g1")
    size = lambda t: z3.If(t >= 0, t, -t)  # noqa: E731
    return checks.implies(
        "mirror", "", assumptions=[delta >= 0, size(a - y) <= delta], conclusion=size(a - f) >= size(y) - delta
    )


# ---------------------------------------------------------------- lemma 4: networks


@control(LEM4, "exponential")
def a_change_that_does_vanish():
    widths = [16, 32, 64]
    order = [gradient_change.claimed_order(w, 2) for w in widths]
    return checks.at_most("exponential", "", measured=[0.9 * b for b in order], bound=order, sample="")


def change_of(bias):
    """Change and least change of a network that learns, with an output bias that moves too."""
    W, V = (fcn.draw_weights(8, 16, 3, 3, "he", s, dtype=torch.float64) for s in (1, 2))
    A = fcn.jacobian(V, X) - fcn.jacobian(W, X)
    least = gradient_change.least_change(fcn.forward(V, X) + bias, fcn.forward(W, X), X)
    return A, least


@control(LEM4, "least")
def a_bias_that_learns():
    A, least = change_of(100.0)
    return checks.at_most("least", "", measured=least / gradient_change.exact_change(A), bound=1.0, sample="")


@control(LEM4, "least-ten-classes")
def a_bias_that_learns_in_many_outputs():
    A, least = change_of(100.0)
    v = normal(200, 8, seed=5) / 8
    return checks.at_most("least-ten-classes", "", measured=least, bound=gradient_change.mean_change(A, v), sample="")


@control(LEM4, "tight")
def a_network_that_looks_everywhere():
    A, least = change_of(0.0)
    return checks.equal(
        "tight", "", measured=gradient_change.exact_change(A) / least, expected=1.0, atol=1e-9, sample=""
    )


@control(LEM4, "labels")
def networks_that_have_not_learned():
    """A change of almost nothing, with the error of a network that has been said to fit."""
    return checks.at_most("labels", "", measured=[early_training.direction_mean(8)], bound=[1e-3], sample="")


SWEEP = gradient_change.lazy_sweep([(2, 32), (2, 128), (2, 512)], [0, 1, 2], X, Y, Z, steps=60)


def power(column, widths=(32, 128, 512)):
    table = SWEEP.groupby(["m", "seed"])[column].mean().unstack()
    return early_training.exponents(list(widths), torch.tensor(table.to_numpy().copy())).numpy()


@control(LEM4, "limit")
def widths_in_the_wrong_order():
    return checks.positive("limit", "", differences=-power("distance", (512, 128, 32)), role="corrected", sample="")


@control(LEM4, "excess")
def an_excess_that_grows():
    table = (SWEEP.assign(e=lambda t: t.change / t.limit - 1).groupby(["m", "seed"]).e.mean()).unstack()
    values = torch.tensor(table.to_numpy().copy()).abs()
    differences = -early_training.exponents([512, 128, 32], values).numpy()
    return checks.positive("excess", "", differences=differences, sample="")


@control(LEM4, "flat")
def a_change_like_one_over_the_width():
    widths = [32, 128, 512]
    values = torch.tensor([[1 / w] * 3 for w in widths], dtype=torch.float64) * (1 + 0.01 * torch.arange(3))
    return checks.positive("flat", "", differences=early_training.exponents(widths, values) + 0.5, sample="")


@control(LEM4, "limit-homogeneous")
def the_kernel_of_another_depth():
    g = kernel_limit.gradient_change(Z, X, Y, 3)
    right = kernel_limit.tangent_kernel(Z, X, 2) @ Y
    return checks.equal("limit-homogeneous", "", measured=(g * Z).sum(1) - right, expected=0.0, atol=1e-9, sample="")


@control(LEM4, "two-layer-kernel")
def the_second_layers_matrix():
    return checks.equal(
        "two-layer-kernel",
        "",
        measured=kernel_limit.tangent_kernel(Z, X, 2),
        expected=2 * gram.mean_second_layer(Z, X),
        atol=1e-12,
        sample="",
    )
