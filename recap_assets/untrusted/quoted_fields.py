"""Rows with quoted fields, read one after another: exact about which quote is wrong, and slow."""

import re
from functools import cache
from typing import NamedTuple

from recap_assets.untrusted.damage import TruncatedError


class QuoteError(TruncatedError):
    """The quotes of a table do not add up.

    Attributes:
        line: Number of the line that the field in question begins in.
    """

    def __init__(self, line: int, words: str) -> None:
        super().__init__(
            f"line {line:,}: a field begins with a quote, and {words}. Where quotes are part of "
            "the texts, set `quoting: none`; else the file is truncated or badly "
            "written: a quote in a quoted field is doubled"
        )
        self.line = line


class Row(NamedTuple):
    """The fields of a row.

    Attributes:
        fields: Without the quotes around them, doubled ones as one.
        line: Number of the line that it begins in.
        is_cut: Whether no line end follows it.
    """

    fields: list[bytes]
    line: int
    is_cut: bool


class Found(NamedTuple):
    """Rows, and how many bytes they take."""

    rows: list[Row]
    size: int


@cache
def _patterns(delimiter: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes], re.Pattern[bytes]]:
    one = re.escape(delimiter)
    return (
        re.compile(rb'"((?:[^"]|"")*+)"(?=%b|\r?\n|\Z)' % one, re.DOTALL),
        re.compile(rb'"(?:[^"]|"")*+"', re.DOTALL),
        re.compile(rb"[%b\n]" % one),
    )


def quoted_rows(
    data: bytes, line: int, delimiter: bytes, *, is_last: bool, most: int | None = None
) -> Found:
    """The rows that end in `data`; empty lines are passed over.

    Args:
        data: Whole lines.
        line: Number of the first.
        delimiter: One byte.
        is_last: Whether the file ends with them; else a row that does not end in them is left.
        most: Rows wanted at most.

    Raises:
        QuoteError: Text follows the quote that ends a field, or the file ends before that quote.
    """
    rows: list[Row] = []
    at = 0
    while at < len(data) and (most is None or len(rows) < most):
        end = data.find(b"\n", at) + 1 or len(data)
        if data.find(b'"', at, end) < 0:
            text = data[at:end].rstrip(b"\n").removesuffix(b"\r")
            fields = text.split(delimiter) if text else []
        else:
            found = _fields(data, at, line, delimiter, is_last=is_last)
            if found is None:
                break
            fields, end = found
        if fields:
            rows.append(Row(fields, line, data[end - 1 : end] != b"\n"))
        line += data.count(b"\n", at, end)
        at = end
    return Found(rows, at)


def _fields(
    data: bytes, at: int, line: int, delimiter: bytes, *, is_last: bool
) -> tuple[list[bytes], int] | None:
    """The fields of the row that begins `at`, and its end; None where it continues after `data`."""
    quoted, _, plain = _patterns(delimiter)
    start = at
    fields: list[bytes] = []
    while True:
        if data[at : at + 1] == b'"':
            found = quoted.match(data, at)
            if found is None:
                number = line + data.count(b"\n", start, at)
                return _unended(data, at, number, delimiter, is_last=is_last)
            fields.append(found[1].replace(b'""', b'"'))
            at = found.end()
        else:
            end = plain.search(data, at)
            end = end.start() if end else len(data)
            fields.append(data[at:end].removesuffix(b"\r"))
            at = end
        if data[at : at + 1] != delimiter:
            end = data.find(b"\n", at) + 1
            return fields, end or len(data)
        at += 1


def _unended(data: bytes, at: int, line: int, delimiter: bytes, *, is_last: bool) -> None:
    """Say what is wrong with the quoted field that begins `at`, if anything is."""
    closed = _patterns(delimiter)[1].match(data, at)
    if closed is not None:
        there = line + data.count(b"\n", at, closed.end())
        raise QuoteError(line, f"text follows the quote in line {there:,} that would end it")
    if is_last:
        raise QuoteError(line, "the file ends before a quote ends it")
