"""Reading ranges of bytes: local files by pread, everything else by fsspec's range requests."""

import hashlib
import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, cast

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from recap_assets.storage.places import PlaceError, located
from recap_assets.untrusted.errors import RecapError

Range = tuple[int, int]
"""Offset and length in bytes."""

LOCAL_GAP = 16 * 2**10
REMOTE_GAP = 256 * 2**10
MAX_MERGED = 8 * 2**20


class PoolError(RecapError, ValueError):
    """The pool cannot be used as declared. The text says what is wrong and what to do."""


def found_at(where: str, named: str = "pool") -> tuple[AbstractFileSystem, str]:
    """The file system of a part of the pool, and its path there; see `located`.

    Args:
        where: A local path or an fsspec URL.
        named: What of the experiment file names it, for messages.

    Raises:
        PoolError: The protocol is not known, or what reads it is not installed.
    """
    try:
        return located(where)
    except PlaceError as error:
        msg = f"{named}: {error}"
        raise PoolError(msg) from error


class RangeFile(Protocol):
    """A file that gives ranges of its bytes; `readahead` bytes cost about as much as one."""

    size: int
    readahead: int

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset`; fewer than `length` at the end of the file."""
        ...

    def read_many(self, ranges: Sequence[Range]) -> list[bytes | None]:
        """The bytes of each range, in the order given; None where the file gives fewer."""
        ...

    def close(self) -> None:
        """Free what is held; the file gives nothing afterwards."""
        ...


class LocalFile:
    """One descriptor, read with pread, so that it holds no position."""

    readahead = 8 * 2**10

    def __init__(self, path: str | Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self.size = os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset`; fewer than `length` at the end of the file."""
        return os.pread(self._fd, length, offset)

    def read_many(self, ranges: Sequence[Range]) -> list[bytes | None]:
        """The bytes of each range; neighbours are read at once."""
        merged = merge_ranges(ranges, LOCAL_GAP)
        return _cut(ranges, merged, (self.read(offset, length) for (offset, length), _ in merged))

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


class RemoteFile:
    """A file of any fsspec file system, read by range requests."""

    readahead = 2**20

    def __init__(self, fs: AbstractFileSystem, path: str) -> None:
        self._fs, self._path = fs, path
        self.size = int(fs.info(path)["size"])

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset`; fewer than `length` at the end of the file."""
        end = min(offset + length, self.size)
        if end <= offset:
            return b""
        return cast(bytes, self._fs.cat_file(self._path, offset, end))

    def read_many(self, ranges: Sequence[Range]) -> list[bytes | None]:
        """The bytes of each range, in one round of concurrent requests."""
        merged = merge_ranges(ranges, REMOTE_GAP)
        starts = [offset for (offset, _), _ in merged]
        ends = [min(offset + length, self.size) for (offset, length), _ in merged]
        paths = [self._path] * len(merged)
        return _cut(ranges, merged, self._fs.cat_ranges(paths, starts, ends))

    def close(self) -> None:
        """Nothing is held open."""


def open_range_file(url: str) -> RangeFile:
    """Open a local path or an fsspec URL.

    Raises:
        OSError: Where there is no such file.
    """
    fs, path = found_at(url)
    return LocalFile(path) if isinstance(fs, LocalFileSystem) else RemoteFile(fs, path)


@contextmanager
def staged(url: str) -> Iterator[Path]:
    """A local path with the file's content: itself where local, else a copy for as long as needed.

    A copy beats range requests where every byte is read anyway, and memory stays flat.
    """
    fs, path = found_at(url)
    if isinstance(fs, LocalFileSystem):
        yield Path(path)
        return
    with TemporaryDirectory(prefix="recap-shard-") as folder:
        target = Path(folder) / "shard.tar"
        fs.get_file(path, str(target))
        yield target


def version_of(info: dict, path: str, *, is_local: bool) -> str:
    """16 hex digits that change when the file is replaced: size and modification time, or ETag."""
    if is_local:
        return _version_by(Path(path).stat())
    marks = ("ETag", "etag", "LastModified", "last_modified", "mtime", "created", "version_id")
    return _hashed((info.get("size"), *(str(info[mark]) for mark in marks if info.get(mark))))


def seen_of(path: str) -> tuple[str, int]:
    """What `version_of` gives for a local file, and when it was changed in any way, by one look."""
    status = Path(path).stat()
    return _version_by(status), status.st_ctime_ns


def _version_by(status: os.stat_result) -> str:
    return _hashed((status.st_size, status.st_mtime_ns))


def _hashed(parts: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def stamp_of(version: str, path: str) -> str:
    """What `version_of` gave for a local file, and when the file was changed in any way.

    The change time is set by the system alone, so that it shows a file which was replaced by one of
    equal size and time.
    """
    return f"{version} {Path(path).stat().st_ctime_ns}"


def merge_ranges(ranges: Sequence[Range], gap: int) -> list[tuple[Range, list[int]]]:
    """Join ranges that are within `gap` bytes of each other, up to 8 MiB.

    Returns:
        Each joined range with the positions in `ranges` of those it covers, by ascending offset.
    """
    merged: list[tuple[Range, list[int]]] = []
    for i in sorted(range(len(ranges)), key=ranges.__getitem__):
        offset, length = ranges[i]
        if merged:
            (start, size), members = merged[-1]
            end = max(start + size, offset + length)
            if offset <= start + size + gap and end - start <= MAX_MERGED:
                members.append(i)
                merged[-1] = ((start, end - start), members)
                continue
        merged.append(((offset, length), [i]))
    return merged


def _cut(
    ranges: Sequence[Range],
    merged: Sequence[tuple[Range, list[int]]],
    blocks: "Iterator[bytes] | Sequence[bytes]",
) -> list[bytes | None]:
    found: list[bytes | None] = [None] * len(ranges)
    for ((start, _), members), block in zip(merged, blocks, strict=True):
        for i in members:
            offset, length = ranges[i]
            piece = block[offset - start : offset - start + length]
            found[i] = bytes(piece) if len(piece) == length else None
    return found


class OutsideFolderError(ValueError):
    """A path that leads out of its folder."""


def open_below(folder: str, path: str) -> RangeFile:
    """Open a file by its path below a folder: a local path or an fsspec URL.

    Raises:
        OutsideFolderError: For absolute paths, `..` and links that lead out of the folder.
        FileNotFoundError: Where there is no such regular file.
    """
    inside = posixpath.normpath(path)
    if inside.startswith(("/", "../")) or inside in {".", ".."} or "\0" in path:
        raise OutsideFolderError(path)
    fs, root = found_at(folder)
    if not isinstance(fs, LocalFileSystem):
        return RemoteFile(fs, f"{root.rstrip('/')}/{inside}")
    target = (Path(root) / inside).resolve()
    if not target.is_relative_to(Path(root).resolve()):
        raise OutsideFolderError(path)
    # Opening a pipe would wait for its writer.
    if not target.is_file():
        raise FileNotFoundError(path)
    return LocalFile(target)
