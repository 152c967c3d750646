"""A cheap check of whether files are there and as long as they were written."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from recap_assets.artefacts.table import Table

_PATH, _BYTES = "#path", "#bytes"

Groups = Mapping[tuple[str, ...], set[str]]
"""Values of a table's last slice column, by those of the others; {(): {""}} of a whole table."""


@dataclass(frozen=True)
class ListedFiles:
    """The data files of one version of a table, by its Delta log alone.

    Attributes:
        table: The table.
        version: The Delta version.
        files: A row for each file: its path below the table's folder, as on disk, its length, and
            the values of the slice columns as text.
    """

    table: Table
    version: int
    files: pl.DataFrame
    _named: dict[tuple[tuple[str, str], ...], Mapping[str, frozenset[str]]] = field(
        default_factory=dict[tuple[tuple[str, str], ...], Mapping[str, frozenset[str]]],
        compare=False,
    )

    @classmethod
    def of(cls, table: Table, delta: DeltaTable) -> "ListedFiles":
        """List the files of a table."""
        found = pl.DataFrame(delta.get_add_actions(flatten=True))
        columns = [f"partition.{name}" for name in table.slices]
        if not set(columns) <= set(found.columns):
            found = found.clear().with_columns(pl.lit("").alias(name) for name in columns)
        files = found.select(
            _decoded(found["path"]).alias(_PATH),
            pl.col("size_bytes").cast(pl.Int64).alias(_BYTES),
            pl.col(columns).cast(pl.String).name.replace("^partition.", ""),
        )
        return cls(table, delta.version(), files)

    @cached_property
    def slices(self) -> Sequence[Mapping[str, str]]:
        """The slices that have rows; a nameless one for a whole table."""
        if not self.table.slices:
            return [{}][: self.files.height]
        return self.files.select(self.table.slices).unique().to_dicts()

    @cached_property
    def groups(self) -> Groups:
        """The slices that have rows."""
        if not self.table.slices:
            return {(): {""}} if self.files.height else {}
        *leading, last = self.table.slices
        keys = pl.struct(leading) if leading else pl.lit(0)
        parts = self.files.group_by(keys.alias("#key")).agg(pl.col(last).unique())
        return {
            tuple(key.values()) if leading else (): set(values) for key, values in parts.iter_rows()
        }

    def names(self, leading: Mapping[str, str | int]) -> Mapping[str, frozenset[str]]:
        """The files by the last slice column, of slices whose others have these values."""
        key = tuple(sorted((column, str(value)) for column, value in leading.items()))
        if key not in self._named:
            wanted = [pl.col(column) == value for column, value in key]
            files = self.files.filter(*wanted) if wanted else self.files
            paths: dict[str, list[str]] = {}
            for value, path in files.select(self.table.slices[-1], _PATH).iter_rows():
                paths.setdefault(value, []).append(path)
            self._named[key] = {value: frozenset(some) for value, some in paths.items()}
        return self._named[key]

    def lost(self, folder: str, at: Mapping[str, str | int] | None = None) -> "ListedFiles":
        """The files that are gone, or of another length than the log says.

        Args:
            folder: Where the table is on this machine.
            at: Values of slice columns, to look at these slices only.
        """
        wanted = [pl.col(column) == str(value) for column, value in (at or {}).items()]
        files = self.files.filter(*wanted) if wanted else self.files
        paths = (f"{folder}/" + files[_PATH]).to_list()
        whole = list(map(is_whole, paths, files[_BYTES].to_list()))
        return ListedFiles(
            self.table, self.version, files.filter(~pl.Series(whole, dtype=pl.Boolean))
        )


def _decoded(paths: pl.Series) -> pl.Series:
    """Paths as on disk; the log names files percent-encoded."""
    encoded = paths.str.contains("%", literal=True)
    if not encoded.any():
        return paths
    return pl.Series([unquote(path) for path in paths], dtype=pl.String)


def is_whole(path: str | os.PathLike[str], n_bytes: int) -> bool:
    """Whether a file is there and has this many bytes."""
    try:
        return os.stat(path).st_size == n_bytes  # noqa: PTH116 - a path object takes longer to make
    except (FileNotFoundError, NotADirectoryError):
        return False
