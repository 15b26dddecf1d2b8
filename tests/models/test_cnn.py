"""The reconstructed convolutional network of Zhu et al.: its weights, its variances, and its homogeneity."""

# ruff: noqa: N803 - L is the paper's own symbol

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.models.cnn import CNN
from advsmooth.models.fcn import FCN, Initialisation


def images(seed=0, channels=2):
    return torch.rand(3, channels, 6, 5, generator=settings.generator(seed), dtype=torch.float64)


@pytest.mark.parametrize(("m", "L"), [(3, 2), (5, 3), (4, 6)])
def test_shapes_and_parameters_by_hand(m, L):
    network = CNN((2, 6, 5), 7, m=m, L=L)
    assert [tuple(w.shape) for w in network.weights] == [(m, 2, 3, 3), *[(m, m, 3, 3)] * (L - 2), (7, m)]
    assert sum(w.numel() for w in network.parameters()) == 9 * 2 * m + (L - 2) * 9 * m * m + 7 * m


def test_it_is_the_fully_connected_network_on_one_pixel():
    """On 1x1 images only the middle of each kernel sees anything but padding, and the mean is over one pixel."""
    network = CNN((4, 1, 1), 3, m=6, L=4, alpha=2.0).double()
    dense = FCN(4, 6, 3, 4, alpha=2.0).double()
    with torch.no_grad():
        for kernel, weight in zip(network.weights, dense.weights, strict=True):
            weight.copy_(kernel if kernel.ndim == 2 else kernel[:, :, 1, 1])
    x = torch.randn(5, 4, generator=settings.generator(1), dtype=torch.float64)
    torch.testing.assert_close(network(x[:, :, None, None]), dense(x), rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 10**6), c=st.floats(0.01, 100), L=st.integers(2, 5))
@hypothesis_settings(max_examples=20, deadline=None)
def test_no_biases_make_it_homogeneous_in_the_input(seed, c, L):
    network = CNN((2, 6, 5), 3, m=4, L=L, generator=seed).double()
    torch.testing.assert_close(network(c * images()), c * network(images()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("scheme", "variances"),
    [
        ("he", (2 / 18, 2 / 180, 2 / 20)),
        ("lecun", (1 / 18, 1 / 180, 1 / 20)),
        ("ntk", (2 / 180, 2 / 180, 1 / 500)),
        (Initialisation.from_variances(0.5, 0.01, 3.0), (0.5, 0.01, 3.0)),
    ],
)
def test_weights_have_the_variances_of_their_scheme(scheme, variances):
    network = CNN((2, 4, 4), 500, m=20, L=3, scheme=scheme, generator=4)
    for weight, variance in zip(network.weights, variances, strict=True):
        z = (weight.square().mean().item() / variance - 1) / math.sqrt(2 / weight.numel())
        assert abs(z) < 4  # the mean square of n normals has relative standard deviation sqrt(2/n)


def test_a_seed_or_a_generator_fixes_it_and_the_global_generator_is_not_read():
    state = torch.random.get_rng_state()
    first, same = CNN((1, 4, 4), 2, generator=3), CNN((1, 4, 4), 2, generator=settings.generator(3))
    other = CNN((1, 4, 4), 2, generator=4)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.weights, same.weights, strict=True))
    assert not torch.equal(first.weights[0], other.weights[0])


def test_it_shows_its_sizes():
    assert "m=3, L=5, alpha=0.5" in repr(CNN((1, 4, 4), 2, m=3, L=5, alpha=0.5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CNN((1, 4, 4), 2, m=0), "m=0: allowed is an integer, at least 1"),
        (lambda: CNN((1, 4, 4), 2, L=1), "L=1: allowed is an integer, at least 2"),
        (lambda: CNN((1, 4, 4), 2, alpha=-1.0), "alpha=-1.0: allowed is a positive number"),
        (lambda: CNN((1, 4, 4), 2, scheme="hee"), "did you mean 'he'"),
        (lambda: CNN((16,), 2), "cnn takes images"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
