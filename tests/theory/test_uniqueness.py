"""The set of all minimisers: extensions and widths against closed forms."""

from __future__ import annotations

import pytest
import torch

from advsmooth import settings
from advsmooth.theory import regularised, uniqueness


def line(*points):
    return torch.tensor(points, dtype=torch.float64)[:, None]


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_extensions_by_hand():
    found = regularised.Minimiser(line(0.0, 1.0), numbers(0.0, 1.0), 2.0, 0.0, 0.0)
    low, high = uniqueness.extensions(found, line(0.0, 0.5, 1.0, 2.0))
    assert low.tolist() == [0.0, 0.0, 1.0, -1.0]
    assert high.tolist() == [0.0, 1.0, 1.0, 3.0]


def test_every_value_between_the_extensions_keeps_the_constant_and_none_beyond():
    g = settings.generator(0)
    x, y = torch.rand(9, 2, generator=g, dtype=torch.float64), torch.randn(9, generator=g, dtype=torch.float64)
    found = regularised.minimise(x, y, 0.01)
    at = torch.rand(1, 2, generator=g, dtype=torch.float64)
    low, high = uniqueness.extensions(found, at)
    for share, kept in ((0.0, True), (0.4, True), (1.0, True), (1.05, False), (-0.05, False)):
        values = torch.cat([found.values, low + share * (high - low)])
        constant = regularised.lipschitz_constant(torch.cat([x, at]), values)
        assert (constant <= found.lipschitz * (1 + 1e-9)) is kept


def test_two_points_squared_loss():
    """In the direction of the constants the objective rises by the square of the shift."""
    x, y = line(0.0, 1.0), numbers(0.0, 1.0)
    best = regularised.minimise(x, y, 0.1)
    for slack in (1e-4, 1e-2):
        found = uniqueness.width(x, y, 0.1, best.objective + slack, torch.ones(2).double())
        assert found == pytest.approx(2 * slack**0.5, rel=1e-2)


def test_two_points_absolute_loss():
    """At a price above d/2 every constant between the labels is a minimiser, of objective 1/2."""
    x, y = line(0.0, 1.0), numbers(0.0, 1.0)
    ones = torch.ones(2).double()
    assert uniqueness.width(x, y, 0.6, 0.5 + 1e-8, ones, loss="absolute") == pytest.approx(1.0, abs=1e-5)
    assert uniqueness.width(x, y, 0.6, 0.6, ones, loss="absolute") == pytest.approx(1.2, abs=1e-5)


def test_bad_input_is_refused():
    x, y, ones = line(0.0, 1.0), numbers(0.0, 1.0), torch.ones(2).double()
    with pytest.raises(ValueError, match="allowed is squared, absolute"):
        uniqueness.width(x, y, 0.1, 1.0, ones, loss="kl")
    with pytest.raises(ValueError, match="allowed is a limit above the minimum"):
        uniqueness.width(x, y, 0.1, 0.0, ones)
