"""Batches that a provider works on, kept on the disk: a build that ended finds them again.

SQLite of the standard library, beside the file of replies, for the same reasons (`reply_cache`).
A row is there from the moment a file is uploaded until its results are among the replies.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recap_assets.engines.errors import CaptionServerError

KEY_BYTES = 32
"""Of the key of a request, its SHA-256."""

_LAYOUT = 1
_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class PendingBatch:
    """Requests that were uploaded together.

    Attributes:
        address: The provider's.
        file_id: Its name for the uploaded file.
        batch_id: Its name for the batch; None while nobody knows whether there is one.
        began: When the file was uploaded, in seconds since 1970.
        keys: Of the requests.
    """

    address: str
    file_id: str
    batch_id: str | None
    began: int
    keys: frozenset[bytes]


class PendingBatches:
    """The store; for one thread at a time, and any number of processes.

    Args:
        path: The file; made where it is not there. It must be on a local disk.

    Raises:
        CaptionServerError: The file cannot be opened, or is no such store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _opened(path)

    def at(self, address: str) -> list[PendingBatch]:
        """Those of a provider, the oldest first."""
        with self._explained():
            rows = self._database.execute(
                "SELECT file_id, batch_id, began, keys FROM batches WHERE address = ? "
                "ORDER BY began, file_id",
                (address,),
            ).fetchall()
        return [
            PendingBatch(address, file_id, batch_id, began, _keys_in(keys))
            for file_id, batch_id, began, keys in rows
        ]

    def add(self, address: str, file_id: str, keys: Sequence[bytes]) -> PendingBatch:
        """Keep an uploaded file; it is there once this returns, whatever happens to the process."""
        began = int(time.time())
        with self._explained(), self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO batches (address, file_id, batch_id, began, keys) "
                "VALUES (?, ?, NULL, ?, ?)",
                (address, file_id, began, b"".join(keys)),
            )
        return PendingBatch(address, file_id, None, began, frozenset(keys))

    def name(self, pending: PendingBatch, batch_id: str | None) -> None:
        """Keep what the provider calls the batch of a file; None where it has to be made again."""
        with self._explained(), self._database:
            self._database.execute(
                "UPDATE batches SET batch_id = ? WHERE address = ? AND file_id = ?",
                (batch_id, pending.address, pending.file_id),
            )

    def remove(self, pending: PendingBatch) -> None:
        """Forget one whose results are among the replies, or that came to nothing."""
        with self._explained(), self._database:
            self._database.execute(
                "DELETE FROM batches WHERE address = ? AND file_id = ?",
                (pending.address, pending.file_id),
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            msg = (
                f"the batches kept in {self._path} cannot be used: {error}. Make room, or move the "
                "file away: what its batches were asked is then asked, and paid for, again"
            )
            raise CaptionServerError(msg) from error


def _keys_in(joined: bytes) -> frozenset[bytes]:
    starts = range(0, len(joined), KEY_BYTES)
    return frozenset(joined[start : start + KEY_BYTES] for start in starts)


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_WAIT_SECONDS, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # Of a batch whose name is lost the provider is asked, but not of the file's: it is synced.
        database.execute("PRAGMA synchronous = FULL")
        (layout,) = database.execute("PRAGMA user_version").fetchone()
        if layout not in (0, _LAYOUT):
            msg = f"its layout is {layout}, this program knows {_LAYOUT}"
            raise sqlite3.DatabaseError(msg)
        with database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS batches (address TEXT NOT NULL, "
                "file_id TEXT NOT NULL, batch_id TEXT, began INTEGER NOT NULL, "
                "keys BLOB NOT NULL, PRIMARY KEY (address, file_id))"
            )
            database.execute(f"PRAGMA user_version = {_LAYOUT}")
    except BaseException:
        database.close()
        raise
    return database
