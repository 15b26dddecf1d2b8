"""Negative controls of notebooks/finlay2018/two_numbers.

Checks of trained networks are made again, with the functions of the page, from tables whose answer is known: one in
which the statement is true, and one in which it is not. Which of the two is the control depends on what the page says.
"""

import math

import numpy as np
import pandas as pd
import sympy
import torch
import z3
from negative_controls import control

from advsmooth import checks, claims, pages, settings
from advsmooth.analysis import robustness_metrics as metrics
from advsmooth.models.fcn import FCN

TAB5, INVERSE, CONSTANTS = "finlay2018-tab5", "finlay2018-obs-tv-inverse", "finlay2018-obs-lipschitz-estimates"
PAGE = pages.Page("finlay2018/two_numbers")
MADE = [c for v in PAGE.verdicts() for c in v["checks"]] if PAGE.notebook.exists() else []
TABLES = [claims.claim("finlay2018-tab2").published, claims.claim("finlay2018-tab3").published]


def held(name):
    """Whether the check held on the page."""
    return next((check["outcome"] for check in MADE if check["name"] == name), "failed") == "held"


def nets(exponent, quantity, noise=0.003):
    """Eight models and three seeds; the median distance is a power of the quantity, almost."""
    found, rng = [], np.random.default_rng(0)
    for k in range(8):
        for s in range(3):
            level = 2.0 ** (k / 2) * (1 + 0.01 * s)
            name = metrics.UNDEFENDED if k == 0 else f"m{k}"
            found.append((name, s, level, level**exponent * math.exp(noise * rng.normal())))
    return pd.DataFrame(found, columns=["model", "seed", quantity, "distance"])


def quantity_of(name):
    return next(q for p, q in QUANTITIES.items() if name.startswith(p))


QUANTITIES = {"tv": "TV probabilities", "lipschitz": "Lip probabilities", "first": "first order"}


def ratios(name):
    quantity = quantity_of(name)
    true = 1.0 if quantity == "first order" else -1.0
    table = nets(0.1 * true if held(name) else true, quantity)
    worst = metrics.worst_factor(metrics.improvements(table, quantity)).to_numpy()
    differences = math.log(1.25) - np.log(worst)
    return checks.positive(name, "", differences=differences + 1e-3 * np.array([-1, 0, 1]), sample="")


def slopes(name):
    quantity, true = ("first order", 1.0) if name.startswith("first") else ("TV probabilities", -1.0)
    law = metrics.power_law(nets(0.3 * true if held(name) else true, quantity, noise=0.1), quantity)
    return checks.every(name, "", cases=[law.low <= true <= law.high], sample="")


def steeper(name):
    """Factors between what the ascent finds and the sampled maximum: none, or threefold."""
    factor = 0.01 if (name.startswith("lower") == held(name)) else math.log(3)
    logs = factor * np.array([-1.0, 0.1, 1.0]) if factor < 1 else factor + np.array([-0.01, 0.0, 0.01])
    differences = logs if name.startswith("lower") else math.log(1.25) - logs
    return checks.positive(name, "", differences=differences, sample="")


control(TAB5, "tv-within", "lipschitz-within", "first-order-within")(ratios)
control(INVERSE, "slope", "first-order-slope")(slopes)
control(CONSTANTS, "accurate", "lower-bound")(steeper)


@control(TAB5, "published-ratios")
def without_the_two_models_that_miss():
    found = [metrics.published_improvements(t) for t in TABLES]
    table = pd.concat(found)[lambda t: ~t["model"].str.contains("eps_0.1_")]
    off = np.exp(np.abs(np.log(table["total variation"] / table["median distance"])))
    return checks.at_most("published-ratios", "", measured=off / table["rounding"], bound=1.25, sample="")


@control(INVERSE, "published-order")
def in_the_gradient_of_the_loss_the_order_is_there():
    orders = [
        metrics.rank(metrics.published_column(t, "mean_grad_loss_2"), metrics.published_column(t, "l2_median_distance"))
        for t in TABLES
    ]
    return checks.at_most("published-order", "", measured=orders, bound=0.0, sample="")


@control(INVERSE, "temperature")
def logits_shifted_in_place_of_divided():
    """A constant added to one class moves boundaries."""
    digits = torch.rand(30, 64, generator=settings.generator(0))
    model = FCN(64, 16, 10, 2, generator=0)
    y = model(digits).argmax(1)
    wrapped = [model, lambda x: model(x) + torch.eye(10)[0] * 0.2]
    found = [metrics.evaluation.median_distance(metrics.distances(m, digits, y)) for m in wrapped]
    return checks.equal("temperature", "", measured=found, expected=found[0], atol=1e-4, sample="")


@control(INVERSE, "temperature-moves-tv")
def temperatures_that_hardly_differ():
    digits = torch.rand(30, 64, generator=settings.generator(0))
    model = FCN(64, 16, 10, 2, generator=0)
    y = model(digits).argmax(1)
    spread = [1.0, 1.1] if held("temperature-moves-tv") else [1.0, 1e4]
    hot = metrics.over_temperatures(model, digits, y, spread, name="m", seed=0)
    tv = hot.loc[hot["quantity"] == "TV probabilities", "value"]
    return checks.every("temperature-moves-tv", "", cases=[tv.max() >= 10 * tv.min()], sample="")


