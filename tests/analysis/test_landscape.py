"""Directions and contours, against closed forms, eigenvalues and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import curvature, empirical, landscape
from advsmooth.analysis import parameter_space as space
from advsmooth.attacks.gradient import PGD


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=40).to("cpu", torch.float64)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Softplus(), nn.Flatten(), nn.Linear(108, 10)]
    return nn.Sequential(*layers).double()


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


# --- directions -----------------------------------------------------------------------------------------------------


def test_filter_normalised_directions_have_the_norms_of_the_filters():
    start = space.point(network())
    found = landscape.random_direction(start, settings.generator(0))
    for name, weight in start.items():
        if weight.ndim < 2:  # biases, and the scale and shift of the norm layer
            assert not found[name].any()
        else:
            torch.testing.assert_close(found[name].flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
            assert not torch.allclose(found[name], weight)
    rescaled = {name: 7 * weight for name, weight in start.items()}
    scaled = landscape.random_direction(rescaled, settings.generator(0))
    torch.testing.assert_close(space.flat(scaled), 7 * space.flat(found))


def test_other_normalisations():
    start = space.point(network())
    by_layer = landscape.random_direction(start, settings.generator(0), normalise="layer")
    assert by_layer["0.weight"].norm() == pytest.approx(start["0.weight"].norm().item())
    assert not torch.allclose(by_layer["0.weight"].flatten(1).norm(dim=1), start["0.weight"].flatten(1).norm(dim=1))
    plain = space.flat(landscape.random_direction(start, settings.generator(0), normalise="none"))
    assert plain.std().item() == pytest.approx(1, abs=0.1)
    assert landscape.random_direction({"w": torch.zeros(2, 2)}, settings.generator(0))["w"].tolist() == [[0, 0], [0, 0]]


@given(st.integers(0, 10_000), st.integers(1, 100))
def test_sign_directions_are_orthogonal(seed, half):
    first, second = landscape.orthogonal_signs(2 * half, settings.generator(seed))
    assert set(first.tolist()) | set(second.tolist()) <= {-1.0, 1.0}
    assert first @ second == 0


def test_sign_directions_are_uniform():
    """Each entry of the second, and each product of two entries, is a fair coin (with the bias of 1 / (n - 1))."""
    g = settings.generator(0)
    drawn = torch.stack([torch.stack(landscape.orthogonal_signs(6, g)) for _ in range(4000)])
    assert drawn.mean(0).abs().max() < 4.5 / 4000**0.5
    product = (drawn[:, 0] * drawn[:, 1]).mean(0)
    assert product.abs().max() < 4.5 / 4000**0.5
    with pytest.raises(ValueError, match="even number"):
        landscape.orthogonal_signs(9, g)


def test_the_first_convolution_is_found_in_any_nesting():
    assert landscape.first_convolution(network()) == ["0.weight", "0.bias"]
    nested = nn.Sequential(nn.Identity(), nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Conv2d(2, 2, 3)))
    assert landscape.first_convolution(nested) == ["1.0.weight"]
    assert landscape.first_convolution(nn.Conv1d(1, 2, 3)) == ["weight", "bias"]
    with pytest.raises(ValueError, match="no convolution"):
        landscape.first_convolution(nn.Linear(2, 2))


def test_the_gradient_direction_is_the_slope_of_the_contour(digits):
    model = network()
    slope = landscape.gradient_direction(model, digits.x, digits.y, batch=13)
    table = landscape.contour(model, digits.x, digits.y, [slope], [[-1e-5, 1e-5]])
    rise = (table["loss"][1] - table["loss"][0]) / 2e-5
    assert rise == pytest.approx(space.length(slope) ** 2, rel=1e-6)


# --- contours -------------------------------------------------------------------------------------------------------


def test_a_contour_of_a_quadratic_loss_is_exact():
    """Logits theta x, loss half their square: along d from theta the loss is known."""
    model = nn.Linear(3, 1, bias=False).double()
    g = settings.generator(0)
    x, d1, d2 = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((11, 3), (1, 3), (1, 3)))
    y = torch.zeros(11, dtype=torch.int64)
    grid = [landscape.offsets(2, 5), landscape.offsets(1, 3)]
    table = landscape.contour(
        model, x, y, [{"weight": d1}, {"weight": d2}], grid, loss=lambda z, _: z[:, 0].square() / 2
    )
    assert list(table.columns) == ["a1", "a2", "loss"]
    assert len(table) == 15
    for a1, a2, found in table.itertuples(index=False):
        theta = model.weight.detach() + a1 * d1 + a2 * d2
        assert found == pytest.approx(((x @ theta.T).square() / 2).mean().item(), rel=1e-12)
    second = landscape.second_differences(table)
    for name, d in (("a1", d1), ("a2", d2)):
        np.testing.assert_allclose(second[name], (x @ d.T).square().mean().item(), rtol=1e-9)
    assert second["a1"].shape == (3, 3)


def test_second_differences_along_eigenvectors_are_the_eigenvalues(digits):
    """Liu et al., figure 12; the claim's own check."""
    model = network()
    pairs = curvature.top_eigenpairs(
        curvature.model_hessian(model, digits.x, digits.y), 2, generator=settings.generator(0), tolerance=1e-6
    )
    directions = [space.unflat(v, space.point(model)) for v in pairs.vectors]
    table = landscape.contour(model, digits.x, digits.y, directions, [landscape.offsets(1e-2, 3)] * 2)
    second = landscape.second_differences(table)
    found = [second["a1"][0, 1], second["a2"][1, 0]]
    assert found == pytest.approx(pairs.values.tolist(), rel=1e-3)


