"""Clusters of the pool's images by a scorer's embeddings, for the sets that rest on them."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import CLUSTER_CENTROIDS, IMAGE_EMBEDDINGS
from recap_assets.engines.errors import INSTALL_FILTERS, explain_loading
from recap_assets.graph.project import Project
from recap_assets.sets.nearest import nearest_centroids
from recap_assets.sets.targets import TargetError


def learnt(
    name: str, vectors: NDArray[np.float32], clusters: int, iterations: int, seed: int
) -> NDArray[np.float32]:
    """Centroids of vectors by k-means, shape (clusters, dimension).

    Args:
        name: The set that asks, for messages.
        vectors: Shape (n, dimension); their order decides where k-means begins.
        clusters: Centroids.
        iterations: Of k-means.
        seed: Of k-means.

    Raises:
        TargetError: There are fewer vectors than clusters.
    """
    if len(vectors) < clusters:
        msg = (
            f"sets.{name}.clusters: {len(vectors):,} images cannot make {clusters:,} "
            "clusters; ask for fewer, or for a larger `sample`"
        )
        raise TargetError(msg)
    with explain_loading("faiss", INSTALL_FILTERS):
        from recap_assets.engines.clustering import k_means
    return k_means(vectors, clusters, iterations=iterations, seed=seed)


def given_centroids(path: Path) -> NDArray[np.float32]:
    """The centroids of a file, shape (clusters, dimension).

    Raises:
        TargetError: It holds no such array.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        msg = f"{path}: no array of centroids can be read from it: {error}"
        raise TargetError(msg) from error
    if array.ndim != 2 or array.dtype.kind != "f" or not np.isfinite(array).all():
        msg = f"{path}: is {array.dtype} {array.shape}, not finite floats (clusters, dimension)"
        raise TargetError(msg)
    return array.astype(np.float32)


def centroid_rows(centroids: NDArray[np.float32]) -> pl.DataFrame:
    """Centroids as rows of the table `cluster_centroids`."""
    return pl.DataFrame(
        {
            "cluster": pl.Series(range(len(centroids)), dtype=pl.Int32),
            "centroid": [one.tobytes() for one in centroids.astype("<f4")],
        }
    )


def centroids_of(project: Project, name: str) -> NDArray[np.float32]:
    """The centroids of a set, shape (clusters, dimension)."""
    rows = project.workspace.tables.read(CLUSTER_CENTROIDS, set=name).sort("cluster")
    packed = np.frombuffer(b"".join(rows["centroid"]), dtype="<f4")
    return packed.reshape(rows.height, -1).astype(np.float32)


def clusters_of(
    vectors: NDArray[np.floating], centroids: NDArray[np.float32], name: str
) -> NDArray[np.int32]:
    """The nearest centroid of each vector.

    Raises:
        TargetError: They are of another dimension than the centroids.
    """
    if vectors.shape[1] != centroids.shape[1]:
        msg = (
            f"sets.{name}: embeddings of {vectors.shape[1]} dimensions have no place among "
            f"centroids of {centroids.shape[1]}; they must come from one scorer"
        )
        raise TargetError(msg)
    return nearest_centroids(vectors, centroids)


def embeddings_of(
    project: Project, scorer: str, partition: str, uid: bytes | None = None
) -> pl.DataFrame:
    """Image embeddings of a partition: uid, embedding. With `uid`, of one image."""
    rows = project.workspace.tables.scan(IMAGE_EMBEDDINGS, scorer=scorer, partition=partition)
    if uid is not None:
        rows = rows.filter(pl.col("uid") == pl.lit(uid))
    return rows.select("uid", "embedding").collect()
