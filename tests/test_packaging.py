"""What is published: the name is ours, there is one version, and CI installs pinned versions only."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins():
    """Return the names in constraints.txt; every line pins one package exactly."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    return [canonicalize_name(line.partition("==")[0]) for line in lines]


def installed(requirements, extras, found):
    """Add (name, extras) of every package that these requirements install on this machine."""
    for requirement in map(Requirement, requirements):
        package = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        marker = requirement.marker
        wanted = not marker or any(marker.evaluate({"extra": extra}) for extra in {"", *extras})
        if wanted and package not in found:
            found.add(package)
            try:
                below = requires(package[0]) or []
            except PackageNotFoundError:
                pytest.skip(f"{package[0]} is not installed")
            installed(below, requirement.extras, found)
    return found


def test_every_package_that_ci_installs_has_an_exact_version():
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    names = {name for name, _ in installed(wanted, set(), set())}
    assert len(names) > 30
    assert names - set(pins()) == set()


def test_no_package_is_pinned_twice():
    assert len(pins()) == len(set(pins()))


def test_the_distribution_has_its_own_name_and_the_command_keeps_its_name():
    assert PROJECT["name"] == "charrnn-text"
    assert list(PROJECT["scripts"]) == ["charrnn"]


def test_the_version_is_written_in_one_place():
    assert PROJECT["dynamic"] == ["version"]
    assert "version:" not in (ROOT / "CITATION.cff").read_text().replace("cff-version:", "")
