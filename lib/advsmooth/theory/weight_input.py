r"""Smoothness in the weights and smoothness in the input (Pang et al., section 4.1).

The loss of a feed-forward network sees its first weight matrix ``W`` and its input ``x`` only through
``z = W x + b``: it is ``phi(z)``. With ``g`` and ``H`` the gradient and the Hessian of ``phi`` at ``z``,

    grad_W = g x^T              Hess_W = H kron x x^T       (rows of W one after another)
    grad_x = W^T g              Hess_x = W^T H W

so that ``|Hess_x| <= |W|^2 |H|`` and ``|Hess_W| = |x|^2 |H|``, in the spectral norm. The same two lines hold at
every layer, with the layer's own weights, input and ``phi``; applied from the last layer to the first they give
all Hessian blocks of a network exactly (:func:`preactivation_derivatives`).

Networks here are small, smooth and float64; a leading batch dimension of the weights holds several networks of one
shape (seeds), which are then measured and trained together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advsmooth import settings

GAINS: Mapping[str, float] = {"lecun": 1.0, "he": 2.0}
"""Variance of an initial weight times the number of inputs of its layer (LeCun et al.; He et al.)."""

READINGS = ("norm 1", "norm sqrt n", "standardised", "pixel scale")
"""What "the input is normalised" may mean; see :func:`normalised`."""


@dataclass(frozen=True)
class Activation:
    """A smooth activation with its first and second derivative, each a function of the pre-activation."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    bend: Callable[[Tensor], Tensor]


def _sech2(z: Tensor) -> Tensor:
    return 1 - torch.tanh(z).square()


def _logistic_slope(z: Tensor) -> Tensor:
    return torch.sigmoid(z) * torch.sigmoid(-z)


ACTIVATIONS: Mapping[str, Activation] = {
    "tanh": Activation(torch.tanh, _sech2, lambda z: -2 * torch.tanh(z) * _sech2(z)),
    "softplus": Activation(torch.nn.functional.softplus, torch.sigmoid, _logistic_slope),
}


@dataclass(frozen=True)
class SmoothMLP:
    """A fully connected network with a smooth activation and the cross-entropy of a softmax on top.

    Attributes:
        weights: one matrix a layer, shape ``(..., out, in)``; leading dimensions hold several networks.
        biases: one vector a layer, shape ``(..., out)``.
        activation: a name of :data:`ACTIVATIONS`.

    Raises:
        ValueError: if shapes do not fit, or the activation is unknown.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    activation: str = "tanh"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}: allowed is {', '.join(ACTIVATIONS)}")
        shapes = [tuple(weight.shape) for weight in self.weights]
        fits = all(a[-2] == b[-1] for a, b in itertools.pairwise(shapes))
        if not shapes or not fits or [s[:-1] for s in shapes] != [tuple(b.shape) for b in self.biases]:
            biases = [tuple(bias.shape) for bias in self.biases]
            raise ValueError(
                f"weights {shapes} and biases {biases}: need (..., out, in) and (..., out), layer by layer"
            )

    @property
    def n(self) -> int:
        """Number of input coordinates."""
        return self.weights[0].shape[-1]

    def preactivations(self, x: Tensor) -> list[Tensor]:
        """``z_l = W_l h_{l-1} + b_l`` of every layer for inputs ``(..., N, n)``; each ``(..., N, out_l)``."""
        value, h, found = ACTIVATIONS[self.activation].value, x, []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            found.append(h @ weight.mT + bias.unsqueeze(-2))
            h = value(found[-1])
        return found

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy of each input ``(..., N, n)`` with label ``y`` of shape ``(N,)``; shape ``(..., N)``."""
        logits = self.preactivations(x)[-1]
        return logits.logsumexp(-1) - logits.gather(-1, _columns(y, logits)).squeeze(-1)

    def accuracy(self, x: Tensor, y: Tensor) -> Tensor:
        """Fraction of inputs classified as ``y``, one number a network."""
        return (self.preactivations(x)[-1].argmax(-1) == y).to(x.dtype).mean(-1)

    def stretched(self, factor: float, x: Tensor) -> SmoothMLP:
        """The network with ``W_1`` times ``factor`` and ``b_1`` shifted so that ``W_1 x + b_1`` stays what it was.

        At ``x`` every activation, every loss and every Hessian in a weight matrix is unchanged; the input
        Hessian is multiplied by ``factor ** 2``.

        Args:
            factor: any number.
            x: one input, shape ``(n,)``.
        """
        weight, bias = self.weights[0], self.biases[0]
        shifted = bias - (factor - 1) * (weight @ x)
        return replace(self, weights=(factor * weight, *self.weights[1:]), biases=(shifted, *self.biases[1:]))

    def __getitem__(self, index: int) -> SmoothMLP:
        """One network of several."""
        return replace(self, weights=tuple(w[index] for w in self.weights), biases=tuple(b[index] for b in self.biases))


