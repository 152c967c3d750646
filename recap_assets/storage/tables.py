"""Delta tables with one write verb: replace this slice; append-only ones have append instead."""

import errno
import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import polars as pl
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.fs import DeltaStorageHandler

from recap_assets.artefacts.table import Table
from recap_assets.storage.changes import about_to_change, refuse_forbidden
from recap_assets.storage.content import slice_version
from recap_assets.storage.errors import StorageError
from recap_assets.storage.handles import TableHandles
from recap_assets.storage.listings import FixedListings, Groups, ListedFiles, Listings
from recap_assets.storage.locations import LocatedTable, is_url
from recap_assets.storage.log_entries import (
    LogEnd,
    end_of_log,
    without_backtrace,
)
from recap_assets.storage.object_store import prove_once
from recap_assets.storage.rows import Slice, conform, typed
from recap_assets.storage.store_errors import in_words_of_store, patiently
from recap_assets.storage.written_files import writer_properties

CHECKPOINT_INTERVAL = 100
COMMIT_RETRIES = 100
ATTEMPTS = 6
DATA_VERSION = "recap.data_version"

# Delta would delete log entries after 30 days, and with them the means to read an older version.
# storage/retention.py trims the log by what receipts pin instead.
POLICY = {
    "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650 days",
}
_CONSTRAINT = "delta.constraints."
_NO_LOG_CLEANUP = PostCommitHookProperties(cleanup_expired_logs=False)

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """What a replacement or an append did.

    Attributes:
        table: The table's name.
        data_version: Hash of the slice's content, or of the rows that were appended.
        table_version: Delta version that this very commit made; None where nothing was rewritten.
        n_bytes: Bytes of the files that the commit added; 0 where nothing was rewritten.
    """

    table: str
    data_version: str
    table_version: int | None = None
    n_bytes: int = 0

    @property
    def rewritten(self) -> bool:
        """False where the slice already held this very content."""
        return self.table_version is not None


