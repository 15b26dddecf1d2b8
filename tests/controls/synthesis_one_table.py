"""Negative controls of notebooks/synthesis/one_table.

Correlations and comparisons are made again, with the functions of the page, from tables whose answer is known: one in
which the sentence is true, or one in which the opposite is. Which of the two is the control depends on what the page
says.
"""

import numpy as np
import pandas as pd
import torch
from negative_controls import control
from torch import nn

from advsmooth import checks, pages, settings
from advsmooth.analysis import common_table
from advsmooth.analysis.rank_matrix import rank_matrix
from advsmooth.analysis.robustness_metrics import Tempered
from advsmooth.models.fcn import FCN

NAME = "synthesis-one-table"
PAGE = pages.Page("synthesis/one_table")
MADE = [c for f in PAGE.findings() for c in f["checks"]] if PAGE.notebook.exists() else []

CORRELATIONS = {
    "small-slope": ("slope*", "robust", (), 1),
    "rough-input": ("bend*", "robust", (), -1),
    "rough-at-equal-slope": ("bend*", "robust", ("slope*",), -1),
    "own-roughness": ("curved own", "robust", (), 1),
    "same-budget": ("curved adv*", "robust", (), 1),
    "step-with-error": ("step*", "robust", (), 1),
    "curved-with-error": ("curved*", "robust", (), 1),
    "noise-protects": ("noise*", "robust", (), -1),
    "noise-at-equal-slope": ("noise*", "robust", ("slope*",), -1),
    "together": ("curved*", "bend*", (), 1),
    "average-and-worst": ("stability*", "robust", (), 1),
    "average-at-equal-slope": ("stability*", "robust", ("slope*",), 1),
    "moving-protects": ("kappa", "robust", (), -1),
    "at-equal-error-and-margin": ("slope", "robust", ("clean", "margin"), 1),
    "small-slope-autoattack": ("slope*", "autoattack", (), 1),
    "here-small-slope": ("slope*", "robust", (), 1),
}
"""Of each check on a correlation: the two columns, those held equal, and the sign with which the page reports it."""


def held(name):
    """Whether the check held on the page."""
    return next((check["outcome"] for check in MADE if check["name"] == name), "failed") == "held"


def reported(name, estimate, sign=1):
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    return checks.above_zero(name, "", estimate=sign * estimate.value, interval=(low, high), sample="")


@control(NAME, *CORRELATIONS)
def columns_that_go_the_other_way(name):
    first, second, given, sign = CORRELATIONS[name]
    wanted = sign * (-1 if held(name) else 1)
    g = np.random.default_rng(0)
    latent = np.repeat(np.arange(10.0), 3)
    table = pd.DataFrame({column: 3 * g.normal(size=30) for column in given})
    table = table.assign(training=np.repeat(list("abcdefghij"), 3))
    table[second] = latent + g.normal(size=30)
    table[first] = wanted * latent + g.normal(size=30)
    found = rank_matrix(table, [first, second, *given], draws=200)
    return reported(name, found.partial(first, second, given) if given else found.of(first, second), sign)


GAINS = {
    "mean-over-maximum": ("slope*", "slope max*"),
    "inputs-over-weights": ("slope*", "curved*"),
    "scale-matters": ("slope max*", "slope max"),
}


@control(NAME, *GAINS)
def the_other_column_orders_better(name):
    better, worse = GAINS[name]
    g = np.random.default_rng(0)
    latent = np.repeat(np.arange(10.0), 3)
    good, poor = latent + 0.1 * g.normal(size=30), g.normal(size=30)
    first, second = (poor, good) if held(name) else (good, poor)
    table = pd.DataFrame({better: first, worse: second, "robust": latent})
    found = rank_matrix(table.assign(training=np.repeat(list("abcdefghij"), 3)), [better, worse, "robust"], draws=200)
    return reported(name, found.gain(better, worse, "robust"))


