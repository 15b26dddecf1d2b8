import math

import pytest
import torch

from advsmooth import data
from advsmooth.attacks.gradient import fgsm
from advsmooth.training import published, runs
from advsmooth.training.entropysgd import EntropySGD
from advsmooth.training.published import liu_budget, liu_budgets, liu_mnist, liu_short
from advsmooth.training.schedules import Constant


@pytest.mark.parametrize(
    ("name", "cifar10", "reached"),
    [
        ("cosine", False, math.acos(1 - 2 * 0.4 / 0.6) / math.pi),
        ("linear", False, 0.5),
        ("cosine", True, 0.5),
        ("linear", True, 0.5),
    ],
)
def test_the_target_is_reached_where_equation_5_says(name, cifar10, reached):
    eps = 8 / 255 if cifar10 else 0.4
    budget = liu_budget(name, eps, cifar10=cifar10)
    times = [k / 1000 for k in range(1001)]
    values = [budget(t, 1.0) for t in times]
    assert values[0] == 0
    assert values == sorted(values)
    first = next(t for t, value in zip(times, values, strict=True) if value >= eps * (1 - 1e-12))
    assert first == pytest.approx(reached, abs=2e-3)
    assert max(values) == eps


def test_other_targets_keep_the_ratio_and_stay_budgets():
    assert liu_budget("cosine", 0.2)(0.5, 1.0) == pytest.approx(0.15)
    assert liu_budget("linear", 0.8)(0.5, 1.0) == pytest.approx(0.5)  # eps_max is at most the pixel range
    assert liu_budget("linear", 0.0)(0.7, 1.0) == 0
    assert liu_budget("constant", 0.4)(0.0, 1.0) == 0.4
    with pytest.raises(ValueError, match="schedule='sine': allowed is constant, cosine, linear"):
        liu_budget("sine", 0.1)


def test_the_published_recipe():
    recipe = liu_mnist(0.4)
    assert (recipe.epochs, recipe.steps, recipe.batch) == (100, None, 128)
    assert recipe.rate(3, 100) == 1e-4
    attack = recipe.objective.attack
    assert (attack.eps, attack.steps, attack.step, attack.norm, attack.random_start) == (0.4, 50, 0.01, "linf", True)
    assert attack.steps == round(0.4 / 0.01) + 10
    assert recipe.optimisers[0].kind is torch.optim.Adam


def test_a_scheduled_budget_leaves_the_steps_of_the_attack():
    recipe = liu_mnist(0.4, budget=liu_budget("linear", 0.4), steps=10, rate=Constant(1e-3), pgd_steps=6, step_size=0.1)
    early = recipe.objective.at_budget(recipe.budget(1, 10)).attack
    assert (early.eps, early.steps, early.step) == (pytest.approx(0.08), 6, 0.1)
    assert set(published.LIU_BUDGETS) == {"constant", "cosine", "linear"}


def test_one_run_for_each_budget_and_seed():
    digits = data.load("digits").take(40)
    found = liu_budgets(digits, [0.0, 0.3], [5, 6], w=1, steps=3, pgd_steps=2)
    assert [(run.recipe.objective.attack.eps, run.seed) for run in found] == [(0.0, 5), (0.0, 6), (0.3, 5), (0.3, 6)]
    assert found[2].recipe.objective.attack.step == pytest.approx(0.1)
    assert len({run.key() for run in found}) == 4


@pytest.mark.parametrize("name", published.LIU_BUDGETS)
def test_the_mean_share_is_the_integral(name):
    values = [liu_budget(name, 0.4)(k + 0.5, 10_000) for k in range(10_000)]
    assert published.mean_share(name) == pytest.approx(sum(values) / 10_000 / 0.4, rel=1e-6)


def test_controls_have_the_mean_of_the_warm_up_and_another_order():
    warm = [liu_budget("cosine", 0.4)(k + 0.5, 10_000) for k in range(10_000)]
    for name, schedule in published.warmup_controls(0.4).items():
        values = [schedule(k + 0.5, 10_000) for k in range(10_000)]
        assert sum(values) == pytest.approx(sum(warm), rel=1e-3), name
        assert values != warm
    backwards = published.Reversed(liu_budget("cosine", 0.4))
    assert [backwards(10_000 - k - 0.5, 10_000) for k in range(10_000)] == pytest.approx(warm)
    assert backwards(0, 10) == 0.4


