"""Trained networks against theorem 1: exponents, laws, worst widths and ratios of exact tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from advsmooth import data
from advsmooth.analysis import networks_and_bound as nb
from advsmooth.analysis import width_and_depth
from advsmooth.theory.lazy_bound import LazyBound


def grid(widths=(8, 16, 32, 64), depths=(2, 4, 6), seeds=3, scheme="he"):
    rows = [(scheme, L, m, 10, s) for s in range(seeds) for L in depths for m in widths]
    return pd.DataFrame(rows, columns=["scheme", "L", "m", "n", "seed"])


def test_exponents_are_those_of_an_exact_law():
    rows = grid()
    rows = rows.assign(log=0.3 * np.log(rows.m) * (1 + rows.seed) + 1.7 * np.log(rows.L))
    assert np.allclose(nb.exponents(rows, "m"), [0.3, 0.6, 0.9])
    assert np.allclose(nb.exponents(rows, "L"), 1.7)


@pytest.mark.parametrize(("law", "sign"), [(np.log, 1), (lambda depth: 0.3 * depth, -1)])
def test_the_law_that_made_the_curve_fits_it_better(law, sign):
    rows = grid()
    found = nb.polynomial_or_exponential(rows.assign(log=law(rows.L) + rows.seed))
    assert len(found) == 3
    assert (sign * found > 0).all()
    assert nb.polynomial_or_exponential(rows[rows["L"] < 6].assign(log=0.0)).empty  # two depths say nothing


def test_only_networks_wider_than_the_cube_of_the_depth_are_beyond():
    assert sorted(set(zip(*nb.beyond(grid())[["L", "m"]].T.to_numpy(), strict=True))) == [
        (2, 8), (2, 16), (2, 32), (2, 64), (4, 64),
    ]  # fmt: skip


def test_worst_widths_are_where_the_curves_are_largest():
    rows = grid(widths=(8, 16, 32, 64, 128), seeds=5)
    top = rows["L"].map({2: 8, 4: 32, 6: 128})
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(rows))
    found = nb.worst_widths(rows.assign(log=noise - 0.3 * np.log(rows.m / top).abs()), draws=200, seed=0)
    assert list(found.m) == [8, 32, 128]
    assert list(found.low) == list(found.high) == [8, 32, 128]
    assert list(found.narrowest) == [8, 8, 8]
    assert nb.worst_widths(rows[rows.m < 32].assign(log=0.0), draws=100, seed=0).empty


def test_a_cell_is_compared_with_the_bound_of_its_own_scheme():
    rows = grid(scheme="lecun").assign(log=lambda r: np.log(0.5) + 0.1 * (r.seed - 1))
    found = nb.against_bound(rows, d=20, o=10, constant=2.0).set_index(["L", "m"])
    init = width_and_depth.Cell("lecun", 4, 32, 1, 1, (0,)).initialisation(20, 10)
    bound = LazyBound(init, 32, 4)
    assert found.stability[4, 32] == pytest.approx(0.5)
    assert found.ratio[4, 32] == pytest.approx(2 * bound.value / 0.5)
    assert found.limit_ratio[4, 32] == pytest.approx(0.5 / (2 * bound.initial))


def test_networks_are_those_of_the_sweep():
    train, test = data.load("digits"), data.load("digits", "test").take(20, seed=0)
    cell = width_and_depth.Cell("he", 2, 8, 100, 2, (3, 4), norm=5.0)
    images, nets = nb.networks(cell, train)
    table = width_and_depth.measured(cell, train, test).query("epoch == 2").set_index("seed")
    for seed, net in zip(cell.seeds, nets, strict=True):
        with torch.no_grad():
            assert functional.cross_entropy(net(images.x), images.y).item() == pytest.approx(table.loss[seed], rel=1e-4)
