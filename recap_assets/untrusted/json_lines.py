"""JSON lines from outside: an object a line, of which a damaged one costs itself alone."""

import json
from collections.abc import Iterator
from typing import NamedTuple, cast

from recap_assets.untrusted.damage import Damage, TruncatedError
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.text_blocks import MAX_ROW_BYTES, line_blocks

Object = dict[str, object]

_LINES_TRIED = 100
_DECODER = json.JSONDecoder()


class Objects(NamedTuple):
    """Some objects of a file in its order, the number of each one's line, and what is left out."""

    rows: list[Object]
    numbers: list[int]
    damage: Damage = Damage()


def read_json_lines(blocks: Iterator[bytes]) -> Iterator[Objects]:
    """The objects of a file; empty lines are passed over.

    A line that is no JSON object, nests too deep for Python's parser, fits no encoding or has more
    than MAX_ROW_BYTES is counted as damage.

    Args:
        blocks: Of `utf8_blocks`.

    Raises:
        TruncatedError: The last line is damaged and has no line end.
    """
    for lines in line_blocks(blocks):
        found = Objects([], [])
        damage = Damage()
        if lines.overlong is not None:
            damage = damage.and_row(f"line {lines.overlong:,} {_TOO_LONG}")
        for number, line in enumerate(lines.data.split(b"\n"), lines.number):
            if not (row := _plain_object(line)) and (line.isspace() or not line):
                continue
            try:
                found.rows.append(row or _object(line))
                found.numbers.append(number)
            except UntrustedError as error:
                words = f"line {number:,} {error}"
                if lines.is_last and lines.data.endswith(line):
                    msg = f"it is truncated: {words}"
                    raise TruncatedError(msg) from error
                damage = damage.and_row(words)
        if found.rows or damage.n:
            yield found._replace(damage=damage)


def first_object(blocks: Iterator[bytes]) -> Object:
    """The first object that can be read; empty where the file has no line.

    Raises:
        UntrustedError: Of the first hundred lines none can be read.
    """
    damage = Damage()
    for objects in read_json_lines(blocks):
        if objects.rows:
            return objects.rows[0]
        damage = damage.and_more(objects.damage)
        if damage.n >= _LINES_TRIED:
            break
    if damage.n:
        raise UntrustedError(damage.examples[0])
    return {}


_TOO_LONG = f"has more than {MAX_ROW_BYTES:,} bytes"


def _plain_object(line: bytes) -> Object | None:
    """The object where the line is one in UTF-8 and nothing more; else `_object` looks closely."""
    if line[:1] != b"{" or len(line) > MAX_ROW_BYTES:
        return None
    try:
        text = line.decode()
        row, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return row if end == len(text) or text[end:] == "\r" else None


def _object(line: bytes) -> Object:
    if len(line) > MAX_ROW_BYTES:
        raise UntrustedError(_TOO_LONG)
    try:
        # Of files that were put together each may have its byte-order mark.
        row: object = json.loads(_text(line).removeprefix("\ufeff"))
    except ValueError as error:
        msg = f"is no JSON ({error})"
        raise UntrustedError(msg) from error
    except RecursionError as error:
        msg = "is no JSON that is read here: it nests too deep"
        raise UntrustedError(msg) from error
    if not isinstance(row, dict):
        msg = "is no JSON object"
        raise UntrustedError(msg)
    return cast(Object, row)


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        if (text := decode_text(line).text) is None:
            msg = "fits no encoding"
            raise UntrustedError(msg) from error
        return text
