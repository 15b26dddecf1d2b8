"""One target a parser: bytes go in, and out comes a value within what is allowed, or a refusal of one line.

Hypothesis (``test_targets.py``) and the coverage-guided fuzzer (``run.py``) call the same functions on the same seeds,
which are made from the repository's own files.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from advsmooth import claims, data, errata, records, settings
from advsmooth.models import cells
from advsmooth.places import CLAIMS, RECORDED
from advsmooth.refusals import Refusal
from advsmooth.training import checkpoints

BETWEEN = b"\n====\n"
"""Stands between the JSON and the CSV of a record."""

FOLDER = Path(tempfile.mkdtemp(prefix="advsmooth-fuzz-"))

PARAMETERS: dict[str, tuple[settings.Parameter, Callable[[object], bool]]] = {
    "count": (settings.count(quick=1, at_most=99), lambda v: type(v) is int and 1 <= v <= 99),
    "any_count": (settings.count(quick=1), lambda v: type(v) is int and 1 <= v <= settings.LARGEST_COUNT),
    "number": (settings.number(quick=0.5), lambda v: type(v) is float and bool(np.isfinite(v))),
    "bounded": (settings.number(at_least=-1, at_most=2, quick=0.0), lambda v: type(v) is float and -1 <= v <= 2),
    "radius": (settings.radius(quick=0.1), lambda v: type(v) is float and 0 <= v <= 1),
    "choice": (settings.choice("l2", "linf", quick="l2"), lambda v: v in ("l2", "linf")),
    "flag": (settings.flag(quick=False), lambda v: type(v) is bool),
    "text": (settings.text(quick="digits"), lambda v: isinstance(v, str) and len(v) > 0),
    "names": (settings.names(quick=["a"]), lambda v: len(v) > 0 and all(isinstance(n, str) and n for n in v)),
    "numbers": (settings.numbers(at_least=0, quick=[1.0]), lambda v: len(v) > 0 and all(0 <= n < np.inf for n in v)),
    "counts": (settings.counts(quick=[1]), lambda v: len(v) > 0 and all(type(n) is int and n >= 1 for n in v)),
    "seed": (settings.count(at_least=0, quick=0), lambda v: type(v) is int and 0 <= v <= settings.LARGEST_SEED),
}


def of_one_line(refusal: Refusal) -> None:
    message = str(refusal)
    assert message, "a refusal says something"
    assert message.isprintable(), repr(message)
    assert len(message) < 2000, len(message)
    assert refusal._render_traceback_() == [f"{type(refusal).__name__}: {message}"]


def resolve(name: str, value: object) -> object:
    """A parameter as a page resolves it: the value, if it is allowed.

    Raises:
        SettingsError: if it is not.
    """
    parameter, allowed = PARAMETERS[name]
    given = {"scale": "quick", "seed": 0} | {name: value}
    declared = {} if name == "seed" else {name: parameter}
    found = getattr(settings.resolve(given, **declared), name)
    assert allowed(found), (name, value, found)
    settings.generator(settings.resolve(given, **declared).seed)  # what a page does next
    return found


def parameters(content: bytes) -> None:
    """A line ``name=value`` as the command line passes it, and its value as JSON, as papermill would."""
    text = content.decode("utf-8", errors="surrogateescape")
    try:
        pairs = settings.parse_arguments(text.split("\n"))
    except settings.SettingsError as refusal:
        of_one_line(refusal)
        name, _, value = text.partition("=")
        pairs = {name: value}
    for name, value in pairs.items():
        values = [value]
        with contextlib.suppress(ValueError, RecursionError):
            values.append(json.loads(value or ""))
        for each in values:
            try:
                if name in PARAMETERS:
                    resolve(name, each)
                else:
                    settings.resolve({"scale": "quick", "seed": 0, name: each})
            except settings.SettingsError as refusal:
                of_one_line(refusal)


def ledger(content: bytes) -> None:
    """A file of claims, or of errata, or of genotypes."""
    path = FOLDER / "x2020.yml"
    path.write_bytes(content)
    try:
        paper = claims.read_paper(path)
        assert all(claim.paper == paper.paper for claim in paper.claims)
        assert all(value >= 0 for claim in paper.claims for value in claim.tolerance.values())
    except claims.ClaimError as refusal:
        of_one_line(refusal)
    try:
        assert all(entry.claims for entry in errata.read(path))
    except errata.ErratumError as refusal:
        of_one_line(refusal)
    with contextlib.suppress(ValueError):
        cells.read_genotypes(path)


def record(content: bytes) -> None:
    """The two files of a record."""
    path = FOLDER / "topic.cpu.json"
    about, _, table = content.partition(BETWEEN)
    path.write_bytes(about)
    path.with_suffix(".csv").write_bytes(table)
    try:
        found = records.read(path)
    except records.RecordError as refusal:
        of_one_line(refusal)
        return
    assert list(found.table.columns) == found.provenance["columns"]
    assert found.scale in settings.SCALES
    assert "\n" not in found.summary()
    assert records.REPLAYS.fullmatch(found.replay.function)
    records.code_hashes(found.replay.function.partition(":")[0])


def idx(content: bytes) -> None:
    """A file of MNIST's format."""
    for dimensions in (1, 3):
        try:
            found = data.read_idx(content, dimensions=dimensions)
        except data.DataError as refusal:
            of_one_line(refusal)
        else:
            assert found.ndim == dimensions
            assert found.size + 4 + 4 * dimensions == len(content)


