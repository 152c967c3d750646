"""Delta tables with one write verb: replace this slice."""

import errno
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import polars as pl
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from recap_assets.specs.tables import Table
from recap_assets.storage.content import frame_version

ROW_GROUP = 131_072
CHECKPOINT_INTERVAL = 100
COMMIT_RETRIES = 100
ATTEMPTS = 6

Slice = Mapping[str, str | int]
T = TypeVar("T")
_log = logging.getLogger(__name__)


class StorageError(RuntimeError):
    """A table cannot be read or written; the text says which one and what to do."""


@dataclass(frozen=True)
class Written:
    """What a replacement did.

    Attributes:
        data_version: Hash of the slice's content.
        table_version: Delta version that holds it; None where nothing was rewritten.
    """

    data_version: str
    table_version: int | None

    @property
    def rewritten(self) -> bool:
        """False where the slice already held this very content."""
        return self.table_version is not None


class TableStore:
    """All tables of one workspace below a root, a local path or an object store's URL."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self.storage_options = dict(storage_options or {})

    def uri(self, table: Table) -> str:
        """Where the table lies; plain polars and DuckDB open it by this path."""
        return f"{self.root}/{table.name}"

    def scan(self, table: Table, **at: str | int) -> pl.LazyFrame:
        """The table's rows in the slices where the given columns have the given values."""
        if (delta := self._open(table)) is None:
            return table.empty().lazy()
        frame = pl.scan_delta(delta).select(list(table.columns))
        for column, value in at.items():
            frame = frame.filter(pl.col(column) == value)
        return frame.cast(pl.Schema(table.schema))

    def read(self, table: Table, **at: str | int) -> pl.DataFrame:
        """`scan`, collected."""
        try:
            return self.scan(table, **at).collect()
        except (OSError, pl.exceptions.ComputeError) as error:
            msg = (
                f"table {table.name} at {self.uri(table)} cannot be read ({error}); if a file of "
                "it was deleted, remove the table's folder and build again"
            )
            raise StorageError(msg) from error

    def has(self, table: Table, at: Slice) -> bool:
        """Whether the slice has rows, by the Delta log alone."""
        wanted = {column: str(value) for column, value in at.items()}
        return any(wanted.items() <= found.items() for found in self.slices(table))

    def slices(self, table: Table) -> list[dict[str, str]]:
        """The slices that have rows, by the Delta log alone; a nameless one for a whole table."""
        if (delta := self._open(table)) is None:
            return []
        return delta.partitions() if table.slices else [{}][: len(delta.file_uris())]

    def replace(
        self,
        table: Table,
        at: Slice,
        frame: pl.DataFrame,
        *,
        known_version: str | None = None,
        commit: Mapping[str, str] | None = None,
    ) -> Written:
        """Make `frame` the content of one slice, in one transaction.

        Args:
            table: The table.
            at: A value for each of the table's slice columns; `frame` may lack these columns.
            frame: The rows. Columns and types must be the table's.
            known_version: The data version that the slice is known to hold; an equal content is
                not written again.
            commit: Facts to keep in the Delta log beside the data version.

        Raises:
            StorageError: The disk is full, the store is out of reach, or writers kept colliding.
        """
        rows = conform(table, at, frame)
        version = frame_version(rows)
        if version == known_version and (rows.is_empty() or self.has(table, at)):
            return Written(version, None)
        facts = {"recap.data_version": version, **(commit or {})}
        return Written(version, self._overwrite(table, at, rows, facts))

    def remove(self, table: Table, at: Slice) -> None:
        """Delete the slice's rows; a slice that is not there is no error."""
        if self.has(table, at):
            predicate = _predicate(at)
            self._retry(
                table,
                lambda: DeltaTable(self.uri(table), storage_options=self._options()).delete(
                    predicate
                ),
            )

    def create(self, table: Table) -> None:
        """Make the table where there is none, so that no two writers have to."""
        self._retry(table, lambda: self._create(table))

    def version(self, table: Table) -> int | None:
        """The table's current Delta version; None where there is no table."""
        delta = self._open(table)
        return None if delta is None else delta.version()

    def _overwrite(
        self, table: Table, at: Slice, rows: pl.DataFrame, facts: Mapping[str, str]
    ) -> int:
        def write() -> int:
            self._create(table)
            write_deltalake(
                self.uri(table),
                rows,
                mode="overwrite",
                predicate=_predicate(at) if at else None,
                writer_properties=WriterProperties(
                    compression="ZSTD", max_row_group_size=ROW_GROUP
                ),
                commit_properties=CommitProperties(
                    custom_metadata=dict(facts), max_commit_retries=COMMIT_RETRIES
                ),
                post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
                storage_options=self._options(),
            )
            return DeltaTable(self.uri(table), storage_options=self._options()).version()

        return self._retry(table, write)

    def _create(self, table: Table) -> None:
        # Created before the first write: two writers that both create a table fail.
        if (delta := self._open(table)) is None:
            delta = self._new(table)
        for name, rule in table.constraints:
            if f"delta.constraints.{name}" not in delta.metadata().configuration:
                delta.alter.add_constraint({name: rule})

    def _new(self, table: Table) -> DeltaTable:
        return DeltaTable.create(
            self.uri(table),
            schema=table.empty().to_arrow().schema,
            mode="ignore",
            partition_by=list(table.slices),
            name=table.name,
            description=table.meaning,
            configuration={"delta.checkpointInterval": str(CHECKPOINT_INTERVAL)},
            storage_options=self._options(),
        )

    def _retry(self, table: Table, action: Callable[[], T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except CommitFailedError as error:
                if attempt == ATTEMPTS - 1:
                    raise self._failure(table, error) from error
                pause = random.uniform(0.05, 0.2) * 2**attempt  # noqa: S311 - jitter is no secret
                _log.info("table %s: commit collided, again in %.2f s", table.name, pause)
                time.sleep(pause)
            except (DeltaError, OSError) as error:
                raise self._failure(table, error) from error
        raise AssertionError  # the loop returns or raises

    def _failure(self, table: Table, error: Exception) -> StorageError:
        where = f"table {table.name} at {self.uri(table)}"
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            return StorageError(
                f"{where}: no space left on the disk; nothing was changed. Free some and run again"
            )
        return StorageError(f"{where} cannot be written: {error}; nothing was changed")

    def _open(self, table: Table) -> DeltaTable | None:
        # A fresh handle each time: a reused one gets slower with every commit.
        try:
            return DeltaTable(self.uri(table), storage_options=self._options())
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            msg = f"table {table.name} at {self.uri(table)} cannot be opened: {error}"
            raise StorageError(msg) from error

    def _options(self) -> dict[str, str] | None:
        return self.storage_options or None


def conform(table: Table, at: Slice, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the table's slice columns, column order, types and row order.

    Raises:
        StorageError: A column is missing or of another type, or null where it must not be.
    """
    if set(at) != set(table.slices):
        msg = f"table {table.name}: a slice is named by {table.slices}, not by {tuple(at)}"
        raise StorageError(msg)
    with_slice = frame.with_columns(
        pl.lit(value, table.columns[name].dtype).alias(name) for name, value in at.items()
    )
    if wrong := {
        name: (with_slice.schema.get(name), dtype)
        for name, dtype in table.schema.items()
        if with_slice.schema.get(name) != dtype
    }:
        listed = "; ".join(f"{n}: has {has}, needs {needs}" for n, (has, needs) in wrong.items())
        raise StorageError(f"table {table.name}: {listed}")
    rows = with_slice.select(list(table.columns))
    for name, column in table.columns.items():
        if not column.nullable and rows[name].null_count():
            msg = f"table {table.name}: {rows[name].null_count()} null values in column {name}"
            raise StorageError(msg)
    return rows.sort(list(table.order))


def _predicate(at: Slice) -> str:
    parts = [
        f"{column} = '{value}'" if isinstance(value, str) else f"{column} = {value}"
        for column, value in at.items()
    ]
    return " AND ".join(parts)
