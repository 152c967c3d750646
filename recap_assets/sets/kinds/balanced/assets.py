"""Clusters of a balanced set: the centroids, the cluster of each image, and where each is cut."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import (
    CLIP_SCORES,
    CLUSTER_CENTROIDS,
    CLUSTER_CUTS,
    IMAGE_CLUSTERS,
    IMAGE_EMBEDDINGS,
    IMAGE_SCORES,
    RAW_POOL,
    uid_uniform,
    vectors_of,
)
from recap_assets.artefacts.facets import SAMPLES
from recap_assets.graph.stage import (
    Dependency,
    Node,
    Project,
    Rows,
    Step,
    StoredRows,
)
from recap_assets.sets.clusters import centroids_node, centroids_of, clusters_of, embeddings_of
from recap_assets.sets.facts import Samples, facts_of, with_scores
from recap_assets.sets.kinds.balanced.cuts import Cuts
from recap_assets.sets.kinds.balanced.spec import BalancedSpec
from recap_assets.specs.base import deciding

VERSION = 1
STAGE = "sets"
SECONDS = 2.0


def nodes_of(project: Project, name: str, spec: BalancedSpec) -> list[Node]:
    """Centroids, clusters and cut-offs of a balanced set."""
    centroids = _centroids_node(project, name, spec)
    return [centroids, _clusters_node(project, name, spec), _cuts_node(project, name, spec)]


def _centroids_node(project: Project, name: str, spec: BalancedSpec) -> Node:
    return centroids_node(
        project,
        name,
        spec,
        uids=lambda partition: facts_of(Samples(project, name, partition), None, ()),
        reads=[Dependency(RAW_POOL.key(), "same", (SAMPLES,))],
        learns={f: getattr(spec, f) for f in ("clusters", "iterations", "sample", "seed")},
    )


def _clusters_node(project: Project, name: str, spec: BalancedSpec) -> Node:
    ranked = {"best_by": spec.best_by, "score_by": spec.score_by}
    return Node(
        key=IMAGE_CLUSTERS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(
            Dependency(RAW_POOL.key(), "same", (SAMPLES,)),
            Dependency(IMAGE_EMBEDDINGS.key(spec.scorer), "same"),
            *([] if spec.draws else [Dependency(_scores_key(spec), "same")]),
            Dependency(CLUSTER_CENTROIDS.key(name), "all"),
        ),
        implementation=VERSION,
        decides=deciding(ranked={"seed": spec.seed} if spec.draws else ranked),
        compute=lambda step: place_partition(project, name, spec, step),
        description=f"The cluster of each image for {name}, and its rank within it.",
        content=StoredRows(project.workspace.tables, IMAGE_CLUSTERS, {"set": name}),
        seconds=SECONDS,
        kinds=("numpy", "deltalake"),
    )


def _scores_key(spec: BalancedSpec) -> str:
    if spec.image_scorer is not None:
        return IMAGE_SCORES.key(spec.image_scorer)
    return CLIP_SCORES.key(spec.score_by or spec.scorer, spec.best_by or "")


def place_partition(project: Project, name: str, spec: BalancedSpec, step: Step) -> Rows:
    """The nearest centroid of each image of a partition, and what ranks it."""
    samples = Samples(project, name, step.partition)
    known = _ranked(spec, facts_of(samples, None, ()).select("uid"), samples)
    embeddings = embeddings_of(project, spec.scorer, step.partition)
    found = known.join(embeddings, on="uid", how="inner", maintain_order="left")
    if found.is_empty():
        return Rows(pl.DataFrame(schema=IMAGE_CLUSTERS.unsliced))
    nearest = nearest_by_distance(vectors_of(found["embedding"]), centroids_of(project, name), name)
    return Rows(found.select("uid", cluster=pl.Series(nearest), rank="rank").sort("uid"))


def _ranked(spec: BalancedSpec, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
    """With `rank`, the lowest first."""
    if spec.draws:
        return known.with_columns(rank=pl.Series(uid_uniform(spec.seed, known["uid"], "balanced")))
    if spec.image_scorer is None:
        scored = with_scores(known, samples, spec.score_by or spec.scorer, spec.best_by or "")
    else:
        tables = samples.project.workspace.tables
        found = tables.read(IMAGE_SCORES, scorer=spec.image_scorer, partition=samples.partition)
        scored = known.join(
            found.select("uid", "score"), on="uid", how="left", maintain_order="left"
        )
    return scored.select("uid", rank=-pl.col("score").cast(pl.Float64))


def nearest_by_distance(
    vectors: NDArray[np.float32], centroids: NDArray[np.float32], name: str
) -> NDArray[np.int32]:
    """The nearest centroid of each vector by squared distance; ties go to the first.

    |v - c|^2 is least where v.c - |c|^2 / 2 is greatest: an inner product with one more dimension.
    """
    ones = np.ones((len(vectors), 1), np.float32)
    half = -(centroids.astype(np.float64) ** 2).sum(axis=1, keepdims=True) / 2
    wider = np.hstack([centroids, half.astype(np.float32)])
    return clusters_of(np.hstack([vectors, ones]), wider, name)


def _cuts_node(project: Project, name: str, spec: BalancedSpec) -> Node:
    return Node(
        key=CLUSTER_CUTS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(Dependency(IMAGE_CLUSTERS.key(name), "all"),),
        implementation=VERSION,
        decides=deciding(per_cluster=spec.per_cluster),
        compute=lambda step: cut_clusters(project, name, spec, step),
        description=f"The last image that {name} takes of each cluster with more than "
        f"{spec.per_cluster:,}.",
        content=StoredRows(project.workspace.tables, CLUSTER_CUTS, {"set": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def cut_clusters(project: Project, name: str, spec: BalancedSpec, step: Step) -> Rows:
    """Find the last image that is taken of each cluster, a partition at a time.

    Memory: `per_cluster` images of each cluster and those of one partition.
    """
    cuts, partitions = Cuts(spec.per_cluster), list(project.partitions)
    for i, partition in enumerate(partitions):
        rows = project.workspace.tables.read(IMAGE_CLUSTERS, set=name, partition=partition)
        cuts.add(rows.select("uid", "cluster", "rank"))
        step.progress((i + 1) / len(partitions))
    facts = {"images": cuts.n_images, "clusters": cuts.n_clusters, "taken": cuts.n_taken}
    return Rows(cuts.rows(), facts=facts)
