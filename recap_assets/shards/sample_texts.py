"""The text of a sample: where in its members it is, how it is decoded, and what to note."""

from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

from recap_assets.untrusted.decoding import cut_utf8, decode_text, is_blank

MAX_TEXT_BYTES = 64 * 2**10
"""Longer texts are cut here, wherever they come from: no caption, but possibly an attack."""

MAX_JSON_BYTES = 2**20
"""Of a sample's json; a longer one is not read."""

MEMBER = "txt"
FIELDS = ("caption", "text")
"""Where the text is searched for unless `text_field` names another place."""


class FoundText(NamedTuple):
    """A text, and what was done to it.

    Attributes:
        text: None where there is none.
        note: One of TEXT_NOTES; None where the text is as it lay there.
    """

    text: str | None
    note: str | None = None


NO_TEXT = FoundText(None)

TEXT_NOTES: Mapping[str, str] = {
    "text_not_utf8": "no text, since its bytes are in no encoding that can be recognised",
    "text_no_string": "no text, since the json's field holds neither a string nor a list of them",
    "text_is_link": "no text, since its member is a link and has no bytes of its own",
    "text_cut": "cut at 64 kB",
    "text_first_of_list": "the first of a list",
    "text_from_cp1252": "read as Windows' Western code page, since it is not UTF-8",
    "text_from_utf_16": "read as UTF-16, by its byte-order mark",
    "text_from_utf_32": "read as UTF-32, by its byte-order mark",
}
"""What `text_note` of raw_pool can be."""


def clean_text(text: str | None) -> str | None:
    """Without NUL, byte-order mark, lone surrogates and outer white space, at most 64 kB.

    None where nothing is left that can be seen.
    """
    return cleaned_text(text).text


def cleaned_text(text: str | None, note: str | None = None) -> FoundText:
    """As `clean_text`, with what to note: `note`, or that it was cut."""
    if text is None:
        return NO_TEXT
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    text = text.replace("\0", "").strip().lstrip("\ufeff").strip()
    if is_blank(text):
        return NO_TEXT
    if 4 * len(text) <= MAX_TEXT_BYTES or len(data := text.encode()) <= MAX_TEXT_BYTES:
        return FoundText(text, note)
    return FoundText(cut_utf8(data, MAX_TEXT_BYTES).decode().rstrip(), "text_cut")


def text_of_bytes(data: bytes, *, is_cut: bool = False) -> FoundText:
    """The text of a member; with `is_cut` the bytes are the beginning of a longer one."""
    text, encoding = decode_text(data, is_cut=is_cut)
    if text is None:
        return FoundText(None, "text_not_utf8")
    found = cleaned_text(text, note_of(encoding))
    return FoundText(found.text, "text_cut") if is_cut and found.text else found


def text_of_fields(content: Mapping[str, object], fields: tuple[str, ...]) -> FoundText:
    """The first text among the fields of a json; `a.b` also names the field b of a field a."""
    first = NO_TEXT
    for name in fields:
        found = _text_of_value(value_of(content, name))
        if found.text:
            return found
        first = first if first.note else found
    return first


def note_of(encoding: str | None) -> str | None:
    """What to note about a text in this encoding, one of those that `decode_text` names."""
    if encoding in {None, "utf-8"}:
        return None
    return f"text_from_{str(encoding).replace('-', '_').removesuffix('_le').removesuffix('_be')}"


def value_of(content: Mapping[str, object], name: str) -> object:
    """A field of a json; `a.b` also names the field b of a field a. None where there is none."""
    if name in content or "." not in name:
        return content.get(name)
    outer, _, inner = name.partition(".")
    below = content.get(outer)
    return value_of(below, inner) if isinstance(below, dict) else None


MOST_LISTED = 1_000
"""Elements of a list that become part of a column's text."""


def text_of_column(value: object) -> str | None:
    """A value of a column as text: of a list its elements joined by commas; None where it has none.

    Truth and numbers are written as JSON has them, whole numbers without a point.
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bytes):
        return clean_text(decode_text(value).text)
    if isinstance(value, list):
        texts = (text_of_column(one) for one in value[:MOST_LISTED])
        return clean_text(", ".join(text for text in texts if text))
    return _number_as_text(value) if isinstance(value, int | float) else None


def _number_as_text(value: float) -> str | None:
    if isinstance(value, float):
        return f"{value:.15g}" if isfinite(value) else None
    return str(value).lower()


def _text_of_value(value: object) -> FoundText:
    if value is None:
        return NO_TEXT
    if isinstance(value, str):
        return cleaned_text(value)
    if isinstance(value, list):
        texts = (cleaned_text(one) for one in value if isinstance(one, str))
        first = next((found for found in texts if found.text), None)
        if first:
            return first if len(value) == 1 else FoundText(first.text, "text_first_of_list")
        return NO_TEXT if not value else FoundText(None, "text_no_string")
    return FoundText(None, "text_no_string")
