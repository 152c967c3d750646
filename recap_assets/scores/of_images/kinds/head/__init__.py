"""Linear layers over image embeddings."""

from recap_assets.engines.protocols import Places, VectorScorer
from recap_assets.scores.of_images.kinds.head.spec import EmbeddingHeadSpec


class EmbeddingHead(EmbeddingHeadSpec):
    """Linear layers over the image embeddings that a scorer has anyway; no image is read again.

    LAION's aesthetic predictors and its NSFW detectors are such heads over CLIP ViT-L/14.
    """

    def open(self, places: Places) -> VectorScorer:  # noqa: ARG002 - of all kinds
        """The head."""
        from recap_assets.scores.of_images.kinds.head.engine import load_head

        return load_head(self)
