# pyright: standard
"""Arrow's stream format from outside, row by row in memory that is bounded before it is taken.

What a message says of itself (its length, its rows, what its buffers unpack to) is checked in all
of a file before the library allocates anything for it; what its offsets point to, batch by batch
before a value is read.

The format: arrow.apache.org/docs/format/Columnar.html and Message.fbs, whose flatbuffers
(flatbuffers.dev/internals) are read here as far as it needs.
"""

# Standard, since pyarrow has no type stubs to be strict about.

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

import pyarrow as pa
from pyarrow import ipc

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.showing import listed, one_line

MAX_DESCRIPTION_BYTES = 16 * 2**20
"""Of the description at a message's head."""

MAX_BODY_BYTES = 2**30
"""Of the values of a batch as they are stored; `datasets` writes some hundred rows a batch."""

MAX_UNPACKED_BYTES = 256 * 2**20
"""Of the values of a compressed batch; larger ones by MAX_EXPANSION."""

MAX_EXPANSION = 32
MAX_VALUES = 2**20
"""Of one column in one batch, those inside lists counted one by one."""

_CONTINUES = 0xFFFFFFFF
_SCHEMA, _RECORD_BATCH = 1, 3
_HEADER_KIND, _HEADER, _BODY_LENGTH = 1, 2, 3  # fields of a message
_ROWS, _NODES, _BUFFERS, _COMPRESSION = 0, 1, 2, 3  # fields of a record batch
_PAIR_BYTES = 16
_LEAVES = (
    pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string,
    pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
)  # fmt: skip
_DAMAGE = (pa.ArrowException, ValueError, TypeError, LookupError, OverflowError, MemoryError)


