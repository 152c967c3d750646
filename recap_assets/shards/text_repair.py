r"""One form of a text that went through several programs, to decide whether two texts are the same.

Third-party drops carry their own copy of the raw text, and it went through another decoder:
Recap-DataComp-1B has the bytes of `®` written out as `\xc2\xae`, others have them as `Â®`.
"""

import html
import re
import unicodedata

import polars as pl

_WRITTEN_OUT = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def comparable_text(text: str) -> str:
    """The text with wrong decoding undone, entities resolved, NFKC, single spaces.

    Two texts that differ in nothing else have the same form; it is for comparing and not for
    showing.
    """
    written_out = _WRITTEN_OUT.sub(lambda match: _from_bytes(_bytes_of(match[0]), match[0]), text)
    decoded = _NOT_ASCII.sub(lambda match: _decoded_once_more(match[0]), written_out)
    return " ".join(unicodedata.normalize("NFKC", html.unescape(decoded)).split())


def texts_differ(one: pl.Series, other: pl.Series) -> pl.Series:
    """Whether the texts of two columns differ, row by row; null where one of them is missing."""
    differ = (one != other).alias("differ")
    places = differ.arg_true()
    pairs = zip(one.gather(places), other.gather(places), strict=True)
    found = [comparable_text(text) != comparable_text(its_other) for text, its_other in pairs]
    return differ.scatter(places, found) if found else differ


def _bytes_of(written_out: str) -> bytes:
    return bytes.fromhex(written_out.replace("\\x", ""))


def _from_bytes(data: bytes, otherwise: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return otherwise


def _decoded_once_more(text: str) -> str:
    # UTF-8 that was taken for Latin-1 or for Windows' code page.
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode()
        except UnicodeError:
            continue
    return text
