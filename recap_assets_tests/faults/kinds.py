"""The kinds of faults, and how one is drawn."""

import errno
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from recap_assets_tests.faults.proxy import PATIENCE, How, Trouble
from recap_assets_tests.faults.shim import FOR_EVER, Harm

WRITING = ("create", "write", "sync", "rename")
THREE_DAYS = 3 * 24 * 3600
REQUESTS = ("GET", "PUT")
DISK, STORE, POSTGRES = "disk", "store", "postgres"

STARTS = ("empty", "half", "half", "half")
"""From nothing a build takes about twice as long."""
FROM_NOTHING = ("empty",)
MAY_BE_DONE = ("500", "503", "dropped")


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        calls: The calls of which one is struck.
        error: What they fail with, 0 where they do not.
        signal: What the process group gets.
        harm: What is done to a stopped build's files, see `harms`.
        shift: Seconds that the clock is off, from the call on and in the next build.
        each: Whether a call of one of `calls` alone is drawn, rather than of all.
        lasts: Whether it may go on until the build's end.
        trouble: What an object store answers; `calls` are requests to it then.
        seconds: How late it answers, or what it tells to wait, is one of these.
        refused: Whether a build must end at once then, since it cannot be done well.
        on: What it happens to: `STORE` has the tables there, `POSTGRES` Dagster's records.
        starts: What it begins from is one of these.
    """

    calls: Sequence[str] = WRITING
    error: int = 0
    signal: int = 0
    harm: str = ""
    shift: int = 0
    each: bool = True
    lasts: bool = False
    trouble: How = ""
    seconds: Sequence[float] = (0.0,)
    refused: bool = False
    on: str = DISK
    starts: Sequence[str] = STARTS


def _stopped(harm: str) -> Kind:
    return Kind(signal=signal.SIGSTOP, harm=harm)


def _store(trouble: How, *seconds: float, lasts: bool = False) -> Kind:
    return Kind(REQUESTS, trouble=trouble, seconds=seconds or (0.0,), on=STORE, lasts=lasts)


def _careless(trouble: How) -> Kind:
    return Kind(("PUT",), trouble=trouble, on=STORE, refused=True)


def _postgres(harm: str) -> Kind:
    return Kind(("rename",), signal=signal.SIGSTOP, harm=harm, on=POSTGRES, starts=FROM_NOTHING)


KINDS: Mapping[str, Kind] = {
    "kill -9": Kind(signal=signal.SIGKILL),
    "SIGTERM": Kind(signal=signal.SIGTERM),
    "SIGSTOP": Kind(signal=signal.SIGSTOP),
    "disk full": Kind(("create", "write", "sync"), errno.ENOSPC, each=False, lasts=True),
    "I/O error": Kind(("write", "sync", "rename"), errno.EIO, lasts=True),
    "read-only": Kind(("create", "rename"), errno.EROFS, each=False, lasts=True),
    "too many open files": Kind(("open", "create"), errno.EMFILE, each=False, lasts=True),
    "clock set back": Kind(shift=-THREE_DAYS, each=False),
    "event log locked": _stopped("locked"),
    "event log gone": _stopped("gone"),
    "event log emptied": _stopped("emptied"),
    "event log garbled": _stopped("garbled"),
    "edited, two builds": _stopped("edited"),
    "store answers 500": _store("500", lasts=True),
    "store answers 503": _store("503", 0.0, 1.0),
    "store answers late": _store("late", PATIENCE / 2, 2 * PATIENCE),
    "store breaks off": _store("dropped", lasts=True),
    "store without If-None-Match": _careless("refused"),
    "store that ignores it": _careless("ignored"),
    "PostgreSQL restarted": _postgres("restarted"),
    "PostgreSQL gone": _postgres("down"),
}
SLOW = [name for name, kind in KINDS.items() if kind.on != DISK]
TURNS = 3 * [name for name in KINDS if name not in SLOW] + SLOW
"""A build on a store of moto's takes ten times as long."""
LOGS = ("event log gone", "event log emptied", "event log garbled")

EACH_TENTH = 10


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        number: Which of the run.
        kind: A key of `KINDS`.
        start: What it begins from.
        calls: The calls that are counted.
        first: The number of the call that is struck; 0: it is done before the build.
        last: The number of the last one that is.
        anew: Whether the build is `recap build --jobs 2` with processes of its own.
        performed: Whether a store has done what was asked before it fails.
        seconds: How late it answers, or what it tells to wait.
    """

    number: int
    kind: str
    start: str
    calls: Sequence[str]
    first: int
    last: int
    anew: bool
    performed: bool = False
    seconds: float = 0.0

    @property
    def harm(self) -> Harm:
        """What the shim does."""
        kind = KINDS[self.kind]
        if kind.on == STORE:
            return Harm()
        return Harm(self.calls, self.first, self.last, kind.error, kind.signal, kind.shift)

    @property
    def trouble(self) -> Trouble:
        """What the proxy before a store does."""
        how = KINDS[self.kind].trouble
        return Trouble(how, self.calls, self.first, self.last, self.performed, self.seconds)

    @property
    def where(self) -> str:
        """The call in words."""
        if not self.first:
            return f"before a build of {self.start}"
        lasts = " and on" if self.last >= FOR_EVER else ""
        door = ", recap build --jobs 2" if self.anew else ""
        if self.performed:
            door += ", done all the same"
        return f"{'|'.join(self.calls)} {self.first}{lasts} of {self.start}{door}"


def name_of(number: int) -> str:
    """The kind of the fault of a number: the kinds take turns."""
    return TURNS[number % len(TURNS)]


def draw(seed: int, number: int, counted: Mapping[str, Mapping[str, int]]) -> Fault:
    """The fault of a number, which depends on nothing but these.

    Args:
        seed: Of the run.
        number: Of the fault, from 0; the kinds take turns.
        counted: How many calls and requests an undisturbed build makes, by what it starts from.
    """
    random = Random(f"{seed} {number}")  # noqa: S311 - no secret
    name = name_of(number)
    kind = KINDS[name]
    start = random.choice(kind.starts)
    calls = (random.choice(kind.calls),) if kind.each else tuple(kind.calls)
    first = random.randint(1, sum(counted[start][call] for call in calls))
    last = FOR_EVER if kind.lasts and random.random() < 0.5 else first
    if name in LOGS and random.random() < 0.5:
        start, first, last = "half", 0, 0
    anew = bool(first) and not random.randrange(EACH_TENTH)
    if kind.refused:
        first, last = 1, FOR_EVER
    performed = kind.trouble in MAY_BE_DONE and random.random() < 0.5
    seconds = random.choice(kind.seconds)
    return Fault(number, name, start, calls, first, last, anew, performed, seconds)
