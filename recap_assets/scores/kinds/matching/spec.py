"""Image-text matching models: what a user writes."""

from typing import Literal

from recap_assets.scores.kind import ByPairs
from recap_assets.specs.running import HubModel


class ImageTextMatchingSpec(HubModel, ByPairs):
    """BLIP's image-text matching: the probability that a text fits the image, by its own head."""

    example = """\
itm: {kind: image_text_matching, model: Salesforce/blip-itm-base-coco}
"""

    score_is = "probability that image and caption match"
    seconds = 30.0

    kind: Literal["image_text_matching"]
