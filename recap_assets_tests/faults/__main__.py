"""Put faults into builds, one after the other; the exit code is 1 where one was not survived."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from recap_assets_tests.faults import database, store
from recap_assets_tests.faults.harms import damage, edit
from recap_assets_tests.faults.kinds import KINDS, POSTGRES, STORE, Fault, draw, name_of
from recap_assets_tests.faults.places import BrokenError, Place, Zygote
from recap_assets_tests.faults.proxy import Proxy, Trouble
from recap_assets_tests.faults.shim import Counts, compile_shim, why_not
from recap_assets_tests.faults.small import HALF, SELECT, write_experiment

TAIL = 1_500
TRACE = "Traceback (most recent call last)"
MEMORY = "/dev/shm"  # noqa: S108 - what is made in it has a name of its own


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


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

    def __init__(self, folder: Path, n_zygotes: int, store: store.Store | None) -> None:
        self.folder, self._select, self._half = folder, SELECT, HALF
        self._store = store
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

    @contextmanager
    def surrounded(self, place: Place, on: str, start: str | None) -> Iterator[Place]:
        """The place with its tables on the store, or its records in a PostgreSQL of its own."""
        if on == STORE:
            assert self._store is not None
            bucket = f"faults-{place.folder.name}"
            taken = start and f"faults-{start}"
            yield replace(place, environment=self._store.bucket(bucket, taken))
        elif on == POSTGRES:
            with database.database(place.folder) as environment:
                yield replace(place, environment=environment)
        else:
            yield place

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
            if self._store is not None:
                self._look_at_store(zygote, self._store, found)
        return found

    def _look_at_store(self, zygote: Zygote, at: store.Store, found: Undisturbed) -> None:
        """Build without faults with the tables on the store, counting requests."""
        with self.surrounded(self.place("store-half"), STORE, None) as half:
            half.build(zygote, self._half)
        found.starts["store-half"] = half.folder
        for start, name in (("empty", None), ("half", "store-half")):
            folder = self.place(f"store-whole-{start}", found.starts.get(name or ""))
            with (
                self.surrounded(folder, STORE, name) as place,
                Proxy(at.url, Trouble()) as proxy,
            ):
                place.through(at.through(proxy.url)).build(zygote, self._select)
                found.counted[start] = {**found.counted[start], **proxy.counted}
                _compare(place.state(zygote), found.found[False])

    def run(self, fault: Fault, undisturbed: Undisturbed) -> Verdict:
        """Do one fault."""
        started, wrong, done = time.monotonic(), "", 0
        kind = KINDS[fault.kind]
        start = f"store-{fault.start}" if kind.on == STORE else fault.start
        start = start if start in undisturbed.starts else None
        found = self.place(f"{fault.number:05d}", undisturbed.starts.get(start or ""))
        with self.zygote() as zygote, self.surrounded(found, kind.on, start) as place:
            try:
                done = self._disturb(zygote, place, fault)
                place.read_tables(zygote)
                place.build(zygote, self._select, kind.shift)
                _compare(place.state(zygote), undisturbed.found[kind.harm == "edited"])
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
        with ExitStack() as stack:
            proxy = None
            if kind.on == STORE:
                assert self._store is not None
                proxy = stack.enter_context(Proxy(self._store.url, fault.trouble))
                place = place.through(self._store.through(proxy.url))
            code, _ = zygote.perform(
                words=place.words(self._select, 2 if fault.anew else 1), log=str(place.log),
                environment=place.armed(fault.harm), anew=fault.anew, harm=kind.harm,
                folder=str(place.folder),
            )  # fmt: skip
        if kind.on == POSTGRES:
            database.come_back(place.folder)
        if code is None:
            raise BrokenError("the disturbed build hung")
        if kind.refused and code == 0:
            raise BrokenError("a build went well that had to be refused")
        return proxy.seen.n_done if proxy else Counts.read(place.folder / "calls").n_done


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


def possible(numbers: Sequence[int]) -> list[int]:
    """The numbers whose faults can be put into builds on this machine; the others are told."""
    by_place = defaultdict(list)
    for number in numbers:
        by_place[KINDS[name_of(number)].on].append(number)
    for on, reason in ((STORE, store.why_not()), (POSTGRES, database.why_not())):
        if reason is not None and (left_out := by_place.pop(on, None)):
            say(f"skipped: {len(left_out)} faults of {on}: {reason}")
    return sorted(number for some in by_place.values() for number in some)


def run_all(folder: Path, asked: argparse.Namespace) -> list[Verdict]:
    """Draw the faults and do them; how each ended."""
    numbers = possible(asked.only or range(asked.faults))
    with ExitStack() as stack:
        places = {KINDS[name_of(number)].on for number in numbers}
        at = stack.enter_context(store.Store()) if STORE in places else None
        suite = Suite(folder, asked.jobs, at)
        stack.callback(suite.close)
        undisturbed = suite.look()
        say(f"seed {asked.seed}; calls of undisturbed builds: {undisturbed.counted}")
        faults = [draw(asked.seed, number, undisturbed.counted) for number in numbers]
        return _run(suite, faults, undisturbed, asked)


def _run(
    suite: Suite, faults: Collection[Fault], undisturbed: Undisturbed, asked: argparse.Namespace
) -> list[Verdict]:
    verdicts, started = [], time.monotonic()
    with ThreadPoolExecutor(asked.jobs) as threads:
        futures = [threads.submit(suite.run, fault, undisturbed) for fault in faults]
        for future in as_completed(futures):
            verdicts.append(future.result())
            show(verdicts[-1], len(verdicts), len(faults), started, asked.seed)
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
