"""Input gradients of a model and of its loss: total variation, Lipschitz constants (Finlay et al., sections 2, 3, 6).

The mean of ``|grad_x l(x)|`` over data estimates the total variation of the loss, the maximum its Lipschitz constant
(equation 2.3); the same for the Jacobian of the model. Norms are dual to those that measure perturbations: ``l2`` for
``l2``, the sum of absolute values for ``linf``. A sampled maximum is a *lower* bound on a Lipschitz constant; the
product of the layers' operator norms (:func:`product_bound`) is an upper bound, for contrast.

Models are evaluated in eval mode, where an output depends on its own input only; flags are left as found and parameters
receive no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.analysis.curvature import Operator, top_eigenpairs
from advsmooth.analysis.empirical import batches
from advsmooth.attacks import ball
from advsmooth.attacks.ball import Norm
from advsmooth.attacks.isolation import frozen
from advsmooth.attacks.losses import Loss, cross_entropy
from advsmooth.models.fcn import FCN
from advsmooth.models.normalise import Normalise

Outputs = Literal["probabilities", "logits"]

FINITE_DIFFERENCE_STEP = 1e-3
"""The step ``h`` of Finlay et al., section 2.2."""

# --- norms of gradients ---------------------------------------------------------------------------------------------


def loss_gradients(model: nn.Module, x: Tensor, y: Tensor, *, loss: Loss = cross_entropy, batch: int = 1024) -> Tensor:
    """``grad_x l(x_i)`` of each example, the shape of ``x``; also a direction for a contour in input space."""
    with frozen(model):
        return torch.cat([_slope(model, some, labels, loss)[1] for some, labels in batches(x, y, batch)])


def loss_gradient_norms(
    model: nn.Module, x: Tensor, y: Tensor, *, norm: Norm = "l2", loss: Loss = cross_entropy, batch: int = 1024
) -> Tensor:
    """``|grad_x l(x_i)|_*`` of each example, ``(n,)``, in the dual of ``norm``.

    Raises:
        ValueError: for a norm that is not ``l2`` or ``linf``.
    """
    _check(norm)
    return ball.dual_norms(loss_gradients(model, x, y, loss=loss, batch=batch), norm)


def _check(norm: str) -> None:
    if norm not in ball.NORMS:
        raise ValueError(f"norm={norm!r}: allowed is {' or '.join(ball.NORMS)}")


def _slope(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` and their gradients in the inputs."""
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        losses = loss(model(inputs), y)
        (gradient,) = torch.autograd.grad(losses.sum(), inputs)
    return losses.detach(), gradient


def jacobian_norms(
    model: nn.Module, x: Tensor, *, norm: Norm = "l2", outputs: Outputs = "probabilities", batch: int = 1024
) -> Tensor:
    """``|grad f(x_i)|_{2,inf}`` of each example, ``(n,)``: the largest norm of a row of the Jacobian.

    It is the operator norm from perturbations, measured in ``norm``, to outputs in the maximum norm. One backward pass
    for each class.

    Args:
        model: maps ``(n, ...)`` to logits ``(n, K)``.
        x: inputs.
        norm: of the perturbations; the rows are measured in its dual.
        outputs: what ``f`` is. The paper does not say. Softmax ``probabilities`` can be compared with the Lipschitz
            constant of one-hot labels (:class:`advsmooth.analysis.lipschitz.Separation`); ``logits`` have no scale.
        batch: inputs at a time.

    Raises:
        ValueError: for another norm or other outputs.
    """
    _check(norm)
    if outputs not in ("probabilities", "logits"):
        raise ValueError(f"outputs={outputs!r}: allowed is probabilities or logits")
    found = []
    with frozen(model), torch.enable_grad():
        for some in x.split(batch):
            inputs = some.detach().clone().requires_grad_()
            values = model(inputs)
            values = values.softmax(1) if outputs == "probabilities" else values
            rows = [
                ball.dual_norms(torch.autograd.grad(column.sum(), inputs, retain_graph=True)[0], norm)
                for column in values.unbind(1)
            ]
            found.append(torch.stack(rows).amax(0))
    return torch.cat(found)


