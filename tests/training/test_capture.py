"""Graph capture: refused without a GPU; its bookkeeping on a stand-in; the real thing where there is one."""

from __future__ import annotations

import contextlib

import pytest
import torch
from training.small import images, norm_net, same, snapshot

from advsmooth import settings
from advsmooth.training.capture import Captured


def one_pass(model, generator):
    def run(x, y):
        moved = x + 0.01 * torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        logits = model(moved)
        loss = torch.nn.functional.cross_entropy(logits, y)
        loss.backward()
        return loss.detach(), (logits.argmax(1) == y).sum()

    return run


def test_without_a_gpu_it_is_refused_in_one_line():
    with pytest.raises(ValueError, match="capture=True: the model is on cpu; CUDA graphs need a CUDA GPU"):
        Captured(norm_net(), settings.generator(0))


class Stream:
    def wait_stream(self, other):
        pass


class StandInGraph:
    """Runs what was recorded again on replay; recording itself, like a real capture, must leave no trace."""

    recorded = None

    def register_generator_state(self, generator):
        self.generator = generator

    def replay(self):
        for p in self.model.parameters():
            p.grad = None  # a graph writes gradients instead of adding to them
        for output, value in zip(self.outputs, self.recorded(), strict=True):
            output.copy_(value)


@pytest.fixture
def stand_in(monkeypatch):
    graphs = []

    @contextlib.contextmanager
    def graph(made):
        graphs.append(made)
        yield

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", StandInGraph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    return graphs


def test_a_recording_is_made_once_a_key_and_leaves_no_trace(stand_in):
    model, twin = norm_net(), norm_net()
    g, h = settings.generator(0), settings.generator(0)
    captured = Captured.__new__(Captured)
    captured.model, captured.generator, captured.key, captured.possible = model, g, None, True
    inner, calls = one_pass(model, g), []

    def recorded(x, y):
        calls.append(len(x))
        if len(calls) % 4 == 0 and stand_in:  # the recording, after three passes to warm up: run only on replay
            state, before = g.get_state(), snapshot(model)
            out = inner(x, y)
            g.set_state(state)
            model.load_state_dict(before)
            stand_in[-1].model, stand_in[-1].outputs = model, out
            stand_in[-1].recorded = lambda: inner(captured.x, captured.y)
            return out
        return inner(x, y)

    for seed, key in ((0, "a"), (1, "a"), (2, "b")):
        x, y = images(seed=seed)
        loss, right = captured.run(key, recorded, x, y)
        twin.zero_grad()
        wanted, count = one_pass(twin, h)(x, y)
        assert (loss, right) == (wanted, count)
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad)
    assert same(snapshot(model), snapshot(twin))
    assert torch.equal(g.get_state(), h.get_state())
    assert len(stand_in) == 2


def test_a_pass_that_cannot_be_recorded_is_run_as_it_is_after_one_line(stand_in, monkeypatch, capsys):
    @contextlib.contextmanager
    def graph(_):
        yield
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    monkeypatch.setattr(torch.cuda, "graph", graph)
    model, twin = norm_net(), norm_net()
    g, h = settings.generator(0), settings.generator(0)
    captured = Captured.__new__(Captured)
    captured.model, captured.generator, captured.key, captured.possible = model, g, None, True
    recording = []

    def on_a_gpu(x, y):
        """While a graph is recorded nothing runs, so the statistics stay."""
        before = snapshot(model)
        out = one_pass(model, g)(x, y)
        recording.append(len(recording) == Captured.WARM_UP)
        if recording[-1]:
            model.load_state_dict(before)
        return out

    for seed in range(2):
        x, y = images(seed=seed)
        twin.zero_grad()
        assert captured.run("a", on_a_gpu, x, y) == one_pass(twin, h)(x, y)
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad)
    assert same(snapshot(model), snapshot(twin))
    assert torch.equal(g.get_state(), h.get_state())
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "graph capture: this pass cannot be recorded (operation not permitted when stream is capturing); "
        "training without it"
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu_a_replay_is_the_pass():
    model, twin = norm_net(dtype=torch.float32).cuda(), norm_net(dtype=torch.float32).cuda()
    g, h = (torch.Generator("cuda").manual_seed(0) for _ in range(2))
    captured = Captured(model, g)
    for seed in range(3):
        x, y = (t.cuda() for t in images(seed=seed, dtype=torch.float32))
        loss, _ = captured.run("a", one_pass(model, g), x, y)
        twin.zero_grad()
        torch.testing.assert_close(loss, one_pass(twin, h)(x, y)[0])
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-5, rtol=1e-4)
