"""Images of evaluation sets at the size that a model takes, cached in files for the next models.

Every checkpoint is evaluated on the same images. What a model is given of an image is a function
of its file's bytes and of the program, so it is cached by a hash of these bytes, in a folder of its
own for each program and size: what comes out is what decoding would give, whatever has changed.

A file `NAME.images` holds n images and behind them their n hashes. It appears whole or not at all
and never changes. Readers read from it by position: had they mapped it, they would be killed where
it is lost on a network's disk, and so they decode.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from math import prod
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np

from recap_assets.evalsets.embedding import Image
from recap_assets.evalsets.webdatasets import Decode

ENDING = ".images"
DIGEST_BYTES = 16

UNUSED = timedelta(days=1)
"""Files that nobody has read for so long make room for others. Younger ones stay: of sets that do
not fit together each would drive out the next, and none would be there when it is asked for."""

GRANT = 64 * 2**20
"""Bytes that are written before all files are counted again, which bounds what several processes
may write beyond the limit."""


@dataclass(frozen=True)
class ImageCache:
    """The files of all sets and sizes.

    Attributes:
        root: Their folder, which has one folder per size, and in it one per set.
        limit: Bytes of all files together.
    """

    root: Path
    limit: int

    @contextmanager
    def of_set(
        self, size: str, name: str, shape: tuple[int, int, int], decode: Decode
    ) -> Generator[Decode]:
        """`decode`, but for what is cached; what is not is cached when the block ends well.

        Args:
            size: What else than the file's bytes decides the pixels, as a folder's name.
            name: The set's name; of two sets of one name each finds its own.
            shape: Height, width and 3 of every image that `decode` gives.
            decode: Bytes to an image; its errors are raised each time.
        """
        if not self.limit:
            yield decode
            return
        folder = self.root / size / name
        folder.mkdir(parents=True, exist_ok=True)
        with _Reader(folder, prod(shape)) as reader, _Writer(folder, self) as writer:
            lock = Lock()

            def cached(content: bytes) -> Image:
                digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
                pixels = reader.read(digest)
                if pixels is not None:
                    return np.frombuffer(pixels, np.uint8).reshape(shape)
                image = decode(content)
                with lock:
                    writer.add(digest, image)
                return image

            yield cached

    def room(self) -> int:
        """Bytes that may be written, at most GRANT; where there are fewer, unused files go."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        too_old = time.time() - UNUSED.total_seconds()
        for used, size, path in files:
            if total + GRANT <= self.limit or used > too_old:
                break
            path.unlink(missing_ok=True)
            total -= size
        return max(0, min(GRANT, self.limit - total))

    def unused(self, age: timedelta) -> list[Path]:
        """Files that nobody has read or written to for so long."""
        limit = time.time() - age.total_seconds()
        return [path for used, _, path in sorted(self._files()) if used < limit]

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each was last read, its bytes, and where it is; those under way included."""
        for path in self.root.glob("*/*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path


class _Reader:
    """What is cached of one set when it is opened."""

    def __init__(self, folder: Path, image_bytes: int) -> None:
        self._folder, self._image_bytes = folder, image_bytes
        self._places: dict[bytes, tuple[int, int]] = {}
        self._read_from: set[int] = set()
        self._open = ExitStack()

    def __enter__(self) -> "_Reader":
        for path in sorted(self._folder.glob(f"[!.]*{ENDING}")):
            with suppress(FileNotFoundError):  # it made room
                self._places |= self._places_in(self._open.enter_context(path.open("rb")))
        return self

    def __exit__(self, *_error: object) -> None:
        for handle in self._read_from:
            os.utime(handle)
        self._open.close()

    def read(self, digest: bytes) -> bytes | None:
        """The pixels; None where they are not cached or cannot be read."""
        if digest not in self._places:
            return None
        handle, start = self._places[digest]
        self._read_from.add(handle)
        try:
            pixels = os.pread(handle, self._image_bytes, start)
        except OSError:
            return None
        return pixels if len(pixels) == self._image_bytes else None

    def _places_in(self, file: IO[bytes]) -> dict[bytes, tuple[int, int]]:
        """Handle and start of each image by its hash; none of a file of another length."""
        handle, n_bytes = file.fileno(), self._image_bytes
        n, rest = divmod(os.fstat(handle).st_size, n_bytes + DIGEST_BYTES)
        digests = os.pread(handle, n * DIGEST_BYTES, n * n_bytes)
        whole = 0 if rest else len(digests) // DIGEST_BYTES
        return {
            digests[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES]: (handle, i * n_bytes)
            for i in range(whole)
        }


class _Writer:
    """What is not cached yet, in a file that gets its name at the end."""

    def __init__(self, folder: Path, cache: ImageCache) -> None:
        self._folder, self._cache = folder, cache
        self._granted = 0
        self._digests: dict[bytes, None] = {}
        self._file: IO[bytes] | None = None
        self._path = folder
        self._has_failed = False

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, error: type[BaseException] | None, *_details: object) -> None:
        if self._file is None:
            return
        try:
            with self._file:
                self._file.write(b"".join(self._digests))
                self._file.flush()
                os.fsync(self._file.fileno())
            if error is None and not self._has_failed:
                self._path.chmod(0o644)
                self._path.replace(self._folder / f"{self._name()}{ENDING}")
        except OSError:  # the disk is full, say: the images are decoded the next time
            self._has_failed = True
        finally:
            self._path.unlink(missing_ok=True)

    def add(self, digest: bytes, image: Image) -> None:
        """Write an image, once, unless there is no room."""
        n_bytes = image.nbytes + DIGEST_BYTES
        if self._has_failed or digest in self._digests:
            return
        try:
            if self._granted < n_bytes:
                self._granted = self._room()
            if self._granted >= n_bytes:
                self._opened().write(np.ascontiguousarray(image).data)
                self._granted -= n_bytes
                self._digests[digest] = None
        except OSError:  # a part of it may have been written
            self._has_failed = True

    def _room(self) -> int:
        """What may still be written, with all that was on the disk, and hashes yet to come."""
        if self._file is not None:
            self._file.flush()
        return self._cache.room() - DIGEST_BYTES * len(self._digests)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            handle, path = tempfile.mkstemp(dir=self._folder, prefix=f".new{ENDING}.")
            self._file, self._path = os.fdopen(handle, "wb"), Path(path)
        return self._file

    def _name(self) -> str:
        """Two processes that wrote the same images name them alike, and one file stays."""
        return hashlib.blake2b(b"".join(self._digests), digest_size=16).hexdigest()
