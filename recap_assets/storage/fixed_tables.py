"""Tables for a reader that scans each of them hundreds of times."""

from collections.abc import Mapping

from deltalake import DeltaTable

from recap_assets.artefacts.table import Table
from recap_assets.storage.errors import StorageError
from recap_assets.storage.tables import TableStore


class FixedTables(TableStore):
    """Tables as they were when they were first read, each opened once; they are only read.

    Opening reads the table's log, which takes longer than a partition's rows of some columns.
    What others commit meanwhile is not seen: a `TableStore` sees it.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        super().__init__(root, storage_options)
        self._opened: dict[str, DeltaTable | None] = {}

    def open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        """As `TableStore.open`; without a version always the same handle."""
        if version is not None:
            return super().open(table, version)
        if table.name not in self._opened:
            self._opened[table.name] = super().open(table)
        return self._opened[table.name]

    def _create(self, table: Table) -> DeltaTable:
        msg = f"table {table.name} at {self.uri(table)} is opened to be read only"
        raise StorageError(msg)