def test_a_replay_is_the_beginning_of_the_run():
    digits = data.load("digits").take(100, seed=0)
    (run,) = liu_short(digits, 0.1, [4], w=1, steps=9, rate=1e-3)
    whole = runs.loop.train(run.fresh(), digits, run.recipe, seed=4).steps
    again = published.replay("digits", 100, 0.1, 1, 4, steps=2)
    assert again["loss 1"] == whole.loss[0] != again["loss 2"] == whole.loss[1]
    assert again["gradient_norm 2"] == whole.gradient_norm[1]


def test_the_runs_of_the_warm_up_experiments():
    digits = data.load("digits").take(40)
    table = published.warmup_runs(digits, 0.2, [0, 1, 2], rates=[1e-3, 1e-2], rate=1e-3, widths=[1, 2], w=2, steps=5)
    assert table.groupby("part").size().to_dict() == {"control": 21, "rate": 18, "rate warm-up": 6, "width": 18}
    same = table[(table.schedule == "cosine") & (table.rate == 1e-3) & (table.w == 2) & (table.seed == 0)]
    assert list(same.part) == ["rate", "width", "control"]
    assert len({run.key() for run in same.run}) == 1  # trained once, shown in three figures
    twice = table[table.schedule == "twice"].run.iloc[0].recipe
    assert twice.steps == 10
    warm = table[table.part == "rate warm-up"].run.iloc[0].recipe
    assert [warm.rate(t, 100) for t in (0, 5, 10, 60)] == pytest.approx([0, 5e-4, 1e-3, 1e-3])
    assert warm.budget(0, 100) == 0.2
    assert len({run.key() for run in table.run}) == 63 - 9 - 9


def test_the_published_setting_of_kanai_et_al():
    recipe = published.kanai("AWP+EnSGD", published.kanai_at())
    assert (recipe.epochs, recipe.batch) == (200, 128)
    assert [recipe.rate(epoch, 200) for epoch in (0, 99, 100, 150)] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    attack = recipe.objective.attack
    assert (attack.eps, attack.steps, attack.step) == (8 / 255, 10, pytest.approx(2 / 255))
    (optimiser,) = recipe.optimisers
    assert optimiser.kind is EntropySGD
    assert recipe.awp(0, 200) == 0.005
    assert published.kanai("AT", published.kanai_at()).awp is None


def test_optimisers_take_over_with_their_own_rates():
    recipe = published.kanai(
        "AWP+EnSGD", published.kanai_trades(), epochs=20, rate=0.1, outer_rate=1.0, delay=0.1, switch=0.75
    )
    assert [(o.kind, o.start) for o in recipe.optimisers] == [
        (torch.optim.SGD, 0.0),
        (EntropySGD, 0.1),
        (torch.optim.SGD, 0.75),
    ]
    # Drops after 10 and 15 of 20 epochs go on under whichever optimiser is in force.
    assert [recipe.rate(t, 20) for t in (0, 1, 2, 9, 10, 14, 15)] == pytest.approx([0.1, 0.1, 1, 1, 0.1, 0.1, 0.001])
    assert [recipe.awp(t, 20) for t in (0, 1, 2)] == [0, 0, 0.005]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "SAM"}, "method='SAM': allowed is AT, "),
        ({"method": "AWP", "switch": 0.5}, "AWP trains with SGD from the start"),
    ],
)
def test_refused_of_kanai(arguments, message):
    with pytest.raises(ValueError, match=message):
        published.kanai(**{"objective": published.kanai_at(), **arguments})


def test_methods_of_one_seed_share_their_start():
    digits = data.load("digits").take(60)
    table = published.kanai_runs(
        digits,
        published.KANAI_SHORT,
        published.kanai_at(0.1, steps=2),
        [3, 4],
        w=1,
        epochs=2,
        held_out=20,
        network="lenet",
    )
    assert len(table) == 2 * len(published.KANAI_SHORT)
    first = table[table.seed == 3].run
    weights = [torch.cat([p.detach().flatten() for p in run.fresh().parameters()]) for run in first]
    assert all(torch.equal(weights[0], other) for other in weights)
    assert len({run.key() for run in table.run}) == len(table)


def test_the_weights_of_every_epoch_are_kept(tmp_path):
    digits = data.load("digits").take(60)
    table = published.kanai_runs(
        digits,
        {"one": ("AT+EnSGD", {"langevin": 3})},
        published.kanai_at(0.1, steps=1),
        [0],
        w=1,
        epochs=3,
        held_out=20,
        batch=10,
        network="lenet",
    )
    found = runs.trained(table.run[0], folder=tmp_path)
    assert len(found.kept) == 3
    last = found.model.state_dict()
    assert all(torch.equal(found.kept[-1][name], value) for name, value in last.items())


