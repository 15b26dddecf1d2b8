r"""How often SGD on an adversarial loss meets a large gradient (Liu et al., theorem 2, corollary 2, appendix B.3).

Everything is measured in units of ``b``, half the largest jump of the adversarial gradient: ``b = eps L_theta_x``
under Assumption 1 and ``b = eps L_theta_x + (D_theta_theta + D_theta_x) / 2`` under Assumption 2, so that by
equations (3) and (9) two gradients differ by at most ``L_theta_theta |theta - theta'| + 2 b``. The step is
``1 / (L_theta_theta sqrt(T))`` throughout.

Three parts: bounds on the share of iterations with a gradient above ``gamma b``, with the laws that attain them;
losses whose inner maximum is exact; and vectorised runs of SGD. Everything is float64 and on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize, stats
from torch import Tensor

from advsmooth.theory import linear

Examples = Callable[[Tensor], Tensor]
"""Maps parameters ``(m, d)`` to a subgradient of each example's adversarial loss, ``(m, n, d)``."""


# --- bounds ---------------------------------------------------------------------------------------------------------


def printed_bound(gamma: np.ndarray | float) -> np.ndarray:
    """The right side of equation (4), ``4 / (gamma^2 - 2 gamma + 4)``."""
    gamma = np.asarray(gamma, dtype=np.float64)
    return 4 / (gamma**2 - 2 * gamma + 4)


def tail_bound(gamma: np.ndarray | float, centre: float) -> np.ndarray:
    """The largest probability of a norm above ``gamma b`` when ``E[g^2 - 2 centre b g] <= 0``.

    That premise says ``E[(g - centre b)^2] <= (centre b)^2``, so Markov's inequality gives
    ``centre^2 / (gamma - centre)^2``, and 1 for ``gamma <= 2 centre``. Equation (24) is ``centre = 2``; what (21) gives
    when it keeps all of the descent is ``centre = 1``.
    """
    gamma = np.asarray(gamma, dtype=np.float64)
    return np.where(gamma > 2 * centre, (centre / np.maximum(gamma - centre, centre)) ** 2, 1.0)


def moment_bound(gamma: np.ndarray | float) -> np.ndarray:
    """Markov's inequality for ``E[g^2] <= b^2``: ``1 / gamma^2``, at most 1."""
    gamma = np.asarray(gamma, dtype=np.float64)
    return np.minimum(1.0, 1 / gamma**2)


def worst_law(gamma: float, centre: float) -> tuple[np.ndarray, np.ndarray]:
    """Norms (in units of ``b``) and probabilities of a law that attains :func:`tail_bound`.

    The premise holds with equality: ``centre`` and ``gamma`` for ``gamma > 2 centre``, else ``2 centre`` alone.
    """
    share = float(tail_bound(gamma, centre))
    if share == 1:
        return np.array([2 * centre]), np.array([1.0])
    return np.array([centre, gamma]), np.array([1 - share, share])


def largest_share(gamma: float, centre: float, *, points: int = 4001, most: float = 20.0) -> float:
    """:func:`tail_bound` by linear programming over the laws on a grid of norms; slow, for checks.

    Args:
        gamma: threshold; a share at or above it is counted.
        centre: as in :func:`tail_bound`.
        points: of the grid, equally spaced from 0.
        most: its last point.
    """
    grid = np.linspace(0, most, points)
    found = optimize.linprog(
        -(grid >= gamma - 1e-9).astype(float),
        A_ub=[grid**2 - 2 * centre * grid],
        b_ub=[0.0],
        A_eq=[np.ones(points)],
        b_eq=[1.0],
        bounds=(0, None),
    )
    return float(-found.fun)