class TableStore(TableHandles):
    """All tables of one workspace below a root, a local path or an object store's URL."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        super().__init__(root, storage_options)
        self._listings = Listings()
        self._read: dict[str, tuple[DeltaTable, LogEnd]] = {}

    def scan(self, table: Table, version: int | None = None, **at: str | int) -> pl.LazyFrame:
        """The table's rows in the slices where the given columns have the given values.

        Args:
            table: The table.
            version: Delta version to read; None for the current one.
            at: Slice columns and their values.

        Raises:
            StorageError: The Delta log has no such version any more. That a file of the version
                was vacuumed shows only when the frame is collected; `read` says so.
        """
        delta = self._current(table) if version is None else self.open(table, version)
        if delta is None:
            return table.empty().lazy()
        frame = _with_defaults(pl.scan_delta(delta), table, delta).select(list(table.columns))
        for column, value in at.items():
            frame = frame.filter(pl.col(column) == value)
        return frame.cast(pl.Schema(table.schema))

    def _current(self, table: Table) -> DeltaTable | None:
        """A handle to read with: that of the last reading while the table's log ends as it did."""
        uri = self.uri(table)
        delta, ended = self._read.get(table.name, (None, None))
        if delta is not None and ended == end_of_log(uri, delta.version()):
            return delta
        self._read.pop(table.name, None)
        delta = self.open(table)
        if delta is not None and (ended := end_of_log(uri, delta.version())) is not None:
            self._read[table.name] = delta, ended
        return delta

    def read(self, table: Table, version: int | None = None, **at: str | int) -> pl.DataFrame:
        """`scan`, collected.

        Raises:
            StorageError: A file is gone, or the version is: vacuumed, or its log entries cleaned.
        """
        return self.collected(table, version, lambda: self.scan(table, version, **at))

    def collected(
        self, table: Table, version: int | None, rows: Callable[[], pl.LazyFrame]
    ) -> pl.DataFrame:
        """Rows of a table at a version, of a scan that may be cut down to what is wanted.

        Raises:
            StorageError: As `read`.
        """
        try:
            return patiently(lambda: rows().collect())
        except (OSError, pl.exceptions.ComputeError) as error:
            if (why := in_words_of_store(error)) is not None:
                msg = f"table {table.name} at {self.uri(table)} cannot be read: {why}"
                raise StorageError(msg) from error
            if version is not None and version != self.version(table):
                raise self._gone(table, version, f"its files were vacuumed ({error})") from error
            msg = (
                f"table {table.name} at {self.uri(table)} cannot be read ({error}); if a file of "
                "it was deleted, remove the table's folder and build again"
            )
            raise StorageError(msg) from error

    def has(self, table: Table, at: Slice) -> bool:
        """Whether the slice has rows, by the Delta log alone."""
        wanted = {column: str(value) for column, value in at.items()}
        return any(wanted.items() <= found.items() for found in self.slices(table))

    def slices(self, table: Table) -> Sequence[Mapping[str, str]]:
        """The slices that have rows, by the Delta log alone; a nameless one for a whole table."""
        listed = self._files(table)
        return listed.slices if listed else []

    def groups(self, table: Table) -> Groups:
        """`slices`: the values of the last slice column, by those of the others."""
        listed = self._files(table)
        return listed.groups if listed else {}

    def files_of(
        self, table: Table, version: int | None, leading: Slice
    ) -> Mapping[str, frozenset[str]]:
        """The files of slices at a version, by the last slice column; `leading` are the others'.

        Raises:
            StorageError: The Delta log has no such version any more.
        """
        listed = self._files(table)
        if version is not None and (listed is None or listed.version != version):
            delta = self.open(table, version)
            listed = None if delta is None else ListedFiles.of(table, delta)
        return {} if listed is None else listed.names(leading)

    def lost_groups(self, table: Table) -> Groups:
        """Those of `lost`, as in `groups`."""
        lost = self._lost(table)
        return lost.groups if lost else {}

    def lost(self, table: Table, at: Slice | None = None) -> Sequence[Mapping[str, str]]:
        """The slices with a file that is gone or cut, by a look at its length.

        None in an object store, which would have to be asked for every file; `recap verify` reads
        all of them anywhere.

        Args:
            table: The table.
            at: Values of slice columns, to look at these slices only.
        """
        lost = self._lost(table, at)
        return lost.slices if lost else []

    def _lost(self, table: Table, at: Slice | None = None) -> ListedFiles | None:
        if is_url(self.root) or (listed := self._files(table)) is None:
            return None
        return listed.lost(self.uri(table), at)

    def _files(self, table: Table) -> ListedFiles | None:
        return self._listings.of(table, self.uri(table), lambda: self._current(table))

    def _holds(self, table: Table, at: Slice) -> bool:
        return self.has(table, at) and not self.lost(table, at)

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
                not written again, unless a file of it is gone or cut.
            commit: Facts to keep in the Delta log beside the data version.

        Raises:
            StorageError: The disk is full, the store is out of reach, or writers kept colliding.
        """
        _refuse(table, "replace", append_only=False)
        rows = conform(table, at, frame)
        version = slice_version(table, rows)
        if version == known_version and (rows.is_empty() or self._holds(table, at)):
            return Written(table.name, version)
        facts = {DATA_VERSION: version, **(commit or {})}
        return self._commit(table, rows, facts, at)

    def append(
        self, table: Table, frame: pl.DataFrame, *, commit: Mapping[str, str] | None = None
    ) -> Written:
        """Add rows to an append-only table, in one transaction; no rows, no commit.

        Appends never collide with one another. One whose acknowledgement was lost (a broken
        connection to an object store) may be repeated, so readers distinguish rows by their keys.

        Args:
            table: An append-only table.
            frame: The rows with all of the table's columns.
            commit: Facts to keep in the Delta log.

        Raises:
            StorageError: The table is replaced by slices, or as `replace`.
        """
        _refuse(table, "append", append_only=True)
        rows = typed(table, frame)
        version = slice_version(table, rows)
        if rows.is_empty():
            return Written(table.name, version)
        facts = {DATA_VERSION: version, **(commit or {})}
        return self._commit(table, rows, facts, None)

    def remove(self, table: Table, at: Slice) -> None:
        """Delete the slice's rows; a slice that is not there is no error."""
        _refuse(table, "remove", append_only=False)
        if self.has(table, at):
            about_to_change()
            self._retry(
                table,
                lambda: self._current_when_allowed(table).delete(
                    _predicate(at), post_commithook_properties=_NO_LOG_CLEANUP
                ),
            )

    def create(self, table: Table) -> None:
        """Make the table where there is none, so that no two writers have to."""
        self._retry(table, lambda: self._create(table))

    def _commit(
        self, table: Table, rows: pl.DataFrame, facts: Mapping[str, str], at: Slice | None
    ) -> Written:
        """Overwrite a slice, or append where none is given."""
        properties = CommitProperties(
            custom_metadata=dict(facts), max_commit_retries=COMMIT_RETRIES
        )
        write = partial(
            write_deltalake,
            writer_properties=writer_properties(table),
            commit_properties=properties,
            post_commithook_properties=_NO_LOG_CLEANUP,
        )

        def commit() -> int:
            # After the write the handle is at its own commit, whoever committed meanwhile.
            about_to_change()
            delta = self._current_when_allowed(table)
            if at is None:
                write(delta, rows, mode="append", schema_mode="merge")
            else:
                write(delta, rows, mode="overwrite", predicate=_predicate(at), schema_mode="merge")
            return delta.version()

        version = self._retry(table, commit)
        return Written(table.name, facts[DATA_VERSION], version, self._bytes_added(table, version))

    def _bytes_added(self, table: Table, version: int) -> int:
        """Bytes of the files that one commit added, from its own entry in the log."""
        try:
            entry = patiently(lambda: self._entry(table, version))
        except (DeltaError, OSError) as error:
            why = in_words_of_store(error) or without_backtrace(error)
            msg = f"table {table.name}: version {version} was written, but {why}; run again"
            raise StorageError(msg) from error
        actions = (json.loads(line) for line in entry.splitlines())
        return sum(action["add"]["size"] for action in actions if "add" in action)

    def _entry(self, table: Table, version: int) -> bytes:
        files = DeltaStorageHandler(self.uri(table), self._options())
        return bytes(files.open_input_file(f"_delta_log/{version:020}.json").read())

    def _current_when_allowed(self, table: Table) -> DeltaTable:
        """The table, at a version that it had while changes of it were still allowed.

        Whoever takes over a claim commits after this version, so that a commit on top of it, by a
        process that was stopped right here, collides with that one.
        """
        delta = self._create(table)
        refuse_forbidden()
        return delta

    def _create(self, table: Table) -> DeltaTable:
        # Created before the first write: two writers that both create a table fail.
        if (delta := self.open(table)) is None:
            delta = self._new(table)
        if not POLICY.items() <= delta.metadata().configuration.items():
            delta.alter.set_table_properties(POLICY)
        held = {
            key.removeprefix(_CONSTRAINT)
            for key in delta.metadata().configuration
            if key.startswith(_CONSTRAINT)
        }
        for name, rule in table.constraints:
            if name not in held:
                delta.alter.add_constraint({name: rule})
        # One of an earlier release would refuse what the table may hold now.
        for name in sorted(held - dict(table.constraints).keys()):
            delta.alter.drop_constraint(name, raise_if_not_exists=False)
        return delta

    def _new(self, table: Table) -> DeltaTable:
        return LocatedTable.create(
            self.uri(table),
            schema=table.empty().to_arrow().schema,
            mode="ignore",
            partition_by=list(table.slices),
            name=table.name,
            description=table.meaning,
            configuration=dict(POLICY),
            storage_options=self._options(),
        )

    def _retry(self, table: Table, action: Callable[[], T]) -> T:
        if is_url(self.root):
            prove_once(self.root)
        for attempt in range(ATTEMPTS):
            try:
                return patiently(action)
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
        if (why := in_words_of_store(error)) is not None:
            return StorageError(f"{where} cannot be written: {why}")
        why = without_backtrace(error)
        return StorageError(f"{where} cannot be written: {why}; nothing was changed")


