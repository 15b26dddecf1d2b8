"""Every refusal of bad input, in one table: by the library, on a page, in a plain script, by command and by make.

Each is one line that names the value, says what is allowed and what to do; the exit status is not 0, no traceback is
shown, and nothing that was computed is lost.
"""

import errno
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from advsmooth import __main__ as command
from advsmooth import artifacts, claims, data, errata, pages, records, settings
from advsmooth.atomic import write_atomically
from advsmooth.attacks.gradient import PGD
from advsmooth.models import registry
from advsmooth.places import ROOT
from advsmooth.refusals import Refusal, in_one_line, one_line, quoted
from advsmooth.training import checkpoints

PAGE = "kanai2021/flat_or_well_trained"
NORMS = "liu2020/curvature_and_budget"
SAMPLE = "finlay2018/dataset_lipschitz"


@dataclass(frozen=True)
class Row:
    """One refusal.

    Attributes:
        what: in words.
        says: what its line holds: the value, what is allowed or what to do.
        library: a call of the library that is refused.
        page: parameters of :data:`PAGE` that are refused (of another page, if ``of`` names one).
        command: arguments of the command line.
    """

    what: str
    says: tuple[str, ...]
    library: object = None
    page: dict | None = None
    of: str = PAGE
    command: tuple[str, ...] | None = None


def parameter(kind, **given):
    """A value as the resolve cell of a page validates it; ``epz`` is declared by none."""
    declared = dict.fromkeys(set(given) - {"scale", "seed", "epz"}, kind)
    return lambda: settings.resolve({"scale": "quick", "seed": 0} | given, **declared)


