"""Where a build is, and how each batch of it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from recap_assets.graph.batches import Batch


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
class Finished:
    """A batch that ran, and how it ended."""

    batch: Batch
    seconds: float
    failures: Failures


@dataclass
class State:
    """Where a build is, for whoever shows it."""

    finished_seconds: float = 0.0
    left_seconds: float = 0.0
    running: dict[str, float] = field(default_factory=dict)
    running_seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    n_done: int = 0

    @property
    def share(self) -> float:
        """Done part of the whole, by expected seconds, between 0 and 1."""
        total = self.finished_seconds + self.left_seconds
        return min((self.finished_seconds + self.running_seconds) / total, 1.0) if total else 1.0
