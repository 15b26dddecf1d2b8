"""One table for five papers: of each network, what each of the papers looks at, and how robust it is.

A row is a network, measured twice: as it is, and at a *common temperature*, its logits divided by the one number that
brings their median margin to :data:`MARGIN`. A temperature changes no decision and no distance, but every gradient.

=================  =====================================================================================================
column             meaning
=================  =====================================================================================================
``step``           change of the gradient of the adversarial loss over a step of 0.2 % of the weights' length, as a
                   share of that gradient, with examples found anew (Kanai et al., appendix F.2.2)
``jump``           that change over the one with frozen examples: what the adversary adds (Liu et al., Proposition 2)
``curved``         top eigenvalue of the Hessian of the clean loss in the weights (Pang et al.: smooth or not)
``curved adv``     the same of the adversarial loss, examples frozen (Liu et al., section 4.2)
``noise``          ``E |g_B - g|^2`` of gradients over mini-batches (Pang et al.)
``kappa``          how far training moved the weights, relative to where they began (Zhu et al.)
``stability``      perturbation stability of the logits over its radius (Zhu et al., Definition 1)
``slope``          mean norm of the loss gradient in the input (Finlay et al.: total variation)
``slope max``      its maximum over the images (Finlay et al.: Lipschitz constant, from below)
``bend``           mean change of that gradient per unit of a random move (Pang et al.: smooth in the input or not)
``margin``         median difference of the logits of the label and the best other class
``clean``          error without an attack
``robust``         error under PGD on the margin in the maximum norm
``closeness``      minus the median Euclidean distance of the nearest adversarial point found
``one step``       share of what that PGD breaks that a single step breaks already
=================  =====================================================================================================

The first six are taken on training images, the others on test images; losses are cross-entropy, input norms Euclidean.
One budget for all networks, whatever they were trained with; ``curved own`` is ``curved adv`` at the network's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis import curvature, input_gradient, laziness, robustness_metrics, stability, step_smoothness
from advsmooth.analysis import variance as gradient_variance
from advsmooth.analysis.empirical import Attack, adversarial_examples, mean_loss, zero_one
from advsmooth.analysis.parameter_space import length, point
from advsmooth.analysis.robustness_metrics import Tempered
from advsmooth.attacks import evaluation
from advsmooth.attacks.audit import audit
from advsmooth.attacks.autoattack import AutoAttack
from advsmooth.attacks.gradient import PGD, fgsm
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import margin
from advsmooth.models.registry import describe
from advsmooth.training import common_set, runs
from advsmooth.training.objectives import AdversarialTraining

WEIGHTS = ("step", "jump", "curved", "curved adv", "noise", "kappa")
"""Smoothness of the loss in the weights, and how far these moved."""
INPUTS = ("stability", "slope", "slope max", "bend", "margin")
"""How the network and its loss respond to the input."""
OUTCOMES = ("clean", "robust", "closeness", "one step")
"""What an attack does; these do not depend on a temperature, nor does ``kappa``."""
COLUMNS = (*WEIGHTS, *INPUTS, *OUTCOMES)

LABELS = {
    "step": "gradient change",
    "jump": "jump of the attack",
    "curved": "curvature",
    "curved adv": "curvature, attacked",
    "noise": "gradient noise",
    "kappa": "way of the weights",
    "stability": "stability P/ε",
    "slope": "input gradient",
    "slope max": "its maximum",
    "bend": "its change",
    "margin": "logit margin",
    "clean": "clean error",
    "robust": "robust error",
    "closeness": "closeness",
    "one step": "one-step share",
}
"""The columns as figures show them."""
TEMPERED = ("step", "jump", "curved", "curved adv", "noise", "stability", "slope", "slope max", "bend")
"""What a temperature changes. ``margin`` is the same number for all at the common temperature, and left out there."""

MARGIN = 5.0
"""The median margin of the logits at the common temperature: the odds of a decision are ``exp(5)``, about 150 to 1."""
STEP = 0.002
"""Length of the step in the weights, as a share of their length."""
AUDITED = (common_set.STANDARD, "AT ε", "TV 0.1 + Lip 0.1", "LeNet")
"""The trainings whose first network is audited, where AutoAttack runs at all."""
JUDGED_MARGIN = 0.03
"""What AutoAttack or a test of the audit may break beyond our attack, as a share of the images."""
BEND = 0.1
"""Length of the random move of the input, pixel scale, Euclidean."""


@dataclass(frozen=True)
class Plan:
    """What networks are measured on.

    Attributes:
        x: training images for the quantities in the weights.
        y: their labels.
        x_test: test images.
        y_test: their labels.
        eps: the budget, maximum norm, pixel scale.
        steps: of PGD.
        restarts: of the PGD behind ``robust``.
        batch: size of the mini-batches of ``noise``.
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    eps: float
    steps: int = 20
    restarts: int = 3
    batch: int = 64

    @property
    def attack(self) -> PGD:
        """What ``robust`` is measured with."""
        return PGD(eps=self.eps, steps=self.steps, restarts=self.restarts, early_stop=True, loss=margin)


