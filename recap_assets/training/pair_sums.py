"""A hash of a set of pairs that is the same in whatever order and partitions they come."""

import hashlib
from collections.abc import Iterator

import numpy as np
import polars as pl

from recap_assets.artefacts.facets import SUM_MODULUS

ROWS_AT_ONCE = 100_000
_FIXED = np.dtype([("image_hash", "<i8"), ("weight", "<f4"), ("copies", "<i4")])
_WORDS = 8
"""Of 32 bits, of which a hash has so many."""


def pairs_sum(pairs: pl.DataFrame) -> str:
    """The sum of the sha256 of each pair, modulo 2^256, as 64 hex digits.

    A sum, since it needs no order: those of parts add up to that of the whole. Pairs that are there
    twice count twice, which an exclusive or would not see.

    Args:
        pairs: uid, image_hash, text, weight, copies and, where training sees it, source; none null.
    """
    total = sum(map(_sum, pairs.iter_slices(ROWS_AT_ONCE)))
    return f"{total % SUM_MODULUS:064x}"


def _sum(pairs: pl.DataFrame) -> int:
    digests = b"".join([hashlib.sha256(row).digest() for row in _encoded(pairs)])
    # At most 2^17 rows, so that sums of words fit in 64 bits.
    words = np.frombuffer(digests, "<u4").reshape(-1, _WORDS).sum(axis=0, dtype=np.uint64)
    return sum(int(word) << 32 * place for place, word in enumerate(words))


def _encoded(pairs: pl.DataFrame) -> Iterator[bytes]:
    """The bytes of each pair: what is of one length, and then the source and the text."""
    fixed = np.zeros(pairs.height, _FIXED)
    for name in _FIXED.names or ():
        fixed[name] = pairs[name].to_numpy()
    fixed["weight"] += 0.0  # -0.0 and 0.0 are equal
    packed, size = fixed.tobytes(), _FIXED.itemsize
    texts = pairs["text"].cast(pl.Binary)
    if "source" in pairs.columns:
        sources = pairs["source"].cast(pl.Binary)
        texts = [source + b"\0" + text for source, text in zip(sources, texts, strict=True)]
    rows = zip(pairs["uid"], range(0, size * pairs.height, size), texts, strict=True)
    return (uid + packed[at : at + size] + text for uid, at, text in rows)
