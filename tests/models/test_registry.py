"""All networks through the one door: shapes, seeds, independence of examples, gradients, vectorised ensembles."""

import copy
import functools

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from advsmooth import settings
from advsmooth.models import registry
from advsmooth.models.normalise import CIFAR10, Normalise

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
SMALL = {
    "fcn": {"m": 9, "L": 3},
    "cnn": {"m": 5, "L": 3},
    "lenet": {"w": 2},
    "vgg": {"w": 1},
    "vgg13": {"width": 2},
    "resnet18": {"w": 1},
    "resnet": {"depth": 8, "width": 2},
    "resnet110": {"width": 2},
    "wideresnet": {"depth": 10, "width": 1},
    "resnext": {"width": 4, "blocks": 1},
    "cells": {"width": 2, "cells": 3},
}
PLAIN = ["fcn", "cnn", "lenet"]  # no batch norm: these train as vectorised ensembles
VARIANTS = [*SMALL.items(), ("resnet18", {"w": 1, "block": "preactivation"})]


def small(name, shape=None, seed=0, **options):
    shape = shape or (SHAPES["cifar10"] if name.startswith("vgg") else SHAPES["digits"])
    return registry.build(name, in_shape=shape, classes=10, seed=seed, **(SMALL[name] | options))


def inputs(name, n=4, seed=0):
    shape = SHAPES["cifar10"] if name.startswith("vgg") else SHAPES["digits"]
    return torch.rand(n, *shape, generator=settings.generator(seed), dtype=torch.float64)


def test_every_network_has_a_small_version_here():
    assert registry.names() == list(SMALL)


# --- shapes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", SHAPES)
@pytest.mark.parametrize("name", registry.names())
def test_outputs_have_their_shape_and_the_data_it_cannot_take_is_refused(name, data):
    """On a device that computes nothing, and the defaults at full size on CIFAR-10; both VGG networks need 32x32."""
    shape, arguments = SHAPES[data], {} if data == "cifar10" else SMALL[name]

    def run():
        with torch.device("meta"):
            model = registry.build(name, in_shape=shape, classes=7, seed=0, **arguments)
        return model.to("meta")(torch.empty(2, *shape, device="meta"))

    if name.startswith("vgg") and data != "cifar10":
        with pytest.raises(ValueError, match="needs height and width of at least 32"):
            run()
    else:
        assert run().shape == (2, 7)


@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_that_of_the_input(name, arguments, dtype):
    model = small(name, **arguments).to(dtype)
    logits = model(inputs(name).to(dtype))
    assert logits.dtype == dtype
    assert logits.shape == (4, 10)


# --- seeds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_seed_fixes_the_weights_whatever_the_global_generator_says(name, arguments):
    before = torch.random.get_rng_state()
    first = small(name, seed=5, **arguments).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before), "put back as it was"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        same = small(name, seed=5, **arguments).state_dict()
    other = small(name, seed=6, **arguments).state_dict()
    assert list(first) == list(same)
    assert all(torch.equal(first[key], same[key]) for key in first)
    matrices = [key for key in first if first[key].ndim > 1]
    assert matrices
    assert not any(torch.equal(first[key], other[key]) for key in matrices)


@pytest.mark.parametrize("name", registry.names())
def test_layers_of_one_network_are_drawn_independently(name):
    """No two layers of equal shape are equal, as they would be if each were seeded alike."""
    weights = [w for w in small(name).parameters() if w.ndim > 1]
    for i, a in enumerate(weights):
        for b in weights[i + 1 :]:
            assert a.shape != b.shape or not torch.equal(a, b)


def test_a_refusal_puts_the_global_generator_back_too():
    before = torch.random.get_rng_state()
    with pytest.raises(ValueError, match="w=0"):
        registry.build("lenet", in_shape=(1, 8, 8), classes=10, seed=0, w=0)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- independence of examples -----------------------------------------------------------------------------------


def depends_on_the_batch(model, x):
    together = model(x)
    alone = torch.cat([model(single[None]) for single in x])
    return float((together - alone).abs().max()) > 1e-10


@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "")
def test_in_evaluation_mode_an_example_does_not_see_the_others(name, arguments):
    model = small(name, **arguments).double()
    with torch.no_grad():
        model(inputs(name, n=8, seed=1))  # running statistics other than 0 and 1
        state = copy.deepcopy(model.state_dict())
        assert not depends_on_the_batch(model.eval(), inputs(name))
        assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["vgg13", "resnet18", "resnext", "cells"])
