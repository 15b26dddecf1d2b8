"""Negative controls of notebooks/liu2020/gradients_that_do_not_vanish."""

import itertools

import numpy as np
import sympy as sp
import torch
import z3
from bare_checks import implies
from negative_controls import control

from advsmooth import checks, settings
from advsmooth.theory import large_gradients as lg

THM, REMARK, COR = "liu2020-thm2", "liu2020-thm2-remark", "liu2020-cor2"
P, gamma, b, L, D, alpha, r = z3.Reals("P gamma b L D alpha r")
A, U, S, drop, new, old, best, p, G2, xi, g, d = z3.Reals("A U S drop new old best p G2 xi g d")
SHARE = [P >= 0, P <= 1]
GRID = np.array([2.5, 3.0, 4.0])


def wave(start=0.0, noise=0.5, steps=1024, eps=1.0, kappa=4.0, x=0.0, runs=16):
    return lg.on_wave(
        lg.Wave(x, eps, kappa), start=start, noise=noise, steps=steps, runs=runs, generator=settings.generator(0)
    )


# ---------------------------------------------------------------- theorem 2: the printed argument


@control(THM, "argument")
def halved_once_more():
    """With the bracket of (26) on the left as it stands in (25), a bound for gamma - 1 does not follow."""
    return implies(
        "argument", [*SHARE, gamma > 2, (gamma**2 / 2 - 2 * gamma) * P - 2 * (1 - P) <= 0], P * (gamma - 1) ** 2 <= 4
    )


for claim_id in (THM, COR):

    @control(claim_id, "repair")
    def the_premise_of_24():
        """Under (24) itself, 1/(gamma - 1)^2 does not follow."""
        return implies(
            "repair", [*SHARE, gamma > 1, (gamma**2 / 2 - 2 * gamma) * P - 2 * (1 - P) <= 0], P * (gamma - 1) ** 2 <= 1
        )

    @control(claim_id, "saved")
    def a_share_above_one():
        """Below gamma = 2 the repaired bound says nothing, and only P <= 1 saves the printed one."""
        return implies("saved", [P >= 0, gamma > 1, P * (gamma - 1) ** 2 <= 1], P * (gamma**2 - 2 * gamma + 4) <= 4)


@control(THM, "step-26")
def step_26_from_the_repaired_premise():
    return implies(
        "step-26", [*SHARE, gamma > 2, (gamma**2 - 2 * gamma) * P - (1 - P) <= 0], P * (gamma**2 - 2 * gamma + 4) <= 4
    )


@control(THM, "laws-premise")
def laws_with_a_little_more_mass():
    values = []
    for c in (5.0, 6.0):
        norms, share = lg.worst_law(c, 2)
        share = share + np.array([-0.01, 0.01])
        values.append(share @ (norms**2 / 2 - 2 * norms))
    return checks.equal("laws-premise", "", measured=values, expected=0.0, atol=1e-12, sample="")


@control(THM, "laws-printed")
def laws_of_the_repaired_premise():
    exceeds = [share[norms >= c].sum() for c, (norms, share) in ((c, lg.worst_law(c, 1)) for c in GRID)]
    return checks.at_most("laws-printed", "", measured=exceeds, bound=lg.printed_bound(GRID), sample="")


@control(THM, "linear-programme")
def centres_exchanged():
    return checks.equal(
        "linear-programme",
        "",
        measured=[lg.largest_share(c, 1) for c in GRID],
        expected=lg.tail_bound(GRID, 2),
        atol=1e-6,
        sample="",
    )


@control(THM, "step-21")
def step_21_without_noise():
    rise, right = lg.one_step_from_the_kink(0.0, 400, 1000, settings.generator(0))
    return checks.at_most("step-21", "", measured=rise, bound=right, sample="")


# ---------------------------------------------------------------- theorem 2: the proof


@control(THM, "angle")
def angle_with_the_sign_flipped():
    u, v = sp.symbols("u1 u2", real=True), sp.symbols("v1 v2", real=True)
    right = sum(a**2 + c**2 - (a + c) ** 2 for a, c in zip(u, v, strict=True)) / 2
    return checks.identity("angle", "", left=sum(a * c for a, c in zip(u, v, strict=True)), right=right)


