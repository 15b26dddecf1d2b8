"""Negative controls of notebooks/finlay2018/generalisation_without_layers."""

import functools
import math

import numpy as np
import sympy as sp
import torch
import z3
from negative_controls import control
from scipy import stats

from advsmooth import checks, settings
from advsmooth.theory import discrepancy, generalisation, interpolation, regularised, wasserstein
from advsmooth.training import line_networks

THM47, THM48, COR49 = "finlay2018-thm47", "finlay2018-thm48", "finlay2018-cor49"
LEM410, BERNSTEIN, A1 = "finlay2018-lem410", "finlay2018-bernstein", "finlay2018-thmA1"
STRAIGHT, ZIGZAG = generalisation.zigzag(1), generalisation.zigzag(3)
KINDS = ("straight", "zigzag", "step", "square")


def reals(names):
    return z3.Reals(names)


def size(value):
    return z3.If(value >= 0, value, -value)


@functools.cache
def of_another_price(column, wrong=0.15):
    """Exponents for minimisers at one price against the limit of another: they do not converge to it."""
    exponents = []
    for s in range(4):
        samples = [generalisation.sample(n, 1, s) for n in (64, 256, 1024)]
        found = [generalisation.on_the_line(generalisation.straight(x, wrong), STRAIGHT, 0.02) for x in samples]
        exponents.append(generalisation.slope_in_n([64, 256, 1024], [getattr(f, column) for f in found]))
    return np.array(exponents)


def opposite(name, exponents, least, role="printed"):
    return checks.positive(name, "", differences=exponents - least, sample="", role=role)


# ---------------------------------------------------------------- theorem 4.7


@control(THM47, *[f"sup-{kind}" for kind in KINDS])
def minimisers_of_another_price(name):
    """The distance to the wrong limit grows a little: at first the extensions are cut to [0, 1]."""
    return opposite(name, of_another_price("sup"), 0.2)


@control(THM47, "no-plateau")
def a_price_that_changes_with_the_sample():
    """At the price 0.15 for the larger samples and 0.02 for the smaller ones, the limit of the latter is missed."""
    ratios = []
    for s in range(4):
        samples = [(generalisation.sample(n, 1, s), p) for n, p in ((256, 0.02), (1024, 0.15))]
        found = [generalisation.on_the_line(generalisation.straight(x, p), STRAIGHT, 0.02) for x, p in samples]
        ratios.append(math.log2(found[0].sup / found[1].sup))
    return opposite("no-plateau", np.array(ratios), 0.0)


@control(THM47, "bounded-slope")
def a_loss_that_may_be_negative():
    lam, k, fn, gn, b = reals("lam k fn gn b")
    return checks.implies(
        "bounded-slope", "", assumptions=[lam > 0, fn + lam * k <= gn, gn <= b], conclusion=lam * k <= b
    )


@control(THM47, "finite-net")
def one_side_only():
    eta, lip, a, b, a2, b2 = reals("eta lip a b a2 b2")
    given = [eta >= 0, lip >= 0, size(a - a2) <= lip * eta, size(b - b2) <= lip * eta]
    return checks.implies("finite-net", "", assumptions=given, conclusion=size(a - b) <= size(a2 - b2) + lip * eta)


@control(THM47, "sandwich")
def a_single_discrepancy():
    f, fn, u0, v0, lam, k, lv, d = reals("f fn u0 v0 lam k lv d")
    given = [size(f - fn) <= d, size(u0 - v0) <= d, fn + lam * k <= v0 + lam * lv]
    return checks.implies("sandwich", "", assumptions=given, conclusion=f + lam * k <= u0 + lam * lv + d)


@control(THM47, "limit-slope")
def without_the_distance_to_the_limit():
    r, k, eta, a, b, a2, b2 = reals("r k eta a b a2 b2")
    given = [r >= 0, k >= 0, eta >= 0, size(a - a2) <= eta, size(b - b2) <= eta, size(a2 - b2) <= k * r]
    return checks.implies("limit-slope", "", assumptions=given, conclusion=size(a - b) <= k * r)


@control(THM47, "majority")
def the_squared_loss_takes_the_mean():
    x = [generalisation.sample(31, 1, 2000 + s) for s in range(10)]
    means = [regularised.minimise(v, torch.where(v[:, 0] < 0.5, 1.0, -1.0).double(), 2.0).values.mean() for v in x]
    return checks.every(
        "majority", "", cases=[any(m > 0.99 for m in means) and any(m < -0.99 for m in means)], sample=""
    )


