"""One row for every sample of a shard, the bad ones included, each with its reason.

Everything that later stages need of an image without decoding it again is found here, in one pass
over the shard: where its bytes lie, their sha256, format, size and perceptual hash.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import SHA256_BYTES, STATUS_OK, STATUS_REJECTED, UID_BYTES
from recap_assets.shards.files import (
    LocalFile,
    OutsideFolderError,
    PoolError,
    RangeFile,
    staged,
)
from recap_assets.shards.folder_names import FolderFiles
from recap_assets.shards.image_headers import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS, ImageReason
from recap_assets.shards.images import (
    IMAGE_REASONS,
    ImageRejected,
    image_facts,
    perceptual_hash_of,
)
from recap_assets.shards.manifest import Shard, told_rows
from recap_assets.shards.metadata import Metadata, read_rows
from recap_assets.shards.metadata_join import joined_with_metadata
from recap_assets.shards.sample_texts import (
    FIELDS,
    MAX_TEXT_BYTES,
    MEMBER,
    NO_TEXT,
    FoundText,
    clean_text,
    cleaned_text,
    note_of,
    text_of_bytes,
    text_of_fields,
)
from recap_assets.shards.tar_index import Member, Sample, TarIndex, group_members, index_tar
from recap_assets.specs.pool import FolderPool, ImageLimits, WebDatasetPool
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import decode_json
from recap_assets.untrusted.uid_forms import parse_uid

__all__ = [
    "MAX_JSON_BYTES", "MAX_TEXT_BYTES", "REJECT_REASONS", "SAMPLE_REASONS", "clean_text",
    "index_shard",
]  # fmt: skip

SAMPLE_REASONS: frozenset[str] = frozenset({
    "missing_image", "duplicate_key", "duplicate_uid", "truncated_tar", "bad_tar_header",
    "bad_json", "bad_uid", "outside_folder", "image_without_metadata", "metadata_without_image",
    "extra_image", "no_key", "damaged_row",
})  # fmt: skip
"""missing_image: a key without an image member, or with a link in its place, or a path without a
file. extra_image: a further image of a key; its row has the member's name as key. no_key: a member
whose name has no stem or no extension. duplicate_key: a repeated
member or path; the first is kept. duplicate_uid: an earlier good sample of the shard has this uid.
truncated_tar: the sample in which the tar is cut off. bad_tar_header: the tar cannot be followed
from here on. bad_json, bad_uid: the sample's json or uid cannot be read, so a uid made up from the
image would part it from its metadata. outside_folder: a path out of the pool's folder.
image_without_metadata, metadata_without_image: one side of the pair is missing. damaged_row: a row
of a folder's table that cannot be read, its key is `@row` and its place, behind the others."""

REJECT_REASONS: frozenset[str] = SAMPLE_REASONS | IMAGE_REASONS
"""Every reason that a row of raw_pool can have."""

MAX_JSON_BYTES = 2**20


@dataclass
class _Row:
    """One row of raw_pool in the making; names as in the table."""

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
        """Take a text, and else what is told of its lack, where there is no text yet."""
        if self.text is None and found != NO_TEXT:
            self.text, self.text_note = found


def index_shard(
    shard: Shard, pool: WebDatasetPool | FolderPool, metadata: Metadata | None = None
) -> pl.DataFrame:
    """Index one shard.

    The uid is the json's `uid`, else that of the metadata row with the sample's key, else the first
    16 bytes of the image's sha256; a rejected row without any gets one from shard and key. The text
    is what `text_field` names, by default the `.txt` member, else the json's `caption` or `text`,
    else the metadata's; a good image without text is kept with text null, since it can still be
    captioned. Of two samples with one uid the first in the shard
    stands. Memory: one image at a time, and the rows.

    Returns:
        Columns of RAW_POOL without `partition`, sorted by uid and key.

    Raises:
        OSError: Where the shard is gone or cannot be read.
        PoolError: Where a folder pool's table cannot be used.
    """
    if isinstance(pool, FolderPool):
        rows = list(_folder_rows(shard, pool))
    else:
        with staged(shard.url) as path:
            file = LocalFile(path)
            try:
                rows = list(_tar_rows(shard, file, pool, _uids_by_key(shard, metadata)))
            finally:
                file.close()
    frame = _frame(shard, rows)
    if metadata is not None:
        frame = joined_with_metadata(frame, metadata, _stem(shard), shard.number)
    return _finished(frame)


