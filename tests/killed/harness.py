"""A program that is killed (SIGKILL) at random moments and called again until a call ends, and readers meanwhile.

The program is a Python file with a function ``main(*arguments)`` of texts. It is imported once, by a process that does
nothing else than to fork: each call is a fresh process and costs milliseconds, so that hundreds of kills can be tried::

    with started(Path("program.py")) as program:
        seconds = program.called_once("alone")
        kills = program.killed_until_it_ends("folder", seed=0, within=seconds / 4)
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

SOAK = int(os.environ.get("ADVSMOOTH_SOAK", "1"))
"""How many times as many rounds; ``make soak`` sets it."""


class Program:
    """A program that can be called and killed; see :func:`started`."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def called_once(self, *arguments: object) -> float:
        """Call it and let it end; the seconds it took, to choose moments by."""
        return self._ask("called_once", arguments)

    def killed_until_it_ends(
        self, *arguments: object, seed: int, within: float, kills: int = 100, group: bool = False
    ) -> int:
        """Call it and kill it, again and again, until a call ends; how many were killed.

        Args:
            arguments: given to it as texts.
            seed: of the moments.
            within: a call is killed at a moment drawn uniformly from its first so many seconds, unless it has ended.
            kills: at most; the call after them is left alone.
            group: whether its children are killed with it, as when a machine goes down; else only the process itself.
        """
        return self._ask("killed_until_it_ends", arguments, seed=seed, within=within, kills=kills, group=group)

    def killed_before_every_change(self, *arguments: object, folder: Path) -> int:
        """Kill calls before their first, second, ... change of a file or folder, each time from the same start.

        After each, ``after_kill(*arguments)`` of the program looks at what is there; then it is called again, and
        ``after_end(*arguments)`` looks. How many changes there were.
        """
        return self._ask("killed_before_every_change", arguments, folder=str(folder))

    def _ask(self, what: str, arguments: tuple, **options: object) -> float:
        self._process.stdin.write(json.dumps([what, list(map(str, arguments)), options]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"{what} of {arguments}: {self._process.communicate()[1][-4000:]}"
        return json.loads(answer)


@contextlib.contextmanager
def started(path: Path, **environment: str) -> Iterator[Program]:
    """A program, imported and ready to be called."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(path)], text=True, env=os.environ | environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        process.communicate()


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


def wait_until_gone(pids: Sequence[int]) -> None:
    """Wait for processes that should end; SIGKILL for those that do not, and a failure."""
    until = time.monotonic() + 60
    while alive := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > until:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"{len(alive)} of {len(pids)} processes went on without the one that started them")
        time.sleep(0.2)


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs; a zombie has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return not Path("/proc").exists()


# --- in the process that forks -------------------------------------------------------------------------------------


def called_once(program, arguments: list[str]) -> float:
    start = time.perf_counter()
    assert ended(partial(program.main, *arguments))
    return time.perf_counter() - start


def killed_until_it_ends(
    program, arguments: list[str], *, seed: int, within: float, kills: int, group: bool
) -> int:  # fmt: skip
    moments = random.Random(seed)
    killed = 0
    while not ended(partial(program.main, *arguments), moments.uniform(0, within) if killed < kills else None, group):
        killed += 1
    return killed


def killed_before_every_change(program, arguments: list[str], *, folder: str) -> int:
    start = Path(f"{folder}.start")
    shutil.copytree(folder, start, symlinks=True)

    def call(moment: int) -> None:
        die_before_change(folder, moment)
        program.main(*arguments)

    moment = 1
    while not ended(partial(call, moment)):
        assert ended(partial(program.after_kill, *arguments))
        assert ended(partial(program.main, *arguments))
        assert ended(partial(program.after_end, *arguments))
        shutil.rmtree(folder)
        shutil.copytree(start, folder, symlinks=True)
        moment += 1
    return moment - 1


CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.truncate"}


def die_before_change(folder: str, moment: int) -> None:
    """Let this process be killed just before its ``moment``-th change of what lies under a folder."""
    count = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        writes = event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if writes and any(str(argument).startswith(folder) for argument in arguments):
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def ended(call: Callable[[], object], pause: float | None = None, group: bool = False) -> bool:
    """Fork, call, and kill after ``pause`` seconds; whether the call ended before, and well."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.dup2(2, 1)  # what it says is not an answer
        try:
            call()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(70)
    start = time.perf_counter()
    gone = 0
    while not gone and (pause is None or time.perf_counter() - start < pause):
        gone, status = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.0005)
    if not gone:  # not waited for yet, so the number is still its own
        if group:
            with contextlib.suppress(ProcessLookupError):  # killed before it had a group
                os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"a call ended with {code}")
    return code == 0


def main(path: Path) -> None:
    """Import the program and do what is asked, a line each; importing it must start nothing."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    program = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = program
    spec.loader.exec_module(program)
    for line in sys.stdin:
        what, arguments, options = json.loads(line)
        print(json.dumps(globals()[what](program, arguments, **options)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
