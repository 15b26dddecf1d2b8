"""Negative controls of notebooks/liu2020/schedules_and_sizes."""

import itertools

import numpy as np
import sympy as sp
import torch
import torchvision
import z3
from negative_controls import control
from scipy.integrate import quad
from scipy.optimize import bisect
from torch import nn

from advsmooth import checks, claims, data, settings
from advsmooth.attacks.audit import audit
from advsmooth.attacks.evaluation import CountingModel
from advsmooth.attacks.gradient import PGD
from advsmooth.attacks.losses import margin
from advsmooth.models import registry, table2
from advsmooth.training import periodic, published
from advsmooth.training.schedules import CosineBudget, Decay, Drops, LinearBudget
from advsmooth.training.snapshots import SnapshotEnsemble

SETUP = claims.claim("liu2020-setup").published
TABLE = claims.claim("liu2020-tab2").published
ALG, TAB, PAR = "liu2020-alg-pas", "liu2020-tab2", "liu2020-obs-params"
CIFAR = {"side": 32, "channels": 3}
u, r, low, high, target = sp.symbols("u r low high target", positive=True)
rise = (1 - sp.cos(sp.pi * u)) / 2
s, t, lo, hi, top = z3.Reals("s t lo hi top")


@control("liu2020-setup", "mnist-preset")
def forty_attack_steps():
    """The steps that reach the ball's far side, without the ten more."""
    inner = published.liu_mnist(0.4, pgd_steps=40).objective.attack
    expected = 0.4 / SETUP["pgd_step"]["MNIST"] + SETUP["pgd_extra_iterations"]["MNIST"]
    return checks.equal("mnist-preset", "", measured=inner.steps, expected=expected, atol=1e-9, sample="")


@control("liu2020-setup", "cifar10-presets")
def another_weight_decay():
    recipe = periodic.liu_cifar10("resnet18", weight_decay=5e-4)
    measured = recipe.optimisers[0].options["weight_decay"]
    expected = SETUP["weight_decay_table1"]
    return checks.equal("cifar10-presets", "", measured=measured, expected=expected, atol=1e-9, sample="")


@control(ALG, "rise-is-a-square")
def cosine_for_sine():
    return checks.identity("rise-is-a-square", "", left=rise, right=sp.cos(sp.pi * u / 2) ** 2)


@control(ALG, "rise-grows")
def inner_derivative_forgotten():
    return checks.identity("rise-grows", "", left=sp.diff(rise, u), right=sp.sin(sp.pi * u) / 2)


def clipped(value):
    return z3.If(value < 0, z3.RealVal(0), z3.If(value > top, top, value))


@control(ALG, "clipping-keeps-order")
def largest_below_smallest():
    """A schedule that starts high."""
    one, two = (clipped((hi - lo) * part + lo) for part in (s, t))
    assumptions = [top > 0, hi < lo, s >= 0, s <= t, t <= 1]
    return checks.implies("clipping-keeps-order", "", assumptions=assumptions, conclusion=one <= two)


@control(ALG, "starts-and-ends")
def no_overshoot():
    """Without eps_max > target the target need not be reached."""
    conclusion = z3.And(clipped(lo) == 0, clipped(hi) == top)
    return checks.implies("starts-and-ends", "", assumptions=[lo <= 0, top > 0, hi > 0], conclusion=conclusion)


@control(ALG, "saturates-cosine")
def half_the_rise():
    at = sp.acos(1 - (target + low) / (high + low)) / sp.pi
    return checks.identity("saturates-cosine", "", left=(rise * (high + low) - low).subs(u, at), right=target)


@control(ALG, "saturates-linear")
def smallest_budget_forgotten():
    """target / eps_max is right for eps_min = 0 only."""
    left = (high + low) * target / high - low
    return checks.identity("saturates-linear", "", left=left, right=target)