def test_the_check_would_notice_batch_norm_in_training_mode(name):
    with torch.no_grad():
        model = small(name, shape=SHAPES["cifar10"]).double().train()
        x = torch.rand(4, 3, 32, 32, generator=settings.generator(0), dtype=torch.float64)
        together = model(x)
        assert float((together[:2] - model(x[:2])).abs().max()) > 1e-6


# --- gradients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "")
def test_gradients_reach_every_weight_and_the_input(name, arguments):
    model = small(name, seed=1, **arguments).double().eval()
    x = inputs(name, n=16).requires_grad_()
    weights = torch.randn(16, 10, generator=settings.generator(3), dtype=torch.float64)
    (model(x) * weights).sum().backward()
    assert x.grad.flatten(1).any(1).all()
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key
        assert weight.grad.any(), key


@pytest.mark.parametrize("name", ["cnn", "lenet", "resnet18", "cells"])
def test_input_gradients_are_finite_differences(name):
    model = small(name, seed=2).double().eval()
    x = inputs(name, n=1)
    direction = torch.randn(x.shape, generator=settings.generator(4), dtype=torch.float64)
    h = 1e-6
    weights = torch.randn(10, generator=settings.generator(5), dtype=torch.float64)

    def score(x):
        return (model(x)[0] * weights).sum()

    difference = (score(x + h * direction) - score(x - h * direction)) / (2 * h)
    (gradient,) = torch.autograd.grad(score(x.requires_grad_()), x)
    torch.testing.assert_close(difference, (gradient * direction).sum(), rtol=1e-6, atol=1e-8)


# --- vectorised ensembles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAIN)
def test_small_networks_run_and_train_as_one_vectorised_ensemble(name):
    models = [small(name, seed=seed).double() for seed in range(3)]
    x, y = inputs(name), torch.tensor([0, 3, 3, 9])
    parameters, buffers = torch.func.stack_module_state(models)
    skeleton = copy.deepcopy(models[0]).to("meta")

    def loss(p, b, x):
        return nn.functional.cross_entropy(torch.func.functional_call(skeleton, (p, b), (x,)), y)

    values = torch.func.vmap(loss, in_dims=(0, 0, None))(parameters, buffers, x)
    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(0, 0, None))(parameters, buffers, x)
    for i, model in enumerate(models):
        alone = nn.functional.cross_entropy(model(x), y)
        torch.testing.assert_close(values[i], alone)
        alone.backward()
        for key, weight in model.named_parameters():
            torch.testing.assert_close(gradients[key][i], weight.grad)


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_per_example(name):
    model = small(name).double()
    x, y = inputs(name), torch.tensor([0, 3, 3, 9])
    parameters = dict(model.named_parameters())

    def loss(p, single, label):
        logits = torch.func.functional_call(model, p, (single[None],))
        return nn.functional.cross_entropy(logits, label[None])

    per_example = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    nn.functional.cross_entropy(model(x), y).backward()
    for key, weight in parameters.items():
        torch.testing.assert_close(per_example[key].mean(0), weight.grad)


# --- normalisation --------------------------------------------------------------------------------------------


def test_normalisation_stands_before_the_network_and_changes_no_weight():
    plain = small("resnet18", shape=SHAPES["cifar10"]).double().eval()
    model = small("resnet18", shape=SHAPES["cifar10"], mean=CIFAR10[0], std=CIFAR10[1]).double().eval()
    x = torch.rand(2, 3, 32, 32, generator=settings.generator(0), dtype=torch.float64)
    torch.testing.assert_close(model(x), plain(Normalise(*CIFAR10).double()(x)))
    assert not torch.allclose(model(x), plain(x))
    assert registry.describe(model).parameters == registry.describe(plain).parameters
    assert {"normalise.mean", "normalise.std"} <= set(model.state_dict())


# --- descriptions and sizes ------------------------------------------------------------------------------------


def test_describe_lists_the_layers():
    description = registry.describe(small("lenet"))
    assert list(description.layers.items()) == [
        ("conv1.weight", (4, 1, 5, 5)),
        ("conv2.weight", (8, 4, 5, 5)),
        ("fc1.weight", (128, 32)),
        ("fc2.weight", (10, 128)),
    ]
    assert description.parameters == (25 * 4 + 4) + (25 * 32 + 8) + (128 * 32 + 128) + (1280 + 10)


