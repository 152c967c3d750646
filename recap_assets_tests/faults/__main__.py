"""Put faults into builds, one after the other; the exit code is 1 where one was not survived."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from recap_assets_tests.faults.harms import damage, edit
from recap_assets_tests.faults.kinds import KINDS, Fault, draw
from recap_assets_tests.faults.shim import Counts, Harm, compile_shim, new_state, why_not
from recap_assets_tests.faults.small import HALF, SELECT, write_experiment

REPOSITORY = Path(__file__).parents[2]
TAIL = 1_500
TRACE = "Traceback (most recent call last)"
MEMORY = "/dev/shm"  # noqa: S108 - what is made in it has a name of its own


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class BrokenError(AssertionError):
    """What must hold after a fault does not."""


class Zygote:
    """The process that forks builds; used by one thread at a time."""

    def __init__(self, library: Path, scratch: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RECAP_")}
        environment |= {
            "LD_PRELOAD": str(library), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2", "HF_HUB_OFFLINE": "1",
            "DAGSTER_HOME": str(REPOSITORY), "DAGSTER_DISABLE_TELEMETRY": "yes",
            "TMPDIR": str(scratch),
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "recap_assets_tests.faults.zygote"], cwd=REPOSITORY,
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        if missed := self._answer()["missed"]:
            raise BrokenError(f"imports started threads, which forks would miss: {missed}")

    def perform(self, **task: Any) -> tuple[int | None, float]:
        """Do a task of `zygote.Task`; the exit code, None where it hung, and seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        return answer["code"], answer["seconds"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BrokenError("the process that forks builds has died")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@dataclass(frozen=True)
class Place:
    """A folder with an experiment, its data and what was printed."""

    folder: Path

    @property
    def log(self) -> Path:
        """What the builds printed."""
        return self.folder / "log"

    def words(self, select: Sequence[str], jobs: int = 1) -> list[str]:
        """After `recap`."""
        where = ["--data", str(self.folder / "data"), "-e", str(self.folder / "experiment.yaml")]
        selected = [word for pattern in select for word in ("--select", pattern)]
        return [*where, "build", "--yes", "--jobs", str(jobs), *selected]

    def read_tables(self, zygote: Zygote) -> None:
        """Read what is there by now in plain polars."""
        code, _ = zygote.perform(words=["tables", str(self.folder)], log=str(self.log))
        if code != 0:
            raise BrokenError(f"a table does not read after the fault: exit code {code}")

    def state(self, zygote: Zygote) -> Mapping[str, Any]:
        """What is there, all tables read."""
        code, _ = zygote.perform(words=["state", str(self.folder)], log=str(self.log))
        if code != 0:
            raise BrokenError(f"the state after the next build does not read: exit code {code}")
        return json.loads((self.folder / "state.json").read_text())

    def armed(self, harm: Harm, shift: int = 0) -> dict[str, str]:
        """Environment of a build."""
        state = new_state(self.folder / "calls", shift=shift)
        return dict(harm.environment(self.folder / "data", state))

    def build(self, zygote: Zygote, select: Sequence[str], shift: int = 0) -> None:
        """Build to the end."""
        environment = self.armed(Harm(), shift)
        code, _ = zygote.perform(
            words=self.words(select), log=str(self.log), environment=environment
        )
        if code != 0:
            raise BrokenError(f"the next build ended with {'a hang' if code is None else code}")


@dataclass
class Undisturbed:
    """What builds without faults do: where faults begin, and what they must end in."""

    starts: dict[str, Path] = field(default_factory=dict)
    counted: dict[str, Mapping[str, int]] = field(default_factory=dict)
    found: dict[bool, Mapping[str, Any]] = field(default_factory=dict)
    """The state at the end, by whether the file was edited."""


@dataclass(frozen=True)
class Verdict:
    """How a fault ended.

    Attributes:
        fault: Which.
        seconds: Of all of it.
        n_done: Calls that were struck.
        trace: Whether a traceback was printed.
        wrong: What does not hold; "" where all does.
    """

    fault: Fault
    seconds: float
    n_done: int
    trace: bool
    wrong: str


class Suite:
    """Everything below one folder."""

    def __init__(self, folder: Path, n_zygotes: int) -> None:
        self.folder, self._select, self._half = folder, SELECT, HALF
        (folder / "inputs").mkdir()
        (folder / "scratch").mkdir()
        self.file = write_experiment(folder / "inputs", folder / "inputs" / "experiment.yaml")
        library = compile_shim(folder)
        self._zygotes: SimpleQueue[Zygote] = SimpleQueue()
        for _ in range(n_zygotes):
            self._zygotes.put(Zygote(library, folder / "scratch"))
        self._all = n_zygotes

    def close(self) -> None:
        """End its processes."""
        for _ in range(self._all):
            self._zygotes.get().close()

    @contextmanager
    def zygote(self) -> Iterator[Zygote]:
        """One of the processes, for oneself."""
        zygote = self._zygotes.get()
        try:
            yield zygote
        finally:
            self._zygotes.put(zygote)

    def place(self, name: str, start: Path | None = None) -> Place:
        """A fresh folder, with a copy of the data of a start."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(self.file, folder / "experiment.yaml")
        if start is not None:
            shutil.copytree(start / "data", folder / "data")
            (folder / "data" / "faults" / "built_from.json").unlink(missing_ok=True)
        else:
            (folder / "data").mkdir()
        return Place(folder)

    def look(self) -> Undisturbed:
        """Build without faults."""
        found = Undisturbed()
        with self.zygote() as zygote:
            half = self.place("half")
            half.build(zygote, self._half)
            for name, start in (("empty", None), ("half", half.folder)):
                place = self.place(f"whole-{name}", start)
                place.build(zygote, self._select)
                found.counted[name] = Counts.read(place.folder / "calls").calls
                state = place.state(zygote)
                if found.found.setdefault(False, state) != state:
                    raise BrokenError("two undisturbed builds differ")
            found.starts["half"] = half.folder
            edited = self.place("edited")
            edit(edited.folder / "experiment.yaml")
            edited.build(zygote, self._select)
            found.found[True] = edited.state(zygote)
        return found

    def run(self, fault: Fault, undisturbed: Undisturbed) -> Verdict:
        """Do one fault."""
        started, wrong, done = time.monotonic(), "", 0
        place = self.place(f"{fault.number:05d}", undisturbed.starts.get(fault.start))
        with self.zygote() as zygote:
            try:
                done = self._disturb(zygote, place, fault)
                place.read_tables(zygote)
                place.build(zygote, self._select, KINDS[fault.kind].shift)
                wanted = undisturbed.found[KINDS[fault.kind].harm == "edited"]
                _compare(place.state(zygote), wanted)
            except BrokenError as error:
                wrong = str(error)
        printed = place.log.read_text(errors="replace") if place.log.exists() else ""
        if trace := TRACE in printed:
            wrong = wrong or "a traceback was printed"
        if not wrong:
            shutil.rmtree(place.folder)
        seconds = time.monotonic() - started
        return Verdict(fault, seconds, done, trace, wrong and f"{wrong}\n{_told(printed)}")

    def _disturb(self, zygote: Zygote, place: Place, fault: Fault) -> int:
        kind = KINDS[fault.kind]
        if not fault.first:
            damage(kind.harm, place.folder)
            return 1
        code, _ = zygote.perform(
            words=place.words(self._select, 2 if fault.anew else 1), log=str(place.log),
            environment=place.armed(fault.harm), anew=fault.anew, harm=kind.harm,
            folder=str(place.folder),
        )  # fmt: skip
        if code is None:
            raise BrokenError("the disturbed build hung")
        return Counts.read(place.folder / "calls").n_done


def _told(printed: str) -> str:
    """The end of what was printed, from the first traceback where there is one."""
    at = printed.find(TRACE)
    return printed[-TAIL:] if at < 0 else printed[max(at - TAIL, 0) : at + 4 * TAIL]


def _compare(state: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if state["left"]:
        raise BrokenError(f"out of date after the next build: {state['left']}")
    for what in ("versions", "contents"):
        if differ := {k for k, _ in state[what].items() ^ wanted[what].items()}:
            raise BrokenError(f"{what} differ from an undisturbed build's: {sorted(differ)}")


def report(verdicts: Sequence[Verdict], seconds: float) -> None:
    """Print a table by kind."""
    by_kind: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_kind[verdict.fault.kind].append(verdict)
    say(f"\n{'kind':<22}{'faults':>8}{'struck':>8}{'tracebacks':>12}{'failed':>8}")
    for kind in KINDS:
        if of := by_kind[kind]:
            struck, traces = sum(v.n_done > 0 for v in of), sum(v.trace for v in of)
            failed = sum(bool(v.wrong) for v in of)
            say(f"{kind:<22}{len(of):>8}{struck:>8}{traces:>12}{failed:>8}")
    failed = sum(bool(v.wrong) for v in verdicts)
    say(f"{len(verdicts)} faults in {seconds:.0f} s, {failed} failed")


def show(verdict: Verdict, done: int, of: int, started: float, seed: int) -> None:
    """Print the line of a fault, and of a failed one how to repeat it."""
    took = time.monotonic() - started
    left = took / done * (of - done)
    fault = verdict.fault
    word = "FAILED" if verdict.wrong else "ok" if verdict.n_done else "ok (not reached)"
    say(
        f"{done}/{of} ETA {int(left // 60)}:{int(left % 60):02d}  #{fault.number} {fault.kind}, "
        f"{fault.where}: {word} in {verdict.seconds:.1f} s"
    )
    if verdict.wrong:
        say(f"  {verdict.wrong}\n  again by: make faults SEED={seed} ONLY={fault.number}")


def arguments() -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m recap_assets_tests.faults", description=__doc__
    )
    parser.add_argument("--faults", type=int, default=1_000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the only faults to do")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="faults at once")
    parser.add_argument(
        "--keep", type=Path, help="a new folder for what failed; else it is deleted"
    )
    return parser.parse_args()


def run_all(folder: Path, asked: argparse.Namespace) -> list[Verdict]:
    """Draw the faults and do them; how each ended."""
    suite, verdicts = Suite(folder, asked.jobs), []
    try:
        undisturbed = suite.look()
        say(f"seed {asked.seed}; calls of undisturbed builds: {undisturbed.counted}")
        numbers = asked.only or range(asked.faults)
        faults = [draw(asked.seed, number, undisturbed.counted) for number in numbers]
        started = time.monotonic()
        with ThreadPoolExecutor(asked.jobs) as threads:
            futures = [threads.submit(suite.run, fault, undisturbed) for fault in faults]
            for future in as_completed(futures):
                verdicts.append(future.result())
                show(verdicts[-1], len(verdicts), len(faults), started, asked.seed)
    finally:
        suite.close()
    return verdicts


def main() -> int:
    """Do what was asked; the exit code."""
    if (reason := why_not()) is not None:
        say(f"skipped: {reason}")
        return 0
    asked, started = arguments(), time.monotonic()
    # In memory where that can be: a build waits for the disk some thousand times.
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults", dir=memory) as scratch:
        folder = asked.keep or Path(scratch).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        verdicts = run_all(folder.resolve(), asked)
    report(verdicts, time.monotonic() - started)
    return int(any(verdict.wrong for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
