"""Negative controls of notebooks/kanai2021/flat_or_well_trained.

Checks of trained networks are made again, with the functions of the page, from studies whose answer is known: one in
which a direction is there in every seed, and one in which it is not. Which of the two is the control depends on what
the page says: the control must come out the other way.
"""

import numpy as np
import pandas as pd
import sympy
import torch
import z3
from negative_controls import control

from advsmooth import checks, data, pages, settings
from advsmooth.analysis import curvature, epsilon_sharpness, flatness
from advsmooth.theory import linear

FIG7, DEF2 = "kanai2021-fig7", "kanai2021-def2"
PAGE = pages.Page("kanai2021/flat_or_well_trained")
OFFSETS = [-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0]
LEVEL = float(np.log(10))
MADE = [c for v in PAGE.verdicts() for c in v["checks"]] if PAGE.notebook.exists() else []


def says(name):
    """What the page says of a check."""
    return next(check["outcome"] for check in MADE if check["name"] == name)


def study(centres, steepness, accuracies=None):
    """Parabolas of four methods and three seeds, as a study: a little apart in the seeds, and the same trainings."""
    parts = [flatness.rows("", 0, "constant", [LEVEL])]
    for method, centre in centres.items():
        for seed in range(3):
            name, shift = (method, seed), 0.01 * seed
            curve = [centre + shift + steepness[method] * (1 + shift) * a**2 for a in OFFSETS]
            parts += [flatness.rows(*name, part, curve, at=OFFSETS) for part in ("train", "test")]
            parts += [flatness.rows(*name, "majority", [0.1])]
            for at in (0.0, 1.0):
                parts += [flatness.rows(*name, "loss", [centre + shift], at=[at])]
                accuracy = (accuracies or {}).get(method, 0.8) - shift
                parts += [flatness.rows(*name, "accuracy", [accuracy], at=[at])]
            losses = [2.2, 1.6, centre + shift]
            parts += [flatness.rows(*name, "epoch loss", losses, at=[1, 2, 3])]
            rises = [steepness[method] * (2.3 - loss) * (1 + shift) for loss in losses]
            parts += [flatness.rows(*name, "epoch rise", rises, at=[1, 2, 3])]
    return pd.concat(parts, ignore_index=True)


def swapped(values):
    """The same numbers with SGD and EntropySGD exchanged."""
    pairs = {"AT": "AT+EnSGD", "AWP": "AWP+EnSGD"}
    return {**{a: values[b] for a, b in pairs.items()}, **{b: values[a] for a, b in pairs.items()}}


LOWEST = {"AT": 1.0, "AT+EnSGD": 0.6, "AWP": 1.2, "AWP+EnSGD": 0.8}  # EntropySGD has the smallest loss ...
FLATTER = {"AT": 4.0, "AT+EnSGD": 3.0, "AWP": 2.0, "AWP+EnSGD": 1.0}  # ... and the flattest curve


@control(FIG7, "at-underfits", "awp-underfits")
def the_methods_exchanged(name):
    centres = swapped(LOWEST) if says(name) == "held" else LOWEST
    table = flatness.networks(study(centres, FLATTER))
    kind = name.split("-")[0].upper()  # also of "at-underfits-digits"
    return checks.positive(
        name, "", differences=flatness.gap(table, "train loss", kind, f"{kind}+EnSGD"), sample="", role="trend"
    )


@control(FIG7, "none-very-sharp")
def curves_that_rise_within_one_step():
    steepness = {name: 100 if says("none-very-sharp") == "held" else 1 for name in LOWEST}
    return checks.at_most(
        "none-very-sharp", "", measured=flatness.grid_step(study(LOWEST, steepness)), bound=0.5, sample=""
    )


@control(FIG7, "not-necessarily-flatter")
def entropysgd_flatter_everywhere():
    steepness = FLATTER if says("not-necessarily-flatter") == "held" else swapped(FLATTER)
    table = flatness.networks(study(LOWEST, steepness))
    columns = ("train rise", "test rise")
    gaps = [flatness.gap(table, c, kind, f"{kind}+EnSGD") for kind in ("AT", "AWP") for c in columns]
    lowest = min(checks.mean_interval(gap)[0] for gap in gaps)
    return checks.at_most("not-necessarily-flatter", "", measured=lowest, bound=0.0, sample="")


