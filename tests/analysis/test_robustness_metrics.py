"""Metrics against closed forms of linear models, brute force, scipy, and tables made by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import clustered, input_gradient
from advsmooth.analysis import robustness_metrics as metrics
from advsmooth.models.fcn import FCN


def linear(classes=3, d=5, seed=0):
    """A linear model whose boundaries are near the middle of the box."""
    model = nn.Linear(d, classes).double()
    g = settings.generator(seed)
    with torch.no_grad():
        model.weight.copy_(torch.randn(classes, d, generator=g, dtype=torch.float64))
        model.bias.copy_(-model.weight.sum(1) / 2)
    return model


def middle(n=12, d=5, seed=1):
    return 0.5 + 0.05 * torch.randn(n, d, generator=settings.generator(seed), dtype=torch.float64)


# --- one network ----------------------------------------------------------------------------------------------------


def test_both_distances_are_exact_for_a_linear_model():
    model, x = linear(), middle()
    y = model(x).argmax(1)
    y[0] = (y[0] + 1) % 3  # one that is wrong to begin with
    z = model(x).detach()
    expected = []
    for i in range(len(x)):
        others = [k for k in range(3) if k != y[i]]
        gaps = [(z[i, y[i]] - z[i, k]) / (model.weight[y[i]] - model.weight[k]).norm() for k in others]
        expected.append(max(0.0, min(gaps).item()))
    first = metrics.first_order_distances(model, x, y)
    np.testing.assert_allclose(first.numpy(), expected, rtol=1e-9)
    assert first[0] == 0
    found = metrics.distances(model.float(), x.float(), y)
    np.testing.assert_allclose(found.numpy()[1:], expected[1:], rtol=0.03)  # DeepFool goes 2 per cent too far
    assert found[0] == 0


def test_a_temperature_changes_gradients_and_neither_prediction_nor_distance():
    digits = data.load("digits", n=30)
    model = FCN(64, 16, 10, 3, generator=0)
    y = model(digits.x).argmax(1)
    table = metrics.over_temperatures(model, digits.x, y, [0.25, 1.0, 4.0], name="m", seed=0)
    wide = table.pivot_table(index="at", columns="quantity", values="value")
    assert wide["distance"].max() / wide["distance"].min() - 1 < 1e-6
    np.testing.assert_allclose(wide["TV logits"] * wide.index, wide["TV logits"][1.0], rtol=1e-6)
    before, after = (metrics.first_order_distances(m, digits.x, y) for m in (model, metrics.Tempered(model, 8.0)))
    torch.testing.assert_close(before, after)
    for bad in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="temperature"):
            metrics.Tempered(model, bad)


def test_measure_gives_what_the_functions_give():
    digits = data.load("digits", n=40)
    model = FCN(64, 16, 10, 3, generator=0)
    y = model(digits.x).argmax(1)
    y[:10] = (y[:10] + 1) % 10
    table = metrics.measure(model, digits.x, y, name="m", seed=3)
    assert set(table["seed"]) == {3}
    value = table.set_index(["images", "quantity"])["value"]
    assert value["all", "accuracy"] == 0.75
    wanted = input_gradient.statistics(model, digits.x, y)
    assert value["all", "TV probabilities"] == pytest.approx(wanted.model_variation)
    assert value["all", "Lip probabilities"] == pytest.approx(wanted.model_lipschitz)
    assert value["all", "TV loss"] == pytest.approx(wanted.loss_variation)
    own = input_gradient.statistics(model, digits.x[10:], y[10:], outputs="logits")
    assert value["correct", "TV logits"] == pytest.approx(own.model_variation)
    assert value["correct", "distance"] > value["all", "distance"] > 0
    with torch.no_grad():
        top = model(digits.x[10:]).topk(2, dim=1).values
    assert value["correct", "margin"] == pytest.approx((top[:, 0] - top[:, 1]).median().item())


def test_a_network_that_is_always_wrong_has_no_correct_images():
    digits = data.load("digits", n=20)
    model = FCN(64, 16, 10, 2, generator=0)
    wrong = (model(digits.x).argmax(1) + 1) % 10
    table = metrics.measure(model, digits.x, wrong, name="m", seed=0)
    assert set(table["images"]) == {"all"}
    assert metrics.networks(table).empty


# --- over models ----------------------------------------------------------------------------------------------------


def nets(slope=-1.0, noise=0.0, models=8, seeds=2):
    rng = np.random.default_rng(0)
    found = []
    for k in range(models):
        for s in range(seeds):
            tv = 2.0 ** (k / 2) * (1 + 0.1 * s)
            distance = 3 * tv**slope * math.exp(noise * rng.normal())
            name = metrics.UNDEFENDED if k == 0 else f"m{k}"
            found.append((name, s, tv, distance))
    return pd.DataFrame(found, columns=["model", "seed", "TV loss", "distance"])


def test_an_exact_power_law_has_its_exponent_and_no_interval():
    for slope in (-1.0, 0.5):
        law = metrics.power_law(nets(slope), "TV loss")
        assert law.value == pytest.approx(slope)
        assert law.high - law.low < 1e-9
        assert metrics.rank_correlation(nets(slope), "TV loss").value == pytest.approx(np.sign(slope))


def test_estimates_agree_with_scipy_and_intervals_hold_them():
    table = nets(-0.7, noise=0.4)
    law, rank = metrics.power_law(table, "TV loss"), metrics.rank_correlation(table, "TV loss")
    line = stats.linregress(np.log(table["TV loss"]), np.log(table["distance"]))
    assert law.value == pytest.approx(line.slope)
    assert rank.value == pytest.approx(stats.spearmanr(table["TV loss"], table["distance"]).statistic)
    assert law.low < law.value < law.high
    assert rank.low < rank.value <= rank.high
    assert metrics.power_law(table, "TV loss") == law  # the same draws
    assert metrics.power_law(table, "TV loss", seed=1) != law


@given(st.lists(st.integers(0, 3), min_size=5, max_size=12), st.integers(0, 100))
def test_counting_a_network_twice_is_having_it_twice(values, seed):
    rng = np.random.default_rng(seed)
    x, y = np.array(values, dtype=float), rng.integers(0, 4, len(values)).astype(float)
    counts = rng.integers(0, 3, len(values))
    long_x, long_y = np.repeat(x, counts), np.repeat(y, counts)
    found = clustered.spearman(counts[None].astype(float), x, y)[0]
    if len(long_x) < 2 or np.ptp(long_x) == 0 or np.ptp(long_y) == 0:
        assert not np.isfinite(found)
    else:
        assert found == pytest.approx(stats.spearmanr(long_x, long_y).statistic, abs=1e-9)


def test_what_cannot_be_estimated_is_refused_or_not_a_number():
    with pytest.raises(ValueError, match="at least 4"):
        metrics.power_law(nets(models=3), "TV loss")
    zero = nets().assign(**{"TV loss": 0.0})
    assert str(metrics.power_law(zero, "TV loss")) == "-"


def test_the_better_predictor_gains():
    table = nets(-1.0, noise=0.5, models=12)
    table["first order"] = table["distance"]
    gain = metrics.rank_gain(table, "first order", "TV loss")
    assert 0 < gain.value == pytest.approx(1 - abs(metrics.rank_correlation(table, "TV loss").value))


def test_improvements_are_ratios_over_the_same_seed():
    table = pd.DataFrame(
        [
            (metrics.UNDEFENDED, 0, 4.0, 1.0, 10.0),
            (metrics.UNDEFENDED, 1, 8.0, 2.0, 10.0),
            ("m", 0, 2.0, 3.0, 30.0),
            ("m", 1, 1.0, 3.0, 20.0),
            ("m", 2, 1.0, 3.0, 20.0),  # no undefended network of this seed
        ],
        columns=["model", "seed", "TV loss", "distance", "first order"],
    )
    by_tv, by_first = (metrics.improvements(table, q) for q in ("TV loss", "first order"))
    assert by_tv["predicted"].tolist() == [2.0, 8.0]
    assert by_tv["actual"].tolist() == by_first["actual"].tolist() == [3.0, 1.5]
    assert by_first["predicted"].tolist() == [3.0, 2.0]
    np.testing.assert_allclose(metrics.worst_factor(by_tv), [1.5, 8 / 1.5])


# --- published tables -----------------------------------------------------------------------------------------------


def test_published_ratios_and_what_rounding_can_do_to_them():
    columns = ["l2_median_distance", "max_grad_loss_2", "max_grad_f_2inf", "mean_grad_loss_2", "mean_grad_f_2inf"]
    rows = {"columns": columns, "undefended": [0.10, 8.0, 4.0, 2.0, 0.40], "m": [0.20, 8.0, 2.0, 1.0, 0.10]}
    (found,) = metrics.published_improvements(rows).to_dict("records")
    assert found["total variation"] == pytest.approx(4)
    assert found["Lipschitz constant"] == pytest.approx(2)
    assert found["median distance"] == pytest.approx(2)
    # By brute force: every corner of the rounding box.
    worst = 0.0
    for signs in np.ndindex(2, 2, 2, 2):
        a, b, c, d = (v + 0.005 * (2 * s - 1) for v, s in zip((0.10, 0.20, 0.40, 0.10), signs, strict=True))
        worst = max(worst, abs(math.log((c / d) / (b / a) / 2)))
    assert math.log(found["rounding"]) >= worst - 1e-12
    assert metrics.published_improvements(rows, {"l2_median_distance": 3})["rounding"][0] < found["rounding"]
    assert metrics.published_column(rows, "max_grad_f_2inf") == {"undefended": 4.0, "m": 2.0}
    assert metrics.rank({"a": 1, "b": 2, "c": 3}, {"a": 5, "b": 4, "c": 3}) == -1


# --- larger gradients -----------------------------------------------------------------------------------------------


def two_class():
    model = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -1.0, 2.0, 0.5], [0.0, 0.0, 0.0, 0.0]]))
    return model


def test_the_ascent_finds_the_known_maximum_and_no_more():
    model = two_class()
    x = torch.rand(6, 4, generator=settings.generator(0))
    found, where = metrics.climb(model, x, 1.0, steps=200)
    constant = (model.weight[0].norm() / 4).item()
    torch.testing.assert_close(found, torch.full((6,), constant), rtol=1e-3, atol=0)
    assert (found <= constant * (1 + 1e-6)).all()
    torch.testing.assert_close(found, input_gradient.jacobian_norms(model, where))  # attained at the place it names


def test_the_ascent_stays_in_ball_and_box_and_never_falls_below_its_start():
    digits = data.load("digits", n=8)
    model = FCN(64, 16, 10, 3, generator=0)
    found, where = metrics.climb(model, digits.x, 0.3, steps=7)
    assert ((where - digits.x).flatten(1).norm(dim=1) <= 0.3 + 1e-6).all()
    assert where.min() >= 0
    assert where.max() <= 1
    assert (found >= input_gradient.jacobian_norms(model, digits.x) - 1e-6).all()
    still, _ = metrics.climb(model, digits.x, 0.0, steps=1)
    torch.testing.assert_close(still, input_gradient.jacobian_norms(model, digits.x))
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    for radius, steps in ((-1.0, 5), (math.inf, 5), (0.1, 0)):
        with pytest.raises(ValueError, match="radius"):
            metrics.climb(model, digits.x, radius, steps=steps)


def test_steepest_places_are_monotone_and_below_the_product_bound():
    digits = data.load("digits", n=30)
    model = FCN(64, 16, 10, 3, generator=0)
    table = metrics.steepest_around(model, digits.x, [0.1, 0.5], name="m", seed=0, starts=6, steps=5)
    values = table["value"].tolist()
    assert values == sorted(values)
    assert values[0] == pytest.approx(input_gradient.jacobian_norms(model, digits.x).max().item())
    bound = metrics.products(model, digits.x, name="m", seed=0).set_index("quantity")["value"]
    assert values[-1] <= metrics.SOFTMAX_ROW * bound["product"]
    assert bound["sampled probabilities"] == pytest.approx(values[0])


def test_the_bound_on_a_row_of_the_softmax_is_met_and_never_exceeded():
    z = 5 * torch.randn(200, 6, generator=settings.generator(0), dtype=torch.float64)
    z[0] = torch.tensor([0.0, 0.0, -99.0, -99.0, -99.0, -99.0])
    rows = torch.stack([torch.func.jacrev(lambda v: v.softmax(0))(each) for each in z]).norm(dim=2)
    assert rows.max().item() == pytest.approx(metrics.SOFTMAX_ROW)
    assert (rows <= metrics.SOFTMAX_ROW + 1e-12).all()


def test_growth_with_depth_is_the_slope_of_the_logarithm():
    parts = [
        metrics.rows(
            "m",
            s,
            {"product": 10.0 ** (2 * depth + s), "sampled probabilities": 10.0**depth},
            images="product",
            at=depth,
        )
        for s in (0, 1)
        for depth in (2, 3, 5)
    ]
    table = metrics.by_depth(pd.concat(parts))
    np.testing.assert_allclose(metrics.growth(table), [1.0, 1.0])
    assert len(table) == 6
