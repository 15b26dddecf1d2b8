"""EntropySGD on quadratics, where Langevin averages have closed forms, and each difference between its variants."""

from __future__ import annotations

import math

import pytest
import torch

from advsmooth import settings
from advsmooth.training.entropysgd import EntropySGD, SecondOrderEntropySGD

CURVATURE, TARGET = 0.7, 1.5


def quadratic(theta, a=CURVATURE, c=TARGET):
    """A closure for ``a/2 |theta - c|^2``."""

    def closure():
        theta.grad = None
        loss = (a * (theta - c).square() / 2).sum()
        loss.backward()
        return loss

    return closure


def parameter(value=0.0, n=1, dtype=torch.float64):
    return torch.nn.Parameter(torch.full((n,), value, dtype=dtype))


def optimiser(theta, kind=EntropySGD, seed=0, **changes):
    options = {"lr": 1.0, "inner_lr": 0.2, "scope": 0.5, "noise": 0.0, "averaging": 0.75, "langevin": 6} | changes
    return kind([theta], generator=settings.generator(seed), **options)


def mean_of_walk(theta, *, a=CURVATURE, c=TARGET, scope=0.5, rate=0.2, weight=0.75, steps=6):
    """``(1-w)^L theta + w sum_l (1-w)^(L-l) (m + r^l (theta - m))``, ``r = 1 - rate (a + scope)``, in closed form."""
    m, r, q = (a * c + scope * theta) / (a + scope), 1 - rate * (a + scope), 1 - weight
    geometric = weight * r * (r**steps - q**steps) / (r - q)
    return q**steps * theta + (1 - q**steps) * m + geometric * (theta - m)


# --- closed forms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [-2.0, 0.0, 4.0])
def test_paper_step_has_the_closed_form_of_a_quadratic(start):
    theta = parameter(start)
    optimiser(theta, lr=0.8).step(quadratic(theta))
    assert theta.item() == pytest.approx(start - 0.8 * 0.5 * (start - mean_of_walk(start)), rel=1e-12)


def test_reference_step_has_the_closed_form_of_a_quadratic():
    theta = parameter(0.3)
    optimiser(theta, lr=0.8, variant="reference").step(quadratic(theta))
    assert theta.item() == pytest.approx(0.3 - 0.8 * (0.3 - mean_of_walk(0.3, weight=0.25)), rel=1e-12)


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_it_descends_to_the_minimum_where_the_printed_sign_runs_away(variant):
    theta = parameter(0.0)
    descent = optimiser(theta, variant=variant, noise=1e-4)
    for _ in range(60):
        descent.step(quadratic(theta))
    assert theta.item() == pytest.approx(TARGET, abs=1e-3)
    # Negative control, line 10 as printed: dt = -grad - gamma (theta - t), t <- t - rate dt.
    t = theta_printed = 0.0
    for _ in range(6):
        t -= 0.2 * (-CURVATURE * (t - TARGET) - 0.5 * (theta_printed - t))
    assert t < theta_printed


def test_langevin_iterates_have_the_moments_of_the_recursion():
    """``t_L`` itself (averaging 1, an outer step of length 1) is normal with known mean and variance."""
    n, start, noise, rate, scope, steps = 40_000, 0.4, 0.9, 0.2, 0.5, 5
    theta = parameter(start, n)
    walk = optimiser(theta, lr=1 / scope, averaging=1.0, noise=noise, langevin=steps, inner_lr=rate, scope=scope)
    walk.step(quadratic(theta))
    r = 1 - rate * (CURVATURE + scope)
    m = (CURVATURE * TARGET + scope * start) / (CURVATURE + scope)
    variance = rate * noise**2 * (1 - r ** (2 * steps)) / (1 - r**2)
    mean = m + r**steps * (start - m)
    assert (theta.mean().item() - mean) / math.sqrt(variance / n) == pytest.approx(0, abs=4)
    assert (theta.var().item() / variance - 1) / math.sqrt(2 / n) == pytest.approx(0, abs=4)


