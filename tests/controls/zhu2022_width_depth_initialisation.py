"""Negative controls of notebooks/zhu2022/width_depth_initialisation.

Most checks of the page speak of trends that could have come out either way, and the record of a larger run may turn
one. So each control has an input on which its check holds and one on which it fails; both are tried, and the one whose
outcome is not the page's is returned.
"""

import numpy as np
import pandas as pd
from negative_controls import control, other_way

from advsmooth import checks, data
from advsmooth.analysis import phase_transition, width_and_depth
from advsmooth.analysis.width_and_depth import Cell
from advsmooth.theory.initialisation import Response


def shape(levels):
    """The shape of a curve whose points scatter a little around the given levels."""
    g = np.random.default_rng(0)
    values = [level + 0.01 * g.standard_normal(5) for level in levels]
    return phase_transition.shape(values, draws=200, generator=np.random.default_rng(1)).outcome


HUMP, RISE = [0.0, 0.3, 0.5, 0.2], [0.0, 0.3, 0.5, 0.6]


def curve_shapes(claim_id, name):
    """A ridge against a curve that only rises."""

    def make(levels):
        return checks.every(name, "", cases=[shape(levels) == phase_transition.UP_DOWN], role="trend", sample="")

    return other_way(claim_id, name, make, HUMP, RISE)


for claim_, names in {
    "zhu2022-obs-phase-width": [f"{s}-up-then-down" for s in ("he", "lecun", "ntk")],
    "zhu2022-fig4a": ["each-depth"],
    "zhu2022-fig5a": ["he-each-depth"],
    "zhu2022-fig5b": ["lecun-each-depth"],
    "zhu2022-obs-conclusion-depth": ["some-initialisation", "some-at-equal-loss"],
}.items():
    for name_ in names:
        control(claim_, name_)(lambda c=claim_, n=name_: curve_shapes(c, n))


def networks(slope, along):
    """Three seeds of a small grid whose logarithm grows by ``slope`` with every step along one axis."""
    rows = [
        {"scheme": "he", "n": 100, "seed": s, "m": m, "L": L, "step": i if along == "m" else L / 2}
        for s in range(3)
        for L in (2, 4, 6)
        for i, m in enumerate((8, 16, 32))
    ]
    return pd.DataFrame(rows).assign(log=lambda t: slope * t.step + 0.01 * t.seed * t.step)


def tendency(claim_id, name, along):
    """Networks that tend one way against networks that tend the other."""

    def make(slope):
        by_seed = width_and_depth.slopes(networks(slope, along), along)
        return checks.positive(name, "", differences=by_seed.to_numpy(), sample="")

    return other_way(claim_id, name, make, 0.2, -0.2)


for claim_, along_, names in (
    (
        "zhu2022-obs-phase-width",
        "m",
        ["flattens", "rises-while-under-parameterised", "here-equal-loss"]
        + [f"{s}-equal-loss" for s in ("he", "lecun", "ntk")],
    ),
    ("zhu2022-fig4b", "m", ["non-lazy-smaller", "non-lazy-equal-loss"]),
    ("zhu2022-fig5a", "L", ["he-depth", "he-start", "he-equal-loss", "here-he"]),
    ("zhu2022-fig5b", "L", ["lecun-depth", "lecun-start", "lecun-equal-loss", "here-lecun"]),
    ("zhu2022-fig10", "L", ["ntk-equal-loss"]),
):
    for name_ in names:
        control(claim_, name_)(lambda c=claim_, n=name_, a=along_: tendency(c, n, a))


def cases(claim_id, name):
    """One case among several that is otherwise."""
    return other_way(
        claim_id, name, lambda c: checks.every(name, "", cases=c, role="trend", sample=""), [True, True], [True, False]
    )


for claim_, names in {
    "zhu2022-obs-phase-width": ["no-hump-at-equal-loss"],
    "zhu2022-fig4b": ["at-each-width", "moves-further"],
    "zhu2022-fig10": ["ntk-like-he"],
}.items():
    for name_ in names:
        control(claim_, name_)(lambda c=claim_, n=name_: cases(c, n))


@control("zhu2022-fig10", "two-layers-differ")
def shapes_of_two_curves():
    def make(pair):
        outcomes = [shape(levels) for levels in pair]
        return checks.every("two-layers-differ", "", cases=[outcomes[0] != outcomes[1]], role="trend", sample="")

    return other_way("zhu2022-fig10", "two-layers-differ", make, (HUMP, RISE), (RISE, RISE))


@control("zhu2022-fig4b", "non-lazy-falls")
def a_curve_that_turns():
    def make(curve):
        rho = pd.Series(curve).corr(pd.Series(range(len(curve))), method="spearman")
        return checks.at_most("non-lazy-falls", "", measured=rho, bound=-0.9, role="trend", sample="")

    return other_way("zhu2022-fig4b", "non-lazy-falls", make, [4, 3, 2, 1], [1, 3, 2, 0.5])


@control("zhu2022-obs-phase-width", "start")
def networks_of_another_start():
    """LeCun networks held against the closed form of He."""
    test = data.load("digits", "test").take(50, seed=0)
    fresh = width_and_depth.before_training(Cell("lecun", 4, 16, 1, 1, tuple(range(20))), test, 10)
    return checks.agrees(
        "start",
        "",
        estimate=fresh.mean(),
        standard_error=fresh.std() / 20**0.5,
        exact=Response(Cell("he", 4, 16, 1, 1, (0,)).initialisation(64, 10), 16, 10, 4).stability(64),
        sample="",
        role="method",
    )
