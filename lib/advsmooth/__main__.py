"""The command line: ``advsmooth`` and a command; ``advsmooth --help`` lists them."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from advsmooth import pages
from advsmooth.places import ROOT
from advsmooth.refusals import in_one_line, one_line


class _Parser(argparse.ArgumentParser):
    """One that refuses in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {one_line(message)}; see {self.prog} --help\n")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:5]) <= 999:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is an integer from 1 to 999")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it went well, 1 if a page or a record failed, 2 if it was asked wrongly.

    130 if it was stopped from the keyboard. What a user did wrong, or the machine lacks, is said in one line.
    """
    parser = _Parser(prog="advsmooth", description="Execute and inspect the pages of the book.")
    commands = parser.add_subparsers(dest="command", required=True)
    execute = commands.add_parser("execute", help="execute pages at quick and store their outputs")
    execute.add_argument("pages", nargs="*", help="<paper>/<topic>; all if none is given")
    execute.add_argument("--jobs", type=_at_least_one, default=2, help="pages executed at the same time (default 2)")
    run = commands.add_parser("run", help="execute one page with other parameters; the stored outputs stay")
    run.add_argument("page", help="<paper>/<topic>")
    run.add_argument("parameters", nargs="*", help="name=value, such as scale=cpu seed=3")
    verify = commands.add_parser(
        "verify", help="execute pages again, compare with all that is stored, write a certificate"
    )
    verify.add_argument("what", help="<paper>/<topic>, <paper> or all")
    verify.add_argument("parameters", nargs="*", help="name=value, such as seed=3")
    verify.add_argument("--scale", default="quick", help="quick (default), cpu, gpu or paper")
    verify.add_argument("--threads", type=int, default=1, help="threads of the processor a page (default 1)")
    verify.add_argument("--jobs", type=int, default=1, help="pages executed at the same time (default 1)")
    verify.add_argument("--signed-off", default="", metavar="'NAME <ADDRESS>'", help="who answers for the certificate")
    verify.add_argument("--output", type=Path, help="folder of the certificate (default _build/certificates)")
    compare = commands.add_parser("compare", help="say what two certificates agree on and where they differ")
    compare.add_argument("certificates", nargs=2, type=Path, metavar="CERTIFICATE.json")
    determinism = commands.add_parser("determinism", help="execute every page again and again, and write what differs")
    determinism.add_argument("--jobs", type=int, default=1, help="pages executed at the same time (default 1)")
    commands.add_parser("list", help="list the pages and what they say")
    commands.add_parser("scoreboard", help="write the scoreboard page from what the executed pages say")
    commands.add_parser("errata", help="write the first page of the errata from what the executed pages show")
    commands.add_parser("answer", help="draw the picture of the home page from the record of synthesis/one_table")
    commands.add_parser("reference", help="write the reference of the library, for the site")
    commands.add_parser("plan", help="count what the published settings would take, in hours of a GPU")
    commands.add_parser("records", help="say which recorded results still stand")
    download = commands.add_parser("download", help="fetch a data set, verified, to ADVSMOOTH_DATA or data/cache")
    download.add_argument("dataset")
    chosen, rest = parser.parse_known_args(arguments)
    if rest and (chosen.command != "verify" or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        chosen.parameters += rest  # argparse takes no name=value behind an option
    try:
        status = _COMMANDS[chosen.command](chosen)
        sys.stdout.flush()  # here, not at the very end, where nobody could answer for a closed pipe or a full disk
        return status
    except BrokenPipeError:  # `advsmooth list | head -1`: nobody reads on, so the end of the program must not write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, pages.PageError) as error:
        return pages.main_error(error)
    except (OSError, MemoryError, KeyboardInterrupt) as error:
        line = in_one_line(error)
        if line is None:
            raise
        print(line, file=sys.stderr)
        return 130 if isinstance(error, KeyboardInterrupt) else 2


def _execute(chosen: argparse.Namespace) -> int:
    some = [pages.find(name) for name in chosen.pages] or pages.every()
    failures = pages.update_all(some, chosen.jobs)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _run(chosen: argparse.Namespace) -> int:
    import nbformat

    from advsmooth.atomic import write_atomically
    from advsmooth.settings import parse_arguments

    page, parameters = pages.find(chosen.page), parse_arguments(chosen.parameters)
    label = "-".join(f"{name}={value}" for name, value in parameters.items()).replace("/", ":") or "quick"
    if len(label) > 100:  # file systems allow 255 bytes
        label = f"{label[:60]}-{hashlib.sha256(label.encode(errors='replace')).hexdigest()[:16]}"
    output = pages.RUNS / f"{page.key}.{label}.ipynb"
    unfinished = output.with_suffix(".unfinished.ipynb")  # papermill writes it cell by cell; stays if the run fails
    write_atomically(output, nbformat.writes(pages.run(page, unfinished, parameters)) + "\n")
    unfinished.unlink()
    print(f"written to {output.relative_to(ROOT)}")
    return 0


def _verify(chosen: argparse.Namespace) -> int:
    from advsmooth import verify
    from advsmooth.settings import parse_arguments

    made, path = verify.verify(
        chosen.what,
        scale=chosen.scale,
        parameters=parse_arguments(chosen.parameters),
        threads=chosen.threads,
        jobs=chosen.jobs,
        signed_off=chosen.signed_off,
        folder=chosen.output or verify.CERTIFICATES,
    )
    for page in made.pages:
        for reason in page.reasons:
            print(f"{page.page}: {reason}")
    print(f"{made.outcome}: written to {path} and, to read, {path.with_suffix('.html').name}")
    return 0 if made.outcome == "confirmed" else 1


def _compare(chosen: argparse.Namespace) -> int:
    from advsmooth import certificate

    a, b = (certificate.read(path) for path in chosen.certificates)
    said, disagree = certificate.compare(a, b)
    print(f"A: {chosen.certificates[0].name}, signed off by {a.signed_off or 'nobody'}, {a.date[:10]}")
    print(f"B: {chosen.certificates[1].name}, signed off by {b.signed_off or 'nobody'}, {b.date[:10]}")
    print(*said, sep="\n")
    print(*(f"DIFFERS {line}" for line in disagree), sep="\n", end="\n" if disagree else "")
    print(f"they disagree on {len(disagree)} points" if disagree else "they agree")
    return 1 if disagree else 0


def _determinism(chosen: argparse.Namespace) -> int:
    from advsmooth import determinism

    print(determinism.write(jobs=chosen.jobs))
    return 0


def _list(_: argparse.Namespace) -> int:
    for page in pages.every():
        found = (
            ", ".join(f"{v['claim']}: {v['verdict']}" for v in page.verdicts())
            if page.notebook.exists()
            else "not executed"
        )
        print(f"{page.key}: {found}")
    return 0


def _scoreboard(_: argparse.Namespace) -> int:
    from advsmooth import scoreboard

    print(scoreboard.write())
    return 0


def _errata(_: argparse.Namespace) -> int:
    from advsmooth import errata

    print(errata.write())
    return 0


def _answer(_: argparse.Namespace) -> int:
    from advsmooth import answer

    print(answer.write())
    return 0


def _reference(_: argparse.Namespace) -> int:
    from advsmooth import reference

    print(reference.write())
    return 0


def _plan(_: argparse.Namespace) -> int:
    from advsmooth import gpu_hours

    print(gpu_hours.write())
    return 0


def _records(_: argparse.Namespace) -> int:
    from advsmooth import records

    stale = 0
    for record in records.every():
        state, why = records.status(record)
        stale += state == "stale"
        print(f"{state}: {record.provenance['page']} ({record.provenance['label']}): {why}")
    for path in records.unfinished():
        print(f"unfinished: {path.relative_to(ROOT)}: its run was stopped before the record was whole; record it again")
    return 1 if stale else 0


def _download(chosen: argparse.Namespace) -> int:
    from advsmooth import data

    for split in data.SPLITS:
        loaded = data.load(chosen.dataset, split, download=True)
        print(f"{chosen.dataset} {split}: {len(loaded):,} examples, SHA-256 of the tensors {loaded.checksum}")
    return 0


_COMMANDS = {
    "execute": _execute,
    "run": _run,
    "verify": _verify,
    "compare": _compare,
    "determinism": _determinism,
    "list": _list,
    "scoreboard": _scoreboard,
    "errata": _errata,
    "answer": _answer,
    "reference": _reference,
    "plan": _plan,
    "records": _records,
    "download": _download,
}

if __name__ == "__main__":
    sys.exit(main())
