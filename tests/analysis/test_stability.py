"""The estimator against closed forms and dense Jacobians; what it leaves as it found it; what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import nn

from advsmooth import settings
from advsmooth.analysis import stability
from advsmooth.models import fcn
from advsmooth.models.fcn import FCN

Z = 4.5  # standard errors; a true statement fails with probability 7e-6


def small_cnn() -> nn.Module:
    torch.manual_seed(0)  # torch's own layers draw from the global generator
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    ).double()


@pytest.fixture
def images():
    return torch.rand(10, 1, 4, 4, generator=settings.generator(2), dtype=torch.float64)


def dense(f, x):
    """Jacobians ``(n, o, d)``, one input at a time, by reverse mode."""
    return torch.stack([torch.func.jacrev(lambda s: f(s[None])[0])(single).flatten(1) for single in x])


def test_responses_are_jacobian_times_perturbation(images):
    for model in (small_cnn().eval(), FCN(16, 8, 3, 4, generator=1, dtype=torch.float64)):
        r = stability.uniform_ball(30, (1, 4, 4), 0.5, settings.generator(3), dtype=torch.float64).reshape(
            3, 10, 1, 4, 4
        )
        expected = (dense(model, images) @ r.flatten(2)[..., None])[..., 0].norm(dim=-1)
        torch.testing.assert_close(stability.responses(model, images, r), expected, atol=1e-12, rtol=1e-10)
        torch.testing.assert_close(stability.responses(model, images, r[1]), expected[1], atol=1e-12, rtol=1e-10)


def test_one_input_may_be_expanded_instead_of_copied():
    net, x = FCN(4, 5, 2, 3, dtype=torch.float64), torch.ones(1, 4, dtype=torch.float64)
    r = stability.uniform_ball(6, (4,), 1.0, settings.generator(0), dtype=torch.float64)
    found = stability.responses(net, x.expand(6, 4), r[None])[0]
    torch.testing.assert_close(found, stability.responses(net, x.repeat(6, 1), r))


@pytest.mark.parametrize("d", [1, 2, 7, 64])
def test_ball_is_uniform(d):
    r = stability.uniform_ball(20_000, (d,), 3.0, settings.generator(d), dtype=torch.float64)
    radius = r.norm(dim=1) / 3
    assert radius.max() <= 1 + 1e-12
    assert stats.kstest((radius**d).numpy(), "uniform").pvalue > 1e-4  # P(|r| <= s) = s^d
    square = (r / 3).square() * (d + 2)  # each coordinate of the unit ball has second moment 1/(d+2)
    z = (square.mean(0) - 1).abs() / (square.std(0) / math.sqrt(20_000))
    assert z.max() < Z + 0.5  # the largest of up to 64
    if d > 1:  # the first coordinate of a uniform direction is symmetric, with second moment 1/d
        direction = r[:, 0] / r.norm(dim=1)
        assert abs(direction.mean()) < Z / math.sqrt(20_000 * d)
        assert abs(direction.square().mean() * d - 1) < Z * math.sqrt(2 / 20_000)


def test_linear_map_has_its_closed_form():
    g = settings.generator(4)
    a = torch.randn(3, 9, generator=g, dtype=torch.float64)
    x = torch.randn(4_000, 9, generator=g, dtype=torch.float64)
    found = stability.perturbation_stability(lambda s: s @ a.T, x, 0.3, generator=g, perturbations=2)
    exact = a.square().sum().item() * 0.3**2 / (9 + 2)
    assert abs(found.square - exact) < Z * found.square_error
    assert found.rms >= found.mean
    assert found.units == 4_000
    identity = stability.perturbation_stability(lambda s: s, x, 0.3, generator=g)
    assert abs(identity.mean - 0.3 * 9 / 10) < Z * identity.mean_error


def test_estimate_is_homogeneous_in_the_radius():
    net, x = (
        FCN(6, 8, 3, 3, dtype=torch.float64),
        torch.randn(50, 6, generator=settings.generator(5), dtype=torch.float64),
    )
    at = [stability.perturbation_stability(net, x, e, generator=settings.generator(6)).mean / e for e in (1e-3, 1, 50)]
    assert at == pytest.approx([at[1]] * 3, rel=1e-12)
    assert stability.perturbation_stability(net, x, 0.0, generator=settings.generator(6)).mean == 0


def test_standard_errors_count_data_points_and_not_perturbations():
    """The response to x is |x| times that to 1: the spread over data is what many perturbations cannot average away."""
    x = torch.linspace(0.0, 2.0, 101, dtype=torch.float64)[:, None]
    found = stability.perturbation_stability(
        lambda s: s.square() / 2, x, 1.0, generator=settings.generator(7), perturbations=2_000
    )
    assert found.mean == pytest.approx(0.5, abs=0.02)  # E|x| E|r| = 1 * 1/2
    assert found.mean_error == pytest.approx(0.5 * x.std().item() / math.sqrt(101), rel=0.05)


def test_mean_over_seeds_of_the_standard_error_matches_the_spread():
    net = FCN(5, 6, 2, 3, dtype=torch.float64)
    runs = []
    for seed in range(200):
        g = settings.generator(seed)
        x = torch.randn(40, 5, generator=g, dtype=torch.float64)
        runs.append(stability.perturbation_stability(net, x, 1.0, generator=g))
    spread = torch.tensor([run.mean for run in runs]).std().item()
    assert sum(run.mean_error for run in runs) / 200 == pytest.approx(spread, rel=0.2)


def test_module_is_left_as_found(images):
    model = small_cnn().train()
    model[1].eval()  # a frozen layer stays frozen
    model[0].weight.requires_grad_(False)
    flags = [module.training for module in model.modules()]
    statistics = {name: value.clone() for name, value in model.state_dict().items()}
    in_training = stability.perturbation_stability(model, images, 0.1, generator=settings.generator(0))
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(value, statistics[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()][:2] == [False, True]
    evaluated = stability.perturbation_stability(model.eval(), images, 0.1, generator=settings.generator(0))
    assert in_training == evaluated


def test_module_is_left_as_found_after_an_error(images):
    model = small_cnn().train()
    with pytest.raises(RuntimeError):
        stability.perturbation_stability(model, images.flatten(1), 0.1, generator=settings.generator(0))
    assert model.training
    assert model[1].training


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_that_of_the_data(dtype):
    net = FCN(4, 5, 2, 3, dtype=dtype)
    x = torch.ones(3, 4, dtype=dtype)
    assert stability.responses(net, x, x).dtype == dtype
    assert (
        stability.initial_fcn(x, 5, 2, 3, "he", initialisations=4, generator=settings.generator(0)).dtype
        == torch.float64
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("source", ["cpu", "cuda"])
def test_runs_on_the_device_of_the_data(source):
    x = torch.eye(4, device="cuda")
    g = settings.generator(0, source)
    norms = stability.initial_fcn(x, 8, 2, 3, "he", initialisations=50, generator=g, numbers=1_000)
    assert norms.is_cuda
    assert (norms > 0).any()
    model = FCN(4, 5, 2, 3, device="cuda")
    assert stability.perturbation_stability(model, x, 1.0, generator=g).mean > 0


def test_units_over_initialisations_are_independent_networks():
    """With one network for all, the mean would keep the spread of single networks; with fresh ones it does not."""
    x = torch.nn.functional.normalize(torch.randn(20, 6, generator=settings.generator(1), dtype=torch.float64), dim=1)

    def draw(n, g):
        return fcn.ensemble(fcn.draw_weights(6, 8, 3, 4, "he", g, networks=n, dtype=torch.float64))

    runs = [
        stability.over_initialisations(draw, x, 1.0, initialisations=60, generator=settings.generator(s), batch=25)
        for s in range(200)
    ]
    spread = torch.tensor([run.mean for run in runs]).std().item()
    assert sum(run.mean_error for run in runs) / 200 == pytest.approx(spread, rel=0.2)
    assert all(run.units == 60 for run in runs)


def test_initial_fcn_is_the_same_as_drawing_by_hand():
    x = torch.eye(6, dtype=torch.float64)
    norms = stability.initial_fcn(
        x, 8, 3, 4, "ntk", initialisations=9, generator=settings.generator(1), alpha=2.0, eps=0.5
    )

    def draw(n, g):
        return fcn.ensemble(fcn.draw_weights(6, 8, 3, 4, "ntk", g, networks=n, dtype=torch.float64), 2.0)

    by_hand = stability.draw_responses(draw, x, 0.5, initialisations=9, generator=settings.generator(1))
    torch.testing.assert_close(norms, by_hand)


def test_networks_that_a_number_of_weights_pays_for():
    size = 6 * 8 + 2 * 8 * 8 + 8 * 3
    assert stability.affordable(6, 8, 3, 4, numbers=10 * size + 1, at_most=99) == 10
    assert stability.affordable(6, 8, 3, 4, numbers=10 * size, at_most=7) == 7
    assert stability.affordable(6, 8, 3, 4, numbers=size - 1, at_most=7) == 1
    assert stability.affordable(6, 8, 3, 4, numbers=10, at_least=5, at_most=7) == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _, g: stability.uniform_ball(2, (3,), -1.0, g), "eps=-1.0: allowed"),
        (lambda _, g: stability.uniform_ball(2, (3,), math.nan, g), "eps=nan: allowed"),
        (lambda x, g: stability.perturbation_stability(lambda s: s, x[:1], 1.0, generator=g), "need at least 2"),
        (lambda x, g: stability.perturbation_stability(lambda s: s, x.long(), 1.0, generator=g), "floating-point"),
        (
            lambda x, g: stability.perturbation_stability(lambda s: s, x, 1.0, generator=g, perturbations=0),
            "perturbations=0",
        ),
        (lambda x, _: stability.responses(lambda s: s, x, x[:, :1]), "allowed is"),
        (lambda x, g: stability.initial_fcn(x, 2, 2, 2, "he", initialisations=1, generator=g), "at least 2"),
        (lambda x, _: stability.estimate(x), "need \\(n,\\)"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(torch.ones(3, 4), settings.generator(0))
    assert "\n" not in str(refusal.value)
