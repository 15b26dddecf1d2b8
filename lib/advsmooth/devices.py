"""Where a run computes: the device that a scale wants, what the machine offers, and what the user says.

``gpu`` and ``paper`` scales want a CUDA GPU. A machine without one refuses them, because their presets would take weeks
there; ``ADVSMOOTH_DEVICE=cpu`` says that one wants them all the same (to try a preset with smaller numbers, say), and
``ADVSMOOTH_DEVICE=cuda`` puts the smaller scales on the GPU.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from advsmooth.refusals import Refusal

VARIABLE = "ADVSMOOTH_DEVICE"
"""The environment variable by which a user overrules the scale."""

ON_GPU = ("gpu", "paper")
"""The scales that want a GPU."""


class DeviceError(Refusal):
    """A device was refused; the message is one line."""


@dataclass(frozen=True)
class Device:
    """A device and what it can do beyond float32 in eager mode.

    Attributes:
        kind: ``cpu`` or ``cuda``, as torch says.
        channels_last: whether this memory layout of images pays.
        bf16: whether it computes in bfloat16.
        capture: whether it can record and replay graphs.
        line: one line for the user where this is not what the scale wants; else empty.
    """

    kind: str
    channels_last: bool = False
    bf16: bool = False
    capture: bool = False
    line: str = ""

    def options(self) -> list[str]:
        """What it can do, by name; what a record keeps."""
        return [name for name in ("channels_last", "bf16", "capture") if getattr(self, name)]


def choose(scale: str, environment: Mapping[str, str] = os.environ) -> Device:
    """The device of a scale.

    Raises:
        DeviceError: if a GPU is wanted and none is visible, or the variable has another value than cpu or cuda.
    """
    wanted = "cuda" if scale in ON_GPU else "cpu"
    said = environment.get(VARIABLE, "")
    if said not in ("", "cpu", "cuda"):
        raise DeviceError(f"{VARIABLE}={said!r}: allowed is cpu or cuda; or leave it unset and the scale decides")
    if (said or wanted) == "cuda":
        if not torch.cuda.is_available():
            source = f"{VARIABLE}={said}" if said else f"scale={scale!r}"
            raise DeviceError(
                f"{source}: needs a CUDA GPU and none is visible; use scale=quick or scale=cpu, "
                f"or set {VARIABLE}=cpu to run its presets on the CPU"
            )
        return of_kind("cuda")
    line = f"scale={scale} on the CPU, as {VARIABLE}=cpu says: float32, no graph capture, and much slower"
    return Device("cpu", line=line if wanted == "cuda" else "")


def of_kind(kind: str) -> Device:
    """What a device of this kind can do here."""
    if kind != "cuda":
        return Device(kind)
    # Below compute capability 8.0 bfloat16 is emulated: it is there, and slower than float32.
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    line = "" if bf16 else "this GPU does not compute in bfloat16: float32 instead"
    return Device("cuda", channels_last=True, bf16=bf16, capture=True, line=line)
