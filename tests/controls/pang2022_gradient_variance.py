"""Negative controls of notebooks/pang2022/gradient_variance.

Directions may turn when a record is renewed. Their controls are made from networks that differ, or do not, in the
opposite way to what the page found, and judged by the functions of the page.
"""

import copy
import functools

import negative_controls
import numpy as np
import pandas as pd
import sympy as sp
import torch
from negative_controls import control
from torch import nn

from advsmooth import checks, data, settings
from advsmooth.analysis import roughness, variance
from advsmooth.analysis import searched_study as study
from advsmooth.theory import clipped_gradients as theory
from advsmooth.training import searched

CLAIM = "pang2022-obs-gradvar"


other_way = functools.partial(negative_controls.other_way, "pang2022/gradient_variance")


def networks(gap):
    """Three architectures of each kind, three seeds: the manual ones larger by ``gap``, and a little scatter."""
    index = pd.MultiIndex.from_tuples(
        [(f"{kind} {k}", kind, seed) for kind in ("searched", "manual") for k in range(3) for seed in range(3)],
        names=study.NETWORK,
    )
    return pd.Series([gap * (kind == "manual") + 0.1 * int(a[-1]) + 0.01 * s for a, kind, s in index], index=index)


def judged(name, found, role="trend"):
    return checks.above_zero(name, "", estimate=found.value, interval=(found.low, found.high), sample="", role=role)


@control(CLAIM, "training-ratio", "artifact-ratio", "factor-here")
def kinds_that_differ_the_other_way(name):
    return other_way(name, lambda gap: judged(name, study.difference(networks(gap))), 2.0, -2.0)


@control(CLAIM, "training-grows", "artifact-grows", "here-grows", "he-raises")
def networks_that_change_the_other_way(name):
    def make(change):
        values = networks(0) + change
        return judged(name, study.mean_over_architectures(values[values.index.get_level_values("kind") == "searched"]))

    return other_way(name, make, 2.0, -2.0)


@control(CLAIM, "training-manual-unchanged", "artifact-manual-unchanged")
def a_change_beside_the_spread(name):
    """Runs that spread by a factor of e; their mean changes by half of that, or by three times as much."""

    def make(change):
        spread = pd.Series(1.0, index=range(3))
        return checks.at_most(name, "", measured=change * spread, bound=spread, sample="", role="trend")

    return other_way(name, make, 0.5, 3.0)


@control(CLAIM, "low-is-reliable")
def reliability_that_follows_the_variance():
    def make(sign):
        level = np.repeat(np.arange(8.0), 2)
        index = pd.MultiIndex.from_product([range(8), ["manual"], range(2)], names=study.NETWORK)
        table = pd.DataFrame({"less": -level, "reliability": sign * level}, index=index)
        return judged("low-is-reliable", study.rank_correlation(table, "less", "reliability"))

    return other_way("low-is-reliable", make, -1, 1)


@control(CLAIM, "below-the-ceiling")
def gradients_that_are_not_clipped():
    rows = 3 * torch.randn(20, 50, generator=settings.generator(0), dtype=torch.float64)
    seen = variance.Welford(50)
    seen.update(rows)
    bound = theory.largest_sum_of_deviations(50, variance.ARTIFACT_CLIP, 20)
    return checks.at_most("below-the-ceiling", "", measured=seen.spread().sum_of_deviations(), bound=bound, sample="")


@control(CLAIM, "lagrange")
def one_pair_left_out():
    s = sp.symbols("s1:5", nonnegative=True)
    rest = sum((a - b) ** 2 for k, a in enumerate(s) for b in s[k + 1 :]) - (s[0] - s[3]) ** 2
    return checks.identity("lagrange", "", left=4 * sum(v**2 for v in s) - sum(s) ** 2, right=rest)


@control(CLAIM, "gaussian-artifact")
def without_the_bias():
    """The sum of the true deviations, as if twenty numbers estimated a standard deviation without bias."""
    g, found = settings.generator(0), []
    for sample in torch.randn(400, 20, 1000, generator=g, dtype=torch.float64):
        seen = variance.Welford(1000)
        seen.update(sample)
        found.append(seen.spread().sum_of_deviations())
    error = np.std(found, ddof=1) / 20
    return checks.agrees(
        "gaussian-artifact", "", estimate=np.mean(found), standard_error=error, exact=1000.0, sample=""
    )


@control(CLAIM, "gaussian-clipped")
def the_closed_form_of_another_clip():
    rows = variance.clipped(2 * torch.randn(40_000, 10, generator=settings.generator(0), dtype=torch.float64), 5.0)
    squares = rows.square().sum(1)
    return checks.agrees(
        "gaussian-clipped",
        "",
        estimate=squares.mean().item(),
        standard_error=squares.std().item() / 200,
        exact=theory.sum_of_deviations(10, 2.0, 5.5) ** 2 / 10,
        sample="",
    )


DIGITS = data.load("digits", "train").take(24, seed=0)


@control(CLAIM, "same-function")
def a_convolution_shrunk_behind_the_back_of_its_batch_norm():
    """Without its share of the constant, batch norm no longer undoes a convolution that is a thousand times smaller."""
    network = searched.run("DARTS", DIGITS, epochs=1, parameters=15_000, seed=0).fresh()
    other = copy.deepcopy(network)
    for convolution, _ in roughness.normalised_pairs(other):
        with torch.no_grad():
            convolution.weight.mul_(1e-3)
    with torch.no_grad():
        logits = [model(DIGITS.x) for model in (network, other)]
    return checks.equal("same-function", "", measured=logits[1], expected=logits[0], atol=1e-3, sample="")


@control(CLAIM, "loss-scaled")
def a_variance_that_grows_with_the_factor_itself():
    network = searched.run("LeNet", DIGITS, epochs=1, parameters=15_000, seed=0).fresh()

    def total(factor):
        return variance.over_batches(
            network,
            DIGITS.x,
            DIGITS.y,
            size=8,
            draws=4,
            generator=settings.generator(0),
            loss=lambda logits, y: factor * nn.functional.cross_entropy(logits, y, reduction="none"),
        ).unbiased_total()

    return checks.equal("loss-scaled", "", measured=total(10.0) / total(1.0) / 10, expected=1.0, atol=1e-3, sample="")
