"""Results that take long, kept while the table that they are of stays as it is."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from recap_assets.artefacts.table import Table
from recap_assets.storage.tables import TableStore

T = TypeVar("T")

MOST_KEPT = 12
"""Results; the one that was asked for longest ago goes first."""


class Kept:
    """Results by name, each with the versions of its tables."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables
        self._known: OrderedDict[tuple[str, ...], tuple[object, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._computing: dict[tuple[str, ...], threading.Lock] = {}

    def of(
        self,
        table: Table | Sequence[Table],
        name: tuple[str, ...],
        compute: Callable[[], T],
        of: str = "",
    ) -> T:
        """The result of that name, computed again where a table was written since.

        Args:
            table: What it depends on.
            name: Of the result.
            compute: Computes it.
            of: What else it is of. One result of a name is kept, the last that was asked for.
        """
        tables = [table] if isinstance(table, Table) else table
        version = of, [self._tables.version(one) for one in tables]
        with self._lock:
            alone = self._computing.setdefault(name, threading.Lock())
        # Two requests for one result would compute it twice; for others they need not wait.
        with alone:
            known = self._known.get(name)
            if known is None or known[0] != version:
                self._known.pop(name, None)
                known = version, compute()
            with self._lock:
                self._known[name] = known
                self._known.move_to_end(name)
                while len(self._known) > MOST_KEPT:
                    self._known.popitem(last=False)
        return known[1]
