"""A scorer that this experiment trains."""

from typing import Literal

from pydantic import Field

from recap_assets.engines.protocols import Places, Scorer
from recap_assets.scores.kind import ByEmbeddings
from recap_assets.specs.base import Name
from recap_assets.specs.running import Rows, TrainedHere


class EmbeddedScorer(TrainedHere, ByEmbeddings):
    """A CLIP that the asset `models/<model>` trains."""

    trained_as = "clip"

    kind: Literal["embedded"]
    model: Name = Field(description="A model of kind clip in this experiment.")
    batch_size: Rows = 128

    def open(self, places: Places) -> Scorer:
        """The CLIP that was trained."""
        from recap_assets.engines.small.loading import load_small_clip

        return load_small_clip(places.models / self.model, self.batch_size, self.device)