def finite_difference_norms(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: Norm = "l2",
    step: float = FINITE_DIFFERENCE_STEP,
    loss: Loss = cross_entropy,
    batch: int = 1024,
) -> Tensor:
    """``(l(x + h d) - l(x)) / h`` of each example, ``(n,)``: estimates the gradient norm with one more forward pass.

    ``d`` is the attack direction, the gradient's sign (``linf``) or the normalised gradient (``l2``), taken without
    graph. For the penalty of training, differentiate the same expression in the parameters. The error is half the
    curvature along ``d`` times ``h``; below ``h = 1e-3`` rounding in float32 takes over.

    Where a max-pooling is tied, as on the black background of MNIST, the loss has a kink and the two are different
    things at any ``h``: their means over 1000 images differed by 3.5 per cent for a trained LeNet, and by 1e-5 with
    noise of 1e-3 on the pixels.

    Raises:
        ValueError: for a step that is not positive, or another norm.
    """
    _check(norm)
    if not 0 < step < math.inf:
        raise ValueError(f"step={step!r}: allowed is a positive number, such as {FINITE_DIFFERENCE_STEP}")
    found = []
    with frozen(model):
        for some, labels in batches(x, y, batch):
            before, gradient = _slope(model, some, labels, loss)
            with torch.no_grad():
                after = loss(model(some + step * ball.steepest(gradient, norm)), labels)
            found.append((after - before) / step)
    return torch.cat(found)


def estimated_distances(losses: Tensor, gradient_norms: Tensor, threshold: float) -> Tensor:
    """Estimated minimal adversarial distances ``(l_0 - l(x)) / |grad l(x)|``, 0 where ``l(x) > l_0`` (equation 3.7).

    Args:
        losses: ``l(x_i)``, ``(n,)``.
        gradient_norms: in the dual norm, ``(n,)``; a zero gives an infinite distance.
        threshold: ``l_0``, the smallest loss of a misclassified input: ``log 2`` for cross-entropy. The paper's
            ``log K`` (3.8) bounds it from above.
    """
    return torch.where(losses > threshold, 0.0, (threshold - losses) / gradient_norms)


# --- statistics of a model ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GradientStatistics:
    """The last columns of tables 2 and 3: mean and largest gradient norms over data.

    Attributes:
        loss_variation: mean of ``|grad l|_*``, the total variation of the loss.
        loss_lipschitz: its maximum over the data.
        model_variation: mean of ``|grad f|``, :func:`jacobian_norms`.
        model_lipschitz: its maximum over the data.
        n: number of examples.
    """

    loss_variation: float
    loss_lipschitz: float
    model_variation: float
    model_lipschitz: float
    n: int


def statistics(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: Norm = "l2",
    outputs: Outputs = "probabilities",
    loss: Loss = cross_entropy,
    batch: int = 1024,
) -> GradientStatistics:
    """Gradient statistics of a model; see :func:`loss_gradient_norms` and :func:`jacobian_norms`."""
    of_loss = loss_gradient_norms(model, x, y, norm=norm, loss=loss, batch=batch).double()
    of_model = jacobian_norms(model, x, norm=norm, outputs=outputs, batch=batch).double()
    return GradientStatistics(
        of_loss.mean().item(), of_loss.max().item(), of_model.mean().item(), of_model.max().item(), len(x)
    )


def improvement(
    before: GradientStatistics, after: GradientStatistics, distance_before: float, distance_after: float
) -> pd.DataFrame:
    """Predicted and actual improvement of a regularised over an undefended model (table 5), each a ratio above 1.

    Args:
        before: of the undefended model.
        after: of the regularised model.
        distance_before: median adversarial distance of the undefended model.
        distance_after: of the regularised one.

    Returns:
        Three rows, ``measure, improvement``: ``total variation`` and ``Lipschitz constant`` of the model (the
        predictions), ``median distance`` (what was found).
    """
    rows = [
        ("total variation", before.model_variation / after.model_variation),
        ("Lipschitz constant", before.model_lipschitz / after.model_lipschitz),
        ("median distance", distance_after / distance_before),
    ]
    return pd.DataFrame(rows, columns=["measure", "improvement"])


# --- the product of operator norms ----------------------------------------------------------------------------------

_AFFINE = (
    Normalise,
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)
_CONTRACTIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Flatten, nn.Identity, nn.Dropout)


