"""Robust error, error curves and costs against exact distances, plain computation and counts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import settings
from advsmooth.attacks import ball, losses
from advsmooth.attacks.autoattack import AutoAttack
from advsmooth.attacks.evaluation import (
    BudgetAttack,
    CountingModel,
    distances,
    error_curve,
    median_distance,
    model_calls,
    robust_error,
)
from advsmooth.attacks.gradient import PGD, fgsm, iterative_fgsm
from advsmooth.attacks.minimal import DeepFool

G = settings.generator


# --- robust error ---------------------------------------------------------------------------------------------------


def test_robust_error_is_the_share_that_the_plain_attack_breaks(trained, digits):
    x, y = digits
    attack = PGD(eps=0.1, steps=5)
    found = robust_error(trained, x, y, attack, generator=G(0))
    start = attack.start(x, G(0))
    plain = losses.succeeded(trained(attack(trained, x, y, start=start)), y)
    clean = losses.succeeded(trained(x), y)
    assert found.error == (plain | clean).double().mean().item()
    assert found.clean_error == clean.double().mean().item()
    assert 0 < found.clean_error < found.error < 1
    assert torch.equal(losses.succeeded(trained(found.x_adv), y), found.broken)
    assert torch.equal(found.x_adv[~found.broken], x[~found.broken])


@pytest.mark.parametrize("norm", ball.NORMS)
def test_it_is_exact_on_a_linear_model(linear, norm):
    model, x, y = linear(n=100, classes=2)
    distance = model.distance(x, y, norm)
    y = torch.where(torch.arange(100) < 20, 1 - y, y)  # the first twenty are clean errors
    eps = distance[20:].median().item() * 1.001
    attack = PGD(eps=eps, steps=50, step_size=eps, norm=norm)
    found = robust_error(model, x, y, attack, generator=G(0), batch_size=17)
    assert found.clean_error == 0.2
    assert found.error == pytest.approx(0.2 + (distance[20:] < eps).double().mean().item() * 0.8)


@pytest.mark.parametrize(
    "attack", [PGD(eps=0.12, steps=4, restarts=3), PGD(eps=0.5, steps=4, norm="l2", early_stop=True)]
)
def test_it_does_not_depend_on_the_batches(trained, digits, attack):
    model, x, y = trained.double(), digits[0].double(), digits[1]
    runs = [robust_error(model, x, y, attack, batch_size=size, generator=G(1)) for size in (64, 10, 1)]
    model.float()
    for run in runs[1:]:
        assert torch.equal(run.broken_by, runs[0].broken_by)
        torch.testing.assert_close(run.x_adv, runs[0].x_adv, atol=1e-9, rtol=0)


def test_what_is_broken_is_not_attacked_again(trained, digits):
    x, y = digits
    counted = CountingModel(trained)
    found = robust_error(counted, x, y, [PGD(eps=0.12, steps=4, restarts=3), fgsm(0.2)], generator=G(0))
    table = found.table()
    assert table.attack.tolist() == ["none", "PGD restart 1", "PGD restart 2", "PGD restart 3", "PGD"]
    assert table.attacked.tolist()[1:] == (64 - table.broken.cumsum()).tolist()[:-1]
    assert table.attacked.iloc[2] < table.attacked.iloc[1] < 64
    attacked = table.attacked.to_numpy()
    assert counted.forwards == 64 + sum(attacked[1:4] * (4 + 1)) + attacked[4] * (1 + 1)
    assert counted.backwards == sum(attacked[1:4] * 4) + attacked[4]
    assert table.error.is_monotonic_increasing
    assert table.error.iloc[-1] == found.error
    assert table.broken.sum() == found.broken.sum()


def test_more_attacks_never_help_the_defender_and_the_first_are_not_disturbed(trained, digits):
    x, y = digits
    one = robust_error(trained, x, y, PGD(eps=0.1, steps=3), generator=G(0))
    two = robust_error(
        trained, x, y, [PGD(eps=0.1, steps=3), PGD(eps=0.1, steps=3, loss=losses.margin)], generator=G(0)
    )
    assert (two.broken | ~one.broken).all()
    assert torch.equal(two.broken_by[one.broken], one.broken_by[one.broken])


def test_attacks_without_a_budget_and_of_others_fit_in(trained, digits):
    x, y = digits[0][:20], digits[1][:20]
    auto = AutoAttack(eps=0.1, components=("apgd-ce",), steps=5)
    found = robust_error(trained, x, y, [auto, DeepFool()], generator=G(0), batch_size=7)
    assert found.error == 1
    assert set(found.broken_by.tolist()) >= {1, 2}


def test_an_attack_that_leaves_its_ball_is_refused(trained, digits):
    class Cheat(PGD):
        def __call__(self, model, x, y, **more):  # noqa: ARG002
            return x + 1.01 * self.eps

    with pytest.raises(ValueError, match="left the ball"):
        robust_error(trained, *digits, Cheat(eps=0.1, box=ball.UNBOUNDED), generator=G(0))


def test_flags_and_the_global_random_state_are_left_as_found(unchanged, digits):
    x, y = digits[0][:10], digits[1][:10]
    unchanged(lambda model: robust_error(model, x, y, PGD(eps=0.1, steps=2), generator=G(0)))
    unchanged(lambda model: distances(model, x, y, fgsm(0.1), eps=[0.1], bisections=2))
    unchanged(lambda model: model_calls(model, x, y, fgsm(0.1)))


# --- distances and curves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ball.NORMS)
def test_distances_on_a_linear_model_are_exact_up_to_the_grid(linear, norm):
    model, x, y = linear(n=50, classes=2)
    exact = model.distance(x, y, norm)
    grid = torch.linspace(0, exact.max().item() * 1.05, 12).tolist()
    attack = iterative_fgsm(0.1, steps=40, norm=norm)
    found = distances(model, x, y, attack, eps=grid)
    ceiling = torch.tensor(grid, dtype=torch.float64)[
        torch.searchsorted(torch.tensor(grid, dtype=torch.float64), exact)
    ]
    torch.testing.assert_close(found, ceiling, atol=2e-4 * grid[-1], rtol=0)  # 40 l2 steps fall short by as much
    assert (found >= exact * (1 - 1e-9)).all()
    finer = distances(model, x, y, attack, eps=grid, bisections=12)
    torch.testing.assert_close(finer, exact, rtol=1e-3, atol=grid[1] / 2**12)
    assert torch.equal(finer <= found, torch.ones(50, dtype=torch.bool))


def test_a_minimal_norm_attack_needs_no_grid(linear):
    model, x, y = linear(n=20, classes=2)
    found = distances(model, x, y, DeepFool(), generator=G(0))
    torch.testing.assert_close(found, model.distance(x, y, "l2"), rtol=0.021, atol=2e-4)
    other = distances(model, x, y, DeepFool(), norm="linf")
    assert (other < found).all()


def test_clean_errors_are_at_0_and_what_is_never_broken_at_infinity(trained, digits):
    x, y = digits
    found = distances(trained, x, y, PGD(eps=0.1, steps=3, restarts=2), eps=[0.02, 0.1], generator=G(0))
    clean = losses.succeeded(trained(x), y)
    assert torch.equal(found == 0, clean)
    assert found.isinf().any()
    assert ((found <= 0.1) | found.isinf()).all()
    assert (found == 0.02).any(), "a sign step of 0.02 in float32 must not miss its own radius"


def test_a_sweep_drops_what_a_smaller_radius_broke(trained, digits):
    counted = CountingModel(trained)
    grid = [0.05, 0.1, 0.2]
    found = distances(counted, *digits, fgsm(0.1), eps=grid[::-1])  # in any order
    left = [int((found > e).sum()) for e in (0, *grid)]
    assert counted.backwards == sum(left[:-1])
    assert left[0] > left[1] > left[2]


@given(
    st.lists(st.one_of(st.just(0.0), st.just(math.inf), st.floats(0, 2)), min_size=1, max_size=30),
    st.lists(st.floats(0, 3), min_size=1, max_size=10),
)
def test_a_curve_never_falls_and_the_median_is_where_it_reaches_one_half(values, grid):
    found = torch.tensor(values, dtype=torch.float64)
    table = error_curve(found, grid)
    assert table.distance.tolist() == sorted(grid)
    assert table.error.is_monotonic_increasing
    assert table.error.tolist() == [float(np.mean(np.array(values) <= e)) for e in sorted(grid)]
    median = median_distance(found)
    assert np.mean(np.array(values) <= median) >= 0.5
    assert np.mean(np.array(values) < median) < 0.5


def test_a_curve_of_any_attack(trained, digits):
    grid = [0.0, 0.05, 0.1, 0.2]
    found = distances(trained, *digits, PGD(eps=0.1, steps=3, early_stop=True), eps=grid, generator=G(0))
    table = error_curve(found, grid)
    clean = losses.succeeded(trained(digits[0]), digits[1])
    assert table.error.iloc[0] == clean.double().mean().item()
    assert list(table.columns) == ["distance", "error", "broken", "n"]
    at = robust_error(trained, *digits, fgsm(0.2)).error
    assert table.error.iloc[-1] > at


# --- what it costs ------------------------------------------------------------------------------------------------


def test_counts_are_of_examples_and_of_every_pass():
    model = CountingModel(nn.Linear(3, 2))
    x = torch.rand(5, 3, requires_grad=True)
    model(x)
    model(x).sum().backward()
    with torch.no_grad():
        model(x[:2])
    assert (model.forwards, model.backwards) == (12, 5)
    logits = model(x)
    for k in range(2):
        logits[:, k].sum().backward(retain_graph=True)
    assert (model.forwards, model.backwards) == (17, 15)


def test_the_cost_of_a_success_in_model_calls(linear):
    """With steps of one tenth of the distance, the eleventh forward pass sees the example broken."""
    model, x, y = linear(n=12, classes=2)
    y[:2] = 1 - y[:2]
    exact = model.distance(x, y, "linf")
    step = 0.1001 * exact[2].item()
    attack = PGD(eps=1.0, step_size=step, steps=2000, random_start=False, early_stop=True)
    table = model_calls(model, x, y, attack)
    assert table.example.tolist() == list(range(2, 12)), "clean errors cost nothing and are left out"
    needed = torch.ceil(exact[2:] / step).long()
    assert table.backwards.tolist() == needed.tolist()
    assert table.forwards.tolist() == (needed + 1).tolist()
    assert (table.calls == table.forwards + table.backwards).all()
    assert table.success.all()
    np.testing.assert_allclose(table.distance, needed.double() * step, rtol=1e-9)
    short = model_calls(model, x, y, fgsm(0.5 * exact[2:].min().item()))
    assert not short.success.any()
    assert np.isinf(short.distance).all()


# --- refusals -----------------------------------------------------------------------------------------------------


def test_what_is_not_allowed_is_refused(trained, digits):
    x, y = digits
    with pytest.raises(ValueError, match="targeted=True"):
        robust_error(trained, x, y, PGD(eps=0.1, targeted=True), generator=G(0))
    with pytest.raises(ValueError, match="0 attacks"):
        robust_error(trained, x, y, [])
    with pytest.raises(ValueError, match="0 examples"):
        robust_error(trained, x[:0], y[:0], fgsm(0.1))
    with pytest.raises(ValueError, match="batch_size=0"):
        robust_error(trained, x, y, fgsm(0.1), batch_size=0)
    with pytest.raises(ValueError, match="PGD: this attack needs radii"):
        distances(trained, x, y, fgsm(0.1))
    with pytest.raises(ValueError, match="DeepFool: this attack has no budget"):
        distances(trained, x, y, DeepFool(), eps=[0.1])
    with pytest.raises(ValueError, match="0 attacks"):
        distances(trained, x, y, fgsm(0.1), eps=[])
    for bad in (torch.tensor([]), torch.tensor([math.nan]), torch.tensor([-1.0]), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="distances of shape"):
            median_distance(bad)


def test_which_attacks_have_a_budget():
    assert isinstance(PGD(eps=0.1), BudgetAttack)
    assert isinstance(AutoAttack(eps=0.1), BudgetAttack)
    assert not isinstance(DeepFool(), BudgetAttack)
