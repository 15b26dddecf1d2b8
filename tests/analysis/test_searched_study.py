"""Studies of a family: what is measured when, and intervals over architectures."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from advsmooth import data, settings
from advsmooth.analysis import clustered
from advsmooth.analysis import searched_study as study
from advsmooth.training import runs, searched

DIGITS = data.load("digits", "train").take(48, seed=0)


def values(groups, seeds=2, scatter=0.0):
    """One number for each network: architecture ``k`` of a kind has the ``k``-th level, plus or minus the scatter."""
    rows = {
        (f"{kind} {k}", kind, seed): level + scatter * (-1) ** seed
        for kind, levels in groups.items()
        for k, level in enumerate(levels)
        for seed in range(seeds)
    }
    return pd.Series(rows).rename_axis(study.NETWORK)


def test_each_network_is_measured_at_its_own_weights(tmp_path):
    seen = []

    def measure(network, time, seed):
        seen.append((time, seed))
        norm = torch.cat([p.detach().flatten() for p in network.parameters()]).norm().item()
        with torch.no_grad():
            next(network.parameters()).zero_()  # may change it: the next one is another
        return {"norm": norm}

    table = study.study(
        ["LeNet"], [0, 1], DIGITS, measure, epochs=1, parameters=15_000, times=(0, 0.5, 1), folder=tmp_path
    )
    assert seen == [(t, s) for s in (0, 1) for t in (0, 0.5, 1)]
    run = searched.run("LeNet", DIGITS, epochs=1, parameters=15_000, seed=1)
    trained = runs.trained(run, folder=tmp_path)
    for time, model in ((0, run.fresh()), (1, trained.model)):
        norm = torch.cat([p.detach().flatten() for p in model.parameters()]).norm().item()
        assert study.at_time(table, time).loc[("LeNet", "manual", 1), "norm"] == pytest.approx(norm)
    loss = table[table["quantity"] == "epoch loss"]
    assert loss["value"].tolist()[1] == pytest.approx(trained.epochs["loss"].iloc[0])
    assert set(loss["time"]) == {1.0}


def test_the_interval_is_welchs_over_architectures():
    manual, other = [1.0, 2.0, 4.0], [0.0, 0.5, 0.1, -0.3]
    found = study.difference(values({"manual": manual, "searched": other, "random": [9.0, 9.0]}, scatter=0.3))
    oracle = stats.ttest_ind(manual, other, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    assert found.value == pytest.approx(np.mean(manual) - np.mean(other))


def test_more_seeds_of_the_same_architectures_do_not_narrow_it():
    few, many = (study.difference(values({"manual": [1, 2], "searched": [0, 3]}, seeds=s)) for s in (1, 50))
    assert few == many


def test_equal_numbers_have_an_interval_of_no_width():
    found = study.difference(values({"manual": [1, 1], "searched": [0, 0]}))
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_the_mean_over_architectures_is_a_one_sample_interval():
    levels = [1.0, 2.0, 4.0]
    found = study.mean_over_architectures(values({"manual": levels}, scatter=0.2))
    oracle = stats.ttest_1samp(levels, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))


def test_changes_are_of_one_kind_and_logarithms():
    rows = [("A", "manual", s, t, "q", v) for s in (0, 1) for t, v in ((0.0, 1.0), (1.0, np.e**2))] + [
        ("B", "searched", 0, t, "q", 1.0) for t in (0.0, 1.0)
    ]
    table = pd.DataFrame(rows, columns=study.COLUMNS)
    change = study.changes(table, "q", "manual")
    assert change.tolist() == pytest.approx([2, 2])
    assert clustered.Estimate(np.log(200), np.log(2), np.log(20_000)).ratio() == "200 [2, 20000]"


def test_a_rank_correlation_counts_architectures():
    g = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([range(12), ["manual"], range(3)], names=study.NETWORK)
    level = np.repeat(np.arange(12.0), 3)
    table = pd.DataFrame({"x": level, "y": level**3, "noise": np.repeat(g.standard_normal(12), 3)}, index=index)
    found = study.rank_correlation(table, "x", "y")
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    apart = study.rank_correlation(table, "x", "noise")
    assert apart.low < 0 < apart.high
    assert apart.value == pytest.approx(stats.spearmanr(table["x"], table["noise"]).statistic)
    with pytest.raises(ValueError, match="needs at least 4"):
        study.rank_correlation(table.loc[[0, 1, 2]], "x", "y")


def test_a_choice_without_a_comparison_is_refused_in_one_line():
    study.check_family(["DARTS", "NASNet", "LeNet", "VGG-7"])
    for names, message in ((["DARTS", "NASNet", "LeNet"], "two manual ones"), (["DARTZ"], "did you mean 'DARTS'")):
        with pytest.raises(settings.SettingsError, match=message) as refused:
            study.check_family(names)
        assert "\n" not in str(refused.value)


def test_a_trained_network_is_that_of_the_study(tmp_path):
    size = {"epochs": 1, "parameters": 15_000, "folder": tmp_path}
    network = study.trained_network("LeNet", DIGITS, seed=0, **size)
    table = study.study(["LeNet"], [0], DIGITS, lambda m, *_: {"w": next(m.parameters()).sum().item()}, **size)
    assert study.at_time(table, 1)["w"].item() == pytest.approx(next(network.parameters()).sum().item())


def test_a_replay_gives_the_same_numbers_again():
    def measure(network, time, seed):
        return {"first": next(network.parameters()).flatten()[0].item(), "time": time, "seed": seed}

    first, second = (study.replayed(measure, DIGITS, 0, ("LeNet",)) for _ in range(2))
    assert first == second
    assert first["LeNet, time 1.0: time"] == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: study.study(["LeNet"], [0], DIGITS, dict, epochs=1, parameters=15_000, times=(0.3,)), "0.125"),
        (lambda: study.difference(values({"manual": [1.0, 2.0], "searched": [1.0]})), "1 searched"),
        (lambda: study.mean_over_architectures(values({"manual": [1.0]})), "needs two"),
    ],
)
def test_refusals_say_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
