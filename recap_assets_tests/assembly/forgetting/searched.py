"""A search of every byte of a folder, by no code of the product's; Parquet and SQLite are read."""

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


@dataclass(frozen=True)
class Wanted:
    """What is searched for: forms of a sample's uid, image hash, image bytes and texts."""

    uid: bytes
    sha256: bytes
    image: bytes
    texts: tuple[str, ...]

    @property
    def forms(self) -> dict[str, bytes]:
        """Bytes by what they are of."""
        halves = self.uid[:8][::-1] + self.uid[8:][::-1]
        found = {
            "uid": self.uid,
            "uid in hex": self.uid.hex().encode(),
            "uid as a UUID": str(uuid.UUID(bytes=self.uid)).encode(),
            "uid as two numbers": halves,
            "image hash": self.sha256,
            "image hash in hex": self.sha256.hex().encode(),
            "image": self.image,
        }
        for text in self.texts:
            found[f"text {text!r}"] = text.encode()
            found[f"text {text!r} in JSON"] = json.dumps(text)[1:-1].encode()
        return found


def found_in(root: Path, wanted: Wanted) -> set[tuple[str, str]]:
    """Each file that holds something, by its path below the root, and what."""
    return {
        (str(path.relative_to(root)), what)
        for path in sorted(root.rglob("*"))
        if path.is_file()
        for what in _in_file(path, wanted)
    }


def _in_file(path: Path, wanted: Wanted) -> Iterator[str]:
    contents = [path.name.encode(), path.read_bytes()]
    if path.suffix == ".parquet":
        contents += list(_cells(pq.ParquetFile(path).read().to_pylist()))
    if contents[1].startswith(b"SQLite format 3"):
        contents += list(_of_database(path))
    for what, form in wanted.forms.items():
        if any(form in content for content in contents):
            yield what


def _cells(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _cells(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _cells(inner)
    elif isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode()


def _of_database(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - a test's file
                yield from _cells(list(row))
