# pyright: standard
"""Parquet from outside, read batch by batch in memory that is bounded before it is taken."""

# Standard, since pyarrow has no type stubs to be strict about.

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from recap_assets.untrusted.decoding import cut_utf8
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import check_regular
from recap_assets.untrusted.parquet_pages import PageBounds, page_bounds
from recap_assets.untrusted.showing import listed

MAX_FOOTER_BYTES = 64 * 2**20
"""Of the description at a file's end; unpacked it takes some five times as much."""

MAX_TABLE_BYTES = 512 * 2**20
"""Of a table that is read whole; larger ones by MAX_EXPANSION."""

GATHERED_ROWS = 4_096
"""Of small row groups that are given as one frame: what is done with each has its price."""

MAX_EXPANSION = 32
"""How many times its file's size a table that is read whole may take."""

_MAGIC, _MAGIC_ENCRYPTED = b"PAR1", b"PARE"
_END_BYTES = 8
# Some errors of the content reach Python as errors of its own, such as names that are no UTF-8.
_FROM_LIBRARIES = (
    pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError,
    TypeError, LookupError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class ParquetLimits:
    """What one file may ask for.

    Attributes:
        cell_bytes: Longer texts and byte strings are cut here, a text between two characters.
        batch_bytes: Of the values of a batch, unpacked; at least one row is read.
        page_bytes: Of a page, unpacked; a file with a larger one is refused.
        nested_bytes: Of a column with lists in one row group, unpacked; likewise.
        nested_values: Values inside lists in one row group; likewise.
        rows: Most rows of a batch.
    """

    cell_bytes: int = 64 * 2**10
    batch_bytes: int = 128 * 2**20
    page_bytes: int = 256 * 2**20
    nested_bytes: int = 2**30
    nested_values: int = 2**23
    rows: int = 262_144


@contextmanager
def open_parquet(
    source: Path | IO[bytes], limits: ParquetLimits | None = None
) -> Iterator["ParquetTable"]:
    """Open a Parquet file of unknown origin for as long as the block lasts.

    Args:
        source: A local path, or an open file that can be sought in.
        limits: What the file may ask for.

    Raises:
        UntrustedError: It is no regular file, no Parquet, encrypted, damaged, or asks for more
            than the limits; so do the methods of what is opened. The text does not name the file.
        OSError: It is gone or cannot be read.
    """
    if isinstance(source, Path):
        check_regular(source)
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        with _in_words():
            _check_footer(file)
            parquet = pq.ParquetFile(source)
        with parquet:
            yield ParquetTable(source, parquet, file, limits or ParquetLimits())


class ParquetTable:
    """An open file.

    Attributes:
        columns: Names of its columns, in order.
        types: Arrow's type of each, by name.
        n_rows: As the footer says.
    """

    def __init__(
        self,
        source: Path | IO[bytes],
        parquet: pq.ParquetFile,
        file: IO[bytes],
        limits: ParquetLimits,
    ) -> None:
        self._source, self._parquet, self._file, self._limits = source, parquet, file, limits
        schema = parquet.schema_arrow
        self.columns: tuple[str, ...] = tuple(schema.names)
        self.types = dict(zip(schema.names, cast(list[pa.DataType], schema.types), strict=True))
        self.n_rows = int(parquet.metadata.num_rows)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows in the file's order, in frames of bounded size.

        A column of strings of which one is no UTF-8 comes as Binary in that frame; dictionaries
        come as their values.

        Args:
            columns: Those wanted, in this order; all where None.

        Raises:
            UntrustedError: See `open_parquet`; or the file lacks a column or has it twice.
        """
        wanted = list(self.columns if columns is None else columns)
        self._check_names(wanted)
        if wanted:
            rows = min(GATHERED_ROWS, self._limits.rows)
            with _in_words():
                yield from _gathered(self._frames(wanted), rows, self._limits.batch_bytes)

    def _frames(self, wanted: list[str]) -> Iterator[tuple[pl.DataFrame, bool]]:
        """Frames, and whether each is all of its row group."""
        leaves = _leaves(self._parquet, wanted)
        for group in range(self._parquet.metadata.num_row_groups):
            for batch in self._batches_of(group, wanted, leaves):
                short = [_shortened(column, self._limits.cell_bytes) for column in batch]
                whole = pa.record_batch(short, batch.schema.names)
                for piece in _pieces(whole, self._limits.batch_bytes):
                    is_whole = piece.num_rows == self._parquet.metadata.row_group(group).num_rows
                    yield _frame(piece.select(wanted), self._limits.cell_bytes), is_whole

    def read(
        self, columns: Sequence[str] | None = None, max_bytes: int = MAX_TABLE_BYTES
    ) -> pl.DataFrame:
        """All rows at once; columns as in `batches`.

        Raises:
            UntrustedError: They take more than `max_bytes`, and MAX_EXPANSION times what the file
                takes; and as `batches`.
        """
        max_bytes = max(max_bytes, MAX_EXPANSION * self._file.seek(0, 2))
        parts: list[pl.DataFrame] = []
        size = 0
        for part in self.batches(columns):
            parts.append(part)
            size += int(part.estimated_size())
            if size > max_bytes:
                msg = f"it unpacks to more than {max_bytes:,} bytes"
                raise UntrustedError(msg)
        if parts:
            return _joined(parts)
        wanted = self.columns if columns is None else columns
        empty = pa.table({name: pa.array([], _plain_type(self.types[name])) for name in wanted})
        with _in_words():
            return cast(pl.DataFrame, pl.from_arrow(empty))

    def _check_names(self, wanted: Sequence[str]) -> None:
        for name in wanted:
            if self.columns.count(name) != 1:
                what = "twice" if name in self.columns else f"not; it has {listed(self.columns)}"
                msg = f"it has the column {name!r} {what}"
                raise UntrustedError(msg)

    def _batches_of(
        self, group: int, columns: list[str], leaves: Sequence["_Leaf"]
    ) -> Iterator[pa.RecordBatch]:
        """The rows of one group; texts stay in their dictionary where it makes them large."""
        bytes_a_row = 1
        indexed: list[str] = []
        for leaf in leaves:
            chunk = self._parquet.metadata.row_group(group).column(leaf.index)
            bounds = page_bounds(self._file, chunk, leaf.length, self._limits.page_bytes)
            if leaf.is_nested:
                self._check_nested(leaf, bounds)
            else:
                short = min(bounds.longest_in_dictionary, self._limits.cell_bytes)
                bytes_a_row += max(bounds.bytes_a_value, short)
            is_large = bounds.longest_in_dictionary > self._limits.cell_bytes
            if leaf.is_bytes and (leaf.is_nested or is_large):
                indexed.append(leaf.path)
        rows = max(1, min(self._limits.rows, self._limits.batch_bytes // bytes_a_row))
        known = self._parquet.metadata
        with pq.ParquetFile(self._source, metadata=known, read_dictionary=indexed) as parquet:
            yield from parquet.iter_batches(rows, row_groups=[group], columns=columns)

    def _check_nested(self, leaf: "_Leaf", bounds: PageBounds) -> None:
        is_much = bounds.plain_bytes > self._limits.nested_bytes
        if is_much or bounds.n_values > self._limits.nested_values:
            msg = (
                f"its column {leaf.path!r} has {bounds.n_values:,} values inside lists in one "
                "group of rows, which is more than is read at once: write it with smaller groups"
            )
            raise UntrustedError(msg)


@dataclass(frozen=True)
class _Leaf:
    index: int
    path: str
    length: int
    is_nested: bool
    is_bytes: bool


def _leaves(parquet: pq.ParquetFile, columns: Sequence[str]) -> list[_Leaf]:
    """The physical columns below the top-level ones."""
    wanted = set(columns)
    found: list[_Leaf] = []
    for i in range(len(parquet.schema)):
        column = cast(Any, parquet.schema.column(i))
        path = str(column.path)
        # A name may have dots in it itself.
        if any(path == name or path.startswith(f"{name}.") for name in wanted):
            is_nested = bool(column.max_repetition_level)
            is_bytes = column.physical_type == "BYTE_ARRAY"
            found.append(_Leaf(i, path, int(column.length), is_nested, is_bytes))
    return found


def _check_footer(file: IO[bytes]) -> None:
    """The footer's length, before it is taken to memory."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES))
    end = file.read(_END_BYTES)
    if end[4:] == _MAGIC_ENCRYPTED:
        msg = "it is encrypted Parquet, which is not read: write it without"
        raise UntrustedError(msg)
    if len(end) < _END_BYTES or end[4:] != _MAGIC:
        msg = "it is no Parquet file, or cut off: the mark at its end is missing"
        raise UntrustedError(msg)
    length = int.from_bytes(end[:4], "little")
    if length > MAX_FOOTER_BYTES:
        msg = f"its Parquet footer has {length:,} bytes, at most {MAX_FOOTER_BYTES:,} are taken"
        raise UntrustedError(msg)


def _pieces(batch: pa.RecordBatch, limit: int) -> Iterator[pa.RecordBatch]:
    """The batch with its dictionaries unpacked, in parts that take at most `limit` bytes each."""
    size = sum(_unpacked_bytes(column) for column in batch.columns)
    if size <= limit:
        yield pa.record_batch([_plain(column) for column in batch.columns], batch.schema.names)
    elif batch.num_rows == 1:
        msg = f"one of its rows unpacks to {size:,} bytes, at most {limit:,} are taken"
        raise UntrustedError(msg)
    else:
        half = batch.num_rows // 2
        yield from _pieces(batch.slice(0, half), limit)
        yield from _pieces(batch.slice(half), limit)


def _unpacked_bytes(array: pa.Array) -> int:
    """Bytes that the dictionaries of an array unpack to; nothing for what has none."""
    if pa.types.is_dictionary(array.type):
        lengths = _lengths(array.dictionary)
        return 0 if lengths is None else lengths.take(array.indices).sum().as_py() or 0
    return sum(_unpacked_bytes(child) for child in _children(array))


def _shortened(array: pa.Array, cell_bytes: int) -> pa.Array:
    """The array with the values of its own dictionary cut to their bound."""
    if not pa.types.is_dictionary(array.type):
        return array
    return pa.DictionaryArray.from_arrays(array.indices, _checked(array.dictionary, cell_bytes))


def _children(array: pa.Array) -> list[pa.Array]:
    if _is_list(array.type):
        return [array.flatten()]
    return array.flatten() if pa.types.is_struct(array.type) else []


def _plain(array: pa.Array) -> pa.Array:
    """The array with the values of its dictionaries, also of those inside lists and structs."""
    if pa.types.is_dictionary(array.type):
        return array.dictionary_decode()
    return array if _plain_type(array.type) == array.type else array.cast(_plain_type(array.type))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain_field(kind.value_field))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_plain_field(kind.value_field))
    if pa.types.is_struct(kind):
        return pa.struct([_plain_field(field) for field in kind])
    return kind


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain_type(field.type))


