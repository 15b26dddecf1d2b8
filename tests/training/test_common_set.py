"""The common set: each training changes one thing, and stands for a paper of the ledger."""

import pytest

from advsmooth import claims, data
from advsmooth.training import common_set
from advsmooth.training.entropysgd import EntropySGD
from advsmooth.training.objectives import TRADES, AdversarialTraining, GradientRegularised, Standard
from advsmooth.training.runs import trained_together

HOW = {"eps": 0.1, "epochs": 1, "rate": 0.1, "batch": 50, "m": 8, "L": 3}


@pytest.fixture(scope="module")
def planned():
    digits = data.load("digits", n=100)
    return common_set.runs(digits, list(common_set.trainings(8, 3)), [0, 1, 2, 3], **HOW)


def run_of(planned, name):
    return planned.loc[planned["training"] == name, "run"].iloc[0]


def test_every_paper_has_its_trainings_and_only_the_standard_one_has_none():
    known = common_set.trainings(64, 3)
    assert {t.paper for t in known.values()} == {"", *claims.papers()}
    assert [name for name, t in known.items() if not t.paper] == [common_set.STANDARD]
    assert set(common_set.QUICK) <= set(known)


def test_a_training_changes_the_loss_or_the_optimiser_or_the_network_and_no_two_are_the_same(planned):
    standard = run_of(planned, common_set.STANDARD)
    for name, training in common_set.trainings(8, 3).items():
        run = run_of(planned, name)
        other_network = (run.network, run.arguments) != (standard.network, standard.arguments)
        other_loss = run.recipe.objective != standard.recipe.objective
        assert other_network + other_loss == (name != common_set.STANDARD), name
        assert other_network == (training.network != "fcn" or bool(training.changes))
        assert (run.recipe.epochs, run.recipe.batch) == (1, 50)
    keys = planned["run"].map(lambda run: run.key())
    assert keys.nunique() == len(planned)


def test_the_losses_are_the_published_ones(planned):
    kinds = {"standard": Standard, "AT ε": AdversarialTraining, "TRADES ε": TRADES, "TV 0.3": GradientRegularised}
    for name, kind in kinds.items():
        assert type(run_of(planned, name).recipe.objective) is kind
    assert run_of(planned, "TV 0.1 + Lip 0.1").recipe.objective.lipschitz == 0.1
    assert run_of(planned, "AT ε, EntropySGD").recipe.optimisers[0].kind is EntropySGD
    assert run_of(planned, "AT ε, AWP").recipe.awp is not None


def test_budgets_are_in_units_of_eps_and_one_grows_to_its_target(planned):
    found = {name: common_set.budget(run_of(planned, name)) for name in ("standard", "AT ε/2", "AT 2ε", "TRADES ε")}
    assert found == pytest.approx({"standard": 0, "AT ε/2": 0.05, "AT 2ε": 0.2, "TRADES ε": 0.1})
    schedule = run_of(planned, "AT 2ε").recipe.budget
    assert schedule(0, 10) == 0
    assert schedule(10, 10) == pytest.approx(0.2)
    assert run_of(planned, "AT ε").recipe.budget is None


def test_convolutional_networks_have_fewer_seeds(planned):
    counts = planned["training"].value_counts()
    assert counts["LeNet"] == counts["ResNet, batch norm"] == common_set.CONVOLUTIONAL_SEEDS
    assert counts["standard"] == counts["wide"] == 4


def test_a_network_of_the_set_trains():
    digits = data.load("digits", n=100)
    (run,) = common_set.runs(digits, ["standard"], [0], **HOW)["run"]
    assert trained_together([run])[0].epochs["loss"].iloc[-1] > 0


def test_an_unknown_training_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="TV 0.3"):
        common_set.runs(data.load("digits", n=50), ["TV 0.2"], [0], **HOW)
