"""Which cells of a table from outside are texts: one rule for parquet, delimited text and JSON.

A text is a text or bytes that are one in some encoding. Missing is null, and NaN, which pandas
writes for it. A cell of several texts is a list of them. Chat turns, lists of `from` and `value` or
of `role` and `content`, stand for the first answer of the model. Numbers, truth values, structs and
lists of anything else are no texts; to print them would make captions that nobody wrote.
"""

import math
from typing import NamedTuple, cast

import polars as pl

from recap_assets.untrusted.decoding import Decoded, cut_utf8, decode_text
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.showing import one_line

MAX_TEXT_BYTES = 64 * 2**10
"""Of a text of an image; longer ones are cut: no caption, but possibly an attack."""

REENCODED = "reencoded"
MENDED = "mended"
UNDECODABLE = "undecodable"

_ANSWERS = ("gpt", "assistant", "model", "bot", "chatgpt")
_TURNS = (("from", "value"), ("role", "content"))


class Texts(NamedTuple):
    """Texts, and what was done to them.

    Attributes:
        texts: String.
        notes: String: REENCODED where the bytes were in another encoding than UTF-8, UNDECODABLE
            where they are in none and the text is null; else null.
    """

    texts: pl.Series
    notes: pl.Series


def check_texts(name: str, column: pl.Series) -> pl.Series:
    """The column as String, Binary or List of either, if it holds texts or lists of texts.

    Raises:
        UntrustedError: It holds something else: what, and what to do.
    """
    dtype = column.dtype
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
    if isinstance(inner, pl.String | pl.Binary | pl.Null | pl.Categorical | pl.Enum):
        wanted = pl.Binary() if isinstance(inner, pl.Binary) else pl.String()
        return column.cast(wanted if inner is dtype else pl.List(wanted))
    if inner is dtype and dtype.is_float() and not column.is_not_nan().any():
        return pl.Series(column.name, [None] * len(column), dtype=pl.String)
    if isinstance(inner, pl.Struct) and inner is not dtype and _is_turns(inner):
        return pl.Series(column.name, [text_of(cell) for cell in column.to_list()], dtype=pl.String)
    msg = f"column {one_line(name, 80)!r} {_not_texts(name, dtype)}"
    raise UntrustedError(msg)


def could_be_texts(name: str, dtype: pl.DataType) -> None:
    """Refuse a type of which no column holds texts, before a row is read.

    Raises:
        UntrustedError: What it holds, and what to do.
    """
    check_texts(name, pl.Series([], dtype=dtype))


def text_of(cell: object) -> str | None:
    """The text of a cell of JSON; None where it is missing.

    Raises:
        UntrustedError: It is no text: what it is.
    """
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, float) and math.isnan(cell):
        return None
    items = _items(cell)
    if items and all(isinstance(one, dict) for one in items):
        return _answer(cast(list[dict[str, object]], items))
    raise UntrustedError(_kind_of(cell))


def texts_of(cell: object) -> str | list[str | None] | None:
    """The text of a cell of JSON, or the texts where it has a list of them.

    Raises:
        UntrustedError: It holds something else: what.
    """
    items = _items(cell)
    if items is None or any(isinstance(one, dict | list) for one in items):
        return text_of(cell)
    return [text_of(one) for one in items]


def decoded(column: pl.Series) -> Texts:
    """The texts of a String or Binary column."""
    no_notes = pl.Series("note", [None], dtype=pl.String).new_from_index(0, len(column))
    if column.dtype != pl.Binary:
        return Texts(column.cast(pl.String), no_notes)
    try:
        return Texts(column.cast(pl.String), no_notes)
    except pl.exceptions.PolarsError:
        return _decoded_each(column)


def bounded(texts: pl.Series) -> pl.Series:
    """The texts, each of at most MAX_TEXT_BYTES: longer ones are cut between two characters."""
    is_long = texts.str.len_bytes() > MAX_TEXT_BYTES
    if not is_long.any():
        return texts
    cut = [
        cut_utf8(text.encode(), MAX_TEXT_BYTES).decode() if long else text
        for text, long in zip(texts, is_long, strict=True)
    ]
    return pl.Series(texts.name, cut, dtype=pl.String)


def without_halves(text: str) -> str:
    """The text without halves of characters, which JSON can spell and UTF-8 cannot (MENDED)."""
    return text if text.isascii() else text.encode("utf-8", "ignore").decode()


def _decoded_each(column: pl.Series) -> Texts:
    texts: list[str | None] = []
    notes: list[str | None] = []
    for value in column:
        found = None if value is None else decode_text(value)
        texts.append(found and found.text)
        notes.append(None if found is None else _note_on(found))
    return Texts(
        pl.Series(column.name, texts, dtype=pl.String), pl.Series("note", notes, dtype=pl.String)
    )


def _note_on(found: Decoded) -> str | None:
    if found.encoding == "utf-8":
        return None
    return UNDECODABLE if found.text is None else REENCODED


def _answer(turns: list[dict[str, object]]) -> str | None:
    for who, what in _TURNS:
        for turn in turns:
            if str(turn.get(who)).lower() in _ANSWERS:
                return _said(turn.get(what))
        if all(who in turn and what in turn for turn in turns):
            return None
    msg = "holds lists of objects"
    raise UntrustedError(msg)


def _said(content: object) -> str | None:
    """The text of a turn; newer forms have a list of parts, some of them texts."""
    parts = _items(content)
    if parts is None:
        return text_of(content)
    texts = [_field(part, "text") for part in parts]
    return " ".join(text for text in texts if isinstance(text, str)) or None


def _items(cell: object) -> list[object] | None:
    return cast(list[object], cell) if isinstance(cell, list) else None


def _field(cell: object, name: str) -> object:
    return cast(dict[str, object], cell).get(name) if isinstance(cell, dict) else None


def _is_turns(inner: pl.Struct) -> bool:
    names = {field.name for field in inner.fields}
    return any(names >= set(turn) for turn in _TURNS)


def _kind_of(cell: object) -> str:
    if isinstance(cell, bool):
        return "holds true or false, no text"
    if isinstance(cell, int | float):
        return "holds a number, no text"
    if isinstance(cell, dict):
        fields = ", ".join(map(str, list(cast(dict[object, object], cell))[:5]))
        return f"holds an object with {fields or 'nothing'}, no text: name the field, such as a.b"
    return "holds a list of other things than texts"


def _not_texts(name: str, dtype: pl.DataType) -> str:
    shown = one_line(str(dtype), 200)
    if isinstance(dtype, pl.Struct):
        fields = [one_line(f"{name}.{field.name}", 80) for field in dtype.fields[:5]]
        return f"holds {shown}, no texts: name the field that is wanted, such as {fields[0]!r}"
    return f"holds {shown}, no texts: name a column of texts, or write them as texts"
