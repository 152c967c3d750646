"""Images back from the pool, by the places that the index gives, decoded ahead of their use."""

import hashlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.shards.decoding_threads import SideBySide, decoding_threads
from recap_assets.shards.files import open_range_file
from recap_assets.shards.image_headers import IMAGE_EXTENSIONS
from recap_assets.shards.images import ImageRejected, decode
from recap_assets.shards.manifest import Shard
from recap_assets.shards.pools import ImagePlace, ReadablePool
from recap_assets.shards.sample_texts import MAX_TEXT_BYTES, clean_text
from recap_assets.shards.tar_index import group_members, index_tar
from recap_assets.specs.pool import ImageLimits
from recap_assets.untrusted.decoding import decode_text

Image = NDArray[np.uint8]
T = TypeVar("T")

ENCODED_ROWS = 256
ENCODED_BYTES = 64 * 2**20
DECODED_BYTES = 192 * 2**20
"""Pixels of one batch at most: 256 images of 512 x 512, or 15 of MAX_DECODED_PIXELS."""

CORPUS_WINDOW = 64
"""Samples of a corpus whose bytes are fetched at once."""


class CorpusSample(NamedTuple):
    """One image of a caption corpus, RGB of shape (height, width, 3), with its captions."""

    key: str
    image: Image
    captions: list[str]


class ImageReader:
    """Reads and decodes the images of given rows.

    With `strict`, a shard that cannot be opened or read is an error and not a lack of images.
    """

    def __init__(
        self,
        shards: Mapping[int, Shard],
        pool: ReadablePool,
        min_side: int | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self._pool, self._min_side = pool, min_side
        self._images = pool.open_images(shards, strict=strict)
        self._threads = SideBySide(decoding_threads())

    def read(self, rows: pl.DataFrame) -> list[Image | None]:
        """Decoded images in the order of the rows.

        Args:
            rows: Columns shard, key, offset, size; where sha256 is given too, bytes that do not
                have it count as changed.

        Returns:
            RGB arrays of shape (height, width, 3); None where the row has no image, or the file is
            gone or has changed.
        """
        return [image for _, images in self.read_parts(rows) for image in images]

    def read_parts(self, rows: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, list[Image | None]]]:
        """The rows with their images as `read` gives them, in parts of at most DECODED_BYTES."""
        encoded = deque(self.read_encoded(rows))
        images: list[Image | None] = []
        start = n_bytes = 0
        waiting = (encoded.popleft() for _ in range(rows.height))
        for i, image in enumerate(self._threads.map(self._decoded, waiting)):
            more = 0 if image is None else image.nbytes
            if images and n_bytes + more > DECODED_BYTES:
                yield rows[start:i], images
                images, start, n_bytes = [], i, 0
            images.append(image)
            n_bytes += more
        if images:
            yield rows[start:], images

    def read_encoded(self, rows: pl.DataFrame) -> list[bytes | None]:
        """The images' bytes as they are there, in the order of the rows; else as `read`.

        Raises:
            OSError: With `strict`, where a shard is gone or cannot be read.
        """
        sums = rows["sha256"].to_list() if "sha256" in rows.columns else [None] * rows.height
        return [
            data if data and (wanted is None or hashlib.sha256(data).digest() == wanted) else None
            for data, wanted in zip(self._bytes(rows), sums, strict=True)
        ]

    def close(self) -> None:
        """Close what is open."""
        self._threads.close()
        self._images.close()

    def _bytes(self, rows: pl.DataFrame) -> list[bytes | None]:
        found: list[bytes | None] = [None] * rows.height
        limit = self._pool.limits.max_bytes
        places: dict[int, list[tuple[int, ImagePlace]]] = {}
        columns = rows.select("shard", "key", "offset", "size").iter_rows()
        for at, (shard, key, offset, size) in enumerate(columns):
            if offset is not None and size is not None and 0 < size <= limit:
                places.setdefault(shard, []).append((at, ImagePlace(key, offset, size)))
        for shard, wanted in places.items():
            contents = self._images.fetch(shard, [place for _, place in wanted])
            for (at, _), data in zip(wanted, contents, strict=True):
                found[at] = data
        return found

    def _decoded(self, data: bytes | None) -> Image | None:
        if not data:
            return None
        try:
            return decode(data, self._pool.limits, self._min_side)
        except ImageRejected:
            return None


def iterate_images(
    rows: pl.DataFrame,
    shards: Mapping[int, Shard],
    pool: ReadablePool,
    *,
    batch_size: int,
    min_side: int | None = None,
    ahead: int = 2,
) -> Iterator[tuple[pl.DataFrame, list[Image | None]]]:
    """Batches of rows with their images, in the order of the rows, read and decoded ahead.

    Args:
        rows: Columns shard, key, offset, size, and any others; with sha256 the bytes are verified.
        shards: The shards by number.
        pool: The pool that the shards belong to.
        batch_size: Rows of a batch at most. One of large images has fewer: at most DECODED_BYTES of
            pixels and ENCODED_BYTES of files, or one image.
        min_side: Where given, images may come reduced, but no side below this if it was not.
        ahead: Batches that one background thread keeps ready; memory is bounded by `ahead` + 2.

    Yields:
        The rows of the batch, and an RGB array of shape (height, width, 3) for each, None where
        the image cannot be had any more.
    """

    def batches() -> Iterator[tuple[pl.DataFrame, list[Image | None]]]:
        reader = ImageReader(shards, pool, min_side)
        try:
            for start, end in _by_size(rows["size"].to_list(), batch_size):
                yield from reader.read_parts(rows[start:end])
        finally:
            reader.close()

    return in_background(batches, ahead)


