"""Which files tables have, by their logs, and whether these files are there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from recap_assets.artefacts.table import Table
from recap_assets.storage.locations import is_url
from recap_assets.storage.log_entries import FileChanges, LogEnd, end_of_log, file_changes
from recap_assets.storage.wholeness import is_whole

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

    def following(self, changes: FileChanges) -> "ListedFiles | None":
        """The files after commits that changed some; None where these name slices otherwise."""
        names = self.table.slices
        if any(set(file.slice_values) != set(names) for file in changes.added):
            return None
        rows = [
            (file.path, file.n_bytes, *(file.slice_values[name] for name in names))
            for file in changes.added
        ]
        added = pl.DataFrame(rows, schema=[_PATH, _BYTES, *names], orient="row")
        gone = [*changes.removed, *(file.path for file in changes.added)]
        left = self.files.filter(~pl.col(_PATH).is_in(gone))
        files = pl.concat([left, added.cast(self.files.schema).select(left.columns)])
        return ListedFiles(self.table, changes.version, files)

    @classmethod
    def none(cls, table: Table) -> "ListedFiles":
        """Those of a table before its first commit."""
        schema = {_PATH: pl.String, _BYTES: pl.Int64, **dict.fromkeys(table.slices, pl.String)}
        return cls(table, -1, pl.DataFrame(schema=schema))

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


class Listings:
    """The files of each table of one workspace.

    A table of 60,000 slices takes half a second to list, and as long to open. While its log ends as
    it did, it is not even opened, and a few commits are followed by their entries. In an object
    store the version must do.
    """

    def __init__(self) -> None:
        self._listed: dict[str, tuple[ListedFiles, LogEnd | None]] = {}

    def of(
        self, table: Table, uri: str, current: Callable[[], DeltaTable | None]
    ) -> ListedFiles | None:
        """Those of one table, where there is one.

        Args:
            table: The table.
            uri: Where it is.
            current: Opens it.
        """
        listed, ended = self._listed.get(table.name, (None, None))
        if listed and ended and ended == end_of_log(uri, listed.version):
            return listed
        if (found := self._followed(table, uri, listed, ended)) is None:
            if (delta := current()) is None:
                return None
            found = listed
            if found is None or ended or found.version != delta.version():
                found = ListedFiles.of(table, delta)
        self._listed[table.name] = found, end_of_log(uri, found.version)
        return found

    def _followed(
        self, table: Table, uri: str, listed: ListedFiles | None, ended: LogEnd | None
    ) -> ListedFiles | None:
        """Those that the log's entries give, where these are on this machine and few."""
        if is_url(uri) or (listed and not ended):
            return None
        listed = listed or ListedFiles.none(table)
        changes = file_changes(uri, listed.version, ended)
        return None if changes is None else listed.following(changes)


class FixedListings(Listings):
    """Those of tables that are seen as they were, whatever is committed since."""

    def _followed(
        self, table: Table, uri: str, listed: ListedFiles | None, ended: LogEnd | None
    ) -> None:
        """Nothing: only the handle that is kept says what the table was."""
