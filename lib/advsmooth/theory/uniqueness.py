"""Where minimisers of a Lipschitz-regularised loss agree (Finlay et al., lemma 4.6): the set of all of them.

On the data the set is described by its width in a direction, found by a second convex programme that knows nothing of
the first. Off the data, every minimiser with values ``u_i`` at the data and Lipschitz constant ``L`` lies between the
smallest and the largest extension, ``max_i (u_i - L |z - x_i|)`` and ``min_i (u_i + L |z - x_i|)``, and both are
minimisers (McShane 1934).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from advsmooth.theory.regularised import Minimiser


def extensions(found: Minimiser, at: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest and the largest extension of a minimiser's values with its own constant.

    Args:
        found: values that are numbers.
        at: points ``(m, d)``.

    Returns:
        Two of shape ``(m,)``.
    """
    lowest = -replace(found, values=-found.values)(at)
    return lowest, found(at)


def width(x: Tensor, y: Tensor, price: float, limit: float, direction: Tensor, *, loss: str = "squared") -> float:
    """How much ``1/n sum c_i u_i`` varies over the values ``u`` with ``J[u] <= limit``.

    ``J[u] = 1/n sum l(u_i, y_i) + price max |u_i - u_j| / |x_i - x_j|``. If the minimiser is unique, the width shrinks
    to 0 as ``limit`` falls to the minimum.

    Args:
        x: data ``(n, d)``, float64; all pairs are used, so ``n`` up to 50.
        y: labels ``(n,)``.
        price: ``lambda``.
        limit: of the objective, above its minimum.
        direction: ``c``, ``(n,)``.
        loss: ``squared`` or ``absolute``.

    Raises:
        ValueError: for another loss, or if the solver finds no such values.
    """
    import cvxpy  # takes a second, and only this function needs it

    if loss not in ("squared", "absolute"):
        raise ValueError(f"loss={loss!r}: allowed is squared, absolute")
    cp: Any = cvxpy
    i, j = torch.triu_indices(len(x), len(x), offset=1)
    distance = (x[i] - x[j]).norm(dim=1).numpy()
    u, constant = cp.Variable(len(x)), cp.Variable(nonneg=True)
    rise = u[i.numpy()] - u[j.numpy()]
    misfit = cp.sum_squares(u - y.numpy()) if loss == "squared" else cp.norm1(u - y.numpy())
    allowed = [rise <= constant * distance, -rise <= constant * distance]
    allowed += [misfit / len(x) + price * constant <= limit]
    ends = []
    for sense in (cp.Maximize, cp.Minimize):
        problem = cp.Problem(sense(direction.numpy() @ u / len(x)), allowed)
        problem.solve(solver="CLARABEL")
        if problem.value is None or problem.status not in ("optimal", "optimal_inaccurate"):
            raise ValueError(f"limit={limit!r}: the solver says {problem.status}; allowed is a limit above the minimum")
        ends.append(float(problem.value))
    return ends[0] - ends[1]
