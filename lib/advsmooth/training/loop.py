"""The training loop: mini-batches, schedules, selection on a held-out split, checkpoints that resume.

A :class:`~advsmooth.training.recipe.Recipe` says how to train, :func:`train` does it. Resumed from a checkpoint, a run
gives the same result as uninterrupted, on the CPU bit for bit.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from advsmooth.attacks.evaluation import Attack
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import cross_entropy
from advsmooth.data import Dataset
from advsmooth.refusals import one_line
from advsmooth.training import checkpoints
from advsmooth.training.awp import worst_weights
from advsmooth.training.batches import Order, generators, hold_out
from advsmooth.training.capture import Captured
from advsmooth.training.checkpoints import CheckpointError
from advsmooth.training.entropysgd import EntropySGD
from advsmooth.training.objectives import Objective
from advsmooth.training.progress import ProgressLine
from advsmooth.training.recipe import Recipe, describe
from advsmooth.training.schedules import Schedule

Measure = Callable[[nn.Module], float]
"""A number of a model, such as its robust accuracy on test data; must leave the model as it is."""


@dataclass(frozen=True)
class Trained:
    """What a run leaves.

    Attributes:
        model: the model given, with the weights of the last step.
        best: state dict after the best validation, on the CPU; ``None`` without a held-out split.
        kept: state dicts at the times of ``Recipe.keep``, on the CPU.
        steps: one row per mini-batch: ``step`` and ``epoch`` counted from 1, ``rate``, ``budget`` (NaN if not
            scheduled), ``loss``, ``accuracy`` at the inputs trained on, ``gradient_norm`` before clipping.
        epochs: one row per epoch: ``epoch``, ``step``, ``rate``, ``budget``, mean ``loss`` and ``accuracy`` of its
            steps, ``held_out_accuracy``, ``held_out_loss``, and with an attack ``held_out_robust_accuracy`` and
            ``held_out_robust_loss`` (NaN if not validated), the measures by name, and ``seconds`` it took.
        criterion: the column by which the best was chosen.
    """

    model: nn.Module
    best: dict[str, Tensor] | None
    kept: tuple[dict[str, Tensor], ...]
    steps: pd.DataFrame
    epochs: pd.DataFrame
    criterion: str

    def last_and_best(self) -> pd.DataFrame:
        """The rows of the last and of the best epoch, with a column ``which``."""
        which = {"last": len(self.epochs) - 1}
        if self.best is not None:
            which["best"] = int(self.epochs[self.criterion].argmax())
        return self.epochs.iloc[list(which.values())].assign(which=list(which)).reset_index(drop=True)


def train(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    measures: Mapping[str, Measure] | None = None,
    checkpoint: Path | None = None,
    every: int = 1,
    progress: TextIO | None = None,
) -> Trained:
    """Train a model in place.

    Args:
        model: in train mode; layers in eval mode stay so. On the device of the data.
        data: training data, from which the held-out split is taken.
        recipe: how.
        seed: of the split, the order of the data, the augmentation, the attacks and the noise, with a generator each.
        measures: further numbers to take at the end of each epoch, by column name.
        checkpoint: file to write and, if it is there, to resume from; a finished run is only read.
        every: epochs between checkpoints.
        progress: stream for a line with the time left.

    Raises:
        ValueError: for a model in eval mode or on another device, or a split that leaves no batch.
        CheckpointError: if the checkpoint is unreadable, or of another run; the message says where they differ.
    """
    run = _Run(model, data, recipe, seed, dict(measures or {}))
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    line = ProgressLine(progress, run.consumed, run.total)
    while run.consumed < run.total:
        run.epoch(line)
        if checkpoint is not None and (run.finished_epochs % every == 0 or run.consumed >= run.total):
            run.save(checkpoint)
    line.close()
    return run.result()


def evaluate(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack | None = None,
    *,
    generator: torch.Generator | None = None,
    batch: int = 1024,
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy, clean or under an attack, in eval mode; flags and gradients as found.

    Args:
        model: maps inputs to logits.
        x: inputs ``(n, ...)``.
        y: labels ``(n,)``.
        attack: ``None`` for clean inputs.
        generator: for the attack.
        batch: examples at a time.
    """
    right, loss = 0, 0.0
    with frozen(model):
        for inputs, labels in zip(x.split(batch), y.split(batch), strict=True):
            moved = inputs if attack is None else attack(model, inputs, labels, generator=generator)
            with torch.no_grad():
                logits = model(moved)
            right += int((logits.argmax(1) == labels).sum())
            loss += float(cross_entropy(logits, labels).double().sum())
    return right / len(y), loss / len(y)


