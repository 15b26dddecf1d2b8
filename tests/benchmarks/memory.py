"""Peak extra memory, each in a process of its own (``python memory.py separation 60000``), on the CPU.

Bounds in MiB at MNIST's size. For the search it is the one its documentation states; those of the other two were set
before they were measured.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import measure
import subjects
import torch
from measure import Row, Sizes

from advsmooth import settings
from advsmooth.analysis.curvature import model_hessian
from advsmooth.analysis.lipschitz import separation
from advsmooth.attacks.evaluation import robust_error
from advsmooth.attacks.gradient import PGD
from advsmooth.data import from_arrays
from advsmooth.models import registry


def rows(device: str, sizes: Sizes) -> list[Row]:
    """One run each: memory hardly varies, and the search takes long."""
    found = []
    for name, (_, what, bound, note) in TASKS.items():
        n = sizes.evaluated if name == "evaluation" else sizes.images
        read = fresh_process(name, n)
        found.append(
            measure.compare(
                "memory", f"{what}, {n:,} images of 28x28 (MiB)", "stated bound", [read["peak_extra_mib"]], [bound],
                at_most=1, note=f"{note}; on the CPU, {read['wall_s']:.0f} s",
            )
        )  # fmt: skip
    return found


def fresh_process(name: str, n: int) -> dict[str, float]:
    """Seconds and peak extra memory of a task."""
    command = [sys.executable, __file__, name, str(n), str(torch.get_num_threads())]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {(done.stderr.splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout)


def measured(name: str, n: int) -> dict[str, float]:
    """Seconds, and peak memory above what the process and the data held before, in MiB; never too small."""
    task = TASKS[name][0]
    task(64)()  # loads the code that is loaded at first use
    run = task(n)
    gc.collect()
    started, before = time.perf_counter(), _status("VmRSS")
    run()
    return {"wall_s": time.perf_counter() - started, "peak_extra_mib": _status("VmHWM") - before}


def _status(field: str) -> float:
    # Not getrusage, as in records.Stopwatch: that peak is inherited from the process that started this one.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) / 2**10


def _separation(n: int) -> Callable[[], object]:
    x, y = subjects.noise(n, "cpu")
    dataset = from_arrays("noise", "train", x, y, [str(k) for k in range(10)], "drawn")
    return lambda: separation(dataset)


def _hessian(n: int) -> Callable[[], object]:
    x, y = subjects.noise(n, "cpu")
    model = subjects.lenet((1, 28, 28), 2, "cpu")
    vector = torch.ones(registry.describe(model).parameters)
    return lambda: model_hessian(model, x, y) @ vector


def _evaluation(n: int) -> Callable[[], object]:
    x, _ = subjects.noise(n, "cpu")
    model = subjects.lenet((1, 28, 28), 16, "cpu")
    with torch.no_grad():
        y = torch.cat([model(part).argmax(1) for part in x.split(256)])  # all are right, so all are attacked
    attack = PGD(eps=1e-4, steps=2, restarts=2)
    return lambda: robust_error(model, x, y, attack, generator=settings.generator(0))


TASKS: dict[str, tuple[Callable[[int], Callable[[], object]], str, float, str]] = {
    "separation": (_separation, "smallest distance between classes", 512, "as documented: a copy, blocks of 4096^2"),
    "hessian": (_hessian, "product with the Hessian, LeNet(2)", 384, "batches of 1024, whatever the data"),
    "evaluation": (_evaluation, "robust error, LeNet(16)", 384, "batches of 256 and 3 copies of the data"),
}

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