def normalised(x: Tensor, reading: str) -> Tensor:
    """Inputs under one reading of "normalised".

    Args:
        x: inputs in pixel scale, shape ``(N, n)``.
        reading: ``norm 1`` (each input has Euclidean norm 1), ``norm sqrt n`` (each has norm ``sqrt(n)``: mean square
            1), ``standardised`` (each coordinate has mean 0 and variance 1 over the inputs; a constant one becomes
            0) or ``pixel scale`` (as they are, in [0, 1]).

    Raises:
        ValueError: for another reading, or a zero input where its norm is divided by.
    """
    if reading == "pixel scale":
        return x
    if reading == "standardised":
        spread = x.std(0, correction=0)
        return (x - x.mean(0)) / torch.where(spread > 1e-9, spread, torch.inf)
    if reading not in READINGS:
        raise ValueError(f"reading={reading!r}: allowed is {', '.join(READINGS)}")
    norm = x.norm(dim=-1, keepdim=True)
    if not bool((norm > 0).all()):
        raise ValueError("an input is zero and cannot be given a norm; leave it out")
    return x / norm * (1.0 if reading == "norm 1" else math.sqrt(x.shape[-1]))


def _columns(y: Tensor, logits: Tensor) -> Tensor:
    return y.expand(logits.shape[:-1]).unsqueeze(-1)


def random_mlp(
    sizes: Sequence[int], *, seeds: Sequence[int], init: str = "lecun", activation: str = "tanh", bias_std: float = 0.0
) -> SmoothMLP:
    """Networks with Gaussian weights of variance ``gain / in``, one a seed, float64 on the CPU.

    Args:
        sizes: input dimension, hidden widths, number of classes.
        seeds: one network each; the weights have shape ``(len(seeds), out, in)``.
        init: a name of :data:`GAINS`.
        activation: a name of :data:`ACTIVATIONS`.
        bias_std: standard deviation of the biases.

    Raises:
        ValueError: for an unknown initialisation, fewer than two sizes or one below 1, or no seed.
    """
    if init not in GAINS:
        raise ValueError(f"init={init!r}: allowed is {', '.join(GAINS)}")
    if len(sizes) < 2 or min(sizes) < 1 or not seeds:
        raise ValueError(f"sizes={list(sizes)}, seeds={list(seeds)}: need at least two sizes, each >= 1, and a seed")
    weights: list[list[Tensor]] = [[] for _ in sizes[1:]]
    biases: list[list[Tensor]] = [[] for _ in sizes[1:]]
    for seed in seeds:
        g = settings.generator(seed)
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            scale = math.sqrt(GAINS[init] / fan_in)
            weights[layer].append(scale * torch.randn(fan_out, fan_in, generator=g, dtype=torch.float64))
            biases[layer].append(bias_std * torch.randn(fan_out, generator=g, dtype=torch.float64))
    return SmoothMLP(tuple(map(torch.stack, weights)), tuple(map(torch.stack, biases)), activation)


