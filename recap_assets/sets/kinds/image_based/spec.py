"""DataComp's image_based: what a user writes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.sets.centroids_file import CentroidsFile
from recap_assets.sets.kind import ComputedSet, Requirement, TextRule, more_than
from recap_assets.sets.targets import Target
from recap_assets.specs.base import Name
from recap_assets.specs.kinds import OneOf
from recap_assets.specs.references import EMBEDDINGS, Reference


class CaptionRule(TextRule):
    """DataComp's caption filter of the image-based baseline."""

    more_than_tokens: int = Field(
        default=1, ge=0, description="Tokens of fastText's tokeniser that are too few."
    )
    more_than_characters: int = Field(
        default=5, ge=0, description="Characters of the text that are too few."
    )

    def requirements(self) -> tuple[Requirement, ...]:
        """The language and the lengths."""
        return (
            *self.of_text(),
            more_than("token", "n_tokens", self.more_than_tokens),
            more_than("character", "n_characters", self.more_than_characters),
        )


class ImageBasedSpec(ComputedSet):
    """DataComp's image_based: in a cluster that an image of the target set is nearest to."""

    extra = "filters"

    kind: Literal["image_based"]
    scorer: Name = Field(description="Whose image embeddings are clustered.")
    target: Annotated[Target, OneOf("targets")] = Field(
        description="The images to be near to: DataComp's are ImageNet-1k's."
    )
    clusters: int = Field(default=100_000, gt=0, le=10_000_000, description="Clusters of k-means.")
    iterations: int = Field(default=20, gt=0, le=10_000, description="Iterations of k-means.")
    sample: float = Field(
        default=1.0, gt=0, le=1, description="Share of the pool that k-means learns from."
    )
    seed: int = Field(default=0, description="Of k-means and of its sample.")
    centroids: CentroidsFile = None
    captions: CaptionRule | None = Field(
        default=CaptionRule(),
        description="What the text must be besides, for k-means as well; null for no such rule.",
    )

    def refers(self) -> Iterator[Reference]:
        """The scorer, and what the rule of captions and the target name."""
        yield from super().refers()
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)

    @property
    def texts(self) -> TextRule | None:
        """That of the rule of captions."""
        return self.captions

    def of_captions(self) -> tuple[Requirement, ...]:
        """What is asked of the text."""
        return () if self.captions is None else self.captions.requirements()
