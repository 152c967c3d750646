"""Which shards a pool has, and the numbers that they keep for life."""

import hashlib
import os
import posixpath
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from recap_assets.shards.files import PoolError, found_at, stamp_of, version_of
from recap_assets.storage.places import matches, pattern_of, url_of

__all__ = [
    "Listing", "PoolError", "Shard", "ShardFile", "SkippedFile", "assign", "list_shards",
    "partition_key", "survey", "survey_tars", "with_unfinished",
]  # fmt: skip

_TEMPORARY = re.compile(r"(^|/)[._~]|\.(tmp|temp|part|partial|incomplete|crdownload)(\.|$)|~$")
_UNFINISHED = "half-written"
_QUIET_SECONDS = 600
_END_OF_ARCHIVE = 1024
_BLOCK = 512
_STATS = "_stats.json"
_LOOKED_AT = 10_000
_IS_TEMPORARY = "a temporary name: still being written, or left by a crash"
_NO_TARS = {
    b"\x1f\x8b": "gzip'd: unpack it",
    b"\x28\xb5\x2f\xfd": "packed with zstd: unpack it",
    b"bzh": "packed with bzip2: unpack it",
    b"\xfd7zxz": "packed with xz: unpack it",
    b"pk\3\4": "a zip file: write it as tar",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file with `git lfs pull`",
    b"<!doctype html": "a web page: download the file again",
    b"<html": "a web page: download the file again",
    b"<?xml": "an answer in XML: download the file again",
}
"""First bytes, in small letters, of what is found in the place of tars."""
_COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz", ".tar.lz4")


@dataclass(frozen=True)
class ShardFile:
    """A shard as it is there now.

    Attributes:
        name: The tar's path below the pool's folder, without `.tar`; for a folder pool `rows-N`.
        url: Where it is; for a folder pool the table of texts.
        size: Bytes; for a folder pool those of its images.
        version: Changes whenever the shard's content may have changed.
        stamp: What was seen of it when it got its version, with spaces between: the version that
            sizes and times give, the change time of the file or a hash of those of the images, and
            for a folder pool a hash of where the images are; empty where there are no such times.
    """

    name: str
    url: str
    size: int
    version: str
    stamp: str = field(default="", kw_only=True, compare=False)

    @property
    def seen(self) -> str:
        """The version that size and time gave."""
        return self.stamp.partition(" ")[0] or self.version

    @property
    def place(self) -> tuple[str, list[str]]:
        """Where it was when it got its stamp."""
        return self.url, self.stamp.split(" ")[2:]


@dataclass(frozen=True)
class Shard(ShardFile):
    """A shard with its number in the pool's manifest, which it keeps for life."""

    number: int


@dataclass(frozen=True)
class SkippedFile:
    """A file that looks like a shard and is not read, and why.

    Attributes:
        name: Its path below the pool's folder.
        reason: Why: a few words that are alike for files alike, a colon, more of it.
        is_unfinished: Whether it is a shard that is being written, and will be read when it is
            complete.
        is_listed: Whether it is among the shards all the same, in one row that is set aside.
    """

    name: str
    reason: str
    is_unfinished: bool = False
    is_listed: bool = False

    @property
    def kind(self) -> str:
        """The reason without what is more of it, to count by."""
        return self.reason.partition(":")[0]


@dataclass(frozen=True)
class Listing:
    """What `survey` found: the shards, and the files left aside."""

    shards: list[ShardFile]
    skipped: list[SkippedFile]


class Surveyed(Protocol):
    """What has shards that can be listed."""

    def survey(self) -> Listing:
        """List the shards, and what looks like one and is left aside."""
        ...


def list_shards(pool: Surveyed, before: Iterable[ShardFile] = ()) -> list[ShardFile]:
    """The pool's shards, sorted by name. `survey` also says which files were left aside.

    Args:
        pool: Where they are.
        before: The shards at the last look: one that is being written over is listed as it was.

    Raises:
        PoolError: Where there is no folder, no shard or no table of texts.
    """
    return with_unfinished(survey(pool), before)


