"""Augmentation against a slow version with torch's own padding and slicing, and its statistics."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from advsmooth import settings
from advsmooth.training.augment import Augmentation


def batch(n=64, side=6, channels=2):
    return torch.rand(n, channels, side, side, generator=settings.generator(0)) + 0.1  # no zeros, so padding shows


def test_every_result_is_a_crop_of_the_padded_image_or_its_mirror():
    x, padding = batch(), 2
    found = Augmentation(padding)(x, settings.generator(1))
    padded = functional.pad(x, [padding] * 4)
    shifts = set()
    for before, after in zip(padded, found, strict=True):
        matches = [
            (top, left, flip)
            for flip in (False, True)
            for top in range(5)
            for left in range(5)
            if torch.equal(after, (before.flip(2) if flip else before)[:, top : top + 6, left : left + 6])
        ]
        assert len(matches) == 1
        shifts.add(matches[0])
    assert len(shifts) > 25  # of 50
    assert {flip for *_, flip in shifts} == {False, True}


def test_flips_are_fair_and_crops_uniform():
    x = torch.zeros(20_000, 1, 3, 3)
    x[:, 0, 1, 0] = 1.0  # left of the centre
    found = Augmentation(0)(x, settings.generator(0))
    assert found[:, 0, 1, 2].mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 20_000**0.5)
    centre = torch.zeros(20_000, 1, 3, 3)
    centre[:, 0, 1, 1] = 1.0
    places = Augmentation(1, flip=False)(centre, settings.generator(0)).mean(0)[0]
    torch.testing.assert_close(places, torch.full((3, 3), 1 / 9), atol=0.012, rtol=0)


def test_nothing_asked_for_changes_nothing():
    x = batch()
    assert torch.equal(Augmentation(0, flip=False)(x, settings.generator(0)), x)


def test_cutout_covers_a_square_around_a_random_pixel():
    x = batch(n=400, side=6)
    found = Augmentation(0, flip=False, cutout=3)(x, settings.generator(2))
    covered = (found == 0).all(1)
    assert torch.equal(torch.where(covered[:, None], x, found), x)
    assert torch.equal((found == 0).any(1), covered)
    sizes = covered.flatten(1).sum(1)
    assert set(sizes.tolist()) == {4, 6, 9}  # whole, cut by an edge, by a corner
    rows = covered.any(2).sum(1)
    assert torch.equal(rows * covered.any(1).sum(1), sizes)  # a rectangle


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_layout_are_kept_and_the_generator_decides(layout, dtype):
    x = batch().to(dtype).contiguous(memory_format=layout)
    state, augment = torch.random.get_rng_state(), Augmentation(1, cutout=2)
    one, again, other = (augment(x, settings.generator(s)) for s in (0, 0, 1))
    assert (one.shape, one.dtype) == (x.shape, x.dtype)
    assert one.is_contiguous(memory_format=layout)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Augmentation(padding=-1), "padding=-1: allowed is a number of pixels"),
        (lambda: Augmentation(cutout=1.5), "cutout=1.5: allowed"),
        (lambda: Augmentation()(torch.zeros(3, 4), settings.generator(0)), "augmentation takes images"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
