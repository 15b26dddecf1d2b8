"""Negative controls of notebooks/zhu2022/perturbation_stability."""

# ruff: noqa: N803 - L is the paper's own symbol

import math

import numpy as np
import sympy
import torch
import z3
from negative_controls import control
from scipy import stats

from advsmooth import checks, claims, data, settings
from advsmooth.analysis import gates, stability
from advsmooth.models import fcn
from advsmooth.theory import initialisation as theory

DEF1, DEF2, ASSUMP1, LEM1, LEM2, LEM5, GAMMA = (
    claims.claim(f"zhu2022-{name}").id for name in ("def1", "def2", "assump1", "lem1", "lem2", "lem5", "obs-gamma")
)
PIXELS = data.load("digits").x.flatten(1).double()[:200]
X = torch.nn.functional.normalize(PIXELS, dim=1)
D, OUT = X.shape[1], 10
NET = fcn.FCN(D, 32, OUT, 4, alpha=2.0, generator=3, dtype=torch.float64)
WEIGHTS = list(NET.weights)


def g(seed=0):
    return settings.generator(seed)


def sphere(n, d, seed=0):
    """Perturbations of norm exactly 1: the usual slip when sampling a ball."""
    return torch.nn.functional.normalize(torch.randn(n, d, generator=g(seed), dtype=torch.float64), dim=1)


def networks(m, L, n, seed=0, scheme="he"):
    """Stacked weights, inputs and perturbations of norm 1."""
    weights = fcn.draw_weights(D, m, OUT, L, scheme, g(seed), networks=n, dtype=torch.float64)
    return weights, X[torch.arange(n) % len(X)], sphere(n, D, seed + 1)


def mean_and_error(values):
    return values.mean().item(), values.std().item() / len(values) ** 0.5


# ---------------------------------------------------------------- definition 1


@control(DEF1, "linear-map")
def sphere_instead_of_ball_mean_square():
    a = torch.randn(OUT, 8, generator=g(), dtype=torch.float64)
    estimate, error = mean_and_error((sphere(5000, 8) @ a.T).square().sum(1))
    exact = a.square().sum().item() / (8 + 2)
    return checks.agrees("linear-map", "", estimate=estimate, standard_error=error, exact=exact, sample="")


@control(DEF1, "mean-norm")
def sphere_instead_of_ball_mean():
    estimate, error = mean_and_error(sphere(5000, 8)[:, 0].abs())
    exact = theory.ball_mean(8) * theory.chi_mean(1) / theory.chi_mean(8)
    return checks.agrees("mean-norm", "", estimate=estimate, standard_error=error, exact=exact, sample="")


@control(DEF1, "homogeneous")
def finite_change_instead_of_the_derivative():
    """The change of the output itself is not homogeneous: gates switch on the way."""
    changes = []
    for eps in (0.1, 1.0, 10.0):
        r = stability.uniform_ball(len(X), (D,), eps, g(1), dtype=torch.float64)
        changes.append(((NET(X + r) - NET(X)).norm(dim=1).mean() / eps).item())
    ratios = np.array(changes) / changes[1]
    return checks.equal("homogeneous", "", measured=ratios, expected=1.0, atol=1e-12, sample="")


@control(DEF1, "dense-jacobian")
def gates_of_another_input():
    r = sphere(len(X), D)
    expected = (NET.jacobian(X.roll(1, 0)) @ r[..., None])[..., 0].norm(dim=1)
    found = stability.responses(NET, X, r)
    return checks.equal("dense-jacobian", "", measured=found, expected=expected, atol=1e-12, sample="")


# ---------------------------------------------------------------- definition 2 and assumption 1


@control(DEF2, "gates")
def gates_the_wrong_way_round():
    h = fcn.hidden_states(WEIGHTS, X)[0]
    closed = 1 - fcn.sign_matrices(WEIGHTS, X)[0]
    return checks.equal("gates", "", measured=h, expected=closed * (X @ WEIGHTS[0].T), atol=1e-12, sample="")


@control(DEF2, "jacobian")
def product_without_gates():
    linear = (WEIGHTS[3] @ WEIGHTS[2] @ WEIGHTS[1] @ WEIGHTS[0] / 2).expand(len(X), OUT, D)
    return checks.equal("jacobian", "", measured=linear, expected=NET.jacobian(X), atol=1e-12, sample="")


