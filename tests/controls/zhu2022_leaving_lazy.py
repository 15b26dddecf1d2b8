"""Negative controls of notebooks/zhu2022/leaving_lazy.

Algebra: the same step with a wrong constant or without a hypothesis. Measurements: each control has an input on which
its check holds and one on which it fails, for the record of a larger run may turn a trend; both are tried, and the one
whose outcome is not the page's is returned.
"""

# ruff: noqa: N803, N806 - W and L are the paper's own symbols

import numpy as np
import pandas as pd
import sympy as sp
import torch
import z3
from negative_controls import control, other_way

from advsmooth import checks, settings
from advsmooth.analysis import laziness, movement
from advsmooth.models import fcn
from advsmooth.theory import leaving_lazy

A2, T2, K, F2, F3 = (f"zhu2022-{k}" for k in ("assump2", "thm2", "def-kappa", "fig2", "fig3"))


E1, E2, E3, C, Y, F = z3.Reals("e1 e2 e3 C y f")
SQUARES = E1 * E1 + E2 * E2 + E3 * E3


def absolute(v):
    return z3.If(v >= 0, v, -v)


@control(A2, "one-point")
def one_point_with_twice_the_risk():
    near = z3.Or(*[z3.And(e >= -C / 2, e <= C / 2) for e in (E1, E2, E3)])
    return checks.implies("one-point", "", assumptions=[C > 0, SQUARES <= 2 * 3 * C * C / 4], conclusion=near)


@control(A2, "every-point")
def every_point_without_the_share_of_n():
    near = z3.And(*[z3.And(e >= -C / 2, e <= C / 2) for e in (E1, E2, E3)])
    return checks.implies("every-point", "", assumptions=[C > 0, SQUARES <= 2 * 3 * C * C / 8], conclusion=near)


@control(A2, "output")
def labels_that_vanish():
    assumed = [C > 0, absolute(Y) >= 0, absolute(F - Y) <= C / 2]
    return checks.implies("output", "", assumptions=assumed, conclusion=absolute(F) >= C / 2)


@control(A2, "inputs")
def inputs_of_norm_ten():
    return checks.equal("inputs", "", measured=[10.0, 1.0], expected=1.0, atol=1e-9, sample="")


def one_fitted(level, most=20_000):
    """A He network trained on six points to a level."""
    g = settings.generator(0)
    x = torch.nn.functional.normalize(torch.randn(6, 8, generator=g, dtype=torch.float64), dim=1)
    y = torch.tensor([1.0, -1.0] * 3, dtype=torch.float64)
    W = fcn.draw_weights(8, 32, 1, 2, "he", g, networks=1, dtype=torch.float64)
    return movement.against_bound(W, x, y, risk=level, most=most)


@control(A2, "risk")
def a_network_stopped_too_early():
    t = one_fitted(movement.level(6), most=3)
    return checks.at_most("risk", "", measured=t.loss, bound=movement.level(6), sample="")


@control(A2, "outputs")
def a_network_that_leaves_outputs_small():
    t = one_fitted(0.2)
    return checks.at_most("outputs", "", measured=np.full(1, 0.5), bound=t.smallest, sample="")


def two_states():
    g = settings.generator(0)
    return [{str(k): torch.randn(3, 4, generator=g, dtype=torch.float64) for k in "12"} for _ in range(2)]


@control(K, "zero")
def weights_that_moved():
    start, now = two_states()
    measured = [laziness.kappa(start, now, form=form).item() for form in ("mean", "ratio")]
    return checks.equal("zero", "", measured=measured, expected=0.0, atol=1e-12, sample="")


@control(K, "scaling")
def only_the_current_weights_scaled():
    start, now = two_states()
    scaled = {k: 3.7 * v for k, v in now.items()}
    measured = [laziness.kappa(start, scaled, form=f) / laziness.kappa(start, now, form=f) for f in ("mean", "ratio")]
    return checks.equal("scaling", "", measured=[v.item() for v in measured], expected=1.0, atol=1e-9, sample="")


