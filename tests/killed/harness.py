"""A program that is killed (SIGKILL) at random moments and called again until a call ends, and readers meanwhile.

The program is a Python file with a function ``main(*arguments)`` of texts. Its imports are done once: each call is a fork
of a process that has done nothing else, so that a kill costs milliseconds and hundreds can be tried.

    python harness.py --seed 0 --within 0.5 [--group] [--kills 100] program.py first second

prints how many calls were killed, and the seconds of the last one, which ended. A call is killed at a moment drawn
uniformly from the first ``within`` seconds, alone or with all its children, unless it has ended; after ``kills`` of them
it is left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SOAK = int(os.environ.get("ADVSMOOTH_SOAK", "1"))
"""How many times as many rounds; ``make soak`` sets it."""


def killed_until_it_ends(
    program: Path,
    *arguments: object,
    seed: int,
    within: float,
    group: bool = False,
    kills: int = 1000,
    **environment: str,
) -> int:
    """Call a program and kill it, again and again, until a call ends; how many were killed.

    Args:
        program: a Python file with ``main(*arguments)``.
        arguments: given to it as texts.
        seed: of the moments.
        within: seconds; a call is killed in this time or, with ``kills`` used up, not at all.
        group: whether its children are killed with it, as when a machine goes down; else only the process itself.
        kills: at most.
        environment: further variables.
    """
    options = ["--seed", seed, "--within", within, "--kills", kills, *(["--group"] if group else [])]
    return _run([*options, program, *arguments], environment)["killed"]


def called_once(program: Path, *arguments: object, **environment: str) -> float:
    """The same without a kill; the seconds it took, to choose moments by."""
    return _run(["--seed", 0, "--within", 1, "--kills", 0, program, *arguments], environment)["seconds"]


def _run(arguments: Sequence[object], environment: dict[str, str]) -> dict:
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def read_all_the_time(look: Callable[[], None]) -> Iterator[list[str]]:
    """Call ``look`` in a thread all the time; yields a list of what it raised, empty if all it saw was whole."""
    troubles: list[str] = []
    over = threading.Event()

    def reader() -> None:
        while not over.is_set():
            try:
                look()
            except Exception as error:
                troubles.append(f"{type(error).__name__}: {error}")
            time.sleep(0.001)

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        yield troubles
    finally:
        over.set()
        thread.join()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--within", type=float, required=True)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--group", action="store_true")
    parser.add_argument("arguments", nargs="*")
    chosen = parser.parse_args(arguments)
    program = load(chosen.program)
    moments = random.Random(chosen.seed)
    killed = 0
    while True:
        pause = moments.uniform(0, chosen.within) if killed < chosen.kills else None
        start = time.perf_counter()
        status = one_call(lambda: program.main(*chosen.arguments), pause, chosen.group)
        if status == 0:
            print(json.dumps({"killed": killed, "seconds": time.perf_counter() - start}))
            return 0
        if status != -signal.SIGKILL:
            print(f"a call after {killed} kills ended with {status}", file=sys.stderr)
            return 1
        killed += 1


def load(path: Path):
    """The program as a module; importing it must start nothing."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def one_call(call: Callable[[], object], pause: float | None, group: bool) -> int:
    """Fork, call, and kill after ``pause`` seconds; the exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        try:
            call()
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(70)
    start = time.perf_counter()
    while pause is None or time.perf_counter() - start < pause:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005 if pause is not None else 0.01)
    # Not waited for yet, so the number is still this process's own.
    if group:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