def read_arrow_rows(file: IO[bytes], columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The rows of a stream as Python values, of some of its columns.

    Args:
        file: Open, and can be sought in.
        columns: Those wanted.

    Raises:
        UntrustedError: It is no Arrow stream, damaged, cut off or asks for more than the bounds; a
            column is missing, there twice, or of a type that is not read (dictionaries, views,
            unions and the like).
        OSError: It cannot be read.
    """
    check_messages(file)
    file.seek(0)
    try:
        with ipc.open_stream(file) as reader:
            _check_columns(reader.schema, columns)
            for batch in reader:
                wanted = batch.select(list(columns))
                wanted.validate(full=True)
                for row in range(wanted.num_rows):
                    yield wanted.slice(row, 1).to_pylist()[0]
    except UntrustedError:
        raise
    except OSError as error:
        # The library's own complaints about the content have no number of the system.
        if error.errno is not None:
            raise
        raise _damaged(str(error)) from error
    except _DAMAGE as error:
        raise _damaged(str(error)) from error


def check_messages(file: IO[bytes]) -> None:
    """Look at the descriptions of all messages of a stream.

    Raises:
        UntrustedError: It is no such stream, cut off, or one of its batches asks for more than the
            bounds.
    """
    size = file.seek(0, 2)
    at, is_first = 0, True
    while (message := _message(file, at, size)) is not None:
        if message.kind != (_SCHEMA if is_first else _RECORD_BATCH):
            raise _damaged(f"a message of kind {message.kind}, which `datasets` never writes")
        if message.kind == _RECORD_BATCH:
            _check_batch(file, message)
        at, is_first = message.body_at + message.body_bytes, False
    if is_first:
        raise _damaged("it is empty")


class _Table:
    """A table of a flatbuffer: its fields by number, each looked up within the data."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - self._number(at, "<i")
        self._n_bytes = self._number(self._fields, "<H")

    def number(self, field: int, form: str) -> int:
        """A field's value; 0 where it is left out."""
        place = self._place(field)
        return self._number(place, form) if place else 0

    def table(self, field: int) -> "_Table | None":
        """The table that a field refers to."""
        place = self._place(field)
        return _Table(self._data, place + self._number(place, "<I")) if place else None

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A vector of two 64-bit numbers each."""
        place = self._place(field)
        if not place:
            return []
        start = place + self._number(place, "<I")
        length = self._number(start, "<I")
        if start + 4 + length * _PAIR_BYTES > len(self._data):
            raise _damaged("a description is cut off")
        return list(struct.iter_unpack("<qq", self._data[start + 4 :][: length * _PAIR_BYTES]))

    def _place(self, field: int) -> int:
        entry = 4 + 2 * field
        if entry + 2 > self._n_bytes:
            return 0
        offset = self._number(self._fields + entry, "<H")
        return self._at + offset if offset else 0

    def _number(self, at: int, form: str) -> int:
        if not 0 <= at <= len(self._data) - struct.calcsize(form):
            raise _damaged("a description is cut off")
        return struct.unpack_from(form, self._data, at)[0]


class _Message(NamedTuple):
    kind: int
    header: _Table
    body_at: int
    body_bytes: int


def _message(file: IO[bytes], at: int, size: int) -> _Message | None:
    """The message that begins at a byte of the file; None at the stream's end."""
    file.seek(at)
    head = file.read(8)
    (first,) = struct.unpack("<I", head[:4].ljust(4, b"\0"))
    # Before Arrow 0.15 a message began with the length alone.
    start, length = (8, head[4:]) if first == _CONTINUES else (4, head[:4])
    (n_bytes,) = struct.unpack("<i", length.ljust(4, b"\0"))
    if n_bytes == 0:
        return None
    if not 0 < n_bytes <= min(MAX_DESCRIPTION_BYTES, size - at):
        raise _damaged(f"a description claims {n_bytes:,} bytes")
    file.seek(at + start)
    data = file.read(n_bytes)
    table = _Table(data, struct.unpack("<I", data[:4].ljust(4, b"\xff"))[0])
    header, body_at = table.table(_HEADER), at + start + n_bytes
    body_bytes = table.number(_BODY_LENGTH, "<q")
    if header is None or not 0 <= body_bytes <= size - body_at:
        raise _damaged(f"it is cut off, or a batch claims {body_bytes:,} bytes")
    return _Message(table.number(_HEADER_KIND, "<B"), header, body_at, body_bytes)


def _check_batch(file: IO[bytes], message: _Message) -> None:
    batch = message.header
    lengths = [batch.number(_ROWS, "<q"), *(length for length, _ in batch.pairs(_NODES))]
    if min(lengths) < 0 or max(lengths) > MAX_VALUES:
        raise _too_much(f"{max(lengths, key=abs):,} values of a column", f"{MAX_VALUES:,}")
    if message.body_bytes > MAX_BODY_BYTES:
        raise _too_much(f"{message.body_bytes:,} bytes", f"{MAX_BODY_BYTES:,}")
    if batch.table(_COMPRESSION) is None:
        return
    unpacked = sum(_unpacked(file, message, *pair) for pair in batch.pairs(_BUFFERS))
    most = max(MAX_UNPACKED_BYTES, MAX_EXPANSION * message.body_bytes)
    if unpacked > min(most, MAX_BODY_BYTES):
        raise _too_much(f"{unpacked:,} bytes unpacked", f"{min(most, MAX_BODY_BYTES):,}")


def _unpacked(file: IO[bytes], message: _Message, offset: int, length: int) -> int:
    """What a compressed buffer says that it unpacks to; -1 stands for one that is not."""
    if length == 0:
        return 0
    if offset < 0 or not 0 <= length <= message.body_bytes - offset:
        raise _damaged("a buffer is outside its message")
    file.seek(message.body_at + offset)
    (unpacked,) = struct.unpack("<q", file.read(8).ljust(8, b"\xff"))
    if unpacked < -1:
        raise _damaged(f"a buffer claims {unpacked:,} bytes")
    return length if unpacked == -1 else unpacked


def _check_columns(schema: pa.Schema, columns: Sequence[str]) -> None:
    for name in columns:
        if schema.names.count(name) != 1:
            what = "twice" if name in schema.names else f"not; it has {listed(schema.names)}"
            msg = f"it has the column {name!r} {what}"
            raise UntrustedError(msg)
        if not _is_read(schema.field(name).type):
            kind = one_line(str(schema.field(name).type), 80)
            msg = f"its column {name!r} is of the type {kind}, which is not read: write it plainly"
            raise UntrustedError(msg)


def _is_read(kind: pa.DataType) -> bool:
    """Whether no value of the type can stand for more than it takes in the file."""
    is_sized = pa.types.is_fixed_size_list(kind)
    if is_sized or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_read(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_is_read(field.type) for field in kind)
    return pa.types.is_null(kind) or any(is_kind(kind) for is_kind in _LEAVES)


def _damaged(why: str) -> UntrustedError:
    words = one_line((why.strip().splitlines() or ["no reason given"])[0], 200)
    return UntrustedError(f"it is no Arrow stream as `datasets` writes it, or damaged ({words})")


def _too_much(what: str, most: str) -> UntrustedError:
    return UntrustedError(
        f"one of its batches asks for {what}, at most {most} are taken: write it in smaller batches"
    )
