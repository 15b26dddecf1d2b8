r"""Why adversarial gradients scatter, on networks so small that nothing is approximate (Liu et al., section 3.2).

One hidden layer of ``H`` units and one input::

    f(x) = sum_j a_j h(b_j x + c_j) + d        h = tanh or ReLU
    g(x, theta) = log(1 + exp(-y f(x)))        y in {-1, +1}

The parameters are one row ``theta = (a, b, c, d)`` of ``3 H + 1`` numbers; the adversary moves ``x`` within
``[x - eps, x + eps]``, so that the inner maximum is exact: the loss decreases in ``y f``, whose extrema are found
one by one. Where the worst input switches from ``x_-`` to ``x_+``, the gradient of the worst-case loss jumps by
``grad g(x_+) - grad g(x_-)``.

Shapes: parameters ``(m, 3 H + 1)``, inputs ``(m,)`` or ``(m, k)``, float64. Bad input is refused with a one-line
``ValueError``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

Activation = Literal["tanh", "relu"]
BEND = 4 / (3 * math.sqrt(3))
"""The largest value of ``|tanh''|``, at ``tanh = 1 / sqrt(3)``."""


def _units(theta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if theta.ndim != 2 or theta.shape[1] < 4 or theta.shape[1] % 3 != 1:
        raise ValueError(f"theta of shape {tuple(theta.shape)}: allowed is (m, 3 H + 1) with H >= 1 hidden units")
    a, b, c = theta[:, :-1].chunk(3, dim=1)
    return a, b, c, theta[:, -1]


def _hidden(theta: Tensor, x: Tensor, activation: str) -> tuple[Tensor, Tensor, Tensor]:
    """Value, slope and curvature of the activation of each unit at each input, ``(m, k, H)``."""
    _, b, c, _ = _units(theta)
    z = x[..., None] * b[:, None, :] + c[:, None, :]
    if activation == "tanh":
        t = z.tanh()
        s = 1 - t.square()
        return t, s, -2 * t * s
    if activation == "relu":
        return z.relu(), (z > 0).to(z), torch.zeros_like(z)
    raise ValueError(f"activation={activation!r}: allowed is tanh or relu")


def output(theta: Tensor, x: Tensor, activation: Activation = "tanh") -> Tensor:
    """``f(x)`` of network ``i`` at its inputs ``x[i]``, shape ``(m, k)``; a column of inputs is ``(m, 1)``."""
    a, _, _, d = _units(theta)
    return (a[:, None, :] * _hidden(theta, x, activation)[0]).sum(-1) + d[:, None]


def loss(theta: Tensor, x: Tensor, y: Tensor, activation: Activation = "tanh") -> Tensor:
    """``g(x, theta)`` for ``x (m, k)`` and labels ``y (m,)``, shape ``(m, k)``."""
    return -logsigmoid(y[:, None] * output(theta, x, activation))


def gradient(theta: Tensor, x: Tensor, y: Tensor, activation: Activation = "tanh") -> Tensor:
    """Gradient of ``g`` in all parameters at ``x (m, k)``, shape ``(m, k, 3 H + 1)``.

    At the kink of a ReLU its slope counts as 0, one of its subgradients.
    """
    pull = -y[:, None] * torch.sigmoid(-y[:, None] * output(theta, x, activation))
    return pull[..., None] * _output_gradient(theta, x, activation)


def _output_gradient(theta: Tensor, x: Tensor, activation: str) -> Tensor:
    a = _units(theta)[0]
    value, slope, _ = _hidden(theta, x, activation)
    felt = a[:, None, :] * slope
    return torch.cat([value, felt * x[..., None], felt, torch.ones_like(value[..., :1])], -1)


def cross_derivative(theta: Tensor, x: Tensor, y: Tensor, activation: Activation = "tanh") -> Tensor:
    """Derivative in ``x`` of :func:`gradient`, shape ``(m, k, 3 H + 1)``; between the kinks of a ReLU."""
    a, b, _, _ = _units(theta)
    a, b = a[:, None, :], b[:, None, :]
    _, slope, bend = _hidden(theta, x, activation)
    along = (a * b * slope).sum(-1)
    inner = torch.cat([b * slope, a * slope + a * b * bend * x[..., None], a * b * bend, 0 * slope[..., :1]], -1)
    q = torch.sigmoid(-y[:, None] * output(theta, x, activation))
    first = (q * (1 - q) * along)[..., None] * _output_gradient(theta, x, activation)
    return first - (y[:, None] * q)[..., None] * inner


@dataclass(frozen=True)
class Worst:
    """The exact inner maximum: where it is, how large, and the gradient of the worst-case loss there.

    Attributes:
        x: the worst input, shape ``(m,)``.
        loss: ``g_eps``, shape ``(m,)``.
        gradient: gradient of ``g_eps`` in all parameters, ``(m, 3 H + 1)``; at a tie, that of one branch.
    """

    x: Tensor
    loss: Tensor
    gradient: Tensor


def worst_case(
    theta: Tensor, x: Tensor, y: Tensor, eps: float, activation: Activation = "tanh", *, cells: int = 128
) -> Worst:
    """The worst input in ``[x - eps, x + eps]`` of each row, to rounding.

    ReLU: ``f`` is piecewise linear, so its extrema are among the ends and the kinks, all of which are visited. tanh:
    the interval is cut into ``cells``; in each one in which the slope of ``-y f`` falls through 0, the maximum is found
    by bisection. A pair of extrema within one cell is missed; what it can add is at most the curvature of ``f``
    times an eighth of the cell squared.

    Args:
        theta: parameters, ``(m, 3 H + 1)``.
        x: one input a row, ``(m,)``.
        y: its label, ``(m,)``.
        eps: the budget, a finite number at least 0.
        activation: of the hidden layer.
        cells: for tanh.
    """
    if not 0 <= eps < math.inf:
        raise ValueError(f"eps={eps!r}: allowed is a finite budget, at least 0")
    if x.shape != theta.shape[:1] or y.shape != x.shape:
        raise ValueError(f"x {tuple(x.shape)}, y {tuple(y.shape)}: allowed is one of each for {len(theta)} networks")
    low, high = x - eps, x + eps
    if activation == "relu":
        return _worst_of_a_relu_network(theta, low, high, y)
    best = _best_of_a_tanh_network(theta, low, high, y, cells)
    at = best[:, None]
    return Worst(best, loss(theta, at, y, activation)[:, 0], gradient(theta, at, y, activation)[:, 0])


def _worst_of_a_relu_network(theta: Tensor, low: Tensor, high: Tensor, y: Tensor) -> Worst:
    """Ends and kinks compared. At a kink the slope of its unit is the one that makes ``f`` stationary in ``x``.

    There ``g`` has no gradient in ``theta``, but ``g_eps`` has: the worst input follows the kink, so that the output
    changes as if the unit had the slope ``lambda`` in [0, 1] with ``sum a_i b_i s_i = 0``.
    """
    a, b, c, _ = _units(theta)
    kinks = -c / b
    inside = (kinks > low[:, None]) & (kinks < high[:, None])  # also drops units with b = 0
    candidates = torch.cat([low[:, None], high[:, None], torch.where(inside, kinks, low[:, None])], 1)
    height = -y[:, None] * output(theta, candidates, "relu")
    height[:, 2:] = torch.where(inside, height[:, 2:], -torch.inf)
    chosen = height.argmax(1, keepdim=True)
    at = candidates.gather(1, chosen)
    slope = (at * b + c > 0).to(theta)
    own = torch.zeros_like(candidates).scatter_(1, chosen, 1.0)[:, 2:]  # the unit at whose kink the maximum sits
    others = (a * b * slope * (1 - own)).sum(1, keepdim=True)
    balanced = -others / torch.where(own > 0, a * b, torch.ones_like(b))
    felt = a * torch.where(own > 0, balanced, slope)
    value = (at * b + c).relu() * (1 - own)
    pull = -y[:, None] * torch.sigmoid(-y[:, None] * output(theta, at, "relu"))
    parts = pull * torch.cat([value, felt * at, felt, torch.ones_like(at)], 1)
    return Worst(at[:, 0], loss(theta, at, y, "relu")[:, 0], parts)


def _rise(theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Derivative in ``x`` of ``-y f``, one input a row."""
    a, b, c, _ = _units(theta)
    return -y * (a * b * (1 - (x[:, None] * b + c).tanh().square())).sum(1)