def with_unfinished(listing: Listing, before: Iterable[ShardFile]) -> list[ShardFile]:
    """The shards of a listing; those known before that are being written over as they were."""
    unfinished = {skipped.name for skipped in listing.skipped if skipped.is_unfinished}
    kept = [shard for shard in before if f"{shard.name}.tar" in unfinished]
    return sorted([*listing.shards, *kept], key=lambda shard: shard.name)


def survey(pool: Surveyed) -> Listing:
    """List the shards, and what looks like one and is left aside.

    Raises:
        PoolError: Where there is no folder, no shard or no table of texts.
    """
    return pool.survey()


def survey_tars(where: str, named: str) -> Listing:
    """List the tars of a folder or glob, and what looks like one and is left aside.

    That is what is half-written, empty, temporary, compressed, a link or of another ending, and
    folders with tars in them.

    img2dataset writes `NAME_stats.json` when a tar is complete: where some tars have that file, a
    local one without it is taken for half-written until it has the two empty blocks that end an
    archive and did not change for some minutes. So is one that changed within them and lacks the
    end; after that it is taken as it is, damaged. An object store shows no object before it is
    complete. What is no tar at all, such as a page in place of one, is listed and named.

    Args:
        where: A local path or an fsspec URL.
        named: The keys of the experiment file that name it, for messages.

    Raises:
        PoolError: Where there is no folder or no shard.
    """
    fs, root = found_at(where, named)
    pattern = pattern_of(fs, root)
    found = matches(fs, *pattern) if pattern else _find_folder(fs, root, where, named)
    base = pattern[0] if pattern else root
    stats = {path for path in found if path.endswith(_STATS)}
    if pattern:
        folder = posixpath.dirname(pattern[1])
        stats |= set(matches(fs, base, posixpath.join(folder, f"*{_STATS}")))
    is_local = isinstance(fs, LocalFileSystem)
    shards: list[ShardFile] = []
    skipped: list[SkippedFile] = []
    for path in sorted(found):
        name = posixpath.relpath(path, base)
        one = _why_not(path, name, found[path], stats, is_local=is_local)
        if one and one.reason:
            skipped.append(one)
        if one is None or one.is_listed:
            version = version_of(found[path], path, is_local=is_local)
            stamp = stamp_of(version, path) if is_local else ""
            size, stem = int(found[path]["size"]), name.removesuffix(".tar")
            shards.append(ShardFile(stem, url_of(fs, path), size, version, stamp=stamp))
    if not shards:
        raise PoolError(_no_shards(where, root if is_local else where, skipped, named))
    return Listing(sorted(shards, key=lambda shard: shard.name), skipped)


def assign(files: Sequence[ShardFile], known: Sequence[Shard]) -> list[Shard]:
    """Number the shards: known names keep theirs, new names follow the highest number known.

    A file of the size and time that a known one had has its version, unless it changed at its place
    in other ways since: what replaces a tar may have its time as well.

    Args:
        files: The shards as they are there now.
        known: Every shard that ever had a number, removed ones included: their numbers stay free.

    Returns:
        A shard for each of `files`, by ascending number.
    """
    by_name = {shard.name: shard for shard in known}
    numbers = {name: shard.number for name, shard in by_name.items()}
    next_number = max(numbers.values(), default=-1) + 1
    for file in sorted(files, key=lambda file: file.name):
        if file.name not in numbers:
            numbers[file.name] = next_number
            next_number += 1
    shards = [
        Shard(
            f.name, f.url, f.size, _version_since(f, by_name.get(f.name)), numbers[f.name],
            stamp=f.stamp,
        )
        for f in files
    ]  # fmt: skip
    return sorted(shards, key=lambda shard: shard.number)


def _version_since(file: ShardFile, known: Shard | None) -> str:
    """The version of a file, by what was known of it."""
    if known is None or not file.stamp or known.seen != file.version:
        return file.version
    # Lists from before 2026-12 have no stamps, and a copy elsewhere has another one in any case.
    if known.stamp in ("", file.stamp) or known.place != file.place:
        return known.version
    return hashlib.sha256(file.stamp.encode()).hexdigest()[: len(file.version)]


def partition_key(shard_number: int, shards_per_partition: int) -> str:
    """The partition of a shard: five digits or more, so that text order is number order."""
    return f"{shard_number // shards_per_partition:05d}"