def test_the_model_is_left_as_found_bit_for_bit(digits):
    model = network().train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before, flags = state(model), [m.training for m in model.modules()]
    directions = [landscape.random_direction(space.point(model), settings.generator(k)) for k in (0, 1)]
    grid = [[-0.7, 0.1], [0.3]]
    attack = PGD(eps=0.1, steps=1)
    landscape.contour(model, digits.x, digits.y, directions, grid, attack=attack)
    landscape.contour(model, digits.x, digits.y, directions, grid, at_once=2)
    landscape.gradient_direction(model, digits.x, digits.y)
    landscape.pang_contour(model, digits.x, digits.y, settings.generator(0), points=2, only=["4.weight"])
    landscape.pang_contour(model, digits.x, digits.y, settings.generator(0), points=2, space="inputs")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == flags
    assert [p.requires_grad for p in model.parameters()][:2] == [False, True]
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(RuntimeError):
        landscape.contour(model, digits.x.flatten(1), digits.y, directions, grid)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("only", [None, ["4.weight"]])
def test_vectorised_points_are_the_same(digits, only):
    model = network()
    directions = [landscape.random_direction(space.point(model, only), settings.generator(k)) for k in (0, 1)]
    grid = [landscape.offsets(1, 3), landscape.offsets(0.5, 4)]
    plain = landscape.contour(model, digits.x, digits.y, directions, grid, batch=16)
    fast = landscape.contour(model, digits.x, digits.y, directions, grid, batch=7, at_once=5)
    np.testing.assert_allclose(fast["loss"], plain["loss"], rtol=1e-12)
    with pytest.raises(ValueError, match="at_once=2"):
        landscape.contour(model, digits.x, digits.y, directions, grid, at_once=2, attack=PGD(eps=0.1))


def test_the_adversarial_contour_attacks_anew_at_every_point(digits):
    model, attack = network(), PGD(eps=0.1, step_size=0.05, steps=3)
    direction = landscape.random_direction(space.point(model), settings.generator(0))
    table = landscape.contour(model, digits.x, digits.y, [direction], [[-1.0, 0.0, 1.0]], attack=attack, seed=5)
    for offset, found in table.itertuples(index=False):
        with space.standing_at(model, space.shifted(space.point(model), (offset, direction))):
            assert found == empirical.mean_loss(model, digits.x, digits.y, attack=attack, seed=5)
    here = empirical.adversarial_examples(model, attack, digits.x, digits.y, seed=5)
    stale = landscape.contour(model, here, digits.y, [direction], [[-1.0, 0.0, 1.0]])
    assert stale["loss"][1] == table["loss"][1]
    assert (stale["loss"][[0, 2]] < table["loss"][[0, 2]]).all(), "examples of the centre are weaker elsewhere"


