"""PGD and FGSM against closed forms and Foolbox; their cost; what they leave as they found it."""

import eagerpy
import foolbox
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from advsmooth import settings
from advsmooth.attacks import ball, losses
from advsmooth.attacks.evaluation import CountingModel
from advsmooth.attacks.gradient import PGD, fgsm, iterative_fgsm
from advsmooth.theory import linear as closed_form

G = settings.generator
NORM = st.sampled_from(ball.NORMS)


def binary(theta):
    """Two logits with difference ``theta . x``: cross entropy is ``log(1 + exp(-y theta . x))``, label 1 for ``+1``."""
    model = nn.Linear(len(theta), 2, bias=False).to(theta.dtype)
    with torch.no_grad():
        model.weight.copy_(torch.stack([-theta / 2, theta / 2]))
    return model


def rowwise(x, y):
    return [(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]


# --- closed forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ball.NORMS)
@pytest.mark.parametrize("random_start", [False, True])
def test_pgd_finds_the_worst_input_of_a_linear_model(norm, random_start):
    """Kanai et al., lemmas 2 and 3; the random start must not matter once the steps can cross the ball."""
    g = G(1)
    theta = torch.randn(1, 9, generator=g, dtype=torch.float64)
    x = torch.randn(20, 9, generator=g, dtype=torch.float64)
    sign = torch.where(torch.rand(20, generator=g) < 0.5, -1.0, 1.0).double()
    attack = PGD(eps=0.6, steps=60, step_size=0.2, norm=norm, random_start=random_start, box=ball.UNBOUNDED)
    found = attack(binary(theta[0]), x, (sign > 0).long(), generator=g)
    expected = closed_form.adversarial_examples(theta, x, sign, 0.6, norm)[0]
    torch.testing.assert_close(found, expected, atol=1e-12 if norm == "linf" else 1e-6, rtol=0)
    loss = losses.cross_entropy(binary(theta[0])(found), (sign > 0).long())
    torch.testing.assert_close(loss, closed_form.losses(theta, x, sign, 0.6, norm)[0], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("norm", ball.NORMS)
def test_one_step_is_optimal_on_a_linear_model_and_the_linearisation_is_exact(norm, linear):
    """Finlay et al., equations 3.2 to 3.4 and 3.6 with no error term."""
    model, x, y = linear(classes=2)
    eps = 0.05
    found = fgsm(eps, norm=norm, loss=losses.margin)(model, x, y)
    torch.testing.assert_close(ball.norms(found - x, norm), torch.full((len(x),), eps, dtype=x.dtype))
    gain = losses.margin(model(found), y) - losses.margin(model(x), y)
    gradient = (model.weight[1 - y] - model.weight[y]).detach()
    torch.testing.assert_close(gain, eps * ball.dual_norms(gradient, norm))


def test_in_the_box_the_worst_input_is_a_clipped_corner():
    g = G(2)
    theta = torch.randn(16, generator=g, dtype=torch.float64)
    x = torch.rand(10, 16, generator=g, dtype=torch.float64).round(decimals=1)  # several pixels exactly at 0 and 1
    found = PGD(eps=0.3, steps=10, step_size=0.1)(binary(theta), x, torch.ones(10, dtype=torch.int64), generator=g)
    torch.testing.assert_close(found, (x - 0.3 * theta.sign()).clamp(0, 1), atol=1e-12, rtol=0)


@pytest.mark.parametrize("norm", ball.NORMS)
def test_an_example_is_broken_exactly_where_its_margin_allows(norm, linear):
    model, x, y = linear(n=60, classes=2)
    distance = model.distance(x, y, norm)
    eps = distance.median().item()
    safe = (distance - eps).abs() > 1e-3 * eps
    attack = PGD(eps=eps, steps=100, step_size=eps / 10, norm=norm, loss=losses.margin, restarts=3)
    broken = losses.succeeded(model(attack(model, x, y, generator=G(0))), y)
    assert torch.equal(broken[safe], (distance < eps)[safe])
    assert 20 < broken.sum() < 40


@pytest.mark.parametrize("norm", ball.NORMS)
def test_no_example_is_broken_that_cannot_be(norm, linear):
    """With several classes the loss has several peaks, and ascent may take the wrong one: it misses a few."""
    model, x, y = linear(n=200)
    distance = model.distance(x, y, norm)
    eps = distance.median().item()
    found = PGD(eps=eps, steps=40, norm=norm, restarts=5)(model, x, y, generator=G(0))
    broken = losses.succeeded(model(found), y)
    assert not (broken & (distance > eps * (1 + 1e-9))).any()
    assert 0.9 < broken.sum() / (distance < eps).sum() <= 1


def test_a_confident_model_in_single_precision_does_not_stop_an_l2_attack():
    """Gradients of 1e-26 have squares that underflow; Foolbox's guard at 1e-12 leaves the input where it is."""
    theta = 32 * functional.normalize(torch.arange(1.0, 10), dim=0)
    model, x, y = binary(theta), torch.full((1, 9), 0.5) + theta / 60, torch.ones(1, dtype=torch.int64)
    assert model(x).diff().item() > 55
    attack = PGD(eps=0.4, steps=5, norm="l2", random_start=False, box=(-1, 2))
    assert ball.norms(attack(model, x, y) - x, "l2").item() == pytest.approx(0.4, rel=1e-5)
    wrapped = foolbox.PyTorchModel(model, bounds=(-1, 2), device="cpu")
    theirs = foolbox.attacks.L2PGD(steps=5, abs_stepsize=0.2, random_start=False)
    stuck = theirs.run(wrapped, x, foolbox.criteria.Misclassification(y), epsilon=0.4)
    assert ball.norms(stuck - x, "l2").item() < 1e-6


# --- Foolbox ------------------------------------------------------------------------------------------------------


def theirs(model, x, y, *, norm, eps, step, steps, start, targeted=False):
    """Foolbox's PGD from a given start."""
    base = foolbox.attacks.LinfPGD if norm == "linf" else foolbox.attacks.L2PGD

    class FromStart(base):
        def get_random_start(self, x0, epsilon):  # noqa: ARG002
            return eagerpy.astensor(start)

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    kind = foolbox.criteria.TargetedMisclassification if targeted else foolbox.criteria.Misclassification
    return FromStart(abs_stepsize=step, steps=steps).run(wrapped, x, kind(y), epsilon=eps)


def dyadic(shape, generator, dtype):
    """Multiples of 1/256 in [0, 1]: sums of a few of them are exact, so the order of operations cannot matter."""
    return torch.randint(257, shape, generator=generator).to(dtype) / 256


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("targeted", [False, True])
def test_linf_pgd_is_foolbox_bit_for_bit(trained, digits, dtype, targeted):
    model, y = trained.to(dtype), digits[1]
    x = dyadic(digits[0].shape, G(0), dtype)
    start = (x + (dyadic(x.shape, G(1), dtype) - 0.5) / 8).clamp(0, 1)
    settings_ = {"eps": 1 / 16, "steps": 12}
    ours = PGD(step_size=1 / 128, targeted=targeted, **settings_)(model, x, y, start=start)
    expected = theirs(model, x, y, norm="linf", step=1 / 128, start=start, targeted=targeted, **settings_)
    model.float()
    assert torch.equal(ours, expected)
    assert not torch.equal(ours, start)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", ball.NORMS)
def test_any_numbers_give_foolbox_up_to_rounding(trained, digits, norm, targeted):
    """In l2 the two sum the squares in different ways, so even exact inputs differ in the last bit."""
    model, x, y = trained.double(), digits[0].double(), digits[1]
    start = ball.uniform(x, 0.4, norm, G(3))
    ours = PGD(eps=0.4, steps=8, step_size=0.1, norm=norm, targeted=targeted)(model, x, y, start=start)
    expected = theirs(model, x, y, norm=norm, eps=0.4, step=0.1, steps=8, start=start, targeted=targeted)
    model.float()
    torch.testing.assert_close(ours, expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("norm", ball.NORMS)
def test_fgsm_is_foolbox(trained, digits, norm):
    x, y = digits
    kind = foolbox.attacks.LinfFastGradientAttack if norm == "linf" else foolbox.attacks.L2FastGradientAttack
    wrapped = foolbox.PyTorchModel(trained, bounds=(0, 1), device="cpu")
    expected = kind().run(wrapped, x, foolbox.criteria.Misclassification(y), epsilon=0.1)
    torch.testing.assert_close(fgsm(0.1, norm=norm)(trained, x, y), expected, atol=1e-6, rtol=0)


def test_iterated_fgsm_starts_at_the_input_and_needs_no_generator(trained, digits):
    x, y = digits
    attack = iterative_fgsm(0.1, steps=3, step_size=0.02)
    assert torch.equal(attack(trained, x, y), PGD(eps=0.1, steps=3, step_size=0.02)(trained, x, y, start=x))
    assert ball.norms(attack(trained, x, y) - x, "linf").max() <= 0.06 + 1e-6


# --- what it costs ------------------------------------------------------------------------------------------------


def test_k_steps_cost_k_forward_and_k_backward_passes_and_nothing_more(trained, digits):
    x, y = digits
    counted = CountingModel(trained)
    PGD(eps=0.1, steps=7)(counted, x, y, generator=G(0))
    assert (counted.forwards, counted.backwards) == (7 * len(x), 7 * len(x))
    counted = CountingModel(trained)
    PGD(eps=0.1, steps=7, restarts=3)(counted, x, y, generator=G(0))
    assert (counted.forwards, counted.backwards) == (3 * 8 * len(x), 3 * 7 * len(x)), "one more to judge each restart"


def test_inside_no_gradient_of_a_parameter_is_computed(trained, digits):
    """Not merely discarded: the weights do not require one while the attack runs, so nothing is stored for it."""
    seen = []
    handle = trained[0].register_forward_hook(
        lambda module, *_: seen.append((module.weight.requires_grad, module.training))
    )
    PGD(eps=0.1, steps=2)(trained.train(), *digits, generator=G(0))
    handle.remove()
    trained.eval()
    assert seen == [(False, False)] * 2
    assert trained[0].weight.requires_grad


def test_early_stopping_drops_what_is_broken(trained, digits):
    x, y = digits
    attack = PGD(eps=0.15, steps=20, random_start=False)
    plain, counted = CountingModel(trained), CountingModel(trained)
    final = attack(plain, x, y)
    stopped = PGD(eps=0.15, steps=20, random_start=False, early_stop=True)(counted, x, y)
    broken_then, broken_now = (losses.succeeded(trained(p), y) for p in (final, stopped))
    assert (broken_now | ~broken_then).all(), "stopping at success loses none"
    assert 0.2 < broken_now.double().mean() < 1, "the test needs both kinds"
    assert counted.forwards < 0.8 * plain.forwards
    assert counted.backwards < 0.8 * plain.backwards
    rest = ~broken_now
    torch.testing.assert_close(stopped[rest], final[rest], atol=1e-5, rtol=0)
    clean = losses.succeeded(trained(x), y)
    assert torch.equal(stopped[clean], x[clean]), "what is misclassified as it stands is not moved"


def test_early_stopping_ends_when_all_are_broken(trained, digits):
    x, _ = digits
    counted = CountingModel(trained)
    wrong = (trained(x).argmax(1) + 1) % 10
    found = PGD(eps=0.1, steps=50, random_start=False, early_stop=True)(counted, x, wrong)
    assert torch.equal(found, x)
    assert (counted.forwards, counted.backwards) == (len(x), 0)


# --- restarts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early_stop", [False, True])
def test_restarts_never_help_the_defender(trained, digits, early_stop):
    x, y = digits
    loss, broken = [], []
    for restarts in (1, 2, 4):  # the same generator: the first starts are the same
        attack = PGD(eps=0.12, steps=3, step_size=0.02, restarts=restarts, early_stop=early_stop)
        logits = trained(attack(trained, x, y, generator=G(5)))
        loss.append(losses.cross_entropy(logits, y).detach())
        broken.append(losses.succeeded(logits, y))
    for few, many in ((0, 1), (1, 2)):
        assert (broken[many] | ~broken[few]).all()
        same = broken[few] == broken[many]
        assert (loss[many] >= loss[few] - 1e-5)[same].all()
    assert loss[2].mean() > loss[0].mean() + 1e-3, "the test needs restarts that matter"


def test_the_worst_restart_is_chosen_by_success_first_and_then_by_loss(linear):
    """A loss that grows with confidence in the label would choose the points that are not adversarial."""
    model, x, y = linear(n=200)

    def perverse(logits, labels):
        return -losses.cross_entropy(logits, labels)

    eps = model.distance(x, y, "linf").median().item()
    attack = PGD(eps=eps, steps=0, restarts=6, loss=perverse)
    found = attack(model, x, y, generator=G(0))
    g = G(0)
    starts = torch.stack([attack.start(x, g) for _ in range(6)])
    hits = torch.stack([losses.succeeded(model(s), y) for s in starts])
    values = torch.stack([perverse(model(s), y) for s in starts])
    assert 0.05 < hits.any(0).double().mean() < 0.95
    values[(~hits) & hits.any(0)] = -torch.inf
    expected = starts[values.argmax(0), torch.arange(len(x))]
    assert torch.equal(found, expected)


# --- targets, other losses, toy data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"restarts": 2, "early_stop": True}, {"loss": losses.margin}, {"norm": "l2"}])
def test_a_targeted_attack_goes_to_its_target(linear, more):
    model, x, y = linear()
    target = (y + 1) % 4
    eps = 1.5 if "norm" in more else 0.4
    found = PGD(eps=eps, steps=40, targeted=True, **more)(model, x, target, generator=G(0))
    assert (model(found).argmax(1) == target).double().mean() > 0.9
    assert (model(x).argmax(1) == target).double().mean() == 0


def test_soft_labels_and_a_start_of_ones_own_make_the_attack_of_trades(trained, digits):
    """Zhang et al. 2019: ascend ``KL(f(x) || f(x'))`` from 0.001 times Gaussian noise; at x the gradient is 0."""
    x, _ = digits
    clean = trained(x).softmax(1).detach()

    def divergence(logits, p):
        return functional.kl_div(logits.log_softmax(1), p, reduction="none").sum(1)

    attack = PGD(eps=0.1, steps=5, step_size=0.03, loss=divergence)
    start = x + 1e-3 * torch.randn(x.shape, generator=G(0))
    found = attack(trained, x, clean, start=start)
    assert divergence(trained(found), clean).mean() > 10 * divergence(trained(start), clean).mean()
    assert ball.contains(found, x, 0.1, "linf").all()


def test_without_a_box_toy_data_move_freely():
    x = torch.tensor([[-3.0, 7.0]])
    model = binary(torch.tensor([1.0, -2.0]))
    found = PGD(eps=2.0, steps=10, box=ball.UNBOUNDED)(model, x, torch.ones(1, dtype=torch.int64), generator=G(0))
    torch.testing.assert_close(found, torch.tensor([[-5.0, 9.0]]))


def test_at_another_radius_a_given_step_scales_and_the_rule_follows():
    assert PGD(eps=0.1, step_size=0.02).at(0.3).step == pytest.approx(0.06)
    assert PGD(eps=0.1, steps=10).at(0.4).step == pytest.approx(0.1)
    assert PGD(eps=0.0, step_size=0.02).at(0.1).step == pytest.approx(0.025)
    assert PGD(eps=0.1, steps=0).step > 0


# --- invariants ---------------------------------------------------------------------------------------------------


@given(NORM, st.floats(0, 0.5), st.integers(0, 4), st.booleans(), st.booleans(), st.integers(1, 2), st.integers(0, 100))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_results_are_in_the_ball_and_in_the_box(trained, digits, norm, eps, steps, random, early, restarts, seed):
    x, y = digits[0][:6], digits[1][:6]
    attack = PGD(
        eps=eps, steps=steps, norm=norm, random_start=random or restarts > 1, early_stop=early, restarts=restarts
    )
    found = attack(trained, x, y, generator=G(seed))
    assert ball.contains(found, x, eps, norm).all()
    assert (found.shape, found.dtype, found.requires_grad) == (x.shape, x.dtype, False)
    assert torch.equal(found, attack(trained, x, y, generator=G(seed)))


@pytest.mark.parametrize("early_stop", [False, True])
@pytest.mark.parametrize("norm", ball.NORMS)
def test_examples_do_not_depend_on_their_batch(trained, digits, norm, early_stop):
    model, x, y = trained.double(), digits[0][:12].double(), digits[1][:12]
    attack = PGD(eps=0.2, steps=5, norm=norm, early_stop=early_stop)
    start = attack.start(x, G(0))
    whole = attack(model, x, y, start=start)
    parts = [attack(model, xs, ys, start=s) for (xs, ys), s in zip(rowwise(x, y), start.split(1), strict=True)]
    model.float()
    torch.testing.assert_close(whole, torch.cat(parts), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    "attack",
    [
        PGD(eps=0.1, steps=2),
        PGD(eps=0.1, steps=2, norm="l2", restarts=2),
        PGD(eps=0.1, steps=2, early_stop=True),
        fgsm(0.1),
    ],
    ids=["pgd", "restarts", "early", "fgsm"],
)
def test_the_model_and_the_global_random_state_are_left_as_found(unchanged, digits, attack):
    unchanged(lambda model: attack(model, *digits, generator=G(0)))


def test_they_are_left_as_found_when_something_fails(unchanged, digits):
    def broken(logits, y):
        raise RuntimeError("on purpose")

    def action(model):
        with pytest.raises(RuntimeError, match="on purpose"):
            PGD(eps=0.1, loss=broken)(model, *digits, generator=G(0))

    unchanged(action)


def test_it_attacks_the_model_as_it_is_in_eval_mode(trained, digits):
    """With batch statistics the examples of a batch would influence each other, and the attack would miss."""
    expected = PGD(eps=0.1, steps=3)(trained, *digits, start=digits[0])
    trained.train()
    found = PGD(eps=0.1, steps=3)(trained, *digits, start=digits[0])
    trained.eval()
    assert torch.equal(found, expected)


def test_it_works_without_gradients_switched_on_and_leaves_the_inputs_alone(trained, digits):
    x, y = digits[0].clone().requires_grad_(True), digits[1]
    with torch.no_grad():
        found = PGD(eps=0.1, steps=2)(trained, x, y, generator=G(0))
    assert torch.equal(found, PGD(eps=0.1, steps=2)(trained, x, y, generator=G(0)))
    assert x.grad is None
    assert x.requires_grad
    assert torch.equal(x.detach(), digits[0])


def test_a_start_that_is_given_is_not_overwritten(trained, digits):
    start = digits[0].clone()
    PGD(eps=0.1, steps=2)(trained, *digits, start=start)
    assert torch.equal(start, digits[0])


def test_an_empty_batch_comes_back_empty(trained, digits):
    x, y = digits[0][:0], digits[1][:0]
    for attack in (PGD(eps=0.1), PGD(eps=0.1, restarts=2), PGD(eps=0.1, early_stop=True, norm="l2")):
        assert attack(trained, x, y, generator=G(0)).shape == x.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("norm", ball.NORMS)
def test_on_a_gpu_with_starts_drawn_on_the_cpu(trained, digits, norm):
    x, y = digits[0].cuda(), digits[1].cuda()
    attack = PGD(eps=0.1, norm=norm, restarts=2, early_stop=True)
    found = attack(trained.cuda(), x, y, generator=G(0))
    trained.cpu()
    assert found.is_cuda
    assert ball.contains(found, x, 0.1, norm).all()


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eps": 8}, r"eps=8.*8/255"),
        ({"eps": -1}, r"eps=-1"),
        ({"eps": 0.1, "norm": "L2"}, r"norm='L2'"),
        ({"eps": 0.1, "steps": -1}, r"steps=-1"),
        ({"eps": 0.1, "restarts": 0}, r"restarts=0"),
        ({"eps": 0.1, "step_size": -0.1}, r"step_size=-0\.1"),
        ({"eps": 0.1, "restarts": 2, "random_start": False}, r"restarts=2.*would all be the same"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PGD(**arguments)


def test_calls_that_are_not_allowed_are_refused(trained, digits):
    x, y = digits
    with pytest.raises(ValueError, match=r"generator=None"):
        PGD(eps=0.1)(trained, x, y)
    with pytest.raises(ValueError, match=r"normalise inside the model"):
        PGD(eps=0.1)(trained, 255 * x, y, generator=G(0))
    with pytest.raises(ValueError, match=r"start \(3, 1, 8, 8\)"):
        PGD(eps=0.1)(trained, x, y, start=x[:3])
    with pytest.raises(ValueError, match=r"restarts=1"):
        PGD(eps=0.1, restarts=2)(trained, x, y, start=x)
    with pytest.raises(ValueError, match=r"loss of shape \(\).*one value per example, \(64,\)"):
        PGD(eps=0.1, loss=functional.cross_entropy)(trained, x, y, generator=G(0))
