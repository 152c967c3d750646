"""A CLIP's cosine, less what the loss of its training takes from it: what a user writes."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from recap_assets.scores.kind import OwnScores
from recap_assets.specs.base import Name
from recap_assets.specs.references import EMBEDDINGS, Reference


class NegClipLossSpec(OwnScores):
    """A CLIP's cosine, less how well image and text fit the others of random batches."""

    example = """\
contrast: {kind: neg_clip_loss, scorer: l14}   # low for a text that fits every image
"""

    bounded = False
    on_gpu = True
    framework = "pytorch"
    seconds = 5.0
    score_is = "negCLIPLoss of image and caption"

    kind: Literal["neg_clip_loss"]
    scorer: Name = Field(description="Whose embeddings are compared.")
    temperature: float = Field(
        default=0.01, ge=1e-3, le=10, description="T; CLIP's own at the end of its training."
    )
    batch_size: int = Field(
        default=32_768,
        gt=1,
        le=262_144,
        description="Most pairs that are compared with each other.",
    )
    rounds: int = Field(
        default=10, gt=0, le=1_000, description="Cuts into batches, whose losses are averaged."
    )
    seed: int = Field(default=0, description="Of the cuts.")

    def refers(self) -> Iterator[Reference]:
        """The scorer."""
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)
