"""The loss of a batch, and batches by (seed, uid)."""

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.draws import uid_hashes

Float64s = NDArray[np.float64]

_FEW_POWERS = 700.0
"""e to the minus this is about the least number that float64 holds whole."""

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
    step = max(1, _CELLS // max(n, 1))
    blocks = (
        (slice(start, start + step), images[start : start + step] @ texts.T / temperature)
        for start in range(0, n, step)
    )
    sums = _sums_of_powers if 2 / temperature < _FEW_POWERS else _sums_of_logarithms
    of_images, of_texts = sums(n, blocks, 1 / temperature)
    return (of_images + of_texts) * temperature / 2


Blocks = Iterable[tuple[slice, Float64s]]


def _sums_of_powers(n: int, blocks: Blocks, highest: float) -> tuple[Float64s, Float64s]:
    """Where the least power is still a number: each is taken once for its row and its column."""
    of_images, of_texts = np.empty(n), np.zeros(n)
    for rows, block in blocks:
        powers = np.exp(block - highest)
        of_images[rows] = powers.sum(axis=1)
        of_texts += powers.sum(axis=0)
    return np.log(of_images) + highest, np.log(of_texts) + highest


def _sums_of_logarithms(n: int, blocks: Blocks, _highest: float) -> tuple[Float64s, Float64s]:
    of_images, of_texts = np.empty(n), np.full(n, -np.inf)
    for rows, block in blocks:
        of_images[rows] = np.logaddexp.reduce(block, axis=1)
        of_texts = np.logaddexp(of_texts, np.logaddexp.reduce(block, axis=0))
    return of_images, of_texts


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