@control(ALG, "mean-cosine")
def no_clipping():
    """The mean of the formula without the plateau."""
    v, full = sp.Symbol("v"), sp.acos(1 - 2 / r) / sp.pi
    left = sp.integrate(r * rise.subs(u, v), (v, 0, 1))
    right = 1 - (1 - r / 2) * full - sp.sqrt(r - 1) / sp.pi
    return checks.identity("mean-cosine", "", left=left, right=right, role="observed")


@control(ALG, "mean-linear")
def no_clipping_either():
    left = sp.integrate(r * u, (u, 0, 1))
    return checks.identity("mean-linear", "", left=left, right=1 - 1 / (2 * r), role="observed")


@control(ALG, "starts-rises-stays")
def the_formula_itself_beyond_its_end():
    values = [min(0.4, 0.6 * (1 - np.cos(np.pi * k / 60)) / 2) for k in range(91)]
    rises = all(a <= b for a, b in itertools.pairwise(values))
    good = values[0] == 0 and rises and max(values) == 0.4 and set(values[60:]) == {0.4}
    return checks.every("starts-rises-stays", "", cases=[good], sample="")


@control(ALG, "saturation-points")
def the_overshoot_of_cifar10_on_mnist():
    return saturation("saturation-points")


def saturation(name):
    """The target is met too early."""
    schedule = published.liu_budget("cosine", 0.4, cifar10=True)
    measured = bisect(lambda x: schedule(x, 1.0) - 0.4 * (1 - 1e-13), 0, 0.9, xtol=1e-12)
    return checks.equal(name, "", measured=measured, expected=np.arccos(-1 / 3) / np.pi, atol=1e-7, sample="")


@control("liu2020-fig7", "budget-saturation")
def the_same_for_the_figure():
    return saturation("budget-saturation")


@control(ALG, "mean-shares")
def the_mean_with_another_overshoot():
    schedule = published.liu_budget("cosine", 0.4, cifar10=True)
    measured = quad(lambda x: schedule(x, 1.0), 0, 1, points=[0.5])[0] / 0.4
    expected = published.mean_share("cosine")
    return checks.equal("mean-shares", "", measured=measured, expected=expected, atol=1e-8, sample="", role="method")


@control(ALG, "no-training-overhead")
def a_training_for_each_member():
    """Two members from two trainings instead of one."""
    digits = data.load("digits").take(60)
    own = {"w": 1, "epochs": 4, "rate": 1e-2, "pgd_steps": 2, "batch": 30}
    twice = periodic.short_periodic(digits, 0.1, [0, 1], budget="cosine", **own)
    (once,) = periodic.short_periodic(digits, 0.1, [0], budget="constant", ends=(1.0,), **own)
    measured = sum(periodic.training_passes(run)["forwards"] for run in twice)
    bound = periodic.training_passes(once)["forwards"]
    return checks.at_most("no-training-overhead", "", measured=measured, bound=bound, sample="")


@control(ALG, "beyond-the-warm-up")
def held():
    schedule = CosineBudget(0.4, 0.6)
    cases = [schedule(x, 1.0) == 0.4 for x in np.linspace(1, 2, 101)[1:]]
    return checks.every("beyond-the-warm-up", "", cases=cases, sample="", role="observed")


@control(ALG, "prediction-overhead")
def an_ensemble_of_one():
    model = CountingModel(nn.Linear(3, 2))
    SnapshotEnsemble([model])(torch.zeros(5, 3))
    return checks.at_most("prediction-overhead", "", measured=model.forwards, bound=5, sample="", role="observed")


@control(ALG, "ensemble-loss")
def against_the_best_member():
    """Jensen's inequality speaks of the mean loss, not of the smallest."""
    logits = torch.randn(3, 50, 4, generator=settings.generator(0), dtype=torch.float64)
    p = logits.softmax(-1)[..., 0]
    return checks.at_most(
        "ensemble-loss", "", measured=-p.mean(0).log(), bound=(-p.log()).min(0).values, sample="", role="observed"
    )


