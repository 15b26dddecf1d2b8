"""The common table against closed forms of a linear model and a dense Hessian; temperatures; the joined table."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import common_table as ct
from advsmooth.analysis import laziness
from advsmooth.analysis.robustness_metrics import Tempered
from advsmooth.models.fcn import FCN
from advsmooth.training import common_set


def linear(classes=3, d=4):
    model = nn.Linear(d, classes).double()
    g = settings.generator(0)
    with torch.no_grad():
        model.weight.copy_(torch.randn(classes, d, generator=g, dtype=torch.float64))
        model.bias.zero_()
    return model


def plan_of(x, y, **options):
    return ct.Plan(x, y, x, y, **{"eps": 0.05, "steps": 4, "restarts": 1, **options})


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=60)


@pytest.fixture(scope="module")
def taught(digits):
    """A small network with its own answers as labels: accuracy 1, positive margins."""
    model = FCN(64, 12, 10, 2, generator=0)
    return model, model(digits.x).argmax(1)


def test_inputs_of_a_linear_model_are_the_closed_forms():
    model = linear()
    x = torch.rand(41, 4, generator=settings.generator(1), dtype=torch.float64)
    y = model(x).argmax(1)
    found = ct.in_inputs(model, plan_of(x, y), seed=0)
    p = model(x).softmax(1).detach()
    slopes = ((p - nn.functional.one_hot(y, 3)) @ model.weight).norm(dim=1)
    assert found["slope"] == pytest.approx(slopes.mean().item())
    assert found["slope max"] == pytest.approx(slopes.max().item())
    two = model(x).topk(2).values
    assert found["margin"] == pytest.approx((two[:, 0] - two[:, 1]).median().item())
    assert 0 < found["stability"] <= torch.linalg.matrix_norm(model.weight, 2).item()


def test_the_change_of_the_input_gradient_is_a_difference_quotient_and_zero_where_it_is_constant():
    class Hinge(nn.Module):
        def forward(self, x):
            return torch.cat([x.sum(1, keepdim=True) * 1e-9, torch.zeros(len(x), 1)], 1)

    x = torch.rand(10, 3, generator=settings.generator(0))
    assert ct.in_inputs(Hinge(), plan_of(x, torch.zeros(10, dtype=torch.long)), seed=0)["bend"] < 1e-6


def test_the_curvature_is_the_top_of_the_dense_hessian(digits):
    model = FCN(64, 3, 10, 2, generator=0, dtype=torch.float64)
    x, y = digits.x[:20].double(), digits.y[:20]
    start = torch.cat([p.detach().flatten() for p in model.parameters()])

    def loss(theta):
        w1, w2 = theta[: 3 * 64].view(3, 64), theta[3 * 64 :].view(10, 3)
        return nn.functional.cross_entropy((x.flatten(1) @ w1.T).relu() @ w2.T, y)

    eigenvalues = torch.linalg.eigvalsh(torch.func.hessian(loss)(start))
    top = eigenvalues[eigenvalues.abs().argmax()].item()
    assert ct.curved(model, x, y, seed=0) == pytest.approx(top, rel=2e-2)


def test_mini_batches_of_all_images_have_no_noise(digits, taught):
    model, _ = taught
    plan = plan_of(digits.x, digits.y, batch=60)
    assert ct.in_weights(model, plan, seed=0)["noise"] == pytest.approx(0, abs=1e-12)
    assert ct.in_weights(model, plan_of(digits.x, digits.y, batch=10), seed=0)["noise"] > 0


def test_a_common_temperature_gives_the_common_margin_and_changes_no_outcome(digits, taught):
    model, y = taught
    cooled = Tempered(model, ct.temperature(model, digits.x, y))
    assert ct.median_margin(cooled, digits.x, y) == pytest.approx(ct.MARGIN, rel=1e-5)
    plan = plan_of(digits.x, y)
    assert ct.outcomes(cooled, plan, seed=0) == pytest.approx(ct.outcomes(model, plan, seed=0), abs=1e-3)


def test_both_rows_of_a_network(digits, taught):
    model, y = taught
    start = laziness.weights(FCN(64, 12, 10, 2, generator=1))
    table = ct.measure(model, start, plan_of(digits.x, y), seed=0, own_eps=0.2)
    assert list(table["logits"]) == ["as trained", "common temperature"]
    for column in (*ct.OUTCOMES, "kappa", "accuracy", "curved own"):
        assert table[column].nunique() <= 1, column
    assert table["accuracy"].iloc[0] == 1
    assert table["slope"].nunique() == 2
    assert table["curved own"].iloc[0] != table["curved adv"].iloc[0]
    own = ct.measure(model, start, plan_of(digits.x, y), seed=0).iloc[0]
    assert own["curved own"] == own["curved"]


def test_a_network_that_is_wrong_on_half_of_the_images_has_one_row(digits, taught):
    model, y = taught
    wrong = plan_of(digits.x, (y + 1) % 10)
    table = ct.measure(model, laziness.weights(FCN(64, 12, 10, 2, generator=1)), wrong, seed=0)
    assert list(table["logits"]) == ["as trained"]
    assert math.isnan(table["temperature"].iloc[0])


def test_a_study_has_a_row_for_each_network_and_temperature(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("advsmooth.training.runs.FOLDER", tmp_path)
    how = {"eps": 0.05, "epochs": 12, "rate": 0.1, "batch": 10, "m": 16, "L": 2}
    planned = common_set.runs(digits, ["standard", "TV 0.01"], [0, 1], **how)
    table = ct.study(planned, plan_of(digits.x, digits.y), judge=10)
    assert list(table.columns[:4]) == ["training", "paper", "seed", "parameters"]
    assert table.groupby(["training", "seed"]).size().eq(2).all()
    first = table[(table["seed"] == 0) & (table["logits"] == "as trained")]
    assert (first["autoattack"] >= first["pgd"]).all()
    assert first.set_index("training")["symptoms"].notna().to_dict() == {"standard": True, "TV 0.01": False}
    assert table[table["seed"] == 1]["pgd"].isna().all()


def test_the_joined_table_keeps_what_learned_and_stars_what_a_temperature_changes():
    rows = []
    for training, accuracy in (("a", 1.0), ("b", 0.5), ("c", 0.95)):
        for k, logits in enumerate(("as trained", "common temperature")):
            if training == "c" and k:
                continue
            values = dict.fromkeys(ct.COLUMNS, 10.0 * k + 1)
            rows.append({"training": training, "seed": 0, "logits": logits, "accuracy": accuracy, **values})
    found = ct.joined(pd.DataFrame(rows))
    assert list(found["training"]) == ["a"]
    assert (found["slope"].item(), found["slope*"].item()) == (1, 11)
    assert "kappa*" not in found
    assert set(ct.TEMPERED) <= set(ct.COLUMNS) == set(ct.LABELS)
    assert np.isfinite(found[list(ct.COLUMNS)].to_numpy()).all()
