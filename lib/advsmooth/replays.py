"""The first steps of recorded studies that both train networks and analyse them.

A record stores what one of these functions returns and runs it again when the code behind it has changed (see
:mod:`advsmooth.records`). They stand above the other modules, because training and analysis do not import each other.
"""

from __future__ import annotations

from advsmooth import data
from advsmooth.analysis import flatness, sharpness
from advsmooth.attacks.gradient import PGD
from advsmooth.training import loop, published


def sharper_minima(eps: float = 0.1, seed: int = 0, steps: int = 20, images: int = 100, k: int = 3) -> dict[str, float]:
    """A small LeNet on digits after a few mini-batches: its adversarial loss and the top of its Hessian.

    Args:
        eps: the budget, pixel scale.
        seed: of the network, its training and the attack.
        steps: mini-batches.
        images: of the digits.
        k: eigenvalues.
    """
    digits = data.load("digits").take(images, seed=0)
    (run,) = published.liu_budgets(digits, [eps], [seed], w=1, steps=steps, pgd_steps=4, rate=3e-3, batch=50)
    trained = loop.train(run.fresh(), digits, run.recipe, seed=seed)
    attack = PGD(eps=eps, steps=10)
    found, _, _ = sharpness.spectrum(trained.model, digits.x, digits.y, attack, k=k, seed=seed)
    top = {f"eigenvalue {rank}": float(value) for rank, value in enumerate(found["eigenvalue"], 1)}
    return {"training loss": float(trained.steps["loss"].iloc[-1]), "loss": float(found["loss"]), **top}


def flat_or_well_trained(eps: float = 0.05, seed: int = 0, images: int = 120) -> dict[str, float]:
    """Small LeNets on digits after one epoch, with and without EntropySGD: their losses and curves.

    Args:
        eps: the budget, pixel scale.
        seed: of the networks, their training and the directions.
        images: of the digits.
    """
    digits = data.load("digits").take(images, seed=0)
    methods = {name: published.KANAI_SHORT[name] for name in ("AT", "AWP+EnSGD")}
    objective = published.kanai_at(eps, steps=2)
    table = published.kanai_runs(
        digits, methods, objective, [seed], w=1, epochs=1, held_out=20, batch=20, network="lenet"
    )
    found: dict[str, float] = {}
    for name, run in zip(table["method"], table["run"], strict=True):
        model = loop.train(run.fresh(), digits, run.recipe, seed=seed).model
        attack = PGD(eps=eps, steps=3)
        (direction,) = flatness.directions(model, seed, 1)
        values = flatness.line(model, digits.x, digits.y, direction, [-0.5, 0.0, 0.5], attack=attack)
        found |= {f"{name} at {a}": v for a, v in zip((-0.5, 0.0, 0.5), values, strict=True)}
    return found
