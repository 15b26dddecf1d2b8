"""Input gradients against dense Jacobians, closed forms and difference quotients; the product bound above them all."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import input_gradient
from advsmooth.analysis.input_gradient import GradientStatistics
from advsmooth.models.fcn import FCN
from advsmooth.models.lenet import LeNet
from advsmooth.models.normalise import Normalise


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=20).to("cpu", torch.float64)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Softplus()),
        nn.AvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4, 10),
    ).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([-2.0, 0.5, 1.0]))
        model[1].running_var.copy_(torch.tensor([0.3, 2.0, 1.0]))
    return model


def dense(model, x, outputs):
    """Jacobians ``(n, K, d)``, one input at a time."""

    def f(s):
        z = model(s[None])[0]
        return z.softmax(0) if outputs == "probabilities" else z

    return torch.stack([torch.func.jacrev(f)(s).flatten(1) for s in x])


# --- norms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", ["probabilities", "logits"])
@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("linf", 1)])
def test_jacobian_norms_are_the_largest_rows(digits, outputs, norm, order):
    model = network().eval()
    expected = dense(model, digits.x, outputs).norm(p=order, dim=2).amax(1)
    found = input_gradient.jacobian_norms(model, digits.x, norm=norm, outputs=outputs, batch=7)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("linf", 1)])
def test_loss_gradient_norms(digits, norm, order):
    model = network().eval()

    def loss(s, label):
        return nn.functional.cross_entropy(model(s[None]), label[None])

    rows = torch.stack([torch.func.grad(loss)(s, label).flatten() for s, label in zip(digits.x, digits.y, strict=True)])
    found = input_gradient.loss_gradient_norms(model, digits.x, digits.y, norm=norm, batch=6)
    torch.testing.assert_close(found, rows.norm(p=order, dim=1))
    torch.testing.assert_close(input_gradient.loss_gradients(model, digits.x, digits.y).flatten(1), rows)


def test_the_norm_bounds_and_attains_difference_quotients(digits):
    """Operator norm from the attack's norm to the maximum norm: no small step changes an output by more."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Softplus(), nn.Linear(20, 10)).double()
    g = settings.generator(0)
    for norm in ("l2", "linf"):
        bound = input_gradient.jacobian_norms(model, digits.x, norm=norm)
        step = torch.randn(400, *digits.x.shape, generator=g, dtype=torch.float64)
        size = step.flatten(2).norm(dim=2) if norm == "l2" else step.abs().flatten(2).amax(2)
        step = 1e-6 * step / size.view(400, 20, 1, 1, 1)
        before = model(digits.x).softmax(1)
        change = torch.stack([(model(digits.x + s).softmax(1) - before).abs().amax(1) / 1e-6 for s in step])
        assert (change.amax(0) <= bound * (1 + 1e-4)).all()
        rows = dense(model, digits.x, "probabilities")
        steepest = rows.norm(dim=2) if norm == "l2" else rows.abs().sum(2)
        row = rows[torch.arange(20), steepest.argmax(1)].view_as(digits.x)
        best = row / row.flatten(1).norm(dim=1).view(20, 1, 1, 1) if norm == "l2" else row.sign()
        attained = (model(digits.x + 1e-6 * best).softmax(1) - before).abs().amax(1) / 1e-6
        torch.testing.assert_close(attained, bound, rtol=1e-3, atol=1e-7)


def test_finite_differences_err_by_half_the_curvature_times_the_step(digits):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Softplus(), nn.Linear(20, 10)).double()
    for norm in ("l2", "linf"):
        exact = input_gradient.loss_gradient_norms(model, digits.x, digits.y, norm=norm)
        errors = [
            input_gradient.finite_difference_norms(model, digits.x, digits.y, norm=norm, step=h, batch=9) - exact
            for h in (1e-3, 1e-4)
        ]
        torch.testing.assert_close(errors[0], 10 * errors[1], rtol=0.05, atol=1e-7)  # linear in h
        assert (errors[0].abs() <= 0.01 * exact).all()  # the claim's own check: below 1 percent at h = 1e-3


def test_in_single_precision_smaller_steps_than_the_published_are_worse():
    digits = data.load("digits", n=200)
    torch.manual_seed(0)
    model = LeNet((1, 8, 8), 10, w=4)
    exact = input_gradient.loss_gradient_norms(model.double(), digits.x.double(), digits.y)
    model.float()

    def error(h):
        found = input_gradient.finite_difference_norms(model, digits.x, digits.y, step=h)
        return ((found.double() - exact).abs() / exact).median().item()

    assert error(input_gradient.FINITE_DIFFERENCE_STEP) < error(1e-4) < error(1e-5)


