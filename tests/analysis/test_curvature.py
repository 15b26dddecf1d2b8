"""Hessian-vector products and eigenpairs against dense Hessians, scipy and matrices with known spectra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import curvature, empirical
from advsmooth.analysis import parameter_space as space
from advsmooth.attacks.gradient import PGD
from advsmooth.models.lenet import LeNet
from advsmooth.theory import linear

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch's own, in torch.func.hessian


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=60).to("cpu", torch.float64)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 3, stride=2), nn.BatchNorm2d(2), nn.Softplus(), nn.MaxPool2d(2), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(2, 10)).double()
    with torch.no_grad():  # statistics that are not those of a fresh layer
        model[1].running_mean.fill_(0.2)
        model[1].running_var.fill_(1.7)
    return model


def dense_hessian(model, x, y, only=None):
    """By torch.func.hessian, one large matrix, in eval mode."""
    model.eval()
    here = space.point(model, only)

    def loss(vector):
        return nn.functional.cross_entropy(torch.func.functional_call(model, space.unflat(vector, here), (x,)), y)

    return torch.func.hessian(loss)(space.flat(here))


def symmetric(spectrum, seed=0, dtype=torch.float64):
    """A random matrix with this spectrum."""
    g = settings.generator(seed)
    n = len(spectrum)
    rotation = torch.linalg.qr(torch.randn(n, n, generator=g, dtype=torch.float64)).Q
    dense = rotation @ torch.diag(torch.as_tensor(spectrum, dtype=torch.float64)) @ rotation.T
    return ((dense + dense.T) / 2).to(dtype)


# --- operators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "only", "linearised"),
    [(1000, None, False), (7, None, False), (9, ["5.weight", "0.bias"], False), (11, None, True)],
)
def test_products_are_those_of_the_dense_hessian(digits, batch, only, linearised):
    model, x, y = network(), digits.x[:20], digits.y[:20]
    expected = dense_hessian(model, x, y, only)
    operator = curvature.model_hessian(model, x, y, only=only, batch=batch, linearised=linearised)
    assert operator.size == len(expected)
    found = torch.stack([operator @ e for e in torch.eye(operator.size, dtype=torch.float64)])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_hessian_belongs_to_the_model_as_it_was_and_to_eval_mode(digits):
    model = network().train()
    model[1].eval()
    expected = dense_hessian(network(), digits.x, digits.y)
    flags, before = [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    operator = curvature.model_hessian(model, digits.x, digits.y, batch=32)
    v = torch.randn(operator.size, generator=settings.generator(0), dtype=torch.float64)
    torch.testing.assert_close(operator @ v, expected @ v)
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(value, before[k]) for k, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    with torch.no_grad():  # the optimiser goes on, statistics move
        for p in model.parameters():
            p.mul_(2)
        model[1].running_var.fill_(5.0)
    torch.testing.assert_close(operator @ v, expected @ v)
    moved = curvature.model_hessian(model, digits.x, digits.y) @ v
    assert (moved - expected @ v).norm() > 0.1 * moved.norm(), "the test could not tell the two apart"


def test_a_loss_of_the_parameters_alone():
    matrix = symmetric([3.0, 1.0, -2.0])
    at = {"a": torch.ones(1, dtype=torch.float64), "b": torch.ones(2, 1, dtype=torch.float64)}

    def loss(place):
        theta = space.flat(place)
        return theta @ matrix @ theta / 2 + theta.sum()

    operator = curvature.hessian(loss, at)
    found = torch.stack([operator @ e for e in torch.eye(3, dtype=torch.float64)])
    torch.testing.assert_close(found, matrix)


@pytest.mark.parametrize(("norm", "same"), [("linf", True), ("l2", False)])
def test_freezing_adversarial_examples_is_exact_for_linf_and_not_for_l2(norm, same):
    """On the binary linear model, where the Hessian of the adversarial loss is known in closed form."""
    g = settings.generator(3)
    theta, x = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((1, 4), (9, 4)))
    y = torch.tensor([1.0, -1.0] * 4 + [1.0], dtype=torch.float64)
    frozen = linear.adversarial_examples(theta, x, y, 0.3, norm)[0].detach()
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(theta)

    def logistic(logits, labels):
        return -nn.functional.logsigmoid(labels * logits[:, 0])

    operator = curvature.model_hessian(model, frozen, y, loss=logistic)
    found = torch.stack([operator @ e for e in torch.eye(4, dtype=torch.float64)])
    exact = linear.hessian(theta, x, y, 0.3, norm)[0]
    assert torch.allclose(found, exact, atol=1e-12) == same


def test_adversarial_curvature_uses_the_whole_subset_without_augmentation(digits):
    """The Hessian at frozen examples is the mean over all of them; a single batch of it differs."""
    model = network()
    x = empirical.adversarial_examples(model, PGD(eps=0.2, steps=3), digits.x, digits.y)
    expected = dense_hessian(model, x, digits.y)
    v = torch.ones(len(expected), dtype=torch.float64)
    torch.testing.assert_close(curvature.model_hessian(model, x, digits.y, batch=16) @ v, expected @ v)
    first = curvature.model_hessian(model, x[:16], digits.y[:16]) @ v
    assert (first - expected @ v).norm() > 0.05 * (expected @ v).norm()


# --- eigenpairs -----------------------------------------------------------------------------------------------------


def check(dense, pairs, k, which="magnitude", tolerance=1e-3):
    """Values against eigvalsh, residuals against their definition."""
    exact = torch.linalg.eigvalsh(dense.double())
    exact = exact[(exact.abs() if which == "magnitude" else exact).argsort(descending=True)][:k]
    assert pairs.converged
    scale = exact.abs().max().item()
    allowed = tolerance * exact.abs() + 1e-4 * scale * (dense.dtype == torch.float32) + 1e-9 * scale
    assert ((pairs.values - exact).abs() <= allowed).all()
    vectors = pairs.vectors.double()
    residuals = (vectors @ dense.double() - pairs.values[:, None] * vectors).norm(dim=1)
    noise = 1e-6 if dense.dtype == torch.float32 else 1e-12
    torch.testing.assert_close(residuals, pairs.residuals, rtol=1e-3, atol=10 * noise * scale)
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(k, dtype=torch.float64), rtol=0, atol=1e2 * noise)


@given(
    st.integers(0, 1000),
    st.integers(3, 60),
    st.integers(1, 8),
    st.sampled_from(["magnitude", "largest"]),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([None, 18]),
)
@hypothesis_settings(max_examples=60, deadline=None, derandomize=True)  # one in thousands may still miss a value
def test_eigenpairs_of_random_matrices(seed, n, k, which, dtype, dimension):
    k = min(k, n)
    g = settings.generator(seed)
    dense = symmetric(torch.randn(n, generator=g, dtype=torch.float64), seed, dtype)
    pairs = curvature.top_eigenpairs(
        curvature.matrix(dense), k, generator=g, which=which, dimension=dimension, max_products=5000
    )
    check(dense, pairs, k, which)


@pytest.mark.parametrize("dimension", [13, 20, 60])
def test_restarts_lose_nothing(dimension):
    dense = symmetric(np.concatenate([[50.0, 20.0, 19.5, -19.0, 8.0], np.linspace(-4, 4, 200)]))
    pairs = curvature.top_eigenpairs(
        curvature.matrix(dense), 5, generator=settings.generator(0), tolerance=1e-8, dimension=dimension
    )
    check(dense, pairs, 5, tolerance=1e-7)
    assert pairs.values.tolist() == pytest.approx([50, 20, 19.5, -19, 8], abs=1e-9)
    if dimension < 60:
        assert pairs.products > dimension, "the test must restart"


def test_without_a_guard_eigenvalues_are_missed():
    """Why ``guard`` is not 0: the same random matrices with and without it."""
    missed = {0: 0, 5: 0}
    for seed in range(80):
        spectrum = torch.randn(100, generator=settings.generator(seed), dtype=torch.float64)
        dense, top = symmetric(spectrum, seed), spectrum.abs().sort(descending=True).values[:6]
        for guard in missed:
            g = settings.generator(1000 + seed)
            pairs = curvature.top_eigenpairs(curvature.matrix(dense), 6, generator=g, guard=guard)
            missed[guard] += bool(((pairs.values.abs() - top).abs() > 2e-3 * top).any())
    assert missed[0] > 0 == missed[5]


def test_repeated_and_zero_eigenvalues():
    for spectrum, k in (([1.0] * 10, 4), ([5.0, 5.0, 1, 1, 1, 1, 1], 3), ([2.0, 0, 0, 0, 0], 3), ([0.0] * 6, 2)):
        for seed in range(5):
            dense = symmetric(spectrum, seed)
            pairs = curvature.top_eigenpairs(curvature.matrix(dense), k, generator=settings.generator(seed))
            assert pairs.values.tolist() == pytest.approx(spectrum[:k], abs=1e-9)


def test_eigenpairs_of_a_network_are_those_of_scipy_and_of_the_dense_hessian(digits):
    model = network()
    dense = dense_hessian(model, digits.x, digits.y)
    operator = curvature.model_hessian(model, digits.x, digits.y)
    pairs = curvature.top_eigenpairs(operator, 6, generator=settings.generator(0), tolerance=1e-6)
    check(dense, pairs, 6, tolerance=1e-6)
    as_scipy = LinearOperator(
        dense.shape, matvec=lambda v: (operator @ torch.from_numpy(v.ravel())).numpy(), dtype=np.float64
    )
    found = eigsh(as_scipy, 6, which="LM", return_eigenvectors=False, tol=1e-10)
    assert sorted(found) == pytest.approx(sorted(pairs.values.tolist()), rel=1e-8)


def test_far_fewer_products_than_the_power_iteration():
    """The method of Liu et al., stopped by an oracle as soon as an eigenvalue is right to 1e-3 (or at 200 steps)."""
    g = settings.generator(0)
    spectrum = torch.cat([torch.linspace(30, 2, 10), torch.linspace(1.8, 0.9, 12), 0.8 * torch.rand(600, generator=g)])
    dense = symmetric(spectrum)
    pairs = curvature.top_eigenpairs(curvature.matrix(dense), 20, generator=g)
    check(dense, pairs, 20)
    assert 5 * pairs.products < power_iteration(dense, 20, 1e-3, g)


def power_iteration(dense, k, tolerance, generator):
    """Products spent on the top ``k`` eigenvalues, deflating those before."""
    spent, found = 0, []
    for exact in torch.linalg.eigvalsh(dense).flip(0)[:k]:
        v = torch.randn(len(dense), generator=generator, dtype=torch.float64)
        for _ in range(200):
            for u in found:
                v = v - (u @ v) * u
            v = v / v.norm()
            spent, image = spent + 1, dense @ v
            value, v = v @ image, image / image.norm()
            if abs(value - exact) < tolerance * exact:
                break
        found.append(v)
    return spent


def test_a_limit_on_products_is_kept_and_reported():
    dense = symmetric(np.linspace(1, 2, 100))
    pairs = curvature.top_eigenpairs(curvature.matrix(dense), 3, generator=settings.generator(0), max_products=7)
    assert (pairs.products, pairs.converged) == (7, False)
    few = curvature.top_eigenpairs(curvature.matrix(dense), 3, generator=settings.generator(0), max_products=2)
    assert (len(few.values), few.vectors.shape, few.converged) == (2, (2, 100), False)


def test_the_generator_decides():
    operator = curvature.matrix(symmetric(np.arange(30.0)))
    first, again, other = (curvature.top_eigenpairs(operator, 2, generator=settings.generator(s)) for s in (0, 0, 1))
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)


# --- trace and table ------------------------------------------------------------------------------------------------


def test_trace_is_exact_for_diagonals_and_unbiased_for_the_rest():
    diagonal = torch.diag(torch.arange(9.0, dtype=torch.float64))
    exact = curvature.trace(curvature.matrix(diagonal), probes=3, generator=settings.generator(0))
    assert (exact.value, exact.error) == (36.0, 0.0)
    dense = symmetric(np.linspace(-1, 5, 40))
    found = curvature.trace(curvature.matrix(dense), probes=4000, generator=settings.generator(1))
    assert abs(found.value - dense.trace().item()) < 4.5 * found.error
    off = 2 * (dense.square().sum() - dense.diag().square().sum()).item()
    assert found.error == pytest.approx(math.sqrt(off / 4000), rel=0.1)


def test_the_table_normalises_by_the_scale_of_the_loss():
    pairs = curvature.top_eigenpairs(
        curvature.matrix(torch.diag(torch.tensor([4.0, 2.0]))), 2, generator=settings.generator(0)
    )
    table = curvature.tidy(pairs, scale=2.0)
    assert list(table.columns) == ["rank", "eigenvalue", "residual", "normalised"]
    assert table["rank"].tolist() == [1, 2]
    assert table["normalised"].tolist() == pytest.approx([2.0, 1.0])
    assert curvature.tidy(pairs)["normalised"].tolist() == pytest.approx([4.0, 2.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o, g: curvature.top_eigenpairs(o, 0, generator=g), "k=0"),
        (lambda o, g: curvature.top_eigenpairs(o, 9, generator=g), "k=9"),
        (lambda o, g: curvature.top_eigenpairs(o, 3, generator=g, guard=0, dimension=4), "dimension=4"),
        (lambda o, g: curvature.top_eigenpairs(o, 3, generator=g, guard=-1), "guard=-1"),
        (lambda o, g: curvature.top_eigenpairs(o, 1, generator=g, which="smallest"), "which='smallest'"),
        (
            lambda _, g: curvature.top_eigenpairs(curvature.matrix(torch.full((3, 3), torch.nan)), 1, generator=g),
            "finite",
        ),
        (lambda o, g: curvature.trace(o, probes=1, generator=g), "probes=1"),
        (lambda o, g: curvature.tidy(curvature.top_eigenpairs(o, 1, generator=g), scale=0.0), "scale=0.0"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(curvature.matrix(symmetric(np.arange(8.0))), settings.generator(0))
    assert "\n" not in str(refusal.value)


def test_lenet_in_single_precision():
    """Residuals certify single precision as well; the same Hessian in double precision has the same top."""
    digits = data.load("digits", n=100)
    torch.manual_seed(0)
    model = LeNet((1, 8, 8), 10, w=1)
    pairs = curvature.top_eigenpairs(
        curvature.model_hessian(model, digits.x, digits.y), 5, generator=settings.generator(0)
    )
    assert pairs.converged
    assert pairs.vectors.dtype == torch.float32
    exact = curvature.top_eigenpairs(
        curvature.model_hessian(model.double(), digits.x.double(), digits.y),
        5,
        generator=settings.generator(1),
        tolerance=1e-6,
    )
    assert pairs.values.tolist() == pytest.approx(exact.values.tolist(), rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_cuda():
    dense = symmetric(np.arange(50.0)).cuda()
    pairs = curvature.top_eigenpairs(curvature.matrix(dense), 3, generator=settings.generator(0))
    assert pairs.vectors.is_cuda
    assert pairs.values.tolist() == pytest.approx([49, 48, 47], rel=1e-6)


def test_the_gauss_newton_part_of_the_cross_entropy_is_the_whole_hessian_of_a_linear_model():
    g = settings.generator(5)
    model = nn.Linear(4, 3).double()
    x = torch.randn(9, 4, generator=g, dtype=torch.float64)
    y = torch.randint(0, 3, (9,), generator=g)
    found = curvature.gauss_newton(model, x, batch=4)
    whole = curvature.model_hessian(model, x, y)
    v = torch.randn(found.size, generator=g, dtype=torch.float64)
    torch.testing.assert_close(found @ v, whole @ v)


def test_an_undecided_gauss_newton_has_equal_probabilities():
    g = settings.generator(6)
    model = nn.Linear(4, 3).double()
    x = torch.randn(9, 4, generator=g, dtype=torch.float64)
    found = curvature.gauss_newton(model, x, undecided=True)
    v = torch.randn(found.size, generator=g, dtype=torch.float64)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    torch.testing.assert_close(found @ v, curvature.gauss_newton(model, x) @ v)
    assert float(v @ (found @ v)) > 0
