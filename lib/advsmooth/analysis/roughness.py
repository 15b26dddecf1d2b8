"""How rough the loss of one network is, by several measures and at several scales (Pang et al., section 4.1).

The paper looks at the loss contour ``Gamma(a_1, a_2) = loss(theta + a_1 d_1 + a_2 d_2)``. The curvature of a contour
at its centre along ``d`` is ``d^T H d`` with ``H`` the Hessian. For random signs ``d`` on the first convolution, those
of the authors' artifact, its mean over ``d`` is the trace of that block of ``H`` (Hutchinson). No such number is free
of a scale: where a batch norm follows, weights ``c W`` make the same network, and its curvature is ``1 / c^2`` times as
large (:func:`rescale`). What stays is the number times ``|W|^2 / P``, or directions with the norms of the filters.

:func:`measure` gives, of a network at some weights, by name:

=================  =================================================================================================
``loss``           mean cross-entropy, eval mode, nats
``signs``          root mean square, over random sign directions on the first convolution, of the second difference
                   of the loss with the spacing :data:`STEP`, per unit of ``a^2``
``signs, scaled``  the same times ``|W|^2 / P`` of the first convolution
``signs, rise``    mean rise of the loss to the offsets plus and minus ``landscape.PARAMETER_REACH``, nats
``filter``         as ``signs``, along filter-normalised directions through all layers
``top``            the Hessian eigenvalue of largest size, loss in training mode; ``top, residual``
``top, scaled``    the same times ``|theta|^2 / P``
``change``         ``|g(theta - h g) - g(theta)| / |g|`` in training mode, ``h`` the rate (:mod:`.step_smoothness`)
``gradient``       ``|g|``, in training mode
``input``          as ``signs``, in input space, with the spacing :data:`INPUT_STEP`, per squared unit of pixel scale
``input, rise``    as ``signs, rise`` for ``landscape.INPUT_REACH``
=================  =================================================================================================

*Training mode* means that batch norms use the statistics of the images at hand, and are differentiated through, as an
optimiser sees it; *eval mode*, that they use their running statistics. A fresh network has none: before training they
are estimated on the images at hand.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from advsmooth import data, settings
from advsmooth.analysis import curvature, landscape, searched_study
from advsmooth.analysis.connectivity import reestimate_batch_norm
from advsmooth.analysis.empirical import mean_loss
from advsmooth.analysis.parameter_space import Point, length, point, unflat
from advsmooth.analysis.step_smoothness import changes
from advsmooth.attacks.losses import Loss, cross_entropy
from advsmooth.training import searched
from advsmooth.training.batchnorm import statistics_kept
from advsmooth.training.objectives import Standard

STEP, INPUT_STEP = 0.05, 0.02
"""A tenth of the reach of the artifact's contours: the spacing of a grid of 21 x 21 points over them."""

# --- second derivatives -----------------------------------------------------------------------------------------


def hessian(model: nn.Module, x: Tensor, y: Tensor, *, loss: Loss = cross_entropy) -> curvature.Operator:
    """The Hessian of the mean loss in all parameters, in the mode the model is in; running statistics do not move.

    In train mode batch norms are differentiated through the statistics of ``x``. The gradient's graph is kept and
    differentiated anew in each product. On a CPU that was three times as fast as forward over reverse for the networks
    of many small layers that this module is about. It belongs to the parameters that the model has now.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    sizes, first = [p.numel() for p in parameters], parameters[0]
    with torch.enable_grad(), statistics_kept(model):
        slopes = torch.autograd.grad(loss(model(x), y).mean(), parameters, create_graph=True)

    def product(vector: Tensor) -> Tensor:
        parts = [part.view_as(p) for part, p in zip(vector.split(sizes), parameters, strict=True)]
        found = torch.autograd.grad(
            slopes, parameters, grad_outputs=parts, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([part.reshape(-1) for part in found]).detach()

    return curvature.Operator(product, sum(sizes), first.dtype, first.device)


def sign_directions(model: nn.Module, generator: torch.Generator, n: int) -> list[Point]:
    """``n`` independent directions of entries +1 and -1 on the first convolution, those of the artifact's contour."""
    block = point(model, landscape.first_convolution(model))
    size = sum(value.numel() for value in block.values())
    first = next(iter(block.values()))
    return [unflat(_signs((size,), generator).to(first), block) for _ in range(n)]


