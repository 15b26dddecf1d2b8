"""Synthetic samples with wrong labels."""

from __future__ import annotations

import pytest
import torch

from advsmooth.theory import corrupted_labels, regularised


@pytest.mark.parametrize("dimension", [1, 2])
def test_a_sample_is_what_it_says(dimension):
    s = corrupted_labels.draw(80, dimension, 0.1, 0, gap=0.2)
    assert s.x.shape == (80, dimension)
    assert ((s.x >= 0) & (s.x <= 1)).all()
    assert (corrupted_labels.height(s.x).abs() >= 0.1).all()
    assert torch.equal(s.clean, torch.where(corrupted_labels.height(s.x) > 0, 1.0, -1.0).double())
    assert s.wrong.sum() == 8
    assert torch.equal(s.given != s.clean, s.wrong)
    assert 10 < (s.clean > 0).sum() < 70


def test_the_points_do_not_depend_on_the_share():
    one, other = (corrupted_labels.draw(50, 2, share, 3) for share in (0.0, 0.3))
    assert torch.equal(one.x, other.x)
    assert not one.wrong.any()
    assert not torch.equal(one.x, corrupted_labels.draw(50, 2, 0.0, 4).x)


def test_a_clump_is_the_points_nearest_to_one_of_them():
    s = corrupted_labels.draw(90, 2, 0.1, 1, clump=True)
    apart = torch.cdist(s.x, s.x)
    nearest = [set(row.argsort()[:9].tolist()) for row in apart]
    assert set(s.wrong.nonzero()[:, 0].tolist()) in nearest


def test_the_border_on_the_line_is_two_points():
    x = torch.tensor([[0.29], [0.31], [0.69], [0.71]]).double()
    assert corrupted_labels.height(x).sign().tolist() == [-1, 1, 1, -1]


@pytest.mark.parametrize(
    ("n", "dimension", "share", "gap"), [(1, 1, 0, 0), (9, 3, 0, 0), (9, 1, 0.6, 0), (9, 1, 0, 0.4)]
)
def test_bad_input_is_refused(n, dimension, share, gap):
    with pytest.raises(ValueError, match="allowed is n >= 2"):
        corrupted_labels.draw(n, dimension, share, 0, gap=gap)


def test_the_outcome_counts():
    x = torch.arange(4).double()[:, None]
    clean = torch.tensor([1.0, 1.0, -1.0, -1.0]).double()
    wrong = torch.tensor([False, True, False, True])
    s = corrupted_labels.Labelled(x, clean, torch.where(wrong, -clean, clean), wrong)
    values = torch.tensor([1.0, 0.2, 0.3, 1.0]).double()
    found = corrupted_labels.judge(regularised.Minimiser(x, values, 1.0, 0.0, 0.0), s)
    assert found == corrupted_labels.Outcome(matched=0.5, kept=0.5, corrected=0.5)
    none_wrong = corrupted_labels.Labelled(x, clean, clean, wrong & False)
    outcome = corrupted_labels.judge(regularised.Minimiser(x, values, 1.0, 0.0, 0.0), none_wrong)
    assert outcome.corrected != outcome.corrected  # NaN