@control(DEF2, "euler")
def output_scale_forgotten():
    through = (fcn.jacobian(WEIGHTS, X) @ X[..., None])[..., 0]
    return checks.equal("euler", "", measured=through, expected=NET(X), atol=1e-12, sample="")


@control(ASSUMP1, "unit-norm")
def images_at_pixel_scale():
    return checks.equal("unit-norm", "", measured=PIXELS.norm(dim=1), expected=1.0, atol=1e-6, sample="")


@control(ASSUMP1, "not-needed")
def network_with_biases():
    bias = torch.randn(32, generator=g(), dtype=torch.float64)

    def gradient(x):
        return torch.func.vmap(torch.func.jacrev(lambda s: torch.relu(WEIGHTS[0] @ s + bias)))(x).detach()

    return checks.equal("not-needed", "", measured=gradient(5 * X), expected=gradient(X), atol=1e-12, sample="")


# ---------------------------------------------------------------- lemmas 1 and 2


@control(LEM1, "reflection")
def no_reflection():
    opened, closed, event, open_all, closed_all = z3.Reals("opened closed event open_all closed_all")
    return checks.implies(
        "reflection",
        "",
        assumptions=[opened >= 0, closed >= 0, event == opened + closed, event <= 1, open_all + closed_all == 1],
        conclusion=closed_all + opened == z3.RealVal(1) / 2 + event / 2,
    )


@control(LEM1, "any-angle")
def odd_power():
    """Odd powers change sign under reflection, and the half circle is not half of the full one."""
    theta, phi = sympy.symbols("theta phi", real=True)
    f = sympy.expand(sympy.expand_trig(sympy.cos(phi - theta)) ** 3)
    half = sympy.integrate(f, (phi, -sympy.pi / 2, sympy.pi / 2))
    return checks.identity("any-angle", "", left=half, right=sympy.integrate(f, (phi, 0, 2 * sympy.pi)) / 2)


@control(LEM1, "coin")
def gate_set_by_zero():
    """With v = 0, which the lemma excludes, the gate is always open."""
    u, v = gates.vectors_at(0.7, 8, g())
    w = torch.randn(20_000, 8, generator=g(1), dtype=torch.float64)
    pair = gates.gated_square(w, u, 0 * v), gates.coin_square(w, u, g(2))
    return checks.same_law("coin", "", p_values=[stats.ks_2samp(*(p.numpy() for p in pair)).pvalue], sample="")


@control(LEM1, "distribution")
def weights_that_are_not_symmetric():
    u, v = gates.vectors_at(0.7, 8, g())
    w = torch.randn(20_000, 8, generator=g(1), dtype=torch.float64) + v
    uniform = theory.GatedChiSquare(1).uniformised(gates.gated_square(w, u, v), g(2))
    return checks.same_law("distribution", "", p_values=[stats.kstest(uniform.numpy(), "uniform").pvalue], sample="")


@control(LEM2, "laplace")
def gates_that_open_once_in_three():
    m, k = sympy.symbols("m k", integer=True, positive=True)
    q = 1 / sympy.sqrt(1 + 2 * sympy.Symbol("s", positive=True))
    chance = sympy.Rational(1, 3)
    terms = sympy.binomial(m, k) * (chance * q) ** k * (1 - chance) ** (m - k)
    total = sympy.summation(terms.subs(m, 3), (k, 0, 3))
    return checks.identity("laplace", "", left=total, right=((1 + q) / 2) ** 3)


@control(LEM2, "mean-by-hand", "variance-by-hand")
def degrees_that_are_not_binomial(name):
    """All gates open has mean m; a fixed number m/2 of open gates has the right mean and the variance m."""
    m, t = sympy.symbols("m t", positive=True)
    degrees, order, right = {"mean-by-hand": (m, 1, m / 2), "variance-by-hand": (m / 2, 2, 5 * m / 4)}[name]
    log_laplace = -degrees / 2 * sympy.log(1 - 2 * t)
    return checks.identity(name, "", left=sympy.diff(log_laplace, t, order).subs(t, 0), right=right)


