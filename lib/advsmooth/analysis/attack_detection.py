"""Attack detection (Finlay et al., section 7): scores of clean and attacked images, one row each.

Columns of every table here: ``source`` (where the image comes from), ``image`` (its number in its pool), ``distance``
(how far it was moved, l2, pixel scale), ``wrong`` (whether it is misclassified, 0 or 1) and three scores, each larger
for a more suspicious image: ``probabilities`` and ``logits``, the norm ``|grad f|_{2,inf}`` with that reading of
``f``, and ``doubt``, one minus the largest probability, which needs no gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis import detection
from advsmooth.analysis.input_gradient import jacobian_norms
from advsmooth.attacks import ball
from advsmooth.attacks.evaluation import Attack, robust_error
from advsmooth.attacks.evasive import EvasiveCW
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.minimal import Boundary, DeepFool
from advsmooth.attacks.undetected import UndetectedCW
from advsmooth.data import Dataset

SCORES = ("probabilities", "logits", "doubt")
MULTIPLES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
"""How far along the ray from an image through its closest adversarial point, in units of the way to that point."""
BUDGETS = (1.25, 1.5, 2.0, 3.0, 4.0)
"""Budgets of an attack that goes on past the boundary, in units of the median distance of Carlini-Wagner."""


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        held_out: clean images for the threshold.
        fresh: clean images to judge it.
        attacked: correctly classified fresh images that are attacked, at most.
        penalties: of the evasive attack, ``mu``.
        weights: of the joint attack.
        steps: of Adam for each constant of a search.
        search_steps: constants.
        boundary_steps: of the Boundary attack.
        pgd_steps: of PGD.
        rung: ratio of one radius of PGD's ladder to the one before.
        restarts: random starts of PGD at each budget past the boundary.
    """

    held_out: int
    fresh: int
    attacked: int
    penalties: Sequence[float]
    weights: Sequence[float]
    steps: int = 100
    search_steps: int = 5
    boundary_steps: int = 2000
    pgd_steps: int = 20
    rung: float = 1.1
    restarts: int = 5


@dataclass(frozen=True)
class Pools:
    """The images of one seed: ``held_out`` for the threshold, ``fresh`` to judge it, ``seen`` from the training set."""

    held_out: Dataset
    fresh: Dataset
    seen: Dataset


def pools(train: Dataset, test: Dataset, plan: Plan, seed: int) -> Pools:
    """Test images split at random by the seed, no image in both parts, and as many training images as are held out.

    Raises:
        ValueError: for more images than there are.
    """
    if plan.held_out + plan.fresh > len(test):
        raise ValueError(
            f"held_out={plan.held_out}, fresh={plan.fresh}: allowed is a sum of at most {len(test)}, the test images"
        )
    shuffled = test.take(plan.held_out + plan.fresh, seed=seed)
    order = torch.randperm(len(shuffled), generator=settings.generator(seed))

    def some(rows: Tensor) -> Dataset:
        rows = rows.to(test.x.device)
        return replace(shuffled, x=shuffled.x[rows], y=shuffled.y[rows])

    seen = train.take(min(plan.held_out, len(train)), seed=seed)
    return Pools(some(order[: plan.held_out]), some(order[plan.held_out :]), seen)


# --- one row an image -----------------------------------------------------------------------------------------------


def scored(model: nn.Module, source: str, x: Tensor, points: Tensor, y: Tensor) -> pd.DataFrame:
    """Rows of one source: the images ``x`` moved to ``points``, true labels ``y``."""
    with frozen(model), torch.no_grad():
        logits = torch.cat([model(some) for some in points.split(1024)])
    table = {
        "image": np.arange(len(x)),
        "distance": ball.norms(points.double() - x.double(), "l2"),
        "wrong": (logits.argmax(1) != y).long(),
        "probabilities": jacobian_norms(model, points, outputs="probabilities"),
        "logits": jacobian_norms(model, points, outputs="logits"),
        "doubt": 1 - logits.double().softmax(1).amax(1),
    }
    columns = {k: v.cpu().numpy() if isinstance(v, Tensor) else v for k, v in table.items()}
    return pd.DataFrame({"source": source, **columns})


def correct(model: nn.Module, images: Dataset, at_most: int) -> tuple[Tensor, Tensor]:
    """The first images that the network classifies correctly, and their labels.

    Raises:
        ValueError: if there is none.
    """
    with frozen(model), torch.no_grad():
        right = torch.cat([model(some).argmax(1) for some in images.x.split(1024)]) == images.y
    rows = right.nonzero()[:at_most, 0]
    if len(rows) == 0:
        raise ValueError("no image is classified correctly, so none can be attacked; train longer")
    return images.x[rows], images.y[rows]


