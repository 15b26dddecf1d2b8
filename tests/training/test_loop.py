"""The loop against one written out by hand; resuming bit for bit; selection; refusals; what it leaves alone."""

from __future__ import annotations

import functools
import io
import os
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch.nn import functional
from training.small import blobs, fcn, flags, images, norm_net, same, snapshot

from advsmooth import data, settings
from advsmooth.attacks.gradient import PGD
from advsmooth.training import checkpoints
from advsmooth.training.augment import Augmentation
from advsmooth.training.batches import Order, generators, hold_out
from advsmooth.training.checkpoints import CheckpointError
from advsmooth.training.entropysgd import EntropySGD, SecondOrderEntropySGD
from advsmooth.training.loop import evaluate, train
from advsmooth.training.objectives import TRADES, AdversarialTraining, GradientRegularised, Standard
from advsmooth.training.recipe import Optimiser, Recipe, describe
from advsmooth.training.schedules import Constant, Delayed, Drops, LinearBudget, Periodic
from advsmooth.training.snapshots import from_states

ATTACK = PGD(eps=0.1, steps=2)
AT = AdversarialTraining(ATTACK)
SGD = Optimiser(torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4})
ADAM = Optimiser(torch.optim.Adam, {})
ENTROPY = Optimiser(EntropySGD, {"langevin": 3, "variant": "reference", "momentum": 0.9})
PLAIN = Recipe(epochs=3, batch=16, rate=Constant(0.05), optimisers=(SGD,))


def pictures(n=40, dtype=torch.float32):
    """Images (n, 1, 4, 4) in three classes that can be told apart."""
    x, y = images(n, dtype=dtype)
    x = 0.5 * x + 0.5 * functional.one_hot(y + 3, 16).reshape(n, 1, 4, 4)
    return data.from_arrays("pictures", "train", x, y, list("abc"), "a test")


def equal_runs(a, b):
    """Whether two runs left the same numbers, apart from the seconds they took."""
    pd.testing.assert_frame_equal(a.steps, b.steps, check_exact=True)
    pd.testing.assert_frame_equal(a.epochs.drop(columns="seconds"), b.epochs.drop(columns="seconds"), check_exact=True)
    assert same(snapshot(a.model), snapshot(b.model))
    assert (a.best is None) == (b.best is None)
    assert a.best is None or same(a.best, b.best)
    assert len(a.kept) == len(b.kept)
    assert all(same(one, other) for one, other in zip(a.kept, b.kept, strict=True))
    return True


# --- what it does --------------------------------------------------------------------------------------------------


def test_it_is_the_loop_one_would_write():
    model, twin, dataset = fcn(), fcn(), blobs()
    recipe = replace(PLAIN, objective=AT, rate=Drops(0.1, at=(1 / 3,)), budget=LinearBudget(0.1, 0.2), epochs=3)
    run = train(model, dataset, recipe, seed=7)

    g = generators(7, "cpu")
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    losses = []
    for epoch in range(3):
        order = torch.randperm(120, generator=g["order"])
        eps = min(0.1, 0.2 * epoch / 3)
        for rows in order.split(16):
            x, y = dataset.x[rows], dataset.y[rows]
            if eps > 0:
                x = PGD(eps=eps, steps=2)(twin, x, y, generator=g["attack"])
            for group in optimiser.param_groups:
                group["lr"] = 0.1 if epoch < 1 else 0.1 * 0.1
            optimiser.zero_grad()
            loss = functional.cross_entropy(twin(x), y, reduction="none").mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert run.steps.loss.tolist() == losses
    assert same(snapshot(model), snapshot(twin))
    assert run.steps.budget.unique().tolist() == pytest.approx([0, 0.2 / 3, 0.1])
    assert run.epochs.rate.tolist() == pytest.approx([0.1, 0.01, 0.01])


@pytest.mark.parametrize(
    "objective",
    [
        Standard(),
        AdversarialTraining(PGD(eps=0.05, steps=2)),
        TRADES(eps=0.05, step_size=0.02, steps=2),
        GradientRegularised(0.05, 0.01),
    ],
)
@pytest.mark.parametrize(
    ("optimiser", "rate"), [(SGD, 0.1), (ADAM, 0.01), (ENTROPY, 0.5)], ids=["sgd", "adam", "entropysgd"]
)
def test_every_objective_learns_with_every_optimiser(objective, optimiser, rate):
    model, dataset = fcn(m=16), blobs()
    recipe = replace(PLAIN, objective=objective, optimisers=(optimiser,), epochs=12, rate=Constant(rate))
    run = train(model, dataset, recipe)
    assert run.epochs.loss.iloc[-1] < 0.8 * run.epochs.loss.iloc[0]
    assert evaluate(model, dataset.x, dataset.y)[0] > 0.9