def test_input_contours(digits):
    model = network().eval()
    g = settings.generator(0)
    common = torch.randn(1, 8, 8, generator=g, dtype=torch.float64)
    own = torch.randn(40, 1, 8, 8, generator=g, dtype=torch.float64)
    table = landscape.input_contour(model, digits.x, digits.y, [common, own], [[-0.2, 0.2], [0.0, 0.1]], batch=9)
    for a1, a2, found in table.itertuples(index=False):
        moved = digits.x + a1 * common + a2 * own
        assert found == pytest.approx(nn.functional.cross_entropy(model(moved), digits.y).item(), rel=1e-12)
    with pytest.raises(ValueError, match="directions of shape"):
        landscape.input_contour(model, digits.x, digits.y, [own[:, None].repeat(1, 40, 1, 1, 1)], [[0.1]])


def test_the_contour_of_pang_moves_only_the_first_convolution(digits):
    model = network()
    table = landscape.pang_contour(model, digits.x, digits.y, settings.generator(3), points=3)
    assert sorted(set(table["a1"])) == [-0.5, 0.0, 0.5]
    first, second = landscape.orthogonal_signs(30, settings.generator(3))
    moved = network().eval()
    with torch.no_grad():
        moved[0].weight += (0.5 * first[:27] - 0.5 * second[:27]).view(3, 1, 3, 3)
        moved[0].bias += 0.5 * first[27:] - 0.5 * second[27:]
    expected = nn.functional.cross_entropy(moved(digits.x), digits.y).item()
    found = table.query("a1 == 0.5 and a2 == -0.5")["loss"].item()
    assert found == pytest.approx(expected, rel=1e-12)
    centre = table.query("a1 == 0 and a2 == 0")["loss"].item()
    assert centre == empirical.mean_loss(model, digits.x, digits.y)
    inputs = landscape.pang_contour(model, digits.x, digits.y, settings.generator(3), points=3, space="inputs")
    assert sorted(set(inputs["a2"])) == [-0.2, 0.0, 0.2]
    assert inputs.query("a1 == 0 and a2 == 0")["loss"].item() == centre


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x, y: landscape.contour(m, x, y, [], []), "0 directions"),
        (lambda m, x, y: landscape.contour(m, x, y, [space.point(m)], [[]]), "1 directions"),
        (lambda m, x, y: landscape.contour(m, x, y, [space.point(m)], [[0.0]], at_once=0), "at_once=0"),
        (lambda m, x, y: landscape.contour(m, x, y, [{"nothing": x}], [[0.0]]), "'nothing'"),
        (lambda m, x, y: landscape.pang_contour(m, x, y, settings.generator(0), space="x"), "space='x'"),
        (
            lambda m, *_: landscape.random_direction(space.point(m), settings.generator(0), normalise="l2"),
            "normalise='l2'",
        ),
        (lambda *_: landscape.offsets(0.0, 3), "reach=0.0"),
        (lambda *_: landscape.offsets(1.0, 1), "points=1"),
    ],
)
def test_bad_input_is_refused_in_one_line(digits, call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(network(), digits.x, digits.y)
    assert "\n" not in str(refusal.value)


def test_uneven_offsets_have_no_second_difference(digits):
    model = network()
    direction = landscape.random_direction(space.point(model), settings.generator(0))
    for offsets in ([0.0, 0.1, 0.5], [0.0, 0.1]):
        table = landscape.contour(model, digits.x, digits.y, [direction], [offsets])
        with pytest.raises(ValueError, match="equally spaced"):
            landscape.second_differences(table)
