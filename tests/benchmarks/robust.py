"""Robust error with five restarts, same answer, against Foolbox on the same weights."""

from __future__ import annotations

from dataclasses import replace

import foolbox
import measure
import pgd
import subjects
import torch
from measure import Row, Sizes
from torch import Tensor, nn

from advsmooth import settings
from advsmooth.attacks.evaluation import robust_error
from advsmooth.attacks.gradient import PGD
from advsmooth.data import Dataset

BATCH = 256


def rows(device: str, sizes: Sizes) -> list[Row]:
    """An adversarially trained network and an ordinary one."""
    test = subjects.images("test", sizes.examples, device)
    return [row for robust in (True, False) for row in _network(robust, test, device, sizes)]


def _network(robust: bool, test: Dataset, device: str, sizes: Sizes) -> list[Row]:
    model = subjects.trained(subjects.WIDTH[test.name], sizes.training, sizes.epochs, device, robust=robust)
    attack = PGD(eps=subjects.BUDGET[test.name], steps=2 * sizes.steps, restarts=5)

    def ours(early_stop: bool = False) -> Tensor:
        chosen, g = replace(attack, early_stop=early_stop), settings.generator(0, device)
        return robust_error(model, test.x, test.y, chosen, batch_size=BATCH, generator=g).broken

    def theirs() -> Tensor:
        return foolbox_broken(model, test, attack, settings.generator(0, device))

    def stopping() -> Tensor:
        return ours(early_stop=True)

    answers = {"plain": ours(), "stopping": stopping(), "theirs": theirs()}
    times = measure.interleaved(
        {"plain": ours, "stopping": stopping, "theirs": theirs},
        repetitions=sizes.repetitions,
        device=device,
        shortest_s=sizes.shortest_s,
    )
    found = []
    for name, how in (("plain", ""), ("stopping", ", each example only until it is broken")):
        kind = "adversarially trained" if robust else "ordinary"
        what = f"robust error{how}; {kind} LeNet, {len(test)} {test.name}, eps {attack.eps:g}, 5 restarts (s)"
        differ = int((answers[name] != answers["theirs"]).sum())
        errors = [f"{answers[key].double().mean().item():.4f}" for key in (name, "theirs")]
        note = f"same starts; error {errors[0]}, theirs {errors[1]}; {differ} examples differ"
        found.append(measure.compare("robust", what, "Foolbox", times[name], times["theirs"], at_least=3, note=note))
    return found


def foolbox_broken(model: nn.Module, test: Dataset, attack: PGD, generator: torch.Generator) -> Tensor:
    """Which examples Foolbox breaks from the starts that :func:`robust_error` draws, boolean ``(n,)``."""
    starts = [attack.start(test.x, generator) for _ in range(attack.restarts)]
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=str(test.x.device))
    broken = []
    for part in torch.arange(len(test), device=test.x.device).split(BATCH):
        repeated = pgd.from_starts(attack, [start[part] for start in starts]).repeat(attack.restarts)
        broken.append(repeated(wrapped, test.x[part], test.y[part], epsilons=attack.eps)[2])
    return torch.cat(broken)
