"""Detecting attacks by the norm of the model's gradient (Finlay et al., section 7).

An input is rejected if its score, ``|grad f(x)|_{2,inf}`` (:func:`advsmooth.analysis.input_gradient.jacobian_norms`),
is at least ``c`` (equation 7.1). The threshold is set on clean inputs to a rate of false positives; the receiver
operating characteristic shows all thresholds at once, and its area is the probability that an attacked input scores
higher than a clean one.

Scores are tensors ``(n,)`` of any floating type; larger means more suspicious.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

FALSE_POSITIVES = 0.05
"""The rate of false positives of Finlay et al."""


def threshold(clean: Tensor, false_positives: float = FALSE_POSITIVES) -> float:
    """The ``c`` of (7.1): a fresh clean score reaches it with probability at most ``false_positives``.

    It is the ``k``-th largest of the ``n`` clean scores, ``k`` the integer part of ``false_positives (n + 1)``: of
    ``n + 1`` exchangeable scores without ties, the last is among the ``k`` largest with probability ``k / (n + 1)``.

    Args:
        clean: scores of clean inputs that are not used to judge the detector.
        false_positives: the rate, between 0 and 1.

    Raises:
        ValueError: for another rate, or too few scores for it.
    """
    scores = _checked("clean", clean)
    k = int(false_positives * (len(scores) + 1)) if 0 < false_positives < 1 else 0
    if k < 1:
        raise ValueError(
            f"false_positives={false_positives!r} with {len(scores)} clean scores: allowed is a rate between 0 and 1, "
            f"at least 1 / (n + 1)"
        )
    return scores.sort(descending=True).values[k - 1].item()


def roc(clean: Tensor, attacked: Tensor) -> pd.DataFrame:
    """The receiver operating characteristic: rates of rejection at every threshold that makes a difference.

    Returns:
        One row per threshold, falling from infinity: ``threshold, false_positive, true_positive`` (shares with score at
        least the threshold).
    """
    a, b = _checked("clean", clean), _checked("attacked", attacked)
    levels = torch.cat([a, b]).unique().flip(0)
    first, second = (_shares_at_least(scores, levels) for scores in (a, b))
    table = {"threshold": levels, "false_positive": first, "true_positive": second}
    start = pd.DataFrame({"threshold": [math.inf], "false_positive": [0.0], "true_positive": [0.0]})
    return pd.concat([start, pd.DataFrame({k: v.numpy() for k, v in table.items()})], ignore_index=True)


def _shares_at_least(scores: Tensor, levels: Tensor) -> Tensor:
    return 1 - torch.searchsorted(scores.sort().values, levels).double() / len(scores)


@dataclass(frozen=True)
class Area:
    """Area under the receiver operating characteristic.

    Attributes:
        value: the probability that an attacked input scores higher than a clean one, ties counting half.
        error: its standard error.
        low: lower end of the confidence interval.
        high: upper end.
        confidence: of the interval.
    """

    value: float
    error: float
    low: float
    high: float
    confidence: float


def auc(clean: Tensor, attacked: Tensor, *, paired: bool = False, confidence: float = 0.95) -> Area:
    """Area under the curve with the confidence interval of DeLong et al. 1988.

    The interval is that of the normal law for the log-odds of the area, which keeps it within [0, 1]. Where the samples
    do not overlap (area 0 or 1) the estimated error is 0 and says nothing. The interval then ends at the area for which
    ``k`` independent pairs are all ordered alike with probability ``1 - confidence``; there are ``k = min(m, n)`` such
    pairs, half as many in paired samples.

    Args:
        clean: scores of clean inputs, ``(m,)``, at least two.
        attacked: scores of attacked inputs, ``(n,)``, at least two.
        paired: whether ``attacked[i]`` is made from the same image as ``clean[i]``. Then images, not scores, are the
            independent units (Obuchowski 1997), and the error takes the covariance of the two into account.
        confidence: of the interval.

    Raises:
        ValueError: for fewer than two scores, different numbers of paired ones, or a confidence outside (0, 1).
    """
    a, b = _checked("clean", clean), _checked("attacked", attacked)
    if min(len(a), len(b)) < 2 or (paired and len(a) != len(b)) or not 0 < confidence < 1:
        raise ValueError(
            f"{len(a)} clean and {len(b)} attacked scores, paired={paired}, confidence={confidence!r}: allowed is "
            "at least 2 of each, as many of each if paired, and a confidence between 0 and 1"
        )
    # The share of the other sample that each score beats (DeLong's structural components), ties counting half.
    of_attacked = _share_below(b, a)
    of_clean = 1 - _share_below(a, b)
    value = of_attacked.mean().item()
    if paired:
        variance = (of_attacked + of_clean).var().item() / len(a)
    else:
        variance = of_attacked.var().item() / len(b) + of_clean.var().item() / len(a)
    pairs = len(a) // 2 if paired else min(len(a), len(b))
    low, high = _interval(value, math.sqrt(variance), pairs, confidence)
    return Area(value, math.sqrt(variance), low, high, confidence)


def _share_below(scores: Tensor, others: Tensor) -> Tensor:
    """For each score the share of ``others`` below it, ties counting half."""
    ordered = others.sort().values
    below = torch.searchsorted(ordered, scores) + torch.searchsorted(ordered, scores, right=True)
    return below.double() / (2 * len(others))


def _interval(value: float, error: float, pairs: int, confidence: float) -> tuple[float, float]:
    if value in (0.0, 1.0):
        reach = 1 - (1 - confidence) ** (1 / pairs)
        return (0.0, reach) if value == 0.0 else (1.0 - reach, 1.0)
    half = stats.norm.ppf((1 + confidence) / 2) * error / (value * (1 - value))
    odds = math.log(value / (1 - value))
    return 1 / (1 + math.exp(half - odds)), 1 / (1 + math.exp(-half - odds))


def detection_rates(sources: Mapping[str, Tensor], c: float, *, confidence: float = 0.95) -> pd.DataFrame:
    """How often each kind of input is rejected at a threshold (table 6).

    Args:
        sources: name -> scores, such as ``clean``, ``PGD``, ``evasive CW``.
        c: the threshold; a score of at least ``c`` is rejected.
        confidence: of the interval (Clopper and Pearson 1934, exact).

    Returns:
        One row per source: ``source, n, rejected, low, high``, shares from 0 to 1.
    """
    rows = []
    for name, values in sources.items():
        scores = _checked(name, values)
        rejected = int((scores >= c).sum())
        interval = stats.binomtest(rejected, len(scores)).proportion_ci(confidence, method="exact")
        rows.append((name, len(scores), rejected / len(scores), float(interval.low), float(interval.high)))
    return pd.DataFrame(rows, columns=["source", "n", "rejected", "low", "high"])


def _checked(name: str, scores: Tensor) -> Tensor:
    scores = scores.detach().double().cpu()
    if scores.ndim != 1 or len(scores) == 0 or not bool(np.isfinite(scores.numpy()).all()):
        raise ValueError(f"scores {name!r} of shape {tuple(scores.shape)}: allowed is (n,), n >= 1, all finite")
    return scores
