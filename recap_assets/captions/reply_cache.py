"""Replies of captioning servers on the disk, by what was asked: nothing is paid for twice.

SQLite of the standard library in WAL mode: several processes read and write one file, and what was
put is there after a crash of any of them. (diskcache does that too, but reads pickles; of a table
of bytes nothing is ever executed.) A reply takes about half a kilobyte, so a million take half a
gigabyte; `recap gc --replies-days N` removes old ones, and the file may be deleted while nothing is
built.
"""

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from recap_assets.engines.errors import CaptionServerError

_LAYOUT = 1
_WAIT_SECONDS = 60.0
"""How long a process waits for another one's write; a write takes well below a millisecond."""

_MAX_BYTES = 64 * 2**20
"""Of a reply when it is read back: far above what is ever put."""


class KeptReply(NamedTuple):
    """A reply, and the seconds that it took when it was asked for."""

    body: bytes
    seconds: float


def key_of_request(body: bytes) -> bytes:
    """Name of a request: the SHA-256 of its canonical bytes, image and all, but not the address."""
    return hashlib.sha256(body).digest()


class ReplyCache:
    """The store; for one thread at a time, and any number of processes.

    Args:
        path: The file; made where it is not there. It must be on a local disk: SQLite's WAL needs
            memory that all its processes share.

    Raises:
        CaptionServerError: The file cannot be opened, or is no store of replies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _opened(path)

    def get(self, key: bytes) -> KeptReply | None:
        """The reply to a request; None where there is none, or it can no longer be read."""
        with self._explained():
            found = self._database.execute(
                "SELECT body, seconds FROM replies WHERE key = ?", (key,)
            ).fetchone()
        if found is None:
            return None
        try:
            body = zlib.decompressobj().decompress(found[0], _MAX_BYTES)
        except zlib.error:
            return None
        return KeptReply(body, float(found[1]))

    def put(self, key: bytes, reply: KeptReply) -> None:
        """Keep a reply; it is there once this returns, whatever happens to the process."""
        row = (key, int(time.time()), reply.seconds, zlib.compress(reply.body, 1))
        with self._explained(), self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO replies (key, written, seconds, body) VALUES (?, ?, ?, ?)",
                row,
            )

    def count(self, older_than: timedelta | None = None) -> int:
        """Replies that are kept; where an age is given, those that were asked for before that."""
        with self._explained():
            found = self._database.execute(
                "SELECT count(*) FROM replies WHERE written < ?", (_before(older_than),)
            )
            return int(found.fetchone()[0])

    def remove(self, older_than: timedelta) -> None:
        """Remove the replies that were asked for longer ago, and give their room back."""
        with self._explained():
            with self._database:
                self._database.execute(
                    "DELETE FROM replies WHERE written < ?", (_before(older_than),)
                )
            self._database.execute("VACUUM")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> "ReplyCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            msg = (
                f"the replies kept in {self.path} cannot be used: {error}. Make room, or move the "
                "file away (what it holds is asked again), or set `cache: false` for the source"
            )
            raise CaptionServerError(msg) from error


def _before(age: timedelta | None) -> int:
    """The time so long ago, in seconds since 1970; without an age a time that is yet to come."""
    return 2**62 if age is None else int(time.time() - age.total_seconds())


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_WAIT_SECONDS, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # What a crash of the machine may lose are the last replies, never the file.
        database.execute("PRAGMA synchronous = NORMAL")
        (layout,) = database.execute("PRAGMA user_version").fetchone()
        if layout not in (0, _LAYOUT):
            msg = f"its layout is {layout}, this program knows {_LAYOUT}"
            raise sqlite3.DatabaseError(msg)
        if layout != _LAYOUT:
            with database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, "
                    "written INTEGER NOT NULL, seconds REAL NOT NULL, body BLOB NOT NULL)"
                )
                database.execute(f"PRAGMA user_version = {_LAYOUT}")
    except BaseException:
        database.close()
        raise
    return database
