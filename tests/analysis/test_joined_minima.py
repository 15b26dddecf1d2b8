"""Joined minima: copies by permutation, paths over the constant classifier, barriers pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import connectivity, empirical
from advsmooth.analysis import joined_minima as jm
from advsmooth.analysis import parameter_space as space
from advsmooth.analysis.connectivity import CurveFit
from advsmooth.attacks.gradient import PGD
from advsmooth.models import registry


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=50)


def lenet(seed: int) -> nn.Module:
    return registry.build("lenet", in_shape=(1, 8, 8), classes=10, seed=seed, w=1)


@given(st.integers(0, 50))
def test_a_permuted_copy_is_the_same_function_elsewhere(seed):
    digits = data.load("digits", n=10).to("cpu", torch.float64)
    model = lenet(seed).double()
    copy = jm.permuted(model, settings.generator(seed))
    assert torch.allclose(model(digits.x), copy(digits.x), rtol=0, atol=1e-12)
    distance = space.length(space.shifted(space.point(model), (-1.0, space.point(copy))))
    assert distance > 0.5


def test_a_permutation_of_a_plain_chain():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7, bias=False), nn.ReLU(), nn.Linear(7, 3)).double()
    copy = jm.permuted(model, settings.generator(0))
    x = torch.randn(9, 5, dtype=torch.float64)
    assert torch.allclose(model(x), copy(x), atol=1e-12)
    assert sorted(copy[0].weight.flatten().tolist()) == sorted(model[0].weight.flatten().tolist())


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(3, 3)),
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.Linear(6, 2)),
    ],
)
def test_what_is_not_a_chain_is_refused(model):
    with pytest.raises(ValueError, match="chain"):
        jm.permuted(model, settings.generator(0))


def test_a_curve_walked_backwards(digits):
    curve = connectivity.fit(lenet(0), lenet(1), digits.x, digits.y, CurveFit(epochs=1), seed=0)
    back = jm.backwards(curve)
    for t in (0.0, 0.3, 1.0):
        for name, value in curve.at(t).items():
            torch.testing.assert_close(value, back.at(1 - t)[name])


def test_room():
    assert jm.room(10, 0.3, 0.5) == pytest.approx(math.log(10) - 0.5)
    assert jm.room(10, 2.5) == 0


def test_the_path_over_the_constant_classifier(digits):
    first, last = lenet(0), lenet(1)
    for share, model in ((-1.0, first), (1.0, last)):
        assert torch.equal(jm.over_the_constant(first, last, share, "fc2")(digits.x), model(digits.x))
    assert not jm.over_the_constant(first, last, 0.0, "fc2")(digits.x).any()
    torch.testing.assert_close(jm.over_the_constant(first, last, -0.5, "fc2")(digits.x), first(digits.x) / 2)
    with torch.no_grad():
        last.fc2.weight.mul_(50)  # a network that is worse than the constant one at its end
    ends = [empirical.mean_loss(m, digits.x, digits.y) for m in (first, last)]
    for share in np.linspace(-1, 1, 9):
        chord = abs(share) * ends[int(share > 0)] + (1 - abs(share)) * math.log(10)
        model = jm.over_the_constant(first, last, float(share), "fc2")
        assert empirical.mean_loss(model, digits.x, digits.y) <= chord + 1e-5


def test_pairs():
    assert jm.pairs_of([3, 4, 5]) == [(3, 4), (4, 5), (5, 3)]
    assert jm.pairs_of(range(7)) == [(0, 1), (2, 3), (4, 5)]


def test_a_study_has_the_line_and_a_curve_for_each_effort(digits):
    attack = PGD(eps=0.05, steps=2)
    table = jm.study(
        lenet(0), lenet(1), [CurveFit(epochs=1), CurveFit(epochs=3)], fitted=digits, fit_attack=attack,
        attack=attack, train=digits, test=digits, places=3, seed=0,
    )  # fmt: skip
    assert list(zip(table["path"], table["epochs"], strict=True))[::3] == [("line", 0), ("curve", 1), ("curve", 3)]
    ends = table[table["t"] == 0]
    assert ends["train_loss"].nunique() == 1
    assert (table["train_loss"] >= table["clean_train_loss"] - 1e-6).all()
    middle = table[table["t"] == 0.5]["train_loss"].tolist()
    assert len(set(middle)) == 3
    assert (table["train_loss"] == table["test_loss"]).all()  # the same images


def made_up() -> pd.DataFrame:
    """Barriers 0.1 x budget x pair after 2 epochs, half after 6; lines 1; copies half a curve."""
    rows = []
    for eps in (0.0, 1.0, 2.0):
        for pair in (1, 2, 3):
            for kind, path, epochs, height in (
                ("independent", "line", 0, 1.0),
                ("independent", "curve", 2, 0.1 * eps * pair),
                ("independent", "curve", 6, 0.05 * eps * pair),
                ("permuted", "line", 0, 2.0),
                ("permuted", "curve", 6, 0.025 * eps * pair),
            ):
                if kind == "independent" or eps == 2:
                    for t in (0.0, 0.5, 1.0):
                        loss = 0.3 + 0.1 * t + (height + 0.05) * (t == 0.5)
                        rows.append((eps, kind, f"{pair}", path, epochs, t, loss, math.nan, 0.2 + 0.1 * (t == 0.5)))
    columns = ["eps", "kind", "pair", "path", "epochs", "t", "train_loss", "clean_train_loss", "test_error"]
    return pd.DataFrame(rows, columns=columns)


def test_barriers_and_pairs():
    heights = jm.barriers(made_up())
    chosen = heights[(heights["eps"] == 2) & (heights["pair"] == "3") & (heights["epochs"] == 6)]
    assert chosen["barrier"].tolist() == pytest.approx([0.3, 0.15])
    assert chosen["end"].tolist() == pytest.approx([0.4, 0.4])
    assert chosen["error"].tolist() == pytest.approx([0.1, 0.1])
    assert heights["clean_barrier"].isna().all()
    table = jm.by_pair(heights)
    assert table["high"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert table["high_short"].tolist() == pytest.approx([0.2, 0.4, 0.6])
    assert table["permuted"].tolist() == pytest.approx([0.05, 0.1, 0.15])
    assert table[["low", "low_short"]].to_numpy() == pytest.approx(0)
    assert table["permuted_line"].tolist() == pytest.approx([2, 2, 2])
    assert len(jm.by_pair(heights[heights["eps"] == 0])) == 0


def test_a_replay_gives_the_same_numbers():
    first = jm.replay("digits", 20, 0.1, 1, 0)
    assert first == jm.replay("digits", 20, 0.1, 1, 0)
    assert first["bow"] > 0
