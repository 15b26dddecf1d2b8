"""What is measured on: images, and small networks trained on them."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from advsmooth import data, settings
from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset
from advsmooth.models import registry
from advsmooth.training.loop import train
from advsmooth.training.objectives import AdversarialTraining, Objective, Standard
from advsmooth.training.recipe import Recipe
from advsmooth.training.schedules import Constant

BUDGET = {"mnist": 0.2, "digits": 0.1}
"""Radius of the attacks, pixel scale."""

WIDTH = {"mnist": 4, "digits": 16}
"""Width factor of the LeNet whose robust error is measured."""


@functools.cache
def source() -> str:
    """MNIST where it is to be had, else scikit-learn's digits."""
    return "mnist" if data.available("mnist") else "digits"


def images(split: str, n: int, device: str) -> Dataset:
    """The first examples, at most ``n``: the digits have 1437 to train on and 360 to test."""
    whole = data.load(source(), split)
    return whole.take(min(n, len(whole))).to(device)


def noise(n: int, device: str) -> tuple[Tensor, Tensor]:
    """Random images of MNIST's size with random labels, where only the size matters."""
    g = settings.generator(0)
    x, y = torch.rand(n, 1, 28, 28, generator=g), torch.randint(10, (n,), generator=g)
    return x.to(device), y.to(device)


def lenet(shape: tuple[int, ...], w: int, device: str) -> nn.Module:
    """A fresh LeNet."""
    return registry.build("lenet", in_shape=shape, classes=10, seed=0, w=w).to(device)


@functools.cache
def trained(w: int, n: int, epochs: int, device: str, *, robust: bool) -> nn.Module:
    """A LeNet trained for a minute at most, adversarially or not; in eval mode."""
    part = images("train", n, device)
    objective: Objective = Standard()
    if robust:
        objective = AdversarialTraining(PGD(eps=BUDGET[source()], steps=5))
    model = lenet(part.shape, w, device)
    train(model, part, Recipe(objective, epochs=epochs, batch=64, rate=Constant(0.02)))
    return model.eval()
