"""The nearest centroid of each vector, by inner product as DataComp takes it."""

import numpy as np
from numpy.typing import NDArray

_CELLS = 1 << 25
_NEAR = 1e-4


def nearest_centroids(
    vectors: NDArray[np.floating], centroids: NDArray[np.float32]
) -> NDArray[np.int32]:
    """The number of the centroid with the greatest inner product; ties go to the first.

    The centroids are not of unit length, so this is not the nearest by distance: DataComp's rule.
    Products that a matrix kernel may round either way are compared in float64, so that a vector's
    centroid does not depend on the other vectors.

    Args:
        vectors: Shape (n, dimension).
        centroids: Shape (clusters, dimension).
    """
    found = np.empty(len(vectors), np.int32)
    step = max(1, _CELLS // len(centroids))
    for start in range(0, len(vectors), step):
        part = vectors[start : start + step].astype(np.float32)
        products = part @ centroids.T
        found[start : start + step] = products.argmax(axis=1)
        margin = _NEAR * np.abs(products).max(axis=1, initial=0.0)
        near = products >= (products.max(axis=1) - margin)[:, np.newaxis]
        for row in np.flatnonzero(near.sum(axis=1) > 1):
            rivals = np.flatnonzero(near[row])
            exact = (centroids[rivals].astype(np.float64) * part[row].astype(np.float64)).sum(1)
            found[start + row] = rivals[exact.argmax()]
    return found