def image(content: bytes) -> None:
    """A picture in a folder of one's own images."""
    path = FOLDER / "own" / "train" / "kind" / "1.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        found = data.load(f"imagefolder:{FOLDER}/own")
    except data.DataError as refusal:
        of_one_line(refusal)
    else:
        assert found.shape[0] == 3
        assert found.x.numel() > 0
        assert 0 <= found.x.min() <= found.x.max() <= 1


def checkpoint(content: bytes) -> None:
    """A checkpoint of a training run."""
    path = FOLDER / "run.safetensors"
    path.write_bytes(content)
    try:
        _, about = checkpoints.read(path)
    except checkpoints.CheckpointError as refusal:
        of_one_line(refusal)
    else:
        assert isinstance(about, dict)


def planted(content: bytes) -> None:
    """Not a parser: a bug four comparisons deep, to see that the fuzzer finds what it should."""
    for place, byte in enumerate(b"SMOO"):
        if content[place : place + 1] != bytes([byte]):
            return
        reached(place)
    raise ZeroDivisionError("the planted bug")


def reached(place: int) -> None:
    """Branches that the fuzzer can see it gets further by."""
    match place:
        case 0:
            return
        case 1:
            return
        case 2:
            return


def _of_parameters() -> Iterator[bytes]:
    yield from (b"radius=8/255", b"seed=3\ncount=7", b"counts=[16, 64]", b"flag=true", b"number=1e-3", b"scale=cpu")
    yield from (b"names=digits, mnist", b"choice=linf", b"numbers=0, 0.1, 8/255", b"seed=2147483647", b"count=1e400")
    yield from (b"bounded=-1/1", b"text=\xc3\xa9", b'any_count={"a": [1, null, true]}', b"number=nan", b"radius=-0")


def _of_ledger() -> Iterator[bytes]:
    for path in sorted(CLAIMS.glob("*.yml")):
        head, *entries = path.read_text(encoding="utf-8").split("\n  - id:")
        yield "\n  - id:".join([head, *entries[:2]]).encode()
    yield b"\n\n".join((errata.FOLDER / "pang2022.yml").read_bytes().split(b"\n\n")[:2])
    yield cells.GENOTYPES.read_bytes()[:1500]


def _of_record() -> Iterator[bytes]:
    for path in sorted(RECORDED.glob("*/*.json"))[::6]:
        about = json.loads(path.read_text(encoding="utf-8"))
        about |= {"code": {"advsmooth": "0"}, "versions": {"torch": "2"}}  # short seeds are tried more often
        lines = path.with_suffix(".csv").read_bytes().splitlines(keepends=True)
        yield json.dumps(about).encode() + BETWEEN + b"".join(lines[:4])


def _of_idx() -> Iterator[bytes]:
    for shape in ((3,), (2, 4, 4)):
        array = np.arange(np.prod(shape), dtype=np.uint8)
        yield struct.pack(">HBB", 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


def _of_image() -> Iterator[bytes]:
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    for mode, kind in (("L", "png"), ("RGB", "png"), ("RGBA", "png"), ("P", "png"), ("RGB", "jpeg"), ("CMYK", "jpeg"),
                       ("1", "tiff"), ("RGB", "bmp"), ("RGB", "webp"), ("RGB", "ppm"), ("P", "gif")):  # fmt: skip
        file = io.BytesIO()
        grey.convert(mode).save(file, kind)
        yield file.getvalue()


def _of_checkpoint() -> Iterator[bytes]:
    import torch

    path = FOLDER / "seed.safetensors"
    tensors = {"model/a": torch.arange(6.0).reshape(2, 3), "order": torch.tensor([1, 2]), "empty": torch.zeros(0)}
    for about in ({}, {"identity": {"seed": 0}, "consumed": 1, "list": [1, None, "x"]}):
        checkpoints.write(path, tensors, about)
        yield path.read_bytes()


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterator[bytes]]]] = {
    "parameters": (parameters, _of_parameters),
    "ledger": (ledger, _of_ledger),
    "record": (record, _of_record),
    "idx": (idx, _of_idx),
    "image": (image, _of_image),
    "checkpoint": (checkpoint, _of_checkpoint),
    "planted": (planted, lambda: iter([b"AAAA"])),
}
"""Name -> the function that is fuzzed, and its seeds."""
