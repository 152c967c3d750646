"""Nouns by lexicon: a word is a noun where the list has it, or has its singular."""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import read_bounded

MAX_FILE_BYTES = 64 * 2**20
"""Of a lexicon; a million nouns have 10 MB."""

_ENDINGS = (
    ("ies", "y"),
    ("ves", "f"),
    ("ves", "fe"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("sses", "ss"),
    ("xes", "x"),
    ("zes", "z"),
    ("oes", "o"),
    ("men", "man"),
    ("s", ""),
)


class LexiconError(RecapError, ValueError):
    """The list of nouns cannot be used. The text names the file and says why."""


def load_nouns(path: str | Path) -> frozenset[str]:
    """Read a lexicon: UTF-8, a noun a line, in the singular; `#` begins a comment.

    Nouns are lower-cased. Lines of several words are left out, since a word of a caption never
    equals one.

    Raises:
        LexiconError: If the file cannot be read or holds no noun.
    """
    path = Path(path)
    try:
        text = decode_text(read_bounded(path, MAX_FILE_BYTES)).text
    except (OSError, UntrustedError) as error:
        msg = f"{path}: cannot be read as a list of nouns: {error}"
        raise LexiconError(msg) from error
    if text is None:
        msg = f"{path}: cannot be read as a list of nouns: it is no text in UTF-8"
        raise LexiconError(msg)
    lines = (line.partition("#")[0].strip().lower() for line in text.splitlines())
    nouns = frozenset(line for line in lines if line and not any(c.isspace() for c in line))
    if not nouns:
        msg = f"{path}: holds no noun; write one a line"
        raise LexiconError(msg)
    return nouns


def lexicon_hash(nouns: Collection[str]) -> str:
    """16 hex digits over the set of nouns, whatever the order and comments of the file."""
    return hashlib.sha256("\n".join(sorted(nouns)).encode()).hexdigest()[:16]


def noun_of(word: str, nouns: Collection[str]) -> str | None:
    """The noun that a lower-case word is a form of; None if it is none.

    The word as it is goes first (`glasses` stays, if the lexicon has it), then its possible
    singulars by English endings; irregular plurals other than -men have to be in the lexicon.
    """
    word = word.removesuffix("'s").removesuffix("\u2019s")
    if word in nouns:
        return word
    return next((singular for singular in _singulars(word) if singular in nouns), None)


def nouns_among(words: Iterable[str], nouns: Collection[str]) -> set[str]:
    """The distinct nouns that words are forms of."""
    found = (noun_of(word, nouns) for word in words)
    return {noun for noun in found if noun is not None}


def _singulars(word: str) -> Iterator[str]:
    for ending, replacement in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and stem + replacement:
            yield stem + replacement
