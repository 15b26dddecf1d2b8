"""Many small networks trained in one vectorised pass: seeds, widths, learning rates and budgets of a sweep.

:func:`train_together` does what :func:`advsmooth.training.loop.train` does for each network on its own, with the same
order of the data and the same random starts, so the results agree up to rounding. Most of the time of a small network
goes into starting its operations; stacked along a new first axis, twenty of them cost little more than one. Networks of
different architectures fall into groups that are trained one after the other.

Supported are standard and adversarial training (PGD with one start) by SGD with momentum or by Adam.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from advsmooth.attacks import ball
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.losses import Loss, cross_entropy
from advsmooth.data import Dataset
from advsmooth.models.fcn import FCN
from advsmooth.training.batches import Order, generators
from advsmooth.training.loop import Measure, Trained
from advsmooth.training.objectives import AdversarialTraining, Standard
from advsmooth.training.recipe import Recipe

Forward = Callable[[Sequence[Tensor], Tensor], Tensor]
"""Stacked parameters and inputs ``(members, n, ...)`` to logits ``(members, K, n)``, the layout of the fast kernels."""

_SHARED = ("epochs", "steps", "batch", "drop_last", "per_step", "optimisers")
_OWN = ("objective", "rate", "budget")
_OPTIMISERS: dict[type, set[str]] = {
    torch.optim.SGD: {"momentum", "weight_decay"},
    torch.optim.Adam: {"betas", "eps", "weight_decay"},
}
_COLUMNS = ("step", "rate", "budget", "loss", "accuracy", "gradient_norm")


def train_together(
    models: Sequence[nn.Module],
    data: Dataset,
    recipes: Sequence[Recipe],
    *,
    seeds: Sequence[int],
    measures: Mapping[str, Measure] | None = None,
) -> list[Trained]:
    """Train networks in place, each by its own recipe and seed, in one pass per group of equal architecture.

    Args:
        models: networks without batch norm and dropout, on the device of the data, in train mode.
        data: training data.
        recipes: one for each; they may differ in ``rate``, ``budget`` and the budget and step size of the attack.
        seeds: one for each, as of :func:`~advsmooth.training.loop.train`.
        measures: further numbers of each network at the end of each epoch, by column name.

    Returns:
        What :func:`~advsmooth.training.loop.train` returns for each; ``seconds`` is the time of the whole group.

    Raises:
        ValueError: for a network or a recipe that cannot be trained this way; the message says why.
    """
    if not len(models) == len(recipes) == len(seeds) > 0:
        raise ValueError(
            f"{len(models)} models, {len(recipes)} recipes, {len(seeds)} seeds: give one of each, at least 1"
        )
    for recipe in recipes:
        _check_recipe(recipe, recipes[0])
    groups: dict[Any, list[int]] = defaultdict(list)
    for k, model in enumerate(models):
        _check_model(model, data)
        groups[_architecture(model)].append(k)
    trained: dict[int, Trained] = {}
    for chosen in groups.values():
        group = _Group([models[k] for k in chosen], data, [recipes[k] for k in chosen], [seeds[k] for k in chosen])
        trained |= zip(chosen, group.train(measures or {}), strict=True)
    return [trained[k] for k in range(len(models))]


class _Group:
    """Networks of one architecture, stacked."""

    def __init__(
        self, models: Sequence[nn.Module], data: Dataset, recipes: Sequence[Recipe], seeds: Sequence[int]
    ) -> None:
        self.models, self.data, self.recipes = models, data, recipes
        self.recipe = recipes[0]
        sources = [generators(seed, data.x.device) for seed in seeds]
        self.starts = [source["attack"] for source in sources]
        self.orders = [Order(len(data), self.recipe.batch, self.recipe.drop_last, s["order"]) for s in sources]
        self.batches = self.orders[0].batches
        self.total = self.recipe.steps or (self.recipe.epochs or 0) * self.batches
        self.forward = stacked_forward(models)
        self.weights = [torch.stack(list(p)).detach() for p in zip(*(m.parameters() for m in models), strict=True)]
        self.states: list[dict[str, Tensor]] = [{} for _ in self.weights]
        self.options = self.recipe.optimisers[0].options
        self.direction = self._adam if self.recipe.optimisers[0].kind is torch.optim.Adam else self._momentum
        self.consumed = 0

    def train(self, measures: Mapping[str, Measure]) -> list[Trained]:
        """All epochs; the tables and models of each member."""
        steps: list[Tensor] = []
        epochs: list[Tensor] = []
        while self.consumed < self.total:
            started = time.perf_counter()
            last = min((len(epochs) + 1) * self.batches, self.total)
            rows = torch.stack([self.step() for _ in range(self.consumed, last)]).cpu()
            self.write_back()
            measured = [[float(measure(model)) for model in self.models] for measure in measures.values()]
            # An epoch is described by the step, rate and budget of its end, and by means over its steps.
            ends = [
                rows[-1, :3],
                rows[:, 3:5].mean(0),
                torch.tensor(measured, dtype=rows.dtype).reshape(-1, rows.shape[2]),
            ]
            took = torch.full((1, rows.shape[2]), time.perf_counter() - started, dtype=rows.dtype)
            steps.append(rows)
            epochs.append(torch.cat([*ends, took]))
        of_step = [k for k, rows in enumerate(steps, 1) for _ in rows]
        of_epoch, end_columns = list(range(1, len(epochs) + 1)), [*_COLUMNS[:5], *measures, "seconds"]
        all_steps, all_epochs = torch.cat(steps), torch.stack(epochs)
        return [
            Trained(
                model,
                None,
                (),
                _table(all_steps[:, :, k], _COLUMNS, of_step, ("step", "epoch")),
                _table(all_epochs[:, :, k], end_columns, of_epoch, ("epoch", "step")),
                "held_out_accuracy",
            )
            for k, model in enumerate(self.models)
        ]

    def step(self) -> Tensor:
        """One mini-batch of every member; the row of the table, :data:`_COLUMNS` times members, float64."""
        recipes, device = self.recipes, self.data.x.device
        chosen = torch.stack([order.draw() for order in self.orders]).to(device)
        x, y = self.data.x[chosen], self.data.y[chosen]
        t, total = (self.consumed, self.total) if self.recipe.per_step else self._epochs()
        rates = [recipe.rate(t, total) for recipe in recipes]
        budgets = [math.nan if recipe.budget is None else recipe.budget(t, total) for recipe in recipes]
        moved = self.inner(x, y, budgets)

        weights = [weight.requires_grad_() for weight in self.weights]
        logits = self.forward(weights, moved)
        losses = _each(self._loss, logits, y).mean(1)
        gradients = torch.autograd.grad(losses.sum(), weights)  # members do not mix, so the sum keeps them apart
        self.weights = [weight.detach() for weight in weights]
        self._descend(gradients, torch.tensor(rates, dtype=self.weights[0].dtype, device=device))
        self.consumed += 1
        squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients])
        right = logits.detach().max(1).indices == y  # argmax over an axis that is not the last takes 25 times as long
        row = {
            "step": torch.full((len(recipes),), self.consumed),
            "rate": torch.tensor(rates),
            "budget": torch.tensor(budgets),
            "loss": losses.detach(),
            "accuracy": right.float().mean(1),
            "gradient_norm": squares.sum(0).sqrt(),
        }
        return torch.stack([row[name].to(device, torch.float64) for name in _COLUMNS])

    def inner(self, x: Tensor, y: Tensor, budgets: Sequence[float]) -> Tensor:
        """Projected gradient descent for all members at once, each in its own ball; inputs ``(members, n, ...)``.

        The steps are those of :class:`~advsmooth.attacks.gradient.PGD`, with a radius and a step size for each member.
        """
        attacks = [_attack(recipe, eps) for recipe, eps in zip(self.recipes, budgets, strict=True)]
        if not any(attack is not None and attack.eps > 0 for attack in attacks):
            return x
        pgd = [cast(PGD, attack) for attack in attacks]  # standard training is refused beside adversarial training
        norm, box, shape = pgd[0].norm, pgd[0].box, x.shape
        starts = [a.start(xk, g) if a.eps > 0 else xk for a, xk, g in zip(pgd, x, self.starts, strict=True)]

        def arranged(t: Tensor) -> Tensor:
            # The maximum norm works element by element, so inputs can lie as the fast kernels read them (a third of
            # the time of an attack on a small network); a length needs the examples on the first axis.
            return self.in_memory(t) if norm == "linf" else t.flatten(0, 1)

        def column(values: Sequence[float]) -> Tensor:
            each = torch.tensor(values, dtype=x.dtype, device=x.device).reshape(-1, *[1] * (x.ndim - 1))
            return each if norm == "linf" else each.expand(-1, shape[1], *each.shape[2:]).flatten(0, 1)

        # A radius of each example instead of one number: the ball's arithmetic broadcasts.
        into_ball = ball.projection(arranged(x), cast(Any, column([a.eps for a in pgd])), norm, box)
        step, moved = column([a.step for a in pgd]), arranged(torch.stack(starts))
        for _ in range(pgd[0].steps):
            moved.requires_grad_()
            logits = self.forward(self.weights, moved.reshape(shape))
            (gradient,) = torch.autograd.grad(_each(pgd[0].loss, logits, y).sum(), moved)
            moved = into_ball(torch.addcmul(moved.detach(), step, ball.steepest(gradient, norm)))
        return moved.reshape(shape)

    def in_memory(self, x: Tensor) -> Tensor:
        """Inputs ``(members, n, ...)`` with the examples last in memory for fully connected networks, else as given."""
        return x.movedim(1, -1).contiguous().movedim(-1, 1) if isinstance(self.models[0], FCN) else x

    def write_back(self) -> None:
        """Copy the stacked weights into the networks."""
        for k, model in enumerate(self.models):
            with torch.no_grad():
                for parameter, weight in zip(model.parameters(), self.weights, strict=True):
                    parameter.copy_(weight[k])

    def _descend(self, gradients: Sequence[Tensor], rates: Tensor) -> None:
        """A step of SGD or Adam for all members, in torch's arithmetic."""
        for weight, gradient, state in zip(self.weights, gradients, self.states, strict=True):
            rate = rates.reshape(-1, *[1] * (weight.ndim - 1))
            decayed = gradient.add(weight, alpha=self.options.get("weight_decay", 0.0))
            weight.sub_(rate * self.direction(decayed, state))

    def _momentum(self, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """``v <- momentum v + g``."""
        velocity = state.setdefault("velocity", torch.zeros_like(gradient))
        return velocity.mul_(self.options.get("momentum", 0.0)).add_(gradient)

    def _adam(self, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """``m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`` (Kingma and Ba 2015, algorithm 1)."""
        (first, second), t = self.options.get("betas", (0.9, 0.999)), self.consumed + 1
        mean = state.setdefault("mean", torch.zeros_like(gradient)).lerp_(gradient, 1 - first)
        square = state.setdefault("square", torch.zeros_like(gradient))
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (square.sqrt() / math.sqrt(1 - second**t)).add_(self.options.get("eps", 1e-8))
        return mean / scale / (1 - first**t)

    @property
    def _loss(self) -> Loss:
        return cast("Standard | AdversarialTraining", self.recipe.objective).loss

    def _epochs(self) -> tuple[float, float]:
        return self.consumed // self.batches, self.total / self.batches


def stacked_forward(models: Sequence[nn.Module]) -> Forward:
    """The networks as one function of their parameters, stacked in the order of ``model.parameters()``.

    Fully connected networks run as batched matrix products with the examples along the last axis; others by ``vmap``.
    The first takes a third of the time at width 16, half at width 64.
    """
    base = models[0]
    if isinstance(base, FCN):
        return lambda weights, x: _forward_fcn(weights, x, base.alpha)
    names = [name for name, _ in base.named_parameters()]
    buffers = {name: torch.stack([dict(m.named_buffers())[name] for m in models]) for name, _ in base.named_buffers()}

    def one(weights: dict[str, Tensor], constants: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(base, (weights, constants), (x,))

    return lambda weights, x: torch.func.vmap(one)(dict(zip(names, weights, strict=True)), buffers, x).mT


def _forward_fcn(weights: Sequence[Tensor], x: Tensor, alpha: float) -> Tensor:
    h = x.flatten(2).transpose(1, 2)
    for weight in weights[:-1]:
        h = torch.bmm(weight, h).relu_()
    return torch.bmm(weights[-1], h) / alpha


def _table(values: Tensor, columns: Sequence[str], epochs: Sequence[int], first: Sequence[str]) -> pd.DataFrame:
    """The table of one member from numbers ``(rows, columns)``, columns ordered as the single loop has them."""
    named = dict(zip(columns, values.T.numpy(), strict=True))
    whole: dict[str, Any] = {"step": named.pop("step").astype(int), "epoch": epochs}
    return pd.DataFrame({name: whole[name] for name in first} | named)


def _each(loss: Loss, logits: Tensor, y: Tensor) -> Tensor:
    """The loss of each example, ``(members, n)``, from logits ``(members, K, n)``."""
    if loss is cross_entropy:  # a third of the time of a small network, unless in this layout
        return functional.cross_entropy(logits, y, reduction="none")
    return loss(logits.mT.flatten(0, 1), y.flatten()).reshape(y.shape)


def _attack(recipe: Recipe, budget: float) -> PGD | None:
    """The attack of a member at its scheduled budget, or its own where none is scheduled (NaN)."""
    objective = recipe.objective if math.isnan(budget) else recipe.objective.at_budget(budget)
    return cast(PGD, objective.attack) if isinstance(objective, AdversarialTraining) else None


def _architecture(model: nn.Module) -> Any:
    """What networks must share to be stacked: structure, shapes, and the scale of a fully connected one."""
    shapes = tuple((name, p.shape, p.dtype) for name, p in model.named_parameters())
    return type(model), repr(model), shapes, model.alpha if isinstance(model, FCN) else None


def _check_model(model: nn.Module, data: Dataset) -> None:
    parameters = list(model.parameters())
    if not model.training or any(p.device != data.x.device or not p.requires_grad for p in parameters):
        raise ValueError("model: must be in train mode, wholly trainable, and on the device of the data")
    for module in model.modules():
        if isinstance(module, _BatchNorm | _DropoutNd):
            raise ValueError(
                f"{type(module).__name__}: networks that keep statistics or draw numbers cannot be stacked; use train"
            )


def _check_recipe(recipe: Recipe, first: Recipe) -> None:
    plain = Recipe(epochs=1)
    for field in fields(Recipe):
        value = getattr(recipe, field.name)
        if field.name in _SHARED and value != getattr(first, field.name):
            raise ValueError(
                f"{field.name}={value!r}: must be the same for all, here also {getattr(first, field.name)!r}"
            )
        if field.name not in (*_SHARED, *_OWN) and value != getattr(plain, field.name):
            raise ValueError(f"{field.name}={value!r}: not available for networks trained together; use train")
    (optimiser, *more) = recipe.optimisers
    if more or optimiser.kind not in _OPTIMISERS or not set(optimiser.options) <= _OPTIMISERS[optimiser.kind]:
        raise ValueError(
            f"optimisers={recipe.optimisers!r}: together only SGD with momentum and weight_decay, or Adam with betas, "
            "eps and weight_decay; use train"
        )
    if _template(recipe) != _template(first):
        raise ValueError("objective: must be the same for all, apart from the budget and step size of the attack")


def _template(recipe: Recipe) -> Standard | AdversarialTraining:
    """The objective without what may differ between members."""
    objective = recipe.objective
    if isinstance(objective, Standard):
        return objective
    attack = objective.attack if isinstance(objective, AdversarialTraining) else None
    if not isinstance(attack, PGD) or attack.restarts > 1 or attack.early_stop or attack.targeted:
        raise ValueError(
            f"objective={objective!r}: together only Standard, or AdversarialTraining by plain PGD with one start; "
            "use train"
        )
    return replace(
        cast(AdversarialTraining, objective), attack=replace(attack, eps=0.0, step_size=None), scale_step=True
    )
