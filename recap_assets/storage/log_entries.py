"""The last entries of a Delta log: what they have changed, and one that is cut or empty.

A failing power supply or disk may leave such a one. A commit puts its entry in place whole, so that
no kill cuts one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from recap_assets.storage.files import place_aside
from recap_assets.storage.locations import is_url

LOG = "_delta_log"
SHOWN = 300

MOST_ENTRIES = 64
"""That are read in place of the table at an older version: together they take half of the time."""

_ADD = b'{"add"'
_ACTIONS = {"add", "remove", "commitInfo", "txn", "metaData", "protocol", "domainMetadata"}
"""All that an entry may have beside changes of data that are kept on their own, which none has."""

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
    return _seen(entry_file(folder, version))


def _seen(entry: Path) -> LogEnd | None:
    try:
        found = entry.stat()
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


@dataclass(frozen=True)
class AddedFile:
    """A data file that a commit added.

    Attributes:
        path: Below the table's folder, as on disk.
        n_bytes: Its length.
        slice_values: The values of the slice columns, as text.
    """

    path: str
    n_bytes: int
    slice_values: Mapping[str, str]


@dataclass(frozen=True)
class FileChanges:
    """What commits did to the files of a table.

    Attributes:
        version: That of the last of them.
        added: The files that they added and that are still part of the table.
        removed: Paths of all files that they removed, of which some may have been added again.
    """

    version: int
    added: tuple[AddedFile, ...]
    removed: frozenset[str]


def file_changes(folder: str, after: int, end: LogEnd | None) -> FileChanges | None:
    """What commits after a version did to a table's files, by their entries.

    None where opening the table is what tells: where the version's entry is not the one that was
    seen, after many commits, where entries were cleaned, and where one is damaged.

    Args:
        folder: The table's folder on this machine.
        after: The version; -1: from the table's beginning.
        end: What `end_of_log` gave for it.
    """
    if after >= 0 and _seen(entry_file(folder, after)) != end:
        return None
    added, removed = dict[str, AddedFile](), set[str]()
    for version in range(after + 1, after + 2 + MOST_ENTRIES):
        try:
            entry = entry_file(folder, version).read_bytes()
        except FileNotFoundError:
            if version == 0:
                return None
            return FileChanges(version - 1, tuple(added.values()), frozenset(removed))
        if not _follow(entry, added, removed):
            return None
    return None


def _follow(entry: bytes, added: dict[str, AddedFile], removed: set[str]) -> bool:
    """Note what an entry adds and removes; whether it was understood."""
    try:
        actions = [json.loads(line) for line in entry.splitlines()]
        kinds = {kind for action in actions for kind in action}
        gone = {unquote(action["remove"]["path"]) for action in actions if "remove" in action}
        new = [_added(action["add"]) for action in actions if "add" in action]
    except (ValueError, RecursionError, TypeError, KeyError):
        return False
    if not actions or not kinds <= _ACTIONS or [] in actions:
        return False
    removed |= gone
    for path in gone:
        added.pop(path, None)
    added.update((file.path, file) for file in new)
    return True


def _added(action: Mapping[str, Any]) -> AddedFile:
    values = action["partitionValues"]
    if not all(isinstance(value, str) for value in values.values()):
        raise TypeError
    return AddedFile(unquote(action["path"]), int(action["size"]), values)


def files_added(folder: str, after: int) -> frozenset[str] | None:
    """The data files that commits after a version have added, as on disk; by their entries.

    None where reading the table at that version is what tells: in an object store, after many
    commits, and where entries of the log were cleaned, which begins with the oldest.
    """
    if is_url(folder) or not entry_file(folder, after).exists():
        return None
    added = set[str]()
    for version in range(after + 1, after + 2 + MOST_ENTRIES):
        try:
            lines = entry_file(folder, version).read_bytes().splitlines()
        except FileNotFoundError:
            return frozenset(added)
        try:
            actions = [json.loads(line) for line in lines if line.startswith(_ADD)]
        except ValueError:
            return None
        added.update(unquote(action["add"]["path"]) for action in actions)
    return None


def put_aside(damaged: Path) -> Path:
    """Rename an entry, so that the table is where it was before; its place now."""
    return damaged.rename(place_aside(damaged))


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
