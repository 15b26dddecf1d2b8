"""Minimal-norm attacks of Foolbox in the calling convention of this library: Carlini-Wagner, DeepFool, Boundary.

They look for the closest misclassified input (or the closest one of the target class) and have no budget. An
example that is adversarial as it stands comes back unchanged, at distance 0; one for which nothing was found comes
back unchanged too. Foolbox's own random numbers are drawn from a seed of ``generator``, and the global random state
is restored. The examples of a batch share the directions of Boundary, whose results hence depend on the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from foolbox.attacks.boundary_attack import BoundaryAttack
from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack
from foolbox.attacks.deepfool import L2DeepFoolAttack, LinfDeepFoolAttack
from foolbox.criteria import Misclassification, TargetedMisclassification
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn

from advsmooth.attacks import ball
from advsmooth.attacks.ball import Box, Norm
from advsmooth.attacks.isolation import Model, frozen, required, seeded
from advsmooth.attacks.losses import succeeded


@dataclass(frozen=True, kw_only=True)
class _FoolboxAttack:
    """What the three have in common.

    Attributes:
        targeted: ``y`` holds target classes.
        box: range of the inputs, finite.
    """

    targeted: bool = False
    box: Box = ball.PIXELS

    def __call__(self, model: Model, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Attack a batch: ``x (n, ...)`` in the box, ``y (n,)`` int64; returns the shape, dtype and device of ``x``.

        Raises:
            ValueError: for inputs outside the box, labels that do not match, or a generator that is missing.
        """
        ball.check_inputs(x, y, self.box)
        result, wrapped = x.detach().clone(), _Module(model)
        with frozen(wrapped), torch.enable_grad():
            left = (~self._hit(wrapped, result, y)).nonzero()[:, 0]
            if len(left) > 0:
                found = self._search(wrapped, result[left], y[left], generator)
                # Where Foolbox's Carlini-Wagner gives up, it returns a black image, which may well be misclassified.
                given_up = (found == 0).flatten(1).all(1)
                hit = self._hit(wrapped, found, y[left]) & ~given_up
                result[left[hit]] = found[hit]
        return result

    def _search(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None) -> Tensor:
        """Adversarial points of examples that are not adversarial yet; where there is none, anything else."""
        raise NotImplementedError

    def _through_foolbox(self, attack: Any, model: nn.Module, x: Tensor, y: Tensor, **more: Any) -> Tensor:
        criterion = TargetedMisclassification(y) if self.targeted else Misclassification(y)
        return attack.run(PyTorchModel(model, bounds=self.box, device=x.device), x, criterion, **more)

    def _hit(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            return succeeded(model(x), y, targeted=self.targeted)


class _Module(nn.Module):
    """Foolbox takes modules only."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


@dataclass(frozen=True, kw_only=True)
class CarliniWagner(_FoolboxAttack):
    """Carlini and Wagner 2017, l2: smallest ``|delta|^2 + c [margin]_+``, ``c`` by binary search, ``tanh`` for the box.

    A pixel at exactly 0 or 1 starts far out where ``tanh`` is flat (at 7.3) and moves by ``step_size`` a step there,
    while the loss stays the same: with 100 steps of 0.01, or with Foolbox's stop when there is no progress, it never
    leaves. Hence no such stop here; see the tests before making the settings smaller.

    Attributes:
        steps: of Adam, for each ``c``.
        step_size: of Adam, in the variable under ``tanh``.
        search_steps: values of ``c`` tried.
        confidence: margin that is asked for.
        initial_const: the first ``c``.
    """

    steps: int = 500
    step_size: float = 0.05
    search_steps: int = 9
    confidence: float = 0.0
    initial_const: float = 1e-2
    norm: ClassVar[Norm] = "l2"

    def _search(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None) -> Tensor:  # noqa: ARG002
        attack = L2CarliniWagnerAttack(
            binary_search_steps=self.search_steps,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
            initial_const=self.initial_const,
            abort_early=False,
        )
        return self._through_foolbox(attack, model, x, y)


@dataclass(frozen=True, kw_only=True)
class DeepFool(_FoolboxAttack):
    """Moosavi-Dezfooli et al. 2016: steps to the nearest linearised boundary; fast, and no random numbers.

    Attributes:
        norm: in which the distance is measured.
        steps: at most.
        candidates: how many classes to consider, those with the largest logits; all if there are fewer.
        overshoot: share by which a step goes on past the boundary.
    """

    norm: Norm = "l2"
    steps: int = 50
    candidates: int = 10
    overshoot: float = 0.02

    def __post_init__(self) -> None:
        ball.check_budget(0.0, self.norm, self.box)
        if self.targeted:
            raise ValueError("targeted=True: DeepFool has no targeted form; use CarliniWagner")

    def _search(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None) -> Tensor:  # noqa: ARG002
        kind = L2DeepFoolAttack if self.norm == "l2" else LinfDeepFoolAttack
        attack = kind(steps=self.steps, candidates=self.candidates, overshoot=self.overshoot)
        return self._through_foolbox(attack, model, x, y)


@dataclass(frozen=True, kw_only=True)
class Boundary(_FoolboxAttack):
    """Brendel et al. 2018, l2: a random walk along the decision boundary that needs nothing but predicted classes.

    It starts from the nearest image of another class among noise and the other images of the batch, moved towards
    the input by bisection. (Foolbox starts from noise alone and refuses the whole batch if one example has none.)

    Attributes:
        steps: of the walk.
        noise: uniform images tried as starting points.
    """

    steps: int = 5000
    noise: int = 100
    norm: ClassVar[Norm] = "l2"

    def _search(self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None) -> Tensor:
        start, known = self._starting_points(model, x, y, required(generator))
        result = x.clone()
        if known.any():
            attack = BoundaryAttack(steps=self.steps)
            with seeded(generator):
                result[known] = self._through_foolbox(attack, model, x[known], y[known], starting_points=start[known])
        return result

    def _starting_points(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Adversarial points ``(n, ...)``, and whether there is one for each example, boolean ``(n,)``."""
        low, high = self.box
        shape = (self.noise, *x.shape[1:])
        noise = torch.rand(shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)
        pool = torch.cat([low + (high - low) * noise, x])
        with torch.no_grad():
            predicted = model(pool).argmax(1)
        fits = (predicted[None] == y[:, None]) == self.targeted
        distance = torch.cdist(x.flatten(1), pool.flatten(1)).masked_fill(~fits, torch.inf)
        start = pool[distance.argmin(1)]
        share = x.new_ones(len(x), *[1] * (x.ndim - 1))  # of the way from x to the starting point
        for halving in range(1, 11):
            nearer = share - 0.5**halving
            hit = self._hit(model, torch.lerp(x, start, nearer), y)
            share = torch.where(hit.reshape(share.shape), nearer, share)
        return torch.lerp(x, start, share), fits.any(1)
