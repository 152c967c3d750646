"""Handles on Delta tables, at their current version or an older one."""

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from recap_assets.artefacts.table import Table
from recap_assets.storage.errors import StorageError
from recap_assets.storage.locations import LocatedTable, refuse_unusable
from recap_assets.storage.log_entries import (
    damaged_entry,
    entry_file,
    is_empty,
    put_aside,
    without_backtrace,
)
from recap_assets.storage.store_errors import in_words_of_store, patiently

HISTORY = 64

_log = logging.getLogger(__name__)


class TableHandles:
    """Opens the tables of one workspace, below a root: a local path or an object store's URL."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self.storage_options = dict(storage_options or {})

    def uri(self, table: Table) -> str:
        """Where the table is; plain polars and DuckDB open it by this path."""
        return f"{self.root}/{table.name}"

    def open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        """A handle on the table, at a version or the current one; None where there is no table.

        Raises:
            StorageError: The table cannot be opened, or not at this version.
        """
        refuse_unusable(self.root)
        # A fresh handle each time: a reused one gets slower with every commit.
        uri = self.uri(table)
        try:
            delta = patiently(lambda: LocatedTable(uri, version, self._options()))
        except TableNotFoundError as error:
            if version is None:
                return None
            raise self._gone(table, version, "there is no table") from error
        except (DeltaError, OSError) as error:
            if (damaged := damaged_entry(uri)) is not None:
                return self._without(table, damaged, version)
            if version is not None and version != self.version(table):
                raise self._gone(table, version, "the Delta log does not reach it") from error
            why = in_words_of_store(error) or without_backtrace(error)
            msg = f"table {table.name} at {uri} cannot be opened: {why}"
            raise StorageError(msg) from error
        if is_empty(uri, delta.version()):
            return self._without(table, entry_file(uri, delta.version()), version)
        return delta

    def _without(self, table: Table, damaged: Path, version: int | None) -> DeltaTable | None:
        """The table before a damaged entry, where that loses nothing; else what to do is said."""
        if table.append_only:
            # What it had added is added again, since it is found missing.
            aside = put_aside(damaged)
            _log.warning("table %s: %s was cut; it is kept as %s", table.name, damaged, aside.name)
            return self.open(table, version)
        msg = (
            f"table {table.name}: {damaged}, the last entry of its log, is damaged or empty, as a "
            f"power cut leaves it. Remove the folder {self.uri(table)} and build again: what the "
            "table held is built again"
        )
        raise StorageError(msg)

    def _gone(self, table: Table, version: int, why: str) -> StorageError:
        return StorageError(
            f"table {table.name} at {self.uri(table)} cannot be read at version {version}: {why}. "
            f"The current version is {self.version(table)}; what no receipt pins is vacuumed by "
            "`recap gc`. `recap reproduce` builds it again from a receipt"
        )

    def _options(self) -> dict[str, str] | None:
        return self.storage_options or None

    def version(self, table: Table) -> int | None:
        """The table's current Delta version; None where there is no table."""
        delta = self.open(table)
        return None if delta is None else delta.version()

    def version_at(self, table: Table, moment: datetime) -> int | None:
        """The Delta version that was current at a moment; None where the log begins later.

        Args:
            table: The table.
            moment: An aware time. Commits are dated by the clock of the machine that wrote them.
        """
        if (delta := self.open(table)) is None:
            return None
        wanted, limit = moment.timestamp() * 1000, HISTORY
        while True:
            # Entries are numbered here: those of `history` are wrong where the log was cleaned.
            entries = delta.history(limit)
            for age, entry in enumerate(entries):
                if entry["timestamp"] <= wanted:
                    return delta.version() - age
            if len(entries) < limit:
                return None
            limit *= 4
