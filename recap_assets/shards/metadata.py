"""DataComp's metadata: a parquet row a sample, and embeddings row by row beside it (npz).

Files are read one at a time and only in the columns asked for, so memory is bounded by one file.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from recap_assets.shards.files import PoolError, found_at, version_of
from recap_assets.shards.sample_texts import MAX_TEXT_BYTES
from recap_assets.storage.places import url_of
from recap_assets.untrusted.arrays import Archive
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import check_regular
from recap_assets.untrusted.parquet import ParquetLimits, ParquetTable, open_parquet
from recap_assets.untrusted.showing import one_line
from recap_assets.untrusted.uid_forms import UID_WANTED, uids_of

LIMITS = ParquetLimits(cell_bytes=MAX_TEXT_BYTES + 8)
"""A longer text stays longer than what a sample may have, so that its cut is noted."""


PARQUET, NPZ = ".parquet", ".npz"
EMBEDDINGS = (PARQUET, NPZ)
"""Endings of the files that embeddings are read from."""


@dataclass(frozen=True)
class MetadataFile:
    """One parquet file: its stem, its URL, its columns and its rows."""

    stem: str
    url: str
    columns: frozenset[str]
    n_rows: int


@dataclass(frozen=True)
class Metadata:
    """The parquet files of a metadata folder, sorted by name; all have a column `uid`."""

    folder: str
    files: tuple[MetadataFile, ...]

    def of_stem(self, stem: str) -> MetadataFile | None:
        """The file that carries the name of a shard, if there is one."""
        return next((file for file in self.files if file.stem == stem), None)

    def lookup(
        self, uids: pl.Series, columns: Sequence[str], first: str | None = None
    ) -> pl.DataFrame:
        """Rows of the given uids, one each at most: the first by file and row.

        Args:
            uids: Binary, 16 bytes each.
            columns: Metadata columns wanted; where a file lacks one it is null.
            first: Stem of the file to look into first; the others are read only if it does not
                hold all uids.

        Returns:
            Columns uid (Binary), stem, row (UInt32, position in the file), and `columns`.
        """
        wanted = uids.drop_nulls().unique().alias("uid")
        found: list[pl.DataFrame] = []
        for file in sorted(self.files, key=lambda file: file.stem != first):
            if wanted.is_empty():
                break
            part = read_rows(file, columns).join(wanted.to_frame(), on="uid", how="semi")
            part = part.unique("uid", keep="first", maintain_order=True)
            if not part.is_empty():
                found.append(part)
                wanted = wanted.to_frame().join(part, on="uid", how="anti")["uid"]
        return pl.concat(found, how="vertical_relaxed") if found else self._nothing(columns)

    def _nothing(self, columns: Sequence[str]) -> pl.DataFrame:
        schema: dict[str, type[pl.DataType]] = {
            "uid": pl.Binary, "stem": pl.String, "row": pl.UInt32,
        }  # fmt: skip
        return pl.DataFrame(schema={**schema, **{c: _TYPES.get(c, pl.Null) for c in columns}})


MAX_COSINE = 1.001
"""Some more than one, for what rounding adds."""

_TYPES: dict[str, type[pl.DataType]] = {
    "key": pl.String,
    "url": pl.String,
    "text": pl.String,
    "original_width": pl.Int64,
    "original_height": pl.Int64,
    "sha256": pl.String,
    "clip_b32_similarity_score": pl.Float32,
    "clip_l14_similarity_score": pl.Float32,
}

_Wanted = Callable[[pa.DataType], bool]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    # pyarrow has views of texts too, which polars writes.
    return is_text or _is_bytes(kind) or pa.types.is_null(kind) or "string_view" in str(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    is_sized = pa.types.is_fixed_size_binary(kind) or pa.types.is_large_binary(kind)
    return is_sized or pa.types.is_binary(kind) or "binary_view" in str(kind)


_WANTED: dict[str, _Wanted] = dict.fromkeys(("uid", "text", "url", "sha256"), _is_text)
"""Of the columns that cannot be taken as another type: what they must hold."""


def load_metadata(folder: str) -> Metadata:
    """Open a folder of metadata parquet files: a local path or an fsspec URL.

    Raises:
        PoolError: Where there is no folder, no parquet file, or one without `uid`, or a column of
            another type than it should have.
    """
    fs, root = found_at(folder)
    paths = sorted(_parquet_files(fs, root)) if fs.isdir(root) else []
    if not paths:
        msg = f"pool.metadata: no .parquet file in {folder}. Give DataComp's metadata folder"
        raise PoolError(msg)
    files = [_open(url_of(fs, path)) for path in paths]
    return Metadata(folder, tuple(files))


def metadata_version(
    folder: str, stems: Collection[str] = (), endings: tuple[str, ...] = (PARQUET,)
) -> str:
    """16 hex digits that change when a file of the folder is replaced, comes or goes.

    The files may have terabytes, so they go by size and time, and not by their bytes.

    Args:
        folder: The metadata folder.
        stems: Names of shards; where each has a file of its own, those are all that count, so that
            a pool may grow shard by shard.
        endings: What is read: PARQUET alone, or the embeddings beside it.

    Returns:
        The same for a folder that is not there, whatever its name: loading it says so.
    """
    fs, root = found_at(folder)
    infos = cast("list[dict[str, Any]]", fs.ls(root, detail=True)) if fs.isdir(root) else []
    files = {PurePosixPath(str(info["name"])): info for info in infos}
    own = {path.stem for path in files if path.suffix == PARQUET} & set(stems)
    is_read = own.__contains__ if len(own) == len(stems) > 0 else lambda _stem: True
    is_local = isinstance(fs, LocalFileSystem)
    lines = [
        f"{path.name} {version_of(files[path], str(path), is_local=is_local)}"
        for path in sorted(files)
        if path.suffix in endings and is_read(path.stem)
    ]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]


def read_rows(file: MetadataFile, columns: Sequence[str]) -> pl.DataFrame:
    """All rows of one file: uid (Binary, null where malformed), stem, row, and `columns`.

    Raises:
        PoolError: The file is damaged, larger than is read, or has uids of which none is one.
    """
    present = [name for name in dict.fromkeys(["uid", *columns]) if name in file.columns]
    with _table(file.url) as table:
        frame = table.read(present)
    uids = uids_of(frame["uid"])
    if uids.null_count() == len(uids) > frame["uid"].null_count():
        example = one_line(repr(frame["uid"].drop_nulls()[0]), 120)
        msg = (
            f"pool.metadata: {file.url}: none of the {len(uids):,} values of its column uid is a "
            f"uid ({UID_WANTED}); the first is {example}"
        )
        raise PoolError(msg)
    return frame.select(
        uid=uids,
        stem=pl.lit(file.stem),
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        **{name: _typed(name, frame) for name in columns if name != "uid"},
    )


def metadata_scores(folder: str, column: str, uids: pl.Series) -> pl.Series:
    """A score column of the metadata, such as `clip_l14_similarity_score`, for each uid.

    Returns:
        Float32 in the order of `uids`; null where the uid or its score is absent, or the score is
        no number.

    Raises:
        PoolError: Where no file has the column, or a score is no cosine.
    """
    metadata = load_metadata(folder)
    if not any(column in file.columns for file in metadata.files):
        known = ", ".join(sorted(metadata.files[0].columns))
        msg = f"{folder}: no file has a column {column!r}; the first has {one_line(known)}"
        raise PoolError(msg)
    found = metadata.lookup(uids, [column]).with_columns(pl.col(column).cast(pl.Float32))
    found = found.with_columns(pl.col(column).fill_nan(None))
    _refuse_outside(folder, column, found)
    joined = uids.alias("uid").to_frame().join(found, on="uid", how="left", maintain_order="left")
    return joined[column]


def _refuse_outside(folder: str, column: str, found: pl.DataFrame) -> None:
    outside = found.filter(~pl.col(column).is_between(-MAX_COSINE, MAX_COSINE))
    if outside.height:
        first = outside.row(0, named=True)
        msg = (
            f"{folder}: {outside.height:,} scores in column {column!r} are no cosines in [-1, 1], "
            f"such as {first[column]:g} of uid {first['uid'].hex()} in row {first['row']} of "
            f"{first['stem']}.parquet. Correct or empty these cells, or name another column"
        )
        raise PoolError(msg)


def metadata_embeddings(folder: str, key: str, uids: pl.Series) -> NDArray[np.float32]:
    """Embeddings from the npz files beside the parquet files, row by row.

    Args:
        folder: The metadata folder.
        key: Array in the npz: `l14_img`, `b32_img`.
        uids: Binary, 16 bytes each.

    Returns:
        Shape (n, dim), as stored but for the precision, in the order of `uids`; NaN throughout the
        row of a uid that the metadata does not have, or has with zeros alone, which is no
        direction, or with what is no number.

    Raises:
        PoolError: Where an npz is missing, lacks the key, or does not fit its parquet.
    """
    metadata = load_metadata(folder)
    found = metadata.lookup(uids, [])
    where = uids.alias("uid").to_frame().with_row_index("at").join(found, on="uid")
    embeddings: NDArray[np.float32] | None = None
    for file, rows in _by_file(metadata, where):
        array = _read_npz(file, key)
        if embeddings is None:
            _check_width(metadata.files[0], key, file, array.shape[1])
            embeddings = np.full((len(uids), array.shape[1]), np.nan, dtype=np.float32)
        if array.shape[1] != embeddings.shape[1]:
            msg = f"{folder}: {key} of {file.stem} has {array.shape[1]} columns, others differ"
            raise PoolError(msg)
        chosen = array[rows["row"].to_numpy()]
        chosen[~np.isfinite(chosen).all(axis=1) | ~chosen.any(axis=1)] = np.nan
        embeddings[rows["at"].to_numpy()] = chosen
    if embeddings is None:
        msg = f"{folder}: the metadata has none of the {len(uids)} uids asked for"
        raise PoolError(msg)
    return embeddings


def _by_file(
    metadata: Metadata, where: pl.DataFrame
) -> Iterator[tuple[MetadataFile, pl.DataFrame]]:
    for file in metadata.files:
        rows = where.filter(pl.col("stem") == file.stem)
        if not rows.is_empty():
            yield file, rows


def _parquet_files(fs: AbstractFileSystem, root: str) -> Iterator[str]:
    # Listed and not matched: the folder's own name may have letters of a glob.
    for info in fs.ls(root, detail=True):
        if str(info["name"]).endswith(".parquet"):
            yield str(info["name"])


@contextmanager
def _table(url: str) -> Iterator[ParquetTable]:
    fs, path = found_at(url)
    try:
        if isinstance(fs, LocalFileSystem):
            with open_parquet(Path(path), LIMITS) as table:
                yield table
        else:
            with (
                fs.open(path, "rb") as handle,
                open_parquet(cast(IO[bytes], handle), LIMITS) as table,
            ):
                yield table
    except (UntrustedError, OSError) as error:
        msg = f"pool.metadata: {url} is no readable parquet file: {one_line(str(error))}"
        raise PoolError(msg) from error


def _open(url: str) -> MetadataFile:
    with _table(url) as table:
        columns, n_rows = frozenset(table.columns), table.n_rows
        if "uid" not in columns:
            known = one_line(", ".join(sorted(columns)))
            msg = f"pool.metadata: {url} has no column uid; it has {known}"
            raise PoolError(msg)
        for name, is_wanted in _WANTED.items():
            if name in columns and not is_wanted(table.types[name]):
                _refuse_type(url, name, str(table.types[name]))
    return MetadataFile(PurePosixPath(url).stem, url, columns, n_rows)


def _refuse_type(url: str, name: str, kind: str) -> None:
    wanted = f"uids ({UID_WANTED})" if name == "uid" else "text"
    msg = (
        f"pool.metadata: {url}: its column {name} holds {one_line(kind, 200)}, and {wanted} is "
        "wanted there: write the column as text, or under another name"
    )
    raise PoolError(msg)


def _typed(name: str, frame: pl.DataFrame) -> pl.Series:
    dtype = _TYPES.get(name)
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=dtype or pl.Null)
    column = frame[name]
    if dtype == pl.String and column.dtype == pl.Binary:
        return as_text(column)
    return column if dtype is None else column.cast(dtype, strict=False)


def as_text(column: pl.Series) -> pl.Series:
    """Bytes as text, null where they are in no encoding that is known."""
    texts = [None if cell is None else decode_text(cell).text for cell in column]
    return pl.Series(column.name, texts, dtype=pl.String)


def _npz(file: MetadataFile) -> str:
    return f"{file.url.removesuffix('.parquet')}.npz"


def _check_width(first: MetadataFile, key: str, file: MetadataFile, width: int) -> None:
    """Whether a file's vectors are as wide as those of the folder's first, if that has any."""
    fs, path = found_at(_npz(first))
    if first == file or not fs.exists(path):
        return
    with _archive(_npz(first)) as archive:
        shape = archive.header(key).shape
    if len(shape) != 2 or shape[1] != width:
        msg = (
            f"{_npz(file)}: {key} has {width} columns, but that of {first.stem}.npz has the shape "
            f"{shape}; all vectors of a pool are of one length"
        )
        raise PoolError(msg)


def _read_npz(file: MetadataFile, key: str) -> NDArray[np.floating]:
    url = _npz(file)
    with _archive(url) as archive:
        header = archive.header(key)
        shape, dtype = header.shape, header.dtype
        if len(shape) != 2 or shape[0] != file.n_rows or dtype.kind != "f":
            msg = f"{url}: {key} is {dtype} {shape}; expected floats, {file.n_rows} rows"
            raise PoolError(msg)
        return cast("NDArray[np.floating]", archive.array(key))


@contextmanager
def _archive(url: str) -> Iterator[Archive]:
    fs, path = found_at(url)
    try:
        if isinstance(fs, LocalFileSystem):
            check_regular(Path(path))
        with fs.open(path, "rb") as handle:
            yield Archive(cast(IO[bytes], handle))
    except FileNotFoundError as error:
        msg = f"{url} is missing: the embeddings are beside each parquet file, with its stem"
        raise PoolError(msg) from error
    except UntrustedError as error:
        msg = f"{url}: {one_line(str(error))}"
        raise PoolError(msg) from error
