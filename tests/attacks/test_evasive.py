"""The evasive Carlini-Wagner attack against a minimum in one dimension, finite differences and plain Carlini-Wagner."""

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import nn

from advsmooth import settings
from advsmooth.attacks import ball, losses
from advsmooth.attacks.evaluation import CountingModel
from advsmooth.attacks.evasive import EvasiveCW, _Search, squared_gradient_norm

G = settings.generator


def gradient_norms(model, x, label):
    """``|grad l|_2`` by a first backward pass."""
    at = x.clone().requires_grad_(True)
    loss = losses.cross_entropy(model(at), label).sum()
    return ball.norms(torch.autograd.grad(loss, at)[0], "l2")


def test_the_penalty_of_a_linear_model_in_closed_form(linear):
    """``grad l = W^T (p - e_y)``, with ``p`` the softmax."""
    model, x, y = linear()
    at = x.requires_grad_(True)
    logits = model(at)
    found = squared_gradient_norm(losses.cross_entropy(logits, y), at)
    p = logits.softmax(1)
    p = p - nn.functional.one_hot(y, 4)
    torch.testing.assert_close(found, (p @ model.weight).square().sum(1))


def test_the_penalty_itself_has_the_right_gradient(linear):
    """By central differences; a penalty without a graph would have none."""
    model, x, y = linear(n=3)

    def penalty(z):
        return squared_gradient_norm(losses.cross_entropy(model(z), y), z)

    assert torch.autograd.gradcheck(penalty, x.requires_grad_(True))


@pytest.fixture
def two_classes():
    """A linear model with two classes, one input, and what the attack minimises as a function of the margin ``m``.

    The best perturbation is along the normal: ``|delta|^2 = ((m + m_0) / |w|)^2`` for a margin ``m`` on the other side
    from ``m_0`` on this one; ``|grad l|^2 = |w|^2 s(-m)^2`` with the label of that side, ``|w|^2 s(m)^2`` with this.
    """
    weight = torch.tensor([[0.0, 0, 0], [3.0, -2, 1]], dtype=torch.float64)
    model = nn.Linear(3, 2).double()
    with torch.no_grad():
        model.weight.copy_(weight)
        model.bias.copy_(torch.tensor([0.0, -1.4]))
    x = torch.tensor([[0.5, 0.5, 0.2]], dtype=torch.float64)
    m_0, w = -(model(x)[0, 1] - model(x)[0, 0]).item(), weight[1].norm().item()

    def objective(m, penalty, sign):
        return ((m + m_0) / w) ** 2 + penalty * w**2 / (1 + np.exp(sign * m)) ** 2

    return model, x, objective


@pytest.mark.parametrize("penalty", [0.0, 0.003, 0.02, 0.1])
@pytest.mark.parametrize("label", ["adversarial", "given"])
def test_it_attains_the_minimum(two_classes, penalty, label):
    """With the adversarial label and a large penalty it goes on into the other class; else crossing is enough."""
    model, x, objective = two_classes
    y = torch.zeros(1, dtype=torch.int64)
    sign = 1 if label == "adversarial" else -1
    best = min(
        optimize.minimize_scalar(lambda m: objective(m, penalty, sign), bounds=(low, low + 1), method="bounded").fun
        for low in range(12)
    )
    best = min(best, objective(0, penalty, sign))
    found = EvasiveCW(penalty=penalty, label=label, steps=300, box=(-2, 3))(model, x, y)
    margin = losses.margin(model(found), y)
    assert margin.item() >= 0
    own = y if label == "given" else 1 - y
    value = (found - x).square().sum() + penalty * gradient_norms(model, found, own).square()
    assert best * (1 - 1e-6) <= value.item() <= best * 1.003
    assert bool(margin > 0.5) == (label == "adversarial" and penalty == 0.1)


def test_a_penalty_buys_a_smaller_gradient_with_distance(trained, digits):
    """The trade of Finlay et al., section 7, and that each result is best by its own measure."""
    x, y = digits[0][:20], digits[1][:20]
    x, y = x[trained(x).argmax(1) == y], y[trained(x).argmax(1) == y]
    square, distance = [], []
    weights = (0.0, 0.003, 0.03)
    for weight in weights:
        found = EvasiveCW(penalty=weight, steps=60, search_steps=6)(trained, x, y)
        label = trained(found).argmax(1)
        assert (label != y).all()
        assert ((found >= 0) & (found <= 1)).all()
        square.append(gradient_norms(trained, found, label).square())
        distance.append((found - x).flatten(1).norm(dim=1))
    assert distance[0].median() < distance[1].median() < distance[2].median()
    assert square[0].median() > square[1].median() > square[2].median()
    assert square[2].median() < 0.3 * square[0].median()
    for i, weight in enumerate(weights):
        value = [(d.square() + weight * s).mean() for d, s in zip(distance, square, strict=True)]
        assert min(value) == value[i]