def test_the_tables_have_a_row_for_each_step_and_epoch():
    run = train(fcn(), blobs(), replace(PLAIN, held_out=20, validation=ATTACK, validate_every=2, epochs=3))
    assert list(run.steps) == ["step", "epoch", "rate", "budget", "loss", "accuracy", "gradient_norm"]
    assert run.steps.step.tolist() == list(range(1, 22))
    assert run.steps.epoch.tolist() == [1] * 7 + [2] * 7 + [3] * 7
    assert run.steps.budget.isna().all()
    assert run.epochs.step.tolist() == [7, 14, 21]
    assert run.epochs.loss[1] == pytest.approx(run.steps.loss[7:14].mean())
    assert run.epochs.held_out_robust_accuracy.isna().tolist() == [True, False, False]  # every second, and the last
    assert (run.epochs.seconds > 0).all()
    assert run.steps.accuracy.between(0, 1).all()
    assert (run.steps.gradient_norm > 0).all()


def test_steps_instead_of_epochs_and_schedules_of_steps():
    run = train(fcn(), blobs(), replace(PLAIN, epochs=None, steps=11, per_step=True, rate=Drops(1e-2, at=(0.5,))))
    assert run.steps.step.max() == 11
    assert run.epochs.step.tolist() == [8, 11]
    assert run.steps.rate.tolist() == pytest.approx([1e-2] * 6 + [1e-3] * 5)  # the drop is at 5.5


def test_measures_are_taken_at_the_end_of_each_epoch():
    model, start = fcn(), snapshot(fcn())
    moved = {"moved": lambda m: (m.weights[0] - start["weights.0"]).norm().item()}
    run = train(model, blobs(), PLAIN, measures=moved)
    assert run.epochs.moved.is_monotonic_increasing
    assert run.epochs.moved.iloc[-1] == moved["moved"](model)


def test_gradient_clipping_bounds_the_update():
    model, before = fcn(), snapshot(fcn())
    plain = Optimiser(torch.optim.SGD, {})
    run = train(
        model, blobs(), replace(PLAIN, epochs=None, steps=1, clip=1e-3, rate=Constant(1.0), optimisers=(plain,))
    )
    change = torch.cat([(value - before[name]).flatten() for name, value in snapshot(model).items()])
    assert change.norm().item() == pytest.approx(1e-3, rel=1e-3)
    assert run.steps.gradient_norm[0] > 0.01  # as it was before


def test_entropysgd_takes_a_minibatch_for_each_langevin_step():
    run = train(fcn(), blobs(), replace(PLAIN, epochs=2, optimisers=(ENTROPY,)))
    assert len(run.steps) == 18  # 16 mini-batches, and the last step of three is finished
    assert run.epochs.step.tolist() == [9, 18]
    long = Optimiser(EntropySGD, {"langevin": 20})
    run = train(fcn(), blobs(), replace(PLAIN, epochs=3, optimisers=(long,), held_out=10))
    assert run.epochs.step.tolist() == [20, 20, 40]  # the second epoch was over before it began
    assert run.epochs.loss.isna().tolist() == [False, True, False]


def test_one_optimiser_may_follow_another():
    steps = {}
    first = replace(PLAIN, epochs=4, optimisers=(SGD, Optimiser(ADAM.kind, {}, start=0.5)))
    for name, recipe in (("both", first), ("sgd", replace(first, optimisers=(SGD,)))):
        steps[name] = train(fcn(), blobs(), recipe).steps.loss
    assert steps["both"][:17].tolist() == steps["sgd"][:17].tolist()  # 2 epochs, and the loss after them
    assert steps["both"][17] != steps["sgd"][17]


def test_weight_perturbation_starts_when_its_schedule_says():
    runs = [train(fcn(), blobs(), replace(PLAIN, awp=awp)).steps.loss for awp in (None, Delayed(Constant(0.05), 1 / 3))]
    assert runs[0][:8].tolist() == runs[1][:8].tolist()
    assert runs[1][8] > runs[0][8]  # the same weights and batch, made worse


