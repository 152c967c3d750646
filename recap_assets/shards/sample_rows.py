"""One row of the pool's index in the making: what an image's bytes tell, and its uid."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

from recap_assets.artefacts.table import UID_BYTES
from recap_assets.shards.files import RangeFile
from recap_assets.shards.image_headers import ImageReason
from recap_assets.shards.images import ImageRejected, image_facts, perceptual_hash_of
from recap_assets.shards.manifest import Shard
from recap_assets.shards.sample_texts import NO_TEXT, FoundText
from recap_assets.specs.pool import ImageLimits


@dataclass
class SampleRow:
    """One row of raw_pool in the making; names as in the table.

    `reject_reason` is one of `indexing.REJECT_REASONS`, None for a good sample.
    """

    key: str
    uid: bytes | None = None
    offset: int | None = None
    size: int | None = None
    image_format: str | None = None
    width: int | None = None
    height: int | None = None
    original_width: int | None = None
    original_height: int | None = None
    text: str | None = None
    text_note: str | None = None
    url: str | None = None
    sha256: bytes | None = None
    original_sha256: bytes | None = None
    perceptual_hash: int | None = None
    reject_reason: str | None = None

    def reject(self, reason: str) -> None:
        """Set the row aside; the first reason stands."""
        self.reject_reason = self.reject_reason or reason

    def take_text(self, found: FoundText) -> None:
        """Take a text, and else the note on its lack, where there is no text yet."""
        if self.text is None and found != NO_TEXT:
            self.text, self.text_note = found


def examine(
    row: SampleRow, file: RangeFile, limits: ImageLimits, named: ImageReason | None = None
) -> None:
    """Take all that an image in a file says; a repeated or oversized one is not read.

    The row has `offset` and `size`, which are those of the image in `file`. `named` is the reason
    where the ending is that of a format that is not read; the bytes tell more.
    """
    if row.size is None or row.offset is None or row.reject_reason in {"duplicate_key", "no_key"}:
        return
    if row.size > limits.max_bytes:
        row.reject("too_large")
        return
    take_image(row, file.read(row.offset, row.size), limits, named)


class ImageRow(NamedTuple):
    """What an image's bytes tell, but for their hash."""

    image_format: str
    width: int
    height: int
    perceptual_hash: int


KnownImages = Mapping[bytes, ImageRow]
"""By the sha256 of usable images what was found of them before, within the same limits."""


@dataclass
class Known:
    """Images that need not be decoded again, and how many were not."""

    images: KnownImages
    n_taken: int = 0
    n_decoded: int = 0


_known: ContextVar[Known | None] = ContextVar("known", default=None)


@contextmanager
def knowing(known: Known) -> Iterator[None]:
    """Within it, what is known of images is taken, and counted."""
    token = _known.set(known)
    try:
        yield
    finally:
        _known.reset(token)


def _take_known(row: SampleRow) -> bool:
    """Take what is known of the row's image; whether anything is."""
    if (known := _known.get()) is None or row.sha256 is None:
        return False
    found = known.images.get(row.sha256)
    if found is None:
        known.n_decoded += 1
        return False
    known.n_taken += 1
    row.image_format, row.width, row.height, row.perceptual_hash = found
    return True


def take_image(
    row: SampleRow, data: bytes, limits: ImageLimits, named: ImageReason | None = None
) -> None:
    """Take all that the bytes of an image tell; what is wrong with it is the row's reason."""
    if data:
        row.sha256 = hashlib.sha256(data).digest()
    if _take_known(row):
        return
    try:
        facts = image_facts(data, limits)
        row.image_format, row.width, row.height, _ = facts
        row.perceptual_hash = perceptual_hash_of(data, limits, facts)
    except ImageRejected as rejection:
        # What is wrong with the image weighs more than what is wrong with its json.
        if row.reject_reason in {None, "bad_json", "bad_uid"}:
            is_named = named is not None and rejection.reason == "unknown_format"
            row.reject_reason = named if is_named else rejection.reason


def settle_uid(row: SampleRow, shard: Shard, repeat: int, keys: set[tuple[bytes, str]]) -> None:
    """Give the row a uid, and no two rows of the shard the same uid and key."""
    if row.uid is None and row.sha256 is not None and not repeat:
        row.uid = row.sha256[:UID_BYTES]
    if row.uid is None or (row.uid, row.key) in keys:
        row.uid = made_up_uid(shard, row.key, repeat)
    keys.add((row.uid, row.key))


def made_up_uid(shard: Shard, key: str, repeat: int) -> bytes:
    """A uid for a row without any, by shard and key."""
    name = json.dumps([shard.name, key, repeat]).encode()
    return hashlib.sha256(name).digest()[:UID_BYTES]
