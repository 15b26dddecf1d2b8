"""The plan in GPU hours: operations against closed forms, and the list against the ledger."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from advsmooth import claims, gpu_hours
from advsmooth.gpu_hours import OBJECTIVES, Cost, Operations, cost
from advsmooth.models import registry

LIST = yaml.safe_load(gpu_hours.LISTED.read_text())
TABLE = pd.read_csv(gpu_hours.PLANNED)
M, L, D, K = 24, 3, 64, 10


def layers():
    """Multiplications of each layer of the fully connected network, for one image."""
    model = registry.build("fcn", in_shape=(1, 8, 8), classes=K, seed=0, m=M, L=L)
    return [p.numel() for p in model.parameters() if p.ndim == 2]


def test_a_forward_pass_of_a_linear_network_is_two_operations_a_weight():
    found = cost("fcn", {"m": M, "L": L}, (1, 8, 8), K, OBJECTIVES["standard"])
    assert found.forward == 2 * sum(layers())
    assert found.per_second > 0


@pytest.mark.parametrize(
    ("objective", "full", "to_the_inputs", "forward"),
    # full: forward, and backward to the weights; to the inputs: forward, and backward through the frozen network
    [("standard", 1, 0, 0), ("PGD-10", 1, 10, 0), ("PGD-50", 1, 50, 0), ("PGD-10 with AWP", 2, 10, 0)],
)
def test_a_training_step_is_the_passes_that_the_objective_takes(objective, full, to_the_inputs, forward):
    sizes = layers()
    step = 2 * (3 * sum(sizes) - sizes[0])  # no gradient goes to the inputs
    attack = 4 * sum(sizes)  # none goes to the weights
    found = cost("fcn", {"m": M, "L": L}, (1, 8, 8), K, OBJECTIVES[objective])
    assert found.step == full * step + to_the_inputs * attack + forward * 2 * sum(sizes)


def test_a_convolution_is_counted_by_its_positions():
    with Operations() as counted, torch.no_grad():
        nn.Conv2d(3, 5, 3, padding=1)(torch.zeros(2, 3, 8, 8))
    assert counted.total == 2 * 2 * 8 * 8 * 5 * 3 * 9


def test_the_reference_throughput_is_an_epoch_over_its_median_time():
    one = Cost(1.0, 1.0, 1.0)
    log = gpu_hours.convergence.outside_yardstick()
    seconds = log[log.method == "AT"].seconds.median()
    assert gpu_hours.reference_throughput(one, images=1000) == pytest.approx(1000 / seconds)


def test_counted_and_timed_price_of_weight_perturbation_agree():
    """A check of the counting from outside: the log's two trainings differ by what AWP costs, and by nothing else."""
    ratio = json.loads(gpu_hours.MEASURED.read_text())["awp_over_at"]
    assert ratio["counted"] == pytest.approx(ratio["timed_in_the_log"], rel=0.05)


def test_every_claim_that_needs_a_gpu_is_planned_and_none_that_does_not_exist():
    planned = {claim for entry in LIST for claim in entry["claims"]}
    wanted = {claim.id for claim in claims.all_claims() if claim.decided_at in ("gpu", "paper")}
    assert planned == wanted


@pytest.mark.parametrize("entry", LIST, ids=lambda entry: entry["experiment"])
def test_the_table_is_that_of_the_list(entry):
    row = TABLE.set_index("experiment").loc[entry["experiment"]]
    images, evaluation = entry["data"]["images"], entry["evaluation"]
    assert row.trainings == entry["trainings"]
    assert row.claims == ", ".join(entry["claims"])
    assert row["PFLOP training"] == pytest.approx(row["GFLOP an image"] * images * entry["epochs"] / 1e6, rel=0.02)
    rate = json.loads(gpu_hours.MEASURED.read_text())["reference_tflops"]
    hours = row.trainings * (row["PFLOP training"] + row["PFLOP evaluation"]) / rate * 1000 / 3600
    assert row["GPU hours"] == pytest.approx(hours, rel=0.02)
    assert evaluation["by"]


def test_the_stored_numbers_are_those_that_are_counted_now():
    entry = next(entry for entry in LIST if entry["network"] == "lenet")
    about = entry["data"]
    found = cost("lenet", entry["arguments"], about["shape"], about["classes"], OBJECTIVES[entry["objective"]])
    row = TABLE.set_index("experiment").loc[entry["experiment"]]
    assert row["GFLOP an image"] == pytest.approx(found.step / 1e9, rel=0.01)
    evaluation = found.forward * entry["evaluation"]["passes"] * entry["evaluation"]["images"]
    assert row["PFLOP evaluation"] == pytest.approx(evaluation / 1e15, rel=0.01)


def test_the_picture_shows_every_experiment_and_its_hours():
    drawn = gpu_hours.PICTURE.read_text()
    for row in TABLE.itertuples():
        assert row.experiment in drawn
