"""Cells of an architecture search: published sizes, operations, graphs, and what is refused."""

import dataclasses
from collections import Counter

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from advsmooth import settings
from advsmooth.models import cells, registry
from advsmooth.models.cells import Cell, CellModule, CellNetwork, Genotype, find_genotype

PUBLISHED = ["NASNet", "AmoebaNet", "DARTS_V1", "DARTS_V2", "PC_DARTS_cifar"]


def images(n=2, channels=3, size=8):
    return torch.randn(n, channels, size, size, generator=settings.generator(0), dtype=torch.float64)


def count(genotype, **arguments):
    return registry.parameter_count("cells", in_shape=(3, 32, 32), classes=10, genotype=genotype, **arguments)


# --- the whole network ----------------------------------------------------------------------------------------


def test_published_parameter_counts():
    assert count("DARTS_V2") == 3_349_342  # 3.349 M in the README of Liu et al. 2019
    assert round(count("PC_DARTS_cifar") / 1e6, 1) == 3.6  # Xu et al. 2020


def test_parameters_of_a_small_network_by_hand():
    """Three cells, the last two reductions; every edge a skip connection but one separable convolution."""
    c = 4
    edges = (("sep_conv_3x3", 0), ("skip_connect", 1))
    genotype = Genotype("small", Cell(edges, (2,)), Cell((("max_pool_3x3", 0), ("skip_connect", 1)), (2,)))
    separable = 2 * (9 * c + c * c + 2 * c)

    def conv_bn(a, b):
        return a * b + 2 * b

    first = 2 * conv_bn(3 * c, c) + separable
    second = conv_bn(3 * c, 2 * c) + conv_bn(c, 2 * c) + conv_bn(2 * c, 2 * c)  # the skip halves the image
    third = conv_bn(c, 4 * c) + conv_bn(2 * c, 4 * c) + conv_bn(4 * c, 4 * c)
    by_hand = 27 * 3 * c + 6 * c + first + second + third + 4 * c * 10 + 10
    assert count(genotype, width=c, cells=3) == by_hand


