"""A step of adversarial training of CIFAR's size, ours against the loop in which it is usually written.

The peer is the plain loop of the reference scripts of Wu et al. (2020), written again from its description: batches
from a loader, PGD-10 in float32 with the model in eval mode, gradients of the weights computed and thrown away in every
attack step, one ``.item()`` a step. Ours is :func:`advsmooth.training.loop.train` as ``scale=gpu`` sets it up on the
device: on a GPU with channels-last, bfloat16 and a recorded graph, on a CPU with none of them.
"""

from __future__ import annotations

from dataclasses import replace

import measure
import torch
from measure import Row, Sizes
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from advsmooth import devices, gpu_hours
from advsmooth.attacks.gradient import PGD
from advsmooth.models import registry
from advsmooth.training.acceleration import accelerated
from advsmooth.training.augment import Augmentation
from advsmooth.training.loop import train
from advsmooth.training.objectives import AdversarialTraining
from advsmooth.training.recipe import Recipe
from advsmooth.training.schedules import Constant

EPS, STEP = 8 / 255, 2 / 255
RATE = 0.1


def rows(device: str, sizes: Sizes) -> list[Row]:
    """As ``scale=gpu`` trains, and on a GPU also what each of its options gives."""
    batch, steps = (128, 20) if device == "cuda" else (sizes.training_batch, 1)
    images = gpu_hours.noise((3, 32, 32), 10, batch * steps).to(device)
    plain = Recipe(
        AdversarialTraining(PGD(eps=EPS, step_size=STEP, steps=sizes.steps)),
        epochs=1,
        batch=batch,
        rate=Constant(RATE),
        augment=Augmentation(),
    )
    chosen = accelerated(plain, images, devices.of_kind(device)).recipe
    recipes = {"as scale=gpu sets it up" if device == "cuda" else "float32, eager": chosen}
    if device == "cuda":
        recipes |= {"float32, eager": plain, "float32, eager, channels last": replace(plain, channels_last=True)}
        recipes |= {"bfloat16, eager, channels last": replace(plain, channels_last=True, bf16=True)}

    def fresh() -> nn.Module:
        return registry.build("resnet18", in_shape=(3, 32, 32), classes=10, seed=0, w=sizes.width).to(device)

    models = {name: fresh() for name in recipes}
    theirs = fresh()
    calls = {
        name: (lambda model=models[name], recipe=recipe: train(model, images, recipe))
        for name, recipe in recipes.items()
    }
    times = measure.interleaved(
        {**calls, "theirs": lambda: reference_epoch(theirs, images.x, images.y, batch, sizes.steps)},
        repetitions=sizes.repetitions,
        device=device,
        shortest_s=0.0,
    )
    what = f"adversarial training, ResNet-18 ({sizes.width}), PGD-{sizes.steps}, batch {batch}"
    one = {name: [seconds / len(images) for seconds in found] for name, found in times.items()}
    return [
        measure.compare(
            "adversarial",
            f"{what}, {name} (s an image)",
            "plain loop",
            one[name],
            one["theirs"],
            note=f"{1 / min(one[name]):.3g} images a second, the plain loop {1 / min(one['theirs']):.3g}",
        )
        for name in recipes
    ]


def reference_epoch(model: nn.Module, x: torch.Tensor, y: torch.Tensor, batch: int, steps: int) -> float:
    """An epoch of the plain loop; the sum of the losses."""
    device = x.device
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    augment, g, total = Augmentation(), torch.Generator(device).manual_seed(0), 0.0
    for images, labels in DataLoader(TensorDataset(x.cpu(), y.cpu()), batch_size=batch, shuffle=True):
        images, labels = augment(images.to(device), g), labels.to(device)
        model.eval()
        delta = torch.empty_like(images).uniform_(-EPS, EPS)
        delta = (images + delta).clamp(0, 1) - images
        delta.requires_grad_()
        for _ in range(steps):
            functional.cross_entropy(model(images + delta), labels).backward()
            with torch.no_grad():
                moved = (delta + STEP * delta.grad.sign()).clamp(-EPS, EPS)
                delta.copy_((images + moved).clamp(0, 1) - images)
            delta.grad.zero_()
        model.train()
        optimiser.zero_grad()
        loss = functional.cross_entropy(model(images + delta.detach()), labels)
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total
