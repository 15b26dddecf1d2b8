"""AutoAttack (Croce and Hein 2020) through ``pyautoattack``, its authors' code, whole or by component."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyautoattack  # type: ignore[import-untyped]
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted  # type: ignore[import-untyped]
from pyautoattack.fab_pt import FABAttack_PT  # type: ignore[import-untyped]
from pyautoattack.square import SquareAttack  # type: ignore[import-untyped]
from torch import Tensor, nn

from advsmooth.attacks import ball
from advsmooth.attacks.ball import Norm
from advsmooth.attacks.isolation import Model, frozen, seeded
from advsmooth.attacks.losses import succeeded

STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")
"""The components of the standard version, in order; each attacks what the ones before have left."""
COMPONENTS = (*STANDARD, "apgd-dlr", "fab")
_TARGETS = 9
_NORMS = {"linf": "Linf", "l2": "L2"}


class AutoAttackWarning(UserWarning):
    """What AutoAttack itself finds suspicious about a model, such as gradients that are zero."""


@dataclass(frozen=True, kw_only=True)
class AutoAttack:
    """AutoAttack with the settings of its standard version: one restart each, inputs in [0, 1].

    An example that no component breaks comes back unchanged. All components compute in float32; the result is moved
    back into the ball in the dtype of ``x``. Random numbers come from a seed of ``generator``, the same for every
    component, as in the original.

    Attributes:
        eps: radius, pixel scale.
        norm: ``"linf"`` or ``"l2"``.
        components: names of :data:`COMPONENTS`, in the order in which they run; :data:`STANDARD` if not given,
            without ``apgd-t`` (and with ``apgd-dlr`` in its place) where three classes are too few for it, and
            without either for two.
        steps: of APGD and FAB.
        queries: of Square.

    Raises:
        ValueError: for a value that is not allowed, when made; for a component that the number of classes or the
            size of the images does not permit, when called.
    """

    eps: float
    norm: Norm = "linf"
    components: tuple[str, ...] | None = None
    steps: int = 100
    queries: int = 5000

    def __post_init__(self) -> None:
        ball.check_budget(self.eps, self.norm, ball.PIXELS)
        unknown = [name for name in self.components or () if name not in COMPONENTS]
        if unknown or self.components == ():
            raise ValueError(f"components={self.components!r}: allowed are {', '.join(COMPONENTS)}")
        if self.steps < 1 or self.queries < 1:
            raise ValueError(f"steps={self.steps!r}, queries={self.queries!r}: allowed are integers, at least 1")

    def at(self, eps: float) -> AutoAttack:
        """The same attack at another radius."""
        return replace(self, eps=eps)

    def __call__(self, model: Model, x: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Attack a batch: ``x (n, ...)`` in [0, 1], ``y (n,)`` int64; returns the shape, dtype and device of ``x``."""
        ball.check_inputs(x, y, ball.PIXELS)
        x = x.detach()
        if len(x) == 0 or self.eps == 0:
            return x.clone()
        images = x.float() if x.ndim == 4 else x.float().reshape(len(x), 1, 1, -1)  # all that pyautoattack takes
        with frozen(model), seeded(generator) as seed, torch.no_grad():
            attack = self._assembled(_Float32Images(model, x), model(x[:1]).shape[1], images, seed)
            with _quiet():
                found, _ = attack.run_standard_evaluation(images, y, batch_size=len(x))
            changed = (found != images).flatten(1).any(1)
            moved = ball.project(found.reshape(x.shape).to(x.dtype), x, self.eps, self.norm)
            changed &= succeeded(model(moved), y)  # in the dtype of x, which may see a boundary elsewhere
        return torch.where(changed.reshape(-1, *[1] * (x.ndim - 1)), moved, x)

    def _assembled(self, model: nn.Module, classes: int, images: Tensor, seed: int) -> Any:
        names = self._permitted(classes, images)
        shared = {"norm": _NORMS[self.norm], "eps": self.eps, "seed": seed, "device": images.device}
        attack = pyautoattack.AutoAttack(model, version="custom", attacks=list(names), **shared)
        repeated = {**shared, "n_restarts": 1, "n_iter": self.steps}
        targets = min(_TARGETS, classes - 1)
        attack.apgd = APGDAttack(model, logger=attack.logger, **repeated)
        attack.apgd_targeted = APGDAttack_targeted(model, n_target_classes=targets, logger=attack.logger, **repeated)
        attack.fab = FABAttack_PT(model, n_target_classes=targets, **repeated)
        attack.square = SquareAttack(
            model, p_init=0.8, n_queries=self.queries, n_restarts=1, resc_schedule=False, **shared
        )
        return attack

    def _permitted(self, classes: int, images: Tensor) -> tuple[str, ...]:
        needed = {"apgd-t": 4, "apgd-dlr": 3}
        if self.components is None:
            replaced = {"apgd-t": "apgd-dlr"} if classes == 3 else {}
            names = tuple(replaced.get(name, name) for name in STANDARD)
            names = tuple(name for name in names if classes >= needed.get(name, 2))
        else:
            names = self.components
        for name in names:
            if classes < needed.get(name, 2):
                raise ValueError(f"component {name!r}: needs at least {needed[name]} classes, the model has {classes}")
        if "square" in names and self.norm == "l2" and min(images.shape[2:]) < 5:
            raise ValueError(f"component 'square' with l2: needs images of 5x5 or more, not {tuple(images.shape[1:])}")
        return names


class _Float32Images(nn.Module):
    """A model as pyautoattack wants it: images ``(n, c, h, w)`` and logits in float32."""

    def __init__(self, model: Model, x: Tensor) -> None:
        super().__init__()
        self.model, self.shape, self.dtype = model, x.shape[1:], x.dtype

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images.reshape(-1, *self.shape).to(self.dtype)).float()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No log lines; what AutoAttack warns of becomes an :class:`AutoAttackWarning`, each sentence once.

    AutoAttack looks into the model with ``sys.settrace`` and switches tracing off afterwards, which would end a
    debugger or a coverage measurement; it is put back.
    """
    logger, trace = logging.getLogger("auto-attack"), sys.gettrace()
    said: dict[str, None] = {}
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.setdefault(record.getMessage())  # type: ignore[method-assign]
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
        sys.settrace(trace)
    for message in said:
        if "not possible to use" in message:  # of a loss for too few classes; decided by AutoAttack._permitted
            continue
        warnings.warn(f"AutoAttack: {message}", AutoAttackWarning, stacklevel=4)
