"""Fuzz every door for a share of some minutes; the exit code is 1 where something was found."""

import argparse
import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
TAIL = 4_000
START_SECONDS = 120.0
_RUNS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_ERROR = re.compile(r"=== Uncaught Python exception: ===\s*(.*?)\n(?:INFO:|==\d+==)", re.DOTALL)
_REACHED = re.compile(r"cov: (\d+)")


@dataclass(frozen=True)
class Target:
    """A test that hypothesis feeds.

    Attributes:
        module: Its module.
        name: Its function.
    """

    module: str
    name: str

    @property
    def told(self) -> str:
        """File and function."""
        return f"{self.module.rpartition('.')[2]}::{self.name}"


def targets() -> Iterator[Target]:
    """All tests of this folder that hypothesis feeds."""
    for path in sorted(HERE.glob("test_*.py")):
        module = f"{__package__}.{path.stem}"
        for name, test in vars(importlib.import_module(module)).items():
            if name.startswith("test_") and hasattr(test, "hypothesis"):
                yield Target(module, name)


def fuzz(target: Target, seconds: int, seed: int, folder: Path) -> str | None:
    """Fuzz one; what was found, None where nothing was."""
    words = [target.module, target.name, str(seconds), str(seed), str(folder)]
    command = [sys.executable, "-m", f"{__package__}.guided", *words]
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=REPOSITORY, capture_output=True, text=True, errors="replace", check=False,
        timeout=seconds + START_SECONDS,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    runs, reached = _RUNS.findall(printed), _REACHED.findall(printed)
    found = done.returncode != 0
    word = "FOUND" if found else "nothing found"
    n, places = (numbers[-1] if numbers else "?" for numbers in (runs, reached))
    say(f"  {word}; {n} inputs reached {places} places")
    return _told(printed) if found else None


def _told(printed: str) -> str:
    """The error with its traceback; where the fuzzer itself stopped, its last words."""
    error = _ERROR.search(printed)
    return error[1][-TAIL:] if error else printed[-TAIL:]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="of all doors together")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("only", nargs="*", help="parts of the names of the tests to fuzz")
    return parser.parse_args()


def run(chosen: Sequence[Target], seconds: int, seed: int) -> int:
    """Fuzz them one after the other; how many found something."""
    share, started, n_found = max(1, seconds // len(chosen)), time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        for number, target in enumerate(chosen):
            left = (len(chosen) - number) * share
            say(f"{number + 1}/{len(chosen)} ETA {left // 60}:{left % 60:02d}  {target.told}")
            if (found := fuzz(target, share, seed, Path(folder))) is not None:
                n_found += 1
                say(f"{found}\nagain by: pytest {target.module.replace('.', '/')}.py, which has it")
    say(f"{len(chosen)} doors in {time.monotonic() - started:.0f} s, {n_found} with a find")
    return n_found


def main() -> int:
    """Do what was asked; the exit code."""
    asked = arguments()
    if importlib.util.find_spec("atheris") is None:
        say("atheris is missing: `make fuzz` installs it, on Linux and macOS")
        return 2
    names = asked.only or [""]
    chosen = [one for one in targets() if any(name in one.told for name in names)]
    if not chosen:
        say(f"no test of {HERE.name} has a name with {' or '.join(names)}")
        return 2
    return int(run(chosen, asked.seconds, asked.seed) > 0)


if __name__ == "__main__":
    sys.exit(main())