def _tar_rows(
    shard: Shard, file: RangeFile, pool: WebDatasetPool, uids_by_key: Mapping[str, bytes]
) -> Iterator[_Row]:
    index = index_tar(file)
    samples = group_members(index.members, index.without_data)
    cut = _cut_key(index, samples)
    keys: set[tuple[bytes, str]] = set()
    for sample in samples:
        row = _sample_row(sample, cut, file, pool)
        row.uid = row.uid or (None if sample.repeat else uids_by_key.get(sample.key))
        if row.uid and row.reject_reason in {"bad_json", "bad_uid"}:
            row.reject_reason = None
        _settle_uid(row, shard, sample.repeat, keys)
        yield row
        for number, extra in enumerate(_extra_images(sample)):
            extra.uid = _made_up_uid(shard, extra.key, -1 - number)
            yield extra
    yield from _row_for_the_end(shard, index, cut, {sample.key for sample in samples})


def _sample_row(sample: Sample, cut: str | None, file: RangeFile, pool: WebDatasetPool) -> _Row:
    row = _Row(sample.key)
    if not sample.has_key:
        row.reject("no_key")
    elif sample.repeat:
        row.reject("duplicate_key")
    elif sample.key == cut:
        row.reject("truncated_tar")
    member = MEMBER if pool.text_field is None else pool.text_field.lower()
    fields = FIELDS if pool.text_field is None else (pool.text_field,)
    row.take_text(_member_text(sample, member, file))
    _read_json(row, sample, file, fields)
    _read_image(row, sample, file, pool.limits)
    return row


_RANKS = {ending: rank for rank, ending in enumerate((*IMAGE_EXTENSIONS, *UNREAD_EXTENSIONS))}


def _images_of(sample: Sample) -> list[tuple[str, Member]]:
    """Extensions and members of images, that which counts first; a mask among the last."""
    found = [(e, m) for e, m in sample.members.items() if e.rpartition(".")[2] in _RANKS]
    # One with a dot has no rank; sorting leaves equal ones in their order.
    return sorted(found, key=_rank_of_image) if len(found) > 1 else found


def _rank_of_image(found: tuple[str, Member]) -> int:
    return _RANKS.get(found[0], len(_RANKS))


def _extra_images(sample: Sample) -> Iterator[_Row]:
    """A row for each image of a key beyond the first."""
    for _, member in _images_of(sample)[1:]:
        row = _Row(member.name, offset=member.offset, size=member.size)
        row.reject("extra_image")
        yield row


def _cut_key(index: TarIndex, samples: list[Sample]) -> str | None:
    """Key of the sample that a cut end has left incomplete."""
    if index.end == "complete" or (not samples and not index.cut_member):
        return None
    if index.cut_member:
        return _key_of_cut(index.cut_member, samples)
    if not index.members:
        return None
    sample = next((s for s in samples if index.members[-1] in s.members.values()), None)
    others = set(samples[0].members) - set(IMAGE_EXTENSIONS)
    return sample.key if sample and others - set(sample.members) else None


def _key_of_cut(name: str, samples: list[Sample]) -> str | None:
    (alone,) = group_members([Member(name, 0, 0)])
    keys = {sample.key for sample in samples}
    return next((key for key in (name.rpartition(".")[0], alone.key) if key in keys), alone.key)


