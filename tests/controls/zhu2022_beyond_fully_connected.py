"""Negative controls of notebooks/zhu2022/beyond_fully_connected.

Trends could have come out either way, and the record of a larger run may turn one: their controls have an input on
which the check holds and one on which it fails, and return the one whose outcome is not the page's.
"""

import numpy as np
import pandas as pd
import sympy as sp
import torch
from negative_controls import control, other_way
from torch.nn import functional

from advsmooth import checks, data
from advsmooth.analysis import architectures, behind_batch_norm, early_training, phase_transition, width_and_depth
from advsmooth.models import registry
from advsmooth.training import loop
from advsmooth.training.objectives import Standard
from advsmooth.training.recipe import Optimiser, Recipe

DIGITS = data.load("digits").take(20, seed=0)
X, Y = DIGITS.x.double(), DIGITS.y


@control("zhu2022-setup-experiments", "one-step")
def a_step_on_another_loss():
    """The squared loss instead of the cross-entropy."""
    cell = architectures.Cell("cnn", 3, 4, 100, 1, (0,), batch=100)
    run = cell.planned(data.load("digits"))[0]
    model = run.fresh()
    wanted = functional.one_hot(run.data.y, 10).float()
    slope = torch.autograd.grad(functional.mse_loss(model(run.data.x), wanted), list(model.parameters()))
    trained = loop.train(run.fresh(), run.data, run.recipe, seed=0).model
    stepped = [(p - cell.rate(0, 0) * g).detach() for p, g in zip(model.parameters(), slope, strict=True)]
    return checks.equal(
        "one-step",
        "",
        measured=torch.cat([p.detach().flatten() for p in trained.parameters()]),
        expected=torch.cat([p.flatten() for p in stepped]),
        atol=1e-6,
        sample="",
        role="method",
    )


@control("zhu2022-setup-experiments", "sgd-on-cross-entropy")
def another_optimiser():
    recipe = Recipe(epochs=1, optimisers=(Optimiser(torch.optim.Adam, {"weight_decay": 0.0}),))
    held = recipe.objective == Standard() and recipe.optimisers[0].kind is torch.optim.SGD
    return checks.every("sgd-on-cross-entropy", "", cases=[held], sample="", role="method")


@control("zhu2022-setup-experiments", "fifty-epochs")
def fewer_epochs():
    def make(epochs):
        return checks.at_most("fifty-epochs", "", measured=[-e for e in epochs], bound=-50, sample="", role="observed")

    return other_way("zhu2022-setup-experiments", "fifty-epochs", make, [50, 200], [50, 49])


def settled(name):
    """Accuracies of three seeds that stay, or move by about two points."""

    def make(moves):
        return checks.positive(name, "", differences=1 - 100 * np.abs(moves), sample="")

    return other_way("zhu2022-fig6", name, make, [0.001, -0.002, 0.0], [0.02, -0.021, 0.019])


def grown(name):
    """Logarithms of three seeds that grow enough, or do not."""
    return other_way(
        "zhu2022-fig6", name, lambda d: checks.positive(name, "", differences=d, sample=""), [0.5, 0.6, 0.5], [-0.5] * 3
    )


for size in ("32x4", "64x8"):
    for schedule in ("halving", "constant"):
        for split in ("training", "test"):
            control("zhu2022-fig6", f"{schedule}-{split}-{size}")(lambda n=f"{schedule}-{split}-{size}": settled(n))
    for what in ("loss-falls", "stability-grows", "stability-settles"):
        control("zhu2022-fig6", f"{what}-{size}")(lambda n=f"{what}-{size}": grown(n))


def kinds(fcn, cnn):
    """Three seeds of both kinds whose logarithm grows by so much for each layer."""
    rows = [
        (kind, L, m, 100, s, slope * L + 0.01 * s * L * (kind == "cnn"))
        for kind, slope in (("fcn", fcn), ("cnn", cnn))
        for L in (4, 6, 8)
        for m in (8, 16)
        for s in range(3)
    ]
    return pd.DataFrame(rows, columns=["scheme", "L", "m", "n", "seed", "log"])


def depth_of_kinds(name):
    """Depth matters more in one kind, then in the other."""

    def make(slopes):
        found = architectures.ratios(kinds(*slopes), ["fcn", "cnn"])
        return checks.positive(name, "", differences=found["cnn"] - found["fcn"], sample="")

    return other_way("zhu2022-fig7", name, make, (0.1, 0.3), (0.3, 0.1))


def depth_of_one(claim_id, name):
    """A kind that gets less stable with depth, and one that gets more so."""

    def make(slope):
        rows = kinds(0.0, slope)
        by_seed = width_and_depth.slopes(rows[rows.scheme == "cnn"], "L")
        return checks.positive(name, "", differences=by_seed.to_numpy(), sample="")

    return other_way(claim_id, name, make, 0.2, -0.2)


for name_ in ("depth-matters-more", "equal-loss", "start", "here"):
    control("zhu2022-fig7", name_)(lambda n=name_: depth_of_kinds(n))
