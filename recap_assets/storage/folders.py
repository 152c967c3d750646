"""Folders that others read: local or in a bucket, each file whole or not there, with its hash."""

import hashlib
import io
import os
import posixpath
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from fsspec.implementations.local import LocalFileSystem

from recap_assets.storage.changes import about_to_change
from recap_assets.storage.places import located
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import check_regular

PARTIAL = ".partial"
"""End of the name of a file that is being written; a killed process leaves one, the next replaces
it."""

MAX_READ_BYTES = 1 << 30
"""Of a file that is read as a whole: lists of shards, checksums, records."""


class FolderError(RecapError, ValueError):
    """A folder cannot be written to, or is not what it should be; the text says what to do."""


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written: its path below the folder, sha256 in hex, and length in bytes."""

    name: str
    sha256: str
    size: int


class HashedFile(io.RawIOBase):
    """A file for writing, front to back, that hashes what goes through it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file, self._digest, self.n_bytes = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Write all of it."""
        view = memoryview(data).cast("B")
        self._file.write(view)
        self._digest.update(view)
        self.n_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.n_bytes

    def written(self, name: str) -> WrittenFile:
        """What was written so far, under this name."""
        return WrittenFile(name, self._digest.hexdigest(), self.n_bytes)


class Folder:
    """A local folder or an fsspec URL."""

    def __init__(self, url: str) -> None:
        # Others write there too: what was listed once says nothing of now.
        self._fs, root = located(url, use_listings_cache=False)
        self._root = root.rstrip("/")
        self.is_local = isinstance(self._fs, LocalFileSystem)
        self.url = self._root if self.is_local else self._fs.unstrip_protocol(self._root)

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def writing(self, name: str, *, sync: bool = True) -> Iterator[HashedFile]:
        """A new file that takes the name when the block ends without an error.

        In a bucket it is written on this machine first and sent as a whole: no object appears
        before it is complete.

        Args:
            name: Its path below the folder.
            sync: Whether it must survive a loss of power, and not only of the process.
        """
        about_to_change()
        target = self._path(name)
        if self.is_local:
            partial = Path(target).with_name(f".{posixpath.basename(name)}{PARTIAL}")
            partial.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                yield HashedFile(file)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            partial.replace(target)
            return
        with tempfile.TemporaryDirectory(prefix="recap-export-") as staging:
            local = Path(staging) / "file"
            with local.open("wb") as file:
                yield HashedFile(file)
            self._fs.put_file(str(local), target)

    def write(self, name: str, content: bytes, *, sync: bool = True) -> WrittenFile:
        """Write a small file."""
        with self.writing(name, sync=sync) as file:
            file.write(content)
        return file.written(name)

    def read(self, name: str, limit: int = MAX_READ_BYTES) -> bytes | None:
        """A small file's bytes; None where there is no such file.

        Raises:
            FolderError: It is a pipe, a device or a folder, or has more than `limit` bytes.
        """
        path = self._path(name)
        try:
            self._check_regular(path)
            if (self.size(name) or 0) > limit:
                msg = f"{self.url}/{name} has more than {limit:,} bytes: it is not read"
                raise FolderError(msg)
            return cast(bytes, self._fs.cat_file(path))
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        """Length of a file in bytes; None where there is no such file."""
        try:
            return int(self._fs.info(self._path(name))["size"])
        except FileNotFoundError:
            return None

    def hashed(self, name: str) -> WrittenFile | None:
        """Hash a file's bytes again; None where there is no such file.

        Raises:
            FolderError: It is a pipe or a device, whose bytes may never come or never end.
        """
        try:
            self._check_regular(self._path(name))
            with self._fs.open(self._path(name), "rb") as file:
                size = 0
                digest = hashlib.sha256()
                while block := cast(bytes, file.read(2**20)):
                    digest.update(block)
                    size += len(block)
        except (FileNotFoundError, IsADirectoryError):
            return None
        return WrittenFile(name, digest.hexdigest(), size)

    def _check_regular(self, path: str) -> None:
        if not self.is_local or Path(path).is_dir():
            return
        try:
            check_regular(Path(path))
        except UntrustedError as error:
            msg = f"{path}: {error}; remove it"
            raise FolderError(msg) from error

    def names(self, below: str = "") -> list[str]:
        """All files below, by their path from the folder, sorted; unfinished ones included."""
        start = self._path(below) if below else self._root
        found = self._fs.find(start, withdirs=False)
        return sorted(posixpath.relpath(path, self._root) for path in found)

    def top_names(self) -> set[str]:
        """Files and folders of the folder itself."""
        if not self._fs.isdir(self._root):
            return set()
        listed = cast("list[str]", self._fs.ls(self._root, detail=False))
        return {posixpath.basename(path.rstrip("/")) for path in listed} - {""}

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, those that are not there passed over, and folders that this empties."""
        about_to_change()
        parents: set[str] = set()
        for name in names:
            path = self._path(name)
            if self._fs.exists(path):
                self._fs.rm_file(path)
                parents.add(posixpath.dirname(path))
        if self.is_local:
            for parent in sorted(parents, key=len, reverse=True):
                self._drop_empty(Path(parent))

    def remove_all(self) -> None:
        """Remove everything in the folder, and the folder."""
        if self.is_local:
            shutil.rmtree(self._root, ignore_errors=True)
        elif self._fs.exists(self._root):
            self._fs.rm(self._root, recursive=True)

    def _drop_empty(self, folder: Path) -> None:
        root = Path(self._root)
        while folder != root and folder.is_relative_to(root) and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _path(self, name: str) -> str:
        clean = posixpath.normpath(name)
        if clean != name or clean.startswith(("/", "..")) or clean == "." or "\0" in name:
            msg = f"{name!r} is no path of a file below {self.url}"
            raise FolderError(msg)
        return f"{self._root}/{clean}"
