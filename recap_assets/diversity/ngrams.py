"""Distinct word trigrams, exact; a trigram never spans two captions."""

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.draws import UInt64s, mix64
from recap_assets.diversity.distinct import n_distinct
from recap_assets.diversity.words import EncodedTexts, encode

_BITS = 21
_CHUNK = 1 << 15


def unique_trigrams(texts: pl.Series) -> int:
    """Distinct word trigrams of texts; nulls are left out."""
    encoded = encode(texts.drop_nulls())
    # In pieces, as fresh memory costs more than the arithmetic. Keys of different pieces agree only
    # where they are made of the words' own numbers.
    size = _CHUNK if len(encoded.vocabulary) <= 1 << _BITS else max(len(encoded.lengths), 1)
    ends = np.append(0, np.cumsum(encoded.lengths))
    keys, n = np.empty(int(np.maximum(encoded.lengths - 2, 0).sum()), np.uint64), 0
    for start in range(0, len(encoded.lengths), size):
        lengths = encoded.lengths[start : start + size]
        ids = encoded.ids[ends[start] : ends[start + len(lengths)]]
        chunk = EncodedTexts(encoded.vocabulary, ids, lengths)
        found = trigram_keys(chunk, _BITS)
        keys[n : n + len(found)] = found
        n += len(found)
    return n_distinct(keys)


def trigram_keys(encoded: EncodedTexts, bits: int = _BITS) -> UInt64s:
    """A number for each trigram, in order: equal numbers, equal trigrams.

    Three word numbers of 21 bits fit into 64. Where there are more words, the pairs are numbered
    first.

    Args:
        encoded: The texts.
        bits: Bits of a word number.
    """
    ids, n = encoded.ids, max(len(encoded.ids) - 2, 0)
    begins = _begins_trigram(encoded.lengths)[:n]
    keys = ids[:n].astype(np.uint64)
    if len(encoded.vocabulary) > 1 << bits:
        keys = _ranks((keys << np.uint64(32)) | ids[1 : n + 1]) << np.uint64(32)
        return (keys | ids[2:])[begins]
    for i in (1, 2):
        keys <<= np.uint64(bits)
        keys |= ids[i : n + i]
    return keys[begins]


def trigram_owners(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number of the text of each trigram."""
    return np.repeat(np.arange(len(lengths)), np.maximum(lengths - 2, 0))


def distinct_trigram_hashes(encoded: EncodedTexts) -> npt.NDArray[np.int64]:
    """Hashes of the distinct trigrams, in one order: the same in every partition and version.

    64 bits made of the words' blake2b, for sketches. Equality is not exact: of ten million
    trigrams, two collide with a probability of 3e-6.
    """
    words = encoded.vocabulary.to_list()
    digests = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
    by_word = np.frombuffer(digests, "<u8").astype(np.uint64)
    starts = np.flatnonzero(_begins_trigram(encoded.lengths))
    hashes = np.zeros(len(starts), np.uint64)
    for i in range(3):
        hashes = mix64(hashes ^ by_word[encoded.ids[starts + i]])
    return _distinct(hashes).view(np.int64)


def _begins_trigram(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """True for each word that two more of the same text follow."""
    begins = np.ones(int(lengths.sum()), np.bool_)
    ends = np.cumsum(lengths)
    begins[ends[lengths >= 1] - 1] = False
    begins[ends[lengths >= 2] - 2] = False
    return begins


def _distinct(values: UInt64s) -> UInt64s:
    """The distinct values, ascending; sorts in place."""
    values.sort()
    return values[np.append(True, values[1:] != values[:-1])[: len(values)]]


def _ranks(values: UInt64s) -> UInt64s:
    order = np.argsort(values)
    ranked = values[order]
    ranks = np.empty(len(values), np.uint64)
    ranks[order] = np.cumsum(np.append(False, ranked[1:] != ranked[:-1])[: len(values)])
    return ranks