class _Run:
    """A run and everything that changes in its course."""

    def __init__(
        self, model: nn.Module, data: Dataset, recipe: Recipe, seed: int, measures: dict[str, Measure]
    ) -> None:
        devices = {p.device for p in model.parameters()}
        if devices != {data.x.device}:
            raise ValueError(f"model on {', '.join(map(str, devices))}, data on {data.x.device}: move one to the other")
        if not model.training:
            raise ValueError("model: in eval mode; call model.train() (layers to stay frozen may be in eval mode)")
        self.model, self.recipe, self.measures, self.device = model, recipe, measures, data.x.device
        if recipe.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Shares its modules, parameters and flags with the model; evaluation and checkpoints take the model itself.
        self.network: nn.Module = torch.compile(model) if recipe.compiled else model  # type: ignore[assignment]
        self.generators = generators(seed, self.device)
        self.data, self.held = hold_out(data, recipe.held_out, self.generators["split"])
        self.order = Order(len(self.data), recipe.batch, recipe.drop_last, self.generators["order"])
        self.total = recipe.steps if recipe.steps is not None else (recipe.epochs or 0) * self.order.batches
        self.consumed = 0
        self.finished_epochs = 0
        self.chosen = 0
        self.optimiser = self._make_optimiser()
        self.steps: dict[str, list[Any]] = defaultdict(list)
        self.epochs: dict[str, list[Any]] = defaultdict(list)
        self.best: dict[str, Tensor] | None = None
        self.best_value = -math.inf
        self.kept: list[dict[str, Tensor]] = []
        self.captured = Captured(self.model, self.generators["attack"]) if recipe.capture else None
        self.identity = {
            "recipe": describe(recipe),
            "seed": seed,
            "measures": sorted(measures),
            "data": {**data.describe(), "dtype": str(data.x.dtype)},
            "model": {name: list(value.shape) for name, value in model.state_dict().items()},
            "device": self.device.type,
        }

    # --- time ---

    @property
    def criterion(self) -> str:
        return "held_out_accuracy" if self.recipe.validation is None else "held_out_robust_accuracy"

    def at(self, schedule: Schedule) -> float:
        """The value of a schedule now."""
        if self.recipe.per_step:
            return schedule(self.consumed, self.total)
        return schedule(self.consumed // self.order.batches, self.total / self.order.batches)

    # --- one step ---

    def step(self) -> None:
        """One step of the optimiser; with EntropySGD that is several mini-batches."""
        starts = [optimiser.start for optimiser in self.recipe.optimisers]
        chosen = sum(self.consumed >= round(start * self.total, 9) for start in starts) - 1
        if chosen != self.chosen:
            self.chosen = chosen
            self.optimiser = self._make_optimiser()
        for group in self.optimiser.param_groups:
            group["lr"] = self.at(self.recipe.rate)
        self.optimiser.step(self._closure)  # type: ignore[arg-type] # torch says float

    def _closure(self) -> Tensor:
        recipe = self.recipe
        chosen = self.order.draw().to(self.device)
        x, y = self.data.x[chosen], self.data.y[chosen]
        if recipe.augment is not None:
            x = recipe.augment(x, self.generators["augment"])
        if recipe.channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        budget = math.nan if recipe.budget is None else self.at(recipe.budget)
        objective = recipe.objective if recipe.budget is None else recipe.objective.at_budget(budget)
        gamma = 0.0 if recipe.awp is None else self.at(recipe.awp)
        one_pass = functools.partial(self._pass, objective, gamma)
        if self.captured is None:
            self.optimiser.zero_grad()
            loss, right = one_pass(x, y)
        else:
            loss, right = self.captured.run((objective, gamma), one_pass, x, y)
        self.consumed += 1
        row = {
            "step": self.consumed,
            "epoch": self.finished_epochs + 1,
            "rate": self.optimiser.param_groups[0]["lr"],
            "budget": budget,
            "loss": loss,
            "accuracy": right / len(y),
            "gradient_norm": self._clip(),
        }
        for name, value in row.items():
            self.steps[name].append(value)
        return loss

    def _pass(self, objective: Objective, gamma: float, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Inner and outer stage and back-propagation; the loss and how many are right, detached."""
        # Contexts of their own: autocast keeps casts of the weights until it is left, and these change in between.
        with self._autocast():
            moved = objective.inner(self.network, x, y, self.generators["attack"])
        with self._autocast():
            loss, logits = objective.outer(self.network, x, moved, y)
        if gamma > 0:
            with worst_weights(self.network, loss, gamma):
                with self._autocast():
                    loss, logits = objective.outer(self.network, x, moved, y)
                loss.backward()
        else:
            loss.backward()
        return loss.detach(), (logits.detach().argmax(1) == y).sum()

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.recipe.bf16)

    def _clip(self) -> Tensor:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.recipe.clip is not None:
            nn.utils.clip_grads_with_norm_(self.model.parameters(), self.recipe.clip, norm)
        return norm

    def _make_optimiser(self) -> Optimizer:
        spec = self.recipe.optimisers[self.chosen]
        options = dict(spec.options)
        if issubclass(spec.kind, EntropySGD):
            options["generator"] = self.generators["noise"]
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        return spec.kind(trainable, lr=self.at(self.recipe.rate), **options)  # type: ignore[call-arg]

    # --- one epoch ---

    def epoch(self, line: ProgressLine) -> None:
        """Train to the end of the epoch, then validate and measure."""
        started, first = time.perf_counter(), self.consumed
        end = min((self.finished_epochs + 1) * self.order.batches, self.total)
        while self.consumed < end:  # not once, if a step of EntropySGD has taken more than an epoch
            self.step()
            line.show(self.consumed, f"epoch {self.finished_epochs + 1}")
        if self.consumed > first:
            for name in ("loss", "accuracy", "gradient_norm"):  # the only wait for the device
                self.steps[name][first:] = torch.stack(self.steps[name][first:]).tolist()
        self.finished_epochs += 1
        row = {
            "epoch": self.finished_epochs,
            "step": self.consumed,
            "rate": self.optimiser.param_groups[0]["lr"],
            "budget": self.steps["budget"][-1],
            "loss": _mean(self.steps["loss"][first:]),
            "accuracy": _mean(self.steps["accuracy"][first:]),
            **self._validate(),
            **{name: float(measure(self.model)) for name, measure in self.measures.items()},
            "seconds": time.perf_counter() - started,
        }
        for name, value in row.items():
            self.epochs[name].append(value)
        self._keep()
        line.show(self.consumed, f"epoch {self.finished_epochs}, loss {row['loss']:.4f}", now=True)

    def _validate(self) -> dict[str, float]:
        if self.held is None:
            return {}
        last = self.consumed >= self.total
        attacks = {"": None} if self.recipe.validation is None else {"": None, "robust_": self.recipe.validation}
        row: dict[str, float] = {}
        for prefix, attack in attacks.items():
            accuracy = loss = math.nan
            if last or self.finished_epochs % self.recipe.validate_every == 0:
                # The same random starts every time: accuracies of different epochs differ by the model only.
                g = torch.Generator(self.device).manual_seed(0)
                accuracy, loss = evaluate(self.model, self.held.x, self.held.y, attack, generator=g)
            row |= {f"held_out_{prefix}accuracy": accuracy, f"held_out_{prefix}loss": loss}
        if row[self.criterion] > self.best_value:
            self.best_value, self.best = row[self.criterion], self._state()
        return row

    def _keep(self) -> None:
        """Keep the weights if one of the times to keep them is reached."""
        due = sum(self.consumed >= round(fraction * self.total, 9) for fraction in self.recipe.keep)
        self.kept += [self._state() for _ in range(due - len(self.kept))]

    def _state(self) -> dict[str, Tensor]:
        return {name: value.detach().to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    # --- checkpoints ---

    def save(self, path: Path) -> None:
        """Write everything that changes in the course of a run."""
        optimiser, about_optimiser = checkpoints.optimiser_state(self.optimiser)
        states = {f"kept {k}": state for k, state in enumerate(self.kept)} | ({"best": self.best} if self.best else {})
        tables = {"steps": self.steps, "epochs": self.epochs}
        tensors = {
            **checkpoints.nest("model", self.model.state_dict()),
            **checkpoints.nest("optimiser", optimiser),
            **checkpoints.nest("generators", {name: g.get_state() for name, g in self.generators.items()}),
            "order": self.order.state,
        }
        for name, state in states.items():
            tensors |= checkpoints.nest(name, state)
        for name, table in tables.items():
            columns = {column: torch.tensor(values, dtype=torch.float64) for column, values in table.items()}
            tensors |= checkpoints.nest(name, columns)
        about = {
            "identity": self.identity,
            "consumed": self.consumed,
            "epochs": self.finished_epochs,
            "position": self.order.position,
            "chosen": self.chosen,
            "optimiser": about_optimiser,
            "best_value": self.best_value,
            "kept": len(self.kept),
            "columns": {name: list(table) for name, table in tables.items()},  # safetensors sorts names
        }
        checkpoints.write(path, tensors, about)

    def restore(self, path: Path) -> None:
        """Continue the run of a checkpoint."""
        tensors, about = checkpoints.read(path)
        differs = checkpoints.difference(self.identity, about.get("identity"))
        if differs:
            raise CheckpointError(f"checkpoint {path.name}: of another run ({differs}); give another path or delete it")
        try:
            self._restore(tensors, about)
        except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise CheckpointError(
                f"checkpoint {path.name}: its parts do not fit ({one_line(error, 200)}); delete it and train again"
            ) from None

    def _restore(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
        self.model.load_state_dict(checkpoints.unnest("model", tensors))
        self.consumed, self.finished_epochs, self.chosen = about["consumed"], about["epochs"], about["chosen"]
        self.optimiser = self._make_optimiser()
        checkpoints.restore_optimiser(self.optimiser, checkpoints.unnest("optimiser", tensors), about["optimiser"])
        self.order.restore(tensors["order"], about["position"])
        for name, state in checkpoints.unnest("generators", tensors).items():
            self.generators[name].set_state(state)
        self.best_value, self.best = about["best_value"], checkpoints.unnest("best", tensors) or None
        self.kept = [checkpoints.unnest(f"kept {k}", tensors) for k in range(about["kept"])]
        for name, table in (("steps", self.steps), ("epochs", self.epochs)):
            table |= {column: tensors[f"{name}/{column}"].tolist() for column in about["columns"][name]}

    def result(self) -> Trained:
        """The tables and states of the finished run."""
        tables = [pd.DataFrame(table).astype({"step": int, "epoch": int}) for table in (self.steps, self.epochs)]
        return Trained(self.model, self.best, tuple(self.kept), tables[0], tables[1], self.criterion)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
