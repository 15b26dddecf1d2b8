"""The lazy training ratio in both of its candidate forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import settings
from advsmooth.analysis import laziness
from advsmooth.models import fcn
from advsmooth.models.fcn import FCN


def test_both_forms_by_hand():
    start = {"1": torch.tensor([[3.0, 4.0]]), "2": torch.tensor([[2.0], [0.0]])}
    now = {"1": torch.tensor([[3.0, 5.0]]), "2": torch.tensor([[2.0], [1.0]]), "bias": torch.tensor([7.0])}
    assert {k: v.item() for k, v in laziness.relative_movement(start, now).items()} == {"1": 0.2, "2": 0.5}
    assert laziness.kappa(start, now).item() == pytest.approx(0.35)
    assert laziness.kappa(start, now, form="ratio").item() == pytest.approx(2 / 7)


@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.sampled_from(["mean", "ratio"]))
def test_zero_at_the_start_and_invariant_under_scaling_of_everything(seed, scale, form):
    model = FCN(5, 7, 2, 3, generator=seed)
    start = laziness.weights(model)
    assert laziness.kappa(start, laziness.weights(model), form=form) == 0
    now = {name: w + torch.randn(w.shape, generator=settings.generator(seed)) for name, w in start.items()}
    scaled = [{name: scale * w for name, w in weights.items()} for weights in (start, now)]
    assert laziness.kappa(*scaled, form=form).item() == pytest.approx(
        laziness.kappa(start, now, form=form).item(), rel=1e-5
    )


def test_scaling_one_layer_tells_the_forms_apart():
    start = {"1": torch.ones(2, 2), "2": torch.ones(2, 2)}
    now = {"1": torch.full((2, 2), 1.1), "2": torch.full((2, 2), 2.0)}
    scaled = [{**weights, "2": 100 * weights["2"]} for weights in (start, now)]
    assert laziness.kappa(start, now) == laziness.kappa(*scaled)
    assert laziness.kappa(*scaled, form="ratio") > 1.5 * laziness.kappa(start, now, form="ratio")


def test_stacked_networks_are_measured_one_by_one():
    g = settings.generator(0)
    start, now = (
        {str(k): w for k, w in enumerate(fcn.draw_weights(4, 6, 2, 3, "he", g, networks=5))} for _ in range(2)
    )
    for form in ("mean", "ratio"):
        together = laziness.kappa(start, now, form=form, stacked=True)
        single = [
            laziness.kappa(*({k: w[i] for k, w in ws.items()} for ws in (start, now)), form=form) for i in range(5)
        ]
        torch.testing.assert_close(together, torch.stack(single))
    assert laziness.relative_movement(start, now, stacked=True)["0"].shape == (5,)


def test_weights_are_copies_without_biases_and_norm_layers():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    found = laziness.weights(model)
    assert list(found) == ["0.weight", "2.weight"]
    with torch.no_grad():
        model[0].weight.zero_()
    assert found["0.weight"].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: laziness.kappa({}, w), "at least one layer"),
        (lambda w: laziness.kappa(w, {}), "layer '1': missing"),
        (lambda w: laziness.kappa(w, {"1": torch.ones(3, 2)}), "another shape"),
        (lambda w: laziness.kappa({"1": torch.zeros(2, 2)}, w), "starts at zero"),
        (lambda w: laziness.kappa(w, w, form="sum"), "form='sum'"),
        (lambda _: laziness.weights(nn.BatchNorm1d(2)), "two dimensions"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call({"1": torch.ones(2, 2)})
    assert "\n" not in str(refusal.value)