def test_at_a_tie_of_max_pooling_the_difference_is_another_thing():
    """Minus the larger of two pixels: autograd picks one of them, and lowering that one alone changes nothing."""
    model = nn.MaxPool1d(2)
    y = torch.zeros(1, dtype=torch.int64)
    for x, expected in (([[0.5, 0.5]], 0.0), ([[0.6, 0.5]], 1.0)):
        inputs = torch.tensor(x, dtype=torch.float64)
        norms, differences = (
            f(model, inputs, y, loss=lambda z, _: -z[:, 0]).item()
            for f in (input_gradient.loss_gradient_norms, input_gradient.finite_difference_norms)
        )
        assert norms == 1.0
        assert differences == pytest.approx(expected, abs=1e-9)


def test_a_zero_gradient_is_no_accident(digits):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    with torch.no_grad():
        model[1].weight.zero_()
    for norm in ("l2", "linf"):
        assert not input_gradient.finite_difference_norms(model, digits.x, digits.y, norm=norm).any()
        assert not input_gradient.loss_gradient_norms(model, digits.x, digits.y, norm=norm).any()


def test_estimated_distances():
    losses, norms = torch.tensor([0.1, 2.0, 0.0]), torch.tensor([2.0, 1.0, 0.0])
    found = input_gradient.estimated_distances(losses, norms, math.log(2))
    assert found.tolist() == pytest.approx([(math.log(2) - 0.1) / 2, 0.0, math.inf])


