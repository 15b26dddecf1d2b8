"""Iterates and factors of EntropySGD against closed forms and against the optimiser itself."""

from dataclasses import replace

import pytest
import torch

from advsmooth import data
from advsmooth.theory import newton
from advsmooth.training import published, runs, second_order
from advsmooth.training.entropysgd import EntropySGD

DIGITS = data.load("digits").take(120)


def run(method="AT+2ndEnSGD", **options):
    table = published.kanai_runs(
        DIGITS,
        {"it": (method, options)},
        published.kanai_at(0.05, steps=1),
        [1],
        w=1,
        epochs=2,
        held_out=20,
        batch=10,
        network="lenet",
    )
    return table.run[0]


def changed(made, **options):
    first = made.recipe.optimisers[0]
    return replace(
        made, recipe=replace(made.recipe, optimisers=(replace(first, options={**first.options, **options}),))
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_walk_without_noise_is_the_recursion(sign):
    a, c, gamma, rate = 0.7, 1.5, 0.4, 0.2
    found = second_order.walk(
        lambda t: sign * a / 2 * (t - c).square(),
        torch.tensor([0.3], dtype=torch.float64),
        steps=6,
        scope=gamma,
        inner_lr=rate,
        noise=0.0,
    )
    t, expected = 0.3, [0.3]
    for _ in range(6):
        t -= rate * (sign * a * (t - c) - gamma * (0.3 - t))
        expected.append(t)
    torch.testing.assert_close(found[:, 0], torch.tensor(expected, dtype=torch.float64))


def test_the_components_of_a_walk_are_independent_chains():
    start = torch.zeros(3000, dtype=torch.float64)
    found = second_order.walk(lambda t: t.square() / 2, start, steps=60, scope=0.5, inner_lr=0.2, noise=1.0, seed=2)[-1]
    exact = newton.stationary_variance(1.5, 0.2, 1.0)
    assert (found.var().item() / exact - 1) / (2 / 3000) ** 0.5 == pytest.approx(0, abs=4)


def test_scope_times_variance_has_a_row_for_each_outer_step_and_grows_with_the_noise():
    made = run(langevin=5)
    quiet, loud = (second_order.scope_times_variance(changed(made, noise=noise)) for noise in (1e-4, 1.0))
    assert len(quiet) == 2 * 10 // 5
    assert (quiet["mean"] <= quiet.largest).all()
    # Ten mini-batches an epoch; the noise of a reference step has variance 2 * 0.1, and gamma is 0.03.
    assert 1e-4 < loud["mean"].mean() < 0.03
    assert quiet["mean"].mean() < 0.01 * loud["mean"].mean()


def test_watching_changes_nothing(tmp_path):
    made = run(langevin=5)
    noted = second_order.scope_times_variance(made)
    # A floor of 1 keeps the factor at 1: where gamma variance is tiny, the weights are the same to as many digits.
    plain = runs.trained(made, folder=tmp_path)
    first = runs.trained(changed(made, floor=1.0), folder=tmp_path)
    apart = max(
        float((p - q).detach().abs().max())
        for p, q in zip(plain.model.parameters(), first.model.parameters(), strict=True)
    )
    assert apart < 100 * noted.largest.max()


def test_scope_and_noise_matter_more_the_larger_they_are():
    made = run("AT+EnSGD", langevin=5)
    none, little, much = (second_order.without_entropy(changed(made, scope=s, noise=1e-12)) for s in (1e-12, 0.03, 3.0))
    assert none == 0
    assert little < 0.1 < much


def test_a_nudge_matters_as_much_as_it_is_large():
    """Nothing for no change; on a small smooth case a change at rounding level stays there."""
    made = run("AT+EnSGD")
    none, tiny, large = (second_order.nudged(made, size) for size in (0.0, 1e-7, 0.1))
    assert none == 0
    assert tiny < 1e-3 < large


def test_refused():
    with pytest.raises(ValueError, match="SGD: only EntropySGD has a scope"):
        second_order.nudged(run("AT"))
    with pytest.raises(ValueError, match="EntropySGD: only second-order"):
        second_order.scope_times_variance(run("AT+EnSGD"))
    with pytest.raises(ValueError, match="SGD: only EntropySGD has a scope"):
        second_order.without_entropy(run("AT"))


def test_a_walk_is_a_step_of_the_optimiser():
    """The last iterate, with an averaging weight of 1, is where an outer step of length 1 / gamma ends."""
    start = torch.tensor([0.2, -1.0], dtype=torch.float64)
    options = {"scope": 0.5, "inner_lr": 0.1, "noise": 0.7}
    found = second_order.walk(lambda t: t.square(), start, steps=4, seed=3, **options)
    theta = torch.nn.Parameter(start.clone())

    def closure():
        theta.grad = None
        loss = theta.square().sum()
        loss.backward()
        return loss

    g = torch.Generator().manual_seed(3)
    EntropySGD([theta], lr=2.0, langevin=4, averaging=1.0, generator=g, **options).step(closure)
    torch.testing.assert_close(theta.detach(), found[-1])
