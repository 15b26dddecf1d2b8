"""Negative controls of notebooks/liu2020/attacks_that_change_their_mind.py.

The controls of the trends look at real networks, small ones, with the names of the two directions exchanged.
"""

import functools

import pandas as pd
import torch
from negative_controls import control

from advsmooth import checks, data
from advsmooth.analysis import curvature, empirical
from advsmooth.analysis import opposite_points as op
from advsmooth.attacks.gradient import PGD
from advsmooth.training import published, runs

FIG3, FIG10 = "liu2020-fig3", "liu2020-fig10"
ATTACK = PGD(eps=0.03, steps=5, step_size=0.01)


@functools.cache
def networks():
    images = data.load("digits")
    planned = published.liu_budgets(images, [0.03], [0, 1, 2], w=1, steps=250, rate=1e-2, pgd_steps=3, batch=32)
    return [result.model for result in runs.trained_together(planned)], images.take(80, seed=0)


def study(model, images, attack=ATTACK, number=2, seed=0):
    offsets = [0, 0.05, 0.1, 0.2, 0.8, 3.2]
    return op.study(
        model, attack, images.x, images.y, offsets=offsets, runs=number, cut=0.4, randoms=1, seed=seed
    ).assign(eps=attack.eps, seed=seed)


@functools.cache
def found(exchanged: bool, random_start: bool = True) -> pd.DataFrame:
    """What the page tests, by seed; with the eigenvector called random and the random direction called eigenvector."""
    models, images = networks()
    attack = PGD(eps=0.03, steps=5, step_size=0.01, random_start=random_start)
    table = pd.concat([study(model, images, attack, seed=k) for k, model in enumerate(models)])
    if exchanged:
        names = {op.EIGENVECTOR: "random 1", "random 1": op.EIGENVECTOR}
        table["direction"] = table["direction"].map(names)
    return op.by_seed(op.networks(table))


def positive(name, exchanged=True, **how):
    key = name.removeprefix("mnist-")
    return checks.positive(name, "", differences=found(exchanged, **how)[key], sample="")


@control(FIG3, "lower", "mnist-lower", "error", "mnist-error")
def directions_exchanged(name):
    return positive(name)


@control(FIG10, "lower", "mnist-lower", "error", "mnist-error", "stays", "mnist-stays")
def directions_exchanged_again(name):
    return positive(name)


@control(FIG10, "common-start", "mnist-common-start")
def directions_exchanged_with_common_starts(name):
    return positive(name)


@control(FIG10, "equal-rise", "mnist-equal-rise", "equal-rise-common", "mnist-equal-rise-common")
def exchanged_where_the_random_curve_is_lower(name):
    """On the digits the random direction changes the attack more at equal loss; with the names exchanged, less."""
    return positive(name)


@control(FIG10, "random-start", "mnist-random-start")
def attacks_that_start_at_the_input(name):
    return positive(name, exchanged=False, random_start=False)


@control(FIG3, "variance", "mnist-variance")
def one_image_and_no_attack_step(name):
    """The bound is on a mean over many images; the cosine of two random starts of one image varies more."""
    models, images = networks()
    table = study(models[0], images.take(1), PGD(eps=0.03, steps=0), number=8)
    return checks.at_most(name, "", measured=table["variance"].max(), bound=0.005, sample="")


@functools.cache
def moved():
    models, images = networks()
    return models[0], empirical.adversarial_examples(models[0], ATTACK, images.x, images.y), images.y


@control(FIG10, "residual")
def a_random_vector_is_no_eigenvector():
    model, x, y = moved()
    hessian = curvature.model_hessian(model, x, y)
    v = torch.ones(hessian.size) / hessian.size**0.5
    product = hessian @ v
    curved = torch.dot(v, product)
    return checks.at_most("residual", "", measured=(product - curved * v).norm() / curved.abs(), bound=2e-3, sample="")


@control(FIG10, "double-precision")
def curvature_at_the_clean_images():
    """The Hessian at the adversarial examples against that at the images themselves."""
    model, x, y = moved()
    _, v, curved, _ = op.directions(model, x, y, randoms=0, seed=0)[0]
    ratio = curved / op.curvature_in_double(model, networks()[1].x, y, v)
    return checks.equal("double-precision", "", measured=ratio, expected=1.0, atol=0.01, sample="")
