"""Normalisation inside the model: the formula, its statistics, and that nothing trains it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from advsmooth import data, settings
from advsmooth.models.normalise import CIFAR10, Normalise, channel_statistics

numbers = st.floats(-2, 2, width=32)
positive = st.floats(0.015625, 4, width=32)


def images(seed=0, channels=3, dtype=torch.float64):
    return torch.rand(5, channels, 4, 6, generator=settings.generator(seed), dtype=dtype)


@given(statistics=st.lists(st.tuples(numbers, positive), min_size=3, max_size=3))
@hypothesis_settings(max_examples=30, deadline=None)
def test_each_channel_is_shifted_and_scaled_by_its_own_numbers(statistics):
    mean, std = zip(*statistics, strict=True)
    x = images()
    expected = (x.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    # A wrong order (divide, then shift) or a layout with channels last would differ.
    np.testing.assert_allclose(Normalise(mean, std).double()(x).numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_default_is_the_identity_for_any_number_of_channels(channels):
    x = images(channels=channels)
    assert torch.equal(Normalise()(x), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_statistics_are_buffers(dtype):
    layer = Normalise(*CIFAR10).to(dtype)
    assert list(layer.parameters()) == []
    assert set(layer.state_dict()) == {"mean", "std"}
    assert layer(images(dtype=dtype)).dtype == dtype
    assert "0.49" in repr(layer)


def test_the_gradient_in_pixels_is_divided_by_the_deviation():
    x = images().requires_grad_()
    (gradient,) = torch.autograd.grad(Normalise(*CIFAR10).double()(x).sum(), x)
    for channel, std in enumerate(CIFAR10[1]):
        torch.testing.assert_close(gradient[:, channel], torch.full((5, 4, 6), 1 / std).double(), rtol=1e-6, atol=0)


def test_statistics_of_images_are_those_of_numpy_and_standardise_them():
    x = images(seed=3, dtype=torch.float32)
    mean, std = channel_statistics(x)
    np.testing.assert_allclose(mean, x.numpy().astype(np.float64).mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, x.numpy().astype(np.float64).std((0, 2, 3)), rtol=1e-12)
    standardised = Normalise(mean, std).double()(x.double())
    np.testing.assert_allclose(channel_statistics(standardised), ([0] * 3, [1] * 3), atol=1e-6)


def test_statistics_of_the_digits_fit_the_layer():
    digits = data.load("digits")
    (mean,), (std,) = channel_statistics(digits.x)
    assert mean == pytest.approx(float(digits.x.double().mean()), rel=1e-12)
    assert Normalise([mean], [std])(digits.x).std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Normalise([0.5], [0.2, 0.2]), r"mean of 1 and std of 2 channels: give one"),
        (lambda: Normalise([], []), r"mean of 0"),
        (lambda: Normalise([0.5], [0.0]), r"std=\(0.0,\): allowed are finite numbers, std positive"),
        (lambda: Normalise([float("nan")], [1.0]), r"allowed are finite numbers"),
        (lambda: Normalise(*CIFAR10)(torch.zeros(2, 1, 4, 4)), r"\(2, 1, 4, 4\): the normalisation has 3 channels"),
        (lambda: Normalise()(torch.zeros(2, 4)), r"\(2, 4\): the normalisation has 1 channels"),
        (lambda: channel_statistics(torch.zeros(2, 4)), r"allowed are images"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
