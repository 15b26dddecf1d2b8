"""Negative controls of notebooks/finlay2018/detecting_by_gradient."""

import numpy as np
import pandas as pd
import sympy
import z3
from negative_controls import control

from advsmooth import checks
from advsmooth.analysis import attack_detection as study

DETECTION, FIGURE, EVASIVE, TABLE = (
    f"finlay2018-{name}" for name in ("alg-detection", "fig4", "alg-evasive-cw", "tab6")
)


def rows(source, scores, distance=1.0):
    scores = np.asarray(scores, dtype=float)
    same = dict.fromkeys(study.SCORES, scores)
    return pd.DataFrame({"source": source, "image": range(len(scores)), "distance": distance, "wrong": 1, **same})


def network(seed, attacked, **other):
    """Normal scores of clean images, and those of attacked ones moved by so much."""
    g = np.random.default_rng(seed)
    parts = [rows("held out", g.normal(size=200)), rows("clean", g.normal(size=200))]
    parts += [rows(source, shift + g.normal(size=60)) for source, shift in (attacked | other).items()]
    return pd.concat(parts, ignore_index=True)


def blind(seed):
    """A detector that sees nothing: attacked images score like clean ones."""
    return network(seed, dict.fromkeys(("PGD", "Boundary", "CW", "DeepFool", "PGD at 4x, 1", "evasive 1", "seen"), 0.0))


BLIND = [blind(seed) for seed in range(5)]


@control(DETECTION, "false-alarms")
def a_threshold_from_images_that_the_network_has_fitted():
    g = np.random.default_rng(0)
    tables = [
        pd.concat([rows("held out", g.normal(size=200) - 1), rows("clean", g.normal(size=200))]) for _ in range(3)
    ]
    p = [study.false_alarm_p(table) for table in tables]
    return checks.same_law("false-alarms", "", p_values=p, sample="")


@control(DETECTION, "training-images")
def training_images_that_were_not_fitted():
    more = [study.detected(r, "clean", c=study.threshold(r, source="seen")) - study.detected(r, "clean") for r in BLIND]
    return checks.positive("training-images", "", differences=np.subtract(more, np.mean(more)), sample="")


@control(DETECTION, "past-the-boundary")
def an_attack_that_stays_at_the_boundary():
    """Where far attacks score high, as minimal ones do, half less the area is negative."""
    areas = [study.area(network(seed, {"PGD at 4x, 1": 2.0}), "PGD at 4x, 1").value for seed in range(3)]
    return checks.positive("past-the-boundary", "", differences=[0.5 - a for a in areas], sample="")


@control(DETECTION, "gradient-adds")
def a_confidence_that_says_nothing():
    """With doubt drawn at random the norm is clearly better."""
    gaps = []
    for seed in range(3):
        table, g = network(seed, {"PGD": 2.0}), np.random.default_rng(seed)
        table["doubt"] = g.random(len(table))
        gaps.append(study.area(table, "PGD").value - study.area(table, "PGD", "doubt").value)
    return checks.positive("gradient-adds", "", differences=gaps, sample="", role="observed")


@control(DETECTION, "logits-tell-less")
def two_readings_that_are_the_same():
    gaps = [study.area(r, "PGD").value - study.area(r, "PGD", "logits").value for r in BLIND]
    return checks.positive("logits-tell-less", "", differences=gaps, sample="")


@control(DETECTION, "regularised-better")
def a_model_on_which_it_is_better():
    gaps = [study.area(network(s, {"PGD": 3.0}), "PGD").value - study.area(BLIND[s], "PGD").value for s in range(3)]
    return checks.positive("regularised-better", "", differences=gaps, sample="")


@control(DETECTION, "strong-worse")
def a_strong_model_that_is_as_good():
    gaps = [study.area(r, "DeepFool").value - study.area(r, "DeepFool").value for r in BLIND]
    return checks.positive("strong-worse", "", differences=gaps, sample="")


T = sympy.symbols("t", real=True)
Z = [sympy.Function(f"z{k}")(T) for k in range(3)]
P0 = sympy.exp(Z[0]) / sum(sympy.exp(v) for v in Z)


@control(FIGURE, "softmax-factor")
def the_logit_for_the_margin():
    wrong = P0 * (1 - P0) * sympy.diff(Z[0], T)
    return checks.identity("softmax-factor", "", left=sympy.diff(P0, T), right=wrong)


@control(FIGURE, "factor-bounds")
def a_quarter_at_most_a_fifth():
    p = z3.Real("p")
    return checks.implies("factor-bounds", "", assumptions=[p > 0, p < 1], conclusion=5 * p * (1 - p) <= 1)


@control(FIGURE, "loss-row")
def the_factor_forgotten():
    return checks.identity("loss-row", "", left=sympy.diff(P0, T), right=sympy.diff(sympy.log(P0), T))


@control(FIGURE, "area-pgd", "area-boundary")
def a_blind_detector(name):
    kind = {"area-pgd": "PGD", "area-boundary": "Boundary"}[name]
    return checks.positive(name, "", differences=[study.area(r, kind).value - 0.8 for r in BLIND], sample="")


@control(FIGURE, "evasive-lower")
def an_evasive_attack_that_does_not_evade():
    gaps = [study.area(r, "PGD").value - study.area(r, "evasive 1").value for r in BLIND]
    return checks.positive("evasive-lower", "", differences=np.subtract(gaps, np.mean(gaps)), sample="")


