"""The list of URLs as it is there: files, and their rows in one form."""

import hashlib
import json
import posixpath
from dataclasses import dataclass
from typing import cast

import polars as pl
from fsspec.implementations.local import LocalFileSystem

from recap_assets.artefacts.table import UID_BYTES
from recap_assets.pool.kinds.urls.spec import UrlSpec
from recap_assets.shards.files import PoolError, found_at, staged, version_of
from recap_assets.shards.text_tables import NOTE, TextTable, Wanted, listed, path_of
from recap_assets.storage.places import matches, pattern_of, url_of
from recap_assets.untrusted.cells import REENCODED, UNDECODABLE, decoded
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json

ENDINGS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
MAX_URL = 8192

ROWS = pl.Schema(
    {
        "uid": pl.Binary,
        "repeat": pl.Int32,
        "url": pl.String,
        "caption": pl.String,
        "boxes": pl.List(pl.List(pl.Float64)),
        "expected_hash": pl.String,
        "extra": pl.String,
        "refused": pl.String,
    }
)
"""A row of the list. repeat: how many rows with this uid came before it in the file. extra: JSON
object of the additional columns. refused: why it is never asked for: bad_url, bad_uid,
duplicate_uid; bad_boxes, where what to blur cannot be read; bad_encoding, where a text is no
UTF-8; damaged_row; null where it is asked
for."""

_GIVEN = pl.Schema(
    {
        **{name: ROWS[name] for name in ("url", "caption", "boxes", "expected_hash", "extra")},
        "given": pl.String,
        "refused": pl.String,
    }
)
_EXTRA = "extra "
MAX_BOXES_BYTES = 2**20
"""Of the boxes of one image."""

# Only http and https: img2dataset would open file:, ftp: and data: URLs as well.
_URL = rf"^(?i:https?)://[^\x00-\x1f\x7f]{{1,{MAX_URL}}}$"
_HEX = rf"^[0-9a-fA-F]{{{2 * UID_BYTES}}}$"


@dataclass(frozen=True)
class ListFile:
    """A file of the list.

    Attributes:
        name: Its path below the list's folder.
        url: Where it is.
        version: Changes whenever its content may have changed.
    """

    name: str
    url: str
    version: str

    @property
    def ending(self) -> str:
        """`.parquet`, `.csv` and so on."""
        return posixpath.splitext(self.url)[1].lower()


def list_files(urls: str) -> list[ListFile]:
    """The files of a list, sorted by name.

    Args:
        urls: A file, a folder or a glob: a local path or an fsspec URL.

    Raises:
        PoolError: Where there is none.
    """
    fs, root = found_at(urls)
    is_local = isinstance(fs, LocalFileSystem)
    pattern = pattern_of(fs, root)
    base = pattern[0] if pattern else root
    if pattern is not None:
        found = matches(fs, *pattern).values()
    elif fs.isdir(root):
        found = fs.ls(root, detail=True)
    else:
        found = [fs.info(root)] if fs.exists(root) else []
    files = [
        ListFile(
            posixpath.basename(root) if info["name"] == root else _below(info, base),
            url_of(fs, info["name"]),
            version_of(info, info["name"], is_local=is_local),
        )
        for info in found
        if info["type"] == "file" and info["name"].lower().endswith(ENDINGS)
    ]
    if not files:
        msg = (
            f"pool.urls: there is no {', '.join(ENDINGS)} file at {urls}. Give the list of URLs: a "
            "file, or a folder or glob of files"
        )
        raise PoolError(msg)
    return sorted(files, key=lambda file: file.name)


def read_list(file: ListFile, pool: UrlSpec) -> pl.DataFrame:
    """The rows of one file.

    Returns:
        Columns of ROWS, in the order of the file; rows that cannot be read come last.

    Raises:
        PoolError: The file cannot be read, lacks a column, or a column holds something else.
    """
    try:
        with staged(file.url) as path:
            return _judged(_with_uid(_rows(TextTable(path, file.ending, pool.quoting), file, pool)))
    except (UntrustedError, OSError) as error:
        msg = f"pool.urls: {file.url} cannot be read as {file.ending}: {error}"
        raise PoolError(msg) from error


def _rows(table: TextTable, file: ListFile, pool: UrlSpec) -> pl.DataFrame:
    """The rows with the columns `_GIVEN`."""
    wanted = _wanted(table.columns(), file, pool)
    parts: list[pl.DataFrame] = []
    n_damaged = 0
    for batch in table.read(wanted):
        parts.append(_conformed(batch.frame, file, pool))
        n_damaged += batch.damage.n
    refused = pl.Series("refused", ["damaged_row"], dtype=pl.String).new_from_index(0, n_damaged)
    damaged = pl.DataFrame(refused).select(
        pl.col(name) if name == "refused" else pl.lit(None, dtype).alias(name)
        for name, dtype in _GIVEN.items()
    )
    rows = pl.concat([*parts, damaged])
    n_foreign = int((rows["refused"] == "bad_encoding").sum())
    if n_foreign and 2 * n_foreign >= rows.height:
        msg = f"the texts of {n_foreign:,} of {rows.height:,} rows are no UTF-8: convert it"
        raise UntrustedError(msg)
    return rows


def _below(info: dict, folder: str) -> str:
    return posixpath.relpath(info["name"], folder)