@pytest.mark.parametrize("noise", [math.sqrt(2), 0.3])
def test_small_steps_sample_the_density_at_temperature_noise_squared_over_two(noise):
    """``exp(-2U/noise^2)``: the density of the objective for ``sqrt(2)``, a far narrower one for less (errata K7)."""
    n, scope = 20_000, 0.5
    theta = parameter(0.4, n)
    walk = optimiser(theta, lr=1 / scope, averaging=1.0, noise=noise, langevin=400, inner_lr=0.02, scope=scope)
    walk.step(quadratic(theta))
    assert theta.var().item() == pytest.approx(noise**2 / (2 * (CURVATURE + scope)), rel=0.05)
    assert theta.mean().item() == pytest.approx((CURVATURE * TARGET + scope * 0.4) / (CURVATURE + scope), abs=0.02)


def test_second_order_is_newton_on_a_quadratic():
    """With the variance of the density, ``1/(a + gamma)``, one step of length 1 from anywhere ends at the minimum."""
    a, scope, rate = 1.0, 1.0, 0.1
    noise = math.sqrt((1 - (1 - rate * (a + scope)) ** 2) / (rate * (a + scope)))  # sqrt(2), made exact for this rate
    options = {"noise": noise, "averaging": 0.004, "langevin": 2500, "inner_lr": rate, "scope": scope}
    ends = {}
    for kind in (EntropySGD, SecondOrderEntropySGD):
        theta = parameter(-3.0, 400)
        optimiser(theta, kind, **options).step(quadratic(theta, a=a))
        ends[kind] = theta.mean().item()
    assert ends[SecondOrderEntropySGD] == pytest.approx(TARGET, abs=0.1)
    assert ends[EntropySGD] == pytest.approx(-3 + (TARGET + 3) / 2, abs=0.05)  # the first order goes half of the way


def algorithm_1(theta, a, noises, *, lr=0.3, rate=0.1, scope=0.4, noise=0.5, weight=0.6, second=False):
    """One run of algorithm 1 line by line, with the sign of line 10 mended."""
    t, mean, square = theta.clone(), theta.clone(), theta * theta
    for z in noises:
        direction = a * (t - TARGET) - scope * (theta - t)
        t = t - rate * direction + math.sqrt(rate) * noise * z
        mean, square = (1 - weight) * mean + weight * t, (1 - weight) * square + weight * t * t
    h = 1 / (scope - scope**2 * (square - mean * mean)) if second else 1.0
    return theta - lr * scope * h * (theta - mean)


@pytest.mark.parametrize("second", [False, True])
def test_three_steps_are_algorithm_1_line_by_line(second):
    expected, a = torch.linspace(-1, 2, 7, dtype=torch.float64), torch.linspace(0.2, 3, 7, dtype=torch.float64)
    theta = torch.nn.Parameter(expected.clone())
    kind = SecondOrderEntropySGD if second else EntropySGD
    run = optimiser(theta, kind, lr=0.3, inner_lr=0.1, scope=0.4, noise=0.5, averaging=0.6, langevin=4, seed=5)
    g = settings.generator(5)
    for _ in range(3):
        run.step(quadratic(theta, a=a))
        noises = [torch.randn(7, generator=g, dtype=torch.float64) for _ in range(4)]
        expected = algorithm_1(expected, a, noises, second=second)
    torch.testing.assert_close(theta.detach(), expected, rtol=1e-10, atol=0)


def test_displacements_keep_the_variance_that_the_printed_form_loses_in_float32():
    theta = parameter(1.0, 2000, dtype=torch.float32)
    run = optimiser(theta, SecondOrderEntropySGD, noise=1e-4, inner_lr=0.1)
    seen = []
    original = run._towards
    run._towards = lambda group, mean, square: seen.append((mean, square)) or original(group, mean, square)
    run.step(quadratic(theta, a=0.0))
    mean, square = seen[0]
    ours = (square - mean.square()).mean().item()
    printed = ((1 + 2 * mean + square) - (1 + mean).square()).mean().item()  # the same average of t^2 in float32
    spread = ((1 + 2 * mean + square) - (1 + mean).square()).std().item()
    q, w = 0.25, 0.75
    r = 1 - 0.1 * 0.5
    exact = _variance_of_weights(q, w, r, 6) * 0.1 * 1e-8
    assert ours == pytest.approx(exact, rel=0.1)
    assert spread > 5 * abs(ours)
    assert printed != pytest.approx(exact, rel=0.1) or spread > 5 * exact


