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

    def session(self, against: Path | None = None) -> "Session":
        """The experiment, opened. Dagster is imported here, so that `recap --help` is quick."""
        from recap_assets.defs.session import Session

        session = Session(self.path, self.settings, against)
        session.export()
        return session