@control(ALG, "ensemble-average")
def equal_members():
    """Members that are all alike: the ensemble is each of them."""
    x, y = torch.rand(60, 3, generator=settings.generator(0)), torch.arange(60) % 2
    differences = []
    for seed in range(3):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = nn.Linear(3, 2)
        ensemble = SnapshotEnsemble([model, model])
        table = periodic.snapshot_errors(ensemble, x, y, PGD(eps=0.1, steps=3), seed=seed).robust_error
        differences.append(table[:2].mean() - table.iloc[2])
    return checks.positive("ensemble-average", "", differences=differences, sample="", role="observed")


@control(ALG, "ensemble-last", "ensemble-one-period")
def a_guessing_model_beside_a_perfect_one(name):
    """If what the ensemble is compared with guesses, and its other member is sure and right, the ensemble wins."""
    x, y = torch.rand(60, 2, generator=settings.generator(0)), torch.arange(60) % 2
    x[:, 0] = 0.1 + 0.8 * y
    differences = []
    for seed in range(3):
        good, guess = nn.Linear(2, 2), nn.Linear(2, 2)
        with torch.no_grad():
            good.weight.copy_(torch.tensor([[-50.0, 0], [50, 0]]))
            good.bias.copy_(torch.tensor([25.0, -25]))
            guess.weight.copy_(torch.randn(2, 2, generator=settings.generator(seed)) / 10)
            guess.bias.zero_()
        table = periodic.snapshot_errors(SnapshotEnsemble([good, guess]), x, y, PGD(eps=0.1, steps=3)).robust_error
        differences.append(table[1] - table[2])
    return checks.positive(name, "", differences=differences, sample="", role="observed")


@control(ALG, "attack-audit")
def an_attack_that_hardly_moves():
    digits = data.load("digits").take(64, seed=0)
    model = registry.build("lenet", in_shape=digits.shape, classes=10, seed=0, w=1).eval()
    y = model(digits.x).argmax(1)
    weak = PGD(eps=0.2, steps=1, step_size=1e-5, random_start=False, loss=margin)
    found = audit(model, digits.x, y, weak, generator=settings.generator(0), allowed=0.02)
    return checks.every("attack-audit", "", cases=list(found.passed.values()), sample="", role="observed")


DAYS = np.arange(200)


def rates(name, expected, measured):
    return checks.equal(name, "", measured=measured, expected=expected, atol=1e-12, sample="")


@control("liu2020-fig6", "vanilla-rates", "periodic-rates")
def an_early_decay(name):
    """The decay begins and ends a tenth of the time too soon."""
    early, right = Decay(1e-3, 1e-4, between=(0.4, 0.65)), periodic.liu_rate("vgg")
    return rates(name, [right(d, 200) for d in DAYS], [early(d, 200) for d in DAYS])


@control("liu2020-fig6", "rates-start-again")
def no_resets():
    schedule, base = periodic.liu_rate("resnet18"), SETUP["learning_rate"]["ResNet18"]
    return rates("rates-start-again", base, [schedule(d, 200) for d in SETUP["milestone_epochs"]])


@control("liu2020-fig6", "rates-same-shape")
def drops_that_do_not_scale():
    """Drops 50 and 75 epochs after each reset; periods of 50 epochs never see the first."""
    plain = Drops(0.1, at=(0.5, 0.75))
    fractions = [0, 0.6, 0.8]
    measured = [plain(f * 50, 100) for f in fractions]
    return rates("rates-same-shape", [plain(f * 200, 200) for f in fractions], measured)


@control("liu2020-fig7", "budget-curves")
def another_overshoot():
    schedule = LinearBudget(0.4, 0.6)
    expected = [0.4 * min(1.0, 2 * d / 100) for d in range(100)]
    return rates("budget-curves", expected, [schedule(d, 100) for d in range(100)])


@control("liu2020-fig7", "budget-periods")
def one_long_period():
    schedule, right = published.liu_budget("linear", 8 / 255, cifar10=True), periodic.periodic_budget("linear", 8 / 255)
    return rates("budget-periods", [right(d, 200) for d in DAYS], [schedule(d, 200) for d in DAYS])