def _variance_of_weights(q, w, r, steps):
    """E[mean(t^2) - mean(t)^2] for an AR(1) walk from 0 with unit noise, by summing covariances."""
    covariance = [[sum(r ** (i - k) * r ** (j - k) for k in range(1, min(i, j) + 1)) for j in range(1, steps + 1)]
                  for i in range(1, steps + 1)]  # fmt: skip
    weights = [w * q ** (steps - i) for i in range(1, steps + 1)]
    second = sum(weights[i] * covariance[i][i] for i in range(steps))
    first = sum(weights[i] * weights[j] * covariance[i][j] for i in range(steps) for j in range(steps))
    return second - first


def test_the_floor_bounds_the_newton_step_where_the_printed_one_turns_round():
    theta = parameter(0.0, 500)
    run = optimiser(theta, SecondOrderEntropySGD, noise=3.0, scope=0.9, averaging=0.3, langevin=30, floor=0.2)
    seen = []
    original = run._towards
    run._towards = lambda group, mean, square: seen.append((mean, square)) or original(group, mean, square)
    run.step(quadratic(theta, a=0.1))
    mean, square = seen[0]
    printed = 1 - 0.9 * (square - mean.square())
    assert (printed < 0).any()  # h as printed is negative there
    assert (theta.detach() * mean >= 0).all()
    assert (theta.detach().abs() <= mean.abs() / 0.2 + 1e-12).all()


# --- the variants --------------------------------------------------------------------------------------------------


def moved(seed=0, start=0.0, curvature=0.0, kind=EntropySGD, **options):
    theta = parameter(start, 50)
    optimiser(theta, kind, seed, **options).step(quadratic(theta, a=curvature))
    return theta.detach() - start


def test_difference_noise():
    """With a zero gradient one Langevin step is the noise: sqrt(2) larger in the reference code."""
    common = {"noise": 0.3, "langevin": 1, "scope": 0.5, "inner_lr": 0.2}
    paper = moved(averaging=1.0, lr=2.0, **common)
    reference = moved(averaging=1e-12, variant="reference", **common)
    torch.testing.assert_close(reference, math.sqrt(2) * paper, rtol=1e-9, atol=0)
    noise = torch.randn(50, generator=settings.generator(0), dtype=torch.float64)
    torch.testing.assert_close(paper, math.sqrt(0.2) * 0.3 * noise)


def test_difference_averaging():
    """One noiseless step: the new iterate gets weight alpha in the paper and 1 - alpha in the code."""
    common = {"langevin": 1, "curvature": 1.0, "averaging": 0.9}
    step = 0.2 * 1.0 * TARGET
    torch.testing.assert_close(moved(lr=2.0, **common), torch.full((50,), 0.9 * step, dtype=torch.float64))
    reference = moved(variant="reference", **common)
    torch.testing.assert_close(reference, torch.full((50,), 0.1 * step, dtype=torch.float64))


def test_difference_scope_in_the_outer_step():
    """At an averaging weight of 1/2 nothing else differs without noise: the code's step is 1/gamma times as long."""
    common = {"averaging": 0.5, "curvature": 1.0, "scope": 0.05}
    torch.testing.assert_close(moved(variant="reference", **common), moved(**common) / 0.05)


def test_difference_annealing():
    theta = parameter(0.0)
    run = optimiser(theta, scoping=0.5, lr=0.0)
    for _ in range(3):
        run.step(quadratic(theta))
    run.param_groups[0]["lr"] = 1.0
    run.step(quadratic(theta))
    scope = 0.5 * 1.5**3
    assert theta.item() == pytest.approx(scope * mean_of_walk(0.0, scope=scope), rel=1e-12)
    with pytest.raises(ValueError, match="scoping=0.5: the reference code never anneals"):
        optimiser(parameter(), scoping=0.5, variant="reference")


