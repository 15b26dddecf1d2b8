"""The first steps of recorded studies that both train networks and analyse them.

A record stores what one of these functions returns and runs it again when the code behind it has changed (see
:mod:`advsmooth.records`). They stand above the other modules, because training and analysis do not import each other.
"""

from __future__ import annotations

from advsmooth import data
from advsmooth.analysis import (
    adversarial_statistics,
    attack_detection,
    common_table,
    flatness,
    laziness,
    robustness_metrics,
    sharpness,
)
from advsmooth.attacks.gradient import PGD
from advsmooth.training import common_set, loop, published


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


def defences_side_by_side(seed: int = 0, images: int = 200) -> dict[str, float]:
    """Two of the models of Finlay et al. on digits after five epochs: their rows of table 2.

    Args:
        seed: of the networks and the attacks.
        images: of the digits.
    """
    digits = data.load("digits").take(images, seed=0)
    models = {name: published.FINLAY_MODELS[name] for name in ("l1-TV (FGSM)", "l2-TV 0.1 + Lip 0.1")}
    table = published.finlay_runs(
        digits, models, [seed], network="fcn", arguments={"m": 16, "L": 2}, epochs=5, rate=0.1, batch=20
    )
    found: dict[str, float] = {}
    for name, run in zip(table["model"], table["run"], strict=True):
        model = loop.train(run.fresh(), digits, run.recipe, seed=seed).model
        row = adversarial_statistics.statistics(model, digits.x[:100], digits.y[:100], steps=5, seed=seed)
        columns = ("clean_error", "l2_median", "linf_median", "mean_grad_loss", "max_grad_model")
        found |= {f"{name}: {column}": row[column] for column in columns}
    return found


def detecting_by_gradient(seed: int = 0, images: int = 200) -> dict[str, float]:
    """One of the models of Finlay et al. on digits after one epoch, its detector, and how often attacks are rejected.

    Args:
        seed: of the network, the split and the attacks.
        images: of the digits.
    """
    digits, test = data.load("digits").take(images, seed=0), data.load("digits", "test")
    models = {"regularised": published.FINLAY_MODELS["l2-TV 0.01 + Lip 0.1"]}
    (run,) = published.finlay_runs(
        digits, models, [seed], network="fcn", arguments={"m": 16, "L": 2}, epochs=1, rate=0.1, batch=20
    )["run"]
    model = loop.train(run.fresh(), digits, run.recipe, seed=seed).model
    plan = attack_detection.Plan(
        held_out=60, fresh=60, attacked=10, penalties=[0.1], weights=[1.0], steps=10, boundary_steps=20, restarts=1
    )
    found = attack_detection.attacks(model, attack_detection.pools(digits, test, plan, seed), plan, seed)
    by_source = found.groupby("source")["probabilities"].mean()
    return {f"score, {source}": float(by_source[source]) for source in ("CW", "PGD", "evasive 0.1", "joint 1")}


def two_numbers(seed: int = 0, images: int = 150) -> dict[str, float]:
    """Small networks on digits after two epochs, undefended and regularised: gradients, distances, steepest places.

    Args:
        seed: of the networks, their training and the starts of the ascent.
        images: of the digits.
    """
    digits = data.load("digits").take(images, seed=0)
    models = {name: published.FINLAY_MODELS[name] for name in ("undefended", "l2-TV 0.1 + Lip 1")}
    table = published.finlay_runs(
        digits, models, [seed], network="fcn", arguments={"m": 16, "L": 3}, epochs=2, batch=50
    )
    found: dict[str, float] = {}
    for name, run in zip(table["model"], table["run"], strict=True):
        model = loop.train(run.fresh(), digits, run.recipe, seed=seed).model
        rows = robustness_metrics.measure(model, digits.x, digits.y, name=name, seed=seed)
        names = name + ": " + rows["quantity"] + ", " + rows["images"]
        found |= dict(zip(names, rows["value"], strict=True))
        steep = robustness_metrics.steepest_around(model, digits.x, [0.5], name=name, seed=seed, starts=8, steps=5)
        found[f"{name}: steepest in the box"] = float(steep["value"].iloc[-1])
    return found


def one_table(seed: int = 0, images: int = 500) -> dict[str, float]:
    """Two networks of the common set on digits after twelve epochs: all columns of the common table.

    Args:
        seed: of the networks and of what is measured.
        images: of the digits.
    """
    digits = data.load("digits").take(images, seed=0)
    plan = common_table.Plan(
        digits.x[:60], digits.y[:60], digits.x[60:120], digits.y[60:120], eps=0.1, restarts=1, batch=20
    )
    planned = common_set.runs(
        digits, ["standard", "TV 0.01"], [seed], eps=0.1, epochs=12, rate=0.1, batch=50, m=16, L=3
    )
    found: dict[str, float] = {}
    for name, run in zip(planned["training"], planned["run"], strict=True):
        model = run.fresh()
        start = laziness.weights(model)
        model = loop.train(model, digits, run.recipe, seed=seed).model
        table = common_table.measure(model, start, plan, seed=seed, own_eps=common_set.budget(run))
        for logits, row in table.set_index("logits").iterrows():
            found |= {f"{name}, {logits}: {column}": float(row[column]) for column in common_table.COLUMNS}
    return found
