"""Files from outside: regular ones only, and never more bytes than a reader says it can take."""

import os
import stat
import zlib
from pathlib import Path

from recap_assets.untrusted.errors import UntrustedError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(path: Path) -> None:
    """Refuse what is no regular file: opening a pipe waits for its writer, a device may not end.

    Raises:
        UntrustedError: It is a folder, pipe, socket or device.
        OSError: It is not there or may not be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "no regular file")
        msg = f"it is {kind}, not a file"
        raise UntrustedError(msg)


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        UntrustedError: It is no regular file, or larger.
        OSError: It is gone or cannot be read.
    """
    # Not blocking, in case a pipe took the file's place after the look.
    check_regular(path)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        msg = f"it has more than {limit:,} bytes, which is more than such a file may have"
        raise UntrustedError(msg)
    return content


def gunzip_bounded(data: bytes, limit: int) -> bytes:
    """What gzip'd `data` unpacks to, of at most `limit` bytes; every member of it.

    Raises:
        UntrustedError: It unpacks to more, is damaged, or is no gzip.
    """
    parts: list[bytes] = []
    left = limit
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            part = unpacker.decompress(data, left + 1)
        except zlib.error as error:
            msg = f"its gzip data is damaged ({error})"
            raise UntrustedError(msg) from error
        left -= len(part)
        if left < 0:
            msg = f"it unpacks to more than {limit:,} bytes"
            raise UntrustedError(msg)
        if not unpacker.eof:
            msg = "its gzip data is cut off"
            raise UntrustedError(msg)
        parts.append(part)
        data = unpacker.unused_data
    return b"".join(parts)