def sign_plane(model: nn.Module, generator: torch.Generator) -> tuple[Point, Point]:
    """Two orthogonal ones. With an odd number of entries there are none, and the second leaves one entry alone."""
    block = point(model, landscape.first_convolution(model))
    size = sum(value.numel() for value in block.values())
    pair = landscape.orthogonal_signs(size - size % 2, generator)
    if size % 2:
        pair = torch.cat([pair[0], _signs((1,), generator)]), torch.cat([pair[1], torch.zeros(1, dtype=torch.float64)])
    first = next(iter(block.values()))
    return unflat(pair[0].to(first), block), unflat(pair[1].to(first), block)


def _signs(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, tuple(shape), generator=generator, device=generator.device).double() * 2 - 1


def second_difference(minus: float, centre: float, plus: float, step: float) -> float:
    """``(f(-h) - 2 f(0) + f(h)) / h^2``."""
    return (minus - 2 * centre + plus) / step**2


def along(
    model: nn.Module, x: Tensor, y: Tensor, direction: Point | Tensor, steps: Sequence[float], centre: float
) -> list[float]:
    """Second differences of the mean loss along one direction for several spacings, in eval mode.

    Args:
        model: the network.
        x: inputs.
        y: labels.
        direction: in parameter space; or a tensor of the shape of one input, added to all of them.
        steps: spacings ``h``.
        centre: the loss at the network itself.
    """
    grid = [sign * h for h in steps for sign in (-1.0, 1.0)]
    if isinstance(direction, Tensor):
        found = landscape.input_contour(model, x, y, [direction], [grid])["loss"]
    else:
        found = landscape.contour(model, x, y, [direction], [grid])["loss"]
    values = found.tolist()
    return [second_difference(values[2 * k], centre, values[2 * k + 1], h) for k, h in enumerate(steps)]


# --- one network ------------------------------------------------------------------------------------------------


def measure(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    fresh: bool,
    directions: int,
    rate: float = searched.RATE,
    products: int = 40,
    tolerance: float = 0.05,
    seed: int = 0,
) -> dict[str, float]:
    """The numbers in the head of this module.

    Args:
        model: the network; its running statistics are estimated anew if it is ``fresh``.
        x: images.
        y: labels.
        fresh: whether it is not trained yet.
        directions: of each kind.
        rate: of the one step.
        products: at most so many with the Hessian for its top eigenvalue.
        tolerance: of that eigenvalue's residual, relative.
        seed: of the directions.
    """
    if fresh:
        reestimate_batch_norm(model, x)
    generator = settings.generator(seed)
    centre = mean_loss(model, x, y)
    reach, input_reach = landscape.PARAMETER_REACH, landscape.INPUT_REACH
    signs = [along(model, x, y, d, [STEP, reach], centre) for d in sign_directions(model, generator, directions)]
    normalised = [landscape.random_direction(point(model), generator) for _ in range(directions)]
    filters = [along(model, x, y, d, [STEP], centre)[0] for d in normalised]
    shifts = [_signs(x.shape[1:], generator).to(x) for _ in range(directions)]
    inputs = [along(model, x, y, d, [INPUT_STEP, input_reach], centre) for d in shifts]
    training = copy.deepcopy(model).train()
    pairs = curvature.top_eigenpairs(
        hessian(training, x, y), 1, guard=0, tolerance=tolerance, max_products=products, generator=generator
    )
    step = changes(model, Standard(), x, y, [rate]).iloc[0]
    top, everything = abs(pairs.values[0].item()), point(model)
    rough = _rms([s[0] for s in signs])
    block = {name: everything[name] for name in landscape.first_convolution(model)}
    return {
        "loss": centre,
        "signs": rough,
        "signs, scaled": rough * mean_square(block),
        "signs, rise": reach**2 / 2 * sum(s[1] for s in signs) / len(signs),
        "filter": _rms(filters),
        "top": top,
        "top, residual": pairs.residuals[0].item(),
        "top, scaled": top * mean_square(everything),
        "change": float(step["frozen"]),
        "gradient": float(step["gradient_norm"]),
        "input": _rms([s[0] for s in inputs]),
        "input, rise": input_reach**2 / 2 * sum(s[1] for s in inputs) / len(inputs),
    }


