"""Worst cases, version spaces and the printed formulas, against listings, dense searches and autograd."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advsmooth.settings import generator
from advsmooth.theory import version_space as vs

INF = math.inf
LOG3 = math.log(3)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def loss(x: torch.Tensor, y: int, weights: torch.Tensor) -> torch.Tensor:
    """The softmax loss as everybody writes it; nothing shared with the module under test."""
    logits = x @ weights.T
    return logits.logsumexp(-1) - logits[..., y]


def sphere(p: float, d: int, n: int, seed: int) -> torch.Tensor:
    """Points of norm 1: the vertices for p = 1 and infinity, random directions (equal angles if d = 2) for p = 2."""
    if p == 1:
        return torch.cat([torch.eye(d), -torch.eye(d)]).double()
    if p == INF:
        return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=d)), dtype=torch.float64)
    if d == 2:
        angle = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
        return torch.stack([angle.cos(), angle.sin()], 1)
    u = draw(seed, n, d)
    return u / u.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("p", "q"), [(1, INF), (2, 2), (INF, 1), (3, 1.5), (1.25, 5)])
def test_dual_exponent(p: float, q: float) -> None:
    assert vs.dual_exponent(p) == pytest.approx(q)


def test_an_exponent_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="p=0.5: allowed is an exponent"):
        vs.dual_exponent(0.5)


def test_differences_leave_out_the_label_and_batch() -> None:
    weights = draw(0, 5, 4, 3)
    assert torch.equal(vs.differences(weights[0], 2), torch.stack([weights[0, j] - weights[0, 2] for j in (3, 0, 1)]))
    y = torch.tensor([0, 1, 2, 3, 0])
    batched = vs.differences(weights, y)
    assert batched.shape == (5, 3, 3)
    assert all(torch.equal(batched[i], vs.differences(weights[i], int(y[i]))) for i in range(5))
    assert vs.differences(weights[0], y).shape == (5, 3, 3)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
def test_worst_differences_are_the_largest_over_the_ball(p: float) -> None:
    x, weights, eps = draw(1, 2), draw(2, 4, 2), 0.7
    points = x + eps * sphere(p, 2, 4096, 0)
    listed = (points @ vs.differences(weights, 1).T).amax(0)
    # 4096 directions miss the best one by at most pi/4096, so the dense maximum is short by a factor cos(pi/4096).
    torch.testing.assert_close(
        vs.worst_differences(x, 1, weights, eps, p), listed, rtol=0, atol=1e-12 if p != 2 else 1e-5
    )


@pytest.mark.parametrize(
    ("p", "classes", "d"), [(1.0, 4, 3), (INF, 4, 3), (2.0, 3, 2), (INF, 3, 2), (1.0, 3, 2), (INF, 2, 4)]
)
def test_worst_case_loss_against_a_listing(p: float, classes: int, d: int) -> None:
    for seed in range(20):
        x, weights, eps = draw(seed, d), 3 * draw(seed + 100, classes, d), 0.1 + 0.1 * seed
        listed = loss(x + eps * sphere(p, d, 20_000, seed), 1, weights).max()
        exact = vs.worst_case_loss(x, 1, weights, eps, p)
        assert exact >= listed - (1e-12 if p != 2 else vs.WIDTH)
        assert exact <= listed + (1e-12 if p != 2 else 1e-5)


def test_worst_case_loss_of_the_euclidean_ball_in_many_dimensions() -> None:
    """Gradient ascent from many starts never finds more, and gets there."""
    x, weights, eps = draw(3, 7), 2 * draw(4, 3, 7), 0.8
    exact = vs.worst_case_loss(x, 0, weights, eps, 2.0)
    delta = eps * sphere(2.0, 7, 200, 5)
    for _ in range(300):
        delta = delta.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x + delta, 0, weights).sum(), delta)
        # The loss is convex in the input: the step to the best point of its linearisation never loses.
        delta = eps * gradient / gradient.norm(dim=1, keepdim=True)
    found = loss(x + delta, 0, weights).max()
    assert found <= exact + 1e-10
    assert found >= exact - 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.booleans())
def test_three_classes_need_few_vertices_of_the_cube(seed: int, d: int, ties: bool) -> None:
    rows = draw(seed, 2, d)
    if ties:  # equal angles, zeros and parallel rows are where a sweep over angles could skip a vertex
        rows = rows.round()
    clean, eps = draw(seed + 1, 2), 0.3
    cube = vs.soft_plus_sum(clean + eps * vs._cube(d) @ rows.T).max()
    few = vs.soft_plus_sum(clean + eps * vs.zonotope_signs(rows) @ rows.T).max()
    assert vs.zonotope_signs(rows).shape == (d + 1, d)
    torch.testing.assert_close(few, cube, rtol=0, atol=1e-12)


def test_a_vertex_sweep_over_half_the_angles_would_miss_some() -> None:
    """The control of the test above: with one vertex fewer it fails."""
    misses = 0
    for seed in range(40):
        rows, clean = draw(seed, 2, 6), draw(seed + 500, 2)
        cube = vs.soft_plus_sum(clean + 0.3 * vs._cube(6) @ rows.T).max()
        few = vs.soft_plus_sum(clean + 0.3 * vs.zonotope_signs(rows)[:3] @ rows.T).max()
        misses += bool(few < cube - 1e-6)
    assert misses > 10


def test_worst_case_loss_in_64_dimensions_uses_the_sweep() -> None:
    x, weights = draw(8, 64), draw(9, 3, 64)
    exact = vs.worst_case_loss(x, 2, weights, 0.1, INF)
    random = x + 0.1 * draw(10, 20_000, 64).sign()
    assert loss(random, 2, weights).max() <= exact
    towards = [x + 0.1 * (weights[j] - weights[2]).sign() for j in (0, 1)]
    assert max(loss(t, 2, weights) for t in towards) <= exact + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 2.0, INF]), st.floats(0, 2), st.floats(0, 2))
def test_the_worst_case_grows_with_the_budget(seed: int, p: float, a: float, b: float) -> None:
    x, weights = draw(seed, 3), draw(seed + 1, 3, 3)
    small, large = sorted((a, b))
    first, second = (vs.worst_case_loss(x, 0, weights, eps, p) for eps in (small, large))
    assert first <= second + 1e-9
    torch.testing.assert_close(vs.worst_case_loss(x, 0, weights, 0.0, p), loss(x, 0, weights), rtol=0, atol=1e-9)


def test_batched_budgets_and_models() -> None:
    x, weights, eps = draw(1, 6, 3), draw(2, 6, 3, 3), torch.linspace(0, 1, 6, dtype=torch.float64)
    for p in vs.NORMS:
        batch = vs.worst_case_loss(x, 1, weights, eps, p)
        single = torch.stack([vs.worst_case_loss(x[i], 1, weights[i], float(eps[i]), p) for i in range(6)])
        torch.testing.assert_close(batch, single, rtol=0, atol=2 * vs.WIDTH)


def test_what_cannot_be_exact_is_refused() -> None:
    with pytest.raises(ValueError, match="no exact worst case"):
        vs.worst_case_loss(draw(0, 20), 0, draw(1, 4, 20), 0.1, INF)
    with pytest.raises(ValueError, match="no exact worst case"):
        vs.worst_case_loss(draw(0, 3), 0, draw(1, 4, 3), 0.1, 2.0)
    with pytest.raises(ValueError, match="exact for p = 1, 2 and infinity"):
        vs.worst_case_loss(draw(0, 3), 0, draw(1, 3, 3), 0.1, 3.0)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
def test_version_margin_is_where_membership_ends(p: float) -> None:
    x, weights = draw(0, 4), draw(1, 300, 3, 4)
    weights[:, 0] += 2 * x
    margin = vs.version_margin(x, 0, weights, p)
    inside = margin > 0
    assert int(inside.sum()) > 50
    assert vs.in_version_space(x, 0, weights[inside], (margin * (1 - 1e-9))[inside], p).all()
    assert not vs.in_version_space(x, 0, weights[inside], (margin * (1 + 1e-9))[inside], p).any()
    assert margin.max() <= vs.norm(x, p) + 1e-12
    assert vs.version_margin(x, 0, torch.ones(3, 4, dtype=torch.float64), p) == INF


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
def test_slope_at_the_origin_is_the_derivative(p: float) -> None:
    x, weights, eps = draw(0, 3), draw(1, 50, 3, 3), 0.4
    t = 1e-5
    quotient = (vs.worst_case_loss(x, 1, t * weights, eps, p) - LOG3) / t
    torch.testing.assert_close(vs.slope_at_origin(x, 1, weights, eps, p), quotient, rtol=0, atol=3e-4)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("both_signs", [True, False])
def test_origin_set_by_its_definition(p: float, both_signs: bool) -> None:
    x, weights, eps = draw(0, 2), draw(1, 200, 3, 2), 0.5
    ray = torch.logspace(-6, 1, 60, dtype=torch.float64)
    gamma = torch.cat([ray, -ray]) if both_signs else ray
    values = vs.worst_case_loss(x, 1, gamma[:, None, None, None] * weights, eps, p)
    stays = values.amin(0) >= LOG3 - 1e-9
    found = vs.in_origin_set(x, 1, weights, eps, p, both_signs=both_signs)
    clear = (vs.slope_at_origin(x, 1, weights, eps, p).abs() > 0.02) & (
        vs.slope_at_origin(x, 1, -weights, eps, p).abs() > 0.02
    )
    assert torch.equal(stays[clear], found[clear])
    assert 10 < int(found[clear].sum()) < int(clear.sum()) - 10


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 1.5, 2.0, 3.0, 7.0, INF]), st.integers(1, 6))
def test_the_signed_step_attains_hoelder(seed: int, p: float, d: int) -> None:
    v = draw(seed, d)
    step = vs.dual_step(v, p)
    assert float(vs.norm(step, p)) == pytest.approx(1, abs=1e-12)
    assert float(step @ v) == pytest.approx(float(vs.norm(v, vs.dual_exponent(p))), abs=1e-11)


def test_the_printed_step() -> None:
    v = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    assert float(vs.dual_step(v, INF, signed=False) @ v) == 2  # 1 - 2 + 3, where the dual norm is 6
    assert torch.equal(vs.dual_step(v, 2.0, signed=False), vs.dual_step(v, 2.0))
    assert vs.dual_step(v, 3.0, signed=False).isnan().any()  # a square root of -2
    torch.testing.assert_close(vs.dual_step(v.abs(), 3.0, signed=False), vs.dual_step(v.abs(), 3.0))
    with pytest.raises(ValueError, match="allowed without signs is p > 1"):
        vs.dual_step(v, 1.0, signed=False)


def test_the_printed_budget_suffices_for_its_own_weights_and_diverges() -> None:
    x, weights = draw(0, 4), draw(1, 5, 4)
    for p in (1.0, INF):
        budget = vs.printed_budget(x, 2, weights, p)
        step = vs.dual_step(vs.largest_difference(2, weights, p), p)
        assert loss(x + max(0.0, float(budget)) * step, 2, weights) >= math.log(5) - 1e-12
        small = vs.printed_budget(x, 2, 1e-3 * weights, p)
        v = vs.largest_difference(2, weights, p)
        gain = (1e3 - 1) * math.log(4) / float(vs.norm(v, vs.dual_exponent(p)))
        assert float(small - budget) == pytest.approx(gain)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
def test_needed_budget_is_the_crossing(p: float) -> None:
    x, weights = draw(3, 2), draw(4, 100, 3, 2)
    need = vs.needed_budget(x, 0, weights, p)
    assert (need >= 0).all()
    assert (need <= vs.norm(x, p) + 1e-9).all()
    crossed = (need > 0) & (need < vs.norm(x, p) * 0.999)
    assert int(crossed.sum()) > 10
    at = vs.worst_case_loss(x, 0, weights[crossed], need[crossed], p)
    torch.testing.assert_close(at, torch.full_like(at, LOG3), rtol=0, atol=1e-8)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.0, 1.4])
def test_least_loss_is_attained_and_never_beaten(p: float, share: float) -> None:
    x = draw(5, 3)
    eps, size = share * float(vs.norm(x, p)), 4.0
    least = vs.least_loss(x, eps, p, classes=3, size=size)
    weights = size * vs.separating_weights(x, 1, 3, p)
    if share <= 1:
        torch.testing.assert_close(vs.worst_case_loss(x, 1, weights, eps, p), least, rtol=0, atol=1e-9)
    random = draw(6, 2000, 3, 3)
    largest = vs.norm(vs.differences(random, 1), vs.dual_exponent(p)).amax(-1)
    random = random * (size / largest)[:, None, None]
    assert (vs.worst_case_loss(x, 1, random, eps, p) >= least - 1e-9).all()
