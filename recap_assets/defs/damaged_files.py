"""Dagster's SQLite files: whole, or put aside so that others are made in their place."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

EVENT_LOG = "event_log.db"
FILES = (EVENT_LOG, "runs.db", "schedules.db")
QUICK_BYTES = 32 * 2**20
"""Larger files are read through only where something pointed at damage; it takes seconds."""
SUSPECT = "suspect"
"""A file of this name in the folder says that a query met damage."""


def put_aside_damaged(folder: Path) -> Iterator[str]:
    """Rename what is no whole SQLite file, with its log beside it; nothing is deleted.

    Args:
        folder: Dagster's storage of one experiment.

    Yields:
        For each file a sentence: what was wrong and where it lies now.
    """
    suspect = folder / SUSPECT
    for name in FILES:
        path = folder / name
        wrong = _damage(path, thorough=suspect.exists()) if path.exists() else None
        if wrong is not None:
            yield f"{path}: {wrong}; it is kept as {_put_aside(path).name}"
    with suppress(FileNotFoundError):
        suspect.unlink()


def suspect_damage(folder: Path) -> None:
    """Have the files read through by whoever opens them next."""
    if folder.is_dir():
        (folder / SUSPECT).touch()


def _damage(path: Path, *, thorough: bool) -> str | None:
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            n_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not n_tables:
                return "it is empty"
            if not thorough and path.stat().st_size > QUICK_BYTES:
                return None
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            return None if found == "ok" else f"it is damaged ({' '.join(found.split())})"
    except sqlite3.OperationalError:
        return None  # locked, or a disk's error, which passes
    except sqlite3.DatabaseError as error:
        return f"it is damaged ({error})"


def _put_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    path.rename(aside)
    return aside
