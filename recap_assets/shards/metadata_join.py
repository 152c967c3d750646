"""What the metadata adds to the rows of a shard."""

import polars as pl

from recap_assets.artefacts.table import SHA256_BYTES
from recap_assets.shards.metadata import Metadata, read_rows
from recap_assets.shards.sample_texts import MAX_TEXT_BYTES, FoundText, cleaned_text

_FROM_METADATA = {
    "text": "text",
    "url": "url",
    "original_sha256": "sha256",
    "original_width": "original_width",
    "original_height": "original_height",
}
"""Columns of the table that gaps are filled in from, each with the metadata's name for it."""


def joined_with_metadata(
    frame: pl.DataFrame, metadata: Metadata, stem: str, number: int
) -> pl.DataFrame:
    """Fill gaps from the metadata, and set aside what has only one side of the pair.

    Args:
        frame: Rows of one shard: columns of RAW_POOL as far as the shard has them.
        metadata: What is joined, by uid.
        stem: Name of the shard, as a file of the metadata would carry it.
        number: Number of the shard.
    """
    found = metadata.lookup(frame["uid"], [*_FROM_METADATA.values(), "key"], first=stem)
    right = found.rename({name: f"metadata_{name}" for name in found.columns if name != "uid"})
    frame = (
        frame.join(right, on="uid", how="left", maintain_order="left")
        .with_columns(
            (
                pl.coalesce(name, _clean(f"metadata_{theirs}", frame.schema[name])).alias(name)
                for name, theirs in _FROM_METADATA.items()
            ),
            text_note=pl.when(
                pl.col("text").is_not_null() | pl.col("metadata_text").is_null()
            ).then("text_note"),
        )
        .with_columns(
            reject_reason=pl.when(
                pl.col("metadata_stem").is_null() & pl.col("reject_reason").is_null()
            )
            .then(pl.lit("image_without_metadata"))
            .otherwise("reject_reason")
        )
        .select(frame.columns)
    )
    without = _without_image(frame, metadata, found, stem, number)
    return _cut_texts(pl.concat([frame, without], how="diagonal"))


def _without_image(
    frame: pl.DataFrame, metadata: Metadata, found: pl.DataFrame, stem: str, number: int
) -> pl.DataFrame:
    """Metadata rows of this shard whose image is nowhere in it.

    Only a file that carries the shard's name and holds all of its uids that the metadata knows is
    taken to describe this shard: DataComp's own metadata is cut otherwise than its shards.
    """
    file = metadata.of_stem(stem)
    if file is None or found.is_empty() or not (found["stem"] == stem).all():
        return frame.clear()
    rows = read_rows(file, [*_FROM_METADATA.values(), "key"]).filter(pl.col("uid").is_not_null())
    rows = rows.unique("uid", keep="first", maintain_order=True).join(frame, on="uid", how="anti")
    return rows.select(
        pl.lit(number, pl.Int32).alias("shard"),
        "uid",
        pl.coalesce("key", pl.col("uid").bin.encode("hex")).alias("key"),
        *(
            _clean(theirs, frame.schema[name]).alias(name)
            for name, theirs in _FROM_METADATA.items()
        ),
        pl.lit("metadata_without_image").alias("reject_reason"),
    )


def _clean(column: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String:
        text = pl.col(column).str.replace_all("\0", "", literal=True).str.strip_chars()
        return pl.when(text != "").then(text)
    if dtype == pl.Binary:
        digest = pl.col(column).cast(pl.String).str.decode("hex", strict=False)
        return pl.when(digest.bin.size() == SHA256_BYTES).then(digest)
    return pl.col(column).cast(dtype, strict=False)


def _cut_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts of the metadata are bounded as those of the shard are."""
    is_long = (frame["text"].str.len_bytes() > MAX_TEXT_BYTES).fill_null(value=False)
    if not is_long.any():
        return frame
    found = [
        cleaned_text(text) if cut else FoundText(text, note)
        for text, note, cut in zip(frame["text"], frame["text_note"], is_long, strict=True)
    ]
    return frame.with_columns(
        text=pl.Series([text for text, _ in found], dtype=pl.String),
        text_note=pl.Series([note for _, note in found], dtype=pl.String),
    )
