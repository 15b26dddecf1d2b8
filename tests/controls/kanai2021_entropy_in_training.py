"""Negative controls of notebooks/kanai2021/entropy_in_training.

The directions over seeds may come out either way when a record is renewed. Their controls read the stored outcome and
make curves, judged by the functions of the page, in which the direction is clearly the other one.
"""

import math
from dataclasses import replace

import pandas as pd
import sympy
import torch
from negative_controls import control

from advsmooth import checks, claims, data, pages
from advsmooth.attacks.losses import cross_entropy
from advsmooth.theory import entropy, newton
from advsmooth.training import awp, convergence, published, second_order

ALG1, AWP, SETUP = "kanai2021-alg1", "kanai2021-alg-awp", "kanai2021-setup"
FIG3, TAB1, TAB3 = "kanai2021-fig3", "kanai2021-tab1", "kanai2021-tab3"
PAGE = pages.find("kanai2021/entropy_in_training")
STORED = {(v["claim"], c["name"]): c for v in PAGE.verdicts() for c in v["checks"]} if PAGE.notebook.exists() else {}
GAMMA, RATE = 0.03, 0.1


def held(claim, name):
    return STORED.get((claim, name), {"outcome": "held"})["outcome"] == "held"


# --- the step on a quadratic ----------------------------------------------------------------------------------------


@control(ALG1, "newton-algebra")
def step_without_the_second_order():
    """With the first-order step of the paper, gamma in place of gamma h, theta does not reach c."""
    a, c, theta, gamma = sympy.symbols("a c theta gamma", positive=True)
    mean = (gamma * theta + a * c) / (a + gamma)
    return checks.identity("newton-algebra", "", left=theta - gamma * (theta - mean), right=c)


@control(ALG1, "newton-lands")
def step_with_the_variance_of_line_11():
    """The variance that line 11 has at a noise of 1, half of what is needed."""
    start, target = torch.tensor([[0.0]], dtype=torch.float64), 1.5
    local = entropy.quadratic(torch.ones(1, 1).double(), -target * torch.ones(1).double(), start, 1.0)
    wrong = torch.full((1, 1), newton.stationary_variance(2.0, RATE, 1.0), dtype=torch.float64)
    landed = newton.newton_step(start, local.mean, wrong, 1.0)
    return checks.equal("newton-lands", "", measured=landed, expected=target, atol=1e-8, sample="")


def end_of(sign, steps=20, noise=0.0, chains=1):
    def loss(t):
        return sign / 2 * (t - 1.5).square()

    return second_order.walk(
        loss, torch.zeros(chains, dtype=torch.float64), steps=steps, noise=noise, scope=GAMMA, inner_lr=RATE
    )


@control(ALG1, "line-10-printed", "line-10-mended")
def the_other_sign(name):
    """The mended sign descends, the printed one climbs."""
    end = end_of(1 if name == "line-10-printed" else -1)[-1]
    return checks.every(name, "", cases=[bool((end - 1.5).abs() < 1.5)], sample="")


@control(ALG1, "line-10-growth")
def growth_of_the_other_sign():
    x = end_of(1)[:, 0]
    measured = (x[3] - x[2]) / (x[2] - x[1])
    expected = newton.growth(1.0, GAMMA, RATE, -1)
    return checks.equal("line-10-growth", "", measured=measured, expected=expected, atol=1e-10, sample="")


def variance_at(noise, chains=4000):
    return end_of(1, steps=200, noise=noise, chains=chains)[-1].var().item(), math.sqrt(2 / chains)


@control(ALG1, "line-11-printed")
def noise_that_samples_the_density():
    """sqrt(2), made exact for the step size: then the iterates do have the variance of p_theta."""
    stiffness = 1 + GAMMA
    found, error = variance_at(math.sqrt(2 - RATE * stiffness))
    return checks.agrees("line-11-printed", "", estimate=found * stiffness, standard_error=error, exact=1.0, sample="")


@control(ALG1, "line-11-law")
def law_of_another_noise():
    found, error = variance_at(1.0)
    exact = newton.stationary_variance(1 + GAMMA, RATE, 1.3)
    return checks.agrees("line-11-law", "", estimate=found / exact, standard_error=error, exact=1.0, sample="")


