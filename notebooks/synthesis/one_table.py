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
# # Five papers, one table
#
# *How does the smoothness of a loss decide robustness, if the same networks are asked all the questions of all five papers?*

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from advsmooth import checks, claims, data, plotting, records, replays, settings
from advsmooth.analysis import common_table
from advsmooth.training import common_set

plotting.use_theme()
PAGE = "synthesis/one_table"

# %% tags=["parameters"]
scale: str = "quick"  # quick (digits, seconds) | cpu (MNIST, about ten minutes of one core)
seed: int = 0  # first seed of the networks
seeds: int = None  # networks of each training, at most three of a convolutional one
trainings: list = None  # names of the trainings
dataset: str = None  # digits, mnist, fashionmnist, or imagefolder:PATH
n: int = None  # training images
eps: float = None  # budget at which all networks are judged, maximum norm, pixel scale
width: int = None  # width of the standard network
depth: int = None  # its depth
epochs: int = None  # of training
rate: float = None  # first learning rate
images: int = None  # training and test images on which the networks are measured
judge: int = None  # test images for AutoAttack and the audit, first network of each training; 0 for none
draws: int = None  # resamples behind each interval

# %% tags=["hide-input"]
cfg = settings.resolve(
    globals(),
    seeds=settings.count(at_least=3, quick=3, cpu=4),
    trainings=settings.names(quick=common_set.QUICK, cpu=list(common_set.trainings(64, 3))),
    dataset=settings.text(quick="digits", cpu="mnist"),
    n=settings.count(at_least=100, quick=1437, cpu=2000),
    eps=settings.radius(quick=0.1, cpu=0.05),
    width=settings.count(at_least=8, quick=32, cpu=64),
    depth=settings.count(at_least=2, quick=3),
    epochs=settings.count(quick=10, cpu=20),
    rate=settings.number(at_least=0, quick=0.1, cpu=0.05),
    images=settings.count(at_least=50, quick=120, cpu=200),
    judge=settings.count(at_least=0, quick=0, cpu=100),
    draws=settings.count(at_least=100, quick=1000, cpu=2000),
)
cfg

# %% tags=["hide-input"]
whole, test = (data.load(cfg.dataset, split, device=cfg.device) for split in ("train", "test"))
train = whole.take(min(cfg.n, len(whole)), seed=0)
test, of_train = test.take(min(cfg.images, len(test)), seed=0), train.take(min(cfg.images, len(train)), seed=1)
watch = records.Stopwatch()
planned = common_set.runs(
    train,
    cfg.trainings,
    settings.seeds(cfg.seed, cfg.seeds),
    eps=cfg.eps,
    epochs=cfg.epochs,
    rate=cfg.rate,
    batch=64,
    m=cfg.width,
    L=cfg.depth,
)
plan = common_table.Plan(of_train.x, of_train.y, test.x, test.y, cfg.eps)
table = common_table.study(planned, plan, judge=cfg.judge)
if cfg.scale != "quick":
    replay = records.plain(replays.one_table)
    records.save(PAGE, table, cfg=cfg, data=[train, test], cost=watch.read(), function=replay, arguments={})
