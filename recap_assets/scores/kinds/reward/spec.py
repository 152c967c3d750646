"""A score that was learned from preferences: what a user writes."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from recap_assets.scores.kind import OwnScores
from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference


class RewardSpec(OwnScores):
    """How much a text is preferred for its image, by a model of kind preference trained here."""

    example = """\
referee: {kind: reward, model: referee}   # a model of the kind preference
"""
    bounded = False
    framework = "numpy"
    score_is = "reward of image and caption"

    kind: Literal["reward"]
    model: Name = Field(description="A model of kind preference in this experiment.")

    def refers(self) -> Iterator[Reference]:
        """The model."""
        yield from super().refers()
        yield Reference("model", self.model, "models", "preference")
