"""Networks built from cells that an architecture search found (Pang et al. 2022), and what can be done to the cells.

A genotype describes two cells, ``normal`` (keeps the image size) and ``reduce`` (halves it); published ones are data,
in ``data/genotypes.yml``. The network is that of DARTS (Liu et al. 2019), without its auxiliary head and without
dropping paths: a 3x3 convolution to ``3 width`` channels with batch norm; cells, each fed by the two before it;
reduction cells a third and two thirds of the way, which double the width; the mean over the pixels; one linear layer.
With 20 cells of width 36 and the genotype ``DARTS_V2`` it has the published 3.349 M parameters.

Pang et al. propose three remedies. The paper's text on them is not in our fragment; the rules below, applied to
DARTS_V2, give the three genotypes of the authors' code base (artifact), and to other genotypes they are our
extension. Both change the normal cell only:

- DARTS-i, :func:`deeper`: every node after the first takes both inputs from the node before it, operations unchanged;
- DARTS-ii, :func:`without_skips`: an edge that is a skip connection gets the operation of its node's other edge;
- DARTS-iii: both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advsmooth import plain_yaml, settings
from advsmooth.models.arguments import image, integer, one_of

GENOTYPES = Path(__file__).resolve().parents[3] / "data" / "genotypes.yml"
"""The published genotypes, as data."""


# --- operations -----------------------------------------------------------------------------------------------


def _relu_conv_bn(channels: int, out: int, *convolutions: nn.Module) -> nn.Sequential:
    """``bn(conv(relu(x)))``, a 1x1 convolution unless others are given."""
    return nn.Sequential(nn.ReLU(), *(convolutions or (nn.Conv2d(channels, out, 1, bias=False),)), nn.BatchNorm2d(out))


def _depthwise(width: int, kernel: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """ReLU, one filter per channel, a 1x1 convolution, batch norm."""
    padding = dilation * (kernel // 2)
    spatial = nn.Conv2d(width, width, kernel, stride, padding, dilation, groups=width, bias=False)
    return _relu_conv_bn(width, width, spatial, nn.Conv2d(width, width, 1, bias=False))


def _separable(width: int, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(_depthwise(width, kernel, stride), _depthwise(width, kernel, 1))


def _factorised(width: int, stride: int) -> nn.Module:
    """A 7x7 convolution in two parts, 1x7 and then 7x1."""
    rows = nn.Conv2d(width, width, (1, 7), stride=(1, stride), padding=(0, 3), bias=False)
    columns = nn.Conv2d(width, width, (7, 1), stride=(stride, 1), padding=(3, 0), bias=False)
    return _relu_conv_bn(width, width, rows, columns)


class FactorisedReduction(nn.Module):
    """Halves the image: two 1x1 convolutions of stride 2, the second one pixel further, each to half the channels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(channels, out // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels, out - out // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` with even ``h`` and ``w`` to ``(n, out, h / 2, w / 2)``."""
        x = x.relu()
        return self.bn(torch.cat([self.even(x), self.odd(x[..., 1:, 1:])], dim=1))


class Nothing(nn.Module):
    """The operation ``none``: zeros, of the size the other operations have."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to zeros ``(n, channels, h / stride, w / stride)``."""
        return 0 * x[..., :: self.stride, :: self.stride]


OPERATIONS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "none": lambda width, stride: Nothing(stride),  # noqa: ARG005 - all take (width, stride)
    "skip_connect": lambda width, stride: nn.Identity() if stride == 1 else FactorisedReduction(width, width),
    "avg_pool_3x3": lambda width, stride: nn.AvgPool2d(3, stride, 1, count_include_pad=False),  # noqa: ARG005
    "max_pool_3x3": lambda width, stride: nn.MaxPool2d(3, stride, 1),  # noqa: ARG005
    "sep_conv_3x3": lambda width, stride: _separable(width, 3, stride),
    "sep_conv_5x5": lambda width, stride: _separable(width, 5, stride),
    "sep_conv_7x7": lambda width, stride: _separable(width, 7, stride),
    "dil_conv_3x3": lambda width, stride: _depthwise(width, 3, stride, dilation=2),
    "dil_conv_5x5": lambda width, stride: _depthwise(width, 5, stride, dilation=2),
    "conv_7x1_1x7": _factorised,
}
"""The operations by name; each maps (width, stride) to a module on ``width`` channels."""

