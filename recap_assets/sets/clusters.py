"""Clusters of the pool's images by a scorer's embeddings, for the sets that rest on them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import (
    CLUSTER_CENTROIDS,
    IMAGE_EMBEDDINGS,
    in_own_memory,
    uid_uniform,
    vectors_of,
)
from recap_assets.engines.errors import explain_loading, install_filters
from recap_assets.graph.stage import (
    Dependency,
    Node,
    Project,
    Rows,
    Step,
    StoredRows,
    content_outside,
)
from recap_assets.sets.nearest import nearest_centroids
from recap_assets.sets.targets import TargetError
from recap_assets.specs.base import deciding

K_MEANS = "faiss"
"""The library of the extra that clusters; a file of centroids needs none."""

VERSION = 1
SECONDS = 5.0


class Clustered(Protocol):
    """A set that rests on clusters of the pool's images."""

    @property
    def scorer(self) -> str:
        """Whose embeddings are clustered."""
        ...

    @property
    def clusters(self) -> int:
        """Clusters of k-means."""
        ...

    @property
    def iterations(self) -> int:
        """Of k-means."""
        ...

    @property
    def sample(self) -> float:
        """The share of the pool that k-means learns from."""
        ...

    @property
    def seed(self) -> int:
        """Of k-means and of its sample."""
        ...

    @property
    def centroids(self) -> str | None:
        """A file of centroids, in place of k-means."""
        ...


UidsOf = Callable[[str], pl.DataFrame]
"""The images of a partition that k-means may learn from, in a column `uid`."""


def centroids_node(
    project: Project,
    name: str,
    spec: Clustered,
    *,
    uids: UidsOf,
    reads: Iterable[Dependency],
    learns: Mapping[str, object],
) -> Node:
    """The centroids of a set: k-means over a sample of the pool, or those of a file.

    Args:
        project: The experiment and its workspace.
        name: The set.
        spec: The same.
        uids: Which images may be learnt from.
        reads: The edges to what says so, beside the embeddings; all partitions are read.
        learns: The settings that decide what k-means learns.
    """
    path = None if spec.centroids is None else Path(spec.centroids)
    embeddings = Dependency(IMAGE_EMBEDDINGS.key(spec.scorer), "all")
    read = [embeddings, *(replace(one, partitions="all") for one in reads)] if path is None else []
    by_k_means = f"{spec.clusters:,} clusters of the pool's images by k-means"
    return Node(
        key=CLUSTER_CENTROIDS.key(name),
        stage="sets",
        dimension="none",
        dependencies=tuple(read),
        implementation=VERSION,
        decides=deciding(clusters=learns if path is None else "file"),
        compute=lambda step: cluster_pool(project, name, spec, uids, step),
        description=f"Centroids for {name}: {by_k_means if path is None else path.name}.",
        outside=None if path is None else content_outside(project, path),
        content=StoredRows(project.workspace.tables, CLUSTER_CENTROIDS, {"set": name}),
        seconds=SECONDS,
        kinds=("faiss", "deltalake"),
        is_worth_keeping=True,
    )


def cluster_pool(project: Project, name: str, spec: Clustered, uids: UidsOf, step: Step) -> Rows:
    """Cluster a seeded sample of the pool's embeddings, or take the centroids of a file."""
    if spec.centroids is not None:
        centroids = given_centroids(Path(spec.centroids))
        return Rows(centroid_rows(centroids), facts={"clusters": len(centroids)})
    vectors = _sampled(project, spec, uids, step)
    centroids = learnt(name, vectors, spec.clusters, spec.iterations, spec.seed)
    facts = {"clusters": spec.clusters, "learnt_from": len(vectors)}
    return Rows(centroid_rows(centroids), facts=facts)


def _sampled(project: Project, spec: Clustered, uids: UidsOf, step: Step) -> NDArray[np.float32]:
    """Embeddings of the images that are sampled, in the order of their uids."""
    parts = [pl.DataFrame(schema={"uid": pl.Binary, "embedding": pl.Binary})]
    partitions = list(project.partitions)
    for i, partition in enumerate(partitions):
        rows = embeddings_of(project, spec.scorer, partition)
        rows = rows.join(uids(partition).select("uid"), on="uid", how="semi")
        drawn = uid_uniform(spec.seed, rows["uid"], "clusters") < spec.sample
        parts.append(in_own_memory(rows.filter(pl.Series(drawn))))
        step.progress(0.5 * (i + 1) / len(partitions))
    # By uid, so that neither shards nor their order decide where k-means begins.
    return vectors_of(pl.concat(parts).sort("uid")["embedding"])


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
    with explain_loading("faiss", install_filters()):
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
