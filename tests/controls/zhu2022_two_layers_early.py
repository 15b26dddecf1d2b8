"""Negative controls of notebooks/zhu2022/two_layers_early."""

# ruff: noqa: N803, N806 - W is the paper's own symbol

import math

import numpy as np
import sympy as sp
import torch
import z3
from negative_controls import control

from advsmooth import checks, claims, settings
from advsmooth.analysis import early_training as early
from advsmooth.analysis import stability
from advsmooth.models import fcn
from advsmooth.theory import gram, initialisation
from advsmooth.training import two_layers

DEF3, DEF_GRAM, LEM6, LEM7, LEM8, LEM9, LEM10, LEM11, THM3, FIG9 = (
    claims.claim(f"zhu2022-{name}").id
    for name in ("def3", "def-gram", "lem6", "lem7", "lem8", "lem9", "lem10", "lem11", "thm3", "fig9")
)
D, N, M = 8, 4, 100


def g(seed=0):
    return settings.generator(seed)


def unit(n, d, seed=0):
    return torch.nn.functional.normalize(torch.randn(n, d, generator=g(seed), dtype=torch.float64), dim=1)


X = unit(N, D)
Y = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
LAMBDA_0 = gram.least(gram.mean_first_layer(X)).item()


def draw(m, b1=1.0, b2=1.0, seed=0, networks=None):
    return two_layers.draw(D, m, b1, b2, g(seed), networks=networks)


def lazy(m=M, seed=0, times=None, x=X, y=Y):
    times = np.linspace(0, 4, 41) if times is None else times
    W, a = two_layers.flow(*draw(m, seed=seed), x, two_layers.squared(y), m**0.5, times)
    return W, a, two_layers.predictions(W, a, x, m**0.5) - y, times


# ---------------------------------------------------------------- definitions


@control(DEF3, "closed-form")
def sphere_instead_of_ball():
    W, a = draw(50)
    x = unit(100, D, 1)
    kicks = unit(6000, D, 2).reshape(60, 100, D)
    tries = stability.responses(lambda s: fcn.forward([W, a[None]], s), x, kicks).mean(1)
    exact = early.stability(two_layers.input_gradients(W, a, x)).item()
    error = tries.std().item() / 60**0.5
    return checks.agrees("closed-form", "", estimate=tries.mean().item(), standard_error=error, exact=exact, sample="")


@control(DEF3, "mean-over-weights")
def variances_taken_for_deviations():
    found = early.stability(two_layers.input_gradients(*draw(50, 0.5, 1.0, networks=400), X))
    exact = initialisation.Response(fcn.Initialisation(0.25, 0.0, 1.0), 50, 1, 2).stability(D)
    error = found.std().item() / 400**0.5
    return checks.agrees(
        "mean-over-weights", "", estimate=found.mean().item(), standard_error=error, exact=exact, sample=""
    )


@control(DEF_GRAM, "first-layer", "second-layer")
def kernels_exchanged(name):
    W, a = draw(50, networks=1000)
    sample, exact = {
        "first-layer": (gram.first_layer(W, a, X) / 50, gram.mean_second_layer(X)),
        "second-layer": (gram.second_layer(W, X) / 50, gram.mean_first_layer(X)),
    }[name]
    error = sample.std(0) / 1000**0.5
    return checks.agrees(name, "", estimate=sample.mean(0), standard_error=error, exact=exact, sample="")


@control(DEF_GRAM, "positive")
def two_parallel_points():
    least = gram.least(gram.mean_first_layer(torch.cat([X, X[:1]]))).item()
    return checks.every("positive", "", cases=[least > 1e-6], sample="")


# ---------------------------------------------------------------- lemma 6


@control(LEM6, "chain-rule-1", "chain-rule-2")
def second_layer_left_out(name):
    a, w, x, s, y, alpha = sp.symbols("a w x s y alpha", real=True)
    f = a * s * w * x / alpha
    loss = (f - y) ** 2 / 2
    change = -sum(sp.diff(f, u) * sp.diff(loss, u) for u in (a, w))
    return checks.identity(name, "", left=change, right=-(a**2 * s**2 * x**2 / alpha**2) * (f - y))