@control(K, "forms-differ")
def layers_of_equal_size():
    """Where all layers start at one norm the two forms agree."""

    def make(factor):
        start, now = two_states()
        start = {k: v / v.norm() for k, v in start.items()}
        start["1"], now["1"] = factor * start["1"], start["1"] * (factor + 0.01)
        ratio = laziness.kappa(start, now, form="ratio") / laziness.kappa(start, now)
        return checks.at_most("forms-differ", "", measured=ratio.item(), bound=0.5, role="observed", sample="")

    return other_way(K, "forms-differ", make, 1000.0, 1.0)


H0, H1, W1, B0, N, S, A, X, V, U, DOT, Q = z3.Reals("h0 h1 w1 b0 N s A X v u dot q")
A2_, B2_, G2_, ETA, R = z3.Reals("a2 b2 g2 eta r")


def step(name, assumptions, conclusion):
    return checks.implies(name, "", assumptions=assumptions, conclusion=conclusion)


@control(T2, "product")
def a_layer_that_is_not_bounded():
    return step("product", [H0 >= 0, H1 >= 0, W1 >= 0, H0 <= B0, H1 <= W1 + H0], H1 <= W1 * B0)


@control(T2, "euler")
def a_layer_with_a_bias():
    """With a bias the network is not homogeneous in the layer."""
    w, b, x = sp.symbols("w b x")
    f = w * x + b
    return checks.identity("euler", "", left=w * sp.diff(f, w), right=f)


@control(T2, "step")
def a_drift_of_first_order():
    n1, n2, g1, g2, e, eta = sp.symbols("N_1 N_2 G_1 G_2 E eta")
    left = (n1 - 2 * eta * e + eta**2 * g1) - (n2 - 2 * eta * e + eta**2 * g2) - (n1 - n2)
    return checks.identity("step", "", left=left, right=eta * (g1 - g2))


@control(T2, "drift-sum")
def steps_that_lower_the_risk_by_less():
    assumed = [ETA > 0, A2_ >= 0, B2_ >= 0, G2_ == A2_ + B2_, R >= ETA * G2_ / 4]
    return step("drift-sum", assumed, ETA * ETA * (A2_ - B2_) <= 2 * ETA * R)


@control(T2, "triangle")
def without_cauchy_and_schwarz():
    return step("triangle", [V >= 0, U >= 0, Q >= 0, Q * Q == V * V + U * U - 2 * DOT], Q >= V - U)


@control(T2, "root")
def a_layer_larger_than_the_largest():
    assumed = [N > 0, A2_ > 0, N <= A, N + S > 0, A2_ + S > 0, X > 0, (N + S) * (A2_ + S) >= X * X]
    return step("root", assumed, A + S >= X)


@control(T2, "second-bound")
def a_target_below_the_start():
    """Without X ≥ A the second bound is not below the first."""
    return step("second-bound", [N > 0, X > 0, N <= A, A + S >= X], (N + S) * A >= X * N)


@control(T2, "norms")
def without_the_root_of_two():
    assumed = [U >= 0, V >= 0, R > 0, R * R == 2]
    return step("norms", assumed, U * U + 2 * U * V + 2 * V * V <= (U + V) * (U + V))


@control(T2, "contains")
def with_another_power_of_the_width():
    m, alpha, beta, c, L = sp.symbols("m alpha Sigma C L", positive=True)
    left = sp.log(alpha * c / 2) / L - sp.log(2 * m * beta)
    right = (
        sp.log(sp.Rational(1, 2)) + sp.log(c / 2) / L + (sp.log(alpha) - L * sp.log(m ** sp.Rational(3, 2) * beta)) / L
    )
    return checks.identity("contains", "", left=sp.expand_log(left, force=True), right=sp.expand_log(right, force=True))


def unbalanced(name, L=2):
    """Networks of which one layer is frozen keep no balance: the other layers move, it does not."""
    squares = torch.full((1, L), 0.01, dtype=torch.float64)
    bound = leaving_lazy.least_movement(squares, 1.0)[0]
    moved = torch.tensor([0.0] + [9999.0] * (L - 1))
    return checks.at_most(name, "", measured=bound[0] / (moved[0] + 1e-9), bound=1.0, sample="")


@control(T2, "bound", "deeper")
def one_layer_frozen(name):
    return unbalanced(name, 2 if name == "bound" else 3)


