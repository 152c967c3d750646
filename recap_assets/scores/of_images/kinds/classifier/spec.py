"""Image classifiers of the Hugging Face hub: what a user writes."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.scores.of_images.kind import OfImages
from recap_assets.specs.fields import LocalModel, Speed
from recap_assets.specs.sources import Device, Precision


class ImageClassifierSpec(OfImages):
    """An image classifier of the Hugging Face hub; the score is the probability of one label."""

    kind: Literal["image_classifier"]
    model: Annotated[str, LocalModel] = Field(
        description="Hub id (Falconsai/nsfw_image_detection) or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    label: str = Field(description="The label whose probability is the score, such as nsfw.")
    precision: Precision = "float32"
    batch_size: Annotated[int, Speed] = Field(
        default=64, gt=0, le=65_536, description="Images of one forward pass; changes no score."
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