@control(FIGURE, "evasive-stands-out")
def an_evasive_attack_that_goes_on():
    tables = [network(seed, {"evasive 1": -1.0}) for seed in range(3)]
    gaps = [study.area(table, "evasive 1").value - 0.5 for table in tables]
    return checks.positive("evasive-stands-out", "", differences=gaps, sample="")


def caught(name):
    """Attacked images far above the threshold: the attack does not evade."""
    tables = [network(seed, {"evasive 1": 4.0}) for seed in range(3)]
    return checks.positive(name, "", differences=[0.5 - study.detected(t, "evasive 1") for t in tables], sample="")


control(EVASIVE, "evades")(lambda: caught("evades"))
control(TABLE, "evasive-mostly-escapes")(lambda: caught("evasive-mostly-escapes"))


def medians(seed, factor):
    """CW, an evasive attack a factor further, and a joint one in between, all undetected."""
    reach = 1 + 0.05 * np.random.default_rng(seed).random(30)
    parts = [rows("held out", np.arange(40.0)), rows("CW", [50.0] * 30, reach)]
    parts += [rows("evasive 1", [0.0] * 30, factor * reach), rows("joint 1", [0.0] * 30, np.sqrt(factor) * reach)]
    return pd.concat(parts, ignore_index=True)


@control(EVASIVE, "costs-distance")
def an_evasive_attack_that_comes_closer():
    tables = [medians(seed, 0.8) for seed in range(3)]
    ratios = [study.median_distance(t, "evasive 1") / study.median_distance(t, "CW") for t in tables]
    return checks.positive("costs-distance", "", differences=np.log(ratios), sample="")


@control(EVASIVE, "further")
def an_evasive_attack_twice_as_far():
    """The check of the page is not shown to hold; at more than twice the distance it is."""
    tables = [medians(seed, 2 + 0.1 * seed) for seed in range(3)]
    ratios = [study.median_distance(t, "evasive 1") / study.median_distance(t, "CW") for t in tables]
    return checks.positive("further", "", differences=np.log(np.array(ratios) / 1.5), sample="")


@control(EVASIVE, "joint-cheaper")
def a_joint_attack_at_half_the_distance():
    """The page's check is not shown to hold; where the joint attack comes twice as close, it is."""
    tables = [medians(seed, 4.0) for seed in range(3)]
    saved = [np.log(study.median_distance(t, "evasive 1") / np.median(study.closest_undetected(t))) for t in tables]
    return checks.positive("joint-cheaper", "", differences=saved, sample="")


@control(EVASIVE, "found-for-most")
def a_detector_that_costs_three_times_the_distance():
    shares = [study.share_within(medians(seed, 9.0), 1.5) for seed in range(3)]
    return checks.positive("found-for-most", "", differences=[s - 0.5 for s in shares], sample="")


@control(TABLE, "pgd-detected")
def a_detector_that_misses_half():
    tables = [network(seed, {"PGD": 0.1 * seed}) for seed in range(3)]
    return checks.positive(
        "pgd-detected", "", differences=[study.detected(t, "PGD") - 0.8 for t in tables], sample="", role="trend"
    )


@control(TABLE, "pgd-not-above")
def only_pgd_is_seen():
    tables = [network(seed, {"PGD": 4.0, "CW": 0.0, "Boundary": 0.0}) for seed in range(3)]
    gaps = [study.detected(t, "PGD") - (study.detected(t, "CW") + study.detected(t, "Boundary")) / 2 for t in tables]
    low, _ = checks.mean_interval(gaps)
    return checks.at_most("pgd-not-above", "", measured=low, bound=0.0, sample="", role="trend")


@control(TABLE, "plain-mostly-detected")
def one_plain_attack_that_is_not_seen():
    tables = [network(seed, {"PGD": 4.0, "CW": 4.0, "Boundary": 0.0}) for seed in range(3)]
    shares = [min(study.detected(t, k) for k in ("PGD", "CW", "Boundary")) - 0.5 for t in tables]
    return checks.positive("plain-mostly-detected", "", differences=shares, sample="")


@control(TABLE, "table-2-logits")
def columns_of_a_linear_softmax_model():
    """Loss and logit gradients of one and the same model obey the bound, in mean and maximum."""
    g = np.random.default_rng(0)
    w, x = g.normal(size=(4, 6)), g.normal(size=(50, 6))
    y = g.integers(4, size=50)
    p = np.exp(x @ w.T) / np.exp(x @ w.T).sum(1, keepdims=True)
    loss = np.linalg.norm((p - np.eye(4)[y]) @ w, axis=1)
    model = np.full(50, np.linalg.norm(w, axis=1).max())
    return checks.at_most(
        "table-2-logits",
        "",
        measured=[loss.mean(), loss.max()],
        bound=[2 * model.mean(), 2 * model.max()],
        sample="",
    )


@control(TABLE, "markov")
def one_sample_for_both_numbers():
    """The share above c and the mean of the same scores."""
    scores = np.random.default_rng(0).exponential(size=1000)
    measured = [(scores >= c).mean() for c in (1.0, 2.0, 3.0)]
    return checks.at_most("markov", "", measured=measured, bound=scores.mean() / np.array([1.0, 2.0, 3.0]), sample="")
