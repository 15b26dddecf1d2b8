"""Gradient variance against loops over examples, all mini-batches, and closed forms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advsmooth import data, settings
from advsmooth.analysis import parameter_space as space
from advsmooth.analysis import variance


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", n=12).to("cpu", torch.float64)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 3, stride=3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 10)]
    return nn.Sequential(*layers).double()


def gradients(model, x, y):
    """One example at a time, by autograd."""
    rows = []
    for single, label in zip(x, y, strict=True):
        loss = nn.functional.cross_entropy(model(single[None]), label[None])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    return torch.stack(rows)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(0, 100), st.floats(-1e6, 1e6))
def test_welford_is_the_variance_of_everything_at_once(sizes, seed, offset):
    g = settings.generator(seed)
    blocks = [torch.randn(n, 3, generator=g, dtype=torch.float64) + offset for n in sizes]
    seen = variance.Welford(3)
    for block in blocks:
        seen.update(block)
    together, spread = torch.cat(blocks), seen.spread()
    assert spread.count == len(together)
    torch.testing.assert_close(spread.mean, together.mean(0))
    torch.testing.assert_close(spread.variance, together.var(0, correction=0), rtol=1e-9, atol=1e-9)


def test_welford_keeps_what_sums_of_squares_in_single_precision_lose():
    block = 1e4 + torch.tensor([[0.0], [0.1], [0.2], [0.3]])
    seen = variance.Welford(1)
    for row in block:
        seen.update(row[None])
    exact = block.double().var(correction=0).item()
    naive = (block.square().mean() - block.mean().square()).item()
    assert seen.spread().total() == pytest.approx(exact, rel=1e-9)
    assert abs(naive - exact) > 0.5 * exact


@pytest.mark.parametrize("at_once", [1, 5, 100])
def test_per_example_gradients_are_those_of_a_loop(digits, at_once):
    model = network().eval()
    rows = gradients(model, digits.x, digits.y)
    found = variance.per_example(model.train(), digits.x, digits.y, at_once=at_once)
    torch.testing.assert_close(found.mean, rows.mean(0))
    assert found.total() == pytest.approx((rows - rows.mean(0)).square().sum(1).mean().item(), rel=1e-10)
    assert found.unbiased_total() == pytest.approx(rows.var(0).sum().item(), rel=1e-10)
    assert found.sum_of_deviations() == pytest.approx(rows.std(0).sum().item(), rel=1e-10)
    only = variance.per_example(model, digits.x, digits.y, only=["4.weight"])
    torch.testing.assert_close(only.mean.view(10, 8), rows.mean(0)[-90:-10].view(10, 8))


def test_the_estimator_of_the_artifact_clips_each_gradient(digits):
    model = network().eval()
    rows = gradients(model, digits.x, digits.y)
    limit = rows.norm(dim=1).median().item()
    clipped = rows * (limit / rows.norm(dim=1, keepdim=True)).clamp(max=1)
    found = variance.per_example(model, digits.x, digits.y, clip=limit)
    assert found.sum_of_deviations() == pytest.approx(clipped.std(0).sum().item(), rel=1e-10)
    free = variance.per_example(model, digits.x, digits.y).sum_of_deviations()
    assert abs(found.sum_of_deviations() / free - 1) > 0.01, "the clip must matter here"
    assert variance.ARTIFACT_CLIP == 5.0


def test_all_mini_batches_have_the_variance_of_the_formula(digits):
    """Every subset of 4 out of 8 examples, enumerated."""
    model = network().eval()
    rows = gradients(model, digits.x[:8], digits.y[:8])
    means = torch.stack([rows[list(chosen)].mean(0) for chosen in itertools.combinations(range(8), 4)])
    exact = (means - rows.mean(0)).square().sum(1).mean().item()
    spread = variance.per_example(model, digits.x[:8], digits.y[:8])
    assert spread.of_batches(4) == pytest.approx(exact, rel=1e-10)
    assert spread.of_batches(8) == 0
    assert spread.of_batches(1) == pytest.approx(spread.total())
    assert spread.of_batches(4) < spread.total() / 4, "with replacement it would be equal"


def test_drawn_mini_batches_agree_with_the_formula(digits):
    model = network().train()
    drawn = variance.over_batches(model, digits.x, digits.y, size=3, draws=600, generator=settings.generator(0))
    exact = variance.per_example(model, digits.x, digits.y).of_batches(3)
    assert drawn.unbiased_total() == pytest.approx(exact, rel=0.15)
    again = variance.over_batches(model, digits.x, digits.y, size=3, draws=600, generator=settings.generator(0))
    assert torch.equal(drawn.variance, again.variance)
    only = variance.over_batches(
        model, digits.x, digits.y, size=3, draws=600, generator=settings.generator(0), only=["4.bias"]
    )
    torch.testing.assert_close(only.variance, drawn.variance[-10:])


def test_batch_statistics_make_the_gradients_of_training(digits):
    model = network().train()
    found = variance.over_batches(
        model, digits.x, digits.y, size=12, draws=2, generator=settings.generator(0), batch_statistics=True
    )
    reference = network().train()
    loss = nn.functional.cross_entropy(reference(digits.x), digits.y)
    expected = space.flat(dict(enumerate(torch.autograd.grad(loss, list(reference.parameters())))))
    torch.testing.assert_close(found.mean, expected)
    assert found.total() < 1e-20, "the whole set is one batch"
    in_eval = variance.over_batches(model, digits.x, digits.y, size=12, draws=2, generator=settings.generator(0))
    assert not torch.allclose(in_eval.mean, expected)


def test_the_model_is_left_as_found(digits):
    model = network().train()
    model[1].eval()
    flags, before = [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    for how in ({}, {"batch_statistics": True}):
        variance.over_batches(model, digits.x, digits.y, size=4, draws=2, generator=settings.generator(0), **how)
    variance.per_example(model, digits.x, digits.y)
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, d, _: variance.per_example(m, d.x, d.y, clip=0.0), "clip=0.0"),
        (lambda m, d, _: variance.per_example(m, d.x, d.y, clip=math.nan), "clip=nan"),
        (lambda m, d, g: variance.over_batches(m, d.x, d.y, size=13, draws=2, generator=g), "size=13"),
        (lambda m, d, g: variance.over_batches(m, d.x, d.y, size=2, draws=1, generator=g), "draws=1"),
        (lambda m, d, _: variance.per_example(m, d.x, d.y).of_batches(0), "size=0"),
        (lambda m, d, _: variance.per_example(m, d.x[:1], d.y[:1]).sum_of_deviations(), "count=1"),
        (lambda m, d, _: variance.per_example(m, d.x[:0], d.y[:0]), "0 inputs"),
    ],
)
def test_bad_input_is_refused_in_one_line(digits, call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(network(), digits, settings.generator(0))
    assert "\n" not in str(refusal.value)
