"""VGG against table 2 of Liu et al. (the ledger), published parameter counts, and torchvision's layers."""

import itertools

import pytest
import torch
from torchvision.models.vgg import make_layers

from advsmooth import claims, settings
from advsmooth.models import registry
from advsmooth.models.vgg import VGG, liu_vgg, vgg13

TABLE = claims.claim("liu2020-tab2").published["VGG"]


def count(name, **arguments):
    return registry.parameter_count(name, in_shape=(3, 32, 32), classes=10, **arguments)


@pytest.mark.parametrize("w", [1, 8])
def test_layers_are_those_of_the_table(w):
    with torch.device("meta"):
        model = liu_vgg((3, 32, 32), 10, w=w)
    *convolutions, linear = registry.describe(model).layers.values()
    blocks = zip(TABLE["conv_channels_over_w"], TABLE["convolutions_per_block"], strict=True)
    assert [shape[0] for shape in convolutions] == [factor * w for factor, n in blocks for _ in range(n)]
    assert linear == (TABLE["classes"], TABLE["flattened_over_w"] * w)


def test_published_parameter_counts():
    assert count("vgg", w=16) == 14_728_266  # the usual VGG-16 with batch norm for CIFAR-10
    assert count("vgg13") == 9_416_010  # likewise VGG-13


def test_parameters_of_the_papers_width_by_hand():
    widths = [3, 32, 32, 64, 64, 128, 128, 128, 256, 256, 256, 256, 256, 256]
    pairs = list(itertools.pairwise(widths))
    by_hand = sum(9 * a * b + b for a, b in pairs) + sum(2 * b for _, b in pairs) + 256 * 10 + 10
    assert count("vgg", w=8) == by_hand == 3_686_954


def test_resnet18_has_fewer_parameters_than_vgg_at_the_papers_width():
    """As section 6 of Liu et al. says (claim liu2020-obs-params)."""
    assert count("resnet18", w=8) < count("vgg", w=8)


def test_five_poolings_leave_one_pixel_so_that_the_tables_average_pooling_has_nothing_to_do():
    with torch.device("meta"):
        features = liu_vgg((3, 32, 32), 10).features(torch.empty(1, 3, 32, 32))
    assert features.shape == (1, 256, 1, 1)
    with pytest.raises(RuntimeError):  # the pooling of size 2 that the table prints
        torch.nn.functional.avg_pool2d(torch.zeros(features.shape), 2)


@pytest.mark.parametrize(
    ("ours", "template"),
    [
        (liu_vgg, [4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"]),
        (
            lambda shape, classes: vgg13(shape, classes, width=4),
            [4, 4, "M", 8, 8, "M", *[16, 16, "M"], *[32, 32, "M"] * 2],
        ),
    ],
    ids=["liu", "vgg13"],
)
def test_convolutions_are_torchvisions(ours, template):
    model = ours((3, 32, 32), 5) if ours is not liu_vgg else liu_vgg((3, 32, 32), 5, w=1)
    oracle = make_layers(template, batch_norm=True)
    oracle.load_state_dict(model.features.state_dict())
    x = torch.rand(2, 3, 32, 32, generator=settings.generator(0))
    for training in (True, False):
        model.train(training), oracle.train(training)
        torch.testing.assert_close(model(x), model.classifier(oracle(x).flatten(1)))


def test_larger_images_are_averaged():
    assert VGG((1, 9, 7), 3, [[2], [4]])(torch.rand(2, 1, 9, 7)).shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: liu_vgg((1, 28, 28), 10), "vgg needs height and width of at least 32"),
        (lambda: vgg13((3, 16, 32), 10), "at least 32"),
        (lambda: liu_vgg((3, 32, 32), 10, w=0), "w=0: allowed"),
        (lambda: vgg13((3, 32, 32), 10, width=-1), "width=-1: allowed"),
        (lambda: vgg13((3, 32, 32), 10, blocks=6), "blocks=6: allowed is 1 to 5"),
        (lambda: vgg13((3, 7, 8), 10, blocks=3), "at least 8"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