SEARCHED = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The search space of DARTS without ``none``: what a random cell is drawn from."""


# --- genotypes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """A cell as a graph.

    Attributes:
        edges: (operation, input), two per node, in the order of the nodes. Inputs 0 and 1 are the outputs of the two
            cells before, input ``k + 2`` is node ``k``.
        concat: the inputs whose channels make up the output.
    """

    edges: tuple[tuple[str, int], ...]
    concat: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.edges or len(self.edges) % 2:
            raise ValueError(f"a cell of {len(self.edges)} edges: allowed are two for each node, at least one node")
        for position, (operation, source) in enumerate(self.edges):
            one_of("operation", operation, OPERATIONS)
            _check_input(f"edge {position} ({operation})", source, position // 2 + 2)
        if not self.concat or len(set(self.concat)) != len(self.concat):
            raise ValueError(f"concat={list(self.concat)}: allowed are different inputs, at least one")
        for source in self.concat:
            _check_input("concat", source, len(self.nodes) + 2)

    @property
    def nodes(self) -> list[tuple[tuple[str, int], tuple[str, int]]]:
        """The two edges of each node."""
        return list(zip(self.edges[::2], self.edges[1::2], strict=True))

    @property
    def depth(self) -> int:
        """Edges on the longest path from the cell's inputs to what it concatenates; ``none`` is no edge."""
        depths = [0, 0]
        for node in self.nodes:
            depths.append(max((depths[source] + 1 for operation, source in node if operation != "none"), default=0))
        return max(depths[source] for source in self.concat)


def _check_input(where: str, source: Any, count: int) -> None:
    if isinstance(source, bool) or not isinstance(source, int) or not 0 <= source < count:
        raise ValueError(f"{where}: input {source!r}; allowed is 0 to {count - 1}")


@dataclass(frozen=True)
class Genotype:
    """A searched architecture: its name, its normal and its reduction cell."""

    name: str
    normal: Cell
    reduce: Cell


