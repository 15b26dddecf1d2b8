"""Measures of roughness against dense Hessians, closed forms and exact rescalings."""

import copy

import pytest
import torch
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import curvature, landscape, roughness
from advsmooth.analysis.empirical import mean_loss
from advsmooth.analysis.parameter_space import flat, point
from advsmooth.training import searched

DIGITS = data.load("digits", "train").take(12, seed=0).to("cpu", torch.float64)


def network(channels=3):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, channels, 3, bias=False), nn.BatchNorm2d(channels), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(36 * channels, 10)).double()


def dense(operator):
    return torch.stack([operator @ e for e in torch.eye(operator.size, dtype=torch.float64)])


def test_the_hessian_in_eval_mode_is_that_of_forward_over_reverse():
    model = network().eval()
    g = settings.generator(0)
    ours, theirs = roughness.hessian(model, DIGITS.x, DIGITS.y), curvature.model_hessian(model, DIGITS.x, DIGITS.y)
    for _ in range(3):
        v = torch.randn(ours.size, generator=g, dtype=torch.float64)
        torch.testing.assert_close(ours @ v, theirs @ v)


def test_in_training_mode_it_goes_through_the_statistics_of_the_batch_and_leaves_the_running_ones():
    model = network(1).train()
    before = copy.deepcopy(model.state_dict())
    ours = roughness.hessian(model, DIGITS.x, DIGITS.y)
    names = [name for name, _ in model.named_parameters()]
    found = dense(ours)

    def loss(vector):
        parts = dict(zip(names, vector.split([p.numel() for p in model.parameters()]), strict=True))
        place = {name: parts[name].view_as(p) for name, p in model.named_parameters()}
        fresh = {name: b.clone() for name, b in model.named_buffers()}
        logits = torch.func.functional_call(model, {**fresh, **place}, (DIGITS.x,))
        return nn.functional.cross_entropy(logits, DIGITS.y)

    vector = flat(point(model))
    e = torch.eye(len(vector), dtype=torch.float64)[4]
    h = 1e-5
    slopes = [torch.func.grad(loss)(vector + s * h * e) for s in (1, -1)]
    torch.testing.assert_close(found[4], (slopes[0] - slopes[1]) / (2 * h), atol=1e-7, rtol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("channels", [2, 3], ids=["even", "odd"])
def test_the_plane_of_signs_is_orthogonal(channels):
    first, second = (flat(d) for d in roughness.sign_plane(network(channels), settings.generator(0)))
    assert len(first) == 9 * channels
    assert torch.dot(first, second) == 0
    assert set(first.tolist()) <= {-1.0, 1.0}
    assert (second == 0).sum() == channels % 2


def test_second_differences_tend_to_the_quadratic_form_and_average_to_the_trace():
    model = network().eval()
    block = dense(curvature.model_hessian(model, DIGITS.x, DIGITS.y, only=["0.weight"]))
    centre = mean_loss(model, DIGITS.x, DIGITS.y)
    (d,) = roughness.sign_directions(model, settings.generator(1), 1)
    errors = [
        abs(found - (flat(d) @ block @ flat(d)).item())
        for found in roughness.along(model, DIGITS.x, DIGITS.y, d, [1e-2, 1e-3], centre)
    ]
    assert errors[1] < 0.02 * errors[0]  # of second order in the spacing
    many = torch.stack([flat(d) for d in roughness.sign_directions(model, settings.generator(2), 2000)])
    forms = (many @ block * many).sum(1)
    assert forms.mean().item() == pytest.approx(block.trace().item(), abs=5 * forms.std().item() / 2000**0.5)


def test_in_input_space_all_images_move_alike():
    model = network().eval()
    d = torch.ones(1, 8, 8, dtype=torch.float64)
    (found,) = roughness.along(model, DIGITS.x, DIGITS.y, d, [1e-3], mean_loss(model, DIGITS.x, DIGITS.y))

    def loss(a):
        return nn.functional.cross_entropy(model(DIGITS.x + a * d), DIGITS.y)

    exact = torch.func.grad(torch.func.grad(loss))(torch.zeros((), dtype=torch.float64)).item()
    assert found == pytest.approx(exact, rel=1e-4)


def test_a_rescaled_convolution_is_the_same_function_with_another_curvature():
    model = network()
    roughness_before = curvature.model_hessian(model, DIGITS.x, DIGITS.y, only=["0.weight"])
    other = copy.deepcopy(model)
    ((convolution, norm),) = roughness.normalised_pairs(other)
    roughness.rescale(convolution, norm, 0.1)
    for mode in (True, False):
        torch.testing.assert_close(
            copy.deepcopy(model).train(mode)(DIGITS.x), copy.deepcopy(other).train(mode)(DIGITS.x)
        )
    after = curvature.model_hessian(other, DIGITS.x, DIGITS.y, only=["0.weight"])
    torch.testing.assert_close(dense(after), 100 * dense(roughness_before))
    weights = [{"0.weight": point(m)["0.weight"]} for m in (model, other)]
    assert roughness.mean_square(weights[1]) == pytest.approx(0.01 * roughness.mean_square(weights[0]))


def test_measure_gives_what_its_parts_give():
    digits = data.load("digits", "train").take(12, seed=0)
    model = searched.run("LeNet", digits, epochs=1, parameters=15_000, seed=0).fresh()
    found = roughness.measure(model, digits.x, digits.y, fresh=False, directions=2, products=60, tolerance=1e-3)
    assert found["loss"] == pytest.approx(mean_loss(model, digits.x, digits.y))
    pairs = curvature.top_eigenpairs(
        curvature.model_hessian(model, digits.x, digits.y), 1, generator=settings.generator(9)
    )
    assert found["top"] == pytest.approx(abs(pairs.values[0].item()), rel=1e-2)  # no batch norm: both modes agree
    block = {name: point(model)[name] for name in landscape.first_convolution(model)}
    assert found["signs, scaled"] == pytest.approx(found["signs"] * roughness.mean_square(block))
    first = roughness.sign_directions(model, settings.generator(0), 2)
    values = [roughness.along(model, digits.x, digits.y, d, [roughness.STEP], found["loss"])[0] for d in first]
    assert found["signs"] == pytest.approx((sum(v * v for v in values) / 2) ** 0.5)


def test_contours_have_the_loss_at_their_centre():
    model = network().eval()
    found = roughness.contours(model, DIGITS.x, DIGITS.y, 3, seed=0)
    for name, reach in (("weights", landscape.PARAMETER_REACH), ("inputs", landscape.INPUT_REACH)):
        table = found[name]
        assert table["a1"].max() == reach
        centre = table.loc[(table["a1"] == 0) & (table["a2"] == 0), "loss"].item()
        assert centre == pytest.approx(mean_loss(model, DIGITS.x, DIGITS.y))


def test_the_training_loss_uses_the_statistics_of_the_images():
    model = network()
    before = copy.deepcopy(model.state_dict())
    found = roughness.training_loss(model, DIGITS.x, DIGITS.y)
    assert found == pytest.approx(nn.functional.cross_entropy(copy.deepcopy(model).train()(DIGITS.x), DIGITS.y).item())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_refusals_say_what_is_allowed():
    model = network()
    with pytest.raises(ValueError, match="allowed is a positive one"):
        roughness.rescale(model[0], model[1], 0.0)
    with pytest.raises(ValueError, match="without bias"):
        roughness.rescale(nn.Conv2d(1, 3, 3), model[1], 2.0)
