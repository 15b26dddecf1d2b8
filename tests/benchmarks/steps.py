"""Training steps with weight perturbation and of TRADES, against the forms in which they are usually written."""

from __future__ import annotations

import copy
from collections.abc import Callable

import measure
import subjects
import torch
from measure import Row, Sizes
from torch import Tensor, nn
from torch.nn import functional

from advsmooth import settings
from advsmooth.training.awp import worst_weights
from advsmooth.training.objectives import TRADES

GAMMA = 0.01
RATE = 1e-4


def rows(device: str, sizes: Sizes) -> list[Row]:
    """Reported without a target."""
    x, y = subjects.noise(sizes.batch, device)
    return [_awp(x, y, device, sizes), *_trades(x, y, device, sizes)]


def _awp(x: Tensor, y: Tensor, device: str, sizes: Sizes) -> Row:
    model = subjects.lenet((1, 28, 28), 16, device)
    before = copy.deepcopy(model.state_dict())
    optimiser, peer = torch.optim.SGD(model.parameters(), lr=RATE), Proxy(model)

    def ours() -> None:
        optimiser.zero_grad()
        with worst_weights(model, functional.cross_entropy(model(x), y), GAMMA):
            functional.cross_entropy(model(x), y).backward()
        optimiser.step()

    def theirs() -> None:
        added = peer.perturbation(x, y)
        _add(model, added, 1.0)
        optimiser.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimiser.step()
        _add(model, added, -1.0)

    ends = []
    for step in (ours, theirs):
        model.load_state_dict(before)
        step()
        ends.append(copy.deepcopy(model.state_dict()))
    apart = max((ends[0][name] - ends[1][name]).abs().max().item() for name in before)
    times = _times(ours, theirs, device, sizes)
    what = f"AWP step at given inputs, LeNet(16), batch {sizes.batch} (s)"
    note = f"after one step no weight differs by more than {apart:.1e}"
    return measure.compare("steps", what, "proxy network", times["ours"], times["theirs"], note=note)


class Proxy:
    """AWP as Wu et al. (2020) describe it: a second network ascends, and the way it went is rescaled by layer."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.proxy = model, copy.deepcopy(model)
        self.optimiser = torch.optim.SGD(self.proxy.parameters(), lr=0.01)

    def perturbation(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """What to add to the weights with more than one dimension."""
        self.proxy.load_state_dict(self.model.state_dict())
        self.proxy.train()
        self.optimiser.zero_grad()
        (-functional.cross_entropy(self.proxy(x), y)).backward()
        self.optimiser.step()
        moved, added = self.proxy.state_dict(), {}
        for name, weight in self.model.state_dict().items():
            if weight.ndim > 1:
                way = moved[name] - weight
                added[name] = GAMMA * weight.norm() / (way.norm() + 1e-20) * way
        return added


@torch.no_grad()
def _add(model: nn.Module, added: dict[str, Tensor], sign: float) -> None:
    for name, parameter in model.named_parameters():
        if name in added:
            parameter.add_(added[name], alpha=sign)


def _trades(x: Tensor, y: Tensor, device: str, sizes: Sizes) -> list[Row]:
    model = subjects.lenet((1, 28, 28), 16, device)
    trades = TRADES(eps=0.1, step_size=0.02, steps=sizes.steps)
    moved = trades.inner(model, x, y, settings.generator(0, device))

    def step(loss: Tensor) -> float:
        model.zero_grad()
        loss.backward()
        return loss.item()

    def outer() -> float:
        return step(trades.outer(model, x, moved, y).loss)

    def outer_in_three() -> float:
        return step(three_passes(model, trades, x, moved, y))

    def whole() -> float:
        return step(trades(model, x, y, generator=settings.generator(0, device)))

    def whole_in_three() -> float:
        g = settings.generator(0, device)
        return step(three_passes(model, trades, x, inner_again(model, trades, x, g), y))

    found = []
    for what, ours, theirs, peer in (
        ("outer stage of TRADES", outer, outer_in_three, "three forward passes"),
        (f"TRADES step, {trades.steps} inner steps", whole, whole_in_three, "three passes, and clean ones inside"),
    ):
        note = f"losses {ours():.6f} and {theirs():.6f}"
        times = _times(ours, theirs, device, sizes)
        unit = f"{what}, LeNet(16), batch {sizes.batch} (s)"
        found.append(measure.compare("steps", unit, peer, times["ours"], times["theirs"], note=note))
    return found


def three_passes(model: nn.Module, trades: TRADES, x: Tensor, moved: Tensor, y: Tensor) -> Tensor:
    """The loss with a clean pass for the cross-entropy and another for the divergence."""
    natural = functional.cross_entropy(model(x), y)
    worst, clean = functional.log_softmax(model(moved), dim=1), functional.softmax(model(x), dim=1)
    return natural + trades.beta * functional.kl_div(worst, clean, reduction="batchmean")


def inner_again(model: nn.Module, trades: TRADES, x: Tensor, generator: torch.Generator) -> Tensor:
    """The inner maximisation with a clean pass in every step."""
    model.eval()
    drawn = torch.randn(x.shape, generator=generator, device=generator.device).to(x)
    moved = x + trades.NOISE * drawn
    for _ in range(trades.steps):
        moved.requires_grad_()
        worst, clean = functional.log_softmax(model(moved), dim=1), functional.softmax(model(x), dim=1)
        (gradient,) = torch.autograd.grad(functional.kl_div(worst, clean, reduction="sum"), moved)
        moved = moved.detach() + trades.step_size * gradient.sign()
        moved = moved.clamp(x - trades.eps, x + trades.eps).clamp(0, 1)
    model.train()
    return moved


def _times(
    ours: Callable[[], object], theirs: Callable[[], object], device: str, sizes: Sizes
) -> dict[str, list[float]]:
    return measure.interleaved(
        {"ours": ours, "theirs": theirs},
        repetitions=sizes.repetitions,
        device=device,
        shortest_s=sizes.shortest_s,
    )
