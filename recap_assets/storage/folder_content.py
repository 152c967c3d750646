"""The version of a file or folder by its bytes: hashed once, then kept while nothing changes.

A model's folder has gigabytes, and every plan asks. What was found is kept under a name made of the
files' sizes, times and inodes, so another process need not read them again.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from recap_assets.storage.content import VERSION_DIGITS
from recap_assets.storage.files import write_atomically

UNREADABLE = "unreadable"
"""The version of what is not there: computing reports it, and planning continues."""


def content_version(place: Path, kept: Path | None = None) -> str:
    """32 hex digits for the bytes of a file, or for the names and bytes of a folder's files.

    Where the file or folder is, and what a file alone is called, changes nothing. Hidden files
    of a folder do not count, nor what is no regular file.

    Args:
        place: A file or folder; a name in a folder may lead to a file elsewhere, as a hub's do.
        kept: The folder of what was found before; None keeps nothing.

    Returns:
        UNREADABLE where there is nothing that can be read.
    """
    try:
        found = _files_of(place)
        return _hashed(place, found, kept) if found else UNREADABLE
    except OSError:
        return UNREADABLE


def _files_of(place: Path) -> Mapping[str, os.stat_result]:
    """The regular files by their path below the place; of a file itself by no name."""
    if not place.is_dir():
        return {"": status} if stat.S_ISREG((status := place.stat()).st_mode) else {}
    below = {path.relative_to(place).as_posix(): path.stat() for path in _visible(place)}
    return {name: below[name] for name in sorted(below) if stat.S_ISREG(below[name].st_mode)}


def _visible(folder: Path) -> Iterator[Path]:
    for at, inside, names in os.walk(folder):
        inside[:] = [name for name in inside if not name.startswith(".")]
        yield from (Path(at, name) for name in names if not name.startswith("."))


def _hashed(place: Path, files: Mapping[str, os.stat_result], kept: Path | None) -> str:
    known = None if kept is None else kept / _name_of(place, files)
    if known is not None and known.is_file():
        return known.read_text(encoding="ascii")
    version = _version(place, files)
    # One that changed while it was read has another name from now on.
    if known is not None and _files_of(place) == files:
        with suppress(OSError):  # it saves time alone, and a full disk is reported by what is built
            write_atomically(known, version.encode())
    return version


def _name_of(place: Path, files: Mapping[str, os.stat_result]) -> str:
    lines = [f"{place.absolute()}"]
    for name, at in files.items():
        lines.append(f"{name} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns} {at.st_ino}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _version(place: Path, files: Mapping[str, os.stat_result]) -> str:
    digest = hashlib.sha256()
    for name in files:
        with (place / name if name else place).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name}:{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:VERSION_DIGITS]
