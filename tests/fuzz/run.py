"""Look for input that breaks a parser, guided by coverage: ``python tests/fuzz/run.py [target …] --seconds 60``.

Needs Atheris (Linux on x86-64, the extra ``fuzz``). Seeds and what is found on the way lie in
``_build/fuzz/<target>/corpus``, where the next call goes on from; an input that breaks the parser is written beside it
as ``crash-…``, and the exit status is not 0.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
LIMITS = ("-timeout=20", "-rss_limit_mb=4096", "-max_len=20000", "-print_final_stats=1")


def main(arguments: list[str]) -> int:
    """Run the targets named, or all, one after the other; 1 if one of them broke."""
    try:
        import atheris
    except ImportError:
        print("fuzz: Atheris is not installed; it is for Linux on x86-64: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    # Only what is imported here is instrumented: our readers, and those below them that are Python. Not torch.
    with atheris.instrument_imports(include=["advsmooth", "yaml", "targets", "PIL"]):
        import targets

    parser = argparse.ArgumentParser(description="Look for input that breaks a parser.")
    parser.add_argument("target", nargs="*", help=f"of {', '.join(targets.TARGETS)}; all but the planted bug if none")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--folder", type=Path, default=ROOT / "_build" / "fuzz", help="of seeds and crashes")
    chosen = parser.parse_args(arguments)
    names = chosen.target or [name for name in targets.TARGETS if name != "planted"]
    unknown = [name for name in names if name not in targets.TARGETS]
    if unknown:
        parser.error(f"target {unknown[0]!r}: allowed are {', '.join(targets.TARGETS)}")
    broken = []
    for name in names:
        print(f"== {name}: {chosen.seconds} s", flush=True)
        child = os.fork()  # libFuzzer ends the process it runs in; what was imported is shared
        if not child:
            _fuzz(atheris, *targets.TARGETS[name], chosen.folder / name, chosen.seconds)
        if os.waitpid(child, 0)[1]:
            broken.append(name)
    if broken:
        print(f"fuzz: {', '.join(broken)} broke; the inputs are {chosen.folder}/<target>/crash-*", file=sys.stderr)
    return 1 if broken else 0


def _fuzz(atheris: Any, function: Any, seeds: Any, folder: Path, seconds: int) -> NoReturn:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number:02d}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", *LIMITS]
    atheris.Setup([sys.argv[0], *options, str(corpus)], function)
    atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main(sys.argv[1:]))
