"""Which shards a pool has, and the numbers that they keep for life."""

import hashlib
import posixpath
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import fsspec
import polars as pl
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from recap_assets.pool.files import PoolError, version_of
from recap_assets.specs.pool import FolderPool, WebDatasetPool
from recap_assets.storage.places import located, matches, pattern_of, url_of

__all__ = [
    "Listing", "PoolError", "Shard", "ShardFile", "SkippedFile", "assign", "folder_rows",
    "list_shards", "partition_key", "survey", "survey_tars",
]  # fmt: skip

_TEMPORARY = re.compile(r"(^|/)[._~]|\.(tmp|temp|part|partial|incomplete|crdownload)(\.|$)|~$")
_UNFINISHED = "half-written"
_QUIET_SECONDS = 600
_END_OF_ARCHIVE = 1024
_COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz", ".tar.lz4")


@dataclass(frozen=True)
class ShardFile:
    """A shard as it lies there now.

    Attributes:
        name: The tar's path below the pool's folder, without `.tar`; for a folder pool `rows-N`.
        url: Where it is; for a folder pool the table of texts.
        size: Bytes; for a folder pool those of its images.
        version: Changes whenever the shard's content may have changed.
    """

    name: str
    url: str
    size: int
    version: str


@dataclass(frozen=True)
class Shard(ShardFile):
    """A shard with its number in the pool's manifest, which it keeps for life."""

    number: int


@dataclass(frozen=True)
class SkippedFile:
    """A file that looks like a shard and is not read, and why.

    Attributes:
        name: Its path below the pool's folder.
        reason: Why, in words.
        is_unfinished: Whether it is a shard that is being written, and will be read when it is
            complete.
    """

    name: str
    reason: str
    is_unfinished: bool = False


@dataclass(frozen=True)
class Listing:
    """What `survey` found: the shards, and the files left aside."""

    shards: list[ShardFile]
    skipped: list[SkippedFile]


def list_shards(
    pool: WebDatasetPool | FolderPool, before: Iterable[ShardFile] = ()
) -> list[ShardFile]:
    """The pool's shards, sorted by name. `survey` also tells which files were left aside.

    Args:
        pool: Where they lie.
        before: The shards at the last look: one that is being written over is listed as it was.

    Raises:
        PoolError: Where there is no folder, no shard or no table of texts.
    """
    listing = survey(pool)
    unfinished = {skipped.name for skipped in listing.skipped if skipped.is_unfinished}
    kept = [shard for shard in before if f"{shard.name}.tar" in unfinished]
    return sorted([*listing.shards, *kept], key=lambda shard: shard.name)


def survey(pool: WebDatasetPool | FolderPool) -> Listing:
    """List the shards and the files left aside: half-written, empty, temporary or compressed tars.

    img2dataset writes `NAME_stats.json` when a tar is complete: where some tars have that file,
    a tar without it is taken for half-written. So is a local one that changed within the last
    minutes and lacks the two empty blocks that end an archive; after that it is taken as it is,
    damaged. An object store shows no object before it is complete.

    Raises:
        PoolError: Where there is no folder, no shard or no table of texts.
    """
    if isinstance(pool, FolderPool):
        return Listing(_virtual_shards(pool), [])
    return survey_tars(pool.shards)


def survey_tars(where: str) -> Listing:
    """List the tars of a folder or glob: a local path or an fsspec URL. See `survey`.

    Raises:
        PoolError: Where there is no folder or no shard.
    """
    fs, root = located(where)
    pattern = pattern_of(fs, root)
    found = matches(fs, *pattern) if pattern else _find_folder(fs, root, where)
    base = pattern[0] if pattern else root
    names = {path: posixpath.relpath(path, base) for path in found}
    stats = {path for path in found if path.endswith("_stats.json")}
    if pattern:
        folder = posixpath.dirname(pattern[1])
        stats |= set(matches(fs, base, posixpath.join(folder, "*_stats.json")))
    shards: list[ShardFile] = []
    skipped: list[SkippedFile] = []
    for path in sorted(found, key=names.__getitem__):
        reason = _why_not(path, names[path], found[path], stats)
        if reason is None and isinstance(fs, LocalFileSystem) and _is_growing(Path(path)):
            reason = f"{_UNFINISHED}: it changed just now and has no end-of-archive mark"
        if reason is None:
            version = version_of(found[path], path, is_local=isinstance(fs, LocalFileSystem))
            name = names[path].removesuffix(".tar")
            url = url_of(fs, path)
            shards.append(ShardFile(name, url, int(found[path]["size"]), version))
        elif reason:
            is_unfinished = reason.startswith(_UNFINISHED)
            skipped.append(SkippedFile(names[path], reason, is_unfinished))
    if not shards:
        raise PoolError(_no_shards(where, skipped))
    return Listing(shards, skipped)


def assign(files: Sequence[ShardFile], known: Sequence[Shard]) -> list[Shard]:
    """Number the shards: known names keep theirs, new names follow the highest number known.

    Args:
        files: The shards as they lie there now.
        known: Every shard that ever had a number, removed ones included: their numbers stay free.

    Returns:
        A shard for each of `files`, by ascending number.
    """
    numbers = {shard.name: shard.number for shard in known}
    next_number = max(numbers.values(), default=-1) + 1
    for file in sorted(files, key=lambda file: file.name):
        if file.name not in numbers:
            numbers[file.name] = next_number
            next_number += 1
    shards = [Shard(f.name, f.url, f.size, f.version, numbers[f.name]) for f in files]
    return sorted(shards, key=lambda shard: shard.number)


def partition_key(shard_number: int, shards_per_partition: int) -> str:
    """The partition of a shard: five digits or more, so that text order is number order."""
    return f"{shard_number // shards_per_partition:05d}"


