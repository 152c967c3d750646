"""Batches that a provider works on, kept on the disk: a build that ended finds them again.

A row is there from the moment a file is uploaded until its results are among the replies.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recap_assets.captions.kept_file import KeptFile, Layout

KEY_BYTES = 32
"""Of the key of a request, its SHA-256."""

_LAYOUT = Layout(
    number=1,
    table="CREATE TABLE IF NOT EXISTS batches (address TEXT NOT NULL, file_id TEXT NOT NULL, "
    "batch_id TEXT, began INTEGER NOT NULL, keys BLOB NOT NULL, PRIMARY KEY (address, file_id))",
    # Of a batch whose name is lost the provider is asked, but not of the file's: it is synced.
    synchronous="FULL",
    holds="the batches kept in",
    advice="Make room, or move the file away: what its batches were asked is then asked, and paid "
    "for, again",
)


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
        self._file = KeptFile(path, _LAYOUT)

    def at(self, address: str) -> list[PendingBatch]:
        """Those of a provider, the oldest first."""
        rows = self._file.read(
            "SELECT file_id, batch_id, began, keys FROM batches WHERE address = ? "
            "ORDER BY began, file_id",
            (address,),
        )
        return [
            PendingBatch(address, file_id, batch_id, began, _keys_in(keys))
            for file_id, batch_id, began, keys in rows
        ]

    def add(self, address: str, file_id: str, keys: Sequence[bytes]) -> PendingBatch:
        """Keep an uploaded file; it is there once this returns, whatever happens to the process."""
        began = int(time.time())
        self._file.write(
            "INSERT OR REPLACE INTO batches (address, file_id, batch_id, began, keys) "
            "VALUES (?, ?, NULL, ?, ?)",
            (address, file_id, began, b"".join(keys)),
        )
        return PendingBatch(address, file_id, None, began, frozenset(keys))

    def name(self, pending: PendingBatch, batch_id: str | None) -> None:
        """Keep what the provider calls the batch of a file; None where it has to be made again."""
        self._file.write(
            "UPDATE batches SET batch_id = ? WHERE address = ? AND file_id = ?",
            (batch_id, pending.address, pending.file_id),
        )

    def remove(self, pending: PendingBatch) -> None:
        """Forget one whose results are among the replies, or that came to nothing."""
        self._file.write(
            "DELETE FROM batches WHERE address = ? AND file_id = ?",
            (pending.address, pending.file_id),
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _keys_in(joined: bytes) -> frozenset[bytes]:
    starts = range(0, len(joined), KEY_BYTES)
    return frozenset(joined[start : start + KEY_BYTES] for start in starts)
