"""Replies of captioning servers on the disk, by what was asked: nothing is paid for twice.

A reply takes about half a kilobyte, so a million take half a gigabyte; `recap gc --replies-days N`
removes old ones, and the file may be deleted while nothing is built.
"""

import hashlib
import json
import time
import zlib
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from recap_assets.captions.kept_file import KeptFile, Layout

_LAYOUT = Layout(
    number=1,
    table="CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, written INTEGER NOT NULL, "
    "seconds REAL NOT NULL, body BLOB NOT NULL)",
    synchronous="NORMAL",
    holds="the replies kept in",
    advice="Make room, or move the file away (what it holds is asked again), or set "
    "`cache: false` for the source",
)

_PAGE = "SELECT rowid, key, body FROM replies WHERE rowid > ? ORDER BY rowid LIMIT 1000"
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
        path: The file; made where it is not there. It must be on a local disk.

    Raises:
        CaptionServerError: The file cannot be opened, or is no store of replies.
    """

    def __init__(self, path: Path) -> None:
        self._file = KeptFile(path, _LAYOUT)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def get(self, key: bytes) -> KeptReply | None:
        """The reply to a request; None where there is none, or it can no longer be read."""
        found = self._file.read("SELECT body, seconds FROM replies WHERE key = ?", (key,))
        if not found:
            return None
        packed, seconds = found[0]
        body = _unpacked(packed)
        return None if body is None else KeptReply(body, float(seconds))

    def put(self, key: bytes, reply: KeptReply) -> None:
        """Keep a reply; it is there once this returns, whatever happens to the process."""
        self._file.write(
            "INSERT OR REPLACE INTO replies (key, written, seconds, body) VALUES (?, ?, ?, ?)",
            (key, int(time.time()), reply.seconds, zlib.compress(reply.body, 1)),
        )

    def count(self, older_than: timedelta | None = None) -> int:
        """Replies that are kept; where an age is given, those that were asked for before that."""
        before = (_before(older_than),)
        ((n,),) = self._file.read("SELECT count(*) FROM replies WHERE written < ?", before)
        return int(n)

    def remove(self, older_than: timedelta) -> None:
        """Remove the replies that were asked for longer ago, and give their room back."""
        self._file.write("DELETE FROM replies WHERE written < ?", (_before(older_than),))
        self._file.shrink()

    def with_texts(self, texts: Collection[str]) -> list[bytes]:
        """The requests whose replies hold one of these texts, plain or as JSON writes it."""
        forms = {form for text in texts for form in _forms(text)}
        found: list[bytes] = []
        last = -1
        while rows := self._file.read(_PAGE, (last,)):
            last = rows[-1][0]
            found += [key for _, key, packed in rows if _holds(packed, forms)]
        return found

    def drop(self, keys: Iterable[bytes]) -> None:
        """Remove the replies to these requests, and give their room back."""
        for key in keys:
            self._file.write("DELETE FROM replies WHERE key = ?", (key,))
        self._file.shrink()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "ReplyCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unpacked(packed: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_BYTES)
    except zlib.error:
        return None


def _holds(packed: bytes, forms: Collection[bytes]) -> bool:
    body = _unpacked(packed) or b""
    return any(form in body for form in forms)


def _forms(text: str) -> Iterator[bytes]:
    yield text.encode()
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode()


def _before(age: timedelta | None) -> int:
    """The time so long ago, in seconds since 1970; without an age a time that is yet to come."""
    return 2**62 if age is None else int(time.time() - age.total_seconds())
