"""Checkpoints: one safetensors file with numbers as tensors and everything else as JSON in its header.

A file appears whole or not at all (:mod:`advsmooth.atomic`), so a run killed while it writes finds the checkpoint
before. There are no pickles: reading a checkpoint runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from advsmooth.atomic import write_atomically
from advsmooth.refusals import Refusal, one_line

FORMAT = "advsmooth training 1"
"""Written into every file; another one is refused."""


class CheckpointError(Refusal):
    """A checkpoint was refused; the message is one line."""


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors (of any device) and plain data, atomically, so that it survives a crash of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Clones: safetensors refuses tensors that share memory, as tied weights do.
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    write_atomically(path, to_bytes(plain, metadata={"format": FORMAT, "about": json.dumps(about)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write` wrote; tensors on the CPU.

    Raises:
        CheckpointError: if the file is truncated, corrupt, or not a checkpoint of this library.
    """
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"checkpoint {path.name}: truncated or corrupt ({one_line(error, 200)}); delete it and train again"
        ) from None
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint {path.name}: not a checkpoint of {FORMAT!r}; give another path or delete it")
    try:
        about = json.loads(metadata.get("about", ""))
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise CheckpointError(f"checkpoint {path.name}: corrupt (its header is not JSON); delete it and train again")
    return tensors, about


def difference(ours: Any, theirs: Any, name: str = "") -> str | None:
    """Where two structures of plain data first differ, in words; ``None`` if they agree."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            found = difference(ours.get(key, "absent"), theirs.get(key, "absent"), f"{name}.{key}" if name else key)
            if found:
                return found
        return None
    return None if ours == theirs else f"{name} is {theirs!r} there and {ours!r} here"


def nest(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under ``prefix/name``."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def unnest(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under ``prefix/``, by the rest of their names."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def optimiser_state(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of an optimiser as tensors named ``parameter/quantity`` and as plain data."""
    state = optimiser.state_dict()
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for parameter, quantities in state["state"].items():
        for quantity, value in quantities.items():
            target: dict[str, Any] = tensors if isinstance(value, Tensor) else plain
            target[f"{parameter}/{quantity}"] = value
    return tensors, {"plain": plain, "groups": state["param_groups"]}


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Undo :func:`optimiser_state`."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **about["plain"]}.items():
        parameter, _, quantity = name.partition("/")
        state.setdefault(int(parameter), {})[quantity] = value
    optimiser.load_state_dict({"state": state, "param_groups": about["groups"]})
