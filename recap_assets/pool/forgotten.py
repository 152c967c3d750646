"""Samples that were forgotten, as rows of the pool: counted, and with nothing left of them."""

import hashlib

import polars as pl

from recap_assets.artefacts.table import STATUS_REJECTED, UID_BYTES
from recap_assets.storage.refused import Refused

REASON = "forgotten"
PREFIX = "forgotten-"
"""How the key of such a row begins, and the name of the member that took the sample's place."""
_KEPT = ("partition", "shard")


def set_aside(rows: pl.DataFrame, refused: Refused) -> pl.DataFrame:
    """The rows of the pool, those of forgotten samples without anything that says what they were.

    Args:
        rows: Columns of RAW_POOL, with or without `partition`.
        refused: What was forgotten.
    """
    if not refused:
        return rows
    found = [_stands_for(row, refused) for row in rows.select(_SEEN).iter_rows()]
    if not any(found):
        return rows
    marked = rows.with_columns(_key=pl.Series(found, dtype=pl.String))
    gone = pl.col("_key").is_not_null()
    uids = pl.Series([None if key is None else uid_of(key) for key in found], dtype=pl.Binary)
    blank = {
        name: pl.when(~gone).then(name).alias(name) for name in rows.columns if name not in _KEPT
    }
    blank |= {
        "uid": pl.coalesce(uids, "uid").alias("uid"),
        "key": pl.coalesce("_key", "key").alias("key"),
        "status": pl.when(gone).then(pl.lit(STATUS_REJECTED)).otherwise("status").alias("status"),
        "reject_reason": pl.when(gone).then(pl.lit(REASON)).otherwise("reject_reason")
        .alias("reject_reason"),
    }  # fmt: skip
    return marked.with_columns(*blank.values()).drop("_key")


_SEEN = ("uid", "key", "sha256", "original_sha256", "url", "reject_reason")


def _stands_for(
    row: tuple[bytes, str, bytes | None, bytes | None, str | None, str | None], refused: Refused
) -> str | None:
    """The key of the row that stands for a forgotten sample; None where the row is of no such."""
    uid, key, sha256, original, url, reason = row
    if key.startswith(PREFIX) and reason in {"missing_image", REASON}:
        return key
    if is_refused(refused, uid, (sha256, original), url):
        return key_of(refused, uid, key)
    return None


def is_refused(
    refused: Refused, uid: bytes | None, hashes: tuple[bytes | None, ...], url: str | None
) -> bool:
    """Whether a sample was forgotten, by any of what is known of it."""
    by_hash = any(refused.refuses("sha256", one) for one in hashes)
    return by_hash or refused.refuses("uid", uid) or refused.refuses("url", url)


def key_of(refused: Refused, uid: bytes, key: str) -> str:
    """The key of the row that stands for a sample: no hash of it that others could compute."""
    return PREFIX + refused.mark("row", uid + key.encode())


def uid_of(key: str) -> bytes:
    """The uid of the row with such a key."""
    return hashlib.sha256(key.encode()).digest()[:UID_BYTES]