def _best_of_a_tanh_network(theta: Tensor, low: Tensor, high: Tensor, y: Tensor, cells: int) -> Tensor:
    a, b, c, _ = _units(theta)
    share = torch.linspace(0, 1, cells + 1, dtype=theta.dtype)
    points = low[:, None] + (high - low)[:, None] * share
    slope, height = torch.zeros_like(points), torch.zeros_like(points)
    for unit in range(a.shape[1]):  # unit by unit: no (m, cells, H) temporary
        t = torch.addcmul(c[:, unit, None], points, b[:, unit, None]).tanh_()
        height.addcmul_(-(y * a[:, unit])[:, None], t)
        slope.addcmul_(-(y * a[:, unit] * b[:, unit])[:, None], 1 - t * t)
    ends = torch.stack([height[:, 0], height[:, -1]], 1)
    best, top = torch.where(ends[:, 0] >= ends[:, 1], low, high), ends.amax(1)
    row, cell = ((slope[:, :-1] > 0) & (slope[:, 1:] <= 0)).nonzero().unbind(1)
    left, right = points[row, cell], points[row, cell + 1]
    net, label = theta[row], y[row]
    for _ in range(45):
        middle = (left + right) / 2
        rising = _rise(net, middle, label) > 0
        left, right = torch.where(rising, middle, left), torch.where(rising, right, middle)
    inside = (left + right) / 2
    # The offset d is left out on both sides.
    reached = -label * (output(net, inside[:, None])[:, 0] - net[:, -1])
    peak = torch.full_like(top, -torch.inf).scatter_reduce_(0, row, reached, "amax")
    winner = (peak[row] == reached) & (reached > top[row])
    best[row[winner]] = inside[winner]
    return best


