"""ResNeXt: the block against its branches one by one, layers and parameters by hand."""

import pytest
import torch
from torch.nn import functional

from advsmooth import settings
from advsmooth.models import registry
from advsmooth.models.resnext import BranchBlock, ResNeXt


@pytest.mark.parametrize("branches", [1, 2, 4])
def test_a_block_adds_the_mean_of_independent_branches(branches):
    block = BranchBlock(3, branches).double().eval()
    for bn in (block.bn1, block.bn2):
        torch.nn.init.uniform_(bn.weight), torch.nn.init.uniform_(bn.bias)
    x = torch.randn(2, 3, 5, 5, generator=settings.generator(0), dtype=torch.float64)
    outputs = []
    for b in range(branches):
        rows = slice(3 * b, 3 * b + 3)
        scale = (1 + block.bn1.eps) ** -0.5  # of fresh running statistics

        def affine(h, bn, rows=rows, scale=scale):
            return h * scale * bn.weight[rows][:, None, None] + bn.bias[rows][:, None, None]

        inner = affine(functional.conv2d(x, block.conv1.weight[rows], padding=1), block.bn1).relu()
        outputs.append(affine(functional.conv2d(inner, block.conv2.weight[rows], padding=1), block.bn2))
    expected = (x + sum(outputs) / branches).relu()
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("branches", [2, 4])
def test_there_are_34_layers_and_the_parameters_are_those_counted_by_hand(branches):
    with torch.device("meta"):
        description = registry.describe(ResNeXt((3, 32, 32), 10, branches=branches))
    assert len(description.layers) == 34

    def block(c):
        # both convolutions of each branch are from c to c channels; four numbers of batch norm per channel
        return branches * (2 * 9 * c * c + 4 * c)

    def between(c):
        return 2 * c * c + 4 * c

    by_hand = 27 * 32 + 64 + 5 * (block(32) + block(64) + block(128)) + between(32) + between(64) + 128 * 10 + 10
    assert description.parameters == by_hand


def test_stages_double_the_channels_and_halve_the_image():
    with torch.device("meta"):
        network = ResNeXt((3, 32, 32), 10)
        assert network.features(torch.empty(1, 3, 32, 32)).shape == (1, 128, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ResNeXt((3, 32, 32), 10, branches=0), "branches=0: allowed"),
        (lambda: ResNeXt((3, 2, 32), 10), "resnext needs height and width of at least 4"),
        (lambda: ResNeXt((3, 32, 32), 10, blocks=0), "blocks=0: allowed"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
