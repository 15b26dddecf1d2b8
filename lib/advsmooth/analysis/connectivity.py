"""Bezier curves of low loss between two trained models (Liu et al., appendix C.2.5, equation 30).

    B(t) = sum over i of binomial(n, i) (1 - t)^(n - i) t^i theta_i,    t in [0, 1],

from ``theta_0`` to ``theta_n``, the parameters of the two models. The points between are trained by SGD on the expected
loss at uniform ``t`` (Garipov et al. 2018), one ``t`` a mini-batch::

    curve = connectivity.fit(first, last, x, y, CurveFit(order=2), attack=attack, seed=0)
    table = connectivity.losses_along(curve, t, statistics=x, x=x, y=y, attack=attack)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from advsmooth import settings
from advsmooth.analysis.empirical import Attack, example_losses, zero_one
from advsmooth.analysis.parameter_space import Point, point
from advsmooth.attacks.losses import Loss, cross_entropy


@dataclass(frozen=True)
class CurveFit:
    """How the control points are trained.

    The defaults are those of Liu et al.'s CIFAR-10 curves, except the order (fourth there, second for MNIST).

    Attributes:
        order: ``n``; 1 is the straight line, and nothing is trained.
        epochs: passes over the data.
        batch: examples of a mini-batch.
        learning_rate: of SGD.
        momentum: of SGD.
        weight_decay: of SGD, on the control points.
        drops: epochs after which the learning rate is divided by 10.
    """

    order: int = 2
    epochs: int = 200
    batch: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-6
    drops: tuple[int, ...] = (100, 150)

    def __post_init__(self) -> None:
        if self.order < 1 or self.epochs < 0 or self.batch < 1 or not 0 < self.learning_rate < math.inf:
            raise ValueError(f"{self}: allowed is order >= 1, epochs >= 0, batch >= 1, learning_rate > 0")


def bernstein(order: int, t: float) -> list[float]:
    """``binomial(n, i) (1 - t)^(n - i) t^i`` for ``i = 0 ... n``; they add up to 1.

    Raises:
        ValueError: for ``t`` outside [0, 1].
    """
    if not 0 <= t <= 1:
        raise ValueError(f"t={t!r}: allowed is a number from 0 to 1")
    return [math.comb(order, i) * (1 - t) ** (order - i) * t**i for i in range(order + 1)]


@dataclass(frozen=True)
class Curve:
    """A Bezier curve in the parameter space of one architecture.

    Attributes:
        model: a model of that architecture, for its modules and buffers; its parameters do not matter.
        controls: ``theta_0 ... theta_n``.
    """

    model: nn.Module
    controls: tuple[Point, ...]

    def at(self, t: float) -> Point:
        """The parameters ``B(t)``; those of the two models at 0 and 1, bit for bit."""
        return _combine(bernstein(len(self.controls) - 1, t), self.controls)

    def model_at(self, t: float, statistics: Tensor | None = None, *, batch: int = 1024) -> nn.Module:
        """A new model with parameters ``B(t)``, in eval mode.

        Args:
            t: from 0 to 1.
            statistics: inputs from which the running statistics of batch norms are estimated anew. Those that
                ``model`` came with do not belong to other parameters.
            batch: of these inputs at a time.

        Raises:
            ValueError: for a model with batch norms and no ``statistics``.
        """
        model = copy.deepcopy(self.model).eval()
        place = self.at(t)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(place[name])
        if _batch_norms(model):
            if statistics is None:
                raise ValueError("statistics=None: a model with batch norms needs inputs to estimate them from")
            reestimate_batch_norm(model, statistics, batch=batch)
        return model


def _combine(weights: Sequence[float], points: Sequence[Point]) -> Point:
    used = [(w, p) for w, p in zip(weights, points, strict=True) if w != 0]
    return {name: sum((w * p[name] for w, p in used[1:]), used[0][0] * used[0][1][name]) for name in points[0]}


def _batch_norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]


def reestimate_batch_norm(model: nn.Module, x: Tensor, *, batch: int = 1024) -> None:
    """Replace the running statistics of all batch norms by the averages over the batches of ``x``, in place.

    Only the batch norms are in train mode meanwhile; the flags of all modules are left as found. With one batch, the
    mean is that of the data and the variance its unbiased estimate.

    Args:
        model: its other modules are in eval mode here.
        x: inputs ``(n, ...)``, at least two.
        batch: inputs at a time; a last batch of one input is joined to the one before.
    """
    norms = _batch_norms(model)
    flags = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    parts = list(x.split(batch))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    try:
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for the plain average over batches
            norm.train()
        with torch.no_grad():
            for part in parts:
                model(part)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in flags:
            module.training = training


def fit(
    first: nn.Module,
    last: nn.Module,
    x: Tensor,
    y: Tensor,
    how: CurveFit,
    *,
    loss: Loss = cross_entropy,
    attack: Attack | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    seed: int = 0,
) -> Curve:
    """Train the control points between two models so that the mean loss over the curve is small.

    The points start on the straight line. No running statistics belong to a whole curve, so while it is trained batch
    norms use those of the mini-batch, inside the attack too. Both models are left as found.

    Args:
        first: the model at ``t = 0``.
        last: the model at ``t = 1``, of the same architecture.
        x: training inputs, on the device of the models.
        y: labels.
        how: order, epochs and optimiser.
        loss: per example.
        attack: if given, the adversarial loss; it meets the model at ``B(t)``.
        augment: maps a mini-batch and a generator to an augmented one.
        seed: of the order of examples, of ``t``, of the augmentation and of the attack.

    Raises:
        ValueError: if the parameters of the two models differ in name or shape.
    """
    ends = point(first), point(last)
    shapes = [{name: tuple(value.shape) for name, value in end.items()} for end in ends]
    if shapes[0] != shapes[1]:
        name = next(n for n in [*shapes[0], *shapes[1]] if shapes[0].get(n) != shapes[1].get(n))
        raise ValueError(f"parameter {name!r} differs between the two models: a curve needs one architecture")
    line = [_combine([1 - i / how.order, i / how.order], ends) for i in range(how.order + 1)]
    inner = [{name: value.requires_grad_() for name, value in control.items()} for control in line[1:-1]]
    if inner:
        _train(_without_running_statistics(first), (ends[0], *inner, ends[1]), x, y, how, loss, attack, augment, seed)
    controls = (ends[0], *({n: v.detach() for n, v in control.items()} for control in inner), ends[1])
    return Curve(copy.deepcopy(first), controls)


def _without_running_statistics(model: nn.Module) -> nn.Module:
    """A copy in eval mode whose batch norms use the statistics of the batch."""
    model = copy.deepcopy(model).eval()
    for norm in _batch_norms(model):
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    return model


def _train(
    model: nn.Module,
    controls: tuple[Point, ...],
    x: Tensor,
    y: Tensor,
    how: CurveFit,
    loss: Loss,
    attack: Attack | None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None,
    seed: int,
) -> None:
    generator, own = settings.generator(seed), settings.generator(seed, str(x.device))
    trained = [value for control in controls[1:-1] for value in control.values()]
    optimiser = torch.optim.SGD(trained, how.learning_rate, how.momentum, weight_decay=how.weight_decay)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(how.drops), gamma=0.1)
    parameters = dict(model.named_parameters())
    for _ in range(how.epochs):
        for chosen in torch.randperm(len(x), generator=generator).to(x.device).split(how.batch):
            some, labels = x[chosen], y[chosen]
            t = torch.rand((), generator=generator, dtype=torch.float64).item()
            place = _combine(bernstein(how.order, t), controls)
            if augment is not None:
                some = augment(some, own)
            if attack is not None:
                with torch.no_grad():
                    for name, value in place.items():
                        parameters[name].copy_(value)
                some = attack(model, some, labels, generator=own)
            optimiser.zero_grad()
            loss(torch.func.functional_call(model, place, (some,)), labels).mean().backward()
            optimiser.step()
        schedule.step()


def losses_along(
    curve: Curve,
    t: Sequence[float],
    *,
    statistics: Tensor,
    x: Tensor,
    y: Tensor,
    loss: Loss = cross_entropy,
    attack: Attack | None = None,
    seed: int = 0,
    batch: int = 1024,
) -> pd.DataFrame:
    """Loss and error along a curve (Liu et al., figure 15), batch norms estimated anew at each point.

    Args:
        curve: from :func:`fit`.
        t: places on the curve.
        statistics: training inputs, for the batch norms; without augmentation.
        x: inputs to evaluate on.
        y: labels.
        loss: per example.
        attack: if given, loss and error are those at the adversarial examples found at each place.
        seed: of the attack, the same at each place.
        batch: examples at a time.

    Returns:
        One row per place: ``t, loss, error`` (share of examples, 0 to 1).
    """
    rows = []

    def both(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([loss(logits, labels), zero_one(logits, labels)], dim=1)

    for place in t:
        model = curve.model_at(place, statistics, batch=batch)
        found = example_losses(model, x, y, loss=both, attack=attack, seed=seed, batch=batch)
        rows.append((place, *found.double().mean(0).tolist()))
    return pd.DataFrame(rows, columns=["t", "loss", "error"])


def barrier(table: pd.DataFrame) -> float:
    """The largest loss along a curve above the larger of its ends; 0 if no place lies higher.

    Args:
        table: of :func:`losses_along`, with ``t = 0`` and ``t = 1`` among its places.

    Raises:
        ValueError: if an end is missing.
    """
    ends = table.loc[table["t"].isin([0.0, 1.0]), "loss"]
    if not {0.0, 1.0} <= set(table["t"]):
        raise ValueError(f"t from {table['t'].min()} to {table['t'].max()}: a barrier needs the two ends, 0 and 1")
    return float(table["loss"].max() - ends.max())