def test_the_smallest_constant_is_searched_for(two_classes):
    """With one large constant alone, Adam overshoots; without a large one, nothing is found."""
    model, x, _ = two_classes
    y = torch.zeros(1, dtype=torch.int64)
    weak = EvasiveCW(penalty=0, initial_const=1e-4, search_steps=1, box=(-2, 3))
    assert torch.equal(weak(model, x, y), x)
    searched = EvasiveCW(penalty=0, initial_const=1e-4, search_steps=9, box=(-2, 3))
    once = EvasiveCW(penalty=0, initial_const=1e4, search_steps=1, box=(-2, 3))
    near, far = ((attack(model, x, y) - x).norm() for attack in (searched, once))
    exact = losses.margin(model(x), y).abs().item() / model.weight[1].norm().item()
    assert near.item() == pytest.approx(exact, rel=5e-3)
    assert near <= far


def test_the_search_goes_up_tenfold_until_it_has_found_and_then_halves_the_interval():
    search = _Search(torch.zeros(3, 1), 1.0)
    outcomes = [(False, True, False), (True, True, False), (False, True, False), (True, False, False)]
    constants = [search.const.tolist()]
    for outcome in outcomes:
        search.offer(torch.zeros(3, 1), torch.ones(3), torch.tensor(outcome))
        search.next_const()
        constants.append(search.const.tolist())
    assert [c[0] for c in constants] == [1, 10, 5.5, 7.75, 6.625]
    assert [c[1] for c in constants] == [1, 0.5, 0.25, 0.125, 0.1875]
    assert [c[2] for c in constants] == [1, 10, 100, 1000, 10000]


def test_a_confidence_is_a_margin(trained, digits):
    x, y = digits[0][:10], digits[1][:10]
    found = EvasiveCW(penalty=0, confidence=2.0, steps=50, search_steps=6)(trained, x, y)
    moved = (found != x).flatten(1).any(1)
    assert moved.sum() >= 8
    assert (losses.margin(trained(found), y)[moved] >= 2 - 1e-5).all()


def test_a_targeted_attack_goes_to_its_target(trained, digits):
    x = digits[0][:8]
    target = (trained(x).argmax(1) + 3) % 10
    found = EvasiveCW(penalty=0.003, targeted=True, steps=60, search_steps=7)(trained, x, target)
    assert (trained(found).argmax(1) == target).all()


def test_only_what_is_not_detected_counts(trained, digits):
    x, y = digits[0][:12], digits[1][:12]
    x, y = x[trained(x).argmax(1) == y], y[trained(x).argmax(1) == y]
    asked = []

    def detected(points):
        label = trained(points).argmax(1)
        asked.append(losses.succeeded(trained(points), torch.full_like(label, -1)).all())
        return gradient_norms(trained, points, label) > 1.0

    plain = EvasiveCW(penalty=0, steps=60, search_steps=6)(trained, x, y)
    assert detected(plain).double().mean() > 0.5, "the test needs a detector that works"
    attack = EvasiveCW(penalty=0.03, steps=60, search_steps=6, detected=detected)
    found = attack(trained, x, y)
    moved = (found != x).flatten(1).any(1)
    assert moved.double().mean() > 0.5
    assert not detected(found[moved]).any()
    assert losses.succeeded(trained(found[moved]), y[moved]).all()
    wary = EvasiveCW(penalty=0.03, steps=5, search_steps=2, detected=lambda p: torch.ones(len(p), dtype=torch.bool))
    assert torch.equal(wary(trained, x, y), x)


def test_examples_do_not_depend_on_their_batch_and_nothing_is_random(trained, digits):
    model, x, y = trained.double(), digits[0][:4].double(), digits[1][:4]
    attack = EvasiveCW(penalty=0.01, steps=15, search_steps=4)
    whole = attack(model, x, y)
    parts = torch.cat([attack(model, x[i : i + 1], y[i : i + 1]) for i in range(4)])
    model.float()
    torch.testing.assert_close(whole, parts, atol=1e-8, rtol=0)


def test_what_it_costs(trained, digits):
    """One pass each way a step; the penalty adds the gradient of the loss and the way back through both."""
    x, y = digits[0][:5], digits[1][:5]
    for penalty, ways in ((0.0, 1), (0.01, 2)):
        counted = CountingModel(trained)
        EvasiveCW(penalty=penalty, steps=4, search_steps=3)(counted, x, y)
        assert (counted.forwards, counted.backwards) == (5 * 12, 5 * 12 * ways)


def test_the_model_and_the_global_random_state_are_left_as_found(unchanged, digits):
    attack = EvasiveCW(penalty=0.01, steps=3, search_steps=2)
    unchanged(lambda model: attack(model, *digits))
    with torch.no_grad():
        unchanged(lambda model: attack(model, *digits))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"penalty": -1}, "penalty=-1"),
        ({"penalty": float("nan")}, "penalty=nan"),
        ({"penalty": 0, "confidence": -1}, "confidence=-1"),
        ({"penalty": 0, "label": "true"}, "label='true'.*adversarial or given"),
        ({"penalty": 0, "steps": 0}, "steps=0"),
        ({"penalty": 0, "search_steps": 0}, "search_steps=0"),
        ({"penalty": 0, "step_size": 0}, "step_size=0"),
        ({"penalty": 0, "initial_const": float("inf")}, "initial_const=inf"),
        ({"penalty": 0, "box": (1, 0)}, "box="),
    ],
)
def test_settings_that_are_not_allowed_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EvasiveCW(**arguments)
