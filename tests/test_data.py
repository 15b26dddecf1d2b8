"""Data sets: real loading code on the digits and on small files in the original formats."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from advsmooth import data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path))
    return tmp_path


def small(monkeypatch, name, **changes):
    """The catalogue with another size for one data set, since the files of these tests are small."""
    entry = {key: value for key, value in data.catalogue()[name].items() if key != "files"} | changes
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


def test_mnist_is_read_from_its_original_files(folder, monkeypatch):
    write_mnist(folder, IMAGES, LABELS)
    small(monkeypatch, "mnist", sizes={"train": 4, "test": 4})
    mnist = data.load("mnist")
    assert torch.equal((mnist.x * 255).round().to(torch.uint8).squeeze(1), torch.from_numpy(IMAGES))
    assert mnist.y.tolist() == [3, 1, 4, 1]
    assert mnist.x.shape == (4, 1, 28, 28)


def test_a_changed_file_is_named_and_refused(folder, monkeypatch):
    raw = write_mnist(folder, IMAGES, LABELS)
    path = raw / "train-images-idx3-ubyte"
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    files = {"MNIST/raw/train-images-idx3-ubyte": good}
    small(monkeypatch, "mnist", sizes={"train": 4, "test": 4}, files=files)
    assert len(data.load("mnist")) == 4
    path.write_bytes(path.read_bytes()[:-1] + b"\x00\x01")
    with pytest.raises(data.DataError, match="train-images-idx3-ubyte is corrupt.*delete it"):
        data.load("mnist")


def test_the_published_checksums_refuse_a_file_that_is_not_mnist(folder):
    write_mnist(folder, IMAGES, LABELS)
    with pytest.raises(data.DataError, match="train-images-idx3-ubyte is corrupt"):
        data.load("mnist")


@pytest.mark.parametrize("cut", [3, 10, 17, 700])
def test_a_truncated_file_is_refused_in_one_line(folder, monkeypatch, cut):
    raw = write_mnist(folder, IMAGES, LABELS)
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:cut])
    small(monkeypatch, "mnist", sizes={"train": 4, "test": 4})
    with pytest.raises(data.DataError, match="dataset='mnist'") as refusal:
        data.load("mnist")
    assert "\n" not in str(refusal.value)


def test_too_few_images_are_refused(folder, monkeypatch):
    write_mnist(folder, IMAGES, LABELS)
    small(monkeypatch, "mnist")
    with pytest.raises(data.DataError, match="train has 4 examples, expected 60000"):
        data.load("mnist")


def write_cifar10(folder, monkeypatch):
    base = folder / "cifar-10-batches-py"
    base.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3072), dtype=np.uint8)
    sums = []
    for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
        (base / name).write_bytes(pickle.dumps({"data": pixels, "labels": [0, 9]}))
        sums.append([name, hashlib.md5((base / name).read_bytes()).hexdigest()])
    names = pickle.dumps({"label_names": [f"class {k}" for k in range(10)]})
    (base / "batches.meta").write_bytes(names)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", sums[5:])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(names).hexdigest()}
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "meta", meta)
    small(monkeypatch, "cifar10", sizes={"train": 10, "test": 2})
    return base, pixels


def test_cifar10_is_read_channels_first(folder, monkeypatch):
    _, pixels = write_cifar10(folder, monkeypatch)
    cifar = data.load("cifar10")
    assert cifar.x.shape == (10, 3, 32, 32)
    assert np.array_equal((cifar.x[0] * 255).round().numpy().astype(np.uint8).ravel(), pixels[0])
    assert cifar.class_names[9] == "class 9"


def test_a_tampered_pickle_is_never_opened(folder, monkeypatch):
    base, _ = write_cifar10(folder, monkeypatch)

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("an unverified pickle was opened",))

    (base / "data_batch_1").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(data.DataError, match="dataset='cifar10': corrupt in cifar-10-batches-py"):
        data.load("cifar10")


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


def test_gz_files_of_torchvision_are_not_enough(folder, monkeypatch):
    """The archive that a broken download leaves is not the data."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"half a file"))
    small(monkeypatch, "mnist")
    with pytest.raises(data.DataError, match="dataset='mnist'"):
        data.load("mnist")


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
