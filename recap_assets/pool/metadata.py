"""DataComp's metadata: a parquet row a sample, and embeddings row by row beside it (npz).

Files are read one at a time and only in the columns asked for, so memory is bounded by one file.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec
import numpy as np
import polars as pl
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from numpy.typing import NDArray

from recap_assets.pool.files import PoolError
from recap_assets.specs.tables import UID_BYTES


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


def load_metadata(folder: str) -> Metadata:
    """Open a folder of metadata parquet files: a local path or an fsspec URL.

    Raises:
        PoolError: Where there is no folder, no parquet file, or one without `uid`.
    """
    fs, root = url_to_fs(folder)
    paths = sorted(fs.glob(f"{root.rstrip('/')}/*.parquet")) if fs.isdir(root) else []
    if not paths:
        msg = f"pool.metadata: no .parquet file in {folder}. Give DataComp's metadata folder"
        raise PoolError(msg)
    files = [_open(fs.unstrip_protocol(str(path))) for path in paths]
    return Metadata(folder, tuple(files))


def read_rows(file: MetadataFile, columns: Sequence[str]) -> pl.DataFrame:
    """All rows of one file: uid (Binary, null where malformed), stem, row, and `columns`."""
    present = [name for name in dict.fromkeys(["uid", *columns]) if name in file.columns]
    with fsspec.open(file.url, "rb") as handle:
        frame = pl.read_parquet(handle, columns=present)  # type: ignore[arg-type]
    return frame.select(
        uid=uid_from_hex(frame["uid"]),
        stem=pl.lit(file.stem),
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        **{name: _typed(name, present=name in present) for name in columns if name != "uid"},
    )


def uid_from_hex(digits: pl.Series) -> pl.Series:
    """16 bytes for 32 hex digits of either case; null for anything else."""
    decoded = digits.cast(pl.String).str.decode("hex", strict=False)
    return decoded.to_frame("uid").select(
        pl.when(pl.col("uid").bin.size() == UID_BYTES).then(pl.col("uid"))
    )["uid"]


def metadata_scores(folder: str, column: str, uids: pl.Series) -> pl.Series:
    """A score column of the metadata, such as `clip_l14_similarity_score`, for each uid.

    Returns:
        Float32 in the order of `uids`; null where the uid or its score is absent.

    Raises:
        PoolError: Where no file has the column.
    """
    metadata = load_metadata(folder)
    if not any(column in file.columns for file in metadata.files):
        known = ", ".join(sorted(metadata.files[0].columns))
        msg = f"{folder}: no file has a column {column!r}; the first has {known}"
        raise PoolError(msg)
    found = metadata.lookup(uids, [column])
    joined = uids.alias("uid").to_frame().join(found, on="uid", how="left", maintain_order="left")
    return joined[column].cast(pl.Float32)


def metadata_embeddings(folder: str, key: str, uids: pl.Series) -> NDArray[np.float32]:
    """Embeddings from the npz files that lie beside the parquet files, row by row.

    Args:
        folder: The metadata folder.
        key: Array in the npz: `l14_img`, `b32_img`.
        uids: Binary, 16 bytes each.

    Returns:
        Shape (n, dim), as stored but for the precision, in the order of `uids`; NaN throughout the
        row of a uid that the metadata does not have.

    Raises:
        PoolError: Where an npz is missing, lacks the key, or does not fit its parquet.
    """
    metadata = load_metadata(folder)
    found = metadata.lookup(uids, [])
    where = uids.alias("uid").to_frame().with_row_index("at").join(found, on="uid")
    embeddings: NDArray[np.float32] | None = None
    for file, rows in _by_file(metadata, where):
        array = _read_npz(f"{file.url.removesuffix('.parquet')}.npz", key, file.n_rows)
        if embeddings is None:
            embeddings = np.full((len(uids), array.shape[1]), np.nan, dtype=np.float32)
        if array.shape[1] != embeddings.shape[1]:
            msg = f"{folder}: {key} of {file.stem} has {array.shape[1]} columns, others differ"
            raise PoolError(msg)
        embeddings[rows["at"].to_numpy()] = array[rows["row"].to_numpy()]
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


def _open(url: str) -> MetadataFile:
    try:
        with fsspec.open(url, "rb") as handle:
            parquet = pq.ParquetFile(handle)
            columns, n_rows = frozenset(parquet.schema_arrow.names), parquet.metadata.num_rows
    except (ValueError, OSError) as error:
        msg = f"pool.metadata: {url} is no readable parquet file: {error}"
        raise PoolError(msg) from error
    if "uid" not in columns:
        msg = f"pool.metadata: {url} has no column uid; it has {', '.join(sorted(columns))}"
        raise PoolError(msg)
    return MetadataFile(PurePosixPath(url).stem, url, columns, n_rows)


def _typed(name: str, *, present: bool) -> pl.Expr:
    dtype = _TYPES.get(name)
    if not present:
        return pl.lit(None, dtype or pl.Null)
    return pl.col(name) if dtype is None else pl.col(name).cast(dtype, strict=False)


def _read_npz(url: str, key: str, n_rows: int) -> NDArray[np.floating]:
    try:
        with fsspec.open(url, "rb") as handle, zipfile.ZipFile(handle) as archive:  # type: ignore[arg-type]
            with archive.open(f"{key}.npy") as member:
                # The header first: a hostile shape would allocate before the data is looked at.
                version = np.lib.format.read_magic(member)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, _, dtype = read(member)
            if len(shape) != 2 or shape[0] != n_rows or dtype.kind != "f":
                msg = f"{url}: {key} is {dtype} {shape}; expected floats, {n_rows} rows"
                raise PoolError(msg)
            with archive.open(f"{key}.npy") as member:
                return np.lib.format.read_array(member, allow_pickle=False)
    except FileNotFoundError as error:
        msg = f"{url} is missing: the embeddings lie beside each parquet file, with its stem"
        raise PoolError(msg) from error
    except (KeyError, zipfile.BadZipFile) as error:
        msg = f"{url}: no readable array {key!r}: {error}"
        raise PoolError(msg) from error
