"""Networks by name, with a seed.

::

    model = build("lenet", in_shape=(1, 28, 28), classes=10, seed=0, w=16)

=============  =================================================================  ==========================
name           network                                                            inputs
=============  =================================================================  ==========================
fcn            fully connected, no biases (Zhu et al., equation 2)                any shape
cnn            convolutional, no biases (Zhu et al., appendix E.3)                images
lenet          LeNet of width factor ``w`` (Liu et al., table 2)                  images from 4x4
vgg            VGG of width factor ``w`` (Liu et al., table 2)                    images from 32x32
vgg13          VGG-13 with batch norm (Pang et al.)                               images from 32x32
resnet18       ResNet-18, also with pre-activation (Liu et al., Kanai et al.)     images
resnet         ResNet-20 and its relatives, any depth ``6 n + 2``                 images
resnet110      ResNet-110 (Zhu et al., appendix E.1)                              images
wideresnet     WideResNet-34-10 (Kanai et al.)                                    images
resnext        ResNeXt-34 (Finlay et al.)                                         images from 4x4
cells          cells of an architecture search (Pang et al.)                      images, sides multiples of 4
=============  =================================================================  ==========================

So all but the two VGG networks run on the 8x8 digits, and on 28x28 images; ``vgg13`` does so with fewer blocks.
"""

from __future__ import annotations

import bisect
import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from advsmooth.models.arguments import integer, one_of
from advsmooth.models.cells import CellNetwork
from advsmooth.models.cnn import CNN
from advsmooth.models.fcn import FCN, Initialisation
from advsmooth.models.lenet import LeNet
from advsmooth.models.normalise import Normalise
from advsmooth.models.resnet import resnet, resnet18, resnet110
from advsmooth.models.resnext import ResNeXt
from advsmooth.models.vgg import liu_vgg, vgg13
from advsmooth.models.wideresnet import wideresnet


def _fcn(
    in_shape: Sequence[int],
    classes: int,
    *,
    m: int = 32,
    L: int = 4,  # noqa: N803 - the paper's own symbol
    alpha: float = 1.0,
    scheme: str | Initialisation = "he",
    generator: torch.Generator | int = 0,
) -> FCN:
    return FCN(math.prod(in_shape), m, classes, L, alpha, scheme=scheme, generator=generator)


_NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "fcn": _fcn,
    "cnn": CNN,
    "lenet": LeNet,
    "vgg": liu_vgg,
    "vgg13": vgg13,
    "resnet18": resnet18,
    "resnet": resnet,
    "resnet110": resnet110,
    "wideresnet": wideresnet,
    "resnext": ResNeXt,
    "cells": CellNetwork,
}


def names() -> list[str]:
    """The names :func:`build` knows."""
    return list(_NETWORKS)


def arguments(name: str) -> dict[str, Any]:
    """The arguments of a network that :func:`build` takes beside the common ones, with their defaults.

    Raises:
        ValueError: for an unknown name.
    """
    parameters = inspect.signature(_NETWORKS[one_of("model", name, _NETWORKS)]).parameters
    common = {"in_shape", "classes", "generator"}
    return {key: parameter.default for key, parameter in parameters.items() if key not in common}


