"""Negative controls of notebooks/finlay2018/defences_side_by_side.

Comparisons of trained networks are made again, by the functions of the page, from studies in which every effect is
there in every seed or is turned around; which of the two is the control depends on what the page says.
"""

import numpy as np
from defence_studies import made
from negative_controls import control
from scipy.stats import spearmanr

from advsmooth import checks, claims, data, pages
from advsmooth.analysis import adversarial_statistics, defences
from advsmooth.attacks import evaluation
from advsmooth.attacks.gradient import PGD
from advsmooth.models import registry

TAB1, TAB2, TAB3 = (f"finlay2018-tab{k}" for k in (1, 2, 3))
FIG2, FIG3, ACCURACY = "finlay2018-fig2", "finlay2018-fig3", "finlay2018-obs-accuracy"
PAGE = pages.Page("finlay2018/defences_side_by_side")
MADE = [(v["claim"], c) for v in PAGE.verdicts() for c in v["checks"]] if PAGE.notebook.exists() else []
TWO, THREE = (
    np.array([row for key, row in claims.claim(claim).published.items() if key != "columns"]) for claim in (TAB2, TAB3)
)
FALLING = {"little-cost-tv": -30.0, "little-cost-mild": -30.0, "gain-tv": -1.0}
"""Comparisons that are positive where the clean error does not grow."""


def held(name):
    """Whether the page says that a check held."""
    return any(check["name"] == name and check["outcome"] == "held" for _, check in MADE)


def turned_around(name):
    """The effect is there in every seed if the page does not find it, and reversed if it does."""
    effect = FALLING.get(name, 1.0) * (-1 if held(name) else 1)
    base = next(key for key in sorted(defences.comparisons(made()), key=len, reverse=True) if name.startswith(key))
    return checks.positive(name, "", differences=defences.comparisons(made(effect))[base], sample="")


SHORT = defences.SHORT.values()
control(TAB2, *(f"larger-median-{short}" for short in SHORT))(turned_around)
control(TAB2, *(f"any-{short}" for short in SHORT))(turned_around)
control(TAB2, *(f"survives-{norm}-{short}" for norm in ("l2", "linf") for short in SHORT))(turned_around)
control(TAB2, "order-median", "order-calls")(turned_around)
control(TAB2, "closer-by-margin")(lambda: turned_around("closer-by-margin"))
control(TAB3, *(f"larger-median-{short}" for short in ("fgsm", "tv", "mild")))(turned_around)
control(TAB3, "largest-median-fgsm", "largest-median-tv")(turned_around)
control(TAB3, "jacobian-halved")(lambda: turned_around("jacobian-halved"))
control(TAB1, "falls-strong", "falls-strongest")(turned_around)
control(FIG2, "larger-median-mild", "strong-over-mild")(turned_around)
control(FIG2, "cost-mild", "cost-strong")(turned_around)
control(FIG3, "pgd-undefended", "pgd-strong", "ifgsm-undefended", "ifgsm-strong")(turned_around)
control(ACCURACY, *FALLING)(turned_around)
control(ACCURACY, "cost-strongest")(lambda: turned_around("cost-strongest"))
if any(check["name"] == "cost-large" and check["outcome"] != "not run" for _, check in MADE):
    control(ACCURACY, "cost-large")(lambda: turned_around("cost-large"))


def _register_other_sources():
    """Checks of the other sources exist only where there are records; their names end in data set and network."""
    known = {f"larger-median-{short}" for short in SHORT}
    for claim, check in MADE:
        name = check["name"]
        if claim == TAB2 and name.startswith("larger-median-") and name not in known:
            control(TAB2, name)(lambda name=name: turned_around(name))


_register_other_sources()


@control(TAB2, "sees-all-l2", "sees-all-linf")
def a_judge_that_finds_more(name):
    gap = defences.blindness(made(blind=0.1 if held(name) else 0.02))
    return checks.at_most(name, "", measured=gap[name.removeprefix("sees-all-")], bound=0.03, sample="")


@control(TAB2, "calls")
def a_walk_in_steps_of_another_length():
    digits = data.load("digits", "test", n=8)
    model = registry.build("fcn", in_shape=digits.shape, classes=10, seed=0)
    y = model(digits.x).argmax(1)  # all right, so that all are attacked
    walked = adversarial_statistics.walk(model, digits.x, y, step=0.02, steps=300)
    attack = PGD(eps=5.0, norm="l2", steps=300, step_size=0.2, random_start=False, early_stop=True)
    counted = evaluation.model_calls(model, digits.x, y, attack)
    return checks.equal("calls", "", measured=walked.calls, expected=counted.calls, atol=0, sample="")


def mended():
    """Table 2 with one power of ten less in the median of its last row."""
    table = TWO.copy()
    table[-1, 4] /= 10
    return table


def wrong_side(table):
    return [
        *defences.medians_against_errors(table[:, 4], table[:, 5], 8 / 255),
        *defences.medians_against_errors(THREE[:, 4], THREE[:, 5], 1 / 255),
    ]


@control(TAB2, "misprint")
def the_row_mended():
    return checks.at_most("misprint", "", measured=wrong_side(mended()), bound=0.0, sample="")


@control(TAB2, "misprint-mended")
def another_row_misprinted():
    table = mended()
    table[0, 4] *= 100
    return checks.at_most("misprint-mended", "", measured=wrong_side(table), bound=0.0, sample="")


@control(TAB2, "ratio-of-medians")
def the_row_as_printed():
    both = np.vstack([TWO, THREE])
    ratio = both[:, 4] / both[:, 1]
    return checks.equal("ratio-of-medians", "", measured=ratio, expected=float(np.median(ratio)), atol=0.002, sample="")


@control(TAB3, "header")
def errors_that_fit_the_text():
    """The same rule on errors that grow with the radius over the median if the radius is 8/255 in both tables."""
    medians = np.concatenate([mended()[:, 4], THREE[:, 4]])
    errors = 1 / medians

    def order(r):
        radii = np.array([8 / 255] * len(TWO) + [r / 255] * len(THREE))
        return float(spearmanr(radii / medians, errors).statistic)

    return checks.at_most("header", "", measured=order(8), bound=order(1), sample="")


@control(TAB1, "tables-agree")
def a_digit_exchanged():
    rounded = np.round(TWO[3:, 0], 1)
    rounded[-1] += 0.3
    return checks.equal("tables-agree", "", measured=rounded, expected=TWO[3:, 0], atol=0.1 / 2 + 1e-9, sample="")


@control(FIG3, "curve-rises")
def an_error_that_falls_once():
    return checks.at_most("curve-rises", "", measured=-np.diff([5.0, 10.0, 9.0, 50.0]), bound=0.0, sample="")