def test_weights_are_kept_at_the_ends_of_periods_and_predict_together():
    ends = (1 / 2, 3 / 4, 1.0)
    budget, rate = Periodic(LinearBudget(0.1, 0.2), ends), Periodic(Drops(0.1, at=(0.5,)), ends)
    recipe = replace(PLAIN, objective=AT, epochs=16, keep=ends, budget=budget, rate=rate)
    states = []

    def remember(model):
        states.append(snapshot(model))
        return 0.0

    run = train(fcn(m=16), blobs(), recipe, measures={"nothing": remember})
    assert [same(kept, states[epoch]) for kept, epoch in zip(run.kept, (7, 11, 15), strict=True)] == [True] * 3
    assert run.epochs.rate.tolist() == pytest.approx([*[0.1] * 4, *[0.01] * 4, *([0.1] * 2 + [0.01] * 2) * 2])
    assert run.epochs.budget[[0, 4, 7, 8, 10, 12]].tolist() == pytest.approx([0, 0.1, 0.1, 0, 0.1, 0])
    ensemble, dataset = from_states(run.model, run.kept), blobs(seed=1)
    assert evaluate(ensemble, dataset.x, dataset.y)[0] > 0.9


# --- selection -----------------------------------------------------------------------------------------------------


def test_the_best_is_chosen_on_the_held_out_split_and_both_are_reported():
    dataset = blobs()
    # A rate that ruins the model in the last epoch, so that best and last differ.
    recipe = replace(PLAIN, epochs=4, rate=Drops(0.05, at=(0.75,), factor=1e6), held_out=30, validation=ATTACK)
    run = train(fcn(), dataset, recipe, seed=3)
    table = run.last_and_best().set_index("which")
    best = run.epochs.held_out_robust_accuracy.max()
    assert table.loc["best", "held_out_robust_accuracy"] == best > table.loc["last", "held_out_robust_accuracy"]
    assert table.loc["last", "epoch"] == 4
    _, held = hold_out(dataset, 30, generators(3, "cpu")["split"])
    chosen = fcn()
    chosen.load_state_dict(run.best)
    accuracy, loss = evaluate(chosen, held.x, held.y, ATTACK, generator=settings.generator(0))
    assert accuracy == best
    assert loss == table.loc["best", "held_out_robust_loss"]
    assert run.criterion == "held_out_robust_accuracy"


def test_without_a_held_out_split_there_is_no_best():
    run = train(fcn(), blobs(), PLAIN)
    assert run.best is None
    assert run.last_and_best().which.tolist() == ["last"]
    assert "held_out_accuracy" not in run.epochs


def test_the_split_is_random_disjoint_and_seeded():
    dataset = blobs()
    rest, held = hold_out(dataset, 30, settings.generator(0))
    assert (len(rest), len(held)) == (90, 30)
    rows = {tuple(row) for row in rest.x.tolist()} | {tuple(row) for row in held.x.tolist()}
    assert len(rows) == 120
    assert set(held.y.tolist()) == {0, 1, 2}
    assert torch.equal(hold_out(dataset, 30, settings.generator(0))[1].x, held.x)
    assert not torch.equal(hold_out(dataset, 30, settings.generator(1))[1].x, held.x)
    assert rest.checksum == dataset.checksum


def test_evaluation_leaves_flags_gradients_and_statistics():
    model, dataset = norm_net(dtype=torch.float32), pictures()
    before, values = flags(model), snapshot(model)
    clean = evaluate(model, dataset.x, dataset.y, batch=7)
    assert clean == pytest.approx(evaluate(model, dataset.x, dataset.y))
    attacked = evaluate(model, dataset.x, dataset.y, ATTACK, generator=settings.generator(0))
    assert attacked[1] > clean[1]
    assert flags(model) == before
    assert same(snapshot(model), values)
    assert all(p.grad is None for p in model.parameters())


# --- resuming ------------------------------------------------------------------------------------------------------

