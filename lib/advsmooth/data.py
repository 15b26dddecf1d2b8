"""Data sets as tensors in memory: inputs in [0, 1], labels, class names, and a checksum of what was loaded.

``digits`` ships with scikit-learn and needs no network. The others are read through torchvision from the
folder named by ``ADVSMOOTH_DATA`` (default: ``data/cache`` of the checkout) and downloaded there, verified,
when ``download=True``. ``imagefolder:PATH`` reads a tree ``PATH/<split>/<class>/*.png|jpg`` of one's own, ``PATH``
absolute or relative to that folder.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
import yaml
from torch import Tensor

from advsmooth import settings
from advsmooth.places import DATASETS, data_folder

SPLITS = ("train", "test")


class DataError(ValueError):
    """A data set was refused; the message is one line: the value, what is allowed, what to do."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Dataset:
    """Labelled inputs on one device.

    Attributes:
        name: the name it was asked for by.
        split: ``train`` or ``test``.
        x: inputs in [0, 1] for images (any range for toy sets), shape ``(n, ...)``, floating point.
        y: labels ``0 ... len(class_names) - 1``, shape ``(n,)``, int64.
        class_names: name of each label.
        checksum: SHA-256 of dtype, shape and bytes of ``x`` and ``y`` as first loaded, before any subset.
        source: where it came from, in words.
    """

    name: str
    split: str
    x: Tensor
    y: Tensor
    class_names: tuple[str, ...]
    checksum: str
    source: str

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.x.shape[1:])

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> Dataset:
        """The same data on another device, or with inputs of another precision."""
        return replace(self, x=self.x.to(device=device, dtype=dtype), y=self.y.to(device))

    def take(self, n: int, seed: int | None = None) -> Dataset:
        """``n`` examples: the first ones, or a random subset without replacement if a seed is given.

        Raises:
            DataError: if there are fewer than ``n``.
        """
        if not 1 <= n <= len(self):
            raise DataError(f"n={n}: {self.name} {self.split} has {len(self)} examples; allowed is 1 to {len(self)}")
        if seed is None:
            return replace(self, x=self.x[:n], y=self.y[:n])
        chosen = torch.randperm(len(self), generator=settings.generator(seed))[:n].to(self.y.device)
        return replace(self, x=self.x[chosen], y=self.y[chosen])

    def describe(self) -> dict[str, Any]:
        """What a record keeps of the data it used."""
        return {"name": self.name, "split": self.split, "n": len(self), "sha256": self.checksum, "source": self.source}

    def identity(self) -> list[Any]:
        """All that tells these numbers from others, as plain data, for the key of a cache.

        The checksum of a subset is that of the whole it was taken from, so the numbers themselves are hashed too.
        """
        return [self.describe(), content(self.x, self.y), str(self.x.dtype), self.x.device.type]


