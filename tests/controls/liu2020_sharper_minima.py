"""Negative controls of notebooks/liu2020/sharper_minima."""

import numpy as np
import pandas as pd
import torch
import z3
from negative_controls import control
from torch import nn

from advsmooth import checks, claims, data, records, settings
from advsmooth.analysis import curvature, perturbations, sharpness
from advsmooth.attacks.gradient import PGD
from advsmooth.models import registry

FIG2, FIG9, FIG11, FIG12 = "liu2020-fig2", "liu2020-fig9", "liu2020-fig11", "liu2020-fig12"
SCALE = "liu2020-obs-loss-scale"


def study():
    return records.newest("liu2020/sharper_minima", "cpu").table


def table():
    """The recorded networks that learned."""
    return sharpness.kept(sharpness.networks(study()))


def backwards():
    """The same networks with their budgets in the opposite order."""
    found = table()
    return found.assign(eps=found["eps"].max() - found["eps"])


def ends(found):
    return (found[found["eps"] == e].set_index("seed") for e in (found["eps"].min(), found["eps"].max()))


def network(seed=0):
    """Smooth: no kinks."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Softplus(), nn.Linear(8, 10)).double()
    digits = data.load("digits").take(100, seed=seed)
    return model, digits.x.double(), digits.y


# ---------------------------------------------------------------- spectra


@control(FIG9, "top", "sum", "top-normalised", "sum-normalised")
@control(FIG2, "top", "sum", "top-normalised", "sum-normalised")
def budgets_in_the_opposite_order(name):
    return checks.positive(name, "", differences=sharpness.slopes(backwards(), name.replace("-", "_")), sample="")


@control(FIG2, "sum-here")
def the_sum_with_budgets_in_the_opposite_order():
    return checks.positive("sum-here", "", differences=sharpness.slopes(backwards(), "sum"), sample="")


@control(FIG2, "top-here")
def the_recorded_networks_in_place_of_this_run():
    return checks.positive("top-here", "", differences=sharpness.slopes(table(), "top"), sample="")


@control(FIG9, "equal-loss")
@control(FIG2, "equal-loss")
def against_the_end_of_training():
    first, last = ends(table())
    return checks.positive("equal-loss", "", differences=np.log10(last["top"] / first["top"]), sample="")


@control(FIG2, "equal-loss-here")
def on_the_recorded_networks():
    first, last = ends(table())
    return checks.positive("equal-loss-here", "", differences=np.log10(last["top"] / first["equal_top"]), sample="")


@control(FIG9, "attacked")
@control(FIG2, "attacked")
def the_adversarial_loss_in_place_of_the_frozen_hessian():
    found = table()
    slopes = sharpness.slopes(found[found["eps"] > 0], "second_anew_1")
    return checks.positive("attacked", "", differences=slopes, sample="")


@control(FIG9, "sensitivity")
@control(FIG2, "sensitivity")
def sensitivity_with_budgets_in_the_opposite_order():
    return checks.positive("sensitivity", "", differences=sharpness.slopes(backwards(), "sensitivity"), sample="")


@control(FIG9, "converged")
@control(FIG2, "converged")
@control(FIG12, "converged")
def too_few_products():
    model, x, y = network()
    hessian = curvature.model_hessian(model, x, y)
    pairs = curvature.top_eigenpairs(hessian, 20, generator=settings.generator(0), max_products=22)
    return checks.every("converged", "", cases=float(pairs.converged), sample="")


@control(FIG9, "rayleigh")
@control(FIG2, "rayleigh")
@control(FIG12, "rayleigh")
def along_another_eigenvector():
    model, x, y = network()
    found, pairs, _ = sharpness.spectrum(model, x, y, None, k=2)
    ratio = sharpness.rayleigh(model, x, y, pairs.vectors[1]) / found["eigenvalue"][0]
    return checks.equal("rayleigh", "", measured=ratio, expected=1.0, atol=2e-3, sample="")


# ---------------------------------------------------------------- surfaces


@control(FIG12, "frozen-below")
def frozen_examples_that_were_not_the_worst():
    """Below at the centre, too: then nothing follows."""
    still, new = z3.Reals("f1 f2 f3"), z3.Reals("l1 l2 l3")
    return checks.implies(
        "frozen-below",
        "",
        assumptions=[s <= n for s, n in zip(still, new, strict=True)],
        conclusion=still[0] + still[2] - 2 * still[1] <= new[0] + new[2] - 2 * new[1],
    )


@control(FIG12, "surface-1", "surface-2")
def surfaces_in_the_opposite_order(name):
    slopes = sharpness.slopes(backwards(), f"second_anew_{name[-1]}")
    return checks.positive(name, "", differences=slopes, sample="")


@control(FIG12, "agrees")
def a_smooth_network():
    model, x, y = network()
    found, pairs, moved = sharpness.spectrum(model, x, y, None, k=3)
    second = sharpness.second_differences(model, pairs, x, y, moved, None, spacing=0.05)["second_frozen"][0]
    return checks.at_most("agrees", "", measured=abs(second / found["eigenvalue"][0] - 1), bound=0.1, sample="")


@control(FIG12, "above")
def an_attack_without_a_budget():
    differences = []
    for seed in range(3):
        model, x, y = network(seed)
        attack = PGD(eps=0.0, steps=2)
        _, pairs, moved = sharpness.spectrum(model, x, y, attack, k=2)
        second = sharpness.second_differences(model, pairs, x, y, moved, attack, spacing=0.05)
        differences.append(second["second_anew"][0] - second["second_frozen"][0])
    return checks.positive("above", "", differences=differences, sample="")


# ---------------------------------------------------------------- training losses


@control(FIG11, "range")
def ranges_in_the_opposite_order():
    first, last = ends(backwards())
    return checks.positive("range", "", differences=first["curve_range"] - last["curve_range"], sample="")


@control(FIG11, "start")
def ends_in_place_of_starts():
    ratio = table().groupby("seed")["curve_last"].agg(lambda v: v.max() / v.min())
    return checks.at_most("start", "", measured=ratio, bound=1.1, sample="")


@control(FIG11, "end")
def two_seeds_of_one_budget():
    found = table()
    same = found[found["eps"] == found["eps"].unique()[1]]["curve_last"].to_numpy()
    return checks.at_most("end", "", measured=np.roll(same, 1) / same, bound=2.0, sample="")


# ---------------------------------------------------------------- random parameters


def scaled_up(seed, factor=6.0):
    model = registry.build("lenet", in_shape=(1, 8, 8), classes=10, seed=seed, w=2)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(factor)
    return model


def losses(attack):
    digits = data.load("digits").take(100, seed=0)
    return perturbations.loss_scale(scaled_up, digits.x, digits.y, seeds=range(3), attack=attack).mean().item()


def cell(eps, measured):
    ledger = claims.claim(SCALE)
    printed = dict(zip(ledger.published["MNIST"]["eps"], ledger.published["MNIST"]["loss"], strict=True))
    return checks.within(
        f"mnist-{eps:g}",
        "",
        measured=measured,
        published=printed[eps],
        tolerance=ledger.tolerance,
        sample="",
        scale="cpu",
    )


@control(SCALE, "mnist-0", "mnist-0.1", "mnist-0.2")
def larger_random_parameters(name):
    return cell(float(name[6:]), losses(None))


@control(SCALE, "mnist-0.3", "mnist-0.4")
def an_attack_cut_short(name):
    found = study()
    eps = float(name[6:])
    chosen = found[(found["quantity"] == "scale_short") & np.isclose(found["eps"], eps)]
    return cell(eps, chosen["value"].mean())


@control(SCALE, "levels-off")
def losses_in_proportion_to_the_budget():
    found = study()
    means = {q: found[found["quantity"] == q].groupby("eps")["value"].mean() for q in ("scale_full", "scale_still")}
    shares = [sharpness.share_at_first(m) for m in means.values()]
    straight = sharpness.share_at_first(pd.Series([2.3, 2.4, 2.5, 2.6, 2.7]))
    return checks.every("levels-off", "", cases=[shares[0] < straight, straight < shares[1]], sample="")


@control(SCALE, "bounded")
def larger_random_parameters_under_attack():
    excess = losses(PGD(eps=0.3, steps=5)) - losses(None)
    return checks.at_most("bounded", "", measured=excess, bound=0.2, sample="")


@control(SCALE, "rises")
def an_attack_that_does_not_follow_the_budget():
    same = [losses(PGD(eps=0.1, steps=2)) for _ in range(2)]
    return checks.every("rises", "", cases=np.diff(same) > 0, sample="")
