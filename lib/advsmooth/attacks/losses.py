"""Losses of one example each: ``loss(logits (n, classes), y (n,)) -> (n,)``, larger for a better attack."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """``-log softmax(logits)_y``; ``y`` may also hold probabilities ``(n, classes)``."""
    return functional.cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """``max_{k != y} f_k - f_y`` (Carlini and Wagner 2017): positive where misclassified, no saturation."""
    return best_other(logits, y).values - logits.gather(1, y[:, None])[:, 0]


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020, equation 6): the margin over the first less the third logit.

    Raises:
        ValueError: for fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise ValueError(f"{logits.shape[1]} classes: the DLR loss needs at least 3; use margin")
    ordered = logits.sort(1, descending=True).values
    return margin(logits, y) / (ordered[:, 0] - ordered[:, 2] + 1e-12)


def best_other(logits: Tensor, y: Tensor) -> torch.return_types.max:
    """The largest logit (``values``) and its class (``indices``) among the classes other than ``y``, shape ``(n,)``."""
    return logits.scatter(1, y[:, None], -torch.inf).max(1)


def succeeded(logits: Tensor, y: Tensor, *, targeted: bool = False) -> Tensor:
    """Whether the predicted class is wrong, or is the target if ``targeted``; boolean ``(n,)``."""
    return (logits.argmax(1) == y) == targeted
