"""Image classifiers of the Hugging Face hub: what a user writes."""

from typing import Literal

from pydantic import Field

from recap_assets.scores.of_images.kind import OfImages
from recap_assets.specs.running import HubModel


class ImageClassifierSpec(HubModel, OfImages):
    """An image classifier of the Hugging Face hub; the score is the probability of one label."""

    kind: Literal["image_classifier"]
    label: str = Field(description="The label whose probability is the score, such as nsfw.")
