"""Clusters of the pool's images, and those among them that a set of target images falls into."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import (
    CLUSTER_CENTROIDS,
    IMAGE_EMBEDDINGS,
    TARGET_CLUSTERS,
    uid_uniform,
    vectors_of,
)
from recap_assets.engines.errors import INSTALL_FILTERS, explain_loading
from recap_assets.graph.stage import (
    Dependency,
    Node,
    Project,
    Rows,
    Step,
    StoredRows,
    content_outside,
)
from recap_assets.sets.facts import Samples, dependencies_of, facts_of
from recap_assets.sets.kinds.image_based.nearest import nearest_centroids
from recap_assets.sets.kinds.image_based.spec import ImageBasedSpec
from recap_assets.sets.rules import reasons
from recap_assets.sets.targets import TargetError
from recap_assets.specs.base import deciding

VERSION = 1
STAGE = "sets"
SECONDS = 5.0


def nodes_of(project: Project, name: str, spec: ImageBasedSpec) -> list[Node]:
    """Centroids and target clusters of an image-based set."""
    return [_centroids_node(project, name, spec), _targets_node(project, name, spec)]


def _centroids_node(project: Project, name: str, spec: ImageBasedSpec) -> Node:
    path = None if spec.centroids is None else Path(spec.centroids)
    where_from = (
        f"{spec.clusters:,} clusters of the pool's images by k-means" if path is None else path.name
    )
    return Node(
        key=CLUSTER_CENTROIDS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=_learns_from(spec) if path is None else (),
        implementation=VERSION,
        decides=deciding(clusters=spec.decides("target", "centroids") if path is None else "file"),
        compute=lambda step: cluster_pool(project, name, spec, step),
        description=f"Centroids for {name}: {where_from}.",
        outside=None if path is None else content_outside(project, path),
        content=StoredRows(project.workspace.tables, CLUSTER_CENTROIDS, {"set": name}),
        seconds=SECONDS,
        kinds=("faiss", "deltalake"),
    )


def _learns_from(spec: ImageBasedSpec) -> tuple[Dependency, ...]:
    read = [IMAGE_EMBEDDINGS.key(spec.scorer)]
    read += [one.asset for one in dependencies_of(spec.captions)]
    return tuple(Dependency(key, "all") for key in read)


def cluster_pool(project: Project, name: str, spec: ImageBasedSpec, step: Step) -> Rows:
    """Cluster a seeded sample of the pool's embeddings, or take the centroids of a file."""
    facts: dict[str, str | int] = {"clusters": spec.clusters}
    if spec.centroids is None:
        vectors = _sampled(project, name, spec, step)
        facts["learnt_from"] = len(vectors)
        centroids = _learnt(name, spec, vectors)
    else:
        centroids = given_centroids(Path(spec.centroids))
        facts["clusters"] = len(centroids)
    rows = pl.DataFrame(
        {
            "cluster": pl.Series(range(len(centroids)), dtype=pl.Int32),
            "centroid": [one.tobytes() for one in centroids.astype("<f4")],
        }
    )
    return Rows(rows, facts=facts)


def _sampled(project: Project, name: str, spec: ImageBasedSpec, step: Step) -> NDArray[np.float32]:
    """Embeddings of the sampled images whose text is as asked, in the order of their uids."""
    parts = [pl.DataFrame(schema={"uid": pl.Binary, "embedding": pl.Binary})]
    partitions, asked = list(project.partitions), spec.of_captions()
    for i, partition in enumerate(partitions):
        facts = facts_of(Samples(project, name, partition), spec.captions, asked)
        fitting = facts.filter(reasons(asked, facts).is_null())
        drawn = uid_uniform(spec.seed, fitting["uid"], "clusters") < spec.sample
        rows = embeddings_of(project, spec.scorer, partition)
        parts.append(
            rows.join(fitting.select("uid").filter(pl.Series(drawn)), on="uid", how="semi")
        )
        step.progress(0.5 * (i + 1) / len(partitions))
    # By uid, so that neither shards nor their order decide where k-means begins.
    return vectors_of(pl.concat(parts).sort("uid")["embedding"])


def _learnt(name: str, spec: ImageBasedSpec, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(vectors) < spec.clusters:
        msg = (
            f"sets.{name}.clusters: {len(vectors):,} images cannot make {spec.clusters:,} "
            "clusters; ask for fewer, or for a larger `sample`"
        )
        raise ValueError(msg)
    with explain_loading("faiss", INSTALL_FILTERS):
        from recap_assets.engines.clustering import k_means
    return k_means(vectors, spec.clusters, iterations=spec.iterations, seed=spec.seed)


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


def _targets_node(project: Project, name: str, spec: ImageBasedSpec) -> Node:
    return Node(
        key=TARGET_CLUSTERS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(
            Dependency(CLUSTER_CENTROIDS.key(name), "all"),
            *spec.target.reads(project, spec.scorer),
        ),
        implementation=VERSION,
        decides=deciding(embedded_by=spec.target.embedded_by(project, spec.scorer)),
        compute=lambda _step: place_targets(project, name, spec),
        description=f"The clusters of {name}: those nearest to one of its target images.",
        outside=spec.target.outside(project, spec.scorer),
        content=StoredRows(project.workspace.tables, TARGET_CLUSTERS, {"set": name}),
        seconds=SECONDS,
        kinds=("numpy", "deltalake"),
    )


def place_targets(project: Project, name: str, spec: ImageBasedSpec) -> Rows:
    """Count the target images that each centroid is the nearest of."""
    centroids = centroids_of(project, name)
    counts = np.zeros(len(centroids), np.int64)
    n_unreadable = 0
    for vectors, unreadable in spec.target.embedded(project, spec.scorer):
        n_unreadable += unreadable
        counts += np.bincount(clusters_of(vectors, centroids, name), minlength=len(counts))
    if not counts.any():
        msg = f"sets.{name}.target: no image of it can be read ({n_unreadable:,} cannot)"
        raise TargetError(msg)
    hit = np.flatnonzero(counts)
    rows = pl.DataFrame(
        {"cluster": pl.Series(hit, dtype=pl.Int32), "n_images": pl.Series(counts[hit])}
    )
    return Rows(
        rows,
        rejected={"image_unreadable": n_unreadable} if n_unreadable else {},
        facts={"target_images": int(counts.sum()), "of_clusters": len(centroids)},
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


def with_clusters(
    project: Project, name: str, facts: pl.DataFrame, embeddings: pl.DataFrame
) -> pl.DataFrame:
    """The facts with `cluster` and `in_target`; null where an image has no embedding."""
    found = facts.select("uid").join(embeddings, on="uid", how="inner", maintain_order="left")
    if found.is_empty():
        nothing = {"cluster": pl.lit(None, pl.Int32), "in_target": pl.lit(None, pl.Boolean)}
        return facts.with_columns(**nothing)
    vectors = vectors_of(found["embedding"])
    placed = clusters_of(vectors, centroids_of(project, name), name)
    targets = project.workspace.tables.read(TARGET_CLUSTERS, set=name)["cluster"]
    rows = found.select("uid", cluster=pl.Series(placed))
    rows = rows.with_columns(in_target=pl.col("cluster").is_in(targets.implode()))
    return facts.join(rows, on="uid", how="left", maintain_order="left")