@control(T2, "tight")
def a_start_that_is_not_aligned():
    W = fcn.draw_weights(5, 6, 1, 2, fcn.Initialisation(0.3, 0.3, 0.3), 0, networks=1, dtype=torch.float64)
    x = torch.eye(5, dtype=torch.float64)[:1]
    t = movement.against_bound(W, x, torch.ones(1, dtype=torch.float64), risk=1e-6, largest=0.02)
    return checks.equal("tight", "", measured=t.bound_1 / t.movement_1, expected=1.0, atol=1e-6, sample="")


def drifting(slower):
    g = settings.generator(0)
    x = torch.nn.functional.normalize(torch.randn(6, 8, generator=g, dtype=torch.float64), dim=1)
    y = torch.tensor([1.0, -1.0] * 3, dtype=torch.float64)
    W = fcn.draw_weights(8, 16, 1, 2, fcn.Initialisation(0.1, 0.1, 0.1), g, networks=2, dtype=torch.float64)
    return movement.against_bound(W, x, y, risk=movement.level(6), slower=slower)


@control(T2, "balance")
def the_drift_of_another_step_size():
    ratio = drifting(2.0).drift / drifting(4.0).explained
    return checks.equal("balance", "", measured=ratio, expected=1.0, atol=1e-6, sample="")


@control(T2, "drift")
def a_drift_that_steps_do_not_explain():
    """Weight decay on one layer drifts by an amount that does not shrink with the step."""
    t = drifting(4.0)
    return checks.at_most("drift", "", measured=t.drift + 0.5, bound=2 * 0.5 / 4 * np.full(2, 0.5), sample="")


@control(T2, "drift-order")
def drifts_that_stay_or_shrink():
    """A drift that smaller steps do not change, against one in proportion to the square of the step."""

    def make(power):
        drift = {slower: np.full(3, slower**-power) for slower in (4.0, 16.0)}
        measured, bound = drift[16.0] * 16, drift[4.0] * 4
        return checks.at_most("drift-order", "", measured=measured, bound=bound, role="observed", sample="")

    return other_way(T2, "drift-order", make, 2.0, 0.0)


@control(T2, "start-norm")
def the_bound_without_its_second_term():
    cases = [(16, 1e-6), (64, 0.01)]
    return checks.at_most(
        "start-norm",
        "",
        measured=[leaving_lazy.start_norm(k, 1.0, delta) for k, delta in cases],
        bound=[k**0.5 for k, _ in cases],
        sample="",
    )


def by_width(power, column="v"):
    """Three seeds of a quantity that goes as a power of the width."""
    rows = [{"seed": s, "m": m, column: m**power * (1 + 0.01 * s * np.log(m))} for s in range(3) for m in (16, 64, 256)]
    return movement.slopes(pd.DataFrame(rows), column)


def direction(claim_id, name, sign, shift=0.0):
    """Networks that tend one way against networks that tend the other."""

    def make(power):
        differences = sign * by_width(power) + shift
        return checks.positive(name, "", differences=differences, sample="")

    return other_way(claim_id, name, make, sign * 1.0, -sign * 1.0)


for claim_, sign_, names_ in (
    (T2, 1, [f"grows-{c:g}" for c in (0.75, 1, 1.25, 1.5, 1.75, 2)]),
    (T2, -1, [f"decays-{s}" for s in ("he", "lecun", "ntk")] + ["lazy-0", "lazy-0.25"]),
    (F2, -1, ["falls", "falls-ratio", "here-falls"]),
    (F3, -1, ["falls"]),
    (F3, 1, ["here-rises"]),
):
    for name_ in names_:
        control(claim_, name_)(lambda c=claim_, n=name_, s=sign_: direction(c, n, s))
control(F2, "output-layer")(lambda: direction(F2, "output-layer", 1, 0.25))


def near(claim_id, name, tolerance):
    """A measured power near its prediction, and one half a unit off."""

    def make(power):
        off = abs(by_width(power).mean() - 1.0)
        return checks.at_most(name, "", measured=off, bound=tolerance, role="observed", sample="")

    return other_way(claim_id, name, make, 1.0, 0.5)


for claim_, name_, tolerance_ in (
    (T2, "powers", 0.1),
    (F3, "flat-at-first", 0.15),
    (F3, "theory-at-last", 0.15),
):
    control(claim_, name_)(lambda c=claim_, n=name_, t=tolerance_: near(c, n, t))