@pytest.mark.parametrize("n", [3, 5, 8])
def test_reductions_are_a_third_and_two_thirds_of_the_way(n):
    with torch.device("meta"):
        network = CellNetwork((1, 16, 16), 2, width=2, cells=n)
        older = previous = network.stem(torch.empty(1, 1, 16, 16))
        sizes = []
        for cell in network.cells:
            older, previous = previous, cell(older, previous)
            sizes.append(previous.shape[-1])
    assert sizes == [16] * (n // 3) + [8] * (2 * n // 3 - n // 3) + [4] * (n - 2 * n // 3)


@pytest.mark.parametrize("name", [*PUBLISHED, "DARTS-iii", "random:7"])
def test_every_genotype_makes_a_network_whose_weights_all_matter(name):
    model = registry.build("cells", in_shape=(3, 8, 8), classes=5, seed=1, genotype=name, width=4, cells=4).double()
    logits = model(images(6))
    assert logits.shape == (6, 5)
    (logits * torch.randn(6, 5, generator=settings.generator(2), dtype=torch.float64)).sum().backward()
    idle = {key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()}
    # A node that nothing reads has no gradient: none in these cells.
    assert idle == set()


# --- operations -----------------------------------------------------------------------------------------------


FIELDS = {
    "avg_pool_3x3": (3, 3),
    "max_pool_3x3": (3, 3),
    "skip_connect": (1, 1),
    "none": (0, 0),
    "sep_conv_3x3": (5, 5),
    "sep_conv_5x5": (9, 9),
    "sep_conv_7x7": (13, 13),
    "dil_conv_3x3": (5, 5),
    "dil_conv_5x5": (9, 9),
    "conv_7x1_1x7": (7, 7),
}


def test_every_operation_has_a_field_here():
    assert set(FIELDS) == set(cells.OPERATIONS)


@pytest.mark.parametrize("name", FIELDS)
def test_an_operation_sees_the_field_its_name_says(name):
    operation = cells.OPERATIONS[name](3, 1).double().eval()
    seen = torch.zeros(21, 21, dtype=torch.bool)
    for seed in range(20):  # a maximum sees one pixel at a time, and a ReLU may be closed
        g = settings.generator(seed)
        x = torch.randn(1, 3, 21, 21, generator=g, dtype=torch.float64).requires_grad_()
        (gradient,) = torch.autograd.grad(operation(x)[0, :, 10, 10].sum(), x)
        seen |= gradient[0].abs().amax(0) > 0
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    size = (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) if len(rows) else (0, 0)
    assert size == FIELDS[name]
    if name.startswith("dil"):
        assert not seen[1::2, :].any(), "dilation 2 skips every second row"


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("stride", [1, 2])
def test_an_operation_keeps_the_channels_and_divides_the_image_by_its_stride(name, stride):
    out = cells.OPERATIONS[name](5, stride).double()(images(channels=5))
    assert out.shape == (2, 5, 8 // stride, 8 // stride)
    if name == "none":
        assert not out.any()


@pytest.mark.parametrize("name", [name for name in FIELDS if "conv" in name] + ["skip_connect"])
def test_convolutions_start_with_a_relu(name):
    operation = cells.OPERATIONS[name](5, 2).double().eval()
    x = images(channels=5)
    torch.testing.assert_close(operation(x), operation(x.relu()), rtol=0, atol=0)
    assert not torch.allclose(operation(x), operation(-x))


def test_average_pooling_does_not_count_the_border():
    ones = torch.ones(1, 2, 6, 6)
    assert torch.equal(cells.OPERATIONS["avg_pool_3x3"](2, 1)(ones), ones)


@pytest.mark.parametrize("out", [4, 5])
def test_a_reduction_looks_at_even_and_odd_pixels(out):
    reduction = cells.FactorisedReduction(3, out).double().eval()
    x = images().abs().requires_grad_()
    result = reduction(x)
    assert result.shape == (2, out, 4, 4)
    (gradient,) = torch.autograd.grad(result.sum(), x)
    looked_at = gradient[0, 0] != 0
    assert looked_at[::2, ::2].all()
    assert looked_at[1::2, 1::2].all()
    assert looked_at.sum() == 32


# --- graphs ---------------------------------------------------------------------------------------------------


def test_a_cell_adds_two_edges_a_node_and_concatenates():
    edges = (
        ("skip_connect", 0),
        ("skip_connect", 1),
        ("skip_connect", 2),
        ("avg_pool_3x3", 0),
        ("none", 3),
        ("none", 1),
    )
    module = CellModule(Cell(edges, (4, 2, 3)), 3, 3, 2, reduction=False, after_reduction=False).double().eval()
    a, b = images(), 2 * images()
    s0, s1 = module.older(a), module.previous(b)
    first = s0 + s1
    second = first + torch.nn.functional.avg_pool2d(s0, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(module(a, b), torch.cat([0 * s0, first, second], 1))
    assert module.channels == 6


def test_only_edges_from_the_inputs_of_a_reduction_halve_the_image():
    cell = find_genotype("DARTS_V2").reduce
    module = CellModule(cell, 3, 3, 4, reduction=True, after_reduction=False).double()
    assert module(images(), images()).shape == (2, 16, 4, 4)


@pytest.mark.parametrize(
    ("name", "normal", "reduce"),
    [
        ("NASNet", 1, 2),
        ("AmoebaNet", 3, 2),
        ("DARTS_V2", 2, 2),
        ("DARTS-i", 4, 2),
        ("DARTS-ii", 2, 2),
        ("DARTS-iii", 4, 2),
    ],
)
def test_depth_is_the_longest_path_counted_by_hand(name, normal, reduce):
    genotype = find_genotype(name)
    assert (genotype.normal.depth, genotype.reduce.depth) == (normal, reduce)


def test_none_is_no_path():
    assert Cell((("none", 0), ("none", 1), ("skip_connect", 2), ("none", 0)), (3,)).depth == 1
    assert Cell((("none", 0), ("none", 1)), (2,)).depth == 0


# --- remedies -------------------------------------------------------------------------------------------------


def test_remedies_give_the_genotypes_of_the_authors_artifact():
    """As facts: which inputs and which operations the three genotypes have; their reduction cells are DARTS_V2's."""
    original = find_genotype("DARTS_V2")
    assert Counter(operation for operation, _ in original.normal.edges)["skip_connect"] == 2
    chain, before = [0, 1, 2, 2, 3, 3, 4, 4], [0, 1, 0, 1, 1, 0, 0, 2]
    sep, dil, skip = "sep_conv_3x3", "dil_conv_3x3", "skip_connect"
    kept, replaced = [sep] * 5 + [skip, skip, dil], [sep] * 6 + [dil, dil]
    expected = {"DARTS-i": (kept, chain), "DARTS-ii": (replaced, before), "DARTS-iii": (replaced, chain)}
    for name, (operations, sources) in expected.items():
        genotype = find_genotype(name)
        assert genotype.name == name
        assert list(genotype.normal.edges) == list(zip(operations, sources, strict=True)), name
        assert genotype.reduce == original.reduce


@given(seed=st.integers(0, 10**6), nodes=st.integers(1, 6))
@hypothesis_settings(max_examples=40, deadline=None)
def test_remedies_of_any_cell(seed, nodes):
    genotype = cells.random_genotype(seed, nodes=nodes)
    deep, bare = cells.deeper(genotype), cells.without_skips(genotype)
    assert deep.normal.depth == nodes >= genotype.normal.depth
    assert [o for o, _ in deep.normal.edges] == [o for o, _ in genotype.normal.edges]
    assert all(o != "skip_connect" for o, _ in bare.normal.edges)
    assert [s for _, s in bare.normal.edges] == [s for _, s in genotype.normal.edges]
    for before, after in zip(genotype.normal.edges, bare.normal.edges, strict=True):
        assert before == after or (before[0] == "skip_connect" and "conv" in after[0])
    assert deep.reduce == bare.reduce == genotype.reduce
    assert cells.without_skips(deep).normal == cells.deeper(bare).normal, "the two commute"


# --- random cells ---------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6))
@hypothesis_settings(max_examples=30, deadline=None)
def test_a_random_cell_is_fixed_by_its_seed_and_leaves_the_global_generator_alone(seed):
    state = torch.random.get_rng_state()
    genotype = find_genotype(f"random:{seed}")
    assert genotype == cells.random_genotype(seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    for cell in (genotype.normal, genotype.reduce):
        assert len(cell.nodes) == 4
        assert all(a != b for (_, a), (_, b) in cell.nodes)
        assert {operation for operation, _ in cell.edges} <= set(cells.SEARCHED)


def test_random_cells_are_drawn_uniformly():
    drawn = [cells.random_genotype(seed) for seed in range(300)]
    assert drawn[0].normal != drawn[1].normal
    assert drawn[0].normal != drawn[0].reduce
    edges = [edge for genotype in drawn for edge in genotype.normal.edges]
    operations = Counter(operation for operation, _ in edges)
    n, p = len(edges), 1 / len(cells.SEARCHED)
    for operation in cells.SEARCHED:
        assert abs(operations[operation] - n * p) < 4 * (n * p * (1 - p)) ** 0.5
    last = Counter(source for genotype in drawn for _, source in genotype.normal.nodes[-1])
    assert all(abs(last[source] - 120) < 4 * (300 * 0.4 * 0.6) ** 0.5 for source in range(5))


# --- the data -------------------------------------------------------------------------------------------------


def test_the_file_holds_the_published_genotypes():
    assert list(cells.read_genotypes()) == PUBLISHED
    assert cells.genotype_names() == [*PUBLISHED, "DARTS-i", "DARTS-ii", "DARTS-iii"]
    assert len(find_genotype("NASNet").normal.nodes) == 5
    genotype = find_genotype("DARTS_V1")
    assert find_genotype(genotype) is genotype


def entry(**changes):
    good = {
        "normal": [["skip_connect", 0], ["skip_connect", 1]],
        "normal_concat": [2],
        "reduce": [["max_pool_3x3", 0], ["max_pool_3x3", 1]],
        "reduce_concat": [2],
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            entry(normal=[["skip", 0], ["skip_connect", 1]]),
            r"'g', normal: operation='skip': unknown; did you mean 'skip",
        ),
        (entry(normal=[["skip_connect", 0]]), r"'g', normal: a cell of 1 edges: allowed are two for each node"),
        (entry(normal=[]), r"a cell of 0 edges"),
        (entry(reduce=[["none", 0], ["none", 2]]), r"'g', reduce: edge 1 \(none\): input 2; allowed is 0 to 1"),
        (entry(reduce=[["none", 0], ["none", -1]]), r"input -1; allowed"),
        (entry(reduce=[["none", 0], ["none", "1"]]), r"input '1'; allowed"),
        (entry(reduce=[["none", 0], ["none", True]]), r"input True; allowed"),
        (entry(normal_concat=[3]), r"concat: input 3; allowed is 0 to 2"),
        (entry(normal_concat=[2, 2]), r"concat=\[2, 2\]: allowed are different inputs"),
        (entry(normal_concat=[]), r"concat=\[\]: allowed"),
        (entry(normal_concat=2), r"normal_concat: allowed is a list"),
        (entry(normal="skip_connect"), r"allowed is a list of edges"),
        (entry(normal=[["none", 0, 1], ["none", 0]]), r"allowed is a list of edges"),
        (entry(reduce=None), r"genotype 'g': its fields are normal, normal_concat, reduce, reduce_concat"),
        (entry(extra=1), r"its fields are"),
        (["normal"], r"its fields are"),
    ],
)
def test_a_bad_genotype_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "genotypes.yml"
    path.write_text(yaml.safe_dump({"g": content}))
    with pytest.raises(ValueError, match=message) as refusal:
        cells.read_genotypes(path)
    assert "\n" not in str(refusal.value)


def test_a_good_one_is_read(tmp_path):
    path = tmp_path / "genotypes.yml"
    path.write_text(yaml.safe_dump({"g": entry()}))
    assert cells.read_genotypes(path)["g"].normal.edges == (("skip_connect", 0), ("skip_connect", 1))
    path.write_text("- a list")
    with pytest.raises(ValueError, match="allowed is a mapping"):
        cells.read_genotypes(path)


def own_inputs():
    genotype = find_genotype("DARTS_V2")
    return dataclasses.replace(genotype, reduce=dataclasses.replace(genotype.reduce, concat=(1, 2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_genotype("DARTS_V3"), r"genotype='DARTS_V3': unknown; did you mean 'DARTS_V2'\?"),
        (lambda: find_genotype("random"), r"random:SEED"),
        (lambda: find_genotype("random:x"), r"random:SEED"),
        (lambda: find_genotype("random:SEED"), r"SEED stands for a number"),
        (lambda: cells.random_genotype(-1), r"seed=-1: allowed"),
        (lambda: cells.random_genotype(0, nodes=0), r"nodes=0: allowed"),
        (lambda: CellNetwork((3, 30, 32), 10), r"cells needs height and width of at least 4, a multiple of 4"),
        (lambda: CellNetwork((3, 32, 32), 10, cells=2), r"cells=2: allowed is an integer, at least 3"),
        (lambda: CellNetwork((3, 32, 32), 10, width=1), r"width=1: allowed is an integer, at least 2"),
        (lambda: CellNetwork((3, 8, 8), 10, genotype=own_inputs()), r"may not concatenate inputs 0 and 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
