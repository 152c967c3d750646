"""The forms in which a uid is written: 32 hex digits, a UUID with dashes, or its 16 bytes."""

import re

import polars as pl

UID_BYTES = 16
_HEX_DIGITS, _DASHED = 32, 36
_HEX = re.compile(r"[0-9a-fA-F]{32}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

UID_WANTED = "32 hex digits, a UUID with dashes, or 16 bytes"
"""For messages."""


def parse_uid(value: object) -> bytes | None:
    """The 16 bytes of a uid in any of its forms; None for anything else."""
    if isinstance(value, bytes):
        if len(value) == UID_BYTES:
            return value
        value = value.decode("ascii", "replace")
    if not isinstance(value, str) or not (_HEX.fullmatch(value) or _UUID.fullmatch(value)):
        return None
    return bytes.fromhex(value.replace("-", ""))


def uids_of(column: pl.Series) -> pl.Series:
    """A column of uids, Binary, null where one is malformed; see `parse_uid`."""
    if column.dtype == pl.Binary:
        if bool((column.bin.size() == UID_BYTES).all()):
            return column
        return pl.Series(column.name, [parse_uid(cell) for cell in column], dtype=pl.Binary)
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Binary)
    digits = column.to_frame("uid")
    if bool((column.str.len_bytes() == _DASHED).any()):
        plain = pl.col("uid").str.replace_all("-", "", literal=True)
        digits = digits.select(
            pl.when(pl.col("uid").str.contains(f"^{_UUID.pattern}$")).then(plain).otherwise("uid")
        )
    found = digits["uid"].str.decode("hex", strict=False)
    size = pl.col("uid").bin.size()
    return (
        found.to_frame("uid")
        .select(pl.when(size == UID_BYTES).then("uid"))["uid"]
        .alias(column.name)
    )
