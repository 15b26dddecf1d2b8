"""Data sets: real loading code on the digits and on small files in the original formats."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import threading
import zlib
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from advsmooth import data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path))
    return tmp_path


def small(monkeypatch, name, folder, **changes):
    """The catalogue with another size for one data set, and the checksums of the files that lie in ``folder`` now."""
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    entry = dict(data.catalogue()[name]) | {"files": files} | changes
    monkeypatch.setattr(data, "catalogue", lambda: {name: entry})


def idx(array):
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder, images, labels):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels))
    return raw


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1], dtype=np.uint8)


def test_digits_are_there_offline_and_split_without_overlap():
    train, test = data.load("digits"), data.load("digits", "test")
    assert (len(train), len(test), train.shape) == (1437, 360, (1, 8, 8))
    assert train.x.dtype == torch.float32
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert train.class_names == tuple("0123456789")
    assert train.checksum != test.checksum


def test_the_checksum_is_of_what_was_loaded():
    digits = data.load("digits")
    again = data.from_arrays("digits", "train", digits.x, digits.y, digits.class_names, "")
    changed = digits.x.clone()
    changed[0, 0, 0, 0] += 1e-3
    assert again.checksum == digits.checksum
    assert data.from_arrays("digits", "train", changed, digits.y, digits.class_names, "").checksum != digits.checksum


SMALL = {"sizes": {"train": 4, "test": 4}}


def is_what_was_written(mnist):
    assert torch.equal((mnist.x * 255).round().to(torch.uint8).squeeze(1), torch.from_numpy(IMAGES))
    assert mnist.y.tolist() == [3, 1, 4, 1]
    assert mnist.x.shape == (4, 1, 28, 28)


def test_mnist_is_read_from_its_original_files(folder, monkeypatch):
    write_mnist(folder, IMAGES, LABELS)
    small(monkeypatch, "mnist", folder, **SMALL)
    is_what_was_written(data.load("mnist"))
    assert data.load("mnist").class_names[3] == "3 - three"


def test_mnist_is_read_from_its_archives_too(folder, monkeypatch):
    raw = write_mnist(folder, IMAGES, LABELS)
    for path in list(raw.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    small(monkeypatch, "mnist", folder, **SMALL)
    is_what_was_written(data.load("mnist"))


def test_a_changed_file_is_named_and_refused(folder, monkeypatch):
    raw = write_mnist(folder, IMAGES, LABELS)
    path = raw / "train-images-idx3-ubyte"
    small(monkeypatch, "mnist", folder, **SMALL)
    assert len(data.load("mnist")) == 4
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(data.DataError, match="train-images-idx3-ubyte is corrupt.*delete it"):
        data.load("mnist")


def test_a_file_that_is_not_in_the_catalogue_is_never_opened(folder, monkeypatch):
    """torchvision would take MNIST/processed/*.pt of an old version for the data, whatever the verified files say."""
    write_mnist(folder, IMAGES, LABELS)
    small(monkeypatch, "mnist", folder, **SMALL)
    processed = folder / "MNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(4, 28, 28, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)), processed / name)
    is_what_was_written(data.load("mnist"))


def test_the_published_checksums_refuse_a_file_that_is_not_mnist(folder):
    write_mnist(folder, IMAGES, LABELS)
    with pytest.raises(data.DataError, match="train-images-idx3-ubyte is corrupt"):
        data.load("mnist")


@pytest.mark.parametrize("cut", [0, 3, 10, 17, 700])
def test_a_truncated_file_is_refused_in_one_line(folder, monkeypatch, cut):
    """Even one whose checksum is right: the catalogue may be wrong."""
    raw = write_mnist(folder, IMAGES, LABELS)
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:cut])
    small(monkeypatch, "mnist", folder, **SMALL)
    with pytest.raises(data.DataError, match="idx file") as refusal:
        data.load("mnist")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx(IMAGES) + b"x", "its head promises"),
        (idx(IMAGES.astype(np.float32)), "its head promises"),
        (b"\0\0\x0d\x03" + idx(IMAGES)[4:], "00000d03"),
        (idx(LABELS), "00000801"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "its head promises"),
        (gzip.compress(idx(IMAGES)), "1f8b"),
        (struct.pack(">4s3I", b"\0\0\x08\x03", 2**32 - 1, 2**32 - 1, 0), "its head promises"),  # found by fuzzing
    ],
)
def test_what_is_not_an_idx_file_is_refused(content, words):
    with pytest.raises(data.DataError, match=words):
        data.read_idx(content, dimensions=3)


def test_too_few_images_are_refused(folder, monkeypatch):
    write_mnist(folder, IMAGES, LABELS)
    small(monkeypatch, "mnist", folder)
    with pytest.raises(data.DataError, match="train has 4 images and 4 labels, expected 60000"):
        data.load("mnist")


def write_cifar10(folder, **others):
    """An archive of the original layout; ``others`` replaces members by name."""
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3072), dtype=np.uint8)
    batch = pickle.dumps({"data": pixels, "labels": [0, 9]}, protocol=2)
    members = {f"data_batch_{k}": batch for k in range(1, 6)} | {"test_batch": batch}
    members["batches.meta"] = pickle.dumps({"label_names": [f"class {k}" for k in range(10)]}, protocol=2)
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as tar:
        for name, content in (members | others).items():
            about = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return pixels


def test_cifar10_is_read_channels_first(folder, monkeypatch):
    pixels = write_cifar10(folder)
    small(monkeypatch, "cifar10", folder, sizes={"train": 10, "test": 2})
    cifar = data.load("cifar10")
    assert cifar.x.shape == (10, 3, 32, 32)
    assert np.array_equal((cifar.x[0] * 255).round().numpy().astype(np.uint8).ravel(), pixels[0])
    assert (cifar.y.tolist()[:2], cifar.class_names[9]) == ([0, 9], "class 9")
    assert len(data.load("cifar10", "test")) == 2


class Bomb:
    """A pickle that runs code when it is opened: it writes a file."""

    def __init__(self, planted):
        self.planted = planted

    def __reduce__(self):
        return (Path.touch, (self.planted,))


def test_a_pickle_that_was_not_verified_is_never_opened(folder, monkeypatch):
    """In the archive of the right name, in the folder torchvision would read, and with its MD5 if need be."""
    planted = folder / "planted"
    evil = pickle.dumps(Bomb(planted))
    pickle.loads(evil)  # noqa: S301 - our own, to see that it bites
    assert planted.exists(), "the control: opened, it would do harm"
    planted.unlink()
    write_cifar10(folder, data_batch_1=evil)
    with pytest.raises(data.DataError, match="dataset='cifar10': cifar-10-python.tar.gz is corrupt.*delete it"):
        data.load("cifar10")
    (folder / "cifar-10-python.tar.gz").unlink()
    for name, base in (("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")):
        (folder / base).mkdir()
        for file in ("data_batch_1", "batches.meta", "test_batch", "train", "test", "meta"):
            (folder / base / file).write_bytes(evil)
        with pytest.raises(data.DataError, match="not found; set ADVSMOOTH_DATA"):
            data.load(name)
    assert not planted.exists()


@pytest.fixture
def server(tmp_path_factory):
    """A host on this machine, as the one a data set is downloaded from; what it serves lies in its folder."""
    root = tmp_path_factory.mktemp("host")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Nothing: requests are no news."""

    host = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=host.serve_forever, daemon=True).start()
    yield root, f"http://127.0.0.1:{host.server_port}"
    host.shutdown()
    host.server_close()


def test_a_download_is_kept_only_if_it_is_the_published_file(folder, monkeypatch, server):
    root, address = server
    write_cifar10(root)
    archive = "cifar-10-python.tar.gz"
    small(
        monkeypatch, "cifar10", root, sizes={"train": 10, "test": 2}, download={archive: f"{address}/{archive}"}
    )  # fmt: skip
    good = (root / archive).read_bytes()
    write_cifar10(root, data_batch_1=pickle.dumps(Bomb(folder / "planted")))
    with pytest.raises(data.DataError, match="is not the published file.*nothing was kept") as refusal:
        data.load("cifar10", download=True)
    assert "\n" not in str(refusal.value)
    assert list(folder.iterdir()) == [], "neither the file, a part of it, nor what the pickle would have written"
    (root / archive).unlink()
    with pytest.raises(data.DataError, match="could not fetch.*404.*put the file at cifar-10-python.tar.gz"):
        data.load("cifar10", download=True)
    (root / archive).write_bytes(good)
    assert len(data.load("cifar10", download=True)) == 10
    assert [path.name for path in folder.iterdir()] == [archive]


def test_a_download_without_a_network_is_refused_in_one_line(monkeypatch):
    entry = dict(data.catalogue()["svhn"]) | {"download": {"train_32x32.mat": "http://127.0.0.1:9/train_32x32.mat"}}
    monkeypatch.setattr(data, "catalogue", lambda: {"svhn": entry})
    with pytest.raises(data.DataError, match=r"dataset='svhn': could not fetch http://127.0.0.1:9/train_32x32.mat"):
        data.load("svhn", download=True)


def test_svhn_is_read_with_its_zeros(folder, monkeypatch):
    from scipy.io import savemat

    pixels = np.random.default_rng(3).integers(0, 256, (32, 32, 3, 2), dtype=np.uint8)
    savemat(folder / "train_32x32.mat", {"X": pixels, "y": np.array([[10], [7]], dtype=np.uint8)})
    small(monkeypatch, "svhn", folder, sizes={"train": 2, "test": 2})
    svhn = data.load("svhn")
    assert svhn.y.tolist() == [0, 7]
    assert torch.equal((svhn.x[1] * 255).round().to(torch.uint8), torch.from_numpy(pixels[..., 1]).permute(2, 0, 1))


@pytest.mark.parametrize("name", ["mnist", "fashionmnist", "cifar10", "cifar100", "svhn"])
def test_absent_data_says_how_to_get_it(name):
    with pytest.raises(data.DataError) as refusal:
        data.load(name)
    message = str(refusal.value)
    assert "\n" not in message
    assert all(word in message for word in ["not found", "ADVSMOOTH_DATA", f"python -m advsmooth download {name}"])
    assert not data.available(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [("minst", "did you mean 'mnist'"), ("", "Allowed: digits, mnist"), ("imagefolder:nowhere", "no folder 'train'")],
)
def test_an_unknown_data_set_is_refused(name, words):
    with pytest.raises(data.DataError, match=words):
        data.load(name)


def test_a_wrong_split_or_size_is_refused():
    with pytest.raises(data.DataError, match="split='valid': allowed is train or test"):
        data.load("digits", "valid")
    for n in (0, -1, 1438):
        with pytest.raises(data.DataError, match="allowed is 1 to 1437"):
            data.load("digits", n=n)


def write_tree(folder, sizes=((8, 8), (8, 8))):
    rng = np.random.default_rng(2)
    for label, size in zip(("cat", "dog"), sizes, strict=True):
        where = folder / "pets" / "train" / label
        where.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(where / "1.png")


def test_a_folder_of_ones_own_images(folder):
    write_tree(folder)
    for name in ("imagefolder:pets", f"imagefolder:{folder}/pets"):
        pets = data.load(name)
        assert (len(pets), pets.shape, pets.class_names, pets.name) == (
            2,
            (3, 8, 8),
            ("cat", "dog"),
            "imagefolder:pets",
        )


def test_images_of_two_sizes_and_broken_images_are_named(folder):
    write_tree(folder, sizes=((8, 8), (9, 8)))
    with pytest.raises(data.DataError, match=r"1.png has shape \(9, 8, 3\)"):
        data.load("imagefolder:pets")
    (folder / "pets" / "train" / "cat" / "1.png").write_bytes(b"not an image")
    with pytest.raises(data.DataError, match="1.png is not a readable image"):
        data.load("imagefolder:pets")
    with pytest.raises(data.DataError, match="no folder 'test'"):
        data.load("imagefolder:pets", "test")


def test_a_random_subset_is_seeded_and_without_repetition():
    digits = data.load("digits")
    a, b, c = digits.take(50, seed=1), digits.take(50, seed=1), digits.take(50, seed=2)
    assert torch.equal(a.x, b.x)
    assert not torch.equal(a.x, c.x)
    assert len(digits.take(1437, seed=0).x.flatten(1).unique(dim=0)) == len(digits.x.flatten(1).unique(dim=0))
    assert a.checksum == digits.checksum


def test_moving_keeps_labels_whole():
    doubled = data.load("digits").to("cpu", torch.float64)
    assert (doubled.x.dtype, doubled.y.dtype) == (torch.float64, torch.int64)


def test_gaussian_mixture_has_its_means_and_spread():
    means = torch.tensor([[0.0, 5.0], [3.0, -1.0]], dtype=torch.float64)
    drawn = data.gaussian_mixture(means, 20_000, std=0.5, seed=3)
    for k, mean in enumerate(means):
        points = drawn.x[drawn.y == k]
        assert torch.allclose(points.mean(0), mean, atol=4 * 0.5 / 20_000**0.5)
        assert torch.allclose(points.std(0), torch.full((2,), 0.5, dtype=torch.float64), rtol=0.03)
    with pytest.raises(data.DataError, match="need means"):
        data.gaussian_mixture(means, 0)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_corrupted_labels_are_wrong_exactly_where_the_mask_says(fraction, seed):
    digits = data.load("digits", n=100)
    corrupted, changed = data.corrupt_labels(digits, fraction, seed)
    assert torch.equal(corrupted.y != digits.y, changed)
    assert changed.sum() == round(fraction * 100)


def test_an_impossible_fraction_is_refused():
    with pytest.raises(data.DataError, match="fraction=1.5"):
        data.corrupt_labels(data.load("digits"), 1.5)


def test_shrunk_images_are_means_of_the_centre():
    x = torch.rand(3, 1, 9, 10, generator=torch.Generator().manual_seed(0))
    some = data.from_arrays("some", "train", x, torch.zeros(3), ["a"], "drawn")
    small = data.shrunk(some, 4)
    assert small.shape == (1, 4, 4)
    assert small.x[1, 0, 0, 1] == pytest.approx(x[1, 0, 0:2, 3:5].mean().item())
    assert small.x[2, 0, 3, 3] == pytest.approx(x[2, 0, 6:8, 7:9].mean().item())
    assert small.checksum != some.checksum
    assert data.shrunk(small, 4) is small
    with pytest.raises(data.DataError, match="1 to 9"):
        data.shrunk(some, 10)


def as_png(array, **about):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png", **about)
    return file.getvalue()


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def animated():
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "png", save_all=True, append_images=[Image.fromarray(GREY[::-1].copy())])
    return file.getvalue()


def jpeg_in_cmyk():
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 4), dtype=np.uint8), mode="CMYK").save(file, "jpeg")
    return file.getvalue()


def bomb(side):
    """A PNG of a few bytes whose head promises ``side`` by ``side`` pixels."""
    made = bytearray(as_png(GREY))
    made[16:24] = struct.pack(">2I", side, side)
    made[29:33] = struct.pack(">I", zlib.crc32(made[12:29]))
    return bytes(made)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a readable image"),
        (as_png(GREY)[:50], "is not a readable image"),
        (b"#!/bin/sh\n", "is not a readable image"),
        (bomb(10_000), "is not a readable image .*decompression bomb"),
        (bomb(40_000), "is not a readable image .*decompression bomb"),
        (bomb(0), "is not a readable image"),
        (as_png(GREY.astype(np.uint16) * 257), "is I;16; allowed are grey or RGB"),
        (as_png(np.zeros((8, 8, 4), np.uint8)), "is RGBA; allowed"),
        (as_png(np.zeros((8, 8, 2), np.uint8)), "is LA; allowed"),
        (as_png(GREY, transparency=3), "is L with transparency; allowed"),
        (jpeg_in_cmyk(), "is CMYK; allowed"),
        (animated(), "is animated; allowed"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value[:24],
)
def test_an_image_whose_pixels_mean_something_else_is_refused(folder, content, words):
    write_tree(folder)
    (folder / "pets" / "train" / "cat" / "2.png").write_bytes(content)
    with pytest.raises(data.DataError, match=f"2.png {words}") as refusal:
        data.load("imagefolder:pets")
    assert "\n" not in str(refusal.value)


def test_links_that_go_in_circles_and_pipes_do_not_hang(folder):
    write_tree(folder)
    cat = folder / "pets" / "train" / "cat"
    for name in ("up", "again"):
        (cat / name).symlink_to(folder / "pets")  # with two, there are more paths than atoms
    assert len(data.load("imagefolder:pets")) == 2
    os.mkfifo(cat / "2.png")  # opened, it would wait for a writer for ever
    with pytest.raises(data.DataError, match=r"2.png is not a readable image \(not a file\)"):
        data.load("imagefolder:pets")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("~nobody-of-this-name/pets", "no folder 'train'"),
        ("x" * 5000, "no folder 'train'"),
        ("a\0b", "no folder 'train'"),
        ("pets", "class 'empty' has no images"),
    ],
)
def test_a_folder_that_cannot_be_is_refused_in_one_line(folder, path, words):
    write_tree(folder)
    (folder / "pets" / "train" / "empty").mkdir()
    with pytest.raises(data.DataError, match=words) as refusal:
        data.load(f"imagefolder:{path}")
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 400


def test_odd_names_of_files_are_shown_on_one_line(folder):
    write_tree(folder)
    odd = folder / "pets" / "train" / "cat" / os.fsdecode(b"a\nb\x1b[31m\xff.png")
    odd.write_bytes(b"nothing")
    with pytest.raises(data.DataError, match="is not a readable image") as refusal:
        data.load("imagefolder:pets")
    assert str(refusal.value).isprintable()
    odd.write_bytes((folder / "pets" / "train" / "cat" / "1.png").read_bytes())
    assert len(data.load("imagefolder:pets")) == 3
