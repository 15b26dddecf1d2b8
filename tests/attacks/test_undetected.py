"""The attack on network and detector against closed forms, finite differences, and the detector itself."""

import math

import pytest
import torch

from advsmooth.analysis.input_gradient import jacobian_norms
from advsmooth.attacks import ball, losses
from advsmooth.attacks.evasive import EvasiveCW
from advsmooth.attacks.undetected import Guarded, UndetectedCW, log_jacobian_norm


def test_the_score_of_a_linear_model_in_closed_form(linear):
    """Row ``k`` of the Jacobian is ``p_k (w_k - sum_j p_j w_j)``."""
    model, x, _ = linear()
    p = model(x).softmax(1)
    rows = p[:, :, None] * (model.weight[None] - (p @ model.weight)[:, None])
    torch.testing.assert_close(log_jacobian_norm(model, x).exp(), rows.norm(dim=2).amax(1))


def test_it_is_the_detectors_score(trained, digits):
    model, (x, _) = trained, digits
    torch.testing.assert_close(log_jacobian_norm(model, x).exp().detach(), jacobian_norms(model, x))


def test_its_own_gradient_by_central_differences(linear):
    model, x, _ = linear(n=3)
    assert torch.autograd.gradcheck(lambda v: log_jacobian_norm(model, v), x.requires_grad_(True))


def test_a_norm_that_underflows_has_a_finite_logarithm_and_gradient():
    x = torch.tensor([[400.0, 0.0]], requires_grad=True)
    found = log_jacobian_norm(lambda v: v, x)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert found.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("weight", [0.3, 1.0, 4.0])
def test_the_guarded_margin_is_positive_exactly_where_both_are_fooled(linear, weight):
    model, x, y = linear(n=200, spread=0.5)
    y[::2] = (y[::2] + 1) % 4  # half of them wrong
    with torch.no_grad():
        m = losses.margin(model(x), y)
    score = jacobian_norms(model, x)
    c = score.median().item()
    joint = losses.margin(Guarded(model, y, c, weight)(x), y).detach()
    fooled = (m > 0) & (score < c)
    assert 0 < fooled.sum() < len(x)
    assert torch.equal(joint > 0, fooled)
    torch.testing.assert_close(joint[fooled], torch.minimum(m, weight * (c / score).log())[fooled])
    lacking = m.clamp(max=0) + weight * (c / score).log().clamp(max=0)
    torch.testing.assert_close(joint[~fooled], lacking[~fooled])


def test_the_other_logits_stay(linear):
    model, x, y = linear()
    changed = Guarded(model, y, 0.1, 1.0)(x) != model(x)
    rest = changed.scatter(1, y[:, None], False)
    assert not rest.any()


class TwoClasses(torch.nn.Module):
    """``z = (0, w x)`` on the line: probability ``s(w x)`` and score ``w s (1 - s)``, both in closed form."""

    w = 8.0

    def forward(self, x):
        return torch.stack([torch.zeros_like(x[:, 0]), self.w * x[:, 0]], 1)


def test_it_stops_where_the_score_reaches_the_threshold():
    """From ``x < 0`` the boundary is 0; the score falls to ``c`` at the ``x > 0`` that solves a quadratic in ``s``."""
    model, x, y = TwoClasses().double(), torch.full((1, 1), -0.3).double(), torch.zeros(1, dtype=torch.int64)
    c = 1.0  # below the largest score, w / 4
    s = (1 + math.sqrt(1 - 4 * c / model.w)) / 2
    expected = math.log(s / (1 - s)) / model.w
    found = UndetectedCW(c=c, steps=400, search_steps=9, box=(-1, 1))(model, x, y).item()
    assert expected < found < expected + 0.01
    plain = EvasiveCW(penalty=0, steps=400, box=(-1, 1))(model, x, y).item()
    assert 0 < plain < 0.01


def test_a_threshold_that_nothing_reaches_is_no_hindrance():
    model, x, y = TwoClasses().double(), torch.full((1, 1), -0.3).double(), torch.zeros(1, dtype=torch.int64)
    found = UndetectedCW(c=model.w, steps=400, search_steps=9, box=(-1, 1))(model, x, y).item()
    assert 0 < found < 0.01


def test_what_it_finds_is_wrong_and_undetected_and_the_rest_unchanged(trained, digits):
    model, (x, y) = trained, digits
    x, y = x[:30], y[:30]
    c = jacobian_norms(model, x).quantile(0.9).item()
    found = UndetectedCW(c=c, steps=30, search_steps=3)(model, x, y)
    moved = ball.norms(found - x, "l2") > 0
    assert moved.any()
    with torch.no_grad():
        assert (model(found[moved]).argmax(1) != y[moved]).all()
    assert (jacobian_norms(model, found[moved]) < c * (1 + 1e-4)).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_it_leaves_the_model_as_it_was(unchanged, digits):
    x, y = digits
    unchanged(lambda model: UndetectedCW(c=1.0, steps=2, search_steps=1)(model, x[:3], y[:3]))


@pytest.mark.parametrize("bad", [{"c": 0.0}, {"c": math.nan}, {"c": 1.0, "weight": 0.0}, {"c": math.inf}])
def test_bad_values_are_refused(bad):
    with pytest.raises(ValueError, match="allowed is a positive number"):
        UndetectedCW(**bad)