@control(THM47, "hole")
def no_hole():
    found = generalisation.solve(generalisation.sample(1024, 1, 0), generalisation.STEP, 0.01)
    low, high = generalisation.extremes(found, torch.tensor([[0.825]], dtype=torch.float64))
    return checks.at_most("hole", "", measured=0.1, bound=high - low, sample="")


@control(THM47, "certificates")
@control(THM48, "certificates")
@control(COR49, "certificates")
def values_of_a_dearer_minimiser():
    x = generalisation.sample(12, 1, 0)
    right, wrong = (generalisation.solve(x, ZIGZAG, p) for p in (0.01, 0.02))
    objective = (wrong.values - ZIGZAG.labels(x[:, 0])).square().mean().item() + 0.01 * wrong.lipschitz
    return checks.at_most("certificates", "", measured=objective - right.bound, bound=1e-6, sample="")


# ---------------------------------------------------------------- theorem 4.8


def share_broken(factor, price):
    """Share of samples of 200 whose constants differ by more than (4.9) or (4.11) allow at this price."""
    bound = 1000 * STRAIGHT.objective(price) / price * discrepancy.rate(200, 30.0, 1)
    errors = [(generalisation.sample(200, 1, s).mean().item() - 0.5) ** 2 for s in range(40)]
    return np.mean([e > factor * bound for e in errors])


@control(THM48, "high-price")
def a_moderate_price():
    return checks.at_most("high-price", "", measured=share_broken(1, 1.0), bound=0.5, sample="")


@control(COR49, "high-price-sup")
def a_moderate_price_in_the_sup_norm():
    return checks.at_most("high-price-sup", "", measured=share_broken(4, 1.0), bound=0.5, sample="")


@control(THM48, *[f"rate-{kind}" for kind in KINDS])
def errors_against_the_limit_of_another_price(name):
    return opposite(name, of_another_price("square"), 1 / 3)


@control(THM48, "exchange")
def without_the_data():
    """Only the distribution's own side, twice: equality is lost to the other side."""
    x = generalisation.sample(6, 1, 3)
    one = generalisation.on_the_line(generalisation.straight(x, 0.02), STRAIGHT, 0.02)
    return checks.at_most("exchange", "", measured=3 * one.square / one.exchange, bound=1.0, rtol=1e-5, sample="")


@control(THM48, "repaired")
def a_bound_that_falls_with_the_price():
    x = generalisation.sample(200, 1, 1000)
    one = generalisation.on_the_line(generalisation.straight(x, 1e8), STRAIGHT, 1e8)
    bound = 8 * STRAIGHT.objective(1e8) / 1e8 * wasserstein.to_uniform(x[:, 0])
    return checks.at_most("repaired", "", measured=one.square, bound=bound, sample="")


@control(THM48, "not-steeper")
def values_with_noise():
    x = generalisation.sample(30, 1, 0)
    noise = torch.randn(30, generator=settings.generator(1), dtype=torch.float64)
    slope = regularised.minimise(x, x[:, 0] + 0.1 * noise, 1e-4).lipschitz
    return checks.at_most("not-steeper", "", measured=slope, bound=1.0, rtol=1e-6, sample="")


@control(THM48, "labels-compete")
def labels_with_a_loss_of_their_own():
    lam, f, k, a, ly, own = reals("lam f k a ly own")
    given = [lam > 0, f >= 0, k >= 0, own >= 0, a * lam == f + lam * k, f + lam * k <= own + lam * ly]
    return checks.implies("labels-compete", "", assumptions=given, conclusion=z3.And(ly >= k, ly >= a))


@control(THM48, "two-excesses")
def two_prices():
    lam, mu, th, a, b, f, fn, u0, v0, k, lv = reals("lam mu th a b f fn u0 v0 k lv")
    given = [
        lam > 0,
        mu > 0,
        th > 0,
        th / 2 * a <= f + lam * k - u0 - lam * lv,
        th / 2 * b <= v0 + mu * lv - fn - mu * k,
    ]
    return checks.implies("two-excesses", "", assumptions=given, conclusion=th / 2 * (a + b) <= (f - fn) - (u0 - v0))


@control(THM48, "loss-slope")
def labels_forgotten():
    """The printed (4.17)."""
    lip, r, k, ly, p, q, d = reals("lip r k ly p q d")
    given = [lip >= 0, r >= 0, p <= k * r, q <= ly * r, size(d) <= lip * (p + q)]
    return checks.implies("loss-slope", "", assumptions=given, conclusion=size(d) <= lip * k * r)


