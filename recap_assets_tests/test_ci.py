"""`.ci/run` runs every part, whichever fail, and says at the end which did."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PARTS = (
    "install tools", "lint", "test", "test-long", "docs", "test-browser", "test-bits",
    "test-lowest", "test-faults CI_FAULTS=100",
)  # fmt: skip
MAKE = """#!/bin/sh
echo "$*" >> made.log
case " $FAIL " in *" $1 "*) exit 2 ;; esac
"""
"""Stands for make: writes down what is made, and fails at some of it."""


def ran(folder: Path, *fail: str) -> tuple[int, list[str], list[str]]:
    """The exit code, what was made, and the last lines."""
    for name, script in (("bin/make", MAKE), (".venv/bin/python", "#!/bin/sh\nexit 0\n")):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(script)
        path.chmod(0o755)
    (folder / ".ci").mkdir()
    run = shutil.copy(REPOSITORY / ".ci" / "run", folder / ".ci")
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - our own script
        [run], env={**os.environ, "PATH": path, "FAIL": " ".join(fail)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, (folder / "made.log").read_text().splitlines(), done.stdout.splitlines()


def test_all_parts_are_run_and_timed(tmp_path: Path) -> None:
    code, made, said = ran(tmp_path)
    assert (code, tuple(made)) == (0, PARTS)
    assert [re.sub(r" +\d+ s  make ", "", line) for line in said] == list(PARTS[1:])


def test_what_fails_is_said_at_the_end_and_stops_nothing(tmp_path: Path) -> None:
    code, made, said = ran(tmp_path, "test", "test-faults")
    assert (code, tuple(made)) == (1, PARTS)
    assert said[-2:] == ["FAILED: make test", "FAILED: make test-faults CI_FAULTS=100"]


def test_without_an_environment_nothing_is_run(tmp_path: Path) -> None:
    code, made, _ = ran(tmp_path, "install")
    assert code
    assert made == ["install tools"]


@pytest.mark.parametrize("part", PARTS)
def test_the_parts_are_targets_of_the_makefile(part: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert all(f"\n{one}:" in makefile for one in part.split() if "=" not in one)
