"""DataComp's image_based."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from recap_assets.artefacts import CLUSTER_CENTROIDS, IMAGE_EMBEDDINGS, TARGET_CLUSTERS
from recap_assets.engines.protocols import Places
from recap_assets.engines.trying import lacking
from recap_assets.graph.stage import Dependency, Node, Outside, Project
from recap_assets.sets.clusters import K_MEANS, embeddings_of, given_centroids
from recap_assets.sets.facts import Samples
from recap_assets.sets.kinds.image_based import clusters
from recap_assets.sets.kinds.image_based.spec import ImageBasedSpec
from recap_assets.sets.rules import Requirement, reasons
from recap_assets.sets.targets import TargetError
from recap_assets.specs.findings import Finding


class ImageBased(ImageBasedSpec):
    """DataComp's image_based: in a cluster that an image of the target set is nearest to."""

    decided_elsewhere = ("target", "clusters", "iterations", "sample", "seed", "centroids")

    def requirements(self) -> tuple[Requirement, ...]:
        """The text, and the cluster."""
        return (
            *self.of_captions(),
            Requirement(
                "no_embedding",
                pl.col("cluster").is_not_null(),
                lambda _: "its image has no embedding",
            ),
            Requirement(
                "other_cluster",
                pl.col("in_target"),
                lambda row: f"its cluster {row['cluster']} is that of no target image",
            ),
        )

    def reads(self, name: str) -> Iterator[Dependency]:
        """The embeddings, the centroids, and which of them the target is near to."""
        yield Dependency(IMAGE_EMBEDDINGS.key(self.scorer), "same")
        yield Dependency(CLUSTER_CENTROIDS.key(name), "all")
        yield Dependency(TARGET_CLUSTERS.key(name), "all")

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        """With `cluster`, the nearest centroid, and `in_target`; null without an embedding."""
        embeddings = embeddings_of(samples.project, self.scorer, samples.partition, samples.uid)
        if samples.uid is None:
            # Where the text is not as asked, the cluster need not be known.
            fits = reasons(self.of_captions(), known).is_null()
            embeddings = embeddings.join(known.filter(fits), on="uid", how="semi")
        return clusters.with_clusters(samples.project, samples.name, known, embeddings)

    def is_ready(self, name: str, project: Project) -> bool:
        """Whether there are centroids."""
        return project.workspace.tables.has(CLUSTER_CENTROIDS, {"set": name})

    def nodes(self, name: str, project: Project) -> list[Node]:
        """The centroids, and which of them the target is near to."""
        return clusters.nodes_of(project, name, self)

    def outside(self, project: Project) -> Outside | None:  # noqa: ARG002 - of all kinds
        """Nothing: its files are read for the centroids and the target's clusters."""
        return None

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Centroids and a target that are given in files and cannot be used; what k-means needs."""
        if self.centroids is None:
            yield from lacking(where, self.extra, K_MEANS)
        try:
            self.target.check()
            if self.centroids is not None:
                given_centroids(Path(self.centroids))
        except TargetError as error:
            yield False, f"{where}: {error}"
