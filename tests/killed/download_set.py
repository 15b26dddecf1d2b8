"""Fetch a small Fashion-MNIST from a server of the test."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np

from advsmooth import data

NAMES = [f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
N = 400


def write_archives(folder):
    """The four archives as the publisher has them."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        array = rng.integers(0, 256, (N, 28, 28), dtype=np.uint8) if "images" in name else np.arange(N) % 10
        head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / f"{name}.gz").write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes(), mtime=0))


def small(archives, address):
    """What the catalogue knows of this set: patches as (object, name, value)."""
    paths = {f"FashionMNIST/raw/{name}.gz": Path(archives) / f"{name}.gz" for name in NAMES}
    entry = data.catalogue()["fashionmnist"] | {
        "sizes": {"train": N, "test": N},
        "files": {relative: hashlib.sha256(path.read_bytes()).hexdigest() for relative, path in paths.items()},
        "download": {relative: f"{address}{path.name}" for relative, path in paths.items()},
    }
    return [(data, "catalogue", lambda: {"fashionmnist": entry})]


def main(archives, address):
    for patch in small(archives, address):
        setattr(*patch)
    for split in data.SPLITS:
        data.load("fashionmnist", split, download=True)
