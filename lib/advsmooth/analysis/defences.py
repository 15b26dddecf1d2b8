"""Defences side by side: a study of several networks and what decides about it (Finlay et al., section 5).

A *study* is a tidy table, one number a row: ``model, seed, quantity, at, value``. Of one network:

=======================  =============================================================================================
a column of a table      what :func:`advsmooth.analysis.adversarial_statistics.statistics` measured
``l2_margin``            median of PGD that climbs the margin between two logits, instead of the cross-entropy
``confidence``           mean probability of the predicted class, over the images classified correctly
``error l2``             error of PGD within the distance ``at``; ``error linf`` of iterated FGSM
``NORM of ATTACK``       error curve of one of the four attacks of figure 3 on fewer images, measured in either norm
``NORM median ATTACK``   its median, on the same images
``climbing NORM``        error of the tables' attack within the budget ``at``
``AutoAttack NORM``      error of that attack and AutoAttack together
``audit NORM, ...``      what :func:`advsmooth.attacks.audit.audit` measured
``passed NORM, TEST``    whether there was no symptom, 1 or 0
=======================  =============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis import adversarial_statistics
from advsmooth.analysis.adversarial_statistics import attack, by_attack, in_both_norms, paired
from advsmooth.attacks import ball, evaluation
from advsmooth.attacks.audit import audit
from advsmooth.attacks.autoattack import AutoAttack
from advsmooth.attacks.ball import Norm
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import margin
from advsmooth.attacks.minimal import Boundary, CarliniWagner

COLUMNS = ["model", "seed", "quantity", "at", "value"]
UNDEFENDED, FGSM, TV, MILD, STRONG, STRONGEST = MODELS = (
    "undefended",
    "l1-TV (FGSM)",
    "l2-TV 0.01",
    "l2-TV 0.01 + Lip 0.1",
    "l2-TV 0.1 + Lip 0.1",
    "l2-TV 0.1 + Lip 1",
)
"""The rows of table 2, in its order; :data:`advsmooth.training.published.FINLAY_MODELS` trains them."""
LARGE_TV = "l2-TV 1 + Lip 0"
"""A weight of the total variation far above the published ones, to see what it costs."""
SHORT = {FGSM: "fgsm", TV: "tv", MILD: "mild", STRONG: "strong", STRONGEST: "strongest"}
"""Names of the regularised models in names of checks."""
ATTACKS = ("PGD", "I-FGSM", "Boundary", "CW")
"""The attacks of figure 3: PGD in the 2-norm, iterated FGSM in the maximum norm, two without a budget."""

_CLIMBING: Mapping[str, Norm] = {"PGD": "l2", "I-FGSM": "linf"}

Name = tuple[str, int]
"""Model and seed of a network."""


def rows(name: Name, quantity: str, values: Sequence[float], at: Sequence[float] = (0.0,)) -> pd.DataFrame:
    """Rows of a study: one value for each ``at``."""
    found = [(*name, quantity, float(a), float(v)) for a, v in zip(at, values, strict=True)]
    return pd.DataFrame(found, columns=COLUMNS)


def _curve(name: Name, quantity: str, found: Tensor, grid: Sequence[float]) -> pd.DataFrame:
    table = evaluation.error_curve(found, grid)
    return rows(name, quantity, table["error"].tolist(), table["distance"].tolist())


def of_tables(
    model: nn.Module,
    name: Name,
    x: Tensor,
    y: Tensor,
    grids: Mapping[Norm, Sequence[float]],
    *,
    steps: int = 20,
    step: float = 0.01,
    most_steps: int = 500,
) -> pd.DataFrame:
    """One network's row of table 2, and its error at further distances.

    Args:
        model: the network.
        name: of it; the seed also draws the random starts.
        x: images.
        y: labels.
        grids: distances of the error curves, by norm.
        steps: of the attacks at each radius.
        step: length of a step of the attack behind the time to attack.
        most_steps: of it.
    """
    measured = adversarial_statistics.found(model, x, y, steps=steps, seed=name[1])
    row = adversarial_statistics.statistics(
        model, x, y, step=step, most_steps=most_steps, seed=name[1], distances=measured
    )
    by_margin = by_attack(model, x, y, "l2", steps=steps, seed=name[1], loss=margin)
    row |= {"l2_margin": evaluation.median_distance(by_margin), "confidence": confidence(model, x, y)}
    columns = [rows(name, column, [value]) for column, value in row.items()]
    return pd.concat([*columns, *(_curve(name, f"error {n}", measured.climbing[n], grids[n]) for n in ball.NORMS)])


def confidence(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Mean probability of the predicted class, over the images classified correctly."""
    with frozen(model), torch.no_grad():
        likeliest = model(x).softmax(1).max(1)
    return likeliest.values[likeliest.indices == y].double().mean().item()


