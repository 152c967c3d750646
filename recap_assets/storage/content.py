"""Content hashes: equal content has an equal version, whatever process or library wrote it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from recap_assets.artefacts.table import Table
from recap_assets.storage.sorting import sort_rows

VERSION_DIGITS = 32


def frame_version(frame: pl.DataFrame) -> str:
    """Hash of a frame's content: the same for any order of rows or columns, any chunking.

    Each column is hashed as lengths and values of its own, since the bytes of polars' IPC stream
    differ between equal frames (string views keep bytes that nothing refers to).
    """
    columns = sorted(frame.columns)
    sortable = [name for name in columns if not frame.schema[name].is_nested()]
    ordered = sort_rows(frame.select(columns), sortable)
    digest = hashlib.sha256(f"{ordered.height}".encode())
    for name in columns:
        digest.update(f"|{name}:{ordered.schema[name]}|".encode())
        _add_column(digest, ordered[name])
    return digest.hexdigest()[:VERSION_DIGITS]


def slice_version(table: Table, rows: pl.DataFrame) -> str:
    """Hash of the columns of a table that are content.

    A column that came later and holds its default only is left out, as it was before.
    """
    idle = {name for name, default in table.defaults.items() if (rows[name] == default).all()}
    return frame_version(rows.select(name for name in table.content if name not in idle))


def _add_column(digest: "hashlib._Hash", column: pl.Series) -> None:
    digest.update(column.is_null().to_numpy().tobytes())
    if isinstance(column.dtype, pl.List):
        digest.update(column.list.len().fill_null(0).to_numpy().tobytes())
        _add_column(digest, column.explode(empty_as_null=False, keep_nulls=False))
    elif isinstance(column.dtype, pl.Struct):
        for field in column.struct.fields:
            _add_column(digest, column.struct.field(field))
    elif column.dtype in (pl.String, pl.Binary):
        values = column.cast(pl.Binary).drop_nulls()
        digest.update(values.bin.size().to_numpy().tobytes())
        digest.update(_joined(values))
    elif column.dtype == pl.Boolean:
        digest.update(column.fill_null(value=False).cast(pl.UInt8).to_numpy().tobytes())
    else:
        values = column.to_physical().fill_null(0).to_numpy(writable=True)
        values[values == 0] = 0  # -0.0 and 0.0 are equal, so their bytes must be too
        digest.update(values.tobytes())


def _joined(values: pl.Series) -> memoryview:
    """The bytes of all values, one after the other."""
    # Arrow's old binary type keeps them so; going through Python's objects takes ten times as long.
    array = values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, content = array.buffers()
    if content is None:
        return memoryview(b"")
    start, end = np.frombuffer(offsets, np.int64)[[array.offset, array.offset + len(array)]]
    return memoryview(content)[start:end]


def files_version(paths: Iterable[Path], root: Path) -> str:
    """Hash of files' names below `root` and their bytes, in the order of the names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()}:{content}\n".encode())
    return digest.hexdigest()[:VERSION_DIGITS]
