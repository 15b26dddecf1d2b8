"""Losses of single examples against their definitions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from advsmooth import settings
from advsmooth.attacks import losses


def draw(seed, n=20, classes=5):
    g = settings.generator(seed)
    logits = torch.randn(n, classes, generator=g, dtype=torch.float64)
    return logits, torch.randint(classes, (n,), generator=g)


@given(st.integers(0, 1000), st.integers(2, 6))
def test_margin_by_the_plain_definition(seed, classes):
    logits, y = draw(seed, classes=classes)
    for row, label, value, other in zip(
        logits.tolist(), y.tolist(), losses.margin(logits, y), losses.best_other(logits, y).indices, strict=True
    ):
        rest = [f for k, f in enumerate(row) if k != label]
        assert value == max(rest) - row[label]
        assert row[other] == max(rest)
        assert other != label
    assert torch.equal(losses.margin(logits, y) > 0, losses.succeeded(logits, y))


def test_dlr_by_the_plain_definition_and_without_scale():
    logits, y = draw(0)
    for row, label, value in zip(logits.tolist(), y.tolist(), losses.dlr(logits, y), strict=True):
        first, _, third = sorted(row, reverse=True)[:3]
        rest = max(f for k, f in enumerate(row) if k != label)
        assert value == pytest.approx(-(row[label] - rest) / (first - third), rel=1e-9)
    torch.testing.assert_close(losses.dlr(1000 * logits, y), losses.dlr(logits, y))


def test_dlr_needs_three_classes():
    with pytest.raises(ValueError, match="2 classes.*use margin"):
        losses.dlr(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))


def test_cross_entropy_of_labels_and_of_probabilities():
    logits, y = draw(1)
    expected = -functional.log_softmax(logits, 1)[torch.arange(20), y]
    torch.testing.assert_close(losses.cross_entropy(logits, y), expected)
    one_hot = functional.one_hot(y, 5).double()
    torch.testing.assert_close(losses.cross_entropy(logits, one_hot), expected)


def test_success_is_another_class_or_the_target():
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    y = torch.tensor([0, 1])
    assert losses.succeeded(logits, y).tolist() == [False, True]
    assert losses.succeeded(logits, y, targeted=True).tolist() == [True, False]