def four_attacks(
    model: nn.Module,
    name: Name,
    x: Tensor,
    y: Tensor,
    grids: Mapping[Norm, Sequence[float]],
    *,
    steps: int = 20,
    carlini_wagner: CarliniWagner,
    boundary: Boundary | None,
) -> pd.DataFrame:
    """Figure 3 of one network: error curves and medians of the four attacks on the same images, in both norms.

    Args:
        model: the network.
        name: of it; the seed is also that of the attacks.
        x: images.
        y: labels.
        grids: distances of the error curves, by norm.
        steps: of PGD and iterated FGSM at each radius.
        carlini_wagner: with its settings.
        boundary: with its settings; Carlini-Wagner alone, for table 1, if there are none.
    """
    found = {"CW": in_both_norms(model, x, y, carlini_wagner, seed=name[1])}
    if boundary is not None:
        found["Boundary"] = in_both_norms(model, x, y, boundary, seed=name[1])
        for title, own in _CLIMBING.items():
            found[title] = {n: by_attack(model, x, y, own, steps=steps, seed=name[1], measured=n) for n in ball.NORMS}
    parts = []
    for title, by_norm in found.items():
        for norm, distances in by_norm.items():
            parts.append(_curve(name, f"{norm} of {title}", distances, grids[norm]))
            parts.append(rows(name, f"{norm} median {title}", [evaluation.median_distance(distances)]))
    return pd.concat(parts)


def under_autoattack(
    model: nn.Module,
    name: Name,
    x: Tensor,
    y: Tensor,
    budgets: Mapping[Norm, float],
    *,
    steps: int = 20,
    judge_steps: int = 100,
    queries: int = 5000,
) -> pd.DataFrame:
    """The error of the tables' attack within a budget, and with all components of AutoAttack after it.

    Args:
        model: the network.
        name: of it; the seed is also that of the attacks.
        x: images.
        y: labels.
        budgets: by norm, pixel scale.
        steps: of the tables' attack.
        judge_steps: of APGD and FAB, 100 in the standard version.
        queries: of Square, 5000 in the standard version.
    """
    parts = []
    for norm, eps in budgets.items():
        judge = AutoAttack(eps=eps, norm=norm, steps=judge_steps, queries=queries)
        generator = settings.generator(name[1], str(x.device))
        result = evaluation.robust_error(model, x, y, [attack(norm, steps).at(eps), judge], generator=generator)
        first, both = result.table()["error"].tolist()[1:]
        parts += [rows(name, f"climbing {norm}", [first], [eps]), rows(name, f"AutoAttack {norm}", [both], [eps])]
    return pd.concat(parts)


def audited(
    model: nn.Module,
    name: Name,
    x: Tensor,
    y: Tensor,
    budgets: Mapping[Norm, float],
    *,
    steps: int = 20,
    allowed: float = 0.03,
) -> pd.DataFrame:
    """The attack audit of one network, for the tables' attack of each norm; see :func:`under_autoattack`."""
    parts = []
    for norm, eps in budgets.items():
        generator = settings.generator(name[1], str(x.device))
        found = audit(model, x, y, attack(norm, steps).at(eps), generator=generator, allowed=allowed)
        words = f"audit {norm}, " + found.table["test"] + ", " + found.table["setting"] + ", " + found.table["measure"]
        parts += [rows(name, word, [value]) for word, value in zip(words, found.table["value"], strict=True)]
        parts += [rows(name, f"passed {norm}, {test}", [passed]) for test, passed in found.passed.items()]
    return pd.concat(parts)


# --- what is made of a study ----------------------------------------------------------------------------------------


def networks(study: pd.DataFrame) -> pd.DataFrame:
    """One row a network, in the order of the study: ``model``, ``seed``, and each quantity that has one value."""
    curves = study["quantity"].str.contains(r"^error | of ")
    single = study[~curves & ~study["quantity"].str.startswith(("audit ", "passed "))]
    wide = single.pivot(index=["model", "seed"], columns="quantity", values="value")
    order = study[["model", "seed"]].drop_duplicates()
    return wide.loc[[tuple(pair) for pair in order.to_numpy()]].reset_index()


def error_within(study: pd.DataFrame, norm: Norm, distance: float) -> pd.DataFrame:
    """The error at a distance, read off the error curves by linear interpolation: ``model, seed, error``."""
    curves = study[study["quantity"] == f"error {norm}"]
    found = [
        (*name, float(np.interp(distance, own["at"], own["value"])))
        for name, own in curves.groupby(["model", "seed"], sort=False)
    ]
    return pd.DataFrame(found, columns=["model", "seed", "error"])


def order(table: pd.DataFrame, column: str) -> list[float]:
    """Spearman's rank correlation of a column with the number of the row of table 2, seed by seed."""
    wide = table[table["model"].isin(MODELS)].pivot(index="seed", columns="model", values=column)[list(MODELS)]
    return [float(spearmanr(range(len(MODELS)), values).statistic) for values in wide.to_numpy()]