def climb_the_ladder(
    model: nn.Module, x: Tensor, y: Tensor, attack: PGD, radii: Sequence[float], generator: torch.Generator
) -> Tensor:
    """PGD "until misclassified": each image where the smallest radius of the ladder broke it; else unchanged."""
    found, left = x.clone(), torch.arange(len(x), device=x.device)
    for radius in sorted(radii):
        result = robust_error(model, x[left], y[left], attack.at(radius), generator=generator)
        found[left[result.broken]] = result.x_adv[result.broken]
        left = left[~result.broken]
        if len(left) == 0:
            break
    return found


def past_the_boundary(
    model: nn.Module, x: Tensor, y: Tensor, attack: PGD, budgets: Mapping[float, float], generator: torch.Generator
) -> Iterator[pd.DataFrame]:
    """PGD that uses its whole budget, one source a budget and restart: ``PGD at 2x, 1``; keys name the budgets."""
    for multiple, eps in budgets.items():
        for restart in range(1, attack.restarts + 1):
            points = replace(attack.at(eps), restarts=1)(model, x, y, generator=generator)
            yield scored(model, f"PGD at {multiple:g}x, {restart}", x, points, y)


def along_the_ray(model: nn.Module, x: Tensor, points: Tensor, y: Tensor) -> Iterator[pd.DataFrame]:
    """The images on the way from ``x`` to ``points`` and on past them, clipped to the box."""
    for s in MULTIPLES:
        yield scored(model, f"ray {s:g}", x, torch.lerp(x, points, s).clamp(0, 1), y)


def overview(model: nn.Module, of: Pools, plan: Plan) -> pd.DataFrame:
    """Clean scores of all pools, and those of images moved just over the boundary by DeepFool, which is fast."""
    parts = [scored(model, n, d.x, d.x, d.y) for n, d in (("held out", of.held_out), ("clean", of.fresh))]
    parts.append(scored(model, "seen", of.seen.x, of.seen.x, of.seen.y))
    x, y = correct(model, of.fresh, plan.attacked)
    parts.append(scored(model, "unattacked", x, x, y))
    parts.append(scored(model, "DeepFool", x, DeepFool()(model, x, y), y))
    return pd.concat(parts, ignore_index=True)