def folder_rows(pool: FolderPool, shard_name: str) -> pl.DataFrame:
    """The rows of one virtual shard: columns image, text and uid, all String; uid null if unset.

    Raises:
        PoolError: Where the table cannot be read or lacks a column.
    """
    index = int(shard_name.rpartition("-")[2])
    return _texts(pool).slice(index * pool.samples_per_shard, pool.samples_per_shard)


def _why_not(path: str, name: str, info: dict, stats: set[str]) -> str | None:
    """Why a file is no shard; empty for what does not even look like one, None for a shard."""
    if name.endswith(_COMPRESSED):
        return "compressed: unpack it to .tar, so that images can be read in place"
    if _TEMPORARY.search(name) and ".tar" in name:
        return "a temporary name: still being written, or left by a crash"
    if not name.endswith(".tar"):
        return ""
    if not info["size"]:
        return "empty"
    if stats and path.removesuffix(".tar") + "_stats.json" not in stats:
        return f"{_UNFINISHED}: it has no _stats.json, and other shards have"
    return None


def _is_growing(path: Path) -> bool:
    """Whether a tar changed within the last minutes and does not end as a complete one does."""
    stat = path.stat()
    if time.time() - stat.st_mtime > _QUIET_SECONDS:
        return False
    with path.open("rb") as file:
        file.seek(max(0, stat.st_size - _END_OF_ARCHIVE))
        tail = file.read(_END_OF_ARCHIVE)
    return len(tail) < _END_OF_ARCHIVE or any(tail)


def _find_folder(fs: AbstractFileSystem, root: str, where: str) -> dict[str, dict]:
    if not fs.isdir(root):
        msg = (
            f"pool.shards: there is no folder {where}. Give the folder that holds the .tar files, "
            "or a glob such as folder/*.tar"
        )
        raise PoolError(msg)
    listed = fs.ls(root, detail=True)
    return {info["name"]: info for info in listed if info["type"] == "file"}


def _no_shards(where: str, skipped: list[SkippedFile]) -> str:
    message = f"pool.shards: no .tar shard in {where}."
    if skipped:
        first = skipped[0]
        return f"{message} {len(skipped)} left aside, such as {first.name} ({first.reason})"
    return f"{message} Download the pool there with img2dataset, or correct the path"


def _virtual_shards(pool: FolderPool) -> list[ShardFile]:
    rows = _texts(pool)
    if rows.is_empty():
        msg = f"pool.texts: {pool.texts} has no rows. Give a table with a row for each image"
        raise PoolError(msg)
    marks, sizes = _image_marks(pool)
    shards: list[ShardFile] = []
    for index, part in enumerate(rows.iter_slices(pool.samples_per_shard)):
        digest = hashlib.sha256(part.write_csv(include_header=False).encode())
        images = part["image"].to_list()
        digest.update(repr([marks.get(_clean(image)) for image in images]).encode())
        size = sum(sizes.get(_clean(image), 0) for image in images)
        shards.append(ShardFile(f"rows-{index:08d}", pool.texts, size, digest.hexdigest()[:16]))
    return shards


def _clean(image: str | None) -> str:
    return posixpath.normpath(image) if image else ""


def _image_marks(pool: FolderPool) -> tuple[dict[str, str], dict[str, int]]:
    """Version and size of every file below the folder, by path below it."""
    fs, root = located(pool.images)
    if not fs.isdir(root):
        msg = f"pool.images: there is no folder {pool.images}. Give the folder of the images"
        raise PoolError(msg)
    is_local = isinstance(fs, LocalFileSystem)
    marks: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for path, info in cast(dict[str, dict], fs.find(root, detail=True)).items():
        name = posixpath.relpath(path, root)
        marks[name] = version_of(info, path, is_local=is_local)
        sizes[name] = int(info["size"])
    return marks, sizes


def _texts(pool: FolderPool) -> pl.DataFrame:
    table = _read_table(pool.texts)
    wanted = {"image": pool.image_column, "text": pool.text_column}
    if pool.uid_column:
        wanted["uid"] = pool.uid_column
    for meaning, column in wanted.items():
        if column not in table.columns:
            known = ", ".join(table.columns)
            msg = f"pool.{meaning}_column: {pool.texts} has no column {column!r}; it has {known}"
            raise PoolError(msg)
    columns = [pl.col(column).cast(pl.String).alias(name) for name, column in wanted.items()]
    rows = table.select(columns)
    return rows if pool.uid_column else rows.with_columns(uid=pl.lit(None, pl.String))


def _read_table(url: str) -> pl.DataFrame:
    ending = posixpath.splitext(url)[1].lower()
    try:
        with fsspec.open(url, "rb") as file:
            match ending:
                case ".csv" | ".tsv":
                    separator = "\t" if ending == ".tsv" else ","
                    return pl.read_csv(file, infer_schema=False, separator=separator)  # type: ignore[arg-type]
                case ".jsonl" | ".ndjson":
                    return pl.read_ndjson(file, infer_schema_length=None)  # type: ignore[arg-type]
                case ".parquet":
                    return pl.read_parquet(file)  # type: ignore[arg-type]
    except FileNotFoundError as error:
        msg = f"pool.texts: there is no file {url}. Give the table with an image and a text a row"
        raise PoolError(msg) from error
    except pl.exceptions.PolarsError as error:
        msg = f"pool.texts: {url} cannot be read as {ending}: {error}"
        raise PoolError(msg) from error
    msg = f"pool.texts: {url} ends in {ending!r}; use .csv, .tsv, .jsonl, .ndjson or .parquet"
    raise PoolError(msg)
