"""The last entry of a Delta log, as a failing power supply or disk may leave it: cut, or empty.

A commit puts its entry in place whole, so that no kill cuts one.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from recap_assets.storage.locations import is_url

LOG = "_delta_log"
SHOWN = 300

LogEnd = tuple[int, ...]
"""What distinguishes one file of a log's last entry from another."""


def entry_file(folder: str, version: int) -> Path:
    """The file of a version's entry in the log of a table on this machine."""
    return Path(folder, LOG, f"{version:020}.json")


def is_empty(folder: str, version: int) -> bool:
    """Whether a version's entry is there and has nothing in it, which Delta takes for no change."""
    if is_url(folder):
        return False
    try:
        return entry_file(folder, version).stat().st_size == 0
    except FileNotFoundError:
        return False  # its content is in a checkpoint


def end_of_log(folder: str, version: int) -> LogEnd | None:
    """What the entry of a version looks like on disk, while it is the last and not empty.

    Equal ends of two moments mean that the table has had no commit in between: entries have
    consecutive numbers, and a table that was created again has other files. None where another
    entry follows it, and in an object store, which would be asked over the network.
    """
    if is_url(folder) or entry_file(folder, version + 1).exists():
        return None
    try:
        found = entry_file(folder, version).stat()
    except OSError:
        return None
    seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return seen if found.st_size else None


def damaged_entry(folder: str) -> Path | None:
    """The last entry of a table's log, where it is no whole entry; None in an object store."""
    if is_url(folder):
        return None
    entries = sorted(Path(folder, LOG).glob("[0-9]*.json"))
    return entries[-1] if entries and not _is_whole(entries[-1]) else None


def put_aside(damaged: Path) -> Path:
    """Rename an entry, so that the table is where it was before; its place now."""
    aside = damaged.with_name(f"{damaged.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    return damaged.rename(aside)


def without_backtrace(error: Exception) -> str:
    """What the library says, less the list of its own functions."""
    first = str(error).strip().partition("\n")[0]
    return first[:SHOWN] or type(error).__name__


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        lines = 0
        for line in file:
            try:
                action = json.loads(line)
            except (ValueError, RecursionError):
                return False
            if not isinstance(action, dict):
                return False
            lines += 1
    return lines > 0