def comparisons(study: pd.DataFrame) -> dict[str, list[float]]:
    """Differences, one a seed, each positive if the network behaves as Finlay et al. say; by name of the check.

    ``larger-median-*``: the median 2-norm distance of a regularised model less that of the undefended one, and
    ``largest-median-*``: that of the model with the Lipschitz term less that of another model of table 3.
    ``order-*``: see :func:`order`. ``strong-over-mild`` and ``cost-*``: figure 2. ``falls-*``: PGD error at the median
    distance of the undefended model (mean over seeds), table 1. ``little-cost-*``: 0.02 less what a model loses of its
    clean accuracy. ``pgd-*`` and ``ifgsm-*``: the smallest median of the other three attacks of figure 3 less that
    of the attack said to be strongest. ``survives-*``: error under AutoAttack of the undefended less that of a
    regularised model at one budget. ``any-*``: as ``larger-median-*``, with the smaller distance of PGD and DeepFool.
    ``closer-by-margin``: the median of PGD on the cross-entropy less that on the margin, most regularised model.
    """
    table = networks(study)
    found: dict[str, list[float]] = {}
    for model, short in SHORT.items():
        found[f"larger-median-{short}"] = paired(table, "l2_median", model, UNDEFENDED)
        found[f"any-{short}"] = paired(table, "l2_any", model, UNDEFENDED)
        for norm in ball.NORMS:
            found[f"survives-{norm}-{short}"] = paired(table, f"AutoAttack {norm}", UNDEFENDED, model)
    found["order-median"], found["order-calls"] = order(table, "l2_median"), order(table, "l2_calls")
    found |= {f"largest-median-{SHORT[m]}": paired(table, "l2_median", MILD, m) for m in (FGSM, TV)}
    both = table[table["model"].isin([UNDEFENDED, MILD])]  # a constant network among the others has no logarithm
    logarithm = both.assign(log=np.log2(both["max_grad_model"]))
    found["jacobian-halved"] = [value - 1 for value in paired(logarithm, "log", UNDEFENDED, MILD)]
    found["strong-over-mild"] = paired(table, "l2_median", STRONG, MILD)
    own = table[table["model"] == STRONGEST]
    found["closer-by-margin"] = (own["l2_median"] - own["l2_margin"]).tolist()
    found["cost-strongest"] = paired(table, "clean_error", STRONGEST, UNDEFENDED)
    found["cost-mild"] = paired(table, "clean_error", MILD, UNDEFENDED)
    found["cost-strong"] = paired(table, "clean_error", STRONG, MILD)
    radius = table.loc[table["model"] == UNDEFENDED, "l2_median"].mean()
    at_radius = error_within(study, "l2", radius)
    found |= {f"falls-{SHORT[m]}": paired(at_radius, "error", MILD, m) for m in (STRONG, STRONGEST)}
    found |= {
        f"little-cost-{SHORT[m]}": [0.02 - lost for lost in paired(table, "clean_error", m, UNDEFENDED)]
        for m in (TV, MILD)
    }
    found["gain-tv"] = paired(table, "clean_error", UNDEFENDED, TV)
    if (table["model"] == LARGE_TV).any():
        found["cost-large"] = paired(table, "clean_error", LARGE_TV, UNDEFENDED)
    for name, norm, best in (("pgd", "l2", "PGD"), ("ifgsm", "linf", "I-FGSM")):
        rivals = [f"{norm} median {title}" for title in ATTACKS if title != best]
        gap = table[rivals].min(axis=1, skipna=False) - table[f"{norm} median {best}"]
        for model in (UNDEFENDED, STRONG):
            found[f"{name}-{SHORT.get(model, UNDEFENDED)}"] = gap[table["model"] == model].dropna().tolist()
    # Shares such as 3/50 leave noise of 1e-17 in a difference; what is stored and compared must not show it.
    return {name: [round(value, 9) for value in values] for name, values in found.items()}


def blindness(study: pd.DataFrame) -> pd.DataFrame:
    """What AutoAttack breaks beyond the tables' attack: a share of the images, a row a network, a column a norm."""
    table = networks(study).dropna(subset=["AutoAttack l2"]).set_index(["model", "seed"])
    return pd.DataFrame({n: table[f"AutoAttack {n}"] - table[f"climbing {n}"] for n in ball.NORMS})


# --- the published tables -------------------------------------------------------------------------------------------


def medians_against_errors(medians: Sequence[float], errors: Sequence[float], radius: float) -> list[float]:
    """How far each median lies on the wrong side of a radius; at most 0 where a row agrees with itself.

    A median distance is the smallest within which half of the images are broken. So if the error (per cent) at a radius
    is 50 or more the median is at most the radius, and if it is less, at least.
    """
    return [(m - radius) * (1 if error >= 50 else -1) for m, error in zip(medians, errors, strict=True)]
