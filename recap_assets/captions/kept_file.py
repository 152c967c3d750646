"""A file of SQLite beside the tables, which several processes read and write at once.

SQLite of the standard library in WAL mode: what was put is there after a crash of any process.
(diskcache does that too, but reads pickles; of a table of bytes nothing is ever executed.)
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recap_assets.engines.errors import CaptionServerError

_WAIT_SECONDS = 60.0
"""How long a process waits for another one's write; a write takes well below a millisecond."""

Values = tuple[str | bytes | int | float | None, ...]


@dataclass(frozen=True)
class Layout:
    """What is in such a file, and what to say where it cannot be used.

    Attributes:
        number: Of the layout: a file with another one is not touched.
        table: The statement that makes its table.
        synchronous: NORMAL: what a crash of the machine may lose are the last writes, never the
            file. FULL: every write is on the disk when it returns.
        holds: What it holds, as the error begins.
        advice: What to do about it, as the error ends.
    """

    number: int
    table: str
    synchronous: Literal["NORMAL", "FULL"]
    holds: str
    advice: str


class KeptFile:
    """The file; for one thread at a time, and any number of processes.

    Args:
        path: The file; made where it is not there. It must be on a local disk: SQLite's WAL needs
            memory that all its processes share.
        layout: What is in it.

    Raises:
        CaptionServerError: It cannot be opened, or is no file of this layout.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self._layout = path, layout
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _opened(path, layout)

    def read(self, statement: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement finds.

        Raises:
            CaptionServerError: The file cannot be read.
        """
        with self._explained():
            return self._database.execute(statement, values).fetchall()

    def write(self, statement: str, values: Values = ()) -> None:
        """Change rows; it is done once this returns, whatever happens to the process.

        Raises:
            CaptionServerError: The file cannot be written.
        """
        with self._explained(), self._database:
            self._database.execute(statement, values)

    def shrink(self) -> None:
        """Give the room of removed rows back.

        Raises:
            CaptionServerError: The file cannot be written.
        """
        with self._explained():
            self._database.execute("VACUUM")
            # The old pages are in the file until what was written beside it takes their place.
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            msg = f"{self._layout.holds} {self.path} cannot be used: {error}. {self._layout.advice}"
            raise CaptionServerError(msg) from error


def _opened(path: Path, layout: Layout) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_WAIT_SECONDS, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {layout.synchronous}")
        (number,) = database.execute("PRAGMA user_version").fetchone()
        if number not in (0, layout.number):
            msg = f"its layout is {number}, this program knows {layout.number}"
            raise sqlite3.DatabaseError(msg)
        if number != layout.number:
            with database:
                database.execute(layout.table)
                database.execute(f"PRAGMA user_version = {layout.number}")
    except BaseException:
        database.close()
        raise
    return database
