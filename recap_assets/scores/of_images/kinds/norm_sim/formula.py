"""Norms of cosines with many vectors."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

_CELLS = 1 << 22
"""Cosines that are in memory at once, but for those of one image."""


def norms(
    images: NDArray[np.floating], targets: NDArray[np.floating], norm: Literal["max", 2]
) -> NDArray[np.float32]:
    """A number for each image, shape (n,).

    Args:
        images: Unit-length rows, shape (n, dimension).
        targets: Those of the target, shape (m, dimension); some.
        norm: Which.
    """
    if norm == 2:
        # Of the sum of squares: the targets come in by a matrix of (dimension, dimension).
        wide = images.astype(np.float64)
        squares = ((wide @ _gram(targets)) * wide).sum(axis=1)
        return np.sqrt(np.maximum(squares, 0)).astype(np.float32)
    found = np.zeros(len(images))
    step = max(1, _CELLS // max(len(images), 1))
    for start in range(0, len(targets), step):
        part = targets[start : start + step].astype(np.float64)
        cosines = np.abs(images.astype(np.float64) @ part.T)
        found = np.maximum(found, cosines.max(axis=1, initial=0.0))
    return found.astype(np.float32)


def _gram(targets: NDArray[np.floating]) -> NDArray[np.float64]:
    gram = np.zeros((targets.shape[1], targets.shape[1]))
    for start in range(0, len(targets), 8_192):
        part = targets[start : start + 8_192].astype(np.float64)
        gram += part.T @ part
    return gram
