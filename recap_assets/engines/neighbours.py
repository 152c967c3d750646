"""All pairs of near neighbours: of perceptual hashes and of embeddings, by faiss on the CPU."""

from collections.abc import Iterator
from typing import Any

import faiss  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

HASH_BITS = 64
_BANDS = 4
_BAND_BITS = HASH_BITS // _BANDS
_QUERIES_AT_ONCE = 4_096

_Index = Any
"""Of faiss: its binary and its float indexes have no common type."""


def hash_pairs(hashes: NDArray[np.int64], distance: int) -> NDArray[np.int64]:
    """Pairs of hashes that differ in at most `distance` bits; exact.

    Four hash tables over 16 bits each are searched with enough flipped bits that, by the
    pigeonhole principle, no pair is missed (multi-index hashing; Norouzi et al. 2012).

    Args:
        hashes: 64-bit hashes, shape (n,).
        distance: In bits, 0 to 15; a search compares four times C(16, distance // 4) and fewer
            buckets, so larger distances take much longer.

    Returns:
        Shape (n_pairs, 2): positions, the smaller one first, in ascending order.
    """
    if len(hashes) < 2:
        return np.empty((0, 2), np.int64)
    codes = np.ascontiguousarray(hashes, np.int64).view(np.uint8).reshape(-1, HASH_BITS // 8)
    index = faiss.IndexBinaryMultiHash(HASH_BITS, _BANDS, _BAND_BITS)
    index.nflip = distance // _BANDS
    index.add(codes)
    # faiss searches below a radius.
    return _pairs(index, codes, distance + 1)


def embedding_pairs(vectors: NDArray[np.float32], cosine: float) -> NDArray[np.int64]:
    """Pairs of unit-length embeddings whose cosine is at least `cosine`; every pair is compared.

    Args:
        vectors: Shape (n, dimension).
        cosine: In [-1, 1].

    Returns:
        Shape (n_pairs, 2): positions, the smaller one first, in ascending order.
    """
    if len(vectors) < 2:
        return np.empty((0, 2), np.int64)
    rows = np.ascontiguousarray(vectors, np.float32)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    # Above a radius; the next smaller number lets equality in.
    return _pairs(index, rows, float(np.nextafter(np.float32(cosine), np.float32(-2))))


def _pairs(index: _Index, rows: NDArray[np.generic], radius: float) -> NDArray[np.int64]:
    found = list(_blocks(index, rows, radius))
    pairs = np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), np.int64)
    return pairs.astype(np.int64)


def _blocks(index: _Index, rows: NDArray[np.generic], radius: float) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(rows), _QUERIES_AT_ONCE):
        limits, _, others = index.range_search(rows[first : first + _QUERIES_AT_ONCE], radius)
        ones = np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64))) + first
        later = others > ones
        yield np.stack([ones[later], others[later]], axis=1)
