"""Nouns by lexicon: a word is a noun where the list has it, or has its singular."""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.showing import one_line

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


@dataclass(frozen=True)
class Lexicon:
    """A list of nouns.

    Attributes:
        name: What it is called where it is named.
        nouns: In lower case; singular, but for plurals that count as nouns of their own.
        irregular: Irregular plurals, each with its singular.
        language: What it is of, as the list says; "" where it does not.
        licence: Of the list, as it says; "" where it does not.
    """

    name: str
    nouns: Collection[str]
    irregular: Mapping[str, str] = field(default_factory=dict[str, str])
    language: str = ""
    licence: str = ""

    @property
    def label(self) -> str:
        """Name, hash of the content, and language and licence where they are known."""
        said = "; ".join(filter(None, (self.language, self.licence)))
        return f"{self.name}@{lexicon_hash(self)}" + (f" ({said})" if said else "")


ENGLISH = "english"
"""The name of the list of English nouns that is shipped, made from WordNet 3.0."""

_SHIPPED = Path(__file__).with_name("lexicons")
_SAYS = re.compile(r"#\s*(language|licence|license)\s*:\s*(.+)")
_PLURAL = re.compile(r"(\S+)\s*=\s*(\S+)")


@cache
def english() -> Lexicon:
    """The shipped list of English nouns."""
    return load_lexicon(_SHIPPED / "english.txt", ENGLISH)


def load_lexicon(path: str | Path, name: str | None = None) -> Lexicon:
    """Read a lexicon: UTF-8, a noun a line, in the singular; `#` begins a comment.

    Nouns are lower-cased. `children = child` names an irregular plural. Lines of several words are
    left out, since a word of a caption never equals one. The comments `# language: en` and
    `# licence: CC BY 4.0` are given with every figure.

    Args:
        path: The file.
        name: What it is called; by default its path.

    Raises:
        LexiconError: If the file cannot be read or holds no noun.
    """
    path = Path(path)
    lines = _text(path).splitlines()
    said = {
        found[1].replace("license", "licence"): found[2]
        for found in map(_SAYS.match, lines)
        if found
    }
    bare = [line.partition("#")[0].strip().lower() for line in lines]
    plurals = {found[1]: found[2] for found in map(_PLURAL.fullmatch, bare) if found}
    nouns = frozenset(line for line in bare if line and not any(c.isspace() for c in line))
    nouns -= {f"{plural}={singular}" for plural, singular in plurals.items()}
    if not nouns:
        msg = f"{path}: holds no noun; write one a line"
        raise LexiconError(msg)
    language, licence = (one_line(said.get(what, ""), 60) for what in ("language", "licence"))
    irregular = {one: other for one, other in plurals.items() if other in nouns}
    return Lexicon(name or str(path), nouns, irregular, language, licence)


def lexicon_hash(lexicon: Lexicon) -> str:
    """16 hex digits over the nouns, whatever the order and comments of the file."""
    plurals = (f"{one} = {other}" for one, other in lexicon.irregular.items())
    lines = [*sorted(lexicon.nouns), *sorted(plurals)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def noun_of(word: str, lexicon: Lexicon) -> str | None:
    """The noun that a lower-case word is a form of; None if it is none.

    The word as it is goes first (`glasses` stays, if the lexicon has it), then as an irregular
    plural of the lexicon, then its possible singulars by English endings.
    """
    word = word.removesuffix("'s").removesuffix("\u2019s")
    if word in lexicon.nouns:
        return word
    if word in lexicon.irregular:
        return lexicon.irregular[word]
    return next((singular for singular in _singulars(word) if singular in lexicon.nouns), None)


def _text(path: Path) -> str:
    try:
        text = decode_text(read_bounded(path, MAX_FILE_BYTES)).text
    except (OSError, UntrustedError) as error:
        msg = f"{path}: cannot be read as a list of nouns: {error}"
        raise LexiconError(msg) from error
    if text is None:
        msg = f"{path}: cannot be read as a list of nouns: it is no text in UTF-8"
        raise LexiconError(msg)
    return text


def nouns_among(words: Iterable[str], lexicon: Lexicon) -> set[str]:
    """The distinct nouns that words are forms of."""
    found = (noun_of(word, lexicon) for word in words)
    return {noun for noun in found if noun is not None}


def _singulars(word: str) -> Iterator[str]:
    for ending, replacement in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and stem + replacement:
            yield stem + replacement
