"""What the book depends on: locked by hash, with known licences; data with source, licence and checksum; no pickles."""

import ast
import re
import tomllib

import licences
import pytest

from advsmooth import claims, data
from advsmooth.places import BOOK, DATASETS, ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ROWS = licences.read()


def without_hash(lock):
    """The entries of a lock file that are not pinned to one version with at least one SHA-256."""
    pinned = re.compile(r"[\w.-]+(\[.*\])?==\S+[^\n]*\\\n *--hash=sha256:[0-9a-f]{64}\b")
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^(#.*\n)+", "", lock).strip())
    return [entry.split("\n")[0] for entry in entries if not pinned.match(entry)]


def test_every_package_is_locked_by_version_and_hash():
    assert without_hash(LOCK) == []
    assert len(licences.locked(LOCK)) > 150
    assert without_hash(LOCK + "left-pad==1.0\n    # via us\nwide>=1 \\\n    --hash=sha256:" + "0" * 64) == [
        "left-pad==1.0",
        "wide>=1 \\",
    ]


def test_the_environment_is_made_with_those_hashes_only():
    assert '"--require-hashes"' in (ROOT / "tools" / "environment.py").read_text(encoding="utf-8")


def disagreement(rows, lock):
    """How the table differs from the lock: packages and versions that only one has, and what they are needed for."""
    needed = licences.purposes(lock, PROJECT)
    table = {(row.package, row.version, row.needed_for) for row in rows}
    return table ^ {(name, version, " ".join(needed[name])) for name, version, _ in licences.locked(lock)}


def test_the_table_of_licences_is_that_of_the_lock():
    assert disagreement(ROWS, LOCK) == set(), "run `make audit`, and look at what is new"
    assert disagreement(ROWS[1:], LOCK), "the control: a package that is not in the table"
    assert disagreement(ROWS, LOCK.replace("==0.8.0", "==0.8.1")), "the control: another version"


def test_every_licence_is_on_the_list_and_none_is_unknown():
    assert licences.refused(ROWS) == []
    assert all(row.needed_for and row.known_from for row in ROWS)


@pytest.mark.parametrize(
    ("package", "licence", "words"),
    [
        ("x", "GPL-3.0-only", "GPL-3.0-only is not on the list"),
        ("x", "MIT AND LGPL-2.1-or-later", "LGPL-2.1-or-later is not on the list"),
        ("x", "", "licence unknown"),
        ("x", "MPL-2.0", "MPL-2.0 is not on the list"),  # only to the packages named
        ("x", "LicenseRef-NVIDIA-Proprietary", "Proprietary is not on the list"),
        ("x", "something of our own", "is not on the list"),
    ],
)
def test_another_licence_is_noticed(package, licence, words):
    (line,) = licences.refused([licences.Row(package, "1", licence, "run", "")])
    assert words in line


@pytest.mark.parametrize(
    ("said", "text", "expected"),
    [
        ("MIT License", "", "MIT"),
        ("BSD", "Redistributions in binary form ... Neither the name of the X", "BSD-3-Clause"),
        ("BSD License", "Redistributions in binary form must reproduce", "BSD-2-Clause"),
        ("BSD License", "Do what you like.", ""),
        ("UNKNOWN", "MIT", ""),
        ("GPL-3.0-only", "", "GPL-3.0-only"),
    ],
)
def test_a_licence_as_written_becomes_an_expression_or_nothing(said, text, expected):
    assert licences.spdx(said, text) == expected


def test_what_the_library_needs_to_run_is_named_so():
    run = {row.package for row in ROWS if "run" in row.needed_for.split()}
    assert {"torch", "numpy", "pydantic", "nvidia-cublas"} <= run
    assert not run & {"pytest", "ray", "atheris", "pip-licenses", "sphinx", "playwright"}
    copyleft = {row.package for row in ROWS if row.package in run and "MPL" in row.licence}
    assert copyleft == {"certifi"}, "weak copyleft that the library imports is named in the chapter"
    assert "certifi" in (BOOK / "supply_chain.md").read_text(encoding="utf-8")


# --- data ---------------------------------------------------------------------------------------------------------

ENTRIES = data.catalogue()


@pytest.mark.parametrize("name", ENTRIES)
def test_a_data_set_has_its_source_licence_and_checksums(name):
    entry = ENTRIES[name]
    assert all(entry[field] for field in ("title", "source", "licence", "cite", "sizes"))
    assert f"{{{entry['cite']}," in (BOOK / "references.bib").read_text(encoding="utf-8")
    if name == "digits":  # a part of scikit-learn, which the lock pins by hash
        return
    assert set(entry["download"]) <= set(entry["files"]), "what is downloaded is verified"
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in entry["files"].values())
    assert len(set(entry["files"].values())) == len(entry["files"])
    assert set(data._READERS) == set(ENTRIES) - {"digits"}


