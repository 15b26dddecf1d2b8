"""Minimal-norm attacks against exact distances of linear models, against Foolbox itself, and where it goes wrong."""

import foolbox
import pytest
import torch
from torch import nn

from advsmooth import settings
from advsmooth.attacks import ball, losses
from advsmooth.attacks.evasive import EvasiveCW
from advsmooth.attacks.minimal import Boundary, CarliniWagner, DeepFool

G = settings.generator
QUICK = CarliniWagner(steps=100, step_size=0.1)


def found_distance(attack, model, x, y, norm="l2"):
    found = attack(model, x, y, generator=G(0))
    assert losses.succeeded(model(found), y, targeted=attack.targeted).all()
    assert ((found >= attack.box[0]) & (found <= attack.box[1])).all()
    return ball.norms(found - x, norm)


@pytest.mark.parametrize(
    ("attack", "norm", "within"),
    [
        (CarliniWagner(steps=200, step_size=0.02), "l2", 1.01),
        (DeepFool(), "l2", 1.022),  # an overshoot of 0.02, and 1e-4 of Foolbox's own
        (DeepFool(norm="linf"), "linf", 1.03),
        (Boundary(steps=3000), "l2", 1.05),
        (EvasiveCW(penalty=0, steps=200), "l2", 1.01),
    ],
    ids=["cw", "deepfool", "deepfool-linf", "boundary", "evasive"],
)
def test_the_distance_to_a_linear_boundary_is_found(linear, attack, norm, within):
    """Four classes, inputs inside the box: never less than the exact distance, and mostly close to it (a local search
    may follow the boundary of the wrong class).
    """
    model, x, y = linear(n=15, dtype=torch.float32, spread=0.3)
    exact = model.distance(x, y, norm)
    ratio = found_distance(attack, model, x, y, norm) / exact
    assert ratio.min() > 1 - 1e-4
    assert ratio.median() < within


@pytest.fixture
def at_the_walls():
    """Inputs of zeros and ones only, and a linear model whose boundary lies a little inward from all of them."""
    d = 16
    x = (torch.rand(10, d, generator=G(0)) < 0.5).float()
    inward = 1 - 2 * x  # the direction in which each pixel can move

    class Walls(nn.Module):
        def forward(self, z):
            gain = ((z - 0.5).abs() * -2 + 1).mean(1)  # 0 at every corner of the box, growing inward
            return torch.stack([0.1 - gain, gain - 0.1], 1)

    y = torch.zeros(10, dtype=torch.int64)
    exact = (x + 0.05 * inward - x).norm(dim=1)  # all pixels move by 0.05: gain 0.1
    return Walls(), x, y, exact


@pytest.mark.parametrize(
    ("attack", "within"),
    [(QUICK, 1.02), (CarliniWagner(search_steps=5), 1.02), (EvasiveCW(penalty=0), 1.02), (Boundary(steps=2000), 1.6)],
    ids=["cw-quick", "cw", "evasive", "boundary"],
)
def test_pixels_at_exactly_0_or_1_move(at_the_walls, attack, within):
    model, x, y, exact = at_the_walls
    ratio = found_distance(attack, model, x, y) / exact
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < within


def test_too_few_short_steps_under_tanh_would_leave_them_there(at_the_walls):
    """What the settings of :class:`CarliniWagner` are there to avoid; and what is not found comes back unchanged."""
    model, x, y, _ = at_the_walls
    assert torch.equal(CarliniWagner(steps=100, step_size=0.01)(model, x, y), x)


def test_giving_up_is_not_success_even_if_a_black_image_is_misclassified(digits, trained):
    """Foolbox returns a black image where it finds nothing."""
    x, y = digits
    black = trained(torch.zeros(1, 1, 8, 8)).argmax()
    rows = ((trained(x).argmax(1) == y) & (y != black)).nonzero()[:5, 0]
    x, y = x[rows], y[rows]
    hopeless = CarliniWagner(steps=2, step_size=1e-3, search_steps=1)
    theirs = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=1, steps=2, stepsize=1e-3)
    returned = theirs.run(
        foolbox.PyTorchModel(trained, bounds=(0, 1), device="cpu"), x, foolbox.criteria.Misclassification(y)
    )
    assert (returned == 0).all(), "Foolbox has changed; the guard may go"
    assert losses.succeeded(trained(returned), y).all(), "these would count as broken"
    assert torch.equal(hopeless(trained, x, y), x)


