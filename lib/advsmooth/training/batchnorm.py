"""Batch norm in training: which passes may move the running statistics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Batch norm in train mode still normalises by the batch inside, but its running statistics do not move.

    For passes that are not the one clean pass of a step: perturbed weights, or the same inputs once more. Layers of
    torch's own classes only.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False  # torch then hands no buffers to the kernel
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