@control(LEM6, "jacobian")
def first_layer_only():
    W, a = draw(M)
    by_w, by_a = torch.func.jacrev(lambda W, a: two_layers.predictions(W, a, X), argnums=(0, 1))(W, a)
    both = by_w.flatten(1) @ by_w.flatten(1).T + by_a @ by_a.T
    return checks.equal("jacobian", "", measured=both, expected=gram.first_layer(W, a, X), atol=1e-11, sample="")


@control(LEM6, "finite-difference")
def half_of_the_right_side():
    W, a = draw(M)
    f = two_layers.predictions(W, a, X, 10.0)
    dW, da = two_layers.velocity(W, a, X, two_layers.squared(Y), 10.0)
    wrong = -(gram.first_layer(W, a, X, 10.0) + gram.second_layer(W, X, 10.0)) @ (f - Y) / 2
    h = np.array([1e-2, 1e-3, 1e-4])
    quotients = [(two_layers.predictions(W + e * dW, a + e * da, X, 10.0) - f) / e for e in h]
    curvature = (((X @ W.T >= 0) * (X @ dW.T)) @ da / 10).norm().item()
    error = [(q - wrong).norm().item() for q in quotients]
    return checks.at_most("finite-difference", "", measured=error, bound=h * curvature, sample="")


@control(LEM6, "integrator")
def another_loss():
    W, a = draw(20)
    times = [0.0, 0.2, 0.4]
    ours = two_layers.predictions(*two_layers.flow(W, a, X, two_layers.squared(Y), 4.0, times), X, 4.0)
    theirs = two_layers.predictions(*two_layers.adaptive_flow(W, a, X, two_layers.frozen(Y), 4.0, times), X, 4.0)
    return checks.equal("integrator", "", measured=ours, expected=theirs, atol=1e-2, sample="")


def missed(x, y, gates_of):
    """Relative error of the integral of -(H + G)(f - y) along a small start, with the gates given."""
    W, a = two_layers.draw(x.shape[1], M, 1 / M, 1 / M, g(3))
    start = two_layers.predictions(W, a, x) - y
    total, inside, step = 0.0, 20, 0.0025
    path = two_layers.descend(W, a, x, two_layers.squared(y), 1.0, step, range(80 * inside))
    for _ in range(80):
        part = [next(path)[1:] for _ in range(inside)]
        Ws, outs = (torch.stack(kinds) for kinds in zip(*part, strict=True))
        es = two_layers.predictions(Ws, outs, x) - y
        gates = gates_of((x @ Ws.mT > 0).double())
        H = gram.gated(gates, outs.mean(0), x)
        total = total - step * inside * ((H + gram.second_layer(Ws, x).mean(0)) @ es.mean(0))
    return (total - (es[-1] - start)).norm().item() / start.norm().item()


@control(LEM6, "flow")
def one_point_has_nothing_to_slide_along():
    found = missed(X[:1], Y[:1], lambda gates: gates[0])
    return checks.at_most("flow", "", measured=found, bound=0.01, sample="")


@control(LEM6, "flow-fractional")
def fractional_gates_rounded():
    found = missed(X, Y, lambda gates: gates.mean(0).round())
    return checks.at_most("flow-fractional", "", measured=found, bound=0.01, sample="", role="corrected")


# ---------------------------------------------------------------- lemma 7


@control(LEM7, "variance")
def second_moment_of_the_square_forgotten():
    z, p = sp.symbols("z p", real=True)
    normal = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    return checks.identity("variance", "", left=p * sp.integrate(z**4 * normal, (z, -sp.oo, sp.oo)), right=p)


@control(LEM7, "moments")
def scale_of_a_bounded_variable():
    k, moment, allowed = z3.Reals("k moment allowed")
    return checks.implies(
        "moments",
        "",
        assumptions=[k >= 2, moment >= 0, moment <= allowed],
        conclusion=(2 * k + 1) * moment <= (k + 1) * allowed,
    )


@control(LEM7, "weyl")
def distance_of_half():
    away, least, lam = z3.Reals("away least lambda")
    return checks.implies(
        "weyl", "", assumptions=[lam > 0, away <= lam / 2, least >= lam - away], conclusion=least >= 3 * lam / 4
    )


