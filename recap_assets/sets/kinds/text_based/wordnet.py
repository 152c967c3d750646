"""WordNet's first synset of a word, as NLTK looks it up, from the index and exception files alone.

A word is lower-cased; for nouns, verbs, adjectives and adverbs in this order its forms are tried:
as written, then as the exception list has it, or without an ending. Format: wndb(5WN).
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.showing import one_line

MAX_FILE_BYTES = 64 * 2**20
"""Of one file; WordNet's largest index has 5 MB."""

LONGEST_WORD = 100
"""In characters. WordNet's longest is 71; taking endings off a hostile one would never end."""

T = TypeVar("T")

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
_ENDINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"),
        ("shes", "sh"), ("men", "man"), ("ies", "y"),
    ),
    "verb": (
        ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}  # fmt: skip


class WordNetError(RecapError, ValueError):
    """Files of WordNet or of synset ids cannot be used. The text names the file and says why."""


@dataclass(frozen=True)
class WordNet:
    """The words of WordNet.

    Attributes:
        first: For each part of speech, the offset of a lemma's first synset.
        exceptions: For each part of speech, the base forms of irregular ones.
    """

    first: Mapping[str, Mapping[str, int]]
    exceptions: Mapping[str, Mapping[str, tuple[str, ...]]]

    def first_synset(self, word: str, endings: Literal["repeated", "once"]) -> int | None:
        """The offset of the word's first synset; None where WordNet does not know the word.

        Args:
            word: In any case.
            endings: Whether endings are taken off until a form is known (NLTK 3.8) or once (3.9).
        """
        form = word.lower()
        if len(form) > LONGEST_WORD:
            return None
        for part in PARTS_OF_SPEECH:
            lemmas = self.first[part]
            for known in self._known_forms(form, part, endings):
                return lemmas[known]
        return None

    def _known_forms(
        self, form: str, part: str, endings: Literal["repeated", "once"]
    ) -> Iterator[str]:
        lemmas, irregular = self.first[part], self.exceptions[part].get(form)
        forms = _without_endings([form], part) if irregular is None else [*irregular]
        yield from (one for one in (form, *forms) if one in lemmas)
        # Of an irregular word NLTK takes no ending off, whether or not WordNet has its base form.
        while endings == "repeated" and irregular is None and forms:
            forms = _without_endings(forms, part)
            yield from (one for one in forms if one in lemmas)


def _without_endings(forms: Iterable[str], part: str) -> list[str]:
    shorter = (
        form.removesuffix(old) + new
        for form in forms
        for old, new in _ENDINGS[part]
        if form.endswith(old)
    )
    # Each once: the forms of a word like eseseses would double with every round.
    return list(dict.fromkeys(shorter))


def load_wordnet(folder: str | Path) -> WordNet:
    """Read `index.noun`, `noun.exc` and so on; the data files are not needed.

    Raises:
        WordNetError: A file is missing or is not in WordNet's format.
    """
    folder = Path(folder)
    return WordNet(
        {part: dict(_read(folder / f"index.{part}", _lemma)) for part in PARTS_OF_SPEECH},
        {part: dict(_read(folder / f"{part}.exc", _exception)) for part in PARTS_OF_SPEECH},
    )


def wordnet_files(folder: str | Path) -> list[Path]:
    """The files that are read."""
    return [
        Path(folder) / name for part in PARTS_OF_SPEECH for name in (f"index.{part}", f"{part}.exc")
    ]


def load_synsets(path: str | Path) -> frozenset[int]:
    """Offsets of the synsets in a file with one id a line, such as n02084071.

    Raises:
        WordNetError: The file cannot be read, is empty, or a line is no synset id.
    """
    path = Path(path)
    ids = dict(_read(path, _synset_id))
    if not ids:
        msg = f"{path}: holds no synset id; write one a line, such as n02084071"
        raise WordNetError(msg)
    return frozenset(ids)


def names_a_synset(
    texts: Iterable[str],
    wordnet: WordNet,
    synsets: Collection[int],
    endings: Literal["repeated", "once"],
) -> list[bool]:
    """Whether the first synset of any word of each text is among `synsets`, by its offset alone.

    DataComp compares offsets without the part of speech, so that a verb's may stand for a noun's.
    """
    known: dict[str, bool] = {}

    def is_entity(word: str) -> bool:
        if (found := known.get(word)) is None:
            found = known[word] = wordnet.first_synset(word, endings) in synsets
        return found

    return [any(is_entity(word) for word in text.split()) for text in texts]


def _read(path: Path, parse: Callable[[list[str]], T]) -> Iterator[T]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        # The licence at the head of WordNet's files is indented.
        if line.startswith(" ") or not (fields := line.split()):
            continue
        try:
            yield parse(fields)
        except (ValueError, IndexError) as error:
            words = one_line(line.strip(), 60)
            msg = f"{path}, line {number}: {words!r} is not in its format"
            raise WordNetError(msg) from error


def _text(path: Path) -> str:
    try:
        text = decode_text(read_bounded(path, MAX_FILE_BYTES)).text
    except (OSError, UntrustedError) as error:
        msg = f"{path}: cannot be read: {error}"
        raise WordNetError(msg) from error
    if text is None:
        msg = f"{path}: cannot be read: it is no text in UTF-8"
        raise WordNetError(msg)
    return text


def _lemma(fields: list[str]) -> tuple[str, int]:
    # lemma, part, synsets, p, p pointers, senses, ranked senses, offset, offset, ...
    n_synsets, n_pointers = int(fields[2]), int(fields[3])
    offsets = fields[6 + n_pointers :]
    if n_synsets != len(offsets) or not offsets:
        raise ValueError
    return fields[0], int(offsets[0])


def _exception(fields: list[str]) -> tuple[str, tuple[str, ...]]:
    return fields[0], tuple(fields[1:])


def _synset_id(fields: list[str]) -> tuple[int, None]:
    (one,) = fields
    return int(one[1:]), None


def files_hash(paths: Iterable[Path]) -> str:
    """16 hex digits over the files' bytes in the order given.

    Raises:
        WordNetError: One is no regular file, or too large.
        OSError: One cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = read_bounded(path, MAX_FILE_BYTES)
        except UntrustedError as error:
            msg = f"{path}: cannot be read: {error}"
            raise WordNetError(msg) from error
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:16]
