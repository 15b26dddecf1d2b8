"""Synthetic classification with wrong labels, as in figure 1 of Finlay et al., which does not give its data.

Points are uniform in the unit interval or square, outside a strip around the border between two classes. In the plane
the border is a wave, on the line it is two points. A share of the labels is turned, at random places or in one clump.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from advsmooth import settings
from advsmooth.theory.regularised import Minimiser


@dataclass(frozen=True)
class Labelled:
    """Points with the labels that are right and those that are given.

    Attributes:
        x: ``(n, d)``, float64.
        clean: -1 or 1, ``(n,)``, float64.
        given: the same, but turned where ``wrong``.
        wrong: truth values, ``(n,)``.
    """

    x: Tensor
    clean: Tensor
    given: Tensor
    wrong: Tensor


def height(x: Tensor) -> Tensor:
    """Signed distance from the border, along the last axis: positive in class 1; ``(n, d)`` to ``(n,)``."""
    if x.shape[1] == 1:
        return 0.2 - (x[:, 0] - 0.5).abs()  # class 1 is the interval from 0.3 to 0.7
    return x[:, 1] - 0.5 - 0.22 * (2 * math.pi * x[:, 0]).sin()


def draw(n: int, dimension: int, share: float, seed: int, *, gap: float = 0.1, clump: bool = False) -> Labelled:
    """Draw ``n`` points and turn the labels of a share of them.

    Args:
        n: points.
        dimension: 1 or 2.
        share: of wrong labels, from 0 to 0.5; rounded to whole points.
        seed: of points and places; the points do not depend on ``share``.
        gap: width of the strip between the classes, measured along the last axis.
        clump: whether the wrong labels are those nearest to one random point, instead of anywhere.

    Raises:
        ValueError: for values that are not allowed.
    """
    if dimension not in (1, 2) or n < 2 or not 0 <= share <= 0.5 or not 0 <= gap <= 0.3:
        raise ValueError(
            f"n={n!r}, dimension={dimension!r}, share={share!r}, gap={gap!r}: allowed is n >= 2, dimension 1 or 2, "
            "share from 0 to 0.5, gap from 0 to 0.3"
        )
    g = settings.generator(seed)
    x = torch.empty(0, dimension, dtype=torch.float64)
    while len(x) < n:
        tried = torch.rand(2 * n, dimension, generator=g, dtype=torch.float64)
        x = torch.cat([x, tried[height(tried).abs() >= gap / 2]])[:n]
    clean = height(x).sign() + (height(x) == 0)
    order = torch.randperm(n, generator=g)
    if clump:
        order = (x - x[order[0]]).norm(dim=1).argsort(stable=True)
    wrong = torch.zeros(n, dtype=torch.bool)
    wrong[order[: round(share * n)]] = True
    return Labelled(x, clean, torch.where(wrong, -clean, clean), wrong)


@dataclass(frozen=True)
class Outcome:
    """What a minimiser makes of the labels; shares from 0 to 1.

    Attributes:
        matched: of all points, those whose value is the given label to 0.001.
        kept: of the points with right labels, those whose value has the sign of the label.
        corrected: of the points with wrong labels, those whose value has the sign of the right one; NaN without any.
    """

    matched: float
    kept: float
    corrected: float


def judge(found: Minimiser, labelled: Labelled) -> Outcome:
    """Compare the values of a minimiser with the labels."""
    agrees = (found.values * labelled.clean > 0).double()
    matched = ((found.values - labelled.given).abs() <= 1e-3).double()
    return Outcome(matched.mean().item(), agrees[~labelled.wrong].mean().item(), agrees[labelled.wrong].mean().item())
