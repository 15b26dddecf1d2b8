"""A training pass recorded as a CUDA graph and replayed: one launch instead of thousands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Pass = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Inputs and labels to two numbers on the device; leaves gradients in the parameters."""


class Captured:
    """Records a pass when it is new and replays it while it stays the same.

    What a graph replays is fixed: shapes, budget, perturbation size. Parameters, running statistics, gradients and the
    generator are read and written in place. A pass that waits for the device (``.item()``, a condition on a tensor)
    cannot be recorded: one line says so, and it is run as it is from then on.

    Args:
        model: whose parameters and buffers the pass uses.
        generator: the one on the device that the pass draws from.

    Raises:
        ValueError: if the model is not on a CUDA device.
    """

    WARM_UP = 3
    """Passes before the recording, as torch asks for; they leave no trace."""

    def __init__(self, model: nn.Module, generator: torch.Generator) -> None:
        device = next(model.parameters()).device
        if device.type != "cuda":
            raise ValueError(f"capture=True: the model is on {device}; CUDA graphs need a CUDA GPU, use capture=False")
        self.model, self.generator = model, generator
        self.key: Any = None
        self.possible = True

    def run(self, key: Any, one_pass: Pass, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What ``one_pass(x, y)`` returns and leaves, from a recording made under the same ``key`` if there is one."""
        if self.possible and key != self.key:
            self.possible = self._recorded(one_pass, x, y)
            self.key = key
        if not self.possible:
            self.model.zero_grad()
            return one_pass(x, y)
        self.x.copy_(x)
        self.y.copy_(y)
        self.graph.replay()
        return self.outputs[0].clone(), self.outputs[1].clone()

    def _recorded(self, one_pass: Pass, x: Tensor, y: Tensor) -> bool:
        """Record the pass; false, with a line, if it cannot be, and then nothing has changed."""
        state = self.generator.get_state()
        try:
            self._record(one_pass, x, y)
        except RuntimeError as error:
            self.generator.set_state(state)
            print(f"graph capture: this pass cannot be recorded ({str(error).splitlines()[0]}); training without it")
            return False
        return True

    def _record(self, one_pass: Pass, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x.clone(), y.clone()
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        state = self.generator.get_state()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(self.WARM_UP):
                self.model.zero_grad()
                one_pass(self.x, self.y)
        torch.cuda.current_stream().wait_stream(side)
        self.generator.set_state(state)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        self.model.zero_grad()  # the recording then writes each gradient instead of adding to it
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.generator)
        with torch.cuda.graph(self.graph):
            self.outputs = one_pass(self.x, self.y)
