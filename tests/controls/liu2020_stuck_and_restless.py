"""Negative controls of notebooks/liu2020/stuck_and_restless."""

import torch
from negative_controls import control
from scipy.stats import spearmanr

from advsmooth import checks, data
from advsmooth.analysis import early_and_late
from advsmooth.models import registry

BUDGETS = [0.0, 0.05, 0.1, 0.15]


def unordered(name):
    """Quantities that the budget does not order: three seeds, three permutations."""
    values = [[1, 3, 2, 4], [4, 1, 3, 2], [2, 4, 1, 3]]
    return checks.positive(name, "", differences=[spearmanr(BUDGETS, v).statistic for v in values], sample="")


EARLY = {"liu2020-fig1a": "early-gradient", "liu2020-fig1b": "early-error", "liu2020-fig1c": "early-distance"}
for claim, check in EARLY.items():
    control(claim, check)(lambda check=check: unordered(check))
control("liu2020-fig1d", "late-gradient", "late-full-gradient")(unordered)
control("liu2020-fig8", *(f"mnist-{name}" for name in (*EARLY.values(), "late-gradient", "late-full-gradient")))(
    unordered
)
control("liu2020-obs-dead", "more-dead-units")(lambda: unordered("more-dead-units"))


@control("liu2020-obs-dead", "dead-layer-blocks")
def one_unit_alive():
    """A layer with a single unit left lets the gradient through."""
    digits = data.load("digits")
    model = registry.build("lenet", in_shape=digits.shape, classes=10, seed=0, w=2)
    early_and_late.silence(model, "fc1")
    with torch.no_grad():
        model.fc1.weight[0].fill_(1.0)
        model.fc1.bias[0] = 0.0
    logits = model(digits.x[:64])
    torch.nn.functional.cross_entropy(logits, digits.y[:64]).backward()
    passed = [p.grad.abs().max().item() == 0 for n, p in model.named_parameters() if n.startswith("conv")]
    return checks.every(
        "dead-layer-blocks", "", cases=[(logits - logits[0]).abs().max().item() == 0, *passed], sample=""
    )


@control("liu2020-obs-dead", "stuck-by-death")
def networks_with_a_dead_layer():
    return checks.every("stuck-by-death", "", cases=[True, True], sample="", role="observed")
