"""Delimited text from outside (CSV, TSV) as columns of bytes.

Two dialects and nothing in between. `none`: a row is a line, a quote is a character. `double`: a
field that begins with a quote ends with one, `""` in it stands for one, and it may hold delimiters
and line ends (RFC 4180); elsewhere in a field a quote is a character. Where quotes do not add up,
no guess is made: the reader says in which line.

Rows are found by vectorized look-ups of delimiters, line ends and quotes, so that a well-formed
file is read about as fast as by Arrow's reader, which ends the process on some that are not.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from recap_assets.untrusted.damage import EXAMPLES, Damage, TruncatedError
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.quoted_fields import QuoteError, quoted_rows
from recap_assets.untrusted.spans import (
    LINE_END,
    Bytes,
    Marks,
    Places,
    Spans,
    bytes_between,
    without_quotes,
)
from recap_assets.untrusted.text_blocks import MAX_ROW_BYTES, Lines, line_blocks

Quoting = Literal["none", "double"]

MAX_COLUMNS = 4_096
_FIELD = b'(?:^|(?<=[\\n\t]))"%b"(?=\t|\\r?\\n|\\Z)'
_DOUBLED_QUOTES = _FIELD % b'[^"\\n\t]*(?:""[^"\\n\t]*)+'
_QUOTED_LINES = _FIELD % b'(?:[^"\\n\t]|"")*+\\n(?:[^"\\n\t]|"")*+'
"""Fields that nobody writes but to quote them, in regular expressions with a tab for the delimiter:
with doubled quotes in it, and over two lines."""

_SWALLOWED = "the next line, which looks like a row, would be part of it"
_KEY = (
    rb'(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{64}|https?://[^\s"]+'
    rb'|[^\s"]+\.(?i:jpe?g|jpe|jfif|png|webp|gif|bmp|tiff?|avif))'
)
"""What begins a row of a table of images: a uid, a sha256, an address, the name of a file."""


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        delimiter: One byte.
        quoting: See the module.
        is_given: Whether the user said so; else signs of the other dialect are refused.
    """

    delimiter: bytes
    quoting: Quoting
    is_given: bool = False


class Rows(NamedTuple):
    """Some rows of a file, in its order.

    Attributes:
        frame: The columns asked for, Binary; empty fields are empty.
        damage: What is left out.
    """

    frame: pl.DataFrame
    damage: Damage = Damage()


def header_of(blocks: Iterator[bytes], dialect: Dialect) -> list[str]:
    """The names of the columns: the first line.

    Raises:
        UntrustedError: There is no first line, or it is none of the dialect.
    """
    return _Reader(dialect).begin(line_blocks(blocks))[0]


def read_delimited(
    blocks: Iterator[bytes], dialect: Dialect, columns: Sequence[str]
) -> Iterator[Rows]:
    """The rows of a file with a header; empty lines are passed over.

    Args:
        blocks: Of `utf8_blocks`.
        dialect: How it is written.
        columns: Those wanted, which the header has; the first names the row's image.

    Raises:
        UntrustedError: The quotes do not add up, or the file ends within a row.
    """
    reader = _Reader(dialect)
    source = line_blocks(blocks)
    header, rest = reader.begin(source)
    if twice := [name for name in columns if header.count(name) > 1]:
        msg = f"it has more than one column {twice[0]!r}"
        raise UntrustedError(msg)
    reader.choose(columns, header)
    for lines in _with_rest(rest, source):
        rows = reader.read(lines)
        if rows.frame.height or rows.damage.n:
            yield rows


def _with_rest(rest: Lines, source: Iterator[Lines]) -> Iterator[Lines]:
    yield rest
    if not rest.is_last:
        yield from source


