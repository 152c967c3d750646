"""Scorers whose model this experiment trains: the fields that such kinds share."""

from typing import Annotated

from pydantic import Field

from recap_assets.scores.kind import ByEmbeddings
from recap_assets.specs.base import Name
from recap_assets.specs.fields import Speed
from recap_assets.specs.sources import Device


class TrainedHere(ByEmbeddings):
    """A model of this experiment that embeds, and how it is run."""

    model: Name = Field(description="A model of this experiment, of the kind's own kind.")
    batch_size: Annotated[int, Speed] = Field(
        default=128, gt=0, le=65_536, description="Rows of one forward pass; changes no score."
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")

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