@dataclass(frozen=True)
class Domain:
    """A bounded convex set of parameters and inputs.

    ``|a|_2 <= a``, every ``|b_j| <= b`` and ``|c_j| <= c``, ``|d| <= d`` and ``|x| <= x``, for ``units`` hidden units.
    """

    units: int
    a: float
    b: float
    c: float
    d: float
    x: float

    def __post_init__(self) -> None:
        bounds = (self.a, self.b, self.c, self.d, self.x)
        if self.units < 1 or not all(0 < bound < math.inf for bound in bounds):
            raise ValueError(f"{self}: allowed are at least one unit and positive finite bounds")

    def draw(self, m: int, generator: torch.Generator) -> Tensor:
        """``m`` parameters of the domain, ``(m, 3 H + 1)``; a third of the entries on their bounds, on average."""
        h = self.units
        free = 2 * torch.rand(m, 3 * h + 1, generator=generator, dtype=torch.float64) - 1
        free = (1.5 * free).clamp(-1, 1)
        length = torch.rand(m, 1, generator=generator, dtype=torch.float64)
        a = torch.nn.functional.normalize(free[:, :h], dim=1) * (1.5 * length).clamp(max=1) * self.a
        return torch.cat([a, self.b * free[:, h : 2 * h], self.c * free[:, 2 * h : 3 * h], self.d * free[:, -1:]], 1)


@dataclass(frozen=True)
class Constants:
    """Constants of Assumption 1 of Liu et al.; with the two ``D``, those of Assumption 2 (equations 2 and 8)."""

    theta: float
    theta_theta: float
    theta_x: float
    jump_theta: float = 0.0
    jump_x: float = 0.0

    def bound(self, apart: Tensor, eps: float) -> Tensor:
        """The right-hand side of (3) or (9) for parameters that are ``apart`` from each other, of its shape."""
        return self.theta_theta * apart + 2 * eps * self.theta_x + self.jump_theta + self.jump_x