@control(THM, "moment")
def without_the_noise():
    return implies(
        "moment",
        [r > 0, L > 0, drop >= 0, (A + U - b**2) / 2 <= L * drop * r + r * (A + S) / 2],
        (1 - r) * A + U <= b**2 + r * 2 * L * drop,
    )


@control(THM, "large-enough")
def runs_a_little_too_short():
    return implies(
        "large-enough",
        [r > 0, r < 1, b > 0, r * (U + 4 * b**2) < 4 * b**2, (1 - r) * A <= b**2 + r * U],
        4 * b**2 > A,
    )


@control(THM, "all-gamma")
def a_moment_of_five():
    return implies(
        "all-gamma",
        [*SHARE, b > 0, gamma >= 2, 5 * b**2 > A, P * gamma**2 * b**2 <= A],
        P * (gamma**2 - 2 * gamma + 4) < 4,
    )


@control(THM, "envelope")
def without_strong_convexity():
    return implies("envelope", [L > 0, best >= old + p - L * d**2 / 2, old >= best + L * d**2], p <= -L * d**2)


@control(THM, "envelope-step")
def proximal_step_with_the_wrong_constant():
    return implies(
        "envelope-step",
        [
            L > 0,
            alpha > 0,
            p <= -L * d**2,
            new <= best + L * (d**2 + 2 * alpha * p + alpha**2 * G2),
            old == best + L * d**2,
            xi == 2 * L * d,
        ],
        new <= old - alpha * xi**2 + L * alpha**2 * G2,
    )


@control(THM, "envelope-norm")
def jump_of_one_b():
    return implies("envelope-norm", [L > 0, d >= 0, xi == 2 * L * d, g <= xi + L * d + 2 * b], g <= 3 * xi / 2 + b)


# ---------------------------------------------------------------- theorem 2: simulations


@control(THM, "sgd-printed")
def a_run_that_is_too_short():
    one = wave(noise=80.0, kappa=20.0, steps=256)
    assert not one.long_enough
    return checks.at_most("sgd-printed", "", measured=one.shares(GRID)[2], bound=lg.printed_bound(GRID), sample="")


@control(THM, "sgd-moment")
def a_budget_taken_too_small():
    """The bound for nine tenths of the budget, on a kink that attains the true one."""
    one = wave(start=1e-9, noise=0.0, kappa=0.0)
    bound = lg.Constants(0.9, 1.0, 0.0, 0.0).moment(1024)
    return checks.at_most("sgd-moment", "", measured=one.moment()[1], bound=bound, sample="")


@control(THM, "sgd-limit")
def the_limit_below_two():
    """The same bound with the threshold moved from 2 to 1/2 fails at the kink, where every gradient has norm b."""
    one = wave(start=1e-9, noise=0.0, kappa=0.0, steps=65_536, runs=2)
    bound = one.constants.envelope_tail(2.45, 65_536)
    return checks.at_most("sgd-limit", "", measured=one.shares(0.95)[2], bound=bound, sample="")


@control(THM, "threshold-sharp")
def a_kink_with_other_slopes():
    one = wave(start=1e-9, noise=0.0, kappa=0.0, x=0.9, steps=4096, runs=2)
    return checks.equal("threshold-sharp", "", measured=one.shares(1.8)[0], expected=0.005, atol=5e-4, sample="")


# ---------------------------------------------------------------- the remark


@control(REMARK, "zero-budget")
def zero_budget_with_a_positive_threshold():
    one = wave(eps=0.0)
    return checks.at_most(
        "zero-budget",
        "",
        measured=[one.runs.shares(np.array([1.0])).mean()] * 3,
        bound=lg.printed_bound(np.array([3.0, 4.0, 8.0])),
        sample="",
    )


