"""LeNet against table 2 of Liu et al. (the ledger), against hand counts, and against a computation by numpy."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from advsmooth import claims, settings
from advsmooth.models.lenet import LeNet
from advsmooth.models.registry import describe

TABLE = claims.claim("liu2020-tab2").published["LeNet"]


@pytest.mark.parametrize("w", [2, 16])
def test_layers_are_those_of_the_table(w):
    conv1, conv2, fc1, fc2 = describe(LeNet((1, 28, 28), 10, w=w)).layers.values()
    assert [conv1[0], conv2[0]] == [factor * w for factor in TABLE["conv_channels_over_w"]]
    assert fc1 == (TABLE["hidden_over_w"] * w, TABLE["flattened_over_w"] * w)
    assert fc2 == (TABLE["classes"], TABLE["hidden_over_w"] * w)


def test_parameters_by_hand():
    # weights and biases: 5x5 kernels from 1 to 32 and to 64 channels, 3136 to 1024 to 10 units
    by_hand = (25 * 32 + 32) + (25 * 32 * 64 + 64) + (3136 * 1024 + 1024) + (1024 * 10 + 10)
    assert describe(LeNet((1, 28, 28), 10)).parameters == by_hand == 3_274_634


def test_forward_pass_is_the_computation_by_hand():
    model = LeNet((1, 8, 8), 10, w=1).double()
    x = torch.rand(1, 8, 8, generator=settings.generator(0), dtype=torch.float64)
    p = {name: weight.detach().numpy() for name, weight in model.named_parameters()}

    def block(h, name):
        # "same" of scipy is a padding of 2 here; relu; maxima of 2x2 squares
        out = np.stack(
            [
                sum(correlate(c, k, mode="same") for c, k in zip(h, kernel, strict=True)) + bias
                for kernel, bias in zip(p[f"{name}.weight"], p[f"{name}.bias"], strict=True)
            ]
        )
        channels, height, width = out.shape
        return np.maximum(out, 0).reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))

    features = block(block(x.numpy(), "conv1"), "conv2").reshape(-1)
    hidden = np.maximum(p["fc1.weight"] @ features + p["fc1.bias"], 0)
    expected = p["fc2.weight"] @ hidden + p["fc2.bias"]
    np.testing.assert_allclose(model(x[None]).detach().numpy()[0], expected, rtol=1e-12, atol=1e-12)


def test_the_digits_leave_sixteen_features_per_width():
    assert describe(LeNet((1, 8, 8), 10, w=2)).layers["fc1.weight"] == (128, 32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LeNet((1, 3, 28), 10), "lenet needs height and width of at least 4"),
        (lambda: LeNet((1, 28, 28), 10, w=0.5), "w=0.5: allowed is an integer"),
        (lambda: LeNet((1, 28, 28), 0), "classes=0: allowed"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