FACTS = ["data/genotypes.yml", "data/reference/README.md", "data/artifacts/pang2022.yml"]


@pytest.mark.parametrize("path", FACTS)
def test_facts_taken_from_others_name_source_and_licence(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(r"^(# )?source: \S", text, re.MULTILINE | re.IGNORECASE)
    assert re.search(r"Licence: \S", text)


def test_every_file_of_facts_is_known():
    ours = {"claims", "errata", "recorded", "benchmarks", "datasets.yml", "licences.csv", "cache", "certificates"}
    ours |= {"paper_scale.yml", "gpu_hours.csv", "gpu_hours.json", "determinism.csv", "determinism.json"}
    others = {path.name for path in (ROOT / "data").iterdir()} - ours
    assert others == {path.split("/")[1] for path in FACTS}
    assert all(paper.authors for paper in claims.papers().values())


# --- pickles ------------------------------------------------------------------------------------------------------

RISKY = {
    "pickle": {"load", "loads", "Unpickler"},
    "torch": {"load"},
    "joblib": {"load", "Memory"},
    "numpy": {"load"},
    "np": {"load"},
    "pandas": {"read_pickle"},
    "pd": {"read_pickle"},
    "yaml": {"load", "unsafe_load", "full_load", "load_all"},
    "cloudpickle": {"load", "loads"},
    "dill": {"load", "loads"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
}
"""Calls that run code of the file they read, or may."""

REASONS = {
    ("lib/advsmooth/data.py", "pickle.load"): "CIFAR, from bytes whose SHA-256 is the published one",
    ("lib/advsmooth/plain_yaml.py", "yaml.load"): "with a SafeLoader that allows less than a SafeLoader",
    ("lib/advsmooth/sweep.py", "cloudpickle.loads"): "a call, from the process that asked for it, through Ray",
    (
        "lib/advsmooth/sweep.py",
        "pickle.loads",
    ): "what calls share, from a folder that only the user reads",
}


def risky(source):
    """The calls in a source that could run what they read."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in RISKY.get(node.value.id, ()):
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module in RISKY:
            yield from (f"{node.module}.{name.name}" for name in node.names if name.name in RISKY[node.module])
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "trusted"):
            yield f"{node.arg}="
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            yield f"{node.func.id}()"


def test_nothing_opens_a_pickle_but_where_there_is_a_reason():
    found = {
        (path.relative_to(ROOT).as_posix(), call)
        for folder in ("lib", "tools", "notebooks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for call in risky(path.read_text(encoding="utf-8"))
    }
    assert found == set(REASONS)


@pytest.mark.parametrize(
    "source",
    ["import torch\ntorch.load('x')", "from joblib import Memory", "np.load('x')", "f(x, allow_pickle=True)",
     "import yaml\nyaml.unsafe_load(x)", "eval('1')", "pd.read_pickle('x')", "import pickle\npickle.Unpickler(x)"],
)  # fmt: skip
def test_a_pickle_that_is_opened_is_noticed(source):
    assert list(risky(source))


def test_the_catalogue_says_what_its_words_mean():
    head = DATASETS.read_text(encoding="utf-8").split("\ndigits:")[0]
    assert all(word in head for word in ("`files`", "SHA-256", "`download`"))