def deeper(genotype: Genotype) -> Genotype:
    """DARTS-i: in the normal cell, every node after the first takes both inputs from the node before it."""
    edges = [
        (operation, source if position < 2 else position // 2 + 1)
        for position, (operation, source) in enumerate(genotype.normal.edges)
    ]
    return replace(genotype, name=f"{genotype.name} deeper", normal=replace(genotype.normal, edges=tuple(edges)))


def without_skips(genotype: Genotype) -> Genotype:
    """DARTS-ii: in the normal cell, a skip connection becomes what the node's other edge is.

    If the other edge is not a convolution either (no such node in DARTS), it becomes ``sep_conv_3x3``.
    """
    edges: list[tuple[str, int]] = []
    for (first, a), (second, b) in genotype.normal.nodes:
        edges += [(_no_skip(first, second), a), (_no_skip(second, first), b)]
    return replace(genotype, name=f"{genotype.name} without skips", normal=replace(genotype.normal, edges=tuple(edges)))


def _no_skip(operation: str, other: str) -> str:
    if operation != "skip_connect":
        return operation
    return other if "conv" in other else "sep_conv_3x3"


def random_genotype(seed: int, *, nodes: int = 4) -> Genotype:
    """Cells drawn at random: each node two different inputs and two operations of :data:`SEARCHED`, all uniformly.

    Args:
        seed: of the draw.
        nodes: of each cell; all are concatenated.

    Raises:
        ValueError: for a negative seed or fewer than one node.
    """
    g = settings.generator(seed)

    def draw() -> Cell:
        edges = []
        for node in range(integer("nodes", nodes)):
            for source in torch.randperm(node + 2, generator=g, device="cpu")[:2].tolist():
                edges.append((SEARCHED[int(torch.randint(len(SEARCHED), (), generator=g, device="cpu"))], source))
        return Cell(tuple(edges), tuple(range(2, nodes + 2)))

    return Genotype(f"random:{seed}", draw(), draw())


def read_genotypes(path: Path = GENOTYPES) -> dict[str, Genotype]:
    """The genotypes of a file such as ``data/genotypes.yml``, whose head describes the format.

    Raises:
        ValueError: for an entry that is not a genotype; the message names it and what is wrong.
    """
    content = plain_yaml.read(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: allowed is a mapping from names to genotypes")
    return {str(name): _genotype(str(name), entry) for name, entry in content.items()}


def _genotype(name: str, entry: Any) -> Genotype:
    fields = {"normal", "normal_concat", "reduce", "reduce_concat"}
    if not isinstance(entry, dict) or set(entry) != fields:
        raise ValueError(f"genotype {name!r}: its fields are {', '.join(sorted(fields))}")
    cells = []
    for kind in ("normal", "reduce"):
        edges = entry[kind]
        if not isinstance(edges, list) or not all(isinstance(edge, list) and len(edge) == 2 for edge in edges):
            raise ValueError(f"genotype {name!r}, {kind}: allowed is a list of edges [operation, input]")
        if not isinstance(entry[f"{kind}_concat"], list):
            raise ValueError(f"genotype {name!r}, {kind}_concat: allowed is a list of inputs")
        try:
            cells.append(
                Cell(tuple((str(operation), source) for operation, source in edges), tuple(entry[f"{kind}_concat"]))
            )
        except ValueError as error:
            raise ValueError(f"genotype {name!r}, {kind}: {error}") from None
    return Genotype(name, *cells)


@functools.cache
def _published() -> Mapping[str, Genotype]:
    return read_genotypes()


def genotype_names() -> list[str]:
    """The names :func:`find_genotype` knows, besides ``random:SEED``."""
    return [*_published(), *_REMEDIES]


_REMEDIES: dict[str, Callable[[Genotype], Genotype]] = {
    "DARTS-i": deeper,
    "DARTS-ii": without_skips,
    "DARTS-iii": lambda genotype: without_skips(deeper(genotype)),
}


def find_genotype(name: str | Genotype) -> Genotype:
    """A genotype by name: a published one, ``DARTS-i``, ``DARTS-ii``, ``DARTS-iii``, or ``random:SEED``.

    Raises:
        ValueError: for an unknown name.
    """
    if isinstance(name, Genotype):
        return name
    kind, _, seed = str(name).partition(":")
    if kind == "random" and seed.isdecimal():
        return random_genotype(int(seed))
    if name in _REMEDIES:
        return replace(_REMEDIES[name](_published()["DARTS_V2"]), name=name)
    if name in _published():
        return _published()[name]
    one_of("genotype", name, [*genotype_names(), "random:SEED"])
    raise ValueError(f"genotype={name!r}: SEED stands for a number, such as random:0")


# --- networks -------------------------------------------------------------------------------------------------


class CellModule(nn.Module):
    """One cell as a module.

    Args:
        cell: its graph.
        older: channels of the output of the cell before the previous one.
        previous: channels of the output of the previous cell.
        width: channels of every edge.
        reduction: whether edges from the cell's inputs have stride 2.
        after_reduction: whether the previous cell was a reduction, so that the older output is twice as large.
    """

    def __init__(
        self, cell: Cell, older: int, previous: int, width: int, *, reduction: bool, after_reduction: bool
    ) -> None:
        super().__init__()
        self.older = FactorisedReduction(older, width) if after_reduction else _relu_conv_bn(older, width)
        self.previous = _relu_conv_bn(previous, width)
        self.operations = nn.ModuleList(
            OPERATIONS[operation](width, 2 if reduction and source < 2 else 1) for operation, source in cell.edges
        )
        self.sources = [source for _, source in cell.edges]
        self.concat = cell.concat
        self.channels = len(cell.concat) * width

    def forward(self, older: Tensor, previous: Tensor) -> Tensor:
        """The two cell inputs to ``(n, channels, h, w)``, or half the size for a reduction."""
        states = [self.older(older), self.previous(previous)]
        edges = list(zip(self.operations, self.sources, strict=True))
        for (first, a), (second, b) in zip(edges[::2], edges[1::2], strict=True):
            states.append(first(states[a]) + second(states[b]))
        return torch.cat([states[source] for source in self.concat], dim=1)


class CellNetwork(nn.Module):
    """Cells in a row; see the head of this module.

    Args:
        in_shape: (channels, height, width), multiples of 4 (a reduction cell needs an even size).
        classes: number of outputs.
        genotype: its name, see :func:`find_genotype`, or itself.
        width: channels of an edge in the first cells, at least 2; 36 in DARTS, for CIFAR-10.
        cells: number of cells, at least 3; 20 in DARTS.

    Raises:
        ValueError: for a bad size or an unknown genotype; or for a reduction cell that concatenates its own inputs,
            which it does not reduce.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        classes: int,
        *,
        genotype: str | Genotype = "DARTS_V2",
        width: int = 36,
        cells: int = 20,
    ) -> None:
        super().__init__()
        channels, _, _ = image("cells", in_shape, at_least=4, multiple_of=4)
        width, cells = integer("width", width, at_least=2), integer("cells", cells, at_least=3)
        self.genotype = find_genotype(genotype)
        if min(self.genotype.reduce.concat) < 2:
            raise ValueError(f"genotype {self.genotype.name!r}: its reduction cell may not concatenate inputs 0 and 1")
        self.stem = nn.Sequential(nn.Conv2d(channels, 3 * width, 3, padding=1, bias=False), nn.BatchNorm2d(3 * width))
        self.cells = nn.ModuleList()
        older = previous = 3 * width
        after_reduction = False
        for position in range(cells):
            reduction = position in (cells // 3, 2 * cells // 3)
            width = 2 * width if reduction else width
            graph = self.genotype.reduce if reduction else self.genotype.normal
            cell = CellModule(graph, older, previous, width, reduction=reduction, after_reduction=after_reduction)
            self.cells.append(cell)
            older, previous, after_reduction = previous, cell.channels, reduction
        self.classifier = nn.Linear(previous, integer("classes", classes))

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, channels, height, width)`` to logits ``(n, classes)``."""
        older = previous = self.stem(x)
        for cell in self.cells:
            older, previous = previous, cell(older, previous)
        return self.classifier(previous.mean((-2, -1)))
