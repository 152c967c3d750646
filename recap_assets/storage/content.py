"""Content hashes: equal content has an equal version, whatever process or library wrote it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from recap_assets.artefacts.table import Table
from recap_assets.storage.sorting import sort_rows

VERSION_DIGITS = 32
SCHEME_DIGITS = 8


def frame_version(frame: pl.DataFrame, *, by: str | None = None) -> str:
    """Hash of a frame's content: the same for any order of rows or columns, any chunking.

    Each column is hashed as lengths and values of its own, since the bytes of polars' IPC stream
    differ between equal frames (string views keep bytes that nothing refers to).

    Args:
        frame: The rows.
        by: The column by which rows are put into order first, which another hash comes of. Where
            they come in that order, or nearly, it is several times as fast.
    """
    columns = sorted(frame.columns)
    sortable = [name for name in columns if not frame.schema[name].is_nested()]
    ordered = sort_rows(frame.select(columns), sorted(sortable, key=lambda name: name != by))
    digest = hashlib.sha256(f"{ordered.height}".encode())
    for name in columns:
        digest.update(f"|{name}:{ordered.schema[name]}|".encode())
        _add_column(digest, ordered[name])
    return digest.hexdigest()[:VERSION_DIGITS]


def facet_version(frame: pl.DataFrame) -> str:
    """Hash of the rows of a facet, after its `facet_scheme`.

    Tables come in the order of their uids within a shard, so facets that have them are hashed so.
    """
    return facet_scheme(frame) + frame_version(frame, by="uid")


def facet_scheme(frame: pl.DataFrame) -> str:
    """What versions begin with that were made alike, of the same columns: others say nothing."""
    columns = sorted(f"{name}:{dtype}" for name, dtype in frame.schema.items())
    return hashlib.sha256("|".join(columns).encode()).hexdigest()[:SCHEME_DIGITS] + "-"


def slice_version(table: Table, rows: pl.DataFrame) -> str:
    """Hash of the columns of a table that are content.

    A column that came later and holds its default only is left out, as it was before.
    """
    idle = {name for name, default in table.defaults.items() if (rows[name] == default).all()}
    return frame_version(rows.select(name for name in table.content if name not in idle))


def _add_column(digest: "hashlib._Hash", column: pl.Series) -> None:
    # An expression costs more than the hash of some rows, so columns without nulls are spared it.
    some_null = column.null_count() > 0
    digest.update(column.is_null().to_numpy().tobytes() if some_null else bytes(len(column)))
    if isinstance(column.dtype, pl.List):
        digest.update(column.list.len().fill_null(0).to_numpy().tobytes())
        _add_column(digest, column.explode(empty_as_null=False, keep_nulls=False))
    elif isinstance(column.dtype, pl.Struct):
        for field in column.struct.fields:
            _add_column(digest, column.struct.field(field))
    elif column.dtype in (pl.String, pl.Binary):
        values = column.cast(pl.Binary)
        for part in _sizes_and_bytes(values.drop_nulls() if some_null else values):
            digest.update(part)
    elif column.dtype == pl.Boolean:
        filled = column.fill_null(value=False) if some_null else column
        digest.update(filled.cast(pl.UInt8).to_numpy().tobytes())
    else:
        physical = column.to_physical()
        filled = physical.fill_null(0) if some_null else physical
        values = filled.to_numpy(writable=True)
        values[values == 0] = 0  # -0.0 and 0.0 are equal, so their bytes must be too
        digest.update(values.tobytes())


def _sizes_and_bytes(values: pl.Series) -> tuple[bytes, memoryview]:
    """The size of each value, as 32 bits, and the bytes of all, one after the other."""
    if not len(values):
        return b"", memoryview(b"")
    # Arrow's old binary type keeps them so; going through Python's objects takes ten times as long.
    array = values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, buffer, content = array.buffers()
    offsets = np.frombuffer(buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    sizes = np.diff(offsets).astype(np.uint32).tobytes()
    start, end = offsets[[0, -1]]
    return sizes, memoryview(content or b"")[start:end]


def files_version(paths: Iterable[Path], root: Path) -> str:
    """Hash of files' names below `root` and their bytes, in the order of the names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()}:{content}\n".encode())
    return digest.hexdigest()[:VERSION_DIGITS]
