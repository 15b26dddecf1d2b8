"""The smallest distance between classes, against plain searches and known answers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advsmooth import data
from advsmooth.analysis import lipschitz
from advsmooth.records import Stopwatch


def dataset(x, y):
    return data.from_arrays(
        "points", "train", torch.as_tensor(x), torch.as_tensor(y), [str(k) for k in range(9)], "test"
    )


def plain(points, labels):
    """All pairs in double precision."""
    distance = (points.double()[:, None] - points.double()[None]).norm(dim=2)
    distance[labels[:, None] == labels] = torch.inf
    return distance


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 12), st.integers(1, 15))
def test_any_block_size_gives_the_plain_answer(seed, n, d, block):
    g = torch.Generator().manual_seed(seed)
    points = torch.rand(n, d, generator=g)
    labels = torch.cat([torch.tensor([0, 1]), torch.randint(0, 4, (n - 2,), generator=g)])
    expected = plain(points, labels)
    found = lipschitz.separation(dataset(points, labels), block=block)
    assert found.distance == pytest.approx(expected.min().item(), rel=1e-12)
    assert torch.allclose(found.nearest, expected.min(1).values, rtol=1e-5)
    i, j = found.pair
    assert labels[i] != labels[j]
    assert expected[i, j] == pytest.approx(found.distance, rel=1e-12)


def test_the_minimum_is_exact_where_single_precision_cannot_tell():
    """Far from the origin the screened distances are all wrong in the first digit; the answer is not."""
    x = torch.tensor([[1000.0, 0.0], [1000.0, 0.25], [1000.0, 0.125 + 2**-12], [1000.0, 4.0]])
    found = lipschitz.separation(dataset(x, [0, 1, 0, 1]))
    assert found.distance == 0.125 - 2**-12
    assert sorted(found.pair) == [1, 2]


def test_duplicates_of_different_classes_are_counted_and_set_aside():
    x = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [9.0, 9.0]])
    found = lipschitz.separation(dataset(x, [0, 1, 1, 0]))
    assert (found.duplicates, found.distance) == (1, 5.0)
    assert found.nearest[1] == pytest.approx(162**0.5)


def test_the_table_of_classes_is_symmetric_and_holds_the_minimum():
    found = lipschitz.separation(data.load("digits"))
    off = found.between[~torch.eye(10, dtype=torch.bool)]
    assert torch.equal(found.between, found.between.T)
    assert off.min() == found.distance == found.nearest.min()
    assert found.lipschitz == 1 / found.distance


def test_one_class_or_only_duplicates_is_refused():
    with pytest.raises(ValueError, match="1 class"):
        lipschitz.separation(dataset(torch.rand(3, 2), [0, 0, 0]))
    with pytest.raises(ValueError, match="all inputs of different classes coincide"):
        lipschitz.separation(dataset(torch.zeros(2, 2), [0, 1]))


@pytest.mark.slow
def test_memory_stays_bounded_at_mnist_size():
    g = torch.Generator().manual_seed(0)
    big = dataset(torch.rand(20_000, 784, generator=g), torch.arange(20_000) % 10)
    watch = Stopwatch()
    lipschitz.separation(big, block=1024)
    assert watch.read()["peak_extra_mib"] < 1024


@given(st.integers(0, 1000), st.floats(1.0, 3.0))
def test_mcshane_fits_the_labels_and_is_lipschitz(seed, factor):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(12, 3, generator=g, dtype=torch.float64)
    y = torch.arange(12) % 3
    constant = factor * lipschitz.separation(dataset(x, y)).lipschitz
    at = torch.cat([x, torch.rand(20, 3, generator=g, dtype=torch.float64)])
    u = lipschitz.mcshane(x, y, constant, at)
    assert torch.allclose(u[:12], torch.nn.functional.one_hot(y).double(), atol=1e-6)
    assert (torch.cdist(u, u, p=torch.inf) <= constant * torch.cdist(at, at) + 1e-6).all()


def test_the_tidy_table_keeps_every_number():
    digits = data.load("digits", n=200)
    found = lipschitz.separation(digits)
    table = lipschitz.tidy(digits, found)
    first, second, labels = lipschitz.pair_images(table)
    names, grid = lipschitz.between_classes(table)
    assert torch.allclose(torch.as_tensor(first), digits.x[found.pair[0], 0].double(), atol=1e-6)
    assert torch.as_tensor(first - second).norm().item() == pytest.approx(found.distance, abs=1e-5)
    assert labels == tuple(digits.y[list(found.pair)].tolist())
    assert (len(names), grid[0, 1]) == (10, found.between[0, 1].item())
    quantiles = table[table.quantity == "nearest_quantile"]
    assert quantiles["value"].iloc[0] == found.distance
    assert quantiles["value"].is_monotonic_increasing


def test_the_replay_depends_on_its_seed_only():
    assert lipschitz.replay("digits", 100, 1) == lipschitz.replay("digits", 100, 1)
    assert lipschitz.replay("digits", 100, 1) != lipschitz.replay("digits", 100, 2)