@control(THM48, "sum-up")
def half_of_the_constant():
    q, k, lv, ly, f, fn, u0, v0 = reals("q k lv ly f fn u0 v0")
    given = [q >= 0, k <= ly, lv <= ly, f - fn <= q * (k + ly), v0 - u0 <= q * (lv + ly)]
    return checks.implies("sum-up", "", assumptions=given, conclusion=(f - fn) - (u0 - v0) <= 2 * q * ly)


@control(THM48, "squared-lipschitz")
def values_outside():
    a, b, c, d = reals("a b c d")
    given = [a >= 0, a <= 2, b >= 0, b <= 1, c >= 0, c <= 1, d >= 0, d <= 1]
    claim = size((a - b) ** 2 - (c - d) ** 2) <= 2 * (size(a - c) + size(b - d))
    return checks.implies("squared-lipschitz", "", assumptions=given, conclusion=claim)


@control(THM48, "constants")
def constants_around_zero():
    x, c = sp.symbols("x c")
    return checks.identity("constants", "", left=sp.integrate((c - x) ** 2, (x, 0, 1)), right=sp.Rational(1, 12) + c**2)


@control(THM48, "constant-w")
def a_loss_that_is_constant():
    """Labels that do not vary: the discrepancy of the constant is zero."""
    return checks.at_most("constant-w", "", measured=abs((0.5 - 0.3) ** 2 - 0.04), bound=1e-6, sample="")


@control(THM48, "network-2", "network-3", "network-5")
def untrained_networks(name):
    exponents = []
    at = torch.linspace(0, 1, 101, dtype=torch.float64)
    for s in range(4):
        data = [(x := generalisation.sample(n, 1, s)[:, 0], ZIGZAG.labels(x)) for n in (16, 48, 144)]
        nets = line_networks.train(data, 0.01, depth=int(name[-1]), width=8, steps=0, rate=0.01, seed=s)
        same = nets(at)[:1].expand(3, -1)
        errors = (same - ZIGZAG.minimiser(at, 0.01)).square().mean(1)
        exponents.append(generalisation.slope_in_n([16, 48, 144], errors.tolist()))
    return opposite(name, np.array(exponents), 1 / 3, role="observed")


@control(THM48, "network-near")
def distance_to_the_labels():
    """The minimiser has excess 0 and is still away from the labels."""
    x = generalisation.sample(48, 1, 0)
    found = generalisation.solve(x, ZIGZAG, 0.01)
    away = (found.values - ZIGZAG.labels(x[:, 0])).square().mean()
    return checks.at_most("network-near", "", measured=away, bound=found.gap + 1e-6, sample="")


@control(THM48, "depth")
def exact_minimisers_against_a_wrong_limit():
    """Two families whose exponents do differ."""
    right = []
    for s in range(4):
        found = [generalisation.straight(generalisation.sample(n, 1, s), 0.02) for n in (64, 256, 1024)]
        errors = [generalisation.on_the_line(f, STRAIGHT, 0.02).square for f in found]
        right.append(generalisation.slope_in_n([64, 256, 1024], errors))
    return opposite("depth", np.array(right) - of_another_price("square"), 0.0, role="observed")


@control(THM48, "closed-form")
def variance_with_the_other_divisor():
    x = generalisation.sample(40, 1, 0)
    share = 1 - 0.05 / (2 * x.var().item())
    wrong = x.mean() + share * (x[:, 0] - x.mean())
    right = generalisation.solve(x, STRAIGHT, 0.05).values
    return checks.equal("closed-form", "", measured=wrong, expected=right, atol=1e-7, sample="")


# ---------------------------------------------------------------- corollary 4.9


@control(COR49, *[f"sup-rate-{kind}" for kind in KINDS])
def sup_errors_against_the_limit_of_another_price(name):
    return opposite(name, of_another_price("sup"), 0.2)


def compared():
    x = generalisation.sample(16, 1, 0)
    return x, generalisation.on_the_line(generalisation.solve(x, ZIGZAG, 0.01), ZIGZAG, 0.01)


@control(COR49, "interpolate")
def a_third_of_the_square():
    """The first sample's error is nearly one cone at the end of the interval."""
    _, one = compared()
    bound = interpolation.bound(one.square / 3, one.difference, one.sup, 1, 0.5, sharp=True)
    return checks.at_most("interpolate", "", measured=one.sup, bound=bound, sample="")


