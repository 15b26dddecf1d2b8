"""Residual networks: published parameter counts, torchvision's blocks, and the identity through closed branches."""

import itertools

import pytest
import torch
from torch import nn
from torchvision.models import resnet as oracle

from advsmooth import claims, settings
from advsmooth.models import registry, resnet
from advsmooth.models.resnet import (
    BasicBlock,
    Bottleneck,
    Padding,
    PreActivationBlock,
    ResNet,
    resnet18,
    resnet110,
)


def count(name, classes=10, **arguments):
    return registry.parameter_count(name, in_shape=(3, 32, 32), classes=classes, **arguments)


def images(channels=4, n=3, size=6, seed=0):
    return torch.randn(n, channels, size, size, generator=settings.generator(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "arguments", "published"),
    [
        ("resnet18", {}, 11_173_962),
        ("resnet18", {"block": "preactivation"}, 11_172_170),
        ("resnet110", {}, 1_727_962),
        ("resnet", {"depth": 20}, 269_722),
    ],
)
def test_published_parameter_counts(name, arguments, published):
    assert count(name, **arguments) == published


def test_the_linked_implementation_of_resnet110_has_its_published_size():
    assert round(count("resnet110", block="bottleneck", shortcut="projection") / 1e6, 2) == 1.70


def test_the_table_of_liu_et_al_means_64_channels_by_its_standard_width():
    standard = claims.claim("liu2020-tab2").published["ResNet18"]["standard_w"]
    assert registry.arguments("resnet18")["w"] == standard
    with torch.device("meta"):
        layers = registry.describe(resnet18((3, 32, 32), 10)).layers
    assert layers["conv.weight"] == (64, 3, 3, 3)
    assert layers["classifier.weight"] == (10, 512)


def test_parameters_of_the_papers_width_by_hand():
    def block(a, b):
        projection = a * b + 2 * b if a != b else 0
        return 9 * a * b + 9 * b * b + 4 * b + projection

    widths = [32, 32, 32, 64, 64, 128, 128, 256, 256]
    by_hand = (27 * 32 + 64) + sum(block(a, b) for a, b in itertools.pairwise(widths)) + 256 * 10 + 10
    assert count("resnet18", w=8) == by_hand == 2_797_610


@pytest.mark.parametrize(("block", "layers"), [("basic", 110), ("bottleneck", 164)])
def test_resnet110_has_110_layers_and_164_with_bottlenecks(block, layers):
    with torch.device("meta"):
        assert len(registry.describe(resnet110((3, 32, 32), 10, block=block, shortcut="padding")).layers) == layers


@pytest.mark.parametrize(("ours", "theirs"), [(BasicBlock, oracle.BasicBlock), (Bottleneck, oracle.Bottleneck)])
@pytest.mark.parametrize(("channels", "width", "stride"), [(8, 2, 1), (4, 4, 1), (4, 8, 2), (4, 4, 2)])
def test_blocks_are_torchvisions(ours, theirs, channels, width, stride):
    block = ours(channels, width, stride, "projection").double()
    out = width * ours.expansion
    down = None
    if stride != 1 or channels != out:
        down = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    reference = theirs(channels, width, stride, down).double()
    state = {name.replace("shortcut", "downsample"): tensor for name, tensor in block.state_dict().items()}
    reference.load_state_dict(state)
    x = images(channels)
    for training in (True, False):
        block.train(training), reference.train(training)
        torch.testing.assert_close(block(x), reference(x))


def close_branches(network):
    """Make every residual branch zero: its last convolution, or the scale of its last batch norm."""
    for module in network.modules():
        if isinstance(module, PreActivationBlock):
            nn.init.zeros_(module.conv2.weight)
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck, PreActivationBlock])
def test_a_closed_block_passes_its_input_on(kind):
    block = kind(8, 8 // kind.expansion, 1, "projection").double().eval()
    close_branches(block)
    x = images(8)
    # Before the activation there is none behind the sum.
    torch.testing.assert_close(block(x), x if kind is PreActivationBlock else x.relu())


def test_the_shortcut_of_preactivation_takes_the_activated_input():
    block = PreActivationBlock(4, 6, 2, "projection").double().eval()
    close_branches(block)
    x = images()
    expected = block.projection(block.bn1(x).relu())
    torch.testing.assert_close(block(x), expected)
    assert not torch.allclose(block(x), block.projection(x))


def test_preactivation_normalises_before_the_head_and_not_behind_the_stem():
    network = ResNet((3, 8, 8), 2, stem=4, widths=[4], blocks=[1], block="preactivation").double().eval()
    close_branches(network)
    network.bn.running_mean.fill_(0.3)
    x = images(3, size=8)
    torch.testing.assert_close(network(x), network.classifier(network.bn(network.conv(x)).relu().mean((2, 3))))
    plain = ResNet((3, 8, 8), 2, stem=4, widths=[4], blocks=[1]).double().eval()
    close_branches(plain)
    torch.testing.assert_close(plain(x), plain.classifier(plain.bn(plain.conv(x)).relu().mean((2, 3))))


@pytest.mark.parametrize("size", [6, 7])
def test_padding_keeps_every_second_pixel_and_adds_zero_channels(size):
    x = images(4, size=size)
    out = Padding(4, 10, 2)(x)
    assert out.shape == (3, 10, (size + 1) // 2, (size + 1) // 2)
    assert torch.equal(out[:, :4], x[:, :, ::2, ::2])
    assert (out[:, 4:] == 0).all()
    block = BasicBlock(4, 10, 2, "padding").double()
    assert block(x).shape == out.shape


def test_stages_halve_the_image():
    network = ResNet((3, 32, 32), 10, stem=2, widths=[2, 3, 4, 5], blocks=[1, 2, 1, 1])
    x = network.conv(torch.rand(1, 3, 32, 32))
    sizes = []
    for stage in network.stages:
        x = stage(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(2, 32, 32), (3, 16, 16), (4, 8, 8), (5, 4, 4)]
    assert [len(stage) for stage in network.stages] == [1, 2, 1, 1]


def test_he_initialisation_has_its_variance():
    network = nn.Sequential(nn.Conv2d(10, 40, 3), nn.Linear(3, 3))
    before = network[1].weight.clone()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        resnet.he_normal(network)
    z = (network[0].weight.square().mean().item() * 9 * 40 / 2 - 1) / (2 / 3600) ** 0.5
    assert abs(z) < 4
    assert torch.equal(network[1].weight, before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resnet18((3, 8, 8), 10, w=0), "w=0: allowed"),
        (lambda: resnet18((3, 8, 8), 10, block="bottleneck"), "Allowed: basic, preactivation"),
        (lambda: resnet18((64,), 10), "resnet takes images"),
        (lambda: resnet.resnet((3, 8, 8), 10, depth=18), "depth=18: allowed is 6n \\+ 2, such as 14"),
        (lambda: resnet110((3, 8, 8), 10, width="16"), "width='16': allowed"),
        (lambda: resnet110((3, 8, 8), 10, shortcut="pading"), "did you mean 'padding'"),
        (lambda: resnet110((3, 8, 8), 10, block="basik"), "did you mean 'basic'"),
        (
            lambda: resnet110((3, 8, 8), 10, width=1, block="preactivation"),
            "shortcut='padding': unknown; Allowed: proj",
        ),
        (lambda: resnet18((3, 8, 8), 0, w=1), "classes=0: allowed"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
