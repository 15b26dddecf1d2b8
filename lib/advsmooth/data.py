"""Data sets as tensors in memory: inputs in [0, 1], labels, class names, and a checksum of what was loaded.

``digits`` ships with scikit-learn and needs no network. The others are read from the folder named by ``ADVSMOOTH_DATA``
(default: ``data/cache`` of the checkout), where torchvision puts them too, and downloaded there when ``download=True``.
What is opened is what was hashed: a file whose SHA-256 is not the published one is never parsed, unpacked or unpickled.
``imagefolder:PATH`` reads a tree ``PATH/<split>/<class>/*.png|jpg`` of one's own, ``PATH`` absolute or relative to that
folder.
"""

from __future__ import annotations

import difflib
import functools
import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import urllib.request
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor

from advsmooth import plain_yaml, settings
from advsmooth.atomic import write_atomically
from advsmooth.places import DATASETS, data_folder
from advsmooth.refusals import Refusal, one_line, quoted

SPLITS = ("train", "test")


class DataError(Refusal):
    """A data set was refused; the message is one line: the value, what is allowed, what to do."""


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
    return plain_yaml.read(DATASETS)


def load(
    name: str, split: str = "train", *, n: int | None = None, device: str = "cpu", download: bool = False
) -> Dataset:
    """Load a data set by name.

    Args:
        name: a name of :func:`catalogue`, or ``imagefolder:PATH``.
        split: ``train`` or ``test``. The digits have no published split: the last 360 are the test set.
        n: only the first ``n`` examples.
        device: where the tensors shall lie.
        download: fetch what is missing (from the addresses in the catalogue, kept only if the SHA-256 is right).

    Returns:
        Inputs float32 in [0, 1] of shape ``(n, channels, height, width)``, labels int64.

    Raises:
        DataError: for an unknown name or split, data that is not there (the message says how to get it),
            or a file that is corrupt (the message names it).
    """
    if split not in SPLITS:
        raise DataError(f"split={quoted(split)}: allowed is train or test")
    kind, _, path = name.partition(":")
    if kind == "imagefolder":
        loaded = _imagefolder(name, data_folder() / os.path.expanduser(path), split)  # noqa: PTH111 - leaves ~nobody alone
    elif name == "digits":
        loaded = _digits(split)
    elif name in _READERS:
        loaded = _published(name, split, download)
    else:
        names = [*catalogue(), "imagefolder:PATH"]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"dataset={quoted(name)}: unknown; {hint}Allowed: {', '.join(names)}")
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


# --- published data sets: the bytes are hashed, and those same bytes are read ---------------------------------------


def _published(name: str, split: str, download: bool) -> Dataset:
    root, entry = data_folder(), catalogue()[name]
    if download:
        _download(name, root, entry)
    try:
        images, labels, names = _READERS[name](lambda relative: _verified(name, root, entry, relative), split)
    except DataError:
        raise
    except Exception as error:  # verified and yet unreadable: an old version of a library, or too little memory
        raise DataError(
            f"dataset={name!r}: {entry['folder']} could not be read ({one_line(error, 160)}); load it again"
        ) from None
    expected = entry["sizes"][split]
    if not len(images) == len(labels) == expected:
        raise DataError(
            f"dataset={name!r}: {split} has {len(images)} images and {len(labels)} labels, expected {expected}; "
            f"delete {entry['folder']} and load it again"
        )
    x = torch.from_numpy(images).to(torch.float32).div_(255).contiguous()
    return from_arrays(name, split, x, torch.from_numpy(labels), names, entry["source"])


def _verified(name: str, root: Path, entry: Mapping[str, Any], relative: str) -> bytes:
    """The content of a file of the catalogue, or of its ``.gz``: the one that is there and listed with its SHA-256.

    Raises:
        DataError: if none is there, or it is not the published one.
    """
    for listed in (relative, f"{relative}.gz"):
        if listed in entry["files"] and (root / listed).is_file():
            content = (root / listed).read_bytes()
            if hashlib.sha256(content).hexdigest() != entry["files"][listed]:
                raise DataError(
                    f"dataset={name!r}: {listed} is corrupt (its SHA-256 is not the published one); "
                    "delete it and load it again"
                )
            return content if listed == relative else gzip.decompress(content)
    needed = relative if relative in entry["files"] else f"{relative}.gz"
    raise DataError(
        f"dataset={name!r}: {needed} not found; set ADVSMOOTH_DATA to a folder that holds it, "
        f"or download it: python -m advsmooth download {name}"
    )


