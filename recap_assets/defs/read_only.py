"""A data folder that cannot be written: its records are read from a copy."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from recap_assets.defs.storage_files import FILES, RECORDS_READ

_WITH_LOGS = tuple(f"{name}{end}" for name in FILES for end in ("", "-wal"))
_COPIES: list[tempfile.TemporaryDirectory[str]] = []
"""They go when the process ends."""


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder; if it is not there, in the next one above that is."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return os.access(there, os.W_OK | os.X_OK)


def copied(storage: Path) -> Path:
    """Copy Dagster's storage to a folder that goes when the process ends; where it is.

    SQLite cannot read a database with a log beside it where it can write nothing. A copy that
    another process's writing tore is a damaged one, and is treated as such.

    Args:
        storage: Dagster's storage of one experiment; it may be missing.
    """
    _COPIES.append(copy := tempfile.TemporaryDirectory(prefix="recap-records-"))
    for name in (*_WITH_LOGS, RECORDS_READ):
        with suppress(FileNotFoundError):
            shutil.copyfile(storage / name, Path(copy.name) / name)
    return Path(copy.name)
