"""The environment and the lists of packages that describe it."""

import re
import tomllib

import environment
import pytest
import yaml
from packaging.requirements import Requirement

from advsmooth.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = {
    match[1].lower().replace("_", "-"): match[2]
    for match in re.finditer(r"^([\w.-]+)==([\w.+!-]+)", LOCK, re.MULTILINE)
}


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
    blocks = re.split(r"\n(?=[\w.-]+==)", LOCK)[1:]
    assert len(blocks) == environment.packages(LOCK.encode()) > 100
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in LOCK


def test_the_conda_environment_is_the_lock():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    assert pip == ["--require-hashes", "-r requirements.lock"]
    python = next(entry for entry in conda["dependencies"] if str(entry).startswith("python="))
    assert python.removeprefix("python=") in PROJECT["requires-python"]