def test_every_optimiser_of_table_2_runs_at_its_own_rate():
    """By epoch, SGD would take over a quarter into 10 epochs at the rate of EntropySGD."""
    digits = data.load("digits").take(100)
    objective = published.kanai_trades(0.1, steps=1, step_size=0.1)
    options = {"w": 1, "epochs": 10, "held_out": 20, "batch": 4, "network": "lenet"}
    by_step = published.kanai_trades_runs(digits, objective, [0], **options)
    by_epoch = published.kanai_runs(digits, published.KANAI_TRADES_SHORT, objective, [0], **options)
    assert list(by_step.method) == list(by_epoch.method) == list(published.KANAI_TRADES_SHORT)

    def rates_of_sgd(run):
        """The rate of each mini-batch at which SGD is in force, as a multiple of that of a run with SGD throughout."""
        batches, recipe = 20, run.recipe
        total = 10 * batches
        clock = (lambda t: (t, total)) if recipe.per_step else (lambda t: (t // batches, total / batches))
        starts = [optimiser.start for optimiser in recipe.optimisers]
        found = []
        for t in range(total):
            kind = recipe.optimisers[sum(t >= round(start * total, 9) for start in starts) - 1].kind
            if kind is torch.optim.SGD:
                found.append(recipe.rate(*clock(t)) / sgd.recipe.rate(*clock(t)))
        return found

    sgd = by_epoch[by_epoch.method == "TRADES"].run.iloc[0]
    assert {round(r, 6) for run in by_epoch.run for r in rates_of_sgd(run)} == {1, 10}
    sgd = by_step[by_step.method == "TRADES"].run.iloc[0]
    assert {round(r, 6) for run in by_step.run for r in rates_of_sgd(run)} == {1}


def test_a_replay_of_table_2_gives_the_first_mini_batches():
    arguments = {"objective": {"eps": 0.1, "steps": 1, "step_size": 0.1}, "network": "lenet", "w": 1, "batch": 16}
    found = published.replay_trades("digits", 60, seed=1, **arguments)
    assert set(found) == {"loss 1", "loss 3", "gradient_norm 1", "gradient_norm 3"}
    assert found == published.replay_trades("digits", 60, seed=1, **arguments)
    assert found != published.replay_trades("digits", 60, seed=2, **arguments)


def test_the_models_of_table_2_of_finlay_et_al():
    weights = {name: (m.tv, m.lipschitz) for name, m in published.FINLAY_MODELS.items() if hasattr(m, "tv")}
    assert list(published.FINLAY_MODELS) == [
        "undefended",
        "l1-TV (FGSM)",
        "l2-TV 0.01",
        "l2-TV 0.01 + Lip 0.1",
        "l2-TV 0.1 + Lip 0.1",
        "l2-TV 0.1 + Lip 1",
    ]
    assert weights == {
        "l2-TV 0.01": (0.01, 0.0),
        "l2-TV 0.01 + Lip 0.1": (0.01, 0.1),
        "l2-TV 0.1 + Lip 0.1": (0.1, 0.1),
        "l2-TV 0.1 + Lip 1": (0.1, 1.0),
    }
    assert published.FINLAY_MODELS["l1-TV (FGSM)"].attack == fgsm(0.01)
    assert not published.FINLAY_MODELS.keys() & published.FINLAY_STRENGTHS.keys()


@pytest.mark.parametrize("name", published.FINLAY_STRENGTHS)
def test_a_strength_is_what_its_name_says(name):
    objective = published.FINLAY_STRENGTHS[name]
    assert name == f"l2-TV {objective.tv:g} + Lip {objective.lipschitz:g}"


def test_a_run_for_each_model_and_seed_of_finlay_et_al():
    d = data.load("digits", "train").take(100, seed=0)
    models = {name: published.FINLAY_MODELS[name] for name in ("undefended", "l2-TV 0.1 + Lip 1")}
    table = published.finlay_runs(d, models, [0, 1], network="fcn", arguments={"m": 8, "L": 2}, epochs=2, batch=50)
    assert [*zip(table.model, table.seed, strict=True)] == [(name, seed) for seed in (0, 1) for name in models]
    assert len({run.key() for run in table.run}) == 4
    first, second = (run.fresh().state_dict() for run in table.run[:2])
    assert all(first[name].equal(second[name]) for name in first)
    assert all(run.recipe.clip == 1 and run.recipe.augment is None for run in table.run)
