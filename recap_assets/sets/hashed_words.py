"""Texts, words and n-grams as 64-bit numbers: the same in every partition, process and version.

Pool-wide counts are kept by them, since a pool has more n-grams than memory has room for as text.
Two of n different ones have the same number with a probability of n^2 / 2^65: 4e-6 for ten million,
and 3 % for a billion.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.draws import UInt64s, mix64
from recap_assets.artefacts.words import words


def text_hashes(texts: Iterable[str]) -> UInt64s:
    """blake2b of each text's UTF-8, 64 bits."""
    digests = (hashlib.blake2b(one.encode(), digest_size=8).digest() for one in texts)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def as_signed(hashes: UInt64s) -> pl.Series:
    """The same bits as a table has them, which knows no unsigned numbers."""
    return pl.Series(hashes.view(np.int64), dtype=pl.Int64)


def first_bytes(values: pl.Expr) -> pl.Expr:
    """The first 8 bytes of binary values that are hashes already, as a table has them."""
    return values.bin.slice(0, 8).bin.reinterpret(dtype=pl.Int64, endianness="little")


@dataclass(frozen=True)
class HashedWords:
    """The words of texts.

    Attributes:
        words: All words, one text after the other.
        lengths: Words of each text, shape (n,).
    """

    words: pl.Series
    lengths: NDArray[np.int64]

    @cached_property
    def hashes(self) -> UInt64s:
        """A number for each of `words`; each different word is hashed once."""
        distinct = self.words.unique()
        known = pl.DataFrame({"word": distinct, "hash": as_signed(text_hashes(distinct))})
        found = self.words.alias("word").to_frame().join(known, on="word", maintain_order="left")
        return found["hash"].to_numpy().view(np.uint64)

    def starts(self, n: int) -> NDArray[np.int64]:
        """Where each n-gram begins in `words`; none spans two texts."""
        firsts = np.cumsum(self.lengths) - self.lengths
        counts = np.maximum(self.lengths - n + 1, 0)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(firsts, counts) + within

    def owners(self, n: int) -> NDArray[np.int64]:
        """The number of the text of each n-gram."""
        return np.repeat(np.arange(len(self.lengths)), np.maximum(self.lengths - n + 1, 0))

    def ngrams(self, n: int) -> UInt64s:
        """A number for each n-gram, in order; those of other lengths have others."""
        starts = self.starts(n)
        hashes = np.full(len(starts), n, np.uint64)
        for i in range(n):
            hashes = mix64(hashes ^ self.hashes[starts + i])
        return hashes


def hashed_words(texts: pl.Series) -> HashedWords:
    """The words of texts; a null has none."""
    found = texts.to_frame("text").select(words(pl.col("text").fill_null("")))["text"]
    lengths = found.list.len().to_numpy().astype(np.int64)
    return HashedWords(found.explode(empty_as_null=False), lengths)
