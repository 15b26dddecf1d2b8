"""One outer step of EntropySGD against plain loops."""

import pytest
import torch
from torch import nn
from training.small import points, same, smooth_net, snapshot

from advsmooth.training.objectives import Standard
from advsmooth.training.outer_step import outer_step

PLAIN = {"lr": 0.5, "inner_lr": 0.2, "noise": 0.0, "variant": "reference", "weight_decay": 0.0}


def loop(net, x, y, langevin, averaging, *, batch, scope):
    """Gradient steps with a pull towards the start, the mean of their iterates; returns the mean less the start."""
    start = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    at, mean = start.clone(), start.clone()
    batches = list(zip(x.split(batch), y.split(batch), strict=True))
    for k in range(langevin):
        nn.utils.vector_to_parameters(at, net.parameters())
        images, labels = batches[k % len(batches)]
        loss = nn.functional.cross_entropy(net(images), labels)
        slope = nn.utils.parameters_to_vector(torch.autograd.grad(loss, list(net.parameters())))
        at = at - 0.2 * (slope + scope * (at - start))
        mean = averaging * mean + (1 - averaging) * at
    return mean - start


@pytest.mark.parametrize(("scope", "langevin"), [(1e-9, 4), (0.5, 4), (1e-9, 1)])
def test_an_outer_step_is_that_of_a_plain_loop(scope, langevin):
    x, y = points(10)
    found = outer_step(smooth_net(), Standard(), x, y, batch=4, scope=scope, langevin=langevin, averaging=0.6, **PLAIN)
    expected = 0.5 * loop(smooth_net(), x, y, langevin, 0.6, batch=4, scope=scope)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_model_is_left_alone_and_the_seed_decides():
    net, (x, y) = smooth_net(), points(10)
    before = snapshot(net)
    options = {**PLAIN, "noise": 0.1, "langevin": 2}
    first, again, other = (outer_step(net, Standard(), x, y, seed=s, **options) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert same(before, snapshot(net))
    assert all(p.grad is None for p in net.parameters())
