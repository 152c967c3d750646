"""Clusters of the pool's images, and those among them that a set of target images falls into."""

import numpy as np
import polars as pl

from recap_assets.artefacts import (
    CLUSTER_CENTROIDS,
    TARGET_CLUSTERS,
    vectors_of,
)
from recap_assets.graph.stage import (
    Dependency,
    Node,
    Project,
    Rows,
    StoredRows,
)
from recap_assets.sets.clusters import centroids_node, centroids_of, clusters_of
from recap_assets.sets.facts import Samples, dependencies_of, facts_of
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
    asked = spec.of_captions()

    def fitting(partition: str) -> pl.DataFrame:
        facts = facts_of(Samples(project, name, partition), spec.captions, asked)
        return facts.filter(reasons(asked, facts).is_null())

    return centroids_node(
        project,
        name,
        spec,
        uids=fitting,
        reads=dependencies_of(spec.captions),
        learns=spec.decides("target", "centroids"),
    )


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