def operator_norms(model: nn.Module, example: Tensor) -> pd.DataFrame:
    """The Euclidean Lipschitz constant of each layer that a forward pass of one input goes through.

    An affine layer (linear, convolution, batch norm in eval mode, average pooling) has the spectral norm of its linear
    part on inputs of the size it meets, from the largest eigenvalue of ``A^T A`` and its residual (below 1e-6 of it in
    float64, 1e-4 in float32). Max-pooling can repeat an input in overlapping windows and has the root of their number.
    Activations have 1, and :class:`advsmooth.models.fcn.FCN` the product of its matrices' norms.

    Args:
        model: made of these layers; functions that are no modules are not seen.
        example: one input, ``(1, ...)``.

    Returns:
        One row per layer, in the order of the pass: ``layer`` (its name), ``kind``, ``norm``.

    Raises:
        ValueError: for a layer whose constant is not known here, or a model without layers.
    """
    met: list[tuple[str, nn.Module, Tensor]] = []
    names = {module: name for name, module in model.named_modules()}

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        met.append((names[module], module, inputs[0].detach()))

    layers = [module for module in names if isinstance(module, FCN) or not list(module.children())]
    hooks = [layer.register_forward_pre_hook(remember) for layer in layers]
    try:
        with frozen(model), torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    if not met:
        raise ValueError(f"{type(model).__name__}: its forward pass goes through no layer that is a module")
    with frozen(model):
        rows = [(name, type(module).__name__, _constant(name, module, x)) for name, module, x in met]
    return pd.DataFrame(rows, columns=["layer", "kind", "norm"])


def _constant(name: str, layer: nn.Module, x: Tensor) -> float:
    if isinstance(layer, _CONTRACTIONS):
        return 1.0
    if isinstance(layer, FCN):
        return math.prod(torch.linalg.matrix_norm(w, 2).item() for w in layer.weights) / layer.alpha
    if isinstance(layer, nn.MaxPool2d) and layer.dilation in (1, (1, 1)):
        return math.sqrt(math.prod(math.ceil(k / s) for k, s in zip(*_windows(layer), strict=True)))
    if not isinstance(layer, _AFFINE):
        raise ValueError(f"layer {name!r}: the Lipschitz constant of {layer} is not known here")
    origin = layer(torch.zeros_like(x))
    transpose = torch.func.vjp(layer, x)[1]

    def gram(v: Tensor) -> Tensor:
        image = layer(v.view(x.shape)) - origin  # the linear part
        return transpose(image)[0].reshape(-1).detach()

    operator = Operator(gram, x.numel(), x.dtype, x.device)
    tolerance = 1e-6 if x.dtype == torch.float64 else 1e-4
    pairs = top_eigenpairs(operator, 1, generator=settings.generator(0), tolerance=tolerance, dimension=60)
    return math.sqrt(max(pairs.values[0].item() + pairs.residuals[0].item(), 0.0))


def _windows(pool: nn.MaxPool2d) -> Iterator[tuple[int, int]]:
    for value in (pool.kernel_size, pool.stride):
        yield (value, value) if isinstance(value, int) else (value[0], value[1])


def product_bound(model: nn.Module, example: Tensor, *, chain: bool = False) -> float:
    """The product of :func:`operator_norms`: an upper bound on the Lipschitz constant of the logits.

    From the Euclidean norm of inputs to that of outputs, hence also to their maximum norm. It holds for chains of
    layers; where branches are added up or joined it bounds nothing, and Finlay et al. report it all the same.

    Args:
        model: an ``nn.Sequential`` of layers.
        example: one input, ``(1, ...)``.
        chain: say that another kind of module is a chain too, such as LeNet: what it does between its layers (ReLU,
            max-pooling without overlap) must be 1-Lipschitz, which is taken on trust.

    Raises:
        ValueError: if the model is not an ``nn.Sequential`` and nothing is said.
    """
    for name, module in model.named_modules():
        if not chain and list(module.children()) and not isinstance(module, nn.Sequential | FCN):
            raise ValueError(
                f"module {name!r} ({type(module).__name__}): the product is a bound for nn.Sequential; pass chain=True "
                "if this is a chain as well"
            )
    return math.prod(operator_norms(model, example)["norm"].tolist())