def temperature(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """By what to divide the logits so that their median margin is :data:`MARGIN`.

    NaN if that margin is not positive: a network that is wrong on half of the images has no such temperature.
    """
    found = median_margin(model, x, y)
    return found / MARGIN if found > 0 else math.nan


def median_margin(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The median over images of the logit of the label less the best other one."""
    with frozen(model), torch.no_grad():
        return -margin(model(x), y).double().median().item()


def in_weights(model: nn.Module, plan: Plan, *, seed: int) -> dict[str, float]:
    """The quantities of :data:`WEIGHTS` of one network, but for ``kappa``."""
    objective = AdversarialTraining(PGD(eps=plan.eps, steps=plan.steps // 2))
    data = (objective, plan.x, plan.y)
    size = step_smoothness.changes(model, *data, [1e-6], seed=seed)["gradient_norm"].item()
    change = step_smoothness.changes(model, *data, [STEP * length(point(model)) / size], seed=seed).iloc[0]
    moved = adversarial_examples(model, objective.attack, plan.x, plan.y, seed=seed)
    spread = gradient_variance.per_example(model, plan.x, plan.y, at_once=256)
    return {
        "step": float(change["anew"]),
        "jump": float(change["anew"] / change["frozen"]),
        "curved": curved(model, plan.x, plan.y, seed=seed),
        "curved adv": curved(model, moved, plan.y, seed=seed),
        "noise": spread.of_batches(min(plan.batch, len(plan.x))),
    }


def curved(model: nn.Module, x: Tensor, y: Tensor, *, seed: int, attack: Attack | None = None) -> float:
    """Top eigenvalue, by magnitude, of the Hessian of the mean loss; at what an attack makes of ``x``, if given."""
    moved = x if attack is None else adversarial_examples(model, attack, x, y, seed=seed)
    hessian = curvature.model_hessian(model, moved, y)
    pairs = curvature.top_eigenpairs(hessian, 1, guard=1, tolerance=1e-2, generator=settings.generator(seed))
    return float(pairs.values[0])


def in_inputs(model: nn.Module, plan: Plan, *, seed: int) -> dict[str, float]:
    """The quantities of :data:`INPUTS` of one network."""
    x, y = plan.x_test, plan.y_test
    found = stability.perturbation_stability(model, x, 1.0, generator=settings.generator(seed), perturbations=4)
    here = input_gradient.loss_gradients(model, x, y).flatten(1)
    g = settings.generator(seed)
    way = torch.randn(here.shape, generator=g, dtype=x.dtype)
    way = BEND * way / way.norm(dim=1, keepdim=True)
    there = input_gradient.loss_gradients(model, x + way.view(x.shape), y).flatten(1)
    norms = here.double().norm(dim=1)
    return {
        "stability": found.mean,
        "slope": norms.mean().item(),
        "slope max": norms.max().item(),
        "bend": ((there - here).double().norm(dim=1) / BEND).mean().item(),
        "margin": median_margin(model, x, y),
    }


def outcomes(model: nn.Module, plan: Plan, *, seed: int) -> dict[str, float]:
    """The quantities of :data:`OUTCOMES` of one network."""
    x, y = plan.x_test, plan.y_test
    found = evaluation.robust_error(model, x, y, plan.attack, generator=settings.generator(seed), batch_size=len(x))
    once = evaluation.robust_error(model, x, y, fgsm(plan.eps), batch_size=len(x))
    newly = found.error - found.clean_error
    return {
        "clean": found.clean_error,
        "robust": found.error,
        "closeness": -evaluation.median_distance(robustness_metrics.distances(model, x, y)),
        "one step": (once.error - once.clean_error) / newly if newly > 0 else math.nan,
    }


def measure(
    model: nn.Module, start: Mapping[str, Tensor], plan: Plan, *, seed: int, own_eps: float = 0.0
) -> pd.DataFrame:
    """Both rows of one network.

    Args:
        model: trained.
        start: its weights before training, of :func:`advsmooth.analysis.laziness.weights`.
        plan: what to measure on.
        seed: of all random numbers.
        own_eps: the budget it was trained with, for ``curved own``.

    Returns:
        Two rows, ``logits`` (``as trained`` or ``common temperature``) and the columns above, the first only where
        there is no such temperature; in both also ``temperature``, ``accuracy`` (on the training
        images measured on) and ``curved own`` (as trained).
    """
    fixed = outcomes(model, plan, seed=seed)
    fixed["kappa"] = laziness.kappa(start, laziness.weights(model)).item()
    fixed["temperature"] = temperature(model, plan.x_test, plan.y_test)
    fixed["accuracy"] = 1 - mean_loss(model, plan.x, plan.y, loss=zero_one)
    rows = []
    both = {"as trained": model}
    if not math.isnan(fixed["temperature"]):
        both["common temperature"] = Tempered(model, fixed["temperature"])
    for name, shown in both.items():
        found = in_weights(shown, plan, seed=seed) | in_inputs(shown, plan, seed=seed)
        rows.append({"logits": name, **found, **fixed})
    table = pd.DataFrame(rows)
    if own_eps in (0.0, plan.eps):
        table["curved own"] = table["curved adv" if own_eps else "curved"].iloc[0]
    else:
        attack = PGD(eps=own_eps, steps=plan.steps // 2)
        table["curved own"] = curved(model, plan.x, plan.y, seed=seed, attack=attack)
    return table[["logits", *COLUMNS, "temperature", "accuracy", "curved own"]]


def judged(model: nn.Module, plan: Plan, images: int, *, seed: int, audited: bool = False) -> dict[str, float]:
    """Is ``robust`` the network's merit? The first test images under that attack alone, and with AutoAttack after it.

    Args:
        model: trained.
        plan: whose attack is judged.
        images: how many.
        seed: of all random numbers.
        audited: whether to run the audit of :mod:`advsmooth.attacks.audit` as well.

    Returns:
        ``pgd`` and ``autoattack``, errors on the same images, and ``symptoms``: how many tests of the audit failed.
    """
    x, y = plan.x_test[:images], plan.y_test[:images]
    judge = AutoAttack(eps=plan.eps, steps=50, queries=1000)
    table = evaluation.robust_error(model, x, y, [plan.attack, judge], generator=settings.generator(seed)).table()
    found = {"pgd": float(table["error"].iloc[-2]), "autoattack": float(table["error"].iloc[-1])}
    if audited:
        tests = audit(model, x, y, plan.attack, generator=settings.generator(seed), allowed=JUDGED_MARGIN).passed
        found["symptoms"] = float(sum(not passed for passed in tests.values()))
    return found


def study(planned: pd.DataFrame, plan: Plan, *, judge: int = 0) -> pd.DataFrame:
    """Train, or read from the cache, and measure every network of :func:`advsmooth.training.common_set.runs`.

    Args:
        planned: the networks.
        plan: what to measure on.
        judge: test images for :func:`judged`, of the first network of each training; 0 for none.

    Returns:
        The rows of :func:`measure` with ``training``, ``paper``, ``seed``, ``parameters`` and, of those judged, the
        columns of :func:`judged`; numbers to four digits.
    """
    parts = []
    for training, own in planned.groupby("training", sort=False):
        for k, (paper, seed, run) in enumerate(zip(own["paper"], own["seed"], own["run"], strict=True)):
            start = laziness.weights(run.fresh())
            model = runs.trained(run).model
            rows = measure(model, start, plan, seed=seed, own_eps=common_set.budget(run))
            about: dict[str, Any] = {
                "training": training,
                "paper": paper,
                "seed": seed,
                "parameters": describe(model).parameters,
            }
            if judge and k == 0:
                about |= judged(model, plan, judge, seed=seed, audited=training in AUDITED)
            parts.append(rows.assign(**about))
    table = pd.concat(parts, ignore_index=True)
    first = ["training", "paper", "seed", "parameters"]
    table = table[[*first, *table.columns.difference(first, sort=False)]]
    for column in table.select_dtypes("float"):
        table[column] = table[column].map(lambda value: float(f"{value:.4g}"))
    return table


def joined(study: pd.DataFrame, *, accuracy: float = 0.9) -> pd.DataFrame:
    """One row a network that learned, with the columns at the common temperature beside those as trained.

    Args:
        study: of :func:`study`.
        accuracy: on training images, at least; networks below it are left out, with those of no temperature.

    Returns:
        The rows as trained; the columns that a temperature changes come again with ``*`` behind their name.
    """
    key = ["training", "seed"]
    trained, common = (study[study["logits"] == name] for name in ("as trained", "common temperature"))
    again = common[[*key, *TEMPERED]].rename(columns={name: f"{name}*" for name in TEMPERED})
    found = trained.merge(again, on=key)
    return found[found["accuracy"] >= accuracy].reset_index(drop=True)