def content(*tensors: Tensor) -> str:
    """SHA-256 of the bytes of tensors, one after the other."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def from_arrays(
    name: str, split: str, x: Tensor, y: Tensor, class_names: Sequence[str], source: str, device: str = "cpu"
) -> Dataset:
    """A :class:`Dataset` with its checksum, from tensors on the CPU."""
    y = y.to(torch.int64)
    digest = hashlib.sha256()
    for tensor in (x, y):
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return Dataset(name, split, x.to(device), y.to(device), tuple(class_names), digest.hexdigest(), source)


@functools.cache
def catalogue() -> Mapping[str, Mapping[str, Any]]:
    """``data/datasets.yml``: source, licence, checksums and split sizes of every named data set."""
    return yaml.safe_load(DATASETS.read_text(encoding="utf-8"))


def load(
    name: str, split: str = "train", *, n: int | None = None, device: str = "cpu", download: bool = False
) -> Dataset:
    """Load a data set by name.

    Args:
        name: a name of :func:`catalogue`, or ``imagefolder:PATH``.
        split: ``train`` or ``test``. The digits have no published split: the last 360 are the test set.
        n: only the first ``n`` examples.
        device: where the tensors shall lie.
        download: fetch what is missing (torchvision's own servers, verified against its checksums).

    Returns:
        Inputs float32 in [0, 1] of shape ``(n, channels, height, width)``, labels int64.

    Raises:
        DataError: for an unknown name or split, data that is not there (the message says how to get it),
            or a file that is corrupt (the message names it).
    """
    if split not in SPLITS:
        raise DataError(f"split={split!r}: allowed is train or test")
    kind, _, path = name.partition(":")
    if kind == "imagefolder":
        loaded = _imagefolder(name, data_folder() / Path(path).expanduser(), split)
    elif name == "digits":
        loaded = _digits(split)
    elif name in _TORCHVISION:
        loaded = _torchvision(name, split, download)
    else:
        names = [*catalogue(), "imagefolder:PATH"]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"dataset={name!r}: unknown; {hint}Allowed: {', '.join(names)}")
    loaded = loaded if n is None else loaded.take(n)
    return loaded.to(device)


def available(name: str) -> bool:
    """Whether ``name`` can be loaded now, without downloading and without trusting what was not verified."""
    try:
        load(name)
    except DataError:
        return False
    return True


def _digits(split: str) -> Dataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images).to(torch.float32).div_(16).unsqueeze(1)
    y = torch.from_numpy(bunch.target)
    chosen = slice(None, -360) if split == "train" else slice(-360, None)
    names = [str(digit) for digit in range(10)]
    return from_arrays("digits", split, x[chosen], y[chosen], names, "scikit-learn's bundled 8x8 digits")


# name -> how torchvision opens it; svhn and the others disagree on what they call a split.
_TORCHVISION: dict[str, Callable[..., Any]] = {
    "mnist": torchvision.datasets.MNIST,
    "fashionmnist": torchvision.datasets.FashionMNIST,
    "cifar10": torchvision.datasets.CIFAR10,
    "cifar100": torchvision.datasets.CIFAR100,
    "svhn": torchvision.datasets.SVHN,
}


def _torchvision(name: str, split: str, download: bool) -> Dataset:
    root = data_folder()
    entry = catalogue()[name]
    chosen = {"split": split} if name == "svhn" else {"train": split == "train"}
    _check_files(name, root, entry.get("files", {}))
    try:
        opened = _TORCHVISION[name](root=str(root), download=download, **chosen)
    except Exception as error:  # torchvision raises what it likes on a file that is absent, cut or changed
        if _present(root, entry):
            raise DataError(
                f"dataset={name!r}: corrupt in {entry['folder']} ({_one_line(error)}); delete it and load it again"
            ) from None
        raise DataError(
            f"dataset={name!r}: not found; set ADVSMOOTH_DATA to a folder that holds {entry['folder']}, "
            f"or download it: python -m advsmooth download {name}"
        ) from None
    x, y = _tensors(opened)
    expected = entry["sizes"][split]
    if len(y) != expected:
        raise DataError(
            f"dataset={name!r}: {split} has {len(y)} examples, expected {expected}; "
            f"delete {entry['folder']} and load it again"
        )
    names = getattr(opened, "classes", [str(digit) for digit in range(10)])
    return from_arrays(name, split, x, y, names, entry["source"])


def _tensors(opened: Any) -> tuple[Tensor, Tensor]:
    """Images as float32 ``(n, c, h, w)`` in [0, 1], from torchvision's several layouts."""
    images = torch.as_tensor(np.asarray(opened.data))
    labels = torch.as_tensor(np.asarray(opened.targets if hasattr(opened, "targets") else opened.labels))
    if images.ndim == 3:
        images = images.unsqueeze(1)
    elif images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2)
    return images.to(torch.float32).div_(255).contiguous(), labels


def _present(root: Path, entry: Mapping[str, Any]) -> bool:
    return (root / entry["folder"]).exists()


def _check_files(name: str, root: Path, files: Mapping[str, str]) -> None:
    """Compare every file that is there with its checksum in the catalogue; absent ones are torchvision's affair."""
    for relative, expected in files.items():
        path = root / relative
        if path.exists() and _sha256(path, path.stat().st_mtime_ns) != expected:
            raise DataError(
                f"dataset={name!r}: {path.name} is corrupt (its SHA-256 is not the published one); "
                "delete it and load it again"
            )


