"""AutoAttack against exact distances of linear models and against pyautoattack called directly."""

import logging
import sys

import pyautoattack
import pytest
import torch
from pyautoattack.fab_pt import FABAttack_PT
from torch import nn

from advsmooth import settings
from advsmooth.attacks import ball, losses
from advsmooth.attacks.autoattack import COMPONENTS, STANDARD, AutoAttack, AutoAttackWarning

G = settings.generator


def broken(attack, model, x, y, seed=0):
    found = attack(model, x, y, generator=G(seed))
    assert ball.contains(found, x, attack.eps, attack.norm).all()
    hit = losses.succeeded(model(found), y)
    rest = ~hit & ~losses.succeeded(model(x), y)
    assert torch.equal(found[rest], x[rest]), "what is not broken comes back unchanged"
    return hit


@pytest.mark.parametrize("norm", ball.NORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_linear_model_is_broken_exactly_where_it_can_be(linear, norm, dtype):
    """With several classes, where plain ascent of one loss misses a few: the targeted components find them."""
    model, x, y = linear(n=40, d=25, dtype=dtype)
    distance = model.distance(x, y, norm)
    eps = distance.median().item()
    clear = (distance - eps).abs() > 0.02 * eps
    hit = broken(AutoAttack(eps=eps, norm=norm, components=("apgd-t", "fab-t"), steps=50), model, x, y)
    assert torch.equal(hit[clear], (distance < eps)[clear])
    assert not (hit & (distance > eps * (1 + 1e-5))).any()


@pytest.fixture
def four_digits(trained, digits):
    """The trained network on the digits 0 to 3: few targets, so a short run."""

    class First(nn.Module):
        def forward(self, z):
            return trained(z)[:, :4]

    chosen = digits[1] < 4
    return First().eval(), digits[0][chosen], digits[1][chosen]


@pytest.mark.parametrize("norm", ball.NORMS)
def test_the_whole_is_pyautoattacks_standard_version(trained, four_digits, norm):
    model, x, y = four_digits
    eps = 0.12 if norm == "linf" else 0.5
    ours = AutoAttack(eps=eps, norm=norm, queries=50)(model, x, y, generator=G(3))
    seed = int(torch.randint(2**31, (), generator=G(3)))
    reference = pyautoattack.AutoAttack(model, norm={"linf": "Linf", "l2": "L2"}[norm], eps=eps, seed=seed)
    assert reference.attacks_to_run == list(STANDARD)
    reference.square.n_queries = 50
    reference.apgd_targeted.n_target_classes = reference.fab.n_target_classes = 3
    state, trace = torch.random.get_rng_state(), sys.gettrace()
    trained.requires_grad_(False)
    expected, _ = reference.run_standard_evaluation(x, y, batch_size=len(x))
    trained.requires_grad_(True)
    torch.random.set_rng_state(state)
    sys.settrace(trace)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
    assert 0.2 < losses.succeeded(model(ours), y).double().mean() < 1


def test_ten_classes_have_nine_targets(trained, digits):
    assembled = AutoAttack(eps=0.1)._assembled(trained, 10, digits[0], seed=0)
    reference = pyautoattack.AutoAttack(trained, eps=0.1)
    for part in ("apgd", "apgd_targeted", "fab", "square"):
        ours, theirs = (
            {k: v for k, v in vars(getattr(a, part)).items() if isinstance(v, int | float | str | tuple)}
            | {"seed": 0, "device": None}
            for a in (assembled, reference)
        )
        assert ours == theirs, part
    assert assembled.fab.n_target_classes == 9


def test_each_component_alone_breaks_no_more_than_all_in_turn(trained, digits):
    x, y = digits
    whole = broken(AutoAttack(eps=0.12, steps=20, queries=200), trained, x, y)
    alone = {
        name: broken(AutoAttack(eps=0.12, components=(name,), steps=20, queries=200), trained, x, y)
        for name in COMPONENTS
    }
    assert (whole | ~alone["apgd-ce"]).all(), "the first component sees the same batch in both"
    for name in STANDARD:
        assert alone[name].sum() <= whole.sum() + 1, name  # the others see another batch, hence other noise
        assert alone[name].sum() > losses.succeeded(trained(x), y).sum(), f"{name} breaks something"


def test_the_order_of_components_is_kept(trained, digits):
    x, y = digits[0][:20], digits[1][:20]
    runs = [AutoAttack(eps=0.12, components=c, steps=5, queries=20) for c in (("square", "fab"), ("fab", "square"))]
    first, second = (run(trained, x, y, generator=G(0)) for run in runs)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (2, ("apgd-ce", "fab-t", "square")),
        (3, ("apgd-ce", "apgd-dlr", "fab-t", "square")),
        (4, STANDARD),
    ],
)
def test_few_classes_leave_out_what_is_not_defined_for_them(linear, classes, names):
    model, x, y = linear(n=10, d=25, classes=classes, dtype=torch.float32)
    attack = AutoAttack(eps=0.1, steps=10, queries=20)
    assert attack._permitted(classes, x.reshape(-1, 1, 5, 5)) == names
    broken(attack, model, x, y)