def _is_list(kind: pa.DataType) -> bool:
    is_sized = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_sized or pa.types.is_fixed_size_list(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _lengths(values: pa.Array) -> pa.Array | None:
    is_bytes = pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)
    return (
        compute.call_function("binary_length", [values])
        if is_bytes or _is_text(values.type)
        else None
    )


def _gathered(
    frames: Iterator[tuple[pl.DataFrame, bool]], rows: int, n_bytes: int
) -> Iterator[pl.DataFrame]:
    """Neighbours that are whole row groups as one frame, within a number of rows and bytes."""
    held: list[pl.DataFrame] = []
    height = size = 0
    for frame, is_whole in frames:
        height, size = height + frame.height, size + int(frame.estimated_size())
        is_full = height > rows or size > n_bytes or not is_whole
        if held and (is_full or frame.schema != held[0].schema):
            yield pl.concat(held)
            held, height, size = [], frame.height, int(frame.estimated_size())
        held.append(frame)
    if held:
        yield pl.concat(held)


def _frame(batch: pa.RecordBatch, cell_bytes: int) -> pl.DataFrame:
    arrays = [_checked(column, cell_bytes) for column in batch.columns]
    return cast(pl.DataFrame, pl.from_arrow(pa.record_batch(arrays, batch.schema.names)))


