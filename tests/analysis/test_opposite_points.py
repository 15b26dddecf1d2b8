"""Attacks at ``theta + a v`` and ``theta - a v``: directions, curves, and the comparison at equal loss."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from advsmooth import data, settings
from advsmooth.analysis import opposite_points as op
from advsmooth.analysis import parameter_space as space
from advsmooth.attacks.gradient import PGD


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=60)


@pytest.fixture(scope="module")
def model(digits):
    """A small network that has learned these digits."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Tanh(), nn.Linear(10, 10))
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(150):
        optimiser.zero_grad()
        functional.cross_entropy(network(digits.x), digits.y).backward()
        optimiser.step()
    return network


def dense_hessian(model, x, y):
    here = space.point(model)

    def loss(vector):
        place = space.unflat(vector, here)
        return functional.cross_entropy(torch.func.functional_call(model, place, (x,)), y)

    return torch.autograd.functional.hessian(loss, space.flat(here))


def studied(model, digits, **changed):
    how = {"offsets": [0.0, 0.1, 0.5], "runs": 2, "cut": 0.2, "randoms": 2, "seed": 0} | changed
    return op.study(model, PGD(eps=0.05, steps=3), digits.x, digits.y, **how)


def test_the_directions_are_those_of_the_dense_hessian(model, digits):
    found = op.directions(model, digits.x, digits.y, randoms=2, seed=0)
    dense = dense_hessian(model, digits.x, digits.y)
    values, vectors = torch.linalg.eigh(dense)
    assert [name for name, *_ in found] == ["eigenvector", "random 1", "random 2"]
    _, v, curved, residual = found[0]
    assert curved == pytest.approx(values[-1].item(), rel=1e-3)
    assert residual < 2e-3 * curved
    assert abs(torch.dot(space.flat(v), vectors[:, -1]).item()) == pytest.approx(1, abs=1e-3)
    for _, v, curved, _ in found[1:]:
        assert space.length(v) == pytest.approx(1, abs=1e-5)
        assert curved == pytest.approx((space.flat(v) @ dense @ space.flat(v)).item(), abs=1e-4)
    assert abs(torch.dot(space.flat(found[1][1]), space.flat(found[2][1])).item()) < 0.2


def test_curvature_in_double_is_that_of_the_dense_hessian(model, digits):
    v = space.unflat(torch.randn(760, generator=settings.generator(3)), space.point(model))
    unit = space.flat(space.unit(v)).double()
    exact = (unit @ dense_hessian(model, digits.x, digits.y).double() @ unit).item()
    assert op.curvature_in_double(model, digits.x, digits.y, v) == pytest.approx(exact, rel=1e-4, abs=1e-7)


def test_a_study_leaves_the_model_and_begins_at_theta(model, digits):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    table = studied(model, digits)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    zero = table[table["offset"] == 0].set_index("direction")
    assert zero["cosine"].nunique() == 1
    assert (zero["rise"] == 0).all()
    assert zero["common"].to_numpy() == pytest.approx(1)
    assert (zero["cosine"] < 1).all()
    pd.testing.assert_frame_equal(table, studied(model, digits))


def test_a_direction_is_followed_while_the_accuracy_is_above_the_cut(model, digits):
    offsets = [0.0, 0.1, 1.0, 10.0, 100.0]
    table = studied(model, digits, offsets=offsets, cut=0.3)
    assert (table["accuracy"] > 0.3).all()
    assert table["offset"].max() < 100
    everything = studied(model, digits, offsets=offsets, cut=-1.0)
    assert everything.groupby("direction").size().tolist() == [5, 5, 5]
    nothing = studied(model, digits, cut=1.0)
    assert nothing["offset"].tolist() == [0, 0, 0]
    assert nothing["curvature"].isna().all()


@pytest.mark.parametrize("wrong", [{"offsets": [0.1, 0.2]}, {"offsets": [0.0]}, {"offsets": [0, 2, 1]}, {"runs": 1}])
def test_a_study_refuses(model, digits, wrong):
    with pytest.raises(ValueError, match="offsets=|runs="):
        studied(model, digits, **wrong)


