"""What every command is given: the options before it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recap_assets.defs.session import Session


@dataclass(frozen=True)
class Chosen:
    """What the options before the subcommand say."""

    path: Path
    settings: tuple[str, ...]

    def session(self, against: Path | None = None, *, only_reads: bool = False) -> "Session":
        """The experiment, opened. What it takes is imported here: `recap --help` is quick.

        Args:
            against: Another experiment's file, whose results it is compared with.
            only_reads: Whether the command makes nothing where nothing was built yet.
        """
        from recap_assets.defs.session import Session

        session = Session(self.path, self.settings, against, only_reads)
        session.export()
        return session

    def reading(self, against: Path | None = None) -> "Session":
        """The experiment, opened by a command that only reads."""
        return self.session(against, only_reads=True)
