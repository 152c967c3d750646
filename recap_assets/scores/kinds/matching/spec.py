"""Image-text matching models: what a user writes."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.scores.kind import ByPairs
from recap_assets.specs.fields import LocalModel, Speed
from recap_assets.specs.sources import Device, Precision


class ImageTextMatchingSpec(ByPairs):
    """BLIP's image-text matching: the probability that a text fits the image, by its own head."""

    example = """\
itm: {kind: image_text_matching, model: Salesforce/blip-itm-base-coco}
"""

    score_is = "probability that image and caption match"
    seconds = 30.0

    kind: Literal["image_text_matching"]
    model: Annotated[str, LocalModel] = Field(
        description="Hub id (Salesforce/blip-itm-base-coco) or a local folder."
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
