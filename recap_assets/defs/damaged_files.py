"""Dagster's SQLite files: whole, or put aside so that others are made in their place."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from recap_assets.defs.storage_files import EVENT_LOG, FILES
from recap_assets.storage.files import place_aside

QUICK_BYTES = 32 * 2**20
"""Larger files are read through only where something pointed at damage; it takes seconds."""
NO_TEXT = "Could not decode to UTF-8"
"""What sqlite3 says of a text that is none."""

SUSPECT = "suspect"
"""A file of this name in the folder says that a query met damage."""


def put_aside_damaged(folder: Path) -> Iterator[str]:
    """Rename what is no whole SQLite file, with its log beside it; nothing is deleted.

    Args:
        folder: Dagster's storage of one experiment.

    Yields:
        For each file a sentence: what was wrong and where it is now.
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
            if not _tables(connection):
                return "it is empty"
            if _is_half_made(connection, path.name):
                return "it was left half made"
            is_read = thorough or path.stat().st_size <= QUICK_BYTES
            return _damage_inside(connection, thorough=thorough) if is_read else None
    except sqlite3.OperationalError:
        return None  # locked, or a disk's error, which passes
    except sqlite3.DatabaseError as error:
        return f"it is damaged ({error})"


def _damage_inside(connection: sqlite3.Connection, *, thorough: bool) -> str | None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        return f"it is damaged ({' '.join(found.split())})"
    return _unreadable_text(connection) if thorough else None


def _is_half_made(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a kill came while Dagster made the file: tables are missing, and none has a row.

    Dagster makes tables in a new file only, so this one would never be finished. One with rows is
    of an older Dagster, which `dagster instance migrate` brings up to date.
    """
    there = _tables(connection)
    if there >= _wanted_tables(name):
        return False
    counts = (f'SELECT count(*) FROM "{table}"' for table in there)  # noqa: S608 - its own names
    return not any(connection.execute(query).fetchone()[0] for query in counts)


def _wanted_tables(name: str) -> frozenset[str]:
    from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
    from dagster._core.storage.runs.schema import RunStorageSqlMetadata
    from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata

    schema = {
        EVENT_LOG: SqlEventLogStorageMetadata,
        "runs.db": RunStorageSqlMetadata,
        "schedules.db": ScheduleStorageSqlMetadata,
    }
    return frozenset(schema[name].tables)


def _tables(connection: sqlite3.Connection) -> frozenset[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return frozenset(name for (name,) in connection.execute(query))


def _unreadable_text(connection: sqlite3.Connection) -> str | None:
    """What is wrong with its texts: a page may be whole with letters that are none."""
    for table in sorted(_tables(connection)):
        try:
            for _ in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own name
                pass
        except sqlite3.OperationalError as error:
            if NO_TEXT not in str(error):
                raise
            return f"it is damaged (a text of its table {table} is no UTF-8)"
    return None


def _put_aside(path: Path) -> Path:
    aside = place_aside(path)
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    path.rename(aside)
    return aside
