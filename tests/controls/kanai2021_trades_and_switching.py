"""Negative controls of notebooks/kanai2021/trades_and_switching.

Directions over three seeds may come out either way when a record is renewed. Their control takes the input on which
the stored page says the opposite: networks that differ in nothing but chance, or a clear gain in every seed.
"""

import numpy as np
import torch
from negative_controls import control

from advsmooth import checks, data, pages
from advsmooth.analysis import step_smoothness
from advsmooth.models import registry
from advsmooth.training import published
from advsmooth.training.outer_step import outer_step

TAB2, SWITCH = "kanai2021-tab2", "kanai2021-obs-switch"
STORED = {
    (verdict["claim"], check["name"]): check["outcome"]
    for page in pages.every()
    if page.key == "kanai2021/trades_and_switching" and page.notebook.exists()
    for verdict in page.verdicts()
    for check in verdict["checks"]
}


def opposite(claim, name):
    clear, chance = [1.1, 0.9, 1.0], [1.1, -0.9, 0.2]
    return checks.positive(name, "", differences=chance if STORED.get((claim, name)) == "held" else clear, sample="")


@control(TAB2, "ensgd-over-sgd", "with-awp", "tuned-best", "here-ensgd", "here-awp")
def other_order_of_methods(name):
    return opposite(TAB2, name)


@control(
    SWITCH,
    "as-published",
    "switch-alone",
    "alpha-alone",
    "switch-at-half",
    "switch-at-quarter",
    "here-switch-alone",
    "here-as-published",
    "late-travel",
    "early-rough",
    "rougher-place",
)
def other_order_of_phases(name):
    return opposite(SWITCH, name)


@control(TAB2, "published-ensgd", "published-awp-ensgd", "published-tuned")
def a_gap_that_three_runs_can_see(name):
    """The p value of the gain of AWP itself, several pooled deviations."""
    return checks.at_most(name, "", measured=0.001, bound=0.05, sample="")


@control(TAB2, "published-awp")
def a_gap_of_two_deviations(name="published-awp"):
    return checks.at_most(name, "", measured=0.09, bound=0.05, sample="")


@control(TAB2, "published-within-one")
def a_gap_of_more_than_one():
    return checks.at_most("published-within-one", "", measured=2.24, bound=1.0, sample="")


@control(TAB2, "average-only")
def hardly_any_noise():
    """The page finds more than a twentieth; noise a millionth of that of sampling does not get there."""
    images = data.load("digits").take(64, seed=0)
    model = registry.build("lenet", in_shape=images.shape, classes=10, seed=0, w=1)
    objective = published.kanai_trades(0.1, steps=1, step_size=0.1)
    options = {"lr": 1.0, "variant": "reference", "langevin": 3, "batch": 32}
    quiet, free = (outer_step(model, objective, images.x, images.y, noise=n, **options) for n in (1e-7, 0.0))
    share = float((quiet - free).norm() / quiet.norm())
    return checks.at_most("average-only", "", measured=share, bound=0.05, sample="")


@control(SWITCH, "same-until-switch")
def one_step_after_the_switch():
    model = torch.nn.Linear(2, 2)
    state = model.state_dict()
    later = {name: value + 1e-6 for name, value in state.items()}
    apart = step_smoothness.distance(model, state, later)
    return checks.equal("same-until-switch", "", measured=apart, expected=0.0, atol=1e-12, sample="")


def change_at(start, objective):
    """The changes of a loss of one number, the bias of a layer, over a tenth, a hundredth and a thousandth."""
    model, nothing = torch.nn.Linear(1, 1).double(), torch.zeros(1, 1)
    torch.nn.init.constant_(model.bias, start)
    return step_smoothness.changes(model, objective, nothing, nothing, [1e-3, 1e-2, 1e-1])


class Runaway:
    """``-exp(t)``: smooth, and its gradient changes by more than in proportion, ``exp(h exp(t)) - 1``."""

    def inner(self, model, x, y, generator=None):  # noqa: ARG002 - one signature
        return x

    def outer(self, model, x, moved, y):  # noqa: ARG002
        return type("Outcome", (), {"loss": -model.bias.exp().sum()})


@control(SWITCH, "less-than-proportional")
def smooth_loss():
    tables = [change_at(start, Runaway()) for start in (0.0, 0.5, 1.0)]
    found = [1 - step_smoothness.exponent(table["rate"], table["anew"]) for table in tables]
    return checks.positive("less-than-proportional", "", differences=found, sample="")


class Kink:
    """``max_s s t + t^2 / 2`` over signs ``s`` found for ``t``: at 0 the gradient jumps by 2 however short the step."""

    def inner(self, model, x, y, generator=None):  # noqa: ARG002
        return model.bias.detach().sign()

    def outer(self, model, x, moved, y):  # noqa: ARG002
        return type("Outcome", (), {"loss": (moved * model.bias + model.bias.square() / 2).sum()})


class NoKink(Kink):
    """The same with one sign for all ``t``."""

    def inner(self, model, x, y, generator=None):  # noqa: ARG002
        return torch.ones_like(model.bias.detach())


@control(SWITCH, "attack-jumps", "adversary-adds")
def with_and_without_jumps(name):
    objective = NoKink() if STORED.get((SWITCH, name)) == "held" else Kink()
    found = []
    for start in (1e-6, 2e-6, 3e-6):
        table = change_at(start, objective)
        slopes = {kind: step_smoothness.exponent(table["rate"], table[kind]) for kind in ("anew", "frozen")}
        more = np.log10(table["anew"].iloc[-1] / table["frozen"].iloc[-1])
        found.append(more if name == "adversary-adds" else slopes["frozen"] - slopes["anew"])
    return checks.positive(name, "", differences=found, sample="")
