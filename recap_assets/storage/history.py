"""What was committed to a table, as its Delta log records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recap_assets.artefacts.table import Table
from recap_assets.storage.tables import TableStore


@dataclass(frozen=True)
class Committed:
    """One commit.

    Attributes:
        version: The Delta version that it made.
        predicate: The slice that it replaced, in SQL; empty for what replaced none.
        facts: What the writer wrote beside it: data version, fingerprint, asset.
    """

    version: int
    predicate: str
    facts: Mapping[str, str]


def commits(store: TableStore, table: Table, most: int | None = None) -> Iterator[Committed]:
    """The commits that the log still has, the newest first; none where there is no table.

    Args:
        store: The tables.
        table: The table.
        most: How many are read; None: all.

    Raises:
        StorageError: The table cannot be opened.
    """
    if (delta := store.open(table)) is None:
        return
    # Numbered here: the numbers of `history` are wrong where the log was cleaned.
    for age, entry in enumerate(delta.history(most)):
        facts = {k: str(v) for k, v in entry.items() if k.startswith("recap.")}
        predicate = str(entry.get("operationParameters", {}).get("predicate", ""))
        yield Committed(delta.version() - age, predicate, facts)