@control(INVERSE, "orders-better")
def the_two_predictors_exchanged():
    rng = np.random.default_rng(0)
    table = nets(-1.0, "TV probabilities")
    table["first order"] = table["distance"] * np.exp(rng.normal(size=len(table)))
    names = ["first order", "TV probabilities"]
    gain = metrics.rank_gain(table, *(names if held("orders-better") else names[::-1]))
    return checks.every("orders-better", "", cases=[gain.low > 0], sample="")


# ---------------------------------------------------------------- Lipschitz constants


P, Q, SQUARE, DROP, GAP, SLOPE, DISTANCE, RIVAL = z3.Reals("p q square drop gap slope distance rival")


@control(CONSTANTS, "softmax-row")
def a_smaller_bound():
    inside = [P >= 0, P <= 1, Q >= 0, Q <= (1 - P) * (1 - P), SQUARE == P * P * ((1 - P) * (1 - P) + Q)]
    return checks.implies("softmax-row", "", assumptions=inside, conclusion=z3.RealVal("1/9") >= SQUARE)


@control(CONSTANTS, "softmax-row-attained")
def classes_that_are_not_even():
    t = sympy.Rational(1, 3)
    row = 2 * (t * (1 - t)) ** 2
    return checks.identity("softmax-row-attained", "", left=row, right=sympy.Rational(1, 8))


@control(CONSTANTS, "gap")
def only_one_of_the_two_moves():
    moves = [SLOPE >= 0, DISTANCE >= 0, DROP <= SLOPE * DISTANCE, RIVAL <= SLOPE * DISTANCE, DROP + RIVAL >= GAP]
    return checks.implies("gap", "", assumptions=moves, conclusion=GAP <= SLOPE * DISTANCE)


@control(CONSTANTS, "published-close")
def the_constants_of_cifar_100_read_as_their_own():
    """Sampled maxima against themselves, halved."""
    column = metrics.published_column(TABLES[1], "max_grad_f_2inf")
    apart = [v / (v / 1.5) for v in column.values()]
    return checks.at_most("published-close", "", measured=apart, bound=2.0, sample="")


@control(CONSTANTS, "close-to-data-set")
def constants_that_are_far_off_or_the_same():
    factor = 4.0 if held("close-to-data-set") else 1.1
    away = np.abs(np.log(factor * np.array([1.0, 1.01, 0.99])))
    return checks.positive("close-to-data-set", "", differences=math.log(2) - away, sample="")


@control(CONSTANTS, "hundredfold", "grows-with-depth")
def products_that_fall_or_rise(name):
    """Networks whose product of norms is far above the sampled maximum and grows, or the other way round."""
    power = -1.0 if held(name) else 1.0
    found = [
        metrics.rows(
            "m",
            s,
            {"product": 10.0 ** (power * (depth + 0.01 * s * depth)), "sampled probabilities": 1.0},
            images="product",
            at=depth,
        )
        for s in range(3)
        for depth in (2, 3, 4, 8)
    ]
    table = metrics.by_depth(pd.concat(found))
    differences = (
        metrics.growth(table) if name == "grows-with-depth" else np.log10(table[table["at"] == 4]["ratio"]) - 2
    )
    return checks.positive(name, "", differences=differences, sample="")


@control(CONSTANTS, "penalty-reduces", "lipschitz-term-alone")
def the_penalised_network_is_the_steeper(name):
    networks = [FCN(64, 16, 10, 2, generator=s) for s in range(3)]
    x = torch.rand(20, 64, generator=settings.generator(0))
    flat, steep = (
        np.array([metrics.gradient_norms(metrics.Tempered(m, t), x, m(x).argmax(1))["logits"].max() for m in networks])
        for t in (8.0, 1.0)
    )
    before, after = (flat, steep) if held(name) else (steep, flat)
    differences = np.log(before / after) + 1e-3 * np.array([-1.0, 0.0, 1.0])
    return checks.positive(name, "", differences=differences, sample="")


@control(CONSTANTS, "below-product")
def the_norm_of_one_layer_in_place_of_all():
    model = FCN(64, 32, 10, 3, generator=0)
    x = torch.rand(20, 64, generator=settings.generator(0))
    steep = metrics.steepest_around(model, x, [0.1], name="m", seed=0, starts=4, steps=3)["value"].max()
    norms = metrics.products(model, x, name="m", seed=0).set_index("quantity")["value"]
    bound = metrics.SOFTMAX_ROW * norms["product"] ** (1 / 3) * 0.01
    return checks.at_most("below-product", "", measured=[steep], bound=bound, sample="")


@control(CONSTANTS, "ascent")
def too_short_a_climb():
    model = torch.nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -1.0, 2.0, 0.5], [0.0, 0.0, 0.0, 0.0]]))
    found = metrics.climb(model, torch.full((8, 4), 0.5), 0.05, steps=5)[0] / (model.weight[0].norm() / 4)
    return checks.equal("ascent", "", measured=found, expected=1.0, atol=1e-3, sample="")


def _register_other_sources():
    """Checks of the other sources exist only where there are records; their names end in the source."""
    makers = {
        "tv-within-": (TAB5, ratios),
        "lipschitz-within-": (TAB5, ratios),
        "first-order-within-": (TAB5, ratios),
        "slope-": (INVERSE, slopes),
        "first-order-slope-": (INVERSE, slopes),
        "accurate-": (CONSTANTS, steeper),
        "lower-bound-": (CONSTANTS, steeper),
    }
    for name in {c["name"] for c in MADE}:
        for stem, (claim_id, make) in makers.items():
            if name.startswith(stem):
                control(claim_id, name)(lambda name=name, make=make: make(name))


_register_other_sources()
