"""Negative controls of notebooks/pang2022/loss_contours.

Directions may turn when a record is renewed; their controls are as in :mod:`controls.pang2022_gradient_variance`.
"""

import functools

import negative_controls
import numpy as np
import pandas as pd
import torch
from negative_controls import control

from advsmooth import checks, data, settings
from advsmooth.analysis import curvature, landscape, roughness
from advsmooth.analysis import searched_study as study
from advsmooth.analysis.empirical import mean_loss
from advsmooth.analysis.parameter_space import flat
from advsmooth.training import searched

CONTOUR, TRAINABILITY = "pang2022-def-loss-contour", "pang2022-obs-trainability"
DIGITS = data.load("digits", "train").take(8, seed=0).to("cpu", torch.float64)


other_way = functools.partial(negative_controls.other_way, "pang2022/loss_contours")


def judged(name, found):
    return checks.above_zero(name, "", estimate=found.value, interval=(found.low, found.high), sample="")


def kinds(name, gap):
    """Hand-made networks that are rougher by ``gap``."""
    values = {
        (f"{kind} {k}", kind, seed): gap * (kind == "manual") + 0.1 * k + 0.01 * seed
        for kind in ("searched", "manual")
        for k in range(3)
        for seed in range(3)
    }
    return judged(name, study.difference(pd.Series(values).rename_axis(study.NETWORK)))


@control(
    CONTOUR, "weights", "inputs", "weights-scaled", "filters", "top", "weights-start", "inputs-start", "here-weights"
)
def roughness_of_the_other_order(name):
    return other_way(name, lambda gap: kinds(name, gap), 2.0, -2.0)


@control(TRAINABILITY, "searched-faster", "searched-smoother")
def losses_of_the_other_order(name):
    return other_way(name, lambda gap: kinds(name, gap), 2.0, -2.0)


@control(TRAINABILITY, "top-rank", "change-rank", "top-scaled-rank", "change-rank-without-lenet", "here-top-rank")
def roughness_that_helps_or_hinders(name):
    def make(sign):
        level = np.repeat(np.arange(8.0), 2)
        index = pd.MultiIndex.from_product([range(8), ["manual"], range(2)], names=study.NETWORK)
        return judged(
            name, study.rank_correlation(pd.DataFrame({"x": level, "y": sign * level}, index=index), "x", "y")
        )

    return other_way(name, make, 1, -1)


def lenet():
    return searched.run("LeNet", DIGITS, epochs=1, parameters=15_000, seed=0).fresh().double().eval()


@control(CONTOUR, "centre")
def a_contour_that_is_not_put_back():
    """Its centre is one grid point away from the network."""
    network = lenet()
    table = roughness.contours(network, DIGITS.x, DIGITS.y, 3, seed=0)["weights"]
    beside = table.loc[(table["a1"] == landscape.PARAMETER_REACH) & (table["a2"] == 0), "loss"].item()
    return checks.equal(
        "centre", "", measured=beside, expected=mean_loss(network, DIGITS.x, DIGITS.y), atol=1e-12, sample=""
    )


def form_and_difference(spacing):
    network = lenet()
    block = curvature.model_hessian(network, DIGITS.x, DIGITS.y, only=landscape.first_convolution(network))
    (d,) = roughness.sign_directions(network, settings.generator(0), 1)
    (found,) = roughness.along(network, DIGITS.x, DIGITS.y, d, [spacing], mean_loss(network, DIGITS.x, DIGITS.y))
    return torch.dot(flat(d), block @ flat(d)).item(), found


@control(CONTOUR, "second-differences")
def a_coarse_spacing():
    form, found = form_and_difference(0.5)
    return checks.equal("second-differences", "", measured=found / form, expected=1.0, atol=0.02, sample="")


@control(CONTOUR, "hutchinson")
def directions_of_unit_length():
    """Divided by their length, they average to the trace over the number of entries."""
    network = lenet()
    block = curvature.model_hessian(network, DIGITS.x, DIGITS.y, only=landscape.first_convolution(network))
    dense = torch.stack([block @ e for e in torch.eye(block.size, dtype=torch.float64)])
    drawn = torch.stack([flat(d) for d in roughness.sign_directions(network, settings.generator(0), 2000)])
    forms = (drawn @ dense * drawn).sum(1) / block.size
    error = forms.std().item() / 2000**0.5
    return checks.agrees(
        "hutchinson",
        "",
        estimate=forms.mean().item(),
        standard_error=error,
        exact=dense.trace().item(),
        sample="",
    )


@control(CONTOUR, "rescaled-function")
def a_network_without_batch_norm():
    network, other = lenet(), lenet()
    with torch.no_grad():
        dict(other.named_parameters())[landscape.first_convolution(other)[0]].mul_(0.1)
        logits = [model(DIGITS.x) for model in (network, other)]
    return checks.equal("rescaled-function", "", measured=logits[1], expected=logits[0], atol=1e-9, sample="")


@control(CONTOUR, "rescaled-curvature")
def curvature_over_the_factor_itself():
    factor, found = 0.1, []
    for c in (1.0, factor):
        cell = searched.run("PC-DARTS", DIGITS, epochs=1, parameters=15_000, seed=0).fresh().double().eval()
        roughness.rescale(*roughness.normalised_pairs(cell)[0], c)
        (d,) = roughness.sign_directions(cell, settings.generator(0), 1)
        found += roughness.along(cell, DIGITS.x, DIGITS.y, d, [1e-4 * c], mean_loss(cell, DIGITS.x, DIGITS.y))
    return checks.equal(
        "rescaled-curvature", "", measured=found[1] * factor / found[0], expected=1.0, atol=1e-3, sample=""
    )