def _download(name: str, root: Path, entry: Mapping[str, Any]) -> None:
    """Fetch the files that are not there, or corrupt; each appears under its name only if its SHA-256 is right."""
    for relative, address in entry["download"].items():
        unpacked = relative.removesuffix(".gz")  # MNIST may lie there without its .gz
        if _is_sound(name, root, entry, unpacked):
            continue
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                content = answer.read()
            if (found := hashlib.sha256(content).hexdigest()) != entry["files"][relative]:
                raise DataError(
                    f"dataset={name!r}: what {address} sent is not the published file (its SHA-256 is {found}); "
                    "nothing was kept; try again later, or copy the file from somewhere else"
                )
            (root / relative).parent.mkdir(parents=True, exist_ok=True)
            (root / unpacked).unlink(missing_ok=True)  # it is read first, and is corrupt
            write_atomically(root / relative, content)
        except (OSError, ValueError) as error:  # no network, no such host, an answer that breaks off, a full disk
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"dataset={name!r}: could not fetch {address} ({one_line(error, 160)}); "
                f"try again, or put the file at {relative} in the folder ADVSMOOTH_DATA"
            ) from None


def _is_sound(name: str, root: Path, entry: Mapping[str, Any], relative: str) -> bool:
    try:
        _verified(name, root, entry, relative)
    except DataError:
        return False
    return True


Fetch = Callable[[str], bytes]
Arrays = tuple[np.ndarray, np.ndarray, Sequence[str]]
"""Images uint8 ``(n, c, h, w)``, labels ``(n,)``, names of the classes."""


def _mnist(folder: str, names: Sequence[str]) -> Callable[[Fetch, str], Arrays]:
    def reader(fetch: Fetch, split: str) -> Arrays:
        stem = f"{folder}/{'train' if split == 'train' else 't10k'}"
        images = read_idx(fetch(f"{stem}-images-idx3-ubyte"), dimensions=3)
        return images[:, None], read_idx(fetch(f"{stem}-labels-idx1-ubyte"), dimensions=1), names

    return reader