@control(ALG1, "newton-climbs")
def step_on_a_convex_quadratic():
    start, a = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    before = entropy.quadratic(a, -1.5 * a[0], start, GAMMA)
    end = newton.newton_step(start, before.mean, before.covariance[:, 0], GAMMA)
    after = entropy.quadratic(a, -1.5 * a[0], end, GAMMA)
    return checks.every("newton-climbs", "", cases=[bool(after.value > before.value)], sample="")


# --- small runs -------------------------------------------------------------------------------------------------------

DIGITS = data.load("digits").take(150)


def small(method, attack_steps=1, **options):
    """A run of a few mini-batches."""
    made = published.kanai_runs(
        DIGITS,
        {"it": (method, {"langevin": 5} | options)},
        published.kanai_at(0.05, steps=attack_steps),
        [0],
        w=1,
        epochs=2,
        held_out=20,
        batch=16,
        network="lenet",
    )
    return made.run[0]


def changed(run, **options):
    first = run.recipe.optimisers[0]
    return replace(run, recipe=replace(run.recipe, optimisers=(replace(first, options={**first.options, **options}),)))


@control(ALG1, "cost-of-sgd")
def cost_with_a_weight_perturbation():
    ratio = convergence.passes(small("AWP+2ndEnSGD"), 5)[0] / convergence.passes(small("AT"), 5)[0]
    return checks.equal("cost-of-sgd", "", measured=ratio, expected=1.0, atol=1e-12, sample="")


@control(ALG1, "factor-is-one")
def walk_at_the_temperature_of_the_density():
    """With the noise that p_theta needs, gamma variance is no longer small."""
    run = changed(small("AT+2ndEnSGD", outer_rate=0.0), noise=math.sqrt(2), inner_lr=1.0)
    largest = second_order.scope_times_variance(run).largest.max()
    return checks.at_most("factor-is-one", "", measured=largest, bound=0.02, sample="")


@control(ALG1, "entropy-acts-little")
def a_scope_of_nearly_nothing():
    found = second_order.without_entropy(changed(small("AT+EnSGD"), scope=1e-6, noise=1e-9))
    return checks.at_most("entropy-acts-little", "", measured=found, bound=0.1, sample="")


@control(ALG1, "entropy-acts-little-here")
def scope_that_acts():
    found = second_order.without_entropy(changed(small("AT+EnSGD"), scope=5.0))
    return checks.at_most("entropy-acts-little-here", "", measured=found, bound=0.1, sample="")


@control(ALG1, "nudge")
def a_large_nudge():
    found = second_order.nudged(small("AT+EnSGD"), 1.0)
    bound = second_order.without_entropy(small("AT+EnSGD"))
    return checks.at_most("nudge", "", measured=found, bound=bound, sample="")


@control(FIG3, "same-cost")
def cost_of_one_pass_more():
    ratio = convergence.passes(small("AWP"), 5)[0] / convergence.passes(small("AT"), 5)[0]
    return checks.at_most("same-cost", "", measured=ratio, bound=1.1, sample="", role="trend")


@control(SETUP, "presets")
def presets_of_the_short_trainings():
    """The outer rate of our short settings is not the published one."""
    published_rate = claims.claim(SETUP).published["eta"]
    method, options = published.KANAI_SHORT["AT+EnSGD"]
    recipe = published.kanai(method, published.kanai_at(), **options)
    return checks.every("presets", "", cases=[recipe.rate(0, recipe.epochs) == published_rate], sample="")


# --- AWP --------------------------------------------------------------------------------------------------------------


def perturbed(applied, expected, descend=False):
    """Ratio of norms to the expected size, and the rise of the loss, on a fresh network."""
    model = small("AT").fresh().double().eval()
    x, y = DIGITS.x.double(), DIGITS.y
    before = [p.detach().clone() for p in model.parameters()]
    loss = cross_entropy(model(x), y).mean()
    with awp.worst_weights(model, -loss if descend else loss, applied), torch.no_grad():
        pairs = [(p - b, b) for p, b in zip(model.parameters(), before, strict=True) if p.ndim > 1]
        norms = [float(v.norm() / b.norm() / expected) for v, b in pairs]
        rise = float(cross_entropy(model(x), y).mean() - loss)
    return norms, rise


