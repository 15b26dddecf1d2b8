"""Kinds of network beyond the fully connected: planned, trained and measured as single networks are, and compared."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from advsmooth import data, settings
from advsmooth.analysis import architectures as ar
from advsmooth.analysis import early_training, laziness, stability
from advsmooth.analysis import width_and_depth as wd
from advsmooth.analysis.architectures import Cell
from advsmooth.models import registry
from advsmooth.training import loop

TRAIN, TEST = data.load("digits"), data.load("digits", "test").take(40, seed=0)
CELLS = [
    Cell("fcn", 3, 8, 100, 2, (4, 7)),
    Cell("cnn", 3, 4, 100, 2, (4, 7)),
    Cell("resnet", 8, 2, 100, 2, (4, 7), "drops", 0.1),
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.kind)
def test_a_cell_has_the_numbers_of_networks_trained_one_by_one(cell):
    table = ar.measured(cell, TRAIN, TEST)
    assert list(table.epoch) == [0, 1, 2] * 2
    assert set(table.scheme) == {cell.kind}
    assert set(table.d) == {64}
    probe = ar.of_norm(TEST, 10.0)
    for run in cell.planned(TRAIN):
        model = run.fresh()
        first = laziness.weights(model)
        loop.train(model, run.data, run.recipe, seed=run.seed)
        model.eval()
        logits = model(probe.x)
        found = stability.perturbation_stability(model, probe.x, 1.0, generator=settings.generator(wd._PERTURBATIONS))
        row = table[(table.seed == run.seed) & (table.epoch == 2)].iloc[0]
        assert row.stability == pytest.approx(found.mean, rel=1e-3)  # float32, in another order
        assert row.kappa == pytest.approx(laziness.kappa(first, laziness.weights(model)).item(), rel=1e-3)
        assert row.test_loss == pytest.approx(functional.cross_entropy(logits, probe.y).item(), rel=1e-3)
        assert row.output == pytest.approx(logits.norm(dim=1).mean().item() / 10, rel=1e-3)


def test_a_cell_is_cached(tmp_path, monkeypatch):
    cell = Cell("cnn", 2, 2, 100, 1, (0,))
    made = ar.sweep([cell], TRAIN, TEST, folder=tmp_path)
    monkeypatch.setattr(ar, "_trained", lambda *_: pytest.fail("made again"))
    pd.testing.assert_frame_equal(ar.sweep([cell], TRAIN, TEST, folder=tmp_path), made)
    others = [
        (Cell("cnn", 2, 2, 100, 1, (0,), start=0.5), TRAIN, TEST),
        (cell, ar.averaged(TRAIN, 2), TEST),
        (cell, TRAIN, TEST.take(20)),
    ]
    for other, train, test in others:
        with pytest.raises(pytest.fail.Exception, match="made again"):
            ar.sweep([other], train, test, folder=tmp_path)


def test_a_small_start_is_he_times_a_factor():
    he, small = (Cell("resnet", 8, 2, 100, 1, (3,), start=c).planned(TRAIN)[0].fresh() for c in (1.0, 0.1))
    for w, v in zip(he.parameters(), small.parameters(), strict=True):
        assert torch.allclose((0.1 if w.ndim > 1 else 1) * w, v)


def test_images_keep_their_shape_and_mean():
    half = ar.averaged(TRAIN, 2)
    assert half.shape == (1, 4, 4)
    assert torch.allclose(half.x.mean((1, 2, 3)), TRAIN.x.mean((1, 2, 3)))
    assert ar.averaged(TRAIN, 1) is TRAIN
    unit = ar.of_norm(TRAIN, 3.0)
    assert unit.shape == TRAIN.shape
    assert torch.allclose(unit.x.flatten(1).norm(dim=1), torch.tensor(3.0))
    assert ar.averaged(TRAIN, 3).shape == (1, 2, 2)  # of the 6x6 pixels in the middle
    with pytest.raises(data.DataError, match="side=0: allowed is 1 to 8"):
        ar.averaged(TRAIN, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "vit"}, "kind='vit': allowed is fcn, cnn, resnet"),
        ({"schedule": "cosine"}, "schedule='cosine': allowed is constant, drops, halving"),
        ({"start": 0.0}, "start=0.0: allowed is a positive number"),
    ],
)
def test_bad_cells_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Cell(**({"kind": "fcn", "L": 2, "m": 2, "n": 100, "epochs": 1, "seeds": (0,)} | arguments))


SIZES = {
    "n": 100,
    "epochs": 2,
    "residual_epochs": 1,
    "settle": ((32, 4),),
    "widths": [4, 8],
    "depths": [2, 3],
    "residual_widths": [2],
    "residual_depths": [8, 14],
    "lazy": (2, 14),
    "starts": [0.1],
    "batch": 10,
    "long_batch": 5,
}


def test_all_cells_of_the_page_are_different():
    cells = ar.cells([0, 1, 2], long=60, **SIZES)
    assert len(set(cells)) == len(cells) == 2 + 2 * 4 + 3
    assert [c.epochs for c in cells[:2]] == [60, 60]
    assert {c.start for c in cells if c.kind == "resnet" and c.L == 14} == {1.0, 0.1}
    with pytest.raises(ValueError, match="long=2: allowed is more than the 2 epochs"):
        ar.cells([0], long=2, **SIZES)


def test_the_networks_of_the_gpu_scale_take_the_same_path():
    """ResNet-110 from a small start, and colour images: as at the scale that needs a GPU, with few small images."""
    x = torch.rand(60, 3, 8, 8, generator=settings.generator(0))
    y = torch.arange(60) % 4
    colour = data.from_arrays("colour", "train", x, y, list("abcd"), "drawn")
    for cell in (Cell("resnet", 110, 2, 60, 1, (0,), "drops", 0.1, batch=30), Cell("cnn", 4, 4, 60, 1, (0,), batch=30)):
        table = ar.measured(cell, colour, colour.take(20))
        assert np.isfinite(table[list(ar.MEASURED)]).all(axis=None)
        assert set(table.d) == {192}


def test_the_schedule_that_halves():
    schedule = ar.SCHEDULES["halving"](0.08)
    assert [schedule(t, 200) for t in (0, 19, 20, 29, 30, 50)] == pytest.approx([0.08, 0.08, 0.04, 0.04, 0.02, 0.005])
    assert schedule(199, 200) == pytest.approx(0.08 / 2**18)


def test_ratios_compare_kinds_at_depths_both_have():
    rows = [
        (k, L, m, s, a * L) for k, a in (("fcn", 1), ("cnn", 2)) for L in (2, 4, 6) for m in (8, 16) for s in (0, 1)
    ]
    rows = pd.DataFrame(rows, columns=["scheme", "L", "m", "seed", "log"])
    assert np.allclose(ar.ratios(rows, ["fcn", "cnn"]), [[4, 8], [4, 8]])
    fewer = rows[~((rows.scheme == "cnn") & (rows.L == 2) & (rows.m == 8))]
    assert np.allclose(ar.ratios(fewer, ["fcn", "cnn"]), [[3, 6], [3, 6]])  # at width 8 from 4 to 6
    alone = rows[(rows.scheme == "fcn") | (rows.L == 2)]
    assert ar.ratios(alone, ["fcn", "cnn"]).empty


@pytest.mark.parametrize("cell", CELLS[:2], ids=lambda c: c.kind)
def test_the_outputs_bound_the_stability_from_below(cell):
    network = cell.planned(TRAIN)[0].fresh().double()
    x = ar.of_norm(TEST, 10.0).x.double()
    jacobians = ar.jacobians(network, x)
    assert torch.allclose((jacobians @ x.flatten(1)[:, :, None])[:, :, 0], network(x).detach(), atol=1e-10)
    many = stability.perturbation_stability(network, x, 1.0, generator=settings.generator(1), perturbations=100)
    least = early_training.direction_mean(64) * (network(x).norm(dim=1) / 10).mean().item()
    assert least < many.mean + 4 * many.mean_error


def test_the_bound_is_reached_by_a_linear_map_of_rank_one_along_its_input():
    x = TEST.x[:1].double()
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False)).double()
    with torch.no_grad():
        network[1].weight.copy_(x.flatten(1))
    two = torch.cat([x, x])
    found = stability.perturbation_stability(network, two, 1.0, generator=settings.generator(0), perturbations=20_000)
    least = early_training.direction_mean(64) * network(x).abs().item() / x.norm().item()
    assert found.mean == pytest.approx(least, rel=0.02)


def test_multiplications_by_hand():
    network = registry.build("cnn", in_shape=(1, 8, 8), classes=10, seed=0, m=4, L=2)
    assert ar.multiplications(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten()), (1, 8, 8)) == 9 * 4 * 64
    assert ar.multiplications(nn.Linear(7, 3), (7,)) == 21
    assert ar.multiplications(network, (1, 8, 8)) == 0  # its layers are functions: counted for ResNets only
    published = registry.build("resnet110", in_shape=(3, 32, 32), classes=10, seed=0)
    assert ar.multiplications(published, (3, 32, 32)) == pytest.approx(253e6, rel=0.02)


def test_the_replay_is_the_first_epoch_of_the_cell():
    again = ar.replay("cnn", 2, 2, 100, 3, 10.0, "digits", 2, 50)
    test = ar.averaged(data.load("digits", "test").take(360, seed=0), 2)
    table = ar.measured(Cell("cnn", 2, 2, 100, 1, (3,)), ar.averaged(TRAIN, 2), test)
    assert again["stability 1"] == table.stability.iloc[-1]
    assert again["output 0"] == table.output.iloc[0]
    assert not any(math.isnan(v) for v in again.values())
