"""Image-text matching models of the Hugging Face hub."""

from recap_assets.engines.protocols import PairScorer, Places
from recap_assets.scores.kinds.matching.spec import ImageTextMatchingSpec


class ImageTextMatching(ImageTextMatchingSpec):
    """BLIP's image-text matching: the probability that a text fits the image, by its own head.

    The text is read with attention to the image (arXiv 2201.12086, its section 3.2), so image and
    text have no embeddings of which a cosine could be taken. Each image is encoded once for all of
    its texts. What of a text is beyond the model's positions is cut off.
    """

    def open(self, places: Places) -> PairScorer:  # noqa: ARG002 - of all kinds
        """The model."""
        from recap_assets.scores.kinds.matching.engine import load_blip_matching

        return load_blip_matching(self)
