"""Thresholds, receiver operating characteristics and their areas, against scikit-learn, bootstrap and exact laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from advsmooth import settings
from advsmooth.analysis import detection

scores = st.lists(st.integers(0, 12), min_size=2, max_size=40)


def drawn(seed, n, shift=0.0):
    return torch.randn(n, generator=settings.generator(seed), dtype=torch.float64) + shift


# --- threshold ------------------------------------------------------------------------------------------------------


def test_the_rate_of_false_positives_is_exact_on_fresh_data():
    """Over calibration sets and fresh scores the rate is k / (n + 1), the largest such at most 5 percent."""
    rates = []
    for seed in range(2000):
        values = drawn(seed, 60)
        rates.append(float((values[50:] >= detection.threshold(values[:50])).double().mean()))
    error = np.std(rates) / math.sqrt(len(rates))
    assert abs(np.mean(rates) - 2 / 51) < 4.5 * error
    clean = drawn(0, 999)
    assert int((clean >= detection.threshold(clean)).sum()) == 50
    assert detection.threshold(clean, 0.001) == clean.max()


@pytest.mark.parametrize(("n", "rate"), [(18, 0.05), (10, 0.0), (10, 1.0), (10, math.nan)])
def test_a_threshold_needs_enough_clean_scores(n, rate):
    with pytest.raises(ValueError, match="allowed is a rate between 0 and 1"):
        detection.threshold(drawn(0, n), rate)
    assert math.isfinite(detection.threshold(drawn(0, 19), 0.05))


# --- curve and area -------------------------------------------------------------------------------------------------


@given(scores, scores)
def test_the_curve_is_that_of_scikit_learn(clean, attacked):
    table = detection.roc(torch.tensor(clean).double(), torch.tensor(attacked).double())
    labels, values = [0] * len(clean) + [1] * len(attacked), clean + attacked
    false, true, levels = roc_curve(labels, values, drop_intermediate=False)
    np.testing.assert_allclose(table["false_positive"], false)
    np.testing.assert_allclose(table["true_positive"], true)
    np.testing.assert_allclose(table["threshold"], levels)
    area = np.trapezoid(table["true_positive"], table["false_positive"])
    found = detection.auc(torch.tensor(clean).double(), torch.tensor(attacked).double())
    assert found.value == pytest.approx(area) == pytest.approx(roc_auc_score(labels, values))
    assert 0 <= found.low <= found.value <= found.high <= 1
    turned = detection.auc(torch.tensor(attacked).double(), torch.tensor(clean).double())
    assert turned.value == pytest.approx(1 - found.value)
    assert turned.error == pytest.approx(found.error)


def test_delongs_error_is_the_spread_of_the_area():
    """40 clean, 25 attacked scores, shifted by one standard deviation: repeated draws, and the bootstrap of one."""
    runs = [detection.auc(drawn(2 * s, 40), drawn(2 * s + 1, 25, 1.0)) for s in range(1500)]
    values = np.array([run.value for run in runs])
    truth = 0.5 * math.erfc(-0.5)  # P(N(1, 2) > 0)
    assert abs(values.mean() - truth) < 4.5 * values.std() / math.sqrt(1500)
    assert np.mean([run.error for run in runs]) == pytest.approx(values.std(), rel=0.05)
    covered = np.mean([run.low <= truth <= run.high for run in runs])
    assert 0.93 < covered < 0.98
    clean, attacked = drawn(0, 300), drawn(1, 200, 1.0)
    rng = np.random.default_rng(0)
    resampled = [
        detection.auc(clean[rng.integers(0, 300, 300)], attacked[rng.integers(0, 200, 200)]).value for _ in range(500)
    ]
    assert detection.auc(clean, attacked).error == pytest.approx(np.std(resampled), rel=0.1)


@pytest.mark.parametrize("correlation", [0.9, -0.9])
def test_paired_scores_need_the_error_for_pairs(correlation):
    """The attacked score of an image follows its clean score; resampling images shows the error."""
    g = settings.generator(0)
    common = torch.randn(250, generator=g, dtype=torch.float64)
    own = torch.randn(250, generator=g, dtype=torch.float64)
    clean, attacked = common, correlation * common + math.sqrt(1 - correlation**2) * own + 0.7
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(500):
        chosen = rng.integers(0, 250, 250)
        resampled.append(detection.auc(clean[chosen], attacked[chosen]).value)
    paired, unpaired = (detection.auc(clean, attacked, paired=p).error for p in (True, False))
    assert paired == pytest.approx(np.std(resampled), rel=0.1)
    assert abs(unpaired / paired - 1) > 0.2


def test_the_interval_of_a_perfect_detector_is_not_a_point():
    perfect = detection.auc(drawn(0, 30), drawn(1, 40, 100.0))
    assert (perfect.value, perfect.error, perfect.high) == (1.0, 0.0, 1.0)
    assert perfect.low == pytest.approx(0.05 ** (1 / 30))
    paired = detection.auc(drawn(0, 30), drawn(1, 30, 100.0), paired=True)
    assert paired.low == pytest.approx(0.05 ** (1 / 15))
    useless = detection.auc(drawn(0, 30, 100.0), drawn(1, 40))
    assert (useless.value, useless.low) == (0.0, 0.0)
    assert useless.high == pytest.approx(1 - 0.05 ** (1 / 30))


def test_confidence_widens_the_interval():
    narrow, wide = (detection.auc(drawn(0, 40), drawn(1, 40, 1.0), confidence=c) for c in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


# --- rates ----------------------------------------------------------------------------------------------------------


def test_rates_are_shares_at_or_above_the_threshold_with_exact_intervals():
    sources = {"clean": torch.tensor([0.0, 1.0, 2.0, 3.0]), "attacked": torch.full((50,), 9.0)}
    table = detection.detection_rates(sources, 2.0)
    assert table["source"].tolist() == ["clean", "attacked"]
    assert table["rejected"].tolist() == [0.5, 1.0]
    assert table["n"].tolist() == [4, 50]
    assert table["low"][1] == pytest.approx(0.025 ** (1 / 50))
    assert table["high"][1] == 1.0
    assert table["low"][0] == pytest.approx(0.0676, abs=1e-4)  # Clopper and Pearson: 2 of 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: detection.auc(s[:1], s), "1 clean"),
        (lambda s: detection.auc(s, s[:3], paired=True), "paired=True"),
        (lambda s: detection.auc(s, s, confidence=1.0), "confidence=1.0"),
        (lambda s: detection.roc(s, s[:0]), "'attacked'"),
        (lambda s: detection.roc(s[None], s), "'clean'"),
        (lambda s: detection.detection_rates({"PGD": s * torch.nan}, 1.0), "'PGD'"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(drawn(0, 10))
    assert "\n" not in str(refusal.value)
