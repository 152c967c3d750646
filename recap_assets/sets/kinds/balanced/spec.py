"""Sets with the same number of images from each cluster: what a user writes."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from recap_assets.sets.centroids_file import CentroidsFile
from recap_assets.sets.kind import ComputedSet
from recap_assets.specs.base import Name
from recap_assets.specs.references import EMBEDDINGS, Reference


class BalancedSpec(ComputedSet):
    """The same number of images from each cluster of the pool, at most: TL;DR's reduction.

    Images are clustered by a scorer's embeddings (k-means by squared distance, in place of TL;DR's
    codebook), and of each cluster the first `per_cluster` are taken: the best by a score, of equal
    ones the lowest uid, or a random draw by (seed, uid). Smaller clusters are taken whole. Source:
    Too Large; Data Reduction for Vision-Language Pre-Training (arXiv 2305.20087), section 3.
    """

    extra = "filters"

    kind: Literal["balanced"]
    scorer: Name = Field(description="Whose image embeddings are clustered.")
    clusters: int = Field(gt=0, le=10_000_000, description="Clusters of k-means.")
    per_cluster: int = Field(gt=0, description="Most images of one cluster.")
    best_by: Name | None = Field(
        default=None,
        description="The caption source by whose score the best are taken (its first candidate, "
        "by `scorer` or `score_by`); null draws at random.",
    )
    score_by: Name | None = Field(
        default=None, description="Another scorer for `best_by`, or, without it, an image scorer."
    )
    iterations: int = Field(default=20, gt=0, le=10_000, description="Iterations of k-means.")
    sample: float = Field(
        default=1.0, gt=0, le=1, description="Share of the pool that k-means learns from."
    )
    seed: int = Field(default=0, description="Of k-means, of its sample and of the draw.")
    centroids: CentroidsFile = None

    @property
    def image_scorer(self) -> str | None:
        """The image scorer by which the best are taken, if it is one."""
        return self.score_by if self.best_by is None else None

    @property
    def draws(self) -> bool:
        """Whether images are drawn, and not the best taken."""
        return self.best_by is None and self.score_by is None

    def refers(self) -> Iterator[Reference]:
        """The scorers, and the source."""
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)
        if self.best_by is not None:
            yield Reference("best_by", self.best_by, "source_names")
        if self.score_by is not None:
            section = "image_scorers" if self.best_by is None else "scorers"
            yield Reference("score_by", self.score_by, section)
