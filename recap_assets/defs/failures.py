"""What a full or failing disk, too few open files or lost records look like, in one sentence."""

import errno
import io
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from recap_assets.defs.damaged_files import NO_TEXT, suspect_damage
from recap_assets.storage.store_errors import in_words_of_store
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line

INSTANCE_VARIABLE = "RECAP_INSTANCE"
_RETRYING = "Retrying failed database connection"
_LOGGERS = "Exception while writing logger call"
_KEPT = "and run again: what was finished is kept"
_FULL = f"no space is left on the disk{{where}}: free some, {_KEPT}"
_FAILING = f"the disk answered with an error{{where}}: look at the disk, {_KEPT}"
_TOO_MANY = f"too many files are open: raise the limit (ulimit -n 4096) or lower --jobs, {_KEPT}"
_READ_ONLY = "{where} cannot be written: it is read-only, or not yours"
_OF_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EIO: _FAILING,
    errno.EMFILE: _TOO_MANY,
    errno.ENFILE: _TOO_MANY,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
}
_OF_SQLITE = {
    "disk is full": f"no space is left for Dagster's records in {{folder}}: free some, {_KEPT}",
    "disk I/O error": "Dagster's records in {folder} could not be read or written, since the disk "
    f"is full or failing: free some space, {_KEPT}",
    "unable to open": "Dagster's records in {folder} cannot be opened: the folder is read-only or "
    f"gone, the disk is full, or too many files are open (ulimit -n); fix that, {_KEPT}",
    "readonly database": "Dagster's records in {folder} cannot be written: they are read-only",
    "no such table": "Dagster's records in {folder} went while they were in use: run again, and "
    "they are recreated from the table lineage",
    "is locked": "Dagster's records in {folder} are locked by another process: end it, or wait, "
    f"{_KEPT}",
}
_DAMAGED = (
    "Dagster's records in {folder} are damaged ({error}): run again, and they are put aside and "
    "recreated from the table lineage"
)
_DAMAGE = ("malformed", "not a database", NO_TEXT)
_NO_TABLE = "does not exist"
_OS_ERROR = re.compile(r"\(os error (\d{1,4})\)")
_OF_POSTGRES = (
    "PostgreSQL, which keeps Dagster's records, is out of reach ({error}): see that it runs and "
    f"that RECAP_POSTGRES_URL names it, {_KEPT}"
)


def in_words(error: BaseException) -> str | None:
    """One sentence of what went wrong and what to do; None where that is not known.

    Damage that is met is remembered, so that the next one who opens the records looks for it.
    """
    explanations = (words(one) for one in _causes(error) for words in _KNOWN)
    return next(filter(None, explanations), None)


def _of_ours(error: BaseException) -> str | None:
    return str(error) if isinstance(error, RecapError) else None


def _of_disk(error: BaseException) -> str | None:
    if not isinstance(error, OSError) or (number := _errno_of(error)) not in _OF_ERRNO:
        return None
    where = one_line(os.fspath(error.filename)) if isinstance(error.filename, str) else ""
    text = _OF_ERRNO[number]
    if text == _READ_ONLY:
        return text.format(where=where or "the data folder")
    return text.format(where=f" (at {where})" if where else "")


def _errno_of(error: OSError) -> int:
    """Its number; libraries in Rust have it in their text alone."""
    found = _OS_ERROR.search(str(error))
    return error.errno or (int(found[1]) if found else 0)


def _of_dagster(error: BaseException) -> str | None:
    # Where a table went, Dagster says that one should migrate.
    if type(error).__name__ != "DagsterInvalidInvocationError" or _NO_TABLE not in str(error):
        return None
    return _OF_SQLITE["no such table"].format(folder=os.environ.get(INSTANCE_VARIABLE, ""))


def _of_postgres(error: BaseException) -> str | None:
    if not _is_of_postgres(error):
        return None
    return _OF_POSTGRES.format(error=one_line(str(error).strip().partition("\n")[0]))


def _is_of_postgres(error: BaseException) -> bool:
    """Whether the connection to PostgreSQL is lost; its driver is an optional extra."""
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "psycopg2"}
    return bool(names & {"OperationalError", "InterfaceError"}) or (
        bool(names) and "closed the connection" in str(error)
    )


def _of_sqlite(error: BaseException) -> str | None:
    if not isinstance(error, sqlite3.Error):
        return None
    folder = os.environ.get(INSTANCE_VARIABLE, "")
    if any(part in str(error) for part in _DAMAGE):
        suspect_damage(Path(folder))
        return _DAMAGED.format(folder=folder, error=one_line(str(error), 200))
    for part, words in _OF_SQLITE.items():
        if part in str(error):
            return words.format(folder=folder)
    return None


_KNOWN = (_of_ours, _of_sqlite, _of_disk, _of_dagster, _of_postgres, in_words_of_store)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, SQLAlchemy's wrappers opened."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            original = getattr(one, "orig", None)
            wrapped = original if isinstance(original, BaseException) else None
            waiting += [wrapped, one.__cause__]


def shorten_retries() -> None:
    """Have each of Dagster's warnings of a lost database on one line; it prints three."""
    logging.getLogger().addFilter(_first_line)
    # A signal that comes while a connection closes is raised; its traceback here says nothing more.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


def _first_line(record: logging.LogRecord) -> bool:
    if str(record.msg).startswith(_RETRYING):
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
    return True


class WithoutLoggerErrors(io.TextIOBase):
    """A stream without Dagster's lines about events that could not be written.

    The error is raised as well, and explained once.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        """Hand the text on, unless it is such a line."""
        return len(text) if text.startswith(_LOGGERS) else self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def fileno(self) -> int:
        """The stream's."""
        return self._stream.fileno()