def iterate_encoded(
    rows: pl.DataFrame,
    shards: Mapping[int, Shard],
    pool: ReadablePool,
    *,
    ahead: int = 2,
) -> Iterator[tuple[pl.DataFrame, list[bytes | None]]]:
    """Batches of rows with their images' bytes as they are in the pool, read ahead, not decoded.

    Memory: `ahead` + 2 batches of at most 64 MiB, or of one image where that is longer.

    Args:
        rows: Columns shard, key, offset, size, sha256, and any others.
        shards: The shards by number.
        pool: The pool that the shards belong to.
        ahead: Batches that one background thread keeps ready.

    Yields:
        The rows of the batch, and the bytes of each; None where they have not its sha256.

    Raises:
        OSError: Where a shard is gone or cannot be read.
    """

    def batches() -> Iterator[tuple[pl.DataFrame, list[bytes | None]]]:
        reader = ImageReader(shards, pool, strict=True)
        try:
            for start, end in _by_size(rows["size"].to_list(), ENCODED_ROWS):
                batch = rows[start:end]
                yield batch, reader.read_encoded(batch)
        finally:
            reader.close()

    return in_background(batches, ahead)


def _by_size(sizes: Sequence[int | None], n_rows: int) -> Iterator[tuple[int, int]]:
    """Runs of at most `n_rows` rows and ENCODED_BYTES bytes, each of one row at least."""
    start = total = 0
    for i, size in enumerate(sizes):
        length = size or 0
        if i > start and (total + length > ENCODED_BYTES or i - start >= n_rows):
            yield start, i
            start, total = i, 0
        total += length
    if start < len(sizes):
        yield start, len(sizes)


def iterate_corpus(
    tars: Sequence[str],
    limits: ImageLimits | None = None,
    *,
    min_side: int | None = None,
    on_reject: Callable[[str, str], None] | None = None,
) -> Iterator[CorpusSample]:
    """Images with their captions from tars of an image and a `.txt` with a caption a line.

    Args:
        tars: Their paths or URLs.
        limits: Bounds on an image.
        min_side: Where given, images may come reduced, but no side below this if it was not.
        on_reject: Told key and reason (one of IMAGE_REASONS, missing_image, missing_text,
            text_not_utf8) of each sample that is left out.
    """
    reject = on_reject or (lambda _key, _reason: None)
    limits = limits or ImageLimits.model_validate({})
    for url in tars:
        for key, members in iterate_members(url, ("txt", *IMAGE_EXTENSIONS), limits.max_bytes):
            data = next((members[e] for e in IMAGE_EXTENSIONS if e in members), None)
            captions, why_none = _lines(members.get("txt", b""))
            if data is None or not captions:
                reject(key, "missing_image" if data is None else why_none)
                continue
            try:
                yield CorpusSample(key, decode(data, limits, min_side), captions)
            except ImageRejected as rejection:
                reject(key, rejection.reason)


def iterate_members(
    url: str, extensions: Sequence[str], max_bytes: int = 32 * 2**20
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Samples of one tar, in its order: key, and the bytes of the members asked for.

    Of a repeated member the first counts; a cut tar gives its readable part; members longer than
    `max_bytes` are left out.
    """
    file = open_range_file(url)
    try:
        samples = [s for s in group_members(index_tar(file).members) if not s.repeat]
        for start in range(0, len(samples), CORPUS_WINDOW):
            window = samples[start : start + CORPUS_WINDOW]
            places = [
                (i, extension, member.offset, member.size)
                for i, sample in enumerate(window)
                for extension, member in sample.members.items()
                if extension in extensions and member.size <= max_bytes
            ]
            contents: list[dict[str, bytes]] = [{} for _ in window]
            blocks = file.read_many([(offset, size) for _, _, offset, size in places])
            for (i, extension, _, _), data in zip(places, blocks, strict=True):
                if data is not None:
                    contents[i][extension] = data
            yield from zip((sample.key for sample in window), contents, strict=True)
    finally:
        file.close()


def in_background(make: Callable[[], Iterable[T]], ahead: int) -> Iterator[T]:
    """Iterate in a background thread that keeps at most `ahead` items ready.

    An exception there is raised here, in its place. Closing the iterator ends the thread.
    """
    worker = _ReadAhead(make, ahead)
    try:
        yield from worker.items()
    finally:
        worker.close()


class _ReadAhead(Generic[T]):
    def __init__(self, make: Callable[[], Iterable[T]], ahead: int) -> None:
        self._make = make
        self._ready: queue.Queue[list[T] | BaseException] = queue.Queue(maxsize=max(1, ahead))
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recap-read-ahead", daemon=True)
        self._thread.start()

    def items(self) -> Iterator[T]:
        while ready := self._ready.get():
            if isinstance(ready, BaseException):
                raise ready
            yield from ready

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _work(self) -> None:
        # An empty list says that the source has ended.
        try:
            with closing(_generator(self._make)) as source:
                for item in source:
                    if not self._offer([item]):
                        return
            self._offer([])
        except BaseException as error:
            self._offer(error)

    def _offer(self, ready: list[T] | BaseException) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(ready, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


def _generator(make: Callable[[], Iterable[T]]) -> Generator[T, None, None]:
    yield from make()


def _lines(data: bytes) -> tuple[list[str], str]:
    """A caption a line, and the reason that holds where there is none."""
    text, _ = decode_text(data[:MAX_TEXT_BYTES], is_cut=len(data) > MAX_TEXT_BYTES)
    if text is None:
        return [], "text_not_utf8"
    return [line for line in map(clean_text, text.splitlines()) if line], "missing_text"
