"""The change of the input gradient in training: the least it must be, and a small sweep of lazy networks."""

# ruff: noqa: N803, N806 - W, A and L are the paper's own symbols

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.analysis import early_training, gradient_change, stability
from advsmooth.models import fcn
from advsmooth.training import layer_rates


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=settings.generator(seed), dtype=torch.float64)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(2, 4), st.integers(0, 1000))
def test_any_two_networks_of_one_shape_obey_the_bound(d, o, L, seed):
    W, V = (fcn.draw_weights(d, 5, o, L, "he", seed + k, dtype=torch.float64) for k in (0, 5000))
    x = normal(4, d, seed=seed)
    A = fcn.jacobian(V, x) - fcn.jacobian(W, x)
    least = gradient_change.least_change(fcn.forward(V, x), fcn.forward(W, x), x)
    v = stability.uniform_ball(3000, (d,), 1.0, settings.generator(seed), dtype=torch.float64)
    mean = gradient_change.mean_change(A, v)
    spread = (A @ v.T).norm(dim=-2).std(-1) / 3000**0.5
    assert (mean + 5 * spread >= least - 1e-12).all()
    if o == 1:
        assert (gradient_change.exact_change(A) >= least - 1e-12).all()


def test_changes_of_rank_one_in_closed_form():
    A = normal(2, 3)[:, :, None] * normal(2, 5, seed=1)[:, None, :]
    v = stability.uniform_ball(40_000, (5,), 1.0, settings.generator(2), dtype=torch.float64)
    torch.testing.assert_close(gradient_change.mean_change(A, v), gradient_change.exact_change(A), rtol=0.02, atol=0)
    assert early_training.direction_mean(1) == pytest.approx(0.5)


def test_networks_that_look_along_a_line_do_so_after_training_and_meet_the_bound():
    W, line = gradient_change.one_direction(6, 12, 2, 3, settings.generator(3))
    assert line.norm().item() == pytest.approx(1.0)
    x = torch.tensor([0.5, -1.5], dtype=torch.float64)[:, None] * line
    goal = normal(2, 2, seed=4)
    ((_, V),) = layer_rates.descend(W, lambda w, _: (layer_rates.outputs(w, x) - goal).square().sum(), [0.01] * 3, [20])
    A = fcn.jacobian(V, x) - fcn.jacobian(W, x)
    assert torch.linalg.svdvals(A)[:, 1].max() < 1e-12
    least = gradient_change.least_change(fcn.forward(V, x), fcn.forward(W, x), x)
    assert least.min() > 0
    torch.testing.assert_close(gradient_change.exact_change(A), least)


def test_a_mirrored_network_is_the_negative():
    W = fcn.draw_weights(4, 5, 1, 3, "he", 1, networks=2, dtype=torch.float64)
    f = layer_rates.outputs(gradient_change.mirrored(W), normal(3, 4))
    torch.testing.assert_close(f[2:], -f[:2])


@pytest.mark.parametrize("L", [2, 4])
def test_the_claimed_order_of_ntk_networks(L):
    m = 10 * L**3
    assert gradient_change.claimed_order(m, L) == pytest.approx(L**1.5 * m * 2.718281828459045**-10 * (2 / m) ** 0.5)


def test_a_small_sweep():
    x, z = (torch.nn.functional.normalize(p, dim=1) for p in (normal(4, 8), normal(6, 8, seed=1)))
    y = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    t = gradient_change.lazy_sweep([(2, 64), (2, 4096), (3, 64)], [0, 1], x, y, z, steps=60)
    assert len(t) == 12
    assert t.groupby(["L", "m", "seed"]).size().eq(2).all()
    assert (t.closest <= 1 + 1e-5).all()
    assert (t.train_closest <= 1 + 1e-5).all()
    assert t.error.max() < 0.2
    pairs = t.groupby(["L", "m", "seed"]).mean()
    assert (pairs.train_change >= early_training.direction_mean(8) * (1 - pairs.error)).all()
    away = t.groupby(["L", "m"]).distance.mean()
    assert away[2, 4096] < 0.7 * away[2, 64]
