"""Snapshot ensembles: the mean of the softmax outputs, and attacks through its logarithm."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from training.small import norm_net, points, same, smooth_net, snapshot

from advsmooth import settings
from advsmooth.attacks.gradient import PGD
from advsmooth.training.snapshots import SnapshotEnsemble, from_states


def test_output_is_the_log_of_the_mean_probability():
    members, (x, y) = [smooth_net(seed=s) for s in range(3)], points()
    ensemble = SnapshotEnsemble(members)
    mean = torch.stack([functional.softmax(m(x), 1) for m in members]).mean(0)
    torch.testing.assert_close(ensemble(x), mean.log())
    loss = functional.cross_entropy(ensemble(x), y, reduction="none")
    torch.testing.assert_close(loss, -mean[torch.arange(10), y].log())


def test_attacks_go_through_minus_log_of_the_mean():
    members, (x, y) = [smooth_net(seed=s) for s in range(3)], points()
    ensemble = SnapshotEnsemble(members)
    inputs = x.clone().requires_grad_()
    mean = torch.stack([functional.softmax(m(inputs), 1) for m in members]).mean(0)
    (g,) = torch.autograd.grad(-mean[torch.arange(10), y].log().sum(), inputs)
    attack = PGD(eps=0.05, steps=1, step_size=0.05, random_start=False)
    torch.testing.assert_close(attack(ensemble, x, y), (x + 0.05 * g.sign()).clamp(0, 1))
    harder = PGD(eps=0.2, steps=5)(ensemble, x, y, generator=settings.generator(0))
    assert (functional.cross_entropy(ensemble(harder), y) > functional.cross_entropy(ensemble(x), y)).all()


def test_far_from_each_other_the_members_do_not_overflow():
    members = [smooth_net(seed=s, dtype=torch.float32) for s in range(2)]
    with torch.no_grad():
        for sign, member in zip((1, -1), members, strict=True):
            member[3].weight.mul_(sign * 1e4)
    out = SnapshotEnsemble(members)(points(dtype=torch.float32)[0])
    assert out.isfinite().all()
    torch.testing.assert_close(out.exp().sum(1), torch.ones(10))


def test_states_become_members_and_the_model_stays():
    model, states = norm_net(), [snapshot(norm_net(seed=s)) for s in (1, 2)]
    before = snapshot(model)
    ensemble = from_states(model, states)
    assert same(snapshot(model), before)
    assert all(same(snapshot(m), state) for m, state in zip(ensemble.models, states, strict=True))
    assert len(SnapshotEnsemble([model]).models) == 1
    with pytest.raises(ValueError, match="an ensemble needs at least one model"):
        SnapshotEnsemble([])
