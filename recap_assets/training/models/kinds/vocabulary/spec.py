"""Vocabulary models that are trained here: what a user writes."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from recap_assets.specs.models import ModelSpec, Optimizer, SmallTower
from recap_assets.training.models.kind import ImageTextModel


class TrainedVocabularySpec(ImageTextModel):
    """Images and texts as a few weighted words each, for scorers of the kind vocabulary."""

    example = """\
lexical: {kind: vocabulary, corpus: pairs, samples_seen: 40000, top: 32}
"""

    kind: Literal["vocabulary"]
    tower: SmallTower = Field(
        default=SmallTower(),
        description="Both towers; heads to words, `vocabulary` of them at most, take the place of "
        "the joint embedding, and `embedding_dim` is not used.",
    )
    optimizer: Optimizer = Optimizer()
    batch_size: int = Field(default=128, gt=1, le=65_536, description="Pairs of one step.")
    top: int = Field(
        default=32,
        gt=0,
        le=1_000_000,
        description="Words that a vector keeps; a text keeps its own as well.",
    )
    seed: int = 0

    def image_side(self, models: Mapping[str, ModelSpec]) -> int:  # noqa: ARG002 - of all kinds
        """The side that the tower takes."""
        return self.tower.image_size
