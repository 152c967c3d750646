"""What the shards of a partition gave, kept until the partition is written."""

import io
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote, unquote

import polars as pl
from fsspec.implementations.local import LocalFileSystem

from recap_assets.storage.errors import StorageError
from recap_assets.storage.files import write_atomically, write_first
from recap_assets.storage.places import located
from recap_assets.storage.store_errors import in_words_of_store

FOLDER = "_parts"
_PART = re.compile(r"[0-9]+(-[0-9a-f]+)?\.parquet")


def part_name(shard: int, asked: str = "") -> str:
    """The name of a shard's part.

    Args:
        shard: Its number.
        asked: Digest of the rows that it has, where it may not have all.
    """
    return f"{shard}-{asked}" if asked else str(shard)


class Parts(Protocol):
    """The parts of one partition with one fingerprint, by their names (`part_name`)."""

    def kept(self) -> Collection[str]:
        """The names of those that are there."""
        ...

    def read(self, name: str) -> pl.DataFrame | None:
        """A part; None where it is not there."""
        ...

    def keep(self, name: str, part: pl.DataFrame) -> None:
        """Keep a part."""
        ...

    def clear(self) -> None:
        """Remove all of them."""
        ...


@dataclass(frozen=True)
class FolderParts:
    """Parts in a folder that the processes of one machine use, of which one builds a partition."""

    folder: Path

    def kept(self) -> Collection[str]:
        """The names of those that are there."""
        return {path.stem for path in self.folder.glob("[0-9]*.parquet")}

    def read(self, name: str) -> pl.DataFrame | None:
        """A part; None where it is not there."""
        path = self._path(name)
        return pl.read_parquet(path) if path.exists() else None

    def keep(self, name: str, part: pl.DataFrame) -> None:
        """Keep a part."""
        write_atomically(self._path(name), _bytes_of(part))

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"


@dataclass(frozen=True)
class StoredParts:
    """Parts beside the tables, where workers on any machine write them.

    The first that is written under a name stays: a worker that was taken for dead changes nothing.

    Attributes:
        root: A folder, or an object store's URL.
    """

    root: str

    @classmethod
    def of(cls, tables_root: str, asset: str, fingerprint: str) -> "StoredParts":
        """Those of a partition, below the tables that it is written to."""
        return cls(f"{tables_root}/{FOLDER}/{quote(asset, safe='')}/{fingerprint}")

    def kept(self) -> Collection[str]:
        """The names of those that are there."""
        fs, root = located(self.root)
        fs.invalidate_cache()
        try:
            names = fs.ls(root, detail=False)
        except FileNotFoundError:
            return set()
        files = (str(name).rsplit("/", 1)[-1] for name in names)
        return {file.removesuffix(".parquet") for file in files if _PART.fullmatch(file)}

    def shards(self) -> Collection[int]:
        """The shards that have a part, whichever of their rows it was asked for."""
        return {int(name.split("-")[0]) for name in self.kept()}

    def read(self, name: str) -> pl.DataFrame | None:
        """A part; None where it is not there."""
        fs, root = located(self.root)
        try:
            content = cast("bytes", fs.cat_file(f"{root}/{name}.parquet"))
        except FileNotFoundError:
            return None
        return pl.read_parquet(io.BytesIO(content))

    def keep(self, name: str, part: pl.DataFrame) -> None:
        """Keep a part, where there is none of its name yet."""
        fs, root = located(self.root)
        path, content = f"{root}/{name}.parquet", _bytes_of(part)
        if isinstance(fs, LocalFileSystem):
            write_first(Path(path), content)
            return
        try:
            fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            return
        except OSError as error:
            # Of some stores the answer that it is there has no error of its own.
            if name not in self.kept():
                raise StorageError(_unwritten(path, error)) from error

    def clear(self) -> None:
        """Remove all of them."""
        fs, root = located(self.root)
        fs.invalidate_cache()
        if fs.exists(root):
            fs.rm(root, recursive=True)


@dataclass(frozen=True)
class KeptParts:
    """What there is of a partition that was never written.

    Attributes:
        asset: The asset's key.
        fingerprint: Of the partition.
        parts: The parts.
        n_bytes: Their bytes.
        newest: When the last of them was written, in seconds since 1970 by the store's clock.
    """

    asset: str
    fingerprint: str
    parts: StoredParts
    n_bytes: int
    newest: float


def all_parts(tables_root: str) -> Iterator[KeptParts]:
    """All parts below some tables, by partition; those of builds that run included.

    Args:
        tables_root: A folder, or an object store's URL.
    """
    fs, root = located(f"{tables_root}/{FOLDER}")
    fs.invalidate_cache()
    files: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for path, info in cast("dict[str, dict[str, Any]]", fs.find(root, detail=True)).items():
        asset, fingerprint, _ = str(path).rsplit("/", 3)[-3:]
        files.setdefault((asset, fingerprint), []).append((path, info["size"]))
    for (asset, fingerprint), found in sorted(files.items()):
        parts = StoredParts.of(tables_root, unquote(asset), fingerprint)
        with suppress(FileNotFoundError):  # a build has just written the partition
            newest = max(fs.modified(path).timestamp() for path, _ in found)
            yield KeptParts(unquote(asset), fingerprint, parts, sum(n for _, n in found), newest)


def _unwritten(path: str, error: OSError) -> str:
    return f"{path} cannot be written: {in_words_of_store(error) or error}"


def _bytes_of(part: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    part.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
