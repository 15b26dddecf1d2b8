"""Pieces of ReLU networks against a dense grid, and the ring cut open against a search."""

from __future__ import annotations

import math

import pytest
import torch

from advsmooth import settings
from advsmooth.theory import convex_domains as cd


def network(seed, units=5, outputs=3):
    g = settings.generator(seed)
    shapes = ((units, 2), (units,), (outputs, units))
    b, c, a = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in shapes)
    return 2 * b, c, a


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_those_that_a_dense_grid_meets(seed):
    b, c, a = network(seed)
    found = cd.pieces(b, c, a)
    line = (torch.arange(600, dtype=torch.float64) + 0.5) / 600
    grid = torch.cartesian_prod(line, line)
    on_grid = {tuple(row) for row in (grid @ b.T + c > 0).int().tolist()}
    patterns = {tuple(row) for row in (found.centres @ b.T + c > 0).int().tolist()}
    assert on_grid <= patterns
    small = found.radii < 2 / 600
    assert len(patterns) - len(on_grid) <= int(small.sum())
    assert ((found.centres > 0) & (found.centres < 1)).all()


def test_the_jacobian_of_a_piece_is_that_of_the_network():
    b, c, a = network(1)
    found = cd.pieces(b, c, a)
    for centre, jacobian in zip(found.centres, found.jacobians, strict=True):
        dense = torch.func.jacrev(lambda x: a @ torch.relu(b @ x + c))(centre)
        torch.testing.assert_close(jacobian, dense)


def test_the_steepest_pair_has_the_largest_norm_as_its_quotient():
    b, c, a = network(2)
    found = cd.pieces(b, c, a)
    one, two = cd.steepest_pair(found)
    values = [a @ torch.relu(b @ x + c) for x in (one, two)]
    quotient = (values[0] - values[1]).abs().max() / (one - two).norm()
    torch.testing.assert_close(quotient, found.gradient_norms.max(), rtol=1e-9, atol=0)


def test_too_many_units_are_refused():
    with pytest.raises(ValueError, match="13 hidden units"):
        cd.pieces(*network(0, units=13))


@pytest.mark.parametrize("opening", [0.5, math.pi / 2, math.pi, 1.5 * math.pi, 6.0])
def test_the_constant_of_the_ring_by_search(opening):
    r = torch.linspace(1, 2, 9, dtype=torch.float64)
    angle = torch.linspace(0, opening, 41, dtype=torch.float64)
    polar = torch.cartesian_prod(r, angle)
    points = torch.stack([polar[:, 0] * polar[:, 1].cos(), polar[:, 0] * polar[:, 1].sin()], 1)
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    quotient = ((polar[:, None, 1] - polar[None, :, 1]).abs() / apart).max()
    assert quotient.item() == pytest.approx(cd.slit_annulus_constant(opening), rel=1e-12)
    torch.testing.assert_close(cd.polar_angle(points), polar[:, 1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("opening", [0.0, 7.0])
def test_an_opening_out_of_range_is_refused(opening):
    with pytest.raises(ValueError, match="opening"):
        cd.slit_annulus_constant(opening)
