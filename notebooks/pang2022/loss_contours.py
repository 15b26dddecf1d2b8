# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Loss contours of searched and hand-made networks
#
# *Is the loss of a network found by architecture search smoother than that of a hand-made one of the same size, by which measure, and does a smooth loss explain fast early training?*
#
# :::{admonition} Reconstructed
# :class: warning
# Of {cite:t}`pang2022` we have a fragment of one page. *The fragment states* that smoothness is looked at through the loss contour, first in parameter and then in input space, and breaks off before its formula; and
# that smoothness explains fast early training, in a sentence whose first words are cut off. *The authors' artifact* (facts from its description, none of its code) moves the parameters of the first convolution along two random orthogonal
# directions with entries $\pm1$, over $[-0.5,0.5]^2$, and the input over $[-0.2,0.2]^2$. *Ours* is the rest: networks, data, every other measure, every number.
# :::
#
# :::{prf:definition} The loss contour, section 4.1 of Pang et al. (reconstructed)
# :label: pang2022-def-loss-contour
# :nonumber:
#
# $$
# \Gamma(a_1,a_2)=\ell(\theta+a_1d_1+a_2d_2)
# $$
#
# for the loss $\ell$, parameters $\theta$ and directions $d_1,d_2$, and likewise with the input $x$ in place of $\theta$. Networks found by search are said to have the smoother one.
# :::
#
# :::{prf:observation} Section 4.1 of Pang et al., on trainability (reconstructed)
# :label: pang2022-obs-trainability
# :nonumber:
#
# Searched networks converge fast early in training because their loss is smooth: the gradient stays a good guide over a longer step, so each update reduces the loss more effectively.
# :::
#
# **In short.** IN SHORT

# %% tags=["hide-input"]
import copy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from advsmooth import checks, claims, data, plotting, records, settings, turning
from advsmooth.analysis import curvature, landscape, roughness
from advsmooth.analysis import searched_study as study
from advsmooth.analysis.empirical import mean_loss
from advsmooth.analysis.parameter_space import flat, point
from advsmooth.training import searched

plotting.use_theme()
PAGE = "pang2022/loss_contours"
PAIR = ("PC-DARTS", "VGG-7")  # the two of the picture, chosen before any contour was drawn

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, six architectures, seconds) | cpu (MNIST, all fifteen, an hour with the training)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks of each architecture
dataset: str = None  # digits, mnist, fashionmnist
architectures: list = None  # names; the refusal of a wrong one lists all
n: int = None  # training images
epochs: int = None  # passes over them: 2, 4 or 8
parameters: int = None  # size of every network, about
measured: int = None  # training images on which curvature is measured
directions: int = None  # random directions of each kind
products: int = None  # with the Hessian, at most, for its top eigenvalue
points: int = None  # along each side of the drawn contours, odd

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=3, at_most=50, quick=3),
    dataset=settings.text(quick="digits", cpu="mnist"),
    architectures=settings.names(
        quick=["DARTS", "DARTS (1st order)", "PC-DARTS", "ResNet-20", "VGG-7", "LeNet"], cpu=searched.names()
    ),
    n=settings.count(at_least=48, quick=192, cpu=2000),
    epochs=settings.count(at_least=2, at_most=8, quick=4, cpu=8),
    parameters=settings.count(at_least=2000, quick=15_000),
    measured=settings.count(at_least=8, quick=24, cpu=32),
    directions=settings.count(at_least=2, quick=3, cpu=4),
    products=settings.count(at_least=4, quick=6, cpu=14),
    points=settings.count(at_least=3, at_most=41, quick=7, cpu=13),
)
study.check_family(cfg.architectures)
AFTER_ONE = 1 / cfg.epochs  # the share of the training that is over after one epoch
if AFTER_ONE not in (*searched.KEPT, 1.0):
    raise settings.SettingsError(
        f"epochs={cfg.epochs}: allowed is 2, 4 or 8, for weights are kept after one epoch then"
    )
cfg

# %% tags=["hide-input"]
images = data.load(cfg.dataset, "train").take(cfg.n, seed=0)
some = images.take(cfg.measured)
many = images.take(min(cfg.n, 500))
seeds_run = settings.seeds(cfg.seed, cfg.seeds)
size = {"epochs": cfg.epochs, "parameters": cfg.parameters}
watch = records.Stopwatch()


def measure(network: nn.Module, time: float, seed: int) -> dict[str, float]:
    """Everything before and after training; after one epoch the training loss only."""
    if time == AFTER_ONE:
        return {"training loss": roughness.training_loss(network, many.x, many.y)}
    return roughness.measure(
        network, some.x, some.y, fresh=time == 0, directions=cfg.directions, products=cfg.products, seed=seed
    )


def drawn_contours() -> pd.DataFrame:
    """The contours of the picture, by the artifact's rule, of trained networks of the first seed."""
    found = []
    for name in PAIR:
        network = study.trained_network(name, images, seed=cfg.seed, **size)
        for space, contour in roughness.contours(network, some.x, some.y, cfg.points, seed=cfg.seed).items():
            place = f"{space} " + contour["a1"].map("{:g}".format) + " " + contour["a2"].map("{:g}".format)
            about = {"architecture": name, "kind": searched.kind(name), "seed": cfg.seed, "time": 1.0}
            found.append(pd.DataFrame({**about, "quantity": "contour " + place, "value": contour["loss"]}))
    return pd.concat(found)


table = study.study(cfg.architectures, seeds_run, images, measure, times=sorted({0.0, AFTER_ONE, 1.0}), **size)
table = pd.concat([table, drawn_contours()], ignore_index=True)
if cfg.scale != "quick":
    table = table.assign(value=table["value"].map(lambda v: float(f"{v:.4g}")))
    replay = records.plain(roughness.replay)
    records.save(PAGE, table, cfg=cfg, data=[images], cost=watch.read(), function=replay, arguments={})
