"""This checkout against a former commit: what each piece of work costs now, as a ratio.

Every work of `works.py` runs on both in turns, each side in a process of its own, on the same
inputs and with the same Python and libraries: a former commit that needs others cannot be compared.
Ratios are of processor seconds, this checkout's to the former's, pair by pair: the median of the
rounds counts, the lowest and highest stand beside it. `first` is a process's first run, with what
is done once, such as loading a model; `again` one that follows.

    python benchmarks/against.py --base COMMIT [--only WORK]... [--rounds 5] [--share 1.0]
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from verdicts import machine, verdict
from works import WORKS

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
TARGET = 1.05
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FIRST_RUNS = 2
"""Pairs of processes: each gives one first run."""

Pairs = Sequence[tuple[float, float]]
"""Processor seconds, of this checkout and of the former."""


@contextmanager
def checkout(commit: str, folder: Path) -> Iterator[Path]:
    """The files of a commit in a folder."""
    git = ["git", "-C", str(REPOSITORY), "worktree"]
    add = ["add", "--quiet", "--detach", str(folder), commit]
    try:
        with undisturbed():
            subprocess.run([*git, *add], check=True)
        yield folder
    finally:
        with undisturbed():
            subprocess.run([*git, "remove", "--force", str(folder)], check=folder.exists())


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that would end this process or git wait: half a worktree would stay for ever."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


class Side:
    """A work that is ready in a process of its own, on the package of one checkout."""

    def __init__(self, package: Path, work: str, inputs: Path, share: float) -> None:
        command = [sys.executable, str(HERE / "works.py"), work]
        options = ["--inputs", str(inputs), "--share", str(share)]
        self._process: subprocess.Popen[str] | None = None
        try:
            with undisturbed():  # a signal while it starts would leave it behind
                self._process = subprocess.Popen(
                    [*command, *options],
                    env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"},
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
            self._answer("ready")
        except BaseException:
            if self._process:
                self._process.kill()
                self.close()
            raise

    def run(self) -> float:
        """Processor seconds of one run more."""
        assert self._process
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer(""))

    def close(self) -> None:
        """End it after its run; at once where this process is about to be ended itself."""
        assert self._process
        if isinstance(sys.exception(), SystemExit):
            self._process.kill()
        self._process.communicate()

    def _answer(self, wanted: str) -> str:
        assert self._process
        assert self._process.stdout
        for line in self._process.stdout:
            if line.strip() == wanted or not wanted:
                return line
        sys.exit(f"{self._process.args}: ended with exit code {self._process.wait()}")


def ended(number: int, _frame: object) -> None:
    """Leave by an exception, so that the former commit's files and what runs on them go."""
    sys.exit(128 + number)


def pairs_of(
    work: str, former: Path, inputs: Path, rounds: int, share: float
) -> tuple[Pairs, Pairs]:
    """Of the first runs, and of those that follow."""
    first, again = [], []
    for _ in range(FIRST_RUNS):
        with ExitStack() as stack:
            sides = [Side(package, work, inputs, share) for package in (REPOSITORY, former)]
            for side in sides:
                stack.callback(side.close)
            first.append(tuple(side.run() for side in sides))
            again += [tuple(side.run() for side in sides) for _ in range(rounds)]
    return first, again


def report(what: str, pairs: Pairs) -> None:
    ratios = [now / before for now, before in pairs]
    now, before = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(ratios)
    fastest = min(now for now, _ in pairs) / min(before for _, before in pairs)
    print(
        f"{what}: {ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
        f"{now:.2f} s against {before:.2f} s; "
        f"of the fastest runs {fastest:.3f}",
        flush=True,
    )
    verdict(what, ratio, TARGET, at_most=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="the former commit")
    parser.add_argument("--only", action="append", choices=list(WORKS), help="may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual sizes")
    parser.add_argument("--inputs", type=Path, help="keep what the works read in this folder")
    args = parser.parse_args()
    for number in ENDING:
        signal.signal(number, ended)
    print(f"{machine()}; processor time, ratios to {args.base}")
    with TemporaryDirectory() as scratch, checkout(args.base, Path(scratch) / "former") as former:
        inputs = args.inputs or Path(scratch) / "inputs"
        inputs.mkdir(parents=True, exist_ok=True)
        for work in args.only or WORKS:
            first, again = pairs_of(work, former, inputs, args.rounds, args.share)
            report(f"{work}, first", first)
            report(f"{work}, again", again)


if __name__ == "__main__":
    main()
