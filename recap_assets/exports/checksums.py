"""Checksums of an export, and whether its files still have them."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from recap_assets.storage.folders import PARTIAL, Folder, FolderError, WrittenFile
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

CHECKSUMS = "checksums.json"
MARK = "export.json"
FORMAT = 1
MAX_BYTES = 1 << 30
"""Of `checksums.json`; a file takes about 150 bytes, and exports may have a million."""

MAX_MARK_BYTES = 2**20
"""Of `export.json`."""

_OF_THE_HUB = re.compile(r"\.gitattributes|\.cache/huggingface/.+")
"""What a download from the Hub has beside an export that was pushed there."""


def checksums_of(files: Iterable[WrittenFile]) -> bytes:
    """The file `checksums.json`: sha256 and length of every file, by path."""
    listed = {f.name: {"sha256": f.sha256, "bytes": f.size} for f in files}
    return json.dumps(
        {"algorithm": "sha256", "files": dict(sorted(listed.items()))}, indent=1
    ).encode()


def read_checksums(folder: Folder) -> Mapping[str, WrittenFile]:
    """What `checksums.json` says.

    Raises:
        FolderError: There is none, or it is damaged.
    """
    content = folder.read(CHECKSUMS, MAX_BYTES)
    if content is None:
        msg = (
            f"{folder} has no {CHECKSUMS}: it is no finished export. Where it was interrupted, the "
            "same `recap export` continues it"
        )
        raise FolderError(msg)
    try:
        rows = cast("dict[str, Any]", parse_json(content, MAX_BYTES))["files"]
        return {k: WrittenFile(k, row["sha256"], int(row["bytes"])) for k, row in rows.items()}
    except (UntrustedError, ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"{folder}/{CHECKSUMS} is damaged: {one_line(repr(error), 200)}. Export again"
        raise FolderError(msg) from error


@dataclass(frozen=True)
class Damage:
    """What is wrong with an export's files.

    Attributes:
        n_checked: Files that were hashed.
        problems: What is wrong, by file.
    """

    n_checked: int
    problems: Mapping[str, str]


def check_folder(folder: Folder, progress: Callable[[float], None] = lambda _done: None) -> Damage:
    """Hash every file of an export again; a file too many is a problem as well.

    Raises:
        FolderError: It is no export, or its list names files outside of it.
    """
    wanted = read_checksums(folder)
    total = sum(file.size for file in wanted.values()) or 1
    problems: dict[str, str] = {}
    done = 0
    for name, file in wanted.items():
        if problem := _problem(folder, file):
            problems[name] = problem
        done += file.size
        progress(done / total)
    for name in folder.names():
        if name not in wanted and name != CHECKSUMS and not _OF_THE_HUB.fullmatch(name):
            left = "left by a kill" if name.endswith(PARTIAL) else "not part of the export"
            problems[name] = left
    return Damage(len(wanted), problems)


def _problem(folder: Folder, file: WrittenFile) -> str | None:
    """What is wrong with a file; one of another length is not hashed, which could take for ever."""
    if (size := folder.size(file.name)) is None:
        return "missing"
    if size != file.size:
        return f"{size:,} bytes, not {file.size:,}"
    found = folder.hashed(file.name)
    if found is None:
        return "missing"
    return None if found.sha256 == file.sha256 else "other bytes than were written"


def take_folder(
    folder: Folder, identity: Mapping[str, object], owner: Mapping[str, object]
) -> None:
    """Say whose folder it is, or find that it is ours.

    Args:
        folder: Where the export goes.
        identity: What the export is, in JSON values: goes into the mark.
        owner: The part of it that must be the same in a mark that is there already.

    Raises:
        FolderError: It holds something else.
    """
    content = refuse_foreign(folder, owner)
    mark = json.dumps({"recap_export": FORMAT, **identity}, sort_keys=True, indent=1).encode()
    if content != mark:
        folder.write(MARK, mark)


def refuse_foreign(folder: Folder, owner: Mapping[str, object]) -> bytes | None:
    """Look whose folder it is; the mark that it holds, or None where it is empty.

    Args:
        folder: Where an export goes.
        owner: What a mark that is there must say.

    Raises:
        FolderError: It holds something else.
    """
    content = folder.read(MARK, MAX_MARK_BYTES)
    if content is None:
        # A kill or a disk's error may have left the mark half written.
        if others := sorted(folder.top_names() - {f".{MARK}{PARTIAL}"})[:3]:
            msg = (
                f"{folder} is not empty ({', '.join(others)}, ...) and holds no export: name "
                "another folder, nothing of a stranger's is written over"
            )
            raise FolderError(msg)
    elif not is_owned(content, owner):
        msg = (
            f"{folder} holds another export, as its {MARK} says: name another folder, or give "
            "--replace to remove everything in it"
        )
        raise FolderError(msg)
    return content


def is_owned(content: bytes, owner: Mapping[str, object]) -> bool:
    """Whether a mark says what the owner's must."""
    try:
        mark = parse_json(content, MAX_MARK_BYTES)
    except UntrustedError:
        return False
    if not isinstance(mark, dict):
        return False
    marked = cast("dict[str, object]", mark)
    return all(marked.get(key) == value for key, value in owner.items())
