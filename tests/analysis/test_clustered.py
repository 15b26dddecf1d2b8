"""Cluster bootstrap: against copies of rows, numpy's least squares, scipy's ranks, and its own coverage."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from advsmooth.analysis import clustered


def table(groups=10, seeds=3, slope=2.0, noise=0.3, seed=0, shared=0.0):
    """``y = slope a - b`` and noise, of which some is shared by the seeds of a group."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"group": np.repeat([f"g{k}" for k in range(groups)], seeds)})
    own = rng.normal(size=(2, groups)).repeat(seeds, 1)
    rows["a"], rows["b"] = own + 0.2 * rng.normal(size=own.shape)
    together = shared * rng.normal(size=groups).repeat(seeds)
    rows["y"] = slope * rows["a"] - rows["b"] + together + noise * rng.normal(size=len(rows))
    return rows


@given(st.integers(4, 12), st.integers(1, 4), st.integers(0, 99))
def test_groups_are_drawn_whole_and_as_often_as_there_are(groups, seeds, seed):
    names = np.repeat(np.arange(groups), seeds)
    counts = clustered.weights(names, 50, seed)
    assert (counts[0] == 1).all()
    assert counts.shape == (51, groups * seeds)
    assert (counts.sum(1) == groups * seeds).all()
    assert (counts.reshape(51, groups, seeds) == counts.reshape(51, groups, seeds)[..., :1]).all()


def test_fewer_than_four_groups_are_refused():
    with pytest.raises(ValueError, match="3 groups: an interval over groups needs at least 4"):
        clustered.weights(list("aabbcc"), 10, 0)


@hypothesis_settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_weight_is_a_number_of_copies(seed):
    rows, rng = table(seed=seed), np.random.default_rng(seed)
    counts = rng.integers(0, 3, len(rows))
    counts[:4] = 1
    copies = rows.loc[rows.index.repeat(counts)]
    found = clustered.spearman(counts[None].astype(float), rows["a"], rows["y"])[0]
    assert found == pytest.approx(stats.spearmanr(copies["a"], copies["y"]).statistic)
    design = clustered._design([rows["a"].to_numpy(), rows["b"].to_numpy()], 1)
    solved = clustered._solve(counts[None].astype(float), design, rows["y"].to_numpy()[None])[0]
    dense = np.column_stack([np.ones(len(copies)), copies["a"], copies["b"]])
    np.testing.assert_allclose(solved, np.linalg.lstsq(dense, copies["y"], rcond=None)[0], atol=1e-8)


def test_a_regression_finds_the_slopes_for_a_standard_deviation():
    rows = table(groups=40, noise=1e-3)
    found = clustered.regression(rows, "y", ["a", "b"], group="group", draws=200)
    assert found["a"].value == pytest.approx(2 * rows["a"].std(ddof=0), rel=1e-2)
    assert found["b"].value == pytest.approx(-rows["b"].std(ddof=0), rel=1e-2)
    for estimate in found.values():
        assert estimate.low <= estimate.value <= estimate.high


def test_one_explanatory_column_is_the_simple_slope():
    rows = table()
    found = clustered.regression(rows, "y", ["a"], group="group", draws=50)["a"].value
    assert found / rows["a"].std(ddof=0) == pytest.approx(stats.linregress(rows["a"], rows["y"]).slope)


def test_a_partial_rank_correlation_is_that_of_what_other_ranks_leave():
    rows = table()
    found = clustered.rank_correlation(rows, "a", "y", group="group", given=["b"], draws=50).value
    r = rows[["a", "y", "b"]].corr("spearman")
    expected = (r.loc["a", "y"] - r.loc["a", "b"] * r.loc["y", "b"]) / np.sqrt(
        (1 - r.loc["a", "b"] ** 2) * (1 - r.loc["y", "b"] ** 2)
    )
    assert found == pytest.approx(expected)
    plain = clustered.rank_correlation(rows, "a", "y", group="group", draws=50).value
    assert plain == pytest.approx(stats.spearmanr(rows["a"], rows["y"]).statistic)


def test_a_confounded_correlation_vanishes_once_the_cause_is_given():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"group": np.arange(60), "cause": rng.normal(size=60)})
    rows["x"], rows["y"] = (rows["cause"] + 0.3 * rng.normal(size=60) for _ in range(2))
    alone = clustered.rank_correlation(rows, "x", "y", group="group")
    given_it = clustered.rank_correlation(rows, "x", "y", group="group", given=["cause"])
    assert alone.low > 0.5
    assert given_it.low < 0 < given_it.high


def test_seeds_of_one_group_are_not_independent():
    """With noise that a group shares, resampling networks would give intervals that are far too short."""
    covered = {"group": 0, "network": 0}
    for seed in range(60):
        rows = table(groups=15, shared=1.0, noise=0.05, seed=seed)
        rows["network"] = np.arange(len(rows))
        for group in covered:
            found = clustered.regression(rows, "y", ["a", "b"], group=group, draws=200, seed=seed)["a"]
            covered[group] += found.low <= 2 * rows["a"].std(ddof=0) <= found.high
    assert covered["group"] >= 46  # near 95 per cent, less for few groups
    assert covered["network"] < covered["group"] - 5


def test_what_is_adjusted_for_no_longer_correlates():
    rows = table()
    left = clustered.adjusted(rows, "y", ["a"])
    assert np.corrcoef(left, rows["a"])[0, 1] == pytest.approx(0, abs=1e-9)
    assert left.mean() == pytest.approx(rows["y"].mean())


def test_the_line_is_that_of_least_squares_inside_its_band():
    rows, at = table(), np.linspace(-2, 2, 5)
    value, low, high = clustered.line(rows["a"], rows["y"], rows["group"], at, draws=200)
    expected = stats.linregress(rows["a"], rows["y"])
    np.testing.assert_allclose(value, expected.intercept + expected.slope * at)
    assert ((low < value) & (value < high)).all()


def test_a_column_that_does_not_vary_is_refused():
    with pytest.raises(ValueError, match="'flat': does not vary, or is not finite"):
        clustered.regression(table().assign(flat=1.0), "y", ["a", "flat"], group="group")


def test_an_estimate_reads_as_a_number_and_its_interval():
    assert str(clustered.Estimate(0.5, 0.25, 1)) == "0.50 [0.25, 1.00]"
    assert str(clustered.Estimate(float("nan"), 0, 0)) == "-"


@given(st.integers(2, 7), st.integers(1, 30), st.integers(0, 99))
def test_resamples_hold_enough_different_groups_and_the_same_seed_gives_the_same(groups, draws, seed):
    fewest = (groups + 1) // 2
    drawn = clustered.resamples(groups, draws, seed, fewest=fewest)
    assert drawn.shape == (draws, groups)
    assert all(len(set(row)) >= fewest and set(row) <= set(range(groups)) for row in drawn.tolist())
    assert np.array_equal(drawn, clustered.resamples(groups, draws, seed, fewest=fewest))


def test_resamples_of_too_few_groups_are_refused():
    with pytest.raises(ValueError, match="2 groups: allowed are at least 3"):
        clustered.resamples(2, 5, 0, fewest=3)
