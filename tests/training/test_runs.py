import pickle
from dataclasses import replace

import pytest
import torch

from advsmooth import data
from advsmooth.attacks.gradient import PGD
from advsmooth.training import runs
from advsmooth.training.objectives import AdversarialTraining
from advsmooth.training.recipe import Recipe
from advsmooth.training.runs import Run
from advsmooth.training.schedules import Constant


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").take(96, seed=0)


def run(digits, seed=0, eps=0.1, **arguments):
    recipe = Recipe(AdversarialTraining(PGD(eps=eps, steps=2)), epochs=2, batch=32, rate=Constant(0.1))
    return Run("lenet", {"w": 1} | arguments, digits, recipe, seed)


def norm_from(model):
    start = [p.detach().clone() for p in model.parameters()]
    return lambda m: sum((p - q).square().sum() for p, q in zip(m.parameters(), start, strict=True)).sqrt().item()


def test_a_run_trains_once_and_is_then_read(digits, tmp_path, monkeypatch):
    first = runs.trained(run(digits), folder=tmp_path)
    monkeypatch.setattr(runs.loop._Run, "epoch", lambda *_: pytest.fail("trained again"))
    again = runs.trained(run(digits), folder=tmp_path)
    assert all(torch.equal(p, q) for p, q in zip(first.model.parameters(), again.model.parameters(), strict=True))
    assert again.steps.equals(first.steps)
    with pytest.raises(pytest.fail.Exception, match="trained again"):  # the control: another run is not taken for it
        runs.trained(run(digits, seed=1), folder=tmp_path)


def test_the_key_tells_apart_all_that_decides_the_weights(digits):
    keys = [
        run(digits).key(),
        run(digits, seed=1).key(),
        run(digits, eps=0.2).key(),
        run(digits, w=2).key(),
        run(digits.take(64)).key(),
        run(data.load("digits").take(96, seed=1)).key(),  # as many, and of the same checksum
        run(replace(digits, y=digits.y.flip(0))).key(),
        run(digits.to("cpu", torch.float64)).key(),
        run(digits).key(["distance"]),
    ]
    assert len(set(keys)) == len(keys)
    assert run(digits).key() == keys[0]


def test_measures_are_made_for_the_fresh_network(digits, tmp_path):
    trained = runs.trained(run(digits), measures={"distance": norm_from}, folder=tmp_path)
    fresh = run(digits).fresh()
    assert trained.epochs["distance"].iloc[-1] == pytest.approx(norm_from(fresh)(trained.model), rel=1e-12)
    assert (trained.epochs["distance"] > 0).all()


def test_processes_side_by_side_give_what_one_after_the_other_gives(digits, tmp_path):
    cases = [run(digits, seed=s) for s in (2, 0, 1)]
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = runs.trained_all(cases, folder=tmp_path / "alone")
        beside = runs.trained_all(cases, folder=tmp_path / "beside", jobs=2)
    finally:
        torch.set_num_threads(torch_threads)
    for a, b in zip(alone, beside, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.model.parameters(), b.model.parameters(), strict=True))
        assert b.steps.equals(a.steps)


def test_a_run_is_sent_without_its_data(digits, tmp_path, monkeypatch):
    """Which are sent once: the run itself stays small, and a view would be sent with all that it is a view of."""
    sent = {}
    monkeypatch.setattr(runs.sweep, "spread", lambda _, settings, **more: sent.update(settings=settings, **more))
    with pytest.raises(ValueError, match="all machines of a cluster need the same folder"):
        runs.trained_all([run(digits), run(digits, seed=1)], folder=tmp_path, jobs=2)
    assert [len(pickle.dumps(setting)) < digits.x.nbytes / 2 for setting in sent["settings"]] == [True, True]
    assert [setting["which"] for setting in sent["settings"]] == [0, 0]
    assert sent["shared"]["datasets"] == [digits]
    assert sent["gpus"] == 0


def test_together_without_a_cache_is_each_alone(digits, tmp_path):
    cases = [run(digits.to("cpu", torch.float64), seed=s) for s in (0, 1)]
    with pytest.raises(ValueError, match="runs on different data"):
        runs.trained_together(cases)
    double = digits.to("cpu", torch.float64)
    cases = [replace(case, data=double) for case in cases]
    fresh = Run.fresh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "fresh", lambda self: fresh(self).double())
        together = runs.trained_together(cases, measures={"distance": norm_from})
        alone = runs.trained_all(cases, measures={"distance": norm_from}, folder=tmp_path)
    for a, b in zip(together, alone, strict=True):
        assert a.epochs["distance"].tolist() == pytest.approx(b.epochs["distance"].tolist(), rel=1e-8)
        assert a.steps["loss"].tolist() == pytest.approx(b.steps["loss"].tolist(), rel=1e-8)