def build(
    name: str,
    *,
    in_shape: Sequence[int],
    classes: int,
    seed: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    **given: Any,
) -> nn.Module:
    """A freshly initialised network, float32, on the CPU, in training mode.

    The same arguments give the same weights, bit for bit. PyTorch's layers can only draw from its global generator
    of the CPU; it is seeded for the time of the construction and then put back as it was (``torch.random.fork_rng``).
    So do not build in two threads of one process at once; processes do not disturb each other.

    Args:
        name: one of :func:`names`.
        in_shape: shape of one input, such as (3, 32, 32).
        classes: number of outputs, at least 2.
        seed: of the initial weights.
        mean: subtracted from each channel of the inputs, in pixel scale; nothing is, if neither is given.
        std: each channel is then divided by it.
        given: the network's own arguments, see :func:`arguments`.

    Returns:
        The network; behind a :class:`~advsmooth.models.normalise.Normalise` if ``mean`` and ``std`` are given.

    Raises:
        ValueError: for an unknown name or argument (with the nearest one), or a value that is not allowed.
    """
    known = arguments(name)
    for key in given:
        one_of(f"{name}: argument", key, known)
    if not isinstance(in_shape, Sequence):
        raise ValueError(f"in_shape={in_shape!r}: allowed is the shape of one input, such as (3, 32, 32)")
    shape = tuple(integer("in_shape", size) for size in in_shape)
    classes, seed = integer("classes", classes, at_least=2), integer("seed", seed, at_least=0)
    if (mean is None) != (std is None):
        raise ValueError(f"mean={mean}, std={std}: give both, or neither")
    make = _NETWORKS[name]
    own = {"generator": seed} if "generator" in inspect.signature(make).parameters else {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs as well
        network = make(shape, classes, **own, **given)
    if mean is None or std is None:
        return network
    return nn.Sequential(OrderedDict(normalise=Normalise(mean, std), network=network))


@dataclass(frozen=True)
class Description:
    """What a network consists of.

    Attributes:
        parameters: how many numbers are trained.
        layers: name -> shape of each weight tensor with more than one dimension, in the order of construction:
            convolutions, those of shortcuts among them, and linear layers.
    """

    parameters: int
    layers: Mapping[str, tuple[int, ...]]


def describe(model: nn.Module) -> Description:
    """Count the parameters of any module, and list the shapes of its layers."""
    layers = {name: tuple(weight.shape) for name, weight in model.named_parameters() if weight.ndim > 1}
    return Description(sum(weight.numel() for weight in model.parameters()), layers)


def parameter_count(name: str, *, in_shape: Sequence[int], classes: int, **given: Any) -> int:
    """How many parameters :func:`build` would make, without drawing or storing the weights of the large networks.

    Raises:
        ValueError: as :func:`build`.
    """
    with torch.device("meta"):
        return describe(build(name, in_shape=in_shape, classes=classes, seed=0, **given)).parameters


def width_of_size(
    name: str,
    parameters: int,
    *,
    argument: str,
    in_shape: Sequence[int],
    classes: int,
    tolerance: float = 0.05,
    at_least: int = 2,
    at_most: int = 1024,
    **given: Any,
) -> int:
    """The width at which a network has as many parameters as another one, as nearly as possible.

    Args:
        name: one of :func:`names`.
        parameters: the number wanted.
        argument: the network's argument that scales it, such as ``w``, ``width``, ``m`` or ``cells``.
        in_shape: shape of one input.
        classes: number of outputs.
        tolerance: allowed difference, as a fraction of ``parameters``.
        at_least: smallest value tried.
        at_most: largest value tried.
        given: the other arguments of the network.

    Raises:
        ValueError: if no width comes so close; the message says which comes closest.
    """
    parameters = integer("parameters", parameters)

    def count(width: int) -> int:
        return parameter_count(name, in_shape=in_shape, classes=classes, **given, **{argument: width})

    # Doubling first: the networks at the upper end are expensive even to count.
    top = at_least
    while top < at_most and count(top) < parameters:
        top = min(2 * top, at_most)
    widths = range(at_least, top + 1)
    position = bisect.bisect_left(widths, parameters, key=count)
    around = widths[max(0, position - 1) : position + 1]
    best = min(around, key=lambda width: abs(count(width) - parameters))
    if abs(count(best) - parameters) > tolerance * parameters:
        raise ValueError(
            f"{name}: no {argument} from {at_least} to {at_most} has {parameters:,} parameters within {tolerance:.0%}; "
            f"{argument}={best} has {count(best):,}"
        )
    return best
