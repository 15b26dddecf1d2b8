"""Negative controls of notebooks/liu2020/connected_minima.py."""

import copy
import functools

import numpy as np
import pandas as pd
import sympy as sp
import torch
from negative_controls import control

from advsmooth import checks, data, settings
from advsmooth.analysis import connectivity, empirical
from advsmooth.analysis import joined_minima as jm
from advsmooth.analysis.connectivity import CurveFit
from advsmooth.training import published, runs

FIG15 = "liu2020-fig15"


@functools.cache
def networks():
    """Two LeNets that have learned the digits, and some of these."""
    images = data.load("digits")
    planned = published.liu_budgets(images, [0.0], [0, 1], w=1, steps=200, rate=1e-2, batch=32)
    return *(result.model for result in runs.trained_together(planned)), images.take(150, seed=0)


def path(first, last, how, seed=0):
    """A path between two networks, as the page walks it."""
    images = networks()[2]
    same = {"fitted": images, "train": images, "test": images, "fit_attack": None, "attack": None}
    return jm.study(first, last, [how], places=5, seed=seed, **same)


def barrier(first, last, how, kind):
    table = path(first, last, how)
    return jm.barrier(table[table["path"] == kind])


STRAIGHT = CurveFit(epochs=0)


def pair_by_pair(**heights):
    """Three pairs with these barriers, told apart by a thousandth each, through the page's own functions."""
    rows = []
    for name, height in heights.items():
        eps, kind, line, epochs = PLACES[name]
        for pair in range(3):
            for t in (0.0, 0.5, 1.0):
                loss = 0.2 + (height + 1e-3 * pair) * (t == 0.5)
                rows.append((eps, kind, str(pair), line, epochs, t, loss, loss, 0.1))
    columns = ["eps", "kind", "pair", "path", "epochs", "t", "train_loss", "clean_train_loss", "test_error"]
    return jm.by_pair(jm.barriers(pd.DataFrame(rows, columns=columns)))


PLACES = {
    "low": (0.0, "independent", "curve", 6),
    "high": (1.0, "independent", "curve", 6),
    "low_short": (0.0, "independent", "curve", 2),
    "high_short": (1.0, "independent", "curve", 2),
    "line": (1.0, "independent", "line", 0),
    "permuted": (1.0, "permuted", "curve", 6),
    "permuted_line": (1.0, "permuted", "line", 0),
}
TYPICAL = dict(zip(PLACES, (0.1, 0.2, 0.5, 0.8, 1.8, 0.2, 1.5), strict=True))


def positive(name, differences):
    return checks.positive(name, "", differences=differences, sample="")


@control(FIG15, "grows-short", "mnist-grows-short")
def no_growth_after_short_training(name):
    table = pair_by_pair(**TYPICAL | {"high_short": 0.4})
    return positive(name, table["high_short"] - table["low_short"])


@control(FIG15, "grows")
def a_barrier_that_does_not_grow(name="grows"):
    table = pair_by_pair(**TYPICAL | {"high": 0.1})
    return positive(name, table["high"] - table["low"])


@control(FIG15, "mnist-grows")
def a_barrier_that_grows(name="mnist-grows"):
    table = pair_by_pair(**TYPICAL)
    return positive(name, table["high"] - table["low"])


@control(FIG15, "above-copies", "mnist-above-copies")
def copies_on_a_flat_curve(name):
    table = pair_by_pair(**TYPICAL | {"permuted": 0.05})
    return positive(name, table["high"] - table["permuted"])


@control(FIG15, "mnist-longer")
def training_that_helps_every_pair_alike(name="mnist-longer"):
    table = pair_by_pair(**TYPICAL)
    return positive(name, table["high_short"] - table["high"])


@control(FIG15, "longer")
def training_that_does_not_help(name="longer"):
    table = pair_by_pair(**TYPICAL | {"high": 0.9})
    return positive(name, table["high_short"] - table["high"])


@control(FIG15, "copies-line", "mnist-copies-line")
def copies_that_were_not_permuted(name):
    first, _, _ = networks()
    return positive(name, [barrier(first, copy.deepcopy(first), STRAIGHT, "line") for _ in range(3)])


@control(FIG15, "copies-curve", "mnist-copies-curve")
def straight_lines_in_place_of_curves(name):
    first, _, _ = networks()
    copies = [jm.permuted(first, settings.generator(seed)) for seed in range(3)]
    lines = [barrier(first, other, STRAIGHT, "line") for other in copies]
    curves = [barrier(first, other, STRAIGHT, "line") for other in copies]
    return positive(name, np.array(lines) - np.array(curves))


@control(FIG15, "flat", "mnist-flat")
def straight_line_in_place_of_the_curve(name):
    first, last, images = networks()
    ends = [empirical.mean_loss(m, images.x, images.y) for m in (first, last)]
    share = barrier(first, last, STRAIGHT, "line") / jm.room(10, *ends)
    return checks.at_most(name, "", measured=share, bound=0.1, sample="")


@control(FIG15, "convex")
def squares_without_their_weights():
    s, *z = sp.symbols("s z1:4", real=True)
    total = sum(sp.exp(s * part) for part in z)
    left = sp.expand(sp.simplify(sp.diff(sp.log(total), s, 2) * total**2))
    right = sum((z[j] - z[k]) ** 2 for j in range(3) for k in range(j + 1, 3))
    return checks.identity("convex", "", left=left, right=sp.expand(right))


@control(FIG15, "over-the-constant")
def straight_line_between_the_two():
    first, last, images = networks()
    table = path(first, last, STRAIGHT)
    line = table[table["path"] == "line"]
    ends = [empirical.mean_loss(m, images.x, images.y) for m in (first, last)]
    chord = (1 - line["t"]) * ends[0] + line["t"] * ends[1]
    return checks.at_most("over-the-constant", "", measured=line["train_loss"], bound=chord, rtol=1e-6, sample="")


@control(FIG15, "same-function")
def units_permuted_in_one_layer_only():
    first, _, images = networks()
    other = copy.deepcopy(first)
    with torch.no_grad():
        other.fc1.weight.copy_(other.fc1.weight.flip(0))
        difference = other(images.x) - first(images.x)
    return checks.equal("same-function", "", measured=difference, expected=0.0, atol=1e-9, sample="")


@control(FIG15, "reversed")
def the_same_places_from_the_other_end():
    first, last, images = networks()
    along = connectivity.fit(first, last, images.x, images.y, STRAIGHT)
    places = {"statistics": images.x, "x": images.x, "y": images.y}
    forth = connectivity.losses_along(along, [0.0, 0.25, 0.6, 1.0], **places)["loss"]
    back = connectivity.losses_along(jm.backwards(along), [0.0, 0.25, 0.6, 1.0], **places)["loss"]
    return checks.equal("reversed", "", measured=forth, expected=back, atol=1e-4, sample="")