@control(TAB, "lenet-fits")
def no_padding():
    row = table2.lenet_row(TABLE["LeNet"], 16, padding=0)
    return checks.every("lenet-fits", "", cases=[table2.fits(row, side=28, channels=1)], sample="")


@control(TAB, "resnet-standard")
def half_the_width():
    with torch.device("meta"):
        ours = registry.build("resnet18", in_shape=(3, 32, 32), classes=10, seed=0, w=8)
        standard = torchvision.models.resnet18(num_classes=10)
    cases = [a == b for a, b in zip(table2.layers(ours), table2.layers(standard), strict=True)]
    return checks.every("resnet-standard", "", cases=cases, sample="")


@control(TAB, "vgg-as-printed")
def an_image_of_64():
    """On 64 x 64 pixels the printed row fits."""
    found = table2.follow(table2.vgg_row(TABLE["VGG"], 8), side=64, channels=3)
    return checks.every("vgg-as-printed", "", cases=found.fits.tolist(), sample="")


@control(TAB, "vgg-mended")
def both_changes_at_once():
    """Without the fifth max-pooling and without the average pooling, 2 x 2 pixels are left."""
    row = table2.vgg_row(TABLE["VGG"], 8, max_poolings=4, average=None)
    return checks.every("vgg-mended", "", cases=[table2.fits(row, **CIFAR)], sample="", role="corrected")


@control(TAB, "lenet-without-pooling")
def an_image_of_7():
    found = table2.follow(table2.lenet_row(TABLE["LeNet"], 16, poolings=()), side=7, channels=1)
    return checks.every("lenet-without-pooling", "", cases=found.fits.tolist(), sample="", role="observed")


@control(TAB, "kernel-left-open")
def odd_kernels_only():
    grid = itertools.product(range(1, 8), range(4))
    cases = [
        table2.fits(table2.lenet_row(TABLE["LeNet"], 1, kernel=k, padding=p), side=28, channels=1) == (k == 2 * p + 1)
        for k, p in grid
    ]
    return checks.every("kernel-left-open", "", cases=cases, sample="", role="observed")


def count(name, w):
    return registry.parameter_count(name, in_shape=(3, 32, 32), classes=10, w=w)


@control(PAR, "polynomials")
def batch_norm_forgotten():
    row = table2.vgg_row(TABLE["VGG"], 8, average=1, batch_norm=False)
    measured = table2.follow(row, **CIFAR).parameters.sum()
    return checks.equal(
        "polynomials", "", measured=measured, expected=count("vgg", 8), atol=0.5, sample="", role="method"
    )


@control(PAR, "fewer-parameters")
def the_standard_width():
    return checks.every("fewer-parameters", "", cases=[count("resnet18", 16) < count("vgg", 8)], sample="")


@control(PAR, "standard-resnet")
def the_width_of_the_experiments():
    cases = [count("resnet18", 8) < count("vgg", 8)]
    return checks.every("standard-resnet", "", cases=cases, sample="", role="observed")


@control(PAR, "lower-errors")
def clean_error_against_robust_error():
    """The networks exchanged."""
    published_errors = claims.claim("liu2020-tab1").published
    vgg, resnet = (published_errors[f"CIFAR10_{k}"]["periodic"]["linear"] for k in ("VGG", "ResNet18"))
    return checks.every("lower-errors", "", cases=[resnet[k] > vgg[k] for k in (0, 2)], sample="")


@control(PAR, "every-width")
def half_the_width_of_vgg():
    """ResNet18 against VGG of half its width."""
    w = sp.Symbol("w")
    polynomials = [
        [int(c) for c in sp.Poly(sp.interpolate([(k, count(name, k)) for k in ks], w).subs(w, inner), w).all_coeffs()]
        for name, ks, inner in (("vgg", (2, 4, 6), w), ("resnet18", (2, 4, 6), 2 * w))
    ]
    real = z3.Real("w")
    vgg, resnet = (a * real * real + b * real + c for a, b, c in polynomials)
    return checks.implies("every-width", "", assumptions=[real >= 1], conclusion=resnet < vgg, role="observed")
