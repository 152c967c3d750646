"""Sets without near duplicates."""

from collections.abc import Iterator

import polars as pl

from recap_assets.artefacts.sets import DUPLICATES
from recap_assets.engines.protocols import Places
from recap_assets.engines.trying import lacking
from recap_assets.graph.stage import Dependency, Node, Project
from recap_assets.sets.clusters import K_MEANS
from recap_assets.sets.facts import Samples
from recap_assets.sets.kinds.unique.spec import UniqueSpec
from recap_assets.sets.rules import Requirement
from recap_assets.specs.findings import Finding


class Unique(UniqueSpec):
    """One sample of each group that shows the same image, or has nearly the same text."""

    decided_elsewhere = (
        *("by", "bits", "cosine", "clusters", "seed", "keep"),
        *("source", "jaccard", "ngram", "bands", "band_rows"),
    )

    def requirements(self) -> tuple[Requirement, ...]:
        """That it is the one that is kept."""
        kept = Requirement(
            "duplicate",
            pl.col("kept").is_null() | (pl.col("kept") == pl.col("uid")),
            lambda row: f"its {self.shared} is that of {row['kept'].hex()}, which is kept",
        )
        return (kept,)

    def reads(self, name: str) -> Iterator[Dependency]:
        """The duplicates."""
        yield Dependency(DUPLICATES.key(name), "all")

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        """With `kept`: the sample that stands for all like it; null for one alone."""
        tables = samples.project.workspace.tables
        shards = [shard.number for shard in samples.project.partitions[samples.partition]]
        rows = tables.scan(DUPLICATES, set=samples.name)
        mine = rows.filter(pl.col("shard").is_between(min(shards), max(shards)))
        found = mine.select("uid", "kept").collect()
        return known.join(found, on="uid", how="left", maintain_order="left")

    def nodes(self, name: str, project: Project) -> list[Node]:
        """The duplicates, and what those among texts are found by."""
        from recap_assets.sets.kinds.unique.assets import nodes_of

        return nodes_of(project, name, self)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """What k-means needs, where images are compared within clusters."""
        if self.by == "embedding" and self.clusters > 1:
            yield from lacking(where, self.extra, K_MEANS)