def test_the_estimated_distance_is_exact_for_a_linear_loss(digits):
    """Margin loss of a linear model: zero at the boundary, slope |w_i - w_j|."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).double()
    y = model(digits.x).argmax(1)

    def margin(logits, labels):
        return logits.gather(1, 1 - labels[:, None])[:, 0] - logits.gather(1, labels[:, None])[:, 0]

    norms = input_gradient.loss_gradient_norms(model, digits.x, y, loss=margin)
    found = input_gradient.estimated_distances(margin(model(digits.x), y).detach(), norms, 0.0)
    w = model[1].weight[1] - model[1].weight[0]
    z = model(digits.x)
    torch.testing.assert_close(found, ((z[:, 1] - z[:, 0]).abs() / w.norm()).detach())


def test_the_model_is_left_as_found(digits):
    model = network().train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    flags, before = [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    first = input_gradient.statistics(model, digits.x, digits.y)
    input_gradient.finite_difference_norms(model, digits.x, digits.y)
    input_gradient.product_bound(model, digits.x[:1])
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not model[0].weight.requires_grad
    assert model[8].weight.requires_grad
    assert first == input_gradient.statistics(model.eval(), digits.x, digits.y)


def test_statistics_and_improvement(digits):
    model = network()
    found = input_gradient.statistics(model, digits.x, digits.y, norm="linf", outputs="logits")
    norms = input_gradient.jacobian_norms(model, digits.x, norm="linf", outputs="logits")
    assert (found.model_variation, found.model_lipschitz) == pytest.approx((norms.mean().item(), norms.max().item()))
    norms = input_gradient.loss_gradient_norms(model, digits.x, digits.y, norm="linf")
    assert (found.loss_variation, found.loss_lipschitz) == pytest.approx((norms.mean().item(), norms.max().item()))
    assert found.n == 20
    table = input_gradient.improvement(
        GradientStatistics(0, 0, 0.5, 12.0, 1), GradientStatistics(0, 0, 0.25, 3.0, 1), 0.1, 0.3
    )
    assert table.set_index("measure")["improvement"].to_dict() == pytest.approx(
        {"total variation": 2.0, "Lipschitz constant": 4.0, "median distance": 3.0}
    )


# --- the product of operator norms ----------------------------------------------------------------------------------


def test_operator_norms_are_those_of_the_dense_linear_maps(digits):
    model = network().eval()
    table = input_gradient.operator_norms(model, digits.x[:1])
    assert table["kind"].tolist() == [
        "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Conv2d", "Softplus", "AvgPool2d", "Flatten", "Dropout", "Linear",
    ]  # fmt: skip
    x, layers = digits.x[:1], [m for m in model.modules() if not list(m.children())]
    for layer, found in zip(layers, table["norm"], strict=True):
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.AvgPool2d | nn.Linear):
            jacobian = torch.func.jacrev(layer)(x).reshape(layer(x).numel(), x.numel())
            assert found == pytest.approx(torch.linalg.matrix_norm(jacobian, 2).item(), rel=1e-5)
        else:
            assert found == 1.0
        x = layer(x)
    kernel = torch.linalg.matrix_norm(model[0].weight.flatten(1), 2).item()
    assert table["norm"][0] > 1.2 * kernel, "the norm of the flattened kernel is not the norm of the convolution"


def test_the_product_is_above_the_sampled_constant_by_far(digits):
    model = network()
    bound = input_gradient.product_bound(model, digits.x[:1])
    sampled = dense(model.eval(), digits.x, "logits")
    assert bound == pytest.approx(input_gradient.operator_norms(model, digits.x[:1])["norm"].prod())
    assert bound > torch.linalg.matrix_norm(sampled, 2).max()
    single = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).double()
    rows = input_gradient.jacobian_norms(single, digits.x, outputs="logits")
    assert input_gradient.product_bound(single, digits.x[:1]) == pytest.approx(rows.max().item(), rel=1e-5)


def test_overlapping_pooling_repeats_inputs():
    pool = nn.Sequential(nn.MaxPool2d(3, stride=1))
    x = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    peak = x.clone()
    peak[0, 0, 3, 3] = 1.0
    assert (pool(peak) - pool(x)).norm().item() == 3.0
    assert input_gradient.product_bound(pool, x) == pytest.approx(3.0)
    assert input_gradient.product_bound(nn.Sequential(nn.MaxPool2d((3, 2), (2, 2))), x) == pytest.approx(math.sqrt(2))


def test_single_precision_bounds(digits):
    model = network()
    exact = input_gradient.product_bound(model, digits.x[:1])
    assert input_gradient.product_bound(model.float(), digits.x[:1].float()) == pytest.approx(exact, rel=1e-3)


def test_networks_of_the_library(digits):
    torch.manual_seed(0)
    lenet = LeNet((1, 8, 8), 10, w=1).double()
    model = nn.Sequential(Normalise((0.5,), (0.25,)).double(), lenet)
    table = input_gradient.operator_norms(model, digits.x[:1])
    assert table["layer"].tolist() == ["0", "1.conv1", "1.conv2", "1.fc1", "1.fc2"]
    assert table["norm"][0] == pytest.approx(4.0)
    bound = input_gradient.product_bound(model, digits.x[:1], chain=True)
    assert bound > 10 * input_gradient.jacobian_norms(model, digits.x, outputs="logits").max()
    with pytest.raises(ValueError, match="chain=True"):
        input_gradient.product_bound(model, digits.x[:1])
    fcn = FCN(64, 9, 10, 3, alpha=2.0, dtype=torch.float64)
    found = input_gradient.product_bound(fcn, digits.x[:1])
    assert found == pytest.approx(math.prod(torch.linalg.svdvals(w)[0].item() for w in fcn.weights) / 2)


class Bare(nn.Module):
    """No layers that are modules."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)  # never called

    def forward(self, x):
        return x @ self.inner.weight


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return x + self.inner(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, d: input_gradient.jacobian_norms(m, d.x, norm="l1"), "norm='l1'"),
        (lambda m, d: input_gradient.jacobian_norms(m, d.x, outputs="softmax"), "outputs='softmax'"),
        (lambda m, d: input_gradient.loss_gradient_norms(m, d.x, d.y, norm="l1"), "norm='l1'"),
        (lambda m, d: input_gradient.finite_difference_norms(m, d.x, d.y, step=0.0), "step=0.0"),
        (lambda *_: input_gradient.product_bound(Residual(), torch.zeros(1, 4)), "Residual"),
        (lambda *_: input_gradient.operator_norms(nn.Sequential(nn.GELU()), torch.zeros(1, 4)), "GELU.* is not known"),
        (lambda *_: input_gradient.operator_norms(Bare(), torch.zeros(1, 4)), "no layer that is a module"),
        (
            lambda *_: input_gradient.operator_norms(
                nn.Sequential(nn.MaxPool2d(2, dilation=2)), torch.zeros(1, 1, 8, 8)
            ),
            "dilation=2",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(digits, call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(network(), digits)
    assert "\n" not in str(refusal.value)