@dataclass(frozen=True)
class Constants:
    """What the explicit bounds need to know of a problem.

    Attributes:
        jump: ``b``, half the largest jump of the gradient.
        curvature: ``L_theta_theta``.
        noise: ``sigma``, the root of the largest variance of the stochastic gradient.
        drop: a bound on ``L_0(theta_0) - inf L_0`` and on ``L_eps(theta_0) - inf L_eps``.
        lipschitz: ``L_theta``; only :meth:`descent_moment` needs it.
    """

    jump: float
    curvature: float
    noise: float
    drop: float
    lipschitz: float = math.inf

    def moment(self, steps: int) -> float:
        """Bound on the mean of ``E[g^2]`` over the run, from the descent of the clean loss (Assumption 1)."""
        rest = (2 * self.curvature * self.drop + self.noise**2) / math.sqrt(steps)
        return (self.jump**2 + rest) / (1 - 1 / math.sqrt(steps))

    def iterations_needed(self) -> int:
        """From here on (4) is proved for all ``gamma >= 2`` at once, because :meth:`moment` is below ``4 b^2``."""
        rest = 2 * self.curvature * self.drop + self.noise**2
        return math.floor(((rest + 4 * self.jump**2) / (3 * self.jump**2)) ** 2) + 1

    def envelope_tail(self, gamma: np.ndarray | float, steps: int) -> np.ndarray:
        """Bound on the share of gradients above ``gamma b`` that vanishes with ``T`` (Moreau envelope, Assumption 1).

        1 for ``gamma <= 2``, and for ``steps`` below :meth:`iterations_needed`, where it is not proved.
        """
        gamma = np.asarray(gamma, dtype=np.float64)
        if steps < self.iterations_needed():
            return np.ones_like(gamma)
        squared = 2 * (self.curvature * self.drop + self.noise**2 + 4 * self.jump**2) / math.sqrt(steps)
        excess = np.maximum(gamma - 2, 1e-12) * self.jump
        return np.minimum(1.0, 9 / 4 * squared / excess**2)

    def descent_moment(self, steps: int, block: int) -> float:
        """Bound on the mean of ``E[g^2 - 2 b g]`` over the run, from the descent over blocks of iterations.

        Needs only that gradients differ by at most ``L |theta - theta'| + 2 b`` (Assumption 1 or 2).
        """
        reach = block * self.lipschitz + self.noise * math.sqrt(block)
        noise = self.lipschitz * self.noise * math.sqrt(block) * math.ceil(steps / block) / steps
        return (self.curvature * self.drop + self.lipschitz * reach) / math.sqrt(steps) + noise


# --- losses ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wave:
    """``g(x, theta) = x sin theta + kappa (1 - cos theta)`` for numbers ``x`` and ``theta``, attacked within ``eps``.

    The adversarial loss is ``x sin theta + eps |sin theta| + kappa (1 - cos theta)``: not convex, and at 0 the slope
    jumps from ``x - eps`` to ``x + eps``. Assumption 1 holds on the whole line, with exact constants. A ``dent`` adds
    ``-dent |sin(theta - 1)|``, made of ReLUs: its kinks point upwards, and only Assumption 2 holds, with
    ``D_theta_theta = 2 dent``.

    Attributes:
        x: the only input, at most ``eps`` in absolute value: without a dent the least loss is 0, at ``theta = 0``.
        eps: radius.
        kappa: depth of the wave.
        dent: half the jump of the gradient at the kinks of the clean loss.
    """

    x: float
    eps: float
    kappa: float
    dent: float = 0.0

    def losses(self, theta: Tensor) -> Tensor:
        """Adversarial loss, shape ``(m, 1)`` for ``theta (m, 1)``."""
        smooth = self.x * theta.sin() + self.kappa * (1 - theta.cos())
        return smooth + self.eps * theta.sin().abs() - self.dent * (theta - 1).sin().abs()

    def gradients(self, theta: Tensor) -> Tensor:
        """A subgradient, shape ``(m, 1, 1)``; at a kink the middle one."""
        slope = (self.x + self.eps * theta.sin().sign()) * theta.cos() + self.kappa * theta.sin()
        return (slope - self.dent * (theta - 1).sin().sign() * (theta - 1).cos())[:, :, None]

    def constants(self, start: float, noise: float = 0.0) -> Constants:
        """For runs that begin at ``start``."""
        if abs(self.x) > self.eps:
            raise ValueError(f"x={self.x:g}: allowed is at most eps={self.eps:g} in absolute value")
        steepest = math.hypot(abs(self.x) + self.eps, self.kappa) + self.dent
        clean = self.x * math.sin(start) + self.kappa * (1 - math.cos(start))
        lowest = self.kappa - math.hypot(self.x, self.kappa)
        attacked = clean + self.eps * abs(math.sin(start))
        drop = max(clean - lowest, attacked) + self.dent
        return Constants(self.eps + self.dent, steepest, noise, drop, steepest)


