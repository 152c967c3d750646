"""The table of a folder of images: its rows in shards that nobody wrote."""

import hashlib
import posixpath
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import polars as pl
from fsspec.implementations.local import LocalFileSystem

from recap_assets.pool.kinds.folder.spec import FolderSpec
from recap_assets.shards.files import PoolError, found_at, seen_of, staged, version_of
from recap_assets.shards.folder_names import by_same_name, same_name
from recap_assets.shards.manifest import ShardFile
from recap_assets.shards.sample_texts import MAX_JSON_BYTES
from recap_assets.shards.text_tables import TextTable, Wanted, listed, path_of
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_FOLDER_ROWS = pl.Schema({"image": pl.String, "text": pl.String, "uid": pl.String})
_DAMAGED = "is_damaged"


def folder_rows(pool: FolderSpec, shard_name: str) -> pl.DataFrame:
    """The rows of one virtual shard: columns image, text and uid, all String; uid null if unset.

    Raises:
        PoolError: Where the table cannot be read or lacks a column.
    """
    return listed_rows(pool, shard_name).select(_FOLDER_ROWS.names())


def listed_rows(pool: FolderSpec, shard_name: str) -> pl.DataFrame:
    """`folder_rows` with a column is_damaged: true of a row that cannot be read.

    Raises:
        PoolError: Where the table cannot be read or lacks a column.
    """
    index = int(shard_name.rpartition("-")[2])
    return _texts(pool).slice(index * pool.samples_per_shard, pool.samples_per_shard)


def column_of(pool: FolderSpec, shard_name: str, column: str) -> Iterator[tuple[str, object]]:
    """The values of a column for the images of one virtual shard, by the images' paths.

    Raises:
        PoolError: Where the table cannot be read or lacks the column.
    """
    images = folder_rows(pool, shard_name)["image"].drop_nulls().unique()
    with _read(pool) as table:
        is_json = table.ending.startswith((".json", ".ndjson"))
        wanted = {
            "image": Wanted(pool.image_column, "image"),
            "value": Wanted(column, "json" if is_json else "any"),
        }
        if missing := table.missing(wanted):
            msg = (
                f"pool.columns: {pool.texts} has no column {missing[0]!r}; it has "
                f"{listed(table.columns())}"
            )
            raise PoolError(msg)
        for batch in table.read(wanted):
            rows = batch.frame.filter(pl.col("image").is_in(images.implode()))
            for image, value in rows.select("image", "value").iter_rows():
                yield image, _parsed(value) if is_json else value


def table_version(pool: FolderSpec) -> str:
    """What changes when the table is replaced; the same where there is none, which reading says."""
    fs, path = found_at(pool.texts)
    try:
        return version_of(fs.info(path), path, is_local=isinstance(fs, LocalFileSystem))
    except OSError:
        return "none"


def local_table(pool: FolderSpec) -> Path | None:
    """Where the table is, if it is on this machine."""
    fs, path = found_at(pool.texts)
    return Path(path) if isinstance(fs, LocalFileSystem) else None


def _parsed(value: str | None) -> object:
    try:
        return None if value is None else parse_json(value.encode(), MAX_JSON_BYTES)
    except UntrustedError:
        return None


def virtual_shards(pool: FolderSpec) -> list[ShardFile]:
    """The rows of the table in shards of `samples_per_shard`.

    Raises:
        PoolError: The table cannot be used, or has no rows, or there is no folder.
    """
    rows = _texts(pool)
    if rows.is_empty():
        msg = f"pool.texts: {pool.texts} has no rows. Give a table with a row for each image"
        raise PoolError(msg)
    files = _image_files(pool)
    others = by_same_name(files)
    shards: list[ShardFile] = []
    for index, part in enumerate(rows.iter_slices(pool.samples_per_shard)):
        images = [files.get(_found(image, files, others)) for image in part["image"]]
        shards.append(_shard(pool, index, part, images))
    return shards


