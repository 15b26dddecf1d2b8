r"""Behind batch norm the scale of a weight is a learning rate (Zhu et al. 2022, table 4, on the "non-lazy" ResNet).

Batch norm divides by the standard deviation of what it is given, so a convolution ``W`` in front of it may be
multiplied by any ``c > 0`` without changing the network, ``f(c W) = f(W)``. By the chain rule the gradient at ``c W``
is that at ``W`` divided by ``c``, and by Euler's identity it is orthogonal to ``W``. Hence gradient descent without
weight decay from ``c W`` at rate ``c^2 eta`` is gradient descent from ``W`` at rate ``eta``, step for step::

    c W - c^2 eta (g / c) = c (W - eta g),

and with momentum too. All of it is exact where batch norm adds no ``eps`` to the variance (:func:`exact`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


def convolutions(network: nn.Module) -> list[Tensor]:
    """The weights of all convolutions; of a network without any (nor a module for them), all but the last matrix."""
    found: list[Tensor] = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    matrices: list[Tensor] = [p for p in network.parameters() if p.ndim >= 2]
    return found or matrices[:-1]


def scaled(network: nn.Module, c: float, *, last_too: bool = False) -> nn.Module:
    """Multiply, in place, the weights of the convolutions by ``c``.

    Args:
        network: any; returned.
        c: the factor.
        last_too: also the weights of the last layer, which has no batch norm behind it.

    Raises:
        ValueError: if ``c`` is not positive.
    """
    if not c > 0:
        raise ValueError(f"c={c!r}: allowed is a positive number")
    chosen = [p for p in network.parameters() if p.ndim >= 2] if last_too else convolutions(network)
    with torch.no_grad():
        for weight in chosen:
            weight.mul_(c)
    return network


def exact(network: nn.Module) -> nn.Module:
    """Float64, and batch norm with next to no ``eps`` (1e-30; torch refuses 0), in place."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eps = 1e-30
    return network.double()


def descend(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    rates: Sequence[float],
    *,
    momentum: float = 0.9,
    steps: int = 1,
) -> Tensor:
    """Full-batch SGD on the cross-entropy; the outputs before each step and after the last, ``(steps + 1, n, o)``.

    Args:
        network: trained in place, in train mode.
        x: inputs ``(n, ...)``.
        y: labels ``(n,)``.
        rates: of the convolutions, and of everything else.
        momentum: of SGD.
        steps: how many.
    """
    first = convolutions(network)
    rest = [p for p in network.parameters() if all(p is not other for other in first)]
    optimiser = torch.optim.SGD(
        [{"params": first, "lr": rates[0]}, {"params": rest, "lr": rates[1]}], lr=rates[1], momentum=momentum
    )
    outputs = []
    for _ in range(steps):
        logits = network(x)
        outputs.append(logits.detach())
        optimiser.zero_grad()
        functional.cross_entropy(logits, y).backward()
        optimiser.step()
    with torch.no_grad():
        outputs.append(network(x))
    return torch.stack(outputs)


def along_weights(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cosine of each convolution's gradient with the convolution itself, ``(layers,)``: 0 in front of batch norm."""
    weights = convolutions(network)
    gradients = torch.autograd.grad(functional.cross_entropy(network(x), y), weights)
    pairs = zip(weights, gradients, strict=True)
    return torch.stack([(w * g).sum().detach() / (w.detach().norm() * g.norm()) for w, g in pairs])
