"""Two-layer Gram matrices and their bounds: closed forms, automatic differentiation, simulation."""

# ruff: noqa: N803, N806 - W is the paper's own symbol

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.theory import gram
from advsmooth.training import two_layers


def points(n, d, seed=0):
    x = torch.randn(n, d, generator=settings.generator(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(x, dim=1)


def test_the_sum_of_both_matrices_is_that_of_the_parameter_gradients():
    x = points(5, 7)
    W, a = two_layers.draw(7, 9, 0.5, 2.0, 1)

    def f(W, a):
        return two_layers.predictions(W, a, x, 3.0)

    by_w, by_a = torch.func.jacrev(f, argnums=(0, 1))(W, a)
    torch.testing.assert_close(by_w.flatten(1) @ by_w.flatten(1).T, gram.first_layer(W, a, x, 3.0))
    torch.testing.assert_close(by_a @ by_a.T, gram.second_layer(W, x, 3.0))


def test_angles_are_accurate_where_the_cosine_is_not():
    tiny = torch.tensor([[1.0, 0.0], [1.0, 1e-9], [-3.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    found = gram.angles(tiny)
    expected = [0.0, 1e-9, math.pi, math.pi / 2]
    torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match="zero"):
        gram.angles(torch.zeros(1, 2))


@pytest.mark.parametrize("cosine", [-0.9, 0.0, 0.6])
def test_the_means_are_integrals_over_the_angle_of_the_weight(cosine):
    """In the plane the direction of w is uniform and its square norm has mean 2."""
    angle = math.acos(cosine)
    x = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    phi = (torch.arange(200_000, dtype=torch.float64) + 0.5) * (2 * math.pi / 200_000)
    w = torch.stack([phi.cos(), phi.sin()], 1)
    before = w @ x.T
    opened = ((before > 0).all(1)).double().mean().item()
    product = 2 * before.clamp_min(0).prod(1).mean().item()
    assert gram.both_open(x)[0, 1].item() == pytest.approx(opened, abs=1e-5)
    assert gram.mean_first_layer(x)[0, 1].item() == pytest.approx(cosine * opened, abs=1e-5)
    assert gram.mean_second_layer(x)[0, 1].item() == pytest.approx(product, abs=1e-8)


def test_the_gradient_of_the_mean_kernel_is_that_of_automatic_differentiation():
    x, z, weight = points(3, 4), points(6, 4, 1), torch.tensor([1.0, -1, 2, 0, 1, -3], dtype=torch.float64)

    def total(s):
        kernel = 0.7 * gram.mean_first_layer(s[None], z) + 0.2 * gram.mean_second_layer(s[None], z)
        return (kernel[0] * weight).sum()

    expected = torch.stack([torch.func.grad(total)(s) for s in x])
    torch.testing.assert_close(gram.mean_gradient(x, z, weight, 0.7, 0.2), expected)
    assert torch.isfinite(gram.mean_gradient(z, z, weight)).all()


def test_mean_square_of_the_random_matrix_by_simulation():
    x = points(4, 3)
    w = torch.randn(40_000, 3, generator=settings.generator(2), dtype=torch.float64)
    gates = (w @ x.T >= 0).double()
    M = gates[:, :, None] * (x @ x.T) * gates[:, None]
    squares = M @ M
    error = squares.std(0) / len(w) ** 0.5
    assert ((squares.mean(0) - gram.mean_square(x)).abs() <= 5 * error + 1e-12).all()


@given(st.integers(0, 50), st.sampled_from([0.02, 0.2]))
def test_both_bounds_hold_far_more_often_than_they_must(seed, delta):
    x = points(4, 6)
    W, a = two_layers.draw(6, 300, 1.0, 1.0, seed)
    away = gram.first_layer(W, a, x) / 300 - gram.mean_first_layer(x)
    assert away.norm().item() <= gram.entry_bound(x, 300, delta)
    assert gram.deviation(away, 0 * away).item() <= gram.matrix_bound(x, 300, delta)


@pytest.mark.parametrize("bound", [gram.entry_bound, gram.matrix_bound])
def test_the_width_is_the_smallest_that_will_do(bound):
    x = points(4, 6)
    m = gram.width_needed(bound, x, 0.1, 0.05)
    assert bound(x, m, 0.1) <= 0.05 < bound(x, m - 1, 0.1)
    with pytest.raises(ValueError, match="parallel"):
        gram.width_needed(bound, x, 0.1, 0.0)


def test_a_gate_turns_with_the_exact_probability():
    z = torch.randn(200_000, generator=settings.generator(0), dtype=torch.float64)
    for rho in (0.1, 1.0):
        p = gram.flip_probability(torch.tensor(rho)).item()
        assert (z.abs() < rho).double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / len(z)) ** 0.5)
        assert p < gram.FLIP * rho


@given(st.integers(0, 30), st.floats(0.0, 2.0), st.floats(0.0, 2.0))
def test_no_movement_changes_the_matrix_by_more(seed, rho, sigma):
    x = points(4, 6)
    W, a = two_layers.draw(6, 40, 0.3, 2.0, seed)
    g = settings.generator(seed + 1)
    step = torch.nn.functional.normalize(torch.randn(40, 6, generator=g, dtype=torch.float64), dim=1)
    moved = W + 0.3 * rho * step, a + 2.0 * sigma * (2 * torch.rand(40, generator=g, dtype=torch.float64) - 1)
    change = (gram.first_layer(*moved, x) - gram.first_layer(W, a, x)).abs().sum() / (40 * 4.0)
    assert change <= gram.movement_bound(W, a, x, rho, sigma, 0.3, 2.0) + 1e-12


def test_the_mean_of_the_movement_bound_and_the_radius():
    x = points(4, 6)
    W, a = two_layers.draw(6, 50, 0.3, 2.0, 0, networks=2000)
    found = gram.movement_bound(W, a, x, 0.05, 0.1, 0.3, 2.0)
    error = found.std().item() / 2000**0.5
    assert found.mean().item() <= gram.mean_movement_bound(x, 0.05, 0.1) + 4 * error
    assert found.mean().item() >= 0.8 * gram.mean_movement_bound(x, 0.05, 0.1)
    rho = gram.radius(x, 0.1, 0.3)
    assert gram.mean_movement_bound(x, rho, rho) == pytest.approx(0.1 * 0.3 / 4)


def test_times_and_tails():
    first, second = gram.early_time(n=4, alpha=2.0, residual=3.0, r_w=0.5, r_a=0.1, a_max=0.9, u_max=1.5)
    assert (first, second) == pytest.approx((0.5 / (3 * 1.0), 0.1 / (3 * 2.0)))
    with pytest.raises(ValueError, match="probability"):
        gram.largest_normal(10, 1.5)
    z = torch.randn(4000, 30, generator=settings.generator(0), dtype=torch.float64).abs().amax(1)
    assert (z > gram.largest_normal(30, 0.2)).double().mean() < 0.2