def test_components_that_are_asked_for_and_not_defined_are_refused(linear, digits, trained):
    model, x, y = linear(classes=3, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"'apgd-t'.*at least 4 classes, the model has 3"):
        AutoAttack(eps=0.1, components=("apgd-t",))(model, x, y, generator=G(0))
    with pytest.raises(ValueError, match=r"'square' with l2.*5x5"):
        AutoAttack(eps=0.1, norm="l2", components=("square",))(model, x, y, generator=G(0))


def test_inputs_that_are_no_images_are_attacked_too(linear):
    model, x, y = linear(n=10, dtype=torch.float32)
    flat = AutoAttack(eps=0.1, steps=10, queries=50)(model, x, y, generator=G(0))
    assert flat.shape == x.shape
    odd = AutoAttack(eps=0.1, steps=10, queries=50)(model, x.reshape(10, 3, 4), y, generator=G(0))
    assert torch.equal(odd.reshape(10, 12), flat)


def test_a_single_example_and_none(trained, digits):
    x, y = digits
    right = (trained(x).argmax(1) == y).nonzero()[:1, 0]
    attack = AutoAttack(eps=0.3, steps=20, queries=20)
    assert broken(attack, trained, x[right], y[right]).shape == (1,)
    assert attack(trained, x[:0], y[:0], generator=G(0)).shape == (0, 1, 8, 8)
    assert torch.equal(attack.at(0.0)(trained, x, y, generator=G(0)), x)


def test_it_is_quiet_and_deterministic(trained, digits, capfd, caplog):
    x, y = digits[0][:10], digits[1][:10]
    attack = AutoAttack(eps=0.1, steps=10, queries=20)
    with caplog.at_level(logging.DEBUG):
        first, again = (attack(trained, x, y, generator=G(0)) for _ in range(2))
    assert torch.equal(first, again)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert logging.getLogger("auto-attack").propagate


def test_what_autoattack_finds_suspicious_becomes_a_warning(trained, digits):
    x, y = digits[0][:10], digits[1][:10]

    class Rounded(nn.Module):
        def forward(self, z):
            return trained(z.round())

    with pytest.warns(AutoAttackWarning, match="zero gradient"):
        AutoAttack(eps=0.1, components=("apgd-dlr",), steps=3)(Rounded(), x, y, generator=G(0))
    softmax = nn.Sequential(trained, nn.Softmax(1))
    with pytest.warns(AutoAttackWarning, match="probability distribution"):
        AutoAttack(eps=0.1, components=("apgd-ce",), steps=3)(softmax, x, y, generator=G(0))


def test_tracing_goes_on(trained, digits):
    """AutoAttack switches ``sys.settrace`` off, and a debugger or a coverage measurement with it."""
    before = sys.gettrace()

    def tracer(frame, event, argument):
        return None

    sys.settrace(tracer)
    try:
        AutoAttack(eps=0.1, components=("apgd-ce",), steps=2)(trained, digits[0][:4], digits[1][:4], generator=G(0))
        kept = sys.gettrace()
    finally:
        sys.settrace(before)
    assert kept is tracer


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_model_and_the_global_random_state_are_left_as_found(unchanged, digits, component):
    attack = AutoAttack(eps=0.1, components=(component,), steps=3, queries=10)
    unchanged(lambda model: attack(model, *digits, generator=G(0)))


def test_fab_called_directly_would_leave_gradients_behind(trained, digits):
    FABAttack_PT(trained, eps=0.1, n_iter=2, device="cpu").perturb(*digits)
    assert trained[0].weight.grad is not None
    trained.zero_grad(set_to_none=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eps": 8}, r"eps=8.*8/255"),
        ({"eps": 0.1, "norm": "Linf"}, r"norm='Linf'"),
        ({"eps": 0.1, "components": ("apgd",)}, r"components=\('apgd',\).*apgd-ce"),
        ({"eps": 0.1, "components": ()}, r"components=\(\)"),
        ({"eps": 0.1, "steps": 0}, r"steps=0"),
        ({"eps": 0.1, "queries": 0}, r"queries=0"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AutoAttack(**arguments)


def test_calls_that_are_not_allowed_are_refused(trained, digits):
    with pytest.raises(ValueError, match="normalise inside the model"):
        AutoAttack(eps=0.1)(trained, 255 * digits[0], digits[1], generator=G(0))
    with pytest.raises(ValueError, match="generator=None"):
        AutoAttack(eps=0.1)(trained, *digits)