def constants(domain: Domain, activation: Activation = "tanh") -> Constants:
    r"""Constants that are valid on a domain, in closed form.

    With ``t_j, s_j, k_j`` value, slope and curvature of unit ``j``, and ``r^2 = 1 + x^2``::

        |grad f|^2    = 1 + sum t_j^2 + r^2 sum a_j^2 s_j^2                                          <= G^2
        |Hess f|      = largest eigenvalue of the blocks [[0, s_j r], [s_j r, a_j k_j r^2]]          <= E
        |f_x|         = |sum a_j b_j s_j|                                                            <= F
        |d/dx grad f|^2 = sum (b_j s_j)^2 + (a_j s_j + a_j b_j k_j x)^2 + (a_j b_j k_j)^2            <= K^2

    and with ``q`` the largest ``sigmoid(-y f)``, ``L_theta = q G``, ``L_theta_theta = G^2 / 4 + q E`` and
    ``L_theta_x = F G / 4 + q K``. A ReLU has no curvature; where unit ``j`` switches, the gradient of ``f`` jumps by
    ``|a_j| r``. On a segment every unit switches at most once (its argument is affine in the parameters, and in
    ``x``), and the jumps of different units are orthogonal, so both ``D`` are ``q r |a|``.
    """
    if activation not in ("tanh", "relu"):
        raise ValueError(f"activation={activation!r}: allowed is tanh or relu")
    n, smooth = math.sqrt(domain.units), activation == "tanh"
    reach = domain.b * domain.x + domain.c
    value, bend = (math.tanh(reach), BEND) if smooth else (reach, 0.0)
    r = math.hypot(1, domain.x)
    q = 1 / (1 + math.exp(-(n * domain.a * value + domain.d)))
    g = math.sqrt(1 + domain.units * value**2 + (r * domain.a) ** 2)
    curved = domain.a * bend * r**2
    e = (curved + math.hypot(curved, 2 * r)) / 2
    f = n * domain.a * domain.b
    k = math.sqrt(
        domain.units * domain.b**2 + domain.a**2 * ((1 + domain.b * bend * domain.x) ** 2 + (domain.b * bend) ** 2)
    )
    jump = 0.0 if smooth else q * r * domain.a
    return Constants(q * g, g**2 / 4 + q * e, f * g / 4 + q * k, jump, jump)


def switch_jumps(theta: Tensor, x: Tensor, y: Tensor, units: Tensor) -> Tensor:
    """Exact size of the jump of a ReLU network's gradient where the chosen units switch together, shape ``(m,)``.

    Args:
        theta: parameters at which these units have the argument 0, ``(m, 3 H + 1)``.
        x: the inputs, ``(m,)``.
        y: their labels, ``(m,)``.
        units: which units switch, ``(m, H)`` of truth values.

    Returns:
        ``sigmoid(-y f) sqrt(1 + x^2) sqrt(sum a_j^2)`` over these units.
    """
    a = _units(theta)[0]
    q = torch.sigmoid(-y * output(theta, x[:, None], "relu")[:, 0])
    return q * (1 + x.square()).sqrt() * (a.square() * units).sum(1).sqrt()


def closing_in(
    f: Callable[[Tensor, Tensor], Tensor], rows: Tensor, left: Tensor, right: Tensor, *, halvings: int = 36
) -> tuple[Tensor, Tensor, Tensor]:
    """Close in on the largest change of a function in each interval, by keeping the half that changes more.

    Args:
        f: ``f(rows, t)``, the value of function ``rows[i]`` at ``t[i]``, shape ``(n, ...)``.
        rows: which function an interval belongs to, ``(n,)``.
        left: lower ends of the intervals, ``(n,)``.
        right: upper ends.
        halvings: how often to halve.

    Returns:
        The ends of the intervals that are left, and the change of the function between them, ``(n,)``: it tends to 0
        with the width where the function is continuous, and to the size of the jump where it is not.
    """

    def change(p: Tensor, q: Tensor) -> Tensor:
        return (p - q).flatten(1).norm(dim=1) if p.ndim > 1 else (p - q).abs()

    start, end = f(rows, left), f(rows, right)
    for _ in range(halvings):
        middle = (left + right) / 2
        between = f(rows, middle)
        lower = change(between, start) >= change(end, between)
        wide = lower.reshape(-1, *[1] * (start.ndim - 1))
        left, right = torch.where(lower, left, middle), torch.where(lower, middle, right)
        start, end = torch.where(wide, start, between), torch.where(wide, between, end)
    return left, right, change(end, start)


