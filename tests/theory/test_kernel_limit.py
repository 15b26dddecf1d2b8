"""The limiting tangent kernel: closed form, automatic differentiation, wide networks, descent."""

# ruff: noqa: N803, N806 - W, L and K are the symbols of the literature

import pytest
import torch

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.theory import gram, kernel_limit


def points(n, d, seed=0):
    return torch.randn(n, d, generator=settings.generator(seed), dtype=torch.float64)


def test_for_two_layers_it_is_twice_the_mean_gram_matrix():
    x, z = points(4, 6), points(3, 6, 1)
    torch.testing.assert_close(kernel_limit.tangent_kernel(x, z, 2), 2 * gram.mean_first_layer(x, z))


@pytest.mark.parametrize("L", [2, 3, 4])
def test_a_wide_network_has_about_this_kernel(L):
    x, m = points(4, 5), 1500
    W = [w.requires_grad_() for w in fcn.draw_weights(5, m, 1, L, "ntk", 3, dtype=torch.float64)]
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(f, W, retain_graph=True)]) for f in fcn.forward(W, x)[:, 0]
    ]
    J = torch.stack(rows)
    K = kernel_limit.tangent_kernel(x, x, L)
    assert (J @ J.T / (m / 2) - K).norm() < 0.2 * K.norm()


@pytest.mark.parametrize("L", [2, 3, 5])
def test_at_equal_points_it_is_the_depth_times_the_square_norm(L):
    x = points(3, 4)
    torch.testing.assert_close(
        kernel_limit.tangent_kernel(x, x, L).diagonal(), (L - 1) * x.square().sum(1), atol=1e-6, rtol=1e-6
    )


def test_descent_solves_the_kernel_system_and_starts_with_the_residual():
    x = points(5, 8)
    K = kernel_limit.tangent_kernel(x, x, 3)
    r = points(2, 5, 3)
    step = 1 / torch.linalg.eigvalsh(K)[-1].item()
    torch.testing.assert_close(kernel_limit.descend(K, r, step, 1), step * r)
    torch.testing.assert_close(kernel_limit.descend(K, r, step, 3000, 0.9) @ K, r, atol=1e-8, rtol=0)


def test_its_gradient_is_that_of_the_two_layer_formula_and_homogeneous():
    x, z = (torch.nn.functional.normalize(p, dim=1) for p in (points(4, 6), points(3, 6, 1)))
    c = points(2, 3, 2)
    for k in range(2):
        torch.testing.assert_close(
            kernel_limit.gradient_change(x, z, c, 2)[k], 2 * gram.mean_gradient(x, z, c[k], 1, 0)
        )
    deep = kernel_limit.gradient_change(x, z, c, 4)
    torch.testing.assert_close((deep * x).sum(2), c @ kernel_limit.tangent_kernel(x, z, 4).T)
    h = 1e-6 * points(4, 6, 5)
    quotient = (kernel_limit.tangent_kernel(x + h, z, 4) - kernel_limit.tangent_kernel(x - h, z, 4)) @ c[0] / 2
    torch.testing.assert_close(quotient, (deep[0] * h).sum(1), atol=1e-11, rtol=1e-4)


@pytest.mark.parametrize("L", [1, 2.5])
def test_a_depth_below_two_is_refused(L):
    with pytest.raises(ValueError, match="allowed is an integer, at least 2"):
        kernel_limit.tangent_kernel(points(2, 3), points(2, 3, 1), L)