def _shard(
    pool: FolderSpec, index: int, rows: pl.DataFrame, images: "Sequence[_File | None]"
) -> ShardFile:
    lines = rows.select(_FOLDER_ROWS.names()).write_csv(include_header=False)
    version = _digest(lines + repr([one and one.mark for one in images]))
    size = sum(one.size for one in images if one)
    times = [one and one.changed for one in images]
    stamp = f"{version} {_digest(repr(times))} {_digest(pool.images)}" if any(times) else ""
    return ShardFile(f"rows-{index:08d}", pool.texts, size, version, stamp=stamp)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _found(image: str | None, names: Container[str], others: Mapping[str, str]) -> str:
    """The file of the folder that a row means, as FolderFiles opens it."""
    name = posixpath.normpath(image) if image else ""
    return name if name in names else others.get(same_name(name), name)


class _File(NamedTuple):
    """An image as a look sees it: its version, its bytes, and when it was changed in any way.

    In nanoseconds since 1970; 0 where the file system does not say when.
    """

    mark: str
    size: int
    changed: int


def _image_files(pool: FolderSpec) -> dict[str, _File]:
    """Every file below the folder, by path below it."""
    fs, root = found_at(pool.images)
    if not fs.isdir(root):
        msg = f"pool.images: there is no folder {pool.images}. Give the folder of the images"
        raise PoolError(msg)
    is_local = isinstance(fs, LocalFileSystem)
    files: dict[str, _File] = {}
    for path, info in cast(dict[str, dict], fs.find(root, detail=True)).items():
        mark, changed = seen_of(path) if is_local else (version_of(info, path, is_local=False), 0)
        files[posixpath.relpath(path, root)] = _File(mark, int(info["size"]), changed)
    return files


def _texts(pool: FolderSpec) -> pl.DataFrame:
    """As in `listed_rows`; rows that cannot be read come last, with null in the other columns."""
    with _read(pool) as table:
        return _rows_of(pool, table)


@contextmanager
def _read(pool: FolderSpec) -> Iterator[TextTable]:
    """The table on this machine; what cannot be read of it is explained.

    Raises:
        PoolError: Where the table cannot be read.
    """
    ending = next((e for e in TABLE_ENDINGS if pool.texts.lower().endswith(e)), None)
    if ending is None:
        shown = posixpath.splitext(pool.texts)[1]
        msg = f"pool.texts: {pool.texts} ends in {shown!r}; use {', '.join(TABLE_ENDINGS)}"
        raise PoolError(msg)
    try:
        with staged(pool.texts) as path:
            yield TextTable(path, ending, pool.quoting)
    except FileNotFoundError as error:
        msg = (
            f"pool.texts: there is no file {pool.texts}. Give the table with an image and a text "
            "a row"
        )
        raise PoolError(msg) from error
    except (UntrustedError, OSError) as error:
        msg = f"pool.texts: {pool.texts} cannot be read as {ending}: {error}"
        raise PoolError(msg) from error


def _rows_of(pool: FolderSpec, table: TextTable) -> pl.DataFrame:
    wanted = {"image": Wanted(pool.image_column, "image"), "text": Wanted(pool.text_column)}
    if pool.uid_column:
        wanted["uid"] = Wanted(pool.uid_column)
    there = table.columns()
    for meaning, one in wanted.items():
        if path_of(one.column, there) is None:
            msg = (
                f"pool.{meaning}_column: {pool.texts} has no column {one.column!r}; it has "
                f"{listed(there)}"
            )
            raise PoolError(msg)
    parts = [pl.DataFrame(schema=_FOLDER_ROWS)]
    n_damaged = 0
    for batch in table.read(wanted):
        rows = batch.frame if pool.uid_column else batch.frame.with_columns(uid=pl.lit(None))
        parts.append(rows.select(pl.col(n).cast(t) for n, t in _FOLDER_ROWS.items()))
        n_damaged += batch.damage.n
    damaged = pl.Series("image", [None], dtype=pl.String).new_from_index(0, n_damaged).to_frame()
    read = pl.concat(parts).with_columns(pl.lit(value=False).alias(_DAMAGED))
    return pl.concat(
        [read, damaged.with_columns(pl.lit(value=True).alias(_DAMAGED))], how="diagonal"
    )
