"""Where a build is, and how each batch of it ended."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from recap_assets.graph.batches import Batch
from recap_assets.graph.budget import Spent
from recap_assets.graph.estimates import Pace, typical_pace

KNOWN_SHARE = 0.02
"""From here on the speed so far says when the rest will be done."""
ALMOST = 0.99
GUESSED_SHARE = 0.5
"""Of what is left; from here on the time left is shown as a guess."""
PACED_SHARE = 0.05
"""From here on the speed of what is at work replaces what it was expected to take."""


@dataclass(frozen=True)
class Failures:
    """What went wrong in a run.

    Attributes:
        whole: Of the run as a whole; None where it ran.
        steps: Of each asset whose step failed.
        unfit: Of each asset that was written and is not what it must be: nothing is made of it.
    """

    whole: str | None = None
    steps: Mapping[str, str] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)

    def of(self, asset: str) -> str | None:
        """What went wrong with one asset."""
        return self.unfit.get(asset) or self.steps.get(asset) or self.whole

    def __bool__(self) -> bool:
        return bool(self.whole or self.steps or self.unfit)


@dataclass(frozen=True)
class Ran:
    """How a run ended.

    Attributes:
        failures: What went wrong in it.
        taken_over: Asset and partition of results that had been computed before.
        rows: Of each asset with rows of its own how many were computed, reused, and from where: by
            the names of the facts that say so.
        spent: What it spent of a budget.
    """

    failures: Failures
    taken_over: Collection[tuple[str, str]] = ()
    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    spent: Spent = field(default_factory=Spent)


@dataclass(frozen=True)
class Finished:
    """A batch that ran, and how it ended."""

    batch: Batch
    seconds: float
    failures: Failures


@dataclass
class State:
    """Where a build is, for whoever shows it.

    Attributes:
        finished_seconds: Expected seconds of what is done.
        left_seconds: Of what is to be done, what is at work included.
        guessed_seconds: Of that what nothing measured says, neither before nor at work.
        running: Done fraction of each partition at work, by its name.
        running_seconds: Expected seconds of the done parts of those.
        failed: What went wrong, by partition.
        n_done: Partitions that are done.
        n_taken_over: Those of them whose results had been computed before.
        rows: As in `Ran`, of all that ran.
        shown: The highest share so far.
    """

    finished_seconds: float = 0.0
    left_seconds: float = 0.0
    guessed_seconds: float = 0.0
    running: dict[str, float] = field(default_factory=dict)
    running_seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    n_done: int = 0
    n_taken_over: int = 0
    rows: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    shown: float = 0.0

    @property
    def share(self) -> float:
        """Done part of the whole, between 0 and 1; never less than before."""
        return self.shown

    @property
    def is_guess(self) -> bool:
        """Whether most of what is left was never measured, nor anything like it."""
        return self.guessed_seconds > GUESSED_SHARE * self.left_seconds

    def add(self, ran: Ran) -> None:
        """Count what a run took over."""
        self.n_taken_over += len(ran.taken_over)
        for asset, counts in ran.rows.items():
            self.rows.setdefault(asset, Counter()).update(counts)

    def advance(self) -> None:
        """Take note of the share; what turns out to be longer than expected takes nothing back."""
        self.shown = max(self.shown, min(self._share(), ALMOST if self.left_seconds else 1.0))

    def seconds_left(self, elapsed: float) -> float | None:
        """At the speed so far; None where hardly anything is done.

        Args:
            elapsed: Seconds since the build began.
        """
        share = self._share()
        return elapsed * (1 - share) / share if share >= KNOWN_SHARE else None

    def _share(self) -> float:
        """By what each part is expected to take now. All of it is done when nothing is left."""
        if not self.left_seconds:
            return 1.0
        total = self.finished_seconds + self.left_seconds
        return min((self.finished_seconds + self.running_seconds) / total, 1.0)


@dataclass(frozen=True)
class AtWork:
    """A batch that runs.

    Attributes:
        elapsed: Seconds since it began.
        done: Asset and done fraction of each of its partitions.
    """

    elapsed: float
    done: Sequence[tuple[str, float]]

    def pace(self, seconds: Mapping[str, float]) -> float | None:
        """How many times longer it takes than expected; None where too little of it is done."""
        whole = sum(seconds[asset] for asset, _ in self.done)
        done = sum(seconds[asset] * share for asset, share in self.done)
        if not whole or done < PACED_SHARE * whole:
            return None
        return self.elapsed / done


def paced(seconds: Mapping[str, float], at_work: Iterable[AtWork]) -> dict[str, float]:
    """What a partition of each asset takes, by the speed of what is at work where it shows.

    Otherwise work that nobody had measured would count as its guess until it ends, and the time
    left would grow as long as it runs.

    Args:
        seconds: What a partition of each asset is expected to take.
        at_work: The batches that run; of several with one asset the mean counts.
    """
    paces: dict[str, list[float]] = {}
    for batch in at_work:
        if (pace := batch.pace(seconds)) is not None:
            for asset in {asset for asset, _ in batch.done}:
                paces.setdefault(asset, []).append(pace)
    shown = {asset: seconds[asset] * sum(those) / len(those) for asset, those in paces.items()}
    return {**seconds, **shown}


def guessed(
    unmeasured: Mapping[str, float], shown: Mapping[str, float], known: Iterable[Pace]
) -> dict[str, float]:
    """What a partition takes of each asset of which nothing, and nothing like it, was measured.

    Args:
        unmeasured: What a partition of each was guessed to take.
        shown: What it takes of those whose speed at work shows: they are left out, and what is
            first at work on a machine says how fast it is.
        known: The paces of what was built there.
    """
    running = [Pace(unmeasured[asset], shown[asset]) for asset in unmeasured.keys() & shown.keys()]
    pace = typical_pace([*known, *running])
    return {asset: pace * guess for asset, guess in unmeasured.items() if asset not in shown}


def shows_pace(seconds: Mapping[str, float], at_work: Iterable[AtWork]) -> set[str]:
    """The assets at work whose speed shows."""
    return {
        asset for batch in at_work if batch.pace(seconds) is not None for asset, _ in batch.done
    }
