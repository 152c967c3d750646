"""Near duplicates among texts: MinHash signatures in bands, and exact Jaccard similarities.

A text is its words in lower case, and the set of its word n-grams, of which each has a 64-bit
number. Hash i of a set is the least of mix64(number ^ key_i) over it; a band is the hash of
`band_rows` of them. Texts of which a band is equal are compared by the sets themselves. Source:
Broder, On the resemblance and containment of documents (1997); locality-sensitive hashing in bands
as in Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.draws import UInt64s, mix64
from recap_assets.sets.hashed_words import hashed_words

COMPARED = 32
"""With how many of its bucket, the first by uid, a text is compared: so that a template that has
made a million texts takes 32 million comparisons, and not a trillion."""

_TEXTS_AT_ONCE = 1 << 14


def shingles(texts: pl.Series, ngram: int) -> tuple[UInt64s, NDArray[np.int64]]:
    """The n-grams of each text as numbers, and how many it has, repeats included.

    A text of fewer words has one, of all its words; one without words has none.
    """
    words = hashed_words(texts)
    numbers, counts = words.ngrams(ngram), np.maximum(words.lengths - ngram + 1, 0)
    is_short = (words.lengths > 0) & (counts == 0)
    whole = _whole(words.hashes, words.lengths)[is_short]
    at = np.cumsum(counts)[is_short]
    return np.insert(numbers, at, whole), np.where(is_short, 1, counts)


def same_keys(texts: pl.Series) -> UInt64s:
    """A number for the words of each text in their order."""
    words = hashed_words(texts)
    return _whole(words.hashes, words.lengths)


def _whole(hashes: UInt64s, lengths: NDArray[np.int64]) -> UInt64s:
    """A hash over the words of each text, word after word."""
    found, firsts = lengths.astype(np.uint64), np.cumsum(lengths) - lengths
    for i in range(int(lengths.max(initial=0))):
        has = np.flatnonzero(lengths > i)
        found[has] = mix64(found[has] ^ hashes[firsts[has] + i])
    return found


def band_keys(
    numbers: UInt64s, counts: NDArray[np.int64], bands: int, band_rows: int, seed: int
) -> UInt64s:
    """The bands of each text's signature, shape (texts, bands); 0 for a text without n-grams."""
    numbered = np.arange(bands * band_rows, dtype=np.uint64)
    keys = mix64(mix64(np.full(1, seed % 2**64, np.uint64)) ^ numbered)
    found = np.zeros((len(counts), bands), np.uint64)
    ends = np.cumsum(counts)
    for start in range(0, len(counts), _TEXTS_AT_ONCE):
        some = slice(start, start + _TEXTS_AT_ONCE)
        has = np.flatnonzero(counts[some] > 0)
        if not len(has):
            continue
        first = ends[some][0] - counts[some][0]
        part, begins = numbers[first : ends[some][-1]], (ends[some] - counts[some] - first)[has]
        for i, key in enumerate(keys):
            least = np.minimum.reduceat(mix64(part ^ key), begins)
            band = found[start + has, i // band_rows]
            found[start + has, i // band_rows] = mix64(band ^ least)
    return found


def bucket_pairs(keys: UInt64s) -> NDArray[np.int64]:
    """Pairs of texts of which one band is equal, each with the first of its bucket.

    Args:
        keys: The band of each text, in the order in which the first ones are the first; 0: none.

    Returns:
        Shape (n, 2): positions, the smaller one first.
    """
    order = np.argsort(keys, kind="stable")
    order = order[keys[order] != 0]
    ordered = keys[order]
    is_new = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    starts = np.flatnonzero(is_new)
    begin = np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    place = np.arange(len(ordered)) - begin
    found = [np.empty((0, 2), np.int64)]
    for i in range(min(COMPARED, int(place.max(initial=0)))):
        later = np.flatnonzero(place > i)
        found.append(np.stack([order[begin[later] + i], order[later]], axis=1))
    return np.concatenate(found)


def alike(
    pairs: NDArray[np.int64], numbers: UInt64s, counts: NDArray[np.int64], jaccard: float
) -> NDArray[np.int64]:
    """The pairs whose sets of n-grams have at least this Jaccard similarity.

    Args:
        pairs: Shape (n, 2): positions of texts.
        numbers: The n-grams of all texts, as `shingles` gives them.
        counts: How many each text has.
        jaccard: Above 0.
    """
    numbers, counts = _distinct(numbers, counts)
    kept = [np.empty((0, 2), np.int64)]
    kept += [part[_similarities(numbers, counts, part) >= jaccard] for part in _parts(pairs)]
    return np.concatenate(kept)


def _parts(pairs: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(pairs), _TEXTS_AT_ONCE):
        yield pairs[start : start + _TEXTS_AT_ONCE]


def _distinct(numbers: UInt64s, counts: NDArray[np.int64]) -> tuple[UInt64s, NDArray[np.int64]]:
    owners = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((numbers, owners))
    numbers, owners = numbers[order], owners[order]
    is_new = np.append(True, (numbers[1:] != numbers[:-1]) | (owners[1:] != owners[:-1]))
    is_new = is_new[: len(numbers)]
    return numbers[is_new], np.bincount(owners[is_new], minlength=len(counts))


def _similarities(
    numbers: UInt64s, counts: NDArray[np.int64], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """|A and B| / |A or B| of each pair of sets."""
    ends = np.cumsum(counts)
    parts = [_gathered(numbers, counts, ends, pairs[:, side]) for side in (0, 1)]
    both = np.concatenate([found for found, _ in parts])
    owners = np.concatenate([owners for _, owners in parts])
    order = np.lexsort((both, owners))
    both, owners = both[order], owners[order]
    shared = (both[1:] == both[:-1]) & (owners[1:] == owners[:-1])
    n_shared = np.bincount(owners[1:][shared], minlength=len(pairs))
    n_either = counts[pairs[:, 0]] + counts[pairs[:, 1]] - n_shared
    return n_shared / np.maximum(n_either, 1)


def _gathered(
    numbers: UInt64s, counts: NDArray[np.int64], ends: NDArray[np.int64], texts: NDArray[np.int64]
) -> tuple[UInt64s, NDArray[np.int64]]:
    """The numbers of some texts, one after the other, and whose each is."""
    sizes = counts[texts]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    at = np.repeat(ends[texts] - sizes, sizes) + within
    return numbers[at], np.repeat(np.arange(len(texts)), sizes)
