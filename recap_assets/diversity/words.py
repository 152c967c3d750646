"""Words: the tokeniser that every diversity figure names, and captions that say nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

TOKENISER = "words-1"
"""Lower case; runs of letters, marks and digits, apostrophes inside a word included.

Scripts without spaces give a run as one word.
"""

WORD = r"[\p{L}\p{M}\p{N}]+(?:['\u2019][\p{L}\p{M}\p{N}]+)*"

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
_BLOCK = 1 << 18
_NO_STRINGS = pl.Series([], dtype=pl.String)


def words(text: pl.Expr) -> pl.Expr:
    """The words of each text, in order, as a list; null for null."""
    return text.str.to_lowercase().str.extract_all(WORD)


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
    ids: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.int64]


def encode(texts: pl.Series) -> EncodedTexts:
    """Number the words of texts.

    No word contains a space, so texts are cut at spaces first and each distinct piece is tokenised
    once: three times faster than tokenising the texts, with the same words.

    Args:
        texts: Strings without nulls.
    """
    # Categories of their own: the shared ones are never freed, and would not begin at 0.
    numbering = pl.Categorical(pl.Categories.random())
    cut = [_pieces(block, numbering) for block in texts.to_frame("text").iter_slices(_BLOCK)]
    distinct = _in_order(pl.concat([pieces.unique() for pieces, _ in cut])) if cut else _NO_STRINGS
    found = distinct.to_frame("piece").select(words(pl.col("piece")))["piece"]
    flat = found.explode(empty_as_null=False).cast(pl.Categorical(pl.Categories.random()))
    n_words = found.list.len().to_numpy().astype(np.int32)
    word_ids = flat.to_physical().to_numpy()
    ids, lengths = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for pieces, n_pieces in cut:
        at, n_words_each = _positions(pieces.to_physical().to_numpy(), n_pieces, n_words)
        ids.append(word_ids[at])
        lengths.append(n_words_each)
    return EncodedTexts(_in_order(flat.unique()), np.concatenate(ids), np.concatenate(lengths))


def _pieces(
    block: pl.DataFrame, numbering: pl.Categorical
) -> tuple[pl.Series, npt.NDArray[np.int64]]:
    """The pieces between spaces, numbered, and how many each text has."""
    pieces = block["text"].str.split(" ")
    flat = pieces.explode(empty_as_null=False).cast(numbering)
    return flat, pieces.list.len().to_numpy().astype(np.int64)


def _positions(
    piece_ids: npt.NDArray[np.uint32],
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


def _in_order(categories: pl.Series) -> pl.Series:
    """The distinct strings of a fresh categorical, each at the position that is its number."""
    distinct = categories.unique()
    return distinct.cast(pl.String).gather(distinct.to_physical().arg_sort())
