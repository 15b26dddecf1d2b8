"""Perturbation stability: the mean first-order change of the output under a random perturbation.

Definition 1 of Zhu et al. 2022 (reconstructed: the formula is lost in the text at hand)::

    P(f, eps) = E || grad f(x)^T (x - xhat) ||_2,    xhat uniform in the l2 ball of radius eps around x,

over data ``x``, perturbations and, in the lazy regime, initialisations (:func:`over_initialisations`).
Definition 3 drops the initialisations and asks it of one network (:func:`perturbation_stability`).
"""

# ruff: noqa: N803 - L is the paper's own symbol

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advsmooth.attacks import ball
from advsmooth.attacks.isolation import frozen
from advsmooth.models import fcn

Function = Callable[[Tensor], Tensor]
"""A network: inputs ``(n, ...)`` to outputs ``(n, o)``, each output depending on its own input only."""


@dataclass(frozen=True)
class Estimate:
    """Monte Carlo estimates with standard errors over independent units (data points, or initialisations).

    Attributes:
        mean: of the norm, the perturbation stability itself.
        mean_error: its standard error.
        square: mean of the squared norm.
        square_error: its standard error.
        units: number of independent units averaged over.
    """

    mean: float
    mean_error: float
    square: float
    square_error: float
    units: int

    @property
    def rms(self) -> float:
        """Root mean square of the norm."""
        return math.sqrt(self.square)


def uniform_ball(
    n: int,
    shape: Sequence[int],
    eps: float,
    generator: torch.Generator,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
) -> Tensor:
    """``n`` points, uniform in the l2 ball of radius ``eps`` around 0 (:func:`~advsmooth.attacks.ball.uniform`).

    Returns:
        Tensor ``(n, *shape)``, drawn on the generator's device and moved to ``device`` if one is given.

    Raises:
        ValueError: if ``eps`` is negative or not finite.
    """
    ball.check_budget(eps, "l2", ball.UNBOUNDED)
    centre = torch.zeros(n, *shape, dtype=dtype, device=device or generator.device)
    return ball.uniform(centre, eps, "l2", generator, ball.UNBOUNDED)


def responses(f: Function, x: Tensor, r: Tensor) -> Tensor:
    """``||grad f(x_i)^T r_i||_2`` by Jacobian-vector products in forward mode, without the Jacobian.

    Args:
        f: see :data:`Function`; a module is used as it is (see :func:`perturbation_stability` for its mode).
        x: inputs ``(n, ...)``.
        r: perturbations of the same shape, or ``(k, n, ...)`` for ``k`` of them per input.

    Returns:
        Norms ``(n,)``, or ``(k, n)``, in the dtype and on the device of the output.

    Raises:
        ValueError: if the shapes do not match.
    """
    if r.shape not in (x.shape, (r.shape[0], *x.shape)):
        raise ValueError(f"r of shape {tuple(r.shape)}: allowed is {tuple(x.shape)} or (k, *{tuple(x.shape)})")

    x = x.contiguous()  # forward mode refuses an expanded tensor, whose entries share memory

    def product(single: Tensor) -> Tensor:
        return torch.func.jvp(f, (x,), (single,))[1].flatten(1)

    with torch.no_grad(), warnings.catch_warnings():  # no graph for the parameters; forward mode is not affected
        warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated")  # torch's own, on first use
        # vmap runs the network itself once for all k perturbations, and only the products k times.
        change = product(r) if r.shape == x.shape else torch.func.vmap(product)(r)
    return change.norm(dim=-1)


def perturbation_stability(
    f: Function | nn.Module,
    x: Tensor,
    eps: float,
    *,
    generator: torch.Generator,
    perturbations: int = 1,
    batch: int = 1024,
) -> Estimate:
    """Perturbation stability of one network over data (definition 3; definition 1 without its average over weights).

    The units of the standard errors are the data points, each averaged over its perturbations. A module is
    evaluated in eval mode; its flags are left as found and its parameters receive no gradient.

    Args:
        f: a network, or any function of inputs ``(n, ...)``; see :data:`Function`.
        x: data ``(n, ...)``, floating point, on the device of the network; at least two.
        eps: radius of the ball, in the units of ``x``.
        generator: for the perturbations.
        perturbations: how many per data point.
        batch: data points at a time.

    Raises:
        ValueError: for fewer than two data points, or a count below 1, or a bad ``eps``.
    """
    _require(x, perturbations=perturbations, batch=batch)
    first, second = [], []
    with frozen(f):
        for part in x.split(batch):
            n, shape = len(part), part.shape[1:]
            r = uniform_ball(perturbations * n, shape, eps, generator, dtype=x.dtype, device=x.device)
            norms = responses(f, part, r.reshape(perturbations, n, *shape)).double()
            first.append(norms.mean(0))
            second.append(norms.square().mean(0))
    return _estimate(torch.cat(first), torch.cat(second))


