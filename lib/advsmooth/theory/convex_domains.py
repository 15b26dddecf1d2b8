r"""The Lipschitz constant and the largest gradient norm: equal on convex domains only (Finlay et al., equation 2.3).

On a convex domain a difference of values is the integral of the gradient along the segment between the points. Where
the segment leaves the domain that argument fails: :func:`slit_annulus_constant` is the Lipschitz constant of the polar
angle on ``{1 <= r <= 2, 0 <= angle <= opening}``, whose gradient norm ``1 / r`` never exceeds 1.

For a network of one hidden ReLU layer on a box both numbers are found exactly: it is affine on the cells of an
arrangement of hyperplanes, and a linear programme says which cells meet the box.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize
from torch import Tensor


@dataclass(frozen=True)
class Pieces:
    """The affine pieces of a one-hidden-layer ReLU network on a box.

    Attributes:
        centres: a point inside each piece, ``(m, d)``; the centre of a largest inscribed ball.
        radii: of these balls, ``(m,)``.
        jacobians: of each piece, ``(m, K, d)``.
    """

    centres: Tensor
    radii: Tensor
    jacobians: Tensor

    @property
    def gradient_norms(self) -> Tensor:
        """Operator norm of each Jacobian, Euclidean to maximum norm: its longest row, ``(m,)``."""
        return self.jacobians.norm(dim=2).amax(1)


def pieces(b: Tensor, c: Tensor, a: Tensor, *, low: float = 0.0, high: float = 1.0, least: float = 1e-7) -> Pieces:
    """All affine pieces of ``x -> A relu(B x + c)`` that meet the inside of the box ``[low, high]^d``.

    Args:
        b: ``B``, ``(H, d)``, float64, no row zero.
        c: ``(H,)``.
        a: ``A``, ``(K, H)``.
        low: of the box.
        high: of the box.
        least: pieces without a ball of this radius are left out.

    Raises:
        ValueError: for more than 12 units, whose ``2^H`` sign patterns are too many to try.
    """
    units, d = b.shape
    if units > 12:
        raise ValueError(f"{units} hidden units: all sign patterns are tried; allowed are at most 12")
    found = []
    lengths = b.norm(dim=1).numpy()
    box = np.concatenate([np.eye(d), -np.eye(d)])
    for pattern in itertools.product((0.0, 1.0), repeat=units):
        side = 2 * np.array(pattern) - 1  # side (B x + c) >= radius |B_j|
        table = np.concatenate(
            [np.c_[-side[:, None] * b.numpy(), lengths], np.c_[box, np.ones(2 * d)]],
        )
        right = np.concatenate([side * c.numpy(), np.full(d, high), np.full(d, -low)])
        limits = [(None, None)] * d + [(0, None)]
        solved = optimize.linprog([0.0] * d + [-1.0], A_ub=table, b_ub=right, bounds=limits, method="highs")
        if solved.status == 0 and solved.x[-1] > least:
            found.append((solved.x, pattern))
    points = torch.tensor(np.array([point for point, _ in found]))
    on = torch.tensor([pattern for _, pattern in found], dtype=torch.float64)
    return Pieces(points[:, :-1], points[:, -1], (a[None] * on[:, None]) @ b)


def steepest_pair(some: Pieces) -> tuple[Tensor, Tensor]:
    """Two points of the steepest piece whose difference quotient is its gradient norm, each ``(d,)``."""
    k = int(some.gradient_norms.argmax())
    row = some.jacobians[k][some.jacobians[k].norm(dim=1).argmax()]
    step = 0.9 * some.radii[k] * row / row.norm()
    return some.centres[k] - step, some.centres[k] + step


def polar_angle(points: Tensor) -> Tensor:
    """The angle in ``[0, 2 pi)`` of points ``(n, 2)``."""
    angle = torch.atan2(points[:, 1], points[:, 0])
    return torch.where(angle < 0, angle + 2 * math.pi, angle)


def slit_annulus_constant(opening: float) -> float:
    """Lipschitz constant of the polar angle on ``{1 <= r <= 2, 0 <= angle <= opening}``, ``0 < opening < 2 pi``.

    Points with radii ``r, s >= 1`` at an angle ``a`` have ``|x - y|^2 = (r - s)^2 + 4 r s sin^2(a/2)``, least at
    ``r = s = 1``; and ``a / (2 sin(a/2))`` increases in ``a``, so the two ends of the opening decide.

    Raises:
        ValueError: for an opening out of range.
    """
    if not 0 < opening < 2 * math.pi:
        raise ValueError(f"opening={opening!r}: allowed is an angle between 0 and 2 pi")
    return opening / (2 * math.sin(opening / 2))
