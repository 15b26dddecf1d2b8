"""What happens inside one step of EntropySGD: its Langevin iterates, and the factor of its second-order form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from advsmooth import settings
from advsmooth.training import loop
from advsmooth.training.entropysgd import EntropySGD, SecondOrderEntropySGD
from advsmooth.training.outer_step import flat
from advsmooth.training.recipe import Optimiser
from advsmooth.training.runs import Run


def walk(loss: Callable[[Tensor], Tensor], start: Tensor, *, steps: int, seed: int = 0, **options: Any) -> Tensor:
    """The Langevin iterates ``t_0 = theta, t_1, ..., t_steps`` of one step of :class:`EntropySGD`.

    A loss with its sign flipped gives lines 10 and 11 of algorithm 1 as printed.

    Args:
        loss: of a parameter of the shape of ``start``; summed over its components if it returns several.
        start: ``theta``; its components are independent walks if the loss is a sum over them.
        steps: ``L``.
        seed: of the noise.
        options: of :class:`EntropySGD`, such as ``scope`` and ``inner_lr``.

    Returns:
        ``(steps + 1, *start.shape)``, detached.
    """
    theta, seen = torch.nn.Parameter(start.clone()), []

    def closure() -> Tensor:
        seen.append(theta.detach().clone())
        theta.grad = None
        value = loss(theta).sum()
        value.backward()
        return value

    EntropySGD([theta], langevin=steps + 1, generator=settings.generator(seed), **options).step(closure)
    return torch.stack(seen)


def scope_times_variance(run: Run) -> pd.DataFrame:
    """Train, and note ``gamma variance`` of every parameter in every step: what sets ``gamma h`` apart from 1.

    Args:
        run: one whose last optimiser is :class:`SecondOrderEntropySGD`.

    Returns:
        One row per outer step: ``step`` from 1, and ``largest`` and ``mean`` over all parameters.

    Raises:
        ValueError: for a run with another optimiser.
    """
    last = run.recipe.optimisers[-1]
    if last.kind is not SecondOrderEntropySGD:
        raise ValueError(f"{last.kind.__name__}: only second-order EntropySGD has a variance to watch")
    seen: list[Tensor] = []

    class Watched(SecondOrderEntropySGD):
        def _towards(self, group: dict[str, Any], mean: Tensor, square: Tensor) -> Tensor:
            seen.append(group["scope"] * (square - mean.square()).clamp_min(0).flatten())
            return super()._towards(group, mean, square)

    optimisers = (*run.recipe.optimisers[:-1], Optimiser(Watched, last.options, start=last.start))
    model = run.fresh()
    parts = len(list(model.parameters()))
    loop.train(model, run.data, replace(run.recipe, optimisers=optimisers, keep=()), seed=run.seed)
    steps = [torch.cat(seen[k : k + parts]) for k in range(0, len(seen), parts)]
    rows = [(k, float(values.max()), float(values.mean())) for k, values in enumerate(steps, 1)]
    return pd.DataFrame(rows, columns=["step", "largest", "mean"])


def without_entropy(run: Run) -> float:
    """How much scope and noise matter to the first outer step of EntropySGD.

    Args:
        run: one whose first optimiser is :class:`EntropySGD`.

    Returns:
        The distance between the weights after that step with and without them (scope and noise 1e-12), relative to the
        length of the step. The mini-batches, the attacks' random starts and the first weights are the same.

    Raises:
        ValueError: for a run with another optimiser.
    """
    return _apart(run, {"scope": 1e-12, "noise": 1e-12})


def nudged(run: Run, size: float = 1e-7) -> float:
    """How far the first outer step ends from where it did if it starts from weights changed at random by ``size``.

    The control of :func:`without_entropy`: where training amplifies a change at the level of rounding to the length of
    the step, such a distance says nothing about scope and noise.

    Args:
        run: one whose first optimiser is :class:`EntropySGD`.
        size: standard deviation of the change of each weight.

    Raises:
        ValueError: for a run with another optimiser.
    """
    return _apart(run, {}, size)


def _apart(run: Run, changed: Mapping[str, float], nudge: float = 0.0) -> float:
    first = run.recipe.optimisers[0]
    if not issubclass(first.kind, EntropySGD):
        raise ValueError(f"{first.kind.__name__}: only EntropySGD has a scope and noise to leave out")
    fresh = flat(run.fresh())
    ends = []
    for options, size in (({}, 0.0), (changed, nudge)):
        optimiser = replace(first, options={**first.options, **options})
        short = replace(
            run.recipe,
            epochs=None,
            steps=first.options["langevin"],
            optimisers=(optimiser,),
            held_out=0,
            validation=None,
            keep=(),
        )
        model, g = run.fresh(), torch.Generator().manual_seed(run.seed)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(size * torch.randn(p.shape, generator=g))
        loop.train(model, run.data, short, seed=run.seed)
        ends.append(flat(model))
    return float((ends[1] - ends[0]).norm() / (ends[0] - fresh).norm())