def _with_defaults(frame: pl.LazyFrame, table: Table, delta: DeltaTable) -> pl.LazyFrame:
    """The rows with the columns that came after some of them were written."""
    defaults = {**dict.fromkeys(table.optional), **table.defaults}
    if not defaults:
        return frame
    there = {field.name for field in delta.schema().fields}
    return frame.with_columns(
        pl.lit(default, table.columns[name].dtype).alias(name)
        if name not in there
        else pl.col(name).fill_null(default)
        for name, default in defaults.items()
        if name not in there or default is not None
    )


def _refuse(table: Table, verb: str, *, append_only: bool) -> None:
    # An overwrite anywhere in a table makes a concurrent append to it fail: never mix the verbs.
    if table.append_only != append_only:
        kind = "append-only: use append" if table.append_only else "replaced by slices: use replace"
        raise StorageError(f"table {table.name} cannot {verb}: it is {kind}")


def _predicate(at: Slice) -> str | None:
    parts = [
        f"{column} = '{value}'" if isinstance(value, str) else f"{column} = {value}"
        for column, value in at.items()
    ]
    return " AND ".join(parts) or None


class FixedTables(TableStore):
    """Tables as they were when they were first read, each opened once; they are only read.

    Opening reads the table's log, which takes longer than a partition's rows of some columns.
    What others commit meanwhile is not seen: a `TableStore` sees it.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        super().__init__(root, storage_options)
        self._opened: dict[tuple[str, int | None], DeltaTable | None] = {}
        self._listings = FixedListings()

    def open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        """As `TableStore.open`; of one version, and without one, always the same handle."""
        key = table.name, version
        if key not in self._opened:
            self._opened[key] = super().open(table, version)
        return self._opened[key]

    def _create(self, table: Table) -> DeltaTable:
        msg = f"table {table.name} at {self.uri(table)} is opened to be read only"
        raise StorageError(msg)
