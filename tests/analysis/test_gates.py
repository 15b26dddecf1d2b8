"""Simulated gates and layers against direct computation."""

from __future__ import annotations

import pytest
import torch

from advsmooth import settings
from advsmooth.analysis import gates
from advsmooth.models import fcn


@pytest.mark.parametrize("cosine", [-1.0, -0.5, 0.0, 0.7, 1.0])
def test_vectors_have_the_angle_asked_for(cosine):
    u, v = gates.vectors_at(cosine, 6, settings.generator(0))
    assert u.norm().item() == pytest.approx(1)
    assert v.norm().item() == pytest.approx(1)
    assert (u @ v).item() == pytest.approx(cosine, abs=1e-12)


def test_gate_and_coin():
    g = settings.generator(1)
    w = torch.tensor([[2.0, 1.0], [2.0, -1.0], [-3.0, 0.0]], dtype=torch.float64)
    u, v = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert gates.gated_square(w, u, v).tolist() == [4.0, 0.0, 9.0]  # a pre-activation of exactly 0 counts as open
    coins = gates.coin_square(w[:1].expand(2_000, 2), u, g)
    assert set(coins.tolist()) == {0.0, 4.0}
    assert abs(coins.mean().item() - 2) < 4.5 * 2 / 2_000**0.5


def test_layer_energies_are_gated_squares_over_rows():
    g = settings.generator(2)
    h, v = torch.randn(2, 5, generator=g, dtype=torch.float64)
    found = gates.layer_energies(h, v, 3, 0.5, 40, settings.generator(3), batch=40)
    w = 0.5 * torch.randn(40, 3, 5, generator=settings.generator(3), dtype=torch.float64)
    by_hand = torch.stack([gates.gated_square(matrix, h, v).sum() / h.square().sum() for matrix in w])
    torch.testing.assert_close(found, by_hand)


def test_propagated_energy_is_that_of_the_layers():
    g = settings.generator(4)
    weights = fcn.draw_weights(5, 4, 2, 4, "he", g, networks=7, dtype=torch.float64)
    x, r = torch.randn(2, 7, 5, generator=g, dtype=torch.float64)
    inputs, perturbed = gates.propagated(weights, x), gates.propagated(weights, x, r)
    for i in range(7):
        single = [w[i] for w in weights]
        t = r[i]
        assert inputs[i, 0].item() == pytest.approx(x[i].square().sum().item())
        for layer, (weight, sign, h) in enumerate(
            zip(single, fcn.sign_matrices(single, x[i]), fcn.hidden_states(single, x[i]), strict=False), start=1
        ):
            t = sign * (weight @ t)
            assert inputs[i, layer].item() == pytest.approx(h.square().sum().item())
            assert perturbed[i, layer].item() == pytest.approx(t.square().sum().item())


def test_ratios_leave_out_networks_that_are_dead_already():
    energies = torch.tensor([[1.0, 2.0, 0.0, 0.0], [1.0, 4.0, 2.0, 6.0]])
    assert gates.step_ratios(energies, 1).tolist() == [0.0, 0.5]
    assert gates.step_ratios(energies, 2).tolist() == [3.0]


def test_tables_of_steps():
    energies = torch.tensor([[1.0, 2.0, 4.0, 0.0], [1.0, 1.0, 3.0, 3.0], [1.0, 3.0, 3.0, 6.0], [1.0, 0.0, 0.0, 0.0]])
    means = gates.step_means(energies)
    assert means["layer"].tolist() == [1, 2]
    assert means["mean"].tolist() == pytest.approx([2.0, 1.0])  # the dead network of the last row is left out
    assert means["error"].tolist() == pytest.approx([1 / 3**0.5, 1 / 3**0.5])
    correlations = gates.step_correlations(energies)
    assert correlations["layer"].tolist() == [1, 2]
    # ratios (2, 1, 3) and (2, 3, 1); then (2, 3, 1) and (0, 1, 2)
    assert correlations["correlation"].tolist() == pytest.approx([-1.0, -0.5], abs=1e-6)
    assert correlations["error"].tolist() == pytest.approx([3**-0.5] * 2)


@pytest.mark.parametrize("cosine", [1.5, -2.0])
def test_impossible_angles_are_refused(cosine):
    with pytest.raises(ValueError, match="allowed are a cosine"):
        gates.vectors_at(cosine, 3, settings.generator(0))
