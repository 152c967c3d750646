"""Removal that holds: a table without its history, and an append-only one without some rows.

`recap gc` spares what a running process or a receipt may need. Here nothing is spared: old data
files, and the entries of the log with the least and greatest texts of each file, go at once. The
callers see to it that nobody builds meanwhile.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, PostCommitHookProperties, write_deltalake
from deltalake.exceptions import DeltaError

from recap_assets.artefacts.table import Table
from recap_assets.storage.rows import typed
from recap_assets.storage.tables import StorageError, TableStore
from recap_assets.storage.written_files import writer_properties

LOG = "_delta_log"
_NUMBER_DIGITS = 20
_NO_CLEANUP = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


@dataclass(frozen=True)
class Purged:
    """What went with a table's history.

    Attributes:
        n_files: Data files.
        n_log_files: Entries and checkpoints of the log.
    """

    n_files: int
    n_log_files: int


def overwrite(store: TableStore, table: Table, rows: pl.DataFrame) -> None:
    """Make these all rows of a table, an append-only one included, in one transaction.

    Raises:
        StorageError: It cannot be written.
    """
    store.create(table)
    try:
        write_deltalake(
            store.open(table) or store.uri(table), typed(table, rows), mode="overwrite",
            schema_mode="merge", writer_properties=writer_properties(table),
            commit_properties=CommitProperties(), post_commithook_properties=_NO_CLEANUP,
        )  # fmt: skip
    except (DeltaError, OSError) as error:
        raise StorageError(f"table {table.name} cannot be written: {error}") from error


def purge(store: TableStore, table: Table) -> Purged:
    """Remove every version but the current one, whoever pins it, and its traces in the log.

    The table can be read at every moment: the files go first, then a checkpoint is written, and
    only then the entries below it go, from the oldest on.

    Raises:
        StorageError: The table cannot be opened or cleaned.
    """
    if (delta := store.open(table)) is None:
        return Purged(0, 0)
    try:
        gone = delta.vacuum(
            retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True,
            post_commithook_properties=_NO_CLEANUP,
        )  # fmt: skip
        delta.update_incremental()
        delta.create_checkpoint()
        log = _below(Path(store.uri(table)) / LOG, delta.version())
        for path in log:
            path.unlink(missing_ok=True)
    except (DeltaError, OSError) as error:
        raise StorageError(f"table {table.name} cannot be cleaned: {error}") from error
    return Purged(len(gone), len(log))


def data_files(store: TableStore, table: Table) -> list[Path]:
    """All data files that a local table's folder has, of old versions and orphans too."""
    root = Path(store.uri(table))
    found = root.rglob("*.parquet") if root.is_dir() else ()
    return sorted(path for path in found if LOG not in path.relative_to(root).parts)


def log_files(store: TableStore, table: Table) -> list[Path]:
    """All files of a local table's log."""
    return sorted(path for path in (Path(store.uri(table)) / LOG).glob("*") if path.is_file())


def _below(log: Path, version: int) -> list[Path]:
    """Entries of the log below a version, and files that are none, such as those put aside."""
    found = sorted(path for path in log.iterdir() if path.is_file())
    return [path for path in found if path.name != "_last_checkpoint" and _is_old(path, version)]


def _is_old(path: Path, version: int) -> bool:
    digits = path.name[:_NUMBER_DIGITS]
    if not (digits.isdigit() and len(digits) == _NUMBER_DIGITS):
        return True
    return int(digits) < version or ".damaged-" in path.name