def preactivation_derivatives(net: SmoothMLP, x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each layer its input ``h``, and gradient ``g`` and Hessian ``H`` of the loss in its pre-activation ``z``.

    From the last layer down, with ``a`` the activation and ``W`` the weights of the layer above,
    ``H <- diag(a'(z)) W^T H W diag(a'(z)) + diag(a''(z) * W^T g)`` and ``g <- a'(z) * W^T g``; at the top
    ``g = p - e_y`` and ``H = diag(p) - p p^T`` with ``p`` the softmax. Nothing is approximated.

    Args:
        net: one network or several.
        x: inputs, shape ``(..., N, n)``.
        y: labels, shape ``(N,)``.

    Returns:
        First layer first: shapes ``(..., N, in)``, ``(..., N, out)`` and ``(..., N, out, out)``.
    """
    activation, zs = ACTIVATIONS[net.activation], net.preactivations(x)
    p = zs[-1].softmax(-1)
    g = p.scatter_add(-1, _columns(y, p), -torch.ones_like(p[..., :1]))
    hessian = torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)
    found = []
    for layer in reversed(range(len(zs))):
        h = x.expand(*zs[0].shape[:-1], net.n) if layer == 0 else activation.value(zs[layer - 1])
        found.append((h, g, hessian))
        if layer:
            weight, z = net.weights[layer], zs[layer - 1]
            back, slope = g @ weight, activation.slope(z)
            w = weight.unsqueeze(-3) * slope.unsqueeze(-2)
            hessian = w.mT @ hessian @ w + torch.diag_embed(activation.bend(z) * back)
            g = slope * back
    return found[::-1]


@dataclass(frozen=True)
class Smoothness:
    """Norms of the Hessian blocks of a network at given inputs, and the bounds made from them.

    Attributes:
        n: number of input coordinates.
        input: spectral norm of the Hessian in the input, shape ``(..., N)``.
        layers: spectral norm of the Hessian in each weight matrix, shape ``(..., N, depth)``.
        input_gradient: norm of the gradient in the input, shape ``(..., N)``.
        weight_gradient: Frobenius norm of the gradient in ``W_1``, shape ``(..., N)``.
        weight_norm: spectral norm of ``W_1``, shape ``(..., 1)``.
        weight_floor: smallest singular value of ``W_1^T`` (zero if ``W_1`` has more rows than columns), ``(..., 1)``.
        norm: Euclidean norm of the input, shape ``(..., N)``.
    """

    n: int
    input: Tensor
    layers: Tensor
    input_gradient: Tensor
    weight_gradient: Tensor
    weight_norm: Tensor
    weight_floor: Tensor
    norm: Tensor

    @property
    def constant(self) -> Tensor:
        """``L`` of the hypothesis at each input: the largest over the layers, shape ``(..., N)``."""
        return self.layers.amax(-1)

    @property
    def printed(self) -> Tensor:
        """The bound as printed, ``L / sqrt(n)``, with ``L`` the largest over the layers."""
        return self.constant / math.sqrt(self.n)

    @property
    def factor(self) -> Tensor:
        """``|W_1|^2 / |x|^2``: what turns smoothness in ``W_1`` into smoothness in the input."""
        return self.weight_norm.square() / self.norm.square()

    @property
    def repaired(self) -> Tensor:
        """The repaired bound, ``|W_1|^2 / |x|^2`` times the norm of the Hessian in ``W_1``."""
        return self.factor * self.layers[..., 0]

    @property
    def ratio_to_printed(self) -> Tensor:
        """Largest input Hessian over the inputs against ``L / sqrt(n)``, ``L`` the largest over inputs and layers."""
        return self.input.amax(-1) / self.printed.amax(-1)

    @property
    def ratio_to_repaired(self) -> Tensor:
        """Largest ratio of an input Hessian to the repaired bound at the same input; at most 1."""
        return (self.input / self.repaired).amax(-1)

    @property
    def floor(self) -> Tensor:
        """The bound from below, ``s_min(W_1^T)^2 / |x|^2`` times the norm of the Hessian in ``W_1``."""
        return self.weight_floor.square() / self.norm.square() * self.layers[..., 0]


def symmetric_norm(matrix: Tensor) -> Tensor:
    """Spectral norm of symmetric matrices ``(..., k, k)``: the largest eigenvalue in absolute value."""
    return torch.linalg.eigvalsh(matrix).abs().amax(-1)


def local_smoothness(net: SmoothMLP, x: Tensor, y: Tensor) -> Smoothness:
    """Norms of all Hessian blocks of the loss at each input: the Lipschitz constants of the gradients near it.

    Args:
        net: one network or several.
        x: inputs, none of them zero, shape ``(..., N, n)``.
        y: labels, shape ``(N,)``.

    Raises:
        ValueError: if an input is zero; the first layer then says nothing about the input.
    """
    norm = x.norm(dim=-1)
    if not bool((norm > 0).all()):
        raise ValueError("an input is zero: Hess_W = H kron x x^T vanishes there and bounds nothing")
    blocks = preactivation_derivatives(net, x, y)
    first = net.weights[0]
    _, g, hessian = blocks[0]
    singular = torch.linalg.svdvals(first)
    # With W^T = Q R, W^T H W and R H R^T share their nonzero eigenvalues; R has as many rows as the smaller side of W.
    root = torch.linalg.qr(first.mT, mode="r").R.unsqueeze(-3)
    floor = singular[..., -1:] if first.shape[-2] <= first.shape[-1] else torch.zeros_like(singular[..., -1:])
    in_layers = [symmetric_norm(block) * h.square().sum(-1) for h, _, block in blocks]
    return Smoothness(
        n=net.n,
        input=symmetric_norm(root @ hessian @ root.mT),
        layers=torch.stack(in_layers, -1),
        input_gradient=(g @ first).norm(dim=-1),
        weight_gradient=g.norm(dim=-1) * norm,
        weight_norm=singular[..., :1],
        weight_floor=floor,
        norm=norm.expand(g.shape[:-1]),
    )


@dataclass(frozen=True)
class AutogradHessians:
    """Dense Hessians of one network's loss at one input, by automatic differentiation of the whole loss.

    Attributes:
        input: in ``x``, shape ``(n, n)``.
        weights: in each weight matrix, its rows one after another, shape ``(out * in, out * in)``.
    """

    input: Tensor
    weights: tuple[Tensor, ...]


def dense_hessian(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Hessian of a scalar function at a point of ``k`` entries, by automatic differentiation; shape ``(k, k)``."""
    # Reverse over reverse: torch's forward mode would emit a deprecation warning of its own.
    return torch.func.jacrev(torch.func.grad(function))(at).reshape(at.numel(), at.numel())


def autograd_hessians(net: SmoothMLP, x: Tensor, y: Tensor) -> AutogradHessians:
    """Dense Hessians without any of the identities of this module; for one network, ``x`` of shape ``(n,)``."""

    def in_layer(layer: int) -> Callable[[Tensor], Tensor]:
        before, after = net.weights[:layer], net.weights[layer + 1 :]
        return lambda weight: replace(net, weights=(*before, weight, *after)).losses(x[None], y[None])[0]

    blocks = tuple(dense_hessian(in_layer(layer), weight) for layer, weight in enumerate(net.weights))
    return AutogradHessians(dense_hessian(lambda u: net.losses(u[None], y[None])[0], x), blocks)


def rank_one_step(weight: Tensor, x: Tensor, delta: Tensor) -> Tensor:
    """``dW = W delta x^T / |x|^2``: the smallest change of the weights with ``(W + dW) x = W (x + delta)``.

    Args:
        weight: shape ``(m, n)``.
        x: the input, not zero, shape ``(n,)``.
        delta: its change, shape ``(n,)``.
    """
    return torch.outer(weight @ delta, x) / x.square().sum()


@dataclass(frozen=True)
class Displacement:
    """What a finite step in the input and the rank-one step in the weights that matches it do to the gradients.

    Attributes:
        input_change: norm of the change of the gradient in the input.
        input_step: norm of the step in the input.
        weight_change: Frobenius norm of the change of the gradient in ``W_1``.
        weight_step: Frobenius norm of the step in ``W_1``.
        factor: ``|W_1|^2 / |x|^2``.
    """

    input_change: float
    input_step: float
    weight_change: float
    weight_step: float
    factor: float

    @property
    def bound(self) -> float:
        """``|W_1|^2 / |x|^2`` times the slope of the gradient along the step in the weights, times the input step."""
        return self.factor * self.weight_change / self.weight_step * self.input_step


def displacement(net: SmoothMLP, x: Tensor, y: Tensor, delta: Tensor) -> Displacement:
    """Changes of both gradients for a finite ``delta``, by automatic differentiation; one network, one input.

    Raises:
        ValueError: if ``W_1 delta`` is zero; the gradient in the input does not change at all then.
    """
    weight = net.weights[0]
    step = rank_one_step(weight, x, delta)
    if not bool(step.any()):
        raise ValueError("W_1 delta is zero: neither gradient changes, there is nothing to compare")

    def loss(w: Tensor, u: Tensor) -> Tensor:
        return replace(net, weights=(w, *net.weights[1:])).losses(u[None], y[None])[0]

    in_weight, in_input = torch.func.grad(loss, argnums=0), torch.func.grad(loss, argnums=1)
    return Displacement(
        input_change=(in_input(weight, x + delta) - in_input(weight, x)).norm().item(),
        input_step=delta.norm().item(),
        weight_change=(in_weight(weight + step, x) - in_weight(weight, x)).norm().item(),
        weight_step=step.norm().item(),
        factor=(torch.linalg.matrix_norm(weight, 2).square() / x.square().sum()).item(),
    )


def edge(n: int, m: int, init: str = "lecun") -> float:
    """``gain * (1 + sqrt(m / n))^2``: about ``|W|^2`` of a Gaussian ``m x n`` matrix of variance ``gain / n``.

    The mean of ``|W|`` is at most its square root (Gordon's comparison), and tends to it as both sizes grow.
    """
    return GAINS[init] * (1 + math.sqrt(m / n)) ** 2


def critical_width(n: int, init: str = "lecun") -> float:
    """Width up to which ``|W_1|^2 <= sqrt(n)`` at initialisation, from :func:`edge`; zero if there is none.

    With ``|x|^2 = n`` this is the widest first layer for which the printed constant follows for every ``phi``.
    """
    return n * max(0.0, n**0.25 / math.sqrt(GAINS[init]) - 1) ** 2


def sgd(
    net: SmoothMLP,
    x: Tensor,
    y: Tensor,
    *,
    checkpoints: Sequence[int],
    learning_rate: float,
    batch: int,
    seed: int,
) -> dict[int, SmoothMLP]:
    """Plain minibatch gradient descent, all networks together, each with its own batches.

    Args:
        net: networks along one leading dimension; left as they are.
        x: inputs, shape ``(N, n)``.
        y: labels, shape ``(N,)``.
        learning_rate: factor of the gradient of the mean loss over a batch.
        checkpoints: numbers of steps after which the networks are kept; 0 is the start.
        batch: inputs of a step, drawn with replacement.
        seed: of the batches.

    Returns:
        Steps -> networks.

    Raises:
        ValueError: if the networks have no leading dimension, or a number of steps is negative.
    """
    if net.weights[0].ndim != 3 or min(checkpoints) < 0:
        shape = tuple(net.weights[0].shape)
        raise ValueError(f"weights {shape}, checkpoints {list(checkpoints)}: need (networks, out, in) and steps >= 0")
    g, depth, kept = settings.generator(seed), len(net.weights), {}
    values = [p.clone().requires_grad_() for p in (*net.weights, *net.biases)]
    for step in range(max(checkpoints) + 1):
        current = replace(net, weights=tuple(values[:depth]), biases=tuple(values[depth:]))
        if step in checkpoints:
            frozen = [p.detach().clone() for p in values]
            kept[step] = replace(net, weights=tuple(frozen[:depth]), biases=tuple(frozen[depth:]))
        chosen = torch.randint(len(x), (len(net.weights[0]), batch), generator=g)
        logits = current.preactivations(x[chosen])[-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y[chosen].flatten(), reduction="sum") / batch
        with torch.no_grad():
            for p, gradient in zip(values, torch.autograd.grad(loss, values), strict=True):
                p -= learning_rate * gradient
    return kept
