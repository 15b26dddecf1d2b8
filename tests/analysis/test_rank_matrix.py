"""The matrix against scipy, regression on ranks, and tables of which the answer is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from advsmooth.analysis.rank_matrix import FEWEST, rank_matrix


def table(trainings=8, seeds=3, columns=4, seed=0, noise=1.0):
    """Columns a, b, ... that share what their training adds to them, and noise of their own."""
    g = np.random.default_rng(seed)
    shared = np.repeat(g.normal(size=(trainings, 1)), seeds, axis=0)
    values = shared + noise * g.normal(size=(trainings * seeds, columns))
    frame = pd.DataFrame(values, columns=list("abcdefgh"[:columns]))
    return frame.assign(training=np.repeat([f"t{k}" for k in range(trainings)], seeds))


def test_the_values_are_those_of_scipy():
    t = table()
    t.loc[:5, "a"] = 0.5  # ties
    found = rank_matrix(t, list("abcd"), draws=10)
    np.testing.assert_allclose(found.value, stats.spearmanr(t[list("abcd")]).statistic, atol=1e-12)
    assert (found.networks, len(found.trainings), found.samples.shape) == (24, 8, (10, 4, 4))


def test_a_partial_correlation_is_that_of_the_residuals_of_ranks():
    t = table()
    ranks = stats.rankdata(t[list("abcd")], axis=0)
    others = np.column_stack([np.ones(len(t)), ranks[:, 2:]])
    rest = [ranks[:, k] - others @ np.linalg.lstsq(others, ranks[:, k], rcond=None)[0] for k in (0, 1)]
    found = rank_matrix(t, list("abcd"), draws=10).partial("a", "b", ["c", "d"])
    assert found.value == pytest.approx(np.corrcoef(*rest)[0, 1], abs=1e-9)


def test_what_a_third_column_explains_is_gone_at_equal_values_of_it():
    g = np.random.default_rng(0)
    c = np.repeat(np.arange(40.0), 3)
    t = pd.DataFrame({"c": c, "a": c + 3 * g.normal(size=120), "b": c + 3 * g.normal(size=120)})
    found = rank_matrix(t.assign(training=[f"t{k // 3}" for k in range(120)]), list("abc"), draws=200)
    assert found.settled("a", "b")
    assert abs(found.partial("a", "b", ["c"]).value) < 0.25 < found.of("a", "b").low


@given(st.integers(0, 50))
@hypothesis_settings(max_examples=15, deadline=None)
def test_increasing_functions_of_the_columns_change_nothing(seed):
    t = table(seed=seed)
    other = t.assign(a=np.exp(t["a"]), b=-t["b"])
    first, second = (rank_matrix(x, list("abc"), draws=5, seed=seed) for x in (t, other))
    np.testing.assert_allclose(first.samples[:, 0, 2], second.samples[:, 0, 2], atol=1e-12)
    np.testing.assert_allclose(first.samples[:, 0, 1], -second.samples[:, 0, 1], atol=1e-12)


def test_leaving_one_out_is_the_matrix_of_the_others():
    t = table()
    found = rank_matrix(t, list("ab"), draws=5)
    by_hand = [stats.spearmanr(*t.loc[t["training"] != f"t{k}", ["a", "b"]].T.to_numpy()).statistic for k in range(8)]
    assert found.without_one("a", "b") == pytest.approx((min(by_hand), max(by_hand)))


def test_many_seeds_of_few_trainings_do_not_make_an_interval_narrow():
    few, many = (rank_matrix(table(seeds=s, noise=0.1, seed=3), list("ab"), draws=300) for s in (2, 50))
    widths = [e.high - e.low for e in (few.of("a", "b"), many.of("a", "b"))]
    assert widths[1] > 0.5 * widths[0]


def test_a_gain_compares_sizes_and_a_column_with_itself_gains_nothing():
    t = table(noise=0.1).assign(z=lambda r: np.random.default_rng(1).normal(size=len(r)))
    found = rank_matrix(t.assign(a=-t["a"]), ["a", "b", "z"], draws=100)
    assert found.gain("a", "z", "b").low > 0
    assert found.gain("a", "a", "b").interval == (0, 0)


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(ValueError, match="4 trainings"):
        rank_matrix(table(trainings=FEWEST), list("ab"))
    with pytest.raises(ValueError, match="missing in \\['b'\\]"):
        rank_matrix(table().assign(b=np.nan), list("ab"))
    found = rank_matrix(table(), list("abc"), draws=2)
    with pytest.raises(ValueError, match="'q': not in the matrix; allowed: a, b, c"):
        found.of("a", "q")
    with pytest.raises(ValueError, match="columns that all differ"):
        found.partial("a", "b", ["b"])
