"""Where something is: a path that is there is that path, whatever letters it has.

fsspec takes `::` in a path for a chain of file systems and `file:` for a protocol, and globs give
`[`, `?` and `*` a meaning. A folder may have such a name all the same.
"""

import re
from pathlib import Path
from typing import cast

import fsspec
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations
from fsspec.utils import glob_translate

from recap_assets.specs.requirements import pip_install
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line


class PlaceError(RecapError, ValueError):
    """A URL that leads nowhere: its protocol is not known, or what reads it is not installed."""


_NO_PLACE = (ValueError, ImportError, TypeError, LookupError, NotImplementedError)
"""What file systems raise where an address is none of theirs, or lacks what they need."""

_GLOB = re.compile(r"[*?\[]")


def located(where: str, **options: object) -> tuple[AbstractFileSystem, str]:
    """The file system of a local path or an fsspec URL, and the path in it.

    Args:
        where: What is there on this machine is taken as a path, whatever it looks like.
        options: For the file system.

    Raises:
        PlaceError: The protocol is not known, or what reads it is not installed.
    """
    if _is_path(where):
        local = Path(where).expanduser().absolute()
        return LocalFileSystem(**options), local.as_posix()  # type: ignore[arg-type]
    try:
        fs, root = url_to_fs(where, **options)
    except _NO_PLACE as error:
        hint = f"; run `{cure}`" if (cure := _cure(where, error)) else ""
        msg = f"{where} cannot be read: {one_line(str(error), 300)}{hint}"
        raise PlaceError(msg) from error
    return fs, cast(str, root)


def _cure(where: str, error: Exception) -> str:
    """What installs the library that reads such an address; "" where none is missing."""
    if not isinstance(error, ImportError):
        return ""
    protocol = where.partition(":")[0]
    if protocol == "s3":
        return pip_install("recap-assets[s3]")
    library = known_implementations.get(protocol, {}).get("class", "").partition(".")[0]
    return pip_install(library) if library not in ("", "fsspec") else ""


def url_of(fs: AbstractFileSystem, path: str) -> str:
    """What `located` finds the path by: itself where it is local."""
    return path if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))


def pattern_of(fs: AbstractFileSystem, path: str) -> tuple[str, str] | None:
    """The folder and the glob below it that a path stands for; None where it is no glob.

    The folder is as long as there is one: `data[1]/*.tar` means the tars in `data[1]`, where there
    is such a folder.
    """
    parts = path.split("/")
    magic = [i for i, part in enumerate(parts) if _GLOB.search(part)]
    for i in magic:
        if not fs.exists("/".join(parts[: i + 1])):
            return "/".join(parts[:i]) or "/", "/".join(parts[i:])
    return None


def matches(fs: AbstractFileSystem, folder: str, pattern: str) -> dict[str, dict]:
    """The files below a folder that a glob matches, with what the file system says of each."""
    depth = None if "**" in pattern else pattern.count("/") + 1
    found = cast(dict[str, dict], fs.find(folder, maxdepth=depth, detail=True))
    is_match = re.compile(glob_translate(pattern)).match
    start = len(folder.rstrip("/")) + 1
    return {path: info for path, info in found.items() if is_match(path[start:])}


def _is_path(where: str) -> bool:
    """Whether it is there as far as it has colons, or could be nothing else."""
    before, colon, after = where.partition(":")
    if not colon:
        return False
    try:
        if Path(before + colon + after.partition("/")[0]).exists():
            return True
    except (OSError, ValueError):
        return False
    is_chain = where.partition("::")[0] in fsspec.available_protocols()
    return "::" in where and "://" not in where and not is_chain