def mean_square(signs, variance_of):
    W, a = draw(200, networks=300)
    away = gram.first_layer(W, a.sign() if signs else a, X) / 200 - gram.mean_first_layer(X)
    squares = 200 * away.square().sum((1, 2))
    p = gram.both_open(X)
    exact = ((X @ X.T) ** 2 * variance_of(p)).sum().item()
    return {"estimate": squares.mean().item(), "standard_error": squares.std().item() / 300**0.5, "exact": exact}


@control(LEM7, "rate")
def bounded_output_weights_assumed():
    return checks.agrees("rate", "", **mean_square(False, lambda p: p - p**2), sample="")


@control(LEM7, "signs")
def unbounded_output_weights_assumed():
    return checks.agrees("signs", "", **mean_square(True, lambda p: 3 * p - p**2), sample="", role="observed")


@control(LEM7, "width", "narrower-width")
def network_that_is_too_narrow(name):
    W, a = draw(50, networks=80)
    far = gram.deviation(gram.first_layer(W, a, X) / 50, gram.mean_first_layer(X)) > LAMBDA_0 / 4
    rate = early.failure_interval(int(far.sum()), 80)[1]
    return checks.at_most(name, "", measured=rate, bound=0.1, sample="")


# ---------------------------------------------------------------- lemma 8


@control(LEM8, "anti-concentration")
def density_without_its_decay():
    rho = sp.Symbol("rho", positive=True)
    gap = sp.sqrt(2 / sp.pi) * rho - sp.erf(rho / sp.sqrt(2))
    return checks.identity("anti-concentration", "", left=sp.diff(gap, rho), right=sp.sqrt(2 / sp.pi))


@control(LEM8, "mean-weight")
def root_mean_square_taken_for_the_mean():
    z = sp.Symbol("z", real=True)
    normal = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    return checks.identity("mean-weight", "", left=2 * sp.integrate(z * normal, (z, 0, sp.oo)), right=1)


@control(LEM8, "together")
def markov_forgotten():
    near, S, mean_S, least_0, least_1, delta, lam = z3.Reals("near S mean_S least_0 least_1 delta lambda")
    return checks.implies(
        "together",
        "",
        assumptions=[
            lam > 0, delta > 0, delta < 1, least_0 >= 3 * lam / 4, S * delta <= mean_S, 4 * mean_S <= lam,
            near <= S, least_1 >= least_0 - near,
        ],
        conclusion=least_1 >= lam / 2,
    )  # fmt: skip


def turned(moved_by):
    W, a = draw(20_000, 0.3)
    moved = [w for w, _ in early.pushed(W, a, X, moved_by, 0.0)]
    shares = torch.stack([((w @ q >= 0) != (W @ q >= 0)).double() for q, w in zip(X, moved, strict=True)]).mean(0)
    return shares.mean().item(), shares.std().item() / len(shares) ** 0.5


@control(LEM8, "flips")
def movement_twice_as_long():
    rate, error = turned(2 * 0.3 * 0.1)
    return checks.at_most("flips", "", measured=rate - 4.65 * error, bound=gram.FLIP * 0.1, sample="")


@control(LEM8, "flips-exact")
def bound_taken_for_the_probability():
    rate, error = turned(0.3)
    return checks.agrees("flips-exact", "", estimate=rate, standard_error=error, exact=gram.FLIP, sample="")


def pushes(rho, networks=20, m=500):
    W, a = draw(m, networks=networks)
    H = gram.first_layer(W, a, X) / m
    moved = [gram.first_layer(*push, X) / m for push in early.pushed(W, a, X, rho, rho)]
    return W, a, torch.stack([gram.deviation(one, H) for one in moved]).amax(0), torch.stack(
        [gram.least(one) for one in moved]
    ).amin(0)  # fmt: skip


@control(LEM8, "every-push")
def movement_a_hundredth_as_long():
    W, a, change, _ = pushes(0.5)
    bound = gram.movement_bound(W, a, X, 0.005, 0.005, 1.0, 1.0)
    return checks.at_most("every-push", "", measured=change, bound=bound, sample="")


