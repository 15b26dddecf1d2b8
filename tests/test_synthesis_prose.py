"""The numbers in the words of the synthesis, and of the home page, are those of its record."""

import re

import numpy as np
import pytest

from advsmooth import answer, records
from advsmooth.analysis import common_table
from advsmooth.analysis.rank_matrix import rank_matrix
from advsmooth.places import NOTEBOOKS

pytestmark = pytest.mark.skipif(records.newest(answer.PAGE) is None, reason="no record of the synthesis")
WORDS = " ".join((NOTEBOOKS / f"{answer.PAGE}.py").read_text(encoding="utf-8").replace("\n#", " ").split())


@pytest.fixture(scope="module")
def networks():
    return common_table.joined(records.newest(answer.PAGE).table)


@pytest.fixture(scope="module")
def matrix(networks):
    columns = [*common_table.COLUMNS, *(f"{name}*" for name in common_table.TEMPERED)]
    return rank_matrix(networks, columns, draws=50)


CORRELATIONS = [
    ("with a rank correlation of 0.94", "slope*", "robust"),
    ("The gradient goes with robust error at 0.94", "slope*", "robust"),
    ("Its change goes the same way, 0.52", "bend*", "robust"),
    ("the larger the error (0.75)", "curved adv*", "robust"),
    ("that change says nothing about robustness (−0.13)", "step*", "robust"),
    ("curvature of the clean loss 0.24", "curved*", "robust"),
    ("variance of the gradient −0.13", "noise*", "robust"),
    ("have nothing to do with each other (0.01)", "curved*", "bend*"),
    ("goes with the worst case (0.80)", "stability*", "robust"),
    ("itself goes with nothing (−0.04)", "kappa", "robust"),
    ("(0.58 as trained", "slope max", "robust"),
    ("0.84 at the common temperature)", "slope max*", "robust"),
]


@pytest.mark.parametrize(("words", "first", "second"), CORRELATIONS, ids=[words for words, *_ in CORRELATIONS])
def test_a_correlation_in_the_words_is_that_of_the_record(matrix, words, first, second):
    assert words in WORDS, "the sentence has changed; change it here too"
    said = float(re.findall(r"−?\d\.\d\d", words)[-1].replace("−", "-"))
    assert f"{matrix.of(first, second).value:.2f}" == f"{said:.2f}"


def test_partial_correlations_in_the_words(matrix):
    assert "the noisier networks are the more robust ones (0.54)" in WORDS
    assert f"{-matrix.partial('noise*', 'robust', ['slope*']).value:.2f}" == "0.54"
    assert "nothing settled is left of it (0.29)" in WORDS
    assert f"{matrix.partial('stability*', 'robust', ['slope*']).value:.2f}" == "0.29"


@pytest.mark.parametrize(
    ("words", "column", "more", "less", "points"),
    [
        ("the robust error 23 points lower", "robust", "standard", "AT 2ε", 23),
        ("robust error 12 points lower", "robust", "standard", "TV 0.1 + Lip 0.1", 12),
        ("wide against narrow 16 points", "robust", "narrow", "wide", 16),
        ("non-lazy against standard 4 points", "robust", "standard", "non-lazy start", 4),
    ],
)
def test_a_difference_of_means_in_the_words(networks, words, column, more, less, points):
    assert words in WORDS
    mean = networks.groupby("training")[column].mean()
    assert round(100 * (mean[more] - mean[less])) == points


@pytest.mark.parametrize(
    ("words", "column", "more", "less", "factor"),
    [
        ("is eight times as curved as that of the standard training", "curved own", "AT 2ε", "standard", 8),
        ("curvature in the weights six times as large", "curved", "TV 0.1 + Lip 0.1", "standard", 6),
        ("input gradient halved", "slope", "standard", "TV 0.1 + Lip 0.1", 2),
    ],
)
def test_a_ratio_of_geometric_means_in_the_words(networks, words, column, more, less, factor):
    assert words in WORDS
    mean = np.log(networks[column]).groupby(networks["training"]).mean()
    assert round(float(np.exp(mean[more] - mean[less]))) == factor


def test_the_counts_in_the_words(networks):
    assert f"Over {len(networks)} small networks trained in {networks['training'].nunique()} ways" in WORDS
