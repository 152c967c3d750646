"""Sets without near duplicates: what a user writes."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from recap_assets.sets.kind import ComputedSet
from recap_assets.specs.base import Name
from recap_assets.specs.references import EMBEDDINGS, Reference


class UniqueSpec(ComputedSet):
    """One sample of each group that shows the same image."""

    extra = "filters"

    kind: Literal["unique"]
    by: Literal["sha256", "perceptual", "embedding"] = Field(
        description="Equal bytes, nearly equal 64-bit DCT hashes, or nearly equal embeddings."
    )
    bits: int = Field(
        default=6, ge=0, le=15, description="perceptual: bits in which the hashes may differ."
    )
    scorer: Name | None = Field(
        default=None, description="embedding: whose image embeddings are compared."
    )
    cosine: float = Field(
        default=0.95, ge=-1, le=1, description="embedding: least cosine of a pair that is alike."
    )
    clusters: int = Field(
        default=1,
        gt=0,
        le=10_000_000,
        description="embedding: k-means clusters within which images are compared, as SemDeDup "
        "does; 1 compares every pair.",
    )
    seed: int = Field(default=0, description="Of k-means.")
    keep: Literal["largest", "first"] = Field(
        default="largest",
        description="Which one of a group stays: the image with the most pixels (the original's "
        "where they are known), or the one with the lowest uid, which also breaks ties.",
    )

    @model_validator(mode="after")
    def _has_scorer(self) -> Self:
        if (self.by == "embedding") != (self.scorer is not None):
            msg = "by: embedding names a `scorer`, and nothing else does"
            raise ValueError(msg)
        return self

    def refers(self) -> Iterator[Reference]:
        """The scorer."""
        if self.scorer is not None:
            yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)