def _row_for_the_end(
    shard: Shard, index: TarIndex, cut: str | None, keys: set[str]
) -> Iterator[_Row]:
    """A row for the damage itself, where no sample's row tells of it."""
    if index.end == "complete" or cut in keys or (index.end == "no_end_mark" and not cut):
        return
    row = _Row(cut or f"@{index.end_offset}")
    row.reject("truncated_tar" if index.end in {"truncated", "no_end_mark"} else "bad_tar_header")
    row.uid = _made_up_uid(shard, row.key, 0)
    yield row


def _folder_rows(shard: Shard, pool: FolderPool) -> Iterator[_Row]:
    repeats: dict[str, int] = {}
    keys: set[tuple[bytes, str]] = set()
    files = FolderFiles(pool.images)
    for number, told in enumerate(told_rows(pool, shard.name).iter_rows()):
        image, text, uid, is_damaged = told
        row = _Row(image or f"@row{number}")
        row.take_text(cleaned_text(text))
        repeat = repeats.get(row.key, 0)
        repeats[row.key] = repeat + 1
        if repeat:
            row.reject("duplicate_key")
        if is_damaged:
            row.reject("damaged_row")
        else:
            _read_folder_image(row, files, pool.limits, image)
        if uid is not None:
            row.uid = parse_uid(uid)
            if row.uid is None:
                row.reject("bad_uid")
        _settle_uid(row, shard, repeat, keys)
        yield row


def _read_folder_image(
    row: _Row, files: FolderFiles, limits: ImageLimits, image: str | None
) -> None:
    try:
        file = files.open(image) if image else None
    except OutsideFolderError:
        row.reject("outside_folder")
        return
    except OSError:
        file = None
    if file is None:
        row.reject("missing_image")
        return
    try:
        row.offset, row.size = 0, file.size
        _examine(row, file, limits, UNREAD_EXTENSIONS.get(_ending(row.key)))
    finally:
        file.close()


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.removeprefix(".").lower()


def _read_json(row: _Row, sample: Sample, file: RangeFile, text_fields: tuple[str, ...]) -> None:
    member = sample.members.get("json")
    if member is None:
        return
    try:
        if member.size > MAX_JSON_BYTES:
            row.reject("bad_json")
            return
        content, encoding = decode_json(file.read(member.offset, member.size), MAX_JSON_BYTES)
    except UntrustedError:
        row.reject("bad_json")
        return
    if not isinstance(content, dict):
        row.reject("bad_json")
        return
    found = text_of_fields(content, text_fields)
    row.take_text(
        found if found.note or not found.text else FoundText(found.text, note_of(encoding))
    )
    row.url = clean_text(_string(content, "url"))
    row.original_sha256 = _parse_hex(content.get("sha256"), SHA256_BYTES)
    row.original_width = _pixels(content.get("original_width"))
    row.original_height = _pixels(content.get("original_height"))
    if content.get("uid") is not None:
        row.uid = parse_uid(content["uid"])
        if row.uid is None:
            row.reject("bad_uid")


def _member_text(sample: Sample, extension: str, file: RangeFile) -> FoundText:
    member = sample.members.get(extension)
    if member is None:
        return FoundText(None, "text_is_link") if extension in sample.without_data else NO_TEXT
    data = file.read(member.offset, min(member.size, MAX_TEXT_BYTES))
    return text_of_bytes(data, is_cut=member.size > MAX_TEXT_BYTES)


def _read_image(row: _Row, sample: Sample, file: RangeFile, limits: ImageLimits) -> None:
    images = _images_of(sample)
    if not images:
        row.reject("missing_image")
        return
    extension, member = images[0]
    row.offset, row.size = member.offset, member.size
    _examine(row, file, limits, UNREAD_EXTENSIONS.get(extension))


