"""What a partition has of texts, images and n-grams, and what is too frequent in the pool."""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from recap_assets.sets.hashed_words import as_signed, first_bytes, hashed_words, text_hashes

PAIR, NGRAM = "pair", "ngram"
TEXT, IMAGE, CUT = "text", "image", "cut"
LENGTHS = (1, 2)
"""Of the n-grams, in words."""

ROWS_AT_ONCE = 1 << 23
"""Of a count that is merged: about 200 MB."""

_COUNTED = {"what": pl.String, "key": pl.Int64, "image": pl.Int64, "n": pl.Int64}

Counts = Callable[[str], pl.LazyFrame]
"""The counts of all partitions, of `pair` or of `ngram`."""


def image_key() -> pl.Expr:
    """A number for an image's bytes, or its uid where they have no hash."""
    return first_bytes(pl.coalesce("sha256", "uid"))


def count_texts(texts: pl.DataFrame) -> pl.DataFrame:
    """The rows of `text_counts` for a partition.

    Args:
        texts: `text`, without nulls, and `image`, as `image_key` gives it.
    """
    pairs = texts.select(key=as_signed(text_hashes(texts["text"])), image="image")
    counted = pairs.group_by("key", "image").agg(n=pl.len().cast(pl.Int64))
    words = hashed_words(texts["text"])
    keys = np.concatenate([words.ngrams(n) for n in LENGTHS])
    ngrams = as_signed(keys).alias("key").to_frame().group_by("key").agg(n=pl.len().cast(pl.Int64))
    parts = [
        counted.select(pl.lit(PAIR).alias("what"), "key", "image", "n"),
        ngrams.select(pl.lit(NGRAM).alias("what"), "key", pl.lit(0, pl.Int64).alias("image"), "n"),
    ]
    return pl.concat([pl.DataFrame(schema=_COUNTED), *parts]).sort("what", "key", "image")


def too_frequent(counts: Counts, by: str, of: str, limit: int) -> pl.DataFrame:
    """Texts of more images, or images of more texts, than a limit: key, n.

    Args:
        counts: Of the pool.
        by: The column of `pair` that is counted for: `key`, of the text, or `image`.
        of: The other column, of which different values count.
        limit: The greatest number that is not too great.
    """
    parts = [pl.DataFrame(schema={"key": pl.Int64, "n": pl.Int64})]
    for pairs in _in_ranges(counts(PAIR), by):
        different = pairs.select(by, of).unique().group_by(by).agg(n=pl.len().cast(pl.Int64))
        found = different.filter(pl.col("n") > limit).select(key=by, n="n")
        parts.append(found.collect())
    return pl.concat(parts).sort("key")


def frequent_ngrams(counts: Counts, most: int) -> tuple[int, pl.DataFrame]:
    """The most frequent n-grams, and how often the rarest of them occurs.

    Returns:
        The count of the last one that is taken, and the column `key`: of all that occur at least as
        often. No more than 1, and no keys, where all are taken.
    """
    sizes: dict[int, int] = {}
    for part in _in_ranges(counts(NGRAM), "key"):
        summed = _summed(part).group_by("n").agg(ngrams=pl.len()).collect()
        for n, ngrams in summed.iter_rows():
            sizes[n] = sizes.get(n, 0) + ngrams
    cut = _cut_of(sizes, most)
    parts = [pl.DataFrame(schema={"key": pl.Int64})]
    if cut > 1:
        frequent = (_summed(p).filter(pl.col("n") >= cut) for p in _in_ranges(counts(NGRAM), "key"))
        parts += [part.select("key").collect() for part in frequent]
    return cut, pl.concat(parts).sort("key")


def _summed(part: pl.LazyFrame) -> pl.LazyFrame:
    return part.group_by("key").agg(pl.col("n").sum())


def _cut_of(sizes: dict[int, int], most: int) -> int:
    """How often the last of the `most` most frequent occurs; 0 where there are no more."""
    before = 0
    for n, ngrams in sorted(sizes.items(), reverse=True):
        before += ngrams
        if before >= most:
            # With the last count there is all are taken.
            return n if before < sum(sizes.values()) else 0
    return 0


def _in_ranges(rows: pl.LazyFrame, column: str) -> Iterator[pl.LazyFrame]:
    """The rows in ranges of a column's 64 bits, so that not all of them are in memory at once."""
    n = int(rows.select(pl.len()).collect().item())
    bits = max(n // ROWS_AT_ONCE, 0).bit_length()
    step = 1 << (64 - bits)
    for i in range(1 << bits):
        first = -(1 << 63) + i * step
        # In two's complement, so that the last number of a range is one of 64 bits as well.
        yield rows.filter(pl.col(column).is_between(first, first + step - 1))
