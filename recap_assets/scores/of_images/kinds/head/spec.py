"""Linear layers over image embeddings: what a user writes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.scores.of_images.kind import OfEmbeddings
from recap_assets.specs.base import Name
from recap_assets.specs.fields import Content
from recap_assets.specs.references import EMBEDDINGS, Reference


class EmbeddingHeadSpec(OfEmbeddings):
    """Linear layers over the image embeddings that a scorer has anyway; no image is read again.

    LAION's aesthetic predictors and its NSFW detectors are such heads over CLIP ViT-L/14.
    """

    example = """\
aesthetic: {kind: embedding_head, scorer: l14, weights: /data/heads/aesthetic.safetensors}
"""

    kind: Literal["embedding_head"]
    scorer: Name = Field(description="Whose unit-length image embeddings the head was trained on.")
    weights: Annotated[str, Content()] = Field(
        description="A safetensors file with tensors <layer>.weight and <layer>.bias, applied in "
        "the order of their names."
    )
    activation: Literal["none", "relu"] = Field(
        default="none",
        description="Between the layers. LAION's aesthetic predictors have none, its NSFW "
        "detectors relu.",
    )
    output: Literal["none", "sigmoid"] = Field(
        default="none", description="What becomes of the last layer's number."
    )

    @property
    def called(self) -> str:
        """The file."""
        return self.weights

    @property
    def embedded_by(self) -> str:
        """The scorer."""
        return self.scorer

    def refers(self) -> Iterator[Reference]:
        """The scorer."""
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)
