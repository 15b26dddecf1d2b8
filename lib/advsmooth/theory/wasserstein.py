r"""Wasserstein-1 distances, exact, and the discrepancy of Finlay et al., lemma 4.10.

By Kantorovich duality the supremum of ``|1/n sum w(x_i) - int w rho|`` over all ``L``-Lipschitz ``w`` is ``L`` times
the Wasserstein-1 distance of the empirical measure and ``rho``. In one dimension the distance is the area between the
two distribution functions; in general it is a linear programme, solved here by HiGHS together with its dual, a
potential that attains the supremum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize, sparse
from torch import Tensor


def on_the_line(x: Tensor, y: Tensor, p: Tensor | None = None, q: Tensor | None = None) -> float:
    """The distance of two discrete measures on the line: the integral of ``|F_p - F_q|``.

    Args:
        x: atoms of the first measure, ``(m,)``.
        y: atoms of the second, ``(n,)``.
        p: their masses, ``(m,)``, which add up to 1; equal if not given.
        q: ``(n,)``.

    Raises:
        ValueError: for masses that are negative or do not add up to 1, or shapes that do not match.
    """
    p, q = _masses(x[:, None], p), _masses(y[:, None], q)
    atoms, order = torch.cat([x, y]).double().cpu().sort()
    jumps = torch.cat([p, -q])[order]
    return (jumps.cumsum(0)[:-1].abs() * atoms.diff()).sum().item()


def to_uniform(x: Tensor, low: float = 0.0, high: float = 1.0) -> float:
    """The distance of the empirical measure of ``x (n,)`` and the uniform measure on ``[low, high]``, in closed form.

    Between two order statistics the empirical distribution function is constant and the uniform one a straight line, so
    the area between them is two triangles or a trapezium.

    Raises:
        ValueError: if a point lies outside the interval, or there is none.
    """
    if not low < high or len(x) == 0 or not bool(((x >= low) & (x <= high)).all()):
        raise ValueError(f"{len(x)} points, low={low!r}, high={high!r}: allowed is at least one, all in [low, high]")
    t = ((x.double() - low) / (high - low)).sort().values
    edges = torch.cat([t.new_zeros(1), t, t.new_ones(1)])
    height = torch.arange(len(t) + 1, dtype=torch.float64, device=t.device) / len(t)

    def area_up_to(s: Tensor) -> Tensor:  # the integral of |height - t| from height to s, with the sign of s - height
        return (s - height) * (s - height).abs() / 2

    return (high - low) * (area_up_to(edges[1:]) - area_up_to(edges[:-1])).sum().item()


@dataclass(frozen=True)
class Transport:
    """An optimal transport plan and the potential that proves it optimal.

    Attributes:
        distance: its cost, the Wasserstein-1 distance to the solver's precision.
        plan: mass moved from each atom of the first to each of the second measure, ``(m, n)``, float64.
        first: values of a 1-Lipschitz potential at the atoms of the first measure, ``(m,)``, float64.
        second: at those of the second, ``(n,)``.
        bound: the difference of its means, at most the distance for *any* 1-Lipschitz potential.
    """

    distance: float
    plan: Tensor
    first: Tensor
    second: Tensor
    bound: float

    @property
    def gap(self) -> float:
        """``distance - bound``; zero up to rounding."""
        return self.distance - self.bound


def transport(x: Tensor, y: Tensor, p: Tensor | None = None, q: Tensor | None = None) -> Transport:
    """The distance of two discrete measures in any dimension, Euclidean cost, by linear programming.

    Args:
        x: atoms of the first measure, ``(m, d)``.
        y: atoms of the second, ``(n, d)``; ``m n`` up to about 10^5 is a matter of seconds.
        p: their masses, ``(m,)``, which add up to 1; equal if not given.
        q: ``(n,)``.

    Raises:
        ValueError: for masses that are negative or do not add up to 1, shapes that do not match, or a failing solver.
    """
    p, q = _masses(x, p), _masses(y, q)
    cost = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist").cpu()
    m, n = cost.shape
    leaving = sparse.kron(sparse.eye_array(m), np.ones((1, n)))
    arriving = sparse.kron(np.ones((1, m)), sparse.eye_array(n))
    solved = optimize.linprog(
        cost.flatten().numpy(),
        A_eq=sparse.vstack([leaving, arriving]).tocsr(),
        b_eq=torch.cat([p, q]).numpy(),
        method="highs",
        # The tightest it takes; with the default, 1e-7, the plan may miss the masses by that much.
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not solved.success:
        raise ValueError(f"the solver says {solved.message!r} for {m} and {n} atoms; are the masses equal in total?")
    # From the multipliers of the second measure, a function that is 1-Lipschitz everywhere, by construction.
    second = torch.from_numpy(np.asarray(solved.eqlin.marginals)[m:])
    at_first = (cost - second).amin(1)
    at_second = (torch.cdist(y.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist").cpu() - second).amin(
        1
    )
    bound = (p @ at_first - q @ at_second).item()
    plan = torch.from_numpy(np.asarray(solved.x)).reshape(m, n)
    return Transport((plan * cost).sum().item(), plan, at_first, at_second, bound)


@dataclass(frozen=True)
class Bracket:
    """A number between two bounds."""

    low: float
    high: float


def to_uniform_cube(x: Tensor, cells: int) -> Bracket:
    """The distance of the empirical measure of ``x (n, d)`` and the uniform measure on the unit cube, bracketed.

    The cube is cut into ``cells^d`` equal cubes with all mass at their centres. This measure is a known distance from
    the uniform one (each cell's mass moves to its centre, and no plan is cheaper), so the triangle inequality brackets.

    Args:
        x: points in the unit cube.
        cells: along each side; the bracket is ``2 h`` times the mean distance to the centre of a unit cube wide,
            ``h = 1 / cells`` (0.25, 0.383, 0.480 in one, two and three dimensions).

    Raises:
        ValueError: if a point lies outside the cube, or ``cells`` is below 1.
    """
    if cells < 1 or x.ndim != 2 or len(x) == 0 or not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError(
            f"x of shape {tuple(x.shape)}, cells={cells!r}: allowed is points of the unit cube, cells >= 1"
        )
    side = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    centres = torch.cartesian_prod(*[side] * x.shape[1]).reshape(-1, x.shape[1])
    found = transport(x.cpu(), centres)
    own = mean_distance_to_centre(x.shape[1]) / cells
    return Bracket(max(found.bound - own, 0.0), found.distance + own)


def mean_distance_to_centre(d: int) -> float:
    """The mean Euclidean distance of a uniform point of the unit cube in ``d <= 4`` dimensions to its centre.

    The cube consists of ``2 d`` pyramids over its faces, on which the distance is homogeneous. Integrated along the
    rays, it is ``d / (2 (d + 1))`` times the mean of ``sqrt(1 + |w|^2)`` over ``w`` in ``[0, 1]^(d - 1)``, a smooth
    function.
    """
    if not 1 <= d <= 4:
        raise ValueError(f"d={d!r}: allowed is 1 to 4")
    nodes, weights = np.polynomial.legendre.leggauss(20)
    squares = np.zeros(1)
    share = np.ones(1)
    for _ in range(d - 1):
        squares = np.add.outer(squares, ((nodes + 1) / 2) ** 2).ravel()
        share = np.multiply.outer(share, weights / 2).ravel()
    return d / (2 * (d + 1)) * float(share @ np.sqrt(1 + squares))


def _masses(atoms: Tensor, masses: Tensor | None) -> Tensor:
    if atoms.ndim != 2 or len(atoms) == 0:
        raise ValueError(f"atoms of shape {tuple(atoms.shape)}: allowed is (m, d) with m >= 1, or (m,) on the line")
    if masses is None:
        return torch.full((len(atoms),), 1 / len(atoms), dtype=torch.float64)
    masses = masses.double().cpu()
    if masses.shape != atoms.shape[:1] or not bool((masses >= 0).all()) or abs(masses.sum().item() - 1) > 1e-9:
        raise ValueError(f"masses {tuple(masses.shape)} of sum {masses.sum().item():g}: allowed is (m,), >= 0, sum 1")
    return masses / masses.sum()
