"""Negative controls of notebooks/pang2022/other_attacks_and_remedies.

The findings could have come out either way, and a larger record may turn one. So each control makes its check, by the
way of the page, from an input on which it holds and from one on which it does not, and returns the one that is not the
page's.
"""

import functools

import negative_controls
import numpy as np
import pandas as pd
import torch
from negative_controls import control

from advsmooth import checks
from advsmooth.analysis import common_factor, other_attacks, stealing
from advsmooth.attacks import membership
from advsmooth.attacks.poisoning import sent_to

NAME = "pang2022-other-attacks"


other_way = functools.partial(negative_controls.other_way, "pang2022/other_attacks_and_remedies")


@control(NAME, "gibbs")
def a_thief_without_the_victims_entropy():
    """The divergence in the place of the cross-entropy: zero for a perfect copy."""
    g = np.random.default_rng(0)
    victim = torch.from_numpy(g.normal(size=(20, 10))).log_softmax(1)
    found = stealing.compare(victim, victim)
    return checks.at_most("gibbs", "", measured=found.entropy, bound=found.divergence, sample="", role="method")


@control(NAME, "untrained")
def scores_that_know_the_members():
    g = np.random.default_rng(0)
    found = membership.area(g.normal(1, 1, 200), g.normal(0, 1, 200))
    return checks.agrees(
        "untrained", "", estimate=found.value, standard_error=found.standard_error, exact=0.5, sample="", role="method"
    )


def kinds(shift):
    """Four searched and four hand-made architectures, two seeds; the searched ones lie ``shift`` higher."""
    g = np.random.default_rng(1)
    return pd.DataFrame(
        [
            {"architecture": f"{kind}{k}", "kind": kind, "seed": s, "v": 0.3 * k + 0.1 * g.normal() + shift * first}
            for kind, first in (("searched", 1), ("manual", 0))
            for k in range(4)
            for s in range(2)
        ]
    )


@control(NAME, "theft", "theft-common", "membership", "drop", "backdoor", "backdoor-drop", "copied", "surer")
def kinds_that_do_not_differ(name):
    def make(shift):
        one, other = other_attacks.groups(kinds(shift), "v")
        interval = checks.difference_interval(one, other)
        return checks.above_zero(name, "", estimate=one.mean() - other.mean(), interval=interval, sample="")

    return other_way(name, make, 3.0, -3.0)


@control(NAME, *[f"{column}-{slug}" for column in ("theft", "drop") for slug in ("darts-i", "darts-iii")])
def a_remedy_that_makes_it_worse(name):
    def make(shift):
        rows = [
            {"architecture": a, "seed": s, "v": s + more}
            for a, more in (("DARTS", 0.0), ("changed", shift))
            for s in range(3)
        ]
        t = pd.DataFrame(rows).assign(v=lambda t: t.v + 0.01 * t.index)
        return checks.positive(name, "", differences=other_attacks.against_darts(t, "changed", "v"), sample="")

    return other_way(name, make, 1.0, -1.0)


def architectures(signs, noise=0.2):
    """Ten architectures with one property, which each column shows with its sign."""
    g = np.random.default_rng(2)
    t = pd.DataFrame({"architecture": [f"a{k}" for k in range(10)], "seed": 0})
    return t.assign(**{f"c{i}": s * np.arange(10) + noise * g.normal(size=10) for i, s in enumerate(signs)})


@control(NAME, "same-order", "early-loss", "gradient-variance", "change", "test-accuracy", "gap")
def effects_that_go_against_each_other(name):
    def make(signs):
        t = architectures(signs)
        found = common_factor.rank_correlations(t, ["c0", "c1", "c2"], draws=200).mean(["c0"], ["c1", "c2"])
        return checks.above_zero(name, "", estimate=found.value, interval=found.interval, sample="")

    return other_way(name, make, [1, 1, 1], [1, -1, -1])


@control(NAME, "one-factor")
def effects_that_have_nothing_in_common():
    def make(noise):
        t = architectures([1, 1, 1, 1], noise)
        found = common_factor.first_component(t, ["c0", "c1", "c2", "c3"], draws=200)
        return checks.at_most("one-factor", "", measured=found.p_value, bound=0.05, sample="")

    return other_way("one-factor", make, 0.2, 1e6)


@control(NAME, "no-poison-no-door")
def a_network_that_calls_everything_the_target():
    y = torch.arange(10)
    sent = 100 * sent_to(torch.zeros(10, dtype=torch.int64), y, 0)
    return checks.at_most("no-poison-no-door", "", measured=sent, bound=5.0, sample="")