for claim_, names in {
    "zhu2022-fig7": ["cnn-rises", "fcn-rises"],
    "zhu2022-fig8": ["deeper", "deeper-equal-loss", "deeper-here"],
}.items():
    for name_ in names:
        control(claim_, name_)(lambda c=claim_, n=name_: depth_of_one(c, n))


@control("zhu2022-fig7", "homogeneous")
def a_residual_network():
    """Batch norm shifts, so the Jacobian times the input is not the output."""
    network = registry.build("resnet", in_shape=DIGITS.shape, classes=10, seed=0, depth=8, width=2).double().eval()
    products = architectures.jacobians(network, X) @ X.flatten(1)[:, :, None]
    return checks.equal(
        "homogeneous",
        "",
        measured=products.flatten(),
        expected=network(X).flatten().detach(),
        atol=1e-10,
        sample="",
        role="method",
    )


@control("zhu2022-fig7", "bound")
def outputs_with_a_constant():
    """A constant added to every output makes them larger and the stability no larger."""
    cell = architectures.Cell("cnn", 3, 4, 100, 1, (0,))
    table = architectures.measured(cell, data.load("digits"), DIGITS)
    return checks.at_most(
        "bound",
        "",
        measured=(table.output + 10) * early_training.direction_mean(64),
        bound=table.stability,
        sample="",
        role="method",
    )


@control("zhu2022-fig8", "width-turns")
def a_curve_that_only_rises():
    def make(levels):
        g = np.random.default_rng(0)
        values = [level + 0.01 * g.standard_normal(5) for level in levels]
        outcome = phase_transition.shape(values, draws=200, generator=np.random.default_rng(1)).outcome
        held = [outcome == phase_transition.UP_DOWN]
        return checks.every("width-turns", "", cases=held, sample="", role="observed")

    return other_way("zhu2022-fig8", "width-turns", make, [0.0, 0.3, 0.5, 0.2], [0.0, 0.3, 0.5, 0.6])


@control("zhu2022-tab4", "batch-norm-divides")
def a_constant_under_the_root():
    """With a constant under the root, as in practice, batch norm depends on the scale a little."""
    z, c = sp.symbols("z1:4", real=True), sp.symbols("c", positive=True)

    def first(values):
        mean = sum(values) / 3
        return (values[0] - mean) / sp.sqrt(sum((u - mean) ** 2 for u in values) / 3 + 1)

    return checks.identity("batch-norm-divides", "", left=first([c * u for u in z]), right=first(list(z)))


@control("zhu2022-tab4", "step-scales")
def the_rate_times_c():
    c, w, g, v, eta, mu = sp.symbols("c w g v eta mu", positive=True)
    return checks.identity(
        "step-scales", "", left=c * w - c * eta * (mu * v / c + g / c), right=c * (w - eta * (mu * v + g))
    )


def path(kind, c, rate):
    """Outputs along a training, from convolutions times c."""
    sizes = {"depth": 8, "width": 2} if kind == "resnet" else {"L": 3, "m": 4}
    network = registry.build(kind, in_shape=DIGITS.shape, classes=10, seed=0, **sizes)
    network = behind_batch_norm.scaled(behind_batch_norm.exact(network), c)
    return behind_batch_norm.descend(network, X, Y, (rate, 0.05), steps=5)


@control("zhu2022-tab4", "same-function")
def a_network_without_batch_norm():
    pair = [path("cnn", c, 0.05)[0] for c in (0.1, 1.0)]
    return checks.equal("same-function", "", measured=pair[0], expected=pair[1], atol=1e-9, sample="", role="observed")


@control("zhu2022-tab4", "same-trajectory")
def the_same_rate_from_both():
    pair = [path("resnet", c, 0.05) for c in (0.1, 1.0)]
    return checks.equal(
        "same-trajectory", "", measured=pair[0], expected=pair[1], atol=1e-8, sample="", role="observed"
    )


@control("zhu2022-tab4", "across")
def a_gradient_along_its_weights():
    network = behind_batch_norm.exact(registry.build("cnn", in_shape=DIGITS.shape, classes=10, seed=0, L=3, m=4))
    cosines = behind_batch_norm.along_weights(network, X, Y)
    return checks.equal("across", "", measured=cosines, expected=0, atol=1e-9, sample="", role="observed")


def alike(name):
    """Differences well within two points, and of about three."""
    sign = 1 if "worse" in name else -1

    def make(differences):
        return checks.positive(name, "", differences=2 + sign * np.array(differences), sample="")

    return other_way("zhu2022-tab4", name, make, [0.1, -0.2, 0.1], [-3.0 * sign, -3.2 * sign, -2.9 * sign])


for factor in ("0.1", "0.01"):
    for side in ("worse", "better"):
        control("zhu2022-tab4", f"not-{side}-{factor}")(lambda n=f"not-{side}-{factor}": alike(n))


@control("zhu2022-tab4", "moves-further")
def a_start_that_moves_alike():
    def make(movement):
        held = np.array(movement[1:]) > 3 * movement[0]
        return checks.every("moves-further", "", cases=held, sample="", role="observed")

    return other_way("zhu2022-tab4", "moves-further", make, [1.5, 15.0, 150.0], [1.5, 1.6, 150.0])