def _why_not(
    path: str, name: str, info: dict, stats: set[str], *, is_local: bool
) -> SkippedFile | None:
    """Why a file is no shard; without a reason where it does not even look like one."""
    if info["type"] == "directory":
        n_tars = _tars_inside(path) if is_local else 0
        inside = f"in a subfolder: its {n_tars} tars are not read; give a glob such as **/*.tar"
        return SkippedFile(name, inside if n_tars else "")
    if not name.endswith(".tar"):
        return SkippedFile(name, _other_ending(name))
    if _TEMPORARY.search(name):
        return SkippedFile(name, _IS_TEMPORARY)
    if info["type"] != "file":
        return SkippedFile(name, "a link or device: it is not followed; put the file in its place")
    if not info["size"]:
        return SkippedFile(name, "empty")
    return _unfinished(Path(path), name, stats) or _no_tar(Path(path), name) if is_local else None


def _other_ending(name: str) -> str:
    """Why a file of another ending is no shard; empty where it does not look like one."""
    if name.endswith(_COMPRESSED):
        return "compressed: unpack it to .tar, so that images can be read in place"
    if _TEMPORARY.search(name) and ".tar" in name:
        return _IS_TEMPORARY
    is_alike = name.lower().endswith((".tar", *_COMPRESSED))
    return "another ending: only .tar, in small letters, is read; rename it" if is_alike else ""


def _tars_inside(folder: str) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(entry.name.endswith(".tar") for entry in islice(entries, _LOOKED_AT))
    except OSError:
        return 0


def _unfinished(path: Path, name: str, stats: set[str]) -> SkippedFile | None:
    stat = path.stat()
    is_new = time.time() - stat.st_mtime <= _QUIET_SECONDS
    lacks_stats = bool(stats) and f"{path.as_posix().removesuffix('.tar')}{_STATS}" not in stats
    if not (is_new or lacks_stats):
        return None
    with path.open("rb") as file:
        file.seek(max(0, stat.st_size - _END_OF_ARCHIVE))
        tail = file.read(_END_OF_ARCHIVE)
    is_open = len(tail) < _END_OF_ARCHIVE or any(tail)
    if lacks_stats and (is_new or is_open):
        reason = "it has no _stats.json, which other shards have"
        reason += ", and no end-of-archive mark" if is_open else ", and changed just now"
        return SkippedFile(name, f"{_UNFINISHED}: {reason}", is_unfinished=True)
    if is_open:
        reason = "it changed just now and has no end-of-archive mark"
        return SkippedFile(name, f"{_UNFINISHED}: {reason}", is_unfinished=True)
    return None


def _no_tar(path: Path, name: str) -> SkippedFile | None:
    """What the first bytes of a file show it to be in place of a tar, where they show it."""
    with path.open("rb") as file:
        start = file.read(_BLOCK).lstrip().lower()
    what = next((kind for first, kind in _NO_TARS.items() if start.startswith(first)), None)
    if what is None:
        return None
    return SkippedFile(name, f"not a tar: it is {what}", is_listed=True)


def _find_folder(fs: AbstractFileSystem, root: str, where: str, named: str) -> dict[str, dict]:
    if not fs.isdir(root):
        msg = (
            f"{named}: there is no folder {where}{_in_full(where, root)}. Give the folder "
            "that holds the .tar files, or a glob such as folder/*.tar"
        )
        raise PoolError(msg)
    return {info["name"]: info for info in fs.ls(root, detail=True)}


def _no_shards(where: str, absolute: str, skipped: list[SkippedFile], named: str) -> str:
    message = f"{named}: no .tar shard in {where}{_in_full(where, absolute)}."
    if skipped:
        first = skipped[0]
        return f"{message} {len(skipped)} left aside, such as {first.name} ({first.reason})"
    return f"{message} Download a pool there with img2dataset, put tars there, or correct the path"


def _in_full(where: str, absolute: str) -> str:
    """A relative path as it is taken from the folder of the file or of the call."""
    return "" if where.rstrip("/") == absolute.rstrip("/") or "://" in where else f" ({absolute})"
