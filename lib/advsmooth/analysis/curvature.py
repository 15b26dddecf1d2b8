"""Curvature of a loss in parameter space: Hessian-vector products, top eigenpairs, trace (Liu et al., section 4.2).

A Hessian is an :class:`Operator`, known by its products with vectors; the algorithms know nothing else of it::

    hessian = curvature.model_hessian(model, x, y)              # of the clean loss
    hessian = curvature.model_hessian(model, x_adversarial, y)  # of the adversarial loss, examples frozen
    pairs = curvature.top_eigenpairs(hessian, 20, generator=settings.generator(0))
    curvature.tidy(pairs, scale=perturbations.loss_scale(...).mean().item())

Frozen examples give the Hessian of the loss at the adversarial examples of *these* parameters. The Hessian of the
adversarial loss itself has one more term, ``d2 loss / dtheta dx * dx'/dtheta``, where the examples move with the
parameters. It vanishes for the linear model under ``linf``, whose examples sit in the corners of the ball, and not
under ``l2`` (:func:`advsmooth.theory.linear.hessian`). Liu et al. do not say which they mean; their code freezes.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth.analysis.empirical import batches
from advsmooth.analysis.parameter_space import Point, buffers, flat, point, unflat
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy

Which = Literal["magnitude", "largest"]

# --- operators --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operator:
    """A symmetric matrix that is known by its products: ``operator @ v``.

    Attributes:
        product: maps a vector ``(size,)`` to the matrix times it.
        size: number of rows.
        dtype: of the vectors.
        device: of the vectors.
    """

    product: Callable[[Tensor], Tensor]
    size: int
    dtype: torch.dtype
    device: torch.device

    def __matmul__(self, vector: Tensor) -> Tensor:
        return self.product(vector)


def matrix(dense: Tensor) -> Operator:
    """The operator of a symmetric matrix ``(size, size)``."""
    return Operator(lambda v: dense @ v, len(dense), dense.dtype, dense.device)


def hessian(loss: Callable[[Point], Tensor], at: Point, *, linearised: bool = False) -> Operator:
    """The Hessian of a scalar loss of the parameters, by forward over reverse differentiation.

    Args:
        loss: maps a point (see :mod:`advsmooth.analysis.parameter_space`) to a scalar tensor.
        at: where; the vectors of the operator are ordered as ``flat(at)``.
        linearised: differentiate the gradient once and keep what does not depend on the vector. The products are
            the same and took half the time on a small convolutional network; the graph stays in memory.
    """
    slope = torch.func.grad(loss)

    def by_jvp(direction: Point) -> Point:
        return torch.func.jvp(slope, (at,), (direction,))[1]

    with _quiet():
        product = torch.func.linearize(slope, at)[1] if linearised else by_jvp

    def apply(vector: Tensor) -> Tensor:
        with _quiet():
            return flat(product(unflat(vector, at))).detach()

    first = next(iter(at.values()))
    return Operator(apply, sum(tensor.numel() for tensor in at.values()), first.dtype, first.device)


def total(parts: Sequence[Operator]) -> Operator:
    """The sum of operators of one size."""

    def apply(vector: Tensor) -> Tensor:
        result = parts[0] @ vector
        for part in parts[1:]:
            result = result + part @ vector
        return result

    return Operator(apply, parts[0].size, parts[0].dtype, parts[0].device)


def model_hessian(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    loss: Loss = cross_entropy,
    only: Collection[str] | None = None,
    batch: int = 1024,
    linearised: bool = False,
) -> Operator:
    """The Hessian of the mean loss over all of ``x``, in the parameters, eval mode, products added up over batches.

    It belongs to the parameters and buffers that the model has now: later changes of the model do not matter.

    Args:
        model: maps ``(n, ...)`` to logits ``(n, K)``.
        x: inputs, clean or adversarial; they are constants.
        y: labels.
        loss: per example.
        only: names of the parameters to differentiate in; all if not given.
        batch: examples at a time. It changes memory and rounding, nothing else.
        linearised: see :func:`hessian`; the graphs of all batches are kept.
    """
    here, fixed = point(model, only), {**point(model), **buffers(model)}

    def part(some: Tensor, labels: Tensor) -> Operator:
        def share(moving: Point) -> Tensor:
            return loss(torch.func.functional_call(model, {**fixed, **moving}, (some,)), labels).sum() / len(x)

        with frozen(model):
            return hessian(share, here, linearised=linearised)

    sum_of_batches = total([part(some, labels) for some, labels in batches(x, y, batch)])

    def apply(vector: Tensor) -> Tensor:
        with frozen(model):
            return sum_of_batches @ vector

    return Operator(apply, sum_of_batches.size, sum_of_batches.dtype, sum_of_batches.device)


def gauss_newton(model: nn.Module, x: Tensor, *, undecided: bool = False, batch: int = 1024) -> Operator:
    """The part of the cross-entropy's Hessian that comes from the softmax: the mean of ``J^T (diag p - p p^T) J``.

    ``J`` is the derivative of the logits of one example in the parameters, ``p`` its softmax; labels do not enter. The
    Hessian has one more term, the second derivatives of the logits weighted by ``p`` minus the label, which is small
    where the examples are fitted. Positive semidefinite, in eval mode.

    Args:
        model: maps ``(n, ...)`` to logits ``(n, K)``.
        x: inputs, clean or adversarial; they are constants.
        undecided: put ``p = 1 / K`` for every example. What is left measures how strongly the parameters move the
            logits, however sure the network is.
        batch: examples at a time; a graph of each is kept.
    """
    here, fixed = point(model), {**point(model), **buffers(model)}

    def part(some: Tensor) -> Operator:
        def logits(moving: Point) -> Tensor:
            return torch.func.functional_call(model, {**fixed, **moving}, (some,))

        with frozen(model):
            found, pull = torch.func.vjp(logits, here)[:2]
        p = torch.full_like(found, 1 / found.shape[1]) if undecided else found.detach().softmax(1)

        def apply(vector: Tensor) -> Tensor:
            with _quiet(), frozen(model):
                moved = torch.func.jvp(logits, (here,), (unflat(vector, here),))[1]
                weighted = p * (moved - (p * moved).sum(1, keepdim=True))
                return flat(pull(weighted)[0]).detach() / len(x)

        first = next(iter(here.values()))
        return Operator(apply, sum(tensor.numel() for tensor in here.values()), first.dtype, first.device)

    return total([part(some) for some, _ in batches(x, x, batch)])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch says of its own insides when forward mode or ``linearize`` is first used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated")
        warnings.filterwarnings("ignore", message="Attempted to insert a get_attr Node")
        yield


# --- algorithms -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues with what certifies them.

    Attributes:
        values: eigenvalues, the wanted end first, ``(k,)``, float64 on the CPU.
        vectors: unit eigenvectors as rows, ``(k, size)``, in the operator's dtype and on its device.
        residuals: ``|H v - lambda v|``, ``(k,)``, float64: some eigenvalue of ``H`` lies within it of ``lambda``.
        products: how many products with ``H`` were spent.
        converged: whether every residual met the tolerance.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    products: int
    converged: bool


def top_eigenpairs(
    operator: Operator,
    k: int,
    *,
    generator: torch.Generator,
    which: Which = "magnitude",
    tolerance: float = 1e-3,
    guard: int = 5,
    dimension: int | None = None,
    max_products: int = 1000,
) -> Eigenpairs:
    """The top ``k`` eigenpairs by the Lanczos method with full reorthogonalisation and thick restarts.

    Wu and Simon 2000. Every product is orthogonalised twice against the whole basis and all coefficients are kept, so
    the residuals are those of the pairs themselves, to rounding, and cost no further products. The iteration stops
    when each is at most ``tolerance |lambda|`` (or so small against ``|lambda_1|`` that rounding decides). The error
    of the eigenvalue is then at most that, and usually its square.

    A residual says that there is an eigenvalue, not that none above it was missed: the next ones can converge while one
    with a small share in the starting vector is still to come. So ``guard`` pairs beyond the ``k``-th must converge as
    well. Of 1500 random matrices (top 1 to 11 of 30 to 150 normal eigenvalues) 48 had one missed without a guard, 17
    with 1, and none with 5, for a third more products. An eigenvalue that is repeated *exactly* can still be found too
    few times, since a Krylov space sees one vector of each eigenspace; rounding, and the fresh start after an exhausted
    space, find the others.

    Args:
        operator: the matrix.
        k: how many.
        generator: for the starting vector.
        which: ``magnitude``, what the power iteration of the paper finds, or ``largest``, the algebraic top.
        tolerance: see above.
        guard: see above; at least 0.
        dimension: of the Krylov space before a restart, at least ``k + guard + 2``; memory is ``dimension + 1``
            vectors. ``2 (k + guard) + 20`` if not given, and at most the size.
        max_products: stop here in any case.

    Raises:
        ValueError: for a ``k``, ``dimension`` or ``which`` that is not allowed, or a product that is not finite.
    """
    size = operator.size
    wanted = min(size, k + guard)
    m = min(size, 2 * wanted + 20 if dimension is None else dimension)
    if not 1 <= k <= size or guard < 0 or (m < size and m < wanted + 2):
        raise ValueError(
            f"k={k!r}, guard={guard!r}, dimension={m}: allowed is 1 <= k <= {size}, guard >= 0, "
            "dimension >= k + guard + 2"
        )
    if which not in ("magnitude", "largest"):
        raise ValueError(f"which={which!r}: allowed is magnitude or largest")
    basis = torch.empty(m + 1, size, dtype=operator.dtype, device=operator.device)
    basis[0] = _fresh(basis[:0], generator)
    # H V_j = V_{j+1} record[:j+1, :j]: tridiagonal but for rounding, and an arrow after a restart.
    record = torch.zeros(m + 1, m, dtype=torch.float64)
    j = products = 0
    while True:
        exhausted = _extend(operator, basis, record, j, generator)
        j, products = j + 1, products + 1
        values, mixing, residuals = _ritz(record, j, which)
        floor = 100 * torch.finfo(operator.dtype).eps * values.abs().max()
        small = residuals[:wanted] <= torch.clamp(tolerance * values[:wanted].abs(), min=floor)
        # After a fresh start the new vector must first show what else there is.
        converged = j >= wanted and bool(small.all()) and (j == size or not exhausted)
        if converged or products >= max_products or j == size:
            break
        if j == m:
            j = _restart(basis, record, mixing, keep=wanted + (m - wanted) // 3)
    found = min(k, j)
    vectors = mixing[:, :found].T.to(basis) @ basis[:j]
    return Eigenpairs(values[:found], vectors, residuals[:found], products, converged)


def _fresh(basis: Tensor, generator: torch.Generator) -> Tensor:
    """A random unit vector orthogonal to the rows of ``basis``."""
    vector = torch.randn(basis.shape[1], generator=generator, dtype=torch.float64, device=generator.device).to(basis)
    for _ in range(2):
        vector = vector / vector.norm()
        vector = vector - (basis @ vector) @ basis
    return vector / vector.norm()


def _extend(operator: Operator, basis: Tensor, record: Tensor, j: int, generator: torch.Generator) -> bool:
    """Write the coefficients of ``H v_j`` into column ``j`` and the next vector into the basis.

    Returns:
        Whether the basis spans an invariant subspace, so that the next vector is a fresh one.
    """
    product = operator @ basis[j]
    size = product.norm().item()
    if not math.isfinite(size):
        raise ValueError(f"product {j} of the operator is not finite; check the loss and the parameters")
    record[:, j] = 0
    for _ in range(2):
        coefficients = basis[: j + 1] @ product
        product = product - coefficients @ basis[: j + 1]
        record[: j + 1, j] += coefficients.to(record)
    left = product.norm().item()
    scale = max(size, record[: j + 1, : j + 1].abs().max().item())
    exhausted = left <= 10 * torch.finfo(basis.dtype).eps * scale
    if not exhausted:
        record[j + 1, j] = left
        basis[j + 1] = product / left
    elif j + 1 < operator.size:
        basis[j + 1] = _fresh(basis[: j + 1], generator)
    return exhausted


def _ritz(record: Tensor, j: int, which: Which) -> tuple[Tensor, Tensor, Tensor]:
    """Ritz values, wanted first, their coordinates in the basis as columns, and their residual norms."""
    square = record[:j, :j]
    values, mixing = torch.linalg.eigh((square + square.T) / 2)
    order = (values.abs() if which == "magnitude" else values).argsort(descending=True, stable=True)
    values, mixing = values[order], mixing[:, order]
    left = record[: j + 1, :j] @ mixing
    left[:j] -= mixing * values
    return values, mixing, left.norm(dim=0)


def _restart(basis: Tensor, record: Tensor, mixing: Tensor, keep: int) -> int:
    """Replace the basis by its first ``keep`` Ritz vectors and the vector that would have come next."""
    j, kept = len(mixing), mixing[:, :keep]
    square, coupling = kept.T @ record[:j, :j] @ kept, record[j, :j] @ kept
    basis[:keep] = kept.T.to(basis) @ basis[:j]
    basis[keep] = basis[j]
    record.zero_()
    record[:keep, :keep] = square
    record[keep, :keep] = coupling
    return keep


@dataclass(frozen=True)
class Trace:
    """An estimate of a trace: the mean over random probes, its standard error, and their number."""

    value: float
    error: float
    probes: int


def trace(operator: Operator, *, probes: int, generator: torch.Generator) -> Trace:
    """Hutchinson's estimate of the trace: the mean of ``v . H v`` over random signs ``v``; one product each.

    Exact for a diagonal matrix. The variance of one probe is twice the sum of the squared off-diagonal entries.

    Raises:
        ValueError: for fewer than two probes, which have no standard error.
    """
    if probes < 2:
        raise ValueError(f"probes={probes!r}: a standard error needs at least 2")
    found = torch.empty(probes, dtype=torch.float64)
    for i in range(probes):
        signs = torch.randint(0, 2, (operator.size,), generator=generator, device=generator.device) * 2 - 1
        vector = signs.to(dtype=operator.dtype, device=operator.device)
        found[i] = torch.dot(vector, operator @ vector).item()
    return Trace(found.mean().item(), found.std().item() / math.sqrt(probes), probes)


def tidy(pairs: Eigenpairs, *, scale: float = 1.0) -> pd.DataFrame:
    """Eigenvalues as a table, one row each: ``rank`` from 1, ``eigenvalue``, ``residual``, ``normalised``.

    Liu et al. normalise by the scale of the loss, its mean at random parameters
    (:func:`advsmooth.analysis.perturbations.loss_scale`), so that a loss that is merely larger does not look sharper.

    Raises:
        ValueError: if the scale is not positive and finite.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale={scale!r}: allowed is a positive number, the mean loss at random parameters")
    columns = {
        "rank": range(1, len(pairs.values) + 1),
        "eigenvalue": pairs.values.numpy(),
        "residual": pairs.residuals.numpy(),
        "normalised": pairs.values.numpy() / scale,
    }
    return pd.DataFrame(columns)
