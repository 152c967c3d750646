"""Scorers of the image alone: aesthetics, unsafe content, watermarks."""

from typing import Annotated

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import OneOf


class ImageScorerSpec(Spec):
    """What is made of an image, whatever its texts; kinds are below `ImageScoring`."""


ImageScorer = Annotated[ImageScorerSpec, OneOf("image_scorers")]
