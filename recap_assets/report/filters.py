"""What the page's template makes of values: numbers, captions and images as text."""

import base64
import re

_LONGEST_CAPTION = 400
_HYPHEN = re.compile(r"""(?<![\w)\]"'-])-(?=\d)""")
"""Before a number, and neither within a word, nor behind one or a quotation mark."""
_MEDIA_TYPES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n": "image/png",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def data_uri(image: bytes) -> str:
    """An image as an address that a page can hold.

    Raises:
        ValueError: It is of no format that browsers show.
    """
    for magic, media_type in _MEDIA_TYPES.items():
        if image.startswith(magic):
            return f"data:{media_type};base64,{base64.b64encode(image).decode()}"
    msg = f"an example is no JPEG, PNG, GIF or WebP file; it begins with {image[:8].hex() or '-'}"
    raise ValueError(msg)


def percent(fraction: float | None, digits: int = 1) -> str:
    """A share of one in per cent; empty where it is not known."""
    return "" if fraction is None else f"{100 * fraction:.{digits}f} %"


def points(fraction: float) -> str:
    """A difference in points of per cent, with its sign."""
    return minus(f"{100 * fraction:+.1f}")


def minus(written: str) -> str:
    """Words with their negative numbers as they are printed, not as they are typed."""
    return _HYPHEN.sub("\N{MINUS SIGN}", written)


def unbroken(words: str) -> str:
    """Words that stay on one line."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def number(value: float, digits: int = 3) -> str:
    """A number with a minus sign where it is below zero."""
    return minus(f"{value:.{digits}f}")


def count(number: int | None) -> str:
    """A number with its thousands apart; empty where it is not known."""
    return "" if number is None else f"{number:,}"


def clipped(text: str) -> str:
    """A caption short enough for a card, without characters that cannot be seen."""
    seen = "".join(c if c.isprintable() else " " for c in text[: _LONGEST_CAPTION + 1])
    return f"{seen[:_LONGEST_CAPTION]} …" if len(text) > _LONGEST_CAPTION else seen
