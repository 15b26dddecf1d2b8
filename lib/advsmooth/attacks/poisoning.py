"""Attacks on the training data: wrong labels, and a trigger that teaches a network a back door.

Both take a data set and return another one; nothing is trained here. The new data set has a checksum of its own, so a
network trained on it is never mistaken in the cache for one trained on the clean data.

A *poisoner* gives a fraction of the examples wrong labels and hopes that the trained network errs. A *back door* (Gu et
al. 2017) stamps a small pattern, the *trigger*, on a few images of other classes and labels them with one target class,
in the hope that the trained network sends every image with the trigger there and is right on all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advsmooth import settings
from advsmooth.data import Dataset, corrupt_labels, from_arrays


@dataclass(frozen=True)
class Trigger:
    """A square of one brightness in the lower right corner.

    Attributes:
        size: its side, in pixels.
        value: its brightness, pixel scale.
    """

    size: int
    value: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.value <= 1:
            raise ValueError(
                f"size={self.size!r}, value={self.value!r}: allowed is a size of at least 1, a value in [0, 1]"
            )

    def stamp(self, x: Tensor) -> Tensor:
        """Copies of images ``(n, channels, height, width)`` with the trigger on them.

        Raises:
            ValueError: if it does not fit, or these are not images.
        """
        if x.ndim != 4 or self.size > min(x.shape[2:]):
            raise ValueError(f"a trigger of side {self.size} does not fit inputs of shape {tuple(x.shape[1:])}")
        stamped = x.clone()
        stamped[:, :, -self.size :, -self.size :] = self.value
        return stamped


def mislabelled(dataset: Dataset, fraction: float, seed: int = 0) -> tuple[Dataset, Tensor]:
    """The data with a random ``fraction`` of its labels replaced by wrong ones, and the mask ``(n,)`` of these.

    Raises:
        DataError: for a fraction outside [0, 1].
    """
    changed, mask = corrupt_labels(dataset, fraction, seed)
    return _renewed(changed, f"{fraction:g} of the labels wrong, seed {seed}"), mask


def backdoored(
    dataset: Dataset, fraction: float, trigger: Trigger, *, target: int = 0, seed: int = 0
) -> tuple[Dataset, Tensor]:
    """The data with the trigger on a few images, which are labelled ``target``, and the mask ``(n,)`` of these.

    Args:
        dataset: images.
        fraction: share of the whole data set to change; only examples of other classes are.
        trigger: what to stamp on them.
        target: the class they are given.
        seed: of the choice. A larger fraction changes the same images and more.

    Raises:
        ValueError: for a class that is not there, or a fraction for which there are not enough images.
    """
    others = (dataset.y.cpu() != target).nonzero()[:, 0]
    count = round(fraction * len(dataset))
    if not 0 <= target < len(dataset.class_names) or not 0 <= count <= len(others):
        raise ValueError(
            f"target={target!r}, fraction={fraction!r}: allowed is a class below {len(dataset.class_names)}, and a "
            f"fraction from 0 to {len(others) / len(dataset):.3g}, the share of the other classes"
        )
    chosen = others[torch.randperm(len(others), generator=settings.generator(seed))[:count]]
    mask = torch.zeros(len(dataset), dtype=torch.bool)
    mask[chosen] = True
    x, y = dataset.x.clone(), dataset.y.clone()
    x[mask], y[mask] = trigger.stamp(dataset.x[mask]), target
    words = f"{trigger} on {fraction:g} of the images, labelled {target}, seed {seed}"
    return _renewed(replace(dataset, x=x, y=y), words), mask


def sent_to(predicted: Tensor, y: Tensor, target: int) -> float:
    """Success of a back door: the share of the stamped images of *other* classes that are taken for the target.

    Args:
        predicted: classes that a network gives the stamped images, ``(n,)``.
        y: their true classes; those of the target class do not count, for they are at home there.
        target: class.

    Raises:
        ValueError: if all images are of the target class.
    """
    others = y != target
    if not bool(others.any()):
        raise ValueError(f"target={target!r}: there is no image of another class")
    return float((predicted[others] == target).double().mean())


def _renewed(dataset: Dataset, change: str) -> Dataset:
    """The data set with a checksum of what it holds now, and what was done to it in its source."""
    device = str(dataset.x.device)
    source = f"{dataset.source}; {change}"
    return from_arrays(
        dataset.name, dataset.split, dataset.x.cpu(), dataset.y.cpu(), dataset.class_names, source, device
    )