@control(COR49, "repaired-sup")
def a_thousandth_of_the_distance():
    x, one = compared()
    square = 8 * 3 * wasserstein.to_uniform(x[:, 0]) / 1000
    bound = interpolation.bound(square, one.difference, one.sup, 1, 0.5, sharp=True)
    return checks.at_most("repaired-sup", "", measured=one.sup, bound=bound, sample="")


@control(COR49, "combine")
def without_the_lower_bound_of_the_density():
    g, s, q, rho, th, power, w = reals("g s q rho th power w")
    given = [g >= 0, s >= 0, rho > 0, th > 0, power <= g * s, th * q <= 8 * w, w >= 0, q >= 0]
    return checks.implies("combine", "", assumptions=given, conclusion=power * rho * th <= 8 * g * w)


@control(COR49, "difference-slope")
def only_one_of_the_slopes():
    r, k, lv, ly, a, b, a2, b2 = reals("r k lv ly a b a2 b2")
    given = [r >= 0, size(a - a2) <= k * r, size(b - b2) <= lv * r, k <= ly, lv <= ly]
    return checks.implies("difference-slope", "", assumptions=given, conclusion=size((a - b) - (a2 - b2)) <= ly * r)


@control(COR49, "no-lower-bound")
def a_density_without_a_zero():
    k, x = sp.symbols("k x", positive=True)
    left = sp.integrate((k - x) ** 2, (x, 0, k))
    return checks.identity("no-lower-bound", "", left=left, right=2 * k**5 / 20, role="observed")


# ---------------------------------------------------------------- lemma 4.10


def unit(n, seed, m=1):
    return generalisation.sample(n, m, seed)


@control(LEM410, "tail")
def data_that_are_all_the_same_point():
    """Ten million data at one place: the empirical measure is that of a single point."""
    n = 10_000_000
    wrong = sum(discrepancy.to_power(unit(1, s)[:, 0], 1.0) > discrepancy.radius(n, 3.0, 1) for s in range(300))
    upper = stats.beta.ppf(1 - checks.ALPHA, wrong + 1, 300 - wrong) if wrong < 300 else 1.0
    return checks.at_most("tail", "", measured=upper, bound=discrepancy.failure(n, 3.0, 1), sample="")


@control(LEM410, "counts")
def counts_that_depend_on_each_other():
    off = [(discrepancy.counts(unit(1, s).repeat(300, 1), 8) - 1 / 8).abs().sum().item() for s in range(300)]
    wrong = sum(o > discrepancy.counting_bound(8, 300, math.log(160)) for o in off)
    upper = stats.beta.ppf(1 - checks.ALPHA, wrong + 1, 300 - wrong) if wrong < 300 else 1.0
    return checks.at_most("counts", "", measured=upper, bound=0.1, sample="")


@control(LEM410, "cubes")
def the_wrong_probabilities():
    """All data and nearly all of the density at opposite ends, counted as if the density were at the data."""
    x = torch.ones(50, dtype=torch.float64)
    ratio = discrepancy.to_power(x, 200.0) / (1 / 50 + 0.5 * 0.2)
    return checks.at_most("cubes", "", measured=ratio, bound=1.0, sample="")


@control(LEM410, "rate-square")
def data_on_the_diagonal():
    """Not drawn from the density: the distance to the square stays."""
    exponents = []
    for s in range(3):
        far = [wasserstein.to_uniform_cube(unit(n, s).repeat(1, 2), 6).low for n in (32, 128)]
        exponents.append(generalisation.slope_in_n([32, 128], far))
    return opposite("rate-square", np.array(exponents), 1 / 4)


@control(LEM410, "one-cube")
def half_of_the_spread():
    z, p, w, v, a, b, r, e = reals("z p w v a b r e")
    given = [z >= 0, p >= 0, size(v) <= w, size(a) <= r, size(b) <= r, size(z - p) <= e]
    claim = size((z - p) * v + z * a - p * b) <= w * e + r * z
    return checks.implies("one-cube", "", assumptions=given, conclusion=claim)


@control(LEM410, "expand")
def a_sign():
    z, p, w, a, b = sp.symbols("z p w a b")
    return checks.identity("expand", "", left=z * (w + a) - p * (w + b), right=(z - p) * w + z * a + p * b)


@control(LEM410, "invert")
def a_third_in_place_of_two():
    tau, n, p = sp.symbols("tau n p", positive=True)
    one, two = sp.sqrt(2 * p * tau / n), 2 * tau / (3 * n)
    left = n * (one + two) ** 2 - tau * (2 * p + sp.Rational(4, 3) * (one + two))
    return checks.identity("invert", "", left=left, right=n * one * two)