def made_up(sharp: float, flat: float, offsets=(0.0, 0.1, 0.2, 0.4, 0.8)) -> pd.DataFrame:
    """Curves whose cosine is ``1 - rise`` whatever the direction; the rise is ``curvature a^2 / 2``."""
    rows = [
        {
            "direction": name,
            "curvature": curved,
            "offset": a,
            "cosine": 1 - curved * a**2 / 2,
            "common": 1 - curved * a**2 / 2,
            "rise": curved * a**2 / 2,
            "error": 0.1 + curved * a**2 / 4,
            "accuracy": 0.9 - curved * a**2 / 4,
            "spread": 0.01,
            "variance": 1e-5,
        }
        for name, curved in (("eigenvector", sharp), ("random 1", flat), ("random 2", flat))
        for a in offsets
        if curved * a**2 / 2 <= 0.9
    ]
    return pd.DataFrame(rows)


def test_a_difference_that_is_only_distance_vanishes_at_equal_rise():
    fine, steps = (made_up(20, 2, offsets) for offsets in (np.linspace(0, 0.8, 401), (0.0, 0.1, 0.2, 0.3, 0.4, 0.8)))
    table = pd.concat([steps[steps["direction"] == "eigenvector"], fine[fine["direction"] != "eigenvector"]])
    found = op.compare(table)
    assert found["offset"] == pytest.approx(0.3)
    assert found["gap"] == pytest.approx((20 - 2) * 0.3**2 / 2)
    assert found["equal_rise"] == pytest.approx(0, abs=1e-9)
    assert found["curvature_ratio"] == pytest.approx(10)
    assert found["error"] - found["error_random"] == pytest.approx(18 * 0.3**2 / 4)


def test_a_difference_beyond_distance_is_seen_at_equal_rise():
    table = made_up(20, 2)
    table.loc[table["direction"] == "eigenvector", "cosine"] -= 0.05 * (table["offset"] > 0)
    assert op.compare(table)["equal_rise"] == pytest.approx(0.05, abs=1e-9)


def test_a_random_curve_counts_where_all_random_directions_are():
    table = made_up(20, 2)
    short = table[~((table["direction"] == "random 2") & (table["offset"] > 0.2))]
    assert list(op.curve(short, "random").index) == [0, 0.1, 0.2]
    assert list(op.curve(short, "eigenvector").index) == [0, 0.1, 0.2]


def test_nothing_to_compare_at_the_cut():
    table = made_up(20, 2)
    found = op.compare(table[table["offset"] == 0])
    assert found["offset"] == 0
    assert all(math.isnan(found[name]) for name in op.COMPARED)


def test_a_seed_is_the_mean_over_its_budgets_and_networks_without_room_do_not_count():
    parts = [
        made_up(20, 2).assign(eps=0.1, seed=0),
        made_up(10, 2).assign(eps=0.2, seed=0),
        made_up(20, 2).assign(eps=0.1, seed=1),
        made_up(20, 2, (0.0,)).assign(eps=0.2, seed=1),
    ]
    compared = op.networks(pd.concat(parts))
    found = op.by_seed(compared)
    assert list(found.index) == [0, 1]
    each = compared["gap"] - compared["spread"]
    assert found.loc[0, "lower"] == pytest.approx(each.iloc[[0, 2]].mean())
    assert found.loc[1, "lower"] == pytest.approx(each.iloc[1])
    assert found.loc[1, "stays"] == pytest.approx(0.25 * 20 * 0.02 - 2 * 0.02)


@given(st.integers(0, 100))
def test_perturbations_by_chance(seed):
    assert op.chance(torch.full((20, 400), 0.5), 0.1, seed=seed) == pytest.approx(0, abs=0.06)
    assert op.chance(torch.zeros(20, 400), 0.1, seed=seed) == pytest.approx(0.5, abs=0.06)


def test_opposite_perturbations_coincide_in_place(model, digits):
    _, v, _, _ = op.directions(model, digits.x, digits.y, randoms=0, seed=0)[0]
    attack = PGD(eps=0.05, steps=3)
    same = op.opposite_perturbations(model, attack, digits.x, digits.y, v, 0.0, seed=0)
    apart = op.opposite_perturbations(model, attack, digits.x, digits.y, v, 0.5, seed=0)
    assert torch.equal(*same)
    assert not torch.equal(*apart)
    assert max(side.abs().max().item() for side in apart) <= 0.05 + 1e-6


def test_a_replay_gives_the_same_numbers():
    first = op.replay("digits", 20, 0.1, 1, 0)
    assert first == op.replay("digits", 20, 0.1, 1, 0)
    assert first != op.replay("digits", 20, 0.1, 1, 1)
