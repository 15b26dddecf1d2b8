"""The environment and the lists of packages that describe it."""

import importlib.metadata
import re
import tomllib

import environment
import pytest
import yaml
from packaging.requirements import Requirement

from advsmooth.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
LINES = [
    (match[1].lower().replace("_", "-"), {e.strip() for e in (match[2] or "").split(",")}, match[3])
    for match in re.finditer(r"^([\w.-]+)(?:\[(.*)\])?==([\w.+!-]+)", LOCK, re.MULTILINE)
]
PINNED = {name: version for name, _, version in LINES}


@pytest.mark.parametrize(
    ("version", "free", "words"),
    [
        ((3, 11, 7), 20, ""),
        ((3, 13, 0), 20, ""),
        ((3, 9, 2), 20, "Python 3.9 found, 3.11 to 3.13 needed"),
        ((3, 14, 0), 20, "Python 3.14 found"),
        ((3, 11, 0), 2.5, "2.5 GB free at .*9 GB needed"),
    ],
)
def test_an_unfit_machine_is_told_so_in_one_line(tmp_path, version, free, words):
    message = environment.complaint(version, free, tmp_path)
    assert re.search(words, message) if words else message == ""
    assert "\n" not in message


def test_a_changed_lock_or_python_makes_a_new_environment():
    made = {environment.fingerprint(lock, v) for lock in (b"a", b"b") for v in ((3, 11, 7), (3, 12, 0))}
    assert len(made) == 4


def test_an_environment_that_is_up_to_date_is_left_alone(tmp_path, monkeypatch):
    import sys

    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("nothing should be installed"))
    stamp = environment.fingerprint(environment.LOCK.read_bytes(), sys.version_info[:3])
    (tmp_path / "advsmooth-environment").write_text(stamp)
    assert environment.main(tmp_path) == 0


def test_the_lock_satisfies_every_requirement_of_the_project():
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(r for group in extras.values() for r in group)]
    for requirement in map(Requirement, wanted):
        name = requirement.name.lower().replace("_", "-")
        assert name in PINNED, f"{name} is not in requirements.lock; run make lock"
        assert PINNED[name] in requirement.specifier, (
            f"{name}=={PINNED[name]} does not fit {requirement}; run make lock"
        )


def test_every_pin_has_a_hash_and_no_address():
    blocks = re.split(r"\n(?=[\w.-]+(?:\[.*\])?==)", LOCK)[1:]
    assert len(blocks) == environment.packages(LOCK.encode()) > 100
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in LOCK


def test_the_conda_environment_is_the_lock():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    assert pip == ["--require-hashes", "-r requirements.lock"]
    python = next(entry for entry in conda["dependencies"] if str(entry).startswith("python="))
    assert python.removeprefix("python=") in PROJECT["requires-python"]


def asked_extras(requirements):
    """Name and extra, for each requirement that holds here and asks for an extra of another package."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from ((requirement.name.lower().replace("_", "-"), extra) for extra in requirement.extras)


def missing_extras(wanted, lines):
    """Those that the lock pins without the extra.

    For pip, `coverage[toml]` and `coverage` are two requirements. With only the second pinned, it takes the newest
    `coverage[toml]`, which in hash mode is an error from the day that a newer coverage is released.
    """
    locked = {(name, extra) for name, extras, _ in lines for extra in extras}
    return sorted(set(wanted) - locked)


def test_the_lock_pins_the_extras_that_packages_ask_for():
    wanted = [
        pair
        for distribution in importlib.metadata.distributions()
        if distribution.name.lower().replace("_", "-") in PINNED
        for pair in asked_extras(distribution.requires or [])
    ]
    assert wanted
    assert missing_extras(wanted, LINES) == []


def test_a_lock_without_an_extra_is_noticed():
    wanted = list(asked_extras(["coverage[toml]>=7", "other[x]; extra == 'never'"]))
    assert missing_extras(wanted, [("coverage", {""}, "7.17.3")]) == [("coverage", "toml")]
