"""Roughness, turn and kept gain in closed form; the input Hessian of ReLU networks against autograd."""

import pytest
import torch
from torch import nn

from advsmooth import settings
from advsmooth.analysis import input_smoothness, robustness_metrics
from advsmooth.attacks import ball
from advsmooth.attacks.losses import cross_entropy, margin

G = settings.generator


def quadratic(matrix):
    """A "model" that hands its inputs on, and the loss ``x^T A x / 2``."""
    return nn.Flatten(), lambda logits, y: 0.5 * (logits @ matrix * logits).sum(1) + 0 * y


@pytest.mark.parametrize("norm", ball.NORMS)
def test_of_a_quadratic_everything_is_known(norm):
    a = torch.randn(5, 5, generator=G(0), dtype=torch.float64)
    a = a @ a.T + torch.eye(5, dtype=torch.float64)
    x = torch.randn(8, 5, generator=G(1), dtype=torch.float64)
    model, loss = quadratic(a)
    y = torch.zeros(8, dtype=torch.int64)
    found = input_smoothness.changes(model, x, y, radius=0.3, norm=norm, loss=loss, box=ball.UNBOUNDED, batch=3)
    gradient = x @ a
    step = 0.3 * ball.steepest(gradient, norm)
    after = gradient + step @ a
    torch.testing.assert_close(found.roughness, (step @ a).norm(dim=1) / step.norm(dim=1))
    torch.testing.assert_close(found.turn, 1 - nn.functional.cosine_similarity(gradient, after))
    torch.testing.assert_close(found.kept, 1 + 0.5 * (step @ a * step).sum(1) / (gradient * step).sum(1))


def test_along_a_given_direction_the_roughness_of_a_quadratic_is_that_of_its_matrix_there():
    a = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64))
    x = torch.randn(5, 5, generator=G(1), dtype=torch.float64)
    model, loss = quadratic(a)
    ways, y = torch.eye(5, dtype=torch.float64), torch.zeros(5, dtype=torch.int64)
    found = input_smoothness.changes(model, x, y, radius=0.3, loss=loss, directions=ways, box=ball.UNBOUNDED, batch=2)
    torch.testing.assert_close(found.roughness, a.diagonal())


def test_random_signs_are_signs_of_both_kinds_and_repeat():
    x = torch.zeros(40, 1, 5, 5, dtype=torch.float64)
    signs = input_smoothness.random_signs(x, G(0))
    assert (signs.shape, signs.dtype) == (x.shape, x.dtype)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean().item()) < 0.1
    assert torch.equal(signs, input_smoothness.random_signs(x, G(0)))


def test_a_linear_margin_keeps_its_gradient_and_its_promise():
    model = nn.Linear(6, 2).double()
    x, y = torch.rand(5, 6, generator=G(0), dtype=torch.float64), torch.tensor([0, 1, 0, 1, 0])
    found = input_smoothness.changes(model, x, y, radius=0.2, loss=margin)
    torch.testing.assert_close(found.roughness, torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(found.turn, torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(found.kept, torch.ones(5, dtype=torch.float64))


def relu_network(seed=0):
    g = G(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)
    ).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype) / p.shape[-1] ** 0.5)
    return model


def test_a_temperature_moves_roughness_and_hessian_and_leaves_turn_and_promise_of_the_margin():
    model, x = relu_network(), torch.rand(12, 6, generator=G(1), dtype=torch.float64)
    y = model(x).argmax(1)
    hot = robustness_metrics.Tempered(model, 0.25)
    before, after = (input_smoothness.changes(m, x, y, radius=0.3, loss=margin) for m in (model, hot))
    torch.testing.assert_close(after.turn, before.turn)
    torch.testing.assert_close(after.kept, before.kept)
    torch.testing.assert_close(after.roughness, 4 * before.roughness)
    for one in (model, hot):
        reach = input_smoothness.reach(one, x, y, margin)
        torch.testing.assert_close(reach, input_smoothness.reach(model, x, y, margin))
    rough = [input_smoothness.changes(m, x, y, radius=0.3).roughness.mean() for m in (model, hot)]
    assert abs(rough[1] / rough[0] - 1) > 0.5


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_the_input_hessian_of_a_relu_network_is_that_of_its_softmax(scale):
    model = robustness_metrics.Tempered(relu_network(), 1 / scale)
    x = torch.rand(7, 6, generator=G(2), dtype=torch.float64)
    found = input_smoothness.hessian_norms(model, x, batch=3)
    for k in range(len(x)):
        y = torch.tensor([k % 4])
        dense = torch.autograd.functional.hessian(lambda z, y=y: cross_entropy(model(z[None]), y)[0], x[k])
        assert found[k].item() == pytest.approx(torch.linalg.matrix_norm(dense, 2).item(), rel=1e-8, abs=1e-14)


def test_a_smooth_activation_has_more_than_the_softmax():
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    x, y = torch.rand(1, 6, generator=G(2), dtype=torch.float64), torch.tensor([1])
    dense = torch.autograd.functional.hessian(lambda z: cross_entropy(model(z[None]), y)[0], x[0])
    assert input_smoothness.hessian_norms(model, x).item() != pytest.approx(
        torch.linalg.matrix_norm(dense, 2).item(), rel=1e-3
    )


def test_the_reach_of_a_linear_model_is_its_distance():
    model = nn.Linear(6, 2).double()
    x = torch.rand(9, 6, generator=G(0), dtype=torch.float64)
    y = model(x).argmax(1)
    y[0] = 1 - y[0]
    found = input_smoothness.reach(model, x, y, margin)
    difference = (model.weight[1] - model.weight[0]).detach()
    gaps = (model(x)[:, 1] - model(x)[:, 0]).detach().abs() / difference.abs().sum()
    assert found[0] == 0
    torch.testing.assert_close(found[1:], gaps[1:])


def test_where_there_is_no_gradient_there_is_no_number():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()
    with torch.no_grad():
        model[1].weight.zero_()
    found = input_smoothness.changes(model, torch.rand(2, 4, dtype=torch.float64), torch.tensor([0, 1]), radius=0.1)
    assert all(values.isnan().all() for values in (found.roughness, found.turn, found.kept))


@pytest.mark.parametrize("bad", [{"radius": 0.0}, {"radius": float("inf")}, {"radius": 0.1, "norm": "l1"}])
def test_refusals_say_what_is_allowed(bad):
    with pytest.raises(ValueError, match="allowed is a positive radius, and linf or l2") as refused:
        input_smoothness.changes(nn.Flatten(), torch.rand(2, 4), torch.tensor([0, 1]), **bad)
    assert "\n" not in str(refused.value)


def test_directions_of_another_shape_are_refused():
    x, y = torch.rand(2, 4), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"directions \(1, 4\): allowed is the shape of x, \(2, 4\)"):
        input_smoothness.changes(nn.Flatten(), x, y, radius=0.1, directions=x[:1])