@control(LEM8, "mean-movement")
def output_weights_left_out():
    found = gram.movement_bound(*draw(500, networks=20), X, 0.1, 0.1, 1.0, 1.0)
    measured = found.mean() - 4.65 * found.std() / 20**0.5
    bound = gram.mean_movement_bound(X, 0.1, 0.0)
    return checks.at_most("mean-movement", "", measured=measured, bound=bound, sample="")


@control(LEM8, "eigenvalue")
def radius_of_one_deviation():
    *_, least = pushes(1.0)
    rate = early.failure_interval(int((least < LAMBDA_0 / 2).sum()), 20)[1]
    return checks.at_most("eigenvalue", "", measured=rate, bound=0.2, sample="")


# ---------------------------------------------------------------- lemmas 9 to 11


@control(LEM9, "risk-step")
def second_matrix_that_is_not_positive():
    q_h, q_g, s, rate, lam = z3.Reals("q_H q_G s rate lambda")
    return checks.implies(
        "risk-step",
        "",
        assumptions=[s >= 0, rate >= lam / 2, lam >= 0, q_h >= rate * s],
        conclusion=-2 * (q_h + q_g) <= -lam * s,
    )


@control(LEM9, "integral")
def half_forgotten_in_the_exponent():
    t, lam, u = sp.symbols("t Lambda u", positive=True)
    left = sp.integrate(sp.exp(-lam * u), (u, 0, t))
    return checks.identity("integral", "", left=left, right=2 / lam * (1 - sp.exp(-lam * t / 2)))


def fallen(e):
    return -(e.square().sum(1) / e[0].square().sum()).log()[1:]


@control(LEM9, "risk-measured")
def largest_eigenvalue():
    W, a, e, times = lazy()
    both = gram.first_layer(W, a, X, M**0.5) + gram.second_layer(W, X, M**0.5)
    top = 2 * early.running_integral(times, torch.linalg.eigvalsh(both)[:, -1])[1:]
    return checks.at_most("risk-measured", "", measured=top, bound=fallen(e), rtol=1e-5, sample="")


@control(LEM9, "risk-half")
def eigenvalue_per_layer_width():
    """The eigenvalue with a factor too many: without dividing by alpha squared."""
    _, _, e, times = lazy()
    return checks.at_most("risk-half", "", measured=M * LAMBDA_0 * times[1:], bound=fallen(e), rtol=1e-5, sample="")


@control(LEM9, "movement")
def mean_residual_instead_of_the_norm():
    W, a, e, times = lazy(x=X[:1], y=Y[:1])
    bound = early.running_integral(times, e.norm(dim=1)[:, None] / M**0.5 * a.abs()) / 2
    measured = (W - W[0]).norm(dim=2)
    return checks.at_most("movement", "", measured=measured, bound=bound, rtol=1e-5, sample="")


@control(LEM9, "tight")
def several_points():
    W, a, e, times = lazy()
    bound = early.running_integral(times, N**0.5 * e.norm(dim=1)[:, None] / M**0.5 * a.abs())[-1]
    ratio = (W[-1] - W[0]).norm(dim=1) / bound
    return checks.equal("tight", "", measured=ratio, expected=1.0, atol=1e-3, sample="")


@control(LEM10, "chernoff")
def tail_without_the_half():
    u, s = sp.symbols("u s", positive=True)
    z = sp.Symbol("z", real=True)
    normal = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
    left = (sp.exp(-s * u) * sp.integrate(sp.exp(s * z) * normal, (z, -sp.oo, sp.oo))).subs(s, u)
    return checks.identity("chernoff", "", left=left, right=sp.exp(-(u**2)))


@control(LEM10, "union")
def one_sided_tails():
    count, delta = sp.symbols("count delta", positive=True)
    level = sp.sqrt(2 * sp.log(2 * count / delta))
    return checks.identity("union", "", left=count * sp.exp(-(level**2) / 2), right=delta)


@control(LEM10, "tail")
def union_forgotten():
    z = torch.randn(1000, 200, generator=g(), dtype=torch.float64).abs().amax(1)
    failed = int((z > gram.largest_normal(1, 0.1)).sum())
    return checks.at_most("tail", "", measured=early.failure_interval(failed, 1000)[1], bound=0.1, sample="")


