"""What an attack borrows and gives back: the flags of a model, and the global random state of other people's code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]
"""A network, or any function of inputs ``(n, ...)`` to logits ``(n, classes)``, each row depending on its own input."""


@contextlib.contextmanager
def frozen(model: Model) -> Iterator[None]:
    """Eval mode and parameters without gradient inside; every flag as it was found afterwards, also after an error.

    Each module keeps its own ``training`` flag and each parameter its own ``requires_grad``, so a batch-norm layer
    that was frozen stays frozen. Without ``requires_grad`` a forward pass stores nothing for the gradients of the
    weights, and no call of ``backward`` inside can leave any.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [(module, module.training) for module in modules]
    learning = [p for p in model.parameters() if p.requires_grad and p.is_leaf] if isinstance(model, nn.Module) else []
    try:
        for module in modules:
            module.training = False
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, flag in training:
            module.training = flag
        for parameter in learning:
            parameter.requires_grad_(True)


@contextlib.contextmanager
def seeded(generator: torch.Generator | None) -> Iterator[int]:
    """Global random state set from ``generator`` inside, for libraries that read it; restored afterwards.

    Yields:
        The seed, drawn from the generator.

    Raises:
        ValueError: if there is no generator.
    """
    seed = int(torch.randint(2**31, (), generator=required(generator), device=required(generator).device))
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield seed


def required(generator: torch.Generator | None) -> torch.Generator:
    """The generator.

    Raises:
        ValueError: if there is none.
    """
    if generator is None:
        raise ValueError("generator=None: this attack draws random numbers; pass settings.generator(seed)")
    return generator
