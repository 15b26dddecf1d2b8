"""The plane and the curves against single networks trained one by one, and their summaries by hand."""

# ruff: noqa: N806 - W is the paper's own symbol

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from advsmooth import data
from advsmooth.analysis import laziness, movement, width_and_depth
from advsmooth.models import fcn
from advsmooth.training import full_batch, loop, runs
from advsmooth.training.recipe import Optimiser, Recipe
from advsmooth.training.schedules import Drops

DIGITS = data.load("digits")


def test_two_classes_have_unit_inputs_and_labels_of_both_signs():
    x, y = movement.two_classes(DIGITS, 12)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(12, dtype=torch.float64))
    assert set(y.tolist()) == {1.0, -1.0}


def test_a_network_of_the_plane_is_that_network_trained_in_full():
    x, y = movement.two_classes(DIGITS, 6)
    table = movement.plane(x, y, [8, 16], [1.0], [3, 4], schemes=["he"], wide=[32])
    assert table.groupby("m").start.unique().map(list).to_dict() == {8: ["m^-1", "he"], 16: ["m^-1", "he"], 32: ["he"]}
    W, a = fcn.draw_weights(64, 16, 1, 2, fcn.Initialisation(1 / 16, 0, 1 / 16), 4, dtype=torch.float64)
    end = full_batch.fit([W[None], a[None]], x, y, level=movement.level(6))
    (row,) = table.query("m == 16 and start == 'm^-1' and seed == 4").to_dict("records")
    now = {str(k + 1): w[0] for k, w in enumerate(end.weights)}
    for layer, value in laziness.relative_movement({"1": W, "2": a}, now).items():
        assert row[f"movement_{layer}"] == pytest.approx(value.item(), rel=1e-6)
        assert 0 <= row[f"sure_{layer}"] <= row[f"bound_{layer}"] <= row[f"movement_{layer}"]
    assert row["loss"] <= movement.level(6)
    assert row["smallest"] >= movement.LABEL / 2
    assert row["drift"] == pytest.approx(row["explained"], rel=1e-6)
    assert math.isnan(table[table.start == "he"].c.iloc[0])


def test_the_output_scale_enters_the_bound():
    x, y = movement.two_classes(DIGITS, 4)
    W = fcn.draw_weights(64, 8, 1, 2, fcn.Initialisation(0.3, 0, 0.3), 0, networks=1, dtype=torch.float64)
    rows = [movement.against_bound(W, x, y, risk=0.02, alpha=alpha) for alpha in (1.0, 50.0)]
    assert rows[1].bound_1[0] > rows[0].bound_1[0]
    assert rows[1].bound_1[0] <= rows[1].movement_1[0]


def test_curves_are_those_of_the_single_loop_and_are_read_back(tmp_path, monkeypatch):
    cell = movement.Start("m^-1", 2, 8, 60, 4, (5, 6), 10.0, 20)
    table = movement.curves([cell], DIGITS, folder=tmp_path)
    assert table.groupby("seed").epoch.apply(list).tolist() == [[0, 1, 2, 3, 4]] * 2
    images = width_and_depth.normalised(DIGITS.take(60, seed=0), 10.0)
    recipe = Recipe(
        epochs=4,
        batch=20,
        rate=Drops(cell.rate(64, 10), (0.5,), 0.1),
        optimisers=(Optimiser(torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.0}),),
    )
    network = runs.Run("fcn", {"m": 8, "L": 2, "scheme": cell.initialisation(64, 10)}, images, recipe, 6).fresh()
    start = laziness.weights(network)
    loop.train(network, images, recipe, seed=6)
    row = table.query("seed == 6 and epoch == 4").iloc[0]
    for form, column in (("mean", "kappa"), ("ratio", "kappa_ratio")):
        expected = laziness.kappa(start, laziness.weights(network), form=form).item()
        assert row[column] == pytest.approx(expected, rel=1e-3)
    monkeypatch.setattr(movement, "_trained", lambda *_: pytest.fail("made again"))
    assert movement.curves([cell], DIGITS, folder=tmp_path).equals(table)
    with pytest.raises(pytest.fail.Exception, match="made again"):
        movement.curves([cell], DIGITS, slower=2.0, folder=tmp_path)


def test_starts_by_name_and_by_power():
    assert movement.Start("m^-2", 2, 10, 1, 1, (0,)).initialisation(3, 1) == fcn.Initialisation(0.01, 0.01, 0.01)
    assert movement.Start("he", 2, 10, 1, 1, (0,)).initialisation(3, 1) == fcn.he(3, 10, 1)
    with pytest.raises(ValueError, match="unknown"):
        movement.Start("hee", 2, 10, 1, 1, (0,)).initialisation(3, 1)


def test_slopes_are_powers_of_the_width():
    rows = [{"seed": s, "m": m, "v": (s + 1) * m ** (s - 1.5)} for s in range(3) for m in (8, 16, 64)]
    np.testing.assert_allclose(movement.slopes(pd.DataFrame(rows), "v"), [-1.5, -0.5, 0.5])


def test_straightness_of_a_line_and_of_a_jump():
    epochs = np.arange(21)
    line = np.where(epochs <= 10, epochs, 10 + 0.1 * (epochs - 10.0))
    jump = np.where(epochs < 5, 0.0, 10.0)
    tables = [
        pd.DataFrame({"start": "s", "m": m, "seed": 0, "epoch": epochs, "kappa": k}) for m, k in ((1, line), (2, jump))
    ]
    found = movement.straightness(pd.concat(tables), 10).set_index("m")
    assert found.r2[1] == pytest.approx(1)
    assert found.r2[2] < 0.8
    assert (found.before[1], found.after[1]) == pytest.approx((1, 0.1))


def test_the_shape_of_he():
    m = np.array([1.0, 50.0, 1e6, 4e6])
    second = movement.he_shape(m, 50, 2)
    assert second[1] > second[0]
    assert second[1] == pytest.approx(0.5 / 2**0.5)
    assert second[3] / second[2] == pytest.approx(0.5, rel=1e-3)
    first = movement.he_shape(m, 50, 1)
    assert bool((np.diff(first) < 0).all())


def test_the_replay_repeats_itself():
    arguments = {"dataset": "digits", "n": 50, "m": 8, "seed": 0, "norm": 10.0, "points": 4}
    first = movement.replay(**arguments)
    assert first == movement.replay(**arguments)
    assert len(first) == 11