@control(
    NAME,
    "budget-rougher",
    "budget-robuster",
    "entropy-smoother",
    "entropy-robuster",
    "flatter-input",
    "rougher-weights",
    "non-lazy-stabler",
    "non-lazy-robuster",
    "wide-robuster",
)
def the_two_trainings_exchanged(name):
    """Seeds that agree on the opposite of what the page found."""
    wanted = -1 if held(name) else 1
    return checks.positive(name, "", differences=wanted * np.array([0.4, 0.5, 0.6]), sample="")


def network():
    digits = torch.rand(30, 64, generator=settings.generator(0))
    model = FCN(64, 16, 10, 2, generator=0)
    y = model(digits).argmax(1)
    return model, common_table.Plan(digits, y, digits, y, eps=0.02, steps=4, restarts=1)


def at(model, plan):
    return common_table.outcomes(model, plan, seed=0) | common_table.in_inputs(model, plan, seed=0)


@control(NAME, "temperature-decides-nothing")
def logits_shifted_in_place_of_divided():
    """A constant added to one class moves boundaries."""

    class Shifted(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x) + torch.eye(10)[0] * 0.2

    model, plan = network()
    before, after = at(model, plan), at(Shifted(model), plan)
    names = ["clean", "robust", "closeness", "stability", "margin"]
    measured, expected = ([found[n] for n in names] for found in (after, before))
    return checks.equal("temperature-decides-nothing", "", measured=measured, expected=expected, atol=1e-6, sample="")


@control(NAME, "temperature-moves-gradients")
def a_temperature_near_one_or_far_from_it():
    model, plan = network()
    far = Tempered(model, 1.01 if held("temperature-moves-gradients") else 64.0)
    names = ["slope", "bend"]
    before, after = (pd.Series(at(shown, plan))[names] for shown in (model, far))
    moved = after / before
    moved["curved"] = common_table.curved(far, plan.x, plan.y, seed=0) / common_table.curved(
        model, plan.x, plan.y, seed=0
    )
    cases = [*(np.abs(np.log(moved)) > np.log(1.1)), moved.max() > 1.1 * moved.min()]
    return checks.every("temperature-moves-gradients", "", cases=cases, sample="")


@control(NAME, "one-left-out")
def a_correlation_that_one_training_carries():
    """Ten trainings fall; the eleventh, of many networks far away, makes the whole rise."""
    count = [3] * 10 + [60 if held("one-left-out") else 3]
    level = np.concatenate([np.full(n, k) for k, n in enumerate(count)]).astype(float)
    spread = np.concatenate([np.arange(n) for n in count]) / 100
    last = level == 10
    a = np.where(last, 20 + spread, level + spread)
    b = np.where(last & held("one-left-out"), 20 + spread, -level - spread)
    table = pd.DataFrame({"a": a, "b": b, "training": [f"t{v:.0f}" for v in level]})
    found = rank_matrix(table, ["a", "b"], draws=100)
    low, high = np.sign(found.without_one("a", "b"))
    return checks.every("one-left-out", "", cases=[low == high], sample="")


@control(NAME, "attack-stands")
def an_attack_of_one_short_step():
    """Its error is that of the clean images; ours, measured after it, is what AutoAttack finds at the least."""
    model, plan = network()
    found = common_table.outcomes(model, plan, seed=0)
    gap = found["robust"] - found["clean"] if held("attack-stands") else 0.0
    return checks.at_most("attack-stands", "", measured=[gap], bound=0.03, sample="")


@control(NAME, "audit")
def inputs_rounded_before_the_network():
    """Rounding has no gradient: a symptom."""

    class Rounded(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model((4 * x).round() / 4)

    model, plan = network()
    hidden = Rounded(model)
    found = common_table.judged(hidden, plan, 20, seed=0, audited=True)["symptoms"] if held("audit") else 0.0
    return checks.every("audit", "", cases=[found == 0], sample="")