@control(FIG7, "equal-loss-awp", "equal-loss-at+ensgd", "equal-loss-awp+ensgd")
def one_line_for_all_trainings(name):
    """Where rise is a function of the loss alone there is no difference at equal loss, whatever the ends."""
    pairs = {"awp": ("AT", "AWP"), "at+ensgd": ("AT", "AT+EnSGD"), "awp+ensgd": ("AWP", "AWP+EnSGD")}
    more, less = pairs[name.removeprefix("equal-loss-")]
    steepness = dict.fromkeys(LOWEST, 2.0) if says(name) == "held" else FLATTER
    paths = flatness.trajectories(study(LOWEST, steepness))
    if says(name) == "held":
        noise = paths["seed"].map({0: 1e-3, 1: -1e-3, 2: 0.0}) * (paths["method"] == less)
        paths = paths.assign(rise=paths["rise"] + noise)
    return checks.positive(name, "", differences=flatness.gap_at_equal_loss(paths, more, less), sample="")


@control(FIG7, "better-is-steeper")
def the_better_trained_are_flatter():
    sign = -1 if says("better-is-steeper") == "held" else 1
    paths = flatness.trajectories(study(LOWEST, FLATTER))
    found = sign * flatness.rank_correlation(paths.assign(rise=sign * paths["rise"])) * sign
    return checks.positive("better-is-steeper", "", differences=-found, sample="")


@control(FIG7, "accuracy-lower")
def accuracies_exchanged():
    lower = {"AT": 0.9, "AT+EnSGD": 0.8}
    found = study(
        LOWEST, FLATTER, swapped(lower | {"AWP": 0.8, "AWP+EnSGD": 0.8}) if says("accuracy-lower") == "held" else lower
    )
    noisy = flatness.networks(found)
    gap = flatness.gap(noisy, "last accuracy", "AT", "AT+EnSGD") + np.array([0.0, 0.001, -0.001])
    return checks.positive("accuracy-lower", "", differences=gap, sample="")


# ---------------------------------------------------------------- definition 2


RISE, LAM, R, RHO, Q, G = z3.Reals("rise lambda r rho q g")
POSITIVE = [LAM > 0, R > 0, RHO >= 0, G >= 0, Q * (LAM * R * R) == 2 * RISE]


@control(DEF2, "ratio-bound")
def half_the_remainder():
    taylor = [RISE - LAM * R * R / 2 <= RHO * R * R * R / 6, LAM * R * R / 2 - RISE <= RHO * R * R * R / 6]
    conclusion = z3.And(6 * LAM * (Q - 1) <= RHO * R, 6 * LAM * (1 - Q) <= RHO * R)
    return checks.implies("ratio-bound", "", assumptions=POSITIVE + taylor, conclusion=conclusion)


@control(DEF2, "gradient-bound")
def half_the_gradient():
    bounds = [LAM * R * R / 2 <= RISE, G * R <= RISE, RISE <= G * R + LAM * R * R / 2]
    return checks.implies(
        "gradient-bound", "", assumptions=POSITIVE + bounds, conclusion=z3.And(Q >= 1, LAM * R * (Q - 1) <= G)
    )


@control(DEF2, "cubic")
def a_cubic_without_its_third():
    t, lam, rho = sympy.symbols("t lambda rho", positive=True)
    ratio = (lam * t**2 / 2 + rho * t**3 / 6) / (lam * t**2 / 2)
    return checks.identity("cubic", "", left=ratio, right=1 + rho * t / lam)


@control(DEF2, "kink-slope")
def one_of_the_pair():
    """A single example has the slope of its own feature as well."""
    t, b, m, e = sympy.symbols("t b m epsilon", positive=True)
    one = sympy.log(1 + sympy.exp(-(m + b * t - e * t)))
    return checks.identity("kink-slope", "", left=sympy.diff(one, t).subs(t, 0), right=e / (1 + sympy.exp(m)))