def read_idx(content: bytes, *, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes in a file of MNIST's format.

    Args:
        content: of the file.
        dimensions: that it must have; 3 for images, 1 for labels.

    Raises:
        DataError: for another kind of file, or one that is cut off or goes on for too long.
    """
    head = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) < head:
        raise DataError(f"idx file: begins with {content[:4].hex()!r}; expected bytes in {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", content[4:head])
    size = int(np.prod(shape, dtype=object))
    if 0 in shape or len(content) - head != size:  # with a 0, the other sizes may be anything
        raise DataError(f"idx file: holds {len(content) - head} bytes, its head promises {size} ({shape})")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape).copy()


def _cifar(
    archive: str, files: Mapping[str, Sequence[str]], labels: str, meta: tuple[str, str]
) -> Callable[[Fetch, str], Arrays]:
    """CIFAR comes as pickles, which can run any code: they are taken from the archive just hashed."""

    def reader(fetch: Fetch, split: str) -> Arrays:
        with tarfile.open(fileobj=io.BytesIO(fetch(archive)), mode="r:gz") as tar:

            def unpickled(member: str) -> dict[str, Any]:
                return pickle.load(tar.extractfile(member), encoding="latin1")  # type: ignore[arg-type]  # noqa: S301 - its SHA-256 is the published one

            batches = [unpickled(member) for member in files[split]]
            names = unpickled(meta[0])[meta[1]]
        images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        return images, np.concatenate([np.asarray(batch[labels]) for batch in batches]), names

    return reader


def _svhn(fetch: Fetch, split: str) -> Arrays:
    from scipy.io import loadmat

    content = loadmat(io.BytesIO(fetch(f"{split}_32x32.mat")))
    labels = content["y"].astype(np.int64).reshape(-1) % 10  # the file calls the digit 0 "10"
    return content["X"].transpose(3, 2, 0, 1), labels, [str(digit) for digit in range(10)]


_READERS: dict[str, Callable[[Fetch, str], Arrays]] = {
    "mnist": _mnist("MNIST/raw", torchvision.datasets.MNIST.classes),
    "fashionmnist": _mnist("FashionMNIST/raw", torchvision.datasets.FashionMNIST.classes),
    "cifar10": _cifar(
        "cifar-10-python.tar.gz",
        {
            "train": [f"cifar-10-batches-py/data_batch_{k}" for k in range(1, 6)],
            "test": ["cifar-10-batches-py/test_batch"],
        },
        "labels",
        ("cifar-10-batches-py/batches.meta", "label_names"),
    ),
    "cifar100": _cifar(
        "cifar-100-python.tar.gz",
        {"train": ["cifar-100-python/train"], "test": ["cifar-100-python/test"]},
        "fine_labels",
        ("cifar-100-python/meta", "fine_label_names"),
    ),
    "svhn": _svhn,
}


# --- a folder of one's own images --------------------------------------------------------------------------------


def _imagefolder(name: str, path: Path, split: str) -> Dataset:
    folder = path / split
    if not os.path.isdir(folder):  # noqa: PTH112 - false, not an error, for a name that no folder can have
        raise DataError(
            f"dataset={quoted(name)}: no folder {split!r} in it; expected {split}/<class>/<image>.png or .jpg"
        )
    try:
        classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        files = [(file, label) for label, kind in enumerate(classes) for file in _images_below(folder / kind)]
    except OSError as error:
        raise DataError(f"dataset={quoted(name)}: cannot be listed ({one_line(error, 160)})") from None
    empty = set(range(len(classes))) - {label for _, label in files}
    if empty or not classes:
        what = f"class {quoted(classes[min(empty)])}" if empty else f"folder {split!r}"
        raise DataError(
            f"dataset={quoted(name)}: {what} has no images; give each class at least one, or delete its folder"
        )
    images: list[np.ndarray] = []
    for file, _ in files:
        images.append(_image(name, file))
        if images[-1].shape != images[0].shape:
            raise DataError(
                f"dataset={quoted(name)}: {one_line(file.name)} has shape {images[-1].shape}, the first image "
                f"{images[0].shape}; give all images one size"
            )
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(torch.float32).div_(255).contiguous()
    y = torch.tensor([label for _, label in files])
    return from_arrays(f"imagefolder:{path.name}", split, x, y, classes, "a folder of images of the user's")


def _images_below(folder: Path) -> list[Path]:
    """Images in torchvision's order. Links to folders are not followed: one that leads back up would never end."""
    suffixes = torchvision.datasets.folder.IMG_EXTENSIONS
    tree = sorted((place, files) for place, _, files in os.walk(folder))
    return [Path(place) / file for place, files in tree for file in sorted(files) if file.lower().endswith(suffixes)]


def _image(name: str, file: Path) -> np.ndarray:
    """One image as bytes ``(h, w, 3)``; only kinds whose pixels have one meaning, so that nothing is lost unseen."""
    try:
        if not file.is_file():
            raise OSError("not a file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as on damaged EXIF data, which is not read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                kind = image.mode + (" with transparency" if "transparency" in image.info else "")
                kind = "animated" if getattr(image, "is_animated", False) else kind
                if kind in ("1", "L", "P", "RGB"):
                    return np.asarray(image.convert("RGB"))
    except Exception as error:  # decoders raise what they like on a file that is cut, changed or something else
        raise DataError(
            f"dataset={quoted(name)}: {one_line(file.name)} is not a readable image ({one_line(error, 160)})"
        ) from None
    raise DataError(
        f"dataset={quoted(name)}: {one_line(file.name)} is {kind}; "
        "allowed are grey or RGB images of 8 bits a channel; convert it"
    )


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