def _examine(
    row: _Row, file: RangeFile, limits: ImageLimits, named: ImageReason | None = None
) -> None:
    """Everything that the image's bytes tell; a repeated or oversized one is not read.

    `named` is the reason where the ending is that of a format that is not read; bytes tell more.
    """
    if row.size is None or row.offset is None or row.reject_reason in {"duplicate_key", "no_key"}:
        return
    if row.size > limits.max_bytes:
        row.reject("too_large")
        return
    data = file.read(row.offset, row.size)
    if data:
        row.sha256 = hashlib.sha256(data).digest()
    try:
        facts = image_facts(data, limits)
        row.image_format, row.width, row.height, _ = facts
        row.perceptual_hash = perceptual_hash_of(data, limits, facts)
    except ImageRejected as rejection:
        # What is wrong with the image weighs more than what is wrong with its json.
        if row.reject_reason in {None, "bad_json", "bad_uid"}:
            is_named = named is not None and rejection.reason == "unknown_format"
            row.reject_reason = named if is_named else rejection.reason


def _settle_uid(row: _Row, shard: Shard, repeat: int, keys: set[tuple[bytes, str]]) -> None:
    """Give the row a uid, and no two rows of the shard the same uid and key."""
    if row.uid is None and row.sha256 is not None and not repeat:
        row.uid = row.sha256[:UID_BYTES]
    if row.uid is None or (row.uid, row.key) in keys:
        row.uid = _made_up_uid(shard, row.key, repeat)
    keys.add((row.uid, row.key))


def _made_up_uid(shard: Shard, key: str, repeat: int) -> bytes:
    name = json.dumps([shard.name, key, repeat]).encode()
    return hashlib.sha256(name).digest()[:UID_BYTES]


def _parse_hex(digits: object, n_bytes: int) -> bytes | None:
    if not isinstance(digits, str) or len(digits) != 2 * n_bytes:
        return None
    try:
        parsed = bytes.fromhex(digits)
    except ValueError:
        return None
    return parsed if len(parsed) == n_bytes else None


def _string(content: Mapping[str, object], name: str) -> str | None:
    value = content.get(name)
    return value if isinstance(value, str) else None


def _pixels(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 2**31 else None


def _frame(shard: Shard, rows: Iterable[_Row]) -> pl.DataFrame:
    """The rows with their place in the shard as `at`; the schema is enforced."""
    rows = list(rows)
    schema = {
        name: dtype for name, dtype in RAW_POOL.schema.items() if name in _Row.__annotations__
    }
    columns = {name: [getattr(row, name) for row in rows] for name in schema}
    frame = pl.DataFrame(columns, schema=schema, strict=True)
    return frame.with_row_index("at").with_columns(shard=pl.lit(shard.number, pl.Int32))


def _stem(shard: Shard) -> str:
    return PurePosixPath(shard.name).name


def _uids_by_key(shard: Shard, metadata: Metadata | None) -> dict[str, bytes]:
    file = metadata.of_stem(_stem(shard)) if metadata else None
    if file is None or "key" not in file.columns:
        return {}
    rows = read_rows(file, ["key"]).drop_nulls(["uid", "key"])
    return dict(zip(rows["key"], rows["uid"], strict=True))


def _finished(frame: pl.DataFrame) -> pl.DataFrame:
    good = pl.col("reject_reason").is_null()
    first = pl.col("at") == pl.col("at").filter(good).min().over("uid")
    frame = frame.with_columns(
        reject_reason=pl.when(good & ~first)
        .then(pl.lit("duplicate_uid"))
        .otherwise("reject_reason")
    ).with_columns(status=pl.when(good).then(pl.lit(STATUS_OK)).otherwise(pl.lit(STATUS_REJECTED)))
    schema = {name: dtype for name, dtype in RAW_POOL.schema.items() if name != "partition"}
    frame = frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    required = [name for name in schema if not RAW_POOL.columns[name].nullable]
    if any(frame[name].null_count() for name in required):
        msg = f"rows without a value in one of {required}"
        raise PoolError(msg)
    return frame.sort("uid", "key")