@control(DEF2, "smooth-minimum")
def a_kink_in_place_of_a_smooth_minimum():
    kink = epsilon_sharpness.noisy_pair("linf")
    rho = float((kink.x.abs() + kink.eps).norm(dim=1).pow(3).mean()) / (6 * 3**0.5)
    radii = [1e-3, 1e-2]
    measured = [abs(kink.ratio(r) - 1) for r in radii]
    bound = [rho * r / (3 * kink.top) for r in radii]
    return checks.at_most("smooth-minimum", "", measured=measured, bound=bound, rtol=1e-6, sample="")


@control(DEF2, "ascent")
def too_few_steps():
    generator = settings.generator(0)
    ratios = []
    for _ in range(5):
        a = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        slope = torch.randn(5, generator=generator, dtype=torch.float64)
        start = torch.randn(5, generator=generator, dtype=torch.float64)
        hessian = a @ a.T

        def landscape(v, h=hessian, s=slope):
            return float(s @ v + v @ h @ v / 2), s + h @ v

        found = epsilon_sharpness.ascend(landscape, 0.5, [start], steps=1)
        ratios.append(found / epsilon_sharpness.quadratic_rise(hessian, slope, 0.5))
    return checks.equal("ascent", "", measured=ratios, expected=1.0, atol=1e-5, sample="")


@control(DEF2, "eigenvalue")
def too_few_products():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    digits = data.load("digits").take(50, seed=0)
    hessian = curvature.model_hessian(model, digits.x, digits.y)
    pairs = curvature.top_eigenpairs(hessian, 1, guard=0, generator=settings.generator(0), max_products=3)
    return checks.at_most(
        "eigenvalue", "", measured=pairs.residuals, bound=0.01 * pairs.values.abs().numpy(), sample=""
    )


@control(DEF2, "kink")
def the_l2_attack_in_place_of_the_maximum_norm():
    kink, smooth = (epsilon_sharpness.noisy_pair(norm) for norm in ("linf", "l2"))
    radii = np.geomspace(1e-4, 1, 25)
    steep = np.array([smooth.ratio(r) * smooth.top * r / (2 * kink.slope) for r in radii])
    widest = float((kink.x.abs() + kink.eps).square().sum(1).max()) / 4
    bound = [*(widest * radii / (2 * kink.slope)), *np.zeros(len(radii))]
    return checks.at_most("kink", "", measured=[*(steep - 1), *(1 - steep)], bound=bound, sample="")


def at_the_minimum(radii):
    """Ratios at an exact minimum of a smooth loss."""
    ridge = epsilon_sharpness.random_ridge(settings.generator(0))
    return np.array([ridge.ratio(r) for r in radii])


def far_from_a_minimum(radii):
    """Ratios of a linear model's smooth loss far from its minimum: the gradient decides."""
    pair = epsilon_sharpness.noisy_pair("l2")
    away = torch.tensor([[-3.0, 0.1]], dtype=torch.float64)
    top = float(torch.linalg.matrix_norm(linear.hessian(away, pair.x, pair.y, pair.eps, "l2")[0], 2))
    rises = [epsilon_sharpness.circle_rise(pair.loss, away[0], r) for r in radii]
    return np.array([2 * rise / (top * r**2) for rise, r in zip(rises, radii, strict=True)])


@control(DEF2, "gradient-term")
def at_an_exact_minimum():
    ratios = (at_the_minimum if says("gradient-term") == "held" else far_from_a_minimum)([1e-3])
    return checks.at_most("gradient-term", "", measured=-np.log10(ratios), bound=-2.0, sample="")


@control(DEF2, "usable")
def a_minimum_that_was_reached():
    ratios = (far_from_a_minimum if says("usable") == "held" else at_the_minimum)([1e-3, 1e-2])
    return checks.every("usable", "", cases=[(np.abs(ratios - 1) <= 0.25).any()], sample="")


def _register_other_sources():
    """Checks of the other sources exist only where there are records; their names end in the data set."""
    for name in {c["name"] for c in MADE}:
        stem = next((s for s in ("at-underfits-", "awp-underfits-") if name.startswith(s)), None)
        if stem:
            control(FIG7, name)(lambda name=name: the_methods_exchanged(name))


_register_other_sources()
