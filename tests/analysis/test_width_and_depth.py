"""Cells of the sweep over width, depth and initialisation: trained as single networks are, cached, and compared."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
import torch

from advsmooth import data, settings
from advsmooth.analysis import laziness, stability
from advsmooth.analysis import width_and_depth as wd
from advsmooth.analysis.width_and_depth import Cell
from advsmooth.theory.initialisation import Response
from advsmooth.training import loop, runs
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Constant

TRAIN, TEST = data.load("digits"), data.load("digits", "test").take(60, seed=0)


def test_a_cell_has_the_numbers_of_networks_trained_one_by_one():
    cell = Cell("he", 3, 8, 150, 2, (4, 7), norm=5.0)
    table = wd.measured(cell, TRAIN, TEST)
    assert list(table.epoch) == [0, 1, 2] * 2
    images, probe = wd.normalised(TRAIN.take(150, seed=0), 5.0), wd.normalised(TEST, 5.0)
    recipe = Recipe(
        epochs=2,
        batch=100,
        rate=Constant(cell.rate(64, 10)),
        optimisers=(Optimiser(torch.optim.SGD, {"momentum": wd.MOMENTUM, "weight_decay": 0.0}),),
    )
    for seed in cell.seeds:
        run = runs.Run("fcn", {"m": 8, "L": 3, "scheme": "he"}, images, recipe, seed)
        model = run.fresh()
        first = laziness.weights(model)
        loop.train(model, images, recipe, seed=seed)
        found = stability.perturbation_stability(model, probe.x, 1.0, generator=settings.generator(wd._PERTURBATIONS))
        row = table[(table.seed == seed) & (table.epoch == 2)].iloc[0]
        assert row.stability == pytest.approx(found.mean, rel=1e-4)  # float32, summed in another order
        assert row.kappa == pytest.approx(laziness.kappa(first, laziness.weights(model)).item(), rel=1e-4)
        assert row.accuracy == pytest.approx((model(images.x).argmax(1) == images.y).float().mean().item())


def test_a_sweep_that_was_killed_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    cells = [Cell(s, 2, 4, 100, 1, (0, 1)) for s in ("he", "lecun")]
    whole = wd.sweep(cells, TRAIN, TEST, folder=None)
    wd.sweep(cells[:1], TRAIN, TEST, folder=tmp_path)
    said = io.StringIO()
    pd.testing.assert_frame_equal(wd.sweep(cells, TRAIN, TEST, folder=tmp_path, progress=said), whole)
    assert "[1/1] cell=Cell(scheme='lecun'" in said.getvalue()
    monkeypatch.setattr(wd, "_trained", lambda *_: pytest.fail("made again"))
    pd.testing.assert_frame_equal(wd.sweep(cells, TRAIN, TEST, folder=tmp_path), whole)
    with pytest.raises(pytest.fail.Exception, match="made again"):  # the control: another test set
        wd.sweep(cells, TRAIN, TEST.take(50), folder=tmp_path)


def test_fresh_networks_have_the_mean_of_the_closed_form():
    cell = Cell("ntk", 3, 16, 1, 1, tuple(range(300)))
    found = wd.before_training(cell, TEST, 10)
    exact = Response(cell.initialisation(64, 10), 16, 10, 3).stability(64)
    assert abs(found.mean() - exact) < 4 * found.std() / 300**0.5
    narrow = cell.initialisation(64, 10).beta_1 * 0.9  # and 10 % less would be noticed
    assert abs(found.mean() - exact * narrow / cell.initialisation(64, 10).beta_1) > 4 * found.std() / 300**0.5


@pytest.mark.parametrize("seed", [0, 1, wd._PERTURBATIONS])
def test_no_seed_in_use_draws_perturbations_along_its_own_weights(seed):
    """A wide fresh network lies within a few per cent of the closed form, unless it shares its seed with them."""
    cell = Cell("he", 2, 256, 1, 1, (seed,))
    found = wd.before_training(cell, data.load("digits", "test"), 10).iloc[0]
    exact = Response(cell.initialisation(64, 10), 256, 10, 2).stability(64)
    assert (abs(found / exact - 1) < 0.1) == (seed != wd._PERTURBATIONS)


def test_large_networks_get_fewer_seeds_and_never_fewer_images():
    cells = wd.grid([8, 512, 1024], [2, 10], list(range(10)), n=1000, epochs=20, long=50, d=784, o=10, norm=10.0)
    by = {(c.scheme, c.L, c.m): c for c in cells}
    assert len(cells) == 3 * 3 * 2 + 3
    assert {c.n for c in cells} == {1000}
    assert [len(by["lecun", 10, m].seeds) for m in (8, 512, 1024)] == [10, 3, 3]
    assert [len(by["lecun", 2, m].seeds) for m in (8, 512, 1024)] == [10, 5, 5]
    assert [by[s, 2, 1024].epochs for s in ("he", "lecun", "ntk", "non-lazy")] == [50, 20, 20, 50]
    assert wd.shapes(pd.DataFrame(columns=["log", "m", "L"]), "m", draws=100, seed=0) == {}


def table(rows):
    return pd.DataFrame(rows, columns=["scheme", "L", "m", "n", "seed", "epoch", "stability", "loss", "accuracy"])


def test_cells_count_only_where_enough_networks_learned():
    rows = [
        ("he", 2, m, 10, s, 5, 1.0, 0.1, 0.95 if s < k else 0.5)
        for m, k in ((8, 2), (16, 3), (32, 5))
        for s in range(5)
    ]
    kept = wd.counted(table(rows), 5)
    assert kept.groupby("m").size().to_dict() == {16: 3, 32: 5}
    assert (kept.log == 0).all()


def test_slopes_are_those_of_an_exact_law():
    rows = [
        ("he", L, m, 10, s, 5, m ** (0.1 * (s + 1)) * math.exp(0.3 * L), 0.1, 1.0)
        for L in (2, 4, 6)
        for m in (8, 32)
        for s in range(4)
    ]
    kept = wd.counted(table(rows), 5)
    assert np.allclose(wd.slopes(kept, "m"), [0.1 * (s + 1) * math.log(2) for s in range(4)])
    assert np.allclose(wd.slopes(kept, "L"), 0.6)


def test_a_network_at_a_loss_is_interpolated_along_its_training():
    rows = [("he", 2, 8, 10, 0, e, math.exp(-math.log(loss)), loss, 1.0) for e, loss in enumerate((2.0, 1.0, 0.1))]
    rows += [("he", 2, 8, 10, 1, e, 1.0, 2.0, 1.0) for e in range(3)]  # never learns
    found = wd.at_loss(table(rows), 0.3)
    assert list(found.seed) == [0]
    assert found.log.iloc[0] == pytest.approx(-math.log(0.3))  # log P = -log loss is reproduced exactly


def test_steps_are_told_apart_by_the_number_of_weights():
    rows = table(
        [("he", 2, m, 100, s, 5, p, 0.1, 1.0) for m, p in ((8, 1.0), (16, math.e), (32, 1.0)) for s in range(3)]
    )
    kept = wd.counted(rows.assign(weights=rows.m * 5), 5)
    assert np.allclose(wd.steps(kept, below=True), 0)  # 40 and 80 weights: up by 1, then down by 1
    assert np.allclose(wd.steps(kept.assign(weights=kept.m * 7), below=True), 1)
    assert np.allclose(wd.steps(kept.assign(weights=kept.m * 7), below=False), -1)


def test_the_replay_is_the_first_epoch_of_the_cell():
    cell = Cell("lecun", 2, 8, 100, 1, (3,))
    again = wd.replay("lecun", 2, 8, 100, 3, 10.0, "digits")
    rows = wd.measured(cell, TRAIN, data.load("digits", "test").take(360, seed=0)).set_index("epoch")
    assert again == {f"{k} {e}": rows[k][e] for k in ("stability", "kappa", "loss") for e in (0, 1)}
