"""The loss of a batch, and batches by (seed, uid)."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.draws import uid_hashes

Float64s = NDArray[np.float64]

_CELLS = 1 << 22
"""Cosines that are in memory at once, but for those of one image."""


def normalisers(images: Float64s, texts: Float64s, temperature: float) -> Float64s:
    """T/2 (log sum_j exp(c(i, j)/T) + log sum_j exp(c(j, i)/T)) for each pair i of a batch.

    Args:
        images: Unit-length rows, shape (n, dimension).
        texts: Those of the texts, pair by pair.
        temperature: T.
    """
    n = len(images)
    of_images, of_texts = np.empty(n), np.full(n, -np.inf)
    step = max(1, _CELLS // max(n, 1))
    for start in range(0, n, step):
        cosines = images[start : start + step] @ texts.T / temperature
        of_images[start : start + step] = np.logaddexp.reduce(cosines, axis=1)
        of_texts = np.logaddexp(of_texts, np.logaddexp.reduce(cosines, axis=0))
    return (of_images + of_texts) * temperature / 2


def batches(uids: pl.Series, seed: int, number: int, size: int) -> Iterator[NDArray[np.intp]]:
    """One cut of rows into batches as even as can be: places of the rows, by hash and uid.

    Args:
        uids: One for each row, none twice.
        seed: Of all cuts.
        number: Which cut.
        size: Most rows of a batch.
    """
    hashes = uid_hashes(seed, f"clip loss {number}", uids)
    drawn = pl.DataFrame({"hash": hashes, "uid": uids}).with_row_index("row")
    order = drawn.sort("hash", "uid")["row"].to_numpy().astype(np.intp)
    yield from np.array_split(order, max(1, -(-len(order) // size)))


def unit(vectors: NDArray[np.floating]) -> Float64s:
    """Rows of unit length in float64."""
    wide = vectors.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