@control(REMARK, "almost-surely")
def no_noise():
    wave_ = lg.Wave(0.0, 0.0, 4.0)
    squares = lg.descend(
        wave_.gradients,
        torch.full((4, 1), 0.5, dtype=torch.float64),
        steps=4096,
        curvature=4.0,
        generator=settings.generator(0),
        batch=0,
        horizon=1024,
    ).norms.square()
    early = squares[:1024].mean(0)
    return checks.at_most("almost-surely", "", measured=squares[-1024:].mean(0) / early.mean(), bound=0.5, sample="")


@control(REMARK, "need-not-vanish")
def no_kink():
    one = wave(start=0.5, noise=0.0, eps=0.0)
    rest = one.runs.norms[-100:].square().mean().sqrt()
    return checks.equal("need-not-vanish", "", measured=rest, expected=1.0, atol=0.01, sample="")


@control(REMARK, "quadratic-growth")
def shares_that_grow_with_the_square():
    above = 0.01 * np.array([1.0, 4.0, 16.0])
    cases = [small > 0 and 2 * small <= big <= 8 * small for small, big in itertools.pairwise(above)]
    return checks.every("quadratic-growth", "", cases=cases, sample="")


@control(REMARK, "final-gradients")
def the_budgets_exchanged():
    ends = [wave(start=1e-9, noise=0.1, eps=eps).runs.norms[-100:].square().mean(0).sqrt() for eps in (0.05, 0.4)]
    return checks.positive("final-gradients", "", differences=ends[0] - ends[1], sample="", role="printed")


@control(REMARK, "clean-rate")
def the_rate_of_half_the_noise():
    one = wave(eps=0.0, runs=256)
    low = lg.confidence(one.runs.norms.square().mean(0).numpy(), 1 - checks.ALPHA)[1]
    return checks.at_most("clean-rate", "", measured=low, bound=0.25**2 / (2 * np.sqrt(1024) - 1), sample="")


@control(REMARK, "moment-at-C")
def the_moment_at_half_the_threshold():
    """Counting at 0.9 b with the bound for 2 b: at a kink all gradients are above the one and the bound is 1/4."""
    one = wave(start=1e-9, noise=0.0, kappa=0.0)
    bound = one.constants.moment(1024) / 4
    return checks.at_most("moment-at-C", "", measured=one.shares(0.9)[2], bound=bound, sample="")


@control(REMARK, "clean-moment")
def only_one_of_the_two_squares():
    """Without u = v there is no second square."""
    return implies(
        "clean-moment",
        [r > 0, L > 0, drop >= 0, A >= 0, L * drop * r + r * (A + S) / 2 >= A / 2],
        (2 - r) * A <= r * (2 * L * drop + S),
    )


@control(REMARK, "exponent-printed", "exponent-repaired")
def exponents_are_not_two(name):
    e = sp.Symbol("e", positive=True)
    bound = 4 * e**2 / (1 - 2 * e + 4 * e**2) if name == "exponent-printed" else e**2 / (1 - e) ** 2
    return checks.identity(name, "", left=e * sp.diff(bound, e) / bound, right=2)


# ---------------------------------------------------------------- corollary 2


def climbs(jump=1.0):
    """Shares of the worst runs, counted in units of 1 although they are made for another b."""
    made = {c: lg.Spiked.of(lg.climb_then_fall(c, jump, 1.0, 4000), jump, 1.0, 4000) for c in GRID}
    return [float((one.norms >= c * (1 - 1e-12)).mean()) for c, one in made.items()]


@control(COR, "gamma-two")
def a_climb_and_fall():
    made = lg.Spiked.of(lg.climb_then_fall(2.5, 1.0, 1.0, 4000), 1.0, 1.0, 4000)
    return checks.every("gamma-two", "", cases=[(made.norms > 2).mean() < lg.printed_bound(2.0)], sample="")


def always_above():
    """Far more than the repaired bound allows, because the loss falls without end."""
    made = lg.Spiked.of(lambda _: 3.0, 1.0, 1.0, 1000)
    return float((made.norms >= 3.0).mean())


