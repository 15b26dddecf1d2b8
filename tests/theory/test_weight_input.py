"""Hessian blocks against automatic differentiation, the bounds where they are tight, and what must be refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.theory import weight_input as wi

ATOL = 1e-12  # float64, entries of order one


def draw(sizes, seed, activation="tanh", inputs=3):
    """One network with biases, inputs of unequal norms, and labels."""
    net = wi.random_mlp(sizes, seeds=[seed], activation=activation, bias_std=0.5)[0]
    g = settings.generator(seed + 1000)
    x = 2 * torch.randn(inputs, sizes[0], generator=g, dtype=torch.float64)
    return net, x, torch.randint(sizes[-1], (inputs,), generator=g)


@pytest.mark.parametrize("activation", wi.ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(4, 3), (4, 5, 3), (3, 5, 2, 4), (5, 4, 4, 3, 2)])
def test_hessian_blocks_are_those_of_automatic_differentiation(sizes, activation):
    net, x, y = draw(sizes, seed=1, activation=activation)
    blocks, measured = wi.preactivation_derivatives(net, x, y), wi.local_smoothness(net, x, y)
    for i in range(len(x)):
        dense = wi.autograd_hessians(net, x[i], y[i])
        for layer, (h, _, hessian) in enumerate(blocks):
            kron = torch.kron(hessian[i], torch.outer(h[i], h[i]))
            torch.testing.assert_close(dense.weights[layer], kron, atol=ATOL, rtol=0)
            norm = torch.linalg.matrix_norm(dense.weights[layer], 2)
            torch.testing.assert_close(measured.layers[i, layer], norm, atol=ATOL, rtol=1e-12)
        first = net.weights[0]
        torch.testing.assert_close(dense.input, first.T @ blocks[0][2][i] @ first, atol=ATOL, rtol=0)
        torch.testing.assert_close(measured.input[i], torch.linalg.matrix_norm(dense.input, 2), atol=ATOL, rtol=1e-12)


def test_gradient_norms_are_those_of_automatic_differentiation():
    net, x, y = draw((4, 5, 3), seed=2)
    weight = net.weights[0].clone().requires_grad_()
    u = x[:1].clone().requires_grad_()
    loss = replace(net, weights=(weight, *net.weights[1:])).losses(u, y[:1]).sum()
    in_weight, in_input = torch.autograd.grad(loss, (weight, u))
    measured = wi.local_smoothness(net, x[:1], y[:1])
    torch.testing.assert_close(measured.weight_gradient[0], in_weight.norm())
    torch.testing.assert_close(measured.input_gradient[0], in_input.norm())


def test_several_networks_are_measured_as_one_by_one():
    nets = wi.random_mlp([4, 5, 3], seeds=[0, 1, 2], init="he")
    _, x, y = draw((4, 5, 3), seed=3)
    together = wi.local_smoothness(nets, x, y)
    assert together.layers.shape == (3, 3, 2)
    assert together.input.shape == together.norm.shape == (3, 3)
    for k in range(3):
        alone = wi.local_smoothness(nets[k], x, y)
        torch.testing.assert_close(together.input[k], alone.input)
        torch.testing.assert_close(together.layers[k], alone.layers)
        torch.testing.assert_close(together.repaired[k], alone.repaired)
        torch.testing.assert_close(together.floor[k], alone.floor)


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 6),
    widths=st.lists(st.integers(1, 6), max_size=3),
    classes=st.integers(2, 4),
    seed=st.integers(0, 10_000),
    activation=st.sampled_from(sorted(wi.ACTIVATIONS)),
)
def test_the_input_hessian_lies_between_the_two_bounds(n, widths, classes, seed, activation):
    net, x, y = draw((n, *widths, classes), seed, activation)
    s = wi.local_smoothness(net, x, y)
    assert (s.input <= s.repaired * (1 + 1e-9) + ATOL).all()
    assert (s.input >= s.floor * (1 - 1e-9) - ATOL).all()
    assert (s.input_gradient <= s.weight_norm / s.norm * s.weight_gradient * (1 + 1e-9) + ATOL).all()
    assert (s.constant >= s.layers[..., 0]).all()


@pytest.mark.parametrize("activation", wi.ACTIVATIONS)
def test_bound_is_attained_by_a_first_layer_with_one_unit(activation):
    s = wi.local_smoothness(*draw((5, 1, 4, 3), seed=4, activation=activation))
    torch.testing.assert_close(s.input, s.repaired, rtol=1e-10, atol=0)


def test_bounds_meet_when_the_rows_of_the_first_layer_are_orthogonal_and_of_one_length():
    net, x, y = draw((6, 4, 3), seed=5)
    rows = torch.linalg.qr(net.weights[0].T).Q.T
    s = wi.local_smoothness(replace(net, weights=(3 * rows, *net.weights[1:])), x, y)
    torch.testing.assert_close(s.input, s.repaired, rtol=1e-10, atol=0)
    torch.testing.assert_close(s.input, s.floor, rtol=1e-10, atol=0)


@hypothesis_settings(max_examples=25, deadline=None)
@given(factor=st.floats(0.05, 50), seed=st.integers(0, 1000))
def test_stretching_keeps_every_weight_hessian_and_squares_into_the_input(factor, seed):
    net, x, y = draw((4, 5, 3, 3), seed, inputs=1)
    before, after = wi.local_smoothness(net, x, y), wi.local_smoothness(net.stretched(factor, x[0]), x, y)
    torch.testing.assert_close(after.layers, before.layers, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(after.input, factor**2 * before.input, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(after.repaired, factor**2 * before.repaired, rtol=1e-9, atol=1e-11)


def test_stretching_keeps_the_hessian_in_all_weight_matrices_together():
    net, x, y = draw((3, 3, 2), seed=10, inputs=1)
    sizes = [weight.numel() for weight in net.weights]

    def joint(network):
        def loss(flat):
            parts = [p.reshape(w.shape) for p, w in zip(flat.split(sizes), network.weights, strict=True)]
            return replace(network, weights=tuple(parts)).losses(x, y)[0]

        return wi.dense_hessian(loss, torch.cat([w.ravel() for w in network.weights]))

    torch.testing.assert_close(joint(net.stretched(7.0, x[0])), joint(net), atol=1e-10, rtol=0)


def test_rank_one_step_moves_the_preactivation_as_the_input_does_and_is_the_smallest_that_does():
    g = settings.generator(0)
    weight, x, delta = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((3, 4), (4,), (4,)))
    step = wi.rank_one_step(weight, x, delta)
    torch.testing.assert_close((weight + step) @ x, weight @ (x + delta))
    torch.testing.assert_close(step.norm(), (weight @ delta).norm() / x.norm())
    other = torch.randn(3, 4, generator=g, dtype=torch.float64)
    other = other - torch.outer(other @ x, x) / x.square().sum()  # leaves W x alone
    assert (step + other).norm() > step.norm()


@hypothesis_settings(max_examples=25, deadline=None)
@given(size=st.floats(1e-2, 20), seed=st.integers(0, 1000), activation=st.sampled_from(sorted(wi.ACTIVATIONS)))
def test_bound_holds_for_finite_steps(size, seed, activation):
    net, x, y = draw((4, 3, 3), seed, activation, inputs=2)
    moved = wi.displacement(net, x[0], y[0], size * (x[1] - x[0]))
    assert moved.input_change <= moved.bound * (1 + 1e-9) + ATOL


def test_finite_step_is_tight_for_one_unit_and_a_step_along_its_weights():
    net, x, y = draw((4, 1, 3), seed=6)
    moved = wi.displacement(net, x[0], y[0], 2.5 * net.weights[0][0])
    assert moved.input_change == pytest.approx(moved.bound, rel=1e-10)


def test_a_small_finite_step_along_the_top_eigenvector_measures_the_hessian():
    net, x, y = draw((4, 3, 3), seed=7)
    top = torch.linalg.eigh(wi.autograd_hessians(net, x[0], y[0]).input)
    k = top.eigenvalues.abs().argmax()
    moved = wi.displacement(net, x[0], y[0], 1e-5 * top.eigenvectors[:, k])
    measured = wi.local_smoothness(net, x, y).input[0].item()
    assert moved.input_change / moved.input_step == pytest.approx(measured, rel=1e-4)  # error of a forward difference


@pytest.mark.parametrize("init", wi.GAINS)
def test_initial_weights_have_the_stated_variance_and_edge(init):
    nets = wi.random_mlp([200, 300, 5], seeds=range(4), init=init)
    count = nets.weights[0].numel()
    assert nets.weights[0].square().mean().item() == pytest.approx(wi.GAINS[init] / 200, rel=5 * math.sqrt(2 / count))
    # Tracy and Widom's law (beta = 1: mean -1.21, standard deviation 1.27) of the largest eigenvalue of G^T G.
    a, b = math.sqrt(200), math.sqrt(300)
    unit = wi.GAINS[init] / 200 * (a + b) * (1 / a + 1 / b) ** (1 / 3)
    mean = torch.linalg.matrix_norm(nets.weights[0], 2).square().mean().item()
    assert mean == pytest.approx(wi.edge(200, 300, init) - 1.21 * unit, abs=4 * 1.27 * unit / math.sqrt(4))


@pytest.mark.parametrize("init", wi.GAINS)
@pytest.mark.parametrize("n", [64, 784, 3072])
def test_critical_width_is_where_the_edge_reaches_the_square_root_of_n(init, n):
    assert wi.edge(n, wi.critical_width(n, init), init) == pytest.approx(math.sqrt(n), rel=1e-12)
    assert wi.critical_width(3, "he") == 0


def test_same_seed_same_network_and_seeds_are_independent_of_each_other():
    both, one = wi.random_mlp([3, 4, 2], seeds=[0, 7]), wi.random_mlp([3, 4, 2], seeds=[7])
    assert torch.equal(both.weights[1][1], one.weights[1][0])
    assert not torch.equal(both.weights[1][0], both.weights[1][1])


def test_sgd_learns_keeps_its_start_and_repeats_itself():
    g = settings.generator(0)
    x = torch.randn(60, 3, generator=g, dtype=torch.float64)
    y = (x[:, 0] > 0).long()
    start = wi.random_mlp([3, 6, 2], seeds=[0, 1])
    before = start.weights[0].clone()
    arguments = {"checkpoints": [0, 5, 200], "learning_rate": 0.5, "batch": 10, "seed": 3}
    kept, again = (wi.sgd(start, x, y, **arguments) for _ in range(2))
    assert torch.equal(start.weights[0], before)
    assert torch.equal(kept[0].weights[0], before)
    assert not kept[200].weights[0].requires_grad
    assert (kept[0].losses(x, y).mean(-1) > kept[200].losses(x, y).mean(-1)).all()
    assert (kept[200].accuracy(x, y) > 0.9).all()
    assert torch.equal(kept[200].weights[1], again[200].weights[1])


def test_one_step_of_sgd_is_the_gradient_of_the_mean_loss():
    net = wi.random_mlp([3, 4, 2], seeds=[0])
    x, y = torch.ones(1, 3, dtype=torch.float64), torch.tensor([1])  # one input: every batch is the same
    moved = wi.sgd(net, x, y, checkpoints=[1], learning_rate=0.1, batch=4, seed=0)[1]
    _, g, _ = wi.preactivation_derivatives(net, x, y)[0]
    torch.testing.assert_close(moved.weights[0], net.weights[0] - 0.1 * g[0].T @ x)


def test_readings_of_normalised():
    x = torch.rand(50, 9, generator=settings.generator(0), dtype=torch.float64)
    x[:, 4] = 0.3  # a coordinate that never changes
    torch.testing.assert_close(wi.normalised(x, "norm 1").norm(dim=1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(wi.normalised(x, "norm sqrt n").square().mean(1), torch.ones(50, dtype=torch.float64))
    standard = wi.normalised(x, "standardised")
    expected = torch.ones(9, dtype=torch.float64).scatter(0, torch.tensor(4), 0.0)
    torch.testing.assert_close(standard.square().mean(0), expected)
    torch.testing.assert_close(standard.mean(0), torch.zeros(9, dtype=torch.float64), atol=ATOL, rtol=0)
    assert torch.equal(wi.normalised(x, "pixel scale"), x)
    with pytest.raises(ValueError, match="reading='batch': allowed is norm 1, norm sqrt n, standardised, pixel scale"):
        wi.normalised(x, "batch")
    with pytest.raises(ValueError, match="an input is zero"):
        wi.normalised(torch.zeros(1, 3), "norm 1")


def test_ratios_take_the_worst_input_and_the_largest_layer():
    net, x, y = draw((4, 5, 3), seed=9)
    s = wi.local_smoothness(net, x, y)
    assert s.ratio_to_printed.item() == pytest.approx((s.input.max() * 2 / s.layers.max()).item(), rel=1e-12)
    assert s.ratio_to_repaired.item() == pytest.approx(max((s.input / s.repaired).tolist()), rel=1e-12)


def test_bad_input_is_refused_in_one_line():
    net, x, y = draw((4, 3), seed=0)
    with pytest.raises(ValueError, match="activation='relu': allowed is tanh, softplus"):
        replace(net, activation="relu")
    with pytest.raises(ValueError, match="layer by layer"):
        wi.SmoothMLP((torch.ones(3, 4), torch.ones(2, 5)), (torch.ones(3), torch.ones(2)))
    with pytest.raises(ValueError, match="an input is zero"):
        wi.local_smoothness(net, torch.zeros_like(x), y)
    with pytest.raises(ValueError, match="init='xavier': allowed is lecun, he"):
        wi.random_mlp([2, 2], seeds=[0], init="xavier")
    with pytest.raises(ValueError, match="at least two sizes"):
        wi.random_mlp([2], seeds=[0])
    with pytest.raises(ValueError, match="need \\(networks, out, in\\)"):
        wi.sgd(net, x, y, checkpoints=[1], learning_rate=0.1, batch=1, seed=0)
    with pytest.raises(ValueError, match="W_1 delta is zero"):
        wi.displacement(net, x[0], y[0], torch.zeros(4, dtype=torch.float64))
