"""The audit passes what can be attacked, and notices each way of hiding the gradient (its negative controls)."""

import pytest
import torch
from torch import nn

from advsmooth import settings
from advsmooth.attacks.audit import TESTS, audit, stronger_attacks
from advsmooth.attacks.autoattack import AutoAttack
from advsmooth.attacks.gradient import PGD, fgsm

G = settings.generator


class Before(nn.Module):
    """A model behind a layer that changes its input."""

    def __init__(self, model, change):
        super().__init__()
        self.model, self.change = model, change

    def forward(self, x):
        return self.model(self.change(x))


class After(nn.Module):
    """A model whose logits are changed."""

    def __init__(self, model, change):
        super().__init__()
        self.model, self.change = model, change

    def forward(self, x):
        return self.change(self.model(x))


def symptoms(model, digits, attack=None, **more):
    attack = attack or PGD(eps=0.1, steps=10, restarts=3)
    found = audit(model, *digits, attack, generator=G(0), allowed=0.05, **more)
    assert tuple(found.passed) == TESTS
    assert found.all_passed == all(found.passed.values())
    return found, {name for name, passed in found.passed.items() if not passed}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_ordinary_network_passes(trained, digits, norm):
    attack = PGD(eps=0.1 if norm == "linf" else 0.4, steps=20, norm=norm, restarts=3)
    found, failed = symptoms(trained, digits, attack)
    assert failed == set()
    table = found.table.set_index(["test", "setting", "measure"]).value
    assert [s for t, s, m in table.index if t == "steps" and m == "loss"] == ["1", "5", "20", "40", "80"]
    assert table["steps", "20", "loss"] > table["steps", "1", "loss"]
    assert table["large_budget"].item() == 0
    restarts = found.table.query("test == 'restarts' and measure == 'accuracy'").value
    assert restarts.is_monotonic_decreasing
    assert len(restarts) == 6
    assert found.table.query("test == 'restarts' and measure == 'loss'").value.is_monotonic_increasing


def test_rounding_the_input_is_noticed(trained, digits):
    """The gradient is zero: PGD finds nothing, which is the attack's failure."""
    _, failed = symptoms(Before(trained, lambda x: (8 * x).round() / 8), digits)
    assert failed >= {"gradients", "large_budget", "stronger"}


def test_saturated_logits_are_noticed(trained, digits):
    """The softmax of large logits is exactly 1 in float32, and the gradient of its logarithm exactly 0."""
    _, failed = symptoms(After(trained, lambda logits: 200 * logits), digits)
    assert failed >= {"gradients", "stronger"}


def test_a_shattered_gradient_is_noticed(trained, digits):
    """A ripple of the input makes the gradient point anywhere, though it is never zero."""

    def ripple(x):
        return x + 0.02 * torch.sin(2000 * x)

    _, failed = symptoms(Before(trained, ripple), digits)
    assert "gradients" not in failed
    assert failed & {"steps", "restarts", "stronger"}


def test_too_few_steps_are_noticed(trained, digits):
    _, failed = symptoms(trained, digits, PGD(eps=0.2, steps=2, step_size=0.02, random_start=False))
    assert failed >= {"steps", "stronger"}


def test_too_few_random_starts_are_noticed(trained, digits):
    _, failed = symptoms(trained, digits, PGD(eps=0.25, steps=0))
    assert failed >= {"steps", "restarts", "stronger"}


def test_a_gradient_that_is_not_a_number_is_noticed(trained, digits):
    def nan_gradient(x):
        return x + 0 * (x - x).sqrt()  # the root of 0 has slope infinity, and 0 times infinity is no number

    model = Before(trained, nan_gradient)
    _, failed = symptoms(model, digits)
    assert failed >= {"gradients", "large_budget", "stronger"}
    with pytest.raises(ValueError, match="left the ball"):  # no sign to fall back on
        symptoms(model, digits, PGD(eps=0.1, norm="l2"))


def test_the_stronger_attack_can_be_given(trained, digits):
    _, failed = symptoms(trained, digits, fgsm(0.1), stronger=PGD(eps=0.1, steps=20))
    assert "stronger" in failed
    _, failed = symptoms(trained, digits, fgsm(0.1), stronger=[fgsm(0.1)])
    assert "stronger" not in failed


def test_without_images_there_is_no_square_attack():
    attack = PGD(eps=0.1)
    assert [type(a) for a in stronger_attacks(attack, torch.zeros(2, 7))] == [PGD]
    assert [type(a) for a in stronger_attacks(attack, torch.zeros(2, 1, 8, 8))] == [PGD, AutoAttack]
    assert [type(a) for a in stronger_attacks(PGD(eps=0.1, box=(-1, 1)), torch.zeros(2, 1, 8, 8))] == [PGD]


def test_the_same_generator_gives_the_same_audit_and_nothing_is_left_behind(unchanged, digits):
    x, y = digits[0][:16], digits[1][:16]
    tables = []

    def action(model):
        tables.append(audit(model, x, y, PGD(eps=0.1, steps=2), generator=G(3), batch_size=16).table)

    unchanged(action)
    unchanged(action)
    assert tables[0].equals(tables[1])


def test_what_is_not_allowed_is_refused(trained, digits):
    with pytest.raises(ValueError, match=r"allowed=1\.5"):
        audit(trained, *digits, PGD(eps=0.1), generator=G(0), allowed=1.5)
    with pytest.raises(ValueError, match="targeted"):
        audit(trained, *digits, PGD(eps=0.1, targeted=True), generator=G(0))
