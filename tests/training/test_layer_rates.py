"""Descent with a rate per layer: torch's own steps by hand, stacks of networks, refusals."""

# ruff: noqa: N806 - W is the paper's own symbol

import pytest
import torch

from advsmooth import settings
from advsmooth.models import fcn
from advsmooth.training import layer_rates

X = torch.randn(6, 4, generator=settings.generator(1), dtype=torch.float64)


def drawn(networks=None, o=2, depth=3):
    return fcn.draw_weights(4, 5, o, depth, "he", 2, networks=networks, dtype=torch.float64)


def square(weights, _):
    return layer_rates.outputs(weights, X, 2.0).square().sum()


def test_outputs_are_those_of_the_network_alone_or_stacked():
    W = drawn()
    torch.testing.assert_close(layer_rates.outputs(W, X, 2.0), fcn.forward(W, X, 2.0))
    stack = drawn(networks=3)
    for k, f in enumerate(layer_rates.outputs(stack, X)):
        torch.testing.assert_close(f, fcn.forward([w[k] for w in stack], X))


def test_gradients_are_the_jacobians_of_each_network():
    stack = drawn(networks=3, o=1)
    for k, g in enumerate(layer_rates.gradients(stack, X, 2.0)):
        torch.testing.assert_close(g, fcn.jacobian([w[k] for w in stack], X, 2.0)[:, 0])


def test_momentum_and_decay_by_hand():
    W, rates, decays = drawn(), [0.01, 0.02, 0.003], [0.1, 0.0, 0.5]
    found = dict(layer_rates.descend(W, square, rates, [0, 3], momentum=0.5, decays=decays))
    own, velocity = [w.clone() for w in W], [torch.zeros_like(w) for w in W]
    for _ in range(3):
        tracked = [w.detach().requires_grad_() for w in own]
        slopes = torch.autograd.grad(square(tracked, 0), tracked)
        velocity = [0.5 * v + g + lam * w for v, g, lam, w in zip(velocity, slopes, decays, own, strict=True)]
        own = [w - r * v for w, r, v in zip(own, rates, velocity, strict=True)]
    for k in range(3):
        assert torch.equal(found[0][k], W[k])
        torch.testing.assert_close(found[3][k], own[k])


def test_the_first_step_of_adam_has_the_size_of_the_rate():
    ((_, end),) = layer_rates.descend(drawn(), square, [0.1, 0.2, 0.3], [1], optimiser="adam", guards=[1e-30] * 3)
    for after, before, rate in zip(end, drawn(), (0.1, 0.2, 0.3), strict=True):
        moved = (after - before).abs()
        torch.testing.assert_close(moved[moved > 0], torch.full_like(moved[moved > 0], rate))


def test_networks_of_a_stack_train_as_each_alone():
    stack = drawn(networks=3)
    ((_, together),) = layer_rates.descend(stack, square, [0.01] * 3, [5], momentum=0.9)
    ((_, alone),) = layer_rates.descend([w[1] for w in stack], square, [0.01] * 3, [5], momentum=0.9)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1], b)


def test_the_step_number_reaches_the_loss():
    seen = []

    def loss(weights, step):
        seen.append(step)
        return square(weights, step)

    assert [k for k, _ in layer_rates.descend(drawn(), loss, [0.0] * 3, [1, 4])] == [1, 4]
    assert seen == [0, 1, 2, 3]


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(ValueError, match="'sgd' or 'adam'"):
        next(layer_rates.descend(drawn(), square, [0.1] * 3, [1], optimiser="lion"))
    with pytest.raises(ValueError, match="one for each of the 3 layers"):
        next(layer_rates.descend(drawn(), square, [0.1], [1]))
    with pytest.raises(ValueError, match="2 outputs: allowed is 1"):
        layer_rates.gradients(drawn(networks=2), X)