def test_difference_momentum_and_decay():
    """Nesterov inside, on the gradient and decay only and from zero each step; Nesterov and decay outside."""
    a, scope, rate, momentum, decay, lr, weight = 1.3, 0.5, 0.1, 0.9, 0.2, 0.3, 0.25
    theta = parameter(0.5)
    run = optimiser(theta, variant="reference", momentum=momentum, weight_decay=decay, inner_lr=rate, lr=lr, langevin=3)
    expected, outer = 0.5, 0.0
    for _ in range(4):
        run.step(quadratic(theta, a=a))
        t, mean, inner = expected, expected, 0.0
        for _ in range(3):
            gradient = a * (t - TARGET) + decay * t
            inner = momentum * inner + gradient
            t -= rate * (gradient + momentum * inner - scope * (expected - t))
            mean = (1 - weight) * mean + weight * t
        direction = expected - mean + decay * expected
        outer = momentum * outer + direction
        expected -= lr * (direction + momentum * outer)
    assert theta.item() == pytest.approx(expected, rel=1e-10)
    with pytest.raises(ValueError, match="momentum=0.9: algorithm 1 has none"):
        optimiser(parameter(), momentum=0.9)


def test_decay_of_the_paper_variant_is_part_of_the_loss():
    """``a/2 (t-c)^2 + d/2 t^2`` is a quadratic with curvature a + d around ac/(a+d)."""
    theta = parameter(0.3)
    optimiser(theta, weight_decay=0.4, lr=2.0).step(quadratic(theta))
    a = CURVATURE + 0.4
    assert theta.item() == pytest.approx(mean_of_walk(0.3, a=a, c=CURVATURE * TARGET / a), rel=1e-12)


def test_second_order_reference_is_its_first_order_form_without_variance():
    common = {"averaging": 0.75, "variant": "reference", "curvature": 1.0, "langevin": 1, "momentum": 0.9}
    first, second = moved(**common), moved(kind=SecondOrderEntropySGD, floor=1.0, **common)
    torch.testing.assert_close(first, second)


# --- as an optimiser -----------------------------------------------------------------------------------------------


def test_the_closure_is_called_once_a_langevin_step_and_the_first_loss_returned():
    theta, losses = parameter(0.0), []
    run = optimiser(theta, langevin=6)
    inside = quadratic(theta)

    def closure():
        losses.append(inside().detach())
        return losses[-1]

    assert run.step(closure) == losses[0] == CURVATURE / 2 * TARGET**2
    assert len(losses) == 6


def test_unused_parameters_stay_and_the_generator_fixes_the_walk():
    used, unused = parameter(0.0), parameter(5.0)
    state = torch.random.get_rng_state()
    EntropySGD([used, unused], generator=settings.generator(0), noise=0.1).step(quadratic(used))
    assert unused.item() == 5.0
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(moved(noise=0.1, curvature=1.0), moved(noise=0.1, curvature=1.0))
    assert not torch.equal(moved(noise=0.1, curvature=1.0), moved(noise=0.1, curvature=1.0, seed=1))


@pytest.mark.parametrize("options", [{"variant": "reference", "momentum": 0.9}, {"scoping": 0.1}])
def test_its_state_can_be_stored_and_resumed(options):
    whole, half = parameter(0.0), parameter(0.0)
    run = optimiser(whole, **options)
    for _ in range(4):
        run.step(quadratic(whole))
    first = optimiser(half, **options)
    for _ in range(2):
        first.step(quadratic(half))
    second = optimiser(half, **options)
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.step(quadratic(half))
    assert torch.equal(whole, half)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "code"}, "variant='code': allowed is paper or reference"),
        ({"scope": 0.0}, "scope=0.0: allowed is a positive number"),
        ({"langevin": 0}, "langevin=0: allowed is a positive number"),
        ({"averaging": 1.5}, "averaging=1.5: allowed is a weight"),
        ({"noise": -1.0}, "noise=-1.0: allowed is a number, at least 0"),
        ({"kind": SecondOrderEntropySGD, "floor": 0.0}, "floor=0.0: allowed is a number above 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        optimiser(parameter(), **options)