def attacks(model: nn.Module, of: Pools, plan: Plan, seed: int) -> pd.DataFrame:
    """All attacks of table 6, the evasive one at every penalty, and those that go on or see the score themselves.

    Carlini-Wagner (``CW``) is the evasive attack with penalty 0, so that the two differ in the penalty only. The
    evasive attack also runs on held-out images (``tuning ...``), for the choice of a penalty.
    """
    generator = settings.generator(seed, of.fresh.x.device.type)
    x, y = correct(model, of.fresh, plan.attacked)
    tuning_x, tuning_y = correct(model, of.held_out, plan.attacked)
    both, labels = torch.cat([x, tuning_x]), torch.cat([y, tuning_y])
    c = detection.threshold(jacobian_norms(model, of.held_out.x))
    search: dict[str, Any] = {"steps": plan.steps, "search_steps": plan.search_steps}

    def run(name: str, attack: Attack) -> Iterator[pd.DataFrame]:
        points = attack(model, both, labels, generator=generator)
        yield scored(model, name, x, points[: len(x)], y)
        yield scored(model, f"tuning {name}", tuning_x, points[len(x) :], tuning_y)

    plain = EvasiveCW(penalty=0.0, **search)(model, x, y)
    typical = ball.norms(plain - x, "l2").median().item()
    ladder = [0.1 * typical * plan.rung**k for k in range(int(np.log(100) / np.log(plan.rung)) + 1)]
    pgd = PGD(eps=1.0, steps=plan.pgd_steps, norm="l2", restarts=plan.restarts)
    parts = [
        scored(model, "CW", x, plain, y),
        scored(model, "PGD", x, climb_the_ladder(model, x, y, replace(pgd, restarts=1), ladder, generator), y),
        scored(model, "Boundary", x, Boundary(steps=plan.boundary_steps)(model, x, y, generator=generator), y),
        *(part for mu in plan.penalties for part in run(f"evasive {mu:g}", EvasiveCW(penalty=mu, **search))),
        *(
            scored(model, f"joint {w:g}", x, UndetectedCW(c=c, weight=w, **search)(model, x, y), y)
            for w in plan.weights
        ),
        *along_the_ray(model, x, plain, y),
        *past_the_boundary(model, x, y, pgd, {b: b * typical for b in BUDGETS}, generator),
    ]
    return pd.concat(parts, ignore_index=True)


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Five significant digits, as they are stored: a run and its record then say the same."""
    numbers = [*SCORES, "distance"]
    return table.assign(**{n: [float(f"{v:.5g}") for v in table[n]] for n in numbers})


# --- what the rows say ----------------------------------------------------------------------------------------------


def of(table: pd.DataFrame, source: str, column: str) -> Tensor:
    """A column of one source of one network, ``(n,)``; attacked images count only where the attack succeeded."""
    rows = table[table["source"] == source]
    attacked = source not in ("held out", "clean", "seen", "unattacked") and not source.startswith("ray")
    return torch.tensor(rows.loc[(rows["wrong"] == 1) | (not attacked), column].to_numpy(), dtype=torch.float64)


def threshold(table: pd.DataFrame, score: str = "probabilities", source: str = "held out") -> float:
    """``c`` of one network, from its held-out clean images."""
    return detection.threshold(of(table, source, score))


def detected(table: pd.DataFrame, source: str, score: str = "probabilities", c: float | None = None) -> float:
    """Share of a source that is rejected."""
    c = threshold(table, score) if c is None else c
    return (of(table, source, score) >= c).double().mean().item()


def area(table: pd.DataFrame, source: str, score: str = "probabilities") -> detection.Area:
    """Area under the curve of a source against all fresh clean images."""
    return detection.auc(of(table, "clean", score), of(table, source, score))


def median_distance(table: pd.DataFrame, source: str) -> float:
    """Median l2 distance of the attacked images; infinite if fewer than half were broken."""
    rows = table[table["source"] == source]
    return float(np.sort(np.where(rows["wrong"] == 1, rows["distance"], np.inf))[(len(rows) - 1) // 2])


def chosen_penalty(table: pd.DataFrame, evasion: float) -> float:
    """The smallest penalty with at least this share undetected among held-out images; the largest, if there is none."""
    names = [s for s in table["source"].unique() if s.startswith("tuning evasive")]
    penalties = sorted(float(name.split()[-1]) for name in names)
    enough = [mu for mu in penalties if 1 - detected(table, f"tuning evasive {mu:g}") >= evasion]
    return min(enough, default=penalties[-1])


ADAPTIVE = ("evasive", "joint", "ray", "PGD at")
"""Beginnings of the names of sources that an attacker who knows the detector can pick from."""


def closest_undetected(table: pd.DataFrame, kinds: Sequence[str] = ADAPTIVE) -> np.ndarray:
    """For each attacked image the distance of the closest wrong and undetected point of any such source, ``(n,)``.

    Infinite where none was found.
    """
    c = threshold(table)
    n = int(table.loc[table["source"] == "CW", "image"].max()) + 1
    rows = table[table["source"].str.startswith(tuple(kinds))]
    fooled = rows[(rows["wrong"] == 1) & (rows["probabilities"] < c)]
    return fooled.groupby("image")["distance"].min().reindex(range(n), fill_value=np.inf).to_numpy()


def closest(table: pd.DataFrame) -> np.ndarray:
    """For each attacked image the distance of the closest wrong point of any source, detected or not, ``(n,)``."""
    n = int(table.loc[table["source"] == "CW", "image"].max()) + 1
    rows = table[table["source"].str.startswith((*ADAPTIVE, "CW", "PGD", "Boundary")) & (table["wrong"] == 1)]
    return rows.groupby("image")["distance"].min().reindex(range(n), fill_value=np.inf).to_numpy()


def share_within(table: pd.DataFrame, factor: float) -> float:
    """Share of attacked images with an undetected wrong point within a multiple of their own closest wrong point."""
    undetected = closest_undetected(table)
    return float((np.isfinite(undetected) & (undetected <= factor * closest(table))).mean())


def false_alarm_p(table: pd.DataFrame, score: str = "probabilities", source: str = "held out") -> float:
    """Two-sided p-value of the number of fresh clean images rejected, threshold uncertainty included.

    With the ``k``-th largest of ``n`` exchangeable scores as threshold, the number among ``m`` fresh ones that reach it
    is beta-binomial with parameters ``k`` and ``n + 1 - k``.
    """
    held_out, fresh = of(table, source, score), of(table, "clean", score)
    c = detection.threshold(held_out)
    k, n = int(detection.FALSE_POSITIVES * (len(held_out) + 1)), len(held_out)
    law = stats.betabinom(len(fresh), k, n + 1 - k)
    rejected = int((fresh >= c).sum())
    return float(min(1.0, 2 * min(law.cdf(rejected), law.sf(rejected - 1))))
