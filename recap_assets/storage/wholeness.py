"""A cheap look at whether files are there and as long as they were written."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from recap_assets.specs.tables import Table

_PATH, _BYTES = "#path", "#bytes"


@dataclass(frozen=True)
class ListedFiles:
    """The data files of one version of a table, by its Delta log alone.

    Attributes:
        version: The Delta version.
        slices: The slices that have rows; a nameless one for a whole table.
        files: A row for each file: its path below the table's folder, as on disk, its length, and
            the values of the slice columns as text.
    """

    version: int
    slices: Sequence[Mapping[str, str]]
    files: pl.DataFrame

    @classmethod
    def of(cls, table: Table, delta: DeltaTable) -> "ListedFiles":
        """List the files of a table."""
        found = pl.DataFrame(delta.get_add_actions(flatten=True))
        columns = [f"partition.{name}" for name in table.slices]
        if not set(columns) <= set(found.columns):
            found = found.clear().with_columns(pl.lit("").alias(name) for name in columns)
        files = found.select(
            # The log names files percent-encoded.
            pl.Series(_PATH, [unquote(path) for path in found["path"]], pl.String),
            pl.Series(_BYTES, found["size_bytes"].to_list(), pl.Int64),
            pl.col(columns).cast(pl.String).name.replace("^partition.", ""),
        )
        return cls(delta.version(), _slices(table, files), files)

    def lost(
        self, table: Table, folder: str, at: Mapping[str, str | int] | None = None
    ) -> Sequence[Mapping[str, str]]:
        """The slices with a file that is gone, or of another length than the log says.

        Args:
            table: The table.
            folder: Where it lies on this machine.
            at: Values of slice columns, to look at these slices only.
        """
        wanted = [pl.col(column) == str(value) for column, value in (at or {}).items()]
        files = self.files.filter(*wanted) if wanted else self.files
        rows = files.select(_PATH, _BYTES).iter_rows()
        whole = [is_whole(f"{folder}/{path}", n_bytes) for path, n_bytes in rows]
        return _slices(table, files.filter(~pl.Series(whole, dtype=pl.Boolean)))


def _slices(table: Table, files: pl.DataFrame) -> Sequence[Mapping[str, str]]:
    if not table.slices:
        return [{}][: files.height]
    return files.select(table.slices).unique().to_dicts()


def is_whole(path: str | os.PathLike[str], n_bytes: int) -> bool:
    """Whether a file is there and has this many bytes."""
    try:
        return os.stat(path).st_size == n_bytes  # noqa: PTH116 - a path object takes longer to make
    except (FileNotFoundError, NotADirectoryError):
        return False
