"""Train a small network with checkpoints, and write what came out as exact numbers."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from training.small import blobs, fcn

from advsmooth.atomic import write_atomically
from advsmooth.attacks.gradient import PGD
from advsmooth.training import loop, runs
from advsmooth.training.entropysgd import EntropySGD
from advsmooth.training.objectives import AdversarialTraining
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Constant, Drops

SGD = Optimiser(torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4})
ADAM = Optimiser(torch.optim.Adam, {}, start=0.5)
PLAIN = Recipe(epochs=60, batch=16, rate=Drops(0.05, at=(0.5,)), optimisers=(SGD, ADAM), held_out=20, keep=(0.5, 1.0))
ATTACK = PGD(eps=0.1, steps=2)
RECIPES = {
    "plain": PLAIN,
    "adversarial with AWP": replace(
        PLAIN, objective=AdversarialTraining(ATTACK), awp=Constant(0.01), validation=ATTACK, epochs=30
    ),
    "EntropySGD": replace(
        PLAIN, optimisers=(Optimiser(EntropySGD, {"langevin": 5, "variant": "paper"}),), rate=Constant(0.5), epochs=40
    ),
}


def main(name, folder, every):
    model = fcn()
    run = loop.train(
        model, blobs(), RECIPES[name], seed=3, checkpoint=Path(folder) / "run.safetensors", every=int(every)
    )
    states = [model.state_dict(), run.best, *run.kept]
    digests = [hashlib.sha256(value.numpy().tobytes()).hexdigest() for state in states for value in state.values()]
    tables = [table.to_dict("list") for table in (run.steps, run.epochs.drop(columns="seconds"))]
    result = json.dumps({"weights": digests, "steps": tables[0], "epochs": tables[1]})
    write_atomically(Path(folder) / "result.json", result)


LONG = 1500
"""Epochs of a run that is to be killed in its course."""


def two_runs():
    """Two runs for two workers."""
    recipe = replace(PLAIN, epochs=LONG, batch=64)
    return [runs.Run("fcn", {"m": 4, "L": 2}, blobs(dtype=torch.float32), recipe, seed) for seed in (0, 1)]