def _wanted(columns: list[str], file: ListFile, pool: UrlSpec) -> dict[str, Wanted]:
    """The columns of a file that are used, by role.

    Raises:
        PoolError: One that has to be there is missing.
    """
    needed = {"url": ("url_column", Wanted(pool.url_column))}
    if pool.caption_column is not None:
        needed["caption"] = ("caption_column", Wanted(pool.caption_column))
    if pool.verify_hash is not None:
        needed["expected_hash"] = ("verify_hash.column", Wanted(pool.verify_hash.column))
    for name in pool.save_additional_columns:
        key = f"save_additional_columns ({name})"
        needed[f"{_EXTRA}{name}"] = (key, Wanted(name, "json"))
    for key, one in needed.values():
        if path_of(one.column, columns) is None:
            msg = f"pool.{key}: {file.url} has no column {one.column!r}; it has {listed(columns)}"
            raise PoolError(msg)
    wanted = {role: one for role, (_, one) in needed.items()}
    if pool.uid_column in columns:
        wanted["given"] = Wanted(pool.uid_column)
    if pool.bbox_column in columns:
        wanted["boxes"] = Wanted(str(pool.bbox_column), "any")
    return wanted


def _conformed(frame: pl.DataFrame, file: ListFile, pool: UrlSpec) -> pl.DataFrame:
    rows = frame.with_columns(pl.lit(None).alias(n) for n in _GIVEN if n not in frame.columns)
    # A uid is made from URL and caption for good: no encoding is guessed for it.
    is_foreign = pl.col(NOTE).is_in([REENCODED, UNDECODABLE])
    rows = rows.with_columns(refused=pl.when(is_foreign).then(pl.lit("bad_encoding")))
    if rows.schema["boxes"] != pl.Null:
        boxes, unread = _boxes(rows["boxes"], file, pool)
        rows = rows.with_columns(
            boxes, refused=pl.coalesce("refused", pl.when(unread).then(pl.lit("bad_boxes")))
        )
    extra = [f"{_EXTRA}{name}" for name in pool.save_additional_columns]
    if extra:
        names = [json.dumps(name) for name in pool.save_additional_columns]
        parts = [pl.concat_str(pl.lit(f"{n}:"), c) for n, c in zip(names, extra, strict=True)]
        joined = pl.concat_str(parts, separator=",")
        rows = rows.with_columns(extra=pl.concat_str(pl.lit("{"), joined, pl.lit("}")))
    rows = rows.with_columns(pl.col("expected_hash").cast(pl.String).str.to_lowercase())
    return rows.select(pl.col(name).cast(dtype) for name, dtype in _GIVEN.items())


def _boxes(column: pl.Series, file: ListFile, pool: UrlSpec) -> tuple[pl.Series, pl.Series]:
    """The boxes, and which of them cannot be read: what is to be blurred is unknown then."""
    none = pl.Series([False]).new_from_index(0, len(column))
    if isinstance(column.dtype, pl.List | pl.Array | pl.Null):
        try:
            return column.cast(ROWS["boxes"]), none
        except pl.exceptions.PolarsError as error:
            raise PoolError(_no_boxes(column, file, pool)) from error
    if column.dtype == pl.Binary:
        column = decoded(column).texts
    if column.dtype != pl.String:
        raise PoolError(_no_boxes(column, file, pool))
    found = [_boxes_of(text) for text in column]
    unread = [
        boxes is None and (text or "").strip() not in {"", "null"}
        for text, boxes in zip(column, found, strict=True)
    ]
    return pl.Series(column.name, found, dtype=ROWS["boxes"]), pl.Series(unread, dtype=pl.Boolean)


def _boxes_of(text: str | None) -> list[list[float]] | None:
    """The boxes of a JSON text: lists of four numbers; None where there is none, or another."""
    if not text:
        return None
    try:
        boxes = parse_json(text.encode(), MAX_BOXES_BYTES)
        return [[float(number) for number in box] for box in cast(list[list[float]], boxes)]
    except (UntrustedError, TypeError, ValueError):
        return None


def _no_boxes(column: pl.Series, file: ListFile, pool: UrlSpec) -> str:
    return (
        f"pool.bbox_column: {file.url} has {column.dtype} in {pool.bbox_column!r}; give lists of "
        "boxes, or JSON of them, or set bbox_column to null to blur nothing"
    )


def _with_uid(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds uid, and `refused` where the one given cannot be read."""
    is_hex = pl.col("given").str.contains(_HEX)
    rows = rows.with_columns(
        uid=pl.when(is_hex).then(pl.col("given").str.to_lowercase()).str.decode("hex"),
        refused=pl.coalesce("refused", pl.when(is_hex.not_()).then(pl.lit("bad_uid"))),
    )
    lacking = rows.with_row_index("at").filter(pl.col("uid").is_null())
    made = [_made_uid(*texts) for texts in lacking.select("given", "url", "caption").iter_rows()]
    found = lacking.select("at", uid=pl.Series(made, dtype=pl.Binary))
    return rows.with_row_index("at").update(found, on="at").drop("at")


def _made_uid(*texts: str | None) -> bytes:
    return hashlib.sha256(repr(texts).encode()).digest()[:UID_BYTES]


def _judged(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds repeat and `refused`; of the acceptable rows of a uid the first stands."""
    is_url = pl.col("url").str.contains(_URL).fill_null(value=False)
    rows = rows.with_columns(
        repeat=pl.int_range(pl.len(), dtype=pl.Int32).over("uid"),
        refused=pl.coalesce("refused", pl.when(~is_url).then(pl.lit("bad_url"))),
    )
    good = pl.col("refused").is_null()
    is_repeated = good & (good.cast(pl.Int32).cum_sum().over("uid") > 1)
    refused = pl.when(is_repeated).then(pl.lit("duplicate_uid")).otherwise("refused")
    return rows.with_columns(refused=refused).select(
        pl.col(name).cast(dtype) for name, dtype in ROWS.items()
    )