def over_initialisations(
    draw: Callable[[int, torch.Generator], Function],
    x: Tensor,
    eps: float,
    *,
    initialisations: int,
    generator: torch.Generator,
    batch: int = 1024,
) -> Estimate:
    """Perturbation stability with the average over initial weights (definition 1).

    Each unit is an independent triple of a network, one data point and one perturbation, so the standard
    errors are those of independent draws. See :func:`draw_responses`.
    """
    norms = draw_responses(draw, x, eps, initialisations=initialisations, generator=generator, batch=batch)
    return _estimate(norms, norms.square())


def draw_responses(
    draw: Callable[[int, torch.Generator], Function],
    x: Tensor,
    eps: float,
    *,
    initialisations: int,
    generator: torch.Generator,
    batch: int = 1024,
) -> Tensor:
    """The norms ``||grad f(x)^T r||_2`` of independent triples (network, data point, perturbation).

    Args:
        draw: ``draw(n, generator)`` draws ``n`` fresh networks and returns a function that sends input ``i``
            through network ``i``, such as :func:`advsmooth.models.fcn.ensemble`. It is called with at most
            ``batch`` networks at a time; a function that can only make one needs ``batch=1``.
        x: data ``(n, ...)``; data points are drawn from it with replacement.
        eps: radius of the ball, in the units of ``x``.
        initialisations: how many triples, at least two.
        generator: for the weights, the data points and the perturbations, in this order.
        batch: triples at a time.

    Returns:
        Norms ``(initialisations,)``, float64, on the device of ``x``.

    Raises:
        ValueError: for a count below 1, fewer than two initialisations, or a bad ``eps``.
    """
    if initialisations < 2:
        raise ValueError(f"initialisations={initialisations!r}: a standard error needs at least 2")
    _require(x, batch=batch, fewest=1)
    norms = []
    for start in range(0, initialisations, batch):
        n = min(batch, initialisations - start)
        f = draw(n, generator)
        chosen = torch.randint(len(x), (n,), generator=generator, device=generator.device).to(x.device)
        r = uniform_ball(n, x.shape[1:], eps, generator, dtype=x.dtype, device=x.device)
        with frozen(f):
            norms.append(responses(f, x[chosen], r).double())
    return torch.cat(norms)


def affordable(d: int, m: int, o: int, L: int, *, numbers: int, at_least: int = 1, at_most: int) -> int:
    """How many fully connected networks of this size ``numbers`` random weights pay for, within the given range."""
    weights = sum(rows * columns for rows, columns in fcn.shapes(d, m, o, L))
    return max(at_least, min(at_most, numbers // weights))


def initial_fcn(
    x: Tensor,
    m: int,
    o: int,
    L: int,
    scheme: str | fcn.Initialisation,
    *,
    initialisations: int,
    generator: torch.Generator,
    eps: float = 1.0,
    alpha: float = 1.0,
    numbers: int = 4_000_000,
) -> Tensor:
    """:func:`draw_responses` for fresh fully connected networks of width ``m``, ``o`` outputs and depth ``L``.

    Args:
        x: data ``(n, d)``.
        m: width.
        o: output dimension.
        L: depth.
        scheme: a name of :data:`advsmooth.models.fcn.SCHEMES` or the standard deviations.
        initialisations: how many networks, at least two.
        generator: for the weights, the data points and the perturbations.
        eps: radius of the ball, in the units of ``x``.
        alpha: output scale.
        numbers: weights held in memory at a time, which bounds the batch.

    Returns:
        Norms ``(initialisations,)``, float64.
    """
    d = x.shape[1]

    def draw(n: int, g: torch.Generator) -> Function:
        weights = fcn.draw_weights(d, m, o, L, scheme, g, networks=n, dtype=x.dtype, device=x.device)
        return fcn.ensemble(weights, alpha)

    batch = affordable(d, m, o, L, numbers=numbers, at_most=initialisations)
    return draw_responses(draw, x, eps, initialisations=initialisations, generator=generator, batch=batch)


def estimate(norms: Tensor) -> Estimate:
    """Mean and mean square, with standard errors, of independent norms ``(n,)``, at least two."""
    if norms.ndim != 1 or len(norms) < 2:
        raise ValueError(f"norms of shape {tuple(norms.shape)}: need (n,) with n at least 2")
    return _estimate(norms.double(), norms.double().square())


def _estimate(first: Tensor, second: Tensor) -> Estimate:
    n = len(first)
    root = math.sqrt(n)
    errors = first.std().item() / root, second.std().item() / root
    return Estimate(first.mean().item(), errors[0], second.mean().item(), errors[1], n)


def _require(x: Tensor, *, fewest: int = 2, **counts: int) -> None:
    if x.ndim < 2 or len(x) < fewest or not x.is_floating_point():
        raise ValueError(
            f"x of shape {tuple(x.shape)}, {x.dtype}: need at least {fewest} floating-point inputs, shape (n, ...)"
        )
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name}={value!r}: allowed is an integer, at least 1")
