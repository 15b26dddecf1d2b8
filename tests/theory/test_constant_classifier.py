"""The budget at which a linear model collapses: radii against a search, bounds against exact losses."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advsmooth import data
from advsmooth.settings import generator
from advsmooth.theory import constant_classifier as cc
from advsmooth.theory import version_space as vs
from advsmooth.theory import worst_case_training as wt

INF = math.inf
LOG3 = math.log(3)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def clouds(seed: int, sizes: tuple[int, ...], d: int = 2, std: float = 0.7) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return draw(seed, len(sizes), d)[y] + std * draw(seed + 1, len(y), d), y


def shares_of(seed: int, classes: int) -> torch.Tensor:
    raw = 0.2 + torch.rand(classes, generator=generator(seed), dtype=torch.float64)
    return raw / raw.sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(vs.NORMS), st.integers(2, 6), st.integers(1, 5), st.booleans())
def test_the_two_bounds_of_the_radius_meet(seed: int, p: float, classes: int, d: int, unequal: bool) -> None:
    means = draw(seed, classes, d)
    pi = shares_of(seed, classes) if unequal else torch.full((classes,), 1 / classes, dtype=torch.float64)
    found = cc.collapse_radius(means, p, shares=pi)
    assert found.gap == pytest.approx(0, abs=1e-9)
    scale = 1 / (classes * pi)
    # The certificate is what it says: feasible multipliers, and the value they give.
    b = found.multipliers
    assert (scale @ b).abs().max() < 1e-12
    assert float(vs.norm(b, vs.dual_exponent(p)).sum()) == pytest.approx(1, abs=1e-12)
    assert -float((b * means).sum()) == pytest.approx(found.lower, abs=1e-12)
    assert float(vs.norm(means - scale[:, None] * found.centre, p).max()) == pytest.approx(found.upper)


def test_known_radii() -> None:
    corners = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert cc.collapse_radius(corners, INF).upper == pytest.approx(1)  # half the larger range
    assert cc.collapse_radius(corners, 2.0).upper == pytest.approx(math.sqrt(2))  # right angle: half the hypotenuse
    assert cc.collapse_radius(corners, 1.0).upper == pytest.approx(2)  # half of |(2,-2)|_1
    two = draw(0, 2, 5)
    for p in vs.NORMS:
        assert cc.collapse_radius(two, p).upper == pytest.approx(float(vs.norm(two[0] - two[1], p)) / 2)
    same = torch.ones(4, 3, dtype=torch.float64)
    assert cc.collapse_radius(same, 2.0).upper == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p", vs.NORMS)
def test_the_radius_against_a_search_over_centres(p: float) -> None:
    means, pi = draw(7, 4, 2), shares_of(8, 4)
    scale = 1 / (4 * pi)
    grid = torch.cartesian_prod(*[torch.linspace(-3, 3, 601, dtype=torch.float64)] * 2)
    searched = vs.norm(means[:, None] - scale[:, None, None] * grid, p).amax(0).min()
    found = cc.collapse_radius(means, p, shares=pi)
    assert found.upper <= float(searched) + 1e-12
    assert found.upper >= float(searched) - 0.02 * float(scale.max())


def test_a_bias_makes_the_radius_independent_of_the_shares() -> None:
    means = draw(9, 4, 3)
    for p in vs.NORMS:
        plain = cc.collapse_radius(means, p).upper
        assert cc.collapse_radius(means, p, shares=shares_of(1, 4), bias=True).upper == pytest.approx(plain)
        assert cc.collapse_radius(means, p, shares=shares_of(1, 4)).upper != pytest.approx(plain, rel=1e-3)
        moved = cc.collapse_radius(means + 5.0, p).upper
        assert moved == pytest.approx(plain)


def test_bad_shares_norms_and_labels_are_refused() -> None:
    means = draw(0, 3, 2)
    with pytest.raises(ValueError, match="p=3.0: the radius is solved for"):
        cc.collapse_radius(means, 3.0)
    with pytest.raises(ValueError, match="3 positive numbers of sum 1"):
        cc.collapse_radius(means, 2.0, shares=torch.tensor([0.5, 0.5, 0.0]))
    with pytest.raises(ValueError, match="each with an input"):
        cc.class_means(draw(1, 3, 2), torch.tensor([0, 2, 2]))
    with pytest.raises(ValueError, match="allowed are 2 or 3 classes"):
        wt.minimise(*clouds(0, (3, 3, 3, 3)), 0.1, INF)


@pytest.mark.parametrize("p", vs.NORMS)
@pytest.mark.parametrize("sizes", [(20, 20, 20), (30, 12, 6)])
def test_shifted_inputs_leave_nothing_to_learn(p: float, sizes: tuple[int, ...]) -> None:
    x, y = clouds(3, sizes)
    means, pi = cc.class_means(x, y)
    radius = cc.collapse_radius(means, p, shares=pi)
    moved = cc.shifted_towards(x, y, radius, scale=1 / (3 * pi))
    assert float(vs.norm(moved - x, p).max()) <= radius.upper + 1e-12
    weights = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(moved @ weights.T, y)
    (gradient,) = torch.autograd.grad(loss, weights)
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("p", vs.NORMS)
def test_adversarial_loss_is_the_mean_of_the_worst_cases(p: float) -> None:
    x, y = clouds(4, (5, 4, 3))
    weights = draw(5, 3, 2)
    direct = torch.stack([vs.worst_case_loss(x[i], int(y[i]), weights, 0.3, p) for i in range(len(y))]).mean()
    assert cc.adversarial_loss(x, y, weights, 0.3, p) == pytest.approx(float(direct), abs=1e-9)
    # A bias is a further input of value 1 that the adversary leaves alone; compare at eps = 0.
    b = draw(6, 3)
    expected = torch.nn.functional.cross_entropy(x @ weights.T + b, y)
    assert cc.adversarial_loss(x, y, weights, 0.0, p, bias=b) == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize("p", vs.NORMS)
def test_the_guaranteed_drop_is_kept(p: float) -> None:
    x, y = clouds(14, (20, 20, 20))
    radius = cc.collapse_radius(cc.class_means(x, y)[0], p)
    for share in (0.0, 0.5, 0.9, 0.99):
        drop = cc.guaranteed_drop(x, share * radius.upper, p, radius)
        scales = torch.logspace(-4, 2, 200, dtype=torch.float64)
        along = min(cc.adversarial_loss(x, y, t * radius.direction, share * radius.upper, p) for t in scales)
        assert drop > 0
        assert along <= LOG3 - 0.999 * drop  # 200 scales miss the best one by a few per cent of itself
    assert cc.guaranteed_drop(x, radius.upper, p, radius) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(vs.NORMS), st.floats(0, 2))
def test_the_slope_bound_holds_for_all_weights(seed: int, p: float, share: float) -> None:
    x, y = clouds(seed, (6, 5, 4))
    means, pi = cc.class_means(x, y)
    radius = cc.collapse_radius(means, p, shares=pi)
    weights = draw(seed + 2, 3, 2) * 10 ** float(draw(seed + 3, 1))
    excess = cc.adversarial_loss(x, y, weights, share * radius.upper, p) - LOG3
    assert excess >= float(cc.slope_bound(weights, pi, share * radius.upper, p, radius.upper)) - 1e-9


def test_the_slope_bound_is_attained_along_the_certificate() -> None:
    x, y = clouds(15, (6, 5, 4))
    means, pi = cc.class_means(x, y)
    for p in vs.NORMS:
        radius = cc.collapse_radius(means, p, shares=pi)
        direction = radius.direction
        for share in (0.5, 1.0, 1.5):
            eps, t = share * radius.upper, 1e-6
            rate = (cc.adversarial_loss(x, y, t * direction, eps, p) - LOG3) / t
            assert rate == pytest.approx(eps - radius.upper, abs=2e-4)
            assert float(cc.slope_bound(direction, pi, eps, p, radius.upper)) == pytest.approx(
                eps - radius.upper, abs=1e-9
            )


def test_robust_accuracy_against_all_vertices() -> None:
    x, y = clouds(16, (10, 10, 10))
    weights, eps = draw(17, 3, 2), 0.2
    cube = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=2)), dtype=torch.float64)
    logits = (x[:, None] + eps * cube) @ weights.T
    expected = (logits.argmax(-1) == y[:, None]).all(1).double().mean()
    assert cc.robust_accuracy(x, y, weights, eps, INF) == pytest.approx(float(expected))


def test_accuracy_shares_ties() -> None:
    x, y = torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 2])
    assert cc.accuracy(x, y, torch.eye(3, dtype=torch.float64)) == 1
    assert cc.accuracy(x, y, torch.zeros(3, 3, dtype=torch.float64)) == pytest.approx(1 / 3)


def test_balanced_subsets() -> None:
    loaded = data.load("digits")
    x, y = cc.balanced(loaded, [7, 0], 4)
    assert x.shape == (8, 64)
    assert y.tolist() == [0] * 4 + [1] * 4
    torch.testing.assert_close(x[0], loaded.x[loaded.y == 7][0].flatten().double())
    with pytest.raises(data.DataError, match="at least two different ones of digits: 0, 1, 2"):
        cc.balanced(loaded, [3, 12], 4)
    with pytest.raises(data.DataError, match="at least two different ones"):
        cc.balanced(loaded, [3, 3], 4)