@control(COR, "above-two")
def a_loss_without_a_lower_bound():
    return checks.at_most("above-two", "", measured=always_above(), bound=lg.printed_bound(3.0), sample="")


@control(COR, "repaired")
def a_loss_without_a_lower_bound_again():
    return checks.at_most("repaired", "", measured=always_above(), bound=lg.tail_bound(3.0, 1), sample="")


@control(COR, "attained")
def worst_runs_for_a_smaller_jump():
    return checks.equal(
        "attained",
        "",
        measured=climbs(0.5),
        expected=lg.tail_bound(GRID, 1),
        atol=np.log(7.5) / np.sqrt(20_000),
        sample="",
    )


@control(COR, "no-lower")
def a_fall_without_a_climb():
    made = lg.Spiked.of(lambda _: 3.0, 1.0, 1.0, 1000)
    return checks.at_most("no-lower", "", measured=1 - made.losses[-1], bound=1.0, sample="")


@control(COR, "assumption-2")
def a_pace_that_is_too_steep():
    pace = np.vectorize(lg.climb_then_fall(4.0, 1.0, 3.0, 1000))
    turn = lg.Spiked.of(pace, 1.0, 3.0, 1000).positions
    s = np.stack([turn[:-1], turn[1:]])
    ratio = np.abs(pace(s)[0] - (pace(s)[1] - 2)) / (np.abs(s[0] - s[1]) + 2)
    steep = np.abs(pace(s)[1] - (pace(s)[0] - 2)) / (np.abs(s[0] - s[1]) + 2)
    return checks.at_most("assumption-2", "", measured=np.concatenate([ratio, steep]), bound=1.0, sample="")


def relu():
    x = torch.linspace(-2, 2, 16, dtype=torch.float64)
    y = torch.where(x.abs() > 1, 1.0, -1.0).double()
    return lg.ReluNetwork(torch.tensor([1.0, -1.0] * 3, dtype=torch.float64), x, y, 0.3)


@control(COR, "worst-input")
def ends_of_the_interval_only():
    net = relu()
    theta = torch.randn(16, 12, generator=settings.generator(0), dtype=torch.float64)
    ends = torch.stack([net.x - 0.3, net.x + 0.3], 1).expand(16, -1, -1)
    return checks.equal(
        "worst-input",
        "",
        measured=net.margins_at(theta, ends).amin(2),
        expected=net.margins(theta),
        atol=0.02,
        sample="",
    )


@control(COR, "dented-printed")
def a_short_and_noisy_run():
    one = lg.on_wave(
        lg.Wave(0.0, 1.0, 40.0, 1.0), start=0.0, noise=160.0, steps=256, runs=16, generator=settings.generator(0)
    )
    return checks.at_most("dented-printed", "", measured=one.shares(GRID)[2], bound=lg.printed_bound(GRID), sample="")


@control(COR, "dented-descent")
def descent_on_a_loss_without_a_lower_bound():
    """On a loss that falls without end the bound for a small Delta does not hold."""
    made = lg.Spiked.of(lambda _: 3.0, 1.0, 1.0, 10_000)
    bound = lg.Constants(1.0, 1.0, 0.0, 1.0, 3.0).descent_moment(10_000, 1)
    mean = float((made.norms**2 - 2 * made.norms).mean())
    return checks.at_most("dented-descent", "", measured=1 + mean, bound=1 + bound, sample="")


@control(COR, "relu-empty")
def the_jump_that_was_seen():
    one = lg.on_relu_network(relu(), steps=512, runs=8, generator=settings.generator(0))
    return checks.at_most("relu-empty", "", measured=one.runs.norms.max(), bound=one.runs.jump, sample="")


@control(COR, "block")
def block_with_half_the_jump():
    return implies("block", [g >= 0, d <= 2 * b + xi, d >= 0, p <= g * d], g**2 - p >= g**2 - (b + xi) * g)


@control(COR, "square")
def square_completed_wrongly():
    s, t = sp.symbols("g b")
    return checks.identity("square", "", left=s**2 - 2 * t * s, right=(s - 2 * t) ** 2 - 4 * t**2)