@control(LEM10, "movement")
def other_layer_in_the_bound():
    """The bound of the first layer, with |a|, does not bound the output weights."""
    _, a, e, times = lazy()
    bound = early.running_integral(times, N**0.5 * e.norm(dim=1)[:, None] / M**0.5 * a.abs())
    return checks.at_most("movement", "", measured=(a - a[0]).abs(), bound=bound, rtol=1e-5, sample="")


@control(LEM11, "bootstrap")
def growth_of_the_speed_forgotten():
    t, v, big, r, moved = z3.Reals("t v A R moved")
    return checks.implies(
        "bootstrap",
        "",
        assumptions=[t >= 0, v > 0, big >= 0, r > 0, t * v * big < r, moved <= t * v * (big + r)],
        conclusion=moved < r,
    )


@control(LEM11, "early-time")
def residual_of_the_mean_loss():
    """Without sqrt(n) and the tails, and with the residual divided by n, the early time comes out too late."""
    W, a, _, times = lazy(times=np.linspace(0, 2, 101))
    moved = torch.stack([(W - W[0]).norm(dim=2).amax(1), (a - a[0]).abs().amax(1)]).amax(0)
    late = gram.early_time(n=1, alpha=M**0.5, residual=2 / N, r_w=0.2, r_a=0.2, a_max=0.1, u_max=0.1)
    return checks.at_most(
        "early-time", "", measured=min(late), bound=early.crossing(times, moved, 0.2), rtol=1e-12, sample=""
    )


# ---------------------------------------------------------------- theorem 3


@control(THM3, "growth")
def layers_that_pull_twice():
    w, a, v, t = z3.Reals("w a v t")
    return checks.implies(
        "growth",
        "",
        assumptions=[w >= 0, a >= 0, v > 0, t > 0],
        conclusion=(w + 2 * t * v * a) + (a + t * v * w) <= (1 + t * v) * (w + a),
    )


@control(THM3, "product")
def eighth_instead_of_a_quarter():
    w, a = z3.Reals("w a")
    return checks.implies("product", "", assumptions=[w >= 0, a >= 0], conclusion=8 * w * a <= (w + a) * (w + a))


@control(THM3, "order")
def dimension_forgotten():
    m, c, d, s = sp.symbols("m c d s", positive=True)
    size = (sp.sqrt(m * d) + s + sp.sqrt(m) + s) ** 2 * m ** (-2 * c) / 4
    left = sp.limit(sp.simplify(size / m ** (1 - 2 * c)), m, sp.oo)
    return checks.identity("order", "", left=left, right=sp.Integer(1))


def after(m, c1, c2, seed, time, x=X, y=Y, step=0.02):
    """Stability after this time of descent, the largest gradient, and the sum of the squared sizes of the neurons."""
    W, a = draw(m, m**-c1, m**-c2, seed=1000 * seed + m)
    size = (W.norm(dim=1) + a.abs()).square().sum().item() / 4
    *_, (_, W, a) = two_layers.descend(W, a, x, two_layers.squared(y), 1.0, step, [round(time / step)])
    gradients = two_layers.input_gradients(W, a, unit(20, D, 7))
    return early.stability(gradients).item(), gradients.norm(dim=1).max().item(), size


@control(THM3, "bound")
def growth_forgotten():
    """The bound at time 0 does not hold later."""
    _, largest, size = after(64, 1, 1, 0, 4.0)
    return checks.at_most("bound", "", measured=largest / size, bound=1.0, sample="")


WIDTHS = [32, 128, 512]


def slopes(c1, c2, time, seeds=range(4)):
    found = torch.tensor([[after(m, c1, c2, s, time)[0] for s in seeds] for m in WIDTHS], dtype=torch.float64)
    return early.exponents(WIDTHS, found).numpy()


@control(THM3, "falls-1", "falls-1.5", "falls-2")
def starts_that_are_not_small(name):
    """Standard deviations that do not depend on the width: wider is worse."""
    return checks.positive(name, "", differences=-slopes(0.25, 0.25, 0.0), sample="", role="printed")


