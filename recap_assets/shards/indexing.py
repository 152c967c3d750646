"""One row for every sample of a shard, the bad ones included, each with its reason.

Everything that later stages need of an image without decoding it again is found here, in one pass
over the shard: where its bytes are, their sha256, format, size and perceptual hash.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import STATUS_OK, STATUS_REJECTED
from recap_assets.shards.files import PoolError
from recap_assets.shards.images import IMAGE_REASONS
from recap_assets.shards.manifest import Shard
from recap_assets.shards.metadata import Metadata, read_rows
from recap_assets.shards.metadata_join import joined_with_metadata
from recap_assets.shards.pools import ReadablePool
from recap_assets.shards.sample_rows import Known, SampleRow, knowing

SAMPLE_REASONS: frozenset[str] = frozenset({
    "missing_image", "duplicate_key", "duplicate_uid", "truncated_tar", "bad_tar_header",
    "bad_json", "bad_uid", "outside_folder", "image_without_metadata", "metadata_without_image",
    "extra_image", "no_key", "damaged_row", "forgotten",
})  # fmt: skip
"""missing_image: a key without an image member, or with a link in its place, or a path without a
file. extra_image: a further image of a key; its row has the member's name as key. no_key: a member
whose name has no stem or no extension. duplicate_key: a repeated
member or path; the first is kept. duplicate_uid: an earlier good sample of the shard has this uid.
truncated_tar: the sample in which the tar is cut off. bad_tar_header: the tar cannot be followed
from here on. bad_json, bad_uid: the sample's json or uid cannot be read, so a uid made up from the
image would part it from its metadata. outside_folder: a path out of the pool's folder.
image_without_metadata, metadata_without_image: one side of the pair is missing. damaged_row: a row
of a folder's table that cannot be read, its key is `@row` and its place, behind the others.
forgotten: the sample is on the list of what `recap forget` removed; nothing else is said of it."""

REJECT_REASONS: frozenset[str] = SAMPLE_REASONS | IMAGE_REASONS
"""Every reason that a row of raw_pool can have."""


def index_shard(
    shard: Shard,
    pool: ReadablePool,
    metadata: Metadata | None = None,
    known: Known | None = None,
) -> pl.DataFrame:
    """Index one shard.

    The uid is the json's `uid`, else that of the metadata row with the sample's key, else the first
    16 bytes of the image's sha256; a rejected row without any gets one from shard and key. The text
    is what `text_field` names, by default the `.txt` member, else the json's `caption` or `text`,
    else the metadata's; a good image without text is kept with text null, since it can still be
    captioned. Of two samples with one uid the first in the shard
    stands. Memory: one image at a time, and the rows.

    Args:
        shard: The shard.
        pool: Whose it is.
        metadata: The pool's, where it has any.
        known: Images that are not decoded, by their hash.

    Returns:
        Columns of RAW_POOL without `partition`, sorted by uid and key.

    Raises:
        OSError: Where the shard is gone or cannot be read.
        PoolError: Where a folder pool's table cannot be used.
    """
    with knowing(known or Known({})):
        frame = _frame(shard, pool.index(shard, _uids_by_key(shard, metadata)))
    if metadata is not None:
        frame = joined_with_metadata(frame, metadata, _stem(shard), shard.number)
    return _finished(frame)


def _frame(shard: Shard, rows: Iterable[SampleRow]) -> pl.DataFrame:
    """The rows with their place in the shard as `at`; the schema is enforced."""
    rows = list(rows)
    schema = {
        name: dtype for name, dtype in RAW_POOL.schema.items() if name in SampleRow.__annotations__
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
