"""What a kind of tracker is: where runs are followed by people, and nothing that decides."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from recap_assets.specs.findings import Finding
from recap_assets.specs.requirements import pip_install
from recap_assets.specs.tracking import TrackerSpec
from recap_assets.untrusted.errors import RecapError

if TYPE_CHECKING:
    import polars as pl

Status = Literal["finished", "failed"]


class TrackingError(RecapError, RuntimeError):
    """A tracker cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class RunIdentity:
    """Which run it is, for a tracker.

    Attributes:
        key: 16 hex digits; the same for what resumes, another for another training.
        name: For people, as `demo/best/seed-0`.
        group: The experiment.
        params: What was trained, by dotted names: mix, seed, settings, data versions.
        tags: Where it comes from: commit and versions of libraries.
    """

    key: str
    name: str
    group: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class OpenRun(Protocol):
    """A run of a tracker. Whatever a method raises is counted, and fails nothing."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Add a point of each figure's curve."""
        ...

    def summarize(self, figures: Mapping[str, float]) -> None:
        """Set the run's results; those of before stay where they are not named."""
        ...

    def table(self, name: str, rows: "pl.DataFrame") -> None:
        """Keep a table with the run, in place of the one of this name."""
        ...

    def close(self, status: Status) -> None:
        """End the run; it can be opened again."""
        ...


class Tracker(TrackerSpec):
    """Where runs are tracked."""

    library: ClassVar[str] = ""
    """The module that it needs, which is imported by its methods only."""

    install_note: ClassVar[str] = ""
    """What pip does not say well of installing it, behind the command."""

    @abstractmethod
    def open(self, run: RunIdentity, folder: Path) -> OpenRun:
        """Begin a run, or resume the one of the same key.

        Args:
            run: Which.
            folder: Where the library may keep files of its own.

        Raises:
            TrackingError: It is not set up.
        """

    @abstractmethod
    def problems(self) -> Iterator[str]:
        """What stands in its way, a sentence each; asked where the library is installed."""

    def require_library(self) -> None:
        """Refuse to go on without the library.

        Raises:
            TrackingError: It is not installed.
        """
        if self.library and util.find_spec(self.library) is None:
            owner = f"{self.distribution or 'recap-assets'}[{self.extra}]" if self.extra else ""
            command = pip_install(owner or self.library)
            msg = f"{self.library} is not installed; run `{command}`{self.install_note}"
            raise TrackingError(msg)

    def doctor(self, where: str) -> Iterator[Finding]:
        """Whether it can be used; `where` is its name in the file."""
        try:
            self.require_library()
        except TrackingError as error:
            yield False, f"{where}: {error}"
            return
        problems = list(self.problems())
        yield from ((False, f"{where}: {problem}") for problem in problems)
        if not problems:
            yield True, f"{where}: {self.word} can be used"
