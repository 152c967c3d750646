"""Which Python `make` takes for .venv, and what it says of one that will not do."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

PYTHON = """#!/bin/sh
case "$1 $2" in
  "-c "*) echo {version} ;;
  "-m venv") mkdir -p "$3/bin" && cp "{path}" "$3/bin/python" ;;
  "-m pip") echo "{version} $*" >> pip.log; test ! -e "no network" ;;
esac
"""
"""Stands for a Python: says its version, makes an environment of itself, and installs nothing."""

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what `make install` reads, and a folder `bin` for Pythons."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "constraints-lowest.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


@pytest.fixture
def pythons(checkout: Path) -> Callable[..., None]:
    """Puts Pythons of some versions on the path."""

    def put(*versions: str) -> None:
        for version in versions:
            path = checkout / "bin" / f"python{version}"
            path.write_text(PYTHON.format(version=version, path=path))
            path.chmod(0o755)

    return put


@pytest.fixture
def make(checkout: Path) -> Callable[..., Done]:
    """Runs make where only the Pythons of `bin` and the system's plain tools are found."""
    for tool in ("sh", "make", "mkdir", "cp", "rm", "touch", "test"):
        (checkout / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "PYTHON"))}

    def run(*words: str) -> Done:
        return subprocess.run(  # noqa: S603 - our own words
            [shutil.which("make") or "make", *words],
            cwd=checkout,
            env={**environment, "PATH": str(checkout / "bin")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def installed(checkout: Path) -> list[str]:
    """The version that ran pip, for each time that it ran."""
    log = checkout / "pip.log"
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize("version", ["3.10", "3.14", "2.7"])
def test_a_python_that_will_not_do_is_refused_in_a_sentence(checkout, pythons, make, version):
    pythons(version, "3.12")
    done = make(f"PYTHON=python{version}", "install")
    assert done.returncode
    assert done.stderr.splitlines()[0] == (
        f"Recap needs a Python of 3.11 3.12 3.13; python{version} is {version}. "
        "Run: make PYTHON=python3.12 install"
    )
    assert not (checkout / ".venv").exists()
    assert installed(checkout) == []


def test_where_there_is_no_python_one_is_to_be_installed(make):
    done = make("test")
    assert "python3 does not run. Install one and run: make PYTHON=python3.12 test" in done.stderr


@pytest.mark.parametrize("left", ["3.10", "broken", "nothing in it"])
def test_a_leftover_of_no_use_is_made_anew(checkout, pythons, make, left):
    pythons("3.10", "3.11")
    (checkout / ".venv" / "bin").mkdir(parents=True)
    if left != "nothing in it":
        source = checkout / "bin" / ("python3.10" if left == "3.10" else "gone")
        (checkout / ".venv" / "bin" / "python").symlink_to(source)
    (checkout / ".venv" / ".installed").touch()
    done = make("PYTHON=python3.11", "install")
    assert done.returncode == 0, done.stderr
    assert installed(checkout) == ["3.11"]


def test_an_environment_that_was_interrupted_while_it_was_made_is_made_anew(
    checkout, pythons, make
):
    pythons("3.11")
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # As `python -m venv` leaves it where it is killed, or finds no ensurepip: without pip.
    python.write_text('#!/bin/sh\ntest "$1" = -c && echo 3.11\n')
    python.chmod(0o755)
    done = make("PYTHON=python3.11", "install")
    assert done.returncode == 0, done.stderr
    assert installed(checkout) == ["3.11"]
    assert make("install").returncode == 0
    assert installed(checkout) == ["3.11"]


def test_an_installation_that_was_interrupted_goes_on(checkout, pythons, make):
    pythons("3.12")
    (checkout / "no network").touch()
    assert make("PYTHON=python3.12", "install").returncode
    (checkout / ".venv" / "downloaded").touch()
    assert make("PYTHON=python3.12", "install").returncode
    (checkout / "no network").unlink()
    assert make("PYTHON=python3.12", "install").returncode == 0
    assert (checkout / ".venv" / "downloaded").exists()
    assert installed(checkout) == ["3.12"] * 3


def test_an_environment_of_another_python_than_asked_for_is_made_anew(checkout, pythons, make):
    pythons("3.11", "3.13")
    make("PYTHON=python3.11", "install")
    make("PYTHON=python3.13", "install")
    assert installed(checkout) == ["3.11", "3.13"]


def test_a_good_environment_stays_whatever_python3_is(checkout, pythons, make):
    pythons("3.11", "3.14")
    make("PYTHON=python3.11", "install")
    shutil.copy(checkout / "bin" / "python3.14", checkout / "bin" / "python3")
    (checkout / ".venv" / "kept").touch()
    assert make("install").returncode == 0
    (checkout / "constraints.txt").touch()
    assert make("PYTHON=python3.11", "install").returncode == 0
    assert (checkout / ".venv" / "kept").exists()
    assert installed(checkout) == ["3.11", "3.11"]


def test_the_lowest_versions_are_tried_on_the_lowest_python_only(checkout, pythons, make):
    pythons("3.11", "3.12")
    refused = make("PYTHON=python3.12", "test-lowest")
    assert refused.returncode
    assert "The lowest versions go with Python 3.11 in .venv" in refused.stderr
    assert not (checkout / ".venv-lowest").exists()
    make("PYTHON=python3.11", "test-lowest")
    assert (checkout / ".venv-lowest").exists()


def test_the_makefile_pyproject_and_readme_name_the_same_versions():
    makefile, readme = (REPOSITORY / "Makefile").read_text(), (REPOSITORY / "README.md").read_text()
    versions = re.search(r"^VERSIONS := (.*)$", makefile, re.MULTILINE)[1].split()
    wanted = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    minors = [int(version.split(".")[1]) for version in versions]
    assert wanted["requires-python"] == f">=3.{minors[0]},<3.{minors[-1] + 1}"
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert f"Python {', '.join(versions[:-1])} or {versions[-1]}" in readme
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in versions
