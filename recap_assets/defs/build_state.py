"""Where a build is, and how each batch of it ended."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from recap_assets.graph.batches import Batch
from recap_assets.graph.budget import Spent

KNOWN_SHARE = 0.02
"""From here on the speed so far says when the rest will be done."""
ALMOST = 0.99


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
        n_taken_over: Partitions whose results had been computed before.
        rows: Of each asset with rows of its own how many were computed, reused, and from where: by
            the names of the facts that say so.
        spent: What it spent of a budget.
    """

    failures: Failures
    n_taken_over: int = 0
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

    def add(self, ran: Ran) -> None:
        """Count what a run took over."""
        self.n_taken_over += ran.n_taken_over
        for asset, counts in ran.rows.items():
            self.rows.setdefault(asset, Counter()).update(counts)

    def advance(self) -> None:
        """Take note of the share; what turns out to be longer than expected takes nothing back."""
        self.shown = max(self.shown, self._share())

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
        return min((self.finished_seconds + self.running_seconds) / total, ALMOST)