FULL = Recipe(
    objective=AT, epochs=4, batch=16, rate=Drops(0.05, at=(0.5,)), budget=LinearBudget(0.1, 0.2), optimisers=(SGD,),
    augment=Augmentation(1), held_out=10, validation=ATTACK, keep=(0.25, 1.0), clip=5.0,
)  # fmt: skip
RESUMED = {
    "everything": FULL,
    "adam": replace(FULL, optimisers=(ADAM,)),
    "entropysgd": replace(FULL, optimisers=(ENTROPY,), awp=Constant(0.01)),
    "second order": replace(FULL, optimisers=(Optimiser(SecondOrderEntropySGD, {"langevin": 2, "noise": 0.1}),)),
    "switching": replace(FULL, optimisers=(SGD, replace(ADAM, start=0.5))),
    "trades in steps": replace(FULL, objective=TRADES(0.1, 0.05, 2), epochs=None, steps=7, per_step=True),
    "no held-out split": replace(FULL, held_out=0, validation=None, keep=()),
}


class Interrupted(Exception):  # noqa: N818 - it is no error
    pass


@pytest.mark.parametrize("name", RESUMED)
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, name):
    recipe, path, dataset = RESUMED[name], tmp_path / "run.safetensors", pictures()
    calls = []

    def number_of_calls(model, limit=None):
        if len(calls) == limit:
            raise Interrupted
        calls.append(0)
        return float(len(calls))

    def run(seed=0, limit=None, **options):
        measures = {"calls": functools.partial(number_of_calls, limit=limit)}
        return train(norm_net(seed, torch.float32), dataset, recipe, seed=1, measures=measures, **options)

    whole = run()
    epochs = len(whole.epochs)
    calls.clear()
    for limit in range(1, epochs):  # killed in every epoch but the first, each time after one more was saved
        with pytest.raises(Interrupted):
            run(limit=limit, checkpoint=path)
    assert equal_runs(whole, run(seed=9, checkpoint=path))  # the weights it is given do not matter
    assert equal_runs(whole, run(seed=9, checkpoint=path))  # a finished run is only read
    assert len(calls) == epochs


KILLED = """
import os, signal, sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[2])
torch.set_num_threads(int(sys.argv[3]))
from training.test_loop import FULL, pictures
from training.small import norm_net
from advsmooth.training.loop import train

model, passes = norm_net(dtype=torch.float32), []
def kill(module, *_):
    passes.append(0)
    if len(passes) == 30:  # the second batch of the last of four epochs
        os.kill(os.getpid(), signal.SIGKILL)
model.register_forward_hook(kill)
train(model, pictures(), FULL, seed=1, checkpoint=Path(sys.argv[1]))
"""