@control(LEM410, "cauchy-schwarz")
def three_in_place_of_four():
    s = sp.symbols("s1:5")
    right = sum((a - b) ** 2 for k, a in enumerate(s) for b in s[:k])
    return checks.identity("cauchy-schwarz", "", left=3 * sum(a**2 for a in s) - sum(s) ** 2, right=right)


@control(LEM410, "choice")
def a_side_of_three_radii():
    r, root, share, side = reals("r root share side")
    given = [r > 0, r <= 1, root >= 0, share >= 0, share <= r * r / 2, root * root == 2 * share, side <= 3 * r]
    claim = z3.And(3 * (root + 4 * share / 3) <= 5 * r, 6 * (side + (root + 4 * share / 3) / 2) <= 17 * r)
    return checks.implies("choice", "", assumptions=given, conclusion=claim)


@control(LEM410, "integer-side")
def rounding_by_two():
    r, k = reals("r k")
    given = [r > 0, r <= 1, k >= 1, k * r > 1 - 2 * r]
    return checks.implies("integer-side", "", assumptions=given, conclusion=2 * r * k >= 1)


@control(LEM410, "probability")
def without_the_logarithm():
    n, m, t, c, log = sp.symbols("n m t c l", positive=True)
    left = sp.powdenest(sp.expand_power_base((t * log / n) ** (-m / (m + 2)), force=True), force=True) * n ** (-c * t)
    right = t ** (-m / (m + 2)) * n ** (1 - c * t) * n ** (m / (m + 2)) / n
    return checks.identity("probability", "", left=left, right=right)


@control(LEM410, "printed-line")
def a_maximum_that_is_not_negative():
    z, p, e, w = reals("z p e w")
    given = [z >= 0, p >= 0, e >= 0, size(z - p) <= e, w >= 0]
    return checks.implies("printed-line", "", assumptions=given, conclusion=z * w <= (p + e) * w, role="observed")


@control(LEM410, "mended-line")
def without_the_error():
    z, p, e, w = reals("z p e w")
    given = [z >= 0, p >= 0, e >= 0, size(z - p) <= e]
    return checks.implies("mended-line", "", assumptions=given, conclusion=z * w <= p * w, role="observed")


@control(LEM410, "unbounded-density")
def a_bounded_density():
    """p = h: (B.2) holds with c = 1/100 for every h."""
    found = []
    for h in (1e-2, 1e-4, 1e-6, 1e-8):
        n = round((1 - h) / (9 * h))
        law = stats.binom(n, h)
        beyond = law.sf(math.floor(2 * n * h)) + (law.cdf(-1))
        found.append(math.log(2 / max(beyond, 1e-300)) / (n * h))
    return checks.at_most("unbounded-density", "", measured=np.full(4, 0.01), bound=found, sample="")


@control(LEM410, "true-rate")
def the_proved_rate():
    scaled = [n ** (1 / 3) * discrepancy.expected_to_uniform(n) for n in (100, 1000, 10_000)]
    return checks.equal("true-rate", "", measured=scaled, expected=math.sqrt(2 * math.pi) / 8, atol=2e-3, sample="")


@control(LEM410, "mean-distance")
def the_limit_in_place_of_the_exact_mean():
    """Five points are not yet at the limit; the power 1/2 in place of the uniform law."""
    far = [discrepancy.to_power(unit(5, s)[:, 0] ** 0.5, 1.0) for s in range(400)]
    error = np.std(far, ddof=1) / 20
    exact = discrepancy.expected_to_uniform(5)
    return checks.agrees("mean-distance", "", estimate=np.mean(far), standard_error=error, exact=exact, sample="")


# ---------------------------------------------------------------- Bernstein


@control(BERNSTEIN, "binomial")
def the_variance_alone():
    """Without the term 4 M eps / 3 the bound is Gaussian, and too small for rare events."""
    eps, tail = discrepancy.binomial_tails(1000, 0.01)
    near = eps < 0.05
    ratio = np.exp(tail[near] - discrepancy.bernstein(1000, 0.01 * 0.99, 0.0, eps[near]))
    return checks.at_most("binomial", "", measured=ratio, bound=1.0, sample="")


