"""The tables of the detection study against counts by hand, an exact law, and attacks that succeed or do not."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from advsmooth import data, settings
from advsmooth.analysis import attack_detection as study
from advsmooth.analysis.input_gradient import jacobian_norms
from advsmooth.attacks import ball
from advsmooth.attacks.gradient import PGD
from advsmooth.models import registry

PLAN = study.Plan(
    held_out=40, fresh=60, attacked=8, penalties=[0.1], weights=[1.0], steps=10, boundary_steps=20, restarts=2
)


@pytest.fixture(scope="module")
def network():
    """A small network, trained on digits for a moment."""
    train = data.load("digits")
    model = registry.build("fcn", in_shape=train.shape, classes=10, seed=0, m=32, L=3)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    g = settings.generator(0)
    for _ in range(4):
        for rows in torch.randperm(len(train), generator=g).split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(train.x[rows]), train.y[rows]).backward()
            optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def pools():
    return study.pools(data.load("digits"), data.load("digits", "test"), PLAN, seed=3)


def rows(source, probabilities, *, wrong=1, distance=1.0, n=None):
    n = len(probabilities) if n is None else n
    return pd.DataFrame(
        {
            "source": source,
            "image": range(n),
            "distance": distance,
            "wrong": wrong,
            "probabilities": probabilities,
            "logits": probabilities,
            "doubt": probabilities,
        }
    )


def test_the_pools_do_not_overlap_and_follow_the_seed(pools):
    assert (len(pools.held_out), len(pools.fresh), len(pools.seen)) == (40, 60, 40)
    distance = torch.cdist(pools.held_out.x.flatten(1), pools.fresh.x.flatten(1))
    assert distance.min() > 0
    again = study.pools(data.load("digits"), data.load("digits", "test"), PLAN, seed=3)
    assert torch.equal(again.fresh.x, pools.fresh.x)
    other = study.pools(data.load("digits"), data.load("digits", "test"), PLAN, seed=4)
    assert not torch.equal(other.fresh.x, pools.fresh.x)


def test_more_images_than_there_are_is_refused():
    plan = study.Plan(held_out=300, fresh=300, attacked=1, penalties=[1], weights=[1])
    with pytest.raises(ValueError, match="at most 360"):
        study.pools(data.load("digits"), data.load("digits", "test"), plan, seed=0)


def test_only_correctly_classified_images_are_attacked(network, pools):
    x, y = study.correct(network, pools.fresh, 8)
    assert len(x) == 8
    assert torch.equal(network(x).argmax(1), y)
    with pytest.raises(ValueError, match="train longer"):
        study.correct(lambda v: -torch.nn.functional.one_hot(pools.fresh.y[: len(v)], 10).double(), pools.fresh, 8)


def test_the_ladder_stops_at_the_first_radius_that_breaks(network, pools):
    x, y = study.correct(network, pools.fresh, 8)
    radii = [0.1 * 1.3**k for k in range(14)]
    attack = PGD(eps=1.0, steps=5, norm="l2", random_start=False)
    found = study.climb_the_ladder(network, x, y, attack, radii, settings.generator(0))
    for i in range(len(x)):
        broken = [r for r in radii if network(attack.at(r)(network, x[i : i + 1], y[i : i + 1])).argmax() != y[i]]
        moved = ball.norms(found[i : i + 1] - x[i : i + 1], "l2").item()
        assert moved <= (min(broken) + 1e-5 if broken else 0.0)
        if broken:
            assert network(found[i : i + 1]).argmax() != y[i]


def test_the_table_of_attacks_says_what_is_true_of_the_points(network, pools):
    table = pd.concat([study.overview(network, pools, PLAN), study.attacks(network, pools, PLAN, seed=0)])
    clean = table[table["source"] == "clean"]
    np.testing.assert_allclose(clean["probabilities"], jacobian_norms(network, pools.fresh.x))
    assert (clean["distance"] == 0).all()
    assert clean["wrong"].tolist() == (network(pools.fresh.x).argmax(1) != pools.fresh.y).long().tolist()
    ray = table[table["source"] == "ray 0"]
    assert (ray["distance"] == 0).all()
    assert (ray["wrong"] == 0).all()
    joint = table[(table["source"] == "joint 1") & (table["wrong"] == 1)]
    assert (joint["probabilities"] < study.threshold(table) * 1.001).all()
    for budget in study.BUDGETS:
        assert {f"PGD at {budget:g}x, {k}" for k in (1, 2)} <= set(table["source"])
    assert len(table[table["source"] == "tuning evasive 0.1"]) == 8


def test_failed_attacks_do_not_count_as_undetected():
    table = pd.concat([rows("held out", np.arange(40.0)), rows("PGD", [50.0, 1.0, 50.0], wrong=[1, 0, 1])])
    assert study.threshold(table) == 38.0
    assert study.detected(table, "PGD") == 1.0
    assert study.detected(table, "PGD", c=60.0) == 0.0


def test_the_median_distance_counts_a_failure_as_infinite():
    assert study.median_distance(rows("CW", [0.0] * 3, distance=[3.0, 1.0, 2.0]), "CW") == 2.0
    assert study.median_distance(rows("CW", [0.0] * 3, distance=[3.0, 1.0, 2.0], wrong=[0, 0, 1]), "CW") == np.inf


def test_the_closest_points_by_hand():
    table = pd.concat(
        [
            rows("held out", np.arange(40.0)),  # threshold 38
            rows("CW", [50.0, 50.0, 50.0], distance=[1.0, 1.0, 1.0]),
            rows("joint 1", [1.0, 1.0, 50.0], distance=[1.4, 3.0, 1.2]),
            rows("ray 2", [1.0, 1.0, 1.0], distance=[2.0, 0.5, 0.1], wrong=[1, 1, 0]),
            rows("tuning evasive 1", [1.0, 1.0, 1.0], distance=0.01),
        ]
    )
    assert study.closest_undetected(table).tolist() == [1.4, 0.5, np.inf]
    assert study.closest_undetected(table, ["joint"]).tolist() == [1.4, 3.0, np.inf]
    assert study.closest(table).tolist() == [1.0, 0.5, 1.0]
    assert study.share_within(table, 1.0) == 1 / 3
    assert study.share_within(table, 1e9) == 2 / 3


def test_the_penalty_is_the_smallest_that_evades_often_enough():
    table = pd.concat(
        [
            rows("held out", np.arange(40.0)),
            rows("tuning evasive 0.1", [50.0, 50.0, 1.0, 1.0]),
            rows("tuning evasive 1", [50.0, 1.0, 1.0, 1.0]),
            rows("tuning evasive 10", [1.0, 1.0, 1.0, 1.0]),
        ]
    )
    assert [study.chosen_penalty(table, e) for e in (0.5, 0.6, 0.75, 0.9)] == [0.1, 1.0, 1.0, 10.0]
    assert study.chosen_penalty(table[table["source"] != "tuning evasive 10"], 0.9) == 1.0


def test_the_false_alarms_of_exchangeable_scores_have_the_stated_law():
    """p-values of a discrete law: at most uniform, and not far from it."""
    g = np.random.default_rng(0)
    p = np.array(
        [
            study.false_alarm_p(pd.concat([rows("held out", g.normal(size=99)), rows("clean", g.normal(size=200))]))
            for _ in range(600)
        ]
    )
    for level in (0.05, 0.2, 0.5):
        assert stats.binomtest(int((p <= level).sum()), len(p), level, alternative="greater").pvalue > 1e-4
    assert (p <= 0.2).mean() > 0.1
    shifted = pd.concat([rows("held out", g.normal(size=99)), rows("clean", 1 + g.normal(size=200))])
    assert study.false_alarm_p(shifted) < 1e-3


def test_what_is_stored_has_five_digits():
    assert study.compact(rows("CW", [1.23456789]))["probabilities"].tolist() == [1.2346]
