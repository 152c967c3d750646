"""Sets without near duplicates: what a user writes."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from recap_assets.sets.kind import ComputedSet
from recap_assets.specs.base import Name
from recap_assets.specs.references import EMBEDDINGS, Reference
from recap_assets.specs.sources import RAW


class UniqueSpec(ComputedSet):
    """One sample of each group that shows the same image, or has nearly the same text."""

    extra = "filters"

    kind: Literal["unique"]
    by: Literal["sha256", "perceptual", "embedding", "text"] = Field(
        description="Equal bytes, nearly equal 64-bit DCT hashes, nearly equal embeddings, or "
        "nearly equal texts."
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
    seed: int = Field(default=0, description="Of k-means, and of MinHash.")
    source: Name = Field(
        default=RAW, description="text: whose texts are compared (the first usable candidate)."
    )
    jaccard: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="text: least Jaccard similarity, of the sets of word n-grams, of a pair that "
        "is alike; 1: the words are the same in the same order.",
    )
    ngram: int = Field(
        default=2, ge=1, le=20, description="text: words of an n-gram; a shorter text is one."
    )
    bands: int = Field(
        default=16,
        gt=0,
        le=256,
        description="text: bands of the MinHash signature; texts of which one band is equal are "
        "compared.",
    )
    band_rows: int = Field(
        default=4,
        gt=0,
        le=64,
        description="text: hashes of a band. A pair with Jaccard similarity s is compared with a "
        "probability of 1 - (1 - s^band_rows)^bands: 0.9998 for 0.8 by default.",
    )
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
        """The scorer, or the source."""
        if self.scorer is not None:
            yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)
        if self.by == "text":
            yield Reference("source", self.source, "source_names")

    @property
    def shared(self) -> str:
        """What duplicates have in common."""
        return "text" if self.by == "text" else "image"
