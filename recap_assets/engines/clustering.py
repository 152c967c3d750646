"""K-means as DataComp clusters its pools, by faiss on the CPU."""

import faiss  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

_ALL_POINTS = 10_000_000


def k_means(
    vectors: NDArray[np.float32], clusters: int, *, iterations: int, seed: int
) -> NDArray[np.float32]:
    """Centroids by squared distance, from random points; equal for any number of threads.

    Args:
        vectors: Shape (n, dimension), n at least `clusters`; their order decides where the
            centroids begin.
        clusters: Centroids.
        iterations: Rounds of assignment and mean.
        seed: Of the points that it begins with.

    Returns:
        Shape (clusters, dimension); means, not of unit length.
    """
    dimension = vectors.shape[1]
    clustering = faiss.Clustering(dimension, clusters)
    clustering.niter = iterations
    clustering.seed = seed
    # Otherwise faiss clusters a sample of its own, and warns of small sets.
    clustering.max_points_per_centroid = _ALL_POINTS
    clustering.min_points_per_centroid = 1
    clustering.train(np.ascontiguousarray(vectors, np.float32), faiss.IndexFlatL2(dimension))
    return faiss.vector_to_array(clustering.centroids).reshape(clusters, dimension)
