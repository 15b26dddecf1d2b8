"""Make the environment of this checkout: a virtual environment with exactly what requirements.lock names.

Runs with nothing but Python's standard library, and on older versions of it far enough to say that they
are too old. Does nothing when the environment is already the one the lock describes.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_GB = 9


def complaint(version: tuple[int, ...], free_gb: float, folder: Path) -> str:
    """Why the environment cannot be made here, in one line; empty if it can."""
    if not OLDEST <= version[:2] <= NEWEST:
        return (
            f"Python {version[0]}.{version[1]} found, 3.11 to 3.13 needed: "
            "install one, or name it with `make PYTHON=/path/to/python3.11`"
        )
    if free_gb < NEEDED_GB:
        return (
            f"{free_gb:.1f} GB free at {folder}, {NEEDED_GB} GB needed (PyTorch alone takes 5): "
            "free some space or set VENV=/other/disk/venv"
        )
    return ""


def fingerprint(lock: bytes, version: tuple[int, ...]) -> str:
    """What the environment is made from; kept in it, so that a changed lock is noticed."""
    return hashlib.sha256(lock + repr(tuple(version)).encode()).hexdigest()


def packages(lock: bytes) -> int:
    """How many packages the lock names, for every platform together."""
    return len(re.findall(rb"^[A-Za-z0-9_.-]+(\[.*\])?==", lock, flags=re.MULTILINE))


def install(python: Path, total: int) -> tuple[int, str]:
    """Install the lock with pip, showing one progress line; returns pip's exit status and its last words."""
    command = [str(python), "-m", "pip", "install", "--progress-bar", "off", "--disable-pip-version-check"]
    command += ["--require-hashes", "-r", str(LOCK)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    tail: list[str] = []
    seen, width = 0, 60
    for line in process.stdout or ():
        tail = [*tail[-20:], line.rstrip()]
        if line.startswith("Collecting "):
            seen += 1
            if sys.stdout.isatty():
                print(f"\r[{seen}/{total}] {line.split()[1][:40]}".ljust(width), end="", flush=True)
            elif seen % 25 == 0:
                print(f"[{seen}/{total} packages]", flush=True)
        elif line.startswith("Installing collected"):
            print("\runpacking ...".ljust(width) if sys.stdout.isatty() else "unpacking ...", flush=True)
    return process.wait(), "\n".join(tail)


def main(target: Path) -> int:
    """Make or keep the environment at `target`; the exit status."""
    lock = LOCK.read_bytes()
    stamp = target / "advsmooth-environment"
    version = sys.version_info[:3]
    wanted = fingerprint(lock, version)
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    trouble = complaint(version, shutil.disk_usage(str(target.parent)).free / 1e9, target.parent)
    if trouble:
        print("cannot make the environment: " + trouble, file=sys.stderr)
        return 2
    total = packages(lock)
    print(
        f"making the environment in {target.name}: up to {total} packages, 6 GB, two to five minutes, once", flush=True
    )
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(target)], check=True)
    python = target / "bin" / "python"
    status, words = install(python, total)
    if status:
        print(words + "\ncannot install the locked packages; the lines above say why", file=sys.stderr)
        return status
    editable = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*editable, "--no-build-isolation", "-e", str(ROOT)], check=True, stderr=subprocess.DEVNULL)
    stamp.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".venv").absolute()))
