"""Results that take long, kept while the table that they are of stays as it is."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from recap_assets.artefacts.table import Table
from recap_assets.storage.tables import TableStore

T = TypeVar("T")

MOST_KEPT = 12
"""Results; the one that was asked for longest ago goes first."""


class Kept:
    """Results by name, each with the version of its table."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables
        self._known: OrderedDict[tuple[str, ...], tuple[int | None, Any]] = OrderedDict()
        # One at a time: two requests for one result would compute it twice.
        self._lock = threading.RLock()

    def of(self, table: Table, name: tuple[str, ...], compute: Callable[[], T]) -> T:
        """The result of that name, computed again where the table was written since."""
        version = self._tables.version(table)
        with self._lock:
            known = self._known.get(name)
            if known is None or known[0] != version:
                known = version, compute()
                self._known[name] = known
            self._known.move_to_end(name)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return known[1]