@control(THM3, "faster-1.5", "faster-2")
def starts_in_the_wrong_order(name):
    return checks.positive(name, "", differences=slopes(2, 2, 0.1) - slopes(1.5, 1.5, 0.1), sample="", role="printed")


@control(THM3, "start")
def exponent_of_the_bound_at_the_start():
    """A closed form with the power m^(1/2) too many."""
    fresh = early.stability(two_layers.input_gradients(*draw(64, 1 / 64, 1 / 64, networks=60), X))
    law = initialisation.Response(fcn.Initialisation(1 / 64, 0.0, 1 / 64), 64, 1, 2).stability(D) * 8
    mean, error = (fresh.mean() / law).item(), (fresh.std() / law).item() / 60**0.5
    return checks.agrees("start", "", estimate=mean, standard_error=error, exact=1.0, sample="", role="observed")


@control(THM3, "drift")
def kernel_of_one_layer():
    W, a = draw(256, 1 / 256, 1 / 256, networks=400)
    x, step = unit(20, D, 7), 0.02
    dW, da = two_layers.velocity(W, a, X, two_layers.squared(Y))
    change = two_layers.input_gradients(W + step * dW, a + step * da, x) - two_layers.input_gradients(W, a, x)
    first = gram.mean_gradient(x, X, Y, 1.0, 0.0) / 256
    found = (change / step * first).sum((1, 2)) / first.square().sum()
    error = found.std().item() / 400**0.5
    return checks.agrees(
        "drift", "", estimate=found.mean().item(), standard_error=error, exact=1.0, sample="", role="observed"
    )


@control(THM3, "exponent-of-the-bound")
def before_training():
    found = slopes(1, 1, 0.0)
    return checks.positive(
        "exponent-of-the-bound", "", differences=np.abs(found + 1.5) - np.abs(found + 1), sample="", role="observed"
    )


@control(THM3, "unequal-layers")
def unequal_layers_before_training():
    differences = slopes(1.5, 0.75, 0.0) - (1 - 2.25) - 0.25
    return checks.positive("unequal-layers", "", differences=differences, sample="", role="observed")


@control(THM3, "delay")
def level_below_all_starts():
    """Nobody waits for a level that every network has at the start."""
    waits = np.zeros((9, 4))
    delay = np.array([(2 * c - 1) / 2 * math.log(m) for c in (1, 1.5, 2) for m in WIDTHS])
    design = delay - delay.mean()
    slope = (waits * design[:, None]).sum(0) / (design**2).sum()
    return checks.positive("delay", "", differences=slope - 0.8, sample="", role="observed")


@control(THM3, "caught-up")
def networks_that_have_not_learnt():
    """At the start the exponents are far from 0; here one start, so that a page that holds can fail."""
    differences = 0.05 * (2 * 1.5 - 1) - np.abs(slopes(1.5, 1.5, 0.0))
    return checks.positive("caught-up", "", differences=differences, sample="", role="observed")


# ---------------------------------------------------------------- figure 9


def epochs(c, count, seeds=3):
    """Slope of the stability after this many steps on the cross-entropy, and the share of right answers."""
    found, share = [], 1.0
    for m in WIDTHS:
        W, a = draw(m, m**-c, m**-c, seed=m, networks=seeds)
        for _ in range(count):
            dW, da = two_layers.velocity(W, a, X, two_layers.logistic(Y))
            W, a = W + dW, a + da
        found.append(early.stability(two_layers.input_gradients(W, a, X)))
        share = min(share, float((two_layers.predictions(W, a, X) * Y > 0).double().mean(1).min()))
    return early.exponents(WIDTHS, torch.stack(found)).numpy(), share


@control(FIG9, "falls-1.5", "falls-2")
def lazy_starts(name):
    return checks.positive(name, "", differences=-epochs(0.25, 0)[0], sample="")


@control(FIG9, "closer")
def untrained():
    differences = 1 - np.abs(epochs(1.0, 0)[0] - epochs(2.0, 0)[0])
    return checks.positive("closer", "", differences=differences, sample="")


@control(FIG9, "learnt")
def untrained_networks():
    return checks.at_most("learnt", "", measured=0.8, bound=epochs(2.0, 1)[1], sample="")
