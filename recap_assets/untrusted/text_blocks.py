"""Files of text from outside as blocks of UTF-8 bytes, plain or gzip'd, of any size.

Nothing is read whole: a block at a time, so that neither an endless line nor a gzip bomb costs more
memory than a few blocks.
"""

import codecs
import gzip
import os
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple, cast

from recap_assets.untrusted.damage import TruncatedError
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import check_regular

BLOCK_BYTES = 4 * 2**20
MAX_ROW_BYTES = 8 * 2**20
"""Of one line or row; one that is longer is passed over and counted as damaged."""
MAX_SKIPPED_BYTES = 2**30
"""Of one line that is passed over; a longer one ends the reading of its file."""

_WIDE_MARKS = (  # UTF-32's little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_LOOKED_AT = 256


class Lines(NamedTuple):
    """Whole lines of a file.

    Attributes:
        data: The lines, each with its line end, but for one at the end of a file without it.
        number: Of the first of them, from 1.
        overlong: The number of a line that was passed over for its length; then `data` is empty.
        is_last: Whether the file ends here.
    """

    data: bytes
    number: int
    overlong: int | None = None
    is_last: bool = False


@contextmanager
def opened(path: Path, *, packed: bool) -> Generator[IO[bytes]]:
    """A regular file for reading, unpacked where it is `packed` by gzip.

    Raises:
        UntrustedError: It is no regular file.
        TruncatedError: Its gzip data is truncated or damaged (while it is read).
        OSError: It is gone or cannot be read.
    """
    check_regular(path)
    # Not blocking, in case a pipe took the file's place after the look.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as file:
        try:
            yield cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            msg = f"its gzip data is truncated or damaged ({error})"
            raise TruncatedError(msg) from error


def utf8_blocks(stream: IO[bytes], block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The content without a byte-order mark; UTF-16 and UTF-32 with a mark become UTF-8.

    Files without a mark come as they are, in whatever encoding. Line ends of old Macs, CR alone,
    become LF where the first block has no LF.

    Raises:
        UntrustedError: It is UTF-16 without a mark, or is not what its mark says.
    """
    first = stream.read(block_bytes)
    for mark, encoding, shown in _WIDE_MARKS:
        if first.startswith(mark):
            yield from _transcoded(first[len(mark) :], stream, block_bytes, encoding, shown)
            return
    first = first.removeprefix(codecs.BOM_UTF8)
    _check_not_wide(first[:_LOOKED_AT])
    is_mac = b"\r" in first and b"\n" not in first
    block = first
    while block:
        yield block.replace(b"\r", b"\n") if is_mac else block
        block = stream.read(block_bytes)


def line_blocks(blocks: Iterator[bytes]) -> Iterator[Lines]:
    """Blocks cut at line ends.

    Raises:
        UntrustedError: One line has more than MAX_SKIPPED_BYTES.
    """
    rest, number = b"", 1
    source = iter(blocks)
    for block in source:
        end = block.rfind(b"\n") + 1
        if end:
            data = rest + block[:end] if rest else block[:end]
            yield Lines(data, number)
            number += data.count(b"\n")
            rest = block[end:]
        else:
            rest += block
            if len(rest) > MAX_ROW_BYTES:
                yield Lines(b"", number, overlong=number)
                source = chain(_after_line_end(source, len(rest), number), source)
                rest, number = b"", number + 1
    yield Lines(rest, number, is_last=True)


def _after_line_end(blocks: Iterator[bytes], skipped: int, number: int) -> list[bytes]:
    """What follows the next line end, of the block that has it."""
    for block in blocks:
        end = block.find(b"\n")
        if end >= 0:
            return [block[end + 1 :]]
        skipped += len(block)
        if skipped > MAX_SKIPPED_BYTES:
            msg = f"line {number:,} has more than {MAX_SKIPPED_BYTES:,} bytes"
            raise UntrustedError(msg)
    return []


def _transcoded(
    first: bytes, stream: IO[bytes], block_bytes: int, encoding: str, shown: str
) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    block = first
    try:
        while block:
            yield decoder.decode(block).encode()
            block = stream.read(block_bytes)
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        msg = f"it begins with the byte-order mark of {shown} and is not {shown} ({error})"
        raise UntrustedError(msg) from error


def _check_not_wide(head: bytes) -> None:
    # Latin letters in UTF-16 have a zero as every second byte.
    pairs = len(head) // 2
    if pairs and max(head[: 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)) > pairs // 2:
        msg = "it looks like UTF-16 without a byte-order mark: convert it to UTF-8"
        raise UntrustedError(msg)
