"""A scorer that this experiment trains."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from recap_assets.engines.protocols import Places, Scorer
from recap_assets.scores.trained_here import TrainedHere
from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference


class EmbeddedScorer(TrainedHere):
    """A CLIP that the asset `models/<model>` trains."""

    kind: Literal["embedded"]
    model: Name = Field(description="A model of kind clip in this experiment.")

    def open(self, places: Places) -> Scorer:
        """The CLIP that was trained."""
        from recap_assets.engines.small.loading import load_small_clip

        return load_small_clip(places.models / self.model, self.batch_size, self.device)

    def refers(self) -> Iterator[Reference]:
        """The model."""
        yield Reference("model", self.model, "models", "clip")
