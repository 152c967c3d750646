"""Words: the tokeniser that every diversity figure names, and captions that say nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.words import TOKENISER, WORD, words

__all__ = [
    "TOKENISER",
    "WORD",
    "EncodedTexts",
    "UInt32s",
    "encode",
    "nondescript",
    "words",
]

UInt32s = npt.NDArray[np.uint32]

_FILE_NAME = r"^[^\s/\\]+\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|heic|raw|cr2|nef)$"
_CAMERA = (
    r"^(?:img|image|dsc[a-z]?|p?dsc|dscf|dscn|pict?|pxl|mvi|vid|gopr|sam|scan|photo|untitled|"
    r"screen ?shot|screenshot|whatsapp image|download|unnamed|fullsizerender)"
    r"[\s_\-.()#:]*(?:\d[\d\s_\-.():]*(?:at\b[\d\s_\-.:]*)?(?:am|pm|copy|edit)?)?$"
)
_NUMBERS = r"^[\d\s_\-.,:/()#+x\u00d7*%$€£°]*$"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DATE = rf"^(?:\d{{1,2}}(?:st|nd|rd|th)?[\s\-./]+)?{_MONTH}[\s\-.,/]+\d{{1,4}}(?:[\s,]+\d{{2,4}})?$"
_TIMESTAMP = r"^\d{4}-?\d{2}-?\d{2}t?[\s_]*\d{2}:?\d{2}(?::?\d{2})?z?$"
_HASH = r"^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]*\d[0-9a-f]*)$"
_HASH_DIGITS = 12
_BLOCK = 1 << 17


def nondescript(text: pl.Expr) -> pl.Expr:
    """True for captions that say nothing of the image; null for null.

    These are empty texts and texts without a letter or digit, file names, what cameras and phones
    call their pictures (`IMG_2231`, `Screenshot 2020-01-02`), numbers, dates, and identifiers in
    hexadecimal of 12 digits or more.
    """
    bare = text.str.strip_chars().str.to_lowercase()
    wordless = ~bare.str.contains(r"[\p{L}\p{N}]")
    named = pl.any_horizontal(
        bare.str.contains(pattern) for pattern in (_FILE_NAME, _CAMERA, _NUMBERS, _DATE, _TIMESTAMP)
    )
    is_hash = bare.str.contains(_HASH) & (bare.str.len_chars() >= _HASH_DIGITS)
    return wordless | named | is_hash


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as numbers.

    Attributes:
        vocabulary: The distinct words; the position of a word is its number.
        ids: The words of all texts, one text after the other.
        lengths: Words of each text.
    """

    vocabulary: pl.Series
    ids: UInt32s
    lengths: npt.NDArray[np.int64]


def encode(texts: pl.Series) -> EncodedTexts:
    """Number the words of texts.

    No word contains a space, so texts are cut at spaces first and each distinct piece is tokenised
    once: three times faster than tokenising the texts, with the same words.

    Args:
        texts: Strings without nulls.
    """
    numbering = _Numbering()
    cut: list[tuple[UInt32s, npt.NDArray[np.int64]]] = []
    for block in texts.to_frame("text").iter_slices(_BLOCK):
        pieces = block["text"].str.split(" ")
        ids = numbering.number(pieces.explode(empty_as_null=False))
        cut.append((ids, pieces.list.len().to_numpy().astype(np.int64)))
    found = numbering.strings().to_frame("piece").select(words(pl.col("piece")))["piece"]
    vocabulary = _Numbering()
    word_ids = vocabulary.number(found.explode(empty_as_null=False))
    n_words = found.list.len().to_numpy().astype(np.int32)
    ids, lengths = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for piece_ids, n_pieces in cut:
        at, n_words_each = _positions(piece_ids, n_pieces, n_words)
        ids.append(word_ids[at])
        lengths.append(n_words_each)
    return EncodedTexts(vocabulary.strings(), np.concatenate(ids), np.concatenate(lengths))


class _Numbering:
    """Numbers strings from 0 in the order in which they come, over any number of calls."""

    def __init__(self) -> None:
        # Categories of their own: the shared ones are never freed, and would not begin at 0. They
        # live only as long as a series that uses them.
        self._type = pl.Categorical(pl.Categories.random())
        self._alive = pl.Series([], dtype=self._type)
        self._new: list[pl.Series] = [pl.Series([], dtype=pl.String)]
        self._n = 0

    def number(self, strings: pl.Series) -> UInt32s:
        encoded = strings.cast(self._type)
        self._alive = self._alive if strings.is_empty() else encoded
        ids = encoded.to_physical().to_numpy()
        n = max(self._n, int(ids.max()) + 1) if len(ids) else self._n
        place = np.empty(n, np.int64)
        place[ids] = np.arange(len(ids))
        self._new.append(strings.gather(place[self._n :]))
        self._n = n
        return ids

    def strings(self) -> pl.Series:
        """The string of each number."""
        return pl.concat(self._new)


def _positions(
    piece_ids: UInt32s,
    n_pieces: npt.NDArray[np.int64],
    n_words: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Where the words of each piece stand among those of the distinct pieces; words a text."""
    first_word = np.cumsum(n_words, dtype=np.int32) - n_words
    counts = n_words[piece_ids]
    ends = np.cumsum(counts, dtype=np.int32)
    total = int(ends[-1]) if len(ends) else 0
    at = np.repeat(first_word[piece_ids] - (ends - counts), counts)
    at += np.arange(total, dtype=np.int32)
    bounds = np.append(np.int32(0), ends)[np.append(0, np.cumsum(n_pieces))]
    return at, np.diff(bounds).astype(np.int64)
