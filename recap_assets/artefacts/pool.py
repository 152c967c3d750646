"""The pool: a row for every sample, and the files that are fetched."""

import polars as pl

from recap_assets.artefacts.table import PARTITION, REASON, SHARD, STATUS, UID, Column, Files, Table

RAW_POOL = Table(
    "raw_pool",
    "A row for every sample of the pool, the bad ones included.",
    {
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "key": Column(pl.String, "Key of the sample in its shard, or its path in the folder."),
        "offset": Column(pl.Int64, "Where the image's bytes begin in the shard.", nullable=True),
        "size": Column(pl.Int64, "Length of the image's bytes.", nullable=True),
        "image_format": Column(pl.String, "JPEG, PNG, GIF or WEBP, by content.", nullable=True),
        "width": Column(pl.Int32, "Pixels.", nullable=True),
        "height": Column(pl.Int32, "Pixels.", nullable=True),
        "original_width": Column(pl.Int32, "Pixels before img2dataset resized.", nullable=True),
        "original_height": Column(pl.Int32, "Pixels before img2dataset resized.", nullable=True),
        "text": Column(pl.String, "The raw alt-text; null where there is none.", nullable=True),
        "text_note": Column(
            pl.String,
            "How the text was read where not as plain UTF-8, or why there is none, such as "
            "`text_not_utf8`, `text_from_cp1252`, `text_no_string`, `text_cut`; null otherwise.",
            nullable=True,
        ),
        "url": Column(pl.String, "Where the image was found.", nullable=True),
        "sha256": Column(pl.Binary, "Of the image's bytes, 32 bytes.", nullable=True),
        "original_sha256": Column(
            pl.Binary,
            "Of the image as it was downloaded, before img2dataset resized it, as the json or the "
            "metadata says; 32 bytes.",
            nullable=True,
        ),
        "perceptual_hash": Column(pl.Int64, "64-bit DCT hash of the image.", nullable=True),
        "status": STATUS,
        "reject_reason": REASON,
    },
    slices=("partition",),
    order=("shard", "uid", "key"),
)

POOL_COLUMNS = Table(
    "pool_columns",
    "A row for every usable sample and column of `pool.columns`.",
    {
        "column": Column(pl.String, "The column's name in the experiment."),
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "text": Column(
            pl.String,
            "The value as text, of a list its elements joined by commas; null where the sample has "
            "none, or an object.",
            nullable=True,
        ),
    },
    slices=("column", "partition"),
    order=("shard", "uid"),
)

DOWNLOAD_FAILURES = Table(
    "download_failures",
    "A row for every row of the list of URLs that gave no image.",
    {
        "partition": PARTITION,
        "shard": SHARD,
        "uid": UID,
        "repeat": Column(pl.Int32, "0 for the first row of the uid in its file, then 1, ..."),
        "url": Column(pl.String, "As listed, cut at 2,048 characters.", nullable=True),
        "status": Column(
            pl.String,
            "`refused` (never asked for), `failed_to_download`, `opted_out` or `failed_to_resize`.",
        ),
        "reject_reason": Column(pl.String, "The kind of failure: http_404, timeout, ..."),
        "message": Column(pl.String, "What img2dataset said, cut at 200 characters."),
    },
    slices=("partition",),
    order=("shard", "uid", "repeat"),
)

DOWNLOADED_SHARDS = Files("downloaded_shards")
"""Tars of the images that a list of URLs names."""
