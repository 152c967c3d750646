"""What filters count in a text, as the libraries that DataComp calls count it."""

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[ \r\t\v\f\0]+")


def n_characters(texts: Iterable[str]) -> list[int]:
    """Characters of each text."""
    return [len(text) for text in texts]


def n_words(texts: Iterable[str]) -> list[int]:
    """Words of each text: parts between white space, as Python's `str.split` takes it."""
    return [len(text.split()) for text in texts]


def n_tokens(texts: Iterable[str]) -> list[int]:
    """Tokens of each text by `fasttext.tokenize`.

    It splits at ASCII white space and NUL only, and every line break is a token of its own.
    """
    return [_tokens(text) for text in texts]


def _tokens(text: str) -> int:
    lines = text.split("\n")
    words = sum(1 for line in lines for part in _SEPARATORS.split(line) if part)
    return words + len(lines) - 1