@control(BERNSTEIN, "exponent")
def far_in_the_tail():
    """At five times p = 0.01 the bound can be improved by more than a tenth."""
    tail = stats.binom(1000, 0.01).logsf(49)
    exponent = math.log(2) - float(discrepancy.bernstein(1000, 0.0099, 1.0, np.array(0.04)))
    return checks.every("exponent", "", cases=[tail > math.log(2) - 1.1 * exponent], sample="")


@control(BERNSTEIN, "centred")
def without_a_bound_of_the_mean():
    x, e, m = reals("x e m")
    return checks.implies("centred", "", assumptions=[size(x) <= m], conclusion=size(x - e) <= 2 * m)


@control(BERNSTEIN, "factorials")
def from_one_on():
    f, p, k = reals("f p k")
    given = [k >= 1, p >= 1, f >= 2 * p]
    return checks.implies("factorials", "", assumptions=given, conclusion=(k + 1) * f >= 2 * (3 * p))


@control(BERNSTEIN, "geometric")
def one_term_short():
    s = sp.Symbol("s", positive=True)
    return checks.identity("geometric", "", left=sp.expand((1 - s) * sum(s**j for j in range(7))), right=1 - s**8)


@control(BERNSTEIN, "optimal-s")
def the_gaussian_s():
    sigma, eps, m = sp.symbols("sigma eps m", positive=True)
    s = eps / sigma**2
    left = -s * eps + s**2 * sigma**2 / (2 * (1 - 2 * m * s / 3))
    return checks.identity("optimal-s", "", left=left, right=-(eps**2) / (2 * sigma**2 + 4 * m * eps / 3))


# ---------------------------------------------------------------- theorem A.1


@control(A1, "torus", "torus-sharp")
def a_wrong_lipschitz_constant(name):
    """A cone with its slope understated ten times."""
    at = interpolation.torus_grid(2, 50)
    u = (0.4 - interpolation.torus_distance(at, at[:1])[:, 0]).clamp(min=0)
    bound = interpolation.bound(u.square().mean().item(), 0.1, 0.04, 2, 0.5, sharp=name == "torus-sharp")
    return checks.at_most(name, "", measured=u.max(), bound=bound, sample="")


@control(A1, "cone")
def a_cone_that_does_not_fit():
    """Its ball is cut off at r: K > L r."""
    ratio = 0.8**4 / (interpolation.small_constant(2) * interpolation.cone_integral(0.8, 1.0, 2, 0.5))
    return checks.equal("cone", "", measured=ratio, expected=0.5, atol=1e-12, sample="")


@control(A1, "cone-large")
def the_printed_constant():
    attained = interpolation.large_constant(3, 0.5) * 0.5 * interpolation.cone_integral(0.5, 1.0, 3, 0.5)
    return checks.equal("cone-large", "", measured=attained, expected=0.25, atol=1e-12, sample="")


@control(A1, "integral")
def a_factor_lost():
    m, r, k, s = sp.symbols("m r K L", positive=True)
    area = r**m * (k**2 - 2 * k * s * r / (m + 1) + m * s**2 * r**2 / (m + 2))
    left = sp.simplify(sp.diff(area, r) / r ** (m - 1))
    return checks.identity("integral", "", left=left, right=m * (k - s * r) ** 2)


@control(A1, "small-case")
def half_the_height():
    m = sp.Symbol("m", positive=True)
    half = sp.Rational(1, 2)
    return checks.identity(
        "small-case", "", left=1 - 2 * m * half / (m + 1) + m * half**2 / (m + 2), right=2 / ((m + 1) * (m + 2))
    )


@control(A1, "worst-kappa")
def the_bracket_is_not_larger_still():
    m, k = reals("m k")
    claim = (m + 1) * (m + 2) - 2 * m * k * (m + 2) + m * k * k * (m + 1) >= 3
    return checks.implies("worst-kappa", "", assumptions=[m > 0, k >= 0, k <= 1], conclusion=claim)


@control(A1, "printed-larger")
def from_a_smaller_start():
    m, power = reals("m power")
    return checks.implies(
        "printed-larger",
        "",
        assumptions=[m >= 1, power >= (m + 2) / 3],
        conclusion=z3.And(2 * power >= m + 3, power >= 0),
    )


@control(A1, "corner")
def a_cone_in_the_middle():
    ratio = [
        0.4 ** (m + 2) / (interpolation.small_constant(m) * interpolation.cone_integral(0.4, 1.0, m, 0.5))
        for m in range(1, 6)
    ]
    return checks.at_most("corner", "", measured=ratio, bound=1.0, sample="")