@control(AWP, "layer-norms")
def perturbation_of_another_size():
    return checks.equal("layer-norms", "", measured=perturbed(0.005, 0.01)[0], expected=1.0, atol=1e-9, sample="")


@control(AWP, "loss-rises")
def perturbation_that_descends():
    return checks.every("loss-rises", "", cases=[perturbed(0.001, 0.001, descend=True)[1] > 0], sample="")


@control(AWP, "overhead", "published-overhead")
def overhead_with_one_attack_step(name):
    """With a single attack step a third pass is half of two more."""
    over = convergence.passes(small("AWP"), 2)[0] / convergence.passes(small("AT"), 2)[0] - 1
    entry = claims.claim(AWP)
    if name == "overhead":
        return checks.at_most(name, "", measured=over, bound=0.25, sample="")
    return checks.within(
        name,
        "",
        measured=100 * over,
        published=entry.published["time_overhead_percent"],
        tolerance=entry.tolerance,
        sample="",
        scale="quick",
        role="observed",
    )


# --- directions over seeds ------------------------------------------------------------------------------


def curves():
    """Three seeds of two methods: ``good`` is ahead in every epoch by 0.1, and its test choice adds 0.05."""
    rows = []
    for method, lead in (("good", 0.1), ("bad", 0.0)):
        for seed in range(3):
            for epoch in range(1, 5):
                value = 0.2 + 0.1 * epoch + 0.01 * seed + lead
                rows.append(("test", method, seed, epoch, value))
                best = 3 if method == "good" else 4  # good: held-out accuracy prefers an earlier epoch
                rows.append(("held out", method, seed, epoch, float(epoch == best)))
    return pd.DataFrame(rows, columns=convergence.COLUMNS)


def direction(claim, name):
    better, worse = ("bad", "good") if held(claim, name) else ("good", "bad")
    if name == "test-selection-adds":
        differences = convergence.chosen(curves()).loc[better, "added"]
    elif "higher" in name or "better" in name or "lower" in name:
        differences = convergence.gain(convergence.ends(curves(), "test"), better, worse)
    else:
        areas = convergence.areas(curves(), "test", {"good": 1.0, "bad": 1.0})
        differences = convergence.gain(areas, better, worse)
    return checks.positive(name, "", differences=differences, sample="")


for found, stored in STORED.items():
    if stored["rule"] == "positive":
        control(*found)(lambda found=found: direction(*found))


# --- the order of the second order, and the ledger ------------------------------------------------------


@control(TAB3, "orders-equal-at", "orders-equal-awp")
def orders_a_clear_gap_apart(name):
    """A gap of 0.1 against a spread of 0.01; or, where the page's check fails, no gap."""
    values = convergence.ends(curves(), "test")
    other = "good" if held(TAB3, name) else "bad"
    gap = abs(convergence.gain(values, other, "bad").mean())
    bound = 2 * convergence.pooled_deviation(values, other, "bad")
    return checks.at_most(name, "", measured=gap, bound=bound, sample="", role="trend")


CELLS = {"row": {"one": [50.0, 0.2], "other": [51.0, 0.2]}}


def ratios(cells):
    return convergence.published_gaps(cells, [("one", "other")]).ratio


@control(TAB1, "published-gains-clear")
def gains_that_are_clear():
    return checks.every("published-gains-clear", "", cases=ratios(CELLS) > 2, sample="")


@control(TAB3, "published-orders-close")
def orders_that_are_close():
    close = {"row": {"one": [50.0, 0.2], "other": [50.3, 0.2]}}
    return checks.every("published-orders-close", "", cases=ratios(close).abs() <= 2, sample="")


@control(TAB3, "no-equal-cells")
def a_table_without_equal_cells():
    return checks.every("no-equal-cells", "", cases=[not convergence.equal_cells(CELLS)], sample="")
