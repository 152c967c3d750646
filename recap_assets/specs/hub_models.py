"""A model of the Hugging Face hub that scores: the fields that such kinds share."""

from typing import Annotated

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.fields import LocalModel, Speed
from recap_assets.specs.sources import Device, Precision


class HubScoringModel(Spec):
    """A model from the hub or a local folder, and how it is run."""

    model: Annotated[str, LocalModel] = Field(
        description="Hub id (ORGANISATION/NAME) or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    precision: Precision = "float32"
    batch_size: Annotated[int, Speed] = Field(
        default=64, gt=0, le=65_536, description="Rows of one forward pass; changes no score."
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")

    @property
    def called(self) -> str:
        """The model's name or folder."""
        return self.model

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return self.batch_size
