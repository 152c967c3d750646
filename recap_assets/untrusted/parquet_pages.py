# pyright: standard
"""What the pages of a Parquet file may unpack to, read from their headers before any is unpacked.

A dictionary lets a few bytes stand for gigabytes, compression for thousands of times their size,
and the numbers in a file's footer are only what its writer says. So the pages' own headers are
read, which is what the decoder goes by, and the dictionaries' longest value.

The format: apache/parquet-format, README.md, Encodings.md and parquet.thrift.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.thrift import HeaderEndsError, Value, read_struct

MAX_HEADER_BYTES = 2**24
"""The decoder's own bound of a page header; statistics make some long."""

_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE = 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 5, 7, 8  # where each kind of page has its own header
_VALUES = 1
_ENCODING = {_DATA: 2, _DATA_V2: 4}
_SHARED_PREFIXES = 7
_DICTIONARY_ENCODINGS = {2, 8}
_FIRST_LOOK = 2**10
_FIXED_BYTES = {"BOOLEAN": 1, "INT32": 8, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}


@dataclass(frozen=True)
class PageBounds:
    """Of one column in one row group.

    Attributes:
        largest_page: Bytes of its largest page, unpacked.
        plain_bytes: Bytes of all pages that hold values themselves, unpacked.
        bytes_a_value: No run of n values takes more than n times this and two pages, those of its
            dictionary aside.
        longest_in_dictionary: Bytes of the longest text in its dictionary.
        n_values: Values of its pages, those inside lists counted one by one.
    """

    largest_page: int
    plain_bytes: int
    bytes_a_value: int
    longest_in_dictionary: int
    n_values: int


class _Page(NamedTuple):
    kind: int
    size: int
    n_values: int
    encoding: int
    start: int
    stored: int


def page_bounds(
    file: IO[bytes], chunk: pq.ColumnChunkMetaData, length: int, max_page: int
) -> PageBounds:
    """Look at the pages of a column chunk: pyarrow's metadata of it, its type's length.

    Raises:
        UntrustedError: A page is larger than `max_page`, a header is damaged.
    """
    kind = str(chunk.physical_type)
    widest = length if kind == "FIXED_LEN_BYTE_ARRAY" else _FIXED_BYTES.get(kind, 0)
    largest = plain = n_values = longest = 0
    for page in _pages(file, chunk):
        if page.size > max_page:
            msg = f"a page unpacks to {page.size:,} bytes, at most {max_page:,} are taken"
            raise UntrustedError(msg)
        largest = max(largest, page.size)
        if page.kind == _DICTIONARY:
            if kind == "BYTE_ARRAY":
                longest = max(longest, _longest_value(file, page, str(chunk.compression)))
            continue
        n_values += page.n_values
        if page.encoding == _SHARED_PREFIXES:
            plain += page.size * page.n_values
            widest = max(widest, page.size)
        elif page.encoding not in _DICTIONARY_ENCODINGS and kind == "BYTE_ARRAY":
            plain += page.size
            widest = max(widest, page.size // max(page.n_values, 1))
    return PageBounds(largest, plain, widest, longest, n_values)


def _pages(file: IO[bytes], chunk: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    """The pages that the decoder reads: until it has as many values as the footer says."""
    at = int(chunk.data_page_offset)
    dictionary_at = chunk.dictionary_page_offset
    if chunk.has_dictionary_page and dictionary_at and 0 < dictionary_at < at:
        at = int(dictionary_at)
    left = int(chunk.num_values)
    end = at + int(chunk.total_compressed_size)
    while left > 0 and at < end:
        page = _page(file, at)
        yield page
        left -= 0 if page.kind == _DICTIONARY else page.n_values
        at = page.start + page.stored


def _page(file: IO[bytes], at: int) -> _Page:
    header, length = _header(file, at)
    size, stored = (_number(header, n) for n in (_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE))
    for kind in (_DATA, _DATA_V2, _DICTIONARY):
        if isinstance(details := header.get(kind), dict):
            n_values = _number(details, _VALUES)
            encoding = _number(details, _ENCODING[kind]) if kind in _ENCODING else 0
            return _Page(kind, size, n_values, encoding, at + length, stored)
    return _Page(0, size, 0, 0, at + length, stored)


def _header(file: IO[bytes], at: int) -> tuple[dict[int, Value], int]:
    look = _FIRST_LOOK
    while True:
        file.seek(at)
        data = file.read(look)
        try:
            return read_struct(data)
        except HeaderEndsError:
            if len(data) < look or look >= MAX_HEADER_BYTES:
                raise
            look *= 16


def _number(fields: dict[int, Value], number: int) -> int:
    value = fields.get(number)
    if not isinstance(value, int) or value < 0:
        msg = "a page header is damaged"
        raise UntrustedError(msg)
    return value


def _longest_value(file: IO[bytes], page: _Page, compression: str) -> int:
    """Of a dictionary; where it cannot be unpacked here, it has no longer one than its page."""
    file.seek(page.start)
    values = _unpacked(file.read(page.stored), page.size, compression)
    longest = at = 0
    for _ in range(page.n_values):
        if at + 4 > len(values):
            return page.size
        (length,) = struct.unpack_from("<I", values, at)
        longest = max(longest, length)
        at += 4 + length
    return longest


def _unpacked(data: bytes, size: int, compression: str) -> bytes:
    """Nothing for damaged data, which the decoder reports."""
    if compression == "UNCOMPRESSED":
        return data
    try:
        # The files of today that say LZ4 mean it without frames.
        codec = pa.Codec({"LZ4": "lz4_raw"}.get(compression, compression.lower()))
        return codec.decompress(data, size, asbytes=True)
    except (pa.ArrowException, OSError, ValueError):
        return b""