@functools.cache
def _sha256(path: Path, modified: int) -> str:  # noqa: ARG001 - `modified` makes the cache notice a changed file
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _imagefolder(name: str, path: Path, split: str) -> Dataset:
    folder = path / split
    if not folder.is_dir():
        raise DataError(f"dataset={name!r}: no folder {split!r} in it; expected {split}/<class>/<image>.png or .jpg")
    try:
        tree = torchvision.datasets.ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise DataError(f"dataset={name!r}: {_one_line(error)}") from None
    images, shape = [], None
    for file, _ in tree.samples:
        try:
            image = np.asarray(tree.loader(file))
        except (OSError, ValueError) as error:
            raise DataError(
                f"dataset={name!r}: {Path(file).name} is not a readable image ({_one_line(error)})"
            ) from None
        shape = shape or image.shape
        if image.shape != shape:
            raise DataError(
                f"dataset={name!r}: {Path(file).name} has shape {image.shape}, the first image {shape}; "
                "give all images one size"
            )
        images.append(image)
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(torch.float32).div_(255).contiguous()
    y = torch.tensor([label for _, label in tree.samples])
    return from_arrays(f"imagefolder:{path.name}", split, x, y, tree.classes, "a folder of images of the user's")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def shrunk(images: Dataset, side: int) -> Dataset:
    """Images cut to the largest central square that is a whole number of times ``side``, and averaged down to it.

    Returns:
        Images of ``side`` by ``side`` pixels, with a checksum of their own; the same object if they are so already.

    Raises:
        DataError: for a side that is not between 1 and that of the images.
    """
    height = min(images.x.shape[2:])
    if not 1 <= side <= height:
        raise DataError(f"side={side!r}: allowed is 1 to {height}, the side of the images")
    if images.shape[1:] == (side, side):
        return images
    times = height // side
    tops = [(full - times * side) // 2 for full in images.x.shape[2:]]
    cut = images.x[:, :, tops[0] : tops[0] + times * side, tops[1] : tops[1] + times * side]
    words = f"{images.source}; its centre, averaged to {side} by {side}"
    x, device = torch.nn.functional.avg_pool2d(cut, times), str(images.x.device)
    return from_arrays(images.name, images.split, x.cpu(), images.y.cpu(), images.class_names, words, device)


def gaussian_mixture(means: Tensor, n: int, *, std: float = 1.0, seed: int = 0) -> Dataset:
    """``n`` points of each class, class ``k`` drawn from ``N(means[k], std^2 I)``.

    Args:
        means: class means, shape ``(classes, d)``; its dtype is the dtype of the points.
        n: points of each class.
        std: standard deviation of every coordinate.
        seed: seed of the draw.
    """
    if means.ndim != 2 or n < 1 or std < 0:
        raise DataError(
            f"means of shape {tuple(means.shape)}, n={n}, std={std}: need means (classes, d), n >= 1, std >= 0"
        )
    classes, d = means.shape
    noise = torch.randn(classes, n, d, generator=settings.generator(seed), dtype=means.dtype)
    x = (means[:, None, :] + std * noise).reshape(classes * n, d)
    y = torch.arange(classes).repeat_interleave(n)
    return from_arrays("gaussian_mixture", "train", x, y, [str(k) for k in range(classes)], f"drawn with seed {seed}")


def corrupt_labels(dataset: Dataset, fraction: float, seed: int = 0) -> tuple[Dataset, Tensor]:
    """Give a random ``fraction`` of the examples a wrong label (Finlay et al., figure 1).

    Returns:
        The data set with the new labels, and a boolean mask ``(n,)`` of the examples that were changed.
    """
    if not 0 <= fraction <= 1:
        raise DataError(f"fraction={fraction}: allowed is a number from 0 to 1")
    g = settings.generator(seed)
    changed = torch.zeros(len(dataset), dtype=torch.bool)
    changed[torch.randperm(len(dataset), generator=g)[: round(fraction * len(dataset))]] = True
    shift = torch.randint(1, len(dataset.class_names), (len(dataset),), generator=g)
    y = torch.where(changed, (dataset.y.cpu() + shift) % len(dataset.class_names), dataset.y.cpu())
    return replace(dataset, y=y.to(dataset.y.device)), changed
