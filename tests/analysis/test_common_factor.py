"""Rank correlations and the common factor: closed forms, extremes, and the error rate of the null."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from advsmooth.analysis.common_factor import correlations, first_component, means, rank_correlations


def table(columns, seeds=2):
    rows = [
        {"architecture": f"a{k}", "seed": s} | {name: values[k] + 1e-6 * s for name, values in columns.items()}
        for s in range(seeds)
        for k in range(len(next(iter(columns.values()))))
    ]
    return pd.DataFrame(rows)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 12))
def test_the_correlations_are_spearmans_and_ignore_monotone_maps(seed, n):
    rows = np.random.default_rng(seed).integers(0, 6, (n, 3)).astype(float)
    found = correlations(rows)
    for i in range(3):
        for j in range(3):
            if len(set(rows[:, i])) > 1 and len(set(rows[:, j])) > 1:
                assert found[i, j] == pytest.approx(stats.spearmanr(rows[:, i], rows[:, j]).statistic, abs=1e-12)
    assert np.allclose(correlations(np.exp(rows)), found)


def test_many_tables_at_once_are_each_ranked_on_their_own():
    rows = np.random.default_rng(0).integers(0, 4, (5, 6, 3)).astype(float)
    assert np.allclose(correlations(rows), [correlations(one) for one in rows])


def test_resampled_architectures_have_an_order():
    """Of four architectures, many resamples hold one or two; none of these is kept."""
    found = rank_correlations(table({"a": np.arange(4.0), "b": np.arange(4.0)}), ["a", "b"], draws=500)
    assert found.drawn.shape == (500, 2, 2)
    assert np.allclose(found.drawn, 1)


def test_a_column_that_does_not_vary_has_no_correlation():
    assert correlations(np.array([[1.0, 1], [1, 2], [1, 3]]))[0].tolist() == [0, 0]


def test_one_cause_gives_one_order():
    x = np.arange(8.0)
    t = table({"a": x, "b": x**3, "c": np.exp(x)})
    found = rank_correlations(t, ["a", "b", "c"], draws=200).mean(["a", "b", "c"], ["a", "b", "c"])
    assert found.value == pytest.approx(1)
    assert found.low == pytest.approx(1)
    factor = first_component(t, ["a", "b", "c"], draws=200)
    assert factor.share == pytest.approx(1)
    assert factor.p_value <= 2 / 201
    assert np.allclose(list(factor.loadings.values()), 3**-0.5)


def test_a_column_the_other_way_round_shows_in_the_sign_only():
    x = np.arange(8.0)
    t = table({"a": x, "b": x, "c": -x})
    factor = first_component(t, ["a", "b", "c"], draws=50)
    assert factor.share == pytest.approx(1)
    assert factor.loadings["c"] == pytest.approx(-factor.loadings["a"])
    assert rank_correlations(t, ["a", "b", "c"], draws=50).mean(
        ["a", "b", "c"], ["a", "b", "c"]
    ).value == pytest.approx(-1 / 3)


def test_effects_of_their_own_pass_as_one_factor_as_rarely_as_stated():
    g = np.random.default_rng(0)
    found = []
    for k in range(200):
        t = table({name: g.normal(size=8) for name in "abcd"}, seeds=1)
        found.append(first_component(t, list("abcd"), draws=99, seed=k).p_value <= 0.05)
    assert np.mean(found) == pytest.approx(0.05, abs=0.045)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Two columns with a correlation of 0.6, whose ranks correlate by 6/pi asin(0.3)."""
    g, truth, covered = np.random.default_rng(1), 6 / np.pi * np.arcsin(0.3), []
    for k in range(150):
        x = g.normal(size=30)
        t = table({"a": x, "b": 0.6 * x + 0.8 * g.normal(size=30)}, seeds=1)
        found = rank_correlations(t, ["a", "b"], draws=200, seed=k).mean(["a"], ["b"])
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) > 0.87


def test_seeds_are_averaged_first():
    t = pd.DataFrame({"architecture": list("aabbccdd"), "v": [0.0, 2, 3, 3, 5, 5, 4, 6]})
    assert means(t, ["v"]).v.to_dict() == {"a": 1, "b": 3, "c": 5, "d": 5}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: means(table({"a": [1.0, 2, 3]}), ["a"]), "at least 4 architectures"),
        (lambda: means(table({"a": [1.0, 2, 3, np.nan]}), ["a"]), "no missing number"),
        (
            lambda: rank_correlations(table({"a": np.arange(5.0)}), ["a"], draws=9).mean(["a"], ["a"]),
            "columns that differ",
        ),
        (lambda: first_component(table({"a": np.arange(5.0)}), ["a"]), "at least two"),
    ],
)
def test_refusals_say_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