@control(T2, "tight-in-the-limit")
def a_start_that_is_not_small():
    def make(deviation):
        W = fcn.draw_weights(5, 64, 1, 2, fcn.Initialisation(*[deviation] * 3), 0, networks=3, dtype=torch.float64)
        x = torch.eye(5, dtype=torch.float64)[:1]
        t = movement.against_bound(W, x, torch.ones(1, dtype=torch.float64), risk=1e-6, largest=0.1)
        slack = np.concatenate([t[f"movement_{k}"] / t[f"bound_{k}"] for k in (1, 2)])
        return checks.at_most("tight-in-the-limit", "", measured=slack, bound=1.05, role="observed", sample="")

    return other_way(T2, "tight-in-the-limit", make, 1e-4, 0.03)


def curve(kind, seeds=3):
    """Lazy ratios over 50 epochs, learning rate down after 25: at rest, creeping, in a line, or after a jump."""
    epochs = np.arange(51)
    clock = np.where(epochs <= 25, epochs, 25 + (epochs - 25) / 10.0)
    made = {
        "at rest": 1 - np.exp(-clock),
        "logarithm": 0.05 + np.log1p(clock),
        "line": clock,
        "jump": np.where(epochs < 20, 0.01, 10.0) * (1 + 0.01 * clock),
        "no drop": epochs.astype(float),
    }[kind]
    rows = [
        pd.DataFrame({"start": "m^-2", "m": m, "seed": s, "epoch": epochs, "kappa": made * (1 + 0.01 * s)})
        for s in range(seeds)
        for m in (16, 64)
    ]
    return pd.concat(rows, ignore_index=True)


def change(kind):
    """From epoch 5 to the end, by seed, a little different for each."""
    t = curve(kind).query("m == 64").pivot_table("kappa", "seed", "epoch")
    return t[50] / t[5] - 1 + 0.001 * t.index


def over_time(name, make, holds, fails, claim_id=F2):
    return other_way(
        claim_id, name, lambda kind: checks.positive(name, "", differences=make(kind), sample=""), holds, fails
    )


for name_ in ("constant", "here-constant"):
    control(F2, name_)(lambda n=name_: over_time(n, lambda kind: 0.5 - change(kind), "at rest", "line"))
control(F2, "more-steps")(lambda: over_time("more-steps", lambda kind: change(kind) - 0.25, "line", "at rest"))
control(F3, "linear")(
    lambda: over_time(
        "linear",
        lambda kind: movement.straightness(curve(kind), 25).groupby("seed").r2.mean() - 0.9 + 1e-5 * np.arange(3),
        "line",
        "jump",
        F3,
    )
)


def slowing(kind):
    found = movement.straightness(curve(kind), 25)
    return np.log(found.before / found.after).groupby(found.seed).mean() + 1e-5 * np.arange(3)


control(F3, "slower")(lambda: over_time("slower", lambda kind: slowing(kind) - 1e-3, "line", "no drop", F3))


@control(F2, "logarithm")
def a_curve_that_jumps():
    def make(kind):
        t = curve(kind).query("m == 64 and 5 <= epoch <= 25")
        r2 = [np.corrcoef(np.log(run.epoch), run.kappa)[0, 1] ** 2 for _, run in t.groupby("seed")]
        return checks.at_most("logarithm", "", measured=np.full(3, 0.95), bound=r2, role="observed", sample="")

    return other_way(F2, "logarithm", make, "logarithm", "jump")


control(F3, "more-steps")(
    lambda: over_time(
        "more-steps",
        lambda kind: 0.9 - movement.straightness(curve(kind), 25).query("m == 16").r2 - 1e-5 * np.arange(3),
        "jump",
        "line",
        F3,
    )
)


@control(F3, "above-he")
def one_network_below():
    def make(ratios):
        return checks.every("above-he", "", cases=np.array(ratios) > 1, role="trend", sample="")

    return other_way(F3, "above-he", make, [50.0, 3.0], [50.0, 0.9])


@control(F3, "learned")
def one_network_that_has_not():
    def make(accuracies):
        return checks.at_most("learned", "", measured=np.full(2, 0.9), bound=accuracies, role="observed", sample="")

    return other_way(F3, "learned", make, [0.99, 0.95], [0.99, 0.4])
