"""Projected gradient descent against the passes it cannot do without, and against Foolbox."""

from __future__ import annotations

from typing import get_args

import eagerpy
import foolbox
import measure
import subjects
import torch
from measure import Row, Sizes
from torch import Tensor, nn
from torch.nn import functional

from advsmooth import settings
from advsmooth.attacks import ball
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.isolation import frozen


def rows(device: str, sizes: Sizes) -> list[Row]:
    """Same model, batch, steps and start for all three."""
    model = subjects.lenet((1, 28, 28), 16, device).eval()
    x, y = subjects.noise(sizes.batch, device)
    return [row for norm in get_args(ball.Norm) for row in _norm(model, x, y, norm, device, sizes)]


def _norm(model: nn.Module, x: Tensor, y: Tensor, norm: ball.Norm, device: str, sizes: Sizes) -> list[Row]:
    attack = PGD(eps=0.1 if norm == "linf" else 1.5, steps=sizes.steps, norm=norm)
    start = attack.start(x, settings.generator(0, device))
    peer = from_starts(attack, [start])
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=device)
    wanted = foolbox.criteria.Misclassification(y)

    def ours() -> Tensor:
        return attack(model, x, y, start=start)

    def theirs() -> Tensor:
        return peer.run(wrapped, x, wanted, epsilon=attack.eps)

    def floor() -> None:
        with frozen(model):
            inputs = start.clone()
            for _ in range(sizes.steps):
                inputs.requires_grad_(True)
                torch.autograd.grad(functional.cross_entropy(model(inputs), y, reduction="sum"), inputs)

    equal = torch.isclose(ours(), theirs(), atol=1e-5, rtol=0).double().mean().item()
    times = measure.interleaved(
        {"ours": ours, "floor": floor, "theirs": theirs},
        repetitions=3 * sizes.repetitions,  # a bound of 5 % needs more of them
        device=device,
        shortest_s=sizes.shortest_s,
    )
    what = f"PGD {norm}, {sizes.steps} steps, LeNet(16), batch {sizes.batch}, 28x28 (s)"
    passes = f"{sizes.steps} forward and backward passes alone"
    same = f"same start; {equal:.2%} of the pixels equal to 1e-5; Foolbox also computes gradients of the weights"
    return [
        measure.compare("pgd", what, passes, times["ours"], times["floor"], at_most=1.05),
        measure.compare("pgd", what, "Foolbox", times["ours"], times["theirs"], at_most=0.85, note=same),
    ]


def from_starts(attack: PGD, starts: list[Tensor]) -> foolbox.attacks.base.Attack:
    """Foolbox's PGD with the settings of ours, from given starts: the first run from the first one, and round again."""
    base = foolbox.attacks.LinfPGD if attack.norm == "linf" else foolbox.attacks.L2PGD
    runs = 0

    class FromStarts(base):
        def get_random_start(self, x0: eagerpy.Tensor, epsilon: float) -> eagerpy.Tensor:  # noqa: ARG002
            nonlocal runs
            runs += 1
            return eagerpy.astensor(starts[(runs - 1) % len(starts)])

    return FromStarts(abs_stepsize=attack.step, steps=attack.steps)
