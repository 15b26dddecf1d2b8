"""The one-hidden-layer network against its formula, and its constants against a dense search."""

from __future__ import annotations

import pytest
import torch

from advsmooth.models.shallow import ACTIVATIONS, STEEPEST_BEND, Shallow


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_is_the_formula(activation):
    network = Shallow((1, 2, 3), 4, units=5, activation=activation, generator=3).double()
    x = torch.rand(7, 1, 2, 3, dtype=torch.float64)
    hidden = x.flatten(1) @ network.hidden.weight.T + network.hidden.bias
    by_hand = {"softplus": torch.log1p(hidden.exp()), "tanh": hidden.tanh(), "relu": hidden.clamp(min=0)}[activation]
    torch.testing.assert_close(network(x), by_hand @ network.outer.weight.T + network.outer.bias)


@pytest.mark.parametrize("activation", ["softplus", "tanh"])
def test_the_bend_is_the_largest_second_derivative_and_slopes_lie_between_0_and_1(activation):
    t = torch.linspace(-4, 4, 8001, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(ACTIVATIONS[activation](t).sum(), t, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), t)
    assert second.abs().max().item() == pytest.approx(STEEPEST_BEND[activation], rel=1e-5)
    assert first.min() >= 0
    assert first.max() <= 1


def test_the_seed_decides_the_weights_and_the_global_state_does_not():
    one = Shallow((6,), 3, units=4, generator=1)
    torch.manual_seed(7)
    two, other = Shallow((6,), 3, units=4, generator=1), Shallow((6,), 3, units=4, generator=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.hidden.weight, other.hidden.weight)
    assert one.hidden.weight.abs().max() <= 6**-0.5
    assert one.outer.weight.abs().max() <= 0.5


@pytest.mark.parametrize("bad", [{"units": 0}, {"activation": "Relu"}])
def test_bad_arguments_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Shallow((6,), 3, **bad)
