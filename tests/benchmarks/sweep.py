"""A sweep of small networks, trained together and one after the other."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import measure
from measure import Row, Sizes
from torch import nn

from advsmooth import data
from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset
from advsmooth.models import registry
from advsmooth.training.ensembles import train_together
from advsmooth.training.loop import train
from advsmooth.training.objectives import AdversarialTraining, Objective, Standard
from advsmooth.training.recipe import Recipe
from advsmooth.training.schedules import Constant

LEAST = {16: 8.0, 64: 3.0}
"""Width -> how much faster the sweep is to be."""


def rows(device: str, sizes: Sizes) -> list[Row]:
    """Both widths, with standard and with adversarial training."""
    digits = data.load("digits", device=device)
    objectives: dict[str, Objective] = {
        "standard": Standard(),
        f"adversarial (PGD, {sizes.steps} steps)": AdversarialTraining(PGD(eps=0.1, steps=sizes.steps)),
    }
    return [_sweep(m, name, digits, objectives[name], device, sizes) for m in LEAST for name in objectives]


def _sweep(m: int, name: str, digits: Dataset, objective: Objective, device: str, sizes: Sizes) -> Row:
    recipe = Recipe(objective, steps=sizes.sweep_steps, rate=Constant(0.01))
    seeds = list(range(sizes.networks))
    fresh = [registry.build("fcn", in_shape=digits.shape, classes=10, seed=s, m=m).to(device) for s in seeds]

    def together(models: Sequence[nn.Module]) -> None:
        train_together(models, digits, [recipe] * len(models), seeds=seeds)

    def in_turn(models: Sequence[nn.Module]) -> None:
        for model, seed in zip(models, seeds, strict=True):
            train(model, digits, recipe, seed=seed)

    ours, theirs = copy.deepcopy(fresh), copy.deepcopy(fresh)
    together(ours)
    in_turn(theirs)
    apart = max(
        (p - q).abs().max().item()
        for a, b in zip(ours, theirs, strict=True)
        for p, q in zip(a.parameters(), b.parameters(), strict=True)
    )
    # From here on the networks are trained further; what a step costs does not depend on the weights.
    times = measure.interleaved(
        {"ours": lambda: together(ours), "theirs": lambda: in_turn(theirs)},
        repetitions=sizes.repetitions,
        device=device,
        shortest_s=sizes.shortest_s,
    )
    return measure.compare(
        "sweep",
        f"{len(seeds)} networks FCN(m={m}, L=4), {name} training, batch {recipe.batch}, {recipe.steps} steps (s)",
        "one after the other",
        times["ours"],
        times["theirs"],
        at_least=LEAST[m],
        note=f"digits; after the first run no weight differs by more than {apart:.1e}",
    )
