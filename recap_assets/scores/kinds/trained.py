"""A scorer that this experiment trains."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.engines.protocols import Places, Scorer
from recap_assets.scores.kind import ByEmbeddings
from recap_assets.specs.base import Name
from recap_assets.specs.fields import Speed
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import Device


class EmbeddedScorer(ByEmbeddings):
    """A CLIP that the asset `models/<model>` trains."""

    kind: Literal["embedded"]
    model: Name = Field(description="A model of kind clip in this experiment.")
    batch_size: Annotated[int, Speed] = Field(
        default=128, gt=0, le=65_536, description="Rows of one forward pass; changes no score."
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")

    def open(self, places: Places) -> Scorer:
        """The CLIP that was trained."""
        from recap_assets.engines.small.loading import load_small_clip

        return load_small_clip(places.models / self.model, self.batch_size, self.device)

    @property
    def called(self) -> str:
        """The model's name."""
        return self.model

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return self.batch_size

    @property
    def trained_model(self) -> str | None:
        """The model."""
        return self.model

    def refers(self) -> Iterator[Reference]:
        """The model."""
        yield Reference("model", self.model, "models", "clip")