def broken(name, content):
    """A file of the name in a fresh folder."""

    def write(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write


def truncated_checkpoint(folder):
    import torch

    path = folder / "run.safetensors"
    checkpoints.write(path, {"a": torch.zeros(9)}, {})
    path.write_bytes(path.read_bytes()[:-5])
    checkpoints.read(path)


def record_without_a_column(folder):
    about = json.loads(next(records.RECORDED.glob("*/*.json")).read_text())
    table = ",".join(about["columns"][1:]) + "\n1\n"
    about["table_sha256"] = hashlib.sha256(table.encode()).hexdigest()
    path = broken("x.json", json.dumps(about).encode())(folder)
    path.with_suffix(".csv").write_text(table)
    records.read(path)


def corrupt_download(folder):
    broken("MNIST/raw/train-images-idx3-ubyte", b"half a file")(folder)
    data.load("mnist")


LARGE = "9" * 400
RADIUS = ("a radius in pixel scale, from 0 to 1", "'8/255'")
TABLE = [
    Row("scale", ("scale='paper'", "one of quick"), parameter(None, scale="paper"), {"scale": "paper"}),
    Row("scale, misspelt", ("scale='cpuu'", "one of quick, cpu"), None, {"scale": "cpuu"}),
    Row(
        "data set",
        ("dataset='mnits'", "did you mean 'mnist'", "imagefolder:PATH"),
        lambda: data.load("mnits"),
        {"dataset": "mnits"},
        command=("download", "mnits"),
    ),
    Row("data set of another split", ("split='valid'", "train or test"), lambda: data.load("digits", "valid")),
    Row("norm", ("norm='l3'", "l2"), lambda: PGD(eps=0.1, norm="l3"), {"norm": "l3"}, NORMS),
    Row(
        "model",
        ("'resnt18'", "resnet18"),
        lambda: registry.build("resnt18", in_shape=(3, 8, 8), classes=3, seed=0),
        {"network": "resnt18"},
    ),
    Row(
        "parameter name",
        ("epz=0.1", "did you mean 'eps'", "scale, seed"),
        parameter(settings.radius(quick=0.1), eps=None, epz=0.1),
        {"epz": 0.1},
    ),
    Row("eps < 0", ("eps=-0.1", *RADIUS), parameter(settings.radius(quick=0.1), eps=-0.1), {"eps": -0.1}),
    Row("eps < 0, attack", ("eps=-0.1", "at least 0"), lambda: PGD(eps=-0.1)),
    Row("radius of 0-255", ("eps=8", *RADIUS), parameter(settings.radius(quick=0.1), eps=8), {"eps": 8}),
    Row("radius of 0-255, attack", ("eps=8", "write 8/255"), lambda: PGD(eps=8)),
    Row("radius over zero", ("eps='8/0'", *RADIUS), parameter(settings.radius(quick=0.1), eps="8/0"), {"eps": "8/0"}),
    Row(
        "radius that is no number",
        ("nan", *RADIUS),
        parameter(settings.radius(quick=0.1), eps=float("nan")),
        {"eps": "nan"},
    ),
    Row(
        "radius without end", ("eps=", *RADIUS), parameter(settings.radius(quick=0.1), eps=float("inf")), {"eps": "inf"}
    ),
    Row(
        "seed that is no number",
        ("seed='three'", "an integer from 0 to 2147483647"),
        parameter(None, seed="three"),
        {"seed": "three"},
    ),
    Row("seed < 0", ("seed=-1", "an integer from 0 to"), parameter(None, seed=-1), {"seed": -1}),
    Row("seed too large", ("seed='999", "an integer from 0 to"), parameter(None, seed=LARGE), {"seed": LARGE}),
    Row("seed of a generator", ("seed=-1", "an integer from 0"), lambda: settings.generator(-1)),
    Row(
        "count without end",
        ("n='1e400'", "an integer, at least"),
        parameter(settings.count(quick=1), n="1e400"),
        {"n": "1e400"},
    ),
    Row(
        "count too large", ("n='999", "an integer, at least"), parameter(settings.count(quick=1), n=LARGE), {"n": LARGE}
    ),
    Row("count of more than there is", ("n=99999", "allowed is 1 to 1437"), lambda: data.load("digits", n=99999)),
    Row("empty list", ("radii='[]'", "a list, each a number"), parameter(settings.numbers(quick=[1]), radii="[]")),
    Row(
        "argument of another form",
        ("'seed:3'", "name=value, such as seed=3"),
        lambda: settings.parse_arguments(["seed:3"]),
        command=("run", PAGE, "seed:3"),
    ),
    Row(
        "argument given twice",
        ("seed='4'", "given twice"),
        lambda: settings.parse_arguments(["seed=3", "seed=4"]),
        command=("run", PAGE, "seed=3", "seed=4"),
    ),
    Row(
        "missing download",
        ("dataset='svhn'", "not found", "ADVSMOOTH_DATA", "python -m advsmooth download svhn"),
        lambda: data.load("svhn"),
        {"dataset": "svhn", "scale": "cpu"},
    ),
    Row("corrupt download", ("train-images-idx3-ubyte is corrupt", "delete it"), corrupt_download),
    Row(
        "truncated checkpoint",
        ("run.safetensors", "truncated or corrupt", "delete it and train again"),
        truncated_checkpoint,
    ),
    Row("record without a column", ("is missing from the CSV", "record it again"), record_without_a_column),
    Row("record of no scale", ("scale='fast'", "quick, cpu, gpu, paper"), lambda: records.newest(PAGE, "fast")),
    Row("replay of another kind", ("'os:system'", "advsmooth"), lambda: records.Replay("os:system", {}, {}).run()),
    Row("claim", ("'liu2020-thm-1'", "did you mean 'liu2020-thm1'"), lambda: claims.claim("liu2020-thm-1")),
    Row(
        "ledger",
        ("x2020.yml", "not valid YAML"),
        lambda folder: claims.read_paper(broken("x2020.yml", b"\xff[")(folder)),
    ),
    Row("errata", ("x2020.yml", "not valid YAML"), lambda folder: errata.read(broken("x2020.yml", b"a: [")(folder))),
    Row("erratum", ("'L99'", "did you mean"), lambda: errata.erratum("L99")),
    Row("artifact", ("liu1999", "pang2022"), lambda: artifacts.read("liu1999")),
    Row(
        "GPU",
        ("scale='gpu'", "needs a CUDA GPU and none is visible", "scale=quick or scale=cpu"),
        parameter(settings.count(quick=1, gpu=2), scale="gpu", n=None),
        {"scale": "gpu"},
    ),
    Row(
        "page",
        ("'kanai2021/flat_or_well'", f"did you mean '{PAGE}'"),
        lambda: pages.find("kanai2021/flat_or_well"),
        command=("run", "kanai2021/flat_or_well"),
    ),
    Row("page to execute", ("'nowhere'", "not found", "pages: "), None, command=("execute", "nowhere")),
    Row("command", ("'frobnicate'", "choose from", "--help"), command=("frobnicate",)),
    Row("option", ("--fast", "--help"), command=("execute", "--fast")),
    *(
        Row(f"jobs={jobs}", (repr(jobs), "an integer from 1 to 999"), command=("execute", f"--jobs={jobs}"))
        for jobs in ("0", "-1", "two", "²", LARGE)
    ),
]


def check_line(line, says):
    assert "Traceback" not in line
    assert line.isprintable(), repr(line)
    assert all(word in line for word in says), (line, says)


def of(column):
    return [pytest.param(row, id=row.what) for row in TABLE if getattr(row, column) is not None]


@pytest.mark.parametrize("row", of("library"))
def test_through_the_library(row, tmp_path, monkeypatch):
    monkeypatch.setenv("ADVSMOOTH_DATA", str(tmp_path))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    takes_a_folder = row.library.__code__.co_argcount == 1
    with pytest.raises((ValueError, pages.PageError)) as refusal:
        row.library(*([tmp_path] if takes_a_folder else []))
    check_line(str(refusal.value), row.says)


def cells_until_the_data(page):
    """The page's own cells: its imports; its parameters; the resolving of them, and the first reading of data."""
    code = [cell for cell in page.source().cells if cell.cell_type == "code"]
    place = next(k for k, cell in enumerate(code) if "parameters" in cell.metadata.get("tags", []))
    return code[place - 1].source, code[place].source, code[place + 1].source


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each refusal of a page looks like: all of one page in one kernel, which goes on after an error."""
    from nbclient import NotebookClient

    found = {}
    os.environ["CUDA_VISIBLE_DEVICES"], before = "", os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["ADVSMOOTH_DATA"], folder = str(tmp_path_factory.mktemp("data")), os.environ.get("ADVSMOOTH_DATA")
    try:
        for key in dict.fromkeys(row.of for row in TABLE if row.page):
            rows = [row for row in TABLE if row.page and row.of == key]
            imports, declared, resolving = cells_until_the_data(pages.find(key))
            attempts = []
            for row in rows:
                # papermill puts the values in a cell of their own, after the declared ones
                given = "\n".join(f"{name} = {value!r}" for name, value in row.page.items())
                forget = "_ = [globals().pop(name) for name in set(globals()) - KNOWN if not name.startswith('_')]"
                reading = "data.load(cfg.dataset)" if "dataset" in row.page else ""
                attempts.append("\n".join([forget, declared, given, resolving, reading]))
            cells = [
                nbformat.v4.new_code_cell(source)
                for source in [imports, "KNOWN = {*globals(), 'KNOWN'}", *attempts, "print(len(KNOWN) > 9)"]
            ]
            notebook = nbformat.v4.new_notebook(cells=cells)
            NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
            assert notebook.cells[-1].outputs[0].text == "True\n", "the kernel has kept what was computed"
            found |= {row.what: cell.outputs for row, cell in zip(rows, notebook.cells[2:-1], strict=True)}
    finally:
        for name, value in (("CUDA_VISIBLE_DEVICES", before), ("ADVSMOOTH_DATA", folder)):
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return found


@pytest.mark.parametrize("row", of("page"))
def test_on_a_page(row, said):
    errors = [output for output in said[row.what] if output["output_type"] == "error"]
    assert len(errors) == 1, said[row.what]
    assert errors[0]["traceback"] == [f"{errors[0]['ename']}: {errors[0]['evalue']}"], "one line, no call stack"
    check_line(errors[0]["traceback"][0], row.says)
    assert not any(output.get("name") == "stderr" for output in said[row.what])


@pytest.mark.parametrize("row", of("command"))
def test_by_command(row, capsys):
    try:
        status = command.main(row.command)
    except SystemExit as ended:  # argparse
        status = ended.code
    err = capsys.readouterr().err
    assert status == 2
    assert err.count("\n") == 1
    check_line(err[:-1], row.says)


OF_AN_OUTER_MAKE = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}  # as under `make test`: it would say `make[1]`


def run(*arguments, **environment):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if name not in OF_AN_OUTER_MAKE}
    env = inherited | {"CUDA_VISIBLE_DEVICES": "", "PATH": path} | environment
    return subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=ROOT, env=env)


def test_in_a_plain_script(tmp_path):
    """As of parameters in test_settings.py, and here of data."""
    done = run(sys.executable, f"notebooks/{PAGE}.py", "dataset=svhn", "scale=cpu", ADVSMOOTH_DATA=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    check_line(done.stderr[:-1], ("DataError: dataset='svhn'", "download svhn"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run"], ("NB is not set", "NB=finlay2018/dataset_lipschitz")),
        (["run", "NB=kanai2021/flat_or_well"], ("'kanai2021/flat_or_well'", f"did you mean '{PAGE}'")),
        (["run", f"NB={PAGE}", "P=eps=8"], (f"{PAGE}: SettingsError: eps='8'", *RADIUS)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_by_make(arguments, says):
    done = run("make", "--no-print-directory", "SYSTEM=1", *arguments)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    check_line(lines[0], says)
    assert lines[1].startswith("make: *** [Makefile:"), "make's own line"
    assert done.stdout == ""


# --- what the machine does to us ----------------------------------------------------------------------------------


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/full/disk")


def test_a_full_disk_is_said_in_one_line_and_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    write_atomically(path, "old\n")
    monkeypatch.setattr(os, "fsync", lambda _: full_disk())
    with pytest.raises(OSError, match="No space") as error:
        write_atomically(path, "new and longer\n")
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path], "nor is half a file left to fill the disk"
    check_line(in_one_line(error.value), ("No space left on device", "/a/full/disk", "run it again"))


def test_a_page_that_cannot_be_stored_does_not_stop_the_others(monkeypatch, capsys):
    outcomes = iter([full_disk, lambda page: (page.key, True, 1.0)])
    monkeypatch.setattr(pages, "update", lambda page: next(outcomes)(page))
    assert command.main(["execute", "--jobs", "1", SAMPLE, PAGE]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    check_line(said.err[:-1], (SAMPLE, "No space left on device", "/a/full/disk"))
    assert f"{PAGE}: stored" in said.out


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as error:
        records.kept_table(tmp_path / "file" / "deep" / "x.csv", lambda: pytest.fail("worked in vain"), digits=3)
    check_line(in_one_line(error.value), ("Not a directory", "deep", "mend that"))


@pytest.mark.parametrize(
    ("raised", "status", "says"),
    [
        (KeyboardInterrupt(), 130, ("stopped", "what was finished is kept")),
        (MemoryError(), 2, ("out of memory", "smaller numbers")),
        (PermissionError(errno.EACCES, "Permission denied", "/here"), 2, ("Permission denied", "'/here'")),
        (records.RecordError("record 'x': cut off"), 2, ("record 'x': cut off",)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_stops_a_command_is_said_in_one_line(raised, status, says, monkeypatch, capsys):
    def stop(_):
        raise raised

    monkeypatch.setitem(command._COMMANDS, "list", stop)
    assert command.main(["list"]) == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    check_line(err[:-1], says)


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    """The control: what is no fault of the user's must not be hidden in a line."""
    monkeypatch.setitem(command._COMMANDS, "list", lambda _: [][1])
    with pytest.raises(IndexError):
        command.main(["list"])
    assert in_one_line(IndexError("x")) is None
    assert in_one_line(ValueError("x")) is None
    assert in_one_line(OSError("without a number")) is None


def test_a_reader_who_leaves_early_and_a_full_output_end_quietly():
    left = run("bash", "-c", f"'{sys.executable}' -m advsmooth list | true; exit ${{PIPESTATUS[0]}}")
    assert (left.returncode, left.stderr) == (1, "")
    if Path("/dev/full").exists():
        full = run("bash", "-c", f"'{sys.executable}' -m advsmooth list > /dev/full")
        assert full.returncode == 2
        assert full.stderr.count("\n") == 1
        check_line(full.stderr[:-1], ("No space left on device",))


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        # As the system does to a process that takes too much memory.
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", ("was killed", "smaller numbers")),
        ("open('/dev/null/x', 'w')", ("NotADirectoryError", "/dev/null/x")),
    ],
    ids=["a kernel that is killed", "a file that cannot be written"],
)
def test_what_happens_to_a_page_is_said_in_one_line(cell, says, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "NOTEBOOKS", tmp_path)
    page = pages.Page("x2020/topic")
    page.script.parent.mkdir()
    page.script.write_text(f"# %%\n{cell}\n")
    with pytest.raises(pages.PageError) as refusal:
        pages.run(page, tmp_path / "out.ipynb")
    check_line(str(refusal.value), ("x2020/topic", *says))


# --- the lines themselves -----------------------------------------------------------------------------------------


def test_every_error_of_ours_is_a_refusal_or_a_page_error():
    named = {
        f"{path.stem}.{line.split('(')[0].split()[1]}": line
        for path in (ROOT / "lib").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("class ") and line.split("(")[0].endswith("Error") and "(" in line
    }
    others = {name for name, line in named.items() if "(Refusal)" not in line}
    assert others == {"pages.PageError", "pages.RefusalError"}
    assert issubclass(pages.RefusalError, pages.PageError)
    assert len(named) > 8


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\u2028b", "\ud800", "\t a  b ", "é 漢"])
def test_one_line_is_one_line(text):
    assert one_line(text).isprintable()
    assert Refusal(text).args[0].isprintable()
    assert quoted(text).isprintable()


def test_a_long_value_is_shown_by_its_ends():
    shown = quoted("x" * 10**6 + "end")
    assert len(shown) < 130
    assert shown.endswith("end'")
    assert quoted(10**5000) == "<int too large to show>"
    assert one_line("short") == "short"