def test_at_least_as_strong_as_foolbox_called_directly(trained, digits):
    x, y = digits[0][:12], digits[1][:12]
    x, y = x[trained(x).argmax(1) == y], y[trained(x).argmax(1) == y]
    wrapped, criterion = (
        foolbox.PyTorchModel(trained, bounds=(0, 1), device="cpu"),
        foolbox.criteria.Misclassification(y),
    )
    reference = foolbox.attacks.L2CarliniWagnerAttack(steps=200, stepsize=0.05, binary_search_steps=5)
    theirs = ball.norms(reference.run(wrapped, x, criterion) - x, "l2")
    ours = found_distance(CarliniWagner(steps=200, step_size=0.05, search_steps=5), trained, x, y)
    assert ours.median() < 1.02 * theirs.median()
    assert ours.median() < found_distance(DeepFool(), trained, x, y).median()
    assert found_distance(EvasiveCW(penalty=0), trained, x, y).median() < 1.02 * theirs.median()
    torch.manual_seed(0)
    walk = foolbox.attacks.BoundaryAttack(steps=500)
    theirs = ball.norms(walk.run(wrapped, x, criterion) - x, "l2")
    assert found_distance(Boundary(steps=500), trained, x, y).median() < theirs.median()


def test_a_targeted_attack_goes_to_its_target(trained, digits):
    x = digits[0][:8]
    target = (trained(x).argmax(1) + 3) % 10
    attack = CarliniWagner(steps=100, step_size=0.1, targeted=True)
    assert (trained(attack(trained, x, target)).argmax(1) == target).all()
    pool, classes = digits[0], trained(digits[0]).argmax(1)
    x, target = pool[:20], classes[:20].roll(1)  # each target is another image's class, so there is a start
    found = Boundary(steps=50, targeted=True)(trained, x, target, generator=G(0))
    assert (trained(found).argmax(1) == target).all()


@pytest.mark.parametrize("attack", [QUICK, DeepFool(), Boundary(steps=20)], ids=["cw", "deepfool", "boundary"])
def test_what_is_misclassified_as_it_stands_is_at_distance_0(trained, digits, attack):
    x, y = digits[0][:6], digits[1][:6]
    wrong = (trained(x).argmax(1) + 1) % 10
    assert torch.equal(attack(trained, x, wrong, generator=G(0)), x)
    assert attack(trained, x[:0], y[:0], generator=G(0)).shape == (0, 1, 8, 8)


def test_boundary_without_any_point_of_another_class_gives_the_inputs_back():
    """Foolbox itself refuses the whole batch."""
    constant = nn.Linear(4, 2)
    with torch.no_grad():
        constant.weight.zero_()
        constant.bias.copy_(torch.tensor([1.0, 0.0]))
    x, y = torch.rand(3, 4, generator=G(0)), torch.zeros(3, dtype=torch.int64)
    assert torch.equal(Boundary(steps=5)(constant, x, y, generator=G(0)), x)
    wrapped = foolbox.PyTorchModel(constant.eval(), bounds=(0, 1), device="cpu")
    with pytest.raises(ValueError, match="init_attack failed"), pytest.warns(UserWarning, match="failed to draw"):
        foolbox.attacks.BoundaryAttack(steps=5).run(wrapped, x, foolbox.criteria.Misclassification(y))


def test_boundary_follows_its_generator_and_needs_one(trained, digits):
    x, y = digits[0][:6], digits[1][:6]
    attack = Boundary(steps=300)
    first, again, other = (attack(trained, x, y, generator=G(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(ValueError, match="generator=None"):
        attack(trained, x, y)


@pytest.mark.parametrize(
    "attack",
    [CarliniWagner(steps=3, search_steps=2), DeepFool(steps=3), DeepFool(steps=3, norm="linf"), Boundary(steps=10)],
    ids=["cw", "deepfool", "deepfool-linf", "boundary"],
)
def test_the_model_and_the_global_random_state_are_left_as_found(unchanged, digits, attack):
    x, y = digits[0][:6], digits[1][:6]
    unchanged(lambda model: attack(model, x, y, generator=G(0)))
    with torch.no_grad():
        unchanged(lambda model: attack(model, x, y, generator=G(0)))


def test_double_precision_stays(linear):
    model, x, y = linear(n=4)
    for attack in (QUICK, DeepFool(), Boundary(steps=100)):
        assert attack(model, x, y, generator=G(0)).dtype == torch.float64


def test_what_is_not_allowed_is_refused(trained, digits):
    with pytest.raises(ValueError, match="no targeted form"):
        DeepFool(targeted=True)
    with pytest.raises(ValueError, match="norm='l1'"):
        DeepFool(norm="l1")
    with pytest.raises(ValueError, match="normalise inside the model"):
        CarliniWagner()(trained, 2 * digits[0], digits[1])
