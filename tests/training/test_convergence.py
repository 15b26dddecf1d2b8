"""Curves, areas, choices and costs, on tables made by hand and on trainings of a few mini-batches."""

import numpy as np
import pandas as pd
import pytest

from advsmooth import data, settings
from advsmooth.attacks.autoattack import AutoAttack
from advsmooth.attacks.evaluation import robust_error
from advsmooth.attacks.gradient import PGD
from advsmooth.training import convergence, published, runs

DIGITS, TEST = data.load("digits").take(150), data.load("digits", "test").take(40)


def run(method, steps=2, **options):
    made = published.kanai_runs(
        DIGITS,
        {"it": (method, options)},
        published.kanai_at(0.05, steps=steps),
        [1],
        w=1,
        epochs=3,
        held_out=30,
        batch=20,
        network="lenet",
    )
    return made.run[0]


def table(test, held=None, method="it", seed=0):
    rows = [("test", method, seed, k, v) for k, v in enumerate(test, 1)]
    rows += [("held out", method, seed, k, v) for k, v in enumerate(held or test, 1)]
    return pd.DataFrame(rows, columns=convergence.COLUMNS)


@pytest.mark.parametrize("method", ["AT", "AT+EnSGD", "AT+2ndEnSGD", "AWP", "AWP+EnSGD"])
@pytest.mark.parametrize("steps", [1, 3])
def test_passes_of_a_mini_batch(method, steps):
    options = {"langevin": 2} if "En" in method else {}
    expected = steps + (2 if "AWP" in method else 1)
    assert convergence.passes(run(method, steps, **options), 4) == (expected, expected)


def test_a_network_is_judged_by_the_weights_of_every_epoch(tmp_path):
    made = run("AT")
    result = runs.trained(made, folder=tmp_path)
    attack, final = PGD(eps=0.05, steps=3, step_size=0.02), AutoAttack(eps=0.05, components=("apgd-ce",), steps=3)
    found = convergence.judged("AT", made, result, TEST, attack, trained_on=50, final=final, final_n=20)
    assert found.groupby("quantity").size().to_dict() == {
        "AutoAttack": 1, "clean": 1, "held out": 3, "iterates": 3, "test": 3, "train": 1,
    }  # fmt: skip
    model = made.fresh()
    for epoch, state in enumerate(result.kept, 1):
        model.load_state_dict(state)
        error = robust_error(model, TEST.x, TEST.y, attack, generator=settings.generator(0)).error
        assert convergence.wide(found, "test").loc[("AT", 1), epoch] == pytest.approx(1 - error)
    last = found[found.quantity == "AutoAttack"].iloc[0]
    assert last.epoch == 1 + int(result.epochs.held_out_robust_accuracy.argmax())
    assert last.value <= found[found.quantity == "clean"].value.item()


def test_networks_without_all_weights_are_refused(tmp_path):
    made = run("AT")
    result = runs.trained(made, folder=tmp_path)
    short = type(result)(result.model, result.best, result.kept[:2], result.steps, result.epochs, result.criterion)
    with pytest.raises(ValueError, match="2 of 3 epochs"):
        convergence.judged("AT", made, short, TEST, PGD(eps=0.1), trained_on=5, final=None, final_n=5)


def test_the_area_of_a_line_is_its_middle_and_costs_move_the_window():
    line = pd.concat([table([0.1, 0.2, 0.3], method="a"), table([0.1, 0.2, 0.3], method="b")])
    assert convergence.areas(line, "test", {"a": 1.0})["a", 0] == pytest.approx(0.2)
    both = convergence.areas(line, "test", {"a": 1.0, "b": 1.5})
    # From 1.5 to 3 units: epochs 1.5 to 3 of a, 1 to 2 of b.
    assert both["a", 0] == pytest.approx(0.225)
    assert both["b", 0] == pytest.approx(0.15)


def test_the_choice_on_test_images_never_loses_and_ties_go_to_the_first():
    found = convergence.chosen(table([0.3, 0.5, 0.5, 0.4], [0.6, 0.2, 0.6, 0.1])).loc[("it", 0)]
    assert (found["by held out"], found["by test"]) == (1, 2)
    assert found["added"] == pytest.approx(0.2)
    assert found["last"] == 0.4


def test_ends_are_those_of_the_last_epoch():
    assert convergence.ends(table([0.1, 0.4, 0.2]), "test")["it", 0] == 0.2


def test_gains_are_aligned_by_seed():
    ends = {("a", 0): 0.3, ("a", 1): 0.5, ("a", 2): 0.9, ("b", 0): 0.1, ("b", 1): 0.2, ("b", 2): 0.5}
    values = pd.concat([table([v], method=m, seed=s) for (m, s), v in reversed(ends.items())])
    gain = convergence.gain(convergence.ends(values, "test"), "a", "b")
    assert gain == pytest.approx([0.2, 0.3, 0.4])
    pooled = convergence.pooled_deviation(convergence.ends(values, "test"), "a", "b")
    assert pooled == pytest.approx(np.sqrt((np.var([0.3, 0.5, 0.9], ddof=1) + np.var([0.1, 0.2, 0.5], ddof=1)) / 2))


def test_seconds_has_a_row_for_each_method_and_repetition():
    found = convergence.seconds({"AT": run("AT"), "AWP": run("AWP")}, batches=2, repeats=2)
    assert found.groupby("method").size().to_dict() == {"AT": 2, "AWP": 2}
    assert (found.value > 0).all()


def test_gaps_of_printed_cells():
    cells = {"row": {"a": [50.0, 0.3], "b": [51.0, 0.4], "c": [50.0, 0.3]}}
    found = convergence.published_gaps(cells, [("a", "b")]).iloc[0]
    assert (found.gap, found.pooled) == (1.0, pytest.approx(np.sqrt(0.125)))
    assert convergence.published_gaps({"row": {"a": [30.9, 0.1], "b": [30.7, 0.1]}}, [("a", "b")]).ratio[0] == -2
    assert convergence.equal_cells(cells) == [("row", "a", "c")]


def test_the_outside_yardstick_is_whole():
    found = convergence.outside_yardstick()
    assert found.groupby("method").epoch.max().to_dict() == {"AT": 200, "AWP": 200}
    best = found.groupby("method").test.max()
    assert best["AWP"] > best["AT"] > found[(found.method == "AT") & (found.epoch == 200)].test.item()


def test_a_replay_repeats_itself():
    arguments = {"n": 200, "held_out": 20, "eps": 0.05, "attack_steps": 1, "seed": 0, "steps": 1}
    first = convergence.replay("digits", **arguments)
    assert first == convergence.replay("digits", **arguments)
    assert set(first) == {"loss 1", "gradient_norm 1"}
