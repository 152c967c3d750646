"""The list of URLs as it lies there: files, and their rows in one form."""

import hashlib
import posixpath
import re
from dataclasses import dataclass

import fsspec
import polars as pl
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from recap_assets.pool.files import PoolError, version_of
from recap_assets.specs.pool import UrlPool
from recap_assets.specs.tables import UID_BYTES

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
object of the additional columns. refused: why it is never asked for: bad_url, bad_uid or
duplicate_uid; null where it is asked for."""

_GLOB = re.compile(r"[*?\[]")
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


def list_files(urls: str) -> list[ListFile]:
    """The files of a list, sorted by name.

    Args:
        urls: A file, a folder or a glob: a local path or an fsspec URL.

    Raises:
        PoolError: Where there is none.
    """
    fs, root = url_to_fs(urls)
    is_local = isinstance(fs, LocalFileSystem)
    if _GLOB.search(root):
        found = fs.glob(root, detail=True).values()
    elif fs.isdir(root):
        found = fs.ls(root, detail=True)
    else:
        found = [fs.info(root)] if fs.exists(root) else []
    files = [
        ListFile(
            posixpath.basename(info["name"]) if info["name"] == root else _below(info, root),
            info["name"] if is_local else fs.unstrip_protocol(info["name"]),
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


def read_list(file: ListFile, pool: UrlPool) -> pl.DataFrame:
    """The rows of one file.

    Returns:
        Columns of ROWS, in the order of the file.

    Raises:
        PoolError: The file cannot be read, or lacks a column.
    """
    table = _read(file, pool)
    text = {"url": pool.url_column}
    if pool.caption_column is not None:
        text["caption"] = pool.caption_column
    if pool.verify_hash is not None:
        text["expected_hash"] = pool.verify_hash.column
    columns = {name: pl.col(column).cast(pl.String) for name, column in text.items()}
    columns["expected_hash"] = columns.get(
        "expected_hash", pl.lit(None, pl.String)
    ).str.to_lowercase()
    columns["boxes"] = _boxes(table, file, pool)
    columns["extra"] = (
        pl.struct(pool.save_additional_columns).struct.json_encode()
        if pool.save_additional_columns
        else pl.lit(None)
    )
    given = pl.col(pool.uid_column).cast(pl.String) if pool.uid_column in table.columns else None
    columns["given"] = pl.lit(None) if given is None else given
    rows = table.select(
        columns.get(name, pl.lit(None)).cast(ROWS.get(name, pl.String)).alias(name)
        for name in ("url", "caption", "boxes", "expected_hash", "extra", "given")
    )
    return _judged(_with_uid(rows))


def _below(info: dict, root: str) -> str:
    parts = root.split("/")
    fixed = next((i for i, part in enumerate(parts) if _GLOB.search(part)), len(parts))
    return posixpath.relpath(info["name"], "/".join(parts[:fixed]) or "/")


def _read(file: ListFile, pool: UrlPool) -> pl.DataFrame:
    """The columns that are used; of a parquet file no others are read."""
    ending = posixpath.splitext(file.url)[1].lower()
    try:
        with fsspec.open(file.url, "rb") as handle:
            match ending:
                case ".parquet":
                    names = list(pl.read_parquet_schema(handle))  # type: ignore[arg-type]
                    handle.seek(0)  # type: ignore[union-attr]
                    columns = _used(names, file, pool)
                    return pl.read_parquet(handle, columns=columns)  # type: ignore[arg-type]
                case ".csv" | ".tsv":
                    separator = "\t" if ending == ".tsv" else ","
                    table = pl.read_csv(handle, infer_schema=False, separator=separator)  # type: ignore[arg-type]
                case ".json":
                    table = pl.read_json(handle, infer_schema_length=None)  # type: ignore[arg-type]
                case _:
                    table = pl.read_ndjson(handle, infer_schema_length=None)  # type: ignore[arg-type]
            return table.select(_used(table.columns, file, pool))
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"pool.urls: {file.url} cannot be read as {ending}: {error}"
        raise PoolError(msg) from error


def _used(columns: list[str], file: ListFile, pool: UrlPool) -> list[str]:
    """The columns of a file that are used.

    Raises:
        PoolError: One that has to be there is missing.
    """
    wanted = {"url_column": pool.url_column, "caption_column": pool.caption_column}
    if pool.verify_hash is not None:
        wanted["verify_hash.column"] = pool.verify_hash.column
    wanted |= {f"save_additional_columns ({name})": name for name in pool.save_additional_columns}
    for key, column in wanted.items():
        if column is not None and column not in columns:
            known = ", ".join(columns)
            msg = f"pool.{key}: {file.url} has no column {column!r}; it has {known}"
            raise PoolError(msg)
    used = {*wanted.values(), pool.uid_column, pool.bbox_column}
    return [column for column in columns if column in used]


def _boxes(table: pl.DataFrame, file: ListFile, pool: UrlPool) -> pl.Expr:
    name = pool.bbox_column
    if name is None or name not in table.columns:
        return pl.lit(None)
    dtype = table.schema[name]
    if dtype == pl.String:
        return pl.col(name).str.json_decode(ROWS["boxes"])
    if not isinstance(dtype, pl.List | pl.Null):
        msg = (
            f"pool.bbox_column: {file.url} has {dtype} in {name!r}; give lists of boxes, or JSON "
            "of them, or set bbox_column to null to blur nothing"
        )
        raise PoolError(msg)
    return pl.col(name)


def _with_uid(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds uid, and `refused` where the one given cannot be read."""
    is_hex = pl.col("given").str.contains(_HEX)
    rows = rows.with_columns(
        uid=pl.when(is_hex).then(pl.col("given").str.to_lowercase()).str.decode("hex"),
        refused=pl.when(is_hex.not_()).then(pl.lit("bad_uid")),
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
