"""Networks on the line: the loss by hand, padding, and what training reaches."""

from __future__ import annotations

import pytest
import torch

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.training import line_networks


def numbers(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_the_loss_by_hand_and_without_the_padding():
    u, x, y = numbers([0.0, 1.0, 9.0]), numbers([0.0, 0.5, 0.5]), numbers([0.0, 0.0, 0.0])
    loss = line_networks.regularised_loss(u, x, y, torch.tensor([2]), 0.1)
    assert loss.tolist() == pytest.approx([0.5 + 0.1 * 2])


def test_samples_of_different_sizes_do_not_mix():
    g = settings.generator(0)
    samples = [(torch.rand(n, generator=g, dtype=torch.float64),) * 2 for n in (5, 9)]
    options = {"depth": 3, "width": 8, "steps": 0, "rate": 0.01, "seed": 1}
    both = line_networks.train(samples, 0.02, **options)
    for row, (x, y) in enumerate(samples):
        values = both(x.sort().values)[row][None]
        order = y.argsort()
        alone = line_networks.regularised_loss(values, x[order][None], y[order][None], torch.tensor([len(x)]), 0.02)
        assert both.objective[row].item() == pytest.approx(alone.item(), rel=1e-9)


def test_values_are_those_of_the_fully_connected_network():
    x = torch.linspace(0, 1, 7, dtype=torch.float64)
    trained = line_networks.train([(x, x), (x, 1 - x)], 0.01, depth=4, width=6, steps=2, rate=0.01, seed=0)
    inputs = torch.stack([2 * x - 1, torch.ones_like(x)], dim=1)
    for row in range(2):
        plain = fcn.forward([weight[row] for weight in trained.weights], inputs)[:, 0]
        torch.testing.assert_close(trained(x)[row], plain)


@pytest.mark.parametrize("depth", [2, 4])
def test_training_comes_near_the_known_minimum(depth):
    """y = x at 0, 1/20, ..., 1: the minimum is s = 1 - price / 2V in closed form."""
    x = torch.linspace(0, 1, 21, dtype=torch.float64)
    variance = x.var(correction=0).item()
    share = 1 - 0.05 / (2 * variance)
    least = (1 - share) ** 2 * variance + 0.05 * share
    trained = line_networks.train([(x, x)] * 2, 0.05, depth=depth, width=16, steps=400, rate=0.02, seed=3)
    assert bool((trained.objective >= least - 1e-12).all())
    assert trained.objective.min().item() < least + 1e-3
