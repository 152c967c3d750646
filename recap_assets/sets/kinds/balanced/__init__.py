"""Sets with the same number of images from each cluster."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from recap_assets.artefacts import CLUSTER_CENTROIDS, CLUSTER_CUTS, IMAGE_CLUSTERS
from recap_assets.engines.protocols import Places
from recap_assets.engines.trying import lacking
from recap_assets.graph.stage import Dependency, Node, Outside, Project
from recap_assets.sets.clusters import K_MEANS, given_centroids
from recap_assets.sets.facts import Samples
from recap_assets.sets.kinds.balanced.spec import BalancedSpec
from recap_assets.sets.rules import Requirement, Row
from recap_assets.sets.targets import TargetError
from recap_assets.specs.findings import Finding


class Balanced(BalancedSpec):
    """The same number of images from each cluster of the pool, at most: TL;DR's reduction."""

    example = """\
spread: {kind: balanced, scorer: clip, clusters: 1000, per_cluster: 200, best_by: raw}
"""

    decided_elsewhere = tuple(field for field in BalancedSpec.model_fields if field != "kind")

    def requirements(self) -> tuple[Requirement, ...]:
        """An embedding, a score where the best are taken, and a place among the first."""
        there = pl.col("cluster").is_not_null()
        before = (pl.col("rank") < pl.col("cut_rank")) | (
            (pl.col("rank") == pl.col("cut_rank")) & (pl.col("uid") <= pl.col("cut_uid"))
        )
        taken = pl.col("cut_rank").is_null() | before
        return (
            Requirement("no_embedding", there, lambda _: "its image has no embedding"),
            Requirement(
                "no_score", ~there | pl.col("rank").is_not_null(), lambda _: "it has no score"
            ),
            # Without a cluster or a score nothing else is worth saying.
            Requirement("full_cluster", ~there | pl.col("rank").is_null() | taken, self._full),
        )

    def _full(self, row: Row) -> str:
        of = f"its cluster {row['cluster']} has more than {self.per_cluster:,} images"
        if self.draws:
            return f"{of}, and it was not drawn"
        return f"{of}; of these the last taken has the score {-row['cut_rank']:.4f}, this one " + (
            f"{-row['rank']:.4f}" + (" and a later uid" if row["rank"] == row["cut_rank"] else "")
        )

    def reads(self, name: str) -> Iterator[Dependency]:
        """The clusters of its own partition, and where each is cut off."""
        yield Dependency(IMAGE_CLUSTERS.key(name), "same")
        yield Dependency(CLUSTER_CUTS.key(name), "all")

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        """With `cluster` and `rank`, and `cut_rank` and `cut_uid` where the cluster is cut off."""
        tables = samples.project.workspace.tables
        placed = tables.read(IMAGE_CLUSTERS, set=samples.name, partition=samples.partition)
        cuts = tables.read(CLUSTER_CUTS, set=samples.name).select(
            "cluster", cut_rank="rank", cut_uid="uid"
        )
        found = placed.select("uid", "cluster", "rank").join(cuts, on="cluster", how="left")
        return known.join(found, on="uid", how="left", maintain_order="left")

    def is_ready(self, name: str, project: Project) -> bool:
        """Whether there are centroids."""
        return project.workspace.tables.has(CLUSTER_CENTROIDS, {"set": name})

    def nodes(self, name: str, project: Project) -> list[Node]:
        """The centroids, the cluster of each image, and the cut-offs."""
        from recap_assets.sets.kinds.balanced.assets import nodes_of

        return nodes_of(project, name, self)

    def outside(self, project: Project) -> Outside | None:  # noqa: ARG002 - of all kinds
        """Nothing: a file of centroids is read for the centroids."""
        return None

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Centroids that are given in a file and cannot be used; else what k-means needs."""
        if self.centroids is None:
            yield from lacking(where, self.extra, K_MEANS)
            return
        try:
            given_centroids(Path(self.centroids))
        except TargetError as error:
            yield False, f"{where}.centroids: {error}"
