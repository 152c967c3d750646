"""Files beside the tables: written whole or not at all."""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from recap_assets.storage.changes import about_to_change
from recap_assets.storage.wholeness import is_whole
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded

MAX_LISTING_BYTES = 1 << 24
"""Of the list of a directory's files: some 100,000 names."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    about_to_change()
    with _whole_beside(path, content) as temporary:
        temporary.replace(path)


def write_first(path: Path, content: bytes) -> None:
    """Write a file whole where there is none; one that is there already stays as it is."""
    if path.exists():
        return
    # Of two that are here at once one finds the name taken.
    with _whole_beside(path, content) as temporary, suppress(FileExistsError):
        path.hardlink_to(temporary)


def place_aside(damaged: Path) -> Path:
    """A name beside a damaged file that no other has, not even one put aside in this second."""
    first = damaged.with_name(f"{damaged.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(place for place in itertools.chain([first], others) if not place.exists())


@contextmanager
def _whole_beside(path: Path, content: bytes) -> Iterator[Path]:
    """A temporary file beside a path, whole on the disk; gone after the block, if it still is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Temporary files are private; what they become is as open as any other file.
        temporary.chmod(0o666 & ~_umask())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def patched_file(path: Path) -> Iterator[Path]:
    """A copy of a file, to be changed in place, that takes the file's place after the block."""
    about_to_change()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    copy = Path(name)
    try:
        shutil.copyfile(path, copy)
        copy.chmod(path.stat().st_mode)
        yield copy
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
        copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def replaced_directory(path: Path, *, listed: bool = False) -> Iterator[Path]:
    """A new directory that takes the place of `path` when the block ends without an error.

    Args:
        path: The directory.
        listed: Whether to keep a list of its files and their lengths beside it, so that
            `directory_is_whole` notices if one is lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        about_to_change()
        retired = path.with_name(f".{path.name}.old")
        shutil.rmtree(retired, ignore_errors=True)
        # Away first and written last: killed between, there is no list rather than a wrong one.
        _listing_of(path).unlink(missing_ok=True)
        if path.exists():
            path.rename(retired)
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(path)
        shutil.rmtree(retired, ignore_errors=True)
        if listed:
            write_atomically(_listing_of(path), json.dumps(_lengths(path)).encode())
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def directory_is_whole(path: Path) -> bool | None:
    """Whether the files that a directory was put in place with are there, as long as then.

    Returns:
        None where nothing says so: it was written without a list, or the list cannot be read.
    """
    try:
        listed = json.loads(read_bounded(_listing_of(path), MAX_LISTING_BYTES))
    except (FileNotFoundError, NotADirectoryError, UntrustedError, ValueError):
        return None
    if not isinstance(listed, dict):
        return None
    return all(is_whole(path / name, n_bytes) for name, n_bytes in listed.items())


def _listing_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.files.json")


def _lengths(path: Path) -> dict[str, int]:
    files = sorted(one for one in path.rglob("*") if one.is_file())
    return {one.relative_to(path).as_posix(): one.stat().st_size for one in files}