def half_open(m):
    """Energies with exactly m/2 open gates."""
    return torch.randn(5000, m // 2, generator=g(m), dtype=torch.float64).square().sum(1)


@control(LEM2, "law")
def fixed_number_of_open_gates():
    p = [
        stats.kstest(theory.GatedChiSquare(m).uniformised(half_open(m), g()).numpy(), "uniform").pvalue for m in (4, 16)
    ]
    return checks.same_law("law", "", p_values=p, sample="")


@control(LEM2, "mean")
def gates_that_know_the_weights():
    """The lemma needs v fixed before W is drawn; here v is the sum of the rows of W."""
    w = torch.randn(5000, 16, 8, generator=g(), dtype=torch.float64)
    opened = (w * w.sum(1, keepdim=True)).sum(2) >= 0
    estimate, error = mean_and_error(torch.where(opened, w[..., 0].square(), 0.0).sum(1))
    return checks.agrees("mean", "", estimate=estimate, standard_error=error, exact=8.0, sample="")


@control(LEM2, "variance")
def variance_of_a_fixed_number_of_open_gates():
    s = half_open(16)
    centred = (s - s.mean()).square()
    error = centred.std().item() / len(s) ** 0.5
    exact = theory.GatedChiSquare(16).variance
    return checks.agrees("variance", "", estimate=s.var().item(), standard_error=error, exact=exact, sample="")


# ---------------------------------------------------------------- lemma 5


@control(LEM5, "second-moment-algebra")
def one_power_of_gamma_too_many():
    o, alpha, m, b1, b, last, depth = sympy.symbols("o alpha m beta_1 beta beta_L L", positive=True)
    order = sympy.sqrt(m) * last * b1 * (b * sympy.sqrt(m / 2)) ** (depth - 1)
    left = (o * last**2 / alpha**2) * (m * b1**2 / 2) * (m * b**2 / 2) ** (depth - 2)
    return checks.identity("second-moment-algebra", "", left=left, right=o / (2 * alpha**2) * order**2)


@control(LEM5, "ball")
def mean_square_taken_for_the_mean():
    s, d = sympy.symbols("s d", positive=True)
    return checks.identity("ball", "", left=sympy.integrate(s**2 * d * s ** (d - 1), (s, 0, 1)), right=d / (d + 1))


@control(LEM5, "second-moment")
def networks_without_relu():
    """A linear network loses no energy in its gates."""
    weights, _, r = networks(16, 4, 2000)
    for weight in weights:
        r = (weight @ r[..., None])[..., 0]
    estimate, error = mean_and_error(r.square().sum(1))
    exact = theory.Response(fcn.he(D, 16, OUT), 16, OUT, 4).second_moment
    return checks.agrees("second-moment", "", estimate=estimate, standard_error=error, exact=exact, sample="")


@control(LEM5, "bound")
def outputs_forgotten_in_the_constant():
    laws = [theory.Response(fcn.he(D, m, 50), m, 50, 3) for m in (2, 1024)]
    measured, bound = [law.stability(D) for law in laws], [law.order for law in laws]
    return checks.at_most("bound", "", measured=measured, bound=bound, sample="")


@control(LEM5, "independent")
def layers_that_share_their_weights():
    weights, x, r = networks(8, 5, 4000)
    tied = [weights[0], weights[1], weights[1], weights[1], weights[4]]
    found = gates.step_correlations(gates.propagated(tied, x, r))
    correlation, error = found["correlation"], found["error"]
    return checks.agrees("independent", "", estimate=correlation, standard_error=error, exact=0.0, sample="")


@control(LEM5, "first-moment")
def root_mean_square_taken_for_the_mean():
    norms = stability.initial_fcn(X, 16, OUT, 4, "he", initialisations=2000, generator=g())
    estimate, error = mean_and_error(norms)
    exact = theory.Response(fcn.he(D, 16, OUT), 16, OUT, 4).rms * theory.ball_mean(D)
    return checks.agrees("first-moment", "", estimate=estimate, standard_error=error, exact=exact, sample="")


@control(LEM5, "product-law")
def factors_that_are_not_independent():
    """One draw used for every layer has the right factors and the wrong product."""
    law = theory.Response(fcn.he(D, 16, OUT), 16, OUT, 4)
    norms = stability.initial_fcn(X, 16, OUT, 4, "he", initialisations=4000, generator=g())
    energy = theory.GatedChiSquare(16).sample(4000, g(1)) / 8
    output = torch.randn(4000, OUT, generator=g(2), dtype=torch.float64).square().mean(1)
    dependent = law.rms * (output * energy**3).sqrt() * torch.rand(4000, generator=g(3), dtype=torch.float64) ** (1 / D)
    p = stats.ks_2samp(norms.numpy(), dependent.numpy()).pvalue
    return checks.same_law("product-law", "", p_values=[p], sample="")


@control(LEM5, "same-for-every-input")
def one_network_instead_of_all():
    """For fixed weights the inputs do differ; only the average over the weights is the same."""
    net = fcn.FCN(D, 16, OUT, 4, generator=1, dtype=torch.float64)
    found = [stability.perturbation_stability(net, x.expand(1000, D), 1.0, generator=g()) for x in X[:4]]
    exact = theory.Response(fcn.he(D, 16, OUT), 16, OUT, 4).stability(D)
    means, errors = [e.mean for e in found], [e.mean_error for e in found]
    return checks.agrees("same-for-every-input", "", estimate=means, standard_error=errors, exact=exact, sample="")


# ---------------------------------------------------------------- remarks on gamma


@control(GAMMA, "gamma-values")
def variances_of_another_scheme():
    measured = [fcn.lecun(D, 10, OUT).gamma(10), fcn.lecun(D, 10, OUT).gamma(10), fcn.ntk(D, 10, OUT).gamma(10)]
    return checks.equal("gamma-values", "", measured=measured, expected=[0.5**0.5, 1, 1], atol=1e-12, sample="")


@control(GAMMA, "energy-ratio")
def dead_networks_counted_as_zero():
    weights, x, _ = networks(2, 6, 4000)
    energy = gates.propagated(weights, x)
    estimate, error = mean_and_error((energy[:, 5] / energy[:, 4]).nan_to_num(0.0))
    return checks.agrees("energy-ratio", "", estimate=estimate, standard_error=error, exact=1.0, sample="")


def factor(m, gamma, depths, n, seed=0):
    """Measured growth of the mean norm per layer between two depths, and its standard error."""
    init = fcn.Initialisation.from_variances(1 / D, 2 * gamma**2 / m, 1 / m)
    a, b = (
        stability.estimate(stability.initial_fcn(X, m, OUT, L, init, initialisations=n, generator=g(seed + L)))
        for L in depths
    )
    steps = depths[1] - depths[0]
    growth = (b.mean / a.mean) ** (1 / steps)
    return growth, growth / steps * math.hypot(a.mean_error / a.mean, b.mean_error / b.mean)


@control(GAMMA, "wide-factor")
def variance_of_he():
    growth, error = factor(64, 1.0, (2, 3), 500)
    bound = 2**0.5 * 5 / (2 * 64) + 4 * error
    return checks.at_most("wide-factor", "", measured=abs(growth - 2**0.5), bound=bound, sample="")


@control(GAMMA, "gamma-above-one-harms")
def gamma_above_the_threshold():
    """Where gamma c(m) > 1, depth does harm: this check can hold."""
    found = [factor(m, 1.5, (3, 6), 1000) for m in (4, 16)]
    bound = [growth + 4.65 * error for growth, error in found]
    return checks.at_most("gamma-above-one-harms", "", measured=np.ones(2), bound=bound, sample="")


@control(GAMMA, "growth")
def gamma_without_the_contraction():
    growth, error = factor(4, 1.2, (3, 6), 4000)
    return checks.agrees("growth", "", estimate=growth, standard_error=error, exact=1.2, sample="")


@control(GAMMA, "threshold")
def threshold_at_one():
    found = [factor(2, 1.05, (3, 6), 4000), factor(4, 1.5, (3, 6), 4000)]
    harms = np.array([growth - 4.65 * error > 1 for growth, error in found])
    return checks.every("threshold", "", cases=harms == np.array([True, True]), sample="")


@control(GAMMA, "contraction-increases")
def depth_in_place_of_width():
    values = theory.contraction(16) ** np.arange(1, 20.0)
    increases = (np.diff(values, append=1) > 0) & (values > 1 - 2.5 / np.arange(1, 20))
    return checks.every("contraction-increases", "", cases=increases, sample="")


@control(GAMMA, "root-inequality")
def taylor_polynomial_taken_for_a_bound():
    y = z3.Real("y")
    conclusion = y >= 1 + (y * y - 1) / 2 - (y * y - 1) * (y * y - 1) / 8
    return checks.implies("root-inequality", "", assumptions=[y >= 0], conclusion=conclusion)


@control(GAMMA, "growth-algebra")
def contraction_left_out():
    m, b, c, depth = sympy.symbols("m beta c L", positive=True)
    norm = (b * sympy.sqrt(m / 2)) ** (depth - 2) * c ** (depth - 1)
    return checks.identity("growth-algebra", "", left=norm.subs(depth, depth + 1) / norm, right=b * sympy.sqrt(m / 2))