@pytest.mark.parametrize("name", registry.names())
def test_counting_builds_nothing_and_agrees_with_what_is_built(name):
    model = small(name, shape=SHAPES["cifar10"])
    counted = registry.parameter_count(name, in_shape=SHAPES["cifar10"], classes=10, **SMALL[name])
    assert counted == sum(w.numel() for w in model.parameters())


@pytest.mark.parametrize("name", registry.names())
def test_arguments_all_have_defaults(name):
    assert set(SMALL[name]) <= set(registry.arguments(name))
    assert not {"in_shape", "classes", "generator"} & set(registry.arguments(name))


@given(width=st.integers(2, 200))
@hypothesis_settings(max_examples=15, deadline=None)
def test_the_width_of_a_size_is_found_again(width):
    size = registry.parameter_count("lenet", in_shape=(1, 8, 8), classes=10, w=width)
    assert registry.width_of_size("lenet", size, argument="w", in_shape=(1, 8, 8), classes=10) == width


@functools.cache
def lenet_size(w):
    return registry.parameter_count("lenet", in_shape=(1, 8, 8), classes=10, w=w)


@given(parameters=st.integers(4000, 10**6))
@hypothesis_settings(max_examples=15, deadline=None)
def test_no_other_width_comes_closer(parameters):
    options = {"argument": "w", "in_shape": (1, 8, 8), "classes": 10, "tolerance": 1.0, "at_most": 40}
    found = registry.width_of_size("lenet", parameters, **options)
    gaps = [abs(lenet_size(w) - parameters) for w in range(2, 41)]
    assert abs(lenet_size(found) - parameters) == min(gaps)


def test_hand_made_networks_of_the_size_of_darts():
    size = 3_349_342  # DARTS_V2, test_cells.py
    for name, argument in (("vgg13", "width"), ("resnext", "width"), ("cnn", "m")):
        width = registry.width_of_size(name, size, argument=argument, in_shape=(3, 32, 32), classes=10)
        count = registry.parameter_count(name, in_shape=(3, 32, 32), classes=10, **{argument: width})
        assert abs(count - size) <= 0.05 * size


# --- refusals --------------------------------------------------------------------------------------------------


def lenet(**changes):
    return registry.build("lenet", **({"in_shape": (1, 8, 8), "classes": 10, "seed": 0} | changes))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: registry.build("lenett", in_shape=(1, 8, 8), classes=10, seed=0), r"model='lenett'.*mean 'lenet'\?"),
        (lambda: registry.arguments("resnet-18"), r"did you mean 'resnet18'\? Allowed: fcn, cnn"),
        (lambda: lenet(width=2), r"lenet: argument='width': unknown; Allowed: w$"),
        (lambda: registry.build("cells", in_shape=(1, 8, 8), classes=2, seed=0, genotyp=0), r"did you mean 'genotype'"),
        (lambda: lenet(generator=3), r"lenet: argument='generator': unknown"),
        (lambda: lenet(classes=1), r"classes=1: allowed is an integer, at least 2"),
        (lambda: lenet(seed=-1), r"seed=-1: allowed is an integer, at least 0"),
        (lambda: lenet(seed=1.5), r"seed=1.5: allowed"),
        (lambda: lenet(in_shape=(1, 8)), r"in_shape=\(1, 8\): lenet takes images"),
        (lambda: lenet(in_shape=(1, 8.0, 8)), r"in_shape=8.0: allowed"),
        (lambda: lenet(in_shape=64), r"in_shape=64: allowed is the shape of one input"),
        (lambda: lenet(mean=[0.5]), r"mean=\[0.5\], std=None: give both, or neither"),
        (
            lambda: registry.width_of_size("lenet", 5, argument="w", in_shape=(1, 8, 8), classes=10),
            r"no w from 2 to 1024 has 5 parameters within 5%; w=2 has 6,",
        ),
        (
            lambda: registry.width_of_size("lenet", 10**9, argument="w", in_shape=(1, 8, 8), classes=10, at_most=8),
            r"no w from 2 to 8 has 1,000,000,000 parameters within 5%; w=8 has",
        ),
        (lambda: registry.width_of_size("lenet", 10, argument="width", in_shape=(1, 8, 8), classes=2), r"Allowed: w"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
