"""The largest rise in a ball, against closed forms, search and autograd."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import epsilon_sharpness as sharp
from advsmooth.analysis.empirical import adversarial_examples, mean_loss
from advsmooth.analysis.parameter_space import flat, point
from advsmooth.attacks.gradient import PGD
from advsmooth.theory import linear


def quadratic(seed, d=4, minimum=False):
    g = settings.generator(seed)
    a = torch.randn(d, d, generator=g, dtype=torch.float64)
    hessian = a @ a.T if minimum else (a + a.T) / 2
    return hessian, torch.randn(d, generator=g, dtype=torch.float64)


def of_quadratic(hessian, gradient):
    return lambda v: ((gradient @ v + v @ hessian @ v / 2).item(), gradient + hessian @ v)


@given(st.integers(0, 10_000), st.floats(0.01, 5))
def test_no_point_of_the_ball_is_higher_than_the_closed_form(seed, radius):
    hessian, gradient = quadratic(seed)
    top = sharp.quadratic_rise(hessian, gradient, radius)
    points = torch.randn(2000, 4, generator=settings.generator(seed + 1), dtype=torch.float64)
    points = points / points.norm(dim=1, keepdim=True) * radius
    rises = points @ gradient + (points @ hessian * points).sum(1) / 2
    assert rises.max() <= top * (1 + 1e-9) + 1e-12
    assert top <= gradient.norm() * radius + torch.linalg.eigvalsh(hessian)[-1].clamp_min(0) * radius**2 / 2 + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_the_ascent_reaches_the_closed_form(seed):
    hessian, gradient = quadratic(seed)
    starts = torch.randn(8, 4, generator=settings.generator(9), dtype=torch.float64)
    found = sharp.ascend(of_quadratic(hessian, gradient), 0.7, starts, steps=300)
    assert found == pytest.approx(sharp.quadratic_rise(hessian, gradient, 0.7), rel=1e-6)


def test_without_a_gradient_it_is_the_top_eigenvalue():
    hessian, _ = quadratic(0, minimum=True)
    top = torch.linalg.eigvalsh(hessian)[-1].item()
    zero = torch.zeros(4, dtype=torch.float64)
    assert sharp.quadratic_rise(hessian, zero, 0.3) == pytest.approx(top * 0.3**2 / 2, rel=1e-12)
    rise = sharp.sharpness(sharp.quadratic_rise(hessian, zero, 0.3), 2.0)
    assert rise == pytest.approx(sharp.approximation(top, 0.3, 2.0), rel=1e-12)


def test_the_hard_case_and_the_maximum_inside():
    hessian = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64))
    across = torch.tensor([0.5, 0.0], dtype=torch.float64)  # no share in the top eigenvector
    v1 = 0.5 / (3 - 1)
    exact = 0.5 * v1 + v1**2 / 2 + 3 * (1 - v1**2) / 2
    assert sharp.quadratic_rise(hessian, across, 1.0) == pytest.approx(exact, rel=1e-10)
    down = -torch.eye(2, dtype=torch.float64)
    assert sharp.quadratic_rise(down, across, 1.0) == pytest.approx(0.125, rel=1e-10)  # at v = (0.5, 0)


def test_the_crossover_is_where_both_terms_are_equal():
    assert 0.3 * sharp.crossover(0.3, 2.0) == pytest.approx(2.0 * sharp.crossover(0.3, 2.0) ** 2 / 2)


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Softplus(), nn.Linear(5, 10)).double()
    digits = data.load("digits").take(30, seed=0)
    return model, digits.x.double(), digits.y


def test_the_landscape_of_a_model_is_its_loss_and_gradient():
    model, x, y = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    v = 0.1 * torch.randn(flat(point(model)).shape, generator=settings.generator(1), dtype=torch.float64)
    at = sharp.of_model(model, x, y)
    loss, slope = at(v)
    h = 1e-6
    along = torch.randn(v.shape, generator=settings.generator(2), dtype=torch.float64)
    difference = (at(v + h * along)[0] - at(v - h * along)[0]) / (2 * h)
    assert difference == pytest.approx(float(slope @ along), rel=1e-6)
    assert at(torch.zeros_like(v))[0] == pytest.approx(mean_loss(model, x, y), rel=1e-12)
    assert loss != pytest.approx(mean_loss(model, x, y), rel=1e-3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_with_an_attack_the_examples_are_found_anew():
    model, x, y = network()
    attack = PGD(eps=0.1, steps=5)
    moved = adversarial_examples(model, attack, x, y)
    v = 0.3 * torch.randn(flat(point(model)).shape, generator=settings.generator(1), dtype=torch.float64)
    still, anew = sharp.of_model(model, moved, y), sharp.of_model(model, x, y, attack=attack)
    assert still(torch.zeros_like(v))[0] == pytest.approx(anew(torch.zeros_like(v))[0], rel=1e-12)
    assert anew(v)[0] > still(v)[0]


def test_a_tiny_network_rises_as_its_hessian_says():
    """Exact second-order value: dense Hessian and gradient by autograd, then the trust-region problem."""
    model, x, y = network()
    at = sharp.of_model(model, x, y)
    start = point(model)
    names, shapes = list(start), [v.shape for v in start.values()]
    sizes = [v.numel() for v in start.values()]

    def loss(vector):
        parts = [p.view(s) for p, s in zip(vector.split(sizes), shapes, strict=True)]
        logits = torch.func.functional_call(model, dict(zip(names, parts, strict=True)), (x,))
        return torch.nn.functional.cross_entropy(logits, y)

    theta = flat(start)
    gradient = torch.func.grad(loss)(theta)
    hessian = torch.func.hessian(loss)(theta)
    errors = []
    for radius in (1e-2, 1e-3):
        exact = sharp.quadratic_rise(hessian, gradient, radius)
        found = sharp.ascend(at, radius, [gradient], steps=20)
        errors.append(abs(found / exact - 1))
    assert errors[1] < 1e-5
    assert errors[1] < errors[0] / 10  # the rest is of third order, and the gradient is not small


def test_bad_input_is_refused():
    hessian, gradient = quadratic(0)
    with pytest.raises(ValueError, match="positive radius"):
        sharp.ascend(of_quadratic(hessian, gradient), 0.0, [gradient], steps=3)
    with pytest.raises(ValueError, match="starts"):
        sharp.ascend(of_quadratic(hessian, gradient), 1.0, [], steps=3)
    with pytest.raises(ValueError, match="less noise"):
        sharp.noisy_pair("linf", right=4)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_noisy_pair_is_a_minimum(norm):
    found = sharp.noisy_pair(norm)
    around = found.theta + 0.01 * torch.randn(500, 2, generator=settings.generator(0), dtype=torch.float64)
    assert (found.loss(around) >= found.loss(found.theta[None])).all()
    t = found.theta[None].clone()
    along = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert linear.one_sided_gradient(t, along[None], found.x, found.y, found.eps, norm)[0, 0].abs() < 1e-12


def test_the_slope_of_the_kink_is_that_of_finite_differences():
    found = sharp.noisy_pair("linf")
    h = 1e-7
    for sign in (-1, 1):
        moved = found.theta + torch.tensor([0.0, sign * h], dtype=torch.float64)
        rise = (found.loss(moved[None]) - found.loss(found.theta[None])).item()
        assert rise / h == pytest.approx(found.slope, rel=1e-5)


def test_the_ratio_tends_to_one_or_diverges():
    smooth, kink = sharp.noisy_pair("l2"), sharp.noisy_pair("linf")
    assert smooth.ratio(1e-3) == pytest.approx(1, abs=2e-3)
    assert kink.ratio(1e-4) * 1e-4 == pytest.approx(2 * kink.slope / kink.top, rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_ridge_is_at_its_minimum_with_its_hessian(seed):
    found = sharp.random_ridge(settings.generator(seed))

    def loss(t):
        return found.loss(t[None])[0]

    assert torch.func.grad(loss)(found.theta).norm() < 1e-13
    dense = torch.func.hessian(loss)(found.theta)
    assert torch.linalg.matrix_norm(dense, 2).item() == pytest.approx(found.top, rel=1e-10)
    third = torch.func.jacfwd(torch.func.hessian(loss))(found.theta)
    assert third.square().sum().sqrt() < 4 * found.rho
    assert abs(found.ratio(0.1) - 1) <= found.bound(0.1)


def test_the_cubic_attains_the_bound():
    assert sharp.cubic_ratio(2.0, 0.6, 0.5) == pytest.approx(1 + 0.6 * 0.5 / (3 * 2.0), rel=1e-12)


def test_a_circle_is_searched_finely():
    centre = torch.zeros(2, dtype=torch.float64)

    def loss(t):
        return t @ torch.tensor([math.cos(1.234), math.sin(1.234)], dtype=torch.float64)

    assert sharp.circle_rise(loss, centre, 2.0) == pytest.approx(2.0, rel=1e-12)
