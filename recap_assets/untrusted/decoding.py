"""Bytes to text, in one way for everything that comes from outside."""

import codecs
import re
from typing import NamedTuple

MAX_WESTERN_FRACTION = 0.34
"""Share of characters beyond ASCII above which a text is not taken for Windows' Western code page:
German and French stay below 0.15, Chinese, Cyrillic or Greek in their own code pages above 0.5."""

# UTF-32's little-endian mark is also that of UTF-16 and the character 0: then what fits counts.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_BLANKS = frozenset(
    "\u034f\u115f\u1160\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
)
"""Letters, marks and symbols that show nothing: fillers, the empty Braille cell, selectors."""


class Decoded(NamedTuple):
    """A text and how it was found.

    Attributes:
        text: Without a byte-order mark; None where no encoding fits.
        encoding: `utf-8`, `utf-16-le`, `utf-16-be`, `utf-32-le`, `utf-32-be` or `cp1252`; None
            where none fits. Anything but `utf-8` is worth a word where people look.
    """

    text: str | None
    encoding: str | None


def decode_text(data: bytes, *, is_cut: bool = False) -> Decoded:
    """The text of `data`: by its byte-order mark, else UTF-8, else Windows' Western code page.

    The last only where the text then reads like one: few characters beyond ASCII, no control
    characters. No character is ever replaced: what fits no encoding has no text.

    Args:
        data: The bytes.
        is_cut: They are the beginning of more, so the last character may be a part of one.
    """
    if data.isascii():  # by far the most; every byte-order mark has bytes beyond ASCII
        return Decoded(data.decode("ascii"), "utf-8")
    marks = [(mark, encoding) for mark, encoding in _MARKS if data.startswith(mark)]
    for mark, encoding in marks:
        if (text := _strictly(data[len(mark) :], encoding, is_cut=is_cut)) is not None:
            return Decoded(text, encoding)
    if marks:
        return Decoded(None, None)
    if (text := _strictly(data, "utf-8", is_cut=is_cut)) is not None:
        return Decoded(text, "utf-8")
    western = _strictly(data, "cp1252")
    if western is not None and reads_western(western):
        return Decoded(western, "cp1252")
    return Decoded(None, None)


def cut_utf8(data: bytes, limit: int) -> bytes:
    """The first `limit` bytes, without a part of a UTF-8 character at the end."""
    if len(data) <= limit:
        return data
    end = limit
    while end > max(0, limit - 4) and data[end] & 0xC0 == 0x80:
        end -= 1
    return data[:end]


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: white space, zero-width and control characters."""
    for character in text:  # a loop, since of most texts it looks at one character
        if character.isprintable() and not character.isspace() and character not in _BLANKS:
            return False
    return True


def reads_western(text: str) -> bool:
    """Whether a text in Windows' Western code page reads like one: few characters beyond ASCII."""
    foreign = sum(character > "\x7f" for character in text)
    return foreign <= MAX_WESTERN_FRACTION * len(text) and not _CONTROLS.search(text)


def _strictly(data: bytes, encoding: str, *, is_cut: bool = False) -> str | None:
    try:
        if is_cut:
            return codecs.getincrementaldecoder(encoding)().decode(data, final=False)
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None
