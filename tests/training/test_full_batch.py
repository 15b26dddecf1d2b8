"""Full-batch training against autograd, plain loops, and its own bookkeeping."""

# ruff: noqa: N803, N806 - W and L are the paper's own symbols

from __future__ import annotations

import pytest
import torch

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.training import full_batch, two_layers


def subject(L=3, networks=2, d=6, m=5, n=4, seed=0):
    g = settings.generator(seed)
    weights = fcn.draw_weights(d, m, 1, L, fcn.Initialisation(0.5, 0.5, 0.5), g, networks=networks, dtype=torch.float64)
    x = torch.nn.functional.normalize(torch.randn(n, d, generator=g, dtype=torch.float64), dim=1)
    return weights, x, torch.tensor([1.0, -1.0] * (n // 2), dtype=torch.float64)


@pytest.mark.parametrize("L", [2, 4])
def test_gradients_outputs_and_kernel_are_those_of_autograd(L):
    weights, x, y = subject(L)
    slope, outputs, kernel = full_batch.gradients(weights, x, y, alpha=0.7)
    for k in range(2):
        mine = [w[k].clone().requires_grad_() for w in weights]
        f = fcn.forward(mine, x, 0.7)[:, 0]
        torch.testing.assert_close(outputs[k], f.detach())
        expected = torch.autograd.grad(((f - y).square().mean() / 2), mine, retain_graph=True)
        for layer, gradient in enumerate(expected):
            torch.testing.assert_close(slope[layer][k], gradient)
        each = [sum(g.square().sum() for g in torch.autograd.grad(v, mine, retain_graph=True)) for v in f]
        torch.testing.assert_close(kernel[k], torch.stack(each).mean())


def test_the_kernel_bounds_the_largest_eigenvalue():
    weights, x, y = subject(2, networks=1)
    mine = [w[0].clone().requires_grad_() for w in weights]
    f = fcn.forward(mine, x)[:, 0]
    J = torch.stack([torch.cat([g.flatten() for g in torch.autograd.grad(v, mine, retain_graph=True)]) for v in f])
    assert torch.linalg.eigvalsh(J @ J.T / len(y))[-1] <= full_batch.gradients(weights, x, y)[2][0]


def test_stacked_networks_train_as_alone_and_stop_at_the_level():
    weights, x, y = subject(2, networks=3, m=30)
    together = full_batch.fit(weights, x, y, level=1e-3)
    assert bool((together.risk <= 1e-3).all())
    assert len(set(together.steps.tolist())) > 1
    for k in range(3):
        alone = full_batch.fit([w[k : k + 1] for w in weights], x, y, level=1e-3)
        assert alone.steps[0] == together.steps[k]
        for mine, theirs in zip(alone.weights, together.weights, strict=True):
            torch.testing.assert_close(mine[0], theirs[k])
        previous = full_batch.fit([w[k : k + 1] for w in weights], x, y, level=1e-9, most=int(alone.steps[0]) - 1)
        assert previous.risk[0] > 1e-3  # the step before was not there yet


def test_a_capped_step_is_plain_gradient_descent():
    (W, a), x, y = subject(2, networks=1)
    mine = full_batch.fit([W, a], x, y, level=1e-12, largest=1e-3, most=20)
    ((_, W2, a2),) = two_layers.descend(W[0], a[0, 0], x, two_layers.squared(y), 1.0, 1e-3 / len(y), [20])
    torch.testing.assert_close(mine.weights[0][0], W2)
    torch.testing.assert_close(mine.weights[1][0, 0], a2)


def test_the_drift_of_the_balance_is_what_the_gradients_say():
    weights, x, y = subject(3, m=20)
    end = full_batch.fit(weights, x, y, level=1e-2)
    grown = torch.stack([(v.square() - w.square()).sum((1, 2)) for v, w in zip(end.weights, weights, strict=True)], 1)
    torch.testing.assert_close(grown[:, :1] - grown[:, 1:], end.explained[:, :1] - end.explained[:, 1:])
    assert bool((end.descent < 2).all())


def test_the_first_layer_moves_in_the_span_of_the_points_only():
    (W, a), x, y = subject(2, d=9, n=4)
    Q = full_batch.span(x)
    assert Q.shape == (9, 4)
    torch.testing.assert_close(Q.T @ Q, torch.eye(4, dtype=torch.float64))
    whole, part = full_batch.fit([W, a], x, y, level=1e-2), full_batch.fit([W @ Q, a], x @ Q, y, level=1e-2)
    torch.testing.assert_close(whole.weights[0] - W, (part.weights[0] - W @ Q) @ Q.T)
    assert full_batch.span(torch.cat([x, x])).shape == (9, 4)


@pytest.mark.parametrize("bad", [{"level": 0.0}, {"level": 0.1, "largest": -1.0}, {"level": 0.1, "most": 0}])
def test_bad_input_is_refused_in_one_line(bad):
    weights, x, y = subject()
    with pytest.raises(ValueError, match="allowed are positive numbers") as refusal:
        full_batch.fit(weights, x, y, **bad)
    assert "\n" not in str(refusal.value)