class _Reader:
    """Reads one file; `_carried` is the beginning of a row that continues on the next lines."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._delimiter = dialect.delimiter[0]
        self._carried = Lines(b"", 1)
        self._n_columns = 0
        self._names: list[str] = []
        self._at: list[int] = []
        self._row = re.compile(b"")

    def begin(self, source: Iterator[Lines]) -> tuple[list[str], Lines]:
        """The header, and the lines after it that were read with it."""
        lines = next(source)
        if lines.overlong:
            msg = f"its first line has more than {MAX_ROW_BYTES:,} bytes: it is no table"
            raise UntrustedError(msg)
        blank = len(lines.data) - len(lines.data.lstrip(b"\r\n"))
        number = lines.number + lines.data[:blank].count(b"\n")
        fields, size = self._header_fields(lines.data[blank:], number)
        names = [decode_text(field).text or "" for field in fields]
        if not any(names) or len(names) > MAX_COLUMNS:
            has = f"has {len(names):,} columns" if len(names) > MAX_COLUMNS else "is empty"
            msg = f"it {has}: its first line must name the columns"
            raise UntrustedError(msg)
        self._n_columns = len(names)
        number += lines.data[blank : blank + size].count(b"\n")
        return [name.strip() for name in names], Lines(
            lines.data[blank + size :], number, is_last=lines.is_last
        )

    def choose(self, columns: Sequence[str], header: Sequence[str]) -> None:
        """Say which columns are read."""
        self._names, self._at = list(columns), [header.index(name) for name in columns]
        self._row = self._row_pattern(self._at[0])

    def _header_fields(self, data: bytes, number: int) -> tuple[list[bytes], int]:
        line = data[: data.find(b"\n") + 1] or data
        if self._dialect.quoting == "double" and b'"' in line:
            found = quoted_rows(data, number, self._dialect.delimiter, is_last=True, most=1)
            return found.rows[0].fields, found.size
        fields = line.rstrip(b"\r\n").split(self._dialect.delimiter)
        if not self._dialect.is_given and any(re.fullmatch(rb'".+"', field) for field in fields):
            raise UntrustedError(_looks_quoted(number))
        return fields, len(line)

    def read(self, lines: Lines) -> Rows:
        """The rows that end in `lines`."""
        if lines.overlong is not None:
            return self._overlong(lines.overlong)
        if self._dialect.quoting == "none":
            return self._unquoted(lines)
        return self._quoted(lines)

    def _overlong(self, number: int) -> Rows:
        if self._carried.data:
            raise QuoteError(self._carried.number, _too_far())
        damage = Damage(1, (f"line {number:,} has more than {MAX_ROW_BYTES:,} bytes",))
        return Rows(self._frame([[] for _ in self._at]), damage)

    def _unquoted(self, lines: Lines) -> Rows:
        if not self._dialect.is_given and b'""' in lines.data:
            self._check_unquoted(lines, _DOUBLED_QUOTES)
        return self._plain(lines)

    def _check_unquoted(self, lines: Lines, signs: bytes) -> None:
        """Refuse a block with signs of quoted fields, which only the user can tell from texts."""
        pattern = signs.replace(b"\t", re.escape(self._dialect.delimiter))
        if (found := re.search(pattern, lines.data)) is not None:
            before = lines.data.count(b"\n", 0, found.start())
            raise UntrustedError(_looks_quoted(lines.number + before))

    def _quoted(self, lines: Lines) -> Rows:
        lines = self._with_carried(lines)
        if b'"' not in lines.data:
            return self._plain(lines)
        data = _ended(lines.data)
        buffer = np.frombuffer(data, np.uint8)
        marks = Marks.of(buffer, self._delimiter)
        if not marks.add_up(self._delimiter):
            return self._slowly(lines)
        if not self._dialect.is_given:
            self._check_rows_in_fields(lines, data, marks.inner_line_ends())
        end = marks.last_line_end() + 1
        if end < len(data):
            if lines.is_last or len(data) - end > MAX_ROW_BYTES:
                return self._slowly(lines)
            number = lines.number + data.count(b"\n", 0, end)
            self._carried = Lines(data[end:], number)
        return self._split(lines, *marks.unquoted(end), quoted=True)

    def _plain(self, lines: Lines) -> Rows:
        buffer = np.frombuffer(_ended(lines.data), np.uint8)
        found = np.flatnonzero((buffer == LINE_END) | (buffer == self._delimiter))
        return self._split(lines, buffer, found)

    def _with_carried(self, lines: Lines) -> Lines:
        carried, self._carried = self._carried, Lines(b"", 1)
        if not carried.data:
            return lines
        return Lines(carried.data + lines.data, carried.number, is_last=lines.is_last)

    def _check_rows_in_fields(self, lines: Lines, data: bytes, at: Places) -> None:
        """Refuse a line in a quoted field that is a row of the table itself.

        It means that the quote at the begin of the field was a character: read on, the rows after
        it would become part of one text.
        """
        for start in at.tolist():
            if self._row.match(data, start):
                number = lines.number + data.count(b"\n", 0, start)
                raise QuoteError(number, _SWALLOWED)

    def _row_pattern(self, at: int) -> re.Pattern[bytes]:
        """A line with as many fields as the header, and in field `at` what names an image."""
        delimiter = re.escape(self._dialect.delimiter)
        before = rb"(?:[^%b\n\"]*%b){%d}" % (delimiter, delimiter, at)
        after = rb"(?:%b[^%b\n]*){%d}" % (delimiter, delimiter, self._n_columns - 1 - at)
        return re.compile(rb"\n" + before + _KEY + after + rb"(?=\r?\n|\"|\Z)")

    def _split(self, lines: Lines, buffer: Bytes, found: Places, *, quoted: bool = False) -> Rows:
        """The fields between `found`: the places of delimiters and line ends outside of quotes."""
        spans = Spans.between(buffer, found, self._n_columns, MAX_ROW_BYTES)
        columns: list[pl.Series] = []
        for at in self._at:
            field = spans.field(at)
            columns.append(
                bytes_between(buffer, *(without_quotes(buffer, *field) if quoted else field))
            )
        frame = pl.DataFrame(dict(zip(self._names, columns, strict=True)))
        return Rows(frame, self._damage(lines, spans) if len(spans.bad_ends) else Damage())

    def _damage(self, lines: Lines, spans: Spans) -> Damage:
        if self._dialect.quoting == "none" and not self._dialect.is_given:
            self._check_unquoted(lines, _QUOTED_LINES)
        shown = [*spans.bad_ends[:EXAMPLES].tolist(), int(spans.bad_ends[-1])]
        counts = [*spans.bad_counts[:EXAMPLES].tolist(), int(spans.bad_counts[-1])]
        numbers = [
            lines.number + int(np.count_nonzero(spans.buffer[:end] == LINE_END)) for end in shown
        ]
        words = [self._ragged(*one) for one in zip(numbers, counts, strict=True)]
        is_cut = lines.is_last and not lines.data.endswith(b"\n")
        if is_cut and shown[-1] == len(spans.buffer) - 1:
            msg = f"it is truncated: {words[-1]}"
            raise TruncatedError(msg)
        return Damage(len(spans.bad_ends), tuple(words[:-1]))

    def _ragged(self, number: int, n_fields: int) -> str:
        if n_fields == self._n_columns:
            return f"line {number:,} has more than {MAX_ROW_BYTES:,} bytes"
        return f"line {number:,} has {n_fields:,} fields, the header {self._n_columns:,}"

    def _slowly(self, lines: Lines) -> Rows:
        delimiter = self._dialect.delimiter
        found = quoted_rows(lines.data, lines.number, delimiter, is_last=lines.is_last)
        if rest := lines.data[found.size :]:
            number = lines.number + lines.data.count(b"\n", 0, found.size)
            self._carried = Lines(rest, number)
            if len(rest) > MAX_ROW_BYTES:
                raise QuoteError(number, _too_far())
        if not self._dialect.is_given:
            for row in found.rows:
                if any(b"\n" in field and self._row.search(field) for field in row.fields):
                    raise QuoteError(row.line, _SWALLOWED)
        good = [row.fields for row in found.rows if len(row.fields) == self._n_columns]
        bad = [row for row in found.rows if len(row.fields) != self._n_columns]
        words = tuple(self._ragged(row.line, len(row.fields)) for row in bad[:EXAMPLES])
        if bad and bad[-1].is_cut:
            msg = f"it is truncated: {self._ragged(bad[-1].line, len(bad[-1].fields))}"
            raise TruncatedError(msg)
        frame = self._frame([[row[at] for row in good] for at in self._at])
        return Rows(frame, Damage(len(bad), words))

    def _frame(self, columns: list[list[bytes]]) -> pl.DataFrame:
        named = dict(zip(self._names, columns, strict=True))
        return pl.DataFrame(named, schema=dict.fromkeys(self._names, pl.Binary))


def _ended(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"


def _too_far() -> str:
    return f"none ends it within {MAX_ROW_BYTES:,} bytes"


def _looks_quoted(line: int) -> str:
    return (
        f"line {line:,}: this looks like a file with quoted fields, which a file of this kind has "
        "only where you say so: set `quoting: double`, or `quoting: none` where the quotes are "
        "part of the texts"
    )