def _checked(array: pa.Array, cell_bytes: int) -> pa.Array:
    """Cells cut to their bound; bytes where a text is no UTF-8, which the frame takes on trust."""
    lengths = _lengths(array)
    if lengths is not None and (compute.call_function("max", [lengths]).as_py() or 0) > cell_bytes:
        raw = array.view(_bytes_type(array.type))
        cut = cut_utf8 if _is_text(array.type) else _cut_bytes
        cells = [None if cell is None else cut(cell, cell_bytes) for cell in raw.to_pylist()]
        array = pa.array(cells, raw.type).view(array.type)
    return _readable(array)


def _cut_bytes(data: bytes, limit: int) -> bytes:
    return data[:limit]


def _readable(array: pa.Array) -> pa.Array:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        if _is_text(array.type):
            return array.view(_bytes_type(array.type))
        raise
    return array


def _bytes_type(kind: pa.DataType) -> pa.DataType:
    is_large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    return pa.large_binary() if is_large else pa.binary()


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """One frame; a column that is Binary in one part is so in all."""
    names = {n for part in parts for n, kind in part.schema.items() if kind == pl.Binary}
    return pl.concat([part.cast(dict.fromkeys(names, pl.Binary())) for part in parts])


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except UntrustedError:
        raise
    except OSError as error:
        # The library's own complaints about the content have no number of the system.
        if error.errno is not None:
            raise
        raise _damaged(error) from error
    except _FROM_LIBRARIES as error:
        raise _damaged(error) from error


def _damaged(error: BaseException) -> UntrustedError:
    words = str(error).strip().splitlines() or [type(error).__name__]
    return UntrustedError(f"its Parquet is damaged or of a kind that is not read ({words[0]})")
