"""Lipschitz-regularised minimisers against closed forms, brute force and the inequalities of the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import optimize

from advsmooth import settings
from advsmooth.theory import regularised


def line(*points):
    return torch.tensor(points, dtype=torch.float64)[:, None]


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def objective(x, y, u, price, free, loss):
    """The objective by its definition, over all pairs."""
    run = torch.cdist(x, x)
    rise = (u[:, None] - u[None]).abs().reshape(len(x), len(x), -1).amax(2)
    apart = run > 0
    constant = (rise[apart] / run[apart]).max() if apart.any() else torch.tensor(0.0)
    e = regularised.SHIFT
    fit = {
        "squared": (u - y).square(),
        "absolute": (u - y).abs(),
        "kl": -(y + e) * ((u + e) / (y + e)).clamp(min=1e-300).log(),
    }[loss]
    return fit.sum() / len(x) + price * (constant - free).clamp(min=0)


# --- closed forms ---------------------------------------------------------------------------------------------------


@given(st.floats(0.05, 3.0), st.floats(0.01, 2.0), st.floats(0.0, 2.0))
@hypothesis_settings(deadline=None, max_examples=40)
def test_two_points(distance, price, free):
    """Values (a, 1 - a): a^2 + price ((1 - 2 a) / d - L_0)_+ is least at a = price / d, cut where the price ends."""
    found = regularised.minimise(line(0.0, distance), numbers(0.0, 1.0), price, free=free)
    unpaid = max((1 - free * distance) / 2, 0.0)  # where the constant costs nothing
    a = min(price / distance, unpaid, 0.5)
    assert found.values.tolist() == pytest.approx([a, 1 - a], abs=1e-4)
    assert found.objective == pytest.approx(a**2 + price * max((1 - 2 * a) / distance - free, 0), abs=1e-8)
    assert -1e-12 <= found.gap < 1e-8


def test_beyond_a_price_the_minimiser_is_constant():
    """F5 of the errata: two points a unit apart need price 1/2; the constant is the mean."""
    x, y = line(0.0, 1.0), numbers(0.0, 1.0)
    for price, constant in ((0.49, 0.02), (0.51, 0.0), (100.0, 0.0)):
        assert regularised.minimise(x, y, price).lipschitz == pytest.approx(constant, abs=1e-7)
    many = regularised.minimise(line(*range(6)), numbers(0, 0, 1, 0, 1, 1), 10.0)
    assert many.values.tolist() == pytest.approx([0.5] * 6, abs=1e-6)
    median = regularised.minimise(line(*range(5)), numbers(0, 0, 1, 5, 9), 100.0, loss="absolute")
    assert median.values.tolist() == pytest.approx([1.0] * 5, abs=1e-6)


def test_a_small_price_leaves_the_labels():
    x, y = line(0.0, 0.1, 0.5), numbers(0.0, 1.0, 0.5)
    found = regularised.minimise(x, y, 1e-4, loss="absolute")
    torch.testing.assert_close(found.values, y, atol=1e-7, rtol=0)
    assert found.lipschitz == pytest.approx(10.0)
    free = regularised.minimise(x, y, 5.0, free=10.0)
    torch.testing.assert_close(free.values, y, atol=1e-5, rtol=0)
    assert free.objective == pytest.approx(0.0, abs=1e-8)


def test_equal_points_share_a_value():
    x, y = line(0.0, 0.0, 1.0), numbers(0.0, 1.0, 1.0)
    found = regularised.minimise(x, y, 1e-6)
    assert found.values[0] == found.values[1]
    assert found.values.tolist() == pytest.approx([0.5, 0.5, 1.0], abs=1e-4)
    assert found.objective == pytest.approx(1 / 6, abs=1e-6)
    assert found.gap < 1e-8


def test_one_point_and_one_place():
    single = regularised.minimise(line(0.3), numbers(2.0), 1.0)
    assert (single.values.item(), single.lipschitz) == (pytest.approx(2.0), 0.0)
    assert regularised.minimise(line(1.0, 1.0), numbers(0.0, 4.0), 1.0).values.tolist() == pytest.approx([2.0, 2.0])


def test_figure_1_corrupted_labels_are_corrected():
    """Ten per cent of the labels turned: the sign of the solution at these points is the clean one."""
    g = settings.generator(0)
    x = torch.rand(60, 1, generator=g, dtype=torch.float64)
    clean = torch.where(x[:, 0] < 0.5, -1.0, 1.0).double()
    wrong = torch.randperm(60, generator=g)[:6]
    y = clean.clone()
    y[wrong] *= -1
    kept = [abs(x[i, 0].item() - 0.5) > 0.1 for i in range(60)]
    found = regularised.minimise(x, y, 0.1)
    assert found.gap < 1e-8
    assert bool((found.values.sign() == clean)[kept].all())
    overfitted = regularised.minimise(x, y, 1e-6)
    assert not bool((overfitted.values.sign() == clean)[kept].all())


# --- optimality -----------------------------------------------------------------------------------------------------


@given(
    st.integers(0, 10_000),
    st.integers(2, 12),
    st.sampled_from([1, 2, 3]),
    st.floats(1e-3, 1.0),
    st.floats(0.0, 3.0),
    st.sampled_from([("squared", False), ("absolute", False), ("squared", True), ("absolute", True), ("kl", True)]),
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_nothing_nearby_is_better_and_the_bound_holds(seed, n, d, price, free, kind):
    loss, simplex = kind
    g = settings.generator(seed)
    x = torch.rand(n, d, generator=g, dtype=torch.float64)
    y = (
        torch.rand(n, 3, generator=g, dtype=torch.float64)
        if simplex
        else torch.randn(n, generator=g, dtype=torch.float64)
    )
    y = y / y.sum(1, keepdim=True) if simplex else y
    found = regularised.minimise(x, y, price, free=free, loss=loss, simplex=simplex)
    assert found.objective == pytest.approx(
        objective(x, y, found.values, price, free, loss).item(), rel=1e-9, abs=1e-12
    )
    assert -1e-9 <= found.gap < 1e-6
    if simplex:
        assert (found.values >= 0).all()
        torch.testing.assert_close(found.values.sum(1), torch.ones(n, dtype=torch.float64))
    for size in (1e-1, 1e-3):
        for _ in range(10):
            other = found.values + size * torch.randn(y.shape, generator=g, dtype=torch.float64)
            other = other.clamp(min=0) if simplex else other
            other = other / other.sum(1, keepdim=True) if simplex else other
            if other.isfinite().all():
                assert objective(x, y, other, price, free, loss).item() >= found.bound - 1e-12


def test_a_general_optimiser_finds_the_same():
    """Brute force: the piecewise smooth objective minimised by Nelder and Mead from many starts."""
    x, y, price = line(0.0, 0.3, 0.4, 1.0), numbers(0.2, 1.0, -0.4, 0.5), 0.05
    found = regularised.minimise(x, y, price)
    rng = np.random.default_rng(0)

    def height(u):
        return objective(x, y, torch.from_numpy(u), price, 0.0, "squared").item()

    options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 4000, "maxfev": 8000, "adaptive": True}
    best = min(
        optimize.minimize(height, rng.normal(size=4), method="Nelder-Mead", options=options).fun for _ in range(4)
    )
    assert best == pytest.approx(found.objective, abs=1e-6)
    assert best >= found.bound - 1e-12


def test_a_wrong_solution_has_a_gap():
    """The certificate is not a formality: values of the solver for another price are exposed."""
    g = settings.generator(1)
    x, y = torch.rand(20, 1, generator=g, dtype=torch.float64), torch.randn(20, generator=g, dtype=torch.float64)
    right, wrong = (regularised.minimise(x, y, p) for p in (0.05, 0.1))
    swapped = objective(x, y, wrong.values, 0.05, 0.0, "squared").item()
    assert swapped - right.bound > 1e-3


def test_neighbours_are_enough_on_the_line():
    """The same points in the plane, where all pairs are constrained."""
    g = settings.generator(2)
    x = torch.rand(15, 1, generator=g, dtype=torch.float64)
    y = torch.randn(15, generator=g, dtype=torch.float64)
    flat = torch.cat([x, torch.zeros_like(x)], dim=1)
    on_line, in_plane = (regularised.minimise(p, y, 0.02) for p in (x, flat))
    assert on_line.objective == pytest.approx(in_plane.objective, abs=1e-8)
    torch.testing.assert_close(on_line.values, in_plane.values, atol=1e-5, rtol=0)


# --- what the paper says of it --------------------------------------------------------------------------------------


def test_lemma_4_4():
    """Loss at most price Lip(f_0) above that of the interpolant; Lip at most loss of the best constant / price."""
    g = settings.generator(3)
    x, y = torch.rand(25, 1, generator=g, dtype=torch.float64), torch.randn(25, generator=g, dtype=torch.float64)
    exact, spread = regularised.lipschitz_constant(x, y), (y - y.mean()).square().mean().item()
    last = float("inf")
    for price in (1e-4, 1e-3, 1e-2, 1e-1):
        found = regularised.minimise(x, y, price)
        fit = (found.values - y).square().mean().item()
        assert fit <= price * exact + 1e-9
        assert found.lipschitz <= spread / price + 1e-9
        assert found.lipschitz < last
        last = found.lipschitz


def test_strong_convexity_makes_neighbouring_minimisers_close():
    """Lemma 4.12 on the sample, theta = 2: |u - u*|^2 <= J[u] - J[u*] for any u."""
    g = settings.generator(4)
    x, y = torch.rand(12, 2, generator=g, dtype=torch.float64), torch.randn(12, generator=g, dtype=torch.float64)
    found = regularised.minimise(x, y, 0.05)
    for _ in range(50):
        u = found.values + 0.3 * torch.randn(12, generator=g, dtype=torch.float64)
        distance = (u - found.values).square().mean().item()
        assert distance <= objective(x, y, u, 0.05, 0.0, "squared").item() - found.objective + 1e-7


# --- extension ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("simplex", [False, True])
def test_the_extension_keeps_values_and_constant(simplex):
    g = settings.generator(5)
    x = torch.rand(12, 2, generator=g, dtype=torch.float64)
    y = torch.nn.functional.one_hot(torch.arange(12) % 3).double() if simplex else (torch.arange(12) % 2).double()
    found = regularised.minimise(x, y, 0.01, simplex=simplex)
    torch.testing.assert_close(found(x), found.values, atol=1e-12, rtol=0)
    at = torch.cat([x, 2 * torch.rand(60, 2, generator=g, dtype=torch.float64) - 0.5])
    assert found(at).shape == (72, *y.shape[1:])
    assert regularised.lipschitz_constant(at, found(at)) <= found.lipschitz * (1 + 1e-9)


def test_lipschitz_constants():
    assert regularised.lipschitz_constant(line(0.0, 2.0, 3.0), numbers(0.0, 1.0, 3.0)) == 2.0
    plane = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    assert regularised.lipschitz_constant(plane, torch.eye(2, dtype=torch.float64)) == 0.2
    assert regularised.lipschitz_constant(line(1.0, 1.0), numbers(0.0, 1.0)) == float("inf")
    assert regularised.lipschitz_constant(line(1.0, 1.0), numbers(1.0, 1.0)) == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": 0.0}, "price=0.0"),
        ({"free": -1.0}, "free=-1.0"),
        ({"loss": "hinge"}, "loss='hinge'"),
        ({"loss": "kl"}, "loss='kl', simplex=False"),
        ({"simplex": True}, "simplex=True"),
        ({"y": torch.ones(2, 2, dtype=torch.float64), "simplex": True}, "probabilities"),
        ({"x": torch.ones(2, 1)}, "float32"),
        ({"y": torch.ones(3, dtype=torch.float64)}, "allowed is float64"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    given_ = {"x": line(0.0, 1.0), "y": numbers(0.0, 1.0), "price": 1.0} | change
    with pytest.raises(ValueError, match=message) as refusal:
        regularised.minimise(**given_)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("failures", [1, 99])
def test_a_failing_solver_is_asked_for_less_and_then_given_up(monkeypatch, failures):
    import cvxpy

    asked, solve = [], cvxpy.Problem.solve

    def stubborn(self, **how):
        asked.append(how["tol_feas"])
        if len(asked) <= failures:
            raise cvxpy.SolverError("numerical trouble")
        return solve(self, **how)

    monkeypatch.setattr(cvxpy.Problem, "solve", stubborn)
    if failures == 1:
        assert regularised.minimise(line(0.0, 1.0), numbers(0.0, 1.0), 0.1).gap < 1e-6
        assert asked == [1e-11, 1e-8]
    else:
        with pytest.raises(ValueError, match="2 points: the solver failed"):
            regularised.minimise(line(0.0, 1.0), numbers(0.0, 1.0), 0.1)
