"""Searched and hand-made networks of one size."""

import pytest
import torch

from advsmooth import data
from advsmooth.models import registry
from advsmooth.training import searched


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28)], ids=["digits", "MNIST"])
@pytest.mark.parametrize("name", searched.names())
def test_every_architecture_can_have_the_common_size(name, shape):
    architecture = searched.FAMILY[name]
    arguments = architecture.sized(shape, 10, 15_000)
    count = registry.parameter_count(architecture.network, in_shape=shape, classes=10, **arguments)
    assert abs(count - 15_000) <= searched.TOLERANCE * 15_000


def test_each_kind_has_its_names_and_no_architecture_is_there_twice():
    kinds = ("searched", "random", "remedy", "manual")
    parts = [searched.names(kind) for kind in kinds]
    assert sorted(name for part in parts for name in part) == sorted(searched.names())
    assert len(searched.names()) >= 12
    assert all(searched.kind(name) == kind for kind, part in zip(kinds, parts, strict=True) for name in part)
    built = {(a.network, a.scaled, *sorted(a.arguments.items())) for a in searched.FAMILY.values()}
    assert len(built) == len(searched.FAMILY)


def test_a_run_trains_by_the_shared_recipe():
    images = data.load("digits", "train").take(192, seed=0)
    run = searched.run("VGG-7", images, epochs=2, parameters=15_000, seed=3)
    assert run.recipe.clip == 5.0
    assert run.recipe.rate(0, 10) == 0.1
    assert run.recipe.rate(10, 10) == 0
    first, again = run.fresh(), run.fresh()
    assert first(images.x[:2]).shape == (2, 10)
    assert torch.equal(first(images.x[:2]), again(images.x[:2]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda images: searched.run("DARTZ", images, epochs=1, parameters=15_000, seed=0), "did you mean 'DARTS'"),
        (lambda images: searched.run("DARTS", images, epochs=1, parameters=100, seed=0), "within 20%"),
        (lambda _: searched.kind("ResNet"), "did you mean 'ResNet-20'"),
    ],
)
def test_refusals_say_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call(data.load("digits", "train").take(20, seed=0))
    assert "\n" not in str(refused.value)