def contours(model: nn.Module, x: Tensor, y: Tensor, points: int, *, seed: int) -> dict[str, pd.DataFrame]:
    """The loss contours of the artifact, ``weights`` and ``inputs``: tables ``a1, a2, loss``, eval mode.

    As :func:`.landscape.pang_contour`, with a second direction for first convolutions of an odd size, too.

    Args:
        model: the network.
        x: images, all moved alike in input space.
        y: labels.
        points: along each side.
        seed: of the directions.
    """
    generator = settings.generator(seed)
    plane = sign_plane(model, generator)
    signs = landscape.orthogonal_signs(x[0].numel(), generator)
    grids = [[landscape.offsets(r, points)] * 2 for r in (landscape.PARAMETER_REACH, landscape.INPUT_REACH)]
    return {
        "weights": landscape.contour(model, x, y, plane, grids[0]),
        "inputs": landscape.input_contour(model, x, y, [s.to(x).view(x.shape[1:]) for s in signs], grids[1]),
    }


def mean_square(place: Point) -> float:
    """``|W|^2 / P`` for ``P`` entries."""
    return length(place) ** 2 / sum(value.numel() for value in place.values())


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(v * v for v in values) / len(values))


def training_loss(model: nn.Module, x: Tensor, y: Tensor, *, loss: Loss = cross_entropy) -> float:
    """The mean loss with the statistics of ``x`` in batch norms, as in training; the model is left as it is."""
    model = copy.deepcopy(model).train()
    with torch.no_grad():
        return loss(model(x), y).double().mean().item()


# --- the scale of the weights -----------------------------------------------------------------------------------


def rescale(convolution: nn.Conv2d, norm: nn.BatchNorm2d, factor: float) -> None:
    """Multiply a convolution without bias by ``factor``, and its batch norm's statistics so that nothing else changes.

    The mean goes with ``factor``, the variance with its square, and so must the constant that batch norm adds to the
    variance; then the network is the same function, in both modes, exactly.

    Raises:
        ValueError: for a factor that is not positive, a bias, or a batch norm of another number of channels.
    """
    if not 0 < factor < math.inf or convolution.bias is not None or norm.num_features != convolution.out_channels:
        raise ValueError(
            f"factor={factor!r}: allowed is a positive one, and a convolution without bias before its own batch norm"
        )
    with torch.no_grad():
        convolution.weight.mul_(factor)
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.mul_(factor)
            norm.running_var.mul_(factor**2)
    norm.eps *= factor**2


def normalised_pairs(model: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution of a sequence that is followed there by a batch norm of its size; :func:`rescale` fits them.

    Pairs that a network's own ``forward`` puts together are not seen.
    """
    return [
        (layer, following)
        for block in model.modules()
        if isinstance(block, nn.Sequential)
        for layer, following in itertools.pairwise(block)
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d) and layer.bias is None
    ]


# --- the first steps of a record --------------------------------------------------------------------------------


def replay(seed: int = 0, images: int = 48) -> dict[str, float]:
    """Two small trainings on digits, measured before and after; a record runs it again when the code has changed.

    Args:
        seed: of the networks and the directions.
        images: of the digits.
    """
    digits = data.load("digits", "train").take(images, seed=0)

    def measured(model: nn.Module, time: float, seed: int) -> dict[str, float]:
        return measure(model, digits.x, digits.y, fresh=time == 0, directions=2, products=6, seed=seed)

    return searched_study.replayed(measured, digits, seed)
