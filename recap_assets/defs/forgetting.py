"""Dagster's events of an experiment, taken away: they hold texts and thumbnails of samples.

The records are made again from the table `lineage` when the instance is opened next, as they are
where the event log was lost (`restoring`). The history of runs stays; what each run said does not,
nor do the results of checks, which name samples.
"""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recap_assets.defs.storage_files import EVENT_LOG, FORGOTTEN, RECORDS_READ
from recap_assets.storage.errors import StorageError

_TABLES = ("event_logs", "asset_event_tags", "asset_keys", "asset_check_executions")
_WAIT_SECONDS = 60.0
_HEARTBEAT = timedelta(seconds=90)
"""A daemon that runs gives a sign every half minute."""
_LOGS = "storage"
"""Folder of what the steps of runs wrote to their outputs."""


def take_events(storage: Path) -> int:
    """Remove all events of an instance's own storage, and the outputs of its steps.

    One transaction, after which the log counts as never compared with the lineage; then the file
    is written again without the free pages that still have the old bytes.

    Args:
        storage: Folder of the storage.

    Returns:
        Events that went.

    Raises:
        StorageError: The log cannot be changed, such as while a run is writing to it.
    """
    (storage / RECORDS_READ).unlink(missing_ok=True)
    shutil.rmtree(storage / _LOGS, ignore_errors=True)
    path = storage / EVENT_LOG
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)) as log:
            return _emptied(log)
    except sqlite3.Error as error:
        msg = (
            f"{path} cannot be emptied: {error}. Stop `recap ui` and Dagster's daemon, and call "
            "`recap forget` again"
        )
        raise StorageError(msg) from error


def refuse_running_daemon(storage: Path) -> None:
    """Refuse while Dagster's daemon is at work: without events it would build everything again.

    Args:
        storage: Folder of the storage.

    Raises:
        StorageError: Its last heartbeat is young.
    """
    path = storage / "runs.db"
    if not path.is_file():
        return
    try:
        with closing(
            sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        ) as runs:
            (last,) = runs.execute("SELECT max(timestamp) FROM daemon_heartbeats").fetchone()
    except sqlite3.Error:
        return  # a storage that never had a daemon
    if last and datetime.now(UTC) - datetime.fromisoformat(last).replace(tzinfo=UTC) < _HEARTBEAT:
        msg = (
            f"Dagster's daemon is at work on {storage}, and would take what is forgotten for what "
            f"was never built. Stop `recap ui`, wait {_HEARTBEAT.seconds} seconds, and call again"
        )
        raise StorageError(msg)


def _emptied(log: sqlite3.Connection) -> int:
    there = {name for (name,) in log.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    n = 0
    log.execute("BEGIN IMMEDIATE")
    for name in _TABLES:
        if name in there:
            n += log.execute(f"DELETE FROM {name}").rowcount  # noqa: S608 - names of our own
    log.execute(f"PRAGMA user_version = {FORGOTTEN}")
    log.execute("COMMIT")
    log.execute("VACUUM")
    log.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return n
