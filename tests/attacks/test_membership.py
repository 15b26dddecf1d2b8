"""The area under the ROC curve against scikit-learn, its invariances, and its standard error against simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from advsmooth.attacks.membership import area, area_within_classes

scores = st.lists(st.integers(-5, 5), min_size=2, max_size=30)


@settings(max_examples=100, deadline=None)
@given(scores, scores)
def test_the_area_is_that_of_scikit_learn_ties_included(members, others):
    truth = [1] * len(members) + [0] * len(others)
    assert area(members, others).value == pytest.approx(roc_auc_score(truth, members + others), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(scores, scores)
def test_the_area_turns_round_with_the_roles_and_keeps_with_the_scale(members, others):
    a, b = np.array(members), np.array(others)
    found = area(a, b)
    assert area(b, a).value == pytest.approx(1 - found.value)
    assert area(b, a).standard_error == pytest.approx(found.standard_error)
    assert area(np.exp(a), np.exp(b)).value == pytest.approx(found.value)
    assert area(a, a).value == pytest.approx(0.5)


def test_the_ends():
    assert area([2, 3], [0, 1]).value == 1
    assert area([0, 1], [2, 3]).value == 0
    assert area([2, 3], [0, 1]).standard_error == 0
    assert area([1, 1], [1, 1]).value == 0.5


def test_the_standard_error_is_the_spread_over_samples():
    g = np.random.default_rng(0)
    found = [area(g.normal(0.5, 1, 60), g.normal(0, 1, 90)) for _ in range(800)]
    spread = np.std([f.value for f in found], ddof=1)
    assert np.mean([f.standard_error for f in found]) == pytest.approx(spread, rel=0.1)
    covered = np.mean([low <= 0.6382 <= high for low, high in (f.interval() for f in found)])  # Phi(0.5 / sqrt 2)
    assert covered == pytest.approx(0.95, abs=0.03)


def test_a_threshold_for_each_class_is_not_fooled_by_the_mix_of_classes():
    """Scores that only tell the class: members and non-members of one class do not differ, but the mixes do."""
    a, b = np.array([1] * 90 + [0] * 10), np.array([1] * 10 + [0] * 90)
    assert area(a, b).value > 0.8
    assert area_within_classes(a, b, a, b) == 0.5


def test_within_one_class_it_is_the_plain_area():
    g = np.random.default_rng(1)
    a, b = g.normal(size=20), g.normal(size=30)
    assert area_within_classes(a, b, np.zeros(20), np.zeros(30)) == pytest.approx(area(a, b).value)


@pytest.mark.parametrize("bad", [([1.0], [0, 1]), ([0, 1], [1.0]), ([0, np.nan], [0, 1])])
def test_too_few_scores_or_nan_are_refused(bad):
    with pytest.raises(ValueError, match="at least 2 of each") as refused:
        area(*bad)
    assert "\n" not in str(refused.value)


def test_classes_without_partners_are_refused():
    with pytest.raises(ValueError, match="no class"):
        area_within_classes([1, 2], [1, 2], [0, 1], [0, 1])