@dataclass(frozen=True)
class Lines:
    """Segments in parameter space, one a row, and the label that the network should give to the input 0.

    Attributes:
        start: parameters at time 0, ``(m, 3 H + 1)``.
        end: parameters at time 1, of the same shape.
        y: labels, ``(m,)``.
        eps: the budget.
        activation: of the hidden layer.
    """

    start: Tensor
    end: Tensor
    y: Tensor
    eps: float
    activation: Activation = "tanh"

    def at(self, rows: Tensor, time: Tensor) -> Tensor:
        """Parameters on line ``rows[i]`` at ``time[i]``, shape ``(n, 3 H + 1)``."""
        return self.start[rows] + time[:, None] * self.direction(rows)

    def direction(self, rows: Tensor) -> Tensor:
        """Change of the parameters per unit of time, ``(n, 3 H + 1)``."""
        return (self.end - self.start)[rows]

    def worst(self, rows: Tensor, time: Tensor) -> Worst:
        """The exact inner maximum there."""
        return worst_case(self.at(rows, time), torch.zeros_like(time), self.y[rows], self.eps, self.activation)

    def scan(self, edges: int) -> Scan:
        """Look for jumps on ``edges`` intervals of equal width on each line, once for the worst input and once for the
        gradient, and measure both at both places.
        """
        ends = torch.linspace(0, 1, edges + 1, dtype=self.start.dtype)
        n = len(self.start)
        rows, left, right = torch.arange(n).repeat_interleave(edges), ends[:-1].repeat(n), ends[1:].repeat(n)

        def place(quantity: str) -> Place:
            a, b, _ = closing_in(lambda i, t: getattr(self.worst(i, t), quantity), rows, left, right)
            before, after = self.worst(rows, a), self.worst(rows, b)
            return Place(a, b, (after.x - before.x).abs(), (after.gradient - before.gradient).norm(dim=1))

        return Scan(rows, place("x"), place("gradient"))


@dataclass(frozen=True)
class Place:
    """Where a search ended, one entry an interval, each ``(n,)``.

    Attributes:
        before: time just before the largest change.
        after: time just after it, about ``1e-13`` later.
        leap: change of the worst input between the two.
        jump: change of the gradient between the two, a Euclidean norm.
    """

    before: Tensor
    after: Tensor
    leap: Tensor
    jump: Tensor


CLEAR, NOTHING = 1e-3, 1e-6
"""A change across ``1e-13`` of a line that is a jump beyond doubt, and one that a continuous function can make."""


@dataclass(frozen=True)
class Scan:
    """What :meth:`Lines.scan` found.

    Attributes:
        rows: the line of each interval, ``(n,)``.
        by_input: where the worst input changes most.
        by_gradient: where the gradient changes most.
    """

    rows: Tensor
    by_input: Place
    by_gradient: Place

    def leaps(self) -> Tensor:
        """Whether the worst input clearly jumps, in each interval."""
        return self.by_input.leap > CLEAR

    def jumps(self) -> Tensor:
        """Whether the gradient clearly jumps, in each interval."""
        return self.by_gradient.jump > CLEAR

    def leaps_without_jump(self) -> Tensor:
        """Whether the worst input clearly jumps and the gradient does nothing there, in each interval."""
        return self.leaps() & ~(self.by_input.jump > NOTHING)

    def jumps_without_leap(self) -> Tensor:
        """Whether the gradient clearly jumps and the worst input does nothing there, in each interval."""
        return self.jumps() & ~(self.by_gradient.leap > NOTHING)


def one_sided_slope(f: Callable[[Tensor], Tensor], at: Tensor, step: float) -> Tensor:
    """Slope of ``f`` at ``at`` from values at ``at``, ``at + step`` and ``at + 2 step`` alone; of second order."""
    return (4 * f(at + step) - 3 * f(at) - f(at + 2 * step)) / (2 * step)


def scalar_cross_constant(p: Tensor) -> Tensor:
    """Largest ``|d/dx d/dtheta log(1 + exp(theta x))|`` over ``|theta x| <= p`` for one weight, elementwise; exact.

    It is ``s(m) + m s(m) s(-m)`` with ``m = theta x``, which rises up to the root 2.3994 of ``m tanh(m / 2) = 2``
    and reaches 1.0998 there: with a single weight the constant exists for unbounded parameters too.
    """
    m = p.clamp(max=2.399357280520468)
    return torch.sigmoid(m) * (1 + m * torch.sigmoid(-m))