@dataclass(frozen=True)
class ReluNetwork:
    """One hidden layer of ReLUs on a number, with fixed output weights and the logistic loss; exact worst case.

    The margin ``y sum a_k relu(w_k x + c_k)`` is piecewise linear in ``x``: its minimum over ``|x' - x| <= eps`` lies
    at an end of the interval or where a unit switches. In the latter case the gradient of the adversarial loss counts
    that unit with a gate between 0 and 1, the one for which the slope in ``x`` vanishes.

    Attributes:
        out: output weights ``a``, none of them 0, shape ``(h,)``.
        x: inputs, shape ``(n,)``.
        y: labels -1 and +1, shape ``(n,)``.
        eps: radius.
    """

    out: Tensor
    x: Tensor
    y: Tensor
    eps: float

    def margins_at(self, theta: Tensor, points: Tensor) -> Tensor:
        """Margins at given points ``(m, n, k)`` for ``theta = (w, c)`` of shape ``(m, 2 h)``; shape ``(m, n, k)``."""
        weight, offset = theta.chunk(2, 1)
        active = (points[..., None] * weight[:, None, None] + offset[:, None, None]).relu()
        return self.y[None, :, None] * (active @ self.out)

    def _worst(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Worst inputs ``(m, n)``, the margins there, and which unit switches there ``(m, n)``, -1 for none."""
        weight, offset = theta.chunk(2, 1)
        kinks = -offset / torch.where(weight == 0, torch.full_like(weight, 1e-300), weight)
        low, high = self.x - self.eps, self.x + self.eps
        inside = torch.minimum(torch.maximum(kinks[:, None, :], low[:, None]), high[:, None])
        ends = torch.stack([low, high], 1).expand(len(theta), -1, -1)
        points = torch.cat([ends, inside], 2)
        least, which = self.margins_at(theta, points).min(2)
        worst = points.gather(2, which[:, :, None])[:, :, 0]
        switching = (which >= 2) & (worst > low) & (worst < high)
        return worst, least, torch.where(switching, which - 2, -1)

    def worst_inputs(self, theta: Tensor) -> Tensor:
        """The worst ``x'`` of each example, shape ``(m, n)``."""
        return self._worst(theta)[0]

    def margins(self, theta: Tensor) -> Tensor:
        """Worst-case margins, shape ``(m, n)``."""
        return self._worst(theta)[1]

    def gradients(self, theta: Tensor) -> Tensor:
        """A subgradient of each example's adversarial loss, shape ``(m, n, 2 h)``."""
        weight, offset = theta.chunk(2, 1)
        worst, margin, unit = self._worst(theta)
        gates = ((worst[:, :, None] * weight[:, None] + offset[:, None]) > 0).to(theta.dtype)
        chosen = torch.nn.functional.one_hot(unit + 1, len(self.out) + 1)[..., 1:].to(theta.dtype)
        slope = self.out * weight[:, None]
        others = (gates * (1 - chosen) * slope).sum(2, keepdim=True)
        gates = gates * (1 - chosen) + chosen * (-others / slope).nan_to_num(0.0).clamp(0, 1)
        push = -(self.y * torch.sigmoid(-margin))[:, :, None] * self.out * gates
        return torch.cat([push * worst[:, :, None], push], 2)


@dataclass(frozen=True)
class Spiked:
    """A loss allowed by Assumption 2 on which plain gradient descent sees nothing but untypical gradients.

    The line is travelled in one direction, ``s = -theta``. At the points that the run visits, and within a width too
    small to matter, the gradient is ``pace(s)``; everywhere else it is ``pace(s) - 2 b``. If ``pace`` is
    ``L``-Lipschitz, any two gradients differ by at most ``L |s - s'| + 2 b``.

    Attributes:
        positions: ``s_0 ... s_T``.
        norms: gradient norms at ``s_0 ... s_(T-1)``.
        losses: loss at ``s_0 ... s_T``, from 0.
    """

    positions: np.ndarray
    norms: np.ndarray
    losses: np.ndarray

    @classmethod
    def of(cls, pace: Callable[[float], float], jump: float, curvature: float, steps: int) -> Spiked:
        """Run ``steps`` iterations; the loss between two of them is integrated by Simpson's rule."""
        rate = 1 / (curvature * math.sqrt(steps))
        positions, norms, losses = [0.0], [], [0.0]
        for _ in range(steps):
            here = positions[-1]
            norms.append(pace(here))
            there = here + rate * norms[-1]
            mean = (norms[-1] + 4 * pace((here + there) / 2) + pace(there)) / 6
            positions.append(there)
            losses.append(losses[-1] - (mean - 2 * jump) * (there - here))
        return cls(np.array(positions), np.array(norms), np.array(losses))


def climb_then_fall(gamma: float, jump: float, curvature: float, steps: int) -> Callable[[float], float]:
    """The ``pace`` of :class:`Spiked` that spends the largest share at ``gamma b`` without ending below its start.

    First ``b`` (the loss climbs), then a ramp of slope ``L`` to ``gamma b`` (it falls). The ramp takes a share
    of order ``1 / sqrt(T)``.
    """
    rate = 1 / (curvature * math.sqrt(steps))
    ramp_rise = jump**2 / curvature * (gamma - 1) * (3 - gamma) / 2
    fall = rate * gamma * (gamma - 2) * jump**2
    ramp_steps = math.log(gamma) / (rate * curvature)
    climbing = max(0.0, (steps - ramp_steps - ramp_rise / fall) / (1 + 1 / (gamma * (gamma - 2))))
    turn = climbing * rate * jump

    def pace(s: float) -> float:
        return min(max(jump, jump + curvature * (s - turn)), gamma * jump)

    return pace


def always_above_two(jump: float, curvature: float) -> Callable[[float], float]:
    """A ``pace`` of :class:`Spiked` above ``2 b`` everywhere; the loss falls by ``4 b^2 / L`` in all."""
    return lambda s: jump * (2 + 1 / (1 + curvature * s / (4 * jump)) ** 2)


# --- runs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Runs:
    """Independent runs of SGD.

    Attributes:
        norms: gradient norms of the loss at ``theta_0 ... theta_(T-1)``, shape ``(T, m)``.
        jump: the smallest ``b`` that consecutive iterations of all runs are consistent with:
            ``max (|grad - grad'| - L |theta - theta'|) / 2``.
        noise: root of the largest variance of the stochastic gradient at any iteration of any run.
        last: ``theta_T``, shape ``(m, d)``.
        reach: the largest ``|theta|`` of any iteration.
    """

    norms: Tensor
    jump: float
    noise: float
    last: Tensor
    reach: float

    def shares(self, thresholds: np.ndarray) -> np.ndarray:
        """Share of the iterations of each run with a norm above each threshold, shape ``(len(thresholds), m)``."""
        ordered = self.norms.T.contiguous().sort(1).values
        limits = torch.as_tensor(np.asarray(thresholds), dtype=torch.float64).expand(len(ordered), -1).contiguous()
        below = torch.searchsorted(ordered, limits, right=True)
        return (1 - below.double() / self.norms.shape[0]).T.numpy()


def descend(
    examples: Examples,
    start: Tensor,
    *,
    steps: int,
    curvature: float,
    generator: torch.Generator,
    batch: int = 1,
    noise: float = 0.0,
    horizon: int | None = None,
) -> Runs:
    """SGD with the step ``1 / (L_theta_theta sqrt(T))``; every row of ``start (m, d)`` is a run of its own.

    Args:
        examples: gives the gradients; the loss is their mean.
        start: ``theta_0`` of each run.
        steps: iterations to make.
        curvature: ``L_theta_theta``.
        generator: draws the examples and the noise.
        batch: examples a step, drawn with replacement; 0 uses all of them.
        noise: standard deviation of Gaussian noise that is added to each component.
        horizon: ``T`` in the step size, if it is not ``steps``.
    """
    rate = 1 / (curvature * math.sqrt(horizon or steps))
    theta, before, previous = start.clone(), start, None
    norms, jump, variance = torch.empty(steps, len(start), dtype=start.dtype), 0.0, 0.0
    reach = float(start.norm(dim=1).max())
    row = torch.arange(len(start))[:, None]
    for t in range(steps):
        each = examples(theta)
        full = each.mean(1)
        norms[t] = full.norm(dim=1)
        if previous is not None:
            change = (full - previous).norm(dim=1) - curvature * (theta - before).norm(dim=1)
            jump = max(jump, float(change.max()) / 2)
        previous, before, move = full, theta, full
        if batch:
            variance = max(variance, float((each - full[:, None]).square().sum(2).mean(1).max()) / batch)
            drawn = torch.randint(each.shape[1], (len(start), batch), generator=generator)
            move = each[row, drawn].mean(1)
        if noise:
            move = move + noise * torch.randn(move.shape, generator=generator, dtype=move.dtype)
        theta = theta - rate * move
        reach = max(reach, float(theta.norm(dim=1).max()))
    return Runs(norms, jump, math.sqrt(variance + start.shape[1] * noise**2), theta, reach)


def confidence(values: np.ndarray, level: float = 0.99) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the last axis, one value for each independent run, and a two-sided t-interval for it.

    Its width is 0 where all runs agree, for instance if none ever exceeds a threshold.
    """
    m = values.shape[-1]
    mean = values.mean(-1)
    half = stats.t.ppf((1 + level) / 2, m - 1) * values.std(-1, ddof=1) / math.sqrt(m)
    return mean, mean - half, mean + half


# --- runs with their constants --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Experiment:
    """Runs of SGD on one problem, with the constants that the bounds need."""

    runs: Runs
    constants: Constants

    @property
    def steps(self) -> int:
        """``T``."""
        return self.runs.norms.shape[0]

    @property
    def long_enough(self) -> bool:
        """Whether ``T`` is large enough for (4) to be proved."""
        return self.steps >= self.constants.iterations_needed()

    def shares(self, gamma: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Share of gradients above ``gamma b``: mean over the runs, and the ends of a 99 % interval."""
        mean, low, high = confidence(self.runs.shares(np.atleast_1d(gamma) * self.constants.jump))
        return mean, np.maximum(0, low), np.minimum(1, high)

    def moment(self) -> tuple[float, float]:
        """Mean of ``g^2`` in units of ``b^2``, and the upper end of its 99 % interval."""
        mean, _, high = confidence(self.runs.norms.square().mean(0).numpy() / self.constants.jump**2)
        return float(mean), float(high)


def on_wave(wave: Wave, *, start: float, noise: float, steps: int, runs: int, generator: torch.Generator) -> Experiment:
    """SGD on a :class:`Wave` with exact gradients plus Gaussian noise."""
    constants = wave.constants(start, noise)
    first = torch.full((runs, 1), start, dtype=torch.float64)
    made = descend(
        wave.gradients, first, steps=steps, curvature=constants.curvature, generator=generator, batch=0, noise=noise
    )
    return Experiment(made, constants)


def on_linear_model(
    x: Tensor, y: Tensor, eps: float, norm: str, *, steps: int, runs: int, generator: torch.Generator
) -> Experiment:
    """SGD, one example a step, on the exact adversarial logistic loss (:mod:`advsmooth.theory.linear`).

    Runs begin at random points of standard deviation 1/2. The constants are those of Assumption 1 on the ball that
    the runs visit; ``L_theta_x`` takes inputs in the attack's norm, hence the factor ``sqrt(d)`` for ``"linf"``.
    """
    d = x.shape[1]
    first = 0.5 * torch.randn(runs, d, generator=generator, dtype=torch.float64)
    curvature = float((linear.perturbed_radius(x, eps, norm) ** 2).mean()) / 4
    made = descend(
        lambda theta: linear.gradients(theta, x, y, eps, norm),
        first,
        steps=steps,
        curvature=curvature,
        generator=generator,
    )
    cross = float(linear.constants(x, eps, norm, made.reach).mean().theta_x)
    jump = eps * cross * (math.sqrt(d) if norm == "linf" else 1.0)
    drop = float(linear.loss(first, x, y, eps, norm).max())
    return Experiment(made, Constants(jump, curvature, made.noise, drop))


def on_relu_network(network: ReluNetwork, *, steps: int, runs: int, generator: torch.Generator) -> Experiment:
    """SGD, one example a step, on a :class:`ReluNetwork`, from standard normal weights and offsets.

    No gradient is longer than ``|a| R`` with ``R`` the largest ``|(x', 1)|``, and no two differ by more, so
    ``D_theta_theta = D_theta_x = |a| R`` serve in Assumption 2. The ``b`` given leaves out ``eps L_theta_x >= 0``.
    """
    first = torch.randn(runs, 2 * len(network.out), generator=generator, dtype=torch.float64)
    longest = float(network.out.norm() * (1 + (network.x.abs().max() + network.eps) ** 2).sqrt())
    curvature = longest**2 / 4
    made = descend(network.gradients, first, steps=steps, curvature=curvature, generator=generator)
    drop = float((-torch.nn.functional.logsigmoid(network.margins(first))).mean(1).max())
    return Experiment(made, Constants(longest, curvature, made.noise, drop, longest))


def digits_in_few_dimensions(x: Tensor, count: int, d: int) -> Tensor:
    """The first ``count`` rows of ``x``, centred, in their ``d`` principal directions, shape ``(count, d)``."""
    centred = x[:count] - x[:count].mean(0)
    return centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:d].T


def one_step_from_the_kink(noise: float, steps: int, draws: int, generator: torch.Generator) -> tuple[float, float]:
    """Both sides of (21), divided by the step, for ``|theta|`` at ``theta = 0+`` with ``b = L_theta_theta = 1``.

    The stochastic gradient is 1 plus Gaussian noise. Returns the mean rise of the loss in one step, over ``draws``
    draws, and the right side of (21), whose ``E|grad^|`` has been replaced by ``|grad|``.
    """
    gradient = 1 + noise * torch.randn(draws, generator=generator, dtype=torch.float64)
    return float(gradient.abs().mean()), -0.5 + 2 + noise**2 / (2 * math.sqrt(steps))
