"""What pyproject.toml allows is what was tried: its lowest versions and the pinned ones."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
TRIED_ON_A_GPU_ONLY = {"bitsandbytes"}
FOR_DEVELOPERS = frozenset({"browser", "dev", "docs", "notebook"})
"""Extras that are no part of what runs: only the pinned versions are tried."""

PIN = re.compile(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*)")


def pins_of(name: str) -> dict[str, Version]:
    """The version of each package in a file of constraints, which has names and versions only."""
    lines = (REPOSITORY / name).read_text().splitlines()
    matches = [PIN.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert None not in matches
    return {canonicalize_name(match[1]): Version(match[2]) for match in matches}


def requirements(*, dev: bool) -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    chosen = [*PROJECT["dependencies"]]
    for name, lines in extras.items():
        chosen += lines if dev or name not in FOR_DEVELOPERS else []
    found = [Requirement(line) for line in chosen]
    return [one for one in found if one.name not in TRIED_ON_A_GPU_ONLY]


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = [spec.version for spec in requirement.specifier if spec.operator in (">=", "==")]
    return Version(bound)


@pytest.mark.parametrize("requirement", requirements(dev=False), ids=lambda one: one.name)
def test_the_lowest_version_that_is_allowed_is_the_one_that_is_tested(requirement):
    lowest = pins_of("constraints-lowest.txt")
    assert lowest[canonicalize_name(requirement.name)] == lower_bound(requirement)


def test_one_package_has_one_bound():
    bounds = {}
    for requirement in requirements(dev=True):
        bounds.setdefault(requirement.name, set()).add(str(requirement.specifier))
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_the_pinned_set_is_allowed():
    pins = pins_of("constraints.txt")
    outside = [
        str(requirement)
        for requirement in requirements(dev=True)
        if pins[canonicalize_name(requirement.name)] not in requirement.specifier
    ]
    assert outside == []


def test_no_lowest_version_is_above_the_pinned_one():
    pins, lowest = pins_of("constraints.txt"), pins_of("constraints-lowest.txt")
    assert {name for name in pins.keys() & lowest.keys() if lowest[name] > pins[name]} == set()
