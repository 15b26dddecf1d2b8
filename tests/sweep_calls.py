"""Functions for the tests of sweeps, in a module that other processes can import. They note each call in a file."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch

from advsmooth import settings, sweep


def note(log, what):
    with Path(log).open("a") as file:
        file.write(f"{what}\n")


def noted(log):
    return Path(log).read_text().split() if Path(log).exists() else []


def draws(k, log=None, wait=0.0):
    """Numbers that would betray a generator that another call had used."""
    time.sleep(wait)
    if log:
        note(log, k)
    own = torch.rand(1, generator=settings.generator(k)).item()
    common = {"torch": torch.rand(1), "numpy": np.float32(np.random.rand()), "random": random.random()}  # noqa: NPY002
    return {"own": own, **common, "threads": torch.get_num_threads()}


def with_data(k, images, log):
    note(log, k)
    return {"sum": k * images.x.double().sum().item()}


def with_tensor(images):
    return {"shape": str(tuple(images.shape)), "dtype": str(images.dtype), "sum": images.sum()}


def several(k):
    return [{"k": k, "part": part} for part in range(k)]


def odd(k, log):
    note(log, k)
    if k % 2:
        raise ValueError(f"{k} is\nodd")
    return {"half": k // 2}


def echo(value, where):
    return {"value": ECHOED[where], "given": value}


ECHOED = []


def bad_result(kind):
    return {"text": "a text", "object": {"x": object()}, "big": {"x": torch.zeros(2)}}[kind]


def dies(k, log, times):
    """Ends its own process, as often as asked."""
    note(log, k)
    if k == 1 and noted(log).count("1") <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": k * k}


def stays(k, log, hold):
    """Says which process it is in, and waits there for as long as a file is there: for ``k`` of 4 and more."""
    note(log, k)
    if k >= 4:
        (Path(log).parent / f"pid-{k}").write_text(str(os.getpid()))
        while Path(hold).exists():
            time.sleep(0.05)
    return draws(k)


def within(k):
    """A sweep within a call of a sweep."""
    return {"alone": {os.getpid()} == set(sweep.spread(process, [{"k": k}] * 3, jobs=2))}


def process(k):
    return os.getpid()


class Counted:
    """Something shared that notes whenever it is sent."""

    def __init__(self, log):
        self.log = log

    def __getstate__(self):
        note(self.log, "sent")
        return self.__dict__


def of_shared(k, thing):
    return k, type(thing).__name__