def test_killed_in_the_middle_of_an_epoch_it_resumes_to_the_same_numbers(tmp_path):
    path, tests = tmp_path / "run.safetensors", os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    command = [sys.executable, "-c", KILLED, str(path), tests, str(torch.get_num_threads())]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert path.exists()
    assert checkpoints.read(path)[1]["epochs"] == 3
    resumed = train(norm_net(dtype=torch.float32), pictures(), FULL, seed=1, checkpoint=path)
    assert equal_runs(train(norm_net(dtype=torch.float32), pictures(), FULL, seed=1), resumed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": replace(PLAIN, batch=8)}, "recipe.batch is 16 there and 8 here"),
        ({"recipe": replace(PLAIN, objective=AT)}, "recipe.objective.type is 'Standard' there"),
        ({"recipe": replace(PLAIN, rate=Constant(0.1))}, "recipe.rate.value is 0.05 there and 0.1 here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"data": blobs(seed=5)}, "data.sha256 is"),
        ({"model": fcn(m=9)}, "model.weights.0 is"),
        ({"measures": {"one": float}}, "measures is"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_in_one_line(tmp_path, changes, message):
    path = tmp_path / "run.safetensors"
    arguments = {"model": fcn(), "data": blobs(), "recipe": PLAIN, "seed": 0}
    train(**arguments, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="of another run") as refusal:
        train(**(arguments | changes), checkpoint=path)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == before  # nothing already computed is lost
    path.write_bytes(before[:-7])
    with pytest.raises(CheckpointError, match="truncated"):
        train(**arguments, checkpoint=path)


@pytest.mark.parametrize(
    "harm",
    [
        lambda parts: parts["about"].pop("consumed"),
        lambda parts: parts["about"].update(kept=[1]),
        lambda parts: parts["about"].update(optimiser={"plain": {}, "groups": "none"}),
        lambda parts: parts["about"]["columns"].update(steps=["nothing"]),
        lambda parts: parts["tensors"].pop("order"),
        lambda parts: parts["tensors"].pop(parts["weight"]),
        lambda parts: parts["tensors"].update({parts["weight"]: torch.zeros(1)}),
        lambda parts: parts["tensors"].update({"generators/x": torch.zeros(1)}),
    ],
)
def test_a_checkpoint_whose_parts_do_not_fit_is_refused_in_one_line(tmp_path, harm):
    path = tmp_path / "run.safetensors"
    arguments = {"model": fcn(), "data": blobs(), "recipe": PLAIN, "seed": 0}
    train(**arguments, checkpoint=path)
    tensors, about = checkpoints.read(path)
    weight = next(name for name in tensors if name.startswith("model/"))
    harm({"tensors": tensors, "about": about, "weight": weight})
    checkpoints.write(path, tensors, about)
    with pytest.raises(CheckpointError, match="its parts do not fit.*delete it and train again") as refusal:
        train(**arguments, checkpoint=path)
    assert str(refusal.value).isprintable()


def test_checkpoints_may_be_rarer():
    saved = []

    class Path:
        def exists(self):
            return False

    run = train(fcn(), blobs(), replace(PLAIN, epochs=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("advsmooth.training.checkpoints.write", lambda *parts: saved.append(parts[2]["epochs"]))
        assert equal_runs(run, train(fcn(), blobs(), replace(PLAIN, epochs=5), checkpoint=Path(), every=2))
    assert saved == [2, 4, 5]


# --- order and generators ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("drop", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_each_pass_is_a_permutation(drop, sizes):
    order = Order(10, 4, drop, settings.generator(0))
    passes = [[order.draw() for _ in sizes] for _ in range(3)]
    for batches in passes:
        assert [len(b) for b in batches] == sizes
        assert len(torch.cat(batches).unique()) == sum(sizes)
    assert not torch.equal(torch.cat(passes[0]), torch.cat(passes[1]))


def test_an_order_continues_where_another_stood():
    one = Order(10, 4, False, settings.generator(0))
    for _ in range(5):
        one.draw()
    other = Order(10, 4, False, settings.generator(9))
    other.restore(one.state, one.position)
    assert all(torch.equal(one.draw(), other.draw()) for _ in range(7))


def inputs_seen(objective):
    seen = []

    def remember(x, generator):
        seen.append(x)
        return x

    train(fcn(), blobs(), replace(PLAIN, objective=objective, epochs=1, augment=remember))
    return torch.cat(seen)


def test_the_order_of_the_data_does_not_depend_on_what_else_is_random():
    assert torch.equal(inputs_seen(Standard()), inputs_seen(AT))
    states = {name: g.get_state().tolist() for name, g in generators(0, "cpu").items()}
    assert len({tuple(state) for state in states.values()}) == len(states)


def test_the_global_generator_is_not_read():
    state = torch.random.get_rng_state()
    train(norm_net(dtype=torch.float32), pictures(), replace(FULL, epochs=1))
    assert torch.equal(torch.random.get_rng_state(), state)


# --- options -------------------------------------------------------------------------------------------------------


def test_frozen_layers_stay_frozen():
    model = norm_net(dtype=torch.float32)
    model[0].weight.requires_grad_(False)
    before, layers = snapshot(model), flags(model)
    train(model, pictures(), FULL)
    after = snapshot(model)
    assert flags(model) == layers
    assert torch.equal(after["0.weight"], before["0.weight"])
    assert torch.equal(after["4.running_mean"], before["4.running_mean"])  # in eval mode
    assert not torch.equal(after["1.running_mean"], before["1.running_mean"])


def test_statistics_move_once_a_step_however_many_passes_it_takes():
    model = norm_net(dtype=torch.float32)
    run = train(model, pictures(), replace(FULL, awp=Constant(0.01), validate_every=1))
    assert model[1].num_batches_tracked == len(run.steps)


def test_bf16_learns_and_sees_perturbed_weights_not_their_old_casts():
    recipe = replace(PLAIN, bf16=True, objective=AT, awp=Constant(0.5), epochs=None, steps=1)
    run = train(fcn(m=32, dtype=torch.float32), blobs(dtype=torch.float32), recipe)
    without = train(fcn(m=32, dtype=torch.float32), blobs(dtype=torch.float32), replace(recipe, awp=None))
    exact = train(fcn(m=32, dtype=torch.float32), blobs(dtype=torch.float32), replace(recipe, bf16=False))
    assert run.steps.loss[0] > without.steps.loss[0]  # a stale cast would give the same loss
    assert run.steps.loss[0] == pytest.approx(exact.steps.loss[0], rel=0.05)
    assert run.steps.loss[0] != exact.steps.loss[0]
    long = train(fcn(m=32, dtype=torch.float32), blobs(dtype=torch.float32), replace(PLAIN, bf16=True, epochs=6))
    assert long.epochs.loss.iloc[-1] < 0.7 * long.epochs.loss.iloc[0]


def test_bf16_is_for_the_network_in_training_and_not_in_validation():
    model, seen = fcn(dtype=torch.float32), []
    model.register_forward_hook(lambda _module, _inputs, logits: seen.append(logits.dtype))
    recipe = replace(PLAIN, bf16=True, objective=AT, epochs=None, steps=1, held_out=20)
    train(model, blobs(dtype=torch.float32), recipe)
    assert seen == [*[torch.bfloat16] * 3, torch.float32]  # two steps of the attack, the outer pass, the validation


def test_channels_last_is_a_layout_and_nothing_else():
    runs = []
    for layout in (False, True):
        model = norm_net()
        runs.append(
            train(model, pictures(dtype=torch.float64), replace(PLAIN, channels_last=layout, augment=Augmentation(1)))
        )
        assert model[0].weight.is_contiguous(memory_format=torch.channels_last) or not layout
    assert runs[0].steps.loss.tolist() == pytest.approx(runs[1].steps.loss.tolist(), rel=1e-9)


def test_progress_goes_to_its_stream_and_nowhere_else(capfd):
    stream = io.StringIO()
    train(fcn(), blobs(), replace(PLAIN, epochs=2), progress=stream)
    text = stream.getvalue()
    assert text.startswith("\repoch 1, loss ")
    assert "step 8/16, 0 s left" in text
    assert text.endswith("\n")
    train(fcn(), blobs(), replace(PLAIN, epochs=2))
    assert capfd.readouterr() == ("", "")


def test_a_recipe_is_described_in_plain_data():
    attack = functools.partial(PGD, eps=0.1)
    found = describe({"at": AT, "kind": SGD, "call": attack, "f": functional.relu, "r": range})
    assert found["at"]["attack"]["eps"] == 0.1
    assert found["at"]["attack"]["loss"] == "advsmooth.attacks.losses:cross_entropy"
    assert found["kind"]["kind"] == "torch.optim.sgd:SGD"
    assert found["call"]["with"] == [{"eps": 0.1}]
    assert describe(object()) == "object"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Recipe(), "epochs=None, steps=None: give exactly one"),
        (lambda: Recipe(epochs=1, steps=1), "give exactly one"),
        (lambda: Recipe(epochs=0), "epochs or steps=0: allowed is an integer, at least 1"),
        (lambda: replace(PLAIN, batch=0), "batch=0: allowed"),
        (lambda: replace(PLAIN, keep=(0.0, 1.0)), "keep=.0.0, 1.0.: allowed are fractions"),
        (lambda: replace(PLAIN, optimisers=(replace(SGD, start=0.1),)), "the first 0"),
        (lambda: replace(PLAIN, optimisers=()), "the first 0"),
        (lambda: replace(PLAIN, capture=True), "use drop_last=True"),
        (lambda: replace(PLAIN, validation=ATTACK), "validation: nothing is held out to attack"),
        (lambda: train(fcn(), blobs(), replace(PLAIN, capture=True, drop_last=True)), "CUDA graphs need a CUDA GPU"),
        (lambda: train(fcn().eval(), blobs(), PLAIN), "in eval mode; call model.train()"),
        (lambda: train(fcn().to("meta"), blobs(), PLAIN), "model on meta, data on cpu: move one"),
        (lambda: train(fcn(), blobs(), replace(PLAIN, held_out=120)), "held_out=120: blobs has 120 examples"),
        (lambda: train(fcn(), blobs(), replace(PLAIN, batch=500, drop_last=True)), "larger than the 120 training"),
        (lambda: train(fcn(), blobs(), replace(PLAIN, budget=Constant(0.1))), "Standard has no budget"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
